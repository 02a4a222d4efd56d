/* SPDX-License-Identifier: MIT */
/* Whoever can write a record may put anything in its place: what is no regular file of a
 * bounded size is never waited for and never read to its end. */
#include "config.h"

#include "reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "record.h"

/* Opens without blocking: it may be a FIFO. A link is looked at first, since it could lead
 * to a device that is moved by being opened. */
static int open_file(int dir_fd, const char *path, bool *linkp)
{
	const int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	int fd = openat(dir_fd, path, flags | O_NOFOLLOW);
	struct stat st;

	*linkp = fd < 0 && errno == ELOOP;
	if (*linkp) {
		if (fstatat(dir_fd, path, &st, 0) < 0)
			return -errno;
		if (!S_ISREG(st.st_mode))
			return -EINVAL;
		fd = openat(dir_fd, path, flags);
	}
	return fd < 0 ? -errno : fd;
}

/* Reads a file of at most RECORD_SIZE_MAX bytes; -EFBIG where it is larger. Returns its
 * length. */
static ssize_t read_text(struct reader *reader, int fd, off_t expected)
{
	size_t len = 0;

	for (;;) {
		size_t wanted = expected >= 0 && (size_t)expected >= len ? (size_t)expected + 1 : len + 4096;
		ssize_t n;

		if (reader->size < wanted) {
			char *text = realloc(reader->text, wanted);

			if (!text)
				return -ENOMEM;
			reader->text = text;
			reader->size = wanted;
		}
		n = read(fd, reader->text + len, reader->size - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		len += (size_t)n;
		if (len > RECORD_SIZE_MAX)
			return -EFBIG;
		/* Shorter than asked for and as long as expected: that was the end. */
		if (n == 0 || (len == (size_t)expected && len < wanted))
			return (ssize_t)len;
	}
}

ssize_t reader_read(struct reader *reader, int dir_fd, const char *path, struct stat *st, bool *linkp)
{
	int fd = open_file(dir_fd, path, linkp);
	ssize_t len;

	if (fd < 0)
		return fd;
	if (fstat(fd, st) < 0)
		len = -errno;
	else if (!S_ISREG(st->st_mode) || st->st_size > RECORD_SIZE_MAX)
		len = -EINVAL;
	else
		len = read_text(reader, fd, st->st_size);
	close(fd);
	return len;
}

void reader_rest(struct reader *reader)
{
	if (reader->size > 64 << 10)
		reader_fini(reader);
}

void reader_fini(struct reader *reader)
{
	free(reader->text);
	*reader = (struct reader){ NULL, 0 };
}
