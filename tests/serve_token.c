/* SPDX-License-Identifier: MIT */
/* Token files: which are believed, and what their lines mean. */
#include "config.h"

#include <dlfcn.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/log.h"
#include "core/serve/token.h"
#include "tests/support.h"

#define READER "0123456789abcdef"
#define WRITER "fedcba9876543210"

static char *dir, *path;

/* ---- Instead of libcrypto and the clock, as far as these tests want that ---- */

static int n_digests, n_good_digests = INT_MAX; /* how many succeed; then there is no memory */
static bool no_algorithm;
static time_t ahead_s, stopped_s; /* of the clock: by how much, and where it stands still (0: nowhere) */

static void find(const char *name, void *functionp)
{
	*(void **)functionp = dlsym(RTLD_NEXT, name);
	assert_non_null(*(void **)functionp);
}

/* Also where the core is a shared library. */
#define EXPORTED __attribute__((visibility("default")))

EXPORTED int EVP_Digest(const void *data, size_t len, unsigned char *digest, unsigned *digest_lenp, const EVP_MD *type, ENGINE *engine)
{
	int (*next)(const void *, size_t, unsigned char *, unsigned *, const EVP_MD *, ENGINE *);

	find("EVP_Digest", &next);
	return n_digests++ < n_good_digests ? next(data, len, digest, digest_lenp, type, engine) : 0;
}

EXPORTED EVP_MD *EVP_MD_fetch(OSSL_LIB_CTX *context, const char *algorithm, const char *properties)
{
	EVP_MD *(*next)(OSSL_LIB_CTX *, const char *, const char *);

	find("EVP_MD_fetch", &next);
	return no_algorithm ? NULL : next(context, algorithm, properties);
}

EXPORTED int clock_gettime(clockid_t clock, struct timespec *timep)
{
	int (*next)(clockid_t, struct timespec *), rc;

	find("clock_gettime", &next);
	rc = next(clock, timep);
	timep->tv_sec += clock == CLOCK_REALTIME ? ahead_s : 0;
	if (clock == CLOCK_REALTIME && stopped_s > 0)
		timep->tv_sec = stopped_s;
	return rc;
}

/* ---- Files ---- */

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

static void a_file_of_64_kib_is_read(void **state)
{
	enum { MOST = 64 << 10 };
	CLEANUP_FREE char *text = malloc(MOST + 2);
	struct tokens tokens = { .path = NULL };
	struct error error = { "" };

	(void)state;
	assert_non_null(text);
	memset(text, '#', MOST + 2);
	memcpy(text, "read " READER "\n", strlen("read " READER "\n"));
	text[MOST + 1] = '\0';
	put(text);
	assert_int_equal(tokens_open(&tokens, path, &error), -EFBIG);
	assert_non_null(strstr(error.text, "at most 65536 bytes"));
	tokens_fini(&tokens);
	text[MOST] = '\0';
	put(text);
	assert_int_equal(tokens_open(&tokens, path, &error), 0);
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

static void a_nul_ends_no_word(void **state)
{
	static const char text[] = "read " READER "\0more\n";
	struct tokens tokens = { .path = NULL };
	struct error error = { "" };

	(void)state;
	put("");
	scratch_write(dir, "tokens", text, sizeof text - 1);
	assert_int_equal(tokens_open(&tokens, path, &error), -EINVAL);
	assert_non_null(strstr(error.text, "line 1"));
	tokens_fini(&tokens);
}

/* For so long that the file is looked at again. */
static void let_time_pass(void)
{
	const struct timespec pause = { .tv_nsec = 2000000 };

	while (nanosleep(&pause, NULL) < 0)
		continue;
}

/* How many digests it takes to judge a token: one, or those of the file, too. */
static int judge(struct tokens *tokens, const char *token, enum token_scope expected)
{
	let_time_pass();
	n_digests = 0;
	assert_int_equal(tokens_judge(tokens, berth_text(token)), expected);
	return n_digests;
}

/* Then it cannot have changed since and look the same. */
static void a_file_is_believed_once_it_is_three_seconds_old(void **state)
{
	struct tokens tokens = { .path = NULL };
	struct error error;
	struct stat st;

	(void)state;
	put("read " READER "\n");
	assert_int_equal(stat(path, &st), 0);
	stopped_s = st.st_ctim.tv_sec + 2;
	assert_int_equal(tokens_open(&tokens, path, &error), 0);
	assert_int_equal(judge(&tokens, READER, TOKEN_READ), 2);
	assert_int_equal(judge(&tokens, READER, TOKEN_READ), 2);
	stopped_s++;
	assert_int_equal(judge(&tokens, READER, TOKEN_READ), 2);
	assert_int_equal(judge(&tokens, READER, TOKEN_READ), 1);
	stopped_s = 0;
	tokens_fini(&tokens);
}

static void a_file_is_read_again_once_it_has_changed(void **state)
{
	struct tokens tokens = { .path = NULL };
	struct error error;

	(void)state;
	put("read " READER "\n");
	assert_int_equal(tokens_open(&tokens, path, &error), 0);
	/* One that is as new may change again and look the same. */
	assert_int_equal(judge(&tokens, READER, TOKEN_READ), 2);
	ahead_s = 60;
	assert_int_equal(judge(&tokens, READER, TOKEN_READ), 2);
	assert_int_equal(judge(&tokens, READER, TOKEN_READ), 1);
	assert_int_equal(judge(&tokens, WRITER, TOKEN_NONE), 1);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(judge(&tokens, READER, TOKEN_READ), 2);
	assert_int_equal(judge(&tokens, READER, TOKEN_READ), 1);
	put("write " WRITER "\n");
	assert_int_equal(judge(&tokens, READER, TOKEN_NONE), 2);
	assert_int_equal(judge(&tokens, WRITER, TOKEN_WRITE), 1);
	/* What cannot be believed any more changes nothing. */
	put("read " READER "\nnonsense\n");
	assert_int_equal(judge(&tokens, READER, TOKEN_NONE), 2);
	assert_int_equal(judge(&tokens, WRITER, TOKEN_WRITE), 1);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(judge(&tokens, WRITER, TOKEN_WRITE), 1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(judge(&tokens, WRITER, TOKEN_WRITE), 1);
	ahead_s = 0;
	tokens_fini(&tokens);
}

static void without_memory_no_token_is_good_and_none_is_lost(void **state)
{
	struct tokens tokens = { .path = NULL };
	struct error error = { "" };

	(void)state;
	put("read " READER "\n");
	no_algorithm = true;
	assert_int_equal(tokens_open(&tokens, path, &error), -ENOMEM);
	tokens_fini(&tokens);
	no_algorithm = false;
	n_good_digests = 0;
	assert_int_equal(tokens_open(&tokens, path, &error), -ENOMEM);
	assert_non_null(strstr(error.text, "no memory for tokens"));
	tokens_fini(&tokens);
	n_good_digests = INT_MAX;
	assert_int_equal(tokens_open(&tokens, path, &error), 0);
	n_good_digests = 0;
	judge(&tokens, READER, TOKEN_NONE);
	judge(&tokens, WRITER, TOKEN_NONE);
	/* There is some for the token, and none for the file. */
	put("write " WRITER "\n");
	ahead_s = 60;
	n_good_digests = 1;
	judge(&tokens, READER, TOKEN_READ);
	judge(&tokens, WRITER, TOKEN_NONE);
	n_good_digests = INT_MAX;
	judge(&tokens, READER, TOKEN_NONE);
	judge(&tokens, WRITER, TOKEN_WRITE);
	ahead_s = 0;
	tokens_fini(&tokens);
}

static void a_file_may_have_so_many_bytes(void **state)
{
	enum { MAX = 64 << 10 };
	struct tokens tokens = { .path = NULL };
	CLEANUP_FREE char *text = malloc(MAX + 2);
	struct error error = { "" };

	(void)state;
	assert_non_null(text);
	memset(text, '\n', MAX + 1);
	text[MAX + 1] = '\0';
	memcpy(text, "read " READER, 5 + 16);
	put(text);
	assert_int_equal(tokens_open(&tokens, path, &error), -EFBIG);
	tokens_fini(&tokens);
	put(text + 1);
	assert_int_equal(tokens_open(&tokens, path, &error), -EINVAL);
	tokens_fini(&tokens);
	text[MAX] = '\0';
	put(text);
	assert_int_equal(tokens_open(&tokens, path, &error), 0);
	tokens_fini(&tokens);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(files_are_read_line_by_line, make, clear),
		cmocka_unit_test_setup_teardown(longest_and_most_are_taken, make, clear),
		cmocka_unit_test_setup_teardown(a_file_of_64_kib_is_read, make, clear),
		cmocka_unit_test_setup_teardown(only_ones_own_files_are_believed, make, clear),
		cmocka_unit_test_setup_teardown(a_token_is_good_for_the_best_of_its_lines, make, clear),
		cmocka_unit_test_setup_teardown(a_nul_ends_no_word, make, clear),
		cmocka_unit_test_setup_teardown(a_file_is_believed_once_it_is_three_seconds_old, make, clear),
		cmocka_unit_test_setup_teardown(a_file_is_read_again_once_it_has_changed, make, clear),
		cmocka_unit_test_setup_teardown(without_memory_no_token_is_good_and_none_is_lost, make, clear),
		cmocka_unit_test_setup_teardown(a_file_may_have_so_many_bytes, make, clear),
	};

	return cmocka_run_group_tests_name("the service: tokens", tests, NULL, NULL);
}
