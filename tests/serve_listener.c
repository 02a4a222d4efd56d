/* SPDX-License-Identifier: MIT */
/* What the service listens on: which places of the environment count, what may be inherited, and whose files are
 * removed. */
#include "config.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/serve/listener.h"
#include "tests/support.h"

enum { INHERITED = 3 };

static char *dir;
static const char *const variables[] = { "RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR", "LISTEN_PID", "LISTEN_FDS" };

static int make(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
		unsetenv(variables[i]);
	dir = scratch_new();
	return 0;
}

static int clear(void **state)
{
	(void)state;
	scratch_remove(dir);
	return 0;
}

/* Sets a variable to a text in which each % stands for the scratch directory; NULL: to nothing. */
static void put(const char *variable, const char *value)
{
	char text[1024] = "";

	unsetenv(variable);
	for (const char *p = value; p && *p; p++)
		if (*p == '%')
			strcat(text, dir);
		else
			strncat(text, p, 1);
	if (value)
		setenv(variable, text, 1);
}

/* Opens; fails unless there is one listener of a name, or an error that says so. */
static void expect(const struct options *options, const char *what, const char *name, const char *says)
{
	struct listeners listeners = { .n = 0 };
	struct error error = { "" };
	int rc = listeners_open(&listeners, options, &error);

	if (name && (rc != 0 || listeners.n != 1 || !strstr(listeners.list[0].name, name)))
		fail_msg("%s: %d, %zu listeners, the first %s: %s", what, rc, listeners.n, listeners.list[0].name, error.text);
	if (says && (rc == 0 || !strstr(error.text, says)))
		fail_msg("%s: %d, %s", what, rc, error.text);
	listeners_fini(&listeners);
}

static void without_an_option_the_environment_says_where(void **state)
{
	static const struct {
		const char *what, *runtime, *xdg, *name, *says;
	} rows[] = {
		{ "nothing is set", NULL, NULL, NULL, "give --socket" },
		{ "both are relative", "run", "run", NULL, "give --socket" },
		{ "both are empty", "", "", NULL, "give --socket" },
		{ "no such directory", "%/nowhere", NULL, NULL, "its directory" },
		{ "the session's is a file", NULL, "%/file", NULL, "Not a directory" },
		{ "the session's is not there", NULL, "%/nowhere", NULL, "No such file" },
		{ "the first of several directories", "%/a:%/b", NULL, "/a/berth.sock", NULL },
		{ "systemd's before the session's", "%/b", "%/a", "/b/berth.sock", NULL },
		{ "the session's", NULL, "%", "/berth/berth.sock", NULL },
		{ "the session's, which is there already", "relative", "%", "/berth/berth.sock", NULL },
	};
	const struct options options = { .socket = NULL };

	(void)state;
	scratch_write(dir, "file", "", 0);
	scratch_write(dir, "a/x", "", 0);
	scratch_write(dir, "b/x", "", 0);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		put("RUNTIME_DIRECTORY", rows[i].runtime);
		put("XDG_RUNTIME_DIR", rows[i].xdg);
		expect(&options, rows[i].what, rows[i].name, rows[i].says);
	}
}

static void on_tcp_it_can_do_without_a_place(void **state)
{
	const char *listen[LISTENERS_MAX + 1];
	struct options options = { .listen = listen, .n_listen = 1, .token_file = "tokens" };

	(void)state;
	for (size_t i = 0; i <= LISTENERS_MAX; i++)
		listen[i] = "127.0.0.1:0";
	expect(&options, "TCP alone", "127.0.0.1:", NULL);
	options.n_listen = LISTENERS_MAX + 1;
	expect(&options, "too many", NULL, "at most 16 sockets");
	options.n_listen = LISTENERS_MAX;
	options.socket = "x";
	expect(&options, "one too many", NULL, "at most 16 sockets");
}

/* ---- Inherited ---- */

static int open_socket(int domain, int type, uint32_t address, bool listens)
{
	const struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(address) };
	int fd = socket(domain, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (domain == AF_INET)
		assert_int_equal(bind(fd, (const struct sockaddr *)&in, sizeof in), 0);
	else if (listens)
		assert_int_equal(bind(fd, (const struct sockaddr *)&(struct sockaddr_un){ AF_UNIX, "" }, sizeof(sa_family_t)), 0);
	assert_true(!listens || listen(fd, 1) == 0);
	return fd;
}

static void only_streams_that_listen_are_inherited(void **state)
{
	static const struct {
		const char *what;
		int domain, type;
		uint32_t address;
		bool listens;
		const char *name, *says;
	} rows[] = {
		{ "nothing", 0, 0, 0, false, NULL, "a stream socket that listens is expected" },
		{ "one that does not listen", AF_UNIX, SOCK_STREAM, 0, false, NULL, "a stream socket that listens is expected" },
		{ "datagrams", AF_INET, SOCK_DGRAM, INADDR_LOOPBACK, false, NULL, "a stream socket that listens is expected" },
		{ "packets", AF_UNIX, SOCK_SEQPACKET, 0, true, NULL, "a stream socket that listens is expected" },
		{ "TCP on all addresses", AF_INET, SOCK_STREAM, INADDR_ANY, true, NULL, "an address of the loopback is expected" },
		{ "TCP", AF_INET, SOCK_STREAM, INADDR_LOOPBACK, true, "127.0.0.1:", NULL },
		{ "a Unix socket", AF_UNIX, SOCK_STREAM, 0, true, "(inherited)", NULL },
	};
	const struct options options = { .token_file = "tokens" };
	char pid[24];
	int kept = dup(INHERITED);

	(void)state;
	snprintf(pid, sizeof pid, "%d", (int)getpid());
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int fd = rows[i].domain ? open_socket(rows[i].domain, rows[i].type, rows[i].address, rows[i].listens) : -1;

		if (fd != INHERITED)
			close(INHERITED);
		if (fd >= 0 && fd != INHERITED) {
			assert_int_equal(dup2(fd, INHERITED), INHERITED);
			close(fd);
		}
		setenv("LISTEN_PID", pid, 1);
		setenv("LISTEN_FDS", "1", 1);
		expect(&options, rows[i].what, rows[i].name, rows[i].says);
		/* They are not for those that it starts. */
		assert_null(getenv("LISTEN_PID"));
		assert_null(getenv("LISTEN_FDS"));
	}
	close(INHERITED);
	if (kept >= 0) {
		assert_int_equal(dup2(kept, INHERITED), INHERITED);
		close(kept);
	}
}

static void what_is_for_somebody_else_is_not_inherited(void **state)
{
	static const struct {
		const char *pid, *n;
	} rows[] = { { "1", "1" }, { NULL, "1" }, { "", "0" }, { "", "-1" }, { "", "17" }, { "", NULL } };
	const struct options options = { .token_file = "tokens" };
	char pid[24];

	(void)state;
	snprintf(pid, sizeof pid, "%d", (int)getpid());
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		put("LISTEN_PID", rows[i].pid && !*rows[i].pid ? pid : rows[i].pid);
		put("LISTEN_FDS", rows[i].n);
		expect(&options, rows[i].n ? rows[i].n : "none", NULL, "give --socket");
	}
}

/* ---- Files ---- */

static void only_a_socket_that_nobody_serves_is_replaced(void **state)
{
	CLEANUP_FREE char *path = NULL, *other = NULL;
	struct options options = { .socket = NULL };
	struct listeners first = { .n = 0 }, second = { .n = 0 };
	struct error error;
	char longer[200];
	struct stat st;

	(void)state;
	assert_true(asprintf(&path, "%s/socket", dir) > 0);
	memset(longer, 'x', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	options.socket = longer;
	expect(&options, "too long", NULL, "a path of 1 to");
	options.socket = "";
	expect(&options, "empty", NULL, "a path of 1 to");
	options.socket = path;
	scratch_write(dir, "socket", "", 0);
	expect(&options, "a file", NULL, "a socket, or nothing, is expected there");
	assert_int_equal(unlink(path), 0);

	assert_int_equal(listeners_open(&first, &options, &error), 0);
	assert_int_equal(listeners_open(&second, &options, &error), -EADDRINUSE);
	listeners_fini(&second);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	/* One whose listener is gone, but whose file is not. */
	close(first.list[0].fd);
	first.list[0].fd = -1;
	assert_int_equal(listeners_open(&second, &options, &error), 0);
	/* Another file that has its name is not removed. */
	scratch_write(dir, "other", "", 0);
	assert_true(asprintf(&other, "%s/other", dir) > 0);
	assert_int_equal(rename(other, path), 0);
	listeners_fini(&second);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(listeners_open(&second, &options, &error), 0);
	listeners_fini(&second);
	assert_int_not_equal(lstat(path, &st), 0);
	listeners_fini(&first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(without_an_option_the_environment_says_where, make, clear),
		cmocka_unit_test_setup_teardown(on_tcp_it_can_do_without_a_place, make, clear),
		cmocka_unit_test_setup_teardown(only_streams_that_listen_are_inherited, make, clear),
		cmocka_unit_test_setup_teardown(what_is_for_somebody_else_is_not_inherited, make, clear),
		cmocka_unit_test_setup_teardown(only_a_socket_that_nobody_serves_is_replaced, make, clear),
	};

	return cmocka_run_group_tests_name("the service: what it listens on", tests, NULL, NULL);
}
