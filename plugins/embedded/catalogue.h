/* SPDX-License-Identifier: MIT */
/*
 * The embedded runtime's catalogue of workers, each with a transcript, in memory.
 *
 * Every function may be called from any thread. What a visitor is shown it borrows
 * until it returns; it runs under the catalogue's lock and must not call back.
 */
#ifndef BERTH_EMBEDDED_CATALOGUE_H
#define BERTH_EMBEDDED_CATALOGUE_H

#include <berth/adapter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct catalogue;

enum worker_state {
	WORKER_RUNNING,
	WORKER_STOPPED,
	WORKER_CANCELLED,
};

struct catalogue_worker {
	uint64_t number;      /* from 1 */
	const char *role;     /* constant */
	const char *profile;  /* constant */
	enum worker_state state;
	size_t n_items;
};

struct catalogue_item {
	uint64_t event_id;
	bool is_system;
	struct berth_text content;
};

/* Numbers given to an accepted input. */
struct catalogue_receipt {
	uint64_t sequence, event_id;
};

/* Starts a runtime, which is its event 1. NULL where there is no memory. */
struct catalogue *catalogue_new(void);
void catalogue_free(struct catalogue *catalogue);

/* Adds a running worker; role and profile are constants. -ENOMEM. */
int catalogue_spawn(struct catalogue *catalogue, const char *role, const char *profile,
		    struct catalogue_worker *worker);

/* -ENOENT where there is no such worker. */
int catalogue_get(struct catalogue *catalogue, uint64_t number, struct catalogue_worker *worker);

/* Shows the workers in the order of their numbers, until visit returns other than 0. */
void catalogue_each(struct catalogue *catalogue, int (*visit)(void *data, const struct catalogue_worker *worker),
		    void *data);

/* Puts a running worker to rest; one at rest keeps its state. -ENOENT. */
int catalogue_stop(struct catalogue *catalogue, uint64_t number, enum worker_state rest);

/* Appends to a transcript, in constant time however long it is. -ENOENT; -EPERM
 * where the worker is at rest; -ENOMEM. */
int catalogue_append(struct catalogue *catalogue, uint64_t number, bool is_system, struct berth_text content,
		     struct catalogue_receipt *receipt);

/* Shows at most limit items from the index start: first how many there are in all,
 * then each with its sequence, until it returns other than 0. -ENOENT. */
struct catalogue_reader {
	void (*begin)(void *data, size_t n_items);
	int (*item)(void *data, uint64_t sequence, const struct catalogue_item *item);
};

int catalogue_read(struct catalogue *catalogue, uint64_t number, uint64_t start, uint64_t limit,
		   const struct catalogue_reader *reader, void *data);

#endif
