/* SPDX-License-Identifier: MIT */
/*
 * What the fuzz targets share. A target is one function that is given any bytes, and
 * aborts where something is wrong that a sanitizer does not see. It is linked with
 * libFuzzer in a tree that was configured for it, and with replay.c everywhere else.
 *
 * A target that needs structure takes it from the bytes with the functions below: what
 * there are no bytes for is 0 or empty, so that every input means something.
 */
#ifndef BERTH_TESTS_FUZZ_H
#define BERTH_TESTS_FUZZ_H

#include <berth/adapter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/registry.h"

/* The target. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Called once, before the first input. */
int LLVMFuzzerInitialize(int *argcp, char ***argvp);

/* Says what is wrong and aborts. */
__attribute__((format(printf, 1, 2), noreturn))
void fuzz_wrong(const char *format, ...);

#define FUZZ_CHECK(condition) \
	((condition) ? (void)0 : fuzz_wrong("%s:%d: %s", __FILE__, __LINE__, #condition))

/* ---- Structure out of bytes ---- */

struct fuzz {
	const uint8_t *p;
	size_t left;
};

uint8_t fuzz_byte(struct fuzz *fuzz);

/* Below n, which is at most 256 and not 0. */
unsigned fuzz_below(struct fuzz *fuzz, unsigned n);

/* Small ones, those around powers of two, and any. */
uint64_t fuzz_u64(struct fuzz *fuzz);

/* As many bytes as the next one says; borrowed. */
struct berth_text fuzz_text(struct fuzz *fuzz);

/* The bytes before the next one of that value, which is passed over; borrowed. */
struct berth_text fuzz_until(struct fuzz *fuzz, uint8_t stop);

/* ---- The same rules, said otherwise ---- */

/* Whether a text is UTF-8, by the table of well-formed sequences in the standard. */
bool fuzz_is_utf8(struct berth_text text);

/* Whether a text is one JSON value and nothing else: the grammar of RFC 8259, at most 127
 * levels deep and with no number that strtod makes infinite. */
bool fuzz_is_json(struct berth_text text);

/* Fails unless the text is a JSON object on one line, without a raw control character. */
void fuzz_check_answer(struct berth_text answer);

/* Fails if text has a control character but for those in allowed, or is not UTF-8. */
void fuzz_check_plain(struct berth_text text, const char *allowed);

/* ---- A host with the adapters of this project ---- */

/* Adds an instance of an adapter to a registry. settings: JSON of options, or NULL. */
void fuzz_add_instance(struct registry *registry, const char *adapter, const char *options, const char *data_dir);

/* Asks the registry one line and returns the answer, which is valid until the next one.
 * It has been looked at with fuzz_check_answer. */
struct berth_text fuzz_ask(struct registry *registry, struct berth_text line);

/* Asks a runtime that is called only for everything, of its workers for first, and looks at
 * the answers, their limits, and the tables that are made of them. */
void fuzz_ask_everything(struct registry *registry);

/* ---- Files ---- */

/* A directory for this process, removed with all that is in it when it ends. */
const char *fuzz_dir(void);

/* Writes a file of that name there, and its directories. */
void fuzz_write(const char *name, const void *data, size_t len);

/* Removes what there is of that name. */
void fuzz_remove(const char *name);

/* How many descriptors are open. */
unsigned fuzz_n_open(void);

#endif
