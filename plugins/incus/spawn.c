/* SPDX-License-Identifier: MIT */
/*
 * The container carries in user.berth.step how far it is: making, until all is done. One that
 * is not made is in no list. Every step may be repeated: the name is that of the request, the
 * files are the same, and one that runs is started.
 */
#include "config.h"

#include "spawn.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "supervisor.h"

enum {
	READY_PAUSE_MS = 30,
	JOIN_PAUSE_MS = 200,
	JOIN_QUIET = 15, /* pauses without a change, after which nobody else is at it */
};

/* ---- What is sent ---- */

static bool add_text(cJSON *object, const char *key, const char *text)
{
	return !text || cJSON_AddStringToObject(object, key, text);
}

/* "default,gpu" */
static void join_profiles(const struct role *role, char *text, size_t size)
{
	const cJSON *profile;
	size_t len = 0;

	snprintf(text, size, role->profiles ? "" : "default");
	cJSON_ArrayForEach(profile, role->profiles) {
		if (len < size)
			len += (size_t)snprintf(text + len, size - len, "%s%s", len ? "," : "", profile->valuestring);
	}
}

static cJSON *make_config(const struct spawn *spawn)
{
	cJSON *config = cJSON_CreateObject();
	char processes[32], profiles[128];

	snprintf(processes, sizeof processes, "%.0f", spawn->role->processes);
	join_profiles(spawn->role, profiles, sizeof profiles);
	if (config && add_text(config, "user.berth.workspace", spawn->mark) && add_text(config, "user.berth.step", "making") &&
	    add_text(config, "user.berth.role", spawn->role_name) && add_text(config, "user.berth.profile", profiles) &&
	    add_text(config, "user.berth.ticket", spawn->ticket) && add_text(config, "user.berth.name", spawn->label) &&
	    add_text(config, "limits.memory", spawn->role->memory) && add_text(config, "limits.cpu", spawn->role->cpu) &&
	    add_text(config, "limits.processes", spawn->role->processes > 0 ? processes : NULL))
		return config;
	cJSON_Delete(config);
	return NULL;
}

/* Twelve digits of a fingerprint at the least; all else is an alias. */
static bool is_fingerprint(const char *image)
{
	size_t len = strlen(image);

	return len >= 12 && len <= 64 && strspn(image, "0123456789abcdef") == len;
}

static cJSON *make_container(const struct spawn *spawn, const char *name)
{
	cJSON *body = cJSON_CreateObject(), *config = make_config(spawn), *source, *profiles;
	const char *image = spawn->role->image;

	if (!body || !config || !cJSON_AddItemToObject(body, "config", config)) {
		cJSON_Delete(config);
		cJSON_Delete(body);
		return NULL;
	}
	source = cJSON_AddObjectToObject(body, "source");
	profiles = spawn->role->profiles ? cJSON_Duplicate(spawn->role->profiles, true) : NULL;
	if (source && add_text(source, "type", "image") && add_text(source, is_fingerprint(image) ? "fingerprint" : "alias", image) &&
	    add_text(body, "name", name) && add_text(body, "type", "container") && !spawn->role->profiles == !profiles &&
	    (!profiles || cJSON_AddItemToObject(body, "profiles", profiles)))
		return body;
	cJSON_Delete(body);
	return NULL;
}

/* A word of the shell, whatever is in it. Returns its end; room for 4 bytes a byte and 2 more is needed. */
static char *write_quoted(char *to, const char *text)
{
	*to++ = '\'';
	for (; *text; text++)
		to += *text == '\'' ? sprintf(to, "'\\''") : sprintf(to, "%c", *text);
	*to++ = '\'';
	return to;
}

static char *make_command(const struct spawn *spawn)
{
	const struct {
		const char *name, *value;
	} variables[] = {
		{ "BERTH_ROLE", spawn->role_name },
		{ "BERTH_TICKET", spawn->ticket ? spawn->ticket : "" },
		{ "BERTH_WORKER", spawn->key },
	};
	size_t room = 1024;
	const cJSON *word;
	char *text, *end;

	for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
		room += strlen(variables[i].value) * 4;
	cJSON_ArrayForEach(word, spawn->role->command)
		room += strlen(word->valuestring) * 4 + 3;
	text = malloc(room);
	if (!text)
		return NULL;
	end = text + sprintf(text, "#!/bin/sh\n");
	for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
		end += sprintf(end, "export %s=", variables[i].name);
		end = write_quoted(end, variables[i].value);
		*end++ = '\n';
	}
	end += sprintf(end, "exec");
	cJSON_ArrayForEach(word, spawn->role->command) {
		*end++ = ' ';
		end = write_quoted(end, word->valuestring);
	}
	strcpy(end, "\n");
	return text;
}

/* ---- The steps ---- */

static int create(const struct cluster_call *call, const struct spawn *spawn, const char *name)
{
	cJSON *body = make_container(spawn, name);
	char *target = spawn->role->target ? client_escape(spawn->role->target) : NULL, *path = NULL;
	int rc = -ENOMEM;

	if (body && !spawn->role->target == !target &&
	    asprintf(&path, "/1.0/instances%s%s", target ? "?target=" : "", target ? target : "") >= 0) {
		rc = cluster_change(call, "POST", path, body);
		free(path);
	}
	free(target);
	cJSON_Delete(body);
	return rc;
}

/* The supervisor as an init takes no variables, so what differs is in its text. */
static char *make_supervisor(const struct spawn *spawn)
{
	static const char line[] = "\nBERTH_INPUT=json\n";
	const char *newline = strchr(supervisor_text, '\n');
	char *text;

	if (asprintf(&text, "%.*s%s%s", (int)(newline - supervisor_text), supervisor_text, spawn->role->takes_json ? line : "\n",
		     newline + 1) < 0)
		return NULL;
	return text;
}

static int install(const struct cluster_call *call, const struct spawn *spawn, const char *name)
{
	const char *path = spawn->role->supervisor ? spawn->role->supervisor : "/sbin/init";
	char *supervisor = make_supervisor(spawn), *command = make_command(spawn);
	int rc = supervisor && command ? 0 : -ENOMEM;

	if (rc == 0)
		rc = cluster_write_file(call, name, CLUSTER_HOME, "directory", 0700, berth_text(""));
	/* Two that make it at once may both look before. */
	if (rc == 0 || rc == -EEXIST)
		rc = cluster_write_file(call, name, CLUSTER_HOME "/command", "file", 0700, berth_text(command));
	if (rc == 0)
		rc = cluster_write_file(call, name, path, "file", 0755, berth_text(supervisor));
	free(supervisor);
	free(command);
	return rc;
}

static int start(const struct cluster_call *call, const char *name)
{
	int rc = cluster_set_state(call, name, "start", false, 0);

	return rc == -EALREADY ? 0 : rc;
}

static const char *text_in(const cJSON *object, const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));

	return text ? text : "";
}

/* Until the supervisor takes input. -ENOEXEC: it has ended instead, or does not in time. */
static int await_ready(const struct cluster_call *call, const char *name, uint64_t end_ns)
{
	const struct timespec pause = { 0, READY_PAUSE_MS * 1000000L };
	const struct berth_services *services = call->call->services;
	char *path = cluster_path(name, "/state");
	int rc = path ? -ENOENT : -ENOMEM;

	for (unsigned i = 1; rc == -ENOENT; i++) {
		struct client_reply reply = { 0 };
		cJSON *state = NULL;

		rc = cluster_read_file(call, name, CLUSTER_HOME "/ready", 0, 0, &reply);
		client_reply_fini(&reply);
		if (rc != -ENOENT)
			break;
		/* Now and then: whether there is anything to wait for. */
		if (i % 8 == 0 && cluster_read(call, path, &state) == 0 && strcmp(text_in(state, "status"), "Stopped") == 0)
			rc = -ENOEXEC;
		cJSON_Delete(state);
		if (services->monotonic_ns(services) >= end_ns)
			rc = -ENOEXEC;
		if (rc == -ENOENT)
			nanosleep(&pause, NULL);
	}
	free(path);
	return rc;
}

static int finish(const struct cluster_call *call, const char *name)
{
	cJSON *body = cJSON_CreateObject(), *config = body ? cJSON_AddObjectToObject(body, "config") : NULL;
	char *path = cluster_path(name, "");
	int rc = -ENOMEM;

	if (config && path && add_text(config, "user.berth.step", "made"))
		rc = cluster_change(call, "PATCH", path, body);
	free(path);
	cJSON_Delete(body);
	return rc;
}

static int remove_container(const struct cluster_call *call, const char *name)
{
	char *path = cluster_path(name, "");
	int rc = path ? cluster_change(call, "DELETE", path, NULL) : -ENOMEM;

	free(path);
	return rc;
}

/* 1: it is made; 0: it is there, not yet made. */
static int look(const struct cluster_call *call, const struct spawn *spawn, const char *name, bool *runsp)
{
	char *path = cluster_path(name, "");
	cJSON *json = NULL;
	const cJSON *config;
	int rc = path ? cluster_read(call, path, &json) : -ENOMEM;

	free(path);
	if (rc < 0)
		return rc;
	config = cJSON_GetObjectItemCaseSensitive(json, "config");
	if (strcmp(text_in(config, "user.berth.workspace"), spawn->mark) != 0)
		rc = -EHOSTUNREACH; /* its member is down */
	else
		rc = strcmp(text_in(config, "user.berth.step"), "made") == 0;
	*runsp = strcmp(text_in(json, "status"), "Running") == 0;
	cJSON_Delete(json);
	return rc;
}

/* Removes what was begun, whoever still waits; not what another has brought to its end meanwhile. */
static void undo(const struct cluster_call *call, const struct spawn *spawn, const char *name)
{
	struct cluster_call last = *call;
	bool runs;

	last.persistent = true;
	if (look(&last, spawn, name, &runs) != 0)
		return;
	cluster_set_state(&last, name, "stop", true, 0);
	remove_container(&last, name);
}

void spawn_sweep(const struct cluster_call *call, const char *container, bool runs)
{
	call->call->services->log(call->call->services, BERTH_LOG_INFO, "%s was never brought to its end and is removed", container);
	if (runs)
		cluster_set_state(call, container, "stop", true, 0);
	remove_container(call, container);
}

/* From the installation on; a container that runs has it. */
static int finish_steps(const struct cluster_call *call, const struct spawn *spawn, const char *name, bool runs, unsigned *stepsp)
{
	const struct berth_services *services = call->call->services;
	uint64_t end_ns = services->monotonic_ns(services) + spawn->timeout_ms * UINT64_C(1000000);
	int rc = runs ? 0 : install(call, spawn, name);

	if (rc == 0) {
		*stepsp |= 1U << SPAWN_INSTALLED;
		rc = start(call, name);
	}
	if (rc == 0) {
		*stepsp |= 1U << SPAWN_STARTED;
		rc = await_ready(call, name, end_ns);
	}
	if (rc == 0) {
		*stepsp |= 1U << SPAWN_READY;
		rc = finish(call, name);
	}
	return rc;
}

/* Whether the cluster is at work on the container. */
static bool is_busy(const struct cluster_call *call, const char *name)
{
	cJSON *operations = NULL;
	const cJSON *operation, *path;
	bool busy = false;

	if (cluster_read(call, "/1.0/operations?recursion=1", &operations) < 0)
		return true;
	cJSON_ArrayForEach(operation, cJSON_GetObjectItemCaseSensitive(operations, "running")) {
		const cJSON *resources = cJSON_GetObjectItemCaseSensitive(operation, "resources");

		cJSON_ArrayForEach(path, cJSON_GetObjectItemCaseSensitive(resources, "instances")) {
			if (cJSON_IsString(path) && strstr(path->valuestring, name))
				busy = true;
		}
	}
	cJSON_Delete(operations);
	return busy;
}

/* Goes on with what somebody else has begun, who may be at it or be dead: only once nothing changes any
 * more. What is put into a container that is being made is overwritten, and a supervisor that
 * is put there while it starts would be read in halves. */
static int join(const struct cluster_call *call, const struct spawn *spawn, const char *name, unsigned *stepsp)
{
	const struct timespec pause = { 0, JOIN_PAUSE_MS * 1000000L };
	const struct berth_services *services = call->call->services;
	uint64_t end_ns = services->monotonic_ns(services) + spawn->timeout_ms * UINT64_C(1000000);
	bool ran = false, runs = false;

	for (unsigned n_quiet = 0;; n_quiet++) {
		int rc = is_busy(call, name) ? -EBUSY : look(call, spawn, name, &runs);

		*stepsp = rc == 1 ? (1U << N_SPAWN_STEPS) - 1 : 1U << SPAWN_CREATED;
		if (rc == -EBUSY || runs != ran)
			n_quiet = 0;
		ran = runs;
		if (rc == 0)
			rc = n_quiet < JOIN_QUIET ? -EBUSY : finish_steps(call, spawn, name, runs, stepsp);
		if (rc != -EBUSY)
			return rc < 0 ? rc : 0;
		if (services->monotonic_ns(services) >= end_ns)
			return -ETIMEDOUT;
		if (call->call->sink->cancelled(call->call))
			return -ECANCELED;
		nanosleep(&pause, NULL);
	}
}

/* Whether it is not known what has become of a request. */
static bool is_lost(int rc)
{
	return rc == -ECONNREFUSED || rc == -ETIMEDOUT || rc == -ECANCELED || rc == -EPROTO;
}

int spawn_carry_out(const struct cluster_call *call, const struct spawn *spawn, unsigned *stepsp)
{
	char name[NAMES_CONTAINER_LEN + 1];
	bool runs;
	int rc;

	names_container(spawn->workspace, spawn->key, name);
	*stepsp = 0;
	rc = create(call, spawn, name);
	if (rc == -EEXIST || rc == -EBUSY)
		return join(call, spawn, name, stepsp);
	/* What is there already may be refused for another reason first, such as a limit that it has reached. */
	if (rc < 0 && !is_lost(rc) && look(call, spawn, name, &runs) >= 0)
		return join(call, spawn, name, stepsp);
	if (rc == 0) {
		*stepsp |= 1U << SPAWN_CREATED;
		rc = finish_steps(call, spawn, name, false, stepsp);
		if (rc == -EBUSY)
			rc = join(call, spawn, name, stepsp);
	}
	if (rc < 0)
		undo(call, spawn, name);
	return rc;
}
