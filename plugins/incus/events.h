/* SPDX-License-Identifier: MIT */
/* What is new in the cluster, and the operation read_events: the differences between what is listed, and
 * in between what the cluster tells by itself. It locks itself. */
#ifndef BERTH_INCUS_EVENTS_H
#define BERTH_INCUS_EVENTS_H

#include <berth/adapter.h>

struct events;
struct incus;

/* The incus stays where it is until events_free, with its client and roster. */
struct events *events_new(struct incus *incus);
void events_free(struct events *events);

int events_read(struct events *events, struct berth_call *call, const struct berth_events_request *request);

#endif
