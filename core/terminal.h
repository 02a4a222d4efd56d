/* SPDX-License-Identifier: MIT */
/* The terminal that an answer is shown on, if it is one. */
#ifndef BERTH_CORE_TERMINAL_H
#define BERTH_CORE_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

/* How wide it is; of what is no terminal what COLUMNS says, from 20 to 10000, else 80. */
size_t terminal_columns(int fd);

/* How many lines it has; 0: it is no terminal. */
size_t terminal_rows(int fd);

/* Takes over the screen, if it is a terminal; terminal_leave gives it back as it was. From
 * here on SIGINT ends the program with exit status 0, and the screen is given back by
 * whatever signal ends or stops it. Once in a process. */
void terminal_enter(int fd);
void terminal_leave(void);

/* Whether the screen has to be drawn anew: it has another size, or the program went on
 * after a stop. Asking makes it false. */
bool terminal_is_stale(void);

#endif
