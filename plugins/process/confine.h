/* SPDX-License-Identifier: MIT */
/* What a child may not do. */
#ifndef BERTH_PROCESS_CONFINE_H
#define BERTH_PROCESS_CONFINE_H

#include <stdbool.h>
#include <stddef.h>

struct confinement {
	bool on;       /* no new privileges, and system calls that only harm are refused */
	int landlock;  /* the rules for files; -1: none */
};

/* Makes rules by which a child may read what is below the readable paths, and the
 * system's own programs and libraries, and change what is below the writable ones.
 * Returns the rules; -ENOSYS where the kernel has no Landlock; another negative errno,
 * with the path that was meant in *culpritp. */
int confine_paths(const char *const *readable, size_t n_readable, const char *const *writable, size_t n_writable,
		  const char *program, int plugin_fd, const char **culpritp);

/* Confines this process for good. Only makes system calls. Returns NULL, or what failed,
 * with errno set. [between fork and exec] */
const char *confine_self(const struct confinement *confinement);

/* Whether the system calls of this machine are known here. */
bool confine_knows_calls(void);

#endif
