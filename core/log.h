/* SPDX-License-Identifier: MIT */
/* The log: lines on standard error, each written at once. */
#ifndef BERTH_CORE_LOG_H
#define BERTH_CORE_LOG_H

#include <stdarg.h>
#include <stdbool.h>

#include "core/buffer.h"

/* Lines below this urgency are not written; BERTH_LOG_WARNING to begin with. [any thread] */
void log_set_level(int level);

/* Whether lines are JSON objects with time, level, name and message, instead of text. [any thread] */
void log_set_json(bool json);

/* For lines that say more than a text: whether they are wanted, and how; the beginning of an object, up to its level;
 * and writing it, with its end and its newline. [any thread] */
bool log_wants(int level);
bool log_is_json(void);
void log_open_json(struct buffer *line, int level);
void log_put(const struct buffer *line);
/* The lowest that is written. [set-up] */
int log_lowest(void);

/* The urgency that is called debug, info, warning or error; 0 for anything else. */
int log_level(const char *name);

/* Writes "berth: text", or "berth: name: text" where there is a name. level is
 * BERTH_LOG_*. Control characters are
 * shown as ?, long lines are cut. [any thread] */
__attribute__((format(printf, 3, 4)))
void log_write(int level, const char *name, const char *format, ...);

__attribute__((format(printf, 3, 0)))
void log_write_va(int level, const char *name, const char *format, va_list args);

#endif
