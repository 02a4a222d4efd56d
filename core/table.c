/* SPDX-License-Identifier: MIT */
/*
 * Cells are taken from the answer by the path of their key; which paths make up a
 * table is data. A column is either whole, as identifiers and states are, or gives
 * way where the terminal is too narrow; where the whole ones alone are too wide, the
 * others go on a line of their own below.
 */
#include "config.h"

#include "core/table.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

#include "core/cleanup.h"
#include "core/text.h"
#include "inline/json_reader.h"

enum {
	COLUMNS_MAX = 8,
	GAP = 2,
	SHRUNK_MIN = 8, /* a column that gives way keeps this much */
};

struct column {
	const char *title, *path;
	bool whole;
};

struct layout {
	const char *items; /* key of the list; NULL: the answer is one item */
	struct column columns[COLUMNS_MAX];
	const char *empty; /* said where there are no items */
	const char *group; /* a path: items with the same value there stand below it; may be NULL */
};

static const struct layout layouts[] = {
	[TABLE_RUNTIMES] = { .items = "items", .columns = {
		{ "RUNTIME", "runtime_id", true },
		{ "KIND", "kind", true },
		{ "STATUS", "status", true },
		{ "LABEL", "label", false },
	}, .empty = "no runtimes" },
	[TABLE_HOSTS] = { .items = "items", .columns = {
		{ "HOST", "host_id", true },
		{ "STATUS", "status", true },
		{ "LABEL", "label", false },
	}, .empty = "no hosts", .group = "runtime_id" },
	[TABLE_WORKERS] = { .items = "items", .columns = {
		{ "WORKER", "worker_id", true },
		{ "STATE", "state", true },
		{ "ROLE", "role", false },
		{ "LABEL", "label", false },
	}, .empty = "no workers", .group = "runtime_id" },
	[TABLE_WORKER] = { .columns = {
		{ "runtime", "runtime_id", true },
		{ "worker", "worker_id", true },
		{ "host", "host_id", true },
		{ "label", "label", true },
		{ "role", "role", true },
		{ "profile", "profile", true },
		{ "state", "state", true },
		{ "status", "status", true },
	} },
	[TABLE_SPAWN] = { .columns = {
		{ "state", "state", true },
		{ "runtime", "worker.runtime_id", true },
		{ "worker", "worker.worker_id", true },
		{ "host", "worker.host_id", true },
		{ "role", "worker.role", true },
		{ "profile", "worker.profile", true },
	} },
	[TABLE_STATE] = { .columns = {
		{ "state", "state", true },
		{ "runtime", "runtime_id", true },
		{ "worker", "worker_id", true },
		{ "sequence", "transcript_sequence", true },
		{ "event", "event_id", true },
	} },
	[TABLE_TRANSCRIPT] = { .items = "items", .columns = {
		{ "SEQUENCE", "sequence", true },
		{ "ROLE", "role", true },
		{ "CONTENT", "content", true },
	}, .empty = "no items" },
	[TABLE_CONNECT_POINTS] = { .items = "items", .columns = {
		{ "KIND", "kind", true },
		{ "STATUS", "status", true },
	}, .empty = "no connect points" },
	[TABLE_EVENTS] = { .items = "items", .columns = {
		{ "EVENT", "event_id", true },
		{ "TIME", "occurred_at", false },
		{ "KIND", "kind", true },
		{ "WORKER", "worker_id", true },
		{ "SEQUENCE", "transcript_sequence", true },
	}, .empty = "no events" },
	[TABLE_ADAPTERS] = { .items = "adapters", .columns = {
		{ "NAME", "name", true },
		{ "STATE", "state", true },
		{ "VERSION", "version", true },
		{ "ABI", "abi", true },
		{ "RUNTIME", "runtime_id", true },
	}, .empty = "no adapters" },
	[TABLE_STAMP] = { .columns = {
		{ "adapter", "stamp.adapter", true },
		{ "version", "stamp.version", true },
		{ "abi", "stamp.abi", true },
		{ "needs", "stamp.abi_needed", true },
		{ "threading", "stamp.threading", true },
	} },
	/* Its rows are members, so they have no paths. */
	[TABLE_CONFIG] = { .columns = { { NULL, NULL, false } } },
};

/* What stands below a stamp. */
static const struct layout stamp_options = { .items = "options", .columns = {
	{ "OPTION", "name", true },
	{ "TYPE", "type", true },
	{ "DEFAULT", "default", true },
	{ "HELP", "help", false },
}, .empty = "no options" };

/* ---- Taking values out of the answer ---- */

static bool find_key(struct json_reader *r, const char *path, struct json_slice *value)
{
	size_t len = strcspn(path, ".");
	char name[64];
	struct json_slice key;

	snprintf(name, sizeof name, "%.*s", (int)len, path);
	if (json_peek(r) != JSON_OBJECT || !json_enter_object(r))
		return false;
	while (json_next_member(r, &key)) {
		if (!json_string_is(&key, name)) {
			json_skip(r);
			continue;
		}
		return path[len] ? find_key(r, path + len + 1, value) : json_read_raw(r, value);
	}
	return false;
}

struct berth_text table_find(struct berth_text object, const char *path)
{
	static const struct berth_text absent;
	struct json_slice value;
	struct json_reader r;

	json_open(&r, object.ptr, object.len);
	if (!find_key(&r, path, &value) || (value.len == 4 && memcmp(value.ptr, "null", 4) == 0))
		return absent;
	return (struct berth_text){ value.ptr, value.len };
}

/* ---- Cells ---- */

/* Characters that would change how a line is read. */
static bool is_bidirectional(uint32_t code)
{
	return code == 0x061c || code == 0x200e || code == 0x200f || (code >= 0x202a && code <= 0x202e) ||
	       (code >= 0x2066 && code <= 0x2069);
}

/* Appends a code point, escaped where it must not be printed. Returns its width. */
static size_t write_code(struct buffer *out, uint32_t code)
{
	char text[16];
	int width;
	size_t len;

	if (code == '\n' || code == '\t') {
		buffer_append(out, code == '\n' ? "\\n" : "\\t", 2);
		return 2;
	}
	width = wcwidth((wchar_t)code);
	if (unicode_is_control(code) || is_bidirectional(code) || code == 0x2028 || code == 0x2029 || width < 0) {
		len = (size_t)snprintf(text, sizeof text, "\\u{%x}", (unsigned)code);
		buffer_append(out, text, len);
		return len;
	}
	buffer_append(out, text, utf8_encode(code, text));
	return (size_t)width;
}

/* The code point at p of what a string or any other value shows. */
static size_t next_code(struct json_reader *r, uint32_t *codep)
{
	const char *begin = r->p;

	if (*r->p != '\\')
		r->p += utf8_decode(r->p, (size_t)(r->end - r->p), codep);
	else if (r->p++, !json_read_escape(r, codep))
		r->p = r->end;
	return (size_t)(r->p - begin);
}

/* Appends what a value shows, at most max columns wide, with an ellipsis where it
 * is cut. Returns its width. */
static size_t write_cell(struct buffer *out, struct berth_text value, size_t max)
{
	size_t width = 0, room = 0, mark = out->len;
	struct json_reader r;
	uint32_t code = 0;

	if (!value.ptr)
		value = (struct berth_text)BERTH_TEXT("-");
	if (value.len >= 2 && value.ptr[0] == '"')
		value = (struct berth_text){ value.ptr + 1, value.len - 2 };
	json_open(&r, value.ptr, value.len);
	while (r.p < r.end && next_code(&r, &code) > 0) {
		width += write_code(out, code);
		if (width > max) {
			/* Back to where the ellipsis fits. */
			buffer_cut(out, mark);
			buffer_append_string(out, "\xe2\x80\xa6");
			return room + 1;
		}
		if (width + 1 <= max) {
			mark = out->len;
			room = width;
		}
	}
	return width;
}

static void write_spaces(struct buffer *out, size_t n)
{
	while (n-- > 0)
		buffer_append_char(out, ' ');
}

/* ---- Tables ---- */

struct row {
	struct berth_text cells[COLUMNS_MAX], group;
};

struct table {
	const struct layout *layout;
	size_t n_columns, widths[COLUMNS_MAX];
	struct row *rows;
	size_t n_rows, size;
	bool stacked; /* the columns that give way stand on a second line */
};

static size_t width_of(struct berth_text value)
{
	struct buffer scratch = { 0 };
	size_t width = write_cell(&scratch, value, SIZE_MAX);

	buffer_fini(&scratch);
	return width;
}

static bool add_row(struct table *table, struct berth_text item)
{
	struct row *row;

	if (table->n_rows == table->size) {
		size_t size = table->size ? table->size * 2 : 64;
		struct row *rows = reallocarray(table->rows, size, sizeof *rows);

		if (!rows)
			return false;
		table->rows = rows;
		table->size = size;
	}
	row = &table->rows[table->n_rows++];
	row->group = table->layout->group ? table_find(item, table->layout->group) : berth_text(NULL);
	for (size_t i = 0; i < table->n_columns; i++) {
		size_t width;

		row->cells[i] = table_find(item, table->layout->columns[i].path);
		width = width_of(row->cells[i]);
		if (width > table->widths[i])
			table->widths[i] = width;
	}
	return true;
}

static size_t sum_widths(const struct table *table, bool whole, bool others)
{
	size_t sum = 0;

	for (size_t i = 0; i < table->n_columns; i++)
		if (table->layout->columns[i].whole ? whole : others)
			sum += table->widths[i] + GAP;
	return sum > 0 ? sum - GAP : 0;
}

/* Makes the columns that give way narrower, the widest first, or stacks them. */
static void fit(struct table *table, size_t columns)
{
	size_t all = sum_widths(table, true, true);

	while (all > columns) {
		size_t widest = table->n_columns;

		for (size_t i = 0; i < table->n_columns; i++)
			if (!table->layout->columns[i].whole && table->widths[i] > SHRUNK_MIN &&
			    (widest == table->n_columns || table->widths[i] > table->widths[widest]))
				widest = i;
		if (widest == table->n_columns) {
			table->stacked = sum_widths(table, false, true) > 0;
			return;
		}
		table->widths[widest]--;
		all--;
	}
}

/* Writes the cells of a line, padded but for the last. */
static void write_line(struct buffer *out, const struct table *table, const struct berth_text *cells, bool whole,
		       bool others)
{
	size_t pad = 0;

	for (size_t i = 0; i < table->n_columns; i++) {
		size_t width = table->widths[i], written;

		if (!(table->layout->columns[i].whole ? whole : others))
			continue;
		write_spaces(out, pad);
		written = write_cell(out, cells[i], table->layout->columns[i].whole ? SIZE_MAX : width);
		pad = (written < width ? width - written : 0) + GAP;
	}
	buffer_append_char(out, '\n');
}

static void write_row(struct buffer *out, const struct table *table, const struct berth_text *cells)
{
	size_t indent = table->layout->group ? GAP : 0;

	write_spaces(out, indent);
	write_line(out, table, cells, true, !table->stacked);
	if (!table->stacked)
		return;
	write_spaces(out, indent + 2 * GAP);
	write_line(out, table, cells, false, true);
}

/* The rows, those of a group below its name. */
static void write_rows(struct buffer *out, const struct table *table)
{
	struct berth_text group = { NULL, 0 };

	for (size_t i = 0; i < table->n_rows; i++) {
		const struct row *row = &table->rows[i];

		if (row->group.ptr && !(group.ptr && text_equal(group, row->group))) {
			write_cell(out, row->group, SIZE_MAX);
			buffer_append_char(out, '\n');
		}
		group = row->group;
		write_row(out, table, row->cells);
	}
}

static void write_list(struct buffer *out, const struct layout *layout, struct berth_text answer, size_t columns)
{
	struct table table = { .layout = layout };
	struct berth_text titles[COLUMNS_MAX], list = table_find(answer, layout->items);
	struct json_slice item;
	struct json_reader r;

	while (table.n_columns < COLUMNS_MAX && layout->columns[table.n_columns].title) {
		titles[table.n_columns] = berth_text(layout->columns[table.n_columns].title);
		table.widths[table.n_columns] = titles[table.n_columns].len;
		table.n_columns++;
	}
	json_open(&r, list.ptr, list.len);
	if (list.ptr && json_enter_array(&r))
		while (json_next_element(&r) && json_read_raw(&r, &item))
			if (!add_row(&table, (struct berth_text){ item.ptr, item.len }))
				out->failed = true;
	if (table.n_rows == 0) {
		buffer_append_string(out, layout->empty);
		buffer_append_char(out, '\n');
	} else {
		fit(&table, columns - (layout->group ? GAP : 0));
		write_row(out, &table, titles);
		write_rows(out, &table);
	}
	free(table.rows);
}

/* One item, a key and its value a line; what is not there is left out. */
static void write_item(struct buffer *out, const struct layout *layout, struct berth_text answer)
{
	enum { KEY_WIDTH = 10 };

	for (size_t i = 0; i < COLUMNS_MAX && layout->columns[i].title; i++) {
		struct berth_text value = table_find(answer, layout->columns[i].path);

		if (!value.ptr)
			continue;
		write_spaces(out, KEY_WIDTH - write_cell(out, berth_text(layout->columns[i].title), KEY_WIDTH));
		write_cell(out, value, SIZE_MAX);
		buffer_append_char(out, '\n');
	}
}

/* ---- What stands below ---- */

/* The width of text that has been made fit to be printed. */
static size_t printed_width(const char *p, size_t len)
{
	size_t width = 0;
	uint32_t code;

	for (size_t i = 0, n; i < len && (n = utf8_decode(p + i, len - i, &code)) > 0; i += n)
		width += (size_t)wcwidth((wchar_t)code);
	return width;
}

/* Appends a line that is fit to be printed, broken at spaces where it is wider than
 * columns. */
static void write_wrapped(struct buffer *out, struct berth_text line, size_t columns)
{
	enum { INDENT = 4 };
	size_t width = 0;

	for (size_t i = 0; i < line.len;) {
		const char *space = memchr(line.ptr + i, ' ', line.len - i);
		size_t end = space ? (size_t)(space - line.ptr) : line.len;
		size_t len = printed_width(line.ptr + i, end - i);

		if (width > 0 && width + 1 + len > columns) {
			buffer_append_char(out, '\n');
			write_spaces(out, INDENT);
			width = INDENT;
		} else if (width > 0) {
			buffer_append_char(out, ' ');
			width++;
		}
		buffer_append(out, line.ptr + i, end - i);
		width += len;
		i = end + 1;
	}
	buffer_append_char(out, '\n');
}

/* Appends parts with ": " between; what is absent is left out. */
static void write_parts(struct buffer *out, const struct berth_text *parts, size_t n)
{
	bool first = true;

	for (size_t i = 0; i < n; i++) {
		if (!parts[i].ptr)
			continue;
		if (!first)
			buffer_append_string(out, ": ");
		write_cell(out, parts[i], SIZE_MAX);
		first = false;
	}
}

/* A note for each object of a list, a label and two of its members; equal ones that
 * follow each other are counted. */
struct note {
	const char *list, *label; /* a path, or the label itself where there is none */
	const char *code, *text;
};

static void write_note(struct buffer *out, const struct note *note, struct berth_text object, unsigned times,
		       size_t columns)
{
	struct berth_text label = table_find(object, note->label);
	const struct berth_text parts[] = {
		label.ptr ? label : berth_text(note->label),
		table_find(object, note->code),
		table_find(object, note->text),
	};
	struct buffer line = { 0 };
	char count[32];

	write_parts(&line, parts, 3);
	if (times > 1) {
		snprintf(count, sizeof count, " (%u times)", times);
		buffer_append_string(&line, count);
	}
	write_wrapped(out, (struct berth_text){ line.data, line.len }, columns);
	buffer_fini(&line);
}

static void write_notes(struct buffer *out, const struct note *note, struct berth_text answer, size_t columns)
{
	struct berth_text list = table_find(answer, note->list), last = { NULL, 0 };
	struct json_slice item;
	struct json_reader r;
	unsigned times = 0;

	json_open(&r, list.ptr, list.len);
	if (!list.ptr || !json_enter_array(&r))
		return;
	while (json_next_element(&r) && json_read_raw(&r, &item)) {
		struct berth_text object = { item.ptr, item.len };

		if (times > 0 && !text_equal(object, last)) {
			write_note(out, note, last, times, columns);
			times = 0;
		}
		last = object;
		times++;
	}
	if (times > 0)
		write_note(out, note, last, times, columns);
}

static void write_transcript_end(struct buffer *out, struct berth_text answer)
{
	struct berth_text total = table_find(answer, "total_items"), next = table_find(answer, "next_start");

	write_cell(out, total, SIZE_MAX);
	buffer_append_string(out, " in all");
	if (next.ptr) {
		buffer_append_string(out, ", more from --start ");
		write_cell(out, next, SIZE_MAX);
	}
	buffer_append_char(out, '\n');
}

static void write_events_end(struct buffer *out, struct berth_text answer)
{
	struct berth_text next = table_find(answer, "next_cursor");

	if (!next.ptr)
		return;
	buffer_append_string(out, text_is(table_find(answer, "more"), "true") ? "more from --cursor " :
										"later ones from --cursor ");
	write_cell(out, next, SIZE_MAX);
	buffer_append_char(out, '\n');
}

static void write_failure(struct buffer *out, struct berth_text entry, struct berth_text failure, size_t columns)
{
	const struct berth_text parts[] = {
		table_find(entry, "name"),
		table_find(entry, "file"),
		table_find(failure, "code"),
	};
	struct buffer line = { 0 };

	write_parts(&line, parts, 3);
	buffer_append_string(&line, ": expected ");
	write_cell(&line, table_find(failure, "expected"), SIZE_MAX);
	buffer_append_string(&line, ", found ");
	write_cell(&line, table_find(failure, "found"), SIZE_MAX);
	buffer_append_string(&line, "; ");
	write_cell(&line, table_find(failure, "hint"), SIZE_MAX);
	write_wrapped(out, (struct berth_text){ line.data, line.len }, columns);
	buffer_fini(&line);
}

/* Why adapters are not there. */
static void write_failures(struct buffer *out, struct berth_text answer, size_t columns)
{
	struct berth_text list = table_find(answer, "adapters");
	struct json_slice entry, failure;
	struct json_reader r, inner;

	json_open(&r, list.ptr, list.len);
	if (!list.ptr || !json_enter_array(&r))
		return;
	while (json_next_element(&r) && json_read_raw(&r, &entry)) {
		struct berth_text object = { entry.ptr, entry.len }, failures = table_find(object, "failures");

		json_open(&inner, failures.ptr, failures.len);
		if (failures.ptr && json_enter_array(&inner))
			while (json_next_element(&inner) && json_read_raw(&inner, &failure))
				write_failure(out, object, (struct berth_text){ failure.ptr, failure.len }, columns);
	}
}

/* A setting a line: its value, and behind it where that comes from. */
static void write_settings(struct buffer *out, struct berth_text answer)
{
	enum { KEY_WIDTH = 18 };
	struct berth_text settings = table_find(answer, "settings");
	struct json_slice key, setting;
	struct json_reader r;

	json_open(&r, settings.ptr, settings.len);
	if (!settings.ptr || !json_enter_object(&r))
		return;
	while (json_next_member(&r, &key) && json_read_raw(&r, &setting)) {
		struct berth_text object = { setting.ptr, setting.len };
		size_t width = write_cell(out, (struct berth_text){ key.ptr, key.len }, SIZE_MAX);

		write_spaces(out, width < KEY_WIDTH ? KEY_WIDTH - width : 1);
		write_cell(out, table_find(object, "value"), SIZE_MAX);
		buffer_append_string(out, "  (");
		write_cell(out, table_find(object, "origin"), SIZE_MAX);
		buffer_append_string(out, ")\n");
	}
}

/* Widths are those of UTF-8, whatever the locale of the user. */
static locale_t use_utf8(locale_t *ownp)
{
	*ownp = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	return *ownp ? uselocale(*ownp) : (locale_t)0;
}

static void use_back(locale_t before, locale_t own)
{
	if (!own)
		return;
	uselocale(before);
	freelocale(own);
}

void table_write(struct buffer *out, enum table_kind kind, struct berth_text answer, size_t columns)
{
	static const struct note evidence = { "acceptance_evidence", "evidence", "kind", "detail" };
	static const struct note diagnostics = { "diagnostics", "severity", "code", "message" };
	const struct layout *layout = &layouts[kind];
	locale_t own, before = use_utf8(&own);

	if (layout->items)
		write_list(out, layout, answer, columns);
	else
		write_item(out, layout, answer);
	if (kind == TABLE_TRANSCRIPT)
		write_transcript_end(out, answer);
	if (kind == TABLE_EVENTS)
		write_events_end(out, answer);
	if (kind == TABLE_ADAPTERS)
		write_failures(out, answer, columns);
	if (kind == TABLE_STAMP)
		write_list(out, &stamp_options, answer, columns);
	if (kind == TABLE_CONFIG)
		write_settings(out, answer);
	write_notes(out, &evidence, answer, columns);
	write_notes(out, &diagnostics, answer, columns);
	use_back(before, own);
}

void table_write_failures(struct buffer *out, struct berth_text answer)
{
	locale_t own, before = use_utf8(&own);

	write_failures(out, answer, SIZE_MAX);
	use_back(before, own);
}

void table_write_text(struct buffer *out, struct berth_text text)
{
	locale_t own, before = use_utf8(&own);

	for (size_t i = 0, n; i < text.len; i += n) {
		uint32_t code = '?';

		n = utf8_decode(text.ptr + i, text.len - i, &code);
		if (n == 0)
			n = 1;
		write_code(out, code);
	}
	use_back(before, own);
}

/* What would be right. */
static const struct {
	const char *kind, *hint;
} error_hints[] = {
	{ "\"invalid_identifier\"", "1 to 120 of A-Z a-z 0-9 - _ : are expected" },
	{ "\"unknown_runtime\"", "berth runtimes lists those that are there" },
	{ "\"unknown_host\"", "berth hosts lists those that are there" },
	{ "\"unknown_worker\"", "berth workers lists those that are there" },
};

void table_write_error(struct buffer *out, struct berth_text answer)
{
	struct berth_text error = table_find(answer, "error");
	const struct berth_text parts[] = {
		table_find(error, "kind"),	 table_find(error, "identifier_kind"), table_find(error, "value"),
		table_find(error, "runtime_id"), table_find(error, "host_id"),	       table_find(error, "worker_id"),
		table_find(error, "message"),
	};
	locale_t own, before = use_utf8(&own);

	write_parts(out, parts, sizeof parts / sizeof *parts);
	for (size_t i = 0; i < sizeof error_hints / sizeof *error_hints; i++)
		if (text_is(parts[0], error_hints[i].kind)) {
			buffer_append_string(out, "; ");
			buffer_append_string(out, error_hints[i].hint);
		}
	use_back(before, own);
}
