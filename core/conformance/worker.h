/* SPDX-License-Identifier: MIT */
/* Requests about one worker of the first runtime, and what their answers say. */
#ifndef BERTH_CORE_CONFORMANCE_WORKER_H
#define BERTH_CORE_CONFORMANCE_WORKER_H

#include "core/conformance/host.h"

/* ---- Answers ---- */

/* Whether the state is that one. */
bool answer_is(const cJSON *answer, const char *state);

/* Whether the operation failed, rather than refuse. */
bool answer_failed(const cJSON *answer);

const cJSON *answer_diagnostics(const cJSON *answer);

/* The code of the first diagnostic, or what stands for it. */
const char *answer_reason(const cJSON *answer);

/* Fails the check where it is unsupported: what is declared may be refused, but not for want
 * of it. */
void answer_expect_offered(const cJSON *answer, const char *operation, const char *capability);

/* A number; 0 where there is none. */
uint64_t json_number(const cJSON *object, const char *key);

/* ---- Requests; each answer is to be freed with cJSON_Delete ---- */

/* content: as it stands in JSON between the quotes. */
cJSON *worker_input(struct host *host, const char *worker_id, const char *kind, const char *content);
cJSON *worker_stop(struct host *host, const char *worker_id, const char *mode);
cJSON *worker_page(struct host *host, const char *worker_id, uint64_t start, uint64_t limit);

/* Whether the worker says that it has a capability, such as can_stop; true as well where
 * it cannot be looked up, so that it is tried. */
bool worker_can(struct host *host, const char *worker_id, const char *capability);

/* Spawns a worker that takes input; where there is none the check is skipped. */
void worker_for_input(struct host *host, char worker_id[BERTH_ID_MAX + 1]);

#endif
