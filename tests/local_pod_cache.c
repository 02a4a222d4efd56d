/* SPDX-License-Identifier: MIT */
/*
 * The cache of records must never show: after every change made by a system call, the
 * next answer of a host that has been running all the time is that of one just started.
 * Most changes follow each other within one tick of the clock that stamps files; now
 * and then there is a pause, so that what was read before counts as settled.
 */
#include "config.h"

#include "tests/support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/cleanup.h"

enum {
	N_ROUNDS = 240,
	SETTLE_EVERY = 21, /* rounds; odd, for steps that go to and fro */
};

struct scene {
	char *dir;          /* all happens below it; the data directory is data in it */
	struct host host;   /* keeps running */
	char label[16];     /* of the worker w, as it should be; empty: it is not to be shown */
	struct stat before; /* for what a step gives back */
};

/* ---- System calls that must succeed ---- */

static void must(bool done, const char *what, const char *path)
{
	if (!done)
		fail_msg("%s %s: %s", what, path, strerror(errno));
}

#define MUST(call, path) must((call) >= 0, #call, path)

/* Records of one label each, all of one length. */
static int record_text(char *text, size_t size, const char *label)
{
	return snprintf(text, size, "{\"worker_name\":\"%s\",\"workspace_root\":\"/workspace/project\"}", label);
}

static void set_label(struct scene *scene, int i)
{
	snprintf(scene->label, sizeof scene->label, "label%05d", i);
}

/* Writes into a file as it is, without cutting it first. */
static void write_in_place(const char *path, const char *label)
{
	char text[128];
	int len = record_text(text, sizeof text, label), fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

	MUST(fd, path);
	must(pwrite(fd, text, (size_t)len, 0) == len, "write", path);
	close(fd);
}

static void make_record(const char *dir, const char *label)
{
	char path[64];

	must(mkdir(dir, 0777) == 0 || errno == EEXIST, "mkdir", dir);
	snprintf(path, sizeof path, "%s/metadata.json", dir);
	write_in_place(path, label);
}

static void swap(const char *a, const char *b)
{
	MUST(rename(a, "swap"), a);
	MUST(rename(b, a), b);
	MUST(rename("swap", b), b);
}

static void relink(const char *target, const char *path)
{
	unlink("new-link");
	MUST(symlink(target, "new-link"), path);
	MUST(rename("new-link", path), path);
}

/* ---- The changes; each is made below scene->dir, which is the working directory. ---- */

#define W "data/pods/w"
#define FILE_OF_W W "/metadata.json"

static void step_write(struct scene *scene, int i)
{
	set_label(scene, i);
	write_in_place(FILE_OF_W, scene->label);
}

static void step_write_one_byte(struct scene *scene, int i)
{
	/* The last digit of the label. */
	const off_t at = (off_t)strlen("{\"worker_name\":\"label0000");
	char digit = (char)('0' + i % 10);
	int fd = open(FILE_OF_W, O_WRONLY | O_CLOEXEC);

	MUST(fd, FILE_OF_W);
	scene->label[9] = digit;
	must(pwrite(fd, &digit, 1, at) == 1, "write", FILE_OF_W);
	close(fd);
}

static void step_cut_and_write(struct scene *scene, int i)
{
	MUST(truncate(FILE_OF_W, 0), FILE_OF_W);
	step_write(scene, i);
}

static void step_rename_over(struct scene *scene, int i)
{
	set_label(scene, i);
	write_in_place("new", scene->label);
	MUST(rename("new", FILE_OF_W), FILE_OF_W);
}

static void step_swap_files(struct scene *scene, int i)
{
	/* Two files with the same size and times, made long before. */
	if (i == 0) {
		write_in_place("other", "label99999");
		return;
	}
	swap(FILE_OF_W, "other");
	snprintf(scene->label, sizeof scene->label, i % 2 ? "label99999" : "label00000");
}

static void step_truncate(struct scene *scene, int i)
{
	if (i % 2) {
		MUST(truncate(FILE_OF_W, 10), FILE_OF_W);
		scene->label[0] = '\0';
		return;
	}
	step_write(scene, i);
}

static void step_append(struct scene *scene, int i)
{
	int fd = open(FILE_OF_W, O_WRONLY | O_APPEND | O_CLOEXEC);

	MUST(fd, FILE_OF_W);
	if (i % 2) {
		must(write(fd, "x", 1) == 1, "write", FILE_OF_W);
		close(fd);
		scene->label[0] = '\0';
		return;
	}
	close(fd);
	set_label(scene, i);
	write_in_place(FILE_OF_W, scene->label);
	MUST(truncate(FILE_OF_W, (off_t)strlen("{'worker_name':'label00000','workspace_root':'/workspace/project'}")),
	     FILE_OF_W);
}

static void step_unlink(struct scene *scene, int i)
{
	if (i % 2) {
		MUST(unlink(FILE_OF_W), FILE_OF_W);
		scene->label[0] = '\0';
		return;
	}
	step_write(scene, i);
}

/* The new file often gets the inode number of the old one. */
static void step_unlink_and_create(struct scene *scene, int i)
{
	MUST(unlink(FILE_OF_W), FILE_OF_W);
	step_write(scene, i);
}

static void step_other_type(struct scene *scene, int i)
{
	switch (i % 4) {
	case 0:
		MUST(unlink(FILE_OF_W), FILE_OF_W);
		step_write(scene, i);
		return;
	case 1:
		MUST(unlink(FILE_OF_W), FILE_OF_W);
		MUST(mkdir(FILE_OF_W, 0777), FILE_OF_W);
		break;
	case 2:
		MUST(rmdir(FILE_OF_W), FILE_OF_W);
		MUST(mkfifo(FILE_OF_W, 0666), FILE_OF_W);
		break;
	case 3:
		MUST(unlink(FILE_OF_W), FILE_OF_W);
		MUST(symlink("/dev/null", FILE_OF_W), FILE_OF_W);
		break;
	}
	scene->label[0] = '\0';
}

/* The list grows to some records and shrinks again. */
static void step_new_record(struct scene *scene, int i)
{
	char dir[64], path[80];
	int at = i % 16;

	(void)scene;
	snprintf(dir, sizeof dir, "data/pods/n%02d", at < 8 ? at : 15 - at);
	if (at < 8) {
		make_record(dir, "label-new1");
		return;
	}
	snprintf(path, sizeof path, "%s/metadata.json", dir);
	MUST(unlink(path), path);
	MUST(rmdir(dir), dir);
}

static void step_empty_directory(struct scene *scene, int i)
{
	(void)scene;
	if (i % 2)
		MUST(rmdir("data/pods/empty"), "empty");
	else
		MUST(mkdir("data/pods/empty", 0777), "empty");
}

static void step_rename_directory(struct scene *scene, int i)
{
	if (i % 2)
		MUST(rename(W, "data/pods/v"), W);
	else if (i > 0)
		MUST(rename("data/pods/v", W), W);
	(void)scene;
}

static void step_swap_directories(struct scene *scene, int i)
{
	/* Where a neighbour has the same name as before, but the record of the other. */
	if (i == 0)
		make_record("data/pods/x", "label99999");
	else
		swap(W, "data/pods/x");
	(void)scene;
}

static void step_exchange_directories(struct scene *scene, int i)
{
	(void)scene;
	if (i == 0) {
		make_record("data/pods/x", "label99999");
		return;
	}
#ifdef SYS_renameat2
	/* In one call, so that the directory above changes once: 2 is RENAME_EXCHANGE. */
	if (syscall(SYS_renameat2, AT_FDCWD, W, AT_FDCWD, "data/pods/x", 2) == 0)
		return;
#endif
	swap(W, "data/pods/x");
}

static void step_move_away(struct scene *scene, int i)
{
	if (i % 2) {
		MUST(rename(W, "away"), W);
		scene->label[0] = '\0';
		return;
	}
	if (i > 0)
		MUST(rename("away", W), W);
	step_write(scene, i);
}

/* A link to the same directory, at the place of the directory. */
static void step_replace_by_link(struct scene *scene, int i)
{
	if (i % 2) {
		MUST(rename(W, "away"), W);
		MUST(symlink("../../away", W), W);
		scene->label[0] = '\0';
		return;
	}
	if (i > 0) {
		MUST(unlink(W), W);
		MUST(rename("away", W), W);
	}
	step_write(scene, i);
}

static void step_replace_by_file(struct scene *scene, int i)
{
	if (i % 2) {
		MUST(rename(W, "away"), W);
		write_in_place(W, "label-file");
		scene->label[0] = '\0';
		return;
	}
	if (i > 0) {
		MUST(unlink(W), W);
		MUST(rename("away", W), W);
	}
	step_write(scene, i);
}

/* Both targets have one size, and are older than anything else. */
static void step_point_link_elsewhere(struct scene *scene, int i)
{
	if (i == 0) {
		write_in_place("target0", "label00000");
		write_in_place("target1", "label00001");
	}
	relink(i % 2 ? "../../../target1" : "../../../target0", FILE_OF_W);
	set_label(scene, i % 2);
}

/* The same, of a directory that the link leads through. */
static void step_point_way_elsewhere(struct scene *scene, int i)
{
	if (i == 0) {
		make_record("way0", "label00000");
		make_record("way1", "label00001");
		relink("../../../way/metadata.json", FILE_OF_W);
	}
	relink(i % 2 ? "way1" : "way0", "way");
	set_label(scene, i % 2);
}

static void step_write_link_target(struct scene *scene, int i)
{
	set_label(scene, i);
	write_in_place("target", scene->label);
	if (i == 0)
		relink("../../../target", FILE_OF_W);
}

static void step_link_target_gone(struct scene *scene, int i)
{
	if (i % 2) {
		MUST(unlink("target"), "target");
		scene->label[0] = '\0';
		return;
	}
	step_write_link_target(scene, i);
}

static void step_write_other_name(struct scene *scene, int i)
{
	if (i == 0)
		MUST(link(FILE_OF_W, "other-name"), FILE_OF_W);
	set_label(scene, i);
	write_in_place("other-name", scene->label);
}

/* An edit of the same size, with its time of modification set back. */
static void step_set_time_back(struct scene *scene, int i)
{
	struct timespec times[2];

	if (i == 0)
		MUST(stat(FILE_OF_W, &scene->before), FILE_OF_W);
	set_label(scene, i);
	write_in_place(FILE_OF_W, scene->label);
	times[0] = scene->before.st_atim;
	times[1] = scene->before.st_mtim;
	MUST(utimensat(AT_FDCWD, FILE_OF_W, times, 0), FILE_OF_W);
}

/* The time set to one far ahead, which is never past. */
static void step_set_time_ahead(struct scene *scene, int i)
{
	const struct timespec times[2] = { { 4000000000, 0 }, { 4000000000, 1 } };

	set_label(scene, i);
	write_in_place(FILE_OF_W, scene->label);
	MUST(utimensat(AT_FDCWD, FILE_OF_W, times, 0), FILE_OF_W);
}

static void step_hidden_names(struct scene *scene, int i)
{
	/* The same edit of the list of names, its time of modification set back. */
	const struct timespec times[2] = { { 1000000000, 0 }, { 1000000000, 5 } };

	step_new_record(scene, i);
	MUST(utimensat(AT_FDCWD, "data/pods", times, 0), "data/pods");
}

static void step_swap_pods(struct scene *scene, int i)
{
	if (i == 0) {
		MUST(mkdir("pods2", 0777), "pods2");
		make_record("pods2/w", "label99999");
		make_record("pods2/y", "label-y999");
	} else {
		swap("data/pods", "pods2");
	}
	snprintf(scene->label, sizeof scene->label, i % 2 ? "label99999" : "label00000");
}

static void step_pods_by_link(struct scene *scene, int i)
{
	if (i == 0) {
		MUST(mkdir("pods2", 0777), "pods2");
		make_record("pods2/w", "label99999");
		MUST(rename("data/pods", "pods1"), "data/pods");
	}
	relink(i % 2 ? "../pods2" : "../pods1", "data/pods");
	snprintf(scene->label, sizeof scene->label, i % 2 ? "label99999" : "label00000");
}

static void step_move_data(struct scene *scene, int i)
{
	if (i % 2) {
		MUST(rename("data", "data-away"), "data");
		scene->label[0] = '\0';
		return;
	}
	if (i > 0)
		MUST(rename("data-away", "data"), "data");
	step_write(scene, i);
}

/* Changed while nobody looks at it. */
static void step_change_while_away(struct scene *scene, int i)
{
	set_label(scene, i);
	MUST(rename("data", "data-away"), "data");
	write_in_place("data-away/pods/w/metadata.json", scene->label);
	MUST(rename("data-away", "data"), "data");
}

static void step_swap_data(struct scene *scene, int i)
{
	if (i == 0) {
		MUST(mkdir("data2", 0777), "data2");
		MUST(mkdir("data2/pods", 0777), "data2/pods");
		make_record("data2/pods/w", "label99999");
	} else {
		swap("data", "data2");
	}
	snprintf(scene->label, sizeof scene->label, i % 2 ? "label99999" : "label00000");
}

static void step_chmod(struct scene *scene, int i)
{
	static const char *const paths[] = { FILE_OF_W, W, "data/pods", "data" };
	/* What one step takes, the next one gives back. */
	const char *path = paths[i / 2 % 4];

	MUST(chmod(path, i % 2 ? 0755 : 0), path);
	snprintf(scene->label, sizeof scene->label, i % 2 ? "label00000" : "");
}

static struct change {
	const char *name;
	void (*step)(struct scene *scene, int i);
	bool not_by_root;
} changes[] = {
	{ "a record is written in place", step_write, false },
	{ "one byte of a record is written", step_write_one_byte, false },
	{ "a record is cut to nothing and written again", step_cut_and_write, false },
	{ "a record is truncated", step_truncate, false },
	{ "a record is appended to", step_append, false },
	{ "another file is renamed over a record", step_rename_over, false },
	{ "two files of one size and age change places", step_swap_files, false },
	{ "a record is unlinked", step_unlink, false },
	{ "a record is unlinked and made again", step_unlink_and_create, false },
	{ "a record becomes a directory, a FIFO, a device", step_other_type, false },
	{ "records come and go", step_new_record, false },
	{ "a directory without a record comes and goes", step_empty_directory, false },
	{ "a directory is renamed", step_rename_directory, false },
	{ "two directories change places", step_swap_directories, false },
	{ "two directories change places at once", step_exchange_directories, false },
	{ "a directory is moved away and back", step_move_away, false },
	{ "a directory is replaced by a link", step_replace_by_link, false },
	{ "a directory is replaced by a file", step_replace_by_file, false },
	{ "a link is pointed elsewhere", step_point_link_elsewhere, false },
	{ "a link on the way is pointed elsewhere", step_point_way_elsewhere, false },
	{ "the target of a link is written", step_write_link_target, false },
	{ "the target of a link goes away", step_link_target_gone, false },
	{ "a record is written through another name", step_write_other_name, false },
	{ "a record's time is set back", step_set_time_back, false },
	{ "a record's time is set far ahead", step_set_time_ahead, false },
	{ "the time of pods is set back", step_hidden_names, false },
	{ "pods is swapped", step_swap_pods, false },
	{ "pods is a link and pointed elsewhere", step_pods_by_link, false },
	{ "the data directory is moved away and back", step_move_data, false },
	{ "a record is written while the data directory is away", step_change_while_away, false },
	{ "the data directory is swapped", step_swap_data, false },
	{ "permissions are taken and given", step_chmod, true },
};

/* ---- The comparison ---- */

/* What a host says about everything, in one text. */
static char *ask_all(struct host *host)
{
	static const char *const requests[] = {
		"{\"op\":\"worker\",\"runtime_id\":\"local-worker-runtime\","
		"\"worker_id\":\"local-worker-w-50e721e49c013f00\"}",
		"{\"op\":\"list_workers\"}",
		"{\"op\":\"worker\",\"runtime_id\":\"local-worker-runtime\","
		"\"worker_id\":\"local-worker-x-2d711642b726b044\"}",
		"{\"op\":\"list_workers\",\"limit\":1}",
	};
	char *text = NULL;
	size_t len = 0;
	FILE *file = open_memstream(&text, &len);

	assert_non_null(file);
	for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
		fprintf(file, "%s\n", host_ask_raw(host, requests[i], strlen(requests[i])));
	assert_int_equal(fclose(file), 0);
	return text;
}

static void host_start_over(struct host *host, const char *dir)
{
	CLEANUP_FREE char *data = NULL;

	assert_true(asprintf(&data, "%s/data", dir) >= 0);
	host_start(host, &(struct host_setup){ .adapters = "local-pod", .data_dir = data });
}

static void compare(struct scene *scene, const char *name, int i)
{
	CLEANUP_FREE char *kept = ask_all(&scene->host), *fresh = NULL;
	char needle[64];
	struct host host;

	host_start_over(&host, scene->dir);
	fresh = ask_all(&host);
	host_stop(&host);
	if (strcmp(kept, fresh) != 0)
		fail_msg("%s, round %d: the running host says\n%s\na new one says\n%s", name, i, kept, fresh);
	/* Where both are wrong in the same way, this is not. The look-up of w comes first. */
	snprintf(needle, sizeof needle, "%s%s\"",
		 *scene->label ? "\"label\":\"" : "{\"error\":{\"kind\":\"unknown_worker", scene->label);
	if (!strstr(fresh, needle) || (!*scene->label && strncmp(fresh, needle, strlen(needle)) != 0))
		fail_msg("%s, round %d: %s is not in\n%s", name, i, needle, fresh);
}

static void let_ticks_pass(void)
{
	struct timespec tick;

	assert_int_equal(clock_getres(CLOCK_REALTIME_COARSE, &tick), 0);
	tick.tv_nsec *= 2;
	nanosleep(&tick, NULL);
}

static void test_change(void **state)
{
	const struct change *change = *state;
	struct scene scene = { .dir = NULL };

	if (change->not_by_root && geteuid() == 0)
		skip();
	scene.dir = scratch_new();
	MUST(chdir(scene.dir), scene.dir);
	MUST(mkdir("data", 0777), "data");
	MUST(mkdir("data/pods", 0777), "data/pods");
	set_label(&scene, 0);
	make_record(W, scene.label);
	host_start_over(&scene.host, scene.dir);
	compare(&scene, "at the beginning", 0);
	for (int i = 0; i < N_ROUNDS; i++) {
		change->step(&scene, i);
		compare(&scene, change->name, i);
		if (i % SETTLE_EVERY == SETTLE_EVERY - 1) {
			let_ticks_pass();
			/* So that it is kept as settled; twice, so that it is also used. */
			compare(&scene, change->name, i);
			compare(&scene, change->name, i);
		}
	}
	host_stop(&scene.host);
	MUST(chdir("/"), "/");
	scratch_remove(scene.dir);
}

int main(void)
{
	enum { N = sizeof changes / sizeof *changes };
	struct CMUnitTest tests[N];

	for (size_t i = 0; i < N; i++)
		tests[i] = (struct CMUnitTest){ changes[i].name, test_change, NULL, NULL, &changes[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
