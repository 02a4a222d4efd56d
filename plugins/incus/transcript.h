/* SPDX-License-Identifier: MIT */
/* Transcripts, which supervisors write into files in their containers: read by ranges of bytes,
 * with an index of what has been read already. It locks itself. */
#ifndef BERTH_INCUS_TRANSCRIPT_H
#define BERTH_INCUS_TRANSCRIPT_H

#include "cluster.h"
#include "names.h"

struct transcripts;

struct transcripts *transcripts_new(void);
void transcripts_free(struct transcripts *transcripts);

/* Pushes an answer and the items that the request asks for. Returns an error number before anything
 * was pushed, -ENOENT: there is no transcript, perhaps not even a worker. */
int transcripts_push(struct transcripts *transcripts, const struct cluster_call *call, const char *container, const char *key,
		     const struct berth_transcript_request *request);

#endif
