/* SPDX-License-Identifier: MIT */
/* Watches over what must not take long, in place of the thread that is stuck in it. */
#ifndef BERTH_CORE_CONFORMANCE_WATCH_H
#define BERTH_CORE_CONFORMANCE_WATCH_H

#include <stdbool.h>

/* Within which is "at once"; programs need longer to be woken on a busy machine. */
enum { WATCH_SECONDS = 5, WATCH_PROGRAM_SECONDS = 60 };

/* The operation is under way, in a state that the text describes. The check fails where it
 * has not ended in time. */
void watch(const char *operation, const char *state);

/* It has ended. */
void watch_no_longer(void);

/* From now on the check is skipped rather than failed, since another one holds that rule. */
void watch_skips(void);

#endif
