/* SPDX-License-Identifier: MIT */
/*
 * The clock does not tell an adapter that waits from a thread that had to give way to others, and on a busy machine the
 * latter happens all the time. So a quick answer earns something, and each millisecond of another costs what PACE_QUICK
 * quick ones have earned: the odd slow answer changes nothing, and many of them, or a very slow one, do at once.
 */
#include "config.h"

#include "core/serve/pace.h"

enum {
	CREDIT_MAX = 16 * PACE_QUICK,
	MS_NS = 1000000,
};

bool pace_is_quick(struct pace *pace)
{
	return atomic_load_explicit(&pace->credit, memory_order_relaxed) >= PACE_QUICK;
}

void pace_learn(struct pace *pace, uint64_t took_ns)
{
	int had = atomic_load_explicit(&pace->credit, memory_order_relaxed), has = had + 1;

	if (took_ns >= CREDIT_MAX / PACE_QUICK * MS_NS)
		has = 0;
	else if (took_ns >= MS_NS)
		has = had - (int)(took_ns / MS_NS) * PACE_QUICK;
	has = has < 0 ? 0 : has > CREDIT_MAX ? CREDIT_MAX : has;
	/* Of two answers at the same moment one may be forgotten. */
	if (has != had)
		atomic_store_explicit(&pace->credit, has, memory_order_relaxed);
}
