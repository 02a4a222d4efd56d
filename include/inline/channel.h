/* SPDX-License-Identifier: MIT */
/*
 * Questions and answers in turn between two processes, through memory that both share. Who waits
 * looks there for a while before he sleeps: so what is answered at once needs no system call. Where
 * both were on one processor it cannot be answered while he looks, so he sleeps at once; and where he
 * looked in vain, since the processors are busy or nothing happens, he does so less and less. What is
 * longer than a slot goes through a socket as a packet, and the slot tells of it behind that.
 *
 * A slot is empty, full, tells of a packet, or says that its reader sleeps at it, who has to be woken
 * then. Only its reader empties it, and only from empty does he go to sleep. What ends a channel says so in
 * both slots, so that the other end is not waited for: a process that is killed cannot, and who started it
 * does so for it. The other end may be an enemy: it can change the memory at any time, so that what is there
 * is copied before it is looked at, and who is not to wait for ever gives a deadline; and it cannot
 * shorten the memory.
 */
#ifndef BERTH_INLINE_CHANNEL_H
#define BERTH_INLINE_CHANNEL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/syscall.h>

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
	_Alignas(64) _Atomic uint32_t state; /* a futex of its reader's */
	_Atomic int32_t cpu;                 /* the processor of who has filled it last */
	_Atomic uint32_t over;               /* nothing comes behind what is in it */
	uint32_t len;
	char data[SLOT_SIZE - 16];
};

/* What both processes map. */
struct channel_memory {
	struct slot questions[FRAME_LANES_MAX], answers[FRAME_LANES_MAX];
};

struct channel {
	int fd; /* a socket as in inline/packets.h, the caller's */
	struct slot *in, *out;
	unsigned skip, n_skip; /* waits without looking: that are still to come, and behind the next one in vain */
};

/* A file with the memory, or a negative errno. */
static inline int channel_share(void)
{
	int fd = memfd_create("berth-channel", MFD_CLOEXEC | MFD_ALLOW_SEALING), error;

	if (fd >= 0 && ftruncate(fd, sizeof(struct channel_memory)) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW) == 0)
		return fd;
	error = errno;
	if (fd >= 0)
		close(fd);
	return -error;
}

/* The memory in a file; NULL with errno where it is none. */
static inline struct channel_memory *channel_map(int fd)
{
	struct stat st;
	void *memory;

	if (fstat(fd, &st) < 0)
		return NULL;
	if (st.st_size != sizeof(struct channel_memory)) {
		errno = EINVAL;
		return NULL;
	}
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

/* 64 bits for the time have a system call of their own where a long has 32. */
static inline long channel_futex(_Atomic uint32_t *at, int operation, uint32_t value, const struct timespec *until)
{
#ifdef SYS_futex_time64
	const long number = sizeof until->tv_sec > sizeof(long) ? SYS_futex_time64 : SYS_futex;
#else
	const long number = SYS_futex;
#endif

	return syscall(number, at, operation, value, until, NULL, FUTEX_BITSET_MATCH_ANY);
}

/* Sleeps at an empty slot until something happens to it, or up to the deadline; 0: for ever. */
static inline enum slot_state slot_sleep(struct slot *in, uint64_t deadline_ns)
{
	const struct timespec until = { (time_t)(deadline_ns / 1000000000), (long)(deadline_ns % 1000000000) };
	uint32_t state = SLOT_EMPTY;
	bool late = false;

	/* Where that fails it has come just now. */
	if (!atomic_compare_exchange_strong(&in->state, &state, SLOT_ASLEEP))
		return (enum slot_state)state;
	while ((state = atomic_load(&in->state)) == SLOT_ASLEEP && !late && !atomic_load(&in->over))
		late = channel_futex(&in->state, FUTEX_WAIT_BITSET, SLOT_ASLEEP, deadline_ns ? &until : NULL) < 0 &&
		       errno == ETIMEDOUT;
	if (state == SLOT_ASLEEP && atomic_compare_exchange_strong(&in->state, &state, SLOT_EMPTY))
		state = SLOT_EMPTY;
	return (enum slot_state)state;
}

static inline void slot_wake(struct slot *slot)
{
	channel_futex(&slot->state, FUTEX_WAKE, 1, NULL);
}

static inline int slot_take(struct slot *slot, struct packet *packet)
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

/* Sends bytes, waiting for room up to the deadline. What fails has not been told. As packet_send. */
static inline int channel_send(struct channel *channel, const char *data, size_t len, uint64_t deadline_ns)
{
	struct slot *out = channel->out;
	bool fits = len <= sizeof out->data;

	if (fits) {
		memcpy(out->data, data, len);
		out->len = (uint32_t)len;
	} else {
		int rc = packet_send(channel->fd, data, len, deadline_ns);

		if (rc < 0)
			return rc;
	}
	atomic_store_explicit(&out->cpu, sched_getcpu(), memory_order_relaxed);
	if (atomic_exchange(&out->state, fits ? SLOT_FULL : SLOT_PACKET) == SLOT_ASLEEP)
		slot_wake(out);
	return 0;
}

/* Receives what was sent, up to the deadline; 0: for ever. wait: else what is not there already
 * is -EAGAIN. As packet_receive. */
static inline int channel_receive(struct channel *channel, struct packet *packet, uint64_t deadline_ns, bool wait)
{
	struct slot *in = channel->in;
	enum slot_state state = wait ? channel_look(channel) : (enum slot_state)atomic_load(&in->state);
	int rc;

	if (state == SLOT_EMPTY && wait)
		state = slot_sleep(in, deadline_ns);
	switch (state) {
	case SLOT_FULL:
		return slot_take(in, packet);
	case SLOT_PACKET:
		rc = packet_take(channel->fd, packet);
		atomic_store_explicit(&in->state, SLOT_EMPTY, memory_order_release);
		return rc == -EAGAIN ? -EPROTO : rc;
	case SLOT_EMPTY:
		return atomic_load(&in->over) ? -EPIPE : wait ? -ETIMEDOUT : -EAGAIN;
	default:
		return -EPROTO;
	}
}

/* Has both ends find that nothing comes any more behind what is in a slot, whoever sleeps there. [any thread] */
static inline void slot_end(struct slot *slot)
{
	uint32_t state = SLOT_ASLEEP;

	atomic_store(&slot->over, 1);
	if (atomic_compare_exchange_strong(&slot->state, &state, SLOT_EMPTY))
		slot_wake(slot);
}

static inline void channel_end(const struct channel *channel)
{
	slot_end(channel->in);
	slot_end(channel->out);
}

#endif
