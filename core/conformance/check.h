/* SPDX-License-Identifier: MIT */
/*
 * A check: one rule of the contract between berth and its adapters, and the code that
 * tries to see it broken. Each runs in a process of its own, so it may leave anything
 * behind, keep its state in globals, and end by being killed.
 */
#ifndef BERTH_CORE_CONFORMANCE_CHECK_H
#define BERTH_CORE_CONFORMANCE_CHECK_H

#include <cjson/cJSON.h>
#include <stdbool.h>

/* The adapter under test, and what it is opened with. */
struct subject {
	const char *file, *dir; /* dir: where file is; file: NULL for a program */
	const char *adapter_dir; /* where the adapter is that runs it or speaks with it, if it is apart */
	char id[65];            /* by the name of the file */
	bool is_apart;          /* a program, or a plugin that is isolated: it has a process of its own */
	cJSON *options;         /* an object; NULL: the declared defaults */
	const char *workspace_root, *data_dir;
};

struct check {
	const char *name;  /* PROFILE/RULE; NULL ends a list */
	const char *rule;  /* what holds, in a sentence for people */
	const char *needs; /* the capability of the runtime without which the check is skipped; or NULL */
	void (*run)(const struct subject *subject); /* returns where the rule holds */
};

/* In the order in which they are run. */
extern const struct check checks_base[], checks_lists[], checks_privacy[], checks_workers[],
	checks_transcripts[], checks_events[], checks_robust[], checks_faults[];

/* End the process: the rule is broken, or cannot be tried, and why. [any thread] */
__attribute__((format(printf, 1, 2), noreturn))
void check_fail(const char *format, ...);
__attribute__((format(printf, 1, 2), noreturn))
void check_skip(const char *format, ...);

/* Says how far the check is, for the case that the process is killed or hangs; the last
 * is shown. [any thread] */
__attribute__((format(printf, 1, 2)))
void check_at(const char *format, ...);

/* Adds a line for people to the result, such as how much was tried. */
__attribute__((format(printf, 1, 2)))
void check_note(const char *format, ...);

#endif
