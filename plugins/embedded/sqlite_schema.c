/* SPDX-License-Identifier: MIT */
/*
 * A new store is made as an old one is brought up to date: by the steps from one version
 * to the next, from 0 on. A step that has been released is never changed.
 *
 * An item is found by its place in the transcript as well as by its event, since it is
 * what there is of the event: so an input takes one row, and what else happens takes one
 * in the table of events. Times are nanoseconds since 1970. Contents stand last in their
 * row, where nothing has to be read across them.
 */
#include "config.h"

#include "sqlite_schema.h"

#include <stdio.h>
#include <string.h>

/* steps[VERSION] makes VERSION + 1 of it. */
static const char *const steps[SCHEMA_VERSION] = {
	"CREATE TABLE runtime (one INTEGER PRIMARY KEY CHECK (one = 1), identity TEXT NOT NULL,"
	" last_worker INTEGER NOT NULL, last_event INTEGER NOT NULL, last_at INTEGER NOT NULL) STRICT;"
	"INSERT INTO runtime VALUES (1, lower(hex(randomblob(8))), 0, 0, 0);"
	"CREATE TABLE worker (number INTEGER PRIMARY KEY, assignment INTEGER NOT NULL, state INTEGER NOT NULL,"
	" n_items INTEGER NOT NULL, n_dropped INTEGER NOT NULL, rested_at INTEGER NOT NULL) STRICT;"
	"CREATE INDEX worker_rested ON worker (rested_at) WHERE rested_at > 0;"
	"CREATE TABLE event (id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, at INTEGER NOT NULL,"
	" worker INTEGER NOT NULL) STRICT;"
	"CREATE INDEX event_worker ON event (worker);"
	"CREATE TABLE item (event_id INTEGER PRIMARY KEY, at INTEGER NOT NULL, worker INTEGER NOT NULL,"
	" sequence INTEGER NOT NULL, is_system INTEGER NOT NULL, content BLOB NOT NULL) STRICT;"
	"CREATE UNIQUE INDEX item_place ON item (worker, sequence);",
};

int sqlite_schema_migrate(sqlite3 *db, int version)
{
	char pragma[64];
	int rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

	for (; version < SCHEMA_VERSION && rc == SQLITE_OK; version++)
		rc = sqlite3_exec(db, steps[version], NULL, NULL, NULL);
	snprintf(pragma, sizeof pragma, "PRAGMA user_version = %d", SCHEMA_VERSION);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, pragma, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

/* A new database in memory. */
static int open_new(sqlite3 **dbp)
{
	char pragma[64];
	int rc = sqlite3_open(":memory:", dbp);

	snprintf(pragma, sizeof pragma, "PRAGMA auto_vacuum = NONE; PRAGMA application_id = %d", SCHEMA_APPLICATION_ID);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(*dbp, pragma, NULL, NULL, NULL);
	return rc == SQLITE_OK ? sqlite_schema_migrate(*dbp, 0) : rc;
}

/* All that is declared, as one text. */
static int prepare_declared(sqlite3 *db, sqlite3_stmt **stmtp)
{
	int rc = sqlite3_prepare_v2(db, "SELECT group_concat(type || ' ' || name || ' ' || ifnull(sql, ''), ';') FROM"
					" (SELECT * FROM sqlite_schema ORDER BY name)", -1, stmtp, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(*stmtp);
	return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

int sqlite_schema_check(sqlite3 *db)
{
	sqlite3_stmt *expected = NULL, *found = NULL;
	sqlite3 *pattern = NULL;
	const char *text;
	int rc = open_new(&pattern);

	if (rc == SQLITE_OK)
		rc = prepare_declared(pattern, &expected);
	if (rc == SQLITE_OK)
		rc = prepare_declared(db, &found);
	if (rc == SQLITE_OK) {
		text = (const char *)sqlite3_column_text(found, 0);
		if (!text || strcmp(text, (const char *)sqlite3_column_text(expected, 0)) != 0)
			rc = SQLITE_CORRUPT;
	}
	sqlite3_finalize(found);
	sqlite3_finalize(expected);
	sqlite3_close(pattern);
	return rc;
}

unsigned char *sqlite_schema_image(sqlite3_int64 *sizep)
{
	unsigned char *image = NULL;
	sqlite3 *db = NULL;

	if (open_new(&db) == SQLITE_OK)
		image = sqlite3_serialize(db, "main", sizep, 0);
	sqlite3_close(db);
	return image;
}
