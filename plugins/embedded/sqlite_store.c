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

#include "sqlite_database.h"

enum statement {
	BEGIN,
	COMMIT,
	ROLLBACK,
	COVER,
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
_Static_assert((int)N_STATEMENTS <= (int)SQLITE_STATEMENTS_MAX, "there is room for them");

struct sqlite_store {
	struct store base;
	const struct berth_services *services;
	struct sqlite_database database;
	struct store_head kept; /* the numbers that are in the database */
	bool read_only;         /* so far: nothing could be written when it was opened */
	bool uncertain;         /* the last commit failed, and may all the same be found in the log */
	bool failing;           /* and that has been said */
	bool damaged;
};


/* ---- Errors ---- */

/* Says once that the store fails, until it does no more. */
static int failed(struct sqlite_store *store, int error, const char *why)
{
	if (!store->failing)
		store->services->log(store->services, BERTH_LOG_ERROR, "the store %s fails: %s", store->database.file.path, why);
	store->failing = true;
	return error;
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

	sqlite3_file_control(store->database.db, "main", SQLITE_FCNTL_LAST_ERRNO, &error);
	sqlite3_file_control(store->database.db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
	if (log && log->pMethods)
		log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &log_error);
	return error == EIO || error == ENXIO || log_error == EIO || log_error == ENXIO;
}

static int failed_in_sqlite(struct sqlite_store *store, int rc)
{
	char why[SQLITE_WHY_MAX];

	if ((rc & 0xff) == SQLITE_CORRUPT && is_unreadable(store))
		rc = SQLITE_IOERR_READ;
	return sqlite_errno(rc) == -EBADMSG ? damaged(store) : failed(store, sqlite_errno(rc), sqlite_why(store->database.db, rc, why));
}

/* ---- Statements ---- */

static sqlite3_stmt *bind_numbers(struct sqlite_store *store, enum statement which, const uint64_t *numbers, size_t n)
{
	sqlite3_stmt *stmt = store->database.statements[which];

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
	int error = sqlite_errno(rc) < 0 ? failed_in_sqlite(store, rc) : 0;

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

	return get_one_worker(store, store->database.statements[OLDEST_REST], worker);
}

static int sqlite_each_worker(struct store *base, store_worker_visitor *visit, void *data)
{
	struct sqlite_store *store = (struct sqlite_store *)base;
	sqlite3_stmt *stmt = store->database.statements[EACH_WORKER];
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
		return sqlite3_errcode(store->database.db) == SQLITE_NOMEM ? -ENOMEM : damaged(store);
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
	sqlite3_stmt *stmt = store->database.statements[OLDEST_ITEM];
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
	if (!store_file_is_in_place(&store->database.file) && put_back(store) < 0)
		return failed(store, -ESTALE, "its files are not in their place any more; put them back");
	return run(store, store->database.statements[BEGIN]);
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
		rc = run(store, store->database.statements[COMMIT]);
		store->uncertain = rc < 0;
	}
	if (rc < 0)
		return rc;
	store->kept = *head;
	if (store->failing)
		store->services->log(store->services, BERTH_LOG_WARNING, "the store %s works again", store->database.file.path);
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
		rc = run(store, store->database.statements[order[i]]);
	store->uncertain = false;
}

static void take_back(struct sqlite_store *store)
{
	/* Many an error has taken it back already. */
	if (!sqlite3_get_autocommit(store->database.db))
		run(store, store->database.statements[ROLLBACK]);
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

static void sqlite_close(struct store *base)
{
	struct sqlite_store *store = (struct sqlite_store *)base;

	/* Others may have put a store of theirs in the place of ours. */
	if (!store->read_only && (store->damaged || !store_file_is_in_place(&store->database.file)))
		sqlite_database_set_tidy(&store->database, false);
	sqlite_database_disconnect(&store->database);
	store_file_close(&store->database.file);
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

static struct sqlite_database new_database(const struct store_file *file, bool relaxed)
{
	return (struct sqlite_database){
		.file = *file, .relaxed = relaxed, .sql = sql, .n_statements = N_STATEMENTS,
	};
}

/* Goes over to a connection that can write, once there can be one. */
static int open_for_writing(struct sqlite_store *store)
{
	struct sqlite_database other = new_database(&store->database.file, store->database.relaxed);
	int rc = sqlite_database_open(&other);

	if (rc != SQLITE_OK) {
		sqlite_database_disconnect(&other);
		store_file_tidy(&other.file);
		return sqlite_errno(rc);
	}
	sqlite_database_disconnect(&store->database);
	store->database = other;
	store->read_only = false;
	return 0;
}

/* Where the files were removed, and their directory is there, or there again, everything is
 * written into it anew: who opens the store next must not begin with number 1. */
static int put_back(struct sqlite_store *store)
{
	struct sqlite_database again;
	struct store_file file;
	int rc = store_file_open_again(&store->database.file, &file);

	if (rc < 0)
		return rc;
	again = new_database(&file, store->database.relaxed);
	rc = sqlite_database_copy(&store->database, &again.file);
	if (rc == 0)
		rc = sqlite_errno(sqlite_database_open(&again));
	if (rc == 0 && again.head.last_event != store->kept.last_event)
		rc = -EIO;
	if (rc < 0) {
		sqlite_database_disconnect(&again);
		store_file_take_back(&again.file);
		store_file_close(&again.file);
		return rc;
	}
	sqlite_database_set_tidy(&store->database, false);
	sqlite_database_disconnect(&store->database);
	store_file_close(&store->database.file);
	store->database = again;
	return 0;
}

/* What cannot be written is opened to be read, if that can be. */
static int open_database(struct sqlite_store *store, struct reason *reason)
{
	struct sqlite_database *database = &store->database;
	int rc = sqlite_database_open(database);

	if (rc == SQLITE_OK)
		return 0;
	if ((rc & 0xff) == SQLITE_CORRUPT && is_unreadable(store))
		rc = SQLITE_IOERR_READ;
	rc = sqlite_database_explain(database, rc, reason);
	sqlite_database_disconnect(database);
	store_file_tidy(&database->file);
	if (rc == -EBADMSG || rc == -EBUSY || rc == -ENOMEM || database->file.had_log)
		return rc;
	store->read_only = sqlite_database_open_for_reading(database) == SQLITE_OK;
	if (store->read_only)
		return 0;
	sqlite_database_disconnect(database);
	return rc;
}

int sqlite_store_open(const char *dir, bool relaxed, const struct berth_services *services, struct store **storep,
		      struct reason *reason)
{
	struct sqlite_store *store = calloc(1, sizeof *store);
	struct store_file file;
	int rc;

	if (!store)
		return reason_set(reason, -ENOMEM, "no memory for the store");
	rc = sqlite_library_load(reason);
	if (rc == 0)
		rc = store_file_open(dir, &file, reason);
	if (rc < 0) {
		free(store);
		return rc;
	}
	store->base.ops = &sqlite_ops;
	store->services = services;
	store->database = new_database(&file, relaxed);
	rc = open_database(store, reason);
	if (rc < 0) {
		store_file_close(&store->database.file);
		free(store);
		return rc;
	}
	store->kept = store->base.head = store->database.head;
	memcpy(store->base.identity, store->database.identity, sizeof store->base.identity);
	*storep = &store->base;
	return 0;
}
