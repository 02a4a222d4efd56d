/* SPDX-License-Identifier: MIT */
/* A service of berth somewhere else, asked over HTTP. */
#ifndef BERTH_CORE_REMOTE_H
#define BERTH_CORE_REMOTE_H

#include <berth/adapter.h>
#include <stddef.h>

#include "core/buffer.h"
#include "core/error.h"

enum {
	REMOTE_ANSWER_MAX = 64 << 20, /* bytes of one answer */
	REMOTE_TIMEOUT_S = 60,	      /* where nothing else is wanted */
};

struct remote;

/* All strings are borrowed until remote_open returns. NULL: not given. */
struct remote_options {
	const char *service; /* the absolute path of a socket, unix:PATH, or a URL */
	const char *token_file;
	const char *ca_file;		 /* who signs the service's certificate; else whom the system trusts */
	const char *cert_file, *key_file; /* what is shown to the service */
	unsigned timeout_s;		 /* how long it may take to one answer; not 0 */
};

/* Finds out how the service is reached; nothing is sent yet. All functions return 0 or
 * a negative errno, with one line in error that says what, where and what would be right;
 * -EINVAL here: the options are wrong, not the service. */
int remote_open(const struct remote_options *options, struct remote **remotep, struct error *error);

/* How the service is called in a message. Borrowed. */
const char *remote_name(const struct remote *remote);

/* Takes one answer, a JSON object on one line without its newline; borrowed. Returns 0
 * or a negative errno, with which the request then ends. */
typedef int remote_take_fn(void *context, struct berth_text answer, struct error *error);

/* Sends requests of the batch protocol, a line each, the last one with its newline too, and
 * hands on each answer as it comes. A request is never sent twice, but for one that a busy
 * service did not take. */
int remote_batch(struct remote *remote, struct berth_text lines, remote_take_fn *take, void *context,
		 struct error *error);

/* Sends one request, without a newline, and appends its answer. */
int remote_ask(struct remote *remote, struct berth_text line, struct buffer *answer, struct error *error);

/* Appends what the service has at a path, such as /api/adapters. */
int remote_get(struct remote *remote, const char *path, struct buffer *answer, struct error *error);

/* Asks for what is done at a path, such as /api/adapters/NAME/retry, and appends the answer. */
int remote_post(struct remote *remote, const char *path, struct buffer *answer, struct error *error);

void remote_close(struct remote *remote);

#endif
