/* SPDX-License-Identifier: MIT */
/* What happens in the cluster, as it happens: a WebSocket on which it tells of every change in the
 * project, kept by a thread of its own. A berth without libwebsockets has none. */
#ifndef BERTH_INCUS_STREAM_H
#define BERTH_INCUS_STREAM_H

#include "client.h"

struct stream;

enum stream_news {
	STREAM_BEGUN, /* from now on all is told */
	STREAM_TOLD,  /* an event, in JSON */
	STREAM_LOST,  /* something was not told */
	STREAM_ENDED, /* nothing is told until it has begun again */
};

/* Called by the thread of the stream. text is NULL but for STREAM_TOLD. */
typedef void stream_take_fn(void *data, enum stream_news news, const char *text, size_t len);

/* Begins, and begins again whenever it ends. The client stays open until stream_close. -ENOSYS: there are
 * no streams; -ENOMEM, -EAGAIN. */
int stream_open(struct client *client, const struct berth_services *services, stream_take_fn *take, void *data,
		struct stream **streamp);
void stream_close(struct stream *stream);

#endif
