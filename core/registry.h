/* SPDX-License-Identifier: MIT */
/* The registry: one bounded view over the runtimes of all instances. */
#ifndef BERTH_CORE_REGISTRY_H
#define BERTH_CORE_REGISTRY_H

#include "core/buffer.h"
#include "core/error.h"
#include "core/instance.h"
#include "core/request.h"

struct registry {
	struct instance **instances; /* in the order of registration; owned */
	size_t n_instances;
	uint64_t limit; /* of a list where a request does not say; 0: REQUEST_DEFAULT_LIMIT */
	struct berth_text workspace_id; /* for lists that say it; borrowed */
};

/* Enters an instance, which the registry then owns. -EEXIST where its runtime_id is
 * taken, -ENOMEM; the instance stays the caller's then. [set-up] */
int registry_add(struct registry *registry, struct instance *instance);

/* Closes all instances. No call is running. [set-up] */
void registry_fini(struct registry *registry);

/* Appends the answer to a request as one JSON object. [any thread] */
void registry_answer(struct registry *registry, const struct request *request, struct buffer *out);

/* Appends the answer to a request that could not be read: error.kind bad_request. */
void registry_answer_bad_request(struct buffer *out, const struct error *error);

#endif
