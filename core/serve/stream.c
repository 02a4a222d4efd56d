/* SPDX-License-Identifier: MIT */
/* A network thread asks for more whenever there is room, and waits for nobody: where there is nothing yet, the
 * connection is suspended until another thread has more. */
#include "config.h"

#include "core/serve/stream.h"

#include <stdlib.h>
#include <string.h>

#include "core/serve/feed.h"
#include "core/serve/library.h"
#include "core/services.h"

enum { PIECE = 32 << 10 };

#define HEARTBEAT_NS UINT64_C(15000000000) /* of silence, after which a follower is sent a comment */

struct stream {
	struct clients *clients;
	struct client *client;
	struct exchange *exchange;
};

static void count_sent(struct stream *stream, size_t n)
{
	stream->exchange->n_sent += n;
	client_allow(stream->client, stream->exchange->service, services_monotonic_ns(), n);
}

static ssize_t read_batch(void *data, uint64_t position, char *to, size_t max)
{
	struct stream *stream = data;
	struct exchange *exchange = stream->exchange;
	struct buffer *out = &exchange->batch.out;
	size_t left;

	(void)position;
	/* Then another thread may still be writing answers. */
	if (exchange->stage == EXCHANGE_EXPIRED || exchange->batch_failed)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	left = out->len - exchange->batch_taken;
	if (left == 0 && exchange->batch_done)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (left == 0) {
		buffer_cut(out, 0);
		exchange->batch_taken = 0;
		exchange->deadline_ns = services_monotonic_ns() + exchange->service->timeout_ns;
		exchange->batch.deadline_ns = exchange->deadline_ns;
		clients_hand_over(stream->clients, stream->client, exchange, true);
		return 0;
	}
	if (left > max)
		left = max;
	memcpy(to, out->data + exchange->batch_taken, left);
	exchange->batch_taken += left;
	count_sent(stream, left);
	return (ssize_t)left;
}

/* Suspends the connection until there are further events, or it is time for a heartbeat. */
static void wait_for_events(struct stream *stream, uint64_t until_ns)
{
	struct exchange *exchange = stream->exchange;

	client_set_deadline(stream->client, until_ns);
	MHD_suspend_connection(stream->client->connection);
	/* What came before it was seen to wait has not resumed it. */
	if (clients_wait(stream->clients, stream->client, exchange) && follower_is_due(exchange->follower))
		clients_resume(stream->clients, exchange);
}

static ssize_t read_events(void *data, uint64_t position, char *to, size_t max)
{
	static const char heartbeat[] = ":\n\n";
	struct stream *stream = data;
	struct exchange *exchange = stream->exchange;
	ssize_t n = follower_take(exchange->follower, to, max);

	(void)position;
	if (n < 0)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (n == 0 && exchange->stage == EXCHANGE_EXPIRED && max >= sizeof heartbeat - 1) {
		n = sizeof heartbeat - 1;
		memcpy(to, heartbeat, (size_t)n);
	}
	exchange->stage = EXCHANGE_DONE;
	if (n == 0)
		wait_for_events(stream, exchange->deadline_ns);
	else
		count_sent(stream, (size_t)n);
	if (n > 0)
		exchange->deadline_ns = services_monotonic_ns() + HEARTBEAT_NS;
	return n;
}

static void free_stream(void *data)
{
	struct stream *stream = data;

	follower_end(stream->exchange->follower);
	exchange_unref(stream->exchange);
	free(stream);
}

static struct MHD_Response *open_stream(struct clients *clients, struct client *client, struct exchange *exchange,
					MHD_ContentReaderCallback read)
{
	struct stream *stream = malloc(sizeof *stream);
	struct MHD_Response *response;

	if (!stream) {
		follower_end(exchange->follower);
		return NULL;
	}
	*stream = (struct stream){ clients, client, exchange_ref(exchange) };
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PIECE, read, stream, free_stream);
	if (!response)
		free_stream(stream);
	return response;
}

struct MHD_Response *stream_batch(struct clients *clients, struct client *client, struct exchange *exchange)
{
	return open_stream(clients, client, exchange, read_batch);
}

struct MHD_Response *stream_events(struct clients *clients, struct client *client, struct exchange *exchange)
{
	return open_stream(clients, client, exchange, read_events);
}
