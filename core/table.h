/* SPDX-License-Identifier: MIT */
/* Answers as people read them: aligned tables, made from the JSON of the answer, so
 * that they show the same whoever gave it. */
#ifndef BERTH_CORE_TABLE_H
#define BERTH_CORE_TABLE_H

#include <berth/adapter.h>

#include "core/buffer.h"

enum table_kind {
	TABLE_RUNTIMES,
	TABLE_HOSTS,
	TABLE_WORKERS,
	TABLE_WORKER, /* one, in full */
	TABLE_SPAWN,
	TABLE_STATE, /* stop, input */
	TABLE_TRANSCRIPT,
	TABLE_CONNECT_POINTS,
	TABLE_EVENTS,
	TABLE_ADAPTERS,
	TABLE_STAMP,
	TABLE_CONFIG,
};

/* Appends the answer, an object of that kind, for a terminal of so many columns.
 * Identifiers are never shortened, and nothing in the answer can drive a terminal. */
void table_write(struct buffer *out, enum table_kind kind, struct berth_text answer, size_t columns);

/* Appends a line for each failure in a report of adapters, without any break. */
void table_write_failures(struct buffer *out, struct berth_text answer);

/* Appends any text as cells show it. */
void table_write_text(struct buffer *out, struct berth_text text);

/* Appends an answer's error on one line, for standard error. */
void table_write_error(struct buffer *out, struct berth_text answer);

/* The value of a key in an object, as it stands there; absent where it is not or is
 * null. path: keys with dots between, such as error.kind. */
struct berth_text table_find(struct berth_text object, const char *path);

#endif
