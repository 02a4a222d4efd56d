/* SPDX-License-Identifier: MIT */
/*
 * A child process and its life: started, watched, ended, and started again.
 *
 *	start -> greeted -> ready -> ended -> a pause that grows -> start
 *	                                   -> quarantine, once it has ended too often
 *
 * One thread for each child, its keeper, does all that; those who call only ever wait
 * for what it says.
 */
#ifndef BERTH_PROCESS_CHILD_H
#define BERTH_PROCESS_CHILD_H

#include <berth/adapter.h>
#include <pthread.h>

#include "inline/standing.h"
#include "launch.h"
#include "trouble.h"

/* The ends that a child is given, as its descriptors 0, 1, 2, ... */
struct child_ends {
	int fds[LAUNCH_FDS_MAX];
	size_t n;
};

/* How one speaks with a child. All but silent_since are called by the keeper alone. */
struct speech {
	/* Makes the ends for a life of the child. null_fd, error_fd: what it gets in the place
	 * of an input, and as standard error. 0 or a negative errno. */
	int (*connect)(void *speaker, uint64_t life, int null_fd, int error_fd, struct child_ends *ends);
	/* The child has its ends now: greets it. -1 with the trouble. */
	int (*greet)(void *speaker, struct trouble *trouble);
	/* What the keeper is to watch; -1: nothing. */
	int (*watched)(void *speaker, bool greeted);
	/* It can be read. 1: the greeting is answered well; 0: go on; -1: the trouble. */
	int (*heard)(void *speaker, struct trouble *trouble);
	/* Since when nothing has been heard although an answer is due; 0: none is. [any thread] */
	uint64_t (*silent_since)(void *speaker);
	/* Closes the child's input: it is to end by itself. */
	void (*part)(void *speaker);
	/* Ends every call that is under way with the trouble, and closes what is left. */
	void (*disconnect)(void *speaker, const struct trouble *trouble);
};

struct child_settings {
	const struct berth_services *services;
	uint64_t start_ns, stop_ns, hang_ns; /* how long each may take */
	uint64_t deaths;                     /* in a row, after which it is not started again; 0: never */
	bool awaited;                        /* a first start that fails is for the caller to report, and final */
	const char *name;                    /* what tells it from others; borrowed until child_new returns */
	struct standing *standing;           /* where it is to be seen; NULL: nowhere */
};

struct child;

/* Starts a child, and returns before it has said anything; NULL: no memory. The launch is
 * the child's then. */
struct child *child_new(const struct child_settings *settings, struct launch *launch, const struct speech *speech,
			void *speaker);

/* Ends the child; no call is under way. */
void child_free(struct child *child);

/* Waits until the child can be asked, which takes no longer than it may take to start;
 * deadline_ns 0: none. Returns which of its lives this is, from 1; 0 with the trouble. */
uint64_t child_ready(struct child *child, uint64_t deadline_ns, struct trouble *trouble);

/* Has the child ended because of what one life of it did. */
void child_lost(struct child *child, uint64_t life, const struct trouble *why);

/* Has the keeper look at silent_since again. */
void child_nudge(struct child *child);

/* Waits for the end of a life, of which it is known that it comes; says what it came to. */
void child_ended(struct child *child, uint64_t life, struct trouble *trouble);

/* A condition that waits by the clock of deadlines, and a wait: false once it is too late. */
int child_cond_init(pthread_cond_t *cond);
bool child_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t deadline_ns);

#endif
