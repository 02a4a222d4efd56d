/* SPDX-License-Identifier: MIT */
/* Pages of server-sent events: nothing that an answer has in it can make a line of its own
 * or an event that did not happen. */
#include "config.h"

#include "core/serve/page.h"

#include <string.h>

#include "core/json_writer.h"
#include "core/text.h"
#include "core/wire.h"
#include "tests/fuzz/fuzz.h"

/* What the registry lets pass as a cursor; made of any text. */
static struct berth_text make_cursor(struct fuzz *fuzz, char cursor[BERTH_CURSOR_MAX])
{
	struct berth_text text = fuzz_text(fuzz);

	for (size_t i = 0; i < text.len; i++)
		cursor[i] = (char)('!' + (unsigned char)text.ptr[i] % ('~' - '!' + 1));
	if (text.len == 0)
		cursor[text.len++] = '0';
	return (struct berth_text){ cursor, text.len };
}

static void write_member(struct buffer *out, const char *lead, struct berth_text text)
{
	buffer_append_string(out, lead);
	if (!json_write_string(out, text))
		buffer_append_string(out, "\"\"");
}

/* An answer to read_events. Returns how many events it has. */
static size_t make_answer(struct fuzz *fuzz, struct buffer *out, char next[BERTH_CURSOR_MAX], struct berth_text *nextp)
{
	size_t n = fuzz_below(fuzz, 8);
	char cursor[BERTH_CURSOR_MAX];

	*nextp = make_cursor(fuzz, next);
	buffer_append_string(out, "{\"state\":\"accepted\"");
	write_member(out, ",\"next_cursor\":", *nextp);
	buffer_append_string(out, fuzz_byte(fuzz) & 1 ? ",\"more\":true,\"items\":[" : ",\"more\":false,\"items\":[");
	for (size_t i = 0; i < n; i++) {
		write_member(out, i > 0 ? ",{\"kind\":" : "{\"kind\":", fuzz_text(fuzz));
		write_member(out, ",\"worker_id\":", fuzz_text(fuzz));
		write_member(out, ",\"cursor\":", make_cursor(fuzz, cursor));
		buffer_append_char(out, '}');
	}
	buffer_append_string(out, "],\"diagnostics\":[]}");
	return n;
}

static bool begins_with(struct berth_text text, const char *word)
{
	size_t len = strlen(word);

	return text.len >= len && memcmp(text.ptr, word, len) == 0;
}

/* As an event stream is read: how many events it has. A line is a known field, or empty. */
static size_t count_events(struct berth_text text)
{
	size_t n = 0;

	while (text.len > 0) {
		const char *newline = memchr(text.ptr, '\n', text.len);
		struct berth_text line = { text.ptr, newline ? (size_t)(newline - text.ptr) : 0 };

		FUZZ_CHECK(newline && !memchr(line.ptr, '\r', line.len) && !memchr(line.ptr, '\0', line.len));
		if (line.len > 0 && !begins_with(line, "id: ") && !begins_with(line, "event: ") && !begins_with(line, "data: {"))
			fuzz_wrong("a line of its own: %.*s", (int)line.len, line.ptr);
		if (begins_with(line, "data: "))
			fuzz_check_answer((struct berth_text){ line.ptr + 6, line.len - 6 });
		n += line.len == 0;
		text.ptr += line.len + 1;
		text.len -= line.len + 1;
	}
	return n;
}

static void check_made(struct fuzz *fuzz)
{
	struct buffer answer = { 0 };
	char next[BERTH_CURSOR_MAX];
	struct berth_text cursor;
	struct page page;
	size_t n = make_answer(fuzz, &answer, next, &cursor);

	fuzz_check_answer((struct berth_text){ answer.data, answer.len });
	FUZZ_CHECK(page_read(&page, (struct berth_text){ answer.data, answer.len }));
	FUZZ_CHECK(count_events((struct berth_text){ page.text.data, page.text.len }) == n);
	FUZZ_CHECK(text_is(cursor, page.cursor));
	buffer_fini(&page.text);
	page_write_end(&page.text, (struct berth_text){ answer.data, answer.len });
	FUZZ_CHECK(count_events((struct berth_text){ page.text.data, page.text.len }) == 1);
	buffer_fini(&page.text);
	buffer_fini(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz fuzz = { data, size };
	struct page page;

	if (size > 0 && *data == '{') {
		if (page_read(&page, (struct berth_text){ (const char *)data, size }))
			FUZZ_CHECK(strlen(page.cursor) <= BERTH_CURSOR_MAX);
		buffer_fini(&page.text);
	} else {
		check_made(&fuzz);
	}
	return 0;
}
