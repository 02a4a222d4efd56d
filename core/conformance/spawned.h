/* SPDX-License-Identifier: MIT */
/* Workers that the check itself has spawned: the only ones that a check acts on. */
#ifndef BERTH_CORE_CONFORMANCE_SPAWNED_H
#define BERTH_CORE_CONFORMANCE_SPAWNED_H

#include "core/conformance/host.h"
#include "core/error.h"

/* Ways to ask for a worker: each intent, and each acceptance. */
extern const struct spawn_way {
	const char *name, *request; /* members of the request, with ' in the place of " */
} spawn_ways[];
extern const size_t n_spawn_ways;

/* Asks the first runtime for a worker in one of these ways, with further members such as
 * "'request_id':'a'," or "", and remembers what came of it. The answer is to be freed
 * with cJSON_Delete. [any thread] */
cJSON *spawned_ask(struct host *host, const struct spawn_way *way, const char *members);

/* The worker in such an answer; NULL where there is none that was accepted. */
const char *spawned_id(const cJSON *answer);

/* The first way that the runtime accepts, and the worker that it led to; NULL, and why
 * not, where it cannot spawn or accepts none. */
const struct spawn_way *spawned_try(struct host *host, char worker_id[BERTH_ID_MAX + 1], struct error *why);

/* The same for a check that needs a worker: without one it is skipped. */
const struct spawn_way *spawned_worker(struct host *host, char worker_id[BERTH_ID_MAX + 1]);

/* Stops all of them, where the runtime can, so that a real one has no rest of the check. */
void spawned_stop_all(struct host *host);

/* ---- For the runner, whose checks may end before they have stopped theirs ---- */

/* Makes the memory of what is spawned one that the processes of checks share with this one; 0 or
 * a negative errno. Once. */
int spawned_share(void);

/* Whether one is left of the last check. */
bool spawned_is_any(void);

/* Stops what is left, where the runtime can. */
extern const struct check spawned_rest;

#endif
