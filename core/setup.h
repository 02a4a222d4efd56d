/* SPDX-License-Identifier: MIT */
/* From what is configured to a registry that serves. */
#ifndef BERTH_CORE_SETUP_H
#define BERTH_CORE_SETUP_H

#include <limits.h>

#include "core/dropin.h"
#include "core/host_config.h"
#include "core/inventory.h"
#include "core/options.h"
#include "core/status.h"

struct setup {
	const struct options *options;
	struct host_config config; /* complete: every key but those of drop-ins has a value */
	struct dropins dropins;    /* all that are configured, whether selected or not */
	struct inventory inventory;
	size_t n_missing; /* required adapters that are not there */
	char stage[PATH_MAX]; /* what stands before the configured directories, in a staged installation */
};

/* Finds out what stands before the configured directories: a program that is installed
 * below a directory of its own, as packagers do before it is in its place, takes
 * everything from there. "" where it is in place, or not installed. */
void setup_find_stage(char stage[PATH_MAX]);

/* Reads the configuration. What is wrong in files is kept in config.failures and in
 * the drop-ins. options is borrowed until setup_fini, which is due in any case. */
enum status setup_load(struct setup *setup, const struct options *options);

/* Selects the adapters, loads and opens them. */
enum status setup_start(struct setup *setup);

/* The same beside a set-up that serves, from which it takes over the loader, and the instances that nothing has changed
 * about. Where it is not what one wants, setup_give_back gives the loader back. */
enum status setup_restart(struct setup *setup, struct setup *before);
void setup_give_back(struct setup *setup, struct setup *before);

/* Logs what is wrong with the host's own settings. */
void setup_log_failures(const struct setup *setup);

void setup_fini(struct setup *setup);

#endif
