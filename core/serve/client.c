/* SPDX-License-Identifier: MIT */
/* The library only knows how long a connection has been silent, and a byte now and then is not silence. Here each has
 * an absolute deadline, which one thread looks after. */
#include "config.h"

#include "core/serve/client.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "core/serve/library.h"
#include "core/services.h"

enum { RATE_MIN = 4 << 10 }; /* bytes in a second that a client must at least take or send */

void client_set_deadline(struct client *client, uint64_t deadline_ns)
{
	atomic_store_explicit(&client->deadline_ns, deadline_ns, memory_order_relaxed);
}

void client_allow(struct client *client, const struct service *service, uint64_t from_ns, uint64_t n_bytes)
{
	client_set_deadline(client, from_ns + service->timeout_ns + n_bytes / RATE_MIN * UINT64_C(1000000000));
}

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

/* Holding the lock. Until now others had to be waited for; from now on it has the time of its own that any step has. */
static void resume(struct client *client, enum exchange_stage stage)
{
	client_allow(client, client->waiting->service, services_monotonic_ns(), 0);
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

static void run_exchange(struct job *job)
{
	struct exchange *exchange = (struct exchange *)job;

	exchange_carry_out(exchange);
	clients_resume(exchange->clients, exchange);
	exchange_unref(exchange);
}

void clients_hand_over(struct clients *clients, struct client *client, struct exchange *exchange, bool must)
{
	exchange->job.run = run_exchange;
	exchange->clients = clients;
	client_set_deadline(client, exchange->deadline_ns);
	/* In this order, since it may be through before this thread goes on. */
	exchange_ref(exchange);
	MHD_suspend_connection(client->connection);
	if (clients_wait(clients, client, exchange)) {
		if (executor_submit(&exchange->service->executor, &exchange->job, must))
			return;
		clients_resume(clients, exchange);
		exchange_refuse(exchange, REFUSAL_BUSY, "too many requests are waiting; try again");
	}
	exchange_unref(exchange);
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
