/* SPDX-License-Identifier: MIT */
/* Errors of the service: {"error":{"kind":K,...}}, each kind with the status that it has over HTTP. */
#ifndef BERTH_CORE_SERVE_REFUSAL_H
#define BERTH_CORE_SERVE_REFUSAL_H

#include "core/buffer.h"

enum refusal {
	REFUSAL_BAD_REQUEST,
	REFUSAL_UNAUTHORIZED,
	REFUSAL_FORBIDDEN,
	REFUSAL_UNKNOWN_ROUTE,
	REFUSAL_METHOD_NOT_ALLOWED,
	REFUSAL_TOO_LARGE,
	REFUSAL_OUT_OF_MEMORY,
	REFUSAL_UNKNOWN_ADAPTER,
	REFUSAL_BUSY,
	REFUSAL_TIMEOUT,
	/* The registry's own, which it writes itself: */
	REFUSAL_INVALID_IDENTIFIER,
	REFUSAL_UNKNOWN_RUNTIME,
	REFUSAL_UNKNOWN_HOST,
	REFUSAL_UNKNOWN_WORKER,
	N_REFUSALS,
};

/* Makes the buffer the error alone, with a message for people. Returns the status. */
__attribute__((format(printf, 3, 4)))
unsigned refusal_write(struct buffer *out, enum refusal refusal, const char *format, ...);

/* The status of an answer of the registry: 200 unless it is an error. */
unsigned refusal_status(const struct buffer *answer);

/* The kind for a status that nobody here has chosen. */
enum refusal refusal_of_status(unsigned status);

#endif
