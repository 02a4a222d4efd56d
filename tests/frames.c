/* SPDX-License-Identifier: MIT */
/* Structs as bytes, one behind the other: what is read is what was written, what has not
 * changed does not cross again, and what an enemy makes of that is bounded. */
#include "config.h"

#include <stdlib.h>

#include "inline/frames.h"
#include "tests/contract.h"

enum { N_WORKERS_MAX = 8 };

struct answer {
	char bytes[16384];
	char *end;
	struct frame_before before;
};

static struct frame_room room;

static size_t put(struct answer *answer, enum frame_kind kind, const void *object)
{
	size_t size = frame_measure(kind, object, answer->bytes, &answer->before);
	char *begin = answer->end ? answer->end : answer->bytes;

	assert_true(size <= (size_t)(answer->bytes + sizeof answer->bytes - begin));
	answer->end = frame_write(begin, kind, object, answer->bytes, &answer->before);
	assert_ptr_equal(answer->end, begin + size);
	return size;
}

static void assert_same_text(struct berth_text a, struct berth_text b)
{
	assert_int_equal(!a.ptr, !b.ptr);
	if (!a.ptr)
		return;
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.ptr, b.ptr, a.len);
}

static void assert_same_worker(const struct berth_worker *a, const struct berth_worker *b)
{
	assert_same_text(a->worker_id, b->worker_id);
	assert_same_text(a->label, b->label);
	assert_same_text(a->role, b->role);
	assert_same_text(a->implementation_hint, b->implementation_hint);
	assert_int_equal(a->last_seen_at_ns, b->last_seen_at_ns);
	assert_int_equal(a->can, b->can);
	assert_int_equal(a->n_diagnostics, b->n_diagnostics);
	for (size_t i = 0; i < a->n_diagnostics; i++) {
		assert_same_text(a->diagnostics[i].code, b->diagnostics[i].code);
		assert_same_text(a->diagnostics[i].message, b->diagnostics[i].message);
		assert_int_equal(a->diagnostics[i].severity, b->diagnostics[i].severity);
	}
}

#define REASON(c, m, s) { sizeof(struct berth_diagnostic), BERTH_TEXT(c), BERTH_TEXT(m), s }
#define LONG "a text that is longer than a block of bytes is, by more than one"

static void what_is_read_is_what_was_written(void **state)
{
	static const struct berth_diagnostic one[] = { REASON("slow", "it is slow", BERTH_WARNING) },
		other[] = { REASON("slow", "it is slow", BERTH_ERROR) },
		two[] = { REASON("slow", "it is slow", BERTH_ERROR), REASON("old", LONG, BERTH_INFO) };
	/* Each differs from the one before in something. */
	static const struct berth_worker workers[N_WORKERS_MAX] = {
		{ .size = sizeof *workers, .worker_id = BERTH_TEXT("worker-1"), .label = BERTH_TEXT("worker-1"), .role = { NULL, 0 } },
		{ .size = sizeof *workers, .worker_id = BERTH_TEXT("worker-2"), .label = BERTH_TEXT("worker-2"), .role = BERTH_TEXT("") },
		{ .size = sizeof *workers, .worker_id = BERTH_TEXT("worker-2"), .implementation_hint = BERTH_TEXT(LONG) },
		{ .size = sizeof *workers, .worker_id = BERTH_TEXT("worker-2"), .implementation_hint = BERTH_TEXT(LONG "."),
		  .can = 1, .diagnostics = one, .n_diagnostics = 1 },
		{ .size = sizeof *workers, .last_seen_at_ns = 7, .can = 1, .diagnostics = other, .n_diagnostics = 1 },
		{ .size = sizeof *workers, .last_seen_at_ns = 7, .diagnostics = two, .n_diagnostics = 2 },
		{ .size = sizeof *workers, .last_seen_at_ns = 7, .diagnostics = other, .n_diagnostics = 1 },
		{ .size = sizeof *workers },
	};
	struct answer answer = { .end = NULL };
	struct frame_reader r;
	struct berth_worker read;

	(void)state;
	for (size_t i = 0; i < N_WORKERS_MAX; i++)
		put(&answer, FRAME_KIND_WORKER, &workers[i]);
	r = (struct frame_reader){ .p = answer.bytes, .end = answer.end };
	for (size_t i = 0; i < N_WORKERS_MAX; i++) {
		assert_true((i == 0 ? frame_read : frame_read_next)(&r, FRAME_KIND_WORKER, &read, &room));
		assert_same_worker(&read, &workers[i]);
	}
	assert_ptr_equal(r.p, r.end);
}

static void what_has_not_changed_does_not_cross_again(void **state)
{
	char message[] = LONG;
	struct berth_diagnostic diagnostic = { sizeof diagnostic, BERTH_TEXT("slow"), { message, strlen(message) }, BERTH_ERROR };
	struct berth_worker worker = {
		.size = sizeof worker, .worker_id = BERTH_TEXT("worker-1"), .host_id = BERTH_TEXT("host"), .can = 3,
		.diagnostics = &diagnostic, .n_diagnostics = 1,
	};
	const struct berth_answer other = { .size = sizeof other, .state = BERTH_ACCEPTED };
	struct answer answer = { .end = NULL };
	size_t whole = put(&answer, FRAME_KIND_WORKER, &worker);

	(void)state;
	assert_int_equal(put(&answer, FRAME_KIND_WORKER, &worker), sizeof(uint32_t));
	/* The place of a text says nothing about its bytes. */
	message[0] = 'A';
	assert_int_equal(put(&answer, FRAME_KIND_WORKER, &worker),
			 3 * sizeof(uint32_t) + strlen("slow") + sizeof(uint32_t) + strlen(message) + sizeof(uint64_t));
	worker.worker_id = (struct berth_text)BERTH_TEXT("worker-2");
	assert_int_equal(put(&answer, FRAME_KIND_WORKER, &worker), 2 * sizeof(uint32_t) + strlen("worker-2"));
	worker.worker_id.ptr = NULL;
	assert_int_equal(put(&answer, FRAME_KIND_WORKER, &worker), 2 * sizeof(uint32_t));
	/* Behind another kind all is written. */
	worker.worker_id = (struct berth_text)BERTH_TEXT("worker-1");
	put(&answer, FRAME_KIND_ANSWER, &other);
	assert_int_equal(put(&answer, FRAME_KIND_WORKER, &worker), whole);
}

static void bits_of_no_field_are_refused(void **state)
{
	const uint32_t changes = 1u << FRAME_FIELDS_MAX;
	struct frame_reader r = { .p = (const char *)&changes, .end = (const char *)(&changes + 1) };
	struct berth_worker worker;

	(void)state;
	assert_false(frame_read(&r, FRAME_KIND_WORKER, &worker, &room));
	assert_true(r.failed);
}

/* Four bytes stand for a text of any length. */
static void what_few_bytes_stand_for_is_bounded(void **state)
{
	enum { LEN = 1 << 20 };
	char *bytes = calloc(1, LEN + 8 + 4 * (FRAMES_MAX / LEN)), *end = bytes, *text = calloc(1, LEN);
	const struct berth_text content = { text, LEN };
	const struct berth_transcript_item item = { .size = sizeof item, .content = content };
	struct frame_before before = { .changes = 0 };
	struct frame_reader r;
	struct berth_transcript_item read;
	size_t n = 1, size = frame_measure(FRAME_KIND_TRANSCRIPT_ITEM, &item, NULL, &before);

	(void)state;
	assert_true(bytes && text);
	assert_int_equal(size, LEN + 8);
	end = frame_write(end, FRAME_KIND_TRANSCRIPT_ITEM, &item, bytes, &before) + 4 * (FRAMES_MAX / LEN);
	r = (struct frame_reader){ .p = bytes, .end = end };
	assert_true(frame_read(&r, FRAME_KIND_TRANSCRIPT_ITEM, &read, &room));
	while (r.p < r.end && frame_read_next(&r, FRAME_KIND_TRANSCRIPT_ITEM, &read, &room))
		n++;
	assert_true(r.failed);
	assert_in_range(n, FRAMES_MAX / LEN - 1, FRAMES_MAX / LEN);
	free(bytes);
	free(text);
}

static void each_kind_has_a_bit_for_each_field(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < N_FRAME_KINDS; kind++)
		assert_in_range(frame_shape((enum frame_kind)kind)->n_fields, 1, FRAME_FIELDS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_read_is_what_was_written),
		cmocka_unit_test(what_has_not_changed_does_not_cross_again),
		cmocka_unit_test(bits_of_no_field_are_refused),
		cmocka_unit_test(what_few_bytes_stand_for_is_bounded),
		cmocka_unit_test(each_kind_has_a_bit_for_each_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
