/* SPDX-License-Identifier: MIT */
/* Scope-bound clean-up: what a function owns is released where its scope ends,
 * unless it is stolen first. */
#ifndef BERTH_CORE_CLEANUP_H
#define BERTH_CORE_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(function) __attribute__((cleanup(function)))

static inline void cleanup_free(void *pointerp)
{
	free(*(void **)pointerp);
}

static inline void cleanup_close(const int *fdp)
{
	if (*fdp >= 0)
		close(*fdp);
}

#define CLEANUP_FREE CLEANUP(cleanup_free)
#define CLEANUP_CLOSE CLEANUP(cleanup_close)

/* Takes a pointer out of its variable, which the clean-up then finds NULL. */
#define STEAL(pointer)                          \
	__extension__({                         \
		__typeof__(pointer) stolen_ = (pointer); \
		(pointer) = NULL;               \
		stolen_;                        \
	})

#endif
