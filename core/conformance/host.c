/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "core/conformance/host.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/batch.h"
#include "core/cleanup.h"
#include "core/conformance/probe.h"
#include "core/isolation.h"
#include "core/settings.h"

/* The process of a check has one adapter, and no other loader. */
static struct loader loader;
static struct adapter *loaded;
static struct adapter probed;

/* Of a sanitizer that searches for leaks, where there is one. */
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

/* ---- Opening ---- */

static bool is_isolated(const struct subject *subject)
{
	return subject->is_apart && subject->file;
}

const struct adapter *host_adapter(const struct subject *subject)
{
	CLEANUP_FREE char *file = NULL;
	char line[FAILURE_LINE_MAX];
	struct failure failure;
	struct error error;

	if (loaded)
		return loaded;
	/* What the dynamic linker allocates it keeps in places of its own. */
	if (__lsan_disable)
		__lsan_disable();
	if (loader_init(&loader, &error) < 0 || loader_add_dir(&loader, subject->dir, &error) < 0 ||
	    (is_isolated(subject) && loader_add_dir(&loader, subject->adapter_dir, &error) < 0))
		check_fail("%s", error.text);
	if ((is_isolated(subject) ? isolation_find(&loader, "/proc/self/exe", subject->id, NULL, &loaded, &file, &failure) :
				    loader_load(&loader, subject->id, NULL, &loaded, &file, &failure)) < 0)
		check_fail("%s", failure_line(&failure, line));
	if (__lsan_enable)
		__lsan_enable();
	probed = *loaded;
	pthread_mutex_init(&probed.lock, NULL);
	probe_enter(&loaded->ops, &probed.ops);
	probe.is_apart = subject->is_apart;
	probe.is_isolated = is_isolated(subject);
	return loaded;
}

static int put(cJSON *settings, const char *key, const cJSON *value)
{
	int rc = value ? settings_put(settings, key, value, "--options") : -ENOMEM;

	if (rc < 0)
		check_fail("no memory");
	return rc;
}

/* Timings decide nothing: a process on a busy machine has the time that it needs. */
static void be_patient(cJSON *settings, const struct subject *subject)
{
	CLEANUP(json_delete) cJSON *ms = cJSON_CreateNumber(60000);

	put(settings, is_isolated(subject) ? "isolation.start_timeout_ms" : "options.start_timeout_ms", ms);
	put(settings, is_isolated(subject) ? "isolation.call_timeout_ms" : "options.call_timeout_ms", ms);
}

static cJSON *make_settings(const struct subject *subject, const char *runtime_id)
{
	cJSON *settings = cJSON_CreateObject();
	const cJSON *option;

	if (subject->is_apart)
		be_patient(settings, subject);
	cJSON_ArrayForEach(option, subject->options) {
		CLEANUP_FREE char *key = NULL;

		if (asprintf(&key, "options.%s", option->string) < 0)
			check_fail("no memory");
		put(settings, key, option);
	}
	if (runtime_id) {
		CLEANUP(json_delete) cJSON *value = cJSON_CreateString(runtime_id);

		put(settings, "runtime_id", value);
	}
	return settings;
}

int host_try_open(struct host *host, const struct subject *subject, const char *runtime_id, struct failure *failure)
{
	const struct workspace workspace = {
		.id = BERTH_TEXT("local:conformance"),
		.root = berth_text(subject->workspace_root),
		.data_dir = berth_text(subject->data_dir),
	};
	CLEANUP(json_delete) cJSON *settings = NULL;
	struct instance *instance;
	int rc;

	host_adapter(subject);
	settings = make_settings(subject, runtime_id);
	rc = instance_open(&probed, subject->id, settings, &workspace, &instance, failure);
	if (rc < 0)
		return rc;
	if (registry_add(&host->registry, instance) < 0)
		check_fail("a second instance presents the runtime_id of the first, %s; one was configured", host->runtime_id);
	if (host->registry.n_instances == 1)
		snprintf(host->runtime_id, sizeof host->runtime_id, "%.*s", (int)instance->runtime.base.runtime_id.len,
			 instance->runtime.base.runtime_id.ptr);
	return 0;
}

void host_open(struct host *host, const struct subject *subject, const char *runtime_id)
{
	char line[FAILURE_LINE_MAX];
	struct failure failure;

	if (host_try_open(host, subject, runtime_id, &failure) < 0)
		check_fail("%s", failure_line(&failure, line));
}

void host_close(struct host *host)
{
	registry_fini(&host->registry);
}

void host_unload(void)
{
	loader_fini(&loader);
	loaded = NULL;
}

/* ---- Asking ---- */

__attribute__((format(printf, 2, 0)))
static char *ask(struct host *host, const char *format, va_list args)
{
	CLEANUP(buffer_fini) struct buffer scratch = { 0 };
	struct buffer answer = { 0 };
	CLEANUP_FREE char *line = NULL;

	if (vasprintf(&line, format, args) < 0)
		check_fail("no memory");
	for (char *p = line; *p; p++)
		if (*p == '\'')
			*p = '"';
	batch_answer(&host->registry, berth_text(line), &scratch, &answer);
	buffer_append_char(&answer, '\0');
	if (answer.failed)
		check_fail("no memory for the answer to %s", line);
	return answer.data;
}

char *host_ask(struct host *host, const char *format, ...)
{
	va_list args;
	char *answer;

	va_start(args, format);
	answer = ask(host, format, args);
	va_end(args);
	return answer;
}

cJSON *host_ask_json(struct host *host, const char *format, ...)
{
	CLEANUP_FREE char *answer = NULL;
	va_list args;
	cJSON *json;

	va_start(args, format);
	answer = ask(host, format, args);
	va_end(args);
	json = cJSON_Parse(answer);
	if (!json)
		check_fail("the answer is no JSON: %.200s", answer);
	return json;
}

void host_cut(char *answer, const char *key)
{
	char before[64];

	snprintf(before, sizeof before, "\"%s\":\"", key);
	for (char *p = strstr(answer, before); p; p = strstr(p, before)) {
		char *value = p + strlen(before), *end = value;

		while (*end && *end != '"')
			end += *end == '\\' && end[1] ? 2 : 1;
		memmove(value, end, strlen(end) + 1);
		p = value;
	}
}

void host_cut_times(char *answer)
{
	host_cut(answer, "observed_at");
}

bool host_can(struct host *host, const char *capability)
{
	CLEANUP(json_delete) cJSON *answer = host_ask_json(host, "{'op':'list_runtimes'}");
	const cJSON *capabilities = cJSON_GetObjectItem(cJSON_GetArrayItem(json_items(answer), 0), "capabilities");

	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(capabilities, capability));
}

/* ---- Looking into answers ---- */

const char *json_string(const cJSON *object, const char *key)
{
	const char *string = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));

	return string ? string : "";
}

const cJSON *json_items(const cJSON *answer)
{
	return cJSON_GetObjectItemCaseSensitive(answer, "items");
}

size_t json_n_items(const cJSON *answer)
{
	return (size_t)cJSON_GetArraySize(json_items(answer));
}

const cJSON *json_find(const cJSON *items, const char *key, const char *value)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, items)
		if (strcmp(json_string(item, key), value) == 0)
			return item;
	return NULL;
}

bool json_is_error(const cJSON *answer, const char *kind)
{
	return strcmp(json_string(cJSON_GetObjectItemCaseSensitive(answer, "error"), "kind"), kind) == 0;
}
