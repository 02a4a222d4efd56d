/* SPDX-License-Identifier: MIT */
/*
 * A program that speaks the batch protocol, not always well: "speaker OP HOW OP HOW..."
 * does in each operation what HOW says, and answers all else as it should. Its runtime is
 * "far", its host "here", its worker "w"; $UNRULY_STARTS, a file, grows by a byte with
 * each start.
 *
 *	garbage    a line that is no JSON         shape      a label that is a number
 *	wrong-id   an id that was not asked       state      a state that is none
 *	no-id      no id at all                   twice      the same answer again
 *	many       more items than were asked     endless    a line without an end
 *	deep       a value nested too deep        cut        half an answer, and the end
 *	late       after 300 ms                   close      closes its output and stays
 *	deaf       closes its input and stays     hold       keeps it until two more are asked,
 *	lacks      does not know the operation               then answers the last first
 *	capable    declares everything, at hello  two-ids    of which only the second was asked
 *	early      answers before it is asked, at hello
 *	and what tests/fixtures/unruly.h has
 */
#include "config.h"

#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdbool.h>
#include <time.h>

#include "tests/fixtures/unruly.h"

#define WORKER                                                                                                  \
	"{\"runtime_id\":\"far\",\"worker_id\":\"%s\",\"host_id\":\"here\",\"label\":%s,\"role\":null,"        \
	"\"profile\":null,\"workspace\":{\"visibility\":\"none\",\"identity\":\"none\"},\"state\":\"running\"," \
	"\"status\":\"running\",\"last_seen_at\":\"2026-01-02T03:04:05.5+01:00\",\"implementation\":{\"kind\":\"speaker\"," \
	"\"display_hint\":\"\\u00e9\\ud83d\\ude00\"},\"capabilities\":{\"can_stop\":true},\"diagnostics\":[]}"

#define EVERYTHING                                                                                              \
	",\"capabilities\":{\"can_list_hosts\":true,\"can_list_workers\":true,\"can_get_worker\":true,"        \
	"\"can_spawn_worker\":true,\"can_stop_worker\":true,\"can_accept_input\":true,\"can_stream_events\":true," \
	"\"can_read_bounded_transcript\":true}"

static struct {
	char *lines[8];
	size_t n;
	bool answering;
} held;

__attribute__((format(printf, 1, 2)))
static void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	fflush(stdout);
}

static void say_workers(int n, const char *label)
{
	say("\"items\":[");
	for (int i = 0; i < n; i++) {
		char id[16];

		snprintf(id, sizeof id, i ? "w%d" : "w", i);
		say("%s", i ? "," : "");
		say(WORKER, id, label);
	}
	say("],\"diagnostics\":[]}\n");
}

/* Two events, and then none: the cursors are texts that have to come back as they are. */
static void answer_events(const char *how, const char *state, const cJSON *request)
{
	const char *cursor = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(request, "cursor"));
	double limit = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(request, "limit"));
	int first = !cursor ? 1 : strcmp(cursor, "1\\\"") == 0 ? 2 : strcmp(cursor, "2\\\"") == 0 ? 3 : 4;

	if (first == 4) {
		say("\"state\":\"rejected\",\"items\":[],\"diagnostics\":[{\"code\":\"no_cursor\",\"severity\":\"warning\","
		    "\"message\":\"it is none of ours\"}]}\n");
		return;
	}
	if (strcmp(how, "shape") == 0) {
		say("\"state\":\"accepted\",\"next_cursor\":7,\"more\":false,\"items\":[],\"diagnostics\":[]}\n");
		return;
	}
	say("\"state\":\"%s\",\"runtime_id\":\"far\",\"next_cursor\":\"%d\\\\\\\"\",\"more\":%s,\"items\":[", state,
	    first == 3 || limit >= 2 ? 2 : first, first == 1 && limit < 2 ? "true" : "false");
	if (first == 1)
		say("{\"event_id\":1,\"kind\":\"runtime_started\",\"occurred_at\":null,\"worker_id\":null,"
		    "\"transcript_sequence\":null,\"cursor\":\"1\\\\\\\"\"}");
	if (first == 2 || (first == 1 && limit >= 2))
		say("%s{\"event_id\":4,\"kind\":\"input_accepted\",\"occurred_at\":\"2026-01-02T03:04:05Z\",\"worker_id\":\"w\","
		    "\"transcript_sequence\":1,\"cursor\":\"2\\\\\\\"\"}", first == 1 ? "," : "");
	say("],\"diagnostics\":[]}\n");
}

/* Answers the request, behind its id. */
static void answer(const char *op, const char *how, const cJSON *request)
{
	const char *label = strcmp(how, "shape") == 0 ? "7" : "\"a \\\"worker\\\"\"";
	const char *state = strcmp(how, "state") == 0 ? "perhaps" : "accepted";
	const char *worker_id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(request, "worker_id"));

	if (strcmp(how, "deep") == 0) {
		say("\"items\":");
		for (int i = 0; i < 200; i++)
			say("[");
		for (int i = 0; i < 200; i++)
			say("]");
		say(",\"diagnostics\":[]}\n");
	} else if (strcmp(how, "lacks") == 0) {
		say("\"error\":{\"kind\":\"bad_request\",\"message\":\"no such operation\"}}\n");
	} else if (strcmp(op, "list_runtimes") == 0) {
		say("\"items\":[{\"runtime_id\":\"far\",\"label\":\"Far\",\"kind\":\"speaker\",\"status\":\"running\","
		    "\"source\":{\"kind\":\"speaker\",\"status\":\"active\",\"note\":\"for tests\"},\"host_ids\":[\"here\"],"
		    "\"capabilities\":{\"can_list_workers\":true,\"can_stream_events\":true,\"workspace_scope\":\"none\"},\"diagnostics\":[]}],"
		    "\"diagnostics\":[]}\n");
	} else if (strcmp(op, "list_hosts") == 0) {
		say("\"items\":[{\"runtime_id\":\"far\",\"host_id\":\"here\",\"label\":\"Here\",\"kind\":\"speaker\","
		    "\"status\":\"available\",\"observed_at\":\"2026-01-02T03:04:05Z\",\"capabilities\":{}}],"
		    "\"diagnostics\":[{\"code\":\"said\",\"severity\":\"warning\",\"message\":\"so\"}]}\n");
	} else if (strcmp(op, "list_workers") == 0) {
		say_workers(strcmp(how, "many") == 0 ? 5000 : 1, label);
	} else if (strcmp(op, "spawn_worker") == 0) {
		say("\"state\":\"%s\",\"worker\":", state);
		say(WORKER, "w", label);
		say(",\"acceptance_evidence\":[{\"kind\":\"made\",\"detail\":\"it\"}],\"diagnostics\":[]}\n");
	} else if (strcmp(op, "connect_points") == 0) {
		say("\"items\":[{\"kind\":\"door\",\"status\":\"open\",\"diagnostics\":[]}],\"diagnostics\":[]}\n");
	} else if (worker_id && strcmp(worker_id, "w") != 0) {
		say("\"error\":{\"kind\":\"unknown_worker\",\"runtime_id\":\"far\",\"worker_id\":\"x\"}}\n");
	} else if (strcmp(op, "worker") == 0) {
		char text[1024];

		snprintf(text, sizeof text, WORKER, "w", label);
		say("%s\n", text + 1);
	} else if (strcmp(op, "transcript") == 0) {
		say("\"state\":\"%s\",\"total_items\":2,\"next_start\":1,\"items\":[{\"sequence\":1,\"role\":\"user\","
		    "\"content\":\"Ahoy\",\"event_id\":1}],\"diagnostics\":[]}\n", state);
	} else if (strcmp(op, "read_events") == 0) {
		answer_events(how, state, request);
	} else if (strcmp(op, "send_input") == 0) {
		say("\"state\":\"%s\",\"transcript_sequence\":1,\"event_id\":2,\"diagnostics\":[]}\n", state);
	} else if (strcmp(op, "stop_worker") == 0) {
		say("\"state\":\"%s\",\"diagnostics\":[]}\n", state);
	} else {
		say("\"error\":{\"kind\":\"bad_request\",\"message\":\"no such operation\"}}\n");
	}
}

static void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

static void stay(void)
{
	for (;;)
		pause();
}

static void handle(const char *op, const char *how, const char *line);

/* Keeps the line; with two others it is answered, the last first. */
static void hold(const char *op, const char *line)
{
	held.lines[held.n++] = strdup(line);
	while (held.n == 3 || (held.n > 0 && held.answering)) {
		char *last = held.lines[--held.n];

		held.answering = held.n > 0;
		handle(op, "", last);
		free(last);
	}
}

static void handle(const char *op, const char *how, const char *line)
{
	static char much[1 << 20];
	cJSON *request = cJSON_Parse(line);
	double id = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(request, "id"));

	if (strcmp(how, "hold") == 0) {
		hold(op, line);
		cJSON_Delete(request);
		return;
	}
	memset(much, 'x', sizeof much);
	if (strcmp(how, "garbage") == 0)
		say("Welcome to this machine\x1b[31m\n");
	else if (strcmp(how, "endless") == 0)
		for (;;)
			fwrite(much, 1, sizeof much, stdout);
	else if (strcmp(how, "late") == 0)
		sleep_ms(300);
	else if (strcmp(how, "close") == 0) {
		fclose(stdout);
		stay();
	} else if (strcmp(how, "deaf") == 0) {
		/* What it answers before is its last. */
		fclose(stdin);
	}
	if (strcmp(how, "cut") == 0) {
		say("{\"id\":%.0f,\"items\":[{", id);
		_exit(0);
	}
	do_unruly(how);
	if (strcmp(op, "hello") == 0)
		say("{\"protocol\":1,\"runtimes\":[{\"runtime_id\":\"%s\",\"adapter\":\"x\"%s}%s]}\n%s",
		    strcmp(how, "spaced") == 0 ? "f ar" : "far", strcmp(how, "capable") == 0 ? EVERYTHING : "",
		    strcmp(how, "several") == 0 ? ",{\"runtime_id\":\"other\"}" : "",
		    strcmp(how, "early") == 0 ? "{\"id\":1,\"items\":[],\"diagnostics\":[]}\n" : "");
	else
		for (int i = 0; i <= (strcmp(how, "twice") == 0); i++) {
			if (strcmp(how, "no-id") == 0)
				say("{");
			else if (strcmp(how, "two-ids") == 0)
				say("{\"id\":-1,\"id\":%.0f,", id);
			else
				say("{\"id\":%.0f,", strcmp(how, "wrong-id") == 0 ? id + 1000 : id);
			answer(op, how, request);
		}
	cJSON_Delete(request);
	if (strcmp(how, "deaf") == 0)
		stay();
}

static void count_start(void)
{
	const char *file = getenv("UNRULY_STARTS");
	FILE *out = file ? fopen(file, "a") : NULL;

	if (out) {
		fputc('.', out);
		fclose(out);
	}
}

int main(int argc, char **argv)
{
	char *line = NULL;
	size_t size = 0;

	count_start();
	while (getline(&line, &size, stdin) > 0) {
		cJSON *request = cJSON_Parse(line);
		const char *op = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(request, "op")), *how = "";

		if (!op)
			return 2;
		for (int i = 1; i + 1 < argc; i += 2)
			if (strcmp(op, argv[i]) == 0)
				how = argv[i + 1];
		handle(op, how, line);
		cJSON_Delete(request);
		if (feof(stdin))
			break;
	}
	free(line);
	return 0;
}
