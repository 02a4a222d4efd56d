/* SPDX-License-Identifier: MIT */
/* The batch protocol as a whole: the greeting, lines and their order, answers in time. */
#include "config.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "core/batch.h"
#include "tests/contract.h"

static int start(void **state)
{
	static struct host host;

	host_start(&host, &(struct host_setup){ .adapters = "remote-reserved,embedded" });
	*state = &host;
	return 0;
}

static int stop(void **state)
{
	host_stop(*state);
	return 0;
}

/* ---- hello ---- */

static void hello_tells_protocol_version_and_runtimes(void **state)
{
	static const struct {
		const char *path, *expected;
	} rows[] = {
		{ "version", PACKAGE_VERSION },
		{ "runtimes.0.runtime_id", "remote-worker-runtime" },
		{ "runtimes.0.adapter", "remote-reserved" },
		{ "runtimes.0.capabilities.workspace_scope", "none" },
		{ "runtimes.1.runtime_id", "embedded-worker-runtime" },
		{ "runtimes.1.adapter", "embedded" },
		{ "runtimes.1.capabilities.workspace_scope", "backend_internal" },
	};
	cJSON *hello = host_ask_json(*state, "{'op':'hello','protocol':1}");

	assert_true(cJSON_GetNumberValue(json_at(hello, "protocol")) == 1);
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_string_equal(json_string_at(hello, rows[i].path), rows[i].expected);
	assert_int_equal(cJSON_GetArraySize(json_at(hello, "runtimes")), 2);
	assert_true(cJSON_IsFalse(json_at(hello, "runtimes.0.capabilities.can_spawn_worker")));
	assert_true(cJSON_IsTrue(json_at(hello, "runtimes.1.capabilities.can_spawn_worker")));
	cJSON_Delete(hello);
}

/* ---- Lines ---- */

struct run {
	struct host *host;
	int in, out, rc;
	size_t line_max; /* 0: as berth batch has it */
};

static void *run_batch(void *data)
{
	struct run *run = data;

	run->rc = batch_run(&run->host->inventory.registry, run->in, run->out,
			    run->line_max ? run->line_max : BATCH_LINE_MAX, NULL);
	return NULL;
}

/* Reads until there are n lines, or the time is up; the text is to be freed. */
static char *read_lines(int fd, size_t n)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	struct buffer text = { 0 };
	char c;

	while (n > 0 && poll(&wait, 1, 10000) == 1 && read(fd, &c, 1) == 1) {
		buffer_append_char(&text, c);
		n -= c == '\n';
	}
	buffer_append_char(&text, '\0');
	assert_false(text.failed);
	return text.data;
}

/* Has the lines answered from a file into another. */
static int run_on_files(struct host *host, const char *lines, int out)
{
	FILE *in = tmpfile();
	struct run run = { .host = host, .in = in ? fileno(in) : -1, .out = out };

	assert_int_equal(pwrite(run.in, lines, strlen(lines), 0), strlen(lines));
	run_batch(&run);
	fclose(in);
	return run.rc;
}

static void lines_are_answered_in_order_until_the_input_ends(void **state)
{
	static const char lines[] =
		"\n   \n\t\r\n{\"id\":1,\"op\":\"list_hosts\",\"limit\":0}\n\r\n"
		"nonsense\n"
		"{\"id\":2,\"op\":\"worker\",\"runtime_id\":\"r\",\"worker_id\":\"w\"}\r\n"
		"\n{\"id\":3,\"op\":\"list_hosts\",\"limit\":0}";
	int in[2], out[2];
	struct run run = { .host = *state };

	assert_int_equal(pipe(in) + pipe(out), 0);
	run.in = in[0];
	run.out = out[1];
	assert_int_equal(write(in[1], lines, sizeof lines - 1), sizeof lines - 1);
	close(in[1]);
	run_batch(&run);
	close(out[1]);
	{
		CLEANUP_FREE char *text = read_lines(out[0], SIZE_MAX), *got = masked(text);

		assert_json_text(got, "{'id':1,'items':[],'diagnostics':[]}\n" BAD_REQUEST "\n"
				      "{'id':2,'error':{'kind':'unknown_runtime','runtime_id':'r'}}\n"
				      "{'id':3,'items':[],'diagnostics':[]}\n");
	}
	assert_int_equal(run.rc, 0);
	close(in[0]);
	close(out[0]);
}

static void an_answer_comes_while_the_input_is_open(void **state)
{
	static const char line[] = "{\"op\":\"list_hosts\",\"limit\":0}\n", half[] = "{\"op\":";
	int in[2], out[2];
	struct run run = { .host = *state };
	pthread_t thread;

	assert_int_equal(pipe(in) + pipe(out), 0);
	run.in = in[0];
	run.out = out[1];
	assert_int_equal(pthread_create(&thread, NULL, run_batch, &run), 0);
	for (int i = 0; i < 3; i++) {
		CLEANUP_FREE char *text = NULL;

		/* A blank line behind it has no answer and must not keep this one back. */
		assert_int_equal(write(in[1], line, sizeof line - 1), sizeof line - 1);
		assert_int_equal(write(in[1], "  \n", 3), 3);
		text = read_lines(out[0], 1);
		assert_json_text(text, EMPTY_LIST "\n");
	}
	assert_int_equal(write(in[1], half, sizeof half - 1), sizeof half - 1);
	close(in[1]);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(run.rc, 0);
	close(in[0]);
	close(out[0]);
	close(out[1]);
}

/* So nobody can have it keep a line that never ends; and what comes behind it is a line of its own. */
static void a_line_that_is_too_long_is_refused_before_its_end(void **state)
{
	static const char piece[] = "{\"op\":\"list_hosts\",\"id\":\"a line that is longer than it may be\",",
			  end[] = "\"limit\":0}\n", line[] = "{\"op\":\"list_hosts\",\"limit\":0}\n";
	int in[2], out[2];
	struct run run = { .host = *state, .line_max = sizeof piece - 2 };
	pthread_t thread;

	assert_int_equal(pipe(in) + pipe(out), 0);
	run.in = in[0];
	run.out = out[1];
	assert_int_equal(pthread_create(&thread, NULL, run_batch, &run), 0);
	for (int i = 0; i < 2; i++) {
		CLEANUP_FREE char *refusal = NULL, *answer = NULL;

		assert_int_equal(write(in[1], piece, sizeof piece - 1), sizeof piece - 1);
		refusal = read_lines(out[0], 1);
		assert_true(strncmp(refusal, "{\"error\":{\"kind\":\"bad_request\",", 31) == 0);
		assert_int_equal(write(in[1], piece, sizeof piece - 1), sizeof piece - 1);
		assert_int_equal(write(in[1], end, sizeof end - 1), sizeof end - 1);
		assert_int_equal(write(in[1], line, sizeof line - 1), sizeof line - 1);
		answer = read_lines(out[0], 1);
		assert_json_text(answer, EMPTY_LIST "\n");
	}
	close(in[1]);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(run.rc, 0);
	close(in[0]);
	close(out[0]);
	close(out[1]);
}

static void a_last_line_of_one_byte_is_answered(void **state)
{
	FILE *out = tmpfile();
	char text[1024] = "";

	assert_non_null(out);
	assert_int_equal(run_on_files(*state, "x", fileno(out)), 0);
	assert_true(pread(fileno(out), text, sizeof text - 1, 0) > 0);
	assert_true(strncmp(text, "{\"error\":{\"kind\":\"bad_request\",", 31) == 0);
	fclose(out);
}

/* What there is of it is its refusal alone, whatever it ends with. */
static void a_last_line_that_is_too_long_is_refused_once(void **state)
{
	static const char line[] = "{\"op\":\"list_hosts\",\"limit\":0}";
	CLEANUP(batch_fini) struct batch batch = { .line_max = 8, .too_long = "too_long" };
	struct host *host = *state;

	for (const char *p = line; *p; p++) {
		buffer_append_char(&batch.in, *p);
		assert_int_equal(batch_answer_lines(&batch, &host->inventory.registry, !p[1], SIZE_MAX, 0), 0);
		assert_true(batch.in.len <= batch.line_max);
	}
	assert_int_equal(batch.out.data[batch.out.len - 1], '\n');
	assert_ptr_equal(memchr(batch.out.data, '\n', batch.out.len), batch.out.data + batch.out.len - 1);
}

/* One byte is no end of the input: each write is what a read gets of such a pipe. */
static void input_that_comes_byte_by_byte_is_read_to_its_end(void **state)
{
	static const char line[] = "{\"op\":\"list_hosts\",\"limit\":0}\n";
	struct run run = { .host = *state };
	int in[2], out[2];

	assert_int_equal(pipe2(in, O_DIRECT | O_CLOEXEC) + pipe(out), 0);
	/* A pipe may have room for no more than sixteen packets. */
	assert_int_equal(write(in[1], line, 1), 1);
	assert_int_equal(write(in[1], line + 1, 1), 1);
	assert_int_equal(write(in[1], line + 2, sizeof line - 3), sizeof line - 3);
	close(in[1]);
	run.in = in[0];
	run.out = out[1];
	run_batch(&run);
	close(out[1]);
	{
		CLEANUP_FREE char *text = read_lines(out[0], SIZE_MAX);

		assert_json_text(text, EMPTY_LIST "\n");
	}
	assert_int_equal(run.rc, 0);
	close(in[0]);
	close(out[0]);
}

static void no_more_lines_are_answered_than_are_enough(void **state)
{
	static const char line[] = "{\"op\":\"list_hosts\",\"limit\":0}\n";
	CLEANUP(batch_fini) struct batch batch = { .line_max = 1000 };
	struct host *host = *state;

	for (int i = 0; i < 3; i++)
		buffer_append_string(&batch.in, line);
	for (int left = 2; left >= 0; left--) {
		assert_int_equal(batch_answer_lines(&batch, &host->inventory.registry, false, 1, 0), left > 0);
		assert_true(batch.out.len > 0);
		assert_ptr_equal(memchr(batch.out.data, '\n', batch.out.len), batch.out.data + batch.out.len - 1);
		buffer_cut(&batch.out, 0);
	}
}

static void who_may_only_read_changes_nothing(void **state)
{
	static const struct {
		const char *line;
		bool forbidden;
	} rows[] = {
		{ "{'op':'spawn_worker','runtime_id':'none','request':{'intent':{'kind':'workspace_companion'},"
		  "'acceptance':{'kind':'run_accepted','expected_segments':0}}}\n", true },
		{ "{'op':'stop_worker','runtime_id':'none','request':{'worker_id':'w','mode':'force'}}\n", true },
		{ "{'op':'send_input','runtime_id':'none','worker_id':'w','request':{'content':'x'}}\n", true },
		{ "{'op':'transcript','runtime_id':'none','worker_id':'w'}\n", false },
		{ "{'op':'list_hosts'}\n", false },
	};
	struct host *host = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		CLEANUP(batch_fini) struct batch batch = { .line_max = 1000, .read_only = true };

		for (const char *p = rows[i].line; *p; p++)
			buffer_append_char(&batch.in, (char)(*p == '\'' ? '"' : *p));
		assert_int_equal(batch_answer_lines(&batch, &host->inventory.registry, false, SIZE_MAX, 0), 0);
		buffer_append_char(&batch.out, '\0');
		if (!strstr(batch.out.data, "\"forbidden\"") == rows[i].forbidden)
			fail_msg("%s%s", rows[i].line, batch.out.data);
	}
}

/* Far more than is written, and read, in one go. */
static void many_lines_are_all_answered_in_order(void **state)
{
	enum { N_LINES = 4000 };
	CLEANUP(buffer_fini) struct buffer lines = { 0 }, found = { 0 };
	FILE *out = tmpfile();
	char *p;

	for (int i = 0; i < N_LINES; i++) {
		char line[64];

		snprintf(line, sizeof line, "{\"id\":%d,\"op\":\"list_runtimes\"}\n", i);
		buffer_append_string(&lines, line);
	}
	buffer_append_char(&lines, '\0');
	assert_non_null(out);
	assert_int_equal(run_on_files(*state, lines.data, fileno(out)), 0);
	assert_non_null(buffer_reserve(&found, 16 << 20));
	found.len = (size_t)pread(fileno(out), found.data, (16 << 20) - 1, 0);
	found.data[found.len] = '\0';
	assert_true(found.len > 2 << 20);
	p = found.data;
	for (int i = 0; i < N_LINES; i++) {
		char head[32];

		snprintf(head, sizeof head, "{\"id\":%d,\"items\":[", i);
		assert_true(strncmp(p, head, strlen(head)) == 0);
		p = strchr(p, '\n') + 1;
	}
	assert_int_equal(*p, '\0');
	fclose(out);
}

/* ---- Long lists ---- */

enum { MANY = 3000 };

/* Lists that are long, one of no host, and at the end a short one, which has to come behind all others. */
static void ask_long_lists(struct host *host, char lines[1024])
{
	cJSON *hosts = host_ask_json(host, "{'op':'list_hosts'}");

	snprintf(lines, 1024,
		 "{\"op\":\"list_workers\",\"limit\":5000}\n"
		 "{\"id\":\"a\",\"op\":\"list_workers\",\"limit\":5000}\n"
		 "{\"id\":7,\"op\":\"list_workers_for_host\",\"host_id\":\"%s\",\"limit\":2999}\n"
		 "{\"op\":\"list_workers\",\"after\":\"embedded-worker-runtime/worker-00000003\",\"limit\":2990}\n"
		 "{\"id\":8,\"op\":\"list_workers_for_host\",\"host_id\":\"h\",\"limit\":5000}\n"
		 "{\"id\":9,\"op\":\"list_workers\",\"limit\":1}\n",
		 json_string_at(hosts, "items.0.host_id"));
	cJSON_Delete(hosts);
}

static void long_lists_come_in_pieces_and_are_the_same(void **state)
{
	CLEANUP(buffer_fini) struct buffer whole = { 0 }, found = { 0 };
	char lines[1024];
	FILE *out = tmpfile();

	for (size_t i = 0; i < MANY; i++)
		host_ask(*state, "{'op':'spawn_worker','runtime_id':'embedded-worker-runtime','request':{'intent':{'kind':"
				 "'workspace_companion'},'acceptance':{'kind':'run_accepted','expected_segments':0}}}");
	ask_long_lists(*state, lines);
	for (const char *p = lines, *end; *p; p = end + 1) {
		end = strchr(p, '\n');
		buffer_append_string(&whole, host_ask_raw(*state, p, (size_t)(end - p)));
		buffer_append_char(&whole, '\n');
	}
	assert_true(whole.len > 8 << 20);
	assert_non_null(out);
	assert_int_equal(run_on_files(*state, lines, fileno(out)), 0);
	assert_non_null(buffer_reserve(&found, whole.len + 1));
	assert_int_equal(pread(fileno(out), found.data, whole.len + 1, 0), whole.len);
	assert_memory_equal(found.data, whole.data, whole.len);
	fclose(out);
}

static void a_long_list_that_cannot_be_written_ends_the_batch(void **state)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	char lines[1024];

	assert_true(full >= 0);
	ask_long_lists(*state, lines);
	assert_int_equal(run_on_files(*state, lines, full), -ENOSPC);
	close(full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hello_tells_protocol_version_and_runtimes),
		cmocka_unit_test(lines_are_answered_in_order_until_the_input_ends),
		cmocka_unit_test(an_answer_comes_while_the_input_is_open),
		cmocka_unit_test(a_line_that_is_too_long_is_refused_before_its_end),
		cmocka_unit_test(a_last_line_of_one_byte_is_answered),
		cmocka_unit_test(a_last_line_that_is_too_long_is_refused_once),
		cmocka_unit_test(input_that_comes_byte_by_byte_is_read_to_its_end),
		cmocka_unit_test(no_more_lines_are_answered_than_are_enough),
		cmocka_unit_test(who_may_only_read_changes_nothing),
		cmocka_unit_test(many_lines_are_all_answered_in_order),
		cmocka_unit_test(long_lists_come_in_pieces_and_are_the_same),
		cmocka_unit_test(a_long_list_that_cannot_be_written_ends_the_batch),
	};

	return cmocka_run_group_tests_name("contract: batch", tests, start, stop);
}
