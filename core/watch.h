/* SPDX-License-Identifier: MIT */
/* Runtimes and workers, shown again whenever they change. */
#ifndef BERTH_CORE_WATCH_H
#define BERTH_CORE_WATCH_H

#include <berth/adapter.h>
#include <stdbool.h>

#include "core/buffer.h"
#include "core/error.h"
#include "core/status.h"

/* Appends the answer to a request of the batch protocol; 0 or a negative errno. */
typedef int watch_ask_fn(void *context, struct berth_text line, struct buffer *answer, struct error *error);

struct watch {
	watch_ask_fn *ask;
	void *context;
	const char *limit; /* of items, a number; NULL: whatever is the default there */
	const char *title;
	unsigned interval_s;
	bool json;
	int out_fd;
};

/* Asks once an interval and shows what came if it is not what is there already: on the
 * whole screen of a terminal, else as a block for each change, as one line in JSON. Does
 * not return but for a failure: of the output, or of the first question. Later ones are
 * shown and asked again. */
enum status watch_run(const struct watch *watch);

#endif
