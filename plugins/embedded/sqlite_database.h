/* SPDX-License-Identifier: MIT */
/* An open database of a store, found in order, with the statements prepared that it is
 * asked in. */
#ifndef BERTH_EMBEDDED_SQLITE_DATABASE_H
#define BERTH_EMBEDDED_SQLITE_DATABASE_H

#include "inline/reason.h"
#include "sqlite_library.h"
#include "store.h"
#include "store_file.h"

enum { SQLITE_STATEMENTS_MAX = 24 };

struct sqlite_database {
	/* Set by the caller: */
	struct store_file file; /* its own from then on */
	bool relaxed;
	const char *const *sql; /* n_statements of them */
	size_t n_statements;

	sqlite3 *db;
	sqlite3_stmt *statements[SQLITE_STATEMENTS_MAX];
	int version; /* of the schema that was found */
	struct store_head head;
	char identity[STORE_IDENTITY_LEN + 1];
};

/* Opens it, to be written or only to be read where nothing can be written. Both return an
 * SQLite code; SQLITE_SCHEMA where it is of a later version. Nothing is changed before all
 * has been found in order, and the files are as they were where not. */
int sqlite_database_open(struct sqlite_database *database);
int sqlite_database_open_for_reading(struct sqlite_database *database);

/* Closes the connection, not the files. */
void sqlite_database_disconnect(struct sqlite_database *database);

/* Whether closing may move what is in the log into the database, and remove the log; it may
 * once it has been opened. */
void sqlite_database_set_tidy(struct sqlite_database *database, bool tidy);

/* Writes all of it, whether anybody finds its files or not, to where another is put. */
int sqlite_database_copy(struct sqlite_database *database, const struct store_file *file);

/* -EBADMSG: it is damaged. */
int sqlite_errno(int rc);

/* What an SQLite code of an opening means, and what to do; returns its errno. */
int sqlite_database_explain(const struct sqlite_database *database, int rc, struct reason *reason);

/* The same in few words. */
enum { SQLITE_WHY_MAX = 256 };
const char *sqlite_why(sqlite3 *db, int rc, char why[SQLITE_WHY_MAX]);

#endif
