/* SPDX-License-Identifier: MIT */
/* How long a thread has a processor before it is another one's turn. */
#ifndef BERTH_CORE_SERVE_TURN_H
#define BERTH_CORE_SERVE_TURN_H

#include <stdint.h>

enum { TURN_SHORTEST_NS = 100000 };

/* Of this thread, and of those that it starts from now on. Returns what it was; 0, and nothing
 * is changed, where the kernel has no such thing (before Linux 6.12) or does not let us. */
uint64_t turn_set(uint64_t ns);

#endif
