/* SPDX-License-Identifier: MIT */
/*
 * Questions and answers in turn between two processes. Where there is a second processor
 * they go through memory that both share, and who waits looks there for a while before he
 * sleeps on the socket: so what is answered at once needs no system call. Where both were on
 * one processor it cannot be answered while he looks, so he sleeps at once; and where he looked
 * in vain, since the processors are busy or nothing happens, he does so less and less. What is
 * longer than a slot goes through the socket as a packet, and so does all where no memory is
 * shared.
 *
 * A slot is empty, full, announces a packet, or says that its reader sleeps and is to be
 * woken by one of one byte; only its reader empties it, and only from empty does he go to
 * sleep. The other end may be an enemy: it can change the memory at any time, so that what
 * is there is copied before it is looked at; and it cannot shorten it.
 */
#ifndef BERTH_INLINE_CHANNEL_H
#define BERTH_INLINE_CHANNEL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdatomic.h>

#include "inline/frames.h"
#include "inline/packets.h"

enum {
	CHANNEL_LOOK_NS = 20000, /* how long is looked before sleeping */
	CHANNEL_SKIP_MAX = 1023, /* waits without looking, behind those where that was in vain */
	SLOT_SIZE = 16 << 10,
};

enum slot_state {
	SLOT_EMPTY,
	SLOT_FULL,
	SLOT_PACKET,
	SLOT_ASLEEP,
};

struct slot {
	_Alignas(64) _Atomic uint32_t state;
	_Atomic int32_t cpu; /* the processor of who has filled it last */
	uint32_t len;
	char data[SLOT_SIZE - 12];
};

/* What both processes map. */
struct channel_memory {
	struct slot questions[FRAME_LANES_MAX], answers[FRAME_LANES_MAX];
};

struct channel {
	int fd;                /* a socket as in inline/packets.h, the caller's */
	bool in_time;          /* the socket by itself waits no longer than up to the deadline */
	struct slot *in, *out; /* NULL: nothing is shared */
	bool asleep;           /* the other end will wake us */
	unsigned skip, n_skip; /* waits without looking: that are still to come, and behind the next one in vain */
};

/* A file with the memory; -1 where it is of no use, or cannot be had. */
static inline int channel_share(void)
{
	cpu_set_t set;
	int fd;

	if (sched_getaffinity(0, sizeof set, &set) < 0 || CPU_COUNT(&set) < 2)
		return -1;
	fd = memfd_create("berth-channel", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd >= 0 && ftruncate(fd, sizeof(struct channel_memory)) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* The memory in a file; NULL where it is none. */
static inline struct channel_memory *channel_map(int fd)
{
	struct stat st;
	void *memory;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size != sizeof(struct channel_memory))
		return NULL;
	memory = mmap(NULL, sizeof(struct channel_memory), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return memory == MAP_FAILED ? NULL : (struct channel_memory *)memory;
}

static inline void channel_pause(void)
{
#if defined __x86_64__ || defined __i386__
	__builtin_ia32_pause();
#elif defined __aarch64__
	__asm__ volatile("yield");
#endif
}

/* Looks until there is something in the slot or it has taken too long. */
static inline enum slot_state channel_look(struct channel *channel)
{
	uint64_t begin = 0;
	uint32_t state;
	bool vain;

	while ((state = atomic_load_explicit(&channel->in->state, memory_order_acquire)) == SLOT_EMPTY) {
		if (begin == 0 && atomic_load_explicit(&channel->in->cpu, memory_order_relaxed) == sched_getcpu())
			return SLOT_EMPTY;
		if (channel->skip > 0) {
			channel->skip--;
			return SLOT_EMPTY;
		}
		for (int i = 0; i < 8; i++)
			channel_pause();
		if (begin == 0)
			begin = packet_now_ns();
		else if (packet_now_ns() - begin > CHANNEL_LOOK_NS)
			break;
	}
	/* One who did not have the processor meanwhile finds it late, too. */
	vain = state == SLOT_EMPTY || (begin > 0 && packet_now_ns() - begin > CHANNEL_LOOK_NS);
	channel->n_skip = !vain ? 0 : channel->n_skip < CHANNEL_SKIP_MAX ? 2 * channel->n_skip + 1 : CHANNEL_SKIP_MAX;
	channel->skip = channel->n_skip;
	return (enum slot_state)state;
}

static inline int channel_take_slot(struct slot *slot, struct packet *packet)
{
	uint32_t len = *(volatile uint32_t *)&slot->len;

	if (len > sizeof slot->data)
		return -EPROTO;
	memcpy(packet->room, slot->data, len);
	packet->data = packet->room;
	packet->len = len;
	packet->map = NULL;
	atomic_store_explicit(&slot->state, SLOT_EMPTY, memory_order_release);
	return 0;
}

/* Sends bytes, waiting for room up to the deadline. As packet_send. */
static inline int channel_send(struct channel *channel, const char *data, size_t len, uint64_t deadline_ns)
{
	struct slot *out = channel->out;
	bool fits = out && len <= sizeof out->data;
	uint32_t before = SLOT_ASLEEP;
	int file = -1, rc = 0;

	if (fits) {
		memcpy(out->data, data, len);
		out->len = (uint32_t)len;
		atomic_store_explicit(&out->cpu, sched_getcpu(), memory_order_relaxed);
	} else {
		/* What fails here has been told to nobody. */
		rc = packet_prepare(data, len, &file);
		if (rc < 0)
			return rc;
	}
	if (out)
		before = atomic_exchange_explicit(&out->state, fits ? SLOT_FULL : SLOT_PACKET, memory_order_acq_rel);
	if (fits && before != SLOT_ASLEEP)
		return 0;
	rc = fits ? packet_send(channel->fd, "!", 1, deadline_ns) : packet_send_prepared(channel->fd, data, len, file, deadline_ns);
	if (rc < 0 && out && before == SLOT_ASLEEP) {
		atomic_store_explicit(&out->state, SLOT_ASLEEP, memory_order_release);
	} else if (rc < 0 && out) {
		/* He may have begun to wait for it. */
		shutdown(channel->fd, SHUT_RDWR);
		rc = -EPIPE;
	}
	return rc;
}

/* Receives what was sent, up to the deadline; 0: for ever. wait: else what is not there already
 * is -EAGAIN. As packet_receive. */
static inline int channel_receive(struct channel *channel, struct packet *packet, uint64_t deadline_ns, bool wait)
{
	struct slot *in = channel->in;
	uint32_t state = SLOT_EMPTY;
	int rc;

	if (in && !channel->asleep) {
		state = wait ? channel_look(channel) : atomic_load_explicit(&in->state, memory_order_acquire);
		if (state == SLOT_EMPTY && !wait)
			return -EAGAIN;
		/* Where that fails it has come just now. */
		if (state == SLOT_EMPTY)
			channel->asleep = atomic_compare_exchange_strong(&in->state, &state, SLOT_ASLEEP);
		if (state == SLOT_FULL)
			return channel_take_slot(in, packet);
		if (!channel->asleep && state != SLOT_PACKET)
			return -EPROTO;
	}
	rc = !wait ? packet_take(channel->fd, packet, MSG_DONTWAIT) :
		     packet_receive(channel->fd, packet, deadline_ns, deadline_ns && !channel->in_time ? MSG_DONTWAIT : 0);
	if (rc < 0 || !in)
		return rc;
	channel->asleep = false;
	if (packet->len == 1 && !packet->map)
		return atomic_load_explicit(&in->state, memory_order_acquire) == SLOT_FULL ? channel_take_slot(in, packet) :
											     -EPROTO;
	atomic_store_explicit(&in->state, SLOT_EMPTY, memory_order_release);
	return 0;
}

#endif
