/* SPDX-License-Identifier: MIT */
/* What has failed, as it is said: each code with a name and a hint of its own, one plain line, and so many of them. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/failure.h"

static void each_code_has_a_name_and_a_hint_of_its_own(void **state)
{
	(void)state;
	for (int i = 0; i < N_FAILURES; i++) {
		const char *name = failure_code_name((enum failure_code)i), *hint = failure_hint((enum failure_code)i);

		assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
		assert_true(*name && (i == FAILURE_NONE) == !*hint);
		for (int other = 0; other < i; other++) {
			assert_string_not_equal(name, failure_code_name((enum failure_code)other));
			assert_string_not_equal(hint, failure_hint((enum failure_code)other));
		}
	}
}

static void a_failure_is_one_plain_line(void **state)
{
	struct failure failure;
	char line[FAILURE_LINE_MAX];

	(void)state;
	assert_int_equal(failure_set(&failure, FAILURE_OPEN_FAILED, "a\nb", "%s %d", "\x1b[2J\xff\xc2\x9b", 7), -EINVAL);
	assert_int_equal(failure.code, FAILURE_OPEN_FAILED);
	assert_string_equal(failure_line(&failure, line), "open_failed: expected a?b, found ?[2J??\? 7; mend what the adapter names");
	assert_int_equal(failure_set(&failure, FAILURE_NO_MEMORY, "memory", "none"), -ENOMEM);
	assert_string_equal(failure_line(&failure, line),
			    "no_memory: expected memory, found none; free memory and start again");
}

static void what_is_too_long_is_cut(void **state)
{
	struct failure failure;
	char much[2 * FAILURE_LINE_MAX], line[FAILURE_LINE_MAX + 1];

	(void)state;
	memset(much, 'x', sizeof much);
	much[sizeof much - 1] = '\0';
	failure_set(&failure, FAILURE_NOT_LINKABLE, much, "%s", much);
	assert_int_equal(strlen(failure.expected), sizeof failure.expected - 1);
	assert_int_equal(strlen(failure.found.text), sizeof failure.found.text - 1);
	line[FAILURE_LINE_MAX] = '!';
	failure_line(&failure, line);
	assert_true(strlen(line) < FAILURE_LINE_MAX);
	assert_int_equal(line[FAILURE_LINE_MAX], '!');
}

static void those_without_room_are_counted(void **state)
{
	enum { ROOM = 64 };
	static struct failures failures;

	(void)state;
	for (size_t i = 0; i < ROOM + 3; i++) {
		struct failure *failure = failures_add(&failures);

		assert_ptr_equal(failure, &failures.list[i < ROOM ? i : ROOM - 1]);
		assert_int_equal(failures.n, i < ROOM ? i + 1 : ROOM);
		assert_int_equal(failures.n_more, i < ROOM ? 0 : i + 1 - ROOM);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_code_has_a_name_and_a_hint_of_its_own),
		cmocka_unit_test(a_failure_is_one_plain_line),
		cmocka_unit_test(what_is_too_long_is_cut),
		cmocka_unit_test(those_without_room_are_counted),
	};

	return cmocka_run_group_tests_name("failures", tests, NULL, NULL);
}
