/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "core/conformance/worker.h"

#include <inttypes.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/conformance/spawned.h"

/* ---- Answers ---- */

bool answer_is(const cJSON *answer, const char *state)
{
	return strcmp(json_string(answer, "state"), state) == 0;
}

uint64_t json_number(const cJSON *object, const char *key)
{
	const cJSON *number = cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsNumber(number) && number->valuedouble > 0 ? (uint64_t)number->valuedouble : 0;
}

const cJSON *answer_diagnostics(const cJSON *answer)
{
	return cJSON_GetObjectItemCaseSensitive(answer, "diagnostics");
}

const char *answer_reason(const cJSON *answer)
{
	const char *code = json_string(cJSON_GetArrayItem(answer_diagnostics(answer), 0), "code");

	return *code ? code : "no reason";
}

bool answer_failed(const cJSON *answer)
{
	return json_find(answer_diagnostics(answer), "code", "adapter_failed") != NULL;
}

bool worker_can(struct host *host, const char *worker_id, const char *capability)
{
	CLEANUP(json_delete) cJSON *answer =
		host_ask_json(host, "{'op':'worker','runtime_id':'%s','worker_id':'%s'}", host->runtime_id,
			      worker_id);
	const cJSON *capabilities = cJSON_GetObjectItemCaseSensitive(answer, "capabilities");

	return json_is_error(answer, "unknown_worker") ||
	       cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(capabilities, capability));
}

void answer_expect_offered(const cJSON *answer, const char *operation, const char *capability)
{
	if (answer_is(answer, "unsupported"))
		check_fail("%s: unsupported (%s), although %s is declared", operation, answer_reason(answer),
			   capability);
}

/* ---- Asking ---- */

cJSON *worker_input(struct host *host, const char *worker_id, const char *kind, const char *content)
{
	return host_ask_json(host,
			     "{'op':'send_input','runtime_id':'%s','worker_id':'%s','request':{'kind':'%s','"
			     "content':'%s'}}",
			     host->runtime_id, worker_id, kind, content);
}

cJSON *worker_stop(struct host *host, const char *worker_id, const char *mode)
{
	return host_ask_json(host,
			     "{'op':'stop_worker','runtime_id':'%s','request':{'worker_id':'%s','mode':'%s'}}",
			     host->runtime_id, worker_id, mode);
}

cJSON *worker_page(struct host *host, const char *worker_id, uint64_t start, uint64_t limit)
{
	return host_ask_json(host,
			     "{'op':'transcript','runtime_id':'%s','worker_id':'%s','start':%" PRIu64
			     ",'limit':%" PRIu64 "}",
			     host->runtime_id, worker_id, start, limit);
}

/* A worker that takes input, or the check is skipped. */
void worker_for_input(struct host *host, char worker_id[BERTH_ID_MAX + 1])
{
	spawned_worker(host, worker_id);
	if (!worker_can(host, worker_id, "can_accept_input"))
		check_skip("the worker that was spawned does not declare can_accept_input");
}
