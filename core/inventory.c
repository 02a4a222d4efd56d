/* SPDX-License-Identifier: MIT */
/* One adapter that fails must not take the others down, and whoever set it up must
 * understand at once why it is not there: so every instance that was asked for has
 * an entry here, whatever became of it. */
#include "config.h"

#include "core/inventory.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/settings.h"

const char *const inventory_default_names[] = {
#ifdef WITH_ADAPTER_LOCAL_POD
	"local-pod",
#endif
#ifdef WITH_ADAPTER_EMBEDDED
	"embedded",
#endif
#ifdef WITH_ADAPTER_REMOTE_RESERVED
	"remote-reserved",
#endif
	NULL,
};

bool inventory_name_valid(struct berth_text name)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_')
			return false;
	}
	return name.len > 0 && name.len <= STAMP_ID_MAX;
}

int inventory_add(struct inventory *inventory, struct dropin *dropin)
{
	struct inventory_entry *entries =
		reallocarray(inventory->entries, inventory->n_entries + 1, sizeof *entries);

	if (!entries)
		return -ENOMEM;
	inventory->entries = entries;
	entries[inventory->n_entries++] = (struct inventory_entry){ .dropin = *dropin };
	*dropin = (struct dropin){ .name = NULL };
	return 0;
}

int inventory_require(struct inventory *inventory, const char *name)
{
	int rc = -ENOENT;

	for (size_t i = 0; i < inventory->n_entries; i++)
		if (strcmp(inventory->entries[i].dropin.name, name) == 0) {
			inventory->entries[i].demanded = true;
			rc = 0;
		}
	return rc;
}

/* ---- Starting ---- */

enum inventory_state inventory_state(const struct inventory_entry *entry)
{
	const struct dropin *dropin = &entry->dropin;

	if (entry->instance)
		return STATE_ACTIVE;
	/* An error may be in just what would have switched it off: so it comes first. */
	if (dropin->failures.n > 0)
		return STATE_FAILED;
	if (dropin->masked_by)
		return STATE_MASKED;
	return settings_true(dropin->settings, "enabled") ? STATE_FAILED : STATE_DISABLED;
}

bool inventory_is_required(const struct inventory_entry *entry)
{
	return entry->dropin.required || entry->demanded;
}

const struct inventory_entry *inventory_find(const struct inventory *inventory, const char *name)
{
	for (size_t i = 0; i < inventory->n_entries; i++)
		if (strcmp(inventory->entries[i].dropin.name, name) == 0)
			return &inventory->entries[i];
	return NULL;
}

/* Whether settings are there with the same values, of those that an instance is made by. */
static bool has_all(const cJSON *settings, const cJSON *others)
{
	const cJSON *other;

	cJSON_ArrayForEach(other, others) {
		const char *key = other->string;

		if ((strncmp(key, "options.", 8) == 0 || strcmp(key, "adapter") == 0 || strcmp(key, "runtime_id") == 0 ||
		     strcmp(key, "sha256") == 0) &&
		    !cJSON_Compare(settings_value(settings, key), settings_value(others, key), true))
			return false;
	}
	return true;
}

/* The instance that would be opened just so again; NULL where there is none. */
static struct instance *unchanged(const struct inventory *before, const struct dropin *dropin)
{
	const struct inventory_entry *entry = before ? inventory_find(before, dropin->name) : NULL;

	if (!entry || !has_all(entry->dropin.settings, dropin->settings) || !has_all(dropin->settings, entry->dropin.settings))
		return NULL;
	return entry->instance;
}

static int start(struct inventory *inventory, struct inventory_entry *entry, const struct workspace *workspace,
		 struct failure *failure)
{
	const cJSON *settings = entry->dropin.settings;
	struct instance *instance = unchanged(inventory->before, &entry->dropin);
	struct adapter *adapter;
	int rc;

	rc = loader_load(&inventory->loader, settings_string(settings, "adapter"), settings_string(settings, "sha256"),
			 &adapter, &entry->file, failure);
	if (rc < 0)
		return rc;
	entry->adapter = adapter;
	if (instance)
		instance_ref(instance);
	else
		rc = instance_open(adapter, entry->dropin.name, settings, workspace, &instance, failure);
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
	if (*instance->trouble.text)
		failure_set(failures_add(&entry->dropin.failures), FAILURE_RUNTIME_UNAVAILABLE, "a runtime that can serve", "%s",
			    instance->trouble.text);
	return 0;
}

/* Whether an instance is enabled, and not there or there without being able to serve. */
static bool is_lacking(const struct inventory_entry *entry)
{
	return inventory_state(entry) == STATE_FAILED || entry->dropin.failures.n > 0;
}

size_t inventory_start(struct inventory *inventory, const struct workspace *workspace)
{
	size_t n_missing = 0;

	for (size_t i = 0; i < inventory->n_entries; i++) {
		struct inventory_entry *entry = &inventory->entries[i];
		struct failure failure;

		/* What is enabled counts as failed until it has started. */
		if (entry->dropin.failures.n == 0 && inventory_state(entry) == STATE_FAILED &&
		    start(inventory, entry, workspace, &failure) < 0)
			*failures_add(&entry->dropin.failures) = failure;
		n_missing += (entry->dropin.required && is_lacking(entry)) ||
			     (entry->demanded && (!entry->instance || is_lacking(entry)));
	}
	return n_missing;
}

size_t inventory_n_failed(const struct inventory *inventory)
{
	size_t n = 0;

	for (size_t i = 0; i < inventory->n_entries; i++)
		n += is_lacking(&inventory->entries[i]);
	return n;
}

void inventory_log_failures(const struct inventory *inventory)
{
	char line[FAILURE_LINE_MAX];

	for (size_t i = 0; i < inventory->n_entries; i++) {
		const struct inventory_entry *entry = &inventory->entries[i];

		if (entry->demanded && !entry->instance && entry->dropin.failures.n == 0)
			log_write(BERTH_LOG_ERROR, NULL, "required adapter %s: expected to serve, found it %s; enable it",
				  entry->dropin.name, inventory_state(entry) == STATE_MASKED ? "masked" : "disabled");
		for (size_t j = 0; j < entry->dropin.failures.n; j++)
			log_write(BERTH_LOG_ERROR, NULL, "%sadapter %s%s%s: %s",
				  inventory_is_required(entry) ? "required " : "", entry->dropin.name, entry->file ? ": " : "",
				  entry->file ? entry->file : "", failure_line(&entry->dropin.failures.list[j], line));
	}
}

void inventory_fini(struct inventory *inventory)
{
	registry_fini(&inventory->registry);
	for (size_t i = 0; i < inventory->n_entries; i++) {
		dropin_fini(&inventory->entries[i].dropin);
		free(inventory->entries[i].file);
	}
	free(inventory->entries);
	loader_fini(&inventory->loader);
	inventory->entries = NULL;
	inventory->n_entries = 0;
}
