/* SPDX-License-Identifier: MIT */
/* One run: its directory, its configuration and its standard descriptors, the service or the
 * cluster that it asks, and who asks it. */
#include "config.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
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

struct fault_world all = { .stride = 1000, .first = 1 };

/* ---- What is asked ---- */

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
	("POST /api/runtimes/" EMBEDDED "/workers/" ONE "/input HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
	 "Content-Type: application/json\r\nContent-Length: 18\r\n\r\n{\"content\":\"Ahoy\"}"),
	"GET /api/runtimes/" EMBEDDED "/workers/" ONE "/transcript HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
	("POST /api/batch HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/x-ndjson\r\n"
	 "Content-Length: 45\r\n\r\n{\"op\":\"list_hosts\"}\n{\"op\":\"list_runtimes\"}\n\n\n"),
	"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
};

/* ---- Texts ---- */

const char *wanted(const char *variable)
{
	const char *value = getenv(variable);

	if (!value)
		errx(1, "%s: expected in the environment", variable);
	return value;
}

char *text(const char *format, ...)
{
	va_list args;
	char *result;

	va_start(args, format);
	if (vasprintf(&result, format, args) < 0)
		errx(1, "no memory");
	va_end(args);
	return result;
}

char *text_of(const char *path)
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

void copy_store(const char *from, const char *to)
{
	static const char *const names[] = { "catalogue.db", "catalogue.db-wal", "catalogue.db.new", "catalogue.db-shm" };
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

void run_fini(struct run *run)
{
	buffer_fini(&run->out);
	buffer_fini(&run->err);
}

uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int memory_file(const char *name, const char *content, size_t len)
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

pid_t start(const struct command *command, bool faults, const int fds[3])
{
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (pid == 0)
		become(command, faults, fds);
	return pid;
}

bool wait_for(pid_t pid, uint64_t until_ms, int *statusp)
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

void end_process(pid_t *pidp)
{
	if (*pidp > 0) {
		kill(*pidp, SIGTERM);
		waitpid(*pidp, NULL, 0);
	}
	*pidp = 0;
}

bool exchange(const char *path, size_t nth, struct buffer *answer, bool *hung)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct timeval limit = { LIMIT_MS / 2000, 0 };
	ssize_t n = 0;

	snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (connect(fd, (struct sockaddr *)&at, sizeof at) < 0)
		return false;
	if (send(fd, exchanges[nth], strlen(exchanges[nth]), MSG_NOSIGNAL) < 0)
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

	while (!*hung && !exchange(path, 0, &ready, hung)) {
		if (wait_for(pid, now_ms() + 5, &run->status))
			return;
		if (now_ms() > until_ms)
			*hung = true;
	}
	buffer_fini(&ready);
	for (size_t i = 0; i < sizeof exchanges / sizeof *exchanges && !*hung; i++) {
		exchange(path, i, &run->out, hung);
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

void start_cluster(void)
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

void run_command(const struct command *command, bool faults, struct run *run)
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
