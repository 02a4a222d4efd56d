/* SPDX-License-Identifier: MIT */
/*
 * Between fork and exec there may be other threads' locks in any state, so the child
 * there makes system calls and nothing else: names of users, the search of the program,
 * the environment and the rules for files are all made ready before.
 */
#include "config.h"

#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GROUPS_MAX = 256 };

struct launch {
	char *program, *directory, **command, **environment;
	bool switches_user;
	uid_t uid;
	gid_t gid, groups[GROUPS_MAX];
	int n_groups;
	uint64_t memory, cpu, files;
	struct confinement confinement;
	int plugin_fd;
};

/* ---- Making ready ---- */

static void free_list(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

void launch_free(struct launch *launch)
{
	if (!launch)
		return;
	free(launch->program);
	free(launch->directory);
	free_list(launch->command);
	free_list(launch->environment);
	if (launch->confinement.landlock >= 0)
		close(launch->confinement.landlock);
	free(launch);
}

static size_t list_length(const char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

static char **copy_list(const char *const *list)
{
	size_t n = list_length(list);
	char **copy = calloc(n + 1, sizeof *copy);

	if (!copy)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		copy[i] = strdup(list[i]);
		if (!copy[i]) {
			free_list(copy);
			return NULL;
		}
	}
	return copy;
}

/* As a shell would find it; "" where there is none. */
static char *find_program(const char *name)
{
	const char *dirs = getenv("PATH");
	char *path;

	if (strchr(name, '/'))
		return strdup(access(name, X_OK) == 0 ? name : "");
	for (const char *p = dirs ? dirs : "/usr/local/bin:/usr/bin:/bin"; *p;) {
		size_t len = strcspn(p, ":");

		if (asprintf(&path, "%.*s/%s", (int)len, p, name) < 0)
			return NULL;
		/* A relative directory would mean another one in the child. */
		if (*path == '/' && access(path, X_OK) == 0)
			return path;
		free(path);
		p += len + (p[len] == ':');
	}
	return strdup("");
}

static int find_user(struct launch *launch, const char *name, char *text, size_t text_size)
{
	struct passwd entry, *found = NULL;
	char room[16384];

	if (!*name)
		return 0;
	if (getpwnam_r(name, &entry, room, sizeof room, &found) != 0 || !found)
		return snprintf(text, text_size, "user: %.60s: no such user", name), -1;
	if (entry.pw_uid == geteuid())
		return 0;
	if (geteuid() != 0)
		return snprintf(text, text_size, "user: %.60s: only root may run a program as another user", name), -1;
	launch->switches_user = true;
	launch->uid = entry.pw_uid;
	launch->gid = entry.pw_gid;
	launch->n_groups = GROUPS_MAX;
	if (getgrouplist(name, entry.pw_gid, launch->groups, &launch->n_groups) < 0)
		return snprintf(text, text_size, "user: %.60s: more than %d groups", name, GROUPS_MAX), -1;
	return 0;
}

/* What programs commonly need of the host's environment. */
static const char *const passed_on[] = {
	"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", NULL,
};

/* Whether an entry NAME or NAME=VALUE is about the variable. */
static bool is_about(const char *entry, const char *name, size_t len)
{
	return strncmp(entry, name, len) == 0 && (entry[len] == '=' || entry[len] == '\0');
}

static int add_variable(char **environment, size_t *np, const char *entry)
{
	size_t len = strcspn(entry, "=");
	const char *value;
	char *variable;

	if (entry[len] == '=') {
		variable = strdup(entry);
	} else {
		value = getenv(entry);
		if (!value)
			return 0;
		if (asprintf(&variable, "%s=%s", entry, value) < 0)
			variable = NULL;
	}
	if (!variable)
		return -1;
	environment[(*np)++] = variable;
	return 0;
}

static int make_environment(struct launch *launch, const char *const *wanted)
{
	size_t n_wanted = list_length(wanted), n = 0;
	char **environment = calloc(n_wanted + sizeof passed_on / sizeof *passed_on, sizeof *environment);
	int rc = environment ? 0 : -1;

	launch->environment = environment;
	for (size_t i = 0; passed_on[i] && rc == 0; i++) {
		size_t j = 0;

		while (j < n_wanted && !is_about(wanted[j], passed_on[i], strlen(passed_on[i])))
			j++;
		if (j == n_wanted)
			rc = add_variable(environment, &n, passed_on[i]);
	}
	for (size_t i = 0; i < n_wanted && rc == 0; i++)
		rc = add_variable(environment, &n, wanted[i]);
	return rc;
}

static int make_rules(struct launch *launch, const struct launch_wishes *wishes, char *text, size_t text_size)
{
	const char *culprit;
	int rc;

	if (!wishes->readable && !wishes->writable)
		return 0;
	rc = confine_paths(wishes->readable, list_length(wishes->readable), wishes->writable,
			   list_length(wishes->writable), launch->program, wishes->plugin_fd, &culprit);
	if (rc == -ENOSYS)
		snprintf(text, text_size, "this kernel has no Landlock: the files of the process are not limited");
	else if (rc < 0)
		return snprintf(text, text_size, "readable, writable: %.160s: %s", culprit, strerror(-rc)), -1;
	launch->confinement.landlock = rc < 0 ? -1 : rc;
	return 0;
}

struct launch *launch_new(const struct launch_wishes *wishes, char *text, size_t text_size)
{
	struct launch *launch = calloc(1, sizeof *launch);
	const char *name = wishes->command[0];

	*text = '\0';
	if (!launch)
		return snprintf(text, text_size, "no memory"), NULL;
	launch->memory = wishes->memory;
	launch->cpu = wishes->cpu;
	launch->files = wishes->files;
	launch->plugin_fd = wishes->plugin_fd;
	launch->confinement = (struct confinement){ wishes->confined, -1 };
	launch->command = copy_list(wishes->command);
	launch->directory = strdup(wishes->directory);
	launch->program = find_program(name);
	if (!launch->command || !launch->directory || !launch->program || make_environment(launch, wishes->environment) < 0)
		snprintf(text, text_size, "no memory");
	else if (strchr(name, '/') && *name != '/')
		snprintf(text, text_size, "command: %.160s: an absolute path, or a name without a slash, is expected", name);
	else if (!*launch->program)
		snprintf(text, text_size, "command: %.160s: no program that can be run%s", name,
			 strchr(name, '/') ? "" : ", in no directory of PATH");
	else if (find_user(launch, wishes->user, text, text_size) == 0 &&
		 make_rules(launch, wishes, text, text_size) == 0) {
		if (wishes->confined && !confine_knows_calls() && !*text)
			snprintf(text, text_size, "system calls are not refused on this kind of machine");
		return launch;
	}
	launch_free(launch);
	return NULL;
}

void launch_identify(const struct launch *launch, char identity[LAUNCH_IDENTITY_MAX])
{
	struct stat files[2] = { { .st_size = 0 } };
	size_t len = 0;

	stat(launch->program, &files[0]);
	fstat(launch->plugin_fd, &files[1]);
	for (size_t i = 0; i < 2; i++)
		len += (size_t)snprintf(identity + len, LAUNCH_IDENTITY_MAX - len, "%llx:%llx:%llx:%llx.%lx ",
					(unsigned long long)files[i].st_dev, (unsigned long long)files[i].st_ino,
					(unsigned long long)files[i].st_size, (unsigned long long)files[i].st_mtim.tv_sec,
					(unsigned long)files[i].st_mtim.tv_nsec);
}

/* ---- Starting ---- */

/* What a child reports where it cannot run its program. */
struct report {
	char step[28];
	int error;
};

/* more: how much is left after a first signal, where the kernel knows two. */
static void limit(int resource, uint64_t value, uint64_t more)
{
	const struct rlimit limit = { (rlim_t)value, (rlim_t)(value + more) };

	setrlimit((__rlimit_resource_t)resource, &limit);
}

static const char *take_user(const struct launch *launch)
{
	if (!launch->switches_user)
		return NULL;
	/* The functions of the C library would ask other threads to follow. */
	if (syscall(SYS_setgroups, launch->n_groups, launch->groups) < 0 ||
	    syscall(SYS_setresgid, launch->gid, launch->gid, launch->gid) < 0 ||
	    syscall(SYS_setresuid, launch->uid, launch->uid, launch->uid) < 0)
		return "user";
	return NULL;
}

static void reset_signals(void)
{
	const struct sigaction standard = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		sigaction(i, &standard, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Becomes the program; returns what failed, with errno set. */
static const char *become(const struct launch *launch, const int *fds, size_t n_fds, pid_t parent)
{
	const char *failed;

	setsid();
	for (size_t i = 0; i < n_fds; i++)
		if (dup2(fds[i], (int)i) < 0)
			return "descriptors";
	if (syscall(SYS_close_range, (unsigned)n_fds, ~0u, 1u << 2 /* CLOSE_RANGE_CLOEXEC */) < 0)
		for (int fd = (int)n_fds; fd < 65536; fd++)
			fcntl(fd, F_SETFD, FD_CLOEXEC);
	limit(RLIMIT_CORE, 0, 0);
	if (launch->memory)
		limit(RLIMIT_AS, launch->memory, 0);
	if (launch->cpu)
		limit(RLIMIT_CPU, launch->cpu, 1);
	if (launch->files)
		limit(RLIMIT_NOFILE, launch->files, 0);
	failed = take_user(launch);
	if (failed)
		return failed;
	/* It is forgotten when the user changes, and the parent may be gone by now. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		return "parent";
	if (*launch->directory && chdir(launch->directory) < 0)
		return "directory";
	failed = confine_self(&launch->confinement);
	if (failed)
		return failed;
	execve(launch->program, launch->command, launch->environment);
	return "command";
}

int launch_start(const struct launch *launch, const int *fds, size_t n_fds, struct launched *launched)
{
	int high[LAUNCH_FDS_MAX], report[2], rc = 0;
	struct report failed = { .error = 0 };
	pid_t parent = getpid();

	if (pipe2(report, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	/* Out of the way of the numbers that they will have. */
	for (size_t i = 0; i < n_fds; i++)
		if ((high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, LAUNCH_FDS_MAX)) < 0)
			rc = -errno;
	launched->report_fd = report[0];
	launched->pid = rc == 0 ? fork() : -1;
	if (launched->pid == 0) {
		int out = fcntl(report[1], F_DUPFD_CLOEXEC, LAUNCH_FDS_MAX);
		const char *step;

		reset_signals();
		step = become(launch, high, n_fds, parent);
		failed.error = errno;
		strncpy(failed.step, step, sizeof failed.step - 1);
		_exit(write(out, &failed, sizeof failed) == sizeof failed ? 127 : 126);
	}
	if (launched->pid < 0 && rc == 0)
		rc = -errno;
	for (size_t i = 0; i < n_fds; i++)
		if (high[i] >= 0)
			close(high[i]);
	close(report[1]);
	if (rc == 0) {
		launched->pidfd = (int)syscall(SYS_pidfd_open, launched->pid, 0);
		if (launched->pidfd < 0) {
			rc = -errno;
			kill(launched->pid, SIGKILL);
			waitpid(launched->pid, NULL, 0);
		}
	}
	if (rc < 0)
		close(report[0]);
	return rc;
}

void launch_report(const struct launched *launched, char *text, size_t text_size)
{
	struct report failed;

	*text = '\0';
	if (read(launched->report_fd, &failed, sizeof failed) != sizeof failed)
		return;
	failed.step[sizeof failed.step - 1] = '\0';
	snprintf(text, text_size, "%s: %s", failed.step, strerror(failed.error));
}
