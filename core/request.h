/* SPDX-License-Identifier: MIT */
/* A request of the batch protocol, read from its JSON text. */
#ifndef BERTH_CORE_REQUEST_H
#define BERTH_CORE_REQUEST_H

#include <berth/adapter.h>
#include <stdbool.h>

#include "core/buffer.h"
#include "core/call.h"
#include "core/error.h"

enum request_op {
	REQUEST_HELLO,
	REQUEST_LIST_RUNTIMES,
	REQUEST_LIST_HOSTS,
	REQUEST_LIST_WORKERS,
	REQUEST_LIST_WORKERS_FOR_HOST,
	REQUEST_WORKER,
	REQUEST_SPAWN_WORKER,
	REQUEST_STOP_WORKER,
	REQUEST_SEND_INPUT,
	REQUEST_TRANSCRIPT,
	REQUEST_CONNECT_POINTS,
	REQUEST_READ_EVENTS,
	N_REQUEST_OPS,
};

enum {
	REQUEST_DEFAULT_LIMIT = 200,
	REQUEST_PROTOCOL = 1,
};

/* All texts are borrowed from the line and from the scratch buffer. */
struct request {
	enum request_op op;
	struct berth_text id; /* a string, or the text of a number; absent: none was given */
	bool id_is_number;
	uint64_t limit, start;
	struct berth_text runtime_id, worker_id, host_id;
	struct berth_text adapter; /* the name of an instance, for what is not of the registry */
	struct berth_text cursor; /* of read_events: where it goes on; absent: from the first that is kept */
	struct berth_text after; /* of list_workers: RUNTIME/WORKER behind which it goes on; absent: from the start */
	uint64_t deadline_ns;    /* of services_monotonic_ns, for the adapters; 0: none */
	bool *would_waitp;       /* set instead of waiting for another call to the same adapter: then nothing was done,
	                            and there is no answer; NULL: wait */
	struct outlet *outlet;   /* takes a list piece by piece; NULL: the answer is wanted as a whole */
	bool with_workspace;     /* lists also say of which workspace they are, their limit and their source */
	union request_block block; /* for the adapter, but for lists */
};

/* Reads the request in a line. limit: of lists that do not say. scratch holds decoded strings; it is emptied first
 * and must stay until the request is done with. Returns 0, -ENOMEM, or -EINVAL with
 * what and where in error; request->id is set as soon as it is known. */
int request_parse(struct berth_text line, uint64_t limit, struct buffer *scratch, struct request *request,
		  struct error *error);

/* Reads the rest of a request whose members from op to after have been set, all else zero: what the batch protocol has
 * under the key request is body, absent where there is none. Of a stop it may leave out the worker_id, and must not have
 * another. Returns as request_parse, with the same errors. */
int request_complete(struct request *request, struct berth_text body, struct buffer *scratch, struct error *error);

/* Appends the id as an answer gives it back: a number to the letter, a string with
 * no more escapes than needed. */
void request_write_id(const struct request *request, struct buffer *out);

/* Whether an operation does more than read. */
bool request_changes(enum request_op op);

/* The intent of a spawn in one word, such as ticket_coder. */
const char *request_intent_name(const struct berth_spawn_request *spawn);

#endif
