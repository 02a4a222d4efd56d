/* SPDX-License-Identifier: MIT */
/* Times as RFC 3339 writes them. */
#ifndef BERTH_PROCESS_RFC3339_H
#define BERTH_PROCESS_RFC3339_H

#include <berth/adapter.h>
#include <stdbool.h>

/* Nanoseconds since 1970, UTC. False where it is no time, or none of the years 1970 to 2500. */
bool rfc3339_parse(struct berth_text text, uint64_t *nsp);

#endif
