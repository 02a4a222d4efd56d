/* SPDX-License-Identifier: MIT */
/* An adapter in C++, through the real loader: what each of its operations throws becomes
 * a failed call whose reason is in the log alone, nothing is left behind, and the next
 * request is answered as if nothing had been. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "tests/support.h"

#define SECRET "hunter2"
#define WHERE "'runtime_id':'cxx','worker_id':'kaya'"
#define SPAWN "'request':{'intent':{'kind':'workspace_companion'},'acceptance':{'kind':'socket_ready'}}"
#define FAILED "{'code':'adapter_failed','severity':'error',"
#define KEPT_AND_FAILED                                                                                      \
	"'diagnostics':[{'code':'fixture_unsupported','severity':'info','message':'this one only throws'}," FAILED

static struct host host;

/* What is thrown, and what it becomes. */
static const struct thrown {
	const char *what, *reason;
	int error;
} throwns[] = {
	{ "alloc", "out of memory", -ENOMEM },
	{ "exception", "/etc/fixture: password " SECRET, -EIO },
	{ "int", "an exception that is no std::exception", -EIO },
};

enum { N_THROWNS = sizeof throwns / sizeof *throwns };

/* Each request, what is in its answer, and what is in it where the operation throws. */
static const struct row {
	const char *name, *operation, *line, *good, *failed;
} rows[] = {
	{ "a runtime that throws is presented all the same", "runtime", "{'op':'list_runtimes'}", "'label':'in C++'", FAILED },
	{ "a list of hosts keeps what was pushed", "list_hosts", "{'op':'list_hosts'}", "'label':'Quay'",
	  "'host_id':'quay'" },
	{ "a list of hosts that throws says so", "list_hosts", "{'op':'list_hosts'}", "'diagnostics':[]}", FAILED },
	{ "a list of workers keeps what was pushed", "list_workers", "{'op':'list_workers'}", "'worker_id':'kaya'",
	  "'worker_id':'kaya'" },
	{ "a list of workers that throws says so", "list_workers", "{'op':'list_workers'}", "'diagnostics':[]}",
	  FAILED },
	{ "a worker is not known", "worker", "{'op':'worker'," WHERE "}", "'worker_id':'kaya'",
	  "'kind':'unknown_worker'" },
	{ "a spawn is rejected", "spawn_worker", "{'op':'spawn_worker','runtime_id':'cxx'," SPAWN "}",
	  "'state':'unsupported'", "{'state':'rejected','acceptance_evidence':[]," KEPT_AND_FAILED },
	{ "a stop is rejected", "stop_worker",
	  "{'op':'stop_worker','runtime_id':'cxx','request':{'worker_id':'kaya','mode':'force'}}",
	  "'state':'unsupported'", "{'state':'rejected'," KEPT_AND_FAILED },
	{ "an input is rejected", "send_input", "{'op':'send_input'," WHERE ",'request':{'content':'x'}}",
	  "'state':'unsupported'", "{'state':'rejected'," WHERE "," KEPT_AND_FAILED },
	{ "a transcript is rejected", "transcript", "{'op':'transcript'," WHERE "}", "'state':'unsupported'",
	  "{'state':'rejected'," WHERE ",'start':0,'limit':200,'total_items':0,'items':[]," KEPT_AND_FAILED },
	{ "a list of connect points keeps what was pushed", "connect_points", "{'op':'connect_points'," WHERE "}",
	  "'kind':'gangway'", "'kind':'gangway'" },
	{ "a list of connect points that throws says so", "connect_points", "{'op':'connect_points'," WHERE "}",
	  "'diagnostics':[]}", FAILED },
};

static void throw_in(const char *operation, const char *what)
{
	char text[64];

	snprintf(text, sizeof text, "%s %s", operation, what);
	setenv("BERTH_FIXTURE", text, 1);
}

/* Asserts that the answer has the words, which are written with ' in the place of ". */
static void assert_answer_has(const char *line, const char *words)
{
	CLEANUP_FREE char *wanted = strdup(words);
	const char *answer = host_ask(&host, "%s", line);

	assert_non_null(wanted);
	for (char *p = wanted; *p; p++)
		if (*p == '\'')
			*p = '"';
	if (!strstr(answer, wanted))
		fail_msg("%s is not in %s", wanted, answer);
	assert_null(strstr(answer, SECRET));
}

/* How many objects there are: an instance is one. */
static void assert_alive(const char *label)
{
	setenv("BERTH_FIXTURE", "alive", 1);
	assert_answer_has("{'op':'list_hosts'}", label);
	unsetenv("BERTH_FIXTURE");
}

/* ---- Standard error, for a while a file ---- */

struct capture {
	FILE *file;
	int saved;
};

static void capture_begin(struct capture *capture)
{
	fflush(stderr);
	*capture = (struct capture){ tmpfile(), dup(STDERR_FILENO) };
	assert_non_null(capture->file);
	assert_true(capture->saved >= 0);
	dup2(fileno(capture->file), STDERR_FILENO);
}

static void capture_end(struct capture *capture, char *text, size_t size)
{
	fflush(stderr);
	dup2(capture->saved, STDERR_FILENO);
	close(capture->saved);
	rewind(capture->file);
	text[fread(text, 1, size - 1, capture->file)] = '\0';
	fclose(capture->file);
}

/* ---- The tests ---- */

static void test_row(void **state)
{
	const struct row *row = *state;
	struct capture capture;
	char text[4096];

	for (size_t i = 0; i < N_THROWNS; i++) {
		throw_in(row->operation, throwns[i].what);
		capture_begin(&capture);
		host_ask(&host, "%s", row->line);
		capture_end(&capture, text, sizeof text);
		assert_answer_has(row->line, row->failed);
		if (!strstr(text, row->operation) || !strstr(text, throwns[i].reason))
			fail_msg("%s: %s is not in: %s", row->operation, throwns[i].reason, text);
		unsetenv("BERTH_FIXTURE");
		assert_answer_has(row->line, row->good);
		assert_alive("'label':'1 alive'");
	}
}

/* The instance is refused with the reason, and the others serve. */
static void test_open(void **state)
{
	const struct host_setup setup = { .adapters = "cxx,only-list", .adapter_dir = fixture_dir() };

	(void)state;
	for (size_t i = 0; i < N_THROWNS; i++) {
		const struct failure *failure;
		struct host own;

		throw_in("open", throwns[i].what);
		host_start(&own, &setup);
		assert_null(own.inventory.entries[0].instance);
		failure = &own.inventory.entries[0].dropin.failures.list[0];
		assert_string_equal(failure_code_name(failure->code), "open_failed");
		assert_non_null(strstr(failure->found.text, throwns[i].reason));
		assert_non_null(own.inventory.entries[1].instance);
		assert_null(strstr(host_ask(&own, "{'op':'list_runtimes'}"), "in C++"));
		host_stop(&own);
		assert_alive("'label':'1 alive'");
	}
}

/* Nobody is told, and the instance is gone all the same. */
static void test_close(void **state)
{
	const struct host_setup setup = { .adapters = "cxx", .adapter_dir = fixture_dir() };

	(void)state;
	for (size_t i = 0; i < N_THROWNS; i++) {
		struct host own;

		host_start(&own, &setup);
		assert_non_null(own.inventory.entries[0].instance);
		assert_alive("'label':'2 alive'");
		throw_in("close", throwns[i].what);
		host_stop(&own);
		assert_alive("'label':'1 alive'");
	}
}

/* ---- The error numbers, which only the sink sees ---- */

enum { RETURNED_BY_FAIL = -77 };

static int error_given;

__attribute__((format(printf, 3, 4)))
static int fake_fail(struct berth_call *call, int error, const char *format, ...)
{
	(void)call;
	(void)format;
	error_given = error;
	return RETURNED_BY_FAIL;
}

static int fake_worker(struct berth_call *call, const struct berth_worker *worker)
{
	(void)call;
	(void)worker;
	return 0;
}

static void test_errors(void **state)
{
	const struct inventory_entry *entry = &host.inventory.entries[0];
	const struct berth_sink sink = { .size = sizeof sink, .worker = fake_worker, .fail = fake_fail };
	const struct berth_list_request request = { sizeof request, 1 };
	struct berth_call call = { .size = sizeof call, .sink = &sink };

	(void)state;
	for (size_t i = 0; i < N_THROWNS; i++) {
		throw_in("list_workers", throwns[i].what);
		error_given = 0;
		assert_int_equal(entry->adapter->ops.list_workers(entry->instance->state, &call, &request),
				 RETURNED_BY_FAIL);
		assert_int_equal(error_given, throwns[i].error);
	}
	unsetenv("BERTH_FIXTURE");
	error_given = 0;
	assert_int_equal(entry->adapter->ops.list_workers(entry->instance->state, &call, &request), 0);
	assert_int_equal(error_given, 0);
}

static int start(void **state)
{
	const struct host_setup setup = { .adapters = "cxx", .adapter_dir = fixture_dir() };

	(void)state;
	unsetenv("BERTH_FIXTURE");
	host_start(&host, &setup);
	if (host.inventory.entries[0].instance)
		return 0;
	print_error("%s\n", host.inventory.entries[0].dropin.failures.list[0].found.text);
	return -1;
}

static int stop(void **state)
{
	(void)state;
	host_stop(&host);
	return 0;
}

static int forget_fixture(void **state)
{
	(void)state;
	unsetenv("BERTH_FIXTURE");
	return 0;
}

#define TEST(function) cmocka_unit_test_teardown(function, forget_fixture)

int main(void)
{
	static const struct CMUnitTest others[] = {
		TEST(test_open),
		TEST(test_close),
		TEST(test_errors),
	};
	enum { N_ROWS = sizeof rows / sizeof *rows, N_OTHERS = sizeof others / sizeof *others };
	struct CMUnitTest tests[N_ROWS + N_OTHERS];

	for (size_t i = 0; i < N_ROWS; i++)
		tests[i] = (struct CMUnitTest){
			rows[i].name, test_row, NULL, forget_fixture, (void *)(uintptr_t)&rows[i],
		};
	memcpy(tests + N_ROWS, others, sizeof others);
	return cmocka_run_group_tests(tests, start, stop);
}
