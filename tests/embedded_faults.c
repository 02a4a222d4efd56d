/* SPDX-License-Identifier: MIT */
/* The store of the embedded runtime on a disk that fails: what was accepted stays, what
 * could not be kept is rejected and not there, and the service goes on afterwards. */
#include "config.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/batch.h"
#include "core/log.h"
#include "tests/embedded.h"
#include "tests/faults.h"

static const struct fault kinds[] = {
	{ FAULT_WRITE | FAULT_TRUNCATE, ENOSPC, 0, ULONG_MAX, 0 },
	{ FAULT_WRITE | FAULT_TRUNCATE, ENOSPC, 0, ULONG_MAX, 1 },
	{ FAULT_WRITE, EDQUOT, 0, ULONG_MAX, 0 },
	{ FAULT_WRITE, EIO, 0, ULONG_MAX, 1 },
	{ FAULT_CHANGES, EROFS, 0, ULONG_MAX, 0 },
	{ FAULT_SYNC, EIO, 0, ULONG_MAX, 0 },
};

enum { N_KINDS = sizeof kinds / sizeof *kinds };

/* ---- Helpers ---- */

static uint64_t total_items(struct host *host)
{
	const char *answer = ask_accepted(host, TRANSCRIPT(ONE, ",'limit':0"));

	return strtoull(strstr(answer, "\"total_items\":") + strlen("\"total_items\":"), NULL, 10);
}

static void copy_file(const char *from, const char *to, const char *name)
{
	CLEANUP_FREE char *source = NULL, *target = NULL;
	char block[65536];
	ssize_t n;
	int in, out;

	assert_true(asprintf(&source, "%s/%s", from, name) >= 0 && asprintf(&target, "%s/%s", to, name) >= 0);
	in = open(source, O_RDONLY | O_CLOEXEC);
	if (in < 0 && errno == ENOENT)
		return;
	assert_true(in >= 0);
	out = open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(out >= 0);
	while ((n = read(in, block, sizeof block)) > 0)
		assert_int_equal(write(out, block, (size_t)n), n);
	assert_int_equal(n, 0);
	close(in);
	close(out);
}

/* The store as it would be found if the process were killed now; to be stopped, and its
 * directory to be freed. */
static void start_copy(const struct stored *stored, const char *name, struct stored *copy)
{
	*copy = (struct stored){ .options = stored->options };
	assert_true(asprintf(&copy->dir, "%s/%s", stored->scratch, name) >= 0);
	assert_true(mkdir(copy->dir, 0700) == 0 || errno == EEXIST);
	copy_file(stored->dir, copy->dir, "catalogue.db");
	copy_file(stored->dir, copy->dir, "catalogue.db-wal");
	stored_start(copy);
}

/* ---- Faults that last for a while ---- */

static void what_cannot_be_kept_is_rejected_until_the_fault_is_gone(void **state)
{
	struct stored *stored = *state;
	uint64_t n = 0;

	ask_accepted(&stored->host, SPAWN(COMPANION));
	ask_accepted(&stored->host, SPAWN(COMPANION));
	for (size_t i = 0; i < N_KINDS; i++) {
		CLEANUP_FREE char *workers = NULL, *transcript = NULL;

		ask_accepted(&stored->host, INPUT(ONE, "'content':'good'"));
		n++;
		workers = strdup(host_ask(&stored->host, "{'op':'list_workers'}"));
		transcript = strdup(host_ask(&stored->host, TRANSCRIPT(ONE, "")));
		fault_set(stored->dir, kinds[i]);
		for (int j = 0; j < 3; j++) {
			ask_rejected(&stored->host, INPUT(ONE, "'content':'bad'"), "embedded_runtime_store_error");
			ask_rejected(&stored->host, SPAWN(COMPANION), "embedded_runtime_store_error");
			ask_rejected(&stored->host, STOP(TWO, "force"), "embedded_runtime_store_error");
			assert_string_equal(host_ask(&stored->host, "{'op':'list_workers'}"), workers);
			assert_string_equal(host_ask(&stored->host, TRANSCRIPT(ONE, "")), transcript);
		}
		/* What is refused for what it is does not need the disk. */
		ask_rejected(&stored->host, INPUT(ONE, "'content':' '"), "embedded_runtime_invalid_request");
		assert_true(fault_end() > 0);
		assert_int_equal(total_items(&stored->host), n);
	}
	/* Nothing took a number. */
	assert_non_null(strstr(ask_accepted(&stored->host, INPUT(ONE, "'content':'last'")), "\"event_id\":10,"));
	assert_non_null(strstr(ask_accepted(&stored->host, SPAWN(COMPANION)), THREE));
	stored_restart(stored);
	assert_int_equal(total_items(&stored->host), n + 1);
}

/* Each call of a change in turn, from the first to the last that it makes. */
static void any_call_may_fail(void **state)
{
	struct stored *stored = *state;
	uint64_t n = 0;

	ask_accepted(&stored->host, SPAWN(COMPANION));
	for (size_t i = 0; i < N_KINDS; i++)
		for (unsigned long nth = 0;; nth++) {
			struct fault fault = kinds[i];
			struct stored copy;
			bool accepted;

			fault.n_good = nth;
			fault.n_bad = 1;
			fault_set(stored->dir, fault);
			accepted = strstr(host_ask(&stored->host, "%s", INPUT(ONE, "'content':'x'")), "accepted");
			n += accepted;
			/* What was rejected must not come back where the process is killed now. */
			start_copy(stored, "copy", &copy);
			assert_int_equal(total_items(&copy.host), n);
			stored_stop(&copy);
			free(copy.dir);
			assert_int_equal(total_items(&stored->host), n);
			if (fault_end() == 0) {
				assert_true(accepted && nth > 0);
				break;
			}
			ask_accepted(&stored->host, INPUT(ONE, "'content':'y'"));
			n++;
		}
	stored_restart(stored);
	assert_int_equal(total_items(&stored->host), n);
}

/* The same for opening a store: whatever fails, it can be opened afterwards. */
static void any_call_of_opening_may_fail(void **state)
{
	struct stored *stored = *state;

	stored_stop(stored);
	for (int fresh = 0; fresh < 2; fresh++)
		for (size_t i = 0; i <= N_KINDS; i++)
			for (unsigned long nth = 0;; nth++) {
				struct fault fault = i < N_KINDS ? kinds[i] : (struct fault){ .calls = FAULT_READ, .error = EIO };
				struct stored other = { .scratch = stored->scratch };
				char name[64];

				snprintf(name, sizeof name, "%d-%zu-%lu", fresh, i, nth);
				if (fresh) {
					assert_true(asprintf(&other.dir, "%s/%s", stored->scratch, name) >= 0);
				} else {
					start_copy(stored, name, &other);
					stored_stop(&other);
				}
				fault.n_good = nth;
				fault.n_bad = 1;
				fault_set(other.dir, fault);
				stored_start(&other);
				if (fault_end() == 0) {
					ask_accepted(&other.host, SPAWN(COMPANION));
					stored_stop(&other);
					free(other.dir);
					break;
				}
				/* The instance is there in any case, and serves as soon as it can. */
				assert_non_null(strstr(ask_accepted(&other.host, SPAWN(COMPANION)), ONE));
				assert_non_null(strstr(ask_accepted(&other.host, INPUT(ONE, "'content':'x'")), "\"event_id\":3"));
				stored_restart(&other);
				assert_int_equal(total_items(&other.host), 1);
				stored_stop(&other);
				free(other.dir);
			}
	stored_start(stored);
}

/* What cannot be opened for a moment is not taken for what is not there. */
static void a_store_without_descriptors_is_not_made_anew(void **state)
{
	struct stored *stored = *state;
	unsigned long nth = 0;

	ask_accepted(&stored->host, SPAWN(COMPANION));
	ask_accepted(&stored->host, INPUT(ONE, "'content':'good'"));
	do {
		stored_stop(stored);
		fault_set(stored->dir, (struct fault){ FAULT_OPEN | FAULT_LOOK, EMFILE, nth++, 1, 0 });
		stored_start(stored);
		assert_int_equal(total_items(&stored->host), 1);
		stored_stop(stored);
		stored_start(stored);
		assert_int_equal(total_items(&stored->host), 1);
	} while (fault_end() > 0);
	assert_true(nth > 4);
}

static void a_store_that_cannot_be_read_says_so(void **state)
{
	struct stored *stored = *state;

	stored->options = ",'durability':'relaxed'";
	stored_restart(stored);
	ask_accepted(&stored->host, SPAWN(COMPANION));
	for (int i = 0; i < 2000; i++)
		ask_accepted(&stored->host, INPUT(ONE, "'content':'0123456789012345678901234567890123456789'"));
	stored_restart(stored);
	fault_set(stored->dir, (struct fault){ FAULT_READ, EIO, 0, ULONG_MAX, 0 });
	ask_rejected(&stored->host, TRANSCRIPT(ONE, ",'start':900"), "embedded_runtime_store_error");
	fault_end();
	assert_non_null(strstr(ask_accepted(&stored->host, TRANSCRIPT(ONE, ",'start':900")), "\"sequence\":1100,"));
	/* And where it fails halfway. */
	stored_restart(stored);
	fault_set(stored->dir, (struct fault){ FAULT_READ, EIO, 6, ULONG_MAX, 0 });
	ask_rejected(&stored->host, TRANSCRIPT(ONE, ",'start':900,'limit':256"), "embedded_runtime_store_error");
	assert_true(fault_end() > 0);
	assert_int_equal(total_items(&stored->host), 2000);
}

static void what_cannot_be_written_can_be_opened_and_read(void **state)
{
	struct stored *stored = *state;

	free(stored->dir);
	/* A name that has a meaning elsewhere. */
	assert_true(asprintf(&stored->dir, "%s/50%%?mode=rw#\xc3\xa9", stored->scratch) >= 0);
	stored_restart(stored);
	ask_accepted(&stored->host, SPAWN(COMPANION));
	ask_accepted(&stored->host, INPUT(ONE, "'content':'x'"));
	for (size_t i = 0; i < 2; i++) {
		stored_stop(stored);
		fault_set(stored->dir, (struct fault){ FAULT_CHANGES, i ? ENOSPC : EROFS, 0, ULONG_MAX, 0 });
		stored_start(stored);
		assert_int_equal(inventory_n_failed(&stored->host.inventory), 1);
		assert_int_equal(total_items(&stored->host), 1 + i);
		ask_rejected(&stored->host, INPUT(ONE, "'content':'lost'"), "embedded_runtime_store_error");
		ask_rejected(&stored->host, SPAWN(COMPANION), "embedded_runtime_store_error");
		assert_int_equal(total_items(&stored->host), 1 + i);
		assert_true(fault_end() > 0);
		ask_accepted(&stored->host, INPUT(ONE, "'content':'x'"));
		assert_int_equal(total_items(&stored->host), 2 + i);
	}
	stored_restart(stored);
	assert_int_equal(inventory_n_failed(&stored->host.inventory), 0);
	assert_int_equal(total_items(&stored->host), 3);
}

/* ---- Files that are not in their place ---- */

static void a_directory_that_is_away_is_missed(void **state)
{
	struct stored *stored = *state;
	CLEANUP_FREE char *away = NULL;

	assert_true(asprintf(&away, "%s/away", stored->scratch) >= 0);
	ask_accepted(&stored->host, SPAWN(COMPANION));
	ask_accepted(&stored->host, INPUT(ONE, "'content':'x'"));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(rename(stored->dir, away), 0);
		ask_rejected(&stored->host, INPUT(ONE, "'content':'lost'"), "embedded_runtime_store_error");
		assert_int_equal(total_items(&stored->host), 1);
		assert_int_equal(rename(away, stored->dir), 0);
	}
	ask_accepted(&stored->host, INPUT(ONE, "'content':'x'"));
	stored_restart(stored);
	assert_int_equal(total_items(&stored->host), 2);
}

static void remove_files(const struct stored *stored)
{
	CLEANUP_FREE char *file = stored_path(stored, "catalogue.db"), *log = stored_path(stored, "catalogue.db-wal");

	assert_int_equal(unlink(file), 0);
	assert_int_equal(unlink(log), 0);
}

/* What was removed is still ours, so it is written anew as soon as there is a place for it. */
static void a_store_that_was_removed_is_put_back(void **state)
{
	struct stored *stored = *state, second = { .dir = stored->dir };
	uint64_t n = 0;

	ask_accepted(&stored->host, SPAWN(COMPANION));
	for (int i = 0; i < 3; i++) {
		ask_accepted(&stored->host, INPUT(ONE, "'content':'x'"));
		n++;
		remove_files(stored);
		if (i > 0) {
			assert_int_equal(rmdir(stored->dir), 0);
			ask_rejected(&stored->host, INPUT(ONE, "'content':'lost'"), "embedded_runtime_store_error");
			assert_int_equal(total_items(&stored->host), n);
			assert_int_equal(mkdir(stored->dir, 0700), 0);
		}
		for (unsigned long nth = 0; nth < 12; nth++) {
			fault_set(stored->dir, (struct fault){ FAULT_CHANGES, ENOSPC, nth, ULONG_MAX, 0 });
			ask_rejected(&stored->host, INPUT(ONE, "'content':'lost'"), "embedded_runtime_store_error");
			assert_true(fault_end() > 0);
			assert_int_equal(total_items(&stored->host), n);
		}
		ask_accepted(&stored->host, INPUT(ONE, "'content':'x'"));
		n++;
		assert_int_equal(total_items(&stored->host), n);
	}
	stored_restart(stored);
	assert_int_equal(total_items(&stored->host), n);
	assert_non_null(strstr(ask_accepted(&stored->host, SPAWN(COMPANION)), TWO));
	/* Whoever wants the directory next gets it only when we are gone. */
	remove_files(stored);
	ask_accepted(&stored->host, SPAWN(COMPANION));
	stored_start(&second);
	assert_null(second.host.inventory.entries[0].instance);
	stored_stop(&second);
}

static void a_log_that_is_away_is_missed(void **state)
{
	struct stored *stored = *state;
	CLEANUP_FREE char *log = stored_path(stored, "catalogue.db-wal"), *away = stored_path(stored, "away");

	ask_accepted(&stored->host, SPAWN(COMPANION));
	assert_int_equal(rename(log, away), 0);
	ask_rejected(&stored->host, INPUT(ONE, "'content':'lost'"), "embedded_runtime_store_error");
	scratch_write(stored->dir, "catalogue.db-wal", "", 0);
	ask_rejected(&stored->host, INPUT(ONE, "'content':'lost'"), "embedded_runtime_store_error");
	assert_int_equal(rename(away, log), 0);
	ask_accepted(&stored->host, INPUT(ONE, "'content':'x'"));
	stored_restart(stored);
	assert_int_equal(total_items(&stored->host), 1);
}

/* Whoever closes must not harm what is there in the place of his own. */
static void another_store_in_its_place_is_let_alone(void **state)
{
	struct stored *stored = *state, other = { .dir = stored->dir };
	CLEANUP_FREE char *away = NULL;
	struct stored copy;

	assert_true(asprintf(&away, "%s/away", stored->scratch) >= 0);
	ask_accepted(&stored->host, SPAWN(COMPANION));
	ask_accepted(&stored->host, INPUT(ONE, "'content':'x'"));
	assert_int_equal(rename(stored->dir, away), 0);
	stored_start(&other);
	ask_accepted(&other.host, SPAWN(COMPANION));
	stored_stop(stored);
	start_copy(&(struct stored){ .scratch = stored->scratch, .dir = stored->dir }, "copy", &copy);
	assert_non_null(strstr(host_ask(&copy.host, "{'op':'list_workers'}"), ONE));
	stored_stop(&copy);
	free(copy.dir);
	stored_stop(&other);
	/* Nor what is his own. */
	other.dir = away;
	stored_start(&other);
	assert_int_equal(total_items(&other.host), 1);
	stored_stop(&other);
	stored_start(stored);
}

/* ---- Power ---- */

static uint64_t items_after_power_failed(struct stored *stored, const char *options)
{
	struct stored shadow = { 0 };
	uint64_t n;

	stored->options = options;
	stored_restart(stored);
	ask_accepted(&stored->host, SPAWN(COMPANION));
	stored_stop(stored);
	start_copy(stored, "shadow", &shadow);
	stored_stop(&shadow);
	stored_start(stored);
	fault_shadow(stored->dir, shadow.dir);
	/* Enough for several rounds of the log. */
	for (int i = 0; i < 800; i++)
		ask_accepted(&stored->host, INPUT(ONE, "'content':'0123456789012345678901234567890123456789'"));
	fault_shadow(NULL, NULL);
	stored_start(&shadow);
	n = total_items(&shadow.host);
	stored_stop(&shadow);
	free(shadow.dir);
	return n;
}

static void what_was_accepted_survives_the_machine(void **state)
{
	assert_int_equal(items_after_power_failed(*state, NULL), 800);
}

/* Which also shows that the test above would see what is missing. */
static void what_was_accepted_relaxed_may_not(void **state)
{
	assert_true(items_after_power_failed(*state, ",'durability':'relaxed'") < 800);
}

/* ---- Many at once ---- */

enum { N_CALLERS = 8, N_ROUNDS = 60 };

struct caller {
	struct registry *registry;
	unsigned n_accepted, n_rejected;
};

static void *call_rounds(void *data)
{
	static const char line[] = "{\"op\":\"send_input\",\"runtime_id\":\"" EMBEDDED "\",\"worker_id\":\"" ONE "\","
				   "\"request\":{\"content\":\"x\"}}";
	struct buffer scratch = { 0 }, answer = { 0 };
	struct caller *caller = data;

	for (int i = 0; i < N_ROUNDS; i++) {
		buffer_cut(&answer, 0);
		batch_answer(caller->registry, berth_text(line), &scratch, &answer);
		buffer_append_char(&answer, '\0');
		if (strstr(answer.data, "\"state\":\"accepted\""))
			caller->n_accepted++;
		else if (strstr(answer.data, "embedded_runtime_store_error"))
			caller->n_rejected++;
	}
	buffer_fini(&scratch);
	buffer_fini(&answer);
	return NULL;
}

/* Callers who share a commit that fails each get an outcome of their own. */
static void each_caller_is_told_the_truth(void **state)
{
	struct caller callers[N_CALLERS] = { { .registry = NULL } };
	pthread_t threads[N_CALLERS];
	struct stored *stored = *state;
	unsigned n_accepted = 0, n_rejected = 0;

	ask_accepted(&stored->host, SPAWN(COMPANION));
	fault_set(stored->dir, (struct fault){ FAULT_WRITE | FAULT_SYNC, EIO, 50, 40, 1 });
	for (size_t i = 0; i < N_CALLERS; i++) {
		callers[i].registry = &stored->host.inventory.registry;
		assert_int_equal(pthread_create(&threads[i], NULL, call_rounds, &callers[i]), 0);
	}
	for (size_t i = 0; i < N_CALLERS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		n_accepted += callers[i].n_accepted;
		n_rejected += callers[i].n_rejected;
	}
	assert_true(fault_end() > 0);
	assert_int_equal(n_accepted + n_rejected, N_CALLERS * N_ROUNDS);
	assert_true(n_rejected > 0 && n_accepted > 0);
	assert_int_equal(total_items(&stored->host), n_accepted);
	stored_restart(stored);
	assert_int_equal(total_items(&stored->host), n_accepted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORED_TEST(what_cannot_be_kept_is_rejected_until_the_fault_is_gone),
		STORED_TEST(any_call_may_fail),
		STORED_TEST(any_call_of_opening_may_fail),
		STORED_TEST(a_store_without_descriptors_is_not_made_anew),
		STORED_TEST(a_store_that_cannot_be_read_says_so),
		STORED_TEST(what_cannot_be_written_can_be_opened_and_read),
		STORED_TEST(a_directory_that_is_away_is_missed),
		STORED_TEST(a_store_that_was_removed_is_put_back),
		STORED_TEST(a_log_that_is_away_is_missed),
		STORED_TEST(another_store_in_its_place_is_let_alone),
		STORED_TEST(what_was_accepted_survives_the_machine),
		STORED_TEST(what_was_accepted_relaxed_may_not),
		STORED_TEST(each_caller_is_told_the_truth),
	};

	/* Each fault is logged. */
	log_set_level(BERTH_LOG_ERROR + 1);
	return cmocka_run_group_tests_name("embedded: faults", tests, NULL, NULL);
}
