/* SPDX-License-Identifier: MIT */
/* A child that floods its standard error must neither be blocked by it nor fill the log:
 * all is read, and what goes beyond a measure is counted instead of logged. */
#include "config.h"

#include "said.h"

#include <stdbool.h>
#include <unistd.h>

enum {
	AT_ONCE = 50,    /* lines */
	A_SECOND = 10,   /* that are allowed again */
};

void said_init(struct said *said, const struct berth_services *services)
{
	*said = (struct said){
		.services = services,
		.tokens = AT_ONCE,
		.filled_ns = services->monotonic_ns(services),
	};
}

static bool may_log(struct said *said)
{
	const struct berth_services *services = said->services;
	uint64_t now = services->monotonic_ns(services), more = (now - said->filled_ns) * A_SECOND / 1000000000;

	if (more > 0) {
		said->tokens = said->tokens + more > AT_ONCE ? AT_ONCE : said->tokens + more;
		said->filled_ns = now;
	}
	if (said->tokens == 0)
		return false;
	said->tokens--;
	return true;
}

static void tell_left_out(struct said *said)
{
	if (said->n_left_out == 0)
		return;
	said->services->log(said->services, BERTH_LOG_WARNING, "standard error: %llu more lines are left out",
			    (unsigned long long)said->n_left_out);
	said->n_left_out = 0;
}

/* A line may begin with its urgency, as for systemd: <3> is an error, <7> for debugging. */
static int take_level(const char **linep)
{
	static const int levels[] = {
		BERTH_LOG_ERROR, BERTH_LOG_ERROR, BERTH_LOG_ERROR, BERTH_LOG_ERROR, BERTH_LOG_WARNING, BERTH_LOG_INFO,
		BERTH_LOG_INFO, BERTH_LOG_DEBUG,
	};
	const char *line = *linep;

	if (line[0] != '<' || line[1] < '0' || line[1] > '7' || line[2] != '>')
		return BERTH_LOG_WARNING;
	*linep += 3;
	return levels[line[1] - '0'];
}

static void end_line(struct said *said)
{
	const char *line = said->line;
	int level;

	said->line[said->len] = '\0';
	level = take_level(&line);
	if (said->len > 0 && !may_log(said)) {
		said->n_left_out++;
	} else if (said->len > 0) {
		tell_left_out(said);
		said->services->log(said->services, level, "%s", line);
	}
	said->len = 0;
}

int said_read(struct said *said, int fd)
{
	char piece[4096];
	ssize_t n = read(fd, piece, sizeof piece);

	if (n == 0)
		return -EPIPE;
	if (n < 0)
		return errno == EAGAIN ? 0 : errno == EINTR ? 1 : -EPIPE;
	for (ssize_t i = 0; i < n; i++)
		if (piece[i] == '\n' || said->len == sizeof said->line - 1) {
			end_line(said);
			if (piece[i] != '\n')
				said->line[said->len++] = piece[i];
		} else {
			said->line[said->len++] = piece[i] ? piece[i] : '?';
		}
	return n == sizeof piece;
}

void said_end(struct said *said)
{
	end_line(said);
	tell_left_out(said);
}
