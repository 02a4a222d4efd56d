/* SPDX-License-Identifier: MIT */
/* What is counted of requests: each status and each duration where it belongs. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/cleanup.h"
#include "core/serve/metrics.h"
#include "tests/support.h"

/* Of nothing but the requests. */
static void write_metrics(struct metrics *metrics, struct buffer *out)
{
	struct sets sets = { .lock = PTHREAD_MUTEX_INITIALIZER, .n_reloads = 3, .n_reloads_failed = 2 };
	CLEANUP_FREE struct set *set = calloc(1, sizeof *set);

	assert_non_null(set);
	out->len = 0;
	metrics_write(metrics, &sets, set, out);
	buffer_append_char(out, '\0');
	assert_false(out->failed);
}

static void assert_has(const struct buffer *out, const char *line)
{
	if (!strstr(out->data, line))
		fail_msg("no %s in\n%s", line, out->data);
}

static void each_status_is_counted_as_itself(void **state)
{
	static const unsigned known[] = { 200, 400, 401, 403, 404, 405, 413, 414, 429, 431, 500, 501, 503, 504, 505 };
	struct metrics *metrics = calloc(1, sizeof *metrics);
	CLEANUP(buffer_fini) struct buffer out = { 0 };
	char line[128];

	(void)state;
	assert_non_null(metrics);
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		for (size_t n = 0; n <= i; n++)
			metrics_count(metrics, ROUTE_HOSTS, known[i], 1);
	metrics_count(metrics, N_ROUTES, 299, 1);
	metrics_count(metrics, N_ROUTES, 0, 1);
	write_metrics(metrics, &out);
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		snprintf(line, sizeof line, "\nberth_http_requests_total{route=\"hosts\",code=\"%u\"} %zu\n", known[i], i + 1);
		assert_has(&out, line);
	}
	assert_has(&out, "\nberth_http_requests_total{route=\"none\",code=\"other\"} 2\n");
	assert_null(strstr(out.data, "route=\"workers\""));
	assert_has(&out, "\nberth_reloads_total{result=\"taken\"} 3\nberth_reloads_total{result=\"refused\"} 2\n");
	free(metrics);
}

static void each_duration_is_counted_below_its_border(void **state)
{
	static const struct {
		uint64_t ns;
		const char *seconds;
	} borders[] = {
		{ 50000, "0.00005" }, { 100000, "0.0001" }, { 250000, "0.00025" }, { 1000000, "0.001" },
		{ 2500000, "0.0025" }, { 10000000, "0.01" }, { 25000000, "0.025" }, { 100000000, "0.1" },
		{ 250000000, "0.25" }, { 1000000000, "1" }, { UINT64_C(5000000000), "5" }, { UINT64_C(30000000000), "30" },
	};
	CLEANUP(buffer_fini) struct buffer out = { 0 };
	char line[128];

	(void)state;
	for (size_t i = 0; i < sizeof borders / sizeof *borders; i++) {
		struct metrics *metrics = calloc(1, sizeof *metrics);

		assert_non_null(metrics);
		metrics_count(metrics, ROUTE_WORKER, 200, borders[i].ns);
		metrics_count(metrics, ROUTE_WORKER, 200, borders[i].ns + 1);
		write_metrics(metrics, &out);
		for (size_t j = 0; j < sizeof borders / sizeof *borders; j++) {
			snprintf(line, sizeof line, "\nberth_http_request_duration_seconds_bucket{route=\"worker\",le=\"%s\"} %d\n",
				 borders[j].seconds, (j >= i) + (j > i));
			assert_has(&out, line);
		}
		snprintf(line, sizeof line, "_bucket{route=\"worker\",le=\"+Inf\"} 2\nberth_http_request_duration_seconds_sum"
			 "{route=\"worker\"} %.9f\n", (double)(2 * borders[i].ns + 1) / 1e9);
		assert_has(&out, line);
		assert_has(&out, "\nberth_http_request_duration_seconds_count{route=\"worker\"} 2\n");
		free(metrics);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_status_is_counted_as_itself),
		cmocka_unit_test(each_duration_is_counted_below_its_border),
	};

	return cmocka_run_group_tests_name("the service: metrics", tests, NULL, NULL);
}
