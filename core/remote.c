/* SPDX-License-Identifier: MIT */
/*
 * The way to a service. Everything goes through the batch protocol, so that an answer is
 * the same bytes here and there. Whoever answers is not trusted: an answer is bounded in
 * size and time and must be a JSON object, and what is not one is never shown.
 *
 * libcurl is loaded when a service is asked and not before: linked in, it would take
 * every other command twice the time to start.
 */
#include "config.h"

#include "core/remote.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/table.h"
#include "core/text.h"
#include "inline/json_reader.h"

enum {
	REFUSAL_MAX = 64 << 10,	   /* bytes of an answer that says why there is none */
	TOKEN_FILE_MAX = 64 << 10,
	PAUSE_FIRST_MS = 50,	   /* before a busy service is asked again; doubled each time */
	PAUSE_MAX_MS = 2000,
};

/* ---- libcurl ---- */

#define CURL_FUNCTIONS(DO)                                                                                        \
	DO(curl_global_init) DO(curl_easy_init) DO(curl_easy_setopt) DO(curl_easy_perform) DO(curl_easy_getinfo)  \
	DO(curl_easy_cleanup) DO(curl_easy_strerror) DO(curl_slist_append) DO(curl_slist_free_all) DO(curl_url)   \
	DO(curl_url_set) DO(curl_url_get) DO(curl_url_cleanup) DO(curl_free)

static struct {
#define MEMBER(name) __typeof__(name) *name;
	CURL_FUNCTIONS(MEMBER)
#undef MEMBER
} lib;

/* Its header checks the types of options by macros of the same names. */
#undef curl_easy_setopt
#undef curl_easy_getinfo

static int load_library(struct error *error)
{
	static const char file[] = "libcurl.so.4";
	void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL), *function;

	if (!handle)
		return error_set(error, -ENOSYS, "%s; a service is asked with this library: install it", dlerror());
#define FIND(name)                                                                                      \
	function = dlsym(handle, #name);                                                                \
	if (!function)                                                                                  \
		return error_set(error, -ENOSYS, "%s: no function %s; a version from 7.62 on is needed", file, #name); \
	memcpy(&lib.name, &function, sizeof function);
	CURL_FUNCTIONS(FIND)
#undef FIND
	if (lib.curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return error_set(error, -ENOSYS, "%s: it cannot be set up", file);
	return 0;
}

/* ---- Where the service is ---- */

struct remote {
	CURL *curl;
	struct curl_slist *headers;
	char *name;   /* for messages */
	char *base;   /* URL before /api/... */
	char *socket; /* NULL: none */
	unsigned timeout_s;
	char reason[CURL_ERROR_SIZE];
};

static int find_socket(struct remote *remote, const char *path, struct error *error)
{
	const size_t room = sizeof((struct sockaddr_un){ 0 }).sun_path;

	if (path[0] != '/')
		return error_set(error, -EINVAL, "unix:%.200s: an absolute path is expected", path);
	if (strlen(path) >= room)
		return error_set(error, -EINVAL, "unix:%.200s: a path of at most %zu bytes is expected", path, room - 1);
	remote->socket = strdup(path);
	remote->base = strdup("http://localhost");
	if (asprintf(&remote->name, "unix:%s", path) < 0)
		remote->name = NULL;
	return remote->socket && remote->base && remote->name ? 0 : error_set(error, -ENOMEM, "no memory");
}

static bool is_loopback(const char *host)
{
	struct in_addr v4;

	if (inet_pton(AF_INET, host, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0;
}

static bool has_part(CURLU *url, CURLUPart part)
{
	char *text = NULL;
	bool has = lib.curl_url_get(url, part, &text, 0) == CURLUE_OK;

	lib.curl_free(text);
	return has;
}

static int check_url(CURLU *url, const char *text, bool has_token, struct error *error)
{
	static const char expected[] = "http://HOST[:PORT] or https://HOST[:PORT], and a path before /api at the most, is expected";
	char *host = NULL;
	bool loopback;

	if (lib.curl_url_set(url, CURLUPART_URL, text, 0) != CURLUE_OK || has_part(url, CURLUPART_QUERY) ||
	    has_part(url, CURLUPART_FRAGMENT))
		return error_set(error, -EINVAL, "%.200s: %s", text, expected);
	/* Not repeated: it may be a secret. */
	if (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD))
		return error_set(error, -EINVAL, "a URL with a user or a password: --token-file is expected instead");
	if (lib.curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK)
		return error_set(error, -EINVAL, "%.200s: %s", text, expected);
	loopback = is_loopback(host);
	lib.curl_free(host);
	if (has_token && !loopback && strncasecmp(text, "https:", 6) != 0)
		return error_set(error, -EINVAL, "%.200s: the token would be sent for all to read; https:// is expected", text);
	return 0;
}

static int find_url(struct remote *remote, const char *text, bool has_token, struct error *error)
{
	CURLU *url = lib.curl_url();
	char *whole = NULL;
	int rc = url ? check_url(url, text, has_token, error) : -ENOMEM;

	if (rc == 0 && lib.curl_url_get(url, CURLUPART_URL, &whole, 0) == CURLUE_OK) {
		remote->base = strdup(whole);
		for (size_t len = remote->base ? strlen(remote->base) : 0; len > 0 && remote->base[len - 1] == '/';)
			remote->base[--len] = '\0';
		remote->name = remote->base ? strdup(remote->base) : NULL;
	}
	lib.curl_free(whole);
	lib.curl_url_cleanup(url);
	return rc < 0 || remote->name ? rc : error_set(error, -ENOMEM, "no memory");
}

static int find_service(struct remote *remote, const char *service, bool has_token, struct error *error)
{
	if (service[0] == '/')
		return find_socket(remote, service, error);
	if (strncmp(service, "unix:", 5) == 0)
		return find_socket(remote, service + 5, error);
	if (strncasecmp(service, "http://", 7) == 0 || strncasecmp(service, "https://", 8) == 0)
		return find_url(remote, service, has_token, error);
	return error_set(error, -EINVAL, "--connect %.200s: the absolute path of a socket, unix:PATH, http://... or "
			 "https://... is expected", service);
}

/* ---- The token ---- */

static int read_file(const char *path, char text[TOKEN_FILE_MAX + 1], struct error *error)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	size_t len = 0;
	struct stat st;
	ssize_t n = 1;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(error, -EINVAL, "--token-file %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(error, -EINVAL, "--token-file %s: a regular file is expected", path);
	if (st.st_mode & (S_IROTH | S_IWOTH))
		return error_set(error, -EINVAL, "--token-file %s: mode %04o lets everyone have it; chmod o= mends that", path,
				 (unsigned)st.st_mode & 07777);
	while (n > 0 && len <= TOKEN_FILE_MAX) {
		n = read(fd, text + len, TOKEN_FILE_MAX + 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	if (n < 0)
		return error_set(error, -EINVAL, "--token-file %s: %s", path, strerror(errno));
	if (len > TOKEN_FILE_MAX)
		return error_set(error, -EINVAL, "--token-file %s: at most %d bytes are expected", path, TOKEN_FILE_MAX);
	text[len] = '\0';
	return 0;
}

/* The last word of the first line that has one and is no comment: so the file of the
 * service, where the scope stands before the token, will do as well. */
static char *find_token(char *text)
{
	static const char space[] = " \t\r";
	char *saved = NULL, *token = NULL;

	for (char *line = strtok_r(text, "\n", &saved); line && !token; line = strtok_r(NULL, "\n", &saved)) {
		char *rest = NULL, *word = strtok_r(line, space, &rest);

		for (; word && (token || *word != '#'); word = strtok_r(NULL, space, &rest))
			token = word;
	}
	return token;
}

static int add_token(struct remote *remote, const char *path, struct error *error)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=";
	CLEANUP_FREE char *text = malloc(TOKEN_FILE_MAX + 1), *header = NULL;
	struct curl_slist *headers;
	const char *token;
	int rc = text ? read_file(path, text, error) : error_set(error, -ENOMEM, "no memory");

	if (rc < 0)
		return rc;
	token = find_token(text);
	if (!token || token[strspn(token, letters)])
		return error_set(error, -EINVAL, "--token-file %s: a line with a token of A-Z a-z 0-9 - . _ ~ + / = is expected",
				 path);
	if (asprintf(&header, "Authorization: Bearer %s", token) < 0)
		header = NULL;
	headers = header ? lib.curl_slist_append(remote->headers, header) : NULL;
	if (!headers)
		return error_set(error, -ENOMEM, "no memory");
	remote->headers = headers;
	return 0;
}

/* ---- One exchange ---- */

struct exchange {
	struct remote *remote;
	struct berth_text body;
	size_t n_sent;
	uint64_t deadline_ms;
	long code;	     /* of HTTP; 0: not known yet */
	struct buffer text;  /* an answer, as far as it is there */
	size_t searched;     /* bytes of text without a newline */
	remote_take_fn *take;
	void *context;
	int rc;		     /* why we ended it ourselves */
	struct error *error; /* with rc */
};

static void exchange_fini(struct exchange *exchange)
{
	buffer_fini(&exchange->text);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Something has moved: the other side has its full time again. */
static void renew(struct exchange *exchange)
{
	exchange->deadline_ms = now_ms() + exchange->remote->timeout_s * UINT64_C(1000);
}

static size_t send_body(char *to, size_t size, size_t n, void *context)
{
	struct exchange *exchange = context;
	size_t left = exchange->body.len - exchange->n_sent, len = size * n < left ? size * n : left;

	memcpy(to, exchange->body.ptr + exchange->n_sent, len);
	exchange->n_sent += len;
	renew(exchange);
	return len;
}

/* Called where a connection that was kept turns out to be closed: what has been sent may
 * have been carried out, so it must not be sent again. */
static int rewind_body(void *context, curl_off_t offset, int origin)
{
	const struct exchange *exchange = context;

	(void)offset, (void)origin;
	return exchange->n_sent == 0 ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

static int check_answer(struct exchange *exchange, struct berth_text answer)
{
	const char *name = exchange->remote->name;
	struct json_reader r;

	json_open(&r, answer.ptr, answer.len);
	if (json_peek(&r) == JSON_OBJECT && json_skip(&r) && json_close(&r))
		return 0;
	return error_set(exchange->error, -EPROTO, "%s: the answer is no JSON object: byte %zu: %s; is it berth serve?", name,
			 json_offset(&r) + 1, r.error ? r.error : "another type");
}

/* Hands on an answer; blank lines are none. */
static int take_line(struct exchange *exchange, struct berth_text line)
{
	int rc;

	while (line.len > 0 && (line.ptr[line.len - 1] == '\r' || line.ptr[line.len - 1] == ' '))
		line.len--;
	if (line.len == 0)
		return 0;
	rc = check_answer(exchange, line);
	if (rc == 0)
		rc = exchange->take(exchange->context, line, exchange->error);
	renew(exchange);
	return rc;
}

static int take_lines(struct exchange *exchange)
{
	struct buffer *text = &exchange->text;
	size_t begin = 0;
	char *newline;
	int rc = 0;

	while (rc == 0 && (newline = memchr(text->data + exchange->searched, '\n', text->len - exchange->searched))) {
		rc = take_line(exchange, (struct berth_text){ text->data + begin, (size_t)(newline - text->data) - begin });
		begin = exchange->searched = (size_t)(newline + 1 - text->data);
	}
	if (begin > 0) {
		memmove(text->data, text->data + begin, text->len - begin);
		buffer_cut(text, text->len - begin);
	}
	exchange->searched = text->len;
	return rc;
}

/* Where the answer does not even say why it is none. */
static int explain_stranger(const struct exchange *exchange, struct error *error)
{
	return error_set(error, -EPROTO, "%s: answered with HTTP status %ld and not as berth does; is it berth serve?",
			 exchange->remote->name, exchange->code);
}

static int receive(struct exchange *exchange, const char *data, size_t len)
{
	struct buffer *text = &exchange->text;
	int rc = 0;

	if (exchange->code == 0)
		lib.curl_easy_getinfo(exchange->remote->curl, CURLINFO_RESPONSE_CODE, &exchange->code);
	buffer_append(text, data, len);
	if (text->failed)
		return error_set(exchange->error, -ENOMEM, "no memory for an answer");
	if (exchange->code != 200)
		return text->len > REFUSAL_MAX ? explain_stranger(exchange, exchange->error) : 0;
	rc = take_lines(exchange);
	if (rc == 0 && text->len > REMOTE_ANSWER_MAX)
		rc = error_set(exchange->error, -EMSGSIZE, "%s: an answer of more than %d bytes; ask for less with --limit",
			       exchange->remote->name, REMOTE_ANSWER_MAX);
	return rc;
}

static size_t write_answer(char *data, size_t size, size_t n, void *context)
{
	struct exchange *exchange = context;

	exchange->rc = receive(exchange, data, size * n);
	return exchange->rc < 0 ? 0 : size * n;
}

/* Called whenever something moves, and each second. */
static int look_at_clock(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	const struct exchange *exchange = context;

	(void)a, (void)b, (void)c, (void)d;
	return now_ms() > exchange->deadline_ms;
}

/* ---- What can go wrong ---- */

static int explain_connect(struct remote *remote, struct error *error)
{
	long number = 0;

	lib.curl_easy_getinfo(remote->curl, CURLINFO_OS_ERRNO, &number);
	if (number == EACCES)
		return error_set(error, -EACCES, "%s: %s; the socket's group may use it", remote->name, strerror(EACCES));
	return error_set(error, -ECONNREFUSED, "no service at %s: %s; start it with berth serve", remote->name,
			 number ? strerror((int)number) : remote->reason);
}

static int explain(struct remote *remote, CURLcode code, struct error *error)
{
	const char *name = remote->name, *reason = *remote->reason ? remote->reason : lib.curl_easy_strerror(code);

	switch (code) {
	case CURLE_COULDNT_CONNECT:
		return explain_connect(remote, error);
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_ABORTED_BY_CALLBACK:
		return error_set(error, -ETIMEDOUT, "%s: no answer within %u s; --timeout gives it longer", name, remote->timeout_s);
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_SEND_FAIL_REWIND:
		return error_set(error, -ECONNRESET, "%s: the connection ended before the answer did; what was asked for may have "
				 "been carried out, look before asking again", name);
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_WEIRD_SERVER_REPLY:
		return error_set(error, -EPROTO, "%s: what answers there does not speak HTTP; is it berth serve?", name);
	case CURLE_PEER_FAILED_VERIFICATION:
		return error_set(error, -EPROTO, "%s: %s; --ca-file names who signs its certificate", name, reason);
	case CURLE_OUT_OF_MEMORY:
		return error_set(error, -ENOMEM, "no memory");
	default:
		return error_set(error, -EIO, "%s: %s", name, reason);
	}
}

static const struct {
	long code;
	const char *hint;
} refusal_hints[] = {
	{ 401, "; --token-file names the file with a token" },
	{ 403, "; a token may do what its scope says" },
	{ 429, "; try again later" },
	{ 503, "; try again later" },
};

/* Why there is no answer, as the service says it. */
static int explain_refusal(const struct exchange *exchange, struct error *error)
{
	struct berth_text text = { exchange->text.data, exchange->text.len };
	CLEANUP(buffer_fini) struct buffer line = { 0 };
	const char *hint = "";
	struct json_reader r;

	json_open(&r, text.ptr, text.len);
	if (text.len == 0 || json_peek(&r) != JSON_OBJECT || !json_skip(&r) || !json_close(&r) ||
	    !table_find(text, "error.kind").ptr)
		return explain_stranger(exchange, error);
	for (size_t i = 0; i < sizeof refusal_hints / sizeof *refusal_hints; i++)
		if (refusal_hints[i].code == exchange->code)
			hint = refusal_hints[i].hint;
	table_write_error(&line, text);
	return error_set(error, -EACCES, "%s: %.*s%s", exchange->remote->name, line.len > 300 ? 300 : (int)line.len, line.data,
			 hint);
}

/* ---- Requests ---- */

/* Sends once what the exchange holds. Returns 0 where something answered in HTTP. */
static int perform(struct exchange *exchange, const char *path, struct error *error)
{
	struct remote *remote = exchange->remote;
	CLEANUP_FREE char *url = NULL;
	CURLcode code;

	if (asprintf(&url, "%s%s", remote->base, path) < 0) {
		url = NULL;
		return error_set(error, -ENOMEM, "no memory");
	}
	remote->reason[0] = '\0';
	renew(exchange);
	lib.curl_easy_setopt(remote->curl, CURLOPT_URL, url);
	if (exchange->body.ptr) {
		lib.curl_easy_setopt(remote->curl, CURLOPT_POST, 1L);
		lib.curl_easy_setopt(remote->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)exchange->body.len);
	} else {
		lib.curl_easy_setopt(remote->curl, CURLOPT_HTTPGET, 1L);
	}
	lib.curl_easy_setopt(remote->curl, CURLOPT_READDATA, exchange);
	lib.curl_easy_setopt(remote->curl, CURLOPT_SEEKDATA, exchange);
	lib.curl_easy_setopt(remote->curl, CURLOPT_WRITEDATA, exchange);
	lib.curl_easy_setopt(remote->curl, CURLOPT_XFERINFODATA, exchange);
	code = lib.curl_easy_perform(remote->curl);
	lib.curl_easy_getinfo(remote->curl, CURLINFO_RESPONSE_CODE, &exchange->code);
	if (exchange->rc < 0)
		return exchange->rc;
	return code == CURLE_OK ? 0 : explain(remote, code, error);
}

static bool is_busy(const struct exchange *exchange)
{
	struct berth_text text = { exchange->text.data, exchange->text.len };

	return (exchange->code == 429 || exchange->code == 503) && text.len > 0 &&
	       text_is(table_find(text, "error.kind"), "\"busy\"");
}

static void pause_ms(unsigned ms)
{
	const struct timespec time = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&time, NULL);
}

/* Sends a request, again while the service is too busy to take it, and hands on what
 * it answers. */
static int request(struct remote *remote, const char *path, struct berth_text body, remote_take_fn *take,
		   void *context, struct error *error)
{
	uint64_t end = now_ms() + remote->timeout_s * UINT64_C(1000);
	unsigned pause = PAUSE_FIRST_MS;

	for (;;) {
		CLEANUP(exchange_fini) struct exchange exchange = {
			.remote = remote, .body = body, .take = take, .context = context, .error = error,
		};
		int rc = perform(&exchange, path, error);

		if (rc < 0)
			return rc;
		if (exchange.code == 200)
			return take_line(&exchange, (struct berth_text){ exchange.text.data, exchange.text.len });
		if (!is_busy(&exchange) || now_ms() + pause > end)
			return explain_refusal(&exchange, error);
		pause_ms(pause);
		pause = pause < PAUSE_MAX_MS / 2 ? pause * 2 : PAUSE_MAX_MS;
	}
}

int remote_batch(struct remote *remote, struct berth_text lines, remote_take_fn *take, void *context,
		 struct error *error)
{
	return request(remote, "/api/batch", lines, take, context, error);
}

/* The one answer that is wanted. */
struct single {
	const char *name;
	struct buffer *answer;
	size_t n;
};

static int take_single(void *context, struct berth_text answer, struct error *error)
{
	struct single *single = context;

	if (single->n++ > 0)
		return error_set(error, -EPROTO, "%s: more than one answer to one request; is it berth serve?", single->name);
	buffer_append(single->answer, answer.ptr, answer.len);
	return single->answer->failed ? error_set(error, -ENOMEM, "no memory for an answer") : 0;
}

static int request_single(struct remote *remote, const char *path, struct berth_text body, struct buffer *answer,
			  struct error *error)
{
	struct single single = { remote->name, answer, 0 };
	int rc = request(remote, path, body, take_single, &single, error);

	if (rc == 0 && single.n == 0)
		return error_set(error, -EPROTO, "%s: an empty answer; is it berth serve?", remote->name);
	return rc;
}

int remote_ask(struct remote *remote, struct berth_text line, struct buffer *answer, struct error *error)
{
	CLEANUP(buffer_fini) struct buffer body = { 0 };

	buffer_append(&body, line.ptr, line.len);
	buffer_append_char(&body, '\n');
	if (body.failed)
		return error_set(error, -ENOMEM, "no memory");
	return request_single(remote, "/api/batch", (struct berth_text){ body.data, body.len }, answer, error);
}

int remote_get(struct remote *remote, const char *path, struct buffer *answer, struct error *error)
{
	return request_single(remote, path, berth_text(NULL), answer, error);
}

int remote_post(struct remote *remote, const char *path, struct buffer *answer, struct error *error)
{
	return request_single(remote, path, berth_text(""), answer, error);
}

/* ---- Opening and closing ---- */

static int set_up(struct remote *remote, const struct remote_options *options, struct error *error)
{
	static const char *const headers[] = {
		"Content-Type: application/x-ndjson",
		"Accept: application/json",
		"Expect:", /* do not ask first whether a large request is welcome */
	};

	for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
		struct curl_slist *more = lib.curl_slist_append(remote->headers, headers[i]);

		if (!more)
			return error_set(error, -ENOMEM, "no memory");
		remote->headers = more;
	}
	remote->curl = lib.curl_easy_init();
	if (!remote->curl)
		return error_set(error, -ENOMEM, "no memory");
	lib.curl_easy_setopt(remote->curl, CURLOPT_NOSIGNAL, 1L);
	lib.curl_easy_setopt(remote->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	/* A token must reach nobody but the service. */
	lib.curl_easy_setopt(remote->curl, CURLOPT_PROXY, "");
	lib.curl_easy_setopt(remote->curl, CURLOPT_FOLLOWLOCATION, 0L);
	lib.curl_easy_setopt(remote->curl, CURLOPT_UNIX_SOCKET_PATH, remote->socket);
	lib.curl_easy_setopt(remote->curl, CURLOPT_HTTPHEADER, remote->headers);
	lib.curl_easy_setopt(remote->curl, CURLOPT_USERAGENT, "berth/" PACKAGE_VERSION);
	lib.curl_easy_setopt(remote->curl, CURLOPT_ERRORBUFFER, remote->reason);
	lib.curl_easy_setopt(remote->curl, CURLOPT_CONNECTTIMEOUT, (long)remote->timeout_s);
	lib.curl_easy_setopt(remote->curl, CURLOPT_READFUNCTION, send_body);
	lib.curl_easy_setopt(remote->curl, CURLOPT_SEEKFUNCTION, rewind_body);
	lib.curl_easy_setopt(remote->curl, CURLOPT_WRITEFUNCTION, write_answer);
	lib.curl_easy_setopt(remote->curl, CURLOPT_XFERINFOFUNCTION, look_at_clock);
	lib.curl_easy_setopt(remote->curl, CURLOPT_NOPROGRESS, 0L);
	if (options->ca_file)
		lib.curl_easy_setopt(remote->curl, CURLOPT_CAINFO, options->ca_file);
	if (options->cert_file)
		lib.curl_easy_setopt(remote->curl, CURLOPT_SSLCERT, options->cert_file);
	if (options->key_file)
		lib.curl_easy_setopt(remote->curl, CURLOPT_SSLKEY, options->key_file);
	return 0;
}

int remote_open(const struct remote_options *options, struct remote **remotep, struct error *error)
{
	struct remote *remote = calloc(1, sizeof *remote);
	int rc;

	if (!remote)
		return error_set(error, -ENOMEM, "no memory");
	rc = load_library(error);
	if (rc < 0) {
		free(remote);
		return rc;
	}
	remote->timeout_s = options->timeout_s;
	rc = find_service(remote, options->service, options->token_file, error);
	if (rc == 0 && options->token_file)
		rc = add_token(remote, options->token_file, error);
	if (rc == 0)
		rc = set_up(remote, options, error);
	if (rc < 0) {
		remote_close(remote);
		return rc;
	}
	*remotep = remote;
	return 0;
}

const char *remote_name(const struct remote *remote)
{
	return remote->name;
}

void remote_close(struct remote *remote)
{
	if (!remote)
		return;
	lib.curl_easy_cleanup(remote->curl);
	lib.curl_slist_free_all(remote->headers);
	free(remote->name);
	free(remote->base);
	free(remote->socket);
	free(remote);
}
