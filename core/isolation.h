/* SPDX-License-Identifier: MIT */
/* Isolation: the host's side of an instance whose plugin runs in a process of its own. */
#ifndef BERTH_CORE_ISOLATION_H
#define BERTH_CORE_ISOLATION_H

#include "core/buffer.h"
#include "core/instance.h"

/* The adapter that runs others, and the option by which it is told which. */
#define ISOLATION_ADAPTER "process"
#define ISOLATION_OPTION "isolated"

/* Finds the plugin without linking it, as loader_load, and gives it the operations of the
 * adapter that runs others. program: berth itself, or NULL. [set-up] */
int isolation_find(struct loader *loader, const char *program, const char *id, const char *sha256,
		   struct adapter **adapterp, char **filep, struct failure *failure);

/* Writes everything that the other process needs to open the instance. */
int isolation_wrap(const struct instance *instance, const struct berth_open_request *open, struct buffer *out,
		   struct failure *failure);

#endif
