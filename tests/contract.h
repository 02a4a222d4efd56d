/* SPDX-License-Identifier: MIT */
/* What the tests of the contract share: comparing whole answers, with those values
 * masked that the contract leaves open, and requests made from templates. */
#ifndef BERTH_TESTS_CONTRACT_H
#define BERTH_TESTS_CONTRACT_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "tests/support.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define EMPTY_LIST "{'items':[],'diagnostics':[]}"
#define BAD_REQUEST "{'error':{'kind':'bad_request','message':'...'}}"
#define DIAGNOSTIC(code, severity) "{'code':'" code "','severity':'" severity "','message':'...'}"

/* The end of capabilities, from local_pod_inspection on; the machine's own name is masked. */
#define CAPABILITIES_END(inspection, scope, max_workers)                                 \
	"'local_pod_inspection':'" inspection "','workspace_scope':'" scope "',"         \
	"'max_workers':" max_workers ",'os':'linux','arch':'...'}"

/* The length of a key, with its colon, whose value is masked; 0 where none stands here. */
static inline size_t masked_key(const char *answer)
{
	static const char *const keys[] = {
		"\"message\":", "\"note\":", "\"detail\":", "\"observed_at\":", "\"arch\":",
		"\"kind\":\"embedded_worker_runtime\",\"display_hint\":",
		/* The contract does not say on which host a placeholder is. */
		"\"worker_id\":\"worker-placeholder\",\"host_id\":",
	};

	for (size_t i = 0; i < COUNT(keys); i++)
		if (strncmp(answer, keys[i], strlen(keys[i])) == 0)
			return strlen(keys[i]);
	return 0;
}

/* The length of the JSON string that stands here; fails where it is none or empty. */
static inline size_t string_length(const char *json)
{
	const char *end = json + 1;

	if (json[0] != '"' || json[1] == '"')
		fail_msg("a string that is not empty is expected at %.60s", json);
	while (*end && *end != '"')
		end += 1 + (*end == '\\' && end[1]);
	assert_int_equal(*end, '"');
	return (size_t)(end + 1 - json);
}

/* The answer with the values masked; to be freed. */
static inline char *masked(const char *answer)
{
	struct buffer out = { 0 };

	while (*answer) {
		size_t len = masked_key(answer);

		if (len > 0) {
			buffer_append(&out, answer, len);
			buffer_append_string(&out, "\"...\"");
			answer += len + string_length(answer + len);
		} else {
			buffer_append_char(&out, *answer++);
		}
	}
	buffer_append_char(&out, '\0');
	assert_false(out.failed);
	return out.data;
}

/* A request and its whole answer, masked; both with ' in the place of ". */
struct exchange {
	const char *name, *request, *expected;
};

/* Whether the answer is the one expected; prints both where it is not. */
static inline bool answers(struct host *host, const struct exchange *row)
{
	CLEANUP_FREE char *got = masked(host_ask(host, "%s", row->request));
	CLEANUP_FREE char *expected = strdup(row->expected);

	assert_non_null(expected);
	for (char *p = expected; *p; p++)
		if (*p == '\'')
			*p = '"';
	if (strcmp(got, expected) == 0)
		return true;
	print_error("%s\n  request  %s\n  expected %s\n  got      %s\n", row->name, row->request, expected, got);
	return false;
}

/* All rows are tried before the test fails. */
static inline void check_exchanges(struct host *host, const struct exchange *rows, size_t n)
{
	size_t failed = 0;

	for (size_t i = 0; i < n; i++)
		failed += !answers(host, &rows[i]);
	assert_int_equal(failed, 0);
}

static inline bool answers_one(struct host *host, const char *request, const char *expected)
{
	return answers(host, &(struct exchange){ "one request", request, expected });
}

/* The template with a value in the place of each mark; to be freed. */
static inline char *filled(const char *template, char mark, const char *value)
{
	struct buffer out = { 0 };

	for (; *template; template++)
		if (*template == mark)
			buffer_append_string(&out, value);
		else
			buffer_append_char(&out, *template);
	buffer_append_char(&out, '\0');
	assert_false(out.failed);
	return out.data;
}

/* n times the unit; to be freed. */
static inline char *repeated(const char *unit, size_t n)
{
	struct buffer out = { 0 };

	while (n-- > 0)
		buffer_append_string(&out, unit);
	buffer_append_char(&out, '\0');
	assert_false(out.failed);
	return out.data;
}

#endif
