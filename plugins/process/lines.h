/* SPDX-License-Identifier: MIT */
/* Speaking the batch protocol with a child: a request and an answer a line, in JSON, any
 * number under way, answered in any order. */
#ifndef BERTH_PROCESS_LINES_H
#define BERTH_PROCESS_LINES_H

#include "bytes.h"
#include "child.h"

struct lines;

extern const struct speech lines_speech;

/* Looks at the answer to hello, without its id: 0, or -1 with the trouble. */
typedef int lines_greeted(void *data, struct berth_text answer, struct trouble *trouble);

/* NULL: no memory. data is borrowed until lines_free. */
struct lines *lines_new(const struct berth_services *services, lines_greeted *greeted, void *data);
void lines_free(struct lines *lines);

/* Whom the calls go to; once, before the first. */
void lines_set_child(struct lines *lines, struct child *child);

/* Sends {"id":N and the rest, which begins with a comma and ends with a brace, and waits
 * for its answer, a line that holds one JSON object. 0, and the caller frees answer; or -1
 * with the trouble. [any thread] */
int lines_ask(struct lines *lines, const struct bytes *rest, uint64_t timeout_ns, uint64_t deadline_ns,
	      struct bytes *answer, struct trouble *trouble);

/* To be called instead of bytes_fini, as answers that are kept are counted. */
void lines_drop(struct lines *lines, struct bytes *answer);

#endif
