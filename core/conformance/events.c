/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "core/conformance/events.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/conformance/worker.h"

/* ---- Asking ---- */

void events_write_cursor(struct buffer *out, const char *cursor)
{
	for (const char *p = cursor; *p; p++) {
		char escaped[sizeof "\\u0000"];

		/* Requests are written with ' in the place of ". */
		if (!strchr("'\"\\", *p)) {
			buffer_append_char(out, *p);
			continue;
		}
		snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned char)*p);
		buffer_append_string(out, escaped);
	}
}

cJSON *events_read(struct host *host, const char *cursor, uint64_t limit)
{
	CLEANUP(buffer_fini) struct buffer request = { 0 };

	if (cursor) {
		buffer_append_string(&request, ",'cursor':'");
		events_write_cursor(&request, cursor);
		buffer_append_char(&request, '\'');
	}
	buffer_append_char(&request, '\0');
	if (request.failed)
		check_fail("no memory");
	return host_ask_json(host, "{'op':'read_events','runtime_id':'%s','limit':%" PRIu64 "%s}", host->runtime_id, limit,
			     request.data);
}

uint64_t events_page_size(struct host *host)
{
	for (uint64_t size = 100; size > 0; size /= 4) {
		CLEANUP(json_delete) cJSON *answer = events_read(host, NULL, size);

		if (answer_is(answer, "accepted"))
			return size;
	}
	return 0;
}

bool events_same(const cJSON *a, const cJSON *b)
{
	static const char *const keys[] = { "event_id", "kind", "occurred_at", "worker_id", "transcript_sequence" };

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (!cJSON_Compare(cJSON_GetObjectItemCaseSensitive(a, keys[i]),
				   cJSON_GetObjectItemCaseSensitive(b, keys[i]), true))
			return false;
	return true;
}

/* ---- Going from page to page ---- */

/* NULL stays NULL. */
static char *copy(const char *string)
{
	char *copied = string ? strdup(string) : NULL;

	if (string && !copied)
		check_fail("no memory");
	return copied;
}

void reader_init(struct reader *reader, struct host *host, uint64_t size, const char *cursor)
{
	*reader = (struct reader){ host, size, copy(cursor), cJSON_CreateArray(), false };
	if (!reader->events)
		check_fail("no memory");
}

void reader_fini(struct reader *reader)
{
	free(reader->cursor);
	cJSON_Delete(reader->events);
}

/* Returns how many there were. */
static size_t read_page(struct reader *reader)
{
	CLEANUP(json_delete) cJSON *answer = events_read(reader->host, reader->cursor, reader->size);
	cJSON *items = cJSON_GetObjectItemCaseSensitive(answer, "items");
	size_t n = 0;

	if (!answer_is(answer, "accepted"))
		check_fail("read_events %s%.*s: %s (%s)", reader->cursor ? "from its own cursor " : "from the beginning",
			   BERTH_CURSOR_MAX, reader->cursor ? reader->cursor : "", json_string(answer, "state"),
			   answer_reason(answer));
	for (; items && items->child; n++)
		cJSON_AddItemToArray(reader->events, cJSON_DetachItemViaPointer(items, items->child));
	free(reader->cursor);
	reader->cursor = copy(json_string(answer, "next_cursor"));
	reader->at_end = !cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(answer, "more"));
	return n;
}

bool reader_go_on(struct reader *reader, size_t max)
{
	size_t n = (size_t)cJSON_GetArraySize(reader->events), page;

	do {
		page = read_page(reader);
		n += page;
	} while (!reader->at_end && page > 0 && n < max);
	return reader->at_end;
}

const cJSON *reader_find_id(const struct reader *reader, uint64_t event_id)
{
	const cJSON *event;

	cJSON_ArrayForEach(event, reader->events)
		if (json_number(event, "event_id") == event_id)
			return event;
	return NULL;
}

const cJSON *reader_find_worker(const struct reader *reader, const char *worker_id)
{
	return json_find(reader->events, "worker_id", worker_id);
}
