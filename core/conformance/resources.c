/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "core/conformance/resources.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "core/conformance/allocations.h"
#include "core/conformance/check.h"

enum { SETTLE_MAX = 500 }; /* hundredths of a second until a thread that has ended is gone */

static int64_t count_entries(const char *path)
{
	DIR *dir = opendir(path);
	int64_t n = 0;

	if (!dir)
		check_fail("%s: %s", path, strerror(errno));
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static int64_t count_descriptors(void)
{
	return count_entries("/proc/self/fd");
}

static int64_t count_threads(void)
{
	return count_entries("/proc/self/task");
}

/* In a build with a sanitizer that one counts, at the end of the process. */
static int64_t count_blocks(void)
{
	return allocations_can_fail() ? allocations_live() : 0;
}

static const struct {
	const char *what;
	int64_t (*count)(void);
	bool lags; /* behind what the adapter has done */
} kinds[N_RESOURCES] = {
	{ "open descriptors", count_descriptors, false },
	{ "threads", count_threads, true },
	{ "blocks of memory", count_blocks, false },
};

void resources_count(struct resources *resources)
{
	for (size_t i = 0; i < N_RESOURCES; i++)
		resources->n[i] = kinds[i].count();
}

/* What more there is of one; waits for it to become less than that. */
static int64_t growth(size_t kind, int64_t before, int64_t less_than)
{
	const struct timespec moment = { 0, 10000000 };

	for (int i = 0; kinds[kind].lags && i < SETTLE_MAX && kinds[kind].count() - before >= less_than; i++)
		nanosleep(&moment, NULL);
	return kinds[kind].count() - before;
}

void resources_expect(const struct resources *before, int64_t more, const char *after)
{
	for (size_t i = 0; i < N_RESOURCES; i++) {
		int64_t grown = growth(i, before->n[i], more);

		if (grown >= more)
			check_fail("%s, %" PRId64 " %s are left; close has to end and free what is the instance's",
				   after, grown, kinds[i].what);
	}
}
