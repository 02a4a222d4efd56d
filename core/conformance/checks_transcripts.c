/* SPDX-License-Identifier: MIT */
/* What holds of transcripts: pages make up the whole, and input that was accepted is in it. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/conformance/check.h"
#include "core/conformance/spawned.h"
#include "core/conformance/worker.h"

/* A page size that the runtime does not refuse; 0: it refuses all. */
static uint64_t page_size(struct host *host, const char *worker_id)
{
	for (uint64_t size = 100; size > 0; size /= 4) {
		CLEANUP(json_delete) cJSON *answer = worker_page(host, worker_id, 0, size);

		if (answer_is(answer, "accepted"))
			return size;
	}
	return 0;
}

enum { ITEMS_MAX = 1000 }; /* of a transcript that is read as a whole */

/* The items from the start on, at most ITEMS_MAX, as an array. It goes by the items alone,
 * whatever is said of the next ones. */
static cJSON *read_transcript(struct host *host, const char *worker_id, uint64_t size)
{
	cJSON *all = cJSON_CreateArray();
	uint64_t n = 0;

	for (bool more = true; more && n < ITEMS_MAX;) {
		CLEANUP(json_delete) cJSON *answer = worker_page(host, worker_id, n, size);
		cJSON *items = cJSON_GetObjectItemCaseSensitive(answer, "items");

		more = items && items->child && cJSON_HasObjectItem(answer, "next_start");
		while (items && items->child) {
			cJSON_AddItemToArray(all, cJSON_DetachItemViaPointer(items, items->child));
			n++;
		}
	}
	return all;
}

/* A worker with at least two items, but not too many: one of our own that was given some,
 * or else one that is there. Returns a size of pages that is accepted. */
static uint64_t worker_with_transcript(struct host *host, char worker_id[BERTH_ID_MAX + 1])
{
	CLEANUP(json_delete) cJSON *list = NULL;
	const cJSON *worker;

	if (spawned_try(host, worker_id, NULL))
		for (int i = 0; i < 6; i++) {
			char content[64];

			snprintf(content, sizeof content, "input %d of a check", i);
			cJSON_Delete(worker_input(host, worker_id, "user", content));
		}
	list = host_ask_json(host, "{'op':'list_workers','limit':50}");
	worker = json_find(json_items(list), "worker_id", worker_id);
	for (worker = worker ? worker : cJSON_GetArrayItem(json_items(list), 0); worker; worker = worker->next) {
		const char *id = json_string(worker, "worker_id");
		uint64_t size = worker_can(host, id, "can_read_bounded_transcript") ? page_size(host, id) : 0;
		CLEANUP(json_delete) cJSON *items = size > 0 ? read_transcript(host, id, size) : NULL;

		if (cJSON_GetArraySize(items) >= 2 && cJSON_GetArraySize(items) < ITEMS_MAX) {
			snprintf(worker_id, BERTH_ID_MAX + 1, "%s", id);
			return size;
		}
	}
	check_skip("no worker has a transcript of 2 to %d items", ITEMS_MAX - 1);
}

static void check_transcript_offered(const struct subject *subject)
{
	CLEANUP(json_delete) cJSON *list = NULL;
	char own[BERTH_ID_MAX + 1];
	struct host host = { 0 };
	const cJSON *worker;
	size_t n = 0;

	host_open(&host, subject, NULL);
	spawned_try(&host, own, NULL);
	list = host_ask_json(&host, "{'op':'list_workers','limit':50}");
	cJSON_ArrayForEach(worker, json_items(list)) {
		const char *id = json_string(worker, "worker_id");

		if (worker_can(&host, id, "can_read_bounded_transcript")) {
			CLEANUP(json_delete) cJSON *answer = worker_page(&host, id, 0, 1);

			answer_expect_offered(answer, "transcript", "can_read_bounded_transcript");
			n++;
		}
	}
	if (n == 0)
		check_skip("no worker declares can_read_bounded_transcript");
	spawned_stop_all(&host);
	host_close(&host);
}

/* Reads by pages of a size and holds that against the whole. Returns 0, or negative with
 * what is wrong. */
static int read_strictly(struct host *host, const char *worker_id, uint64_t size, const cJSON *whole,
			 struct error *error)
{
	const cJSON *expected = whole->child;
	uint64_t start = 0, n_whole = (uint64_t)cJSON_GetArraySize(whole);

	for (;;) {
		CLEANUP(json_delete) cJSON *answer = worker_page(host, worker_id, start, size);
		const cJSON *item, *next = cJSON_GetObjectItemCaseSensitive(answer, "next_start");
		uint64_t n = json_n_items(answer), end = start + n;

		if (!answer_is(answer, "accepted"))
			return error_set(error, -1, "is %s (%s)", json_string(answer, "state"),
					 answer_reason(answer));
		if (json_number(answer, "total_items") != n_whole)
			return error_set(error, -1, "has total_items %" PRIu64 "; there are %" PRIu64,
					 json_number(answer, "total_items"), n_whole);
		cJSON_ArrayForEach(item, json_items(answer)) {
			if (!cJSON_Compare(item, expected, true))
				return error_set(error, -1,
						 "differs in item %" PRIu64
						 " from the transcript read by larger pages",
						 start);
			expected = expected->next;
			start++;
		}
		if (!next && end < n_whole)
			return error_set(error, -1,
					 "has no next_start behind item %" PRIu64 "; %" PRIu64 " would be right",
					 end, end);
		if (!next)
			return 0;
		if (end == n_whole)
			return error_set(error, -1, "has a next_start at the end");
		if (json_number(answer, "next_start") != end)
			return error_set(error, -1,
					 "has next_start %" PRIu64 " behind item %" PRIu64 "; %" PRIu64
					 " would be right",
					 json_number(answer, "next_start"), end, end);
		if (n == 0)
			return error_set(error, -1, "ends at item %" PRIu64 " with no items, but a next_start",
					 end);
	}
}

static void check_transcript_pages(const struct subject *subject)
{
	enum { TRIES = 20 };
	const uint64_t sizes[] = { 1, 2, 3, 7 };
	char worker_id[BERTH_ID_MAX + 1];
	struct host host = { 0 };
	uint64_t size;

	host_open(&host, subject, NULL);
	size = worker_with_transcript(&host, worker_id);
	for (int i = 0; i < TRIES; i++) {
		CLEANUP(json_delete) cJSON *before = read_transcript(&host, worker_id, size), *after = NULL;
		struct error error = { "" };
		uint64_t at = 0;

		for (size_t j = 0; j < sizeof sizes / sizeof *sizes && !*error.text; j++)
			if (sizes[j] <= size) {
				at = sizes[j];
				read_strictly(&host, worker_id, at, before, &error);
			}
		after = read_transcript(&host, worker_id, size);
		if (!cJSON_Compare(before, after, true))
			continue; /* it was going on */
		if (*error.text)
			check_fail("transcript of %s by %" PRIu64 " items: a page %s", worker_id, at, error.text);
		spawned_stop_all(&host);
		host_close(&host);
		return;
	}
	check_skip("the transcript of %s changes each time it is read", worker_id);
}

/* n: how many there are; fewer than start. */
static void expect_nothing(struct host *host, const char *worker_id, uint64_t start, uint64_t limit, uint64_t n)
{
	CLEANUP(json_delete) cJSON *answer = worker_page(host, worker_id, start, limit);
	bool goes_on = cJSON_HasObjectItem(answer, "next_start");

	if (json_n_items(answer) > 0 || goes_on)
		check_fail("transcript from %" PRIu64 ", limit %" PRIu64 ": %zu items%s, while there are %" PRIu64
			   " in all", start, limit, json_n_items(answer), goes_on ? " and a next_start" : "", n);
	if (answer_failed(answer))
		check_fail("transcript from %" PRIu64 ", limit %" PRIu64 ": it fails, where there is nothing",
			   start, limit);
}

/* Numbers in which start + limit does not fit, or that are cut to 32 bits, and so on. */
static void check_transcript_bounded(const struct subject *subject)
{
	static const uint64_t limits[] = { 0, 1, 2, 250, UINT64_MAX };
	static const uint64_t starts[] = {
		UINT64_C(1) << 31, UINT64_C(1) << 32, (UINT64_C(1) << 32) + 1,
		UINT64_C(1) << 63, UINT64_MAX - 1,    UINT64_MAX,
	};
	CLEANUP(json_delete) cJSON *items = NULL;
	char worker_id[BERTH_ID_MAX + 1];
	struct host host = { 0 };
	uint64_t size, n;

	host_open(&host, subject, NULL);
	size = worker_with_transcript(&host, worker_id);
	items = read_transcript(&host, worker_id, size);
	n = (uint64_t)cJSON_GetArraySize(items);
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		/* One that is going on does not come this far meanwhile. */
		expect_nothing(&host, worker_id, n + 1000000, limits[i], n);
		for (size_t j = 0; j < sizeof starts / sizeof *starts; j++)
			expect_nothing(&host, worker_id, starts[j], limits[i], n);
	}
	spawned_stop_all(&host);
	host_close(&host);
}

static void check_transcript_order(const struct subject *subject)
{
	CLEANUP(json_delete) cJSON *items = NULL;
	uint64_t size, sequence = 0, event_id = 0;
	char worker_id[BERTH_ID_MAX + 1];
	struct host host = { 0 };
	const cJSON *item;

	host_open(&host, subject, NULL);
	size = worker_with_transcript(&host, worker_id);
	items = read_transcript(&host, worker_id, size);
	cJSON_ArrayForEach(item, items) {
		if (json_number(item, "sequence") <= sequence)
			check_fail("transcript of %s: sequence %" PRIu64 " stands behind %" PRIu64
				   "; they begin with 1 and rise",
				   worker_id, json_number(item, "sequence"), sequence);
		if (json_number(item, "event_id") <= event_id)
			check_fail("transcript of %s: event_id %" PRIu64 " stands behind %" PRIu64
				   "; they begin with 1 and rise",
				   worker_id, json_number(item, "event_id"), event_id);
		sequence = json_number(item, "sequence");
		event_id = json_number(item, "event_id");
	}
	spawned_stop_all(&host);
	host_close(&host);
}

/* What was accepted as input, and is looked for in the transcript. */
struct sent {
	const char *kind;
	const char *content; /* as JSON has it between its quotes */
	bool accepted;
	uint64_t sequence;
};

/* What a worker said may repeat its input, and is none. */
static bool is_said(const cJSON *item)
{
	return strcmp(json_string(item, "role"), "worker") == 0;
}

static bool is_input(const cJSON *item, const cJSON *content)
{
	return !is_said(item) && cJSON_Compare(cJSON_GetObjectItemCaseSensitive(item, "content"), content, true);
}

/* A terminal that is recorded shows input in its own way, or not at all. */
static void skip_recordings(struct host *host, const cJSON *items)
{
	const cJSON *item = items->child;

	while (item && is_said(item))
		item = item->next;
	if (item || !items->child)
		return;
	spawned_stop_all(host);
	check_skip("the transcript has what the worker says and nothing else");
}

/* Finds the inputs in the transcript: each once, in order. */
static void find_sent(struct host *host, const char *worker_id, const struct sent *sent, size_t n_sent)
{
	CLEANUP(json_delete) cJSON *items = read_transcript(host, worker_id, page_size(host, worker_id));
	const cJSON *item = items->child;

	skip_recordings(host, items);
	for (size_t i = 0; i < n_sent; i++) {
		CLEANUP(json_delete) cJSON *content = NULL;
		CLEANUP_FREE char *quoted = NULL;

		if (!sent[i].accepted)
			continue;
		if (asprintf(&quoted, "\"%s\"", sent[i].content) < 0)
			check_fail("no memory");
		content = cJSON_Parse(quoted);
		while (item && !is_input(item, content))
			item = item->next;
		if (!item)
			check_fail("transcript: input %zu, \"%.40s\" of %zu bytes, was accepted and is not there as "
				   "it was sent, behind those before it",
				   i + 1, sent[i].content, strlen(sent[i].content));
		if (strcmp(json_string(item, "role"), sent[i].kind) != 0)
			check_fail("transcript: input of kind %s has the role %s", sent[i].kind,
				   json_string(item, "role"));
		if (sent[i].sequence != 0 && json_number(item, "sequence") != sent[i].sequence)
			check_fail("transcript: input that was answered with transcript_sequence %" PRIu64
				   " has sequence %" PRIu64,
				   sent[i].sequence, json_number(item, "sequence"));
		item = item->next;
		for (const cJSON *later = item; later; later = later->next)
			if (is_input(later, content))
				check_fail("transcript: input %zu, \"%.40s\", was sent once and is there twice",
					   i + 1, sent[i].content);
	}
}

static void check_transcript_kept(const struct subject *subject)
{
	enum { LONG = 100000 };
	CLEANUP_FREE char *large = malloc(LONG + 1);
	struct sent sent[] = {
		{ .kind = "user", .content = "first of a check" },
		{ .kind = "system", .content = "two\\nlines\\tof \\\"JSON\\\" \\\\" },
		{ .kind = "user", .content = "  white space around  " },
		{ .kind = "user", .content = "\xc3\xa4\xe2\x82\xac\xf0\x9f\x9a\xa2 \\u0001\\u007f" },
		{ .kind = "system", .content = large },
		{ .kind = "user", .content = "last of a check" },
	};
	const size_t n_sent = sizeof sent / sizeof *sent;
	char worker_id[BERTH_ID_MAX + 1];
	struct host host = { 0 };
	size_t n_accepted = 0;

	if (!large)
		check_fail("no memory");
	memset(large, 'a', LONG);
	large[LONG] = '\0';
	host_open(&host, subject, NULL);
	if (!host_can(&host, "can_read_bounded_transcript"))
		check_skip("the runtime does not declare can_read_bounded_transcript");
	worker_for_input(&host, worker_id);
	if (!worker_can(&host, worker_id, "can_read_bounded_transcript") || page_size(&host, worker_id) == 0)
		check_skip("of the worker that was spawned, no transcript can be read");
	for (size_t i = 0; i < n_sent; i++) {
		CLEANUP(json_delete) cJSON *answer = worker_input(&host, worker_id, sent[i].kind, sent[i].content);

		sent[i].accepted = answer_is(answer, "accepted");
		sent[i].sequence = json_number(answer, "transcript_sequence");
		n_accepted += sent[i].accepted;
	}
	if (n_accepted < 2)
		check_skip("of %zu inputs, %zu are accepted", n_sent, n_accepted);
	check_note("of %zu inputs, %zu are accepted", n_sent, n_accepted);
	find_sent(&host, worker_id, sent, n_sent);
	spawned_stop_all(&host);
	host_close(&host);
}

const struct check checks_transcripts[] = {
	{ "transcript/offered", "what is declared is done: transcripts are not unsupported",
	  "can_read_bounded_transcript", check_transcript_offered },
	{ "transcript/pages",
	  "pages of any size make up the same transcript, with exact total_items and next_start",
	  "can_read_bounded_transcript", check_transcript_pages },
	{ "transcript/bounded", "past the end of a transcript there is nothing, however large start and limit are",
	  "can_read_bounded_transcript", check_transcript_bounded },
	{ "transcript/order", "sequence and event_id begin with 1 and rise from item to item",
	  "can_read_bounded_transcript", check_transcript_order },
	{ "transcript/kept", "input that was accepted is in the transcript as it was sent, once and in order",
	  "can_accept_input", check_transcript_kept },
	{ NULL, NULL, NULL, NULL },
};
