/* SPDX-License-Identifier: MIT */
/* Bearer tokens: who may ask over TCP, and whether for more than reading. */
#ifndef BERTH_CORE_SERVE_TOKEN_H
#define BERTH_CORE_SERVE_TOKEN_H

#include <berth/adapter.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "core/error.h"

/* Each has all that those before it have. */
enum token_scope {
	TOKEN_NONE,
	TOKEN_READ,
	TOKEN_WRITE,
};

struct token {
	unsigned char digest[32]; /* SHA-256 */
	enum token_scope scope;
};

enum { TOKENS_MAX = 256 };

/* The tokens of a file, one a line: "read TOKEN" or "write TOKEN"; blank lines, and those that begin with #, are let
 * pass. */
struct tokens {
	const char *path;
	EVP_MD *algorithm;
	pthread_rwlock_t lock;
	struct stat seen; /* of the file when it was last read */
	bool settled;     /* that says whether it has been changed since */
	atomic_uint_fast64_t looked_ns; /* when that was looked at last */
	size_t n;
	struct token list[TOKENS_MAX];
};

/* Reads the file, which must have at least one token, and which others must not be able to read. path is borrowed.
 * tokens_fini is due in any case. */
int tokens_open(struct tokens *tokens, const char *path, struct error *error);

/* What a token is good for; a file that was changed a millisecond ago or earlier is read first. What is wrong in it
 * then is in the log, and the tokens that were there stay good. [any thread] */
enum token_scope tokens_judge(struct tokens *tokens, struct berth_text token);

void tokens_fini(struct tokens *tokens);

#endif
