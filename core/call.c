/* SPDX-License-Identifier: MIT */
/*
 * The host's side of the boundary. Results are written into the answer while they
 * are pushed, so that nothing of a plugin is kept; what breaks the contract is
 * dropped, remembered and named in the log, and the call goes on.
 */
#include "config.h"

#include "core/call.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/identifier.h"
#include "core/instance.h"
#include "core/log.h"
#include "core/text.h"

_Static_assert(sizeof(struct berth_open_request) <= sizeof((union request_block){ 0 }.room) &&
		       sizeof(struct berth_spawn_request) <= sizeof((union request_block){ 0 }.room),
	       "requests fit into their block");

enum { YIELDS = 4 };

/* What each operation is, and what may be pushed by it. */
enum push {
	PUSH_RUNTIME = 1 << 0,
	PUSH_HOST = 1 << 1,
	PUSH_WORKER = 1 << 2,
	PUSH_ANSWER = 1 << 3,
	PUSH_EVIDENCE = 1 << 4,
	PUSH_TRANSCRIPT_ITEM = 1 << 5,
	PUSH_CONNECT_POINT = 1 << 6,
	PUSH_EVENT = 1 << 7,
};

static const struct {
	const char *name;
	unsigned pushes;
	bool of_worker; /* -ENOENT means that there is no such worker */
} operations[N_OPERATIONS] = {
	[OPERATION_OPEN] = { "open", PUSH_RUNTIME, false },
	[OPERATION_RUNTIME] = { "runtime", PUSH_RUNTIME, false },
	[OPERATION_LIST_HOSTS] = { "list_hosts", PUSH_HOST, false },
	[OPERATION_LIST_WORKERS] = { "list_workers", PUSH_WORKER, false },
	[OPERATION_WORKER] = { "worker", PUSH_WORKER, true },
	[OPERATION_SPAWN_WORKER] = { "spawn_worker", PUSH_ANSWER | PUSH_WORKER | PUSH_EVIDENCE, false },
	[OPERATION_STOP_WORKER] = { "stop_worker", PUSH_ANSWER, true },
	[OPERATION_SEND_INPUT] = { "send_input", PUSH_ANSWER, true },
	[OPERATION_TRANSCRIPT] = { "transcript", PUSH_ANSWER | PUSH_TRANSCRIPT_ITEM, true },
	[OPERATION_CONNECT_POINTS] = { "connect_points", PUSH_CONNECT_POINT, true },
	[OPERATION_READ_EVENTS] = { "read_events", PUSH_ANSWER | PUSH_EVENT, false },
};

const char *operation_name(enum operation operation)
{
	return operations[operation].name;
}

/* ---- The sink ---- */

/* Remembers the first that was refused. Returns 0: the adapter may go on. */
__attribute__((format(printf, 2, 3)))
static int refuse(struct call *call, const char *format, ...)
{
	va_list args;

	if (call->n_refused++ > 0)
		return 0;
	va_start(args, format);
	vsnprintf(call->refusal->text, sizeof call->refusal->text, format, args);
	va_end(args);
	return 0;
}

/* What the operation may push now: its answer comes before what belongs to it. */
static unsigned may_push(const struct call *call)
{
	unsigned pushes = operations[call->operation].pushes;

	return pushes & PUSH_ANSWER && !call->answered ? PUSH_ANSWER : pushes;
}

__attribute__((noinline))
static void refuse_push(struct call *call, enum push push, const void *pushed, const char *what)
{
	if (!pushed)
		refuse(call, "%s that is NULL", what);
	else if (!(operations[call->operation].pushes & push))
		refuse(call, "%s does not belong here", what);
	else
		refuse(call, "%s comes before the answer that it belongs to", what);
}

/* Whether the operation may push this, and has first pushed the answer it belongs to. */
static inline bool expected(struct call *call, enum push push, const void *pushed, const char *what)
{
	if (pushed && call->may_push & push)
		return true;
	refuse_push(call, push, pushed, what);
	return false;
}

/* How many items the adapter was asked for. */
static uint64_t asked(const struct call *call)
{
	switch (call->operation) {
	case OPERATION_LIST_HOSTS:
	case OPERATION_LIST_WORKERS:
		return call->request->list.limit;
	case OPERATION_TRANSCRIPT:
		return call->request->transcript.limit;
	case OPERATION_READ_EVENTS:
		return call->request->events.limit;
	case OPERATION_CONNECT_POINTS:
		return UINT64_MAX;
	default:
		return 1;
	}
}

static int is_full(const struct call *call)
{
	/* Who goes on behind a worker asks for all, since only what follows it is wanted. */
	return call->n_pushed >= call->n_asked || (call->passed_after && call->n_items >= call->wanted);
}

/* Writes an item that is out of the ordinary; false where it was refused. */
__attribute__((noinline))
static bool write_each(struct call *call, const struct shape *shape, const void *item, const char *what)
{
	struct error why;

	if (wire_write_each(call->out, shape, item, &why))
		return true;
	refuse(call, "%s: %s", what, why.text);
	return false;
}

/* Writes an item behind those that are there; false where it was refused. */
static inline __attribute__((always_inline)) bool keep_item(struct call *call, const struct shape *shape, const void *item, const char *what)
{
	size_t mark = call->out->len;

	if (call->n_items > 0)
		buffer_append_char(call->out, ',');
	if (!wire_put(call->out, shape, item) && !write_each(call, shape, item, what)) {
		buffer_cut(call->out, mark);
		return false;
	}
	call->n_pushed++;
	if (call->n_items < call->wanted)
		call->n_items++;
	else
		buffer_cut(call->out, mark); /* it counts for the adapter, but nobody wants it */
	if (call->outlet && call->out->len >= call->outlet->enough)
		call->outlet->take(call->outlet, call->out);
	return true;
}

#if defined __x86_64__
#define HOST_ARCH "x86_64"
#elif defined __aarch64__
#define HOST_ARCH "aarch64"
#elif defined __arm__
#define HOST_ARCH "arm"
#elif defined __i386__
#define HOST_ARCH "x86"
#elif defined __riscv && __riscv_xlen == 64
#define HOST_ARCH "riscv64"
#elif defined __powerpc64__
#define HOST_ARCH "powerpc64"
#elif defined __s390x__
#define HOST_ARCH "s390x"
#else
#error "add the name of this architecture"
#endif

static struct berth_text text_or(struct berth_text text, const char *otherwise)
{
	return text.ptr ? text : berth_text(otherwise);
}

#define FILL_IN_CAPABILITIES(object)                                                                     \
	((object)->local_pod_inspection = text_or((object)->local_pod_inspection, "not_applicable"),     \
	 (object)->workspace_scope = text_or((object)->workspace_scope, "none"),                         \
	 (object)->os = text_or((object)->os, "linux"), (object)->arch = text_or((object)->arch, HOST_ARCH))

/* Writes a runtime and, behind those of the answer, its diagnostics; all or nothing. */
static bool write_runtime(struct call *call, const struct wire_runtime *runtime, struct error *why)
{
	size_t mark = call->out->len, n = call->diagnostics->n;

	if (wire_write(call->out, call->runtime_shape, runtime, why) &&
	    diagnostics_push_array(call->diagnostics, runtime->base.diagnostics, runtime->base.n_diagnostics, why))
		return true;
	buffer_cut(call->out, mark);
	diagnostics_cut(call->diagnostics, n);
	return false;
}

/* Whether it is what the adapter calls the runtime of the instance: nothing, its own
 * id, or the one that is configured in the place of that. */
static bool is_own(const struct instance *instance, struct berth_text runtime_id)
{
	return !runtime_id.ptr || text_equal(runtime_id, instance->runtime.base.runtime_id) ||
	       (*instance->own_id && text_is(runtime_id, instance->own_id));
}

/* A configured runtime_id takes the place of the adapter's. */
static void name_runtime(struct call *call, struct berth_text *runtime_id)
{
	struct instance *instance = call->instance;

	if (call->operation == OPERATION_RUNTIME) {
		*runtime_id = instance->runtime.base.runtime_id;
	} else if (call->request->open.runtime_id.ptr) {
		if (runtime_id->ptr)
			snprintf(instance->own_id, sizeof instance->own_id, "%.*s", (int)runtime_id->len, runtime_id->ptr);
		*runtime_id = call->request->open.runtime_id;
	}
}

static int keep_runtime(struct call *call, struct wire_runtime *runtime)
{
	struct instance *instance = call->instance;
	struct error why;

	if (call->operation == OPERATION_RUNTIME && !is_own(instance, runtime->base.runtime_id))
		return refuse(call, "runtime: the runtime_id is another than open has given");
	if (runtime->base.runtime_id.ptr && !identifier_valid(runtime->base.runtime_id))
		return refuse(call, "runtime: runtime_id is no identifier");
	name_runtime(call, &runtime->base.runtime_id);
	FILL_IN_CAPABILITIES(&runtime->base);
	if (!write_runtime(call, runtime, &why))
		return refuse(call, "runtime: %s", why.text);
	if (call->operation == OPERATION_OPEN && wire_keep(&wire_runtime_shape, runtime, &instance->kept) == 0)
		instance->runtime = *runtime;
	call->n_pushed++;
	return 1;
}

static int sink_runtime(struct berth_call *base, const struct berth_runtime *pushed)
{
	struct call *call = (struct call *)base;
	struct wire_runtime runtime = {
		.max_workers = call->operation == OPERATION_RUNTIME ? call->request->list.limit : 0,
	};

	if (!expected(call, PUSH_RUNTIME, pushed, "a runtime"))
		return 0;
	if (call->n_pushed > 0)
		return refuse(call, "a second runtime");
	WIRE_COPY_IN(&runtime.base, pushed);
	return keep_runtime(call, &runtime);
}

static int sink_host(struct berth_call *base, const struct berth_host *pushed)
{
	struct call *call = (struct call *)base;
	struct wire_host host = { .max_workers = call->n_asked };

	if (!expected(call, PUSH_HOST, pushed, "a host"))
		return 0;
	if (is_full(call))
		return 1;
	WIRE_COPY_IN(&host.base, pushed);
	host.runtime_id = call->instance->runtime.base.runtime_id;
	if (host.base.observed_at_ns == 0)
		host.base.observed_at_ns = services_wall_ns();
	FILL_IN_CAPABILITIES(&host.base);
	if (keep_item(call, &wire_host_shape, &host, "host") && call->on_host)
		call->on_host(call, host.base.host_id);
	return is_full(call);
}

static int sink_worker(struct berth_call *base, const struct berth_worker *pushed)
{
	struct call *call = (struct call *)base;
	struct berth_worker worker;

	if (!expected(call, PUSH_WORKER, pushed, "a worker"))
		return 0;
	if (is_full(call))
		return 1;
	WIRE_COPY_IN(&worker, pushed);
	if (is_own(call->instance, worker.runtime_id))
		worker.runtime_id = call->instance->runtime.base.runtime_id;
	if (call->worker_id.ptr && (!worker.worker_id.ptr || !text_equal(worker.worker_id, call->worker_id))) {
		if (call->operation == OPERATION_WORKER)
			refuse(call, "worker: another than was asked for");
		return 0;
	}
	if (call->host_id.ptr && worker.host_id.ptr && !text_equal(worker.host_id, call->host_id)) {
		call->n_pushed++;
		return is_full(call);
	}
	if (call->after_id.ptr) {
		if (worker.worker_id.ptr && text_equal(worker.worker_id, call->after_id)) {
			call->after_id.ptr = NULL;
			call->passed_after = true;
		}
		return is_full(call);
	}
	if (call->operation == OPERATION_SPAWN_WORKER) {
		size_t mark = call->out->len;
		struct error why;

		buffer_append_string(call->out, ",\"worker\":");
		if (!wire_write(call->out, &wire_worker_shape, &worker, &why)) {
			buffer_cut(call->out, mark);
			return refuse(call, "worker: %s", why.text);
		}
		call->n_pushed++;
		return 0;
	}
	keep_item(call, &wire_worker_shape, &worker, "worker");
	return is_full(call) || (call->worker_id.ptr && call->n_items > 0);
}

/* Whether an answer says where to go on: one that has to does, and none says nonsense. */
static bool next_cursor_fits(const struct call *call, const struct berth_answer *answer)
{
	if (call->operation != OPERATION_READ_EVENTS || (!answer->next_cursor.ptr && answer->state != BERTH_ACCEPTED))
		return true;
	return wire_cursor_valid(answer->next_cursor);
}

static int sink_answer(struct berth_call *base, const struct berth_answer *pushed)
{
	struct call *call = (struct call *)base;
	struct berth_answer answer;

	if (!expected(call, PUSH_ANSWER, pushed, "an answer"))
		return 0;
	WIRE_COPY_IN(&answer, pushed);
	if (call->answered)
		return refuse(call, "a second answer");
	if (answer.state != BERTH_ACCEPTED && answer.state != BERTH_UNSUPPORTED && answer.state != BERTH_REJECTED)
		return refuse(call, "answer: the state is none of BERTH_ACCEPTED, _UNSUPPORTED, _REJECTED");
	if (!next_cursor_fits(call, &answer))
		return refuse(call, "answer: next_cursor is missing or no cursor");
	call->answer = answer;
	call->answered = true;
	call->may_push = may_push(call);
	if (call->on_answer)
		call->on_answer(call);
	call->answer.next_cursor = (struct berth_text){ NULL, 0 };
	return 0;
}

/* Evidence follows its worker; what comes before that has to wait, and then all of it does. */
static int sink_evidence(struct berth_call *base, const struct berth_evidence *pushed)
{
	struct call *call = (struct call *)base;
	struct buffer *to = call->n_pushed > 0 && call->evidence.len == 0 ? call->out : &call->evidence;
	struct berth_evidence copy;
	size_t mark = to->len;
	struct error why;

	if (!expected(call, PUSH_EVIDENCE, pushed, "evidence"))
		return 0;
	pushed = WIRE_VIEW(&copy, pushed);
	buffer_append_string(to, call->n_evidence > 0 ? "," : ",\"acceptance_evidence\":[");
	if (wire_write(to, &wire_evidence_shape, pushed, &why)) {
		call->n_evidence++;
		return 0;
	}
	buffer_cut(to, mark);
	return refuse(call, "evidence: %s", why.text);
}

static inline int push_transcript_item(struct call *call, const struct berth_transcript_item *item)
{
	if (call->n_pushed >= call->n_asked)
		return 1;
	keep_item(call, &wire_transcript_item_shape, item, "transcript item");
	return call->n_pushed >= call->n_asked;
}

__attribute__((noinline))
static int push_older_transcript_item(struct call *call, const struct berth_transcript_item *pushed)
{
	struct berth_transcript_item copy;

	WIRE_COPY_IN(&copy, pushed);
	return push_transcript_item(call, &copy);
}

static int sink_transcript_item(struct berth_call *base, const struct berth_transcript_item *pushed)
{
	struct call *call = (struct call *)base;

	if (!expected(call, PUSH_TRANSCRIPT_ITEM, pushed, "a transcript item"))
		return 0;
	return pushed->size < sizeof *pushed ? push_older_transcript_item(call, pushed) : push_transcript_item(call, pushed);
}

static int sink_event(struct berth_call *base, const struct berth_event *pushed)
{
	struct call *call = (struct call *)base;
	struct berth_event copy;

	if (!expected(call, PUSH_EVENT, pushed, "an event"))
		return 0;
	if (is_full(call))
		return 1;
	pushed = WIRE_VIEW(&copy, pushed);
	keep_item(call, &wire_event_shape, pushed, "event");
	return is_full(call);
}

static int sink_connect_point(struct berth_call *base, const struct berth_connect_point *pushed)
{
	struct call *call = (struct call *)base;
	struct berth_connect_point copy;

	if (!expected(call, PUSH_CONNECT_POINT, pushed, "a connect point"))
		return 0;
	pushed = WIRE_VIEW(&copy, pushed);
	keep_item(call, &wire_connect_point_shape, pushed, "connect point");
	return 0;
}

static int sink_diagnostic(struct berth_call *base, const struct berth_diagnostic *pushed)
{
	struct call *call = (struct call *)base;
	struct error why;

	if (!pushed)
		return refuse(call, "a diagnostic that is NULL");
	if (!diagnostics_push(call->diagnostics, pushed, &why))
		refuse(call, "%s", why.text);
	return 0;
}

__attribute__((format(printf, 3, 4)))
static int sink_fail(struct berth_call *base, int error, const char *format, ...)
{
	struct call *call = (struct call *)base;
	va_list args;

	va_start(args, format);
	vsnprintf(call->failure->text, sizeof call->failure->text, format, args);
	va_end(args);
	return error;
}

static int sink_cancelled(struct berth_call *base)
{
	return base->deadline_ns != 0 && services_monotonic_ns() >= base->deadline_ns;
}

static const struct berth_sink sink = {
	.size = sizeof sink,
	.runtime = sink_runtime,
	.host = sink_host,
	.worker = sink_worker,
	.answer = sink_answer,
	.evidence = sink_evidence,
	.transcript_item = sink_transcript_item,
	.connect_point = sink_connect_point,
	.diagnostic = sink_diagnostic,
	.fail = sink_fail,
	.cancelled = sink_cancelled,
	.event = sink_event,
};

/* ---- The call ---- */

#define INVOKE(member, kind) (ops->member ? ops->member(state, &call->base, &call->request->kind) : BERTH_DEFAULT)

static int invoke(struct call *call)
{
	const struct berth_adapter *ops = &call->instance->adapter->ops;
	void *state = call->instance->state;

	switch (call->operation) {
	case OPERATION_OPEN:
		return ops->open(&call->instance->state, &call->base, &call->request->open);
	case OPERATION_RUNTIME:
		return INVOKE(runtime, list);
	case OPERATION_LIST_HOSTS:
		return INVOKE(list_hosts, list);
	case OPERATION_LIST_WORKERS:
		return INVOKE(list_workers, list);
	case OPERATION_WORKER:
		return INVOKE(worker, worker);
	case OPERATION_SPAWN_WORKER:
		return INVOKE(spawn_worker, spawn);
	case OPERATION_STOP_WORKER:
		return INVOKE(stop_worker, stop);
	case OPERATION_SEND_INPUT:
		return INVOKE(send_input, input);
	case OPERATION_TRANSCRIPT:
		return INVOKE(transcript, transcript);
	case OPERATION_CONNECT_POINTS:
		return INVOKE(connect_points, worker);
	case OPERATION_READ_EVENTS:
		return INVOKE(read_events, events);
	case N_OPERATIONS:
		break;
	}
	return -ENOSYS;
}

/* What the outcome lacks although the adapter says that it is done; NULL if nothing. */
static const char *missing(const struct call *call)
{
	unsigned pushes = operations[call->operation].pushes;

	if (pushes & PUSH_ANSWER && !call->answered)
		return "no answer";
	if (pushes & PUSH_RUNTIME && call->n_pushed == 0)
		return "no runtime";
	if (pushes & PUSH_EVIDENCE && call->answer.state == BERTH_ACCEPTED && call->n_pushed == 0)
		return "no worker";
	return NULL;
}

static enum call_result judge(struct call *call)
{
	int rc = call->returned;

	if (rc == -ENOENT && operations[call->operation].of_worker)
		return CALL_UNKNOWN;
	if (rc == BERTH_DEFAULT && call->operation != OPERATION_OPEN && call->n_pushed == 0 && !call->answered &&
	    call->n_refused == 0)
		return CALL_DEFAULT;
	if (rc < 0 || rc > 1) {
		if (!*call->failure->text)
			error_set(call->failure, 0, "it returned %d (%s)", rc, rc < 0 && rc > -4096 ? strerror(-rc) : "no errno");
	} else if (call->n_refused > 0) {
		error_set(call->failure, 0, "it broke the contract of adapters %u times, first: %s",
			  call->n_refused, call->refusal->text);
	} else if (missing(call)) {
		error_set(call->failure, 0, "it pushed %s", missing(call));
	} else {
		return CALL_DONE;
	}
	if (call->operation != OPERATION_OPEN)
		log_write(BERTH_LOG_WARNING, call->instance->name, "%s: %s", operation_name(call->operation),
			  call->failure->text);
	return CALL_FAILED;
}

/* Whether a lock can be had in no time. Who has it may be through in a microsecond, or may only have had to give way to
 * this thread. */
static bool lock_soon(pthread_mutex_t *lock)
{
	for (int i = 0; i < YIELDS; i++) {
		if (pthread_mutex_trylock(lock) == 0)
			return true;
		sched_yield();
	}
	return false;
}

/* False where somebody else is in the adapter, or another process has to answer, and this call is not to wait for that. */
static bool enter(struct call *call)
{
	pthread_mutex_t *lock = call->instance->lock;

	if (call->would_waitp && call->instance->is_apart) {
		*call->would_waitp = true;
		return false;
	}
	if (!lock || (call->would_waitp && lock_soon(lock)))
		return true;
	if (call->would_waitp)
		*call->would_waitp = true;
	else
		pthread_mutex_lock(lock);
	return !call->would_waitp;
}

enum call_result call_run(struct call *call, struct error *failure)
{
	struct instance *instance = call->instance;
	struct error refusal, unheard;
	enum call_result result;

	/* Only the beginning of a text has to be there, and zeroing all of it is dear. */
	/* cppcheck-suppress autoVariables ; nobody looks there once this has returned */
	call->refusal = &refusal;
	/* cppcheck-suppress uninitvar ; its text begins with the next line */
	call->failure = failure ? failure : &unheard;
	*call->failure->text = '\0';
	call->base.size = sizeof call->base;
	call->base.services = &instance->services.base;
	call->base.sink = &sink;
	call->n_asked = asked(call);
	call->may_push = may_push(call);
	if (!enter(call))
		return CALL_FAILED;
	call->returned = invoke(call);
	if (instance->lock)
		pthread_mutex_unlock(instance->lock);
	result = judge(call);
	atomic_fetch_add_explicit(&instance->n_calls[call->operation], 1, memory_order_relaxed);
	if (result == CALL_FAILED)
		atomic_fetch_add_explicit(&instance->n_failed[call->operation], 1, memory_order_relaxed);
	return result;
}

void call_fini(struct call *call)
{
	buffer_fini(&call->evidence);
}
