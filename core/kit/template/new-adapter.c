/* The adapter new-adapter: presents the processes of the user who runs berth as workers
 * of this machine. It only reads, and an instance never changes once it is open, so any
 * number of calls can run at the same time. */
#include <berth/adapter.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CAN (BERTH_CAN_LIST_HOSTS | BERTH_CAN_LIST_WORKERS | BERTH_CAN_GET_WORKER)

struct instance {
	char command[16]; /* empty: processes of every command are shown */
};

static const struct berth_text host_id = BERTH_TEXT("this-machine");

/* Reads the line of proc(5) about a process. Returns its length; 0 if this user has no
 * such process, or no longer; -1 on error, with errno. */
static ssize_t read_process(const char *pid, char *line, size_t size)
{
	char file[64];
	struct stat st;
	ssize_t n = -1;
	int fd;

	snprintf(file, sizeof file, "/proc/%.20s/stat", pid);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &st) == 0)
		n = st.st_uid == geteuid() ? read(fd, line, size - 1) : 0;
	if (fd >= 0)
		close(fd);
	return n < 0 && (errno == ENOENT || errno == ESRCH || errno == EACCES) ? 0 : n;
}

/* Pushes a process as a worker, if it is shown. Returns what the push did, or 0. */
static int push_process(const struct instance *instance, struct berth_call *call, const char *pid)
{
	char line[1024], name[64], id[BERTH_ID_MAX], hint[BERTH_HINT_MAX], state, *command, *end;
	const struct berth_text prefix = BERTH_TEXT("process-");
	struct berth_worker worker = {
		.size = sizeof worker, .host_id = host_id,
		.workspace_visibility = BERTH_TEXT("none"), .workspace_identity = BERTH_TEXT("none"),
		.implementation_kind = BERTH_TEXT("process"),
		.implementation_hint = BERTH_TEXT("a process of this user"),
	};
	ssize_t len = read_process(pid, line, sizeof line);
	unsigned long long start, memory;

	if (len <= 0)
		return len == 0 ? 0 : call->sink->fail(call, -errno, "process %s: %s", pid, strerror(errno));
	line[len] = '\0';
	/* "PID (COMMAND) STATE", then numbers; the command may have parentheses of its own. */
	command = strchr(line, '(');
	end = strrchr(line, ')');
	if (!command || !end || sscanf(end, ") %c%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s %llu %llu",
				       &state, &start, &memory) != 3)
		return call->sink->fail(call, -EPROTO, "process %s: its line is not as in proc(5)", pid);
	*end = '\0';
	command++;
	/* What has ended has no memory, and neither have threads of the kernel. */
	if (memory == 0 || (*instance->command && strcmp(instance->command, command) != 0))
		return 0;
	/* A PID comes again, but not with the same start. */
	snprintf(name, sizeof name, "%.20s-%llu", pid, start);
	worker.worker_id = call->services->generated_id(call->services, prefix, berth_text(name), id, sizeof id);
	if (!worker.worker_id.ptr)
		return call->sink->fail(call, -ENOMEM, "no memory for an identifier");
	worker.label = call->services->display_hint(call->services, berth_text(command), hint, sizeof hint);
	if (!worker.label.ptr)
		worker.label = worker.worker_id; /* the command is not UTF-8 */
	worker.state = worker.status = berth_text(state == 'T' || state == 't' ? "stopped" : "running");
	return call->sink->worker(call, &worker);
}

static int list_workers(void *instance, struct berth_call *call, const struct berth_list_request *request)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	int rc = request->limit == 0;

	if (!proc)
		return call->sink->fail(call, -errno, "/proc: %s", strerror(errno));
	/* What is not shown pushes nothing that would say that nobody waits any more. */
	while (rc == 0 && !call->sink->cancelled(call)) {
		errno = 0;
		entry = readdir(proc); /* in the order of the PIDs */
		if (!entry)
			rc = errno == 0 ? 1 : call->sink->fail(call, -errno, "/proc: %s", strerror(errno));
		else if (*entry->d_name >= '1' && *entry->d_name <= '9')
			rc = push_process(instance, call, entry->d_name);
	}
	closedir(proc);
	return rc;
}

static int list_hosts(void *instance, struct berth_call *call, const struct berth_list_request *request)
{
	const struct berth_host host = {
		.size = sizeof host, .host_id = host_id, .label = BERTH_TEXT("This machine"),
		.kind = BERTH_TEXT("machine"), .status = BERTH_TEXT("available"), .can = CAN,
	};

	(void)instance;
	return request->limit > 0 ? call->sink->host(call, &host) : 0;
}

static int open_instance(void **instance, struct berth_call *call, const struct berth_open_request *request)
{
	const struct berth_runtime runtime = {
		.size = sizeof runtime, .runtime_id = BERTH_TEXT("new-adapter"),
		.label = BERTH_TEXT("Processes of this user"), .kind = BERTH_TEXT("processes"),
		.status = BERTH_TEXT("available"), .can = CAN, .host_ids = &host_id, .n_host_ids = 1,
		.source_kind = BERTH_TEXT("processes"), .source_status = BERTH_TEXT("active"),
		.source_note = BERTH_TEXT("processes as the kernel lists them; they are shown and not changed"),
	};
	const struct berth_text command = request->options[0].text;
	struct instance *opened;

	if (command.len >= sizeof opened->command)
		return call->sink->fail(call, -EINVAL, "option command: at most %zu bytes are expected",
					sizeof opened->command - 1);
	opened = calloc(1, sizeof *opened);
	if (!opened)
		return call->sink->fail(call, -ENOMEM, "no memory for an instance");
	memcpy(opened->command, command.ptr, command.len);
	*instance = opened;
	return call->sink->runtime(call, &runtime);
}

/* What is left out, berth answers: looking a worker up by walking the list, for one. */
static const struct berth_adapter operations = {
	.size = sizeof operations,
	.open = open_instance,
	.close = free,
	.list_hosts = list_hosts,
	.list_workers = list_workers,
};

BERTH_ADAPTER(new_adapter, "new-adapter", PACKAGE_VERSION, BERTH_THREADS_ANY,
	      BERTH_OPTION("command", "text", "", "show only processes of this command; empty: all"),
	      &operations);
