/* SPDX-License-Identifier: MIT */
/* Calls of a program that is an enemy: whatever it says, in whatever pieces, before it is asked, late, twice or to
 * somebody else, a call is answered with the line that is its own, or with a trouble that is true. The input is what
 * happens, a byte for each thing and what it needs behind it; there is one thread, so calls are made within the waiting
 * of others. */
#include "config.h"

#include "plugins/process/lines.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/buffer.h"
#include "core/log.h"
#include "core/services.h"
#include "tests/fuzz/fuzz.h"

enum {
	N_DEEDS_MAX = 1024, /* of a life */
	DEPTH_MAX = 16,     /* of calls within others */
	REST_SIZE = 4080,   /* fills the pipe of a child that made it as small as it can be */
	HUGE_SIZE = 40 << 20,
	N_HUGE_MAX = 2,     /* of a life */
};

#define HOUR_NS (UINT64_C(3600) * 1000000000)

/* A life of the child, as seen from its end. */
static struct {
	struct child_ends ends;
	uint64_t number;
	bool up, over, gone;       /* it has greeted; its keeper is to end it, and has */
	struct trouble why;        /* it is over */
	struct buffer said, asked; /* by the child, and of it */
	size_t heard;              /* of what was said */
	unsigned n_deeds, n_huge;
} life;

static struct fuzz *fuzz;
static struct lines *lines;
static struct services services;
static uint64_t n_calls;
static bool has_time; /* for what takes some */
static unsigned depth;
static int null_fd;

static bool act(void);

/* ---- Instead of a child and its keeper ---- */

uint64_t child_ready(struct child *child, uint64_t deadline_ns, struct trouble *trouble)
{
	(void)child, (void)deadline_ns;
	if (life.up && !life.over)
		return life.number;
	trouble->sent = false;
	trouble_set(trouble, TROUBLE_CRASHED, "the process is not there");
	return 0;
}

static void end_life(const struct trouble *why)
{
	if (!life.over)
		life.why = *why;
	life.over = true;
}

static void disconnect(void)
{
	if (!life.gone)
		lines_speech.disconnect(lines, &life.why);
	life.gone = true;
}

void child_lost(struct child *child, uint64_t number, const struct trouble *why)
{
	(void)child;
	FUZZ_CHECK(number == life.number && why->kind != TROUBLE_NONE);
	end_life(why);
}

void child_nudge(struct child *child)
{
	(void)child;
}

int child_cond_init(pthread_cond_t *cond)
{
	return pthread_cond_init(cond, NULL);
}

/* While one waits, all else happens. */
bool child_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t deadline_ns)
{
	bool more = true;

	(void)cond;
	pthread_mutex_unlock(lock);
	if (life.over)
		disconnect();
	else
		more = act();
	/* Only one who knows that the child is lost waits without an end. */
	FUZZ_CHECK(deadline_ns > 0 || life.gone);
	pthread_mutex_lock(lock);
	return more;
}

static void hear(void)
{
	struct trouble trouble = { .kind = TROUBLE_NONE };
	int fd = lines_speech.watched(lines, life.up), unread = 0, rc;

	if (life.over || fd < 0)
		return;
	rc = lines_speech.heard(lines, &trouble);
	FUZZ_CHECK((rc < 0) == (trouble.kind != TROUBLE_NONE) && (rc <= 0 || !life.up));
	FUZZ_CHECK(ioctl(fd, FIONREAD, &unread) == 0);
	life.heard = life.said.len - (size_t)unread;
	life.up |= rc > 0;
	if (rc < 0) {
		fuzz_check_plain(berth_text(trouble.text), "");
		end_life(&trouble);
	}
}

/* ---- The enemy ---- */

/* As much as its pipe takes. Where nobody reads it any more it would only end who writes, which is all of us. */
static void say(struct berth_text text)
{
	ssize_t n = life.gone ? -1 : write(life.ends.fds[1], text.ptr, text.len);

	if (n > 0)
		buffer_append(&life.said, text.ptr, (size_t)n);
}

/* The beginning of an answer to one of the last requests. */
static void say_id(void)
{
	char text[32];

	snprintf(text, sizeof text, "{\"id\":%" PRIu64, n_calls - fuzz_below(fuzz, 8));
	say(berth_text(text));
}

/* Some of a line; two of them are more than the longest may have, and than is kept of answers. */
static void say_huge(void)
{
	static char piece[64 << 10];

	if (!*piece)
		memset(piece, ' ', sizeof piece);
	for (size_t n = 0; n < HUGE_SIZE && life.n_huge < N_HUGE_MAX && !life.over; n += sizeof piece) {
		say((struct berth_text){ piece, sizeof piece });
		hear();
	}
	life.n_huge++;
}

static void read_requests(void)
{
	char bytes[REST_SIZE];
	ssize_t n;

	while ((n = read(life.ends.fds[0], bytes, sizeof bytes)) > 0)
		buffer_append(&life.asked, bytes, (size_t)n);
}

static void close_end(int i)
{
	close(life.ends.fds[i]);
	life.ends.fds[i] = -1;
}

/* ---- Those who call ---- */

/* The id of a line in another way of reading; NAN: it has none, or one that may be seen otherwise. */
static double id_of(struct berth_text line)
{
	cJSON *json = NULL, *id;
	double number = NAN;

	if (line.len < HUGE_SIZE && fuzz_is_json(line) && !memmem(line.ptr, line.len, "\\u0000", 6))
		json = cJSON_ParseWithLength(line.ptr, line.len);
	id = cJSON_GetObjectItemCaseSensitive(json, "id");
	if (cJSON_IsNumber(id))
		number = id->valuedouble;
	cJSON_Delete(json);
	return number;
}

/* Whether the child has been asked a call, in a whole line, and with which id. */
static bool find_request(uint64_t call, uint64_t *idp)
{
	char member[40];
	const char *end, *p, *begin, *newline;

	read_requests();
	if (life.asked.len == 0)
		return false;
	end = life.asked.data + life.asked.len;
	snprintf(member, sizeof member, ",\"call\":%" PRIu64 ",", call);
	p = memmem(life.asked.data, life.asked.len, member, strlen(member));
	newline = p ? memchr(p, '\n', (size_t)(end - p)) : NULL;
	if (!newline)
		return false;
	begin = memrchr(life.asked.data, '\n', (size_t)(p - life.asked.data));
	begin = begin ? begin + 1 : life.asked.data;
	FUZZ_CHECK(sscanf(begin, "{\"id\":%" SCNu64, idp) == 1 && fuzz_is_json((struct berth_text){ begin, (size_t)(newline - begin) }));
	return true;
}

/* Whether the child has said a line, or where that is NULL, one with an id. */
static bool was_heard(const struct berth_text *line, double id)
{
	const char *p = life.said.data, *end = p + life.heard, *newline;
	bool greeting = true, found = false;

	while (!found && p < end && (newline = memchr(p, '\n', (size_t)(end - p)))) {
		struct berth_text said = { p, (size_t)(newline - p) };

		if (!greeting)
			found = line ? said.len == line->len && memcmp(said.ptr, line->ptr, said.len) == 0 : id_of(said) == id;
		greeting = false;
		p = newline + 1;
	}
	return found;
}

static void ask(void)
{
	unsigned how = fuzz_byte(fuzz);
	uint64_t call = ++n_calls, id = 0, timeout_ns = how & 1 ? HOUR_NS : 0, deadline_ns = how & 2 ? 1 : 0;
	bool patient = timeout_ns > 0 && deadline_ns == 0, has_come;
	struct trouble trouble = { .kind = TROUBLE_NONE };
	struct bytes rest = { .data = NULL }, answer = { .data = NULL };
	char head[64];
	int rc;

	snprintf(head, sizeof head, ",\"call\":%" PRIu64 ",\"rest\":\"", call);
	bytes_append_string(&rest, head);
	while (how & 4 && rest.len < REST_SIZE && !rest.failed)
		bytes_append(&rest, ".", 1);
	bytes_append_string(&rest, "\"}");
	/* One who has time may wait for a child that does not read. */
	if (patient)
		read_requests();
	rc = lines_ask(lines, &rest, timeout_ns, deadline_ns, &answer, &trouble);
	has_come = find_request(call, &id);
	if (rc == 0) {
		struct berth_text line = { answer.data, answer.len };
		double own = id_of(line);

		FUZZ_CHECK(was_heard(&line, 0));
		FUZZ_CHECK(!has_come || isnan(own) || own == (double)id);
		/* It is kept for a while. */
		if (how & 8)
			act();
		lines_drop(lines, &answer);
	} else {
		FUZZ_CHECK(trouble.kind != TROUBLE_NONE && !answer.data);
		fuzz_check_plain(berth_text(trouble.text), "");
		FUZZ_CHECK(trouble.sent || !has_come);
		FUZZ_CHECK(trouble.kind != TROUBLE_TIMEOUT || !has_come || life.over || !was_heard(NULL, (double)id));
	}
	bytes_fini(&rest);
}

/* ---- All that happens ---- */

/* False: time passes, or there is no more of it. */
static bool act(void)
{
	if (fuzz->left == 0 || ++life.n_deeds > N_DEEDS_MAX)
		return false;
	switch (fuzz_below(fuzz, 16)) {
	case 0:
	case 1:
	case 2:
		say(fuzz_text(fuzz));
		return true;
	case 3:
		say((struct berth_text)BERTH_TEXT("\n"));
		return true;
	case 4:
	case 5:
		say_id();
		return true;
	case 6:
	case 7:
		hear();
		return true;
	case 8:
	case 9:
	case 10:
		depth++;
		if (depth <= DEPTH_MAX)
			ask();
		depth--;
		return true;
	case 11:
		read_requests();
		return true;
	case 12:
		lines_speech.silent_since(lines);
		return true;
	case 13:
		if (has_time)
			say_huge();
		return true;
	case 14:
		if (fuzz_byte(fuzz) % 8 == 0)
			close_end((int)fuzz_below(fuzz, 2));
		return true;
	default:
		return false;
	}
}

/* A second life has nothing of the first. */
static void live(uint64_t number)
{
	memset(&life, 0, sizeof life);
	life.number = number;
	FUZZ_CHECK(lines_speech.connect(lines, number, null_fd, null_fd, &life.ends) == 0);
	fcntl(life.ends.fds[0], F_SETPIPE_SZ, 4096);
	fcntl(life.ends.fds[0], F_SETFL, O_NONBLOCK);
	fcntl(life.ends.fds[1], F_SETFL, O_NONBLOCK);
	FUZZ_CHECK(lines_speech.greet(lines, &life.why) == 0);
	while (fuzz->left > 0 && !life.over && life.n_deeds < N_DEEDS_MAX)
		act();
	if (!life.over)
		lines_speech.part(lines);
	disconnect();
	for (int i = 0; i < 2; i++)
		if (life.ends.fds[i] >= 0)
			close_end(i);
	buffer_fini(&life.said);
	buffer_fini(&life.asked);
}

static int greeted(void *data, struct berth_text answer, struct trouble *trouble)
{
	(void)data;
	if (answer.len > 0 && *answer.ptr == '!')
		return trouble_set(trouble, TROUBLE_BROKEN, "the process is somebody else");
	return answer.len > 0 && *answer.ptr == '{' ? 0 : -1;
}

int LLVMFuzzerInitialize(int *argcp, char ***argvp)
{
	(void)argcp, (void)argvp;
	services_init(&services, "fuzz");
	log_set_level(BERTH_LOG_ERROR + 1);
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	FUZZ_CHECK(null_fd >= 0);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz input = { data, size };
	unsigned n = fuzz_n_open();

	fuzz = &input;
	n_calls = 0;
	has_time = fuzz_byte(fuzz) == 0xff;
	lines = lines_new(&services.base, greeted, NULL);
	FUZZ_CHECK(lines);
	live(1);
	live(2);
	lines_free(lines);
	FUZZ_CHECK(fuzz_n_open() == n);
	return 0;
}
