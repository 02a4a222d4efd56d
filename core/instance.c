/* SPDX-License-Identifier: MIT */
/* An instance is opened with its options in the order in which its adapter declares
 * them, and knows its runtime from then on, so that the runtime can be presented
 * when the adapter cannot be asked. */
#include "config.h"

#include "core/instance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/call.h"
#include "core/cleanup.h"
#include "core/isolation.h"
#include "core/settings.h"
#include "inline/json_reader.h"

/* ---- Options ---- */

/* The values of the options, in the order of their declaration. */
struct options {
	struct berth_option values[STAMP_OPTIONS_MAX];
	char *texts[STAMP_OPTIONS_MAX];
};

static void options_fini(struct options *options)
{
	for (size_t i = 0; i < STAMP_OPTIONS_MAX; i++)
		free(options->texts[i]);
}

/* What a type wants. */
static const char *const wanted[N_OPTION_TYPES] = {
	[OPTION_TEXT] = "a string",
	[OPTION_COUNT] = "a whole number, as a string from 2^53 on",
	[OPTION_FLAG] = "true or false",
	[OPTION_PATH] = "a string, a path",
	[OPTION_SECRET] = "a string",
	[OPTION_JSON] = "JSON",
};

/* A value as text, the form in which defaults are declared; NULL where it is of a
 * type that cannot be meant. */
static char *value_text(enum option_type type, const cJSON *value)
{
	/* 2^53 may have been 2^53 + 1. */
	const double exact = 9007199254740991.0;

	if (type == OPTION_JSON)
		return cJSON_PrintUnformatted(value);
	if (type == OPTION_FLAG)
		return cJSON_IsBool(value) ? strdup(cJSON_IsTrue(value) ? "true" : "false") : NULL;
	if (type == OPTION_COUNT && cJSON_IsNumber(value)) {
		char *text = NULL;

		if (value->valuedouble >= 0 && value->valuedouble <= exact &&
		    asprintf(&text, "%.17g", value->valuedouble) < 0)
			return NULL;
		return text;
	}
	return cJSON_IsString(value) ? strdup(value->valuestring) : NULL;
}

/* Fills in the number that a text means; false where it means none. */
static bool read_number(enum option_type type, const char *text, struct berth_option *value)
{
	struct json_slice number = { text, strlen(text), false };
	struct json_reader reader;

	*value = (struct berth_option){ .text = berth_text(text) };
	switch (type) {
	case OPTION_COUNT:
		return json_number_is_u64(&number, &value->number);
	case OPTION_FLAG:
		value->number = strcmp(text, "true") == 0;
		return value->number || strcmp(text, "false") == 0;
	case OPTION_JSON:
		json_open(&reader, text, strlen(text));
		return !*text || (json_skip(&reader) && json_close(&reader));
	default:
		return true;
	}
}

/* prefix: of the keys under which options are set, such as "options.". */
static int read_option(const struct stamp_option *declared, const char *prefix, const cJSON *settings, char **textp,
		       struct berth_option *value, struct failure *failure)
{
	CLEANUP_FREE char *key = NULL;
	const cJSON *given;

	if (asprintf(&key, "%s%s", prefix, declared->name) < 0) {
		key = NULL;
		return failure_set(failure, FAILURE_NO_MEMORY, "memory", "none");
	}
	given = settings_value(settings, key);
	if (given)
		*textp = value_text(declared->type, given);
	if ((!given || *textp) && read_number(declared->type, given ? *textp : declared->fallback, value))
		return 0;
	/* The value may be a secret, so it is not repeated. */
	return failure_set(failure, FAILURE_OPTION_INVALID, wanted[declared->type], "%s: option %s is something else",
			   given ? settings_origin(settings, key) : "the adapter's default", declared->name);
}

static const struct stamp_option *find_option(const struct stamp *stamp, const char *name)
{
	for (size_t i = 0; i < stamp->n_options; i++)
		if (strcmp(stamp->options[i].name, name) == 0)
			return &stamp->options[i];
	return NULL;
}

/* An option that is set and not declared. */
static int refuse_unknown(const struct stamp *stamp, const char *prefix, const cJSON *settings, struct failure *failure)
{
	const char *names[STAMP_OPTIONS_MAX], *name, *nearest;
	const cJSON *setting;

	for (size_t i = 0; i < stamp->n_options; i++)
		names[i] = stamp->options[i].name;
	cJSON_ArrayForEach(setting, settings) {
		if (strncmp(setting->string, prefix, strlen(prefix)) != 0)
			continue;
		name = setting->string + strlen(prefix);
		if (find_option(stamp, name))
			continue;
		nearest = nearest_name(name, names, stamp->n_options);
		return failure_set(failure, FAILURE_OPTION_INVALID,
				   nearest	    ? nearest :
				   stamp->n_options ? "an option that the adapter declares" :
						      "no options: the adapter declares none",
				   "%s: unknown option \"%.60s\"%s%s%s", settings_origin(settings, setting->string), name,
				   nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
	}
	return 0;
}

static int read_options(const struct stamp *stamp, const char *prefix, const cJSON *settings, struct options *options,
			struct failure *failure)
{
	int rc = refuse_unknown(stamp, prefix, settings, failure);

	for (size_t i = 0; i < stamp->n_options && rc == 0; i++)
		rc = read_option(&stamp->options[i], prefix, settings, &options->texts[i], &options->values[i], failure);
	return rc;
}

/* ---- Opening ---- */

static int open_state(struct instance *instance, const struct berth_open_request *open, struct failure *failure)
{
	union request_block request = { .room = { 0 } };
	struct buffer scratch = { 0 };
	struct call call = {
		.instance = instance,
		.operation = OPERATION_OPEN,
		.request = &request,
		.out = &scratch,
		.diagnostics = &instance->diagnostics,
		.runtime_shape = &wire_runtime_shape,
	};
	enum call_result result;
	struct error reason;

	request.open = *open;
	result = call_run(&call, &reason);
	/* What opened but broke the contract must be closed again. */
	instance->opened = call.returned == 0 || call.returned == 1;
	call_fini(&call);
	buffer_fini(&scratch);
	instance->runtime.base.diagnostics = NULL;
	instance->runtime.base.n_diagnostics = 0;
	if (result == CALL_DONE && !instance->kept)
		return failure_set(failure, FAILURE_NO_MEMORY, "memory", "none");
	if (result == CALL_DONE) {
		instance->trouble = reason;
		return 0;
	}
	return failure_set(failure, FAILURE_OPEN_FAILED, "the adapter to open", "%s", reason.text);
}

static bool is_process(const struct adapter *adapter)
{
	return strcmp(adapter->stamp.id, ISOLATION_ADAPTER) == 0;
}

/* Puts what a drop-in cannot say into an option. */
static void put_option(struct options *options, const struct stamp *stamp, const char *name, struct berth_text text)
{
	for (size_t i = 0; i < stamp->n_options; i++)
		if (strcmp(stamp->options[i].name, name) == 0)
			options->values[i].text = text;
}

static void put_standing(struct instance *instance, struct options *options, const struct stamp *stamp)
{
	put_option(options, stamp, STANDING_OPTION,
		   (struct berth_text){ (const char *)&instance->standing, sizeof instance->standing });
}

/* An isolated instance is opened through the adapter that runs it elsewhere, by the options
 * under the key isolation, of which one holds all that the instance itself is given. */
static int open_isolated(struct instance *instance, const cJSON *settings, const struct berth_open_request *open,
			 struct failure *failure)
{
	const struct stamp *host = &instance->adapter->host->stamp;
	CLEANUP(options_fini) struct options options = { .texts = { NULL } };
	struct berth_open_request outer = *open;
	CLEANUP(buffer_fini) struct buffer inner = { 0 };
	int rc = read_options(host, "isolation.", settings, &options, failure);

	if (rc == 0)
		rc = isolation_wrap(instance, open, &inner, failure);
	if (rc < 0)
		return rc;
	put_option(&options, host, ISOLATION_OPTION, (struct berth_text){ inner.data, inner.len });
	put_standing(instance, &options, host);
	outer.options = options.values;
	outer.n_options = host->n_options;
	return open_state(instance, &outer, failure);
}

static void instance_closep(struct instance **instancep)
{
	instance_close(*instancep);
}

int instance_open(struct adapter *adapter, const char *name, const cJSON *settings, const struct workspace *workspace,
		  struct instance **instancep, struct failure *failure)
{
	CLEANUP(instance_closep) struct instance *instance = calloc(1, sizeof *instance);
	CLEANUP(options_fini) struct options options = { .texts = { NULL } };
	struct berth_open_request open = {
		.size = sizeof open,
		.workspace_id = workspace->id,
		.workspace_root = workspace->root,
		.data_dir = workspace->data_dir,
		.runtime_id = berth_text(settings_string(settings, "runtime_id")),
		.options = options.values,
		.n_options = adapter->stamp.n_options,
	};
	int rc;

	if (!instance)
		return failure_set(failure, FAILURE_NO_MEMORY, "memory", "none");
	instance->n_refs = 1;
	pthread_mutex_init(&instance->own_lock, NULL);
	pthread_mutex_init(&instance->standing.lock, NULL);
	instance->name = strdup(name);
	if (!instance->name)
		return failure_set(failure, FAILURE_NO_MEMORY, "memory", "none");
	services_init(&instance->services, instance->name);
	instance->adapter = adapter;
	/* An isolated one has a lane for each call that its threading allows. */
	if (!adapter->host && adapter->stamp.threading == BERTH_THREADS_INSTANCE)
		instance->lock = &instance->own_lock;
	else if (!adapter->host && adapter->stamp.threading != BERTH_THREADS_ANY)
		instance->lock = &adapter->lock;
	rc = read_options(&adapter->stamp, "options.", settings, &options, failure);
	if (rc == 0 && is_process(adapter))
		put_standing(instance, &options, &adapter->stamp);
	if (rc == 0)
		rc = adapter->host ? open_isolated(instance, settings, &open, failure) :
				     open_state(instance, &open, failure);
	if (rc < 0)
		return rc;
	instance->is_apart = adapter->host || is_process(adapter);
	*instancep = STEAL(instance);
	return 0;
}

bool instance_in_quarantine(struct instance *instance, struct quarantine *quarantine)
{
	pthread_mutex_lock(&instance->standing.lock);
	*quarantine = instance->standing.quarantine;
	pthread_mutex_unlock(&instance->standing.lock);
	return quarantine->since_ns > 0;
}

bool instance_retry(struct instance *instance)
{
	bool retry;

	pthread_mutex_lock(&instance->standing.lock);
	retry = instance->standing.quarantine.since_ns > 0;
	instance->standing.retry = retry;
	pthread_mutex_unlock(&instance->standing.lock);
	return retry;
}

struct instance *instance_ref(struct instance *instance)
{
	instance->n_refs++;
	return instance;
}

void instance_close(struct instance *instance)
{
	if (!instance || --instance->n_refs > 0)
		return;
	if (instance->opened && instance->adapter->ops.close) {
		/* Other instances of the adapter may be at work. */
		if (instance->lock)
			pthread_mutex_lock(instance->lock);
		instance->adapter->ops.close(instance->state);
		if (instance->lock)
			pthread_mutex_unlock(instance->lock);
	}
	diagnostics_fini(&instance->diagnostics);
	pthread_mutex_destroy(&instance->own_lock);
	pthread_mutex_destroy(&instance->standing.lock);
	free(instance->kept);
	free(instance->name);
	free(instance);
}
