/* SPDX-License-Identifier: MIT */
/*
 * Packets between two processes, over a SOCK_SEQPACKET socket. What is longer than a
 * packet goes as a sealed file in memory, whose descriptor comes in its place: so there
 * is no half of a message, and a large one is not copied through the socket.
 *
 * The other end may be an enemy: a file counts only once it is sealed against being
 * changed or cut short, and only up to PACKET_FILE_MAX.
 */
#ifndef BERTH_INLINE_PACKETS_H
#define BERTH_INLINE_PACKETS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	PACKET_MAX = 64 << 10,
	PACKET_FILE_MAX = 256 << 20,
	PACKET_SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE,
};

/* A packet that was received: in room, or in a file that is mapped. */
struct packet {
	const char *data;
	size_t len;
	void *map; /* NULL: it is in room */
	char room[PACKET_MAX];
};

static inline void packet_drop(struct packet *packet)
{
	if (packet->map)
		munmap(packet->map, packet->len);
	packet->map = NULL;
	packet->len = 0;
}

static inline uint64_t packet_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Waits until the socket can be read or written; deadline_ns 0: for ever. */
static inline int packet_wait(int fd, short events, uint64_t deadline_ns)
{
	struct pollfd wait = { .fd = fd, .events = events };
	int n;

	do {
		uint64_t now = deadline_ns ? packet_now_ns() : 0, left = deadline_ns > now ? deadline_ns - now : 0;
		const struct timespec timeout = { (time_t)(left / 1000000000), (long)(left % 1000000000) };

		n = ppoll(&wait, 1, deadline_ns ? &timeout : NULL, NULL);
	} while (n < 0 && errno == EINTR);
	return n > 0 ? 0 : n == 0 ? -ETIMEDOUT : -errno;
}

/* A sealed file with those bytes, or a negative errno. */
static inline int packet_file(const char *data, size_t len)
{
	int fd = memfd_create("berth-packet", MFD_CLOEXEC | MFD_ALLOW_SEALING), error;

	while (fd >= 0 && len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		data += n;
		len -= (size_t)n;
	}
	if (fd >= 0 && len == 0 && fcntl(fd, F_ADD_SEALS, PACKET_SEALS) == 0)
		return fd;
	error = errno ? errno : ENOSPC;
	if (fd >= 0)
		close(fd);
	return -error;
}

/* Sends one packet, waiting for room up to the deadline. 0 or a negative errno; -EPIPE
 * where nobody is there any more. */
static inline int packet_send(int fd, const char *data, size_t len, uint64_t deadline_ns)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	char mark = 'F';
	struct iovec whole = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };
	struct msghdr message = { .msg_iov = &whole, .msg_iovlen = 1 };
	int file = -1, rc = 0;

	if (len > PACKET_MAX) {
		struct cmsghdr *head;

		if (len > PACKET_FILE_MAX)
			return -EMSGSIZE;
		file = packet_file(data, len);
		if (file < 0)
			return file;
		whole = (struct iovec){ &mark, 1 };
		message.msg_control = control;
		message.msg_controllen = sizeof control;
		head = CMSG_FIRSTHDR(&message);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof file);
		memcpy(CMSG_DATA(head), &file, sizeof file);
	}
	/* Without a descriptor the shorter call does. */
	while ((file < 0 ? send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) :
			   sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT)) < 0) {
		if (errno == EAGAIN)
			rc = packet_wait(fd, POLLOUT, deadline_ns);
		else if (errno != EINTR)
			rc = errno == ECONNRESET ? -EPIPE : -errno;
		if (rc < 0)
			break;
	}
	if (file >= 0)
		close(file);
	return rc;
}

/* Maps what came as a file, which is closed. */
static inline int packet_map(struct packet *packet, int file)
{
	int seals = fcntl(file, F_GET_SEALS), rc = -EPROTO;
	struct stat st;

	if (seals >= 0 && (seals & PACKET_SEALS) == PACKET_SEALS && fstat(file, &st) == 0 && st.st_size > 0 &&
	    st.st_size <= PACKET_FILE_MAX) {
		packet->len = (size_t)st.st_size;
		packet->map = mmap(NULL, packet->len, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
		rc = packet->map == MAP_FAILED ? -ENOMEM : 0;
		if (rc < 0)
			packet->map = NULL;
		packet->data = (const char *)packet->map;
	}
	close(file);
	return rc;
}

/* Takes one packet if it is there: 0, -EAGAIN, -EPIPE at the end, or -EPROTO where it is
 * none of ours. flags: MSG_DONTWAIT or 0. */
static inline int packet_take(int fd, struct packet *packet, int flags)
{
	/* No room for a second descriptor: the kernel then closes it. */
	_Alignas(struct cmsghdr) char control[CMSG_LEN(sizeof(int))];
	struct iovec whole = { .iov_base = packet->room, .iov_len = sizeof packet->room };
	struct msghdr message = {
		.msg_iov = &whole, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control,
	};
	const struct cmsghdr *head;
	ssize_t n;
	int file;

	do
		n = recvmsg(fd, &message, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n == 0 || errno == ECONNRESET ? -EPIPE : -errno;
	packet->data = packet->room;
	packet->len = (size_t)n;
	packet->map = NULL;
	head = CMSG_FIRSTHDR(&message);
	if (!head)
		return message.msg_flags & MSG_TRUNC ? -EPROTO : 0;
	if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS || head->cmsg_len != CMSG_LEN(sizeof file))
		return -EPROTO;
	memcpy(&file, CMSG_DATA(head), sizeof file);
	return packet_map(packet, file);
}

/* Receives one packet up to the deadline, 0: as long as the socket waits by itself. As
 * packet_take, and -ETIMEDOUT. */
static inline int packet_receive(int fd, struct packet *packet, uint64_t deadline_ns)
{
	int rc = deadline_ns == 0 ? packet_take(fd, packet, 0) : packet_wait(fd, POLLIN, deadline_ns);

	if (deadline_ns == 0)
		return rc == -EAGAIN ? -ETIMEDOUT : rc;
	while (rc == 0 && (rc = packet_take(fd, packet, MSG_DONTWAIT)) == -EAGAIN)
		rc = packet_wait(fd, POLLIN, deadline_ns);
	return rc;
}

#endif
