/* SPDX-License-Identifier: MIT */
/*
 * Threads that do pieces of work ahead of one who needs them in order. Each piece is done
 * once, by whoever comes to it first.
 */
#ifndef BERTH_LOCAL_POD_CREW_H
#define BERTH_LOCAL_POD_CREW_H

#include <stddef.h>

struct crew;

/* Does a piece; who: 0 for the owner of the crew, 1 and up for its threads. */
typedef int crew_work(void *data, unsigned who, size_t piece);

/* How many threads can help: one for each further processor, at most max. */
unsigned crew_size(unsigned max);

/* Starts up to so many threads on so many pieces; with none it works, too. data: until
 * crew_end. -ENOMEM. */
int crew_start(unsigned n_threads, size_t n_pieces, crew_work *work, void *data, struct crew **crewp);

/* Returns what became of a piece, once it is done; 0 where there is none. By the owner
 * alone. */
int crew_need(struct crew *crew, size_t piece);

/* No further piece is begun; returns when all threads have ended. NULL is none. */
void crew_end(struct crew *crew);

#endif
