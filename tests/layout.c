/* SPDX-License-Identifier: MIT */
/*
 * The layout of the boundary, recorded once and for all: a plugin has the numbers of the
 * minor that it was built with in its code. Each minor has a file of its own with what it
 * has added; what has been released is never changed.
 */
#include "config.h"

#include <berth/adapter.h>

#if defined __LP64__
#define AT(object, member, offset, size)                                                                          \
	_Static_assert(offsetof(struct object, member) == (offset), #object "." #member " has moved");            \
	_Static_assert(sizeof(((const struct object *)NULL)->member) == (size), #object "." #member " has another size")
/* It grows, and never shrinks; what has no size of its own does not even grow. */
#define SIZE(object, size) _Static_assert(sizeof(struct object) >= (size), #object " has become shorter")
#define FROZEN(object, size) _Static_assert(sizeof(struct object) == (size), #object " has another size")
#else
/* 32-bit machines have the same order. */
#define AT(object, member, offset, size) \
	_Static_assert(offsetof(struct object, member) <= (offset), #object "." #member " has moved")
#define SIZE(object, size) _Static_assert(sizeof(struct object) >= (size) / 2, #object " has become shorter")
#define FROZEN(object, size) _Static_assert(sizeof(struct object) <= (size), #object " has another size")
#endif

#define IS(name, value) _Static_assert((name) == (value), #name " has changed")

#include "tests/abi/1.0/layout.h"
#include "tests/abi/1.1/layout.h"

/* A member appended behind padding would lie where older plugins leave garbage, so that no
 * struct may end in any. Whoever appends a member puts it in the place of the last one. */
#define NO_PADDING_BEHIND(object, member)                                                                        \
	_Static_assert(sizeof(struct object) == offsetof(struct object, member) +                                \
						       sizeof(((const struct object *)NULL)->member),            \
		       "no padding behind the last member of " #object)

NO_PADDING_BEHIND(berth_text, len);
NO_PADDING_BEHIND(berth_diagnostic, severity);
NO_PADDING_BEHIND(berth_runtime, n_diagnostics);
NO_PADDING_BEHIND(berth_host, n_diagnostics);
NO_PADDING_BEHIND(berth_worker, n_diagnostics);
NO_PADDING_BEHIND(berth_answer, next_cursor);
NO_PADDING_BEHIND(berth_evidence, detail);
NO_PADDING_BEHIND(berth_transcript_item, content);
NO_PADDING_BEHIND(berth_connect_point, n_diagnostics);
NO_PADDING_BEHIND(berth_event, cursor);
NO_PADDING_BEHIND(berth_option, number);
NO_PADDING_BEHIND(berth_open_request, n_options);
NO_PADDING_BEHIND(berth_list_request, limit);
NO_PADDING_BEHIND(berth_worker_request, worker_id);
NO_PADDING_BEHIND(berth_spawn_request, request_id);
NO_PADDING_BEHIND(berth_stop_request, mode);
NO_PADDING_BEHIND(berth_input_request, content);
NO_PADDING_BEHIND(berth_transcript_request, limit);
NO_PADDING_BEHIND(berth_events_request, limit);
NO_PADDING_BEHIND(berth_services, monotonic_ns);
NO_PADDING_BEHIND(berth_sink, event);
NO_PADDING_BEHIND(berth_call, deadline_ns);
NO_PADDING_BEHIND(berth_adapter, read_events);
NO_PADDING_BEHIND(berth_registrar, add);

int main(void)
{
	return 0;
}
