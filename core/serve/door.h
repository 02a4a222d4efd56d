/* SPDX-License-Identifier: MIT */
/* HTTP on one listener: a daemon of libmicrohttpd, and what becomes of its requests. */
#ifndef BERTH_CORE_SERVE_DOOR_H
#define BERTH_CORE_SERVE_DOOR_H

#include <stdatomic.h>
#include <stdbool.h>

#include "core/error.h"
#include "core/serve/listener.h"

struct MHD_Daemon;
struct server;

struct door {
	struct server *server;
	struct listener *listener;
	bool tls;
	struct MHD_Daemon *daemon; /* NULL: not open */
	unsigned n_threads;
	atomic_uint n_busy; /* of them, those that are in an adapter */
};

/* Begins to answer. */
int door_open(struct door *door, struct error *error);

/* Lets nobody in any more. */
void door_quiesce(struct door *door);

/* Ends all connections, none of which is suspended, while no thread is in an adapter. */
void door_close(struct door *door);

#endif
