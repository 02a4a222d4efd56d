// SPDX-License-Identifier: MIT
// An adapter in C++ whose operations throw: close always, send_input what its content
// names, alloc, exception or int.
#include <berth/adapter.h>

namespace {

struct Parted : std::exception {
	const char *what() const noexcept override
	{
		return "the hawser parted";
	}
};

int is(struct berth_text text, const char *word)
{
	return text.len == strlen(word) && memcmp(text.ptr, word, text.len) == 0;
}

int contained_open(void **instance, struct berth_call *call, const struct berth_open_request *)
{
	struct berth_runtime runtime = berth_runtime();

	runtime.size = sizeof runtime;
	runtime.runtime_id = berth_text("contained");
	runtime.label = berth_text("Contained");
	runtime.kind = berth_text("released");
	runtime.status = berth_text("available");
	runtime.source_kind = berth_text("released_contained");
	runtime.source_status = berth_text("active");
	runtime.source_note = berth_text("exceptions that stay inside");
	runtime.can = BERTH_CAN_LIST_WORKERS | BERTH_CAN_GET_WORKER | BERTH_CAN_ACCEPT_INPUT;
	*instance = nullptr;
	return call->sink->runtime(call, &runtime);
}

void contained_close(void *)
{
	throw Parted();
}

int contained_list_workers(void *, struct berth_call *call, const struct berth_list_request *request)
{
	struct berth_worker worker = berth_worker();

	if (request->limit == 0)
		return 0;
	worker.size = sizeof worker;
	worker.worker_id = berth_text("tug");
	worker.host_id = berth_text("quay");
	worker.label = berth_text("Tug");
	worker.workspace_visibility = berth_text("none");
	worker.workspace_identity = berth_text("none");
	worker.state = berth_text("running");
	worker.status = berth_text("running");
	worker.implementation_kind = berth_text("released");
	worker.implementation_hint = berth_text("in C++");
	worker.can = BERTH_WORKER_CAN_ACCEPT_INPUT;
	return call->sink->worker(call, &worker);
}

int contained_send_input(void *, struct berth_call *call, const struct berth_input_request *request)
{
	struct berth_answer answer = berth_answer();

	if (!is(request->worker_id, "tug"))
		return -ENOENT;
	if (is(request->content, "alloc"))
		throw std::bad_alloc();
	if (is(request->content, "exception"))
		throw Parted();
	if (is(request->content, "int"))
		throw 5;
	answer.size = sizeof answer;
	answer.state = BERTH_ACCEPTED;
	answer.transcript_sequence = 1;
	answer.event_id = 2;
	return call->sink->answer(call, &answer);
}

const struct berth_adapter contained = {
	sizeof contained,
	BERTH_CONTAINED(contained_open),
	BERTH_CONTAINED(contained_close),
	nullptr,
	nullptr,
	BERTH_CONTAINED(contained_list_workers),
	nullptr,
	nullptr,
	nullptr,
	BERTH_CONTAINED(contained_send_input),
	nullptr,
	nullptr,
};

} // namespace

BERTH_ADAPTER(contained, "contained", "1.0", BERTH_THREADS_ONE, BERTH_NO_OPTIONS, &contained);
