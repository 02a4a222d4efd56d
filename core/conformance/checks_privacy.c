/* SPDX-License-Identifier: MIT */
/*
 * What the adapter is configured with and nobody else is to know: where things are, and
 * secrets. It is tried with the values that are given, and once more with others that lead
 * nowhere: what cannot be opened is the likeliest to be named.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/conformance/check.h"
#include "core/conformance/host.h"
#include "core/conformance/spawned.h"
#include "core/conformance/survey.h"
#include "core/log.h"

enum { SHORTEST = 4 }; /* a value of fewer bytes is found everywhere */

#define NOWHERE "/nonexistent/berth-conformance/"

/* The values that must not show. */
struct privates {
	struct {
		const char *name, *value;
	} list[STAMP_OPTIONS_MAX + 2];
	size_t n, n_answers;
};

static void add(struct privates *privates, const char *name, const char *value)
{
	if (!value || strlen(value) < SHORTEST)
		return;
	privates->list[privates->n].name = name;
	privates->list[privates->n++].value = value;
}

static const char *value_of(const struct subject *subject, const struct stamp_option *option)
{
	const cJSON *given = cJSON_GetObjectItemCaseSensitive(subject->options, option->name);

	return given ? cJSON_GetStringValue(given) : option->fallback;
}

static void add_options(struct privates *privates, const struct subject *subject, enum option_type type)
{
	const struct stamp *stamp = &host_adapter(subject)->stamp;

	for (size_t i = 0; i < stamp->n_options; i++)
		if (stamp->options[i].type == type)
			add(privates, stamp->options[i].name, value_of(subject, &stamp->options[i]));
}

/* The subject with values that lead nowhere; its options are to be freed. */
static struct subject lead_nowhere(const struct subject *subject)
{
	const struct stamp *stamp = &host_adapter(subject)->stamp;
	struct subject nowhere = *subject;

	nowhere.workspace_root = NOWHERE "root";
	nowhere.data_dir = NOWHERE "data";
	nowhere.options = subject->options ? cJSON_Duplicate(subject->options, true) : cJSON_CreateObject();
	for (size_t i = 0; i < stamp->n_options; i++) {
		const struct stamp_option *option = &stamp->options[i];
		char value[256];

		if (option->type != OPTION_PATH && option->type != OPTION_SECRET)
			continue;
		snprintf(value, sizeof value, "%s%s",
			 option->type == OPTION_PATH ? NOWHERE : "berth-conformance-secret-", option->name);
		cJSON_DeleteItemFromObjectCaseSensitive(nowhere.options, option->name);
		cJSON_AddStringToObject(nowhere.options, option->name, value);
	}
	return nowhere;
}

static void ask_everything(const struct subject *subject, survey_visit *visit, void *data)
{
	struct failure failure;
	struct host host = { 0 };

	if (host_try_open(&host, subject, NULL, &failure) < 0) {
		/* What it gives to fail goes where the log goes. */
		log_write(BERTH_LOG_ERROR, subject->id, "%s", failure.found.text);
		return;
	}
	survey_populate(&host);
	survey_all(&host, visit, data);
	survey_refusals(&host, visit, data);
	spawned_stop_all(&host);
	host_close(&host);
}

/* ---- Answers ---- */

static void expect_private(const struct privates *privates, const cJSON *json, const char *request)
{
	const cJSON *child;

	for (size_t i = 0; i < privates->n && cJSON_IsString(json); i++)
		if (strstr(json->valuestring, privates->list[i].value))
			check_fail("%s: the answer contains, in \"%s\", the value of %s", request,
				   json->string ? json->string : "", privates->list[i].name);
	cJSON_ArrayForEach(child, json) expect_private(privates, child, request);
}

static void look_through(void *data, const char *request, const char *answer)
{
	CLEANUP(json_delete) cJSON *json = cJSON_Parse(answer);
	struct privates *privates = data;

	expect_private(privates, json, request);
	privates->n_answers++;
}

static void try_answers(const struct subject *subject)
{
	struct privates privates = { .n = 0 };

	add(&privates, "the workspace root", subject->workspace_root);
	add(&privates, "the data directory", subject->data_dir);
	add_options(&privates, subject, OPTION_PATH);
	add_options(&privates, subject, OPTION_SECRET);
	ask_everything(subject, look_through, &privates);
	check_note("%zu values looked for in %zu answers", privates.n, privates.n_answers);
}

static void check_answers(const struct subject *subject)
{
	struct subject nowhere = lead_nowhere(subject);

	try_answers(subject);
	check_at("with paths and secrets that lead nowhere");
	try_answers(&nowhere);
	cJSON_Delete(nowhere.options);
}

/* ---- The log ---- */

/* Standard error is a file of the check's own. */
static char *read_log(void)
{
	off_t size = lseek(STDERR_FILENO, 0, SEEK_END);
	char *text = calloc(1, (size_t)size + 1);

	if (!text)
		check_fail("no memory");
	if (pread(STDERR_FILENO, text, (size_t)size, 0) != size)
		check_fail("the log cannot be read");
	return text;
}

static void try_log(const struct subject *subject)
{
	struct privates secrets = { .n = 0 };
	CLEANUP_FREE char *text = NULL;

	add_options(&secrets, subject, OPTION_SECRET);
	ask_everything(subject, NULL, NULL);
	text = read_log();
	for (size_t i = 0; i < secrets.n; i++) {
		if (!strstr(text, secrets.list[i].value))
			continue;
		/* What a failed check has written is shown. */
		if (ftruncate(STDERR_FILENO, 0) < 0)
			check_note("the log cannot be emptied");
		check_fail(
		    "the log, to which also the words given to fail go, contains the value of %s, which is a secret",
		    secrets.list[i].name);
	}
}

static void check_log(const struct subject *subject)
{
	const struct stamp *stamp = &host_adapter(subject)->stamp;
	size_t n_secrets = 0;
	struct subject nowhere;

	for (size_t i = 0; i < stamp->n_options; i++)
		n_secrets += stamp->options[i].type == OPTION_SECRET;
	if (n_secrets == 0)
		check_skip("the adapter declares no option of type secret");
	nowhere = lead_nowhere(subject);
	log_set_level(BERTH_LOG_DEBUG);
	try_log(subject);
	try_log(&nowhere);
	cJSON_Delete(nowhere.options);
}

const struct check checks_privacy[] = {
	{ "privacy/answers", "no answer contains a path or secret that the adapter is configured with", NULL,
	  check_answers },
	{ "privacy/log", "neither log nor reason of a failure contains a secret option", NULL, check_log },
	{ NULL, NULL, NULL, NULL },
};
