/* SPDX-License-Identifier: MIT */
/*
 * A data directory that changes, and three hosts over it that differ in how they find out
 * what has changed; the last of them reads everything again for each answer. Steps make
 * the changes; BERTH_TEST_ROUNDS says how often. Whatever fails fails the running test.
 */
#ifndef BERTH_TESTS_PODS_H
#define BERTH_TESTS_PODS_H

#include "tests/support.h"

#include <sys/stat.h>

enum { WATCHED, BY_STAT, PLAIN, N_HOSTS };
extern const char *const ways[N_HOSTS];

struct scene {
	char *dir;          /* all happens below base in it; the data directory is data there */
	struct host hosts[N_HOSTS]; /* keep running */
	int fd;             /* that a step keeps open; -1 */
	char label[16];     /* of the worker w, as it should be; empty: it is not to be shown */
	struct stat before; /* for what a step gives back */
};

/* The worker w, seen from where the steps run. */
#define W "data/pods/w"
#define FILE_OF_W W "/metadata.json"

/* One record, and the hosts. The working directory is where data is. */
void scene_begin(struct scene *scene);
void scene_end(struct scene *scene);

/* Starts one host, which is not running. */
void scene_host(struct scene *scene, int way);

/* Asks all hosts everything: they must say the same, and of w what is expected. */
void compare(struct scene *scene, const char *name, int i);

int n_rounds(void);
void let_ticks_pass(void);

/* System calls that must succeed; in a process that only makes steps, which has no test to
 * fail, it ends otherwise. */
extern bool is_other_process;
void must(bool done, const char *what, const char *path);
#define MUST(call, path) must((call) >= 0, #call, path)

/* The text of a record, of one length for all labels of one. Returns it. */
int record_text(char *text, size_t size, const char *label);
void set_label(struct scene *scene, int i);

/* Writes into a file as it is, without cutting it first. */
void write_in_place(const char *path, const char *label);

/* Makes a directory, if it is not there, with a record. */
void make_record(const char *dir, const char *label);

/* Two names change places. */
void swap(const char *a, const char *b);

/* The same in one call, so that a directory above changes once; false where the file
 * system has none. */
bool exchange(const char *a, const char *b);

/* Points a link elsewhere in one call. */
void relink(const char *target, const char *path);

/* Steps that are made in both ways, one after the other and at the same time. */
void step_write(struct scene *scene, int i);
void step_cut_and_write(struct scene *scene, int i);
void step_rename_over(struct scene *scene, int i);
void step_unlink_and_create(struct scene *scene, int i);

#endif
