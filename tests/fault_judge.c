/* SPDX-License-Identifier: MIT */
/* What a fault may and may not do to a run. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "core/cleanup.h"
#include "tests/fault_run.h"
#include "tests/support.h"

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

char *worker_in(const char *answer)
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

const char *judge(const struct command *command, const struct kind *kind, struct run *run, const struct run *good)
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
