/* SPDX-License-Identifier: MIT */
/* A Unix socket stays as a file when its program dies. Only connecting tells whether somebody still listens, and no two
 * programs may find out at once: so its directory is locked from looking to listening. */
#include "config.h"

#include "core/serve/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/cleanup.h"

enum {
	BACKLOG = 1024,
	FIRST_INHERITED = 3,
};

static struct listener *add(struct listeners *listeners, struct error *error)
{
	if (listeners->n == LISTENERS_MAX) {
		error_set(error, -E2BIG, "at most %d sockets to listen on are expected", LISTENERS_MAX);
		return NULL;
	}
	listeners->list[listeners->n] = (struct listener){ .fd = -1 };
	return &listeners->list[listeners->n++];
}

/* ---- TCP ---- */

/* Fills in what a TCP address is called, and says whether it is one of the loopback. */
static bool name_tcp(struct listener *listener, const struct sockaddr_storage *address)
{
	char text[INET6_ADDRSTRLEN] = "";

	listener->tcp = true;
	if (address->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

		inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof text);
		snprintf(listener->host, sizeof listener->host, "[%s]", text);
		snprintf(listener->name, sizeof listener->name, "[%s]:%u", text, ntohs(in6->sin6_port));
		return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
	}
	if (address->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)address;

		inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
		snprintf(listener->host, sizeof listener->host, "%s", text);
		snprintf(listener->name, sizeof listener->name, "%s:%u", text, ntohs(in->sin_port));
		return ntohl(in->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	}
	return false;
}

/* What TCP wants beside a socket. */
static int check_tcp(const struct listener *listener, bool loopback, const struct options *options, struct error *error)
{
	if (!options->token_file)
		return error_set(error, -EACCES, "%s: TCP wants bearer tokens; give --token-file", listener->name);
	if (!loopback && !options->tls_cert)
		return error_set(error, -EACCES, "%s: an address of the loopback is expected, or --tls-cert and --tls-key",
				 listener->name);
	return 0;
}

/* Splits ADDRESS:PORT or [ADDRESS]:PORT in its place. */
static bool split_address(char *text, char **addressp, char **portp)
{
	char *colon = strrchr(text, ':');

	if (!colon || colon == text || !colon[1])
		return false;
	*colon = '\0';
	*portp = colon + 1;
	*addressp = text;
	if (*text == '[') {
		if (colon[-1] != ']')
			return false;
		colon[-1] = '\0';
		*addressp = text + 1;
	}
	return strspn(*portp, "0123456789") == strlen(*portp) && strlen(*portp) <= 5 && strtoul(*portp, NULL, 10) <= 65535;
}

static int open_tcp(struct listeners *listeners, const char *where, const struct options *options, struct error *error)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE };
	CLEANUP_FREE char *text = strdup(where);
	struct listener *listener = add(listeners, error);
	struct sockaddr_storage address;
	socklen_t len = sizeof address;
	struct addrinfo *info = NULL;
	char *host, *port;
	bool loopback;
	int rc;

	if (!listener)
		return -E2BIG;
	if (!text || !split_address(text, &host, &port) || getaddrinfo(host, port, &hints, &info) != 0)
		return error_set(error, -EINVAL, "--listen %.80s: ADDRESS:PORT is expected, with a numeric address", where);
	memcpy(&address, info->ai_addr, info->ai_addrlen);
	loopback = name_tcp(listener, &address);
	rc = check_tcp(listener, loopback, options, error);
	if (rc == 0) {
		listener->fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (listener->fd < 0 || setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)) < 0 ||
		    bind(listener->fd, info->ai_addr, info->ai_addrlen) < 0 || listen(listener->fd, BACKLOG) < 0 ||
		    getsockname(listener->fd, (struct sockaddr *)&address, &len) < 0)
			rc = error_set(error, -errno, "%s: %s", listener->name, strerror(errno));
		else
			name_tcp(listener, &address);
	}
	freeaddrinfo(info);
	return rc;
}

/* ---- Unix sockets ---- */

/* Whether somebody listens there; says who. */
static bool is_served(const struct sockaddr_un *address, pid_t *pidp)
{
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct ucred peer;
	socklen_t len = sizeof peer;

	/* A queue that is full has somebody who listens, too. */
	if (fd < 0 || (connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 && errno != EAGAIN))
		return false;
	*pidp = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 ? peer.pid : 0;
	return true;
}

/* Removes a socket that nobody listens on. */
static int remove_stale(const struct sockaddr_un *address, struct error *error)
{
	const char *path = address->sun_path;
	struct stat st;
	pid_t pid;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : error_set(error, -errno, "%s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return error_set(error, -EEXIST, "%s: a socket, or nothing, is expected there", path);
	if (is_served(address, &pid))
		return error_set(error, -EADDRINUSE, "%s: already served by process %d; end it, or give another --socket", path, pid);
	if (unlink(path) < 0)
		return error_set(error, -errno, "%s: a stale socket cannot be removed: %s", path, strerror(errno));
	return 0;
}

static int bind_unix(struct listener *listener, const struct sockaddr_un *address, struct error *error)
{
	struct stat st;
	int rc = remove_stale(address, error);

	if (rc < 0)
		return rc;
	listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Nobody can connect before it listens, so the mode is in time. */
	if (listener->fd < 0 || bind(listener->fd, (const struct sockaddr *)address, sizeof *address) < 0 ||
	    chmod(address->sun_path, 0660) < 0 || listen(listener->fd, BACKLOG) < 0 || lstat(address->sun_path, &st) < 0)
		return error_set(error, -errno, "%s: %s", address->sun_path, strerror(errno));
	listener->device = st.st_dev;
	listener->inode = st.st_ino;
	listener->path = strdup(address->sun_path);
	return listener->path ? 0 : error_set(error, -ENOMEM, "no memory");
}

static int open_unix(struct listeners *listeners, const char *path, struct error *error)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct listener *listener = add(listeners, error);
	char dir[sizeof address.sun_path];
	CLEANUP_CLOSE int dir_fd = -1;
	char *slash;

	if (!listener)
		return -E2BIG;
	if (strlen(path) >= sizeof address.sun_path || !*path)
		return error_set(error, -ENAMETOOLONG, "%s: a path of 1 to %zu bytes is expected of a socket", path,
				 sizeof address.sun_path - 1);
	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	snprintf(listener->name, sizeof listener->name, "%s", path);
	snprintf(dir, sizeof dir, "%s", path);
	slash = strrchr(dir, '/');
	if (slash)
		slash[slash == dir] = '\0';
	dir_fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0 || flock(dir_fd, LOCK_EX) < 0)
		return error_set(error, -errno, "%s: its directory: %s", path, strerror(errno));
	return bind_unix(listener, &address, error);
}

/* Where systemd, or else the session, has a place for it. Who listens on TCP can do without. */
static int open_default(struct listeners *listeners, struct error *error)
{
	const char *runtime = secure_getenv("RUNTIME_DIRECTORY"), *xdg = secure_getenv("XDG_RUNTIME_DIR");
	char path[PATH_MAX];

	if (runtime && *runtime == '/') {
		snprintf(path, sizeof path, "%.*s/berth.sock", (int)strcspn(runtime, ":"), runtime);
		return open_unix(listeners, path, error);
	}
	if ((!xdg || *xdg != '/') && listeners->n > 0)
		return 0;
	if (!xdg || *xdg != '/')
		return error_set(error, -ENOENT, "neither RUNTIME_DIRECTORY nor XDG_RUNTIME_DIR is set; give --socket");
	snprintf(path, sizeof path, "%s/berth", xdg);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return error_set(error, -errno, "%s: %s", path, strerror(errno));
	snprintf(path, sizeof path, "%s/berth/berth.sock", xdg);
	return open_unix(listeners, path, error);
}

void listener_remove_file(struct listener *listener)
{
	struct stat st;

	if (listener->path && lstat(listener->path, &st) == 0 && st.st_dev == listener->device && st.st_ino == listener->inode)
		unlink(listener->path);
	free(STEAL(listener->path));
}

/* ---- Inherited ---- */

static int take_inherited(struct listeners *listeners, int fd, const struct options *options, struct error *error)
{
	struct listener *listener = add(listeners, error);
	struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof address, type_len = sizeof(int);
	int type = 0, listens = 0, flags = fcntl(fd, F_GETFL);
	bool loopback;

	if (!listener)
		return -E2BIG;
	if (flags < 0 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) < 0 || type != SOCK_STREAM ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &type_len) < 0 || !listens ||
	    getsockname(fd, (struct sockaddr *)&address, &len) < 0)
		return error_set(error, -EINVAL, "inherited descriptor %d: a stream socket that listens is expected", fd);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	listener->fd = fd;
	loopback = name_tcp(listener, &address);
	listener->tcp = address.ss_family != AF_UNIX;
	if (listener->tcp)
		return check_tcp(listener, loopback, options, error);
	snprintf(listener->name, sizeof listener->name, "%.*s (inherited)", (int)sizeof listener->name - 16,
		 ((const struct sockaddr_un *)&address)->sun_path);
	return 0;
}

/* By the protocol of sd_listen_fds(3). */
static int open_inherited(struct listeners *listeners, const struct options *options, struct error *error)
{
	const char *pid = secure_getenv("LISTEN_PID"), *count = secure_getenv("LISTEN_FDS");
	long n = count ? strtol(count, NULL, 10) : 0;
	int rc = 0;

	if (!pid || strtol(pid, NULL, 10) != getpid() || n <= 0 || n > LISTENERS_MAX)
		n = 0;
	for (int i = 0; i < n && rc == 0; i++)
		rc = take_inherited(listeners, FIRST_INHERITED + i, options, error);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return rc;
}

/* ---- All of them ---- */

int listeners_open(struct listeners *listeners, const struct options *options, struct error *error)
{
	int rc = open_inherited(listeners, options, error);

	for (size_t i = 0; i < options->n_listen && rc == 0; i++)
		rc = open_tcp(listeners, options->listen[i], options, error);
	if (rc == 0 && options->socket)
		rc = open_unix(listeners, options->socket, error);
	else if (rc == 0 && listeners->n == options->n_listen)
		rc = open_default(listeners, error);
	return rc;
}

void listeners_fini(struct listeners *listeners)
{
	for (size_t i = 0; i < listeners->n; i++) {
		listener_remove_file(&listeners->list[i]);
		if (listeners->list[i].fd >= 0)
			close(listeners->list[i].fd);
	}
	listeners->n = 0;
}
