/* SPDX-License-Identifier: MIT */
/* The program with one call after the other failing, through all of its commands: fault_runs [--all]
 * [--stride N] [--first N] [--only COMMAND] [--kind FAULT] [--valgrind]. Each command is run with its
 * first, second, ... allocation or system call failing, until it makes no more of them; with a stride,
 * each Nth allocation, and of calls, which are fewer, more. Whatever fails: it ends by itself, with an
 * answer that is right or says that something is wrong, or with a line that does; and what it has
 * accepted is there afterwards.
 * In the environment: BERTH, BERTH_ADAPTER_DIR, BERTH_LIBEXEC_DIR, ADMIN_CONF_DIR, srcdir. */
#include "config.h"

#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <openssl/sha.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "tests/fault_run.h"
#include "tests/support.h"

/* ---- Faults ---- */

static const struct kind kinds[] = {
	{ "allocation", ALLOCATION, 0, 0, 0, 0 },
	{ "own allocation", ALLOCATION | OWN, 0, 0, 0, 0 },
	{ "allocation, from one on", ALLOCATION | ALL_BEHIND, 0, 0, 0, 0 },
	{ "open for writing: EROFS", 0, FAULT_OPEN, EROFS, 1, 0 },
	{ "open: EMFILE", 0, FAULT_OPEN | FAULT_LOOK, EMFILE, 1, 0 },
	{ "open: EACCES, from one on", 0, FAULT_OPEN | FAULT_LOOK, EACCES, ULONG_MAX, 0 },
	{ "read: EIO", 0, FAULT_READ | FAULT_LIST, EIO, 1, 0 },
	{ "read: EINTR", HARMLESS, FAULT_READ, EINTR, 1, 0 },
	{ "read: less than wanted", HARMLESS | ONCE, FAULT_READ, 0, ULONG_MAX, 0 },
	{ "write: ENOSPC", 0, FAULT_WRITE | FAULT_TRUNCATE, ENOSPC, 1, 0 },
	{ "write: EPIPE, from one on", 0, FAULT_WRITE, EPIPE, ULONG_MAX, 0 },
	{ "write: EINTR", HARMLESS, FAULT_WRITE, EINTR, 1, 0 },
	{ "write: less than wanted", HARMLESS | ONCE, FAULT_WRITE, 0, ULONG_MAX, 0 },
	{ "sync: EIO", 0, FAULT_SYNC, EIO, 1, 0 },
	{ "mmap: ENOMEM", 0, FAULT_MAP, ENOMEM, 1, 0 },
	{ "process or thread: EAGAIN", 0, FAULT_PROCESS, EAGAIN, 1, 0 },
	{ "descriptor or socket: EMFILE", 0, FAULT_SOCKET, EMFILE, 1, 0 },
	{ "closed standard descriptors", CLOSED, 0, 0, 0, 0 },
	{ "full and empty pipes", NARROW | HARMLESS | ONCE, 0, 0, 0, 0 },
	{ "clock: a day back", CLOCK | HARMLESS, 0, 0, 0, -86400 },
	{ "clock: a year ahead", CLOCK | HARMLESS, 0, 0, 0, 31536000 },
};

/* ---- Commands ---- */

static const struct command commands[] = {
	{ "runtimes", { "--json", "runtimes" }, 0 },
	{ "hosts", { "--json", "hosts" }, 0 },
	{ "workers", { "--json", "workers" }, EVERY },
	{ "workers, pinned", { "--json", "workers" }, PINNED },
	{ "workers in a table", { "workers" }, TEXT },
	{ "worker", { "--json", "worker", EMBEDDED, ONE }, 0 },
	{ "spawn", { "--json", "spawn", EMBEDDED, "--ticket", "T-1", "--role", "coder" }, 0 },
	{ "input", { "--json", "input", EMBEDDED, ONE, "Ahoy" }, 0 },
	{ "input from standard input", { "--json", "input", EMBEDDED, ONE, "-" }, GOLDEN },
	{ "transcript", { "--json", "transcript", EMBEDDED, ONE }, 0 },
	{ "transcript in a table", { "transcript", EMBEDDED, ONE }, TEXT },
	{ "stop", { "--json", "stop", EMBEDDED, ONE }, 0 },
	{ "connect-points", { "--json", "connect-points", EMBEDDED, ONE }, 0 },
	{ "events", { "--json", "events", EMBEDDED }, 0 },
	{ "adapters", { "--json", "adapters" }, 0 },
	{ "adapters inspect", { "--json", "adapters", "inspect", "PLUGIN" }, 0 },
	{ "config", { "--json", "config" }, 0 },
	{ "check", { "check" }, TEXT },
	{ "help", { "--help" }, TEXT },
	{ "batch", { "batch" }, REQUESTS },
	{ "batch, golden", { "--adapters", "local-pod,remote-reserved", "batch" }, GOLDEN },
	{ "batch, with a new store", { "batch" }, REQUESTS | FRESH },
	{ "batch, isolated", { "batch" }, REQUESTS | ISOLATED | SLOW },
	{ "batch, of one isolated", { "batch" }, REQUESTS | ISOLATED | CHILD | SLOW },
	{ "workers of a program", { "--json", "workers" }, PROCESS | SLOW },
	{ "input to a program", { "--json", "input", EMBEDDED, ONE, "Ahoy" }, PROCESS | SLOW },
	{ "check, isolated", { "check" }, TEXT | ISOLATED | SLOW },
	{ "watch", { "--json", "watch" }, ENDLESS | VARIES },
	{ "serve", { "serve", "--socket", "SOCKET" }, SERVES | VARIES },
	{ "a service's workers", { "--connect", "SERVICE", "--json", "workers" }, REMOTE },
	{ "a service's adapters", { "--connect", "SERVICE", "--json", "adapters" }, REMOTE },
	{ "a service's batch", { "--connect", "SERVICE", "batch" }, REMOTE | GOLDEN },
	{ "new-adapter", { "new-adapter", "harbour" }, TEXT | PROGRAM },
	{ "a cluster's hosts", { "--json", "hosts" }, CLUSTER },
	{ "a cluster's workers", { "--json", "workers" }, CLUSTER },
	{ "a cluster's spawn, again", { "--json", "spawn", CLUSTERED, "--request", SPAWN_REQUEST }, CLUSTER },
	{ "a cluster's input", { "--json", "input", CLUSTERED, "WORKER", "Ahoy" }, CLUSTER | VARIES },
	{ "a cluster's transcript", { "--json", "transcript", CLUSTERED, "WORKER" }, CLUSTER | VARIES },
	{ "a cluster's stop", { "--json", "stop", CLUSTERED, "WORKER" }, CLUSTER | VARIES },
	{ "a cluster's spawn", { "--json", "spawn", CLUSTERED }, CLUSTER | VARIES | FRESH | SLOW },
};

/* ---- All runs ---- */

/* Makes all as it was, for the next run. */
static void make_ready(const struct command *command)
{
	scratch_remove(strdup(all.work));
	mkdir(all.work, 0700);
	copy_store(command->flags & FRESH ? "nowhere" : "first", "store");
	if (command->flags & FRESH && command->flags & CLUSTER)
		start_cluster();
}

static void order(const struct kind *kind, uint64_t n)
{
	*all.order = (struct fault_order){ .fault = { kind->calls, kind->error, n - 1, kind->n_bad, 0 } };
	if (kind->flags & ALLOCATION) {
		all.order->nth_allocation = n;
		all.order->all_allocations = kind->flags & ALL_BEHIND;
		all.order->own_allocations = kind->flags & OWN;
	} else if (kind->flags & CLOCK) {
		all.order->nth_reading = n;
		all.order->clock_step_s = kind->step_s;
	}
	all.closed = kind->flags & CLOSED ? n : 0;
	all.narrow = kind->flags & NARROW;
}

static void report(const struct command *command, const struct kind *kind, uint64_t n, const struct run *run, const char *wrong)
{
	printf("# %s, %s %" PRIu64 ": %s: status %#x\n", command->name, kind->name, n, wrong, (unsigned)run->status);
	printf("# out: %.300s\n# err: %.*s\n", run->out.data, all.valgrind ? 8000 : 3000, run->err.data);
	fflush(stdout);
}

static void run_kind(const struct command *command, const struct kind *kind, const struct run *good)
{
	uint64_t n_runs = 0, n_wrong = 0, stride = all.stride;
	bool more = true;

	if (!(kind->flags & ALLOCATION))
		stride = command->flags & EVERY || kind->flags & CLOSED ? 1 : (stride + 15) / 16;
	for (uint64_t n = 1 + (all.first - 1) % stride; more; n += stride) {
		CLEANUP(run_fini) struct run run;
		const char *wrong;

		make_ready(command);
		order(kind, (kind->flags & ONCE) ? 1 : n);
		run_command(command, true, &run);
		wrong = judge(command, kind, &run, good);
		if (wrong) {
			report(command, kind, n, &run, wrong);
			n_wrong++;
		}
		more = !(kind->flags & ONCE) && n_wrong < 10 && (run.n_failed > 0 || !run.ended);
		if (kind->flags & CLOSED)
			more = n < 7;
		n_runs += run.n_failed > 0 || kind->flags & (CLOSED | NARROW);
	}
	printf("%s - berth %s: %s: %" PRIu64 " faults\n", n_wrong > 0 ? "not ok" : "ok", command->name, kind->name, n_runs);
	fflush(stdout);
	all.failed |= n_wrong > 0;
}

static void run_all(const struct command *command)
{
	CLEANUP(run_fini) struct run good;

	make_ready(command);
	run_command(command, false, &good);
	if (good.status == -1 || !WIFEXITED(good.status) ||
	    (WEXITSTATUS(good.status) > 1 && !(command->flags & ENDLESS)))
		errx(1, "%s: status %#x without a fault: %s", command->name, (unsigned)good.status, good.err.data);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if ((!all.only_kind || strcmp(all.only_kind, kinds[i].name) == 0) &&
		    !(kinds[i].flags & NARROW && command->flags & (SERVES | ENDLESS | PROGRAM)) &&
		    !(kinds[i].flags & (NARROW | CLOSED) && command->flags & CHILD))
			run_kind(command, &kinds[i], &good);
}

/* ---- Setting up ---- */

__attribute__((format(printf, 3, 4)))
static void write_dropin(enum root root, const char *name, const char *format, ...)
{
	CLEANUP_FREE char *path = text("%s%s/adapters.d/%s.json", all.roots[root] + strlen(all.scratch) + 1, wanted("ADMIN_CONF_DIR"), name);
	CLEANUP_FREE char *dropin = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&dropin, format, args) < 0)
		errx(1, "no memory");
	va_end(args);
	scratch_write(all.scratch, path, dropin, strlen(dropin));
}

/* The digest of the plugin of an adapter, to be freed. */
static char *digest_of(const char *id)
{
	CLEANUP_FREE char *path = text("%s/%s.so", all.adapter_dir, id);
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned char digest[SHA256_DIGEST_LENGTH];
	struct stat st;
	char *hex = calloc(sizeof digest, 2 + 1), *plugin = MAP_FAILED;

	if (fd >= 0 && fstat(fd, &st) == 0)
		plugin = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (plugin == MAP_FAILED || !hex)
		err(1, "%s", path);
	SHA256((unsigned char *)plugin, (size_t)st.st_size, digest);
	munmap(plugin, (size_t)st.st_size);
	for (size_t i = 0; i < sizeof digest; i++)
		sprintf(hex + 2 * i, "%02x", digest[i]);
	return hex;
}

static void write_config(void)
{
	CLEANUP_FREE char *child = text(", \"isolation\": { \"environment\": { \"LD_PRELOAD\": \"%s\", \"BERTH_FAULT_ORDER\": \"%s/order\" } }",
					TESTS_FAULT_LIBRARY, all.scratch);

	CLEANUP_FREE char *sha256 = digest_of("embedded"), *pin = text(", \"sha256\": \"%s\"", sha256);

	for (enum root root = 0; root < N_ROOTS; root++)
		all.roots[root] = text("%s/root%d", all.scratch, (int)root);
	for (enum root root = 0; root < ROOT_CLUSTER; root++) {
		const char *isolate = root == ROOT_PLAIN || root == ROOT_PINNED ? "" : ", \"isolate\": true";
		const char *isolation = root == ROOT_CHILD ? child : root == ROOT_PINNED ? pin : "";

		write_dropin(root, "embedded", "{ \"adapter\": \"embedded\", \"options\": { \"store\": \"%s/store\" }%s%s }", all.scratch,
			     isolate, isolation);
		write_dropin(root, "local-pod", "{ \"adapter\": \"local-pod\", \"priority\": 10%s }", isolate);
		write_dropin(root, "remote-reserved", "{ \"adapter\": \"remote-reserved\" }");
	}
	write_dropin(ROOT_PROCESS, "quay", "{ \"adapter\": \"process\", \"options\": { \"runtime\": \"" EMBEDDED "\", \"command\": "
		     "[ \"%s\", \"--adapter-dir\", \"%s\", \"--workspace-root\", \"/workspace/project\", \"--workspace-id\", \"local:test\", "
		     "\"batch\" ], \"environment\": { \"BERTH_CONFIG_ROOT\": \"%s\" } } }", all.berth, all.adapter_dir, all.roots[ROOT_PLAIN]);
	write_dropin(ROOT_CLUSTER, "incus", "{ \"adapter\": \"incus\", \"options\": { \"servers\": \"unix:%s/cluster\", \"roles\": "
		     "{ \"*\": { \"image\": \"busybox\", \"command\": [\"cat\"] } } } }", all.scratch);
}

/* In the place of those for authors: what they do has nothing to do with what starts them. */
static void write_program(void)
{
	static const char script[] = "#!/bin/sh\necho \"made $1\"\n";
	CLEANUP_FREE char *path = text("%s/new-adapter", all.scratch);

	scratch_write(all.scratch, "new-adapter", script, sizeof script - 1);
	if (chmod(path, 0700) < 0)
		err(1, "%s", path);
}

/* The store that each run begins with: a worker with an input. */
static void make_store(void)
{
	static const struct command first[] = {
		{ "spawn", { "--json", "spawn", EMBEDDED }, 0 },
		{ "input", { "--json", "input", EMBEDDED, ONE, "Ahoy" }, 0 },
	};
	CLEANUP_FREE char *path = text("%s/first", all.scratch);

	if (mkdir(path, 0700) < 0 || mkdir(all.work, 0700) < 0)
		err(1, "%s", path);
	for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
		CLEANUP(run_fini) struct run run;

		run_command(&first[i], false, &run);
		if (run.status != 0)
			errx(1, "%s: %s", first[i].name, run.err.data);
	}
	copy_store("store", "first");
}

static void start_service(void)
{
	static const struct command serve = { "serve", { "--adapters", "local-pod,remote-reserved", "serve", "--socket", "SERVICE" }, 0 };
	CLEANUP_FREE char *path = text("%s/service", all.scratch);
	int fds[] = { open("/dev/null", O_RDONLY | O_CLOEXEC), memory_file("out", "", 0), memory_file("err", "", 0) };
	struct buffer answer = { 0 };
	uint64_t until_ms = now_ms() + LIMIT_MS;
	bool hung = false;
	int status;

	all.service = start(&serve, false, fds);
	while (!exchange(path, 0, &answer, &hung))
		if (now_ms() > until_ms || wait_for(all.service, now_ms() + 5, &status))
			errx(1, "the service does not start");
	buffer_fini(&answer);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

/* A cluster with a worker. */
static void fill_cluster(void)
{
	static const struct command first = { "spawn", { "--json", "spawn", CLUSTERED, "--request", SPAWN_REQUEST }, CLUSTER };
	CLEANUP(run_fini) struct run run;

	start_cluster();
	run_command(&first, false, &run);
	all.worker = worker_in(run.out.data);
	if (run.status != 0 || !all.worker)
		errx(1, "%s: %s%s", first.name, run.out.data, run.err.data);
}

static void set_up(void)
{
	CLEANUP_FREE char *path = text("%s/order", all.scratch);
	CLEANUP_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	sigset_t child;

	if (fd < 0 || ftruncate(fd, sizeof *all.order) < 0)
		err(1, "%s", path);
	all.order = mmap(NULL, sizeof *all.order, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (all.order == MAP_FAILED)
		err(1, "%s", path);
	setenv("BERTH_FAULT_ORDER", path, 1);
	setenv("LC_ALL", "C", 1);
	unsetenv("BERTH_CONNECT");
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &child, NULL);
	write_config();
	write_program();
	make_store();
}

static pid_t own_pid;

static void clean_up(void)
{
	if (getpid() != own_pid)
		return;
	end_process(&all.service);
	end_process(&all.cluster);
	scratch_remove(all.scratch);
	for (enum root root = 0; root < N_ROOTS; root++)
		free(all.roots[root]);
	free(all.work);
	free(all.worker);
	free(all.golden);
	free(all.golden_requests);
}

static void parse(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (strcmp(argv[i], "--valgrind") == 0 || strcmp(argv[i], "--all") == 0) {
			*(argv[i][2] == 'v' ? &all.valgrind : &all.slow) = true;
			continue;
		}
		if (strcmp(argv[i], "--stride") == 0)
			all.stride = strtoull(value, NULL, 10);
		else if (strcmp(argv[i], "--first") == 0)
			all.first = strtoull(value, NULL, 10);
		else if (strcmp(argv[i], "--only") == 0)
			all.only = value;
		else if (strcmp(argv[i], "--kind") == 0)
			all.only_kind = value;
		i++;
	}
	if (all.stride == 0 || all.first == 0)
		errx(2, "--stride and --first: a number from 1 on is expected");
}

int main(int argc, char **argv)
{
	CLEANUP_FREE char *source = NULL, *requests_path = NULL;
	bool has_python;

	parse(argc, argv);
	all.berth = wanted("BERTH");
	all.adapter_dir = wanted("BERTH_ADAPTER_DIR");
	source = realpath(wanted("srcdir"), NULL);
	all.golden = text("%s/tests/golden/data", source);
	requests_path = text("%s/tests/golden/requests.jsonl", source);
	all.golden_requests = text_of(requests_path);
	all.scratch = scratch_new();
	all.work = text("%s/work", all.scratch);
	has_python = system("command -v python3 >/dev/null") == 0;
	own_pid = getpid();
	atexit(clean_up);
	set_up();
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		if (all.only ? strcmp(all.only, commands[i].name) != 0 : commands[i].flags & SLOW && !all.slow)
			continue;
		if (commands[i].flags & CLUSTER && !has_python) {
			printf("ok - berth %s # SKIP there is no python3\n", commands[i].name);
			continue;
		}
		if (commands[i].flags & REMOTE && all.service == 0)
			start_service();
		if (commands[i].flags & CLUSTER && !(commands[i].flags & FRESH) && all.cluster == 0)
			fill_cluster();
		run_all(&commands[i]);
	}
	return all.failed;
}
