/* SPDX-License-Identifier: MIT */
/* One adapter that fails must not take the others down, and whoever set it up must
 * understand at once why it is not there: so every instance that was asked for has
 * an entry here, whatever became of it. */
#include "config.h"

#include "core/inventory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/isolation.h"
#include "core/log.h"
#include "core/settings.h"
#include "inline/thread.h"

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
	struct quarantine quarantine;

	if (entry->instance)
		return instance_in_quarantine(entry->instance, &quarantine) ? STATE_QUARANTINED : STATE_ACTIVE;
	/* An error may be in just what would have switched it off: so it comes first. */
	if (dropin->failures.n > 0)
		return STATE_FAILED;
	if (dropin->masked_by)
		return STATE_MASKED;
	return settings_true(dropin->settings, "enabled") ? STATE_FAILED : STATE_DISABLED;
}

const char *inventory_state_name(enum inventory_state state)
{
	static const char *const names[N_STATES] = {
		[STATE_ACTIVE] = "active", [STATE_FAILED] = "failed", [STATE_DISABLED] = "disabled", [STATE_MASKED] = "masked",
		[STATE_QUARANTINED] = "quarantined",
	};

	return names[state];
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

		if ((strncmp(key, "options.", 8) == 0 || strncmp(key, "isolation.", 10) == 0 || strcmp(key, "isolate") == 0 ||
		     strcmp(key, "adapter") == 0 || strcmp(key, "runtime_id") == 0 || strcmp(key, "sha256") == 0) &&
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

/* What becomes of an entry on its way into the registry. */
struct opening {
	struct inventory_entry *entry;
	const struct workspace *workspace;
	struct adapter *adapter;
	struct instance *instance;
	struct failure failure;
	pthread_t thread;
	bool wanted, apart;
	int rc;
};

static void *open_one(void *data)
{
	struct opening *opening = data;
	const struct dropin *dropin = &opening->entry->dropin;

	opening->rc = instance_open(opening->adapter, dropin->name, dropin->settings, opening->workspace,
				    &opening->instance, &opening->failure);
	return NULL;
}

/* Loads the adapter and opens the instance; one that is isolated opens in a thread of its
 * own, since its process takes a while, and others need not wait for it. */
static void begin(struct inventory *inventory, struct opening *opening)
{
	struct inventory_entry *entry = opening->entry;
	const cJSON *settings = entry->dropin.settings;
	const char *id = settings_string(settings, "adapter"), *sha256 = settings_string(settings, "sha256");
	struct instance *same = unchanged(inventory->before, &entry->dropin);
	bool isolated = settings_true(settings, "isolate");

	opening->rc = isolated ?
		isolation_find(&inventory->loader, inventory->program, id, sha256, &opening->adapter, &entry->file,
			       &opening->failure) :
		loader_load(&inventory->loader, id, sha256, &opening->adapter, &entry->file, &opening->failure);
	if (opening->rc < 0)
		return;
	entry->adapter = opening->adapter;
	/* One that is isolated is the same where its file is, of which the loader takes care. */
	if (same && same->adapter == entry->adapter) {
		opening->instance = instance_ref(same);
		return;
	}
	opening->apart = isolated && thread_create_quiet(&opening->thread, open_one, opening) == 0;
	if (!opening->apart)
		open_one(opening);
}

static void finish(struct inventory *inventory, struct opening *opening)
{
	struct instance *instance;

	if (opening->apart)
		pthread_join(opening->thread, NULL);
	if (opening->rc < 0)
		return;
	instance = opening->instance;
	opening->rc = registry_add(&inventory->registry, instance);
	if (opening->rc == 0) {
		opening->entry->instance = instance;
		if (*instance->trouble.text)
			failure_set(failures_add(&opening->entry->dropin.failures), FAILURE_RUNTIME_UNAVAILABLE,
				    "a runtime that can serve", "%s", instance->trouble.text);
		return;
	}
	if (opening->rc == -EEXIST)
		failure_set(&opening->failure, FAILURE_RUNTIME_ID_TAKEN, "a runtime_id of its own",
			    "%.*s, which an earlier one has", (int)instance->runtime.base.runtime_id.len,
			    instance->runtime.base.runtime_id.ptr);
	else
		failure_set(&opening->failure, FAILURE_NO_MEMORY, "memory", "none");
	instance_close(instance);
}

/* Opens all that are enabled, and enters them in the order of the entries. */
static void open_all(struct inventory *inventory, const struct workspace *workspace, struct opening *openings)
{
	for (size_t i = 0; i < inventory->n_entries; i++) {
		struct inventory_entry *entry = &inventory->entries[i];
		struct opening *opening = &openings[i];

		*opening = (struct opening){ .entry = entry, .workspace = workspace };
		/* What is enabled counts as failed until it has started. */
		opening->wanted = entry->dropin.failures.n == 0 && inventory_state(entry) == STATE_FAILED;
		if (opening->wanted)
			begin(inventory, opening);
	}
	for (size_t i = 0; i < inventory->n_entries; i++) {
		if (openings[i].wanted)
			finish(inventory, &openings[i]);
		if (openings[i].wanted && openings[i].rc < 0)
			*failures_add(&openings[i].entry->dropin.failures) = openings[i].failure;
	}
}

/* Whether an instance is enabled, and not there or there without being able to serve. */
static bool is_lacking(const struct inventory_entry *entry)
{
	return inventory_state(entry) == STATE_FAILED || entry->dropin.failures.n > 0;
}

size_t inventory_start(struct inventory *inventory, const struct workspace *workspace)
{
	CLEANUP_FREE struct opening *openings = calloc(inventory->n_entries + 1, sizeof *openings);
	size_t n_missing = 0;

	if (openings)
		open_all(inventory, workspace, openings);
	for (size_t i = 0; i < inventory->n_entries; i++) {
		struct inventory_entry *entry = &inventory->entries[i];

		if (!openings)
			failure_set(failures_add(&entry->dropin.failures), FAILURE_NO_MEMORY, "memory", "none");
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
