/* SPDX-License-Identifier: MIT */
/* Faults for a program that knows nothing of them: faults.c and the allocations of the
 * conformance suite, made a library that is loaded before all others. What happens before main
 * and after it is the C library's and is left alone, as are programs that are started. */
#undef _FORTIFY_SOURCE

#include "config.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "core/conformance/allocations.h"
#include "tests/fault_order.h"

#define EXPORTED __attribute__((visibility("default")))

static struct fault_order *order;
static pid_t ordered; /* the process that main began in */

/* The next function of a name; its type is that of where it is put. */
static void find(const char *name, void *functionp)
{
	*(void **)functionp = dlsym(RTLD_NEXT, name);
	if (!*(void **)functionp)
		abort();
}

static bool fails(unsigned call)
{
	return fault_hits(call, "", &errno);
}

/* ---- Main and its end ---- */

/* Adds what has failed in this process since it was added last; what is forked adds its own. */
static void account(void)
{
	static atomic_ulong n_told;
	unsigned long n = fault_count() + allocations_failed();

	if (!order)
		return;
	order->n_failed += n - atomic_exchange(&n_told, n);
	if (getpid() == ordered)
		order->ended = true;
}

EXPORTED void _exit(int status)
{
	account();
	for (;;)
		syscall(SYS_exit_group, status);
}

EXPORTED int execve(const char *path, char *const arguments[], char *const variables[])
{
	account();
	return (int)syscall(SYS_execve, path, arguments, variables);
}

EXPORTED int execv(const char *path, char *const arguments[])
{
	return execve(path, arguments, environ);
}

static int (*real_main)(int argc, char **argv, char **environment);

static void take_order(const char *path)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
	void *memory = fd < 0 ? MAP_FAILED : (void *)syscall(SYS_mmap, NULL, sizeof *order, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0L);

	if (memory == MAP_FAILED)
		abort();
	close(fd);
	order = memory;
	ordered = getpid();
	/* What it starts has calls of its own. */
	unsetenv("BERTH_FAULT_ORDER");
	unsetenv("LD_PRELOAD");
}

/* Whether it is code of the program or an adapter, or of what allocates for these. */
static bool is_own(const void *caller)
{
	const char *name;
	Dl_info info;

	if (!dladdr(caller, &info) || !info.dli_fname)
		return false;
	name = strrchr(info.dli_fname, '/');
	name = name ? name + 1 : info.dli_fname;
	return (strncmp(name, "lib", 3) != 0 && strncmp(name, "ld-", 3) != 0) || strncmp(name, "libc.", 5) == 0 ||
	       strncmp(name, "libcjson.", 9) == 0;
}

/* Others that it comes into, such as valgrind's launcher, have no faults. */
static bool is_ours(void)
{
	static const char name[] = "/berth";
	char path[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", path, sizeof path);

	return len >= (ssize_t)sizeof name - 1 && memcmp(path + len - (sizeof name - 1), name, sizeof name - 1) == 0;
}

static int main_with_faults(int argc, char **argv, char **environment)
{
	const char *path = getenv("BERTH_FAULT_ORDER");
	int status;

	if (!path || !is_ours())
		return real_main(argc, argv, environment);
	take_order(path);
	fault_set("", order->fault);
	if (order->own_allocations)
		allocations_count_only(is_own);
	allocations_count_all(true);
	allocations_fail_at(order->nth_allocation, order->all_allocations);
	status = real_main(argc, argv, environment);
	allocations_count_all(false);
	fault_end();
	account();
	return status;
}

typedef int start_fn(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void), void (*fini)(void),
		     void (*rtld_fini)(void), void *stack_end);

EXPORTED start_fn __libc_start_main;
EXPORTED int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void),
			       void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
	start_fn *next;

	find("__libc_start_main", &next);
	real_main = main;
	return next(main_with_faults, argc, argv, init, fini, rtld_fini, stack_end);
}

/* ---- Files and memory ---- */

#define OPEN_STREAM(name)                                       \
	EXPORTED FILE *name(const char *path, const char *mode) \
	{                                                       \
		static FILE *(*next)(const char *, const char *); \
								\
		if (!next)                                      \
			find(#name, &next);                     \
		return fails(FAULT_LOOK) ? NULL : next(path, mode); \
	}

OPEN_STREAM(fopen)
OPEN_STREAM(fopen64)

EXPORTED DIR *opendir(const char *path)
{
	static DIR *(*next)(const char *);

	if (!next)
		find("opendir", &next);
	return fails(FAULT_LOOK) ? NULL : next(path);
}

EXPORTED DIR *fdopendir(int fd)
{
	static DIR *(*next)(int);

	if (!next)
		find("fdopendir", &next);
	return fails(FAULT_LOOK) ? NULL : next(fd);
}

/* An end that comes early is told from a failure by errno alone. */
#define READ_DIRECTORY(name, type)                     \
	EXPORTED struct type *name(DIR *dir)           \
	{                                              \
		static struct type *(*next)(DIR *);    \
						       \
		if (!next)                             \
			find(#name, &next);            \
		return fails(FAULT_LIST) ? NULL : next(dir); \
	}

READ_DIRECTORY(readdir, dirent)
READ_DIRECTORY(readdir64, dirent64)

#define MAP(name, offset)                                                                  \
	EXPORTED void *name(void *at, size_t len, int protection, int flags, int fd, offset begin)  \
	{                                                                                  \
		if (fails(FAULT_MAP))                                                      \
			return MAP_FAILED;                                                 \
		return (void *)syscall(SYS_mmap, at, len, protection, flags, fd, begin);   \
	}

MAP(mmap, off_t)
MAP(mmap64, off64_t)

/* ---- Processes and threads ---- */

EXPORTED pid_t fork(void)
{
	static pid_t (*next)(void);

	if (!next)
		find("fork", &next);
	return fails(FAULT_PROCESS) ? -1 : next();
}

#define SPAWN(name)                                                                                             \
	EXPORTED int name(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,             \
			  const posix_spawnattr_t *attributes, char *const arguments[], char *const variables[]) \
	{                                                                                                       \
		static __typeof__(name) *next;                                                                  \
														\
		if (!next)                                                                                      \
			find(#name, &next);                                                                     \
		return fails(FAULT_PROCESS) ? errno : next(pid, path, actions, attributes, arguments, variables); \
	}

SPAWN(posix_spawn)
SPAWN(posix_spawnp)

EXPORTED int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
	static __typeof__(pthread_create) *next;

	if (!next)
		find("pthread_create", &next);
	return fails(FAULT_PROCESS) ? errno : next(thread, attributes, start, argument);
}

/* ---- Descriptors and sockets ---- */

#define DESCRIPTOR(name, parameters, number, ...) \
	EXPORTED int name parameters              \
	{                                         \
		return fails(FAULT_SOCKET) ? -1 : (int)syscall(number, __VA_ARGS__); \
	}

DESCRIPTOR(socket, (int domain, int type, int protocol), SYS_socket, domain, type, protocol)
DESCRIPTOR(socketpair, (int domain, int type, int protocol, int fds[2]), SYS_socketpair, domain, type, protocol, fds)
DESCRIPTOR(connect, (int fd, const struct sockaddr *to, socklen_t len), SYS_connect, fd, to, len)
DESCRIPTOR(bind, (int fd, const struct sockaddr *to, socklen_t len), SYS_bind, fd, to, len)
DESCRIPTOR(listen, (int fd, int n), SYS_listen, fd, n)
DESCRIPTOR(accept4, (int fd, struct sockaddr *from, socklen_t *lenp, int flags), SYS_accept4, fd, from, lenp, flags)
DESCRIPTOR(accept, (int fd, struct sockaddr *from, socklen_t *lenp), SYS_accept4, fd, from, lenp, 0)
DESCRIPTOR(pipe2, (int fds[2], int flags), SYS_pipe2, fds, flags)
DESCRIPTOR(pipe, (int fds[2]), SYS_pipe2, fds, 0)
DESCRIPTOR(eventfd, (unsigned value, int flags), SYS_eventfd2, value, flags)
DESCRIPTOR(epoll_create1, (int flags), SYS_epoll_create1, flags)
DESCRIPTOR(dup2, (int fd, int to), SYS_dup3, fd, to, 0)

/* Bytes that go or come; the length may be shortened. */
#define TRANSFER(call, fd, len)                                 \
	do {                                                    \
		int error;                                      \
								\
		if (fault_hits_fd(call, fd, &error)) {          \
			errno = error;                          \
			if (error)                              \
				return -1;                      \
			len = (len + 1) / 2;                    \
		}                                               \
	} while (0)

EXPORTED ssize_t sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *to, socklen_t to_len)
{
	TRANSFER(FAULT_WRITE, fd, len);
	return syscall(SYS_sendto, fd, data, len, flags, to, to_len);
}

EXPORTED ssize_t send(int fd, const void *data, size_t len, int flags)
{
	TRANSFER(FAULT_WRITE, fd, len);
	return syscall(SYS_sendto, fd, data, len, flags, NULL, 0L);
}

EXPORTED ssize_t recv(int fd, void *data, size_t len, int flags)
{
	TRANSFER(FAULT_READ, fd, len);
	return syscall(SYS_recvfrom, fd, data, len, flags, NULL, NULL);
}

EXPORTED ssize_t recvfrom(int fd, void *data, size_t len, int flags, struct sockaddr *from, socklen_t *from_lenp)
{
	TRANSFER(FAULT_READ, fd, len);
	return syscall(SYS_recvfrom, fd, data, len, flags, from, from_lenp);
}

EXPORTED ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct msghdr part = *message;
	struct iovec first = part.msg_iovlen > 0 ? part.msg_iov[0] : (struct iovec){ NULL, 0 };
	size_t whole = first.iov_len;

	TRANSFER(FAULT_WRITE, fd, first.iov_len);
	if (first.iov_len < whole) {
		part.msg_iov = &first;
		part.msg_iovlen = 1;
	}
	return syscall(SYS_sendmsg, fd, &part, flags);
}

EXPORTED ssize_t writev(int fd, const struct iovec *parts, int n)
{
	struct iovec first = n > 0 ? parts[0] : (struct iovec){ NULL, 0 };
	size_t whole = first.iov_len;

	TRANSFER(FAULT_WRITE, fd, first.iov_len);
	return first.iov_len < whole ? syscall(SYS_writev, fd, &first, 1) : syscall(SYS_writev, fd, parts, n);
}

/* ---- The clock ---- */

EXPORTED int clock_gettime(clockid_t clock, struct timespec *time)
{
	static atomic_ulong n_readings;
	int rc = (int)syscall(SYS_clock_gettime, clock, time);

	if (rc == 0 && clock == CLOCK_REALTIME && order && order->nth_reading > 0 && ++n_readings >= order->nth_reading) {
		time->tv_sec += order->clock_step_s;
		if (!order->ended && n_readings == order->nth_reading)
			order->n_failed++;
	}
	return rc;
}
