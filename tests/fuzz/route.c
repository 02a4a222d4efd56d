/* SPDX-License-Identifier: MIT */
/* What judges the head of an HTTP request: paths, queries, names of hosts, token files. */
#include "config.h"

#include "core/serve/route.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/cleanup.h"
#include "core/serve/origin.h"
#include "core/text.h"
#include "tests/fuzz/fuzz.h"

/* ---- Paths and queries ---- */

/* The text with its escapes decoded; NULL where one is none. */
static char *decoded(struct berth_text text)
{
	char *plain = calloc(text.len + 1, 1);
	unsigned code;
	size_t n = 0;

	FUZZ_CHECK(plain);
	for (size_t i = 0; i < text.len; i++) {
		char digits[3] = "";

		if (text.ptr[i] != '%') {
			plain[n++] = text.ptr[i];
			continue;
		}
		if (text.len - i > 2)
			memcpy(digits, text.ptr + i + 1, 2);
		if (strspn(digits, "0123456789abcdefABCDEF") != 2 || sscanf(digits, "%x", &code) != 1) {
			free(plain);
			return NULL;
		}
		plain[n++] = (char)code;
		i += 2;
	}
	return plain;
}

/* Segment number i of a path, decoded, without what follows a NUL in it. */
static char *segment(struct berth_text path, size_t i)
{
	struct fuzz fuzz = { (const uint8_t *)path.ptr + 1, path.len - 1 };

	while (i-- > 0)
		fuzz_until(&fuzz, '/');
	return decoded(fuzz_until(&fuzz, '/'));
}

static void check_id(struct berth_text path, size_t i, struct berth_text id)
{
	CLEANUP_FREE char *plain = segment(path, i);

	FUZZ_CHECK(fuzz_is_utf8(id));
	FUZZ_CHECK(plain && id.len >= strlen(plain) && memcmp(id.ptr, plain, strlen(plain)) == 0);
}

static void check_route(const char *method, struct berth_text path, struct berth_text query)
{
	/* Read in their places, in memory of just their size. */
	CLEANUP_FREE char *path_copy = malloc(path.len + 1), *query_copy = malloc(query.len + 1);
	struct request request = { .limit = 0 };
	enum route route = N_ROUTES;
	struct buffer allow = { 0 };
	bool follow = false;
	struct error error = { "" };
	int rc;

	FUZZ_CHECK(path_copy && query_copy);
	memcpy(path_copy, path.ptr, path.len);
	memcpy(query_copy, query.ptr, query.len);
	rc = route_find(method, (struct berth_text){ path_copy, path.len }, &route, &request, &error);
	FUZZ_CHECK(rc == 0 || rc == -EINVAL || rc == -ENOENT || rc == -EPERM);
	FUZZ_CHECK((route == N_ROUTES) == (rc == -EINVAL || rc == -ENOENT));
	if (rc == -EPERM)
		route_write_allow(&allow, route);
	FUZZ_CHECK((rc == -EPERM) == (allow.len > 0));
	buffer_fini(&allow);
	if (rc == -EINVAL)
		fuzz_check_plain(berth_text(error.text), "");
	if (rc < 0)
		return;
	if (request.runtime_id.ptr)
		check_id(path, 2, request.runtime_id);
	if (request.host_id.ptr)
		check_id(path, 2, request.host_id);
	if (request.worker_id.ptr)
		check_id(path, 4, request.worker_id);
	rc = route_read_query(route, (struct berth_text){ query_copy, query.len }, 200, &request, &follow, &error);
	if (rc < 0)
		fuzz_check_plain(berth_text(error.text), "");
	else
		FUZZ_CHECK(request.limit <= 200 && fuzz_is_utf8(request.cursor) && fuzz_is_utf8(request.after));
}

/* ---- Names ---- */

/* Whether a Host is one of the names, perhaps with a port. */
static bool is_name(struct berth_text host, const char *const *names)
{
	CLEANUP_FREE char *copy = strndup(host.ptr, host.len);
	size_t len;

	FUZZ_CHECK(copy);
	for (; *names && strlen(copy) == host.len; names++) {
		len = strlen(*names);
		if (strncasecmp(copy, *names, len) != 0)
			continue;
		if (!copy[len] || (copy[len] == ':' && strspn(copy + len + 1, "0123456789") == strlen(copy + len + 1)))
			return true;
	}
	return false;
}

static void check_names(struct berth_text host, struct berth_text origin)
{
	static const char *const names[] = { "localhost", "127.0.0.1", "[::1]", "192.0.2.1", "berth.example", NULL };
	static const char *const allowed[] = { "berth.example" }, *const pages[] = { "https://page.example" };
	const struct origins origins = { allowed, pages, 1, 1 };
	CLEANUP_FREE char *same = NULL;

	/* In the memory of the server they end with a NUL; no text of a header has one. */
	if (memchr(host.ptr, '\0', host.len) || memchr(origin.ptr, '\0', origin.len))
		return;
	FUZZ_CHECK(origins_allow_host(&origins, "192.0.2.1", host) == is_name(host, names));
	FUZZ_CHECK(asprintf(&same, "http://%.*s", (int)host.len, host.ptr) > 0);
	FUZZ_CHECK(origins_allow_origin(&origins, false, host, origin) ==
		   ((origin.len == strlen(same) && strncasecmp(origin.ptr, same, origin.len) == 0) ||
		    (origin.len == strlen(*pages) && strncasecmp(origin.ptr, *pages, origin.len) == 0)));
}

/* ---- Tokens ---- */

static void check_tokens(struct berth_text text)
{
	CLEANUP_FREE char *path = NULL;
	struct tokens tokens = { .path = NULL };
	struct error error = { "" };

	FUZZ_CHECK(asprintf(&path, "%s/tokens", fuzz_dir()) > 0);
	fuzz_write("tokens", text.ptr, text.len);
	FUZZ_CHECK(chmod(path, 0600) == 0);
	if (tokens_open(&tokens, path, &error) < 0) {
		fuzz_check_plain(berth_text(error.text), "");
	} else {
		FUZZ_CHECK(tokens.n >= 1 && tokens.n <= TOKENS_MAX);
		FUZZ_CHECK(tokens_judge(&tokens, (struct berth_text)BERTH_TEXT("")) == TOKEN_NONE);
		FUZZ_CHECK(tokens_judge(&tokens, text) == TOKEN_NONE);
	}
	tokens_fini(&tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const methods[] = { "GET", "HEAD", "POST", "PUT", "" };
	struct fuzz fuzz = { data, size };
	const char *method = methods[fuzz_below(&fuzz, 5)];
	struct berth_text path = fuzz_until(&fuzz, '?'), query = fuzz_until(&fuzz, '\n');
	struct berth_text host = fuzz_until(&fuzz, '\n'), origin = fuzz_until(&fuzz, '\n');

	check_route(method, path, query);
	check_names(host, origin);
	if (fuzz.left > 0)
		check_tokens((struct berth_text){ (const char *)fuzz.p, fuzz.left });
	return 0;
}
