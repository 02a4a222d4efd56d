/* SPDX-License-Identifier: MIT */
/*
 * The promise, kept: plugins as they were built for each minor that was released are
 * driven by the host of today, and answer as they did then. The same sources built today
 * answer the same, so that an author may build again whenever he likes. And plugins of
 * minors to come are driven where they can be, and refused where they cannot.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "tests/contract.h"

/* Where the plugins of 1.0 are. */
static const struct build {
	const char *dir;
	bool released; /* a binary for x86_64 */
} builds[] = {
	{ TESTS_ABI_DIR "/1.0", true },
	{ TESTS_REBUILT_DIR "/1.0", false },
};

static const struct build fixtures = { TESTS_FIXTURE_DIR, false };

/* ---- Starting ---- */

/* Options of the instance as in a drop-in, with ' in the place of "; ends with a NULL. */
struct option {
	const char *key, *value;
};

static void start(struct host *host, const struct build *build, const char *id, const char *data_dir,
		  const struct option *options)
{
	struct workspace workspace = {
		.id = BERTH_TEXT("local:test"),
		.root = BERTH_TEXT("/workspace/project"),
		.data_dir = berth_text(data_dir),
	};
	struct dropin dropin;

	*host = (struct host){ .answer = { 0 } };
	assert_int_equal(loader_init(&host->inventory.loader, NULL), 0);
	assert_int_equal(loader_add_dir(&host->inventory.loader, build->dir, NULL), 0);
	assert_int_equal(dropin_make(id, "test", &dropin), 0);
	for (; options && options->key; options++) {
		CLEANUP_FREE char *text = filled(options->value, '\'', "\"");
		cJSON *value = cJSON_Parse(text);

		assert_non_null(value);
		assert_int_equal(settings_put(dropin.settings, options->key, value, "test"), 0);
		cJSON_Delete(value);
	}
	assert_int_equal(inventory_add(&host->inventory, &dropin), 0);
	inventory_start(&host->inventory, &workspace);
}

static const struct inventory_entry *entry_of(const struct host *host)
{
	return &host->inventory.entries[0];
}

static const struct failure *failure_of(const struct host *host)
{
	assert_null(entry_of(host)->instance);
	return &entry_of(host)->dropin.failures.list[0];
}

/* Starts what has to serve. */
static void start_active(struct host *host, const struct build *build, const char *id, const char *data_dir,
			 const struct option *options)
{
	start(host, build, id, data_dir, options);
	if (!entry_of(host)->instance)
		fail_msg("%s/%s.so: %s", build->dir, id, failure_of(host)->found.text);
}

/* Ends the test where the plugin is for other machines. */
static void skip_foreign(const struct build *build)
{
#if !defined __x86_64__ || !defined __LP64__
	if (build->released) {
		print_message("skipped: the plugins that are kept are for x86_64, and this machine is another\n");
		skip();
	}
#else
	(void)build;
#endif
}

/* ---- Exchanges: whole answers, but for the time of now and the host's own messages ---- */

/* What the string behind is masked with "...". */
static const char *const masks[] = {
	"\"observed_at\":",
	"\"code\":\"adapter_failed\",\"severity\":\"error\",\"message\":",
	"\"code\":\"worker_proxy_pending\",\"severity\":\"info\",\"message\":",
};

static char *without_ours(const char *answer)
{
	struct buffer out = { 0 };

	while (*answer) {
		size_t len = 1;

		for (size_t i = 0; i < COUNT(masks); i++)
			if (strncmp(answer, masks[i], strlen(masks[i])) == 0)
				len = strlen(masks[i]);
		buffer_append(&out, answer, len);
		answer += len;
		if (len > 1) {
			buffer_append_string(&out, "\"...\"");
			answer += string_length(answer);
		}
	}
	buffer_append_char(&out, '\0');
	assert_false(out.failed);
	return out.data;
}

static void exchange(struct host *host, const struct exchange *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		CLEANUP_FREE char *answer = without_ours(host_ask(host, "%s", rows[i].request));

		print_message("%s\n", rows[i].name);
		assert_json_text(answer, rows[i].expected);
	}
}

/* ---- Standard error, for a while a file ---- */

struct capture {
	FILE *file;
	int saved;
};

static void capture_begin(struct capture *capture)
{
	*capture = (struct capture){ tmpfile(), dup(STDERR_FILENO) };
	assert_non_null(capture->file);
	assert_true(capture->saved >= 0);
	dup2(fileno(capture->file), STDERR_FILENO);
}

static void capture_end(struct capture *capture, char *text, size_t size)
{
	dup2(capture->saved, STDERR_FILENO);
	close(capture->saved);
	rewind(capture->file);
	text[fread(text, 1, size - 1, capture->file)] = '\0';
	fclose(capture->file);
}

/* ---- everything ---- */

#define CALM "{'code':'harbour_calm','severity':'info','message':'the sea is calm'}"
#define TIDE "{'code':'harbour_tide','severity':'warning','message':'the tide is low'}"
#define WRECK "{'code':'harbour_wreck','severity':'error','message':'a wreck lies in the way'}"
#define MOORED "{'code':'harbour_moored','severity':'warning','message':'the ship is moored'}"
#define FAILED DIAGNOSTIC("adapter_failed", "error")

#define KAYA "ship-kaya---the-first-7bc95c54bde7718f"
#define SHIP_2 "ship-ship-2-8816d00e12e0f5c3"
#define SHIP_3 "ship-ship-3-959dd7aeef36a274"
#define OF(worker_id) "'runtime_id':'everything','worker_id':'" worker_id "'"

#define WORKER(id, label, role, state, status, running, diagnostics)                                        \
	"{'runtime_id':'everything','worker_id':'" id "','host_id':'harbour-host','label':'" label          \
	"','role':'" role "','profile':'builtin:ship','workspace':{'visibility':'harbour','identity':'ship'}," \
	"'state':'" state "','status':'" status "','last_seen_at':'2023-11-14T22:13:20+00:00'," \
	"'implementation':{'kind':'ship','display_hint':'" label "'},'capabilities':{'can_accept_input':" running \
	",'can_stream_events':false,'can_stop':" running ",'can_spawn_followup':false," \
	"'can_read_bounded_transcript':true},'diagnostics':[" diagnostics "]}"
#define RUNNING(id, label, role) WORKER(id, label, role, "running", "under_way", "true", "")
#define STOPPED(id, label, role) WORKER(id, label, role, "stopped", "moored", "false", CALM "," TIDE "," WRECK)

#define RUNTIME(id, label, status, note)                                                                    \
	"{'items':[{'runtime_id':'" id "','label':'" label "','kind':'released','status':'" status "',"       \
	"'source':{'kind':'released_everything','status':'active','identity_authority':'runtime_registry_projection'," \
	"'note':'" note "'},'host_ids':['harbour-host'],'capabilities':{'can_list_hosts':true,'can_list_workers':true," \
	"'can_get_worker':true,'can_spawn_worker':true,'can_stop_worker':true,'can_accept_input':true," \
	"'can_stream_events':false,'can_read_bounded_transcript':true,'has_workspace_fs':false,'has_shell':false," \
	"'has_git':true,'supports_worktrees':false,'supports_backend_internal_tools':false," \
	"'local_pod_inspection':'not_here','workspace_scope':'harbour','max_workers':7,'os':'tide','arch':'oak'}," \
	"'diagnostics':[" CALM "]}],'diagnostics':[" CALM "]}"

static const struct exchange of_everything[] = {
	{ "the runtime", "{'op':'list_runtimes','limit':7}",
	  RUNTIME("everything", "Old Harbour", "lit",
		  "3 berths, chart 10:8c83caf4, key 0:811c9dc5, cargo 14:bebc5d88; workspace 10:3799823e at 18:26fa6b25, "
		  "data absent, runtime absent") },
	{ "the host", "{'op':'list_hosts','limit':5}",
	  "{'items':[{'runtime_id':'everything','host_id':'harbour-host','label':'Old Harbour','kind':'harbour',"
	  "'status':'open','observed_at':'...','last_seen_at':'2023-11-14T22:13:20.123456789+00:00',"
	  "'capabilities':{'can_list_hosts':false,'can_list_workers':true,'can_get_worker':false,'can_spawn_worker':false,"
	  "'can_stop_worker':false,'can_accept_input':false,'can_stream_events':false,"
	  "'can_read_bounded_transcript':false,'has_workspace_fs':false,'has_shell':true,'has_git':false,"
	  "'supports_worktrees':false,'supports_backend_internal_tools':true,'local_pod_inspection':'not_here',"
	  "'workspace_scope':'harbour','max_workers':5,'os':'tide','arch':'oak'},'diagnostics':[" CALM "," TIDE "]}],"
	  "'diagnostics':[]}" },
	{ "the first worker", "{'op':'list_workers'}",
	  "{'items':[" RUNNING(KAYA, "Kaya  the First", "pilot") "],'diagnostics':[]}" },
	{ "it is looked up", "{'op':'worker'," OF(KAYA) "}", RUNNING(KAYA, "Kaya  the First", "pilot") },
	{ "nobody is looked up", "{'op':'worker'," OF("nobody") "}",
	  "{'error':{'kind':'unknown_worker'," OF("nobody") "}}" },
	{ "a spawn with all there is",
	  "{'op':'spawn_worker','runtime_id':'everything','request':{'intent':{'kind':'ticket_role','ticket_id':'T-1',"
	  "'role':'reviewer'},'requested_worker_name':'Ada','acceptance':{'kind':'run_accepted','expected_segments':5},"
	  "'request_id':'R-1'}}",
	  "{'state':'accepted','worker':" RUNNING(SHIP_2, "ship 2", "reviewer") ",'acceptance_evidence':["
	  "{'kind':'harbour_request','detail':'intent 3, ticket 3:d73f0481, role 4, name 3:9ac3a55b, acceptance 2, "
	  "segments 5, request 3:dff52f7b'},{'kind':'harbour_clock','detail':'goes on'}],'diagnostics':[]}" },
	{ "a spawn that is not supported",
	  "{'op':'spawn_worker','runtime_id':'everything','request':{'intent':{'kind':'workspace_companion'},"
	  "'acceptance':{'kind':'socket_ready'}}}",
	  "{'state':'unsupported','acceptance_evidence':[],'diagnostics':[{'code':'harbour_no_socket',"
	  "'severity':'error','message':'ships have none'}]}" },
	{ "a spawn with the least",
	  "{'op':'spawn_worker','runtime_id':'everything','request':{'intent':{'kind':'workspace_orchestrator'},"
	  "'acceptance':{'kind':'run_accepted','expected_segments':0}}}",
	  "{'state':'accepted','worker':" RUNNING(SHIP_3, "ship 3", "crew") ",'acceptance_evidence':["
	  "{'kind':'harbour_request','detail':'intent 2, ticket absent, role 0, name absent, acceptance 2, "
	  "segments 0, request absent'},{'kind':'harbour_clock','detail':'goes on'}],'diagnostics':[]}" },
	{ "a spawn that is refused",
	  "{'op':'spawn_worker','runtime_id':'everything','request':{'intent':{'kind':'workspace_companion'},"
	  "'acceptance':{'kind':'run_accepted','expected_segments':0}}}",
	  "{'state':'rejected','acceptance_evidence':[],'diagnostics':[{'code':'harbour_full','severity':'warning',"
	  "'message':'every berth is taken'}]}" },
	{ "the limit of a list", "{'op':'list_workers','limit':2}",
	  "{'items':[" RUNNING(KAYA, "Kaya  the First", "pilot") "," RUNNING(SHIP_2, "ship 2", "reviewer")
	  "],'diagnostics':[]}" },
	{ "an input of the user", "{'op':'send_input'," OF(SHIP_2) ",'request':{'content':'Ahoy'}}",
	  "{'state':'accepted'," OF(SHIP_2) ",'transcript_sequence':1,'event_id':1,'diagnostics':[]}" },
	{ "an input to another", "{'op':'send_input'," OF(KAYA) ",'request':{'content':'x','kind':'user'}}",
	  "{'state':'accepted'," OF(KAYA) ",'transcript_sequence':1,'event_id':2,'diagnostics':[]}" },
	{ "an input of the system", "{'op':'send_input'," OF(SHIP_2) ",'request':{'content':'','kind':'system'}}",
	  "{'state':'accepted'," OF(SHIP_2) ",'transcript_sequence':2,'event_id':3,'diagnostics':[]}" },
	{ "an input that fails", "{'op':'send_input'," OF(SHIP_2) ",'request':{'content':'part the hawser'}}",
	  "{'state':'rejected'," OF(SHIP_2) ",'diagnostics':[" FAILED "]}" },
	{ "an input to nobody", "{'op':'send_input'," OF("nobody") ",'request':{'content':'x'}}",
	  "{'error':{'kind':'unknown_worker'," OF("nobody") "}}" },
	{ "a transcript in part", "{'op':'transcript'," OF(SHIP_2) ",'limit':1}",
	  "{'state':'accepted'," OF(SHIP_2) ",'start':0,'limit':1,'total_items':2,'next_start':1,'items':["
	  "{'sequence':1,'role':'user','content':'Ahoy','event_id':1}],'diagnostics':[]}" },
	{ "the rest of it", "{'op':'transcript'," OF(SHIP_2) ",'start':1}",
	  "{'state':'accepted'," OF(SHIP_2) ",'start':1,'limit':200,'total_items':2,'items':["
	  "{'sequence':2,'role':'system','content':'','event_id':3}],'diagnostics':[]}" },
	{ "the transcript of nobody", "{'op':'transcript'," OF("nobody") "}",
	  "{'error':{'kind':'unknown_worker'," OF("nobody") "}}" },
	{ "connect points", "{'op':'connect_points'," OF(SHIP_2) "}",
	  "{'items':[{'kind':'gangway','status':'lowered','diagnostics':[]},{'kind':'rope','status':'thrown',"
	  "'diagnostics':[" CALM "," TIDE "," WRECK "]}],'diagnostics':[]}" },
	{ "a graceful stop", "{'op':'stop_worker','runtime_id':'everything','request':{'worker_id':'" SHIP_2 "',"
	  "'mode':'graceful'}}", "{'state':'accepted','diagnostics':[]}" },
	{ "a stop that is refused", "{'op':'stop_worker','runtime_id':'everything','request':{'worker_id':'" SHIP_2 "',"
	  "'mode':'graceful'}}", "{'state':'rejected','diagnostics':[" MOORED "]}" },
	{ "a stop of nobody", "{'op':'stop_worker','runtime_id':'everything','request':{'worker_id':'nobody',"
	  "'mode':'graceful'}}", "{'error':{'kind':'unknown_worker'," OF("nobody") "}}" },
	{ "an input that is refused", "{'op':'send_input'," OF(SHIP_2) ",'request':{'content':'x'}}",
	  "{'state':'rejected'," OF(SHIP_2) ",'diagnostics':[" MOORED "]}" },
	{ "connect points that are left to the registry", "{'op':'connect_points'," OF(SHIP_2) "}",
	  "{'items':[{'kind':'stream_proxy','status':'not_implemented','diagnostics':["
	  DIAGNOSTIC("worker_proxy_pending", "info") "]}],'diagnostics':[]}" },
	{ "a worker that was stopped", "{'op':'worker'," OF(SHIP_2) "}", STOPPED(SHIP_2, "ship 2", "reviewer") },
	{ "the workers of a host", "{'op':'list_workers_for_host','host_id':'harbour-host','limit':1}",
	  "{'items':[" RUNNING(KAYA, "Kaya  the First", "pilot") "],'diagnostics':[]}" },
};

static void test_everything(void **state)
{
	static const struct option options[] = { { "options.berths", "3" }, { NULL, NULL } };
	const struct build *build = *state;
	struct host host;

	skip_foreign(build);
	start_active(&host, build, "everything", NULL, options);
	exchange(&host, of_everything, COUNT(of_everything));
	host_stop(&host);
}

/* What the services and fail are given reaches the log. */
static void test_log(void **state)
{
	const struct build *build = *state;
	struct capture capture;
	struct host host;
	char text[4096];

	skip_foreign(build);
	start_active(&host, build, "everything", NULL, NULL);
	capture_begin(&capture);
	host_ask(&host, "{'op':'send_input'," OF(KAYA) ",'request':{'content':'part the hawser'}}");
	host_ask(&host, "{'op':'stop_worker','runtime_id':'everything','request':{'worker_id':'" KAYA "','mode':'force'}}");
	capture_end(&capture, text, sizeof text);
	host_stop(&host);
	assert_string_equal(text, "berth: everything: send_input: the hawser parted of 32\n"
				  "berth: everything: " KAYA " is stopped by force\n");
}

/* Every type of option, and all of the request that opens. */
static void test_options(void **state)
{
	static const struct option options[] = {
		{ "runtime_id", "'night-harbour'" },
		{ "options.place", "'New Harbour'" },
		{ "options.berths", "0" },
		{ "options.lit", "false" },
		{ "options.chart", "'/srv/other'" },
		{ "options.key", "'hunter2'" },
		{ "options.cargo", "{'fish': [true, null]}" },
		{ NULL, NULL },
	};
	static const struct exchange rows[] = {
		{ "the runtime", "{'op':'list_runtimes','limit':7}",
		  RUNTIME("night-harbour", "New Harbour", "dark",
			  "0 berths, chart 10:3415e41e, key 7:f181ec53, cargo 20:1c150f5a; workspace 10:3799823e at "
			  "18:26fa6b25, data 5:49f653fe, runtime 13:3c746527") },
		{ "no workers", "{'op':'list_workers'}", "{'items':[],'diagnostics':[]}" },
	};
	static const struct exchange defaults = {
		"the runtime of the defaults", "{'op':'list_runtimes','limit':7}",
		RUNTIME("everything", "Old Harbour", "lit",
			"32 berths, chart 10:8c83caf4, key 0:811c9dc5, cargo 14:bebc5d88; workspace 10:3799823e at "
			"18:26fa6b25, data absent, runtime absent"),
	};
	const struct build *build = *state;
	struct host host;

	skip_foreign(build);
	start_active(&host, build, "everything", "/data", options);
	exchange(&host, rows, COUNT(rows));
	host_stop(&host);
	start_active(&host, build, "everything", NULL, NULL);
	exchange(&host, &defaults, 1);
	host_stop(&host);
}

static void test_failing_open(void **state)
{
	static const struct option options[] = { { "options.berths", "33" }, { NULL, NULL } };
	const struct build *build = *state;
	struct host host;

	skip_foreign(build);
	start(&host, build, "everything", NULL, options);
	assert_string_equal(failure_code_name(failure_of(&host)->code), "open_failed");
	assert_string_equal(failure_of(&host)->found.text, "berths: 33 are too many, at most 32");
	host_stop(&host);
}

/* What was stamped is read as it was meant, and is stamped the same today. */
static void test_stamp(void **state)
{
	static const struct {
		const char *name, *fallback;
		enum option_type type;
	} options[] = {
		{ "place", "Old Harbour", OPTION_TEXT },
		{ "berths", "32", OPTION_COUNT },
		{ "lit", "true", OPTION_FLAG },
		{ "chart", "/srv/chart", OPTION_PATH },
		{ "key", "", OPTION_SECRET },
		{ "cargo", "{\"rope\":[1,2]}", OPTION_JSON },
	};
	const struct build *build = *state;
	const struct stamp *stamp;
	struct host host;

	skip_foreign(build);
	start_active(&host, build, "everything", NULL, NULL);
	stamp = &entry_of(&host)->adapter->stamp;
	assert_string_equal(stamp->id, "everything");
	assert_string_equal(stamp->version, "1.0");
	assert_int_equal(stamp->major, 1);
	assert_int_equal(stamp->needed, 0);
	assert_int_equal(stamp->minor, build->released ? 0 : BERTH_ABI_MINOR);
	assert_int_equal(stamp->threading, BERTH_THREADS_INSTANCE);
	assert_int_equal(stamp->n_options, COUNT(options));
	for (size_t i = 0; i < COUNT(options); i++) {
		assert_string_equal(stamp->options[i].name, options[i].name);
		assert_string_equal(stamp->options[i].fallback, options[i].fallback);
		assert_int_equal(stamp->options[i].type, options[i].type);
		assert_string_not_equal(stamp->options[i].help, "");
	}
	host_stop(&host);
}

/* ---- only-list ---- */

#define LISTED(id)                                                                                          \
	"{'runtime_id':'only-list','worker_id':'" id "','host_id':'only-host','label':'" id "','role':null,"  \
	"'profile':null,'workspace':{'visibility':'none','identity':'none'},'state':'running','status':'running'," \
	"'last_seen_at':null,'implementation':{'kind':'released','display_hint':'only a list'}," \
	"'capabilities':{'can_accept_input':false,'can_stream_events':false,'can_stop':false," \
	"'can_spawn_followup':false,'can_read_bounded_transcript':false},'diagnostics':[]}"
#define OF_SECOND "'runtime_id':'only-list','worker_id':'second'"

static const struct exchange of_only_list[] = {
	{ "all workers", "{'op':'list_workers'}",
	  "{'items':[" LISTED("first") "," LISTED("second") "," LISTED("third") "],'diagnostics':[]}" },
	{ "one worker", "{'op':'list_workers','limit':1}", "{'items':[" LISTED("first") "],'diagnostics':[]}" },
	{ "a worker is found in the list", "{'op':'worker'," OF_SECOND "}", LISTED("second") },
	{ "nobody is", "{'op':'worker','runtime_id':'only-list','worker_id':'fourth'}",
	  "{'error':{'kind':'unknown_worker','runtime_id':'only-list','worker_id':'fourth'}}" },
	{ "no hosts", "{'op':'list_hosts'}", "{'items':[],'diagnostics':[]}" },
};

/* Requests that the registry answers for it; the messages are for people and may change. */
static const struct exchange left_to_the_registry[] = {
	{ "spawn_worker", "{'op':'spawn_worker','runtime_id':'only-list','request':{'intent':{'kind':'workspace_companion'},"
	  "'acceptance':{'kind':'socket_ready'}}}",
	  "{'state':'unsupported','acceptance_evidence':[],'diagnostics':["
	  DIAGNOSTIC("worker_spawn_resolver_pending", "info") "]}" },
	{ "stop_worker", "{'op':'stop_worker','runtime_id':'only-list','request':{'worker_id':'second','mode':'force'}}",
	  "{'state':'unsupported','diagnostics':[" DIAGNOSTIC("worker_stop_pending", "info") "]}" },
	{ "send_input", "{'op':'send_input'," OF_SECOND ",'request':{'content':'x'}}",
	  "{'state':'unsupported'," OF_SECOND ",'diagnostics':[" DIAGNOSTIC("worker_input_pending", "info") "]}" },
	{ "transcript", "{'op':'transcript'," OF_SECOND "}",
	  "{'state':'unsupported'," OF_SECOND ",'start':0,'limit':200,'total_items':0,'items':[],'diagnostics':["
	  DIAGNOSTIC("worker_transcript_pending", "info") "]}" },
	{ "connect_points", "{'op':'connect_points'," OF_SECOND "}",
	  "{'items':[{'kind':'stream_proxy','status':'not_implemented','diagnostics':["
	  DIAGNOSTIC("worker_proxy_pending", "info") "]}],'diagnostics':[]}" },
};

static void test_only_list(void **state)
{
	const struct build *build = *state;
	struct host host;
	cJSON *runtimes;

	skip_foreign(build);
	start_active(&host, build, "only-list", NULL, NULL);
	assert_int_equal(entry_of(&host)->adapter->stamp.threading, BERTH_THREADS_ANY);
	assert_int_equal(entry_of(&host)->adapter->stamp.n_options, 0);
	exchange(&host, of_only_list, COUNT(of_only_list));
	check_exchanges(&host, left_to_the_registry, COUNT(left_to_the_registry));
	runtimes = host_ask_json(&host, "{'op':'list_runtimes'}");
	assert_string_equal(json_string_at(runtimes, "items.0.label"), "Only a list");
	assert_string_equal(json_string_at(runtimes, "items.0.capabilities.os"), "linux");
	cJSON_Delete(runtimes);
	host_stop(&host);
}

/* ---- contained ---- */

#define OF_TUG "'runtime_id':'contained','worker_id':'tug'"
#define CONTAINED_FAILED "{'state':'rejected'," OF_TUG ",'diagnostics':[" FAILED "]}"

static const struct exchange of_contained[] = {
	{ "memory ends", "{'op':'send_input'," OF_TUG ",'request':{'content':'alloc'}}", CONTAINED_FAILED },
	{ "an exception", "{'op':'send_input'," OF_TUG ",'request':{'content':'exception'}}", CONTAINED_FAILED },
	{ "an int is thrown", "{'op':'send_input'," OF_TUG ",'request':{'content':'int'}}", CONTAINED_FAILED },
	{ "nothing is thrown", "{'op':'send_input'," OF_TUG ",'request':{'content':'Ahoy'}}",
	  "{'state':'accepted'," OF_TUG ",'transcript_sequence':1,'event_id':2,'diagnostics':[]}" },
};

/* Its close throws. */
static void test_contained(void **state)
{
	const struct build *build = *state;
	struct capture capture;
	struct host host;
	char text[4096];

	skip_foreign(build);
	start(&host, build, "contained", NULL, NULL);
	if (build->released && !entry_of(&host)->instance && failure_of(&host)->code == FAILURE_NOT_LINKABLE) {
		print_message("skipped: the library of GNU C++ is not here: %s\n", failure_of(&host)->found.text);
		host_stop(&host);
		skip();
	}
	assert_non_null(entry_of(&host)->instance);
	assert_int_equal(entry_of(&host)->adapter->stamp.threading, BERTH_THREADS_ONE);
	capture_begin(&capture);
	exchange(&host, of_contained, COUNT(of_contained));
	capture_end(&capture, text, sizeof text);
	host_stop(&host);
	assert_string_equal(text, "berth: contained: send_input: out of memory\n"
				  "berth: contained: send_input: the hawser parted\n"
				  "berth: contained: send_input: an exception that is no std::exception\n");
}

/* ---- Minors to come ---- */

#define DIAGNOSTICS                                                           \
	"{'code':'first','severity':'warning','message':'a message'},"        \
	"{'code':'second','severity':'error','message':'a message'}"
#define SECOND "{'code':'second','severity':'error','message':'a message'}"
#define LATER                                                                                               \
	"{'runtime_id':'later-minor','worker_id':'later','host_id':'first','label':'later','role':null,'profile':null," \
	"'workspace':{'visibility':'none','identity':'fixture'},'state':'running','status':'running'," \
	"'last_seen_at':null,'implementation':{'kind':'fixture','display_hint':'fixture'}," \
	"'capabilities':{'can_accept_input':false,'can_stream_events':false,'can_stop':true," \
	"'can_spawn_followup':false,'can_read_bounded_transcript':false},'diagnostics':[" DIAGNOSTICS "]}"
#define OF_LATER "'runtime_id':'later-minor','worker_id':'later'"
#define NO_CAPABILITIES(max_workers)                                                                        \
	"'capabilities':{'can_list_hosts':false,'can_list_workers':false,'can_get_worker':false,"             \
	"'can_spawn_worker':false,'can_stop_worker':false,'can_accept_input':false,'can_stream_events':false," \
	"'can_read_bounded_transcript':false,'has_workspace_fs':false,'has_shell':false,'has_git':false," \
	"'supports_worktrees':false,'supports_backend_internal_tools':false,'local_pod_inspection':'not_applicable'," \
	"'workspace_scope':'none','max_workers':" max_workers ",'os':'linux','arch':'oak'}"

static const struct exchange of_later[] = {
	{ "the runtime", "{'op':'list_runtimes','limit':1}",
	  "{'items':[{'runtime_id':'later-minor','label':'of a later minor','kind':'fixture','status':'running',"
	  "'source':{'kind':'fixture','status':'active','identity_authority':'runtime_registry_projection',"
	  "'note':'made for the tests'},'host_ids':[]," NO_CAPABILITIES("1") ",'diagnostics':[" DIAGNOSTICS "]}],"
	  "'diagnostics':[" DIAGNOSTICS "]}" },
	{ "hosts", "{'op':'list_hosts','limit':1}",
	  "{'items':[{'runtime_id':'later-minor','host_id':'first','label':'a host','kind':'fixture',"
	  "'status':'available','observed_at':'...','last_seen_at':null," NO_CAPABILITIES("1")
	  ",'diagnostics':[" DIAGNOSTICS "]}],'diagnostics':[]}" },
	{ "workers", "{'op':'list_workers'}", "{'items':[" LATER "],'diagnostics':[]}" },
	{ "a worker", "{'op':'worker'," OF_LATER "}", LATER },
	{ "a spawn", "{'op':'spawn_worker','runtime_id':'later-minor','request':{'intent':{'kind':'ticket_role',"
	  "'ticket_id':'T-1','role':'coder'},'acceptance':{'kind':'run_accepted','expected_segments':5},'request_id':'R'}}",
	  "{'state':'accepted','worker':" LATER ",'acceptance_evidence':[{'kind':'fixture_evidence',"
	  "'detail':'evidence'}],'diagnostics':[" SECOND "]}" },
	{ "a stop", "{'op':'stop_worker','runtime_id':'later-minor','request':{'worker_id':'later','mode':'force'}}",
	  "{'state':'accepted','diagnostics':[" SECOND "]}" },
	{ "an input", "{'op':'send_input'," OF_LATER ",'request':{'content':'x'}}",
	  "{'state':'accepted'," OF_LATER ",'transcript_sequence':5,'event_id':6,'diagnostics':[" SECOND "]}" },
	{ "a transcript", "{'op':'transcript'," OF_LATER "}",
	  "{'state':'accepted'," OF_LATER ",'start':0,'limit':200,'total_items':1,'items':[{'sequence':1,'role':'worker',"
	  "'content':'content','event_id':2}],'diagnostics':[" SECOND "]}" },
	{ "connect points", "{'op':'connect_points'," OF_LATER "}",
	  "{'items':[{'kind':'gangway','status':'open','diagnostics':[" DIAGNOSTICS "]}],'diagnostics':[]}" },
};

static void test_later_minor(void **state)
{
	struct host host;

	(void)state;
	start_active(&host, &fixtures, "later-minor", NULL, NULL);
	assert_int_equal(entry_of(&host)->adapter->stamp.minor, BERTH_ABI_MINOR + 9);
	exchange(&host, of_later, COUNT(of_later));
	host_stop(&host);
}

static void test_this_minor(void **state)
{
	struct host host;

	(void)state;
	start_active(&host, &fixtures, "this-minor", NULL, NULL);
	assert_int_equal(entry_of(&host)->adapter->stamp.needed, BERTH_ABI_MINOR);
	host_stop(&host);
}

static void test_next_minor(void **state)
{
	char expected[64], found[64];
	struct host host;

	(void)state;
	snprintf(expected, sizeof expected, "at most ABI %d.%d", BERTH_ABI_MAJOR, BERTH_ABI_MINOR);
	snprintf(found, sizeof found, "wants %d.%d, this host has %d.%d", BERTH_ABI_MAJOR, BERTH_ABI_MINOR + 1,
		 BERTH_ABI_MAJOR, BERTH_ABI_MINOR);
	start(&host, &fixtures, "next-minor", NULL, NULL);
	assert_string_equal(failure_code_name(failure_of(&host)->code), "abi_mismatch");
	assert_string_equal(failure_of(&host)->expected, expected);
	assert_string_equal(failure_of(&host)->found.text, found);
	host_stop(&host);
}

#define TEST(name, function, build) { "1.0 " name, function, NULL, NULL, (void *)(uintptr_t)(build) }
#define BOTH(name, function) \
	TEST("as released: " name, function, &builds[0]), TEST("built today: " name, function, &builds[1])

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH("every request is answered as it was", test_everything),
		BOTH("its words reach the log", test_log),
		BOTH("every option is handed over", test_options),
		BOTH("a failing open gives its reason", test_failing_open),
		BOTH("its stamp is read", test_stamp),
		BOTH("what it leaves out is answered for it", test_only_list),
		BOTH("what it throws is contained", test_contained),
		{ "a later minor that needs nothing of it", test_later_minor, NULL, NULL, NULL },
		{ "this minor, needed", test_this_minor, NULL, NULL, NULL },
		{ "the next minor, needed", test_next_minor, NULL, NULL, NULL },
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
