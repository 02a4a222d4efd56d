/* SPDX-License-Identifier: MIT */
/* A job may be stuck in an adapter for good, so nobody waits for one without an end. */
#include "config.h"

#include "core/serve/executor.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

static void *work(void *data)
{
	struct executor *executor = data;

	pthread_mutex_lock(&executor->lock);
	for (;;) {
		struct job *job = executor->first;

		if (job) {
			executor->first = job->next;
			if (!executor->first)
				executor->lastp = &executor->first;
			executor->n_queued--;
			pthread_mutex_unlock(&executor->lock);
			job->run(job);
			pthread_mutex_lock(&executor->lock);
		} else if (executor->ending) {
			break;
		} else {
			pthread_cond_wait(&executor->wanted, &executor->lock);
		}
	}
	pthread_mutex_unlock(&executor->lock);
	return NULL;
}

int executor_init(struct executor *executor)
{
	*executor = (struct executor){ .lastp = &executor->first };
	pthread_mutex_init(&executor->lock, NULL);
	pthread_cond_init(&executor->wanted, NULL);
	while (executor->n_threads < EXECUTOR_THREADS) {
		int rc = pthread_create(&executor->threads[executor->n_threads], NULL, work, executor);

		if (rc != 0) {
			executor_fini(executor, UINT64_MAX);
			return -rc;
		}
		executor->n_threads++;
	}
	return 0;
}

bool executor_submit(struct executor *executor, struct job *job, bool must)
{
	bool room;

	pthread_mutex_lock(&executor->lock);
	room = must || executor->n_queued < EXECUTOR_QUEUE_MAX;
	if (room) {
		job->next = NULL;
		*executor->lastp = job;
		executor->lastp = &job->next;
		executor->n_queued++;
		pthread_cond_signal(&executor->wanted);
	}
	pthread_mutex_unlock(&executor->lock);
	return room;
}

bool executor_fini(struct executor *executor, uint64_t deadline_ns)
{
	const struct timespec end = { (time_t)(deadline_ns / 1000000000), (long)(deadline_ns % 1000000000) };

	pthread_mutex_lock(&executor->lock);
	executor->ending = true;
	pthread_cond_broadcast(&executor->wanted);
	pthread_mutex_unlock(&executor->lock);
	for (; executor->n_threads > 0; executor->n_threads--) {
		pthread_t thread = executor->threads[executor->n_threads - 1];

		if (pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &end) != 0)
			return false;
	}
	pthread_cond_destroy(&executor->wanted);
	pthread_mutex_destroy(&executor->lock);
	return true;
}
