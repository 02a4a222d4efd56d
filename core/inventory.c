/* SPDX-License-Identifier: MIT */
/* One adapter that fails must not take the others down, and whoever set it up must
 * understand at once why it is not there: so every instance that was asked for has
 * an entry here, whatever became of it. */
#include "config.h"

#include "core/inventory.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/log.h"
#include "core/text.h"

const char *const inventory_default_names[] = { "local-pod", "embedded", "remote-reserved", NULL };

bool inventory_name_valid(struct berth_text name)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_')
			return false;
	}
	return name.len > 0 && name.len <= STAMP_ID_MAX;
}

int inventory_add(struct inventory *inventory, struct berth_text name)
{
	struct inventory_entry *entries =
		reallocarray(inventory->entries, inventory->n_entries + 1, sizeof *entries);
	char *copy;

	if (!entries)
		return -ENOMEM;
	inventory->entries = entries;
	copy = strndup(name.ptr, name.len);
	if (!copy)
		return -ENOMEM;
	entries[inventory->n_entries++] = (struct inventory_entry){ .name = copy };
	return 0;
}

int inventory_require(struct inventory *inventory, const char *name)
{
	int rc = -ENOENT;

	for (size_t i = 0; i < inventory->n_entries; i++)
		if (strcmp(inventory->entries[i].name, name) == 0) {
			inventory->entries[i].required = true;
			rc = 0;
		}
	return rc;
}

static int start(struct inventory *inventory, struct inventory_entry *entry, const struct workspace *workspace)
{
	struct failure *failure = &entry->failure;
	struct instance *instance;
	struct adapter *adapter;
	int rc;

	rc = loader_load(&inventory->loader, entry->name, &adapter, &entry->file, failure);
	if (rc < 0)
		return rc;
	entry->adapter = adapter;
	rc = instance_open(adapter, entry->name, workspace, &instance, failure);
	if (rc < 0)
		return rc;
	rc = registry_add(&inventory->registry, instance);
	if (rc == -EEXIST)
		failure_set(failure, FAILURE_RUNTIME_ID_TAKEN, "a runtime_id of its own", "%.*s, which an earlier one has",
			    (int)instance->runtime.base.runtime_id.len, instance->runtime.base.runtime_id.ptr);
	else if (rc < 0)
		failure_set(failure, FAILURE_NO_MEMORY, "memory", "none");
	if (rc < 0) {
		instance_close(instance);
		return rc;
	}
	entry->instance = instance;
	return 0;
}

size_t inventory_start(struct inventory *inventory, const struct workspace *workspace)
{
	size_t n_missing = 0;

	for (size_t i = 0; i < inventory->n_entries; i++)
		if (start(inventory, &inventory->entries[i], workspace) < 0)
			n_missing += inventory->entries[i].required;
	return n_missing;
}

void inventory_log_failures(const struct inventory *inventory)
{
	for (size_t i = 0; i < inventory->n_entries; i++) {
		const struct inventory_entry *entry = &inventory->entries[i];

		if (!entry->instance)
			log_write(BERTH_LOG_ERROR, NULL, "%sadapter %s%s%s: %s: expected %s, found %s; %s",
				  entry->required ? "required " : "", entry->name, entry->file ? ": " : "",
				  entry->file ? entry->file : "", failure_code_name(entry->failure.code),
				  entry->failure.expected, entry->failure.found.text, failure_hint(entry->failure.code));
	}
}

/* ---- As JSON ---- */

static bool add_string(cJSON *object, const char *key, const char *string)
{
	return string ? cJSON_AddStringToObject(object, key, string) : cJSON_AddNullToObject(object, key);
}

static bool add_text(cJSON *object, const char *key, struct berth_text text)
{
	CLEANUP_FREE char *string = strndup(text.ptr, text.len);

	return string && add_string(object, key, string);
}

static bool add_failure(cJSON *object, const struct inventory_entry *entry)
{
	cJSON *failure;

	if (entry->instance)
		return cJSON_AddNullToObject(object, "failure");
	failure = cJSON_AddObjectToObject(object, "failure");
	return failure && add_string(failure, "code", failure_code_name(entry->failure.code)) &&
	       add_string(failure, "expected", entry->failure.expected) &&
	       add_string(failure, "found", entry->failure.found.text) &&
	       add_string(failure, "hint", failure_hint(entry->failure.code));
}

static bool add_entry(cJSON *list, const struct inventory_entry *entry)
{
	const struct stamp *stamp = entry->adapter ? &entry->adapter->stamp : NULL;
	cJSON *object = cJSON_CreateObject();
	char abi[32];

	if (!object || !cJSON_AddItemToArray(list, object))
		return false;
	if (stamp)
		snprintf(abi, sizeof abi, "%u.%u", stamp->major, stamp->minor);
	return add_string(object, "name", entry->name) && add_string(object, "state", entry->instance ? "active" : "failed") &&
	       cJSON_AddBoolToObject(object, "required", entry->required) && add_string(object, "adapter", entry->name) &&
	       add_string(object, "version", stamp ? stamp->version : NULL) &&
	       add_string(object, "abi", stamp ? abi : NULL) && add_string(object, "file", entry->file) &&
	       (entry->instance ? add_text(object, "runtime_id", entry->instance->runtime.base.runtime_id) :
				  add_string(object, "runtime_id", NULL)) &&
	       add_failure(object, entry);
}

static void delete_json(cJSON **jsonp)
{
	cJSON_Delete(*jsonp);
}

int inventory_write_json(const struct inventory *inventory, struct buffer *out)
{
	CLEANUP(delete_json) cJSON *json = cJSON_CreateObject();
	CLEANUP_FREE char *text = NULL;
	cJSON *list;

	if (!json || !cJSON_AddNumberToObject(json, "schema", 1) ||
	    !(list = cJSON_AddArrayToObject(json, "adapters")))
		return -ENOMEM;
	for (size_t i = 0; i < inventory->n_entries; i++)
		if (!add_entry(list, &inventory->entries[i]))
			return -ENOMEM;
	text = cJSON_PrintUnformatted(json);
	if (!text)
		return -ENOMEM;
	buffer_append_string(out, text);
	return out->failed ? -ENOMEM : 0;
}

void inventory_fini(struct inventory *inventory)
{
	registry_fini(&inventory->registry);
	for (size_t i = 0; i < inventory->n_entries; i++) {
		free(inventory->entries[i].name);
		free(inventory->entries[i].file);
	}
	free(inventory->entries);
	loader_fini(&inventory->loader);
	inventory->entries = NULL;
	inventory->n_entries = 0;
}
