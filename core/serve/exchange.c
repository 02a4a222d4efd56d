/* SPDX-License-Identifier: MIT */
/* What is asked is judged in one order, so that nobody learns more than he may: whom the request is for, who asks,
 * what for, whether he may, and only then what it says. */
#include "config.h"

#include "core/serve/exchange.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/json_writer.h"
#include "core/log.h"
#include "core/report.h"
#include "core/services.h"
#include "core/text.h"
#include "inline/json_reader.h"

enum {
	LET_PASS_MAX = 16 << 20, /* of the body of a request that has been refused */
	ANSWER_USUAL = 12 << 10, /* bytes, which most answers fit in, with what is reserved for a string more */
	PIECE = 64 << 10,        /* of a batch's lines, and of its answers */
	PIECE_NS = 50 * 1000000, /* how long lines are answered before the answers are sent */
};

/* Appends a number in hexadecimal with so many digits at least; where it ends. */
static char *write_hex(char *to, uint64_t number, int n_digits)
{
	static const char digits[] = "0123456789abcdef";

	while (n_digits < 16 && number >> 4 * n_digits)
		n_digits++;
	for (int i = n_digits - 1; i >= 0; i--)
		*to++ = digits[number >> 4 * i & 15];
	return to;
}

void exchange_make_id(struct service *service, char id[EXCHANGE_ID_SIZE])
{
	uint64_t number = atomic_fetch_add_explicit(&service->id_next, 1, memory_order_relaxed);
	char *end = write_hex(id, service->id_base & 0xffffffff, 8);

	*end++ = '-';
	*write_hex(end, number, 1) = '\0';
}

struct exchange *exchange_new(struct service *service, const char *target)
{
	size_t size = target ? strlen(target) + 1 : 1;
	struct exchange *exchange = calloc(1, sizeof *exchange + 2 * size);

	if (!exchange)
		return NULL;
	exchange->service = service;
	exchange->n_refs = 1;
	exchange->route = N_ROUTES;
	exchange->begun_ns = services_monotonic_ns();
	exchange->deadline_ns = exchange->begun_ns + service->timeout_ns;
	exchange->spool = (struct spool)SPOOL_INIT;
	exchange->target = exchange->texts;
	exchange->parts = exchange->texts + size;
	if (target) {
		memcpy(exchange->target, target, size);
		memcpy(exchange->parts, target, size);
	}
	exchange_make_id(service, exchange->id);
	return exchange;
}

struct exchange *exchange_ref(struct exchange *exchange)
{
	atomic_fetch_add(&exchange->n_refs, 1);
	return exchange;
}

void exchange_unref(struct exchange *exchange)
{
	if (!exchange || atomic_fetch_sub(&exchange->n_refs, 1) > 1)
		return;
	if (exchange->holds_batch)
		atomic_fetch_sub(&exchange->service->n_batches, 1);
	if (exchange->follows)
		atomic_fetch_sub(&exchange->service->metrics.n_followers, 1);
	buffer_fini(&exchange->body);
	buffer_fini(&exchange->answer);
	buffer_fini(&exchange->scratch);
	buffer_fini(&exchange->result);
	batch_fini(&exchange->batch);
	spool_fini(&exchange->spool);
	free(exchange->last_event_id);
	free(exchange);
}

void exchange_refuse(struct exchange *exchange, enum refusal refusal, const char *format, ...)
{
	struct error message;
	va_list args;

	va_start(args, format);
	vsnprintf(message.text, sizeof message.text, format, args);
	va_end(args);
	exchange->status = refusal_write(&exchange->answer, refusal, "%s", message.text);
}

/* ---- The head ---- */

/* A request's own id, if it is one that can be given back and logged as it is. */
static void take_id(struct exchange *exchange, struct berth_text id)
{
	static const char characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:";

	if (!id.ptr || id.len == 0 || id.len >= sizeof exchange->id)
		return;
	for (size_t i = 0; i < id.len; i++)
		if (!id.ptr[i] || !strchr(characters, id.ptr[i]))
			return;
	memcpy(exchange->id, id.ptr, id.len);
	exchange->id[id.len] = '\0';
}

/* How long the body is cannot be said in two ways, or there could be two opinions about where the next request begins. */
static bool frame_is_clear(struct exchange *exchange, const struct head *head)
{
	struct berth_text encoding = head->transfer_encoding;
	bool chunked = encoding.len == 7 && strncasecmp(encoding.ptr, "chunked", 7) == 0;

	exchange->has_body = encoding.ptr || (head->content_length.ptr && !text_is(head->content_length, "0"));
	if (!head->doubled && (!encoding.ptr || (chunked && !head->content_length.ptr)))
		return true;
	exchange->close = true;
	exchange_refuse(exchange, REFUSAL_BAD_REQUEST, "%s",
			head->doubled ? "headers: one Host, one Content-Length and one Transfer-Encoding are expected at most" :
					"headers: either a Content-Length or Transfer-Encoding: chunked is expected");
	return false;
}

/* Takes http://HOST off a target that has it, whose host counts then. */
static char *strip_authority(char *target, struct berth_text *host)
{
	char *authority = target + (strncasecmp(target, "http://", 7) == 0 ? 7 : 8), *path;

	if (strncasecmp(target, "http://", 7) != 0 && strncasecmp(target, "https://", 8) != 0)
		return target;
	path = authority + strcspn(authority, "/?");
	*host = (struct berth_text){ authority, (size_t)(path - authority) };
	return path;
}

static bool host_is_ours(struct exchange *exchange, const struct head *head, const struct listener *listener,
			 struct berth_text host)
{
	const struct origins *origins = &exchange->service->origins;

	if (!host.ptr && head->needs_host) {
		exchange_refuse(exchange, REFUSAL_BAD_REQUEST, "Host: missing");
		return false;
	}
	if (host.ptr && !origins_allow_host(origins, listener->host, host)) {
		exchange_refuse(exchange, REFUSAL_FORBIDDEN,
				"Host: localhost, the address that is listened on, or one given with --allow-host is expected");
		return false;
	}
	if (head->origin.ptr && !origins_allow_origin(origins, head->tls, host, head->origin)) {
		exchange_refuse(exchange, REFUSAL_FORBIDDEN,
				"Origin: the same as Host, or one given with --allow-origin is expected");
		return false;
	}
	return true;
}

/* What the token of a request is good for. A Unix socket has its mode instead. */
static enum token_scope scope_of(struct exchange *exchange, const struct head *head, const struct listener *listener)
{
	static const char scheme[] = "bearer ";
	struct berth_text token = head->authorization;
	size_t len = sizeof scheme - 1;

	if (!listener->tcp)
		return TOKEN_WRITE;
	if (!token.ptr || token.len <= len || strncasecmp(token.ptr, scheme, len) != 0)
		return TOKEN_NONE;
	token.ptr += len;
	token.len -= len;
	for (; token.len > 0 && *token.ptr == ' '; token.len--)
		token.ptr++;
	return tokens_judge(&exchange->service->tokens, token);
}

static void find_route(struct exchange *exchange, struct berth_text path)
{
	struct error error;
	int rc = route_find(exchange->method, path, &exchange->route, &exchange->request, &error);

	if (rc == -EINVAL)
		exchange_refuse(exchange, REFUSAL_BAD_REQUEST, "%s", error.text);
	else if (rc == -ENOENT)
		exchange_refuse(exchange, REFUSAL_UNKNOWN_ROUTE,
				"path: there is no such route; /api/openapi.json describes those there are");
	else if (rc == -EPERM)
		exchange_refuse(exchange, REFUSAL_METHOD_NOT_ALLOWED, "method: one of those in the header Allow is expected");
}

static void judge_size(struct exchange *exchange, const struct head *head)
{
	bool batch = routes[exchange->route].kind == ROUTE_OF_BATCH;
	struct json_slice number = { head->content_length.ptr, head->content_length.len, false };
	uint64_t len = 0, max = batch ? BATCH_BODY_MAX : BODY_MAX;

	if (batch && atomic_fetch_add(&exchange->service->n_batches, 1) >= BATCHES_MAX) {
		atomic_fetch_sub(&exchange->service->n_batches, 1);
		exchange_refuse(exchange, REFUSAL_BUSY, "batch: %d are being answered already; try again", BATCHES_MAX);
		return;
	}
	exchange->holds_batch = batch;
	if (number.ptr && json_number_is_u64(&number, &len) && len > max)
		exchange_refuse(exchange, REFUSAL_TOO_LARGE, "body: at most %" PRIu64 " bytes are expected", max);
}

/* Where a follower goes on is what he was sent last, before what his first request said. */
static void judge_follower(struct exchange *exchange, struct berth_text last)
{
	if (atomic_fetch_add(&exchange->service->metrics.n_followers, 1) >= FOLLOWERS_MAX) {
		atomic_fetch_sub(&exchange->service->metrics.n_followers, 1);
		exchange_refuse(exchange, REFUSAL_BUSY, "follow: %d are following already; try again", FOLLOWERS_MAX);
		return;
	}
	exchange->follows = true;
	exchange->request.limit = FOLLOW_PAGE;
	if (last.len == 0)
		return;
	exchange->last_event_id = strndup(last.ptr, last.len);
	if (!exchange->last_event_id)
		exchange_refuse(exchange, REFUSAL_OUT_OF_MEMORY, "no memory for the request");
	else if (!utf8_valid(last.ptr, last.len))
		exchange_refuse(exchange, REFUSAL_BAD_REQUEST, "Last-Event-ID: UTF-8 is expected");
	else
		exchange->request.cursor = berth_text(exchange->last_event_id);
}

/* Whether who is refused is told so before his body has come. Most clients do not look before they have sent it, and
 * would not see the answer at all: so that is for those who ask, and for what would take too long. */
static bool is_hasty(const struct head *head)
{
	struct json_slice number = { head->content_length.ptr, head->content_length.len, false };
	uint64_t len = 0;

	return head->expects || (number.ptr && (!json_number_is_u64(&number, &len) || len > LET_PASS_MAX));
}

void exchange_judge(struct exchange *exchange, const struct head *head, const struct listener *listener)
{
	struct berth_text host = head->host, path, query = { NULL, 0 };
	bool follows = head->follows;
	struct error error;
	char *target, *mark;

	exchange->stage = EXCHANGE_READING;
	strncpy(exchange->method, head->method, sizeof exchange->method - 1);
	take_id(exchange, head->request_id);
	target = strip_authority(exchange->parts, &host);
	mark = strchr(target, '?');
	path = (struct berth_text){ target, mark ? (size_t)(mark - target) : strlen(target) };
	if (mark)
		query = berth_text(mark + 1);
	if (!frame_is_clear(exchange, head) || !host_is_ours(exchange, head, listener, host))
		exchange->scope = TOKEN_NONE;
	else if ((exchange->scope = scope_of(exchange, head, listener)) == TOKEN_NONE)
		exchange_refuse(exchange, REFUSAL_UNAUTHORIZED, "Authorization: Bearer and a token that is good here are expected");
	if (exchange->status == 0)
		find_route(exchange, path);
	if (exchange->status == 0 && exchange->scope < routes[exchange->route].scope)
		exchange_refuse(exchange, REFUSAL_FORBIDDEN, "Authorization: a token with the scope write is expected");
	if (exchange->status == 0)
		judge_size(exchange, head);
	if (exchange->status == 0 &&
	    route_read_query(exchange->route, query, exchange->service->sets.limit, &exchange->request, &follows, &error) < 0)
		exchange_refuse(exchange, REFUSAL_BAD_REQUEST, "%s", error.text);
	if (exchange->status == 0 && follows && routes[exchange->route].takes & ROUTE_TAKES_FOLLOW)
		judge_follower(exchange, head->last_event_id);
	if (exchange->status != 0 && exchange->has_body && is_hasty(head))
		exchange->close = true;
}

/* ---- The body ---- */

void exchange_add_body(struct exchange *exchange, const char *data, size_t len)
{
	bool batch = exchange->route != N_ROUTES && routes[exchange->route].kind == ROUTE_OF_BATCH;
	uint64_t max = batch ? BATCH_BODY_MAX : BODY_MAX;

	exchange->n_received += len;
	if (exchange->status != 0 || !(routes[exchange->route].takes & ROUTE_TAKES_BODY))
		return;
	if (exchange->n_received > max) {
		buffer_fini(&exchange->body);
		spool_fini(&exchange->spool);
		exchange_refuse(exchange, REFUSAL_TOO_LARGE, "body: at most %" PRIu64 " bytes are expected", max);
	} else if (!batch) {
		buffer_append(&exchange->body, data, len);
		if (exchange->body.failed)
			exchange_refuse(exchange, REFUSAL_OUT_OF_MEMORY, "no memory for the body");
	} else {
		int rc = spool_write(&exchange->spool, data, len);

		if (rc < 0) {
			log_write(BERTH_LOG_ERROR, NULL, "request %s: a batch cannot be kept: %s", exchange->id, strerror(-rc));
			exchange_refuse(exchange, REFUSAL_BUSY, "batch: there is no room for it; try again");
		}
	}
}

/* ---- The request ---- */

/* Starts the process of an instance again that is in quarantine. */
static void retry(struct exchange *exchange, const struct inventory *inventory)
{
	struct berth_text name = exchange->request.adapter;
	struct buffer *out = &exchange->answer;

	for (size_t i = 0; i < inventory->n_entries; i++) {
		const struct inventory_entry *entry = &inventory->entries[i];

		if (!text_is(name, entry->dropin.name))
			continue;
		if (entry->instance && instance_retry(entry->instance))
			buffer_append_string(out, "{\"state\":\"accepted\",\"diagnostics\":[]}");
		else
			buffer_append_string(out, "{\"state\":\"rejected\",\"diagnostics\":[{\"code\":\"adapter_not_quarantined\","
						  "\"severity\":\"warning\",\"message\":\"only what is in quarantine is tried "
						  "again; what has failed is, when the configuration is read again\"}]}");
		return;
	}
	exchange_refuse(exchange, REFUSAL_UNKNOWN_ADAPTER, "adapter: the name of an instance in /api/adapters is expected");
}

static void answer_itself(struct exchange *exchange)
{
	struct service *service = exchange->service;
	struct buffer *out = &exchange->answer;
	struct set *set;

	exchange->status = 200;
	switch (exchange->route) {
	case ROUTE_OPENAPI:
		buffer_append(out, service_openapi, service_openapi_len);
		break;
	case ROUTE_ADAPTERS:
	case ROUTE_CONFIG:
		set = sets_hold(&service->sets);
		if ((exchange->route == ROUTE_CONFIG ? report_config(set->setup.config.settings, out) :
						       report_adapters(&set->setup.inventory, out)) < 0)
			exchange_refuse(exchange, REFUSAL_OUT_OF_MEMORY, "no memory for the answer");
		sets_release(&service->sets, set);
		break;
	case ROUTE_RETRY:
		set = sets_hold(&service->sets);
		retry(exchange, &set->setup.inventory);
		sets_release(&service->sets, set);
		break;
	case ROUTE_METRICS:
		set = sets_hold(&service->sets);
		metrics_write(&service->metrics, &service->sets, set, out);
		sets_release(&service->sets, set);
		break;
	case ROUTE_READY:
		if (service->ending) {
			exchange_refuse(exchange, REFUSAL_BUSY, "the service is ending");
			break;
		}
		__attribute__((fallthrough));
	default:
		buffer_append_string(out, "{\"status\":\"ok\"}");
	}
}

void exchange_prepare(struct exchange *exchange)
{
	struct berth_text body = { exchange->body.data, exchange->body.len };
	struct request *request = &exchange->request;
	const struct route_row *route;
	struct error error;
	int rc;

	if (exchange->status != 0)
		return;
	route = &routes[exchange->route];
	switch (route->kind) {
	case ROUTE_OF_SERVICE:
		answer_itself(exchange);
		return;
	case ROUTE_OF_BATCH:
		exchange->batch = (struct batch){ 
			.line_max = BODY_MAX, .too_long = "too_large", .read_only = exchange->scope < TOKEN_WRITE,
		};
		return;
	case ROUTE_OF_REGISTRY:
		break;
	}
	request->op = route->op;
	request->with_workspace = true;
	request->deadline_ns = exchange->deadline_ns;
	rc = request_complete(request, body, &exchange->scratch, &error);
	if (rc == -EINVAL)
		exchange_refuse(exchange, REFUSAL_BAD_REQUEST, "%s", error.text);
	else if (rc < 0)
		exchange_refuse(exchange, REFUSAL_OUT_OF_MEMORY, "%s", error.text);
}

/* ---- The result ---- */

/* Reads further lines of a batch; false where there are none left, or they cannot be had. */
static bool read_lines(struct exchange *exchange)
{
	char *end = buffer_reserve(&exchange->batch.in, PIECE);
	ssize_t n = end ? spool_read(&exchange->spool, end, PIECE) : -ENOMEM;

	if (n < 0) {
		log_write(BERTH_LOG_ERROR, NULL, "request %s: a batch cannot be read: %s", exchange->id, strerror((int)-n));
		exchange->batch_failed = true;
		return false;
	}
	exchange->batch.in.len += (size_t)n;
	return n > 0;
}

/* Answers lines until there is enough to send. */
static void carry_out_batch(struct exchange *exchange, struct registry *registry)
{
	struct batch *batch = &exchange->batch;
	uint64_t until_ns = services_monotonic_ns() + PIECE_NS;
	bool more = true;
	int left;

	do {
		/* Where lines are left from the last time, they come first. */
		if (batch->in.len == batch->searched)
			more = read_lines(exchange);
		if (exchange->batch_failed)
			return;
		left = batch_answer_lines(batch, registry, !more, PIECE, until_ns);
		if (left < 0)
			exchange->batch_failed = true;
		else if (left == 0 && !more)
			exchange->batch_done = true;
	} while (left == 0 && more && (batch->out.len == 0 || (batch->out.len < PIECE && services_monotonic_ns() < until_ns)));
}

void exchange_carry_out(struct exchange *exchange)
{
	uint64_t since_ns = services_monotonic_ns();
	struct set *set = sets_hold(&exchange->service->sets);
	struct registry *registry = &set->setup.inventory.registry;

	if (routes[exchange->route].kind == ROUTE_OF_BATCH) {
		carry_out_batch(exchange, registry);
	} else {
		buffer_reserve(&exchange->result, ANSWER_USUAL);
		registry_answer(registry, &exchange->request, &exchange->result);
		if (exchange->result.failed)
			exchange->result_status = refusal_write(&exchange->result, REFUSAL_OUT_OF_MEMORY, "no memory for the answer");
		else
			exchange->result_status = refusal_status(&exchange->result);
	}
	sets_release(&exchange->service->sets, set);
	pace_learn(&exchange->service->paces[exchange->route], services_monotonic_ns() - since_ns);
}

bool exchange_try_carry_out(struct exchange *exchange)
{
	bool would_wait = false;

	exchange->request.would_waitp = &would_wait;
	exchange_carry_out(exchange);
	exchange->request.would_waitp = NULL;
	if (would_wait)
		buffer_cut(&exchange->result, 0);
	return !would_wait;
}

void exchange_take_result(struct exchange *exchange)
{
	buffer_fini(&exchange->answer);
	exchange->answer = exchange->result;
	exchange->result = (struct buffer){ 0 };
	exchange->status = exchange->result_status;
}

/* ---- The log ---- */

void exchange_log(const struct exchange *exchange, const char *listener, uint64_t now_ns)
{
	double ms = (double)(now_ns - exchange->begun_ns) / 1e6;
	struct berth_text target = berth_text(exchange->target);
	struct buffer line = { 0 };
	char numbers[128];

	if (!log_wants(BERTH_LOG_INFO))
		return;
	if (!log_is_json()) {
		log_write(BERTH_LOG_INFO, NULL, "request %s: %s %.200s: %u, %" PRIu64 " bytes, %.3f ms, by %s", exchange->id,
			  exchange->method, exchange->target, exchange->status, exchange->n_sent, ms, listener);
		return;
	}
	target.len = utf8_prefix(target.ptr, target.len, 200);
	log_open_json(&line, BERTH_LOG_INFO);
	buffer_append_string(&line, ",\"request_id\":");
	json_write_string(&line, berth_text(exchange->id));
	buffer_append_string(&line, ",\"method\":");
	json_write_string(&line, berth_text(exchange->method));
	buffer_append_string(&line, ",\"target\":");
	if (!json_write_string(&line, target))
		json_write_string(&line, berth_text("?"));
	buffer_append_string(&line, ",\"listener\":");
	json_write_string(&line, berth_text(listener));
	snprintf(numbers, sizeof numbers, ",\"status\":%u,\"bytes\":%" PRIu64 ",\"ms\":%.3f}\n", exchange->status,
		 exchange->n_sent, ms);
	buffer_append_string(&line, numbers);
	log_put(&line);
	buffer_fini(&line);
}
