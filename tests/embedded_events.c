/* SPDX-License-Identifier: MIT */
/* What has happened in the embedded runtime, read from cursors; in memory and from a
 * store, across restarts and retention. */
#include "config.h"

#include <stdio.h>

#include "tests/contract.h"
#include "tests/embedded.h"

#define EVENTS(more) "{'op':'read_events','runtime_id':'" EMBEDDED "'" more "}"

static int start_in_memory(void **state)
{
	static struct host host;

	host_start(&host, &(struct host_setup){ .adapters = "embedded" });
	*state = &host;
	return 0;
}

static int stop_in_memory(void **state)
{
	host_stop(*state);
	return 0;
}

static cJSON *read_from(struct host *host, const char *cursor, unsigned limit)
{
	cJSON *answer = cursor ? host_ask_json(host, EVENTS(",'cursor':'%s','limit':%u"), cursor, limit) :
				 host_ask_json(host, EVENTS(",'limit':%u"), limit);

	assert_string_equal(json_string_at(answer, "state"), "accepted");
	return answer;
}

/* Something of every kind: 1 started, 2 and 3 created, 4 and 5 input, 6 stopped, 7 input, 8 cancelled. */
static void make_events(struct host *host)
{
	ask_accepted(host, SPAWN(COMPANION));
	ask_accepted(host, SPAWN(COMPANION));
	ask_accepted(host, INPUT(ONE, "'content':'x'"));
	ask_accepted(host, INPUT(TWO, "'content':'x'"));
	ask_accepted(host, STOP(ONE, "graceful"));
	ask_accepted(host, STOP(ONE, "force"));
	host_ask(host, INPUT(ONE, "'content':'refused'"));
	ask_accepted(host, INPUT(TWO, "'content':'x'"));
	ask_accepted(host, STOP(TWO, "force"));
}

static const struct {
	const char *kind, *worker_id;
	unsigned sequence;
} made[] = {
	{ "runtime_started", NULL, 0 }, { "worker_created", ONE, 0 },  { "worker_created", TWO, 0 },
	{ "input_accepted", ONE, 1 },	{ "input_accepted", TWO, 1 },  { "worker_stopped", ONE, 0 },
	{ "input_accepted", TWO, 2 },	{ "worker_cancelled", TWO, 0 },
};

static void assert_event(const cJSON *event, size_t id)
{
	const cJSON *worker_id = json_at(event, "worker_id"), *sequence = json_at(event, "transcript_sequence");

	assert_int_equal(cJSON_GetNumberValue(json_at(event, "event_id")), id);
	assert_string_equal(json_string_at(event, "kind"), made[id - 1].kind);
	assert_string_not_equal(json_string_at(event, "occurred_at"), "");
	if (made[id - 1].worker_id)
		assert_string_equal(cJSON_GetStringValue(worker_id), made[id - 1].worker_id);
	else
		assert_true(cJSON_IsNull(worker_id));
	if (made[id - 1].sequence)
		assert_int_equal(cJSON_GetNumberValue(sequence), made[id - 1].sequence);
	else
		assert_true(cJSON_IsNull(sequence));
}

/* From each event's cursor, with each limit, and in steps through next_cursor. */
static void check_reading(struct host *host)
{
	cJSON *all = read_from(host, NULL, 256), *page;
	const cJSON *items = json_at(all, "items");
	CLEANUP_FREE char *cursor = NULL;
	size_t n = 0;

	assert_int_equal(cJSON_GetArraySize(items), COUNT(made));
	assert_true(cJSON_IsFalse(json_at(all, "more")));
	for (size_t i = 0; i < COUNT(made); i++) {
		assert_event(cJSON_GetArrayItem(items, (int)i), i + 1);
		page = read_from(host, json_string_at(cJSON_GetArrayItem(items, (int)i), "cursor"), 1);
		if (i + 1 < COUNT(made))
			assert_event(json_at(page, "items.0"), i + 2);
		else
			assert_int_equal(cJSON_GetArraySize(json_at(page, "items")), 0);
		assert_int_equal(cJSON_IsTrue(json_at(page, "more")), i + 2 < COUNT(made));
		cJSON_Delete(page);
	}
	do {
		page = read_from(host, cursor, 3);
		for (int i = 0; i < cJSON_GetArraySize(json_at(page, "items")); i++)
			assert_event(cJSON_GetArrayItem(json_at(page, "items"), i), ++n);
		free(cursor);
		cursor = strdup(json_string_at(page, "next_cursor"));
		assert_int_equal(cJSON_IsTrue(json_at(page, "more")), n < COUNT(made));
		cJSON_Delete(page);
	} while (n < COUNT(made));
	/* The last one is where whoever waits asks again. */
	assert_string_equal(cursor, json_string_at(all, "next_cursor"));
	page = read_from(host, cursor, 256);
	assert_int_equal(cJSON_GetArraySize(json_at(page, "items")), 0);
	assert_string_equal(json_string_at(page, "next_cursor"), cursor);
	cJSON_Delete(page);
	page = read_from(host, NULL, 0);
	assert_true(cJSON_IsTrue(json_at(page, "more")));
	cJSON_Delete(page);
	cJSON_Delete(all);
}

static void events_are_read_in_memory(void **state)
{
	make_events(*state);
	check_reading(*state);
}

static void events_are_read_from_a_store(void **state)
{
	struct stored *stored = *state;

	make_events(&stored->host);
	check_reading(&stored->host);
	stored_restart(stored);
	check_reading(&stored->host);
}

static void the_first_event_is_the_start(void **state)
{
	cJSON *all = read_from(*state, NULL, 256);

	assert_int_equal(cJSON_GetArraySize(json_at(all, "items")), 1);
	assert_event(json_at(all, "items.0"), 1);
	cJSON_Delete(all);
}

static void too_many_are_rejected(void **state)
{
	assert_non_null(strstr(ask_accepted(*state, EVENTS(",'limit':256")), "\"limit\":256"));
	ask_rejected(*state, EVENTS(",'limit':257"), "embedded_runtime_limit_too_large");
	ask_rejected(*state, EVENTS(",'limit':18446744073709551615"), "embedded_runtime_limit_too_large");
}

/* ---- Cursors ---- */

static void wrong_cursors_are_rejected(void **state)
{
	static const char *const wrong[] = {
		"", "0", "-", "1", "none", "0000000000000000-1", "\\u0000", "\xc3\xa9",
	};
	cJSON *page;
	CLEANUP_FREE char *right = NULL, *bent = NULL;

	make_events(*state);
	page = read_from(*state, NULL, 2);
	right = strdup(json_string_at(page, "next_cursor"));
	cJSON_Delete(page);
	assert_true(strlen(right) <= BERTH_CURSOR_MAX);
	for (size_t i = 0; i < COUNT(wrong); i++) {
		const char *answer = host_ask(*state, EVENTS(",'cursor':'%s'"), wrong[i]);

		if (!strstr(answer, "\"state\":\"rejected\"") || !strstr(answer, "embedded_runtime_wrong_identity"))
			fail_msg("\"%s\": %s", wrong[i], answer);
	}
	/* Each letter of a right one counts, and so does its length. */
	for (size_t i = 0; i < strlen(right); i++) {
		free(bent);
		bent = strdup(right);
		bent[i] = (char)(bent[i] == 'e' ? 'f' : bent[i] == '9' ? '8' : bent[i] + 1);
		if (i + 1 == strlen(right))
			continue; /* that is another event */
		assert_non_null(strstr(host_ask(*state, EVENTS(",'cursor':'%s'"), bent), "rejected"));
		bent[i] = '\0';
		assert_non_null(strstr(host_ask(*state, EVENTS(",'cursor':'%s'"), bent), "rejected"));
	}
	assert_non_null(strstr(host_ask(*state, EVENTS(",'cursor':'%s0'"), right), "rejected"));
	assert_non_null(strstr(host_ask(*state, EVENTS(",'cursor':' %s'"), right), "rejected"));
	assert_non_null(strstr(host_ask(*state, EVENTS(",'cursor':'%sffffffffffffff'"), right), "rejected"));
	assert_non_null(strstr(host_ask(*state, EVENTS(",'cursor':'%s'"), right), "accepted"));
}

static void a_cursor_belongs_to_one_runtime(void **state)
{
	struct stored *stored = *state, other = { .scratch = stored->scratch };
	CLEANUP_FREE char *own = NULL, *others = NULL;
	cJSON *page;

	assert_true(asprintf(&other.dir, "%s/other", stored->scratch) >= 0);
	make_events(&stored->host);
	page = read_from(&stored->host, NULL, 3);
	own = strdup(json_string_at(page, "next_cursor"));
	cJSON_Delete(page);
	stored_stop(stored);
	stored_start(&other);
	make_events(&other.host);
	assert_non_null(strstr(host_ask(&other.host, EVENTS(",'cursor':'%s'"), own), "embedded_runtime_wrong_identity"));
	page = read_from(&other.host, NULL, 3);
	others = strdup(json_string_at(page, "next_cursor"));
	cJSON_Delete(page);
	assert_string_not_equal(own, others);
	stored_stop(&other);
	free(other.dir);
	stored_start(stored);
	page = read_from(&stored->host, own, 1);
	assert_event(json_at(page, "items.0"), 4);
	cJSON_Delete(page);
}

/* ---- Retention ---- */

static void only_the_newest_items_are_kept(struct host *host)
{
	cJSON *page;

	ask_accepted(host, SPAWN(COMPANION));
	ask_accepted(host, SPAWN(COMPANION));
	for (int i = 0; i < 8; i++)
		ask_accepted(host, INPUT(ONE, "'content':'x'"));
	ask_accepted(host, INPUT(TWO, "'content':'x'"));
	/* Sequences 6, 7 and 8, which are the events 9, 10 and 11. */
	page = host_ask_json(host, TRANSCRIPT(ONE, ""));
	assert_int_equal(cJSON_GetNumberValue(json_at(page, "total_items")), 8);
	assert_int_equal(cJSON_GetArraySize(json_at(page, "items")), 3);
	assert_int_equal(cJSON_GetNumberValue(json_at(page, "items.0.sequence")), 6);
	assert_int_equal(cJSON_GetNumberValue(json_at(page, "items.0.event_id")), 9);
	assert_true(json_has_code(page, "diagnostics", "embedded_runtime_items_dropped"));
	cJSON_Delete(page);
	page = host_ask_json(host, TRANSCRIPT(ONE, ",'start':1,'limit':2"));
	assert_int_equal(cJSON_GetNumberValue(json_at(page, "items.1.sequence")), 7);
	assert_int_equal(cJSON_GetNumberValue(json_at(page, "next_start")), 7);
	cJSON_Delete(page);
	assert_true(answers_one(host, TRANSCRIPT(ONE, ",'start':7"),
				"{'state':'accepted'," ADDRESS(ONE) ",'start':7,'limit':200,'total_items':8,'items':["
				"{'sequence':8,'role':'user','content':'x','event_id':11}],'diagnostics':[]}"));
	assert_true(answers_one(host, TRANSCRIPT(ONE, ",'start':5,'limit':0"),
				"{'state':'accepted'," ADDRESS(ONE) ",'start':5,'limit':0,'total_items':8,'next_start':5,"
				"'items':[],'diagnostics':[]}"));
	page = read_from(host, NULL, 256);
	assert_int_equal(cJSON_GetArraySize(json_at(page, "items")), 3 + 3 + 1);
	assert_int_equal(cJSON_GetNumberValue(json_at(page, "items.2.event_id")), 3);
	assert_int_equal(cJSON_GetNumberValue(json_at(page, "items.3.event_id")), 9);
	cJSON_Delete(page);
}

static void items_are_dropped_in_memory(void **state)
{
	struct host host;

	(void)state;
	host_start(&host, &(struct host_setup){ .adapters = "embedded", .options = "{'keep_items':3}" });
	only_the_newest_items_are_kept(&host);
	host_stop(&host);
}

static void items_are_dropped_from_a_store(void **state)
{
	struct stored *stored = *state;
	cJSON *page;

	stored->options = ",'keep_items':3";
	stored_restart(stored);
	only_the_newest_items_are_kept(&stored->host);
	/* What is gone stays gone where the option is taken back, and numbers go on. */
	stored->options = NULL;
	stored_restart(stored);
	assert_non_null(strstr(ask_accepted(&stored->host, INPUT(ONE, "'content':'x'")), "\"transcript_sequence\":9,"));
	page = host_ask_json(&stored->host, TRANSCRIPT(ONE, ""));
	assert_int_equal(cJSON_GetArraySize(json_at(page, "items")), 4);
	cJSON_Delete(page);
}

#if !HAVE_SQLITE3
static void a_store_is_refused(void **state)
{
	const struct inventory_entry *entry;
	struct host host;

	(void)state;
	host_start(&host, &(struct host_setup){ .adapters = "embedded", .options = "{'store':'/nowhere'}" });
	entry = &host.inventory.entries[0];
	assert_null(entry->instance);
	assert_string_equal(failure_code_name(entry->dropin.failures.list[0].code), "open_failed");
	assert_non_null(strstr(entry->dropin.failures.list[0].found.text, "built without SQLite"));
	host_stop(&host);
}
#endif

#define IN_MEMORY(function) cmocka_unit_test_setup_teardown(function, start_in_memory, stop_in_memory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_MEMORY(the_first_event_is_the_start),
		IN_MEMORY(events_are_read_in_memory),
		IN_MEMORY(too_many_are_rejected),
		IN_MEMORY(wrong_cursors_are_rejected),
		cmocka_unit_test(items_are_dropped_in_memory),
		STORED_TEST(events_are_read_from_a_store),
		STORED_TEST(a_cursor_belongs_to_one_runtime),
		STORED_TEST(items_are_dropped_from_a_store),
#if !HAVE_SQLITE3
		cmocka_unit_test(a_store_is_refused),
#endif
	};

	return cmocka_run_group_tests_name("embedded: events", tests, NULL, NULL);
}
