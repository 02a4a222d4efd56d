/* SPDX-License-Identifier: MIT */
/*
 * The cache of records must never show: after every change made by a system call, the
 * next answer of a host that has the kernel tell of changes, and of one that looks at each
 * file, is byte for byte that of one that reads everything again. Most changes follow each
 * other within one tick of the clock that stamps files; now and then there is a pause, so
 * that what was read before counts as settled.
 */
#include "config.h"

#include "tests/pods.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cleanup.h"

enum {
	SETTLE_EVERY = 21, /* rounds; odd, for steps that go to and fro */
	NOBODY = 65534,
};

/* ---- The changes; each is made below scene->dir, which is the working directory. ---- */

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

/* An empty one goes, while somebody is in it, and another comes. */
static void step_replace_held_pods(struct scene *scene, int i)
{
	switch (i % 3) {
	case 0:
		step_write(scene, i);
		break;
	case 1:
		MUST(unlink(FILE_OF_W), FILE_OF_W);
		MUST(rmdir(W), W);
		scene->label[0] = '\0';
		break;
	case 2:
		if (scene->fd >= 0)
			close(scene->fd);
		scene->fd = open("data/pods", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		MUST(scene->fd, "data/pods");
		MUST(rmdir("data/pods"), "data/pods");
		MUST(mkdir("data/pods", 0777), "data/pods");
		set_label(scene, i);
		make_record(W, scene->label);
		break;
	}
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
	exchange(W, "data/pods/x");
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

/* Through a descriptor that is never closed. */
static void step_write_kept_open(struct scene *scene, int i)
{
	char text[128];
	int len;

	if (scene->fd < 0)
		scene->fd = open(FILE_OF_W, O_RDWR | O_CLOEXEC);
	MUST(scene->fd, FILE_OF_W);
	set_label(scene, i);
	len = record_text(text, sizeof text, scene->label);
	must(pwrite(scene->fd, text, (size_t)len, 0) == len, "write", FILE_OF_W);
}

/* Through a mapping, which is told of once it has gone. */
static void step_write_mapping(struct scene *scene, int i)
{
	char text[128], *map;
	int fd = open(FILE_OF_W, O_RDWR | O_CLOEXEC);

	MUST(fd, FILE_OF_W);
	map = mmap(NULL, sizeof text, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(map != MAP_FAILED, "mmap", FILE_OF_W);
	set_label(scene, i);
	memcpy(map, text, (size_t)record_text(text, sizeof text, scene->label));
	MUST(munmap(map, sizeof text), FILE_OF_W);
	close(fd);
}

/* By calls that copy from one file to another. */
static void step_copy(struct scene *scene, int i)
{
	off_t from = 0;
	ssize_t n = -1;
	int in, out = open(FILE_OF_W, O_WRONLY | O_CLOEXEC);

	set_label(scene, i);
	write_in_place("source", scene->label);
	in = open("source", O_RDONLY | O_CLOEXEC);
	MUST(in, "source");
	MUST(out, FILE_OF_W);
	if (i % 2)
		n = copy_file_range(in, &from, out, NULL, 128, 0);
	if (n < 0)
		n = sendfile(out, in, &from, 128);
	must(n > 64, "copy", FILE_OF_W);
	close(in);
	close(out);
}

/* Two records that are one file. */
static void step_share_file(struct scene *scene, int i)
{
	char text[16];

	if (i % 8 == 0) {
		unlink("data/pods/x/metadata.json");
		make_record("data/pods/x", "label99999");
	} else if (i % 8 == 1) {
		MUST(unlink("data/pods/x/metadata.json"), "x");
		MUST(link(FILE_OF_W, "data/pods/x/metadata.json"), FILE_OF_W);
	} else if (i % 8 == 5) {
		snprintf(text, sizeof text, "label%05d", i);
		write_in_place("new", text);
		MUST(rename("new", "data/pods/x/metadata.json"), "x");
	} else {
		set_label(scene, i);
		write_in_place(i % 2 || i % 8 > 5 ? FILE_OF_W : "data/pods/x/metadata.json", scene->label);
	}
}

/* Of another record, more than the kernel keeps until they are asked for; what comes
 * behind them is lost. */
static void step_overflow(struct scene *scene, int i)
{
	FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
	int n = 0;

	if (i == 0)
		make_record("data/pods/x", "label99999");
	if (file && fscanf(file, "%d", &n) == 1 && n <= 20000 && i % 60 == 50)
		for (; n >= 0; n--)
			MUST(chmod(n % 2 ? "data/pods/x/metadata.json" : "data/pods/x", 0755), "x");
	if (file)
		fclose(file);
	step_write(scene, i);
}

static void step_move_base(struct scene *scene, int i)
{
	if (i % 2) {
		MUST(rename("../base", "../away"), "base");
		scene->label[0] = '\0';
		return;
	}
	if (i > 0)
		MUST(rename("../away", "../base"), "base");
	step_write(scene, i);
}

static void step_data_by_link(struct scene *scene, int i)
{
	if (i == 0) {
		MUST(mkdir("data2", 0777), "data2");
		MUST(mkdir("data2/pods", 0777), "data2/pods");
		make_record("data2/pods/w", "label99999");
		MUST(rename("data", "data1"), "data");
	}
	/* The link goes on to be, under another name. */
	unlink("kept-link");
	if (i > 0)
		MUST(link("data", "kept-link"), "data");
	relink(i % 2 ? "data2" : "../base/./data1", "data");
	snprintf(scene->label, sizeof scene->label, i % 2 ? "label99999" : "label00000");
}

/* Where the link leads to, and on from there. */
static void step_swap_behind_link(struct scene *scene, int i)
{
	if (i == 0) {
		MUST(mkdir("far", 0777), "far");
		MUST(mkdir("far2", 0777), "far2");
		MUST(mkdir("far2/data", 0777), "far2/data");
		MUST(mkdir("far2/data/pods", 0777), "far2/data/pods");
		make_record("far2/data/pods/w", "label99999");
		MUST(rename("data", "far/data"), "data");
		MUST(symlink("far/./data", "data"), "data");
	} else {
		swap("far", "far2");
	}
	snprintf(scene->label, sizeof scene->label, i % 2 ? "label99999" : "label00000");
}

/* In turns: one is mounted in an odd round and unmounted in the next. */
static bool is_second(int i)
{
	return (i + 1) / 2 % 2;
}

/* What the path means is changed by a mount. */
static void mount_or_not(const char *what, const char *path, int i)
{
	if (i % 2)
		MUST(mount(what, path, NULL, MS_BIND, NULL), path);
	else if (i > 0)
		MUST(umount2(path, MNT_DETACH), path);
}

static void step_mount_record(struct scene *scene, int i)
{
	write_in_place("other", "label99999");
	mount_or_not("other", FILE_OF_W, i);
	snprintf(scene->label, sizeof scene->label, i % 2 ? "label99999" : "label00000");
}

static void step_mount_directory(struct scene *scene, int i)
{
	make_record("other", "label99999");
	mount_or_not("other", is_second(i) ? "data/pods" : W, i);
	snprintf(scene->label, sizeof scene->label, i % 2 ? "label99999" : "label00000");
	if (i % 2 && is_second(i))
		scene->label[0] = '\0';
}

/* The permissions of what is mounted are taken where it comes from. */
static void step_chmod_mounted(struct scene *scene, int i)
{
	if (i == 0) {
		make_record("other dir", "label99999");
		MUST(mount("other dir", W, NULL, MS_BIND, NULL), W);
		MUST(seteuid(NOBODY), "seteuid");
	}
	MUST(seteuid(0), "seteuid");
	MUST(chmod("other dir", i % 2 ? 0700 : 0755), "other dir");
	MUST(seteuid(NOBODY), "seteuid");
	snprintf(scene->label, sizeof scene->label, i % 2 ? "" : "label99999");
}

static void step_mount_data(struct scene *scene, int i)
{
	if (i == 0) {
		MUST(mkdir("data2", 0777), "data2");
		MUST(mkdir("data2/pods", 0777), "data2/pods");
		make_record("data2/pods/w", "label99999");
	}
	mount_or_not(is_second(i) ? "data2" : "data2/pods", is_second(i) ? "data" : "data/pods", i);
	snprintf(scene->label, sizeof scene->label, i % 2 ? "label99999" : "label00000");
}

static void step_mount_empty(struct scene *scene, int i)
{
	if (i % 2) {
		MUST(mount("none", "data", "tmpfs", 0, NULL), "data");
		scene->label[0] = '\0';
		return;
	}
	if (i > 0)
		MUST(umount2("data", MNT_DETACH), "data");
	step_write(scene, i);
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
	enum { BY_ANYBODY, BY_NOBODY, WITH_MOUNTS, MOUNTS_FOR_NOBODY } as;
} changes[] = {
	{ "a record is written in place", step_write, BY_ANYBODY },
	{ "one byte of a record is written", step_write_one_byte, BY_ANYBODY },
	{ "a record is cut to nothing and written again", step_cut_and_write, BY_ANYBODY },
	{ "a record is truncated", step_truncate, BY_ANYBODY },
	{ "a record is appended to", step_append, BY_ANYBODY },
	{ "another file is renamed over a record", step_rename_over, BY_ANYBODY },
	{ "two files of one size and age change places", step_swap_files, BY_ANYBODY },
	{ "a record is unlinked", step_unlink, BY_ANYBODY },
	{ "a record is unlinked and made again", step_unlink_and_create, BY_ANYBODY },
	{ "a record becomes a directory, a FIFO, a device", step_other_type, BY_ANYBODY },
	{ "records come and go", step_new_record, BY_ANYBODY },
	{ "a directory without a record comes and goes", step_empty_directory, BY_ANYBODY },
	{ "pods is replaced while somebody is in it", step_replace_held_pods, BY_ANYBODY },
	{ "a directory is renamed", step_rename_directory, BY_ANYBODY },
	{ "two directories change places", step_swap_directories, BY_ANYBODY },
	{ "two directories change places at once", step_exchange_directories, BY_ANYBODY },
	{ "a directory is moved away and back", step_move_away, BY_ANYBODY },
	{ "a directory is replaced by a link", step_replace_by_link, BY_ANYBODY },
	{ "a directory is replaced by a file", step_replace_by_file, BY_ANYBODY },
	{ "a link is pointed elsewhere", step_point_link_elsewhere, BY_ANYBODY },
	{ "a link on the way is pointed elsewhere", step_point_way_elsewhere, BY_ANYBODY },
	{ "the target of a link is written", step_write_link_target, BY_ANYBODY },
	{ "the target of a link goes away", step_link_target_gone, BY_ANYBODY },
	{ "a record is written through another name", step_write_other_name, BY_ANYBODY },
	{ "a record's time is set back", step_set_time_back, BY_ANYBODY },
	{ "a record's time is set far ahead", step_set_time_ahead, BY_ANYBODY },
	{ "the time of pods is set back", step_hidden_names, BY_ANYBODY },
	{ "pods is swapped", step_swap_pods, BY_ANYBODY },
	{ "pods is a link and pointed elsewhere", step_pods_by_link, BY_ANYBODY },
	{ "the data directory is moved away and back", step_move_data, BY_ANYBODY },
	{ "a record is written while the data directory is away", step_change_while_away, BY_ANYBODY },
	{ "the data directory is swapped", step_swap_data, BY_ANYBODY },
	{ "a record is written through what is kept open", step_write_kept_open, BY_ANYBODY },
	{ "a record is written through a mapping", step_write_mapping, BY_ANYBODY },
	{ "a record is copied over", step_copy, BY_ANYBODY },
	{ "two records become one file and two again", step_share_file, BY_ANYBODY },
	{ "there are too many changes", step_overflow, BY_ANYBODY },
	{ "a directory above the data directory is moved", step_move_base, BY_ANYBODY },
	{ "the data directory is a link and pointed elsewhere", step_data_by_link, BY_ANYBODY },
	{ "a directory behind a link on the way is swapped", step_swap_behind_link, BY_ANYBODY },
	{ "a file is mounted over a record", step_mount_record, WITH_MOUNTS },
	{ "a directory is mounted over that of a record", step_mount_directory, WITH_MOUNTS },
	{ "permissions of a mounted directory are taken and given", step_chmod_mounted, MOUNTS_FOR_NOBODY },
	{ "a directory is mounted over the data directory", step_mount_data, WITH_MOUNTS },
	{ "a file system is mounted over the data directory", step_mount_empty, WITH_MOUNTS },
	{ "permissions are taken and given", step_chmod, BY_NOBODY },
};

/* ---- One after the other ---- */

/* Becomes somebody for whom permissions count, whose the files are. */
static void become_nobody(void)
{
	static const char *const paths[] = { "..", ".", "data", "data/pods", W, FILE_OF_W };

	if (geteuid() != 0)
		return;
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		MUST(chown(paths[i], NOBODY, NOBODY), paths[i]);
	MUST(seteuid(NOBODY), "seteuid");
}

/* Mounts of a namespace of our own, which nobody else sees. */
static bool can_mount(void)
{
	return geteuid() == 0 && unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static void test_change(void **state)
{
	const struct change *change = *state;
	const uid_t user = geteuid();
	struct scene scene;
	int n = n_rounds();

	/* A plugin in a process of its own does not become anybody else with us. */
	if ((change->as == BY_NOBODY || change->as == MOUNTS_FOR_NOBODY) && getenv("BERTH_TEST_ISOLATED"))
		skip();
	if (change->as >= WITH_MOUNTS && !can_mount())
		skip();
	scene_begin(&scene);
	if (change->as == BY_NOBODY)
		become_nobody();
	compare(&scene, "at the beginning", 0);
	/* An even number of rounds leaves everything to be removed. */
	for (int i = 0; i <= n / 2 * 2; i++) {
		change->step(&scene, i);
		compare(&scene, change->name, i);
		if (i % SETTLE_EVERY == SETTLE_EVERY - 1) {
			let_ticks_pass();
			/* So that it is kept as settled; twice, so that it is also used. */
			compare(&scene, change->name, i);
			compare(&scene, change->name, i);
		}
	}
	MUST(seteuid(user), "seteuid");
	if (change->as >= WITH_MOUNTS)
		umount2(W, MNT_DETACH); /* if it still is one */
	scene_end(&scene);
}

/* ---- Many records ---- */

/* So many are read by several threads where there are processors. */
static void test_many(void **state)
{
	enum { N = 1300 };
	static const char *const limits[] = { "1", "499", "500", "700", "1100", "1300", "99999" };
	struct scene scene;
	char dir[64];

	(void)state;
	scene_begin(&scene);
	for (int i = 0; i < N; i++) {
		/* Their order is not that in which they are made. */
		snprintf(dir, sizeof dir, "data/pods/%s%04d", i % 3 ? "many" : "more", i * 7 % N);
		set_label(&scene, i);
		if (i % 11 == 5)
			MUST(mkdir(dir, 0777), dir);
		else
			make_record(dir, i % 13 == 6 ? "wrong\\" : scene.label);
	}
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		for (int way = 0; way < N_HOSTS; way++) {
			host_stop(&scene.hosts[way]);
			scene_host(&scene, way);
			host_ask(&scene.hosts[way], "{'op':'list_workers','limit':%s}", limits[i]);
			/* Again, for all: what was read ahead and not shown must be looked at. */
			if (i == 2)
				write_in_place("data/pods/many1299/metadata.json", ways[way]);
		}
		for (int again = 0; again < 3; again++)
			compare(&scene, limits[i], again);
	}
	scene_end(&scene);
}

/* ---- That there is a watch at all ---- */

static int n_watches(void)
{
	DIR *dir = opendir("/proc/self/fdinfo");
	const struct dirent *entry;
	int n = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		char path[300], line[256];
		FILE *file;

		snprintf(path, sizeof path, "/proc/self/fdinfo/%s", entry->d_name);
		file = fopen(path, "re");
		while (file && fgets(line, sizeof line, file))
			n += strncmp(line, "inotify wd:", strlen("inotify wd:")) == 0;
		if (file)
			fclose(file);
	}
	closedir(dir);
	return n;
}

static void test_watches(void **state)
{
	struct scene scene;
	int n = 0;

	(void)state;
	scene_begin(&scene);
	for (int i = 0; i < 3; i++) {
		let_ticks_pass();
		host_ask(&scene.hosts[BY_STAT], "{'op':'list_workers'}");
		host_ask(&scene.hosts[PLAIN], "{'op':'list_workers'}");
		assert_int_equal(n_watches(), n);
		host_ask(&scene.hosts[WATCHED], "{'op':'list_workers'}");
		n = n_watches();
	}
	if (n == 0) {
		/* This file system does not tell of changes, or not to this process. */
		scene_end(&scene);
		skip();
	}
	/* /, what is on the way, pods and the record at the least. */
	assert_true(n >= 6);
	step_new_record(&scene, 0);
	host_ask(&scene.hosts[WATCHED], "{'op':'list_workers'}");
	host_ask(&scene.hosts[WATCHED], "{'op':'list_workers'}");
	assert_int_equal(n_watches(), n + 1);
	MUST(rename("data/pods/n00", "data/gone"), "n00");
	host_ask(&scene.hosts[WATCHED], "{'op':'list_workers'}");
	assert_int_equal(n_watches(), n);
	scene_end(&scene);
	assert_int_equal(n_watches(), 0);
}

int main(void)
{
	enum { N = sizeof changes / sizeof *changes };
	struct CMUnitTest tests[N + 2];
	size_t n = 0;

	tests[n++] = (struct CMUnitTest){ "files are watched", test_watches, NULL, NULL, NULL };
	tests[n++] = (struct CMUnitTest){ "many records are listed alike", test_many, NULL, NULL, NULL };
	for (size_t i = 0; i < N; i++)
		tests[n++] = (struct CMUnitTest){ changes[i].name, test_change, NULL, NULL, &changes[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
