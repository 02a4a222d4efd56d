/* SPDX-License-Identifier: MIT */
/*
 * The WebSocket, by libwebsockets. It is trusted as little as any answer: only the server that
 * the client trusts is listened to, an event is bounded, and what is silent for long is
 * left. All but the flag that ends it belongs to its thread.
 *
 * The library has one log for the whole process, which is turned off, and takes SIGPIPE away
 * from the process, which is given back.
 */
#include "config.h"

#include "stream.h"

#include <libwebsockets.h>
#include <openssl/x509_vfy.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "inline/thread.h"

enum {
	EVENT_MAX = 64 << 10,	/* bytes; what is longer is lost */
	PING_S = 15,		/* of silence, after which the server is asked whether it is there */
	SILENCE_S = 30,		/* after which it counts as gone */
	CONNECT_S = 10,
	RETRY_FIRST_MS = 250,
	RETRY_DOUBLED = 7, /* times at the most */
	FDS_MAX = 8,
};

struct stream {
	struct client *client;
	const struct berth_services *services;
	stream_take_fn *take;
	void *data;
	struct lws_context *context;
	pthread_t thread;
	atomic_bool ending;
	lws_sorted_usec_list_t retry;
	size_t n_tried; /* since it ended */
	bool live;
	char *event; /* of which a part may be there */
	size_t len;  /* more than EVENT_MAX: it is too long */
};

/* ---- Connecting ---- */

/* https://HOST[:PORT], HOST perhaps in brackets. */
static bool read_address(const char *base, char *host, size_t size, int *portp)
{
	const char *begin = strstr(base, "://"), *end, *port;

	if (!begin)
		return false;
	begin += 3;
	end = *begin == '[' ? strchr(begin, ']') : begin + strcspn(begin, ":");
	if (!end)
		return false;
	port = *end == ']' ? end + 1 : end;
	begin += *begin == '[';
	if (end == begin || (size_t)(end - begin) >= size)
		return false;
	snprintf(host, size, "%.*s", (int)(end - begin), begin);
	*portp = *port == ':' ? atoi(port + 1) : 443;
	return true;
}

static void connect_later(struct stream *stream);

static void connect_now(struct stream *stream)
{
	static const lws_retry_bo_t patience = { .secs_since_valid_ping = PING_S, .secs_since_valid_hangup = SILENCE_S };
	struct lws_client_connect_info info = {
		.context = stream->context, .local_protocol_name = "berth", .retry_and_idle_policy = &patience,
		.ietf_version_or_minus_one = -1,
	};
	struct client_place place;
	char host[256], address[sizeof host + 1], path[512], *project;

	client_place(stream->client, stream->n_tried++, &place);
	project = client_escape(place.project);
	if (!project || !read_address(place.base, host, sizeof host, &info.port)) {
		free(project);
		connect_later(stream);
		return;
	}
	snprintf(path, sizeof path, "/1.0/events?type=lifecycle&project=%s", project);
	free(project);
	snprintf(address, sizeof address, "%s%s", place.socket ? "+" : "", place.socket ? place.socket : host);
	info.address = address;
	info.host = host;
	info.path = path;
	if (!place.socket)
		info.ssl_connection = LCCSCF_USE_SSL | (place.server_certificate ? LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK : 0);
	if (!lws_client_connect_via_info(&info))
		connect_later(stream);
}

static void retry(lws_sorted_usec_list_t *timer)
{
	connect_now(lws_container_of(timer, struct stream, retry));
}

/* After a time that doubles with each try. */
static void connect_later(struct stream *stream)
{
	lws_usec_t pause_ms = RETRY_FIRST_MS << (stream->n_tried < RETRY_DOUBLED ? stream->n_tried : RETRY_DOUBLED);

	if (!atomic_load(&stream->ending))
		lws_sul_schedule(stream->context, 0, &stream->retry, retry, pause_ms * LWS_USEC_PER_SEC / 1000);
}

/* ---- What comes ---- */

static void give(const struct stream *stream, enum stream_news news, const char *text, size_t len)
{
	if (!atomic_load(&stream->ending))
		stream->take(stream->data, news, text, len);
}

static void begin(struct stream *stream)
{
	stream->live = true;
	stream->n_tried = 0;
	stream->len = 0;
	give(stream, STREAM_BEGUN, NULL, 0);
}

static void end(struct stream *stream)
{
	if (stream->live)
		give(stream, STREAM_ENDED, NULL, 0);
	stream->live = false;
	connect_later(stream);
}

/* A part of a message; whole: its last one. */
static void receive(struct stream *stream, const char *part, size_t len, bool whole)
{
	if (stream->len + len <= EVENT_MAX) {
		memcpy(stream->event + stream->len, part, len);
		stream->len += len;
	} else {
		stream->len = EVENT_MAX + 1;
	}
	if (!whole)
		return;
	if (stream->len <= EVENT_MAX)
		give(stream, STREAM_TOLD, stream->event, stream->len);
	else
		give(stream, STREAM_LOST, NULL, 0);
	stream->len = 0;
}

/* Of the server's certificate, and of those that vouch for it. Returns 0: to be trusted, as far as the
 * library does so, too. */
static int verify(const struct stream *stream, X509_STORE_CTX *chain)
{
	X509 *certificate = X509_STORE_CTX_get_current_cert(chain);

	return X509_STORE_CTX_get_error_depth(chain) > 0 || (certificate && client_trusts(stream->client, certificate)) ? 0 : 1;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	struct lws_context *context = wsi ? lws_get_context(wsi) : NULL;
	struct stream *stream = context ? lws_context_user(context) : NULL;

	if (!stream)
		return reason == LWS_CALLBACK_OPENSSL_PERFORM_SERVER_CERT_VERIFICATION;
	switch (reason) {
	case LWS_CALLBACK_OPENSSL_PERFORM_SERVER_CERT_VERIFICATION:
		return verify(stream, user);
	case LWS_CALLBACK_CLIENT_ESTABLISHED:
		begin(stream);
		return 0;
	case LWS_CALLBACK_CLIENT_RECEIVE:
		receive(stream, in, len, lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0);
		return 0;
	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
		stream->services->log(stream->services, BERTH_LOG_DEBUG, "the cluster's events: %.*s", in ? (int)len : 0,
				      in ? (const char *)in : "");
		end(stream);
		return 0;
	case LWS_CALLBACK_CLIENT_CLOSED:
		end(stream);
		return 0;
	default:
		return lws_callback_http_dummy(wsi, reason, user, in, len);
	}
}

/* ---- The thread ---- */

static void *serve(void *data)
{
	struct stream *stream = data;

	connect_now(stream);
	while (!atomic_load(&stream->ending) && lws_service(stream->context, 0) >= 0)
		;
	return NULL;
}

static struct lws_context *make_context(struct stream *stream)
{
	static const struct lws_protocols protocols[] = {
		{ .name = "berth", .callback = on_event, .rx_buffer_size = 4096 },
		{ .name = NULL },
	};
	struct client_place place;
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN,
		.protocols = protocols,
		.user = stream,
		.gid = -1,
		.uid = -1,
		.fd_limit_per_thread = FDS_MAX,
		.timeout_secs = CONNECT_S,
		.http_proxy_address = "", /* nor that of the environment */
	};
	struct lws_context *context;
	struct sigaction on_pipe;

	client_place(stream->client, 0, &place);
	info.client_ssl_cert_filepath = place.certificate;
	info.client_ssl_private_key_filepath = place.key;
	info.client_ssl_ca_filepath = place.server_certificate;
	if (client_encrypts(stream->client))
		info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
	if (place.server_certificate)
		info.options |= LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS;
	lws_set_log_level(0, NULL);
	sigaction(SIGPIPE, NULL, &on_pipe);
	context = lws_create_context(&info);
	sigaction(SIGPIPE, &on_pipe, NULL);
	return context;
}

int stream_open(struct client *client, const struct berth_services *services, stream_take_fn *take, void *data,
		struct stream **streamp)
{
	struct stream *stream = calloc(1, sizeof *stream);
	int rc = -ENOMEM;

	if (!stream)
		return rc;
	*stream = (struct stream){ .client = client, .services = services, .take = take, .data = data };
	stream->event = malloc(EVENT_MAX);
	if (stream->event)
		stream->context = make_context(stream);
	if (stream->context)
		rc = -thread_create_quiet(&stream->thread, serve, stream);
	if (rc == 0) {
		*streamp = stream;
		return 0;
	}
	if (stream->context)
		lws_context_destroy(stream->context);
	free(stream->event);
	free(stream);
	return rc;
}

void stream_close(struct stream *stream)
{
	atomic_store(&stream->ending, true);
	lws_cancel_service(stream->context);
	pthread_join(stream->thread, NULL);
	lws_context_destroy(stream->context);
	free(stream->event);
	free(stream);
}
