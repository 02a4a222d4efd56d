/* SPDX-License-Identifier: MIT */
/* The store of the embedded runtime, whose database may come from anybody: bytes changed
 * anywhere in the file, or rows and declarations that no host would have made. Whatever is
 * in it, answers are answers, and what is refused is left as it was. */
#include "config.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/log.h"
#include "core/text.h"
#include "tests/fuzz/fuzz.h"

#define OF_EMBEDDED "\"runtime_id\":\"embedded-worker-runtime\""

static char *database; /* its path */
static struct buffer pristine;

static void ask(struct registry *registry, const char *line)
{
	fuzz_ask(registry, berth_text(line));
}

static void open_store(struct registry *registry)
{
	CLEANUP_FREE char *options = NULL;

	FUZZ_CHECK(asprintf(&options, "{\"store\":\"%s/store\",\"durability\":\"relaxed\",\"keep_items\":4,\"keep_days\":1,"
			    "\"keep_resting_days\":1}", fuzz_dir()) > 0);
	*registry = (struct registry){ 0 };
	fuzz_add_instance(registry, "embedded", options, NULL);
}

static void spawn(struct registry *registry)
{
	ask(registry, "{\"op\":\"spawn_worker\"," OF_EMBEDDED ",\"request\":{\"intent\":{\"kind\":\"workspace_companion\"},"
	    "\"acceptance\":{\"kind\":\"run_accepted\",\"expected_segments\":0}}}");
}

static void ask_everything(struct registry *registry)
{
	static const char *const lines[] = {
		"{\"op\":\"list_runtimes\"}", "{\"op\":\"list_workers\"}",
		"{\"op\":\"worker\"," OF_EMBEDDED ",\"worker_id\":\"worker-00000001\"}",
		"{\"op\":\"transcript\"," OF_EMBEDDED ",\"worker_id\":\"worker-00000001\"}",
		"{\"op\":\"transcript\"," OF_EMBEDDED ",\"worker_id\":\"worker-00000002\",\"start\":1,\"limit\":1}",
		"{\"op\":\"read_events\"," OF_EMBEDDED "}",
		"{\"op\":\"send_input\"," OF_EMBEDDED ",\"worker_id\":\"worker-00000001\",\"request\":{\"content\":\"more\"}}",
		"{\"op\":\"stop_worker\"," OF_EMBEDDED ",\"request\":{\"worker_id\":\"worker-00000002\",\"mode\":\"force\"}}",
		"{\"op\":\"read_events\"," OF_EMBEDDED ",\"limit\":3}", "{\"op\":\"list_workers\"}",
	};

	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		ask(registry, lines[i]);
	spawn(registry);
}

/* ---- The file ---- */

static void read_database(struct buffer *to)
{
	FILE *file = fopen(database, "r");
	size_t n = 1;

	buffer_cut(to, 0);
	while (file && n > 0) {
		char *end = buffer_reserve(to, 65536);

		FUZZ_CHECK(end);
		n = fread(end, 1, 65536, file);
		to->len += n;
	}
	if (file)
		fclose(file);
}

static void finish(void)
{
	buffer_fini(&pristine);
	free(database);
}

/* Makes a store with a little of everything in it. */
int LLVMFuzzerInitialize(int *argcp, char ***argvp)
{
	struct registry registry;

	(void)argcp, (void)argvp;
	log_set_level(BERTH_LOG_ERROR + 1);
	FUZZ_CHECK(asprintf(&database, "%s/store/catalogue.db", fuzz_dir()) > 0);
	atexit(finish);
	open_store(&registry);
	for (int i = 0; i < 3; i++)
		spawn(&registry);
	for (int i = 0; i < 5; i++)
		ask(&registry, "{\"op\":\"send_input\"," OF_EMBEDDED ",\"worker_id\":\"worker-00000001\",\"request\":{\"kind\":"
		    "\"system\",\"content\":\"some text\"}}");
	ask(&registry, "{\"op\":\"stop_worker\"," OF_EMBEDDED ",\"request\":{\"worker_id\":\"worker-00000003\",\"mode\":"
	    "\"graceful\"}}");
	registry_fini(&registry);
	read_database(&pristine);
	return 0;
}

static void damage_bytes(struct fuzz *fuzz, struct buffer *file)
{
	while (fuzz->left > 0) {
		size_t page = fuzz_below(fuzz, (unsigned)(file->len / 4096 < 255 ? file->len / 4096 + 1 : 256));
		size_t at = page * 4096 + (size_t)fuzz_byte(fuzz) * 16 + fuzz_below(fuzz, 16);
		struct berth_text text = fuzz_text(fuzz);

		if (at >= file->len)
			file->len = page < file->len / 4096 ? page * 4096 : file->len;
		else
			memcpy(file->data + at, text.ptr, text.len < file->len - at ? text.len : file->len - at);
	}
}

/* ---- Its rows ---- */

static void bind_any(struct fuzz *fuzz, sqlite3_stmt *stmt, int i)
{
	unsigned kind = fuzz_byte(fuzz);
	struct berth_text text;

	if (kind < 0xa0) {
		sqlite3_bind_int64(stmt, i, (sqlite3_int64)fuzz_u64(fuzz));
	} else {
		text = fuzz_text(fuzz);
		if (kind < 0xd0)
			sqlite3_bind_blob(stmt, i, text.ptr, (int)text.len, SQLITE_TRANSIENT);
		else if (kind < 0xf0)
			sqlite3_bind_text(stmt, i, text.ptr, (int)text.len, SQLITE_TRANSIENT);
	}
}

/* What a database refuses, it refuses. */
static void change_rows(struct fuzz *fuzz)
{
	static const char *const statements[] = {
		"INSERT OR REPLACE INTO worker VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
		"INSERT OR REPLACE INTO event VALUES (?1, ?2, ?3, ?4)",
		"INSERT OR REPLACE INTO item VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
		"UPDATE runtime SET last_worker = ?1", "UPDATE runtime SET last_event = ?1", "UPDATE runtime SET last_at = ?1",
		"UPDATE runtime SET identity = ?1", "UPDATE worker SET state = ?1", "UPDATE worker SET n_items = ?1",
		"UPDATE worker SET n_dropped = ?1", "UPDATE worker SET rested_at = ?1", "UPDATE item SET content = ?1",
		"UPDATE item SET sequence = ?1 WHERE sequence = 2", "UPDATE event SET kind = ?1", "UPDATE event SET at = ?1",
		"DELETE FROM runtime", "DELETE FROM worker", "DELETE FROM item WHERE sequence = 3", "DROP TABLE event",
		"DROP INDEX item_place", "ALTER TABLE worker ADD COLUMN more TEXT", "CREATE VIEW v AS SELECT * FROM v",
		"CREATE TRIGGER t AFTER INSERT ON item BEGIN DELETE FROM item; END",
		"CREATE TRIGGER u AFTER UPDATE ON runtime BEGIN UPDATE worker SET number = -number; END",
		"PRAGMA user_version = 7", "PRAGMA application_id = 1", "PRAGMA journal_mode = DELETE",
		"PRAGMA writable_schema = ON", "UPDATE sqlite_schema SET sql = ?1 WHERE name = 'worker'",
		"UPDATE sqlite_schema SET rootpage = ?1 WHERE name = 'item'",
	};
	sqlite3_stmt *stmt;
	sqlite3 *db;

	FUZZ_CHECK(sqlite3_open(database, &db) == SQLITE_OK);
	sqlite3_exec(db, "PRAGMA synchronous = OFF", NULL, NULL, NULL);
	while (fuzz->left > 0) {
		const char *sql = statements[fuzz_below(fuzz, sizeof statements / sizeof *statements)];

		if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
			continue;
		for (int i = 1; i <= sqlite3_bind_parameter_count(stmt); i++)
			bind_any(fuzz, stmt, i);
		sqlite3_step(stmt);
		sqlite3_finalize(stmt);
	}
	sqlite3_close(db);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz fuzz = { data, size };
	struct buffer before = { 0 }, after = { 0 };
	struct registry registry;
	bool rows = fuzz_byte(&fuzz) & 1, refused;

	buffer_append(&before, pristine.data, pristine.len);
	if (!rows)
		damage_bytes(&fuzz, &before);
	fuzz_remove("store");
	fuzz_write("store/catalogue.db", before.data, before.len);
	if (rows)
		change_rows(&fuzz);
	read_database(&before);
	open_store(&registry);
	refused = *registry.instances[0]->trouble.text;
	ask_everything(&registry);
	registry_fini(&registry);
	read_database(&after);
	FUZZ_CHECK(!refused || (before.len == after.len && memcmp(before.data, after.data, after.len) == 0));
	/* And again, with what it has become. */
	open_store(&registry);
	ask_everything(&registry);
	registry_fini(&registry);
	buffer_fini(&before);
	buffer_fini(&after);
	return 0;
}
