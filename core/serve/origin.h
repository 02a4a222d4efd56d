/* SPDX-License-Identifier: MIT */
/* Which names the service answers to, so that a web page cannot reach it under a name of its own (DNS rebinding), and
 * which pages may ask. */
#ifndef BERTH_CORE_SERVE_ORIGIN_H
#define BERTH_CORE_SERVE_ORIGIN_H

#include <berth/adapter.h>
#include <stdbool.h>
#include <stddef.h>

struct origins {
	const char *const *hosts, *const *origins; /* further ones that are allowed; borrowed */
	size_t n_hosts, n_origins;
};

/* Whether a Host is one of ours: localhost, an address of the loopback, listen (the address that the request came in
 * by, without its port; NULL: none), or one that is allowed, with or without a port. [any thread] */
bool origins_allow_host(const struct origins *origins, const char *listen, struct berth_text host);

/* Whether a page of an Origin may ask: one that is allowed, or the one that the Host is. [any thread] */
bool origins_allow_origin(const struct origins *origins, bool tls, struct berth_text host, struct berth_text origin);

#endif
