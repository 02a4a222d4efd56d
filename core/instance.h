/* SPDX-License-Identifier: MIT */
/* One configured use of an adapter: one runtime in the registry. */
#ifndef BERTH_CORE_INSTANCE_H
#define BERTH_CORE_INSTANCE_H

#include <berth/adapter.h>
#include <cjson/cJSON.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "core/call.h"
#include "core/loader.h"
#include "core/services.h"
#include "core/wire.h"
#include "inline/standing.h"

/* What every instance is opened with. Borrowed by instance_open. */
struct workspace {
	struct berth_text id, root;
	struct berth_text data_dir; /* absent: none */
};

struct instance {
	unsigned n_refs;
	char *name;
	const struct adapter *adapter;
	void *state; /* the adapter's */
	bool opened;
	struct error trouble; /* why its runtime cannot serve although it has opened; "" where it can */
	bool is_apart; /* its answers come from another process */
	struct standing standing; /* of that process, which the adapter of processes writes */
	struct services services;
	struct wire_runtime runtime;    /* as pushed by open, with defaults filled in */
	char own_id[BERTH_ID_MAX + 1];  /* what the adapter calls it, where another runtime_id is configured */
	struct diagnostics diagnostics; /* of that runtime */
	void *kept;                     /* memory of its texts */
	pthread_mutex_t own_lock;
	pthread_mutex_t *lock; /* held around each call; NULL: any thread may call */
	atomic_uint_fast64_t n_calls[N_OPERATIONS], n_failed[N_OPERATIONS]; /* since it was opened */
};

/* Opens an instance of a loaded adapter. settings: of its drop-in, of which runtime_id
 * and the options count. [set-up] */
int instance_open(struct adapter *adapter, const char *name, const cJSON *settings, const struct workspace *workspace,
		  struct instance **instancep, struct failure *failure);

/* Whether its process is not started any more, and why. [any thread] */
bool instance_in_quarantine(struct instance *instance, struct quarantine *quarantine);

/* Has a process in quarantine started again, which takes a moment; false where it is not in quarantine. [any thread] */
bool instance_retry(struct instance *instance);

/* One more that will close it. [set-up] */
struct instance *instance_ref(struct instance *instance);

/* The last of those who have it ends it; no call of it is running or will be made then. NULL is let pass. [set-up] */
void instance_close(struct instance *instance);

#endif
