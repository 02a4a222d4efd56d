/* SPDX-License-Identifier: MIT */
/* Plugins that are not as they should be, through the real loader: each is named with
 * its own code, none takes the process or another adapter down, and only the file that
 * was meant is loaded. */
#include "config.h"

#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/batch.h"
#include "core/cleanup.h"
#include "core/settings.h"
#include "core/text.h"
#include "tests/support.h"

#define GOOD "only-list"
#define TEXT_(number) #number
#define TEXT(number) TEXT_(number)
#define THIS_HOST "this host has " TEXT(BERTH_ABI_MAJOR) "." TEXT(BERTH_ABI_MINOR)

/* ---- Files ---- */

struct file {
	char *data;
	size_t len;
};

static struct file read_file(const char *dir, const char *name)
{
	CLEANUP_FREE char *path = NULL;
	struct file file = { NULL, 0 };
	FILE *stream;
	long len;

	assert_true(asprintf(&path, "%s/%s", dir, name) >= 0);
	stream = fopen(path, "r");
	if (!stream)
		fail_msg("%s: %s", path, strerror(errno));
	assert_int_equal(fseek(stream, 0, SEEK_END), 0);
	len = ftell(stream);
	assert_true(len > 0);
	rewind(stream);
	file.len = (size_t)len;
	file.data = malloc(file.len);
	assert_non_null(file.data);
	assert_int_equal(fread(file.data, 1, file.len, stream), file.len);
	fclose(stream);
	return file;
}

static void copy_fixture(const char *dir, const char *name)
{
	struct file file = read_file(fixture_dir(), name);

	scratch_write(dir, name, file.data, file.len);
	free(file.data);
}

static const ElfW(Phdr) *find_header(const struct file *file, ElfW(Word) type, ElfW(Addr) address)
{
	const ElfW(Ehdr) *elf = (const void *)file->data;
	const ElfW(Phdr) *headers = (const void *)(file->data + elf->e_phoff);

	for (size_t i = 0; i < elf->e_phnum; i++)
		if (headers[i].p_type == type &&
		    (type != PT_LOAD || (address >= headers[i].p_vaddr &&
					 address - headers[i].p_vaddr < headers[i].p_filesz)))
			return &headers[i];
	fail_msg("no program header of type %u", (unsigned)type);
	abort();
}

/* Makes the first library that the file needs one that nobody has. */
static void need_missing_library(struct file *file)
{
	const ElfW(Phdr) *header = find_header(file, PT_DYNAMIC, 0);
	const ElfW(Dyn) *dynamic = (const void *)(file->data + header->p_offset);
	ElfW(Addr) strings = 0, name = 0;

	for (; dynamic->d_tag != DT_NULL; dynamic++) {
		if (dynamic->d_tag == DT_NEEDED && !name)
			name = dynamic->d_un.d_val;
		if (dynamic->d_tag == DT_STRTAB)
			strings = dynamic->d_un.d_ptr;
	}
	assert_true(name > 0 && strings > 0);
	header = find_header(file, PT_LOAD, strings);
	memcpy(file->data + header->p_offset + (strings - header->p_vaddr) + name, "QQQ", 3);
}

/* ---- Starting ---- */

/* Starts the adapters of a scratch directory, before the fixtures. */
static void start_in(struct host *host, const char *dir, const char *names)
{
	struct workspace workspace = { .id = BERTH_TEXT("local:test"), .root = BERTH_TEXT("/workspace/project") };

	*host = (struct host){ .answer = { 0 } };
	assert_int_equal(loader_init(&host->inventory.loader, NULL), 0);
	if (dir)
		assert_int_equal(loader_add_dir(&host->inventory.loader, dir, NULL), 0);
	assert_int_equal(loader_add_dir(&host->inventory.loader, fixture_dir(), NULL), 0);
	while (*names) {
		size_t len = strcspn(names, ",");
		CLEANUP_FREE char *name = strndup(names, len);
		struct dropin dropin;

		assert_int_equal(dropin_make(name, "test", &dropin), 0);
		assert_int_equal(inventory_add(&host->inventory, &dropin), 0);
		names += len + (names[len] == ',');
	}
	inventory_start(&host->inventory, &workspace);
}

static const struct inventory_entry *entry_of(const struct host *host, const char *name)
{
	for (size_t i = 0; i < host->inventory.n_entries; i++)
		if (strcmp(host->inventory.entries[i].dropin.name, name) == 0)
			return &host->inventory.entries[i];
	fail_msg("no entry %s", name);
	abort();
}

static void assert_active(const struct host *host, const char *name)
{
	const struct inventory_entry *entry = entry_of(host, name);

	if (!entry->instance)
		fail_msg("%s: %s: %s", name, failure_code_name(entry->dropin.failures.list[0].code), entry->dropin.failures.list[0].found.text);
}

/* The adapter that came behind the bad one serves. */
static void assert_good_serves(struct host *host)
{
	cJSON *answer;

	assert_active(host, GOOD);
	answer = host_ask_json(host, "{'op':'list_workers'}");
	assert_int_equal(cJSON_GetArraySize(json_at(answer, "items")), 3);
	assert_string_equal(json_string_at(answer, "items.2.worker_id"), "third");
	cJSON_Delete(answer);
}

/* ---- Plugins that must not become active ---- */

static const struct bad {
	const char *name, *id, *code;
	const char *found;   /* is in the message; NULL: anything */
	const char *file;    /* contents of ID.so in a directory of its own, ... */
	const char *fixture; /* ... or the fixture that it is made of, ... */
	size_t kept;         /* ... and how many bytes of it */
	void (*change)(struct file *file);
} bads[] = {
	{ "a plugin that is not there is not found", "nowhere", "plugin_not_found", .found = "nowhere.so" },
	{ "an empty file is no plugin", "empty", "not_a_plugin", .file = "" },
	{ "a script is no plugin", "script", "not_a_plugin", .file = "#!/bin/sh\necho '{}'\n" },
	{ "ELF magic alone is no plugin", "magic", "not_a_plugin", .file = "\177ELF" },
	{ "a truncated plugin is none", "shorter-table", "not_a_plugin", .fixture = "shorter-table.so", .kept = 100 },
	{ "a plugin without a stamp is refused", "no-stamp", "stamp_missing", .found = NULL },
	{ "two stamps are one too many", "two-stamps", "stamp_invalid", .found = NULL },
	{ "another major does not fit", "wrong-major", "abi_mismatch", .found = "wants 2.0, " THIS_HOST },
	{ "a minor that is needed and not there does not fit", "newer-minor", "abi_mismatch",
	  .found = "wants 1.9, " THIS_HOST },
	{ "a stamp with another id than the file is refused", "wrong-id", "id_mismatch", .found = "right-id" },
	{ "a plugin under the name of another is refused", "renamed", "id_mismatch",
	  .found = "shorter-table", .fixture = "shorter-table.so", .kept = SIZE_MAX },
	{ "a symbol that nobody has is found at load", "undefined-function", "not_linkable",
	  .found = "berth_fixture_undefined" },
	{ "a library that nobody has is named", "silent-open", "not_linkable",
	  .found = "QQQ", .fixture = "silent-open.so", .kept = SIZE_MAX, .change = need_missing_library },
	{ "a stamp without the function is refused", "no-registration", "registration_missing", .found = NULL },
	{ "an error of the registration is told", "register-error", "registration_failed", .found = "-1" },
	{ "an adapter that is added twice is refused", "adds-twice", "registration_failed", .found = "2" },
	{ "a registration without an adapter is refused", "adds-none", "registration_failed", .found = "0" },
	{ "an adapter without open is refused", "no-open", "registration_failed", .found = NULL },
	{ "a default that is not of its type is refused", "bad-default", "option_invalid", .found = "size" },
	{ "a failing open gives its reason", "failing-open", "open_failed",
	  .found = "the key /etc/fixture/key may not be read" },
	{ "an open without a runtime has failed", "silent-open", "open_failed", .found = NULL },
	{ "an open that is left to the registry has failed", "default-open", "open_failed", .found = NULL },
	{ "a runtime_id with a slash has failed", "bad-runtime-id", "open_failed", .found = NULL },
};

static void make_file(const struct bad *bad, const char *dir)
{
	CLEANUP_FREE char *name = NULL;
	struct file file;

	assert_true(asprintf(&name, "%s.so", bad->id) >= 0);
	if (bad->file)
		scratch_write(dir, name, bad->file, strlen(bad->file));
	if (!bad->fixture)
		return;
	file = read_file(fixture_dir(), bad->fixture);
	if (bad->kept < file.len)
		file.len = bad->kept;
	if (bad->change)
		bad->change(&file);
	scratch_write(dir, name, file.data, file.len);
	free(file.data);
}

static void test_bad(void **state)
{
	const struct bad *bad = *state;
	CLEANUP_FREE char *names = NULL;
	const struct inventory_entry *entry;
	char *dir = scratch_new();
	struct host host;

	make_file(bad, dir);
	assert_true(asprintf(&names, "%s,%s", bad->id, GOOD) >= 0);
	start_in(&host, dir, names);
	entry = entry_of(&host, bad->id);
	assert_null(entry->instance);
	assert_string_equal(failure_code_name(entry->dropin.failures.list[0].code), bad->code);
	assert_string_not_equal(entry->dropin.failures.list[0].expected, "");
	assert_string_not_equal(entry->dropin.failures.list[0].found.text, "");
	assert_string_not_equal(failure_hint(entry->dropin.failures.list[0].code), "");
	if (bad->found && !strstr(entry->dropin.failures.list[0].found.text, bad->found))
		fail_msg("%s is not in: %s", bad->found, entry->dropin.failures.list[0].found.text);
	assert_good_serves(&host);
	host_stop(&host);
	scratch_remove(dir);
}

static void test_directory_and_loop(void **state)
{
	CLEANUP_FREE char *loop = NULL;
	char *dir = scratch_new();
	struct host host;

	(void)state;
	scratch_write(dir, "a-directory.so/file", "", 0);
	assert_true(asprintf(&loop, "%s/a-loop.so", dir) >= 0);
	assert_int_equal(symlink("a-loop.so", loop), 0);
	start_in(&host, dir, "a-directory,a-loop," GOOD);
	assert_string_equal(failure_code_name(entry_of(&host, "a-directory")->dropin.failures.list[0].code), "not_a_plugin");
	assert_string_equal(failure_code_name(entry_of(&host, "a-loop")->dropin.failures.list[0].code), "plugin_unreadable");
	assert_good_serves(&host);
	host_stop(&host);
	scratch_remove(dir);
}

static void test_runtime_id_taken(void **state)
{
	struct host host;

	(void)state;
	start_in(&host, NULL, "shorter-table,shorter-table," GOOD);
	assert_active(&host, "shorter-table");
	assert_null(host.inventory.entries[1].instance);
	assert_string_equal(failure_code_name(host.inventory.entries[1].dropin.failures.list[0].code), "runtime_id_taken");
	assert_good_serves(&host);
	host_stop(&host);
}

/* A failed open is not closed; an open that pushed nothing made an instance, which is. */
static void test_close_after_open(void **state)
{
	struct host host;

	(void)state;
	unsetenv("BERTH_FIXTURE_CLOSED");
	start_in(&host, NULL, "failing-open");
	host_stop(&host);
	assert_null(getenv("BERTH_FIXTURE_CLOSED"));
	start_in(&host, NULL, "silent-open");
	host_stop(&host);
	assert_non_null(getenv("BERTH_FIXTURE_CLOSED"));
	assert_string_equal(getenv("BERTH_FIXTURE_CLOSED"), "silent-open");
}

/* ---- Plugins of other versions ---- */

static void test_other_versions(void **state)
{
	const struct inventory_entry *entry;
	struct host host;
	cJSON *answer;

	(void)state;
	start_in(&host, NULL, "shorter-table,longer-table,options");
	assert_active(&host, "shorter-table");
	assert_active(&host, "longer-table");
	assert_active(&host, "options");
	entry = entry_of(&host, "longer-table");
	assert_int_equal(entry->adapter->stamp.minor, 9);
	assert_int_equal(entry->adapter->stamp.needed, 0);
	answer = host_ask_json(&host, "{'op':'list_workers'}");
	assert_int_equal(cJSON_GetArraySize(json_at(answer, "items")), 1);
	assert_string_equal(json_string_at(answer, "items.0.worker_id"), "longer");
	assert_int_equal(cJSON_GetArraySize(json_at(answer, "diagnostics")), 0);
	cJSON_Delete(answer);
	host_stop(&host);
}

#define OF_WORKER "'runtime_id':'only-list','worker_id':'second'"
#define SPAWN "'request':{'intent':{'kind':'workspace_companion'},'acceptance':{'kind':'socket_ready'}}"

/* What berth answers where the adapter has no operation. */
static void test_missing_operations(void **state)
{
	static const struct {
		const char *line, *path, *value;
	} rows[] = {
		{ "{'op':'list_runtimes'}", "items.0.label", "fixture" },
		{ "{'op':'worker'," OF_WORKER "}", "worker_id", "second" },
		{ "{'op':'worker','runtime_id':'only-list','worker_id':'fourth'}", "error.kind", "unknown_worker" },
		{ "{'op':'worker','runtime_id':'shorter-table','worker_id':'second'}", "error.kind", "unknown_worker" },
		{ "{'op':'spawn_worker','runtime_id':'shorter-table'," SPAWN "}", "state", "unsupported" },
		{ "{'op':'spawn_worker','runtime_id':'shorter-table'," SPAWN "}", "diagnostics.0.severity", "info" },
		{ "{'op':'stop_worker','runtime_id':'only-list','request':{'worker_id':'second','mode':'force'}}",
		  "state", "unsupported" },
		{ "{'op':'stop_worker','runtime_id':'only-list','request':{'worker_id':'fourth','mode':'force'}}",
		  "error.kind", "unknown_worker" },
		{ "{'op':'send_input'," OF_WORKER ",'request':{'content':'x'}}", "state", "unsupported" },
		{ "{'op':'send_input','runtime_id':'shorter-table','worker_id':'second','request':{'content':'x'}}",
		  "error.kind", "unknown_worker" },
		{ "{'op':'transcript'," OF_WORKER "}", "state", "unsupported" },
		{ "{'op':'transcript','runtime_id':'only-list','worker_id':'fourth'}", "error.kind", "unknown_worker" },
		{ "{'op':'connect_points'," OF_WORKER "}", "items.0.status", "not_implemented" },
		{ "{'op':'connect_points','runtime_id':'only-list','worker_id':'fourth'}", "error.kind",
		  "unknown_worker" },
	};
	struct host host;
	cJSON *answer;

	(void)state;
	start_in(&host, NULL, "only-list,shorter-table");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		print_message("%s\n", rows[i].line);
		answer = host_ask_json(&host, "%s", rows[i].line);
		assert_string_equal(json_string_at(answer, rows[i].path), rows[i].value);
		assert_null(strstr(host.answer.data, "adapter_failed"));
		cJSON_Delete(answer);
	}
	assert_json_text(host_ask(&host, "{'op':'list_hosts'}"), "{'items':[],'diagnostics':[]}");
	host_stop(&host);
}

/* ---- Which file is loaded ---- */

static void test_relative_directory(void **state)
{
	CLEANUP_FREE char *cwd = getcwd(NULL, 0);
	const struct inventory_entry *entry;
	char *dir = scratch_new();
	struct host host;

	(void)state;
	copy_fixture(dir, "shorter-table.so");
	assert_int_equal(chdir(dir), 0);
	start_in(&host, ".", "shorter-table," GOOD);
	assert_int_equal(chdir(cwd), 0);
	entry = entry_of(&host, "shorter-table");
	assert_active(&host, "shorter-table");
	assert_int_equal(entry->file[0], '/');
	assert_non_null(strstr(entry->file, dir + strlen("/tmp/")));
	assert_good_serves(&host);
	host_stop(&host);
	scratch_remove(dir);
}

static void test_first_directory_first(void **state)
{
	char *dir = scratch_new();
	struct host host;

	(void)state;
	scratch_write(dir, "shorter-table.so", "no plugin", 9);
	start_in(&host, dir, "shorter-table");
	assert_string_equal(failure_code_name(entry_of(&host, "shorter-table")->dropin.failures.list[0].code), "not_a_plugin");
	host_stop(&host);
	scratch_remove(dir);
}

/* A .la file is libtool's way to send libltdl elsewhere. */
static void test_la_file_is_not_followed(void **state)
{
	CLEANUP_FREE char *la = NULL;
	char *dir = scratch_new();
	struct host host;
	cJSON *answer;

	(void)state;
	assert_true(asprintf(&la, "dlname='longer-table.so'\nlibrary_names='longer-table.so'\nold_library=''\n"
				  "dependency_libs=''\ninstalled=yes\nshouldnotlink=yes\nlibdir='%s'\n", fixture_dir()) >= 0);
	copy_fixture(dir, "shorter-table.so");
	scratch_write(dir, "shorter-table.la", la, strlen(la));
	scratch_write(dir, "la-alone.la", la, strlen(la));
	start_in(&host, dir, "shorter-table,la-alone," GOOD);
	assert_active(&host, "shorter-table");
	assert_string_equal(failure_code_name(entry_of(&host, "la-alone")->dropin.failures.list[0].code), "plugin_not_found");
	answer = host_ask_json(&host, "{'op':'list_runtimes'}");
	assert_string_equal(json_string_at(answer, "items.0.runtime_id"), "shorter-table");
	assert_int_equal(cJSON_GetArraySize(json_at(answer, "items")), 2);
	cJSON_Delete(answer);
	host_stop(&host);
	scratch_remove(dir);
}

/* ---- The program ---- */

/* What the program writes on standard output; its status must be 0. */
static char *run_program(const char *variables, const char *arguments)
{
	CLEANUP_FREE char *command = NULL, *built = NULL;
	const char *program = getenv("BERTH");
	char *text = calloc(1, 65536);
	FILE *stream;

	assert_non_null(text);
	assert_true(asprintf(&built, "%s/../../core/berth", plugin_dir()) >= 0);
	assert_true(asprintf(&command, "env %s '%s' --data-dir '' --workspace-root /w --json %s 2>/dev/null", variables,
			     program ? program : built, arguments) >= 0);
	stream = popen(command, "r");
	assert_non_null(stream);
	assert_true(fread(text, 1, 65535, stream) < 65535);
	assert_int_equal(pclose(stream), 0);
	return text;
}

static void test_printing_plugin(void **state)
{
	CLEANUP_FREE char *text = NULL, *arguments = NULL;

	(void)state;
	assert_true(asprintf(&arguments, "--adapters prints-constructor --adapter-dir '%s' workers", fixture_dir()) >= 0);
	text = run_program("A=1", arguments);
	assert_json_text(text, "{'items':[],'diagnostics':[]}\n");
}

static void test_library_path_is_not_searched(void **state)
{
	CLEANUP_FREE char *variables = NULL, *arguments = NULL, *text = NULL;
	char *meant = scratch_new(), *other = scratch_new();
	struct file file = read_file(fixture_dir(), "longer-table.so");
	cJSON *answer;

	(void)state;
	copy_fixture(meant, "shorter-table.so");
	scratch_write(other, "shorter-table.so", file.data, file.len);
	scratch_write(other, "longer-table.so", file.data, file.len);
	assert_true(asprintf(&variables, "LD_LIBRARY_PATH='%s' LTDL_LIBRARY_PATH='%s'", other, other) >= 0);
	assert_true(asprintf(&arguments, "--adapter-dir '%s' --adapters shorter-table,longer-table adapters",
			     meant) >= 0);
	text = run_program(variables, arguments);
	answer = cJSON_Parse(text);
	assert_string_equal(json_string_at(answer, "adapters.0.state"), "active");
	assert_string_equal(json_string_at(answer, "adapters.0.runtime_id"), "shorter-table");
	assert_string_equal(json_string_at(answer, "adapters.1.failures.0.code"), "plugin_not_found");
	cJSON_Delete(answer);
	free(file.data);
	scratch_remove(meant);
	scratch_remove(other);
}

/* Half a plugin would end the process when the linker touches what is not there. */
static void test_truncated_plugin(void **state)
{
	struct file file = read_file(fixture_dir(), "options.so");
	const ElfW(Ehdr) *elf = (const void *)file.data;
	const ElfW(Phdr) *headers = (const void *)(file.data + elf->e_phoff);
	size_t end = 0;

	(void)state;
	for (size_t i = 0; i < elf->e_phnum; i++)
		if (headers[i].p_type == PT_LOAD && headers[i].p_offset + headers[i].p_filesz > end)
			end = headers[i].p_offset + headers[i].p_filesz;
	for (size_t len = 1; len < end; len += 700) {
		CLEANUP_FREE char *arguments = NULL, *text = NULL;
		char *dir = scratch_new();
		cJSON *answer;

		print_message("%zu of %zu bytes\n", len, file.len);
		scratch_write(dir, "options.so", file.data, len);
		assert_true(asprintf(&arguments, "--adapter-dir '%s' --adapters options adapters", dir) >= 0);
		text = run_program("A=1", arguments);
		answer = cJSON_Parse(text);
		assert_string_equal(json_string_at(answer, "adapters.0.failures.0.code"), "not_a_plugin");
		cJSON_Delete(answer);
		scratch_remove(dir);
	}
	free(file.data);
}

/* ---- Threading ---- */

enum { N_THREADS = 4 };

struct caller {
	struct registry *registry;
	const char *runtime_id;
	unsigned wanted; /* calls at once that the adapter waits for */
	double of_instance, of_adapter; /* how many there were */
};

static void *call_adapter(void *data)
{
	CLEANUP(buffer_fini) struct buffer scratch = { 0 }, answer = { 0 };
	struct caller *caller = data;
	char line[200];
	cJSON *json;
	int len = snprintf(line, sizeof line, "{\"op\":\"send_input\",\"runtime_id\":\"%s\",\"worker_id\":\"w\","
					      "\"request\":{\"content\":\"%u\"}}", caller->runtime_id, caller->wanted);

	batch_answer(caller->registry, (struct berth_text){ line, (size_t)len }, &scratch, &answer);
	json = cJSON_ParseWithLength(answer.data, answer.len);
	caller->of_instance = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(json, "transcript_sequence"));
	caller->of_adapter = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(json, "event_id"));
	cJSON_Delete(json);
	return NULL;
}

static const struct threading {
	const char *name, *adapters;
	const char *runtime_ids[2]; /* half of the threads ask the second */
	unsigned wanted;
	double of_instance, of_adapter; /* at most at once */
} threadings[] = {
	{ "one call at a time for an adapter that wants that", "threads-one,threads-one",
	  { "threads-one-1", "threads-one-2" }, 1, 1, 1 },
	{ "one call at a time where the threading is unknown", "threads-later,threads-later",
	  { "threads-later-1", "threads-later-2" }, 1, 1, 1 },
	{ "one call at a time for each instance, two instances at once", "threads-instance,threads-instance",
	  { "threads-instance-1", "threads-instance-2" }, 2, 1, 2 },
	{ "any number of calls at once where any number is taken", "threads-any", { "threads-any-1", "threads-any-1" },
	  N_THREADS, N_THREADS, N_THREADS },
};

static void test_threading(void **state)
{
	const struct threading *row = *state;
	struct caller callers[N_THREADS];
	pthread_t threads[N_THREADS];
	double of_instance = 0, of_adapter = 0;
	struct host host;

	start_in(&host, NULL, row->adapters);
	for (size_t i = 0; i < N_THREADS; i++) {
		callers[i] = (struct caller){ &host.inventory.registry, row->runtime_ids[i % 2], row->wanted, 0, 0 };
		assert_int_equal(pthread_create(&threads[i], NULL, call_adapter, &callers[i]), 0);
	}
	for (size_t i = 0; i < N_THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		/* Written so that NaN, which an answer without numbers gives, fails too. */
		assert_true(callers[i].of_instance >= 1 && callers[i].of_adapter >= 1);
		of_instance = callers[i].of_instance > of_instance ? callers[i].of_instance : of_instance;
		of_adapter = callers[i].of_adapter > of_adapter ? callers[i].of_adapter : of_adapter;
	}
	host_stop(&host);
	assert_true(of_instance == row->of_instance);
	assert_true(of_adapter == row->of_adapter);
}

/* A reload opens and closes instances beside others that are at work. */
static void test_open_is_a_call(void **state)
{
	const struct workspace workspace = { .id = BERTH_TEXT("local:test"), .root = BERTH_TEXT("/workspace/project") };
	struct instance *instance = NULL;
	cJSON *settings = cJSON_CreateObject();
	struct caller caller;
	struct failure failure;
	pthread_t thread;
	struct host host;

	(void)state;
	start_in(&host, NULL, "threads-one");
	caller = (struct caller){ &host.inventory.registry, "threads-one-1", 1, 0, 0 };
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(pthread_create(&thread, NULL, call_adapter, &caller), 0);
		assert_int_equal(instance_open(host.inventory.loader.adapters, "other", settings, &workspace, &instance, &failure), 0);
		instance_close(instance);
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
	cJSON_Delete(settings);
	host_stop(&host);
	assert_true(caller.of_adapter == 1);
}

/* Workers may be given the adapter's own name for the runtime. */
static void test_configured_runtime_id(void **state)
{
	const struct workspace workspace = { .id = BERTH_TEXT("local:test"), .root = BERTH_TEXT("/workspace/project") };
	cJSON *settings = cJSON_CreateObject(), *id = cJSON_CreateString("configured"), *answer;
	struct instance *instance = NULL;
	struct failure failure;
	struct host host;

	(void)state;
	setenv("BERTH_FIXTURE", "worker runtime_id own", 1);
	start_in(&host, NULL, "misbehaving");
	assert_int_equal(settings_put(settings, "runtime_id", id, "test"), 0);
	assert_int_equal(instance_open(host.inventory.loader.adapters, "other", settings, &workspace, &instance, &failure), 0);
	assert_int_equal(registry_add(&host.inventory.registry, instance), 0);
	answer = host_ask_json(&host, "{'op':'worker','runtime_id':'configured','worker_id':'spoiled'}");
	assert_string_equal(json_string_at(answer, "runtime_id"), "configured");
	assert_string_equal(json_string_at(answer, "worker_id"), "spoiled");
	cJSON_Delete(answer);
	cJSON_Delete(settings);
	cJSON_Delete(id);
	host_stop(&host);
	unsetenv("BERTH_FIXTURE");
}

int main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test(test_directory_and_loop),
		cmocka_unit_test(test_runtime_id_taken),
		cmocka_unit_test(test_close_after_open),
		cmocka_unit_test(test_first_directory_first),
		cmocka_unit_test(test_la_file_is_not_followed),
		cmocka_unit_test(test_library_path_is_not_searched),
		cmocka_unit_test(test_truncated_plugin),
		cmocka_unit_test(test_printing_plugin),
		cmocka_unit_test(test_relative_directory),
		cmocka_unit_test(test_missing_operations),
		cmocka_unit_test(test_other_versions),
		cmocka_unit_test(test_open_is_a_call),
		cmocka_unit_test(test_configured_runtime_id),
	};
	enum {
		N_BADS = sizeof bads / sizeof *bads,
		N_OTHERS = sizeof others / sizeof *others,
		N_THREADINGS = sizeof threadings / sizeof *threadings,
	};
	struct CMUnitTest tests[N_BADS + N_OTHERS + N_THREADINGS], *test = tests;

	for (size_t i = 0; i < N_BADS; i++)
		*test++ = (struct CMUnitTest){ bads[i].name, test_bad, NULL, NULL, (void *)(uintptr_t)&bads[i] };
	memcpy(test, others, sizeof others);
	test += N_OTHERS;
	for (size_t i = 0; i < N_THREADINGS; i++)
		*test++ = (struct CMUnitTest){
			threadings[i].name, test_threading, NULL, NULL, (void *)(uintptr_t)&threadings[i],
		};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
