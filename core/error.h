/* SPDX-License-Identifier: MIT */
/* The text of an error, in storage of the caller, so that nothing is allocated to
 * fail. Functions that can fail return 0 or a negative errno and leave their
 * outputs untouched on failure. */
#ifndef BERTH_CORE_ERROR_H
#define BERTH_CORE_ERROR_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

struct error {
	char text[512];
};

/* Sets the text, cut where it is too long, and returns code. error may be NULL.
 * The arguments may point into error->text. */
__attribute__((format(printf, 3, 4)))
static inline int error_set(struct error *error, int code, const char *format, ...)
{
	struct error text;
	va_list args;

	if (!error)
		return code;
	va_start(args, format);
	vsnprintf(text.text, sizeof text.text, format, args);
	va_end(args);
	*error = text;
	return code;
}

#endif
