/* SPDX-License-Identifier: MIT */
/* The program with one call after the other failing, through all of its commands: fault_runs
 * [--all] [--stride N] [--first N] [--only COMMAND] [--kind FAULT] [--valgrind]. Each command is run with
 * its first, second, ... allocation or system call failing, until it makes no more of them; with a
 * stride, each Nth allocation, and of calls, which are fewer, more. Whatever fails: it ends by itself, with an answer that is right or says that
 * something is wrong, or with a line that does; and what it has accepted is there afterwards.
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

#include "core/buffer.h"
#include "core/cleanup.h"
#include "tests/fault_order.h"
#include "tests/support.h"

enum {
	LIMIT_MS = 60000,  /* for a run; generous, since only one that hangs needs it */
	VALGRIND_STATUS = 99,
	STATUS_SETUP = 3,
	N_ARGUMENTS = 16,
};

/* ---- Faults ---- */

enum {
	ALLOCATION = 1 << 0, /* fails, and no call */
	ALL_BEHIND = 1 << 1, /* fail, too */
	CLOCK = 1 << 2,      /* makes a step, and nothing fails */
	HARMLESS = 1 << 3,   /* the answer must be the same */
	ONCE = 1 << 4,	     /* one run has all of it */
	CLOSED = 1 << 5,     /* are standard descriptors: the bits of the number of the run */
	OWN = 1 << 7,	     /* those of libraries are let alone */
	NARROW = 1 << 6,     /* are standard input and output: pipes that are full, or empty, again and again */
};

static const struct kind {
	const char *name;
	unsigned flags;
	unsigned calls;
	int error;
	unsigned long n_bad;
	int64_t step_s;
} kinds[] = {
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

#define EMBEDDED "embedded-worker-runtime"
#define ONE "worker-00000001"
#define CLUSTERED "incus-worker-runtime"
#define SPAWN_REQUEST "{\"intent\":{\"kind\":\"workspace_companion\"},\"request_id\":\"first\"," \
	"\"acceptance\":{\"kind\":\"run_accepted\",\"expected_segments\":0}}"

enum {
	GOLDEN = 1 << 0,    /* reads the requests of the golden answers */
	REQUESTS = 1 << 1,  /* reads requests that change the store */
	REMOTE = 1 << 2,    /* asks a service */
	SERVES = 1 << 3,    /* is one */
	ENDLESS = 1 << 4,   /* is left once it has answered */
	TEXT = 1 << 5,      /* no JSON */
	PROGRAM = 1 << 6,   /* has a program of its own, which says what is wrong in its own words */
	EVERY = 1 << 7,     /* has each of its calls fail, whatever the stride */
	READING = 1 << 8,   /* reads the requests that show what the store has */
	FRESH = 1 << 9,     /* begins without a store */
	ISOLATED = 1 << 10, /* its adapters are in processes of their own */
	CHILD = 1 << 11,    /* the faults are theirs */
	CLUSTER = 1 << 12,  /* has the adapter of clusters alone, with a stand-in for the cluster */
	VARIES = 1 << 13,   /* the answer is another one each time */
	PINNED = 1 << 15,   /* its adapters are pinned */
	PROCESS = 1 << 16,  /* its adapter is a program: berth batch, with the store */
	SLOW = 1 << 14,	    /* left out but for --all and --only */
};

static const struct command {
	const char *name, *arguments[N_ARGUMENTS];
	unsigned flags;
} commands[] = {
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

static const char requests[] =
	"{\"op\":\"spawn_worker\",\"runtime_id\":\"" EMBEDDED "\",\"request\":{\"intent\":{\"kind\":\"workspace_companion\"},"
	"\"acceptance\":{\"kind\":\"run_accepted\",\"expected_segments\":1}}}\n"
	"{\"op\":\"send_input\",\"runtime_id\":\"" EMBEDDED "\",\"worker_id\":\"" ONE "\",\"request\":{\"content\":\"first\"}}\n"
	"{\"op\":\"send_input\",\"runtime_id\":\"" EMBEDDED "\",\"worker_id\":\"" ONE "\",\"request\":{\"content\":\"second\"}}\n"
	"{\"op\":\"transcript\",\"runtime_id\":\"" EMBEDDED "\",\"worker_id\":\"" ONE "\"}\n"
	"{\"op\":\"read_events\",\"runtime_id\":\"" EMBEDDED "\"}\n"
	"{\"op\":\"stop_worker\",\"runtime_id\":\"" EMBEDDED "\",\"request\":{\"worker_id\":\"" ONE "\",\"mode\":\"force\"}}\n"
	"{\"op\":\"list_workers\"}\n";

static const char reading_requests[] =
	"{\"op\":\"transcript\",\"runtime_id\":\"" EMBEDDED "\",\"worker_id\":\"" ONE "\",\"limit\":0}\n"
	"{\"op\":\"list_workers\"}\n";

/* What a service is asked, one connection each. */
static const char *const exchanges[] = {
	"GET /api/runtimes HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
	"GET /api/workers?limit=3 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
	"POST /api/runtimes/" EMBEDDED "/workers/" ONE "/input HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
	"Content-Type: application/json\r\nContent-Length: 18\r\n\r\n{\"content\":\"Ahoy\"}",
	"GET /api/runtimes/" EMBEDDED "/workers/" ONE "/transcript HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
	"POST /api/batch HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/x-ndjson\r\n"
	"Content-Length: 45\r\n\r\n{\"op\":\"list_hosts\"}\n{\"op\":\"list_runtimes\"}\n\n\n",
	"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
};

/* ---- Where it all is ---- */

enum root { ROOT_PLAIN, ROOT_ISOLATED, ROOT_CHILD, ROOT_PINNED, ROOT_CLUSTER, ROOT_PROCESS, N_ROOTS };

static struct {
	char *roots[N_ROOTS]; /* of configuration */
	char *scratch, *work; /* work: the current directory of what is run, empty before */
	const char *berth, *adapter_dir;
	char *golden, *golden_requests;
	struct fault_order *order;
	uint64_t stride, first;
	const char *only, *only_kind;
	bool slow, valgrind, failed;
	bool narrow; /* pipes in the next run with faults */
	pid_t service, cluster;
	char *worker; /* of the cluster */
	uint64_t closed; /* bits of the standard descriptors that are closed in the next run with faults */
} all = { .stride = 400, .first = 1 };

static const char *wanted(const char *variable)
{
	const char *value = getenv(variable);

	if (!value)
		errx(1, "%s: expected in the environment", variable);
	return value;
}

__attribute__((format(printf, 1, 2)))
static char *text(const char *format, ...)
{
	va_list args;
	char *result;

	va_start(args, format);
	if (vasprintf(&result, format, args) < 0)
		errx(1, "no memory");
	va_end(args);
	return result;
}

/* The content of a file of text, to be freed. */
static char *text_of(const char *path)
{
	char *content = NULL;
	size_t size = 0;
	FILE *file = fopen(path, "re");


	if (!file || getdelim(&content, &size, '\0', file) < 0)
		err(1, "%s", path);
	fclose(file);
	return content;
}

/* ---- The store ---- */

static void copy_store(const char *from, const char *to)
{
	static const char *const names[] = { "catalogue.db", "catalogue.db-wal", "catalogue.db-new", "catalogue.db-shm" };
	char block[65536];

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		CLEANUP_FREE char *source = text("%s/%s/%s", all.scratch, from, names[i]);
		CLEANUP_FREE char *target = text("%s/%s/%s", all.scratch, to, names[i]);
		CLEANUP_CLOSE int in = open(source, O_RDONLY | O_CLOEXEC), out = -1;
		ssize_t n;

		unlink(target);
		if (in < 0)
			continue;
		out = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		while ((n = read(in, block, sizeof block)) > 0)
			if (write(out, block, (size_t)n) != n)
				err(1, "%s", target);
	}
}

/* ---- A run ---- */

struct run {
	int status; /* of waitpid; -1: it did not end */
	struct buffer out, err;
	uint64_t n_failed;
	bool ended; /* by a return from main */
};

static void run_fini(struct run *run)
{
	buffer_fini(&run->out);
	buffer_fini(&run->err);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int memory_file(const char *name, const char *content, size_t len)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd < 0 || write(fd, content, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET) < 0)
		err(1, "%s", name);
	return fd;
}

static void read_memory(int fd, struct buffer *to)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !buffer_reserve(to, (size_t)st.st_size + 1) ||
	    pread(fd, to->data, (size_t)st.st_size, 0) != st.st_size)
		err(1, "what was written");
	to->len = (size_t)st.st_size;
	to->data[to->len] = '\0';
	close(fd);
}

static const char *argument_of(const char *argument, char **made)
{
	if (strcmp(argument, "SOCKET") == 0)
		return *made = text("%s/socket", all.scratch);
	if (strcmp(argument, "SERVICE") == 0)
		return *made = text("%s/service", all.scratch);
	if (strcmp(argument, "PLUGIN") == 0)
		return *made = text("%s/embedded.so", all.adapter_dir);
	if (strcmp(argument, "WORKER") == 0)
		return all.worker;
	return argument;
}

/* Where the configuration is that a run has. */
static const char *root_of(unsigned flags, bool faults)
{
	if (flags & CLUSTER)
		return all.roots[ROOT_CLUSTER];
	if (flags & PROCESS)
		return all.roots[ROOT_PROCESS];
	if (!(flags & ISOLATED))
		return all.roots[flags & PINNED ? ROOT_PINNED : ROOT_PLAIN];
	return all.roots[flags & CHILD && faults ? ROOT_CHILD : ROOT_ISOLATED];
}

/* The child's side: it never returns. */
static void become(const struct command *command, bool faults, const int fds[3])
{
	static const char *const checker[] = { "valgrind", "-q", "--error-exitcode=99", "--leak-check=full",
					       "--errors-for-leak-kinds=definite",
					       "--soname-synonyms=somalloc=nouserintercepts", "--trace-children=yes",
					       "sh", "-c", "LD_PRELOAD=$LD_PRELOAD:" TESTS_FAULT_LIBRARY " exec \"$@\"", "sh" };
	/* exec takes them without const, and writes into none. */
	union {
		const char *list[N_ARGUMENTS + 24];
		char *given[N_ARGUMENTS + 24];
	} argv;
	char *made[N_ARGUMENTS] = { NULL };
	sigset_t none;
	size_t n = 0;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	for (size_t i = 0; all.valgrind && faults && i < sizeof checker / sizeof *checker; i++)
		argv.list[n++] = checker[i];
	argv.list[n++] = all.berth;
	if (!(command->flags & PROGRAM)) {
		argv.list[n++] = "--adapter-dir";
		argv.list[n++] = all.adapter_dir;
		argv.list[n++] = "--workspace-root";
		argv.list[n++] = "/workspace/project";
		argv.list[n++] = "--workspace-id";
		argv.list[n++] = "local:test";
		argv.list[n++] = "--data-dir";
		argv.list[n++] = all.golden;
		if (command->flags & REMOTE || strcmp(command->arguments[0], "--help") == 0)
			n -= 8;
	}
	for (size_t i = 0; i < N_ARGUMENTS && command->arguments[i]; i++)
		argv.list[n++] = argument_of(command->arguments[i], &made[i]);
	argv.list[n] = NULL;
	if (command->flags & PROGRAM)
		setenv("BERTH_LIBEXEC_DIR", all.scratch, 1);
	setenv("BERTH_CONFIG_ROOT", root_of(command->flags, faults), 1);
	/* valgrind puts something of its own there, which must stay. */
	if (faults && !all.valgrind && !(command->flags & CHILD))
		setenv("LD_PRELOAD", TESTS_FAULT_LIBRARY, 1);
	else
		unsetenv("LD_PRELOAD");
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	for (int i = 0; i < 3; i++)
		if (faults && all.closed >> i & 1)
			close(i);
		else if (dup2(fds[i], i) < 0)
			_exit(98);
	if (chdir(all.work) < 0)
		_exit(98);
	execvp(argv.list[0], argv.given);
	_exit(98);
}

static pid_t start(const struct command *command, bool faults, const int fds[3])
{
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (pid == 0)
		become(command, faults, fds);
	return pid;
}

/* Waits until the process has ended, or for so long; whether it has. */
static bool wait_for(pid_t pid, uint64_t until_ms, int *statusp)
{
	const struct timespec moment = { 0, 1000000 };

	for (;;) {
		if (waitpid(pid, statusp, WNOHANG) == pid)
			return true;
		if (now_ms() >= until_ms)
			return false;
		sigtimedwait(&(sigset_t){ { 1UL << (SIGCHLD - 1) } }, NULL, until_ms - now_ms() > 1 ? &(struct timespec){ 0, 20000000 } : &moment);
	}
}

static void end_process(pid_t *pidp)
{
	if (*pidp > 0) {
		kill(*pidp, SIGTERM);
		waitpid(*pidp, NULL, 0);
	}
	*pidp = 0;
}

/* Sends a request and appends what comes back; false where nobody is there, or it took too long. */
static bool exchange(const char *path, const char *request, struct buffer *answer, bool *hung)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct timeval limit = { LIMIT_MS / 2000, 0 };
	ssize_t n = 0;

	snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (connect(fd, (struct sockaddr *)&at, sizeof at) < 0)
		return false;
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		return true;
	do {
		char *end = buffer_reserve(answer, 65536);

		n = end ? recv(fd, end, 65536, 0) : -1;
		answer->len += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	*hung = n < 0 && errno == EAGAIN;
	return true;
}

/* Asks the service that a run is, then ends it. */
static void ask_service(pid_t pid, struct run *run, bool *hung, uint64_t until_ms)
{
	CLEANUP_FREE char *path = text("%s/socket", all.scratch);
	struct buffer ready = { 0 };

	while (!*hung && !exchange(path, exchanges[0], &ready, hung)) {
		if (wait_for(pid, now_ms() + 5, &run->status))
			return;
		if (now_ms() > until_ms)
			*hung = true;
	}
	buffer_fini(&ready);
	for (size_t i = 0; i < sizeof exchanges / sizeof *exchanges && !*hung; i++) {
		exchange(path, exchanges[i], &run->out, hung);
		buffer_append_string(&run->out, "\n");
	}
	kill(pid, SIGTERM);
	if (!wait_for(pid, until_ms, &run->status))
		*hung = true;
}

/* Reads the first answer of one that goes on, and leaves it. */
static void read_and_leave(int fd, struct run *run)
{
	char *end = buffer_reserve(&run->out, 65536);
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	ssize_t n = end && poll(&wait, 1, LIMIT_MS) > 0 ? read(fd, end, 65535) : 0;

	run->out.len = n > 0 ? (size_t)n : 0;
	end[run->out.len] = '\0';
	close(fd);
}

/* Begins a cluster anew, in a process of its own. */
static void start_cluster(void)
{
	CLEANUP_FREE char *path = text("%s/cluster", all.scratch), *containers = text("%s/containers", all.scratch);
	CLEANUP_FREE char *program = text("%s/../../incus/stand_in.py", all.golden);
	uint64_t until_ms = now_ms() + LIMIT_MS;
	int status;

	end_process(&all.cluster);
	unlink(path);
	scratch_remove(strdup(containers));
	mkdir(containers, 0700);
	all.cluster = fork();
	if (all.cluster < 0)
		err(1, "fork");
	if (all.cluster == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);
		sigset_t none;

		prctl(PR_SET_PDEATHSIG, SIGTERM);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		for (int i = 0; i < 3; i++)
			dup2(null, i);
		execlp("python3", "python3", program, path, containers, (char *)NULL);
		_exit(98);
	}
	while (access(path, F_OK) < 0)
		if (now_ms() > until_ms || wait_for(all.cluster, now_ms() + 5, &status))
			errx(1, "the stand-in for a cluster does not start");
}

/* Gives input by bits, each once the last one was taken, and takes output by bits. */
static void pump(int to, const char *input, size_t len, int from, struct run *run, uint64_t until_ms)
{
	struct pollfd out = { .fd = from, .events = POLLIN };
	int waiting;
	ssize_t n = 1;

	while (n > 0 && now_ms() < until_ms) {
		if (to >= 0 && ioctl(to, FIONREAD, &waiting) == 0 && waiting == 0) {
			n = len > 0 ? write(to, input, len < 50 ? len : 50) : 0;
			if (n <= 0) {
				close(to);
				to = -1;
			}
			input += n > 0 ? n : 0;
			len -= n > 0 ? (size_t)n : 0;
		}
		n = 1;
		if (poll(&out, 1, 1) > 0) {
			char *end = buffer_reserve(&run->out, 100);

			n = end ? read(from, end, 50) : -1;
			run->out.len += n > 0 ? (size_t)n : 0;
		}
	}
	buffer_append(&run->out, "", 1);
	run->out.len--;
	if (to >= 0)
		close(to);
	close(from);
}

static void make_pipe(int fds[2])
{
	if (pipe2(fds, O_CLOEXEC | (all.narrow ? O_NONBLOCK : 0)) < 0 || fcntl(fds[0], F_SETPIPE_SZ, 4096) < 0)
		err(1, "pipe");
}

static void run_command(const struct command *command, bool faults, struct run *run)
{
	const char *input = command->flags & GOLDEN ? all.golden_requests : command->flags & REQUESTS ? requests :
			    command->flags & READING ? reading_requests : "";
	bool narrow = faults && all.narrow, hung = false;
	uint64_t until_ms = now_ms() + LIMIT_MS;
	int fds[3], in_pipe[2] = { -1, -1 }, out_pipe[2] = { -1, -1 };
	pid_t pid;

	*run = (struct run){ .status = -1 };
	if (narrow)
		make_pipe(in_pipe);
	if (narrow || command->flags & ENDLESS)
		make_pipe(out_pipe);
	fds[0] = narrow ? in_pipe[0] : memory_file("in", input, strlen(input));
	fds[1] = out_pipe[1] >= 0 ? out_pipe[1] : memory_file("out", "", 0);
	fds[2] = memory_file("err", "", 0);
	all.order->n_failed = 0;
	all.order->ended = false;
	pid = start(command, faults, fds);
	close(fds[0]);
	if (out_pipe[1] >= 0)
		close(out_pipe[1]);
	if (narrow)
		pump(in_pipe[1], input, strlen(input), out_pipe[0], run, until_ms);
	else if (command->flags & ENDLESS)
		read_and_leave(out_pipe[0], run);
	if (command->flags & SERVES)
		ask_service(pid, run, &hung, until_ms);
	else
		hung = !wait_for(pid, until_ms, &run->status);
	if (hung || run->status == -1) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		run->status = -1;
	}
	if (out_pipe[0] < 0)
		read_memory(fds[1], &run->out);
	read_memory(fds[2], &run->err);
	run->n_failed = all.order->n_failed;
	run->ended = all.order->ended;
}

/* ---- Judging ---- */

/* Leaves out times, and what else is another one each time; they may differ in length. */
static void mask(char *line)
{
	static const char *const keys[] = { "_at\":\"", "\"cursor\":\"", "next_cursor\":\"", "Date: ", "X-Request-Id: " };

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		for (char *p = line; (p = strstr(p, keys[i]));) {
			char *end;

			p += strlen(keys[i]);
			end = p + strcspn(p, "\"\r");
			memmove(p, end, strlen(end) + 1);
		}
}

/* The next line, ended by a NUL; NULL after the last. */
static char *next_line(char **restp)
{
	return strsep(restp, "\n");
}

static bool says_what_is_wrong(const char *line)
{
	static const char *const words[] = { "\"error\":", "\"severity\":\"error\"", "\"severity\":\"warning\"", "\"rejected\"",
					     "\"failures\":[{" };

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strstr(line, words[i]))
			return true;
	return false;
}

/* NULL, or what is wrong with the answers. */
static const char *judge_answers(const struct command *command, struct run *run, const struct run *good)
{
	CLEANUP_FREE char *expected = strdup(good->out.data), *found = strdup(run->out.data);
	bool said = run->err.len > 0;
	char *rest = found, *good_rest = expected, *line, *good_line;

	/* A table tells of what is missing at its end. */
	if (command->flags & TEXT)
		said |= strstr(run->out.data, "warning") || strstr(run->out.data, "error");
	mask(expected);
	mask(found);
	do {
		line = next_line(&rest);
		good_line = next_line(&good_rest);
		if (line && *line == '{' && !(command->flags & SERVES)) {
			cJSON *json = cJSON_Parse(line);

			if (!json && WEXITSTATUS(run->status) == 0)
				return "an answer that is no JSON";
			cJSON_Delete(json);
		}
		if (command->flags & VARIES)
			continue;
		if (line && good_line && strcmp(line, good_line) != 0 && !said && !says_what_is_wrong(line))
			return "another answer, and nothing says why";
		if (!line != !good_line && !said)
			return "another number of answers, and nothing says why";
	} while (line || good_line);
	return NULL;
}

static size_t count(const char *in, const char *what)
{
	size_t n = 0;

	while ((in = strstr(in, what))) {
		n++;
		in += strlen(what);
	}
	return n;
}

/* The id of the first worker in an answer, to be freed, or NULL. */
static char *worker_in(const char *answer)
{
	const char *key = "\"worker_id\":\"", *found = strstr(answer, key);

	return found ? strndup(found + strlen(key), strcspn(found + strlen(key), "\"")) : NULL;
}

/* NULL, or what is wrong with the store afterwards, which began with a worker and an input. */
static const char *judge_store(const struct run *run)
{
	static const struct command reading = { "reading", { "--adapters", "embedded", "batch" }, READING };
	size_t n_inputs = count(run->out.data, "{\"state\":\"accepted\",\"runtime_id\":\"" EMBEDDED "\",\"worker_id\":\"" ONE
					       "\",\"transcript_sequence\":");
	size_t n_spawned = count(run->out.data, "_worker_created\"");
	CLEANUP(run_fini) struct run kept;
	char *total, *list;

	run_command(&reading, false, &kept);
	total = strstr(kept.out.data, "\"total_items\":");
	list = strstr(kept.out.data, "\n");
	if (!total || !list || strtoul(total + strlen("\"total_items\":"), NULL, 10) < 1 + n_inputs)
		return "an input was accepted and is not there";
	if (count(list, "\"worker_id\"") < 1 + n_spawned)
		return "a worker was accepted and is not there";
	return NULL;
}

/* The same for the cluster. */
static const char *judge_cluster(const struct run *run)
{
	static const struct command workers = { "workers", { "--json", "workers" }, CLUSTER };
	CLEANUP_FREE char *worker = worker_in(run->out.data);
	CLEANUP(run_fini) struct run list = { 0 };

	if (!worker || !strstr(run->out.data, "acceptance_evidence"))
		return NULL;
	run_command(&workers, false, &list);
	return strstr(list.out.data, worker) ? NULL : "a worker was accepted and is not there";
}

/* GnuTLS says itself what it cannot set up when it is loaded. It is then asked whether it can, by what needs it. */
static bool is_of_gnutls(const char *line)
{
	return strncmp(line, "Error in GnuTLS initialization: ", 32) == 0;
}

/* NULL, or what is wrong with the lines that say what is wrong. */
static const char *judge_lines(const struct command *command, const struct run *run)
{
	CLEANUP_FREE char *lines = strdup(run->err.data);
	char *rest = lines, *line;
	int status = WEXITSTATUS(run->status);

	while ((line = next_line(&rest)) && *line)
		if (!(command->flags & PROGRAM) && strncmp(line, "berth: ", 7) != 0 && !is_of_gnutls(line))
			return "a line on standard error that is none of the program's";
	if (status > STATUS_SETUP)
		return "an exit status that has no meaning";
	if (status > 1 && run->err.len == 0)
		return "nothing says what is wrong";
	if (status == 1 && run->err.len == 0 && !strstr(run->out.data, "\"rejected\"") && !strstr(run->out.data, "\"unsupported\""))
		return "refused, and nothing says why";
	return NULL;
}

static const char *judge(const struct command *command, const struct kind *kind, struct run *run, const struct run *good)
{
	/* Beyond the last call nothing fails. */
	bool harmless = kind->flags & HARMLESS || (run->n_failed == 0 && run->ended && !all.closed);
	const char *wrong;

	if (run->status == -1)
		return "it hangs";
	if (WIFSIGNALED(run->status))
		return strsignal(WTERMSIG(run->status));
	if (WEXITSTATUS(run->status) == VALGRIND_STATUS)
		return "valgrind complains";
	/* Without standard error nothing can be said. */
	wrong = all.closed & 4 ? NULL : judge_lines(command, run);
	if (!wrong && harmless && run->status != good->status)
		return "it is not harmless";
	if (!wrong && harmless && run->err.len > 0 && !(command->flags & (SERVES | ENDLESS)))
		return "something is said of it";
	if (!wrong && WEXITSTATUS(run->status) == WEXITSTATUS(good->status) && !all.closed)
		wrong = judge_answers(command, run, good);
	if (!wrong && !(command->flags & (REMOTE | PROGRAM | CLUSTER | FRESH)))
		wrong = judge_store(run);
	if (!wrong && command->flags & CLUSTER)
		wrong = judge_cluster(run);
	return wrong;
}

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
	while (!exchange(path, exchanges[0], &answer, &hung))
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

	parse(argc, argv);
	all.berth = wanted("BERTH");
	all.adapter_dir = wanted("BERTH_ADAPTER_DIR");
	source = realpath(wanted("srcdir"), NULL);
	all.golden = text("%s/tests/golden/data", source);
	requests_path = text("%s/tests/golden/requests.jsonl", source);
	all.golden_requests = text_of(requests_path);
	all.scratch = scratch_new();
	all.work = text("%s/work", all.scratch);
	own_pid = getpid();
	atexit(clean_up);
	set_up();
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		if (all.only ? strcmp(all.only, commands[i].name) != 0 : commands[i].flags & SLOW && !all.slow)
			continue;
		if (commands[i].flags & REMOTE && all.service == 0)
			start_service();
		if (commands[i].flags & CLUSTER && !(commands[i].flags & FRESH) && all.cluster == 0)
			fill_cluster();
		run_all(&commands[i]);
	}
	return all.failed;
}
