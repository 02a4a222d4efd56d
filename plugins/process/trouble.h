/* SPDX-License-Identifier: MIT */
/* Why there is no answer. */
#ifndef BERTH_PROCESS_TROUBLE_H
#define BERTH_PROCESS_TROUBLE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

enum trouble_kind {
	TROUBLE_NONE,
	TROUBLE_TIMEOUT,     /* it did not answer in time */
	TROUBLE_CRASHED,     /* it ended, or could not be started */
	TROUBLE_QUARANTINED, /* it ended so often that it is not started any more */
	TROUBLE_BROKEN,      /* what it said is none of the protocol, or nothing can be made of it */
};

/* The text is about the child, as "the process ...", and has nothing in it that the child
 * said, so that it may stand in an answer. */
struct trouble {
	enum trouble_kind kind;
	bool sent; /* the request may have reached the child: what became of it is not known */
	char text[240];
};

/* Fills in a trouble; what the child said goes to the log instead. Returns -1. */
__attribute__((format(printf, 3, 4)))
static inline int trouble_set(struct trouble *trouble, enum trouble_kind kind, const char *format, ...)
{
	va_list args;

	trouble->kind = kind;
	va_start(args, format);
	vsnprintf(trouble->text, sizeof trouble->text, format, args);
	va_end(args);
	return -1;
}

#endif
