/* SPDX-License-Identifier: MIT */
/* The instances that serve: a set that requests hold while they need it, and that is replaced as a whole. */
#ifndef BERTH_CORE_SERVE_SET_H
#define BERTH_CORE_SERVE_SET_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/setup.h"

struct set {
	struct set *next; /* of those that have been replaced */
	unsigned n_holders;
	struct setup setup;
};

struct sets {
	pthread_mutex_t lock;
	struct set *now;
	struct set *replaced; /* and still held */
	atomic_uint_fast64_t limit; /* of lists, as configured now */
	uint64_t n_reloads, n_reloads_failed;
};

/* Serves with a set-up that has started, which is the set's then. -ENOMEM, with the set-up untouched; sets_fini is due
 * only on success. [set-up] */
int sets_init(struct sets *sets, struct setup *setup);

/* The set that serves now, until it is released. [any thread] */
struct set *sets_hold(struct sets *sets);
void sets_release(struct sets *sets, struct set *set);

/* Reads the configuration again and replaces the set. What is wrong is in the log; where nothing would serve, or an
 * instance that serves now would fail, the set stays as it was. [set-up] */
void sets_reload(struct sets *sets);

/* Closes what has been replaced and is held no more. [set-up] */
void sets_collect(struct sets *sets);

/* Closes everything; nothing is held. [set-up] */
void sets_fini(struct sets *sets);

#endif
