/* SPDX-License-Identifier: MIT */
/* What callers are told: diagnostics, and which of them an error number means. */
#ifndef BERTH_INCUS_FAILURE_H
#define BERTH_INCUS_FAILURE_H

#include <berth/adapter.h>

enum failure {
	FAILURE_UNREACHABLE,
	FAILURE_TIMED_OUT,
	FAILURE_HOST_UNREACHABLE,
	FAILURE_PERMISSION_DENIED,
	FAILURE_QUOTA_REACHED,
	FAILURE_DISK_FULL,
	FAILURE_IMAGE_MISSING,
	FAILURE_REFUSED,
	FAILURE_NO_MEMORY,
	FAILURE_NO_SOCKET,
	FAILURE_ROLE_UNASSIGNED,
	FAILURE_SEGMENTS_IGNORED,
	FAILURE_NOT_STARTED,
	FAILURE_NOT_RUNNING,
	FAILURE_NOT_LISTENING,
	FAILURE_INPUT_UNKNOWN,
	FAILURE_INPUT_INVALID,
	FAILURE_STILL_RUNNING,
	FAILURE_LIMIT_TOO_LARGE,
	FAILURE_CURSOR_INVALID,
	FAILURE_EVENTS_POLLED,
	N_FAILURES,
};

const struct berth_diagnostic *failure_diagnostic(enum failure failure);
enum failure failure_of(int rc);

/* Pushes an answer that is rejected, and why. */
int failure_reject(struct berth_call *call, enum failure failure);

/* Adds a diagnostic to the answer. */
int failure_add(struct berth_call *call, enum failure failure);

#endif
