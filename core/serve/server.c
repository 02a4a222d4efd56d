/* SPDX-License-Identifier: MIT */
/*
 * Two kinds of threads. The network threads, a pool for each listener, read requests and write answers and never wait
 * for anybody; a request that asks an adapter, which may block, is suspended and carried out by the executor. Handing
 * it over and back costs more than most answers, though: so a route whose last answers were all quick is carried out
 * where it was read, but never by the last thread of a pool, so that there is always one that does not wait, and only as
 * far as no other call to the same adapter is in the way.
 *
 * An answer that the library makes on its own, to what it cannot read, is a page of HTML, and it has no option for
 * that. But it queues that page with its own public function, which is found in the program first: the one at the end
 * of this file, which sends our own answer instead.
 */
#include "config.h"

#include "core/serve/server.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef HAVE_GNUTLS
#include <gnutls/gnutls.h>
#endif

#include "core/cleanup.h"
#include "core/log.h"
#include "core/services.h"
#include "core/text.h"

enum {
	CONNECTION_MEMORY = 16 << 10, /* which bounds the head of a request */
	THREADS_MAX = 8,
	SURPLUS_MAX = 64,   /* connections beyond the most that there may be, which are told so */
	RATE_MIN = 4 << 10, /* bytes in a second that a client must at least take or send */
};

#define SECOND_NS UINT64_C(1000000000)
#define HEARTBEAT_NS (15 * SECOND_NS) /* of silence, after which a follower is sent a comment */

typedef enum MHD_Result queue_function(struct MHD_Connection *connection, unsigned int status,
				       struct MHD_Response *response);

static queue_function *queue_response; /* the library's */

/* ---- Connections ---- */

static struct client *client_of(struct MHD_Connection *connection)
{
	return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static void set_deadline(struct client *client, uint64_t deadline_ns)
{
	atomic_store_explicit(&client->deadline_ns, deadline_ns, memory_order_relaxed);
}

/* The time by which so many bytes must have come or gone. */
static uint64_t time_for(const struct service *service, uint64_t from_ns, uint64_t n_bytes)
{
	return from_ns + service->timeout_ns + n_bytes / RATE_MIN * SECOND_NS;
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
		set_deadline(client, services_monotonic_ns() + idle_ns(server->service));
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
	set_deadline(client, time_for(exchange->service, services_monotonic_ns(), len));
	result = queue_response(client->connection, exchange->status, response);
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

/* ---- Carrying out ---- */

static void run_exchange(struct job *job)
{
	struct exchange *exchange = (struct exchange *)job;
	struct server *server = exchange->server;
	uint64_t since_ns = services_monotonic_ns();

	exchange_carry_out(exchange);
	pace_learn(&server->paces[exchange->route], services_monotonic_ns() - since_ns);
	clients_resume(&server->clients, exchange);
	exchange_unref(exchange);
}

/* Suspends the connection until another thread has carried the exchange out. False where none will, and it has been
 * resumed already. */
static bool hand_over(struct server *server, struct client *client, struct exchange *exchange, bool must)
{
	exchange->job.run = run_exchange;
	exchange->server = server;
	set_deadline(client, exchange->deadline_ns);
	/* In this order, since it may be through before this thread goes on. */
	exchange_ref(exchange);
	MHD_suspend_connection(client->connection);
	if (!clients_wait(&server->clients, client, exchange)) {
		exchange_unref(exchange);
		return false;
	}
	if (executor_submit(&server->service->executor, &exchange->job, must))
		return true;
	clients_resume(&server->clients, exchange);
	exchange_refuse(exchange, REFUSAL_BUSY, "too many requests are waiting; try again");
	exchange_unref(exchange);
	return false;
}

static bool carry_out_here(struct door *door, struct exchange *exchange)
{
	struct pace *pace = &door->server->paces[exchange->route];
	uint64_t since_ns;
	bool done;

	if (!pace_is_quick(pace))
		return false;
	if (atomic_fetch_add(&door->n_busy, 1) + 1 >= door->n_threads) {
		atomic_fetch_sub(&door->n_busy, 1);
		return false;
	}
	since_ns = services_monotonic_ns();
	done = exchange_try_carry_out(exchange);
	pace_learn(pace, services_monotonic_ns() - since_ns);
	atomic_fetch_sub(&door->n_busy, 1);
	if (done)
		exchange_take_result(exchange);
	return done;
}

/* ---- Streams ---- */

/* The client and the exchange whose answers are sent as they come. */
struct stream {
	struct server *server;
	struct client *client;
	struct exchange *exchange;
};

static void count_sent(struct stream *stream, size_t n)
{
	stream->exchange->n_sent += n;
	set_deadline(stream->client, time_for(stream->exchange->service, services_monotonic_ns(), n));
}

static ssize_t read_batch(void *data, uint64_t position, char *to, size_t max)
{
	struct stream *stream = data;
	struct exchange *exchange = stream->exchange;
	struct buffer *out = &exchange->batch.out;
	size_t left;

	(void)position;
	/* Then another thread may still be writing answers. */
	if (exchange->stage == EXCHANGE_EXPIRED || exchange->batch_failed)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	left = out->len - exchange->batch_taken;
	if (left == 0 && exchange->batch_done)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (left == 0) {
		buffer_cut(out, 0);
		exchange->batch_taken = 0;
		exchange->deadline_ns = services_monotonic_ns() + exchange->service->timeout_ns;
		exchange->batch.deadline_ns = exchange->deadline_ns;
		hand_over(stream->server, stream->client, exchange, true);
		return 0;
	}
	if (left > max)
		left = max;
	memcpy(to, out->data + exchange->batch_taken, left);
	exchange->batch_taken += left;
	count_sent(stream, left);
	return (ssize_t)left;
}

/* Suspends the connection until there are further events, or it is time for a heartbeat. */
static void wait_for_events(struct stream *stream, uint64_t until_ns)
{
	struct clients *clients = &stream->server->clients;
	struct exchange *exchange = stream->exchange;

	set_deadline(stream->client, until_ns);
	MHD_suspend_connection(stream->client->connection);
	/* What came before it was seen to wait has not resumed it. */
	if (clients_wait(clients, stream->client, exchange) && follower_is_due(exchange->follower))
		clients_resume(clients, exchange);
}

static ssize_t read_events(void *data, uint64_t position, char *to, size_t max)
{
	static const char heartbeat[] = ":\n\n";
	struct stream *stream = data;
	struct exchange *exchange = stream->exchange;
	ssize_t n = follower_take(exchange->follower, to, max);

	(void)position;
	if (n < 0)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (n == 0 && exchange->stage == EXCHANGE_EXPIRED && max >= sizeof heartbeat - 1) {
		n = sizeof heartbeat - 1;
		memcpy(to, heartbeat, (size_t)n);
	}
	exchange->stage = EXCHANGE_DONE;
	if (n == 0)
		wait_for_events(stream, exchange->deadline_ns);
	else
		count_sent(stream, (size_t)n);
	if (n > 0)
		exchange->deadline_ns = services_monotonic_ns() + HEARTBEAT_NS;
	return n;
}

static void free_stream(void *data)
{
	struct stream *stream = data;

	follower_end(stream->exchange->follower);
	exchange_unref(stream->exchange);
	free(stream);
}

static enum MHD_Result send_stream(struct server *server, struct client *client, struct exchange *exchange,
				   MHD_ContentReaderCallback read)
{
	struct stream *stream = malloc(sizeof *stream);
	struct MHD_Response *response;

	if (!stream) {
		follower_end(exchange->follower);
		return MHD_NO;
	}
	*stream = (struct stream){ server, client, exchange_ref(exchange) };
	exchange->status = 200;
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 32 << 10, read, stream, free_stream);
	if (!response)
		free_stream(stream);
	return send_response(client, exchange, response, 0);
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
	return send_stream(server, client, exchange, read_events);
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
	set_deadline(client, exchange->deadline_ns);
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
		return send_stream(server, client, exchange, read_batch);
	if (carry_out_here(door, exchange))
		return send_result(server, client, exchange);
	/* on_request is called again once the connection is resumed. */
	hand_over(server, client, exchange, false);
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
			set_deadline(client, time_for(exchange->service, exchange->begun_ns, exchange->n_received));
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
		set_deadline(client, now_ns + idle_ns(exchange->service));
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

/* ---- TLS ---- */

enum { PEM_MAX = 1 << 20 };

/* Reads a whole file as a string. */
static int read_pem(const char *path, char **textp, struct error *error)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	CLEANUP_FREE char *text = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(error, -errno, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size > PEM_MAX)
		return error_set(error, -EINVAL, "%s: a file of at most %d bytes in the format PEM is expected", path, PEM_MAX);
	text = calloc(1, PEM_MAX + 1);
	n = text ? read(fd, text, PEM_MAX) : -1;
	if (n < 0)
		return error_set(error, -errno, "%s: %s", path, strerror(errno));
	*textp = STEAL(text);
	return 0;
}

static int read_tls(struct tls *tls, const struct options *options, struct error *error)
{
	int rc = read_pem(options->tls_cert, &tls->certificate, error);

#ifndef HAVE_GNUTLS
	if (options->tls_client_ca)
		return error_set(error, -ENOTSUP, "--tls-client-ca: this berth was built without GnuTLS");
#endif
	if (rc == 0)
		rc = read_pem(options->tls_key, &tls->key, error);
	if (rc == 0 && options->tls_client_ca)
		rc = read_pem(options->tls_client_ca, &tls->client_ca, error);
	return rc;
}

/* ---- Starting and ending ---- */

static unsigned n_threads(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 2 : n >= THREADS_MAX ? THREADS_MAX : (unsigned)n + 1;
}

static int open_door(struct server *server, struct door *door, struct error *error)
{
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

	door->n_threads = n_threads();
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
	if (!door->daemon)
		return error_set(error, -EIO, "%s: the HTTP server cannot be started%s", door->listener->name,
				 door->tls ? "; are --tls-cert and --tls-key a certificate and its key in the format PEM?" : "");
	return 0;
}

int server_start(struct server *server, struct service *service, struct listeners *listeners,
		 const struct options *options, struct error *error)
{
	int rc = 0;

	*(void **)&queue_response = dlsym(RTLD_NEXT, "MHD_queue_response");
	server->service = service;
	clients_init(&server->clients);
	feeds_init(&server->feeds, service, &server->clients);
	if (!queue_response)
		return error_set(error, -ENOSYS, "libmicrohttpd: MHD_queue_response is not there");
	if (options->tls_cert)
		rc = read_tls(&server->tls, options, error);
	for (size_t i = 0; i < listeners->n && rc == 0; i++) {
		struct door *door = &server->doors[server->n_doors++];

		*door = (struct door){ .server = server, .listener = &listeners->list[i] };
		door->tls = options->tls_cert && door->listener->tcp;
		rc = open_door(server, door, error);
		if (rc == 0)
			log_write(BERTH_LOG_INFO, NULL, "listening on %s%s", door->listener->name, door->tls ? " with TLS" : "");
	}
	return rc;
}

void server_tick(struct server *server)
{
	clients_expire(&server->clients, services_monotonic_ns());
	feeds_tick(&server->feeds);
}

void server_quiesce(struct server *server)
{
	for (size_t i = 0; i < server->n_doors; i++)
		if (server->doors[i].daemon) {
			listener_remove_file(server->doors[i].listener);
			MHD_quiesce_daemon(server->doors[i].daemon);
		}
	feeds_close(&server->feeds);
}

bool server_is_busy(struct server *server)
{
	return atomic_load(&server->service->metrics.n_active) > 0;
}

void server_close(struct server *server)
{
	clients_close(&server->clients);
}

bool server_stop(struct server *server)
{
	/* The library ends the whole process where a connection is suspended. */
	server_close(server);
	for (size_t i = 0; i < server->n_doors; i++)
		if (atomic_load(&server->doors[i].n_busy) > 0)
			return false;
	for (size_t i = 0; i < server->n_doors; i++)
		if (server->doors[i].daemon) {
			/* The socket stays its listener's then. */
			MHD_quiesce_daemon(server->doors[i].daemon);
			MHD_stop_daemon(server->doors[i].daemon);
		}
	server->n_doors = 0;
	return true;
}

void server_fini(struct server *server)
{
	if (!server->service)
		return;
	server_stop(server);
	if (server->tls.key)
		explicit_bzero(server->tls.key, strlen(server->tls.key));
	free(server->tls.certificate);
	free(server->tls.key);
	free(server->tls.client_ca);
	feeds_fini(&server->feeds);
	clients_fini(&server->clients);
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
