/* SPDX-License-Identifier: MIT */
/*
 * Packets between two processes, over a SOCK_SEQPACKET socket. What is longer than a
 * packet goes as a sealed file in memory, whose descriptor comes in its place: so there
 * is no half of a message, and a large one is not copied through the socket. It is
 * announced by a packet of its own, since looking for descriptors takes longer than all
 * the rest of receiving.
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
	PACKET_MARK = 'F', /* by itself it announces a file */
	PACKET_SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE,
};

/* A packet that was received: in room, or in a file that is mapped. */
struct packet {
	const char *data;
	size_t len;
	void *map; /* NULL: it is in room */
	bool announced; /* the next one is a file */
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

/* Behind a sending that failed: 0 where it is to be tried again. */
static inline int packet_wait_to_send(int fd, uint64_t deadline_ns)
{
	if (errno == EAGAIN)
		return packet_wait(fd, POLLOUT, deadline_ns);
	return errno == EINTR ? 0 : errno == ECONNRESET ? -EPIPE : -errno;
}

/* Announces a file and sends it. */
static inline int packet_send_file(int fd, int file, uint64_t deadline_ns)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	char mark = PACKET_MARK;
	struct iovec whole = { &mark, sizeof mark };
	struct msghdr message = {
		.msg_iov = &whole, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control,
	};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	int rc = 0;

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof file);
	memcpy(CMSG_DATA(head), &file, sizeof file);
	while (rc == 0 && send(fd, &mark, sizeof mark, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		rc = packet_wait_to_send(fd, deadline_ns);
	if (rc < 0)
		return rc;
	while (rc == 0 && sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		rc = packet_wait_to_send(fd, deadline_ns);
	/* What was announced and does not come would leave nothing in its place. */
	if (rc < 0)
		shutdown(fd, SHUT_RDWR);
	return rc < 0 ? -EPIPE : 0;
}

/* Sends one packet, which is not PACKET_MARK alone, waiting for room up to the deadline. 0 or a
 * negative errno; -EPIPE where nobody is there any more. */
static inline int packet_send(int fd, const char *data, size_t len, uint64_t deadline_ns)
{
	int file, rc = 0;

	if (len > PACKET_FILE_MAX)
		return -EMSGSIZE;
	if (len > PACKET_MAX) {
		file = packet_file(data, len);
		if (file < 0)
			return file;
		rc = packet_send_file(fd, file, deadline_ns);
		close(file);
		return rc;
	}
	while (rc == 0 && send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		rc = packet_wait_to_send(fd, deadline_ns);
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

/* Takes the file that was announced, if it is there. */
static inline int packet_take_file(int fd, struct packet *packet)
{
	/* No room for a second descriptor: the kernel then closes it. */
	_Alignas(struct cmsghdr) char control[CMSG_LEN(sizeof(int))];
	char mark;
	struct iovec whole = { &mark, sizeof mark };
	struct msghdr message = {
		.msg_iov = &whole, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control,
	};
	const struct cmsghdr *head;
	ssize_t n;
	int file;

	do
		n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n == 0 || errno == ECONNRESET ? -EPIPE : -errno;
	packet->announced = false;
	head = CMSG_FIRSTHDR(&message);
	if (!head || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS ||
	    head->cmsg_len != CMSG_LEN(sizeof file))
		return -EPROTO;
	memcpy(&file, CMSG_DATA(head), sizeof file);
	return packet_map(packet, file);
}

/* Takes one packet if it is there: 0, -EAGAIN, -EPIPE at the end, or -EPROTO where it is
 * none of ours. Of a socket, all go to one struct packet. */
static inline int packet_take(int fd, struct packet *packet)
{
	ssize_t n;

	if (packet->announced)
		return packet_take_file(fd, packet);
	do
		n = recv(fd, packet->room, sizeof packet->room, MSG_DONTWAIT | MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n == 0 || errno == ECONNRESET ? -EPIPE : -errno;
	if ((size_t)n > sizeof packet->room)
		return -EPROTO;
	packet->announced = n == 1 && packet->room[0] == PACKET_MARK;
	if (packet->announced)
		return packet_take_file(fd, packet);
	packet->data = packet->room;
	packet->len = (size_t)n;
	packet->map = NULL;
	return 0;
}

/* Receives one packet up to the deadline, 0: for ever. As packet_take, and -ETIMEDOUT. */
static inline int packet_receive(int fd, struct packet *packet, uint64_t deadline_ns)
{
	int rc;

	while ((rc = packet_take(fd, packet)) == -EAGAIN) {
		rc = packet_wait(fd, POLLIN, deadline_ns);
		if (rc < 0)
			break;
	}
	return rc;
}

#endif
