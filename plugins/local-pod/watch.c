/* SPDX-License-Identifier: MIT */
/*
 * inotify queues an event before the system call that causes it returns. That makes it
 * exact: nothing in the queue means that nothing has changed. A path means another file
 * only when a directory or link on the way is moved or removed, which is an event of its
 * own, or when something is mounted, which the kernel tells through mountinfo.
 *
 * Permissions of the directories on the way are not watched: that makes the kernel go
 * through all that it knows of names in them, there or not, which in /tmp may take
 * seconds. Those whom permissions can stop go the way each time instead.
 */
#include "config.h"

#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
	N_LINKS_MAX = 40, /* on the way, as in the kernel */
	N_WAY_MAX = 256,
	N_EVENT_BYTES = 32 << 10,

	WAY_MASK = IN_MOVE_SELF | IN_DELETE_SELF | IN_DONT_FOLLOW,
	/* That one of a link's names goes, perhaps not the last. */
	LINK_MASK = WAY_MASK | IN_ATTRIB,
	DIR_MASK = IN_MOVE_SELF | IN_DELETE_SELF | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO,
	/* Closing tells of what was written through a mapping, too. */
	FILE_MASK = LINK_MASK | IN_MODIFY | IN_CLOSE_WRITE,
};

struct watch {
	int inotify_fd, mounts_fd, epoll_fd;
	const char *path;    /* of the directory, as it was given */
	bool may_go_anywhere; /* whatever the permissions on the way */
	int way[N_WAY_MAX];  /* the numbers of what is on the way, the directory last */
	size_t n_way;
	int last;            /* the highest number there was; they are given in ascending order */
	size_t n_left;       /* files that may still be added */
	dev_t dev;           /* of the directory */
	ino_t ino;
	size_t len;
	char file[PATH_MAX]; /* begins with the path of the directory without links */
};

/* ---- The way ---- */

/* What is left to walk, behind what was walked; no links lead through that. */
struct walk {
	char done[PATH_MAX], rest[PATH_MAX];
	size_t len;
	int n_links;
};

static int add(struct watch *watch, const char *path, uint32_t mask)
{
	int number = inotify_add_watch(watch->inotify_fd, path, mask);

	if (number < 0)
		return -errno;
	if (number > watch->last)
		watch->last = number;
	return number;
}

/* Whether every change there is told. */
static bool tells_changes(const char *path, bool on_the_way)
{
	struct statfs fs;

	if (statfs(path, &fs) < 0)
		return false;
	switch ((unsigned long)fs.f_type) {
	case EXT4_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
	case BTRFS_SUPER_MAGIC:
	case F2FS_SUPER_MAGIC:
	case TMPFS_MAGIC:
	case RAMFS_MAGIC:
		return true;
	case OVERLAYFS_SUPER_MAGIC:
		/* The root of a container. What it shows of the layers beneath may change silently. */
		return on_the_way;
	default:
		return false;
	}
}

static int add_to_way(struct watch *watch, const char *path, uint32_t mask)
{
	int number = watch->n_way < N_WAY_MAX ? add(watch, path, mask) : -EOPNOTSUPP;

	if (number >= 0)
		watch->way[watch->n_way++] = number;
	return number;
}

static bool is_on_the_way(const struct watch *watch, int number)
{
	for (size_t i = 0; i < watch->n_way; i++)
		if (watch->way[i] == number)
			return true;
	return false;
}

/* Puts the target of the link that was walked to, if it is one, in its place. */
static int follow_link(struct watch *watch, struct walk *walk, size_t parent_len)
{
	char target[PATH_MAX], rest[PATH_MAX];
	ssize_t len = readlink(walk->done, target, sizeof target);
	int n;

	if (len < 0 && errno == EINVAL)
		return tells_changes(walk->done, true) ? 0 : -EOPNOTSUPP;
	if (len < 0)
		return -errno;
	if (++walk->n_links > N_LINKS_MAX)
		return -ELOOP;
	n = snprintf(rest, sizeof rest, "%.*s/%s", (int)len, target, walk->rest);
	if (n < 0 || (size_t)n >= sizeof rest)
		return -ENAMETOOLONG;
	n = add_to_way(watch, walk->done, LINK_MASK);
	if (n < 0)
		return n;
	strcpy(walk->rest, rest);
	walk->len = target[0] == '/' ? 0 : parent_len;
	return 0;
}

/* Walks on by the first name of the rest. */
static int walk_on(struct watch *watch, struct walk *walk)
{
	size_t begin = strspn(walk->rest, "/"), len = strcspn(walk->rest + begin, "/"), parent_len = walk->len;
	const char *name = walk->rest + begin;
	int rc;

	if (len == 2 && memcmp(name, "..", 2) == 0) {
		while (walk->len > 0 && walk->done[--walk->len] != '/')
			;
	} else if (len > 0 && !(len == 1 && *name == '.')) {
		if (walk->len + 1 + len >= sizeof walk->done)
			return -ENAMETOOLONG;
		walk->done[walk->len++] = '/';
		memcpy(walk->done + walk->len, name, len);
		walk->len += len;
	}
	memmove(walk->rest, name + len, strlen(name + len) + 1);
	walk->done[walk->len] = '\0';
	if (walk->len == 0)
		return 0;
	/* First watched, then looked at: what is changed in between is told. */
	rc = add_to_way(watch, walk->done, WAY_MASK);
	return rc < 0 ? rc : follow_link(watch, walk, parent_len);
}

/* Writes a path of mountinfo, in which blanks are octal, as it is; in place. */
static void decode_octal(char *path)
{
	char *to = path;

	for (const char *p = path; *p; to++) {
		if (p[0] == '\\' && p[1] && p[2] && p[3]) {
			*to = (char)((p[1] & 3) << 6 | (p[2] & 7) << 3 | (p[3] & 7));
			p += 4;
		} else {
			*to = *p++;
		}
	}
	*to = '\0';
}

/* Whether something is mounted below the directory: its permissions would be told where it
 * comes from, and it may be a file system that tells nothing. */
static bool has_mounts(const struct watch *watch)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char *line = NULL, *path;
	size_t size = 0;
	bool found = !file;

	while (!found && getline(&line, &size, file) > 0) {
		if (sscanf(line, "%*s %*s %*s %*s %ms", &path) != 1)
			continue;
		decode_octal(path);
		found = strncmp(path, watch->file, watch->len) == 0;
		free(path);
	}
	free(line);
	if (file)
		fclose(file);
	return found;
}

/* Adds the directory at the end, and keeps which one it is. */
static int add_directory(struct watch *watch)
{
	int fd = open(watch->file, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), rc;
	char path[64];
	struct stat st;

	if (fd < 0)
		return -errno;
	/* This one, and not what is at the end of the way by then. */
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	rc = fstat(fd, &st) < 0 ? -errno : add_to_way(watch, path, DIR_MASK);
	close(fd);
	if (rc < 0)
		return rc;
	watch->dev = st.st_dev;
	watch->ino = st.st_ino;
	return 0;
}

static int walk_all(struct watch *watch)
{
	struct walk walk = { .len = 0 };
	int rc = 0;

	if (*watch->path != '/' || strlen(watch->path) >= sizeof walk.rest)
		return -EOPNOTSUPP;
	strcpy(walk.rest, watch->path);
	while (rc == 0 && *walk.rest)
		rc = walk_on(watch, &walk);
	if (rc < 0)
		return rc;
	memcpy(watch->file, walk.done, walk.len);
	watch->file[walk.len] = '/';
	watch->file[walk.len + 1] = '\0';
	watch->len = walk.len + 1;
	rc = add_directory(watch);
	if (rc < 0)
		return rc;
	return tells_changes(watch->file, false) && !has_mounts(watch) ? 0 : -EOPNOTSUPP;
}

int watch_way(struct watch *watch)
{
	int old[N_WAY_MAX], rc;
	size_t n_old = watch->n_way;

	memcpy(old, watch->way, sizeof old);
	watch->n_way = 0;
	rc = walk_all(watch);
	for (size_t i = 0; i < n_old; i++)
		if (!is_on_the_way(watch, old[i]))
			inotify_rm_watch(watch->inotify_fd, old[i]);
	return rc;
}

bool watch_is_of(const struct watch *watch, const struct stat *st)
{
	return watch->dev == st->st_dev && watch->ino == st->st_ino;
}

/* ---- Opening ---- */

/* Half of what a user may watch, which is for all programs of that user. */
static size_t n_files_max(void)
{
	FILE *file = fopen("/proc/sys/fs/inotify/max_user_watches", "re");
	size_t n = 0;

	if (file && fscanf(file, "%zu", &n) != 1)
		n = 0;
	if (file)
		fclose(file);
	return n / 2;
}

/* Whether all users are those of the machine, so that its files can be ours. */
static bool has_all_users(void)
{
	FILE *file = fopen("/proc/self/uid_map", "re");
	unsigned long inside = 1, outside = 1, n = 0;

	if (file && fscanf(file, "%lu %lu %lu", &inside, &outside, &n) != 3)
		n = 0;
	if (file)
		fclose(file);
	return inside == 0 && outside == 0 && n == UINT32_MAX;
}

/* Whether permissions to search do not count. */
static bool may_search_anything(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	const uint32_t enough = 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH;

	return syscall(SYS_capget, &header, data) == 0 && data[0].effective & enough && has_all_users();
}

static int follow_fd(struct watch *watch, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	return epoll_ctl(watch->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int watch_open(const char *path, struct watch **watchp)
{
	struct watch *watch = calloc(1, sizeof *watch);
	int rc = 0;

	if (!watch)
		return -ENOMEM;
	watch->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	watch->mounts_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	watch->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (watch->inotify_fd < 0 || watch->mounts_fd < 0 || watch->epoll_fd < 0)
		rc = -errno;
	if (rc == 0)
		rc = follow_fd(watch, watch->inotify_fd, EPOLLIN);
	if (rc == 0)
		rc = follow_fd(watch, watch->mounts_fd, EPOLLPRI);
	watch->path = path;
	watch->may_go_anywhere = may_search_anything();
	watch->n_left = n_files_max();
	if (rc == 0)
		rc = watch_way(watch);
	if (rc < 0) {
		watch_close(watch);
		return rc;
	}
	*watchp = watch;
	return 0;
}

void watch_close(struct watch *watch)
{
	if (!watch)
		return;
	if (watch->epoll_fd >= 0)
		close(watch->epoll_fd);
	if (watch->mounts_fd >= 0)
		close(watch->mounts_fd);
	if (watch->inotify_fd >= 0)
		close(watch->inotify_fd);
	free(watch);
}

int watch_add(struct watch *watch, const char *path)
{
	size_t len = strlen(path);
	int last = watch->last, number;

	if (watch->n_left == 0)
		return -ENOSPC;
	if (watch->len + len >= sizeof watch->file)
		return -ENAMETOOLONG;
	memcpy(watch->file + watch->len, path, len + 1);
	number = add(watch, watch->file, FILE_MASK);
	if (number > last)
		watch->n_left--;
	if (number == -ENOSPC)
		watch->n_left = 0;
	return number;
}

void watch_remove(struct watch *watch, int number)
{
	/* It may have gone with its file. */
	inotify_rm_watch(watch->inotify_fd, number);
	watch->n_left++;
}

/* ---- Reading ---- */

static int tell(const struct watch *watch, const struct inotify_event *event, const struct watch_visitor *visitor,
		void *data)
{
	if (event->mask & IN_Q_OVERFLOW)
		return -ESTALE;
	if (!is_on_the_way(watch, event->wd)) {
		visitor->file(data, event->wd);
		return 0;
	}
	/* Of what is in them, only the directories in the last one matter. */
	if (event->len == 0)
		return -ESTALE;
	if (event->wd != watch->way[watch->n_way - 1] || !(event->mask & IN_ISDIR))
		return 0;
	if (event->mask & (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO))
		visitor->moved(data, event->name);
	else
		visitor->touched(data, event->name);
	return 0;
}

static int read_events(const struct watch *watch, const struct watch_visitor *visitor, void *data)
{
	char bytes[N_EVENT_BYTES] __attribute__((aligned(__alignof__(struct inotify_event))));
	int left = 0, rc = 0;

	/* What is queued while this runs was changed after the request. */
	if (ioctl(watch->inotify_fd, FIONREAD, &left) < 0)
		return -ESTALE;
	while (left > 0) {
		ssize_t n = read(watch->inotify_fd, bytes, sizeof bytes);

		if (n <= 0)
			return -ESTALE;
		for (ssize_t at = 0; at < n && rc == 0;) {
			const struct inotify_event *event = (const struct inotify_event *)(const void *)(bytes + at);

			rc = tell(watch, event, visitor, data);
			at += (ssize_t)(sizeof *event + event->len);
		}
		if (rc < 0)
			return rc;
		left -= (int)n;
	}
	return 0;
}

int watch_read(struct watch *watch, const struct watch_visitor *visitor, void *data)
{
	struct epoll_event events[2];
	int n = epoll_wait(watch->epoll_fd, events, 2, 0), rc = n < 0 ? -ESTALE : 0;
	struct stat st;

	for (int i = 0; i < n; i++)
		if (events[i].data.fd == watch->mounts_fd)
			rc = -ESTALE;
	if (n > 0 && rc == 0)
		rc = read_events(watch, visitor, data);
	if (rc == 0 && !watch->may_go_anywhere && stat(watch->path, &st) < 0)
		rc = -ESTALE;
	return rc;
}
