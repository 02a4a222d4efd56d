/* SPDX-License-Identifier: MIT */
/* Input and output that goes on after signals and short counts. */
#ifndef BERTH_CORE_IO_H
#define BERTH_CORE_IO_H

#include <stddef.h>

/* Writes all of it; waits where the descriptor does not block. 0 or a negative errno. */
int io_write_all(int fd, const char *data, size_t len);

#endif
