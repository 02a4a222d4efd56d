/* SPDX-License-Identifier: MIT */
/*
 * Settings with their origins: what a value is, which file or variable gave it, and
 * what it overrode. They are kept in the shape in which they are shown, an object
 *
 *	{KEY: {"value": V, "origin": O, "overrode": [{"value": V, "origin": O}, ...]}}
 */
#ifndef BERTH_CORE_SETTINGS_H
#define BERTH_CORE_SETTINGS_H

#include <cjson/cJSON.h>
#include <stddef.h>

#include "core/config_file.h"
#include "core/failure.h"

enum setting_type {
	SETTING_STRING,
	SETTING_STRINGS,    /* a list of them */
	SETTING_BOOLEAN,
	SETTING_INTEGER,    /* from 0 to max */
	SETTING_ADAPTER_ID, /* [a-z0-9-], 1 to 64 characters */
	SETTING_IDENTIFIER, /* that callers use */
	SETTING_SHA256,     /* 64 hex digits */
	SETTING_LOG_LEVEL,
	SETTING_OBJECT,     /* its members become settings KEY.MEMBER of any type */
};

struct setting_key {
	const char *name;
	enum setting_type type;
	const char *fallback; /* JSON; NULL: none */
	double max;
	const char *variable; /* of the environment; NULL: none */
};

/* Sets a value, which is copied; what was there is kept among those overridden.
 * -ENOMEM. */
int settings_put(cJSON *settings, const char *key, const cJSON *value, const char *origin);

/* NULL where the key is not set; of another type, the plain variants say NULL or 0. */
const cJSON *settings_value(const cJSON *settings, const char *key);
const char *settings_string(const cJSON *settings, const char *key);
double settings_number(const cJSON *settings, const char *key);
bool settings_true(const cJSON *settings, const char *key);
const char *settings_origin(const cJSON *settings, const char *key);

/* What a key wants, such as "a string"; NULL where the value is fit. */
const char *setting_unfit(const struct setting_key *key, const cJSON *value);

/* Puts the members of a file that are fit; the others are failures, with their place
 * and the nearest known name. */
void settings_put_file(cJSON *settings, const struct setting_key *keys, size_t n_keys, const struct config_file *file,
		       struct failures *failures);

/* Puts the fallbacks of those keys that are not set. -ENOMEM. */
int settings_put_fallbacks(cJSON *settings, const struct setting_key *keys, size_t n_keys);

/* The one of the names that takes the fewest changes to become name, if they are few
 * enough to be a slip; else NULL. */
const char *nearest_name(const char *name, const char *const *names, size_t n);

#endif
