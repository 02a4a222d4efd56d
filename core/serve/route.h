/* SPDX-License-Identifier: MIT */
/* Which path is which operation. */
#ifndef BERTH_CORE_SERVE_ROUTE_H
#define BERTH_CORE_SERVE_ROUTE_H

#include <berth/adapter.h>
#include <stdbool.h>

#include "core/buffer.h"
#include "core/error.h"
#include "core/request.h"
#include "core/serve/token.h"

enum route {
	ROUTE_RUNTIMES,
	ROUTE_HOSTS,
	ROUTE_WORKERS,
	ROUTE_HOST_WORKERS,
	ROUTE_WORKER,
	ROUTE_SPAWN,
	ROUTE_INPUT,
	ROUTE_STOP,
	ROUTE_TRANSCRIPT,
	ROUTE_CONNECT_POINTS,
	ROUTE_EVENTS,
	ROUTE_BATCH,
	ROUTE_ADAPTERS,
	ROUTE_RETRY,
	ROUTE_CONFIG,
	ROUTE_OPENAPI,
	ROUTE_HEALTH,
	ROUTE_READY,
	ROUTE_METRICS,
	N_ROUTES, /* also: none */
};

/* What carries a route out. */
enum route_kind {
	ROUTE_OF_REGISTRY, /* its operation, in one answer */
	ROUTE_OF_BATCH,
	ROUTE_OF_SERVICE,  /* the service itself, at once */
};

enum {
	ROUTE_TAKES_LIMIT = 1 << 0,
	ROUTE_TAKES_START = 1 << 1,
	ROUTE_TAKES_AFTER = 1 << 2,
	ROUTE_TAKES_BODY = 1 << 3,
	ROUTE_TAKES_CURSOR = 1 << 4,
	ROUTE_TAKES_FOLLOW = 1 << 5,
};

struct route_row {
	const char *name; /* in metrics */
	const char *method, *path;
	enum route_kind kind;
	enum request_op op; /* of the registry */
	unsigned takes;
	enum token_scope scope; /* that a token must have */
};

extern const struct route_row routes[N_ROUTES];

/* Finds the route of a path, whose segments are decoded in their places, and fills in the identifiers that stand in
 * it. -EINVAL: it is no path, with what is wrong in error; -ENOENT; -EPERM: it is there, as *routep, for another method. */
int route_find(const char *method, struct berth_text path, enum route *routep, struct request *request,
	       struct error *error);

/* Reads the members of a query that the route takes. The texts are decoded in their places. limit_max: what a limit is
 * where none is given, and larger ones are cut to. *followp: whether the answer is to go on; stays as it is where that is
 * not said. -EINVAL with what is wrong in error. */
int route_read_query(enum route route, struct berth_text query, uint64_t limit_max, struct request *request,
		     bool *followp, struct error *error);

/* Appends the methods that the path of a route has, as in Allow. */
void route_write_allow(struct buffer *out, enum route route);

#endif
