/* SPDX-License-Identifier: MIT */
/* Reads the files of records, one after the other, into memory that is used again. */
#ifndef BERTH_LOCAL_POD_READER_H
#define BERTH_LOCAL_POD_READER_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

struct reader {
	char *text; /* of the last file */
	size_t size;
};

/* Reads a file below a directory. Returns its length, and what it was before it was read; a
 * negative errno where it cannot be read, is not regular, or too large for a record. Sets
 * *linkp to whether its last part is a link. */
ssize_t reader_read(struct reader *reader, int dir_fd, const char *path, struct stat *st, bool *linkp);

/* Gives back the memory if there is much. */
void reader_rest(struct reader *reader);
void reader_fini(struct reader *reader);

#endif
