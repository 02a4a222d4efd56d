/* SPDX-License-Identifier: MIT */
/* What holds of the events of a runtime: they can be read in pages of any size and be
 * waited for, none is lost and none comes twice. The runtime may be at work meanwhile. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/cleanup.h"
#include "core/conformance/check.h"
#include "core/conformance/events.h"
#include "core/conformance/spawned.h"
#include "core/conformance/survey.h"
#include "core/conformance/worker.h"
#include "core/services.h"

enum {
	TRIES = 20,           /* until the runtime stands still */
	PATIENCE_SECONDS = 5, /* for what need not have happened when it is answered */
	WHOLE_MAX = 1000,     /* events that are read again and again */
	OWN_MAX = 100,        /* events whose own cursors are tried */
	END_MAX = 100000,     /* events behind which the end is not looked for */
};

/* Returns a size of pages that is accepted. */
static uint64_t begin(struct host *host, const struct subject *subject)
{
	uint64_t size;

	host_open(host, subject, NULL);
	survey_populate(host);
	size = events_page_size(host);
	if (size == 0)
		check_skip("no events can be read, however few are asked for");
	return size;
}

static void end(struct host *host)
{
	spawned_stop_all(host);
	host_close(host);
}

/* Reads on until there is an event of that id, or else of that worker; NULL where it does
 * not come in time. */
static const cJSON *await_event(struct reader *reader, uint64_t event_id, const char *worker_id)
{
	const struct timespec pause = { 0, 20000000 };
	uint64_t end_ns = services_monotonic_ns() + PATIENCE_SECONDS * UINT64_C(1000000000);

	for (;;) {
		bool in_time = services_monotonic_ns() < end_ns;
		const cJSON *event;

		reader_go_on(reader, END_MAX);
		event = event_id ? reader_find_id(reader, event_id) : reader_find_worker(reader, worker_id);
		if (event || !in_time)
			return event;
		nanosleep(&pause, NULL);
	}
}

static void check_offered(const struct subject *subject)
{
	CLEANUP(json_delete) cJSON *answer = NULL;
	struct host host = { 0 };

	host_open(&host, subject, NULL);
	answer = events_read(&host, NULL, 1);
	answer_expect_offered(answer, "read_events", "can_stream_events");
	host_close(&host);
}

/* ---- Order ---- */

/* Ids rise from event to event, behind the last one before. */
static void expect_rising(const cJSON *events, uint64_t last, const char *where)
{
	const cJSON *event;

	cJSON_ArrayForEach(event, events) {
		if (json_number(event, "event_id") <= last)
			check_fail("%s: event_id %" PRIu64 " stands behind %" PRIu64 "; they begin with 1 and rise, and none "
				   "comes twice", where, json_number(event, "event_id"), last);
		last = json_number(event, "event_id");
	}
}

/* What is told behind the end is also told from the beginning. */
static void expect_from_beginning(struct host *host, uint64_t size, const char *end_cursor)
{
	CLEANUP(reader_fini) struct reader news = { 0 }, all = { 0 };
	char worker_id[BERTH_ID_MAX + 1];
	const cJSON *event;

	if (!spawned_try(host, worker_id, NULL))
		return;
	reader_init(&news, host, size, end_cursor);
	event = await_event(&news, 0, worker_id);
	if (!event)
		return; /* which another check holds */
	reader_init(&all, host, size, NULL);
	if (reader_go_on(&all, END_MAX) && !reader_find_id(&all, json_number(event, "event_id")))
		check_fail("read_events without a cursor: event %" PRIu64 ", which follows a cursor, is not among those that "
			   "are told from the beginning", json_number(event, "event_id"));
}

static void check_order(const struct subject *subject)
{
	CLEANUP(reader_fini) struct reader all = { 0 };
	struct host host = { 0 };
	uint64_t size = begin(&host, subject);

	reader_init(&all, &host, size, NULL);
	if (reader_go_on(&all, END_MAX))
		expect_from_beginning(&host, size, all.cursor);
	expect_rising(all.events, 0, "read_events");
	check_note("%d events", cJSON_GetArraySize(all.events));
	end(&host);
}

/* ---- Pages ---- */

/* Holds a page of a size against the events that have to be on it, *expectedp and those
 * behind it; all: nothing follows these. Returns 0 with the first that was not on the page in
 * *expectedp, or negative with what is wrong. */
static int judge_page(const cJSON *answer, uint64_t size, const cJSON **expectedp, bool all, struct error *error)
{
	bool more = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(answer, "more"));
	const cJSON *expected = *expectedp, *item;

	if (!answer_is(answer, "accepted"))
		return error_set(error, -1, "is %s (%s)", json_string(answer, "state"), answer_reason(answer));
	cJSON_ArrayForEach(item, json_items(answer)) {
		if (!expected && !all)
			break;
		if (!expected)
			return error_set(error, -1, "has event %" PRIu64 " behind the last one",
					 json_number(item, "event_id"));
		if (!events_same(item, expected))
			return error_set(error, -1, "has event %" PRIu64 " where larger pages have event %" PRIu64,
					 json_number(item, "event_id"), json_number(expected, "event_id"));
		expected = expected->next;
	}
	*expectedp = expected;
	if (more && !expected && all)
		return error_set(error, -1, "says that more follow, behind the last event");
	if (!more && expected)
		return error_set(error, -1, "says that no more follow, before event %" PRIu64,
				 json_number(expected, "event_id"));
	if (more && size > 0 && json_n_items(answer) == 0)
		return error_set(error, -1, "has no events, and says that more follow");
	return 0;
}

/* The whole, by pages of a size. */
static int read_by(struct host *host, const struct reader *whole, uint64_t size, struct error *error)
{
	const cJSON *expected = whole->events->child;
	CLEANUP_FREE char *cursor = NULL;

	do {
		CLEANUP(json_delete) cJSON *answer = events_read(host, cursor, size);
		struct error why;

		if (judge_page(answer, size, &expected, whole->at_end, &why) < 0)
			return error_set(error, -1, "read_events by %" PRIu64 ": a page %s", size, why.text);
		free(cursor);
		cursor = strdup(json_string(answer, "next_cursor"));
		if (!cursor)
			check_fail("no memory");
	} while (expected);
	return 0;
}

/* What follows one cursor, with several limits. */
static int read_behind(struct host *host, const struct reader *whole, const char *cursor, const cJSON *follows,
		       struct error *error)
{
	CLEANUP(json_delete) cJSON *two = events_read(host, cursor, 2), *none = events_read(host, cursor, 0), *next = NULL;
	const cJSON *expected = follows;

	if (judge_page(two, 2, &expected, whole->at_end, error) < 0)
		return -1;
	expected = follows;
	if (!answer_is(none, "accepted"))
		return 0;
	if (judge_page(none, 0, &expected, whole->at_end, error) < 0)
		return -1;
	next = events_read(host, json_string(none, "next_cursor"), 1);
	if (judge_page(next, 1, &expected, whole->at_end, error) < 0)
		return error_set(error, -1, "with the limit 0 gives a cursor behind which a page %s", error->text);
	return 0;
}

/* The rest of the whole, with a limit to which nothing can be added. */
static int read_rest(struct host *host, const char *cursor, const cJSON *follows, struct error *error)
{
	CLEANUP(json_delete) cJSON *rest = events_read(host, cursor, UINT64_MAX);
	const cJSON *expected = follows;

	if (!answer_is(rest, "accepted"))
		return 0;
	if (judge_page(rest, UINT64_MAX, &expected, true, error) < 0)
		return error_set(error, -1, "with the largest limit %s", error->text);
	return 0;
}

/* From the cursors of events themselves, those of the last ones. */
static int read_from_own(struct host *host, const struct reader *whole, struct error *error)
{
	int n = cJSON_GetArraySize(whole->events);
	const cJSON *event = cJSON_GetArrayItem(whole->events, n > OWN_MAX ? n - OWN_MAX : 0);

	for (; event; event = event->next) {
		const char *cursor = json_string(event, "cursor");
		struct error why;

		if (read_behind(host, whole, cursor, event->next, &why) < 0 ||
		    (whole->at_end && read_rest(host, cursor, event->next, &why) < 0))
			return error_set(error, -1, "read_events from the cursor of event %" PRIu64 ": the page %s",
					 json_number(event, "event_id"), why.text);
	}
	return 0;
}

static bool is_same(const struct reader *a, const struct reader *b)
{
	const cJSON *x = a->events->child, *y = b->events->child;

	for (; x && y; x = x->next, y = y->next)
		if (!events_same(x, y))
			return false;
	return !x && !y && a->at_end == b->at_end;
}

/* False where the events have changed meanwhile. */
static bool try_pages(struct host *host, uint64_t size)
{
	static const uint64_t sizes[] = { 1, 2, 3, 7 };
	CLEANUP(reader_fini) struct reader before = { 0 }, after = { 0 };
	struct error error = { "" };
	int rc = 0;

	reader_init(&before, host, size, NULL);
	reader_go_on(&before, WHOLE_MAX);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes && rc == 0; i++)
		if (sizes[i] <= size)
			rc = read_by(host, &before, sizes[i], &error);
	if (rc == 0)
		rc = read_from_own(host, &before, &error);
	reader_init(&after, host, size, NULL);
	reader_go_on(&after, WHOLE_MAX);
	if (!is_same(&before, &after))
		return false;
	if (rc < 0)
		check_fail("%s", error.text);
	return true;
}

/* ---- Waiting for what is new ---- */

/* Whether the second begins with all that the first has. */
static bool begins_with(const cJSON *events, const cJSON *all)
{
	const cJSON *x = events->child, *y = all->child;

	for (; x; x = x->next, y = y->next)
		if (!y || !events_same(x, y))
			return false;
	return true;
}

static void expect_created_once(const cJSON *events, const char *worker_id)
{
	const cJSON *event;
	int n = 0;

	cJSON_ArrayForEach(event, events)
		n += strcmp(json_string(event, "worker_id"), worker_id) == 0 &&
		     strcmp(json_string(event, "kind"), "worker_created") == 0;
	if (n > 1)
		check_fail("read_events: %s was spawned once, and there are %d events worker_created of it", worker_id, n);
}

/* Input that was answered with the id of an event is that event. */
static void expect_input_told(struct reader *news, const char *worker_id, uint64_t last)
{
	CLEANUP(json_delete) cJSON *answer = worker_input(news->host, worker_id, "user", "input that is an event");
	uint64_t event_id = json_number(answer, "event_id");

	/* That ids of later inputs are greater is held by another check. */
	if (!answer_is(answer, "accepted") || event_id <= last)
		return;
	if (!await_event(news, event_id, NULL))
		check_fail("send_input: answered with event_id %" PRIu64 ", but %d seconds later there is no such event",
			   event_id, PATIENCE_SECONDS);
}

/* What happens behind a cursor is read from it, in parts or at once, each event once.
 * own: the cursor of the last event before, or NULL. */
static void expect_news(struct host *host, uint64_t size, const char *cursor, const char *own, uint64_t last)
{
	CLEANUP(reader_fini) struct reader news = { 0 }, again = { 0 }, from_own = { 0 };
	char worker_id[BERTH_ID_MAX + 1];

	if (!spawned_try(host, worker_id, NULL)) {
		check_note("no worker could be spawned to see whether that is an event");
		return;
	}
	reader_init(&news, host, size, cursor);
	if (!await_event(&news, 0, worker_id))
		check_fail("spawn_worker: accepted, but %d seconds later no event behind the end is of %s", PATIENCE_SECONDS,
			   worker_id);
	if (host_can(host, "can_accept_input"))
		expect_input_told(&news, worker_id, last);
	expect_rising(news.events, last, "read_events behind the end");
	expect_created_once(news.events, worker_id);
	reader_init(&again, host, size, cursor);
	reader_go_on(&again, END_MAX);
	if (!begins_with(news.events, again.events))
		check_fail("read_events: what was read from a cursor while it happened is not what is read from it again");
	if (!own)
		return;
	reader_init(&from_own, host, size, own);
	reader_go_on(&from_own, END_MAX);
	if (!begins_with(news.events, from_own.events))
		check_fail("read_events: another event follows the cursor of event %" PRIu64 " than the next_cursor behind it",
			   last);
}

static void check_pages(const struct subject *subject)
{
	CLEANUP(reader_fini) struct reader all = { 0 }, idle = { 0 };
	struct host host = { 0 };
	uint64_t size = begin(&host, subject), last;
	const cJSON *event;
	int tries = 0;

	while (tries < TRIES && !try_pages(&host, size))
		tries++;
	if (tries == TRIES)
		check_note("the events never stood still");
	reader_init(&all, &host, size, NULL);
	if (!reader_go_on(&all, END_MAX))
		check_skip("there are more than %d events", END_MAX);
	/* Twice, where mostly nothing is new: from the end, and from where that leads. */
	reader_init(&idle, &host, size, all.cursor);
	for (int i = 0; i < 2; i++)
		reader_go_on(&idle, END_MAX);
	event = cJSON_GetArrayItem(all.events, cJSON_GetArraySize(all.events) - 1);
	last = json_number(event, "event_id");
	expect_rising(idle.events, last, "read_events behind the end");
	if (idle.events->child)
		event = cJSON_GetArrayItem(idle.events, cJSON_GetArraySize(idle.events) - 1);
	expect_news(&host, size, idle.cursor, event ? json_string(event, "cursor") : NULL, json_number(event, "event_id"));
	end(&host);
}

/* ---- Cursors that are not the runtime's ---- */

static void expect_rejected(const cJSON *answer, const char *what)
{
	if (answer_failed(answer))
		check_fail("read_events from %s: the adapter fails; rejected would be right", what);
	if (!answer_is(answer, "rejected"))
		check_fail("read_events from %s: %s; rejected would be right", what, json_string(answer, "state"));
}

/* Callers may have made them up; as they stand in JSON between the quotes. */
static const char *const made_up[] = {
	"", " ", "berth-conformance:made-up", "-1", "18446744073709551616", "\\u0000", "\xc3\xa9", "%s%s%n", "\\\"",
};

static void expect_made_up_rejected(struct host *host)
{
	for (size_t i = 0; i < sizeof made_up / sizeof *made_up; i++) {
		CLEANUP(json_delete)
		cJSON *answer = host_ask_json(host, "{'op':'read_events','runtime_id':'%s','cursor':'%s','limit':1}",
					      host->runtime_id, made_up[i]);
		char what[96];

		snprintf(what, sizeof what, "the cursor \"%s\", which was made up", made_up[i]);
		expect_rejected(answer, what);
	}
}

/* What is made of a right one, which stays right. */
static void expect_bent_rejected(struct host *host, const char *cursor)
{
	static const struct {
		const char *what, *before, *after;
		int n; /* of after */
	} bends[] = {
		{ "a cursor with a space before it", " ", "", 0 },
		{ "a cursor with something behind it", "", "~", 1 },
		{ "a cursor with a space behind it", "", " ", 1 },
		{ "a cursor of more than 256 characters", "", "z", BERTH_CURSOR_MAX },
		{ "a cursor of some thousand characters", "", "0", 5000 },
	};

	for (size_t i = 0; i < sizeof bends / sizeof *bends; i++) {
		CLEANUP(buffer_fini) struct buffer bent = { 0 };
		CLEANUP(json_delete) cJSON *answer = NULL, *right = NULL;

		buffer_append_string(&bent, bends[i].before);
		buffer_append_string(&bent, cursor);
		for (int j = 0; j < bends[i].n; j++)
			buffer_append_string(&bent, bends[i].after);
		buffer_append_char(&bent, '\0');
		if (bent.failed)
			check_fail("no memory");
		answer = events_read(host, bent.data, 1);
		expect_rejected(answer, bends[i].what);
		right = events_read(host, cursor, 1);
		if (!answer_is(right, "accepted"))
			check_fail("read_events from its own cursor, after %s: %s (%s)", bends[i].what,
				   json_string(right, "state"), answer_reason(right));
	}
}

/* Two instances may well present the same events, as those of one back end do. */
static bool has_event(struct host *host, uint64_t size, const cJSON *wanted)
{
	CLEANUP(reader_fini) struct reader all = { 0 };
	const cJSON *event;

	reader_init(&all, host, size, NULL);
	if (!reader_go_on(&all, END_MAX))
		return true; /* for all one can know */
	cJSON_ArrayForEach(event, all.events)
		if (events_same(event, wanted))
			return true;
	return false;
}

/* The other one has a worker more, if it can spawn, so that its events are not the same. */
static void try_others(struct host *host, struct host *other, uint64_t size)
{
	CLEANUP(reader_fini) struct reader all = { 0 };
	char worker_id[BERTH_ID_MAX + 1];
	const cJSON *last, *event;

	reader_init(&all, other, size, NULL);
	if (spawned_try(other, worker_id, NULL))
		await_event(&all, 0, worker_id);
	else
		reader_go_on(&all, END_MAX);
	last = cJSON_GetArrayItem(all.events, cJSON_GetArraySize(all.events) - 1);
	if (!last || has_event(host, size, last)) {
		check_note("another instance gives %s", last ? "the same events" : "no events");
		return;
	}
	/* The first one's number is likely to be known here as well, the last one's is not. */
	for (event = all.events->child; event; event = event == last ? NULL : last) {
		CLEANUP(json_delete) cJSON *answer = events_read(host, json_string(event, "cursor"), 1);

		expect_rejected(answer, "a cursor of another instance, whose events are others");
	}
}

static void expect_others_rejected(struct host *host, const struct subject *subject, uint64_t size)
{
	struct host other = { 0 };
	struct failure failure;

	/* That two can be open is held by another check. */
	if (host_try_open(&other, subject, "conformance:other", &failure) < 0)
		return;
	if (events_page_size(&other) >= size)
		try_others(host, &other, size);
	end(&other);
}

static void check_cursor(const struct subject *subject)
{
	CLEANUP(json_delete) cJSON *first = NULL;
	struct host host = { 0 };
	uint64_t size = begin(&host, subject);

	first = events_read(&host, NULL, 1);
	expect_made_up_rejected(&host);
	expect_bent_rejected(&host, json_string(first, "next_cursor"));
	spawned_stop_all(&host);
	expect_others_rejected(&host, subject, size);
	host_close(&host);
}

const struct check checks_events[] = {
	{ "events/offered", "what is declared is done: reading events is not unsupported", "can_stream_events",
	  check_offered },
	{ "events/order", "ids of events begin with 1 and rise, and without a cursor they are told from the beginning",
	  "can_stream_events", check_order },
	{ "events/pages", "from any cursor, with any limit, the same events follow, and what is new comes once",
	  "can_stream_events", check_pages },
	{ "events/cursor", "a cursor that was made up, or is another runtime's, is rejected", "can_stream_events",
	  check_cursor },
	{ NULL, NULL, NULL, NULL },
};
