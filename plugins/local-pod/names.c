/* SPDX-License-Identifier: MIT */
/*
 * A directory is read in pieces that are as large as the kernel likes to give, and its
 * names are sorted as numbers: by the eight bytes behind what all of them begin with,
 * which tells nearly all names apart that a program has made up.
 */
#include "config.h"

#include "names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "inline/utf8.h"

enum {
	PIECE = 64 << 10,
	N_KEY_BYTES = 8,
	FEW = 64, /* so many are sorted by comparing */
};

struct keyed {
	uint64_t key;
	struct name name;
};

/* ---- Reading ---- */

static bool is_directory(int dir_fd, const struct dirent64 *entry)
{
	struct stat st;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_DIR;
	return fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* Packs a piece of the directory behind what is there: the lengths of its names, two
 * bytes each, and the names with their NULs. */
static int keep_piece(int dir_fd, const char *piece, size_t len, struct names *names, size_t *room)
{
	if (*room - names->size < len) {
		size_t wanted = *room * 2 + len;
		char *text = realloc(names->text, wanted);

		if (!text)
			return -ENOMEM;
		names->text = text;
		*room = wanted;
	}
	for (size_t at = 0; at < len;) {
		const struct dirent64 *entry = (const struct dirent64 *)(const void *)(piece + at);
		size_t name_len = strlen(entry->d_name);
		uint16_t kept_len = (uint16_t)name_len;

		at += entry->d_reclen;
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (name_len > NAME_MAX || !is_directory(dir_fd, entry) || !utf8_valid(entry->d_name, name_len))
			continue;
		/* An entry of the kernel's has 19 bytes before its name: there is room. */
		memcpy(names->text + names->size, &kept_len, sizeof kept_len);
		memcpy(names->text + names->size + sizeof kept_len, entry->d_name, name_len + 1);
		names->size += sizeof kept_len + name_len + 1;
		names->n++;
	}
	return 0;
}

static int read_pieces(int dir_fd, struct names *names)
{
	char *piece = malloc(PIECE);
	size_t room = 0;
	ssize_t n = 0;
	int rc = piece ? 0 : -ENOMEM;

	while (rc == 0 && (n = getdents64(dir_fd, piece, PIECE)) > 0)
		rc = keep_piece(dir_fd, piece, (size_t)n, names, &room);
	free(piece);
	return rc == 0 && n < 0 ? -errno : rc;
}

/* ---- Sorting ---- */

/* How many bytes all names begin with. */
static size_t common_len(const struct name *list, size_t n)
{
	size_t len = n > 0 ? list[0].len : 0;

	for (size_t i = 1; i < n; i++) {
		size_t same = 0;

		while (same < len && list[i].text[same] == list[0].text[same])
			same++;
		len = same;
	}
	return len;
}

/* The bytes from there on as a number; behind the end of the name there are zeros. */
static uint64_t key_of(const struct name *name, size_t at)
{
	uint64_t key = 0;

	for (size_t i = 0; i < N_KEY_BYTES; i++)
		key = key << 8 | (at + i < name->len ? (unsigned char)name->text[at + i] : 0);
	return key;
}

static int compare_names(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	/* strcmp compares as unsigned char: by bytes. */
	return strcmp(x->text, y->text);
}

/* Moves all by one byte of their keys, in the order that they have where it is equal.
 * Returns where they are now. */
static struct keyed *move_by_byte(struct keyed *from, struct keyed *to, size_t n, unsigned shift)
{
	size_t at[256] = { 0 }, sum = 0;

	for (size_t i = 0; i < n; i++)
		at[from[i].key >> shift & 0xff]++;
	for (size_t i = 0; i < 256; i++) {
		size_t count = at[i];

		if (count == n)
			return from;
		at[i] = sum;
		sum += count;
	}
	for (size_t i = 0; i < n; i++)
		to[at[from[i].key >> shift & 0xff]++] = from[i];
	return to;
}

static int sort_by_keys(struct name *list, size_t n)
{
	struct keyed *both = calloc(2 * n, sizeof *both), *now = both;
	size_t begin = common_len(list, n);

	if (!both)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		both[i] = (struct keyed){ key_of(&list[i], begin), list[i] };
	for (unsigned shift = 0; shift < 64; shift += 8)
		now = move_by_byte(now, now == both ? both + n : both, n, shift);
	for (size_t i = 0; i < n; i++)
		list[i] = now[i].name;
	/* What the key does not tell apart is compared. */
	for (size_t i = 0, end; i < n; i = end) {
		for (end = i + 1; end < n && now[end].key == now[i].key;)
			end++;
		if (end - i > 1)
			qsort(list + i, end - i, sizeof *list, compare_names);
	}
	free(both);
	return 0;
}

int names_read(int dir_fd, struct names *names)
{
	char *p;
	int rc;

	*names = (struct names){ .text = NULL };
	rc = read_pieces(dir_fd, names);
	if (rc < 0)
		return rc;
	/* It may be kept, without the room that is left. */
	p = names->size > 0 ? realloc(names->text, names->size) : NULL;
	if (p)
		names->text = p;
	names->list = calloc(names->n + 1, sizeof *names->list);
	if (!names->list)
		return -ENOMEM;
	p = names->text;
	for (size_t i = 0; i < names->n; i++) {
		uint16_t len;

		memcpy(&len, p, sizeof len);
		names->list[i] = (struct name){ p + sizeof len, len };
		p += sizeof len + len + 1;
	}
	if (names->n > FEW)
		return sort_by_keys(names->list, names->n);
	qsort(names->list, names->n, sizeof *names->list, compare_names);
	return 0;
}

void names_fini(struct names *names)
{
	free(names->text);
	free(names->list);
}
