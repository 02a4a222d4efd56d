/* SPDX-License-Identifier: MIT */
/*
 * UTF-8, strict: no overlong forms, no surrogates, nothing above U+10FFFF.
 *
 * The headers in include/inline are compiled into the host and into each plugin
 * that includes them. They are not installed and not part of the ABI.
 */
#ifndef BERTH_INLINE_UTF8_H
#define BERTH_INLINE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes the code point at p, with left > 0 bytes there. Returns its length in
 * bytes, 1 to 4, and sets *codep; returns 0 where the bytes are not UTF-8. */
static inline size_t utf8_decode(const char *p, size_t left, uint32_t *codep)
{
	const unsigned char *s = (const unsigned char *)p;

	if (s[0] < 0x80) {
		*codep = s[0];
		return 1;
	}
	if (s[0] < 0xc2 || s[0] > 0xf4 || left < 2 || (s[1] & 0xc0) != 0x80)
		return 0;
	if (s[0] < 0xe0) {
		*codep = (s[0] & 0x1fu) << 6 | (s[1] & 0x3fu);
		return 2;
	}
	if (left < 3 || (s[2] & 0xc0) != 0x80)
		return 0;
	if (s[0] < 0xf0) {
		*codep = (s[0] & 0xfu) << 12 | (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu);
		return *codep < 0x800 || (*codep >= 0xd800 && *codep <= 0xdfff) ? 0 : 3;
	}
	if (left < 4 || (s[3] & 0xc0) != 0x80)
		return 0;
	*codep = (s[0] & 0x7u) << 18 | (s[1] & 0x3fu) << 12 | (s[2] & 0x3fu) << 6 | (s[3] & 0x3fu);
	return *codep < 0x10000 || *codep > 0x10ffff ? 0 : 4;
}

/* Encodes a code point that is no surrogate into out, which has room for 4 bytes.
 * Returns its length. */
static inline size_t utf8_encode(uint32_t code, char *out)
{
	unsigned char *s = (unsigned char *)out;

	if (code < 0x80) {
		s[0] = (unsigned char)code;
		return 1;
	}
	if (code < 0x800) {
		s[0] = (unsigned char)(0xc0 | code >> 6);
		s[1] = (unsigned char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		s[0] = (unsigned char)(0xe0 | code >> 12);
		s[1] = (unsigned char)(0x80 | (code >> 6 & 0x3f));
		s[2] = (unsigned char)(0x80 | (code & 0x3f));
		return 3;
	}
	s[0] = (unsigned char)(0xf0 | code >> 18);
	s[1] = (unsigned char)(0x80 | (code >> 12 & 0x3f));
	s[2] = (unsigned char)(0x80 | (code >> 6 & 0x3f));
	s[3] = (unsigned char)(0x80 | (code & 0x3f));
	return 4;
}

static inline bool utf8_valid(const char *p, size_t len)
{
	uint32_t code;

	while (len > 0) {
		size_t n = utf8_decode(p, len, &code);

		if (n == 0)
			return false;
		p += n;
		len -= n;
	}
	return true;
}

/* The length of the longest beginning of p[0..len) that has at most max code
 * points. The text is valid UTF-8. */
static inline size_t utf8_prefix(const char *p, size_t len, size_t max)
{
	size_t i = 0;

	for (; i < len; i++)
		if (((unsigned char)p[i] & 0xc0) != 0x80 && max-- == 0)
			break;
	return i;
}

/* C0, DEL and C1: what the contract calls a control character. */
static inline bool unicode_is_control(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code <= 0x9f);
}

#endif
