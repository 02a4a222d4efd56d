/* SPDX-License-Identifier: MIT */
/* The embedded runtime with a store that lasts: what is there again after a restart,
 * what is no store of ours, and who may have one open. */
#include "config.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/contract.h"
#include "tests/embedded.h"

/* ---- Restart ---- */

static void what_was_accepted_is_there_again(void **state)
{
	struct stored *stored = *state;
	CLEANUP_FREE char *workers = NULL, *transcript = NULL;

	ask_accepted(&stored->host, SPAWN(COMPANION));
	ask_accepted(&stored->host, SPAWN("'intent':{'kind':'ticket_role','ticket_id':'T','role':'coder'}"));
	ask_accepted(&stored->host, SPAWN("'intent':{'kind':'workspace_orchestrator'}"));
	ask_accepted(&stored->host, INPUT(TWO, "'content':'first \\u0000 \\ud83d\\ude00'"));
	ask_accepted(&stored->host, INPUT(TWO, "'kind':'system','content':'second'"));
	ask_accepted(&stored->host, STOP(ONE, "graceful"));
	ask_accepted(&stored->host, STOP(THREE, "force"));
	workers = strdup(host_ask(&stored->host, "{'op':'list_workers'}"));
	transcript = strdup(host_ask(&stored->host, TRANSCRIPT(TWO, "")));
	for (int i = 0; i < 2; i++) {
		stored_restart(stored);
		assert_string_equal(host_ask(&stored->host, "{'op':'list_workers'}"), workers);
		assert_string_equal(host_ask(&stored->host, TRANSCRIPT(TWO, "")), transcript);
	}
	assert_non_null(strstr(workers, "\"state\":\"cancelled\""));
	assert_non_null(strstr(transcript, "first \\u0000 \xf0\x9f\x98\x80"));
}

static void numbers_go_on_where_they_were(void **state)
{
	struct stored *stored = *state;

	ask_accepted(&stored->host, SPAWN(COMPANION));
	/* Event 1 is the start, 2 the worker. */
	assert_non_null(strstr(ask_accepted(&stored->host, INPUT(ONE, "'content':'x'")),
			       "\"transcript_sequence\":1,\"event_id\":3"));
	stored_restart(stored);
	assert_non_null(strstr(ask_accepted(&stored->host, INPUT(ONE, "'content':'x'")),
			       "\"transcript_sequence\":2,\"event_id\":4"));
	assert_non_null(strstr(ask_accepted(&stored->host, SPAWN(COMPANION)), "\"worker_id\":\"" TWO "\""));
	stored_restart(stored);
	assert_non_null(strstr(ask_accepted(&stored->host, INPUT(TWO, "'content':'x'")),
			       "\"transcript_sequence\":1,\"event_id\":6"));
}

static void what_was_refused_is_not_there(void **state)
{
	struct stored *stored = *state;

	ask_accepted(&stored->host, SPAWN(COMPANION));
	host_ask(&stored->host, INPUT(ONE, "'content':' '"));
	host_ask(&stored->host, INPUT(TWO, "'content':'x'"));
	host_ask(&stored->host, SPAWN(COMPANION ",'acceptance':{'kind':'socket_ready'},'x':0"));
	stored_restart(stored);
	assert_true(answers_one(&stored->host, TRANSCRIPT(ONE, ""),
				"{'state':'accepted'," ADDRESS(ONE) ",'start':0,'limit':200,'total_items':0,'items':[],"
				"'diagnostics':[]}"));
	assert_non_null(strstr(ask_accepted(&stored->host, INPUT(ONE, "'content':'x'")), "\"event_id\":3"));
}

/* ---- Where it is ---- */

static void a_relative_store_is_in_the_data_directory(void **state)
{
	char *dir = scratch_new();
	CLEANUP_FREE char *file = NULL;
	struct host host;

	(void)state;
	assert_true(asprintf(&file, "%s/kept/catalogue.db", dir) >= 0);
	host_start(&host, &(struct host_setup){ .adapters = "embedded", .data_dir = dir, .options = "{'store':'kept'}" });
	ask_accepted(&host, SPAWN(COMPANION));
	host_stop(&host);
	assert_int_equal(access(file, F_OK), 0);
	host_start(&host, &(struct host_setup){ .adapters = "embedded", .data_dir = dir, .options = "{'store':'./kept'}" });
	assert_non_null(strstr(host_ask(&host, "{'op':'list_workers'}"), ONE));
	host_stop(&host);
	scratch_remove(dir);
}

static void a_store_is_for_its_user_alone(void **state)
{
	struct stored *stored = *state;
	CLEANUP_FREE char *file = stored_path(stored, "catalogue.db"), *log = stored_path(stored, "catalogue.db-wal");
	struct stat st;

	ask_accepted(&stored->host, SPAWN(COMPANION));
	assert_int_equal(stat(stored->dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(log, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	stored_stop(stored);
	/* Nothing but the database is left by an orderly end. */
	assert_int_equal(access(log, F_OK), -1);
	stored_start(stored);
}

static void options_that_are_wrong_are_refused(void **state)
{
	static const struct {
		const char *options, *found;
	} rows[] = {
		{ "{'store':''}", "memory or a directory is expected" },
		{ "{'store':'relative'}", "an absolute path is expected" },
		{ "{'durability':'none'}", "full or relaxed is expected, found none" },
		{ "{'durability':''}", "full or relaxed is expected" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct inventory_entry *entry;
		struct host host;

		host_start(&host, &(struct host_setup){ .adapters = "embedded", .options = rows[i].options });
		entry = &host.inventory.entries[0];
		assert_null(entry->instance);
		assert_string_equal(failure_code_name(entry->dropin.failures.list[0].code), "open_failed");
		if (!strstr(entry->dropin.failures.list[0].found.text, rows[i].found))
			fail_msg("%s: %s", rows[i].options, entry->dropin.failures.list[0].found.text);
		host_stop(&host);
	}
}

static void a_store_is_open_once(void **state)
{
	struct stored *stored = *state, second = { .dir = stored->dir, .options = stored->options };
	const struct inventory_entry *entry;

	ask_accepted(&stored->host, SPAWN(COMPANION));
	stored_start(&second);
	entry = &second.host.inventory.entries[0];
	assert_null(entry->instance);
	assert_non_null(strstr(entry->dropin.failures.list[0].found.text, "is in use by another process"));
	host_stop(&second.host);
	ask_accepted(&stored->host, INPUT(ONE, "'content':'x'"));
	/* Whoever ends gives it free. */
	stored_stop(stored);
	stored_start(&second);
	ask_accepted(&second.host, INPUT(ONE, "'content':'x'"));
	host_stop(&second.host);
	stored_start(stored);
}

/* ---- What is no store ---- */

struct bytes {
	char *data;
	size_t len;
};

static struct bytes read_bytes(const char *path)
{
	struct bytes bytes = { NULL, 0 };
	FILE *file = fopen(path, "r");
	struct stat st;

	if (!file)
		fail_msg("%s: %s", path, strerror(errno));
	assert_int_equal(fstat(fileno(file), &st), 0);
	bytes.len = (size_t)st.st_size;
	bytes.data = malloc(bytes.len + 1);
	assert_non_null(bytes.data);
	assert_int_equal(fread(bytes.data, 1, bytes.len, file), bytes.len);
	fclose(file);
	return bytes;
}

static void flip(struct bytes *bytes, size_t at, size_t n)
{
	for (size_t i = at; i < at + n; i++)
		bytes->data[i] = (char)~bytes->data[i];
}

enum damage {
	EMPTY,
	SHORT,
	HALF,
	OTHER_MAGIC,
	OTHER_PROGRAM,
	LATER_SCHEMA,
	NO_TABLES,
	ROOT_PAGES,
	TEXT,
};

/* Page 2 on are the roots of the tables; nothing of a store so small is elsewhere. */
static void spoil(enum damage damage, struct bytes *bytes)
{
	switch (damage) {
	case EMPTY:
		bytes->len = 0;
		break;
	case SHORT:
		bytes->len = 99;
		break;
	case HALF:
		bytes->len = bytes->len / 2 / 4096 * 4096;
		break;
	case OTHER_MAGIC:
		flip(bytes, 3, 1);
		break;
	case OTHER_PROGRAM:
		flip(bytes, 68, 4);
		break;
	case LATER_SCHEMA:
		bytes->data[63] = 2;
		break;
	case NO_TABLES:
		flip(bytes, 100, 20);
		break;
	case ROOT_PAGES:
		flip(bytes, 4096, bytes->len - 4096);
		break;
	case TEXT:
		memcpy(bytes->data, "# Notes\n", 8);
		break;
	}
}

/* The runtime cannot serve, and the one failure of its instance says what was found. */
static void assert_presented(struct host *host, size_t row, const char *found)
{
	const struct failures *failures = &host->inventory.entries[0].dropin.failures;

	assert_unavailable(host);
	assert_int_equal(failures->n, 1);
	if (!strstr(failures->list[0].found.text, found))
		fail_msg("row %zu: %s", row, failures->list[0].found.text);
}

/* Whoever may write beside the store must not choose what is read as one. */
static void what_is_no_file_is_no_store(void **state)
{
	static const struct {
		const char *found;
		mode_t mode;
	} rows[] = { { "is a link", S_IFLNK }, { "is no regular file", S_IFDIR }, { "is no regular file", S_IFIFO } };
	struct stored *stored = *state;
	CLEANUP_FREE char *path = stored_path(stored, "catalogue.db"), *elsewhere = stored_path(stored, "elsewhere");

	ask_accepted(&stored->host, SPAWN(COMPANION));
	stored_stop(stored);
	assert_int_equal(rename(path, elsewhere), 0);
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(rows[i].mode == S_IFLNK ? symlink("elsewhere", path) :
				 rows[i].mode == S_IFDIR ? mkdir(path, 0700) : mkfifo(path, 0600), 0);
		stored_start(stored);
		assert_presented(&stored->host, i, rows[i].found);
		stored_stop(stored);
		assert_int_equal(remove(path), 0);
	}
	assert_int_equal(rename(elsewhere, path), 0);
	stored_start(stored);
	assert_non_null(strstr(ask_accepted(&stored->host, TRANSCRIPT(ONE, "")), "\"total_items\":0"));
}

static void damage_is_presented_and_left_alone(void **state)
{
	static const struct {
		enum damage damage;
		const char *found;
	} rows[] = {
		{ EMPTY, "it ends after 0 bytes" },
		{ SHORT, "it ends after 99 bytes" },
		{ HALF, "is damaged" },
		{ OTHER_MAGIC, "does not begin as a store does" },
		{ OTHER_PROGRAM, "a database of another program" },
		{ LATER_SCHEMA, "is of schema 2, and this is the adapter for schema 1" },
		{ NO_TABLES, "is damaged" },
		{ ROOT_PAGES, "is damaged" },
		{ TEXT, "does not begin as a store does" },
	};
	struct stored *stored = *state;
	CLEANUP_FREE char *path = stored_path(stored, "catalogue.db"), *log = stored_path(stored, "catalogue.db-wal");
	struct bytes whole;

	ask_accepted(&stored->host, SPAWN(COMPANION));
	ask_accepted(&stored->host, INPUT(ONE, "'content':'x'"));
	stored_stop(stored);
	whole = read_bytes(path);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct bytes spoilt = { malloc(whole.len), whole.len }, after;
		struct stat before, st;

		assert_non_null(spoilt.data);
		memcpy(spoilt.data, whole.data, whole.len);
		spoil(rows[i].damage, &spoilt);
		scratch_write(stored->dir, "catalogue.db", spoilt.data, spoilt.len);
		assert_int_equal(stat(path, &before), 0);
		stored_start(stored);
		assert_presented(&stored->host, i, rows[i].found);
		assert_int_equal(inventory_n_failed(&stored->host.inventory), 1);
		stored_stop(stored);
		after = read_bytes(path);
		assert_int_equal(after.len, spoilt.len);
		assert_memory_equal(after.data, spoilt.data, spoilt.len);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_ino, before.st_ino);
		assert_int_equal(st.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
		assert_int_equal(access(log, F_OK), -1);
		free(after.data);
		free(spoilt.data);
	}
	scratch_write(stored->dir, "catalogue.db", whole.data, whole.len);
	free(whole.data);
	stored_start(stored);
	assert_non_null(strstr(ask_accepted(&stored->host, TRANSCRIPT(ONE, "")), "\"total_items\":1"));
}

/* ---- Schemas ---- */

enum { APPLICATION_ID = 0x62727468 };

/* Works on a store that is closed, in its own language. */
static void alter(const struct stored *stored, const char *sql)
{
	CLEANUP_FREE char *path = stored_path(stored, "catalogue.db");
	char *message = NULL;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%s: %s", sql, message);
	sqlite3_close(db);
}

static void remove_store(const struct stored *stored)
{
	CLEANUP_FREE char *path = stored_path(stored, "catalogue.db");

	assert_int_equal(unlink(path), 0);
}

/* A store of schema 0 is one without tables: it is what a new one is made of. */
static void an_earlier_schema_is_brought_up_to_date(void **state)
{
	static const char *const modes[] = { "DELETE", "WAL" };
	struct stored *stored = *state;

	for (size_t i = 0; i < COUNT(modes); i++) {
		CLEANUP_FREE char *sql = NULL;

		stored_stop(stored);
		remove_store(stored);
		assert_true(asprintf(&sql, "PRAGMA journal_mode = %s; PRAGMA application_id = %d; PRAGMA user_version = 0",
				     modes[i], APPLICATION_ID) >= 0);
		alter(stored, sql);
		stored_start(stored);
		assert_int_equal(inventory_n_failed(&stored->host.inventory), 0);
		ask_accepted(&stored->host, SPAWN(COMPANION));
		assert_non_null(strstr(ask_accepted(&stored->host, INPUT(ONE, "'content':'x'")), "\"event_id\":3"));
		stored_restart(stored);
		assert_non_null(strstr(ask_accepted(&stored->host, TRANSCRIPT(ONE, "")), "\"total_items\":1,"));
	}
}

/* What does not come through to the end has not begun: it is found as it was. */
static void a_step_that_fails_changes_nothing(void **state)
{
	struct stored *stored = *state;
	CLEANUP_FREE char *path = stored_path(stored, "catalogue.db");
	struct bytes before, after;

	stored_stop(stored);
	remove_store(stored);
	/* The last table that the step makes is there already. */
	alter(stored, "PRAGMA application_id = 1651668072; CREATE TABLE item (x)");
	before = read_bytes(path);
	stored_start(stored);
	assert_unavailable(&stored->host);
	stored_restart(stored);
	assert_unavailable(&stored->host);
	stored_stop(stored);
	after = read_bytes(path);
	assert_int_equal(after.len, before.len);
	assert_memory_equal(after.data, before.data, before.len);
	free(before.data);
	free(after.data);
	stored_start(stored);
}

static void tables_that_are_not_ours_are_refused(void **state)
{
	static const char *const changes[] = {
		"CREATE TABLE more (x)",
		"CREATE TRIGGER t AFTER INSERT ON item BEGIN DELETE FROM item; END",
		"CREATE VIEW v AS SELECT 1",
		"DROP INDEX item_place",
		"DELETE FROM runtime",
		"UPDATE runtime SET last_event = 1",
		"UPDATE runtime SET last_worker = 0",
		"UPDATE runtime SET last_event = -1",
		"UPDATE runtime SET identity = 'short'",
	};
	struct stored *stored = *state;
	CLEANUP_FREE char *path = stored_path(stored, "catalogue.db");
	struct bytes whole;

	ask_accepted(&stored->host, SPAWN(COMPANION));
	ask_accepted(&stored->host, INPUT(ONE, "'content':'x'"));
	stored_stop(stored);
	whole = read_bytes(path);
	for (size_t i = 0; i < COUNT(changes); i++) {
		scratch_write(stored->dir, "catalogue.db", whole.data, whole.len);
		alter(stored, changes[i]);
		stored_start(stored);
		if (inventory_n_failed(&stored->host.inventory) != 1)
			fail_msg("%s: nobody minds", changes[i]);
		assert_unavailable(&stored->host);
		stored_stop(stored);
	}
	free(whole.data);
	stored_start(stored);
}

/* Rows that nobody can have written are met when they are read; then nothing is written
 * any more, and what is not damaged can be read. */
static void damage_that_is_found_later_stops_changes(void **state)
{
	static const struct {
		const char *change, *request;
	} rows[] = {
		{ "UPDATE worker SET state = 3 WHERE number = 2", STOP(TWO, "force") },
		{ "UPDATE worker SET assignment = 6 WHERE number = 2", INPUT(TWO, "'content':'x'") },
		{ "UPDATE worker SET n_dropped = 2 WHERE number = 2", TRANSCRIPT(TWO, "") },
		{ "UPDATE worker SET n_items = -1 WHERE number = 2", TRANSCRIPT(TWO, "") },
		{ "UPDATE item SET sequence = 5 WHERE worker = 2", TRANSCRIPT(TWO, "") },
		{ "UPDATE item SET content = x'' WHERE worker = 2", TRANSCRIPT(TWO, "") },
		{ "UPDATE event SET kind = 9", "{'op':'read_events','runtime_id':'" EMBEDDED "'}" },
		{ "UPDATE event SET at = -1", "{'op':'read_events','runtime_id':'" EMBEDDED "'}" },
	};
	struct stored *stored = *state;
	CLEANUP_FREE char *path = stored_path(stored, "catalogue.db");
	struct bytes whole;

	ask_accepted(&stored->host, SPAWN(COMPANION));
	ask_accepted(&stored->host, SPAWN(COMPANION));
	ask_accepted(&stored->host, INPUT(ONE, "'content':'x'"));
	ask_accepted(&stored->host, INPUT(TWO, "'content':'x'"));
	stored_stop(stored);
	whole = read_bytes(path);
	for (size_t i = 0; i < COUNT(rows); i++) {
		scratch_write(stored->dir, "catalogue.db", whole.data, whole.len);
		alter(stored, rows[i].change);
		stored_start(stored);
		assert_int_equal(inventory_n_failed(&stored->host.inventory), 0);
		ask_rejected(&stored->host, rows[i].request, "embedded_runtime_state_unavailable");
		ask_rejected(&stored->host, INPUT(ONE, "'content':'x'"), "embedded_runtime_state_unavailable");
		assert_non_null(strstr(host_ask(&stored->host, "{'op':'list_runtimes'}"), "\"unavailable\""));
		assert_non_null(strstr(ask_accepted(&stored->host, TRANSCRIPT(ONE, "")), "\"total_items\":1,"));
		stored_stop(stored);
	}
	free(whole.data);
	stored_start(stored);
}

/* The header of the file may not show it yet. */
static void a_later_schema_in_the_log_is_refused(void **state)
{
	struct stored *stored = *state, other = { .scratch = stored->scratch };
	CLEANUP_FREE char *path = stored_path(stored, "catalogue.db"), *log = stored_path(stored, "catalogue.db-wal");
	struct bytes database, ahead, after;
	sqlite3 *db;

	stored_stop(stored);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 2", NULL, NULL, NULL), SQLITE_OK);
	/* As if it were killed now. */
	database = read_bytes(path);
	ahead = read_bytes(log);
	sqlite3_close(db);
	assert_int_equal(database.data[63], 1);
	assert_true(ahead.len > 0);
	assert_true(asprintf(&other.dir, "%s/other", stored->scratch) >= 0);
	scratch_write(stored->scratch, "other/catalogue.db", database.data, database.len);
	scratch_write(stored->scratch, "other/catalogue.db-wal", ahead.data, ahead.len);
	stored_start(&other);
	assert_unavailable(&other.host);
	assert_non_null(strstr(other.host.inventory.entries[0].dropin.failures.list[0].found.text, "is of schema 2"));
	stored_stop(&other);
	free(path);
	free(log);
	path = stored_path(&other, "catalogue.db");
	log = stored_path(&other, "catalogue.db-wal");
	after = read_bytes(path);
	assert_int_equal(after.len, database.len);
	assert_memory_equal(after.data, database.data, database.len);
	free(after.data);
	after = read_bytes(log);
	assert_int_equal(after.len, ahead.len);
	assert_memory_equal(after.data, ahead.data, ahead.len);
	free(after.data);
	/* And the log of a database that is gone is no new store. */
	assert_int_equal(unlink(path), 0);
	stored_start(&other);
	assert_unavailable(&other.host);
	stored_stop(&other);
	assert_int_equal(access(path, F_OK), -1);
	free(database.data);
	free(ahead.data);
	free(other.dir);
	alter(stored, "PRAGMA user_version = 1");
	stored_start(stored);
}

/* ---- What stays inside ---- */

static void no_answer_gives_the_store_away(void **state)
{
	static const char *const words[] = { "session", "socket", "token", "credential", "provider", "metadata.json",
					     "sqlite", "catalogue.db", "/" };
	static const char *const requests[] = {
		SPAWN(COMPANION), INPUT(ONE, "'content':'x'"), TRANSCRIPT(ONE, ""), STOP(ONE, "force"),
		"{'op':'read_events','runtime_id':'" EMBEDDED "'}", "{'op':'read_events','runtime_id':'" EMBEDDED "','limit':999}",
		"{'op':'read_events','runtime_id':'" EMBEDDED "','cursor':'c'}", "{'op':'list_runtimes'}", "{'op':'list_hosts'}",
		"{'op':'list_workers'}", "{'op':'worker'," ADDRESS(ONE) "}",
	};
	struct stored *stored = *state;

	for (int damaged = 0; damaged < 2; damaged++) {
		for (size_t i = 0; i < COUNT(requests); i++) {
			const char *answer = host_ask(&stored->host, "%s", requests[i]);

			for (size_t j = 0; j < COUNT(words); j++)
				if (strcasestr(answer, words[j]) || strstr(answer, stored->dir))
					fail_msg("%s is in the answer to %s: %s", words[j], requests[i], answer);
		}
		stored_stop(stored);
		scratch_write(stored->dir, "catalogue.db", "x", 1);
		stored_start(stored);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORED_TEST(what_was_accepted_is_there_again),
		STORED_TEST(numbers_go_on_where_they_were),
		STORED_TEST(what_was_refused_is_not_there),
		cmocka_unit_test(a_relative_store_is_in_the_data_directory),
		STORED_TEST(a_store_is_for_its_user_alone),
		cmocka_unit_test(options_that_are_wrong_are_refused),
		STORED_TEST(a_store_is_open_once),
		STORED_TEST(what_is_no_file_is_no_store),
		STORED_TEST(damage_is_presented_and_left_alone),
		STORED_TEST(an_earlier_schema_is_brought_up_to_date),
		STORED_TEST(a_step_that_fails_changes_nothing),
		STORED_TEST(tables_that_are_not_ours_are_refused),
		STORED_TEST(damage_that_is_found_later_stops_changes),
		STORED_TEST(a_later_schema_in_the_log_is_refused),
		STORED_TEST(no_answer_gives_the_store_away),
	};

	return cmocka_run_group_tests_name("embedded: store", tests, NULL, NULL);
}
