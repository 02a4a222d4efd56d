/* SPDX-License-Identifier: MIT */
/* The one place that knows where SQLite is. */
#include "config.h"

#define SQLITE_LIBRARY_ITSELF
#include "sqlite_library.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

struct sqlite_library sqlite_library;

static int load(struct reason *reason)
{
	static const char file[] = "libsqlite3.so.0";
	void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL), *function;

	if (!handle)
		return reason_set(reason, -ENOSYS, "%s; a store is kept with this library: install it", dlerror());
#define FIND(name)                                                                                         \
	function = dlsym(handle, #name);                                                                   \
	if (!function)                                                                                     \
		return reason_set(reason, -ENOSYS, "%s: no function %s; a version from 3.37 on is needed", file, #name); \
	memcpy(&sqlite_library.name, &function, sizeof function);
	SQLITE_FUNCTIONS(FIND)
#undef FIND
	return 0;
}

int sqlite_library_load(struct reason *reason)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static bool loaded;
	int rc = 0;

	pthread_mutex_lock(&lock);
	if (!loaded)
		rc = load(reason);
	loaded = rc == 0;
	pthread_mutex_unlock(&lock);
	return rc;
}
