/* SPDX-License-Identifier: MIT */
/*
 * Judging bytes sixteen at a time. Nearly every text is plain from end to end, and to be
 * sure of that is most of what reading and writing JSON costs.
 *
 * These are vectors as GNU C has them: the same lines become SSE2 or NEON where there is
 * such a thing, and arithmetic on whole words where there is none.
 */
#ifndef BERTH_INLINE_BLOCK_H
#define BERTH_INLINE_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined __SSE2__ && !defined BLOCK_PORTABLE
#include <emmintrin.h>
#endif

enum { BLOCK_SIZE = 16 };

/* Signed, so that a byte that is not ASCII is below all that are. */
typedef signed char block_bytes __attribute__((vector_size(16)));
typedef unsigned char block_unsigned __attribute__((vector_size(16)));
typedef uint64_t block_halves __attribute__((vector_size(16)));

/* Judges a block: -1 for each byte that fails, 0 for each that passes. */
typedef block_bytes block_judge(block_bytes bytes);

#define BLOCK_INLINE static inline __attribute__((always_inline))

BLOCK_INLINE block_bytes block_load(const char *p)
{
	block_bytes bytes;

	memcpy(&bytes, p, sizeof bytes);
	return bytes;
}

BLOCK_INLINE void block_store(char *p, block_bytes bytes)
{
	memcpy(p, &bytes, sizeof bytes);
}

/* A block of the bytes of a text that is shorter than one, but not empty: all of them, some
 * more than once, in no certain order. */
BLOCK_INLINE block_bytes block_load_short(const char *p, size_t len)
{
	uint64_t first, last;
	uint32_t begin, end;

	if (len >= 8) {
		memcpy(&first, p, 8);
		memcpy(&last, p + len - 8, 8);
	} else {
		if (len >= 4) {
			memcpy(&begin, p, 4);
			memcpy(&end, p + len - 4, 4);
		} else {
			begin = (uint32_t)(unsigned char)p[0] | (uint32_t)(unsigned char)p[len / 2] << 8;
			begin |= begin << 16;
			end = (uint32_t)(unsigned char)p[len - 1] * 0x01010101u;
		}
		first = last = begin | (uint64_t)end << 32;
	}
	return (block_bytes)(block_halves){ first, last };
}

/* Whether a byte of a block fails, and the place of the first that does. GNU C has no word for gathering a bit of each byte,
 * so what SSE2 has for it is called by name; BLOCK_PORTABLE, for tests, does without. */
#if defined __SSE2__ && !defined BLOCK_PORTABLE
BLOCK_INLINE unsigned block_bits(block_bytes failed)
{
	typedef char chars __attribute__((vector_size(16)));

	return (unsigned)__builtin_ia32_pmovmskb128((chars)failed);
}

/* The lower one at each place. */
BLOCK_INLINE block_unsigned block_lower(block_unsigned a, block_unsigned b)
{
	return (block_unsigned)_mm_min_epu8((__m128i)a, (__m128i)b);
}

BLOCK_INLINE bool block_any(block_bytes failed)
{
	return block_bits(failed) != 0;
}

BLOCK_INLINE size_t block_first(block_bytes failed)
{
	return (size_t)__builtin_ctz(block_bits(failed));
}
#else
BLOCK_INLINE block_unsigned block_lower(block_unsigned a, block_unsigned b)
{
	block_unsigned first = (block_unsigned)(a < b);

	return (a & first) | (b & ~first);
}

BLOCK_INLINE bool block_any(block_bytes failed)
{
	block_halves halves = (block_halves)failed;

	return (halves[0] | halves[1]) != 0;
}

BLOCK_INLINE size_t block_first(block_bytes failed)
{
	block_halves halves = (block_halves)failed;
	size_t half = halves[0] == 0;
	uint64_t word = halves[half];

	if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
		word = __builtin_bswap64(word);
	return half * 8 + (size_t)__builtin_ctzll(word) / 8;
}
#endif

/* Whether all bytes of a text pass. */
BLOCK_INLINE bool block_all(const char *p, size_t len, block_judge *judge)
{
	block_bytes failed;

	if (len < BLOCK_SIZE)
		return len == 0 || !block_any(judge(block_load_short(p, len)));
	/* The last block may begin in the one before it. */
	failed = judge(block_load(p + len - BLOCK_SIZE));
	for (size_t i = 0; i < len - BLOCK_SIZE; i += BLOCK_SIZE)
		failed |= judge(block_load(p + i));
	return !block_any(failed);
}

/* Whether two texts of that length are equal. */
BLOCK_INLINE bool block_equal(const char *a, const char *b, size_t len)
{
	block_bytes differ;

	if (len < BLOCK_SIZE)
		return len == 0 || !block_any(block_load_short(a, len) != block_load_short(b, len));
	/* The last block may begin in the one before it. */
	differ = block_load(a + len - BLOCK_SIZE) != block_load(b + len - BLOCK_SIZE);
	for (size_t i = 0; i < len - BLOCK_SIZE; i += BLOCK_SIZE)
		differ |= block_load(a + i) != block_load(b + i);
	return !block_any(differ);
}

BLOCK_INLINE void block_copy_short(char *to, const char *from, size_t len)
{
	if (len >= 8) {
		uint64_t first, last;

		memcpy(&first, from, 8);
		memcpy(&last, from + len - 8, 8);
		memcpy(to, &first, 8);
		memcpy(to + len - 8, &last, 8);
	} else if (len >= 4) {
		uint32_t first, last;

		memcpy(&first, from, 4);
		memcpy(&last, from + len - 4, 4);
		memcpy(to, &first, 4);
		memcpy(to + len - 4, &last, 4);
	} else if (len > 0) {
		to[0] = from[0];
		to[len / 2] = from[len / 2];
		to[len - 1] = from[len - 1];
	}
}

/* Copies a text to where there is room for all of it, and returns how many bytes pass before
 * one does not; of what is shorter than a block, all or none. */
BLOCK_INLINE size_t block_copy(char *to, const char *from, size_t len, block_judge *judge)
{
	size_t i = 0;
	block_bytes failed;

	if (len < BLOCK_SIZE) {
		if (len == 0 || block_any(judge(block_load_short(from, len))))
			return 0;
		block_copy_short(to, from, len);
		return len;
	}
	for (; len - i >= 4 * BLOCK_SIZE; i += 4 * BLOCK_SIZE) {
		block_bytes a = block_load(from + i), b = block_load(from + i + BLOCK_SIZE);
		block_bytes c = block_load(from + i + 2 * BLOCK_SIZE), d = block_load(from + i + 3 * BLOCK_SIZE);

		if (block_any(judge(a) | judge(b) | judge(c) | judge(d)))
			break;
		block_store(to + i, a);
		block_store(to + i + BLOCK_SIZE, b);
		block_store(to + i + 2 * BLOCK_SIZE, c);
		block_store(to + i + 3 * BLOCK_SIZE, d);
	}
	while (i < len) {
		/* The last block may begin in the one before it. */
		size_t at = len - i >= BLOCK_SIZE ? i : len - BLOCK_SIZE;
		block_bytes bytes = block_load(from + at);

		block_store(to + at, bytes);
		failed = judge(bytes);
		if (block_any(failed))
			return at + block_first(failed);
		i = at + BLOCK_SIZE;
	}
	return len;
}

/* Copies a text to where there is room for all of it, and returns for which bytes of a block one of its own fails. */
BLOCK_INLINE block_bytes block_gather(char *to, const char *from, size_t len, block_judge *judge)
{
	block_bytes bytes, failed;

	if (len < BLOCK_SIZE) {
		if (len == 0)
			return (block_bytes){ 0 };
		block_copy_short(to, from, len);
		return judge(block_load_short(from, len));
	}
	/* The last block may begin in the one before it. */
	bytes = block_load(from + len - BLOCK_SIZE);
	block_store(to + len - BLOCK_SIZE, bytes);
	failed = judge(bytes);
	for (size_t i = 0; i < len - BLOCK_SIZE; i += BLOCK_SIZE) {
		bytes = block_load(from + i);
		block_store(to + i, bytes);
		failed |= judge(bytes);
	}
	return failed;
}

/* What is plain in JSON: ASCII that is no control character, quote or backslash. */
BLOCK_INLINE block_bytes block_not_plain(block_bytes bytes)
{
	return (bytes < ' ') | (bytes == '"') | (bytes == '\\');
}

BLOCK_INLINE block_bytes block_not_letter(block_bytes bytes)
{
	block_bytes small = bytes | 0x20;

	return (small < 'a') | (small > 'z');
}

/* What identifiers are made of. */
BLOCK_INLINE block_bytes block_not_identifier(block_bytes bytes)
{
	/* : follows 9. */
	return block_not_letter(bytes) & ((bytes < '0') | (bytes > ':')) & (bytes != '-') & (bytes != '_');
}

#endif
