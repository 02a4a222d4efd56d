/* SPDX-License-Identifier: MIT */
/*
 * berth conformance: runs every check against one adapter, each in a process of its own,
 * and says what came of it. A program is checked through the adapter that speaks with it.
 */
#include "config.h"

#include <ftw.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/conformance/check.h"
#include "core/conformance/output.h"
#include "core/conformance/run.h"
#include "core/conformance/sanitizer.h"
#include "core/conformance/spawned.h"
#include "core/isolated.h"
#include "core/status.h"
#include "inline/frames.h"
#include "inline/json_reader.h"

enum {
	CHECKS_MAX = 128,
	SECONDS_DEFAULT = 120,
};

struct program {
	struct subject subject;
	const char *name; /* of the adapter, in the results */
	const char *junit, *sanitizer, *only, *options;
	char **command; /* NULL: a plugin is checked */
	unsigned seconds;
	bool isolated, list, help;
	char root[PATH_MAX]; /* of the workspace that was made for the run */
	char dir[PATH_MAX], file[PATH_MAX];

	const struct check *checks[CHECKS_MAX]; /* those that are to be run */
	struct result results[CHECKS_MAX];
	struct outcome outcomes[CHECKS_MAX];
	size_t n_checks, n_run;
};

/* ---- The command line ---- */

static const char usage[] = "berth conformance [OPTION...] FILE.so\n"
			    "       berth conformance [OPTION...] --command PROGRAM [ARGUMENT...]";

static const char help[] =
	"Checks an adapter against the contract between berth and its adapters: TAP on\n"
	"standard output, a process for each check. The adapter is a plugin, or a program\n"
	"that speaks the batch protocol.\n\n"
	"  --isolated           check the plugin in a process of its own, as with the key isolate\n"
	"  --command PROGRAM... check this program, with the arguments behind it\n"
	"  --options JSON       an object with the adapter's options; default: as declared;\n"
	"                       of a program, those of berth-process(7)\n"
	"  --workspace-root DIR root of the workspace; default: an empty one made for it\n"
	"  --data-dir DIR       directory with data, as the adapter expects it; default: none\n"
	"  --check NAME         run this check alone, or those of a profile\n"
	"  --adapter-dir DIR    where process.so is, which speaks with other processes\n"
	"  --junit FILE         write the results as JUnit XML as well\n"
	"  --sanitizer NAME     run under address, undefined or thread, with which the\n"
	"                       adapter was built\n"
	"  --timeout SECONDS    of one check; default: 120\n"
	"  --list               print the checks and what each holds\n"
	"  --help               print this\n\n"
	"Exit status: 0 nothing failed; 1 a check failed; 2 wrong usage; 3 the run itself\n"
	"failed. A skipped check says why, and counts as neither passed nor failed.\n";

static enum status take_options(struct program *program, const char *text)
{
	cJSON *options;
	struct json_reader r;

	/* cJSON lets more pass than JSON is. */
	json_open(&r, text, strlen(text));
	if (!json_skip(&r) || !json_close(&r))
		return complain(STATUS_USAGE, "--options: byte %zu: %s", json_offset(&r) + 1, r.error);
	options = cJSON_Parse(text);
	if (!cJSON_IsObject(options)) {
		cJSON_Delete(options);
		return complain(STATUS_USAGE, "--options: an object is expected, such as {\"name\": \"value\"}");
	}
	program->subject.options = options;
	return STATUS_DONE;
}

/* What follows --command is no option of ours: it is cut off. Returns how much is left. */
static int cut_command(struct program *program, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--command") == 0) {
			program->command = argv + i + 1;
			if (*program->command && strcmp(*program->command, "--") == 0)
				program->command++;
			return i;
		}
	return argc;
}

/* What is to be checked, behind the options. */
static enum status take_subject(struct program *program, char **arguments, int n)
{
	if (program->command && (n > 0 || !program->command[0] || !*program->command[0]))
		return complain(STATUS_USAGE, n > 0 ? "%s: a plugin and a program; one adapter is expected" :
						      "--command: a program is expected", n > 0 ? arguments[0] : "");
	if (program->command && program->isolated)
		return complain(STATUS_USAGE, "--isolated: it is for plugins; a program has a process of its own");
	if ((program->command || program->isolated) && program->sanitizer)
		return complain(STATUS_USAGE, "--sanitizer: it is for plugins that are not in a process of their own");
	if (!program->command && n != 1)
		return complain(STATUS_USAGE, "one adapter is expected: FILE.so, or --command PROGRAM [ARGUMENT...]");
	program->subject.file = program->command ? NULL : arguments[0];
	program->subject.is_apart = program->command || program->isolated;
	return STATUS_DONE;
}

static enum status parse(struct program *program, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "options", required_argument, NULL, 'o' },	{ "workspace-root", required_argument, NULL, 'w' },
		{ "data-dir", required_argument, NULL, 'd' },	{ "check", required_argument, NULL, 'c' },
		{ "junit", required_argument, NULL, 'j' },	{ "sanitizer", required_argument, NULL, 's' },
		{ "timeout", required_argument, NULL, 't' },	{ "list", no_argument, NULL, 'l' },
		{ "adapter-dir", required_argument, NULL, 'a' },	{ "isolated", no_argument, NULL, 'i' },
		{ "help", no_argument, NULL, 'h' },		{ NULL, 0, NULL, 0 },
	};
	char *end;
	int c;

	enum status status;

	program->seconds = SECONDS_DEFAULT;
	program->subject.adapter_dir = ADAPTER_DIR;
	argc = cut_command(program, argc, argv);
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
		switch (c) {
		case 'o': program->options = optarg; break;
		case 'w': program->subject.workspace_root = optarg; break;
		case 'd': program->subject.data_dir = optarg; break;
		case 'c': program->only = optarg; break;
		case 'a': program->subject.adapter_dir = optarg; break;
		case 'j': program->junit = optarg; break;
		case 's': program->sanitizer = optarg; break;
		case 'i': program->isolated = true; break;
		case 'l': program->list = true; break;
		case 'h': program->help = true; break;
		case 't':
			program->seconds = (unsigned)strtoul(optarg, &end, 10);
			if (*end || program->seconds == 0 || program->seconds > 86400)
				return complain(STATUS_USAGE, "--timeout %.60s: seconds from 1 to 86400 are expected", optarg);
			break;
		case ':':
			return complain(STATUS_USAGE, "%s: an argument is expected", argv[optind - 1]);
		default:
			return complain(STATUS_USAGE, "%s: no such option; berth conformance --help lists them", argv[optind - 1]);
		}
	}
	if (program->help || program->list)
		return STATUS_DONE;
	status = take_subject(program, argv + optind, argc - optind);
	return status == STATUS_DONE && program->options ? take_options(program, program->options) : status;
}

/* ---- What is checked ---- */

/* Whether a check is the one that was named, or of the profile. */
static bool is_wanted(const struct check *check, const char *only)
{
	size_t len = only ? strlen(only) : 0;

	return !only || (strncmp(check->name, only, len) == 0 && (!check->name[len] || check->name[len] == '/'));
}

static enum status select_checks(struct program *program)
{
	static const struct check *const groups[] = {
		checks_base, checks_lists, checks_privacy, checks_workers, checks_transcripts, checks_events,
		checks_robust, checks_faults,
	};

	for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
		for (const struct check *check = groups[i]; check->name; check++)
			if (is_wanted(check, program->only) && program->n_checks < CHECKS_MAX)
				program->checks[program->n_checks++] = check;
	if (program->n_checks == 0)
		return complain(STATUS_USAGE, "--check %.60s: no such check or profile; --list names them", program->only);
	return STATUS_DONE;
}

/* The parts of the file's name: where it is, and which adapter it should be. */
static enum status take_file(struct program *program)
{
	const char *file = program->subject.file, *base;
	size_t len;

	if (!realpath(file, program->file))
		return complain(STATUS_SETUP, "%s: %s", file, strerror(errno));
	/* The name is that by which it is loaded, the place may be behind links. */
	snprintf(program->dir, sizeof program->dir, "%s", file);
	base = strrchr(file, '/') ? strrchr(file, '/') + 1 : file;
	len = strlen(base);
	if (len < 4 || strcmp(base + len - 3, ".so") != 0 || len - 3 >= sizeof program->subject.id)
		return complain(STATUS_USAGE, "%s: a plugin named ID.so is expected, with an id of at most 64 characters", file);
	memcpy(program->subject.id, base, len - 3);
	program->subject.dir = dirname(program->dir);
	program->name = program->subject.id;
	return STATUS_DONE;
}

/* The program becomes the option command of the adapter that speaks with it, which is where
 * such programs are loaded from. */
static enum status take_command(struct program *program)
{
	const char *first = program->command[0], *base = strrchr(first, '/');
	char cwd[PATH_MAX] = "", path[2 * PATH_MAX];
	cJSON *command = cJSON_CreateArray();

	if (!program->subject.options)
		program->subject.options = cJSON_CreateObject();
	if (cJSON_GetObjectItemCaseSensitive(program->subject.options, "command")) {
		cJSON_Delete(command);
		return complain(STATUS_USAGE, "--options: command is what --command says");
	}
	/* A name without a slash is looked for in PATH; what is relative is so to this directory. */
	if (base && *first != '/' && !getcwd(cwd, sizeof cwd - 1))
		return complain(STATUS_SETUP, "the current directory: %s", strerror(errno));
	snprintf(path, sizeof path, "%s%s%s", cwd, *cwd ? "/" : "", first);
	cJSON_AddItemToArray(command, cJSON_CreateString(path));
	for (char **argument = program->command + 1; *argument; argument++)
		cJSON_AddItemToArray(command, cJSON_CreateString(*argument));
	cJSON_AddItemToObject(program->subject.options, "command", command);
	snprintf(program->subject.id, sizeof program->subject.id, "process");
	program->subject.dir = program->subject.adapter_dir;
	program->name = base ? base + 1 : first;
	return STATUS_DONE;
}

/* The root of the workspace has a name that can be told from everything else. */
static enum status make_workspace(struct program *program)
{
	struct subject *subject = &program->subject;

	const char *dir = getenv("TMPDIR");

	if (subject->workspace_root)
		return STATUS_DONE;
	snprintf(program->root, sizeof program->root, "%s/berth-conformance-XXXXXX", dir && *dir ? dir : "/tmp");
	if (!mkdtemp(program->root)) {
		enum status status = complain(STATUS_SETUP, "%s: %s", program->root, strerror(errno));

		*program->root = '\0';
		return status;
	}
	subject->workspace_root = program->root;
	return STATUS_DONE;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status;
	(void)type;
	(void)place;
	return remove(path);
}

/* With all that the adapter has put there. */
static void remove_workspace(const struct program *program)
{
	if (*program->root)
		nftw(program->root, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* ---- The run ---- */

static void print_list(const struct program *program)
{
	for (size_t i = 0; i < program->n_checks; i++)
		printf("%-28s %s%s%s%s\n", program->checks[i]->name, program->checks[i]->rule,
		       program->checks[i]->needs ? " [" : "", program->checks[i]->needs ? program->checks[i]->needs : "",
		       program->checks[i]->needs ? "]" : "");
}

static size_t count(const struct program *program, enum verdict verdict)
{
	size_t n = 0;

	for (size_t i = 0; i < program->n_run; i++)
		n += program->results[i].verdict == verdict;
	return n;
}

/* Whether no other can pass where this one fails. */
static bool is_vital(const struct check *check)
{
	return is_wanted(check, "base/stamp") || is_wanted(check, "base/load") || is_wanted(check, "base/open");
}

/* Why a check cannot be made of what is not in this process, or not of a program; NULL: it can. */
static const char *unfit(const struct program *program, const struct check *check)
{
	static const struct {
		const char *name;
		bool of_files; /* it holds for plugins wherever they run */
	} checks[] = {
		{ "base/stamp", true }, { "base/options", true }, { "base/load", true }, { "base/later", false },
		{ "base/process", false }, { "base/leaks", false }, { "privacy", true }, { "lent", false },
		{ "close/leaks", false }, { "faults", false },
	};

	for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
		if (program->subject.is_apart && is_wanted(check, checks[i].name) && !(checks[i].of_files && program->isolated))
			return program->isolated ? "it is for plugins that are not in a process of their own" :
						   "it is for plugins; a program has a process of its own";
	return NULL;
}

static int try_check(const struct program *program, const struct check *check, struct result *result)
{
	const char *why = unfit(program, check);

	if (!why)
		return run_check(check, &program->subject, program->seconds, result);
	*result = (struct result){ .verdict = VERDICT_SKIPPED };
	snprintf(result->why, sizeof result->why, "%s", why);
	return 0;
}

static enum status run_checks(struct program *program)
{
	if (spawned_share() < 0)
		return complain(STATUS_SETUP, "no memory");
	printf("1..%zu\n", program->n_checks);
	for (size_t i = 0; i < program->n_checks; i++) {
		const struct check *check = program->checks[i];
		struct result *result = &program->results[i];
		int rc = try_check(program, check, result);

		if (rc < 0)
			return complain(STATUS_SETUP, "%s: no process for it: %s", check->name, strerror(-rc));
		program->n_run++;
		output_tap(stdout, i + 1, check, result);
		if (result->verdict == VERDICT_FAILED && is_vital(check)) {
			printf("Bail out! nothing else can be told\n");
			break;
		}
	}
	printf("# %zu passed, %zu failed, %zu skipped", count(program, VERDICT_PASSED), count(program, VERDICT_FAILED),
	       count(program, VERDICT_SKIPPED));
	if (program->n_run < program->n_checks)
		printf(", %zu not run", program->n_checks - program->n_run);
	printf("\n");
	return count(program, VERDICT_FAILED) > 0 ? STATUS_REFUSED : STATUS_DONE;
}

static enum status write_junit(struct program *program)
{
	int rc;

	for (size_t i = 0; i < program->n_checks; i++)
		program->outcomes[i] = (struct outcome){ program->checks[i], i < program->n_run ? &program->results[i] : NULL };
	rc = output_junit(program->junit, program->name, program->outcomes, program->n_checks);
	return rc < 0 ? complain(STATUS_SETUP, "--junit %s: %s", program->junit, strerror(-rc)) : STATUS_DONE;
}

static enum status run(struct program *program, char **argv)
{
	enum status status = select_checks(program), written = STATUS_DONE;
	struct error error;

	if (status != STATUS_DONE)
		return status;
	if (program->list) {
		print_list(program);
		return STATUS_DONE;
	}
	if (program->sanitizer && !sanitizer_is_on()) {
		int rc = sanitizer_enter(program->sanitizer, argv, &error);

		return complain(rc == -EINVAL ? STATUS_USAGE : STATUS_SETUP, "%s", error.text);
	}
	status = program->command ? take_command(program) : take_file(program);
	if (status == STATUS_DONE)
		status = make_workspace(program);
	if (status == STATUS_DONE)
		status = run_checks(program);
	if (program->junit && program->n_run > 0)
		written = write_junit(program);
	remove_workspace(program);
	return written != STATUS_DONE ? written : status;
}

int main(int argc, char **argv)
{
	static struct program program;
	enum status status;

	/* What is isolated has this program, too. */
	if (argc == 2 && strcmp(argv[1], FRAME_ARGUMENT) == 0)
		return isolated_serve();
	status = parse(&program, argc, argv);
	if (status == STATUS_DONE && program.help)
		printf("usage: %s\n%s", usage, help);
	else if (status == STATUS_DONE)
		status = run(&program, argv);
	for (size_t i = 0; i < program.n_run; i++)
		result_fini(&program.results[i]);
	cJSON_Delete(program.subject.options);
	if (fflush(stdout) != 0)
		status = complain(STATUS_SETUP, "standard output: %s", strerror(errno));
	return (int)status;
}
