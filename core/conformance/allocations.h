/* SPDX-License-Identifier: MIT */
/*
 * Allocations of this program, and of all libraries in its process, go through here, so
 * that one can be made to fail. They are counted and fail where the thread says so alone.
 */
#ifndef BERTH_CORE_CONFORMANCE_ALLOCATIONS_H
#define BERTH_CORE_CONFORMANCE_ALLOCATIONS_H

#include <stdbool.h>
#include <stdint.h>

/* False in a build with a sanitizer, which has allocations of its own. */
bool allocations_can_fail(void);

/* Counts the allocations of this thread, or no longer; returns what it was. */
bool allocations_count(bool on);

/* Counts the allocations of all threads, or no longer. */
void allocations_count_all(bool on);

/* Of those, only what is allocated by code at an address of which this is true; NULL: by any. */
void allocations_count_only(bool (*by)(const void *caller));

/* Lets the nth allocation from now on that is counted fail, in any thread, and each
 * later one if all is true. 0: none. */
void allocations_fail_at(uint64_t n, bool all);

/* Whether that point was reached. */
bool allocations_failed(void);

/* Blocks allocated, less those freed, in the whole process, counted or not: what one
 * thread allocates another may free. */
int64_t allocations_live(void);

#endif
