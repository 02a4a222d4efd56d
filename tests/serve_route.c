/* SPDX-License-Identifier: MIT */
/* What the service reads of a request's head, without a network: targets, queries, Host and Origin, also those that
 * chance makes. */
#include "config.h"

#include "core/serve/origin.h"
#include "core/serve/route.h"
#include "core/text.h"
#include "tests/contract.h"

/* ---- Paths ---- */

static void paths_lead_to_their_routes(void **state)
{
	static const struct {
		const char *method, *path;
		int rc;
		enum route route;
		const char *runtime_id, *worker_id, *host_id; /* NULL: absent */
	} rows[] = {
		{ "GET", "", -EINVAL, 0, NULL, NULL, NULL },
		{ "OPTIONS", "*", -EINVAL, 0, NULL, NULL, NULL },
		{ "GET", "/api/%", -EINVAL, 0, NULL, NULL, NULL },
		{ "GET", "/api/%4", -EINVAL, 0, NULL, NULL, NULL },
		{ "GET", "/api/%4g", -EINVAL, 0, NULL, NULL, NULL },
		{ "GET", "/%c3%28", -EINVAL, 0, NULL, NULL, NULL },
		{ "GET", "/", -ENOENT, 0, NULL, NULL, NULL },
		{ "GET", "/////////////", -ENOENT, 0, NULL, NULL, NULL },
		{ "GET", "/api/runtimes/a/workers/b/transcript/", -ENOENT, 0, NULL, NULL, NULL },
		{ "get", "/api/runtimes", -EPERM, ROUTE_RUNTIMES, NULL, NULL, NULL },
		{ "POST", "/api/runtimes", -EPERM, ROUTE_RUNTIMES, NULL, NULL, NULL },
		{ "GET", "/api/runtimes/a/workers", -EPERM, ROUTE_SPAWN, NULL, NULL, NULL },
		{ "HEAD", "/api/batch", -EPERM, ROUTE_BATCH, NULL, NULL, NULL },
		{ "GET", "/api/adapters/a/retry", -EPERM, ROUTE_RETRY, NULL, NULL, NULL },
		{ "POST", "/api/adapters/a/retry", 0, ROUTE_RETRY, NULL, NULL, NULL },
		{ "GET", "/api/runtimes", 0, ROUTE_RUNTIMES, NULL, NULL, NULL },
		{ "GET", "/%41%50%49", -ENOENT, 0, NULL, NULL, NULL },
		{ "GET", "/ap%69/runt%69mes", 0, ROUTE_RUNTIMES, NULL, NULL, NULL },
		{ "HEAD", "/%61pi/runtime%73", 0, ROUTE_RUNTIMES, NULL, NULL, NULL },
		{ "GET", "/api/hosts/h/workers", 0, ROUTE_HOST_WORKERS, NULL, NULL, "h" },
		{ "GET", "/api/hosts//workers", 0, ROUTE_HOST_WORKERS, NULL, NULL, "" },
		{ "POST", "/api/runtimes/r/workers", 0, ROUTE_SPAWN, "r", NULL, NULL },
		{ "GET", "/api/runtimes/a%2Fb/workers/%25", 0, ROUTE_WORKER, "a/b", "%", NULL },
		{ "GET", "/api/runtimes/r/workers/w/connect-points", 0, ROUTE_CONNECT_POINTS, "r", "w", NULL },
		{ "POST", "/api/runtimes/r/workers/w/stop", 0, ROUTE_STOP, "r", "w", NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		CLEANUP_FREE char *path = strdup(rows[i].path);
		struct request request = { 0 };
		enum route route = N_ROUTES;
		struct error error = { "" };
		int rc = route_find(rows[i].method, berth_text(path), &route, &request, &error);

		if (rc != rows[i].rc || (rc != -EINVAL && rc != -ENOENT && route != rows[i].route) ||
		    (rc == -EINVAL) != (*error.text != '\0') || !text_is(request.runtime_id, rows[i].runtime_id ? rows[i].runtime_id : "") ||
		    !text_is(request.worker_id, rows[i].worker_id ? rows[i].worker_id : "") ||
		    !text_is(request.host_id, rows[i].host_id ? rows[i].host_id : "") ||
		    !request.runtime_id.ptr != !rows[i].runtime_id)
			fail_msg("%s %s: %d, route %d, %s", rows[i].method, rows[i].path, rc, route, error.text);
	}
}

static void every_route_is_found_by_its_own_path(void **state)
{
	(void)state;
	for (int i = 0; i < N_ROUTES; i++) {
		CLEANUP_FREE char *path = strdup(routes[i].path);
		CLEANUP(buffer_fini) struct buffer allow = { 0 };
		struct request request = { 0 };
		enum route route = N_ROUTES;

		assert_int_equal(route_find(routes[i].method, berth_text(path), &route, &request, NULL), 0);
		assert_int_equal(route, i);
		route_write_allow(&allow, route);
		buffer_append_char(&allow, '\0');
		assert_non_null(strstr(allow.data, routes[i].method));
	}
}

/* ---- Queries ---- */

static void queries_are_read_strictly(void **state)
{
	static const struct {
		enum route route;
		const char *query;
		const char *error; /* its beginning; NULL: none */
		uint64_t limit, start;
		const char *after, *cursor;
		bool follow;
	} rows[] = {
		{ ROUTE_TRANSCRIPT, "start=", "start: a whole number", 0, 0, NULL, NULL, false },
		{ ROUTE_TRANSCRIPT, "start=+1", "start: a whole number", 0, 0, NULL, NULL, false },
		{ ROUTE_TRANSCRIPT, "start=1e1", "start: a whole number", 0, 0, NULL, NULL, false },
		{ ROUTE_TRANSCRIPT, "limit=00", "limit: a whole number", 0, 0, NULL, NULL, false },
		{ ROUTE_TRANSCRIPT, "start=1&start=1", "start: given twice", 0, 0, NULL, NULL, false },
		{ ROUTE_TRANSCRIPT, "start=1&%73tart=1", "start: given twice", 0, 0, NULL, NULL, false },
		{ ROUTE_TRANSCRIPT, "x=%", "query: two hex digits", 0, 0, NULL, NULL, false },
		{ ROUTE_WORKERS, "after=%ff", "after: UTF-8", 0, 0, NULL, NULL, false },
		{ ROUTE_TRANSCRIPT, "", NULL, 200, 0, NULL, NULL, false },
		{ ROUTE_TRANSCRIPT, "&&=&x&=x&x=", NULL, 200, 0, NULL, NULL, false },
		{ ROUTE_TRANSCRIPT, "start=18446744073709551615&limit=0", NULL, 0, UINT64_MAX, NULL, NULL, false },
		{ ROUTE_TRANSCRIPT, "limit=18446744073709551615", NULL, 200, 0, NULL, NULL, false },
		{ ROUTE_TRANSCRIPT, "after=a/b&limit=7", NULL, 7, 0, NULL, NULL, false },
		{ ROUTE_WORKERS, "after=a%2fb&start=x", NULL, 200, 0, "a/b", NULL, false },
		{ ROUTE_WORKERS, "after", NULL, 200, 0, "", NULL, false },
		{ ROUTE_EVENTS, "cursor=%ff", "cursor: UTF-8", .limit = 0 },
		{ ROUTE_EVENTS, "follow=", "follow: true or false", .limit = 0 },
		{ ROUTE_EVENTS, "follow=1", "follow: true or false", .limit = 0 },
		{ ROUTE_EVENTS, "follow=true&follow=true", "follow: given twice", .limit = 0 },
		{ ROUTE_EVENTS, "after=a/b&start=x", NULL, .limit = 200 },
		{ ROUTE_EVENTS, "cursor=a%2Bb&limit=3", NULL, .limit = 3, .cursor = "a+b" },
		{ ROUTE_EVENTS, "follow=true", NULL, .limit = 200, .follow = true },
		{ ROUTE_EVENTS, "follow=false", NULL, .limit = 200 },
		{ ROUTE_TRANSCRIPT, "follow=x&cursor=%ff", NULL, .limit = 200 },
		{ ROUTE_HEALTH, "limit=x&start=x&after=%41", NULL, 200, 0, NULL, NULL, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		CLEANUP_FREE char *query = strdup(rows[i].query);
		struct request request = { 0 };
		struct error error = { "" };
		bool follow = false;
		int rc = route_read_query(rows[i].route, berth_text(query), 200, &request, &follow, &error);

		if (rows[i].error ? rc != -EINVAL || strncmp(error.text, rows[i].error, strlen(rows[i].error)) != 0 :
				    rc != 0 || request.limit != rows[i].limit || request.start != rows[i].start ||
					    !request.after.ptr != !rows[i].after ||
					    (rows[i].after && !text_is(request.after, rows[i].after)) ||
					    !request.cursor.ptr != !rows[i].cursor ||
					    (rows[i].cursor && !text_is(request.cursor, rows[i].cursor)) || follow != rows[i].follow)
			fail_msg("%s: %d, %s", rows[i].query, rc, error.text);
	}
}

/* What a route does not take is let pass, whatever it is; what it takes is read, as one sees where it is wrong. */
static void each_route_takes_its_own_alone(void **state)
{
	static const struct {
		const char *wrong;
		unsigned routes;
	} rows[] = {
		{ "limit=x", 1u << ROUTE_RUNTIMES | 1u << ROUTE_HOSTS | 1u << ROUTE_WORKERS | 1u << ROUTE_HOST_WORKERS |
			     1u << ROUTE_TRANSCRIPT | 1u << ROUTE_EVENTS },
		{ "start=x", 1u << ROUTE_TRANSCRIPT },
		{ "after=%ff", 1u << ROUTE_WORKERS },
		{ "cursor=%ff", 1u << ROUTE_EVENTS },
		{ "follow=x", 1u << ROUTE_EVENTS },
	};
	const unsigned bodies = 1u << ROUTE_SPAWN | 1u << ROUTE_INPUT | 1u << ROUTE_STOP | 1u << ROUTE_BATCH;
	const unsigned writers = 1u << ROUTE_SPAWN | 1u << ROUTE_INPUT | 1u << ROUTE_STOP | 1u << ROUTE_ADAPTERS |
				 1u << ROUTE_RETRY | 1u << ROUTE_CONFIG;

	(void)state;
	for (unsigned route = 0; route < N_ROUTES; route++) {
		for (size_t i = 0; i < COUNT(rows); i++) {
			CLEANUP_FREE char *query = strdup(rows[i].wrong);
			struct request request = { 0 };
			struct error error;
			bool follow;

			if ((route_read_query((enum route)route, berth_text(query), 200, &request, &follow, &error) == 0) !=
			    !(rows[i].routes >> route & 1))
				fail_msg("%s: %s", routes[route].name, rows[i].wrong);
		}
		assert_int_equal((routes[route].takes & ROUTE_TAKES_BODY) != 0, bodies >> route & 1);
		assert_int_equal(routes[route].scope, writers >> route & 1 ? TOKEN_WRITE : TOKEN_READ);
	}
}

/* Bytes that are likely to mean something. */
static void whatever_chance_makes_is_read_or_refused(void **state)
{
	static const char *const pieces[] = {
		"/", "//", "api", "runtimes", "workers", "hosts", "x", "%", "%2", "%2f", "%00", "%c3", "%c3%b6", "%zz", "input",
		"?", "&", "=", "limit", "after", "start", "9", "18446744073709551616", "\xff", "batch", "healthz", "..",
		"events", "cursor", "follow", "true",
	};
	uint64_t seed = 1;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		CLEANUP(buffer_fini) struct buffer text = { 0 };
		struct request request = { 0 };
		enum route route = N_ROUTES;
		bool follow = false;
		struct error error;

		do {
			seed = seed * 6364136223846793005 + 1442695040888963407;
			buffer_append_string(&text, pieces[(seed >> 33) % COUNT(pieces)]);
		} while ((seed >> 60) > 1);
		assert_false(text.failed);
		if (i % 2)
			route_find(i % 4 == 1 ? "GET" : "POST", (struct berth_text){ text.data, text.len }, &route, &request, &error);
		else
			route_read_query((enum route)(i / 2 % N_ROUTES), (struct berth_text){ text.data, text.len }, 200, &request,
					 &follow, &error);
	}
}

/* ---- Host and Origin ---- */

static void only_names_that_are_ours_are_answered_to(void **state)
{
	static const char *const hosts[] = { "berth.example", "[2001:db8::1]", "other.example:8080" };
	static const char *const origins[] = { "https://app.example" };
	static const struct origins rules = { hosts, origins, COUNT(hosts), COUNT(origins) };
	static const struct {
		const char *host;
		bool fine;
	} rows[] = {
		{ "", false }, { ":80", false }, { "evil.example", false }, { "localhost.evil.example", false },
		{ "localhost:80:80", false }, { "localhost:x", false }, { "localhost@evil.example", false }, { "[::1", false },
		{ "[::1]x", false }, { "[::1]80", false }, { "127.0.0.1.evil.example", false }, { "berth.example.", false },
		{ "xberth.example", false }, { "other.example", false }, { "other.example:80", false }, { "localhost ", false },
		{ "localhost", true }, { "LocalHost:1", true }, { "127.0.0.1:65535", true }, { "[::1]", true }, { "[::1]:80", true },
		{ "192.0.2.7", true }, { "192.0.2.7:443", true }, { "berth.example", true }, { "BERTH.example:443", true },
		{ "[2001:db8::1]:443", true }, { "other.example:8080", true }, { "localhost:", true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		if (origins_allow_host(&rules, "192.0.2.7", berth_text(rows[i].host)) != rows[i].fine)
			fail_msg("Host: %s", rows[i].host);
	assert_false(origins_allow_host(&rules, "", berth_text("192.0.2.7")));
	/* Nothing is read of what has no bytes. */
	assert_false(origins_allow_host(&rules, NULL, (struct berth_text){ "]", 0 }));
	assert_true(origins_allow_origin(&rules, false, berth_text("localhost:80"), berth_text("http://localhost:80")));
	assert_true(origins_allow_origin(&rules, true, berth_text("localhost"), berth_text("https://LOCALHOST")));
	assert_true(origins_allow_origin(&rules, true, berth_text("localhost"), berth_text("https://app.example")));
	assert_false(origins_allow_origin(&rules, true, berth_text("localhost"), berth_text("http://localhost")));
	assert_false(origins_allow_origin(&rules, false, berth_text("localhost:80"), berth_text("http://localhost")));
	assert_false(origins_allow_origin(&rules, false, berth_text("localhost"), berth_text("http://localhost.evil.example")));
	assert_false(origins_allow_origin(&rules, false, berth_text("localhost"), berth_text("null")));
	assert_false(origins_allow_origin(&rules, false, berth_text("localhost"), berth_text("")));
	assert_false(origins_allow_origin(&rules, false, (struct berth_text){ NULL, 0 }, berth_text("http://evil.example")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_lead_to_their_routes),
		cmocka_unit_test(every_route_is_found_by_its_own_path),
		cmocka_unit_test(queries_are_read_strictly),
		cmocka_unit_test(each_route_takes_its_own_alone),
		cmocka_unit_test(whatever_chance_makes_is_read_or_refused),
		cmocka_unit_test(only_names_that_are_ours_are_answered_to),
	};

	return cmocka_run_group_tests_name("the service: routes", tests, NULL, NULL);
}
