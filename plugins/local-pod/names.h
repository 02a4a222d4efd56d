/* SPDX-License-Identifier: MIT */
/* The names of the directories in a directory. */
#ifndef BERTH_LOCAL_POD_NAMES_H
#define BERTH_LOCAL_POD_NAMES_H

#include <stddef.h>
#include <stdint.h>

struct name {
	const char *text; /* terminated */
	uint16_t len;
};

struct names {
	char *text; /* of all names; the owner of the list may take it */
	size_t size;
	struct name *list; /* in byte order */
	size_t n;
};

/* Reads them through a descriptor that nothing was read from yet. Links are not
 * followed, and what is not UTF-8 is left out. A negative errno; names_fini is due in
 * any case. */
int names_read(int dir_fd, struct names *names);
void names_fini(struct names *names);

#endif
