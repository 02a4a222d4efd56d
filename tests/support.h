/* SPDX-License-Identifier: MIT */
/* What the tests share: a host with really loaded adapters that is asked in the
 * batch protocol, and scratch directories with worker records. Any failure here
 * fails the running test. */
#ifndef BERTH_TESTS_SUPPORT_H
#define BERTH_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "core/inventory.h"

/* A running host. */
struct host {
	struct inventory inventory;
	struct buffer scratch, answer;
};

/* What a host is started with; NULL members mean the value given behind them. */
struct host_setup {
	const char *adapters;    /* with commas between; local-pod,embedded,remote-reserved */
	const char *adapter_dir; /* the plugins of the build tree */
	const char *root;        /* /workspace/project */
	const char *id;          /* local:test */
	const char *data_dir;    /* none */
	const char *options;     /* of the adapter embedded, JSON with ' in the place of "; none */
	const char *pod_options; /* of local-pod, the same */
};

void host_start(struct host *host, const struct host_setup *setup);

/* The same in three steps, with instances that have settings: an object as in a drop-in,
 * with ' in the place of ". */
void host_prepare(struct host *host, const struct host_setup *setup);
void host_add(struct host *host, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
void host_open(struct host *host, const struct host_setup *setup);
void host_stop(struct host *host);

/* Asks one request, a line of JSON with ' in the place of ", and returns the answer
 * as it was written; it is valid until the next one. */
const char *host_ask(struct host *host, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Asks the line as it stands, of so many bytes. */
const char *host_ask_raw(struct host *host, const char *line, size_t len);

/* The same, parsed; to be freed with cJSON_Delete. */
cJSON *host_ask_json(struct host *host, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Follows a path such as "items.0.source.kind" into parsed JSON; fails where it does
 * not lead anywhere. The string variant wants a string there. */
const cJSON *json_at(const cJSON *json, const char *path);
const char *json_string_at(const cJSON *json, const char *path);

/* Whether a list of diagnostics, at the path, has the code. */
bool json_has_code(const cJSON *json, const char *path, const char *code);

/* Asserts that text equals expected, which is written with ' in the place of ". */
void assert_json_text(const char *text, const char *expected);

/* A new directory; removed with all that is in it by scratch_remove. */
char *scratch_new(void);
void scratch_remove(char *dir);

/* Writes a file below a directory, and the directories that it needs. */
void scratch_write(const char *dir, const char *path, const void *data, size_t len);

/* Writes DIR/pods/NAME/metadata.json; format with ' in the place of ". */
void scratch_record(const char *dir, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Where the build tree has its plugins, and those of the tests. */
const char *plugin_dir(void);
const char *fixture_dir(void);

#endif
