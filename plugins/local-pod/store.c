/* SPDX-License-Identifier: MIT */
/*
 * Exactness rests on two things. First, what a file or directory contains is taken
 * to be unchanged only while device, inode, size, mtime and ctime are: the kernel
 * moves ctime at every change. Second, its clock ticks coarsely, so two changes in
 * one tick leave the same time; therefore what was read is trusted only if the time
 * on it had passed, by that same clock, before it was looked at. Until then it is
 * read again at each request.
 */
#include "config.h"

#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "inline/utf8.h"

enum { DIGEST_LEN = 16 }; /* hex digits at the end of a worker id */

/* What a file or directory was when it was read. */
struct version {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
	bool trusted;
};

struct entry {
	struct entry *next; /* of the same bucket */
	struct version version;
	enum record_outcome outcome;
	bool read; /* version, outcome and record are those of a file */
	struct record record;
	char *id; /* NULL until it is asked for */
	size_t id_len, name_len;
	char name[];
};

struct store {
	const struct berth_services *services;
	char *pods, *root;
	size_t root_len;
	struct version version; /* of the directory, when the names were read */
	struct entry **entries; /* in the byte order of their names */
	size_t n_entries;
	struct entry **buckets; /* by the digest in the id; a power of two of them. NULL until a look-up */
	size_t n_buckets;
	char *text; /* that a record is read into */
	size_t text_size;
};

/* ---- Versions ---- */

static bool before(struct timespec a, struct timespec b)
{
	return a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec < b.tv_nsec);
}

/* Whether a change that comes later is sure to leave another time. now was read from
 * the clock that the kernel takes file times from, before the file was looked at. */
static bool time_has_passed(struct timespec time, struct timespec now)
{
	/* Full seconds: perhaps a file system that counts no finer, FAT in steps of two. */
	if (time.tv_nsec == 0)
		time.tv_sec += 2;
	return before(time, now);
}

static struct version version_of(const struct stat *st, struct timespec now)
{
	return (struct version){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = st->st_size,
		.mtime = st->st_mtim,
		.ctime = st->st_ctim,
		.trusted = time_has_passed(st->st_mtim, now) && time_has_passed(st->st_ctim, now),
	};
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool unchanged(const struct version *version, const struct stat *st)
{
	return version->trusted && version->dev == st->st_dev && version->ino == st->st_ino &&
	       version->size == st->st_size && same_time(version->mtime, st->st_mtim) &&
	       same_time(version->ctime, st->st_ctim);
}

/* ---- Entries ---- */

static void entry_free(struct entry *entry)
{
	if (!entry)
		return;
	free(entry->record.memory);
	free(entry->id);
	free(entry);
}

static void forget_record(struct entry *entry)
{
	free(entry->record.memory);
	entry->record = (struct record){ 0 };
	entry->read = false;
}

static struct entry *entry_new(const char *name, size_t len)
{
	struct entry *entry = calloc(1, sizeof *entry + len + 1);

	if (!entry)
		return NULL;
	entry->name_len = len;
	memcpy(entry->name, name, len);
	return entry;
}

/* Generates the id, once: it never changes. -ENOMEM. */
static int name_entry(const struct store *store, struct entry *entry)
{
	const struct berth_text prefix = BERTH_TEXT("local-worker-"), name = { entry->name, entry->name_len };
	char buffer[BERTH_ID_MAX];
	struct berth_text id;

	if (entry->id)
		return 0;
	id = store->services->generated_id(store->services, prefix, name, buffer, sizeof buffer);
	if (id.ptr)
		entry->id = strndup(id.ptr, id.len);
	entry->id_len = id.len;
	return entry->id ? 0 : -ENOMEM;
}

/* The digest at the end of an id is as good a hash as there is. */
static size_t hash(const char *id, size_t len)
{
	size_t value = 0;

	for (size_t i = len < DIGEST_LEN ? 0 : len - DIGEST_LEN; i < len; i++)
		value = value << 4 ^ (size_t)(unsigned char)id[i] ^ value >> 28;
	return value;
}

static void drop_index(struct store *store)
{
	free(store->buckets);
	store->buckets = NULL;
}

static int index_entries(struct store *store)
{
	size_t n = 16;

	if (store->buckets)
		return 0;
	for (size_t i = 0; i < store->n_entries; i++)
		if (name_entry(store, store->entries[i]) < 0)
			return -ENOMEM;
	while (n < store->n_entries)
		n *= 2;
	store->buckets = calloc(n, sizeof(struct entry *));
	if (!store->buckets)
		return -ENOMEM;
	store->n_buckets = n;
	for (size_t i = 0; i < store->n_entries; i++) {
		struct entry *entry = store->entries[i], **bucket;

		bucket = &store->buckets[hash(entry->id, entry->id_len) & (n - 1)];
		entry->next = *bucket;
		*bucket = entry;
	}
	return 0;
}

static void drop_entries(struct store *store)
{
	for (size_t i = 0; i < store->n_entries; i++)
		entry_free(store->entries[i]);
	free(store->entries);
	store->entries = NULL;
	store->n_entries = 0;
	store->version.trusted = false;
	drop_index(store);
}

/* ---- Names ---- */

/* The names in the directory, one after the other with their NULs. */
struct names {
	char *text;
	size_t len, size;
	char **list; /* into text, once all are there */
	size_t n;
};

static void names_fini(struct names *names)
{
	free(names->text);
	free(names->list);
}

static int add_name(struct names *names, const char *name, size_t len)
{
	if (names->size - names->len <= len) {
		size_t size = names->size * 2 + len + 1024;
		char *text = realloc(names->text, size);

		if (!text)
			return -ENOMEM;
		names->text = text;
		names->size = size;
	}
	memcpy(names->text + names->len, name, len + 1);
	names->len += len + 1;
	names->n++;
	return 0;
}

/* Links are not followed here. */
static bool is_directory(int dir_fd, const struct dirent *entry)
{
	struct stat st;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_DIR;
	return fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static int compare_names(const void *a, const void *b)
{
	/* strcmp compares as unsigned char: by bytes. */
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int sort_names(struct names *names)
{
	names->list = calloc(names->n + 1, sizeof *names->list);
	if (!names->list)
		return -ENOMEM;
	for (size_t i = 0, at = 0; i < names->n; i++, at += strlen(names->text + at) + 1)
		names->list[i] = names->text + at;
	qsort(names->list, names->n, sizeof *names->list, compare_names);
	return 0;
}

static int read_names(DIR *dir, struct names *names)
{
	const struct dirent *entry;
	int rc = 0;

	while (rc == 0 && (errno = 0, entry = readdir(dir))) {
		size_t len = strlen(entry->d_name);

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (is_directory(dirfd(dir), entry) && utf8_valid(entry->d_name, len))
			rc = add_name(names, entry->d_name, len);
	}
	if (rc == 0 && errno != 0)
		rc = -errno;
	return rc == 0 ? sort_names(names) : rc;
}

/* Makes the entries those of the names; what is known of the old ones stays. On
 * -ENOMEM some names are missing, and the entries are to be dropped. */
static int merge_names(struct store *store, const struct names *names)
{
	struct entry **entries = calloc(names->n + 1, sizeof(struct entry *));
	size_t old = 0, n = 0;

	if (!entries)
		return -ENOMEM;
	while (n < names->n) {
		int order = 1;

		while (old < store->n_entries && (order = strcmp(store->entries[old]->name, names->list[n])) < 0)
			entry_free(store->entries[old++]);
		if (old < store->n_entries && order == 0)
			entries[n] = store->entries[old++];
		else
			entries[n] = entry_new(names->list[n], strlen(names->list[n]));
		if (!entries[n])
			break;
		n++;
	}
	while (old < store->n_entries)
		entry_free(store->entries[old++]);
	free(store->entries);
	store->entries = entries;
	store->n_entries = n;
	drop_index(store);
	return n == names->n ? 0 : -ENOMEM;
}

/* Brings the entries up to date with the directory, which is opened and stays open
 * as *fdp. */
static int refresh(struct store *store, struct timespec now, int *fdp)
{
	struct names names = { 0 };
	struct stat st;
	DIR *dir;
	int fd, rc;

	fd = open(store->pods, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	if (unchanged(&store->version, &st)) {
		*fdp = fd;
		return 0;
	}
	/* The directory stream gets a descriptor of its own, since it closes it. */
	*fdp = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	dir = fdopendir(fd);
	if (*fdp < 0 || !dir) {
		rc = -errno;
		if (*fdp >= 0)
			close(*fdp);
		close(fd);
		return rc;
	}
	rc = read_names(dir, &names);
	closedir(dir);
	if (rc == 0)
		rc = merge_names(store, &names);
	names_fini(&names);
	if (rc < 0) {
		close(*fdp);
		drop_entries(store);
		return rc;
	}
	store->version = version_of(&st, now);
	return 0;
}

/* ---- Records ---- */

/* Reads a file of at most RECORD_SIZE_MAX bytes into store->text; -EFBIG where it is
 * larger. Returns its length. */
static ssize_t read_text(struct store *store, int fd, off_t expected)
{
	size_t len = 0;

	for (;;) {
		size_t wanted = expected >= 0 && (size_t)expected >= len ? (size_t)expected + 1 : len + 4096;
		ssize_t n;

		if (store->text_size < wanted) {
			char *text = realloc(store->text, wanted);

			if (!text)
				return -ENOMEM;
			store->text = text;
			store->text_size = wanted;
		}
		n = read(fd, store->text + len, store->text_size - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		len += (size_t)n;
		if (len > RECORD_SIZE_MAX)
			return -EFBIG;
		/* Shorter than asked for and as long as expected: that was the end. */
		if (n == 0 || (len == (size_t)expected && len < wanted))
			return (ssize_t)len;
	}
}

/* Opens and reads the record; a negative errno where that cannot be done. */
static int read_record(struct store *store, int dir_fd, const char *path, struct entry *entry, struct timespec now)
{
	struct berth_text root = { store->root, store->root_len };
	struct stat st;
	ssize_t len;
	int fd, rc;

	/* Without blocking: it may have become a FIFO or a device since it was looked at. */
	fd = openat(dir_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		rc = -errno;
	else if (!S_ISREG(st.st_mode) || st.st_size > RECORD_SIZE_MAX)
		rc = -EINVAL;
	else if ((len = read_text(store, fd, st.st_size)) < 0)
		rc = (int)len;
	else
		rc = record_parse(store->services, root, (struct berth_text){ store->text, (size_t)len },
				  &entry->record, &entry->outcome);
	close(fd);
	if (rc == 0) {
		entry->version = version_of(&st, now);
		entry->read = true;
	}
	return rc;
}

/* Brings one entry up to date. -ENOMEM; what cannot be read is an outcome. */
static int refresh_entry(struct store *store, int dir_fd, struct entry *entry, struct timespec now)
{
	static const char file[] = "/metadata.json";
	char path[NAME_MAX + sizeof file];
	struct stat st;
	int rc = -EINVAL;

	if (entry->name_len > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(path, entry->name, entry->name_len);
	memcpy(path + entry->name_len, file, sizeof file);
	if (fstatat(dir_fd, path, &st, 0) == 0) {
		if (entry->read && unchanged(&entry->version, &st))
			return 0;
		forget_record(entry);
		if (S_ISREG(st.st_mode) && st.st_size <= RECORD_SIZE_MAX)
			rc = read_record(store, dir_fd, path, entry, now);
	} else {
		forget_record(entry);
	}
	if (rc == -ENOMEM)
		return rc;
	if (rc < 0)
		entry->outcome = RECORD_UNREADABLE;
	return 0;
}

static struct store_entry show(const struct entry *entry)
{
	return (struct store_entry){
		.name = { entry->name, entry->name_len },
		.worker_id = { entry->id, entry->id_len },
		.outcome = entry->outcome,
		.record = entry->record,
	};
}

/* The clock that the kernel takes file times from. */
static struct timespec file_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return now;
}

/* A large record should not keep its memory for ever. */
static void give_back_text(struct store *store)
{
	if (store->text_size <= 64 << 10)
		return;
	free(store->text);
	store->text = NULL;
	store->text_size = 0;
}

int store_each(struct store *store, int (*visit)(void *data, const struct store_entry *entry), void *data)
{
	struct timespec now = file_clock();
	int fd, rc = refresh(store, now, &fd);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < store->n_entries; i++) {
		struct store_entry entry;

		rc = refresh_entry(store, fd, store->entries[i], now);
		if (rc == 0 && store->entries[i]->outcome == RECORD_WORKER)
			rc = name_entry(store, store->entries[i]);
		if (rc < 0)
			break;
		entry = show(store->entries[i]);
		if (visit(data, &entry))
			break;
	}
	close(fd);
	give_back_text(store);
	return rc;
}

int store_find(struct store *store, struct berth_text worker_id, struct store_entry *entryp)
{
	struct timespec now = file_clock();
	struct entry *entry = NULL;
	int fd, rc = refresh(store, now, &fd);

	if (rc < 0)
		return rc;
	rc = index_entries(store);
	if (rc == 0)
		entry = store->buckets[hash(worker_id.ptr, worker_id.len) & (store->n_buckets - 1)];
	while (entry && (entry->id_len != worker_id.len || memcmp(entry->id, worker_id.ptr, worker_id.len) != 0))
		entry = entry->next;
	if (rc == 0)
		rc = entry ? refresh_entry(store, fd, entry, now) : -ENOENT;
	if (rc == 0)
		*entryp = show(entry);
	close(fd);
	give_back_text(store);
	return rc;
}

int store_new(const struct berth_services *services, struct berth_text data_dir, struct berth_text root,
	      struct store **storep)
{
	static const char pods[] = "/pods";
	struct store *store = calloc(1, sizeof *store);

	if (!store)
		return -ENOMEM;
	store->services = services;
	store->pods = malloc(data_dir.len + sizeof pods);
	store->root = malloc(root.len + 1);
	if (!store->pods || !store->root) {
		store_free(store);
		return -ENOMEM;
	}
	memcpy(store->pods, data_dir.ptr, data_dir.len);
	memcpy(store->pods + data_dir.len, pods, sizeof pods);
	memcpy(store->root, root.ptr, root.len);
	store->root_len = root.len;
	*storep = store;
	return 0;
}

void store_free(struct store *store)
{
	if (!store)
		return;
	drop_entries(store);
	free(store->pods);
	free(store->root);
	free(store->text);
	free(store);
}
