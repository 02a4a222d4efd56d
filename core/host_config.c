/* SPDX-License-Identifier: MIT */
/* These settings concern every instance, so here, unlike in a drop-in, an error is
 * for the caller to make fatal. */
#include "config.h"

#include "core/host_config.h"

#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/config_file.h"
#include "inline/json_reader.h"

const struct setting_key host_keys[] = {
	{ "workspace_id", SETTING_STRING, NULL, 0, "BERTH_WORKSPACE_ID" },
	{ "workspace_root", SETTING_STRING, NULL, 0, "BERTH_WORKSPACE_ROOT" },
	{ "data_dir", SETTING_STRING, NULL, 0, "BERTH_DATA_DIR" },
	{ "adapter_dirs", SETTING_STRINGS, NULL, 0, "BERTH_ADAPTER_DIRS" },
	{ "log_level", SETTING_LOG_LEVEL, "\"warning\"", 0, "BERTH_LOG_LEVEL" },
	{ "limit_items", SETTING_INTEGER, "200", 1e9, "BERTH_LIMIT_ITEMS" },
	{ "limit_line_bytes", SETTING_INTEGER, "8388608", 1 << 26, "BERTH_LIMIT_LINE_BYTES" },
};
const size_t host_n_keys = sizeof host_keys / sizeof *host_keys;

static int load_file(const struct config_dir *dir, const char *name, struct host_config *config)
{
	CLEANUP(config_file_fini) struct config_file file = { .masked = false };
	struct failure failure;
	int rc = config_file_read(dir, name, &file, NULL, &failure);

	if (rc < 0)
		*failures_add(&config->failures) = failure;
	if (rc > 0 && !file.masked)
		settings_put_file(config->settings, host_keys, host_n_keys, &file, &config->failures);
	return rc == -ENOMEM ? rc : 0;
}

static int load_files(const char *path, struct host_config *config)
{
	CLEANUP_FREE char *path_d = NULL;
	CLEANUP(config_dir_close) struct config_dir dir = { .fd = -1 }, dir_d = { .fd = -1 };
	char **names = NULL;
	int rc = config_dir_open(path, &dir);

	if (rc == 0 && dir.fd < 0 && dir.unsafe.code != FAILURE_NONE)
		*failures_add(&config->failures) = dir.unsafe;
	if (rc == 0)
		rc = load_file(&dir, "berth", config);
	if (asprintf(&path_d, "%s/berth.d", path) < 0) {
		path_d = NULL;
		return -ENOMEM;
	}
	if (rc == 0)
		rc = config_dir_open(path_d, &dir_d);
	if (rc == 0)
		rc = config_dir_list(&dir_d, &names, &config->failures);
	for (size_t i = 0; rc == 0 && names[i]; i++)
		rc = load_file(&dir_d, names[i], config);
	config_names_free(names);
	return rc;
}

/* ---- The environment ---- */

static cJSON *split(const char *list)
{
	cJSON *strings = cJSON_CreateArray();

	while (strings && *list) {
		size_t len = strcspn(list, ":");
		CLEANUP_FREE char *part = strndup(list, len);
		cJSON *item = part ? cJSON_CreateString(part) : NULL;

		if (!item || !cJSON_AddItemToArray(strings, item)) {
			cJSON_Delete(item);
			cJSON_Delete(strings);
			return NULL;
		}
		list += len + (list[len] == ':');
	}
	return strings;
}

static cJSON *parse_variable(enum setting_type type, const char *text)
{
	struct json_slice number = { text, strlen(text), false };
	uint64_t value;

	if (type == SETTING_STRINGS)
		return split(text);
	if (type == SETTING_INTEGER && json_number_is_u64(&number, &value))
		return cJSON_CreateNumber((double)value);
	return cJSON_CreateString(text);
}

static int put_variables(struct host_config *config)
{
	int rc = 0;

	for (size_t i = 0; i < host_n_keys && rc == 0; i++) {
		const struct setting_key *key = &host_keys[i];
		const char *text = secure_getenv(key->variable), *unfit;
		char origin[64];
		cJSON *value;

		if (!text)
			continue;
		value = parse_variable(key->type, text);
		if (!value)
			return -ENOMEM;
		snprintf(origin, sizeof origin, "environment %s", key->variable);
		unfit = setting_unfit(key, value);
		if (unfit)
			failure_set(failures_add(&config->failures), FAILURE_CONFIG_INVALID, unfit, "%s: %.80s", origin, text);
		else
			rc = settings_put(config->settings, key->name, value, origin);
		cJSON_Delete(value);
	}
	return rc;
}

int host_config_load(const char *dir, struct host_config *configp)
{
	struct host_config config = { .settings = cJSON_CreateObject() };
	int rc = config.settings ? 0 : -ENOMEM;

	if (rc == 0)
		rc = settings_put_fallbacks(config.settings, host_keys, host_n_keys);
	if (rc == 0)
		rc = load_files(dir, &config);
	if (rc == 0)
		rc = put_variables(&config);
	if (rc < 0) {
		host_config_fini(&config);
		return rc;
	}
	*configp = config;
	return 0;
}

int host_config_put(struct host_config *config, const char *key, const cJSON *value, const char *origin)
{
	return value ? settings_put(config->settings, key, value, origin) : -ENOMEM;
}

int host_config_put_string(struct host_config *config, const char *key, const char *value, const char *origin)
{
	cJSON *string = cJSON_CreateString(value);
	int rc = host_config_put(config, key, string, origin);

	cJSON_Delete(string);
	return rc;
}

void host_config_fini(struct host_config *config)
{
	cJSON_Delete(config->settings);
	*config = (struct host_config){ .settings = NULL };
}
