/* SPDX-License-Identifier: MIT */
/* Drop-ins: the configured instances, one file each, merged over the layers. */
#ifndef BERTH_CORE_DROPIN_H
#define BERTH_CORE_DROPIN_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/failure.h"
#include "core/settings.h"

extern const struct setting_key dropin_keys[];
extern const size_t dropin_n_keys;

/* One instance as it is configured. */
struct dropin {
	char *name;
	cJSON *settings;          /* by the names in dropin_keys, and options.NAME */
	char *masked_by;          /* the file that masks it; NULL: it is not masked */
	bool required;            /* also where its file has an error */
	struct failures failures; /* it is not to be opened where there is one */
};

struct dropins {
	struct dropin *list; /* by priority, then by name */
	size_t n;
	struct failures failures; /* of directories as wholes */
};

/* Loads and merges the directories, the later one winning; those that are NULL are
 * passed over. What is wrong harms its own instance alone. -ENOMEM. */
int dropins_load(const char *const *dirs, size_t n_dirs, struct dropins *dropins);
void dropins_fini(struct dropins *dropins);

const struct dropin *dropins_find(const struct dropins *dropins, const char *name);

/* An instance of an adapter with default options, as if it stood in a drop-in of that
 * name. -ENOMEM. */
int dropin_make(const char *name, const char *origin, struct dropin *dropin);

int dropin_copy(const struct dropin *from, struct dropin *to);
void dropin_fini(struct dropin *dropin);

#endif
