/* SPDX-License-Identifier: MIT */
/*
 * A growing run of bytes, in which answers are written.
 *
 * Running out of memory is remembered instead of reported by each append: look at
 * failed once, when the whole is written. A failed buffer stays as long as it was.
 */
#ifndef BERTH_CORE_BUFFER_H
#define BERTH_CORE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct buffer {
	char *data;
	size_t len, size;
	bool failed;
};

/* Whoever takes what has been written of an answer while the rest is still to come, so that no more is kept than enough. */
struct outlet {
	void (*take)(struct outlet *outlet, struct buffer *buffer); /* leaves it empty */
	size_t enough;                                              /* bytes to be taken at once */
};

/* Makes room for n more bytes; false when there is no memory. */
bool buffer_grow(struct buffer *buffer, size_t n);

/* Frees the memory and makes the buffer empty. */
void buffer_fini(struct buffer *buffer);

/* Room for n bytes, of which there is one at least, at the end, which buffer->len does not count yet; or NULL. */
static inline char *buffer_reserve(struct buffer *buffer, size_t n)
{
	if (buffer->size - buffer->len < n && !buffer_grow(buffer, n))
		return NULL;
	return buffer->data + buffer->len;
}

static inline void buffer_append(struct buffer *buffer, const void *data, size_t len)
{
	char *end = len > 0 ? buffer_reserve(buffer, len) : NULL;

	if (end) {
		memcpy(end, data, len);
		buffer->len += len;
	}
}

static inline void buffer_append_string(struct buffer *buffer, const char *string)
{
	buffer_append(buffer, string, strlen(string));
}

static inline void buffer_append_char(struct buffer *buffer, char c)
{
	buffer_append(buffer, &c, 1);
}

/* Cuts the buffer back to a length that it has had. */
static inline void buffer_cut(struct buffer *buffer, size_t len)
{
	buffer->len = len;
}

#endif
