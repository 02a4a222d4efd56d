/* SPDX-License-Identifier: MIT */
/* Counters are only ever added to, without a lock; a reading of them is no moment in time, as none is needed. */
#include "config.h"

#include "core/serve/metrics.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/text.h"

/* Those that there are; the last is all others. */
static const unsigned statuses[METRICS_STATUSES] = {
	200, 400, 401, 403, 404, 405, 413, 414, 429, 431, 500, 501, 503, 504, 505, 0,
};

static const struct {
	uint64_t ns;
	const char *seconds;
} buckets[METRICS_BUCKETS] = {
	{ 50000, "0.00005" }, { 100000, "0.0001" }, { 250000, "0.00025" }, { 1000000, "0.001" },
	{ 2500000, "0.0025" }, { 10000000, "0.01" }, { 25000000, "0.025" }, { 100000000, "0.1" },
	{ 250000000, "0.25" }, { 1000000000, "1" }, { 5000000000, "5" }, { 30000000000, "30" },
};

static void add(atomic_uint_fast64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static uint64_t value(atomic_uint_fast64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

void metrics_count(struct metrics *metrics, enum route route, unsigned status, uint64_t ns)
{
	struct route_metrics *own = &metrics->routes[route];
	size_t i = 0, bucket = 0;

	while (i < METRICS_STATUSES - 1 && statuses[i] != status)
		i++;
	while (bucket < METRICS_BUCKETS && ns > buckets[bucket].ns)
		bucket++;
	add(&own->n_by_status[i], 1);
	add(&own->n_by_bucket[bucket], 1);
	add(&own->ns, ns);
}

/* ---- Writing ---- */

__attribute__((format(printf, 2, 3)))
static void print(struct buffer *out, const char *format, ...)
{
	char line[512];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	buffer_append_string(out, line);
}

static void head(struct buffer *out, const char *name, const char *type, const char *help)
{
	print(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static const char *route_name(size_t route)
{
	return route < N_ROUTES ? routes[route].name : "none";
}

static void write_requests(struct metrics *metrics, struct buffer *out)
{
	head(out, "berth_http_requests_total", "counter", "Answers, by route and status.");
	for (size_t i = 0; i <= N_ROUTES; i++)
		for (size_t j = 0; j < METRICS_STATUSES; j++) {
			uint64_t n = value(&metrics->routes[i].n_by_status[j]);

			if (n > 0 && statuses[j])
				print(out, "berth_http_requests_total{route=\"%s\",code=\"%u\"} %llu\n", route_name(i),
				      statuses[j], (unsigned long long)n);
			else if (n > 0)
				print(out, "berth_http_requests_total{route=\"%s\",code=\"other\"} %llu\n", route_name(i),
				      (unsigned long long)n);
		}
}

static void write_durations(struct metrics *metrics, struct buffer *out)
{
	static const char name[] = "berth_http_request_duration_seconds";

	head(out, name, "histogram", "From a request's head to the end of its answer, by route.");
	for (size_t i = 0; i <= N_ROUTES; i++) {
		struct route_metrics *own = &metrics->routes[i];
		uint64_t n = 0, counts[METRICS_BUCKETS + 1], all = 0;

		for (size_t j = 0; j <= METRICS_BUCKETS; j++)
			all += counts[j] = value(&own->n_by_bucket[j]);
		for (size_t j = 0; j < METRICS_BUCKETS && all > 0; j++) {
			n += counts[j];
			print(out, "%s_bucket{route=\"%s\",le=\"%s\"} %llu\n", name, route_name(i), buckets[j].seconds,
			      (unsigned long long)n);
		}
		if (all == 0)
			continue;
		print(out, "%s_bucket{route=\"%s\",le=\"+Inf\"} %llu\n", name, route_name(i), (unsigned long long)all);
		print(out, "%s_sum{route=\"%s\"} %.9f\n", name, route_name(i), (double)value(&own->ns) / 1e9);
		print(out, "%s_count{route=\"%s\"} %llu\n", name, route_name(i), (unsigned long long)all);
	}
}

static void write_calls(const char *name, const char *help, const struct registry *registry, bool failed,
			struct buffer *out)
{
	head(out, name, "counter", help);
	for (size_t i = 0; i < registry->n_instances; i++) {
		struct instance *instance = registry->instances[i];
		struct berth_text id = instance->runtime.base.runtime_id;

		/* An instance is opened once. Identifiers have nothing that would have to be escaped. */
		for (int op = OPERATION_RUNTIME; op < N_OPERATIONS; op++)
			print(out, "%s{runtime_id=\"%.*s\",operation=\"%s\"} %llu\n", name, (int)id.len, id.ptr,
			      operation_name((enum operation)op),
			      (unsigned long long)value(failed ? &instance->n_failed[op] : &instance->n_calls[op]));
	}
}

/* What comes from the name of a file may be anything. */
static void write_label(struct buffer *out, const char *text)
{
	CLEANUP_FREE char *name = strdup(text);

	if (!name) {
		out->failed = true;
		return;
	}
	text_make_utf8(name);
	for (const char *p = name; *p; p++) {
		if (*p == '"' || *p == '\\' || *p == '\n')
			buffer_append_char(out, '\\');
		buffer_append_char(out, *p == '\n' ? 'n' : *p);
	}
}

static void write_adapters(const struct inventory *inventory, struct buffer *out)
{
	head(out, "berth_adapter_state", "gauge", "1 for the state that a configured instance is in.");
	for (size_t i = 0; i < inventory->n_entries; i++)
		for (enum inventory_state state = STATE_ACTIVE; state < N_STATES; state++) {
			buffer_append_string(out, "berth_adapter_state{adapter=\"");
			write_label(out, inventory->entries[i].dropin.name);
			print(out, "\",state=\"%s\"} %d\n", inventory_state_name(state),
			      inventory_state(&inventory->entries[i]) == state);
		}
}

void metrics_write(struct metrics *metrics, struct sets *sets, const struct set *set, struct buffer *out)
{
	const struct inventory *inventory = &set->setup.inventory;
	uint64_t n_reloads, n_failed;

	pthread_mutex_lock(&sets->lock);
	n_reloads = sets->n_reloads;
	n_failed = sets->n_reloads_failed;
	pthread_mutex_unlock(&sets->lock);
	head(out, "berth_build_info", "gauge", "The version that runs.");
	print(out, "berth_build_info{version=\"%s\"} 1\n", PACKAGE_VERSION);
	write_requests(metrics, out);
	write_durations(metrics, out);
	head(out, "berth_http_requests_active", "gauge", "Requests that are being answered.");
	print(out, "berth_http_requests_active %lld\n", (long long)atomic_load(&metrics->n_active));
	head(out, "berth_followers", "gauge", "Of those, the ones that follow the events of a runtime.");
	print(out, "berth_followers %lld\n", (long long)atomic_load(&metrics->n_followers));
	head(out, "berth_connections_total", "counter", "Connections that were accepted.");
	print(out, "berth_connections_total %llu\n", (unsigned long long)value(&metrics->n_connections));
	head(out, "berth_connections_refused_total", "counter", "Connections beyond the most that there may be.");
	print(out, "berth_connections_refused_total %llu\n", (unsigned long long)value(&metrics->n_connections_refused));
	head(out, "berth_connections", "gauge", "Connections that are open.");
	print(out, "berth_connections %lld\n", (long long)atomic_load(&metrics->n_open));
	head(out, "berth_reloads_total", "counter", "Times that the configuration was read again, by what came of it.");
	print(out, "berth_reloads_total{result=\"taken\"} %llu\nberth_reloads_total{result=\"refused\"} %llu\n",
	      (unsigned long long)n_reloads, (unsigned long long)n_failed);
	write_adapters(inventory, out);
	write_calls("berth_runtime_calls_total", "Calls into the adapter of a runtime, since it was opened.",
		    &inventory->registry, false, out);
	write_calls("berth_runtime_call_failures_total", "Of those, the ones that failed or broke the contract of adapters.",
		    &inventory->registry, true, out);
}
