/* SPDX-License-Identifier: MIT */
/* Errors are found by the strict reader, which knows where they are; the tree that is
 * then worked with is cJSON's. */
#include "config.h"

#include "core/config_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "inline/json_reader.h"

/* ---- Directories ---- */

/* Whether somebody else than root and this user could have changed it. */
static int check_owner(const struct stat *st, const char *path, struct failure *failure)
{
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return failure_set(failure, FAILURE_CONFIG_UNSAFE, "root or this user to own it", "%s: owned by user %u",
				   path, (unsigned)st->st_uid);
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return failure_set(failure, FAILURE_CONFIG_UNSAFE, "nobody else to be able to write it",
				   "%s: mode %04o; chmod go-w mends it", path, (unsigned)st->st_mode & 07777);
	return 0;
}

int config_dir_open(const char *path, struct config_dir *dir)
{
	struct stat st;

	*dir = (struct config_dir){ .fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), .path = strdup(path) };
	if (!dir->path) {
		config_dir_close(dir);
		return -ENOMEM;
	}
	if (dir->fd >= 0 && fstat(dir->fd, &st) == 0)
		check_owner(&st, path, &dir->unsafe);
	else if (errno != ENOENT && errno != ENOTDIR)
		failure_set(&dir->unsafe, FAILURE_CONFIG_UNREADABLE, "a directory that can be read", "%s: %s", path,
			    strerror(errno));
	return 0;
}

void config_dir_close(struct config_dir *dir)
{
	if (dir->fd >= 0)
		close(dir->fd);
	free(dir->path);
	*dir = (struct config_dir){ .fd = -1 };
}

void config_names_free(char **names)
{
	for (size_t i = 0; names && names[i]; i++)
		free(names[i]);
	free(names);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Opens a stream of its own, so that the directory itself can be read again. */
static DIR *open_stream(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), error;
	DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;

	if (fd >= 0 && !stream) {
		error = errno;
		close(fd);
		errno = error;
	}
	return stream;
}

static int add_name(char ***namesp, size_t *np, const char *name, size_t len)
{
	char **names = reallocarray(*namesp, *np + 2, sizeof *names);

	if (!names)
		return -ENOMEM;
	*namesp = names;
	names[*np] = strndup(name, len);
	names[*np + 1] = NULL;
	return names[(*np)++] ? 0 : -ENOMEM;
}

/* Adds what ends in .json: 0, or a negative errno. */
static int read_names(DIR *stream, char ***namesp, size_t *np)
{
	static const char ending[] = ".json";
	const size_t ending_len = sizeof ending - 1;
	const struct dirent *entry;

	while ((errno = 0, entry = readdir(stream))) {
		size_t len = strlen(entry->d_name);

		if (entry->d_name[0] == '.' || len <= ending_len || strcmp(entry->d_name + len - ending_len, ending) != 0)
			continue;
		if (add_name(namesp, np, entry->d_name, len - ending_len) < 0)
			return -ENOMEM;
	}
	return -errno;
}

int config_dir_list(const struct config_dir *dir, char ***namesp, struct failures *failures)
{
	char **names = calloc(1, sizeof *names);
	size_t n = 0;
	DIR *stream;
	int rc;

	if (!names)
		return -ENOMEM;
	if (dir->fd < 0) {
		if (dir->unsafe.code != FAILURE_NONE)
			*failures_add(failures) = dir->unsafe;
		*namesp = names;
		return 0;
	}
	stream = open_stream(dir->fd);
	rc = stream ? read_names(stream, &names, &n) : -errno;
	if (stream)
		closedir(stream);
	if (rc == -ENOMEM) {
		config_names_free(names);
		return rc;
	}
	if (rc < 0)
		failure_set(failures_add(failures), FAILURE_CONFIG_UNREADABLE, "a directory that can be read", "%s: %s", dir->path,
			    strerror(-rc));
	qsort(names, n, sizeof *names, compare_names);
	*namesp = names;
	return 0;
}

/* ---- Text ---- */

/* A blank for what stands in a comment; what continues a letter is one without width. */
static char blank(char c)
{
	return c == '\n' ? '\n' : ((unsigned char)c & 0xc0) == 0x80 ? '\r' : ' ';
}

/* Blanks the comment that begins at i. Returns where it ends; SIZE_MAX where it does
 * not, though it must. */
static size_t blank_comment(char *text, size_t i, size_t len)
{
	bool to_line_end = text[i + 1] == '/';

	text[i] = text[i + 1] = ' ';
	for (i += 2; i < len; i++) {
		if (to_line_end && text[i] == '\n')
			return i;
		if (!to_line_end && text[i] == '*' && i + 1 < len && text[i + 1] == '/') {
			text[i] = text[i + 1] = ' ';
			return i + 2;
		}
		text[i] = blank(text[i]);
	}
	return to_line_end ? len : SIZE_MAX;
}

/* Puts blanks in the places of comments, so that offsets stay what they are. Returns
 * the offset of one that does not end, or SIZE_MAX. */
static size_t blank_comments(char *text, size_t len)
{
	bool string = false;

	for (size_t i = 0; i < len; i++) {
		if (string && text[i] == '\\') {
			i++;
		} else if (text[i] == '"') {
			string = !string;
		} else if (!string && text[i] == '/' && i + 1 < len && (text[i + 1] == '/' || text[i + 1] == '*')) {
			size_t begin = i, end = blank_comment(text, i, len);

			if (end == SIZE_MAX)
				return begin;
			i = end - 1;
		}
	}
	return SIZE_MAX;
}

static void position(const char *path, const char *text, size_t offset, struct error *where)
{
	size_t line = 1, column = 1;

	for (size_t i = 0; i < offset && text[i]; i++) {
		if (text[i] == '\n') {
			line++;
			column = 1;
		} else if (((unsigned char)text[i] & 0xc0) != 0x80 && text[i] != '\r') {
			column++;
		}
	}
	error_set(where, 0, "%s:%zu:%zu", path, line, column);
}

/* ---- Checking the whole text ---- */

struct check {
	const char *text;
	bool required;      /* "required": true was read */
	const char *reason; /* the first fault that does not end the reading, and where */
	size_t offset;
};

static void note(struct check *check, const char *at, const char *reason)
{
	if (check->reason)
		return;
	check->reason = reason;
	check->offset = (size_t)(at - check->text);
}

static bool same_key(const struct json_slice *a, const struct json_slice *b)
{
	char left[512], right[512];
	size_t len;

	if (a->len > sizeof left || b->len > sizeof right)
		return false;
	len = json_unescape(a, left);
	return len == json_unescape(b, right) && memcmp(left, right, len) == 0;
}

/* Reads the members of an object; those of options, which become settings too, alike. */
static void check_members(struct json_reader *r, struct check *check, bool top)
{
	struct json_slice key, seen[64];
	size_t n = 0;

	json_enter_object(r);
	while (json_next_member(r, &key)) {
		bool required = false;

		for (size_t i = 0; i < n; i++)
			if (same_key(&seen[i], &key))
				note(check, key.ptr - 1, "a key is given twice");
		if (n < sizeof seen / sizeof *seen)
			seen[n++] = key;
		else
			note(check, key.ptr - 1, "more than 64 keys");
		if (top && json_string_is(&key, "required") && json_peek(r) == JSON_BOOLEAN) {
			json_read_boolean(r, &required);
			check->required |= required;
		} else if (top && json_string_is(&key, "options") && json_peek(r) == JSON_OBJECT) {
			check_members(r, check, false);
		} else {
			json_skip(r);
		}
	}
}

/* cJSON would end a string there. A backslash stands in strings only. */
static void check_nul(struct check *check)
{
	for (const char *p = check->text; (p = strchr(p, '\\')); p += 2)
		if (strncmp(p, "\\u0000", 6) == 0)
			note(check, p, "U+0000 in a string");
}

static int check_text(const struct config_file *file, size_t open_comment, bool *requiredp, struct failure *failure)
{
	struct check check = { .text = file->text };
	struct json_reader r;
	struct error where;

	json_open(&r, file->text, strlen(file->text));
	check_members(&r, &check, true);
	*requiredp = check.required;
	if (open_comment != SIZE_MAX) {
		check.reason = NULL;
		note(&check, file->text + open_comment, "a comment does not end");
	} else if (!json_close(&r)) {
		check.reason = NULL;
		note(&check, r.p, r.error);
	} else {
		check_nul(&check);
	}
	if (!check.reason)
		return 0;
	position(file->path, file->text, check.offset, &where);
	return failure_set(failure, FAILURE_CONFIG_INVALID, "a JSON object, with comments", "%s: %s", where.text,
			   check.reason);
}

void config_file_locate(const struct config_file *file, const char *key, const char *inner, struct error *where)
{
	struct json_slice found;
	struct json_reader r;

	json_open(&r, file->text, strlen(file->text));
	json_enter_object(&r);
	while (json_next_member(&r, &found)) {
		if (!json_string_is(&found, key)) {
			json_skip(&r);
		} else if (inner && json_peek(&r) == JSON_OBJECT) {
			key = inner;
			inner = NULL;
			json_enter_object(&r);
		} else {
			position(file->path, file->text, (size_t)(found.ptr - 1 - file->text), where);
			return;
		}
	}
	error_set(where, 0, "%s", file->path);
}

/* ---- Files ---- */

static int read_all(int fd, size_t size, char **textp)
{
	CLEANUP_FREE char *text = malloc(size + 1);
	size_t len = 0;

	if (!text)
		return -ENOMEM;
	while (len < size) {
		ssize_t n = read(fd, text + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	/* A NUL in the text would hide what follows from us. */
	if (memchr(text, '\0', len))
		return -EILSEQ;
	text[len] = '\0';
	*textp = STEAL(text);
	return 0;
}

static int unreadable(struct failure *failure, const char *path, const char *why)
{
	return failure_set(failure, FAILURE_CONFIG_UNREADABLE, "a file of at most 1 MiB that can be read", "%s: %s", path, why);
}

static int read_checked(const struct config_dir *dir, int fd, struct config_file *file, bool *requiredp,
			struct failure *failure)
{
	struct stat st;
	int rc;

	if (fstat(fd, &st) < 0)
		return unreadable(failure, file->path, strerror(errno));
	file->masked = (S_ISREG(st.st_mode) && st.st_size == 0) ||
		       (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
	if (dir->unsafe.code != FAILURE_NONE) {
		*failure = dir->unsafe;
		return -EPERM;
	}
	if (S_ISCHR(st.st_mode) && file->masked)
		return 1;
	rc = check_owner(&st, file->path, failure);
	if (rc < 0 || file->masked)
		return rc < 0 ? rc : 1;
	if (!S_ISREG(st.st_mode) || st.st_size > CONFIG_FILE_MAX)
		return unreadable(failure, file->path, "no regular file, or a larger one");
	rc = read_all(fd, (size_t)st.st_size, &file->text);
	if (rc < 0)
		return unreadable(failure, file->path, rc == -EILSEQ ? "a NUL byte in it" : strerror(-rc));
	rc = check_text(file, blank_comments(file->text, strlen(file->text)), requiredp, failure);
	if (rc < 0)
		return rc;
	file->json = cJSON_Parse(file->text);
	if (!file->json)
		return failure_set(failure, FAILURE_CONFIG_INVALID, "JSON that is nested less", "%s: too deep, or no memory",
				   file->path);
	return 1;
}

int config_file_read(const struct config_dir *dir, const char *name, struct config_file *filep, bool *requiredp,
		     struct failure *failure)
{
	CLEANUP(config_file_fini) struct config_file file = { .masked = false };
	CLEANUP_FREE char *base = NULL;
	CLEANUP_CLOSE int fd = -1;
	bool required = false;
	int rc;

	if (dir->fd < 0)
		return 0;
	if (asprintf(&base, "%s.json", name) < 0 || asprintf(&file.path, "%s/%s", dir->path, base) < 0)
		return failure_set(failure, FAILURE_NO_MEMORY, "memory", "none");
	fd = openat(dir->fd, base, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return errno == ENOENT ? 0 : unreadable(failure, file.path, strerror(errno));
	rc = read_checked(dir, fd, &file, &required, failure);
	if (requiredp)
		*requiredp = required;
	if (rc < 0)
		return rc;
	*filep = file;
	file = (struct config_file){ .masked = false };
	return 1;
}

void config_file_fini(struct config_file *file)
{
	free(file->path);
	free(file->text);
	cJSON_Delete(file->json);
	*file = (struct config_file){ .masked = false };
}
