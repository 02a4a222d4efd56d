/* SPDX-License-Identifier: MIT */
/* The batch protocol: a JSON object a line in, an answer a line out, in order. */
#ifndef BERTH_CORE_BATCH_H
#define BERTH_CORE_BATCH_H

#include <stdbool.h>

#include "core/buffer.h"
#include "core/error.h"
#include "core/registry.h"

enum { BATCH_LINE_MAX = 8 << 20 }; /* bytes, where nothing else is configured */

/* A batch whose input comes in pieces. */
struct batch {
	size_t line_max;
	const char *too_long; /* error.kind of a line that is longer */
	bool read_only;       /* what would change anything is forbidden */
	uint64_t deadline_ns; /* of the lines that are answered next; 0: none */
	struct outlet *outlet; /* takes lists piece by piece, and what is in out before them; NULL: out keeps all */
	struct buffer in;     /* what has come and is not yet answered; append to it */
	struct buffer out;    /* answers, to be taken out when one likes */
	struct buffer scratch;
	size_t answered; /* bytes of in */
	size_t searched; /* bytes of in that have no newline behind answered */
	bool skipping;   /* in the middle of a line that is too long */
};

/* Answers the complete lines of in, of which nothing is left then, but no more of them once there are enough bytes of
 * answers or it is later than until_ns (0: never). ended: what follows the last newline is a line, too. Returns 1 where lines are
 * left, 0 where there are none, or -ENOMEM. [any thread, own batch] */
int batch_answer_lines(struct batch *batch, struct registry *registry, bool ended, size_t enough, uint64_t until_ns);

void batch_fini(struct batch *batch);

/* Appends the answer to one request, without a newline. scratch: used and kept
 * between calls, so that it need not grow each time. [any thread, own scratch] */
void batch_answer(struct registry *registry, struct berth_text line, struct buffer *scratch, struct buffer *out);

/* Answers the lines of one descriptor on the other until the input ends. Blocks. A
 * line of more than line_max bytes is refused without being kept. Returns 0, or a
 * negative errno where reading or writing failed. */
int batch_run(struct registry *registry, int in_fd, int out_fd, size_t line_max, struct error *error);

#endif
