/* SPDX-License-Identifier: MIT */
/*
 * The process of an isolated instance knows no configuration and no registry: it links
 * one plugin, opens one instance, and passes on what that pushes, as it is. To judge it
 * is for the host, which does so as if the plugin were there.
 */
#include "config.h"

#include "core/isolated.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "core/buffer.h"
#include "core/cleanup.h"
#include "core/loader.h"
#include "core/services.h"
#include "core/wire.h"
#include "inline/channel.h"

struct isolated {
	struct services services;
	int lowest; /* that is logged */
	struct loader loader;
	struct adapter *adapter;
	void *state;
};

/* A call, and what has been pushed by it: the answer. */
struct record {
	struct berth_call base;
	struct buffer answer;
	struct frame_before before; /* what was pushed last, in the answer */
	enum frame_operation operation;
	uint64_t asked, n_pushed; /* items */
};

/* One thread with its socket. */
struct lane {
	struct isolated *isolated;
	pthread_t thread;
	struct channel channel;
	struct packet packet;
	struct record record;
	struct frame_room room;
	union {
		unsigned char room[256]; /* zero behind our requests, as in core/call.h */
		struct berth_open_request open;
		struct berth_list_request list;
		struct berth_worker_request worker;
		struct berth_spawn_request spawn;
		struct berth_stop_request stop;
		struct berth_input_request input;
		struct berth_transcript_request transcript;
		struct berth_events_request events;
	} request;
};

/* ---- The sink ---- */

static inline __attribute__((always_inline)) void append_as(struct record *record, enum frame_kind kind, const void *object)
{
	const uint32_t mark = kind;
	struct buffer *answer = &record->answer;
	size_t size = sizeof mark + frame_measure(kind, object, answer->data, &record->before);
	char *to = buffer_reserve(answer, size);

	if (!to)
		return;
	frame_write(frame_put(to, &mark, sizeof mark), kind, object, answer->data, &record->before);
	answer->len += size;
}

static void append(struct record *record, enum frame_kind kind, const void *object)
{
	/* There are many of them. */
	if (kind == FRAME_KIND_WORKER)
		append_as(record, FRAME_KIND_WORKER, object);
	else
		append_as(record, kind, object);
}

/* Appends what was pushed, of the version that the plugin was built against. A NULL crosses as a struct without
 * anything, which is refused just as well. */
#define APPEND(record, kind, type, pushed)                                                  \
	do {                                                                                \
		static const struct type nothing_ = { .size = sizeof nothing_ };            \
		struct type copy_;                                                          \
		append(record, kind, (pushed) ? WIRE_VIEW(&copy_, pushed) : &nothing_);     \
	} while (0)

/* Items beyond those that were asked for are dropped, and the adapter is told so. */
static bool is_full(const struct record *record)
{
	return record->n_pushed >= record->asked;
}

static int sink_runtime(struct berth_call *call, const struct berth_runtime *pushed)
{
	APPEND((struct record *)call, FRAME_KIND_RUNTIME, berth_runtime, pushed);
	return 1;
}

static int sink_host(struct berth_call *call, const struct berth_host *pushed)
{
	struct record *record = (struct record *)call;

	if (is_full(record))
		return 1;
	record->n_pushed++;
	APPEND(record, FRAME_KIND_HOST, berth_host, pushed);
	return is_full(record);
}

static int sink_worker(struct berth_call *call, const struct berth_worker *pushed)
{
	struct record *record = (struct record *)call;

	if (is_full(record))
		return 1;
	record->n_pushed++;
	APPEND(record, FRAME_KIND_WORKER, berth_worker, pushed);
	return record->operation != FRAME_SPAWN_WORKER && is_full(record);
}

static int sink_answer(struct berth_call *call, const struct berth_answer *pushed)
{
	APPEND((struct record *)call, FRAME_KIND_ANSWER, berth_answer, pushed);
	return 0;
}

static int sink_evidence(struct berth_call *call, const struct berth_evidence *pushed)
{
	APPEND((struct record *)call, FRAME_KIND_EVIDENCE, berth_evidence, pushed);
	return 0;
}

static int sink_transcript_item(struct berth_call *call, const struct berth_transcript_item *pushed)
{
	struct record *record = (struct record *)call;

	if (is_full(record))
		return 1;
	record->n_pushed++;
	APPEND(record, FRAME_KIND_TRANSCRIPT_ITEM, berth_transcript_item, pushed);
	return is_full(record);
}

static int sink_event(struct berth_call *call, const struct berth_event *pushed)
{
	struct record *record = (struct record *)call;

	if (is_full(record))
		return 1;
	record->n_pushed++;
	APPEND(record, FRAME_KIND_EVENT, berth_event, pushed);
	return is_full(record);
}

static int sink_connect_point(struct berth_call *call, const struct berth_connect_point *pushed)
{
	APPEND((struct record *)call, FRAME_KIND_CONNECT_POINT, berth_connect_point, pushed);
	return 0;
}

static int sink_diagnostic(struct berth_call *call, const struct berth_diagnostic *pushed)
{
	APPEND((struct record *)call, FRAME_KIND_DIAGNOSTIC, berth_diagnostic, pushed);
	return 0;
}

__attribute__((format(printf, 2, 0)))
static void append_failure(struct record *record, const char *format, va_list args)
{
	struct error text;
	struct frame_failure failure = { .size = sizeof failure };

	vsnprintf(text.text, sizeof text.text, format, args);
	failure.text = berth_text(text.text);
	append(record, FRAME_KIND_FAILURE, &failure);
}

__attribute__((format(printf, 3, 4)))
static int sink_fail(struct berth_call *call, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	append_failure((struct record *)call, format, args);
	va_end(args);
	return error;
}

static int sink_cancelled(struct berth_call *call)
{
	return call->deadline_ns != 0 && services_monotonic_ns() >= call->deadline_ns;
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

/* ---- The log: lines on standard error with their urgency, for the host's log ---- */

__attribute__((format(printf, 3, 4)))
static void service_log(const struct berth_services *services, int level, const char *format, ...)
{
	static const char marks[] = { [BERTH_LOG_DEBUG] = '7', [BERTH_LOG_INFO] = '6', [BERTH_LOG_WARNING] = '4',
				      [BERTH_LOG_ERROR] = '3' };
	const struct isolated *isolated = (const struct isolated *)services;
	char line[1024] = "<4>";
	va_list args;
	size_t len;

	if (level < isolated->lowest)
		return;
	if (level >= BERTH_LOG_DEBUG && level <= BERTH_LOG_ERROR)
		line[1] = marks[level];
	va_start(args, format);
	vsnprintf(line + 3, sizeof line - 4, format, args);
	va_end(args);
	len = strlen(line);
	for (size_t i = 0; i < len; i++)
		if (line[i] == '\n')
			line[i] = '?';
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0)
		return;
}

/* ---- Calls ---- */

#define INVOKE(member, kind) (ops->member ? ops->member(state, &record->base, &lane->request.kind) : BERTH_DEFAULT)

static int invoke(struct lane *lane)
{
	const struct berth_adapter *ops = &lane->isolated->adapter->ops;
	struct record *record = &lane->record;
	void *state = lane->isolated->state;

	switch (record->operation) {
	case FRAME_OPEN:
		return ops->open(&lane->isolated->state, &record->base, &lane->request.open);
	case FRAME_RUNTIME:
		return INVOKE(runtime, list);
	case FRAME_LIST_HOSTS:
		return INVOKE(list_hosts, list);
	case FRAME_LIST_WORKERS:
		return INVOKE(list_workers, list);
	case FRAME_WORKER:
		return INVOKE(worker, worker);
	case FRAME_SPAWN_WORKER:
		return INVOKE(spawn_worker, spawn);
	case FRAME_STOP_WORKER:
		return INVOKE(stop_worker, stop);
	case FRAME_SEND_INPUT:
		return INVOKE(send_input, input);
	case FRAME_TRANSCRIPT:
		return INVOKE(transcript, transcript);
	case FRAME_CONNECT_POINTS:
		return INVOKE(connect_points, worker);
	case FRAME_READ_EVENTS:
		return INVOKE(read_events, events);
	case N_FRAME_OPERATIONS:
		break;
	}
	return -ENOSYS;
}

/* How many items were asked for. */
static uint64_t asked(const struct lane *lane)
{
	switch (lane->record.operation) {
	case FRAME_LIST_HOSTS:
	case FRAME_LIST_WORKERS:
		return lane->request.list.limit;
	case FRAME_TRANSCRIPT:
		return lane->request.transcript.limit;
	case FRAME_READ_EVENTS:
		return lane->request.events.limit;
	default:
		return UINT64_MAX;
	}
}

/* Begins the answer to a question. */
static void begin(struct lane *lane, const struct frame_question *question)
{
	static const struct frame_answer head = { .version = FRAMES_VERSION };
	struct record *record = &lane->record;

	/* Much of it is not kept for the next one. */
	if (record->answer.size > PACKET_MAX)
		buffer_fini(&record->answer);
	buffer_cut(&record->answer, 0);
	buffer_append(&record->answer, &head, sizeof head);
	record->base = (struct berth_call){
		.size = sizeof record->base,
		.services = &lane->isolated->services.base,
		.sink = &sink,
		.deadline_ns = question->deadline_ns,
	};
	record->before = (struct frame_before){ .kind = N_FRAME_KINDS };
	record->operation = (enum frame_operation)question->operation;
	record->n_pushed = 0;
	record->asked = asked(lane);
}

/* The answer to FRAME_OPEN is a packet in any case; no slots are shared before it. */
static int send_answer(struct lane *lane, const char *data, size_t len)
{
	struct channel *channel = &lane->channel;

	return channel->out ? channel_send(channel, data, len, 0) : packet_send(channel->fd, data, len, 0);
}

/* Sends what has been pushed and returned; false where nobody wants it any more. */
static bool finish(struct lane *lane, int returned)
{
	struct buffer *answer = &lane->record.answer;
	struct frame_answer head = { .returned = returned, .version = FRAMES_VERSION };
	int rc = -ENOMEM;

	if (!answer->failed) {
		memcpy(answer->data, &head, sizeof head);
		rc = send_answer(lane, answer->data, answer->len);
	}
	if (rc == 0 || rc == -EPIPE)
		return rc == 0;
	/* There is no memory for it, or no descriptor; then that is the answer. */
	buffer_fini(answer);
	head.returned = rc;
	return send_answer(lane, (const char *)&head, sizeof head) == 0;
}

static bool carry_out(struct lane *lane)
{
	struct frame_reader r = { .p = lane->packet.data, .end = lane->packet.data + lane->packet.len };
	struct frame_question question;
	bool fine;

	memset(&lane->request, 0, sizeof lane->request);
	fine = frame_take(&r, &question, sizeof question) && question.version == FRAMES_VERSION &&
	       question.operation > FRAME_OPEN && question.operation < N_FRAME_OPERATIONS &&
	       frame_read(&r, frame_request_kind((enum frame_operation)question.operation), &lane->request, &lane->room);
	if (fine) {
		begin(lane, &question);
		fine = finish(lane, invoke(lane));
	}
	packet_drop(&lane->packet);
	return fine;
}

static void *serve_lane(void *data)
{
	struct lane *lane = data;

	while (channel_receive(&lane->channel, &lane->packet, 0, true) == 0 && carry_out(lane))
		continue;
	/* Nobody is to wait for an answer here any more. */
	channel_end(&lane->channel);
	return NULL;
}

/* ---- Opening ---- */

__attribute__((format(printf, 2, 3)))
static void note_failure(struct record *record, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	append_failure(record, format, args);
	va_end(args);
}

static int link_adapter(struct isolated *isolated, const struct frame_start *start, struct record *record)
{
	CLEANUP_FREE char *id = strndup(start->id.ptr, start->id.len);
	CLEANUP_FREE char *file = start->file.ptr ? strndup(start->file.ptr, start->file.len) : NULL;
	CLEANUP_FREE char *found = NULL;
	char line[FAILURE_LINE_MAX];
	struct failure failure;
	struct error error;
	int rc = loader_init(&isolated->loader, &error);

	if (rc < 0) {
		note_failure(record, "%s", error.text);
		return rc;
	}
	rc = !id || (start->file.ptr && !file) ? failure_set(&failure, FAILURE_NO_MEMORY, "memory", "none") :
	     file ? loader_link(&isolated->loader, file, FRAME_PLUGIN_FD, &isolated->adapter, &failure) :
		    loader_load(&isolated->loader, id, NULL, &isolated->adapter, &found, &failure);
	if (rc < 0)
		note_failure(record, "%s", failure_line(&failure, line));
	return rc;
}

/* Reads the first question, which names the plugin, and answers how it has opened. */
static bool open_instance(struct isolated *isolated, struct lane *lane, size_t *n_lanesp)
{
	struct frame_reader r;
	struct frame_question question;
	struct frame_start start;
	int returned;

	if (packet_receive(lane->channel.fd, &lane->packet, 0) < 0)
		return false;
	r = (struct frame_reader){ .p = lane->packet.data, .end = lane->packet.data + lane->packet.len };
	if (!frame_take(&r, &question, sizeof question) || question.version != FRAMES_VERSION ||
	    question.operation != FRAME_OPEN || !frame_read(&r, FRAME_KIND_START, &start, NULL) ||
	    !frame_read(&r, FRAME_KIND_OPEN_REQUEST, &lane->request, &lane->room))
		return false;
	*n_lanesp = (size_t)start.lanes;
	isolated->lowest = (int)start.log_level;
	begin(lane, &question);
	returned = link_adapter(isolated, &start, &lane->record);
	if (returned == 0)
		returned = invoke(lane);
	packet_drop(&lane->packet);
	return finish(lane, returned) && (returned == 0 || returned == 1);
}

static struct lane *new_lanes(struct isolated *isolated)
{
	struct lane *lanes = calloc(FRAME_LANES_MAX, sizeof *lanes);

	for (size_t i = 0; lanes && i < FRAME_LANES_MAX; i++) {
		lanes[i].isolated = isolated;
		lanes[i].channel.fd = FRAME_LANE_FD + (int)i;
		/* What the plugin starts is to have none of them. */
		fcntl(lanes[i].channel.fd, F_SETFD, FD_CLOEXEC);
	}
	fcntl(FRAME_PLUGIN_FD, F_SETFD, FD_CLOEXEC);
	return lanes;
}

static void share_slots(struct lane *lanes, struct channel_memory *memory)
{
	for (size_t i = 0; i < FRAME_LANES_MAX; i++) {
		lanes[i].channel.in = &memory->questions[i];
		lanes[i].channel.out = &memory->answers[i];
	}
}

#if !defined __has_feature
#define __has_feature(feature) 0
#endif
#if defined __SANITIZE_ADDRESS__ || __has_feature(address_sanitizer)
/* A search for leaks stops the process as a debugger does, which one that is confined may not. */
__attribute__((visibility("default"))) int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == SECCOMP_MODE_FILTER;
}
#endif

int isolated_serve(void)
{
	struct isolated isolated = { .lowest = BERTH_LOG_WARNING };
	struct channel_memory *memory = channel_map(FRAME_MEMORY_FD);
	struct lane *lanes = new_lanes(&isolated);
	size_t n = 1;

	if (!memory || !lanes)
		return EXIT_FAILURE;
	close(FRAME_MEMORY_FD);
	/* A peer of the plugin that leaves is no reason to end, as in the host. */
	signal(SIGPIPE, SIG_IGN);
	services_init(&isolated.services, NULL);
	isolated.services.base.log = service_log;
	if (open_instance(&isolated, &lanes[0], &n)) {
		share_slots(lanes, memory);
		for (size_t i = 1; i < n && i < FRAME_LANES_MAX; i++)
			if (pthread_create(&lanes[i].thread, NULL, serve_lane, &lanes[i]) != 0)
				return EXIT_FAILURE;
		serve_lane(&lanes[0]);
		for (size_t i = 1; i < n && i < FRAME_LANES_MAX; i++)
			pthread_join(lanes[i].thread, NULL);
		if (isolated.adapter->ops.close)
			isolated.adapter->ops.close(isolated.state);
	} else {
		/* Until it has been read why: an end before that would be a crash. */
		packet_receive(lanes[0].channel.fd, &lanes[0].packet, 0);
	}
	for (size_t i = 0; i < FRAME_LANES_MAX; i++)
		buffer_fini(&lanes[i].record.answer);
	loader_fini(&isolated.loader);
	free(lanes);
	return EXIT_SUCCESS;
}
