/* SPDX-License-Identifier: MIT */
/* A job may be stuck in an adapter for good, so nobody waits for one without an end. */
#include "config.h"

#include "core/serve/executor.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

/* Signals are for the thread that waits for them, which cannot take one just while it starts a process. They are let in
 * again for the job, since what an adapter starts would inherit that they are not. */
static void wait_for_job(struct executor *executor)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_cond_wait(&executor->wanted, &executor->lock);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

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
			wait_for_job(executor);
		}
	}
	executor->n_ended++;
	pthread_cond_signal(&executor->left);
	pthread_mutex_unlock(&executor->lock);
	return NULL;
}

int executor_init(struct executor *executor)
{
	pthread_condattr_t monotonic;
	int rc = 0;

	*executor = (struct executor){ .lastp = &executor->first };
	pthread_mutex_init(&executor->lock, NULL);
	pthread_cond_init(&executor->wanted, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&executor->left, &monotonic);
	pthread_condattr_destroy(&monotonic);
	while (executor->n_threads < EXECUTOR_THREADS && rc == 0) {
		rc = pthread_create(&executor->threads[executor->n_threads], NULL, work, executor);
		executor->n_threads += rc == 0;
	}
	if (rc == 0)
		return 0;
	executor_fini(executor, UINT64_MAX);
	return -rc;
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
	int rc = 0;

	pthread_mutex_lock(&executor->lock);
	executor->ending = true;
	pthread_cond_broadcast(&executor->wanted);
	while (executor->n_ended < executor->n_threads && rc == 0)
		rc = pthread_cond_timedwait(&executor->left, &executor->lock, &end);
	pthread_mutex_unlock(&executor->lock);
	for (size_t i = 0; i < executor->n_threads && rc != 0; i++)
		pthread_detach(executor->threads[i]);
	if (rc != 0)
		return false;
	while (executor->n_threads > 0)
		pthread_join(executor->threads[--executor->n_threads], NULL);
	pthread_cond_destroy(&executor->left);
	pthread_cond_destroy(&executor->wanted);
	pthread_mutex_destroy(&executor->lock);
	return true;
}
