/* SPDX-License-Identifier: MIT */
/* What all requests share. */
#ifndef BERTH_CORE_SERVE_SERVICE_H
#define BERTH_CORE_SERVE_SERVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/serve/executor.h"
#include "core/serve/metrics.h"
#include "core/serve/origin.h"
#include "core/serve/pace.h"
#include "core/serve/set.h"
#include "core/serve/token.h"

enum {
	BODY_MAX = 1 << 20,         /* bytes; in a batch, each line */
	BATCH_BODY_MAX = 256 << 20, /* bytes, all lines together */
	BATCHES_MAX = 16,           /* at once */
	FOLLOWERS_MAX = 256,        /* at once */
	FOLLOW_PAGE = 64,           /* events that are read at once for one of them */
};

struct service {
	struct sets sets;
	struct metrics metrics;
	struct tokens tokens;
	struct origins origins;
	struct executor executor;
	struct pace paces[N_ROUTES];
	uint64_t timeout_ns; /* of a request, to come and to be answered */
	size_t max_connections;
	uint64_t id_base; /* of the ids that requests are given */
	atomic_uint_fast64_t id_next;
	atomic_uint n_batches;
	atomic_bool ending;
};

/* The description of the service, made of openapi.json. */
extern const char service_openapi[];
extern const size_t service_openapi_len;

#endif
