/* SPDX-License-Identifier: MIT */
/*
 * A thread that has little to do, many times, and has somebody wait for it each time, is
 * better served with short turns: the kernel then lets it have a processor sooner, before
 * one that is in the middle of a long turn. No privilege is needed, as none is gained: turns
 * are not more, only shorter.
 */
#include "config.h"

#include "core/serve/turn.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As sched_setattr(2) has it; few C libraries do. */
struct attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime_ns, deadline_ns, period_ns;
};

uint64_t turn_set(uint64_t ns)
{
	struct attributes attributes = { .size = sizeof attributes };
	uint64_t before;

	if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) < 0 || attributes.policy != SCHED_OTHER)
		return 0;
	before = attributes.runtime_ns;
	attributes.runtime_ns = ns;
	return before > 0 && syscall(SYS_sched_setattr, 0, &attributes, 0) == 0 ? before : 0;
}
