/* SPDX-License-Identifier: MIT */
/* A growing run of bytes. Running out of memory is remembered: look at failed once, when
 * the whole is written. */
#ifndef BERTH_PROCESS_BYTES_H
#define BERTH_PROCESS_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct bytes {
	char *data;
	size_t len, size;
	bool failed;
};

/* Room for n more at the end, which len does not count yet; or NULL. */
static inline char *bytes_reserve(struct bytes *bytes, size_t n)
{
	size_t size = bytes->size ? bytes->size : 512;
	char *data;

	if (bytes->failed || n > SIZE_MAX / 2 - bytes->len)
		return bytes->failed = true, NULL;
	if (bytes->size - bytes->len >= n && bytes->data)
		return bytes->data + bytes->len;
	while (size - bytes->len < n)
		size *= 2;
	data = realloc(bytes->data, size);
	if (!data)
		return bytes->failed = true, NULL;
	bytes->data = data;
	bytes->size = size;
	return data + bytes->len;
}

static inline void bytes_append(struct bytes *bytes, const void *data, size_t len)
{
	char *end = bytes_reserve(bytes, len);

	if (end && len > 0) {
		memcpy(end, data, len);
		bytes->len += len;
	}
}

static inline void bytes_append_string(struct bytes *bytes, const char *string)
{
	bytes_append(bytes, string, strlen(string));
}

static inline void bytes_fini(struct bytes *bytes)
{
	free(bytes->data);
	*bytes = (struct bytes){ 0 };
}

#endif
