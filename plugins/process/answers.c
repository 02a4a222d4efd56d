/* SPDX-License-Identifier: MIT */
/*
 * The shapes of the protocol stand here as tables of what goes where in the structs of
 * the boundary. An answer is first read as a whole, so that nothing of one that is cut
 * or no JSON is pushed; then its parts are read one by one. What is missing stays absent,
 * for the sink to judge; what is there must be of its type.
 */
#include "config.h"

#include "answers.h"

#include <stdio.h>

#include "inline/json_reader.h"
#include "rfc3339.h"

enum member_type {
	MEMBER_TEXT,
	MEMBER_NUMBER,
	MEMBER_TIME,
	MEMBER_BIT,
	MEMBER_SEVERITY,
	MEMBER_OBJECT, /* its members are of the same struct */
	MEMBER_IDS,
	MEMBER_DIAGNOSTICS,
};

struct member {
	const char *key;
	enum member_type type;
	size_t offset;
	uint64_t mask;
	const struct member *inner; /* ends with no key */
};

/* An object with the runtime that it belongs to. */
struct far_host {
	struct berth_host base;
	struct berth_text runtime_id;
};

#define TEXT(object, key, member) { key, MEMBER_TEXT, offsetof(struct object, member), 0, NULL }
#define NUMBER(object, key, member) { key, MEMBER_NUMBER, offsetof(struct object, member), 0, NULL }
#define TIME(object, key, member) { key, MEMBER_TIME, offsetof(struct object, member), 0, NULL }
#define BIT(object, key, mask) { key, MEMBER_BIT, offsetof(struct object, can), mask, NULL }
#define OBJECT(key, inner) { key, MEMBER_OBJECT, 0, 0, inner }
#define DIAGNOSTICS(object) { "diagnostics", MEMBER_DIAGNOSTICS, offsetof(struct object, diagnostics), 0, NULL }
#define END { NULL, MEMBER_TEXT, 0, 0, NULL }

static const struct member diagnostic_members[] = {
	TEXT(berth_diagnostic, "code", code), TEXT(berth_diagnostic, "message", message),
	{ "severity", MEMBER_SEVERITY, offsetof(struct berth_diagnostic, severity), 0, NULL }, END,
};

#define CAPABILITIES(object)                                                                                   \
	BIT(object, "can_list_hosts", BERTH_CAN_LIST_HOSTS), BIT(object, "can_list_workers", BERTH_CAN_LIST_WORKERS), \
	BIT(object, "can_get_worker", BERTH_CAN_GET_WORKER), BIT(object, "can_spawn_worker", BERTH_CAN_SPAWN_WORKER), \
	BIT(object, "can_stop_worker", BERTH_CAN_STOP_WORKER), BIT(object, "can_accept_input", BERTH_CAN_ACCEPT_INPUT), \
	BIT(object, "can_stream_events", BERTH_CAN_STREAM_EVENTS),                                             \
	BIT(object, "can_read_bounded_transcript", BERTH_CAN_READ_BOUNDED_TRANSCRIPT),                         \
	BIT(object, "has_workspace_fs", BERTH_HAS_WORKSPACE_FS), BIT(object, "has_shell", BERTH_HAS_SHELL),    \
	BIT(object, "has_git", BERTH_HAS_GIT), BIT(object, "supports_worktrees", BERTH_SUPPORTS_WORKTREES),    \
	BIT(object, "supports_backend_internal_tools", BERTH_SUPPORTS_BACKEND_INTERNAL_TOOLS),                 \
	TEXT(object, "local_pod_inspection", local_pod_inspection), TEXT(object, "workspace_scope", workspace_scope), \
	TEXT(object, "os", os), TEXT(object, "arch", arch), END

static const struct member runtime_capabilities[] = { CAPABILITIES(berth_runtime) };
static const struct member runtime_source[] = {
	TEXT(berth_runtime, "kind", source_kind), TEXT(berth_runtime, "status", source_status),
	TEXT(berth_runtime, "note", source_note), END,
};
static const struct member runtime_members[] = {
	TEXT(berth_runtime, "runtime_id", runtime_id), TEXT(berth_runtime, "label", label),
	TEXT(berth_runtime, "kind", kind), TEXT(berth_runtime, "status", status), OBJECT("source", runtime_source),
	{ "host_ids", MEMBER_IDS, offsetof(struct berth_runtime, host_ids), 0, NULL },
	OBJECT("capabilities", runtime_capabilities), DIAGNOSTICS(berth_runtime), END,
};

static const struct member host_capabilities[] = { CAPABILITIES(berth_host) };
static const struct member host_members[] = {
	TEXT(far_host, "runtime_id", runtime_id), TEXT(berth_host, "host_id", host_id), TEXT(berth_host, "label", label),
	TEXT(berth_host, "kind", kind), TEXT(berth_host, "status", status), TIME(berth_host, "observed_at", observed_at_ns),
	TIME(berth_host, "last_seen_at", last_seen_at_ns), OBJECT("capabilities", host_capabilities),
	DIAGNOSTICS(berth_host), END,
};

static const struct member worker_workspace[] = {
	TEXT(berth_worker, "visibility", workspace_visibility), TEXT(berth_worker, "identity", workspace_identity), END,
};
static const struct member worker_implementation[] = {
	TEXT(berth_worker, "kind", implementation_kind), TEXT(berth_worker, "display_hint", implementation_hint), END,
};
static const struct member worker_capabilities[] = {
	BIT(berth_worker, "can_accept_input", BERTH_WORKER_CAN_ACCEPT_INPUT),
	BIT(berth_worker, "can_stream_events", BERTH_WORKER_CAN_STREAM_EVENTS),
	BIT(berth_worker, "can_stop", BERTH_WORKER_CAN_STOP),
	BIT(berth_worker, "can_spawn_followup", BERTH_WORKER_CAN_SPAWN_FOLLOWUP),
	BIT(berth_worker, "can_read_bounded_transcript", BERTH_WORKER_CAN_READ_BOUNDED_TRANSCRIPT), END,
};
static const struct member worker_members[] = {
	TEXT(berth_worker, "runtime_id", runtime_id), TEXT(berth_worker, "worker_id", worker_id),
	TEXT(berth_worker, "host_id", host_id), TEXT(berth_worker, "label", label), TEXT(berth_worker, "role", role),
	TEXT(berth_worker, "profile", profile), OBJECT("workspace", worker_workspace), TEXT(berth_worker, "state", state),
	TEXT(berth_worker, "status", status), TIME(berth_worker, "last_seen_at", last_seen_at_ns),
	OBJECT("implementation", worker_implementation), OBJECT("capabilities", worker_capabilities),
	DIAGNOSTICS(berth_worker), END,
};

static const struct member evidence_members[] = {
	TEXT(berth_evidence, "kind", kind), TEXT(berth_evidence, "detail", detail), END,
};
static const struct member item_members[] = {
	NUMBER(berth_transcript_item, "sequence", sequence), NUMBER(berth_transcript_item, "event_id", event_id),
	TEXT(berth_transcript_item, "role", role), TEXT(berth_transcript_item, "content", content), END,
};
static const struct member event_members[] = {
	NUMBER(berth_event, "event_id", event_id), TEXT(berth_event, "kind", kind),
	TIME(berth_event, "occurred_at", occurred_at_ns), TEXT(berth_event, "worker_id", worker_id),
	NUMBER(berth_event, "transcript_sequence", transcript_sequence), TEXT(berth_event, "cursor", cursor), END,
};
static const struct member point_members[] = {
	TEXT(berth_connect_point, "kind", kind), TEXT(berth_connect_point, "status", status),
	DIAGNOSTICS(berth_connect_point), END,
};

/* ---- Values ---- */

enum { IDS_MAX = 256 };

/* What is read of one object, and the memory of its arrays. */
struct reading {
	struct berth_call *call;
	const struct far_runtime *far;
	struct berth_diagnostic diagnostics[BERTH_DIAGNOSTICS_MAX];
	struct berth_text ids[IDS_MAX];
	char id_texts[IDS_MAX][BERTH_ID_MAX];
	/* The host id that was generated last, and from what. */
	struct berth_text far_host_id, host_id;
	char host_id_text[BERTH_ID_MAX];
};

/* Strings are decoded where they stand: the answer is ours, and read once. */
static bool read_text(struct json_reader *r, struct berth_text *textp)
{
	struct json_slice slice;

	if (!json_read_string(r, &slice))
		return false;
	if (slice.escaped)
		slice.len = json_unescape(&slice, (char *)(uintptr_t)slice.ptr);
	*textp = (struct berth_text){ slice.ptr, slice.len };
	return true;
}

static bool is(struct berth_text text, const char *string)
{
	return text.ptr && text.len == strlen(string) && memcmp(text.ptr, string, text.len) == 0;
}

static bool equal(struct berth_text a, struct berth_text b)
{
	return a.ptr && b.ptr && a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

/* The id that a host of theirs has here; absent where theirs is unfit. */
static struct berth_text near_host_id(const struct reading *reading, struct berth_text far_id, char room[BERTH_ID_MAX])
{
	static const struct berth_text prefix = BERTH_TEXT("process-"), none = { NULL, 0 };
	const struct berth_services *services = reading->call->services;
	char value[2 * BERTH_ID_MAX + 8];
	int len;

	if (!far_id.ptr || far_id.len > BERTH_ID_MAX)
		return none;
	len = snprintf(value, sizeof value, "%s/%.*s", reading->far->own_id, (int)far_id.len, far_id.ptr);
	return services->generated_id(services, prefix, (struct berth_text){ value, (size_t)len }, room, BERTH_ID_MAX);
}

/* Most workers are on the host of the one before. */
static struct berth_text map_host_id(struct reading *reading, struct berth_text far_id)
{
	if (!equal(far_id, reading->far_host_id)) {
		reading->host_id = near_host_id(reading, far_id, reading->host_id_text);
		reading->far_host_id = far_id;
	}
	return reading->host_id;
}

/* ---- Objects ---- */

static bool read_members(struct json_reader *r, const struct member *members, void *object, struct reading *reading);

static bool read_diagnostics(struct json_reader *r, struct reading *reading, void *to)
{
	struct {
		const struct berth_diagnostic *first;
		size_t n;
	} array = { reading->diagnostics, 0 };

	if (!json_enter_array(r))
		return false;
	while (json_next_element(r)) {
		struct berth_diagnostic *diagnostic = &reading->diagnostics[array.n];

		if (array.n == BERTH_DIAGNOSTICS_MAX) {
			json_skip(r);
			continue;
		}
		*diagnostic = (struct berth_diagnostic){ .size = sizeof *diagnostic };
		if (!read_members(r, diagnostic_members, diagnostic, reading))
			return false;
		array.n++;
	}
	memcpy(to, &array, sizeof array);
	return !r->error;
}

static bool read_ids(struct json_reader *r, struct reading *reading, void *to)
{
	struct {
		const struct berth_text *first;
		size_t n;
	} array = { reading->ids, 0 };
	struct berth_text id;

	if (!json_enter_array(r))
		return false;
	while (json_next_element(r)) {
		if (!read_text(r, &id))
			return false;
		if (array.n == IDS_MAX)
			continue;
		reading->ids[array.n] = near_host_id(reading, id, reading->id_texts[array.n]);
		array.n++;
	}
	memcpy(to, &array, sizeof array);
	return !r->error;
}

static bool read_value(struct json_reader *r, const struct member *member, char *object, struct reading *reading)
{
	char *to = object + member->offset;
	struct berth_text text;
	struct json_slice number;
	uint64_t value;
	bool flag;

	switch (member->type) {
	case MEMBER_TEXT:
		if (!read_text(r, &text))
			return false;
		memcpy(to, &text, sizeof text);
		return true;
	case MEMBER_NUMBER:
		if (!json_read_number(r, &number) || !json_number_is_u64(&number, &value))
			return json_fail(r, "a whole number is expected");
		memcpy(to, &value, sizeof value);
		return true;
	case MEMBER_TIME:
		if (!read_text(r, &text) || !rfc3339_parse(text, &value))
			return json_fail(r, "a time as in RFC 3339 is expected");
		memcpy(to, &value, sizeof value);
		return true;
	case MEMBER_BIT:
		if (!json_read_boolean(r, &flag))
			return false;
		memcpy(&value, to, sizeof value);
		value |= flag ? member->mask : 0;
		memcpy(to, &value, sizeof value);
		return true;
	case MEMBER_SEVERITY:
		if (!read_text(r, &text))
			return false;
		value = is(text, "error") ? BERTH_ERROR : is(text, "warning") ? BERTH_WARNING : BERTH_INFO;
		memcpy(to, &value, sizeof value);
		return true;
	case MEMBER_OBJECT:
		return read_members(r, member->inner, object, reading);
	case MEMBER_IDS: /* what is read outside of a call has none of either */
		return reading && read_ids(r, reading, to);
	case MEMBER_DIAGNOSTICS:
		return reading && read_diagnostics(r, reading, to);
	}
	return false;
}

static bool read_members(struct json_reader *r, const struct member *members, void *object, struct reading *reading)
{
	struct json_slice key;
	uint32_t seen = 0;

	if (!json_enter_object(r))
		return false;
	while (json_next_member(r, &key)) {
		unsigned i = 0;

		while (members[i].key && !json_string_is(&key, members[i].key))
			i++;
		if (members[i].key && seen & 1u << i)
			return json_fail(r, "a key is given twice");
		seen |= 1u << i;
		if (!members[i].key)
			json_skip(r);
		else if (json_peek(r) == JSON_NULL)
			json_read_null(r);
		else
			read_value(r, &members[i], object, reading);
	}
	return !r->error;
}

/* ---- The parts of an answer ---- */

enum part {
	PART_ERROR,
	PART_ITEMS,
	PART_DIAGNOSTICS,
	PART_STATE,
	PART_WORKER,
	PART_EVIDENCE,
	PART_SEQUENCE,
	PART_EVENT_ID,
	PART_TOTAL_ITEMS,
	PART_NEXT_START,
	PART_NEXT_CURSOR,
	PART_MORE,
	PART_PROTOCOL,
	PART_RUNTIMES,
	N_PARTS,
};

static const char *const part_keys[N_PARTS] = {
	[PART_ERROR] = "error",
	[PART_ITEMS] = "items",
	[PART_DIAGNOSTICS] = "diagnostics",
	[PART_STATE] = "state",
	[PART_WORKER] = "worker",
	[PART_EVIDENCE] = "acceptance_evidence",
	[PART_SEQUENCE] = "transcript_sequence",
	[PART_EVENT_ID] = "event_id",
	[PART_TOTAL_ITEMS] = "total_items",
	[PART_NEXT_START] = "next_start",
	[PART_NEXT_CURSOR] = "next_cursor",
	[PART_MORE] = "more",
	[PART_PROTOCOL] = "protocol",
	[PART_RUNTIMES] = "runtimes",
};

struct answer {
	struct reading reading;
	struct berth_text line;
	struct json_slice parts[N_PARTS]; /* raw; ptr NULL: not there, or null */
};

/* Reads the whole line and keeps where its parts are. False with why. */
static bool collect(struct berth_text line, struct json_slice parts[N_PARTS], const char **whyp)
{
	struct json_slice key, value;
	struct json_reader r;

	json_open(&r, line.ptr, line.len);
	json_enter_object(&r);
	while (json_next_member(&r, &key)) {
		size_t i = 0;

		while (i < N_PARTS && !json_string_is(&key, part_keys[i]))
			i++;
		if (!json_read_raw(&r, &value) || i == N_PARTS || *value.ptr == 'n')
			continue;
		if (parts[i].ptr)
			json_fail(&r, "a key is given twice");
		parts[i] = value;
	}
	json_close(&r);
	*whyp = r.error;
	return !r.error;
}

static int bad(struct answer *answer, const char *part, const char *why)
{
	struct berth_call *call = answer->reading.call;

	return call->sink->fail(call, -EPROTO, "the process answered what cannot be used: %s%s%s", part, *part ? ": " : "",
				why);
}

/* The error in the place of an answer, as what the operation returns. */
static int judge_error(struct answer *answer)
{
	struct berth_call *call = answer->reading.call;
	const struct {
		struct berth_text kind, message;
	} unknown = { { NULL, 0 }, { NULL, 0 } };
	struct error {
		struct berth_text kind, message;
	} error;
	static const struct member members[] = { TEXT(error, "kind", kind), TEXT(error, "message", message), END };
	struct json_reader r;

	memcpy(&error, &unknown, sizeof error);
	json_open(&r, answer->parts[PART_ERROR].ptr, answer->parts[PART_ERROR].len);
	if (!read_members(&r, members, &error, &answer->reading) || !error.kind.ptr)
		return bad(answer, "error", "an object with a kind is expected");
	if (is(error.kind, "unknown_worker"))
		return -ENOENT;
	return call->sink->fail(call, is(error.kind, "bad_request") ? -ENOSYS : -EPROTO,
				"the process answered with the error %.*s%s%.*s",
				error.kind.len > 60 ? 60 : (int)error.kind.len, error.kind.ptr, error.message.ptr ? ": " : "",
				error.message.len > 200 ? 200 : (int)error.message.len,
				error.message.ptr ? error.message.ptr : "");
}

/* Begins an answer: 0, or what the operation is to return. */
static int open_answer(struct answer *answer, struct berth_call *call, const struct far_runtime *far, struct bytes *bytes)
{
	const char *why;

	memset(answer->parts, 0, sizeof answer->parts);
	answer->reading.call = call;
	answer->reading.far = far;
	answer->reading.far_host_id = answer->reading.host_id = (struct berth_text){ NULL, 0 };
	answer->line = (struct berth_text){ bytes->data, bytes->len };
	if (!collect(answer->line, answer->parts, &why))
		return bad(answer, "", why);
	return answer->parts[PART_ERROR].ptr ? judge_error(answer) : 0;
}

typedef int push_function(struct answer *answer, struct json_reader *r);

/* Pushes each element of a part, until enough are there. */
static int push_each(struct answer *answer, enum part part, push_function *push)
{
	struct json_reader r;
	int full = 0;

	if (!answer->parts[part].ptr)
		return 0;
	json_open(&r, answer->parts[part].ptr, answer->parts[part].len);
	json_enter_array(&r);
	while (full == 0 && json_next_element(&r))
		full = push(answer, &r);
	return r.error ? bad(answer, part_keys[part], r.error) : full < 0 ? full : 0;
}

static int push_diagnostic(struct answer *answer, struct json_reader *r)
{
	struct berth_call *call = answer->reading.call;
	struct berth_diagnostic diagnostic = { .size = sizeof diagnostic };

	return read_members(r, diagnostic_members, &diagnostic, &answer->reading) ? call->sink->diagnostic(call, &diagnostic) :
										    0;
}

static int push_diagnostics(struct answer *answer)
{
	return push_each(answer, PART_DIAGNOSTICS, push_diagnostic);
}

/* Whether something belongs to another runtime of the other side. */
static bool is_foreign(const struct answer *answer, struct berth_text runtime_id)
{
	return runtime_id.ptr && !is(runtime_id, answer->reading.far->id);
}

static int push_runtime(struct answer *answer, struct json_reader *r)
{
	struct berth_call *call = answer->reading.call;
	struct berth_runtime runtime = { .size = sizeof runtime };

	if (!read_members(r, runtime_members, &runtime, &answer->reading) || is_foreign(answer, runtime.runtime_id))
		return 0;
	runtime.runtime_id = (struct berth_text){ NULL, 0 };
	call->sink->runtime(call, &runtime);
	return 1;
}

static int push_host(struct answer *answer, struct json_reader *r)
{
	struct berth_call *call = answer->reading.call;
	struct far_host host = { .base = { .size = sizeof host.base } };

	if (!read_members(r, host_members, &host, &answer->reading) || is_foreign(answer, host.runtime_id))
		return 0;
	host.base.host_id = map_host_id(&answer->reading, host.base.host_id);
	return call->sink->host(call, &host.base);
}

static bool read_worker(struct answer *answer, struct json_reader *r, struct berth_worker *worker)
{
	*worker = (struct berth_worker){ .size = sizeof *worker };
	if (!read_members(r, worker_members, worker, &answer->reading))
		return false;
	worker->host_id = map_host_id(&answer->reading, worker->host_id);
	return true;
}

static int push_worker(struct answer *answer, struct json_reader *r)
{
	struct berth_call *call = answer->reading.call;
	struct berth_worker worker;

	if (!read_worker(answer, r, &worker) || is_foreign(answer, worker.runtime_id))
		return 0;
	worker.runtime_id = (struct berth_text){ NULL, 0 };
	return call->sink->worker(call, &worker);
}

static int push_evidence(struct answer *answer, struct json_reader *r)
{
	struct berth_call *call = answer->reading.call;
	struct berth_evidence evidence = { .size = sizeof evidence };

	return read_members(r, evidence_members, &evidence, &answer->reading) ? call->sink->evidence(call, &evidence) : 0;
}

static int push_item(struct answer *answer, struct json_reader *r)
{
	struct berth_call *call = answer->reading.call;
	struct berth_transcript_item item = { .size = sizeof item };

	return read_members(r, item_members, &item, &answer->reading) ? call->sink->transcript_item(call, &item) : 0;
}

static int push_point(struct answer *answer, struct json_reader *r)
{
	struct berth_call *call = answer->reading.call;
	struct berth_connect_point point = { .size = sizeof point };

	return read_members(r, point_members, &point, &answer->reading) ? call->sink->connect_point(call, &point) : 0;
}

static int push_event(struct answer *answer, struct json_reader *r)
{
	struct berth_call *call = answer->reading.call;
	struct berth_event event = { .size = sizeof event };

	return read_members(r, event_members, &event, &answer->reading) ? call->sink->event(call, &event) : 0;
}

/* ---- Whole answers ---- */

/* A list: its items, then its diagnostics. */
static int push_list(struct berth_call *call, const struct far_runtime *far, struct bytes *bytes, push_function *push,
		     bool of_answer)
{
	struct answer answer;
	int rc = open_answer(&answer, call, far, bytes);

	if (rc == 0 && !answer.parts[PART_ITEMS].ptr)
		return bad(&answer, part_keys[PART_ITEMS], "missing");
	if (rc == 0 && far->wanted > 0)
		rc = push_each(&answer, PART_ITEMS, push);
	return rc == 0 && of_answer ? push_diagnostics(&answer) : rc;
}

int answer_runtime(struct berth_call *call, const struct far_runtime *far, struct bytes *answer)
{
	/* Those of the list are those of the runtimes again. */
	return push_list(call, far, answer, push_runtime, false);
}

int answer_hosts(struct berth_call *call, const struct far_runtime *far, struct bytes *answer)
{
	return push_list(call, far, answer, push_host, true);
}

int answer_workers(struct berth_call *call, const struct far_runtime *far, struct bytes *answer)
{
	return push_list(call, far, answer, push_worker, true);
}

int answer_connect_points(struct berth_call *call, const struct far_runtime *far, struct bytes *answer)
{
	return push_list(call, far, answer, push_point, true);
}

int answer_worker(struct berth_call *call, const struct far_runtime *far, struct bytes *bytes)
{
	struct answer answer;
	struct json_reader r;
	int rc = open_answer(&answer, call, far, bytes);

	if (rc < 0)
		return rc;
	json_open(&r, answer.line.ptr, answer.line.len);
	push_worker(&answer, &r);
	return r.error ? bad(&answer, "worker", r.error) : 0;
}

/* A number of the answer; 0 where there is none. */
static int take_number(struct answer *answer, enum part part, uint64_t *valuep)
{
	*valuep = 0;
	if (!answer->parts[part].ptr || json_number_is_u64(&answer->parts[part], valuep))
		return 0;
	return bad(answer, part_keys[part], "a whole number is expected");
}

/* Where events go on. Cursors are the other side's, and mean nothing here. */
static int take_cursor(struct answer *answer, struct berth_answer *head)
{
	const struct json_slice *cursor = &answer->parts[PART_NEXT_CURSOR], *more = &answer->parts[PART_MORE];
	struct json_reader r;
	bool follow = false;

	json_open(&r, cursor->ptr, cursor->len);
	if (cursor->ptr && !read_text(&r, &head->next_cursor))
		return bad(answer, part_keys[PART_NEXT_CURSOR], r.error);
	json_open(&r, more->ptr, more->len);
	if (more->ptr && !json_read_boolean(&r, &follow))
		return bad(answer, part_keys[PART_MORE], r.error);
	head->more |= follow;
	return 0;
}

/* Reads the head of an answer and pushes it. */
static int push_head(struct answer *answer)
{
	static const char *const names[] = {
		[BERTH_ACCEPTED] = "\"accepted\"",
		[BERTH_UNSUPPORTED] = "\"unsupported\"",
		[BERTH_REJECTED] = "\"rejected\"",
	};
	const struct json_slice *state = &answer->parts[PART_STATE];
	struct berth_call *call = answer->reading.call;
	struct berth_answer head = { .size = sizeof head };
	int rc;

	for (uint64_t i = BERTH_ACCEPTED; i <= BERTH_REJECTED; i++)
		if (is((struct berth_text){ state->ptr, state->len }, names[i]))
			head.state = i;
	if (head.state == 0)
		return bad(answer, "state", "accepted, unsupported or rejected is expected");
	rc = take_number(answer, PART_SEQUENCE, &head.transcript_sequence);
	if (rc == 0)
		rc = take_number(answer, PART_EVENT_ID, &head.event_id);
	if (rc == 0)
		rc = take_number(answer, PART_TOTAL_ITEMS, &head.total_items);
	if (rc == 0)
		rc = take_number(answer, PART_NEXT_START, &head.next_start);
	head.more = answer->parts[PART_NEXT_START].ptr != NULL;
	if (rc == 0)
		rc = take_cursor(answer, &head);
	return rc == 0 ? call->sink->answer(call, &head) : rc;
}

static int push_spawned(struct answer *answer)
{
	struct berth_call *call = answer->reading.call;
	struct berth_worker worker;
	struct json_reader r;

	if (!answer->parts[PART_WORKER].ptr)
		return 0;
	json_open(&r, answer->parts[PART_WORKER].ptr, answer->parts[PART_WORKER].len);
	if (!read_worker(answer, &r, &worker))
		return bad(answer, "worker", r.error);
	/* Another id is that of a placeholder. */
	if (!is_foreign(answer, worker.runtime_id))
		worker.runtime_id = (struct berth_text){ NULL, 0 };
	return call->sink->worker(call, &worker);
}

int answer_spawn(struct berth_call *call, const struct far_runtime *far, struct bytes *bytes)
{
	struct answer answer;
	int rc = open_answer(&answer, call, far, bytes);

	if (rc == 0)
		rc = push_head(&answer);
	if (rc == 0)
		rc = push_spawned(&answer);
	if (rc == 0)
		rc = push_each(&answer, PART_EVIDENCE, push_evidence);
	return rc == 0 ? push_diagnostics(&answer) : rc;
}

int answer_stop(struct berth_call *call, const struct far_runtime *far, struct bytes *bytes)
{
	struct answer answer;
	int rc = open_answer(&answer, call, far, bytes);

	if (rc == 0)
		rc = push_head(&answer);
	return rc == 0 ? push_diagnostics(&answer) : rc;
}

int answer_input(struct berth_call *call, const struct far_runtime *far, struct bytes *bytes)
{
	return answer_stop(call, far, bytes);
}

/* A head, then items. */
static int push_page(struct berth_call *call, const struct far_runtime *far, struct bytes *bytes, push_function *push)
{
	struct answer answer;
	int rc = open_answer(&answer, call, far, bytes);

	if (rc == 0)
		rc = push_head(&answer);
	if (rc == 0 && far->wanted > 0)
		rc = push_each(&answer, PART_ITEMS, push);
	return rc == 0 ? push_diagnostics(&answer) : rc;
}

int answer_transcript(struct berth_call *call, const struct far_runtime *far, struct bytes *answer)
{
	return push_page(call, far, answer, push_item);
}

int answer_events(struct berth_call *call, const struct far_runtime *far, struct bytes *answer)
{
	return push_page(call, far, answer, push_event);
}

/* ---- hello ---- */

/* Whether it is what the contract has for an identifier. */
static bool is_identifier(struct berth_text id)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_:";

	for (size_t i = 0; i < id.len; i++)
		if (!memchr(allowed, id.ptr[i], sizeof allowed - 1))
			return false;
	return id.len > 0 && id.len <= BERTH_ID_MAX;
}

/* Takes the runtime if it is the one that is meant. */
static bool take_runtime(struct json_reader *r, const char *wanted, uint64_t index, struct far_runtime *far)
{
	static const struct member members[] = {
		TEXT(berth_runtime, "runtime_id", runtime_id), OBJECT("capabilities", runtime_capabilities), END,
	};
	struct berth_runtime runtime = { .size = sizeof runtime };
	const struct berth_text *id = &runtime.runtime_id;

	if (!read_members(r, members, &runtime, NULL) || !is_identifier(*id))
		return json_fail(r, "an object with a runtime_id is expected");
	if (*wanted && !is(*id, wanted))
		return false;
	memcpy(far->id, id->ptr, id->len);
	far->id[id->len] = '\0';
	far->index = index;
	far->can = runtime.can;
	return true;
}

int answer_hello(struct berth_text answer, const char *wanted, struct far_runtime *far, struct trouble *trouble)
{
	struct json_slice parts[N_PARTS] = { { .ptr = NULL } };
	uint64_t protocol = 0, n = 0, n_found = 0;
	struct json_reader r;
	const char *why;

	trouble->kind = TROUBLE_NONE;
	if (!collect(answer, parts, &why) || !parts[PART_PROTOCOL].ptr || !parts[PART_RUNTIMES].ptr ||
	    !json_number_is_u64(&parts[PART_PROTOCOL], &protocol) || protocol != 1)
		return -1;
	json_open(&r, parts[PART_RUNTIMES].ptr, parts[PART_RUNTIMES].len);
	json_enter_array(&r);
	for (; json_next_element(&r); n++)
		n_found += take_runtime(&r, wanted, n, far);
	if (r.error)
		return -1;
	far->alone = n == 1;
	if (n_found == 1)
		return 0;
	if (n_found > 1)
		return trouble_set(trouble, TROUBLE_BROKEN,
				   "the process has %llu runtimes; the option runtime is to name one of them",
				   (unsigned long long)n_found);
	return trouble_set(trouble, TROUBLE_BROKEN, *wanted ? "the process has no runtime of the name that the option "
							      "runtime gives" : "the process has no runtime");
}
