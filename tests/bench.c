/* SPDX-License-Identifier: MIT */
/*
 * Times what berth does, each row beside a floor: the bare system calls, library
 * calls or processes that it cannot do without, timed in the same run and in turn
 * with it. The ratio of the two is what can be compared between machines; nothing
 * here passes or fails by how long it took, only by wrong answers.
 */
#include "config.h"

#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <ftw.h>
#include <gnu/libc-version.h>
#include <limits.h>
#include <openssl/evp.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/batch.h"
#include "core/io.h"
#include "core/identifier.h"
#include "core/inventory.h"
#include "core/settings.h"
#include "inline/gather.h"

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#define COUNTS ""
#else
#define COUNTS " without callgrind.h"
#define CALLGRIND_ZERO_STATS ((void)0)
#define CALLGRIND_DUMP_STATS_AT(name) ((void)(name))
#endif

enum {
	MANY = 10000, /* records, embedded workers, items of a transcript */
	N_SAMPLES_MAX = 128,
	QUICK = 5,    /* so many times fewer samples */
	READ_SIZE = 64 << 10,
	QUESTION_SIZE = 39, /* bytes of an isolated look-up, as strace shows them */
	ANSWER_SIZE = 415,
};

#define ROOT "/workspace/project"

struct child {
	pid_t pid;
	int in_fd, out_fd; /* ours: to it and from it; -1 where there is none */
};

struct bench {
	const char *program, *adapter_dir, *floor;
	const char *only; /* rows with this in their name; NULL: all */
	bool quick, counting;
	char *dir; /* with the records; NULL: not made yet */
	int pods_fd;
	char names[MANY][32], paths[MANY][48]; /* of the records, in byte order */
	struct inventory inventory;
	struct registry inside, apart; /* views of it, with one instance each */
	pid_t echo;                    /* a process that sends back what it receives */
	int echo_fd;
	const struct row *row;
	struct buffer scratch, answer, copy;
	struct child child, other;
	EVP_MD *sha256;
	EVP_MD_CTX *context;
};

struct row {
	const char *name, *floor_name;
	const char *line;                    /* the request */
	const char *begins;                  /* how the answer has to begin; NULL: there is none */
	size_t n_items;                      /* workers or transcript items that it has to have */
	bool no_records;                     /* the host is not to have any */
	bool isolated;                       /* the host has embedded twice, once in a process of its own */
	bool spread;                         /* over all processors */
	bool apart;                          /* the processes that answer have other processors than the one that asks */
	const char *changes;                 /* how local-pod finds them; NULL: as it likes */
	void (*set_up)(struct bench *bench); /* once */
	void (*before)(struct bench *bench); /* before each sample, not timed */
	void (*own)(struct bench *bench);
	void (*floor)(struct bench *bench);
	bool open, names;                    /* of the floor touch_files */
	size_t n_stats, n_reads;             /* of it, too */
	unsigned n_samples, n_inner;         /* a sample is the mean over n_inner times */
	unsigned n_counted;                  /* how often its instructions are counted; 0: not, it is no work of this process */
};

static struct bench bench_state;

static void need(bool done, const char *what)
{
	if (!done)
		err(1, "%s", what);
}

/* ---- Records ---- */

#define UUID(digit) "8d7e6f5" digit "-3c2b-4a19-9f8e-%012zx"

static const char record_format[] =
	"{\"worker_name\":\"%s\",\"active\":{\"session_id\":\"" UUID("1") "\",\"segment_id\":\"" UUID("2") "\"},"
	"\"workspace_root\":\"" ROOT "\",\"resolved_manifest_snapshot\":{\"role\":\"coder\",\"profile_selector\":{"
	"\"name\":\"builtin:coder\",\"origin\":\"workspace\"},\"model\":{\"provider\":\"example\",\"name\":\"large\","
	"\"temperature\":0.2,\"max_output_tokens\":8192},\"tools\":[\"read\",\"write\",\"search\",\"shell\"],"
	"\"limits\":{\"turns\":120,\"seconds\":3600,\"retries\":[1,2,4,8]},"
	"\"instructions\":\"Work on the ticket until its acceptance criteria hold.\\nAsk where they are unclear, "
	"keep the change small and leave the tree as you would like to find it.\",\"sandbox\":null},"
	"\"spawned_children\":[{\"worker_name\":\"%s-tests\",\"socket_path\":\"/run/user/1000/workers/%s-tests.sock\","
	"\"scope_delegated\":[{\"target\":\"" ROOT "/tests\",\"permission\":\"write\",\"recursive\":true},"
	"{\"target\":\"" ROOT "/src\",\"permission\":\"read\",\"recursive\":true}],"
	"\"callback_address\":\"unix:/run/user/1000/workers/%s.sock\"}],\"reclaimed_children\":[{"
	"\"worker_name\":\"%s-docs\",\"scope_delegated\":[{\"target\":\"" ROOT "/docs\",\"permission\":\"write\","
	"\"recursive\":false}]}],\"peers\":[{\"worker_name\":\"ticket-reviewer-%05zu\"},"
	"{\"worker_name\":\"ticket-intake-%05zu\"}]}\n";

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)type, (void)at;
	return remove(path);
}

static void remove_records(void)
{
	if (bench_state.dir)
		nftw(bench_state.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void write_record(const struct bench *bench, size_t i, size_t salt)
{
	const char *name = bench->names[i];
	char text[2048];
	int fd, n = snprintf(text, sizeof text, record_format, name, i, i + salt, name, name, name, name, i, i);

	if (n < 1300 || n > 1500)
		errx(1, "a record has %d bytes", n);
	fd = openat(bench->pods_fd, bench->paths[i], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	need(fd >= 0 && write(fd, text, (size_t)n) == n && close(fd) == 0, bench->paths[i]);
}

static void change_record(struct bench *bench)
{
	static size_t salt;

	write_record(bench, MANY / 2, ++salt);
}

static void make_records(struct bench *bench)
{
	const char *tmp = getenv("TMPDIR");
	static char dir[PATH_MAX];
	char pods[sizeof dir + 8];

	snprintf(dir, sizeof dir, "%s/berth-bench-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	bench->dir = mkdtemp(dir);
	need(bench->dir, dir);
	snprintf(pods, sizeof pods, "%s/pods", dir);
	need(mkdir(pods, 0777) == 0, pods);
	need((bench->pods_fd = open(pods, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0, pods);
	for (size_t i = 0; i < MANY; i++) {
		snprintf(bench->names[i], sizeof *bench->names, "ticket-coder-worker-%05zu", i);
		snprintf(bench->paths[i], sizeof *bench->paths, "%s/metadata.json", bench->names[i]);
		need(mkdirat(bench->pods_fd, bench->names[i], 0777) == 0, bench->names[i]);
		write_record(bench, i, 0);
	}
	/* Only what has not changed for a while is kept; two seconds are the coarsest clock. */
	nanosleep(&(struct timespec){ .tv_sec = 2, .tv_nsec = 100000000 }, NULL);
}

/* ---- A host in this process ---- */

static void put(struct dropin *dropin, const char *key, cJSON *value)
{
	need(value && settings_put(dropin->settings, key, value, "built-in") == 0, key);
	cJSON_Delete(value);
}

static void add_instances(struct bench *bench)
{
	struct inventory *inventory = &bench->inventory;
	const char *const two[] = { "embedded", "apart", NULL };
	const char *const *names = bench->row->isolated ? two : inventory_default_names;

	inventory->program = bench->program;
	for (size_t i = 0; names[i]; i++) {
		struct dropin dropin;

		need(dropin_make(names[i], "built-in", &dropin) == 0, "an adapter");
		if (strcmp(names[i], "apart") == 0) {
			put(&dropin, "adapter", cJSON_CreateString("embedded"));
			put(&dropin, "runtime_id", cJSON_CreateString("apart"));
			put(&dropin, "isolate", cJSON_CreateTrue());
		}
		if (strcmp(names[i], "local-pod") == 0 && bench->row->changes)
			put(&dropin, "options.changes", cJSON_CreateString(bench->row->changes));
		need(inventory_add(inventory, &dropin) == 0 && inventory_require(inventory, names[i]) == 0, "an adapter");
	}
}

static void restart_host(struct bench *bench)
{
	struct inventory *inventory = &bench->inventory;
	const struct workspace workspace = {
		.root = BERTH_TEXT(ROOT), .id = BERTH_TEXT("local:bench"),
		.data_dir = berth_text(bench->row->no_records ? NULL : bench->dir),
	};
	struct error error;

	inventory_fini(inventory);
	*inventory = (struct inventory){ .entries = NULL };
	buffer_fini(&bench->scratch);
	buffer_fini(&bench->answer);
	if (loader_init(&inventory->loader, &error) < 0 ||
	    loader_add_dir(&inventory->loader, bench->adapter_dir, &error) < 0)
		errx(1, "%s", error.text);
	add_instances(bench);
	if (inventory_start(inventory, &workspace) > 0) {
		inventory_log_failures(inventory);
		exit(1);
	}
	bench->inside = (struct registry){ .instances = inventory->registry.instances, .n_instances = 1 };
	bench->apart = (struct registry){ .instances = inventory->registry.instances + 1, .n_instances = 1 };
}

static void ask_line(struct bench *bench, const char *line)
{
	buffer_cut(&bench->answer, 0);
	batch_answer(&bench->inventory.registry, berth_text(line), &bench->scratch, &bench->answer);
}

static void ask(struct bench *bench)
{
	ask_line(bench, bench->row->line);
}

#define EMBEDDED "\"runtime_id\":\"embedded-worker-runtime\""
#define TEXT_50 "The quick brown fox jumps over all the lazy dogs; "
#define LIST(limit) "{\"op\":\"list_workers\",\"limit\":" #limit "}"
#define LINE_RUNTIMES "{\"op\":\"list_runtimes\"}"
#define LOOK_UP(id) "{\"op\":\"worker\",\"runtime_id\":\"local-worker-runtime\",\"worker_id\":\"" id "\"}"
#define LINE_HIT LOOK_UP("local-worker-ticket-coder-worker-05000-07c744f6fac91927")
#define LINE_MISS LOOK_UP("local-worker-ticket-coder-worker-10000-815c7f56d93072b3")
#define LINE_SPAWN                                                                                            \
	"{\"op\":\"spawn_worker\"," EMBEDDED ",\"request\":{\"intent\":{\"kind\":\"workspace_companion\"},"   \
	"\"acceptance\":{\"kind\":\"run_accepted\",\"expected_segments\":0}}}"
#define LINE_INPUT                                                                                            \
	"{\"op\":\"send_input\"," EMBEDDED ",\"worker_id\":\"worker-00000001\",\"request\":{\"kind\":\"user\"," \
	"\"content\":\"" TEXT_50 TEXT_50 TEXT_50 TEXT_50 "\"}}"
#define LINE_TRANSCRIPT \
	"{\"op\":\"transcript\"," EMBEDDED ",\"worker_id\":\"worker-00000001\",\"start\":5000,\"limit\":100}"

#define APART "\"runtime_id\":\"apart\""
#define LOOK_UP_IN(runtime) "{\"op\":\"worker\"," runtime ",\"worker_id\":\"worker-00000001\"}"
#define SPAWN_APART                                                                                           \
	"{\"op\":\"spawn_worker\"," APART ",\"request\":{\"intent\":{\"kind\":\"workspace_companion\"},"     \
	"\"acceptance\":{\"kind\":\"run_accepted\",\"expected_segments\":0}}}"

static void ask_one(struct bench *bench, struct registry *registry, const char *line, struct buffer *answer)
{
	buffer_cut(answer, 0);
	batch_answer(registry, berth_text(line), &bench->scratch, answer);
}

static void ask_apart(struct bench *bench)
{
	ask_one(bench, &bench->apart, bench->row->line, &bench->answer);
}

static void list_inside(struct bench *bench)
{
	ask_one(bench, &bench->inside, bench->row->line, &bench->copy);
}

/* As much as the question and the answer of the isolated one have. */
static void echo(struct bench *bench)
{
	char text[ANSWER_SIZE] = { 0 };

	need(write(bench->echo_fd, text, QUESTION_SIZE) == QUESTION_SIZE &&
	     read(bench->echo_fd, text, sizeof text) == sizeof text, "an echo");
}

static void look_up_inside_and_echo(struct bench *bench)
{
	ask_one(bench, &bench->inside, LOOK_UP_IN(EMBEDDED), &bench->copy);
	echo(bench);
}

static void start_echo(struct bench *bench)
{
	int pair[2];
	char text[ANSWER_SIZE] = { 0 };

	need(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0, "a socketpair");
	bench->echo = fork();
	need(bench->echo >= 0, "fork");
	if (bench->echo == 0) {
		close(pair[0]);
		while (read(pair[1], text, sizeof text) > 0 && write(pair[1], text, sizeof text) > 0)
			continue;
		_exit(0);
	}
	close(pair[1]);
	bench->echo_fd = pair[0];
}

static void end_echo(struct bench *bench)
{
	if (bench->echo <= 0)
		return;
	close(bench->echo_fd);
	need(waitpid(bench->echo, NULL, 0) == bench->echo, "waitpid");
	bench->echo = 0;
}

static void spawn_both(struct bench *bench)
{
	for (size_t i = 0; i < (bench->row->n_items > 1 ? MANY : 1); i++) {
		ask_line(bench, LINE_SPAWN);
		ask_line(bench, SPAWN_APART);
	}
	start_echo(bench);
}

/* So often that everything is watched that is going to be. */
static void settle(struct bench *bench)
{
	for (int i = 0; i < 12; i++)
		ask_line(bench, LIST(10000));
}

static void spawn_workers(struct bench *bench)
{
	for (size_t i = 0; i < MANY; i++)
		ask_line(bench, LINE_SPAWN);
}

static void fill_transcript(struct bench *bench)
{
	ask_line(bench, LINE_SPAWN);
	for (size_t i = 0; i < MANY; i++)
		ask_line(bench, LINE_INPUT);
}

static void generate_identifier(struct bench *bench)
{
	struct berth_text name = berth_text(bench->names[MANY / 2]);
	char buffer[BERTH_ID_MAX];

	need(identifier_generate(berth_text("local-worker-"), name, buffer, sizeof buffer).ptr, "an identifier");
}

/* ---- Floors in this process ---- */

static void digest(struct bench *bench, const char *text)
{
	unsigned char out[EVP_MAX_MD_SIZE];

	need(EVP_DigestInit_ex2(bench->context, bench->sha256, NULL) &&
	     EVP_DigestUpdate(bench->context, text, strlen(text)) &&
	     EVP_DigestFinal_ex(bench->context, out, NULL), "a digest");
}

static void digest_one(struct bench *bench)
{
	digest(bench, bench->names[MANY / 2]);
}

/* Opens the directory and digests its names, looks at n_stats records, reads n_reads. */
static void touch_files(struct bench *bench)
{
	const struct row *row = bench->row;
	const struct dirent *entry;
	char text[2048];
	struct stat st;
	DIR *dir = NULL;
	int fd = -1;

	if (row->open) {
		fd = openat(bench->pods_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		need(fd >= 0 && fstat(fd, &st) == 0 && (!row->names || (dir = fdopendir(fd))), "pods");
		while (dir && (entry = readdir(dir)))
			digest(bench, entry->d_name);
	}
	for (size_t i = 0; i < row->n_stats; i++)
		need(fstatat(bench->pods_fd, bench->paths[i], &st, 0) == 0, bench->paths[i]);
	if (row->open)
		need((dir ? closedir(dir) : close(fd)) == 0, "pods");
	for (size_t i = 0; i < row->n_reads; i++) {
		fd = openat(bench->pods_fd, bench->paths[i], O_RDONLY | O_CLOEXEC);
		need(fd >= 0 && read(fd, text, sizeof text) > 0 && close(fd) == 0, bench->paths[i]);
	}
}

static void copy_bytes(struct bench *bench)
{
	buffer_cut(&bench->copy, 0);
	buffer_append_string(&bench->copy, bench->row->line);
	buffer_append(&bench->copy, bench->answer.data, bench->answer.len);
	/* As if somebody looked at it. */
	__asm__ volatile("" : : "r"(bench->copy.data) : "memory");
}

/* ---- Other processes ---- */

/* null_input: instead of a pipe. */
static void start_child(struct child *child, const char *const *argv, bool null_input)
{
	posix_spawn_file_actions_t actions;
	int in[2] = { -1, -1 }, out[2], rc;

	need(pipe2(out, O_CLOEXEC) == 0 && (null_input || pipe2(in, O_CLOEXEC) == 0), "pipe");
	posix_spawn_file_actions_init(&actions);
	if (null_input)
		posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	else
		posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
	/* posix_spawn takes what it does not change without const. */
	rc = posix_spawn(&child->pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	errno = rc;
	need(rc == 0, argv[0]);
	close(out[1]);
	if (!null_input)
		close(in[0]);
	child->out_fd = out[0];
	child->in_fd = in[1];
}

static void end_child(struct child *child)
{
	int status = 0;

	if (child->pid <= 0)
		return;
	if (child->in_fd >= 0)
		close(child->in_fd);
	close(child->out_fd);
	need(waitpid(child->pid, &status, 0) == child->pid, "waitpid");
	child->pid = 0;
	if (status != 0)
		errx(1, "a process ended with status %#x", (unsigned)status);
}

/* Reads up to the newline that ends what is there. */
static void read_line(int fd, struct buffer *line)
{
	buffer_cut(line, 0);
	do {
		char *end = buffer_reserve(line, READ_SIZE);
		ssize_t n = end ? read(fd, end, READ_SIZE) : -1;

		if (n <= 0)
			errx(1, "a process ended without an answer");
		line->len += (size_t)n;
	} while (line->data[line->len - 1] != '\n');
}

static void talk(struct bench *bench, const struct child *child, const char *line)
{
	buffer_cut(&bench->scratch, 0);
	buffer_append_string(&bench->scratch, line);
	buffer_append_char(&bench->scratch, '\n');
	need(io_write_all(child->in_fd, bench->scratch.data, bench->scratch.len) == 0, "a pipe");
	read_line(child->out_fd, &bench->answer);
}

static void start_berth(struct bench *bench)
{
	const char *const argv[] = {
		bench->program, "--json", "--adapter-dir", bench->adapter_dir, "--data-dir", bench->dir,
		"--workspace-root", ROOT, "runtimes", NULL,
	};

	start_child(&bench->child, argv, true);
	read_line(bench->child.out_fd, &bench->answer);
}

static void start_floor(struct bench *bench)
{
	const char *const argv[] = { bench->floor, bench->adapter_dir, NULL };

	start_child(&bench->child, argv, true);
	read_line(bench->child.out_fd, &bench->copy);
}

static void start_batch(struct bench *bench)
{
	char len[32];
	const char *const echo_argv[] = { bench->floor, "--echo", len, NULL }, *const argv[] = {
		bench->program, "--adapter-dir", bench->adapter_dir, "--data-dir", bench->row->no_records ? "" : bench->dir,
		"--workspace-root", ROOT, "batch", NULL,
	};

	start_child(&bench->child, argv, false);
	talk(bench, &bench->child, LINE_SPAWN);
	for (size_t i = 0; i < MANY; i++)
		talk(bench, &bench->child, bench->row->no_records ? LINE_SPAWN : LINE_INPUT);
	talk(bench, &bench->child, bench->row->line);
	snprintf(len, sizeof len, "%zu", bench->answer.len);
	start_child(&bench->other, echo_argv, false);
}

static void talk_to_berth(struct bench *bench)
{
	talk(bench, &bench->child, bench->row->line);
}

static void talk_to_echo(struct bench *bench)
{
	talk(bench, &bench->other, bench->row->line);
}

/* ---- The rows ---- */

#define RUNTIMES "{\"items\":[{\"runtime_id\":\"local-worker-runtime\",\"label\":"
#define WORKERS "{\"items\":[{\"runtime_id\":"
#define WORKER "{\"runtime_id\":"
#define UNKNOWN "{\"error\":{\"kind\":\"unknown_worker\""
#define ACCEPTED "{\"state\":\"accepted\""

#define ANSWER(request, start, items) .line = (request), .begins = (start), .n_items = (items)
#define FILES .own = ask, .floor = touch_files
#define COPY "request and answer copied", .own = ask, .floor = copy_bytes
#define ISOLATED .isolated = true, .no_records = true, .set_up = spawn_both
#define ECHO "an echo process, the same sizes", .set_up = start_batch, .own = talk_to_berth, .floor = talk_to_echo
#define BATCH ECHO, .n_samples = 60, .n_inner = 100

static const struct row rows[] = {
	{ "start to first answer", "bare program, same libraries and plugins", .begins = RUNTIMES, .own = start_berth,
	  .floor = start_floor, .n_samples = 100, .n_inner = 1 },
	{ "list 10,000 records, fresh host", "open, read, close of each", ANSWER(LIST(10000), WORKERS, 10000), FILES,
	  .before = restart_host, .n_reads = MANY, .n_samples = 30, .n_inner = 1 },
	{ "the same, over all processors", "open, read, close of each", ANSWER(LIST(10000), WORKERS, 10000), FILES,
	  .spread = true, .before = restart_host, .n_reads = MANY, .n_samples = 30, .n_inner = 1 },
	{ "again, nothing changed", "fstatat of each", ANSWER(LIST(10000), WORKERS, 10000), FILES,
	  .set_up = settle, .n_stats = MANY, .n_samples = 60, .n_inner = 1, .n_counted = 1 },
	{ "again, without notification", "fstatat of each", ANSWER(LIST(10000), WORKERS, 10000), FILES,
	  .changes = "stat", .n_stats = MANY, .n_samples = 60, .n_inner = 1, .n_counted = 1 },
	{ "again, one record changed", "fstatat of each, one read", ANSWER(LIST(10000), WORKERS, 10000), FILES,
	  .set_up = settle, .before = change_record, .n_stats = MANY, .n_reads = 1, .n_samples = 60, .n_inner = 1,
	  .n_counted = 1 },
	{ "200 of 10,000 again", "fstatat of 200", ANSWER(LIST(200), WORKERS, 200), FILES, .set_up = settle,
	  .n_stats = 200, .n_samples = 100, .n_inner = 10, .n_counted = 10 },
	{ "look up 1 of 10,000, fresh host", "names read, SHA-256 of each", ANSWER(LINE_HIT, WORKER, 1), FILES,
	  .before = restart_host, .open = true, .names = true, .n_stats = 1, .n_samples = 40, .n_inner = 1, .n_counted = 1 },
	{ "look up 1 of 10,000, hit", "open, fstat, fstatat, close", ANSWER(LINE_HIT, WORKER, 1), FILES,
	  .set_up = settle, .open = true, .n_stats = 1, .n_samples = 100, .n_inner = 200, .n_counted = 100 },
	{ "look up 1 of 10,000, miss", "open, fstat, close", ANSWER(LINE_MISS, UNKNOWN, 0), FILES,
	  .set_up = settle, .open = true, .n_samples = 100, .n_inner = 200, .n_counted = 100 },
	{ "list_runtimes", COPY, ANSWER(LINE_RUNTIMES, RUNTIMES, 0), .n_samples = 50, .n_inner = 1000, .n_counted = 100 },
	{ "embedded: spawn", COPY, ANSWER(LINE_SPAWN, ACCEPTED, 1), .n_samples = 50, .n_inner = 1000, .n_counted = 100 },
	{ "embedded: input of 200 bytes", COPY, ANSWER(LINE_INPUT, ACCEPTED, 0), .set_up = fill_transcript,
	  .n_samples = 50, .n_inner = 1000, .n_counted = 100 },
	{ "embedded: 100 of 10,000 items", COPY, ANSWER(LINE_TRANSCRIPT, ACCEPTED, 100), .set_up = fill_transcript,
	  .n_samples = 100, .n_inner = 100, .n_counted = 100 },
	{ "embedded: list 10,000 workers", COPY, ANSWER(LIST(10000), WORKERS, 10000), .set_up = spawn_workers,
	  .no_records = true, .n_samples = 60, .n_inner = 1, .n_counted = 1 },
	{ "isolated: look up 1 worker", "in process, and a bare socketpair", ANSWER(LOOK_UP_IN(APART), WORKER, 1),
	  ISOLATED, .own = ask_apart, .floor = look_up_inside_and_echo, .n_samples = 60, .n_inner = 1000 },
	{ "again, over all processors", "in process, and a bare socketpair", ANSWER(LOOK_UP_IN(APART), WORKER, 1),
	  ISOLATED, .spread = true, .own = ask_apart, .floor = look_up_inside_and_echo, .n_samples = 60, .n_inner = 200 },
	{ "again, each has a processor", "in process, and a bare socketpair", ANSWER(LOOK_UP_IN(APART), WORKER, 1),
	  ISOLATED, .apart = true, .own = ask_apart, .floor = look_up_inside_and_echo, .n_samples = 60, .n_inner = 200 },
	{ "isolated: list 10,000 workers", "in process", ANSWER(LIST(10000), WORKERS, 10000), ISOLATED,
	  .own = ask_apart, .floor = list_inside, .n_samples = 60, .n_inner = 1 },
	{ "again, over all processors", "in process", ANSWER(LIST(10000), WORKERS, 10000), ISOLATED, .spread = true,
	  .own = ask_apart, .floor = list_inside, .n_samples = 60, .n_inner = 1 },
	{ "identifier from 25 bytes", "SHA-256 of 25 bytes, context kept", .own = generate_identifier,
	  .floor = digest_one, .n_samples = 100, .n_inner = 1000, .n_counted = 100 },
	{ "batch: list_runtimes", BATCH, ANSWER(LINE_RUNTIMES, RUNTIMES, 0) },
	{ "batch: spawn", BATCH, ANSWER(LINE_SPAWN, ACCEPTED, 1) },
	{ "batch: input of 200 bytes", BATCH, ANSWER(LINE_INPUT, ACCEPTED, 0) },
	{ "batch: 100 of 10,000 items", BATCH, ANSWER(LINE_TRANSCRIPT, ACCEPTED, 100) },
	{ "batch: list 10,000 workers", ECHO, ANSWER(LIST(10000), WORKERS, 10000),
	  .no_records = true, .n_samples = 60, .n_inner = 1 },
};

/* ---- Processors ---- */

/* One processor: what is asked and what answers then always take turns alike. */
static void pin(void)
{
	int cpu = sched_getcpu();
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)(cpu < 0 ? 0 : cpu), &set);
	if (sched_setaffinity(0, sizeof set, &set) < 0)
		fprintf(stderr, "bench: cannot be kept to one processor: %s\n", strerror(errno));
}

/* All that there are. */
static void spread(void)
{
	cpu_set_t set;

	memset(&set, 0xff, sizeof set);
	sched_setaffinity(0, sizeof set, &set);
}

/* Moves each thread of a process. */
static void move_process(int pid, const cpu_set_t *set)
{
	char path[64];
	struct dirent *entry;
	DIR *threads;

	snprintf(path, sizeof path, "/proc/%d/task", pid);
	threads = opendir(path);
	while (threads && (entry = readdir(threads)))
		if (entry->d_name[0] != '.')
			need(sched_setaffinity(atoi(entry->d_name), sizeof *set, set) == 0, "another processor");
	if (threads)
		closedir(threads);
}

/* Moves the children to where this process is not; where there is one processor alone they stay. */
static void move_children(void)
{
	struct dirent *entry;
	DIR *threads = opendir("/proc/self/task");
	cpu_set_t here, there;

	need(threads && sched_getaffinity(0, sizeof here, &here) == 0, "the own processor");
	memset(&there, 0xff, sizeof there);
	CPU_XOR(&there, &there, &here);
	while (sysconf(_SC_NPROCESSORS_ONLN) > 1 && (entry = readdir(threads))) {
		char path[300];
		FILE *children;
		int pid;

		snprintf(path, sizeof path, "/proc/self/task/%s/children", entry->d_name);
		children = fopen(path, "r");
		while (children && fscanf(children, "%d", &pid) == 1)
			move_process(pid, &there);
		if (children)
			fclose(children);
	}
	closedir(threads);
}

/* ---- Measuring ---- */

static int compare_times(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double median(double *samples, size_t n)
{
	qsort(samples, n, sizeof *samples, compare_times);
	return n % 2 ? samples[n / 2] : (samples[n / 2 - 1] + samples[n / 2]) / 2;
}

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double sample(struct bench *bench, void (*function)(struct bench *bench))
{
	const struct row *row = bench->row;
	double begin = now_ns(), passed;

	for (unsigned i = 0; i < row->n_inner; i++)
		function(bench);
	passed = now_ns() - begin;
	if (bench->child.in_fd < 0)
		end_child(&bench->child);
	return passed / row->n_inner;
}

/* A fast wrong answer is worth nothing. */
static void check_answer(struct bench *bench)
{
	const struct row *row = bench->row;
	size_t n = 0;

	if (!row->begins)
		return;
	buffer_append_char(&bench->answer, '\0');
	if (bench->answer.failed || strncmp(bench->answer.data, row->begins, strlen(row->begins)) != 0)
		errx(1, "%s: %.300s", row->name, bench->answer.failed ? "no memory" : bench->answer.data);
	/* Workers and transcript items each have one role. */
	for (const char *p = bench->answer.data; (p = strstr(p, ",\"role\":")); p++)
		n++;
	if (n != row->n_items)
		errx(1, "%s: %zu items instead of %zu", row->name, n, row->n_items);
	buffer_cut(&bench->answer, bench->answer.len - 1);
}

static void print_time(double ns)
{
	double unit = ns >= 1e6 ? 1e6 : ns >= 1e3 ? 1e3 : 1;

	ns /= unit;
	printf("%8.*f %s", ns < 10 ? 2 : ns < 100 ? 1 : 0, ns, unit == 1e6 ? "ms" : unit == 1e3 ? "us" : "ns");
}

static void run_row(struct bench *bench, const struct row *row)
{
	double own[N_SAMPLES_MAX], floor[N_SAMPLES_MAX];
	unsigned n = bench->quick ? row->n_samples / QUICK : row->n_samples;

	bench->row = row;
	if (row->spread)
		spread();
	restart_host(bench);
	if (row->set_up)
		row->set_up(bench);
	if (row->apart)
		move_children();
	/* The first is to warm up, and to be looked at. */
	sample(bench, row->own);
	check_answer(bench);
	sample(bench, row->floor);
	for (unsigned i = 0; i < n; i++) {
		if (row->before)
			row->before(bench);
		own[i] = sample(bench, row->own);
		floor[i] = sample(bench, row->floor);
	}
	end_child(&bench->child);
	end_child(&bench->other);
	end_echo(bench);
	if (row->spread)
		pin();
	own[0] = median(own, n);
	floor[0] = median(floor, n);
	printf("%-33s", row->name);
	print_time(own[0]);
	print_time(floor[0]);
	printf("%8.2f  %s\n", own[0] / floor[0], row->floor_name);
	fflush(stdout);
}

/* All that the counts depend on, but for what is counted. */
static void print_build(void)
{
	struct utsname name;

	uname(&name);
	printf("%s%s, glibc %s, OpenSSL %u.%u, %s%s,%s%s\n", strstr(__VERSION__, "lang") ? "" : "gcc ", __VERSION__,
	       gnu_get_libc_version(), OPENSSL_version_major(), OPENSSL_version_minor(), name.machine,
	       GATHER_HAS_WIDE ? " with AVX2" : "", BENCH_BUILD, COUNTS);
}

/* Does the work of a row where callgrind counts its instructions, and says how often it was done. */
static void count_row(struct bench *bench, const struct row *row)
{
	if (row->n_counted == 0)
		return;
	bench->row = row;
	restart_host(bench);
	if (row->set_up)
		row->set_up(bench);
	/* The first one grows buffers and finds symbols. */
	row->own(bench);
	if (row->before)
		row->before(bench);
	CALLGRIND_ZERO_STATS;
	for (unsigned i = 0; i < row->n_counted; i++)
		row->own(bench);
	CALLGRIND_DUMP_STATS_AT(row->name);
	check_answer(bench);
	printf("%u %s\n", row->n_counted, row->name);
}

static int count_rows(struct bench *bench)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		count_row(bench, &rows[i]);
	inventory_fini(&bench->inventory);
	return 0;
}

/* ---- Memory ---- */

/* What a process has resident, in MB. */
static double resident(pid_t pid)
{
	char path[64], line[256];
	double kib = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
	file = fopen(path, "re");
	need(file, path);
	while (fgets(line, sizeof line, file) && sscanf(line, "VmRSS: %lf", &kib) != 1);
	fclose(file);
	return kib * 1024 / 1e6;
}

/* Of a process that has listed all records twice, and before. */
static void print_memory(struct bench *bench)
{
	static const struct row row = { .begins = WORKERS, .n_items = MANY };
	const char *const argv[] = {
		bench->program, "--adapter-dir", bench->adapter_dir, "--data-dir", bench->dir, "--workspace-root", ROOT,
		"batch", NULL,
	};
	double before, after;

	bench->row = &row;
	start_child(&bench->child, argv, false);
	talk(bench, &bench->child, LINE_RUNTIMES);
	before = resident(bench->child.pid);
	talk(bench, &bench->child, LIST(10000));
	talk(bench, &bench->child, LIST(10000));
	check_answer(bench);
	after = resident(bench->child.pid);
	end_child(&bench->child);
	printf("%-33s%8.1f MB%8.1f MB%8.2f  resident before\n", "memory, 10,000 records listed", after, before,
	       after / before);
}

/* ---- The program ---- */

static void print_machine(void)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char line[256], model[256] = "unknown processor";
	struct utsname name;

	while (file && fgets(line, sizeof line, file) && sscanf(line, "model name : %255[^\n]", model) != 1);
	if (file)
		fclose(file);
	uname(&name);
	printf("%s; %s %s %s; %s%s\n", model, name.sysname, name.release, name.machine,
	       strstr(__VERSION__, "lang") ? "" : "GCC ", __VERSION__);
}

static int run_rows(struct bench *bench)
{
	if (!bench->program || !bench->adapter_dir || !bench->floor)
		errx(1, "usage: bench --program PATH --adapter-dir DIR --floor PATH [--quick | --counted] [--only TEXT] | --built");
	need((bench->program = realpath(bench->program, NULL)) != NULL, "--program");
	signal(SIGPIPE, SIG_IGN);
	pin();
	atexit(remove_records);
	bench->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	bench->context = EVP_MD_CTX_new();
	need(bench->sha256 && bench->context, "SHA-256");
	make_records(bench);
	if (bench->counting)
		return count_rows(bench);
	print_machine();
	printf("%-33s%11s%11s%8s  %s\n", "medians", "berth", "floor", "ratio", "the floor is");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (!bench->only || strstr(rows[i].name, bench->only))
			run_row(bench, &rows[i]);
	if (!bench->only || strstr("memory", bench->only))
		print_memory(bench);
	inventory_fini(&bench->inventory);
	return 0;
}

int main(int argc, char **argv)
{
	struct bench *bench = &bench_state;
	const struct {
		const char *name, **valuep;
	} options[] = {
		{ "--program", &bench->program },
		{ "--adapter-dir", &bench->adapter_dir },
		{ "--floor", &bench->floor },
		{ "--only", &bench->only },
	};

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--quick") == 0)
			bench->quick = true;
		if (strcmp(argv[i], "--counted") == 0)
			bench->counting = true;
		if (strcmp(argv[i], "--built") == 0) {
			print_build();
			return 0;
		}
		for (size_t j = 0; j < sizeof options / sizeof *options && i + 1 < argc; j++)
			if (strcmp(argv[i], options[j].name) == 0)
				*options[j].valuep = argv[++i];
	}
	return run_rows(bench);
}
