/* SPDX-License-Identifier: MIT */
/* Running the checks under a sanitizer, with which the adapter was built. */
#ifndef BERTH_CORE_CONFORMANCE_SANITIZER_H
#define BERTH_CORE_CONFORMANCE_SANITIZER_H

#include <stdbool.h>

#include "core/error.h"

/* Whether this process was started by sanitizer_enter. */
bool sanitizer_is_on(void);

/* Starts the program again with the run-time library of the sanitizer before all others:
 * address, undefined or thread. Returns on failure only, with a negative errno. */
int sanitizer_enter(const char *name, char **argv, struct error *error);

#endif
