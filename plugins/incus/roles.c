/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "roles.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct roles {
	cJSON *json;
};

static const char *const role_names[] = {
	"workspace_companion", "workspace_orchestrator", "intake", "orchestrator", "coder", "reviewer", "*",
};

enum type { TEXT, COUNT, TEXTS };

static const struct {
	const char *name;
	enum type type;
	bool required;
} keys[] = {
	{ "image", TEXT, true },	{ "command", TEXTS, true }, { "profiles", TEXTS, false },
	{ "target", TEXT, false },	{ "memory", TEXT, false },  { "cpu", TEXT, false },
	{ "processes", COUNT, false },	{ "supervisor", TEXT, false },	{ "input", TEXT, false },
};

static const char *const type_names[] = {
	[TEXT] = "a text", [COUNT] = "a whole number above 0", [TEXTS] = "a list of texts",
};

static bool is_texts(const cJSON *value)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, value) {
		if (!cJSON_IsString(item))
			return false;
	}
	return cJSON_IsArray(value);
}

static bool is_of(const cJSON *value, enum type type)
{
	switch (type) {
	case TEXT:
		return cJSON_IsString(value) && *value->valuestring;
	case COUNT:
		return cJSON_IsNumber(value) && value->valuedouble >= 1 && value->valuedouble <= 1e9 &&
		       value->valuedouble == (double)(long)value->valuedouble;
	default:
		return is_texts(value);
	}
}

static int check_key(const char *role, const cJSON *value, struct reason *reason)
{
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (strcmp(keys[i].name, value->string) == 0)
			return is_of(value, keys[i].type) ? 0 : reason_set(reason, -EINVAL, "option roles: %s.%s: %s is expected", role,
									   keys[i].name, type_names[keys[i].type]);
	return reason_set(reason, -EINVAL, "option roles: %s: there is no key %.80s", role, value->string);
}

static const char *text_in(const cJSON *json, const char *key)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, key));
}

static int check_role(const cJSON *json, struct reason *reason)
{
	const char *role = json->string, *input = text_in(json, "input"), *supervisor = text_in(json, "supervisor");
	const cJSON *value;
	int rc = 0;

	if (!cJSON_IsObject(json))
		return reason_set(reason, -EINVAL, "option roles: %s: an object is expected", role);
	cJSON_ArrayForEach(value, json) {
		if (rc == 0)
			rc = check_key(role, value, reason);
	}
	for (size_t i = 0; i < sizeof keys / sizeof *keys && rc == 0; i++)
		if (keys[i].required && !cJSON_HasObjectItem(json, keys[i].name))
			rc = reason_set(reason, -EINVAL, "option roles: %s: the key %s is missing", role, keys[i].name);
	if (rc < 0)
		return rc;
	if (cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(json, "command")) == 0)
		return reason_set(reason, -EINVAL, "option roles: %s.command: a program is expected, found nothing", role);
	if (input && strcmp(input, "text") != 0 && strcmp(input, "json") != 0)
		return reason_set(reason, -EINVAL, "option roles: %s.input: text or json is expected, found %.80s", role, input);
	if (supervisor && *supervisor != '/')
		return reason_set(reason, -EINVAL, "option roles: %s.supervisor: an absolute path is expected, found %.80s", role,
				  supervisor);
	return 0;
}

static bool is_role(const char *name)
{
	for (size_t i = 0; i < sizeof role_names / sizeof *role_names; i++)
		if (strcmp(role_names[i], name) == 0)
			return true;
	return false;
}

int roles_read(const char *text, struct roles **rolesp, struct reason *reason)
{
	struct roles *roles = calloc(1, sizeof *roles);
	const cJSON *json;
	int rc = 0;

	if (!roles)
		return reason_set(reason, -ENOMEM, "no memory");
	roles->json = cJSON_Parse(text);
	if (!cJSON_IsObject(roles->json))
		rc = reason_set(reason, -EINVAL, "option roles: an object is expected");
	cJSON_ArrayForEach(json, roles->json) {
		if (rc == 0)
			rc = is_role(json->string) ? check_role(json, reason) :
						     reason_set(reason, -EINVAL, "option roles: there is no role %.80s", json->string);
	}
	if (rc < 0) {
		roles_free(roles);
		return rc;
	}
	*rolesp = roles;
	return 0;
}

void roles_free(struct roles *roles)
{
	if (roles)
		cJSON_Delete(roles->json);
	free(roles);
}

bool roles_find(const struct roles *roles, const char *name, struct role *role)
{
	const cJSON *json = cJSON_GetObjectItemCaseSensitive(roles->json, name);
	const char *input;

	if (!json)
		json = cJSON_GetObjectItemCaseSensitive(roles->json, "*");
	if (!json)
		return false;
	input = text_in(json, "input");
	*role = (struct role){
		.image = text_in(json, "image"),
		.target = text_in(json, "target"),
		.memory = text_in(json, "memory"),
		.cpu = text_in(json, "cpu"),
		.supervisor = text_in(json, "supervisor"),
		.takes_json = input && strcmp(input, "json") == 0,
		.profiles = cJSON_GetObjectItemCaseSensitive(json, "profiles"),
		.command = cJSON_GetObjectItemCaseSensitive(json, "command"),
	};
	json = cJSON_GetObjectItemCaseSensitive(json, "processes");
	role->processes = json ? json->valuedouble : 0;
	return true;
}
