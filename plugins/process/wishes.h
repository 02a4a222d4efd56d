/* SPDX-License-Identifier: MIT */
/* The options of the adapter, read. */
#ifndef BERTH_PROCESS_WISHES_H
#define BERTH_PROCESS_WISHES_H

#include <berth/adapter.h>

#include "inline/standing.h"
#include "launch.h"

enum wish {
	WISH_COMMAND,
	WISH_RUNTIME,
	WISH_START_TIMEOUT,
	WISH_CALL_TIMEOUT,
	WISH_STOP_TIMEOUT,
	WISH_HANG_TIMEOUT,
	WISH_DEATHS,
	WISH_USER,
	WISH_DIRECTORY,
	WISH_ENVIRONMENT,
	WISH_MEMORY,
	WISH_CPU,
	WISH_FILES,
	WISH_READABLE,
	WISH_WRITABLE,
	WISH_CONFINED,
	WISH_ISOLATED,
	WISH_STANDING,
	N_WISHES,
};

/* As they are declared, in the order of enum wish. */
#define WISH_OPTIONS                                                                                            \
	BERTH_OPTION("command", "json", "", "the program and its arguments, a list of strings; no shell")       \
	BERTH_OPTION("runtime", "text", "", "which runtime of the other side; default: the only one")           \
	BERTH_OPTION("start_timeout_ms", "count", "5000", "how long a start may take")                          \
	BERTH_OPTION("call_timeout_ms", "count", "5000", "how long an answer may take")                         \
	BERTH_OPTION("stop_timeout_ms", "count", "2000", "how long the end may take before it is forced")       \
	BERTH_OPTION("hang_timeout_ms", "count", "30000", "ended when silent for so long; 0: never")            \
	BERTH_OPTION("deaths", "count", "5", "not started again after so many in a row; 0: always")             \
	BERTH_OPTION("user", "text", "", "run as this user; only root may")                                     \
	BERTH_OPTION("directory", "path", "", "the working directory; default: the host's")                     \
	BERTH_OPTION("environment", "json", "", "an object: a value, or true for the host's, by variable")      \
	BERTH_OPTION("memory", "count", "0", "bytes of address space; 0: no limit")                             \
	BERTH_OPTION("cpu", "count", "0", "seconds of processor time; 0: no limit")                             \
	BERTH_OPTION("files", "count", "0", "open descriptors; 0: no limit")                                    \
	BERTH_OPTION("readable", "json", "", "paths that may be read, a list; nothing else then may be")        \
	BERTH_OPTION("writable", "json", "", "paths that may be changed, a list; nothing else then may be")     \
	BERTH_OPTION("confined", "flag", "true", "no new privileges, and no system calls that only harm")       \
	BERTH_OPTION("isolated", "secret", "", "for the key isolate alone; not to be set")                      \
	BERTH_OPTION("standing", "secret", "", "for berth alone; not to be set")

struct wishes {
	struct launch_wishes launch;
	struct berth_text isolated; /* absent: the command is spoken with in lines */
	struct standing *standing;  /* berth's; NULL: nobody looks */
	char runtime[BERTH_ID_MAX + 1];
	uint64_t start_ns, call_ns, stop_ns, hang_ns, deaths;
	char *texts[3];                                        /* memory of the strings */
	char **command, **environment, **readable, **writable; /* memory of the lists */
};

/* Reads the options; what is wrong is given to fail. 0 or a negative errno. */
int wishes_read(struct wishes *wishes, struct berth_call *call, const struct berth_open_request *request);
void wishes_fini(struct wishes *wishes);

#endif
