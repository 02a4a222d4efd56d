/* SPDX-License-Identifier: MIT */
/* What holds where there is no memory: a call fails with a reason, or answers as ever, and
 * leaves everything as it was. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/conformance/allocations.h"
#include "core/conformance/check.h"
#include "core/conformance/probe.h"
#include "core/conformance/round.h"
#include "core/conformance/spawned.h"
#include "core/conformance/watch.h"
#include "core/services.h"

enum {
	POINTS_DENSE = 64,
	POINTS_LAST = 20000,
	SECONDS_MAX = 20, /* after which no further points are tried */
};

/* The allocations that are made to fail: all of the first ones, then fewer and fewer. */
static uint64_t next_point(uint64_t point)
{
	return point < POINTS_DENSE ? point + 1 : point + point / 16;
}

static bool may_go_on(uint64_t point, uint64_t end_ns)
{
	return point < POINTS_LAST && services_monotonic_ns() < end_ns;
}

struct faults {
	const struct subject *subject;
	struct round round;
	bool all;    /* from the point on all fail, else that one alone */
	bool judged; /* whether the answers have to be right */
	bool healthy[ROUND_STEPS]; /* the step does not fail anyhow */
	size_t n_points;
};

/* Says what is tried, for the case that it ends there. */
static void faults_at(const struct faults *faults, const char *operation, uint64_t point)
{
	char what[96];

	snprintf(what, sizeof what, "allocation %" PRIu64 "%s fails", point,
		 faults->all ? " and each later one" : "");
	check_at("%s, %s", operation, what);
	watch(operation, what);
}

/* Whether the point was reached. */
static bool faults_end(struct faults *faults)
{
	bool reached = allocations_failed();

	allocations_fail_at(0, false);
	watch_no_longer();
	faults->n_points += reached;
	return reached;
}

/* Whether an answer that is not the usual one shows that something is amiss. */
static bool is_explained(const char *answer)
{
	CLEANUP(json_delete) cJSON *json = cJSON_Parse(answer);
	const cJSON *diagnostic;

	if (cJSON_HasObjectItem(json, "error"))
		return true;
	cJSON_ArrayForEach(diagnostic, cJSON_GetObjectItemCaseSensitive(json, "diagnostics"))
		if (strcmp(json_string(diagnostic, "severity"), "info") != 0)
			return true;
	/* That refusals have their reasons is held by another check. */
	return *json_string(json, "state") && strcmp(json_string(json, "state"), "accepted") != 0;
}

static bool is_accepted(const char *answer)
{
	CLEANUP(json_delete) cJSON *json = cJSON_Parse(answer);

	return strcmp(json_string(json, "state"), "accepted") == 0;
}

/* answer: while memory failed; then: the next one, with memory. */
static void judge_fault(const struct faults *faults, size_t step, uint64_t point, int returned, const char *answer,
			const char *then)
{
	const char *name = round_name(step), *later = faults->all ? " and each later one" : "";

	probe_expect_no(FAULT_RETURN);
	if (returned == -ENOENT && strcmp(answer, then) != 0)
		check_fail("%s: allocation %" PRIu64 "%s fails, and it returns -ENOENT, as if there were no such "
			   "worker; -ENOMEM would be right", name, point, later);
	if (strstr(then, "\"adapter_failed\""))
		check_fail("%s: allocation %" PRIu64 "%s has failed once, and the next call fails as well: %.300s",
			   name, point, later, then);
	if (!(round_acts(step) ? is_accepted(answer) : strcmp(answer, then) == 0) && !is_explained(answer))
		check_fail("%s: allocation %" PRIu64
			   "%s fails, and the answer is %.300s, without a word about it; it should be %.300s",
			   name, point, later, answer, then);
}

/* One operation of a fresh instance, with one point of failure. Returns whether that was
 * reached. */
static bool fault_in_step(struct faults *faults, size_t step, uint64_t point)
{
	CLEANUP_FREE char *answer = NULL, *then = NULL, *again = NULL;
	struct host host = { 0 };
	bool reached;
	int returned;

	host_open(&host, faults->subject, NULL);
	round_go_on(&faults->round, &host, step);
	probe_reset();
	faults_at(faults, round_name(step), point);
	allocations_fail_at(point, faults->all);
	answer = round_ask(&faults->round, step);
	reached = faults_end(faults);
	returned = probe.last_returned;
	then = round_ask(&faults->round, step);
	again = round_ask(&faults->round, step);
	/* Answers that change by themselves say nothing. */
	if (reached && faults->judged && faults->healthy[step] && (round_acts(step) || strcmp(then, again) == 0))
		judge_fault(faults, step, point, returned, answer, then);
	spawned_stop_all(&host);
	faults_at(faults, "close", point);
	allocations_fail_at(point, faults->all);
	host_close(&host);
	reached |= faults_end(faults);
	return reached;
}

static bool fault_in_open(struct faults *faults, uint64_t point)
{
	struct host host = { 0 }, healthy = { 0 };
	struct failure failure;
	bool reached;
	int rc;

	probe_reset();
	faults_at(faults, "open", point);
	allocations_fail_at(point, faults->all);
	rc = host_try_open(&host, faults->subject, NULL, &failure);
	reached = faults_end(faults);
	if (faults->judged)
		probe_expect_no(FAULT_RETURN);
	if (rc == 0)
		host_close(&host);
	check_at("open, after allocation %" PRIu64 " of the open before has failed", point);
	host_open(&healthy, faults->subject, NULL);
	host_close(&healthy);
	return reached;
}

/* In open, or in one step of a round. */
enum { STEP_OPEN = ROUND_STEPS };

static bool fault_in(struct faults *faults, size_t step, uint64_t point)
{
	return step == STEP_OPEN ? fault_in_open(faults, point) : fault_in_step(faults, step, point);
}

static bool is_healthy(struct faults *faults, size_t step)
{
	CLEANUP_FREE char *answer = NULL;
	struct host host = { 0 };

	host_open(&host, faults->subject, NULL);
	round_go_on(&faults->round, &host, step);
	probe_reset();
	answer = round_ask(&faults->round, step);
	spawned_stop_all(&host);
	host_close(&host);
	return probe.n_faults[FAULT_RETURN] == 0 && !strstr(answer, "\"adapter_failed\"");
}

/* Tries every point of every operation, as far as try says that it was reached. */
static void each_fault(const struct subject *subject, struct faults *faults,
		       bool (*try)(struct faults *faults, size_t step, uint64_t point))
{
	uint64_t end = services_monotonic_ns() + SECONDS_MAX * UINT64_C(1000000000);
	struct host host = { 0 };

	if (!allocations_can_fail())
		check_skip("this berth was built with a sanitizer, which has allocations of its own");
	faults->subject = subject;
	probe.fail_allocations = true;
	host_open(&host, subject, NULL);
	round_begin(&faults->round, &host);
	spawned_stop_all(&host);
	host_close(&host);
	for (size_t step = 0; step <= STEP_OPEN; step++) {
		if (step != STEP_OPEN && !round_has(&faults->round, step))
			continue;
		if (step != STEP_OPEN)
			faults->healthy[step] = is_healthy(faults, step);
		for (uint64_t point = 1; may_go_on(point, end) && try(faults, step, point);)
			point = next_point(point);
	}
	if (faults->n_points == 0)
		check_skip("no operation allocates memory");
	check_note("memory failed %zu times%s", faults->n_points,
		   services_monotonic_ns() < end ? "" : "; for more it takes too long");
}

static void check_faults_memory(const struct subject *subject)
{
	struct faults faults = { .judged = true };

	each_fault(subject, &faults, fault_in);
}

static void check_faults_exhausted(const struct subject *subject)
{
	struct faults faults = { .all = true, .judged = true };

	each_fault(subject, &faults, fault_in);
}

/* What is kept for good, such as a table that is made when it is first needed, is there
 * after the first time; what is left behind each time is a leak. */
static bool leak_in(struct faults *faults, size_t step, uint64_t point)
{
	int64_t grown = 1;
	bool reached = true;

	for (int i = 0; i < 3 && grown > 0 && reached; i++) {
		int64_t before = allocations_live();

		reached = fault_in(faults, step, point);
		grown = allocations_live() - before;
	}
	if (reached && grown > 0)
		check_fail("%s: each time that allocation %" PRIu64 " fails, %" PRId64
			   " blocks of memory are left behind after close",
			   step == STEP_OPEN ? "open" : round_name(step), point, grown);
	return reached;
}

static void check_faults_leaks(const struct subject *subject)
{
	struct faults faults = { .judged = false };

	each_fault(subject, &faults, leak_in);
}

const struct check checks_faults[] = {
	{ "faults/memory",
	  "where one allocation fails, the call fails with a reason or answers as ever, and later ones work", NULL,
	  check_faults_memory },
	{ "faults/exhausted", "the same where every allocation from one on fails", NULL, check_faults_exhausted },
	{ "faults/leaks", "a call that failed for want of memory leaves none behind", NULL, check_faults_leaks },
	{ NULL, NULL, NULL, NULL },
};
