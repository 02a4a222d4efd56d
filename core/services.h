/* SPDX-License-Identifier: MIT */
/* What the host offers to each instance: the table of struct berth_services. */
#ifndef BERTH_CORE_SERVICES_H
#define BERTH_CORE_SERVICES_H

#include <berth/adapter.h>

struct services {
	struct berth_services base;
	const char *name; /* of the instance, in the log; borrowed */
};

void services_init(struct services *services, const char *name);

/* The same clocks for the host's own use. */
uint64_t services_wall_ns(void);
uint64_t services_monotonic_ns(void);

#endif
