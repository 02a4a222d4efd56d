/* SPDX-License-Identifier: MIT */
/* Workers are never removed, so a worker's number is its place in an array and every
 * look-up is one step. Items are blocks of their own behind a growing array of
 * pointers: appending never touches those that are there. */
#include "config.h"

#include "catalogue.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct item {
	uint64_t event_id;
	size_t len;
	bool is_system;
	char content[];
};

struct worker {
	const char *role, *profile;
	enum worker_state state;
	struct item **items;
	size_t n_items, size;
};

struct catalogue {
	pthread_mutex_t lock; /* over all that follows */
	struct worker *workers;
	size_t n_workers, size;
	uint64_t last_event;
};

/* Makes room for one more element of an array that doubles. NULL: no memory, and
 * the array is as it was. */
static void *make_room(void *array, size_t n, size_t *sizep, size_t element)
{
	size_t size = *sizep ? *sizep * 2 : 8;

	if (n < *sizep)
		return array;
	array = reallocarray(array, size, element);
	if (array)
		*sizep = size;
	return array;
}

struct catalogue *catalogue_new(void)
{
	struct catalogue *catalogue = calloc(1, sizeof *catalogue);

	if (!catalogue)
		return NULL;
	if (pthread_mutex_init(&catalogue->lock, NULL) != 0) {
		free(catalogue);
		return NULL;
	}
	catalogue->last_event = 1;
	return catalogue;
}

void catalogue_free(struct catalogue *catalogue)
{
	if (!catalogue)
		return;
	for (size_t i = 0; i < catalogue->n_workers; i++) {
		for (size_t j = 0; j < catalogue->workers[i].n_items; j++)
			free(catalogue->workers[i].items[j]);
		free(catalogue->workers[i].items);
	}
	free(catalogue->workers);
	pthread_mutex_destroy(&catalogue->lock);
	free(catalogue);
}

/* Under the lock. */
static struct worker *find(struct catalogue *catalogue, uint64_t number)
{
	return number > 0 && number <= catalogue->n_workers ? &catalogue->workers[number - 1] : NULL;
}

static struct catalogue_worker view(const struct catalogue *catalogue, const struct worker *worker)
{
	return (struct catalogue_worker){
		.number = (uint64_t)(worker - catalogue->workers) + 1,
		.role = worker->role,
		.profile = worker->profile,
		.state = worker->state,
		.n_items = worker->n_items,
	};
}

int catalogue_spawn(struct catalogue *catalogue, const char *role, const char *profile,
		    struct catalogue_worker *workerp)
{
	struct worker *workers, *worker;
	int rc = -ENOMEM;

	pthread_mutex_lock(&catalogue->lock);
	workers = make_room(catalogue->workers, catalogue->n_workers, &catalogue->size, sizeof *workers);
	if (workers) {
		catalogue->workers = workers;
		worker = &workers[catalogue->n_workers++];
		*worker = (struct worker){ .role = role, .profile = profile };
		catalogue->last_event++;
		*workerp = view(catalogue, worker);
		rc = 0;
	}
	pthread_mutex_unlock(&catalogue->lock);
	return rc;
}

int catalogue_get(struct catalogue *catalogue, uint64_t number, struct catalogue_worker *workerp)
{
	struct worker *worker;

	pthread_mutex_lock(&catalogue->lock);
	worker = find(catalogue, number);
	if (worker)
		*workerp = view(catalogue, worker);
	pthread_mutex_unlock(&catalogue->lock);
	return worker ? 0 : -ENOENT;
}

void catalogue_each(struct catalogue *catalogue, int (*visit)(void *data, const struct catalogue_worker *worker),
		    void *data)
{
	pthread_mutex_lock(&catalogue->lock);
	for (size_t i = 0; i < catalogue->n_workers; i++) {
		struct catalogue_worker worker = view(catalogue, &catalogue->workers[i]);

		if (visit(data, &worker))
			break;
	}
	pthread_mutex_unlock(&catalogue->lock);
}

int catalogue_stop(struct catalogue *catalogue, uint64_t number, enum worker_state rest)
{
	struct worker *worker;

	pthread_mutex_lock(&catalogue->lock);
	worker = find(catalogue, number);
	if (worker && worker->state == WORKER_RUNNING) {
		worker->state = rest;
		catalogue->last_event++;
	}
	pthread_mutex_unlock(&catalogue->lock);
	return worker ? 0 : -ENOENT;
}

/* Under the lock; the item is the catalogue's on success. */
static int append(struct catalogue *catalogue, struct worker *worker, struct item *item)
{
	struct item **items;

	if (!worker)
		return -ENOENT;
	if (worker->state != WORKER_RUNNING)
		return -EPERM;
	items = make_room(worker->items, worker->n_items, &worker->size, sizeof *items);
	if (!items)
		return -ENOMEM;
	worker->items = items;
	item->event_id = ++catalogue->last_event;
	items[worker->n_items++] = item;
	return 0;
}

int catalogue_append(struct catalogue *catalogue, uint64_t number, bool is_system, struct berth_text content,
		     struct catalogue_receipt *receipt)
{
	/* Outside the lock, which is then held for a few instructions only. */
	struct item *item = malloc(sizeof *item + content.len);
	struct worker *worker;
	int rc;

	if (!item)
		return -ENOMEM;
	item->is_system = is_system;
	item->len = content.len;
	if (content.len > 0)
		memcpy(item->content, content.ptr, content.len);
	pthread_mutex_lock(&catalogue->lock);
	worker = find(catalogue, number);
	rc = append(catalogue, worker, item);
	if (rc == 0)
		*receipt = (struct catalogue_receipt){ worker->n_items, item->event_id };
	pthread_mutex_unlock(&catalogue->lock);
	if (rc < 0)
		free(item);
	return rc;
}

int catalogue_read(struct catalogue *catalogue, uint64_t number, uint64_t start, uint64_t limit,
		   const struct catalogue_reader *reader, void *data)
{
	struct worker *worker;

	pthread_mutex_lock(&catalogue->lock);
	worker = find(catalogue, number);
	if (worker) {
		reader->begin(data, worker->n_items);
		for (uint64_t i = start; i < worker->n_items && i - start < limit; i++) {
			const struct item *item = worker->items[i];
			struct catalogue_item shown = {
				item->event_id, item->is_system, { item->content, item->len },
			};

			if (reader->item(data, i + 1, &shown))
				break;
		}
	}
	pthread_mutex_unlock(&catalogue->lock);
	return worker ? 0 : -ENOENT;
}
