/* SPDX-License-Identifier: MIT */
/* Who asks never waits for a reload, and a reload never for who asks: the new set is opened beside the old one, which
 * is closed by the thread that does all set-up, once nobody holds it. */
#include "config.h"

#include "core/serve/set.h"

#include <stdlib.h>

#include "core/log.h"

static uint64_t limit_of(const struct set *set)
{
	uint64_t limit = set->setup.inventory.registry.limit;

	return limit ? limit : REQUEST_DEFAULT_LIMIT;
}

int sets_init(struct sets *sets, struct setup *setup)
{
	struct set *set = calloc(1, sizeof *set);

	if (!set)
		return -ENOMEM;
	set->setup = *setup;
	*setup = (struct setup){ .options = setup->options };
	*sets = (struct sets){ .now = set, .limit = limit_of(set) };
	pthread_mutex_init(&sets->lock, NULL);
	return 0;
}

struct set *sets_hold(struct sets *sets)
{
	struct set *set;

	pthread_mutex_lock(&sets->lock);
	set = sets->now;
	set->n_holders++;
	pthread_mutex_unlock(&sets->lock);
	return set;
}

void sets_release(struct sets *sets, struct set *set)
{
	pthread_mutex_lock(&sets->lock);
	set->n_holders--;
	pthread_mutex_unlock(&sets->lock);
}

static void free_set(struct set *set)
{
	setup_fini(&set->setup);
	free(set);
}

/* Whether an instance that serves now is wanted by the next set-up and not there in it. */
static bool loses(const struct inventory *now, const struct inventory *next)
{
	bool lost = false;

	for (size_t i = 0; i < next->n_entries; i++) {
		const struct inventory_entry *entry = inventory_find(now, next->entries[i].dropin.name);

		if (entry && entry->instance && inventory_state(&next->entries[i]) == STATE_FAILED)
			lost = true;
	}
	return lost;
}

/* Fills in the set-up of the next set; false where it is not to serve. */
static bool load(struct setup *now, struct setup *next)
{
	bool fine = setup_load(next, now->options) == STATUS_DONE;

	setup_log_failures(next);
	if (!fine || next->config.failures.n > 0)
		return false;
	fine = setup_restart(next, now) == STATUS_DONE;
	inventory_log_failures(&next->inventory);
	if (fine && next->n_missing == 0 && !loses(&now->inventory, &next->inventory))
		return true;
	setup_give_back(next, now);
	return false;
}

void sets_reload(struct sets *sets)
{
	struct set *next = calloc(1, sizeof *next), *now = sets->now;

	if (!next || !load(&now->setup, &next->setup)) {
		log_write(BERTH_LOG_ERROR, NULL, "reload: the configuration is not taken; what served goes on serving");
		pthread_mutex_lock(&sets->lock);
		sets->n_reloads_failed++;
		pthread_mutex_unlock(&sets->lock);
		if (next)
			free_set(next);
		return;
	}
	pthread_mutex_lock(&sets->lock);
	sets->now = next;
	sets->limit = limit_of(next);
	now->next = sets->replaced;
	sets->replaced = now;
	sets->n_reloads++;
	pthread_mutex_unlock(&sets->lock);
	log_write(BERTH_LOG_INFO, NULL, "reload: %zu of %zu instances serve", next->setup.inventory.registry.n_instances,
		  next->setup.inventory.n_entries);
}

void sets_collect(struct sets *sets)
{
	for (struct set **setp = &sets->replaced; *setp;) {
		struct set *set = *setp;
		bool held;

		pthread_mutex_lock(&sets->lock);
		held = set->n_holders > 0;
		pthread_mutex_unlock(&sets->lock);
		if (held) {
			setp = &set->next;
		} else {
			*setp = set->next;
			free_set(set);
		}
	}
}

void sets_fini(struct sets *sets)
{
	sets_collect(sets);
	free_set(sets->now);
	pthread_mutex_destroy(&sets->lock);
}
