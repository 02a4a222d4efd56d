/* SPDX-License-Identifier: MIT */
/* What a run of checks leaves: TAP while it runs, JUnit XML at its end. */
#ifndef BERTH_CORE_CONFORMANCE_OUTPUT_H
#define BERTH_CORE_CONFORMANCE_OUTPUT_H

#include <stddef.h>
#include <stdio.h>

#include "core/conformance/run.h"

/* One check that was run; result NULL: it was not, since the adapter could not be loaded. */
struct outcome {
	const struct check *check;
	const struct result *result;
};

/* Writes the lines of one result. number: from 1. */
void output_tap(FILE *out, size_t number, const struct check *check, const struct result *result);

/* Writes the whole run. Returns 0 or a negative errno. */
int output_junit(const char *file, const char *adapter_id, const struct outcome *outcomes, size_t n);

#endif
