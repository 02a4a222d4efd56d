/* SPDX-License-Identifier: MIT */
/* Tokens are kept and compared as digests, each with all of them, so that the time that it takes says nothing about
 * how much of one was right. */
#include "config.h"

#include "core/serve/token.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/log.h"
#include "core/services.h"

enum {
	FILE_MAX = 64 << 10,
	LENGTH_MIN = 16,
	LENGTH_MAX = 512,
	SETTLE_SECONDS = 2, /* a file that was changed as lately may change again and look the same */
	LOOK_NS = 1000000,  /* how long what was seen of the file counts */
};

/* With an algorithm that has been fetched once, since that takes longer than the digest. False: no memory. */
static bool make_digest(const struct tokens *tokens, struct berth_text text, struct token *token)
{
	return EVP_Digest(text.ptr, text.len, token->digest, NULL, tokens->algorithm, NULL);
}

/* ---- Reading ---- */

/* As RFC 6750 has them in headers. */
static bool is_token(struct berth_text text)
{
	static const char characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=";

	for (size_t i = 0; i < text.len; i++)
		if (!text.ptr[i] || !strchr(characters, text.ptr[i]))
			return false;
	return text.len >= LENGTH_MIN && text.len <= LENGTH_MAX;
}

/* The next word of a line, which it is cut from. */
static struct berth_text take_word(struct berth_text *line)
{
	struct berth_text word;

	while (line->len > 0 && (*line->ptr == ' ' || *line->ptr == '\t' || *line->ptr == '\r'))
		*line = (struct berth_text){ line->ptr + 1, line->len - 1 };
	word = (struct berth_text){ line->ptr, 0 };
	while (word.len < line->len && !memchr(" \t\r", word.ptr[word.len], 3))
		word.len++;
	*line = (struct berth_text){ line->ptr + word.len, line->len - word.len };
	return word;
}

/* A message never repeats what stands in the file. */
static int read_line(struct tokens *tokens, struct berth_text line, unsigned number, struct error *error)
{
	struct berth_text scope = take_word(&line), token = take_word(&line), rest = take_word(&line);
	bool write = scope.len == 5 && memcmp(scope.ptr, "write", 5) == 0;

	if (scope.len == 0 || *scope.ptr == '#')
		return 0;
	if ((!write && (scope.len != 4 || memcmp(scope.ptr, "read", 4) != 0)) || rest.len > 0)
		return error_set(error, -EINVAL, "%s: line %u: read TOKEN or write TOKEN is expected", tokens->path, number);
	if (!is_token(token))
		return error_set(error, -EINVAL, "%s: line %u: a token of %d to %d characters A-Z a-z 0-9 - . _ ~ + / = is expected",
				 tokens->path, number, LENGTH_MIN, LENGTH_MAX);
	if (tokens->n == TOKENS_MAX)
		return error_set(error, -EINVAL, "%s: line %u: at most %d tokens are expected", tokens->path, number, TOKENS_MAX);
	tokens->list[tokens->n].scope = write ? TOKEN_WRITE : TOKEN_READ;
	if (!make_digest(tokens, token, &tokens->list[tokens->n]))
		return error_set(error, -ENOMEM, "%s: no memory for tokens", tokens->path);
	tokens->n++;
	return 0;
}

static int read_lines(struct tokens *tokens, struct berth_text text, struct error *error)
{
	int rc = 0;

	tokens->n = 0;
	for (unsigned number = 1; text.len > 0 && rc == 0; number++) {
		const char *newline = memchr(text.ptr, '\n', text.len);
		struct berth_text line = { text.ptr, newline ? (size_t)(newline - text.ptr) : text.len };

		rc = read_line(tokens, line, number, error);
		text.ptr += line.len + (newline != NULL);
		text.len -= line.len + (newline != NULL);
	}
	if (rc == 0 && tokens->n == 0)
		return error_set(error, -EINVAL, "%s: at least one token is expected", tokens->path);
	return rc;
}

/* Reads the file into tokens, whose lock and path alone count before. */
static int read_file(struct tokens *tokens, struct error *error)
{
	char text[FILE_MAX + 1];
	CLEANUP_CLOSE int fd = open(tokens->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct timespec now;
	size_t len = 0;
	ssize_t n = 1;
	int rc;

	if (fd < 0 || fstat(fd, &tokens->seen) < 0)
		return error_set(error, -errno, "%s: %s", tokens->path, strerror(errno));
	if (!S_ISREG(tokens->seen.st_mode))
		return error_set(error, -EINVAL, "%s: a regular file is expected", tokens->path);
	if ((tokens->seen.st_uid != 0 && tokens->seen.st_uid != geteuid()) || tokens->seen.st_mode & 027)
		return error_set(error, -EPERM, "%s: a file that is root's or one's own, and that others cannot read or write, "
				 "is expected; chmod 600", tokens->path);
	clock_gettime(CLOCK_REALTIME, &now);
	tokens->settled = now.tv_sec - tokens->seen.st_ctim.tv_sec > SETTLE_SECONDS;
	while (n > 0 && len < sizeof text) {
		n = read(fd, text + len, sizeof text - len);
		if (n < 0)
			return error_set(error, -errno, "%s: %s", tokens->path, strerror(errno));
		len += (size_t)n;
	}
	rc = len > FILE_MAX ? error_set(error, -EFBIG, "%s: at most %d bytes are expected", tokens->path, FILE_MAX) :
			      read_lines(tokens, (struct berth_text){ text, len }, error);
	OPENSSL_cleanse(text, sizeof text);
	return rc;
}

/* ---- Judging ---- */

static bool is_unchanged(const struct tokens *tokens)
{
	const struct stat *seen = &tokens->seen;
	struct stat now;

	return tokens->settled && stat(tokens->path, &now) == 0 && now.st_dev == seen->st_dev && now.st_ino == seen->st_ino &&
	       now.st_size == seen->st_size && now.st_mode == seen->st_mode && now.st_uid == seen->st_uid &&
	       now.st_ctim.tv_sec == seen->st_ctim.tv_sec && now.st_ctim.tv_nsec == seen->st_ctim.tv_nsec;
}

/* Looking at the file takes as long as all the rest, and would not do so under a lock that only one can have: who has to
 * give way while he has it lets all others wait. */
static bool is_fresh(struct tokens *tokens)
{
	uint64_t now_ns = services_monotonic_ns();
	bool fresh = now_ns - atomic_load_explicit(&tokens->looked_ns, memory_order_relaxed) < LOOK_NS;

	if (!fresh && is_unchanged(tokens)) {
		atomic_store_explicit(&tokens->looked_ns, now_ns, memory_order_relaxed);
		fresh = true;
	}
	return fresh;
}

/* Holding the lock for writing. */
static void refresh(struct tokens *tokens)
{
	uint64_t now_ns = services_monotonic_ns();
	struct tokens *next;
	struct error error;
	int rc;

	if (is_fresh(tokens))
		return;
	next = malloc(sizeof *next);
	if (!next)
		return;
	*next = (struct tokens){ .path = tokens->path, .algorithm = tokens->algorithm };
	rc = read_file(next, &error);
	if (rc == 0) {
		memcpy(tokens->list, next->list, sizeof tokens->list);
		tokens->n = next->n;
	} else if (memcmp(&next->seen.st_ctim, &tokens->seen.st_ctim, sizeof tokens->seen.st_ctim) != 0) {
		log_write(BERTH_LOG_ERROR, NULL, "%s; the tokens that were read before stay good", error.text);
	}
	tokens->seen = next->seen;
	/* What there was no memory for is read again. */
	tokens->settled = next->settled && rc != -ENOMEM;
	atomic_store_explicit(&tokens->looked_ns, now_ns, memory_order_relaxed);
	OPENSSL_cleanse(next, sizeof *next);
	free(next);
}

enum token_scope tokens_judge(struct tokens *tokens, struct berth_text text)
{
	struct token token = { .scope = TOKEN_NONE };

	if (!make_digest(tokens, text, &token))
		return TOKEN_NONE;
	pthread_rwlock_rdlock(&tokens->lock);
	if (!is_fresh(tokens)) {
		pthread_rwlock_unlock(&tokens->lock);
		pthread_rwlock_wrlock(&tokens->lock);
		refresh(tokens);
	}
	for (size_t i = 0; i < tokens->n; i++)
		if (CRYPTO_memcmp(tokens->list[i].digest, token.digest, sizeof token.digest) == 0 &&
		    tokens->list[i].scope > token.scope)
			token.scope = tokens->list[i].scope;
	pthread_rwlock_unlock(&tokens->lock);
	return token.scope;
}

int tokens_open(struct tokens *tokens, const char *path, struct error *error)
{
	tokens->path = path;
	pthread_rwlock_init(&tokens->lock, NULL);
	tokens->algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (!tokens->algorithm)
		return error_set(error, -ENOMEM, "%s: no memory for tokens", path);
	return read_file(tokens, error);
}

void tokens_fini(struct tokens *tokens)
{
	if (tokens->path)
		pthread_rwlock_destroy(&tokens->lock);
	EVP_MD_free(tokens->algorithm);
	OPENSSL_cleanse(tokens, sizeof *tokens);
}
