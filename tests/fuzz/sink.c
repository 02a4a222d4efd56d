/* SPDX-License-Identifier: MIT */
/* An adapter that pushes anything and returns anything: whatever it does, each answer is
 * an answer, within its limits, and a table of it drives no terminal. Its structs are of
 * any size that there is memory for, as they are of earlier and later minors. */
#include "config.h"

#include <cjson/cJSON.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/instance.h"
#include "core/log.h"
#include "tests/fuzz/fuzz.h"

static struct fuzz *input; /* of the run that goes on */

/* ---- What it pushes ---- */

enum { LONG = BERTH_TEXT_MAX + 1 };

static struct berth_text make_text(void)
{
	static char many[LONG];
	static const char *const words[] = { "only", "first", "second", "user", "system", "worker", "active", "a", "" };
	unsigned kind = fuzz_byte(input);

	if (!*many)
		memset(many, 'm', sizeof many);
	if (kind < 0x10)
		return (struct berth_text){ NULL, kind };
	if (kind == 0x10)
		return (struct berth_text){ many, LONG - fuzz_below(input, 2) };
	if (kind == 0x11)
		return (struct berth_text){ many, BERTH_ID_MAX + fuzz_below(input, 2) };
	if (kind < 0x40)
		return fuzz_text(input);
	return berth_text(words[kind % (sizeof words / sizeof *words)]);
}

/* Room for a struct and what a later minor may have behind it. */
#define PUSHED(type)                     \
	union {                          \
		struct type it;          \
		unsigned char room[512]; \
	} pushed = { .room = { 0 } };    \
	pushed.it.size = make_size(sizeof pushed.it)

static size_t make_size(size_t usual)
{
	unsigned kind = fuzz_byte(input);

	return kind < 0xe0 ? usual : kind < 0xf0 ? usual + (kind & 0xf) * 8 : fuzz_below(input, (unsigned)usual + 1);
}

enum { DIAGNOSTICS = 20 };

/* Diagnostics, one behind the other in steps of a size that may not be ours. */
static const struct berth_diagnostic *make_diagnostics(size_t *np)
{
	static _Alignas(struct berth_diagnostic) unsigned char room[(DIAGNOSTICS + 1) * 128];
	size_t step = fuzz_byte(input), n = fuzz_below(input, 2 * DIAGNOSTICS);

	*np = n;
	if (n > DIAGNOSTICS)
		*np = n -= DIAGNOSTICS;
	if (step < 16)
		return NULL;
	step = step < 0xd0 ? sizeof(struct berth_diagnostic) : step - 0xd0;
	for (size_t i = 0; i < n; i++) {
		struct berth_diagnostic diagnostic = { step, make_text(), make_text(), fuzz_below(input, 5) };

		memcpy(room + i * step, &diagnostic, sizeof diagnostic);
	}
	return (const struct berth_diagnostic *)(const void *)room;
}

static int push_runtime(struct berth_call *call)
{
	struct berth_text hosts[4];
	PUSHED(berth_runtime);

	for (size_t i = 0; i < 4; i++)
		hosts[i] = make_text();
	pushed.it.runtime_id = make_text();
	pushed.it.label = make_text();
	pushed.it.kind = make_text();
	pushed.it.status = make_text();
	pushed.it.source_kind = make_text();
	pushed.it.source_status = make_text();
	pushed.it.source_note = make_text();
	pushed.it.n_host_ids = fuzz_below(input, 5);
	pushed.it.host_ids = fuzz_byte(input) ? hosts : NULL;
	pushed.it.can = fuzz_u64(input);
	pushed.it.local_pod_inspection = make_text();
	pushed.it.workspace_scope = make_text();
	pushed.it.os = make_text();
	pushed.it.arch = make_text();
	pushed.it.diagnostics = make_diagnostics(&pushed.it.n_diagnostics);
	return call->sink->runtime(call, &pushed.it);
}

static int push_host(struct berth_call *call)
{
	PUSHED(berth_host);

	pushed.it.host_id = make_text();
	pushed.it.label = make_text();
	pushed.it.kind = make_text();
	pushed.it.status = make_text();
	pushed.it.observed_at_ns = fuzz_u64(input);
	pushed.it.last_seen_at_ns = fuzz_u64(input);
	pushed.it.can = fuzz_u64(input);
	pushed.it.diagnostics = make_diagnostics(&pushed.it.n_diagnostics);
	return call->sink->host(call, &pushed.it);
}

static int push_worker(struct berth_call *call)
{
	PUSHED(berth_worker);

	pushed.it.worker_id = make_text();
	if (fuzz_byte(input) > 0xc0)
		pushed.it.runtime_id = make_text();
	pushed.it.host_id = make_text();
	pushed.it.label = make_text();
	pushed.it.role = make_text();
	pushed.it.profile = make_text();
	pushed.it.workspace_visibility = make_text();
	pushed.it.workspace_identity = make_text();
	pushed.it.state = make_text();
	pushed.it.status = make_text();
	pushed.it.last_seen_at_ns = fuzz_u64(input);
	pushed.it.implementation_kind = make_text();
	pushed.it.implementation_hint = make_text();
	pushed.it.can = fuzz_u64(input);
	pushed.it.diagnostics = make_diagnostics(&pushed.it.n_diagnostics);
	return call->sink->worker(call, &pushed.it);
}

static int push_answer(struct berth_call *call)
{
	PUSHED(berth_answer);

	pushed.it.state = fuzz_below(input, 5);
	pushed.it.transcript_sequence = fuzz_u64(input);
	pushed.it.event_id = fuzz_u64(input);
	pushed.it.total_items = fuzz_u64(input);
	pushed.it.more = fuzz_u64(input);
	pushed.it.next_start = fuzz_u64(input);
	pushed.it.next_cursor = make_text();
	return call->sink->answer(call, &pushed.it);
}

static int push_evidence(struct berth_call *call)
{
	PUSHED(berth_evidence);

	pushed.it.kind = make_text();
	pushed.it.detail = make_text();
	return call->sink->evidence(call, &pushed.it);
}

static int push_item(struct berth_call *call)
{
	PUSHED(berth_transcript_item);

	pushed.it.sequence = fuzz_u64(input);
	pushed.it.event_id = fuzz_u64(input);
	pushed.it.role = make_text();
	pushed.it.content = make_text();
	return call->sink->transcript_item(call, &pushed.it);
}

static int push_point(struct berth_call *call)
{
	PUSHED(berth_connect_point);

	pushed.it.kind = make_text();
	pushed.it.status = make_text();
	pushed.it.diagnostics = make_diagnostics(&pushed.it.n_diagnostics);
	return call->sink->connect_point(call, &pushed.it);
}

static int push_event(struct berth_call *call)
{
	PUSHED(berth_event);

	pushed.it.event_id = fuzz_u64(input);
	pushed.it.kind = make_text();
	pushed.it.occurred_at_ns = fuzz_u64(input);
	pushed.it.worker_id = make_text();
	pushed.it.transcript_sequence = fuzz_u64(input);
	pushed.it.cursor = make_text();
	return call->sink->event(call, &pushed.it);
}

static int push_diagnostic(struct berth_call *call)
{
	PUSHED(berth_diagnostic);

	pushed.it.code = make_text();
	pushed.it.message = make_text();
	pushed.it.severity = fuzz_u64(input);
	return call->sink->diagnostic(call, &pushed.it);
}

static int push_failure(struct berth_call *call)
{
	struct berth_text text = make_text();

	call->sink->fail(call, -EIO, "%.*s", text.ptr ? (int)text.len : 0, text.ptr ? text.ptr : "");
	return call->sink->cancelled(call);
}

static int push_nothing(struct berth_call *call)
{
	return call->sink->worker(call, NULL) | call->sink->diagnostic(call, NULL) | call->sink->answer(call, NULL);
}

/* What belongs to the operation, mostly, in front of anything. */
static int run(struct berth_call *call, int (*usual)(struct berth_call *))
{
	static int (*const pushes[])(struct berth_call *) = {
		push_runtime, push_host, push_worker, push_answer, push_evidence, push_item, push_point, push_event,
		push_diagnostic, push_failure, push_nothing,
	};
	static const int results[] = { 1, BERTH_DEFAULT, -ENOENT, -EIO, -1, 3, INT32_MIN, INT32_MAX };
	unsigned n = fuzz_below(input, 8), result;

	for (unsigned i = 0; i < n; i++) {
		unsigned kind = fuzz_byte(input);

		if (kind < 0xa0)
			usual(call);
		else if (kind < 0xc0)
			push_answer(call);
		else
			pushes[kind % (sizeof pushes / sizeof *pushes)](call);
	}
	result = fuzz_byte(input);
	return result < 0xc0 ? 0 : results[result % 8];
}

#define OPERATION(name, request_type, usual)                                                               \
	static int any_##name(void *instance, struct berth_call *call, const struct request_type *request) \
	{                                                                                                  \
		(void)instance, (void)request;                                                             \
		return run(call, usual);                                                                   \
	}
OPERATION(runtime, berth_list_request, push_runtime)
OPERATION(list_hosts, berth_list_request, push_host)
OPERATION(list_workers, berth_list_request, push_worker)
OPERATION(worker, berth_worker_request, push_worker)
OPERATION(spawn_worker, berth_spawn_request, push_worker)
OPERATION(stop_worker, berth_stop_request, push_answer)
OPERATION(send_input, berth_input_request, push_answer)
OPERATION(transcript, berth_transcript_request, push_item)
OPERATION(connect_points, berth_worker_request, push_point)
OPERATION(read_events, berth_events_request, push_event)

/* It opens in order, since there is nothing to see otherwise, unless the bytes say more. */
static int any_open(void **instance, struct berth_call *call, const struct berth_open_request *request)
{
	static const struct berth_runtime plain = {
		sizeof plain, BERTH_TEXT("only"), BERTH_TEXT("label"), BERTH_TEXT("kind"), BERTH_TEXT("status"),
		BERTH_TEXT("source"), BERTH_TEXT("active"), BERTH_TEXT("note"), NULL, 0, 0,
		{ NULL, 0 }, { NULL, 0 }, { NULL, 0 }, { NULL, 0 }, NULL, 0,
	};

	(void)request;
	*instance = NULL;
	if (fuzz_byte(input) & 1)
		return run(call, push_runtime);
	call->sink->runtime(call, &plain);
	return 0;
}

static const struct berth_adapter any = {
	.size = sizeof any,
	.open = any_open,
	.runtime = any_runtime,
	.list_hosts = any_list_hosts,
	.list_workers = any_list_workers,
	.worker = any_worker,
	.spawn_worker = any_spawn_worker,
	.stop_worker = any_stop_worker,
	.send_input = any_send_input,
	.transcript = any_transcript,
	.connect_points = any_connect_points,
	.read_events = any_read_events,
};

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
		.stamp = { .id = "fuzz", .threading = BERTH_THREADS_ANY }, .lock = PTHREAD_MUTEX_INITIALIZER, .ops = any,
	};
	struct registry registry = { 0 };
	struct instance *instance;
	struct failure failure;
	unsigned left_out = fuzz_byte(&fuzz);
	cJSON *settings = cJSON_CreateObject();

	input = &fuzz;
	/* What an adapter leaves out is answered for it. */
	if (left_out & 1)
		adapter.ops.worker = NULL;
	if (left_out & 2)
		adapter.ops.runtime = NULL;
	if ((left_out & 12) == 12)
		adapter.ops.transcript = NULL;
	if (instance_open(&adapter, "fuzz", settings, &workspace, &instance, &failure) == 0) {
		FUZZ_CHECK(registry_add(&registry, instance) == 0);
		fuzz_ask_everything(&registry);
	}
	cJSON_Delete(settings);
	registry_fini(&registry);
	return 0;
}
