/* SPDX-License-Identifier: MIT */
/*
 * How the child of an instance stands: the adapter process knows it, and berth shows it
 * and says when it is to be tried again. berth hands the memory itself over, as the text
 * of the option of this name, and keeps it until close has returned. Both sides are of one
 * release, and nothing here is an ABI.
 */
#ifndef BERTH_INLINE_STANDING_H
#define BERTH_INLINE_STANDING_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define STANDING_OPTION "standing"

/* Why a child is not started any more. */
struct quarantine {
	uint64_t since_ns; /* of the wall clock; 0: there is none */
	uint64_t n_deaths; /* in a row */
	char reason[240];  /* of the last one; nothing in it was said by the child */
};

struct standing {
	pthread_mutex_t lock;
	struct quarantine quarantine;
	bool retry; /* it is to be started again */
};

#endif
