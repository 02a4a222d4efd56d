/* SPDX-License-Identifier: MIT */
/* What counts as a change is what can be seen: so tables are compared, not the answers
 * that they were made from. */
#include "config.h"

#include "core/watch.h"

#include <assert.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "core/cleanup.h"
#include "core/io.h"
#include "core/log.h"
#include "core/table.h"
#include "core/terminal.h"
#include "core/text.h"

/* ---- Asking ---- */

static const struct {
	const char *op, *key;
	enum table_kind table;
} parts[] = {
	{ "list_runtimes", "runtimes", TABLE_RUNTIMES },
	{ "list_workers", "workers", TABLE_WORKERS },
};

enum { N_PARTS = sizeof parts / sizeof *parts };

static int ask(const struct watch *watch, const char *op, struct buffer *answer, struct error *error)
{
	CLEANUP(buffer_fini) struct buffer why = { 0 };
	struct berth_text text;
	char line[128];
	int len = snprintf(line, sizeof line, "{\"op\":\"%s\"%s%s}", op, watch->limit ? ",\"limit\":" : "",
			   watch->limit ? watch->limit : "");
	int rc = watch->ask(watch->context, (struct berth_text){ line, (size_t)len }, answer, error);

	if (rc < 0)
		return rc;
	if (answer->failed)
		return error_set(error, -ENOMEM, "no memory for an answer");
	text = (struct berth_text){ answer->data, answer->len };
	if (!table_find(text, "error").ptr)
		return 0;
	table_write_error(&why, text);
	return error_set(error, -EACCES, "%.*s", (int)why.len, why.data ? why.data : "");
}

/* Appends what is to be seen. */
static int look(const struct watch *watch, struct buffer *view, struct error *error)
{
	for (size_t i = 0; i < N_PARTS; i++) {
		CLEANUP(buffer_fini) struct buffer answer = { 0 };
		int rc = ask(watch, parts[i].op, &answer, error);

		if (rc < 0)
			return rc;
		if (watch->json) {
			buffer_append_string(view, i == 0 ? "{\"" : ",\"");
			buffer_append_string(view, parts[i].key);
			buffer_append_string(view, "\":");
			buffer_append(view, answer.data, answer.len);
		} else {
			buffer_append_string(view, i == 0 ? "" : "\n");
			table_write(view, parts[i].table, (struct berth_text){ answer.data, answer.len },
				    terminal_columns(watch->out_fd));
		}
	}
	if (watch->json)
		buffer_append_string(view, "}\n");
	return view->failed ? error_set(error, -ENOMEM, "no memory for a table") : 0;
}

/* ---- Showing ---- */

static void append_time(struct buffer *out)
{
	time_t now = time(NULL);
	struct tm local;
	char text[64];

	if (localtime_r(&now, &local) && strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local) > 0)
		buffer_append_string(out, text);
}

/* How many lines of the screen a line takes. */
static size_t height(struct berth_text line, size_t columns)
{
	size_t n = 0;

	assert(columns > 0);
	for (size_t i = 0; i < line.len; i++)
		n += ((unsigned char)line.ptr[i] & 0xc0) != 0x80;
	return n > columns ? (n + columns - 1) / columns : 1;
}

/* The line that begins at *pp, which is moved behind it. */
static struct berth_text next_line(const char **pp, const char *end)
{
	const char *begin = *pp, *newline = memchr(begin, '\n', (size_t)(end - begin));

	*pp = newline ? newline + 1 : end;
	return (struct berth_text){ begin, (size_t)((newline ? newline : end) - begin) };
}

/* Each line over what was there, then nothing below: so that the screen does not flicker.
 * There is never a newline on the last line, which would move all of them up. */
static void draw(const struct watch *watch, const struct buffer *view, size_t rows, struct buffer *out)
{
	size_t columns = terminal_columns(watch->out_fd), left = rows, n_more = 0;
	const char *p = view->data, *end = p + view->len;
	char more[64];

	buffer_append_string(out, "\033[H");
	buffer_append_string(out, watch->title);
	buffer_append_string(out, ", since ");
	append_time(out);
	buffer_append_string(out, "\033[K\r\n\033[K");
	left -= left < 2 ? left : 2;
	while (p < end) {
		struct berth_text line = next_line(&p, end);
		size_t needed = height(line, columns);

		/* One line is kept to say that there are more. */
		if (n_more > 0 || needed + (p < end) > left) {
			n_more++;
			continue;
		}
		left -= needed;
		buffer_append_string(out, "\r\n");
		buffer_append(out, line.ptr, line.len);
		buffer_append_string(out, "\033[K");
	}
	if (n_more > 0 && left > 0) {
		snprintf(more, sizeof more, "\r\n... and %zu more lines\033[K", n_more);
		buffer_append_string(out, more);
	}
	buffer_append_string(out, "\033[J");
}

static enum status show(const struct watch *watch, const struct buffer *view)
{
	CLEANUP(buffer_fini) struct buffer out = { 0 };
	size_t rows = watch->json ? 0 : terminal_rows(watch->out_fd);
	int rc;

	if (rows > 0) {
		draw(watch, view, rows, &out);
	} else {
		if (!watch->json) {
			append_time(&out);
			buffer_append_char(&out, '\n');
		}
		buffer_append(&out, view->data, view->len);
		if (!watch->json)
			buffer_append_char(&out, '\n');
	}
	rc = out.failed ? -ENOMEM : io_write_all(watch->out_fd, out.data, out.len);
	return rc < 0 ? complain(STATUS_SETUP, "standard output: %s", strerror(-rc)) : STATUS_DONE;
}

/* On a screen, where the log would be in the way, else in the log. */
static enum status show_failure(const struct watch *watch, const struct error *error)
{
	CLEANUP(buffer_fini) struct buffer line = { 0 };

	if (watch->json || terminal_rows(watch->out_fd) == 0) {
		log_write(BERTH_LOG_ERROR, NULL, "%s; trying on", error->text);
		return STATUS_DONE;
	}
	table_write_text(&line, berth_text(error->text));
	buffer_append_string(&line, "; trying on\n");
	return show(watch, &line);
}

/* ---- Again and again ---- */

static bool same(const struct buffer *a, const struct buffer *b)
{
	return text_equal((struct berth_text){ a->data, a->len }, (struct berth_text){ b->data, b->len });
}

/* A signal ends it early, as one that the screen has to be drawn anew after. Where nobody reads any
 * more, nothing may ever be written again that would fail. */
static enum status pause_s(const struct watch *watch)
{
	const struct timespec time = { watch->interval_s, 0 };
	struct pollfd reader = { .fd = watch->out_fd };

	if (ppoll(&reader, 1, &time, NULL) > 0)
		return complain(STATUS_SETUP, "standard output: %s", strerror(EPIPE));
	return STATUS_DONE;
}

static enum status watch_on(const struct watch *watch, struct buffer *shown)
{
	enum status status = STATUS_DONE;
	bool failing = false;

	while (status == STATUS_DONE && (status = pause_s(watch)) == STATUS_DONE) {
		CLEANUP(buffer_fini) struct buffer view = { 0 };
		bool stale, fails;
		struct error error;

		fails = look(watch, &view, &error) < 0;
		if (fails) {
			buffer_cut(&view, 0);
			buffer_append_string(&view, error.text);
		}
		stale = terminal_is_stale();
		if (stale || fails != failing || !same(&view, shown))
			status = fails ? show_failure(watch, &error) : show(watch, &view);
		failing = fails;
		buffer_fini(shown);
		*shown = view;
		view = (struct buffer){ 0 };
	}
	return status;
}

enum status watch_run(const struct watch *watch)
{
	CLEANUP(buffer_fini) struct buffer shown = { 0 };
	struct error error;
	enum status status;

	/* Before the screen is taken over, so that the line stays. */
	if (look(watch, &shown, &error) < 0)
		return complain(STATUS_SETUP, "%s", error.text);
	terminal_enter(watch->json ? -1 : watch->out_fd);
	status = show(watch, &shown);
	if (status == STATUS_DONE)
		status = watch_on(watch, &shown);
	terminal_leave();
	return status;
}
