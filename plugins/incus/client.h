/* SPDX-License-Identifier: MIT */
/* HTTP to the servers of one cluster: connections that are kept, TLS that is always
 * verified, another server where one cannot be reached. Any thread may call. */
#ifndef BERTH_INCUS_CLIENT_H
#define BERTH_INCUS_CLIENT_H

#include <berth/adapter.h>
#include <openssl/x509.h>
#include <stdbool.h>

#include "inline/reason.h"

struct client;

struct client_options {
	const char *servers;            /* separated by spaces: https://HOST[:PORT] or unix:/PATH */
	const char *project;
	const char *certificate, *key;  /* of ours; NULL: none */
	const char *server_certificate; /* exactly this one is expected; NULL: one of a known authority */
	uint64_t timeout_ms;            /* of one request */
};

/* Reaches nobody yet. -EINVAL: an option is wrong, -ENOMEM. */
int client_open(const struct client_options *options, struct client **clientp, struct reason *reason);
void client_close(struct client *client);

struct client_request {
	const char *method;
	const char *path;      /* from /1.0 on; the project is added */
	struct berth_text body; /* ptr NULL: none */
	const char *file_type; /* file or directory: the body is written as one; NULL: it is JSON */
	unsigned mode;         /* of the file */
	uint64_t first, last;  /* bytes wanted of a file, from 0; last 0: all */
	uint64_t timeout_ms;   /* 0: the client's */
	bool persistent;       /* goes on although nobody waits any more */
};

/* data is followed by a NUL. */
struct client_reply {
	long status; /* of HTTP */
	char *data;
	size_t len;
	uint64_t first, total; /* where the bytes of a file begin, and how many it has; as far as it is said */
};

enum { CLIENT_REPLY_MAX = 64 << 20 };

/* Asks once, and another server where one cannot be reached. 0: there is an answer, whatever it
 * says. -ECONNREFUSED: nobody could be reached; -ETIMEDOUT; -ECANCELED: nobody waits any
 * more; -EPROTO, -EMSGSIZE: no answer of a cluster; -ENOMEM. */
int client_ask(struct client *client, struct berth_call *call, const struct client_request *request,
	       struct client_reply *reply);
void client_reply_fini(struct client_reply *reply);

/* ---- For connections of another kind to the same servers ---- */

/* All is the client's. */
struct client_place {
	const char *base;   /* https://HOST[:PORT], or what stands for a socket */
	const char *socket; /* NULL: none */
	const char *project, *certificate, *key, *server_certificate; /* NULL, but for the project: none */
};

/* The nth server to be tried, from the one on that answered last. */
void client_place(struct client *client, size_t n, struct client_place *place);

/* Whether a server of them is reached over TLS. */
bool client_encrypts(const struct client *client);

/* Whether it is the certificate of a server that may be talked to, as far as that is its key's affair. */
bool client_trusts(const struct client *client, X509 *certificate);

/* The text as one part of a path or a query; free it. */
char *client_escape(const char *text);

#endif
