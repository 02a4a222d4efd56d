/* SPDX-License-Identifier: MIT */
/*
 * One request and its answer, without the library that carries them:
 *
 *	exchange_new        with its target
 *	exchange_judge      once its head is there
 *	exchange_add_body   for each piece of its body
 *	exchange_prepare    once all of it is there
 *	exchange_carry_out  where it needs the registry; in any thread
 *
 * Whatever refuses it sets its status, and the rest has nothing to do then. While another thread carries it out, only
 * that thread may look at the result.
 */
#ifndef BERTH_CORE_SERVE_EXCHANGE_H
#define BERTH_CORE_SERVE_EXCHANGE_H

#include "core/batch.h"
#include "core/serve/listener.h"
#include "core/serve/refusal.h"
#include "core/serve/route.h"
#include "core/serve/service.h"
#include "core/serve/spool.h"

/* The head of a request, as far as it matters. Absent texts were not given; all are borrowed. */
struct head {
	const char *method;
	struct berth_text host, origin, authorization, request_id, content_length, transfer_encoding, last_event_id;
	bool doubled;   /* a header that must not be there twice is */
	bool needs_host; /* by its version */
	bool expects;    /* it waits for 100 Continue */
	bool follows;    /* it takes server-sent events */
	bool tls;
};

enum { EXCHANGE_ID_SIZE = 65 };

enum exchange_stage {
	EXCHANGE_NEW,
	EXCHANGE_READING,
	EXCHANGE_WAITING, /* for another thread */
	EXCHANGE_DONE,    /* that thread is through */
	EXCHANGE_EXPIRED, /* it was not in time; it still has the result, and may be using it */
};

struct exchange {
	struct job job;
	struct service *service;
	atomic_uint n_refs;
	enum exchange_stage stage;
	char id[EXCHANGE_ID_SIZE];
	char method[16];
	char *target; /* as it came, for the log; the parts in use are a copy */
	char *parts;
	char *last_event_id;
	enum route route; /* N_ROUTES: none */
	enum token_scope scope;
	struct request request;
	uint64_t begun_ns;
	uint64_t deadline_ns;
	unsigned status; /* of the answer; 0: not known yet */
	bool close;      /* the connection cannot be used again */
	bool has_body;
	bool holds_batch; /* counts among service->n_batches */
	bool follows;     /* wants events as they happen, and counts among metrics.n_followers */
	uint64_t followed_ns; /* since when it has them; 0: not yet */
	struct follower *follower;
	uint64_t n_received, n_sent;
	struct buffer body, answer;
	struct spool spool;     /* of a batch */
	struct clients *clients; /* of owner, for job */
	void *owner;            /* the client that waits for job; NULL: none any more */

	/* The result: */
	unsigned result_status;
	struct buffer scratch, result;
	struct batch batch;
	size_t batch_taken; /* bytes of its answers */
	bool batch_done, batch_failed;

	char texts[]; /* target and parts */
};

/* An id for a request that has none of its own. [any thread] */
void exchange_make_id(struct service *service, char id[EXCHANGE_ID_SIZE]);

/* NULL where there is no memory. target may be NULL. The caller has the one reference. */
struct exchange *exchange_new(struct service *service, const char *target);
struct exchange *exchange_ref(struct exchange *exchange);
void exchange_unref(struct exchange *exchange);

void exchange_judge(struct exchange *exchange, const struct head *head, const struct listener *listener);
void exchange_add_body(struct exchange *exchange, const char *data, size_t len);

/* Reads the request. What the service answers itself has its status then. */
void exchange_prepare(struct exchange *exchange);

/* Asks the registry, or answers the next lines of a batch, into the result. */
void exchange_carry_out(struct exchange *exchange);

/* The same, of no batch, but without waiting for other calls to the same adapter: false, with nothing done, where it
 * would have to. */
bool exchange_try_carry_out(struct exchange *exchange);

/* Makes the result the answer. */
void exchange_take_result(struct exchange *exchange);

/* Answers with an error. */
__attribute__((format(printf, 3, 4)))
void exchange_refuse(struct exchange *exchange, enum refusal refusal, const char *format, ...);

/* Logs the answer. client: who asked, for the log. */
void exchange_log(const struct exchange *exchange, const char *listener, uint64_t now_ns);

#endif
