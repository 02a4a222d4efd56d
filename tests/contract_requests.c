/* SPDX-License-Identifier: MIT */
/* The requests of the batch protocol: which are refused, what is given back with the
 * answer, in which order ids are judged. */
#include "config.h"

#include <stdio.h>

#include "tests/contract.h"

#define EMBEDDED "embedded-worker-runtime"
#define WORKER "worker-00000001"
#define SPAWN(request) "{'op':'spawn_worker','runtime_id':'" EMBEDDED "','request':" request "}"
#define STOP(request) "{'op':'stop_worker','runtime_id':'" EMBEDDED "','request':" request "}"
#define INPUT(request)                                                                          \
	"{'op':'send_input','runtime_id':'" EMBEDDED "','worker_id':'" WORKER "','request':" request "}"
#define TRANSCRIPT(more) "{'op':'transcript','runtime_id':'" EMBEDDED "','worker_id':'" WORKER "'" more "}"
#define COMPANION "'intent':{'kind':'workspace_companion'}"
#define RUN "'acceptance':{'kind':'run_accepted','expected_segments':0}"

/* With one worker, which keeps refused requests from being refused for its absence. */
static int start(void **state)
{
	static struct host host;

	host_start(&host, &(struct host_setup){ .adapters = "embedded" });
	host_ask(&host, "%s", SPAWN("{" COMPANION "," RUN "}"));
	*state = &host;
	return 0;
}

static int stop(void **state)
{
	host_stop(*state);
	return 0;
}

/* ---- Refused ---- */

/* A request that is refused, and what the message must name; NULL: anything. */
struct refusal {
	const char *name, *request, *names;
};

static bool refuses(struct host *host, const struct refusal *row)
{
	CLEANUP_FREE char *answer = strdup(host_ask(host, "%s", row->request));
	CLEANUP_FREE char *got = masked(answer);

	assert_non_null(answer);
	if (strcmp(got, "{\"error\":{\"kind\":\"bad_request\",\"message\":\"...\"}}") == 0 &&
	    (!row->names || strstr(answer, row->names)))
		return true;
	print_error("%s\n  request  %s\n  expected bad_request%s%s\n  got      %s\n", row->name, row->request,
		    row->names ? " that names " : "", row->names ? row->names : "", answer);
	return false;
}

static void check_refusals(struct host *host, const struct refusal *rows, size_t n)
{
	size_t failed = 0;

	for (size_t i = 0; i < n; i++)
		failed += !refuses(host, &rows[i]);
	assert_int_equal(failed, 0);
}

/* What was refused must have left no trace. */
static void assert_nothing_happened(struct host *host)
{
	CLEANUP_FREE char *workers = strdup(host_ask(host, "{'op':'list_workers'}"));

	assert_non_null(strstr(workers, WORKER));
	assert_null(strstr(workers, "worker-00000002"));
	assert_non_null(strstr(workers, "\"state\":\"running\""));
	assert_true(answers_one(host, TRANSCRIPT(""),
				"{'state':'accepted','runtime_id':'" EMBEDDED "','worker_id':'" WORKER "',"
				"'start':0,'limit':200,'total_items':0,'items':[],'diagnostics':[]}"));
}

static void missing_keys_and_unknown_variants_are_refused(void **state)
{
	static const struct refusal rows[] = {
		{ "no operation", "{}", "op" },
		{ "an operation that is not there", "{'op':'lists_runtimes'}", "op" },
		{ "an operation in capitals", "{'op':'LIST_RUNTIMES'}", "op" },
		{ "an operation with a space behind", "{'op':'list_runtimes '}", "op" },
		{ "an empty operation", "{'op':''}", "op" },
		{ "the key op in capitals", "{'OP':'list_runtimes'}", "op" },
		{ "the key op with a space in front", "{' op':'list_runtimes'}", "op" },
		{ "worker without runtime_id", "{'op':'worker','worker_id':'w'}", "runtime_id" },
		{ "worker without worker_id", "{'op':'worker','runtime_id':'r'}", "worker_id" },
		{ "workers of a host without host_id", "{'op':'list_workers_for_host'}", "host_id" },
		{ "spawn without runtime_id", "{'op':'spawn_worker','request':{" COMPANION "," RUN "}}", "runtime_id" },
		{ "spawn without request", "{'op':'spawn_worker','runtime_id':'" EMBEDDED "'}", "request" },
		{ "spawn without intent", SPAWN("{" RUN "}"), "intent" },
		{ "spawn without acceptance", SPAWN("{" COMPANION "}"), "acceptance" },
		{ "intent without kind", SPAWN("{'intent':{}," RUN "}"), "kind" },
		{ "acceptance without kind", SPAWN("{" COMPANION ",'acceptance':{'expected_segments':0}}"), "kind" },
		{ "run_accepted without segments", SPAWN("{" COMPANION ",'acceptance':{'kind':'run_accepted'}}"),
		  "expected_segments" },
		{ "a ticket role without ticket_id", SPAWN("{'intent':{'kind':'ticket_role','role':'coder'}," RUN "}"),
		  "ticket_id" },
		{ "a ticket role without role", SPAWN("{'intent':{'kind':'ticket_role','ticket_id':'T'}," RUN "}"),
		  "role" },
		{ "stop without runtime_id", "{'op':'stop_worker','request':{'worker_id':'w','mode':'force'}}",
		  "runtime_id" },
		{ "stop without request", "{'op':'stop_worker','runtime_id':'" EMBEDDED "'}", "request" },
		{ "stop without worker_id", STOP("{'mode':'graceful'}"), "worker_id" },
		{ "stop with worker_id outside of its request",
		  "{'op':'stop_worker','runtime_id':'" EMBEDDED "','worker_id':'" WORKER "',"
		  "'request':{'mode':'graceful'}}", "worker_id" },
		{ "stop without mode", STOP("{'worker_id':'" WORKER "'}"), "mode" },
		{ "input without request", "{'op':'send_input','runtime_id':'" EMBEDDED "','worker_id':'" WORKER "'}",
		  "request" },
		{ "input without worker_id",
		  "{'op':'send_input','runtime_id':'" EMBEDDED "','request':{'content':'x'}}", "worker_id" },
		{ "input without content", INPUT("{'kind':'user'}"), "content" },
		{ "transcript without runtime_id", "{'op':'transcript','worker_id':'" WORKER "'}", "runtime_id" },
		{ "transcript without worker_id", "{'op':'transcript','runtime_id':'" EMBEDDED "'}", "worker_id" },
		{ "events without runtime_id", "{'op':'read_events','cursor':'c'}", "runtime_id" },
		{ "events with a number for a cursor", "{'op':'read_events','runtime_id':'" EMBEDDED "','cursor':7}", "cursor" },
		{ "events with a cursor twice",
		  "{'op':'read_events','runtime_id':'" EMBEDDED "','cursor':'c','cursor':'c'}", "cursor" },
		{ "events with a limit that is none", "{'op':'read_events','runtime_id':'" EMBEDDED "','limit':-1}", "limit" },
		{ "connect points without worker_id", "{'op':'connect_points','runtime_id':'" EMBEDDED "'}",
		  "worker_id" },
		{ "hello of a protocol that is not spoken", "{'op':'hello','protocol':2}", "protocol" },
		{ "hello with the protocol as a string", "{'op':'hello','protocol':'1'}", "protocol" },
	};

	check_refusals(*state, rows, COUNT(rows));
	assert_nothing_happened(*state);
}

/* Values that are wrong wherever a value of the type is expected. */
static const char *const no_strings[] = { "null", "5", "true", "[]", "{}", "['x']", NULL };
static const char *const no_words[] = { "null", "5", "false", "[]", "{}", "''", "'nope'", "'User'", "'user '", NULL };
static const char *const no_objects[] = { "null", "5", "'x'", "true", "[]", "[{}]", NULL };
static const char *const no_integers[] = {
	"null", "true", "[]", "{}", "''", "'1'", "-1", "-0", "1.0", "0.0", "1.5", "1e2", "1E2", "0e0", "10e-1", "+1",
	"01", "00", "0x1", "18446744073709551616", "18446744073709551615.0", "99999999999999999999",
	"184467440737095516150", "340282366920938463463374607431768211456", NULL,
};
static const char *const no_ids[] = { "true", "false", "[]", "{}", "['x']", "1e999", "01", NULL };

static void values_of_the_wrong_type_are_refused(void **state)
{
	static const struct {
		const char *request; /* @: the value */
		const char *const *values;
	} rows[] = {
		{ "{'op':@}", no_strings },
		{ "{'id':@,'op':'list_runtimes'}", no_ids },
		{ "{'op':'hello','protocol':@}", no_integers },
		{ "{'op':'list_runtimes','limit':@}", no_integers },
		{ "{'op':'list_hosts','limit':@}", no_integers },
		{ "{'op':'list_workers','limit':@}", no_integers },
		{ "{'op':'list_workers_for_host','host_id':'h','limit':@}", no_integers },
		{ "{'op':'list_workers_for_host','host_id':@}", no_strings },
		{ "{'op':'worker','runtime_id':@,'worker_id':'w'}", no_strings },
		{ "{'op':'worker','runtime_id':'r','worker_id':@}", no_strings },
		{ "{'op':'connect_points','runtime_id':@,'worker_id':'w'}", no_strings },
		{ TRANSCRIPT(",'start':@"), no_integers },
		{ TRANSCRIPT(",'limit':@"), no_integers },
		{ SPAWN("@"), no_objects },
		{ SPAWN("{'intent':@," RUN "}"), no_objects },
		{ SPAWN("{'intent':{'kind':@,'ticket_id':'T','role':'coder'}," RUN "}"), no_words },
		{ SPAWN("{'intent':{'kind':'ticket_role','ticket_id':@,'role':'coder'}," RUN "}"), no_strings },
		{ SPAWN("{'intent':{'kind':'ticket_role','ticket_id':'T','role':@}," RUN "}"), no_words },
		{ SPAWN("{" COMPANION ",'acceptance':@}"), no_objects },
		{ SPAWN("{" COMPANION ",'acceptance':{'kind':@,'expected_segments':0}}"), no_words },
		{ SPAWN("{" COMPANION ",'acceptance':{'kind':'run_accepted','expected_segments':@}}"), no_integers },
		/* These two may be null. */
		{ SPAWN("{" COMPANION "," RUN ",'requested_worker_name':@}"), no_strings + 1 },
		{ SPAWN("{" COMPANION "," RUN ",'request_id':@}"), no_strings + 1 },
		{ STOP("@"), no_objects },
		{ STOP("{'worker_id':@,'mode':'force'}"), no_strings },
		{ STOP("{'worker_id':'" WORKER "','mode':@}"), no_words },
		{ INPUT("@"), no_objects },
		{ INPUT("{'kind':@,'content':'x'}"), no_words },
		{ INPUT("{'content':@}"), no_strings },
	};
	size_t failed = 0;

	for (size_t i = 0; i < COUNT(rows); i++)
		for (const char *const *value = rows[i].values; *value; value++) {
			CLEANUP_FREE char *request = filled(rows[i].request, '@', *value);

			failed += !refuses(*state, &(struct refusal){ *value, request, NULL });
		}
	assert_int_equal(failed, 0);
	assert_nothing_happened(*state);
}

static void keys_given_twice_are_refused(void **state)
{
	static const struct refusal rows[] = {
		{ "op", "{'op':'list_runtimes','op':'list_runtimes'}", "op" },
		{ "id", "{'id':1,'op':'list_runtimes','id':1}", "id" },
		{ "limit", "{'op':'list_runtimes','limit':1,'limit':1}", "limit" },
		{ "limit, once escaped", "{'op':'list_runtimes','limit':1,'l\\u0069mit':1}", "limit" },
		{ "runtime_id", "{'op':'worker','runtime_id':'r','runtime_id':'r','worker_id':'w'}", "runtime_id" },
		{ "start", TRANSCRIPT(",'start':0,'start':0"), "start" },
		{ "request", "{'op':'stop_worker','runtime_id':'" EMBEDDED "',"
			     "'request':{'worker_id':'w','mode':'force'},"
			     "'request':{'worker_id':'w','mode':'force'}}", "request" },
		{ "intent", SPAWN("{" COMPANION "," COMPANION "," RUN "}"), "intent" },
		{ "intent kind",
		  SPAWN("{'intent':{'kind':'workspace_companion','kind':'workspace_companion'}," RUN "}"),
		  "kind" },
		{ "role",
		  SPAWN("{'intent':{'kind':'ticket_role','ticket_id':'T','role':'coder','role':'coder'}," RUN "}"),
		  "role" },
		{ "segments", SPAWN("{" COMPANION ",'acceptance':{'kind':'run_accepted','expected_segments':0,"
				    "'expected_segments':0}}"), "expected_segments" },
		{ "requested_worker_name", SPAWN("{" COMPANION "," RUN ",'requested_worker_name':null,"
						 "'requested_worker_name':null}"), "requested_worker_name" },
		{ "mode", STOP("{'worker_id':'" WORKER "','mode':'force','mode':'force'}"), "mode" },
		{ "content", INPUT("{'content':'a','content':'a'}"), "content" },
		{ "input kind", INPUT("{'kind':'user','content':'a','kind':'user'}"), "kind" },
	};

	check_refusals(*state, rows, COUNT(rows));
	assert_nothing_happened(*state);
}

/* ---- Strict JSON ---- */

static void lines_that_are_no_object_are_refused(void **state)
{
	static const struct refusal rows[] = {
		{ "null", "null", NULL },
		{ "a number", "5", NULL },
		{ "a string", "'op'", NULL },
		{ "an array", "[{'op':'list_runtimes'}]", NULL },
		{ "an object that does not end", "{'op':'list_runtimes'", NULL },
		{ "a list", "[{'op':'list_runtimes'}]", "line: an object is expected" },
		{ "text after the object", "{'op':'list_runtimes'} x", "line: byte 24: " },
		{ "an object after the object", "{'op':'list_runtimes'}{}", NULL },
		{ "a comma after the object", "{'op':'list_runtimes'},", NULL },
		{ "a brace too many", "{'op':'list_runtimes'}}", NULL },
		{ "a byte order mark", "\xef\xbb\xbf{'op':'list_runtimes'}", NULL },
		{ "a comma at the end of the object", "{'op':'list_runtimes',}", NULL },
		{ "a comma at its beginning", "{,'op':'list_runtimes'}", NULL },
		{ "no comma", "{'op':'list_runtimes' 'limit':1}", NULL },
		{ "no colon", "{'op' 'list_runtimes'}", "line: byte 7: " },
		{ "a key without a value", "{'op':'list_runtimes','limit'}", NULL },
		{ "a key without quotes", "{op:'list_runtimes'}", NULL },
		{ "a number as key", "{'op':'list_runtimes',1:1}", NULL },
		{ "a comment", "{'op':'list_runtimes'/* all */}", NULL },
		{ "a comment behind", "{'op':'list_runtimes'} // all", NULL },
		{ "a form feed as white space", "{'op':\f'list_runtimes'}", NULL },
		{ "a vertical tab as white space", "\v{'op':'list_runtimes'}", NULL },
		{ "a no-break space as white space", "{'op':\xc2\xa0'list_runtimes'}", NULL },
	};

	check_refusals(*state, rows, COUNT(rows));
}

/* In a key that is ignored: the line is no JSON all the same. */
static void values_that_are_no_json_are_refused_in_unknown_keys(void **state)
{
	static const char *const values[] = {
		"", "nul", "nulll", "True", "NaN", "Infinity", "-Infinity", "-", "+1", "01", "-01", "00", "1.", ".5",
		"1.e1", "1e", "1e+", "0x10", "1_0", "1e999", "-1e999", "1.7976931348623159e308", "1 2", "[1,]", "[,1]",
		"[1 2]", "[", "]", "[}", "{'a':1,}", "{'a'}", "{'a':}", "{1:1}", "'", "'a", "'a\\'", "'\\x41'",
		"'\\u12g4'", "'\\u123'", "'\\U00000041'", "'\\a'", "'\\ud800'", "'\\udc00'", "'\\udbff\\u0041'",
		"'\\ud800\\ud800'", "'\\udc00\\ud800'", "'\\ud800x'", "'\x01'", "'\t'", "'\n'", "'\r'", "'\x1f'",
		"'\xff'", "'\x80'", "'\xc3'", "'\xc3('", "'\xc0\xaf'", "'\xc1\x81'", "'\xe0\x80\x80'", "'\xe2\x82'",
		"'\xed\xa0\x80'", "'\xed\xbf\xbf'", "'\xf0\x80\x80\x80'", "'\xf4\x90\x80\x80'", "'\xf5\x80\x80\x80'",
		"'\xf0\x9f\x98'", "{'\xff':1}", "{'\\ud800':1}",
	};
	size_t failed = 0;

	for (size_t i = 0; i < COUNT(values); i++) {
		CLEANUP_FREE char *request = filled("{'op':'list_hosts','limit':0,'x':@}", '@', values[i]);

		failed += !refuses(*state, &(struct refusal){ values[i], request, NULL });
	}
	assert_int_equal(failed, 0);
}

static void unusual_values_are_taken_in_unknown_keys(void **state)
{
	static const char *const values[] = {
		"null", "true", "-0", "0.0", "-1.5e+3", "1E-2", "1e308", "1.7976931348623157e308", "1e-999",
		"123456789012345678901234567890", "[]", "{}", "[ [ ] , { } ]", "'\\u0000'", "'\\ud83d\\ude00'",
		"'\x7f'", "'\xc2\x80'", "'\xef\xbf\xbf'", "'\xf4\x8f\xbf\xbf'", "'\\/\\b\\f\\n\\r\\t\\\"\\\\'",
		" \t\n\r1 \t\n\r", "{'a':1,'a':2}",
	};
	size_t failed = 0;

	for (size_t i = 0; i < COUNT(values); i++) {
		CLEANUP_FREE char *request = filled("{'op':'list_hosts','limit':0,'x':@}", '@', values[i]);

		failed += !answers(*state, &(struct exchange){ values[i], request, EMPTY_LIST });
	}
	assert_int_equal(failed, 0);
}

/* The line is the first level. */
static void nesting_ends_at_127_levels(void **state)
{
	static const struct {
		const char *open, *inner, *close;
	} rows[] = {
		{ "[", "", "]" },
		{ "{'a':", "1", "}" },
	};
	static const struct {
		size_t levels;
		const char *expected;
	} depths[] = {
		{ 128, BAD_REQUEST }, { 129, BAD_REQUEST }, { 100000, BAD_REQUEST },
		{ 127, EMPTY_LIST }, { 126, EMPTY_LIST }, { 2, EMPTY_LIST },
	};

	for (size_t i = 0; i < COUNT(rows); i++)
		for (size_t j = 0; j < COUNT(depths); j++) {
			size_t n = depths[j].levels - 1;
			CLEANUP_FREE char *open = repeated(rows[i].open, n), *close = repeated(rows[i].close, n);
			CLEANUP_FREE char *request = NULL;

			assert_true(asprintf(&request, "{'op':'list_hosts','limit':0,'x':%s%s%s}", open, rows[i].inner,
					     close) >= 0);
			assert_true(answers_one(*state, request, depths[j].expected));
		}
}

static void a_nul_byte_is_refused_wherever_it_stands(void **state)
{
	static const char plain[] = "{\"op\":\"list_hosts\",\"limit\":0}";
	char line[sizeof plain + 1];

	for (size_t at = 0; at < sizeof plain; at++) {
		CLEANUP_FREE char *got = NULL;

		memcpy(line, plain, at);
		line[at] = '\0';
		memcpy(line + at + 1, plain + at, sizeof plain - 1 - at);
		got = masked(host_ask_raw(*state, line, sizeof plain));
		assert_json_text(got, BAD_REQUEST);
	}
}

/* ---- Taken ---- */

static void keys_may_be_unknown_escaped_or_null(void **state)
{
	static const struct exchange rows[] = {
		{ "unknown keys at the top", "{'x':1,'op':'list_hosts','y':{'op':2},'limit':0,'z':null}", EMPTY_LIST },
		{ "an unknown key twice", "{'op':'list_hosts','x':1,'x':2,'limit':0}", EMPTY_LIST },
		{ "the keys of other operations, with any value",
		  "{'op':'list_hosts','limit':0,'start':'x','runtime_id':5,'worker_id':[],'host_id':null,'request':1,'cursor':7}",
		  EMPTY_LIST },
		{ "keys that are empty, white space, or nearly right",
		  "{'':1,' ':2,'\\t':3,'op ':4,' op':5,'Op':6,'op\\u0000':7,'op':'list_hosts','limit':0}", EMPTY_LIST },
		{ "keys that are escaped", "{'\\u006fp':'list_hosts','\\u006C\\u0069mit':0}", EMPTY_LIST },
		{ "a value that is escaped", "{'op':'list\\u005fhosts','limit':0}", EMPTY_LIST },
		{ "white space wherever it may stand", " \t{ \r'op' \t:\n'list_hosts' , 'limit' : 0 } \r", EMPTY_LIST },
		{ "unknown keys in a request",
		  "{'op':'stop_worker','runtime_id':'none','request':{'x':1,'worker_id':'w','mode':'force',"
		  "'content':2}}",
		  "{'error':{'kind':'unknown_runtime','runtime_id':'none'}}" },
		{ "unknown keys in intent and acceptance",
		  "{'op':'spawn_worker','runtime_id':'none','request':{'intent':{'x':1,'kind':'workspace_orchestrator',"
		  "'ticket_id':5},'acceptance':{'y':[],'kind':'socket_ready'}}}",
		  "{'error':{'kind':'unknown_runtime','runtime_id':'none'}}" },
		{ "optional keys that are null",
		  "{'op':'spawn_worker','runtime_id':'none','request':{" COMPANION "," RUN
		  ",'requested_worker_name':null,'request_id':null}}",
		  "{'error':{'kind':'unknown_runtime','runtime_id':'none'}}" },
		{ "optional keys that are empty",
		  "{'op':'spawn_worker','runtime_id':'none','request':{" COMPANION "," RUN
		  ",'requested_worker_name':'','request_id':''}}",
		  "{'error':{'kind':'unknown_runtime','runtime_id':'none'}}" },
		{ "the kind of an input that is left out",
		  "{'op':'send_input','runtime_id':'none','worker_id':'w','request':{'content':''}}",
		  "{'error':{'kind':'unknown_runtime','runtime_id':'none'}}" },
	};

	check_exchanges(*state, rows, COUNT(rows));
}

static void the_id_is_given_back_first(void **state)
{
	static const struct exchange rows[] = {
		{ "with a bad request", "{'id':'a'}", "{'id':'a','error':{'kind':'bad_request','message':'...'}}" },
		{ "with a bad request, though it stands last", "{'op':5,'id':7}",
		  "{'id':7,'error':{'kind':'bad_request','message':'...'}}" },
		{ "with an invalid identifier", "{'op':'worker','runtime_id':'','worker_id':'w','id':1}",
		  "{'id':1,'error':{'kind':'invalid_identifier','identifier_kind':'runtime_id','value':''}}" },
		{ "with an unknown runtime", "{'op':'worker','runtime_id':'r','worker_id':'w','id':1}",
		  "{'id':1,'error':{'kind':'unknown_runtime','runtime_id':'r'}}" },
		{ "with an unknown worker", "{'id':1,'op':'worker','runtime_id':'" EMBEDDED "','worker_id':'w'}",
		  "{'id':1,'error':{'kind':'unknown_worker','runtime_id':'" EMBEDDED "','worker_id':'w'}}" },
		{ "with an unknown host", "{'id':1,'op':'list_workers_for_host','host_id':'h'}",
		  "{'id':1,'error':{'kind':'unknown_host','host_id':'h'}}" },
		{ "with the answer of a runtime", "{'id':'t','op':'transcript','runtime_id':'" EMBEDDED "',"
		  "'worker_id':'" WORKER "'}",
		  "{'id':'t','state':'accepted','runtime_id':'" EMBEDDED "','worker_id':'" WORKER "',"
		  "'start':0,'limit':200,'total_items':0,'items':[],'diagnostics':[]}" },
	};

	check_exchanges(*state, rows, COUNT(rows));
}

static void the_id_is_given_back_to_the_letter(void **state)
{
	static const struct {
		const char *given, *back;
	} rows[] = {
		{ "''", "''" },
		{ "'x'", "'x'" },
		{ "'\\\"\\\\\\/\\u0041\\u00e9\\ud83d\\ude00\\u007f'", "'\\\"\\\\/A\xc3\xa9\xf0\x9f\x98\x80\x7f'" },
		{ "'\\u0000\\u0001\\u001f'", "'\\u0000\\u0001\\u001f'" },
		{ "'\\u000A\\u000d\\u0009\\u0008\\u000c'", "'\\n\\r\\t\\b\\f'" },
		{ "'\\u0022\\u005c\\u002f'", "'\\\"\\\\/'" },
		{ "'\xe2\x80\xa8\xef\xbf\xbe'", "'\xe2\x80\xa8\xef\xbf\xbe'" },
		{ "0", "0" },
		{ "-0", "-0" },
		{ "-12", "-12" },
		{ "1e5", "1e5" },
		{ "1E+2", "1E+2" },
		{ "1.50", "1.50" },
		{ "0.1e-5", "0.1e-5" },
		{ "12345678901234567890", "12345678901234567890" },
		{ "123456789012345678901234567890.000", "123456789012345678901234567890.000" },
	};
	size_t failed = 0;

	for (size_t i = 0; i < COUNT(rows); i++) {
		CLEANUP_FREE char *first = filled("{'id':@,'op':'list_hosts','limit':0}", '@', rows[i].given);
		CLEANUP_FREE char *last = filled("{'op':'list_hosts','limit':0,'id' : @ }", '@', rows[i].given);
		CLEANUP_FREE char *expected = filled("{'id':@,'items':[],'diagnostics':[]}", '@', rows[i].back);

		failed += !answers_one(*state, first, expected);
		failed += !answers_one(*state, last, expected);
	}
	assert_int_equal(failed, 0);
}

/* ---- Numbers ---- */

static void integers_are_exact_at_64_bits(void **state)
{
	static const char *const numbers[] = {
		"0", "1", "9007199254740993", "9223372036854775807", "9223372036854775808", "18446744073709551614",
		"18446744073709551615",
	};
	size_t failed = 0;

	for (size_t i = 0; i < COUNT(numbers); i++) {
		CLEANUP_FREE char *start_at = filled(TRANSCRIPT(",'limit':256,'start':@"), '@', numbers[i]);
		CLEANUP_FREE char *transcript = filled(
			"{'state':'accepted','runtime_id':'" EMBEDDED "','worker_id':'" WORKER "',"
			"'start':@,'limit':256,'total_items':0,'items':[],'diagnostics':[]}", '@', numbers[i]);
		CLEANUP_FREE char *hosts = filled("{'op':'list_hosts','limit':@}", '@', numbers[i]);
		CLEANUP_FREE char *max_workers = filled("\"max_workers\":@,", '@', numbers[i]);

		failed += !answers_one(*state, start_at, transcript);
		if (strcmp(numbers[i], "0") != 0)
			assert_non_null(strstr(host_ask(*state, "%s", hosts), max_workers));
	}
	assert_int_equal(failed, 0);
}

static void limit_is_200_where_it_is_left_out(void **state)
{
	static const char *const requests[] = { "{'op':'list_runtimes'}", "{'op':'list_hosts'}" };

	for (size_t i = 0; i < COUNT(requests); i++)
		assert_non_null(strstr(host_ask(*state, "%s", requests[i]), "\"max_workers\":200,"));
}

/* ---- Identifiers ---- */

/* @: the runtime_id, #: the worker_id. */
static const char *const worker_requests[] = {
	"{'op':'worker','runtime_id':'@','worker_id':'#'}",
	"{'op':'connect_points','runtime_id':'@','worker_id':'#'}",
	"{'op':'transcript','runtime_id':'@','worker_id':'#'}",
	"{'op':'transcript','runtime_id':'@','worker_id':'#','limit':257}",
	"{'op':'send_input','runtime_id':'@','worker_id':'#','request':{'content':'x'}}",
	"{'op':'send_input','runtime_id':'@','worker_id':'#','request':{'content':''}}",
	"{'op':'stop_worker','runtime_id':'@','request':{'worker_id':'#','mode':'graceful'}}",
};

/* @: the runtime_id. */
static const char *const spawn_requests[] = {
	"{'op':'spawn_worker','runtime_id':'@','request':{" COMPANION "," RUN "}}",
	"{'op':'spawn_worker','runtime_id':'@','request':{" COMPANION ",'acceptance':{'kind':'socket_ready'}}}",
};

static void ids_are_judged_in_their_order(void **state)
{
	static const struct {
		const char *runtime_id, *worker_id, *expected;
	} rows[] = {
		{ "a b", "c/d", "{'error':{'kind':'invalid_identifier','identifier_kind':'runtime_id',"
		  "'value':'a b'}}" },
		{ "", "", "{'error':{'kind':'invalid_identifier','identifier_kind':'runtime_id','value':''}}" },
		{ "a b", WORKER, "{'error':{'kind':'invalid_identifier','identifier_kind':'runtime_id',"
		  "'value':'a b'}}" },
		{ "none", "c/d", "{'error':{'kind':'invalid_identifier','identifier_kind':'worker_id',"
		  "'value':'c/d'}}" },
		{ "none", "", "{'error':{'kind':'invalid_identifier','identifier_kind':'worker_id','value':''}}" },
		{ EMBEDDED, "c/d", "{'error':{'kind':'invalid_identifier','identifier_kind':'worker_id',"
		  "'value':'c/d'}}" },
		{ "none", "none", "{'error':{'kind':'unknown_runtime','runtime_id':'none'}}" },
		{ "none", WORKER, "{'error':{'kind':'unknown_runtime','runtime_id':'none'}}" },
		{ EMBEDDED, "none", "{'error':{'kind':'unknown_worker','runtime_id':'" EMBEDDED "',"
		  "'worker_id':'none'}}" },
	};
	size_t failed = 0;

	for (size_t i = 0; i < COUNT(rows); i++)
		for (size_t j = 0; j < COUNT(worker_requests); j++) {
			CLEANUP_FREE char *half = filled(worker_requests[j], '@', rows[i].runtime_id);
			CLEANUP_FREE char *request = filled(half, '#', rows[i].worker_id);

			failed += !answers_one(*state, request, rows[i].expected);
		}
	assert_int_equal(failed, 0);
	assert_nothing_happened(*state);
}

static void spawn_judges_the_runtime_alone(void **state)
{
	for (size_t i = 0; i < COUNT(spawn_requests); i++) {
		CLEANUP_FREE char *invalid = filled(spawn_requests[i], '@', "../x");
		CLEANUP_FREE char *unknown = filled(spawn_requests[i], '@', "none");

		assert_true(answers_one(*state, invalid, "{'error':{'kind':'invalid_identifier',"
							 "'identifier_kind':'runtime_id','value':'../x'}}"));
		assert_true(answers_one(*state, unknown, "{'error':{'kind':'unknown_runtime','runtime_id':'none'}}"));
	}
}

static void bad_requests_are_found_before_ids_are_looked_at(void **state)
{
	static const struct refusal rows[] = {
		{ "worker", "{'op':'worker','runtime_id':'../x'}", "worker_id" },
		{ "workers of a host", "{'op':'list_workers_for_host','host_id':'../x','limit':-1}", "limit" },
		{ "spawn", "{'op':'spawn_worker','runtime_id':'../x','request':{" COMPANION "}}", "acceptance" },
		{ "spawn in an unknown runtime", "{'op':'spawn_worker','runtime_id':'none','request':{}}", "intent" },
		{ "stop", "{'op':'stop_worker','runtime_id':'../x','request':{'worker_id':'','mode':'now'}}", "mode" },
		{ "input", "{'op':'send_input','runtime_id':'../x','worker_id':'','request':{}}", "content" },
		{ "transcript", "{'op':'transcript','runtime_id':'../x','worker_id':'','limit':1.0}", "limit" },
		{ "connect points", "{'op':'connect_points','runtime_id':'../x','worker_id':7}", "worker_id" },
	};

	check_refusals(*state, rows, COUNT(rows));
}

static bool is_identifier_byte(int c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_' || c == ':';
}

/* Asks for the worker of the runtime and tells the kind of the error. */
static char *error_kind(struct host *host, const char *runtime_id, size_t len, char **valuep)
{
	static const char head[] = "{\"op\":\"worker\",\"worker_id\":\"w\",\"runtime_id\":\"", tail[] = "\"}";
	struct buffer line = { 0 };
	cJSON *answer;
	char *kind;

	buffer_append_string(&line, head);
	buffer_append(&line, runtime_id, len);
	buffer_append_string(&line, tail);
	answer = cJSON_Parse(host_ask_raw(host, line.data, line.len));
	kind = strdup(json_string_at(answer, "error.kind"));
	if (valuep && strcmp(kind, "invalid_identifier") == 0)
		*valuep = strdup(json_string_at(answer, "error.value"));
	cJSON_Delete(answer);
	buffer_fini(&line);
	return kind;
}

static void each_byte_is_valid_in_an_identifier_or_not(void **state)
{
	for (int c = 0; c < 256; c++) {
		const char id[] = { 'a', (char)c, 'z' };
		CLEANUP_FREE char *kind = error_kind(*state, id, sizeof id, NULL);
		bool no_json = c < 0x20 || c == '"' || c == '\\' || c >= 0x80;

		if (strcmp(kind, is_identifier_byte(c) ? "unknown_runtime" :
				 no_json ? "bad_request" : "invalid_identifier") != 0)
			fail_msg("byte 0x%02x: %s", (unsigned)c, kind);
	}
}

static void each_character_is_valid_in_an_identifier_or_not_when_escaped(void **state)
{
	for (int c = 0; c < 256; c++) {
		CLEANUP_FREE char *kind = NULL, *value = NULL;
		char id[16];
		int len = snprintf(id, sizeof id, "\\u%04x", (unsigned)c);

		kind = error_kind(*state, id, (size_t)len, &value);
		if (strcmp(kind, is_identifier_byte(c) ? "unknown_runtime" : "invalid_identifier") != 0)
			fail_msg("U+%04X: %s", (unsigned)c, kind);
		if (value && c > 0 && c < 0x80)
			assert_true(value[0] == c && value[1] == '\0');
		if (value && c >= 0x80) {
			const char utf8[] = { (char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f)), '\0' };

			assert_string_equal(value, utf8);
		}
	}
}

static void identifiers_have_1_to_120_bytes(void **state)
{
	static const struct {
		size_t len;
		const char *kind;
	} rows[] = {
		{ 0, "invalid_identifier" }, { 121, "invalid_identifier" }, { 100000, "invalid_identifier" },
		{ 1, "unknown_runtime" }, { 120, "unknown_runtime" },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		CLEANUP_FREE char *id = repeated(":", rows[i].len);
		CLEANUP_FREE char *kind = error_kind(*state, id, rows[i].len, NULL);

		assert_string_equal(kind, rows[i].kind);
	}
}

static void an_invalid_value_is_cut_to_120_characters(void **state)
{
	static const struct {
		const char *unit, *back;
		size_t n, n_back;
	} rows[] = {
		{ "a", "a", 121, 120 },
		{ "a", "a", 5000, 120 },
		{ " ", " ", 120, 120 },
		{ "\xc3\xa9", "\xc3\xa9", 119, 119 },
		{ "\xc3\xa9", "\xc3\xa9", 120, 120 },
		{ "\xc3\xa9", "\xc3\xa9", 121, 120 },
		{ "\xe2\x82\xac", "\xe2\x82\xac", 200, 120 },
		{ "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80", 200, 120 },
		{ "\\ud83d\\ude00", "\xf0\x9f\x98\x80", 121, 120 },
		{ "e\\u0301", "e\xcc\x81", 61, 60 }, /* code points, not what a reader takes for one character */
		{ "\\\"", "\"", 121, 120 },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		CLEANUP_FREE char *given = repeated(rows[i].unit, rows[i].n);
		CLEANUP_FREE char *back = repeated(rows[i].back, rows[i].n_back), *value = NULL, *kind = NULL;

		kind = error_kind(*state, given, strlen(given), &value);
		assert_string_equal(kind, "invalid_identifier");
		assert_string_equal(value, back);
	}
}

static void an_invalid_value_is_escaped_as_little_as_can_be(void **state)
{
	assert_true(answers_one(*state, "{'op':'list_workers_for_host',"
					"'host_id':'\\\"\\\\\\/\\u0000\\u001f\\u007f\\u2028'}",
				"{'error':{'kind':'invalid_identifier','identifier_kind':'host_id',"
				"'value':'\\\"\\\\/\\u0000\\u001f\x7f\xe2\x80\xa8'}}"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(missing_keys_and_unknown_variants_are_refused),
		cmocka_unit_test(values_of_the_wrong_type_are_refused),
		cmocka_unit_test(keys_given_twice_are_refused),
		cmocka_unit_test(lines_that_are_no_object_are_refused),
		cmocka_unit_test(values_that_are_no_json_are_refused_in_unknown_keys),
		cmocka_unit_test(nesting_ends_at_127_levels),
		cmocka_unit_test(a_nul_byte_is_refused_wherever_it_stands),
		cmocka_unit_test(unusual_values_are_taken_in_unknown_keys),
		cmocka_unit_test(keys_may_be_unknown_escaped_or_null),
		cmocka_unit_test(the_id_is_given_back_first),
		cmocka_unit_test(the_id_is_given_back_to_the_letter),
		cmocka_unit_test(integers_are_exact_at_64_bits),
		cmocka_unit_test(limit_is_200_where_it_is_left_out),
		cmocka_unit_test(ids_are_judged_in_their_order),
		cmocka_unit_test(spawn_judges_the_runtime_alone),
		cmocka_unit_test(bad_requests_are_found_before_ids_are_looked_at),
		cmocka_unit_test(each_byte_is_valid_in_an_identifier_or_not),
		cmocka_unit_test(each_character_is_valid_in_an_identifier_or_not_when_escaped),
		cmocka_unit_test(identifiers_have_1_to_120_bytes),
		cmocka_unit_test(an_invalid_value_is_cut_to_120_characters),
		cmocka_unit_test(an_invalid_value_is_escaped_as_little_as_can_be),
	};

	return cmocka_run_group_tests_name("contract: requests", tests, start, stop);
}
