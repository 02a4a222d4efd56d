/* SPDX-License-Identifier: MIT */
/* An answer to "why is it not there" has to name files, lines and values; what may be
 * a secret is left out of it. */
#include "config.h"

#include "core/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/cleanup.h"
#include "core/host_config.h"
#include "core/settings.h"
#include "core/text.h"

/* ---- Instances ---- */

static bool add_string(cJSON *object, const char *key, const char *string)
{
	return string ? cJSON_AddStringToObject(object, key, string) : cJSON_AddNullToObject(object, key);
}

static bool add_text(cJSON *object, const char *key, struct berth_text text)
{
	CLEANUP_FREE char *string = strndup(text.ptr, text.len);

	return string && add_string(object, key, string);
}

static bool add_failure(cJSON *list, const struct failure *failure)
{
	cJSON *item = cJSON_CreateObject();

	return item && cJSON_AddItemToArray(list, item) && add_string(item, "code", failure_code_name(failure->code)) &&
	       add_string(item, "expected", failure->expected) && add_string(item, "found", failure->found.text) &&
	       add_string(item, "hint", failure_hint(failure->code));
}

/* Why a process is not started any more: for people as a failure, for programs as an object. */
static bool add_quarantine(cJSON *object, cJSON *failures, const struct quarantine *quarantine)
{
	time_t seconds = (time_t)(quarantine->since_ns / 1000000000);
	struct failure failure;
	char since[40];
	cJSON *item;
	struct tm tm;

	strftime(since, sizeof since, "%Y-%m-%dT%H:%M:%S+00:00", gmtime_r(&seconds, &tm));
	failure_set(&failure, FAILURE_QUARANTINED, "a process that goes on",
		    "%s; it ended %llu times in a row, and is not started any more since %s", quarantine->reason,
		    (unsigned long long)quarantine->n_deaths, since);
	item = add_failure(failures, &failure) ? cJSON_AddObjectToObject(object, "quarantine") : NULL;
	return item && add_string(item, "since", since) && add_string(item, "reason", quarantine->reason) &&
	       cJSON_AddNumberToObject(item, "deaths", (double)quarantine->n_deaths);
}

static bool add_failures(cJSON *object, const struct inventory_entry *entry)
{
	cJSON *list = cJSON_AddArrayToObject(object, "failures");
	struct quarantine quarantine;

	for (size_t i = 0; i < entry->dropin.failures.n; i++)
		if (!add_failure(list, &entry->dropin.failures.list[i]))
			return false;
	if (list && entry->instance && instance_in_quarantine(entry->instance, &quarantine))
		return add_quarantine(object, list, &quarantine);
	return list && cJSON_AddNullToObject(object, "quarantine");
}

/* Whether an option may be shown: it is declared, and not as a secret. */
static bool is_public(const struct inventory_entry *entry, const char *setting)
{
	static const char prefix[] = "options.";
	const struct stamp *stamp = entry->adapter ? &entry->adapter->stamp : NULL;

	if (strncmp(setting, prefix, sizeof prefix - 1) != 0)
		return true;
	for (size_t i = 0; stamp && i < stamp->n_options; i++)
		if (strcmp(stamp->options[i].name, setting + sizeof prefix - 1) == 0)
			return stamp->options[i].type != OPTION_SECRET;
	return false;
}

static bool hide_value(cJSON *setting)
{
	cJSON *null = cJSON_CreateNull(), *item;

	if (!null || !cJSON_ReplaceItemInObjectCaseSensitive(setting, "value", null))
		return false;
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(setting, "overrode"))
		if (!hide_value(item))
			return false;
	return cJSON_AddTrueToObject(setting, "hidden");
}

static bool add_settings(cJSON *object, const struct inventory_entry *entry)
{
	cJSON *settings = cJSON_Duplicate(entry->dropin.settings, true), *setting;

	if (!settings || !cJSON_AddItemToObject(object, "settings", settings)) {
		cJSON_Delete(settings);
		return false;
	}
	cJSON_ArrayForEach(setting, settings)
		if (!is_public(entry, setting->string) && !hide_value(setting))
			return false;
	return true;
}

static bool add_entry(cJSON *list, const struct inventory_entry *entry)
{
	const struct stamp *stamp = entry->adapter ? &entry->adapter->stamp : NULL;
	cJSON *object = cJSON_CreateObject();
	char abi[32];

	if (!object || !cJSON_AddItemToArray(list, object)) {
		cJSON_Delete(object);
		return false;
	}
	if (stamp)
		snprintf(abi, sizeof abi, "%u.%u", stamp->major, stamp->minor);
	return add_string(object, "name", entry->dropin.name) && add_string(object, "state", inventory_state_name(inventory_state(entry))) &&
	       cJSON_AddBoolToObject(object, "required", inventory_is_required(entry)) &&
	       add_string(object, "adapter", settings_string(entry->dropin.settings, "adapter")) &&
	       add_string(object, "version", stamp ? stamp->version : NULL) &&
	       add_string(object, "abi", stamp ? abi : NULL) && add_string(object, "file", entry->file) &&
	       (entry->instance ? add_text(object, "runtime_id", entry->instance->runtime.base.runtime_id) :
				  add_string(object, "runtime_id", NULL)) &&
	       add_string(object, "masked_by", entry->dropin.masked_by) && add_failures(object, entry) &&
	       add_settings(object, entry);
}

static void delete_json(cJSON **jsonp)
{
	cJSON_Delete(*jsonp);
}

static const char *threading_name(unsigned threading)
{
	return threading == BERTH_THREADS_ANY	   ? "any" :
	       threading == BERTH_THREADS_INSTANCE ? "instance" :
						     "one";
}

/* ---- Whole reports ---- */

/* Makes a report of an empty object, then prints and frees it. */
static cJSON *begin(void)
{
	cJSON *json = cJSON_CreateObject();

	if (json && cJSON_AddNumberToObject(json, "schema", 1))
		return json;
	cJSON_Delete(json);
	return NULL;
}

static int print(const cJSON *json, struct buffer *out)
{
	CLEANUP_FREE char *text = cJSON_PrintUnformatted(json);

	if (!text)
		return -ENOMEM;
	/* Names of files and words of the system may be anything. */
	text_make_utf8(text);
	buffer_append_string(out, text);
	return out->failed ? -ENOMEM : 0;
}

int report_adapters(const struct inventory *inventory, struct buffer *out)
{
	CLEANUP(delete_json) cJSON *json = begin();
	cJSON *list = json ? cJSON_AddArrayToObject(json, "adapters") : NULL;

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < inventory->n_entries; i++)
		if (!add_entry(list, &inventory->entries[i]))
			return -ENOMEM;
	return print(json, out);
}

static bool add_option(cJSON *list, const struct stamp_option *option)
{
	cJSON *object = cJSON_CreateObject();

	if (!object || !cJSON_AddItemToArray(list, object)) {
		cJSON_Delete(object);
		return false;
	}
	return add_string(object, "name", option->name) && add_string(object, "type", option_type_name(option->type)) &&
	       add_string(object, "default", option->fallback) && add_string(object, "help", option->help);
}

int report_stamp(const struct stamp *stamp, struct buffer *out)
{
	CLEANUP(delete_json) cJSON *json = begin();
	cJSON *object = json ? cJSON_AddObjectToObject(json, "stamp") : NULL, *list;
	char abi[32], needed[32];

	snprintf(abi, sizeof abi, "%u.%u", stamp->major, stamp->minor);
	snprintf(needed, sizeof needed, "%u.%u", stamp->major, stamp->needed);
	if (!object || !add_string(object, "adapter", stamp->id) || !add_string(object, "version", stamp->version) ||
	    !add_string(object, "abi", abi) || !add_string(object, "abi_needed", needed) ||
	    !add_string(object, "threading", threading_name(stamp->threading)))
		return -ENOMEM;
	list = cJSON_AddArrayToObject(json, "options");
	for (size_t i = 0; list && i < stamp->n_options; i++)
		if (!add_option(list, &stamp->options[i]))
			return -ENOMEM;
	return list ? print(json, out) : -ENOMEM;
}

int report_config(const cJSON *settings, struct buffer *out)
{
	CLEANUP(delete_json) cJSON *json = begin();
	cJSON *list = json ? cJSON_AddObjectToObject(json, "settings") : NULL;

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < host_n_keys; i++) {
		const cJSON *setting = cJSON_GetObjectItemCaseSensitive(settings, host_keys[i].name);
		cJSON *copy = cJSON_Duplicate(setting, true);

		if (setting && (!copy || !cJSON_AddItemToObject(list, host_keys[i].name, copy)))
			return -ENOMEM;
	}
	return print(json, out);
}
