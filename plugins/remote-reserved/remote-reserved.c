/* SPDX-License-Identifier: MIT */
/* Holds the place of a remote runtime, so that callers can be written against it
 * before there is one. It connects to nothing. */
#include "config.h"

#include <berth/adapter.h>

static int remote_open(void **instance, struct berth_call *call, const struct berth_open_request *request)
{
	const struct berth_runtime runtime = {
		.size = sizeof runtime,
		.runtime_id = BERTH_TEXT("remote-worker-runtime"),
		.label = BERTH_TEXT("Remote Worker runtime"),
		.kind = BERTH_TEXT("remote_http"),
		.status = BERTH_TEXT("reserved"),
		.source_kind = BERTH_TEXT("remote_http"),
		.source_status = BERTH_TEXT("reserved"),
		.source_note = BERTH_TEXT("the place of a remote runtime; nothing is connected behind it"),
	};

	(void)request;
	*instance = NULL;
	return call->sink->runtime(call, &runtime);
}

static int remote_spawn_worker(void *instance, struct berth_call *call, const struct berth_spawn_request *request)
{
	static const struct berth_diagnostic unsupported = {
		.size = sizeof unsupported,
		.code = BERTH_TEXT("runtime_capability_unsupported"),
		.message = BERTH_TEXT("a placeholder stands here for a worker; it cannot be controlled"),
		.severity = BERTH_INFO,
	};
	static const struct berth_diagnostic spawn_unsupported = {
		.size = sizeof spawn_unsupported,
		.code = BERTH_TEXT("worker_spawn_unsupported"),
		.message = BERTH_TEXT("no remote runtime is connected that could launch a worker"),
		.severity = BERTH_INFO,
	};
	static const struct berth_worker placeholder = {
		.size = sizeof placeholder,
		.runtime_id = BERTH_TEXT("placeholder"),
		.worker_id = BERTH_TEXT("worker-placeholder"),
		.host_id = BERTH_TEXT("placeholder"),
		.label = BERTH_TEXT("Worker runtime actions are not implemented"),
		.workspace_visibility = BERTH_TEXT("none"),
		.workspace_identity = BERTH_TEXT("unsupported"),
		.state = BERTH_TEXT("unsupported"),
		.status = BERTH_TEXT("Worker runtime control is not wired yet"),
		.implementation_kind = BERTH_TEXT("placeholder"),
		.implementation_hint = BERTH_TEXT("unsupported"),
		.diagnostics = &unsupported,
		.n_diagnostics = 1,
	};
	const struct berth_answer answer = { .size = sizeof answer, .state = BERTH_UNSUPPORTED };

	(void)instance;
	(void)request;
	call->sink->answer(call, &answer);
	call->sink->worker(call, &placeholder);
	return call->sink->diagnostic(call, &spawn_unsupported);
}

static const struct berth_adapter remote_adapter = {
	.size = sizeof remote_adapter,
	.open = remote_open,
	.spawn_worker = remote_spawn_worker,
};

BERTH_ADAPTER(remote_reserved, "remote-reserved", PACKAGE_VERSION, BERTH_THREADS_ANY, BERTH_NO_OPTIONS, &remote_adapter);
