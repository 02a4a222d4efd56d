/* SPDX-License-Identifier: MIT */
/* Writing to where not all of it fits at once, and reading where not all of it is there. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/io.h"

enum { SIZE = 300000 }; /* more than a pipe holds */

static unsigned char pattern(size_t i)
{
	return (unsigned char)(i * 7 + i / 251);
}

static void *read_all(void *data)
{
	int fd = *(const int *)data;
	unsigned char *text = malloc(SIZE + 1);
	size_t len = 0;
	ssize_t n = 1;

	while (text && n > 0 && len <= SIZE) {
		n = read(fd, text + len, len % 5000 + 1);
		len += n > 0 ? (size_t)n : 0;
	}
	for (size_t i = 0; text && i < len; i++)
		if (text[i] != pattern(i))
			len = 0;
	free(text);
	return (void *)(uintptr_t)len;
}

static void all_of_it_arrives(void **state)
{
	char *text = malloc(SIZE);
	pthread_t reader;
	void *len;
	int fds[2];

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < SIZE; i++)
		text[i] = (char)pattern(i);
	for (int flags = 0; flags <= O_NONBLOCK; flags += O_NONBLOCK) {
		assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
		assert_int_equal(fcntl(fds[1], F_SETFL, flags), 0);
		assert_int_equal(pthread_create(&reader, NULL, read_all, &fds[0]), 0);
		assert_int_equal(io_write_all(fds[1], text, SIZE), 0);
		close(fds[1]);
		assert_int_equal(pthread_join(reader, &len), 0);
		assert_int_equal((uintptr_t)len, SIZE);
		close(fds[0]);
	}
	free(text);
}

static void *write_bits(void *data)
{
	int fd = *(const int *)data;

	for (size_t i = 0; i < SIZE; i += 10) {
		unsigned char bit[10];

		for (size_t j = 0; j < sizeof bit; j++)
			bit[j] = pattern(i + j);
		if (write(fd, bit, sizeof bit) != sizeof bit)
			break;
	}
	close(fd);
	return NULL;
}

static void all_of_it_is_awaited(void **state)
{
	(void)state;
	for (int flags = 0; flags <= O_NONBLOCK; flags += O_NONBLOCK) {
		struct buffer text = { 0 };
		pthread_t writer;
		ssize_t n;
		int fds[2];

		assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
		assert_int_equal(fcntl(fds[0], F_SETFL, flags), 0);
		assert_int_equal(pthread_create(&writer, NULL, write_bits, &fds[1]), 0);
		while ((n = io_read(fds[0], &text, 4096)) > 0)
			assert_true(n <= 4096);
		assert_int_equal(n, 0);
		assert_int_equal(pthread_join(writer, NULL), 0);
		assert_int_equal(text.len, SIZE);
		for (size_t i = 0; i < SIZE; i++)
			if ((unsigned char)text.data[i] != pattern(i))
				fail_msg("byte %zu", i);
		buffer_fini(&text);
		close(fds[0]);
	}
}

static void what_fails_is_said(void **state)
{
	struct buffer text = { 0 };
	int fds[2];

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	close(fds[0]);
	assert_int_equal(io_write_all(fds[1], "x", 1), -EPIPE);
	close(fds[1]);
	assert_int_equal(io_write_all(-1, "x", 1), -EBADF);
	assert_int_equal(io_read(-1, &text, 1), -EBADF);
	assert_int_equal(text.len, 0);
	buffer_fini(&text);
	assert_int_equal(io_write_all(-1, "", 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_it_arrives),
		cmocka_unit_test(all_of_it_is_awaited),
		cmocka_unit_test(what_fails_is_said),
	};

	return cmocka_run_group_tests_name("io", tests, NULL, NULL);
}
