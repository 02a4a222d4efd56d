/* SPDX-License-Identifier: MIT */
/*
 * libltdl opens plugins, but not through its stock loader: that one binds lazily, so
 * that an undefined function kills the process when it is first called; it gives one
 * message for three faults; and it searches LD_LIBRARY_PATH for bare names. Ours binds
 * at once, locally and for good, keeps the words of the dynamic linker and gets absolute paths
 * only. The stock loader is removed, since libltdl falls back to it silently.
 */
#include "config.h"

#include "core/loader.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <libltdl/lt_dlloader.h>
#include <limits.h>
#include <ltdl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/wire.h"

/* ---- The loader that libltdl is given ---- */

/* What the dynamic linker said last; used during set-up only. */
static struct error linker_words;

static lt_module module_open(lt_user_data data, const char *filename, lt_dladvise advise)
{
	void *module = NULL;

	(void)data;
	(void)advise;
	if (filename && filename[0] == '/')
		module = dlopen(filename, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!module) {
		const char *words = dlerror();

		error_set(&linker_words, 0, "%s", words ? words : "not an absolute path");
	}
	return module;
}

static int module_close(lt_user_data data, lt_module module)
{
	(void)data;
	return dlclose(module);
}

static void *find_symbol(lt_user_data data, lt_module module, const char *name)
{
	(void)data;
	return dlsym(module, name);
}

/* In the memory of its own that libltdl frees at the end. */
static lt_dlvtable *make_loader(void)
{
	lt_dlvtable *vtable = malloc(sizeof *vtable);

	if (vtable)
		*vtable = (lt_dlvtable){
			.name = "berth_now",
			.module_open = module_open,
			.module_close = module_close,
			.find_sym = find_symbol,
			.priority = LT_DLLOADER_PREPEND,
		};
	return vtable;
}

int loader_init(struct loader *loader, struct error *error)
{
	lt_dlvtable *own;

	*loader = (struct loader){ 0 };
	if (lt_dlinit() != 0)
		return error_set(error, -EIO, "libltdl: %s", lt_dlerror());
	loader->ready = true;
	own = make_loader();
	if (!own || lt_dlloader_add(own) != 0) {
		free(own);
		return error_set(error, -ENOMEM, "libltdl: no memory for a loader");
	}
	free(lt_dlloader_remove("lt_dlopen"));
	if (lt_dlloader_find("lt_dlopen"))
		return error_set(error, -EIO, "libltdl: its own loader cannot be removed");
	return 0;
}

int loader_add_dir(struct loader *loader, const char *dir, struct error *error)
{
	CLEANUP_FREE char *path = NULL, *cwd = NULL;
	char **dirs;

	if (dir[0] == '/')
		path = strdup(dir);
	else if ((cwd = getcwd(NULL, 0)) == NULL || asprintf(&path, "%s/%s", cwd, dir) < 0)
		return error_set(error, -errno, "%s: the current directory cannot be found: %s", dir, strerror(errno));
	dirs = reallocarray(loader->dirs, loader->n_dirs + 1, sizeof *dirs);
	if (dirs)
		loader->dirs = dirs;
	if (!dirs || !path)
		return error_set(error, -ENOMEM, "%s: no memory", dir);
	dirs[loader->n_dirs++] = STEAL(path);
	return 0;
}

/* ---- Registration ---- */

struct registration {
	struct berth_registrar base;
	struct berth_adapter *ops;
	unsigned *n_addedp;
};

static int registrar_add(const struct berth_registrar *registrar, const struct berth_adapter *ops)
{
	const struct registration *registration = (const struct registration *)registrar;

	if (++*registration->n_addedp > 1)
		return -EEXIST;
	if (!ops)
		return -EINVAL;
	WIRE_COPY_IN(registration->ops, ops);
	return 0;
}

typedef int register_function(const struct berth_registrar *registrar);

static int register_adapter(struct adapter *adapter, lt_dlhandle handle, struct failure *failure)
{
	unsigned n_added = 0;
	struct registration registration = {
		.base = { .size = sizeof registration.base, .add = registrar_add },
		.ops = &adapter->ops,
		.n_addedp = &n_added,
	};
	register_function *function;
	int rc;

	/* libltdl puts the name of the module and _LTX_ before the symbol. */
	*(void **)&function = lt_dlsym(handle, "berth_register");
	if (!function)
		return failure_set(failure, FAILURE_REGISTRATION_MISSING,
				   "the symbol of the id with - written as _, then _LTX_berth_register", "none");
	rc = function(&registration.base);
	if (rc != 0)
		return failure_set(failure, FAILURE_REGISTRATION_FAILED, "registration to return 0", "%d (%s)", rc,
				   rc < 0 ? strerror(-rc) : "no errno");
	if (n_added != 1)
		return failure_set(failure, FAILURE_REGISTRATION_FAILED, "one ops table", "%u", n_added);
	if (!adapter->ops.open)
		return failure_set(failure, FAILURE_REGISTRATION_FAILED, "an ops table with the operation open",
				   "none; it has %zu bytes", adapter->ops.size);
	return 0;
}

/* ---- Loading ---- */

static int link_plugin(const char *file, lt_dlhandle *handlep, struct failure *failure)
{
	lt_dlhandle handle;

	error_set(&linker_words, 0, "libltdl has no memory");
	handle = lt_dlopen(file);
	if (!handle)
		return failure_set(failure, FAILURE_NOT_LINKABLE, "every library and symbol that it needs", "%s",
				   linker_words.text);
	*handlep = handle;
	return 0;
}

static void adapter_free(struct adapter *adapter)
{
	if (!adapter)
		return;
	pthread_mutex_destroy(&adapter->lock);
	stamp_fini(&adapter->stamp);
	free(adapter->file);
	free(adapter);
}

static void adapter_freep(struct adapter **adapterp)
{
	adapter_free(*adapterp);
}

/* Opens ID.so in the first directory that has it. */
static int find_plugin(const struct loader *loader, const char *id, char **filep, struct failure *failure)
{
	char tried[sizeof failure->found.text] = "";

	for (size_t i = 0; i < loader->n_dirs; i++) {
		char *file;
		int fd;

		if (asprintf(&file, "%s/%s.so", loader->dirs[i], id) < 0)
			return failure_set(failure, FAILURE_NO_MEMORY, "memory", "none");
		/* Without blocking: it might be a FIFO. */
		fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (fd >= 0) {
			*filep = file;
			return fd;
		}
		if (errno != ENOENT && errno != ENOTDIR) {
			failure_set(failure, FAILURE_PLUGIN_UNREADABLE, "a file that can be read", "%s",
				    strerror(errno));
			*filep = file;
			return -EINVAL;
		}
		snprintf(tried + strlen(tried), sizeof tried - strlen(tried), "%s%s", i ? ", " : "", file);
		free(file);
	}
	return failure_set(failure, FAILURE_PLUGIN_NOT_FOUND, "the plugin of that adapter", "no %s", tried);
}

int loader_load(struct loader *loader, const char *id, struct adapter **adapterp, char **filep,
		struct failure *failure)
{
	CLEANUP(adapter_freep) struct adapter *adapter = NULL;
	CLEANUP_CLOSE int fd = -1;
	lt_dlhandle handle = NULL;
	int rc;

	for (struct adapter *known = loader->adapters; known; known = known->next)
		if (strcmp(known->stamp.id, id) == 0) {
			*filep = strdup(known->file);
			*adapterp = known;
			return 0;
		}
	*filep = NULL;
	fd = find_plugin(loader, id, filep, failure);
	if (fd < 0)
		return fd;
	adapter = calloc(1, sizeof *adapter);
	if (!adapter || pthread_mutex_init(&adapter->lock, NULL) != 0 || !(adapter->file = strdup(*filep)))
		return failure_set(failure, FAILURE_NO_MEMORY, "memory", "none");
	rc = stamp_read(fd, &adapter->stamp, failure);
	if (rc < 0)
		return rc;
	if (strcmp(adapter->stamp.id, id) != 0)
		return failure_set(failure, FAILURE_ID_MISMATCH, id, "the adapter %s", adapter->stamp.id);
	rc = link_plugin(adapter->file, &handle, failure);
	if (rc < 0)
		return rc;
	rc = register_adapter(adapter, handle, failure);
	if (rc < 0)
		return rc;
	adapter->next = loader->adapters;
	loader->adapters = adapter;
	*adapterp = STEAL(adapter);
	return 0;
}

void loader_fini(struct loader *loader)
{
	for (struct adapter *adapter = loader->adapters, *next; adapter; adapter = next) {
		next = adapter->next;
		adapter_free(adapter);
	}
	for (size_t i = 0; i < loader->n_dirs; i++)
		free(loader->dirs[i]);
	free(loader->dirs);
	/* This closes the modules; their code stays, as they were opened for good. */
	if (loader->ready)
		lt_dlexit();
	*loader = (struct loader){ 0 };
}
