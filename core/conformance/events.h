/* SPDX-License-Identifier: MIT */
/* Reading the events of the first runtime of a host. */
#ifndef BERTH_CORE_CONFORMANCE_EVENTS_H
#define BERTH_CORE_CONFORMANCE_EVENTS_H

#include "core/buffer.h"
#include "core/conformance/host.h"

/* Writes a cursor as it stands in a request between its quotes. */
void events_write_cursor(struct buffer *out, const char *cursor);

/* cursor: as an answer has it; NULL: from the first that is kept. The answer is to be
 * freed with cJSON_Delete. */
cJSON *events_read(struct host *host, const char *cursor, uint64_t limit);

/* A size of pages that the runtime does not refuse; 0: it refuses all. */
uint64_t events_page_size(struct host *host);

/* Whether it is the same event, whatever cursor it was given with. */
bool events_same(const cJSON *a, const cJSON *b);

/* Goes from page to page through events. */
struct reader {
	struct host *host;
	uint64_t size;  /* of pages */
	char *cursor;   /* where to go on; NULL: from the beginning */
	cJSON *events;  /* all that were read */
	bool at_end;    /* the last page said that no more follow */
};

void reader_init(struct reader *reader, struct host *host, uint64_t size, const char *cursor);
void reader_fini(struct reader *reader);

/* Reads on to the end, or until there are so many; fails the check where a cursor that
 * the runtime itself has given is not accepted. Returns whether the end was reached. */
bool reader_go_on(struct reader *reader, size_t max);

/* The first event that was read with that id, or of that worker; NULL where there is none. */
const cJSON *reader_find_id(const struct reader *reader, uint64_t event_id);
const cJSON *reader_find_worker(const struct reader *reader, const char *worker_id);

#endif
