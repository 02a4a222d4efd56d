/* SPDX-License-Identifier: MIT */
/* What a child says on standard error: lines for the log, as many as are reasonable. */
#ifndef BERTH_PROCESS_SAID_H
#define BERTH_PROCESS_SAID_H

#include <berth/adapter.h>

struct said {
	const struct berth_services *services;
	char line[900];
	size_t len;
	uint64_t tokens, filled_ns; /* lines that may be logged at once, and since when */
	uint64_t n_left_out;
};

void said_init(struct said *said, const struct berth_services *services);

/* Reads some of what is there, without waiting. 1: there may be more; 0: nothing now;
 * -EPIPE: nothing will come. */
int said_read(struct said *said, int fd);

/* Logs what is still kept, once the child has ended. */
void said_end(struct said *said);

#endif
