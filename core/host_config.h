/* SPDX-License-Identifier: MIT */
/* The host's own settings: command line over environment over files over built-in. */
#ifndef BERTH_CORE_HOST_CONFIG_H
#define BERTH_CORE_HOST_CONFIG_H

#include <cjson/cJSON.h>

#include "core/failure.h"
#include "core/settings.h"

extern const struct setting_key host_keys[];
extern const size_t host_n_keys;

struct host_config {
	cJSON *settings; /* by the names in host_keys */
	struct failures failures;
};

/* Reads DIR/berth.json, DIR/berth.d/NAME.json in the order of their names, and, if
 * the process has no raised privileges, the environment. -ENOMEM. */
int host_config_load(const char *dir, struct host_config *config);

/* Sets a value that the command line gives, or that is built in. -ENOMEM. */
int host_config_put(struct host_config *config, const char *key, const cJSON *value, const char *origin);
int host_config_put_string(struct host_config *config, const char *key, const char *value, const char *origin);

void host_config_fini(struct host_config *config);

#endif
