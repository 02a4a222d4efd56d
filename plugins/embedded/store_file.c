/* SPDX-License-Identifier: MIT */
/*
 * The lock is one on the directory itself: nothing is left behind that could be stale,
 * and nothing is written beside a file that is not ours. It is taken before the database
 * is looked at, since closing any descriptor of a file gives up the locks of SQLite.
 *
 * The files are made under another name and put in place whole, so that an empty or short
 * one is always damage, and never taken for a new store, which would give all numbers again.
 */
#include "config.h"

#include "store_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "sqlite_schema.h"

#define NAME "catalogue.db"
#define LOG_NAME NAME "-wal"
#define NEW_NAME NAME ".new"

#define WHAT_TO_DO "move it away, or name another directory in the option store"

/* ---- The directory ---- */

/* Syncs the directory that a path is in, so that the path stays. */
static int sync_parent(const char *path)
{
	char *parent = NULL;
	int fd = -1, rc = 0;

	if (asprintf(&parent, "%s/..", path) < 0)
		return -ENOMEM;
	fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		rc = -errno;
	if (fd >= 0)
		close(fd);
	free(parent);
	return rc;
}

static int open_dir(const char *dir, struct reason *reason)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;

	if (fd < 0 && errno == ENOENT) {
		if (mkdir(dir, 0700) < 0 && errno != EEXIST)
			return reason_set(reason, -errno, "the store %s cannot be made: %s; make it, or let this user do so",
					  dir, strerror(errno));
		rc = sync_parent(dir);
		if (rc < 0)
			return reason_set(reason, rc, "the store %s cannot be made to last: %s", dir, strerror(-rc));
		fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd < 0)
		return reason_set(reason, -errno, "the store %s cannot be opened: %s; a directory is expected that "
				  "this user may read and write", dir, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	rc = -errno;
	close(fd);
	if (rc == -EWOULDBLOCK)
		return reason_set(reason, -EBUSY, "the store %s is in use by another process or instance; end that, or "
				  "name another directory in the option store", dir);
	return reason_set(reason, rc, "the store %s cannot be locked: %s", dir, strerror(-rc));
}

static int name_files(const char *dir, struct store_file *file, struct reason *reason)
{
	char *absolute = realpath(dir, NULL);
	int rc = 0;

	if (!absolute)
		return reason_set(reason, -errno, "the store %s cannot be found: %s", dir, strerror(errno));
	if (asprintf(&file->path, "%s/" NAME, absolute) < 0)
		file->path = NULL;
	if (asprintf(&file->log, "%s/" LOG_NAME, absolute) < 0)
		file->log = NULL;
	if (!file->path || !file->log)
		rc = reason_set(reason, -ENOMEM, "no memory for the store");
	free(absolute);
	return rc;
}

/* ---- What is there ---- */

static uint32_t big_endian(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The header of a database; see the description of its format. */
static int judge_header(const struct store_file *file, const unsigned char *header, struct reason *reason)
{
	enum { USER_VERSION = 60, APPLICATION_ID = 68 };
	static const char magic[16] = "SQLite format 3";

	if (memcmp(header, magic, sizeof magic) != 0)
		return reason_set(reason, -EBADMSG, "%s is damaged or something else, it does not begin as a store does; "
				  WHAT_TO_DO, file->path);
	if (big_endian(header + APPLICATION_ID) != SCHEMA_APPLICATION_ID)
		return reason_set(reason, -EBADMSG, "%s is a database of another program; " WHAT_TO_DO, file->path);
	if (big_endian(header + USER_VERSION) > SCHEMA_VERSION)
		return reason_set(reason, -EBADMSG, "%s is of schema %u, and this is the adapter for schema %d; install a "
				  "later one, or name another directory in the option store", file->path,
				  (unsigned)big_endian(header + USER_VERSION), SCHEMA_VERSION);
	return 0;
}

/* Reads from the beginning as much as there is. */
static ssize_t read_beginning(int fd, unsigned char *to, size_t len)
{
	size_t n_read = 0;
	ssize_t n;

	do {
		n = pread(fd, to + n_read, len - n_read, (off_t)n_read);
		n_read += n > 0 ? (size_t)n : 0;
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? -1 : (ssize_t)n_read;
}

static int judge_file(const struct store_file *file, int fd, struct reason *reason)
{
	unsigned char header[100];
	struct stat st;
	ssize_t n = 0;

	if (fstat(fd, &st) < 0)
		return reason_set(reason, -errno, "%s cannot be looked at: %s", file->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return reason_set(reason, -EBADMSG, "%s is no regular file; " WHAT_TO_DO, file->path);
	if (st.st_size >= (off_t)sizeof header)
		n = read_beginning(fd, header, sizeof header);
	if (n < 0)
		return reason_set(reason, -errno, "%s cannot be read: %s", file->path, strerror(errno));
	if (n < (ssize_t)sizeof header)
		return reason_set(reason, -EBADMSG, "%s is damaged, it ends after %lld bytes; " WHAT_TO_DO, file->path,
				  (long long)st.st_size);
	return judge_header(file, header, reason);
}

/* 1: there is a store; 0: there is none. */
static int judge(struct store_file *file, struct reason *reason)
{
	struct stat st;
	int fd, rc;

	file->had_log = fstatat(file->dir_fd, LOG_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0;
	fd = openat(file->dir_fd, NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno == ELOOP)
		return reason_set(reason, -EBADMSG, "%s is a link; " WHAT_TO_DO, file->path);
	if (fd < 0 && errno == ENOENT && file->had_log)
		return reason_set(reason, -EBADMSG, "%s is missing, but what was written ahead of it is there; put it "
				  "back, or name another directory in the option store", file->path);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return reason_set(reason, -errno, "%s cannot be opened: %s; let this user read and write it", file->path,
				  strerror(errno));
	rc = judge_file(file, fd, reason);
	close(fd);
	return rc < 0 ? rc : 1;
}

/* ---- Making one ---- */

static int write_whole(int fd, const unsigned char *data, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = write(fd, data + done, len - done);

		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int sync_new(const struct store_file *file)
{
	int fd = openat(file->dir_fd, NEW_NAME, O_RDONLY | O_CLOEXEC), rc;

	if (fd < 0)
		return -errno;
	rc = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

int store_file_put(const struct store_file *file)
{
	int rc = sync_new(file);

	if (rc == 0 && (renameat(file->dir_fd, NEW_NAME, file->dir_fd, NAME) < 0 || fsync(file->dir_fd) < 0))
		rc = -errno;
	return rc;
}

void store_file_take_back(const struct store_file *file)
{
	unlinkat(file->dir_fd, NAME, 0);
	unlinkat(file->dir_fd, LOG_NAME, 0);
	unlinkat(file->dir_fd, NEW_NAME, 0);
}

static int make(const struct store_file *file, struct reason *reason)
{
	sqlite3_int64 size = 0;
	unsigned char *image = sqlite_schema_image(&size);
	int fd = -1, rc = image ? 0 : -ENOMEM;

	/* It is written ahead of from the beginning; these two bytes of the header say so. */
	if (image)
		image[18] = image[19] = 2;
	if (rc == 0 && unlinkat(file->dir_fd, NEW_NAME, 0) < 0 && errno != ENOENT)
		rc = -errno;
	if (rc == 0) {
		fd = openat(file->dir_fd, NEW_NAME, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		rc = fd < 0 ? -errno : write_whole(fd, image, (size_t)size);
	}
	if (fd >= 0 && close(fd) < 0 && rc == 0)
		rc = -errno;
	if (rc == 0)
		rc = store_file_put(file);
	sqlite3_free(image);
	if (rc < 0 && fd >= 0)
		unlinkat(file->dir_fd, NEW_NAME, 0);
	return rc < 0 ? reason_set(reason, rc, "%s cannot be made: %s", file->path, strerror(-rc)) : 0;
}

/* ---- All of it ---- */

int store_file_open(const char *dir, struct store_file *file, struct reason *reason)
{
	int rc;

	*file = (struct store_file){ .dir_fd = open_dir(dir, reason) };
	if (file->dir_fd < 0)
		return file->dir_fd;
	rc = name_files(dir, file, reason);
	if (rc == 0)
		rc = judge(file, reason);
	if (rc == 0)
		rc = make(file, reason);
	if (rc < 0)
		store_file_close(file);
	return rc < 0 ? rc : 0;
}

/* The directory at a path, locked; it may be the one that is held already. */
static int open_dir_again(const char *dir, int held_fd)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	struct stat st, held;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || fstat(held_fd, &held) < 0)
		rc = -errno;
	else if (st.st_dev == held.st_dev && st.st_ino == held.st_ino)
		rc = fcntl(held_fd, F_DUPFD_CLOEXEC, 0);
	else if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	if (rc <= 0)
		rc = -errno;
	close(fd);
	return rc;
}

int store_file_open_again(const struct store_file *lost, struct store_file *file)
{
	char *dir = strndup(lost->path, (size_t)(strrchr(lost->path, '/') - lost->path));
	struct stat st;
	int rc = 0;

	*file = (struct store_file){ .dir_fd = dir ? open_dir_again(dir, lost->dir_fd) : -ENOMEM };
	free(dir);
	if (file->dir_fd < 0)
		return file->dir_fd;
	file->path = strdup(lost->path);
	file->log = strdup(lost->log);
	if (!file->path || !file->log)
		rc = -ENOMEM;
	else if (fstatat(file->dir_fd, NAME, &st, AT_SYMLINK_NOFOLLOW) == 0 ||
		 fstatat(file->dir_fd, LOG_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0)
		rc = -EEXIST;
	else if (unlinkat(file->dir_fd, NEW_NAME, 0) < 0 && errno != ENOENT)
		rc = -errno;
	if (rc < 0)
		store_file_close(file);
	return rc;
}

void store_file_close(struct store_file *file)
{
	if (file->dir_fd >= 0)
		close(file->dir_fd);
	free(file->path);
	free(file->log);
	*file = (struct store_file){ .dir_fd = -1 };
}

int store_file_note(struct store_file *file)
{
	return stat(file->path, &file->is) < 0 || stat(file->log, &file->log_is) < 0 ? -errno : 0;
}

static bool leads_to(const char *path, const struct stat *is)
{
	struct stat st;

	return stat(path, &st) == 0 && st.st_dev == is->st_dev && st.st_ino == is->st_ino;
}

bool store_file_is_in_place(const struct store_file *file)
{
	return leads_to(file->path, &file->is) && leads_to(file->log, &file->log_is);
}

void store_file_tidy(const struct store_file *file)
{
	struct stat st;

	if (!file->had_log && fstatat(file->dir_fd, LOG_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size == 0)
		unlinkat(file->dir_fd, LOG_NAME, 0);
}
