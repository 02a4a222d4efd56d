/* SPDX-License-Identifier: MIT */
/* The adapter process with programs that speak well, badly, and not at all; and what the
 * other runtimes of the host have to do with that: nothing. */
#include "config.h"

#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/meanwhile.h"

#define SPEAKER "'command':['" TESTS_SPEAKER "'%s]"
#define HERE "'host_id':'process-near-here-db50ad1e97867f15'"

/* ---- Hosts with a child ---- */

/* A host with the embedded runtime, and one called near whose child is a speaker. */
static void start(struct host *host, const char *arguments, const char *options)
{
	const struct host_setup setup = { .adapters = "" };

	host_prepare(host, &setup);
	host_add(host, "near", "{'adapter':'process','runtime_id':'near','options':{" SPEAKER "%s}}", arguments, options);
	host_add(host, "embedded", "{}");
	host_open(host, &setup);
}

static void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

/* Asks until the answer has the text in it; fails after so long that it cannot be chance. */
static void ask_until(struct host *host, const char *request, const char *text)
{
	const char *answer = "";

	for (int i = 0; i < 3000; i++) {
		answer = host_ask(host, "%s", request);
		if (strstr(answer, text))
			return;
		sleep_ms(10);
	}
	fail_msg("no %s in the answer to %s: %s", text, request, answer);
}

#define RUNTIMES "{'op':'list_runtimes'}"
#define HOSTS "{'op':'list_hosts'}"
#define WORKERS "{'op':'list_workers'}"
#define WHERE "'runtime_id':'near','worker_id':'w'"
#define LOOK_UP "{'op':'worker'," WHERE "}"
#define SPAWN                                                                                                  \
	"{'op':'spawn_worker','runtime_id':'near','request':{'intent':{'kind':'ticket_role','ticket_id':'T\\u00e9\\n\\'','role':'coder'}," \
	"'requested_worker_name':'x','acceptance':{'kind':'run_accepted','expected_segments':3},'request_id':'r'}}"
#define STOP "{'op':'stop_worker','runtime_id':'near','request':{'worker_id':'w','mode':'force'}}"
#define INPUT "{'op':'send_input'," WHERE ",'request':{'content':'Ahoy \\u0001 \\u20ac'}}"
#define TRANSCRIPT "{'op':'transcript'," WHERE ",'start':0,'limit':1}"
#define POINTS "{'op':'connect_points'," WHERE "}"
#define EVENTS(more) "{'op':'read_events','runtime_id':'near'" more "}"

/* ---- A program that speaks well ---- */

#define FAR_CAPABILITIES(list, max)                                                                            \
	"{'can_list_hosts':false,'can_list_workers':" list ",'can_get_worker':false,'can_spawn_worker':false," \
	"'can_stop_worker':false,'can_accept_input':false,'can_stream_events':" list ","                       \
	"'can_read_bounded_transcript':false,'has_workspace_fs':false,'has_shell':false,'has_git':false,"      \
	"'supports_worktrees':false,'supports_backend_internal_tools':false,"                                  \
	CAPABILITIES_END("not_applicable", "none", max)
#define FAR_WORKER                                                                                             \
	"{'runtime_id':'near','worker_id':'w'," HERE ",'label':'a \\'worker\\'','role':null,'profile':null,"   \
	"'workspace':{'visibility':'none','identity':'none'},'state':'running','status':'running',"            \
	"'last_seen_at':'2026-01-02T02:04:05.500+00:00','implementation':{'kind':'speaker','display_hint':'\u00e9\U0001f600'}," \
	"'capabilities':{'can_accept_input':false,'can_stream_events':false,'can_stop':true,"                  \
	"'can_spawn_followup':false,'can_read_bounded_transcript':false},'diagnostics':[]}"

static void a_program_is_presented_as_it_presents_itself(void **state)
{
	static const struct exchange rows[] = {
		{ "the runtime", "{'op':'list_runtimes','limit':7}",
		  "{'items':[{'runtime_id':'near','label':'Far','kind':'speaker','status':'running','source':{'kind':'speaker',"
		  "'status':'active','identity_authority':'runtime_registry_projection','note':'...'},"
		  "'host_ids':['process-near-here-db50ad1e97867f15'],'capabilities':" FAR_CAPABILITIES("true", "7")
		  ",'diagnostics':[]}],'diagnostics':[]}" },
		{ "its host, by an id of its own, and what is said of the list", HOSTS,
		  "{'items':[{'runtime_id':'near'," HERE ",'label':'Here','kind':'speaker','status':'available',"
		  "'observed_at':'...','last_seen_at':null,'capabilities':" FAR_CAPABILITIES("false", "200")
		  ",'diagnostics':[]}],'diagnostics':[" DIAGNOSTIC("said", "warning") "]}" },
		{ "its worker, by the id that it has there", WORKERS, "{'items':[" FAR_WORKER "],'diagnostics':[]}" },
		{ "the workers of its host", "{'op':'list_workers_for_host'," HERE "}",
		  "{'items':[" FAR_WORKER "],'diagnostics':[" DIAGNOSTIC("said", "warning") "]}" },
		{ "the same worker, looked up", LOOK_UP, FAR_WORKER },
		{ "no worker", "{'op':'worker','runtime_id':'near','worker_id':'x'}",
		  "{'error':{'kind':'unknown_worker','runtime_id':'near','worker_id':'x'}}" },
		{ "a spawn", SPAWN, "{'state':'accepted','worker':" FAR_WORKER ",'acceptance_evidence':"
				    "[{'kind':'made','detail':'...'}],'diagnostics':[]}" },
		{ "a stop", STOP, "{'state':'accepted','diagnostics':[]}" },
		{ "a stop of nobody", "{'op':'stop_worker','runtime_id':'near','request':{'worker_id':'w','mode':'graceful'}}",
		  "{'state':'accepted','diagnostics':[]}" },
		{ "an input", INPUT, "{'state':'accepted'," WHERE ",'transcript_sequence':1,'event_id':2,'diagnostics':[]}" },
		{ "an input to nobody", "{'op':'send_input','runtime_id':'near','worker_id':'x','request':{'content':'y'}}",
		  "{'error':{'kind':'unknown_worker','runtime_id':'near','worker_id':'x'}}" },
		{ "a transcript", TRANSCRIPT,
		  "{'state':'accepted'," WHERE ",'start':0,'limit':1,'total_items':2,'next_start':1,"
		  "'items':[{'sequence':1,'role':'user','content':'Ahoy','event_id':1}],'diagnostics':[]}" },
		{ "connect points", POINTS, "{'items':[{'kind':'door','status':'open','diagnostics':[]}],'diagnostics':[]}" },
		{ "events, from the first on", EVENTS(",'limit':1"),
		  "{'state':'accepted','runtime_id':'near','limit':1,'next_cursor':'1\\\\\\'','more':true,'items':[{'event_id':1,"
		  "'kind':'runtime_started','occurred_at':null,'worker_id':null,'transcript_sequence':null,"
		  "'cursor':'1\\\\\\''}],'diagnostics':[]}" },
		{ "events behind one, whose cursor comes back as it went", EVENTS(",'limit':1,'cursor':'1\\\\\\''"),
		  "{'state':'accepted','runtime_id':'near','limit':1,'next_cursor':'2\\\\\\'','more':false,'items':[{'event_id':4,"
		  "'kind':'input_accepted','occurred_at':'2026-01-02T03:04:05+00:00','worker_id':'w','transcript_sequence':1,"
		  "'cursor':'2\\\\\\''}],'diagnostics':[]}" },
		{ "events behind the last", EVENTS(",'limit':9,'cursor':'2\\\\\\''"),
		  "{'state':'accepted','runtime_id':'near','limit':9,'next_cursor':'2\\\\\\'','more':false,'items':[],"
		  "'diagnostics':[]}" },
		{ "events behind a cursor that was made up", EVENTS(",'limit':1,'cursor':'\u00e9\\u0001'"),
		  "{'state':'rejected','runtime_id':'near','limit':1,'more':false,'items':[],'diagnostics':["
		  DIAGNOSTIC("no_cursor", "warning") "]}" },
	};
	const struct host_setup setup = { .adapters = "" };
	struct host host;

	(void)state;
	host_prepare(&host, &setup);
	host_add(&host, "near", "{'adapter':'process','runtime_id':'near','options':{" SPEAKER "}}", "");
	host_open(&host, &setup);
	check_exchanges(&host, rows, COUNT(rows));
	host_stop(&host);
}

static void one_of_several_runtimes_is_named(void **state)
{
	struct host host;

	(void)state;
	start(&host, ",'hello','several'", "");
	ask_until(&host, RUNTIMES, "\"code\":\"adapter_broken\"");
	assert_non_null(strstr(host.answer.data, "the option runtime is to name one"));
	host_stop(&host);
	start(&host, ",'hello','several'", ",'runtime':'far'");
	ask_until(&host, RUNTIMES, "\"label\":\"Far\"");
	host_stop(&host);
	start(&host, "", ",'runtime':'nowhere'");
	ask_until(&host, RUNTIMES, "no runtime of the name");
	host_stop(&host);
}

/* ---- Programs that do not ---- */

static const struct {
	const char *op, *request;
	const char *unanswered; /* how an answer begins that the program did not give */
	bool changes;
} operations[] = {
	{ "list_runtimes", RUNTIMES, "{\"items\":[{\"runtime_id\":\"near\",\"label\":\"speaker\",\"kind\":\"process\","
	  "\"status\":\"unavailable\"", false },
	{ "list_hosts", HOSTS, "{\"items\":[{\"runtime_id\":\"embedded-worker-runtime\"", false },
	{ "list_workers", WORKERS, "{\"items\":[{\"runtime_id\":\"embedded-worker-runtime\"", false },
	{ "worker", LOOK_UP, "{\"error\":{\"kind\":\"unknown_worker\"", false },
	{ "spawn_worker", SPAWN, "{\"state\":\"rejected\",\"acceptance_evidence\":[]", true },
	{ "stop_worker", STOP, "{\"state\":\"rejected\"", true },
	{ "send_input", INPUT, "{\"state\":\"rejected\"", true },
	{ "transcript", TRANSCRIPT, "{\"state\":\"rejected\"", false },
	{ "connect_points", POINTS, "{\"items\":[]", false },
	{ "read_events", EVENTS(""), "{\"state\":\"rejected\"", false },
};

static const struct {
	const char *how, *code, *says;
	bool ends; /* the child is started again after it */
} manners[] = {
	{ "segv", "adapter_crashed", "killed by SIGSEGV", true },
	{ "abort", "adapter_crashed", "killed by SIGABRT", true },
	{ "kill", "adapter_crashed", "killed by SIGKILL", true },
	{ "exit", "adapter_crashed", "ended with status 3", true },
	{ "linger", "adapter_crashed", "ended with status 4", true },
	{ "cut", "adapter_crashed", "ended with status 0", true },
	{ "close", "adapter_crashed", "closed its output", true },
	{ "hang", "adapter_timeout", "did not answer within 400 ms", false },
	{ "garbage", "adapter_broken", "something else than an object with an id", true },
	{ "no-id", "adapter_broken", "something else than an object with an id", true },
	{ "two-ids", "adapter_broken", "something else than an object with an id", true },
	{ "wrong-id", "adapter_broken", "an id that was not asked", true },
	{ "endless", "adapter_broken", "a line of more than", true },
	{ "deep", "adapter_failed", "", false },
};

static void check_unruly(struct meanwhile *meanwhile, size_t o, size_t m)
{
	char arguments[64], code[64];
	const char *answer;
	struct host host;

	print_message("%s: %s\n", operations[o].op, manners[m].how);
	snprintf(arguments, sizeof arguments, ",'%s','%s'", operations[o].op, manners[m].how);
	start(&host, arguments, strcmp(manners[m].how, "hang") == 0 ? ",'call_timeout_ms':400,'stop_timeout_ms':200" :
								      ",'call_timeout_ms':60000");
	meanwhile_start(meanwhile, &host);
	answer = host_ask(&host, "%s", operations[o].request);
	if (strcmp(manners[m].code, "adapter_failed") != 0 && strncmp(answer, operations[o].unanswered, strlen(operations[o].unanswered)) != 0)
		fail_msg("the answer is %s", answer);
	snprintf(code, sizeof code, "\"code\":\"%s\"", manners[m].code);
	if (strcmp(operations[o].op, "worker") != 0 && strcmp(manners[m].how, "deep") != 0 &&
	    (!strstr(answer, code) || !strstr(answer, manners[m].says)))
		fail_msg("no %s that %s in %s", code, manners[m].says, answer);
	/* Nothing that it said is in an answer. */
	assert_null(strstr(answer, "Welcome"));
	assert_int_equal(strstr(answer, "not known, and it is not sent again") != NULL,
			 operations[o].changes && strcmp(manners[m].how, "deep") != 0);
	/* It serves again, unless it hangs. */
	if (manners[m].ends)
		ask_until(&host, o == 2 ? RUNTIMES : WORKERS, o == 2 ? "\"label\":\"Far\"" : "\"worker_id\":\"w\"");
	meanwhile_stop(meanwhile);
	host_stop(&host);
}

static void whatever_a_child_does_the_others_are_served(void **state)
{
	struct meanwhile meanwhile;

	(void)state;
	meanwhile_init(&meanwhile);
	for (size_t o = 0; o < COUNT(operations); o++)
		for (size_t m = 0; m < COUNT(manners); m++)
			if ((strcmp(manners[m].how, "endless") != 0 && strcmp(manners[m].how, "two-ids") != 0) || o == 2)
				check_unruly(&meanwhile, o, m);
	meanwhile_print(&meanwhile);
}

static void a_child_that_floods_slows_nobody(void **state)
{
	struct meanwhile meanwhile;
	struct host host;

	(void)state;
	meanwhile_init(&meanwhile);
	start(&host, ",'list_workers','flood'", ",'call_timeout_ms':60000");
	meanwhile_start(&meanwhile, &host);
	for (int i = 0; i < 10; i++)
		assert_non_null(strstr(host_ask(&host, "%s", WORKERS), "\"worker_id\":\"w\""));
	meanwhile_stop(&meanwhile);
	host_stop(&host);
	meanwhile_print(&meanwhile);
}

static void what_a_child_does_at_hello_is_told_of_the_runtime(void **state)
{
	static const struct {
		const char *how, *code, *says;
	} rows[] = {
		{ "segv", "adapter_crashed", "killed by SIGSEGV" },
		{ "exit", "adapter_crashed", "ended with status 3" },
		{ "close", "adapter_crashed", "closed its output" },
		{ "garbage", "adapter_broken", "something else than protocol 1" },
		{ "spaced", "adapter_broken", "something else than protocol 1" },
		{ "early", "adapter_broken", "an id that was not asked" },
		{ "hang", "adapter_timeout", "did not answer within 300 ms of its start" },
	};
	char arguments[64], code[64];
	struct host host;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		snprintf(arguments, sizeof arguments, ",'hello','%s'", rows[i].how);
		start(&host, arguments, ",'start_timeout_ms':300,'stop_timeout_ms':200");
		host_ask(&host, RUNTIMES);
		snprintf(code, sizeof code, "\"code\":\"%s\"", rows[i].code);
		if (!strstr(host.answer.data, code) || !strstr(host.answer.data, rows[i].says))
			fail_msg("%s: no %s that %s in %s", rows[i].how, code, rows[i].says, host.answer.data);
		assert_non_null(strstr(host.answer.data, "embedded-worker-runtime"));
		host_stop(&host);
	}
}

static void what_cannot_be_used_fails_the_call_alone(void **state)
{
	static const struct {
		const char *op, *how, *request;
	} rows[] = {
		{ "list_workers", "shape", WORKERS },
		{ "list_workers", "deep", WORKERS },
		{ "spawn_worker", "shape", SPAWN },
		{ "spawn_worker", "state", SPAWN },
		{ "transcript", "state", TRANSCRIPT },
		{ "read_events", "state", EVENTS("") },
		{ "read_events", "shape", EVENTS("") },
	};
	char arguments[64];
	struct host host;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		snprintf(arguments, sizeof arguments, ",'%s','%s'", rows[i].op, rows[i].how);
		start(&host, arguments, "");
		host_ask(&host, "%s", rows[i].request);
		if (!strstr(host.answer.data, "\"code\":\"adapter_failed\""))
			fail_msg("%s %s: %s", rows[i].op, rows[i].how, host.answer.data);
		/* It lives on, and is asked the next thing. */
		host_ask(&host, RUNTIMES);
		assert_non_null(strstr(host.answer.data, "\"label\":\"Far\""));
		host_stop(&host);
	}
}

/* Of a program that does not know an operation: what berth answers for it, and what it
 * answers where the program has declared the operation. */
static void what_a_program_leaves_out_is_answered_for_it(void **state)
{
	static const struct {
		const char *op, *request, *answer;
		bool declarable;
	} rows[] = {
		{ "list_hosts", HOSTS, "{\"items\":[{\"runtime_id\":\"embedded-worker-runtime\"", true },
		{ "list_workers", WORKERS, "{\"items\":[],\"diagnostics\":[]}", true },
		{ "worker", LOOK_UP, "{\"runtime_id\":\"near\",\"worker_id\":\"w\"", true },
		{ "spawn_worker", SPAWN, "worker_spawn_resolver_pending", true },
		{ "stop_worker", STOP, "worker_stop_pending", true },
		{ "send_input", INPUT, "worker_input_pending", true },
		{ "transcript", TRANSCRIPT, "worker_transcript_pending", true },
		{ "read_events", EVENTS(""), "runtime_events_pending", true },
		{ "connect_points", POINTS, "worker_proxy_pending", false },
	};
	char arguments[80];
	struct host host;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		for (int declared = 0; declared < 2; declared++) {
			snprintf(arguments, sizeof arguments, ",'%s','lacks','hello','%s'", rows[i].op,
				 declared ? "capable" : "plain");
			start(&host, arguments, "");
			host_ask(&host, "%s", rows[i].request);
			if (!declared || !rows[i].declarable ?
				    !strstr(host.answer.data, rows[i].answer) || strstr(host.answer.data, "adapter_failed") :
				    !strstr(host.answer.data, i == 2 ? "unknown_worker" : "adapter_failed"))
				fail_msg("%s, %s: %s", rows[i].op, declared ? "declared" : "left out", host.answer.data);
			host_stop(&host);
		}
}

static void more_than_was_asked_is_left_out(void **state)
{
	struct host host;
	cJSON *answer;

	(void)state;
	start(&host, ",'list_workers','many'", "");
	answer = host_ask_json(&host, "{'op':'list_workers','limit':3}");
	assert_int_equal(cJSON_GetArraySize(json_at(answer, "items")), 3);
	cJSON_Delete(answer);
	answer = host_ask_json(&host, "{'op':'list_workers','limit':10000}");
	assert_int_equal(cJSON_GetArraySize(json_at(answer, "items")), 5000);
	cJSON_Delete(answer);
	host_stop(&host);
}

/* All of them hang, and are waited for together: it is the last one that says so, too, and
 * the one that answers is in its place between them. */
static void those_that_hang_are_waited_for_together(void **state)
{
	static const char *const lists[][2] = {
		{ "list_workers", WORKERS }, { "list_hosts", HOSTS }, { "list_runtimes", RUNTIMES },
	};
	const struct host_setup setup = { .adapters = "" };
	enum { N = 8 };

	(void)state;
	for (size_t l = 0; l < COUNT(lists); l++) {
		struct host host;
		double begin;
		cJSON *answer;

		host_prepare(&host, &setup);
		for (int i = 0; i <= N; i++)
			host_add(&host, "near", "{'adapter':'process','runtime_id':'near-%d','options':{'command':['" TESTS_SPEAKER
				 "','%s','hang'],'call_timeout_ms':500,'stop_timeout_ms':50}}", i,
				 i == N / 2 ? "nothing" : lists[l][0]);
		host_open(&host, &setup);
		begin = meanwhile_now_us();
		answer = host_ask_json(&host, "%s", lists[l][1]);
		print_message("%d that hang, each 500 ms: %.0f ms\n", N, (meanwhile_now_us() - begin) / 1000);
		assert_int_equal(cJSON_GetArraySize(json_at(answer, "diagnostics")), l == 1 ? N + 1 : N);
		assert_int_equal(cJSON_GetArraySize(json_at(answer, "items")), l == 2 ? N + 1 : 1);
		assert_string_equal(json_string_at(answer, l == 2 ? "items.4.runtime_id" : "items.0.runtime_id"), "near-4");
		cJSON_Delete(answer);
		host_stop(&host);
	}
}

/* The limit is that of the whole list, in order, as if each were asked in its turn. */
static void lists_of_several_are_cut_as_if_asked_in_turn(void **state)
{
	const struct host_setup setup = { .adapters = "" };
	static const char *const hows[] = { "nothing", "many", "nothing", "many" };
	struct host host;
	cJSON *answer;

	(void)state;
	host_prepare(&host, &setup);
	for (int i = 0; i < 4; i++)
		host_add(&host, "near", "{'adapter':'process','runtime_id':'near-%d','options':{'command':['" TESTS_SPEAKER
			 "','list_workers','%s']}}", i, hows[i]);
	host_open(&host, &setup);
	for (int limit = 0; limit < 5; limit++) {
		answer = host_ask_json(&host, "{'op':'list_workers','limit':%d}", limit);
		assert_int_equal(cJSON_GetArraySize(json_at(answer, "items")), limit);
		for (int i = 0; i < limit; i++) {
			char path[32], runtime[32];

			snprintf(path, sizeof path, "items.%d.runtime_id", i);
			snprintf(runtime, sizeof runtime, "near-%d", i > 0);
			assert_string_equal(json_string_at(answer, path), runtime);
		}
		cJSON_Delete(answer);
	}
	answer = host_ask_json(&host, "{'op':'list_workers','limit':5003}");
	assert_int_equal(cJSON_GetArraySize(json_at(answer, "items")), 5003);
	assert_string_equal(json_string_at(answer, "items.5001.runtime_id"), "near-2");
	assert_string_equal(json_string_at(answer, "items.5002.runtime_id"), "near-3");
	cJSON_Delete(answer);
	host_stop(&host);
}

/* ---- Late and out of order ---- */

static void a_late_answer_is_nobodys(void **state)
{
	struct host host;

	(void)state;
	start(&host, ",'list_workers','late'", ",'call_timeout_ms':50");
	host_ask(&host, WORKERS);
	assert_non_null(strstr(host.answer.data, "\"code\":\"adapter_timeout\""));
	assert_non_null(strstr(host.answer.data, "did not answer within 50 ms"));
	/* While it is silent nothing is sent, and nobody waits. */
	host_ask(&host, SPAWN);
	if (strstr(host.answer.data, "\"code\":\"adapter_timeout\""))
		assert_non_null(strstr(host.answer.data, "the request was not sent"));
	/* What comes then is dropped, and it is asked again. */
	ask_until(&host, RUNTIMES, "\"label\":\"Far\"");
	host_stop(&host);
}

struct caller {
	pthread_t thread;
	struct host *host;
	struct buffer answer;
};

static void *call(void *data)
{
	struct caller *caller = data;
	struct buffer scratch = { 0 };

	batch_answer(&caller->host->inventory.registry, berth_text("{\"op\":\"list_workers\",\"limit\":1}"), &scratch,
		     &caller->answer);
	buffer_append_char(&caller->answer, '\0');
	buffer_fini(&scratch);
	return NULL;
}

static void answers_may_come_in_any_order(void **state)
{
	struct caller callers[3] = { { .host = NULL } };
	struct host host;

	(void)state;
	start(&host, ",'list_workers','hold'", "");
	for (size_t i = 0; i < COUNT(callers); i++) {
		callers[i].host = &host;
		assert_int_equal(pthread_create(&callers[i].thread, NULL, call, &callers[i]), 0);
	}
	for (size_t i = 0; i < COUNT(callers); i++) {
		pthread_join(callers[i].thread, NULL);
		assert_non_null(strstr(callers[i].answer.data, "\"worker_id\":\"w\""));
		buffer_fini(&callers[i].answer);
	}
	host_stop(&host);
}

static void an_answer_given_twice_ends_the_child(void **state)
{
	struct host host;

	(void)state;
	start(&host, ",'list_workers','twice'", "");
	host_ask(&host, WORKERS);
	assert_non_null(strstr(host.answer.data, "\"worker_id\":\"w\""));
	ask_until(&host, RUNTIMES, "an id that was not asked");
	ask_until(&host, RUNTIMES, "\"label\":\"Far\"");
	host_stop(&host);
}

static void a_child_that_does_not_read_is_ended(void **state)
{
	CLEANUP_FREE char *large = repeated("0123456789abcdef", 65536);
	struct host host;

	(void)state;
	start(&host, ",'list_runtimes','hang'", ",'call_timeout_ms':200,'stop_timeout_ms':100");
	host_ask(&host, RUNTIMES);
	assert_non_null(strstr(host.answer.data, "adapter_timeout"));
	host_stop(&host);
	start(&host, ",'list_runtimes','deaf'", ",'call_timeout_ms':20000");
	/* It answers, its input closed by then. */
	host_ask(&host, RUNTIMES);
	host_ask(&host, "{'op':'send_input'," WHERE ",'request':{'content':'%s'}}", large);
	assert_non_null(strstr(host.answer.data, "\"code\":\"adapter_crashed\""));
	assert_non_null(strstr(host.answer.data, "closed its input"));
	host_stop(&host);
}

/* ---- Starting again ---- */

static size_t file_size(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (size_t)st.st_size : 0;
}

static void a_request_is_never_sent_twice(void **state)
{
	CLEANUP_FREE char *options = NULL, *starts = NULL;
	char *dir = scratch_new();
	struct host host;

	(void)state;
	assert_true(asprintf(&starts, "%s/starts", dir) >= 0);
	assert_true(asprintf(&options, ",'environment':{'UNRULY_STARTS':'%s'}", starts) >= 0);
	start(&host, ",'spawn_worker','segv'", options);
	host_ask(&host, SPAWN);
	assert_non_null(strstr(host.answer.data, "killed by SIGSEGV"));
	ask_until(&host, RUNTIMES, "\"label\":\"Far\"");
	/* The second one would have died of it as well. */
	assert_int_equal(file_size(starts), 2);
	host_stop(&host);
	scratch_remove(dir);
}

static void copy_program(const char *from, const char *to)
{
	CLEANUP_FREE char *command = NULL;

	assert_true(asprintf(&command, "cp '%s' '%s.new' && mv '%s.new' '%s'", from, to, to, to) >= 0);
	assert_int_equal(system(command), 0);
}

static void start_in_quarantine(struct host *host, const char *program, const char *starts)
{
	const struct host_setup setup = { .adapters = "" };

	host_prepare(host, &setup);
	host_add(host, "near", "{'adapter':'process','runtime_id':'near','options':{'command':['%s','hello','exit'],"
			       "'deaths':3,'environment':{'UNRULY_STARTS':'%s'}}}", program, starts);
	host_add(host, "embedded", "{}");
	host_open(host, &setup);
}

static void a_child_that_keeps_dying_is_quarantined(void **state)
{
	CLEANUP_FREE char *program = NULL, *starts = NULL;
	char *dir = scratch_new();
	struct host host;

	(void)state;
	assert_true(asprintf(&starts, "%s/starts", dir) >= 0 && asprintf(&program, "%s/speaker", dir) >= 0);
	copy_program(TESTS_SPEAKER, program);
	start_in_quarantine(&host, program, starts);
	ask_until(&host, RUNTIMES, "\"code\":\"adapter_quarantined\"");
	assert_non_null(strstr(host.answer.data, "ended with status 3; it ended 3 times and is in quarantine since 2"));
	assert_int_equal(file_size(starts), 3);
	host_stop(&host);
	/* To load the configuration again does not lift it. */
	start_in_quarantine(&host, program, starts);
	host_ask(&host, RUNTIMES);
	assert_non_null(strstr(host.answer.data, "\"code\":\"adapter_quarantined\""));
	assert_int_equal(file_size(starts), 3);
	/* Another file does. */
	copy_program(TESTS_SPEAKER, program);
	for (int i = 0; i < 3000 && file_size(starts) == 3; i++)
		sleep_ms(10);
	assert_true(file_size(starts) > 3);
	host_stop(&host);
	scratch_remove(dir);
}

/* ---- What is left behind ---- */

/* Whether a process is there and no zombie. */
static bool is_alive(int pid)
{
	char path[64], state = 'Z';
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	file = fopen(path, "r");
	if (!file)
		return false;
	if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = 'Z';
	fclose(file);
	return state != 'Z' && state != 'X';
}

static void what_lingers_ends_with_the_child(void **state)
{
	CLEANUP_FREE char *options = NULL, *path = NULL;
	char *dir = scratch_new();
	struct host host;
	FILE *file;
	int pid = 0;

	(void)state;
	assert_true(asprintf(&path, "%s/pid", dir) >= 0);
	assert_true(asprintf(&options, ",'environment':{'UNRULY_FILE':'%s'}", path) >= 0);
	start(&host, ",'list_workers','linger'", options);
	host_ask(&host, WORKERS);
	assert_non_null(strstr(host.answer.data, "ended with status 4"));
	file = fopen(path, "r");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%d", &pid), 1);
	fclose(file);
	for (int i = 0; i < 3000 && is_alive(pid); i++)
		sleep_ms(10);
	assert_false(is_alive(pid));
	host_stop(&host);
	scratch_remove(dir);
}

/* Asks with standard error in a file, and returns what was written there. */
static char *ask_with_log(const char *arguments, const char *options, const char *request)
{
	int saved = dup(STDERR_FILENO);
	FILE *file = tmpfile();
	struct host host;
	char *text;
	long len;

	assert_non_null(file);
	fflush(stderr);
	dup2(fileno(file), STDERR_FILENO);
	start(&host, arguments, options);
	host_ask(&host, "%s", request);
	host_stop(&host);
	dup2(saved, STDERR_FILENO);
	close(saved);
	fseek(file, 0, SEEK_END);
	len = ftell(file);
	rewind(file);
	text = calloc(1, (size_t)len + 1);
	assert_non_null(text);
	assert_int_equal(fread(text, 1, (size_t)len, file), len);
	fclose(file);
	return text;
}

static void a_flood_is_counted_and_not_logged(void **state)
{
	CLEANUP_FREE char *log = ask_with_log(",'list_workers','flood'", ",'call_timeout_ms':20000", WORKERS);
	size_t n = 0;

	(void)state;
	for (const char *p = log; (p = strstr(p, "near: a line of a flood")); p++)
		n++;
	assert_true(n >= 50 && n < 1000);
	assert_non_null(strstr(log, "more lines are left out"));
}

static void the_first_bytes_of_garbage_are_in_the_log(void **state)
{
	CLEANUP_FREE char *log = ask_with_log(",'hello','garbage'", "", RUNTIMES);

	(void)state;
	assert_non_null(strstr(log, "near: the process answered hello with something else than protocol 1"));
	assert_non_null(strstr(log, "it begins with \"Welcome to this machine?[31m\""));
}

/* ---- What is configured ---- */

static void what_cannot_be_started_does_not_open(void **state)
{
	static const struct {
		const char *options, *says;
	} rows[] = {
		{ "", "option command" },
		{ "'command':[]", "option command" },
		{ "'command':['']", "option command" },
		{ "'command':'sh'", "a list of strings is expected" },
		{ "'command':['sh',1]", "a list of strings is expected" },
		{ "'command':['./sh']", "an absolute path" },
		{ "'command':['/nowhere/at-all']", "no program that can be run" },
		{ "'command':['no-such-program-anywhere']", "in no directory of PATH" },
		{ "'command':['sh'],'user':'no-such-user'", "no such user" },
		{ "'command':['sh'],'call_timeout_ms':0", "option *_timeout_ms" },
		{ "'command':['sh'],'runtime':'a b'", "an identifier is expected" },
		{ "'command':['sh'],'environment':['A=B']", "an object of strings" },
		{ "'command':['sh'],'environment':{'A':1}", "an object of strings" },
		{ "'command':['sh'],'isolated':'x'", "none is expected of what is isolated" },
		{ "'isolated':'x'", "for the key isolate alone" },
	};
	const struct host_setup setup = { .adapters = "" };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct failures *failures;
		struct host host;

		host_prepare(&host, &setup);
		host_add(&host, "near", "{'adapter':'process','options':{%s}}", rows[i].options);
		host_open(&host, &setup);
		failures = &host.inventory.entries[0].dropin.failures;
		if (failures->n != 1)
			fail_msg("%s: it opened", rows[i].options);
		if (!strstr(failures->list[0].found.text, rows[i].says))
			fail_msg("%s: %s", rows[i].options, failures->list[0].found.text);
		host_stop(&host);
	}
}

/* One that can be found, but does not become the child. */
static void what_fails_between_fork_and_exec_is_named(void **state)
{
	static const struct {
		const char *content, *directory, *says;
	} rows[] = {
		{ "no program", ".", "could not be started: command: Exec format error" },
		{ "#!/nowhere/sh", ".", "could not be started: command: No such file or directory" },
		{ "#!/bin/sh", "nowhere", "could not be started: directory: No such file or directory" },
	};
	const struct host_setup setup = { .adapters = "" };
	char *dir = scratch_new(), path[256];

	(void)state;
	snprintf(path, sizeof path, "%s/program", dir);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct host host;

		scratch_write(dir, "program", rows[i].content, strlen(rows[i].content));
		assert_int_equal(chmod(path, 0755), 0);
		host_prepare(&host, &setup);
		host_add(&host, "near", "{'adapter':'process','runtime_id':'near','options':{'command':['%s'],'directory':'%s/%s'}}", path,
			 dir, rows[i].directory);
		host_open(&host, &setup);
		ask_until(&host, RUNTIMES, rows[i].says);
		assert_non_null(strstr(host.answer.data, "\"code\":\"adapter_crashed\""));
		host_stop(&host);
	}
	scratch_remove(dir);
}

/* The first line of a file that is not there yet. */
static void await_line(const char *path, char *line, int size)
{
	FILE *file = NULL;

	for (int i = 0; i < 3000 && !(file = fopen(path, "r")); i++)
		sleep_ms(10);
	assert_non_null(file);
	assert_non_null(fgets(line, size, file));
	fclose(file);
}

/* Only root can give it another one. */
static void a_program_runs_as_its_user_in_its_directory(void **state)
{
	const struct host_setup setup = { .adapters = "" };
	const struct passwd *nobody = geteuid() == 0 ? getpwnam("nobody") : NULL;
	char *dir = scratch_new(), path[256], line[1024], expected[512];
	struct host host;

	(void)state;
	assert_int_equal(chmod(dir, 0777), 0);
	host_prepare(&host, &setup);
	host_add(&host, "near", "{'adapter':'process','options':{'command':['sh','-c','echo $(pwd) $(id -u) $(id -g) , $(id -G) , >new; "
				"mv new told'],'directory':'%s'%s}}", dir, nobody ? ",'user':'nobody'" : "");
	host_open(&host, &setup);
	snprintf(path, sizeof path, "%s/told", dir);
	await_line(path, line, sizeof line);
	snprintf(expected, sizeof expected, "%s %u %u ,", dir, nobody ? nobody->pw_uid : geteuid(), nobody ? nobody->pw_gid : getegid());
	if (strncmp(line, expected, strlen(expected)) != 0)
		fail_msg("%s instead of %s", line, expected);
	/* Nor has it the groups of root. */
	if (nobody && strstr(line + strlen(expected), " 0 "))
		fail_msg("it has groups of root: %s", line);
	host_stop(&host);
	scratch_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_program_is_presented_as_it_presents_itself),
		cmocka_unit_test(one_of_several_runtimes_is_named),
		cmocka_unit_test(what_a_child_does_at_hello_is_told_of_the_runtime),
		cmocka_unit_test(whatever_a_child_does_the_others_are_served),
		cmocka_unit_test(a_child_that_floods_slows_nobody),
		cmocka_unit_test(what_cannot_be_used_fails_the_call_alone),
		cmocka_unit_test(what_a_program_leaves_out_is_answered_for_it),
		cmocka_unit_test(more_than_was_asked_is_left_out),
		cmocka_unit_test(those_that_hang_are_waited_for_together),
		cmocka_unit_test(lists_of_several_are_cut_as_if_asked_in_turn),
		cmocka_unit_test(a_late_answer_is_nobodys),
		cmocka_unit_test(answers_may_come_in_any_order),
		cmocka_unit_test(an_answer_given_twice_ends_the_child),
		cmocka_unit_test(a_child_that_does_not_read_is_ended),
		cmocka_unit_test(a_request_is_never_sent_twice),
		cmocka_unit_test(a_child_that_keeps_dying_is_quarantined),
		cmocka_unit_test(what_lingers_ends_with_the_child),
		cmocka_unit_test(a_flood_is_counted_and_not_logged),
		cmocka_unit_test(the_first_bytes_of_garbage_are_in_the_log),
		cmocka_unit_test(what_cannot_be_started_does_not_open),
		cmocka_unit_test(what_fails_between_fork_and_exec_is_named),
		cmocka_unit_test(a_program_runs_as_its_user_in_its_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
