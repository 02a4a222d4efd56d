/* SPDX-License-Identifier: MIT */
/* The host checks a plugin as far as it can be checked as data: its file, its pin, its
 * stamp, its options. What is left is to run it, and that is done elsewhere; only the open
 * file goes there, so that what was checked is what runs. */
#include "config.h"

#include "core/isolation.h"

#include <stdlib.h>

#include "core/log.h"
#include "inline/frames.h"

int isolation_find(struct loader *loader, const char *program, const char *id, const char *sha256,
		   struct adapter **adapterp, char **filep, struct failure *failure)
{
	struct adapter *host, *adapter;
	char *host_file;
	int rc = loader_find(loader, id, sha256, &adapter, filep, failure);

	if (rc < 0)
		return rc;
	rc = loader_load(loader, ISOLATION_ADAPTER, NULL, &host, &host_file, failure);
	free(host_file);
	if (rc < 0)
		return rc;
	if (!program)
		return failure_set(failure, FAILURE_OPEN_FAILED, "a program that runs isolated instances", "none");
	/* The second time others may be reading it. */
	if (!adapter->host) {
		adapter->program = program;
		adapter->ops = host->ops;
		adapter->host = host;
	}
	*adapterp = adapter;
	return 0;
}

int isolation_wrap(const struct instance *instance, const struct berth_open_request *open, struct buffer *out,
		   struct failure *failure)
{
	const struct adapter *adapter = instance->adapter;
	const struct frame_start start = {
		.size = sizeof start,
		.id = berth_text(adapter->stamp.id),
		.file = berth_text(adapter->file),
		.name = berth_text(instance->name),
		.program = berth_text(adapter->program),
		.log_level = (uint64_t)log_lowest(),
		.fd = adapter->file ? (uint64_t)adapter->fd : FRAME_LINKED_IN,
		.lanes = adapter->stamp.threading == BERTH_THREADS_ANY ? FRAME_LANES_MAX : 1,
	};
	struct frame_before none[2] = { { .changes = 0 } };
	size_t size = frame_measure(FRAME_KIND_START, &start, NULL, &none[0]) +
		      frame_measure(FRAME_KIND_OPEN_REQUEST, open, NULL, &none[1]);
	char *to = buffer_reserve(out, size);

	if (!to)
		return failure_set(failure, FAILURE_NO_MEMORY, "memory", "none");
	to = frame_write(to, FRAME_KIND_START, &start, to, &none[0]);
	frame_write(to, FRAME_KIND_OPEN_REQUEST, open, to, &none[1]);
	out->len += size;
	return 0;
}
