/* SPDX-License-Identifier: MIT */
/*
 * A strict JSON reader: RFC 8259 to the letter, in one pass, without allocating.
 *
 * Worker records and requests are untrusted and must be read exactly: a general
 * library lets doubled keys, trailing text, control characters or 1e999 pass and
 * holds 64-bit integers as doubles. Here strings and numbers are slices of the
 * text, nesting ends at JSON_DEPTH_MAX levels, and no byte counts as read that has
 * not been checked.
 *
 *	json_open(&r, text, len);
 *	if (json_enter_object(&r))
 *		while (json_next_member(&r, &key))
 *			if (json_string_is(&key, "name"))
 *				json_read_string(&r, &name);
 *			else
 *				json_skip(&r);
 *	if (!json_close(&r))
 *		report(r.error, json_offset(&r));
 *
 * Every function returns false, and stays where it is, once r->error is set; so
 * checking once at the end is enough.
 */
#ifndef BERTH_INLINE_JSON_READER_H
#define BERTH_INLINE_JSON_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "inline/block.h"
#include "inline/utf8.h"

#define JSON_DEPTH_MAX 127

enum json_type {
	JSON_INVALID,
	JSON_NULL,
	JSON_BOOLEAN,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

/* A slice of the text being read: of a string what stands between the quotes. */
struct json_slice {
	const char *ptr;
	size_t len;
	bool escaped; /* a string that has escapes: json_unescape it */
};

struct json_reader {
	const char *text, *p, *end;
	const char *error; /* NULL, or a phrase that says what is wrong */
	unsigned depth;
	bool first; /* no member or element of the container has been read */
};

static inline void json_open(struct json_reader *r, const char *text, size_t len)
{
	/* Nothing at all may come as NULL, which no pointer can be made from. */
	if (!text)
		text = "";
	*r = (struct json_reader){ .text = text, .p = text, .end = text + len };
}

/* How many bytes have been read; after an error, where it is. */
static inline size_t json_offset(const struct json_reader *r)
{
	return (size_t)(r->p - r->text);
}

static inline bool json_fail(struct json_reader *r, const char *error)
{
	if (!r->error)
		r->error = error;
	return false;
}

static inline void json_skip_space(struct json_reader *r)
{
	while (r->p < r->end && (unsigned char)*r->p <= ' ' &&
	       (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t'))
		r->p++;
}

/* The type of the next value, which stays unread. */
static inline enum json_type json_peek(struct json_reader *r)
{
	static const unsigned char types[256] = {
		['{'] = JSON_OBJECT, ['['] = JSON_ARRAY, ['"'] = JSON_STRING, ['t'] = JSON_BOOLEAN, ['f'] = JSON_BOOLEAN,
		['n'] = JSON_NULL, ['-'] = JSON_NUMBER, ['0'] = JSON_NUMBER, ['1'] = JSON_NUMBER, ['2'] = JSON_NUMBER,
		['3'] = JSON_NUMBER, ['4'] = JSON_NUMBER, ['5'] = JSON_NUMBER, ['6'] = JSON_NUMBER, ['7'] = JSON_NUMBER,
		['8'] = JSON_NUMBER, ['9'] = JSON_NUMBER,
	};
	enum json_type type;

	if (r->error)
		return JSON_INVALID;
	json_skip_space(r);
	if (r->p == r->end) {
		json_fail(r, "a value is missing at the end");
		return JSON_INVALID;
	}
	type = (enum json_type)types[(unsigned char)*r->p];
	if (type == JSON_INVALID)
		json_fail(r, "a value does not begin like this");
	return type;
}

static inline bool json_expect(struct json_reader *r, enum json_type type, const char *error)
{
	if (r->error)
		return false;
	if (json_peek(r) != type)
		return json_fail(r, error);
	return true;
}

/* ---- Strings ---- */

/* The value of a hex digit; 16 for anything else. */
static inline uint32_t json_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (uint32_t)(c - '0');
	if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
		return (uint32_t)((c | 0x20) - 'a') + 10;
	return 16;
}

static inline bool json_hex4(struct json_reader *r, uint32_t *codep)
{
	uint32_t code = 0;

	if (r->end - r->p < 4)
		return json_fail(r, "\\u needs four hex digits");
	for (int i = 0; i < 4; i++, r->p++) {
		uint32_t digit = json_hex_digit(*r->p);

		if (digit == 16)
			return json_fail(r, "\\u needs four hex digits");
		code = code << 4 | digit;
	}
	*codep = code;
	return true;
}

/* Reads an escape, behind its backslash. */
static inline bool json_read_escape(struct json_reader *r, uint32_t *codep)
{
	static const char names[] = "\"\\/bfnrt", codes[] = "\"\\/\b\f\n\r\t";
	const char *name;
	uint32_t low = 0;

	if (r->p == r->end)
		return json_fail(r, "a string does not end");
	if (*r->p != 'u') {
		name = *r->p ? strchr(names, *r->p) : NULL;
		if (!name)
			return json_fail(r, "no such escape");
		*codep = (unsigned char)codes[name - names];
		r->p++;
		return true;
	}
	r->p++;
	if (!json_hex4(r, codep))
		return false;
	if (*codep < 0xd800 || *codep > 0xdfff)
		return true;
	if (*codep > 0xdbff || r->end - r->p < 2 || r->p[0] != '\\' || r->p[1] != 'u')
		return json_fail(r, "a lone surrogate");
	r->p += 2;
	if (!json_hex4(r, &low))
		return false;
	if (low < 0xdc00 || low > 0xdfff)
		return json_fail(r, "a lone surrogate");
	*codep = 0x10000 + ((*codep & 0x3ff) << 10 | (low & 0x3ff));
	return true;
}

/* Over what is plain, but for a few bytes at the end of the whole text. */
static inline const char *json_skip_plain(const char *p, const char *end)
{
	for (; end - p >= BLOCK_SIZE; p += BLOCK_SIZE) {
		block_bytes special = block_not_plain(block_load(p));

		if (block_any(special))
			return p + block_first(special);
	}
	return p;
}

/* Reads on in a string that is not plain up to its end. */
__attribute__((noinline, unused))
static bool json_read_rest(struct json_reader *r, const char *begin, struct json_slice *slice)
{
	bool escaped = false;
	uint32_t code = 0;

	for (;; r->p = json_skip_plain(r->p, r->end)) {
		if (r->p == r->end)
			return json_fail(r, "a string does not end");
		if (*r->p == '"')
			break;
		if (*r->p == '\\') {
			escaped = true;
			r->p++;
			if (!json_read_escape(r, &code))
				return false;
		} else if ((unsigned char)*r->p < 0x20) {
			return json_fail(r, "a control character stands in a string");
		} else {
			size_t n = utf8_decode(r->p, (size_t)(r->end - r->p), &code);

			if (n == 0)
				return json_fail(r, "not UTF-8");
			r->p += n;
		}
	}
	*slice = (struct json_slice){ begin, (size_t)(r->p - begin), escaped };
	r->p++;
	r->first = false;
	return true;
}

static inline bool json_read_string(struct json_reader *r, struct json_slice *slice)
{
	const char *begin, *end;

	if (!json_expect(r, JSON_STRING, "a string is expected"))
		return false;
	begin = r->p + 1;
	end = json_skip_plain(begin, r->end);
	r->p = end;
	if (end == r->end || *end != '"')
		return json_read_rest(r, begin, slice);
	r->p++;
	r->first = false;
	*slice = (struct json_slice){ begin, (size_t)(end - begin), false };
	return true;
}

/* Writes what a string slice means into out, which has room for slice->len bytes.
 * Returns the length. The slice came from json_read_string. */
static inline size_t json_unescape(const struct json_slice *slice, char *out)
{
	struct json_reader r;
	uint32_t code;
	size_t n = 0;

	json_open(&r, slice->ptr, slice->len);
	while (r.p < r.end) {
		if (*r.p != '\\') {
			out[n++] = *r.p++;
			continue;
		}
		r.p++;
		if (!json_read_escape(&r, &code))
			break;
		n += utf8_encode(code, out + n);
	}
	return n;
}

/* Whether a string slice means the C string name, of at most 40 bytes. */
static inline bool json_string_is(const struct json_slice *slice, const char *name)
{
	size_t len = strlen(name);
	char plain[240];

	if (!slice->escaped)
		return slice->len == len && memcmp(slice->ptr, name, len) == 0;
	/* An escape has at most six bytes for each that it means. */
	if (slice->len > 6 * len || slice->len > sizeof plain)
		return false;
	return json_unescape(slice, plain) == len && memcmp(plain, name, len) == 0;
}

/* ---- Numbers ---- */

static inline bool json_is_digit(const struct json_reader *r)
{
	return r->p < r->end && *r->p >= '0' && *r->p <= '9';
}

/* Whether a number that has the form of one lies within the range of a double. The
 * first 320 significant digits decide: the border is a whole number of 309. */
static inline bool json_in_range(const char *p, const char *end)
{
	char digits[352] = "0.";
	size_t n = 2;
	long exponent = 0, point = 0, sign = 1;
	bool behind = false;

	for (; p < end && *p != 'e' && *p != 'E'; p++) {
		if (*p == '.') {
			behind = true;
		} else if (*p != '-') {
			if (n == 2 && *p == '0') {
				point -= behind;
				continue;
			}
			if (n < 322)
				digits[n++] = *p;
			point += !behind;
		}
	}
	if (n == 2)
		return true;
	if (p < end) {
		p++;
		if (*p == '-' || *p == '+')
			sign = *p++ == '-' ? -1 : 1;
		for (; p < end; p++)
			if (exponent < 1000000000)
				exponent = exponent * 10 + (*p - '0');
	}
	point += sign * exponent;
	if (point != 309)
		return point < 309;
	memcpy(digits + n, "e309", 5);
	return strtod(digits, NULL) <= 1.7976931348623157e308;
}

/* Reads a number; the slice is its text. */
static inline bool json_read_number(struct json_reader *r, struct json_slice *slice)
{
	const char *begin;
	bool large;

	if (!json_expect(r, JSON_NUMBER, "a number is expected"))
		return false;
	begin = r->p;
	if (*r->p == '-')
		r->p++;
	if (!json_is_digit(r))
		return json_fail(r, "a digit is expected");
	if (*r->p == '0') {
		r->p++;
		if (json_is_digit(r))
			return json_fail(r, "a number has a leading zero");
	}
	while (json_is_digit(r))
		r->p++;
	large = r->p - begin > 300;
	if (r->p < r->end && *r->p == '.') {
		r->p++;
		if (!json_is_digit(r))
			return json_fail(r, "a digit is expected");
		while (json_is_digit(r))
			r->p++;
	}
	if (r->p < r->end && (*r->p == 'e' || *r->p == 'E')) {
		large = true;
		r->p++;
		if (r->p < r->end && (*r->p == '+' || *r->p == '-'))
			r->p++;
		if (!json_is_digit(r))
			return json_fail(r, "a digit is expected");
		while (json_is_digit(r))
			r->p++;
	}
	if (large && !json_in_range(begin, r->p))
		return json_fail(r, "a number is beyond the range of a double");
	*slice = (struct json_slice){ begin, (size_t)(r->p - begin), false };
	r->first = false;
	return true;
}

/* Whether a number slice is a whole number from 0 to 2^64 - 1 without fraction,
 * exponent or sign; sets *valuep. */
static inline bool json_number_is_u64(const struct json_slice *slice, uint64_t *valuep)
{
	uint64_t value = 0;

	for (size_t i = 0; i < slice->len; i++) {
		uint64_t digit = (uint64_t)(unsigned char)slice->ptr[i] - '0';

		if (digit > 9 || value > (UINT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*valuep = value;
	return slice->len > 0;
}

/* ---- Literals ---- */

static inline bool json_read_word(struct json_reader *r, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(r->end - r->p) < len || memcmp(r->p, word, len) != 0)
		return json_fail(r, "a value does not begin like this");
	r->p += len;
	r->first = false;
	return true;
}

static inline bool json_read_null(struct json_reader *r)
{
	return json_expect(r, JSON_NULL, "null is expected") && json_read_word(r, "null");
}

static inline bool json_read_boolean(struct json_reader *r, bool *valuep)
{
	if (!json_expect(r, JSON_BOOLEAN, "true or false is expected"))
		return false;
	*valuep = *r->p == 't';
	return json_read_word(r, *valuep ? "true" : "false");
}

/* ---- Containers ---- */

static inline bool json_enter(struct json_reader *r)
{
	if (r->depth == JSON_DEPTH_MAX)
		return json_fail(r, "nested deeper than 127 levels");
	r->depth++;
	r->p++;
	r->first = true;
	return true;
}

static inline bool json_enter_object(struct json_reader *r)
{
	return json_expect(r, JSON_OBJECT, "an object is expected") && json_enter(r);
}

static inline bool json_enter_array(struct json_reader *r)
{
	return json_expect(r, JSON_ARRAY, "an array is expected") && json_enter(r);
}

/* Moves to the next value of the container; false behind the last, once closed. */
static inline bool json_next(struct json_reader *r, char close, const char *error)
{
	if (r->error)
		return false;
	json_skip_space(r);
	if (r->p == r->end)
		return json_fail(r, error);
	if (*r->p == close) {
		r->p++;
		r->depth--;
		r->first = false;
		return false;
	}
	if (r->first)
		return true;
	if (*r->p != ',')
		return json_fail(r, error);
	r->p++;
	return true;
}

/* Moves to the next element of the array that was entered; false behind the last. */
static inline bool json_next_element(struct json_reader *r)
{
	return json_next(r, ']', "] or , is expected");
}

/* Reads the next key of the object that was entered, up to its value; false behind
 * the last member. */
static inline bool json_next_member(struct json_reader *r, struct json_slice *key)
{
	if (!json_next(r, '}', "} or , is expected"))
		return false;
	json_skip_space(r);
	if (r->p == r->end || *r->p != '"')
		return json_fail(r, "a key is expected");
	if (!json_read_string(r, key))
		return false;
	json_skip_space(r);
	if (r->p == r->end || *r->p != ':')
		return json_fail(r, ": is expected");
	r->p++;
	return true;
}

/* Reads over a value of any type. Recurses, at most JSON_DEPTH_MAX deep. */
static inline bool json_skip(struct json_reader *r)
{
	struct json_slice slice;
	bool value;

	switch (json_peek(r)) {
	case JSON_OBJECT:
		if (json_enter_object(r))
			while (json_next_member(r, &slice))
				json_skip(r);
		break;
	case JSON_ARRAY:
		if (json_enter_array(r))
			while (json_next_element(r))
				json_skip(r);
		break;
	case JSON_STRING:
		json_read_string(r, &slice);
		break;
	case JSON_NUMBER:
		json_read_number(r, &slice);
		break;
	case JSON_BOOLEAN:
		json_read_boolean(r, &value);
		break;
	case JSON_NULL:
		json_read_null(r);
		break;
	case JSON_INVALID:
		break;
	}
	return r->error == NULL;
}

/* Reads over a value of any type and keeps where it stands. */
static inline bool json_read_raw(struct json_reader *r, struct json_slice *slice)
{
	const char *begin;

	if (json_peek(r) == JSON_INVALID)
		return false;
	begin = r->p;
	if (!json_skip(r))
		return false;
	*slice = (struct json_slice){ begin, (size_t)(r->p - begin), false };
	return true;
}

/* Ends the reading: true if all was well and nothing but white space is left. */
static inline bool json_close(struct json_reader *r)
{
	if (r->error)
		return false;
	json_skip_space(r);
	return r->p == r->end || json_fail(r, "text follows the value");
}

#endif
