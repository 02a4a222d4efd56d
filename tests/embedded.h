/* SPDX-License-Identifier: MIT */
/* What the tests of the embedded runtime's store share: its requests, and a host whose
 * store is in a scratch directory and can be started again. */
#ifndef BERTH_TESTS_EMBEDDED_H
#define BERTH_TESTS_EMBEDDED_H

#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "tests/support.h"

#define EMBEDDED "embedded-worker-runtime"
#define ONE "worker-00000001"
#define TWO "worker-00000002"
#define THREE "worker-00000003"

#define COMPANION "'intent':{'kind':'workspace_companion'}"
#define SPAWN(request) \
	"{'op':'spawn_worker','runtime_id':'" EMBEDDED "','request':{'acceptance':{'kind':'run_accepted'," \
	"'expected_segments':0}," request "}}"
#define STOP(id, mode) \
	"{'op':'stop_worker','runtime_id':'" EMBEDDED "','request':{'worker_id':'" id "','mode':'" mode "'}}"
#define ADDRESS(id) "'runtime_id':'" EMBEDDED "','worker_id':'" id "'"
#define INPUT(id, request) "{'op':'send_input'," ADDRESS(id) ",'request':{" request "}}"
#define TRANSCRIPT(id, more) "{'op':'transcript'," ADDRESS(id) more "}"

/* Asks what must be accepted; returns the answer. */
static inline const char *ask_accepted(struct host *host, const char *request)
{
	const char *answer = host_ask(host, "%s", request);

	if (!strstr(answer, "\"state\":\"accepted\""))
		fail_msg("not accepted: %s: %s", request, answer);
	return answer;
}

/* Asks what must be rejected with a code. */
static inline void ask_rejected(struct host *host, const char *request, const char *code)
{
	const char *answer = host_ask(host, "%s", request);

	if (!strstr(answer, "\"state\":\"rejected\"") || !strstr(answer, code))
		fail_msg("not rejected with %s: %s: %s", code, request, answer);
}

/* A runtime whose state cannot be read says so, in each of its answers. */
static inline void assert_unavailable(struct host *host)
{
	static const char *const requests[] = {
		SPAWN(COMPANION), STOP(ONE, "force"), INPUT(ONE, "'content':'x'"), INPUT(ONE, "'content':' '"),
		TRANSCRIPT(ONE, ""), TRANSCRIPT(ONE, ",'limit':1000"),
	};
	cJSON *list = host_ask_json(host, "{'op':'list_runtimes'}");

	assert_string_equal(json_string_at(list, "items.0.status"), "unavailable");
	assert_string_equal(json_string_at(list, "items.0.label"), "Embedded backend Runtime");
	assert_true(json_has_code(list, "diagnostics", "embedded_runtime_state_unavailable"));
	assert_true(cJSON_IsFalse(json_at(list, "items.0.capabilities.can_spawn_worker")));
	cJSON_Delete(list);
	list = host_ask_json(host, "{'op':'list_workers'}");
	assert_int_equal(cJSON_GetArraySize(json_at(list, "items")), 0);
	assert_true(json_has_code(list, "diagnostics", "embedded_runtime_state_unavailable"));
	cJSON_Delete(list);
	for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
		ask_rejected(host, requests[i], "embedded_runtime_state_unavailable");
}

struct stored {
	char *scratch, *dir; /* of the store */
	const char *options; /* beside it, such as ,'durability':'relaxed' */
	struct host host;
};

static inline void stored_start(struct stored *stored)
{
	CLEANUP_FREE char *options = NULL;

	assert_true(asprintf(&options, "{'store':'%s'%s}", stored->dir, stored->options ? stored->options : "") >= 0);
	host_start(&stored->host, &(struct host_setup){ .adapters = "embedded", .options = options });
}

static inline void stored_stop(struct stored *stored)
{
	host_stop(&stored->host);
}

static inline void stored_restart(struct stored *stored)
{
	stored_stop(stored);
	stored_start(stored);
}

/* A path in the store's directory, to be freed. */
static inline char *stored_path(const struct stored *stored, const char *name)
{
	char *path;

	assert_true(asprintf(&path, "%s/%s", stored->dir, name) >= 0);
	return path;
}

static inline int stored_set_up(void **state)
{
	struct stored *stored = calloc(1, sizeof *stored);

	assert_non_null(stored);
	stored->scratch = scratch_new();
	assert_true(asprintf(&stored->dir, "%s/store", stored->scratch) >= 0);
	stored_start(stored);
	*state = stored;
	return 0;
}

static inline int stored_tear_down(void **state)
{
	struct stored *stored = *state;

	stored_stop(stored);
	scratch_remove(stored->scratch);
	free(stored->dir);
	free(stored);
	return 0;
}

#if HAVE_SQLITE3
#define STORED_TEST(function) cmocka_unit_test_setup_teardown(function, stored_set_up, stored_tear_down)
#else
static inline void skip_stored(void **state)
{
	(void)state;
	skip();
}

#define STORED_TEST(function) { #function, skip_stored, NULL, NULL, (void *)(uintptr_t)(function) }
#endif

#endif
