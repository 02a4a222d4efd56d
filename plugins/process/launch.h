/* SPDX-License-Identifier: MIT */
/* How a child is started: its command, and all that it is given and denied. */
#ifndef BERTH_PROCESS_LAUNCH_H
#define BERTH_PROCESS_LAUNCH_H

#include <stdint.h>
#include <sys/types.h>

#include "confine.h"

enum { LAUNCH_FDS_MAX = 9 };

/* What is wanted. Everything is borrowed by launch_new. */
struct launch_wishes {
	const char *const *command; /* ends with a NULL */
	const char *user, *directory;                  /* "": as the host */
	const char *const *environment;                /* NAME=VALUE, or NAME: as the host has it; ends with a NULL */
	uint64_t memory, cpu, files;                   /* bytes, seconds, descriptors; 0: no limit of its own */
	const char *const *readable, *const *writable; /* paths; NULL: files are not limited */
	bool confined;
	int plugin_fd; /* readable, too; -1: none */
};

struct launch;

/* A child that was started. */
struct launched {
	pid_t pid;
	int pidfd;     /* can be read once it has ended */
	int report_fd; /* what launch_report reads */
};

/* Finds everything that a start needs, so that a start only makes system calls. On
 * failure what is wrong, in text; a lack that does not matter is there on success, too. */
struct launch *launch_new(const struct launch_wishes *wishes, char *text, size_t text_size);
void launch_free(struct launch *launch);

/* Says what it is that is started: it changes when the file of the program does, or of
 * the plugin. */
enum { LAUNCH_IDENTITY_MAX = 200 };
void launch_identify(const struct launch *launch, char identity[LAUNCH_IDENTITY_MAX]);

/* Starts a child in a session of its own, which ends with this thread. It finds fds[i] as
 * descriptor i and no others. 0 or a negative errno. */
int launch_start(const struct launch *launch, const int *fds, size_t n_fds, struct launched *launched);

/* What went wrong before the program ran, in text; "" where it was run. Once it has ended. */
void launch_report(const struct launched *launched, char *text, size_t text_size);

#endif
