/* SPDX-License-Identifier: MIT */
/* The frames that an isolated instance and its host send each other, from both ends: any
 * bytes are read as a struct of any kind, or as none, and what was read is written and read
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

static char *write_object(enum frame_kind kind, const union object *object, size_t *sizep)
{
	size_t size = frame_size(kind, object);
	char *bytes = malloc(size > 0 ? size : 1);

	FUZZ_CHECK(bytes);
	FUZZ_CHECK(frame_write(bytes, kind, object) == bytes + size);
	*sizep = size;
	return bytes;
}

/* Reads a struct; where it is one, what it is written as is as long as what was read. */
static void check_object(struct frame_reader *r, enum frame_kind kind)
{
	static struct frame_room room, room_again;
	const char *begin = r->p;
	union object object, again;
	struct frame_reader reader;
	size_t size, size_again;
	char *bytes, *bytes_again;

	FUZZ_CHECK(frame_shape(kind)->size <= sizeof object);
	if (!frame_read(r, kind, &object, &room))
		return;
	bytes = write_object(kind, &object, &size);
	FUZZ_CHECK(size <= (size_t)(r->p - begin));
	reader = (struct frame_reader){ bytes, bytes + size, false };
	FUZZ_CHECK(frame_read(&reader, kind, &again, &room_again) && reader.p == reader.end);
	bytes_again = write_object(kind, &again, &size_again);
	FUZZ_CHECK(size == size_again && memcmp(bytes, bytes_again, size) == 0);
	free(bytes);
	free(bytes_again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame_reader r = { (const char *)data, (const char *)data + size, false };
	uint8_t kind;

	while (frame_take(&r, &kind, sizeof kind))
		check_object(&r, (enum frame_kind)(kind % N_FRAME_KINDS));
	FUZZ_CHECK(r.failed);
	return 0;
}
