/* SPDX-License-Identifier: MIT */
/* Answers that are sent as they come. */
#ifndef BERTH_CORE_SERVE_STREAM_H
#define BERTH_CORE_SERVE_STREAM_H

#include "core/serve/client.h"

struct MHD_Response;

/* The answers to the lines of a batch. NULL where there is no memory. */
struct MHD_Response *stream_batch(struct clients *clients, struct client *client, struct exchange *exchange);

/* The events that the exchange's follower, whom the stream ends then, is told. NULL where there is no memory, and he has
 * been ended. */
struct MHD_Response *stream_events(struct clients *clients, struct client *client, struct exchange *exchange);

#endif
