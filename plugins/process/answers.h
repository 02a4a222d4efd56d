/* SPDX-License-Identifier: MIT */
/* Answers of the batch protocol, read as if they came from an enemy, and pushed into the
 * sink, which checks their texts once more. */
#ifndef BERTH_PROCESS_ANSWERS_H
#define BERTH_PROCESS_ANSWERS_H

#include "bytes.h"
#include "trouble.h"

#include <berth/adapter.h>

/* The one runtime of the other side that is presented. */
struct far_runtime {
	char id[BERTH_ID_MAX + 1];     /* there */
	char own_id[BERTH_ID_MAX + 1]; /* here; host ids are generated anew from it and theirs */
	uint64_t index;                /* of its place there */
	uint64_t can;                  /* what it declares at hello, BERTH_CAN_* */
	bool alone;                    /* it is the only one there */
	uint64_t wanted;               /* items of this call; those that come beyond are left out */
};

/* Finds the runtime in the answer to hello: that of the name, or the only one. -1 with
 * the trouble; with no kind where it is no answer to hello at all. */
int answer_hello(struct berth_text answer, const char *wanted, struct far_runtime *far, struct trouble *trouble);

/* Each reads an answer, whose bytes it changes, pushes what it holds, and returns what the
 * operation is to return; -ENOSYS: the other side calls the request a bad one. */
int answer_runtime(struct berth_call *call, const struct far_runtime *far, struct bytes *answer);
int answer_hosts(struct berth_call *call, const struct far_runtime *far, struct bytes *answer);
int answer_workers(struct berth_call *call, const struct far_runtime *far, struct bytes *answer);
int answer_worker(struct berth_call *call, const struct far_runtime *far, struct bytes *answer);
int answer_spawn(struct berth_call *call, const struct far_runtime *far, struct bytes *answer);
int answer_stop(struct berth_call *call, const struct far_runtime *far, struct bytes *answer);
int answer_input(struct berth_call *call, const struct far_runtime *far, struct bytes *answer);
int answer_transcript(struct berth_call *call, const struct far_runtime *far, struct bytes *answer);
int answer_connect_points(struct berth_call *call, const struct far_runtime *far, struct bytes *answer);
int answer_events(struct berth_call *call, const struct far_runtime *far, struct bytes *answer);

#endif
