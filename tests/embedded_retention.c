/* SPDX-License-Identifier: MIT */
/* What the embedded runtime drops by the calendar: under a host made of nothing but the
 * header, whose clock stands in this file. The same in memory and in a store. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <berth/adapter.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <unistd.h>

#define DAY_NS (UINT64_C(86400) * 1000000000)

/* ---- The fake host ---- */

static uint64_t now_ns;

struct fake {
	struct berth_call call;
	struct berth_answer answer;
	uint64_t first, last; /* of the items or events */
	unsigned n, n_dropped_diagnostics;
	bool by_number; /* each item has content_of its number */
};

/* Short ones, long ones now and then, and one that is longer than any piece of memory that they share. */
static struct berth_text content_of(uint64_t number)
{
	static char bytes[3 << 20];
	size_t len = number == 350 ? sizeof bytes : number % 7 == 0 ? 300000 : number * 37 % 3000 + 1;

	memset(bytes, (int)('a' + number % 26), len);
	return (struct berth_text){ bytes, len };
}

static int push_runtime(struct berth_call *call, const struct berth_runtime *runtime)
{
	(void)call;
	assert_memory_equal(runtime->status.ptr, "running", runtime->status.len);
	return 1;
}

static int push_worker(struct berth_call *call, const struct berth_worker *worker)
{
	(void)worker;
	((struct fake *)call)->n++;
	return 0;
}

static int push_answer(struct berth_call *call, const struct berth_answer *answer)
{
	((struct fake *)call)->answer = *answer;
	return 0;
}

static int push_evidence(struct berth_call *call, const struct berth_evidence *evidence)
{
	(void)call, (void)evidence;
	return 0;
}

static int push_number(struct fake *fake, uint64_t number)
{
	if (fake->n++ == 0)
		fake->first = number;
	fake->last = number;
	return 0;
}

static int push_item(struct berth_call *call, const struct berth_transcript_item *item)
{
	struct fake *fake = (struct fake *)call;

	if (fake->by_number) {
		struct berth_text content = content_of(item->sequence);

		assert_int_equal(item->content.len, content.len);
		assert_memory_equal(item->content.ptr, content.ptr, content.len);
	}
	return push_number(fake, item->sequence);
}

static int push_event(struct berth_call *call, const struct berth_event *event)
{
	return push_number((struct fake *)call, event->event_id);
}

static int push_diagnostic(struct berth_call *call, const struct berth_diagnostic *diagnostic)
{
	static const struct berth_text dropped = BERTH_TEXT("embedded_runtime_items_dropped");

	if (diagnostic->code.len == dropped.len && memcmp(diagnostic->code.ptr, dropped.ptr, dropped.len) == 0)
		((struct fake *)call)->n_dropped_diagnostics++;
	return 0;
}

__attribute__((format(printf, 3, 4)))
static int print_reason(struct berth_call *call, int error, const char *format, ...)
{
	va_list args;

	(void)call;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	return error;
}

static const struct berth_sink sink = {
	.size = sizeof sink,
	.runtime = push_runtime,
	.worker = push_worker,
	.answer = push_answer,
	.evidence = push_evidence,
	.transcript_item = push_item,
	.diagnostic = push_diagnostic,
	.fail = print_reason,
	.event = push_event,
};

static struct berth_text generated_id(const struct berth_services *services, struct berth_text prefix,
				      struct berth_text value, char *buffer, size_t size)
{
	(void)services, (void)prefix, (void)value;
	return (struct berth_text){ buffer, (size_t)snprintf(buffer, size, "host") };
}

__attribute__((format(printf, 3, 4)))
static void drop_line(const struct berth_services *services, int level, const char *format, ...)
{
	(void)services, (void)level, (void)format;
}

static uint64_t tell_time(const struct berth_services *services)
{
	(void)services;
	return now_ns;
}

static const struct berth_services services = {
	.size = sizeof services,
	.generated_id = generated_id,
	.log = drop_line,
	.wall_ns = tell_time,
	.monotonic_ns = tell_time,
};

static struct fake new_call(void)
{
	return (struct fake){ .call = { .size = sizeof(struct berth_call), .services = &services, .sink = &sink } };
}

/* ---- The runtime ---- */

static struct berth_adapter embedded;
static char dir[64]; /* of the store; "": in memory */

static int keep_adapter(const struct berth_registrar *registrar, const struct berth_adapter *adapter)
{
	(void)registrar;
	assert_int_equal(adapter->size, sizeof embedded);
	embedded = *adapter;
	return 0;
}

static int load(void **state)
{
	static const struct berth_registrar registrar = { sizeof registrar, keep_adapter };
	int (*function)(const struct berth_registrar *registrar);
	void *module = dlopen(TESTS_PLUGIN_DIR "/embedded.so", RTLD_NOW | RTLD_LOCAL);

	(void)state;
	if (!module)
		fail_msg("%s", dlerror());
	*(void **)&function = dlsym(module, "embedded_LTX_berth_register");
	assert_non_null(function);
	return function(&registrar);
}

static void *open_runtime(uint64_t keep_days, uint64_t keep_resting_days)
{
	/* As they are declared: store, durability, keep_items, keep_days, keep_resting_days. */
	const struct berth_option options[] = {
		{ *dir ? berth_text(dir) : (struct berth_text)BERTH_TEXT("memory"), 0 },
		{ BERTH_TEXT("relaxed"), 0 },
		{ BERTH_TEXT(""), 0 },
		{ BERTH_TEXT(""), keep_days },
		{ BERTH_TEXT(""), keep_resting_days },
	};
	const struct berth_open_request request = {
		.size = sizeof request,
		.workspace_id = BERTH_TEXT("one"),
		.options = options,
		.n_options = sizeof options / sizeof *options,
	};
	struct fake fake = new_call();
	void *instance = NULL;

	assert_true(embedded.open(&instance, &fake.call, &request) >= 0);
	return instance;
}

static const struct berth_text ids[] = {
	BERTH_TEXT("none"), BERTH_TEXT("worker-00000001"), BERTH_TEXT("worker-00000002"), BERTH_TEXT("worker-00000003"),
};

static void spawn(void *instance)
{
	const struct berth_spawn_request request = {
		.size = sizeof request, .intent = BERTH_INTENT_WORKSPACE_COMPANION, .acceptance = BERTH_ACCEPTANCE_RUN_ACCEPTED,
	};
	struct fake fake = new_call();

	embedded.spawn_worker(instance, &fake.call, &request);
	assert_int_equal(fake.answer.state, BERTH_ACCEPTED);
}

static uint64_t send_text(void *instance, int worker, struct berth_text content)
{
	const struct berth_input_request request = {
		.size = sizeof request, .worker_id = ids[worker], .kind = BERTH_INPUT_USER, .content = content,
	};
	struct fake fake = new_call();

	embedded.send_input(instance, &fake.call, &request);
	assert_int_equal(fake.answer.state, BERTH_ACCEPTED);
	return fake.answer.transcript_sequence;
}

static uint64_t send(void *instance, int worker, unsigned n)
{
	uint64_t sequence = 0;

	for (; n > 0; n--)
		sequence = send_text(instance, worker, (struct berth_text)BERTH_TEXT("x"));
	return sequence;
}

static void stop(void *instance, int worker)
{
	const struct berth_stop_request request = {
		.size = sizeof request, .worker_id = ids[worker], .mode = BERTH_STOP_GRACEFUL,
	};
	struct fake fake = new_call();

	embedded.stop_worker(instance, &fake.call, &request);
	assert_int_equal(fake.answer.state, BERTH_ACCEPTED);
}

static struct fake transcript(void *instance, int worker)
{
	const struct berth_transcript_request request = { sizeof request, ids[worker], 0, 256 };
	struct fake fake = new_call();

	assert_true(embedded.transcript(instance, &fake.call, &request) >= 0);
	return fake;
}

static bool is_there(void *instance, int worker)
{
	const struct berth_worker_request request = { sizeof request, ids[worker] };
	struct fake fake = new_call();
	int rc = embedded.worker(instance, &fake.call, &request);

	assert_true(rc >= 0 || rc == -ENOENT);
	return rc >= 0;
}

static struct fake events(void *instance)
{
	const struct berth_events_request request = { sizeof request, { NULL, 0 }, 256 };
	struct fake fake = new_call();

	assert_true(embedded.read_events(instance, &fake.call, &request) >= 0);
	assert_int_equal(fake.answer.state, BERTH_ACCEPTED);
	return fake;
}

/* ---- The tests ---- */

static void check_days(void)
{
	void *instance;
	struct fake read;

	now_ns = 100 * DAY_NS;
	instance = open_runtime(2, 0);
	spawn(instance);
	send(instance, 1, 3);
	now_ns += DAY_NS;
	send(instance, 1, 2);
	now_ns += DAY_NS - 1;
	read = transcript(instance, 1);
	assert_int_equal(read.n, 5);
	assert_int_equal(read.n_dropped_diagnostics, 0);
	/* To the day; but it is looked at once in a minute only. */
	now_ns += 1;
	assert_int_equal(transcript(instance, 1).n, 5);
	now_ns += UINT64_C(61) * 1000000000;
	read = transcript(instance, 1);
	assert_int_equal(read.n, 2);
	assert_int_equal(read.first, 4);
	assert_int_equal(read.answer.total_items, 5);
	assert_int_equal(read.n_dropped_diagnostics, 1);
	/* 1 started, 2 created, 3 to 5 are gone. */
	assert_int_equal(events(instance).n, 4);
	now_ns += 10 * DAY_NS;
	read = transcript(instance, 1);
	assert_int_equal(read.n, 0);
	assert_int_equal(read.answer.total_items, 5);
	assert_int_equal(send(instance, 1, 1), 6);
	assert_int_equal(events(instance).last, 8);
	embedded.close(instance);
}

static void check_portions(void)
{
	void *instance;
	struct fake read;

	now_ns = 100 * DAY_NS;
	instance = open_runtime(1, 0);
	spawn(instance);
	spawn(instance);
	send(instance, 1, 350);
	send(instance, 2, 350);
	now_ns += 2 * DAY_NS;
	/* Each request drops a portion until nothing is left to do; the oldest first. */
	read = transcript(instance, 1);
	assert_int_equal(read.first, 257);
	assert_int_equal(read.n, 94);
	assert_int_equal(transcript(instance, 1).n, 0);
	assert_int_equal(transcript(instance, 2).n, 0);
	assert_int_equal(transcript(instance, 2).answer.total_items, 350);
	assert_int_equal(events(instance).n, 3);
	embedded.close(instance);
}

/* Each stays as it was while others are kept behind it and dropped before it, however long they are. */
static void check_lengths(void)
{
	enum { MANY = 500 };
	void *instance;

	now_ns = 100 * DAY_NS;
	instance = open_runtime(2, 0);
	spawn(instance);
	for (uint64_t n = 1; n <= MANY; n++) {
		assert_int_equal(send_text(instance, 1, content_of(n)), n);
		if (n == MANY / 2)
			now_ns += DAY_NS;
	}
	for (int i = 0; i < 2; i++) {
		struct berth_transcript_request request = { sizeof request, ids[1], 0, 256 };
		unsigned n = 0;

		while (request.start < MANY) {
			struct fake fake = new_call();

			fake.by_number = true;
			assert_true(embedded.transcript(instance, &fake.call, &request) >= 0);
			assert_true(fake.n > 0);
			request.start = fake.last;
			n += fake.n;
		}
		assert_int_equal(n, i == 0 ? MANY : MANY / 2);
		now_ns += DAY_NS + UINT64_C(61) * 1000000000;
	}
	assert_int_equal(send(instance, 1, 1), MANY + 1);
	embedded.close(instance);
}

static void check_resting(void)
{
	void *instance;

	now_ns = 100 * DAY_NS;
	instance = open_runtime(0, 3);
	spawn(instance);
	spawn(instance);
	spawn(instance);
	send(instance, 1, 600);
	send(instance, 2, 1);
	stop(instance, 1);
	now_ns += DAY_NS;
	stop(instance, 3);
	now_ns += 2 * DAY_NS - 1;
	assert_true(is_there(instance, 1));
	now_ns += UINT64_C(61) * 1000000000;
	/* Three portions of items, and then the worker. */
	for (int i = 0; i < 3; i++)
		assert_true(is_there(instance, 1));
	assert_false(is_there(instance, 1));
	assert_true(is_there(instance, 2));
	assert_true(is_there(instance, 3));
	/* Started, two created, one input, one stopped. */
	assert_int_equal(events(instance).n, 5);
	now_ns += DAY_NS;
	assert_false(is_there(instance, 3));
	/* One that runs is kept, and numbers are not given again. */
	now_ns += 1000 * DAY_NS;
	assert_true(is_there(instance, 2));
	assert_int_equal(transcript(instance, 2).n, 1);
	if (*dir) {
		embedded.close(instance);
		instance = open_runtime(0, 3);
		assert_false(is_there(instance, 3));
	}
	spawn(instance);
	assert_false(is_there(instance, 3));
	/* 1 started, 3 created, 601 inputs, 2 stopped, 1 created. */
	assert_int_equal(events(instance).last, 608);
	embedded.close(instance);
}

/* A clock that goes back must not make anything go earlier, nor later events older. */
static void check_clock(void)
{
	void *instance;

	now_ns = 100 * DAY_NS;
	instance = open_runtime(2, 0);
	spawn(instance);
	send(instance, 1, 1);
	now_ns = 50 * DAY_NS;
	send(instance, 1, 1);
	now_ns = 101 * DAY_NS;
	assert_int_equal(transcript(instance, 1).n, 2);
	now_ns = 103 * DAY_NS;
	assert_int_equal(transcript(instance, 1).n, 0);
	embedded.close(instance);
	/* More days than there have been. */
	instance = open_runtime(UINT64_MAX, UINT64_MAX);
	assert_true(events(instance).n > 0);
	embedded.close(instance);
}

static void in_store(void (*check)(void))
{
#if HAVE_SQLITE3
	const char *tmp = getenv("TMPDIR");
	char command[128];

	snprintf(dir, sizeof dir, "%s/berth-test-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(dir));
	check();
	snprintf(command, sizeof command, "%s/catalogue.db", dir);
	unlink(command);
	rmdir(dir);
	*dir = '\0';
#else
	(void)check;
	skip();
#endif
}

#define TESTS(name)                                \
	static void name##_in_memory(void **state) \
	{                                          \
		(void)state;                       \
		check_##name();                    \
	}                                          \
	static void name##_in_a_store(void **state) \
	{                                          \
		(void)state;                       \
		in_store(check_##name);            \
	}

TESTS(days)
TESTS(portions)
TESTS(lengths)
TESTS(resting)
TESTS(clock)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(days_in_memory),    cmocka_unit_test(days_in_a_store),
		cmocka_unit_test(portions_in_memory), cmocka_unit_test(portions_in_a_store),
		cmocka_unit_test(lengths_in_memory), cmocka_unit_test(lengths_in_a_store),
		cmocka_unit_test(resting_in_memory), cmocka_unit_test(resting_in_a_store),
		cmocka_unit_test(clock_in_memory),   cmocka_unit_test(clock_in_a_store),
	};

	return cmocka_run_group_tests_name("embedded: retention", tests, load, NULL);
}
