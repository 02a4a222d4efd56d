/* SPDX-License-Identifier: MIT */
/* What stands in the place of stream.c where berth was built without libwebsockets. */
#include "config.h"

#include "stream.h"

int stream_open(struct client *client, const struct berth_services *services, stream_take_fn *take, void *data,
		struct stream **streamp)
{
	(void)client, (void)services, (void)take, (void)data, (void)streamp;
	return -ENOSYS;
}

/* Without stream_open there is nothing to call this with. */
void stream_close(struct stream *stream)
{
	(void)stream;
}
