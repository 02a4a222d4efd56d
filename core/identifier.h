/* SPDX-License-Identifier: MIT */
/* Identifiers and display hints, by the rules that callers can rely on: README.md,
 * "Identifiers". */
#ifndef BERTH_CORE_IDENTIFIER_H
#define BERTH_CORE_IDENTIFIER_H

#include <berth/adapter.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/buffer.h"

/* 1 to BERTH_ID_MAX bytes of A-Z a-z 0-9 - _ : */
bool identifier_valid(struct berth_text id);

/* Appends it as a JSON string; false, with nothing appended, where it is none. */
bool identifier_write(struct buffer *out, struct berth_text id);

/* Writes prefix + body + "-" + digest of value. Returns the identifier in buffer;
 * absent where value is not UTF-8 or the buffer is shorter than the result. [any thread] */
struct berth_text identifier_generate(struct berth_text prefix, struct berth_text value, char *buffer, size_t size);

/* Writes the first 80 code points of value that are no control character, slash or
 * backslash. Returns the hint in buffer; absent where value is not UTF-8 or the
 * buffer too small. */
struct berth_text identifier_hint(struct berth_text value, char *buffer, size_t size);

#endif
