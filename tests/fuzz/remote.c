/* SPDX-License-Identifier: MIT */
/* The client against a service that answers anything: what it hands on is JSON, what it
 * says is one line, and a table of what it hands on drives no terminal. */
#include "config.h"

#include "core/remote.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/table.h"
#include "tests/fuzz/fuzz.h"

/* ---- The service: one connection after the other, in a thread of its own ---- */

static struct sockaddr_un address = { .sun_family = AF_UNIX };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct buffer response; /* under the lock; taken by the next connection */

/* Reads a request, whose body is as long as its head says. */
static void read_request(int fd)
{
	char request[4096] = "";
	const char *body, *length;
	size_t len = 0;
	ssize_t n;

	while (len < sizeof request - 1 && (n = recv(fd, request + len, sizeof request - 1 - len, 0)) > 0) {
		len += (size_t)n;
		request[len] = '\0';
		body = strstr(request, "\r\n\r\n");
		length = strcasestr(request, "Content-Length: ");
		if (body && (!length || len >= (size_t)(body + 4 - request) + strtoul(length + 16, NULL, 10)))
			break;
	}
}

static void *serve(void *data)
{
	int listener = *(const int *)data, fd;

	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		struct buffer out;

		read_request(fd);
		pthread_mutex_lock(&lock);
		out = response;
		response = (struct buffer){ 0 };
		pthread_mutex_unlock(&lock);
		for (size_t at = 0; at < out.len;) {
			ssize_t n = send(fd, out.data + at, out.len - at, MSG_NOSIGNAL);

			if (n <= 0)
				break;
			at += (size_t)n;
		}
		buffer_fini(&out);
		close(fd);
	}
	return NULL;
}

static pthread_t thread;
static int listener;

static void stop(void)
{
	shutdown(listener, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(listener);
	buffer_fini(&response);
}

int LLVMFuzzerInitialize(int *argcp, char ***argvp)
{
	(void)argcp, (void)argvp;
	snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", fuzz_dir());
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	FUZZ_CHECK(listener >= 0 && bind(listener, (const struct sockaddr *)&address, sizeof address) == 0);
	FUZZ_CHECK(listen(listener, 8) == 0 && pthread_create(&thread, NULL, serve, &listener) == 0);
	atexit(stop);
	return 0;
}

/* ---- What it answers ---- */

/* A response of any status whose head is in order, mostly. */
static void make_response(struct fuzz *fuzz, struct buffer *out)
{
	static const int codes[] = { 200, 200, 200, 200, 400, 401, 403, 404, 429, 500, 301, 204, 100 };
	unsigned code = fuzz_below(fuzz, sizeof codes / sizeof *codes), framing = fuzz_byte(fuzz);
	char line[128];

	snprintf(line, sizeof line, "HTTP/1.1 %d OK\r\nConnection: close\r\n", codes[code]);
	buffer_append_string(out, line);
	if (framing < 0x80)
		snprintf(line, sizeof line, "Content-Length: %zu\r\n", fuzz->left + (framing == 1) - (framing == 2));
	else
		snprintf(line, sizeof line, framing < 0xa0 ? "Transfer-Encoding: chunked\r\n" : framing < 0xb0 ? "Location: /x\r\n" : "");
	buffer_append_string(out, line);
	buffer_append_string(out, "\r\n");
	buffer_append(out, fuzz->p, fuzz->left);
}

/* ---- What is made of it ---- */

static int take(void *context, struct berth_text answer, struct error *error)
{
	struct buffer table = { 0 };

	(void)context, (void)error;
	FUZZ_CHECK(*answer.ptr && fuzz_is_json(answer));
	for (unsigned kind = TABLE_RUNTIMES; kind <= TABLE_CONFIG; kind++) {
		buffer_cut(&table, 0);
		table_write(&table, (enum table_kind)kind, answer, 80);
		table_write_failures(&table, answer);
		table_write_error(&table, answer);
		fuzz_check_plain((struct berth_text){ table.data, table.len }, "\n");
	}
	buffer_fini(&table);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct berth_text lines = BERTH_TEXT("{\"op\":\"list_runtimes\"}\n");
	const struct remote_options options = { .service = address.sun_path, .timeout_s = 30 };
	struct fuzz fuzz = { data, size };
	struct remote *remote;
	struct error error = { "" };
	struct buffer out = { 0 };
	int rc;

	if (fuzz_byte(&fuzz) == 'H')
		buffer_append(&out, data, size);
	else
		make_response(&fuzz, &out);
	pthread_mutex_lock(&lock);
	buffer_fini(&response);
	response = out;
	pthread_mutex_unlock(&lock);
	FUZZ_CHECK(remote_open(&options, &remote, &error) == 0);
	rc = remote_batch(remote, lines, take, NULL, &error);
	if (rc < 0)
		fuzz_check_plain(berth_text(error.text), "");
	remote_close(remote);
	return 0;
}
