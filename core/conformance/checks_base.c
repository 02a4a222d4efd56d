/* SPDX-License-Identifier: MIT */
/* What holds of every adapter: it can be loaded and opened, it is what it says it is, and
 * it leaves the process as it found it. */
#include "config.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/conformance/check.h"
#include "core/conformance/host.h"
#include "core/conformance/probe.h"
#include "core/conformance/resources.h"
#include "core/conformance/spawned.h"
#include "core/conformance/survey.h"
#include "inline/json_reader.h"

enum { SHORT = 10 }; /* a limit for where a few items will do */

/* ---- The plugin ---- */

/* Fails the check where there is no stamp; to be freed with stamp_fini. */
static struct stamp read_stamp(const struct subject *subject)
{
	CLEANUP_CLOSE int fd = open(subject->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char line[FAILURE_LINE_MAX];
	struct failure failure;
	struct stamp stamp;

	if (fd < 0)
		check_fail("%s: %s", subject->file, strerror(errno));
	if (stamp_read(fd, NULL, &stamp, &failure) < 0)
		check_fail("%s", failure_line(&failure, line));
	return stamp;
}

static void check_stamp(const struct subject *subject)
{
	CLEANUP(stamp_fini) struct stamp stamp = read_stamp(subject);

	if (strcmp(stamp.id, subject->id) != 0)
		check_fail("the stamp is that of %s, the file is named after %s", stamp.id, subject->id);
}

static void check_load(const struct subject *subject)
{
	host_adapter(subject);
}

static void check_open(const struct subject *subject)
{
	struct host host = { 0 };

	host_open(&host, subject, NULL);
	/* A program opens before it has said anything. */
	if (subject->is_apart)
		free(host_ask(&host, "{'op':'list_runtimes'}"));
	host_close(&host);
}

/* ---- Options ---- */

/* The type as it is declared; of one that it does not know, the host makes text. */
static const char *declared_type(const struct stamp_option *option)
{
	return option->name + strlen(option->name) + 1;
}

/* What a default of the type has to be; NULL where it is that. */
static const char *default_unfit(const struct stamp_option *option)
{
	struct json_slice number = { option->fallback, strlen(option->fallback), false };
	struct json_reader reader;
	uint64_t value;

	switch (option->type) {
	case OPTION_COUNT:
		return json_number_is_u64(&number, &value) ? NULL : "a whole number of at most 64 bits";
	case OPTION_FLAG:
		return strcmp(option->fallback, "true") == 0 || strcmp(option->fallback, "false") == 0
			   ? NULL
			   : "true or false";
	case OPTION_JSON:
		json_open(&reader, option->fallback, strlen(option->fallback));
		return !*option->fallback || (json_skip(&reader) && json_close(&reader)) ? NULL : "JSON, or nothing";
	default:
		return NULL;
	}
}

static void check_option(const struct stamp *stamp, size_t nth)
{
	const struct stamp_option *option = &stamp->options[nth];
	const char *type = declared_type(option), *wanted = default_unfit(option);

	/* A minor that is not known here may have further types. */
	if (stamp->minor <= BERTH_ABI_MINOR && strcmp(type, option_type_name(option->type)) != 0)
		check_fail("option %s: there is no type %.40s", option->name, type);
	if (wanted)
		check_fail("option %s: the default \"%.60s\" should be %s", option->name, option->fallback, wanted);
	if (!*option->help)
		check_fail("option %s: no help; a line that says what it is for is expected", option->name);
	for (size_t i = 0; i < nth; i++)
		if (strcmp(stamp->options[i].name, option->name) == 0)
			check_fail("option %s: declared twice", option->name);
}

static void check_options(const struct subject *subject)
{
	CLEANUP(stamp_fini) struct stamp stamp = read_stamp(subject);

	if (stamp.n_options == 0)
		check_skip("the adapter declares no options");
	for (size_t i = 0; i < stamp.n_options; i++)
		check_option(&stamp, i);
}

/* ---- Identity ---- */

static void check_identity(const struct subject *subject)
{
	char first[BERTH_ID_MAX + 1] = "";

	for (int i = 1; i <= 3; i++) {
		struct host host = { 0 };

		host_open(&host, subject, NULL);
		if (i > 1 && strcmp(host.runtime_id, first) != 0)
			check_fail("open pushes the runtime_id %s at first and %s at open number %d; it has to stay",
				   first, host.runtime_id, i);
		snprintf(first, sizeof first, "%s", host.runtime_id);
		free(host_ask(&host, "{'op':'list_runtimes'}"));
		probe_expect_no(FAULT_OTHER);
		host_close(&host);
	}
}

/* Whether a worker is shown under the runtime_id; false as well where it is not shown. */
static bool is_shown_under(const cJSON *workers, const char *worker_id, const char *runtime_id)
{
	return strcmp(json_string(json_find(json_items(workers), "worker_id", worker_id), "runtime_id"), runtime_id) ==
	       0;
}

/* The workers of an instance that is opened for it. */
static cJSON *workers_under(const struct subject *subject, const char *runtime_id)
{
	struct host host = { 0 };
	cJSON *workers;

	host_open(&host, subject, runtime_id);
	survey_populate(&host);
	workers = host_ask_json(&host, "{'op':'list_workers','limit':%d}", SURVEY_LIMIT);
	spawned_stop_all(&host);
	host_close(&host);
	return workers;
}

/* Workers of other runtimes may be presented, under whatever id that runtime has. */
static void check_runtime_id(const struct subject *subject)
{
	static const char configured[] = "conformance:configured";
	CLEANUP(json_delete) cJSON *plain = workers_under(subject, NULL), *renamed = NULL;
	const cJSON *item;

	check_at("open with the runtime_id %s", configured);
	renamed = workers_under(subject, configured);
	cJSON_ArrayForEach(item, json_items(renamed))
	{
		const char *worker_id = json_string(item, "worker_id"), *runtime_id = json_string(item, "runtime_id");

		if (strcmp(runtime_id, configured) != 0 && !is_shown_under(plain, worker_id, runtime_id))
			check_fail(
			    "worker %s says that it is of runtime %s, where %s is configured; leave runtime_id absent",
			    worker_id, runtime_id, configured);
	}
}

/* ---- Opening again and beside one another ---- */

/* What a runtime is, whatever state it is in. */
static char *describe(struct host *host)
{
	CLEANUP(json_delete) cJSON *answer = host_ask_json(host, "{'op':'list_runtimes'}");
	const cJSON *runtime = cJSON_GetArrayItem(json_items(answer), 0);
	char *description;

	if (asprintf(&description, "label \"%s\", kind \"%s\", source \"%s\"", json_string(runtime, "label"),
		     json_string(runtime, "kind"),
		     json_string(cJSON_GetObjectItemCaseSensitive(runtime, "source"), "kind")) < 0)
		check_fail("no memory");
	return description;
}

static void check_reopen(const struct subject *subject)
{
	CLEANUP_FREE char *first = NULL;

	for (int i = 1; i <= 20; i++) {
		CLEANUP_FREE char *now = NULL;
		struct host host = { 0 };

		check_at("open number %d, after as many were closed but one", i);
		host_open(&host, subject, NULL);
		now = describe(&host);
		if (first && strcmp(first, now) != 0)
			check_fail("open number %d presents %s, the first one %s", i, now, first);
		if (!first)
			first = STEAL(now);
		host_close(&host);
	}
}

/* The workers of one of the runtimes of a host. */
static cJSON *own_workers(struct host *host, const char *runtime_id)
{
	cJSON *answer = host_ask_json(host, "{'op':'list_workers','limit':%d}", SURVEY_LIMIT);
	cJSON *items = cJSON_DetachItemFromObject(answer, "items");

	for (cJSON *item = items->child, *next; item; item = next) {
		next = item->next;
		if (strcmp(json_string(item, "runtime_id"), runtime_id) != 0)
			cJSON_Delete(cJSON_DetachItemViaPointer(items, item));
	}
	cJSON_Delete(answer);
	return items;
}

/* Workers come and go, but not all of them in a moment. */
static void expect_some_left(const cJSON *before, const cJSON *after, const char *what)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, before) if (json_find(after, "worker_id", json_string(item, "worker_id"))) return;
	if (cJSON_GetArraySize(before) > 0)
		check_fail("%s, and none of the %d workers that the other instance had is left", what,
			   cJSON_GetArraySize(before));
}

/* Closes one of two instances and sees what becomes of the other. */
static void close_one(const struct subject *subject, size_t nth)
{
	static const char second[] = "conformance:second";
	CLEANUP(json_delete) cJSON *before = NULL, *after = NULL;
	CLEANUP_FREE char *was = NULL, *is = NULL;
	struct host host = { 0 };
	struct instance *closed;
	char first[BERTH_ID_MAX + 1];

	check_at("two instances are opened");
	host_open(&host, subject, NULL);
	strcpy(first, host.runtime_id);
	host_open(&host, subject, second);
	survey_populate(&host);
	survey(&host, SHORT, NULL, NULL);
	was = describe(&host);
	before = own_workers(&host, nth == 0 ? second : first);
	check_at("of two instances the %s is closed", nth == 0 ? "first" : "second");
	closed = host.registry.instances[nth];
	host.registry.n_instances = 1;
	host.registry.instances[0] = host.registry.instances[1 - nth];
	strcpy(host.runtime_id, nth == 0 ? second : first);
	instance_close(closed);
	survey(&host, SHORT, NULL, NULL);
	is = describe(&host);
	if (strcmp(was, is) != 0)
		check_fail("of two instances the %s was closed, and the other presents %s; before that it was %s",
			   nth == 0 ? "first" : "second", is, was);
	after = own_workers(&host, host.runtime_id);
	expect_some_left(before, after,
			 nth == 0 ? "of two instances the first was closed" : "of two instances the second was closed");
	spawned_stop_all(&host);
	host_close(&host);
}

static void check_instances(const struct subject *subject)
{
	close_one(subject, 1);
	close_one(subject, 0);
}

/* ---- A host of a later minor ---- */

/* What was answered in one survey. */
struct recording {
	struct exchange {
		char *request, *answer;
	} list[64];
	size_t n;
};

static void record(void *data, const char *request, const char *answer)
{
	struct recording *recording = data;
	struct exchange *exchange = &recording->list[recording->n];

	if (recording->n == sizeof recording->list / sizeof *recording->list)
		return;
	exchange->request = strdup(request);
	exchange->answer = strdup(answer);
	if (!exchange->request || !exchange->answer)
		check_fail("no memory");
	host_cut_times(exchange->answer);
	/* Of another instance, events have other times and cursors. */
	host_cut(exchange->answer, "occurred_at");
	host_cut(exchange->answer, "cursor");
	host_cut(exchange->answer, "next_cursor");
	recording->n++;
}

static const char *recorded(const struct recording *recording, const char *request)
{
	for (size_t i = 0; i < recording->n; i++)
		if (strcmp(recording->list[i].request, request) == 0)
			return recording->list[i].answer;
	return "";
}

static void record_survey(const struct subject *subject, enum lending lending, struct recording *recording)
{
	struct host host = { 0 };

	while (recording->n > 0) {
		free(recording->list[--recording->n].request);
		free(recording->list[recording->n].answer);
	}
	probe.lending = lending;
	host_open(&host, subject, NULL);
	survey_populate(&host);
	survey(&host, SHORT, record, recording);
	spawned_stop_all(&host);
	host_close(&host);
}

enum { LATER_ROUNDS = 5 };

/* Compares one round of answers as a later host gets them with those of today, where two
 * of today agree. Returns the first exchange that differs, or NULL. */
static const struct exchange *compare_later(const struct subject *subject, struct recording *later, size_t *n_comparedp)
{
	static struct recording before, after;
	const struct exchange *differing = NULL;

	*n_comparedp = 0;
	check_at("each struct is as long as in ABI %d.%d", BERTH_ABI_MAJOR, BERTH_ABI_MINOR);
	record_survey(subject, LEND_PLAIN, &before);
	check_at("each struct is longer than in ABI %d.%d, its size says so", BERTH_ABI_MAJOR, BERTH_ABI_MINOR);
	record_survey(subject, LEND_LATER, later);
	check_at("again as in ABI %d.%d", BERTH_ABI_MAJOR, BERTH_ABI_MINOR);
	record_survey(subject, LEND_PLAIN, &after);
	for (size_t i = 0; i < before.n; i++) {
		const struct exchange *exchange = &before.list[i];

		if (strcmp(recorded(&after, exchange->request), exchange->answer) != 0)
			continue;
		++*n_comparedp;
		if (!differing && strcmp(recorded(later, exchange->request), exchange->answer) != 0)
			differing = exchange;
	}
	return differing;
}

static void check_later(const struct subject *subject)
{
	static struct recording later;
	const unsigned minor = host_adapter(subject)->stamp.minor;
	const struct exchange *differing = NULL;
	size_t n_compared = 0;

	if (minor > BERTH_ABI_MINOR)
		check_skip("the adapter was built for ABI %d.%u, which knows what here stands for members of a later one",
			   BERTH_ABI_MAJOR, minor);
	/* A live system may change and change back; what differs each time does so for the structs. */
	for (unsigned round = 0; round < LATER_ROUNDS; round++) {
		differing = compare_later(subject, &later, &n_compared);
		if (!differing)
			break;
	}
	if (differing)
		check_fail("where structs are longer than those of ABI %d.%d, as a later host has them, %s is answered with "
			   "%.200s instead of %.200s", BERTH_ABI_MAJOR, BERTH_ABI_MINOR, differing->request,
			   recorded(&later, differing->request), differing->answer);
	check_note("%zu answers were compared", n_compared);
}

/* ---- The process ---- */

extern char **environ;

/* What an adapter must not change, since the whole process shares it. */
struct surroundings {
	char cwd[PATH_MAX], locale[1024];
	locale_t thread_locale;
	mode_t umask;
	sigset_t blocked;
	struct sigaction actions[NSIG];
	struct stat standard[3];
	char *variables[1024];
	size_t n_variables;
};

static void look_around(struct surroundings *around)
{
	*around = (struct surroundings){ .umask = umask(0) };
	umask(around->umask);
	if (!getcwd(around->cwd, sizeof around->cwd))
		check_fail("the current directory is gone: %s", strerror(errno));
	snprintf(around->locale, sizeof around->locale, "%s", setlocale(LC_ALL, NULL));
	around->thread_locale = uselocale((locale_t)0);
	sigprocmask(SIG_BLOCK, NULL, &around->blocked);
	for (int number = 1; number < NSIG; number++)
		sigaction(number, NULL, &around->actions[number]);
	for (int fd = 0; fd < 3; fd++)
		if (fstat(fd, &around->standard[fd]) < 0)
			check_fail("descriptor %d, a standard one, is closed", fd);
	for (char **variable = environ; variable && *variable; variable++) {
		if (around->n_variables == sizeof around->variables / sizeof *around->variables)
			break;
		around->variables[around->n_variables++] = strdup(*variable);
	}
}

static void compare_signals(const struct surroundings *before, const struct surroundings *now, const char *when)
{
	for (int number = 1; number < NSIG; number++) {
		const struct sigaction *was = &before->actions[number], *is = &now->actions[number];

		if (was->sa_handler != is->sa_handler || was->sa_flags != is->sa_flags)
			check_fail("after %s signal %d (%s) is handled in another way; signals are the host's", when,
				   number, strsignal(number));
		if (sigismember(&before->blocked, number) != sigismember(&now->blocked, number))
			check_fail("after %s signal %d (%s) is %s; the mask has to be as it was", when, number,
				   strsignal(number),
				   sigismember(&now->blocked, number) == 1 ? "blocked" : "no longer blocked");
	}
}

static bool is_among(char *const *variables, size_t n, const char *variable)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(variables[i], variable) == 0)
			return true;
	return false;
}

/* Values may be secret, so only the name is said. */
static void compare_variables(const struct surroundings *a, const struct surroundings *b, const char *when)
{
	for (size_t i = 0; i < a->n_variables; i++)
		if (!is_among(b->variables, b->n_variables, a->variables[i]))
			check_fail("after %s the variable %.*s of the environment is another", when,
				   (int)strcspn(a->variables[i], "="), a->variables[i]);
}

static void expect_unchanged(const struct surroundings *before, const char *when)
{
	static struct surroundings now;

	look_around(&now);
	if (strcmp(before->cwd, now.cwd) != 0)
		check_fail("after %s the current directory is %s, it was %s", when, now.cwd, before->cwd);
	if (before->umask != now.umask)
		check_fail("after %s the umask is %03o, it was %03o", when, now.umask, before->umask);
	if (strcmp(before->locale, now.locale) != 0 || before->thread_locale != now.thread_locale)
		check_fail("after %s the locale is %.200s, it was %.200s", when, now.locale, before->locale);
	compare_signals(before, &now, when);
	compare_variables(before, &now, when);
	compare_variables(&now, before, when);
	for (int fd = 0; fd < 3; fd++)
		if (before->standard[fd].st_ino != now.standard[fd].st_ino ||
		    before->standard[fd].st_dev != now.standard[fd].st_dev)
			check_fail("after %s descriptor %d, a standard one, is another file", when, fd);
	fflush(stdout);
	if (lseek(STDOUT_FILENO, 0, SEEK_END) > 0)
		check_fail(
		    "after %s there is something on standard output, where only answers belong; use services->log",
		    when);
	while (now.n_variables > 0)
		free(now.variables[--now.n_variables]);
}

static void check_process(const struct subject *subject)
{
	static struct surroundings before;
	struct host host = { 0 };

	look_around(&before);
	host_adapter(subject);
	expect_unchanged(&before, "loading it");
	host_open(&host, subject, NULL);
	expect_unchanged(&before, "open");
	survey_populate(&host);
	survey_all(&host, NULL, NULL);
	expect_unchanged(&before, "the operations");
	spawned_stop_all(&host);
	host_close(&host);
	expect_unchanged(&before, "close");
}

/* ---- Leaks ---- */

enum {
	CYCLES_FIRST = 3, /* until what is kept for good is there */
	CYCLES = 10,
};

static void cycle(const struct subject *subject)
{
	struct host host = { 0 };

	host_open(&host, subject, NULL);
	survey_populate(&host);
	survey(&host, SHORT, NULL, NULL);
	spawned_stop_all(&host);
	host_close(&host);
}

static void check_leaks(const struct subject *subject)
{
	struct resources before;

	for (int i = 0; i < CYCLES_FIRST; i++)
		cycle(subject);
	resources_count(&before);
	for (int i = 0; i < CYCLES; i++)
		cycle(subject);
	resources_expect(&before, CYCLES, "opened, asked and closed 10 times");
}

const struct check checks_base[] = {
	{ "base/stamp", "the stamp can be read as data, and is that of the adapter the file is named after", NULL,
	  check_stamp },
	{ "base/options", "each option has a known type, a default of it, and a help", NULL, check_options },
	{ "base/load", "the plugin links with every symbol bound, and registers one adapter", NULL, check_load },
	{ "base/open", "open takes the options and pushes one runtime", NULL, check_open },
	{ "base/identity", "every open, and the operation runtime, present the same runtime_id", NULL, check_identity },
	{ "base/runtime_id", "a configured runtime_id stands wherever the adapter's own would", NULL,
	  check_runtime_id },
	{ "base/reopen", "twenty times in turn an instance opens, is the same, and closes", NULL, check_reopen },
	{ "base/instances", "two instances are open at once, and closing one leaves the other as it is", NULL,
	  check_instances },
	{ "base/later", "structs of a later minor, longer and with values behind, change no answer", NULL,
	  check_later },
	{ "base/process", "directory, umask, signals, locale, environment and standard output are left alone", NULL,
	  check_process },
	{ "base/leaks", "open and close leave no descriptor, thread or memory behind", NULL, check_leaks },
	{ NULL, NULL, NULL, NULL },
};
