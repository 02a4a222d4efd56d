/* SPDX-License-Identifier: MIT */
/* Values of the wire format, appended to a buffer: compact, and with no more
 * escapes than ", \ and U+0000 to U+001F. */
#ifndef BERTH_CORE_JSON_WRITER_H
#define BERTH_CORE_JSON_WRITER_H

#include <berth/adapter.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/buffer.h"

/* A string; false, with nothing written, where the text is not UTF-8. */
bool json_write_string(struct buffer *out, struct berth_text text);

void json_write_u64(struct buffer *out, uint64_t value);

/* The same into JSON_U64_ROOM bytes, of which it returns how many it took. */
enum { JSON_U64_ROOM = 20 };
size_t json_put_u64(char *to, uint64_t value);

/* RFC 3339 in UTC, offset +00:00, with 0, 3, 6 or 9 fraction digits as needed. */
void json_write_time(struct buffer *out, uint64_t ns_since_1970);

#endif
