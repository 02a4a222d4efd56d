/* SPDX-License-Identifier: MIT */
/* Both ends of a channel in one process: what is sent comes, whether its reader looks,
 * sleeps or came too late; a channel that ends lets nobody wait; and what an enemy leaves in the memory. */
#include "config.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>

#include "inline/channel.h"
#include "tests/contract.h"

struct ends {
	struct channel ours, theirs;
	struct channel_memory *memory;
};

static struct packet packet;

static void open_ends(struct ends *ends)
{
	int pair[2], fd = channel_share();

	assert_true(fd >= 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	ends->memory = channel_map(fd);
	assert_non_null(ends->memory);
	close(fd);
	ends->ours = (struct channel){ pair[0], &ends->memory->answers[0], &ends->memory->questions[0], 0, 0 };
	ends->theirs = (struct channel){ pair[1], &ends->memory->questions[0], &ends->memory->answers[0], 0, 0 };
}

static void close_ends(struct ends *ends)
{
	munmap(ends->memory, sizeof *ends->memory);
	close(ends->ours.fd);
	close(ends->theirs.fd);
}

/* Sends so many bytes one way, and sees them come. */
static void pass(struct channel *from, struct channel *to, size_t len, bool wait)
{
	char *data = malloc(len);

	assert_non_null(data);
	for (size_t i = 0; i < len; i++)
		data[i] = (char)(i * 7 + len);
	assert_int_equal(channel_send(from, data, len, 0), 0);
	assert_int_equal(channel_receive(to, &packet, wait ? packet_now_ns() + 30000000000 : 0, wait), 0);
	assert_int_equal(packet.len, len);
	assert_memory_equal(packet.data, data, len);
	packet_drop(&packet);
	free(data);
}

static void what_is_sent_comes(void **state)
{
	static const size_t fits = sizeof((struct slot *)NULL)->data;
	const size_t lens[] = { 16, fits, fits + 1, SLOT_SIZE, 1, SLOT_SIZE + 1, PACKET_MAX, PACKET_MAX + 1, 24 };
	struct ends ends;

	(void)state;
	open_ends(&ends);
	for (size_t i = 0; i < COUNT(lens); i++)
		for (int wait = 0; wait < 2; wait++) {
			pass(&ends.ours, &ends.theirs, lens[i], wait);
			pass(&ends.theirs, &ends.ours, lens[i], wait);
		}
	assert_int_equal(channel_receive(&ends.ours, &packet, 0, false), -EAGAIN);
	close_ends(&ends);
}

static void what_comes_late_is_not_lost(void **state)
{
	static const size_t lens[] = { 16, SLOT_SIZE, PACKET_MAX + 1 };
	struct ends ends;

	(void)state;
	for (size_t i = 0; i < COUNT(lens); i++) {
		open_ends(&ends);
		assert_int_equal(channel_receive(&ends.ours, &packet, packet_now_ns() + 1000000, true), -ETIMEDOUT);
		assert_int_equal(channel_receive(&ends.ours, &packet, 0, false), -EAGAIN);
		pass(&ends.theirs, &ends.ours, lens[i], false);
		pass(&ends.theirs, &ends.ours, 16, true);
		close_ends(&ends);
	}
}

/* Sends back what comes, after pauses of all lengths. */
static void *answer(void *data)
{
	struct channel *channel = data;
	struct packet *own = calloc(1, sizeof *own);

	for (unsigned i = 0; own && channel_receive(channel, own, 0, true) == 0; i++) {
		if (i % 8 == 7)
			nanosleep(&(struct timespec){ .tv_nsec = i % 64 * 1000L }, NULL);
		if (channel_send(channel, own->data, own->len, 0) < 0)
			break;
		packet_drop(own);
	}
	free(own);
	return NULL;
}

static void no_wake_is_missed(void **state)
{
	struct ends ends;
	pthread_t thread;
	char data[64];

	(void)state;
	open_ends(&ends);
	assert_int_equal(pthread_create(&thread, NULL, answer, &ends.theirs), 0);
	for (uint64_t i = 0; i < 20000; i++) {
		memcpy(data, &i, sizeof i);
		/* So that both look and sleep, at all moments. */
		if (i % 16 == 0)
			ends.ours.skip = ends.ours.n_skip = 0;
		assert_int_equal(channel_send(&ends.ours, data, 8 + i % 50, 0), 0);
		assert_int_equal(channel_receive(&ends.ours, &packet, packet_now_ns() + 30000000000, true), 0);
		assert_int_equal(packet.len, 8 + i % 50);
		assert_memory_equal(packet.data, data, packet.len);
	}
	channel_end(&ends.ours);
	assert_int_equal(channel_receive(&ends.ours, &packet, 0, true), -EPIPE);
	pthread_join(thread, NULL);
	close_ends(&ends);
}

/* Ends a channel once its other end sleeps at it. */
static void *end_of_sleep(void *data)
{
	struct ends *ends = data;

	while (atomic_load(&ends->ours.in->state) != SLOT_ASLEEP)
		sched_yield();
	channel_end(&ends->theirs);
	return NULL;
}

static void nobody_waits_at_a_channel_that_is_over(void **state)
{
	struct ends ends;
	pthread_t thread;

	(void)state;
	open_ends(&ends);
	assert_int_equal(pthread_create(&thread, NULL, end_of_sleep, &ends), 0);
	assert_int_equal(channel_receive(&ends.ours, &packet, 0, true), -EPIPE);
	pthread_join(thread, NULL);
	assert_int_equal(channel_receive(&ends.ours, &packet, 0, true), -EPIPE);
	assert_int_equal(channel_receive(&ends.ours, &packet, 0, false), -EPIPE);
	assert_int_equal(channel_receive(&ends.theirs, &packet, 0, true), -EPIPE);
	close_ends(&ends);
}

static void what_was_sent_before_the_end_still_comes(void **state)
{
	static const size_t lens[] = { 16, SLOT_SIZE, PACKET_MAX + 1 };
	struct ends ends;

	(void)state;
	for (size_t i = 0; i < COUNT(lens); i++) {
		char *data = calloc(1, lens[i]);

		assert_non_null(data);
		open_ends(&ends);
		assert_int_equal(channel_send(&ends.theirs, data, lens[i], 0), 0);
		channel_end(&ends.theirs);
		assert_int_equal(channel_receive(&ends.ours, &packet, 0, true), 0);
		assert_int_equal(packet.len, lens[i]);
		packet_drop(&packet);
		assert_int_equal(channel_receive(&ends.ours, &packet, 0, true), -EPIPE);
		close_ends(&ends);
		free(data);
	}
}

/* Wakes who sleeps at a slot as if something were in it, until he has had enough. */
static void *wake_for_nothing(void *data)
{
	struct slot *slot = data;

	while (!atomic_load(&slot->over)) {
		slot_wake(slot);
		atomic_store(&slot->state, SLOT_ASLEEP);
	}
	return NULL;
}

static void an_enemy_keeps_nobody_beyond_the_deadline(void **state)
{
	struct ends ends;
	pthread_t thread;
	uint64_t until;

	(void)state;
	open_ends(&ends);
	ends.ours.skip = 1;
	until = packet_now_ns() + 50000000;
	assert_int_equal(pthread_create(&thread, NULL, wake_for_nothing, ends.ours.in), 0);
	while (packet_now_ns() < until) {
		int rc = channel_receive(&ends.ours, &packet, until, true);

		assert_true(rc == -ETIMEDOUT || rc == -EPROTO);
	}
	atomic_store(&ends.ours.in->over, 1);
	pthread_join(thread, NULL);
	close_ends(&ends);
}

static void what_an_enemy_writes_is_refused(void **state)
{
	static const uint32_t states[] = { SLOT_FULL, SLOT_ASLEEP, 4711, SLOT_PACKET };
	struct ends ends;

	(void)state;
	for (size_t i = 0; i < COUNT(states); i++) {
		open_ends(&ends);
		ends.ours.in->len = i == 0 ? sizeof ends.ours.in->data + 1 : 8;
		ends.ours.in->state = states[i];
		assert_int_equal(channel_receive(&ends.ours, &packet, 0, true), -EPROTO);
		close_ends(&ends);
	}
}

/* Sends a file as packet_send does, or something else in its place; -1: nothing. */
static void send_descriptor(int fd, int file)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof file)] = { 0 };
	char mark = PACKET_MARK;
	struct iovec whole = { &mark, 1 };
	struct msghdr message = { .msg_iov = &whole, .msg_iovlen = 1 };

	if (file >= 0) {
		message.msg_control = control;
		message.msg_controllen = sizeof control;
		*CMSG_FIRSTHDR(&message) = (struct cmsghdr){ CMSG_LEN(sizeof file), SOL_SOCKET, SCM_RIGHTS };
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &file, sizeof file);
	}
	assert_int_equal(sendmsg(fd, &message, 0), 1);
}

static size_t n_descriptors(void)
{
	size_t n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void files_of_an_enemy_are_refused_and_closed(void **state)
{
	static const struct {
		const char *name;
		int seals; /* -1: no file */
		off_t size;
		bool twice; /* the descriptor is with the announcement */
	} rows[] = {
		{ "announced, and something else comes", -1, 0, false },
		{ "with the announcement instead of behind it", -1, 0, true },
		{ "not sealed", 0, 4096, false },
		{ "can be cut short", F_SEAL_SEAL | F_SEAL_GROW | F_SEAL_WRITE, 4096, false },
		{ "can be written", F_SEAL_SEAL | F_SEAL_GROW | F_SEAL_SHRINK, 4096, false },
		{ "empty", PACKET_SEALS, 0, false },
		{ "too long", PACKET_SEALS, (off_t)PACKET_FILE_MAX + 1, false },
	};
	struct ends ends;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		int file = memfd_create("packet", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		size_t n;

		print_message("%s\n", rows[i].name);
		open_ends(&ends);
		assert_int_equal(ftruncate(file, rows[i].size), 0);
		assert_true(rows[i].seals <= 0 || fcntl(file, F_ADD_SEALS, rows[i].seals) == 0);
		n = n_descriptors();
		send_descriptor(ends.theirs.fd, rows[i].twice ? file : -1);
		send_descriptor(ends.theirs.fd, rows[i].seals < 0 ? -1 : file);
		assert_int_equal(packet_receive(ends.ours.fd, &packet, 0), -EPROTO);
		assert_false(packet.announced);
		assert_int_equal(n_descriptors(), n);
		close(file);
		close_ends(&ends);
	}
}

static void a_file_that_comes_later_than_it_is_announced_is_not_lost(void **state)
{
	char byte = 'x';
	int file = packet_file(&byte, 1);
	struct ends ends;

	(void)state;
	open_ends(&ends);
	assert_true(file >= 0);
	send_descriptor(ends.theirs.fd, -1);
	assert_int_equal(packet_take(ends.ours.fd, &packet), -EAGAIN);
	assert_int_equal(packet_receive(ends.ours.fd, &packet, packet_now_ns() + 1000000), -ETIMEDOUT);
	send_descriptor(ends.theirs.fd, file);
	assert_int_equal(packet_take(ends.ours.fd, &packet), 0);
	assert_int_equal(packet.len, 1);
	assert_int_equal(packet.data[0], byte);
	packet_drop(&packet);
	pass(&ends.theirs, &ends.ours, SLOT_SIZE, true);
	send_descriptor(ends.theirs.fd, -1);
	shutdown(ends.theirs.fd, SHUT_RDWR);
	assert_int_equal(packet_receive(ends.ours.fd, &packet, 0), -EPIPE);
	packet.announced = false;
	close(file);
	close_ends(&ends);
}

/* Where there is no descriptor for a packet nobody has been told of it. */
static void what_cannot_be_made_ready_is_not_sent(void **state)
{
	static char large[PACKET_MAX + 1];
	struct rlimit limit, none;
	struct ends ends;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){ 0, limit.rlim_max };
	open_ends(&ends);
	setrlimit(RLIMIT_NOFILE, &none);
	assert_int_equal(channel_send(&ends.theirs, large, sizeof large, 0), -EMFILE);
	setrlimit(RLIMIT_NOFILE, &limit);
	pass(&ends.theirs, &ends.ours, 16, true);
	close_ends(&ends);
}

/* What finds no room in time has been told to nobody, either. */
static void what_finds_no_room_is_not_waited_for(void **state)
{
	static char packets[SLOT_SIZE + 1];
	struct ends ends;

	(void)state;
	open_ends(&ends);
	while (send(ends.theirs.fd, "x", 1, MSG_DONTWAIT) == 1)
		continue;
	assert_int_equal(channel_send(&ends.theirs, packets, sizeof packets, packet_now_ns() + 1000000), -ETIMEDOUT);
	while (recv(ends.ours.fd, packets, sizeof packets, MSG_DONTWAIT) == 1)
		continue;
	pass(&ends.theirs, &ends.ours, sizeof packets, true);
	close_ends(&ends);
}

static void interrupt(int number)
{
	(void)number;
}

static void a_wait_that_is_interrupted_goes_on_to_its_deadline(void **state)
{
	const struct sigaction action = { .sa_handler = interrupt }, standard = { .sa_handler = SIG_DFL };
	const struct itimerval often = { { 0, 10000 }, { 0, 10000 } }, never = { { 0, 0 }, { 0, 0 } };
	struct ends ends;
	uint64_t until;

	(void)state;
	open_ends(&ends);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	until = packet_now_ns() + 35000000;
	assert_int_equal(channel_receive(&ends.ours, &packet, until, true), -ETIMEDOUT);
	assert_true(packet_now_ns() >= until);
	until = packet_now_ns() + 35000000;
	assert_int_equal(packet_receive(ends.ours.fd, &packet, until), -ETIMEDOUT);
	assert_true(packet_now_ns() >= until);
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &standard, NULL);
	close_ends(&ends);
}

static void memory_of_another_size_is_none(void **state)
{
	int fd = memfd_create("channel", MFD_CLOEXEC);

	(void)state;
	assert_null(channel_map(-1));
	assert_null(channel_map(fd));
	assert_int_equal(ftruncate(fd, sizeof(struct channel_memory) - 1), 0);
	assert_null(channel_map(fd));
	close(fd);
	fd = channel_share();
	assert_int_equal(ftruncate(fd, 0), -1);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sent_comes),
		cmocka_unit_test(what_comes_late_is_not_lost),
		cmocka_unit_test(no_wake_is_missed),
		cmocka_unit_test(nobody_waits_at_a_channel_that_is_over),
		cmocka_unit_test(what_was_sent_before_the_end_still_comes),
		cmocka_unit_test(an_enemy_keeps_nobody_beyond_the_deadline),
		cmocka_unit_test(what_an_enemy_writes_is_refused),
		cmocka_unit_test(files_of_an_enemy_are_refused_and_closed),
		cmocka_unit_test(a_file_that_comes_later_than_it_is_announced_is_not_lost),
		cmocka_unit_test(what_cannot_be_made_ready_is_not_sent),
		cmocka_unit_test(what_finds_no_room_is_not_waited_for),
		cmocka_unit_test(a_wait_that_is_interrupted_goes_on_to_its_deadline),
		cmocka_unit_test(memory_of_another_size_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
