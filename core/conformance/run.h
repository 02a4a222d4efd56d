/* SPDX-License-Identifier: MIT */
/* Running one check in a process of its own. */
#ifndef BERTH_CORE_CONFORMANCE_RUN_H
#define BERTH_CORE_CONFORMANCE_RUN_H

#include "core/buffer.h"
#include "core/conformance/check.h"

enum verdict {
	VERDICT_PASSED,
	VERDICT_FAILED,
	VERDICT_SKIPPED,
};

struct result {
	enum verdict verdict;
	char why[1024];       /* of what failed or was skipped; else "" */
	struct buffer notes;  /* lines */
	struct buffer output; /* what the process wrote on standard error, its end if it is long */
	double seconds;
};

/* Runs the check; it is killed, and has failed, after so many seconds. Fills in result,
 * which is to be freed with result_fini. Returns 0 or a negative errno where no process
 * could be made. */
int run_check(const struct check *check, const struct subject *subject, unsigned seconds, struct result *result);
void result_fini(struct result *result);

#endif
