/* SPDX-License-Identifier: MIT */
/* Beside open it has list_workers alone; all else is left to the registry. */
#include <berth/adapter.h>

static int only_open(void **instance, struct berth_call *call, const struct berth_open_request *request)
{
	static const struct berth_runtime runtime = {
		.size = sizeof runtime,
		.runtime_id = BERTH_TEXT("only-list"),
		.label = BERTH_TEXT("Only a list"),
		.kind = BERTH_TEXT("released"),
		.status = BERTH_TEXT("available"),
		.source_kind = BERTH_TEXT("released_only_list"),
		.source_status = BERTH_TEXT("reserved"),
		.source_note = BERTH_TEXT("a list of workers and nothing else"),
		.can = BERTH_CAN_LIST_WORKERS | BERTH_CAN_GET_WORKER,
	};

	(void)request;
	*instance = NULL;
	return call->sink->runtime(call, &runtime);
}

#define WORKER(id)                                               \
	{                                                        \
		.size = sizeof(struct berth_worker),             \
		.worker_id = BERTH_TEXT(id),                     \
		.host_id = BERTH_TEXT("only-host"),              \
		.label = BERTH_TEXT(id),                         \
		.workspace_visibility = BERTH_TEXT("none"),      \
		.workspace_identity = BERTH_TEXT("none"),        \
		.state = BERTH_TEXT("running"),                  \
		.status = BERTH_TEXT("running"),                 \
		.implementation_kind = BERTH_TEXT("released"),   \
		.implementation_hint = BERTH_TEXT("only a list"), \
	}

static int only_list_workers(void *instance, struct berth_call *call, const struct berth_list_request *request)
{
	static const struct berth_worker workers[] = { WORKER("first"), WORKER("second"), WORKER("third") };
	int enough = request->limit == 0;

	(void)instance;
	for (size_t i = 0; i < sizeof workers / sizeof *workers && !enough; i++)
		enough = call->sink->worker(call, &workers[i]);
	return 0;
}

static const struct berth_adapter only_list = {
	.size = sizeof only_list,
	.open = only_open,
	.list_workers = only_list_workers,
};

BERTH_ADAPTER(only_list, "only-list", "1.0", BERTH_THREADS_ANY, BERTH_NO_OPTIONS, &only_list);
