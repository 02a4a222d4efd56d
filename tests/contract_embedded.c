/* SPDX-License-Identifier: MIT */
/* The embedded runtime: its presentation, what becomes of workers, input and
 * transcripts, what it keeps to itself, and that it may be asked by many at once. */
#include "config.h"

#include <pthread.h>
#include <stdio.h>

#include "core/batch.h"
#include "tests/contract.h"

#define EMBEDDED "embedded-worker-runtime"
#define HOST_ID "embedded-local-test-a2fa388634a6e2ed" /* the digits: SHA-256 of local:test */
#define ONE "worker-00000001"
#define TWO "worker-00000002"

#define COMPANION "'intent':{'kind':'workspace_companion'}"
#define RUN(segments) "'acceptance':{'kind':'run_accepted','expected_segments':" segments "}"
#define SOCKET "'acceptance':{'kind':'socket_ready'}"
#define SPAWN(request) "{'op':'spawn_worker','runtime_id':'" EMBEDDED "','request':{" request "}}"
#define STOP(id, mode) \
	"{'op':'stop_worker','runtime_id':'" EMBEDDED "','request':{'worker_id':'" id "','mode':'" mode "'}}"
#define ADDRESS(id) "'runtime_id':'" EMBEDDED "','worker_id':'" id "'"
#define INPUT(id, request) "{'op':'send_input'," ADDRESS(id) ",'request':{" request "}}"
#define TRANSCRIPT(id, more) "{'op':'transcript'," ADDRESS(id) more "}"
#define WORKER_REQUEST(id) "{'op':'worker'," ADDRESS(id) "}"

#define CAPABILITIES(max_workers)                                                                             \
	"{'can_list_hosts':true,'can_list_workers':true,'can_get_worker':true,'can_spawn_worker':true,"       \
	"'can_stop_worker':true,'can_accept_input':true,'can_stream_events':true,"                           \
	"'can_read_bounded_transcript':true,'has_workspace_fs':false,'has_shell':false,'has_git':false,"      \
	"'supports_worktrees':false,'supports_backend_internal_tools':true,"                                  \
	CAPABILITIES_END("not_applicable", "backend_internal", max_workers)

#define WORKER(id, role, profile, state)                                                                      \
	"{" ADDRESS(id) ",'host_id':'" HOST_ID "','label':'" id "','role':'" role "','profile':'" profile "'," \
	"'workspace':{'visibility':'backend_internal','identity':'runtime_registry_worker'},"                 \
	"'state':'" state "','status':'" state "','last_seen_at':null,"                                       \
	"'implementation':{'kind':'embedded_worker_runtime','display_hint':'...'},"                           \
	"'capabilities':{'can_accept_input':true,'can_stream_events':false,'can_stop':true,"                  \
	"'can_spawn_followup':false,'can_read_bounded_transcript':true},"                                     \
	"'diagnostics':[" DIAGNOSTIC("embedded_runtime_projection", "info") "]}"

#define SPAWNED(worker, diagnostics)                                                                          \
	"{'state':'accepted','worker':" worker ",'acceptance_evidence':["                                     \
	"{'kind':'embedded_runtime_worker_created','detail':'...'},"                                          \
	"{'kind':'embedded_runtime_backend_internal_projection','detail':'...'}],'diagnostics':[" diagnostics "]}"

#define NAME_IGNORED DIAGNOSTIC("embedded_worker_name_ignored", "info")
#define TOOLS_LESS DIAGNOSTIC("embedded_runtime_tools_less", "info")

#define NO_SOCKET                                                       \
	"{'state':'rejected','acceptance_evidence':[],'diagnostics':["  \
	DIAGNOSTIC("embedded_runtime_no_socket", "warning") "]}"

#define INPUT_REJECTED(id)                               \
	"{'state':'rejected'," ADDRESS(id) ",'diagnostics':[" \
	DIAGNOSTIC("embedded_runtime_invalid_request", "warning") "]}"

#define TRANSCRIPT_HEAD(id, start, limit, total) \
	"{'state':'accepted'," ADDRESS(id) ",'start':" start ",'limit':" limit ",'total_items':" total
#define TOO_LARGE(id, start, limit)                                                                 \
	"{'state':'rejected'," ADDRESS(id) ",'start':" start ",'limit':" limit ",'total_items':0,"  \
	"'items':[],'diagnostics':[" DIAGNOSTIC("embedded_runtime_limit_too_large", "warning") "]}"

#define STOPPED "{'state':'accepted','diagnostics':[]}"
#define UNKNOWN_WORKER(id) "{'error':{'kind':'unknown_worker'," ADDRESS(id) "}}"

static int start(void **state)
{
	static struct host host;

	host_start(&host, &(struct host_setup){ .adapters = "embedded" });
	*state = &host;
	return 0;
}

static int stop(void **state)
{
	host_stop(*state);
	return 0;
}

static void spawn(struct host *host)
{
	const char *answer = host_ask(host, "%s", SPAWN(COMPANION "," RUN("0")));

	if (!strstr(answer, "\"state\":\"accepted\""))
		fail_msg("not spawned: %s", answer);
}

/* The number behind a key such as "event_id": in an answer; fails where there is none. */
static uint64_t number_at(const char *answer, const char *key)
{
	const char *at = strstr(answer, key);

	if (!at)
		fail_msg("no %s in %s", key, answer);
	return strtoull(at + strlen(key), NULL, 10);
}

static uint64_t send(struct host *host, const char *worker_id, uint64_t sequence)
{
	const char *answer = host_ask(host, "{'op':'send_input','runtime_id':'" EMBEDDED "','worker_id':'%s',"
					    "'request':{'content':'x'}}", worker_id);

	assert_int_equal(number_at(answer, "\"transcript_sequence\":"), sequence);
	return number_at(answer, "\"event_id\":");
}

/* Small enough for a double, here. */
static uint64_t integer_at(const cJSON *json, const char *path)
{
	return (uint64_t)cJSON_GetNumberValue(json_at(json, path));
}

/* ---- Runtime and host ---- */

static void the_runtime_and_its_host_are_presented(void **state)
{
	static const struct exchange rows[] = {
		{ "no runtime", "{'op':'list_runtimes','limit':0}", EMPTY_LIST },
		{ "no host", "{'op':'list_hosts','limit':0}", EMPTY_LIST },
		{ "no worker yet", "{'op':'list_workers'}", EMPTY_LIST },
		{ "no worker yet on the host", "{'op':'list_workers_for_host','host_id':'" HOST_ID "'}", EMPTY_LIST },
		{ "the runtime", "{'op':'list_runtimes','limit':5}",
		  "{'items':[{'runtime_id':'" EMBEDDED "','label':'Workspace backend embedded Runtime',"
		  "'kind':'embedded_worker_runtime','status':'running','source':{'kind':'embedded_worker_runtime',"
		  "'status':'active','identity_authority':'runtime_registry_projection','note':'...'},"
		  "'host_ids':['" HOST_ID "'],'capabilities':" CAPABILITIES("5") ",'diagnostics':[]}],"
		  "'diagnostics':[]}" },
		{ "the host", "{'op':'list_hosts','limit':18446744073709551615}",
		  "{'items':[{'runtime_id':'" EMBEDDED "','host_id':'" HOST_ID "',"
		  "'label':'Workspace backend embedded Runtime','kind':'embedded-worker-runtime-host',"
		  "'status':'available','observed_at':'...','last_seen_at':null,"
		  "'capabilities':" CAPABILITIES("18446744073709551615") ",'diagnostics':["
		  DIAGNOSTIC("embedded_runtime_host_boundary", "info") "]}],'diagnostics':[]}" },
	};

	check_exchanges(*state, rows, COUNT(rows));
}

/* ---- Spawn ---- */

static void a_spawn_is_rejected_or_gives_a_worker(void **state)
{
	static const struct exchange rows[] = {
		{ "socket_ready", SPAWN(COMPANION "," SOCKET), NO_SOCKET },
		{ "socket_ready with a name, alone all the same",
		  SPAWN(COMPANION ",'requested_worker_name':'n'," SOCKET),
		  NO_SOCKET },
		{ "socket_ready with segments, which are not its own",
		  SPAWN(COMPANION ",'acceptance':{'kind':'socket_ready','expected_segments':3}"), NO_SOCKET },
		{ "nothing of it was kept", "{'op':'list_workers'}", EMPTY_LIST },
		{ "a companion", SPAWN(COMPANION "," RUN("0")),
		  SPAWNED(WORKER("worker-00000001", "workspace_companion", "runtime_default", "running"), "") },
		{ "an orchestrator, with a name", SPAWN("'intent':{'kind':'workspace_orchestrator'},"
							"'requested_worker_name':'worker-00000001'," RUN("0")),
		  SPAWNED(WORKER("worker-00000002", "workspace_orchestrator", "runtime_default", "running"),
			  NAME_IGNORED) },
		{ "an intake, with a segment", SPAWN("'intent':{'kind':'ticket_role','ticket_id':'T','role':'intake'},"
						     RUN("1")),
		  SPAWNED(WORKER("worker-00000003", "intake", "builtin:intake", "running"), TOOLS_LESS) },
		{ "a ticket's orchestrator, with name and segments",
		  SPAWN("'intent':{'kind':'ticket_role','ticket_id':'','role':'orchestrator'},"
			"'requested_worker_name':'n'," RUN("18446744073709551615")),
		  SPAWNED(WORKER("worker-00000004", "orchestrator", "builtin:orchestrator", "running"),
			  NAME_IGNORED "," TOOLS_LESS) },
		{ "a coder, with an empty name, which is given all the same",
		  SPAWN("'intent':{'kind':'ticket_role','ticket_id':'T','role':'coder'},'requested_worker_name':'',"
			RUN("0")),
		  SPAWNED(WORKER("worker-00000005", "coder", "builtin:coder", "running"), NAME_IGNORED) },
		{ "a reviewer, with null for a name",
		  SPAWN("'intent':{'kind':'ticket_role','ticket_id':'T','role':'reviewer'},"
			"'requested_worker_name':null,'request_id':null," RUN("0")),
		  SPAWNED(WORKER("worker-00000006", "reviewer", "builtin:reviewer", "running"), "") },
		{ "one of them alone", WORKER_REQUEST("worker-00000005"),
		  WORKER("worker-00000005", "coder", "builtin:coder", "running") },
		{ "the first two", "{'op':'list_workers','limit':2}",
		  "{'items':[" WORKER("worker-00000001", "workspace_companion", "runtime_default", "running") ","
		  WORKER("worker-00000002", "workspace_orchestrator", "runtime_default", "running")
		  "],'diagnostics':[]}" },
		{ "the first of the host", "{'op':'list_workers_for_host','host_id':'" HOST_ID "','limit':1}",
		  "{'items':[" WORKER("worker-00000001", "workspace_companion", "runtime_default", "running")
		  "],'diagnostics':[]}" },
		{ "none of the host, which is there",
		  "{'op':'list_workers_for_host','host_id':'" HOST_ID "','limit':0}",
		  EMPTY_LIST },
	};

	check_exchanges(*state, rows, COUNT(rows));
}

static void workers_are_listed_in_the_order_of_their_ids(void **state)
{
	enum { N = 300 };
	cJSON *listed;

	for (int i = 0; i < N; i++)
		spawn(*state);
	listed = host_ask_json(*state, "{'op':'list_workers','limit':18446744073709551615}");
	assert_int_equal(cJSON_GetArraySize(json_at(listed, "items")), N);
	for (int i = 0; i < N; i++) {
		char id[32];

		snprintf(id, sizeof id, "worker-%08x", (unsigned)i + 1);
		assert_string_equal(json_string_at(cJSON_GetArrayItem(json_at(listed, "items"), i), "worker_id"), id);
	}
	cJSON_Delete(listed);
	listed = host_ask_json(*state, "{'op':'list_workers'}");
	assert_int_equal(cJSON_GetArraySize(json_at(listed, "items")), 200);
	cJSON_Delete(listed);
}

static void ids_that_are_nearly_right_are_unknown(void **state)
{
	static const char *const ids[] = {
		"worker-1", "worker-a", "worker-0000000", "worker-000000a", "worker-00000000", "worker-000000010",
		"worker-00000000a", "worker-0000000A", "Worker-0000000a", "worker_0000000a", "worker-0000000a-",
		"worker-0000000b", "worker-ffffffff", "worker-10000000a", "worker-1000000000000000a", "0000000a",
		"worker-",
		"workspace_companion", ":",
	};
	size_t failed = 0;

	for (int i = 0; i < 10; i++)
		spawn(*state);
	for (size_t i = 0; i < COUNT(ids); i++) {
		CLEANUP_FREE char *request = filled(WORKER_REQUEST("@"), '@', ids[i]);
		CLEANUP_FREE char *expected = filled(UNKNOWN_WORKER("@"), '@', ids[i]);

		failed += !answers_one(*state, request, expected);
	}
	assert_int_equal(failed, 0);
	assert_true(answers_one(*state, WORKER_REQUEST("worker-0000000a"),
				WORKER("worker-0000000a", "workspace_companion", "runtime_default", "running")));
}

/* ---- Input ---- */

/* All of Unicode White_Space. */
static const uint32_t white_space[] = {
	0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x20, 0x85, 0xa0, 0x1680, 0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006,
	0x2007, 0x2008, 0x2009, 0x200a, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000,
};

static bool is_white_space(uint32_t code)
{
	for (size_t i = 0; i < COUNT(white_space); i++)
		if (white_space[i] == code)
			return true;
	return false;
}

static void input_of_white_space_alone_is_rejected(void **state)
{
	struct buffer all = { 0 };
	size_t failed = 0;

	spawn(*state);
	buffer_append_string(&all, "{'op':'send_input'," ADDRESS(ONE) ",'request':{'content':'");
	for (size_t i = 0; i < COUNT(white_space); i++) {
		CLEANUP_FREE char *request = NULL;
		char code[8];

		snprintf(code, sizeof code, "\\u%04x", white_space[i]);
		buffer_append_string(&all, code);
		request = filled(INPUT(ONE, "'kind':'system','content':'@@'"), '@', code);
		failed += !answers_one(*state, request, INPUT_REJECTED(ONE));
	}
	buffer_append(&all, "'}}", 4);
	failed += !answers_one(*state, all.data, INPUT_REJECTED(ONE));
	failed += !answers_one(*state, INPUT(ONE, "'content':''"), INPUT_REJECTED(ONE));
	failed += !answers_one(*state, INPUT(ONE, "'content':'\xe3\x80\x80 \xc2\x85'"), INPUT_REJECTED(ONE));
	assert_int_equal(failed, 0);
	assert_true(answers_one(*state, TRANSCRIPT(ONE, ",'limit':1"),
				TRANSCRIPT_HEAD(ONE, "0", "1", "0") ",'items':[],'diagnostics':[]}"));
	assert_int_equal(send(*state, ONE, 1) > 1, true);
	buffer_fini(&all);
}

static void input_of_any_other_character_is_accepted(void **state)
{
	uint64_t sequence = 0;

	spawn(*state);
	for (uint32_t code = 0; code <= 0xffff; code++) {
		const char *answer;

		if ((code >= 0xd800 && code <= 0xdfff) || is_white_space(code))
			continue;
		answer = host_ask(*state, "{'op':'send_input'," ADDRESS(ONE) ",'request':{'content':'\\u%04x'}}", code);
		if (!strstr(answer, "\"state\":\"accepted\""))
			fail_msg("U+%04X: %s", code, answer);
		sequence++;
	}
	assert_int_equal(send(*state, ONE, sequence + 1) > sequence, true);
}

static void sequences_are_of_the_worker_and_event_ids_of_the_runtime(void **state)
{
	uint64_t first, second, third, fourth;

	spawn(*state);
	spawn(*state);
	first = send(*state, ONE, 1);
	second = send(*state, TWO, 1);
	third = send(*state, ONE, 2);
	/* What is rejected takes neither a sequence nor an event id. */
	host_ask(*state, "%s", INPUT(ONE, "'content':' '"));
	fourth = send(*state, TWO, 2);
	assert_true(first > 1);
	assert_int_equal(second, first + 1);
	assert_int_equal(third, second + 1);
	assert_int_equal(fourth, third + 1);
}

static void an_input_is_answered_and_kept_as_it_is(void **state)
{
	static const struct {
		const char *kind, *role, *given, *back;
	} rows[] = {
		{ "", "user", "plain", "plain" },
		{ "'kind':'user',", "user", " kept \\n with its white space ", " kept \\n with its white space " },
		{ "'kind':'system',", "system", "\\\"\\\\\\/\\u0000\\u007f", "\\\"\\\\/\\u0000\x7f" },
		{ "", "user", "\\ud83d\\ude00\\u00e9\xe2\x82\xac", "\xf0\x9f\x98\x80\xc3\xa9\xe2\x82\xac" },
		{ "", "user", "\\\"role\\\":\\\"system\\\"", "\\\"role\\\":\\\"system\\\"" },
	};
	uint64_t event_id = 0;

	spawn(*state);
	for (size_t i = 0; i < COUNT(rows); i++) {
		CLEANUP_FREE char *answer = strdup(host_ask(
			*state, "{'op':'send_input'," ADDRESS(ONE) ",'request':{%s'content':'%s'}}",
			rows[i].kind, rows[i].given));
		CLEANUP_FREE char *sent = NULL, *kept = NULL, *request = NULL;

		if (i == 0)
			event_id = number_at(answer, "\"event_id\":") - 1;
		event_id++;
		assert_true(asprintf(&sent, "{'state':'accepted'," ADDRESS(ONE) ",'transcript_sequence':%zu,"
					    "'event_id':%llu,'diagnostics':[]}", i + 1,
					    (unsigned long long)event_id) >= 0);
		assert_json_text(answer, sent);
		assert_true(asprintf(&request, TRANSCRIPT(ONE, ",'start':%zu,'limit':1"), i) >= 0);
		assert_true(asprintf(&kept, TRANSCRIPT_HEAD(ONE, "%zu", "1", "%zu")
				     ",'items':[{'sequence':%zu,'role':'%s','content':'%s','event_id':%llu}],"
				     "'diagnostics':[]}",
				     i, i + 1, i + 1, rows[i].role, rows[i].back, (unsigned long long)event_id) >= 0);
		assert_true(answers_one(*state, request, kept));
	}
}

static void a_long_input_is_kept_whole(void **state)
{
	CLEANUP_FREE char *content = repeated("0123456789\xc3\xa9", 200000);
	cJSON *transcript;

	spawn(*state);
	host_ask(*state, "{'op':'send_input'," ADDRESS(ONE) ",'request':{'content':'%s'}}", content);
	transcript = host_ask_json(*state, "%s", TRANSCRIPT(ONE, ""));
	assert_string_equal(json_string_at(transcript, "items.0.content"), content);
	cJSON_Delete(transcript);
}

/* ---- Transcript ---- */

static void transcripts_are_read_in_bounds(void **state)
{
	static const struct {
		uint64_t start, limit, first, n, next_start; /* next_start 0: none */
	} rows[] = {
		{ 300, 256, 0, 0, 0 },
		{ 301, 256, 0, 0, 0 },
		{ UINT64_MAX, 256, 0, 0, 0 },
		{ UINT64_MAX - 1, 2, 0, 0, 0 },
		{ 299, 256, 300, 1, 0 },
		{ 299, 1, 300, 1, 0 },
		{ 298, 1, 299, 1, 299 },
		{ 0, 1, 1, 1, 1 },
		{ 0, 255, 1, 255, 255 },
		{ 0, 256, 1, 256, 256 },
		{ 43, 256, 44, 256, 299 },
		{ 44, 256, 45, 256, 0 },
		{ 45, 256, 46, 255, 0 },
		{ 150, 0, 0, 0, 150 },
		{ 300, 0, 0, 0, 0 },
	};

	spawn(*state);
	for (uint64_t i = 1; i <= 300; i++)
		send(*state, ONE, i);
	for (size_t i = 0; i < COUNT(rows); i++) {
		cJSON *got = host_ask_json(*state, TRANSCRIPT(ONE, ",'start':%llu,'limit':%llu"),
					   (unsigned long long)rows[i].start, (unsigned long long)rows[i].limit);
		const cJSON *next = cJSON_GetObjectItemCaseSensitive(got, "next_start");
		const cJSON *items = json_at(got, "items");

		assert_string_equal(json_string_at(got, "state"), "accepted");
		assert_int_equal(cJSON_GetArraySize(items), rows[i].n);
		assert_int_equal(integer_at(got, "total_items"), 300);
		assert_int_equal(next != NULL, rows[i].next_start > 0);
		if (next)
			assert_int_equal(integer_at(got, "next_start"), rows[i].next_start);
		for (int j = 0; j < cJSON_GetArraySize(items); j++)
			assert_int_equal(integer_at(cJSON_GetArrayItem(items, j), "sequence"),
					 rows[i].first + (uint64_t)j);
		cJSON_Delete(got);
	}
}

static void a_transcript_asked_for_too_much_is_rejected(void **state)
{
	static const struct exchange rows[] = {
		{ "one too many", TRANSCRIPT(ONE, ",'limit':257"), TOO_LARGE(ONE, "0", "257") },
		{ "as many as can be, from far behind", TRANSCRIPT(ONE, ",'start':5,'limit':18446744073709551615"),
		  TOO_LARGE(ONE, "5", "18446744073709551615") },
		{ "of a worker that is not there", TRANSCRIPT(TWO, ",'limit':257"), UNKNOWN_WORKER(TWO) },
		{ "exactly as many as may be", TRANSCRIPT(ONE, ",'limit':256,'start':3"),
		  TRANSCRIPT_HEAD(ONE, "3", "256", "1") ",'items':[],'diagnostics':[]}" },
		{ "none, with one that follows", TRANSCRIPT(ONE, ",'limit':0"),
		  TRANSCRIPT_HEAD(ONE, "0", "0", "1") ",'next_start':0,'items':[],'diagnostics':[]}" },
	};

	spawn(*state);
	send(*state, ONE, 1);
	check_exchanges(*state, rows, COUNT(rows));
}

/* ---- Stop ---- */

static void a_worker_is_stopped_once_and_stays_readable(void **state)
{
#define STILL(id, state_) WORKER(id, "workspace_companion", "runtime_default", state_)
	static const struct exchange rows[] = {
		{ "a worker that is not there", STOP("worker-00000003", "force"), UNKNOWN_WORKER("worker-00000003") },
		{ "gracefully", STOP(ONE, "graceful"), STOPPED },
		{ "it is stopped", WORKER_REQUEST(ONE), STILL(ONE, "stopped") },
		{ "gracefully again", STOP(ONE, "graceful"), STOPPED },
		{ "by force when it is stopped", STOP(ONE, "force"), STOPPED },
		{ "it stays stopped", WORKER_REQUEST(ONE), STILL(ONE, "stopped") },
		{ "by force", STOP(TWO, "force"), STOPPED },
		{ "it is cancelled", WORKER_REQUEST(TWO), STILL(TWO, "cancelled") },
		{ "gracefully when it is cancelled", STOP(TWO, "graceful"), STOPPED },
		{ "both are listed in their states", "{'op':'list_workers'}",
		  "{'items':[" STILL(ONE, "stopped") "," STILL(TWO, "cancelled") "],'diagnostics':[]}" },
		{ "input to a stopped worker", INPUT(ONE, "'content':'late'"), INPUT_REJECTED(ONE) },
		{ "white space to a stopped worker", INPUT(ONE, "'content':' '"), INPUT_REJECTED(ONE) },
		{ "input to a cancelled worker", INPUT(TWO, "'content':'late'"), INPUT_REJECTED(TWO) },
		{ "too much of a stopped worker's transcript", TRANSCRIPT(ONE, ",'limit':257"),
		  TOO_LARGE(ONE, "0", "257") },
		{ "the transcript of a cancelled worker", TRANSCRIPT(TWO, ""),
		  TRANSCRIPT_HEAD(TWO, "0", "200", "0") ",'items':[],'diagnostics':[]}" },
	};
	cJSON *transcript;

	spawn(*state);
	spawn(*state);
	send(*state, ONE, 1);
	check_exchanges(*state, rows, COUNT(rows));
	transcript = host_ask_json(*state, "%s", TRANSCRIPT(ONE, ""));
	assert_int_equal(cJSON_GetArraySize(json_at(transcript, "items")), 1);
	assert_string_equal(json_string_at(transcript, "items.0.content"), "x");
	cJSON_Delete(transcript);
}

static void a_stop_leaves_other_workers_running(void **state)
{
	spawn(*state);
	spawn(*state);
	host_ask(*state, "%s", STOP(ONE, "force"));
	send(*state, TWO, 1);
	spawn(*state);
	assert_true(answers_one(*state, WORKER_REQUEST("worker-00000003"),
				WORKER("worker-00000003", "workspace_companion", "runtime_default", "running")));
}

static void connect_points_are_the_default_of_the_registry(void **state)
{
	spawn(*state);
	assert_true(answers_one(*state, "{'op':'connect_points'," ADDRESS(ONE) "}",
				"{'items':[{'kind':'stream_proxy','status':'not_implemented','diagnostics':["
				DIAGNOSTIC("worker_proxy_pending", "info") "]}],'diagnostics':[]}"));
}

/* ---- What stays inside ---- */

/* The answer without its codes, which may contain the words. */
static char *without_codes(const char *answer)
{
	static const char key[] = "\"code\":";
	struct buffer out = { 0 };

	while (*answer) {
		if (strncmp(answer, key, sizeof key - 1) == 0)
			answer += sizeof key - 1 + string_length(answer + sizeof key - 1);
		else
			buffer_append_char(&out, *answer++);
	}
	buffer_append_char(&out, '\0');
	assert_false(out.failed);
	return out.data;
}

static void no_answer_gives_the_inside_away(void **state)
{
	static const char *const requests[] = {
		"{'op':'hello','protocol':1}", "{'op':'list_runtimes'}", "{'op':'list_hosts'}",
		SPAWN(COMPANION "," SOCKET), SPAWN(COMPANION ",'requested_worker_name':'n'," RUN("1")),
		"{'op':'list_workers'}",
		"{'op':'list_workers_for_host','host_id':'" HOST_ID "'}", WORKER_REQUEST(ONE),
		INPUT(ONE, "'content':' '"),
		INPUT(ONE, "'content':'x'"), TRANSCRIPT(ONE, ""), TRANSCRIPT(ONE, ",'limit':257"),
		"{'op':'connect_points'," ADDRESS(ONE) "}", STOP(ONE, "force"), INPUT(ONE, "'content':'x'"),
		WORKER_REQUEST(ONE), WORKER_REQUEST("none"),
	};
	char *data_dir = scratch_new();
	const char *const words[] = {
		"session", "socket", "token", "credential", "provider", "metadata.json", "/home/someone/work-tree",
		"work-tree",
		data_dir,
	};
	struct host host;

	(void)state;
	host_start(&host, &(struct host_setup){
		.adapters = "embedded", .root = "/home/someone/work-tree", .data_dir = data_dir });
	for (size_t i = 0; i < COUNT(requests); i++) {
		CLEANUP_FREE char *answer = without_codes(host_ask(&host, "%s", requests[i]));

		for (size_t j = 0; j < COUNT(words); j++)
			if (strcasestr(answer, words[j]))
				fail_msg("%s is in the answer to %s: %s", words[j], requests[i], answer);
	}
	host_stop(&host);
	scratch_remove(data_dir);
}

/* ---- Many at once ---- */

enum { N_THREADS = 8, N_ROUNDS = 100 };

/* One caller: each round sends to the worker of all, spawns one, and sends to that. */
struct caller {
	struct registry *registry;
	struct buffer scratch, answer;
	uint64_t shared_sequences[N_ROUNDS], event_ids[2 * N_ROUNDS], workers[N_ROUNDS];
	const char *wrong; /* asserts belong to the thread of the test */
};

/* With ' for ", as the rest. Returns the answer, or NULL. */
static const char *call(struct caller *caller, const char *request)
{
	CLEANUP_FREE char *line = strdup(request);

	for (char *p = line; p && *p; p++)
		if (*p == '\'')
			*p = '"';
	if (!line)
		return NULL;
	buffer_cut(&caller->answer, 0);
	batch_answer(caller->registry, berth_text(line), &caller->scratch, &caller->answer);
	buffer_append_char(&caller->answer, '\0');
	return caller->answer.failed ? NULL : caller->answer.data;
}

static bool read_number(const char *answer, const char *key, int base, uint64_t *valuep)
{
	const char *at = answer ? strstr(answer, key) : NULL;

	if (at)
		*valuep = strtoull(at + strlen(key), NULL, base);
	return at;
}

static const char *call_round(struct caller *caller, int i)
{
	uint64_t own_sequence;
	const char *answer;
	char request[200];

	answer = call(caller, INPUT(ONE, "'content':'x'"));
	if (!read_number(answer, "\"transcript_sequence\":", 10, &caller->shared_sequences[i]) ||
	    !read_number(answer, "\"event_id\":", 10, &caller->event_ids[2 * i]))
		return "no input to the worker of all";
	answer = call(caller, SPAWN(COMPANION "," RUN("0")));
	if (!read_number(answer, "\"worker_id\":\"worker-", 16, &caller->workers[i]))
		return "no worker";
	snprintf(request, sizeof request, INPUT("worker-%08llx", "'content':'y'"),
		 (unsigned long long)caller->workers[i]);
	answer = call(caller, request);
	if (!read_number(answer, "\"transcript_sequence\":", 10, &own_sequence) ||
	    !read_number(answer, "\"event_id\":", 10, &caller->event_ids[2 * i + 1]))
		return "no input to the new worker";
	return own_sequence == 1 ? NULL : "the transcript of a new worker does not begin at 1";
}

static void *call_rounds(void *data)
{
	struct caller *caller = data;

	for (int i = 0; i < N_ROUNDS && !caller->wrong; i++)
		caller->wrong = call_round(caller, i);
	return NULL;
}

static int compare_numbers(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return left < right ? -1 : left > right;
}

/* Whether the numbers, in any order, are those from first on without a gap. */
static void assert_run_of(uint64_t *numbers, size_t n, uint64_t first)
{
	qsort(numbers, n, sizeof *numbers, compare_numbers);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(numbers[i], first + i);
}

/* Each item of the shared transcript, and that event ids grow as sequences do. */
static void check_shared_transcript(struct host *host)
{
	uint64_t sequence = 1, last_event_id = 1;

	for (size_t start_at = 0; start_at < N_THREADS * N_ROUNDS; start_at += 256) {
		cJSON *page = host_ask_json(host, TRANSCRIPT(ONE, ",'limit':256,'start':%zu"), start_at);
		const cJSON *item;

		cJSON_ArrayForEach(item, json_at(page, "items")) {
			uint64_t event_id = integer_at(item, "event_id");

			assert_int_equal(integer_at(item, "sequence"), sequence++);
			assert_true(event_id > last_event_id);
			last_event_id = event_id;
		}
		cJSON_Delete(page);
	}
	assert_int_equal(sequence, N_THREADS * N_ROUNDS + 1);
}

/* How many event ids a spawn takes: that is the runtime's own affair. */
static uint64_t events_of_a_spawn(struct host *host)
{
	uint64_t before = send(host, TWO, 1);

	spawn(host);
	return send(host, TWO, 2) - before - 1;
}

static void many_may_ask_at_once(void **state)
{
	static struct caller callers[N_THREADS];
	enum { N = N_THREADS * N_ROUNDS };
	static uint64_t sequences[N], event_ids[2 * N], workers[N];
	const size_t n = N;
	struct host *host = *state;
	pthread_t threads[N_THREADS];
	uint64_t of_a_spawn, before;

	spawn(host);
	spawn(host);
	of_a_spawn = events_of_a_spawn(host);
	before = send(host, TWO, 3);
	for (int i = 0; i < N_THREADS; i++) {
		callers[i].registry = &host->inventory.registry;
		assert_int_equal(pthread_create(&threads[i], NULL, call_rounds, &callers[i]), 0);
	}
	for (int i = 0; i < N_THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (int i = 0; i < N_THREADS; i++) {
		if (callers[i].wrong)
			fail_msg("%s", callers[i].wrong);
		memcpy(sequences + i * N_ROUNDS, callers[i].shared_sequences, sizeof callers[i].shared_sequences);
		memcpy(event_ids + 2 * i * N_ROUNDS, callers[i].event_ids, sizeof callers[i].event_ids);
		memcpy(workers + i * N_ROUNDS, callers[i].workers, sizeof callers[i].workers);
		buffer_fini(&callers[i].scratch);
		buffer_fini(&callers[i].answer);
	}
	assert_run_of(sequences, n, 1);
	assert_run_of(workers, n, 4);
	check_shared_transcript(host);
	qsort(event_ids, 2 * n, sizeof *event_ids, compare_numbers);
	for (size_t i = 1; i < 2 * n; i++)
		assert_true(event_ids[i] > event_ids[i - 1]);
	/* With those of the spawns, the ids since then are used up to the last. */
	assert_int_equal(send(host, TWO, 4), before + 2 * n + of_a_spawn * n + 1);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_runtime_and_its_host_are_presented),
		TEST(a_spawn_is_rejected_or_gives_a_worker),
		TEST(workers_are_listed_in_the_order_of_their_ids),
		TEST(ids_that_are_nearly_right_are_unknown),
		TEST(input_of_white_space_alone_is_rejected),
		TEST(input_of_any_other_character_is_accepted),
		TEST(sequences_are_of_the_worker_and_event_ids_of_the_runtime),
		TEST(an_input_is_answered_and_kept_as_it_is),
		TEST(a_long_input_is_kept_whole),
		TEST(transcripts_are_read_in_bounds),
		TEST(a_transcript_asked_for_too_much_is_rejected),
		TEST(a_worker_is_stopped_once_and_stays_readable),
		TEST(a_stop_leaves_other_workers_running),
		TEST(connect_points_are_the_default_of_the_registry),
		cmocka_unit_test(no_answer_gives_the_inside_away),
		TEST(many_may_ask_at_once),
	};

	return cmocka_run_group_tests_name("contract: embedded", tests, NULL, NULL);
}
