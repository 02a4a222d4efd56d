/* SPDX-License-Identifier: MIT */
/* A store that lasts: a database in a directory of its own. */
#ifndef BERTH_EMBEDDED_SQLITE_STORE_H
#define BERTH_EMBEDDED_SQLITE_STORE_H

#include <errno.h>

#include "inline/reason.h"
#include "store.h"

#if HAVE_SQLITE3
/* Opens or makes the store in a directory. relaxed: what is committed survives the
 * process, but perhaps not the machine. The services are used until it is closed.
 * Where nothing can be written, what was closed in order is opened all the same, to be
 * read until it can be; then there is a reason, too.
 * -EBUSY where another process has it; -EBADMSG where there is something else or it is
 * damaged, and is left exactly as it was; else a negative errno, of what may pass. */
int sqlite_store_open(const char *dir, bool relaxed, const struct berth_services *services, struct store **storep,
		      struct reason *reason);
#else
static inline int sqlite_store_open(const char *dir, bool relaxed, const struct berth_services *services,
				    struct store **storep, struct reason *reason)
{
	(void)relaxed, (void)services, (void)storep;
	return reason_set(reason, -ENOSYS, "the store %s cannot be opened: this berth was built without SQLite; memory is "
			  "expected, or a berth that was built with it", dir);
}
#endif

#endif
