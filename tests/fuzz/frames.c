/* SPDX-License-Identifier: MIT */
/* The frames that an isolated instance and its host send each other, from both ends: any
 * bytes are read as structs of any kind, or as none, and what was read is written and read
 * again as the same. */
#include "config.h"

#include "inline/frames.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

union object {
	struct berth_runtime runtime;
	struct berth_host host;
	struct berth_worker worker;
	unsigned char room[1024];
};

/* Structs that are read one behind the other. */
struct chain {
	struct frame_reader r;
	int kind; /* of the last; -1: there is none */
	union object object;
	struct frame_room room;
};

static struct chain given, again;
static struct frame_before before; /* in what was written of them */
static char *written;
static size_t len, size;

static bool read_one(struct chain *chain, enum frame_kind kind)
{
	bool next = chain->kind == (int)kind;

	FUZZ_CHECK(frame_shape(kind)->size <= sizeof chain->object);
	chain->kind = (int)kind;
	return (next ? frame_read_next : frame_read)(&chain->r, kind, &chain->object, &chain->room);
}

/* A struct by itself. */
static char *write_alone(enum frame_kind kind, const union object *object, size_t *sizep)
{
	struct frame_before none = { .kind = kind };
	char *bytes;

	*sizep = frame_measure(kind, object, NULL, &none);
	bytes = malloc(*sizep);
	FUZZ_CHECK(bytes && frame_write(bytes, kind, object, bytes, &none) == bytes + *sizep);
	return bytes;
}

static void check_same(enum frame_kind kind)
{
	size_t n, m;
	char *a = write_alone(kind, &given.object, &n), *b = write_alone(kind, &again.object, &m);

	FUZZ_CHECK(n == m && memcmp(a, b, n) == 0);
	free(a);
	free(b);
}

/* Writes behind the others what was read last, in no more bytes than there were, and reads it again. */
static void check_object(enum frame_kind kind, size_t n_given)
{
	size_t n = frame_measure(kind, &given.object, written, &before);

	FUZZ_CHECK(n <= n_given && n <= size - len);
	FUZZ_CHECK(frame_write(written + len, kind, &given.object, written, &before) == written + len + n);
	len += n;
	again.r.end = written + len;
	FUZZ_CHECK(read_one(&again, kind) && again.r.p == again.r.end);
	check_same(kind);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint8_t kind;

	given.r = (struct frame_reader){ .p = (const char *)data, .end = (const char *)data + n };
	written = malloc(n + 1);
	FUZZ_CHECK(written);
	len = 0;
	size = n;
	again.r = (struct frame_reader){ .p = written };
	given.kind = again.kind = -1;
	before = (struct frame_before){ .kind = N_FRAME_KINDS };
	while (frame_take(&given.r, &kind, sizeof kind)) {
		const char *begin = given.r.p;

		kind %= N_FRAME_KINDS;
		if (read_one(&given, (enum frame_kind)kind))
			check_object((enum frame_kind)kind, (size_t)(given.r.p - begin));
	}
	FUZZ_CHECK(given.r.failed);
	free(written);
	return 0;
}
