/* SPDX-License-Identifier: MIT */
/* Options come as text; here they become what a start needs. */
#include "config.h"

#include "wishes.h"

#include <stdio.h>
#include <stdlib.h>

#include "inline/json_reader.h"

enum { LIST_MAX = 1024 };

static void free_list(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

void wishes_fini(struct wishes *wishes)
{
	for (size_t i = 0; i < sizeof wishes->texts / sizeof *wishes->texts; i++)
		free(wishes->texts[i]);
	free_list(wishes->command);
	free_list(wishes->environment);
	free_list(wishes->readable);
	free_list(wishes->writable);
}

/* A string of a list as C has them; NULL where there is a NUL in it, or no memory. */
static char *read_string(struct json_reader *r)
{
	struct json_slice slice;
	char *string;
	size_t len;

	if (!json_read_string(r, &slice))
		return NULL;
	string = malloc(slice.len + 1);
	if (!string)
		return NULL;
	if (slice.escaped) {
		len = json_unescape(&slice, string);
	} else {
		memcpy(string, slice.ptr, slice.len);
		len = slice.len;
	}
	string[len] = '\0';
	if (strlen(string) == len)
		return string;
	free(string);
	return NULL;
}

/* Adds what read_one makes of each element or member; false where one is unfit. */
static bool read_list(struct json_reader *r, bool is_object, char **list)
{
	struct json_slice key;
	size_t n = 0;

	for (; is_object ? json_next_member(r, &key) : json_next_element(r); n++) {
		char *value = NULL, *entry = NULL;
		bool from_host = false;

		if (n == LIST_MAX)
			return false;
		if (is_object && json_peek(r) == JSON_BOOLEAN)
			from_host = json_read_boolean(r, &from_host) && from_host;
		else
			value = read_string(r);
		if (!is_object)
			entry = value;
		else if (from_host && !memchr(key.ptr, '=', key.len))
			entry = strndup(key.ptr, key.len);
		else if (value && asprintf(&entry, "%.*s=%s", (int)key.len, key.ptr, value) < 0)
			entry = NULL;
		if (is_object)
			free(value);
		if (!entry)
			return false;
		list[n] = entry;
	}
	return json_close(r);
}

/* A list of strings, or of variables; NULL in *listp where the option is not set. */
static int take_list(struct berth_call *call, const struct berth_option *option, const char *name, bool is_object,
		     char ***listp)
{
	struct json_reader r;
	char **list;

	if (option->text.len == 0)
		return 0;
	list = calloc(LIST_MAX + 1, sizeof *list);
	if (!list)
		return call->sink->fail(call, -ENOMEM, "no memory");
	*listp = list;
	json_open(&r, option->text.ptr, option->text.len);
	if ((is_object ? json_enter_object(&r) : json_enter_array(&r)) && read_list(&r, is_object, list))
		return 0;
	return call->sink->fail(call, -EINVAL, "option %s: %s is expected", name,
				is_object ? "an object of strings and true" : "a list of strings");
}

static int take_text(struct berth_call *call, const struct berth_option *option, char **textp)
{
	*textp = strndup(option->text.ptr, option->text.len);
	return *textp ? 0 : call->sink->fail(call, -ENOMEM, "no memory");
}

static bool is_identifier(struct berth_text text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strchr("-_:", c))
			return false;
	}
	return text.len <= BERTH_ID_MAX;
}

static int take_times(struct wishes *wishes, struct berth_call *call, const struct berth_option *options)
{
	const struct {
		enum wish wish;
		uint64_t *ns;
		bool may_be_0;
	} times[] = {
		{ WISH_START_TIMEOUT, &wishes->start_ns, false },
		{ WISH_CALL_TIMEOUT, &wishes->call_ns, false },
		{ WISH_STOP_TIMEOUT, &wishes->stop_ns, true },
		{ WISH_HANG_TIMEOUT, &wishes->hang_ns, true },
	};

	for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
		uint64_t ms = options[times[i].wish].number;

		if (ms > 86400000 || (ms == 0 && !times[i].may_be_0))
			return call->sink->fail(call, -EINVAL, "option *_timeout_ms: %llu: %d to 86400000 is expected",
						(unsigned long long)ms, !times[i].may_be_0);
		*times[i].ns = ms * 1000000;
	}
	wishes->deaths = options[WISH_DEATHS].number;
	return 0;
}

int wishes_read(struct wishes *wishes, struct berth_call *call, const struct berth_open_request *request)
{
	const struct berth_option *options = request->options;
	int rc = take_times(wishes, call, options);

	if (rc == 0)
		rc = take_list(call, &options[WISH_COMMAND], "command", false, &wishes->command);
	if (rc == 0)
		rc = take_list(call, &options[WISH_ENVIRONMENT], "environment", true, &wishes->environment);
	if (rc == 0)
		rc = take_list(call, &options[WISH_READABLE], "readable", false, &wishes->readable);
	if (rc == 0)
		rc = take_list(call, &options[WISH_WRITABLE], "writable", false, &wishes->writable);
	if (rc == 0)
		rc = take_text(call, &options[WISH_USER], &wishes->texts[0]);
	if (rc == 0)
		rc = take_text(call, &options[WISH_DIRECTORY], &wishes->texts[1]);
	if (rc < 0)
		return rc;
	if (options[WISH_ISOLATED].text.len > 0)
		wishes->isolated = options[WISH_ISOLATED].text;
	if (options[WISH_STANDING].text.len == sizeof *wishes->standing)
		wishes->standing = (struct standing *)(uintptr_t)options[WISH_STANDING].text.ptr;
	if (wishes->isolated.ptr ? wishes->command != NULL || options[WISH_RUNTIME].text.len > 0 :
				   !wishes->command || !wishes->command[0] || !*wishes->command[0])
		return call->sink->fail(call, -EINVAL, wishes->isolated.ptr ?
					"options command and runtime: none is expected of what is isolated" :
					"option command: a list of strings, the program first, is expected");
	if (!is_identifier(options[WISH_RUNTIME].text))
		return call->sink->fail(call, -EINVAL, "option runtime: an identifier is expected");
	snprintf(wishes->runtime, sizeof wishes->runtime, "%.*s", (int)options[WISH_RUNTIME].text.len,
		 options[WISH_RUNTIME].text.ptr);
	wishes->launch = (struct launch_wishes){
		.command = (const char *const *)wishes->command,
		.user = wishes->texts[0],
		.directory = wishes->texts[1],
		.environment = (const char *const *)wishes->environment,
		.memory = options[WISH_MEMORY].number,
		.cpu = options[WISH_CPU].number,
		.files = options[WISH_FILES].number,
		.readable = (const char *const *)wishes->readable,
		.writable = (const char *const *)wishes->writable,
		.confined = options[WISH_CONFINED].number,
		.plugin_fd = -1,
	};
	return 0;
}
