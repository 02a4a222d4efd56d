/* SPDX-License-Identifier: MIT */
/* The batch protocol: a JSON object a line in, an answer a line out, in order. */
#ifndef BERTH_CORE_BATCH_H
#define BERTH_CORE_BATCH_H

#include "core/buffer.h"
#include "core/error.h"
#include "core/registry.h"

enum { BATCH_LINE_MAX = 8 << 20 }; /* bytes, where nothing else is configured */

/* Appends the answer to one request, without a newline. scratch: used and kept
 * between calls, so that it need not grow each time. [any thread, own scratch] */
void batch_answer(struct registry *registry, struct berth_text line, struct buffer *scratch, struct buffer *out);

/* Answers the lines of one descriptor on the other until the input ends. Blocks. A
 * line of more than line_max bytes is refused without being kept. Returns 0, or a
 * negative errno where reading or writing failed. */
int batch_run(struct registry *registry, int in_fd, int out_fd, size_t line_max, struct error *error);

#endif
