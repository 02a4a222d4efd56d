/* SPDX-License-Identifier: MIT */
/* What files, environment and built-in defaults come to: keys, layers, host settings,
 * and the options of an adapter. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/dropin.h"
#include "core/host_config.h"
#include "core/report.h"
#include "tests/support.h"

static void scratch_removep(char **dirp)
{
	scratch_remove(*dirp);
}

#define CLEANUP_SCRATCH CLEANUP(scratch_removep)
#define CLEANUP_DROPINS CLEANUP(dropins_fini)
#define CLEANUP_CONFIG CLEANUP(host_config_fini)

/* A row that is wrong is reported, and the others still run. */
static unsigned n_wrong;

#define WRONG(...) (n_wrong++, print_error(__VA_ARGS__))

static void clear_variables(void)
{
	for (size_t i = 0; i < host_n_keys; i++)
		unsetenv(host_keys[i].variable);
}

static int forget_wrong(void **state)
{
	(void)state;
	n_wrong = 0;
	umask(022);
	clear_variables();
	return 0;
}

/* With ' made to ". */
static void write_quoted(const char *dir, const char *path, const char *text)
{
	CLEANUP_FREE char *copy = strdup(text);

	assert_non_null(copy);
	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	scratch_write(dir, path, copy, strlen(copy));
}

/* The value as JSON with ' in the place of "; "-" where the key is not set. */
static char *value_text(const cJSON *value)
{
	char *text = value ? cJSON_PrintUnformatted(value) : strdup("-");

	assert_non_null(text);
	for (char *p = text; *p; p++)
		if (*p == '"')
			*p = '\'';
	return text;
}

static void check_value(const char *row, const cJSON *settings, const char *key, const char *expected)
{
	CLEANUP_FREE char *text = value_text(settings_value(settings, key));

	if (strcmp(text, expected) != 0)
		WRONG("%s: expected %s to be %s, found %s\n", row, key, expected, text);
}

/* expected NULL: no failure. Both are found somewhere in the failure. */
static void check_failure(const char *row, const struct failures *failures, const char *code, const char *expected,
			   const char *found)
{
	const struct failure *failure = &failures->list[0];

	if (failures->n != (code ? 1 : 0))
		WRONG("%s: %zu failures%s%s\n", row, failures->n, failures->n ? ": " : "",
		      failures->n ? failure->found.text : "");
	else if (code && strcmp(failure_code_name(failure->code), code) != 0)
		WRONG("%s: expected %s, found %s\n", row, code, failure_code_name(failure->code));
	else if (code && expected && !strstr(failure->expected, expected))
		WRONG("%s: expected \"%s\" to name %s\n", row, failure->expected, expected);
	else if (code && found && !strstr(failure->found.text, found))
		WRONG("%s: expected \"%s\" to name %s\n", row, failure->found.text, found);
}

/* ---- Keys of drop-ins ---- */

#define DIGITS "0123456789abcdefABCDEF0123456789abcdefABCDEF0123456789abcdef0123"
#define TEN "aaaaaaaaaa"
#define SIXTY TEN TEN TEN TEN TEN TEN

static const struct key_row {
	const char *name, *key;
	const char *json;     /* the value, with ' in the place of " */
	const char *expected; /* in what was expected; NULL: it is fit, and is then the value */
} dropin_rows[] = {
	{ "adapter: a number", "adapter", "1", "id of an adapter" },
	{ "adapter: null", "adapter", "null", "id of an adapter" },
	{ "adapter: a list", "adapter", "['a']", "id of an adapter" },
	{ "adapter: empty", "adapter", "''", "id of an adapter" },
	{ "adapter: a capital letter", "adapter", "'Embedded'", "id of an adapter" },
	{ "adapter: an underscore", "adapter", "'a_b'", "id of an adapter" },
	{ "adapter: a path", "adapter", "'/usr/lib/a'", "id of an adapter" },
	{ "adapter: a path upwards", "adapter", "'../a'", "id of an adapter" },
	{ "adapter: a file", "adapter", "'a.so'", "id of an adapter" },
	{ "adapter: a space", "adapter", "'a '", "id of an adapter" },
	{ "adapter: not ASCII", "adapter", "'\xc3\xa4'", "id of an adapter" },
	{ "adapter: 65 characters", "adapter", "'" SIXTY "aaaaa'", "id of an adapter" },
	{ "enabled: a string", "enabled", "'true'", "true or false" },
	{ "enabled: a number", "enabled", "1", "true or false" },
	{ "enabled: null", "enabled", "null", "true or false" },
	{ "required: a string", "required", "'yes'", "true or false" },
	{ "required: a number", "required", "0", "true or false" },
	{ "priority: a string", "priority", "'10'", "whole number" },
	{ "priority: a fraction", "priority", "1.5", "whole number" },
	{ "priority: below 0", "priority", "-1", "whole number" },
	{ "priority: above 1000", "priority", "1001", "whole number" },
	{ "priority: a large number", "priority", "18446744073709551616", "whole number" },
	{ "priority: a huge number", "priority", "1e300", "whole number" },
	{ "priority: true", "priority", "true", "whole number" },
	{ "runtime_id: a number", "runtime_id", "7", "120 characters" },
	{ "runtime_id: empty", "runtime_id", "''", "120 characters" },
	{ "runtime_id: a space", "runtime_id", "'a b'", "120 characters" },
	{ "runtime_id: a slash", "runtime_id", "'a/b'", "120 characters" },
	{ "runtime_id: 121 characters", "runtime_id", "'" SIXTY SIXTY "a'", "120 characters" },
	{ "sha256: a number", "sha256", "64", "64 hex digits" },
	{ "sha256: empty", "sha256", "''", "64 hex digits" },
	{ "sha256: 63 digits", "sha256", "'" TEN TEN TEN TEN TEN TEN "aaa'", "64 hex digits" },
	{ "sha256: 65 digits", "sha256", "'" DIGITS "0'", "64 hex digits" },
	{ "sha256: a letter that is no digit", "sha256", "'" SIXTY "aaag'", "64 hex digits" },
	{ "options: a list", "options", "[]", "an object" },
	{ "options: a string", "options", "'a=b'", "an object" },
	{ "options: null", "options", "null", "an object" },
	{ "adapter: one character", "adapter", "'0'", NULL },
	{ "adapter: 64 characters", "adapter", "'" SIXTY "-az9'", NULL },
	{ "enabled: false", "enabled", "false", NULL },
	{ "enabled: true", "enabled", "true", NULL },
	{ "required: true", "required", "true", NULL },
	{ "priority: 0", "priority", "0", NULL },
	{ "priority: 1000", "priority", "1000", NULL },
	{ "runtime_id: one character", "runtime_id", "'_'", NULL },
	{ "runtime_id: 120 characters", "runtime_id", "'" SIXTY TEN TEN TEN TEN TEN "AZaz09-_:.'", "120 characters" },
	{ "runtime_id: 120 characters that may be", "runtime_id", "'" SIXTY TEN TEN TEN TEN TEN "AZaz09-_:a'", NULL },
	{ "sha256: 64 digits", "sha256", "'" DIGITS "'", NULL },
};

static void keys_of_dropins_have_types(void **state)
{
	CLEANUP_SCRATCH char *dir = scratch_new();

	(void)state;
	for (size_t i = 0; i < sizeof dropin_rows / sizeof *dropin_rows; i++) {
		const struct key_row *row = &dropin_rows[i];
		CLEANUP_FREE char *text = NULL;
		CLEANUP_DROPINS struct dropins dropins = { 0 };

		assert_true(asprintf(&text, "{\n\t'%s': %s }", row->key, row->json) >= 0);
		write_quoted(dir, "a.json", text);
		assert_int_equal(dropins_load(&(const char *const){ dir }, 1, &dropins), 0);
		check_failure(row->name, &dropins.list[0].failures, row->expected ? "config_invalid" : NULL,
			      row->expected, "/a.json:2:2: ");
		if (!row->expected)
			check_value(row->name, dropins.list[0].settings, row->key, row->json);
	}
	assert_int_equal(n_wrong, 0);
}

static const struct {
	const char *key, *nearest; /* NULL: none is near */
} unknown_rows[] = {
	{ "x", NULL },
	{ "", NULL },
	{ "module", NULL },
	{ "log-calls", NULL },
	{ "path_to_plugin", NULL },
	{ "adaptor", "adapter" },
	{ "Adapter", "adapter" },
	{ "adapters", "adapter" },
	{ "enable", "enabled" },
	{ "require", "required" },
	{ "priorty", "priority" },
	{ "runtime-id", "runtime_id" },
	{ "runtimeid", "runtime_id" },
	{ "sha-256", "sha256" },
	{ "sha256sum", "sha256" },
	{ "option", "options" },
};

static void unknown_keys_name_the_nearest(void **state)
{
	CLEANUP_SCRATCH char *dir = scratch_new();

	(void)state;
	for (size_t i = 0; i < sizeof unknown_rows / sizeof *unknown_rows; i++) {
		const char *key = unknown_rows[i].key, *nearest = unknown_rows[i].nearest;
		CLEANUP_FREE char *text = NULL, *found = NULL;
		CLEANUP_DROPINS struct dropins dropins = { 0 };
		const struct failures *failures;

		assert_true(asprintf(&text, "{ '%s': 'a' }", key) >= 0);
		assert_true(asprintf(&found, "/a.json:1:3: unknown key \"%s\"%s%s%s", key,
				     nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "") >= 0);
		write_quoted(dir, "a.json", text);
		assert_int_equal(dropins_load(&(const char *const){ dir }, 1, &dropins), 0);
		failures = &dropins.list[0].failures;
		check_failure(key, failures, "config_invalid", nearest ? nearest : "a known key", found);
		if (failures->n == 1 && !nearest && strstr(failures->list[0].found.text, "mean"))
			WRONG("%s: %s\n", key, failures->list[0].found.text);
	}
	assert_int_equal(n_wrong, 0);
}

static void all_that_is_wrong_in_a_file_is_said(void **state)
{
	CLEANUP_SCRATCH char *dir = scratch_new();
	CLEANUP_DROPINS struct dropins dropins = { 0 };

	(void)state;
	write_quoted(dir, "a.json", "{'enabled': 1,\n'x': 2,\n'priority': 5,\n'sha256': ''}");
	write_quoted(dir, "b.json", "{'priority': 7}");
	assert_int_equal(dropins_load(&(const char *const){ dir }, 1, &dropins), 0);
	assert_string_equal(dropins.list[0].name, "a");
	assert_int_equal(dropins.list[0].failures.n, 3);
	assert_non_null(strstr(dropins.list[0].failures.list[0].found.text, "/a.json:1:2: "));
	assert_non_null(strstr(dropins.list[0].failures.list[1].found.text, "/a.json:2:1: "));
	assert_non_null(strstr(dropins.list[0].failures.list[2].found.text, "/a.json:4:1: "));
	assert_int_equal(dropins.list[1].failures.n, 0);
}

/* ---- Layers ---- */

enum { N_LAYERS = 4 };

/* In a layer: a link to /dev/null. */
static const char null_link[] = "";

/* For each layer the text of a.json, "-" for an empty file; NULL: it has none. */
static const struct layer_row {
	const char *name;
	const char *layers[N_LAYERS];
	const char *key, *value; /* value: JSON with ' in the place of "; "-": not set */
	const char *origins;     /* of it and of what it overrode: "LAYER:LINE:COLUMN VALUE" with ", " between */
	int masked_by;           /* the layer, from 1; 0: it is not masked */
	int failures;
	bool required;
} layer_rows[] = {
	{ "an error in the last layer", { "{'priority': 1}", "{'priority': 'x'}" }, "priority", "1", "1:1:2 1", 0, 1, false },
	{ "an error in the first layer", { "{'priority': 'x'}", "{'priority': 1}" }, "priority", "1", "2:1:2 1", 0, 1, false },
	{ "a syntax error in the last layer", { "{'priority': 1}", "{" }, "priority", "1", "1:1:2 1", 0, 1, false },
	{ "an error in each layer", { "{'x': 1}", "{'y': 1}", "{", "[]" }, "enabled", "true", "built-in true", 0, 4, false },
	{ "an error under a mask is forgotten", { "{", "-" }, "enabled", "true", "built-in true", 2, 0, false },
	{ "an error over a mask", { "-", "{" }, "enabled", "true", "built-in true", 1, 1, false },
	{ "required beside an error", { "{'required': true, 'x': 1}" }, "required", "true", "1:1:2 true", 0, 1, true },
	{ "required behind an error", { "{'x': 1, 'required': true}" }, "required", "true", "1:1:10 true", 0, 1, true },
	{ "required before a syntax error", { "{'required': true, 'x'}" }, "required", "false", "built-in false", 0, 1, true },
	{ "required before a value that is missing", { "{'required': true,\n'adapter': }" }, "required", "false",
	  "built-in false", 0, 1, true },
	{ "required before text behind the object", { "{'required': true} x" }, "required", "false", "built-in false", 0, 1,
	  true },
	{ "required between doubled keys", { "{'x': 1, 'required': true, 'x': 1}" }, "required", "false", "built-in false",
	  0, 1, true },
	{ "required behind doubled keys", { "{'x': 1, 'x': 1, 'required': true}" }, "required", "false", "built-in false",
	  0, 1, true },
	{ "required of the first layer, an error in the second", { "{'required': true}", "{" }, "required", "true",
	  "1:1:2 true", 0, 1, true },
	{ "an error in the first layer, required of the second", { "{", "{'required': true}" }, "required", "true",
	  "2:1:2 true", 0, 1, true },
	{ "required of another object", { "{'options': {'required': true}, 'x'}" }, "required", "false", "built-in false", 0,
	  1, false },
	{ "required that is false before an error", { "{'required': false, 'x'}" }, "required", "false", "built-in false", 0,
	  1, false },
	{ "required taken back by a later layer", { "{'required': true}", "{'required': false}" }, "required", "false",
	  "2:1:2 false, 1:1:2 true", 0, 0, false },
	{ "required masked by a later layer", { "{'required': true}", "-" }, "required", "false", "built-in false", 2, 0,
	  false },
	{ "nothing is said", { "{}" }, "priority", "50", "built-in 50", 0, 0, false },
	{ "the adapter is not said", { "{}" }, "adapter", "'a'", "name of the file 'a'", 0, 0, false },
	{ "enabled is not said", { "{}" }, "enabled", "true", "built-in true", 0, 0, false },
	{ "runtime_id is not said", { "{}" }, "runtime_id", "-", NULL, 0, 0, false },
	{ "one layer", { "{'priority': 7}" }, "priority", "7", "1:1:2 7", 0, 0, false },
	{ "the last layer alone", { NULL, NULL, NULL, "{'priority': 7}" }, "priority", "7", "4:1:2 7", 0, 0, false },
	{ "the same value in two layers", { "{'priority': 7}", "{'priority': 7}" }, "priority", "7", "2:1:2 7, 1:1:2 7", 0, 0,
	  false },
	{ "a key of the first layer", { "{'priority': 7}", "{'enabled': false}" }, "priority", "7", "1:1:2 7", 0, 0, false },
	{ "a key of the second layer", { "{'priority': 7}", "{'enabled': false}" }, "enabled", "false", "2:1:2 false", 0, 0,
	  false },
	{ "three layers", { "{'priority': 1}", "{'priority': 2}", "{\n'priority': 3}" }, "priority", "3",
	  "3:2:1 3, 2:1:2 2, 1:1:2 1", 0, 0, false },
	{ "four layers", { "{'priority': 1}", "{'priority': 2}", "{'priority': 3}", "{'priority': 4}" }, "priority", "4",
	  "4:1:2 4, 3:1:2 3, 2:1:2 2, 1:1:2 1", 0, 0, false },
	{ "four layers and a hole", { "{'priority': 1}", NULL, "{}", "{'priority': 4}" }, "priority", "4", "4:1:2 4, 1:1:2 1",
	  0, 0, false },
	{ "options are merged by their keys", { "{'options': {'x': 1, 'y': 1}}", "{'options': {'y': 2}}" }, "options.x", "1",
	  "1:1:14 1", 0, 0, false },
	{ "an option that is set again", { "{'options': {'x': 1, 'y': 1}}", "{'options': {'y': 2}}" }, "options.y", "2",
	  "2:1:14 2, 1:1:22 1", 0, 0, false },
	{ "an option of the second layer", { "{'options': {'x': 1}}", "{'options':\n{'y': 2}}" }, "options.y", "2", "2:2:2 2",
	  0, 0, false },
	{ "options that are objects are not merged", { "{'options': {'x': {'p': 1}}}", "{'options': {'x': {'q': 2}}}" },
	  "options.x", "{'q':2}", "2:1:14 {'q':2}, 1:1:14 {'p':1}", 0, 0, false },
	{ "empty options take nothing away", { "{'options': {'x': 1}}", "{'options': {}}" }, "options.x", "1", "1:1:14 1", 0,
	  0, false },
	{ "an option of the name of a key", { "{'options': {'priority': 1}}" }, "priority", "50", "built-in 50", 0, 0, false },
	{ "masked in the first layer", { "-" }, "priority", "50", "built-in 50", 1, 0, false },
	{ "masked in the second layer", { "{'priority': 7}", "-" }, "priority", "50", "built-in 50", 2, 0, false },
	{ "masked in the third layer", { "{}", "{}", "-" }, "priority", "50", "built-in 50", 3, 0, false },
	{ "masked in the last layer", { "{}", NULL, NULL, "-" }, "priority", "50", "built-in 50", 4, 0, false },
	{ "masked by a link in the first layer", { null_link }, "priority", "50", "built-in 50", 1, 0, false },
	{ "masked by a link in the last layer", { "{'priority': 7}", NULL, NULL, null_link }, "priority", "50", "built-in 50",
	  4, 0, false },
	{ "masked twice", { "{}", "-", null_link }, "priority", "50", "built-in 50", 3, 0, false },
	{ "a later layer unmasks, and begins anew", { "{'priority': 7, 'enabled': false}", "-", "{'enabled': true}" },
	  "priority", "50", "built-in 50", 0, 0, false },
	{ "what a mask forgot is not overridden", { "{'priority': 7}", null_link, "{'priority': 8}" }, "priority", "8",
	  "3:1:2 8", 0, 0, false },
	{ "unmasked and masked again", { "-", "{}", "-" }, "priority", "50", "built-in 50", 3, 0, false },
	{ "disabled is not masked", { "{}", "{'enabled': false}" }, "enabled", "false", "2:1:2 false", 0, 0, false },
};

static void write_layers(const char *dir, const struct layer_row *row, char *paths[N_LAYERS])
{
	for (int i = 0; i < N_LAYERS; i++) {
		CLEANUP_FREE char *name = NULL, *link = NULL;
		const char *text = row->layers[i];

		assert_true(asprintf(&name, "%d/a.json", i + 1) >= 0 && asprintf(&paths[i], "%s/%d", dir, i + 1) >= 0);
		assert_true(asprintf(&link, "%s/%s", dir, name) >= 0);
		unlink(link);
		if (text == null_link)
			assert_int_equal(symlink("/dev/null", link), 0);
		else if (text)
			write_quoted(dir, name, strcmp(text, "-") == 0 ? "" : text);
	}
}

/* Appends "ORIGIN VALUE", the origin shortened to what follows the directory. */
static void describe(char *text, size_t size, const char *dir, const cJSON *setting)
{
	const char *origin = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(setting, "origin"));
	CLEANUP_FREE char *value = value_text(cJSON_GetObjectItemCaseSensitive(setting, "value"));
	size_t len = strlen(text);

	assert_non_null(origin);
	if (strncmp(origin, dir, strlen(dir)) == 0 && strncmp(origin + strlen(dir) + 2, "/a.json", 7) == 0)
		snprintf(text + len, size - len, "%s%c%s %s", len ? ", " : "", origin[strlen(dir) + 1],
			 origin + strlen(dir) + 9, value);
	else
		snprintf(text + len, size - len, "%s%s %s", len ? ", " : "", origin, value);
}

static void check_origins(const struct layer_row *row, const char *dir, const cJSON *settings)
{
	const cJSON *setting = cJSON_GetObjectItemCaseSensitive(settings, row->key), *item;
	char text[1024] = "";

	if (!row->origins || !setting)
		return;
	describe(text, sizeof text, dir, setting);
	assert_true(cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(setting, "overrode")));
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(setting, "overrode")) {
		describe(text, sizeof text, dir, item);
		assert_null(cJSON_GetObjectItemCaseSensitive(item, "overrode"));
	}
	if (strcmp(text, row->origins) != 0)
		WRONG("%s: expected %s, found %s\n", row->name, row->origins, text);
}

static void later_layers_win_key_by_key(void **state)
{
	CLEANUP_SCRATCH char *dir = scratch_new();

	(void)state;
	for (int i = 1; i <= N_LAYERS; i++) {
		char name[32];

		snprintf(name, sizeof name, "%d/b.json", i);
		write_quoted(dir, name, "{}");
	}
	for (size_t i = 0; i < sizeof layer_rows / sizeof *layer_rows; i++) {
		const struct layer_row *row = &layer_rows[i];
		CLEANUP_DROPINS struct dropins dropins = { 0 };
		const struct dropin *dropin;
		char *paths[N_LAYERS];
		int masked_by = 0;

		write_layers(dir, row, paths);
		assert_int_equal(dropins_load((const char *const *)paths, N_LAYERS, &dropins), 0);
		dropin = dropins_find(&dropins, "a");
		assert_non_null(dropin);
		for (int j = 0; j < N_LAYERS; j++) {
			if (dropin->masked_by && strncmp(dropin->masked_by, paths[j], strlen(paths[j])) == 0)
				masked_by = j + 1;
			free(paths[j]);
		}
		if (masked_by != row->masked_by)
			WRONG("%s: masked by layer %d\n", row->name, masked_by);
		if (dropin->failures.n != (size_t)row->failures)
			WRONG("%s: %zu failures\n", row->name, dropin->failures.n);
		if (dropin->required != row->required)
			WRONG("%s: %srequired\n", row->name, dropin->required ? "" : "not ");
		check_value(row->name, dropin->settings, row->key, row->value);
		check_origins(row, dir, dropin->settings);
		assert_int_equal(dropins_find(&dropins, "b")->failures.n, 0);
		assert_int_equal(dropins.n, 2);
	}
	assert_int_equal(n_wrong, 0);
}

/* The name of a masked file need not be the id of an adapter. */
static void a_mask_needs_no_adapter(void **state)
{
	CLEANUP_SCRATCH char *dir = scratch_new();
	CLEANUP_DROPINS struct dropins dropins = { 0 };

	(void)state;
	write_quoted(dir, "night_shift.json", "");
	write_quoted(dir, "day_shift.json", "{");
	assert_int_equal(dropins_load(&(const char *const){ dir }, 1, &dropins), 0);
	check_failure("masked", &dropins_find(&dropins, "night_shift")->failures, NULL, NULL, NULL);
	/* One error is not made two by what it hides. */
	check_failure("broken", &dropins_find(&dropins, "day_shift")->failures, "config_invalid", NULL, "day_shift.json:1:");
	assert_int_equal(n_wrong, 0);
}

static void order_is_by_priority_then_by_name(void **state)
{
	static const struct {
		const char *name, *text;
	} written[] = {
		{ "m.json", "{}" },
		{ "z.json", "{'priority': 0}" },
		{ "b.json", "{'priority': 50}" },
		{ "a.json", "{'priority': 1000}" },
		{ "c.json", "{'priority': 49}" },
		{ "0.json", "{'priority': 100}" },
		{ "-.json", "{'priority': 'x'}" },
		{ "q.json", "" },
		{ "a-b.json", "{'priority': 9}" },
		{ "aa.json", "{'priority': 9}" },
	};
	static const char *const order[] = { "z", "a-b", "aa", "c", "-", "b", "m", "q", "0", "a" };
	CLEANUP_SCRATCH char *dir = scratch_new();
	CLEANUP_DROPINS struct dropins dropins = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof written / sizeof *written; i++)
		write_quoted(dir, written[i].name, written[i].text);
	assert_int_equal(dropins_load(&(const char *const){ dir }, 1, &dropins), 0);
	assert_int_equal(dropins.n, sizeof order / sizeof *order);
	for (size_t i = 0; i < dropins.n; i++)
		assert_string_equal(dropins.list[i].name, order[i]);
}

/* ---- Host settings ---- */

static const struct host_row {
	const char *name;
	const char *main, *first, *second; /* berth.json, berth.d/10.json, berth.d/9.json; NULL: not there */
	const char *variable;              /* NAME=VALUE; NULL: none */
	const char *key, *value, *origin;  /* as above; NULL: not looked at */
	const char *found;                 /* in the failure; NULL: none */
} host_rows[] = {
	{ "a wrong type of workspace_id", "{'workspace_id': 1}", .found = "/berth.json:1:2: " },
	{ "a wrong type of workspace_root", "{'workspace_root': []}", .found = "/berth.json:1:2: " },
	{ "a wrong type of data_dir", "{'data_dir': null}", .found = "/berth.json:1:2: " },
	{ "a wrong type of adapter_dirs", "{'adapter_dirs': '/x'}", .found = "/berth.json:1:2: " },
	{ "a wrong type in adapter_dirs", "{'adapter_dirs': ['/x', 1]}", .found = "/berth.json:1:2: " },
	{ "a wrong type of log_level", "{'log_level': 1}", .found = "/berth.json:1:2: " },
	{ "a log_level that there is not", "{'log_level': 'loud'}", .found = "/berth.json:1:2: " },
	{ "an empty log_level", "{'log_level': ''}", .found = "/berth.json:1:2: " },
	{ "a log_level in capitals", "{'log_level': 'ERROR'}", .found = "/berth.json:1:2: " },
	{ "a wrong type of limit_items", "{'limit_items': '5'}", .found = "/berth.json:1:2: " },
	{ "limit_items below 0", "{'limit_items': -1}", .found = "/berth.json:1:2: " },
	{ "limit_items that are too many", "{'limit_items': 1000000001}", .found = "/berth.json:1:2: " },
	{ "limit_line_bytes that is a fraction", "{'limit_line_bytes': 0.5}", .found = "/berth.json:1:2: " },
	{ "limit_line_bytes that are too many", "{'limit_line_bytes': 67108865}", .found = "/berth.json:1:2: " },
	{ "an unknown key", "{\n 'loglevel': 'info'}", .found = "/berth.json:2:2: unknown key \"loglevel\"; did you mean "
		"\"log_level\"?" },
	{ "a key of a drop-in", "{'priority': 1}", .found = "/berth.json:1:2: unknown key" },
	{ "a key with control characters", "{'a\\u001b\x7f\\u009bz': 1}", .found = "/berth.json:1:2: unknown key \"a????z\"" },
	{ "a syntax error", "{", .found = "/berth.json:1:2: " },
	{ "a syntax error in berth.d", "{}", "{", .found = "/berth.d/10.json:1:2: " },
	{ "an error in berth.d, the others hold", "{'limit_items': 7}", "{", "{}", NULL, "limit_items", "7", "/berth.json:1:2",
	  "/berth.d/10.json:1:2: " },
	{ "a log_level in the environment that there is not", .variable = "BERTH_LOG_LEVEL=loud", .key = "log_level",
	  .value = "'warning'", .found = "environment BERTH_LOG_LEVEL: loud" },
	{ "an empty log_level in the environment", .variable = "BERTH_LOG_LEVEL=", .found = "environment BERTH_LOG_LEVEL: " },
	{ "a word for a number", .variable = "BERTH_LIMIT_ITEMS=many", .found = "environment BERTH_LIMIT_ITEMS: many" },
	{ "an empty number", .variable = "BERTH_LIMIT_ITEMS=", .found = "environment BERTH_LIMIT_ITEMS: " },
	{ "a number with a space", .variable = "BERTH_LIMIT_ITEMS= 5", .found = "environment BERTH_LIMIT_ITEMS: " },
	{ "a number below 0", .variable = "BERTH_LIMIT_ITEMS=-1", .found = "environment BERTH_LIMIT_ITEMS: -1" },
	{ "a number that is too large", .variable = "BERTH_LIMIT_ITEMS=1000000001",
	  .found = "environment BERTH_LIMIT_ITEMS: " },
	{ "a number above 64 bits", .variable = "BERTH_LIMIT_LINE_BYTES=18446744073709551616",
	  .found = "environment BERTH_LIMIT_LINE_BYTES: " },
	{ "no file", .key = "limit_items", .value = "200", .origin = "built-in" },
	{ "no file, and the level", .key = "log_level", .value = "'warning'", .origin = "built-in" },
	{ "no file, and the length of lines", .key = "limit_line_bytes", .value = "8388608", .origin = "built-in" },
	{ "no file, and what is to be found out", .key = "workspace_id", .value = "-" },
	{ "an empty file", "", .key = "limit_items", .value = "200", .origin = "built-in" },
	{ "workspace_id", "{'workspace_id': 'x'}", .key = "workspace_id", .value = "'x'", .origin = "/berth.json:1:2" },
	{ "workspace_root", "{'workspace_root': '/x'}", .key = "workspace_root", .value = "'/x'",
	  .origin = "/berth.json:1:2" },
	{ "data_dir", "{'data_dir': ''}", .key = "data_dir", .value = "''", .origin = "/berth.json:1:2" },
	{ "adapter_dirs", "{'adapter_dirs': ['/x','/y']}", .key = "adapter_dirs", .value = "['/x','/y']",
	  .origin = "/berth.json:1:2" },
	{ "no adapter_dirs", "{'adapter_dirs': []}", .key = "adapter_dirs", .value = "[]", .origin = "/berth.json:1:2" },
	{ "log_level", "{'log_level': 'debug'}", .key = "log_level", .value = "'debug'", .origin = "/berth.json:1:2" },
	{ "limit_items of 0", "{'limit_items': 0}", .key = "limit_items", .value = "0", .origin = "/berth.json:1:2" },
	{ "the most limit_items", "{'limit_items': 1000000000}", .key = "limit_items", .value = "1000000000",
	  .origin = "/berth.json:1:2" },
	{ "the most limit_line_bytes", "{'limit_line_bytes': 67108864}", .key = "limit_line_bytes", .value = "67108864",
	  .origin = "/berth.json:1:2" },
	{ "berth.d over berth.json", "{'limit_items': 1}", "{'limit_items': 2}", .key = "limit_items", .value = "2",
	  .origin = "/berth.d/10.json:1:2" },
	{ "berth.d in the order of bytes", "{'limit_items': 1}", "{'limit_items': 2}", "{'limit_items': 3}", NULL,
	  "limit_items", "3", "/berth.d/9.json:1:2", NULL },
	{ "berth.d without berth.json", NULL, "{'limit_items': 2}", .key = "limit_items", .value = "2",
	  .origin = "/berth.d/10.json:1:2" },
	{ "an empty file takes nothing away", "{'limit_items': 1}", "", .key = "limit_items", .value = "1",
	  .origin = "/berth.json:1:2" },
	{ "lists are not added", "{'adapter_dirs': ['/x']}", "{'adapter_dirs': ['/y']}", .key = "adapter_dirs",
	  .value = "['/y']", .origin = "/berth.d/10.json:1:2" },
	{ "the environment over files", "{'limit_items': 1}", "{'limit_items': 2}", NULL, "BERTH_LIMIT_ITEMS=5",
	  "limit_items", "5", "environment BERTH_LIMIT_ITEMS", NULL },
	{ "BERTH_WORKSPACE_ID", .variable = "BERTH_WORKSPACE_ID=x", .key = "workspace_id", .value = "'x'",
	  .origin = "environment BERTH_WORKSPACE_ID" },
	{ "BERTH_WORKSPACE_ROOT", .variable = "BERTH_WORKSPACE_ROOT=/x", .key = "workspace_root", .value = "'/x'",
	  .origin = "environment BERTH_WORKSPACE_ROOT" },
	{ "BERTH_DATA_DIR", "{'data_dir': '/x'}", .variable = "BERTH_DATA_DIR=", .key = "data_dir", .value = "''",
	  .origin = "environment BERTH_DATA_DIR" },
	{ "BERTH_ADAPTER_DIRS", "{'adapter_dirs': ['/z']}", .variable = "BERTH_ADAPTER_DIRS=/x:/y", .key = "adapter_dirs",
	  .value = "['/x','/y']", .origin = "environment BERTH_ADAPTER_DIRS" },
	{ "BERTH_LOG_LEVEL", .variable = "BERTH_LOG_LEVEL=error", .key = "log_level", .value = "'error'",
	  .origin = "environment BERTH_LOG_LEVEL" },
	{ "BERTH_LIMIT_LINE_BYTES", .variable = "BERTH_LIMIT_LINE_BYTES=1024", .key = "limit_line_bytes", .value = "1024",
	  .origin = "environment BERTH_LIMIT_LINE_BYTES" },
};

static void put_variable(const char *variable)
{
	CLEANUP_FREE char *name = strdup(variable);
	char *equals = strchr(name, '=');

	*equals = '\0';
	assert_int_equal(setenv(name, equals + 1, 1), 0);
}

static void host_settings_come_from_environment_files_and_defaults(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof host_rows / sizeof *host_rows; i++) {
		const struct host_row *row = &host_rows[i];
		CLEANUP_SCRATCH char *dir = scratch_new();
		CLEANUP_CONFIG struct host_config config = { .settings = NULL };
		const char *origin;

		clear_variables();
		if (row->main)
			write_quoted(dir, "berth.json", row->main);
		if (row->first)
			write_quoted(dir, "berth.d/10.json", row->first);
		if (row->second)
			write_quoted(dir, "berth.d/9.json", row->second);
		if (row->variable)
			put_variable(row->variable);
		assert_int_equal(host_config_load(dir, &config), 0);
		check_failure(row->name, &config.failures, row->found ? "config_invalid" : NULL, NULL, row->found);
		if (row->key)
			check_value(row->name, config.settings, row->key, row->value);
		origin = row->key ? settings_origin(config.settings, row->key) : NULL;
		if (row->origin && (!origin || !strstr(origin, row->origin)))
			WRONG("%s: expected from %s, found from %s\n", row->name, row->origin, origin ? origin : "nowhere");
	}
	assert_int_equal(n_wrong, 0);
}

static void what_host_settings_override_is_kept(void **state)
{
	CLEANUP_SCRATCH char *dir = scratch_new();
	CLEANUP_CONFIG struct host_config config = { .settings = NULL };
	CLEANUP_FREE char *text = NULL, *expected = NULL;

	(void)state;
	write_quoted(dir, "berth.json", "{'limit_items': 1}");
	write_quoted(dir, "berth.d/a.json", "{'limit_items': 2}");
	put_variable("BERTH_LIMIT_ITEMS=3");
	assert_int_equal(host_config_load(dir, &config), 0);
	text = value_text(cJSON_GetObjectItemCaseSensitive(config.settings, "limit_items"));
	assert_true(asprintf(&expected,
			     "{'value':3,'origin':'environment BERTH_LIMIT_ITEMS','overrode':["
			     "{'value':2,'origin':'%s/berth.d/a.json:1:2'},{'value':1,'origin':'%s/berth.json:1:2'},"
			     "{'value':200,'origin':'built-in'}]}", dir, dir) >= 0);
	assert_string_equal(text, expected);
}

static void unsafe_host_settings_are_refused(void **state)
{
	static const struct {
		const char *name, *path, *code;
		mode_t mode;
	} rows[] = {
		{ "berth.json that others can write", "berth.json", "config_unsafe", 0666 },
		{ "a directory that others can write", ".", "config_unsafe", 0777 },
		{ "berth.d that others can write", "berth.d", "config_unsafe", 0777 },
		{ "a file of berth.d that others can write", "berth.d/a.json", "config_unsafe", 0646 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		CLEANUP_SCRATCH char *dir = scratch_new();
		CLEANUP_FREE char *path = NULL;
		CLEANUP_CONFIG struct host_config config = { .settings = NULL };

		write_quoted(dir, "berth.json", "{}");
		write_quoted(dir, "berth.d/a.json", "{}");
		assert_true(asprintf(&path, "%s/%s", dir, rows[i].path) >= 0);
		assert_int_equal(chmod(path, rows[i].mode), 0);
		assert_int_equal(host_config_load(dir, &config), 0);
		check_failure(rows[i].name, &config.failures, rows[i].code, NULL, dir);
	}
	assert_int_equal(n_wrong, 0);
}

/* What may stand in it is not passed over in silence. */
static void a_directory_that_cannot_be_opened_is_an_error(void **state)
{
	CLEANUP_SCRATCH char *dir = scratch_new();
	CLEANUP_FREE char *path = NULL;
	CLEANUP_CONFIG struct host_config config = { .settings = NULL };

	(void)state;
	assert_true(asprintf(&path, "%s/berth.d", dir) >= 0);
	assert_int_equal(symlink("berth.d", path), 0);
	assert_int_equal(host_config_load(dir, &config), 0);
	check_failure("a link to itself", &config.failures, "config_unreadable", NULL, "/berth.d: ");
	assert_int_equal(n_wrong, 0);
}

/* ---- Options ---- */

/* What the fixture is opened with unless its defaults come out of it. */
static const struct option_row {
	const char *name, *json; /* of the member options, with ' in the place of " */
	const char *code;        /* NULL: it opens */
	const char *found, *expected;
} option_rows[] = {
	{ "text: a number", "'words': 1", "option_invalid", "a.json:1:14: option words", "a string" },
	{ "text: true", "'words': true", "option_invalid", "a.json:1:14: option words", "a string" },
	{ "text: null", "'words': null", "option_invalid", "a.json:1:14: option words", "a string" },
	{ "text: a list", "'words': ['two words']", "option_invalid", "a.json:1:14: option words", "a string" },
	{ "count: a fraction", "'size': 1.5", "option_invalid", "a.json:1:14: option size", "2^53" },
	{ "count: below 0", "'size': -1", "option_invalid", "a.json:1:14: option size", "2^53" },
	{ "count: 2^53 as a number", "'size': 9007199254740992", "option_invalid", "a.json:1:14: option size", "2^53" },
	{ "count: 2^53 + 1 as a number", "'size': 9007199254740993", "option_invalid", "a.json:1:14: option size", "2^53" },
	{ "count: 2^53 + 2 as a number", "'size': 9007199254740994", "option_invalid", "a.json:1:14: option size", "2^53" },
	{ "count: the largest as a number", "'size': 18446744073709551615", "option_invalid", "option size", "2^53" },
	{ "count: 2^64 as a string", "'size': '18446744073709551616'", "option_invalid", "option size", "2^53" },
	{ "count: an empty string", "'size': ''", "option_invalid", "option size", "2^53" },
	{ "count: a word", "'size': 'many'", "option_invalid", "option size", "2^53" },
	{ "count: a sign", "'size': '+5'", "option_invalid", "option size", "2^53" },
	{ "count: a unit", "'size': '5k'", "option_invalid", "option size", "2^53" },
	{ "count: true", "'size': true", "option_invalid", "option size", "2^53" },
	{ "flag: a string", "'on': 'true'", "option_invalid", "a.json:1:14: option on", "true or false" },
	{ "flag: a number", "'on': 1", "option_invalid", "a.json:1:14: option on", "true or false" },
	{ "flag: null", "'on': null", "option_invalid", "a.json:1:14: option on", "true or false" },
	{ "path: a number", "'file': 1", "option_invalid", "a.json:1:14: option file", "a string" },
	{ "secret: a number", "'token': 31337", "option_invalid", "a.json:1:14: option token", "a string" },
	{ "secret: an object", "'token': {'x': 'hunter2'}", "option_invalid", "a.json:1:14: option token", "a string" },
	{ "of a type of later: a number", "'wait': 5", "option_invalid", "a.json:1:14: option wait", "a string" },
	{ "unknown", "'x': 1", "option_invalid", "a.json:1:14: unknown option \"x\"", "an option" },
	{ "unknown, a slip", "'word': 'x'", "option_invalid", "a.json:1:14: unknown option \"word\"; did you mean \"words\"?",
	  "words" },
	{ "unknown, in capitals", "'Size': 1", "option_invalid", "a.json:1:14: unknown option \"Size\"; did you mean "
	  "\"size\"?", "size" },
	{ "unknown, a slip of the secret", "'tokn': 'hunter2'", "option_invalid", "did you mean \"token\"?", "token" },
	{ "unknown and empty", "'': 1", "option_invalid", "a.json:1:14: unknown option \"\"", "an option" },
	{ "text: another", "'words': 'three words here'", "open_failed", "option 0", NULL },
	{ "text: empty", "'words': ''", "open_failed", "option 0", NULL },
	{ "count: 0", "'size': 0", "open_failed", "option 1", NULL },
	{ "count: 2^53 - 1 as a number", "'size': 9007199254740991", "open_failed", "option 1", NULL },
	{ "count: 2^53 + 1 as a string", "'size': '9007199254740993'", "open_failed", "option 1", NULL },
	{ "flag: the other", "'on': false", "open_failed", "option 2", NULL },
	{ "flag: the other of the second", "'off': true", "open_failed", "option 3", NULL },
	{ "path: another", "'file': '/b/path'", "open_failed", "option 4", NULL },
	{ "secret: one", "'token': 'hunter2'", "open_failed", "option 5", NULL },
	{ "json: null", "'tree': null", "open_failed", "option 6", NULL },
	{ "json: a string", "'tree': '{}'", "open_failed", "option 6", NULL },
	{ "none", "", NULL, NULL, NULL },
	{ "text: the default", "'words': 'two words'", NULL, NULL, NULL },
	{ "count: the largest as a string", "'size': '18446744073709551615'", NULL, NULL, NULL },
	{ "flags: the defaults", "'off': false, 'on': true", NULL, NULL, NULL },
	{ "path: the default", "'file': '/a/path'", NULL, NULL, NULL },
	{ "secret: the default", "'token': ''", NULL, NULL, NULL },
	{ "json: the default", "'tree': { 'a': [ 1 ] }", NULL, NULL, NULL },
	{ "of a type of later: the default", "'wait': '5s'", NULL, NULL, NULL },
};

static void inventory_begin(struct inventory *inventory, const char *const *dirs, size_t n_dirs)
{
	const struct workspace workspace = { .root = BERTH_TEXT("/x"), .id = BERTH_TEXT("local:x") };
	struct dropins dropins;

	*inventory = (struct inventory){ .n_entries = 0 };
	assert_int_equal(loader_init(&inventory->loader, NULL), 0);
	assert_int_equal(loader_add_dir(&inventory->loader, fixture_dir(), NULL), 0);
	assert_int_equal(dropins_load(dirs, n_dirs, &dropins), 0);
	for (size_t i = 0; i < dropins.n; i++)
		assert_int_equal(inventory_add(inventory, &dropins.list[i]), 0);
	dropins_fini(&dropins);
	inventory_start(inventory, &workspace);
}

static void options_are_checked_by_their_types(void **state)
{
	CLEANUP_SCRATCH char *dir = scratch_new();

	(void)state;
	write_quoted(dir, "runtime-a.json", "{}");
	for (size_t i = 0; i < sizeof option_rows / sizeof *option_rows; i++) {
		const struct option_row *row = &option_rows[i];
		CLEANUP(inventory_fini) struct inventory inventory;
		CLEANUP_FREE char *text = NULL;

		assert_true(asprintf(&text, "{'options': {%s}, 'adapter': 'options'}", row->json) >= 0);
		write_quoted(dir, "a.json", text);
		inventory_begin(&inventory, &(const char *const){ dir }, 1);
		check_failure(row->name, &inventory.entries[0].dropin.failures, row->code, row->expected, row->found);
		if (inventory_state(&inventory.entries[0]) != (row->code ? STATE_FAILED : STATE_ACTIVE))
			WRONG("%s: in another state\n", row->name);
		assert_int_equal(inventory_state(&inventory.entries[1]), STATE_ACTIVE);
	}
	assert_int_equal(n_wrong, 0);
}

static void secrets_are_not_shown(void **state)
{
	static const char *const rows[] = {
		"{'adapter': 'options', 'options': {'token': 'hunter2'}}",
		"{'adapter': 'options', 'options': {'token': {'a': 'hunter2'}}}",
		"{'adapter': 'options', 'options': {'tokn': 'hunter2'}}",
		"{'adapter': 'options', 'options': {'token': 'hunter2'}, 'enabled': false}",
		"{'adapter': 'options', 'options': {'token': 'hunter2', 'size': -1}}",
		"{'adapter': 'nowhere', 'options': {'token': 'hunter2'}}",
		"{'adapter': 'options', 'options': 'hunter2'}",
		"{'adapter': 'options', 'options': ['hunter2']}",
	};
	CLEANUP_SCRATCH char *vendor = scratch_new(), *admin = scratch_new();
	const char *const dirs[] = { vendor, admin };

	(void)state;
	/* One that another takes the place of, too. */
	write_quoted(vendor, "a.json", "{'adapter': 'options', 'options': {'token': 'hunter2-of-old'}}");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		CLEANUP(inventory_fini) struct inventory inventory;
		CLEANUP(buffer_fini) struct buffer out = { 0 };

		write_quoted(admin, "a.json", rows[i]);
		inventory_begin(&inventory, dirs, 2);
		assert_int_equal(report_adapters(&inventory, &out), 0);
		buffer_append_char(&out, '\0');
		/* In the first row one secret has taken the place of the other. */
		if (strstr(out.data, "hunter2") || (i == 0 && !strstr(out.data, "\"overrode\"")))
			WRONG("%s: %s\n", rows[i], out.data);
	}
	assert_int_equal(n_wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(keys_of_dropins_have_types, forget_wrong),
		cmocka_unit_test_setup(unknown_keys_name_the_nearest, forget_wrong),
		cmocka_unit_test_setup(all_that_is_wrong_in_a_file_is_said, forget_wrong),
		cmocka_unit_test_setup(later_layers_win_key_by_key, forget_wrong),
		cmocka_unit_test_setup(a_mask_needs_no_adapter, forget_wrong),
		cmocka_unit_test_setup(order_is_by_priority_then_by_name, forget_wrong),
		cmocka_unit_test_setup(host_settings_come_from_environment_files_and_defaults, forget_wrong),
		cmocka_unit_test_setup(what_host_settings_override_is_kept, forget_wrong),
		cmocka_unit_test_setup(unsafe_host_settings_are_refused, forget_wrong),
		cmocka_unit_test_setup(a_directory_that_cannot_be_opened_is_an_error, forget_wrong),
		cmocka_unit_test_setup(options_are_checked_by_their_types, forget_wrong),
		cmocka_unit_test_setup(secrets_are_not_shown, forget_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
