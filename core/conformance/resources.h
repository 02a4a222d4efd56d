/* SPDX-License-Identifier: MIT */
/* What a process has of what can be left behind: descriptors, threads, memory. */
#ifndef BERTH_CORE_CONFORMANCE_RESOURCES_H
#define BERTH_CORE_CONFORMANCE_RESOURCES_H

#include <stdint.h>

enum { N_RESOURCES = 3 };

struct resources {
	int64_t n[N_RESOURCES];
};

void resources_count(struct resources *resources);

/* Fails the check where there is as much more of one as that, after what the text says. */
void resources_expect(const struct resources *before, int64_t more, const char *after);

#endif
