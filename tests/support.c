/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "tests/support.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/batch.h"
#include "core/cleanup.h"
#include "core/text.h"

const char *plugin_dir(void)
{
	return TESTS_PLUGIN_DIR;
}

const char *fixture_dir(void)
{
	return TESTS_FIXTURE_DIR;
}

static const char *or_else(const char *value, const char *otherwise)
{
	return value ? value : otherwise;
}

static void put_json(cJSON *settings, const char *key, const char *text)
{
	cJSON *value = cJSON_Parse(text);

	assert_non_null(value);
	assert_int_equal(settings_put(settings, key, value, "test"), 0);
	cJSON_Delete(value);
}

/* Every instance in a process of its own, if BERTH_TEST_ISOLATED says so. */
static void isolate(struct dropin *dropin)
{
	if (!getenv("BERTH_TEST_ISOLATED"))
		return;
	put_json(dropin->settings, "isolate", "true");
	put_json(dropin->settings, "isolation.environment", "{\"BERTH_FIXTURE_FILE\":true}");
#ifdef __SANITIZE_ADDRESS__
	/* To find leaks, a process looks into itself. */
	put_json(dropin->settings, "isolation.confined", "false");
#endif
}

/* Makes ' to ". */
static char *quote(char *text)
{
	for (char *p = text; *p; p++)
		if (*p == '\'')
			*p = '"';
	return text;
}

/* printf with ' made to ". */
__attribute__((format(printf, 1, 0)))
static char *quoted(const char *format, va_list args)
{
	char *line;

	assert_true(vasprintf(&line, format, args) >= 0);
	return quote(line);
}

static cJSON *parse(const char *text)
{
	cJSON *json = cJSON_Parse(text);

	if (!json)
		fail_msg("no JSON: %s", text);
	return json;
}

/* Puts the members of an object, those of the key options and the like one by one. */
static void put_settings(cJSON *settings, const cJSON *object, const char *prefix)
{
	const cJSON *member;

	cJSON_ArrayForEach(member, object) {
		CLEANUP_FREE char *key = NULL;

		assert_true(asprintf(&key, "%s%s", prefix, member->string) >= 0);
		if (!*prefix && cJSON_IsObject(member)) {
			CLEANUP_FREE char *inner = NULL;

			assert_true(asprintf(&inner, "%s.", member->string) >= 0);
			put_settings(settings, member, inner);
		} else {
			assert_int_equal(settings_put(settings, key, member, "test"), 0);
		}
	}
}

static void put_options(struct dropin *dropin, const char *options)
{
	CLEANUP_FREE char *text = quote(strdup(options));
	cJSON *json = parse(text);

	put_settings(dropin->settings, json, "options.");
	cJSON_Delete(json);
}

void host_add(struct host *host, const char *name, const char *format, ...)
{
	CLEANUP_FREE char *text = NULL;
	struct dropin dropin;
	va_list args;
	cJSON *json;

	va_start(args, format);
	text = quoted(format, args);
	va_end(args);
	json = parse(text);
	assert_int_equal(dropin_make(name, "test", &dropin), 0);
	put_settings(dropin.settings, json, "");
	cJSON_Delete(json);
	isolate(&dropin);
	assert_int_equal(inventory_add(&host->inventory, &dropin), 0);
}

void host_start(struct host *host, const struct host_setup *setup)
{
	host_prepare(host, setup);
	host_open(host, setup);
}

void host_open(struct host *host, const struct host_setup *setup)
{
	struct workspace workspace = {
		.root = berth_text(or_else(setup->root, "/workspace/project")),
		.id = berth_text(or_else(setup->id, "local:test")),
		.data_dir = berth_text(setup->data_dir),
	};

	inventory_start(&host->inventory, &workspace);
}

void host_prepare(struct host *host, const struct host_setup *setup)
{
	const char *names = or_else(setup->adapters, "local-pod,embedded,remote-reserved");

	*host = (struct host){ .inventory = { .program = getenv("BERTH") } };
	assert_int_equal(loader_init(&host->inventory.loader, NULL), 0);
	assert_int_equal(loader_add_dir(&host->inventory.loader, or_else(setup->adapter_dir, plugin_dir()), NULL), 0);
	/* Also where the tests bring their own: the adapter that runs others. */
	assert_int_equal(loader_add_dir(&host->inventory.loader, plugin_dir(), NULL), 0);
	while (*names) {
		size_t len = strcspn(names, ",");
		CLEANUP_FREE char *name = strndup(names, len);
		struct dropin dropin;

		assert_non_null(name);
		assert_int_equal(dropin_make(name, "test", &dropin), 0);
		if (setup->options && strcmp(name, "embedded") == 0)
			put_options(&dropin, setup->options);
		if (setup->pod_options && strcmp(name, "local-pod") == 0)
			put_options(&dropin, setup->pod_options);
		isolate(&dropin);
		assert_int_equal(inventory_add(&host->inventory, &dropin), 0);
		names += len + (names[len] == ',');
	}
}

void host_stop(struct host *host)
{
	inventory_fini(&host->inventory);
	buffer_fini(&host->scratch);
	buffer_fini(&host->answer);
}

const char *host_ask_raw(struct host *host, const char *line, size_t len)
{
	buffer_cut(&host->answer, 0);
	batch_answer(&host->inventory.registry, (struct berth_text){ line, len }, &host->scratch, &host->answer);
	buffer_append_char(&host->answer, '\0');
	assert_false(host->answer.failed);
	return host->answer.data;
}

const char *host_ask(struct host *host, const char *format, ...)
{
	CLEANUP_FREE char *line = NULL;
	va_list args;

	va_start(args, format);
	line = quoted(format, args);
	va_end(args);
	return host_ask_raw(host, line, strlen(line));
}

cJSON *host_ask_json(struct host *host, const char *format, ...)
{
	CLEANUP_FREE char *line = NULL;
	const char *answer;
	va_list args;
	cJSON *json;

	va_start(args, format);
	line = quoted(format, args);
	va_end(args);
	answer = host_ask_raw(host, line, strlen(line));
	json = cJSON_ParseWithOpts(answer, NULL, true);
	if (!json)
		fail_msg("no JSON: %s", answer);
	return json;
}

const cJSON *json_at(const cJSON *json, const char *path)
{
	const cJSON *at = json;
	char name[128];

	for (const char *p = path; at && *p;) {
		size_t len = strcspn(p, ".");

		assert_true(len < sizeof name);
		memcpy(name, p, len);
		name[len] = '\0';
		at = cJSON_IsArray(at) ? cJSON_GetArrayItem(at, atoi(name)) : cJSON_GetObjectItemCaseSensitive(at, name);
		p += len + (p[len] == '.');
	}
	if (!at) {
		char *text = cJSON_PrintUnformatted(json);

		fail_msg("nothing at %s in %s", path, text);
	}
	return at;
}

const char *json_string_at(const cJSON *json, const char *path)
{
	const char *string = cJSON_GetStringValue(json_at(json, path));

	if (!string)
		fail_msg("no string at %s", path);
	return string;
}

bool json_has_code(const cJSON *json, const char *path, const char *code)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, json_at(json, path))
		if (strcmp(json_string_at(item, "code"), code) == 0)
			return true;
	return false;
}

void assert_json_text(const char *text, const char *expected)
{
	CLEANUP_FREE char *wanted = strdup(expected);

	assert_non_null(wanted);
	for (char *p = wanted; *p; p++)
		if (*p == '\'')
			*p = '"';
	assert_string_equal(text, wanted);
}

char *scratch_new(void)
{
	const char *tmp = getenv("TMPDIR");
	char *dir;

	assert_true(asprintf(&dir, "%s/berth-test-XXXXXX", or_else(tmp, "/tmp")) >= 0);
	assert_non_null(mkdtemp(dir));
	return dir;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

void scratch_remove(char *dir)
{
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(dir);
}

void scratch_write(const char *dir, const char *path, const void *data, size_t len)
{
	CLEANUP_FREE char *full = NULL;
	FILE *file;

	assert_true(asprintf(&full, "%s/%s", dir, path) >= 0);
	for (char *p = full + strlen(dir) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(full, 0777);
		*p = '/';
	}
	file = fopen(full, "w");
	if (!file)
		fail_msg("%s: %s", full, strerror(errno));
	assert_int_equal(fwrite(data, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

void scratch_record(const char *dir, const char *name, const char *format, ...)
{
	CLEANUP_FREE char *text = NULL, *path = NULL;
	va_list args;

	va_start(args, format);
	text = quoted(format, args);
	va_end(args);
	assert_true(asprintf(&path, "pods/%s/metadata.json", name) >= 0);
	scratch_write(dir, path, text, strlen(text));
}
