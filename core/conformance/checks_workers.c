/* SPDX-License-Identifier: MIT */
/* What holds of the workers that a runtime spawns: they are there, take input, and stop. A
 * check acts on workers alone that it has spawned itself. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/cleanup.h"
#include "core/conformance/check.h"
#include "core/conformance/events.h"
#include "core/conformance/spawned.h"
#include "core/conformance/worker.h"
#include "core/services.h"

enum {
	PATIENCE_SECONDS = 5, /* for what need not have happened when it is answered */
	LIST_LIMIT = 100000,
};

/* ---- spawn ---- */

static void check_spawn_offered(const struct subject *subject)
{
	struct host host = { 0 };
	bool supported = false;

	host_open(&host, subject, NULL);
	for (size_t i = 0; i < n_spawn_ways && !supported; i++) {
		CLEANUP(json_delete) cJSON *answer = spawned_ask(&host, &spawn_ways[i], "");

		supported = !answer_is(answer, "unsupported");
	}
	if (!supported)
		check_fail("spawn_worker: every intent and acceptance is unsupported, although can_spawn_worker "
			   "is declared");
	spawned_stop_all(&host);
	host_close(&host);
}

static void judge_spawned(const cJSON *answer, const struct spawn_way *way)
{
	const cJSON *evidence = cJSON_GetObjectItemCaseSensitive(answer, "acceptance_evidence");

	if (answer_failed(answer))
		check_fail("spawn_worker (%s): the adapter fails, or pushes what is refused; the log says which",
			   way->name);
	if (answer_is(answer, "accepted") && !spawned_id(answer))
		check_fail("spawn_worker (%s): accepted, but no worker is pushed", way->name);
	if (answer_is(answer, "accepted") && cJSON_GetArraySize(evidence) == 0)
		check_fail("spawn_worker (%s): accepted, but no evidence says what was reached", way->name);
}

static void check_spawn_answer(const struct subject *subject)
{
	struct host host = { 0 };
	size_t n_accepted = 0;

	host_open(&host, subject, NULL);
	for (size_t i = 0; i < n_spawn_ways; i++) {
		CLEANUP(json_delete) cJSON *answer = spawned_ask(&host, &spawn_ways[i], "");

		judge_spawned(answer, &spawn_ways[i]);
		n_accepted += spawned_id(answer) != NULL;
	}
	if (n_accepted == 0)
		check_skip("no way to spawn a worker is accepted");
	check_note("%zu of %zu ways to spawn are accepted", n_accepted, n_spawn_ways);
	spawned_stop_all(&host);
	host_close(&host);
}

static bool is_listed(struct host *host, const char *worker_id)
{
	CLEANUP(json_delete) cJSON *list = host_ask_json(host, "{'op':'list_workers','limit':%d}", LIST_LIMIT);

	/* Beyond the limit it may be anywhere. */
	return json_n_items(list) >= LIST_LIMIT || json_find(json_items(list), "worker_id", worker_id);
}

static void check_spawn_listed(const struct subject *subject)
{
	struct host host = { 0 };
	char worker_id[BERTH_ID_MAX + 1];

	host_open(&host, subject, NULL);
	spawned_worker(&host, worker_id);
	if (!is_listed(&host, worker_id))
		check_fail("list_workers: %s is not there right after it was spawned", worker_id);
	spawned_stop_all(&host);
	host_close(&host);
}

/* The name that is asked for is never authority: it names no worker that is there. */
static void check_spawn_distinct(const struct subject *subject)
{
	enum { SPAWNS = 3 };
	char ids[SPAWNS][BERTH_ID_MAX + 1];
	struct host host = { 0 };
	const struct spawn_way *way;

	host_open(&host, subject, NULL);
	way = spawned_worker(&host, ids[0]);
	for (size_t i = 1; i < SPAWNS; i++) {
		CLEANUP(json_delete) cJSON *answer =
			spawned_ask(&host, way, "'requested_worker_name':'conformance',");
		const char *id = spawned_id(answer);

		if (!id)
			check_skip("the runtime does not spawn %d workers: %s", SPAWNS, answer_reason(answer));
		for (size_t j = 0; j < i; j++)
			if (strcmp(ids[j], id) == 0)
				check_fail("spawn_worker: %s was answered to two requests; each accepted one "
					   "makes a worker of its own",
					   id);
		strcpy(ids[i], id);
	}
	spawned_stop_all(&host);
	host_close(&host);
}

/* ---- input ---- */

static void check_input_offered(const struct subject *subject)
{
	struct host host = { 0 };
	char worker_id[BERTH_ID_MAX + 1];

	host_open(&host, subject, NULL);
	worker_for_input(&host, worker_id);
	{
		CLEANUP(json_delete) cJSON *answer = worker_input(&host, worker_id, "user", "Ahoy");

		if (json_is_error(answer, "unknown_worker"))
			check_fail("send_input: %s is unknown right after it was spawned", worker_id);
		answer_expect_offered(answer, "send_input", "can_accept_input");
	}
	spawned_stop_all(&host);
	host_close(&host);
}

static void expect_after(uint64_t *lastp, uint64_t next, const char *what)
{
	if (next != 0 && next <= *lastp)
		check_fail("send_input: %s %" PRIu64 " comes after %" PRIu64 "; each input has a later one", what,
			   next, *lastp);
	if (next != 0)
		*lastp = next;
}

static void check_input_sequence(const struct subject *subject)
{
	static const char *const kinds[] = { "user", "system", "system", "user", "user", "system" };
	uint64_t sequence = 0, event_id = 0;
	char worker_id[BERTH_ID_MAX + 1];
	struct host host = { 0 };

	host_open(&host, subject, NULL);
	worker_for_input(&host, worker_id);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		CLEANUP(json_delete) cJSON *answer = worker_input(&host, worker_id, kinds[i], "one of several");

		if (answer_failed(answer))
			check_fail("send_input: the adapter fails on input of kind %s", kinds[i]);
		if (!answer_is(answer, "accepted"))
			continue;
		expect_after(&sequence, json_number(answer, "transcript_sequence"), "transcript_sequence");
		expect_after(&event_id, json_number(answer, "event_id"), "event_id");
	}
	if (sequence == 0 && event_id == 0)
		check_skip("no input is answered with a transcript_sequence or an event_id");
	spawned_stop_all(&host);
	host_close(&host);
}

/* ---- stop ---- */

/* A worker that can be stopped, or the check is skipped. */
static void worker_for_stop(struct host *host, char worker_id[BERTH_ID_MAX + 1])
{
	spawned_worker(host, worker_id);
	if (!worker_can(host, worker_id, "can_stop"))
		check_skip("the worker that was spawned does not declare can_stop");
}

static void check_stop_offered(const struct subject *subject)
{
	static const char *const modes[] = { "graceful", "force" };
	char worker_id[BERTH_ID_MAX + 1];
	struct host host = { 0 };

	host_open(&host, subject, NULL);
	for (size_t i = 0; i < 2; i++) {
		CLEANUP(json_delete) cJSON *answer = NULL;

		worker_for_stop(&host, worker_id);
		answer = worker_stop(&host, worker_id, modes[i]);
		if (json_is_error(answer, "unknown_worker"))
			check_fail("stop_worker: %s is unknown right after it was spawned", worker_id);
		if (i == 1) /* one of both will do */
			answer_expect_offered(answer, "stop_worker", "can_stop_worker");
		if (!answer_is(answer, "unsupported"))
			break;
	}
	spawned_stop_all(&host);
	host_close(&host);
}

/* State and status, or "unknown" where there is no such worker (any more). */
static void state_of(struct host *host, const char *worker_id, char *state, size_t size)
{
	CLEANUP(json_delete) cJSON *answer =
		host_ask_json(host, "{'op':'worker','runtime_id':'%s','worker_id':'%s'}", host->runtime_id,
			      worker_id);

	if (json_is_error(answer, "unknown_worker"))
		snprintf(state, size, "unknown");
	else
		snprintf(state, size, "%s, %s", json_string(answer, "state"), json_string(answer, "status"));
}

/* Spawns a worker and has it stopped; false where that is refused. */
static bool spawn_and_stop(struct host *host, char worker_id[BERTH_ID_MAX + 1], char *before, size_t size)
{
	CLEANUP(json_delete) cJSON *answer = NULL;

	worker_for_stop(host, worker_id);
	state_of(host, worker_id, before, size);
	answer = worker_stop(host, worker_id, "force");
	return answer_is(answer, "accepted");
}

static void check_stop_effect(const struct subject *subject)
{
	const struct timespec pause = { 0, 20000000 };
	char worker_id[BERTH_ID_MAX + 1], before[256], now[256];
	struct host host = { 0 };
	uint64_t end;

	host_open(&host, subject, NULL);
	if (!spawn_and_stop(&host, worker_id, before, sizeof before))
		check_skip("the runtime refuses to stop the worker that was spawned");
	end = services_monotonic_ns() + PATIENCE_SECONDS * UINT64_C(1000000000);
	for (;;) {
		state_of(&host, worker_id, now, sizeof now);
		if (strcmp(now, before) != 0)
			break;
		if (services_monotonic_ns() > end)
			check_fail("stop_worker: accepted, but %d seconds later the worker is as it was: %s",
				   PATIENCE_SECONDS, now);
		nanosleep(&pause, NULL);
	}
	check_note("from %s to %s", before, now);
	host_close(&host);
}

static void check_stop_again(const struct subject *subject)
{
	static const char *const modes[] = { "graceful", "force" };
	char worker_id[BERTH_ID_MAX + 1], before[256];
	struct host host = { 0 };

	host_open(&host, subject, NULL);
	if (!spawn_and_stop(&host, worker_id, before, sizeof before))
		check_skip("the runtime refuses to stop the worker that was spawned");
	for (size_t i = 0; i < 2; i++) {
		CLEANUP(json_delete) cJSON *answer = worker_stop(&host, worker_id, modes[i]);

		if (answer_failed(answer))
			check_fail("stop_worker, %s, of a worker that was stopped: the adapter fails; accepted, "
				   "rejected or unknown would be right",
				   modes[i]);
	}
	host_close(&host);
}

/* ---- Refusals ---- */

struct refusals {
	size_t n_tried, n_seen;
};

static void expect_explained(struct refusals *refusals, const cJSON *answer, const char *what)
{
	refusals->n_tried++;
	if (!answer_is(answer, "rejected") && !answer_is(answer, "unsupported"))
		return;
	refusals->n_seen++;
	if (cJSON_GetArraySize(answer_diagnostics(answer)) == 0)
		check_fail("%s: %s without a diagnostic that says why", what, json_string(answer, "state"));
}

/* What a runtime is likely to refuse of a worker. */
static void provoke(struct host *host, const struct berth_adapter *ops, const char *worker_id, bool own,
		    struct refusals *refusals)
{
	if (ops->transcript) {
		CLEANUP(json_delete) cJSON *answer = worker_page(host, worker_id, 0, UINT64_MAX);

		expect_explained(refusals, answer, "transcript with the largest limit");
	}
	if (own && ops->send_input) {
		CLEANUP(json_delete) cJSON *empty = worker_input(host, worker_id, "user", ""),
					  *blank = worker_input(host, worker_id, "system", " \\n\\u00a0");

		expect_explained(refusals, empty, "send_input of nothing");
		expect_explained(refusals, blank, "send_input of white space");
	}
	if (own && ops->stop_worker) {
		CLEANUP(json_delete) cJSON *graceful = worker_stop(host, worker_id, "graceful"),
					  *force = worker_stop(host, worker_id, "force");

		expect_explained(refusals, graceful, "stop_worker, graceful");
		expect_explained(refusals, force, "stop_worker, force, of a worker that was stopped");
	}
	if (own && ops->stop_worker && ops->send_input) {
		CLEANUP(json_delete) cJSON *late = worker_input(host, worker_id, "user", "Still there?");

		expect_explained(refusals, late, "send_input to a worker that was stopped");
	}
}

/* The defaults of the registry are explained; what counts is the adapter's own answers. */
static void check_refusals_explained(const struct subject *subject)
{
	const struct berth_adapter *ops = &host_adapter(subject)->ops;
	char worker_id[BERTH_ID_MAX + 1];
	struct refusals refusals = { 0 };
	struct host host = { 0 };

	host_open(&host, subject, NULL);
	for (size_t i = 0; i < n_spawn_ways && ops->spawn_worker; i++) {
		CLEANUP(json_delete) cJSON *answer = spawned_ask(&host, &spawn_ways[i], "");

		expect_explained(&refusals, answer, spawn_ways[i].name);
	}
	if (ops->read_events) {
		CLEANUP(json_delete) cJSON *answer = events_read(&host, "berth-conformance:made-up", 1);

		expect_explained(&refusals, answer, "read_events from a cursor that was made up");
	}
	if (spawned_try(&host, worker_id, NULL)) {
		provoke(&host, ops, worker_id, true, &refusals);
	} else {
		CLEANUP(json_delete) cJSON *list = host_ask_json(&host, "{'op':'list_workers','limit':1}");

		if (json_n_items(list) > 0)
			provoke(&host, ops, json_string(json_items(list)->child, "worker_id"), false, &refusals);
	}
	if (refusals.n_seen == 0)
		check_skip("of %zu requests that were tried the adapter has refused none", refusals.n_tried);
	check_note("of %zu requests, %zu were refused", refusals.n_tried, refusals.n_seen);
	spawned_stop_all(&host);
	host_close(&host);
}

/* That there is no such worker comes before all else that is wrong with a request. */
static void check_refusals_unknown(const struct subject *subject)
{
	const struct berth_adapter *ops = &host_adapter(subject)->ops;
	static const char unknown[] = "conformance:no-such-worker";
	struct host host = { 0 };

	if (!ops->send_input && !ops->transcript)
		check_skip("the adapter leaves send_input and transcript to the registry");
	host_open(&host, subject, NULL);
	if (ops->send_input) {
		CLEANUP(json_delete) cJSON *answer = worker_input(&host, unknown, "user", "");

		if (!json_is_error(answer, "unknown_worker"))
			check_fail("send_input of nothing to a worker that is not there: %s (%s); unknown_worker "
				   "would be right",
				   json_string(answer, "state"), answer_reason(answer));
	}
	if (ops->transcript) {
		CLEANUP(json_delete) cJSON *answer = worker_page(&host, unknown, UINT64_MAX, UINT64_MAX);

		if (!json_is_error(answer, "unknown_worker"))
			check_fail("transcript with the largest limit of a worker that is not there: %s (%s); "
				   "unknown_worker would be right",
				   json_string(answer, "state"), answer_reason(answer));
	}
	host_close(&host);
}

/* ---- Connect points ---- */

static void check_connect_points(const struct subject *subject)
{
	CLEANUP(json_delete) cJSON *list = NULL;
	char own[BERTH_ID_MAX + 1];
	struct host host = { 0 };
	const cJSON *worker;

	if (!host_adapter(subject)->ops.connect_points)
		check_skip("the adapter leaves connect_points to the registry");
	host_open(&host, subject, NULL);
	spawned_try(&host, own, NULL);
	list = host_ask_json(&host, "{'op':'list_workers','limit':20}");
	if (json_n_items(list) == 0)
		check_skip("there is no worker to ask about");
	cJSON_ArrayForEach(worker, json_items(list)) {
		const char *id = json_string(worker, "worker_id");
		CLEANUP(json_delete) cJSON *answer =
			host_ask_json(&host, "{'op':'connect_points','runtime_id':'%s','worker_id':'%s'}",
				      host.runtime_id, id);

		if (answer_failed(answer))
			check_fail("connect_points of %s: the adapter fails; what cannot be reached has no points",
				   id);
	}
	spawned_stop_all(&host);
	host_close(&host);
}

const struct check checks_workers[] = {
	{ "spawn/offered", "what is declared is done: not every request to spawn is unsupported",
	  "can_spawn_worker", check_spawn_offered },
	{ "spawn/answer", "an accepted spawn is answered with the worker, and with evidence of what was reached",
	  "can_spawn_worker", check_spawn_answer },
	{ "spawn/listed", "a worker that was spawned is in the list of workers", "can_spawn_worker",
	  check_spawn_listed },
	{ "spawn/distinct", "each accepted spawn makes a worker of its own, whatever name it asks for",
	  "can_spawn_worker", check_spawn_distinct },
	{ "input/offered", "what is declared is done: input is not unsupported", "can_accept_input",
	  check_input_offered },
	{ "input/sequence", "transcript_sequence and event_id of later inputs are greater", "can_accept_input",
	  check_input_sequence },
	{ "stop/offered", "what is declared is done: stopping is not unsupported", "can_stop_worker",
	  check_stop_offered },
	{ "stop/effect", "a stop that was accepted shows in the worker", "can_stop_worker", check_stop_effect },
	{ "stop/again", "to stop a worker again is no failure", "can_stop_worker", check_stop_again },
	{ "refusals/explained", "an answer that is rejected or unsupported has a diagnostic that says why", NULL,
	  check_refusals_explained },
	{ "refusals/unknown", "that there is no such worker is judged before anything else in a request", NULL,
	  check_refusals_unknown },
	{ "connect_points/answer", "every worker has connect points, or none, but no failure", NULL,
	  check_connect_points },
	{ NULL, NULL, NULL, NULL },
};
