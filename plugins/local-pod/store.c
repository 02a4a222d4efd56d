/* SPDX-License-Identifier: MIT */
/*
 * What is kept is used again on one of two grounds. Where the kernel tells of changes
 * (watch.h), it is settled from when it was looked at, with the watch set before, until
 * a change is told. Elsewhere it is looked at for each request, and used as long as it is
 * the version that was read (version.h).
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

#include "crew.h"
#include "inline/json_reader.h"
#include "names.h"
#include "reader.h"
#include "version.h"
#include "watch.h"

enum {
	DIGEST_LEN = 16,         /* hex digits at the end of a worker id */
	N_WATCHES_A_TURN = 1000, /* and an eighth of all */
	N_HELPERS = 3,           /* threads that read ahead, where there are processors */
	N_AHEAD_MIN = 500,       /* records that they are worth it for */
	PIECE = 32,              /* records that are looked at or read in one go */
	N_LOOKS = 4096,          /* cost about as much as to end a watch */
	N_LOOKS_MAX = 1 << 20,   /* before what has failed is tried again */
};

static const char record_file[] = "/metadata.json";

enum { PATH_SIZE = NAME_MAX + sizeof record_file };

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
	bool looked_at; /* for this request, ahead of its turn */
	bool unlikely; /* a link, or another name of a watched file: it is looked at each time */
};

/* Entries in chains, by the low bits of a number. */
struct chains {
	uint32_t *heads; /* a power of two of them; NULL: not made */
	size_t mask;
};

struct store {
	const struct berth_services *services;
	char *pods, *root;
	size_t root_len;
	enum store_changes changes;

	char *names;
	struct entry *entries; /* in the byte order of their names */
	size_t n_entries, n_listed; /* so many of them have been shown once */
	struct version version; /* of the directory, when the names were read */
	bool names_settled;
	struct chains by_digest, by_watch;

	struct watch *watch;
	bool may_watch;
	unsigned n_looks, n_looks_wanted; /* at files and the directory; before it is watched */

	/* Of the request. */
	struct timespec now;
	int fd; /* of the directory; -1 until it is needed */
	size_t n_watches_left;
	struct reader readers[1 + N_HELPERS]; /* the first is ours, the others of the crew */
};

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

static void find_way(struct store *store)
{
	unsettle(store);
	if (watch_way(store->watch) < 0)
		give_up_watch(store);
}

static void follow_watch(struct store *store)
{
	static const struct watch_visitor visitor = { on_moved, on_touched, on_file };

	if (watch_read(store->watch, &visitor, store) < 0)
		find_way(store);
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
	store->n_entries = store->n_listed = 0;
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
	for (size_t i = 0; by_watch.heads && i < store->n_entries; i++)
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
	if (!version_is(&store->version, &st)) {
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
	if (store->watch && !watch_is_of(store->watch, &st)) {
		find_way(store);
		store->n_watches_left = 0;
		return 0;
	}
	/* An empty directory may go without a word. */
	store->names_settled = store->watch && store->n_entries > 0;
	return 0;
}

/* Begins a request: from here on everything is as it is now. */
static int begin(struct store *store)
{
	store->now = version_clock();
	store->fd = -1;
	store->n_watches_left = N_WATCHES_A_TURN + store->n_entries / 8;
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
	for (size_t i = 0; i <= N_HELPERS; i++)
		reader_rest(&store->readers[i]);
}

/* ---- Records ---- */

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

/* Reads the record; a negative errno where that cannot be done. */
static int read_record(const struct store *store, struct reader *reader, const char *path, struct entry *entry,
		       bool *linkp)
{
	struct stat st;
	ssize_t len = reader_read(reader, store->fd, path, &st, linkp);
	int rc;

	if (len < 0)
		return (int)len;
	rc = parse_record(store, (struct berth_text){ reader->text, (size_t)len }, entry);
	if (rc < 0)
		return rc;
	entry->version = version_of(&st, store->now);
	entry->read = true;
	return 0;
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
	return version_is(&entry->version, &st);
}

static const char *path_of(const struct entry *entry, char path[PATH_SIZE])
{
	memcpy(path, entry->name, entry->name_len);
	memcpy(path + entry->name_len, record_file, sizeof record_file);
	return path;
}

/* Brings one entry up to date. -ENOMEM, or that the directory cannot be opened; what
 * cannot be read is an outcome. */
static int refresh_entry(struct store *store, struct entry *entry)
{
	bool watched = false, link = false;
	char path[PATH_SIZE];
	int rc;

	if (entry->settled || entry->looked_at)
		return 0;
	rc = open_pods(store);
	if (rc < 0)
		return rc;
	path_of(entry, path);
	if (entry->read)
		watched = watch_record(store, entry, path);
	if (!entry->read || !is_as_read(store, path, entry, watched, &link)) {
		forget_record(entry);
		rc = read_record(store, &store->readers[0], path, entry, &link);
		if (rc == -ENOMEM)
			return rc;
	}
	entry->unlikely = link;
	entry->settled = entry->read && watched && !link;
	if (watched && !entry->settled)
		forget_watch(store, entry);
	return 0;
}

/* ---- Reading ahead ---- */

/* Of the entries that are listed for the first time, reads those that never were. */
static int read_piece(void *data, unsigned who, size_t piece)
{
	struct store *store = data;
	size_t begin = store->n_listed + piece * PIECE, left = store->n_entries - begin;

	for (size_t i = begin; i < begin + (left < PIECE ? left : PIECE); i++) {
		struct entry *entry = &store->entries[i];
		char path[PATH_SIZE];

		if (entry->read)
			continue;
		forget_record(entry);
		if (read_record(store, &store->readers[who], path_of(entry, path), entry, &entry->unlikely) == -ENOMEM)
			return -ENOMEM;
		entry->looked_at = true;
	}
	return 0;
}

/* Has the first n entries read ahead, if that is worth it. */
static int begin_ahead(struct store *store, size_t n, struct crew **crewp)
{
	unsigned n_threads;
	int rc;

	if (n > store->n_entries)
		n = store->n_entries;
	if (n < store->n_listed + N_AHEAD_MIN || store->changes == CHANGES_UNKNOWN)
		return 0;
	n_threads = crew_size(N_HELPERS);
	rc = n_threads > 0 ? open_pods(store) : 0;
	if (rc < 0 || n_threads == 0)
		return rc;
	return crew_start(n_threads, (n - store->n_listed + PIECE - 1) / PIECE, read_piece, store, crewp);
}

/* Entries from here on have been shown. */
static void end_ahead(struct store *store, struct crew *crew, size_t n)
{
	crew_end(crew);
	for (size_t i = store->n_listed; crew && i < store->n_entries; i++)
		store->entries[i].looked_at = false;
	if (n > store->n_listed)
		store->n_listed = n;
}

/* ---- Requests ---- */

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

/* Brings a piece of the entries from the one at first on up to date, and says where it ends: all of them before any is
 * shown, since what shows them and what looks at them drive each other out of the caches. */
static int refresh_piece(struct store *store, struct crew *crew, size_t first, size_t n_wanted, size_t *endp)
{
	size_t end = first + PIECE, listed = store->n_listed;
	int rc = 0;

	/* Not more than is asked for, and so that pieces are those of the crew. */
	if (end > n_wanted)
		end = first < n_wanted ? n_wanted : first + 1;
	if (end > store->n_entries)
		end = store->n_entries;
	if (first < listed && end > listed)
		end = listed;
	if (crew && first >= listed && (first - listed) % PIECE == 0)
		rc = crew_need(crew, (first - listed) / PIECE);
	for (size_t i = first; rc == 0 && i < end; i++)
		rc = refresh_entry(store, &store->entries[i]);
	*endp = end;
	return rc;
}

int store_each(struct store *store, uint64_t n_wanted, int (*visit)(void *data, const struct store_entry *entry),
	       void *data)
{
	size_t n = n_wanted < SIZE_MAX ? (size_t)n_wanted : SIZE_MAX, i = 0, refreshed = 0;
	struct crew *crew = NULL;
	int rc = begin(store);

	if (rc == 0)
		rc = begin_ahead(store, n, &crew);
	for (; rc == 0 && i < store->n_entries; i++) {
		struct store_entry entry;

		if (i == refreshed)
			rc = refresh_piece(store, crew, i, n, &refreshed);
		if (rc < 0)
			break;
		entry = show(&store->entries[i]);
		if (visit(data, &entry))
			break;
	}
	end_ahead(store, crew, i);
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
	for (size_t i = 0; i <= N_HELPERS; i++)
		reader_fini(&store->readers[i]);
	free(store);
}
