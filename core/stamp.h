/* SPDX-License-Identifier: MIT */
/* The stamp of a plugin, read as data: no code of the plugin runs for it. */
#ifndef BERTH_CORE_STAMP_H
#define BERTH_CORE_STAMP_H

#include <stddef.h>
#include <stdint.h>

#include "core/failure.h"

enum {
	STAMP_ID_MAX = 64,
	STAMP_VERSION_MAX = 64,
	STAMP_OPTIONS_MAX = 64,
	STAMP_DESC_MAX = 65536,
};

enum option_type {
	OPTION_TEXT,
	OPTION_COUNT,
	OPTION_FLAG,
	OPTION_PATH,
	OPTION_SECRET,
	OPTION_JSON,
	N_OPTION_TYPES,
};

struct stamp_option {
	const char *name, *fallback, *help; /* in stamp->text */
	enum option_type type;
};

struct stamp {
	unsigned major, needed, minor; /* of the ABI */
	unsigned threading;            /* BERTH_THREADS_* */
	const char *id, *version;      /* in text */
	struct stamp_option options[STAMP_OPTIONS_MAX];
	size_t n_options;
	char *text;
};

/* Reads the stamp of the plugin that is open as fd, and checks that this host can
 * drive it. id: NULL where the file is a plugin, which has one stamp; else the one
 * that is meant in a program with several. The caller frees it with stamp_fini. */
int stamp_read(int fd, const char *id, struct stamp *stamp, struct failure *failure);
void stamp_fini(struct stamp *stamp);

/* As in BERTH_OPTION. */
const char *option_type_name(enum option_type type);

#endif
