/* SPDX-License-Identifier: MIT */
/* The adapter of worker records on disk: presents the store, and nothing of where
 * it is. It only reads. The store is not locked, so an instance gets one call at a
 * time. */
#include "config.h"

#include <berth/adapter.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "inline/workspace_label.h"
#include "store.h"

/* In the order of their declaration. */
enum { OPTION_CHANGES };

struct local_pod {
	struct store *store; /* NULL: there is no data directory */
	char host_id[BERTH_ID_MAX];
	size_t host_id_len;
	char *label;
	size_t label_len;
};

/* ---- Diagnostics ---- */

#define DIAGNOSTIC(code, severity, message) \
	{ sizeof(struct berth_diagnostic), BERTH_TEXT(code), BERTH_TEXT(message), severity }

static const struct berth_diagnostic registry_unavailable = DIAGNOSTIC("local_pod_registry_unavailable", BERTH_WARNING,
	"no data directory is configured, so local workers cannot be found");
static const struct berth_diagnostic registry_unreadable = DIAGNOSTIC("local_pod_registry_unreadable", BERTH_WARNING,
	"the directory of local workers is missing or cannot be read");
static const struct berth_diagnostic actions_not_implemented = DIAGNOSTIC("worker_actions_not_implemented", BERTH_INFO,
	"this worker is shown from its record; it cannot be acted on from here yet");

static const struct berth_diagnostic outcome_diagnostics[N_RECORD_OUTCOMES] = {
	[RECORD_UNREADABLE] = DIAGNOSTIC("local_pod_metadata_unreadable", BERTH_WARNING,
		"a worker has no record that can be read as UTF-8 text of at most 8 MiB"),
	[RECORD_INVALID] = DIAGNOSTIC("local_pod_metadata_invalid", BERTH_WARNING,
		"the record of a worker is not the JSON object that it should be"),
	[RECORD_ROOT_MISSING] = DIAGNOSTIC("local_pod_workspace_root_missing", BERTH_WARNING,
		"the record of a worker does not say which workspace it belongs to"),
	[RECORD_OTHER_WORKSPACE] = DIAGNOSTIC("local_pod_workspace_not_visible", BERTH_INFO,
		"a worker belongs to another workspace and is not shown"),
};

/* ---- Workers ---- */

static int push_worker(const struct local_pod *pod, struct berth_call *call, const struct store_entry *entry)
{
	static const char *const statuses[] = {
		[ACTIVITY_NONE] = "metadata_only",
		[ACTIVITY_PENDING_SEGMENT] = "active:pending_segment",
		[ACTIVITY_SEGMENT] = "active:segment",
	};
	const struct berth_worker worker = {
		.size = sizeof worker,
		.worker_id = entry->worker_id,
		.host_id = { pod->host_id, pod->host_id_len },
		.label = entry->label,
		.role = entry->role,
		.profile = entry->profile,
		.workspace_visibility = BERTH_TEXT("current_workspace"),
		.workspace_identity = BERTH_TEXT("runtime_workspace"),
		.state = berth_text(entry->activity == ACTIVITY_NONE ? "metadata_only" : "active"),
		.status = berth_text(statuses[entry->activity]),
		.implementation_kind = BERTH_TEXT("local_pod"),
		.implementation_hint = entry->hint,
		.can = BERTH_WORKER_CAN_ACCEPT_INPUT,
		.diagnostics = &actions_not_implemented,
		.n_diagnostics = 1,
	};

	return call->sink->worker(call, &worker);
}

struct listing {
	const struct local_pod *pod;
	struct berth_call *call;
	unsigned n_diagnostics;
};

static int list_visit(void *data, const struct store_entry *entry)
{
	struct listing *listing = data;
	struct berth_call *call = listing->call;

	if (entry->outcome == RECORD_WORKER)
		return push_worker(listing->pod, call, entry);
	if (listing->n_diagnostics++ < BERTH_DIAGNOSTICS_MAX)
		call->sink->diagnostic(call, &outcome_diagnostics[entry->outcome]);
	/* A long row of broken records is the one place where nothing is pushed that
	 * would say that the caller has left. */
	return call->sink->cancelled(call);
}

static int local_pod_list_workers(void *instance, struct berth_call *call, const struct berth_list_request *request)
{
	struct local_pod *pod = instance;
	struct listing listing = { pod, call, 0 };
	int rc;

	if (!pod->store)
		return call->sink->diagnostic(call, &registry_unavailable);
	if (request->limit == 0)
		return 0;
	rc = store_each(pod->store, request->limit, list_visit, &listing);
	if (rc == -ENOMEM)
		return call->sink->fail(call, rc, "no memory for the records");
	return rc < 0 ? call->sink->diagnostic(call, &registry_unreadable) : 0;
}

static int local_pod_worker(void *instance, struct berth_call *call, const struct berth_worker_request *request)
{
	struct local_pod *pod = instance;
	struct store_entry entry;
	int rc;

	if (!pod->store)
		return -ENOENT;
	rc = store_find(pod->store, request->worker_id, &entry);
	if (rc == -ENOMEM)
		return call->sink->fail(call, rc, "no memory for the records");
	if (rc < 0 || entry.outcome != RECORD_WORKER)
		return -ENOENT;
	return push_worker(pod, call, &entry);
}

/* ---- Runtime and host ---- */

#define SHOWN(pod)                                                                                      \
	.can = (pod)->store ? BERTH_CAN_LIST_HOSTS | BERTH_CAN_LIST_WORKERS | BERTH_CAN_GET_WORKER :    \
			      BERTH_CAN_LIST_HOSTS,                                                     \
	.local_pod_inspection = berth_text((pod)->store ? "available" : "unavailable"),                 \
	.workspace_scope = BERTH_TEXT("current_workspace"),                                             \
	.diagnostics = &registry_unavailable, .n_diagnostics = (pod)->store ? 0 : 1

static int push_runtime(const struct local_pod *pod, struct berth_call *call, uint64_t limit)
{
	const struct berth_text host_id = { pod->host_id, pod->host_id_len };
	const struct berth_runtime runtime = {
		.size = sizeof runtime,
		.runtime_id = BERTH_TEXT("local-worker-runtime"),
		.label = BERTH_TEXT("Local Worker runtime"),
		.kind = BERTH_TEXT("local_pod"),
		.status = BERTH_TEXT("available"),
		.source_kind = BERTH_TEXT("local_compatibility"),
		.source_status = BERTH_TEXT("active"),
		.source_note = BERTH_TEXT("records of local workers, shown and not changed; they confer no authority"),
		.host_ids = &host_id,
		.n_host_ids = limit > 0 ? 1 : 0,
		SHOWN(pod),
	};

	return call->sink->runtime(call, &runtime);
}

static int local_pod_runtime(void *instance, struct berth_call *call, const struct berth_list_request *request)
{
	return push_runtime(instance, call, request->limit);
}

static int local_pod_list_hosts(void *instance, struct berth_call *call, const struct berth_list_request *request)
{
	const struct local_pod *pod = instance;
	const struct berth_host host = {
		.size = sizeof host,
		.host_id = { pod->host_id, pod->host_id_len },
		.label = { pod->label, pod->label_len },
		.kind = BERTH_TEXT("local-worker-host"),
		.status = berth_text(pod->store ? "available" : "degraded"),
		SHOWN(pod),
	};

	if (request->limit == 0)
		return 0;
	if (!pod->store)
		call->sink->diagnostic(call, &registry_unavailable);
	return call->sink->host(call, &host);
}

static void local_pod_close(void *instance)
{
	struct local_pod *pod = instance;

	store_free(pod->store);
	free(pod->label);
	free(pod);
}

/* The values of the option changes. */
static const char *const changes_names[] = {
	[CHANGES_AUTO] = "auto",
	[CHANGES_WATCHED] = "watch",
	[CHANGES_BY_STAT] = "stat",
	[CHANGES_UNKNOWN] = "none",
};

static bool read_changes(struct berth_text text, enum store_changes *changesp)
{
	for (size_t i = 0; i < sizeof changes_names / sizeof *changes_names; i++)
		if (strlen(changes_names[i]) == text.len && memcmp(changes_names[i], text.ptr, text.len) == 0) {
			*changesp = (enum store_changes)i;
			return true;
		}
	return false;
}

static int local_pod_open(void **instance, struct berth_call *call, const struct berth_open_request *request)
{
	const struct berth_text prefix = BERTH_TEXT("local-"), label = workspace_label(request->workspace_root);
	enum store_changes changes;
	struct local_pod *pod;
	int rc = 0;

	if (!read_changes(request->options[OPTION_CHANGES].text, &changes))
		return call->sink->fail(call, -EINVAL, "option changes: auto, watch, stat or none is wanted");
	pod = calloc(1, sizeof *pod);
	if (!pod)
		return call->sink->fail(call, -ENOMEM, "no memory for the instance");
	pod->label_len = label.len;
	pod->label = strndup(label.ptr, label.len);
	pod->host_id_len = call->services->generated_id(call->services, prefix, request->workspace_id, pod->host_id,
							sizeof pod->host_id).len;
	if (request->data_dir.ptr)
		rc = store_new(call->services, request->data_dir, request->workspace_root, changes,
			       &pod->store);
	if (rc < 0 || !pod->label || pod->host_id_len == 0) {
		local_pod_close(pod);
		return call->sink->fail(call, -ENOMEM, "no memory for the instance");
	}
	*instance = pod;
	return push_runtime(pod, call, 1);
}

static const struct berth_adapter local_pod_adapter = {
	.size = sizeof local_pod_adapter,
	.open = local_pod_open,
	.close = local_pod_close,
	.runtime = local_pod_runtime,
	.list_hosts = local_pod_list_hosts,
	.list_workers = local_pod_list_workers,
	.worker = local_pod_worker,
};

BERTH_ADAPTER(local_pod, "local-pod", PACKAGE_VERSION, BERTH_THREADS_INSTANCE,
	      BERTH_OPTION("changes", "text", "auto",
			   "how changes are found: watch, the kernel tells; auto, once that pays; stat, each record is looked "
			   "at; none, all are read again"),
	      &local_pod_adapter);
