/* SPDX-License-Identifier: MIT */
/*
 * A call into an adapter: the object that the adapter is given, the sink behind it,
 * and what came of it. Here is where everything that a plugin hands in is checked.
 */
#ifndef BERTH_CORE_CALL_H
#define BERTH_CORE_CALL_H

#include <berth/adapter.h>
#include <stdbool.h>

#include "core/error.h"
#include "core/wire.h"

struct instance;

enum operation {
	OPERATION_OPEN,
	OPERATION_RUNTIME,
	OPERATION_LIST_HOSTS,
	OPERATION_LIST_WORKERS,
	OPERATION_WORKER,
	OPERATION_SPAWN_WORKER,
	OPERATION_STOP_WORKER,
	OPERATION_SEND_INPUT,
	OPERATION_TRANSCRIPT,
	OPERATION_CONNECT_POINTS,
	OPERATION_READ_EVENTS,
	N_OPERATIONS,
};

/* What an adapter is asked. The adapter may have been built with a later minor,
 * whose requests are longer: what it reads behind ours must be zero, so the block
 * has room, and is zeroed before it is filled in. */
union request_block {
	unsigned char room[256];
	struct berth_open_request open;
	struct berth_list_request list;
	struct berth_worker_request worker;
	struct berth_spawn_request spawn;
	struct berth_stop_request stop;
	struct berth_input_request input;
	struct berth_transcript_request transcript;
	struct berth_events_request events;
};

struct call {
	/* Set by the caller: */
	struct berth_call base; /* its deadline only */
	struct instance *instance;
	enum operation operation;
	const union request_block *request;
	struct buffer *out;              /* items go here, the second and later ones behind a comma */
	struct outlet *outlet;           /* takes items once there are many; NULL: out keeps them all */
	struct diagnostics *diagnostics; /* those of the answer go here */
	uint64_t wanted;                 /* items to be kept; the request's own limit is how many are asked for */
	struct berth_text host_id;       /* present: workers of that host alone */
	struct berth_text worker_id;     /* present: that worker alone */
	struct berth_text after_id;      /* present: workers behind that one alone; absent once it has come */
	const struct shape *runtime_shape; /* how a runtime is written */
	void (*on_host)(struct call *call, struct berth_text host_id); /* for each host; may be NULL */
	bool *would_waitp; /* set where the call would have to wait for another; NULL: it waits */
	void (*on_answer)(struct call *call); /* when the head of the answer is there; may be NULL */

	/* The outcome: */
	int returned; /* by the operation */
	unsigned may_push; /* what the adapter may push now */
	uint64_t n_asked; /* items that the adapter was asked for */
	uint64_t n_pushed, n_items;
	bool passed_after; /* the worker after_id has come */
	struct berth_answer answer;
	bool answered;
	size_t n_evidence;      /* its beginning is in out behind the worker, or in evidence */
	struct buffer evidence;
	unsigned n_refused;
	struct error *refusal; /* the first; both while it runs */
	struct error *failure; /* given to fail */
};

enum call_result {
	CALL_DONE,    /* the adapter answered */
	CALL_DEFAULT, /* it has no such operation or leaves it to the registry; nothing came */
	CALL_UNKNOWN, /* there is no such worker */
	CALL_FAILED,  /* it failed, or broke its contract; both are in the log */
};

/* Carries the call out in this thread, under the lock that the adapter's threading
 * asks for. failure: what was given to fail, or why it failed; NULL: the log alone is told. */
enum call_result call_run(struct call *call, struct error *failure);

/* Frees what the outcome owns. */
void call_fini(struct call *call);

/* As in the contract with callers. */
const char *operation_name(enum operation operation);

#endif
