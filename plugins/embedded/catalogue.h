/* SPDX-License-Identifier: MIT */
/*
 * The embedded runtime's catalogue of workers, each with a transcript, and the log of
 * its events. What workers and numbers do is decided here, once; where they are kept
 * is the affair of a store.
 *
 * Every function may be called from any thread. What a visitor is shown it borrows
 * until it returns; it runs under the catalogue's lock and must not call back.
 *
 * Beside those named, functions return negative errnos of the store: -EBADMSG where
 * what it holds is damaged, else whatever is in its way, which may pass.
 */
#ifndef BERTH_EMBEDDED_CATALOGUE_H
#define BERTH_EMBEDDED_CATALOGUE_H

#include <berth/adapter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store.h"

struct catalogue;

/* What is kept; 0: everything, for good. */
struct catalogue_retention {
	uint64_t items;       /* of a transcript, the newest so many */
	uint64_t days;        /* of a transcript, those that are not older */
	uint64_t resting_days; /* workers that have not been at rest for longer */
};

/* Numbers given to an accepted input. */
struct catalogue_receipt {
	uint64_t sequence, event_id;
};

/* Makes a catalogue of a store, which is its own from then on, also on failure. A new
 * runtime is started, which is its event 1. -ENOMEM. */
int catalogue_open(struct store *store, const struct catalogue_retention *retention,
		   const struct berth_services *services, struct catalogue **cataloguep);
void catalogue_close(struct catalogue *catalogue);

/* Whether damage has been met: then nothing is changed any more, and what can still be
 * read is read. */
bool catalogue_is_damaged(const struct catalogue *catalogue);

/* Adds a running worker. */
int catalogue_spawn(struct catalogue *catalogue, enum worker_assignment assignment, struct catalogue_worker *worker);

/* -ENOENT where there is no such worker. */
int catalogue_get(struct catalogue *catalogue, uint64_t number, struct catalogue_worker *worker);

/* Shows the workers in the order of their numbers, until visit returns other than 0. */
int catalogue_each(struct catalogue *catalogue, store_worker_visitor *visit, void *data);

/* Puts a running worker to rest; one at rest keeps its state. -ENOENT. */
int catalogue_stop(struct catalogue *catalogue, uint64_t number, enum worker_state rest);

/* Appends to a transcript, in constant time however long it is. -ENOENT; -EPERM
 * where the worker is at rest. */
int catalogue_append(struct catalogue *catalogue, uint64_t number, bool is_system, struct berth_text content,
		     struct catalogue_receipt *receipt);

/* Shows at most limit items that are kept, from the index start: first the worker, then
 * each item until it returns other than 0. -ENOENT. */
struct catalogue_reader {
	void (*begin)(void *data, const struct catalogue_worker *worker);
	store_item_visitor *item;
};

int catalogue_read(struct catalogue *catalogue, uint64_t number, uint64_t start, uint64_t limit,
		   const struct catalogue_reader *reader, void *data);

/* Fills in the events that are kept after an id, at most size; how many in *np. Costs
 * next to nothing where there are none. */
int catalogue_events(struct catalogue *catalogue, uint64_t after, struct catalogue_event *events, size_t size,
		     size_t *np);

/* The id of the newest event, and what tells this runtime from every other. */
uint64_t catalogue_last_event(const struct catalogue *catalogue);
const char *catalogue_identity(const struct catalogue *catalogue);

#endif
