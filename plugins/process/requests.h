/* SPDX-License-Identifier: MIT */
/* Requests of the batch protocol, written from what an operation is given. */
#ifndef BERTH_PROCESS_REQUESTS_H
#define BERTH_PROCESS_REQUESTS_H

#include <berth/adapter.h>

#include "bytes.h"

/* Each appends what follows the id: a comma, the members, and the closing brace. far_id:
 * the runtime, as the other side calls it. */
void request_list(struct bytes *out, const char *op, uint64_t limit);
void request_worker(struct bytes *out, const char *op, struct berth_text far_id, struct berth_text worker_id);
void request_spawn(struct bytes *out, struct berth_text far_id, const struct berth_spawn_request *request);
void request_stop(struct bytes *out, struct berth_text far_id, const struct berth_stop_request *request);
void request_input(struct bytes *out, struct berth_text far_id, const struct berth_input_request *request);
void request_transcript(struct bytes *out, struct berth_text far_id, const struct berth_transcript_request *request);
void request_events(struct bytes *out, struct berth_text far_id, const struct berth_events_request *request);

#endif
