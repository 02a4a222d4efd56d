/* SPDX-License-Identifier: MIT */
/*
 * Faults of a disk, made in the system calls of this process: a program that is linked
 * with this, and exports its symbols, answers for its libraries what the C library
 * would. Only files below one directory are touched by it.
 */
#ifndef BERTH_TESTS_FAULTS_H
#define BERTH_TESTS_FAULTS_H

enum fault_call {
	FAULT_WRITE = 1 << 0,    /* write, pwrite */
	FAULT_SYNC = 1 << 1,     /* fsync, fdatasync */
	FAULT_TRUNCATE = 1 << 2, /* ftruncate */
	FAULT_OPEN = 1 << 3,     /* open and openat for writing, mkdir, rename, unlink */
	FAULT_READ = 1 << 4,     /* read, pread */
	FAULT_CHANGES = FAULT_WRITE | FAULT_SYNC | FAULT_TRUNCATE | FAULT_OPEN,
};

/* From now on those calls fail with error; of them, the first n_good and then all but
 * the next n_bad are let through. torn: a write that fails has done half of its work. */
struct fault {
	unsigned calls;
	int error;
	unsigned long n_good, n_bad;
	int torn;
};

void fault_set(const char *dir, struct fault fault);

/* Ends it; returns how many calls failed. */
unsigned long fault_end(void);

/* From now on, whatever file in dir is synced is copied to shadow, so that shadow is what
 * a disk may hold of it after a failure of power. NULL ends it. */
void fault_shadow(const char *dir, const char *shadow);

#endif
