/* SPDX-License-Identifier: MIT */
/* How the program ends, and the line on standard error that says why. */
#ifndef BERTH_CORE_STATUS_H
#define BERTH_CORE_STATUS_H

enum status {
	STATUS_DONE = 0,
	STATUS_REFUSED = 1, /* by the registry or the runtime */
	STATUS_USAGE = 2,
	STATUS_SETUP = 3,
};

/* Logs the line as an error and returns the status. */
__attribute__((format(printf, 2, 3)))
enum status complain(enum status status, const char *format, ...);

enum status complain_no_memory(void);

#endif
