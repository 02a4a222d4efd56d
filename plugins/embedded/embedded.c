/* SPDX-License-Identifier: MIT */
/* The adapter of the embedded runtime: presents the catalogue in the terms of the
 * contract. The catalogue locks itself, so calls may come from any thread. */
#include "config.h"

#include <berth/adapter.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "catalogue.h"
#include "inline/utf8.h"
#include "inline/reason.h"
#include "sqlite_store.h"

enum { READ_LIMIT = 256 };

struct embedded {
	const struct berth_services *services;
	char *store; /* the directory; NULL: in memory */
	bool relaxed;
	struct catalogue_retention retention;
	_Atomic(struct catalogue *) catalogue; /* NULL: its state cannot be read, so far */
	pthread_mutex_t opening;               /* over what follows */
	bool may_pass;                         /* what is in the way of it, so that it is tried again */
	char host_id[BERTH_ID_MAX];
	size_t host_id_len;
};

#define RUNTIME_LABEL "Workspace backend embedded Runtime"
#define UNAVAILABLE_LABEL "Embedded backend Runtime"

#define UNAVAILABLE_CAN (BERTH_CAN_LIST_HOSTS | BERTH_SUPPORTS_BACKEND_INTERNAL_TOOLS)
#define RUNTIME_CAN                                                                                           \
	(BERTH_CAN_LIST_HOSTS | BERTH_CAN_LIST_WORKERS | BERTH_CAN_GET_WORKER | BERTH_CAN_SPAWN_WORKER |      \
	 BERTH_CAN_STOP_WORKER | BERTH_CAN_ACCEPT_INPUT | BERTH_CAN_STREAM_EVENTS | BERTH_CAN_READ_BOUNDED_TRANSCRIPT |                 \
	 BERTH_SUPPORTS_BACKEND_INTERNAL_TOOLS)

static bool text_equal(struct berth_text a, struct berth_text b)
{
	return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

static bool text_is(struct berth_text text, const char *string)
{
	return text_equal(text, berth_text(string));
}

/* ---- Diagnostics ---- */

enum diagnostic {
	HOST_BOUNDARY,
	PROJECTION,
	NO_SOCKET,
	NAME_IGNORED,
	TOOLS_LESS,
	INVALID_REQUEST,
	LIMIT_TOO_LARGE,
	WRONG_IDENTITY,
	ITEMS_DROPPED,
	STORE_ERROR,
	STATE_UNAVAILABLE,
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
		"at most 256 items of a transcript, or events, are given at once"),
	[WRONG_IDENTITY] = DIAGNOSTIC("embedded_runtime_wrong_identity", BERTH_WARNING,
		"the cursor is none that this runtime has given"),
	[ITEMS_DROPPED] = DIAGNOSTIC("embedded_runtime_items_dropped", BERTH_INFO,
		"the first items are not kept any more; sequences say how many there were"),
	[STORE_ERROR] = DIAGNOSTIC("embedded_runtime_store_error", BERTH_ERROR,
		"the runtime could not keep or read this; nothing was changed"),
	[STATE_UNAVAILABLE] = DIAGNOSTIC("embedded_runtime_state_unavailable", BERTH_ERROR,
		"the state of this runtime cannot be read; berth check says what to do"),
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

/* What an error of the catalogue means to callers. */
static enum diagnostic diagnostic_of(int rc)
{
	return rc == -EBADMSG ? STATE_UNAVAILABLE : STORE_ERROR;
}

/* ---- The catalogue ---- */

static int open_catalogue(struct embedded *embedded, struct catalogue **cataloguep, struct reason *reason)
{
	struct store *store = NULL;
	int rc = 0;

	if (embedded->store)
		rc = sqlite_store_open(embedded->store, embedded->relaxed, embedded->services, &store, reason);
	else
		store = memory_store_open();
	if (rc < 0)
		return rc;
	rc = store ? catalogue_open(store, &embedded->retention, embedded->services, cataloguep) : -ENOMEM;
	if (rc < 0)
		reason_set(reason, rc, "the runtime cannot be started: %s", strerror(-rc));
	return rc;
}

/* The catalogue; NULL where its state cannot be read. */
static struct catalogue *catalogue_of(struct embedded *embedded)
{
	struct catalogue *catalogue = atomic_load(&embedded->catalogue);
	struct reason reason;
	int rc;

	if (catalogue)
		return catalogue;
	pthread_mutex_lock(&embedded->opening);
	catalogue = atomic_load(&embedded->catalogue);
	if (!catalogue && embedded->may_pass) {
		rc = open_catalogue(embedded, &catalogue, &reason);
		embedded->may_pass = rc != -EBADMSG;
		if (rc == 0)
			embedded->services->log(embedded->services, BERTH_LOG_WARNING, "the store %s works again",
						embedded->store);
	}
	atomic_store(&embedded->catalogue, catalogue);
	pthread_mutex_unlock(&embedded->opening);
	return catalogue;
}

/* For what has no answer that could be rejected. */
static int fail(struct berth_call *call, int rc)
{
	return call->sink->fail(call, rc, "the state of the runtime cannot be read: %s", strerror(-rc));
}

/* ---- Workers ---- */

static const struct berth_text state_names[] = {
	[WORKER_RUNNING] = BERTH_TEXT("running"),
	[WORKER_STOPPED] = BERTH_TEXT("stopped"),
	[WORKER_CANCELLED] = BERTH_TEXT("cancelled"),
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

/* Role and profile of each assignment. */
static const struct {
	struct berth_text role, profile;
} assignments[N_ASSIGNMENTS] = {
	[ASSIGNMENT_WORKSPACE_COMPANION] = { BERTH_TEXT("workspace_companion"), BERTH_TEXT("runtime_default") },
	[ASSIGNMENT_WORKSPACE_ORCHESTRATOR] = { BERTH_TEXT("workspace_orchestrator"), BERTH_TEXT("runtime_default") },
	[ASSIGNMENT_INTAKE] = { BERTH_TEXT("intake"), BERTH_TEXT("builtin:intake") },
	[ASSIGNMENT_ORCHESTRATOR] = { BERTH_TEXT("orchestrator"), BERTH_TEXT("builtin:orchestrator") },
	[ASSIGNMENT_CODER] = { BERTH_TEXT("coder"), BERTH_TEXT("builtin:coder") },
	[ASSIGNMENT_REVIEWER] = { BERTH_TEXT("reviewer"), BERTH_TEXT("builtin:reviewer") },
};

enum { WORKER_ID_SIZE = 32 };

/* What snprintf makes of worker-%08llx, at a tenth of the price. */
static struct berth_text worker_id_of(uint64_t number, char id[WORKER_ID_SIZE])
{
	static const char digits[] = "0123456789abcdef", prefix[] = "worker-";
	size_t n = 8;

	memcpy(id, prefix, sizeof prefix - 1);
	while (n < 16 && number >> 4 * n)
		n++;
	for (size_t i = n; i > 0; i--, number >>= 4)
		id[sizeof prefix - 2 + i] = digits[number & 15];
	return (struct berth_text){ id, sizeof prefix - 1 + n };
}

static int push_worker(const struct embedded *embedded, struct berth_call *call, const struct catalogue_worker *entry)
{
	char id[WORKER_ID_SIZE];
	const struct berth_text worker_id = worker_id_of(entry->number, id), state = state_names[entry->state];
	const struct berth_worker worker = {
		.size = sizeof worker,
		.worker_id = worker_id,
		.host_id = { embedded->host_id, embedded->host_id_len },
		.label = worker_id,
		.role = assignments[entry->assignment].role,
		.profile = assignments[entry->assignment].profile,
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
	struct catalogue *catalogue = catalogue_of(embedded);
	int rc = catalogue ? catalogue_each(catalogue, list_visit, &listing) : -EBADMSG;

	if (rc < 0)
		call->sink->diagnostic(call, &diagnostics[diagnostic_of(rc)]);
	return 0;
}

static int embedded_worker(void *instance, struct berth_call *call, const struct berth_worker_request *request)
{
	struct embedded *embedded = instance;
	struct catalogue *catalogue = catalogue_of(embedded);
	struct catalogue_worker entry;
	int rc = catalogue ? catalogue_get(catalogue, worker_number(request->worker_id), &entry) : -EBADMSG;

	if (rc == 0)
		return push_worker(embedded, call, &entry);
	return rc == -ENOENT ? rc : fail(call, rc);
}

/* ---- Spawn, stop, input ---- */

/* By intent and, of a ticket, by role. */
static enum worker_assignment assign(const struct berth_spawn_request *request)
{
	static const enum worker_assignment intents[] = {
		[BERTH_INTENT_WORKSPACE_COMPANION] = ASSIGNMENT_WORKSPACE_COMPANION,
		[BERTH_INTENT_WORKSPACE_ORCHESTRATOR] = ASSIGNMENT_WORKSPACE_ORCHESTRATOR,
	};
	static const enum worker_assignment roles[] = {
		[BERTH_ROLE_INTAKE] = ASSIGNMENT_INTAKE,
		[BERTH_ROLE_ORCHESTRATOR] = ASSIGNMENT_ORCHESTRATOR,
		[BERTH_ROLE_CODER] = ASSIGNMENT_CODER,
		[BERTH_ROLE_REVIEWER] = ASSIGNMENT_REVIEWER,
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
	struct catalogue *catalogue = catalogue_of(embedded);
	struct catalogue_worker entry;
	int rc;

	if (request->acceptance == BERTH_ACCEPTANCE_SOCKET_READY)
		return reject(call, NO_SOCKET);
	rc = catalogue ? catalogue_spawn(catalogue, assign(request), &entry) : -EBADMSG;
	if (rc < 0)
		return reject(call, diagnostic_of(rc));
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
	struct catalogue *catalogue = catalogue_of(instance);
	enum worker_state rest = request->mode == BERTH_STOP_FORCE ? WORKER_CANCELLED : WORKER_STOPPED;
	int rc = catalogue ? catalogue_stop(catalogue, worker_number(request->worker_id), rest) : -EBADMSG;

	if (rc == 0)
		return push_answer(call, BERTH_ACCEPTED);
	return rc == -ENOENT ? rc : reject(call, diagnostic_of(rc));
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

/* A request that is refused for what it is, if its worker is there at all. */
static int refuse(struct catalogue *catalogue, struct berth_call *call, uint64_t number, enum diagnostic why)
{
	struct catalogue_worker entry;
	int rc = catalogue_get(catalogue, number, &entry);

	if (rc == -ENOENT)
		return rc;
	return reject(call, rc < 0 ? diagnostic_of(rc) : why);
}

static int embedded_send_input(void *instance, struct berth_call *call, const struct berth_input_request *request)
{
	struct catalogue *catalogue = catalogue_of(instance);
	struct berth_answer answer = { .size = sizeof answer, .state = BERTH_ACCEPTED };
	uint64_t number = worker_number(request->worker_id);
	struct catalogue_receipt receipt;
	int rc;

	if (!catalogue)
		return reject(call, STATE_UNAVAILABLE);
	if (is_blank(request->content))
		return refuse(catalogue, call, number, INVALID_REQUEST);
	rc = catalogue_append(catalogue, number, request->kind == BERTH_INPUT_SYSTEM, request->content, &receipt);
	if (rc == -ENOENT)
		return rc;
	if (rc < 0)
		return reject(call, rc == -EPERM ? INVALID_REQUEST : diagnostic_of(rc));
	answer.transcript_sequence = receipt.sequence;
	answer.event_id = receipt.event_id;
	return call->sink->answer(call, &answer);
}

/* ---- Transcript ---- */

struct reading {
	struct berth_call *call;
	const struct berth_transcript_request *request;
	bool begun;
};

static void reading_begin(void *data, const struct catalogue_worker *worker)
{
	struct reading *reading = data;
	uint64_t start = reading->request->start, limit = reading->request->limit;
	struct berth_answer answer = { .size = sizeof answer, .state = BERTH_ACCEPTED, .total_items = worker->n_items };

	if (start < worker->n_dropped)
		start = worker->n_dropped;
	if (start < worker->n_items && worker->n_items - start > limit) {
		answer.more = 1;
		answer.next_start = start + limit;
	}
	reading->call->sink->answer(reading->call, &answer);
	reading->begun = true;
	if (reading->request->start < worker->n_dropped)
		reading->call->sink->diagnostic(reading->call, &diagnostics[ITEMS_DROPPED]);
}

static int reading_item(void *data, const struct catalogue_item *entry)
{
	static const struct berth_text user = BERTH_TEXT("user"), system = BERTH_TEXT("system");
	struct reading *reading = data;
	const struct berth_transcript_item item = {
		.size = sizeof item,
		.sequence = entry->sequence,
		.event_id = entry->event_id,
		.role = entry->is_system ? system : user,
		.content = entry->content,
	};

	return reading->call->sink->transcript_item(reading->call, &item);
}

static int embedded_transcript(void *instance, struct berth_call *call, const struct berth_transcript_request *request)
{
	static const struct catalogue_reader reader = { reading_begin, reading_item };
	struct catalogue *catalogue = catalogue_of(instance);
	uint64_t number = worker_number(request->worker_id);
	struct reading reading = { call, request, false };
	int rc;

	if (!catalogue)
		return reject(call, STATE_UNAVAILABLE);
	if (request->limit > READ_LIMIT)
		return refuse(catalogue, call, number, LIMIT_TOO_LARGE);
	rc = catalogue_read(catalogue, number, request->start, request->limit, &reader, &reading);
	if (rc == 0 || rc == -ENOENT)
		return rc;
	if (!reading.begun)
		return reject(call, diagnostic_of(rc));
	call->sink->diagnostic(call, &diagnostics[diagnostic_of(rc)]);
	return fail(call, rc);
}

/* ---- Events ---- */

/* A cursor is the runtime's identity and the event behind which it stands, in hex
 * digits: IDENTITY-EVENT. */
enum { CURSOR_SIZE = STORE_IDENTITY_LEN + 32 };

static struct berth_text write_cursor(const struct catalogue *catalogue, uint64_t event_id, char cursor[CURSOR_SIZE])
{
	return (struct berth_text){ cursor, (size_t)snprintf(cursor, CURSOR_SIZE, "%s-%llx", catalogue_identity(catalogue),
							     (unsigned long long)event_id) };
}

/* False where the cursor is none that was written here; then it is written otherwise. */
static bool read_cursor(const struct catalogue *catalogue, struct berth_text text, uint64_t *event_idp)
{
	char digits[CURSOR_SIZE], again[CURSOR_SIZE];
	uint64_t event_id = 0;

	if (text.ptr) {
		if (text.len <= STORE_IDENTITY_LEN || text.len >= CURSOR_SIZE)
			return false;
		snprintf(digits, sizeof digits, "%.*s", (int)(text.len - STORE_IDENTITY_LEN - 1),
			 text.ptr + STORE_IDENTITY_LEN + 1);
		event_id = strtoull(digits, NULL, 16);
		if (!text_equal(text, write_cursor(catalogue, event_id, again)))
			return false;
	}
	*event_idp = event_id;
	return event_id <= catalogue_last_event(catalogue);
}

static int push_event(const struct catalogue *catalogue, struct berth_call *call, const struct catalogue_event *entry)
{
	static const char *const kinds[N_EVENT_KINDS] = {
		[EVENT_STARTED] = "runtime_started",
		[EVENT_CREATED] = "worker_created",
		[EVENT_INPUT] = "input_accepted",
		[EVENT_STOPPED] = "worker_stopped",
		[EVENT_CANCELLED] = "worker_cancelled",
	};
	char id[WORKER_ID_SIZE], cursor[CURSOR_SIZE];
	struct berth_event event = {
		.size = sizeof event,
		.event_id = entry->id,
		.kind = berth_text(kinds[entry->kind]),
		.occurred_at_ns = entry->at_ns,
		.transcript_sequence = entry->sequence,
		.cursor = write_cursor(catalogue, entry->id, cursor),
	};

	if (entry->worker > 0)
		event.worker_id = worker_id_of(entry->worker, id);
	return call->sink->event(call, &event);
}

static int embedded_read_events(void *instance, struct berth_call *call, const struct berth_events_request *request)
{
	struct catalogue *catalogue = catalogue_of(instance);
	struct berth_answer answer = { .size = sizeof answer, .state = BERTH_ACCEPTED };
	struct catalogue_event events[READ_LIMIT + 1];
	uint64_t after = 0;
	char cursor[CURSOR_SIZE];
	size_t n = 0;
	int rc;

	if (!catalogue)
		return reject(call, STATE_UNAVAILABLE);
	if (request->limit > READ_LIMIT)
		return reject(call, LIMIT_TOO_LARGE);
	if (!read_cursor(catalogue, request->cursor, &after))
		return reject(call, WRONG_IDENTITY);
	/* One more than is wanted, to see whether there is one. */
	rc = catalogue_events(catalogue, after, events, (size_t)request->limit + 1, &n);
	if (rc < 0)
		return reject(call, diagnostic_of(rc));
	answer.more = n > request->limit;
	n -= answer.more;
	answer.next_cursor = write_cursor(catalogue, n > 0 ? events[n - 1].id : after, cursor);
	call->sink->answer(call, &answer);
	for (size_t i = 0; i < n; i++)
		if (push_event(catalogue, call, &events[i]))
			break;
	return 0;
}

/* ---- Runtime and host ---- */

static bool is_available(const struct embedded *embedded)
{
	struct catalogue *catalogue = atomic_load(&embedded->catalogue);

	return catalogue && !catalogue_is_damaged(catalogue);
}

static int push_runtime(const struct embedded *embedded, struct berth_call *call, uint64_t limit)
{
	const struct berth_text host_id = { embedded->host_id, embedded->host_id_len };
	struct berth_runtime runtime = {
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

	if (!is_available(embedded)) {
		runtime.label = berth_text(UNAVAILABLE_LABEL);
		runtime.status = berth_text("unavailable");
		runtime.n_host_ids = 0;
		runtime.can = UNAVAILABLE_CAN;
		runtime.diagnostics = &diagnostics[STATE_UNAVAILABLE];
		runtime.n_diagnostics = 1;
	}
	return call->sink->runtime(call, &runtime);
}

static void embedded_close(void *instance)
{
	struct embedded *embedded = instance;

	catalogue_close(atomic_load(&embedded->catalogue));
	pthread_mutex_destroy(&embedded->opening);
	free(embedded->store);
	free(embedded);
}

enum option {
	OPTION_STORE,
	OPTION_DURABILITY,
	OPTION_KEEP_ITEMS,
	OPTION_KEEP_DAYS,
	OPTION_KEEP_RESTING_DAYS,
	N_OPTIONS,
};

/* A directory as it is, or in the data directory where its path is relative. */
static int read_store(struct embedded *embedded, struct berth_call *call, const struct berth_open_request *request)
{
	struct berth_text store = request->options[OPTION_STORE].text, data_dir = request->data_dir;
	bool absolute = store.len > 0 && store.ptr[0] == '/';

	if (text_is(store, "memory"))
		return 0;
	if (store.len == 0)
		return call->sink->fail(call, -EINVAL, "option store: memory or a directory is expected, found nothing");
	if (!absolute && !data_dir.ptr)
		return call->sink->fail(call, -EINVAL, "option store: %.*s is relative, and there is no data directory that "
					"it could be in; an absolute path is expected", (int)store.len, store.ptr);
	if (asprintf(&embedded->store, "%.*s%s%.*s", absolute ? 0 : (int)data_dir.len, absolute ? "" : data_dir.ptr,
		     absolute ? "" : "/", (int)store.len, store.ptr) < 0) {
		embedded->store = NULL;
		return call->sink->fail(call, -ENOMEM, "no memory for the runtime");
	}
	return 0;
}

static int read_options(struct embedded *embedded, struct berth_call *call, const struct berth_open_request *request)
{
	struct berth_text durability;

	/* Whoever gives none wants the defaults. */
	if (request->n_options < N_OPTIONS)
		return 0;
	embedded->retention = (struct catalogue_retention){
		.items = request->options[OPTION_KEEP_ITEMS].number,
		.days = request->options[OPTION_KEEP_DAYS].number,
		.resting_days = request->options[OPTION_KEEP_RESTING_DAYS].number,
	};
	durability = request->options[OPTION_DURABILITY].text;
	embedded->relaxed = text_is(durability, "relaxed");
	if (!embedded->relaxed && !text_is(durability, "full"))
		return call->sink->fail(call, -EINVAL, "option durability: full or relaxed is expected, found %.*s",
					durability.len > 80 ? 80 : (int)durability.len, durability.ptr);
	return read_store(embedded, call, request);
}

/* What is in the way of it is no reason to be absent: the runtime is presented as
 * unavailable, and berth is told why. Only what the configuration itself rules out is. */
static int open_state(struct embedded *embedded, struct berth_call *call)
{
	struct catalogue *catalogue = NULL;
	struct reason reason = { "" };
	int rc = open_catalogue(embedded, &catalogue, &reason);

	atomic_store(&embedded->catalogue, catalogue);
	embedded->may_pass = rc != -EBADMSG;
	if (rc == -EBUSY || rc == -ENOSYS || rc == -ENOMEM)
		return call->sink->fail(call, rc, "%s", reason.text);
	/* What can only be read has its reason as well. */
	return *reason.text ? call->sink->fail(call, 0, "%s", reason.text) : 0;
}

static int embedded_open(void **instance, struct berth_call *call, const struct berth_open_request *request)
{
	const struct berth_text prefix = BERTH_TEXT("embedded-");
	struct embedded *embedded = calloc(1, sizeof *embedded);
	int rc;

	if (!embedded)
		return call->sink->fail(call, -ENOMEM, "no memory for the runtime");
	embedded->services = call->services;
	pthread_mutex_init(&embedded->opening, NULL);
	embedded->host_id_len = call->services->generated_id(call->services, prefix, request->workspace_id,
							     embedded->host_id, sizeof embedded->host_id).len;
	rc = embedded->host_id_len > 0 ? read_options(embedded, call, request) :
					 call->sink->fail(call, -ENOMEM, "no memory for the runtime");
	if (rc == 0)
		rc = open_state(embedded, call);
	if (rc < 0) {
		embedded_close(embedded);
		return rc;
	}
	*instance = embedded;
	return push_runtime(embedded, call, 1);
}

static int embedded_runtime(void *instance, struct berth_call *call, const struct berth_list_request *request)
{
	catalogue_of(instance);
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
		.can = is_available(embedded) ? RUNTIME_CAN : UNAVAILABLE_CAN,
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
	.read_events = embedded_read_events,
};

BERTH_ADAPTER(embedded, "embedded", PACKAGE_VERSION, BERTH_THREADS_ANY,
	      BERTH_OPTION("store", "path", "memory", "memory, or the directory where workers and transcripts are kept")
	      BERTH_OPTION("durability", "text", "full",
			   "full: what is accepted survives the machine; relaxed: the process alone")
	      BERTH_OPTION("keep_items", "count", "0", "how many items of a transcript are kept; 0: all")
	      BERTH_OPTION("keep_days", "count", "0", "for how many days items are kept; 0: for good")
	      BERTH_OPTION("keep_resting_days", "count", "0",
			   "for how many days workers are kept that do not run any more; 0: for good"),
	      &embedded_adapter);
