/* SPDX-License-Identifier: MIT */
/* Doors are opened and closed together, and have their clients and feeds in common. */
#include "config.h"

#include "core/serve/server.h"

#include "core/log.h"
#include "core/services.h"

int server_start(struct server *server, struct service *service, struct listeners *listeners,
		 const struct options *options, struct error *error)
{
	int rc = 0;

	server->service = service;
	clients_init(&server->clients);
	feeds_init(&server->feeds, service, &server->clients);
	if (options->tls_cert)
		rc = tls_read(&server->tls, options, error);
	for (size_t i = 0; i < listeners->n && rc == 0; i++) {
		struct door *door = &server->doors[server->n_doors++];

		*door = (struct door){ .server = server, .listener = &listeners->list[i] };
		door->tls = options->tls_cert && door->listener->tcp;
		rc = door_open(door, error);
		if (rc == 0)
			log_write(BERTH_LOG_INFO, NULL, "listening on %s%s", door->listener->name, door->tls ? " with TLS" : "");
	}
	return rc;
}

void server_tick(struct server *server)
{
	clients_expire(&server->clients, services_monotonic_ns());
	feeds_tick(&server->feeds);
}

void server_quiesce(struct server *server)
{
	for (size_t i = 0; i < server->n_doors; i++)
		door_quiesce(&server->doors[i]);
	feeds_close(&server->feeds);
}

bool server_is_busy(struct server *server)
{
	return atomic_load(&server->service->metrics.n_active) > 0;
}

void server_close(struct server *server)
{
	clients_close(&server->clients);
}

bool server_stop(struct server *server)
{
	/* The library ends the whole process where a connection is suspended. */
	server_close(server);
	for (size_t i = 0; i < server->n_doors; i++)
		if (atomic_load(&server->doors[i].n_busy) > 0)
			return false;
	for (size_t i = 0; i < server->n_doors; i++)
		door_close(&server->doors[i]);
	server->n_doors = 0;
	return true;
}

void server_fini(struct server *server)
{
	if (!server->service)
		return;
	server_stop(server);
	tls_fini(&server->tls);
	feeds_fini(&server->feeds);
	clients_fini(&server->clients);
}
