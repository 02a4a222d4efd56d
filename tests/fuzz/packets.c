/* SPDX-License-Identifier: MIT */
/* A channel whose other end is an enemy: whatever he sends, lends as a file or leaves in the
 * memory that both share, one who receives gets bytes that he can read, or an error; nothing
 * is kept open. The input is what he does, a byte for each deed and what it needs behind it. */
#include "config.h"

#include "inline/channel.h"

#include <stdlib.h>

#include "tests/fuzz/fuzz.h"

static struct channel_memory *memory;
static struct packet packet;
static bool in_slots; /* else all goes through the socket */
static unsigned sum; /* so that what came is read */

/* Lends a file of a few bytes. */
static void send_file(int fd, struct fuzz *fuzz)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	char mark = PACKET_MARK;
	struct iovec whole = { &mark, sizeof mark };
	struct msghdr message = {
		.msg_iov = &whole, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control,
	};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	int file = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int seals = fuzz_byte(fuzz) % 2 ? PACKET_SEALS : fuzz_byte(fuzz) % 32;
	struct berth_text text = fuzz_text(fuzz);

	FUZZ_CHECK(file >= 0 && write(file, text.ptr, text.len) == (ssize_t)text.len && fcntl(file, F_ADD_SEALS, seals) == 0);
	FUZZ_CHECK(head);
	*head = (struct cmsghdr){ CMSG_LEN(sizeof file), SOL_SOCKET, SCM_RIGHTS };
	memcpy(CMSG_DATA(head), &file, sizeof file);
	sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(file);
}

static void leave_in_memory(struct slot *slot, struct fuzz *fuzz)
{
	struct berth_text text = fuzz_text(fuzz);

	memcpy(slot->data, text.ptr ? text.ptr : "", text.len);
	slot->len = fuzz_byte(fuzz) % 2 ? (uint32_t)text.len : (uint32_t)fuzz_u64(fuzz);
	atomic_store(&slot->state, fuzz_below(fuzz, 6));
	atomic_store(&slot->over, fuzz_byte(fuzz) % 8 == 0);
}

/* Takes what is there; false where the connection is over. */
static bool receive(struct channel *channel, bool wait)
{
	int rc = in_slots ? channel_receive(channel, &packet, wait ? 1 : 0, wait) :
		 wait	  ? packet_receive(channel->fd, &packet, 1) :
			    packet_take(channel->fd, &packet);

	if (rc == -EAGAIN || rc == -ETIMEDOUT)
		return true;
	FUZZ_CHECK(rc == 0 || rc == -EPIPE || rc == -EPROTO);
	if (rc < 0)
		return false;
	FUZZ_CHECK(packet.map ? packet.len <= PACKET_FILE_MAX : packet.len <= sizeof packet.room);
	for (size_t i = 0; i < packet.len; i++)
		sum += (unsigned char)packet.data[i];
	packet_drop(&packet);
	return true;
}

/* One deed, of the enemy or of the one who receives. */
static bool act(struct channel *channel, int enemy, struct fuzz *fuzz)
{
	static char large[PACKET_MAX + 1];
	struct berth_text text;

	switch (fuzz_below(fuzz, 8)) {
	case 0:
		text = fuzz_text(fuzz);
		send(enemy, text.ptr ? text.ptr : "", text.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		return true;
	case 1:
		send(enemy, large, sizeof large - fuzz_byte(fuzz) % 2, MSG_NOSIGNAL | MSG_DONTWAIT);
		return true;
	case 2:
		send(enemy, "F", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		return true;
	case 3:
		send_file(enemy, fuzz);
		return true;
	case 4:
		leave_in_memory(&memory->answers[0], fuzz);
		return true;
	case 5:
		if (fuzz_byte(fuzz) % 8 == 0)
			shutdown(enemy, SHUT_WR);
		return true;
	case 6:
		return receive(channel, true);
	default:
		return receive(channel, false);
	}
}

int LLVMFuzzerInitialize(int *argcp, char ***argvp)
{
	(void)argcp, (void)argvp;
	memory = calloc(1, sizeof *memory);
	FUZZ_CHECK(memory);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz fuzz = { data, size };
	struct channel channel = { .in = &memory->answers[0], .out = &memory->questions[0] };
	unsigned n = fuzz_n_open();
	int pair[2];

	in_slots = fuzz_byte(&fuzz) % 2;
	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	memset(&memory->answers[0], 0, offsetof(struct slot, data));
	channel.fd = pair[0];
	packet.announced = false;
	for (int i = 0; i < 64 && fuzz.left > 0 && act(&channel, pair[1], &fuzz); i++)
		continue;
	close(pair[0]);
	close(pair[1]);
	FUZZ_CHECK(fuzz_n_open() == n);
	return 0;
}
