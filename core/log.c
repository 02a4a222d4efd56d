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

#include "core/json_writer.h"
#include "core/services.h"
#include "core/text.h"

static atomic_int lowest = BERTH_LOG_WARNING;
static atomic_bool as_json;

static const char *const names[] = {
	[BERTH_LOG_DEBUG] = "debug",
	[BERTH_LOG_INFO] = "info",
	[BERTH_LOG_WARNING] = "warning",
	[BERTH_LOG_ERROR] = "error",
};

void log_set_level(int level)
{
	lowest = level;
}

void log_set_json(bool json)
{
	as_json = json;
}

int log_lowest(void)
{
	return lowest;
}

int log_level(const char *name)
{
	for (int level = BERTH_LOG_DEBUG; level <= BERTH_LOG_ERROR; level++)
		if (strcmp(names[level], name) == 0)
			return level;
	return 0;
}

bool log_wants(int level)
{
	return level >= lowest;
}

bool log_is_json(void)
{
	return as_json;
}

/* Writes a line; there is nowhere left to report that this failed. */
static void put(const char *line, size_t len)
{
	if (write(STDERR_FILENO, line, len) < 0)
		return;
}

void log_open_json(struct buffer *line, int level)
{
	buffer_append_string(line, "{\"time\":");
	json_write_time(line, services_wall_ns());
	buffer_append_string(line, ",\"level\":\"");
	buffer_append_string(line, names[level < BERTH_LOG_DEBUG ? BERTH_LOG_DEBUG : level > BERTH_LOG_ERROR ? BERTH_LOG_ERROR : level]);
	buffer_append_char(line, '"');
}

void log_put(const struct buffer *line)
{
	if (!line->failed)
		put(line->data, line->len);
}

/* text is plain. */
static void put_json(int level, const char *name, const char *text)
{
	struct buffer line = { 0 };

	log_open_json(&line, level);
	if (name) {
		buffer_append_string(&line, ",\"name\":");
		json_write_string(&line, berth_text(name));
	}
	buffer_append_string(&line, ",\"message\":");
	json_write_string(&line, berth_text(text));
	buffer_append_string(&line, "}\n");
	log_put(&line);
	buffer_fini(&line);
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
	size_t len = 0;
	int n;

	if (level < lowest)
		return;
	if (!as_json) {
		n = snprintf(line, 128, "berth: %s%s", name ? name : "", name ? ": " : "");
		len = n < 0 ? 0 : n > 127 ? 127 : (size_t)n;
	}
	n = vsnprintf(line + len, sizeof line - len - 1, format, args);
	if (n > 0)
		len += (size_t)n < sizeof line - len - 1 ? (size_t)n : sizeof line - len - 2;
	line[len] = '\0';
	text_make_plain(line);
	if (as_json) {
		put_json(level, name, line);
		return;
	}
	line[len++] = '\n';
	put(line, len);
}
