/* SPDX-License-Identifier: MIT */
/* Input: a file of its own in the inbox of the container, of which the supervisor gives a
 * receipt once it stands in the transcript, on disk. */
#ifndef BERTH_INCUS_INBOX_H
#define BERTH_INCUS_INBOX_H

#include "cluster.h"

enum { INBOX_CONTENT_MAX = 1 << 20 };

/* Returns 0 with the number of the item. -EAGAIN: the worker did not take it in time, and it was
 * withdrawn; -EINPROGRESS: whether it was taken is not known; others: it was not. */
int inbox_send(const struct cluster_call *call, const char *container, const struct berth_input_request *request,
	       uint64_t *sequencep);

#endif
