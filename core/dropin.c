/* SPDX-License-Identifier: MIT */
/* Vendors, the running system, the admin and the user each have a directory. Files of
 * one name are merged key by key, so that an admin changes one setting without
 * copying the others. */
#include "config.h"

#include "core/dropin.h"

#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/config_file.h"

const struct setting_key dropin_keys[] = {
	{ "adapter", SETTING_ADAPTER_ID, NULL, 0, NULL },
	{ "enabled", SETTING_BOOLEAN, "true", 0, NULL },
	{ "required", SETTING_BOOLEAN, "false", 0, NULL },
	{ "priority", SETTING_INTEGER, "50", 1000, NULL },
	{ "runtime_id", SETTING_IDENTIFIER, NULL, 0, NULL },
	{ "sha256", SETTING_SHA256, NULL, 0, NULL },
	{ "options", SETTING_OBJECT, NULL, 0, NULL },
	{ "isolate", SETTING_BOOLEAN, "false", 0, NULL },
	{ "isolation", SETTING_OBJECT, NULL, 0, NULL },
};
const size_t dropin_n_keys = sizeof dropin_keys / sizeof *dropin_keys;

void dropin_fini(struct dropin *dropin)
{
	free(dropin->name);
	free(dropin->masked_by);
	cJSON_Delete(dropin->settings);
	*dropin = (struct dropin){ .name = NULL };
}

static int dropin_init(const char *name, struct dropin *dropin)
{
	*dropin = (struct dropin){ .name = strdup(name), .settings = cJSON_CreateObject() };
	if (dropin->name && dropin->settings)
		return 0;
	dropin_fini(dropin);
	return -ENOMEM;
}

/* Fills in what no file says. */
static int complete(struct dropin *dropin, const char *origin)
{
	cJSON *name = cJSON_CreateString(dropin->name);
	int rc = name ? 0 : -ENOMEM;

	if (rc == 0 && !settings_value(dropin->settings, "adapter")) {
		const char *unfit = setting_unfit(&dropin_keys[0], name);

		if (unfit && !dropin->masked_by && dropin->failures.n == 0)
			failure_set(failures_add(&dropin->failures), FAILURE_CONFIG_INVALID, unfit,
				    "%.80s, the name of the file, and no key \"adapter\"", dropin->name);
		rc = settings_put(dropin->settings, "adapter", name, origin);
	}
	cJSON_Delete(name);
	if (rc == 0)
		rc = settings_put_fallbacks(dropin->settings, dropin_keys, dropin_n_keys);
	if (settings_true(dropin->settings, "required"))
		dropin->required = true;
	return rc;
}

int dropin_make(const char *name, const char *origin, struct dropin *dropin)
{
	struct dropin made;

	if (dropin_init(name, &made) < 0)
		return -ENOMEM;
	if (complete(&made, origin) < 0) {
		dropin_fini(&made);
		return -ENOMEM;
	}
	*dropin = made;
	return 0;
}

int dropin_copy(const struct dropin *from, struct dropin *to)
{
	struct dropin copy = *from;

	copy.name = strdup(from->name);
	copy.masked_by = from->masked_by ? strdup(from->masked_by) : NULL;
	copy.settings = cJSON_Duplicate(from->settings, true);
	if (!copy.name || !copy.settings || (from->masked_by && !copy.masked_by)) {
		dropin_fini(&copy);
		return -ENOMEM;
	}
	*to = copy;
	return 0;
}

/* ---- Loading ---- */

const struct dropin *dropins_find(const struct dropins *dropins, const char *name)
{
	for (size_t i = 0; i < dropins->n; i++)
		if (strcmp(dropins->list[i].name, name) == 0)
			return &dropins->list[i];
	return NULL;
}

static struct dropin *find_or_add(struct dropins *dropins, const char *name)
{
	struct dropin *list;

	for (size_t i = 0; i < dropins->n; i++)
		if (strcmp(dropins->list[i].name, name) == 0)
			return &dropins->list[i];
	list = reallocarray(dropins->list, dropins->n + 1, sizeof *list);
	if (!list)
		return NULL;
	dropins->list = list;
	return dropin_init(name, &list[dropins->n]) == 0 ? &list[dropins->n++] : NULL;
}

/* A mask forgets what earlier layers say; a later file with text begins anew. */
static int mask(struct dropin *dropin, const char *path)
{
	cJSON *empty = cJSON_CreateObject();
	char *copy = strdup(path);

	if (!empty || !copy) {
		cJSON_Delete(empty);
		free(copy);
		return -ENOMEM;
	}
	cJSON_Delete(dropin->settings);
	free(dropin->masked_by);
	dropin->settings = empty;
	dropin->masked_by = copy;
	dropin->required = false;
	dropin->failures.n = 0;
	return 0;
}

static int load_file(const struct config_dir *dir, const char *name, struct dropins *dropins)
{
	CLEANUP(config_file_fini) struct config_file file = { .masked = false };
	struct dropin *dropin = find_or_add(dropins, name);
	struct failure failure;
	bool required = false;
	int rc;

	if (!dropin)
		return -ENOMEM;
	rc = config_file_read(dir, name, &file, &required, &failure);
	if (rc < 0) {
		*failures_add(&dropin->failures) = failure;
		dropin->required |= required;
	}
	if (rc <= 0)
		return rc == -ENOMEM ? rc : 0;
	if (file.masked)
		return mask(dropin, file.path);
	free(STEAL(dropin->masked_by));
	if (cJSON_IsBool(cJSON_GetObjectItemCaseSensitive(file.json, "required")))
		dropin->required = required;
	settings_put_file(dropin->settings, dropin_keys, dropin_n_keys, &file, &dropin->failures);
	return 0;
}

static int load_dir(const char *path, struct dropins *dropins)
{
	CLEANUP(config_dir_close) struct config_dir dir;
	char **names = NULL;
	int rc = config_dir_open(path, &dir);

	if (rc == 0)
		rc = config_dir_list(&dir, &names, &dropins->failures);
	for (size_t i = 0; rc == 0 && names[i]; i++)
		rc = load_file(&dir, names[i], dropins);
	config_names_free(names);
	return rc;
}

static int compare(const void *a, const void *b)
{
	const struct dropin *left = a, *right = b;
	double difference = settings_number(left->settings, "priority") - settings_number(right->settings, "priority");

	return difference < 0 ? -1 : difference > 0 ? 1 : strcmp(left->name, right->name);
}

int dropins_load(const char *const *dirs, size_t n_dirs, struct dropins *dropinsp)
{
	CLEANUP(dropins_fini) struct dropins dropins = { 0 };
	int rc = 0;

	for (size_t i = 0; i < n_dirs && rc == 0; i++)
		if (dirs[i])
			rc = load_dir(dirs[i], &dropins);
	for (size_t i = 0; i < dropins.n && rc == 0; i++)
		rc = complete(&dropins.list[i], "name of the file");
	if (rc < 0)
		return rc;
	if (dropins.n > 0)
		qsort(dropins.list, dropins.n, sizeof *dropins.list, compare);
	*dropinsp = dropins;
	dropins = (struct dropins){ 0 };
	return 0;
}

void dropins_fini(struct dropins *dropins)
{
	for (size_t i = 0; i < dropins->n; i++)
		dropin_fini(&dropins->list[i]);
	free(dropins->list);
	*dropins = (struct dropins){ 0 };
}
