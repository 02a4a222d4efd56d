/* SPDX-License-Identifier: MIT */
/*
 * Identifiers of events are microseconds of the wall clock, raised where they would not rise:
 * so they go on across programs, without anything that would have to be kept, and stay
 * below 2^53. A program that begins anew tells of every worker that is there, under the
 * time of its creation, and so with the identifier that another has told it by; of those
 * that do not run it says so once, since nobody knows whether that was told.
 */
#include "config.h"

#include "roster.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { EVENTS_MAX = 16384 };

#define TIME_MAX_S INT64_C(10000000000) /* in the year 2286 */

struct roster {
	pthread_mutex_t lock;
	struct worker *workers; /* by key */
	size_t n, size;
	struct event *events; /* a ring, from first on */
	size_t n_events, first, events_size;
	uint64_t last_event;
};

const char *const worker_status_names[N_WORKER_STATUSES] = {
	[WORKER_RUNNING] = "running",
	[WORKER_STOPPED] = "stopped",
	[WORKER_FROZEN] = "frozen",
	[WORKER_FAULTY] = "faulty",
	[WORKER_UNREACHABLE] = "unreachable",
};

/* ---- Reading ---- */

static const char *text_of(const cJSON *object, const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));

	return text ? text : "";
}

/* Z or +01:00, in seconds. */
static bool read_offset(const char *text, long *secondsp)
{
	unsigned hours, minutes;
	int len = 0;

	*secondsp = 0;
	if (strcmp(text, "Z") == 0)
		return true;
	if ((*text != '+' && *text != '-') || sscanf(text + 1, "%2u:%2u%n", &hours, &minutes, &len) != 2 || text[1 + len])
		return false;
	*secondsp = (*text == '-' ? -60L : 60L) * (long)(hours * 60 + minutes);
	return true;
}

uint64_t worker_read_time(const char *text)
{
	struct tm tm = { 0 };
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	time_t seconds = rest ? timegm(&tm) : 0;
	uint64_t ns = 0, unit = 100000000;
	long offset;

	if (!rest)
		return 0;
	if (*rest == '.')
		for (rest++; *rest >= '0' && *rest <= '9'; rest++, unit /= 10)
			ns += (uint64_t)(*rest - '0') * unit;
	if (!read_offset(rest, &offset) || seconds <= offset || seconds - offset > TIME_MAX_S)
		return 0;
	return (uint64_t)(seconds - offset) * 1000000000 + ns;
}

static enum worker_status read_status(const char *text)
{
	static const struct {
		const char *text;
		enum worker_status status;
	} statuses[] = {
		{ "Running", WORKER_RUNNING },	{ "Ready", WORKER_RUNNING },   { "Stopping", WORKER_RUNNING },
		{ "Stopped", WORKER_STOPPED },	{ "Starting", WORKER_STOPPED }, { "Aborting", WORKER_STOPPED },
		{ "Frozen", WORKER_FROZEN },	{ "Freezing", WORKER_FROZEN },
	};

	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
		if (strcmp(statuses[i].text, text) == 0)
			return statuses[i].status;
	return WORKER_FAULTY;
}

int worker_read(const cJSON *json, const char *workspace, const char *mark, struct moment asked, struct worker *worker)
{
	const cJSON *config = cJSON_GetObjectItemCaseSensitive(json, "config");
	int rc;

	*worker = (struct worker){ 0 };
	if (!names_key_of_container(text_of(json, "name"), workspace, worker->key))
		return -ENOENT;
	rc = names_host(text_of(json, "location"), worker->host);
	if (rc < 0)
		return rc;
	/* That of a member that is down has none. */
	if (!cJSON_IsObject(config) || !config->child) {
		worker->status = worker->last_status = WORKER_UNREACHABLE;
		worker->made = true;
		return 0;
	}
	if (strcmp(text_of(config, "user.berth.workspace"), mark) != 0)
		return -ENOENT;
	worker->status = worker->last_status = read_status(text_of(json, "status"));
	worker->made = strcmp(text_of(config, "user.berth.step"), "made") == 0;
	worker->created_ns = worker_read_time(text_of(json, "created_at"));
	if (worker->created_ns > asked.wall_ns) /* by a clock that is ahead of ours */
		worker->created_ns = asked.wall_ns;
	worker->seen = asked;
	snprintf(worker->role, sizeof worker->role, "%s", text_of(config, "user.berth.role"));
	snprintf(worker->profile, sizeof worker->profile, "%s", text_of(config, "user.berth.profile"));
	snprintf(worker->label, sizeof worker->label, "%s", text_of(config, "user.berth.name"));
	return 0;
}

/* ---- The log ---- */

/* Makes room for n more, dropping the first ones. False: there is no memory. */
static bool events_reserve(struct roster *roster, size_t n)
{
	size_t size = roster->events_size ? roster->events_size : 64;
	struct event *events;

	while (size < roster->n_events + n && size < EVENTS_MAX)
		size *= 2;
	if (size == roster->events_size)
		return true;
	events = calloc(size, sizeof *events);
	if (!events)
		return false;
	assert(roster->n_events <= roster->events_size);
	for (size_t i = 0; i < roster->n_events; i++)
		events[i] = roster->events[(roster->first + i) % roster->events_size];
	free(roster->events);
	roster->events = events;
	roster->events_size = size;
	roster->first = 0;
	return true;
}

static void tell(struct roster *roster, const char *kind, const char *key, uint64_t id_ns, uint64_t at_ns)
{
	struct event *event;
	uint64_t id = id_ns / 1000;

	if (roster->n_events == roster->events_size) {
		roster->first = (roster->first + 1) % roster->events_size;
		roster->n_events--;
	}
	event = &roster->events[(roster->first + roster->n_events++) % roster->events_size];
	roster->last_event = id > roster->last_event ? id : roster->last_event + 1;
	*event = (struct event){ .id = roster->last_event, .at_ns = at_ns, .kind = kind };
	strcpy(event->key, key);
}

static void tell_created(struct roster *roster, const struct worker *worker, uint64_t now_ns)
{
	tell(roster, "worker_created", worker->key, worker->created_ns ? worker->created_ns : now_ns, worker->created_ns);
}

/* What of a worker is news, but for its creation. before: NULL where it was not known. */
static void tell_status(struct roster *roster, const struct worker *before, const struct worker *worker, uint64_t now_ns)
{
	static const char *const kinds[N_WORKER_STATUSES] = {
		[WORKER_RUNNING] = "worker_started",	  [WORKER_STOPPED] = "worker_stopped",
		[WORKER_FROZEN] = "worker_frozen",	  [WORKER_FAULTY] = "worker_faulty",
		[WORKER_UNREACHABLE] = "worker_unreachable",
	};

	if (before ? before->status != worker->status : worker->status != WORKER_RUNNING)
		tell(roster, kinds[worker->status], worker->key, now_ns, before ? now_ns : 0);
}

/* ---- The workers ---- */

struct roster *roster_new(void)
{
	struct roster *roster = calloc(1, sizeof *roster);

	if (roster)
		pthread_mutex_init(&roster->lock, NULL);
	return roster;
}

void roster_free(struct roster *roster)
{
	if (!roster)
		return;
	pthread_mutex_destroy(&roster->lock);
	free(roster->workers);
	free(roster->events);
	free(roster);
}

int worker_compare(const void *a, const void *b)
{
	return strcmp(((const struct worker *)a)->key, ((const struct worker *)b)->key);
}

static struct worker *find(const struct roster *roster, const char *key)
{
	struct worker wanted = { 0 };

	memcpy(wanted.key, key, sizeof wanted.key);
	return roster->n ? bsearch(&wanted, roster->workers, roster->n, sizeof wanted, worker_compare) : NULL;
}

/* What is not said now was said before. */
static void fill_in(struct worker *worker, const struct worker *before)
{
	struct worker now = *worker;

	if (worker->status != WORKER_UNREACHABLE || !before)
		return;
	*worker = *before;
	worker->status = WORKER_UNREACHABLE;
	memcpy(worker->host, now.host, sizeof worker->host);
}

/* Of those that are new, by creation: so are their events. */
static int compare_created(const void *a, const void *b)
{
	const struct worker *const *x = a, *const *y = b;

	if ((*x)->created_ns != (*y)->created_ns)
		return (*x)->created_ns < (*y)->created_ns ? -1 : 1;
	return worker_compare(*x, *y);
}

static void tell_new(struct roster *roster, const struct worker **news, size_t n, uint64_t now_ns)
{
	if (n > 0)
		qsort(news, n, sizeof *news, compare_created);
	for (size_t i = 0; i < n; i++)
		tell_created(roster, news[i], now_ns);
	for (size_t i = 0; i < n; i++)
		tell_status(roster, NULL, news[i], now_ns);
}

/* Joins what was listed to what was known, both sorted. merged and news have room for all. What
 * was seen after the list was asked for is newer than it. */
static size_t merge(struct roster *roster, const struct roster_list *list, struct worker *merged, const struct worker **news,
		    size_t *n_newsp)
{
	size_t n = 0, j = 0;

	for (size_t i = 0; i < list->n || j < roster->n;) {
		int order = j == roster->n ? -1 : i == list->n ? 1 : worker_compare(&list->workers[i], &roster->workers[j]);
		const struct worker *before = order >= 0 ? &roster->workers[j++] : NULL;
		const struct worker *now = order <= 0 ? &list->workers[i++] : NULL;

		if (order >= 0 && before->seen.clock_ns >= list->asked.clock_ns) {
			merged[n++] = *before;
		} else if (order > 0) {
			tell(roster, "worker_removed", before->key, list->asked.wall_ns, list->asked.wall_ns);
		} else {
			merged[n] = *now;
			if (order == 0) {
				fill_in(&merged[n], before);
				tell_status(roster, before, &merged[n], list->asked.wall_ns);
			} else {
				news[(*n_newsp)++] = &merged[n];
			}
			n++;
		}
	}
	return n;
}

int roster_replace(struct roster *roster, const struct roster_list *list)
{
	const struct worker **news;
	struct worker *merged;
	size_t n_news = 0, n;
	int rc = -ENOMEM;

	pthread_mutex_lock(&roster->lock);
	n = list->n + roster->n + 1;
	news = calloc(n, sizeof *news);
	merged = calloc(n, sizeof *merged);
	if (news && merged && events_reserve(roster, 2 * n)) {
		n = merge(roster, list, merged, news, &n_news);
		tell_new(roster, news, n_news, list->asked.wall_ns);
		free(roster->workers);
		roster->size = list->n + roster->n + 1;
		roster->workers = merged;
		roster->n = n;
		merged = NULL;
		rc = 0;
	}
	pthread_mutex_unlock(&roster->lock);
	free(news);
	free(merged);
	return rc;
}

static int insert(struct roster *roster, const struct worker *worker)
{
	size_t at = 0;

	if (roster->n == roster->size) {
		size_t size = roster->size ? roster->size * 2 : 16;
		struct worker *more = realloc(roster->workers, size * sizeof *more);

		if (!more)
			return -ENOMEM;
		roster->workers = more;
		roster->size = size;
	}
	while (at < roster->n && worker_compare(&roster->workers[at], worker) < 0)
		at++;
	memmove(&roster->workers[at + 1], &roster->workers[at], (roster->n++ - at) * sizeof *worker);
	roster->workers[at] = *worker;
	return 0;
}

int roster_enter(struct roster *roster, struct worker *worker, struct moment asked)
{
	struct worker *entry;
	int rc;

	pthread_mutex_lock(&roster->lock);
	entry = find(roster, worker->key);
	rc = events_reserve(roster, 2) ? 0 : -ENOMEM;
	if (rc == 0 && !entry) {
		rc = insert(roster, worker);
		if (rc == 0) {
			tell_created(roster, worker, asked.wall_ns);
			tell_status(roster, NULL, worker, asked.wall_ns);
		}
	} else if (rc == 0 && entry->seen.clock_ns > asked.clock_ns) {
		*worker = *entry;
	} else if (rc == 0) {
		fill_in(worker, entry);
		tell_status(roster, entry, worker, asked.wall_ns);
		*entry = *worker;
	}
	pthread_mutex_unlock(&roster->lock);
	return rc;
}

bool roster_note(struct roster *roster, const char *key, enum worker_status status, uint64_t at_ns, struct moment now)
{
	struct worker *entry, before;
	bool taken;

	pthread_mutex_lock(&roster->lock);
	entry = find(roster, key);
	taken = entry && events_reserve(roster, 1);
	if (taken) {
		before = *entry;
		entry->status = entry->last_status = status;
		entry->seen = now;
		tell_status(roster, &before, entry, at_ns);
	}
	pthread_mutex_unlock(&roster->lock);
	return taken;
}

void roster_lose_all(struct roster *roster)
{
	pthread_mutex_lock(&roster->lock);
	for (size_t i = 0; i < roster->n; i++)
		roster->workers[i].status = WORKER_UNREACHABLE;
	pthread_mutex_unlock(&roster->lock);
}

void roster_remove(struct roster *roster, const char *key, uint64_t now_ns)
{
	struct worker *entry;

	pthread_mutex_lock(&roster->lock);
	entry = find(roster, key);
	if (entry && events_reserve(roster, 1)) {
		tell(roster, "worker_removed", key, now_ns, now_ns);
		memmove(entry, entry + 1, (size_t)(roster->workers + --roster->n - entry) * sizeof *entry);
	}
	pthread_mutex_unlock(&roster->lock);
}

bool roster_find(struct roster *roster, const char *key, struct worker *worker)
{
	const struct worker *entry;

	pthread_mutex_lock(&roster->lock);
	entry = find(roster, key);
	if (entry)
		*worker = *entry;
	pthread_mutex_unlock(&roster->lock);
	return entry;
}

int roster_each(struct roster *roster, int (*visit)(void *data, const struct worker *worker), void *data)
{
	int rc = 0;

	pthread_mutex_lock(&roster->lock);
	for (size_t i = 0; i < roster->n && rc == 0; i++)
		rc = visit(data, &roster->workers[i]);
	pthread_mutex_unlock(&roster->lock);
	return rc;
}

size_t roster_events(struct roster *roster, uint64_t after, struct event *events, size_t n, bool *morep)
{
	size_t low = 0, high, found = 0;

	pthread_mutex_lock(&roster->lock);
	high = roster->n_events;
	while (low < high) {
		size_t middle = (low + high) / 2;

		if (roster->events[(roster->first + middle) % roster->events_size].id <= after)
			low = middle + 1;
		else
			high = middle;
	}
	for (; found < n && low < roster->n_events; found++, low++)
		events[found] = roster->events[(roster->first + low) % roster->events_size];
	*morep = low < roster->n_events;
	pthread_mutex_unlock(&roster->lock);
	return found;
}

uint64_t roster_last_event(struct roster *roster)
{
	uint64_t last;

	pthread_mutex_lock(&roster->lock);
	last = roster->last_event;
	pthread_mutex_unlock(&roster->lock);
	return last;
}
