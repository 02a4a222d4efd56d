/* SPDX-License-Identifier: MIT */
/*
 * The adapter of other processes. With a command it speaks the batch protocol with a
 * program; for the key isolate of a drop-in it speaks in frames with a child of our own
 * that runs the plugin of another adapter. Either way the answer of the child is pushed
 * as if its adapter were here.
 */
#include "config.h"

#include <berth/adapter.h>
#include <stdio.h>
#include <stdlib.h>

#include "answers.h"
#include "lanes.h"
#include "lines.h"
#include "requests.h"
#include "wishes.h"

struct process {
	const struct berth_services *services;
	struct child *child;
	struct lines *lines; /* or */
	struct lanes *lanes;
	uint64_t call_ns;
	char wanted[BERTH_ID_MAX + 1];
	char label[64], own_id[BERTH_ID_MAX + 1];
	pthread_mutex_t lock;
	struct far_runtime far; /* as the last hello has it */
};

/* ---- What cannot be asked ---- */

#define DIAGNOSTIC(code) BERTH_TEXT(code)

static const struct berth_text codes[] = {
	[TROUBLE_TIMEOUT] = DIAGNOSTIC("adapter_timeout"),
	[TROUBLE_CRASHED] = DIAGNOSTIC("adapter_crashed"),
	[TROUBLE_QUARANTINED] = DIAGNOSTIC("adapter_quarantined"),
	[TROUBLE_BROKEN] = DIAGNOSTIC("adapter_broken"),
};

static const char *const operation_names[N_FRAME_OPERATIONS] = {
	[FRAME_OPEN] = "open",
	[FRAME_RUNTIME] = "runtime",
	[FRAME_LIST_HOSTS] = "list_hosts",
	[FRAME_LIST_WORKERS] = "list_workers",
	[FRAME_WORKER] = "worker",
	[FRAME_SPAWN_WORKER] = "spawn_worker",
	[FRAME_STOP_WORKER] = "stop_worker",
	[FRAME_SEND_INPUT] = "send_input",
	[FRAME_TRANSCRIPT] = "transcript",
	[FRAME_CONNECT_POINTS] = "connect_points",
	[FRAME_READ_EVENTS] = "read_events",
};

/* Those that change something, so that it matters whether they were carried out. */
static bool changes(enum frame_operation operation)
{
	return operation == FRAME_SPAWN_WORKER || operation == FRAME_STOP_WORKER || operation == FRAME_SEND_INPUT;
}

/* Those that may say that there is no such worker. */
static bool is_of_worker(enum frame_operation operation)
{
	return operation == FRAME_WORKER || (operation > FRAME_SPAWN_WORKER && operation < FRAME_READ_EVENTS);
}

static bool has_answer(enum frame_operation operation)
{
	return changes(operation) || operation == FRAME_TRANSCRIPT || operation == FRAME_READ_EVENTS;
}

/* Whether a program that does not know a request is a program without that operation, which
 * berth then answers for; what it declares it is to know. */
static bool may_be_left_out(enum frame_operation operation, uint64_t can)
{
	static const uint64_t declared_by[N_FRAME_OPERATIONS] = {
		[FRAME_LIST_HOSTS] = BERTH_CAN_LIST_HOSTS,
		[FRAME_LIST_WORKERS] = BERTH_CAN_LIST_WORKERS,
		[FRAME_WORKER] = BERTH_CAN_GET_WORKER,
		[FRAME_SPAWN_WORKER] = BERTH_CAN_SPAWN_WORKER,
		[FRAME_STOP_WORKER] = BERTH_CAN_STOP_WORKER,
		[FRAME_SEND_INPUT] = BERTH_CAN_ACCEPT_INPUT,
		[FRAME_TRANSCRIPT] = BERTH_CAN_READ_BOUNDED_TRANSCRIPT,
		[FRAME_READ_EVENTS] = BERTH_CAN_STREAM_EVENTS,
	};

	return operation != FRAME_RUNTIME && !(can & declared_by[operation]);
}

/* The runtime as it opened, or, of a program, what is known before it has said anything. */
static void known_runtime(const struct process *process, struct frame_room *room, struct berth_runtime *runtime)
{
	struct lane_answer opening;
	uint32_t kind;

	if (process->lanes && lanes_opening(process->lanes, &opening) &&
	    frame_take(&opening.pushes, &kind, sizeof kind) && kind == FRAME_KIND_RUNTIME &&
	    frame_read(&opening.pushes, FRAME_KIND_RUNTIME, runtime, room))
		return;
	*runtime = (struct berth_runtime){
		.size = sizeof *runtime,
		.label = berth_text(process->label),
		.kind = BERTH_TEXT("process"),
		.source_kind = BERTH_TEXT("process"),
		.source_status = BERTH_TEXT("active"),
		.source_note = BERTH_TEXT("what another process presents"),
	};
}

static int push_unavailable(const struct process *process, struct berth_call *call,
			    const struct berth_diagnostic *diagnostic)
{
	static const struct berth_text unavailable = BERTH_TEXT("unavailable");
	struct berth_runtime runtime;
	struct frame_room room;

	known_runtime(process, &room, &runtime);
	if (process->lines)
		runtime.runtime_id = berth_text(process->own_id);
	runtime.status = unavailable;
	runtime.can = 0;
	runtime.diagnostics = diagnostic;
	runtime.n_diagnostics = diagnostic != NULL;
	return call->sink->runtime(call, &runtime);
}

/* Answers in the place of the child: why it did not, and what is not known for that. */
static int answer_trouble(const struct process *process, struct berth_call *call, enum frame_operation operation,
			  const struct trouble *trouble)
{
	const struct berth_answer rejected = { .size = sizeof rejected, .state = BERTH_REJECTED };
	struct berth_diagnostic diagnostic = {
		.size = sizeof diagnostic,
		.code = codes[trouble->kind == TROUBLE_NONE ? TROUBLE_BROKEN : trouble->kind],
		.severity = BERTH_ERROR,
	};
	char text[512];

	snprintf(text, sizeof text, "%s: %s%s", operation_names[operation], trouble->text,
		 !changes(operation) ? "" :
		 trouble->sent ? "; whether the request was carried out is not known, and it is not sent again" :
				 "; the request was not sent");
	diagnostic.message = berth_text(text);
	if (operation == FRAME_RUNTIME)
		return push_unavailable(process, call, &diagnostic);
	/* A worker that cannot be looked up is unknown, but the log has to say why. */
	if (operation == FRAME_WORKER)
		return call->sink->fail(call, -EIO, "%s", trouble->text);
	if (has_answer(operation))
		call->sink->answer(call, &rejected);
	call->sink->diagnostic(call, &diagnostic);
	return 0;
}

/* ---- In frames ---- */

union pushed {
	struct berth_runtime runtime;
	struct berth_host host;
	struct berth_worker worker;
	struct berth_answer answer;
	struct berth_evidence evidence;
	struct berth_transcript_item item;
	struct berth_connect_point point;
	struct berth_diagnostic diagnostic;
	struct frame_failure failure;
	struct berth_event event;
};

static int push_one(struct berth_call *call, enum frame_kind kind, const union pushed *pushed, int returned)
{
	const struct berth_sink *sink = call->sink;

	switch (kind) {
	case FRAME_KIND_RUNTIME:
		return sink->runtime(call, &pushed->runtime);
	case FRAME_KIND_HOST:
		return sink->host(call, &pushed->host);
	case FRAME_KIND_WORKER:
		return sink->worker(call, &pushed->worker);
	case FRAME_KIND_ANSWER:
		return sink->answer(call, &pushed->answer);
	case FRAME_KIND_EVIDENCE:
		return sink->evidence(call, &pushed->evidence);
	case FRAME_KIND_TRANSCRIPT_ITEM:
		return sink->transcript_item(call, &pushed->item);
	case FRAME_KIND_CONNECT_POINT:
		return sink->connect_point(call, &pushed->point);
	case FRAME_KIND_EVENT:
		return sink->event(call, &pushed->event);
	case FRAME_KIND_DIAGNOSTIC:
		return sink->diagnostic(call, &pushed->diagnostic);
	case FRAME_KIND_FAILURE:
		sink->fail(call, returned, "%.*s", (int)pushed->failure.text.len, pushed->failure.text.ptr);
		return 0;
	default:
		return 0;
	}
}

/* Pushes what the adapter in the child has pushed, and returns what it has returned. */
static int replay(struct berth_call *call, struct lane_answer *answer)
{
	struct frame_reader *r = &answer->pushes;
	struct frame_room room;
	union pushed pushed;
	uint32_t kind, before = N_FRAME_PUSHES;

	/* All is pushed, also after the sink had enough: an adapter would go on, too. */
	while (r->p < r->end && frame_take(r, &kind, sizeof kind)) {
		bool next = kind == before;

		/* cppcheck-suppress uninitvar ; it is filled in there */
		if (kind >= N_FRAME_PUSHES || !(next ? frame_read_next : frame_read)(r, (enum frame_kind)kind, &pushed, &room))
			return call->sink->fail(call, -EPROTO, "the process answered with what is no push");
		before = kind;
		push_one(call, (enum frame_kind)kind, &pushed, answer->returned);
	}
	return r->failed ? call->sink->fail(call, -EPROTO, "the process answered with half a push") : answer->returned;
}

static int ask_in_frames(struct process *process, struct berth_call *call, enum frame_operation operation,
			 const void *request)
{
	struct trouble trouble = { .kind = TROUBLE_NONE };
	struct lane_answer answer;
	int rc;

	if (lanes_ask(process->lanes, operation, request, call->deadline_ns, &answer, &trouble) < 0)
		return answer_trouble(process, call, operation, &trouble);
	rc = replay(call, &answer);
	lanes_give_back(process->lanes, &answer);
	return rc;
}

/* ---- In lines ---- */

enum { LIMIT_OF_SEVERAL = 65536 }; /* a list has those of all runtimes in it */

static void write_request(struct bytes *out, const struct far_runtime *far, enum frame_operation operation,
			  const void *request)
{
	const struct berth_list_request *list = request;
	const struct berth_worker_request *worker = request;
	const struct berth_text id = berth_text(far->id);
	uint64_t several = LIMIT_OF_SEVERAL;

	switch (operation) {
	case FRAME_RUNTIME:
		request_list(out, "list_runtimes", list->limit > far->index ? list->limit : far->index + 1);
		return;
	case FRAME_LIST_HOSTS:
	case FRAME_LIST_WORKERS:
		if (far->alone || list->limit > several)
			several = list->limit;
		request_list(out, operation_names[operation], several);
		return;
	case FRAME_WORKER:
	case FRAME_CONNECT_POINTS:
		request_worker(out, operation_names[operation], id, worker->worker_id);
		return;
	case FRAME_SPAWN_WORKER:
		request_spawn(out, id, request);
		return;
	case FRAME_STOP_WORKER:
		request_stop(out, id, request);
		return;
	case FRAME_SEND_INPUT:
		request_input(out, id, request);
		return;
	case FRAME_TRANSCRIPT:
		request_transcript(out, id, request);
		return;
	case FRAME_READ_EVENTS:
		request_events(out, id, request);
		return;
	case FRAME_OPEN:
	case N_FRAME_OPERATIONS:
		return;
	}
}

static uint64_t wanted(enum frame_operation operation, const void *request)
{
	switch (operation) {
	case FRAME_LIST_HOSTS:
	case FRAME_LIST_WORKERS:
		return ((const struct berth_list_request *)request)->limit;
	case FRAME_TRANSCRIPT:
		return ((const struct berth_transcript_request *)request)->limit;
	case FRAME_READ_EVENTS:
		return ((const struct berth_events_request *)request)->limit;
	default:
		return UINT64_MAX;
	}
}

static int (*const answers[N_FRAME_OPERATIONS])(struct berth_call *call, const struct far_runtime *far,
						struct bytes *answer) = {
	[FRAME_RUNTIME] = answer_runtime,
	[FRAME_LIST_HOSTS] = answer_hosts,
	[FRAME_LIST_WORKERS] = answer_workers,
	[FRAME_WORKER] = answer_worker,
	[FRAME_SPAWN_WORKER] = answer_spawn,
	[FRAME_STOP_WORKER] = answer_stop,
	[FRAME_SEND_INPUT] = answer_input,
	[FRAME_TRANSCRIPT] = answer_transcript,
	[FRAME_CONNECT_POINTS] = answer_connect_points,
	[FRAME_READ_EVENTS] = answer_events,
};

static int greeted(void *data, struct berth_text answer, struct trouble *trouble)
{
	struct process *process = data;
	struct far_runtime far = process->far;

	if (answer_hello(answer, process->wanted, &far, trouble) < 0)
		return -1;
	pthread_mutex_lock(&process->lock);
	process->far = far;
	pthread_mutex_unlock(&process->lock);
	return 0;
}

static int ask_in_lines(struct process *process, struct berth_call *call, enum frame_operation operation,
			const void *request)
{
	struct trouble trouble = { .kind = TROUBLE_NONE };
	struct bytes rest = { .data = NULL }, answer = { .data = NULL };
	struct far_runtime far;
	int rc = -1;

	/* What is there is known once it has greeted. */
	if (child_ready(process->child, call->deadline_ns, &trouble)) {
		pthread_mutex_lock(&process->lock);
		far = process->far;
		pthread_mutex_unlock(&process->lock);
		far.wanted = wanted(operation, request);
		write_request(&rest, &far, operation, request);
		rc = lines_ask(process->lines, &rest, process->call_ns, call->deadline_ns, &answer, &trouble);
	}
	if (rc < 0) {
		rc = answer_trouble(process, call, operation, &trouble);
	} else {
		rc = answers[operation](call, &far, &answer);
		if (rc == -ENOSYS && may_be_left_out(operation, far.can))
			rc = BERTH_DEFAULT;
		if (rc == -ENOENT && !is_of_worker(operation))
			rc = call->sink->fail(call, -EPROTO, "the process answered with the error unknown_worker");
		lines_drop(process->lines, &answer);
	}
	bytes_fini(&rest);
	return rc;
}

static int ask(void *instance, struct berth_call *call, enum frame_operation operation, const void *request)
{
	struct process *process = instance;

	return process->lanes ? ask_in_frames(process, call, operation, request) :
				ask_in_lines(process, call, operation, request);
}

/* ---- Opening ---- */

static void process_close(void *instance)
{
	struct process *process = instance;

	if (process->child)
		child_free(process->child);
	if (process->lines)
		lines_free(process->lines);
	if (process->lanes)
		lanes_free(process->lanes);
	pthread_mutex_destroy(&process->lock);
	free(process);
}

/* 64 bits that tell configurations apart, as FNV-1a has them. */
static uint64_t digest(uint64_t so_far, struct berth_text text)
{
	for (size_t i = 0; i < text.len; i++)
		so_far = (so_far ^ (unsigned char)text.ptr[i]) * UINT64_C(0x100000001b3);
	return (so_far ^ text.len) * UINT64_C(0x100000001b3);
}

/* What tells the child from those of other instances, and of another configuration, also
 * once this one is closed. inner: the request of what is isolated. */
static void name_child(char name[], size_t size, const struct berth_open_request *request, struct berth_text runtime_id,
		       struct berth_text inner)
{
	uint64_t sum = digest(UINT64_C(0xcbf29ce484222325), inner);

	for (size_t i = 0; i < N_WISHES; i++)
		if (i != WISH_ISOLATED && i != WISH_STANDING)
			sum = digest(sum, request->options[i].text);
	snprintf(name, size, "%.*s %016llx", (int)runtime_id.len, runtime_id.ptr ? runtime_id.ptr : "",
		 (unsigned long long)sum);
}

static int start_child(struct process *process, struct berth_call *call, struct wishes *wishes, const char *name)
{
	struct child_settings settings = {
		.services = call->services,
		.start_ns = wishes->start_ns,
		.stop_ns = wishes->stop_ns,
		.hang_ns = wishes->hang_ns,
		.deaths = wishes->deaths,
		.awaited = process->lanes != NULL,
		.name = name,
		.standing = wishes->standing,
	};
	char text[400];
	struct launch *launch = launch_new(&wishes->launch, text, sizeof text);

	if (launch && *text)
		call->services->log(call->services, BERTH_LOG_WARNING, "%s", text);
	if (!launch)
		return call->sink->fail(call, -EINVAL, "%s", text);
	process->child = child_new(&settings, launch, process->lanes ? &lanes_speech : &lines_speech,
				   process->lanes ? (void *)process->lanes : (void *)process->lines);
	return process->child ? 0 : call->sink->fail(call, -ENOMEM, "no memory or thread for a process");
}

/* The isolated adapter opens in the child, which is waited for: what it is, it alone knows. */
static int open_isolated(struct process *process, struct berth_call *call, struct wishes *wishes,
			 const struct berth_open_request *request)
{
	struct frame_reader r = { .p = wishes->isolated.ptr, .end = wishes->isolated.ptr + wishes->isolated.len };
	struct trouble trouble = { .kind = TROUBLE_NONE };
	struct lane_answer opening;
	struct frame_start start;
	char *program, name[BERTH_ID_MAX + 40];
	int rc;

	if (!frame_read(&r, FRAME_KIND_START, &start, NULL) || !start.program.ptr)
		return call->sink->fail(call, -EINVAL, "option isolated: it is for the key isolate alone");
	program = strndup(start.program.ptr, start.program.len);
	process->lanes = lanes_new(call->services, wishes->isolated, &start, wishes->call_ns);
	if (!program || !process->lanes) {
		free(program);
		return call->sink->fail(call, -ENOMEM, "no memory");
	}
	snprintf(process->label, sizeof process->label, "%.*s", (int)start.id.len, start.id.ptr);
	wishes->launch.command = (const char *const[]){ program, FRAME_ARGUMENT, NULL };
	wishes->launch.plugin_fd = start.fd == FRAME_LINKED_IN ? -1 : (int)start.fd;
	name_child(name, sizeof name, request, request->runtime_id.ptr ? request->runtime_id : start.id,
		   (struct berth_text){ r.p, (size_t)(r.end - r.p) });
	rc = start_child(process, call, wishes, name);
	wishes->launch.command = NULL;
	free(program);
	if (rc < 0)
		return rc;
	lanes_set_child(process->lanes, process->child);
	child_ready(process->child, 0, &trouble);
	if (!lanes_opening(process->lanes, &opening))
		return call->sink->fail(call, -EIO, "%s", trouble.text);
	return replay(call, &opening);
}

/* A program opens at once, and is presented as unavailable until it has said what it has. */
static int open_command(struct process *process, struct berth_call *call, struct wishes *wishes,
			const struct berth_open_request *request)
{
	static const struct berth_text default_id = BERTH_TEXT("process-worker-runtime"), none = { NULL, 0 };
	const struct berth_text id = request->runtime_id.ptr ? request->runtime_id :
				     *wishes->runtime	     ? berth_text(wishes->runtime) :
							       default_id;
	const char *base = strrchr(wishes->command[0], '/');
	char name[BERTH_ID_MAX + 40];
	int rc;

	snprintf(process->wanted, sizeof process->wanted, "%s", wishes->runtime);
	snprintf(process->own_id, sizeof process->own_id, "%.*s", (int)id.len, id.ptr);
	memcpy(process->far.own_id, process->own_id, sizeof process->own_id);
	snprintf(process->label, sizeof process->label, "%s", base ? base + 1 : wishes->command[0]);
	process->lines = lines_new(call->services, greeted, process);
	if (!process->lines)
		return call->sink->fail(call, -ENOMEM, "no memory");
	name_child(name, sizeof name, request, id, none);
	rc = start_child(process, call, wishes, name);
	if (rc < 0)
		return rc;
	lines_set_child(process->lines, process->child);
	return push_unavailable(process, call, NULL);
}

static int process_open(void **instance, struct berth_call *call, const struct berth_open_request *request)
{
	struct process *process = calloc(1, sizeof *process);
	struct wishes wishes = { .launch = { .command = NULL } };
	int rc;

	if (!process)
		return call->sink->fail(call, -ENOMEM, "no memory for a process");
	pthread_mutex_init(&process->lock, NULL);
	process->services = call->services;
	rc = wishes_read(&wishes, call, request);
	if (rc == 0) {
		process->call_ns = wishes.call_ns;
		rc = wishes.isolated.ptr ? open_isolated(process, call, &wishes, request) :
					   open_command(process, call, &wishes, request);
	}
	wishes_fini(&wishes);
	if (rc < 0 || rc > 1)
		process_close(process);
	else
		*instance = process;
	return rc;
}

static int process_runtime(void *instance, struct berth_call *call, const struct berth_list_request *request)
{
	return ask(instance, call, FRAME_RUNTIME, request);
}

static int process_list_hosts(void *instance, struct berth_call *call, const struct berth_list_request *request)
{
	return ask(instance, call, FRAME_LIST_HOSTS, request);
}

static int process_list_workers(void *instance, struct berth_call *call, const struct berth_list_request *request)
{
	return ask(instance, call, FRAME_LIST_WORKERS, request);
}

static int process_worker(void *instance, struct berth_call *call, const struct berth_worker_request *request)
{
	return ask(instance, call, FRAME_WORKER, request);
}

static int process_spawn_worker(void *instance, struct berth_call *call, const struct berth_spawn_request *request)
{
	return ask(instance, call, FRAME_SPAWN_WORKER, request);
}

static int process_stop_worker(void *instance, struct berth_call *call, const struct berth_stop_request *request)
{
	return ask(instance, call, FRAME_STOP_WORKER, request);
}

static int process_send_input(void *instance, struct berth_call *call, const struct berth_input_request *request)
{
	return ask(instance, call, FRAME_SEND_INPUT, request);
}

static int process_transcript(void *instance, struct berth_call *call, const struct berth_transcript_request *request)
{
	return ask(instance, call, FRAME_TRANSCRIPT, request);
}

static int process_connect_points(void *instance, struct berth_call *call, const struct berth_worker_request *request)
{
	return ask(instance, call, FRAME_CONNECT_POINTS, request);
}

static int process_read_events(void *instance, struct berth_call *call, const struct berth_events_request *request)
{
	return ask(instance, call, FRAME_READ_EVENTS, request);
}

static const struct berth_adapter process_adapter = {
	.size = sizeof process_adapter,
	.open = process_open,
	.close = process_close,
	.runtime = process_runtime,
	.list_hosts = process_list_hosts,
	.list_workers = process_list_workers,
	.worker = process_worker,
	.spawn_worker = process_spawn_worker,
	.stop_worker = process_stop_worker,
	.send_input = process_send_input,
	.transcript = process_transcript,
	.connect_points = process_connect_points,
	.read_events = process_read_events,
};

BERTH_ADAPTER(process, "process", PACKAGE_VERSION, BERTH_THREADS_ANY, WISH_OPTIONS, &process_adapter);
