/* SPDX-License-Identifier: MIT */
/*
 * A harbour that uses everything there is: every operation, an option of each type, each
 * member of each struct, the services, diagnostics and failures. What it is asked shows
 * in what it answers, but for paths and secrets, of which it shows length and checksum.
 */
#include <berth/adapter.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	WORKERS_MAX = 32,
	ITEMS_MAX = 32,
	CONTENT_MAX = 1000,
};

enum option {
	OPTION_PLACE,
	OPTION_BERTHS,
	OPTION_LIT,
	OPTION_CHART,
	OPTION_KEY,
	OPTION_CARGO,
	N_OPTIONS,
};

struct item {
	uint64_t event_id, kind;
	char content[CONTENT_MAX];
	size_t len;
};

struct worker {
	char id[BERTH_ID_MAX], hint[BERTH_HINT_MAX], role[40];
	struct berth_text worker_id, its_hint;
	int stopped;
	struct item items[ITEMS_MAX];
	size_t n_items;
};

struct harbour {
	const struct berth_services *services;
	char place[80], note[400];
	uint64_t berths, n_events;
	int lit;
	struct worker workers[WORKERS_MAX];
	size_t n_workers;
};

static const struct berth_text host_id = BERTH_TEXT("harbour-host");

static const struct berth_diagnostic hints[] = {
	{ sizeof hints[0], BERTH_TEXT("harbour_calm"), BERTH_TEXT("the sea is calm"), BERTH_INFO },
	{ sizeof hints[0], BERTH_TEXT("harbour_tide"), BERTH_TEXT("the tide is low"), BERTH_WARNING },
	{ sizeof hints[0], BERTH_TEXT("harbour_wreck"), BERTH_TEXT("a wreck lies in the way"), BERTH_ERROR },
};

static int is(struct berth_text text, const char *word)
{
	return text.ptr && text.len == strlen(word) && memcmp(text.ptr, word, text.len) == 0;
}

/* ---- Opening and closing ---- */

/* The length and a checksum of a text, or "absent". */
static const char *trace(struct berth_text text, char buffer[40])
{
	uint32_t sum = 2166136261u;

	for (size_t i = 0; i < text.len; i++)
		sum = (sum ^ (unsigned char)text.ptr[i]) * 16777619u;
	if (text.ptr)
		snprintf(buffer, 40, "%zu:%08" PRIx32, text.len, sum);
	else
		snprintf(buffer, 40, "absent");
	return buffer;
}

static int push_runtime(struct harbour *harbour, struct berth_call *call)
{
	const struct berth_runtime runtime = {
		.size = sizeof runtime,
		.runtime_id = BERTH_TEXT("everything"),
		.label = berth_text(harbour->place),
		.kind = BERTH_TEXT("released"),
		.status = berth_text(harbour->lit ? "lit" : "dark"),
		.source_kind = BERTH_TEXT("released_everything"),
		.source_status = BERTH_TEXT("active"),
		.source_note = berth_text(harbour->note),
		.host_ids = &host_id,
		.n_host_ids = 1,
		.can = BERTH_CAN_LIST_HOSTS | BERTH_CAN_LIST_WORKERS | BERTH_CAN_GET_WORKER | BERTH_CAN_SPAWN_WORKER |
		       BERTH_CAN_STOP_WORKER | BERTH_CAN_ACCEPT_INPUT | BERTH_CAN_READ_BOUNDED_TRANSCRIPT |
		       BERTH_HAS_GIT,
		.local_pod_inspection = BERTH_TEXT("not_here"),
		.workspace_scope = BERTH_TEXT("harbour"),
		.os = BERTH_TEXT("tide"),
		.arch = BERTH_TEXT("oak"),
		.diagnostics = hints,
		.n_diagnostics = 1,
	};

	return call->sink->runtime(call, &runtime);
}

static struct worker *add_worker(struct harbour *harbour, struct berth_text name, const char *role)
{
	static const struct berth_text prefix = BERTH_TEXT("ship-");
	const struct berth_services *services = harbour->services;
	struct worker *worker = &harbour->workers[harbour->n_workers];

	memset(worker, 0, sizeof *worker);
	worker->worker_id = services->generated_id(services, prefix, name, worker->id, sizeof worker->id);
	worker->its_hint = services->display_hint(services, name, worker->hint, sizeof worker->hint);
	snprintf(worker->role, sizeof worker->role, "%s", role);
	harbour->n_workers++;
	return worker;
}

static int everything_open(void **instance, struct berth_call *call, const struct berth_open_request *request)
{
	const struct berth_option *options = request->options;
	char workspace_id[40], root[40], data_dir[40], runtime_id[40], chart[40], key[40], cargo[40];
	struct harbour *harbour;

	if (request->n_options != N_OPTIONS)
		return call->sink->fail(call, -EINVAL, "%zu options", request->n_options);
	if (options[OPTION_BERTHS].number > WORKERS_MAX)
		return call->sink->fail(call, -EINVAL, "berths: %.*s are too many, at most %d",
					(int)options[OPTION_BERTHS].text.len, options[OPTION_BERTHS].text.ptr,
					WORKERS_MAX);
	harbour = calloc(1, sizeof *harbour);
	if (!harbour)
		return call->sink->fail(call, -ENOMEM, "no memory");
	harbour->services = call->services;
	harbour->berths = options[OPTION_BERTHS].number;
	harbour->lit = options[OPTION_LIT].number == 1;
	snprintf(harbour->place, sizeof harbour->place, "%.*s", (int)options[OPTION_PLACE].text.len,
		 options[OPTION_PLACE].text.ptr);
	snprintf(harbour->note, sizeof harbour->note,
		 "%" PRIu64 " berths, chart %s, key %s, cargo %s; workspace %s at %s, data %s, runtime %s",
		 harbour->berths, trace(options[OPTION_CHART].text, chart), trace(options[OPTION_KEY].text, key),
		 trace(options[OPTION_CARGO].text, cargo), trace(request->workspace_id, workspace_id),
		 trace(request->workspace_root, root), trace(request->data_dir, data_dir),
		 trace(request->runtime_id, runtime_id));
	if (harbour->berths > 0)
		add_worker(harbour, berth_text("Kaya / the First"), "pilot");
	*instance = harbour;
	return push_runtime(harbour, call);
}

static void everything_close(void *instance)
{
	struct harbour *harbour = instance;

	harbour->services->log(harbour->services, BERTH_LOG_INFO, "closed with %zu workers", harbour->n_workers);
	free(harbour);
}

static int everything_runtime(void *instance, struct berth_call *call, const struct berth_list_request *request)
{
	(void)request;
	return push_runtime(instance, call);
}

/* ---- Lists ---- */

static int everything_list_hosts(void *instance, struct berth_call *call, const struct berth_list_request *request)
{
	struct harbour *harbour = instance;
	const struct berth_host host = {
		.size = sizeof host,
		.host_id = host_id,
		.label = berth_text(harbour->place),
		.kind = BERTH_TEXT("harbour"),
		.status = BERTH_TEXT("open"),
		.observed_at_ns = call->services->wall_ns(call->services),
		.last_seen_at_ns = UINT64_C(1700000000123456789),
		.can = BERTH_CAN_LIST_WORKERS | BERTH_HAS_SHELL | BERTH_SUPPORTS_BACKEND_INTERNAL_TOOLS,
		.local_pod_inspection = BERTH_TEXT("not_here"),
		.workspace_scope = BERTH_TEXT("harbour"),
		.os = BERTH_TEXT("tide"),
		.arch = BERTH_TEXT("oak"),
		.diagnostics = hints,
		.n_diagnostics = 2,
	};

	return request->limit > 0 ? call->sink->host(call, &host) : 0;
}

static int push_worker(const struct worker *worker, struct berth_call *call)
{
	const struct berth_worker pushed = {
		.size = sizeof pushed,
		.worker_id = worker->worker_id,
		.runtime_id = { NULL, 0 },
		.host_id = host_id,
		.label = worker->its_hint,
		.role = berth_text(worker->role),
		.profile = BERTH_TEXT("builtin:ship"),
		.workspace_visibility = BERTH_TEXT("harbour"),
		.workspace_identity = BERTH_TEXT("ship"),
		.state = berth_text(worker->stopped ? "stopped" : "running"),
		.status = berth_text(worker->stopped ? "moored" : "under_way"),
		.last_seen_at_ns = UINT64_C(1700000000000000000),
		.implementation_kind = BERTH_TEXT("ship"),
		.implementation_hint = worker->its_hint,
		.can = worker->stopped ? BERTH_WORKER_CAN_READ_BOUNDED_TRANSCRIPT :
					 BERTH_WORKER_CAN_ACCEPT_INPUT | BERTH_WORKER_CAN_STOP |
						 BERTH_WORKER_CAN_READ_BOUNDED_TRANSCRIPT,
		.diagnostics = hints,
		.n_diagnostics = worker->stopped ? 3 : 0,
	};

	return call->sink->worker(call, &pushed);
}

static int everything_list_workers(void *instance, struct berth_call *call, const struct berth_list_request *request)
{
	struct harbour *harbour = instance;
	int enough = request->limit == 0;

	for (size_t i = 0; i < harbour->n_workers && !enough && !call->sink->cancelled(call); i++)
		enough = push_worker(&harbour->workers[i], call);
	return 0;
}

static struct worker *find_worker(struct harbour *harbour, struct berth_text id)
{
	for (size_t i = 0; i < harbour->n_workers; i++)
		if (id.len == harbour->workers[i].worker_id.len && memcmp(id.ptr, harbour->workers[i].id, id.len) == 0)
			return &harbour->workers[i];
	return NULL;
}

static int everything_worker(void *instance, struct berth_call *call, const struct berth_worker_request *request)
{
	const struct worker *worker = find_worker(instance, request->worker_id);

	return worker ? push_worker(worker, call) : -ENOENT;
}

/* ---- What changes a worker ---- */

static int push_state(struct berth_call *call, uint64_t state)
{
	const struct berth_answer answer = { .size = sizeof answer, .state = state };

	return call->sink->answer(call, &answer);
}

/* An answer of that state with one diagnostic. */
static int refuse(struct berth_call *call, uint64_t state, const struct berth_diagnostic *why)
{
	push_state(call, state);
	return call->sink->diagnostic(call, why);
}

static void push_evidence(struct berth_call *call, const char *kind, const char *detail)
{
	const struct berth_evidence evidence = { sizeof evidence, berth_text(kind), berth_text(detail) };

	call->sink->evidence(call, &evidence);
}

/* What was asked for, to the last member. */
static void push_spawn_evidence(struct berth_call *call, const struct berth_spawn_request *request)
{
	char ticket[40], name[40], request_id[40], detail[300];
	uint64_t before = call->services->monotonic_ns(call->services);

	snprintf(detail, sizeof detail,
		 "intent %" PRIu64 ", ticket %s, role %" PRIu64 ", name %s, acceptance %" PRIu64 ", segments %" PRIu64
		 ", request %s", request->intent, trace(request->ticket_id, ticket), request->role,
		 trace(request->requested_worker_name, name), request->acceptance, request->expected_segments,
		 trace(request->request_id, request_id));
	push_evidence(call, "harbour_request", detail);
	push_evidence(call, "harbour_clock",
		      call->services->monotonic_ns(call->services) >= before ? "goes on" : "steps back");
}

static int everything_spawn_worker(void *instance, struct berth_call *call, const struct berth_spawn_request *request)
{
	static const char *const roles[] = {
		[BERTH_ROLE_INTAKE] = "intake",
		[BERTH_ROLE_ORCHESTRATOR] = "orchestrator",
		[BERTH_ROLE_CODER] = "coder",
		[BERTH_ROLE_REVIEWER] = "reviewer",
	};
	static const struct berth_diagnostic no_socket = {
		sizeof no_socket, BERTH_TEXT("harbour_no_socket"), BERTH_TEXT("ships have none"), BERTH_ERROR,
	};
	static const struct berth_diagnostic full = {
		sizeof full, BERTH_TEXT("harbour_full"), BERTH_TEXT("every berth is taken"), BERTH_WARNING,
	};
	struct harbour *harbour = instance;
	struct worker *worker;
	char name[40];

	if (request->acceptance == BERTH_ACCEPTANCE_SOCKET_READY)
		return refuse(call, BERTH_UNSUPPORTED, &no_socket);
	if (harbour->n_workers >= harbour->berths)
		return refuse(call, BERTH_REJECTED, &full);
	snprintf(name, sizeof name, "ship %zu", harbour->n_workers + 1);
	worker = add_worker(harbour, berth_text(name),
			    request->intent == BERTH_INTENT_TICKET_ROLE && request->role <= BERTH_ROLE_REVIEWER ?
				    roles[request->role] : "crew");
	push_state(call, BERTH_ACCEPTED);
	push_worker(worker, call);
	push_spawn_evidence(call, request);
	return 0;
}

static const struct berth_diagnostic moored = {
	sizeof moored, BERTH_TEXT("harbour_moored"), BERTH_TEXT("the ship is moored"), BERTH_WARNING,
};

static int everything_stop_worker(void *instance, struct berth_call *call, const struct berth_stop_request *request)
{
	struct harbour *harbour = instance;
	struct worker *worker = find_worker(harbour, request->worker_id);

	if (!worker)
		return -ENOENT;
	if (worker->stopped)
		return refuse(call, BERTH_REJECTED, &moored);
	worker->stopped = 1;
	if (request->mode == BERTH_STOP_FORCE)
		harbour->services->log(harbour->services, BERTH_LOG_WARNING, "%.*s is stopped by force",
				       (int)worker->worker_id.len, worker->worker_id.ptr);
	return push_state(call, BERTH_ACCEPTED);
}

static int everything_send_input(void *instance, struct berth_call *call, const struct berth_input_request *request)
{
	static const struct berth_diagnostic too_long = {
		sizeof too_long, BERTH_TEXT("harbour_too_long"), BERTH_TEXT("it has no room for that"), BERTH_WARNING,
	};
	struct harbour *harbour = instance;
	struct worker *worker = find_worker(harbour, request->worker_id);
	struct berth_answer answer = { .size = sizeof answer, .state = BERTH_ACCEPTED };
	struct item *item;

	if (!worker)
		return -ENOENT;
	if (is(request->content, "part the hawser"))
		return call->sink->fail(call, -EIO, "%s of %d", "the hawser parted", WORKERS_MAX);
	if (worker->stopped)
		return refuse(call, BERTH_REJECTED, &moored);
	if (worker->n_items == ITEMS_MAX || request->content.len > CONTENT_MAX)
		return refuse(call, BERTH_REJECTED, &too_long);
	item = &worker->items[worker->n_items++];
	item->event_id = ++harbour->n_events;
	item->kind = request->kind;
	item->len = request->content.len;
	memcpy(item->content, request->content.ptr, item->len);
	answer.transcript_sequence = worker->n_items;
	answer.event_id = item->event_id;
	return call->sink->answer(call, &answer);
}

static int everything_transcript(void *instance, struct berth_call *call,
				 const struct berth_transcript_request *request)
{
	const struct worker *worker = find_worker(instance, request->worker_id);
	struct berth_answer answer = { .size = sizeof answer, .state = BERTH_ACCEPTED };
	int enough = request->limit == 0;

	if (!worker)
		return -ENOENT;
	answer.total_items = worker->n_items;
	if (request->start < worker->n_items && request->limit < worker->n_items - request->start) {
		answer.more = 1;
		answer.next_start = request->start + request->limit;
	}
	call->sink->answer(call, &answer);
	for (uint64_t i = request->start; i < worker->n_items && !enough; i++) {
		const struct item *from = &worker->items[i];
		const struct berth_transcript_item item = {
			.size = sizeof item,
			.sequence = i + 1,
			.event_id = from->event_id,
			.role = berth_text(from->kind == BERTH_INPUT_SYSTEM ? "system" : "user"),
			.content = { from->content, from->len },
		};

		enough = call->sink->transcript_item(call, &item);
	}
	return 0;
}

static int everything_connect_points(void *instance, struct berth_call *call,
				     const struct berth_worker_request *request)
{
	static const struct berth_connect_point points[] = {
		{ sizeof points[0], BERTH_TEXT("gangway"), BERTH_TEXT("lowered"), NULL, 0 },
		{ sizeof points[0], BERTH_TEXT("rope"), BERTH_TEXT("thrown"), hints, 3 },
	};
	const struct worker *worker = find_worker(instance, request->worker_id);
	int enough = 0;

	if (!worker)
		return -ENOENT;
	if (worker->stopped)
		return BERTH_DEFAULT;
	for (size_t i = 0; i < sizeof points / sizeof *points && !enough; i++)
		enough = call->sink->connect_point(call, &points[i]);
	return 0;
}

static const struct berth_adapter everything = {
	.size = sizeof everything,
	.open = everything_open,
	.close = everything_close,
	.runtime = everything_runtime,
	.list_hosts = everything_list_hosts,
	.list_workers = everything_list_workers,
	.worker = everything_worker,
	.spawn_worker = everything_spawn_worker,
	.stop_worker = everything_stop_worker,
	.send_input = everything_send_input,
	.transcript = everything_transcript,
	.connect_points = everything_connect_points,
};

BERTH_ADAPTER(everything, "everything", "1.0", BERTH_THREADS_INSTANCE,
	      BERTH_OPTION("place", "text", "Old Harbour", "what the harbour is called")
	      BERTH_OPTION("berths", "count", "32", "how many workers there may be, at most 32")
	      BERTH_OPTION("lit", "flag", "true", "whether it can be entered at night")
	      BERTH_OPTION("chart", "path", "/srv/chart", "where the depths are")
	      BERTH_OPTION("key", "secret", "", "of the lock")
	      BERTH_OPTION("cargo", "json", "{\"rope\":[1,2]}", "what lies on the quay"), &everything);
