/* SPDX-License-Identifier: MIT */
/* Makes a worker: a container of its role's image with the supervisor in it. Whoever repeats a request
 * that has an identifier, at the same time or after a failure, goes on where it was. */
#ifndef BERTH_INCUS_SPAWN_H
#define BERTH_INCUS_SPAWN_H

#include "cluster.h"
#include "names.h"
#include "roles.h"

struct spawn {
	const struct role *role;
	const char *role_name;
	const char *workspace, *mark; /* of names, and in the configuration */
	const char *key;
	const char *ticket, *label;
	uint64_t timeout_ms;
};

/* What was reached, in this order. */
enum spawn_step {
	SPAWN_CREATED,
	SPAWN_INSTALLED,
	SPAWN_STARTED,
	SPAWN_READY,
	N_SPAWN_STEPS,
};

/* Returns 0 with the steps that were taken, or that somebody else had taken, in *stepsp, as bits. What
 * was made is removed again where a step fails. */
int spawn_carry_out(const struct cluster_call *call, const struct spawn *spawn, unsigned *stepsp);

/* Goes one step towards removing what a spawn has left behind that was never brought to its end. */
void spawn_sweep(const struct cluster_call *call, const char *container, bool runs);

#endif
