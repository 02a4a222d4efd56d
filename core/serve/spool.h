/* SPDX-License-Identifier: MIT */
/* What has come and is not yet read, of any length: the beginning in memory, what is more than that in a file that
 * has no name. */
#ifndef BERTH_CORE_SERVE_SPOOL_H
#define BERTH_CORE_SERVE_SPOOL_H

#include <stdint.h>
#include <sys/types.h>

#include "core/buffer.h"

enum { SPOOL_MEMORY_MAX = 256 << 10 };

struct spool {
	struct buffer memory;
	int fd; /* -1: all of it is in memory */
	uint64_t len, taken;
};

#define SPOOL_INIT { .fd = -1 }

/* Adds bytes at the end. 0 or a negative errno. */
int spool_write(struct spool *spool, const char *data, size_t len);

/* Takes at most size bytes from the beginning: how many, 0 at the end, or a negative errno. */
ssize_t spool_read(struct spool *spool, char *data, size_t size);

void spool_fini(struct spool *spool);

#endif
