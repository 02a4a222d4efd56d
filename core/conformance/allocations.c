/* SPDX-License-Identifier: MIT */
/* The dynamic linker finds these before those of the C library, whose own functions
 * call them too. What they hand on to is looked up once; a look-up may itself allocate,
 * which is served from a small store that is never freed. */
#include "config.h"

#include "core/conformance/allocations.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local bool counting;
static atomic_bool counting_all;
static bool (*counted_by)(const void *caller); /* NULL: by anyone */
static _Atomic uint64_t countdown; /* 0: nothing fails */
static atomic_bool fail_all, failed;
static _Atomic int64_t live;

bool allocations_count(bool on)
{
	bool was = counting;

	counting = on;
	return was;
}

void allocations_count_all(bool on)
{
	counting_all = on;
}

void allocations_count_only(bool (*by)(const void *caller))
{
	counted_by = by;
}

void allocations_fail_at(uint64_t n, bool all)
{
	failed = false;
	fail_all = all;
	countdown = n;
}

bool allocations_failed(void)
{
	return failed;
}

int64_t allocations_live(void)
{
	return live;
}

#ifdef WITH_SANITIZER

bool allocations_can_fail(void)
{
	return false;
}

#else

bool allocations_can_fail(void)
{
	return true;
}

/* Whether this allocation is the one, or a later one. */
static bool must_fail(const void *caller)
{
	uint64_t left = countdown;

	if ((!counting && !counting_all) || (counted_by && !counted_by(caller)))
		return false;
	if (failed && fail_all)
		return true;
	while (left > 0 && !atomic_compare_exchange_weak(&countdown, &left, left - 1))
		;
	if (left == 1)
		failed = true;
	return left == 1;
}

#define EXPORT __attribute__((visibility("default")))

static struct {
	void *(*malloc)(size_t size);
	void *(*calloc)(size_t n, size_t size);
	void *(*realloc)(void *block, size_t size);
	void *(*memalign)(size_t align, size_t size);
	void (*free)(void *block);
} next;

/* What is allocated while next is being filled in. */
static char early[4096];
static size_t early_len;

static void *early_allocate(size_t size)
{
	void *block = early + early_len;

	if (size > sizeof early - early_len)
		return NULL;
	early_len += (size + 15) & ~(size_t)15;
	return block;
}

static bool is_early(const void *block)
{
	return (const char *)block >= early && (const char *)block < early + sizeof early;
}

static bool find_next(void)
{
	static bool finding;

	if (next.free)
		return true;
	if (finding)
		return false;
	finding = true;
	*(void **)&next.malloc = dlsym(RTLD_NEXT, "malloc");
	*(void **)&next.calloc = dlsym(RTLD_NEXT, "calloc");
	*(void **)&next.realloc = dlsym(RTLD_NEXT, "realloc");
	*(void **)&next.memalign = dlsym(RTLD_NEXT, "memalign");
	*(void **)&next.free = dlsym(RTLD_NEXT, "free");
	finding = false;
	return true;
}

static void *counted(void *block)
{
	if (block)
		live++;
	return block;
}

static void *out_of_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

#define CALLER __builtin_return_address(0)

EXPORT void *malloc(size_t size)
{
	if (!find_next())
		return early_allocate(size);
	return must_fail(CALLER) ? out_of_memory() : counted(next.malloc(size));
}

EXPORT void *calloc(size_t n, size_t size)
{
	if (!find_next())
		return early_allocate(n * size);
	return must_fail(CALLER) ? out_of_memory() : counted(next.calloc(n, size));
}

EXPORT void *realloc(void *block, size_t size)
{
	void *moved;

	if (!block && !find_next())
		return early_allocate(size);
	if (!block)
		return must_fail(CALLER) ? out_of_memory() : counted(next.malloc(size));
	if (is_early(block) || !find_next()) {
		size_t behind = (size_t)(early + sizeof early - (char *)block);

		moved = malloc(size);
		if (moved)
			memcpy(moved, block, size < behind ? size : behind);
		return moved;
	}
	if (must_fail(CALLER))
		return out_of_memory();
	moved = next.realloc(block, size);
	if (!moved && size == 0)
		live--;
	return moved;
}

static void *allocate_aligned(size_t align, size_t size, const void *caller)
{
	if (!find_next())
		return NULL;
	return must_fail(caller) ? out_of_memory() : counted(next.memalign(align, size));
}

EXPORT void *memalign(size_t align, size_t size)
{
	return allocate_aligned(align, size, CALLER);
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
	return allocate_aligned(align, size, CALLER);
}

EXPORT int posix_memalign(void **blockp, size_t align, size_t size)
{
	void *block = allocate_aligned(align, size, CALLER);

	if (!block)
		return ENOMEM;
	*blockp = block;
	return 0;
}

EXPORT void free(void *block)
{
	int error = errno;

	if (!block || is_early(block) || !find_next())
		return;
	live--;
	next.free(block);
	errno = error;
}

#endif
