/* SPDX-License-Identifier: MIT */
/*
 * What is kept is used again on one of two grounds. Where the kernel tells of changes
 * (watch.h), it is settled from when it was looked at, with the watch set before, until
 * a change is told. Elsewhere a file is taken to be unchanged only while device, inode,
 * size, mtime and ctime are: the kernel moves ctime at every change. Since its clock ticks
 * coarsely, two changes in one tick leave the same time; therefore what was read is
 * trusted only if the time on it had passed, by that same clock, before it was looked
 * at. Until then it is read again at each request.
 *
 * A watch is not free, so there is none until files have been looked at often enough to
 * pay for it; and it is not set for all records at once, so that no request takes much
 * longer than without.
 */
#include "config.h"

#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "inline/json_reader.h"
#include "names.h"
#include "watch.h"

enum {
	DIGEST_LEN = 16,       /* hex digits at the end of a worker id */
	N_WATCHES_A_TURN = 1000,
	N_LOOKS = 4096,        /* cost about as much as to end a watch */
	N_LOOKS_MAX = 1 << 20, /* before what has failed is tried again */
};

/* What a file or directory was when it was read. */
struct version {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
	bool trusted;
};

/* Texts of an entry that stand one behind the other in its memory. */
enum { TEXT_ID, TEXT_LABEL, TEXT_ROLE, TEXT_PROFILE, TEXT_HINT, N_TEXTS };

struct entry {
	struct version version;
	uint64_t digest;  /* of the id, once there is an index */
	const char *name; /* in store->names */
	char *texts;      /* RECORD_WORKER only */
	uint32_t next;    /* of the same digest bucket; 0: none, else the index and 1 */
	uint32_t next_watched;
	int watch; /* its number; 0: none */
	uint16_t name_len;
	uint16_t text_lens[N_TEXTS]; /* 0 for role and profile: absent */
	unsigned char outcome, activity;
	bool read;     /* version, outcome and texts are those of a file */
	bool settled;  /* and are what they are until the watch tells otherwise */
	bool unlikely; /* a link, or another name of a watched file: it is looked at each time */
};

/* Entries in chains, by the low bits of a number. */
struct chains {
	uint32_t *heads; /* a power of two of them; NULL: not made */
	size_t mask;
};

/* Where records are read into. */
struct reader {
	char *text;
	size_t size;
};

struct store {
	const struct berth_services *services;
	char *pods, *root;
	size_t root_len;
	enum store_changes changes;

	char *names;
	struct entry *entries; /* in the byte order of their names */
	size_t n_entries;
	struct version version; /* of the directory, when the names were read */
	bool names_settled;
	struct chains by_digest, by_watch;

	struct watch *watch;
	bool may_watch;
	unsigned n_looks, n_looks_wanted; /* at files and the directory; before it is watched */

	/* Of the request. */
	struct timespec now;
	int fd; /* of the directory; -1 until it is needed */
	unsigned n_watches_left;
	struct reader reader;
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

/* The clock that the kernel takes file times from. */
static struct timespec file_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return now;
}

/* ---- Chains ---- */

static void chains_drop(struct chains *chains)
{
	free(chains->heads);
	chains->heads = NULL;
}

static int chains_make(struct chains *chains, size_t n_entries)
{
	size_t n = 16;

	while (n < n_entries)
		n *= 2;
	chains->heads = calloc(n, sizeof *chains->heads);
	chains->mask = n - 1;
	return chains->heads ? 0 : -ENOMEM;
}

/* ---- Identifiers ---- */

static struct berth_text make_id(const struct store *store, const struct entry *entry, char buffer[BERTH_ID_MAX])
{
	const struct berth_text prefix = BERTH_TEXT("local-worker-"), name = { entry->name, entry->name_len };

	return store->services->generated_id(store->services, prefix, name, buffer, BERTH_ID_MAX);
}

/* The digest at the end of an id; false where there is none. */
static bool read_digest(struct berth_text id, uint64_t *digestp)
{
	uint64_t digest = 0;

	if (id.len < DIGEST_LEN)
		return false;
	for (size_t i = id.len - DIGEST_LEN; i < id.len; i++) {
		uint32_t digit = json_hex_digit(id.ptr[i]);

		if (digit == 16)
			return false;
		digest = digest << 4 | digit;
	}
	*digestp = digest;
	return true;
}

/* The digest is as good a hash as there is. */
static int index_entries(struct store *store)
{
	struct chains *chains = &store->by_digest;
	char buffer[BERTH_ID_MAX];

	if (chains->heads)
		return 0;
	if (chains_make(chains, store->n_entries) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < store->n_entries; i++) {
		struct entry *entry = &store->entries[i];
		uint32_t *head;

		if (!entry->digest && !read_digest(make_id(store, entry, buffer), &entry->digest)) {
			chains_drop(chains);
			return -ENOMEM;
		}
		head = &chains->heads[entry->digest & chains->mask];
		entry->next = *head;
		*head = (uint32_t)i + 1;
	}
	return 0;
}

static struct berth_text text_of(const struct entry *entry, unsigned which)
{
	const char *p = entry->texts;

	for (unsigned i = 0; i < which; i++)
		p += entry->text_lens[i];
	return (struct berth_text){ p, entry->text_lens[which] };
}

static bool has_id(const struct store *store, const struct entry *entry, struct berth_text worker_id)
{
	char buffer[BERTH_ID_MAX];
	struct berth_text id = entry->texts ? text_of(entry, TEXT_ID) : make_id(store, entry, buffer);

	return id.ptr && id.len == worker_id.len && memcmp(id.ptr, worker_id.ptr, id.len) == 0;
}

static struct entry *find_by_id(const struct store *store, struct berth_text worker_id)
{
	uint64_t digest;

	if (!read_digest(worker_id, &digest))
		return NULL;
	for (uint32_t i = store->by_digest.heads[digest & store->by_digest.mask]; i; i = store->entries[i - 1].next)
		if (store->entries[i - 1].digest == digest && has_id(store, &store->entries[i - 1], worker_id))
			return &store->entries[i - 1];
	return NULL;
}

/* ---- Watched entries ---- */

static struct entry *find_by_watch(const struct store *store, int number)
{
	uint32_t i = store->by_watch.heads ? store->by_watch.heads[(size_t)number & store->by_watch.mask] : 0;

	while (i && store->entries[i - 1].watch != number)
		i = store->entries[i - 1].next_watched;
	return i ? &store->entries[i - 1] : NULL;
}

static void chain_watched(struct store *store, struct entry *entry)
{
	uint32_t *head = &store->by_watch.heads[(size_t)entry->watch & store->by_watch.mask];

	entry->next_watched = *head;
	*head = (uint32_t)(entry - store->entries) + 1;
}

/* Parts an entry from its watch, which goes on. */
static void unchain_watched(struct store *store, struct entry *entry)
{
	uint32_t *at = &store->by_watch.heads[(size_t)entry->watch & store->by_watch.mask];

	while (*at != (uint32_t)(entry - store->entries) + 1)
		at = &store->entries[*at - 1].next_watched;
	*at = entry->next_watched;
	entry->watch = 0;
	entry->settled = false;
}

/* From here on everything is looked at again. */
static void unsettle(struct store *store)
{
	store->names_settled = false;
	for (size_t i = 0; i < store->n_entries; i++)
		store->entries[i].settled = store->entries[i].unlikely = false;
}

static void give_up_watch(struct store *store)
{
	unsettle(store);
	for (size_t i = 0; i < store->n_entries; i++)
		store->entries[i].watch = 0;
	watch_close(store->watch);
	store->watch = NULL;
	chains_drop(&store->by_watch);
	store->n_looks = 0;
	store->n_looks_wanted = store->n_looks_wanted < N_LOOKS_MAX ? store->n_looks_wanted * 2 + 1 : N_LOOKS_MAX;
}

/* Sets the watch on a record before it is looked at. Whether there is one that is the
 * entry's alone. */
static bool watch_record(struct store *store, struct entry *entry, const char *path)
{
	struct entry *other;
	int number;

	if (!store->watch || entry->unlikely || store->n_watches_left == 0)
		return false;
	store->n_watches_left--;
	/* Also where there was one: the path may mean another file by now. */
	number = watch_add(store->watch, path);
	if (number < 0)
		return false;
	if (number == entry->watch)
		return true;
	other = find_by_watch(store, number);
	if (other && other->settled) {
		entry->unlikely = true;
		return false;
	}
	if (other)
		unchain_watched(store, other);
	if (entry->watch) {
		watch_remove(store->watch, entry->watch);
		unchain_watched(store, entry);
	}
	entry->watch = number;
	chain_watched(store, entry);
	return true;
}

static void forget_watch(struct store *store, struct entry *entry)
{
	if (!entry->watch)
		return;
	watch_remove(store->watch, entry->watch);
	unchain_watched(store, entry);
}

/* ---- What the watch tells ---- */

static int compare_name(const void *name, const void *entry)
{
	return strcmp(name, ((const struct entry *)entry)->name);
}

static void on_touched(void *data, const char *name)
{
	struct store *store = data;
	struct entry *entry = NULL;

	if (store->n_entries > 0)
		entry = bsearch(name, store->entries, store->n_entries, sizeof *entry, compare_name);
	if (entry)
		entry->settled = entry->unlikely = false;
}

static void on_moved(void *data, const char *name)
{
	struct store *store = data;

	store->names_settled = false;
	on_touched(store, name);
}

static void on_file(void *data, int number)
{
	struct entry *entry = find_by_watch(data, number);

	if (entry)
		entry->settled = false;
}

static void begin_watch(struct store *store)
{
	if (watch_open(store->pods, &store->watch) < 0 || chains_make(&store->by_watch, store->n_entries) < 0)
		give_up_watch(store);
}

static void follow_watch(struct store *store)
{
	static const struct watch_visitor visitor = { on_moved, on_touched, on_file };

	if (watch_read(store->watch, &visitor, store) == 0)
		return;
	unsettle(store);
	if (watch_way(store->watch) < 0)
		give_up_watch(store);
}

/* ---- Entries ---- */

static void forget_record(struct entry *entry)
{
	free(entry->texts);
	entry->texts = NULL;
	entry->read = entry->settled = entry->unlikely = false;
	entry->outcome = RECORD_UNREADABLE;
}

static void drop_entry(struct store *store, struct entry *entry)
{
	forget_watch(store, entry);
	forget_record(entry);
}

static void drop_entries(struct store *store)
{
	for (size_t i = 0; i < store->n_entries; i++)
		drop_entry(store, &store->entries[i]);
	free(store->entries);
	free(store->names);
	store->entries = NULL;
	store->names = NULL;
	store->n_entries = 0;
	store->version.trusted = store->names_settled = false;
	chains_drop(&store->by_digest);
}

/* Makes the entries those of the names, which it takes; what is known of the old ones
 * stays. -ENOMEM. */
static int merge_names(struct store *store, struct names *names)
{
	struct entry *entries = names->n < UINT32_MAX ? calloc(names->n + 1, sizeof *entries) : NULL;
	struct chains by_watch = { NULL, 0 };
	size_t old = 0;

	if (!entries || (store->watch && chains_make(&by_watch, names->n) < 0)) {
		free(entries);
		return -ENOMEM;
	}
	for (size_t i = 0; i < names->n; i++) {
		const struct name *name = &names->list[i];
		int order = 1;

		while (old < store->n_entries && (order = strcmp(store->entries[old].name, name->text)) < 0)
			drop_entry(store, &store->entries[old++]);
		if (old < store->n_entries && order == 0)
			entries[i] = store->entries[old++];
		entries[i].name = name->text;
		entries[i].name_len = name->len;
	}
	while (old < store->n_entries)
		drop_entry(store, &store->entries[old++]);
	free(store->entries);
	free(store->names);
	chains_drop(&store->by_digest);
	chains_drop(&store->by_watch);
	store->entries = entries;
	store->n_entries = names->n;
	store->by_watch = by_watch;
	store->names = names->text;
	names->text = NULL;
	for (size_t i = 0; store->watch && i < store->n_entries; i++)
		if (entries[i].watch)
			chain_watched(store, &entries[i]);
	return 0;
}

/* ---- The directory ---- */

static int open_pods(struct store *store)
{
	if (store->fd < 0)
		store->fd = open(store->pods, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return store->fd < 0 ? -errno : 0;
}

/* Brings the entries up to date with the directory. */
static int refresh_names(struct store *store)
{
	struct names names = { .text = NULL };
	struct stat st;
	int rc = open_pods(store);

	store->n_looks++;
	if (rc < 0 || fstat(store->fd, &st) < 0)
		return rc < 0 ? rc : -errno;
	if (!unchanged(&store->version, &st)) {
		rc = names_read(store->fd, &names);
		if (rc == 0)
			rc = merge_names(store, &names);
		names_fini(&names);
		if (rc < 0) {
			drop_entries(store);
			return rc;
		}
		store->version = version_of(&st, store->now);
	}
	/* That an empty directory goes while somebody is in it is told late. */
	store->names_settled = store->watch && store->n_entries > 0;
	return 0;
}

/* Begins a request: from here on everything is as it is now. */
static int begin(struct store *store)
{
	store->now = file_clock();
	store->fd = -1;
	store->n_watches_left = N_WATCHES_A_TURN;
	if (store->changes == CHANGES_UNKNOWN)
		drop_entries(store);
	if (store->watch)
		follow_watch(store);
	else if (store->may_watch && store->n_looks >= store->n_looks_wanted)
		begin_watch(store);
	return store->names_settled ? 0 : refresh_names(store);
}

static void end(struct store *store)
{
	if (store->fd >= 0)
		close(store->fd);
	/* A large record should not keep its memory for ever. */
	if (store->reader.size > 64 << 10) {
		free(store->reader.text);
		store->reader = (struct reader){ NULL, 0 };
	}
}

/* ---- Records ---- */

/* Reads a file of at most RECORD_SIZE_MAX bytes; -EFBIG where it is larger. Returns its
 * length. */
static ssize_t read_text(struct reader *reader, int fd, off_t expected)
{
	size_t len = 0;

	for (;;) {
		size_t wanted = expected >= 0 && (size_t)expected >= len ? (size_t)expected + 1 : len + 4096;
		ssize_t n;

		if (reader->size < wanted) {
			char *text = realloc(reader->text, wanted);

			if (!text)
				return -ENOMEM;
			reader->text = text;
			reader->size = wanted;
		}
		n = read(fd, reader->text + len, reader->size - len);
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

/* Keeps what is shown of a worker. -ENOMEM. */
static int keep_texts(const struct store *store, const struct record *record, struct entry *entry)
{
	char id[BERTH_ID_MAX], hint[BERTH_HINT_MAX], *p;
	const struct berth_text name = { entry->name, entry->name_len }, texts[N_TEXTS] = {
		[TEXT_ID] = make_id(store, entry, id),
		[TEXT_LABEL] = record->label,
		[TEXT_ROLE] = record->role,
		[TEXT_PROFILE] = record->profile,
		[TEXT_HINT] = store->services->display_hint(store->services, name, hint, sizeof hint),
	};
	size_t len = 0;

	for (unsigned i = 0; i < N_TEXTS; i++)
		len += texts[i].len;
	p = entry->texts = texts[TEXT_ID].ptr ? malloc(len) : NULL;
	if (!p)
		return -ENOMEM;
	for (unsigned i = 0; i < N_TEXTS; i++) {
		entry->text_lens[i] = (uint16_t)texts[i].len;
		if (texts[i].len > 0)
			p = mempcpy(p, texts[i].ptr, texts[i].len);
	}
	return 0;
}

static int parse_record(const struct store *store, struct berth_text text, struct entry *entry)
{
	const struct berth_text root = { store->root, store->root_len };
	enum record_outcome outcome;
	struct record record;
	int rc = record_parse(store->services, root, text, &record, &outcome);

	if (rc == 0 && outcome == RECORD_WORKER)
		rc = keep_texts(store, &record, entry);
	if (rc < 0)
		return rc;
	entry->activity = (unsigned char)record.activity;
	entry->outcome = (unsigned char)outcome;
	return 0;
}

/* Opens the record. Without blocking: it may have become a FIFO since it was looked at. A
 * link is looked at first, since it could lead to a device that is moved by being opened. */
static int open_record(int dir_fd, const char *path, bool *linkp)
{
	const int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	int fd = openat(dir_fd, path, flags | O_NOFOLLOW);
	struct stat st;

	*linkp = fd < 0 && errno == ELOOP;
	if (*linkp) {
		if (fstatat(dir_fd, path, &st, 0) < 0)
			return -errno;
		if (!S_ISREG(st.st_mode))
			return -EINVAL;
		fd = openat(dir_fd, path, flags);
	}
	return fd < 0 ? -errno : fd;
}

/* Reads the record; a negative errno where that cannot be done. */
static int read_record(struct store *store, const char *path, struct entry *entry, bool *linkp)
{
	struct stat st;
	ssize_t len;
	int fd, rc;

	fd = open_record(store->fd, path, linkp);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		rc = -errno;
	else if (!S_ISREG(st.st_mode) || st.st_size > RECORD_SIZE_MAX)
		rc = -EINVAL;
	else if ((len = read_text(&store->reader, fd, st.st_size)) < 0)
		rc = (int)len;
	else
		rc = parse_record(store, (struct berth_text){ store->reader.text, (size_t)len }, entry);
	close(fd);
	if (rc == 0) {
		entry->version = version_of(&st, store->now);
		entry->read = true;
	}
	return rc;
}

/* Whether the record is the one that was read. A link that stands in its place is not what
 * the watch was set for. */
static bool is_as_read(struct store *store, const char *path, const struct entry *entry, bool watched, bool *linkp)
{
	struct stat st;

	store->n_looks++;
	if (fstatat(store->fd, path, &st, watched ? AT_SYMLINK_NOFOLLOW : 0) < 0)
		return false;
	*linkp = watched && S_ISLNK(st.st_mode);
	if (*linkp && fstatat(store->fd, path, &st, 0) < 0)
		return false;
	return unchanged(&entry->version, &st);
}

/* Brings one entry up to date. -ENOMEM, or that the directory cannot be opened; what
 * cannot be read is an outcome. */
static int refresh_entry(struct store *store, struct entry *entry)
{
	static const char file[] = "/metadata.json";
	bool watched = false, link = false;
	char path[NAME_MAX + sizeof file];
	int rc;

	if (entry->settled)
		return 0;
	rc = open_pods(store);
	if (rc < 0)
		return rc;
	memcpy(path, entry->name, entry->name_len);
	memcpy(path + entry->name_len, file, sizeof file);
	if (entry->read)
		watched = watch_record(store, entry, path);
	if (!entry->read || !is_as_read(store, path, entry, watched, &link)) {
		forget_record(entry);
		rc = read_record(store, path, entry, &link);
		if (rc == -ENOMEM)
			return rc;
	}
	entry->unlikely = link;
	/* Another file system may not tell its changes. */
	entry->settled = entry->read && watched && !link && entry->version.dev == store->version.dev;
	if (watched && !entry->settled)
		forget_watch(store, entry);
	return 0;
}

static struct store_entry show(const struct entry *entry)
{
	struct store_entry shown = { .outcome = entry->outcome, .activity = entry->activity };

	if (entry->outcome != RECORD_WORKER)
		return shown;
	shown.worker_id = text_of(entry, TEXT_ID);
	shown.label = text_of(entry, TEXT_LABEL);
	shown.role = text_of(entry, TEXT_ROLE);
	shown.profile = text_of(entry, TEXT_PROFILE);
	shown.hint = text_of(entry, TEXT_HINT);
	if (shown.role.len == 0)
		shown.role.ptr = NULL;
	if (shown.profile.len == 0)
		shown.profile.ptr = NULL;
	return shown;
}

int store_each(struct store *store, int (*visit)(void *data, const struct store_entry *entry), void *data)
{
	int rc = begin(store);

	for (size_t i = 0; rc == 0 && i < store->n_entries; i++) {
		struct store_entry entry;

		rc = refresh_entry(store, &store->entries[i]);
		if (rc < 0)
			break;
		entry = show(&store->entries[i]);
		if (visit(data, &entry))
			break;
	}
	end(store);
	return rc;
}

int store_find(struct store *store, struct berth_text worker_id, struct store_entry *entryp)
{
	struct entry *entry = NULL;
	int rc = begin(store);

	if (rc == 0)
		rc = index_entries(store);
	if (rc == 0) {
		entry = find_by_id(store, worker_id);
		rc = entry ? refresh_entry(store, entry) : -ENOENT;
	}
	if (rc == 0)
		*entryp = show(entry);
	end(store);
	return rc;
}

int store_new(const struct berth_services *services, struct berth_text data_dir, struct berth_text root,
	      enum store_changes changes, struct store **storep)
{
	static const char pods[] = "/pods";
	struct store *store = calloc(1, sizeof *store);

	if (!store)
		return -ENOMEM;
	store->services = services;
	store->changes = changes;
	store->may_watch = changes == CHANGES_AUTO || changes == CHANGES_WATCHED;
	store->n_looks_wanted = changes == CHANGES_AUTO ? N_LOOKS : 0;
	store->fd = -1;
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
	give_up_watch(store);
	free(store->pods);
	free(store->root);
	free(store->reader.text);
	free(store);
}
