/* SPDX-License-Identifier: MIT */
/* What bench_serve.sh holds berth serve against: the least that an answer over libmicrohttpd can cost. One answer,
 * made beforehand with the headers that berth's have, for whatever is asked; no token, no log, no registry.
 *
 *	bench_serve_floor FILE PORT SOCKET
 */
#include "config.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static enum MHD_Result on_request(void *data, struct MHD_Connection *connection, const char *url, const char *method,
				  const char *version, const char *body, size_t *body_lenp, void **contextp)
{
	(void)url;
	(void)method;
	(void)version;
	(void)body;
	(void)body_lenp;
	if (*contextp)
		return MHD_queue_response(connection, 200, data);
	*contextp = data;
	return MHD_YES;
}

static struct MHD_Response *read_response(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	struct MHD_Response *response;
	char *text;

	if (fd < 0 || fstat(fd, &st) < 0 || !(text = malloc((size_t)st.st_size)) || read(fd, text, (size_t)st.st_size) != st.st_size)
		return NULL;
	close(fd);
	response = MHD_create_response_from_buffer((size_t)st.st_size, text, MHD_RESPMEM_MUST_FREE);
	MHD_add_response_header(response, "Content-Type", "application/json");
	MHD_add_response_header(response, "Cache-Control", "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(response, "X-Request-Id", "00000000-00000");
	return response;
}

static struct MHD_Daemon *serve(int fd, const void *address, socklen_t len, struct MHD_Response *response)
{
	if (fd < 0 || bind(fd, address, len) < 0 || listen(fd, 1024) < 0)
		return NULL;
	return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, on_request, response,
				MHD_OPTION_LISTEN_SOCKET, fd,
				MHD_OPTION_THREAD_POOL_SIZE, (unsigned)sysconf(_SC_NPROCESSORS_ONLN) + 1,
				MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)16 << 10, MHD_OPTION_END);
}

int main(int argc, char **argv)
{
	struct sockaddr_in tcp = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_un local = { .sun_family = AF_UNIX };
	const int flags = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
	struct MHD_Response *response = argc == 4 ? read_response(argv[1]) : NULL;
	struct MHD_Daemon *daemons[2];
	sigset_t end;
	int signal;

	if (!response)
		return 2;
	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	sigprocmask(SIG_BLOCK, &end, NULL);
	tcp.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
	snprintf(local.sun_path, sizeof local.sun_path, "%s", argv[3]);
	daemons[0] = serve(socket(AF_INET, flags, 0), &tcp, sizeof tcp, response);
	daemons[1] = serve(socket(AF_UNIX, flags, 0), &local, sizeof local, response);
	if (!daemons[0] || !daemons[1])
		return 1;
	sigwait(&end, &signal);
	MHD_stop_daemon(daemons[0]);
	MHD_stop_daemon(daemons[1]);
	MHD_destroy_response(response);
	return 0;
}
