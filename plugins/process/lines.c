/* SPDX-License-Identifier: MIT */
/*
 * The keeper reads whatever the child says, and hands each line to the one who waits for
 * it; so a child is never blocked by an answer that nobody fetches, and those who write
 * to it can rely on that. What goes beyond the measure, in length or in kind, ends it.
 */
#include "config.h"

#include "lines.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "inline/json_reader.h"

enum {
	LINE_MAX_BYTES = 64 << 20,
	HELD_MAX = 64 << 20, /* answers that are not yet dropped, beyond which nothing is read */
	READ_SIZE = 64 << 10,
	UNDER_WAY_MAX = 256,
};

enum request_state {
	REQUEST_WAITING,
	REQUEST_ANSWERED,
	REQUEST_LOST,      /* the child ended */
	REQUEST_ABANDONED, /* nobody waits for it any more */
};

struct request {
	struct request *next;
	uint64_t id, sent_ns;
	uint64_t due_ns; /* until when it may be answered, whatever deadline its caller had */
	enum request_state state;
	struct bytes answer;
	pthread_cond_t answered;
};

struct lines {
	const struct berth_services *services;
	struct child *child;
	lines_greeted *greeted;
	void *data;

	/* The keeper's own: */
	struct bytes in;
	size_t searched;
	bool expecting; /* the answer to hello */

	pthread_mutex_t lock;
	pthread_cond_t changed; /* writing, n_writers */
	bool up, writing;
	unsigned n_writers;
	int in_fd, out_fd, gone_fd; /* to the child, from it; readable once it is gone */
	uint64_t life, last_id, heard_ns;
	struct request *requests;
	size_t n_requests, held;
	struct trouble trouble; /* that ended the last life */
};

void lines_free(struct lines *lines)
{
	bytes_fini(&lines->in);
	if (lines->gone_fd >= 0)
		close(lines->gone_fd);
	pthread_cond_destroy(&lines->changed);
	pthread_mutex_destroy(&lines->lock);
	free(lines);
}

struct lines *lines_new(const struct berth_services *services, lines_greeted *greeted, void *data)
{
	struct lines *lines = calloc(1, sizeof *lines);

	if (!lines)
		return NULL;
	lines->services = services;
	lines->greeted = greeted;
	lines->data = data;
	lines->in_fd = lines->out_fd = -1;
	lines->gone_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&lines->lock, NULL);
	if (child_cond_init(&lines->changed) == 0 && lines->gone_fd >= 0)
		return lines;
	lines_free(lines);
	return NULL;
}

void lines_set_child(struct lines *lines, struct child *child)
{
	lines->child = child;
}

static uint64_t now_ns(const struct lines *lines)
{
	return lines->services->monotonic_ns(lines->services);
}

/* ---- Writing ---- */

/* write without the signal that a closed pipe brings. */
static ssize_t write_quietly(int fd, const char *data, size_t len)
{
	const struct timespec none = { 0 };
	sigset_t pipe, before, pending;
	ssize_t n;
	int error;

	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	sigpending(&pending);
	pthread_sigmask(SIG_BLOCK, &pipe, &before);
	n = write(fd, data, len);
	error = errno;
	if (n < 0 && error == EPIPE && !sigismember(&pending, SIGPIPE))
		sigtimedwait(&pipe, NULL, &none);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = error;
	return n;
}

/* All of it, up to the deadline. 0, -EPIPE, or -ETIMEDOUT; *startedp: some of it is written. */
static int write_all(const struct lines *lines, struct berth_text text, uint64_t deadline_ns, bool *startedp)
{
	while (text.len > 0) {
		ssize_t n = write_quietly(lines->in_fd, text.ptr, text.len);
		struct pollfd fds[] = {
			{ .fd = lines->in_fd, .events = POLLOUT }, { .fd = lines->gone_fd, .events = POLLIN },
		};

		if (n > 0) {
			*startedp = true;
			text.ptr += n;
			text.len -= (size_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			uint64_t now = now_ns(lines), left = deadline_ns > now ? deadline_ns - now : 0;
			const struct timespec timeout = { (time_t)(left / 1000000000), (long)(left % 1000000000) };

			if (ppoll(fds, 2, &timeout, NULL) == 0)
				return -ETIMEDOUT;
			if (fds[1].revents)
				return -EPIPE;
		} else if (n < 0 && errno != EINTR) {
			return -EPIPE;
		}
	}
	return 0;
}

/* ---- For the keeper ---- */

static int lines_connect(void *speaker, uint64_t life, int null_fd, int error_fd, struct child_ends *ends)
{
	struct lines *lines = speaker;
	int to[2], from[2];

	(void)null_fd;
	if (pipe2(to, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(from, O_CLOEXEC) < 0) {
		int error = errno;

		close(to[0]);
		close(to[1]);
		return -error;
	}
	fcntl(to[1], F_SETFL, O_NONBLOCK);
	fcntl(from[0], F_SETFL, O_NONBLOCK);
	*ends = (struct child_ends){ .fds = { to[0], from[1], error_fd }, .n = 3 };
	pthread_mutex_lock(&lines->lock);
	lines->in_fd = to[1];
	lines->out_fd = from[0];
	lines->life = life;
	pthread_mutex_unlock(&lines->lock);
	lines->in.len = lines->searched = 0;
	lines->expecting = true;
	return 0;
}

static int lines_greet(void *speaker, struct trouble *trouble)
{
	static const struct berth_text hello = BERTH_TEXT("{\"op\":\"hello\",\"protocol\":1}\n");
	struct lines *lines = speaker;
	bool started;

	(void)trouble;
	/* A pipe that is new has room for it; one that is closed already is named by the end. */
	write_all(lines, hello, 0, &started);
	return 0;
}

static int lines_watched(void *speaker, bool greeted)
{
	struct lines *lines = speaker;
	int fd;

	(void)greeted;
	pthread_mutex_lock(&lines->lock);
	fd = lines->held > HELD_MAX ? -1 : lines->out_fd;
	pthread_mutex_unlock(&lines->lock);
	return fd;
}

/* The id that an answer gives back; false where there is none of ours, or no object. */
static bool read_id(struct berth_text line, uint64_t *idp)
{
	struct json_slice key, number;
	struct json_reader r;

	json_open(&r, line.ptr, line.len);
	json_enter_object(&r);
	/* It is the first as a rule: then no more is read here. */
	while (json_next_member(&r, &key)) {
		if (json_string_is(&key, "id"))
			return json_read_number(&r, &number) && json_number_is_u64(&number, idp);
		json_skip(&r);
	}
	return false;
}

/* Says in the log with what a line begins. */
static int broken_line(struct lines *lines, struct berth_text line, const char *what, struct trouble *trouble)
{
	int len = line.len > 80 ? 80 : (int)line.len;

	lines->services->log(lines->services, BERTH_LOG_WARNING, "the process answered %s; it begins with \"%.*s\"", what,
			     len, line.ptr);
	return trouble_set(trouble, TROUBLE_BROKEN, "the process answered %s", what);
}

static struct request *find(const struct lines *lines, uint64_t id)
{
	struct request *request = lines->requests;

	while (request && request->id != id)
		request = request->next;
	return request;
}

static void free_request(struct request *request)
{
	pthread_cond_destroy(&request->answered);
	bytes_fini(&request->answer);
	free(request);
}

static void unlink_request(struct lines *lines, const struct request *request)
{
	for (struct request **p = &lines->requests; *p; p = &(*p)->next)
		if (*p == request) {
			*p = request->next;
			lines->n_requests--;
			return;
		}
}

/* Gives an answer to the one who waits for it. False where it is nobody's. */
static bool hand_over(struct lines *lines, uint64_t id, struct berth_text line)
{
	struct request *request;
	bool known;

	pthread_mutex_lock(&lines->lock);
	request = find(lines, id);
	known = request != NULL;
	if (known)
		unlink_request(lines, request);
	if (known && request->state == REQUEST_ABANDONED) {
		free_request(request);
	} else if (known) {
		bytes_append(&request->answer, line.ptr, line.len);
		lines->held += request->answer.len;
		request->state = REQUEST_ANSWERED;
		pthread_cond_signal(&request->answered);
	}
	lines->heard_ns = now_ns(lines);
	pthread_mutex_unlock(&lines->lock);
	return known;
}

static int take_line(struct lines *lines, struct berth_text line, struct trouble *trouble)
{
	uint64_t id;

	if (lines->expecting) {
		lines->expecting = false;
		if (lines->greeted(lines->data, line, trouble) < 0)
			return trouble->kind == TROUBLE_NONE ?
				       broken_line(lines, line, "hello with something else than protocol 1", trouble) : -1;
		pthread_mutex_lock(&lines->lock);
		lines->up = true;
		pthread_mutex_unlock(&lines->lock);
		return 1;
	}
	if (!read_id(line, &id))
		return broken_line(lines, line, "with something else than an object with an id", trouble);
	if (!hand_over(lines, id, line))
		return broken_line(lines, line, "with an id that was not asked", trouble);
	return 0;
}

static int take_lines(struct lines *lines, struct trouble *trouble)
{
	struct bytes *in = &lines->in;
	char *newline;
	size_t done = 0;
	int rc = 0, greeted = 0;

	while (rc >= 0 && (newline = memchr(in->data + lines->searched, '\n', in->len - lines->searched))) {
		struct berth_text line = { in->data + done, (size_t)(newline - (in->data + done)) };

		lines->searched = done += line.len + 1;
		rc = take_line(lines, line, trouble);
		greeted |= rc > 0;
	}
	if (rc < 0)
		return rc;
	/* Not for each piece of a long line. */
	if (done > 0)
		memmove(in->data, in->data + done, in->len - done);
	in->len -= done;
	lines->searched = in->len;
	/* What was needed for a long line is not kept. */
	if (in->len == 0 && in->size > 16 * READ_SIZE)
		bytes_fini(in);
	if (in->len > LINE_MAX_BYTES)
		return trouble_set(trouble, TROUBLE_BROKEN, "the process answered with a line of more than %d bytes",
				   LINE_MAX_BYTES);
	return greeted;
}

static int lines_heard(void *speaker, struct trouble *trouble)
{
	struct lines *lines = speaker;
	char *end = bytes_reserve(&lines->in, READ_SIZE);
	ssize_t n;

	if (!end) {
		bytes_fini(&lines->in);
		return trouble_set(trouble, TROUBLE_BROKEN, "there is no memory for its answer");
	}
	n = read(lines->out_fd, end, READ_SIZE);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n > 0) {
		lines->in.len += (size_t)n;
		return take_lines(lines, trouble);
	}
	if (lines->in.len > 0)
		lines->services->log(lines->services, BERTH_LOG_WARNING,
				     "the process ended in the middle of an answer; it begins with \"%.*s\"",
				     lines->in.len > 80 ? 80 : (int)lines->in.len, lines->in.data);
	return trouble_set(trouble, TROUBLE_CRASHED, "the process closed its output");
}

/* A child is silent once it has not answered what somebody stopped to wait for: the first
 * such request, or NULL. */
static const struct request *first_unanswered(const struct lines *lines)
{
	const struct request *first = NULL;

	for (const struct request *request = lines->requests; request; request = request->next)
		if (request->state == REQUEST_ABANDONED && (!first || request->sent_ns < first->sent_ns))
			first = request;
	return first && lines->heard_ns > first->sent_ns ? NULL : first;
}

static uint64_t lines_silent_since(void *speaker)
{
	struct lines *lines = speaker;
	const struct request *unanswered;
	uint64_t since;

	pthread_mutex_lock(&lines->lock);
	unanswered = first_unanswered(lines);
	since = unanswered ? unanswered->sent_ns : 0;
	pthread_mutex_unlock(&lines->lock);
	return since;
}

static void lines_part(void *speaker)
{
	struct lines *lines = speaker;

	pthread_mutex_lock(&lines->lock);
	close(lines->in_fd);
	lines->in_fd = -1;
	pthread_mutex_unlock(&lines->lock);
}

static void lose_requests(struct lines *lines)
{
	struct request *request;

	while ((request = lines->requests)) {
		unlink_request(lines, request);
		if (request->state == REQUEST_ABANDONED) {
			free_request(request);
		} else {
			request->state = REQUEST_LOST;
			pthread_cond_signal(&request->answered);
		}
	}
}

static void lines_disconnect(void *speaker, const struct trouble *trouble)
{
	struct lines *lines = speaker;
	uint64_t number = 1;

	pthread_mutex_lock(&lines->lock);
	lines->up = false;
	lines->trouble = *trouble;
	lose_requests(lines);
	pthread_cond_broadcast(&lines->changed);
	/* Those who write must have stopped before their pipe is closed. */
	if (write(lines->gone_fd, &number, sizeof number) == sizeof number)
		while (lines->n_writers > 0)
			child_cond_wait(&lines->changed, &lines->lock, 0);
	if (read(lines->gone_fd, &number, sizeof number) < 0)
		number = 0;
	if (lines->in_fd >= 0)
		close(lines->in_fd);
	if (lines->out_fd >= 0)
		close(lines->out_fd);
	lines->in_fd = lines->out_fd = -1;
	pthread_mutex_unlock(&lines->lock);
}

const struct speech lines_speech = {
	.connect = lines_connect,
	.greet = lines_greet,
	.watched = lines_watched,
	.heard = lines_heard,
	.silent_since = lines_silent_since,
	.part = lines_part,
	.disconnect = lines_disconnect,
};

/* ---- For those who call ---- */

static struct request *new_request(void)
{
	struct request *request = calloc(1, sizeof *request);

	if (request && child_cond_init(&request->answered) < 0) {
		free(request);
		return NULL;
	}
	return request;
}

/* Enters a request, which may be written once that is its turn. 1: that life is over; -1:
 * the trouble. */
static int enter(struct lines *lines, uint64_t life, struct request *request, uint64_t deadline_ns,
		 struct trouble *trouble)
{
	const struct request *unanswered = first_unanswered(lines);
	int rc = 0;

	trouble->sent = false;
	/* That somebody had less time than others is no fault of the child's. */
	if (unanswered && now_ns(lines) >= unanswered->due_ns)
		return trouble_set(trouble, TROUBLE_TIMEOUT, "the process has not answered what it was asked before");
	if (lines->n_requests >= UNDER_WAY_MAX)
		return trouble_set(trouble, TROUBLE_TIMEOUT, "the process has too many requests to answer");
	lines->n_writers++;
	while (lines->up && lines->life == life && lines->writing && rc == 0)
		if (!child_cond_wait(&lines->changed, &lines->lock, deadline_ns))
			rc = trouble_set(trouble, TROUBLE_TIMEOUT, "the process does not read its requests");
	if (rc == 0 && (!lines->up || lines->life != life))
		rc = 1;
	if (rc == 0) {
		lines->writing = true;
		request->id = ++lines->last_id;
		request->sent_ns = now_ns(lines);
		request->next = lines->requests;
		lines->requests = request;
		lines->n_requests++;
	} else {
		lines->n_writers--;
		pthread_cond_broadcast(&lines->changed);
	}
	return rc;
}

/* Writes the request, without the lock. */
static int send_request(struct lines *lines, const struct request *request, const struct bytes *rest,
			uint64_t deadline_ns, bool *startedp)
{
	char head[40];
	int len = snprintf(head, sizeof head, "{\"id\":%llu", (unsigned long long)request->id), rc;

	*startedp = false;
	pthread_mutex_unlock(&lines->lock);
	rc = write_all(lines, (struct berth_text){ head, (size_t)len }, deadline_ns, startedp);
	if (rc == 0)
		rc = write_all(lines, (struct berth_text){ rest->data, rest->len }, deadline_ns, startedp);
	if (rc == 0)
		rc = write_all(lines, (struct berth_text)BERTH_TEXT("\n"), deadline_ns, startedp);
	pthread_mutex_lock(&lines->lock);
	lines->writing = false;
	lines->n_writers--;
	pthread_cond_broadcast(&lines->changed);
	return rc;
}

/* Takes a request that is still under way back, or leaves it to its late answer. */
static void abandon(struct lines *lines, struct request *request, bool sent)
{
	if (sent) {
		request->state = REQUEST_ABANDONED;
	} else {
		unlink_request(lines, request);
		free_request(request);
	}
}

/* With the lock. The request is freed, or left to its late answer. */
static int wait_for_answer(struct lines *lines, struct request *request, bool started, uint64_t timeout_ns,
			   uint64_t deadline_ns, struct bytes *answer, struct trouble *trouble)
{
	int rc = -1;

	while (request->state == REQUEST_WAITING && child_cond_wait(&request->answered, &lines->lock, deadline_ns))
		continue;
	if (request->state == REQUEST_WAITING) {
		trouble_set(trouble, TROUBLE_TIMEOUT, "the process did not answer within %llu ms",
			    (unsigned long long)(timeout_ns / 1000000));
		trouble->sent = started;
		abandon(lines, request, started);
		return -1;
	}
	if (request->state == REQUEST_LOST) {
		*trouble = lines->trouble;
		trouble->sent = true;
	} else if (request->answer.failed) {
		trouble_set(trouble, TROUBLE_BROKEN, "there is no memory for its answer");
		trouble->sent = true;
	} else {
		*answer = request->answer;
		request->answer = (struct bytes){ 0 };
		rc = 0;
	}
	free_request(request);
	return rc;
}

int lines_ask(struct lines *lines, const struct bytes *rest, uint64_t timeout_ns, uint64_t deadline_ns,
	      struct bytes *answer, struct trouble *trouble)
{
	struct request *request = new_request();
	bool started = false, late;
	uint64_t life, until;
	int rc;

	if (!request || rest->failed) {
		free(request);
		return trouble_set(trouble, TROUBLE_BROKEN, "there is no memory for a request");
	}
	do {
		life = child_ready(lines->child, deadline_ns, trouble);
		until = request->due_ns = now_ns(lines) + timeout_ns;
		if (deadline_ns && deadline_ns < until)
			until = deadline_ns;
		pthread_mutex_lock(&lines->lock);
		rc = life ? enter(lines, life, request, until, trouble) : -1;
		if (rc != 0)
			pthread_mutex_unlock(&lines->lock);
	} while (rc > 0);
	if (rc < 0) {
		free_request(request);
		return -1;
	}
	rc = send_request(lines, request, rest, until, &started);
	/* Neither can a request be taken back that was written in part. */
	if (rc == -EPIPE || (rc == -ETIMEDOUT && started)) {
		trouble_set(trouble, rc == -EPIPE ? TROUBLE_CRASHED : TROUBLE_TIMEOUT,
			    rc == -EPIPE ? "the process closed its input" : "the process did not read its requests");
		pthread_mutex_unlock(&lines->lock);
		child_lost(lines->child, life, trouble);
		pthread_mutex_lock(&lines->lock);
		until = 0;
	}
	rc = wait_for_answer(lines, request, started, timeout_ns, until, answer, trouble);
	late = rc < 0 && trouble->kind == TROUBLE_TIMEOUT;
	pthread_mutex_unlock(&lines->lock);
	if (late)
		child_nudge(lines->child);
	return rc;
}

void lines_drop(struct lines *lines, struct bytes *answer)
{
	bool nudge;

	pthread_mutex_lock(&lines->lock);
	nudge = lines->held > HELD_MAX;
	lines->held -= answer->len;
	pthread_mutex_unlock(&lines->lock);
	bytes_fini(answer);
	if (nudge)
		child_nudge(lines->child);
}
