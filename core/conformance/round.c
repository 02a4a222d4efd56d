/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "core/conformance/round.h"

#include <stdio.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/conformance/events.h"
#include "core/conformance/spawned.h"
#include "core/conformance/survey.h"

enum of {
	OF_RUNTIME,
	OF_CURSOR,
	OF_WORKER,     /* any */
	OF_OWN_WORKER, /* spawned by the round */
};

#define WORKER "'runtime_id':'$r','worker_id':'$w'"

static const struct step {
	const char *name;
	const char *request; /* $r: the runtime_id, $w: the worker_id, $c: the cursor; NULL: spawn */
	enum of of;
	bool acts;
} steps[] = {
	{ "list_runtimes", "{'op':'list_runtimes'}", OF_RUNTIME, false },
	{ "list_hosts", "{'op':'list_hosts','limit':20}", OF_RUNTIME, false },
	{ "list_workers", "{'op':'list_workers','limit':20}", OF_RUNTIME, false },
	{ "worker", "{'op':'worker'," WORKER "}", OF_WORKER, false },
	{ "connect_points", "{'op':'connect_points'," WORKER "}", OF_WORKER, false },
	{ "transcript", "{'op':'transcript'," WORKER ",'limit':20}", OF_WORKER, false },
	{ "worker, unknown", "{'op':'worker','runtime_id':'$r','worker_id':'" SURVEY_NOBODY "'}", OF_RUNTIME,
	  false },
	{ "read_events", "{'op':'read_events','runtime_id':'$r','limit':20}", OF_RUNTIME, false },
	{ "read_events, from a cursor", "{'op':'read_events','runtime_id':'$r','cursor':'$c','limit':20}", OF_CURSOR,
	  false },
	{ "spawn_worker", NULL, OF_OWN_WORKER, true },
	{ "send_input", "{'op':'send_input'," WORKER ",'request':{'content':'input of a round'}}", OF_OWN_WORKER,
	  true },
	{ "stop_worker", "{'op':'stop_worker','runtime_id':'$r','request':{'worker_id':'$w','mode':'graceful'}}",
	  OF_OWN_WORKER, true },
};

_Static_assert(sizeof steps / sizeof *steps == ROUND_STEPS, "the number of steps is that of the header");

static void take_cursor(struct round *round)
{
	CLEANUP(json_delete) cJSON *answer = events_read(round->host, NULL, 1);

	snprintf(round->cursor, sizeof round->cursor, "%s", json_string(answer, "next_cursor"));
}

void round_begin(struct round *round, struct host *host)
{
	CLEANUP(json_delete) cJSON *list = NULL;

	*round = (struct round){ .host = host };
	round->takes_input = host_can(host, "can_accept_input");
	round->stops = host_can(host, "can_stop_worker");
	round->way = spawned_try(host, round->worker_id, NULL);
	take_cursor(round);
	if (round->way)
		return;
	list = host_ask_json(host, "{'op':'list_workers','limit':1}");
	snprintf(round->worker_id, sizeof round->worker_id, "%s",
		 json_string(cJSON_GetArrayItem(json_items(list), 0), "worker_id"));
}

void round_go_on(struct round *round, struct host *host, size_t step)
{
	CLEANUP(json_delete) cJSON *answer = NULL;

	round->host = host;
	if (steps[step].of == OF_CURSOR)
		take_cursor(round);
	/* What spawns is to find the runtime as it is at first. */
	if (!round->way || !steps[step].request)
		return;
	answer = spawned_ask(host, round->way, "");
	if (!spawned_id(answer))
		check_skip("the runtime spawns no more workers in the way that it accepted before");
	snprintf(round->worker_id, sizeof round->worker_id, "%s", spawned_id(answer));
}

const char *round_name(size_t step)
{
	return steps[step].name;
}

bool round_has(const struct round *round, size_t step)
{
	if (steps[step].of == OF_OWN_WORKER && !round->way)
		return false;
	if (steps[step].of == OF_WORKER && !*round->worker_id)
		return false;
	if (steps[step].of == OF_CURSOR && !*round->cursor)
		return false;
	if (strcmp(steps[step].name, "send_input") == 0)
		return round->takes_input;
	return strcmp(steps[step].name, "stop_worker") != 0 || round->stops;
}

bool round_acts(size_t step)
{
	return steps[step].acts;
}

/* The request with the ids and the cursor in their places. */
static void fill_in(const struct round *round, const char *request, struct buffer *out)
{
	for (const char *p = request; *p; p++) {
		if (*p != '$')
			buffer_append_char(out, *p);
		else if (*++p == 'c')
			events_write_cursor(out, round->cursor);
		else
			buffer_append_string(out, *p == 'r' ? round->host->runtime_id : round->worker_id);
	}
	buffer_append_char(out, '\0');
	if (out->failed)
		check_fail("no memory");
}

char *round_ask(const struct round *round, size_t step)
{
	CLEANUP(buffer_fini) struct buffer request = { 0 };
	char *answer;

	if (!steps[step].request) {
		CLEANUP(json_delete) cJSON *spawned = spawned_ask(round->host, round->way, "");

		answer = cJSON_PrintUnformatted(spawned);
		if (!answer)
			check_fail("no memory");
		return answer;
	}
	fill_in(round, steps[step].request, &request);
	answer = host_ask(round->host, "%s", request.data);
	host_cut_times(answer);
	return answer;
}
