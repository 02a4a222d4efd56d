/* SPDX-License-Identifier: MIT */
/*
 * A store that is gone with the process. A worker's number is its place in an array, so
 * that every look-up is one step; what is dropped leaves a hole there. Items stand one
 * behind the other in runs of memory, behind a growing array of pointers: appending never
 * touches those that are there, and since the first ones are dropped first, a run is free
 * once its last item is dropped. Events stand in an array in the order of their ids, holes included, which
 * closes up when it is more holes than events.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "store.h"

enum {
	ALIGNMENT = 16,        /* of contents, which are copied in blocks of so many bytes */
	RUN_MIN = 256,
	RUN_MAX = 256 << 10,
	HUGE_SIZE = 2 << 20,   /* of a page that takes half the time of as many small ones to be had */
	HUGE_FROM = 4 << 20,   /* so much a worker has before it is given such a one */
	POPULATE_SIZE = 64 << 10, /* the least that the kernel is asked for at once instead of page by page */
};

struct item {
	uint64_t event_id;
	uint64_t len : 63, is_system : 1;
	char content[];
};

/* Items one behind the other. */
struct run {
	struct run *next; /* the next younger one */
	size_t size, used;
	size_t n_items; /* that are not dropped */
	char room[];
};

_Static_assert(sizeof(struct item) % ALIGNMENT == 0 && sizeof(struct run) % ALIGNMENT == 0, "contents are aligned");

struct worker {
	struct catalogue_worker row; /* number 0: it is dropped */
	struct item **items;         /* n_items of them, of which the first n_gone are dropped */
	size_t n_items, n_gone, size;
	struct run *oldest, *newest;
	size_t runs_size;
};

struct event {
	struct catalogue_event row;
	bool dropped;
};

struct memory_store {
	struct store base;
	struct worker *workers;
	size_t n_workers, workers_size;
	struct event *events;
	size_t n_events, events_size, n_dropped;
	size_t n_passed; /* so many events at the front are of no item that is kept */
};

/* Page by page, a fault for each costs a third of what an input does. */
static void populate(char *memory, size_t size)
{
#ifdef MADV_POPULATE_WRITE
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), skip = -(uintptr_t)memory % page;

	/* Where it cannot be done, the pages come one by one. */
	if (size >= POPULATE_SIZE && size > skip + page)
		madvise(memory + skip, (size - skip) / page * page, MADV_POPULATE_WRITE);
#else
	(void)memory, (void)size;
#endif
}

/* Makes room for one more element of an array that doubles. NULL: no memory, and
 * the array is as it was. */
static void *make_room(void *array, size_t n, size_t *sizep, size_t element)
{
	size_t size = *sizep ? *sizep * 2 : 8, begin = n * element;

	if (n < *sizep) {
		if (begin % POPULATE_SIZE < element && *sizep * element - begin > POPULATE_SIZE)
			populate((char *)array + begin, POPULATE_SIZE);
		return array;
	}
	array = reallocarray(array, size, element);
	if (array)
		*sizep = size;
	return array;
}

static struct worker *find(const struct memory_store *store, uint64_t number)
{
	return number > 0 && number <= store->n_workers && store->workers[number - 1].row.number ?
		       &store->workers[number - 1] : NULL;
}

/* The place of the first event after an id. */
static size_t place_after(const struct memory_store *store, uint64_t id)
{
	size_t low = 0, high = store->n_events;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (store->events[middle].row.id <= id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* ---- Reading ---- */

static int memory_get_worker(struct store *base, uint64_t number, struct catalogue_worker *row)
{
	const struct worker *worker = find((struct memory_store *)base, number);

	if (!worker)
		return -ENOENT;
	*row = worker->row;
	return 0;
}

static int memory_each_worker(struct store *base, store_worker_visitor *visit, void *data)
{
	const struct memory_store *store = (struct memory_store *)base;

	for (size_t i = 0; i < store->n_workers; i++)
		if (store->workers[i].row.number && visit(data, &store->workers[i].row))
			break;
	return 0;
}

static int memory_each_item(struct store *base, uint64_t number, uint64_t first, uint64_t limit,
			    store_item_visitor *visit, void *data)
{
	const struct worker *worker = find((struct memory_store *)base, number);
	uint64_t skipped = worker ? first - 1 - worker->row.n_dropped + worker->n_gone : 0;

	for (uint64_t i = skipped; worker && i < worker->n_items && i - skipped < limit; i++) {
		const struct item *item = worker->items[i];
		const struct catalogue_item row = {
			first + (i - skipped), item->event_id, item->is_system, { item->content, item->len },
		};

		if (visit(data, &row))
			break;
	}
	return 0;
}

static int memory_each_event(struct store *base, uint64_t after, uint64_t limit, store_event_visitor *visit, void *data)
{
	const struct memory_store *store = (struct memory_store *)base;

	for (size_t i = place_after(store, after); i < store->n_events && limit > 0; i++) {
		if (store->events[i].dropped)
			continue;
		if (visit(data, &store->events[i].row))
			break;
		limit--;
	}
	return 0;
}

static int memory_oldest_item(struct store *base, struct catalogue_event *row)
{
	struct memory_store *store = (struct memory_store *)base;

	for (; store->n_passed < store->n_events; store->n_passed++) {
		const struct event *event = &store->events[store->n_passed];

		if (!event->dropped && event->row.kind == EVENT_INPUT) {
			*row = event->row;
			return 0;
		}
	}
	return -ENOENT;
}

static int memory_oldest_rest(struct store *base, struct catalogue_worker *row)
{
	const struct memory_store *store = (struct memory_store *)base;
	const struct worker *oldest = NULL;

	for (size_t i = 0; i < store->n_workers; i++) {
		const struct worker *worker = &store->workers[i];

		if (worker->row.number && worker->row.rested_at_ns &&
		    (!oldest || worker->row.rested_at_ns < oldest->row.rested_at_ns))
			oldest = worker;
	}
	if (!oldest)
		return -ENOENT;
	*row = oldest->row;
	return 0;
}

/* ---- Changing ---- */

static void free_oldest_run(struct worker *worker)
{
	struct run *run = worker->oldest;

	worker->oldest = run->next;
	if (!worker->oldest)
		worker->newest = NULL;
	worker->runs_size -= run->size;
	free(run);
}

/* One of so many bytes in all. */
static struct run *new_run(size_t size)
{
	struct run *run = size == HUGE_SIZE ? aligned_alloc(HUGE_SIZE, size) : malloc(size);

	if (!run)
		return NULL;
	if (size == HUGE_SIZE)
		madvise(run, size, MADV_HUGEPAGE);
	populate((char *)run, size);
	*run = (struct run){ .size = size - sizeof *run };
	return run;
}

/* As long as all that the worker has, within bounds, so that neither many items nor few waste much. */
static struct run *add_run(struct worker *worker, size_t n)
{
	size_t size = worker->runs_size < RUN_MAX ? worker->runs_size : RUN_MAX;
	struct run *run;

	if (size < RUN_MIN)
		size = RUN_MIN;
	if (size < n)
		size = n;
	size += sizeof *run;
	if (worker->runs_size >= HUGE_FROM && size < HUGE_SIZE)
		size = HUGE_SIZE;
	run = new_run(size);
	if (!run)
		return NULL;
	/* One that has nothing left is too short, and the only one. */
	if (worker->newest && worker->newest->n_items == 0)
		free_oldest_run(worker);
	if (worker->newest)
		worker->newest->next = run;
	else
		worker->oldest = run;
	worker->newest = run;
	worker->runs_size += run->size;
	return run;
}

static struct item *copy_item(struct worker *worker, const struct catalogue_item *row)
{
	size_t size = (sizeof(struct item) + row->content.len + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	struct run *run = worker->newest;
	struct item *item;

	if (!run || run->size - run->used < size)
		run = add_run(worker, size);
	if (!run)
		return NULL;
	item = (struct item *)(void *)(run->room + run->used);
	run->used += size;
	run->n_items++;
	item->event_id = row->event_id;
	item->is_system = row->is_system;
	item->len = row->content.len & (UINT64_MAX >> 1);
	if (row->content.len > 0)
		memcpy(item->content, row->content.ptr, row->content.len);
	return item;
}

/* The oldest item has gone. */
static void drop_from_run(struct worker *worker)
{
	struct run *run = worker->oldest;

	if (--run->n_items > 0)
		return;
	if (run == worker->newest)
		run->used = 0;
	else
		free_oldest_run(worker);
}

static void free_runs(struct worker *worker)
{
	while (worker->oldest)
		free_oldest_run(worker);
}

/* Room for one more of each, so that nothing can fail halfway. */
static int make_rooms(struct memory_store *store, const struct catalogue_worker *row, bool item)
{
	struct event *events = make_room(store->events, store->n_events, &store->events_size, sizeof *events);
	struct worker *workers, *worker = row ? find(store, row->number) : NULL;
	struct item **items;

	if (!events)
		return -ENOMEM;
	store->events = events;
	if (row && !worker) {
		workers = make_room(store->workers, store->n_workers, &store->workers_size, sizeof *workers);
		if (!workers)
			return -ENOMEM;
		store->workers = workers;
	}
	if (worker && item) {
		items = make_room(worker->items, worker->n_items, &worker->size, sizeof *items);
		if (!items)
			return -ENOMEM;
		worker->items = items;
	}
	return 0;
}

static int memory_apply(struct store *base, const struct catalogue_worker *row, const struct catalogue_event *event,
			const struct catalogue_item *item)
{
	struct memory_store *store = (struct memory_store *)base;
	struct item *copy = NULL;
	struct worker *worker;

	if (make_rooms(store, row, item) < 0)
		return -ENOMEM;
	worker = row ? find(store, row->number) : NULL;
	if (worker && item && !(copy = copy_item(worker, item)))
		return -ENOMEM;
	store->events[store->n_events++] = (struct event){ .row = *event };
	if (!row)
		return 0;
	if (!worker) {
		worker = &store->workers[store->n_workers++];
		*worker = (struct worker){ .items = NULL };
	}
	worker->row = *row;
	if (copy)
		worker->items[worker->n_items++] = copy;
	return 0;
}

static void drop_event(struct memory_store *store, uint64_t id)
{
	struct event *event = &store->events[place_after(store, id) - 1];

	event->dropped = true;
	store->n_dropped++;
}

/* As the items of a worker do, it closes up once most of it is gone, so that each costs little. */
static void close_up(struct memory_store *store)
{
	size_t n = 0;

	if (store->n_dropped <= store->n_events / 2)
		return;
	for (size_t i = 0; i < store->n_events; i++)
		if (!store->events[i].dropped)
			store->events[n++] = store->events[i];
	store->n_events = n;
	store->n_dropped = store->n_passed = 0;
}

static int memory_drop_items(struct store *base, const struct catalogue_worker *row)
{
	struct memory_store *store = (struct memory_store *)base;
	struct worker *worker = find(store, row->number);
	uint64_t n;

	if (!worker)
		return -ENOENT;
	n = row->n_dropped - worker->row.n_dropped;
	for (; n > 0; n--) {
		struct item *item = worker->items[worker->n_gone++];

		drop_event(store, item->event_id);
		drop_from_run(worker);
	}
	if (worker->n_gone > worker->n_items / 2) {
		worker->n_items -= worker->n_gone;
		memmove(worker->items, worker->items + worker->n_gone, worker->n_items * sizeof *worker->items);
		worker->n_gone = 0;
	}
	worker->row = *row;
	close_up(store);
	return 0;
}

static int memory_drop_worker(struct store *base, uint64_t number)
{
	struct memory_store *store = (struct memory_store *)base;
	struct worker *worker = find(store, number);

	if (!worker)
		return -ENOENT;
	for (size_t i = 0; i < store->n_events; i++)
		if (!store->events[i].dropped && store->events[i].row.worker == number)
			drop_event(store, store->events[i].row.id);
	free_runs(worker);
	free(worker->items);
	*worker = (struct worker){ .items = NULL };
	close_up(store);
	return 0;
}

/* ---- Open, close ---- */

static void memory_close(struct store *base)
{
	struct memory_store *store = (struct memory_store *)base;

	for (size_t i = 0; i < store->n_workers; i++) {
		free_runs(&store->workers[i]);
		free(store->workers[i].items);
	}
	free(store->workers);
	free(store->events);
	free(store);
}

static const struct store_ops memory_ops = {
	.get_worker = memory_get_worker,
	.each_worker = memory_each_worker,
	.each_item = memory_each_item,
	.each_event = memory_each_event,
	.oldest_item = memory_oldest_item,
	.oldest_rest = memory_oldest_rest,
	.apply = memory_apply,
	.drop_items = memory_drop_items,
	.drop_worker = memory_drop_worker,
	.close = memory_close,
};

struct store *memory_store_open(void)
{
	struct memory_store *store = calloc(1, sizeof *store);
	uint64_t random;

	if (!store || getrandom(&random, sizeof random, 0) != sizeof random) {
		free(store);
		return NULL;
	}
	store->base.ops = &memory_ops;
	snprintf(store->base.identity, sizeof store->base.identity, "%016llx", (unsigned long long)random);
	return &store->base;
}
