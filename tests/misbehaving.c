/* SPDX-License-Identifier: MIT */
/*
 * What callers see of an adapter that breaks its contract, one violation a row: the
 * bad item is missing, the good ones are there, the answer says adapter_failed, and
 * the next request is answered as if nothing had been.
 *
 * An answer is compared as a summary: its state or error, the ids of its items, each
 * with the number of its diagnostics if there are any, a bar, and the diagnostics of
 * the answer with their severity, equal ones counted.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/log.h"
#include "tests/support.h"

static struct host host;

#define FAILED "adapter_failed:error"
#define SECRET "hunter2"

/* Tells the fixture what to violate: in this process by a variable, in another one by a
 * file. */
static void violate(const char *violation)
{
	const char *path = getenv("BERTH_FIXTURE_FILE");
	FILE *file = path ? fopen(path, "w") : NULL;

	setenv("BERTH_FIXTURE", violation, 1);
	if (!path)
		return;
	assert_non_null(file);
	fputs(violation, file);
	assert_int_equal(fclose(file), 0);
}

enum asked {
	RUNTIMES,
	HOSTS,
	WORKERS,
	WORKERS_OF_HOST,
	WORKER,
	SPAWN,
	STOP,
	INPUT,
	TRANSCRIPT,
	POINTS,
	EVENTS,
	N_ASKED,
};

#define WHERE "'runtime_id':'misbehaving','worker_id':'spoiled'"

/* Each request, and the summary of its answer where nothing is violated. */
static const struct {
	const char *line, *good;
} requests[N_ASKED] = {
	[RUNTIMES] = { "{'op':'list_runtimes'}", "of runtime |" },
	[HOSTS] = { "{'op':'list_hosts'}", "first spoiled last |" },
	[WORKERS] = { "{'op':'list_workers'}", "first spoiled last |" },
	[WORKERS_OF_HOST] = { "{'op':'list_workers_for_host','host_id':'first'}", "first spoiled last |" },
	[WORKER] = { "{'op':'worker'," WHERE "}", "spoiled |" },
	[SPAWN] = { "{'op':'spawn_worker','runtime_id':'misbehaving','request':{"
		    "'intent':{'kind':'workspace_companion'},'acceptance':{'kind':'socket_ready'}}}",
		    "accepted spoiled first spoiled last |" },
	[STOP] = { "{'op':'stop_worker','runtime_id':'misbehaving','request':{'worker_id':'spoiled','mode':'force'}}",
		   "accepted |" },
	[INPUT] = { "{'op':'send_input'," WHERE ",'request':{'content':'hello'}}", "accepted 5 6 |" },
	[TRANSCRIPT] = { "{'op':'transcript'," WHERE "}", "accepted 3 first spoiled last |" },
	[POINTS] = { "{'op':'connect_points'," WHERE "}", "first spoiled last |" },
	[EVENTS] = { "{'op':'read_events','runtime_id':'misbehaving'}", "accepted first spoiled last |" },
};

static const struct row {
	const char *name, *violation;
	enum asked asked;
	const char *expected;
} rows[] = {
	{ "a list that fails keeps what was pushed", "return list_workers -5", WORKERS,
	  "first spoiled last | " FAILED },
	{ "a list of hosts that fails keeps what was pushed", "return list_hosts -5", HOSTS,
	  "first spoiled last | " FAILED },
	{ "a list of connect points that fails keeps what was pushed", "return connect_points -5", POINTS,
	  "first spoiled last | " FAILED },
	{ "ENOENT from a list is a failure", "return list_workers -2", WORKERS, "first spoiled last | " FAILED },
	{ "ENOENT from a list of hosts is a failure", "return list_hosts -2", HOSTS, "first spoiled last | " FAILED },
	{ "a positive return of a list counts as failed", "return list_workers 7", WORKERS,
	  "first spoiled last | " FAILED },
	{ "a list that is left to the registry after pushes has failed", "return list_workers 2", WORKERS,
	  "first spoiled last | " FAILED },
	{ "a return that is no errno counts as failed", "return list_workers -2147483648", WORKERS,
	  "first spoiled last | " FAILED },
	{ "a bad item in a list that is left to the registry is told of", "leave list_workers -", WORKERS,
	  "| " FAILED },
	{ "a runtime that fails is presented", "return runtime -5", RUNTIMES, "of runtime | " FAILED },
	{ "a runtime that pushes none is presented as open pushed it", "push never -", RUNTIMES, "of open | " FAILED },
	{ "a second runtime is dropped", "push twice -", RUNTIMES, "of runtime | " FAILED },
	{ "ENOENT of the runtime is a failure", "return runtime -2", RUNTIMES, "of runtime | " FAILED },
	{ "a runtime of another id than open gave is dropped", "runtime runtime_id upper", RUNTIMES,
	  "of open | " FAILED },
	{ "a runtime with a host id that is no identifier is dropped", "runtime host_ids slash", RUNTIMES,
	  "of open | " FAILED },
	{ "a runtime with host ids that are not there is dropped", "runtime host_ids null", RUNTIMES,
	  "of open | " FAILED },
	{ "a runtime of size 0 is dropped", "runtime size 0", RUNTIMES, "of open | " FAILED },
	{ "a runtime with diagnostics of no size is dropped", "runtime diagnostics size0", RUNTIMES,
	  "of open | " FAILED },
	{ "a runtime with a bad diagnostic is dropped with all of them", "runtime diagnostics code", RUNTIMES,
	  "of open | " FAILED },
	{ "a spawn that fails is rejected", "return spawn_worker -5", SPAWN, "rejected | " FAILED },
	{ "ENOENT of a spawn is a failure", "return spawn_worker -2", SPAWN, "rejected | " FAILED },
	{ "a spawn that is left to the registry after an answer is rejected", "return spawn_worker 2", SPAWN,
	  "rejected | " FAILED },
	{ "a spawn that returns 7 is rejected", "return spawn_worker 7", SPAWN, "rejected | " FAILED },
	{ "a spawn without an answer is rejected", "answer none -", SPAWN, "rejected | " FAILED },
	{ "a spawn whose answer comes last has lost what came before", "answer late -", SPAWN, "accepted | " FAILED },
	{ "an accepted spawn without its worker is told of", "push never -", SPAWN, "accepted | " FAILED },
	{ "a spawned worker that is bad is dropped", "worker worker_id slash", SPAWN,
	  "accepted first spoiled last | " FAILED },
	{ "a stop that fails is rejected", "return stop_worker -5", STOP, "rejected | " FAILED },
	{ "a stop that returns 7 is rejected", "return stop_worker 7", STOP, "rejected | " FAILED },
	{ "a stop without an answer is rejected", "answer none -", STOP, "rejected | " FAILED },
	{ "an answer of state 0 is none", "answer state 0", STOP, "rejected | " FAILED },
	{ "an answer of state 99 is none", "answer state 99", STOP, "rejected | " FAILED },
	{ "an answer of a state beyond 32 bits is none", "answer state 4294967297", STOP, "rejected | " FAILED },
	{ "of two answers the first one holds", "answer twice -", STOP, "accepted | " FAILED },
	{ "an input that fails is rejected and has no numbers", "return send_input -5", INPUT, "rejected | " FAILED },
	{ "an input without an answer is rejected", "answer none -", INPUT, "rejected | " FAILED },
	{ "of two answers to an input the first one holds", "answer twice -", INPUT, "accepted 5 6 | " FAILED },
	{ "a transcript that fails is rejected and has no items", "return transcript -5", TRANSCRIPT,
	  "rejected 0 | " FAILED },
	{ "a transcript without an answer is rejected", "answer none -", TRANSCRIPT, "rejected 0 | " FAILED },
	{ "a transcript of state 99 is rejected", "answer state 99", TRANSCRIPT, "rejected 0 | " FAILED },
	{ "items before the answer of a transcript are dropped", "answer late -", TRANSCRIPT, "accepted 3 | " FAILED },
	{ "events that fail are rejected and there are none", "return read_events -5", EVENTS, "rejected | " FAILED },
	{ "ENOENT of events is a failure", "return read_events -2", EVENTS, "rejected | " FAILED },
	{ "events without an answer are rejected", "answer none -", EVENTS, "rejected | " FAILED },
	{ "events before their answer are dropped", "answer late -", EVENTS, "accepted | " FAILED },
	{ "events that do not say where to go on are rejected", "answer cursor missing", EVENTS, "rejected | " FAILED },
	{ "an older answer does not say where to go on", "answer older -", EVENTS, "rejected | " FAILED },
	{ "an empty cursor is none", "answer cursor empty", EVENTS, "rejected | " FAILED },
	{ "a cursor with a space is none", "answer cursor space", EVENTS, "rejected | " FAILED },
	{ "a cursor with a NUL is none", "answer cursor nul", EVENTS, "rejected | " FAILED },
	{ "a cursor that is not ASCII is none", "answer cursor byte", EVENTS, "rejected | " FAILED },
	{ "a cursor of a byte too many is none", "answer cursor long_cursor", EVENTS, "rejected | " FAILED },
	{ "a cursor of a rejection must be one, too", "answer rejected byte", EVENTS, "rejected | " FAILED },
	{ "nor may it be longer there", "answer rejected long_cursor", EVENTS, "rejected | " FAILED },
	{ "an event of id 0 is dropped", "event event_id 0", EVENTS, "accepted first last | " FAILED },
	{ "an event whose worker_id is no identifier is dropped", "event worker_id slash", EVENTS,
	  "accepted first last | " FAILED },
	{ "an event without a cursor is dropped", "event cursor missing", EVENTS, "accepted first last | " FAILED },
	{ "an event whose cursor is too long is dropped", "event cursor long_cursor", EVENTS,
	  "accepted first last | " FAILED },
	{ "an event of an older header has no cursor and is dropped", "event size cursor", EVENTS,
	  "accepted first last | " FAILED },
	{ "strangers among events are dropped", "push strangers -", EVENTS, "accepted first spoiled last | " FAILED },
	{ "a sequence of 0 is dropped", "transcript_item sequence 0", TRANSCRIPT, "accepted 3 first last | " FAILED },
	{ "an event id of 0 is dropped", "transcript_item event_id 0", TRANSCRIPT, "accepted 3 first last | " FAILED },
	{ "a boss has no part in a transcript", "transcript_item role boss", TRANSCRIPT,
	  "accepted 3 first last | " FAILED },
	{ "content that is not there is dropped", "transcript_item content missing", TRANSCRIPT,
	  "accepted 3 first last | " FAILED },
	{ "content that is no UTF-8 is dropped", "transcript_item content cut", TRANSCRIPT,
	  "accepted 3 first last | " FAILED },
	{ "content of a byte too many is dropped", "transcript_item content long_content", TRANSCRIPT,
	  "accepted 3 first last | " FAILED },
	{ "strangers in a list of hosts are dropped", "push strangers -", HOSTS, "first spoiled last | " FAILED },
	{ "strangers in a list of workers are dropped", "push strangers -", WORKERS, "first spoiled last | " FAILED },
	{ "strangers in a runtime are dropped", "push strangers -", RUNTIMES, "of runtime | " FAILED },
	{ "strangers in a spawn are dropped", "push strangers -", SPAWN,
	  "accepted spoiled first spoiled last | " FAILED },
	{ "strangers in a stop are dropped", "push strangers -", STOP, "accepted | " FAILED },
	{ "strangers in an input are dropped", "push strangers -", INPUT, "accepted 5 6 | " FAILED },
	{ "strangers in a transcript are dropped", "push strangers -", TRANSCRIPT,
	  "accepted 3 first spoiled last | " FAILED },
	{ "strangers among connect points are dropped", "push strangers -", POINTS, "first spoiled last | " FAILED },
	{ "a worker of another id than was asked for is not shown", "push other -", WORKER, "unknown_worker" },
	{ "a worker whose id is no identifier is not shown", "worker worker_id slash", WORKER, "unknown_worker" },
	{ "a worker that cannot be presented is not shown", "worker label byte", WORKER, "unknown_worker" },
	{ "ENOENT of a worker is not a failure", "return worker -2", WORKER, "unknown_worker" },
	{ "ENOENT of a stop is not a failure", "return stop_worker -2", STOP, "unknown_worker" },
	{ "ENOENT of an input is not a failure", "return send_input -2", INPUT, "unknown_worker" },
	{ "ENOENT of a transcript is not a failure", "return transcript -2", TRANSCRIPT, "unknown_worker" },
	{ "ENOENT of connect points is not a failure", "return connect_points -2", POINTS, "unknown_worker" },
	{ "an identifier with a slash is dropped", "worker worker_id slash", WORKERS, "first last | " FAILED },
	{ "an identifier with a dot is dropped", "worker worker_id dot", WORKERS, "first last | " FAILED },
	{ "an empty identifier is dropped", "worker worker_id empty", WORKERS, "first last | " FAILED },
	{ "an identifier of a byte too many is dropped", "worker worker_id long_id", WORKERS, "first last | " FAILED },
	{ "an identifier with a NUL is dropped", "host host_id nul", HOSTS, "first last | " FAILED },
	{ "a runtime_id of a worker is an identifier", "worker runtime_id slash", WORKERS, "first last | " FAILED },
	{ "a host_id of a worker is an identifier", "worker host_id slash", WORKERS, "first last | " FAILED },
	{ "a bad worker of the host is dropped", "worker label missing", WORKERS_OF_HOST, "first last | " FAILED },
	{ "a bad host beside the one that is meant is told of", "host label missing", WORKERS_OF_HOST,
	  "first spoiled last | " FAILED },
	{ "a worker of size 0 is dropped", "worker size 0", WORKERS, "first last | " FAILED },
	{ "a worker that ends within its size is dropped", "worker size 3", WORKERS, "first last | " FAILED },
	{ "a worker that ends before a required text is dropped", "worker size implementation_hint", WORKERS,
	  "first last | " FAILED },
	{ "a connect point of size 0 is dropped", "connect_point size 0", POINTS, "first last | " FAILED },
	{ "diagnostics of size 0 cost the item", "worker diagnostics size0", WORKERS, "first last | " FAILED },
	{ "diagnostics of a size that is none cost the item", "worker diagnostics size7", WORKERS,
	  "first last | " FAILED },
	{ "diagnostics that are not there cost the item", "worker diagnostics null", WORKERS, "first last | " FAILED },
	{ "a diagnostic with a bad code costs the item", "worker diagnostics code", WORKERS, "first last | " FAILED },
	{ "a diagnostic without a message costs the item", "worker diagnostics message", WORKERS,
	  "first last | " FAILED },
	{ "diagnostics of size 0 cost the host", "host diagnostics size0", HOSTS, "first last | " FAILED },
	{ "diagnostics of size 0 cost the connect point", "connect_point diagnostics size0", POINTS,
	  "first last | " FAILED },
	{ "a diagnostic that is NULL is dropped", "push null -", STOP, "accepted | " FAILED },
	{ "a diagnostic of size 0 is dropped", "diagnostic size 0", WORKERS,
	  "first spoiled last | good:warning(2) " FAILED },
	{ "a diagnostic with an empty code is dropped", "diagnostic code empty", WORKERS,
	  "first spoiled last | good:warning(2) " FAILED },
	{ "a diagnostic with capitals in its code is dropped", "diagnostic code upper", WORKERS,
	  "first spoiled last | good:warning(2) " FAILED },
	{ "a diagnostic with a code of 121 characters is dropped", "diagnostic code long_id", WORKERS,
	  "first spoiled last | good:warning(2) " FAILED },
	{ "a diagnostic of a stop is held to the same", "diagnostic message byte", STOP,
	  "accepted | good:warning(2) " FAILED },
	/* What is fine. */
	{ "a code of one character is one", "diagnostic code one", WORKERS,
	  "first spoiled last | good:warning x:warning good:warning" },
	{ "an unknown severity is an info", "diagnostic severity 99", WORKERS,
	  "first spoiled last | good:warning good:info good:warning" },
	{ "a severity of 0 is an info", "diagnostic severity 0", WORKERS,
	  "first spoiled last | good:warning good:info good:warning" },
	{ "an older diagnostic has no severity", "diagnostic size severity", WORKERS,
	  "first spoiled last | good:warning good:info good:warning" },
	{ "a newer diagnostic is read as far as it is known", "diagnostic size newer", WORKERS,
	  "first spoiled last | good:warning(3)" },
	{ "of too many diagnostics of an answer 16 are kept", "push diagnostics -", STOP,
	  "accepted | good:warning(16)" },
	{ "of too many diagnostics of a worker 16 are kept", "worker diagnostics many", WORKERS,
	  "first spoiled(16) last |" },
	{ "of too many diagnostics of a host 16 are kept", "host diagnostics many", HOSTS, "first spoiled(16) last |" },
	{ "of too many diagnostics of a connect point 16 are kept", "connect_point diagnostics many", POINTS,
	  "first spoiled(16) last |" },
	{ "of too many diagnostics of a runtime 16 are kept", "runtime diagnostics many", RUNTIMES,
	  "of runtime | many:warning(16)" },
	{ "wide diagnostics are stepped by the first one's size", "worker diagnostics wide", WORKERS,
	  "first spoiled(3) last |" },
	{ "narrow diagnostics are stepped by the first one's size", "worker diagnostics narrow", WORKERS,
	  "first spoiled(3) last |" },
	{ "wide diagnostics of a runtime are stepped alike", "runtime diagnostics wide", RUNTIMES,
	  "of runtime | wide:warning(3)" },
	{ "an older worker has no diagnostics", "worker size diagnostics", WORKERS, "first spoiled last |" },
	{ "an older worker has no capabilities", "worker size can", WORKERS, "first spoiled last |" },
	{ "an older host has no scope", "host size local_pod_inspection", HOSTS, "first spoiled last |" },
	{ "an older runtime has no host ids", "runtime size host_ids", RUNTIMES, "of runtime |" },
	{ "an older connect point has no diagnostics", "connect_point size diagnostics", POINTS,
	  "first spoiled last |" },
	{ "an older answer has no numbers", "answer older -", INPUT, "accepted |" },
	{ "a newer worker is read as far as it is known", "worker size newer", WORKERS, "first spoiled last |" },
	{ "a newer host is read as far as it is known", "host size newer", HOSTS, "first spoiled last |" },
	{ "a newer runtime is read as far as it is known", "runtime size newer", RUNTIMES, "of runtime |" },
	{ "evidence may come before its worker", "push between -", SPAWN, "accepted spoiled first spoiled last |" },
	{ "newer evidence is read as far as it is known", "evidence size newer", SPAWN,
	  "accepted spoiled first spoiled last |" },
	{ "a newer transcript item is read as far as it is known", "transcript_item size newer", TRANSCRIPT,
	  "accepted 3 first spoiled last |" },
	{ "a newer event is read as far as it is known", "event size newer", EVENTS, "accepted first spoiled last |" },
	{ "a cursor as long as may be is one", "event cursor cursor", EVENTS, "accepted first spoiled last |" },
	{ "next_cursor as long as may be is one", "answer cursor cursor", EVENTS, "accepted first spoiled last |" },
	{ "a newer connect point is read as far as it is known", "connect_point size newer", POINTS,
	  "first spoiled last |" },
	{ "a later runtime need not name its id", "runtime runtime_id missing", RUNTIMES, "of runtime |" },
	{ "what a push returned is a fine end of a list", "return list_workers 1", WORKERS, "first spoiled last |" },
	{ "what a push returned is a fine end of a stop", "return stop_worker 1", STOP, "accepted |" },
	{ "an answer of unsupported is an answer", "answer state 2", STOP, "unsupported |" },
	{ "an answer of rejected is an answer", "answer state 3", STOP, "rejected |" },
	{ "a rejection need not say where to go on", "answer rejected missing", EVENTS, "rejected first spoiled last |" },
	{ "but may", "answer rejected cursor", EVENTS, "rejected first spoiled last |" },
};

/* ---- Summaries ---- */

static const cJSON *get(const cJSON *json, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(json, key);
}

static void add(struct buffer *summary, const char *word)
{
	if (summary->len > 0)
		buffer_append_char(summary, ' ');
	buffer_append(summary, word, strnlen(word, 16));
}

static void add_count(struct buffer *summary, int n)
{
	char text[32];

	snprintf(text, sizeof text, "(%d)", n);
	if (n > 0)
		buffer_append_string(summary, text);
}

/* The first of the keys that the item has. */
static void add_item(struct buffer *summary, const cJSON *item)
{
	static const char *const keys[] = { "worker_id", "host_id", "content", "source", "kind" };
	const cJSON *id = NULL;

	for (size_t i = 0; i < sizeof keys / sizeof *keys && !id; i++)
		id = get(item, keys[i]);
	if (cJSON_IsObject(id))
		id = get(item, "label");
	add(summary, cJSON_GetStringValue(id) ? cJSON_GetStringValue(id) : "?");
	if (!get(item, "source"))
		add_count(summary, cJSON_GetArraySize(get(item, "diagnostics")));
}

static void add_items(struct buffer *summary, const cJSON *items)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, items)
		add_item(summary, item);
}

static void add_diagnostics(struct buffer *summary, const cJSON *diagnostics)
{
	char word[256], last[256] = "";
	const cJSON *item;
	int n = 0;

	add(summary, "|");
	cJSON_ArrayForEach(item, diagnostics) {
		snprintf(word, sizeof word, "%s:%s", json_string_at(item, "code"), json_string_at(item, "severity"));
		json_string_at(item, "message");
		if (strcmp(word, last) == 0) {
			n++;
			continue;
		}
		add_count(summary, n > 1 ? n : 0);
		buffer_append_char(summary, ' ');
		buffer_append_string(summary, word);
		memcpy(last, word, sizeof last);
		n = 1;
	}
	add_count(summary, n > 1 ? n : 0);
}

static void add_number(struct buffer *summary, const cJSON *number)
{
	char text[32];

	if (!number)
		return;
	snprintf(text, sizeof text, "%.0f", cJSON_GetNumberValue(number));
	add(summary, text);
}

static void summarise(struct buffer *summary, const cJSON *answer)
{
	if (get(answer, "error")) {
		add(summary, json_string_at(answer, "error.kind"));
		return;
	}
	if (get(answer, "worker_id") && get(answer, "label")) {
		add_item(summary, answer);
		add(summary, "|");
		return;
	}
	if (get(answer, "state"))
		add(summary, json_string_at(answer, "state"));
	add_number(summary, get(answer, "transcript_sequence"));
	add_number(summary, get(answer, "event_id"));
	add_number(summary, get(answer, "total_items"));
	if (get(answer, "worker"))
		add_item(summary, get(answer, "worker"));
	add_items(summary, get(answer, "acceptance_evidence"));
	add_items(summary, get(answer, "items"));
	add_diagnostics(summary, json_at(answer, "diagnostics"));
}

/* Asks, and compares the summary of the answer. */
static void check(enum asked asked, const char *expected)
{
	cJSON *answer = host_ask_json(&host, "%s", requests[asked].line);
	CLEANUP(buffer_fini) struct buffer summary = { 0 };

	assert_null(strstr(host.answer.data, SECRET));
	summarise(&summary, answer);
	buffer_append_char(&summary, '\0');
	cJSON_Delete(answer);
	assert_string_equal(summary.data, expected);
}

/* ---- The tests ---- */

static void test_row(void **state)
{
	const struct row *row = *state;

	violate(row->violation);
	check(row->asked, row->expected);
	violate("");
	check(row->asked, requests[row->asked].good);
}

static int forget_violation(void **state)
{
	(void)state;
	violate("");
	return 0;
}

static void test_nothing_violated(void **state)
{
	(void)state;
	for (enum asked asked = 0; asked < N_ASKED; asked++)
		check(asked, requests[asked].good);
}

/* Every text of every item, required unless it is listed as optional. */
static void test_every_text(void **state)
{
	static const struct {
		const char *item, *members;
		enum asked asked;
		const char *without; /* the summary where the spoiled item is missing */
		bool optional;
	} items[] = {
		{ "host", "host_id label kind status", HOSTS, "first last | " FAILED, false },
		{ "worker", "worker_id host_id label workspace_visibility workspace_identity state status "
			    "implementation_kind implementation_hint", WORKERS, "first last | " FAILED, false },
		{ "worker", "role profile runtime_id", WORKERS, "first last | " FAILED, true },
		{ "worker", "label state", SPAWN, "accepted first spoiled last | " FAILED, false },
		{ "evidence", "kind detail", SPAWN, "accepted spoiled first last | " FAILED, false },
		{ "transcript_item", "role", TRANSCRIPT, "accepted 3 first last | " FAILED, false },
		{ "connect_point", "kind status", POINTS, "first last | " FAILED, false },
		{ "event", "kind", EVENTS, "accepted first last | " FAILED, false },
		{ "runtime", "label kind status source_kind source_status source_note", RUNTIMES, "of open | " FAILED,
		  false },
		{ "runtime", "workspace_scope os arch", RUNTIMES, "of open | " FAILED, true },
		{ "diagnostic", "code message", WORKERS, "first spoiled last | good:warning(2) " FAILED, false },
	};
	static const char *const ways[] = { "byte", "cut", "surrogate", "overlong", "long_text", "missing" };
	char violation[100], member[32];
	int len;

	(void)state;
	for (size_t i = 0; i < sizeof items / sizeof *items; i++)
		for (const char *p = items[i].members; sscanf(p, "%31s%n", member, &len) == 1; p += len)
			for (size_t j = 0; j < sizeof ways / sizeof *ways; j++) {
				bool is_fine = items[i].optional && strcmp(ways[j], "missing") == 0;

				snprintf(violation, sizeof violation, "%s %s %s", items[i].item, member, ways[j]);
				print_message("%s\n", violation);
				violate(violation);
				check(items[i].asked, is_fine ? requests[items[i].asked].good : items[i].without);
			}
}

/* What open pushes is held to the same. */
static void test_bad_runtime_from_open(void **state)
{
	static const char *const violations[] = {
		"runtime runtime_id missing", "runtime runtime_id slash", "runtime runtime_id long_id",
		"runtime label missing", "runtime source_note byte", "runtime status long_text",
		"runtime host_ids slash", "runtime host_ids null", "runtime diagnostics size0",
		"runtime diagnostics code", "runtime size 0", "runtime size label", "push twice -",
		"push never -", "push strangers -", "return open -5", "return open 2", "return open 7",
	};
	const struct host_setup setup = { .adapters = "misbehaving", .adapter_dir = fixture_dir() };
	struct host own;

	(void)state;
	for (size_t i = 0; i < sizeof violations / sizeof *violations; i++) {
		print_message("%s\n", violations[i]);
		violate(violations[i]);
		host_start(&own, &setup);
		assert_null(own.inventory.entries[0].instance);
		assert_string_equal(failure_code_name(own.inventory.entries[0].dropin.failures.list[0].code), "open_failed");
		assert_string_not_equal(own.inventory.entries[0].dropin.failures.list[0].found.text, "");
		host_stop(&own);
	}
}

/* What a function writes on standard error. */
static const char *log_of(void (*function)(void))
{
	static char text[4096];
	FILE *file = tmpfile();
	int saved = dup(STDERR_FILENO);

	assert_non_null(file);
	dup2(fileno(file), STDERR_FILENO);
	function();
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(file);
	text[fread(text, 1, sizeof text - 1, file)] = '\0';
	fclose(file);
	return text;
}

static void fail_to_list(void)
{
	violate("return list_workers -5");
	check(WORKERS, "first spoiled last | " FAILED);
}

/* The text given to fail is for whoever keeps the host. */
static void test_reason_in_the_log(void **state)
{
	const char *text = log_of(fail_to_list);

	(void)state;
	assert_non_null(strstr(text, SECRET));
	assert_non_null(strstr(text, "misbehaving"));
}

/* Once for each call, and each that failed. */
static void test_calls_are_counted(void **state)
{
	const struct instance *instance = host.inventory.registry.instances[0];
	uint64_t n_calls = instance->n_calls[OPERATION_STOP_WORKER], n_failed = instance->n_failed[OPERATION_STOP_WORKER];

	(void)state;
	violate("");
	check(STOP, "accepted |");
	assert_int_equal(instance->n_calls[OPERATION_STOP_WORKER], n_calls + 1);
	assert_int_equal(instance->n_failed[OPERATION_STOP_WORKER], n_failed);
	violate("return stop_worker -5");
	check(STOP, "rejected | " FAILED);
	assert_int_equal(instance->n_calls[OPERATION_STOP_WORKER], n_calls + 2);
	assert_int_equal(instance->n_failed[OPERATION_STOP_WORKER], n_failed + 1);
}

static void log_controls(void)
{
	log_write(BERTH_LOG_ERROR, "x", "%s", "a\033[2J\177\n\302\233" "31mb\302\240\377\342\202");
}

/* U+009B begins what \033[ begins; U+00A0 is a letter like others. */
static void test_log_drives_no_terminal(void **state)
{
	(void)state;
	assert_string_equal(log_of(log_controls), "berth: x: a?[2J????31mb\302\240???\n");
}

static void log_much(void)
{
	char text[3000];

	memset(text, 'a', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	log_write(BERTH_LOG_ERROR, text, "%s", text);
}

static void test_log_lines_are_cut(void **state)
{
	const char *text = log_of(log_much);

	(void)state;
	assert_int_equal(strlen(text), 1023);
	assert_int_equal(strcspn(text, "\n"), 1022);
}

/* Texts that are as long as may be, and what is lost of an older struct. */
static void test_values(void **state)
{
	static const struct {
		const char *violation;
		enum asked asked;
		const char *path;
		size_t len;
	} values[] = {
		{ "worker worker_id id", WORKERS, "items.1.worker_id", BERTH_ID_MAX },
		{ "worker label text", WORKERS, "items.1.label", BERTH_TEXT_MAX },
		{ "worker label empty", WORKERS, "items.1.label", 0 },
		{ "host label text", HOSTS, "items.1.label", BERTH_TEXT_MAX },
		{ "transcript_item content content", TRANSCRIPT, "items.1.content", BERTH_CONTENT_MAX },
		{ "diagnostic message text", WORKERS, "diagnostics.1.message", BERTH_TEXT_MAX },
	};
	cJSON *answer;

	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		print_message("%s\n", values[i].violation);
		violate(values[i].violation);
		answer = host_ask_json(&host, "%s", requests[values[i].asked].line);
		assert_int_equal(strlen(json_string_at(answer, values[i].path)), values[i].len);
		assert_false(json_has_code(answer, "diagnostics", "adapter_failed"));
		cJSON_Delete(answer);
	}
	violate("worker size can");
	answer = host_ask_json(&host, "%s", requests[WORKERS].line);
	assert_true(cJSON_IsTrue(json_at(answer, "items.0.capabilities.can_stop")));
	assert_true(cJSON_IsFalse(json_at(answer, "items.1.capabilities.can_stop")));
	cJSON_Delete(answer);
	violate("worker diagnostics narrow");
	answer = host_ask_json(&host, "%s", requests[WORKERS].line);
	assert_string_equal(json_string_at(answer, "items.1.diagnostics.2.code"), "narrow");
	assert_string_equal(json_string_at(answer, "items.1.diagnostics.2.severity"), "info");
	cJSON_Delete(answer);
}

/* The limit is the caller's, whatever the adapter pushes. */
static void test_more_than_the_limit(void **state)
{
	static const struct {
		const char *line, *path;
	} lists[] = {
		{ "{'op':'list_hosts','limit':1}", "items.0.host_id" },
		{ "{'op':'list_workers','limit':1}", "items.0.worker_id" },
		{ "{'op':'list_workers_for_host','host_id':'first','limit':1}", "items.0.worker_id" },
		{ "{'op':'transcript'," WHERE ",'limit':1}", "items.0.content" },
		{ "{'op':'read_events','runtime_id':'misbehaving','limit':1}", "items.0.worker_id" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		cJSON *answer = host_ask_json(&host, "%s", lists[i].line);

		assert_int_equal(cJSON_GetArraySize(json_at(answer, "items")), 1);
		assert_string_equal(json_string_at(answer, lists[i].path), "first");
		assert_int_equal(cJSON_GetArraySize(json_at(answer, "diagnostics")), 0);
		cJSON_Delete(answer);
	}
}

/* However many diagnostics there are: that the adapter failed is among them. */
static void test_failure_behind_full_diagnostics(void **state)
{
	static const char *const violations[] = { "worker diagnostics many", "push diagnostics -" };
	const struct host_setup setup = { .adapters = "misbehaving,only-list", .adapter_dir = fixture_dir() };
	cJSON *answer;
	struct host own;

	(void)state;
	host_start(&own, &setup);
	for (size_t i = 0; i < sizeof violations / sizeof *violations; i++) {
		violate(violations[i]);
		answer = host_ask_json(&own, "%s", requests[WORKERS].line);
		assert_int_equal(cJSON_GetArraySize(json_at(answer, "items")), 6);
		assert_false(json_has_code(answer, "diagnostics", "adapter_failed"));
		cJSON_Delete(answer);
	}
	violate("push diagnostics fail");
	answer = host_ask_json(&own, "%s", requests[WORKERS].line);
	host_stop(&own);
	assert_int_equal(cJSON_GetArraySize(json_at(answer, "diagnostics")), 16);
	assert_false(json_has_code(answer, "diagnostics", "adapter_failed"));
	cJSON_Delete(answer);
}

/* A failure of one adapter leaves the items of the others, and the others alone. */
static void test_others_still_serve(void **state)
{
	const struct host_setup setup = { .adapters = "misbehaving,only-list", .adapter_dir = fixture_dir() };
	cJSON *answer;
	struct host own;

	(void)state;
	host_start(&own, &setup);
	violate("return list_workers -5");
	answer = host_ask_json(&own, "%s", requests[WORKERS].line);
	assert_int_equal(cJSON_GetArraySize(json_at(answer, "items")), 6);
	assert_string_equal(json_string_at(answer, "items.5.runtime_id"), "only-list");
	assert_int_equal(cJSON_GetArraySize(json_at(answer, "diagnostics")), 1);
	assert_non_null(strstr(json_string_at(answer, "diagnostics.0.message"), "misbehaving"));
	assert_string_equal(json_string_at(answer, "diagnostics.0.severity"), "error");
	cJSON_Delete(answer);
	host_stop(&own);
}

static int start(void **state)
{
	const struct host_setup setup = { .adapters = "misbehaving", .adapter_dir = fixture_dir() };

	(void)state;
	violate("");
	host_start(&host, &setup);
	return host.inventory.entries[0].instance ? 0 : -1;
}

static int stop(void **state)
{
	(void)state;
	host_stop(&host);
	return 0;
}

#define TEST(function) cmocka_unit_test_teardown(function, forget_violation)

int main(void)
{
	static const struct CMUnitTest others[] = {
		TEST(test_bad_runtime_from_open),
		TEST(test_failure_behind_full_diagnostics),
		TEST(test_every_text),
		TEST(test_values),
		TEST(test_more_than_the_limit),
		TEST(test_reason_in_the_log),
		TEST(test_calls_are_counted),
		TEST(test_log_drives_no_terminal),
		TEST(test_log_lines_are_cut),
		TEST(test_others_still_serve),
		TEST(test_nothing_violated),
	};
	enum { N_ROWS = sizeof rows / sizeof *rows, N_OTHERS = sizeof others / sizeof *others };
	struct CMUnitTest tests[N_ROWS + N_OTHERS];

	for (size_t i = 0; i < N_ROWS; i++)
		tests[i] = (struct CMUnitTest){
			rows[i].name, test_row, NULL, forget_violation, (void *)(uintptr_t)&rows[i],
		};
	memcpy(tests + N_ROWS, others, sizeof others);
	return cmocka_run_group_tests(tests, start, stop);
}
