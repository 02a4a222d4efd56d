/* SPDX-License-Identifier: MIT */
/*
 * HTTP by libcurl. A call is carried out by the thread that makes it, which looks every few
 * milliseconds whether somebody still waits; connections are kept between calls. Who
 * answers is not trusted: answers are bounded in size and time.
 *
 * A cluster's certificate is mostly self-signed and names none of its addresses. So that
 * TLS is verified nevertheless, the configured certificate is the only authority, and the
 * server must have its very key.
 */
#include "config.h"

#include "client.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

enum {
	SERVERS_MAX = 16,
	KEPT_MAX = 8,	      /* connections that wait for the next call */
	LOOK_MS = 25,	      /* how often is looked whether somebody waits */
	CONNECT_MS = 3000,    /* before the next server is tried */
	PIN_SIZE = 64,
};

struct server {
	char *base;   /* URL before the path */
	char *socket; /* NULL: none */
};

struct connection {
	struct connection *next;
	CURL *easy;
	CURLM *multi;
	struct curl_slist *headers;
	char error[CURL_ERROR_SIZE];
};

struct client {
	struct server servers[SERVERS_MAX];
	size_t n_servers;
	atomic_size_t good; /* the server that answered last */
	char *project, *certificate, *key, *server_certificate;
	char pin[PIN_SIZE]; /* of the server's key; "": none */
	uint64_t timeout_ms;
	atomic_int fault; /* of libcurl, that was logged; 0: it is mended */
	pthread_mutex_t lock;
	struct connection *kept;
	size_t n_kept;
};

/* ---- Opening ---- */

/* What libcurl compares the key of a server with. */
static bool pin_key(X509 *certificate, char pin[PIN_SIZE])
{
	unsigned char digest[EVP_MAX_MD_SIZE], *key = NULL;
	unsigned int len = 0;
	int key_len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &key);
	bool done = key_len > 0 && EVP_Digest(key, (size_t)key_len, digest, &len, EVP_sha256(), NULL) == 1;

	if (done)
		EVP_EncodeBlock((unsigned char *)pin + sprintf(pin, "sha256//"), digest, (int)len);
	OPENSSL_free(key);
	return done;
}

static int read_pin(const char *path, char pin[PIN_SIZE], struct reason *reason)
{
	FILE *file = fopen(path, "re");
	X509 *certificate = file ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
	int rc = 0;

	if (!certificate || !pin_key(certificate, pin))
		rc = reason_set(reason, -EINVAL, "option server_certificate: %.200s: %s", path,
				file ? "a certificate in PEM is expected" : strerror(errno));
	X509_free(certificate);
	if (file)
		fclose(file);
	return rc;
}

static int add_server(struct client *client, const char *text, size_t len, struct reason *reason)
{
	struct server *server = &client->servers[client->n_servers];
	char *address = strndup(text, len);

	if (!address)
		return reason_set(reason, -ENOMEM, "no memory");
	if (client->n_servers == SERVERS_MAX) {
		free(address);
		return reason_set(reason, -EINVAL, "option servers: at most %d are expected", SERVERS_MAX);
	}
	client->n_servers++;
	if (strncmp(address, "unix:/", 6) == 0) {
		server->socket = strdup(address + 5);
		server->base = strdup("http://localhost");
	} else {
		server->base = strdup(address);
	}
	free(address);
	if (!server->base || (strcmp(server->base, "http://localhost") == 0 && !server->socket))
		return reason_set(reason, -ENOMEM, "no memory");
	if (!server->socket && (strncmp(server->base, "https://", 8) != 0 || strpbrk(server->base + 8, "/@?#")))
		return reason_set(reason, -EINVAL, "option servers: https://HOST[:PORT] or unix:/PATH is expected, found %.200s",
				  server->base);
	return 0;
}

static int add_servers(struct client *client, const char *servers, struct reason *reason)
{
	int rc = 0;

	while (rc == 0 && *(servers += strspn(servers, " "))) {
		size_t len = strcspn(servers, " ");

		rc = add_server(client, servers, len, reason);
		servers += len;
	}
	if (rc == 0 && client->n_servers == 0)
		return reason_set(reason, -EINVAL, "option servers: https://HOST:8443 or unix:/PATH is expected, found nothing");
	return rc;
}

static bool copy(char **top, const char *text)
{
	*top = text ? strdup(text) : NULL;
	return *top || !text;
}

/* Files are looked at now, so that a wrong path is not first found when somebody asks. */
static int check_file(const char *option, const char *path, struct reason *reason)
{
	if (!path || access(path, R_OK) == 0)
		return 0;
	return reason_set(reason, -EINVAL, "option %s: %.200s: %s", option, path, strerror(errno));
}

int client_open(const struct client_options *options, struct client **clientp, struct reason *reason)
{
	struct client *client;
	int rc;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return reason_set(reason, -ENOMEM, "libcurl cannot be set up");
	client = calloc(1, sizeof *client);
	if (!client) {
		curl_global_cleanup();
		return reason_set(reason, -ENOMEM, "no memory");
	}
	pthread_mutex_init(&client->lock, NULL);
	client->timeout_ms = options->timeout_ms;
	rc = add_servers(client, options->servers, reason);
	if (rc == 0 && (!copy(&client->project, options->project) || !copy(&client->certificate, options->certificate) ||
			!copy(&client->key, options->key) || !copy(&client->server_certificate, options->server_certificate)))
		rc = reason_set(reason, -ENOMEM, "no memory");
	if (rc == 0 && !client->certificate != !client->key)
		rc = reason_set(reason, -EINVAL, "options certificate and key: both or none are expected");
	if (rc == 0)
		rc = check_file("certificate", client->certificate, reason);
	if (rc == 0)
		rc = check_file("key", client->key, reason);
	if (rc == 0 && client->server_certificate)
		rc = read_pin(client->server_certificate, client->pin, reason);
	if (rc < 0) {
		client_close(client);
		return rc;
	}
	*clientp = client;
	return 0;
}

static void connection_free(struct connection *connection)
{
	curl_easy_cleanup(connection->easy);
	if (connection->multi)
		curl_multi_cleanup(connection->multi);
	curl_slist_free_all(connection->headers);
	free(connection);
}

void client_close(struct client *client)
{
	while (client->kept) {
		struct connection *connection = client->kept;

		client->kept = connection->next;
		connection_free(connection);
	}
	for (size_t i = 0; i < client->n_servers; i++) {
		free(client->servers[i].base);
		free(client->servers[i].socket);
	}
	pthread_mutex_destroy(&client->lock);
	free(client->project);
	free(client->certificate);
	free(client->key);
	free(client->server_certificate);
	free(client);
	curl_global_cleanup();
}

/* ---- Connections ---- */

static struct connection *take_connection(struct client *client)
{
	struct connection *connection;

	pthread_mutex_lock(&client->lock);
	connection = client->kept;
	if (connection) {
		client->kept = connection->next;
		client->n_kept--;
	}
	pthread_mutex_unlock(&client->lock);
	if (connection)
		return connection;
	connection = calloc(1, sizeof *connection);
	if (!connection)
		return NULL;
	connection->easy = curl_easy_init();
	connection->multi = curl_multi_init();
	if (connection->easy && connection->multi)
		return connection;
	connection_free(connection);
	return NULL;
}

static void give_connection(struct client *client, struct connection *connection)
{
	bool keep;

	curl_easy_reset(connection->easy);
	curl_slist_free_all(connection->headers);
	connection->headers = NULL;
	pthread_mutex_lock(&client->lock);
	keep = client->n_kept < KEPT_MAX;
	if (keep) {
		connection->next = client->kept;
		client->kept = connection;
		client->n_kept++;
	}
	pthread_mutex_unlock(&client->lock);
	if (!keep)
		connection_free(connection);
}

/* ---- One request ---- */

struct exchange {
	struct connection *connection;
	struct client_reply *reply;
	size_t size; /* of reply->data */
	int rc;	     /* why we ended it ourselves */
};

static size_t take_data(char *data, size_t size, size_t n, void *context)
{
	struct exchange *exchange = context;
	struct client_reply *reply = exchange->reply;
	size_t len = size * n, room = exchange->size;
	char *more;

	if (len > CLIENT_REPLY_MAX - reply->len) {
		exchange->rc = -EMSGSIZE;
		return 0;
	}
	while (room < reply->len + len + 1)
		room = room ? room * 2 : 4096;
	more = room > exchange->size ? realloc(reply->data, room) : reply->data;
	if (!more) {
		exchange->rc = -ENOMEM;
		return 0;
	}
	exchange->size = room;
	reply->data = more;
	memcpy(reply->data + reply->len, data, len);
	reply->len += len;
	reply->data[reply->len] = '\0';
	return len;
}

/* Content-Range: bytes 3-6/11, or bytes *\/11. */
static size_t take_header(char *data, size_t size, size_t n, void *context)
{
	static const char name[] = "content-range: bytes ";
	struct exchange *exchange = context;
	char text[128];

	if (size * n < sizeof text && size * n > sizeof name && strncasecmp(data, name, sizeof name - 1) == 0) {
		const char *slash;

		snprintf(text, sizeof text, "%.*s", (int)(size * n), data);
		slash = strchr(text, '/');
		exchange->reply->first = strtoull(text + sizeof name - 1, NULL, 10);
		exchange->reply->total = slash ? strtoull(slash + 1, NULL, 10) : 0;
	}
	return size * n;
}

static bool add_header(struct connection *connection, const char *header)
{
	struct curl_slist *more = curl_slist_append(connection->headers, header);

	if (more)
		connection->headers = more;
	return more;
}

/* The names begin otherwise in the one and the other, and each passes over the other's. */
static bool add_file_headers(struct connection *connection, const struct client_request *request)
{
	static const char *const brands[] = { "Incus", "LXD" };
	char header[64];
	bool done = true;

	for (size_t i = 0; i < sizeof brands / sizeof *brands; i++) {
		snprintf(header, sizeof header, "X-%s-type: %s", brands[i], request->file_type);
		done = done && add_header(connection, header);
		snprintf(header, sizeof header, "X-%s-mode: %04o", brands[i], request->mode);
		done = done && add_header(connection, header);
	}
	return done;
}

static bool add_headers(struct connection *connection, const struct client_request *request)
{
	/* With the type that libcurl gives by itself, an empty file is stored. */
	if (!add_header(connection, request->file_type ? "Content-Type: application/octet-stream" :
							 "Content-Type: application/json"))
		return false;
	/* Large ones do not ask first whether they are welcome. */
	return add_header(connection, "Expect:") && (!request->file_type || add_file_headers(connection, request));
}

/* What could not be set, for want of memory, must not be left as it was. */
#define SET(option, value) (done = curl_easy_setopt(easy, CURLOPT_##option, value) == CURLE_OK && done)

static bool set_url(struct client *client, CURL *easy, const struct server *server, const struct client_request *request)
{
	char *project = client_escape(client->project), *url = NULL;
	bool done = project && asprintf(&url, "%s%s%cproject=%s", server->base, request->path,
					strchr(request->path, '?') ? '&' : '?', project) >= 0;

	if (done) {
		SET(URL, url);
		free(url);
	}
	free(project);
	return done;
}

static bool set_tls(struct client *client, CURL *easy)
{
	bool done = true;

	SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(SSL_VERIFYPEER, 1L);
	/* The name says nothing where the key itself is known. */
	SET(SSL_VERIFYHOST, *client->pin ? 0L : 2L);
	if (*client->pin) {
		SET(CAINFO, client->server_certificate);
		SET(CAPATH, NULL);
		SET(PINNEDPUBLICKEY, client->pin);
	}
	if (client->certificate) {
		SET(SSLCERT, client->certificate);
		SET(SSLKEY, client->key);
	}
	return done;
}

static bool set_body(CURL *easy, const struct client_request *request)
{
	char range[64];
	bool done = true;

	SET(CUSTOMREQUEST, request->method);
	if (request->body.ptr) {
		SET(POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
		SET(POSTFIELDS, request->body.ptr);
	}
	if (request->last > 0) {
		snprintf(range, sizeof range, "%" PRIu64 "-%" PRIu64, request->first, request->last);
		SET(RANGE, range);
	}
	return done;
}

static int set_up(struct client *client, struct exchange *exchange, const struct server *server,
		  const struct client_request *request)
{
	struct connection *connection = exchange->connection;
	CURL *easy = connection->easy;
	bool done = add_headers(connection, request);

	SET(NOSIGNAL, 1L);
	SET(PROXY, "");
	SET(FOLLOWLOCATION, 0L);
	SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(USERAGENT, "berth/" PACKAGE_VERSION);
	SET(ERRORBUFFER, connection->error);
	SET(CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	SET(UNIX_SOCKET_PATH, server->socket);
	SET(HTTPHEADER, connection->headers);
	SET(WRITEFUNCTION, take_data);
	SET(WRITEDATA, exchange);
	SET(HEADERFUNCTION, take_header);
	SET(HEADERDATA, exchange);
	return done && set_tls(client, easy) && set_body(easy, request) && set_url(client, easy, server, request) ? 0 : -ENOMEM;
}

/* Until when; what the caller allows and what one request may take. */
static uint64_t deadline_of(const struct client *client, struct berth_call *call, const struct client_request *request)
{
	uint64_t timeout_ms = request->timeout_ms ? request->timeout_ms : client->timeout_ms;
	uint64_t deadline = call->services->monotonic_ns(call->services) + timeout_ms * UINT64_C(1000000);

	return call->deadline_ns && call->deadline_ns < deadline && !request->persistent ? call->deadline_ns : deadline;
}

/* Drives the transfer. Returns 0 with its result, or why it was given up. */
static int drive(struct exchange *exchange, struct berth_call *call, bool persistent, uint64_t deadline_ns, CURLcode *codep)
{
	CURLM *multi = exchange->connection->multi;
	int running = 1, left;
	const CURLMsg *message;

	for (;;) {
		if (curl_multi_perform(multi, &running) != CURLM_OK)
			return -ENOMEM;
		if (!running)
			break;
		if (!persistent && call->sink->cancelled(call))
			return -ECANCELED;
		if (call->services->monotonic_ns(call->services) >= deadline_ns)
			return -ETIMEDOUT;
		if (curl_multi_poll(multi, NULL, 0, LOOK_MS, NULL) != CURLM_OK)
			return -ENOMEM;
	}
	message = curl_multi_info_read(multi, &left);
	if (!message || message->msg != CURLMSG_DONE)
		return -EPROTO;
	*codep = message->data.result;
	return 0;
}

/* What a transfer that did not end well means. Who goes on asking is told once. */
static int explain(struct client *client, struct berth_call *call, const struct exchange *exchange, CURLcode code)
{
	static const struct {
		CURLcode code;
		int rc;
	} meanings[] = {
		{ CURLE_OUT_OF_MEMORY, -ENOMEM },
		{ CURLE_COULDNT_CONNECT, -ECONNREFUSED },
		{ CURLE_COULDNT_RESOLVE_HOST, -ECONNREFUSED },
		{ CURLE_OPERATION_TIMEDOUT, -ECONNREFUSED }, /* to connect, the rest is looked at above */
		{ CURLE_GOT_NOTHING, -ECONNREFUSED },
		{ CURLE_RECV_ERROR, -ECONNREFUSED },
		{ CURLE_SEND_ERROR, -ECONNREFUSED },
		{ CURLE_SSL_CONNECT_ERROR, -ECONNREFUSED },
		{ CURLE_PEER_FAILED_VERIFICATION, -ECONNREFUSED },
		{ CURLE_SSL_PINNEDPUBKEYNOTMATCH, -ECONNREFUSED },
	};
	int rc = -EPROTO;

	for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
		if (meanings[i].code == code)
			rc = meanings[i].rc;
	if (atomic_exchange(&client->fault, (int)code) != (int)code)
		call->services->log(call->services, BERTH_LOG_WARNING, "the cluster: %s",
				    *exchange->connection->error ? exchange->connection->error : curl_easy_strerror(code));
	return rc;
}

static int ask_server(struct client *client, struct berth_call *call, const struct server *server,
		      const struct client_request *request, uint64_t deadline_ns, struct client_reply *reply)
{
	struct exchange exchange = { .connection = take_connection(client), .reply = reply };
	CURLcode code = CURLE_OK;
	int rc;

	if (!exchange.connection)
		return -ENOMEM;
	*exchange.connection->error = '\0';
	rc = set_up(client, &exchange, server, request);
	if (rc == 0 && curl_multi_add_handle(exchange.connection->multi, exchange.connection->easy) != CURLM_OK)
		rc = -ENOMEM;
	if (rc == 0) {
		rc = drive(&exchange, call, request->persistent, deadline_ns, &code);
		if (rc == 0 && code != CURLE_OK)
			rc = exchange.rc < 0 ? exchange.rc : explain(client, call, &exchange, code);
		curl_easy_getinfo(exchange.connection->easy, CURLINFO_RESPONSE_CODE, &reply->status);
		curl_multi_remove_handle(exchange.connection->multi, exchange.connection->easy);
	}
	if (rc == 0 && !reply->data)
		rc = take_data((char[]){ "" }, 1, 0, &exchange) == 0 && !reply->data ? -ENOMEM : 0;
	/* What went wrong once is not kept. */
	if (rc == 0) {
		atomic_store(&client->fault, 0);
		give_connection(client, exchange.connection);
	} else {
		connection_free(exchange.connection);
	}
	return rc;
}

int client_ask(struct client *client, struct berth_call *call, const struct client_request *request,
	       struct client_reply *reply)
{
	uint64_t deadline_ns = deadline_of(client, call, request);
	size_t first = atomic_load(&client->good);
	int rc = -ECONNREFUSED;

	if (!request->persistent && call->sink->cancelled(call))
		return -ECANCELED;
	/* All that is asked may be asked twice: it says what is to be, by name. */
	for (size_t i = 0; i < client->n_servers && rc == -ECONNREFUSED; i++) {
		size_t n = (first + i) % client->n_servers;

		client_reply_fini(reply);
		rc = ask_server(client, call, &client->servers[n], request, deadline_ns, reply);
		if (rc == 0)
			atomic_store(&client->good, n);
	}
	if (rc < 0)
		client_reply_fini(reply);
	return rc;
}

void client_reply_fini(struct client_reply *reply)
{
	free(reply->data);
	*reply = (struct client_reply){ 0 };
}

void client_place(struct client *client, size_t n, struct client_place *place)
{
	const struct server *server = &client->servers[(atomic_load(&client->good) + n) % client->n_servers];

	*place = (struct client_place){
		.base = server->base, .socket = server->socket, .project = client->project, .certificate = client->certificate,
		.key = client->key, .server_certificate = client->server_certificate,
	};
}

bool client_encrypts(const struct client *client)
{
	for (size_t i = 0; i < client->n_servers; i++)
		if (!client->servers[i].socket)
			return true;
	return false;
}

bool client_trusts(const struct client *client, X509 *certificate)
{
	char pin[PIN_SIZE];

	return !*client->pin || (pin_key(certificate, pin) && strcmp(pin, client->pin) == 0);
}

char *client_escape(const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~/";
	char *escaped = malloc(strlen(text) * 3 + 1), *to = escaped;

	for (; escaped && *text; text++)
		if (strchr(plain, *text))
			*to++ = *text;
		else
			to += sprintf(to, "%%%02X", (unsigned char)*text);
	if (escaped)
		*to = '\0';
	return escaped;
}
