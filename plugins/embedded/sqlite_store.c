/* SPDX-License-Identifier: MIT */
/*
 * The rows of a catalogue in SQLite, behind one connection that has the database to
 * itself. Then the index of the log is in our memory and in no file, which a disk that
 * is full or a stranger who cuts it short could turn into a signal. Nothing but the
 * numbers given last is held here: all else is read when it is asked for.
 */
#include "config.h"

#include "sqlite_store.h"

#include <stdlib.h>
#include <string.h>

#include "sqlite_schema.h"
#include "store_file.h"

enum statement {
	BEGIN,
	COMMIT,
	ROLLBACK,
	COVER,
	GET_HEAD,
	GET_WORKER,
	EACH_WORKER,
	EACH_ITEM,
	EACH_EVENT,
	OLDEST_ITEM,
	OLDEST_REST,
	PUT_HEAD,
	PUT_WORKER,
	ADD_EVENT,
	ADD_ITEM,
	DROP_ITEMS,
	DROP_WORKER,
	DROP_EVENTS,
	N_STATEMENTS,
};

#define WORKER_ROW "SELECT number, assignment, state, n_items, n_dropped, rested_at FROM worker "

static const char *const sql[N_STATEMENTS] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
	[COVER] = "UPDATE runtime SET last_at = last_at + 1",
	[GET_HEAD] = "SELECT last_worker, last_event, last_at, identity FROM runtime",
	[GET_WORKER] = WORKER_ROW "WHERE number = ?1",
	[EACH_WORKER] = WORKER_ROW "ORDER BY number",
	[EACH_ITEM] = "SELECT sequence, event_id, is_system, content FROM item"
		      " WHERE worker = ?1 AND sequence >= ?2 ORDER BY sequence LIMIT ?3",
	[EACH_EVENT] = "SELECT id, kind, at, worker, 0 FROM event WHERE id > ?1 UNION ALL"
		       " SELECT event_id, 3, at, worker, sequence FROM item WHERE event_id > ?1 ORDER BY 1 LIMIT ?2",
	[OLDEST_ITEM] = "SELECT event_id, 3, at, worker, sequence FROM item ORDER BY event_id LIMIT 1",
	[OLDEST_REST] = WORKER_ROW "WHERE rested_at > 0 ORDER BY rested_at LIMIT 1",
	[PUT_HEAD] = "UPDATE runtime SET last_worker = ?1, last_event = ?2, last_at = ?3",
	[PUT_WORKER] = "INSERT INTO worker VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (number) DO UPDATE SET"
		       " state = ?3, n_items = ?4, n_dropped = ?5, rested_at = ?6",
	[ADD_EVENT] = "INSERT INTO event VALUES (?1, ?2, ?3, ?4)",
	[ADD_ITEM] = "INSERT INTO item VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[DROP_ITEMS] = "DELETE FROM item WHERE worker = ?1 AND sequence <= ?2",
	[DROP_WORKER] = "DELETE FROM worker WHERE number = ?1",
	[DROP_EVENTS] = "DELETE FROM event WHERE worker = ?1",
};

_Static_assert(EVENT_INPUT == 3, "as it stands in the statements");

struct sqlite_store {
	struct store base;
	const struct berth_services *services;
	struct store_file file;
	sqlite3 *db;
	sqlite3_stmt *statements[N_STATEMENTS];
	struct store_head kept; /* the numbers that are in the database */
	int version;            /* of the schema that was found */
	bool relaxed;
	bool read_only;         /* so far: nothing could be written when it was opened */
	bool uncertain;         /* the last commit failed, and may all the same be found in the log */
	bool failing;           /* and that has been said */
	bool damaged;
};

enum { WHY_MAX = 256 };

/* ---- Errors ---- */

static int errno_of(int rc)
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

/* Says once that the store fails, until it does no more. */
static int failed(struct sqlite_store *store, int error, const char *why)
{
	if (!store->failing)
		store->services->log(store->services, BERTH_LOG_ERROR, "the store %s fails: %s", store->file.path, why);
	store->failing = true;
	return error;
}

static const char *explain_in_sqlite(const struct sqlite_store *store, int rc, char why[WHY_MAX])
{
	int error = store->db && errno_of(rc) != -EBADMSG ? sqlite3_system_errno(store->db) : 0;

	snprintf(why, WHY_MAX, "%s%s%s", sqlite3_errstr(rc), error ? ": " : "", error ? strerror(error) : "");
	return why;
}

static int damaged(struct sqlite_store *store)
{
	store->damaged = true;
	return failed(store, -EBADMSG, "it is damaged; put a copy of it back, or name another directory in the option store");
}

/* SQLite takes a file that gives an error when it is read for a damaged one; but that may
 * pass. */
static bool is_unreadable(const struct sqlite_store *store)
{
	sqlite3_file *log = NULL;
	int error = 0, log_error = 0;

	sqlite3_file_control(store->db, "main", SQLITE_FCNTL_LAST_ERRNO, &error);
	sqlite3_file_control(store->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
	if (log && log->pMethods)
		log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &log_error);
	return error == EIO || error == ENXIO || log_error == EIO || log_error == ENXIO;
}

static int failed_in_sqlite(struct sqlite_store *store, int rc)
{
	char why[WHY_MAX];

	if ((rc & 0xff) == SQLITE_CORRUPT && is_unreadable(store))
		rc = SQLITE_IOERR_READ;
	return errno_of(rc) == -EBADMSG ? damaged(store) : failed(store, errno_of(rc), explain_in_sqlite(store, rc, why));
}

/* ---- Statements ---- */

static sqlite3_stmt *bind_numbers(struct sqlite_store *store, enum statement which, const uint64_t *numbers, size_t n)
{
	sqlite3_stmt *stmt = store->statements[which];

	for (size_t i = 0; i < n; i++)
		sqlite3_bind_int64(stmt, (int)i + 1, (sqlite3_int64)numbers[i]);
	return stmt;
}

#define BIND(store, which, ...)                                       \
	bind_numbers((store), (which), (const uint64_t[]){ __VA_ARGS__ }, \
		     sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t))

/* Ends a statement that was stepped last with rc. */
static int end(struct sqlite_store *store, sqlite3_stmt *stmt, int rc)
{
	int error = errno_of(rc) < 0 ? failed_in_sqlite(store, rc) : 0;

	sqlite3_reset(stmt);
	return error;
}

static int run(struct sqlite_store *store, sqlite3_stmt *stmt)
{
	return end(store, stmt, sqlite3_step(stmt));
}

/* A number that is below a bound. */
static bool take(sqlite3_stmt *stmt, int column, uint64_t bound, uint64_t *valuep)
{
	sqlite3_int64 value = sqlite3_column_int64(stmt, column);

	*valuep = (uint64_t)value;
	return value >= 0 && *valuep < bound;
}

static bool take_worker(sqlite3_stmt *stmt, struct catalogue_worker *worker)
{
	uint64_t assignment, state;

	if (!take(stmt, 0, INT64_MAX, &worker->number) || !take(stmt, 1, N_ASSIGNMENTS, &assignment) ||
	    !take(stmt, 2, N_WORKER_STATES, &state) || !take(stmt, 3, INT64_MAX, &worker->n_items) ||
	    !take(stmt, 4, worker->n_items + 1, &worker->n_dropped) || !take(stmt, 5, INT64_MAX, &worker->rested_at_ns))
		return false;
	worker->assignment = (enum worker_assignment)assignment;
	worker->state = (enum worker_state)state;
	return worker->number > 0;
}

static bool take_event(sqlite3_stmt *stmt, struct catalogue_event *event)
{
	uint64_t kind;

	if (!take(stmt, 0, INT64_MAX, &event->id) || !take(stmt, 1, N_EVENT_KINDS, &kind) ||
	    !take(stmt, 2, INT64_MAX, &event->at_ns) || !take(stmt, 3, INT64_MAX, &event->worker) ||
	    !take(stmt, 4, INT64_MAX, &event->sequence))
		return false;
	event->kind = (enum event_kind)kind;
	return event->id > 0 && kind > 0;
}

/* ---- Reading ---- */

/* -ENOENT where there is no row. */
static int get_one_worker(struct sqlite_store *store, sqlite3_stmt *stmt, struct catalogue_worker *worker)
{
	int rc = sqlite3_step(stmt), error = 0;

	if (rc == SQLITE_DONE)
		error = -ENOENT;
	else if (rc == SQLITE_ROW && !take_worker(stmt, worker))
		error = damaged(store);
	return error < 0 ? (sqlite3_reset(stmt), error) : end(store, stmt, rc);
}

static int sqlite_get_worker(struct store *base, uint64_t number, struct catalogue_worker *worker)
{
	struct sqlite_store *store = (struct sqlite_store *)base;

	return number > INT64_MAX ? -ENOENT : get_one_worker(store, BIND(store, GET_WORKER, number), worker);
}

static int sqlite_oldest_rest(struct store *base, struct catalogue_worker *worker)
{
	struct sqlite_store *store = (struct sqlite_store *)base;

	return get_one_worker(store, store->statements[OLDEST_REST], worker);
}

static int sqlite_each_worker(struct store *base, store_worker_visitor *visit, void *data)
{
	struct sqlite_store *store = (struct sqlite_store *)base;
	sqlite3_stmt *stmt = store->statements[EACH_WORKER];
	struct catalogue_worker worker;
	int rc;

	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		if (!take_worker(stmt, &worker)) {
			sqlite3_reset(stmt);
			return damaged(store);
		}
		if (visit(data, &worker))
			break;
	}
	return end(store, stmt, rc);
}

/* What is no more than a signed number can be. */
static uint64_t bounded(uint64_t number)
{
	return number < INT64_MAX ? number : INT64_MAX;
}

/* 1: it is wanted no more. */
static int show_item(struct sqlite_store *store, sqlite3_stmt *stmt, uint64_t sequence, store_item_visitor *visit,
		     void *data)
{
	struct catalogue_item item = { .is_system = sqlite3_column_int(stmt, 2) != 0 };

	if (!take(stmt, 0, INT64_MAX, &item.sequence) || !take(stmt, 1, INT64_MAX, &item.event_id) ||
	    item.sequence != sequence || item.event_id == 0)
		return damaged(store);
	item.content.ptr = sqlite3_column_blob(stmt, 3);
	item.content.len = (size_t)sqlite3_column_bytes(stmt, 3);
	if (!item.content.ptr) /* none is empty */
		return sqlite3_errcode(store->db) == SQLITE_NOMEM ? -ENOMEM : damaged(store);
	return visit(data, &item) ? 1 : 0;
}

static int sqlite_each_item(struct store *base, uint64_t worker, uint64_t first, uint64_t limit,
			    store_item_visitor *visit, void *data)
{
	struct sqlite_store *store = (struct sqlite_store *)base;
	sqlite3_stmt *stmt = BIND(store, EACH_ITEM, worker, bounded(first), bounded(limit));
	int rc, shown = 0;

	while (shown == 0 && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
		shown = show_item(store, stmt, first++, visit, data);
	if (shown == 0)
		return end(store, stmt, rc);
	sqlite3_reset(stmt);
	return shown < 0 ? shown : 0;
}

static int sqlite_each_event(struct store *base, uint64_t after, uint64_t limit, store_event_visitor *visit, void *data)
{
	struct sqlite_store *store = (struct sqlite_store *)base;
	sqlite3_stmt *stmt = BIND(store, EACH_EVENT, bounded(after), bounded(limit));
	struct catalogue_event event;
	int rc;

	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		if (!take_event(stmt, &event)) {
			sqlite3_reset(stmt);
			return damaged(store);
		}
		if (visit(data, &event))
			break;
	}
	return end(store, stmt, rc);
}

static int sqlite_oldest_item(struct store *base, struct catalogue_event *event)
{
	struct sqlite_store *store = (struct sqlite_store *)base;
	sqlite3_stmt *stmt = store->statements[OLDEST_ITEM];
	int rc = sqlite3_step(stmt);

	if (rc == SQLITE_ROW && !take_event(stmt, event)) {
		sqlite3_reset(stmt);
		return damaged(store);
	}
	return rc == SQLITE_DONE ? (sqlite3_reset(stmt), -ENOENT) : end(store, stmt, rc);
}

/* ---- Changing ---- */

static int put_back(struct sqlite_store *store);
static int open_for_writing(struct sqlite_store *store);

static int sqlite_begin(struct store *base)
{
	struct sqlite_store *store = (struct sqlite_store *)base;

	if (store->read_only && open_for_writing(store) < 0)
		return failed(store, -EROFS, "it can only be read");
	if (!store_file_is_in_place(&store->file) && put_back(store) < 0)
		return failed(store, -ESTALE, "its files are not in their place any more; put them back");
	return run(store, store->statements[BEGIN]);
}

static int put_worker(struct sqlite_store *store, const struct catalogue_worker *worker)
{
	return run(store, BIND(store, PUT_WORKER, worker->number, worker->assignment, worker->state, worker->n_items,
			       worker->n_dropped, worker->rested_at_ns));
}

static int add_item(struct sqlite_store *store, const struct catalogue_event *event, const struct catalogue_item *item)
{
	sqlite3_stmt *stmt = BIND(store, ADD_ITEM, event->id, event->at_ns, event->worker, item->sequence, item->is_system);
	int rc;

	sqlite3_bind_blob64(stmt, 6, item->content.ptr, item->content.len, SQLITE_STATIC);
	rc = run(store, stmt);
	sqlite3_bind_null(stmt, 6);
	return rc;
}

static int sqlite_apply(struct store *base, const struct catalogue_worker *worker, const struct catalogue_event *event,
			const struct catalogue_item *item)
{
	struct sqlite_store *store = (struct sqlite_store *)base;
	int rc = worker ? put_worker(store, worker) : 0;

	if (rc < 0)
		return rc;
	return item ? add_item(store, event, item) :
		      run(store, BIND(store, ADD_EVENT, event->id, event->kind, event->at_ns, event->worker));
}

static int sqlite_drop_items(struct store *base, const struct catalogue_worker *worker)
{
	struct sqlite_store *store = (struct sqlite_store *)base;
	int rc = run(store, BIND(store, DROP_ITEMS, worker->number, worker->n_dropped));

	return rc < 0 ? rc : put_worker(store, worker);
}

static int sqlite_drop_worker(struct store *base, uint64_t number)
{
	struct sqlite_store *store = (struct sqlite_store *)base;
	int rc = run(store, BIND(store, DROP_EVENTS, number));

	return rc < 0 ? rc : run(store, BIND(store, DROP_WORKER, number));
}

static int sqlite_commit(struct store *base, const struct store_head *head)
{
	struct sqlite_store *store = (struct sqlite_store *)base;
	int rc = 0;

	if (head->last_event != store->kept.last_event)
		rc = run(store, BIND(store, PUT_HEAD, head->last_worker, head->last_event, head->last_at_ns));
	if (rc == 0) {
		rc = run(store, store->statements[COMMIT]);
		store->uncertain = rc < 0;
	}
	if (rc < 0)
		return rc;
	store->kept = *head;
	if (store->failing)
		store->services->log(store->services, BERTH_LOG_WARNING, "the store %s works again", store->file.path);
	store->failing = false;
	return 0;
}

/* Where all was written and only the sync failed, the next who opens the store would find
 * it committed. So it is written over, by a change of a nanosecond: none at all would not
 * be written. */
static void cover(struct sqlite_store *store)
{
	static const enum statement order[] = { BEGIN, COVER, COMMIT };
	int rc = 0;

	for (size_t i = 0; i < sizeof order / sizeof *order && rc == 0; i++)
		rc = run(store, store->statements[order[i]]);
	store->uncertain = false;
}

static void take_back(struct sqlite_store *store)
{
	/* Many an error has taken it back already. */
	if (!sqlite3_get_autocommit(store->db))
		run(store, store->statements[ROLLBACK]);
}

static void sqlite_rollback(struct store *base)
{
	struct sqlite_store *store = (struct sqlite_store *)base;

	take_back(store);
	if (!store->uncertain)
		return;
	cover(store);
	take_back(store);
}

/* ---- Open, close ---- */

/* Whether closing may move what is in the log into the database, and remove the log. */
static void set_tidy(struct sqlite_store *store, int tidy)
{
	int keep_log = !tidy;

	sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !tidy, NULL);
	sqlite3_file_control(store->db, "main", SQLITE_FCNTL_PERSIST_WAL, &keep_log);
}

static void disconnect(struct sqlite_store *store)
{
	for (size_t i = 0; i < N_STATEMENTS; i++) {
		sqlite3_finalize(store->statements[i]);
		store->statements[i] = NULL;
	}
	sqlite3_close(store->db);
	store->db = NULL;
}

static void sqlite_close(struct store *base)
{
	struct sqlite_store *store = (struct sqlite_store *)base;

	/* Others may have put a store of theirs in the place of ours. */
	if (store->damaged || !store_file_is_in_place(&store->file))
		set_tidy(store, false);
	disconnect(store);
	store_file_close(&store->file);
	free(store);
}

static const struct store_ops sqlite_ops = {
	.get_worker = sqlite_get_worker,
	.each_worker = sqlite_each_worker,
	.each_item = sqlite_each_item,
	.each_event = sqlite_each_event,
	.oldest_item = sqlite_oldest_item,
	.oldest_rest = sqlite_oldest_rest,
	.begin = sqlite_begin,
	.commit = sqlite_commit,
	.apply = sqlite_apply,
	.drop_items = sqlite_drop_items,
	.drop_worker = sqlite_drop_worker,
	.rollback = sqlite_rollback,
	.close = sqlite_close,
};

/* Opens the connection; nothing is written by that. */
static int connect_database(struct sqlite_store *store, const char *name, int flags)
{
	int rc = sqlite3_open_v2(name, &store->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);

	if (rc != SQLITE_OK)
		return rc;
	set_tidy(store, false);
	/* The file may come from anybody. */
	sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(store->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	return sqlite3_exec(store->db, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA cell_size_check = ON;"
			    "PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 67108864;",
			    NULL, NULL, NULL);
}

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
static int check_schema(struct sqlite_store *store)
{
	int rc = get_version(store->db, &store->version);

	if (rc != SQLITE_OK)
		return rc;
	if (store->version < 0 || store->version > SCHEMA_VERSION)
		return SQLITE_SCHEMA;
	if (store->version < SCHEMA_VERSION)
		rc = sqlite_schema_migrate(store->db, store->version);
	return rc == SQLITE_OK ? sqlite_schema_check(store->db) : rc;
}

static int prepare_statements(struct sqlite_store *store)
{
	int rc = SQLITE_OK;

	for (size_t i = 0; i < N_STATEMENTS && rc == SQLITE_OK; i++)
		rc = sqlite3_prepare_v3(store->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &store->statements[i], NULL);
	return rc;
}

static int get_head(struct sqlite_store *store)
{
	sqlite3_stmt *stmt = store->statements[GET_HEAD];
	struct store_head *head = &store->kept;
	int rc = sqlite3_step(stmt);

	if (rc == SQLITE_ROW && (!take(stmt, 0, INT64_MAX, &head->last_worker) ||
				 !take(stmt, 1, INT64_MAX, &head->last_event) ||
				 !take(stmt, 2, INT64_MAX, &head->last_at_ns) ||
				 sqlite3_column_bytes(stmt, 3) != STORE_IDENTITY_LEN))
		rc = SQLITE_CORRUPT;
	if (rc == SQLITE_ROW)
		snprintf(store->base.identity, sizeof store->base.identity, "%s",
			 (const char *)sqlite3_column_text(stmt, 3));
	sqlite3_reset(stmt);
	store->base.head = *head;
	return rc == SQLITE_ROW ? SQLITE_OK : rc == SQLITE_DONE ? SQLITE_CORRUPT : rc;
}

/* Looks at the newest of everything: it must not be beyond the numbers given last. */
static int check_head(struct sqlite_store *store)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(store->db,
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

static int check_rows(struct sqlite_store *store)
{
	int rc = prepare_statements(store);

	if (rc == SQLITE_OK)
		rc = get_head(store);
	return rc == SQLITE_OK ? check_head(store) : rc;
}

static int set_durability(sqlite3 *db, bool relaxed)
{
	return sqlite3_exec(db, relaxed ? "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL" :
					  "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL", NULL, NULL, NULL);
}

static int open_database(struct sqlite_store *store)
{
	int rc = connect_database(store, store->file.path, SQLITE_OPEN_READWRITE);

	if (rc == SQLITE_OK)
		rc = check_schema(store);
	if (rc == SQLITE_OK)
		rc = check_rows(store);
	if (rc == SQLITE_OK)
		rc = set_durability(store->db, store->relaxed);
	/* A log that there has not been before is opened by the first who reads. */
	if (rc == SQLITE_OK)
		rc = get_head(store);
	if (rc == SQLITE_OK && store_file_note(&store->file) < 0)
		rc = SQLITE_IOERR;
	return rc;
}

/* Writes all that is kept, whose files are still ours although nobody finds them, to where
 * the store is put. */
static int copy_to(struct sqlite_store *store, const struct store_file *file)
{
	sqlite3_stmt *stmt = NULL;
	char *path = NULL;
	int rc = asprintf(&path, "%s.new", file->path) < 0 ? SQLITE_NOMEM : SQLITE_OK;

	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(store->db, "VACUUM INTO ?1", -1, &stmt, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(stmt, 1, path, -1, free);
	else
		free(path);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? store_file_put(file) : errno_of(rc);
}

/* Where the files were removed, and their directory is there, or there again, everything is
 * written into it anew: who opens the store next must not begin with number 1. */
static int put_back(struct sqlite_store *store)
{
	struct sqlite_store *again = calloc(1, sizeof *again);
	int rc = again ? store_file_open_again(&store->file, &again->file) : -ENOMEM;

	if (rc < 0) {
		free(again);
		return rc;
	}
	again->services = store->services;
	again->relaxed = store->relaxed;
	rc = copy_to(store, &again->file);
	if (rc == 0)
		rc = errno_of(open_database(again));
	if (rc == 0 && again->kept.last_event != store->kept.last_event)
		rc = -EIO;
	if (rc == 0) {
		struct sqlite_store lost = *store;

		set_tidy(again, true);
		set_tidy(&lost, false);
		store->file = again->file;
		store->db = again->db;
		memcpy(store->statements, again->statements, sizeof store->statements);
		*again = lost;
	}
	disconnect(again);
	if (rc < 0)
		store_file_take_back(&again->file);
	store_file_close(&again->file);
	free(again);
	return rc;
}

/* A store that was closed in order can be read where nothing can be written, not even the
 * log that every other way of reading it begins with. */
static int open_for_reading(struct sqlite_store *store)
{
	char *name = sqlite3_mprintf("file:"), *longer;
	int version = 0, rc;

	for (const char *p = store->file.path; name && *p; p++) {
		longer = strchr("%?#", *p) ? sqlite3_mprintf("%s%%%02x", name, *p) : sqlite3_mprintf("%s%c", name, *p);
		sqlite3_free(name);
		name = longer;
	}
	longer = name ? sqlite3_mprintf("%s?immutable=1", name) : NULL;
	sqlite3_free(name);
	rc = longer ? connect_database(store, longer, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI) : SQLITE_NOMEM;
	sqlite3_free(longer);
	if (rc == SQLITE_OK)
		rc = get_version(store->db, &version);
	if (rc == SQLITE_OK && version != SCHEMA_VERSION)
		rc = SQLITE_READONLY;
	if (rc == SQLITE_OK)
		rc = sqlite_schema_check(store->db);
	if (rc == SQLITE_OK)
		rc = check_rows(store);
	store->read_only = rc == SQLITE_OK;
	return rc;
}

/* Goes over to a connection that can write, once there can be one. */
static int open_for_writing(struct sqlite_store *store)
{
	struct sqlite_store other = { .services = store->services, .relaxed = store->relaxed, .file = store->file };
	int rc = open_database(&other);

	if (rc == SQLITE_OK) {
		struct sqlite_store old = *store;

		set_tidy(&other, true);
		store->file = other.file;
		store->db = other.db;
		memcpy(store->statements, other.statements, sizeof store->statements);
		store->read_only = false;
		disconnect(&old);
		return 0;
	}
	disconnect(&other);
	store_file_tidy(&store->file);
	return errno_of(rc);
}

static int explain(const struct sqlite_store *store, int rc, struct reason *reason)
{
	const char *path = store->file.path;
	char why[WHY_MAX];

	if (rc == SQLITE_SCHEMA)
		return reason_set(reason, -EBADMSG, "%s is of schema %d, and this is the adapter for schema %d; install a "
				  "later one, or name another directory in the option store", path, store->version,
				  SCHEMA_VERSION);
	if (errno_of(rc) == -EBUSY)
		return reason_set(reason, -EBUSY, "%s is in use by another program; end that", path);
	if (errno_of(rc) == -EBADMSG)
		return reason_set(reason, -EBADMSG, "%s is damaged: %s; put a copy of it back, or name another directory in "
				  "the option store", path, sqlite3_errstr(rc));
	return reason_set(reason, errno_of(rc), "%s cannot be used: %s", path, explain_in_sqlite(store, rc, why));
}

int sqlite_store_open(const char *dir, bool relaxed, const struct berth_services *services, struct store **storep,
		      struct reason *reason)
{
	struct sqlite_store *store = calloc(1, sizeof *store);
	int rc;

	if (!store)
		return reason_set(reason, -ENOMEM, "no memory for the store");
	store->base.ops = &sqlite_ops;
	store->services = services;
	rc = store_file_open(dir, &store->file, reason);
	if (rc < 0) {
		free(store);
		return rc;
	}
	store->relaxed = relaxed;
	rc = open_database(store);
	if (rc == SQLITE_OK) {
		set_tidy(store, true);
		*storep = &store->base;
		return 0;
	}
	rc = explain(store, rc, reason);
	disconnect(store);
	store_file_tidy(&store->file);
	if (rc != -EBADMSG && rc != -EBUSY && rc != -ENOMEM && !store->file.had_log) {
		if (open_for_reading(store) == SQLITE_OK) {
			*storep = &store->base;
			return 0;
		}
		disconnect(store);
	}
	store_file_close(&store->file);
	free(store);
	return rc;
}
