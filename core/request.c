/* SPDX-License-Identifier: MIT */
/*
 * Requests are read in two steps: the members of an object are collected as raw
 * slices, since keys come in any order and decide about each other; then each is
 * taken as what the operation wants it to be. Unknown keys are ignored, the known
 * ones are read to the letter.
 */
#include "config.h"

#include "core/request.h"

#include <stdio.h>

#include "core/json_writer.h"
#include "core/text.h"
#include "inline/json_reader.h"

/* ---- The tables ---- */

enum top_key {
	KEY_OP,
	KEY_ID,
	KEY_PROTOCOL,
	KEY_LIMIT,
	KEY_START,
	KEY_RUNTIME_ID,
	KEY_WORKER_ID,
	KEY_HOST_ID,
	KEY_CURSOR,
	KEY_AFTER,
	KEY_REQUEST,
	N_TOP_KEYS,
};

static const char *const top_keys[N_TOP_KEYS] = {
	[KEY_OP] = "op",
	[KEY_ID] = "id",
	[KEY_PROTOCOL] = "protocol",
	[KEY_LIMIT] = "limit",
	[KEY_START] = "start",
	[KEY_RUNTIME_ID] = "runtime_id",
	[KEY_WORKER_ID] = "worker_id",
	[KEY_HOST_ID] = "host_id",
	[KEY_CURSOR] = "cursor",
	[KEY_AFTER] = "after",
	[KEY_REQUEST] = "request",
};

#define BIT(key) (1u << (key))

static const struct {
	const char *name;
	unsigned keys; /* that the operation takes, beside op and id */
} ops[N_REQUEST_OPS] = {
	[REQUEST_HELLO] = { "hello", BIT(KEY_PROTOCOL) },
	[REQUEST_LIST_RUNTIMES] = { "list_runtimes", BIT(KEY_LIMIT) },
	[REQUEST_LIST_HOSTS] = { "list_hosts", BIT(KEY_LIMIT) },
	[REQUEST_LIST_WORKERS] = { "list_workers", BIT(KEY_LIMIT) | BIT(KEY_AFTER) },
	[REQUEST_LIST_WORKERS_FOR_HOST] = { "list_workers_for_host", BIT(KEY_HOST_ID) | BIT(KEY_LIMIT) },
	[REQUEST_WORKER] = { "worker", BIT(KEY_RUNTIME_ID) | BIT(KEY_WORKER_ID) },
	[REQUEST_SPAWN_WORKER] = { "spawn_worker", BIT(KEY_RUNTIME_ID) | BIT(KEY_REQUEST) },
	[REQUEST_STOP_WORKER] = { "stop_worker", BIT(KEY_RUNTIME_ID) | BIT(KEY_REQUEST) },
	[REQUEST_SEND_INPUT] = { "send_input", BIT(KEY_RUNTIME_ID) | BIT(KEY_WORKER_ID) | BIT(KEY_REQUEST) },
	[REQUEST_TRANSCRIPT] = { "transcript",
		BIT(KEY_RUNTIME_ID) | BIT(KEY_WORKER_ID) | BIT(KEY_START) | BIT(KEY_LIMIT) },
	[REQUEST_CONNECT_POINTS] = { "connect_points", BIT(KEY_RUNTIME_ID) | BIT(KEY_WORKER_ID) },
	[REQUEST_READ_EVENTS] = { "read_events", BIT(KEY_RUNTIME_ID) | BIT(KEY_CURSOR) | BIT(KEY_LIMIT) },
};

/* The variants of a key and what they are called; ends with a NULL. */
struct word {
	const char *text;
	uint64_t value;
};

static const struct word intents[] = {
	{ "workspace_companion", BERTH_INTENT_WORKSPACE_COMPANION },
	{ "workspace_orchestrator", BERTH_INTENT_WORKSPACE_ORCHESTRATOR },
	{ "ticket_role", BERTH_INTENT_TICKET_ROLE },
	{ NULL, 0 },
};

static const struct word roles[] = {
	{ "intake", BERTH_ROLE_INTAKE },
	{ "orchestrator", BERTH_ROLE_ORCHESTRATOR },
	{ "coder", BERTH_ROLE_CODER },
	{ "reviewer", BERTH_ROLE_REVIEWER },
	{ NULL, 0 },
};

static const struct word acceptances[] = {
	{ "socket_ready", BERTH_ACCEPTANCE_SOCKET_READY },
	{ "run_accepted", BERTH_ACCEPTANCE_RUN_ACCEPTED },
	{ NULL, 0 },
};

static const struct word stop_modes[] = {
	{ "graceful", BERTH_STOP_GRACEFUL },
	{ "force", BERTH_STOP_FORCE },
	{ NULL, 0 },
};

static const struct word input_kinds[] = {
	{ "user", BERTH_INPUT_USER },
	{ "system", BERTH_INPUT_SYSTEM },
	{ NULL, 0 },
};

bool request_changes(enum request_op op)
{
	return op == REQUEST_SPAWN_WORKER || op == REQUEST_STOP_WORKER || op == REQUEST_SEND_INPUT;
}

const char *request_intent_name(const struct berth_spawn_request *spawn)
{
	static const char *const ticket[] = {
		[BERTH_ROLE_INTAKE] = "ticket_intake",
		[BERTH_ROLE_ORCHESTRATOR] = "ticket_orchestrator",
		[BERTH_ROLE_CODER] = "ticket_coder",
		[BERTH_ROLE_REVIEWER] = "ticket_reviewer",
	};

	return spawn->intent == BERTH_INTENT_TICKET_ROLE ? ticket[spawn->role] : intents[spawn->intent - 1].text;
}

/* ---- Collecting members ---- */

enum { MEMBERS_MAX = N_TOP_KEYS };

/* The members of one object whose keys are known. */
struct members {
	const char *where; /* the object, such as request.intent; "" at the top */
	const char *const *keys;
	size_t n_keys;
	struct json_slice values[MEMBERS_MAX]; /* raw; ptr NULL: not there */
	unsigned doubled;                      /* a bit for each key given twice */
	struct buffer *scratch;
	struct error *error;
};

/* request.intent.role in messages. */
static int complain(const struct members *members, size_t key, const char *what)
{
	return error_set(members->error, -EINVAL, "%s%s%s: %s", members->where, *members->where ? "." : "",
			 members->keys[key], what);
}

static int collect(struct members *members, struct json_slice object)
{
	struct json_reader r;
	struct json_slice key, value;

	json_open(&r, object.ptr, object.len);
	if (json_peek(&r) != JSON_OBJECT && !r.error)
		return error_set(members->error, -EINVAL, "%s: an object is expected",
				 *members->where ? members->where : "line");
	json_enter_object(&r);
	while (json_next_member(&r, &key)) {
		size_t i = 0;

		if (!json_read_raw(&r, &value))
			break;
		while (i < members->n_keys && !json_string_is(&key, members->keys[i]))
			i++;
		if (i == members->n_keys)
			continue;
		if (members->values[i].ptr)
			members->doubled |= BIT(i);
		members->values[i] = value;
	}
	if (!json_close(&r))
		return error_set(members->error, -EINVAL, "line: byte %zu: %s", json_offset(&r) + 1, r.error);
	return 0;
}

/* ---- Taking members. Each returns 0 or a negative errno; an absent member is an
 * error where it is required and leaves the output as it was where it is not. ---- */

enum presence {
	REQUIRED,
	DEFAULTED, /* may be left out, but is no null */
	OPTIONAL,  /* may be left out or null */
};

/* 1: it is there, and opened in r. */
static int take(const struct members *members, size_t key, enum presence presence, enum json_type type,
		const char *expected, struct json_reader *r)
{
	const struct json_slice *value = &members->values[key];
	enum json_type found;

	if (members->doubled & BIT(key))
		return complain(members, key, "given twice");
	if (!value->ptr)
		return presence == REQUIRED ? complain(members, key, "missing") : 0;
	json_open(r, value->ptr, value->len);
	found = json_peek(r);
	if (found == JSON_NULL && presence == OPTIONAL)
		return 0;
	return found == type ? 1 : complain(members, key, expected);
}

static int take_text(const struct members *members, size_t key, enum presence presence, struct berth_text *textp)
{
	struct json_slice slice;
	struct json_reader r;
	char *plain;
	int rc = take(members, key, presence, JSON_STRING, "a string is expected", &r);

	if (rc <= 0)
		return rc;
	json_read_string(&r, &slice);
	if (!slice.escaped) {
		*textp = (struct berth_text){ slice.ptr, slice.len };
		return 0;
	}
	/* The scratch buffer has room for all strings of the line: it never moves. */
	plain = members->scratch->data + members->scratch->len;
	*textp = (struct berth_text){ plain, json_unescape(&slice, plain) };
	members->scratch->len += textp->len;
	return 0;
}

static int take_u64(const struct members *members, size_t key, enum presence presence, uint64_t *valuep)
{
	static const char expected[] = "a whole number from 0 to 18446744073709551615 is expected";
	struct json_slice slice;
	struct json_reader r;
	int rc = take(members, key, presence, JSON_NUMBER, expected, &r);

	if (rc <= 0)
		return rc;
	json_read_number(&r, &slice);
	return json_number_is_u64(&slice, valuep) ? 0 : complain(members, key, expected);
}

static int take_word(const struct members *members, size_t key, enum presence presence, const struct word *words,
		     uint64_t *valuep)
{
	struct berth_text text = { NULL, 0 };
	char expected[160];
	size_t len = 0;
	int rc = take_text(members, key, presence, &text);

	if (rc < 0 || !text.ptr)
		return rc;
	for (const struct word *word = words; word->text; word++) {
		if (text_is(text, word->text)) {
			*valuep = word->value;
			return 0;
		}
		len += (size_t)snprintf(expected + len, sizeof expected - len, "%s%s",
					word == words ? "one of " : ", ", word->text);
	}
	snprintf(expected + len, sizeof expected - len, " is expected");
	return complain(members, key, expected);
}

/* Collects the members of the object under a key. where: its full name. */
static int take_object(const struct members *outer, size_t key, const char *where, const char *const *keys,
		       size_t n_keys, struct members *inner)
{
	struct json_reader r;
	int rc = take(outer, key, REQUIRED, JSON_OBJECT, "an object is expected", &r);

	if (rc < 0)
		return rc;
	*inner = (struct members){
		.where = where,
		.keys = keys,
		.n_keys = n_keys,
		.scratch = outer->scratch,
		.error = outer->error,
	};
	return collect(inner, outer->values[key]);
}

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- The requests of the operations ---- */

static int parse_intent(const struct members *request, size_t key, struct berth_spawn_request *spawn)
{
	enum { KIND, TICKET_ID, ROLE };
	static const char *const keys[] = { "kind", "ticket_id", "role" };
	struct members intent;
	int rc;

	rc = take_object(request, key, "request.intent", keys, COUNT(keys), &intent);
	if (rc == 0)
		rc = take_word(&intent, KIND, REQUIRED, intents, &spawn->intent);
	if (rc < 0 || spawn->intent != BERTH_INTENT_TICKET_ROLE)
		return rc;
	rc = take_text(&intent, TICKET_ID, REQUIRED, &spawn->ticket_id);
	if (rc == 0)
		rc = take_word(&intent, ROLE, REQUIRED, roles, &spawn->role);
	return rc;
}

static int parse_acceptance(const struct members *request, size_t key, struct berth_spawn_request *spawn)
{
	enum { KIND, EXPECTED_SEGMENTS };
	static const char *const keys[] = { "kind", "expected_segments" };
	struct members acceptance;
	int rc;

	rc = take_object(request, key, "request.acceptance", keys, COUNT(keys), &acceptance);
	if (rc == 0)
		rc = take_word(&acceptance, KIND, REQUIRED, acceptances, &spawn->acceptance);
	if (rc == 0 && spawn->acceptance == BERTH_ACCEPTANCE_RUN_ACCEPTED)
		rc = take_u64(&acceptance, EXPECTED_SEGMENTS, REQUIRED, &spawn->expected_segments);
	return rc;
}

static int parse_spawn(const struct members *top, struct berth_spawn_request *spawn)
{
	enum { INTENT, NAME, ACCEPTANCE, REQUEST_ID };
	static const char *const keys[] = { "intent", "requested_worker_name", "acceptance", "request_id" };
	struct members request;
	int rc;

	spawn->size = sizeof *spawn;
	rc = take_object(top, KEY_REQUEST, "request", keys, COUNT(keys), &request);
	if (rc == 0)
		rc = parse_intent(&request, INTENT, spawn);
	if (rc == 0)
		rc = take_text(&request, NAME, OPTIONAL, &spawn->requested_worker_name);
	if (rc == 0)
		rc = parse_acceptance(&request, ACCEPTANCE, spawn);
	if (rc == 0)
		rc = take_text(&request, REQUEST_ID, OPTIONAL, &spawn->request_id);
	return rc;
}

/* worker_id: of the address, which the request may then leave out; absent: it is the request that has it. */
static int parse_stop(const struct members *top, struct berth_text worker_id, struct berth_stop_request *stop)
{
	enum { WORKER_ID, MODE };
	static const char *const keys[] = { "worker_id", "mode" };
	struct members request;
	int rc;

	stop->size = sizeof *stop;
	rc = take_object(top, KEY_REQUEST, "request", keys, COUNT(keys), &request);
	if (rc == 0)
		rc = take_text(&request, WORKER_ID, worker_id.ptr ? DEFAULTED : REQUIRED, &stop->worker_id);
	if (rc == 0 && worker_id.ptr && stop->worker_id.ptr && !text_equal(stop->worker_id, worker_id))
		rc = complain(&request, WORKER_ID, "the one of the path is expected");
	if (rc == 0 && !stop->worker_id.ptr)
		stop->worker_id = worker_id;
	if (rc == 0)
		rc = take_word(&request, MODE, REQUIRED, stop_modes, &stop->mode);
	return rc;
}

static int parse_input(const struct members *top, struct berth_input_request *input)
{
	enum { KIND, CONTENT };
	static const char *const keys[] = { "kind", "content" };
	struct members request;
	int rc;

	input->size = sizeof *input;
	input->kind = BERTH_INPUT_USER;
	rc = take_object(top, KEY_REQUEST, "request", keys, COUNT(keys), &request);
	if (rc == 0)
		rc = take_word(&request, KIND, DEFAULTED, input_kinds, &input->kind);
	if (rc == 0)
		rc = take_text(&request, CONTENT, REQUIRED, &input->content);
	return rc;
}

/* Lays out what the adapter will be given. */
static int parse_block(const struct members *top, struct request *request)
{
	union request_block *block = &request->block;
	int rc = 0;

	memset(block, 0, sizeof *block);
	switch (request->op) {
	case REQUEST_SPAWN_WORKER:
		return parse_spawn(top, &block->spawn);
	case REQUEST_STOP_WORKER:
		rc = parse_stop(top, request->worker_id, &block->stop);
		request->worker_id = block->stop.worker_id;
		return rc;
	case REQUEST_SEND_INPUT:
		rc = parse_input(top, &block->input);
		block->input.worker_id = request->worker_id;
		return rc;
	case REQUEST_TRANSCRIPT:
		block->transcript = (struct berth_transcript_request){
			sizeof block->transcript, request->worker_id, request->start, request->limit
		};
		return 0;
	case REQUEST_READ_EVENTS:
		block->events = (struct berth_events_request){ sizeof block->events, request->cursor, request->limit };
		return 0;
	case REQUEST_WORKER:
	case REQUEST_CONNECT_POINTS:
		block->worker = (struct berth_worker_request){ sizeof block->worker, request->worker_id };
		return 0;
	default:
		return 0;
	}
}

/* ---- The line ---- */

static int take_id(const struct members *top, struct request *request)
{
	const struct json_slice *value = &top->values[KEY_ID];
	struct json_reader r;
	enum json_type type;

	if (!value->ptr)
		return 0;
	if (top->doubled & BIT(KEY_ID))
		return complain(top, KEY_ID, "given twice");
	json_open(&r, value->ptr, value->len);
	type = json_peek(&r);
	if (type != JSON_STRING && type != JSON_NUMBER && type != JSON_NULL)
		return complain(top, KEY_ID, "a string or a number is expected");
	request->id_is_number = type == JSON_NUMBER;
	if (request->id_is_number)
		request->id = (struct berth_text){ value->ptr, value->len };
	return type == JSON_STRING ? take_text(top, KEY_ID, REQUIRED, &request->id) : 0;
}

void request_write_id(const struct request *request, struct buffer *out)
{
	if (request->id_is_number)
		buffer_append(out, request->id.ptr, request->id.len);
	else
		json_write_string(out, request->id);
}

static int take_op(const struct members *top, enum request_op *opp)
{
	struct berth_text name = { NULL, 0 };
	int rc = take_text(top, KEY_OP, REQUIRED, &name);

	if (rc < 0)
		return rc;
	for (size_t op = 0; op < N_REQUEST_OPS; op++)
		if (text_is(name, ops[op].name)) {
			*opp = (enum request_op)op;
			return 0;
		}
	return complain(top, KEY_OP, "no such operation; list_runtimes, list_hosts, list_workers, "
				     "list_workers_for_host, worker, spawn_worker, stop_worker, send_input, transcript, "
				     "connect_points, read_events and hello are there");
}

static int take_protocol(const struct members *top)
{
	uint64_t protocol = 0;
	int rc = take_u64(top, KEY_PROTOCOL, REQUIRED, &protocol);

	if (rc == 0 && protocol != REQUEST_PROTOCOL)
		rc = complain(top, KEY_PROTOCOL, "1 is the protocol spoken here");
	return rc;
}

/* What is behind the place where a list goes on is judged as identifiers are, later. */
static int check_after(const struct members *top, const struct request *request)
{
	if (!request->after.ptr || memchr(request->after.ptr, '/', request->after.len))
		return 0;
	return complain(top, KEY_AFTER, "a runtime_id, / and a worker_id are expected");
}

int request_parse(struct berth_text line, uint64_t limit, struct buffer *scratch, struct request *request,
		  struct error *error)
{
	struct members top = {
		.where = "", .keys = top_keys, .n_keys = N_TOP_KEYS, .scratch = scratch, .error = error,
	};
	unsigned takes;
	int rc;

	*request = (struct request){ .limit = limit };
	buffer_cut(scratch, 0);
	if (!buffer_reserve(scratch, line.len))
		return error_set(error, -ENOMEM, "no memory for the line");
	rc = collect(&top, (struct json_slice){ line.ptr, line.len, false });
	if (rc == 0)
		rc = take_id(&top, request);
	if (rc == 0)
		rc = take_op(&top, &request->op);
	if (rc < 0)
		return rc;
	takes = ops[request->op].keys;
	if (takes & BIT(KEY_PROTOCOL))
		rc = take_protocol(&top);
	if (rc == 0 && takes & BIT(KEY_LIMIT))
		rc = take_u64(&top, KEY_LIMIT, DEFAULTED, &request->limit);
	if (rc == 0 && takes & BIT(KEY_START))
		rc = take_u64(&top, KEY_START, DEFAULTED, &request->start);
	if (rc == 0 && takes & BIT(KEY_RUNTIME_ID))
		rc = take_text(&top, KEY_RUNTIME_ID, REQUIRED, &request->runtime_id);
	if (rc == 0 && takes & BIT(KEY_WORKER_ID))
		rc = take_text(&top, KEY_WORKER_ID, REQUIRED, &request->worker_id);
	if (rc == 0 && takes & BIT(KEY_HOST_ID))
		rc = take_text(&top, KEY_HOST_ID, REQUIRED, &request->host_id);
	if (rc == 0 && takes & BIT(KEY_CURSOR))
		rc = take_text(&top, KEY_CURSOR, OPTIONAL, &request->cursor);
	if (rc == 0 && takes & BIT(KEY_AFTER))
		rc = take_text(&top, KEY_AFTER, DEFAULTED, &request->after);
	if (rc == 0)
		rc = check_after(&top, request);
	return rc == 0 ? parse_block(&top, request) : rc;
}

int request_complete(struct request *request, struct berth_text body, struct buffer *scratch, struct error *error)
{
	struct members top = {
		.where = "", .keys = top_keys, .n_keys = N_TOP_KEYS, .scratch = scratch, .error = error,
	};
	struct json_reader r;
	int rc;

	buffer_cut(scratch, 0);
	if (body.len > 0 && !buffer_reserve(scratch, body.len))
		return error_set(error, -ENOMEM, "no memory for the body");
	if (body.ptr && ops[request->op].keys & BIT(KEY_REQUEST)) {
		json_open(&r, body.ptr, body.len);
		if (!json_skip(&r) || !json_close(&r))
			return error_set(error, -EINVAL, "body: byte %zu: %s", json_offset(&r) + 1, r.error);
		top.values[KEY_REQUEST] = (struct json_slice){ body.ptr, body.len, false };
	}
	rc = check_after(&top, request);
	return rc == 0 ? parse_block(&top, request) : rc;
}
