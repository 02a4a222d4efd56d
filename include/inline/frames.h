/* SPDX-License-Identifier: MIT */
/*
 * The boundary as bytes: what an adapter is asked, and what it pushes, for an instance
 * that runs in a process of its own.
 *
 * Both ends are on one machine and of one version, so numbers stand as they are in
 * memory, and nothing here is an ABI; FRAMES_VERSION tells ends apart that were not
 * built together. Writing allocates nothing: frame_measure says how much room is needed.
 * Reading borrows texts from the bytes, and trusts no length that it finds there.
 *
 * A question is a struct frame_question with a request behind it, an answer a struct
 * frame_answer with any number of pushes: each is a kind in 32 bits and its struct.
 * inline/packets.h sends them.
 *
 * Of a struct only those fields stand there, behind bits that name them, which differ from
 * the struct before if that is of the same kind, and else from zero: workers of a list have
 * most of theirs in common. The bytes may be an enemy's, so what they stand for is bounded,
 * too.
 */
#ifndef BERTH_INLINE_FRAMES_H
#define BERTH_INLINE_FRAMES_H

#include <berth/adapter.h>
#include <limits.h>
#include <stdbool.h>

#include "inline/block.h"

enum {
	FRAMES_VERSION = 5,
	FRAMES_MAX = 256 << 20,  /* bytes of all structs that are read in turn, as if each had all its fields */
	FRAME_FIELDS_MAX = 15,
	FRAME_LANES_MAX = 4, /* calls at once */
	FRAME_TEXTS_MAX = 1024, /* of one array */
	FRAME_OPTIONS_MAX = 64,
	FRAME_PLUGIN_FD = 3, /* what the child process finds open: the plugin, memory, then its lanes */
	FRAME_MEMORY_FD = 4,
	FRAME_LANE_FD = 5,
};

/* What can be asked; the order of the operations in struct berth_adapter. */
enum frame_operation {
	FRAME_OPEN,
	FRAME_RUNTIME,
	FRAME_LIST_HOSTS,
	FRAME_LIST_WORKERS,
	FRAME_WORKER,
	FRAME_SPAWN_WORKER,
	FRAME_STOP_WORKER,
	FRAME_SEND_INPUT,
	FRAME_TRANSCRIPT,
	FRAME_CONNECT_POINTS,
	FRAME_READ_EVENTS,
	N_FRAME_OPERATIONS,
};

/* All structs that cross. */
enum frame_kind {
	FRAME_KIND_RUNTIME,
	FRAME_KIND_HOST,
	FRAME_KIND_WORKER,
	FRAME_KIND_ANSWER,
	FRAME_KIND_EVIDENCE,
	FRAME_KIND_TRANSCRIPT_ITEM,
	FRAME_KIND_CONNECT_POINT,
	FRAME_KIND_DIAGNOSTIC,
	FRAME_KIND_FAILURE,
	FRAME_KIND_EVENT,
	N_FRAME_PUSHES,
	FRAME_KIND_START = N_FRAME_PUSHES,
	FRAME_KIND_OPEN_REQUEST,
	FRAME_KIND_LIST_REQUEST,
	FRAME_KIND_WORKER_REQUEST,
	FRAME_KIND_SPAWN_REQUEST,
	FRAME_KIND_STOP_REQUEST,
	FRAME_KIND_INPUT_REQUEST,
	FRAME_KIND_TRANSCRIPT_REQUEST,
	FRAME_KIND_EVENTS_REQUEST,
	N_FRAME_KINDS,
};

struct frame_question {
	uint64_t deadline_ns;
	uint32_t version;
	uint32_t operation;
};

struct frame_answer {
	int32_t returned; /* by the operation */
	uint32_t version;
};

/* Stands before the request of FRAME_OPEN: which adapter it is, and how it is run. */
struct frame_start {
	size_t size;
	struct berth_text id;      /* of the adapter */
	struct berth_text file;    /* its plugin, in messages */
	struct berth_text name;    /* of the instance, in the log */
	struct berth_text program; /* that runs it, with FRAME_ARGUMENT */
	uint64_t log_level;        /* BERTH_LOG_*: the lowest that is wanted */
	uint64_t fd;               /* the plugin, open in the host; FRAME_LINKED_IN: it is in the program */
	uint64_t lanes;            /* how many calls at once its threading allows */
};

#define FRAME_LINKED_IN UINT64_MAX
#define FRAME_ARGUMENT "serve-isolated-instance"

/* The text that was given to fail. */
struct frame_failure {
	size_t size;
	struct berth_text text;
};

/* Memory of the arrays of one struct that was read. */
struct frame_room {
	struct berth_diagnostic diagnostics[BERTH_DIAGNOSTICS_MAX];
	struct berth_text texts[FRAME_TEXTS_MAX];
	struct berth_option options[FRAME_OPTIONS_MAX];
};

enum frame_type {
	FRAME_TEXT,
	FRAME_U64,
	FRAME_TEXTS,       /* a pointer to struct berth_text, then size_t */
	FRAME_DIAGNOSTICS, /* a pointer to struct berth_diagnostic, then size_t */
	FRAME_OPTIONS,     /* a pointer to struct berth_option, then size_t */
};

struct frame_field {
	unsigned char type;
	unsigned short offset;
};

struct frame_shape {
	const struct frame_field *fields;
	unsigned short n_fields, size;
};

static inline const struct frame_shape *frame_shape(enum frame_kind kind)
{
#define FRAME_T(object, member) { FRAME_TEXT, offsetof(struct object, member) }
#define FRAME_N(object, member) { FRAME_U64, offsetof(struct object, member) }
#define FRAME_D(object) { FRAME_DIAGNOSTICS, offsetof(struct object, diagnostics) }
#define FRAME_SHAPE(fields, object) { fields, sizeof(fields) / sizeof *(fields), sizeof(struct object) }
#define FRAME_PLACE(object)                                                                            \
	FRAME_T(object, local_pod_inspection), FRAME_T(object, workspace_scope), FRAME_T(object, os),  \
	FRAME_T(object, arch), FRAME_D(object)
	static const struct frame_field runtime[] = {
		FRAME_T(berth_runtime, runtime_id), FRAME_T(berth_runtime, label), FRAME_T(berth_runtime, kind),
		FRAME_T(berth_runtime, status), FRAME_T(berth_runtime, source_kind),
		FRAME_T(berth_runtime, source_status), FRAME_T(berth_runtime, source_note),
		{ FRAME_TEXTS, offsetof(struct berth_runtime, host_ids) }, FRAME_N(berth_runtime, can),
		FRAME_PLACE(berth_runtime),
	};
	static const struct frame_field host[] = {
		FRAME_T(berth_host, host_id), FRAME_T(berth_host, label), FRAME_T(berth_host, kind),
		FRAME_T(berth_host, status), FRAME_N(berth_host, observed_at_ns), FRAME_N(berth_host, last_seen_at_ns),
		FRAME_N(berth_host, can), FRAME_PLACE(berth_host),
	};
	static const struct frame_field worker[] = {
		FRAME_T(berth_worker, worker_id), FRAME_T(berth_worker, runtime_id), FRAME_T(berth_worker, host_id),
		FRAME_T(berth_worker, label), FRAME_T(berth_worker, role), FRAME_T(berth_worker, profile),
		FRAME_T(berth_worker, workspace_visibility), FRAME_T(berth_worker, workspace_identity),
		FRAME_T(berth_worker, state), FRAME_T(berth_worker, status), FRAME_N(berth_worker, last_seen_at_ns),
		FRAME_T(berth_worker, implementation_kind), FRAME_T(berth_worker, implementation_hint),
		FRAME_N(berth_worker, can), FRAME_D(berth_worker),
	};
	static const struct frame_field answer[] = {
		FRAME_N(berth_answer, state), FRAME_N(berth_answer, transcript_sequence),
		FRAME_N(berth_answer, event_id), FRAME_N(berth_answer, total_items), FRAME_N(berth_answer, more),
		FRAME_N(berth_answer, next_start), FRAME_T(berth_answer, next_cursor),
	};
	static const struct frame_field evidence[] = {
		FRAME_T(berth_evidence, kind), FRAME_T(berth_evidence, detail),
	};
	static const struct frame_field item[] = {
		FRAME_N(berth_transcript_item, sequence), FRAME_N(berth_transcript_item, event_id),
		FRAME_T(berth_transcript_item, role), FRAME_T(berth_transcript_item, content),
	};
	static const struct frame_field point[] = {
		FRAME_T(berth_connect_point, kind), FRAME_T(berth_connect_point, status), FRAME_D(berth_connect_point),
	};
	static const struct frame_field diagnostic[] = {
		FRAME_T(berth_diagnostic, code), FRAME_T(berth_diagnostic, message),
		FRAME_N(berth_diagnostic, severity),
	};
	static const struct frame_field failure[] = { FRAME_T(frame_failure, text) };
	static const struct frame_field event[] = {
		FRAME_N(berth_event, event_id), FRAME_T(berth_event, kind), FRAME_N(berth_event, occurred_at_ns),
		FRAME_T(berth_event, worker_id), FRAME_N(berth_event, transcript_sequence), FRAME_T(berth_event, cursor),
	};
	static const struct frame_field start[] = {
		FRAME_T(frame_start, id), FRAME_T(frame_start, file), FRAME_T(frame_start, name),
		FRAME_T(frame_start, program), FRAME_N(frame_start, log_level), FRAME_N(frame_start, fd), FRAME_N(frame_start, lanes),
	};
	static const struct frame_field open[] = {
		FRAME_T(berth_open_request, workspace_id), FRAME_T(berth_open_request, workspace_root),
		FRAME_T(berth_open_request, data_dir), FRAME_T(berth_open_request, runtime_id),
		{ FRAME_OPTIONS, offsetof(struct berth_open_request, options) },
	};
	static const struct frame_field list[] = { FRAME_N(berth_list_request, limit) };
	static const struct frame_field worker_request[] = { FRAME_T(berth_worker_request, worker_id) };
	static const struct frame_field spawn[] = {
		FRAME_N(berth_spawn_request, intent), FRAME_T(berth_spawn_request, ticket_id),
		FRAME_N(berth_spawn_request, role), FRAME_T(berth_spawn_request, requested_worker_name),
		FRAME_N(berth_spawn_request, acceptance), FRAME_N(berth_spawn_request, expected_segments),
		FRAME_T(berth_spawn_request, request_id),
	};
	static const struct frame_field stop[] = {
		FRAME_T(berth_stop_request, worker_id), FRAME_N(berth_stop_request, mode),
	};
	static const struct frame_field input[] = {
		FRAME_T(berth_input_request, worker_id), FRAME_N(berth_input_request, kind),
		FRAME_T(berth_input_request, content),
	};
	static const struct frame_field transcript[] = {
		FRAME_T(berth_transcript_request, worker_id), FRAME_N(berth_transcript_request, start),
		FRAME_N(berth_transcript_request, limit),
	};
	static const struct frame_field events[] = {
		FRAME_T(berth_events_request, cursor), FRAME_N(berth_events_request, limit),
	};
	static const struct frame_shape shapes[N_FRAME_KINDS] = {
		[FRAME_KIND_RUNTIME] = FRAME_SHAPE(runtime, berth_runtime),
		[FRAME_KIND_HOST] = FRAME_SHAPE(host, berth_host),
		[FRAME_KIND_WORKER] = FRAME_SHAPE(worker, berth_worker),
		[FRAME_KIND_ANSWER] = FRAME_SHAPE(answer, berth_answer),
		[FRAME_KIND_EVIDENCE] = FRAME_SHAPE(evidence, berth_evidence),
		[FRAME_KIND_TRANSCRIPT_ITEM] = FRAME_SHAPE(item, berth_transcript_item),
		[FRAME_KIND_CONNECT_POINT] = FRAME_SHAPE(point, berth_connect_point),
		[FRAME_KIND_DIAGNOSTIC] = FRAME_SHAPE(diagnostic, berth_diagnostic),
		[FRAME_KIND_FAILURE] = FRAME_SHAPE(failure, frame_failure),
		[FRAME_KIND_EVENT] = FRAME_SHAPE(event, berth_event),
		[FRAME_KIND_START] = FRAME_SHAPE(start, frame_start),
		[FRAME_KIND_OPEN_REQUEST] = FRAME_SHAPE(open, berth_open_request),
		[FRAME_KIND_LIST_REQUEST] = FRAME_SHAPE(list, berth_list_request),
		[FRAME_KIND_WORKER_REQUEST] = FRAME_SHAPE(worker_request, berth_worker_request),
		[FRAME_KIND_SPAWN_REQUEST] = FRAME_SHAPE(spawn, berth_spawn_request),
		[FRAME_KIND_STOP_REQUEST] = FRAME_SHAPE(stop, berth_stop_request),
		[FRAME_KIND_INPUT_REQUEST] = FRAME_SHAPE(input, berth_input_request),
		[FRAME_KIND_TRANSCRIPT_REQUEST] = FRAME_SHAPE(transcript, berth_transcript_request),
		[FRAME_KIND_EVENTS_REQUEST] = FRAME_SHAPE(events, berth_events_request),
	};
#undef FRAME_T
#undef FRAME_N
#undef FRAME_D
#undef FRAME_SHAPE
#undef FRAME_PLACE

	return &shapes[kind];
}

/* The request that an operation is given. */
static inline enum frame_kind frame_request_kind(enum frame_operation operation)
{
	static const unsigned char kinds[N_FRAME_OPERATIONS] = {
		[FRAME_OPEN] = FRAME_KIND_OPEN_REQUEST,
		[FRAME_RUNTIME] = FRAME_KIND_LIST_REQUEST,
		[FRAME_LIST_HOSTS] = FRAME_KIND_LIST_REQUEST,
		[FRAME_LIST_WORKERS] = FRAME_KIND_LIST_REQUEST,
		[FRAME_WORKER] = FRAME_KIND_WORKER_REQUEST,
		[FRAME_SPAWN_WORKER] = FRAME_KIND_SPAWN_REQUEST,
		[FRAME_STOP_WORKER] = FRAME_KIND_STOP_REQUEST,
		[FRAME_SEND_INPUT] = FRAME_KIND_INPUT_REQUEST,
		[FRAME_TRANSCRIPT] = FRAME_KIND_TRANSCRIPT_REQUEST,
		[FRAME_CONNECT_POINTS] = FRAME_KIND_WORKER_REQUEST,
		[FRAME_READ_EVENTS] = FRAME_KIND_EVENTS_REQUEST,
	};

	return (enum frame_kind)kinds[operation];
}

/* ---- Writing ---- */

#define FRAME_ABSENT UINT32_MAX

/* A text that breaks every limit stays too long when it is cut here. */
BLOCK_INLINE uint32_t frame_text_len(struct berth_text text)
{
	if (!text.ptr)
		return FRAME_ABSENT;
	return text.len > BERTH_CONTENT_MAX ? BERTH_CONTENT_MAX + 1 : (uint32_t)text.len;
}

/* An array member. */
struct frame_array {
	const void *first;
	size_t n;
};

BLOCK_INLINE struct frame_array frame_array_at(const void *member)
{
	struct frame_array array;

	memcpy(&array, member, sizeof array);
	return array;
}

/* How many diagnostics cross; FRAME_ABSENT for an array that cannot be looked at, which
 * is then refused on the other side just as it would be here. */
static inline uint32_t frame_n_diagnostics(struct frame_array array)
{
	size_t size;

	if (array.n == 0)
		return 0;
	if (!array.first)
		return FRAME_ABSENT;
	memcpy(&size, array.first, sizeof size);
	if (size < sizeof size || size > USHRT_MAX || size % _Alignof(struct berth_diagnostic) != 0)
		return FRAME_ABSENT;
	return array.n > BERTH_DIAGNOSTICS_MAX ? BERTH_DIAGNOSTICS_MAX : (uint32_t)array.n;
}

/* The diagnostic, of the size that the plugin was built with: where it is, or, if it is shorter than ours, in copy. */
static inline const struct berth_diagnostic *frame_diagnostic(struct frame_array array, uint32_t i,
							      struct berth_diagnostic *copy)
{
	const void *at;
	size_t size;

	memcpy(&size, array.first, sizeof size);
	at = (const char *)array.first + i * size;
	if (size >= sizeof *copy)
		return (const struct berth_diagnostic *)at;
	memset(copy, 0, sizeof *copy);
	memcpy(copy, at, size);
	return copy;
}

BLOCK_INLINE size_t frame_text_size(struct berth_text text)
{
	uint32_t len = frame_text_len(text);

	return sizeof len + (len == FRAME_ABSENT ? 0 : len);
}

BLOCK_INLINE char *frame_put(char *to, const void *from, size_t n)
{
	memcpy(to, from, n);
	return to + n;
}

BLOCK_INLINE char *frame_put_text(char *to, struct berth_text text)
{
	uint32_t len = frame_text_len(text);

	to = frame_put(to, &len, sizeof len);
	return len == FRAME_ABSENT || len == 0 ? to : frame_put(to, text.ptr, len);
}

/* How many elements of an array cross. */
static inline uint32_t frame_n_elements(enum frame_type type, struct frame_array array)
{
	size_t max = type == FRAME_TEXTS ? FRAME_TEXTS_MAX : FRAME_OPTIONS_MAX;

	if (type == FRAME_DIAGNOSTICS)
		return frame_n_diagnostics(array);
	if (array.n > 0 && !array.first)
		return FRAME_ABSENT;
	return (uint32_t)(array.n > max ? max : array.n);
}

static inline size_t frame_array_size(enum frame_type type, const void *member)
{
	struct frame_array array = frame_array_at(member);
	uint32_t n = frame_n_elements(type, array);
	size_t size = sizeof n;

	for (uint32_t i = 0; n != FRAME_ABSENT && i < n; i++)
		if (type == FRAME_TEXTS) {
			size += frame_text_size(((const struct berth_text *)array.first)[i]);
		} else if (type == FRAME_OPTIONS) {
			size += frame_text_size(((const struct berth_option *)array.first)[i].text) + sizeof(uint64_t);
		} else {
			struct berth_diagnostic copy;
			const struct berth_diagnostic *diagnostic = frame_diagnostic(array, i, &copy);

			size += frame_text_size(diagnostic->code) + frame_text_size(diagnostic->message) + sizeof(uint64_t);
		}
	return size;
}

static inline char *frame_put_array(char *to, enum frame_type type, const void *member)
{
	struct frame_array array = frame_array_at(member);
	uint32_t n = frame_n_elements(type, array);

	to = frame_put(to, &n, sizeof n);
	for (uint32_t i = 0; n != FRAME_ABSENT && i < n; i++)
		if (type == FRAME_TEXTS) {
			to = frame_put_text(to, ((const struct berth_text *)array.first)[i]);
		} else if (type == FRAME_OPTIONS) {
			const struct berth_option *option = &((const struct berth_option *)array.first)[i];

			to = frame_put(frame_put_text(to, option->text), &option->number, sizeof option->number);
		} else {
			struct berth_diagnostic copy;
			const struct berth_diagnostic *diagnostic = frame_diagnostic(array, i, &copy);

			to = frame_put_text(frame_put_text(to, diagnostic->code), diagnostic->message);
			to = frame_put(to, &diagnostic->severity, sizeof diagnostic->severity);
		}
	return to;
}

/* ---- What has not changed ---- */

/* The struct before, where its fields stand in the bytes that it was written to. All zero
 * before the first. */
struct frame_before {
	enum frame_kind kind;
	uint32_t changes;            /* of the next one: the fields that are written, a bit each */
	size_t at[FRAME_FIELDS_MAX]; /* 0: nowhere, it is zero */
};

/* Whether a text stands at *pp, which then moves behind it. */
BLOCK_INLINE bool frame_pass_text(const char **pp, struct berth_text text)
{
	const uint32_t len = frame_text_len(text);

	if (memcmp(*pp, &len, sizeof len) != 0)
		return false;
	*pp += sizeof len;
	if (len == FRAME_ABSENT)
		return true;
	if (!block_equal(*pp, text.ptr, len))
		return false;
	*pp += len;
	return true;
}

static inline bool frame_pass_u64(const char **pp, uint64_t number)
{
	if (memcmp(*pp, &number, sizeof number) != 0)
		return false;
	*pp += sizeof number;
	return true;
}

/* Whether an array stands at p. */
BLOCK_INLINE bool frame_is_array(const char *p, enum frame_type type, const void *member)
{
	struct frame_array array = frame_array_at(member);
	const uint32_t n = frame_n_elements(type, array);
	bool same = memcmp(p, &n, sizeof n) == 0;

	p += sizeof n;
	for (uint32_t i = 0; n != FRAME_ABSENT && i < n && same; i++)
		if (type == FRAME_TEXTS) {
			same = frame_pass_text(&p, ((const struct berth_text *)array.first)[i]);
		} else if (type == FRAME_OPTIONS) {
			const struct berth_option *option = &((const struct berth_option *)array.first)[i];

			same = frame_pass_text(&p, option->text) && frame_pass_u64(&p, option->number);
		} else {
			struct berth_diagnostic copy;
			const struct berth_diagnostic *diagnostic = frame_diagnostic(array, i, &copy);

			same = frame_pass_text(&p, diagnostic->code) && frame_pass_text(&p, diagnostic->message) &&
			       frame_pass_u64(&p, diagnostic->severity);
		}
	return same;
}

/* Whether a field is as it stands at p; NULL: as where it is zero. */
BLOCK_INLINE bool frame_is_field(const char *p, enum frame_type type, const void *member)
{
	struct berth_text text;
	uint64_t number;

	switch (type) {
	case FRAME_TEXT:
		memcpy(&text, member, sizeof text);
		return p ? frame_pass_text(&p, text) : !text.ptr;
	case FRAME_U64:
		memcpy(&number, member, sizeof number);
		return p ? frame_pass_u64(&p, number) : number == 0;
	default:
		return p ? frame_is_array(p, type, member) : frame_array_at(member).n == 0;
	}
}

/* Where the kind is known to the compiler, it reads no table. */
#ifdef __clang__
#define FRAME_EACH_FIELD
#else
#define FRAME_EACH_FIELD _Pragma("GCC unroll 16")
#endif

/* How many bytes frame_write needs for a struct of this version behind the one before,
 * which is in bytes. */
BLOCK_INLINE size_t frame_measure(enum frame_kind kind, const void *object, const char *bytes,
				   struct frame_before *before)
{
	const struct frame_shape *shape = frame_shape(kind);
	size_t size = sizeof before->changes;

	if (before->kind != kind)
		memset(before, 0, sizeof *before);
	before->kind = kind;
	before->changes = 0;
	FRAME_EACH_FIELD
	for (unsigned i = 0; i < shape->n_fields; i++) {
		const char *member = (const char *)object + shape->fields[i].offset;
		enum frame_type type = (enum frame_type)shape->fields[i].type;
		struct berth_text text;

		if (frame_is_field(bytes && before->at[i] ? bytes + before->at[i] : NULL, type, member))
			continue;
		before->changes |= 1u << i;
		if (type == FRAME_TEXT) {
			memcpy(&text, member, sizeof text);
			size += frame_text_size(text);
		} else {
			size += type == FRAME_U64 ? sizeof(uint64_t) : frame_array_size(type, member);
		}
	}
	return size;
}

/* Writes what frame_measure has looked at, to a place in those bytes; returns where it ends. */
BLOCK_INLINE char *frame_write(char *to, enum frame_kind kind, const void *object, const char *bytes,
				struct frame_before *before)
{
	const struct frame_shape *shape = frame_shape(kind);

	to = frame_put(to, &before->changes, sizeof before->changes);
	for (uint32_t changes = before->changes; changes; changes &= changes - 1) {
		unsigned i = (unsigned)__builtin_ctz(changes);
		const char *member = (const char *)object + shape->fields[i].offset;
		enum frame_type type = (enum frame_type)shape->fields[i].type;
		struct berth_text text;

		before->at[i] = (size_t)(to - bytes);
		if (type == FRAME_TEXT) {
			memcpy(&text, member, sizeof text);
			to = frame_put_text(to, text);
		} else {
			to = type == FRAME_U64 ? frame_put(to, member, sizeof(uint64_t)) : frame_put_array(to, type, member);
		}
	}
	return to;
}

/* ---- Reading ---- */

/* Bytes that are being read; what fails moves to the end and stays there. */
struct frame_reader {
	const char *p, *end;
	bool failed;
	size_t whole, sum; /* about how many bytes the last struct would need by itself, and all so far */
};

static inline bool frame_take(struct frame_reader *r, void *to, size_t n)
{
	if (r->failed || (size_t)(r->end - r->p) < n) {
		r->failed = true;
		return false;
	}
	memcpy(to, r->p, n);
	r->p += n;
	return true;
}

static inline struct berth_text frame_take_text(struct frame_reader *r)
{
	struct berth_text text = { NULL, 0 };
	uint32_t len;

	if (!frame_take(r, &len, sizeof len) || len == FRAME_ABSENT)
		return text;
	if ((size_t)(r->end - r->p) < len) {
		r->failed = true;
		return text;
	}
	text.ptr = r->p;
	text.len = len;
	r->p += len;
	return text;
}

static inline void frame_take_array(struct frame_reader *r, enum frame_type type, void *member, struct frame_room *room)
{
	struct frame_array array = { NULL, 0 };
	uint32_t n, max = type == FRAME_TEXTS ? FRAME_TEXTS_MAX : type == FRAME_OPTIONS ? FRAME_OPTIONS_MAX :
											    BERTH_DIAGNOSTICS_MAX;

	if (!frame_take(r, &n, sizeof n))
		return;
	if (n == FRAME_ABSENT) {
		array.n = 1;
	} else if (n > max) {
		r->failed = true;
	} else {
		array.n = n;
		array.first = type == FRAME_TEXTS   ? (const void *)room->texts :
			      type == FRAME_OPTIONS ? (const void *)room->options :
						      (const void *)room->diagnostics;
		for (uint32_t i = 0; i < n && !r->failed; i++)
			if (type == FRAME_TEXTS) {
				room->texts[i] = frame_take_text(r);
			} else if (type == FRAME_OPTIONS) {
				room->options[i].text = frame_take_text(r);
				frame_take(r, &room->options[i].number, sizeof room->options[i].number);
			} else {
				room->diagnostics[i].size = sizeof room->diagnostics[i];
				room->diagnostics[i].code = frame_take_text(r);
				room->diagnostics[i].message = frame_take_text(r);
				frame_take(r, &room->diagnostics[i].severity, sizeof room->diagnostics[i].severity);
			}
	}
	memcpy(member, &array, sizeof array);
}

/* How many bytes a field would need by itself. */
static inline size_t frame_field_size(enum frame_type type, const void *member)
{
	struct berth_text text;

	if (type == FRAME_U64)
		return sizeof(uint64_t);
	if (type != FRAME_TEXT)
		return frame_array_size(type, member);
	memcpy(&text, member, sizeof text);
	return frame_text_size(text);
}

/* Reads a struct over the one of that kind before it. Its texts stay in the bytes and its
 * arrays are in room. False where the bytes are not one. */
static inline bool frame_read_next(struct frame_reader *r, enum frame_kind kind, void *object,
				   struct frame_room *room)
{
	const struct frame_shape *shape = frame_shape(kind);
	uint32_t changes;

	if (!frame_take(r, &changes, sizeof changes) || changes >> shape->n_fields != 0)
		return r->failed = true, false;
	for (; changes && !r->failed; changes &= changes - 1) {
		const struct frame_field *field = &shape->fields[__builtin_ctz(changes)];
		char *member = (char *)object + field->offset;
		enum frame_type type = (enum frame_type)field->type;

		r->whole -= frame_field_size(type, member);
		if (type == FRAME_TEXT) {
			struct berth_text text = frame_take_text(r);

			memcpy(member, &text, sizeof text);
		} else if (type == FRAME_U64) {
			frame_take(r, member, sizeof(uint64_t));
		} else {
			frame_take_array(r, type, member, room);
		}
		r->whole += frame_field_size(type, member);
	}
	r->sum += r->whole;
	if (r->sum > FRAMES_MAX)
		r->failed = true;
	return !r->failed;
}

/* The same for one that follows none of its kind. */
static inline bool frame_read(struct frame_reader *r, enum frame_kind kind, void *object, struct frame_room *room)
{
	const struct frame_shape *shape = frame_shape(kind);
	const size_t size = shape->size;

	memset(object, 0, size);
	memcpy(object, &size, sizeof size);
	r->whole = shape->n_fields * sizeof(uint32_t);
	return frame_read_next(r, kind, object, room);
}

#endif
