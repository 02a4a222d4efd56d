/* SPDX-License-Identifier: MIT */
/* The registry does not ask an adapter for what nobody wants, a list of no items for
 * instance; an adapter is nevertheless asked for it here, since the contract lets a
 * host do that. */
#include "config.h"

#include "core/conformance/survey.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/call.h"
#include "core/cleanup.h"
#include "core/conformance/events.h"
#include "core/conformance/spawned.h"

enum {
	WORKERS_WANTED = 3, /* where they can be spawned */
	WORKERS_ASKED = 3,  /* one by one */
};

struct survey {
	struct host *host;
	survey_visit *visit;
	void *data;
};

__attribute__((format(printf, 2, 3))) static void ask(const struct survey *survey, const char *format, ...)
{
	CLEANUP_FREE char *request = NULL, *answer = NULL;
	va_list args;
	int rc;

	va_start(args, format);
	rc = vasprintf(&request, format, args);
	va_end(args);
	if (rc < 0)
		check_fail("no memory");
	answer = host_ask(survey->host, "%s", request);
	if (survey->visit)
		survey->visit(survey->data, request, answer);
}

/* Asks the adapter for a list without the registry, which has no use for this one. */
static void ask_for_none(struct host *host, enum operation operation)
{
	union request_block block = { .room = { 0 } };
	struct diagnostics dropped = { .n = 0 };
	struct buffer nowhere = { 0 };
	struct call call = {
		.instance = host->registry.instances[0],
		.operation = operation,
		.request = &block,
		.out = &nowhere,
		.diagnostics = &dropped,
	};

	block.list = (struct berth_list_request){ sizeof block.list, 0 };
	call_run(&call, NULL);
	call_fini(&call);
	diagnostics_fini(&dropped);
	buffer_fini(&nowhere);
}

void survey_populate(struct host *host)
{
	CLEANUP(json_delete) cJSON *workers = host_ask_json(host, "{'op':'list_workers','limit':%d}", WORKERS_WANTED);
	bool takes_input = host_can(host, "can_accept_input");
	char worker_id[BERTH_ID_MAX + 1];

	for (size_t n = json_n_items(workers); n < WORKERS_WANTED && spawned_try(host, worker_id, NULL); n++)
		for (int i = 1; i <= 2 && takes_input; i++)
			free(host_ask(
			    host,
			    "{'op':'send_input','runtime_id':'%s','worker_id':'%s','request':{'content':'line %d'}}",
			    host->runtime_id, worker_id, i));
}

static void survey_worker(const struct survey *survey, const char *worker_id, uint64_t limit)
{
	const char *runtime_id = survey->host->runtime_id;

	ask(survey, "{'op':'worker','runtime_id':'%s','worker_id':'%s'}", runtime_id, worker_id);
	ask(survey, "{'op':'transcript','runtime_id':'%s','worker_id':'%s','limit':%" PRIu64 "}", runtime_id, worker_id,
	    limit);
	ask(survey, "{'op':'transcript','runtime_id':'%s','worker_id':'%s','start':1,'limit':%" PRIu64 "}", runtime_id,
	    worker_id, limit);
	ask(survey, "{'op':'connect_points','runtime_id':'%s','worker_id':'%s'}", runtime_id, worker_id);
}

static void survey_events(const struct survey *survey, uint64_t limit)
{
	CLEANUP(json_delete) cJSON *first = events_read(survey->host, NULL, 1);
	const char *runtime_id = survey->host->runtime_id;
	CLEANUP(buffer_fini) struct buffer cursor = { 0 };

	events_write_cursor(&cursor, json_string(first, "next_cursor"));
	buffer_append_char(&cursor, '\0');
	if (cursor.failed)
		check_fail("no memory");
	ask(survey, "{'op':'read_events','runtime_id':'%s','limit':%" PRIu64 "}", runtime_id, limit);
	if (*cursor.data)
		ask(survey, "{'op':'read_events','runtime_id':'%s','cursor':'%s','limit':%" PRIu64 "}", runtime_id,
		    cursor.data, limit);
}

void survey(struct host *host, uint64_t limit, survey_visit *visit, void *data)
{
	const struct survey survey = { host, visit, data };
	CLEANUP(json_delete) cJSON *workers = host_ask_json(host, "{'op':'list_workers','limit':%d}", WORKERS_ASKED);
	CLEANUP(json_delete) cJSON *hosts = host_ask_json(host, "{'op':'list_hosts','limit':1}");
	const cJSON *item;

	if (limit == 0) {
		ask_for_none(host, OPERATION_LIST_HOSTS);
		ask_for_none(host, OPERATION_LIST_WORKERS);
	}
	ask(&survey, "{'op':'list_runtimes','limit':%" PRIu64 "}", limit);
	ask(&survey, "{'op':'list_hosts','limit':%" PRIu64 "}", limit);
	ask(&survey, "{'op':'list_workers','limit':%" PRIu64 "}", limit);
	cJSON_ArrayForEach(item, json_items(hosts))
	    ask(&survey, "{'op':'list_workers_for_host','host_id':'%s','limit':%" PRIu64 "}",
		json_string(item, "host_id"), limit);
	cJSON_ArrayForEach(item, json_items(workers)) survey_worker(&survey, json_string(item, "worker_id"), limit);
	survey_worker(&survey, SURVEY_NOBODY, limit);
	survey_events(&survey, limit);
}

void survey_all(struct host *host, survey_visit *visit, void *data)
{
	CLEANUP(json_delete) cJSON *workers = host_ask_json(host, "{'op':'list_workers','limit':%d}", SURVEY_LIMIT);
	const uint64_t n = json_n_items(workers);
	const uint64_t limits[] = { SURVEY_LIMIT, 0, 1, 2, n, n + 1 };

	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
		survey(host, limits[i], visit, data);
}

void survey_refusals(struct host *host, survey_visit *visit, void *data)
{
	const struct survey survey = { host, visit, data };
	const char *runtime_id = host->runtime_id;
	char worker_id[BERTH_ID_MAX + 1];

	ask(&survey,
	    "{'op':'stop_worker','runtime_id':'%s','request':{'worker_id':'" SURVEY_NOBODY "','mode':'graceful'}}",
	    runtime_id);
	ask(&survey, "{'op':'send_input','runtime_id':'%s','worker_id':'" SURVEY_NOBODY "','request':{'content':'x'}}",
	    runtime_id);
	ask(&survey, "{'op':'read_events','runtime_id':'%s','cursor':'" SURVEY_NOBODY "'}", runtime_id);
	if (!spawned_try(host, worker_id, NULL))
		return;
	ask(&survey, "{'op':'send_input','runtime_id':'%s','worker_id':'%s','request':{'content':' '}}", runtime_id,
	    worker_id);
	ask(&survey, "{'op':'transcript','runtime_id':'%s','worker_id':'%s','limit':%" PRIu64 "}", runtime_id,
	    worker_id, UINT64_MAX);
	ask(&survey, "{'op':'stop_worker','runtime_id':'%s','request':{'worker_id':'%s','mode':'force'}}", runtime_id,
	    worker_id);
	ask(&survey, "{'op':'send_input','runtime_id':'%s','worker_id':'%s','request':{'content':'x'}}", runtime_id,
	    worker_id);
}
