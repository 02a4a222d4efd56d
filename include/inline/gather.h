/* SPDX-License-Identifier: MIT */
/*
 * Copying a long text while seeing whether it is plain, as most of what a transcript is made of is. Other texts are
 * copied by block_gather, to which this is held.
 */
#ifndef BERTH_INLINE_GATHER_H
#define BERTH_INLINE_GATHER_H

#include "inline/block.h"
#if defined __SSE2__ && !defined BLOCK_PORTABLE
#include <immintrin.h>
#endif

/* What is gathered of the blocks of a text to see whether it is plain, with fewest steps for each. */
struct gathering {
	block_unsigned lowest;
	block_bytes all, marks;
};

BLOCK_INLINE void gather_one(struct gathering *gathering, char *to, const char *from)
{
	block_bytes bytes = block_load(from);

	block_store(to, bytes);
	gathering->lowest = block_lower(gathering->lowest, (block_unsigned)bytes);
	gathering->all |= bytes;
	gathering->marks |= (bytes == '"') | (bytes == '\\');
}

/* block_gather of what is plain, for a text of a block at least. */
BLOCK_INLINE block_bytes gather_long(char *to, const char *from, size_t len)
{
	struct gathering gathering = { (block_unsigned){ 0 } - 1, { 0 }, { 0 } };

	/* The last block may begin in the one before it. */
	gather_one(&gathering, to + len - BLOCK_SIZE, from + len - BLOCK_SIZE);
	for (; len > 4 * BLOCK_SIZE; len -= 4 * BLOCK_SIZE, from += 4 * BLOCK_SIZE, to += 4 * BLOCK_SIZE) {
		gather_one(&gathering, to, from);
		gather_one(&gathering, to + BLOCK_SIZE, from + BLOCK_SIZE);
		gather_one(&gathering, to + 2 * BLOCK_SIZE, from + 2 * BLOCK_SIZE);
		gather_one(&gathering, to + 3 * BLOCK_SIZE, from + 3 * BLOCK_SIZE);
	}
	for (; len > BLOCK_SIZE; len -= BLOCK_SIZE, from += BLOCK_SIZE, to += BLOCK_SIZE)
		gather_one(&gathering, to, from);
	return gathering.marks | (gathering.all < 0) | (block_bytes)(gathering.lowest < ' ');
}

/* The same for a text of a wide block at least, 32 bytes at a time, where the processor has AVX2: a third of the steps. */
#if defined __SSE2__ && !defined BLOCK_PORTABLE
#define GATHER_HAS_WIDE (__builtin_cpu_supports("avx2") != 0)
#define GATHER_WIDE __attribute__((target("avx2")))

enum { GATHER_WIDE_SIZE = 32 };

struct wide_gathering {
	__m256i lowest, marks;
};

/* A byte whose lower half is that of a mark must be another; signed, what is not ASCII is lower than all that is. */
GATHER_WIDE BLOCK_INLINE void gather_one_wide(struct wide_gathering *gathering, char *to, const char *from)
{
	const __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)from);
	const __m256i marks = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 0, '"', 0, 0, 0, 0, 0, 0, 0, 0, 0, '\\', 0, 0, 0));

	_mm256_storeu_si256((__m256i *)(void *)to, bytes);
	gathering->lowest = _mm256_min_epi8(gathering->lowest, bytes);
	gathering->marks = _mm256_or_si256(gathering->marks, _mm256_cmpeq_epi8(bytes, _mm256_shuffle_epi8(marks, bytes)));
}

GATHER_WIDE static inline block_bytes gather_wide(char *to, const char *from, size_t len)
{
	const __m256i space = _mm256_set1_epi8(' ');
	struct wide_gathering gathering = { space, _mm256_setzero_si256() };
	const size_t last = len - GATHER_WIDE_SIZE;
	size_t i = 0;
	__m256i failed;

	/* The last block may begin in the one before it. */
	gather_one_wide(&gathering, to + last, from + last);
	for (; i + GATHER_WIDE_SIZE < last; i += 2 * GATHER_WIDE_SIZE) {
		gather_one_wide(&gathering, to + i, from + i);
		gather_one_wide(&gathering, to + i + GATHER_WIDE_SIZE, from + i + GATHER_WIDE_SIZE);
	}
	if (i < last)
		gather_one_wide(&gathering, to + i, from + i);
	failed = _mm256_or_si256(gathering.marks, _mm256_cmpgt_epi8(space, gathering.lowest));
	return (block_bytes)_mm_or_si128(_mm256_castsi256_si128(failed), _mm256_extracti128_si256(failed, 1));
}
#else
#define GATHER_HAS_WIDE false

enum { GATHER_WIDE_SIZE = BLOCK_SIZE };

BLOCK_INLINE block_bytes gather_wide(char *to, const char *from, size_t len)
{
	return gather_long(to, from, len);
}
#endif

/* block_gather of what is plain, for texts that are rather long. */
BLOCK_INLINE block_bytes gather_plain(char *to, const char *from, size_t len)
{
	if (len >= 2 * GATHER_WIDE_SIZE && GATHER_HAS_WIDE)
		return gather_wide(to, from, len);
	return len < BLOCK_SIZE ? block_gather(to, from, len, block_not_plain) : gather_long(to, from, len);
}

#endif
