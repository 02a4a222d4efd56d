/* SPDX-License-Identifier: MIT */
/*
 * What a file or directory was when it was read. It is taken to be unchanged only while
 * device, inode, size, mtime and ctime are: the kernel moves ctime at every change. Since
 * its clock ticks coarsely, two changes in one tick leave the same time; therefore what was
 * read is trusted only if the time on it had passed, by that same clock, before it was
 * looked at.
 */
#ifndef BERTH_LOCAL_POD_VERSION_H
#define BERTH_LOCAL_POD_VERSION_H

#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>

struct version {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
	bool trusted;
};

/* The clock that the kernel takes file times from. */
static inline struct timespec version_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return now;
}

/* Whether a change that comes later is sure to leave another time. now was read from
 * the clock before the file was looked at. */
static inline bool version_time_has_passed(struct timespec time, struct timespec now)
{
	/* Full seconds: perhaps a file system that counts no finer, FAT in steps of two. */
	if (time.tv_nsec == 0)
		time.tv_sec += 2;
	return time.tv_sec < now.tv_sec || (time.tv_sec == now.tv_sec && time.tv_nsec < now.tv_nsec);
}

static inline struct version version_of(const struct stat *st, struct timespec now)
{
	return (struct version){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = st->st_size,
		.mtime = st->st_mtim,
		.ctime = st->st_ctim,
		.trusted = version_time_has_passed(st->st_mtim, now) && version_time_has_passed(st->st_ctim, now),
	};
}

static inline bool version_is(const struct version *version, const struct stat *st)
{
	return version->trusted && version->dev == st->st_dev && version->ino == st->st_ino &&
	       version->size == st->st_size && version->mtime.tv_sec == st->st_mtim.tv_sec &&
	       version->mtime.tv_nsec == st->st_mtim.tv_nsec && version->ctime.tv_sec == st->st_ctim.tv_sec &&
	       version->ctime.tv_nsec == st->st_ctim.tv_nsec;
}

#endif
