/* SPDX-License-Identifier: MIT */
/*
 * A survey: everything that an adapter says when it is asked each operation that only
 * reads. Rules that hold of all answers are tried on it.
 */
#ifndef BERTH_CORE_CONFORMANCE_SURVEY_H
#define BERTH_CORE_CONFORMANCE_SURVEY_H

#include "core/conformance/host.h"

/* Lists longer than this are looked at in part. */
enum { SURVEY_LIMIT = 1000 };

/* Sees to it that there is something to look at: where there are fewer than three workers
 * and the runtime can spawn, some are spawned (see spawned.h), and given input where it
 * takes any. */
void survey_populate(struct host *host);

/* Sees one answer, as JSON. May be NULL. */
typedef void survey_visit(void *data, const char *request, const char *answer);

/* Asks the lists with the limit, and of the first workers each operation; nothing of
 * other instances than the first but the lists. */
void survey(struct host *host, uint64_t limit, survey_visit *visit, void *data);

/* Every survey that is worth it: limits around the smallest and the number of workers. */
void survey_all(struct host *host, survey_visit *visit, void *data);

/* Provokes what can be refused: workers and cursors that are not there, and, of a worker
 * that was spawned, input that is blank or comes too late, and limits that are too large. */
void survey_refusals(struct host *host, survey_visit *visit, void *data);

/* An id that no worker and no host has, and no cursor. */
#define SURVEY_NOBODY "berth-conformance:nobody"

#endif
