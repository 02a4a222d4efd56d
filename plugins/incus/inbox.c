/* SPDX-License-Identifier: MIT */
/*
 * Why a file for each input, and not one to which all are appended: a daemon appends by
 * looking for the end and writing there, so that of inputs which come at the same time
 * through several members some are overwritten, and all are reported as done.
 *
 * Whoever takes an input moves it out of the inbox first. So one that can still be removed
 * from there was not taken and never will be, and what is answered is always true.
 */
#include "config.h"

#include "inbox.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

enum {
	PATIENCE_MS = 10000, /* until it is withdrawn */
	ENTERING_MS = 10000, /* that it takes the worker at the most, once it has taken it */
	PAUSE_FIRST_MS = 20,
	PAUSE_MAX_MS = 200,
	NAME_SIZE = 64,
};

/* What stands between the quotes of a JSON string. Returns its end. */
static char *write_escaped(char *to, struct berth_text text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (c == '"' || c == '\\')
			to += sprintf(to, "\\%c", c);
		else if (c < 0x20)
			to += sprintf(to, "\\u%04x", c);
		else
			*to++ = (char)c;
	}
	return to;
}

/* The file: the role, the content as in JSON, the content as it is. */
static char *write_input(const struct berth_input_request *request, size_t *lenp)
{
	char *text = malloc(32 + request->content.len * 7), *end = text;

	if (!text)
		return NULL;
	end += sprintf(end, "%s\n", request->kind == BERTH_INPUT_SYSTEM ? "system" : "user");
	end = write_escaped(end, request->content);
	*end++ = '\n';
	memcpy(end, request->content.ptr, request->content.len);
	*lenp = (size_t)(end - text) + request->content.len;
	return text;
}

static int new_name(size_t len, char name[NAME_SIZE])
{
	uint64_t random[2];

	if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
		return -EIO;
	snprintf(name, NAME_SIZE, "%016" PRIx64 "%016" PRIx64 ".%zu", random[0], random[1], len);
	return 0;
}

static int read_receipt(const struct cluster_call *call, const char *container, const char *name, uint64_t *sequencep)
{
	char path[sizeof CLUSTER_HOME "/receipts/" + NAME_SIZE];
	struct client_reply reply = { 0 };
	int rc;

	snprintf(path, sizeof path, CLUSTER_HOME "/receipts/%s", name);
	rc = cluster_read_file(call, container, path, 0, 0, &reply);
	if (rc == 0) {
		*sequencep = strtoull(reply.data, NULL, 10);
		/* Nobody else asks for it; what stays is removed when the worker starts again. */
		cluster_remove_file(call, container, path);
	}
	client_reply_fini(&reply);
	return rc;
}

/* Until it is there, for a time at the most: -EAGAIN then. */
static int await_receipt(const struct cluster_call *call, const char *container, const char *name, uint64_t patience_ms,
			 uint64_t *sequencep)
{
	const struct berth_services *services = call->call->services;
	uint64_t end_ns = services->monotonic_ns(services) + patience_ms * UINT64_C(1000000);
	unsigned pause_ms = PAUSE_FIRST_MS;

	for (;;) {
		const struct timespec pause = { 0, pause_ms * 1000000L };
		int rc = read_receipt(call, container, name, sequencep);

		if (rc != -ENOENT)
			return rc;
		if (services->monotonic_ns(services) >= end_ns || call->call->sink->cancelled(call->call))
			return -EAGAIN;
		nanosleep(&pause, NULL);
		pause_ms = pause_ms < PAUSE_MAX_MS / 2 ? pause_ms * 2 : PAUSE_MAX_MS;
	}
}

static int withdraw(const struct cluster_call *call, const char *container, const char *path)
{
	struct cluster_call last = *call;

	last.persistent = true;
	return cluster_remove_file(&last, container, path);
}

int inbox_send(const struct cluster_call *call, const char *container, const struct berth_input_request *request,
	       uint64_t *sequencep)
{
	char name[NAME_SIZE], path[sizeof CLUSTER_HOME "/inbox/" + NAME_SIZE];
	size_t len = 0;
	char *text = write_input(request, &len);
	int rc = text ? new_name(len, name) : -ENOMEM, withdrawn;

	if (rc < 0) {
		free(text);
		return rc;
	}
	snprintf(path, sizeof path, CLUSTER_HOME "/inbox/%s", name);
	rc = cluster_write_file(call, container, path, "file", 0600, (struct berth_text){ text, len });
	free(text);
	if (rc == 0)
		rc = await_receipt(call, container, name, PATIENCE_MS, sequencep);
	if (rc == 0)
		return 0;
	/* Perhaps it is there although we could not be told so. */
	withdrawn = withdraw(call, container, path);
	if (withdrawn == 0)
		return rc;
	if (withdrawn != -ENOENT)
		return -EINPROGRESS;
	rc = await_receipt(call, container, name, ENTERING_MS, sequencep);
	return rc == 0 ? 0 : -EINPROGRESS;
}
