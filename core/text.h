/* SPDX-License-Identifier: MIT */
/* Comparing texts. */
#ifndef BERTH_CORE_TEXT_H
#define BERTH_CORE_TEXT_H

#include <berth/adapter.h>
#include <stdbool.h>
#include <string.h>

#include "inline/utf8.h"

static inline bool text_equal(struct berth_text a, struct berth_text b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Puts ? in the place of each byte that makes a string no UTF-8: of what comes from
 * file names, or was cut. */
static inline void text_make_utf8(char *string)
{
	size_t left = strlen(string);
	uint32_t code;

	while (left > 0) {
		size_t n = utf8_decode(string, left, &code);

		if (n == 0) {
			*string = '?';
			n = 1;
		}
		string += n;
		left -= n;
	}
}

/* The same, and in the place of each byte of a control character: some terminals obey those behind ASCII, too. */
static inline void text_make_plain(char *string)
{
	uint32_t code = 0;

	text_make_utf8(string);
	for (size_t n = 0, left = strlen(string); left > 0; string += n, left -= n) {
		n = utf8_decode(string, left, &code);
		if (unicode_is_control(code))
			memset(string, '?', n);
	}
}

static inline bool text_is(struct berth_text text, const char *string)
{
	return text_equal(text, berth_text(string));
}

#endif
