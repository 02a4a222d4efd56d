/* SPDX-License-Identifier: MIT */
/* The text of supervisor.sh, which the build makes a C file of. */
#ifndef BERTH_INCUS_SUPERVISOR_H
#define BERTH_INCUS_SUPERVISOR_H

#include <stddef.h>

extern const char supervisor_text[];
extern const size_t supervisor_len;

#endif
