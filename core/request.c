/* SPDX-License-Identifier: MIT */
/*
 * Requests are read in two steps: all members are collected in one pass, since keys
 * come in any order and decide about each other; then each is taken as what the
 * operation wants it to be. Unknown keys are ignored, the known ones are read to the
 * letter.
 */
#include "config.h"

#include "core/request.h"

#include <stdio.h>

#include "core/json_writer.h"
#include "core/text.h"
#include "inline/json_reader.h"

/* ---- The tables ---- */

/* Every key that any request has: those of the line, of its request, and of what is in that. They are looked for in this
 * order, so those that most lines have come first. */
enum key {
	KEY_OP,
	KEY_RUNTIME_ID,
	KEY_WORKER_ID,
	KEY_REQUEST,
	KEY_LIMIT,
	KEY_START,
	KEY_ID,
	KEY_HOST_ID,
	KEY_CURSOR,
	KEY_AFTER,
	KEY_PROTOCOL,
	N_TOP_KEYS,
	REQUEST_INTENT = N_TOP_KEYS,
	REQUEST_ACCEPTANCE,
	REQUEST_CONTENT,
	REQUEST_KIND,
	REQUEST_NAME,
	REQUEST_REQUEST_ID,
	REQUEST_WORKER_ID,
	REQUEST_MODE,
	REQUEST_END,
	INTENT_KIND = REQUEST_END,
	INTENT_TICKET_ID,
	INTENT_ROLE,
	INTENT_END,
	ACCEPTANCE_KIND = INTENT_END,
	ACCEPTANCE_EXPECTED_SEGMENTS,
	N_KEYS,
};

/* Those of the first n bytes of a word. */
#define HEAD_MASK(n)                                                                           \
	((n) >= 8 ? UINT64_MAX :                                                               \
	 __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? UINT64_MAX >> (64 - 8 * (n)) % 64 :       \
						     UINT64_MAX << (64 - 8 * (n)) % 64)
#define KEY(name, where, first, end) \
	{ BERTH_TEXT(name), where, first, end, { .text = name "\"" }, HEAD_MASK(sizeof(name)) }

/* where: its full name but for itself; first, end: of the keys of the object that it stands for; quoted: with the quote
 * that ends it, of which mask has the first bytes. */
static const struct {
	struct berth_text name;
	const char *where;
	unsigned char first, end;
	union {
		char text[24];
		uint64_t head;
	} quoted;
	uint64_t mask;
} keys[N_KEYS] = {
	[KEY_OP] = KEY("op", "", 0, 0),
	[KEY_ID] = KEY("id", "", 0, 0),
	[KEY_PROTOCOL] = KEY("protocol", "", 0, 0),
	[KEY_LIMIT] = KEY("limit", "", 0, 0),
	[KEY_START] = KEY("start", "", 0, 0),
	[KEY_RUNTIME_ID] = KEY("runtime_id", "", 0, 0),
	[KEY_WORKER_ID] = KEY("worker_id", "", 0, 0),
	[KEY_HOST_ID] = KEY("host_id", "", 0, 0),
	[KEY_CURSOR] = KEY("cursor", "", 0, 0),
	[KEY_AFTER] = KEY("after", "", 0, 0),
	[KEY_REQUEST] = KEY("request", "", REQUEST_INTENT, REQUEST_END),
	[REQUEST_INTENT] = KEY("intent", "request.", INTENT_KIND, INTENT_END),
	[REQUEST_NAME] = KEY("requested_worker_name", "request.", 0, 0),
	[REQUEST_ACCEPTANCE] = KEY("acceptance", "request.", ACCEPTANCE_KIND, N_KEYS),
	[REQUEST_REQUEST_ID] = KEY("request_id", "request.", 0, 0),
	[REQUEST_WORKER_ID] = KEY("worker_id", "request.", 0, 0),
	[REQUEST_MODE] = KEY("mode", "request.", 0, 0),
	[REQUEST_KIND] = KEY("kind", "request.", 0, 0),
	[REQUEST_CONTENT] = KEY("content", "request.", 0, 0),
	[INTENT_KIND] = KEY("kind", "request.intent.", 0, 0),
	[INTENT_TICKET_ID] = KEY("ticket_id", "request.intent.", 0, 0),
	[INTENT_ROLE] = KEY("role", "request.intent.", 0, 0),
	[ACCEPTANCE_KIND] = KEY("kind", "request.acceptance.", 0, 0),
	[ACCEPTANCE_EXPECTED_SEGMENTS] = KEY("expected_segments", "request.acceptance.", 0, 0),
};

#define BIT(key) (1u << (key))

static const struct {
	struct berth_text name;
	unsigned keys; /* that the operation takes, beside op and id */
} ops[N_REQUEST_OPS] = {
	[REQUEST_HELLO] = { BERTH_TEXT("hello"), BIT(KEY_PROTOCOL) },
	[REQUEST_LIST_RUNTIMES] = { BERTH_TEXT("list_runtimes"), BIT(KEY_LIMIT) },
	[REQUEST_LIST_HOSTS] = { BERTH_TEXT("list_hosts"), BIT(KEY_LIMIT) },
	[REQUEST_LIST_WORKERS] = { BERTH_TEXT("list_workers"), BIT(KEY_LIMIT) | BIT(KEY_AFTER) },
	[REQUEST_LIST_WORKERS_FOR_HOST] = { BERTH_TEXT("list_workers_for_host"), BIT(KEY_HOST_ID) | BIT(KEY_LIMIT) },
	[REQUEST_WORKER] = { BERTH_TEXT("worker"), BIT(KEY_RUNTIME_ID) | BIT(KEY_WORKER_ID) },
	[REQUEST_SPAWN_WORKER] = { BERTH_TEXT("spawn_worker"), BIT(KEY_RUNTIME_ID) | BIT(KEY_REQUEST) },
	[REQUEST_STOP_WORKER] = { BERTH_TEXT("stop_worker"), BIT(KEY_RUNTIME_ID) | BIT(KEY_REQUEST) },
	[REQUEST_SEND_INPUT] = { BERTH_TEXT("send_input"), BIT(KEY_RUNTIME_ID) | BIT(KEY_WORKER_ID) | BIT(KEY_REQUEST) },
	[REQUEST_TRANSCRIPT] = { BERTH_TEXT("transcript"),
		BIT(KEY_RUNTIME_ID) | BIT(KEY_WORKER_ID) | BIT(KEY_START) | BIT(KEY_LIMIT) },
	[REQUEST_CONNECT_POINTS] = { BERTH_TEXT("connect_points"), BIT(KEY_RUNTIME_ID) | BIT(KEY_WORKER_ID) },
	[REQUEST_READ_EVENTS] = { BERTH_TEXT("read_events"), BIT(KEY_RUNTIME_ID) | BIT(KEY_CURSOR) | BIT(KEY_LIMIT) },
};

/* The variants of a key and what they are called; ends with an absent text. */
struct word {
	struct berth_text text;
	uint64_t value;
};

static const struct word intents[] = {
	{ BERTH_TEXT("workspace_companion"), BERTH_INTENT_WORKSPACE_COMPANION },
	{ BERTH_TEXT("workspace_orchestrator"), BERTH_INTENT_WORKSPACE_ORCHESTRATOR },
	{ BERTH_TEXT("ticket_role"), BERTH_INTENT_TICKET_ROLE },
	{ { NULL, 0 }, 0 },
};

static const struct word roles[] = {
	{ BERTH_TEXT("intake"), BERTH_ROLE_INTAKE },
	{ BERTH_TEXT("orchestrator"), BERTH_ROLE_ORCHESTRATOR },
	{ BERTH_TEXT("coder"), BERTH_ROLE_CODER },
	{ BERTH_TEXT("reviewer"), BERTH_ROLE_REVIEWER },
	{ { NULL, 0 }, 0 },
};

static const struct word acceptances[] = {
	{ BERTH_TEXT("socket_ready"), BERTH_ACCEPTANCE_SOCKET_READY },
	{ BERTH_TEXT("run_accepted"), BERTH_ACCEPTANCE_RUN_ACCEPTED },
	{ { NULL, 0 }, 0 },
};

static const struct word stop_modes[] = {
	{ BERTH_TEXT("graceful"), BERTH_STOP_GRACEFUL },
	{ BERTH_TEXT("force"), BERTH_STOP_FORCE },
	{ { NULL, 0 }, 0 },
};

static const struct word input_kinds[] = {
	{ BERTH_TEXT("user"), BERTH_INPUT_USER },
	{ BERTH_TEXT("system"), BERTH_INPUT_SYSTEM },
	{ { NULL, 0 }, 0 },
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

	return spawn->intent == BERTH_INTENT_TICKET_ROLE ? ticket[spawn->role] : intents[spawn->intent - 1].text.ptr;
}

/* ---- Collecting members ---- */

/* What stands behind each key: of a string what is between its quotes, of an object nothing. */
struct members {
	unsigned char types[N_KEYS]; /* enum json_type; JSON_INVALID: the key is not there */
	struct json_slice values[N_KEYS];
	unsigned doubled; /* a bit for each key given twice */
	struct buffer *scratch;
	struct error *error;
};

_Static_assert(N_KEYS <= 32, "there is a bit for each key");

/* The values stay as they are until they are read. */
static void members_init(struct members *members, struct buffer *scratch, struct error *error)
{
	memset(members->types, 0, sizeof members->types);
	members->doubled = 0;
	members->scratch = scratch;
	members->error = error;
}

/* request.intent.role in messages. */
static int complain(const struct members *members, size_t key, const char *what)
{
	return error_set(members->error, -EINVAL, "%s%s: %s", keys[key].where, keys[key].name.ptr, what);
}

/* Which of an object's keys it is; end where it is none. */
static size_t find_key(const struct json_slice *name, size_t first, size_t end)
{
	while (first < end && !(name->escaped ? json_string_is(name, keys[first].name.ptr) :
				text_equal((struct berth_text){ name->ptr, name->len }, keys[first].name)))
		first++;
	return first;
}

static void collect(struct members *members, struct json_reader *r, size_t first, size_t end);

static void collect_value(struct members *members, struct json_reader *r, size_t key)
{
	struct json_slice *value = &members->values[key];
	const enum json_type type = json_peek(r);

	if (members->types[key] != JSON_INVALID)
		members->doubled |= BIT(key);
	members->types[key] = (unsigned char)type;
	switch (type) {
	case JSON_STRING:
		json_read_string(r, value);
		break;
	case JSON_NUMBER:
		json_read_number(r, value);
		break;
	case JSON_OBJECT:
		collect(members, r, keys[key].first, keys[key].end);
		break;
	default:
		json_skip(r);
	}
}

/* Reads an object, of which the keys from first to end are known. */
static void collect(struct members *members, struct json_reader *r, size_t first, size_t end)
{
	struct json_slice name = { 0 };

	if (!json_enter_object(r))
		return;
	while (json_next_member(r, &name)) {
		size_t key = find_key(&name, first, end);

		if (key < end)
			collect_value(members, r, key);
		else
			json_skip(r);
	}
}

/* ---- Collecting the members of a plain line ---- */

/*
 * Nearly every line has known keys, none of them twice, and for values plain strings, numbers of digits, null and objects
 * of that kind. Such a line is read without a look at where it ends, since it is read from a copy that has a block of
 * zeroes behind it, and those are nothing that could be there. Whatever is out of the ordinary is left to collect, which
 * reads the line from its beginning; so nothing is called wrong here.
 */
enum { PLAIN_LINE_MAX = 4096 };

BLOCK_INLINE const char *skip_spaces(const char *p)
{
	while (*p == ' ')
		p++;
	return p;
}

/* The quote that ends a plain string; NULL: it is none. */
BLOCK_INLINE const char *find_quote(const char *p)
{
	block_bytes special;

	while (special = block_not_plain(block_load(p)), !block_any(special))
		p += BLOCK_SIZE;
	p += block_first(special);
	return *p == '"' ? p : NULL;
}

/* The key that stands there, up to its quote. What equals all of a head is followed by its other bytes, or by zeroes. */
BLOCK_INLINE size_t find_plain_key(const char *p, size_t first, size_t end)
{
	uint64_t head;

	memcpy(&head, p, sizeof head);
	for (; first < end; first++)
		if (((head ^ keys[first].quoted.head) & keys[first].mask) == 0 &&
		    (keys[first].name.len < sizeof head ||
		     block_equal(p, keys[first].quoted.text, keys[first].name.len + 1)))
			break;
	return first;
}

static const char *collect_plain(struct members *members, const char *p, size_t first, size_t end);

/* Each returns what follows it; NULL: it is out of the ordinary. */
static inline const char *collect_plain_value(struct members *members, const char *p, size_t key)
{
	struct json_slice *value = &members->values[key];
	const char *begin = p;

	if (*p == '"') {
		p = find_quote(p + 1);
		if (!p)
			return NULL;
		members->types[key] = JSON_STRING;
		*value = (struct json_slice){ begin + 1, (size_t)(p - begin) - 1, false };
		return p + 1;
	}
	if (*p == '{' && keys[key].end > 0) {
		members->types[key] = JSON_OBJECT;
		return collect_plain(members, p + 1, keys[key].first, keys[key].end);
	}
	if (*p >= '0' && *p <= '9') {
		do
			p++;
		while (*begin != '0' && *p >= '0' && *p <= '9');
		members->types[key] = JSON_NUMBER;
		*value = (struct json_slice){ begin, (size_t)(p - begin), false };
		return p - begin <= 20 ? p : NULL;
	}
	members->types[key] = JSON_NULL;
	return memcmp(p, "null", 4) == 0 ? p + 4 : NULL;
}

/* Reads an object behind its brace, up to behind the one that ends it. */
static const char *collect_plain(struct members *members, const char *p, size_t first, size_t end)
{
	do {
		size_t key;

		p = skip_spaces(p);
		if (*p++ != '"')
			return NULL;
		key = find_plain_key(p, first, end);
		if (key == end || members->types[key] != JSON_INVALID)
			return NULL;
		p = skip_spaces(p + keys[key].name.len + 1);
		if (*p != ':')
			return NULL;
		p = collect_plain_value(members, skip_spaces(p + 1), key);
		if (!p)
			return NULL;
		p = skip_spaces(p);
	} while (*p++ == ',');
	return p[-1] == '}' ? p : NULL;
}

/* False, with nothing collected, where the line is out of the ordinary. The scratch buffer has room for the copy: where a
 * string has to be decoded into it, the line is no plain one. */
static bool collect_plain_line(struct members *members, struct berth_text line)
{
	char *copy = members->scratch->data;
	const char *end;

	if (line.len == 0 || line.len > PLAIN_LINE_MAX)
		return false;
	memcpy(copy, line.ptr, line.len);
	memset(copy + line.len, 0, BLOCK_SIZE);
	end = *copy == '{' ? collect_plain(members, copy + 1, 0, N_TOP_KEYS) : NULL;
	if (end == copy + line.len)
		return true;
	memset(members->types, 0, sizeof members->types);
	return false;
}

static int collect_line(struct members *members, struct berth_text line)
{
	struct json_reader r;

	if (collect_plain_line(members, line))
		return 0;
	json_open(&r, line.ptr, line.len);
	if (json_peek(&r) != JSON_OBJECT && !r.error)
		return error_set(members->error, -EINVAL, "line: an object is expected");
	collect(members, &r, 0, N_TOP_KEYS);
	if (!json_close(&r))
		return error_set(members->error, -EINVAL, "line: byte %zu: %s", json_offset(&r) + 1, r.error);
	return 0;
}

/* ---- Taking members ---- */

enum presence {
	REQUIRED,
	DEFAULTED, /* may be left out */
	OPTIONAL,  /* may be left out or null */
};

/* 1: it is there, and of the type. */
__attribute__((noinline))
static int take(const struct members *members, size_t key, enum presence presence, enum json_type type,
		const char *expected)
{
	enum json_type found = members->types[key];

	if (members->doubled & BIT(key))
		return complain(members, key, "given twice");
	if (found == JSON_INVALID)
		return presence == REQUIRED ? complain(members, key, "missing") : 0;
	if (found == JSON_NULL && presence == OPTIONAL)
		return 0;
	return found == type ? 1 : complain(members, key, expected);
}

static struct berth_text text_of(const struct json_slice *value)
{
	return (struct berth_text){ value->ptr, value->len };
}

/* take_text of what is out of the ordinary. */
__attribute__((noinline))
static int take_odd_text(const struct members *members, size_t key, enum presence presence, struct berth_text *textp)
{
	const struct json_slice *value = &members->values[key];
	int rc = take(members, key, presence, JSON_STRING, "a string is expected");
	char *plain;

	if (rc <= 0)
		return rc;
	/* The scratch buffer has room for all strings of the line: it never moves. */
	plain = members->scratch->data + members->scratch->len;
	*textp = (struct berth_text){ plain, json_unescape(value, plain) };
	members->scratch->len += textp->len;
	return 0;
}

static inline int take_text(const struct members *members, size_t key, enum presence presence, struct berth_text *textp)
{
	const struct json_slice *value = &members->values[key];

	if (members->doubled & BIT(key) || (members->types[key] == JSON_STRING ? value->escaped :
					    members->types[key] != JSON_INVALID || presence == REQUIRED))
		return take_odd_text(members, key, presence, textp);
	if (members->types[key] == JSON_STRING)
		*textp = text_of(value);
	return 0;
}

static int take_u64(const struct members *members, size_t key, enum presence presence, uint64_t *valuep)
{
	static const char expected[] = "a whole number from 0 to 18446744073709551615 is expected";
	int rc = take(members, key, presence, JSON_NUMBER, expected);

	if (rc <= 0)
		return rc;
	return json_number_is_u64(&members->values[key], valuep) ? 0 : complain(members, key, expected);
}

__attribute__((noinline))
static int complain_of_word(const struct members *members, size_t key, const struct word *words)
{
	char expected[160];
	size_t len = 0;

	for (const struct word *word = words; word->text.ptr; word++)
		len += (size_t)snprintf(expected + len, sizeof expected - len, "%s%s",
					word == words ? "one of " : ", ", word->text.ptr);
	snprintf(expected + len, sizeof expected - len, " is expected");
	return complain(members, key, expected);
}

static int take_word(const struct members *members, size_t key, enum presence presence, const struct word *words,
		     uint64_t *valuep)
{
	struct berth_text text = { NULL, 0 };
	int rc = take_text(members, key, presence, &text);

	if (rc < 0 || !text.ptr)
		return rc;
	for (const struct word *word = words; word->text.ptr; word++)
		if (text_equal(text, word->text)) {
			*valuep = word->value;
			return 0;
		}
	return complain_of_word(members, key, words);
}

static int take_object(const struct members *members, size_t key)
{
	int rc = take(members, key, REQUIRED, JSON_OBJECT, "an object is expected");

	return rc < 0 ? rc : 0;
}

/* ---- The requests of the operations ---- */

static int parse_intent(const struct members *members, struct berth_spawn_request *spawn)
{
	int rc = take_object(members, REQUEST_INTENT);

	if (rc == 0)
		rc = take_word(members, INTENT_KIND, REQUIRED, intents, &spawn->intent);
	if (rc < 0 || spawn->intent != BERTH_INTENT_TICKET_ROLE)
		return rc;
	rc = take_text(members, INTENT_TICKET_ID, REQUIRED, &spawn->ticket_id);
	if (rc == 0)
		rc = take_word(members, INTENT_ROLE, REQUIRED, roles, &spawn->role);
	return rc;
}

static int parse_acceptance(const struct members *members, struct berth_spawn_request *spawn)
{
	int rc = take_object(members, REQUEST_ACCEPTANCE);

	if (rc == 0)
		rc = take_word(members, ACCEPTANCE_KIND, REQUIRED, acceptances, &spawn->acceptance);
	if (rc == 0 && spawn->acceptance == BERTH_ACCEPTANCE_RUN_ACCEPTED)
		rc = take_u64(members, ACCEPTANCE_EXPECTED_SEGMENTS, REQUIRED, &spawn->expected_segments);
	return rc;
}

static int parse_spawn(const struct members *members, struct berth_spawn_request *spawn)
{
	int rc = take_object(members, KEY_REQUEST);

	spawn->size = sizeof *spawn;
	if (rc == 0)
		rc = parse_intent(members, spawn);
	if (rc == 0)
		rc = take_text(members, REQUEST_NAME, OPTIONAL, &spawn->requested_worker_name);
	if (rc == 0)
		rc = parse_acceptance(members, spawn);
	if (rc == 0)
		rc = take_text(members, REQUEST_REQUEST_ID, OPTIONAL, &spawn->request_id);
	return rc;
}

/* worker_id: of the address, which the request may then leave out; absent: it is the request that has it. */
static int parse_stop(const struct members *members, struct berth_text worker_id, struct berth_stop_request *stop)
{
	int rc = take_object(members, KEY_REQUEST);

	stop->size = sizeof *stop;
	if (rc == 0)
		rc = take_text(members, REQUEST_WORKER_ID, worker_id.ptr ? DEFAULTED : REQUIRED, &stop->worker_id);
	if (rc == 0 && worker_id.ptr && stop->worker_id.ptr && !text_equal(stop->worker_id, worker_id))
		rc = complain(members, REQUEST_WORKER_ID, "the one of the path is expected");
	if (rc == 0 && !stop->worker_id.ptr)
		stop->worker_id = worker_id;
	if (rc == 0)
		rc = take_word(members, REQUEST_MODE, REQUIRED, stop_modes, &stop->mode);
	return rc;
}

static int parse_input(const struct members *members, struct berth_input_request *input)
{
	int rc = take_object(members, KEY_REQUEST);

	input->size = sizeof *input;
	input->kind = BERTH_INPUT_USER;
	if (rc == 0)
		rc = take_word(members, REQUEST_KIND, DEFAULTED, input_kinds, &input->kind);
	if (rc == 0)
		rc = take_text(members, REQUEST_CONTENT, REQUIRED, &input->content);
	return rc;
}

/* Lays out what the adapter will be given. */
static int parse_block(const struct members *members, struct request *request)
{
	union request_block *block = &request->block;
	int rc;

	switch (request->op) {
	case REQUEST_SPAWN_WORKER:
		return parse_spawn(members, &block->spawn);
	case REQUEST_STOP_WORKER:
		rc = parse_stop(members, request->worker_id, &block->stop);
		request->worker_id = block->stop.worker_id;
		return rc;
	case REQUEST_SEND_INPUT:
		rc = parse_input(members, &block->input);
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

static int take_id(const struct members *members, struct request *request)
{
	const struct json_slice *value = &members->values[KEY_ID];
	enum json_type type = members->types[KEY_ID];

	if (type == JSON_INVALID)
		return 0;
	if (members->doubled & BIT(KEY_ID))
		return complain(members, KEY_ID, "given twice");
	if (type != JSON_STRING && type != JSON_NUMBER && type != JSON_NULL)
		return complain(members, KEY_ID, "a string or a number is expected");
	request->id_is_number = type == JSON_NUMBER;
	if (request->id_is_number)
		request->id = (struct berth_text){ value->ptr, value->len };
	return type == JSON_STRING ? take_text(members, KEY_ID, REQUIRED, &request->id) : 0;
}

void request_write_id(const struct request *request, struct buffer *out)
{
	if (request->id_is_number)
		buffer_append(out, request->id.ptr, request->id.len);
	else
		json_write_string(out, request->id);
}

static int take_op(const struct members *members, enum request_op *opp)
{
	struct berth_text name = { NULL, 0 };
	int rc = take_text(members, KEY_OP, REQUIRED, &name);

	if (rc < 0)
		return rc;
	for (size_t op = 0; op < N_REQUEST_OPS; op++)
		if (text_equal(name, ops[op].name)) {
			*opp = (enum request_op)op;
			return 0;
		}
	return complain(members, KEY_OP, "no such operation; list_runtimes, list_hosts, list_workers, "
				     "list_workers_for_host, worker, spawn_worker, stop_worker, send_input, transcript, "
				     "connect_points, read_events and hello are there");
}

static int take_protocol(const struct members *members)
{
	uint64_t protocol = 0;
	int rc = take_u64(members, KEY_PROTOCOL, REQUIRED, &protocol);

	if (rc == 0 && protocol != REQUEST_PROTOCOL)
		rc = complain(members, KEY_PROTOCOL, "1 is the protocol spoken here");
	return rc;
}

/* What is behind the place where a list goes on is judged as identifiers are, later. */
static int check_after(const struct members *members, const struct request *request)
{
	if (!request->after.ptr || memchr(request->after.ptr, '/', request->after.len))
		return 0;
	return complain(members, KEY_AFTER, "a runtime_id, / and a worker_id are expected");
}

int request_parse(struct berth_text line, uint64_t limit, struct buffer *scratch, struct request *request,
		  struct error *error)
{
	struct members members;
	unsigned takes;
	int rc;

	*request = (struct request){ .limit = limit };
	buffer_cut(scratch, 0);
	if (!buffer_reserve(scratch, line.len + BLOCK_SIZE))
		return error_set(error, -ENOMEM, "no memory for the line");
	members_init(&members, scratch, error);
	rc = collect_line(&members, line);
	if (rc == 0)
		rc = take_id(&members, request);
	if (rc == 0)
		rc = take_op(&members, &request->op);
	if (rc < 0)
		return rc;
	takes = ops[request->op].keys;
	if (takes & BIT(KEY_PROTOCOL))
		rc = take_protocol(&members);
	if (rc == 0 && takes & BIT(KEY_LIMIT))
		rc = take_u64(&members, KEY_LIMIT, DEFAULTED, &request->limit);
	if (rc == 0 && takes & BIT(KEY_START))
		rc = take_u64(&members, KEY_START, DEFAULTED, &request->start);
	if (rc == 0 && takes & BIT(KEY_RUNTIME_ID))
		rc = take_text(&members, KEY_RUNTIME_ID, REQUIRED, &request->runtime_id);
	if (rc == 0 && takes & BIT(KEY_WORKER_ID))
		rc = take_text(&members, KEY_WORKER_ID, REQUIRED, &request->worker_id);
	if (rc == 0 && takes & BIT(KEY_HOST_ID))
		rc = take_text(&members, KEY_HOST_ID, REQUIRED, &request->host_id);
	if (rc == 0 && takes & BIT(KEY_CURSOR))
		rc = take_text(&members, KEY_CURSOR, OPTIONAL, &request->cursor);
	if (rc == 0 && takes & BIT(KEY_AFTER))
		rc = take_text(&members, KEY_AFTER, DEFAULTED, &request->after);
	if (rc == 0)
		rc = check_after(&members, request);
	return rc == 0 ? parse_block(&members, request) : rc;
}

int request_complete(struct request *request, struct berth_text body, struct buffer *scratch, struct error *error)
{
	struct members members;
	struct json_reader r;
	int rc;

	buffer_cut(scratch, 0);
	if (body.len > 0 && !buffer_reserve(scratch, body.len))
		return error_set(error, -ENOMEM, "no memory for the body");
	members_init(&members, scratch, error);
	if (body.ptr && ops[request->op].keys & BIT(KEY_REQUEST)) {
		json_open(&r, body.ptr, body.len);
		collect_value(&members, &r, KEY_REQUEST);
		if (!json_close(&r))
			return error_set(error, -EINVAL, "body: byte %zu: %s", json_offset(&r) + 1, r.error);
	}
	rc = check_after(&members, request);
	return rc == 0 ? parse_block(&members, request) : rc;
}
