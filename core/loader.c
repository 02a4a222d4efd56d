/* SPDX-License-Identifier: MIT */
/*
 * libltdl opens plugins, but not through its stock loader: that one binds lazily, so
 * that an undefined function kills the process when it is first called; it gives one
 * message for three faults; and it searches LD_LIBRARY_PATH for bare names. Ours binds
 * at once, locally and for good, keeps the words of the dynamic linker and gets absolute paths
 * only. The stock loader is removed, since libltdl falls back to it silently.
 *
 * The stamp that was checked and the code that runs come from one open descriptor:
 * the linker is given /proc/self/fd/N. It tells libraries apart by the names under
 * which it opened them, so a descriptor stays open for good, lest its number come
 * again. A file that is overwritten in place is only guarded against by a pin: then a
 * copy in sealed memory is what is checked and run.
 */
#include "config.h"

#include "core/loader.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <libltdl/lt_dlloader.h>
#include <limits.h>
#include <ltdl.h>
/* Of the functions below, libcrypto would rather see others used; but without memory, their first use ends the process. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/io.h"
#include "core/wire.h"

/* ---- The loader that libltdl is given ---- */

/* The descriptor of the plugin that is being linked, and what the dynamic linker said
 * last; used during set-up only. */
static int linking_fd = -1;
static struct error linker_words;

static lt_module module_open(lt_user_data data, const char *filename, lt_dladvise advise)
{
	char path[64];
	void *module;

	(void)data;
	(void)advise;
	if (linking_fd < 0 || !filename)
		return NULL;
	snprintf(path, sizeof path, "/proc/self/fd/%d", linking_fd);
	module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!module) {
		const char *words = dlerror();
		bool ours = strncmp(words, path, strlen(path)) == 0;

		/* People know the file by its name. */
		error_set(&linker_words, 0, "%s%s", ours ? filename : "", ours ? words + strlen(path) : words);
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

/* libtool makes this list where a program is linked with -dlpreopen; without, it is
 * not there. A module begins with its archive's name at no address. */
extern const lt_dlsymlist lt__PROGRAM__LTX_preloaded_symbols[] __attribute__((weak));

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
	if (lt__PROGRAM__LTX_preloaded_symbols && lt_dlpreload(lt__PROGRAM__LTX_preloaded_symbols) != 0)
		return error_set(error, -EIO, "libltdl: %s", lt_dlerror());
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

/* ---- Pinning ---- */

/* Copies a file into memory that nobody can change any more, and writes the digest of
 * the copy. Returns its descriptor. */
static int seal(int from, char sha256[65], struct failure *failure)
{
	CLEANUP_CLOSE int fd = memfd_create("berth-plugin", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	unsigned char digest[SHA256_DIGEST_LENGTH];
	SHA256_CTX context;
	bool fine = fd >= 0 && SHA256_Init(&context);
	char block[65536];
	ssize_t n = 1;
	int sealed;

	while (fine && n != 0) {
		n = read(from, block, sizeof block);
		fine = n < 0 ? errno == EINTR : SHA256_Update(&context, block, (size_t)n) && io_write_all(fd, block, (size_t)n) == 0;
	}
	fine = fine && SHA256_Final(digest, &context) &&
	       fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0;
	sealed = fine ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
	if (sealed < 0)
		return failure_set(failure, FAILURE_PLUGIN_UNREADABLE, "a file that can be copied and hashed", "%s",
				   strerror(errno));
	for (size_t i = 0; i < sizeof digest; i++)
		snprintf(sha256 + 2 * i, 3, "%02x", digest[i]);
	return sealed;
}

/* Puts a sealed copy in the place of *fdp, if it is what was pinned. */
static int pin(int *fdp, const char *sha256, struct adapter *adapter, struct failure *failure)
{
	int fd = seal(*fdp, adapter->sha256, failure);

	if (fd < 0)
		return fd;
	close(*fdp);
	*fdp = fd;
	if (strcasecmp(adapter->sha256, sha256) == 0)
		return 0;
	return failure_set(failure, FAILURE_CHECKSUM_MISMATCH, sha256, "%s", adapter->sha256);
}

/* ---- Linking ---- */

static int link_plugin(const struct adapter *adapter, lt_dlhandle *handlep, struct failure *failure)
{
	lt_dlhandle handle;

	error_set(&linker_words, 0, "libltdl has no memory");
	linking_fd = adapter->fd;
	handle = lt_dlopen(adapter->file);
	linking_fd = -1;
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
	if (adapter->fd >= 0 && !adapter->linked)
		close(adapter->fd);
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

		if (asprintf(&file, "%s/%s.so", loader->dirs[i], id) < 0) {
			failure_set(failure, FAILURE_NO_MEMORY, "memory", "none");
			return -EINVAL;
		}
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
	failure_set(failure, FAILURE_PLUGIN_NOT_FOUND, "the plugin of that adapter", "no %s", tried);
	return -EINVAL;
}

/* ---- Adapters that are linked in ---- */

/* Whether the archive is that of the adapter: libltdl only finds those whose names are
 * of letters, digits and _. */
static bool is_archive_of(const char *name, const char *id)
{
	for (; *id; id++, name++)
		if (*name != (*id == '-' ? '_' : *id))
			return false;
	return *name == '.';
}

/* The name under which libltdl has the adapter; NULL where it is not linked in. */
static const char *linked_in(const char *id)
{
	const lt_dlsymlist *symbol = lt__PROGRAM__LTX_preloaded_symbols;

	for (; symbol && symbol->name; symbol++)
		if (!symbol->address && is_archive_of(symbol->name, id))
			return symbol->name;
	return NULL;
}

/* The stamp lies in the program itself. */
static int check_linked_in(const char *id, struct adapter *adapter, struct failure *failure)
{
	adapter->fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (adapter->fd < 0)
		return failure_set(failure, FAILURE_PLUGIN_UNREADABLE, "a program that can be read", "%s", strerror(errno));
	return stamp_read(adapter->fd, id, &adapter->stamp, failure);
}

static int load_linked_in(const char *name, const char *id, struct adapter *adapter, lt_dlhandle *handlep,
			  struct failure *failure)
{
	lt_dladvise advise;
	int rc = check_linked_in(id, adapter, failure);

	if (rc < 0)
		return rc;
	if (lt_dladvise_init(&advise) != 0 || lt_dladvise_preload(&advise) != 0)
		return failure_set(failure, FAILURE_NO_MEMORY, "memory", "none");
	*handlep = lt_dlopenadvise(name, advise);
	lt_dladvise_destroy(&advise);
	return *handlep ? 0 : failure_set(failure, FAILURE_NOT_LINKABLE, "an adapter that is linked in", "%s", lt_dlerror());
}

/* ---- Loading ---- */

/* An adapter that is there already must be what is pinned now. */
static int check_known(const struct adapter *known, const char *sha256, struct failure *failure)
{
	if (!sha256 || strcasecmp(known->sha256, sha256) == 0)
		return 0;
	return failure_set(failure, FAILURE_CHECKSUM_MISMATCH, sha256, "%s",
			   *known->sha256 ? known->sha256 : "the adapter, loaded for another instance without a pin");
}

/* Opens the plugin and checks what it says of itself; nothing of it is run. */
static int find_and_check(const struct loader *loader, const char *id, const char *sha256, struct adapter *adapter,
			  char **filep, struct failure *failure)
{
	int rc;

	adapter->fd = find_plugin(loader, id, filep, failure);
	if (adapter->fd < 0)
		return -EINVAL;
	adapter->file = strdup(*filep);
	if (!adapter->file)
		return failure_set(failure, FAILURE_NO_MEMORY, "memory", "none");
	rc = sha256 ? pin(&adapter->fd, sha256, adapter, failure) : 0;
	if (rc == 0)
		rc = stamp_read(adapter->fd, NULL, &adapter->stamp, failure);
	if (rc == 0 && strcmp(adapter->stamp.id, id) != 0)
		rc = failure_set(failure, FAILURE_ID_MISMATCH, id, "the adapter %s", adapter->stamp.id);
	return rc;
}

static int load_plugin(const struct loader *loader, const char *id, const char *sha256, struct adapter *adapter,
		       char **filep, lt_dlhandle *handlep, struct failure *failure)
{
	int rc = find_and_check(loader, id, sha256, adapter, filep, failure);

	return rc == 0 ? link_plugin(adapter, handlep, failure) : rc;
}

static struct adapter *adapter_new(struct failure *failure)
{
	struct adapter *adapter = calloc(1, sizeof *adapter);

	if (!adapter) {
		failure_set(failure, FAILURE_NO_MEMORY, "memory", "none");
		return NULL;
	}
	adapter->fd = -1;
	pthread_mutex_init(&adapter->lock, NULL);
	return adapter;
}

/* Takes over an adapter that is linked, once it has registered itself. */
static int enter(struct loader *loader, struct adapter **adapterp, lt_dlhandle handle, struct failure *failure)
{
	struct adapter *adapter = *adapterp;
	int rc;

	/* Its code is in the process now: whatever comes, the number must not come again. */
	adapter->linked = true;
	rc = register_adapter(adapter, handle, failure);
	if (rc < 0)
		return rc;
	adapter->next = loader->adapters;
	loader->adapters = STEAL(*adapterp);
	return 0;
}

int loader_load(struct loader *loader, const char *id, const char *sha256, struct adapter **adapterp, char **filep,
		struct failure *failure)
{
	CLEANUP(adapter_freep) struct adapter *adapter = NULL;
	lt_dlhandle handle = NULL;
	const char *name;
	int rc;

	*filep = NULL;
	for (struct adapter *known = loader->adapters; known; known = known->next)
		if (strcmp(known->stamp.id, id) == 0) {
			*filep = known->file ? strdup(known->file) : NULL;
			*adapterp = known;
			return check_known(known, sha256, failure);
		}
	adapter = adapter_new(failure);
	if (!adapter)
		return -ENOMEM;
	name = sha256 ? NULL : linked_in(id);
	rc = name ? load_linked_in(name, id, adapter, &handle, failure) :
		    load_plugin(loader, id, sha256, adapter, filep, &handle, failure);
	if (rc == 0)
		rc = enter(loader, &adapter, handle, failure);
	if (rc == 0)
		*adapterp = loader->adapters;
	return rc;
}

/* Whether both are of one file, which nothing has happened to in between. */
static bool is_same_plugin(const struct adapter *a, const struct adapter *b)
{
	struct stat one, other;

	if (strcmp(a->stamp.id, b->stamp.id) != 0 || strcmp(a->sha256, b->sha256) != 0)
		return false;
	if (!a->file || !b->file || *a->sha256)
		return a->file == b->file || *a->sha256;
	return fstat(a->fd, &one) == 0 && fstat(b->fd, &other) == 0 && one.st_dev == other.st_dev &&
	       one.st_ino == other.st_ino && one.st_size == other.st_size &&
	       one.st_mtim.tv_sec == other.st_mtim.tv_sec && one.st_mtim.tv_nsec == other.st_mtim.tv_nsec &&
	       one.st_ctim.tv_sec == other.st_ctim.tv_sec && one.st_ctim.tv_nsec == other.st_ctim.tv_nsec;
}

int loader_find(struct loader *loader, const char *id, const char *sha256, struct adapter **adapterp, char **filep,
		struct failure *failure)
{
	CLEANUP(adapter_freep) struct adapter *adapter = adapter_new(failure);
	const char *name = sha256 ? NULL : linked_in(id);
	int rc;

	*filep = NULL;
	if (!adapter)
		return -ENOMEM;
	rc = name ? check_linked_in(id, adapter, failure) : find_and_check(loader, id, sha256, adapter, filep, failure);
	if (rc < 0)
		return rc;
	for (struct adapter *known = loader->found; known; known = known->next)
		if (is_same_plugin(known, adapter)) {
			*adapterp = known;
			return 0;
		}
	adapter->next = loader->found;
	loader->found = adapter;
	*adapterp = STEAL(adapter);
	return 0;
}

void loader_move(struct loader *from, struct loader *to)
{
	to->ready = from->ready;
	to->adapters = from->adapters;
	to->found = from->found;
	from->ready = false;
	from->adapters = NULL;
	from->found = NULL;
}

int loader_link(struct loader *loader, const char *file, int fd, struct adapter **adapterp, struct failure *failure)
{
	CLEANUP(adapter_freep) struct adapter *adapter = adapter_new(failure);
	lt_dlhandle handle = NULL;
	int rc;

	if (!adapter)
		return -ENOMEM;
	adapter->fd = fd;
	adapter->file = strdup(file);
	if (!adapter->file)
		return failure_set(failure, FAILURE_NO_MEMORY, "memory", "none");
	rc = stamp_read(fd, NULL, &adapter->stamp, failure);
	if (rc == 0)
		rc = link_plugin(adapter, &handle, failure);
	if (rc == 0)
		rc = enter(loader, &adapter, handle, failure);
	if (rc == 0)
		*adapterp = loader->adapters;
	return rc;
}

void loader_fini(struct loader *loader)
{
	for (struct adapter *adapter = loader->adapters, *next; adapter; adapter = next) {
		next = adapter->next;
		adapter_free(adapter);
	}
	for (struct adapter *adapter = loader->found, *next; adapter; adapter = next) {
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
