/* SPDX-License-Identifier: MIT */
/*
 * A round: each operation of an instance once, in an order in which nothing stands in the
 * way of what follows. Those that act do so on a worker of the round's own.
 */
#ifndef BERTH_CORE_CONFORMANCE_ROUND_H
#define BERTH_CORE_CONFORMANCE_ROUND_H

#include "core/conformance/host.h"

struct spawn_way;

struct round {
	struct host *host;
	const struct spawn_way *way;         /* in which workers are spawned; NULL: in none */
	char worker_id[BERTH_ID_MAX + 1];    /* spawned, or else the first that is there, or "" */
	char cursor[BERTH_CURSOR_MAX + 1];   /* behind the first event, or "" */
	bool takes_input, stops;
};

enum { ROUND_STEPS = 12 };

/* Finds out what the instance can be asked, and spawns the worker. */
void round_begin(struct round *round, struct host *host);

/* Makes another instance of the same configuration ready for one step of the same round. */
void round_go_on(struct round *round, struct host *host, size_t step);

/* The operation; whether there is what it needs; whether it changes something, so that no
 * two answers are alike. */
const char *round_name(size_t step);
bool round_has(const struct round *round, size_t step);
bool round_acts(size_t step);

/* Carries out one step. The answer, to be freed, is the same each time, times of
 * observation left out, if the runtime is as it was. [any thread] */
char *round_ask(const struct round *round, size_t step);

#endif
