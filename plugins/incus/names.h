/* SPDX-License-Identifier: MIT */
/* Names, in the cluster and in answers. A container is berth-WORKSPACE-KEY, both digests, so that
 * it can be told whose it is even where its configuration cannot be read; its worker is
 * worker-KEY. Members of the cluster are named by digests alone. */
#ifndef BERTH_INCUS_NAMES_H
#define BERTH_INCUS_NAMES_H

#include <berth/adapter.h>
#include <stdbool.h>

enum {
	NAMES_WORKSPACE_LEN = 12,
	NAMES_KEY_LEN = 20,
	NAMES_WORKER_LEN = 7 + NAMES_KEY_LEN,
	NAMES_CONTAINER_LEN = 6 + NAMES_WORKSPACE_LEN + 1 + NAMES_KEY_LEN,
	NAMES_HOST_LEN = 11 + 16,
};

/* The first len hex digits of the digest of what was said, and of all of text. digits has room for len + 1. */
int names_digest(const char *what, struct berth_text text, char *digits, size_t len);

/* A new key; of a request that has an identifier always the same. -EIO, -ENOMEM. */
int names_new_key(struct berth_text request_id, char key[NAMES_KEY_LEN + 1]);

/* Of a worker's identifier; false where it is none of ours. */
bool names_key_of_worker(struct berth_text worker_id, char key[NAMES_KEY_LEN + 1]);

/* Of a container's name; false where it is none of the workspace's. */
bool names_key_of_container(const char *name, const char *workspace, char key[NAMES_KEY_LEN + 1]);

void names_container(const char *workspace, const char *key, char name[NAMES_CONTAINER_LEN + 1]);
struct berth_text names_worker(const char *key, char id[NAMES_WORKER_LEN + 1]);
int names_host(const char *member, char id[NAMES_HOST_LEN + 1]);

#endif
