/* SPDX-License-Identifier: MIT */
/* What holds when it gets rough: nothing that was lent is kept, calls come from several
 * threads, nobody waits for them any more, and time is up. */
#include "config.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/cleanup.h"
#include "core/conformance/check.h"
#include "core/conformance/probe.h"
#include "core/conformance/resources.h"
#include "core/conformance/round.h"
#include "core/conformance/spawned.h"
#include "core/conformance/watch.h"
#include "core/services.h"

enum { N_THREADS = 4 };

static void make_thread(pthread_t *thread, void *(*run)(void *data), void *data)
{
	if (pthread_create(thread, NULL, run, data) != 0)
		check_fail("no memory for a thread");
}

/* ---- Lent memory ---- */

/* Each operation three times, so that each comes behind all others. */
static void round_lent(const struct subject *subject, enum lending lending, const char *how)
{
	struct host host = { 0 };
	struct round round;

	probe.lending = lending;
	check_at("open, with %s", how);
	host_open(&host, subject, NULL);
	check_at("the first operations, with %s", how);
	round_begin(&round, &host);
	for (int i = 0; i < 3; i++)
		for (size_t step = 0; step < ROUND_STEPS; step++)
			if (round_has(&round, step)) {
				check_at("%s, with %s", round_name(step), how);
				free(round_ask(&round, step));
			}
	spawned_stop_all(&host);
	check_at("close, with %s", how);
	host_close(&host);
}

static void check_lent_revoked(const struct subject *subject)
{
	round_lent(subject, LEND_REVOKED, "all that was lent to earlier operations taken back");
}

static void check_lent_bounds(const struct subject *subject)
{
	round_lent(subject, LEND_TIGHT, "texts behind whose last byte nothing can be read");
}

/* ---- Threads ---- */

/* Of the steps that only read: the answers that are right. */
struct expected {
	char *answers[ROUND_STEPS];
};

static void expect_answers(const struct round *round, struct expected *expected)
{
	for (size_t step = 0; step < ROUND_STEPS; step++)
		if (round_has(round, step) && !round_acts(step))
			expected->answers[step] = round_ask(round, step);
}

static void expected_fini(struct expected *expected)
{
	for (size_t step = 0; step < ROUND_STEPS; step++)
		free(expected->answers[step]);
}

/* A thread that asks. What it finds is judged when it is known whether the answers would
 * have changed anyhow. */
struct asker {
	pthread_t thread;
	struct round round;
	struct expected expected;
	size_t n_asked;
	struct expected found; /* the first that is another, of each step */
};

enum {
	ASKER_ROUNDS = 40,
	ASKER_MS = 1500, /* after which fewer will do */
};

static pthread_barrier_t begin;

static void *asker_run(void *data)
{
	struct asker *asker = data;
	uint64_t end;

	pthread_barrier_wait(&begin);
	end = services_monotonic_ns() + ASKER_MS * UINT64_C(1000000);
	for (int i = 0; i < ASKER_ROUNDS && (i == 0 || services_monotonic_ns() < end); i++)
		for (size_t step = 0; step < ROUND_STEPS; step++) {
			CLEANUP_FREE char *answer = NULL;

			if (!asker->expected.answers[step])
				continue;
			answer = round_ask(&asker->round, step);
			asker->n_asked++;
			if (!asker->found.answers[step] && strcmp(answer, asker->expected.answers[step]) != 0)
				asker->found.answers[step] = STEAL(answer);
		}
	return NULL;
}

/* Returns how many steps could be judged. */
/* Where two answers begin to differ, and a little before. */
static size_t first_difference(const char *a, const char *b)
{
	size_t at = 0;

	while (a[at] && a[at] == b[at])
		at++;
	return at > 60 ? at - 60 : 0;
}

/* Whether a list is the expected one but for items that were there for a moment, each of
 * which may have pushed the last one of a full list out. */
static bool is_expected_list(const char *expected_text, const char *found_text)
{
	CLEANUP(json_delete) cJSON *expected = cJSON_Parse(expected_text), *found = cJSON_Parse(found_text);
	const cJSON *wanted = cJSON_GetArrayItem(json_items(expected), 0), *item;
	size_t n_strangers = 0;

	cJSON_ArrayForEach(item, json_items(found)) {
		if (wanted && cJSON_Compare(item, wanted, true))
			wanted = wanted->next;
		else if (json_find(json_items(expected), "worker_id", json_string(item, "worker_id")))
			return false;
		else
			n_strangers++;
	}
	return n_strangers > 0 && (!wanted || json_n_items(found) >= json_n_items(expected));
}

static size_t judge_asker(const struct asker *asker, const char *where)
{
	CLEANUP(expected_fini) struct expected after = { { NULL } }, again = { { NULL } };
	size_t n_judged = 0;

	expect_answers(&asker->round, &after);
	expect_answers(&asker->round, &again);
	for (size_t step = 0; step < ROUND_STEPS; step++) {
		const char *expected = asker->expected.answers[step], *found = asker->found.answers[step];

		/* What changes by itself cannot be judged. */
		if (!expected || strcmp(expected, after.answers[step]) != 0 ||
		    strcmp(expected, again.answers[step]) != 0)
			continue;
		n_judged++;
		if (found && !is_expected_list(expected, found)) {
			size_t at = first_difference(expected, found);

			check_fail("%s: %s is answered with %.40s...%.250s; alone it is ...%.250s", where, round_name(step),
				   found, found + at, expected + at);
		}
	}
	return n_judged;
}

/* As the header names it. */
static const char *threading_name(const struct host *host)
{
	switch (host->registry.instances[0]->adapter->stamp.threading) {
	case BERTH_THREADS_ANY:
		return "BERTH_THREADS_ANY";
	case BERTH_THREADS_INSTANCE:
		return "BERTH_THREADS_INSTANCE";
	default:
		return "BERTH_THREADS_ONE";
	}
}

/* Runs the askers at once; their rounds have begun. */
static void run_askers(struct asker *askers, size_t n, const char *where)
{
	size_t n_asked = 0, n_judged = 0;

	check_at("%s", where);
	for (size_t i = 0; i < n; i++)
		expect_answers(&askers[i].round, &askers[i].expected);
	pthread_barrier_init(&begin, NULL, (unsigned)n);
	for (size_t i = 0; i < n; i++)
		make_thread(&askers[i].thread, asker_run, &askers[i]);
	for (size_t i = 0; i < n; i++)
		pthread_join(askers[i].thread, NULL);
	for (size_t i = 0; i < n; i++) {
		n_judged += judge_asker(&askers[i], where);
		n_asked += askers[i].n_asked;
		expected_fini(&askers[i].expected);
		expected_fini(&askers[i].found);
	}
	if (n_judged == 0)
		check_skip("each answer changes by itself");
	check_note("%zu calls in %zu threads, %s declared", n_asked, n, threading_name(askers->round.host));
}

static void check_threads_calls(const struct subject *subject)
{
	static struct asker askers[N_THREADS];
	struct host host = { 0 };

	host_open(&host, subject, NULL);
	round_begin(&askers[0].round, &host);
	for (size_t i = 1; i < N_THREADS; i++)
		askers[i].round = askers[0].round;
	run_askers(askers, N_THREADS, "calls from several threads");
	spawned_stop_all(&host);
	host_close(&host);
}

static void check_threads_instances(const struct subject *subject)
{
	static const char *const runtime_ids[N_THREADS] = {
		"conformance:first",
		"conformance:second",
		"conformance:third",
		"conformance:fourth",
	};
	static struct asker askers[N_THREADS];
	static struct host hosts[N_THREADS];

	for (size_t i = 0; i < N_THREADS; i++) {
		host_open(&hosts[i], subject, runtime_ids[i]);
		round_begin(&askers[i].round, &hosts[i]);
	}
	run_askers(askers, N_THREADS, "calls into several instances, a thread each");
	for (size_t i = 0; i < N_THREADS; i++) {
		if (i == 0)
			spawned_stop_all(&hosts[0]);
		host_close(&hosts[i]);
	}
}

/* ---- Spawn and input from several threads ---- */

enum {
	SPAWNS = 3, /* of each thread */
	INPUTS = 25,
	ACTS = N_THREADS * INPUTS,
};

struct actor {
	pthread_t thread;
	const struct round *round;
	size_t number;
	char spawned[SPAWNS][BERTH_ID_MAX + 1]; /* "": refused */
	bool accepted[INPUTS];
	uint64_t sequences[INPUTS]; /* 0: none */
};

static void act_spawn(struct actor *actor, size_t i)
{
	CLEANUP(json_delete) cJSON *answer = spawned_ask(actor->round->host, actor->round->way, "");
	const char *id = spawned_id(answer);

	snprintf(actor->spawned[i], sizeof actor->spawned[i], "%s", id ? id : "");
}

static void act_input(struct actor *actor, size_t i)
{
	struct host *host = actor->round->host;
	CLEANUP(json_delete) cJSON *answer =
		host_ask_json(host,
			      "{'op':'send_input','runtime_id':'%s','worker_id':'%s','request':{'content':'thread "
			      "%zu, input %zu.'}}",
			      host->runtime_id, actor->round->worker_id, actor->number, i);
	const cJSON *sequence = cJSON_GetObjectItemCaseSensitive(answer, "transcript_sequence");

	actor->accepted[i] = strcmp(json_string(answer, "state"), "accepted") == 0;
	actor->sequences[i] = cJSON_IsNumber(sequence) ? (uint64_t)sequence->valuedouble : 0;
}

static void *actor_run(void *data)
{
	struct actor *actor = data;

	pthread_barrier_wait(&begin);
	for (size_t i = 0; i < SPAWNS; i++)
		act_spawn(actor, i);
	for (size_t i = 0; i < INPUTS && actor->round->takes_input; i++)
		act_input(actor, i);
	return NULL;
}

static void judge_spawned(const struct round *round, const struct actor actors[N_THREADS])
{
	size_t n_accepted = 0;

	for (size_t i = 0; i < N_THREADS * SPAWNS; i++) {
		const char *id = actors[i / SPAWNS].spawned[i % SPAWNS];
		bool is_there = strcmp(id, round->worker_id) == 0;

		for (size_t j = 0; j < i && *id; j++)
			is_there = is_there || strcmp(id, actors[j / SPAWNS].spawned[j % SPAWNS]) == 0;
		n_accepted += *id != '\0';
		if (is_there)
			check_fail("spawn_worker from several threads: %s was answered twice; each is a new worker",
				   id);
	}
	if (n_accepted == 0)
		check_skip("the runtime spawns one worker and no more");
}

static void judge_sequences(const struct actor actors[N_THREADS])
{
	for (size_t i = 0; i < ACTS; i++)
		for (size_t j = 0; j < i; j++) {
			uint64_t sequence = actors[i / INPUTS].sequences[i % INPUTS];

			if (sequence != 0 && sequence == actors[j / INPUTS].sequences[j % INPUTS])
				check_fail("send_input from several threads: sequence %" PRIu64 " comes twice", sequence);
		}
}

/* Marks in seen the inputs of a page, and in has_inputp that there is one at all; returns how
 * many items it has. */
static size_t see_page(const struct round *round, size_t start, unsigned char seen[ACTS], bool *has_inputp)
{
	CLEANUP(json_delete) cJSON *page =
		host_ask_json(round->host,
			      "{'op':'transcript','runtime_id':'%s','worker_id':'%s','start':%zu,'limit':20}",
			      round->host->runtime_id, round->worker_id, start);
	const cJSON *item;

	cJSON_ArrayForEach(item, json_items(page)) {
		size_t thread, input;

		/* What a worker said may repeat its input. */
		if (strcmp(json_string(item, "role"), "worker") == 0)
			continue;
		*has_inputp = true;
		if (sscanf(json_string(item, "content"), "thread %zu, input %zu.", &thread, &input) == 2 &&
		    thread < N_THREADS && input < INPUTS)
			seen[thread * INPUTS + input]++;
	}
	return json_n_items(page);
}

/* Each input that was accepted is there, once. */
static void judge_transcript(const struct round *round, const struct actor actors[N_THREADS])
{
	unsigned char seen[ACTS] = { 0 };
	bool has_input = false;
	size_t start = 0, n;

	while ((n = see_page(round, start, seen, &has_input)) > 0 && start < 100000)
		start += n;
	if (!has_input)
		return; /* it cannot be read, or not so, or is what the worker said alone */
	for (size_t i = 0; i < ACTS; i++)
		if (actors[i / INPUTS].accepted[i % INPUTS] && seen[i] != 1)
			check_fail("send_input from several threads: accepted input is in the transcript %u times",
				   seen[i]);
}

static void check_threads_spawn(const struct subject *subject)
{
	static struct actor actors[N_THREADS];
	struct host host = { 0 };
	struct round round;

	host_open(&host, subject, NULL);
	round_begin(&round, &host);
	if (!round.way)
		check_skip("the runtime spawns no worker, whatever is asked for");
	pthread_barrier_init(&begin, NULL, N_THREADS);
	check_at("spawn_worker and send_input from several threads");
	for (size_t i = 0; i < N_THREADS; i++) {
		actors[i].round = &round;
		actors[i].number = i;
		make_thread(&actors[i].thread, actor_run, &actors[i]);
	}
	for (size_t i = 0; i < N_THREADS; i++)
		pthread_join(actors[i].thread, NULL);
	judge_spawned(&round, actors);
	judge_sequences(actors);
	judge_transcript(&round, actors);
	spawned_stop_all(&host);
	host_close(&host);
}

/* ---- Calls that nobody waits for any more ---- */

struct caller {
	pthread_t thread;
	const struct round *round;
	const atomic_bool *ending;
};

static void *caller_run(void *data)
{
	const struct caller *caller = data;
	bool last;

	/* The last round begins when the sink says that nobody waits, so that each operation
	 * is called then as well. */
	do {
		last = *caller->ending;
		for (size_t step = 0; step < ROUND_STEPS; step++)
			if (round_has(caller->round, step) && strcmp(round_name(step), "spawn_worker") != 0)
				free(round_ask(caller->round, step));
	} while (!last);
	return NULL;
}

static uint64_t n_calls(void)
{
	uint64_t n = 0;

	for (size_t i = 0; i < N_OPERATIONS; i++)
		n += probe.n_calls[i];
	return n;
}

/* Opens, lets several threads call, ends them, by and by or by cancelling what they call,
 * and closes. */
static void call_and_close(const struct subject *subject, bool cancel)
{
	const struct timespec moment = { 0, 1000000 };
	struct caller callers[N_THREADS];
	atomic_bool ending = false;
	struct host host = { 0 };
	struct round round;

	probe_reset();
	probe.cancelled = false;
	host_open(&host, subject, NULL);
	round_begin(&round, &host);
	for (size_t i = 0; i < N_THREADS; i++) {
		callers[i].round = &round;
		callers[i].ending = &ending;
		make_thread(&callers[i].thread, caller_run, &callers[i]);
	}
	for (int i = 0; i < 200 && n_calls() < 100; i++)
		nanosleep(&moment, NULL);
	watch("calls in flight", "sink->cancelled says that nobody waits for them any more");
	probe.cancelled = cancel;
	ending = true;
	for (size_t i = 0; i < N_THREADS; i++)
		pthread_join(callers[i].thread, NULL);
	watch("close", "no call is running any more");
	host_close(&host);
	watch_no_longer();
}

static void check_close_in_flight(const struct subject *subject)
{
	call_and_close(subject, true);
}

/* What more is left behind than where the calls come to their end. */
static void check_close_leaks(const struct subject *subject)
{
	enum { CYCLES = 3 };
	struct resources before, usual;

	watch_skips();
	/* What is kept for good is there when it was done twice. */
	for (int i = 0; i < 2; i++)
		call_and_close(subject, true);
	resources_count(&before);
	for (int i = 0; i < CYCLES; i++)
		call_and_close(subject, false);
	resources_count(&usual);
	for (int i = 0; i < CYCLES; i++)
		call_and_close(subject, true);
	for (size_t i = 0; i < N_RESOURCES; i++)
		usual.n[i] += usual.n[i] - before.n[i];
	resources_expect(&usual, CYCLES, "closed three times after calls that were cancelled");
}

/* ---- Deadlines ---- */

/* What is answered to a step without a deadline, with one, and without. False where that may be no fault: what the
 * adapter shows may have changed at that moment. */
static bool compare_step(const struct round *round, size_t step, uint64_t deadline_ns, bool judge_middle, const char *how,
			 bool last, size_t *n_judgedp)
{
	CLEANUP_FREE char *before = NULL, *middle = NULL, *after = NULL, *again = NULL;

	before = round_ask(round, step);
	watch(round_name(step), how);
	probe.deadline_ns = deadline_ns;
	middle = round_ask(round, step);
	probe.deadline_ns = 0;
	watch_no_longer();
	after = round_ask(round, step);
	again = round_ask(round, step);
	if (round_acts(step) || strcmp(after, again) != 0)
		return true;
	if (judge_middle && strcmp(before, after) == 0 && strcmp(middle, after) != 0) {
		if (!last)
			return false;
		check_fail("%s: %s, and the answer is %.300s; without a deadline it is %.300s",
			   round_name(step), how, middle, after);
	}
	if (strcmp(before, after) != 0 && strstr(after, "\"adapter_failed\""))
		check_fail("%s: %s, and the next call, without a deadline, fails: %.300s",
			   round_name(step), how, after);
	*n_judgedp += strcmp(before, after) == 0;
	return true;
}

/* Returns how many steps could be judged. */
static size_t compare_rounds(const struct round *round, uint64_t deadline_ns, bool judge_middle, const char *how)
{
	enum { N_TRIES = 5 };
	size_t n_judged = 0;

	for (size_t step = 0; step < ROUND_STEPS; step++)
		for (int i = 1; round_has(round, step) && !compare_step(round, step, deadline_ns, judge_middle, how,
									i == N_TRIES, &n_judged); i++)
			continue;
	return n_judged;
}

static void check_deadlines_expired(const struct subject *subject)
{
	struct host host = { 0 };
	struct round round;

	host_open(&host, subject, NULL);
	round_begin(&round, &host);
	compare_rounds(&round, 1, false, "its deadline was over when it was called");
	spawned_stop_all(&host);
	host_close(&host);
}

static void check_deadlines_future(const struct subject *subject)
{
	struct host host = { 0 };
	struct round round;

	host_open(&host, subject, NULL);
	round_begin(&round, &host);
	if (compare_rounds(&round, services_monotonic_ns() + UINT64_C(3600000000000), true,
			   "its deadline is in an hour") == 0)
		check_skip("each answer changes by itself");
	spawned_stop_all(&host);
	host_close(&host);
}

const struct check checks_robust[] = {
	{ "lent/revoked", "requests, and the texts in them, are not touched after the operation", NULL,
	  check_lent_revoked },
	{ "lent/bounds", "texts are read within their length: nothing terminates them", NULL, check_lent_bounds },
	{ "threads/calls", "as many calls at once as the stamp declares are answered as each is alone", NULL,
	  check_threads_calls },
	{ "threads/instances", "instances that are called at once are answered as each is alone", NULL,
	  check_threads_instances },
	{ "threads/spawn", "workers spawned, and input sent, by several threads are distinct and all there",
	  "can_spawn_worker", check_threads_spawn },
	{ "close/in_flight", "calls end soon once the sink says cancelled, and then close does", NULL,
	  check_close_in_flight },
	{ "close/leaks", "calls that were cancelled leave no descriptor, thread or memory behind after close",
	  NULL, check_close_leaks },
	{ "deadlines/expired", "a call whose deadline is over ends at once, and does no harm to later ones", NULL,
	  check_deadlines_expired },
	{ "deadlines/future", "a deadline that is far away changes no answer", NULL, check_deadlines_future },
	{ NULL, NULL, NULL, NULL },
};
