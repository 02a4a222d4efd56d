/* SPDX-License-Identifier: MIT */
/* One instance of the adapter: what its operations share. */
#ifndef BERTH_INCUS_INCUS_H
#define BERTH_INCUS_INCUS_H

#include "events.h"
#include "hosts.h"
#include "roles.h"
#include "roster.h"
#include "transcript.h"

enum { READ_LIMIT = 256 }; /* items or events of one answer */

struct incus {
	const struct berth_services *services;
	struct client *client;
	struct roles *roles;
	struct hosts *hosts;
	struct roster *roster;
	struct transcripts *transcripts;
	struct events *events;
	char workspace[NAMES_WORKSPACE_LEN + 1]; /* in names of containers */
	char mark[BERTH_ID_MAX + 1];		 /* in their configuration */
	char identity[NAMES_KEY_LEN + 1];	 /* in cursors */
	uint64_t timeout_ms, spawn_timeout_ms, stop_timeout_s;
};

static inline struct moment incus_now(const struct incus *incus)
{
	return (struct moment){ incus->services->wall_ns(incus->services), incus->services->monotonic_ns(incus->services) };
}

/* Asks for all workers. Where that fails, the roster has what was known. */
int incus_survey(struct incus *incus, struct berth_call *call);

#endif
