/* SPDX-License-Identifier: MIT */
/* See faults.h. A call is made for real by its number, so that nothing here depends on
 * whose function comes behind ours. */
/* Its inline functions have the names of ours. */
#undef _FORTIFY_SOURCE

#include "config.h"

#include "tests/faults.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
	pthread_mutex_t lock;
	char dir[PATH_MAX], shadow_of[PATH_MAX], shadow[PATH_MAX];
	struct fault fault;
	unsigned long n_calls, n_failed;
} faults = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void lock(void)
{
	pthread_mutex_lock(&faults.lock);
}

static void unlock(void)
{
	pthread_mutex_unlock(&faults.lock);
}

/* What is forked while another thread counts goes on counting. */
__attribute__((constructor))
static void stay_whole(void)
{
	if (pthread_atfork(lock, unlock, unlock) != 0)
		abort();
}

void fault_set(const char *dir, struct fault fault)
{
	lock();
	snprintf(faults.dir, sizeof faults.dir, "%s", dir);
	faults.fault = fault;
	faults.n_calls = faults.n_failed = 0;
	unlock();
}

unsigned long fault_end(void)
{
	unsigned long n;

	lock();
	n = faults.n_failed;
	faults.fault = (struct fault){ 0 };
	unlock();
	return n;
}

unsigned long fault_count(void)
{
	unsigned long n;

	lock();
	n = faults.n_failed;
	unlock();
	return n;
}

void fault_shadow(const char *dir, const char *shadow)
{
	lock();
	snprintf(faults.shadow_of, sizeof faults.shadow_of, "%s", dir ? dir : "");
	snprintf(faults.shadow, sizeof faults.shadow, "%s", shadow ? shadow : "");
	unlock();
}

/* ---- Deciding ---- */

static bool path_of(int fd, char path[PATH_MAX])
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, PATH_MAX - 1);
	path[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return len > 0 && strncmp(path, dir, len) == 0;
}

bool fault_hits(unsigned call, const char *path, int *errorp)
{
	const struct fault *fault = &faults.fault;
	bool hit = false;

	if (!(fault->calls & call))
		return false;
	lock();
	if (fault->calls & call && (!*faults.dir || is_below(path, faults.dir))) {
		unsigned long n = faults.n_calls++;

		hit = n >= fault->n_good && n - fault->n_good < fault->n_bad;
		faults.n_failed += hit;
		if (hit)
			*errorp = fault->error;
	}
	unlock();
	return hit;
}

bool fault_hits_fd(unsigned call, int fd, int *errorp)
{
	char path[PATH_MAX];
	int type = SOCK_STREAM;
	socklen_t size = sizeof type;

	if (!(faults.fault.calls & call) || !path_of(fd, path))
		return false;
	/* A counter in memory (eventfd) does not fail, and libraries count on that. */
	if (strncmp(path, "anon_inode:", 11) == 0)
		return false;
	/* What goes in packets goes whole. */
	if (faults.fault.error == 0 && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type != SOCK_STREAM)
		return false;
	return fault_hits(call, path, errorp);
}

/* Whether a call that moves no bytes fails. */
static bool fails(unsigned call, const char *path)
{
	return fault_hits(call, path, &errno);
}

static bool fails_fd(unsigned call, int fd)
{
	return fault_hits_fd(call, fd, &errno);
}

static int fail_with(int error)
{
	errno = error;
	return -1;
}

static size_t part_of(size_t len)
{
	return (len + 1) / 2;
}

/* Copies a file that has just been synced. */
static void copy_synced(int fd)
{
	char path[PATH_MAX], to[2 * PATH_MAX], block[65536];
	const char *name;
	off_t at = 0;
	long n;
	int out;

	if (!*faults.shadow || !path_of(fd, path) || !is_below(path, faults.shadow_of))
		return;
	name = strrchr(path, '/');
	lock();
	snprintf(to, sizeof to, "%s%s", faults.shadow, name);
	out = (int)syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	while (out >= 0 && (n = syscall(SYS_pread64, fd, block, sizeof block, at)) > 0) {
		if (syscall(SYS_pwrite64, out, block, (size_t)n, at) != n)
			abort();
		at += n;
	}
	if (out >= 0)
		close(out);
	unlock();
}

/* ---- The calls ---- */

#define EXPORTED __attribute__((visibility("default")))

static bool is_for_writing(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT;
}

static int open_or_fail(int dir_fd, const char *path, int flags, mode_t mode)
{
	char dir[PATH_MAX];

	if (fails(is_for_writing(flags) ? FAULT_OPEN : FAULT_LOOK, *path != '/' && path_of(dir_fd, dir) ? dir : path))
		return -1;
	return (int)syscall(SYS_openat, dir_fd, path, flags, mode);
}

static mode_t mode_of(int flags, va_list args)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
}

#define OPEN(name, parameters, dir_fd)                                 \
	EXPORTED int name parameters;                                  \
	EXPORTED int name parameters                                   \
	{                                                              \
		va_list args;                                          \
		mode_t mode;                                           \
								       \
		va_start(args, flags);                                 \
		mode = mode_of(flags, args);                           \
		va_end(args);                                          \
		return open_or_fail(dir_fd, path, flags, mode);        \
	}

OPEN(open, (const char *path, int flags, ...), AT_FDCWD)
OPEN(open64, (const char *path, int flags, ...), AT_FDCWD)
OPEN(openat, (int dir_fd, const char *path, int flags, ...), dir_fd)
OPEN(openat64, (int dir_fd, const char *path, int flags, ...), dir_fd)

/* What a call of the C library becomes where it is built with checks. */
EXPORTED int __open_2(const char *path, int flags);
EXPORTED int __open_2(const char *path, int flags)
{
	return open_or_fail(AT_FDCWD, path, flags, 0);
}

EXPORTED int __openat_2(int dir_fd, const char *path, int flags);
EXPORTED int __openat_2(int dir_fd, const char *path, int flags)
{
	return open_or_fail(dir_fd, path, flags, 0);
}

static ssize_t write_or_fail(int fd, const void *data, size_t len, off_t at)
{
	int error;

	/* What is said of faults is wanted. */
	if (fd != STDERR_FILENO && fault_hits_fd(FAULT_WRITE, fd, &error)) {
		if (error && faults.fault.torn && at >= 0 && syscall(SYS_pwrite64, fd, data, len / 2, at) < 0)
			abort();
		if (error)
			return fail_with(error);
		len = part_of(len);
	}
	return at < 0 ? syscall(SYS_write, fd, data, len) : syscall(SYS_pwrite64, fd, data, len, at);
}

EXPORTED ssize_t write(int fd, const void *data, size_t len)
{
	return write_or_fail(fd, data, len, -1);
}

EXPORTED ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
	return write_or_fail(fd, data, len, at);
}

EXPORTED ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at)
{
	return write_or_fail(fd, data, len, at);
}

static ssize_t read_or_fail(int fd, void *data, size_t len, off_t at)
{
	int error;

	if (fault_hits_fd(FAULT_READ, fd, &error)) {
		if (error)
			return fail_with(error);
		len = part_of(len);
	}
	return at < 0 ? syscall(SYS_read, fd, data, len) : syscall(SYS_pread64, fd, data, len, at);
}

EXPORTED ssize_t read(int fd, void *data, size_t len)
{
	return read_or_fail(fd, data, len, -1);
}

EXPORTED ssize_t __read_chk(int fd, void *data, size_t len, size_t room);
EXPORTED ssize_t __read_chk(int fd, void *data, size_t len, size_t room)
{
	if (len > room)
		abort();
	return read_or_fail(fd, data, len, -1);
}

EXPORTED ssize_t pread(int fd, void *data, size_t len, off_t at)
{
	return read_or_fail(fd, data, len, at);
}

EXPORTED ssize_t pread64(int fd, void *data, size_t len, off64_t at)
{
	return read_or_fail(fd, data, len, at);
}

static int sync_or_fail(long call, int fd)
{
	int rc;

	if (fails_fd(FAULT_SYNC, fd))
		return -1;
	rc = (int)syscall(call, fd);
	if (rc == 0)
		copy_synced(fd);
	return rc;
}

EXPORTED int fsync(int fd)
{
	return sync_or_fail(SYS_fsync, fd);
}

EXPORTED int fdatasync(int fd)
{
	return sync_or_fail(SYS_fdatasync, fd);
}

EXPORTED int ftruncate64(int fd, off64_t len)
{
	return fails_fd(FAULT_TRUNCATE, fd) ? -1 : (int)syscall(SYS_ftruncate, fd, len);
}

EXPORTED int mkdir(const char *path, mode_t mode)
{
	return fails(FAULT_OPEN, path) ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

EXPORTED int rename(const char *from, const char *to)
{
	return fails(FAULT_OPEN, to) ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

EXPORTED int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	return fails_fd(FAULT_OPEN, to_fd) ? -1 : (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, 0);
}

EXPORTED int unlink(const char *path)
{
	return fails(FAULT_OPEN, path) ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

EXPORTED int unlinkat(int dir_fd, const char *path, int flags)
{
	return fails_fd(FAULT_OPEN, dir_fd) ? -1 : (int)syscall(SYS_unlinkat, dir_fd, path, flags);
}
