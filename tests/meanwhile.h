/* SPDX-License-Identifier: MIT */
/* A thread that asks the embedded runtime for its first worker again and again while a test
 * has other things happen in the host, and prints how long the answers took. */
#ifndef BERTH_TESTS_MEANWHILE_H
#define BERTH_TESTS_MEANWHILE_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "core/batch.h"
#include "tests/contract.h"

enum { MEANWHILE_MAX = 1 << 17 };

struct meanwhile {
	struct host *host;
	pthread_t thread;
	atomic_bool stop;
	size_t n; /* of all that was asked since meanwhile_init */
	float *us;
};

static inline void meanwhile_init(struct meanwhile *meanwhile)
{
	*meanwhile = (struct meanwhile){ .us = calloc(MEANWHILE_MAX, sizeof *meanwhile->us) };
	assert_non_null(meanwhile->us);
}

static inline double meanwhile_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* The answer that is not right, if there is one. */
static inline void *meanwhile_ask(void *data)
{
	static const char line[] =
		"{\"op\":\"worker\",\"runtime_id\":\"embedded-worker-runtime\",\"worker_id\":\"worker-00000001\"}";
	struct meanwhile *meanwhile = data;
	struct buffer scratch = { 0 }, answer = { 0 };

	do {
		double begin = meanwhile_now_us(), us;

		buffer_cut(&answer, 0);
		batch_answer(&meanwhile->host->inventory.registry, berth_text(line), &scratch, &answer);
		us = meanwhile_now_us() - begin;
		buffer_append_char(&answer, '\0');
		if (!strstr(answer.data, "\"state\":\"running\""))
			return answer.data;
		if (meanwhile->n < MEANWHILE_MAX)
			meanwhile->us[meanwhile->n++] = (float)us;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	} while (!meanwhile->stop);
	buffer_fini(&scratch);
	buffer_fini(&answer);
	return NULL;
}

/* The embedded runtime must be there and have no worker yet. */
static inline void meanwhile_start(struct meanwhile *meanwhile, struct host *host)
{
	host_ask(host, "{'op':'spawn_worker','runtime_id':'embedded-worker-runtime','request':{"
		       "'intent':{'kind':'workspace_companion'},'acceptance':{'kind':'run_accepted','expected_segments':0}}}");
	meanwhile->host = host;
	meanwhile->stop = false;
	assert_int_equal(pthread_create(&meanwhile->thread, NULL, meanwhile_ask, meanwhile), 0);
}

static inline void meanwhile_stop(struct meanwhile *meanwhile)
{
	void *wrong;

	meanwhile->stop = true;
	pthread_join(meanwhile->thread, &wrong);
	if (wrong)
		fail_msg("meanwhile the other runtime answered %s", (const char *)wrong);
}

static inline int meanwhile_compare(const void *a, const void *b)
{
	float left = *(const float *)a, right = *(const float *)b;

	return left < right ? -1 : left > right;
}

static inline void meanwhile_print(struct meanwhile *meanwhile)
{
	size_t n = meanwhile->n;

	assert_true(n > 0);
	qsort(meanwhile->us, n, sizeof *meanwhile->us, meanwhile_compare);
	print_message("meanwhile the other runtime gave %zu answers: half of them within %.1f us, 99 of 100 within %.1f us, "
		      "all within %.1f us\n", n, (double)meanwhile->us[n / 2], (double)meanwhile->us[n * 99 / 100],
		      (double)meanwhile->us[n - 1]);
	free(meanwhile->us);
}

#endif
