/* SPDX-License-Identifier: MIT */
/*
 * Another process changes records all the time: no answer may be older than the last change
 * that was made before it was asked for, nor newer than the one that had begun when it
 * came. Now and then the other one waits, so that there is also time to be exact.
 */
#include "config.h"

#include "tests/pods.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the process that changes says; shared with it. */
struct progress {
	_Atomic int begun, done; /* numbers of changes */
	_Atomic int asked;       /* requests that were answered */
	_Atomic bool stop;
};

static void make_data(const char *dir, const char *label)
{
	char path[64];

	must(mkdir(dir, 0777) == 0 || errno == EEXIST, "mkdir", dir);
	snprintf(path, sizeof path, "%s/pods", dir);
	must(mkdir(path, 0777) == 0 || errno == EEXIST, "mkdir", path);
	snprintf(path, sizeof path, "%s/pods/w", dir);
	make_record(path, label);
}

static void exchange_directory(struct scene *scene, int i)
{
	set_label(scene, i);
	make_record("spare", scene->label);
	exchange("spare", W);
}

static void exchange_pods(struct scene *scene, int i)
{
	set_label(scene, i);
	must(mkdir("pods2", 0777) == 0 || errno == EEXIST, "mkdir", "pods2");
	make_record("pods2/w", scene->label);
	exchange("pods2", "data/pods");
}

static void exchange_data(struct scene *scene, int i)
{
	set_label(scene, i);
	make_data("data2", scene->label);
	exchange("data2", "data");
}

static void point_link(struct scene *scene, int i)
{
	const char *target = i % 2 ? "target1" : "target0";
	char to[64];

	set_label(scene, i);
	write_in_place(target, scene->label);
	snprintf(to, sizeof to, "../../../%s", target);
	relink(to, FILE_OF_W);
}

static void point_pods(struct scene *scene, int i)
{
	const char *target = i % 2 ? "side1" : "side0";
	char to[64];

	set_label(scene, i);
	make_data(target, scene->label);
	snprintf(to, sizeof to, "../%s/pods", target);
	relink(to, i == 1 ? "data/link" : "data/pods");
	/* Where that cannot be done at once, nothing is expected in between. */
	if (i == 1 && !exchange("data/link", "data/pods")) {
		MUST(rename("data/pods", "data/old"), "data/pods");
		MUST(rename("data/link", "data/pods"), "data/link");
	}
}

static void link_over(struct scene *scene, int i)
{
	set_label(scene, i);
	unlink("spare-name");
	write_in_place("spare-file", scene->label);
	MUST(link("spare-file", "spare-name"), "spare-file");
	MUST(rename("spare-file", FILE_OF_W), FILE_OF_W);
}

static struct change {
	const char *name;
	void (*step)(struct scene *scene, int i);
	bool at_once; /* it is never seen in part */
} changes[] = {
	{ "a record is written in place", step_write, false },
	{ "a record is cut and written", step_cut_and_write, false },
	{ "a record is unlinked and made", step_unlink_and_create, false },
	{ "a file is renamed over a record", step_rename_over, true },
	{ "a file of two names is renamed over a record", link_over, true },
	{ "a directory is exchanged", exchange_directory, true },
	{ "pods is exchanged", exchange_pods, true },
	{ "the data directory is exchanged", exchange_data, true },
	{ "a link is pointed elsewhere", point_link, true },
	{ "pods is a link and pointed elsewhere", point_pods, true },
};

static void wait_until_asked(const struct progress *progress, int n)
{
	while (progress->asked < n && !progress->stop)
		sched_yield();
}

/* The other process: changes, and now and then waits until it has been seen. */
static void change_all_the_time(const struct change *change, struct scene *scene, struct progress *progress, int n)
{
	is_other_process = true;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 1; i <= n && !progress->stop; i++) {
		progress->begun = i;
		change->step(scene, i);
		progress->done = i;
		if (i % 3 == 0)
			wait_until_asked(progress, progress->asked + 1 + i % 4);
	}
	_exit(0);
}

/* The number in the label that an answer shows; -1 where there is none. */
static int shown_number(const char *answer)
{
	const char *label = strstr(answer, "\"label\":\"label");

	return label ? atoi(label + strlen("\"label\":\"label")) : -1;
}

/* Without the call that exchanges, there is a moment in between. */
static bool can_exchange(void)
{
	MUST(mkdir("one", 0777), "one");
	MUST(mkdir("two", 0777), "two");
	return exchange("one", "two");
}

static void test_change(void **state)
{
	static const char *const requests[] = {
		"{'op':'worker','runtime_id':'local-worker-runtime','worker_id':'local-worker-w-50e721e49c013f00'}",
		"{'op':'list_workers'}",
	};
	const struct change *change = *state;
	struct progress *progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const int n = n_rounds();
	struct scene scene;
	int n_still = 0, status, before;
	bool at_once;
	pid_t child;

	assert_true(progress != MAP_FAILED);
	*progress = (struct progress){ .done = 0 };
	scene_begin(&scene);
	at_once = change->at_once && can_exchange();
	child = fork();
	MUST(child, "fork");
	if (child == 0)
		change_all_the_time(change, &scene, progress, n);
	do {
		for (int way = 0; way < N_HOSTS; way++) {
			const char *answer;
			int after, number;

			before = progress->done;
			answer = host_ask(&scene.hosts[way], "%s", requests[progress->asked % 2]);
			number = shown_number(answer);
			after = progress->begun;
			progress->asked++;
			n_still += before == after;
			if ((before == after || at_once) && (number < before || number > after)) {
				progress->stop = true;
				waitpid(child, &status, 0);
				fail_msg("%s: between changes %d and %d the host with changes=%s says\n%s", change->name,
					 before, after, ways[way], answer);
			}
		}
	} while (before < n && waitpid(child, &status, WNOHANG) == 0);
	if (before == n)
		waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	/* Between changes there was time to be exact. */
	assert_true(n_still >= n / 6);
	scene_end(&scene);
	munmap(progress, sizeof *progress);
}

int main(void)
{
	enum { N = sizeof changes / sizeof *changes };
	struct CMUnitTest tests[N];

	for (size_t i = 0; i < N; i++)
		tests[i] = (struct CMUnitTest){ changes[i].name, test_change, NULL, NULL, &changes[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
