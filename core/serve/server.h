/* SPDX-License-Identifier: MIT */
/* HTTP on all listeners. */
#ifndef BERTH_CORE_SERVE_SERVER_H
#define BERTH_CORE_SERVE_SERVER_H

#include "core/serve/client.h"
#include "core/serve/door.h"
#include "core/serve/feed.h"
#include "core/serve/service.h"
#include "core/serve/tls.h"

struct server {
	struct service *service;
	struct clients clients;
	struct feeds feeds;
	struct tls tls;
	struct door doors[LISTENERS_MAX];
	size_t n_doors;
};

/* Begins to answer on the listeners. 0 or a negative errno; server_fini is due in any case. */
int server_start(struct server *server, struct service *service, struct listeners *listeners,
		 const struct options *options, struct error *error);

/* Expires what has taken too long, and looks for new events; to be called a few times a second. */
void server_tick(struct server *server);

/* Accepts no more connections, and lets nobody follow any more. */
void server_quiesce(struct server *server);

/* Whether a request is being read or answered. */
bool server_is_busy(struct server *server);

/* Answers what waits for an adapter, and all that would from now on, with an error. */
void server_close(struct server *server);

/* Ends all connections. False where a thread is stuck in an adapter, so that it cannot be done. */
bool server_stop(struct server *server);

void server_fini(struct server *server);

#endif
