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

/* The two digits of each number below 100, one number behind the other. */
extern const char json_pairs[];

static inline void json_put_pair(char *to, uint64_t value)
{
	memcpy(to, json_pairs + 2 * value, 2);
}

/* The same into JSON_U64_ROOM bytes, of which it returns how many it took. By branches, which are foreseen: what
 * follows then need not wait until the digits are there. */
enum { JSON_U64_ROOM = 20 };
size_t json_put_large(char *to, uint64_t value);

static inline size_t json_put_u64(char *to, uint64_t value)
{
	if (value >= 10000)
		return json_put_large(to, value);
	if (value >= 1000) {
		json_put_pair(to, value / 100);
		json_put_pair(to + 2, value % 100);
		return 4;
	}
	if (value >= 100) {
		*to = (char)('0' + value / 100);
		json_put_pair(to + 1, value % 100);
		return 3;
	}
	if (value >= 10) {
		json_put_pair(to, value);
		return 2;
	}
	*to = (char)('0' + value);
	return 1;
}

/* RFC 3339 in UTC, offset +00:00, with 0, 3, 6 or 9 fraction digits as needed. */
void json_write_time(struct buffer *out, uint64_t ns_since_1970);

#endif
