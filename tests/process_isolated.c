/* SPDX-License-Identifier: MIT */
/* Isolated instances: a plugin that ends, hangs or floods its process, the others beside
 * it, what it is given and what it may not do. tests/isolated.sh has the rest: the tests
 * of the adapters themselves, with every instance isolated. */
#include "config.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/meanwhile.h"

/* A host with the unruly plugin and the embedded one, each in a process of its own. */
static void start(struct host *host, const char *does, const char *isolation)
{
	const struct host_setup setup = { .adapters = "", .adapter_dir = fixture_dir() };

	host_prepare(host, &setup);
	host_add(host, "unruly", "{'isolate':true,'isolation':{'deaths':0%s},'options':{'does':'%s','password':'hunter2'}}",
		 isolation, does);
	host_add(host, "embedded", "{'isolate':true}");
	host_open(host, &setup);
}

static const struct failure *failure_of(const struct host *host, size_t i)
{
	static const struct failure none = { .code = FAILURE_NONE };
	const struct failures *failures = &host->inventory.entries[i].dropin.failures;

	return failures->n > 0 ? &failures->list[0] : &none;
}

/* Asks until the answer has the text in it; fails after so long that it cannot be chance. */
static void ask_until(struct host *host, const char *request, const char *text)
{
	for (int i = 0; i < 3000; i++) {
		if (strstr(host_ask(host, "%s", request), text))
			return;
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	fail_msg("no %s in the answer to %s: %s", text, request, host->answer.data);
}

#define RUNTIMES "{'op':'list_runtimes'}"
#define HOSTS "{'op':'list_hosts'}"
#define WHERE "'runtime_id':'unruly','worker_id':'first'"
#define SPAWN_IN(runtime)                                                                             \
	"{'op':'spawn_worker','runtime_id':'" runtime "','request':{'intent':{'kind':'workspace_companion'}," \
	"'acceptance':{'kind':'run_accepted','expected_segments':0}}}"

static const struct {
	const char *operation, *request;
	bool changes;
} operations[] = {
	{ "runtime", RUNTIMES, false },
	{ "list_hosts", HOSTS, false },
	{ "list_workers", "{'op':'list_workers'}", false },
	{ "spawn_worker", SPAWN_IN("unruly"), true },
	{ "stop_worker", "{'op':'stop_worker','runtime_id':'unruly','request':{'worker_id':'first','mode':'force'}}", true },
	{ "send_input", "{'op':'send_input'," WHERE ",'request':{'content':'x'}}", true },
	{ "transcript", "{'op':'transcript'," WHERE "}", false },
	{ "connect_points", "{'op':'connect_points'," WHERE "}", false },
	{ "read_events", "{'op':'read_events','runtime_id':'unruly'}", false },
};

static void a_plugin_ends_its_process_alone(void **state)
{
	static const struct {
		const char *how, *says;
	} manners[] = {
		{ "segv", "killed by SIGSEGV" },
		{ "abort", "killed by SIGABRT" },
		{ "kill", "killed by SIGKILL" },
		{ "exit", "ended with status 3" },
		{ "linger", "ended with status 4" },
		{ "hang", "did not answer within 300 ms" },
		{ "announce", "did not answer within 300 ms" },
	};
	struct meanwhile meanwhile;
	char does[64];
	struct host host;

	(void)state;
	meanwhile_init(&meanwhile);
	for (size_t o = 0; o < COUNT(operations); o++)
		for (size_t m = 0; m < COUNT(manners); m++) {
			bool hangs = strstr(manners[m].says, "did not answer") != NULL;

			snprintf(does, sizeof does, "%s %s", operations[o].operation, manners[m].how);
			print_message("%s\n", does);
			start(&host, does, !hangs ? "" : ",'call_timeout_ms':300,'hang_timeout_ms':200,'stop_timeout_ms':100");
			meanwhile_start(&meanwhile, &host);
			host_ask(&host, "%s", operations[o].request);
			if (!strstr(host.answer.data, hangs ? "adapter_timeout" : "adapter_crashed") ||
			    !strstr(host.answer.data, manners[m].says))
				fail_msg("%s: %s", does, host.answer.data);
			assert_int_equal(strstr(host.answer.data, "not known, and it is not sent again") != NULL,
					 operations[o].changes);
			ask_until(&host, o == 1 ? RUNTIMES : HOSTS, o == 1 ? "\"status\":\"running\"" : "pid-");
			/* The other one has kept what it had. */
			meanwhile_stop(&meanwhile);
			host_stop(&host);
		}
	meanwhile_print(&meanwhile);
}

static void a_worker_that_cannot_be_looked_up_is_unknown(void **state)
{
	struct host host;

	(void)state;
	start(&host, "worker segv", "");
	assert_json_text(host_ask(&host, "{'op':'worker'," WHERE "}"), "{'error':{'kind':'unknown_worker'," WHERE "}}");
	host_stop(&host);
}

static void a_plugin_that_hangs_is_not_waited_for(void **state)
{
	struct host host;

	(void)state;
	start(&host, "send_input hang", ",'call_timeout_ms':300,'stop_timeout_ms':100,'hang_timeout_ms':1000");
	host_ask(&host, "%s", operations[5].request);
	assert_non_null(strstr(host.answer.data, "\"code\":\"adapter_timeout\""));
	assert_non_null(strstr(host.answer.data, "did not answer within 300 ms; whether the request was carried out"));
	/* Its one lane is taken: others are refused at once, and were not sent. */
	host_ask(&host, "%s", operations[3].request);
	if (strstr(host.answer.data, "adapter_timeout"))
		assert_non_null(strstr(host.answer.data, "has not answered what it was asked before; the request was not sent"));
	/* After a second of silence it is ended, and started again. */
	ask_until(&host, HOSTS, "pid-");
	host_stop(&host);
}

static void a_plugin_that_floods_slows_nobody(void **state)
{
	struct meanwhile meanwhile;
	struct host host;

	(void)state;
	meanwhile_init(&meanwhile);
	start(&host, "list_hosts flood", "");
	meanwhile_start(&meanwhile, &host);
	for (int i = 0; i < 20; i++)
		assert_non_null(strstr(host_ask(&host, HOSTS), "pid-"));
	meanwhile_stop(&meanwhile);
	host_stop(&host);
	meanwhile_print(&meanwhile);
}

/* Asks with a deadline that is over as good as at once. */
static void ask_in_haste(struct host *host, const char *line)
{
	struct batch batch = { .line_max = BATCH_LINE_MAX, .deadline_ns = services_monotonic_ns() + 1000000 };

	buffer_append_string(&batch.in, line);
	assert_int_equal(batch_answer_lines(&batch, &host->inventory.registry, true, SIZE_MAX, 0), 0);
	buffer_append_char(&batch.out, '\0');
	assert_non_null(strstr(batch.out.data, "adapter_timeout"));
	batch_fini(&batch);
}

/* Lets go what waits in the plugin, when others wait for that. */
static void *let_go(void *data)
{
	int fd;

	nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	fd = open(data, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (write(fd, "..", 2) == 2)
		close(fd);
	return NULL;
}

static void who_had_no_time_leaves_the_others_theirs(void **state)
{
	const struct host_setup setup = { .adapters = "", .adapter_dir = fixture_dir() };
	CLEANUP_FREE char *path = NULL;
	char *dir = scratch_new();
	pthread_t thread;
	struct host host;

	(void)state;
	assert_true(asprintf(&path, "%s/met", dir) >= 0);
	host_prepare(&host, &setup);
	host_add(&host, "unruly", "{'isolate':true,'options':{'does':'send_input meet'},'isolation':{'deaths':0,"
				  "'call_timeout_ms':60000,'hang_timeout_ms':0,'environment':{'UNRULY_FILE':'%s'}}}", path);
	host_open(&host, &setup);
	ask_in_haste(&host, "{\"op\":\"send_input\",\"runtime_id\":\"unruly\",\"worker_id\":\"first\","
			    "\"request\":{\"content\":\"x\"}}");
	/* Nor does he who waited in vain, again. */
	ask_in_haste(&host, "{\"op\":\"list_hosts\"}");
	assert_int_equal(pthread_create(&thread, NULL, let_go, path), 0);
	assert_non_null(strstr(host_ask(&host, HOSTS), "pid-"));
	pthread_join(thread, NULL);
	host_stop(&host);
	scratch_remove(dir);
}

static void a_plugin_that_does_not_open_is_told_of(void **state)
{
	static const struct {
		const char *does, *says;
	} rows[] = {
		{ "open segv", "the process was killed by SIGSEGV" },
		{ "open exit", "the process ended with status 3" },
		{ "open hang", "the process did not answer within 300 ms of its start" },
		{ "open refuse", "it does not want to" },
	};
	struct host host;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		start(&host, rows[i].does, ",'start_timeout_ms':300,'stop_timeout_ms':100");
		assert_int_equal(failure_of(&host, 0)->code, FAILURE_OPEN_FAILED);
		assert_string_equal(failure_of(&host, 0)->found.text, rows[i].says);
		assert_int_equal(failure_of(&host, 1)->code, FAILURE_NONE);
		assert_int_equal(host.inventory.registry.n_instances, 1);
		host_stop(&host);
	}
}

static void a_plugin_that_cannot_be_linked_is_told_of(void **state)
{
	const struct host_setup setup = { .adapters = "", .adapter_dir = fixture_dir() };
	struct host host;

	(void)state;
	host_prepare(&host, &setup);
	host_add(&host, "undefined-function", "{'isolate':true}");
	host_add(&host, "wrong-major", "{'isolate':true}");
	host_add(&host, "prints-constructor", "{'isolate':true}");
	host_add(&host, "options", "{'isolate':true,'options':{'unheard_of':1}}");
	host_add(&host, "embedded", "{'isolate':true,'isolation':{'memori':1}}");
	host_open(&host, &setup);
	assert_int_equal(failure_of(&host, 0)->code, FAILURE_OPEN_FAILED);
	assert_non_null(strstr(failure_of(&host, 0)->found.text, "not_linkable"));
	assert_non_null(strstr(failure_of(&host, 0)->found.text, "undefined-function.so"));
	/* What can be read of it is judged here. */
	assert_int_equal(failure_of(&host, 1)->code, FAILURE_ABI_MISMATCH);
	assert_int_equal(failure_of(&host, 2)->code, FAILURE_NONE);
	assert_int_equal(failure_of(&host, 3)->code, FAILURE_OPTION_INVALID);
	assert_int_equal(failure_of(&host, 4)->code, FAILURE_OPTION_INVALID);
	assert_non_null(strstr(failure_of(&host, 4)->found.text, "did you mean \"memory\"?"));
	host_stop(&host);
}

/* What the plugin says of its process, as the label of its host. */
static char *look_around(const char *isolation)
{
	struct host host;
	cJSON *answer;
	char *label;

	start(&host, "", isolation);
	answer = host_ask_json(&host, HOSTS);
	label = strdup(json_string_at(answer, "items.0.label"));
	assert_non_null(label);
	cJSON_Delete(answer);
	host_stop(&host);
	return label;
}

/* Sanitizers want terabytes of address space. */
#if defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SANITIZER true
#endif
#elif defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define HAS_SANITIZER true
#endif
#ifndef HAS_SANITIZER
#define HAS_SANITIZER false
#endif

static bool is_refused(void)
{
#if defined __x86_64__ || defined __aarch64__ || (defined __riscv && __riscv_xlen == 64)
	return true;
#else
	return false;
#endif
}

/* By its number, as headers may be older than the kernel. */
static bool has_landlock(void)
{
	return syscall(444 /* landlock_create_ruleset */, NULL, 0, 1) > 0;
}

/* Whether anybody may run the program: also each directory above it. */
static bool is_open_to_all(const char *program)
{
	CLEANUP_FREE char *path = strdup(program);
	struct stat st;
	char *slash;

	assert_non_null(path);
	if (stat(path, &st) < 0 || !(st.st_mode & S_IXOTH))
		return false;
	while ((slash = strrchr(path, '/'))) {
		*slash = '\0';
		if (*path && (stat(path, &st) < 0 || !(st.st_mode & S_IXOTH)))
			return false;
	}
	return true;
}

static void a_process_has_what_it_is_to_have(void **state)
{
	const char *has_ptrace = is_refused() ? "no-ptrace filtered no-privileges" : "ptrace unfiltered no-privileges";
	char *dir = scratch_new();
	static char pattern[64], own[256], reads_own[256], other[256];
	struct {
		const char *isolation, *has;
		bool wanted;
	} rows[] = {
		{ "", has_ptrace, true },
		{ ",'confined':false", " ptrace unfiltered privileges", true },
		{ "", " many-files much-memory ", true },
		{ ",'files':64", " few-files ", true },
		{ ",'memory':536870912", " little-memory ", !HAS_SANITIZER },
		{ ",'directory':'/'", " cwd:/ ", true },
		{ ",'directory':'/usr/bin'", " cwd:/usr/bin ", true },
		{ "", " unset", true },
		{ ",'environment':{'UNRULY_VARIABLE':'a b=c'}", " a b=c", true },
		{ ",'environment':{'UNRULY_VARIABLE':true}", " of the host", true },
		{ "", "reads-etc reads-root", geteuid() == 0 },
		{ ",'readable':['/root']", "reads-etc reads-root", geteuid() == 0 && has_landlock() },
		{ ",'readable':[]", "reads-etc no-root", has_landlock() },
		{ ",'writable':['/tmp']", "reads-etc no-root", has_landlock() },
		{ own, " writes ", true },
		{ reads_own, " no-write ", has_landlock() },
		{ other, " no-write ", has_landlock() },
		{ ",'user':'nobody'", pattern,
		  geteuid() == 0 && getpwnam("nobody") && is_open_to_all(getenv("BERTH")) },
	};

	(void)state;
	setenv("UNRULY_VARIABLE", "of the host", 1);
	if (getpwnam("nobody"))
		snprintf(pattern, sizeof pattern, "uid:%d:%d:%d:1 ", (int)getpwnam("nobody")->pw_uid,
			 (int)getpwnam("nobody")->pw_uid, (int)getpwnam("nobody")->pw_gid);
	snprintf(own, sizeof own, ",'writable':['%s'],'environment':{'UNRULY_WRITE':'%s/x'}", dir, dir);
	snprintf(reads_own, sizeof reads_own, ",'readable':['%s'],'environment':{'UNRULY_WRITE':'%s/x'}", dir, dir);
	snprintf(other, sizeof other, ",'writable':['/var'],'environment':{'UNRULY_WRITE':'%s/x'}", dir);
	for (size_t i = 0; i < COUNT(rows); i++) {
		CLEANUP_FREE char *label = NULL;

		if (!rows[i].wanted) {
			print_message("left out here: %s\n", rows[i].isolation);
			continue;
		}
		label = look_around(rows[i].isolation);
		if (!strstr(label, rows[i].has))
			fail_msg("%s: no \"%s\" in \"%s\"", rows[i].isolation, rows[i].has, label);
	}
	scratch_remove(dir);
}

static void a_process_that_takes_more_time_than_it_may_is_ended(void **state)
{
	struct host host;

	(void)state;
	start(&host, "list_workers spin", ",'cpu':2,'call_timeout_ms':60000");
	host_ask(&host, "{'op':'list_workers'}");
	assert_non_null(strstr(host.answer.data, "the process was killed by SIGXCPU"));
	ask_until(&host, HOSTS, "pid-");
	host_stop(&host);
}

static void a_secret_is_on_no_command_line(void **state)
{
	char path[64], text[4096];
	struct host host;
	cJSON *answer;
	size_t n;
	FILE *file;

	(void)state;
	start(&host, "", "");
	answer = host_ask_json(&host, HOSTS);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "/proc/%s/%s", json_string_at(answer, "items.0.host_id") + 4, i ? "environ" : "cmdline");
		file = fopen(path, "r");
		assert_non_null(file);
		n = fread(text, 1, sizeof text, file);
		fclose(file);
		assert_true(n > 0);
		assert_null(memmem(text, n, "hunter2", 7));
	}
	cJSON_Delete(answer);
	host_stop(&host);
}

/* What the plugin logs and prints there is in the log here, with the name of the instance. */
static void what_a_plugin_logs_is_in_the_log(void **state)
{
	int saved = dup(STDERR_FILENO);
	FILE *file = tmpfile();
	char text[4096];
	struct host host;
	size_t n;

	(void)state;
	assert_non_null(file);
	fflush(stderr);
	dup2(fileno(file), STDERR_FILENO);
	start(&host, "list_workers flood", "");
	host_ask(&host, "{'op':'list_workers'}");
	host_stop(&host);
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(file);
	n = fread(text, 1, sizeof text - 1, file);
	text[n] = '\0';
	fclose(file);
	assert_non_null(strstr(text, "berth: unruly: opened with a secret of 7 bytes\n"));
	assert_non_null(strstr(text, "berth: unruly: a line of a flood\n"));
	assert_non_null(strstr(text, "more lines are left out"));
}

static void what_is_large_crosses(void **state)
{
	CLEANUP_FREE char *large = repeated("0123456789abcdef", 40000);
	struct host host;
	cJSON *answer;

	(void)state;
	start(&host, "", "");
	host_ask(&host, "%s", SPAWN_IN("embedded-worker-runtime"));
	for (int i = 0; i < 3; i++) {
		host_ask(&host, "{'op':'send_input','runtime_id':'embedded-worker-runtime','worker_id':'worker-00000001',"
				"'request':{'content':'%s'}}", large);
		assert_non_null(strstr(host.answer.data, "\"state\":\"accepted\""));
	}
	answer = host_ask_json(&host, "{'op':'transcript','runtime_id':'embedded-worker-runtime',"
				      "'worker_id':'worker-00000001'}");
	assert_int_equal(cJSON_GetArraySize(json_at(answer, "items")), 3);
	assert_string_equal(json_string_at(answer, "items.2.content"), large);
	cJSON_Delete(answer);
	host_stop(&host);
}

static void an_answer_without_a_descriptor_for_it_has_failed(void **state)
{
	struct host host;

	(void)state;
	start(&host, "list_workers exhaust", ",'files':64,'call_timeout_ms':60000");
	host_ask(&host, "{'op':'list_workers'}");
	assert_non_null(strstr(host.answer.data, "\"code\":\"adapter_failed\""));
	assert_null(strstr(host.answer.data, "adapter_timeout"));
	/* And the process goes on. */
	assert_non_null(strstr(host_ask(&host, HOSTS), "pid-"));
	host_stop(&host);
}

/* Each waits in close until all are there: one after the other they would be killed. */
static void those_that_take_long_end_together(void **state)
{
	const struct host_setup setup = { .adapters = "", .adapter_dir = fixture_dir() };
	CLEANUP_FREE char *path = NULL;
	char *dir = scratch_new();
	struct host host;
	struct stat st;

	(void)state;
	assert_true(asprintf(&path, "%s/met", dir) >= 0);
	host_prepare(&host, &setup);
	for (int i = 0; i < 3; i++) {
		char name[24];

		snprintf(name, sizeof name, "unruly-%d", i);
		host_add(&host, name, "{'adapter':'unruly','runtime_id':'%s','isolate':true,'options':{'does':'close meet'},"
				      "'isolation':{'stop_timeout_ms':10000,'environment':{'UNRULY_FILE':'%s'}}}", name, path);
	}
	host_open(&host, &setup);
	assert_int_equal(host.inventory.registry.n_instances, 3);
	host_stop(&host);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 6);
	scratch_remove(dir);
}

/* In the process already, and not when all of it has crossed. */
static void a_plugin_is_told_when_there_is_enough(void **state)
{
	static const struct {
		const char *does, *request;
	} rows[] = {
		{ "list_hosts all", "{'op':'list_hosts','limit':3}" },
		{ "list_workers all", "{'op':'list_workers','limit':3}" },
		{ "transcript all", "{'op':'transcript'," WHERE ",'limit':3}" },
		{ "read_events all", "{'op':'read_events','runtime_id':'unruly','limit':3}" },
	};
	struct host host;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		start(&host, rows[i].does, "");
		host_ask(&host, "%s", rows[i].request);
		if (!strstr(host_ask(&host, HOSTS), " pushed:3\""))
			fail_msg("%s: %s", rows[i].does, host.answer.data);
		host_stop(&host);
	}
}

/* All are asked at once, and the answers of those with nothing to say leave no trace between the others. */
static void answers_of_several_are_one_list(void **state)
{
	static const char *const orders[] = { "eu", "ue", "eue", "ueu", "eeuu", "uu" };
	const struct host_setup setup = { .adapters = "", .adapter_dir = fixture_dir() };

	(void)state;
	for (size_t i = 0; i < COUNT(orders); i++) {
		struct host host;
		cJSON *answer;
		int n = 0;

		host_prepare(&host, &setup);
		for (size_t j = 0; orders[i][j]; j++) {
			const bool is_unruly = orders[i][j] == 'u';
			char name[16];

			n += is_unruly;
			snprintf(name, sizeof name, "%c-%zu", orders[i][j], j);
			host_add(&host, name, "{'adapter':'%s','runtime_id':'%s','isolate':true}",
				 is_unruly ? "unruly" : "embedded", name);
		}
		host_open(&host, &setup);
		answer = host_ask_json(&host, "{'op':'list_workers'}");
		if (cJSON_GetArraySize(cJSON_GetObjectItem(answer, "items")) != n)
			fail_msg("%s: %s", orders[i], host.answer.data);
		cJSON_Delete(answer);
		host_stop(&host);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plugin_ends_its_process_alone),
		cmocka_unit_test(a_worker_that_cannot_be_looked_up_is_unknown),
		cmocka_unit_test(a_plugin_that_hangs_is_not_waited_for),
		cmocka_unit_test(a_plugin_that_floods_slows_nobody),
		cmocka_unit_test(who_had_no_time_leaves_the_others_theirs),
		cmocka_unit_test(a_plugin_that_does_not_open_is_told_of),
		cmocka_unit_test(a_plugin_that_cannot_be_linked_is_told_of),
		cmocka_unit_test(a_process_has_what_it_is_to_have),
		cmocka_unit_test(a_process_that_takes_more_time_than_it_may_is_ended),
		cmocka_unit_test(a_secret_is_on_no_command_line),
		cmocka_unit_test(what_a_plugin_logs_is_in_the_log),
		cmocka_unit_test(what_is_large_crosses),
		cmocka_unit_test(an_answer_without_a_descriptor_for_it_has_failed),
		cmocka_unit_test(a_plugin_is_told_when_there_is_enough),
		cmocka_unit_test(answers_of_several_are_one_list),
		cmocka_unit_test(those_that_take_long_end_together),
	};

	if (!getenv("BERTH")) {
		print_message("BERTH is to name the program that runs isolated instances\n");
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
