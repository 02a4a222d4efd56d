/* SPDX-License-Identifier: MIT */
/* What a cluster of Incus or LXD is asked, and what its answers mean. Its reasons go into the
 * log; callers get an error number, which failure.h translates. Containers are named by
 * names.h and their files by paths in the supervisor's directory. */
#ifndef BERTH_INCUS_CLUSTER_H
#define BERTH_INCUS_CLUSTER_H

#include <cjson/cJSON.h>

#include "client.h"

/* Where the supervisor and its files are. */
#define CLUSTER_HOME "/berth"

/* How a request is made: by whom, and for how long at the most. */
struct cluster_call {
	struct client *client;
	struct berth_call *call;
	uint64_t timeout_ms; /* of changes, which the cluster carries out in its own time; 0: as of a request */
	bool persistent;     /* goes on although nobody waits any more */
};

/* What is there. *metadatap is the caller's, and never NULL then. -ENOTSUP: of members, and the
 * server is no cluster. */
int cluster_read(const struct cluster_call *call, const char *path, cJSON **metadatap);
int cluster_read_within(const struct cluster_call *call, const char *path, uint64_t timeout_ms, cJSON **metadatap);

/* Carries out a change and waits until it is done. body may be NULL. */
int cluster_change(const struct cluster_call *call, const char *method, const char *path, const cJSON *body);

/* path is that of /1.0/instances/NAME, with what follows: the caller frees it. */
char *cluster_path(const char *name, const char *rest);

/* start or stop; timeout_s: how long the worker may take, 0: none. -EALREADY: it is so. */
int cluster_set_state(const struct cluster_call *call, const char *name, const char *action, bool force, uint64_t timeout_s);

/* Files. type: file or directory. */
int cluster_write_file(const struct cluster_call *call, const char *name, const char *path, const char *type, unsigned mode,
		       struct berth_text content);
int cluster_read_file(const struct cluster_call *call, const char *name, const char *path, uint64_t first, uint64_t last,
		      struct client_reply *reply);
int cluster_remove_file(const struct cluster_call *call, const char *name, const char *path);

#endif
