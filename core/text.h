/* SPDX-License-Identifier: MIT */
/* Comparing texts. */
#ifndef BERTH_CORE_TEXT_H
#define BERTH_CORE_TEXT_H

#include <berth/adapter.h>
#include <stdbool.h>
#include <string.h>

static inline bool text_equal(struct berth_text a, struct berth_text b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool text_is(struct berth_text text, const char *string)
{
	return text_equal(text, berth_text(string));
}

#endif
