/* SPDX-License-Identifier: MIT */
/*
 * The operations of the contract with callers, over calls into the adapters. Answers
 * are written straight into the caller's buffer in the order of their keys; a part
 * that is not yet known when its turn comes has a buffer of its own.
 */
#include "config.h"

#include "core/registry.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/call.h"
#include "core/cleanup.h"
#include "core/identifier.h"
#include "core/json_writer.h"
#include "core/text.h"
#include "inline/thread.h"
#include "inline/utf8.h"

enum { HOST_SCAN_MAX = 256 };

/* ---- Runtimes ---- */

static struct instance *find_instance(const struct registry *registry, struct berth_text runtime_id)
{
	for (size_t i = 0; i < registry->n_instances; i++)
		if (text_equal(registry->instances[i]->runtime.base.runtime_id, runtime_id))
			return registry->instances[i];
	return NULL;
}

int registry_add(struct registry *registry, struct instance *instance)
{
	struct instance **instances;

	if (find_instance(registry, instance->runtime.base.runtime_id))
		return -EEXIST;
	instances = reallocarray(registry->instances, registry->n_instances + 1, sizeof *instances);
	if (!instances)
		return -ENOMEM;
	registry->instances = instances;
	instances[registry->n_instances++] = instance;
	return 0;
}

static void *close_one(void *instance)
{
	instance_close(instance);
	return NULL;
}

/* Closes those that are processes of their own, side by side: each may take until it is forced to end. */
static void close_apart(struct registry *registry)
{
	CLEANUP_FREE pthread_t *threads = calloc(registry->n_instances, sizeof *threads);
	size_t n_threads = 0, n = 0;

	for (size_t i = 0; i < registry->n_instances; i++) {
		struct instance *instance = registry->instances[i];

		if (threads && instance->is_apart && thread_create_quiet(&threads[n_threads], close_one, instance) == 0)
			n_threads++;
		else
			registry->instances[n++] = instance;
	}
	registry->n_instances = n;
	while (n_threads > 0)
		pthread_join(threads[--n_threads], NULL);
}

void registry_fini(struct registry *registry)
{
	close_apart(registry);
	/* The last that was opened is closed first. */
	while (registry->n_instances > 0)
		instance_close(registry->instances[--registry->n_instances]);
	free(registry->instances);
	*registry = (struct registry){ 0 };
}

/* ---- Writing ---- */

/* ,"key":"text" with the punctuation given in lead. */
static inline __attribute__((always_inline)) void write_member(struct buffer *out, const char *lead, struct berth_text text)
{
	buffer_append_string(out, lead);
	json_write_string(out, text);
}

static inline __attribute__((always_inline)) void write_number(struct buffer *out, const char *lead, uint64_t value)
{
	buffer_append_string(out, lead);
	json_write_u64(out, value);
}

/* Ends an object with its diagnostics, and frees those. */
static inline __attribute__((always_inline)) void close_with_diagnostics(struct buffer *out, const char *lead, struct diagnostics *diagnostics)
{
	buffer_append_string(out, lead);
	if (!diagnostics->text.data && !diagnostics->text.failed) {
		buffer_append_string(out, "[]}");
		return;
	}
	diagnostics_write(out, diagnostics);
	buffer_append_char(out, '}');
	diagnostics_fini(diagnostics);
}

static void open_list(const struct registry *registry, const struct request *request, struct buffer *out)
{
	if (request->with_workspace) {
		write_member(out, "{\"workspace_id\":", registry->workspace_id);
		write_number(out, ",\"limit\":", request->limit);
	}
	buffer_append_string(out, request->with_workspace ? ",\"items\":[" : "{\"items\":[");
}

static void close_list(const struct request *request, struct buffer *out, struct diagnostics *diagnostics)
{
	buffer_append_char(out, ']');
	if (request->with_workspace)
		buffer_append_string(out, ",\"source\":\"worker_runtime_registry\"");
	close_with_diagnostics(out, ",\"diagnostics\":", diagnostics);
}

static void write_invalid_identifier(struct buffer *out, const char *kind, struct berth_text value)
{
	value.len = utf8_prefix(value.ptr, value.len, BERTH_ID_MAX);
	buffer_append_string(out, "{\"error\":{\"kind\":\"invalid_identifier\",\"identifier_kind\":\"");
	buffer_append_string(out, kind);
	write_member(out, "\",\"value\":", value);
	buffer_append_string(out, "}}");
}

static void write_unknown_runtime(struct buffer *out, struct berth_text runtime_id)
{
	write_member(out, "{\"error\":{\"kind\":\"unknown_runtime\",\"runtime_id\":", runtime_id);
	buffer_append_string(out, "}}");
}

static void write_unknown_worker(struct buffer *out, const struct request *request)
{
	write_member(out, "{\"error\":{\"kind\":\"unknown_worker\",\"runtime_id\":", request->runtime_id);
	write_member(out, ",\"worker_id\":", request->worker_id);
	buffer_append_string(out, "}}");
}

static void write_unknown_host(struct buffer *out, struct berth_text host_id)
{
	write_member(out, "{\"error\":{\"kind\":\"unknown_host\",\"host_id\":", host_id);
	buffer_append_string(out, "}}");
}

/* The ids are judged before anything else is, the runtime's first, unless it is one that is there. */
static bool check_ids(const struct request *request, bool is_known, bool of_worker, struct buffer *out)
{
	if (!is_known && !identifier_valid(request->runtime_id)) {
		write_invalid_identifier(out, "runtime_id", request->runtime_id);
		return false;
	}
	if (of_worker && !identifier_valid(request->worker_id)) {
		write_invalid_identifier(out, "worker_id", request->worker_id);
		return false;
	}
	return true;
}

void registry_answer_bad_request(struct buffer *out, const struct error *error)
{
	write_member(out, "{\"error\":{\"kind\":\"bad_request\",\"message\":", berth_text(error->text));
	buffer_append_string(out, "}}");
}

/* ---- Asking ---- */

/* What every call has of the request that it is made for. */
#define CALL_FOR(request) .base.deadline_ns = (request)->deadline_ns, .would_waitp = (request)->would_waitp

static void add_failed(struct diagnostics *diagnostics, const struct call *call)
{
	/* The reason may name a path or an address, so it is in the log alone. */
	diagnostics_add(diagnostics, BERTH_ERROR, "adapter_failed",
			"the adapter of runtime %.*s did not answer %s as it should; the log of the host says why",
			(int)call->instance->runtime.base.runtime_id.len, call->instance->runtime.base.runtime_id.ptr,
			operation_name(call->operation));
}

/* Asks for a list; what went wrong becomes a diagnostic. */
static void ask_list(struct call *call, uint64_t limit)
{
	union request_block block = { .room = { 0 } };

	block.list = (struct berth_list_request){ sizeof block.list, limit };
	call->request = &block;
	if (call_run(call, NULL) == CALL_FAILED)
		add_failed(call->diagnostics, call);
	call->request = NULL;
	call_fini(call);
}

/* ---- Asking several at once ---- */

/* What an instance has been asked before its turn: so that those that answer from another
 * process, and perhaps do not, are waited for together and not one after the other. */
struct early {
	struct call call;
	const struct request *request;
	void (*ask)(struct early *early);
	pthread_t thread;
	bool asked;
	bool found; /* the host, by ask_host */
	struct buffer out;
	struct diagnostics diagnostics;
};

static void *ask_early(void *data)
{
	struct early *early = data;

	early->ask(early);
	return NULL;
}

/* Asks those in other processes from the one at first on; one by one where there are not several. Returns what to give to
 * wait_early, one for each instance, or NULL. */
static struct early *ask_all_early(struct registry *registry, size_t first, enum operation operation,
				   const struct request *request, void (*ask)(struct early *early))
{
	struct early *early;
	size_t n = 0;

	for (size_t i = first; i < registry->n_instances; i++)
		n += registry->instances[i]->is_apart;
	/* Who must not wait is stopped by the first of them. */
	early = n > 1 && request->limit > 0 && !request->would_waitp ? calloc(registry->n_instances, sizeof *early) : NULL;
	for (size_t i = first; early && i < registry->n_instances; i++) {
		early[i].request = request;
		early[i].ask = ask;
		early[i].call = (struct call){
			CALL_FOR(request),
			.instance = registry->instances[i],
			.operation = operation,
			.out = &early[i].out,
			.diagnostics = &early[i].diagnostics,
			.wanted = request->limit,
		};
		early[i].asked = registry->instances[i]->is_apart &&
				 thread_create_quiet(&early[i].thread, ask_early, &early[i]) == 0;
	}
	return early;
}

/* Waits for the one at i; NULL where it is to be asked now. */
static const struct early *wait_early(struct early *early, size_t i)
{
	if (!early || !early[i].asked)
		return NULL;
	pthread_join(early[i].thread, NULL);
	early[i].asked = false;
	return &early[i];
}

static void free_early(struct registry *registry, struct early *early)
{
	for (size_t i = 0; early && i < registry->n_instances; i++) {
		if (early[i].asked)
			pthread_join(early[i].thread, NULL);
		buffer_fini(&early[i].out);
		diagnostics_fini(&early[i].diagnostics);
	}
	free(early);
}

static void append_buffer(struct buffer *out, const struct buffer *part)
{
	buffer_append(out, part->data, part->len);
	if (part->failed)
		out->failed = true;
}

static void ask_list_early(struct early *early)
{
	ask_list(&early->call, early->request->limit);
}

/* Adds the items of an instance to a list, for which it may have been asked early for as many as the whole of it takes:
 * unless that was for as many, or it had less to say than there is room for now, it is asked again. A host also says for
 * how much it was asked. */
static void add_items(struct call *call, uint64_t room, const struct early *answered)
{
	bool says_limit = call->operation == OPERATION_LIST_HOSTS;

	if (!answered || (room != call->wanted && answered->call.n_pushed > 0 &&
			  (says_limit || answered->call.n_pushed >= room))) {
		ask_list(call, room);
		return;
	}
	if (call->n_items > 0 && answered->call.n_items > 0)
		buffer_append_char(call->out, ',');
	append_buffer(call->out, &answered->out);
	diagnostics_append(call->diagnostics, &answered->diagnostics);
	call->n_items += answered->call.n_items;
}

/* ---- list_runtimes ---- */

/* Writes what open pushed: the adapter has no operation of its own, or it failed. */
static void write_kept_runtime(struct buffer *out, const struct shape *shape, const struct instance *instance,
			       uint64_t limit, bool failed)
{
	struct wire_runtime runtime = instance->runtime;
	struct error why;

	runtime.max_workers = limit;
	if (failed) {
		runtime.base.status = berth_text("unavailable");
		runtime.base.can = 0;
	}
	wire_write(out, shape, &runtime, &why);
}

/* Writes the runtime of an instance in one of its shapes, but for its diagnostics. */
static void ask_runtime(struct instance *instance, const struct request *request, const struct shape *shape,
			struct buffer *out, struct diagnostics *diagnostics)
{
	union request_block block = { .room = { 0 } };
	struct call call = {
		CALL_FOR(request),
		.instance = instance,
		.operation = OPERATION_RUNTIME,
		.request = &block,
		.out = out,
		.diagnostics = diagnostics,
		.runtime_shape = shape,
	};
	enum call_result result;

	block.list = (struct berth_list_request){ sizeof block.list, request->limit };
	result = call_run(&call, NULL);
	if (result == CALL_FAILED)
		add_failed(diagnostics, &call);
	if (result == CALL_DEFAULT)
		diagnostics_append(diagnostics, &instance->diagnostics);
	if (call.n_pushed == 0)
		write_kept_runtime(out, shape, instance, request->limit, result == CALL_FAILED);
	call_fini(&call);
}

static void ask_runtime_early(struct early *early)
{
	ask_runtime(early->call.instance, early->request, &wire_runtime_shape, &early->out, &early->diagnostics);
}

static void list_runtimes(struct registry *registry, const struct request *request, struct buffer *out)
{
	struct early *early = ask_all_early(registry, 0, OPERATION_RUNTIME, request, ask_runtime_early);
	struct diagnostics all = { .n = 0 }, own = { .n = 0 };

	open_list(registry, request, out);
	for (size_t i = 0; i < registry->n_instances && i < request->limit; i++) {
		const struct early *answered = wait_early(early, i);

		if (i > 0)
			buffer_append_char(out, ',');
		if (answered) {
			append_buffer(out, &answered->out);
			diagnostics_append(&own, &answered->diagnostics);
		} else {
			ask_runtime(registry->instances[i], request, &wire_runtime_shape, out, &own);
		}
		diagnostics_append(&all, &own);
		close_with_diagnostics(out, "", &own);
	}
	free_early(registry, early);
	close_list(request, out, &all);
}

/* ---- list_hosts, list_workers ---- */

/* Adds the items of the instances from the one at i on, behind n. */
static void write_items(struct registry *registry, size_t i, uint64_t n, enum operation operation,
			const struct request *request, struct buffer *out, struct diagnostics *diagnostics)
{
	struct early *early = ask_all_early(registry, i, operation, request, ask_list_early);

	for (; i < registry->n_instances && n < request->limit; i++) {
		struct call call = {
			CALL_FOR(request),
			.instance = registry->instances[i],
			.operation = operation,
			.out = out,
			.outlet = request->outlet,
			.diagnostics = diagnostics,
			.wanted = request->limit,
			.n_items = n,
		};

		add_items(&call, request->limit - n, wait_early(early, i));
		n = call.n_items;
	}
	free_early(registry, early);
}

static void list_items(struct registry *registry, enum operation operation, const struct request *request,
		       struct buffer *out)
{
	struct diagnostics all = { .n = 0 };

	open_list(registry, request, out);
	write_items(registry, 0, 0, operation, request, out, &all);
	close_list(request, out, &all);
}

static void list_hosts(struct registry *registry, const struct request *request, struct buffer *out)
{
	list_items(registry, OPERATION_LIST_HOSTS, request, out);
}

/* Writes the workers behind one, of its runtime and then of those behind it; false where it is not listed. Its runtime is
 * asked for all of its workers, and those up to that one are passed over. */
static bool write_workers_after(struct registry *registry, size_t i, struct berth_text worker_id,
				const struct request *request, struct buffer *out, struct diagnostics *diagnostics)
{
	struct call call = {
		CALL_FOR(request),
		.instance = registry->instances[i],
		.operation = OPERATION_LIST_WORKERS,
		.out = out,
		.outlet = request->outlet,
		.diagnostics = diagnostics,
		.wanted = request->limit,
		.after_id = worker_id,
	};

	if (request->limit == 0)
		return true;
	ask_list(&call, UINT64_MAX);
	if (call.after_id.ptr)
		return false;
	write_items(registry, i + 1, call.n_items, OPERATION_LIST_WORKERS, request, out, diagnostics);
	return true;
}

static void list_workers_after(struct registry *registry, const struct request *request, struct buffer *out)
{
	const char *slash = memchr(request->after.ptr, '/', request->after.len);
	struct request after = *request;
	struct diagnostics all = { .n = 0 };
	size_t mark = out->len, i = 0;

	after.runtime_id = (struct berth_text){ request->after.ptr, (size_t)(slash - request->after.ptr) };
	after.worker_id = (struct berth_text){ slash + 1, request->after.len - after.runtime_id.len - 1 };
	if (!check_ids(&after, false, true, out))
		return;
	while (i < registry->n_instances && !text_equal(registry->instances[i]->runtime.base.runtime_id, after.runtime_id))
		i++;
	if (i == registry->n_instances) {
		write_unknown_runtime(out, after.runtime_id);
		return;
	}
	open_list(registry, request, out);
	if (write_workers_after(registry, i, after.worker_id, request, out, &all)) {
		close_list(request, out, &all);
		return;
	}
	/* It has no place in the list that one could go on from. */
	diagnostics_fini(&all);
	buffer_cut(out, mark);
	write_unknown_worker(out, &after);
}

static void list_workers(struct registry *registry, const struct request *request, struct buffer *out)
{
	if (request->after.ptr)
		list_workers_after(registry, request, out);
	else
		list_items(registry, OPERATION_LIST_WORKERS, request, out);
}

/* ---- list_workers_for_host ---- */

struct host_search {
	struct call call;
	struct berth_text host_id;
	bool found;
};

static void compare_host(struct call *call, struct berth_text host_id)
{
	struct host_search *search = (struct host_search *)call;

	if (text_equal(host_id, search->host_id))
		search->found = true;
}

/* The list is read to its end: its diagnostics belong to the answer. */
static bool has_host(struct instance *instance, const struct request *request, struct diagnostics *diagnostics)
{
	struct buffer nowhere = { 0 };
	struct host_search search = {
		.call = {
			CALL_FOR(request),
			.instance = instance,
			.operation = OPERATION_LIST_HOSTS,
			.out = &nowhere,
			.diagnostics = diagnostics,
			.on_host = compare_host,
		},
		.host_id = request->host_id,
	};

	ask_list(&search.call, HOST_SCAN_MAX);
	buffer_fini(&nowhere);
	return search.found;
}

static void ask_host_early(struct early *early)
{
	early->found = has_host(early->call.instance, early->request, &early->diagnostics);
}

/* As has_host, of one that may have been asked early. */
static bool had_host(struct instance *instance, const struct request *request, const struct early *answered,
		     struct diagnostics *diagnostics)
{
	if (!answered)
		return has_host(instance, request, diagnostics);
	diagnostics_append(diagnostics, &answered->diagnostics);
	return answered->found;
}

static void list_workers_for_host(struct registry *registry, const struct request *request, struct buffer *out)
{
	struct early *early;
	struct diagnostics all = { .n = 0 };
	size_t mark = out->len;
	uint64_t n = 0;
	bool found = false;

	if (!identifier_valid(request->host_id)) {
		write_invalid_identifier(out, "host_id", request->host_id);
		return;
	}
	early = ask_all_early(registry, 0, OPERATION_LIST_HOSTS, request, ask_host_early);
	open_list(registry, request, out);
	for (size_t i = 0; i < registry->n_instances && !(found && n >= request->limit); i++) {
		struct call call = {
			CALL_FOR(request),
			.instance = registry->instances[i],
			.operation = OPERATION_LIST_WORKERS,
			.out = out,
			.outlet = request->outlet,
			.diagnostics = &all,
			.host_id = request->host_id,
			.wanted = request->limit,
			.n_items = n,
		};

		if (!had_host(registry->instances[i], request, wait_early(early, i), &all))
			continue;
		found = true;
		ask_list(&call, request->limit);
		n = call.n_items;
	}
	free_early(registry, early);
	if (found) {
		close_list(request, out, &all);
		return;
	}
	diagnostics_fini(&all);
	buffer_cut(out, mark);
	write_unknown_host(out, request->host_id);
}

/* ---- worker ---- */

/* Writes the worker into out, if there is one. */
static bool look_up_into(struct instance *instance, const struct request *request, struct buffer *out)
{
	union request_block block = { .room = { 0 } };
	struct diagnostics dropped = { .n = 0 };
	struct call call = {
		CALL_FOR(request),
		.instance = instance,
		.operation = OPERATION_WORKER,
		.request = &block,
		.out = out,
		.diagnostics = &dropped,
		.worker_id = request->worker_id,
		.wanted = 1,
	};
	size_t mark = out->len;
	enum call_result result;

	block.worker = (struct berth_worker_request){ sizeof block.worker, request->worker_id };
	result = call_run(&call, NULL);
	if (result == CALL_DEFAULT) {
		/* Without an operation for it, the list is walked until the id matches. */
		call.operation = OPERATION_LIST_WORKERS;
		ask_list(&call, UINT64_MAX);
	}
	call_fini(&call);
	diagnostics_fini(&dropped);
	if (result == CALL_UNKNOWN)
		buffer_cut(out, mark);
	return result != CALL_UNKNOWN && call.n_items > 0;
}

static bool has_worker(struct instance *instance, const struct request *request)
{
	struct buffer nowhere = { 0 };
	bool found = look_up_into(instance, request, &nowhere);

	buffer_fini(&nowhere);
	return found;
}

static void get_worker(struct instance *instance, const struct request *request, struct buffer *out)
{
	if (!look_up_into(instance, request, out))
		write_unknown_worker(out, request);
}

/* ---- Defaults: what the registry answers where an adapter has no answer of its own. ---- */

static void add_pending(struct diagnostics *diagnostics, const char *code, const char *what, struct berth_text whom)
{
	diagnostics_add(diagnostics, BERTH_INFO, code, "%s %.*s: the adapter of this runtime does not offer it yet", what,
			(int)whom.len, whom.ptr);
}

static void spawn_default(struct diagnostics *diagnostics, const struct request *request)
{
	add_pending(diagnostics, "worker_spawn_resolver_pending", "launching a worker for the intent",
		    berth_text(request_intent_name(&request->block.spawn)));
}

static void stop_default(struct diagnostics *diagnostics, const struct request *request)
{
	add_pending(diagnostics, "worker_stop_pending", "stopping worker", request->worker_id);
}

static void input_default(struct diagnostics *diagnostics, const struct request *request)
{
	add_pending(diagnostics, "worker_input_pending", "sending input to worker", request->worker_id);
}

static void transcript_default(struct diagnostics *diagnostics, const struct request *request)
{
	add_pending(diagnostics, "worker_transcript_pending", "reading the transcript of worker", request->worker_id);
}

static void events_default(struct diagnostics *diagnostics, const struct request *request)
{
	add_pending(diagnostics, "runtime_events_pending", "reading the events of runtime", request->runtime_id);
}

/* ---- spawn_worker, stop_worker, send_input, transcript, read_events ---- */

static void write_state(struct buffer *out, const struct request *request, const struct berth_answer *answer)
{
	static const struct berth_text heads[] = {
		[BERTH_ACCEPTED] = BERTH_TEXT("{\"state\":\"accepted\""),
		[BERTH_UNSUPPORTED] = BERTH_TEXT("{\"state\":\"unsupported\""),
		[BERTH_REJECTED] = BERTH_TEXT("{\"state\":\"rejected\""),
	};

	(void)request;
	buffer_append(out, heads[answer->state].ptr, heads[answer->state].len);
}

/* Both are identifiers, so there is nothing in them that is not plain. */
static void write_address(struct buffer *out, const struct request *request)
{
	static const char first[] = ",\"runtime_id\":\"", second[] = "\",\"worker_id\":\"";
	const struct berth_text runtime_id = request->runtime_id, worker_id = request->worker_id;
	char *q = buffer_reserve(out, sizeof first + runtime_id.len + sizeof second + worker_id.len);

	if (!q)
		return;
	q = mempcpy(q, first, sizeof first - 1);
	q = mempcpy(q, runtime_id.ptr, runtime_id.len);
	q = mempcpy(q, second, sizeof second - 1);
	q = mempcpy(q, worker_id.ptr, worker_id.len);
	*q++ = '"';
	out->len = (size_t)(q - out->data);
}

static void input_head(struct buffer *out, const struct request *request, const struct berth_answer *answer)
{
	write_state(out, request, answer);
	write_address(out, request);
	if (answer->transcript_sequence)
		write_number(out, ",\"transcript_sequence\":", answer->transcript_sequence);
	if (answer->event_id)
		write_number(out, ",\"event_id\":", answer->event_id);
}

static void transcript_head(struct buffer *out, const struct request *request, const struct berth_answer *answer)
{
	write_state(out, request, answer);
	write_address(out, request);
	write_number(out, ",\"start\":", request->start);
	write_number(out, ",\"limit\":", request->limit);
	write_number(out, ",\"total_items\":", answer->total_items);
	if (answer->more)
		write_number(out, ",\"next_start\":", answer->next_start);
	buffer_append_string(out, ",\"items\":[");
}

static void events_head(struct buffer *out, const struct request *request, const struct berth_answer *answer)
{
	write_state(out, request, answer);
	write_member(out, ",\"runtime_id\":", request->runtime_id);
	write_number(out, ",\"limit\":", request->limit);
	if (answer->next_cursor.ptr)
		write_member(out, ",\"next_cursor\":", answer->next_cursor);
	buffer_append_string(out, answer->more ? ",\"more\":true,\"items\":[" : ",\"more\":false,\"items\":[");
}

static void spawn_tail(struct buffer *out, struct call *call)
{
	if (call->n_evidence == 0)
		buffer_append_string(out, ",\"acceptance_evidence\":[");
	append_buffer(out, &call->evidence);
	buffer_append_char(out, ']');
}

static void items_tail(struct buffer *out, struct call *call)
{
	(void)call;
	buffer_append_char(out, ']');
}

/* How an answer is put together: what stands before its worker or items, what
 * follows them, and the diagnostic of the default. */
struct answer_form {
	enum operation operation;
	void (*head)(struct buffer *out, const struct request *request, const struct berth_answer *answer);
	void (*tail)(struct buffer *out, struct call *call); /* may be NULL */
	void (*add_default)(struct diagnostics *diagnostics, const struct request *request);
};

static const struct answer_form answer_forms[N_REQUEST_OPS] = {
	[REQUEST_SPAWN_WORKER] = { OPERATION_SPAWN_WORKER, write_state, spawn_tail, spawn_default },
	[REQUEST_STOP_WORKER] = { OPERATION_STOP_WORKER, write_state, NULL, stop_default },
	[REQUEST_SEND_INPUT] = { OPERATION_SEND_INPUT, input_head, NULL, input_default },
	[REQUEST_TRANSCRIPT] = { OPERATION_TRANSCRIPT, transcript_head, items_tail, transcript_default },
	[REQUEST_READ_EVENTS] = { OPERATION_READ_EVENTS, events_head, items_tail, events_default },
};

struct exchange {
	struct call call;
	const struct request *request;
	const struct answer_form *form;
};

static void write_head(struct call *call)
{
	struct exchange *exchange = (struct exchange *)call;

	exchange->form->head(call->out, exchange->request, &call->answer);
}

/* Begins the answer again, with a state that the adapter did not give. */
static void write_head_anew(struct call *call, size_t mark, uint64_t state)
{
	buffer_cut(call->out, mark);
	buffer_cut(&call->evidence, 0);
	call->n_evidence = 0;
	call->answer = (struct berth_answer){ .state = state };
	write_head(call);
}

/* Whether the request is about a worker that is not there. The adapter has judged
 * that where it has an operation; else it is looked up. */
static bool worker_is_missing(struct instance *instance, const struct request *request, enum call_result result)
{
	if (result == CALL_DEFAULT && request->worker_id.ptr)
		return !has_worker(instance, request);
	return result == CALL_UNKNOWN;
}

static void exchange(struct instance *instance, const struct request *request, struct buffer *out)
{
	struct diagnostics diagnostics = { .n = 0 };
	struct exchange exchange = {
		.call = {
			CALL_FOR(request),
			.instance = instance,
			.operation = answer_forms[request->op].operation,
			.request = &request->block,
			.out = out,
			.diagnostics = &diagnostics,
			.wanted = UINT64_MAX,
			.on_answer = write_head,
		},
		.request = request,
		.form = &answer_forms[request->op],
	};
	struct call *call = &exchange.call;
	size_t mark = out->len;
	enum call_result result = call_run(call, NULL);

	if (worker_is_missing(instance, request, result)) {
		buffer_cut(out, mark);
		write_unknown_worker(out, request);
		diagnostics_fini(&diagnostics);
	} else {
		if (result == CALL_DEFAULT) {
			write_head_anew(call, mark, BERTH_UNSUPPORTED);
			exchange.form->add_default(&diagnostics, request);
		}
		if (result == CALL_FAILED) {
			/* What it answered before it broke the contract holds all the same. */
			if (!call->answered || call->returned < 0 || call->returned > 1)
				write_head_anew(call, mark, BERTH_REJECTED);
			add_failed(&diagnostics, call);
		}
		if (exchange.form->tail)
			exchange.form->tail(out, call);
		close_with_diagnostics(out, ",\"diagnostics\":", &diagnostics);
	}
	call_fini(call);
}

/* ---- connect_points ---- */

static void write_default_point(struct buffer *out, const struct request *request)
{
	struct diagnostics own = { .n = 0 };

	add_pending(&own, "worker_proxy_pending", "connecting to worker", request->worker_id);
	buffer_append_string(out, "{\"kind\":\"stream_proxy\",\"status\":\"not_implemented\"");
	close_with_diagnostics(out, ",\"diagnostics\":", &own);
}

static void connect_points(struct instance *instance, const struct request *request, struct buffer *out)
{
	struct diagnostics all = { .n = 0 };
	struct call call = {
		CALL_FOR(request),
		.instance = instance,
		.operation = OPERATION_CONNECT_POINTS,
		.request = &request->block,
		.out = out,
		.diagnostics = &all,
		.wanted = UINT64_MAX,
	};
	size_t mark = out->len;
	enum call_result result;

	buffer_append_string(out, "{\"items\":[");
	result = call_run(&call, NULL);
	if (worker_is_missing(instance, request, result)) {
		buffer_cut(out, mark);
		write_unknown_worker(out, request);
		diagnostics_fini(&all);
	} else {
		if (result == CALL_DEFAULT)
			write_default_point(out, request);
		if (result == CALL_FAILED)
			add_failed(&all, &call);
		close_with_diagnostics(out, "],\"diagnostics\":", &all);
	}
	call_fini(&call);
}

/* ---- hello ---- */

static void hello(struct registry *registry, const struct request *request, struct buffer *out)
{
	struct diagnostics dropped = { .n = 0 };

	buffer_append_string(out, "{\"protocol\":1,\"version\":\"" PACKAGE_VERSION "\",\"runtimes\":[");
	for (size_t i = 0; i < registry->n_instances; i++) {
		struct instance *instance = registry->instances[i];

		write_member(out, i > 0 ? ",{\"runtime_id\":" : "{\"runtime_id\":", instance->runtime.base.runtime_id);
		write_member(out, ",\"adapter\":", berth_text(instance->adapter->stamp.id));
		buffer_append_string(out, ",\"capabilities\":");
		ask_runtime(instance, request, &wire_capabilities_shape, out, &dropped);
		diagnostics_fini(&dropped);
		buffer_append_char(out, '}');
	}
	buffer_append_string(out, "]}");
}

/* ---- The way in ---- */

typedef void registry_operation(struct registry *registry, const struct request *request, struct buffer *out);
typedef void runtime_operation(struct instance *instance, const struct request *request, struct buffer *out);

static const struct {
	registry_operation *of_registry; /* or */
	runtime_operation *of_runtime;
	bool of_worker; /* addressed by runtime_id and worker_id */
} operations[N_REQUEST_OPS] = {
	[REQUEST_HELLO] = { hello, NULL, false },
	[REQUEST_LIST_RUNTIMES] = { list_runtimes, NULL, false },
	[REQUEST_LIST_HOSTS] = { list_hosts, NULL, false },
	[REQUEST_LIST_WORKERS] = { list_workers, NULL, false },
	[REQUEST_LIST_WORKERS_FOR_HOST] = { list_workers_for_host, NULL, false },
	[REQUEST_WORKER] = { NULL, get_worker, true },
	[REQUEST_SPAWN_WORKER] = { NULL, exchange, false },
	[REQUEST_STOP_WORKER] = { NULL, exchange, true },
	[REQUEST_SEND_INPUT] = { NULL, exchange, true },
	[REQUEST_TRANSCRIPT] = { NULL, exchange, true },
	[REQUEST_CONNECT_POINTS] = { NULL, connect_points, true },
	[REQUEST_READ_EVENTS] = { NULL, exchange, false },
};

static void answer_for_runtime(struct registry *registry, const struct request *request, struct buffer *out)
{
	struct instance *instance = find_instance(registry, request->runtime_id);

	if (!check_ids(request, instance, operations[request->op].of_worker, out))
		return;
	if (instance)
		operations[request->op].of_runtime(instance, request, out);
	else
		write_unknown_runtime(out, request->runtime_id);
}

void registry_answer(struct registry *registry, const struct request *request, struct buffer *out)
{
	if (operations[request->op].of_registry)
		operations[request->op].of_registry(registry, request, out);
	else
		answer_for_runtime(registry, request, out);
}
