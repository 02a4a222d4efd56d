/* SPDX-License-Identifier: MIT */
/* What a workspace is called after its root. */
#ifndef BERTH_INLINE_WORKSPACE_LABEL_H
#define BERTH_INLINE_WORKSPACE_LABEL_H

#include <berth/adapter.h>

#include "inline/utf8.h"

/* What follows the last / of the root once trailing / and /. are dropped; the word
 * workspace where that is empty, . or .., or not UTF-8. Borrows the root. */
static inline struct berth_text workspace_label(struct berth_text root)
{
	static const struct berth_text nameless = BERTH_TEXT("workspace");
	struct berth_text label = { root.ptr, 0 };
	size_t end = root.len, begin;

	for (;;) {
		if (end > 0 && root.ptr[end - 1] == '/')
			end--;
		else if (end > 1 && root.ptr[end - 1] == '.' && root.ptr[end - 2] == '/')
			end -= 2;
		else
			break;
	}
	begin = end;
	while (begin > 0 && root.ptr[begin - 1] != '/')
		begin--;
	label.ptr += begin;
	label.len = end - begin;
	if (label.len == 0 || (label.len <= 2 && memcmp(label.ptr, "..", label.len) == 0) ||
	    !utf8_valid(label.ptr, label.len))
		return nameless;
	return label;
}

#endif
