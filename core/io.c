/* SPDX-License-Identifier: MIT */
/* The one place that knows how a read or a write can end early. */
#include "config.h"

#include "core/io.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

/* Until something can be read, or written. */
static void wait_for(int fd, short events)
{
	struct pollfd wait = { .fd = fd, .events = events };

	poll(&wait, 1, -1);
}

int io_write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EAGAIN) {
			wait_for(fd, POLLOUT);
		} else if (n < 0 && errno != EINTR) {
			return -errno;
		} else if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

ssize_t io_read(int fd, struct buffer *to, size_t max)
{
	char *end = buffer_reserve(to, max);
	ssize_t n;

	if (!end)
		return -ENOMEM;
	do {
		n = read(fd, end, max);
		if (n < 0 && errno == EAGAIN)
			wait_for(fd, POLLIN);
	} while (n < 0 && (errno == EINTR || errno == EAGAIN));
	if (n < 0)
		return -errno;
	to->len += (size_t)n;
	return n;
}
