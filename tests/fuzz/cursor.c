/* SPDX-License-Identifier: MIT */
/* The cursors of the embedded runtime: good are those that it has given, to the letter, and
 * no others, however a caller may have made them up. */
#include "config.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json_writer.h"
#include "core/text.h"
#include "tests/fuzz/fuzz.h"

static const char *const beginning = "{\"op\":\"read_events\",\"runtime_id\":\"embedded-worker-runtime\",\"cursor\":";
enum { N_EVENTS = 20 };

static struct registry registry;
static char given[N_EVENTS + 1][BERTH_CURSOR_MAX + 1];
static size_t prefix; /* what all of them begin with */

static void close_registry(void)
{
	registry_fini(&registry);
}

static cJSON *ask(const char *line)
{
	struct berth_text answer = fuzz_ask(&registry, berth_text(line));
	cJSON *json = cJSON_ParseWithLength(answer.ptr, answer.len);

	FUZZ_CHECK(json);
	return json;
}

/* Has as many events as there are cursors, and keeps those. */
int LLVMFuzzerInitialize(int *argcp, char ***argvp)
{
	const cJSON *event;
	cJSON *json;
	size_t n = 1;

	(void)argcp, (void)argvp;
	fuzz_add_instance(&registry, "embedded", NULL, NULL);
	atexit(close_registry);
	for (int i = 1; i < N_EVENTS; i++)
		cJSON_Delete(ask("{\"op\":\"spawn_worker\",\"runtime_id\":\"embedded-worker-runtime\",\"request\":{\"intent\":"
				 "{\"kind\":\"workspace_companion\"},\"acceptance\":{\"kind\":\"run_accepted\","
				 "\"expected_segments\":0}}}"));
	json = ask("{\"op\":\"read_events\",\"runtime_id\":\"embedded-worker-runtime\"}");
	cJSON_ArrayForEach(event, cJSON_GetObjectItemCaseSensitive(json, "items")) {
		FUZZ_CHECK(n <= N_EVENTS);
		snprintf(given[n++], sizeof *given, "%s",
			 cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(event, "cursor")));
	}
	cJSON_Delete(json);
	FUZZ_CHECK(n == N_EVENTS + 1);
	/* Before the first event one has to be asked for. */
	json = ask("{\"op\":\"read_events\",\"runtime_id\":\"embedded-worker-runtime\",\"limit\":0}");
	snprintf(*given, sizeof *given, "%s", cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "next_cursor")));
	cJSON_Delete(json);
	while (given[0][prefix] == given[1][prefix])
		prefix++;
	return 0;
}

static bool is_given(struct berth_text cursor)
{
	for (size_t i = 0; i <= N_EVENTS; i++)
		if (text_is(cursor, given[i]))
			return true;
	return false;
}

/* Whatever it is, mostly behind what all of them begin with. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz fuzz = { data, size };
	struct buffer cursor = { 0 }, line = { 0 };
	struct berth_text text, answer;
	cJSON *json;

	if (fuzz_byte(&fuzz) & 3)
		buffer_append(&cursor, *given, prefix);
	buffer_append(&cursor, fuzz.p, fuzz.left);
	text = (struct berth_text){ cursor.data, cursor.len };
	buffer_append_string(&line, beginning);
	if (json_write_string(&line, text)) {
		buffer_append_char(&line, '}');
		answer = fuzz_ask(&registry, (struct berth_text){ line.data, line.len });
		json = cJSON_ParseWithLength(answer.ptr, answer.len);
		FUZZ_CHECK(json && cJSON_IsString(cJSON_GetObjectItemCaseSensitive(json, "state")));
		FUZZ_CHECK((strcmp(cJSON_GetObjectItemCaseSensitive(json, "state")->valuestring, "accepted") == 0) ==
			   is_given(text));
		cJSON_Delete(json);
	}
	buffer_fini(&line);
	buffer_fini(&cursor);
	return 0;
}
