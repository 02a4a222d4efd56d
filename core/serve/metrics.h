/* SPDX-License-Identifier: MIT */
/* What the service has done, as Prometheus reads it. Labels come from tables and from configured instances alone, so
 * that no caller can make there be more of them. */
#ifndef BERTH_CORE_SERVE_METRICS_H
#define BERTH_CORE_SERVE_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include "core/buffer.h"
#include "core/serve/route.h"
#include "core/serve/set.h"

enum {
	METRICS_STATUSES = 16,
	METRICS_BUCKETS = 12,
};

/* One for each route, and one for what had none. */
struct route_metrics {
	atomic_uint_fast64_t n_by_status[METRICS_STATUSES];
	atomic_uint_fast64_t n_by_bucket[METRICS_BUCKETS + 1]; /* the last: longer than any */
	atomic_uint_fast64_t ns;
};

struct metrics {
	struct route_metrics routes[N_ROUTES + 1];
	atomic_uint_fast64_t n_connections, n_connections_refused;
	atomic_int_fast64_t n_open, n_active; /* connections; requests that are being answered */
	atomic_int_fast64_t n_followers;      /* of those, the ones that follow events */
};

/* Counts an answer. [any thread] */
void metrics_count(struct metrics *metrics, enum route route, unsigned status, uint64_t ns);

/* Appends everything, with the instances of a set that is held. [any thread] */
void metrics_write(struct metrics *metrics, struct sets *sets, const struct set *set, struct buffer *out);

#endif
