/* SPDX-License-Identifier: MIT */
/* The service as it runs, on a Unix socket: the input is what a client sends on one
 * connection. What comes back is HTTP, and JSON where it says so. */
#include "config.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/log.h"
#include "core/serve/library.h"
#include "core/serve/server.h"
#include "tests/fuzz/fuzz.h"

enum { WAIT_S = 30 };

static struct service service;
static struct listeners listeners;
static struct server server;
static struct sockaddr_un address = { .sun_family = AF_UNIX };

static void stop(void)
{
	service.ending = true;
	server_quiesce(&server);
	server_close(&server);
	FUZZ_CHECK(server_stop(&server) && executor_fini(&service.executor, UINT64_MAX));
	server_fini(&server);
	listeners_fini(&listeners);
	sets_fini(&service.sets);
}

int LLVMFuzzerInitialize(int *argcp, char ***argvp)
{
	static const char *adapter_dirs[] = { FUZZ_PLUGIN_DIR };
	static struct options options = {
		.command = COMMAND_SERVE, .adapter_dirs = adapter_dirs, .n_adapter_dirs = 1, .workspace_root = "/workspace/project",
		.workspace_id = "local:fuzz", .data_dir = "", .adapters = "embedded,remote-reserved", .log_level = "error",
		.socket = address.sun_path,
	};
	static struct setup setup;
	struct error error = { "" };

	(void)argcp, (void)argvp;
	options.config_root = fuzz_dir();
	snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", fuzz_dir());
	FUZZ_CHECK(setup_load(&setup, &options) == STATUS_DONE && setup_start(&setup) == STATUS_DONE);
	FUZZ_CHECK(listeners_open(&listeners, &options, &error) == 0 && sets_init(&service.sets, &setup) == 0);
	log_set_level(BERTH_LOG_ERROR + 1);
	/* Short, since most inputs are no complete request. */
	service.timeout_ns = 50000000;
	service.max_connections = 64;
	FUZZ_CHECK(executor_init(&service.executor) == 0);
	if (library_load(&error) < 0 || server_start(&server, &service, &listeners, &options, &error) < 0)
		fuzz_wrong("%s", error.text);
	atexit(stop);
	return 0;
}

/* ---- One connection ---- */

/* Sends what the server takes. */
static void send_all(int fd, const void *data, size_t size)
{
	const char *p = data;

	while (size > 0) {
		ssize_t n = send(fd, p, size, MSG_NOSIGNAL);

		if (n < 0)
			break;
		p += n;
		size -= (size_t)n;
	}
}

/* Until something comes, or the end. What is not complete expires. */
static void wait_for(int fd)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	for (int i = 0; i < 200 * WAIT_S; i++) {
		if (poll(&wait, 1, 5) == 1)
			return;
		server_tick(&server);
	}
	fuzz_wrong("no answer, and no end of the connection, within %d s", WAIT_S);
}

/* Reads until the connection ends, or events begin, which have no end. */
static void receive(int fd, struct buffer *in)
{
	ssize_t n = 1;

	while (n > 0) {
		char *end = buffer_reserve(in, 4097);

		FUZZ_CHECK(end);
		wait_for(fd);
		n = recv(fd, end, 4096, 0);
		if (n > 0)
			in->len += (size_t)n;
		in->data[in->len] = '\0';
		if (strstr(in->data, "text/event-stream"))
			break;
	}
}

/* The value of a header in a head, which ends with an empty line; NULL: it is not there. */
static const char *find_header(const char *head, const char *name)
{
	size_t len = strlen(name);

	for (const char *line = strstr(head, "\r\n"); line && line[2] != '\r'; line = strstr(line + 2, "\r\n"))
		if (strncasecmp(line + 2, name, len) == 0)
			return line + 2 + len;
	return NULL;
}

/* Looks at the first response. no_body: it answers HEAD. */
static void check_response(struct buffer *in, bool no_body)
{
	char *end = strstr(in->data, "\r\n\r\n"), *body;
	const char *type, *length;
	size_t len;

	if (!end || strncmp(in->data, "HTTP/1.", 7) != 0 || strspn(in->data + 9, "0123456789") != 3)
		fuzz_wrong("no HTTP: %s", in->data);
	if (in->data[9] == '1')
		return; /* 100 Continue */
	body = end + 4;
	type = find_header(in->data, "Content-Type: ");
	length = find_header(in->data, "Content-Length: ");
	FUZZ_CHECK(find_header(in->data, "X-Request-Id: "));
	FUZZ_CHECK(type && type < body);
	if (no_body || strncmp(type, "application/json", 16) != 0 || !length || length > body)
		return;
	len = strtoul(length, NULL, 10);
	if (len > in->len - (size_t)(body - in->data))
		fuzz_wrong("an answer that is cut short: %s", in->data);
	while (len > 0 && body[len - 1] == '\n')
		len--;
	FUZZ_CHECK(fuzz_is_json((struct berth_text){ body, len }));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct buffer in = { 0 };

	FUZZ_CHECK(fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0);
	send_all(fd, data, size);
	send_all(fd, "\r\n\r\n", 4);
	shutdown(fd, SHUT_WR);
	receive(fd, &in);
	if (in.len > 0)
		check_response(&in, memmem(data, size, "HEAD", 4));
	buffer_fini(&in);
	server_tick(&server);
	return 0;
}
