/* SPDX-License-Identifier: MIT */
/*
 * Whatever a child does, its keeper waits for nothing but a poll with a deadline: so no
 * child can hold up another one, or the end of the host. A child leads a session and a
 * group of its own, and what is left of that group ends with it; it also ends with the
 * keeper's thread, should the host be killed.
 */
#include "config.h"

#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "inline/thread.h"
#include "said.h"

#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

enum {
	PAUSE_MS = 100, /* after the first death, twice as long after each further one */
	PAUSE_MAX_MS = 60000,
	FLOOD_MS = 10,  /* how long a child that floods is not read */
	LEAVE_MS = 200, /* how long one that closed its output may take to end */
	FLOOD_PIECES = 64,
	LAST_PIECES = 2048,
};

enum child_state {
	CHILD_STARTING,
	CHILD_READY,
	CHILD_DOWN, /* between two lives */
	CHILD_QUARANTINED,
};

struct child {
	const struct berth_services *services;
	uint64_t start_ns, stop_ns, hang_ns, max_deaths;
	bool awaited;
	struct launch *launch;
	const struct speech *speech;
	void *speaker;
	char *name;
	pthread_t keeper;
	int wake_fd;

	/* The keeper's own: */
	struct launched launched;
	int error_fd;
	struct said said;
	uint64_t started_ns;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum child_state state;
	uint64_t life;            /* which one it is, or was */
	struct trouble trouble;   /* that ended the last one */
	struct trouble demanded;  /* why this one is to end */
	bool stopping;
	uint64_t deaths;          /* in a row */
	struct standing *standing, own_standing;
};

static uint64_t now_ns(const struct child *child)
{
	return child->services->monotonic_ns(child->services);
}

/* Whether it has never been ready, which somebody waits for who will say what is wrong. */
static bool is_unborn(const struct child *child)
{
	return child->awaited && child->life == 0;
}

int child_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	int rc = pthread_condattr_init(&attr);

	if (rc == 0)
		rc = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	if (rc == 0)
		rc = pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
	return -rc;
}

bool child_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t deadline_ns)
{
	const struct timespec until = { (time_t)(deadline_ns / SECOND), (long)(deadline_ns % SECOND) };

	return deadline_ns == 0 ? pthread_cond_wait(cond, lock) == 0 :
				  pthread_cond_timedwait(cond, lock, &until) != ETIMEDOUT;
}

/* ---- Quarantine ---- */

static void set_quarantine(struct child *child, const struct quarantine *quarantine)
{
	time_t seconds = (time_t)(quarantine->since_ns / SECOND);
	char since[40];
	struct tm tm;

	strftime(since, sizeof since, "%Y-%m-%dT%H:%M:%S+00:00", gmtime_r(&seconds, &tm));
	trouble_set(&child->trouble, TROUBLE_QUARANTINED, "%.140s; it ended %llu times and is in quarantine since %s",
		    quarantine->reason, (unsigned long long)quarantine->n_deaths, since);
	child->deaths = quarantine->n_deaths;
	child->state = CHILD_QUARANTINED;
	pthread_mutex_lock(&child->standing->lock);
	child->standing->quarantine = *quarantine;
	child->standing->retry = false;
	pthread_mutex_unlock(&child->standing->lock);
}

static void lift_quarantine(struct child *child)
{
	child->services->log(child->services, BERTH_LOG_INFO, "the quarantine is over: the process is started again");
	child->deaths = 0;
	child->state = CHILD_DOWN;
	pthread_mutex_lock(&child->standing->lock);
	child->standing->quarantine.since_ns = 0;
	pthread_mutex_unlock(&child->standing->lock);
}

static bool is_wanted_again(struct child *child)
{
	bool retry;

	pthread_mutex_lock(&child->standing->lock);
	retry = child->standing->retry;
	pthread_mutex_unlock(&child->standing->lock);
	return retry;
}


/* It outlives the instance, or to load the configuration again would lift it. */
struct record {
	struct record *next;
	char *name;
	char identity[LAUNCH_IDENTITY_MAX];
	struct quarantine quarantine;
};

static struct {
	pthread_mutex_t lock;
	struct record *first;
} records = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Takes the record of a name off the list; NULL where there is none. */
static struct record *take_record(const char *name)
{
	struct record **p = &records.first, *record;

	while (*p && strcmp((*p)->name, name) != 0)
		p = &(*p)->next;
	record = *p;
	if (record)
		*p = record->next;
	return record;
}

static void free_record(struct record *record)
{
	if (record)
		free(record->name);
	free(record);
}

static void recall(struct child *child)
{
	char identity[LAUNCH_IDENTITY_MAX];
	struct record *record;

	launch_identify(child->launch, identity);
	pthread_mutex_lock(&records.lock);
	record = take_record(child->name);
	pthread_mutex_unlock(&records.lock);
	if (record && strcmp(record->identity, identity) == 0)
		set_quarantine(child, &record->quarantine);
	free_record(record);
}

/* The child's name goes into the record. */
static void remember(struct child *child)
{
	struct record *record = child->state == CHILD_QUARANTINED ? calloc(1, sizeof *record) : NULL;

	if (!record)
		return;
	record->name = child->name;
	child->name = NULL;
	record->quarantine = child->standing->quarantine;
	launch_identify(child->launch, record->identity);
	pthread_mutex_lock(&records.lock);
	free_record(take_record(record->name));
	record->next = records.first;
	records.first = record;
	pthread_mutex_unlock(&records.lock);
}

/* ---- What others ask of the keeper ---- */

void child_nudge(struct child *child)
{
	const uint64_t one = 1;

	/* It only fails where the keeper has been woken billions of times already. */
	if (write(child->wake_fd, &one, sizeof one) < 0)
		return;
}

static void add_pause(const struct child *child, struct trouble *trouble)
{
	size_t len = strlen(trouble->text);

	if (child->state == CHILD_DOWN && !is_unborn(child))
		snprintf(trouble->text + len, sizeof trouble->text - len, "; it will be started again");
}

uint64_t child_ready(struct child *child, uint64_t deadline_ns, struct trouble *trouble)
{
	uint64_t life = 0;

	pthread_mutex_lock(&child->lock);
	while (child->state == CHILD_STARTING && child_cond_wait(&child->changed, &child->lock, deadline_ns))
		continue;
	if (child->state == CHILD_READY) {
		life = child->life;
	} else if (child->state == CHILD_STARTING) {
		trouble_set(trouble, TROUBLE_TIMEOUT, "the process has not been started yet");
	} else {
		*trouble = child->trouble;
		if (child->state == CHILD_QUARANTINED)
			trouble->kind = TROUBLE_QUARANTINED;
		add_pause(child, trouble);
	}
	trouble->sent = false;
	pthread_mutex_unlock(&child->lock);
	return life;
}

void child_lost(struct child *child, uint64_t life, const struct trouble *why)
{
	pthread_mutex_lock(&child->lock);
	if (child->life == life && child->state == CHILD_READY && child->demanded.kind == TROUBLE_NONE)
		child->demanded = *why;
	pthread_mutex_unlock(&child->lock);
	child_nudge(child);
}

void child_ended(struct child *child, uint64_t life, struct trouble *trouble)
{
	pthread_mutex_lock(&child->lock);
	while (child->life == life && child->state == CHILD_READY)
		child_cond_wait(&child->changed, &child->lock, 0);
	*trouble = child->trouble;
	pthread_mutex_unlock(&child->lock);
	trouble->sent = true;
}

/* ---- Starting ---- */

static void close_ends(struct child_ends *ends, int null_fd, int error_fd)
{
	for (size_t i = 0; i < ends->n; i++)
		if (ends->fds[i] != null_fd && ends->fds[i] != error_fd)
			close(ends->fds[i]);
}

static int start(struct child *child, struct trouble *trouble)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC), errors[2] = { -1, -1 }, rc;
	struct child_ends ends = { .n = 0 };

	child->started_ns = now_ns(child);
	rc = null_fd < 0 || pipe2(errors, O_CLOEXEC) < 0 ? -errno : 0;
	if (rc == 0)
		rc = child->speech->connect(child->speaker, child->life + 1, null_fd, errors[1], &ends);
	if (rc == 0)
		rc = launch_start(child->launch, ends.fds, ends.n, &child->launched);
	close_ends(&ends, null_fd, errors[1]);
	if (null_fd >= 0)
		close(null_fd);
	if (errors[1] >= 0)
		close(errors[1]);
	if (rc < 0) {
		if (errors[0] >= 0)
			close(errors[0]);
		return trouble_set(trouble, TROUBLE_CRASHED, "the process could not be started: %s", strerror(-rc));
	}
	child->error_fd = errors[0];
	fcntl(child->error_fd, F_SETFL, O_NONBLOCK);
	said_init(&child->said, child->services);
	return 0;
}

/* ---- Watching ---- */

/* Reads what the child says on standard error; false once nothing will come. */
static bool listen_to_errors(struct child *child)
{
	int rc = 1;

	for (int i = 0; i < FLOOD_PIECES && rc > 0; i++)
		rc = said_read(&child->said, child->error_fd);
	/* A flood is slowed down, so that it takes no processor from others. */
	if (rc > 0)
		nanosleep(&(struct timespec){ .tv_nsec = FLOOD_MS * (long)MS }, NULL);
	return rc != -EPIPE;
}

static int poll_until(struct pollfd *fds, nfds_t n, uint64_t now, uint64_t deadline_ns)
{
	uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
	const struct timespec timeout = { (time_t)(left / SECOND), (long)(left % SECOND) };

	return ppoll(fds, n, deadline_ns ? &timeout : NULL, NULL);
}

/* Whether the child has ended by the deadline; what it still says is heard. */
static bool has_ended(struct child *child, uint64_t deadline_ns)
{
	struct pollfd fds[] = {
		{ .fd = child->launched.pidfd, .events = POLLIN },
		{ .fd = child->error_fd, .events = POLLIN },
	};
	uint64_t now;

	do {
		now = now_ns(child);
		poll_until(fds, 2, now, deadline_ns > now ? deadline_ns : now);
		if (fds[1].revents && !listen_to_errors(child))
			fds[1].fd = -1;
	} while (!fds[0].revents && now < deadline_ns);
	return fds[0].revents;
}

static void set_ready(struct child *child)
{
	pthread_mutex_lock(&child->lock);
	child->state = CHILD_READY;
	child->life++;
	child->demanded.kind = TROUBLE_NONE;
	pthread_cond_broadcast(&child->changed);
	pthread_mutex_unlock(&child->lock);
}

/* Whether the child is to end, by now or because nobody wants it any more. */
static bool is_over(struct child *child, bool greeted, struct trouble *trouble, uint64_t *deadline_nsp)
{
	uint64_t silent = greeted ? child->speech->silent_since(child->speaker) : 0;
	bool over;

	*deadline_nsp = !greeted ? child->started_ns + child->start_ns : silent && child->hang_ns ? silent + child->hang_ns : 0;
	pthread_mutex_lock(&child->lock);
	over = child->stopping || child->demanded.kind != TROUBLE_NONE;
	if (child->demanded.kind != TROUBLE_NONE)
		*trouble = child->demanded;
	pthread_mutex_unlock(&child->lock);
	if (over || *deadline_nsp == 0 || now_ns(child) < *deadline_nsp)
		return over;
	trouble_set(trouble, TROUBLE_TIMEOUT, greeted ? "the process was ended: it had not answered for %llu ms" :
							 "the process did not answer within %llu ms of its start",
		    (unsigned long long)((greeted ? child->hang_ns : child->start_ns) / MS));
	return true;
}

/* What it said before it ended counts. */
static void hear_last_words(struct child *child, struct pollfd *fd, struct trouble *trouble)
{
	int rc = 0;

	/* Others may have its output, too, and never stop. */
	for (int i = 0; i < LAST_PIECES && rc >= 0 && poll(fd, 1, 0) > 0; i++)
		rc = child->speech->heard(child->speaker, trouble);
}

/* Sees to the child until it has ended or is to end. trouble: why, as far as it is known. */
static void watch(struct child *child, struct trouble *trouble)
{
	struct pollfd fds[] = {
		{ .fd = child->wake_fd, .events = POLLIN },
		{ .fd = child->launched.pidfd, .events = POLLIN },
		{ .fd = child->error_fd, .events = POLLIN },
		{ .events = POLLIN },
	};
	bool greeted = false;
	uint64_t deadline, wakes;
	int rc = child->speech->greet(child->speaker, trouble);

	while (rc >= 0 && !is_over(child, greeted, trouble, &deadline)) {
		fds[3].fd = child->speech->watched(child->speaker, greeted);
		if (poll_until(fds, 4, now_ns(child), deadline) <= 0)
			continue;
		if (fds[0].revents && read(child->wake_fd, &wakes, sizeof wakes) < 0)
			return;
		if (fds[2].revents && !listen_to_errors(child))
			fds[2].fd = -1;
		rc = fds[3].revents ? child->speech->heard(child->speaker, trouble) : 0;
		if (rc > 0 && !greeted) {
			greeted = true;
			set_ready(child);
		}
		if (fds[1].revents && rc == 0) {
			hear_last_words(child, &fds[3], trouble);
			return;
		}
	}
}

/* ---- Ending ---- */

/* Names the way in which a process ended of itself. */
static void name_end(const siginfo_t *info, const struct launched *launched, struct trouble *trouble)
{
	const char *name = info->si_code != CLD_EXITED ? sigabbrev_np(info->si_status) : NULL;
	char report[100];

	launch_report(launched, report, sizeof report);
	if (*report)
		trouble_set(trouble, TROUBLE_CRASHED, "the process could not be started: %s", report);
	else if (info->si_code == CLD_EXITED)
		trouble_set(trouble, TROUBLE_CRASHED, "the process ended with status %d", info->si_status);
	else if (name)
		trouble_set(trouble, TROUBLE_CRASHED, "the process was killed by SIG%s", name);
	else
		trouble_set(trouble, TROUBLE_CRASHED, "the process was killed by signal %d", info->si_status);
}

/* Ends the child, gently where it is only not wanted any more, and says why it ended. */
static void end(struct child *child, bool gently, struct trouble *trouble)
{
	const struct launched *launched = &child->launched;
	siginfo_t info = { .si_code = 0 };
	uint64_t now = now_ns(child);
	/* One that closed its output is likely to be about to end. */
	bool ended = has_ended(child, trouble->kind == TROUBLE_CRASHED ? now + LEAVE_MS * MS : 0);
	bool by_itself = ended && trouble->kind != TROUBLE_BROKEN;

	if (gently && !ended) {
		child->speech->part(child->speaker);
		ended = has_ended(child, now + child->stop_ns / 2);
		if (!ended)
			kill(-launched->pid, SIGTERM);
		ended = ended || has_ended(child, now + child->stop_ns);
	}
	if (!ended) {
		kill(launched->pid, SIGKILL);
		ended = has_ended(child, now_ns(child) + SECOND);
	}
	if (by_itself && waitid(P_PID, (id_t)launched->pid, &info, WEXITED | WNOWAIT) == 0)
		name_end(&info, launched, trouble);
	/* As long as it is not waited for, its number is that of nobody else's group. */
	kill(-launched->pid, SIGKILL);
	/* What hangs in the kernel is left to it, and is not waited for. */
	waitpid(launched->pid, NULL, ended ? 0 : WNOHANG);
	listen_to_errors(child);
	said_end(&child->said);
	close(child->error_fd);
	close(launched->report_fd);
	close(launched->pidfd);
}

/* ---- Between lives ---- */

static uint64_t pause_ms(const struct child *child)
{
	uint64_t pause = (uint64_t)PAUSE_MS << (child->deaths < 20 ? child->deaths - 1 : 19);

	return pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS;
}

static void log_death(const struct child *child)
{
	if (child->state == CHILD_QUARANTINED)
		child->services->log(child->services, BERTH_LOG_ERROR, "%s; it is started again once the file of its "
				     "program or its configuration changes, or berth adapters retry asks for it", child->trouble.text);
	else
		child->services->log(child->services, BERTH_LOG_WARNING, "%s; it is started again in %llu ms",
				     child->trouble.text, (unsigned long long)pause_ms(child));
}

/* Makes the end of a life known, and decides whether there will be another one. */
static void note_death(struct child *child, const struct trouble *trouble)
{
	bool lived = child->state == CHILD_READY && now_ns(child) - child->started_ns > PAUSE_MAX_MS * MS;
	struct quarantine quarantine = { 0 };

	_Static_assert(sizeof quarantine.reason == sizeof trouble->text, "a reason is the text of a trouble");

	pthread_mutex_lock(&child->lock);
	child->deaths = lived ? 1 : child->deaths + 1;
	child->trouble = *trouble;
	child->state = CHILD_DOWN;
	/* What was wanted of this life is not for the next one. */
	child->demanded.kind = TROUBLE_NONE;
	if (child->max_deaths > 0 && child->deaths >= child->max_deaths) {
		quarantine.since_ns = child->services->wall_ns(child->services);
		quarantine.n_deaths = child->deaths;
		memcpy(quarantine.reason, trouble->text, sizeof quarantine.reason);
		set_quarantine(child, &quarantine);
	}
	if (!is_unborn(child))
		log_death(child);
	pthread_cond_broadcast(&child->changed);
	pthread_mutex_unlock(&child->lock);
}

/* Waits until the child may be started again; false where nobody wants it any more. */
static bool rest(struct child *child)
{
	uint64_t until = now_ns(child) + pause_ms(child) * MS;
	char identity[LAUNCH_IDENTITY_MAX], identity_now[LAUNCH_IDENTITY_MAX];
	bool stopping;

	launch_identify(child->launch, identity);
	pthread_mutex_lock(&child->lock);
	while (!child->stopping && (child->state == CHILD_QUARANTINED || now_ns(child) < until)) {
		child_cond_wait(&child->changed, &child->lock,
				child->state == CHILD_QUARANTINED ? now_ns(child) + SECOND : until);
		launch_identify(child->launch, identity_now);
		if (child->state == CHILD_QUARANTINED && (strcmp(identity_now, identity) != 0 || is_wanted_again(child))) {
			lift_quarantine(child);
			until = 0;
		}
	}
	stopping = child->stopping;
	if (!stopping)
		child->state = CHILD_STARTING;
	pthread_mutex_unlock(&child->lock);
	return !stopping;
}

static bool is_stopping(struct child *child)
{
	bool stopping;

	pthread_mutex_lock(&child->lock);
	stopping = child->stopping;
	pthread_mutex_unlock(&child->lock);
	return stopping;
}

/* One life, from start to end. */
static void live(struct child *child)
{
	struct trouble trouble = { .kind = TROUBLE_NONE };
	bool stopping = false;

	if (start(child, &trouble) == 0) {
		watch(child, &trouble);
		stopping = is_stopping(child) && trouble.kind == TROUBLE_NONE;
		end(child, stopping, &trouble);
	}
	if (!stopping)
		note_death(child, &trouble);
	child->speech->disconnect(child->speaker, &trouble);
}

static void *keep(void *data)
{
	struct child *child = data;

	if (child->state == CHILD_QUARANTINED && !rest(child))
		return NULL;
	do
		live(child);
	while (!is_unborn(child) && !is_stopping(child) && rest(child));
	return NULL;
}

/* ---- From outside ---- */

static void destroy(struct child *child)
{
	if (child->wake_fd >= 0)
		close(child->wake_fd);
	pthread_cond_destroy(&child->changed);
	pthread_mutex_destroy(&child->lock);
	pthread_mutex_destroy(&child->own_standing.lock);
	launch_free(child->launch);
	free(child->name);
	free(child);
}

struct child *child_new(const struct child_settings *settings, struct launch *launch, const struct speech *speech,
			void *speaker)
{
	struct child *child = calloc(1, sizeof *child);

	if (!child) {
		launch_free(launch);
		return NULL;
	}
	child->services = settings->services;
	child->start_ns = settings->start_ns;
	child->stop_ns = settings->stop_ns;
	child->hang_ns = settings->hang_ns;
	child->max_deaths = settings->deaths;
	child->awaited = settings->awaited;
	child->launch = launch;
	child->speech = speech;
	child->speaker = speaker;
	child->name = strdup(settings->name);
	child->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&child->lock, NULL);
	pthread_mutex_init(&child->own_standing.lock, NULL);
	child->standing = settings->standing ? settings->standing : &child->own_standing;
	if (child_cond_init(&child->changed) < 0 || child->wake_fd < 0 || !child->name) {
		destroy(child);
		return NULL;
	}
	recall(child);
	if (thread_create_quiet(&child->keeper, keep, child) != 0) {
		destroy(child);
		return NULL;
	}
	return child;
}

void child_free(struct child *child)
{
	pthread_mutex_lock(&child->lock);
	child->stopping = true;
	pthread_cond_broadcast(&child->changed);
	pthread_mutex_unlock(&child->lock);
	child_nudge(child);
	pthread_join(child->keeper, NULL);
	remember(child);
	destroy(child);
}
