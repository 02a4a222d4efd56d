/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "names.h"

/* Of the functions below, libcrypto would rather see others used. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <stdio.h>
#include <sys/random.h>

static void write_hex(const unsigned char *bytes, char *digits, size_t len)
{
	for (size_t i = 0; i < len; i++)
		digits[i] = "0123456789abcdef"[i % 2 ? bytes[i / 2] & 15 : bytes[i / 2] >> 4];
	digits[len] = '\0';
}

/* Straight from libcrypto, which ends the process where the first use of EVP finds no memory. */
int names_digest(const char *what, struct berth_text text, char *digits, size_t len)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	SHA256_CTX context;

	if (!SHA256_Init(&context) || !SHA256_Update(&context, what, strlen(what) + 1) ||
	    !SHA256_Update(&context, text.ptr, text.len) || !SHA256_Final(digest, &context))
		return -ENOMEM;
	write_hex(digest, digits, len);
	return 0;
}

int names_new_key(struct berth_text request_id, char key[NAMES_KEY_LEN + 1])
{
	unsigned char random[NAMES_KEY_LEN / 2];

	if (request_id.ptr)
		return names_digest("request", request_id, key, NAMES_KEY_LEN);
	if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
		return -EIO;
	write_hex(random, key, NAMES_KEY_LEN);
	return 0;
}

static bool read_key(const char *text, size_t len, char key[NAMES_KEY_LEN + 1])
{
	if (len != NAMES_KEY_LEN)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!strchr("0123456789abcdef", text[i]) || !text[i])
			return false;
	memcpy(key, text, len);
	key[len] = '\0';
	return true;
}

bool names_key_of_worker(struct berth_text worker_id, char key[NAMES_KEY_LEN + 1])
{
	return worker_id.len == NAMES_WORKER_LEN && memcmp(worker_id.ptr, "worker-", 7) == 0 &&
	       read_key(worker_id.ptr + 7, worker_id.len - 7, key);
}

bool names_key_of_container(const char *name, const char *workspace, char key[NAMES_KEY_LEN + 1])
{
	const char *rest = name + 6 + NAMES_WORKSPACE_LEN;

	return strlen(name) == NAMES_CONTAINER_LEN && memcmp(name, "berth-", 6) == 0 &&
	       memcmp(name + 6, workspace, NAMES_WORKSPACE_LEN) == 0 && *rest == '-' &&
	       read_key(rest + 1, NAMES_KEY_LEN, key);
}

void names_container(const char *workspace, const char *key, char name[NAMES_CONTAINER_LEN + 1])
{
	snprintf(name, NAMES_CONTAINER_LEN + 1, "berth-%s-%s", workspace, key);
}

struct berth_text names_worker(const char *key, char id[NAMES_WORKER_LEN + 1])
{
	return (struct berth_text){ id, (size_t)snprintf(id, NAMES_WORKER_LEN + 1, "worker-%s", key) };
}

int names_host(const char *member, char id[NAMES_HOST_LEN + 1])
{
	strcpy(id, "incus-host-");
	return names_digest("member", berth_text(member), id + strlen(id), 16);
}
