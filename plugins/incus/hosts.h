/* SPDX-License-Identifier: MIT */
/* The members of the cluster as hosts; a server that is no cluster is one. They are as they were
 * seen last where the cluster cannot be reached. It locks itself. */
#ifndef BERTH_INCUS_HOSTS_H
#define BERTH_INCUS_HOSTS_H

#include "cluster.h"
#include "names.h"

struct host {
	char id[NAMES_HOST_LEN + 1];
	char arch[32];
	const char *status;
	uint64_t seen_ns; /* 0: not yet */
};

struct hosts;

struct hosts *hosts_new(void);
void hosts_free(struct hosts *hosts);

/* Asks the cluster. Where that fails, all are unreachable from then on. */
int hosts_refresh(struct hosts *hosts, const struct cluster_call *call);

/* A copy of at most max; returns how many. */
size_t hosts_copy(struct hosts *hosts, struct host *copy, size_t max);

enum { HOSTS_MAX = 256 };

#endif
