/* SPDX-License-Identifier: MIT */
/* Token files: which are believed, and what their lines mean. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/log.h"
#include "core/serve/token.h"
#include "tests/support.h"

#define READER "0123456789abcdef"
#define WRITER "fedcba9876543210"

static char *dir, *path;

static int make(void **state)
{
	(void)state;
	dir = scratch_new();
	assert_true(asprintf(&path, "%s/tokens", dir) > 0);
	log_set_level(BERTH_LOG_ERROR + 1);
	return 0;
}

static int clear(void **state)
{
	(void)state;
	free(path);
	scratch_remove(dir);
	return 0;
}

static void put(const char *text)
{
	scratch_write(dir, "tokens", text, strlen(text));
	assert_int_equal(chmod(path, 0600), 0);
}

/* A line of so many characters behind the scope. */
static const char *line_of(size_t len)
{
	static char line[1024];

	strcpy(line, "read ");
	memset(line + 5, 'x', len);
	strcpy(line + 5 + len, "\n");
	return line;
}

static void files_are_read_line_by_line(void **state)
{
	const struct {
		const char *text;
		size_t n; /* of tokens; 0: the file is refused */
		const char *where;
	} rows[] = {
		{ "", 0, "at least one token" },
		{ "#", 0, "at least one token" },
		{ "\n \t\r\n# read " READER "\n", 0, "at least one token" },
		{ "read\n", 0, "line 1" },
		{ READER "\n", 0, "line 1" },
		{ "\nreads " READER "\n", 0, "line 2" },
		{ "writ " WRITER "\n", 0, "line 1" },
		{ "read 0123456789abcde\n", 0, "line 1" },
		{ "read 0123456789abcde!\n", 0, "line 1" },
		{ "read " READER "\nread " WRITER " more\n", 0, "line 2" },
		{ line_of(513), 0, "line 1" },
		{ "read " READER, 1, "" },
		{ "read " READER "\nx", 0, "line 2" },
		{ "\r\n  write\t" WRITER " \r\n#\n read " READER "\r\n", 2, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct tokens tokens = { .path = NULL };
		struct error error = { "" };

		put(rows[i].text);
		if ((tokens_open(&tokens, path, &error) == 0) != (rows[i].n > 0) || (rows[i].n > 0 && tokens.n != rows[i].n) ||
		    !strstr(error.text, rows[i].where))
			fail_msg("%s: %zu tokens, %s", rows[i].text, tokens.n, error.text);
		/* What may be a secret is not repeated. */
		assert_null(strstr(error.text, "0123"));
		tokens_fini(&tokens);
	}
}

static void longest_and_most_are_taken(void **state)
{
	struct tokens tokens = { .path = NULL };
	CLEANUP_FREE char *text = calloc(TOKENS_MAX + 2, 32);
	struct error error = { "" };

	(void)state;
	assert_non_null(text);
	put(line_of(512));
	assert_int_equal(tokens_open(&tokens, path, &error), 0);
	tokens_fini(&tokens);
	for (int i = 0; i < TOKENS_MAX; i++)
		sprintf(text + strlen(text), "read token-number-%04d\n", i);
	put(text);
	assert_int_equal(tokens_open(&tokens, path, &error), 0);
	assert_int_equal(tokens_judge(&tokens, berth_text("token-number-0255")), TOKEN_READ);
	tokens_fini(&tokens);
	strcat(text, "read token-number-9999\n");
	put(text);
	assert_int_not_equal(tokens_open(&tokens, path, &error), 0);
	tokens_fini(&tokens);
}

static void only_ones_own_files_are_believed(void **state)
{
	static const struct {
		mode_t mode;
		uid_t owner;
		bool fine;
	} rows[] = {
		{ 0600, 0, true }, { 0640, 0, true }, { 0400, 0, true }, { 0700, 0, true }, { 0604, 0, false }, { 0602, 0, false },
		{ 0620, 0, false }, { 0601, 0, false }, { 0600, 4321, false },
	};
	struct tokens tokens = { .path = NULL };
	struct error error;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (rows[i].owner != 0 && geteuid() != 0)
			continue;
		put("read " READER "\n");
		assert_int_equal(chmod(path, rows[i].mode), 0);
		if (rows[i].owner != 0)
			assert_int_equal(chown(path, rows[i].owner, (gid_t)-1), 0);
		if (tokens_open(&tokens, path, &error) != (rows[i].fine ? 0 : -EPERM))
			fail_msg("mode %04o, owner %u", (unsigned)rows[i].mode, (unsigned)rows[i].owner);
		tokens_fini(&tokens);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(tokens_open(&tokens, dir, &error), -EINVAL);
	tokens_fini(&tokens);
	assert_int_equal(tokens_open(&tokens, path, &error), -ENOENT);
	tokens_fini(&tokens);
}

static void a_token_is_good_for_the_best_of_its_lines(void **state)
{
	struct tokens tokens = { .path = NULL };
	struct error error;

	(void)state;
	put("read " READER "\nwrite " READER "\nread " WRITER "\n");
	assert_int_equal(tokens_open(&tokens, path, &error), 0);
	assert_int_equal(tokens_judge(&tokens, berth_text(READER)), TOKEN_WRITE);
	assert_int_equal(tokens_judge(&tokens, berth_text(WRITER)), TOKEN_READ);
	assert_int_equal(tokens_judge(&tokens, berth_text("0123456789abcdeF")), TOKEN_NONE);
	assert_int_equal(tokens_judge(&tokens, berth_text("0123456789abcde")), TOKEN_NONE);
	assert_int_equal(tokens_judge(&tokens, berth_text("")), TOKEN_NONE);
	tokens_fini(&tokens);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(files_are_read_line_by_line, make, clear),
		cmocka_unit_test_setup_teardown(longest_and_most_are_taken, make, clear),
		cmocka_unit_test_setup_teardown(only_ones_own_files_are_believed, make, clear),
		cmocka_unit_test_setup_teardown(a_token_is_good_for_the_best_of_its_lines, make, clear),
	};

	return cmocka_run_group_tests_name("the service: tokens", tests, NULL, NULL);
}
