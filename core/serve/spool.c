/* SPDX-License-Identifier: MIT */
/* The file is in TMPDIR, is gone from there before anything is in it, and goes with its descriptor. */
#include "config.h"

#include "core/serve/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/io.h"

static int open_file(void)
{
	const char *dir = secure_getenv("TMPDIR");
	char path[PATH_MAX];
	int fd;

	if (!dir || *dir != '/')
		dir = "/tmp";
	fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
	/* Not every file system can. */
	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
		snprintf(path, sizeof path, "%s/berth-batch-XXXXXX", dir);
		fd = mkostemp(path, O_CLOEXEC);
		if (fd >= 0)
			unlink(path);
	}
	return fd < 0 ? -errno : fd;
}

int spool_write(struct spool *spool, const char *data, size_t len)
{
	int rc = 0;

	if (spool->fd < 0 && spool->memory.len + len <= SPOOL_MEMORY_MAX) {
		buffer_append(&spool->memory, data, len);
		if (spool->memory.failed)
			return -ENOMEM;
		spool->len += len;
		return 0;
	}
	if (spool->fd < 0) {
		spool->fd = open_file();
		if (spool->fd < 0)
			return spool->fd;
		rc = io_write_all(spool->fd, spool->memory.data, spool->memory.len);
		buffer_fini(&spool->memory);
	}
	if (rc == 0)
		rc = io_write_all(spool->fd, data, len);
	if (rc == 0)
		spool->len += len;
	return rc;
}

ssize_t spool_read(struct spool *spool, char *data, size_t size)
{
	uint64_t left = spool->len - spool->taken;
	ssize_t n = (ssize_t)(left < size ? left : size);

	if (n > 0 && spool->fd < 0)
		memcpy(data, spool->memory.data + spool->taken, (size_t)n);
	if (n > 0 && spool->fd >= 0) {
		do
			n = pread(spool->fd, data, (size_t)n, (off_t)spool->taken);
		while (n < 0 && errno == EINTR);
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
	}
	spool->taken += (uint64_t)n;
	return n;
}

void spool_fini(struct spool *spool)
{
	buffer_fini(&spool->memory);
	if (spool->fd >= 0)
		close(spool->fd);
	*spool = (struct spool)SPOOL_INIT;
}
