/* SPDX-License-Identifier: MIT */
/*
 * Configuration files: JSON with comments, read only from where nobody else can
 * have written them.
 *
 * A directory is opened once, and files through it; owner and mode are checked on
 * what has been opened, so that nothing can be exchanged in between.
 */
#ifndef BERTH_CORE_CONFIG_FILE_H
#define BERTH_CORE_CONFIG_FILE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/failure.h"

enum { CONFIG_FILE_MAX = 1 << 20 }; /* bytes */

struct config_dir {
	int fd; /* -1: there is no such directory */
	char *path;
	struct failure unsafe; /* code other than none: no file in it is to be used */
};

struct config_file {
	char *path;
	char *text;  /* with blanks in the places of comments */
	cJSON *json; /* an object; NULL where it is masked */
	bool masked; /* empty, or a link to /dev/null */
};

/* Opens a directory; one that is not there is no error. -ENOMEM. */
int config_dir_open(const char *path, struct config_dir *dir);
void config_dir_close(struct config_dir *dir);

/* The names that end in .json and do not begin with a dot, in byte order, without
 * the ending; a list that ends with a NULL, to be freed with config_names_free. A directory
 * that is there and cannot be read adds to the failures. -ENOMEM. */
int config_dir_list(const struct config_dir *dir, char ***namesp, struct failures *failures);
void config_names_free(char **names);

/* Reads NAME.json. 1: read; 0: there is none; negative: the reason is in failure, and
 * requiredp (may be NULL) says whether "required": true stands before the error. */
int config_file_read(const struct config_dir *dir, const char *name, struct config_file *file, bool *requiredp,
		     struct failure *failure);
void config_file_fini(struct config_file *file);

/* Where a key of the object stands, or one of the object under it (inner may be
 * NULL): "PATH:LINE:COLUMN" in where. */
void config_file_locate(const struct config_file *file, const char *key, const char *inner, struct error *where);

#endif
