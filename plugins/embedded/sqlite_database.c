/* SPDX-License-Identifier: MIT */
/*
 * A database may have been damaged, made by anybody, or belong to another version, so it
 * is looked at before anything may write into it: first by its header, without SQLite (see
 * store_file.c), then by its schema and the newest of its rows. All of its rows are not
 * read, since that takes the longer the more there are.
 */
#include "config.h"

#include "sqlite_database.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sqlite_schema.h"

/* ---- Errors ---- */

int sqlite_errno(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_CONSTRAINT: /* a number that was given before */
	case SQLITE_MISMATCH:
		return -EBADMSG;
	default:
		return -EIO;
	}
}

const char *sqlite_why(sqlite3 *db, int rc, char why[SQLITE_WHY_MAX])
{
	int error = db && sqlite_errno(rc) != -EBADMSG ? sqlite3_system_errno(db) : 0;

	snprintf(why, SQLITE_WHY_MAX, "%s%s%s", sqlite3_errstr(rc), error ? ": " : "", error ? strerror(error) : "");
	return why;
}

int sqlite_database_explain(const struct sqlite_database *database, int rc, struct reason *reason)
{
	const char *path = database->file.path;
	char why[SQLITE_WHY_MAX];

	if (rc == SQLITE_SCHEMA)
		return reason_set(reason, -EBADMSG, "%s is of schema %d, and this is the adapter for schema %d; install a "
				  "later one, or name another directory in the option store", path, database->version,
				  SCHEMA_VERSION);
	if (sqlite_errno(rc) == -EBUSY)
		return reason_set(reason, -EBUSY, "%s is in use by another program; end that", path);
	if (sqlite_errno(rc) == -EBADMSG)
		return reason_set(reason, -EBADMSG, "%s is damaged: %s; put a copy of it back, or name another directory in "
				  "the option store", path, sqlite3_errstr(rc));
	return reason_set(reason, sqlite_errno(rc), "%s cannot be used: %s", path, sqlite_why(database->db, rc, why));
}

/* ---- Connections ---- */

void sqlite_database_set_tidy(struct sqlite_database *database, bool tidy)
{
	int keep_log = !tidy;

	sqlite3_db_config(database->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !tidy, NULL);
	sqlite3_file_control(database->db, "main", SQLITE_FCNTL_PERSIST_WAL, &keep_log);
}

void sqlite_database_disconnect(struct sqlite_database *database)
{
	for (size_t i = 0; i < database->n_statements; i++) {
		sqlite3_finalize(database->statements[i]);
		database->statements[i] = NULL;
	}
	sqlite3_close(database->db);
	database->db = NULL;
}

/* Opens the connection; nothing is written by that. */
static int connect_to(struct sqlite_database *database, const char *name, int flags)
{
	int rc = sqlite3_open_v2(name, &database->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);

	if (rc != SQLITE_OK)
		return rc;
	sqlite_database_set_tidy(database, false);
	/* The file may come from anybody. */
	sqlite3_db_config(database->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(database->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	return sqlite3_exec(database->db, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA cell_size_check = ON;"
			    "PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 67108864;",
			    NULL, NULL, NULL);
}

/* ---- Looking at it ---- */

static int get_version(sqlite3 *db, int *versionp)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &stmt, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		*versionp = sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

/* Brings an earlier schema up to date. What is wrong with it is found before anything is
 * written; a later one may stand in the log alone, where its header does not show it. */
static int check_schema(struct sqlite_database *database)
{
	int rc = get_version(database->db, &database->version);

	if (rc != SQLITE_OK)
		return rc;
	if (database->version < 0 || database->version > SCHEMA_VERSION)
		return SQLITE_SCHEMA;
	if (database->version < SCHEMA_VERSION)
		rc = sqlite_schema_migrate(database->db, database->version);
	return rc == SQLITE_OK ? sqlite_schema_check(database->db) : rc;
}

static int prepare_statements(struct sqlite_database *database)
{
	int rc = SQLITE_OK;

	for (size_t i = 0; i < database->n_statements && rc == SQLITE_OK; i++)
		rc = sqlite3_prepare_v3(database->db, database->sql[i], -1, SQLITE_PREPARE_PERSISTENT,
					&database->statements[i], NULL);
	return rc;
}

static bool take_number(sqlite3_stmt *stmt, int column, uint64_t *valuep)
{
	sqlite3_int64 value = sqlite3_column_int64(stmt, column);

	*valuep = (uint64_t)value;
	return value >= 0;
}

static int get_head(struct sqlite_database *database)
{
	struct store_head *head = &database->head;
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(database->db, "SELECT last_worker, last_event, last_at, identity FROM runtime", -1,
				    &stmt, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_DONE)
		rc = SQLITE_CORRUPT;
	if (rc == SQLITE_ROW && (!take_number(stmt, 0, &head->last_worker) || !take_number(stmt, 1, &head->last_event) ||
				 !take_number(stmt, 2, &head->last_at_ns) ||
				 sqlite3_column_bytes(stmt, 3) != STORE_IDENTITY_LEN))
		rc = SQLITE_CORRUPT;
	if (rc == SQLITE_ROW)
		memcpy(database->identity, sqlite3_column_text(stmt, 3), STORE_IDENTITY_LEN);
	sqlite3_finalize(stmt);
	return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

/* Looks at the newest of everything: it must not be beyond the numbers given last. */
static int check_head(struct sqlite_database *database)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(database->db,
				    "SELECT ifnull((SELECT max(number) FROM worker), 0) <= last_worker AND"
				    " max(ifnull((SELECT max(id) FROM event), 0),"
				    " ifnull((SELECT max(event_id) FROM item), 0)) <= last_event FROM runtime",
				    -1, &stmt, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW && !sqlite3_column_int(stmt, 0))
		rc = SQLITE_CORRUPT;
	sqlite3_finalize(stmt);
	return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

static int check_rows(struct sqlite_database *database)
{
	int rc = prepare_statements(database);

	if (rc == SQLITE_OK)
		rc = get_head(database);
	return rc == SQLITE_OK ? check_head(database) : rc;
}

/* ---- Opening ---- */

static int set_durability(sqlite3 *db, bool relaxed)
{
	return sqlite3_exec(db, relaxed ? "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL" :
					  "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL", NULL, NULL, NULL);
}

int sqlite_database_open(struct sqlite_database *database)
{
	int rc = connect_to(database, database->file.path, SQLITE_OPEN_READWRITE);

	if (rc == SQLITE_OK)
		rc = check_schema(database);
	if (rc == SQLITE_OK)
		rc = check_rows(database);
	if (rc == SQLITE_OK)
		rc = set_durability(database->db, database->relaxed);
	/* A log that there has not been before is opened by the first who reads. */
	if (rc == SQLITE_OK)
		rc = get_head(database);
	if (rc == SQLITE_OK && store_file_note(&database->file) < 0)
		rc = SQLITE_IOERR;
	if (rc == SQLITE_OK)
		sqlite_database_set_tidy(database, true);
	return rc;
}

/* A store that was closed in order can be read where nothing can be written, not even the
 * log that every other way of reading it begins with. */
int sqlite_database_open_for_reading(struct sqlite_database *database)
{
	char *name = sqlite3_mprintf("file:"), *longer;
	int version = 0, rc;

	for (const char *p = database->file.path; name && *p; p++) {
		longer = strchr("%?#", *p) ? sqlite3_mprintf("%s%%%02x", name, *p) : sqlite3_mprintf("%s%.1s", name, p);
		sqlite3_free(name);
		name = longer;
	}
	longer = name ? sqlite3_mprintf("%s?immutable=1", name) : NULL;
	sqlite3_free(name);
	rc = longer ? connect_to(database, longer, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI) : SQLITE_NOMEM;
	sqlite3_free(longer);
	if (rc == SQLITE_OK)
		rc = get_version(database->db, &version);
	if (rc == SQLITE_OK && version != SCHEMA_VERSION)
		rc = SQLITE_READONLY;
	if (rc == SQLITE_OK)
		rc = sqlite_schema_check(database->db);
	return rc == SQLITE_OK ? check_rows(database) : rc;
}

int sqlite_database_copy(struct sqlite_database *database, const struct store_file *file)
{
	sqlite3_stmt *stmt = NULL;
	char *path = NULL;
	int rc = asprintf(&path, "%s.new", file->path) < 0 ? SQLITE_NOMEM : SQLITE_OK;

	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(database->db, "VACUUM INTO ?1", -1, &stmt, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(stmt, 1, path, -1, free);
	else
		free(path);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? store_file_put(file) : sqlite_errno(rc);
}
