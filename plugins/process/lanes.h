/* SPDX-License-Identifier: MIT */
/* Speaking in frames with a child of our own, which runs one isolated instance. A lane is
 * a socket of its own for one call at a time. */
#ifndef BERTH_PROCESS_LANES_H
#define BERTH_PROCESS_LANES_H

#include "child.h"
#include "inline/frames.h"

struct lanes;

extern const struct speech lanes_speech;

/* timeout_ns: how long a call may take. start: as struct frame_start and the request of FRAME_OPEN are written; copied. NULL: no
 * memory. */
struct lanes *lanes_new(const struct berth_services *services, struct berth_text start, const struct frame_start *head,
			uint64_t timeout_ns);
void lanes_free(struct lanes *lanes);

/* Whom the calls go to; once, before the first. */
void lanes_set_child(struct lanes *lanes, struct child *child);

/* An answer: its pushes stand in the bytes. */
struct lane_answer {
	struct lane *lane;
	int returned;
	struct frame_reader pushes;
};

/* Asks the child, up to deadline_ns at the longest; 0: none. 0, and the answer is to be
 * given back; or -1 with the trouble. [any thread] */
int lanes_ask(struct lanes *lanes, enum frame_operation operation, const void *request, uint64_t deadline_ns,
	      struct lane_answer *answer, struct trouble *trouble);
void lanes_give_back(struct lanes *lanes, struct lane_answer *answer);

/* The answer to FRAME_OPEN of the first life, until lanes_free. False where there was none,
 * which is known once that life is ready or has ended. */
bool lanes_opening(const struct lanes *lanes, struct lane_answer *answer);

#endif
