/* SPDX-License-Identifier: MIT */
/* The library only knows how long a connection has been silent, and a byte now and then is not silence. Here each has
 * an absolute deadline, which one thread looks after. */
#include "config.h"

#include "core/serve/client.h"

#include <microhttpd.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

void clients_init(struct clients *clients)
{
	*clients = (struct clients){ .first = NULL };
	pthread_mutex_init(&clients->lock, NULL);
}

struct client *clients_add(struct clients *clients, struct MHD_Connection *connection, int fd)
{
	struct client *client = calloc(1, sizeof *client);

	if (!client)
		return NULL;
	client->connection = connection;
	client->fd = fd;
	client->deadline_ns = UINT64_MAX;
	pthread_mutex_lock(&clients->lock);
	client->next = clients->first;
	client->linkp = &clients->first;
	if (client->next)
		client->next->linkp = &client->next;
	clients->first = client;
	pthread_mutex_unlock(&clients->lock);
	return client;
}

void clients_remove(struct clients *clients, struct client *client)
{
	pthread_mutex_lock(&clients->lock);
	*client->linkp = client->next;
	if (client->next)
		client->next->linkp = client->linkp;
	pthread_mutex_unlock(&clients->lock);
	free(client);
}

/* Holding the lock. */
static void resume(struct client *client, enum exchange_stage stage)
{
	client->waiting->stage = stage;
	client->waiting->owner = NULL;
	client->waiting = NULL;
	MHD_resume_connection(client->connection);
}

bool clients_wait(struct clients *clients, struct client *client, struct exchange *exchange)
{
	bool closed;

	pthread_mutex_lock(&clients->lock);
	closed = clients->closed;
	exchange->stage = EXCHANGE_WAITING;
	exchange->owner = client;
	client->waiting = exchange;
	if (closed)
		resume(client, EXCHANGE_EXPIRED);
	pthread_mutex_unlock(&clients->lock);
	return !closed;
}

void clients_resume(struct clients *clients, struct exchange *exchange)
{
	pthread_mutex_lock(&clients->lock);
	if (exchange->owner)
		resume(exchange->owner, EXCHANGE_DONE);
	pthread_mutex_unlock(&clients->lock);
}

/* Whether one who follows has closed the connection, or his half of it. The library looks at no connection that is
 * suspended, and would only see it when there is something to send. */
static bool is_gone(const struct client *client)
{
	struct pollfd look = { .fd = client->fd, .events = POLLRDHUP };

	return client->waiting && client->waiting->follower && poll(&look, 1, 0) > 0;
}

void clients_expire(struct clients *clients, uint64_t now_ns)
{
	pthread_mutex_lock(&clients->lock);
	for (struct client *client = clients->first; client; client = client->next) {
		bool gone = is_gone(client);

		if (gone)
			shutdown(client->fd, SHUT_RDWR);
		else if (now_ns < atomic_load_explicit(&client->deadline_ns, memory_order_relaxed))
			continue;
		if (client->waiting) {
			resume(client, EXCHANGE_EXPIRED);
		} else {
			/* The library sees that it is closed, and does the rest. */
			shutdown(client->fd, SHUT_RDWR);
			atomic_store_explicit(&client->deadline_ns, UINT64_MAX, memory_order_relaxed);
		}
	}
	pthread_mutex_unlock(&clients->lock);
}

void clients_close(struct clients *clients)
{
	pthread_mutex_lock(&clients->lock);
	clients->closed = true;
	for (struct client *client = clients->first; client; client = client->next)
		if (client->waiting)
			resume(client, EXCHANGE_EXPIRED);
	pthread_mutex_unlock(&clients->lock);
}

void clients_fini(struct clients *clients)
{
	pthread_mutex_destroy(&clients->lock);
}
