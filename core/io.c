/* SPDX-License-Identifier: MIT */
/* The one place that knows how a write can end early. */
#include "config.h"

#include "core/io.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

int io_write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EAGAIN) {
			struct pollfd wait = { .fd = fd, .events = POLLOUT };

			poll(&wait, 1, -1);
		} else if (n < 0 && errno != EINTR) {
			return -errno;
		} else if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}
