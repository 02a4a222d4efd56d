/* SPDX-License-Identifier: MIT */
/* Each program or plugin writes its own counters at exit and before exec, and processes that are
 * forked end with _exit: where coverage is counted, this is linked in, and writes them before that, too. */
#include "config.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

void __real___gcov_dump(void);
void __wrap___gcov_dump(void);

#ifdef PIC
#define EXPORTED /* not from a plugin */
#else
#define EXPORTED __attribute__((visibility("default")))
#endif

static void (*next_exit)(int status);
static void (*count_all)(bool on); /* where tests/fault_library.c makes allocations fail */

__attribute__((constructor)) static void find_next(void)
{
	/* Of a plugin this is that of the program. */
	*(void **)&next_exit = dlsym(RTLD_DEFAULT, "_exit");
	if (next_exit == _exit)
		*(void **)&next_exit = dlsym(RTLD_NEXT, "_exit");
	*(void **)&count_all = dlsym(RTLD_DEFAULT, "allocations_count_all");
}

/* Allocates, and is not prepared for having no memory. */
void __wrap___gcov_dump(void)
{
	if (count_all)
		count_all(false);
	__real___gcov_dump();
}

EXPORTED void _exit(int status)
{
	__wrap___gcov_dump();
	next_exit(status);
	abort();
}
