/* SPDX-License-Identifier: MIT */
/* The inventory: which instances were asked for, and what became of each. */
#ifndef BERTH_CORE_INVENTORY_H
#define BERTH_CORE_INVENTORY_H

#include <stdbool.h>

#include "core/loader.h"
#include "core/registry.h"

struct inventory_entry {
	char *name;                     /* of the instance; with nothing configured, the adapter's id */
	bool required;
	const struct adapter *adapter;  /* NULL: could not be loaded */
	const struct instance *instance; /* NULL: not in the registry; owned by the registry */
	char *file;                     /* the plugin that was meant; NULL: none was found */
	struct failure failure;
};

struct inventory {
	struct loader loader;
	struct registry registry;
	struct inventory_entry *entries; /* in the order asked for */
	size_t n_entries;
};

/* What is used where nothing is configured; ends with a NULL. */
extern const char *const inventory_default_names[];

/* 1 to 64 characters [a-z0-9_-]. */
bool inventory_name_valid(struct berth_text name);

/* Adds an instance of the adapter of that name. -ENOMEM. */
int inventory_add(struct inventory *inventory, struct berth_text name);

/* Makes an instance required; -ENOENT where it has not been added. */
int inventory_require(struct inventory *inventory, const char *name);

/* Loads and opens all instances and enters them in the registry; what fails has its
 * reason in its entry. Returns how many required instances are not there. [set-up] */
size_t inventory_start(struct inventory *inventory, const struct workspace *workspace);

/* Logs a line for each instance that is not there: what, where, what was expected
 * and found, what to do. */
void inventory_log_failures(const struct inventory *inventory);

/* Appends {"schema":1,"adapters":[...]}; -ENOMEM. */
int inventory_write_json(const struct inventory *inventory, struct buffer *out);

/* Closes all instances and frees everything. [set-up] */
void inventory_fini(struct inventory *inventory);

#endif
