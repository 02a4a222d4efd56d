/* SPDX-License-Identifier: MIT */
/* The log: lines on standard error, each written at once. */
#ifndef BERTH_CORE_LOG_H
#define BERTH_CORE_LOG_H

#include <stdarg.h>

/* Writes "berth: text", or "berth: name: text" where there is a name. level is
 * BERTH_LOG_*; what is below a warning is not written. Control characters are
 * shown as ?, long lines are cut. [any thread] */
__attribute__((format(printf, 3, 4)))
void log_write(int level, const char *name, const char *format, ...);

__attribute__((format(printf, 3, 0)))
void log_write_va(int level, const char *name, const char *format, va_list args);

#endif
