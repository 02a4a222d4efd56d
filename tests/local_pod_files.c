/* SPDX-License-Identifier: MIT */
/* Which files are records, in which order and how many of them a list shows, and what
 * is said where there are none: all on a real file system, through the loaded plugin. */
#include "config.h"

#include "tests/support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/cleanup.h"

#define GOOD "{'worker_name':'%s','workspace_root':'/workspace/project'}"
#define RECORD "{'worker_name':'w','workspace_root':'/workspace/project'}"
#define UNREADABLE "local_pod_metadata_unreadable"
#define INVALID "local_pod_metadata_invalid"
#define ROOT_MISSING "local_pod_workspace_root_missing"
#define NOT_VISIBLE "local_pod_workspace_not_visible"

enum { SIZE_LIMIT = 8 << 20 };

/* ---- A data directory and a host over it ---- */

struct scene {
	char *dir;
	struct host host;
	bool running;
};

static int scene_setup(void **state)
{
	struct scene *scene = calloc(1, sizeof *scene);

	assert_non_null(scene);
	scene->dir = scratch_new();
	/* A blocked open should end the program, not the patience of whoever waits. */
	alarm(20);
	*state = scene;
	return 0;
}

static int scene_teardown(void **state)
{
	struct scene *scene = *state;

	if (scene->running)
		host_stop(&scene->host);
	scratch_remove(scene->dir);
	free(scene);
	return 0;
}

static void start(struct scene *scene, const char *data_dir, const char *root)
{
	const struct host_setup setup = { .adapters = "local-pod", .data_dir = data_dir, .root = root };

	if (scene->running)
		host_stop(&scene->host);
	host_start(&scene->host, &setup);
	scene->running = true;
}

/* Asks, and sees to it that the answer holds no path. */
#define ASK(scene, ...) checked(scene, host_ask_json(&(scene)->host, __VA_ARGS__))

static cJSON *checked(const struct scene *scene, cJSON *json)
{
	const char *text = scene->host.answer.data;

	assert_null(strstr(text, scene->dir));
	assert_null(strstr(text, "/workspace"));
	assert_null(strstr(text, "metadata.json"));
	return json;
}

static void assert_count(const cJSON *json, const char *path, int n)
{
	assert_int_equal(cJSON_GetArraySize(json_at(json, path)), n);
}

/* Asserts the labels of the items and the codes of the diagnostics, each list with
 * spaces between. */
static void assert_list(struct scene *scene, const char *limit, const char *labels, const char *codes)
{
	cJSON *list = ASK(scene, "{'op':'list_workers','limit':%s}", limit);
	CLEANUP_FREE char *found_labels = NULL, *found_codes = NULL;
	size_t len = 0;
	FILE *file = open_memstream(&found_labels, &len);
	const cJSON *item;

	assert_non_null(file);
	cJSON_ArrayForEach(item, json_at(list, "items"))
		fprintf(file, "%s%s", ftell(file) > 0 ? " " : "", json_string_at(item, "label"));
	assert_int_equal(fclose(file), 0);
	file = open_memstream(&found_codes, &len);
	assert_non_null(file);
	cJSON_ArrayForEach(item, json_at(list, "diagnostics"))
		fprintf(file, "%s%s", ftell(file) > 0 ? " " : "", json_string_at(item, "code"));
	assert_int_equal(fclose(file), 0);
	assert_string_equal(found_labels, labels);
	assert_string_equal(found_codes, codes);
	cJSON_Delete(list);
}

static char *path_in(const struct scene *scene, const char *path)
{
	char *full;

	assert_true(asprintf(&full, "%s/%s", scene->dir, path) >= 0);
	return full;
}

static void make_dir(const struct scene *scene, const char *path)
{
	CLEANUP_FREE char *full = path_in(scene, path);

	if (mkdir(full, 0777) < 0 && errno != EEXIST)
		fail_msg("%s: %s", full, strerror(errno));
}

static void make_link(const struct scene *scene, const char *target, const char *path)
{
	CLEANUP_FREE char *full = path_in(scene, path);

	assert_int_equal(symlink(target, full), 0);
}

/* ---- What metadata.json is ---- */

static struct file_row {
	const char *name;
	const char *text;   /* of a file other, with ' in the place of "; NULL: there is none */
	const char *target; /* of the link metadata.json; NULL: it is none */
	mode_t type;        /* of metadata.json itself; 0: see above */
	off_t size;         /* it, or other, is filled up to this with white space, or holes */
	bool sparse;
	const char *code;   /* NULL: a worker */
} file_rows[] = {
	{ "there is no metadata.json", NULL, NULL, 0, 0, false, UNREADABLE },
	{ "metadata.json is a directory", NULL, NULL, S_IFDIR, 0, false, UNREADABLE },
	{ "metadata.json is a FIFO", NULL, NULL, S_IFIFO, 0, false, UNREADABLE },
	{ "metadata.json is a socket", NULL, NULL, S_IFSOCK, 0, false, UNREADABLE },
	{ "metadata.json is an empty file", "", "../../other", 0, 0, false, INVALID },
	{ "a link to nowhere", NULL, "nowhere", 0, 0, false, UNREADABLE },
	{ "a link to itself", NULL, "metadata.json", 0, 0, false, UNREADABLE },
	{ "a link to a directory", NULL, ".", 0, 0, false, UNREADABLE },
	{ "a link to an empty device", NULL, "/dev/null", 0, 0, false, UNREADABLE },
	{ "a link to a device without end", NULL, "/dev/zero", 0, 0, false, UNREADABLE },
	{ "a link to a terminal", NULL, "/dev/tty", 0, 0, false, UNREADABLE },
	{ "a byte over 8 MiB", RECORD, NULL, S_IFREG, SIZE_LIMIT + 1, false, UNREADABLE },
	{ "a byte over 8 MiB behind a link", RECORD, "../../other", 0, SIZE_LIMIT + 1, false, UNREADABLE },
	{ "a sparse file of 100 MB", RECORD, NULL, S_IFREG, 100000000, true, UNREADABLE },
	{ "8 MiB of holes", RECORD, NULL, S_IFREG, SIZE_LIMIT, true, INVALID },
	{ "a regular file", RECORD, NULL, S_IFREG, 0, false, NULL },
	{ "a link to a regular file", RECORD, "../../other", 0, 0, false, NULL },
	{ "exactly 8 MiB", RECORD, NULL, S_IFREG, SIZE_LIMIT, false, NULL },
	{ "exactly 8 MiB behind a link", RECORD, "../../other", 0, SIZE_LIMIT, false, NULL },
};

static void write_text(const struct scene *scene, const char *path, const struct file_row *row)
{
	size_t len = strlen(row->text), size = row->sparse || (off_t)len > row->size ? len : (size_t)row->size;
	CLEANUP_FREE char *text = malloc(size + 1), *full = path_in(scene, path);

	assert_non_null(text);
	memset(text, ' ', size);
	for (size_t i = 0; i < len; i++)
		text[i] = row->text[i] == '\'' ? '"' : row->text[i];
	scratch_write(scene->dir, path, text, size);
	if (row->sparse)
		assert_int_equal(truncate(full, row->size), 0);
}

static void make_file(const struct scene *scene, const struct file_row *row)
{
	CLEANUP_FREE char *full = path_in(scene, "pods/w/metadata.json");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	make_dir(scene, "pods");
	make_dir(scene, "pods/w");
	if (row->target && row->text)
		write_text(scene, "other", row);
	if (row->target)
		make_link(scene, row->target, "pods/w/metadata.json");
	switch (row->type) {
	case S_IFREG:
		write_text(scene, "pods/w/metadata.json", row);
		break;
	case S_IFDIR:
		make_dir(scene, "pods/w/metadata.json");
		break;
	case S_IFIFO:
		assert_int_equal(mkfifo(full, 0666), 0);
		break;
	case S_IFSOCK:
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		assert_true(fd >= 0 && strlen(full) < sizeof address.sun_path);
		memcpy(address.sun_path, full, strlen(full));
		assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
		close(fd);
		break;
	default:
		break;
	}
}

static struct file_row *current_row;

static int file_setup(void **state)
{
	current_row = *state;
	return scene_setup(state);
}

static void test_file(void **state)
{
	struct scene *scene = *state;

	make_file(scene, current_row);
	start(scene, scene->dir, NULL);
	/* A second time, for what was kept of the first. */
	for (int i = 0; i < 2; i++)
		assert_list(scene, "200", current_row->code ? "" : "w", current_row->code ? current_row->code : "");
}

static void test_fifo_with_a_writer(void **state)
{
	static const char record[] = "{\"worker_name\":\"w\",\"workspace_root\":\"/workspace/project\"}";
	struct scene *scene = *state;
	CLEANUP_FREE char *full = path_in(scene, "pods/w/metadata.json");
	int fd;

	make_dir(scene, "pods");
	make_dir(scene, "pods/w");
	assert_int_equal(mkfifo(full, 0666), 0);
	fd = open(full, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, record, sizeof record - 1), sizeof record - 1);
	start(scene, scene->dir, NULL);
	assert_list(scene, "200", "", UNREADABLE);
	close(fd);
}

static void test_permissions(void **state)
{
	static const char *const paths[] = { "pods/w/metadata.json", "pods/w", "pods" };
	static const char *const codes[] = { UNREADABLE, UNREADABLE, "local_pod_registry_unreadable" };
	struct scene *scene = *state;

	if (geteuid() == 0)
		skip();
	scratch_record(scene->dir, "w", GOOD, "w");
	start(scene, scene->dir, NULL);
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		CLEANUP_FREE char *full = path_in(scene, paths[i]);

		assert_list(scene, "200", "w", "");
		assert_int_equal(chmod(full, 0), 0);
		assert_list(scene, "200", "", codes[i]);
		assert_int_equal(chmod(full, 0700), 0);
	}
	assert_list(scene, "200", "w", "");
}

/* ---- Names ---- */

static void test_names_in_the_order_of_their_bytes(void **state)
{
	/* Bytes do not sort like letters, nor like UTF-16. */
	static const char *const names[] = {
		" ", "!", "-", ".x", "0", "10", "9", "A", "B", "Z", "_", "a", "a-b", "a0", "aa", "b", "\x7f",
		"\xc3\xa9", "\xd0\x96", "\xe6\xbc\xa2", "\xef\xbf\xbd", "\xf0\x9f\x98\x80",
	};
	enum { N = sizeof names / sizeof *names };
	struct scene *scene = *state;
	char expected[512], label[8], *end = expected;

	for (size_t i = 0; i < N; i++) {
		size_t at = (i * 13 + 5) % N;

		snprintf(label, sizeof label, "n%zu", at);
		scratch_record(scene->dir, names[at], GOOD, label);
		end += sprintf(end, "%sn%zu", i > 0 ? " " : "", i);
	}
	start(scene, scene->dir, NULL);
	assert_list(scene, "200", expected, "");
}

static void test_what_is_passed_over(void **state)
{
	static const char *const broken_names[] = { "\xff", "a\xc0\xaf", "\xed\xa0\x80", "\xe2\x82", "\x80y" };
	struct scene *scene = *state;

	scratch_record(scene->dir, "b", GOOD, "b");
	for (size_t i = 0; i < sizeof broken_names / sizeof *broken_names; i++)
		scratch_record(scene->dir, broken_names[i], GOOD, "never");
	scratch_write(scene->dir, "pods/file", "{}", 2);
	scratch_write(scene->dir, "pods/metadata.json", "{}", 2);
	make_link(scene, "b", "pods/a");
	make_link(scene, "nowhere", "pods/c");
	make_link(scene, ".", "pods/d");
	start(scene, scene->dir, NULL);
	assert_list(scene, "200", "b", "");
}

static void test_a_name_of_255_bytes(void **state)
{
	struct scene *scene = *state;
	char name[256], hint[81] = "";
	cJSON *list, *worker;

	memset(name, 'x', 255);
	name[255] = '\0';
	memset(hint, 'x', 80);
	scratch_record(scene->dir, name, GOOD, "long");
	start(scene, scene->dir, NULL);
	list = ASK(scene, "{'op':'list_workers'}");
	assert_string_equal(json_string_at(list, "items.0.label"), "long");
	assert_string_equal(json_string_at(list, "items.0.implementation.display_hint"), hint);
	assert_int_equal(strlen(json_string_at(list, "items.0.worker_id")), 120);
	worker = ASK(scene, "{'op':'worker','runtime_id':'local-worker-runtime','worker_id':'%s'}",
		     json_string_at(list, "items.0.worker_id"));
	assert_string_equal(json_string_at(worker, "label"), "long");
	cJSON_Delete(worker);
	cJSON_Delete(list);
}

static void test_a_name_through_the_hint_filter(void **state)
{
	struct scene *scene = *state;
	cJSON *list;

	scratch_record(scene->dir, "a\tb\\c\n\x7f\xc2\x85\xf0\x9f\x98\x80", GOOD, "odd");
	start(scene, scene->dir, NULL);
	list = ASK(scene, "{'op':'list_workers'}");
	assert_string_equal(json_string_at(list, "items.0.implementation.display_hint"), "abc\xf0\x9f\x98\x80");
	cJSON_Delete(list);
}

/* ---- How many ---- */

static void test_limits(void **state)
{
	static const struct {
		const char *limit, *labels, *codes;
	} rows[] = {
		{ "0", "", "" },
		{ "1", "w1", INVALID },
		{ "2", "w1 w2", INVALID " " NOT_VISIBLE },
		{ "3", "w1 w2 w3", INVALID " " NOT_VISIBLE },
		{ "4", "w1 w2 w3", INVALID " " NOT_VISIBLE " " ROOT_MISSING " " UNREADABLE },
		{ "200", "w1 w2 w3", INVALID " " NOT_VISIBLE " " ROOT_MISSING " " UNREADABLE },
		{ "18446744073709551615", "w1 w2 w3", INVALID " " NOT_VISIBLE " " ROOT_MISSING " " UNREADABLE },
	};
	struct scene *scene = *state;

	scratch_record(scene->dir, "a", "{");
	scratch_record(scene->dir, "b", GOOD, "w1");
	scratch_record(scene->dir, "c", "{'worker_name':'x','workspace_root':'/other'}");
	scratch_record(scene->dir, "d", GOOD, "w2");
	scratch_record(scene->dir, "e", GOOD, "w3");
	scratch_record(scene->dir, "f", "{'worker_name':'x'}");
	make_dir(scene, "pods/g");
	start(scene, scene->dir, NULL);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_list(scene, rows[i].limit, rows[i].labels, rows[i].codes);
}

static void test_sixteen_diagnostics_and_the_walk_goes_on(void **state)
{
	struct scene *scene = *state;
	char name[16], codes[1024] = "";
	cJSON *list;

	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof name, "b%02d", i);
		if (i % 2)
			scratch_record(scene->dir, name, "{'worker_name':'x'}");
		else
			scratch_record(scene->dir, name, "[]");
		if (i < 16)
			snprintf(codes + strlen(codes), sizeof codes - strlen(codes), "%s%s", i > 0 ? " " : "",
				 i % 2 ? ROOT_MISSING : INVALID);
	}
	scratch_record(scene->dir, "c", GOOD, "last");
	scratch_record(scene->dir, "a", GOOD, "first");
	start(scene, scene->dir, NULL);
	assert_list(scene, "200", "first last", codes);
	assert_list(scene, "2", "first last", codes);
	assert_list(scene, "1", "first", "");
	list = ASK(scene, "{'op':'list_workers_for_host','host_id':'local-local-test-a2fa388634a6e2ed'}");
	assert_count(list, "items", 2);
	assert_count(list, "diagnostics", 16);
	cJSON_Delete(list);
}

/* ---- Look-up. The digests are those of printf NAME | sha256sum. ---- */

static struct look_up_row {
	const char *name, *worker_id, *label; /* NULL: unknown_worker */
} look_up_rows[] = {
	{ "the worker of no directory", "local-worker-x-2d711642b726b044", NULL },
	{ "the worker of a record that is no JSON", "local-worker-invalid-f1234d75178d892a", NULL },
	{ "the worker of a directory without a record", "local-worker-missing-ffa63583dfa6706b", NULL },
	{ "a worker of another workspace", "local-worker-other-d9298a10d1b07358", NULL },
	{ "the worker of a link", "local-worker-link-b1b1bdb480c61d07", NULL },
	{ "the name of the directory", "good", NULL },
	{ "the id without its digest", "local-worker-good", NULL },
	{ "the digest alone", "770e607624d689265ca6c44884d0807d", NULL },
	{ "another digest", "local-worker-good-0000000000000000", NULL },
	{ "another body", "local-worker-best-770e607624d68926", NULL },
	{ "the id in another case", "local-worker-GOOD-770e607624d68926", NULL },
	{ "the id of a host", "local-local-test-a2fa388634a6e2ed", NULL },
	{ "a good worker", "local-worker-good-770e607624d68926", "g" },
};

static struct look_up_row *current_look_up;

static int look_up_setup(void **state)
{
	current_look_up = *state;
	return scene_setup(state);
}

static void test_look_up(void **state)
{
	struct scene *scene = *state;
	const struct look_up_row *row = current_look_up;
	cJSON *answer;

	scratch_record(scene->dir, "good", GOOD, "g");
	scratch_record(scene->dir, "invalid", "{");
	scratch_record(scene->dir, "other", "{'worker_name':'x','workspace_root':'/other'}");
	make_dir(scene, "pods/missing");
	make_link(scene, "good", "pods/link");
	start(scene, scene->dir, NULL);
	for (int i = 0; i < 2; i++) {
		answer = ASK(scene, "{'op':'worker','runtime_id':'local-worker-runtime','worker_id':'%s'}",
			     row->worker_id);
		if (row->label) {
			assert_string_equal(json_string_at(answer, "label"), row->label);
			assert_string_equal(json_string_at(answer, "worker_id"), row->worker_id);
		} else {
			assert_string_equal(json_string_at(answer, "error.kind"), "unknown_worker");
			assert_string_equal(json_string_at(answer, "error.worker_id"), row->worker_id);
		}
		cJSON_Delete(answer);
	}
}

/* ---- The workspace ---- */

static struct root_row {
	const char *name, *root, *label, *of_record; /* NULL: none is asked about */
	bool visible;
} root_rows[] = {
	{ "the root /", "/", "workspace", "/", true },
	{ "the root / is what is left of slashes", "/", "workspace", "///", true },
	{ "the root / is not empty", "/", "workspace", "", false },
	{ "the root of slashes", "//", "workspace", "/", true },
	{ "an empty root", "", "workspace", "", true },
	{ "an empty root is not /", "", "workspace", "/", false },
	{ "the root .", ".", "workspace", ".", true },
	{ "the root ..", "..", "workspace", "../", true },
	{ "the root ./", "./", "workspace", ".", true },
	{ "the root /.", "/.", "workspace", "/", false },
	{ "the root /..", "/..", "workspace", "/..", true },
	{ "a root that ends with ..", "a/..", "workspace", "a/..//", true },
	{ "a root that ends with ../.", "a/../.", "workspace", "a/..", false },
	{ "a root that ends with /./", "/x/./", "x", "/x/.", true },
	{ "a root that ends with /.//./", "/x/.//./", "x", "/x", false },
	{ "a root that ends with two slashes", "/x//", "x", "/x", true },
	{ "a root of one part", "x", "x", "x/", true },
	{ "a relative root", "a/b", "b", "/a/b", false },
	{ "a root with a backslash", "a\\b", "a\\b", "a/b", true },
	{ "a root that ends with a backslash", "/a/b\\", "b\\", "/a/b", true },
	{ "a root of a drive", "C:\\w\\p", "C:\\w\\p", "C:/w/p/", true },
	{ "a hidden directory", "/x/.hidden", ".hidden", "/x/.hidden", true },
	{ "three dots are a name", "/x/...", "...", "/x/...", true },
	{ "a name that ends with a dot", "/x/y.", "y.", "/x/y", false },
	{ "a dot in the middle", "/x/./y", "y", "/x/y", false },
	{ "a name with spaces and letters of all kinds", "/x/ \xc3\xa9 \xe6\xbc\xa2", " \xc3\xa9 \xe6\xbc\xa2",
	  "/x/ \xc3\xa9 \xe6\xbc\xa2", true },
	{ "a last part that is not UTF-8", "/x/\xff", "workspace", NULL, false },
	{ "another part that is not UTF-8", "/\xff/y", "y", NULL, false },
};

static struct root_row *current_root;

static int root_setup(void **state)
{
	current_root = *state;
	return scene_setup(state);
}

static void test_root(void **state)
{
	struct scene *scene = *state;
	const struct root_row *row = current_root;
	CLEANUP_FREE char *record = NULL;
	cJSON *hosts, *string = cJSON_CreateString(row->of_record ? row->of_record : "/workspace/project");
	CLEANUP_FREE char *root = cJSON_PrintUnformatted(string);

	assert_true(asprintf(&record, "{\"worker_name\":\"w\",\"workspace_root\":%s}", root) >= 0);
	scratch_write(scene->dir, "pods/w/metadata.json", record, strlen(record));
	start(scene, scene->dir, row->root);
	hosts = host_ask_json(&scene->host, "{'op':'list_hosts'}");
	assert_string_equal(json_string_at(hosts, "items.0.label"), row->label);
	assert_list(scene, "200", row->visible ? "w" : "", row->visible ? "" : NOT_VISIBLE);
	cJSON_Delete(string);
	cJSON_Delete(hosts);
}

/* ---- Where there are no records ---- */

static void assert_inspection(const cJSON *capabilities, bool available)
{
	static const char *const always_false[] = {
		"can_spawn_worker", "can_stop_worker", "can_accept_input", "can_stream_events",
		"can_read_bounded_transcript", "has_workspace_fs", "has_shell", "has_git", "supports_worktrees",
		"supports_backend_internal_tools",
	};

	assert_true(cJSON_IsTrue(json_at(capabilities, "can_list_hosts")));
	assert_int_equal(cJSON_IsTrue(json_at(capabilities, "can_list_workers")), available);
	assert_int_equal(cJSON_IsTrue(json_at(capabilities, "can_get_worker")), available);
	for (size_t i = 0; i < sizeof always_false / sizeof *always_false; i++)
		assert_true(cJSON_IsFalse(json_at(capabilities, always_false[i])));
	assert_string_equal(json_string_at(capabilities, "local_pod_inspection"),
			    available ? "available" : "unavailable");
	assert_string_equal(json_string_at(capabilities, "workspace_scope"), "current_workspace");
}

static void assert_only_unavailable(const cJSON *json, const char *path)
{
	const cJSON *diagnostics = json_at(json, path);

	assert_int_equal(cJSON_GetArraySize(diagnostics), 1);
	assert_string_equal(json_string_at(diagnostics, "0.code"), "local_pod_registry_unavailable");
	assert_string_equal(json_string_at(diagnostics, "0.severity"), "warning");
}

static void test_without_a_data_directory(void **state)
{
	struct scene *scene = *state;
	cJSON *runtimes, *hosts, *workers, *worker;

	start(scene, NULL, NULL);
	runtimes = ASK(scene, "{'op':'list_runtimes'}");
	assert_string_equal(json_string_at(runtimes, "items.0.status"), "available");
	assert_string_equal(json_string_at(runtimes, "items.0.host_ids.0"), "local-local-test-a2fa388634a6e2ed");
	assert_inspection(json_at(runtimes, "items.0.capabilities"), false);
	assert_only_unavailable(runtimes, "items.0.diagnostics");
	assert_only_unavailable(runtimes, "diagnostics");
	hosts = ASK(scene, "{'op':'list_hosts','limit':3}");
	assert_string_equal(json_string_at(hosts, "items.0.status"), "degraded");
	assert_inspection(json_at(hosts, "items.0.capabilities"), false);
	assert_only_unavailable(hosts, "items.0.diagnostics");
	assert_only_unavailable(hosts, "diagnostics");
	workers = ASK(scene, "{'op':'list_workers'}");
	assert_count(workers, "items", 0);
	assert_only_unavailable(workers, "diagnostics");
	cJSON_Delete(workers);
	/* One of the list of hosts, one of that of workers; the latter also at limit 0, as the original has it. */
	for (int limit = 0; limit < 2; limit++) {
		workers = ASK(scene, "{'op':'list_workers_for_host','host_id':'local-local-test-a2fa388634a6e2ed',"
				     "'limit':%d}", limit);
		assert_count(workers, "items", 0);
		assert_count(workers, "diagnostics", 2);
		assert_string_equal(json_string_at(workers, "diagnostics.1.code"), "local_pod_registry_unavailable");
		cJSON_Delete(workers);
	}
	worker = ASK(scene, "{'op':'worker','runtime_id':'local-worker-runtime','worker_id':'x'}");
	assert_string_equal(json_string_at(worker, "error.kind"), "unknown_worker");
	cJSON_Delete(worker);
	cJSON_Delete(hosts);
	cJSON_Delete(runtimes);
	assert_json_text(host_ask(&scene->host, "{'op':'list_workers','limit':0}"), "{'items':[],'diagnostics':[]}");
	assert_json_text(host_ask(&scene->host, "{'op':'list_hosts','limit':0}"), "{'items':[],'diagnostics':[]}");
}

static void test_with_a_data_directory(void **state)
{
	struct scene *scene = *state;
	cJSON *runtimes, *hosts;

	make_dir(scene, "pods");
	start(scene, scene->dir, NULL);
	runtimes = ASK(scene, "{'op':'list_runtimes','limit':7}");
	assert_inspection(json_at(runtimes, "items.0.capabilities"), true);
	assert_int_equal(json_at(runtimes, "items.0.capabilities.max_workers")->valueint, 7);
	assert_count(runtimes, "items.0.host_ids", 1);
	assert_count(runtimes, "items.0.diagnostics", 0);
	assert_count(runtimes, "diagnostics", 0);
	hosts = ASK(scene, "{'op':'list_hosts','limit':3}");
	assert_string_equal(json_string_at(hosts, "items.0.status"), "available");
	assert_inspection(json_at(hosts, "items.0.capabilities"), true);
	assert_int_equal(json_at(hosts, "items.0.capabilities.max_workers")->valueint, 3);
	assert_count(hosts, "items.0.diagnostics", 0);
	assert_count(hosts, "diagnostics", 0);
	assert_list(scene, "200", "", "");
	cJSON_Delete(hosts);
	cJSON_Delete(runtimes);
}

static void test_pods_that_cannot_be_read(void **state)
{
	struct scene *scene = *state;
	CLEANUP_FREE char *nowhere = path_in(scene, "nowhere"), *file = path_in(scene, "file"),
			  *dangling = path_in(scene, "dangling"), *fifo = path_in(scene, "fifo"), *pods = NULL;
	const char *const dirs[] = { scene->dir, nowhere, file, dangling, fifo };
	cJSON *answer;

	scratch_write(scene->dir, "file", "", 0);
	make_dir(scene, "dangling");
	make_link(scene, "nowhere", "dangling/pods");
	make_dir(scene, "fifo");
	pods = path_in(scene, "fifo/pods");
	assert_int_equal(mkfifo(pods, 0666), 0);
	for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
		start(scene, dirs[i], NULL);
		assert_list(scene, "200", "", "local_pod_registry_unreadable");
		assert_list(scene, "0", "", "");
		answer = ASK(scene, "{'op':'list_hosts'}");
		assert_string_equal(json_string_at(answer, "items.0.status"), "available");
		assert_count(answer, "diagnostics", 0);
		cJSON_Delete(answer);
		answer = ASK(scene, "{'op':'worker','runtime_id':'local-worker-runtime','worker_id':'x'}");
		assert_string_equal(json_string_at(answer, "error.kind"), "unknown_worker");
		cJSON_Delete(answer);
	}
}

static void test_links_above_the_records(void **state)
{
	struct scene *scene = *state;
	CLEANUP_FREE char *link = path_in(scene, "link"), *dir = path_in(scene, "dir");

	scratch_record(scene->dir, "w", GOOD, "w");
	make_dir(scene, "dir");
	make_link(scene, "../pods", "dir/pods");
	make_link(scene, "dir", "link");
	start(scene, dir, NULL);
	assert_list(scene, "200", "w", "");
	start(scene, link, NULL);
	assert_list(scene, "200", "w", "");
}

/* ---- */

#define CASE(function) { #function, function, scene_setup, scene_teardown, NULL }

static const struct CMUnitTest cases[] = {
	CASE(test_fifo_with_a_writer),
	CASE(test_permissions),
	CASE(test_pods_that_cannot_be_read),
	CASE(test_without_a_data_directory),
	CASE(test_with_a_data_directory),
	CASE(test_links_above_the_records),
	CASE(test_what_is_passed_over),
	CASE(test_names_in_the_order_of_their_bytes),
	CASE(test_a_name_of_255_bytes),
	CASE(test_a_name_through_the_hint_filter),
	CASE(test_limits),
	CASE(test_sixteen_diagnostics_and_the_walk_goes_on),
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

int main(void)
{
	struct CMUnitTest tests[COUNT(file_rows) + COUNT(look_up_rows) + COUNT(root_rows) + COUNT(cases)];
	size_t n = 0;

	for (size_t i = 0; i < COUNT(file_rows); i++)
		tests[n++] = (struct CMUnitTest){ file_rows[i].name, test_file, file_setup, scene_teardown,
						  &file_rows[i] };
	for (size_t i = 0; i < COUNT(look_up_rows); i++)
		tests[n++] = (struct CMUnitTest){ look_up_rows[i].name, test_look_up, look_up_setup, scene_teardown,
						  &look_up_rows[i] };
	for (size_t i = 0; i < COUNT(root_rows); i++)
		tests[n++] = (struct CMUnitTest){ root_rows[i].name, test_root, root_setup, scene_teardown,
						  &root_rows[i] };
	for (size_t i = 0; i < COUNT(cases); i++)
		tests[n++] = cases[i];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
