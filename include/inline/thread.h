/* SPDX-License-Identifier: MIT */
/* Signals are for the threads that wait for them: a thread that helps for a while takes none. One that runs what an adapter
 * may start processes in must not be such a thread, since they would inherit that. */
#ifndef BERTH_INLINE_THREAD_H
#define BERTH_INLINE_THREAD_H

#include <pthread.h>
#include <signal.h>

/* As pthread_create() does; the thread begins with all signals blocked. */
static inline int thread_create_quiet(pthread_t *thread, void *(*run)(void *data), void *data)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(thread, NULL, run, data);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

#endif
