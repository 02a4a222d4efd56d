/* SPDX-License-Identifier: MIT */
/* A page of events, as it is sent to those who follow a runtime: server-sent events. */
#ifndef BERTH_CORE_SERVE_PAGE_H
#define BERTH_CORE_SERVE_PAGE_H

#include <berth/adapter.h>
#include <stdbool.h>

#include "core/buffer.h"

struct page {
	struct buffer text;                /* its events */
	char cursor[BERTH_CURSOR_MAX + 1]; /* where the next one begins */
	bool more;                         /* there is one already */
};

/* Reads a page out of an answer to read_events, into an empty one. False where the answer has none: then it says why. */
bool page_read(struct page *page, struct berth_text answer);

/* Appends an answer that has no page, as the event that ends a stream. */
void page_write_end(struct buffer *out, struct berth_text answer);

#endif
