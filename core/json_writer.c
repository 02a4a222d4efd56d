/* SPDX-License-Identifier: MIT */
/* Every text of an answer comes through json_write_string, so it is the place
 * where texts of plugins are checked for UTF-8 and where speed is won: what is plain
 * is copied in blocks. */
#include "config.h"

#include "core/json_writer.h"

#include <stdio.h>
#include <time.h>

#include "inline/block.h"
#include "inline/utf8.h"

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

/* Writes the first character of a text that is not empty, and moves to the next. */
static bool write_character(struct buffer *out, const char **pp, const char *end)
{
	char *q = buffer_reserve(out, 6);
	uint32_t code;
	size_t n;

	if ((unsigned char)**pp < 0x80) {
		if (q)
			out->len += write_escape(q, (unsigned char)**pp);
		(*pp)++;
		return true;
	}
	n = utf8_decode(*pp, (size_t)(end - *pp), &code);
	buffer_append(out, *pp, n);
	*pp += n;
	return n > 0;
}

/* Writes the rest of a string, from where it is not plain. */
__attribute__((noinline))
static bool write_rest(struct buffer *out, const char *p, const char *end)
{
	while (p < end) {
		char *q = buffer_reserve(out, (size_t)(end - p));
		size_t n = q ? block_copy(q, p, (size_t)(end - p), block_not_plain) : 0;

		out->len += n;
		p += n;
		if (p == end)
			break;
		/* What is not ASCII is rarely alone. */
		do
			if (!write_character(out, &p, end))
				return false;
		while (p < end && (signed char)*p < 0);
	}
	buffer_append_char(out, '"');
	return true;
}

bool json_write_string(struct buffer *out, struct berth_text text)
{
	char *q = buffer_reserve(out, text.len + 2);
	size_t mark = out->len, n = 0;

	if (!q)
		return true;
	*q = '"';
	n = block_copy(q + 1, text.ptr, text.len, block_not_plain);
	out->len += n + 1;
	if (n == text.len) {
		q[n + 1] = '"';
		out->len++;
		return true;
	}
	if (write_rest(out, text.ptr + n, text.ptr + text.len))
		return true;
	buffer_cut(out, mark);
	return false;
}

const char json_pairs[] =
	"00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051"
	"525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

size_t json_put_large(char *to, uint64_t value)
{
	const uint64_t high = value / 10000;
	const uint32_t low = (uint32_t)(value - high * 10000);
	size_t n = json_put_u64(to, high);

	json_put_pair(to + n, low / 100);
	json_put_pair(to + n + 2, low % 100);
	return n + 4;
}

void json_write_u64(struct buffer *out, uint64_t value)
{
	char *q = buffer_reserve(out, JSON_U64_ROOM);

	if (q)
		out->len += json_put_u64(q, value);
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
