/* SPDX-License-Identifier: MIT */
/*
 * Faults made in the system calls of this process: a program that is linked with this, and
 * exports its symbols, answers for its libraries what the C library would; one that is not
 * has fault_library.so loaded before all others.
 */
#ifndef BERTH_TESTS_FAULTS_H
#define BERTH_TESTS_FAULTS_H

#include <stdbool.h>

enum fault_call {
	FAULT_WRITE = 1 << 0,    /* write, pwrite */
	FAULT_SYNC = 1 << 1,     /* fsync, fdatasync */
	FAULT_TRUNCATE = 1 << 2, /* ftruncate */
	FAULT_OPEN = 1 << 3,     /* open and openat for writing, mkdir, rename, unlink */
	FAULT_READ = 1 << 4,     /* read, pread; in the library also receive */
	FAULT_LOOK = 1 << 5,     /* open and openat for reading alone; in the library also fopen, opendir */
	FAULT_MAP = 1 << 6,      /* these in the library alone: mmap */
	FAULT_PROCESS = 1 << 7,  /* fork, posix_spawn, pthread_create */
	FAULT_LIST = 1 << 9,     /* readdir */
	FAULT_SOCKET = 1 << 8,   /* socket, connect, bind, listen, accept, and other new descriptors */
	FAULT_CHANGES = FAULT_WRITE | FAULT_SYNC | FAULT_TRUNCATE | FAULT_OPEN,
};

/* From now on those calls fail with error; of them, the first n_good and then all but
 * the next n_bad are let through. torn: a write that fails has done half of its work.
 * Error 0: what would fail moves a part of its bytes and succeeds. */
struct fault {
	unsigned calls;
	int error;
	unsigned long n_good, n_bad;
	int torn;
};

/* Only files below the directory are touched by it; all, if it is "". */
void fault_set(const char *dir, struct fault fault);

/* Ends it; returns how many calls failed. */
unsigned long fault_end(void);

/* How many have failed so far. */
unsigned long fault_count(void);

/* For further calls: whether one fails, with the errno that it is to have, or 0 for a part. */
bool fault_hits(unsigned call, const char *path, int *errorp);
bool fault_hits_fd(unsigned call, int fd, int *errorp);

/* From now on, whatever file in dir is synced is copied to shadow, so that shadow is what
 * a disk may hold of it after a failure of power. NULL ends it. */
void fault_shadow(const char *dir, const char *shadow);

#endif
