/* SPDX-License-Identifier: MIT */
/* Calls on the lanes of an isolated instance whose process is an enemy: whatever it has said
 * before it is asked, late or twice, a call is answered with pushes that can be read, or with a
 * trouble. The input is what happens, a byte for each thing and what it needs behind it. */
#include "config.h"

#include "plugins/process/lanes.h"

#include <fcntl.h>
#include <unistd.h>

#include "core/services.h"
#include "inline/channel.h"
#include "tests/fuzz/fuzz.h"

enum {
	N_CALLS_MAX = 8, /* each that is not answered waits for the clock */
	ANSWER_MAX = sizeof(struct frame_answer) + 256,
};

static struct services services;
static struct frame_room room;
static int null_fd;

/* ---- Instead of a child and its keeper ---- */

uint64_t child_ready(struct child *child, uint64_t deadline_ns, struct trouble *trouble)
{
	(void)child, (void)deadline_ns, (void)trouble;
	return 1;
}

void child_lost(struct child *child, uint64_t life, const struct trouble *why)
{
	(void)child, (void)life, (void)why;
}

void child_nudge(struct child *child)
{
	(void)child;
}

void child_ended(struct child *child, uint64_t life, struct trouble *trouble)
{
	(void)child, (void)life, (void)trouble;
}

int child_cond_init(pthread_cond_t *cond)
{
	return pthread_cond_init(cond, NULL);
}

/* Nobody else is there who could change anything. */
bool child_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t deadline_ns)
{
	(void)cond, (void)lock, (void)deadline_ns;
	return false;
}

/* ---- The enemy ---- */

/* Bytes, or an answer that begins as one does. */
static size_t make_answer(char bytes[ANSWER_MAX], struct fuzz *fuzz)
{
	struct frame_answer head = { .returned = (int32_t)fuzz_byte(fuzz), .version = FRAMES_VERSION };
	struct berth_text text = fuzz_text(fuzz);
	size_t len = head.returned < 0xf0 ? sizeof head : 0;

	memcpy(bytes, &head, len);
	memcpy(bytes + len, text.ptr ? text.ptr : "", text.len);
	return len + text.len;
}

static void say(int fd, struct fuzz *fuzz)
{
	char bytes[ANSWER_MAX];
	size_t len = make_answer(bytes, fuzz);

	send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void leave_in_slot(struct slot *slot, struct fuzz *fuzz)
{
	slot->len = (uint32_t)make_answer(slot->data, fuzz);
	atomic_store(&slot->state, SLOT_FULL);
}

/* What no child of ours does: a packet that is none, or states that are not to be. */
static void break_slot(struct slot *slot, int fd, struct fuzz *fuzz)
{
	if (fuzz_byte(fuzz) % 2)
		send(fd, "F", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	slot->len = (uint32_t)fuzz_u64(fuzz);
	atomic_store(&slot->state, fuzz_below(fuzz, 6));
	atomic_store(&slot->over, fuzz_byte(fuzz) % 8 == 0);
}

/* ---- The host ---- */

/* As the pushes of an answer are read; what the last one is called. */
static void read_pushes(struct frame_reader *r)
{
	union {
		struct berth_runtime runtime;
		unsigned char room[1024];
	} object;
	uint32_t kind, before = N_FRAME_KINDS;

	while (r->p < r->end && frame_take(r, &kind, sizeof kind) && kind < N_FRAME_PUSHES) {
		if (!(kind == before ? frame_read_next : frame_read)(r, (enum frame_kind)kind, &object, &room))
			break;
		before = kind;
	}
	FUZZ_CHECK(r->p <= r->end);
}

static void ask(struct lanes *lanes, struct fuzz *fuzz)
{
	static const struct berth_worker_request request = { .size = sizeof request, .worker_id = BERTH_TEXT("w") };
	struct trouble trouble = { .kind = TROUBLE_NONE };
	struct lane_answer answer = { .lane = NULL };
	/* One whose deadline is over leaves its lane late. */
	uint64_t deadline_ns = fuzz_byte(fuzz) % 2;

	if (lanes_ask(lanes, FRAME_WORKER, &request, deadline_ns, &answer, &trouble) < 0) {
		FUZZ_CHECK(trouble.kind != TROUBLE_NONE && *trouble.text);
		fuzz_check_plain(berth_text(trouble.text), "");
		return;
	}
	FUZZ_CHECK(answer.lane);
	read_pushes(&answer.pushes);
	lanes_give_back(lanes, &answer);
}

static void live(struct lanes *lanes, struct fuzz *fuzz)
{
	struct trouble trouble = { .kind = TROUBLE_NONE };
	struct child_ends ends;
	struct channel_memory *memory;
	struct lane_answer opening;
	int rc, n_calls = 0;

	FUZZ_CHECK(lanes_speech.connect(lanes, 1, null_fd, null_fd, &ends) == 0);
	memory = channel_map(ends.fds[FRAME_MEMORY_FD]);
	FUZZ_CHECK(memory);
	FUZZ_CHECK(lanes_speech.greet(lanes, &trouble) == 0);
	say(ends.fds[FRAME_LANE_FD], fuzz);
	rc = lanes_speech.heard(lanes, &trouble);
	FUZZ_CHECK(rc >= 0 || trouble.kind != TROUBLE_NONE);
	if (lanes_opening(lanes, &opening))
		read_pushes(&opening.pushes);
	while (rc > 0 && fuzz->left > 0 && n_calls < N_CALLS_MAX) {
		unsigned i = fuzz_below(fuzz, (unsigned)(ends.n - FRAME_LANE_FD)), deed = fuzz_below(fuzz, 8);
		struct slot *slot = &memory->answers[i];
		int fd = ends.fds[FRAME_LANE_FD + i];

		if (deed < 3)
			leave_in_slot(slot, fuzz);
		else if (deed == 3)
			say(fd, fuzz), atomic_store(&slot->state, SLOT_PACKET);
		else if (deed == 4)
			shutdown(fd, SHUT_RDWR);
		else if (deed == 5)
			break_slot(slot, fd, fuzz);
		else
			ask(lanes, fuzz), n_calls++;
		lanes_speech.silent_since(lanes);
	}
	lanes_speech.part(lanes);
	lanes_speech.disconnect(lanes, &trouble);
	munmap(memory, sizeof *memory);
	for (size_t i = FRAME_MEMORY_FD; i < ends.n; i++)
		close(ends.fds[i]);
}

int LLVMFuzzerInitialize(int *argcp, char ***argvp)
{
	(void)argcp, (void)argvp;
	services_init(&services, "fuzz");
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	FUZZ_CHECK(null_fd >= 0);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz fuzz = { data, size };
	const struct frame_start head = { .size = sizeof head, .fd = FRAME_LINKED_IN, .lanes = fuzz_byte(&fuzz) % 5 };
	struct lanes *lanes = lanes_new(&services.base, (struct berth_text)BERTH_TEXT("start"), &head, 1000);

	FUZZ_CHECK(lanes);
	/* A second life has to present the same runtime. */
	live(lanes, &fuzz);
	live(lanes, &fuzz);
	lanes_free(lanes);
	return 0;
}
