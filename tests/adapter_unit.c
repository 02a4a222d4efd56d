/* SPDX-License-Identifier: MIT */
/* Adapters under a host made of nothing but the header, as an author who lives out of
 * this tree would test his own: what they push is written down as text and compared. */
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

/* ---- The fake host ---- */

struct fake {
	struct berth_call call;
	char trace[4096]; /* what was pushed, in words */
	int pushes_left;  /* 1 is returned once they are used up */
	char reason[200];
};

__attribute__((format(printf, 2, 3)))
static int note(struct berth_call *call, const char *format, ...)
{
	struct fake *fake = (struct fake *)call;
	size_t len = strlen(fake->trace);
	va_list args;

	assert_true(len < sizeof fake->trace - 1);
	va_start(args, format);
	vsnprintf(fake->trace + len, sizeof fake->trace - len, format, args);
	va_end(args);
	return --fake->pushes_left <= 0;
}

/* For %.*s. */
#define TEXT(text) (int)(text).len, (text).ptr

static void assert_text(struct berth_text text)
{
	assert_non_null(text.ptr);
	assert_true(text.len <= BERTH_TEXT_MAX);
}

static void assert_id(struct berth_text id)
{
	assert_non_null(id.ptr);
	assert_true(id.len > 0 && id.len <= BERTH_ID_MAX);
	for (size_t i = 0; i < id.len; i++)
		assert_non_null(strchr("-_:abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", id.ptr[i]));
}

static void assert_diagnostics(const struct berth_diagnostic *diagnostics, size_t n)
{
	assert_true(n <= BERTH_DIAGNOSTICS_MAX);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(diagnostics[i].size, sizeof *diagnostics);
		assert_text(diagnostics[i].code);
		assert_text(diagnostics[i].message);
		assert_true(diagnostics[i].severity >= BERTH_INFO && diagnostics[i].severity <= BERTH_ERROR);
	}
}

static int push_runtime(struct berth_call *call, const struct berth_runtime *runtime)
{
	assert_int_equal(runtime->size, sizeof *runtime);
	assert_id(runtime->runtime_id);
	assert_text(runtime->label);
	assert_text(runtime->kind);
	assert_text(runtime->status);
	assert_text(runtime->source_kind);
	assert_text(runtime->source_status);
	assert_text(runtime->source_note);
	for (size_t i = 0; i < runtime->n_host_ids; i++)
		assert_id(runtime->host_ids[i]);
	assert_diagnostics(runtime->diagnostics, runtime->n_diagnostics);
	return note(call, "runtime %.*s %.*s; ", TEXT(runtime->runtime_id), TEXT(runtime->status));
}

static int push_host(struct berth_call *call, const struct berth_host *host)
{
	assert_int_equal(host->size, sizeof *host);
	assert_id(host->host_id);
	assert_text(host->label);
	assert_text(host->kind);
	assert_text(host->status);
	assert_diagnostics(host->diagnostics, host->n_diagnostics);
	return note(call, "host %.*s; ", TEXT(host->host_id));
}

static int push_worker(struct berth_call *call, const struct berth_worker *worker)
{
	assert_int_equal(worker->size, sizeof *worker);
	assert_id(worker->worker_id);
	assert_id(worker->host_id);
	assert_text(worker->label);
	assert_text(worker->workspace_visibility);
	assert_text(worker->workspace_identity);
	assert_text(worker->state);
	assert_text(worker->status);
	assert_text(worker->implementation_kind);
	assert_text(worker->implementation_hint);
	assert_diagnostics(worker->diagnostics, worker->n_diagnostics);
	return note(call, "worker %.*s %.*s; ", TEXT(worker->worker_id), TEXT(worker->state));
}

static int push_answer(struct berth_call *call, const struct berth_answer *answer)
{
	static const char *const states[] = { "?", "accepted", "unsupported", "rejected" };

	assert_int_equal(answer->size, sizeof *answer);
	assert_true(answer->state >= BERTH_ACCEPTED && answer->state <= BERTH_REJECTED);
	note(call, "%s", states[answer->state]);
	if (answer->transcript_sequence)
		note(call, " %u %u", (unsigned)answer->transcript_sequence, (unsigned)answer->event_id);
	if (answer->total_items)
		note(call, " of %u", (unsigned)answer->total_items);
	if (answer->more)
		note(call, " more from %u", (unsigned)answer->next_start);
	return note(call, "; ");
}

static int push_evidence(struct berth_call *call, const struct berth_evidence *evidence)
{
	assert_int_equal(evidence->size, sizeof *evidence);
	assert_text(evidence->kind);
	assert_text(evidence->detail);
	return note(call, "evidence; ");
}

static int push_transcript_item(struct berth_call *call, const struct berth_transcript_item *item)
{
	assert_int_equal(item->size, sizeof *item);
	assert_text(item->role);
	assert_non_null(item->content.ptr);
	assert_true(item->event_id >= 1);
	return note(call, "%u %.*s: %.*s; ", (unsigned)item->sequence, TEXT(item->role), TEXT(item->content));
}

static int push_connect_point(struct berth_call *call, const struct berth_connect_point *point)
{
	return note(call, "point %.*s; ", TEXT(point->kind));
}

static int push_diagnostic(struct berth_call *call, const struct berth_diagnostic *diagnostic)
{
	assert_diagnostics(diagnostic, 1);
	return note(call, "%.*s; ", TEXT(diagnostic->code));
}

__attribute__((format(printf, 3, 4)))
static int keep_reason(struct berth_call *call, int error, const char *format, ...)
{
	struct fake *fake = (struct fake *)call;
	va_list args;

	va_start(args, format);
	vsnprintf(fake->reason, sizeof fake->reason, format, args);
	va_end(args);
	return error;
}

static int never_cancelled(struct berth_call *call)
{
	(void)call;
	return 0;
}

static const struct berth_sink sink = {
	.size = sizeof sink,
	.runtime = push_runtime,
	.host = push_host,
	.worker = push_worker,
	.answer = push_answer,
	.evidence = push_evidence,
	.transcript_item = push_transcript_item,
	.connect_point = push_connect_point,
	.diagnostic = push_diagnostic,
	.fail = keep_reason,
	.cancelled = never_cancelled,
};

static bool has_ids = true;

static struct berth_text generated_id(const struct berth_services *services, struct berth_text prefix,
				      struct berth_text value, char *buffer, size_t size)
{
	(void)services;
	assert_true(size >= BERTH_ID_MAX);
	if (!has_ids)
		return (struct berth_text){ NULL, 0 };
	return (struct berth_text){ buffer, (size_t)snprintf(buffer, size, "%.*s%.*s", TEXT(prefix), TEXT(value)) };
}

static struct berth_text display_hint(const struct berth_services *services, struct berth_text value, char *buffer,
				      size_t size)
{
	(void)services;
	assert_true(size >= BERTH_HINT_MAX);
	return (struct berth_text){ buffer, (size_t)snprintf(buffer, size, "%.*s", TEXT(value)) };
}

__attribute__((format(printf, 3, 4)))
static void drop_line(const struct berth_services *services, int level, const char *format, ...)
{
	(void)services;
	(void)format;
	assert_true(level >= BERTH_LOG_DEBUG && level <= BERTH_LOG_ERROR);
}

static uint64_t a_moment(const struct berth_services *services)
{
	(void)services;
	return 1;
}

static const struct berth_services services = {
	.size = sizeof services,
	.generated_id = generated_id,
	.display_hint = display_hint,
	.log = drop_line,
	.wall_ns = a_moment,
	.monotonic_ns = a_moment,
};

/* A new call; each operation is given one of its own. */
static struct fake new_call(void)
{
	return (struct fake){
		.call = { .size = sizeof(struct berth_call), .services = &services, .sink = &sink },
		.pushes_left = 1000,
	};
}

/* ---- Loading ---- */

struct registration {
	struct berth_registrar base;
	struct berth_adapter adapter;
	unsigned n;
};

static int add(const struct berth_registrar *base, const struct berth_adapter *adapter)
{
	struct registration *registration = (struct registration *)(uintptr_t)base;

	registration->n++;
	memcpy(&registration->adapter, adapter,
	       adapter->size < sizeof *adapter ? adapter->size : sizeof *adapter);
	return 0;
}

static int refuse(const struct berth_registrar *base, const struct berth_adapter *adapter)
{
	(void)base;
	(void)adapter;
	return -EBUSY;
}

typedef int register_function(const struct berth_registrar *registrar);

static struct berth_adapter load(const char *id, const char *symbol)
{
	struct registration registration = { .base = { sizeof registration.base, add } };
	const struct berth_registrar refusing = { sizeof refusing, refuse };
	register_function *function;
	char path[4096];
	void *module;

	snprintf(path, sizeof path, TESTS_PLUGIN_DIR "/%s.so", id);
	module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!module)
		fail_msg("%s", dlerror());
	*(void **)&function = dlsym(module, symbol);
	assert_non_null(function);
	assert_int_equal(function(&refusing), -EBUSY);
	assert_int_equal(function(&registration.base), 0);
	assert_int_equal(registration.n, 1);
	assert_non_null(registration.adapter.open);
	return registration.adapter;
}

static void *open_instance(const struct berth_adapter *adapter, const char *workspace, const char *expected)
{
	const struct berth_open_request request = {
		.size = sizeof request,
		.workspace_id = berth_text(workspace),
		.workspace_root = BERTH_TEXT("/workspace"),
	};
	struct fake fake = new_call();
	void *instance = &fake;
	int rc = adapter->open(&instance, &fake.call, &request);

	assert_true(rc == 0 || rc == 1);
	assert_ptr_not_equal(instance, &fake);
	assert_string_equal(fake.trace, expected);
	return instance;
}

/* ---- Embedded ---- */

static struct berth_adapter embedded;

#define EMBEDDED_RUNTIME "runtime embedded-worker-runtime running; "

/* Carries out an operation and compares what it pushed. A macro, since each operation
 * has a request of its own type. */
#define CHECK(instance, operation, expected_rc, expected, request)                               \
	do {                                                                                     \
		struct fake fake_ = new_call();                                                  \
		int rc_ = embedded.operation(instance, &fake_.call, request);                    \
		if ((expected_rc) == 0)                                                          \
			assert_true(rc_ == 0 || rc_ == 1);                                       \
		else                                                                             \
			assert_int_equal(rc_, expected_rc);                                      \
		assert_string_equal(fake_.trace, expected);                                      \
	} while (0)

static const struct berth_list_request all = { sizeof all, 100 };

static void *open_embedded(void)
{
	return open_instance(&embedded, "one", EMBEDDED_RUNTIME);
}

static void spawn(void *instance, const char *expected)
{
	const struct berth_spawn_request request = {
		.size = sizeof request,
		.intent = BERTH_INTENT_WORKSPACE_COMPANION,
		.acceptance = BERTH_ACCEPTANCE_RUN_ACCEPTED,
	};

	CHECK(instance, spawn_worker, 0, expected, &request);
}

#define FIRST "worker worker-00000001 running; "
#define SECOND "worker worker-00000002 running; "

static void test_failed_open_leaves_nothing(void **state)
{
	const struct berth_open_request request = { .size = sizeof request, .workspace_id = BERTH_TEXT("one") };
	struct fake fake = new_call();
	void *instance = &fake;
	int rc;

	(void)state;
	has_ids = false;
	rc = embedded.open(&instance, &fake.call, &request);
	has_ids = true;
	assert_true(rc < 0);
	assert_ptr_equal(instance, &fake);
	assert_string_not_equal(fake.reason, "");
	assert_string_equal(fake.trace, "");
}

static void test_unknown_worker(void **state)
{
	static const char *const ids[] = {
		"worker-00000001", "worker-00000000", "worker-", "worker-000000010", "worker-0000000g", "", "x",
		"WORKER-00000001", "worker-ffffffffffffffff", "worker-ffffffffffffffffff",
	};
	void *instance = open_embedded();

	(void)state;
	for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
		const struct berth_text id = berth_text(ids[i]);
		const struct berth_worker_request worker = { sizeof worker, id };
		const struct berth_stop_request stop = { sizeof stop, id, BERTH_STOP_FORCE };
		/* What else is wrong with a request does not matter then. */
		const struct berth_input_request input = { sizeof input, id, BERTH_INPUT_USER, BERTH_TEXT("") };
		const struct berth_transcript_request transcript = { sizeof transcript, id, 0, UINT64_MAX };

		CHECK(instance, worker, -ENOENT, "", &worker);
		CHECK(instance, stop_worker, -ENOENT, "", &stop);
		CHECK(instance, send_input, -ENOENT, "", &input);
		CHECK(instance, transcript, -ENOENT, "", &transcript);
	}
	embedded.close(instance);
}

static void test_instances_are_apart(void **state)
{
	void *one = open_embedded(), *two = open_instance(&embedded, "two", EMBEDDED_RUNTIME);

	(void)state;
	spawn(one, "accepted; " FIRST "evidence; evidence; ");
	CHECK(two, list_workers, 0, "", &all);
	CHECK(one, list_hosts, 0, "host embedded-one; ", &all);
	CHECK(two, list_hosts, 0, "host embedded-two; ", &all);
	embedded.close(one);
	spawn(two, "accepted; " FIRST "evidence; evidence; ");
	embedded.close(two);
}

static void test_lists_end_when_told(void **state)
{
	const struct berth_list_request none = { sizeof none, 0 }, one = { sizeof one, 1 };
	struct fake fake = new_call();
	void *instance = open_embedded();

	(void)state;
	spawn(instance, "accepted; " FIRST "evidence; evidence; ");
	spawn(instance, "accepted; " SECOND "evidence; evidence; ");
	CHECK(instance, list_workers, 0, FIRST SECOND, &all);
	CHECK(instance, list_workers, 0, FIRST, &one);
	CHECK(instance, list_workers, 0, "", &none);
	CHECK(instance, list_hosts, 0, "", &none);
	fake.pushes_left = 1;
	embedded.list_workers(instance, &fake.call, &all);
	assert_string_equal(fake.trace, FIRST);
	embedded.close(instance);
}

static void test_refusals_are_answers(void **state)
{
	const struct berth_text first = BERTH_TEXT("worker-00000001");
	const struct berth_spawn_request socket = {
		.size = sizeof socket,
		.intent = BERTH_INTENT_WORKSPACE_COMPANION,
		.acceptance = BERTH_ACCEPTANCE_SOCKET_READY,
	};
	const struct berth_input_request blank = { sizeof blank, first, BERTH_INPUT_USER, BERTH_TEXT(" \t\n") };
	const struct berth_transcript_request long_one = { sizeof long_one, first, 0, 257 };
	void *instance = open_embedded();

	(void)state;
	CHECK(instance, spawn_worker, 0, "rejected; embedded_runtime_no_socket; ", &socket);
	CHECK(instance, list_workers, 0, "", &all);
	spawn(instance, "accepted; " FIRST "evidence; evidence; ");
	CHECK(instance, send_input, 0, "rejected; embedded_runtime_invalid_request; ", &blank);
	CHECK(instance, transcript, 0, "rejected; embedded_runtime_limit_too_large; ", &long_one);
	embedded.close(instance);
}

static void test_life_of_a_worker(void **state)
{
	const struct berth_text first = BERTH_TEXT("worker-00000001");
	const struct berth_worker_request worker = { sizeof worker, first };
	const struct berth_input_request user = { sizeof user, first, BERTH_INPUT_USER, BERTH_TEXT("hello") };
	const struct berth_input_request system = { sizeof system, first, BERTH_INPUT_SYSTEM, BERTH_TEXT("be") };
	const struct berth_transcript_request whole = { sizeof whole, first, 0, 10 };
	const struct berth_transcript_request begin = { sizeof begin, first, 0, 1 }, end = { sizeof end, first, 1, 1 };
	const struct berth_stop_request stop = { sizeof stop, first, BERTH_STOP_GRACEFUL };
	void *instance = open_embedded();
	struct fake fake = new_call();

	(void)state;
	CHECK(instance, runtime, 0, EMBEDDED_RUNTIME, &all);
	spawn(instance, "accepted; " FIRST "evidence; evidence; ");
	CHECK(instance, worker, 0, FIRST, &worker);
	embedded.send_input(instance, &fake.call, &user);
	assert_int_equal(strncmp(fake.trace, "accepted 1 ", 11), 0);
	fake = new_call();
	embedded.send_input(instance, &fake.call, &system);
	assert_int_equal(strncmp(fake.trace, "accepted 2 ", 11), 0);
	CHECK(instance, transcript, 0, "accepted of 2; 1 user: hello; 2 system: be; ", &whole);
	CHECK(instance, transcript, 0, "accepted of 2 more from 1; 1 user: hello; ", &begin);
	CHECK(instance, transcript, 0, "accepted of 2; 2 system: be; ", &end);
	CHECK(instance, stop_worker, 0, "accepted; ", &stop);
	CHECK(instance, worker, 0, "worker worker-00000001 stopped; ", &worker);
	CHECK(instance, send_input, 0, "rejected; embedded_runtime_invalid_request; ", &user);
	embedded.close(instance);
}

/* ---- Remote, reserved ---- */

static void test_reserved_runtime(void **state)
{
	const struct berth_adapter remote = load("remote-reserved", "remote_reserved_LTX_berth_register");
	const struct berth_spawn_request request = {
		.size = sizeof request,
		.intent = BERTH_INTENT_WORKSPACE_COMPANION,
		.acceptance = BERTH_ACCEPTANCE_RUN_ACCEPTED,
	};
	void *instance = open_instance(&remote, "one", "runtime remote-worker-runtime reserved; ");
	struct fake fake = new_call();
	int rc = remote.spawn_worker(instance, &fake.call, &request);

	(void)state;
	assert_true(rc == 0 || rc == 1);
	assert_string_equal(fake.trace,
			    "unsupported; worker worker-placeholder unsupported; worker_spawn_unsupported; ");
	if (remote.close)
		remote.close(instance);
}

static int load_embedded(void **state)
{
	(void)state;
	embedded = load("embedded", "embedded_LTX_berth_register");
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failed_open_leaves_nothing),
		cmocka_unit_test(test_unknown_worker),
		cmocka_unit_test(test_instances_are_apart),
		cmocka_unit_test(test_refusals_are_answers),
		cmocka_unit_test(test_lists_end_when_told),
		cmocka_unit_test(test_life_of_a_worker),
		cmocka_unit_test(test_reserved_runtime),
	};

	return cmocka_run_group_tests(tests, load_embedded, NULL);
}
