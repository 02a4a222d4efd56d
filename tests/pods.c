/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "tests/pods.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/cleanup.h"

enum { N_ROUNDS = 240 };

bool is_other_process;
const char *const ways[N_HOSTS] = { "watch", "stat", "none" };

/* ---- System calls that must succeed ---- */

void must(bool done, const char *what, const char *path)
{
	if (done)
		return;
	if (is_other_process) {
		fprintf(stderr, "%s %s: %s\n", what, path, strerror(errno));
		_exit(1);
	}
	fail_msg("%s %s: %s", what, path, strerror(errno));
}

int record_text(char *text, size_t size, const char *label)
{
	return snprintf(text, size, "{\"worker_name\":\"%s\",\"workspace_root\":\"/workspace/project\"}", label);
}

void set_label(struct scene *scene, int i)
{
	snprintf(scene->label, sizeof scene->label, "label%05d", i);
}

void write_in_place(const char *path, const char *label)
{
	char text[128];
	int len = record_text(text, sizeof text, label), fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

	MUST(fd, path);
	must(pwrite(fd, text, (size_t)len, 0) == len, "write", path);
	close(fd);
}

void make_record(const char *dir, const char *label)
{
	char path[64];

	must(mkdir(dir, 0777) == 0 || errno == EEXIST, "mkdir", dir);
	snprintf(path, sizeof path, "%s/metadata.json", dir);
	write_in_place(path, label);
}

void swap(const char *a, const char *b)
{
	MUST(rename(a, "swap"), a);
	MUST(rename(b, a), b);
	MUST(rename("swap", b), b);
}

bool exchange(const char *a, const char *b)
{
#ifdef SYS_renameat2
	/* 2 is RENAME_EXCHANGE. */
	if (syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2) == 0)
		return true;
#endif
	swap(a, b);
	return false;
}

void relink(const char *target, const char *path)
{
	unlink("new-link");
	MUST(symlink(target, "new-link"), path);
	MUST(rename("new-link", path), path);
}

/* ---- Steps ---- */

void step_write(struct scene *scene, int i)
{
	set_label(scene, i);
	write_in_place(FILE_OF_W, scene->label);
}

void step_cut_and_write(struct scene *scene, int i)
{
	MUST(truncate(FILE_OF_W, 0), FILE_OF_W);
	step_write(scene, i);
}

void step_rename_over(struct scene *scene, int i)
{
	set_label(scene, i);
	write_in_place("new", scene->label);
	MUST(rename("new", FILE_OF_W), FILE_OF_W);
}

/* The new file often gets the inode number of the old one. */
void step_unlink_and_create(struct scene *scene, int i)
{
	MUST(unlink(FILE_OF_W), FILE_OF_W);
	step_write(scene, i);
}

/* ---- The comparison ---- */

/* What a host says about everything, in one text. */
static char *ask_all(struct host *host)
{
	static const char *const requests[] = {
		"{\"op\":\"worker\",\"runtime_id\":\"local-worker-runtime\","
		"\"worker_id\":\"local-worker-w-50e721e49c013f00\"}",
		"{\"op\":\"list_workers\",\"limit\":2000}",
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

void compare(struct scene *scene, const char *name, int i)
{
	CLEANUP_FREE char *plain = ask_all(&scene->hosts[PLAIN]);
	char needle[64];

	for (int way = 0; way < PLAIN; way++) {
		CLEANUP_FREE char *answers = ask_all(&scene->hosts[way]);

		if (strcmp(answers, plain) != 0)
			fail_msg("%s, round %d: the host with changes=%s says\n%s\nall that is there is\n%s", name, i,
				 ways[way], answers, plain);
	}
	/* Where all are wrong in the same way, this is not. The look-up of w comes first. */
	snprintf(needle, sizeof needle, "%s%s\"",
		 *scene->label ? "\"label\":\"" : "{\"error\":{\"kind\":\"unknown_worker", scene->label);
	if (!strstr(plain, needle) || (!*scene->label && strncmp(plain, needle, strlen(needle)) != 0))
		fail_msg("%s, round %d: %s is not in\n%s", name, i, needle, plain);
}

int n_rounds(void)
{
	const char *text = getenv("BERTH_TEST_ROUNDS");

	return text && atoi(text) > 0 ? atoi(text) : N_ROUNDS;
}

void let_ticks_pass(void)
{
	struct timespec tick;

	assert_int_equal(clock_getres(CLOCK_REALTIME_COARSE, &tick), 0);
	tick.tv_nsec *= 2;
	nanosleep(&tick, NULL);
}

void scene_host(struct scene *scene, int way)
{
	CLEANUP_FREE char *data = NULL;
	char options[32];

	assert_true(asprintf(&data, "%s/base/data", scene->dir) >= 0);
	snprintf(options, sizeof options, "{'changes':'%s'}", ways[way]);
	host_start(&scene->hosts[way],
		   &(struct host_setup){ .adapters = "local-pod", .data_dir = data, .pod_options = options });
}

void scene_begin(struct scene *scene)
{
	*scene = (struct scene){ .dir = scratch_new(), .fd = -1 };
	MUST(chmod(scene->dir, 0755), scene->dir);
	MUST(chdir(scene->dir), scene->dir);
	MUST(mkdir("base", 0777), "base");
	MUST(chdir("base"), "base");
	MUST(mkdir("data", 0777), "data");
	MUST(mkdir("data/pods", 0777), "data/pods");
	set_label(scene, 0);
	make_record(W, scene->label);
	for (int way = 0; way < N_HOSTS; way++)
		scene_host(scene, way);
}

void scene_end(struct scene *scene)
{
	for (int way = 0; way < N_HOSTS; way++)
		host_stop(&scene->hosts[way]);
	if (scene->fd >= 0)
		close(scene->fd);
	MUST(chdir("/"), "/");
	scratch_remove(scene->dir);
}
