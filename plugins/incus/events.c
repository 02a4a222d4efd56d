/* SPDX-License-Identifier: MIT */
/*
 * Who asks for events a second time is going to ask again: then the cluster is listened to, and
 * listed only where it has told of something that cannot be taken over as it is, and now and
 * then for what it does not tell, such as a member that is gone. Where it cannot be
 * listened to it is listed twice a second at the most.
 *
 * Two programs do not tell an event at the same moment, nor in the same order. So a cursor says which
 * program has written it, and another goes back from there by the time within which both have
 * told all that has happened: some is told again, but none left out.
 */
#include "config.h"

#include "events.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "failure.h"
#include "incus.h"
#include "stream.h"

enum {
	POLL_MS = 500,	     /* between two lists */
	LISTENED_MS = 5000,  /* the same while the cluster is listened to */
	CLOCKS_MS = 10000,   /* by which the clocks of two programs may differ */
	PROGRAM_LEN = 8,
};

struct events {
	struct incus *incus;
	char program[PROGRAM_LEN + 1]; /* in cursors */
	pthread_mutex_t looking;
	struct stream *stream;	  /* NULL: not yet, or there is none; under looking */
	unsigned n_looks;	  /* until the stream is tried; the same */
	_Atomic uint64_t seen_ns; /* of the last list, by the monotonic clock; 0: none */
	atomic_bool live;	  /* the cluster is listened to */
	atomic_bool behind;	  /* there is something that only a list shows */
};

/* ---- What the cluster tells ---- */

static const char *text_in(const cJSON *object, const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));

	return text ? text : "";
}

/* Of /1.0/instances/NAME, which a query may follow. False: the event is of nothing of ours. */
static bool read_source(const struct incus *incus, const char *source, char key[NAMES_KEY_LEN + 1])
{
	char name[NAMES_CONTAINER_LEN + 2];
	size_t len = strcspn(source, "?"), begin = len;

	while (begin > 0 && source[begin - 1] != '/')
		begin--;
	snprintf(name, sizeof name, "%.*s", (int)(len - begin), source + begin);
	return names_key_of_container(name, incus->workspace, key);
}

/* False: only a list shows what it means. */
static bool take_action(const struct incus *incus, const char *action, const char *key, uint64_t at_ns)
{
	static const struct {
		const char *action;
		enum worker_status statuses[2];
		size_t n;
	} actions[] = {
		{ "instance-created", { 0 }, 0 },
		{ "instance-updated", { 0 }, 0 },
		{ "instance-started", { WORKER_RUNNING }, 1 },
		{ "instance-resumed", { WORKER_RUNNING }, 1 },
		{ "instance-restarted", { WORKER_STOPPED, WORKER_RUNNING }, 2 },
		{ "instance-stopped", { WORKER_STOPPED }, 1 },
		{ "instance-shutdown", { WORKER_STOPPED }, 1 },
		{ "instance-paused", { WORKER_FROZEN }, 1 },
	};

	if (strcmp(action, "instance-deleted") == 0) {
		roster_remove(incus->roster, key, at_ns);
		return false; /* a list that was asked for before may bring it back */
	}
	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
		bool known = actions[i].n > 0;

		if (strcmp(actions[i].action, action) != 0)
			continue;
		for (size_t j = 0; j < actions[i].n; j++)
			known = roster_note(incus->roster, key, actions[i].statuses[j], at_ns, incus_now(incus)) && known;
		return known;
	}
	return true; /* files that are read and written, commands that are run */
}

/* {"timestamp": ..., "metadata": {"action": "instance-started", "source": ...}} */
static bool take_event(const struct incus *incus, const char *text, size_t len)
{
	cJSON *event = cJSON_ParseWithLength(text, len);
	const cJSON *what = cJSON_GetObjectItemCaseSensitive(event, "metadata");
	uint64_t now_ns = incus_now(incus).wall_ns, at_ns = worker_read_time(text_in(event, "timestamp"));
	char key[NAMES_KEY_LEN + 1];
	bool taken = event;

	if (read_source(incus, text_in(what, "source"), key))
		taken = take_action(incus, text_in(what, "action"), key, at_ns && at_ns < now_ns ? at_ns : now_ns);
	cJSON_Delete(event);
	return taken;
}

/* Of the stream, in its thread. */
static void take_news(void *data, enum stream_news news, const char *text, size_t len)
{
	struct events *events = data;

	if (news != STREAM_TOLD || !take_event(events->incus, text, len))
		atomic_store(&events->behind, true);
	if (news == STREAM_BEGUN || news == STREAM_ENDED)
		atomic_store(&events->live, news == STREAM_BEGUN);
}

/* ---- What is listed ---- */

static bool is_due(const struct events *events, uint64_t now_ns)
{
	bool listened = atomic_load(&events->live) && !atomic_load(&events->behind);
	uint64_t seen_ns = atomic_load(&events->seen_ns);

	return !seen_ns || now_ns - seen_ns >= (listened ? LISTENED_MS : POLL_MS) * UINT64_C(1000000);
}

/* Looks for what is new, unless somebody does or just has. */
static int look(struct events *events, struct berth_call *call)
{
	const struct berth_services *services = call->services;
	int rc = 0;

	if (!is_due(events, services->monotonic_ns(services)) || pthread_mutex_trylock(&events->looking) != 0)
		return 0;
	if (events->n_looks < 2 && ++events->n_looks == 2)
		stream_open(events->incus->client, services, take_news, events, &events->stream);
	atomic_store(&events->behind, false);
	rc = incus_survey(events->incus, call);
	if (rc < 0)
		atomic_store(&events->behind, true);
	atomic_store(&events->seen_ns, services->monotonic_ns(services));
	pthread_mutex_unlock(&events->looking);
	return rc;
}

/* ---- Cursors: IDENTITY-PROGRAM-EVENT, of the runtime, the program and the event behind which it stands ---- */

enum {
	CURSOR_EVENT = NAMES_KEY_LEN + 1 + PROGRAM_LEN + 1, /* where its number begins */
	CURSOR_SIZE = CURSOR_EVENT + 24,
};

static struct berth_text write_cursor(const struct events *events, const char *program, uint64_t event_id, char cursor[CURSOR_SIZE])
{
	return (struct berth_text){ cursor, (size_t)snprintf(cursor, CURSOR_SIZE, "%s-%.*s-%llu", events->incus->identity,
							     PROGRAM_LEN, program, (unsigned long long)event_id) };
}

/* False where the cursor is none that was written here, or in another program; then it is written otherwise. */
static bool read_cursor(const struct events *events, struct berth_text text, uint64_t *event_idp)
{
	const struct incus *incus = events->incus;
	uint64_t last = roster_last_event(incus->roster), event_id = 0,
		 next = incus_now(incus).wall_ns / 1000 + CLOCKS_MS * UINT64_C(1000), /* at the latest */
		 back = (incus->spawn_timeout_ms + incus->timeout_ms + CLOCKS_MS) * 1000;
	char copy[CURSOR_SIZE], again[CURSOR_SIZE];
	const char *program = copy + NAMES_KEY_LEN + 1;
	struct berth_text written;

	if (text.ptr) {
		if (text.len <= CURSOR_EVENT || text.len >= CURSOR_SIZE)
			return false;
		snprintf(copy, sizeof copy, "%.*s", (int)text.len, text.ptr);
		if (strspn(program, "0123456789abcdef") != PROGRAM_LEN)
			return false;
		event_id = strtoull(copy + CURSOR_EVENT, NULL, 10);
		written = write_cursor(events, program, event_id, again);
		if (written.len != text.len || memcmp(written.ptr, text.ptr, text.len) != 0 || (event_id > last && event_id > next))
			return false;
		if (strncmp(program, events->program, PROGRAM_LEN) != 0)
			event_id = event_id > back ? event_id - back : 0;
	}
	*event_idp = event_id;
	return true;
}

/* ---- The operation ---- */

static int push_event(const struct events *events, struct berth_call *call, const struct event *entry)
{
	char id[NAMES_WORKER_LEN + 1], cursor[CURSOR_SIZE];
	struct berth_event event = {
		.size = sizeof event,
		.event_id = entry->id,
		.kind = berth_text(entry->kind),
		.occurred_at_ns = entry->at_ns,
		.cursor = write_cursor(events, events->program, entry->id, cursor),
	};

	if (*entry->key)
		event.worker_id = names_worker(entry->key, id);
	return call->sink->event(call, &event);
}

int events_read(struct events *events, struct berth_call *call, const struct berth_events_request *request)
{
	struct berth_answer answer = { .size = sizeof answer, .state = BERTH_ACCEPTED };
	struct event found[READ_LIMIT];
	char cursor[CURSOR_SIZE];
	uint64_t after;
	bool more;
	size_t n;
	int rc;

	if (request->limit > READ_LIMIT)
		return failure_reject(call, FAILURE_LIMIT_TOO_LARGE);
	rc = look(events, call);
	if (!read_cursor(events, request->cursor, &after))
		return failure_reject(call, FAILURE_CURSOR_INVALID);
	n = roster_events(events->incus->roster, after, found, (size_t)request->limit, &more);
	answer.more = more;
	answer.next_cursor = write_cursor(events, events->program, n > 0 ? found[n - 1].id : after, cursor);
	call->sink->answer(call, &answer);
	for (size_t i = 0; i < n; i++)
		if (push_event(events, call, &found[i]))
			break;
	return rc < 0 ? failure_add(call, FAILURE_EVENTS_POLLED) : 0;
}

struct events *events_new(struct incus *incus)
{
	struct events *events = calloc(1, sizeof *events);
	unsigned random;

	if (!events || getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) {
		free(events);
		return NULL;
	}
	events->incus = incus;
	snprintf(events->program, sizeof events->program, "%08x", random);
	pthread_mutex_init(&events->looking, NULL);
	return events;
}

void events_free(struct events *events)
{
	if (!events)
		return;
	if (events->stream)
		stream_close(events->stream);
	pthread_mutex_destroy(&events->looking);
	free(events);
}
