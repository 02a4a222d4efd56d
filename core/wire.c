/* SPDX-License-Identifier: MIT */
/*
 * The wire format is fixed key by key, so it stands here as data. A field holds the
 * text that leads up to its value, punctuation and keys included, which keeps the
 * loop that writes as simple as it is fast.
 */
#include "config.h"

#include "core/wire.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/identifier.h"
#include "core/json_writer.h"
#include "core/text.h"
#include "inline/gather.h"

enum field_type {
	FIELD_LEAD,          /* no value: the lead is all */
	FIELD_ID,            /* berth_text, an identifier */
	FIELD_ID_OR_NULL,    /* the same, absent is null */
	FIELD_TEXT,          /* berth_text, required */
	FIELD_TEXT_OR_NULL,  /* berth_text, absent is null */
	FIELD_CONTENT,       /* berth_text, required, up to BERTH_CONTENT_MAX */
	FIELD_ROLE,          /* berth_text: user, system or worker */
	FIELD_CURSOR,        /* berth_text, a cursor */
	FIELD_U64,           /* uint64_t */
	FIELD_NUMBER,        /* uint64_t from 1 */
	FIELD_NUMBER_OR_NULL, /* the same, 0 is null */
	FIELD_TIME,          /* uint64_t, nanoseconds */
	FIELD_TIME_OR_NULL,  /* the same, 0 is null */
	FIELD_BIT,           /* uint64_t, true where the mask is set */
	FIELD_IDS,           /* pointer to berth_text, then size_t: identifiers */
	FIELD_DIAGNOSTICS,   /* pointer to berth_diagnostic, then size_t */
};

/* Leads are copied whole, which is faster than by their length. */
enum { LEAD_SIZE = 48 };

struct field {
	unsigned char type; /* enum field_type */
	unsigned char lead_len;
	unsigned short offset;
	uint64_t mask;
	char lead[LEAD_SIZE];
};

#define FIELD(lead, type, object, member) { type, sizeof(lead) - 1, offsetof(struct object, member), 0, lead }
#define BIT(key, object, member, mask) \
	{ FIELD_BIT, sizeof(key) - 1, offsetof(struct object, member), mask, key }
#define LEAD(lead) { FIELD_LEAD, sizeof(lead) - 1, 0, 0, lead }
#define SHAPE_WITH(name, put) \
	const struct shape name##_shape = { name##_fields, sizeof name##_fields / sizeof *name##_fields, put }
#define SHAPE(name) SHAPE_WITH(name, NULL)
#define SHAPE_AT_ONCE(name)                                             \
	static bool put_##name(struct buffer *out, const void *object); \
	SHAPE_WITH(name, put_##name)

/* Runtimes and hosts show their capabilities alike. */
#define CAPABILITIES(object)                                                                                  \
	BIT("\"can_list_hosts\":", object, base.can, BERTH_CAN_LIST_HOSTS),                                   \
	BIT(",\"can_list_workers\":", object, base.can, BERTH_CAN_LIST_WORKERS),                              \
	BIT(",\"can_get_worker\":", object, base.can, BERTH_CAN_GET_WORKER),                                  \
	BIT(",\"can_spawn_worker\":", object, base.can, BERTH_CAN_SPAWN_WORKER),                              \
	BIT(",\"can_stop_worker\":", object, base.can, BERTH_CAN_STOP_WORKER),                                \
	BIT(",\"can_accept_input\":", object, base.can, BERTH_CAN_ACCEPT_INPUT),                              \
	BIT(",\"can_stream_events\":", object, base.can, BERTH_CAN_STREAM_EVENTS),                            \
	BIT(",\"can_read_bounded_transcript\":", object, base.can, BERTH_CAN_READ_BOUNDED_TRANSCRIPT),        \
	BIT(",\"has_workspace_fs\":", object, base.can, BERTH_HAS_WORKSPACE_FS),                              \
	BIT(",\"has_shell\":", object, base.can, BERTH_HAS_SHELL),                                            \
	BIT(",\"has_git\":", object, base.can, BERTH_HAS_GIT),                                                \
	BIT(",\"supports_worktrees\":", object, base.can, BERTH_SUPPORTS_WORKTREES),                          \
	BIT(",\"supports_backend_internal_tools\":", object, base.can, BERTH_SUPPORTS_BACKEND_INTERNAL_TOOLS), \
	FIELD(",\"local_pod_inspection\":", FIELD_TEXT, object, base.local_pod_inspection),                   \
	FIELD(",\"workspace_scope\":", FIELD_TEXT, object, base.workspace_scope),                             \
	FIELD(",\"max_workers\":", FIELD_U64, object, max_workers),                                           \
	FIELD(",\"os\":", FIELD_TEXT, object, base.os),                                                       \
	FIELD(",\"arch\":", FIELD_TEXT, object, base.arch),                                                   \
	LEAD("}")

static const struct field wire_runtime_fields[] = {
	FIELD("{\"runtime_id\":", FIELD_ID, wire_runtime, base.runtime_id),
	FIELD(",\"label\":", FIELD_TEXT, wire_runtime, base.label),
	FIELD(",\"kind\":", FIELD_TEXT, wire_runtime, base.kind),
	FIELD(",\"status\":", FIELD_TEXT, wire_runtime, base.status),
	FIELD(",\"source\":{\"kind\":", FIELD_TEXT, wire_runtime, base.source_kind),
	FIELD(",\"status\":", FIELD_TEXT, wire_runtime, base.source_status),
	LEAD(",\"identity_authority\":"),
	FIELD("\"runtime_registry_projection\",\"note\":", FIELD_TEXT, wire_runtime, base.source_note),
	FIELD("},\"host_ids\":", FIELD_IDS, wire_runtime, base.host_ids),
	LEAD(",\"capabilities\":{"),
	CAPABILITIES(wire_runtime),
	LEAD(",\"diagnostics\":"),
};
SHAPE_AT_ONCE(wire_runtime);

static const struct field wire_capabilities_fields[] = {
	LEAD("{"),
	CAPABILITIES(wire_runtime),
};
SHAPE(wire_capabilities);

static const struct field wire_host_fields[] = {
	FIELD("{\"runtime_id\":", FIELD_ID, wire_host, runtime_id),
	FIELD(",\"host_id\":", FIELD_ID, wire_host, base.host_id),
	FIELD(",\"label\":", FIELD_TEXT, wire_host, base.label),
	FIELD(",\"kind\":", FIELD_TEXT, wire_host, base.kind),
	FIELD(",\"status\":", FIELD_TEXT, wire_host, base.status),
	FIELD(",\"observed_at\":", FIELD_TIME, wire_host, base.observed_at_ns),
	FIELD(",\"last_seen_at\":", FIELD_TIME_OR_NULL, wire_host, base.last_seen_at_ns),
	LEAD(",\"capabilities\":{"),
	CAPABILITIES(wire_host),
	FIELD(",\"diagnostics\":", FIELD_DIAGNOSTICS, wire_host, base.diagnostics),
	LEAD("}"),
};
SHAPE(wire_host);

#define WORKER(lead, type, member) FIELD(lead, type, berth_worker, member)
static const struct field wire_worker_fields[] = {
	WORKER("{\"runtime_id\":", FIELD_ID, runtime_id),
	WORKER(",\"worker_id\":", FIELD_ID, worker_id),
	WORKER(",\"host_id\":", FIELD_ID, host_id),
	WORKER(",\"label\":", FIELD_TEXT, label),
	WORKER(",\"role\":", FIELD_TEXT_OR_NULL, role),
	WORKER(",\"profile\":", FIELD_TEXT_OR_NULL, profile),
	WORKER(",\"workspace\":{\"visibility\":", FIELD_TEXT, workspace_visibility),
	WORKER(",\"identity\":", FIELD_TEXT, workspace_identity),
	WORKER("},\"state\":", FIELD_TEXT, state),
	WORKER(",\"status\":", FIELD_TEXT, status),
	WORKER(",\"last_seen_at\":", FIELD_TIME_OR_NULL, last_seen_at_ns),
	WORKER(",\"implementation\":{\"kind\":", FIELD_TEXT, implementation_kind),
	WORKER(",\"display_hint\":", FIELD_TEXT, implementation_hint),
	LEAD("},\"capabilities\":{"),
	BIT("\"can_accept_input\":", berth_worker, can, BERTH_WORKER_CAN_ACCEPT_INPUT),
	BIT(",\"can_stream_events\":", berth_worker, can, BERTH_WORKER_CAN_STREAM_EVENTS),
	BIT(",\"can_stop\":", berth_worker, can, BERTH_WORKER_CAN_STOP),
	BIT(",\"can_spawn_followup\":", berth_worker, can, BERTH_WORKER_CAN_SPAWN_FOLLOWUP),
	BIT(",\"can_read_bounded_transcript\":", berth_worker, can, BERTH_WORKER_CAN_READ_BOUNDED_TRANSCRIPT),
	WORKER("},\"diagnostics\":", FIELD_DIAGNOSTICS, diagnostics),
	LEAD("}"),
};
SHAPE_AT_ONCE(wire_worker);

static const struct field wire_evidence_fields[] = {
	FIELD("{\"kind\":", FIELD_TEXT, berth_evidence, kind),
	FIELD(",\"detail\":", FIELD_TEXT, berth_evidence, detail),
	LEAD("}"),
};
SHAPE_AT_ONCE(wire_evidence);

static const struct field wire_transcript_item_fields[] = {
	FIELD("{\"sequence\":", FIELD_NUMBER, berth_transcript_item, sequence),
	FIELD(",\"role\":", FIELD_ROLE, berth_transcript_item, role),
	FIELD(",\"content\":", FIELD_CONTENT, berth_transcript_item, content),
	FIELD(",\"event_id\":", FIELD_NUMBER, berth_transcript_item, event_id),
	LEAD("}"),
};
SHAPE_AT_ONCE(wire_transcript_item);

static const struct field wire_connect_point_fields[] = {
	FIELD("{\"kind\":", FIELD_TEXT, berth_connect_point, kind),
	FIELD(",\"status\":", FIELD_TEXT, berth_connect_point, status),
	FIELD(",\"diagnostics\":", FIELD_DIAGNOSTICS, berth_connect_point, diagnostics),
	LEAD("}"),
};
SHAPE(wire_connect_point);

static const struct field wire_event_fields[] = {
	FIELD("{\"event_id\":", FIELD_NUMBER, berth_event, event_id),
	FIELD(",\"kind\":", FIELD_TEXT, berth_event, kind),
	FIELD(",\"occurred_at\":", FIELD_TIME_OR_NULL, berth_event, occurred_at_ns),
	FIELD(",\"worker_id\":", FIELD_ID_OR_NULL, berth_event, worker_id),
	FIELD(",\"transcript_sequence\":", FIELD_NUMBER_OR_NULL, berth_event, transcript_sequence),
	FIELD(",\"cursor\":", FIELD_CURSOR, berth_event, cursor),
	LEAD("}"),
};
SHAPE(wire_event);

/* ---- Reading what a plugin pushed ---- */

void wire_copy_in(void *to, size_t to_size, const void *from, size_t from_size)
{
	size_t size = from_size < to_size ? from_size : to_size;

	memset(to, 0, to_size);
	memcpy(to, from, size);
}

bool wire_cursor_valid(struct berth_text text)
{
	if (!text.ptr || text.len == 0 || text.len > BERTH_CURSOR_MAX)
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] < '!' || text.ptr[i] > '~')
			return false;
	return true;
}

static struct berth_text text_at(const void *member)
{
	struct berth_text text;

	memcpy(&text, member, sizeof text);
	return text;
}

static uint64_t u64_at(const void *member)
{
	uint64_t value;

	memcpy(&value, member, sizeof value);
	return value;
}

/* An array member: a pointer and, behind it, the number of elements. */
struct array {
	void *first;
	size_t n;
};

static struct array array_at(const void *member)
{
	struct array array;

	memcpy(&array, member, sizeof array);
	return array;
}

BLOCK_INLINE bool is_role(struct berth_text text)
{
	if (!text.ptr)
		return false;
	return (text.len == 4 && memcmp(text.ptr, "user", 4) == 0) ||
	       (text.len == 6 && (memcmp(text.ptr, "system", 6) == 0 || memcmp(text.ptr, "worker", 6) == 0));
}

/* ---- Writing: each returns NULL, or what is wrong with the value. ---- */

static const char *write_text(struct buffer *out, struct berth_text text, size_t max)
{
	if (!text.ptr)
		return "is missing";
	if (text.len > max)
		return "is too long";
	return json_write_string(out, text) ? NULL : "is not UTF-8";
}

static const char *write_id(struct buffer *out, struct berth_text text)
{
	if (!text.ptr)
		return "is missing";
	return identifier_write(out, text) ? NULL : "is no identifier";
}

static const char *write_ids(struct buffer *out, struct array array)
{
	const struct berth_text *ids = array.first;
	const char *wrong = NULL;

	if (!ids && array.n > 0)
		return "is missing";
	buffer_append_char(out, '[');
	for (size_t i = 0; i < array.n && !wrong; i++) {
		if (i > 0)
			buffer_append_char(out, ',');
		wrong = write_id(out, ids[i]);
	}
	buffer_append_char(out, ']');
	return wrong;
}

/* What stands between code and message. */
static struct berth_text severity_lead(uint64_t severity)
{
	static const struct berth_text info = BERTH_TEXT("\",\"severity\":\"info\",\"message\":");
	static const struct berth_text warning = BERTH_TEXT("\",\"severity\":\"warning\",\"message\":");
	static const struct berth_text error = BERTH_TEXT("\",\"severity\":\"error\",\"message\":");

	return severity == BERTH_ERROR ? error : severity == BERTH_WARNING ? warning : info;
}

BLOCK_INLINE block_bytes not_code(block_bytes bytes)
{
	return ((bytes < 'a') | (bytes > 'z')) & ((bytes < '0') | (bytes > '9')) & (bytes != '_');
}

static bool code_valid(struct berth_text code)
{
	return code.ptr && code.len > 0 && code.len <= BERTH_ID_MAX && block_all(code.ptr, code.len, not_code);
}

static const char *write_diagnostic(struct buffer *out, const struct berth_diagnostic *pushed)
{
	struct berth_diagnostic copy;
	struct berth_text lead;
	const char *wrong;

	pushed = WIRE_VIEW(&copy, pushed);
	lead = severity_lead(pushed->severity);
	if (!code_valid(pushed->code))
		return "has a code that is not of the form [a-z0-9_]+";
	buffer_append_string(out, "{\"code\":\"");
	buffer_append(out, pushed->code.ptr, pushed->code.len);
	buffer_append(out, lead.ptr, lead.len);
	wrong = write_text(out, pushed->message, BERTH_TEXT_MAX);
	if (wrong)
		return "has a message that is missing, too long or not UTF-8";
	buffer_append_char(out, '}');
	return NULL;
}

/* Arrays of what grows are stepped by the size that the plugin was built with. */
static const struct berth_diagnostic *nth_diagnostic(struct array array, size_t i)
{
	const struct berth_diagnostic *first = array.first;

	return (const struct berth_diagnostic *)((const char *)first + i * first->size);
}

static const char *check_diagnostics(struct array array)
{
	const struct berth_diagnostic *first = array.first;

	if (array.n == 0)
		return NULL;
	if (!first)
		return "is missing";
	if (first->size < sizeof first->size || first->size > USHRT_MAX ||
	    first->size % _Alignof(struct berth_diagnostic) != 0)
		return "has no usable size";
	return NULL;
}

static const char *write_diagnostics(struct buffer *out, struct array array)
{
	const char *wrong = check_diagnostics(array);

	buffer_append_char(out, '[');
	for (size_t i = 0; i < array.n && i < BERTH_DIAGNOSTICS_MAX && !wrong; i++) {
		if (i > 0)
			buffer_append_char(out, ',');
		wrong = write_diagnostic(out, nth_diagnostic(array, i));
	}
	buffer_append_char(out, ']');
	return wrong;
}

static const char *write_null(struct buffer *out)
{
	buffer_append(out, "null", 4);
	return NULL;
}

static const char *write_value(struct buffer *out, const struct field *field, const char *member)
{
	switch ((enum field_type)field->type) {
	case FIELD_LEAD:
		return NULL;
	case FIELD_BIT:
		buffer_append_string(out, u64_at(member) & field->mask ? "true" : "false");
		return NULL;
	case FIELD_ID:
		return write_id(out, text_at(member));
	case FIELD_ID_OR_NULL:
		return text_at(member).ptr ? write_id(out, text_at(member)) : write_null(out);
	case FIELD_TEXT:
		return write_text(out, text_at(member), BERTH_TEXT_MAX);
	case FIELD_TEXT_OR_NULL:
		return text_at(member).ptr ? write_text(out, text_at(member), BERTH_TEXT_MAX) : write_null(out);
	case FIELD_CONTENT:
		return write_text(out, text_at(member), BERTH_CONTENT_MAX);
	case FIELD_ROLE:
		if (!is_role(text_at(member)))
			return "is none of user, system and worker";
		return write_text(out, text_at(member), BERTH_TEXT_MAX);
	case FIELD_CURSOR:
		if (!wire_cursor_valid(text_at(member)))
			return "is no cursor";
		return write_text(out, text_at(member), BERTH_CURSOR_MAX);
	case FIELD_NUMBER_OR_NULL:
		if (u64_at(member) == 0)
			return write_null(out);
		json_write_u64(out, u64_at(member));
		return NULL;
	case FIELD_NUMBER:
		if (u64_at(member) == 0)
			return "is 0, numbers begin at 1";
		json_write_u64(out, u64_at(member));
		return NULL;
	case FIELD_U64:
		json_write_u64(out, u64_at(member));
		return NULL;
	case FIELD_TIME_OR_NULL:
		if (u64_at(member) == 0)
			return write_null(out);
		json_write_time(out, u64_at(member));
		return NULL;
	case FIELD_TIME:
		json_write_time(out, u64_at(member));
		return NULL;
	case FIELD_IDS:
		return write_ids(out, array_at(member));
	case FIELD_DIAGNOSTICS:
		return write_diagnostics(out, array_at(member));
	}
	return NULL;
}

/* The key in a lead such as ,"workspace":{"visibility": is its last one. */
static int key_of(const struct field *field, const char **keyp)
{
	const char *end = field->lead + field->lead_len - 2, *p = end;

	while (p > field->lead && p[-1] != '"')
		p--;
	*keyp = p;
	return (int)(end - p);
}

bool wire_write_each(struct buffer *out, const struct shape *shape, const void *object, struct error *why)
{
	const size_t mark = out->len;

	for (const struct field *field = shape->fields; field < shape->fields + shape->n_fields; field++) {
		const char *wrong, *key;

		buffer_append(out, field->lead, field->lead_len);
		wrong = write_value(out, field, (const char *)object + field->offset);
		if (wrong) {
			int len = key_of(field, &key);

			error_set(why, -EINVAL, "%.*s %s", len, key, wrong);
			buffer_cut(out, mark);
			return false;
		}
	}
	return true;
}

/* ---- Writing at once ---- */

/*
 * Nearly every object has nothing but plain texts, numbers and bits. How long it can get is known before the first
 * byte is written, so there is one look for room; its texts are copied without a look at what they are, and what of
 * their bytes is not plain is gathered and looked at once, at the end. With anything else, wire_write_each begins
 * anew. The compiler unrolls the loops over the fields of each shape, so that no table is read.
 */
#ifdef __clang__
#define EACH_FIELD _Pragma("clang loop unroll(full)")
#else
#define EACH_FIELD _Pragma("GCC unroll 40")
#endif

enum {
	VALUE_ROOM = 24,     /* of a number, null or false, and of two quotes */
	DIAGNOSTIC_ROOM = 64, /* of one, but for its texts */
};

static const char diagnostic_lead[] = "{\"code\":\"";

/* Each of these returns how much room a value may take beyond VALUE_ROOM; TOO_MUCH: it is not for here. */
#define TOO_MUCH ((size_t)1 << 32)

BLOCK_INLINE size_t measure_text(struct berth_text text, size_t max)
{
	return text.ptr && text.len <= max ? text.len : TOO_MUCH;
}

BLOCK_INLINE size_t measure_id(struct berth_text text)
{
	return text.ptr && text.len > 0 ? measure_text(text, BERTH_ID_MAX) : TOO_MUCH;
}

BLOCK_INLINE size_t measure_ids(struct array array)
{
	const struct berth_text *ids = array.first;
	size_t room = 0;

	if (array.n > BERTH_DIAGNOSTICS_MAX || (!ids && array.n > 0))
		return TOO_MUCH;
	for (size_t i = 0; i < array.n; i++)
		room += measure_id(ids[i]) + VALUE_ROOM;
	return room;
}

/* Those of a later version of the boundary as well, but not of one that had less. */
BLOCK_INLINE size_t measure_diagnostics(struct array array)
{
	size_t room = 0;

	if (array.n == 0)
		return 0;
	if (array.n > BERTH_DIAGNOSTICS_MAX || check_diagnostics(array) ||
	    nth_diagnostic(array, 0)->size < sizeof(struct berth_diagnostic))
		return TOO_MUCH;
	for (size_t i = 0; i < array.n; i++)
		room += measure_id(nth_diagnostic(array, i)->code) + DIAGNOSTIC_ROOM +
			measure_text(nth_diagnostic(array, i)->message, BERTH_TEXT_MAX);
	return room;
}

BLOCK_INLINE size_t measure_value(const struct field *field, const char *member)
{
	switch ((enum field_type)field->type) {
	case FIELD_LEAD:
	case FIELD_BIT:
	case FIELD_U64:
	case FIELD_NUMBER_OR_NULL:
		return 0;
	case FIELD_NUMBER:
		return u64_at(member) > 0 ? 0 : TOO_MUCH;
	case FIELD_TIME_OR_NULL:
		return u64_at(member) == 0 ? 0 : TOO_MUCH;
	case FIELD_ID:
		return measure_id(text_at(member));
	case FIELD_ROLE:
		return is_role(text_at(member)) ? 0 : TOO_MUCH;
	case FIELD_TEXT_OR_NULL:
		return text_at(member).ptr ? measure_text(text_at(member), BERTH_TEXT_MAX) : 0;
	case FIELD_TEXT:
		return measure_text(text_at(member), BERTH_TEXT_MAX);
	case FIELD_CONTENT:
		return measure_text(text_at(member), BERTH_CONTENT_MAX);
	case FIELD_IDS:
		return measure_ids(array_at(member));
	case FIELD_DIAGNOSTICS:
		return measure_diagnostics(array_at(member));
	case FIELD_ID_OR_NULL:
	case FIELD_CURSOR:
	case FIELD_TIME:
		break;
	}
	return TOO_MUCH;
}

/* Each of these writes a value that has been measured, and returns where it ends. */
BLOCK_INLINE char *put_text(char *to, struct berth_text text, block_judge *judge, block_bytes *failedp)
{
	*to = '"';
	*failedp |= block_gather(to + 1, text.ptr, text.len, judge);
	to[text.len + 1] = '"';
	return to + text.len + 2;
}

BLOCK_INLINE char *put_content(char *to, struct berth_text text, block_bytes *failedp)
{
	*to = '"';
	*failedp |= gather_plain(to + 1, text.ptr, text.len);
	to[text.len + 1] = '"';
	return to + text.len + 2;
}

/* Each has four bytes at least, and eight at most. */
BLOCK_INLINE char *put_role(char *to, struct berth_text text)
{
	*to = '"';
	memcpy(to + 1, text.ptr, 4);
	memcpy(to + text.len - 3, text.ptr + text.len - 4, 4);
	to[text.len + 1] = '"';
	return to + text.len + 2;
}

BLOCK_INLINE char *put_word(char *to, const char *word, size_t len)
{
	memcpy(to, word, len);
	return to + len;
}

BLOCK_INLINE char *put_ids(char *to, struct array array, block_bytes *failedp)
{
	const struct berth_text *ids = array.first;

	*to++ = '[';
	for (size_t i = 0; i < array.n; i++) {
		if (i > 0)
			*to++ = ',';
		to = put_text(to, ids[i], block_not_identifier, failedp);
	}
	*to++ = ']';
	return to;
}

BLOCK_INLINE char *put_diagnostics(char *to, struct array array, block_bytes *failedp)
{
	*to++ = '[';
	for (size_t i = 0; i < array.n; i++) {
		const struct berth_diagnostic *diagnostic = nth_diagnostic(array, i);
		const struct berth_text lead = severity_lead(diagnostic->severity);

		if (i > 0)
			*to++ = ',';
		to = put_word(to, diagnostic_lead, sizeof diagnostic_lead - 1);
		*failedp |= block_gather(to, diagnostic->code.ptr, diagnostic->code.len, not_code);
		to += diagnostic->code.len;
		memcpy(to, lead.ptr, lead.len);
		to = put_text(to + lead.len, diagnostic->message, block_not_plain, failedp);
		*to++ = '}';
	}
	*to++ = ']';
	return to;
}

BLOCK_INLINE char *put_value(char *to, const struct field *field, const char *member, block_bytes *failedp)
{
	static const char bits[2][8] = { "false", "true" };
	bool bit;

	switch ((enum field_type)field->type) {
	case FIELD_BIT:
		bit = u64_at(member) & field->mask;
		memcpy(to, bits[bit], sizeof bits[bit]);
		return to + 5 - bit;
	case FIELD_NUMBER_OR_NULL:
		if (u64_at(member) == 0)
			return put_word(to, "null", 4);
		return to + json_put_u64(to, u64_at(member));
	case FIELD_U64:
	case FIELD_NUMBER:
		return to + json_put_u64(to, u64_at(member));
	case FIELD_TIME_OR_NULL:
		return put_word(to, "null", 4);
	case FIELD_ID:
		return put_text(to, text_at(member), block_not_identifier, failedp);
	case FIELD_TEXT_OR_NULL:
		if (!text_at(member).ptr)
			return put_word(to, "null", 4);
		return put_text(to, text_at(member), block_not_plain, failedp);
	case FIELD_ROLE:
		return put_role(to, text_at(member));
	case FIELD_TEXT:
		return put_text(to, text_at(member), block_not_plain, failedp);
	case FIELD_CONTENT:
		return put_content(to, text_at(member), failedp);
	case FIELD_IDS:
		return put_ids(to, array_at(member), failedp);
	case FIELD_DIAGNOSTICS:
		return put_diagnostics(to, array_at(member), failedp);
	default:
		return to;
	}
}

/* False, with nothing appended, where it is not for here. */
BLOCK_INLINE bool put_object(struct buffer *out, const struct field *fields, size_t n, const char *object)
{
	block_bytes failed = { 0 };
	size_t room = LEAD_SIZE;
	char *to;

	EACH_FIELD
	for (size_t i = 0; i < n; i++)
		room += fields[i].lead_len + VALUE_ROOM + measure_value(&fields[i], object + fields[i].offset);
	to = room < TOO_MUCH ? buffer_reserve(out, room) : NULL;
	if (!to)
		return false;
	EACH_FIELD
	for (size_t i = 0; i < n; i++) {
		memcpy(to, fields[i].lead, (fields[i].lead_len + BLOCK_SIZE - 1u) / BLOCK_SIZE * BLOCK_SIZE);
		to = put_value(to + fields[i].lead_len, &fields[i], object + fields[i].offset, &failed);
	}
	if (block_any(failed))
		return false;
	out->len = (size_t)(to - out->data);
	return true;
}

#define PUT(name)                                                                                             \
	static bool put_##name(struct buffer *out, const void *object)                                        \
	{                                                                                                     \
		return put_object(out, name##_fields, sizeof name##_fields / sizeof *name##_fields, object);  \
	}

PUT(wire_runtime)
PUT(wire_worker)
PUT(wire_evidence)
PUT(wire_transcript_item)

/* ---- Keeping ---- */

/* Copies n bytes behind *nextp, which moves on; only counts where there is no block. */
static char *keep_bytes(char *block, size_t *nextp, const void *from, size_t n)
{
	char *to = block ? block + *nextp : NULL;

	if (to && n > 0)
		memcpy(to, from, n);
	*nextp += n;
	return to;
}

static void keep_text(char *block, size_t *nextp, char *member)
{
	struct berth_text text = text_at(member);

	if (!text.ptr)
		return;
	text.ptr = keep_bytes(block, nextp, text.ptr, text.len);
	if (block)
		memcpy(member, &text, sizeof text);
}

static size_t keep_fields(const struct shape *shape, char *object, char *block)
{
	size_t next = 0;

	/* The arrays of texts first, so that they are aligned. */
	for (size_t i = 0; i < shape->n_fields; i++) {
		char *member = object + shape->fields[i].offset;
		struct array array;

		if (shape->fields[i].type != FIELD_IDS)
			continue;
		array = array_at(member);
		array.first = keep_bytes(block, &next, array.first, array.n * sizeof(struct berth_text));
		if (block)
			memcpy(member, &array, sizeof array);
	}
	for (size_t i = 0; i < shape->n_fields; i++) {
		char *member = object + shape->fields[i].offset;

		switch (shape->fields[i].type) {
		case FIELD_ID:
		case FIELD_ID_OR_NULL:
		case FIELD_CURSOR:
		case FIELD_TEXT:
		case FIELD_TEXT_OR_NULL:
		case FIELD_CONTENT:
		case FIELD_ROLE:
			keep_text(block, &next, member);
			break;
		case FIELD_IDS:
			for (size_t j = 0; j < array_at(member).n; j++)
				keep_text(block, &next,
					  (char *)array_at(member).first + j * sizeof(struct berth_text));
			break;
		default:
			break;
		}
	}
	return next;
}

int wire_keep(const struct shape *shape, void *object, void **blockp)
{
	size_t size = keep_fields(shape, object, NULL);
	char *block = malloc(size + 1);

	if (!block)
		return -ENOMEM;
	keep_fields(shape, object, block);
	*blockp = block;
	return 0;
}

/* ---- Diagnostics ---- */

bool diagnostics_push(struct diagnostics *list, const struct berth_diagnostic *diagnostic, struct error *why)
{
	size_t mark = list->text.len;
	const char *wrong;

	if (list->n == BERTH_DIAGNOSTICS_MAX)
		return true;
	if (list->n > 0)
		buffer_append_char(&list->text, ',');
	wrong = write_diagnostic(&list->text, diagnostic);
	if (wrong) {
		buffer_cut(&list->text, mark);
		error_set(why, -EINVAL, "a diagnostic %s", wrong);
		return false;
	}
	list->ends[list->n++] = list->text.len;
	return true;
}

void diagnostics_add(struct diagnostics *list, uint64_t severity, const char *code, const char *format, ...)
{
	struct berth_diagnostic diagnostic = {
		.size = sizeof diagnostic,
		.code = berth_text(code),
		.severity = severity,
	};
	char message[512];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof message, format, args);
	va_end(args);
	diagnostic.message = berth_text(message);
	diagnostics_push(list, &diagnostic, NULL);
}

bool diagnostics_push_array(struct diagnostics *list, const struct berth_diagnostic *first, size_t n,
			    struct error *why)
{
	struct array array = { (void *)(uintptr_t)first, n };
	const char *wrong = check_diagnostics(array);

	if (wrong) {
		error_set(why, -EINVAL, "diagnostics %s", wrong);
		return false;
	}
	for (size_t i = 0; i < n && list->n < BERTH_DIAGNOSTICS_MAX; i++)
		if (!diagnostics_push(list, nth_diagnostic(array, i), why))
			return false;
	return true;
}

void diagnostics_append(struct diagnostics *list, const struct diagnostics *other)
{
	size_t room = BERTH_DIAGNOSTICS_MAX - list->n, n = other->n < room ? other->n : room;
	size_t begin = list->text.len;

	if (n == 0)
		return;
	if (list->n > 0) {
		buffer_append_char(&list->text, ',');
		begin++;
	}
	buffer_append(&list->text, other->text.data, other->ends[n - 1]);
	for (size_t i = 0; i < n; i++)
		list->ends[list->n++] = begin + other->ends[i];
	if (other->text.failed)
		list->text.failed = true;
}

void diagnostics_cut(struct diagnostics *list, size_t n)
{
	if (n >= list->n)
		return;
	buffer_cut(&list->text, n > 0 ? list->ends[n - 1] : 0);
	list->n = n;
}

void diagnostics_write(struct buffer *out, const struct diagnostics *list)
{
	buffer_append_char(out, '[');
	buffer_append(out, list->text.data, list->text.len);
	buffer_append_char(out, ']');
	if (list->text.failed)
		out->failed = true;
}

void diagnostics_fini(struct diagnostics *list)
{
	buffer_fini(&list->text);
	list->n = 0;
}
