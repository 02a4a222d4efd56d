/* SPDX-License-Identifier: MIT */
/* An instance is opened with its options in the order in which its adapter declares
 * them, and knows its runtime from then on, so that the runtime can be presented
 * when the adapter cannot be asked. */
#include "config.h"

#include "core/instance.h"

#include <stdlib.h>
#include <string.h>

#include "core/call.h"
#include "core/cleanup.h"
#include "inline/json_reader.h"

static int option_value(const struct stamp_option *declared, const char *text, struct berth_option *value,
			struct failure *failure)
{
	struct json_slice number = { text, strlen(text), false };
	struct json_reader reader;

	*value = (struct berth_option){ .text = berth_text(text) };
	switch (declared->type) {
	case OPTION_COUNT:
		if (json_number_is_u64(&number, &value->number))
			return 0;
		break;
	case OPTION_FLAG:
		value->number = strcmp(text, "true") == 0;
		if (value->number || strcmp(text, "false") == 0)
			return 0;
		break;
	case OPTION_JSON:
		json_open(&reader, text, strlen(text));
		if (!*text || (json_skip(&reader) && json_close(&reader)))
			return 0;
		break;
	default:
		return 0;
	}
	return failure_set(failure, FAILURE_OPTION_INVALID, option_type_name(declared->type), "option %s: \"%.60s\"",
			   declared->name, declared->type == OPTION_SECRET ? "..." : text);
}

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

	request.open = *open;
	result = call_run(&call);
	/* What opened but broke the contract must be closed again. */
	instance->opened = call.returned == 0 || call.returned == 1;
	call_fini(&call);
	buffer_fini(&scratch);
	instance->runtime.base.diagnostics = NULL;
	instance->runtime.base.n_diagnostics = 0;
	if (result == CALL_DONE && !instance->kept)
		return failure_set(failure, FAILURE_NO_MEMORY, "memory", "none");
	if (result == CALL_DONE)
		return 0;
	return failure_set(failure, FAILURE_OPEN_FAILED, "the adapter to open", "%s", call.failure.text);
}

static void instance_closep(struct instance **instancep)
{
	instance_close(*instancep);
}

int instance_open(struct adapter *adapter, const char *name, const struct workspace *workspace,
		  struct instance **instancep, struct failure *failure)
{
	CLEANUP(instance_closep) struct instance *instance = calloc(1, sizeof *instance);
	struct berth_option options[STAMP_OPTIONS_MAX];
	struct berth_open_request open = {
		.size = sizeof open,
		.workspace_id = workspace->id,
		.workspace_root = workspace->root,
		.data_dir = workspace->data_dir,
		.options = options,
		.n_options = adapter->stamp.n_options,
	};
	int rc;

	if (!instance || pthread_mutex_init(&instance->own_lock, NULL) != 0)
		return failure_set(failure, FAILURE_NO_MEMORY, "memory", "none");
	instance->name = strdup(name);
	if (!instance->name)
		return failure_set(failure, FAILURE_NO_MEMORY, "memory", "none");
	services_init(&instance->services, instance->name);
	for (size_t i = 0; i < open.n_options; i++) {
		const struct stamp_option *declared = &adapter->stamp.options[i];

		rc = option_value(declared, declared->fallback, &options[i], failure);
		if (rc < 0)
			return rc;
	}
	instance->adapter = adapter;
	rc = open_state(instance, &open, failure);
	if (rc < 0)
		return rc;
	if (adapter->stamp.threading == BERTH_THREADS_INSTANCE)
		instance->lock = &instance->own_lock;
	else if (adapter->stamp.threading != BERTH_THREADS_ANY)
		instance->lock = &adapter->lock;
	*instancep = STEAL(instance);
	return 0;
}

void instance_close(struct instance *instance)
{
	if (!instance)
		return;
	if (instance->opened && instance->adapter->ops.close)
		instance->adapter->ops.close(instance->state);
	diagnostics_fini(&instance->diagnostics);
	pthread_mutex_destroy(&instance->own_lock);
	free(instance->kept);
	free(instance->name);
	free(instance);
}
