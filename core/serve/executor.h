/* SPDX-License-Identifier: MIT */
/* Threads that carry out what may take long, and the queue before them. */
#ifndef BERTH_CORE_SERVE_EXECUTOR_H
#define BERTH_CORE_SERVE_EXECUTOR_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	EXECUTOR_THREADS = 16,
	EXECUTOR_QUEUE_MAX = 256,
};

struct job {
	struct job *next;
	void (*run)(struct job *job);
};

struct executor {
	pthread_mutex_t lock;
	pthread_cond_t wanted, left;
	struct job *first, **lastp;
	size_t n_queued;
	bool ending;
	pthread_t threads[EXECUTOR_THREADS];
	size_t n_threads, n_ended;
};

/* 0 or a negative errno; executor_fini is due only on success. */
int executor_init(struct executor *executor);

/* Has a job run by one of the threads, after those before it. False where too many wait already, unless it must be.
 * [any thread] */
bool executor_submit(struct executor *executor, struct job *job, bool must);

/* Waits until all jobs are done, but not after deadline_ns of services_monotonic_ns. False where one is still running,
 * and uses the executor: then it has to stay. */
bool executor_fini(struct executor *executor, uint64_t deadline_ns);

#endif
