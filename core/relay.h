/* SPDX-License-Identifier: MIT */
/* The batch protocol, carried to a service: what berth batch does where it is told to
 * connect. */
#ifndef BERTH_CORE_RELAY_H
#define BERTH_CORE_RELAY_H

#include <stddef.h>

#include "core/error.h"
#include "core/remote.h"

/* Sends the lines of one descriptor to the service and writes its answers on the other,
 * until the input ends; as batch_run, which see. */
int relay_run(struct remote *remote, int in_fd, int out_fd, size_t line_max, struct error *error);

#endif
