/* SPDX-License-Identifier: MIT */
/* The one place that knows where the library is that carries HTTP. */
#include "config.h"

#define LIBRARY_ITSELF
#include "core/serve/library.h"

#include <dlfcn.h>
#include <string.h>

struct library library;

int library_load(struct error *error)
{
	static const char file[] = "libmicrohttpd.so.12";
	void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL), *function;

	if (!handle)
		return error_set(error, -ENOSYS, "%s; berth serve needs this library: install it", dlerror());
#define FIND(name)                                                                                              \
	function = dlsym(handle, #name);                                                                        \
	if (!function)                                                                                          \
		return error_set(error, -ENOSYS, "%s: no function %s; a version from 0.9.71 on is needed", file, #name); \
	memcpy(&library.name, &function, sizeof function);
	LIBRARY_FUNCTIONS(FIND)
#undef FIND
	/* It has loaded GnuTLS along with it. */
#define TRY(name)                        \
	function = dlsym(handle, #name); \
	memcpy(&library.name, &function, sizeof function);
	LIBRARY_TLS_FUNCTIONS(TRY)
#undef TRY
	return 0;
}
