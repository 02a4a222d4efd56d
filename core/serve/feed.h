/* SPDX-License-Identifier: MIT */
/* Those who follow the events of runtimes, and the asking that is done for them. */
#ifndef BERTH_CORE_SERVE_FEED_H
#define BERTH_CORE_SERVE_FEED_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#include "core/serve/client.h"

struct feed;
struct follower;

struct feeds {
	pthread_mutex_t lock;
	struct feed *first;
	struct service *service;
	struct clients *clients;
	bool closed; /* nobody may follow any more */
};

void feeds_init(struct feeds *feeds, struct service *service, struct clients *clients);

/* Begins to follow a runtime with the page that an exchange has as its answer, and resumes its client whenever there is
 * something to take. NULL where the answer has no page, or there is no memory. */
struct follower *feeds_follow(struct feeds *feeds, struct exchange *exchange);

/* Has the runtimes asked that somebody follows; to be called a few times a second. */
void feeds_tick(struct feeds *feeds);

/* Ends all streams, once what is there has been taken, and all that would begin from now on. */
void feeds_close(struct feeds *feeds);

/* Nobody follows and no job is running. */
void feeds_fini(struct feeds *feeds);

/* Takes bytes that are to be sent: how many; 0 where there are none yet; -1 behind the last. */
ssize_t follower_take(struct follower *follower, char *to, size_t max);

/* Whether follower_take has anything but 0 to say. */
bool follower_is_due(struct follower *follower);

/* Follows no more. NULL is let pass. */
void follower_end(struct follower *follower);

#endif
