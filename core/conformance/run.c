/* SPDX-License-Identifier: MIT */
/*
 * The process of a check speaks through a pipe, one record an event: a letter, a text,
 * a NUL. A process that ends without a verdict has failed, and so has one that passed
 * and then ended badly, as it does where a sanitizer has something to report.
 */
#include "config.h"

#include "core/conformance/run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/conformance/host.h"
#include "core/conformance/probe.h"
#include "core/conformance/spawned.h"
#include "core/io.h"
#include "core/services.h"
#include "core/text.h"

enum { OUTPUT_MAX = 16384 };

/* ---- In the process of the check ---- */

static int report_fd = -1;

/* One write, so that threads do not mix: it is shorter than PIPE_BUF. */
__attribute__((format(printf, 2, 0)))
static void report(char event, const char *format, va_list args)
{
	char record[1024];
	int n;

	record[0] = event;
	n = vsnprintf(record + 1, sizeof record - 1, format, args);
	if (n < 0 || n > (int)sizeof record - 2)
		n = sizeof record - 2;
	io_write_all(report_fd, record, (size_t)n + 2);
}

#define REPORT(event, format)              \
	do {                               \
		va_list args;              \
		va_start(args, format);    \
		report(event, format, args); \
		va_end(args);              \
	} while (0)

void check_fail(const char *format, ...)
{
	REPORT('f', format);
	_exit(0);
}

void check_skip(const char *format, ...)
{
	REPORT('s', format);
	_exit(0);
}

void check_at(const char *format, ...)
{
	REPORT('a', format);
}

void check_note(const char *format, ...)
{
	REPORT('n', format);
}

__attribute__((format(printf, 2, 3)))
static void report_plain(char event, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report(event, format, args);
	va_end(args);
}

/* What the runtime does not declare is not asked of it. */
static void require(const struct check *check, const struct subject *subject)
{
	struct host host = { 0 };

	if (!check->needs)
		return;
	host_open(&host, subject, NULL);
	if (!host_can(&host, check->needs))
		check_skip("the runtime does not declare %s", check->needs);
	host_close(&host);
}

__attribute__((noreturn))
static void be_check(const struct check *check, const struct subject *subject, int fd, int output, int standard_output)
{
	int null = open("/dev/null", O_RDONLY);

	report_fd = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	dup2(null, STDIN_FILENO);
	dup2(standard_output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	signal(SIGPIPE, SIG_IGN);
	require(check, subject);
	check->run(subject);
	if (subject->is_apart)
		probe_expect_no(FAULT_PROCESS);
	report_plain('p', "%s", "");
	host_unload();
	exit(0); /* with what is due at the end, such as a search for leaks */
}

/* ---- In the runner ---- */

static void take_record(struct result *result, char *at, bool *judged, const char *record)
{
	switch (record[0]) {
	case 'a':
		snprintf(at, sizeof result->why, "%s", record + 1);
		break;
	case 'n':
		buffer_append_string(&result->notes, record + 1);
		buffer_append_char(&result->notes, '\n');
		break;
	default:
		if (*judged)
			break;
		*judged = true;
		result->verdict = record[0] == 'p' ? VERDICT_PASSED : record[0] == 's' ? VERDICT_SKIPPED : VERDICT_FAILED;
		snprintf(result->why, sizeof result->why, "%s", record + 1);
	}
}

/* Reads records until the process has closed its end; false where time is up. */
static bool listen_to(int fd, uint64_t deadline_ns, struct result *result, char *at, bool *judged)
{
	char buffer[65536];
	size_t len = 0;

	for (;;) {
		uint64_t now = services_monotonic_ns();
		struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
		size_t begin = 0;
		ssize_t n;

		if (now >= deadline_ns)
			return false;
		if (poll(&poll_fd, 1, (int)((deadline_ns - now) / 1000000) + 1) <= 0)
			continue;
		n = read(fd, buffer + len, sizeof buffer - len);
		if (n == 0)
			return true;
		if (n < 0)
			continue;
		len += (size_t)n;
		for (size_t i = 0; i < len; i++)
			if (!buffer[i]) {
				take_record(result, at, judged, buffer + begin);
				begin = i + 1;
			}
		len -= begin;
		memmove(buffer, buffer + begin, len);
		if (len == sizeof buffer)
			len = 0; /* nothing of ours */
	}
}

/* Of what a process has written, the end. */
static void read_output(int fd, struct buffer *output)
{
	off_t size = lseek(fd, 0, SEEK_END), from = size > OUTPUT_MAX ? size - OUTPUT_MAX : 0;
	char *end = buffer_reserve(output, OUTPUT_MAX + 1);
	ssize_t n = end ? pread(fd, end, OUTPUT_MAX, from) : 0;

	if (n <= 0)
		return;
	end[n] = '\0';
	text_make_utf8(end);
	output->len += strlen(end);
}

__attribute__((format(printf, 3, 4)))
static void failed(struct result *result, const char *at, const char *format, ...)
{
	va_list args;
	size_t len;

	result->verdict = VERDICT_FAILED;
	va_start(args, format);
	vsnprintf(result->why, sizeof result->why, format, args);
	va_end(args);
	len = strlen(result->why);
	if (*at)
		snprintf(result->why + len, sizeof result->why - len, " at: %s", at);
}

static void judge(struct result *result, bool in_time, bool judged, int status, unsigned seconds, const char *at)
{
	if (!in_time)
		failed(result, at, "not done after %u seconds", seconds);
	else if (WIFSIGNALED(status))
		failed(result, at, "killed by %s", strsignal(WTERMSIG(status)));
	else if (!judged)
		failed(result, at, "ended the process with status %d", WEXITSTATUS(status));
	else if (WEXITSTATUS(status) != 0 && result->verdict == VERDICT_PASSED)
		failed(result, "", "its process ended with status %d", WEXITSTATUS(status));
}

static int run(const struct check *check, const struct subject *subject, unsigned seconds, struct result *result)
{
	CLEANUP_CLOSE int output = memfd_create("stderr", MFD_CLOEXEC), standard_output = memfd_create("stdout", MFD_CLOEXEC);
	uint64_t begin = services_monotonic_ns();
	char at[sizeof result->why] = "";
	bool judged = false, in_time;
	int fds[2], status = 0;
	pid_t pid;

	*result = (struct result){ .verdict = VERDICT_FAILED };
	if (output < 0 || standard_output < 0 || pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		be_check(check, subject, fds[1], output, standard_output);
	}
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return -errno;
	}
	in_time = listen_to(fds[0], begin + (uint64_t)seconds * 1000000000, result, at, &judged);
	close(fds[0]);
	if (!in_time)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	judge(result, in_time, judged, status, seconds, at);
	read_output(output, &result->output);
	result->seconds = (double)(services_monotonic_ns() - begin) / 1e9;
	return 0;
}

int run_check(const struct check *check, const struct subject *subject, unsigned seconds, struct result *result)
{
	struct result ignored;
	int rc = run(check, subject, seconds, result);

	/* However it has ended. */
	if (rc == 0 && spawned_is_any() && run(&spawned_rest, subject, seconds, &ignored) == 0)
		result_fini(&ignored);
	return rc;
}

void result_fini(struct result *result)
{
	buffer_fini(&result->notes);
	buffer_fini(&result->output);
}
