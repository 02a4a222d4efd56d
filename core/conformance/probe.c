/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "core/conformance/probe.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/conformance/allocations.h"
#include "core/conformance/check.h"
#include "core/identifier.h"
#include "core/services.h"
#include "core/text.h"

struct probe probe;
static const struct berth_adapter *adapter; /* the one under test */

/* ---- What is seen ---- */

__attribute__((format(printf, 2, 3)))
static void note_fault(enum fault fault, const char *format, ...)
{
	va_list args;

	if (atomic_fetch_add(&probe.n_faults[fault], 1) > 0)
		return;
	va_start(args, format);
	vsnprintf(probe.first[fault], sizeof probe.first[fault], format, args);
	va_end(args);
}

void probe_reset(void)
{
	for (size_t i = 0; i < N_FAULTS; i++)
		probe.n_faults[i] = 0;
	for (size_t i = 0; i < N_OPERATIONS; i++)
		probe.n_calls[i] = 0;
	probe.n_pushed = 0;
	probe.last_returned = 0;
}

void probe_expect_no(enum fault fault)
{
	if (probe.n_faults[fault] > 0)
		check_fail("%s (%u in all)", probe.first[fault], probe.n_faults[fault]);
}

/* ---- Calls and services, as the adapter gets them ---- */

enum { LATER = 64 }; /* bytes by which structs of a later minor are longer */

/* Each object has room for the members of a later minor, which are not zero there. */
struct probe_call {
	struct berth_call base;
	unsigned char later[LATER];
	struct berth_call *real;
	enum operation operation;
	bool stopped; /* no item may come: a push has returned 1, */
	bool unasked; /* or none was asked for */
	unsigned n_diagnostics;
};

struct later_services {
	struct berth_services base;
	unsigned char later[LATER];
};

static struct later_services services;
static const struct berth_services *_Atomic real_services; /* of the latest call: they differ in the log's name alone */

/* The host's own work is not the adapter's: nothing fails or is counted in it. */
#define IN_HOST(statement)                              \
	do {                                            \
		bool was_counting = allocations_count(false); \
		statement;                              \
		allocations_count(was_counting);        \
	} while (0)

static struct berth_text service_generated_id(const struct berth_services *ours, struct berth_text prefix,
					      struct berth_text value, char *buffer, size_t size)
{
	struct berth_text id;

	(void)ours;
	IN_HOST(id = real_services->generated_id(real_services, prefix, value, buffer, size));
	return id;
}

static struct berth_text service_display_hint(const struct berth_services *ours, struct berth_text value, char *buffer,
					      size_t size)
{
	struct berth_text hint;

	(void)ours;
	IN_HOST(hint = real_services->display_hint(real_services, value, buffer, size));
	return hint;
}

__attribute__((format(printf, 3, 4)))
static void service_log(const struct berth_services *ours, int level, const char *format, ...)
{
	char text[1024];
	va_list args;

	(void)ours;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	IN_HOST(real_services->log(real_services, level, "%s", text));
}

static uint64_t service_wall_ns(const struct berth_services *ours)
{
	(void)ours;
	return services_wall_ns();
}

static uint64_t service_monotonic_ns(const struct berth_services *ours)
{
	(void)ours;
	return services_monotonic_ns();
}

/* ---- The sink ---- */

static struct probe_call *of(struct berth_call *call)
{
	return (struct probe_call *)call;
}

/* What the host has refused before a push. It keeps the words of the first alone, so it
 * is made to forget, lest a second one be taken for the first. */
struct refused {
	unsigned n;
	struct error first;
};

static struct refused refused_begin(struct probe_call *call)
{
	struct call *real = (struct call *)call->real;
	struct refused before = { real->n_refused, *real->refusal };

	real->n_refused = 0;
	return before;
}

static void refused_end(struct probe_call *call, const struct refused *before)
{
	struct call *real = (struct call *)call->real;

	if (before->n > 0)
		*real->refusal = before->first;
	real->n_refused += before->n;
}

/* Which rule a refusal by the host stands for. */
static enum fault fault_of(const char *refusal)
{
	static const struct {
		const char *words;
		enum fault fault;
	} known[] = {
		{ "does not belong", FAULT_MISPLACED }, { "comes before", FAULT_MISPLACED },
		{ "a second", FAULT_MISPLACED },	{ "than open has given", FAULT_OTHER },
		{ "than was asked for", FAULT_OTHER },	{ "diagnostic", FAULT_DIAGNOSTIC },
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strstr(refusal, known[i].words))
			return known[i].fault;
	return FAULT_MEMBER;
}

static void judge_push(const struct probe_call *call, bool ids_fit, const char *what)
{
	const struct call *real = (const struct call *)call->real;

	if (!ids_fit)
		note_fault(FAULT_IDENTIFIER, "%s: %s: what should be an identifier is none", operation_name(call->operation), what);
	else if (real->n_refused > 0)
		note_fault(fault_of(real->refusal->text), "%s: %s", operation_name(call->operation), real->refusal->text);
}

static void judge_diagnostics(const struct probe_call *call, size_t n, const char *what)
{
	if (n > BERTH_DIAGNOSTICS_MAX)
		note_fault(FAULT_DIAGNOSTIC, "%s: %s has %zu diagnostics, more than %d", operation_name(call->operation), what, n,
			   BERTH_DIAGNOSTICS_MAX);
}

/* Whether a diagnostic stands for an answer that a program has not given. */
static bool is_trouble(const struct berth_diagnostic *diagnostic)
{
	static const char *const codes[] = { "adapter_timeout", "adapter_crashed", "adapter_quarantined",
					     "adapter_broken" };

	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
		if (text_is(diagnostic->code, codes[i]))
			return true;
	return false;
}

/* Whether it is the reason of the adapter that runs others or speaks with them: a plugin may have reasons of its own,
 * wherever it is run. */
static bool is_of_process(const char *reason)
{
	return !probe.is_isolated || strncmp(reason, "the process ", strlen("the process ")) == 0;
}

/* Where a call may end before it is answered, that the answer is missing says nothing. */
static bool is_awaited(const struct probe_call *call)
{
	return probe.is_apart && call->base.deadline_ns == 0 && !probe.cancelled;
}

static void judge_process(const struct probe_call *call, const struct berth_diagnostic *diagnostics, size_t n)
{
	for (size_t i = 0; is_awaited(call) && i < n; i++)
		if (is_trouble(&diagnostics[i]))
			note_fault(FAULT_PROCESS, "%.*s", (int)diagnostics[i].message.len, diagnostics[i].message.ptr);
}

/* Absent is fine here: whether a member is required is the host's to say. */
static bool id_fits(struct berth_text id)
{
	return !id.ptr || identifier_valid(id);
}

/* Hands a push on; ids_fit: whether the identifiers in it are some. */
#define PUSH(call, what, pushed, ids_fit, statement)                                                              \
	do {                                                                                                      \
		struct refused before = refused_begin(call);                                                      \
		probe.n_pushed++;                                                                                 \
		IN_HOST(statement);                                                                               \
		judge_push(call, !(pushed) || (ids_fit), what);                                                   \
		refused_end(call, &before);                                                                       \
	} while (0)

/* Of items: the one for which the host says that it is enough is the last. */
static int after(struct probe_call *call, int rc, const char *what)
{
	if (call->stopped)
		note_fault(FAULT_LATE, "%s: %s %s", operation_name(call->operation), what,
			   call->unasked ? "where the limit is 0" : "after a push had returned 1");
	if (rc == 1)
		call->stopped = true;
	return rc;
}

#define HAS(pushed, member) \
	((pushed)->size >= offsetof(__typeof__(*(pushed)), member) + sizeof (pushed)->member)

static bool host_ids_fit(const struct berth_runtime *runtime)
{
	if (!HAS(runtime, n_host_ids) || !runtime->host_ids)
		return true;
	for (size_t i = 0; i < runtime->n_host_ids; i++)
		if (!identifier_valid(runtime->host_ids[i]))
			return false;
	return true;
}

static int sink_runtime(struct berth_call *base, const struct berth_runtime *pushed)
{
	struct probe_call *call = of(base);
	int rc;

	if (pushed && HAS(pushed, n_diagnostics))
		judge_diagnostics(call, pushed->n_diagnostics, "the runtime");
	if (probe.is_apart && pushed)
		judge_process(call, pushed->diagnostics, pushed->n_diagnostics);
	PUSH(call, "a runtime", pushed, (!HAS(pushed, runtime_id) || id_fits(pushed->runtime_id)) && host_ids_fit(pushed),
	     rc = call->real->sink->runtime(call->real, pushed));
	return after(call, rc, "a runtime");
}

static int sink_host(struct berth_call *base, const struct berth_host *pushed)
{
	struct probe_call *call = of(base);
	int rc;

	if (pushed && HAS(pushed, n_diagnostics))
		judge_diagnostics(call, pushed->n_diagnostics, "a host");
	PUSH(call, "a host", pushed, !HAS(pushed, host_id) || id_fits(pushed->host_id),
	     rc = call->real->sink->host(call->real, pushed));
	return after(call, rc, "a host");
}

static int sink_worker(struct berth_call *base, const struct berth_worker *pushed)
{
	struct probe_call *call = of(base);
	int rc;

	if (pushed && HAS(pushed, n_diagnostics))
		judge_diagnostics(call, pushed->n_diagnostics, "a worker");
	PUSH(call, "a worker", pushed,
	     !HAS(pushed, host_id) || (id_fits(pushed->worker_id) && id_fits(pushed->runtime_id) && id_fits(pushed->host_id)),
	     rc = call->real->sink->worker(call->real, pushed));
	return after(call, rc, "a worker");
}

static int sink_answer(struct berth_call *base, const struct berth_answer *pushed)
{
	struct probe_call *call = of(base);
	int rc;

	PUSH(call, "an answer", pushed, true, rc = call->real->sink->answer(call->real, pushed));
	return rc;
}

static int sink_evidence(struct berth_call *base, const struct berth_evidence *pushed)
{
	struct probe_call *call = of(base);
	int rc;

	PUSH(call, "evidence", pushed, true, rc = call->real->sink->evidence(call->real, pushed));
	return rc;
}

static int sink_transcript_item(struct berth_call *base, const struct berth_transcript_item *pushed)
{
	struct probe_call *call = of(base);
	int rc;

	PUSH(call, "a transcript item", pushed, true, rc = call->real->sink->transcript_item(call->real, pushed));
	return after(call, rc, "a transcript item");
}

static int sink_connect_point(struct berth_call *base, const struct berth_connect_point *pushed)
{
	struct probe_call *call = of(base);
	int rc;

	if (pushed && HAS(pushed, n_diagnostics))
		judge_diagnostics(call, pushed->n_diagnostics, "a connect point");
	PUSH(call, "a connect point", pushed, true, rc = call->real->sink->connect_point(call->real, pushed));
	return after(call, rc, "a connect point");
}

static int sink_event(struct berth_call *base, const struct berth_event *pushed)
{
	struct probe_call *call = of(base);
	int rc;

	PUSH(call, "an event", pushed, !HAS(pushed, worker_id) || id_fits(pushed->worker_id),
	     rc = call->real->sink->event(call->real, pushed));
	return after(call, rc, "an event");
}

static int sink_diagnostic(struct berth_call *base, const struct berth_diagnostic *pushed)
{
	struct probe_call *call = of(base);
	struct refused before = refused_begin(call);
	int rc;

	judge_diagnostics(call, ++call->n_diagnostics, "the answer");
	judge_process(call, pushed, pushed != NULL);
	/* A diagnostic of the answer may follow the last item. */
	IN_HOST(rc = call->real->sink->diagnostic(call->real, pushed));
	judge_push(call, true, "a diagnostic");
	refused_end(call, &before);
	return rc;
}

__attribute__((format(printf, 3, 4)))
static int sink_fail(struct berth_call *base, int error, const char *format, ...)
{
	struct probe_call *call = of(base);
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	IN_HOST(call->real->sink->fail(call->real, error, "%s", text));
	return error;
}

static int sink_cancelled(struct berth_call *base)
{
	return probe.cancelled || (base->deadline_ns != 0 && services_monotonic_ns() >= base->deadline_ns);
}

static struct {
	struct berth_sink base;
	unsigned char later[LATER];
} sink = {
	.base = {
		.size = sizeof(struct berth_sink),
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
	},
};

/* ---- Lending ---- */

static size_t page(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* What is lent for one call: blocks of whole pages, each with a page behind it that
 * nobody can touch. */
struct loans {
	struct {
		char *pages;
		size_t size; /* without the page behind */
	} list[96];
	size_t n;
};

static void *lend(struct loans *loans, const void *from, size_t size, bool tight)
{
	size_t room = (size + page() - 1) / page() * page();
	char *pages;

	if (room == 0)
		room = page();
	pages = mmap(NULL, room + page(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED || loans->n == sizeof loans->list / sizeof *loans->list ||
	    mprotect(pages + room, page(), PROT_NONE) < 0)
		check_fail("no memory to lend");
	loans->list[loans->n].pages = pages;
	loans->list[loans->n++].size = room;
	if (tight)
		pages += room - size;
	if (size > 0)
		memcpy(pages, from, size);
	return pages;
}

static void lend_text(struct loans *loans, struct berth_text *text)
{
	if (text->ptr)
		text->ptr = lend(loans, text->ptr, text->len, probe.lending == LEND_TIGHT);
}

/* Takes back what was lent. The addresses are not used again. */
static void take_back(const struct loans *loans)
{
	for (size_t i = 0; i < loans->n; i++)
		mprotect(loans->list[i].pages, loans->list[i].size, PROT_NONE);
}

/* The texts of each request. */
static void lend_texts(struct loans *loans, enum operation operation, union request_block *request)
{
	struct berth_open_request *open = &request->open;
	struct berth_option *options;

	switch (operation) {
	case OPERATION_OPEN:
		lend_text(loans, &open->workspace_id);
		lend_text(loans, &open->workspace_root);
		lend_text(loans, &open->data_dir);
		lend_text(loans, &open->runtime_id);
		options = lend(loans, open->options, open->n_options * sizeof *options, false);
		for (size_t i = 0; i < open->n_options; i++)
			lend_text(loans, &options[i].text);
		open->options = options;
		break;
	case OPERATION_WORKER:
	case OPERATION_CONNECT_POINTS:
		lend_text(loans, &request->worker.worker_id);
		break;
	case OPERATION_SPAWN_WORKER:
		lend_text(loans, &request->spawn.ticket_id);
		lend_text(loans, &request->spawn.requested_worker_name);
		lend_text(loans, &request->spawn.request_id);
		break;
	case OPERATION_STOP_WORKER:
		lend_text(loans, &request->stop.worker_id);
		break;
	case OPERATION_SEND_INPUT:
		lend_text(loans, &request->input.worker_id);
		lend_text(loans, &request->input.content);
		break;
	case OPERATION_TRANSCRIPT:
		lend_text(loans, &request->transcript.worker_id);
		break;
	case OPERATION_READ_EVENTS:
		lend_text(loans, &request->events.cursor);
		break;
	default:
		break;
	}
}

static const size_t request_sizes[N_OPERATIONS] = {
	[OPERATION_OPEN] = sizeof(struct berth_open_request),
	[OPERATION_RUNTIME] = sizeof(struct berth_list_request),
	[OPERATION_LIST_HOSTS] = sizeof(struct berth_list_request),
	[OPERATION_LIST_WORKERS] = sizeof(struct berth_list_request),
	[OPERATION_WORKER] = sizeof(struct berth_worker_request),
	[OPERATION_SPAWN_WORKER] = sizeof(struct berth_spawn_request),
	[OPERATION_STOP_WORKER] = sizeof(struct berth_stop_request),
	[OPERATION_SEND_INPUT] = sizeof(struct berth_input_request),
	[OPERATION_TRANSCRIPT] = sizeof(struct berth_transcript_request),
	[OPERATION_CONNECT_POINTS] = sizeof(struct berth_worker_request),
	[OPERATION_READ_EVENTS] = sizeof(struct berth_events_request),
};

/* ---- The operations ---- */

#define CASE(name, member, kind) \
	case name:               \
		return adapter->member(*instancep, call, &request->kind)

static int invoke(enum operation operation, void **instancep, struct berth_call *call, const union request_block *request)
{
	switch (operation) {
	case OPERATION_OPEN:
		return adapter->open(instancep, call, &request->open);
	CASE(OPERATION_RUNTIME, runtime, list);
	CASE(OPERATION_LIST_HOSTS, list_hosts, list);
	CASE(OPERATION_LIST_WORKERS, list_workers, list);
	CASE(OPERATION_WORKER, worker, worker);
	CASE(OPERATION_SPAWN_WORKER, spawn_worker, spawn);
	CASE(OPERATION_STOP_WORKER, stop_worker, stop);
	CASE(OPERATION_SEND_INPUT, send_input, input);
	CASE(OPERATION_TRANSCRIPT, transcript, transcript);
	CASE(OPERATION_CONNECT_POINTS, connect_points, worker);
	CASE(OPERATION_READ_EVENTS, read_events, events);
	case N_OPERATIONS:
		break;
	}
	return -ENOSYS;
}

static bool is_of_worker(enum operation operation)
{
	return operation >= OPERATION_WORKER && operation != OPERATION_SPAWN_WORKER && operation != OPERATION_READ_EVENTS;
}

/* What the operation cannot have succeeded without. */
static const char *missing(const struct probe_call *call)
{
	const struct call *real = (const struct call *)call->real;

	switch (call->operation) {
	case OPERATION_OPEN:
	case OPERATION_RUNTIME:
		return real->n_pushed == 0 ? "runtime" : NULL;
	case OPERATION_SPAWN_WORKER:
	case OPERATION_STOP_WORKER:
	case OPERATION_SEND_INPUT:
	case OPERATION_TRANSCRIPT:
	case OPERATION_READ_EVENTS:
		return real->answered ? NULL : "answer";
	default:
		return NULL;
	}
}

static void judge_return(const struct probe_call *call, int rc)
{
	const struct call *real = (const struct call *)call->real;

	if (rc > BERTH_DEFAULT || rc < -4095)
		note_fault(FAULT_RETURN, "%s: it returned %d, which is neither 0, 1, BERTH_DEFAULT nor a negative errno",
			   operation_name(call->operation), rc);
	else if (rc < 0 && !(rc == -ENOENT && is_of_worker(call->operation)) && !*real->failure->text)
		note_fault(FAULT_RETURN, "%s: it returned %d (%s) and gave no reason to fail", operation_name(call->operation), rc,
			   strerror(-rc));
	else if (rc < 0 && *real->failure->text && is_awaited(call) && is_of_process(real->failure->text))
		note_fault(FAULT_PROCESS, "%s: %s", operation_name(call->operation), real->failure->text);
	else if ((rc == 0 || rc == 1) && real->n_refused == 0 && missing(call))
		note_fault(FAULT_RETURN, "%s: it returned %d and pushed no %s", operation_name(call->operation), rc,
			   missing(call));
	else if (rc == BERTH_DEFAULT && (real->n_pushed > 0 || real->answered))
		note_fault(FAULT_RETURN, "%s: it returned BERTH_DEFAULT after it had pushed something",
			   operation_name(call->operation));
}

static bool asks_for_none(enum operation operation, const union request_block *request)
{
	switch (operation) {
	case OPERATION_LIST_HOSTS:
	case OPERATION_LIST_WORKERS:
		return request->list.limit == 0;
	case OPERATION_TRANSCRIPT:
		return request->transcript.limit == 0;
	case OPERATION_READ_EVENTS:
		return request->events.limit == 0;
	default:
		return false;
	}
}

/* The tables are lent longer than one call: they change only where the lending does. */
static void set_sizes(void)
{
	size_t later = probe.lending == LEND_LATER ? LATER : 0;

	if (sink.base.size == sizeof sink.base + later)
		return;
	sink.base.size = sizeof sink.base + later;
	services.base.size = sizeof services.base + later;
}

static int pass_on(enum operation operation, void **instancep, struct berth_call *real, const void *request)
{
	struct probe_call call = {
		.base = *real,
		.real = real,
		.operation = operation,
	};
	struct loans loans = { .n = 0 };
	struct probe_call *lent_call = &call;
	union request_block block = { .room = { 0 } };
	const union request_block *lent = &block;
	int rc;

	memcpy(&block, request, request_sizes[operation]);
	real_services = real->services;
	call.base.services = &services.base;
	call.base.sink = &sink.base;
	if (probe.deadline_ns)
		call.base.deadline_ns = probe.deadline_ns;
	call.stopped = call.unasked = asks_for_none(operation, &block);
	set_sizes();
	memset(call.later, 0xa5, sizeof call.later);
	if (probe.lending == LEND_LATER) {
		memset(block.room + request_sizes[operation], 0xa5, sizeof block.room - request_sizes[operation]);
		block.list.size += LATER;
		call.base.size += LATER;
	}
	if (probe.lending == LEND_REVOKED || probe.lending == LEND_TIGHT) {
		lend_texts(&loans, operation, &block);
		lent = lend(&loans, &block, sizeof block, false);
		lent_call = lend(&loans, &call, sizeof call, false);
	}
	probe.n_calls[operation]++;
	if (probe.fail_allocations)
		allocations_count(true);
	rc = invoke(operation, instancep, &lent_call->base, lent);
	allocations_count(false);
	judge_return(lent_call, rc);
	if (probe.lending == LEND_REVOKED)
		take_back(&loans);
	probe.last_returned = rc;
	return rc;
}

static int probe_open(void **instance, struct berth_call *call, const struct berth_open_request *request)
{
	return pass_on(OPERATION_OPEN, instance, call, request);
}

static void probe_close(void *instance)
{
	if (probe.fail_allocations)
		allocations_count(true);
	adapter->close(instance);
	allocations_count(false);
}

#define PROBE(name, operation, kind)                                                                                  \
	static int probe_##name(void *instance, struct berth_call *call, const struct berth_##kind##_request *request) \
	{                                                                                                             \
		return pass_on(operation, &instance, call, request);                                                  \
	}

PROBE(runtime, OPERATION_RUNTIME, list)
PROBE(list_hosts, OPERATION_LIST_HOSTS, list)
PROBE(list_workers, OPERATION_LIST_WORKERS, list)
PROBE(worker, OPERATION_WORKER, worker)
PROBE(spawn_worker, OPERATION_SPAWN_WORKER, spawn)
PROBE(stop_worker, OPERATION_STOP_WORKER, stop)
PROBE(send_input, OPERATION_SEND_INPUT, input)
PROBE(transcript, OPERATION_TRANSCRIPT, transcript)
PROBE(connect_points, OPERATION_CONNECT_POINTS, worker)
PROBE(read_events, OPERATION_READ_EVENTS, events)

#define ENTER(member) probed->member = ours->member ? probe_##member : NULL

void probe_enter(const struct berth_adapter *ours, struct berth_adapter *probed)
{
	adapter = ours;
	*probed = (struct berth_adapter){ .size = sizeof *probed };
	services.base = (struct berth_services){
		.size = sizeof services.base,
		.generated_id = service_generated_id,
		.display_hint = service_display_hint,
		.log = service_log,
		.wall_ns = service_wall_ns,
		.monotonic_ns = service_monotonic_ns,
	};
	memset(services.later, 0xa5, sizeof services.later);
	memset(sink.later, 0xa5, sizeof sink.later);
	ENTER(open);
	ENTER(close);
	ENTER(runtime);
	ENTER(list_hosts);
	ENTER(list_workers);
	ENTER(worker);
	ENTER(spawn_worker);
	ENTER(stop_worker);
	ENTER(send_input);
	ENTER(transcript);
	ENTER(connect_points);
	ENTER(read_events);
}
