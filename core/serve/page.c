/* SPDX-License-Identifier: MIT */
/*
 * A page is made of an answer of the registry, so that what is followed is to the letter what is read. Nothing in it can
 * break a line: JSON has no control characters but as escapes, and a cursor has none at all.
 */
#include "config.h"

#include "core/serve/page.h"

#include "core/text.h"
#include "inline/json_reader.h"

static void write_line(struct buffer *out, const char *name, struct berth_text value)
{
	buffer_append_string(out, name);
	buffer_append(out, value.ptr, value.len);
	buffer_append_char(out, '\n');
}

static void write_cursor(struct buffer *out, const struct json_slice *cursor)
{
	char *end = buffer_reserve(out, cursor->len);

	if (end)
		out->len += json_unescape(cursor, end);
}

static void read_event(struct json_reader *r, struct buffer *out)
{
	struct json_slice key, kind = { .escaped = true }, cursor = { "", 0, false };
	const char *begin;

	json_peek(r);
	begin = r->p;
	json_enter_object(r);
	while (json_next_member(r, &key))
		if (json_string_is(&key, "kind"))
			json_read_string(r, &kind);
		else if (json_string_is(&key, "cursor"))
			json_read_string(r, &cursor);
		else
			json_skip(r);
	if (r->error)
		return;
	buffer_append_string(out, "id: ");
	write_cursor(out, &cursor);
	buffer_append_char(out, '\n');
	/* A kind that has escapes may have newlines. */
	if (!kind.escaped)
		write_line(out, "event: ", (struct berth_text){ kind.ptr, kind.len });
	write_line(out, "data: ", (struct berth_text){ begin, (size_t)(r->p - begin) });
	buffer_append_char(out, '\n');
}

static void read_events(struct json_reader *r, struct buffer *out)
{
	json_enter_array(r);
	while (json_next_element(r))
		read_event(r, out);
}

bool page_read(struct page *page, struct berth_text answer)
{
	/* Each character of a cursor is itself or one escape of two bytes. */
	char cursor[2 * BERTH_CURSOR_MAX];
	struct json_slice key, state = { "", 0, false }, next = { "", 0, false };
	struct json_reader r;
	size_t len;

	*page = (struct page){ .more = false };
	json_open(&r, answer.ptr, answer.len);
	json_enter_object(&r);
	while (json_next_member(&r, &key))
		if (json_string_is(&key, "state"))
			json_read_string(&r, &state);
		else if (json_string_is(&key, "next_cursor"))
			json_read_string(&r, &next);
		else if (json_string_is(&key, "more"))
			json_read_boolean(&r, &page->more);
		else if (json_string_is(&key, "items"))
			read_events(&r, &page->text);
		else
			json_skip(&r);
	if (!json_close(&r) || page->text.failed || !json_string_is(&state, "accepted") || next.len > sizeof cursor) {
		buffer_fini(&page->text);
		return false;
	}
	len = json_unescape(&next, cursor);
	if (len > BERTH_CURSOR_MAX)
		len = 0;
	memcpy(page->cursor, cursor, len);
	page->cursor[len] = '\0';
	return true;
}

void page_write_end(struct buffer *out, struct berth_text answer)
{
	buffer_append_string(out, "event: error\n");
	write_line(out, "data: ", answer);
	buffer_append_char(out, '\n');
}
