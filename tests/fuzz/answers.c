/* SPDX-License-Identifier: MIT */
/* Answers of a child that speaks the batch protocol, read by the adapter process and judged
 * by the host: whatever the child says, what comes of it is an answer. The input is what it
 * says, with a byte between that no text has. */
#include "config.h"

#include "plugins/process/answers.h"

#include <cjson/cJSON.h>
#include <pthread.h>
#include <string.h>

#include "core/identifier.h"
#include "core/instance.h"
#include "core/log.h"
#include "core/text.h"
#include "tests/fuzz/fuzz.h"

static struct fuzz *said; /* what has not been said yet */
static struct far_runtime far = { .id = "far", .own_id = "only", .alone = true, .wanted = 200 };

/* The next answer, in memory of its own, which the reader changes. */
static struct bytes next_answer(void)
{
	struct berth_text text = fuzz_until(said, 0xff);
	struct bytes answer = { .data = NULL };

	bytes_append(&answer, text.ptr, text.len);
	FUZZ_CHECK(!answer.failed);
	return answer;
}

#define OPERATION(name, request_type, read)                                                                \
	static int far_##name(void *instance, struct berth_call *call, const struct request_type *request) \
	{                                                                                                  \
		struct bytes answer = next_answer();                                                       \
		int rc = read(call, &far, &answer);                                                        \
                                                                                                           \
		(void)instance, (void)request;                                                             \
		bytes_fini(&answer);                                                                       \
		return rc;                                                                                 \
	}
OPERATION(runtime, berth_list_request, answer_runtime)
OPERATION(list_hosts, berth_list_request, answer_hosts)
OPERATION(list_workers, berth_list_request, answer_workers)
OPERATION(worker, berth_worker_request, answer_worker)
OPERATION(spawn_worker, berth_spawn_request, answer_spawn)
OPERATION(stop_worker, berth_stop_request, answer_stop)
OPERATION(send_input, berth_input_request, answer_input)
OPERATION(transcript, berth_transcript_request, answer_transcript)
OPERATION(connect_points, berth_worker_request, answer_connect_points)
OPERATION(read_events, berth_events_request, answer_events)

static int far_open(void **instance, struct berth_call *call, const struct berth_open_request *request)
{
	static const struct berth_runtime plain = {
		sizeof plain, BERTH_TEXT("only"), BERTH_TEXT("label"), BERTH_TEXT("kind"), BERTH_TEXT("status"),
		BERTH_TEXT("source"), BERTH_TEXT("active"), BERTH_TEXT("note"), NULL, 0, 0,
		{ NULL, 0 }, { NULL, 0 }, { NULL, 0 }, { NULL, 0 }, NULL, 0,
	};

	(void)request;
	*instance = NULL;
	call->sink->runtime(call, &plain);
	return 0;
}

static const struct berth_adapter adapter_ops = {
	.size = sizeof adapter_ops,
	.open = far_open,
	.runtime = far_runtime,
	.list_hosts = far_list_hosts,
	.list_workers = far_list_workers,
	.worker = far_worker,
	.spawn_worker = far_spawn_worker,
	.stop_worker = far_stop_worker,
	.send_input = far_send_input,
	.transcript = far_transcript,
	.connect_points = far_connect_points,
	.read_events = far_read_events,
};

static void check_hello(struct berth_text answer)
{
	struct far_runtime found = { .index = 0 };
	struct trouble trouble = { .text = "" };

	if (answer_hello(answer, "", &found, &trouble) == 0)
		FUZZ_CHECK(identifier_valid(berth_text(found.id)));
	fuzz_check_plain(berth_text(trouble.text), "");
}

int LLVMFuzzerInitialize(int *argcp, char ***argvp)
{
	(void)argcp, (void)argvp;
	log_set_level(BERTH_LOG_ERROR + 1);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct workspace workspace = { BERTH_TEXT("local:fuzz"), BERTH_TEXT("/workspace/project"), { NULL, 0 } };
	struct fuzz fuzz = { data, size };
	struct adapter adapter = {
		.stamp = { .id = "fuzz", .threading = BERTH_THREADS_ANY }, .lock = PTHREAD_MUTEX_INITIALIZER, .ops = adapter_ops,
	};
	struct registry registry = { 0 };
	struct instance *instance;
	struct failure failure;
	cJSON *settings = cJSON_CreateObject();

	said = &fuzz;
	check_hello(fuzz_until(&fuzz, 0xff));
	FUZZ_CHECK(instance_open(&adapter, "fuzz", settings, &workspace, &instance, &failure) == 0);
	FUZZ_CHECK(registry_add(&registry, instance) == 0);
	fuzz_ask_everything(&registry);
	cJSON_Delete(settings);
	registry_fini(&registry);
	return 0;
}
