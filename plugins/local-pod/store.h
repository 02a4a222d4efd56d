/* SPDX-License-Identifier: MIT */
/*
 * The worker records below a data directory, with an index and a cache.
 *
 * Every answer is what a fresh scan would give: whatever a system call that had
 * returned before the request did to a record, its directory or the directory of
 * all shows. The cache only saves reading again what has provably not changed.
 * Not thread-safe: one call at a time for each store.
 */
#ifndef BERTH_LOCAL_POD_STORE_H
#define BERTH_LOCAL_POD_STORE_H

#include <berth/adapter.h>
#include <stdint.h>

#include "record.h"

struct store;

/* How it finds out what has changed. */
enum store_changes {
	CHANGES_AUTO,    /* as the next, once that pays */
	CHANGES_WATCHED, /* the kernel tells; where it does not, as the next */
	CHANGES_BY_STAT, /* by looking at each file */
	CHANGES_UNKNOWN, /* everything is read again for each answer */
};

/* One record as it is now; borrowed until the next call on the store. */
struct store_entry {
	enum record_outcome outcome;
	/* RECORD_WORKER only */
	enum record_activity activity;
	struct berth_text worker_id, label, role, profile; /* role and profile may be absent */
	struct berth_text hint;                            /* of the name of its directory */
};

/* services: must outlive the store. data_dir and root are copied. -ENOMEM. */
int store_new(const struct berth_services *services, struct berth_text data_dir, struct berth_text root,
	      enum store_changes changes, struct store **storep);
void store_free(struct store *store);

/* Shows the entries in the byte order of their names until visit returns other than
 * 0. n_wanted: about so many; more will not be read ahead. A negative errno where the directory cannot be read or memory is out; entries
 * may have been shown before. */
int store_each(struct store *store, uint64_t n_wanted, int (*visit)(void *data, const struct store_entry *entry),
	       void *data);

/* Finds the entry of a worker. -ENOENT where there is none; else as store_each. */
int store_find(struct store *store, struct berth_text worker_id, struct store_entry *entry);

#endif
