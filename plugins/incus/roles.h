/* SPDX-License-Identifier: MIT */
/* What the drop-in assigns to each role: image, profiles, limits, command. */
#ifndef BERTH_INCUS_ROLES_H
#define BERTH_INCUS_ROLES_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "inline/reason.h"

/* Texts and lists belong to the roles; those that were left out are NULL. */
struct role {
	const char *image, *target, *memory, *cpu, *supervisor;
	double processes; /* 0: no limit of ours */
	bool takes_json;  /* of its input */
	const cJSON *profiles, *command;
};

struct roles;

int roles_read(const char *text, struct roles **rolesp, struct reason *reason);
void roles_free(struct roles *roles);

/* The role of that name, or what is for all others; false: there is none. */
bool roles_find(const struct roles *roles, const char *name, struct role *role);

#endif
