/* SPDX-License-Identifier: MIT */
/* Why something cannot be, on one line and with what to do. It may name paths and addresses,
 * so it is for the log and the inventory, never for an answer. */
#ifndef BERTH_INLINE_REASON_H
#define BERTH_INLINE_REASON_H

#include <stdarg.h>
#include <stdio.h>

struct reason {
	char text[512];
};

/* Fills in the reason and returns error. */
__attribute__((format(printf, 3, 4)))
static inline int reason_set(struct reason *reason, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reason->text, sizeof reason->text, format, args);
	va_end(args);
	return error;
}

#endif
