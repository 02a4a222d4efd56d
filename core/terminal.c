/* SPDX-License-Identifier: MIT */
/* Handlers do all by themselves what has to be done: an adapter or a service that does not
 * answer must not keep anybody from getting the screen back. */
#include "config.h"

#include "core/terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* The second screen, and no cursor. */
static const char enter[] = "\033[?1049h\033[?25l", leave[] = "\033[?25h\033[?1049l";

static int screen = -1; /* the terminal that was taken over */
static volatile sig_atomic_t stale;

size_t terminal_columns(int fd)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	long n = columns ? strtol(columns, NULL, 10) : 0;

	if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return n >= 20 && n <= 10000 ? (size_t)n : 80;
}

size_t terminal_rows(int fd)
{
	struct winsize size;

	if (!isatty(fd))
		return 0;
	return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : 24;
}

/* There is nowhere to report that this failed. */
static void put(const char *text)
{
	if (screen >= 0 && write(screen, text, strlen(text)) < 0)
		return;
}

static void end(int number)
{
	put(leave);
	if (number == SIGINT)
		_exit(0);
	/* Ends the program once this returns. */
	signal(number, SIG_DFL);
	raise(number);
}

static void stop(int number)
{
	int saved = errno;

	(void)number;
	put(leave);
	raise(SIGSTOP);
	put(enter);
	stale = 1;
	errno = saved;
}

static void resize(int number)
{
	(void)number;
	stale = 1;
}

void terminal_enter(int fd)
{
	static const struct {
		int number;
		void (*handler)(int);
	} signals[] = {
		{ SIGINT, end }, { SIGTERM, end }, { SIGHUP, end }, { SIGQUIT, end }, { SIGTSTP, stop }, { SIGWINCH, resize },
	};

	if (isatty(fd))
		screen = fd;
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
		struct sigaction action = { .sa_handler = signals[i].handler };

		sigfillset(&action.sa_mask);
		sigaction(signals[i].number, &action, NULL);
	}
	put(enter);
}

void terminal_leave(void)
{
	put(leave);
	screen = -1;
}

bool terminal_is_stale(void)
{
	bool was = stale;

	stale = 0;
	return was;
}
