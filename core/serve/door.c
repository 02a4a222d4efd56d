/* SPDX-License-Identifier: MIT */
/*
 * Two kinds of threads. The network threads, a pool for each listener, read requests and write answers and never wait
 * for anybody; a request that asks an adapter, which may block, is suspended and carried out by the executor. Handing
 * it over and back costs more than most answers, though: so a route whose last answers were quick is carried out
 * where it was read, but never by the last thread of a pool, so that there is always one that does not wait, and only as
 * far as no other call to the same adapter is in the way.
 *
 * An answer that the library makes on its own, to what it cannot read, is a page of HTML, and it has no option for
 * that. But it queues that page with its own public function, which is found in the program first: the one at the end
 * of this file, which sends our own answer instead.
 */
#include "config.h"

#include "core/serve/door.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/log.h"
#include "core/serve/library.h"
#include "core/serve/server.h"
#include "core/serve/stream.h"
#include "core/serve/turn.h"
#include "core/services.h"
#include "core/status.h"
#include "core/text.h"

enum {
	CONNECTION_MEMORY = 16 << 10, /* which bounds the head of a request */
	THREADS_MAX = 8,
	SURPLUS_MAX = 64, /* connections beyond the most that there may be, which are told so */
};

/* ---- Connections ---- */

static struct client *client_of(struct MHD_Connection *connection)
{
	return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* From one request's answer to the end of the next one's head. */
static uint64_t idle_ns(const struct service *service)
{
	return 2 * service->timeout_ns;
}

static void on_connection(void *data, struct MHD_Connection *connection, void **contextp,
			  enum MHD_ConnectionNotificationCode code)
{
	struct door *door = data;
	struct server *server = door->server;
	struct metrics *metrics = &server->service->metrics;
	struct client *client = *contextp;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (client)
			clients_remove(&server->clients, client);
		atomic_fetch_sub(&metrics->n_open, 1);
		return;
	}
	client = clients_add(&server->clients, connection,
			     MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd);
	*contextp = client;
	if (client)
		client->door = door;
	atomic_fetch_add_explicit(&metrics->n_connections, 1, memory_order_relaxed);
	if (atomic_fetch_add(&metrics->n_open, 1) >= (int_fast64_t)server->service->max_connections) {
		atomic_fetch_add_explicit(&metrics->n_connections_refused, 1, memory_order_relaxed);
		if (client)
			client->surplus = true;
	}
	if (client)
		client_set_deadline(client, services_monotonic_ns() + idle_ns(server->service));
}

/* ---- Answers ---- */

static const char *content_type_of(const struct exchange *exchange)
{
	if (exchange->follower)
		return "text/event-stream";
	if (exchange->status == 200 && exchange->route == ROUTE_METRICS)
		return "text/plain; version=0.0.4; charset=utf-8";
	if (exchange->status == 200 && exchange->route == ROUTE_BATCH)
		return "application/x-ndjson";
	return "application/json";
}

static void add_headers(struct MHD_Response *response, const struct exchange *exchange)
{
	MHD_add_response_header(response, "Content-Type", content_type_of(exchange));
	/* nginx would keep events until it has enough of them. */
	if (exchange->follower)
		MHD_add_response_header(response, "X-Accel-Buffering", "no");
	MHD_add_response_header(response, "Cache-Control", "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(response, "X-Request-Id", exchange->id);
	if (exchange->status == 401)
		MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
	if (exchange->status == 503)
		MHD_add_response_header(response, "Retry-After", "1");
	if (exchange->status == 405) {
		CLEANUP(buffer_fini) struct buffer allow = { 0 };

		route_write_allow(&allow, exchange->route);
		buffer_append_char(&allow, '\0');
		if (!allow.failed)
			MHD_add_response_header(response, "Allow", allow.data);
	}
	if (exchange->close || exchange->service->ending)
		MHD_add_response_header(response, "Connection", "close");
}

/* Queues the answer and gives the response away. */
static enum MHD_Result send_response(struct client *client, struct exchange *exchange, struct MHD_Response *response,
				     uint64_t len)
{
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	add_headers(response, exchange);
	client_allow(client, exchange->service, services_monotonic_ns(), len);
	result = library.MHD_queue_response(client->connection, exchange->status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result send_answer(struct client *client, struct exchange *exchange)
{
	struct buffer *answer = &exchange->answer;
	struct MHD_Response *response;
	size_t len;

	/* A connection that cannot even be refused is ended. */
	if (answer->failed || !answer->data)
		return MHD_NO;
	len = answer->len;
	response = MHD_create_response_from_buffer(len, answer->data, MHD_RESPMEM_MUST_FREE);
	if (response)
		*answer = (struct buffer){ 0 };
	exchange->n_sent = len;
	return send_response(client, exchange, response, len);
}

/* Sends an answer as it comes. */
static enum MHD_Result send_stream(struct client *client, struct exchange *exchange, struct MHD_Response *response)
{
	exchange->status = 200;
	return send_response(client, exchange, response, 0);
}

/* ---- Carrying out ---- */

static bool carry_out_here(struct door *door, struct exchange *exchange)
{
	bool done;

	if (!pace_is_quick(&exchange->service->paces[exchange->route]))
		return false;
	if (atomic_fetch_add(&door->n_busy, 1) + 1 >= door->n_threads) {
		atomic_fetch_sub(&door->n_busy, 1);
		return false;
	}
	done = exchange_try_carry_out(exchange);
	atomic_fetch_sub(&door->n_busy, 1);
	if (done)
		exchange_take_result(exchange);
	return done;
}

/* Sends what another thread, or this one, has carried out. */
static enum MHD_Result send_result(struct server *server, struct client *client, struct exchange *exchange)
{
	if (exchange->follows && exchange->status == 200)
		exchange->follower = feeds_follow(&server->feeds, exchange);
	if (!exchange->follower)
		return send_answer(client, exchange);
	buffer_fini(&exchange->answer);
	exchange->followed_ns = services_monotonic_ns();
	return send_stream(client, exchange, stream_events(&server->clients, client, exchange));
}

/* ---- Requests ---- */

static void take_once(struct head *head, struct berth_text *textp, const char *value, size_t len)
{
	if (textp->ptr)
		head->doubled = true;
	*textp = (struct berth_text){ value ? value : "", len };
}

static enum MHD_Result take_header(void *data, enum MHD_ValueKind kind, const char *key, const char *value)
{
	struct head *head = data;
	size_t len = value ? strlen(value) : 0;

	(void)kind;
	if (strcasecmp(key, "Host") == 0)
		take_once(head, &head->host, value, len);
	else if (strcasecmp(key, "Content-Length") == 0)
		take_once(head, &head->content_length, value, len);
	else if (strcasecmp(key, "Transfer-Encoding") == 0)
		take_once(head, &head->transfer_encoding, value, len);
	else if (strcasecmp(key, "Expect") == 0)
		head->expects = true;
	else if (strcasecmp(key, "Origin") == 0)
		head->origin = (struct berth_text){ value ? value : "", len };
	else if (strcasecmp(key, "Authorization") == 0)
		head->authorization = (struct berth_text){ value ? value : "", len };
	else if (strcasecmp(key, "X-Request-Id") == 0)
		head->request_id = (struct berth_text){ value ? value : "", len };
	else if (strcasecmp(key, "Last-Event-ID") == 0)
		head->last_event_id = (struct berth_text){ value ? value : "", len };
	else if (strcasecmp(key, "Accept") == 0)
		head->follows = head->follows || (value && strcasestr(value, "text/event-stream"));
	return MHD_YES;
}

/* Whether the client has shown a certificate that the configured authority has signed, where one is wanted. */
static bool is_trusted(const struct door *door, struct MHD_Connection *connection)
{
#ifdef HAVE_GNUTLS
	const union MHD_ConnectionInfo *info;
	unsigned status = 1;

	if (!door->tls || !door->server->tls.client_ca)
		return true;
	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	return info && gnutls_certificate_verify_peers2(info->tls_session, &status) == 0 && status == 0;
#else
	(void)connection;
	return !door->tls;
#endif
}

static void judge(struct door *door, struct client *client, struct exchange *exchange, const char *method,
		  const char *version)
{
	struct head head = { .method = method, .needs_host = strcmp(version, "HTTP/1.0") != 0, .tls = door->tls };

	MHD_get_connection_values(client->connection, MHD_HEADER_KIND, take_header, &head);
	client_set_deadline(client, exchange->deadline_ns);
	exchange_judge(exchange, &head, door->listener);
	if (!is_trusted(door, client->connection))
		exchange_refuse(exchange, REFUSAL_UNAUTHORIZED, "TLS: a certificate that is signed by the right authority is expected");
	if (client->surplus) {
		exchange->close = true;
		exchange_refuse(exchange, REFUSAL_BUSY, "there are too many connections; try again");
	}
}

/* All of the request is there. */
static enum MHD_Result answer(struct door *door, struct client *client, struct exchange *exchange)
{
	struct server *server = door->server;

	exchange->deadline_ns = services_monotonic_ns() + server->service->timeout_ns;
	exchange_prepare(exchange);
	if (exchange->status != 0)
		return send_answer(client, exchange);
	if (exchange->route == ROUTE_BATCH)
		return send_stream(client, exchange, stream_batch(&server->clients, client, exchange));
	if (carry_out_here(door, exchange))
		return send_result(server, client, exchange);
	/* on_request is called again once the connection is resumed. */
	clients_hand_over(&server->clients, client, exchange, false);
	return MHD_YES;
}

static enum MHD_Result on_request(void *data, struct MHD_Connection *connection, const char *url, const char *method,
				  const char *version, const char *body, size_t *body_lenp, void **contextp)
{
	struct door *door = data;
	struct client *client = client_of(connection);
	struct exchange *exchange = *contextp;

	(void)url;
	if (!client || !exchange)
		return MHD_NO;
	if (exchange->stage == EXCHANGE_NEW) {
		judge(door, client, exchange, method, version);
		/* A body that is not wanted is read all the same, so that the connection can be used again. */
		return exchange->close && exchange->status != 0 && exchange->has_body ? send_answer(client, exchange) : MHD_YES;
	}
	if (*body_lenp > 0) {
		exchange_add_body(exchange, body, *body_lenp);
		if (exchange->status == 0)
			client_allow(client, exchange->service, exchange->begun_ns, exchange->n_received);
		*body_lenp = 0;
		return MHD_YES;
	}
	switch (exchange->stage) {
	case EXCHANGE_EXPIRED:
		if (exchange->service->ending)
			exchange_refuse(exchange, REFUSAL_BUSY, "the service is ending");
		else
			exchange_refuse(exchange, REFUSAL_TIMEOUT, "the runtime did not answer in time; what was asked for may be done yet");
		return send_answer(client, exchange);
	case EXCHANGE_DONE:
		if (exchange->status == 0)
			exchange_take_result(exchange);
		return send_result(door->server, client, exchange);
	default:
		return answer(door, client, exchange);
	}
}

static void *on_target(void *data, const char *target, struct MHD_Connection *connection)
{
	struct door *door = data;
	struct client *client = client_of(connection);
	struct exchange *exchange = client ? exchange_new(door->server->service, target) : NULL;

	if (client)
		client->current = exchange;
	if (exchange)
		atomic_fetch_add(&door->server->service->metrics.n_active, 1);
	return exchange;
}

static void on_completed(void *data, struct MHD_Connection *connection, void **contextp,
			 enum MHD_RequestTerminationCode code)
{
	struct door *door = data;
	struct client *client = client_of(connection);
	struct exchange *exchange = *contextp;
	uint64_t now_ns = services_monotonic_ns();

	(void)code;
	if (!exchange)
		return;
	/* Without a status nobody was there to answer to. */
	if (exchange->status != 0) {
		/* Of one who follows, how long it took until he did. */
		metrics_count(&exchange->service->metrics, exchange->route, exchange->status,
			      (exchange->followed_ns ? exchange->followed_ns : now_ns) - exchange->begun_ns);
		exchange_log(exchange, door->listener->name, now_ns);
	}
	atomic_fetch_sub(&exchange->service->metrics.n_active, 1);
	if (client) {
		client->current = NULL;
		client_set_deadline(client, now_ns + idle_ns(exchange->service));
	}
	exchange_unref(exchange);
	*contextp = NULL;
}

/* Paths and queries are decoded by those who know where they end. */
static size_t leave_encoded(void *data, struct MHD_Connection *connection, char *text)
{
	(void)data;
	(void)connection;
	return strlen(text);
}

__attribute__((format(printf, 2, 0)))
static void log_library(void *data, const char *format, va_list args)
{
	(void)data;
	log_write_va(BERTH_LOG_DEBUG, "http", format, args);
}

/* ---- Opening and closing ---- */

static _Thread_local jmp_buf *quiescing;
static const struct door *_Atomic opening;

/* The library cannot go on, and must not be returned to. Where it cannot start one of its threads it ends those before
 * it, which find that they have handed a request over by then. It has not been said that the service is ready, so
 * nothing else is to be ended. */
static void on_panic(void *data, const char *file, unsigned line, const char *reason)
{
	const struct door *failed = atomic_load(&opening);

	(void)data;
	if (quiescing)
		longjmp(*quiescing, 1);
	if (failed) {
		log_write(BERTH_LOG_ERROR, NULL, "%s: the HTTP server cannot be started", failed->listener->name);
		_exit(STATUS_SETUP);
	}
	log_write(BERTH_LOG_ERROR, NULL, "libmicrohttpd cannot go on: %s (%s:%u)", reason, file, line);
	abort();
}

/* Has no more connections accepted. A network thread that sees this coming takes the listening socket out of its own
 * epoll set, perhaps a moment before the library does: then there is nothing left to take out, which up to version
 * 0.9.75 at least ends the process. Nothing is half done there, so it is done again. */
static void quiesce(struct door *door)
{
	enum { TIMES = 1000 };
	const struct timespec moment = { .tv_nsec = 1000000 };
	volatile unsigned n = 0;
	jmp_buf again;

	if (setjmp(again) != 0) {
		n++;
		nanosleep(&moment, NULL);
	}
	quiescing = n < TIMES ? &again : NULL;
	MHD_quiesce_daemon(door->daemon);
	quiescing = NULL;
}

/* Where the client is on the same machine, there is always one that has to wait for a processor: more of them
 * leave fewer connections waiting with it. */
static unsigned n_threads(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 2 : n >= THREADS_MAX / 2 ? THREADS_MAX : 2 * (unsigned)n;
}

int door_open(struct door *door, struct error *error)
{
	const struct server *server = door->server;
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_ERROR_LOG |
			 (door->tls ? MHD_USE_TLS : 0);
	/* Each thread has its part of the connections, which it does not fill evenly. */
	size_t connections = 2 * server->service->max_connections + SURPLUS_MAX;
	struct MHD_OptionItem tls[] = {
		{ MHD_OPTION_HTTPS_MEM_CERT, 0, server->tls.certificate },
		{ MHD_OPTION_HTTPS_MEM_KEY, 0, server->tls.key },
		{ MHD_OPTION_HTTPS_PRIORITIES, 0, (char[]){ "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2" } },
		{ server->tls.client_ca ? MHD_OPTION_HTTPS_MEM_TRUST : MHD_OPTION_END, 0, server->tls.client_ca },
		{ MHD_OPTION_END, 0, NULL },
	};
	uint64_t turn;

	door->n_threads = n_threads();
	MHD_set_panic_func(on_panic, NULL);
	turn = turn_set(TURN_SHORTEST_NS);
	atomic_store(&opening, door);
	door->daemon = MHD_start_daemon(
		flags, 0, NULL, NULL, on_request, door,
		MHD_OPTION_EXTERNAL_LOGGER, log_library, NULL,
		MHD_OPTION_LISTEN_SOCKET, door->listener->fd,
		MHD_OPTION_THREAD_POOL_SIZE, door->n_threads,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)connections,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
		MHD_OPTION_STRICT_FOR_CLIENT, 0,
		MHD_OPTION_UNESCAPE_CALLBACK, leave_encoded, NULL,
		MHD_OPTION_URI_LOG_CALLBACK, on_target, door,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, door,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, door,
		MHD_OPTION_ARRAY, door->tls ? tls : &tls[sizeof tls / sizeof *tls - 1],
		MHD_OPTION_END);
	atomic_store(&opening, NULL);
	if (turn > 0)
		turn_set(turn);
	if (!door->daemon)
		return error_set(error, -EIO, "%s: the HTTP server cannot be started%s", door->listener->name,
				 door->tls ? "; are --tls-cert and --tls-key a certificate and its key in the format PEM?" : "");
	return 0;
}

void door_quiesce(struct door *door)
{
	if (!door->daemon)
		return;
	listener_remove_file(door->listener);
	quiesce(door);
}

void door_close(struct door *door)
{
	if (!door->daemon)
		return;
	/* The socket stays its listener's then. */
	quiesce(door);
	MHD_stop_daemon(door->daemon);
	door->daemon = NULL;
}

/* ---- The library's own answers ---- */

/* Sends at once, past the library, as much as there is room for. */
static void send_past(const struct door *door, struct MHD_Connection *connection, const struct buffer *text)
{
	if (!door->tls)
		send(client_of(connection)->fd, text->data, text->len, MSG_DONTWAIT | MSG_NOSIGNAL);
#ifdef HAVE_GNUTLS
	else
		gnutls_record_send(MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION)->tls_session,
				   text->data, text->len);
#endif
}

/* Not by the library's own means, since after some errors it goes on, and sends its answer twice: refused here, it
 * ends the connection, as it would in any case. */
__attribute__((visibility("default")))
enum MHD_Result MHD_queue_response(struct MHD_Connection *connection, unsigned int status, struct MHD_Response *page)
{
	struct client *client = client_of(connection);
	struct exchange *exchange = client ? client->current : NULL;
	CLEANUP(buffer_fini) struct buffer text = { 0 }, body = { 0 };
	char id[EXCHANGE_ID_SIZE], head[320];

	(void)page;
	if (!client)
		return MHD_NO;
	if (!exchange)
		exchange_make_id(client->door->server->service, id);
	refusal_write(&body, refusal_of_status(status),
		      "HTTP: a request that can be read, with a head of at most %d bytes, is expected", CONNECTION_MEMORY / 2);
	snprintf(head, sizeof head, "HTTP/1.1 %u %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
		 "Cache-Control: no-store\r\nX-Request-Id: %s\r\nConnection: close\r\n\r\n", status,
		 MHD_get_reason_phrase_for(status), body.len, exchange ? exchange->id : id);
	buffer_append_string(&text, head);
	buffer_append(&text, body.data, body.len);
	if (!text.failed && !body.failed)
		send_past(client->door, connection, &text);
	if (exchange)
		exchange->status = status;
	else
		metrics_count(&client->door->server->service->metrics, N_ROUTES, status, 0);
	return MHD_NO;
}
