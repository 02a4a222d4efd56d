/* SPDX-License-Identifier: MIT */
/* Lists that go on behind a worker, lists that say whose they are, and requests that did not come as a line. */
#include "config.h"

#include "core/registry.h"
#include "core/text.h"
#include "tests/contract.h"

enum { N_RECORDS = 7, N_SPAWNED = 5 };

struct fixture {
	struct host host;
	char *dir;
};

static int start(void **state)
{
	static struct fixture fixture;
	char name[16];

	fixture.dir = scratch_new();
	for (int i = 0; i < N_RECORDS; i++) {
		snprintf(name, sizeof name, "w%d", i);
		scratch_record(fixture.dir, name, "{'worker_name':'%s','workspace_root':'/workspace/project'}", name);
	}
	host_start(&fixture.host, &(struct host_setup){ .data_dir = fixture.dir });
	for (int i = 0; i < N_SPAWNED; i++)
		host_ask(&fixture.host, "{'op':'spawn_worker','runtime_id':'embedded-worker-runtime','request':{"
			 "'intent':{'kind':'workspace_companion'},'acceptance':{'kind':'run_accepted','expected_segments':0}}}");
	*state = &fixture;
	return 0;
}

static int stop(void **state)
{
	struct fixture *fixture = *state;

	host_stop(&fixture->host);
	scratch_remove(fixture->dir);
	return 0;
}

/* RUNTIME/WORKER of each item, one a line. */
static void append_items(struct buffer *out, const cJSON *list)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, json_at(list, "items")) {
		buffer_append_string(out, json_string_at(item, "runtime_id"));
		buffer_append_char(out, '/');
		buffer_append_string(out, json_string_at(item, "worker_id"));
		buffer_append_char(out, '\n');
	}
}

static void pages_of_any_size_make_up_the_whole(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(buffer_fini) struct buffer whole = { 0 };
	cJSON *list = host_ask_json(&fixture->host, "{'op':'list_workers'}");

	append_items(&whole, list);
	assert_int_equal(cJSON_GetArraySize(json_at(list, "items")), N_RECORDS + N_SPAWNED);
	cJSON_Delete(list);
	for (int limit = 1; limit <= N_RECORDS + N_SPAWNED + 1; limit++) {
		CLEANUP(buffer_fini) struct buffer pages = { 0 };
		char after[256] = "";
		int n;

		do {
			size_t mark = pages.len;

			list = host_ask_json(&fixture->host, "{'op':'list_workers','limit':%d%s}", limit, after);
			n = cJSON_GetArraySize(json_at(list, "items"));
			append_items(&pages, list);
			cJSON_Delete(list);
			for (size_t i = mark; i < pages.len; i++)
				mark = pages.data[i] == '\n' && i + 1 < pages.len ? i + 1 : mark;
			snprintf(after, sizeof after, ",'after':'%.*s'", (int)(pages.len - mark - (n > 0)), pages.data + mark);
		} while (n == limit);
		assert_int_equal(pages.len, whole.len);
		assert_memory_equal(pages.data, whole.data, whole.len);
	}
}

static void a_place_that_is_none_is_an_error(void **state)
{
	static const struct exchange rows[] = {
		{ "without a slash", "{'op':'list_workers','after':'a'}", BAD_REQUEST },
		{ "of a wrong type", "{'op':'list_workers','after':1}", BAD_REQUEST },
		{ "null", "{'op':'list_workers','after':null}", BAD_REQUEST },
		{ "given twice", "{'op':'list_workers','after':'a/b','after':'a/b'}", BAD_REQUEST },
		{ "without a runtime", "{'op':'list_workers','after':'/b'}",
		  "{'error':{'kind':'invalid_identifier','identifier_kind':'runtime_id','value':''}}" },
		{ "without a worker", "{'op':'list_workers','after':'a/'}",
		  "{'error':{'kind':'invalid_identifier','identifier_kind':'worker_id','value':''}}" },
		{ "with a second slash", "{'op':'list_workers','after':'a/b/c'}",
		  "{'error':{'kind':'invalid_identifier','identifier_kind':'worker_id','value':'b/c'}}" },
		{ "in no runtime", "{'op':'list_workers','after':'a/b'}",
		  "{'error':{'kind':'unknown_runtime','runtime_id':'a'}}" },
		{ "of no worker", "{'op':'list_workers','after':'embedded-worker-runtime/worker-000000ff'}",
		  "{'error':{'kind':'unknown_worker','runtime_id':'embedded-worker-runtime',"
		  "'worker_id':'worker-000000ff'}}" },
		{ "of a worker of another runtime", "{'op':'list_workers','after':'remote-worker-runtime/worker-00000001'}",
		  "{'error':{'kind':'unknown_worker','runtime_id':'remote-worker-runtime',"
		  "'worker_id':'worker-00000001'}}" },
		{ "behind the last", "{'op':'list_workers','after':'embedded-worker-runtime/worker-00000005'}", EMPTY_LIST },
		{ "asked for none", "{'op':'list_workers','limit':0,'after':'embedded-worker-runtime/worker-00000001'}",
		  EMPTY_LIST },
		{ "elsewhere it is ignored", "{'op':'list_hosts','limit':0,'after':1}", EMPTY_LIST },
	};
	struct fixture *fixture = *state;

	check_exchanges(&fixture->host, rows, COUNT(rows));
}

static void lists_say_whose_they_are_where_that_is_wanted(void **state)
{
	static const char expected[] = "{'workspace_id':'local:\\\"x','limit':0,'items':[],"
				       "'source':'worker_runtime_registry','diagnostics':[]}";
	static const enum request_op ops[] = { REQUEST_LIST_RUNTIMES, REQUEST_LIST_HOSTS, REQUEST_LIST_WORKERS };
	struct fixture *fixture = *state;
	struct registry *registry = &fixture->host.inventory.registry;

	registry->workspace_id = berth_text("local:\"x");
	for (size_t i = 0; i < COUNT(ops); i++) {
		CLEANUP(buffer_fini) struct buffer out = { 0 };
		const struct request request = { .op = ops[i], .with_workspace = true };

		registry_answer(registry, &request, &out);
		buffer_append_char(&out, '\0');
		assert_json_text(out.data, expected);
	}
}

/* ---- request_complete ---- */

static void a_body_is_read_as_the_request_of_a_line(void **state)
{
	static const struct {
		const char *name;
		enum request_op op;
		const char *body, *error; /* NULL: none */
	} rows[] = {
		{ "no body", REQUEST_SEND_INPUT, NULL, "request: missing" },
		{ "an empty body", REQUEST_SEND_INPUT, "", "body: byte 1: a value is missing at the end" },
		{ "no JSON", REQUEST_SEND_INPUT, "{'content':'x'", "body: byte 15: " },
		{ "something behind it", REQUEST_SEND_INPUT, "{'content':'x'}}", "body: byte 16: " },
		{ "no object", REQUEST_SEND_INPUT, "[]", "request: an object is expected" },
		{ "a key twice", REQUEST_SEND_INPUT, "{'content':'x','content':'x'}", "request.content: given twice" },
		{ "a key that is missing", REQUEST_SEND_INPUT, "{}", "request.content: missing" },
		{ "another worker", REQUEST_STOP_WORKER, "{'worker_id':'v','mode':'force'}",
		  "request.worker_id: the one of the path is expected" },
		{ "a worker that is null", REQUEST_STOP_WORKER, "{'worker_id':null,'mode':'force'}",
		  "request.worker_id: a string is expected" },
		{ "the worker of the path", REQUEST_STOP_WORKER, "{'worker_id':'w','mode':'force'}", NULL },
		{ "no worker", REQUEST_STOP_WORKER, "{'mode':'force'}", NULL },
		{ "an input with an escape", REQUEST_SEND_INPUT, " {'content':'\\u0077'} ", NULL },
		{ "a body that is not wanted", REQUEST_WORKER, "nonsense", NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		CLEANUP(buffer_fini) struct buffer scratch = { 0 };
		CLEANUP_FREE char *body = rows[i].body ? strdup(rows[i].body) : NULL;
		struct request request = { .op = rows[i].op, .runtime_id = BERTH_TEXT("r"), .worker_id = BERTH_TEXT("w") };
		struct error error = { "" };
		int rc;

		for (char *p = body; p && *p; p++)
			if (*p == '\'')
				*p = '"';
		rc = request_complete(&request, berth_text(body), &scratch, &error);
		if (rc != (rows[i].error ? -EINVAL : 0) ||
		    (rows[i].error && strncmp(error.text, rows[i].error, strlen(rows[i].error)) != 0))
			fail_msg("%s: %d, %s", rows[i].name, rc, error.text);
		if (rc == 0) {
			assert_true(text_is(request.worker_id, "w"));
			/* Each begins with its size and the worker_id. */
			assert_true(text_is(request.block.stop.worker_id, "w"));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_of_any_size_make_up_the_whole),
		cmocka_unit_test(a_place_that_is_none_is_an_error),
		cmocka_unit_test(lists_say_whose_they_are_where_that_is_wanted),
		cmocka_unit_test(a_body_is_read_as_the_request_of_a_line),
	};

	return cmocka_run_group_tests_name("paging and bodies", tests, start, stop);
}
