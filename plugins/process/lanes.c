/* SPDX-License-Identifier: MIT */
/*
 * Who calls takes a lane, sends, and waits on it himself: no thread stands between him
 * and the child. A lane whose answer is late is not used until that answer has come, so
 * answers need no numbers, and one that comes late is never taken for another. That somebody
 * had less time than others is no fault of the child's: for as long as an answer may take,
 * others wait for it, too.
 */
#include "config.h"

#include "lanes.h"

#include <stdlib.h>
#include <unistd.h>

#include "bytes.h"
#include "inline/channel.h"

enum {
	CLOSE_NS = 100000000, /* a tenth of a second until lanes that are being left are closed once more */
};

struct lane {
	struct channel channel;
	bool busy;
	uint64_t late_ns; /* an answer is due since then, that its caller does not wait for any more; 0: none is */
	uint64_t due_ns;  /* until when it may come, whatever deadline its caller had */
	struct bytes question;
	struct packet *packet;
};

struct lanes {
	const struct berth_services *services;
	struct child *child;
	struct bytes start;
	uint64_t timeout_ns;
	int plugin_fd;
	struct channel_memory *memory; /* of this life of the child */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct lane lanes[FRAME_LANES_MAX];
	size_t n;
	bool up;
	uint64_t life, heard_ns;
	struct bytes opening; /* the first answer to FRAME_OPEN */
};

void lanes_free(struct lanes *lanes)
{
	for (size_t i = 0; i < lanes->n; i++) {
		bytes_fini(&lanes->lanes[i].question);
		free(lanes->lanes[i].packet);
	}
	bytes_fini(&lanes->opening);
	/* Secrets may be among the options. */
	if (lanes->start.data)
		explicit_bzero(lanes->start.data, lanes->start.len);
	bytes_fini(&lanes->start);
	pthread_cond_destroy(&lanes->changed);
	pthread_mutex_destroy(&lanes->lock);
	free(lanes);
}

struct lanes *lanes_new(const struct berth_services *services, struct berth_text start, const struct frame_start *head,
			uint64_t timeout_ns)
{
	const struct frame_question question = { .version = FRAMES_VERSION, .operation = FRAME_OPEN };
	struct lanes *lanes = calloc(1, sizeof *lanes);
	bool fine;

	if (!lanes)
		return NULL;
	lanes->services = services;
	lanes->timeout_ns = timeout_ns;
	lanes->plugin_fd = head->fd == FRAME_LINKED_IN ? -1 : (int)head->fd;
	lanes->n = head->lanes < 1 || head->lanes > FRAME_LANES_MAX ? 1 : (size_t)head->lanes;
	bytes_append(&lanes->start, &question, sizeof question);
	bytes_append(&lanes->start, start.ptr, start.len);
	pthread_mutex_init(&lanes->lock, NULL);
	fine = child_cond_init(&lanes->changed) == 0 && !lanes->start.failed;
	for (size_t i = 0; i < lanes->n; i++) {
		lanes->lanes[i] = (struct lane){ .channel.fd = -1, .packet = malloc(sizeof(struct packet)) };
		fine = fine && lanes->lanes[i].packet;
	}
	if (fine)
		return lanes;
	lanes_free(lanes);
	return NULL;
}

void lanes_set_child(struct lanes *lanes, struct child *child)
{
	lanes->child = child;
}

/* ---- For the keeper ---- */

/* Makes memory for a life of the child. Returns what the child is given, or a negative errno. */
static int share_memory(struct lanes *lanes)
{
	int fd = channel_share(), error;

	if (fd < 0)
		return fd;
	lanes->memory = channel_map(fd);
	if (lanes->memory)
		return fd;
	error = errno;
	close(fd);
	return -error;
}

static void drop_memory(struct lanes *lanes)
{
	if (lanes->memory)
		munmap(lanes->memory, sizeof *lanes->memory);
	lanes->memory = NULL;
}

static int lanes_connect(void *speaker, uint64_t life, int null_fd, int error_fd, struct child_ends *ends)
{
	struct lanes *lanes = speaker;
	int memory_fd = share_memory(lanes), rc = memory_fd < 0 ? memory_fd : 0;

	*ends = (struct child_ends){ .fds = { null_fd, error_fd, error_fd, null_fd, rc < 0 ? null_fd : memory_fd },
				     .n = FRAME_LANE_FD };
	if (lanes->plugin_fd >= 0 && rc == 0) {
		/* The keeper closes what the child is given. */
		ends->fds[FRAME_PLUGIN_FD] = fcntl(lanes->plugin_fd, F_DUPFD_CLOEXEC, 0);
		rc = ends->fds[FRAME_PLUGIN_FD] < 0 ? -errno : 0;
	}
	pthread_mutex_lock(&lanes->lock);
	for (size_t i = 0; i < lanes->n && rc == 0; i++) {
		int pair[2];

		rc = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 ? -errno : 0;
		if (rc < 0)
			break;
		lanes->lanes[i].channel = (struct channel){
			.fd = pair[0],
			.in = &lanes->memory->answers[i],
			.out = &lanes->memory->questions[i],
		};
		lanes->lanes[i].packet->announced = false;
		lanes->lanes[i].late_ns = 0;
		ends->fds[ends->n++] = pair[1];
	}
	lanes->life = life;
	pthread_mutex_unlock(&lanes->lock);
	return rc;
}

static int lanes_greet(void *speaker, struct trouble *trouble)
{
	struct lanes *lanes = speaker;
	int rc = packet_send(lanes->lanes[0].channel.fd, lanes->start.data, lanes->start.len, packet_now_ns());

	/* One that has ended already is better named by how it ended. */
	return rc == 0 || rc == -EPIPE ? 0 : trouble_set(trouble, TROUBLE_BROKEN, "the process could not be told its "
											"instance: %s", strerror(-rc));
}

static int lanes_watched(void *speaker, bool greeted)
{
	const struct lanes *lanes = speaker;

	return greeted ? -1 : lanes->lanes[0].channel.fd;
}

/* Reads the head of an answer; -1: it is none. */
static int read_head(const char *data, size_t len, struct lane_answer *answer)
{
	struct frame_reader r = { .p = data, .end = data + len };
	struct frame_answer head;

	if (!frame_take(&r, &head, sizeof head) || head.version != FRAMES_VERSION)
		return -1;
	answer->returned = head.returned;
	answer->pushes = r;
	return 0;
}

static int broken(struct trouble *trouble)
{
	return trouble_set(trouble, TROUBLE_BROKEN, "the process answered with something else than was asked");
}

/* Whether a later life presents the runtime that the first one has presented. */
static bool is_same_runtime(struct lanes *lanes, const struct lane_answer *answer)
{
	struct lane_answer first;
	struct berth_runtime a, b;
	struct frame_room *room = malloc(sizeof *room);
	uint32_t kind;
	bool same = false;

	if (room && lanes_opening(lanes, &first) && frame_take(&first.pushes, &kind, sizeof kind) && kind == FRAME_KIND_RUNTIME &&
	    frame_read(&first.pushes, FRAME_KIND_RUNTIME, &a, room)) {
		struct frame_reader r = answer->pushes;

		same = frame_take(&r, &kind, sizeof kind) && kind == FRAME_KIND_RUNTIME &&
		       frame_read(&r, FRAME_KIND_RUNTIME, &b, room) && a.runtime_id.len == b.runtime_id.len &&
		       (a.runtime_id.len == 0 || memcmp(a.runtime_id.ptr, b.runtime_id.ptr, a.runtime_id.len) == 0);
	}
	free(room);
	return same;
}

/* The answer to FRAME_OPEN. */
static int lanes_heard(void *speaker, struct trouble *trouble)
{
	struct lanes *lanes = speaker;
	struct packet *packet = lanes->lanes[0].packet;
	struct lane_answer answer;
	int rc = packet_take(lanes->lanes[0].channel.fd, packet);

	if (rc == -EAGAIN)
		return 0;
	if (rc == -EPIPE)
		return trouble_set(trouble, TROUBLE_CRASHED, "the process closed its output");
	if (rc < 0 || read_head(packet->data, packet->len, &answer) < 0) {
		rc = broken(trouble);
	} else if (lanes->opening.len > 0) {
		rc = is_same_runtime(lanes, &answer) ? 1 : trouble_set(trouble, TROUBLE_BROKEN,
			"the adapter did not open again as it had before");
	} else {
		bytes_append(&lanes->opening, packet->data, packet->len);
		rc = lanes->opening.failed ? trouble_set(trouble, TROUBLE_BROKEN, "there is no memory for its answer") : 1;
	}
	packet_drop(packet);
	if (rc > 0) {
		pthread_mutex_lock(&lanes->lock);
		lanes->up = true;
		lanes->heard_ns = packet_now_ns();
		pthread_mutex_unlock(&lanes->lock);
	}
	return rc;
}

/* A child is silent once all its lanes are late. */
static uint64_t lanes_silent_since(void *speaker)
{
	struct lanes *lanes = speaker;
	uint64_t since = 0;

	pthread_mutex_lock(&lanes->lock);
	for (size_t i = 0; i < lanes->n; i++) {
		uint64_t late = lanes->lanes[i].late_ns;

		if (!late) {
			since = 0;
			break;
		}
		since = late > since ? late : since;
	}
	pthread_mutex_unlock(&lanes->lock);
	return since;
}

static void lanes_part(void *speaker)
{
	struct lanes *lanes = speaker;

	for (size_t i = 0; i < lanes->n; i++)
		slot_end(lanes->lanes[i].channel.out);
	/* Where it waits for its instance, or to be told that its failure was read. */
	shutdown(lanes->lanes[0].channel.fd, SHUT_WR);
}

/* Whoever waits on a lane finds it closed. */
static void close_lanes(const struct lanes *lanes)
{
	for (size_t i = 0; i < lanes->n; i++) {
		const struct channel *channel = &lanes->lanes[i].channel;

		if (channel->fd < 0)
			continue;
		channel_end(channel);
		shutdown(channel->fd, SHUT_RDWR);
	}
}

static bool any_busy(const struct lanes *lanes)
{
	for (size_t i = 0; i < lanes->n; i++)
		if (lanes->lanes[i].busy)
			return true;
	return false;
}

static void lanes_disconnect(void *speaker, const struct trouble *trouble)
{
	struct lanes *lanes = speaker;

	/* Those who waited ask the child what happened. */
	(void)trouble;
	pthread_mutex_lock(&lanes->lock);
	lanes->up = false;
	pthread_cond_broadcast(&lanes->changed);
	close_lanes(lanes);
	while (any_busy(lanes)) {
		/* Once more, since a process that was left behind can still write to the memory. */
		child_cond_wait(&lanes->changed, &lanes->lock, packet_now_ns() + CLOSE_NS);
		close_lanes(lanes);
	}
	for (size_t i = 0; i < lanes->n; i++) {
		if (lanes->lanes[i].channel.fd >= 0)
			close(lanes->lanes[i].channel.fd);
		lanes->lanes[i].channel = (struct channel){ .fd = -1 };
	}
	drop_memory(lanes);
	pthread_mutex_unlock(&lanes->lock);
}

const struct speech lanes_speech = {
	.connect = lanes_connect,
	.greet = lanes_greet,
	.watched = lanes_watched,
	.heard = lanes_heard,
	.silent_since = lanes_silent_since,
	.part = lanes_part,
	.disconnect = lanes_disconnect,
};

/* ---- For those who call ---- */

bool lanes_opening(const struct lanes *lanes, struct lane_answer *answer)
{
	*answer = (struct lane_answer){ .lane = NULL };
	return lanes->opening.len > 0 && read_head(lanes->opening.data, lanes->opening.len, answer) == 0;
}

/* Whether no answer is due on a lane, or what was late has come meanwhile. */
static bool is_settled(struct lane *lane)
{
	if (lane->late_ns && channel_receive(&lane->channel, lane->packet, 0, false) == 0) {
		packet_drop(lane->packet);
		lane->late_ns = 0;
	}
	return !lane->late_ns;
}

/* A lane that nobody uses and no answer is due on; the hottest comes first. */
static struct lane *find_free(struct lanes *lanes)
{
	for (size_t i = 0; i < lanes->n; i++)
		if (!lanes->lanes[i].busy && is_settled(&lanes->lanes[i]))
			return &lanes->lanes[i];
	return NULL;
}

/* Where all lanes are late, one whose answer may still come and that nobody waits on. NULL: there is none; then
 * *overduep says whether all of them took too long. */
static struct lane *find_late(struct lanes *lanes, bool *overduep)
{
	uint64_t now = packet_now_ns();
	struct lane *found = NULL;

	*overduep = true;
	for (size_t i = 0; i < lanes->n; i++) {
		struct lane *lane = &lanes->lanes[i];

		if (!lane->late_ns)
			return *overduep = false, NULL;
		if (lane->due_ns <= now)
			continue;
		*overduep = false;
		if (!lane->busy && (!found || lane->due_ns < found->due_ns))
			found = lane;
	}
	return found;
}

/* Takes a lane of that life of the child, which may be a late one. 1: that life is over; -1: the trouble. */
static int take_lane(struct lanes *lanes, uint64_t life, uint64_t deadline_ns, struct lane **lanep,
		     struct trouble *trouble)
{
	bool overdue;
	int rc = 0;

	pthread_mutex_lock(&lanes->lock);
	while (rc == 0 && lanes->up && lanes->life == life && !(*lanep = find_free(lanes)) &&
	       !(*lanep = find_late(lanes, &overdue))) {
		if (overdue)
			rc = trouble_set(trouble, TROUBLE_TIMEOUT,
					 "the process has not answered what it was asked before");
		else if (!child_cond_wait(&lanes->changed, &lanes->lock, deadline_ns))
			rc = trouble_set(trouble, TROUBLE_TIMEOUT, "the process was busy with other requests");
	}
	if (rc == 0 && (!lanes->up || lanes->life != life))
		rc = 1;
	if (rc == 0)
		(*lanep)->busy = true;
	pthread_mutex_unlock(&lanes->lock);
	trouble->sent = false;
	return rc;
}

static void leave_lane(struct lanes *lanes, struct lane *lane, uint64_t late_ns)
{
	pthread_mutex_lock(&lanes->lock);
	lane->busy = false;
	lane->late_ns = late_ns;
	pthread_cond_signal(&lanes->changed);
	if (!lanes->up)
		pthread_cond_broadcast(&lanes->changed);
	pthread_mutex_unlock(&lanes->lock);
}

static bool write_question(struct lane *lane, enum frame_operation operation, const void *request, uint64_t deadline_ns)
{
	const struct frame_question head = { deadline_ns, FRAMES_VERSION, operation };
	enum frame_kind kind = frame_request_kind(operation);
	struct frame_before none = { .kind = kind };
	size_t size = frame_measure(kind, request, NULL, &none);
	char *to;

	lane->question.len = 0;
	bytes_append(&lane->question, &head, sizeof head);
	to = bytes_reserve(&lane->question, size);
	if (!to)
		return false;
	frame_write(to, kind, request, to, &none);
	lane->question.len += size;
	return true;
}

/* Waits for the answer that a late lane still owes to somebody else. */
static int settle(struct lanes *lanes, struct lane *lane, uint64_t deadline_ns)
{
	uint64_t until = lane->due_ns < deadline_ns ? lane->due_ns : deadline_ns;
	int rc = channel_receive(&lane->channel, lane->packet, until, true);

	if (rc < 0)
		return rc;
	packet_drop(lane->packet);
	pthread_mutex_lock(&lanes->lock);
	lane->late_ns = 0;
	pthread_mutex_unlock(&lanes->lock);
	return 0;
}

/* Sends the question and waits up to the deadline for its answer, which may come until due_ns. */
static int talk(struct lanes *lanes, struct lane *lane, uint64_t due_ns, uint64_t deadline_ns,
		struct lane_answer *answer, bool *sentp)
{
	int rc = 0;

	if (lane->late_ns) {
		rc = settle(lanes, lane, deadline_ns);
		due_ns = packet_now_ns() + lanes->timeout_ns;
	}
	if (rc == 0) {
		lane->due_ns = due_ns;
		rc = channel_send(&lane->channel, lane->question.data, lane->question.len, deadline_ns);
	}
	*sentp = rc == 0;
	/* Much of it is not kept for the next one. */
	if (lane->question.size > PACKET_MAX)
		bytes_fini(&lane->question);
	if (rc == 0)
		rc = channel_receive(&lane->channel, lane->packet, deadline_ns, true);
	if (rc == 0 && read_head(lane->packet->data, lane->packet->len, answer) < 0) {
		packet_drop(lane->packet);
		rc = -EPROTO;
	}
	return rc;
}

int lanes_ask(struct lanes *lanes, enum frame_operation operation, const void *request, uint64_t deadline_ns,
	      struct lane_answer *answer, struct trouble *trouble)
{
	struct lane *lane = NULL;
	uint64_t life, due, until;
	bool sent = false;
	int rc;

	do {
		life = child_ready(lanes->child, deadline_ns, trouble);
		if (!life)
			return -1;
		due = packet_now_ns() + lanes->timeout_ns;
		until = deadline_ns && deadline_ns < due ? deadline_ns : due;
		rc = take_lane(lanes, life, until, &lane, trouble);
	} while (rc > 0);
	if (rc < 0)
		return -1;
	rc = write_question(lane, operation, request, until) ? talk(lanes, lane, due, until, answer, &sent) : -ENOMEM;
	if (rc == 0) {
		answer->lane = lane;
		return 0;
	}
	leave_lane(lanes, lane, rc == -ETIMEDOUT && sent ? packet_now_ns() : lane->late_ns);
	if (rc == -EPIPE || rc == -EPROTO) {
		if (rc == -EPIPE)
			trouble_set(trouble, TROUBLE_CRASHED, "the process closed its output");
		else
			broken(trouble);
		child_lost(lanes->child, life, trouble);
		child_ended(lanes->child, life, trouble);
		return -1;
	}
	if (rc == -ETIMEDOUT && !sent)
		trouble_set(trouble, TROUBLE_TIMEOUT, "the process has not answered what it was asked before");
	else if (rc == -ETIMEDOUT && until < due)
		trouble_set(trouble, TROUBLE_TIMEOUT, "the process did not answer by the deadline of the call");
	else if (rc == -ETIMEDOUT)
		trouble_set(trouble, TROUBLE_TIMEOUT, "the process did not answer within %llu ms",
			    (unsigned long long)(lanes->timeout_ns / 1000000));
	else
		trouble_set(trouble, TROUBLE_BROKEN, "the request could not be sent: %s", strerror(-rc));
	trouble->sent = rc == -ETIMEDOUT && sent;
	if (trouble->sent)
		child_nudge(lanes->child);
	return -1;
}

void lanes_give_back(struct lanes *lanes, struct lane_answer *answer)
{
	packet_drop(answer->lane->packet);
	leave_lane(lanes, answer->lane, 0);
}
