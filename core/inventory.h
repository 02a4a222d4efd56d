/* SPDX-License-Identifier: MIT */
/* The inventory: which instances were asked for, and what became of each. */
#ifndef BERTH_CORE_INVENTORY_H
#define BERTH_CORE_INVENTORY_H

#include <stdbool.h>

#include "core/dropin.h"
#include "core/loader.h"
#include "core/registry.h"

struct inventory_entry {
	struct dropin dropin;
	bool demanded;                   /* it must serve, whatever the files say */
	const struct adapter *adapter;   /* NULL: not loaded */
	struct instance *instance;       /* NULL: not in the registry, which owns it */
	char *file;                      /* the plugin that was meant; NULL: none was found */
};

enum inventory_state {
	STATE_ACTIVE,
	STATE_FAILED,
	STATE_DISABLED,
	STATE_MASKED,
	STATE_QUARANTINED, /* it serves, but its process has ended too often */
	N_STATES,
};

struct inventory {
	struct loader loader;
	struct registry registry;
	struct inventory_entry *entries; /* in the order in which they are to stand */
	size_t n_entries;
	/* Whose instances are taken over where nothing about them changes; NULL: none. */
	const struct inventory *before;
	/* berth itself, which runs isolated instances; NULL: there can be none. */
	const char *program;
};

/* What is used where nothing is configured; ends with a NULL. */
extern const char *const inventory_default_names[];

/* 1 to 64 characters [a-z0-9_-]. */
bool inventory_name_valid(struct berth_text name);

/* Adds an instance; the drop-in is then the inventory's. -ENOMEM. */
int inventory_add(struct inventory *inventory, struct dropin *dropin);

/* Demands that an instance serves; -ENOENT where it has not been added. */
int inventory_require(struct inventory *inventory, const char *name);

/* Loads and opens the instances that are enabled, or takes them over, and enters them in
 * the registry; what fails has its reasons in its drop-in, and so has what opens but
 * cannot serve. Returns how many required instances do not serve. [set-up] */
size_t inventory_start(struct inventory *inventory, const struct workspace *workspace);

enum inventory_state inventory_state(const struct inventory_entry *entry);
const char *inventory_state_name(enum inventory_state state);
bool inventory_is_required(const struct inventory_entry *entry);

/* The entry of that name; NULL where there is none. */
const struct inventory_entry *inventory_find(const struct inventory *inventory, const char *name);

/* How many instances that are enabled do not serve. */
size_t inventory_n_failed(const struct inventory *inventory);

/* Logs a line for each reason why an instance does not serve: what, where, what was
 * expected and found, what to do. */
void inventory_log_failures(const struct inventory *inventory);

/* Closes all instances and frees everything. [set-up] */
void inventory_fini(struct inventory *inventory);

#endif
