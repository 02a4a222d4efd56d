/* SPDX-License-Identifier: MIT */
/*
 * Where a catalogue keeps its rows. A store decides nothing: it holds what it is given
 * and finds it again. All calls but close are made under the catalogue's lock.
 *
 * All but the last two return 0 or a negative errno: -ENOMEM; -EBADMSG where what it
 * holds is damaged; else whatever is in the way of it.
 */
#ifndef BERTH_EMBEDDED_STORE_H
#define BERTH_EMBEDDED_STORE_H

#include <berth/adapter.h>
#include <stdbool.h>
#include <stdint.h>

/* The numbers of these three are kept: only append. */
enum worker_state {
	WORKER_RUNNING = 0,
	WORKER_STOPPED = 1,
	WORKER_CANCELLED = 2,
	N_WORKER_STATES,
};

/* What a worker was spawned for. */
enum worker_assignment {
	ASSIGNMENT_WORKSPACE_COMPANION = 0,
	ASSIGNMENT_WORKSPACE_ORCHESTRATOR = 1,
	ASSIGNMENT_INTAKE = 2,
	ASSIGNMENT_ORCHESTRATOR = 3,
	ASSIGNMENT_CODER = 4,
	ASSIGNMENT_REVIEWER = 5,
	N_ASSIGNMENTS,
};

enum event_kind {
	EVENT_STARTED = 1,
	EVENT_CREATED = 2,
	EVENT_INPUT = 3,
	EVENT_STOPPED = 4,
	EVENT_CANCELLED = 5,
	N_EVENT_KINDS,
};

struct catalogue_worker {
	uint64_t number; /* from 1 */
	enum worker_assignment assignment;
	enum worker_state state;
	uint64_t n_items;      /* that there have been in all */
	uint64_t n_dropped;    /* of those, the first ones, which are not kept any more */
	uint64_t rested_at_ns; /* 0: it runs */
};

struct catalogue_item {
	uint64_t sequence; /* from 1 */
	uint64_t event_id;
	bool is_system;
	struct berth_text content;
};

struct catalogue_event {
	uint64_t id; /* from 1, without a gap when they happen; those that are dropped leave one */
	enum event_kind kind;
	uint64_t at_ns;    /* never before that of an earlier event */
	uint64_t worker;   /* 0: of the runtime as a whole */
	uint64_t sequence; /* of the item; 0: none */
};

/* The last numbers that were given, so that none is given again whatever is dropped. */
struct store_head {
	uint64_t last_worker, last_event, last_at_ns;
};

enum { STORE_IDENTITY_LEN = 16 };

/* Each returns other than 0 to be shown no more. */
typedef int store_worker_visitor(void *data, const struct catalogue_worker *worker);
typedef int store_item_visitor(void *data, const struct catalogue_item *item);
typedef int store_event_visitor(void *data, const struct catalogue_event *event);

struct store {
	const struct store_ops *ops;
	struct store_head head;                /* as it was when the store was opened */
	char identity[STORE_IDENTITY_LEN + 1]; /* hex digits, another for each runtime that was ever started */
};

struct store_ops {
	/* -ENOENT. */
	int (*get_worker)(struct store *store, uint64_t number, struct catalogue_worker *worker);

	/* In the order of their numbers; of their sequences, from first on; of their ids,
	 * those after an id, at most limit. */
	int (*each_worker)(struct store *store, store_worker_visitor *visit, void *data);
	int (*each_item)(struct store *store, uint64_t worker, uint64_t first, uint64_t limit,
			 store_item_visitor *visit, void *data);
	int (*each_event)(struct store *store, uint64_t after, uint64_t limit, store_event_visitor *visit, void *data);

	/* The event of the oldest item that is kept, and the worker that has been at rest
	 * for longest. -ENOENT where there is none. */
	int (*oldest_item)(struct store *store, struct catalogue_event *event);
	int (*oldest_rest)(struct store *store, struct catalogue_worker *worker);

	/* Where changes are kept in transactions: all since begin are kept, with the last
	 * numbers that were given, or none is. NULL, all three: each change is kept as
	 * soon as it is made. */
	int (*begin)(struct store *store);
	int (*commit)(struct store *store, const struct store_head *head);

	/* Keeps a worker as it now is, new or not (NULL: none), what has happened, and the
	 * item that came of it (NULL: none). All or nothing of it. */
	int (*apply)(struct store *store, const struct catalogue_worker *worker, const struct catalogue_event *event,
		     const struct catalogue_item *item);

	/* Keeps a worker of which n_dropped items are to be kept no more; they go, with
	 * their events. */
	int (*drop_items)(struct store *store, const struct catalogue_worker *worker);

	/* A worker without items goes, with its events. */
	int (*drop_worker)(struct store *store, uint64_t number);

	void (*rollback)(struct store *store);
	void (*close)(struct store *store);
};

/* A store in memory. NULL where there is no memory. */
struct store *memory_store_open(void);

#endif
