/* SPDX-License-Identifier: MIT */
/* A worker record, metadata.json, read for what is presented of it. */
#ifndef BERTH_LOCAL_POD_RECORD_H
#define BERTH_LOCAL_POD_RECORD_H

#include <berth/adapter.h>
#include <stdint.h>

enum {
	RECORD_SIZE_MAX = 8 << 20, /* bytes; a larger file is unreadable */
};

/* What became of a record. */
enum record_outcome {
	RECORD_WORKER,         /* it can be presented */
	RECORD_UNREADABLE,     /* not UTF-8; for the store also: missing, no regular file, too large */
	RECORD_INVALID,        /* not JSON, or not a record */
	RECORD_ROOT_MISSING,   /* without workspace_root */
	RECORD_OTHER_WORKSPACE,
	N_RECORD_OUTCOMES,
};

enum record_activity {
	ACTIVITY_NONE,
	ACTIVITY_PENDING_SEGMENT,
	ACTIVITY_SEGMENT,
};

/* The texts are display hints in the buffers; role and profile may be absent. */
struct record {
	enum record_activity activity;
	struct berth_text label, role, profile;
	char buffers[3][BERTH_HINT_MAX];
};

/* Reads the text of a record that belongs to the workspace root. Fills in record
 * only for RECORD_WORKER. -ENOMEM. */
int record_parse(const struct berth_services *services, struct berth_text root, struct berth_text text,
		 struct record *record, enum record_outcome *outcomep);

#endif
