/* SPDX-License-Identifier: MIT */
/* A plugin that is exchanged while it is loaded: what runs is what was checked. The
 * wrong plugin says so on standard output as soon as its code is in a process. */
#include "config.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "core/cleanup.h"
#include "core/instance.h"
#include "core/loader.h"
#include "tests/support.h"

/* What a load came to, as an exit status. */
enum result {
	SERVES,
	REFUSED_ID,
	REFUSED_CHECKSUM,
	REFUSED_FILE, /* it was found half written */
	WRONG_CODE,   /* of it something ran that had not been checked */
	FAILED,
	N_RESULTS,
};

struct contents {
	char *data;
	size_t len;
};

static struct contents read_file(const char *dir, const char *name)
{
	struct contents contents = { NULL, 0 };
	CLEANUP_FREE char *path = NULL;
	struct stat st;
	int fd;

	assert_true(asprintf(&path, "%s/%s", dir, name) >= 0);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	contents.len = (size_t)st.st_size;
	contents.data = malloc(contents.len);
	assert_non_null(contents.data);
	assert_int_equal(read(fd, contents.data, contents.len), st.st_size);
	close(fd);
	return contents;
}

static void digest(const struct contents *contents, char hex[65])
{
	unsigned char bytes[EVP_MAX_MD_SIZE];

	assert_int_equal(EVP_Digest(contents->data, contents->len, bytes, NULL, EVP_sha256(), NULL), 1);
	for (size_t i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
}

/* A crash of a child is to end it, and not to reach the handlers of the test. */
static void forget_handlers(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };

	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		signal(signals[i], SIG_DFL);
}

/* Loads and opens runtime-a in this process, whose standard output is fd. */
static enum result load(const char *dir, const char *sha256, int fd)
{
	const struct workspace workspace = { .root = BERTH_TEXT("/x"), .id = BERTH_TEXT("local:x") };
	cJSON *settings = cJSON_CreateObject();
	struct instance *instance;
	struct adapter *adapter;
	struct failure failure;
	struct loader loader;
	char *file;
	int rc;

	if (dup2(fd, STDOUT_FILENO) < 0 || loader_init(&loader, NULL) < 0 || loader_add_dir(&loader, dir, NULL) < 0)
		return FAILED;
	rc = loader_load(&loader, "runtime-a", sha256, &adapter, &file, &failure);
	if (rc == 0 && (strcmp(adapter->stamp.id, "runtime-a") != 0 ||
			instance_open(adapter, "a", settings, &workspace, &instance, &failure) < 0))
		return WRONG_CODE;
	fflush(stdout);
	if (lseek(STDOUT_FILENO, 0, SEEK_END) != 0)
		return WRONG_CODE;
	if (rc == 0)
		return SERVES;
	switch (failure.code) {
	case FAILURE_ID_MISMATCH:
		return REFUSED_ID;
	case FAILURE_CHECKSUM_MISMATCH:
		return REFUSED_CHECKSUM;
	case FAILURE_NOT_A_PLUGIN:
	case FAILURE_STAMP_MISSING:
	case FAILURE_STAMP_INVALID:
	case FAILURE_FOREIGN_MACHINE:
		return REFUSED_FILE;
	default:
		/* After a check that went well the right code has everything. */
		return WRONG_CODE;
	}
}

static enum result load_in_child(const char *dir, const char *sha256)
{
	CLEANUP_FREE char *path = NULL;
	int status, fd;
	pid_t pid;

	assert_true(asprintf(&path, "%s/output", dir) >= 0);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	fflush(stdout);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		forget_handlers();
		_exit((int)load(dir, sha256, fd));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(fd);
	return WIFEXITED(status) && WEXITSTATUS(status) < N_RESULTS ? (enum result)WEXITSTATUS(status) : FAILED;
}

/* ---- Exchanging ---- */

struct plugin {
	char *dir;
	struct contents right, wrong; /* of the same length; the shorter one is followed by zeros */
	char sha256[65];              /* of the right one */
};

static void make_longer(struct contents *contents, size_t len)
{
	contents->data = realloc(contents->data, len);
	assert_non_null(contents->data);
	memset(contents->data + contents->len, 0, len - contents->len);
	contents->len = len;
}

static void plugin_init(struct plugin *plugin)
{
	size_t len;

	*plugin = (struct plugin){
		.dir = scratch_new(),
		.right = read_file(fixture_dir(), "runtime-a.so"),
		.wrong = read_file(fixture_dir(), "prints-constructor.so"),
	};
	len = plugin->right.len > plugin->wrong.len ? plugin->right.len : plugin->wrong.len;
	make_longer(&plugin->right, len);
	make_longer(&plugin->wrong, len);
	digest(&plugin->right, plugin->sha256);
	scratch_write(plugin->dir, "right", plugin->right.data, len);
	scratch_write(plugin->dir, "wrong", plugin->wrong.data, len);
	scratch_write(plugin->dir, "runtime-a.so", plugin->right.data, len);
}

static void plugin_fini(struct plugin *plugin)
{
	scratch_remove(plugin->dir);
	free(plugin->right.data);
	free(plugin->wrong.data);
}

/* Puts the one and the other in the place of the plugin until it is killed. */
static void exchange_names(const struct plugin *plugin)
{
	if (chdir(plugin->dir) < 0)
		return;
	while (link("right", "next") == 0 && rename("next", "runtime-a.so") == 0 && link("wrong", "next") == 0 &&
	       rename("next", "runtime-a.so") == 0)
		;
}

/* The same with the contents of the one file, with moments of rest: without them hardly a reader finds it whole. */
static void exchange_contents(const struct plugin *plugin)
{
	const struct contents *next = &plugin->wrong;
	struct timespec rest = { 0 };
	int fd;

	if (chdir(plugin->dir) < 0)
		return;
	fd = open("runtime-a.so", O_WRONLY | O_CLOEXEC);
	while (pwrite(fd, next->data, next->len, 0) == (ssize_t)next->len) {
		next = next == &plugin->wrong ? &plugin->right : &plugin->wrong;
		rest.tv_nsec = (rest.tv_nsec + 37000) % 500000;
		nanosleep(&rest, NULL);
	}
}

static pid_t start(void (*exchange)(const struct plugin *), const struct plugin *plugin)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		/* It must not outlive a test that fails. */
		forget_handlers();
		alarm(300);
		exchange(plugin);
		_exit(1);
	}
	return pid;
}

static void stop(pid_t pid)
{
	int status;

	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
}

/* Loads until each of two results was seen often enough to trust that exchanges fell
 * into all places. */
static void load_often(const struct plugin *plugin, const char *sha256, enum result other, unsigned seen[N_RESULTS])
{
	enum { ENOUGH = 100, AT_LEAST = 600, AT_MOST = 6000 };

	for (unsigned i = 0; i < AT_MOST; i++) {
		if (i >= AT_LEAST && seen[SERVES] >= ENOUGH && seen[other] >= ENOUGH)
			break;
		seen[load_in_child(plugin->dir, sha256)]++;
	}
	print_message("%u served, %u refused for the id, %u for the checksum, %u for the file\n", seen[SERVES],
		      seen[REFUSED_ID], seen[REFUSED_CHECKSUM], seen[REFUSED_FILE]);
	assert_int_equal(seen[WRONG_CODE], 0);
	assert_int_equal(seen[FAILED], 0);
	assert_true(seen[SERVES] > 0);
	assert_true(seen[other] > 0);
}

/* ---- Tests ---- */

static void what_is_refused_does_not_run(void **state)
{
	struct plugin plugin;

	(void)state;
	plugin_init(&plugin);
	assert_int_equal(load_in_child(plugin.dir, NULL), SERVES);
	assert_int_equal(load_in_child(plugin.dir, plugin.sha256), SERVES);
	scratch_write(plugin.dir, "runtime-a.so", plugin.wrong.data, plugin.wrong.len);
	assert_int_equal(load_in_child(plugin.dir, NULL), REFUSED_ID);
	assert_int_equal(load_in_child(plugin.dir, plugin.sha256), REFUSED_CHECKSUM);
	plugin_fini(&plugin);
}

static void a_file_that_is_exchanged_is_the_one_that_was_checked(void **state)
{
	unsigned seen[N_RESULTS] = { 0 };
	struct plugin plugin;
	pid_t pid;

	(void)state;
	plugin_init(&plugin);
	pid = start(exchange_names, &plugin);
	load_often(&plugin, NULL, REFUSED_ID, seen);
	stop(pid);
	assert_int_equal(seen[REFUSED_FILE], 0);
	assert_int_equal(seen[REFUSED_CHECKSUM], 0);
	plugin_fini(&plugin);
}

static void a_pinned_file_that_is_exchanged_is_the_one_that_was_checked(void **state)
{
	unsigned seen[N_RESULTS] = { 0 };
	struct plugin plugin;
	pid_t pid;

	(void)state;
	plugin_init(&plugin);
	pid = start(exchange_names, &plugin);
	load_often(&plugin, plugin.sha256, REFUSED_CHECKSUM, seen);
	stop(pid);
	assert_int_equal(seen[REFUSED_ID], 0);
	assert_int_equal(seen[REFUSED_FILE], 0);
	plugin_fini(&plugin);
}

static void a_pinned_file_that_is_overwritten_is_the_one_that_was_checked(void **state)
{
	unsigned seen[N_RESULTS] = { 0 };
	struct plugin plugin;
	pid_t pid;

	(void)state;
	plugin_init(&plugin);
	pid = start(exchange_contents, &plugin);
	load_often(&plugin, plugin.sha256, REFUSED_CHECKSUM, seen);
	stop(pid);
	assert_int_equal(seen[REFUSED_ID], 0);
	assert_int_equal(seen[REFUSED_FILE], 0);
	plugin_fini(&plugin);
}

/* Code pages are read when they are first run, so what is overwritten could still come in. */
static void pinned_code_stays_after_its_file_is_overwritten(void **state)
{
	const struct workspace workspace = { .root = BERTH_TEXT("/x"), .id = BERTH_TEXT("local:x") };
	cJSON *settings = cJSON_CreateObject();
	struct instance *instance;
	struct adapter *adapter;
	struct failure failure;
	struct loader loader;
	struct plugin plugin;
	char byte, *file;

	(void)state;
	plugin_init(&plugin);
	assert_int_equal(loader_init(&loader, NULL), 0);
	assert_int_equal(loader_add_dir(&loader, plugin.dir, NULL), 0);
	assert_int_equal(loader_load(&loader, "runtime-a", plugin.sha256, &adapter, &file, &failure), 0);
	memset(plugin.wrong.data, 0xcc, plugin.wrong.len);
	scratch_write(plugin.dir, "runtime-a.so", plugin.wrong.data, plugin.wrong.len);
	assert_int_equal(instance_open(adapter, "a", settings, &workspace, &instance, &failure), 0);
	assert_memory_equal(instance->runtime.base.runtime_id.ptr, "runtime-a", 9);
	/* Nobody can change the copy, we as little as others. */
	assert_int_equal(pread(adapter->fd, &byte, 1, 0), 1);
	assert_int_equal(pwrite(adapter->fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(adapter->fd, 0), -1);
	instance_close(instance);
	cJSON_Delete(settings);
	free(file);
	loader_fini(&loader);
	plugin_fini(&plugin);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_refused_does_not_run),
		cmocka_unit_test(a_file_that_is_exchanged_is_the_one_that_was_checked),
		cmocka_unit_test(a_pinned_file_that_is_exchanged_is_the_one_that_was_checked),
		cmocka_unit_test(a_pinned_file_that_is_overwritten_is_the_one_that_was_checked),
		cmocka_unit_test(pinned_code_stays_after_its_file_is_overwritten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
