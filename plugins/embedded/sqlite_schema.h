/* SPDX-License-Identifier: MIT */
/* The tables of a store, in all versions that there have been. */
#ifndef BERTH_EMBEDDED_SQLITE_SCHEMA_H
#define BERTH_EMBEDDED_SQLITE_SCHEMA_H

#include "sqlite_library.h"

enum {
	SCHEMA_APPLICATION_ID = 0x62727468, /* brth */
	SCHEMA_VERSION = 1,
};

/* Brings a database of an earlier version, 0 being an empty one, to this version: in
 * one transaction, so that it is of the one or of the other whatever happens. Returns
 * an SQLite code. */
int sqlite_schema_migrate(sqlite3 *db, int version);

/* Whether the tables are those of this version, and nothing else is there: SQLITE_OK,
 * SQLITE_CORRUPT where not, or another code. */
int sqlite_schema_check(sqlite3 *db);

/* A new database, as the bytes of a file: to be freed with sqlite3_free. NULL where there
 * is no memory. */
unsigned char *sqlite_schema_image(sqlite3_int64 *sizep);

#endif
