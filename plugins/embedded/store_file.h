/* SPDX-License-Identifier: MIT */
/* The files of a store: found, held against other processes, judged before anything
 * may write into them, and made where there are none. */
#ifndef BERTH_EMBEDDED_STORE_FILE_H
#define BERTH_EMBEDDED_STORE_FILE_H

#include <stdbool.h>
#include <sys/stat.h>

#include "inline/reason.h"

struct store_file {
	char *path, *log;  /* the database, and what is written ahead of it; absolute */
	int dir_fd;        /* of their directory, locked as long as it is open */
	bool had_log;      /* it was there before we were */
	struct stat is, log_is; /* what the paths led to */
};

/* Takes hold of the store in a directory, both made where they are missing; the last
 * part of the directory's path alone. -EBUSY where another process has it; -EBADMSG
 * where there is something that is none of our stores, which is left as it is; else a
 * negative errno that may pass. */
int store_file_open(const char *dir, struct store_file *file, struct reason *reason);
void store_file_close(struct store_file *file);

/* Notes what the paths lead to now. */
int store_file_note(struct store_file *file);

/* Whether they still lead there: what is written to files that nobody finds again is
 * not kept. */
bool store_file_is_in_place(const struct store_file *file);

/* Takes hold of the directory that is in the place of a lost one now, if there is nothing of
 * a store in it: then a copy that has been written to path.new can be put there. */
int store_file_open_again(const struct store_file *lost, struct store_file *file);
int store_file_put(const struct store_file *file);
void store_file_take_back(const struct store_file *file);

/* Removes an empty log that was not there before. */
void store_file_tidy(const struct store_file *file);

#endif
