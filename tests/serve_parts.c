/* SPDX-License-Identifier: MIT */
/* Parts of the service that have no network: what is known of how quick answers are, and tokens that change while many
 * threads ask for them. */
#include "config.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

#include "core/serve/pace.h"
#include "core/serve/token.h"
#include "core/serve/turn.h"
#include "core/services.h"
#include "core/text.h"
#include "tests/contract.h"

#define MS UINT64_C(1000000)

/* ---- Pace ---- */

static void learn(struct pace *pace, int n, uint64_t took_ns)
{
	while (n-- > 0)
		pace_learn(pace, took_ns);
}

static void a_route_is_quick_while_its_answers_are(void **state)
{
	static const struct {
		const char *name;
		int n_quick, n_slow;
		uint64_t slow_ms;
		int n_after;
		bool quick;
	} rows[] = {
		{ "nothing is known", 0, 0, 0, 0, false },
		{ "too few", PACE_QUICK - 1, 0, 0, 0, false },
		{ "slow ones earn nothing", 0, 1000, 1, 0, false },
		{ "one slow answer after the first quick ones", PACE_QUICK, 1, 1, 0, false },
		{ "that takes long enough", 100000, 1, 16, 0, false },
		{ "for good", 100000, 1, UINT64_MAX / MS, PACE_QUICK - 1, false },
		{ "so many", 100000, 16, 1, 0, false },
		{ "one of twenty again and again", 100000, 60, 1, 19, false },
		{ "enough", PACE_QUICK, 0, 0, 0, true },
		{ "a slow one among many", 100000, 1, 15, 0, true },
		{ "some of them", 100000, 15, 1, 0, true },
		{ "one of a hundred again and again", 100000, 60, 1, 100, true },
		{ "quick again", 100000, 1, 60000, PACE_QUICK, true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct pace pace = { 0 };

		learn(&pace, rows[i].n_quick, 999999);
		for (int j = 0; j < rows[i].n_slow; j++) {
			learn(&pace, 1, rows[i].slow_ms * MS);
			learn(&pace, rows[i].n_after, 0);
		}
		if (pace_is_quick(&pace) != rows[i].quick)
			fail_msg("%s", rows[i].name);
	}
}

/* ---- Tokens ---- */

#define KEPT "kept-kept-kept-kept"
#define LENT "lent-lent-lent-lent"

struct judges {
	struct tokens tokens;
	atomic_bool over;
	atomic_uint n_judged, n_wrong;
};

static void *judge(void *data)
{
	struct judges *judges = data;

	while (!atomic_load(&judges->over)) {
		enum token_scope lent = tokens_judge(&judges->tokens, berth_text(LENT));

		if (tokens_judge(&judges->tokens, berth_text(KEPT)) != TOKEN_WRITE ||
		    tokens_judge(&judges->tokens, berth_text(KEPT "x")) != TOKEN_NONE || lent == TOKEN_WRITE)
			atomic_fetch_add(&judges->n_wrong, 1);
		atomic_fetch_add(&judges->n_judged, 1);
	}
	return NULL;
}

/* Writes it beside and moves it there, so that nobody sees a part. */
static void put_file(const char *dir, const char *path, const char *text)
{
	CLEANUP_FREE char *beside = NULL;

	assert_true(asprintf(&beside, "%s/beside", dir) > 0);
	scratch_write(dir, "beside", text, strlen(text));
	assert_int_equal(chmod(beside, 0600), 0);
	assert_int_equal(rename(beside, path), 0);
}

static void wait_for_scope(struct tokens *tokens, const char *token, enum token_scope scope)
{
	uint64_t until_ns = services_monotonic_ns() + 30000 * MS;

	while (tokens_judge(tokens, berth_text(token)) != scope)
		assert_true(services_monotonic_ns() < until_ns);
}

static void many_judge_by_tokens_that_change(void **state)
{
	CLEANUP_FREE struct judges *judges = calloc(1, sizeof *judges);
	char *dir = scratch_new();
	CLEANUP_FREE char *path = NULL;
	pthread_t threads[4];
	struct error error;

	(void)state;
	assert_non_null(judges);
	assert_true(asprintf(&path, "%s/tokens", dir) > 0);
	put_file(dir, path, "write " KEPT "\n");
	assert_int_equal(tokens_open(&judges->tokens, path, &error), 0);
	for (size_t i = 0; i < COUNT(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, judge, judges), 0);
	for (int i = 0; i < 20; i++) {
		put_file(dir, path, "read " LENT "\nwrite " KEPT "\n");
		wait_for_scope(&judges->tokens, LENT, TOKEN_READ);
		put_file(dir, path, i % 2 ? "write " KEPT "\n" : "write " KEPT "\nread " KEPT "\n");
		wait_for_scope(&judges->tokens, LENT, TOKEN_NONE);
		/* What is wrong changes nothing. */
		put_file(dir, path, "lend " LENT "\n");
	}
	atomic_store(&judges->over, true);
	for (size_t i = 0; i < COUNT(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_true(atomic_load(&judges->n_judged) > 0);
	assert_int_equal(atomic_load(&judges->n_wrong), 0);
	tokens_fini(&judges->tokens);
	scratch_remove(dir);
}

/* The file is looked at once a millisecond while somebody asks, and not once for each who asks. */
static void a_change_counts_after_a_millisecond(void **state)
{
	struct tokens tokens = { 0 };
	char *dir = scratch_new();
	CLEANUP_FREE char *path = NULL;
	struct error error;

	(void)state;
	assert_true(asprintf(&path, "%s/tokens", dir) > 0);
	put_file(dir, path, "write " KEPT "\nread " LENT "\n");
	assert_int_equal(tokens_open(&tokens, path, &error), 0);
	for (int i = 0; i < 20; i++) {
		const struct timespec moment = { 0, (long)MS };
		const char *file = i % 2 ? "write " KEPT "\nread " LENT "\n" : "write " KEPT "\n";

		/* So that it has just been looked at. */
		assert_int_equal(tokens_judge(&tokens, berth_text(LENT)), i % 2 ? TOKEN_NONE : TOKEN_READ);
		put_file(dir, path, file);
		nanosleep(&moment, NULL);
		assert_int_equal(tokens_judge(&tokens, berth_text(LENT)), i % 2 ? TOKEN_READ : TOKEN_NONE);
	}
	tokens_fini(&tokens);
	scratch_remove(dir);
}

/* ---- Turns ---- */

static void *start_turn(void *before)
{
	*(uint64_t *)before = turn_set(TURN_SHORTEST_NS);
	return NULL;
}

static void a_thread_has_the_turns_of_the_one_that_starts_it(void **state)
{
	uint64_t before = turn_set(TURN_SHORTEST_NS), inherited;
	pthread_t thread;

	(void)state;
	if (before == 0) {
		print_message("this kernel has turns of one length\n");
		skip();
	}
	assert_int_equal(pthread_create(&thread, NULL, start_turn, &inherited), 0);
	pthread_join(thread, NULL);
	assert_int_equal(inherited, TURN_SHORTEST_NS);
	assert_int_equal(turn_set(before), TURN_SHORTEST_NS);
	assert_int_equal(turn_set(before), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_route_is_quick_while_its_answers_are),
		cmocka_unit_test(many_judge_by_tokens_that_change),
		cmocka_unit_test(a_change_counts_after_a_millisecond),
		cmocka_unit_test(a_thread_has_the_turns_of_the_one_that_starts_it),
	};

	return cmocka_run_group_tests_name("the service: parts", tests, NULL, NULL);
}
