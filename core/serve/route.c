/* SPDX-License-Identifier: MIT */
/*
 * The routes are one table, which finding them, the header Allow, the metrics and the checks of scopes all read. A
 * path is split at / first and its segments are decoded then, so that a / that is written as %2F is part of a name.
 */
#include "config.h"

#include "core/serve/route.h"

#include <string.h>

#include "core/text.h"
#include "inline/json_reader.h"

const struct route_row routes[N_ROUTES] = {
	[ROUTE_RUNTIMES] = { "runtimes", "GET", "/api/runtimes", ROUTE_OF_REGISTRY, REQUEST_LIST_RUNTIMES,
		ROUTE_TAKES_LIMIT, TOKEN_READ },
	[ROUTE_HOSTS] = { "hosts", "GET", "/api/hosts", ROUTE_OF_REGISTRY, REQUEST_LIST_HOSTS,
		ROUTE_TAKES_LIMIT, TOKEN_READ },
	[ROUTE_WORKERS] = { "workers", "GET", "/api/workers", ROUTE_OF_REGISTRY, REQUEST_LIST_WORKERS,
		ROUTE_TAKES_LIMIT | ROUTE_TAKES_AFTER, TOKEN_READ },
	[ROUTE_HOST_WORKERS] = { "host_workers", "GET", "/api/hosts/{host_id}/workers", ROUTE_OF_REGISTRY,
		REQUEST_LIST_WORKERS_FOR_HOST, ROUTE_TAKES_LIMIT, TOKEN_READ },
	[ROUTE_WORKER] = { "worker", "GET", "/api/runtimes/{runtime_id}/workers/{worker_id}", ROUTE_OF_REGISTRY,
		REQUEST_WORKER, 0, TOKEN_READ },
	[ROUTE_SPAWN] = { "spawn", "POST", "/api/runtimes/{runtime_id}/workers", ROUTE_OF_REGISTRY,
		REQUEST_SPAWN_WORKER, ROUTE_TAKES_BODY, TOKEN_WRITE },
	[ROUTE_INPUT] = { "input", "POST", "/api/runtimes/{runtime_id}/workers/{worker_id}/input", ROUTE_OF_REGISTRY,
		REQUEST_SEND_INPUT, ROUTE_TAKES_BODY, TOKEN_WRITE },
	[ROUTE_STOP] = { "stop", "POST", "/api/runtimes/{runtime_id}/workers/{worker_id}/stop", ROUTE_OF_REGISTRY,
		REQUEST_STOP_WORKER, ROUTE_TAKES_BODY, TOKEN_WRITE },
	[ROUTE_TRANSCRIPT] = { "transcript", "GET", "/api/runtimes/{runtime_id}/workers/{worker_id}/transcript",
		ROUTE_OF_REGISTRY, REQUEST_TRANSCRIPT, ROUTE_TAKES_LIMIT | ROUTE_TAKES_START, TOKEN_READ },
	[ROUTE_CONNECT_POINTS] = { "connect_points", "GET",
		"/api/runtimes/{runtime_id}/workers/{worker_id}/connect-points", ROUTE_OF_REGISTRY,
		REQUEST_CONNECT_POINTS, 0, TOKEN_READ },
	[ROUTE_EVENTS] = { "events", "GET", "/api/runtimes/{runtime_id}/events", ROUTE_OF_REGISTRY, REQUEST_READ_EVENTS,
		ROUTE_TAKES_LIMIT | ROUTE_TAKES_CURSOR | ROUTE_TAKES_FOLLOW, TOKEN_READ },
	[ROUTE_BATCH] = { "batch", "POST", "/api/batch", ROUTE_OF_BATCH, N_REQUEST_OPS, ROUTE_TAKES_BODY, TOKEN_READ },
	/* They name files. */
	[ROUTE_ADAPTERS] = { "adapters", "GET", "/api/adapters", ROUTE_OF_SERVICE, N_REQUEST_OPS, 0, TOKEN_WRITE },
	[ROUTE_RETRY] = { "retry", "POST", "/api/adapters/{adapter}/retry", ROUTE_OF_SERVICE, N_REQUEST_OPS, 0, TOKEN_WRITE },
	[ROUTE_CONFIG] = { "config", "GET", "/api/config", ROUTE_OF_SERVICE, N_REQUEST_OPS, 0, TOKEN_WRITE },
	[ROUTE_OPENAPI] = { "openapi", "GET", "/api/openapi.json", ROUTE_OF_SERVICE, N_REQUEST_OPS, 0, TOKEN_READ },
	[ROUTE_HEALTH] = { "healthz", "GET", "/healthz", ROUTE_OF_SERVICE, N_REQUEST_OPS, 0, TOKEN_READ },
	[ROUTE_READY] = { "readyz", "GET", "/readyz", ROUTE_OF_SERVICE, N_REQUEST_OPS, 0, TOKEN_READ },
	[ROUTE_METRICS] = { "metrics", "GET", "/metrics", ROUTE_OF_SERVICE, N_REQUEST_OPS, 0, TOKEN_READ },
};

/* ---- Percent-encoding ---- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes in place; false where a % is not followed by two digits. text: lies in memory that may be written. */
static bool decode(struct berth_text *text)
{
	char *to = (char *)(uintptr_t)text->ptr;
	const char *from = to, *end = to + text->len;

	for (; from < end; from++) {
		if (*from == '%') {
			int high = end - from > 2 ? hex_digit(from[1]) : -1, low = high < 0 ? -1 : hex_digit(from[2]);

			if (low < 0)
				return false;
			*to++ = (char)(high << 4 | low);
			from += 2;
		} else {
			*to++ = *from;
		}
	}
	text->len = (size_t)(to - text->ptr);
	return true;
}

/* ---- Paths ---- */

enum { SEGMENTS_MAX = 7 };

struct segments {
	struct berth_text list[SEGMENTS_MAX];
	size_t n; /* SEGMENTS_MAX: perhaps more */
};

/* What stands behind each /, but for what is too much for any route. */
static void split(struct berth_text path, struct segments *segments)
{
	const char *p = path.ptr + 1, *end = path.ptr + path.len;

	segments->n = 0;
	while (segments->n < SEGMENTS_MAX) {
		const char *slash = memchr(p, '/', (size_t)(end - p));

		segments->list[segments->n++] = (struct berth_text){ p, (size_t)((slash ? slash : end) - p) };
		if (!slash)
			break;
		p = slash + 1;
	}
}

static bool matches(const struct segments *segments, const char *pattern)
{
	struct segments own;

	split(berth_text(pattern), &own);
	if (own.n != segments->n)
		return false;
	for (size_t i = 0; i < own.n; i++)
		if (*own.list[i].ptr != '{' && !text_equal(own.list[i], segments->list[i]))
			return false;
	return true;
}

static void take_identifiers(const struct segments *segments, const char *pattern, struct request *request)
{
	struct segments own;

	split(berth_text(pattern), &own);
	for (size_t i = 0; i < own.n; i++)
		if (text_is(own.list[i], "{runtime_id}"))
			request->runtime_id = segments->list[i];
		else if (text_is(own.list[i], "{worker_id}"))
			request->worker_id = segments->list[i];
		else if (text_is(own.list[i], "{host_id}"))
			request->host_id = segments->list[i];
		else if (text_is(own.list[i], "{adapter}"))
			request->adapter = segments->list[i];
}

static int decode_segments(struct berth_text path, struct segments *segments, struct error *error)
{
	split(path, segments);
	for (size_t i = 0; i < segments->n; i++) {
		if (!decode(&segments->list[i]))
			return error_set(error, -EINVAL, "path: two hex digits are expected behind %%");
		if (!utf8_valid(segments->list[i].ptr, segments->list[i].len))
			return error_set(error, -EINVAL, "path: UTF-8 is expected");
	}
	return 0;
}

static bool has_method(const struct route_row *row, const char *method)
{
	return strcmp(row->method, method) == 0 || (strcmp(row->method, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

int route_find(const char *method, struct berth_text path, enum route *routep, struct request *request,
	       struct error *error)
{
	struct segments segments;
	int rc;

	if (path.len == 0 || *path.ptr != '/')
		return error_set(error, -EINVAL, "path: one that begins with / is expected");
	rc = decode_segments(path, &segments, error);
	if (rc < 0)
		return rc;
	rc = -ENOENT;
	for (size_t i = 0; i < N_ROUTES; i++) {
		if (!matches(&segments, routes[i].path))
			continue;
		*routep = (enum route)i;
		if (has_method(&routes[i], method)) {
			take_identifiers(&segments, routes[i].path, request);
			return 0;
		}
		rc = -EPERM;
	}
	return rc;
}

void route_write_allow(struct buffer *out, enum route route)
{
	size_t mark = out->len;

	for (size_t i = 0; i < N_ROUTES; i++)
		if (strcmp(routes[i].path, routes[route].path) == 0) {
			if (out->len > mark)
				buffer_append_string(out, ", ");
			buffer_append_string(out, routes[i].method);
			if (strcmp(routes[i].method, "GET") == 0)
				buffer_append_string(out, ", HEAD");
		}
}

/* ---- Queries ---- */

static int read_number(const char *key, struct berth_text text, uint64_t *valuep, struct error *error)
{
	struct json_slice number = { text.ptr, text.len, false };

	if (text.len == 0 || (text.len > 1 && *text.ptr == '0') || !json_number_is_u64(&number, valuep))
		return error_set(error, -EINVAL, "%s: a whole number from 0 to 18446744073709551615 is expected", key);
	return 0;
}

static int read_text(const char *key, struct berth_text text, struct berth_text *valuep, struct error *error)
{
	if (!utf8_valid(text.ptr, text.len))
		return error_set(error, -EINVAL, "%s: UTF-8 is expected", key);
	*valuep = text;
	return 0;
}

static int read_flag(const char *key, struct berth_text text, bool *valuep, struct error *error)
{
	if (!text_is(text, "true") && !text_is(text, "false"))
		return error_set(error, -EINVAL, "%s: true or false is expected", key);
	*valuep = text_is(text, "true");
	return 0;
}

static int read_member(unsigned key, struct berth_text value, struct request *request, bool *followp, struct error *error)
{
	switch (key) {
	case ROUTE_TAKES_LIMIT:
		return read_number("limit", value, &request->limit, error);
	case ROUTE_TAKES_START:
		return read_number("start", value, &request->start, error);
	case ROUTE_TAKES_CURSOR:
		return read_text("cursor", value, &request->cursor, error);
	case ROUTE_TAKES_FOLLOW:
		return read_flag("follow", value, followp, error);
	default:
		return read_text("after", value, &request->after, error);
	}
}

int route_read_query(enum route route, struct berth_text query, uint64_t limit_max, struct request *request,
		     bool *followp, struct error *error)
{
	static const struct {
		const char *name;
		unsigned key;
	} keys[] = {
		{ "limit", ROUTE_TAKES_LIMIT },
		{ "start", ROUTE_TAKES_START },
		{ "after", ROUTE_TAKES_AFTER },
		{ "cursor", ROUTE_TAKES_CURSOR },
		{ "follow", ROUTE_TAKES_FOLLOW },
	};
	const char *p = query.ptr ? query.ptr : "", *end = p + query.len;
	unsigned seen = 0;
	int rc = 0;

	request->limit = limit_max;
	while (p < end && rc == 0) {
		const char *ampersand = memchr(p, '&', (size_t)(end - p)), *stop = ampersand ? ampersand : end;
		const char *equals = memchr(p, '=', (size_t)(stop - p));
		struct berth_text name = { p, (size_t)((equals ? equals : stop) - p) };
		struct berth_text value = { stop, 0 };

		if (equals)
			value = (struct berth_text){ equals + 1, (size_t)(stop - equals - 1) };
		p = stop + 1;
		if (!decode(&name) || !decode(&value))
			return error_set(error, -EINVAL, "query: two hex digits are expected behind %%");
		for (size_t i = 0; i < sizeof keys / sizeof *keys && rc == 0; i++) {
			if (!(routes[route].takes & keys[i].key) || !text_is(name, keys[i].name))
				continue;
			if (seen & keys[i].key)
				return error_set(error, -EINVAL, "%s: given twice", keys[i].name);
			seen |= keys[i].key;
			rc = read_member(keys[i].key, value, request, followp, error);
		}
	}
	if (rc == 0 && request->limit > limit_max)
		request->limit = limit_max;
	return rc;
}
