/* SPDX-License-Identifier: MIT */
/* The connections, each with the time until which what it does now must be done: so that nobody keeps one by being
 * slow. */
#ifndef BERTH_CORE_SERVE_CLIENT_H
#define BERTH_CORE_SERVE_CLIENT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/serve/exchange.h"

struct MHD_Connection;
struct door;

struct client {
	struct client *next, **linkp;
	struct MHD_Connection *connection;
	const struct door *door;
	int fd;
	bool surplus; /* beyond the most that there may be */
	atomic_uint_fast64_t deadline_ns;
	struct exchange *current; /* being read or answered; its network thread's alone */
	struct exchange *waiting; /* for another thread; under the lock */
};

struct clients {
	pthread_mutex_t lock;
	struct client *first;
	bool closed; /* nobody may wait any more */
};

void client_set_deadline(struct client *client, uint64_t deadline_ns);

/* Sets the time by which so many bytes must have come or gone. */
void client_allow(struct client *client, const struct service *service, uint64_t from_ns, uint64_t n_bytes);

void clients_init(struct clients *clients);

/* NULL where there is no memory. */
struct client *clients_add(struct clients *clients, struct MHD_Connection *connection, int fd);
void clients_remove(struct clients *clients, struct client *client);

/* Lets a client, which is suspended, wait for another thread: until clients_resume, or until its time is up. False
 * where it may not, and has been resumed as if its time were up. */
bool clients_wait(struct clients *clients, struct client *client, struct exchange *exchange);

/* Suspends a client until the executor has carried its exchange out. Where it will not, the client has been resumed, and
 * the exchange says why; nobody is refused for want of room who must be let in. */
void clients_hand_over(struct clients *clients, struct client *client, struct exchange *exchange, bool must);

/* The other thread is through. The client is resumed unless it was already. */
void clients_resume(struct clients *clients, struct exchange *exchange);

/* Resumes those who have waited for too long for another thread, and disconnects those who have taken too long
 * themselves. */
void clients_expire(struct clients *clients, uint64_t now_ns);

/* Resumes all who wait, and lets nobody wait from now on. */
void clients_close(struct clients *clients);

/* No client is left. */
void clients_fini(struct clients *clients);

#endif
