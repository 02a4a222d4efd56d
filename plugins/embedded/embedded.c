/* SPDX-License-Identifier: MIT */
/* The adapter of the embedded runtime: presents the catalogue in the terms of the
 * contract. The catalogue locks itself, so calls may come from any thread. */
#include "config.h"

#include <berth/adapter.h>
#include <stdio.h>
#include <stdlib.h>

#include "catalogue.h"
#include "inline/utf8.h"

enum { TRANSCRIPT_LIMIT = 256 };

struct embedded {
	struct catalogue *catalogue;
	char host_id[BERTH_ID_MAX];
	size_t host_id_len;
};

#define RUNTIME_LABEL "Workspace backend embedded Runtime"

#define RUNTIME_CAN                                                                                           \
	(BERTH_CAN_LIST_HOSTS | BERTH_CAN_LIST_WORKERS | BERTH_CAN_GET_WORKER | BERTH_CAN_SPAWN_WORKER |      \
	 BERTH_CAN_STOP_WORKER | BERTH_CAN_ACCEPT_INPUT | BERTH_CAN_READ_BOUNDED_TRANSCRIPT |                 \
	 BERTH_SUPPORTS_BACKEND_INTERNAL_TOOLS)

/* ---- Diagnostics ---- */

enum diagnostic {
	HOST_BOUNDARY,
	PROJECTION,
	NO_SOCKET,
	NAME_IGNORED,
	TOOLS_LESS,
	INVALID_REQUEST,
	LIMIT_TOO_LARGE,
	STORE_ERROR,
};

#define DIAGNOSTIC(code, severity, message) \
	{ sizeof(struct berth_diagnostic), BERTH_TEXT(code), BERTH_TEXT(message), severity }

static const struct berth_diagnostic diagnostics[] = {
	[HOST_BOUNDARY] = DIAGNOSTIC("embedded_runtime_host_boundary", BERTH_INFO,
		"this host is inside the backend; of it, runtimes and workers are shown and nothing else"),
	[PROJECTION] = DIAGNOSTIC("embedded_runtime_projection", BERTH_INFO,
		"runtime_id and worker_id together are the address of this worker; what is behind them stays inside"),
	[NO_SOCKET] = DIAGNOSTIC("embedded_runtime_no_socket", BERTH_WARNING,
		"workers of this runtime have no endpoint of their own to become ready; ask for run_accepted"),
	[NAME_IGNORED] = DIAGNOSTIC("embedded_worker_name_ignored", BERTH_INFO,
		"this runtime numbers its workers; the requested name was not used"),
	[TOOLS_LESS] = DIAGNOSTIC("embedded_runtime_tools_less", BERTH_INFO,
		"the worker is an entry in a catalogue, without tools; no segments are run for it"),
	[INVALID_REQUEST] = DIAGNOSTIC("embedded_runtime_invalid_request", BERTH_WARNING,
		"the input was not taken: it is empty but for white space, or the worker does not run"),
	[LIMIT_TOO_LARGE] = DIAGNOSTIC("embedded_runtime_limit_too_large", BERTH_WARNING,
		"at most 256 items of a transcript are given at once"),
	[STORE_ERROR] = DIAGNOSTIC("embedded_runtime_store_error", BERTH_ERROR,
		"the runtime could not keep this; nothing of it was kept"),
};

static int push_answer(struct berth_call *call, uint64_t state)
{
	const struct berth_answer answer = { .size = sizeof answer, .state = state };

	return call->sink->answer(call, &answer);
}

static int reject(struct berth_call *call, enum diagnostic why)
{
	push_answer(call, BERTH_REJECTED);
	return call->sink->diagnostic(call, &diagnostics[why]);
}

/* ---- Workers ---- */

static const char *const state_names[] = {
	[WORKER_RUNNING] = "running",
	[WORKER_STOPPED] = "stopped",
	[WORKER_CANCELLED] = "cancelled",
};

/* worker-%08x; a number out of all range where the text is not one of ours. */
static uint64_t worker_number(struct berth_text id)
{
	static const char prefix[] = "worker-";
	const size_t prefix_len = sizeof prefix - 1;
	uint64_t number = 0;

	if (id.len < prefix_len + 8 || id.len > prefix_len + 16 || memcmp(id.ptr, prefix, prefix_len) != 0)
		return 0;
	/* One number has one id: no zeroes in front beyond eight digits. */
	if (id.len > prefix_len + 8 && id.ptr[prefix_len] == '0')
		return 0;
	for (size_t i = prefix_len; i < id.len; i++) {
		char c = id.ptr[i];

		if (c >= '0' && c <= '9')
			number = number << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			number = number << 4 | (uint64_t)(c - 'a' + 10);
		else
			return 0;
	}
	return number;
}

struct listing {
	const struct embedded *embedded;
	struct berth_call *call;
	uint64_t left;
};

static int push_worker(const struct embedded *embedded, struct berth_call *call, const struct catalogue_worker *entry)
{
	char id[32];
	int len = snprintf(id, sizeof id, "worker-%08llx", (unsigned long long)entry->number);
	const struct berth_text worker_id = { id, (size_t)len }, state = berth_text(state_names[entry->state]);
	const struct berth_worker worker = {
		.size = sizeof worker,
		.worker_id = worker_id,
		.host_id = { embedded->host_id, embedded->host_id_len },
		.label = worker_id,
		.role = berth_text(entry->role),
		.profile = berth_text(entry->profile),
		.workspace_visibility = BERTH_TEXT("backend_internal"),
		.workspace_identity = BERTH_TEXT("runtime_registry_worker"),
		.state = state,
		.status = state,
		.implementation_kind = BERTH_TEXT("embedded_worker_runtime"),
		.implementation_hint = BERTH_TEXT("worker inside the backend"),
		.can = BERTH_WORKER_CAN_ACCEPT_INPUT | BERTH_WORKER_CAN_STOP |
		       BERTH_WORKER_CAN_READ_BOUNDED_TRANSCRIPT,
		.diagnostics = &diagnostics[PROJECTION],
		.n_diagnostics = 1,
	};

	return call->sink->worker(call, &worker);
}

static int list_visit(void *data, const struct catalogue_worker *entry)
{
	struct listing *listing = data;

	if (listing->left == 0)
		return 1;
	listing->left--;
	return push_worker(listing->embedded, listing->call, entry);
}

static int embedded_list_workers(void *instance, struct berth_call *call, const struct berth_list_request *request)
{
	struct embedded *embedded = instance;
	struct listing listing = { embedded, call, request->limit };

	catalogue_each(embedded->catalogue, list_visit, &listing);
	return 0;
}

static int embedded_worker(void *instance, struct berth_call *call, const struct berth_worker_request *request)
{
	struct embedded *embedded = instance;
	struct catalogue_worker entry;
	int rc = catalogue_get(embedded->catalogue, worker_number(request->worker_id), &entry);

	return rc < 0 ? rc : push_worker(embedded, call, &entry);
}

/* ---- Spawn, stop, input ---- */

/* Role and profile by intent and, of a ticket, by role. */
struct assignment {
	const char *role, *profile;
};

static struct assignment assign(const struct berth_spawn_request *request)
{
	static const struct assignment intents[] = {
		[BERTH_INTENT_WORKSPACE_COMPANION] = { "workspace_companion", "runtime_default" },
		[BERTH_INTENT_WORKSPACE_ORCHESTRATOR] = { "workspace_orchestrator", "runtime_default" },
	};
	static const struct assignment roles[] = {
		[BERTH_ROLE_INTAKE] = { "intake", "builtin:intake" },
		[BERTH_ROLE_ORCHESTRATOR] = { "orchestrator", "builtin:orchestrator" },
		[BERTH_ROLE_CODER] = { "coder", "builtin:coder" },
		[BERTH_ROLE_REVIEWER] = { "reviewer", "builtin:reviewer" },
	};

	return request->intent == BERTH_INTENT_TICKET_ROLE ? roles[request->role] : intents[request->intent];
}

static int embedded_spawn_worker(void *instance, struct berth_call *call, const struct berth_spawn_request *request)
{
	static const struct berth_evidence created = {
		.size = sizeof created,
		.kind = BERTH_TEXT("embedded_runtime_worker_created"),
		.detail = BERTH_TEXT("the catalogue has a new worker, without tools"),
	};
	static const struct berth_evidence projection = {
		.size = sizeof projection,
		.kind = BERTH_TEXT("embedded_runtime_backend_internal_projection"),
		.detail = BERTH_TEXT("runtime_id and worker_id are all that was given out"),
	};
	struct embedded *embedded = instance;
	const struct assignment assignment = assign(request);
	struct catalogue_worker entry;

	if (request->acceptance == BERTH_ACCEPTANCE_SOCKET_READY)
		return reject(call, NO_SOCKET);
	if (catalogue_spawn(embedded->catalogue, assignment.role, assignment.profile, &entry) < 0)
		return reject(call, STORE_ERROR);
	push_answer(call, BERTH_ACCEPTED);
	push_worker(embedded, call, &entry);
	call->sink->evidence(call, &created);
	call->sink->evidence(call, &projection);
	if (request->requested_worker_name.ptr)
		call->sink->diagnostic(call, &diagnostics[NAME_IGNORED]);
	if (request->expected_segments > 0)
		call->sink->diagnostic(call, &diagnostics[TOOLS_LESS]);
	return 0;
}

static int embedded_stop_worker(void *instance, struct berth_call *call, const struct berth_stop_request *request)
{
	struct embedded *embedded = instance;
	enum worker_state rest = request->mode == BERTH_STOP_FORCE ? WORKER_CANCELLED : WORKER_STOPPED;
	int rc = catalogue_stop(embedded->catalogue, worker_number(request->worker_id), rest);

	return rc < 0 ? rc : push_answer(call, BERTH_ACCEPTED);
}

/* Unicode White_Space. */
static bool is_white_space(uint32_t code)
{
	return (code >= 0x09 && code <= 0x0d) || code == 0x20 || code == 0x85 || code == 0xa0 || code == 0x1680 ||
	       (code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 || code == 0x202f ||
	       code == 0x205f || code == 0x3000;
}

static bool is_blank(struct berth_text text)
{
	uint32_t code;

	for (size_t i = 0; i < text.len;) {
		size_t n = utf8_decode(text.ptr + i, text.len - i, &code);

		if (n == 0 || !is_white_space(code))
			return false;
		i += n;
	}
	return true;
}

static int embedded_send_input(void *instance, struct berth_call *call, const struct berth_input_request *request)
{
	struct embedded *embedded = instance;
	struct berth_answer answer = { .size = sizeof answer, .state = BERTH_ACCEPTED };
	uint64_t number = worker_number(request->worker_id);
	struct catalogue_receipt receipt;
	struct catalogue_worker entry;
	int rc;

	if (is_blank(request->content)) {
		rc = catalogue_get(embedded->catalogue, number, &entry);
		return rc < 0 ? rc : reject(call, INVALID_REQUEST);
	}
	rc = catalogue_append(embedded->catalogue, number, request->kind == BERTH_INPUT_SYSTEM, request->content,
			      &receipt);
	if (rc == -ENOENT)
		return rc;
	if (rc < 0)
		return reject(call, rc == -EPERM ? INVALID_REQUEST : STORE_ERROR);
	answer.transcript_sequence = receipt.sequence;
	answer.event_id = receipt.event_id;
	return call->sink->answer(call, &answer);
}

/* ---- Transcript ---- */

struct reading {
	struct berth_call *call;
	const struct berth_transcript_request *request;
};

static void reading_begin(void *data, size_t n_items)
{
	struct reading *reading = data;
	uint64_t start = reading->request->start, limit = reading->request->limit;
	struct berth_answer answer = { .size = sizeof answer, .state = BERTH_ACCEPTED, .total_items = n_items };

	if (start < n_items && n_items - start > limit) {
		answer.more = 1;
		answer.next_start = start + limit;
	}
	reading->call->sink->answer(reading->call, &answer);
}

static int reading_item(void *data, uint64_t sequence, const struct catalogue_item *entry)
{
	struct reading *reading = data;
	const struct berth_transcript_item item = {
		.size = sizeof item,
		.sequence = sequence,
		.event_id = entry->event_id,
		.role = berth_text(entry->is_system ? "system" : "user"),
		.content = entry->content,
	};

	return reading->call->sink->transcript_item(reading->call, &item);
}

static int embedded_transcript(void *instance, struct berth_call *call, const struct berth_transcript_request *request)
{
	static const struct catalogue_reader reader = { reading_begin, reading_item };
	struct embedded *embedded = instance;
	uint64_t number = worker_number(request->worker_id);
	struct reading reading = { call, request };
	struct catalogue_worker entry;
	int rc;

	if (request->limit > TRANSCRIPT_LIMIT) {
		rc = catalogue_get(embedded->catalogue, number, &entry);
		return rc < 0 ? rc : reject(call, LIMIT_TOO_LARGE);
	}
	return catalogue_read(embedded->catalogue, number, request->start, request->limit, &reader, &reading);
}

/* ---- Runtime and host ---- */

static int push_runtime(const struct embedded *embedded, struct berth_call *call, uint64_t limit)
{
	const struct berth_text host_id = { embedded->host_id, embedded->host_id_len };
	const struct berth_runtime runtime = {
		.size = sizeof runtime,
		.runtime_id = BERTH_TEXT("embedded-worker-runtime"),
		.label = BERTH_TEXT(RUNTIME_LABEL),
		.kind = BERTH_TEXT("embedded_worker_runtime"),
		.status = BERTH_TEXT("running"),
		.source_kind = BERTH_TEXT("embedded_worker_runtime"),
		.source_status = BERTH_TEXT("active"),
		.source_note = BERTH_TEXT("a runtime inside the backend, reached by runtime_id and worker_id alone"),
		.host_ids = &host_id,
		.n_host_ids = limit > 0 ? 1 : 0,
		.can = RUNTIME_CAN,
		.workspace_scope = BERTH_TEXT("backend_internal"),
	};

	return call->sink->runtime(call, &runtime);
}

static int embedded_open(void **instance, struct berth_call *call, const struct berth_open_request *request)
{
	const struct berth_text prefix = BERTH_TEXT("embedded-");
	struct embedded *embedded = calloc(1, sizeof *embedded);

	if (!embedded)
		return call->sink->fail(call, -ENOMEM, "no memory for the runtime");
	embedded->host_id_len = call->services->generated_id(call->services, prefix, request->workspace_id,
							     embedded->host_id, sizeof embedded->host_id).len;
	embedded->catalogue = catalogue_new();
	if (embedded->host_id_len == 0 || !embedded->catalogue) {
		catalogue_free(embedded->catalogue);
		free(embedded);
		return call->sink->fail(call, -ENOMEM, "no memory for the runtime");
	}
	*instance = embedded;
	return push_runtime(embedded, call, 1);
}

static void embedded_close(void *instance)
{
	struct embedded *embedded = instance;

	catalogue_free(embedded->catalogue);
	free(embedded);
}

static int embedded_runtime(void *instance, struct berth_call *call, const struct berth_list_request *request)
{
	return push_runtime(instance, call, request->limit);
}

static int embedded_list_hosts(void *instance, struct berth_call *call, const struct berth_list_request *request)
{
	const struct embedded *embedded = instance;
	const struct berth_host host = {
		.size = sizeof host,
		.host_id = { embedded->host_id, embedded->host_id_len },
		.label = BERTH_TEXT(RUNTIME_LABEL),
		.kind = BERTH_TEXT("embedded-worker-runtime-host"),
		.status = BERTH_TEXT("available"),
		.can = RUNTIME_CAN,
		.workspace_scope = BERTH_TEXT("backend_internal"),
		.diagnostics = &diagnostics[HOST_BOUNDARY],
		.n_diagnostics = 1,
	};

	return request->limit > 0 ? call->sink->host(call, &host) : 0;
}

static const struct berth_adapter embedded_adapter = {
	.size = sizeof embedded_adapter,
	.open = embedded_open,
	.close = embedded_close,
	.runtime = embedded_runtime,
	.list_hosts = embedded_list_hosts,
	.list_workers = embedded_list_workers,
	.worker = embedded_worker,
	.spawn_worker = embedded_spawn_worker,
	.stop_worker = embedded_stop_worker,
	.send_input = embedded_send_input,
	.transcript = embedded_transcript,
};

BERTH_ADAPTER(embedded, "embedded", PACKAGE_VERSION, BERTH_THREADS_ANY, BERTH_NO_OPTIONS, &embedded_adapter);
