/* SPDX-License-Identifier: MIT */
/* The registry over several runtimes: orders, limits, diagnostics, shapes, defaults.
 * Where a runtime must be of a certain size, one that does as it is told is entered
 * beside the plugins. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <time.h>

#include "tests/contract.h"

#define FALSE_CAPABILITIES                                                                                    \
	"'can_spawn_worker':false,'can_stop_worker':false,'can_accept_input':false,'can_stream_events':false," \
	"'can_read_bounded_transcript':false,'has_workspace_fs':false,'has_shell':false,'has_git':false,"     \
	"'supports_worktrees':false,'supports_backend_internal_tools':false,"
#define NO_CAPABILITIES(inspection, scope, max_workers)                                              \
	"{'can_list_hosts':false,'can_list_workers':false,'can_get_worker':false," FALSE_CAPABILITIES \
	CAPABILITIES_END(inspection, scope, max_workers)

/* ---- A runtime that does as it is told ---- */

enum { NOT_ASKED = 12345, N_DIAGNOSTICS_MAX = 40 };

struct fake {
	const char *runtime_id;  /* the codes of its diagnostics are this, "_" and a number from 0 */
	const char *host_prefix; /* host ids are this and a number from 0 */
	uint64_t n_hosts, n_workers; /* worker w-N is on host N modulo n_hosts */
	unsigned n_diagnostics;  /* of the runtime and of each list */
	bool overflows;          /* pushes all, whatever the limit */
	uint64_t observed_at_ns, last_seen_at_ns, can, worker_can;
	uint64_t asked_runtime, asked_hosts, asked_workers; /* the last limits, or NOT_ASKED */
	bool cancelled;		 /* what the sink last said of a list of workers */
};

/* The one that is being opened: a request has no room for it. */
static struct fake *opening;

struct complaints {
	char codes[N_DIAGNOSTICS_MAX][32];
	struct berth_diagnostic list[N_DIAGNOSTICS_MAX];
};

static void complain(const struct fake *fake, struct complaints *complaints)
{
	for (unsigned i = 0; i < fake->n_diagnostics; i++) {
		snprintf(complaints->codes[i], sizeof *complaints->codes, "%s_%u", fake->runtime_id, i);
		complaints->list[i] = (struct berth_diagnostic){
			.size = sizeof *complaints->list,
			.code = berth_text(complaints->codes[i]),
			.message = BERTH_TEXT("of a test"),
			.severity = i,
		};
	}
}

static void push_complaints(const struct fake *fake, struct berth_call *call)
{
	struct complaints complaints;

	complain(fake, &complaints);
	for (unsigned i = 0; i < fake->n_diagnostics; i++)
		call->sink->diagnostic(call, &complaints.list[i]);
}

static int push_runtime(const struct fake *fake, struct berth_call *call)
{
	struct complaints complaints;
	const struct berth_runtime runtime = {
		.size = sizeof runtime,
		.runtime_id = berth_text(fake->runtime_id),
		.label = BERTH_TEXT("Fake"),
		.kind = BERTH_TEXT("fake"),
		.status = BERTH_TEXT("available"),
		.source_kind = BERTH_TEXT("fake"),
		.source_status = BERTH_TEXT("active"),
		.source_note = BERTH_TEXT("of a test"),
		.can = fake->can,
		.diagnostics = complaints.list,
		.n_diagnostics = fake->n_diagnostics,
	};

	complain(fake, &complaints);
	return call->sink->runtime(call, &runtime);
}

static int fake_open(void **instance, struct berth_call *call, const struct berth_open_request *request)
{
	(void)request;
	*instance = opening;
	return push_runtime(opening, call);
}

static int fake_runtime(void *instance, struct berth_call *call, const struct berth_list_request *request)
{
	struct fake *fake = instance;

	fake->asked_runtime = request->limit;
	return push_runtime(fake, call);
}

static int fake_list_hosts(void *instance, struct berth_call *call, const struct berth_list_request *request)
{
	struct fake *fake = instance;
	char id[64];

	fake->asked_hosts = request->limit;
	push_complaints(fake, call);
	for (uint64_t i = 0; i < fake->n_hosts && (fake->overflows || i < request->limit); i++) {
		struct berth_host host = {
			.size = sizeof host,
			.label = BERTH_TEXT("host"),
			.kind = BERTH_TEXT("fake"),
			.status = BERTH_TEXT("available"),
			.observed_at_ns = fake->observed_at_ns,
			.last_seen_at_ns = fake->last_seen_at_ns,
			.can = fake->can,
		};

		snprintf(id, sizeof id, "%s%" PRIu64, fake->host_prefix, i);
		host.host_id = berth_text(id);
		call->sink->host(call, &host);
	}
	return 0;
}

static int fake_list_workers(void *instance, struct berth_call *call, const struct berth_list_request *request)
{
	struct fake *fake = instance;
	char id[64], host_id[64];

	fake->asked_workers = request->limit;
	fake->cancelled = call->sink->cancelled(call);
	push_complaints(fake, call);
	for (uint64_t i = 0; i < fake->n_workers && (fake->overflows || i < request->limit); i++) {
		struct berth_worker worker = {
			.size = sizeof worker,
			.label = BERTH_TEXT("worker"),
			.workspace_visibility = BERTH_TEXT("v"),
			.workspace_identity = BERTH_TEXT("i"),
			.state = BERTH_TEXT("s"),
			.status = BERTH_TEXT("t"),
			.last_seen_at_ns = fake->last_seen_at_ns,
			.implementation_kind = BERTH_TEXT("k"),
			.implementation_hint = BERTH_TEXT("h"),
			.can = fake->worker_can,
		};

		snprintf(id, sizeof id, "w-%" PRIu64, i);
		snprintf(host_id, sizeof host_id, "%s%" PRIu64, fake->host_prefix, i % fake->n_hosts);
		worker.worker_id = berth_text(id);
		worker.host_id = berth_text(host_id);
		call->sink->worker(call, &worker);
	}
	return 0;
}

static struct adapter fake_adapter = {
	.stamp = { .id = "fake", .version = "1.0", .threading = BERTH_THREADS_ANY },
	.ops = {
		.size = sizeof fake_adapter.ops,
		.open = fake_open,
		.runtime = fake_runtime,
		.list_hosts = fake_list_hosts,
		.list_workers = fake_list_workers,
	},
};

/* Opens one and enters it; what registry_add says. */
static int enter(struct host *host, struct fake *fake)
{
	const struct workspace workspace = { BERTH_TEXT("local:test"), BERTH_TEXT("/workspace/project"), { NULL, 0 } };
	struct instance *instance;
	struct failure failure;
	int rc;

	opening = fake;
	fake->asked_runtime = fake->asked_hosts = fake->asked_workers = NOT_ASKED;
	assert_int_equal(instance_open(&fake_adapter, fake->runtime_id, NULL, &workspace, &instance, &failure), 0);
	rc = registry_add(&host->inventory.registry, instance);
	if (rc < 0)
		instance_close(instance);
	return rc;
}

static void start_fakes(struct host *host, struct fake *fakes, size_t n)
{
	host_start(host, &(struct host_setup){ .adapters = "" });
	for (size_t i = 0; i < n; i++)
		assert_int_equal(enter(host, &fakes[i]), 0);
}

/* The values of a key in the objects of a list, with spaces between; to be freed. */
static char *gathered(struct host *host, const char *request, const char *list, const char *key)
{
	cJSON *answer = host_ask_json(host, "%s", request);
	struct buffer out = { 0 };
	const cJSON *item;

	cJSON_ArrayForEach(item, json_at(answer, list)) {
		if (out.len > 0)
			buffer_append_char(&out, ' ');
		buffer_append_string(&out, json_string_at(item, key));
	}
	buffer_append_char(&out, '\0');
	assert_false(out.failed);
	cJSON_Delete(answer);
	return out.data;
}

static void assert_gathered(struct host *host, const char *request, const char *list, const char *key,
			    const char *expected)
{
	CLEANUP_FREE char *got = gathered(host, request, list, key);

	if (strcmp(got, expected) != 0)
		fail_msg("%s of %s in the answer to %s: expected %s, got %s", key, list, request, expected, got);
}

/* ---- Diagnostics ---- */

#define TEN(id) id "_0 " id "_1 " id "_2 " id "_3 " id "_4 " id "_5 " id "_6 " id "_7 " id "_8 " id "_9"
#define SIX(id) id "_0 " id "_1 " id "_2 " id "_3 " id "_4 " id "_5"

static void a_list_carries_the_first_16_diagnostics(void **state)
{
	static const struct {
		unsigned n_a, n_b;
		const char *request, *codes;
	} rows[] = {
		{ 10, 10, "{'op':'list_runtimes'}", TEN("a") " " SIX("b") },
		{ 10, 10, "{'op':'list_hosts'}", TEN("a") " " SIX("b") },
		{ 10, 10, "{'op':'list_workers'}", TEN("a") " " SIX("b") },
		{ 10, 10, "{'op':'list_workers_for_host','host_id':'h0'}", TEN("a") " " SIX("a") },
		{ 17, 1, "{'op':'list_workers'}", TEN("a") " a_10 a_11 a_12 a_13 a_14 a_15" },
		{ 40, 0, "{'op':'list_hosts'}", TEN("a") " a_10 a_11 a_12 a_13 a_14 a_15" },
		{ 16, 1, "{'op':'list_workers'}", TEN("a") " a_10 a_11 a_12 a_13 a_14 a_15" },
		{ 15, 1, "{'op':'list_workers'}", TEN("a") " a_10 a_11 a_12 a_13 a_14 b_0" },
		{ 0, 2, "{'op':'list_workers'}", "b_0 b_1" },
		{ 0, 0, "{'op':'list_workers'}", "" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct fake fakes[] = {
			{ .runtime_id = "a", .host_prefix = "h", .n_hosts = 1, .n_diagnostics = rows[i].n_a },
			{ .runtime_id = "b", .host_prefix = "h", .n_hosts = 1, .n_diagnostics = rows[i].n_b },
		};
		struct host host;

		start_fakes(&host, fakes, COUNT(fakes));
		assert_gathered(&host, rows[i].request, "diagnostics", "code", rows[i].codes);
		host_stop(&host);
	}
}

static void a_list_for_a_host_keeps_diagnostics_in_order_and_repeats(void **state)
{
	static const struct {
		const char *request, *codes;
	} rows[] = {
		{ "{'op':'list_workers_for_host','host_id':'h0'}", "a_0 a_1 b_0 b_0 c_0 c_1 c_0 c_1" },
		{ "{'op':'list_workers_for_host','host_id':'g0'}", "a_0 a_1 a_0 a_1 b_0 c_0 c_1" },
	};
	struct fake fakes[] = {
		{ .runtime_id = "a", .host_prefix = "g", .n_hosts = 1, .n_diagnostics = 2 },
		{ .runtime_id = "b", .host_prefix = "h", .n_hosts = 1, .n_diagnostics = 1 },
		{ .runtime_id = "c", .host_prefix = "h", .n_hosts = 1, .n_diagnostics = 2 },
	};
	struct host host;

	(void)state;
	start_fakes(&host, fakes, COUNT(fakes));
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_gathered(&host, rows[i].request, "diagnostics", "code", rows[i].codes);
	host_stop(&host);
}

static void a_runtime_keeps_its_diagnostics_and_the_list_gathers_them(void **state)
{
	struct fake fakes[] = {
		{ .runtime_id = "a", .n_diagnostics = 1 },
		{ .runtime_id = "b", .n_diagnostics = 2 },
	};
	struct host host;

	(void)state;
	start_fakes(&host, fakes, COUNT(fakes));
	assert_gathered(&host, "{'op':'list_runtimes'}", "items.0.diagnostics", "code", "a_0");
	assert_gathered(&host, "{'op':'list_runtimes'}", "items.1.diagnostics", "code", "b_0 b_1");
	assert_gathered(&host, "{'op':'list_runtimes'}", "diagnostics", "code", "a_0 b_0 b_1");
	assert_gathered(&host, "{'op':'list_runtimes','limit':1}", "diagnostics", "code", "a_0");
	host_stop(&host);
}

static void a_severity_that_is_none_counts_as_info(void **state)
{
	/* The severities are 0 to 4 here. */
	struct fake fake = { .runtime_id = "a", .n_diagnostics = 5 };
	struct host host;

	(void)state;
	start_fakes(&host, &fake, 1);
	assert_gathered(&host, "{'op':'list_workers'}", "diagnostics", "severity", "info info warning error info");
	assert_gathered(&host, "{'op':'list_runtimes'}", "items.0.diagnostics", "severity",
			"info info warning error info");
	host_stop(&host);
}

/* ---- Orders and limits ---- */

/* The last limit that the operation brought. */
static uint64_t asked(const struct fake *fake, const char *op)
{
	if (strcmp(op, "list_runtimes") == 0)
		return fake->asked_runtime;
	return strcmp(op, "list_hosts") == 0 ? fake->asked_hosts : fake->asked_workers;
}

static void runtimes_are_asked_for_what_is_missing_to_the_limit(void **state)
{
	static const struct {
		const char *op, *limit;
		uint64_t asked_a, asked_b;
		int n;
	} rows[] = {
		{ "list_workers", "0", NOT_ASKED, NOT_ASKED, 0 },
		{ "list_workers", "2", 2, NOT_ASKED, 2 },
		{ "list_workers", "3", 3, NOT_ASKED, 3 },
		{ "list_workers", "4", 4, 1, 4 },
		{ "list_workers", "100", 100, 97, 7 },
		{ "list_workers", "18446744073709551615", UINT64_MAX, UINT64_MAX - 3, 7 },
		{ "list_hosts", "0", NOT_ASKED, NOT_ASKED, 0 },
		{ "list_hosts", "2", 2, NOT_ASKED, 2 },
		{ "list_hosts", "5", 5, 3, 5 },
		{ "list_hosts", "6", 6, 4, 5 },
		{ "list_runtimes", "0", NOT_ASKED, NOT_ASKED, 0 },
		{ "list_runtimes", "1", 1, NOT_ASKED, 1 },
		{ "list_runtimes", "2", 2, 2, 2 },
		{ "list_runtimes", "18446744073709551615", UINT64_MAX, UINT64_MAX, 2 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct fake fakes[] = {
			{ .runtime_id = "a", .host_prefix = "g", .n_hosts = 2, .n_workers = 3 },
			{ .runtime_id = "b", .host_prefix = "h", .n_hosts = 3, .n_workers = 4 },
		};
		struct host host;
		cJSON *answer;

		start_fakes(&host, fakes, COUNT(fakes));
		answer = host_ask_json(&host, "{'op':'%s','limit':%s}", rows[i].op, rows[i].limit);
		assert_int_equal(cJSON_GetArraySize(json_at(answer, "items")), rows[i].n);
		assert_int_equal(asked(&fakes[0], rows[i].op), rows[i].asked_a);
		assert_int_equal(asked(&fakes[1], rows[i].op), rows[i].asked_b);
		cJSON_Delete(answer);
		host_stop(&host);
	}
}

static void a_list_of_limit_0_has_no_diagnostics(void **state)
{
	static const struct exchange rows[] = {
		{ "runtimes", "{'op':'list_runtimes','limit':0}", EMPTY_LIST },
		{ "hosts", "{'op':'list_hosts','limit':0}", EMPTY_LIST },
		{ "workers", "{'op':'list_workers','limit':0}", EMPTY_LIST },
	};
	struct fake fake = { .runtime_id = "a", .host_prefix = "h", .n_hosts = 1, .n_workers = 1, .n_diagnostics = 3 };
	struct host host;

	(void)state;
	start_fakes(&host, &fake, 1);
	check_exchanges(&host, rows, COUNT(rows));
	host_stop(&host);
}

static void what_is_pushed_beyond_the_limit_is_dropped(void **state)
{
	struct fake fakes[] = {
		{ .runtime_id = "a", .host_prefix = "g", .n_hosts = 3, .n_workers = 5, .overflows = true },
		{ .runtime_id = "b", .host_prefix = "h", .n_hosts = 3, .n_workers = 5, .overflows = true },
	};
	struct host host;

	(void)state;
	start_fakes(&host, fakes, COUNT(fakes));
	assert_gathered(&host, "{'op':'list_hosts','limit':2}", "items", "host_id", "g0 g1");
	assert_gathered(&host, "{'op':'list_hosts','limit':4}", "items", "host_id", "g0 g1 g2 h0");
	assert_gathered(&host, "{'op':'list_workers','limit':6}", "items", "worker_id", "w-0 w-1 w-2 w-3 w-4 w-0");
	host_stop(&host);
}

static void workers_of_a_host_come_from_every_runtime_that_has_it(void **state)
{
	static const struct {
		const char *limit, *runtimes, *workers;
	} rows[] = {
		/* Each is asked for as many workers as the limit says, on whatever host they are. */
		{ "1", "a", "w-0" },
		{ "2", "a c", "w-0 w-0" },
		{ "3", "a a c", "w-0 w-2 w-0" },
		{ "4", "a a c c", "w-0 w-2 w-0 w-1" },
		{ "5", "a a a c c", "w-0 w-2 w-4 w-0 w-1" },
		{ "200", "a a a c c c c", "w-0 w-2 w-4 w-0 w-1 w-2 w-3" },
	};
	struct fake fakes[] = {
		{ .runtime_id = "a", .host_prefix = "h", .n_hosts = 2, .n_workers = 5 },
		{ .runtime_id = "b", .host_prefix = "g", .n_hosts = 1, .n_workers = 5 },
		{ .runtime_id = "c", .host_prefix = "h", .n_hosts = 1, .n_workers = 4 },
	};
	struct host host;

	(void)state;
	start_fakes(&host, fakes, COUNT(fakes));
	for (size_t i = 0; i < COUNT(rows); i++) {
		CLEANUP_FREE char *request =
			filled("{'op':'list_workers_for_host','host_id':'h0','limit':@}", '@', rows[i].limit);

		assert_gathered(&host, request, "items", "runtime_id", rows[i].runtimes);
		assert_gathered(&host, request, "items", "worker_id", rows[i].workers);
	}
	assert_int_equal(fakes[0].asked_hosts, 256);
	assert_int_equal(fakes[0].asked_workers, 200);
	assert_int_equal(fakes[1].asked_hosts, 256);
	assert_int_equal(fakes[1].asked_workers, NOT_ASKED);
	assert_int_equal(fakes[2].asked_workers, 200);
	host_stop(&host);
}

static void a_host_is_resolved_among_the_first_256(void **state)
{
	static const struct exchange rows[] = {
		{ "the 257th", "{'op':'list_workers_for_host','host_id':'h256'}",
		  "{'error':{'kind':'unknown_host','host_id':'h256'}}" },
		{ "the 257th, with limit 0", "{'op':'list_workers_for_host','host_id':'h256','limit':0}",
		  "{'error':{'kind':'unknown_host','host_id':'h256'}}" },
		{ "the 256th", "{'op':'list_workers_for_host','host_id':'h255'}", EMPTY_LIST },
		{ "the 256th, with limit 0", "{'op':'list_workers_for_host','host_id':'h255','limit':0}", EMPTY_LIST },
		{ "the first", "{'op':'list_workers_for_host','host_id':'h0'}", EMPTY_LIST },
	};

	(void)state;
	for (int overflows = 0; overflows < 2; overflows++) {
		struct fake fake = { .runtime_id = "a", .host_prefix = "h", .n_hosts = 300, .overflows = overflows };
		struct host host;

		start_fakes(&host, &fake, 1);
		check_exchanges(&host, rows, COUNT(rows));
		host_stop(&host);
	}
}

static void runtimes_stand_in_the_order_of_registration(void **state)
{
	static const struct {
		const char *adapters, *runtimes;
	} rows[] = {
		{ NULL, "local-worker-runtime embedded-worker-runtime remote-worker-runtime" },
		{ "remote-reserved,embedded,local-pod",
		  "remote-worker-runtime embedded-worker-runtime local-worker-runtime" },
		{ "embedded,local-pod", "embedded-worker-runtime local-worker-runtime" },
		{ "remote-reserved", "remote-worker-runtime" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct host host;

		host_start(&host, &(struct host_setup){ .adapters = rows[i].adapters });
		assert_gathered(&host, "{'op':'list_runtimes'}", "items", "runtime_id", rows[i].runtimes);
		host_stop(&host);
	}
}

static void hosts_stand_in_the_order_of_their_runtimes(void **state)
{
	struct host host;
	cJSON *hosts;

	(void)state;
	host_start(&host, &(struct host_setup){ .adapters = "remote-reserved,embedded,local-pod" });
	assert_gathered(&host, "{'op':'list_hosts','limit':1}", "items", "runtime_id", "embedded-worker-runtime");
	hosts = host_ask_json(&host, "{'op':'list_hosts','limit':10}");
	assert_int_equal(cJSON_GetArraySize(json_at(hosts, "items")), 2);
	assert_string_equal(json_string_at(hosts, "items.0.host_id"), "embedded-local-test-a2fa388634a6e2ed");
	assert_string_equal(json_string_at(hosts, "items.1.host_id"), "local-local-test-a2fa388634a6e2ed");
	assert_true(cJSON_GetNumberValue(json_at(hosts, "items.0.capabilities.max_workers")) == 10);
	assert_true(cJSON_GetNumberValue(json_at(hosts, "items.1.capabilities.max_workers")) == 9);
	cJSON_Delete(hosts);
	host_stop(&host);
}

static void of_two_with_one_runtime_id_the_later_is_refused(void **state)
{
	struct fake fakes[] = { { .runtime_id = "a" }, { .runtime_id = "a" }, { .runtime_id = "A" } };
	struct host host;

	(void)state;
	start_fakes(&host, fakes, 1);
	assert_int_equal(enter(&host, &fakes[1]), -EEXIST);
	assert_int_equal(enter(&host, &fakes[2]), 0);
	assert_gathered(&host, "{'op':'list_runtimes'}", "items", "runtime_id", "a A");
	host_stop(&host);

	host_start(&host, &(struct host_setup){ .adapters = "embedded,embedded,remote-reserved" });
	assert_gathered(&host, "{'op':'list_runtimes'}", "items", "runtime_id",
			"embedded-worker-runtime remote-worker-runtime");
	assert_non_null(host.inventory.entries[0].instance);
	assert_null(host.inventory.entries[1].instance);
	assert_int_equal(host.inventory.entries[1].dropin.failures.list[0].code, FAILURE_RUNTIME_ID_TAKEN);
	assert_non_null(host.inventory.entries[2].instance);
	host_stop(&host);
}

/* ---- Shapes ---- */

static void hosts_and_workers_have_their_shapes(void **state)
{
#define FAKE_WORKER                                                                                            \
	"{'runtime_id':'a','worker_id':'w-0','host_id':'h0','label':'worker','role':null,'profile':null,"      \
	"'workspace':{'visibility':'v','identity':'i'},'state':'s','status':'t',"                              \
	"'last_seen_at':'1970-01-01T00:00:01.500+00:00','implementation':{'kind':'k','display_hint':'h'},"     \
	"'capabilities':{'can_accept_input':false,'can_stream_events':true,'can_stop':false,"                  \
	"'can_spawn_followup':true,'can_read_bounded_transcript':false},'diagnostics':[]}"
	static const struct exchange rows[] = {
		{ "a runtime", "{'op':'list_runtimes','limit':1}",
		  "{'items':[{'runtime_id':'a','label':'Fake','kind':'fake','status':'available',"
		  "'source':{'kind':'fake','status':'active',"
		  "'identity_authority':'runtime_registry_projection','note':'...'},'host_ids':[],"
		  "'capabilities':" NO_CAPABILITIES("not_applicable", "none", "1")
		  ",'diagnostics':[]}],'diagnostics':[]}" },
		{ "a host", "{'op':'list_hosts','limit':3}",
		  "{'items':[{'runtime_id':'a','host_id':'h0','label':'host','kind':'fake','status':'available',"
		  "'observed_at':'...','last_seen_at':'1970-01-01T00:00:01.500+00:00','capabilities':"
		  NO_CAPABILITIES("not_applicable", "none", "3") ",'diagnostics':[]}],'diagnostics':[]}" },
		{ "a worker", "{'op':'worker','runtime_id':'a','worker_id':'w-0'}", FAKE_WORKER },
		{ "workers", "{'op':'list_workers'}", "{'items':[" FAKE_WORKER "],'diagnostics':[]}" },
	};
	struct fake fake = {
		.runtime_id = "a", .host_prefix = "h", .n_hosts = 1, .n_workers = 1, .last_seen_at_ns = 1500000000,
		.worker_can = BERTH_WORKER_CAN_STREAM_EVENTS | BERTH_WORKER_CAN_SPAWN_FOLLOWUP,
	};
	struct host host;

	(void)state;
	start_fakes(&host, &fake, 1);
	check_exchanges(&host, rows, COUNT(rows));
	host_stop(&host);
}

static void times_are_written_with_as_many_digits_as_they_need(void **state)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} rows[] = {
		{ UINT64_C(1000000000), "1970-01-01T00:00:01+00:00" },
		{ UINT64_C(1500000000), "1970-01-01T00:00:01.500+00:00" },
		{ UINT64_C(1000000), "1970-01-01T00:00:00.001+00:00" },
		{ UINT64_C(1000), "1970-01-01T00:00:00.000001+00:00" },
		{ UINT64_C(1), "1970-01-01T00:00:00.000000001+00:00" },
		{ UINT64_C(951782399999999999), "2000-02-28T23:59:59.999999999+00:00" },
		{ UINT64_C(951782400000000000), "2000-02-29T00:00:00+00:00" },
		{ UINT64_C(4107542400120000000), "2100-03-01T00:00:00.120+00:00" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct fake fake = {
			.runtime_id = "a", .host_prefix = "h", .n_hosts = 1,
			.observed_at_ns = rows[i].ns, .last_seen_at_ns = rows[i].ns,
		};
		struct host host;

		start_fakes(&host, &fake, 1);
		assert_gathered(&host, "{'op':'list_hosts'}", "items", "observed_at", rows[i].text);
		assert_gathered(&host, "{'op':'list_hosts'}", "items", "last_seen_at", rows[i].text);
		host_stop(&host);
	}
}

static void what_has_no_time_is_seen_now(void **state)
{
	struct fake fake = { .runtime_id = "a", .host_prefix = "h", .n_hosts = 1 };
	struct timespec now;
	struct host host;
	CLEANUP_FREE char *seen = NULL;
	struct tm tm;
	char text[32];

	(void)state;
	start_fakes(&host, &fake, 1);
	clock_gettime(CLOCK_REALTIME, &now);
	seen = gathered(&host, "{'op':'list_hosts'}", "items", "observed_at");
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &tm));
	/* Texts of one form stand in the order of the times. */
	assert_true(strncmp(seen, text, strlen(text)) >= 0);
	host_stop(&host);
}

static void a_call_is_cancelled_at_its_deadline(void **state)
{
	const struct {
		uint64_t deadline_ns;
		bool cancelled;
	} rows[] = { { 0, false }, { 1, true }, { UINT64_MAX, false } };
	struct fake fake = { .runtime_id = "a", .host_prefix = "h", .n_hosts = 1 };
	struct request request = { .op = REQUEST_LIST_WORKERS, .limit = 1 };
	struct host host;

	(void)state;
	start_fakes(&host, &fake, 1);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buffer answer = { 0 };

		request.deadline_ns = rows[i].deadline_ns;
		registry_answer(&host.inventory.registry, &request, &answer);
		assert_int_equal(fake.cancelled, rows[i].cancelled);
		buffer_fini(&answer);
	}
	host_stop(&host);
}

static void assert_one_true(const cJSON *json, const char *const *keys, size_t n, size_t which)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(cJSON_IsTrue(json_at(json, keys[i])), i == which);
}

static void each_capability_has_its_key(void **state)
{
	static const char *const keys[] = {
		"can_list_hosts", "can_list_workers", "can_get_worker", "can_spawn_worker", "can_stop_worker",
		"can_accept_input", "can_stream_events", "can_read_bounded_transcript", "has_workspace_fs", "has_shell",
		"has_git", "supports_worktrees", "supports_backend_internal_tools",
	};
	static const char *const worker_keys[] = {
		"can_accept_input", "can_stream_events", "can_stop", "can_spawn_followup",
		"can_read_bounded_transcript",
	};

	(void)state;
	for (size_t bit = 0; bit < COUNT(keys); bit++) {
		struct fake fake = {
			.runtime_id = "a", .host_prefix = "h", .n_hosts = 1, .n_workers = 1, .can = UINT64_C(1) << bit,
			.worker_can = UINT64_C(1) << bit % COUNT(worker_keys),
		};
		struct host host;
		cJSON *runtimes, *hosts, *worker;

		start_fakes(&host, &fake, 1);
		runtimes = host_ask_json(&host, "{'op':'list_runtimes'}");
		hosts = host_ask_json(&host, "{'op':'list_hosts'}");
		worker = host_ask_json(&host, "{'op':'worker','runtime_id':'a','worker_id':'w-0'}");
		assert_one_true(json_at(runtimes, "items.0.capabilities"), keys, COUNT(keys), bit);
		assert_one_true(json_at(hosts, "items.0.capabilities"), keys, COUNT(keys), bit);
		assert_one_true(json_at(worker, "capabilities"), worker_keys, COUNT(worker_keys),
				bit % COUNT(worker_keys));
		cJSON_Delete(runtimes);
		cJSON_Delete(hosts);
		cJSON_Delete(worker);
		host_stop(&host);
	}
}

static void the_machine_is_named_as_it_names_itself(void **state)
{
	struct utsname names;
	struct host host;
	cJSON *runtimes;

	(void)state;
	assert_int_equal(uname(&names), 0);
	host_start(&host, &(struct host_setup){ .adapters = "embedded" });
	runtimes = host_ask_json(&host, "{'op':'list_runtimes'}");
	assert_string_equal(json_string_at(runtimes, "items.0.capabilities.os"), "linux");
	assert_string_equal(json_string_at(runtimes, "items.0.capabilities.arch"), names.machine);
	cJSON_Delete(runtimes);
	host_stop(&host);
}

/* ---- Defaults ---- */

static void what_an_adapter_leaves_out_is_answered_by_the_registry(void **state)
{
#define FAKE_ADDRESS "'runtime_id':'a','worker_id':'w-1'"
#define MISSING "'runtime_id':'a','worker_id':'w-2'"
#define UNKNOWN_WORKER "{'error':{'kind':'unknown_worker'," MISSING "}}"
	static const struct exchange rows[] = {
		{ "a worker that is not there", "{'op':'worker'," MISSING "}", UNKNOWN_WORKER },
		{ "stop of a worker that is not there",
		  "{'op':'stop_worker','runtime_id':'a','request':{'worker_id':'w-2','mode':'force'}}",
		  UNKNOWN_WORKER },
		{ "input to a worker that is not there", "{'op':'send_input'," MISSING ",'request':{'content':'x'}}",
		  UNKNOWN_WORKER },
		{ "the transcript of a worker that is not there", "{'op':'transcript'," MISSING "}", UNKNOWN_WORKER },
		{ "connect points of a worker that is not there", "{'op':'connect_points'," MISSING "}",
		  UNKNOWN_WORKER },
		{ "spawn", "{'op':'spawn_worker','runtime_id':'a','request':{'intent':{'kind':'workspace_companion'},"
			   "'acceptance':{'kind':'socket_ready'}}}",
		  "{'state':'unsupported','acceptance_evidence':[],'diagnostics':["
		  DIAGNOSTIC("worker_spawn_resolver_pending", "info") "]}" },
		{ "stop", "{'op':'stop_worker','runtime_id':'a','request':{'worker_id':'w-1','mode':'graceful'}}",
		  "{'state':'unsupported','diagnostics':[" DIAGNOSTIC("worker_stop_pending", "info") "]}" },
		{ "input", "{'op':'send_input'," FAKE_ADDRESS ",'request':{'content':''}}",
		  "{'state':'unsupported'," FAKE_ADDRESS ",'diagnostics':["
		  DIAGNOSTIC("worker_input_pending", "info") "]}" },
		{ "transcript, with any start and limit",
		  "{'op':'transcript'," FAKE_ADDRESS ",'start':18446744073709551615,'limit':18446744073709551614}",
		  "{'state':'unsupported'," FAKE_ADDRESS ",'start':18446744073709551615,'limit':18446744073709551614,"
		  "'total_items':0,'items':[],'diagnostics':[" DIAGNOSTIC("worker_transcript_pending", "info") "]}" },
		{ "transcript without start and limit", "{'op':'transcript'," FAKE_ADDRESS "}",
		  "{'state':'unsupported'," FAKE_ADDRESS ",'start':0,'limit':200,'total_items':0,'items':[],"
		  "'diagnostics':["
		  DIAGNOSTIC("worker_transcript_pending", "info") "]}" },
		{ "events, with any cursor and limit",
		  "{'op':'read_events','runtime_id':'a','cursor':'no cursor','limit':18446744073709551615}",
		  "{'state':'unsupported','runtime_id':'a','limit':18446744073709551615,'more':false,'items':[],"
		  "'diagnostics':[" DIAGNOSTIC("runtime_events_pending", "info") "]}" },
		{ "events without cursor and limit", "{'op':'read_events','runtime_id':'a'}",
		  "{'state':'unsupported','runtime_id':'a','limit':200,'more':false,'items':[],"
		  "'diagnostics':[" DIAGNOSTIC("runtime_events_pending", "info") "]}" },
		{ "events of a runtime that is not there", "{'op':'read_events','runtime_id':'b'}",
		  "{'error':{'kind':'unknown_runtime','runtime_id':'b'}}" },
		{ "connect points", "{'op':'connect_points'," FAKE_ADDRESS "}",
		  "{'items':[{'kind':'stream_proxy','status':'not_implemented','diagnostics':["
		  DIAGNOSTIC("worker_proxy_pending", "info") "]}],'diagnostics':[]}" },
	};
	/* Its lists complain; what is asked about one worker does not show that. */
	struct fake fake = { .runtime_id = "a", .host_prefix = "h", .n_hosts = 1, .n_workers = 2, .n_diagnostics = 2 };
	struct host host;

	(void)state;
	start_fakes(&host, &fake, 1);
	check_exchanges(&host, rows, COUNT(rows));
	host_stop(&host);
}

static void the_default_of_spawn_names_the_intent(void **state)
{
	static const struct {
		const char *intent, *name;
	} rows[] = {
		{ "'kind':'workspace_companion'", "workspace_companion" },
		{ "'kind':'workspace_orchestrator'", "workspace_orchestrator" },
		{ "'kind':'ticket_role','ticket_id':'T','role':'intake'", "ticket_intake" },
		{ "'kind':'ticket_role','ticket_id':'T','role':'orchestrator'", "ticket_orchestrator" },
		{ "'kind':'ticket_role','ticket_id':'T','role':'coder'", "ticket_coder" },
		{ "'kind':'ticket_role','ticket_id':'T','role':'reviewer'", "ticket_reviewer" },
	};
	struct host host;

	(void)state;
	host_start(&host, &(struct host_setup){ .adapters = "local-pod" });
	for (size_t i = 0; i < COUNT(rows); i++) {
		cJSON *answer = host_ask_json(
			&host, "{'op':'spawn_worker','runtime_id':'local-worker-runtime','request':{'intent':{%s},"
			       "'acceptance':{'kind':'run_accepted','expected_segments':1}}}", rows[i].intent);

		assert_string_equal(json_string_at(answer, "diagnostics.0.code"), "worker_spawn_resolver_pending");
		assert_non_null(strstr(json_string_at(answer, "diagnostics.0.message"), rows[i].name));
		cJSON_Delete(answer);
	}
	host_stop(&host);
}

/* ---- remote-reserved ---- */

static void the_reserved_place_of_a_remote_runtime(void **state)
{
#define REMOTE "'runtime_id':'remote-worker-runtime'"
#define REMOTE_UNKNOWN(id) "{'error':{'kind':'unknown_worker'," REMOTE ",'worker_id':'" id "'}}"
#define PLACEHOLDER                                                                                            \
	"{'state':'unsupported','worker':{'runtime_id':'placeholder','worker_id':'worker-placeholder',"        \
	"'host_id':'...','label':'Worker runtime actions are not implemented','role':null,'profile':null,"     \
	"'workspace':{'visibility':'none','identity':'unsupported'},'state':'unsupported',"                    \
	"'status':'Worker runtime control is not wired yet','last_seen_at':null,"                              \
	"'implementation':{'kind':'placeholder','display_hint':'unsupported'},"                                \
	"'capabilities':{'can_accept_input':false,'can_stream_events':false,'can_stop':false,"                 \
	"'can_spawn_followup':false,'can_read_bounded_transcript':false},'diagnostics':["                      \
	DIAGNOSTIC("runtime_capability_unsupported", "info") "]},'acceptance_evidence':[],'diagnostics':["     \
	DIAGNOSTIC("worker_spawn_unsupported", "info") "]}"
	static const struct exchange rows[] = {
		{ "the placeholder is no worker", "{'op':'worker'," REMOTE ",'worker_id':'worker-placeholder'}",
		  REMOTE_UNKNOWN("worker-placeholder") },
		{ "stop", "{'op':'stop_worker'," REMOTE ",'request':{'worker_id':'w','mode':'force'}}",
		  REMOTE_UNKNOWN("w") },
		{ "input", "{'op':'send_input'," REMOTE ",'worker_id':'w','request':{'content':'x'}}",
		  REMOTE_UNKNOWN("w") },
		{ "transcript", "{'op':'transcript'," REMOTE ",'worker_id':'w'}", REMOTE_UNKNOWN("w") },
		{ "connect points", "{'op':'connect_points'," REMOTE ",'worker_id':'w'}", REMOTE_UNKNOWN("w") },
		{ "hosts", "{'op':'list_hosts'}", EMPTY_LIST },
		{ "workers", "{'op':'list_workers'}", EMPTY_LIST },
		{ "the host of the placeholder", "{'op':'list_workers_for_host','host_id':'placeholder'}",
		  "{'error':{'kind':'unknown_host','host_id':'placeholder'}}" },
		{ "the runtime", "{'op':'list_runtimes','limit':7}",
		  "{'items':[{" REMOTE ",'label':'Remote Worker runtime','kind':'remote_http','status':'reserved',"
		  "'source':{'kind':'remote_http','status':'reserved',"
		  "'identity_authority':'runtime_registry_projection','note':'...'},'host_ids':[],"
		  "'capabilities':" NO_CAPABILITIES("not_applicable", "none", "7")
		  ",'diagnostics':[]}],'diagnostics':[]}" },
		{ "spawn", "{'op':'spawn_worker'," REMOTE ",'request':{'intent':{'kind':'workspace_orchestrator'},"
			   "'acceptance':{'kind':'run_accepted','expected_segments':2},'requested_worker_name':'n'}}",
		  PLACEHOLDER },
		{ "spawn until a socket is ready", "{'op':'spawn_worker'," REMOTE ",'request':{'acceptance':{"
						   "'kind':'socket_ready'},'intent':{'kind':'workspace_companion'}}}",
		  PLACEHOLDER },
	};
	struct host host;

	(void)state;
	host_start(&host, &(struct host_setup){ .adapters = "remote-reserved" });
	check_exchanges(&host, rows, COUNT(rows));
	host_stop(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_carries_the_first_16_diagnostics),
		cmocka_unit_test(a_list_for_a_host_keeps_diagnostics_in_order_and_repeats),
		cmocka_unit_test(a_runtime_keeps_its_diagnostics_and_the_list_gathers_them),
		cmocka_unit_test(a_severity_that_is_none_counts_as_info),
		cmocka_unit_test(runtimes_are_asked_for_what_is_missing_to_the_limit),
		cmocka_unit_test(a_list_of_limit_0_has_no_diagnostics),
		cmocka_unit_test(what_is_pushed_beyond_the_limit_is_dropped),
		cmocka_unit_test(workers_of_a_host_come_from_every_runtime_that_has_it),
		cmocka_unit_test(a_host_is_resolved_among_the_first_256),
		cmocka_unit_test(runtimes_stand_in_the_order_of_registration),
		cmocka_unit_test(hosts_stand_in_the_order_of_their_runtimes),
		cmocka_unit_test(of_two_with_one_runtime_id_the_later_is_refused),
		cmocka_unit_test(hosts_and_workers_have_their_shapes),
		cmocka_unit_test(times_are_written_with_as_many_digits_as_they_need),
		cmocka_unit_test(what_has_no_time_is_seen_now),
		cmocka_unit_test(a_call_is_cancelled_at_its_deadline),
		cmocka_unit_test(each_capability_has_its_key),
		cmocka_unit_test(the_machine_is_named_as_it_names_itself),
		cmocka_unit_test(what_an_adapter_leaves_out_is_answered_by_the_registry),
		cmocka_unit_test(the_default_of_spawn_names_the_intent),
		cmocka_unit_test(the_reserved_place_of_a_remote_runtime),
	};

	return cmocka_run_group_tests_name("contract: registry", tests, NULL, NULL);
}
