/* SPDX-License-Identifier: MIT */
/*
 * What the kernel says about changes to files, so that they need not be looked at.
 *
 * Watched are a directory and all that the path to it leads through, the directories in
 * it by name, and single files by number. What a system call that has returned
 * did to any of them is told by the next watch_read, but for what the kernel does not
 * tell at once: stores through a shared mapping, and asynchronous writes of libaio; they
 * are told when the file is closed and the mapping gone.
 */
#ifndef BERTH_LOCAL_POD_WATCH_H
#define BERTH_LOCAL_POD_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

struct watch;

struct watch_visitor {
	/* A directory in the directory came, went, or is another now. */
	void (*moved)(void *data, const char *name);
	/* Its permissions may have changed. */
	void (*touched)(void *data, const char *name);
	void (*file)(void *data, int number);
};

/* Watches a directory and the way there; only what is changed later is told. path: absolute,
 * borrowed. A negative errno: -EOPNOTSUPP where not all changes would be told. */
int watch_open(const char *path, struct watch **watchp);

/* Waits for the kernel to finish with it, tens of milliseconds. */
void watch_close(struct watch *watch);

/* Watches a file below the directory, not the target of a link. Returns its number, over 0,
 * the same for the same file; a negative errno: -ENOSPC once it is enough. */
int watch_add(struct watch *watch, const char *path);

/* Forgets a file. */
void watch_remove(struct watch *watch, int number);

/* Tells all that has changed. -ESTALE: anything may have, and the way must be found again. */
int watch_read(struct watch *watch, const struct watch_visitor *visitor, void *data);

/* Watches the way as it is now, and no more what it was; files stay watched. As watch_open. */
int watch_way(struct watch *watch);

/* Whether this is the directory that is watched. That an empty one goes while somebody is
 * in it is not told before that one leaves. */
bool watch_is_of(const struct watch *watch, const struct stat *st);

#endif
