/* SPDX-License-Identifier: MIT */
/* How quick the answers of a route have been, so that it is known beforehand whether the next one will be. */
#ifndef BERTH_CORE_SERVE_PACE_H
#define BERTH_CORE_SERVE_PACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { PACE_QUICK = 64 }; /* answers of less than a millisecond, until a route counts as quick */

/* Zero: nothing is known. */
struct pace {
	atomic_int credit;
};

/* [any thread] */
bool pace_is_quick(struct pace *pace);

/* An answer took so long. [any thread] */
void pace_learn(struct pace *pace, uint64_t took_ns);

#endif
