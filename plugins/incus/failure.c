/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "failure.h"

#define DIAGNOSTIC(code, severity, message) \
	{ sizeof(struct berth_diagnostic), BERTH_TEXT(code), BERTH_TEXT(message), severity }

static const struct berth_diagnostic diagnostics[N_FAILURES] = {
	[FAILURE_UNREACHABLE] = DIAGNOSTIC("incus_unreachable", BERTH_ERROR,
		"the cluster cannot be reached, or is not the one that was expected; berth check and the log say more"),
	[FAILURE_TIMED_OUT] = DIAGNOSTIC("incus_timed_out", BERTH_ERROR,
		"the cluster has not answered in time; what was asked for may still be carried out"),
	[FAILURE_HOST_UNREACHABLE] = DIAGNOSTIC("incus_host_unreachable", BERTH_WARNING,
		"the host of this worker cannot be reached by the cluster; what is shown is what was known last"),
	[FAILURE_PERMISSION_DENIED] = DIAGNOSTIC("incus_permission_denied", BERTH_ERROR,
		"the cluster does not let this certificate do that in this project"),
	[FAILURE_QUOTA_REACHED] = DIAGNOSTIC("incus_quota_reached", BERTH_WARNING,
		"a limit of the project in the cluster is reached; stop or remove workers, or raise it"),
	[FAILURE_DISK_FULL] = DIAGNOSTIC("incus_disk_full", BERTH_ERROR,
		"there is no room left on a disk of the cluster"),
	[FAILURE_IMAGE_MISSING] = DIAGNOSTIC("incus_image_missing", BERTH_ERROR,
		"the image that is assigned to the role is not in the cluster"),
	[FAILURE_REFUSED] = DIAGNOSTIC("incus_request_refused", BERTH_ERROR,
		"the cluster has refused this; the log says why"),
	[FAILURE_NO_MEMORY] = DIAGNOSTIC("incus_no_memory", BERTH_ERROR, "there is no memory for this"),
	[FAILURE_NO_SOCKET] = DIAGNOSTIC("incus_no_socket", BERTH_WARNING,
		"workers of this runtime have no endpoint of their own to become ready; ask for run_accepted"),
	[FAILURE_ROLE_UNASSIGNED] = DIAGNOSTIC("incus_role_unassigned", BERTH_WARNING,
		"no image is assigned to this role in the drop-in of the adapter"),
	[FAILURE_SEGMENTS_IGNORED] = DIAGNOSTIC("incus_segments_ignored", BERTH_INFO,
		"the worker runs one command; the segments that are expected were not counted"),
	[FAILURE_NOT_STARTED] = DIAGNOSTIC("incus_worker_not_started", BERTH_ERROR,
		"the worker was made but did not become ready, and was removed again; its image needs a shell, awk and mkfifo"),
	[FAILURE_NOT_RUNNING] = DIAGNOSTIC("incus_worker_not_running", BERTH_WARNING,
		"the input was not taken: the worker does not run"),
	[FAILURE_NOT_LISTENING] = DIAGNOSTIC("incus_worker_not_listening", BERTH_WARNING,
		"the input was withdrawn: the worker has not taken it in time"),
	[FAILURE_INPUT_UNKNOWN] = DIAGNOSTIC("incus_input_unknown", BERTH_ERROR,
		"it is not known whether the input was taken; the transcript will tell"),
	[FAILURE_INPUT_INVALID] = DIAGNOSTIC("incus_input_invalid", BERTH_WARNING,
		"the input was not taken: it is empty but for white space, or larger than 1 MiB"),
	[FAILURE_STILL_RUNNING] = DIAGNOSTIC("incus_worker_still_running", BERTH_WARNING,
		"the worker has been told to stop but has not done so in time; force stops it"),
	[FAILURE_LIMIT_TOO_LARGE] = DIAGNOSTIC("incus_limit_too_large", BERTH_WARNING,
		"at most 256 items of a transcript, or events, are given at once"),
	[FAILURE_CURSOR_INVALID] = DIAGNOSTIC("incus_cursor_invalid", BERTH_WARNING,
		"the cursor is none that this runtime has given"),
	[FAILURE_EVENTS_POLLED] = DIAGNOSTIC("incus_events_incomplete", BERTH_WARNING,
		"the cluster cannot be asked what is new; events of this time may come later"),
};

const struct berth_diagnostic *failure_diagnostic(enum failure failure)
{
	return &diagnostics[failure];
}

enum failure failure_of(int rc)
{
	switch (rc) {
	case -ECONNREFUSED: return FAILURE_UNREACHABLE;
	case -ETIMEDOUT:
	case -ECANCELED: return FAILURE_TIMED_OUT;
	case -EHOSTUNREACH: return FAILURE_HOST_UNREACHABLE;
	case -EACCES: return FAILURE_PERMISSION_DENIED;
	case -EDQUOT: return FAILURE_QUOTA_REACHED;
	case -ENOSPC: return FAILURE_DISK_FULL;
	case -ENOPKG: return FAILURE_IMAGE_MISSING;
	case -ENOMEM: return FAILURE_NO_MEMORY;
	case -ENOEXEC: return FAILURE_NOT_STARTED;
	case -ESHUTDOWN: return FAILURE_NOT_RUNNING;
	case -EAGAIN: return FAILURE_NOT_LISTENING;
	case -EINPROGRESS: return FAILURE_INPUT_UNKNOWN;
	default: return FAILURE_REFUSED;
	}
}

int failure_reject(struct berth_call *call, enum failure failure)
{
	const struct berth_answer answer = { .size = sizeof answer, .state = BERTH_REJECTED };

	call->sink->answer(call, &answer);
	return failure_add(call, failure);
}

int failure_add(struct berth_call *call, enum failure failure)
{
	return call->sink->diagnostic(call, &diagnostics[failure]);
}
