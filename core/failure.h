/* SPDX-License-Identifier: MIT */
/* Why an instance is not there: a stable code for programs, and for people what
 * was expected, what was found and what to do. */
#ifndef BERTH_CORE_FAILURE_H
#define BERTH_CORE_FAILURE_H

#include <stddef.h>

#include "core/error.h"

enum failure_code {
	FAILURE_NONE,
	FAILURE_CONFIG_UNREADABLE,
	FAILURE_CONFIG_UNSAFE,
	FAILURE_CONFIG_INVALID,
	FAILURE_PLUGIN_NOT_FOUND,
	FAILURE_PLUGIN_UNREADABLE,
	FAILURE_NOT_A_PLUGIN,
	FAILURE_FOREIGN_MACHINE,
	FAILURE_STAMP_MISSING,
	FAILURE_STAMP_INVALID,
	FAILURE_ABI_MISMATCH,
	FAILURE_ID_MISMATCH,
	FAILURE_CHECKSUM_MISMATCH,
	FAILURE_NOT_LINKABLE,
	FAILURE_REGISTRATION_MISSING,
	FAILURE_REGISTRATION_FAILED,
	FAILURE_OPTION_INVALID,
	FAILURE_OPEN_FAILED,
	FAILURE_RUNTIME_UNAVAILABLE,
	FAILURE_RUNTIME_ID_TAKEN,
	FAILURE_QUARANTINED,
	FAILURE_NO_MEMORY,
	N_FAILURES,
};

struct failure {
	enum failure_code code;
	char expected[200];
	struct error found;
};

/* Fills in a failure; found is a printf format. Returns -EINVAL, or -ENOMEM for
 * FAILURE_NO_MEMORY. */
__attribute__((format(printf, 4, 5)))
int failure_set(struct failure *failure, enum failure_code code, const char *expected, const char *found, ...);

/* Failures in the order in which they were found, as many as there is room for. */
struct failures {
	struct failure list[64];
	size_t n;
	size_t n_more; /* that there was no room for */
};

/* Room for one more, which counts as found; never NULL: the last room is used again. */
struct failure *failures_add(struct failures *failures);

/* Writes the failure on one line: code, what was expected and found, what to do. Returns
 * the line, which is cut where it is too long. */
enum { FAILURE_LINE_MAX = 1024 };
const char *failure_line(const struct failure *failure, char line[FAILURE_LINE_MAX]);

const char *failure_code_name(enum failure_code code);
const char *failure_hint(enum failure_code code);

#endif
