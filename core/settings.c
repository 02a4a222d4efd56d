/* SPDX-License-Identifier: MIT */
/* Nobody can mend a setting without knowing where it came from, so no value is kept
 * here without its origin. */
#include "config.h"

#include "core/settings.h"

#include <berth/adapter.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/identifier.h"
#include "core/log.h"

enum { KEYS_MAX = 64 };

/* ---- Reading ---- */

const cJSON *settings_value(const cJSON *settings, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(settings, key), "value");
}

const char *settings_string(const cJSON *settings, const char *key)
{
	return cJSON_GetStringValue(settings_value(settings, key));
}

double settings_number(const cJSON *settings, const char *key)
{
	const cJSON *value = settings_value(settings, key);

	return cJSON_IsNumber(value) ? value->valuedouble : 0;
}

bool settings_true(const cJSON *settings, const char *key)
{
	return cJSON_IsTrue(settings_value(settings, key));
}

const char *settings_origin(const cJSON *settings, const char *key)
{
	const cJSON *setting = cJSON_GetObjectItemCaseSensitive(settings, key);

	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(setting, "origin"));
}

/* ---- Writing ---- */

static void delete_json(cJSON **jsonp)
{
	cJSON_Delete(*jsonp);
}

/* Makes what was set before an element of the list that it brings along. */
static int move_overridden(cJSON *setting, cJSON *before)
{
	cJSON *list = cJSON_DetachItemFromObjectCaseSensitive(before, "overrode");

	if (!list || !cJSON_AddItemToObject(setting, "overrode", list)) {
		cJSON_Delete(list);
		return -ENOMEM;
	}
	return cJSON_InsertItemInArray(list, 0, before) ? 0 : -ENOMEM;
}

int settings_put(cJSON *settings, const char *key, const cJSON *value, const char *origin)
{
	CLEANUP(delete_json) cJSON *setting = cJSON_CreateObject();
	cJSON *copy = cJSON_Duplicate(value, true), *before;

	if (!setting || !copy || !cJSON_AddItemToObject(setting, "value", copy)) {
		cJSON_Delete(copy);
		return -ENOMEM;
	}
	if (!cJSON_AddStringToObject(setting, "origin", origin))
		return -ENOMEM;
	before = cJSON_DetachItemFromObjectCaseSensitive(settings, key);
	if (!before) {
		if (!cJSON_AddArrayToObject(setting, "overrode"))
			return -ENOMEM;
	} else if (move_overridden(setting, before) < 0) {
		cJSON_Delete(before);
		return -ENOMEM;
	}
	if (!cJSON_AddItemToObject(settings, key, setting))
		return -ENOMEM;
	(void)STEAL(setting);
	return 0;
}

int settings_put_fallbacks(cJSON *settings, const struct setting_key *keys, size_t n_keys)
{
	for (size_t i = 0; i < n_keys; i++) {
		CLEANUP(delete_json) cJSON *value = keys[i].fallback ? cJSON_Parse(keys[i].fallback) : NULL;

		if (!keys[i].fallback || cJSON_HasObjectItem(settings, keys[i].name))
			continue;
		if (!value || settings_put(settings, keys[i].name, value, "built-in") < 0)
			return -ENOMEM;
	}
	return 0;
}

/* ---- Names ---- */

static size_t min3(size_t a, size_t b, size_t c)
{
	return a < b ? (a < c ? a : c) : (b < c ? b : c);
}

/* How many letters must be put in, taken out or exchanged. */
static size_t distance(const char *a, const char *b)
{
	size_t row[KEYS_MAX + 1], len = strlen(b);

	if (len > KEYS_MAX || strlen(a) > KEYS_MAX)
		return KEYS_MAX;
	for (size_t j = 0; j <= len; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t corner = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < len; j++) {
			size_t above = row[j + 1];

			row[j + 1] = min3(above + 1, row[j] + 1, corner + (a[i] != b[j]));
			corner = above;
		}
	}
	return row[len];
}

const char *nearest_name(const char *name, const char *const *names, size_t n)
{
	size_t best = strlen(name) / 2 + 1;
	const char *nearest = NULL;

	for (size_t i = 0; i < n; i++)
		if (distance(name, names[i]) < best) {
			best = distance(name, names[i]);
			nearest = names[i];
		}
	return nearest;
}

/* ---- Values ---- */

static bool is_of(const char *string, const char *characters, size_t min, size_t max)
{
	return string && strlen(string) >= min && strlen(string) <= max && strspn(string, characters) == strlen(string);
}

static bool is_strings(const cJSON *value)
{
	const cJSON *item;

	if (!cJSON_IsArray(value))
		return false;
	cJSON_ArrayForEach(item, value)
		if (!cJSON_IsString(item))
			return false;
	return true;
}

static bool is_integer(const cJSON *value, double max)
{
	return cJSON_IsNumber(value) && value->valuedouble >= 0 && value->valuedouble <= max &&
	       value->valuedouble == (double)(uint64_t)value->valuedouble;
}

static bool is_log_level(const cJSON *value)
{
	return cJSON_IsString(value) && log_level(value->valuestring) > 0;
}

const char *setting_unfit(const struct setting_key *key, const cJSON *value)
{
	const char *string = cJSON_GetStringValue(value);

	switch (key->type) {
	case SETTING_STRING:
		return string ? NULL : "a string";
	case SETTING_STRINGS:
		return is_strings(value) ? NULL : "a list of strings";
	case SETTING_BOOLEAN:
		return cJSON_IsBool(value) ? NULL : "true or false";
	case SETTING_INTEGER:
		return is_integer(value, key->max) ? NULL : "a whole number that is not too large";
	case SETTING_ADAPTER_ID:
		return is_of(string, "abcdefghijklmnopqrstuvwxyz0123456789-", 1, 64) ?
			       NULL : "the id of an adapter, 1 to 64 characters [a-z0-9-]";
	case SETTING_IDENTIFIER:
		return string && identifier_valid(berth_text(string)) ? NULL : "1 to 120 characters of A-Z a-z 0-9 - _ :";
	case SETTING_SHA256:
		return is_of(string, "0123456789abcdefABCDEF", 64, 64) ? NULL : "64 hex digits";
	case SETTING_LOG_LEVEL:
		return is_log_level(value) ? NULL : "debug, info, warning or error";
	case SETTING_OBJECT:
		return cJSON_IsObject(value) ? NULL : "an object";
	}
	return NULL;
}

/* ---- Files ---- */

static const struct setting_key *find_key(const struct setting_key *keys, size_t n_keys, const char *name)
{
	for (size_t i = 0; i < n_keys; i++)
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

static void add_unknown(struct failures *failures, const struct setting_key *keys, size_t n_keys, const char *name,
			const char *where)
{
	const char *names[KEYS_MAX], *nearest;
	size_t n = 0;

	while (n < n_keys && n < KEYS_MAX) {
		names[n] = keys[n].name;
		n++;
	}
	nearest = nearest_name(name, names, n);
	failure_set(failures_add(failures), FAILURE_CONFIG_INVALID, nearest ? nearest : "a known key",
		    "%s: unknown key \"%.60s\"%s%s%s", where, name, nearest ? "; did you mean \"" : "",
		    nearest ? nearest : "", nearest ? "\"?" : "");
}

static void put_member(cJSON *settings, const struct setting_key *keys, size_t n_keys, const struct config_file *file,
		       const cJSON *member, struct failures *failures)
{
	const struct setting_key *key = find_key(keys, n_keys, member->string);
	const char *unfit;
	const cJSON *inner;
	struct error where;
	int rc = 0;

	config_file_locate(file, member->string, NULL, &where);
	if (!key) {
		add_unknown(failures, keys, n_keys, member->string, where.text);
		return;
	}
	unfit = setting_unfit(key, member);
	if (unfit) {
		/* What should have been options may have secrets in it. */
		CLEANUP_FREE char *value = key->type == SETTING_OBJECT ? NULL : cJSON_PrintUnformatted(member);

		failure_set(failures_add(failures), FAILURE_CONFIG_INVALID, unfit, "%s: \"%s\" is %.80s", where.text, key->name,
			    value ? value : "something else");
		return;
	}
	if (key->type != SETTING_OBJECT)
		rc = settings_put(settings, key->name, member, where.text);
	else
		cJSON_ArrayForEach(inner, member) {
			CLEANUP_FREE char *name = NULL;

			config_file_locate(file, member->string, inner->string, &where);
			if (asprintf(&name, "%s.%s", key->name, inner->string) < 0 ||
			    settings_put(settings, name, inner, where.text) < 0)
				rc = -ENOMEM;
		}
	if (rc < 0)
		failure_set(failures_add(failures), FAILURE_NO_MEMORY, "memory", "none");
}

void settings_put_file(cJSON *settings, const struct setting_key *keys, size_t n_keys, const struct config_file *file,
		       struct failures *failures)
{
	const cJSON *member;

	cJSON_ArrayForEach(member, file->json)
		put_member(settings, keys, n_keys, file, member, failures);
}
