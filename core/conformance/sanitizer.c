/* SPDX-License-Identifier: MIT */
/* A sanitizer's library wants to be there before everything else, which in a program
 * that was built without it only the dynamic linker's preloading achieves. The compiler
 * knows where the library is: cc, or what $CC names. */
#include "config.h"

#include "core/conformance/sanitizer.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/cleanup.h"

#define MARK "BERTH_CONFORMANCE_SANITIZER"

static const struct sanitizer {
	const char *name;
	const char *gcc, *clang; /* the library; of clang, without the machine at its end */
	const char *variable, *options;
} sanitizers[] = {
	{ "address", "libasan.so", "libclang_rt.asan", "ASAN_OPTIONS", "detect_leaks=1:detect_stack_use_after_return=1" },
	{ "undefined", "libubsan.so", "libclang_rt.ubsan_standalone", "UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1" },
	{ "thread", "libtsan.so", "libclang_rt.tsan", "TSAN_OPTIONS", "halt_on_error=1" },
};

bool sanitizer_is_on(void)
{
	return getenv(MARK) != NULL;
}

/* Asks the compiler for a library of its own; false where it has none of that name. */
static bool ask_compiler(const char *library, char path[PATH_MAX])
{
	CLEANUP_FREE char *command = NULL;
	const char *cc = getenv("CC");
	char line[PATH_MAX];
	FILE *answer;
	bool known;

	/* As make has it, $CC may be several words. */
	if (asprintf(&command, "%s -print-file-name=%s 2>/dev/null", cc && *cc ? cc : "cc", library) < 0)
		return false;
	answer = popen(command, "re");
	if (!answer)
		return false;
	known = fgets(line, sizeof line, answer) != NULL;
	pclose(answer);
	if (!known)
		return false;
	line[strcspn(line, "\n")] = '\0';
	return strchr(line, '/') && realpath(line, path);
}

/* Whether this program starts with the library; that for threads of some versions of
 * clang ends every program that was not linked with it. */
static bool can_be_first(const char *path)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		setenv("LD_PRELOAD", path, 1);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		execl("/proc/self/exe", "conformance", "--help", NULL);
		_exit(127);
	}
	if (pid < 0)
		return false;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool find_library(const struct sanitizer *sanitizer, char path[PATH_MAX])
{
	struct utsname machine;
	char name[128];

	/* clang knows those of gcc as well. */
	uname(&machine);
	snprintf(name, sizeof name, "%s-%s.so", sanitizer->clang, machine.machine);
	if (ask_compiler(name, path) && can_be_first(path))
		return true;
	return ask_compiler(sanitizer->gcc, path) && can_be_first(path);
}

/* Puts a default before what the user has set, which so wins. */
static int prepend_options(const struct sanitizer *sanitizer)
{
	const char *set = getenv(sanitizer->variable);
	CLEANUP_FREE char *options = NULL;

	if (asprintf(&options, "%s%s%s", sanitizer->options, set ? ":" : "", set ? set : "") < 0)
		return -ENOMEM;
	return setenv(sanitizer->variable, options, 1) == 0 ? 0 : -ENOMEM;
}

int sanitizer_enter(const char *name, char **argv, struct error *error)
{
	const struct sanitizer *sanitizer = NULL;
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof sanitizers / sizeof *sanitizers; i++)
		if (strcmp(sanitizers[i].name, name) == 0)
			sanitizer = &sanitizers[i];
	if (!sanitizer)
		return error_set(error, -EINVAL, "--sanitizer %.60s: address, undefined or thread is expected", name);
	/* Where the address space is laid out too much at random, that of threads does not start. */
	personality(ADDR_NO_RANDOMIZE);
	if (!find_library(sanitizer, path))
		return error_set(error, -ENOENT,
				 "--sanitizer %s: the compiler has no %s that can be loaded; name another one with $CC", name,
				 sanitizer->gcc);
	if (setenv(MARK, name, 1) < 0 || setenv("LD_PRELOAD", path, 1) < 0 || prepend_options(sanitizer) < 0)
		return error_set(error, -ENOMEM, "no memory");
	execv("/proc/self/exe", argv);
	return error_set(error, -errno, "--sanitizer %s: the program cannot be started again: %s", name, strerror(errno));
}
