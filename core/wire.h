/* SPDX-License-Identifier: MIT */
/*
 * The shapes of the wire format: one table for each struct that adapters push. The
 * tables drive the writing of answers, the checks of what a plugin hands in, and
 * the copying of what must outlive a call.
 */
#ifndef BERTH_CORE_WIRE_H
#define BERTH_CORE_WIRE_H

#include <berth/adapter.h>
#include <stdbool.h>

#include "core/buffer.h"
#include "core/error.h"

/* What the wire shows of a runtime or host beyond what the adapter pushed. */
struct wire_runtime {
	struct berth_runtime base;
	uint64_t max_workers;
};

struct wire_host {
	struct berth_host base;
	struct berth_text runtime_id;
	uint64_t max_workers;
};

struct shape {
	const struct field *fields;
	size_t n_fields;
	bool (*put)(struct buffer *out, const void *object); /* writes nearly any of them at once; NULL: there is none */
};

extern const struct shape wire_runtime_shape;          /* struct wire_runtime, up to its diagnostics */
extern const struct shape wire_host_shape;             /* struct wire_host */
extern const struct shape wire_worker_shape;           /* struct berth_worker */
extern const struct shape wire_evidence_shape;         /* struct berth_evidence */
extern const struct shape wire_transcript_item_shape;  /* struct berth_transcript_item */
extern const struct shape wire_connect_point_shape;    /* struct berth_connect_point */
extern const struct shape wire_event_shape;            /* struct berth_event */
extern const struct shape wire_capabilities_shape;     /* struct wire_runtime, its capabilities alone */

/* Copies a struct that a plugin pushed, of the version that it was built against,
 * into one of ours: the smaller of both sizes, zeroes behind. */
#define WIRE_COPY_IN(to, from) \
	((from)->size >= sizeof *(to) ? (void)(*(to) = *(from)) : wire_copy_in((to), sizeof *(to), (from), (from)->size))
void wire_copy_in(void *to, size_t to_size, const void *from, size_t from_size);

/* The same for who only reads: what was pushed, where it is as long as ours, else copied. */
#define WIRE_VIEW(copy, pushed)                                                                    \
	((pushed)->size >= sizeof *(copy) ? (pushed) :                                             \
		(wire_copy_in((copy), sizeof *(copy), (pushed), (pushed)->size), (__typeof__(pushed))(copy)))

/* Appends the object as JSON, field by field. False, with nothing appended and the reason in why,
 * where a member breaks a limit or lacks what is required. */
bool wire_write_each(struct buffer *out, const struct shape *shape, const void *object, struct error *why);

/* The same, but false also where it would take more than copying. */
static inline bool wire_put(struct buffer *out, const struct shape *shape, const void *object)
{
	return shape->put && shape->put(out, object);
}

/* The same as field by field, but quick for all that is in the ordinary. */
static inline bool wire_write(struct buffer *out, const struct shape *shape, const void *object, struct error *why)
{
	return wire_put(out, shape, object) || wire_write_each(out, shape, object, why);
}

/* Makes the texts and arrays of an object, which must have passed wire_write, live
 * in one new block of memory, to be freed by the caller. -ENOMEM, object untouched. */
int wire_keep(const struct shape *shape, void *object, void **blockp);

/* Whether a text is what a cursor can be. */
bool wire_cursor_valid(struct berth_text text);

/* ---- Diagnostics of an answer: the first BERTH_DIAGNOSTICS_MAX, in order. ---- */

struct diagnostics {
	struct buffer text; /* objects with commas between */
	size_t ends[BERTH_DIAGNOSTICS_MAX];
	size_t n;
};

/* Appends one as a plugin pushed it; false, with the reason in why, if it is unfit. */
bool diagnostics_push(struct diagnostics *list, const struct berth_diagnostic *diagnostic, struct error *why);

/* Appends one of our own. */
__attribute__((format(printf, 4, 5)))
void diagnostics_add(struct diagnostics *list, uint64_t severity, const char *code, const char *format, ...);

/* Appends an array as it hangs on an item. */
bool diagnostics_push_array(struct diagnostics *list, const struct berth_diagnostic *first, size_t n,
			    struct error *why);

/* Appends as many of another list's as there is room for. */
void diagnostics_append(struct diagnostics *list, const struct diagnostics *other);

/* Takes back all but the first n. */
void diagnostics_cut(struct diagnostics *list, size_t n);

/* Writes the list as an array. */
void diagnostics_write(struct buffer *out, const struct diagnostics *list);

void diagnostics_fini(struct diagnostics *list);

#endif
