/* SPDX-License-Identifier: MIT */
/* The slow half of the buffer: growing it. */
#include "config.h"

#include "core/buffer.h"

#include <stdint.h>
#include <stdlib.h>

/* What malloc keeps for the thread that frees it, and what nearly every answer fits into. */
enum { FIRST_SIZE = 1024 };

bool buffer_grow(struct buffer *buffer, size_t n)
{
	size_t size = buffer->size ? buffer->size : FIRST_SIZE;
	char *data;

	if (buffer->failed || n > SIZE_MAX / 2 - buffer->len) {
		buffer->failed = true;
		return false;
	}
	while (size - buffer->len < n)
		size *= 2;
	data = realloc(buffer->data, size);
	if (!data) {
		buffer->failed = true;
		return false;
	}
	buffer->data = data;
	buffer->size = size;
	return true;
}

void buffer_fini(struct buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct buffer){ 0 };
}
