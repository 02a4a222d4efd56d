/* SPDX-License-Identifier: MIT */
/* Input and output that goes on after signals and short counts. */
#ifndef BERTH_CORE_IO_H
#define BERTH_CORE_IO_H

#include <stddef.h>
#include <sys/types.h>

#include "core/buffer.h"

/* Writes all of it; waits where the descriptor does not block. 0 or a negative errno. */
int io_write_all(int fd, const char *data, size_t len);

/* Reads what there is, at most so much, behind what is in the buffer; waits where there is
 * nothing yet. How much it was, 0 at the end, or a negative errno. */
ssize_t io_read(int fd, struct buffer *to, size_t max);

#endif
