/* SPDX-License-Identifier: MIT */
/* One line, one write: so lines of several threads, and of plugins that print on
 * their own, do not mix; and what a plugin logs cannot drive a terminal. */
#include "config.h"

#include "core/log.h"

#include <berth/adapter.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static atomic_int lowest = BERTH_LOG_WARNING;

void log_set_level(int level)
{
	lowest = level;
}

int log_level(const char *name)
{
	static const char *const names[] = {
		[BERTH_LOG_DEBUG] = "debug",
		[BERTH_LOG_INFO] = "info",
		[BERTH_LOG_WARNING] = "warning",
		[BERTH_LOG_ERROR] = "error",
	};

	for (int level = BERTH_LOG_DEBUG; level <= BERTH_LOG_ERROR; level++)
		if (strcmp(names[level], name) == 0)
			return level;
	return 0;
}

void log_write(int level, const char *name, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_write_va(level, name, format, args);
	va_end(args);
}

void log_write_va(int level, const char *name, const char *format, va_list args)
{
	char line[1024];
	size_t len;
	int n;

	if (level < lowest)
		return;
	n = snprintf(line, 128, "berth: %s%s", name ? name : "", name ? ": " : "");
	len = n < 0 ? 0 : n > 127 ? 127 : (size_t)n;
	n = vsnprintf(line + len, sizeof line - len - 1, format, args);
	if (n > 0)
		len += (size_t)n < sizeof line - len - 1 ? (size_t)n : sizeof line - len - 2;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[len++] = '\n';
	/* There is nowhere left to report that this failed. */
	if (write(STDERR_FILENO, line, len) < 0)
		return;
}
