/* SPDX-License-Identifier: MIT */
/*
 * Pieces are begun in their order, by the threads and by the owner, who does not wait as
 * long as there is one to begin. Pieces are large, so one lock serves.
 */
#include "config.h"

#include "crew.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>

#include "inline/thread.h"

enum { N_THREADS_MAX = 7 };

struct piece {
	bool done;
	int rc;
};

struct member {
	struct crew *crew;
	unsigned who;
	pthread_t thread;
};

struct crew {
	crew_work *work;
	void *data;
	pthread_mutex_t lock;
	pthread_cond_t progress;
	size_t next; /* piece to be begun */
	size_t n_pieces;
	unsigned n_threads;
	struct member members[N_THREADS_MAX];
	struct piece pieces[];
};

/* Begins the next piece and does it; false where there is none. Called and left locked. */
static bool do_next(struct crew *crew, unsigned who)
{
	size_t i = crew->next;
	int rc;

	if (i >= crew->n_pieces)
		return false;
	crew->next++;
	pthread_mutex_unlock(&crew->lock);
	rc = crew->work(crew->data, who, i);
	pthread_mutex_lock(&crew->lock);
	crew->pieces[i] = (struct piece){ true, rc };
	pthread_cond_signal(&crew->progress);
	return true;
}

static void *help(void *data)
{
	const struct member *member = data;

	pthread_mutex_lock(&member->crew->lock);
	while (do_next(member->crew, member->who))
		;
	pthread_mutex_unlock(&member->crew->lock);
	return NULL;
}

unsigned crew_size(unsigned max)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) - 1 : 0;

	return n < 0 ? 0 : (unsigned)n < max ? (unsigned)n : max;
}

int crew_start(unsigned n_threads, size_t n_pieces, crew_work *work, void *data, struct crew **crewp)
{
	struct crew *crew = calloc(1, sizeof *crew + n_pieces * sizeof *crew->pieces);

	if (!crew)
		return -ENOMEM;
	crew->work = work;
	crew->data = data;
	crew->n_pieces = n_pieces;
	pthread_mutex_init(&crew->lock, NULL);
	pthread_cond_init(&crew->progress, NULL);
	for (unsigned i = 0; i < n_threads && i < N_THREADS_MAX; i++) {
		crew->members[i] = (struct member){ .crew = crew, .who = i + 1 };
		if (thread_create_quiet(&crew->members[i].thread, help, &crew->members[i]) != 0)
			break;
		crew->n_threads++;
	}
	*crewp = crew;
	return 0;
}

int crew_need(struct crew *crew, size_t piece)
{
	int rc;

	pthread_mutex_lock(&crew->lock);
	while (piece < crew->n_pieces && !crew->pieces[piece].done)
		if (!do_next(crew, 0))
			pthread_cond_wait(&crew->progress, &crew->lock);
	rc = piece < crew->n_pieces ? crew->pieces[piece].rc : 0;
	pthread_mutex_unlock(&crew->lock);
	return rc;
}

void crew_end(struct crew *crew)
{
	if (!crew)
		return;
	pthread_mutex_lock(&crew->lock);
	crew->n_pieces = 0;
	pthread_mutex_unlock(&crew->lock);
	for (unsigned i = 0; i < crew->n_threads; i++)
		pthread_join(crew->members[i].thread, NULL);
	pthread_cond_destroy(&crew->progress);
	pthread_mutex_destroy(&crew->lock);
	free(crew);
}
