/* SPDX-License-Identifier: MIT */
/* Counters are written at exit, and processes that are forked end with _exit: where coverage is
 * counted, this is linked in, and writes them before. */
#include "config.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

void __gcov_dump(void);

static void (*next_exit)(int status);

__attribute__((constructor)) static void find_next(void)
{
	*(void **)&next_exit = dlsym(RTLD_NEXT, "_exit");
}

__attribute__((visibility("default"))) void _exit(int status)
{
	__gcov_dump();
	next_exit(status);
	abort();
}
