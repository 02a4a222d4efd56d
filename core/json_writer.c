/* SPDX-License-Identifier: MIT */
/* Every text of an answer comes through json_write_string, so it is the place
 * where texts of plugins are checked for UTF-8 and where speed is won: clean ASCII
 * is copied eight bytes at a time. */
#include "config.h"

#include "core/json_writer.h"

#include <stdio.h>
#include <time.h>

#include "inline/json_reader.h"
#include "inline/utf8.h"

enum { PIECE = 1024 };

/* How an ASCII character is written; at most six bytes. */
static size_t write_escape(char *out, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	static const char names[0x20] = {
		['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't',
	};

	if (c >= 0x20 && c != '"' && c != '\\') {
		*out = (char)c;
		return 1;
	}
	out[0] = '\\';
	if (c >= 0x20 || names[c]) {
		out[1] = c >= 0x20 ? (char)c : names[c];
		return 2;
	}
	memcpy(out + 1, "u00", 3);
	out[4] = hex[c >> 4];
	out[5] = hex[c & 15];
	return 6;
}

bool json_write_string(struct buffer *out, struct berth_text text)
{
	const char *p = text.ptr, *end = p + text.len, *stop;
	size_t mark = out->len;
	uint32_t code;

	buffer_append_char(out, '"');
	while (p < end) {
		/* A piece at a time, because a byte can need six. What is copied behind
		 * stop fits in the 16 bytes added. */
		char *q = buffer_reserve(out, 6 * PIECE + 16);

		if (!q)
			return true;
		for (stop = end - p > PIECE ? p + PIECE : end; p < stop;) {
			uint64_t special = 1;

			while (stop - p >= 8 && (special = json_special(p)) == 0) {
				memcpy(q, p, 8);
				p += 8;
				q += 8;
			}
			if (p == stop)
				break;
			if (stop - p >= 8 && json_plain_bytes(special) > 0) {
				/* What is copied behind the plain ones is written again. */
				memcpy(q, p, 8);
				p += json_plain_bytes(special);
				q += json_plain_bytes(special);
			} else if ((unsigned char)*p < 0x80) {
				q += write_escape(q, (unsigned char)*p++);
			} else {
				size_t n = utf8_decode(p, (size_t)(end - p), &code);

				if (n == 0) {
					buffer_cut(out, mark);
					return false;
				}
				memcpy(q, p, n);
				p += n;
				q += n;
			}
		}
		out->len = (size_t)(q - out->data);
	}
	buffer_append_char(out, '"');
	return true;
}

void json_write_u64(struct buffer *out, uint64_t value)
{
	char digits[20], *p = digits + sizeof digits;

	do
		*--p = (char)('0' + value % 10);
	while (value /= 10);
	buffer_append(out, p, (size_t)(digits + sizeof digits - p));
}

void json_write_time(struct buffer *out, uint64_t ns_since_1970)
{
	time_t seconds = (time_t)(ns_since_1970 / 1000000000);
	unsigned ns = (unsigned)(ns_since_1970 % 1000000000);
	char text[64], fraction[16] = "";
	struct tm tm;

	gmtime_r(&seconds, &tm);
	if (ns % 1000000 == 0 && ns)
		snprintf(fraction, sizeof fraction, ".%03u", ns / 1000000);
	else if (ns % 1000 == 0 && ns)
		snprintf(fraction, sizeof fraction, ".%06u", ns / 1000);
	else if (ns)
		snprintf(fraction, sizeof fraction, ".%09u", ns);
	snprintf(text, sizeof text, "\"%04d-%02d-%02dT%02d:%02d:%02d%s+00:00\"", tm.tm_year + 1900,
		 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, fraction);
	buffer_append_string(out, text);
}
