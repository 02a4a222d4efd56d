/* SPDX-License-Identifier: MIT */
/*
 * What is promised by an answer must be on disk by then, and a disk takes long to
 * promise anything, but as long for a hundred changes as for one. So changes are
 * queued; the first caller who finds nobody at work leads: it carries out all that is
 * queued in one transaction, and then wakes those whose changes they were, and the
 * next leader. A change that fails takes no other down with it: the transaction is
 * taken back, and each is carried out alone.
 *
 * What retention drops is dropped in small portions along with other changes, and
 * looked for now and then, so that nobody waits for it.
 */
#include "config.h"

#include "catalogue.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { DROP_AT_ONCE = 256 };

#define DAY_NS (UINT64_C(86400) * 1000000000)
#define SWEEP_NS (UINT64_C(60) * 1000000000)

struct change {
	int (*make)(struct catalogue *catalogue, struct change *change); /* under the lock */
	uint64_t number;               /* of the worker */
	enum worker_assignment assignment; /* of a spawn */
	enum worker_state rest;        /* of a stop */
	bool is_system;                /* these two of an input */
	struct berth_text content;

	/* What came of it: */
	int rc;
	struct catalogue_worker worker;
	struct catalogue_receipt receipt;

	/* In the queue: */
	struct change *next;
	pthread_cond_t wake;
	bool done, leads;
};

struct catalogue {
	struct store *store;
	const struct store_ops *ops;
	const struct berth_services *services;
	struct catalogue_retention retention;
	pthread_mutex_t lock; /* over the store and what follows */
	struct store_head head;
	atomic_bool damaged;
	atomic_uint_fast64_t last_event; /* that is kept, for those who wait for the next */
	atomic_uint_fast64_t sweep_at_ns; /* when retention is looked after next */
	pthread_mutex_t queue_lock;       /* over what follows; never held while the lock is taken */
	struct change *queue, **queue_end;
	bool led; /* somebody is at work on what was queued before */
};

/* ---- Changes. Under the lock. Each gives numbers only once the store has taken it. ---- */

static struct catalogue_event next_event(const struct catalogue *catalogue, enum event_kind kind, uint64_t worker)
{
	uint64_t now = catalogue->services->wall_ns(catalogue->services);

	return (struct catalogue_event){
		.id = catalogue->head.last_event + 1,
		.kind = kind,
		.at_ns = now > catalogue->head.last_at_ns ? now : catalogue->head.last_at_ns,
		.worker = worker,
	};
}

static int apply(struct catalogue *catalogue, const struct catalogue_worker *worker,
		 const struct catalogue_event *event, const struct catalogue_item *item)
{
	int rc = catalogue->ops->apply(catalogue->store, worker, event, item);

	if (rc < 0)
		return rc;
	catalogue->head.last_event = event->id;
	catalogue->head.last_at_ns = event->at_ns;
	return 0;
}

static int make_start(struct catalogue *catalogue, struct change *change)
{
	struct catalogue_event event = next_event(catalogue, EVENT_STARTED, 0);

	(void)change;
	return apply(catalogue, NULL, &event, NULL);
}

static int make_spawn(struct catalogue *catalogue, struct change *change)
{
	struct catalogue_worker worker = {
		.number = catalogue->head.last_worker + 1,
		.assignment = change->assignment,
	};
	struct catalogue_event event = next_event(catalogue, EVENT_CREATED, worker.number);
	int rc = apply(catalogue, &worker, &event, NULL);

	if (rc < 0)
		return rc;
	catalogue->head.last_worker = worker.number;
	change->worker = worker;
	return 0;
}

static int make_stop(struct catalogue *catalogue, struct change *change)
{
	struct catalogue_worker worker;
	struct catalogue_event event;
	int rc = catalogue->ops->get_worker(catalogue->store, change->number, &worker);

	if (rc < 0 || worker.state != WORKER_RUNNING)
		return rc;
	event = next_event(catalogue, change->rest == WORKER_STOPPED ? EVENT_STOPPED : EVENT_CANCELLED, worker.number);
	worker.state = change->rest;
	worker.rested_at_ns = event.at_ns;
	return apply(catalogue, &worker, &event, NULL);
}

/* Drops the items that are there, at most a portion, until only the newest so many are left. */
static int drop_items(struct catalogue *catalogue, struct catalogue_worker *worker, uint64_t n_left)
{
	uint64_t n = worker->n_items - worker->n_dropped;

	if (n <= n_left)
		return 0;
	n -= n_left;
	worker->n_dropped += n < DROP_AT_ONCE ? n : DROP_AT_ONCE;
	return catalogue->ops->drop_items(catalogue->store, worker);
}

static int make_input(struct catalogue *catalogue, struct change *change)
{
	struct catalogue_item item = { .is_system = change->is_system, .content = change->content };
	struct catalogue_worker worker;
	struct catalogue_event event;
	int rc = catalogue->ops->get_worker(catalogue->store, change->number, &worker);

	if (rc < 0)
		return rc;
	if (worker.state != WORKER_RUNNING)
		return -EPERM;
	event = next_event(catalogue, EVENT_INPUT, worker.number);
	event.sequence = item.sequence = ++worker.n_items;
	item.event_id = event.id;
	rc = apply(catalogue, &worker, &event, &item);
	if (rc == 0 && catalogue->retention.items > 0)
		rc = drop_items(catalogue, &worker, catalogue->retention.items);
	change->receipt = (struct catalogue_receipt){ item.sequence, event.id };
	return rc;
}

/* ---- Retention ---- */

static bool is_over(uint64_t at_ns, uint64_t days, uint64_t now_ns)
{
	return days > 0 && days <= now_ns / DAY_NS && at_ns <= now_ns - days * DAY_NS;
}

/* -ENOENT here only says that there is nothing left to do. */
static int drop_oldest_item(struct catalogue *catalogue, uint64_t now_ns)
{
	struct catalogue_worker worker;
	struct catalogue_event event;
	int rc = catalogue->ops->oldest_item(catalogue->store, &event);

	if (rc == 0 && !is_over(event.at_ns, catalogue->retention.days, now_ns))
		rc = -ENOENT;
	if (rc < 0)
		return rc;
	rc = catalogue->ops->get_worker(catalogue->store, event.worker, &worker);
	if (rc < 0)
		return rc == -ENOENT ? -EBADMSG : rc;
	return drop_items(catalogue, &worker, worker.n_items - event.sequence);
}

static int drop_from_oldest_rest(struct catalogue *catalogue, uint64_t now_ns)
{
	struct catalogue_worker worker;
	int rc = catalogue->ops->oldest_rest(catalogue->store, &worker);

	if (rc == 0 && !is_over(worker.rested_at_ns, catalogue->retention.resting_days, now_ns))
		rc = -ENOENT;
	if (rc < 0)
		return rc;
	return worker.n_dropped < worker.n_items ? drop_items(catalogue, &worker, 0) :
						   catalogue->ops->drop_worker(catalogue->store, worker.number);
}

/* Drops a portion; the next call goes on where there may be more. */
static int make_sweep(struct catalogue *catalogue, struct change *change)
{
	uint64_t now_ns = catalogue->services->wall_ns(catalogue->services);
	int rc = 0;

	(void)change;
	for (size_t n = 0; n < DROP_AT_ONCE && rc == 0; n++)
		rc = drop_oldest_item(catalogue, now_ns);
	if (rc == -ENOENT)
		rc = drop_from_oldest_rest(catalogue, now_ns);
	if (rc == 0)
		atomic_store(&catalogue->sweep_at_ns, 0);
	return rc;
}

/* ---- Carrying out ---- */

/* What is no fault of the store. */
static bool is_refusal(int rc)
{
	return rc == -ENOENT || rc == -EPERM;
}

/* Carries out all or nothing of it, refusals apart. */
static int carry_out_together(struct catalogue *catalogue, struct change *first)
{
	const struct store_head before = catalogue->head;
	int rc = catalogue->ops->begin(catalogue->store);

	for (struct change *change = first; change && rc == 0; change = change->next) {
		change->rc = change->make(catalogue, change);
		if (!is_refusal(change->rc))
			rc = change->rc;
	}
	if (rc == 0)
		rc = catalogue->ops->commit(catalogue->store, &catalogue->head);
	if (rc < 0) {
		catalogue->ops->rollback(catalogue->store);
		catalogue->head = before;
	}
	return rc;
}

static void carry_out_alone(struct catalogue *catalogue, struct change *change)
{
	struct change *next = change->next;
	int rc;

	change->next = NULL;
	rc = carry_out_together(catalogue, change);
	change->next = next;
	if (rc < 0)
		change->rc = rc;
}

static void carry_out(struct catalogue *catalogue, struct change *first)
{
	int rc = carry_out_together(catalogue, first);

	if (rc == 0)
		return;
	first->rc = rc;
	for (struct change *change = first->next ? first : NULL; change; change = change->next)
		carry_out_alone(catalogue, change);
}

/* Under the lock, once changes have been kept. */
static void publish(struct catalogue *catalogue)
{
	atomic_store(&catalogue->last_event, catalogue->head.last_event);
}

/* Notes damage, whoever met it. */
static int judge(struct catalogue *catalogue, int rc)
{
	if (rc == -EBADMSG)
		atomic_store(&catalogue->damaged, true);
	return rc;
}

/* Under the lock of the queue, which is let go of for the work. */
static void lead(struct catalogue *catalogue)
{
	struct change *batch = catalogue->queue, *next;

	catalogue->queue = NULL;
	catalogue->queue_end = &catalogue->queue;
	pthread_mutex_unlock(&catalogue->queue_lock);
	pthread_mutex_lock(&catalogue->lock);
	carry_out(catalogue, batch);
	publish(catalogue);
	pthread_mutex_unlock(&catalogue->lock);
	pthread_mutex_lock(&catalogue->queue_lock);
	for (; batch; batch = next) {
		next = batch->next;
		batch->done = true;
		pthread_cond_signal(&batch->wake);
	}
	catalogue->led = catalogue->queue;
	if (catalogue->queue) {
		catalogue->queue->leads = true;
		pthread_cond_signal(&catalogue->queue->wake);
	}
}

static void queue(struct catalogue *catalogue, struct change *change)
{
	pthread_cond_init(&change->wake, NULL);
	pthread_mutex_lock(&catalogue->queue_lock);
	*catalogue->queue_end = change;
	catalogue->queue_end = &change->next;
	if (!catalogue->led)
		catalogue->led = change->leads = true;
	while (!change->done && !change->leads)
		pthread_cond_wait(&change->wake, &catalogue->queue_lock);
	if (!change->done)
		lead(catalogue);
	pthread_mutex_unlock(&catalogue->queue_lock);
	pthread_cond_destroy(&change->wake);
}

static int submit(struct catalogue *catalogue, struct change *change)
{
	if (catalogue_is_damaged(catalogue))
		return -EBADMSG;
	if (catalogue->ops->begin) {
		queue(catalogue, change);
	} else {
		pthread_mutex_lock(&catalogue->lock);
		change->rc = change->make(catalogue, change);
		publish(catalogue);
		pthread_mutex_unlock(&catalogue->lock);
	}
	return judge(catalogue, change->rc);
}

/* Looks after retention once in a while. What is in the way of it passes, or is met by
 * the caller as well. */
static void sweep(struct catalogue *catalogue)
{
	struct change change = { .make = make_sweep };
	uint_fast64_t now_ns, at_ns;

	if (catalogue->retention.days == 0 && catalogue->retention.resting_days == 0)
		return;
	now_ns = catalogue->services->monotonic_ns(catalogue->services);
	at_ns = atomic_load(&catalogue->sweep_at_ns);
	if (now_ns >= at_ns && atomic_compare_exchange_strong(&catalogue->sweep_at_ns, &at_ns, now_ns + SWEEP_NS))
		submit(catalogue, &change);
}

/* ---- Open, close ---- */

static int start(struct catalogue *catalogue)
{
	struct change change = { .make = make_start };

	return catalogue->head.last_event > 0 ? 0 : submit(catalogue, &change);
}

int catalogue_open(struct store *store, const struct catalogue_retention *retention,
		   const struct berth_services *services, struct catalogue **cataloguep)
{
	struct catalogue *catalogue = calloc(1, sizeof *catalogue);
	int rc;

	if (!catalogue) {
		store->ops->close(store);
		return -ENOMEM;
	}
	catalogue->store = store;
	catalogue->ops = store->ops;
	catalogue->services = services;
	catalogue->retention = *retention;
	catalogue->head = store->head;
	publish(catalogue);
	catalogue->queue_end = &catalogue->queue;
	pthread_mutex_init(&catalogue->lock, NULL);
	pthread_mutex_init(&catalogue->queue_lock, NULL);
	rc = start(catalogue);
	if (rc < 0) {
		catalogue_close(catalogue);
		return rc;
	}
	*cataloguep = catalogue;
	return 0;
}

void catalogue_close(struct catalogue *catalogue)
{
	if (!catalogue)
		return;
	catalogue->ops->close(catalogue->store);
	pthread_mutex_destroy(&catalogue->lock);
	pthread_mutex_destroy(&catalogue->queue_lock);
	free(catalogue);
}

bool catalogue_is_damaged(const struct catalogue *catalogue)
{
	return atomic_load(&catalogue->damaged);
}

/* ---- The operations ---- */

int catalogue_spawn(struct catalogue *catalogue, enum worker_assignment assignment, struct catalogue_worker *worker)
{
	struct change change = { .make = make_spawn, .assignment = assignment };
	int rc;

	sweep(catalogue);
	rc = submit(catalogue, &change);

	if (rc == 0)
		*worker = change.worker;
	return rc;
}

int catalogue_stop(struct catalogue *catalogue, uint64_t number, enum worker_state rest)
{
	struct change change = { .make = make_stop, .number = number, .rest = rest };

	sweep(catalogue);
	return submit(catalogue, &change);
}

int catalogue_append(struct catalogue *catalogue, uint64_t number, bool is_system, struct berth_text content,
		     struct catalogue_receipt *receipt)
{
	struct change change = { .make = make_input, .number = number, .is_system = is_system, .content = content };
	int rc;

	sweep(catalogue);
	rc = submit(catalogue, &change);

	if (rc == 0)
		*receipt = change.receipt;
	return rc;
}

int catalogue_get(struct catalogue *catalogue, uint64_t number, struct catalogue_worker *worker)
{
	int rc;

	sweep(catalogue);
	pthread_mutex_lock(&catalogue->lock);
	rc = catalogue->ops->get_worker(catalogue->store, number, worker);
	pthread_mutex_unlock(&catalogue->lock);
	return judge(catalogue, rc);
}

int catalogue_each(struct catalogue *catalogue, store_worker_visitor *visit, void *data)
{
	int rc;

	sweep(catalogue);
	pthread_mutex_lock(&catalogue->lock);
	rc = catalogue->ops->each_worker(catalogue->store, visit, data);
	pthread_mutex_unlock(&catalogue->lock);
	return judge(catalogue, rc);
}

int catalogue_read(struct catalogue *catalogue, uint64_t number, uint64_t start, uint64_t limit,
		   const struct catalogue_reader *reader, void *data)
{
	struct catalogue_worker worker;
	int rc;

	sweep(catalogue);
	pthread_mutex_lock(&catalogue->lock);
	rc = catalogue->ops->get_worker(catalogue->store, number, &worker);
	if (rc == 0) {
		reader->begin(data, &worker);
		if (start < worker.n_dropped)
			start = worker.n_dropped;
		if (start < worker.n_items)
			rc = catalogue->ops->each_item(catalogue->store, number, start + 1, limit, reader->item, data);
	}
	pthread_mutex_unlock(&catalogue->lock);
	return judge(catalogue, rc);
}

struct listing {
	struct catalogue_event *events;
	size_t n;
};

static int list_event(void *data, const struct catalogue_event *event)
{
	struct listing *listing = data;

	listing->events[listing->n++] = *event;
	return 0;
}

int catalogue_events(struct catalogue *catalogue, uint64_t after, struct catalogue_event *events, size_t size,
		     size_t *np)
{
	struct listing listing = { events, 0 };
	int rc = 0;

	sweep(catalogue);
	if (after < catalogue_last_event(catalogue)) {
		pthread_mutex_lock(&catalogue->lock);
		rc = catalogue->ops->each_event(catalogue->store, after, size, list_event, &listing);
		pthread_mutex_unlock(&catalogue->lock);
	}
	*np = listing.n;
	return judge(catalogue, rc);
}

uint64_t catalogue_last_event(const struct catalogue *catalogue)
{
	return atomic_load(&catalogue->last_event);
}

const char *catalogue_identity(const struct catalogue *catalogue)
{
	return catalogue->store->identity;
}
