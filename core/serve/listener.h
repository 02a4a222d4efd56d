/* SPDX-License-Identifier: MIT */
/* The sockets that the service listens on: inherited from systemd, a Unix socket of its own, TCP. */
#ifndef BERTH_CORE_SERVE_LISTENER_H
#define BERTH_CORE_SERVE_LISTENER_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/error.h"
#include "core/options.h"

enum { LISTENERS_MAX = 16 };

struct listener {
	int fd;
	bool tcp;        /* else a Unix socket */
	char name[160];  /* for the log: its path, or address and port */
	char host[64];   /* of TCP: the address as it stands in Host; else "" */
	char *path;      /* of a Unix socket of our own, to be removed; else NULL */
	dev_t device;    /* which file that was */
	ino_t inode;
};

struct listeners {
	struct listener list[LISTENERS_MAX];
	size_t n;
};

/* Opens what systemd hands over and the command line asks for, and where that is nothing, the Unix socket of the
 * default. An address beyond the loopback needs TLS. 0 or a negative errno; listeners_fini is due in any case. */
int listeners_open(struct listeners *listeners, const struct options *options, struct error *error);

/* Removes the file of a Unix socket, if it is still the same. */
void listener_remove_file(struct listener *listener);

void listeners_fini(struct listeners *listeners);

#endif
