/* SPDX-License-Identifier: MIT */
/* The workers as they were seen last, and the log of events that is made of the differences.
 * A container on a member that is down comes without its configuration: what was known of it
 * stays. It locks itself. */
#ifndef BERTH_INCUS_ROSTER_H
#define BERTH_INCUS_ROSTER_H

#include <cjson/cJSON.h>

#include "names.h"

enum worker_status {
	WORKER_RUNNING,
	WORKER_STOPPED,
	WORKER_FROZEN,
	WORKER_FAULTY,
	WORKER_UNREACHABLE,
	N_WORKER_STATUSES,
};

extern const char *const worker_status_names[N_WORKER_STATUSES];

/* A time by both clocks: what is shown, and what is sure to rise. */
struct moment {
	uint64_t wall_ns, clock_ns;
};

struct worker {
	char key[NAMES_KEY_LEN + 1];
	char host[NAMES_HOST_LEN + 1];
	char role[32], profile[128], label[BERTH_HINT_MAX + 1]; /* "": not known */
	enum worker_status status, last_status; /* the second: when it could be reached */
	bool made;				/* a spawn has come to its end */
	uint64_t created_ns;			/* 0: not known */
	struct moment seen;			/* when it was asked for, or heard of; 0: not yet */
};

/* RFC 3339, in nanoseconds since 1970; 0 where it is none, or before that. */
uint64_t worker_read_time(const char *text);

/* What the cluster says of a container. -ENOENT: it is none of the workspace's; -ENOMEM. */
int worker_read(const cJSON *json, const char *workspace, const char *mark, struct moment asked, struct worker *worker);

struct roster;

struct roster *roster_new(void);
void roster_free(struct roster *roster);

/* All workers that there are, sorted by worker_compare, and when they were asked for. */
struct roster_list {
	const struct worker *workers;
	size_t n;
	struct moment asked;
};

/* Takes over a list. -ENOMEM: nothing has changed. */
int roster_replace(struct roster *roster, const struct roster_list *list);
int worker_compare(const void *a, const void *b);

/* Takes over one, and fills in what was known, or what was heard since it was asked for. -ENOMEM. */
int roster_enter(struct roster *roster, struct worker *worker, struct moment asked);

/* Takes over what has happened to one. These come in their order and leave nothing out: where a list
 * has been quicker they end as it has shown. False: it is not known. */
bool roster_note(struct roster *roster, const char *key, enum worker_status status, uint64_t at_ns, struct moment now);

/* Nothing can be reached: all are as they were. */
void roster_lose_all(struct roster *roster);
void roster_remove(struct roster *roster, const char *key, uint64_t now_ns);
bool roster_find(struct roster *roster, const char *key, struct worker *worker);

/* Visits them by their keys, until one returns other than 0. */
int roster_each(struct roster *roster, int (*visit)(void *data, const struct worker *worker), void *data);

/* ---- Events ---- */

struct event {
	uint64_t id, at_ns; /* at_ns 0: not known */
	const char *kind;
	char key[NAMES_KEY_LEN + 1]; /* "": of the runtime */
};

/* At most n that follow the id; *morep: whether there are more. Returns how many. */
size_t roster_events(struct roster *roster, uint64_t after, struct event *events, size_t n, bool *morep);
/* Of the last one; 0: there is none. */
uint64_t roster_last_event(struct roster *roster);

#endif
