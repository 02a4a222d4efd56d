/* SPDX-License-Identifier: MIT */
/* berth serve: the registry as a service. */
#ifndef BERTH_CORE_SERVE_SERVE_H
#define BERTH_CORE_SERVE_SERVE_H

#include "core/setup.h"
#include "core/status.h"

/* Serves with a set-up that has started, which is taken over, until a signal ends it. */
enum status serve_run(struct setup *setup);

#endif
