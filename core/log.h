/* SPDX-License-Identifier: MIT */
/* The log: lines on standard error, each written at once. */
#ifndef BERTH_CORE_LOG_H
#define BERTH_CORE_LOG_H

#include <stdarg.h>

/* Lines below this urgency are not written; BERTH_LOG_WARNING to begin with. [any thread] */
void log_set_level(int level);

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
