/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "core/conformance/watch.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "core/conformance/check.h"
#include "core/conformance/probe.h"
#include "core/services.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	bool running, skips;
	uint64_t end_ns; /* 0: nothing is watched */
	char what[128];
} watched;

static int seconds(void)
{
	return probe.is_apart ? WATCH_PROGRAM_SECONDS : WATCH_SECONDS;
}

static void *run(void *data)
{
	const struct timespec pause = { 0, 50000000 };

	(void)data;
	for (;;) {
		pthread_mutex_lock(&lock);
		if (watched.end_ns != 0 && services_monotonic_ns() > watched.end_ns) {
			if (watched.skips)
				check_skip("%s, and that does not end", watched.what);
			check_fail("%s; %d seconds later that has not ended", watched.what, seconds());
		}
		pthread_mutex_unlock(&lock);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

void watch(const char *operation, const char *state)
{
	pthread_t thread;

	pthread_mutex_lock(&lock);
	if (!watched.running && pthread_create(&thread, NULL, run, NULL) != 0)
		check_fail("no memory for a thread");
	if (!watched.running)
		pthread_detach(thread);
	watched.running = true;
	snprintf(watched.what, sizeof watched.what, "%s: %s", operation, state);
	watched.end_ns = services_monotonic_ns() + (uint64_t)seconds() * 1000000000;
	pthread_mutex_unlock(&lock);
}

void watch_no_longer(void)
{
	pthread_mutex_lock(&lock);
	watched.end_ns = 0;
	pthread_mutex_unlock(&lock);
}

void watch_skips(void)
{
	watched.skips = true;
}
