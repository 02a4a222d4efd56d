/* SPDX-License-Identifier: MIT */
/* Adapters, loaded from plugin files. */
#ifndef BERTH_CORE_LOADER_H
#define BERTH_CORE_LOADER_H

#include <berth/adapter.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/stamp.h"

/* A loaded adapter. It stays until the process ends. */
struct adapter {
	struct adapter *next;
	struct stamp stamp;
	char *file;               /* absolute; NULL: linked into the program */
	int fd;                   /* what was loaded; open for good, see loader.c */
	bool linked;
	char sha256[65];          /* what it was pinned to; "" where it was not */
	struct berth_adapter ops; /* our copy */
	const struct adapter *host; /* that runs it in another process, and whose operations these are; or NULL */
	const char *program;        /* of that process */
	pthread_mutex_t lock;     /* held around each call by BERTH_THREADS_ONE */
};

struct loader {
	bool ready;
	char **dirs; /* absolute, searched in this order */
	size_t n_dirs;
	struct adapter *adapters;
	struct adapter *found; /* and not linked here */
};

/* Readies libltdl; loader_fini is due even on failure. One loader at a time in a
 * process. */
int loader_init(struct loader *loader, struct error *error);

/* Adds a directory to be searched; a relative one is taken from here. */
int loader_add_dir(struct loader *loader, const char *dir, struct error *error);

/* Finds ID.so in the directories, checks its stamp, loads and registers it; the
 * second time the adapter is there already. sha256: the digest, in hex, that the file
 * must have, or NULL. *filep is the file that was meant, also on failure, to be freed
 * by the caller, or NULL where none was found. [set-up] */
int loader_load(struct loader *loader, const char *id, const char *sha256, struct adapter **adapterp, char **filep,
		struct failure *failure);

/* Makes the adapters those of another loader, which has been zeroed or knows none, and leaves the directories. [set-up] */
void loader_move(struct loader *from, struct loader *to);

/* Finds the plugin and checks its stamp, but links nothing of it: for another process to
 * run. As loader_load, but without operations, and the second time a new adapter unless it is
 * the same file and nothing has happened to it. [set-up] */
int loader_find(struct loader *loader, const char *id, const char *sha256, struct adapter **adapterp, char **filep,
		struct failure *failure);

/* Loads and registers a plugin that loader_find has found in another process. fd: the
 * plugin, which is the loader's then; file: its name. [set-up] */
int loader_link(struct loader *loader, const char *file, int fd, struct adapter **adapterp, struct failure *failure);

/* Forgets the adapters; their code stays in the process. No instance may be left. */
void loader_fini(struct loader *loader);

#endif
