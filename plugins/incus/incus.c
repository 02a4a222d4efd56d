/* SPDX-License-Identifier: MIT */
/* The adapter of clusters of Incus or LXD: presents containers in the terms of the contract. All that is
 * shared locks itself, so calls may come from any thread. */
#include "config.h"

#include <berth/adapter.h>
#include <stdio.h>
#include <stdlib.h>

#include "cluster.h"
#include "failure.h"
#include "inbox.h"
#include "incus.h"
#include "inline/utf8.h"
#include "spawn.h"

enum {
	LOOK_UP_MS = 3000,  /* for one worker, whose member may hang; then all are asked for */
	SWEEP_MAX = 8,	    /* containers that are removed with one list */
	STALE_FACTOR = 2,   /* of the time for a spawn, after which it counts as given up */
};

#define RUNTIME_ID "incus-worker-runtime"
#define RUNTIME_CAN                                                                                                    \
	(BERTH_CAN_LIST_HOSTS | BERTH_CAN_LIST_WORKERS | BERTH_CAN_GET_WORKER | BERTH_CAN_SPAWN_WORKER |              \
	 BERTH_CAN_STOP_WORKER | BERTH_CAN_ACCEPT_INPUT | BERTH_CAN_STREAM_EVENTS | BERTH_CAN_READ_BOUNDED_TRANSCRIPT)
#define WORKER_CAN \
	(BERTH_WORKER_CAN_ACCEPT_INPUT | BERTH_WORKER_CAN_STOP | BERTH_WORKER_CAN_READ_BOUNDED_TRANSCRIPT)

static struct cluster_call ask(const struct incus *incus, struct berth_call *call)
{
	return (struct cluster_call){ .client = incus->client, .call = call, .timeout_ms = incus->timeout_ms };
}

static int push_answer(struct berth_call *call, uint64_t state)
{
	const struct berth_answer answer = { .size = sizeof answer, .state = state };

	return call->sink->answer(call, &answer);
}

static int reject(struct berth_call *call, int rc)
{
	return failure_reject(call, failure_of(rc));
}

/* ---- Workers ---- */

static int push_worker(struct berth_call *call, const struct worker *entry)
{
	char id[NAMES_WORKER_LEN + 1];
	struct berth_worker worker = {
		.size = sizeof worker,
		.worker_id = names_worker(entry->key, id),
		.host_id = berth_text(entry->host),
		.label = *entry->label ? berth_text(entry->label) : names_worker(entry->key, id),
		.role = berth_text(*entry->role ? entry->role : NULL),
		.profile = berth_text(*entry->profile ? entry->profile : NULL),
		.workspace_visibility = BERTH_TEXT("current_workspace"),
		.workspace_identity = BERTH_TEXT("cluster_worker"),
		.state = berth_text(worker_status_names[entry->last_status]),
		.status = berth_text(worker_status_names[entry->status]),
		.last_seen_at_ns = entry->seen.wall_ns,
		.implementation_kind = BERTH_TEXT("incus_container"),
		.implementation_hint = BERTH_TEXT("a container in a cluster"),
		.can = WORKER_CAN,
	};

	if (entry->status == WORKER_UNREACHABLE) {
		worker.diagnostics = failure_diagnostic(FAILURE_HOST_UNREACHABLE);
		worker.n_diagnostics = 1;
	}
	return call->sink->worker(call, &worker);
}

/* What a spawn has left behind that nobody goes on with. */
static bool is_stale(const struct incus *incus, const struct worker *worker, uint64_t now_ns)
{
	uint64_t age_ms = worker->created_ns < now_ns ? (now_ns - worker->created_ns) / 1000000 : 0;

	return !worker->made && worker->created_ns > 0 && age_ms > incus->spawn_timeout_ms * STALE_FACTOR;
}

static void sweep(const struct incus *incus, const struct cluster_call *cluster, const struct worker *worker)
{
	char name[NAMES_CONTAINER_LEN + 1];

	names_container(incus->workspace, worker->key, name);
	spawn_sweep(cluster, name, worker->status != WORKER_STOPPED);
}

/* Takes over what the cluster lists. */
static int take_list(struct incus *incus, const struct cluster_call *cluster, const cJSON *list, struct moment asked)
{
	int size = cJSON_GetArraySize(list), n = 0, n_swept = 0, rc = 0;
	struct worker *workers = calloc((size_t)size + 1, sizeof *workers);
	const cJSON *json;

	if (!workers)
		return -ENOMEM;
	cJSON_ArrayForEach(json, list) {
		struct worker *worker = &workers[n];

		rc = worker_read(json, incus->workspace, incus->mark, asked, worker);
		if (rc == -ENOENT)
			continue;
		if (rc < 0)
			break;
		if (worker->made)
			n++;
		else if (is_stale(incus, worker, asked.wall_ns) && n_swept++ < SWEEP_MAX)
			sweep(incus, cluster, worker);
	}
	qsort(workers, (size_t)n, sizeof *workers, worker_compare);
	if (rc == 0 || rc == -ENOENT)
		rc = roster_replace(incus->roster, &(struct roster_list){ workers, (size_t)n, asked });
	free(workers);
	return rc;
}

int incus_survey(struct incus *incus, struct berth_call *call)
{
	struct cluster_call cluster = ask(incus, call);
	struct moment asked = incus_now(incus);
	cJSON *list = NULL;
	int rc = cluster_read(&cluster, "/1.0/instances?recursion=1", &list);

	if (rc == 0)
		rc = take_list(incus, &cluster, list, asked);
	else if (rc == -ECONNREFUSED || rc == -ETIMEDOUT)
		roster_lose_all(incus->roster);
	cJSON_Delete(list);
	return rc;
}

struct listing {
	struct berth_call *call;
	uint64_t left;
};

static int list_visit(void *data, const struct worker *worker)
{
	struct listing *listing = data;

	if (listing->left == 0)
		return 1;
	listing->left--;
	return push_worker(listing->call, worker);
}

static int incus_list_workers(void *instance, struct berth_call *call, const struct berth_list_request *request)
{
	struct incus *incus = instance;
	struct listing listing = { call, request->limit };
	int rc = request->limit > 0 ? incus_survey(incus, call) : 0;

	roster_each(incus->roster, list_visit, &listing);
	if (rc < 0)
		failure_add(call, failure_of(rc));
	return 0;
}

/* One worker, by one request where its member is there. */
static int look_up(struct incus *incus, struct berth_call *call, const char *key, struct worker *worker)
{
	struct cluster_call cluster = ask(incus, call);
	struct moment asked = incus_now(incus);
	char name[NAMES_CONTAINER_LEN + 1];
	cJSON *json = NULL;
	char *path;
	int rc;

	names_container(incus->workspace, key, name);
	path = cluster_path(name, "");
	rc = path ? cluster_read_within(&cluster, path, LOOK_UP_MS, &json) : -ENOMEM;
	free(path);
	if (rc == 0)
		rc = worker_read(json, incus->workspace, incus->mark, asked, worker);
	if (rc == 0)
		rc = worker->made ? roster_enter(incus->roster, worker, asked) : -ENOENT;
	if (rc == -ENOENT)
		roster_remove(incus->roster, key, asked.wall_ns);
	cJSON_Delete(json);
	return rc;
}

/* -ENOENT: there is no such worker; others: it is not known whether there is. */
static int find_worker(struct incus *incus, struct berth_call *call, struct berth_text worker_id, struct worker *worker)
{
	char key[NAMES_KEY_LEN + 1];
	int rc = -EHOSTUNREACH;

	if (!names_key_of_worker(worker_id, key))
		return -ENOENT;
	/* To ask for what cannot be reached takes long; to ask for all of them does not. */
	if (!roster_find(incus->roster, key, worker) || worker->status != WORKER_UNREACHABLE)
		rc = look_up(incus, call, key, worker);
	if (rc != -EHOSTUNREACH && rc != -ETIMEDOUT && rc != -ECONNREFUSED)
		return rc;
	rc = incus_survey(incus, call);
	if (roster_find(incus->roster, key, worker))
		return 0;
	return rc < 0 ? rc : -ENOENT;
}

static int incus_worker(void *instance, struct berth_call *call, const struct berth_worker_request *request)
{
	struct worker worker;
	int rc = find_worker(instance, call, request->worker_id, &worker);

	if (rc == 0)
		return push_worker(call, &worker);
	return rc == -ENOENT ? rc : call->sink->fail(call, rc, "the cluster cannot be asked: %s",
						     failure_diagnostic(failure_of(rc))->message.ptr);
}

/* ---- Spawn ---- */

static const char *role_of(const struct berth_spawn_request *request)
{
	static const char *const intents[] = {
		[BERTH_INTENT_WORKSPACE_COMPANION] = "workspace_companion",
		[BERTH_INTENT_WORKSPACE_ORCHESTRATOR] = "workspace_orchestrator",
	};
	static const char *const roles[] = {
		[BERTH_ROLE_INTAKE] = "intake",
		[BERTH_ROLE_ORCHESTRATOR] = "orchestrator",
		[BERTH_ROLE_CODER] = "coder",
		[BERTH_ROLE_REVIEWER] = "reviewer",
	};

	return request->intent == BERTH_INTENT_TICKET_ROLE ? roles[request->role] : intents[request->intent];
}

static void push_evidence(struct berth_call *call, unsigned steps)
{
	static const struct berth_evidence evidence[N_SPAWN_STEPS] = {
		[SPAWN_CREATED] = { sizeof *evidence, BERTH_TEXT("incus_container_created"),
				    BERTH_TEXT("the cluster has placed and made the container of the worker") },
		[SPAWN_INSTALLED] = { sizeof *evidence, BERTH_TEXT("incus_supervisor_installed"),
				      BERTH_TEXT("what supervises the worker is in it") },
		[SPAWN_STARTED] = { sizeof *evidence, BERTH_TEXT("incus_container_started"), BERTH_TEXT("the container runs") },
		[SPAWN_READY] = { sizeof *evidence, BERTH_TEXT("incus_worker_ready"),
				  BERTH_TEXT("the supervisor has started the worker and takes input") },
	};

	for (size_t i = 0; i < N_SPAWN_STEPS; i++)
		if (steps & 1U << i)
			call->sink->evidence(call, &evidence[i]);
}

/* As a C string; NULL where there is none. */
static const char *hint(const struct incus *incus, struct berth_text text, char buffer[BERTH_HINT_MAX + 1])
{
	struct berth_text hint = { NULL, 0 };

	if (text.ptr)
		hint = incus->services->display_hint(incus->services, text, buffer, BERTH_HINT_MAX);
	if (!hint.ptr || hint.len == 0)
		return NULL;
	buffer[hint.len] = '\0';
	return buffer;
}

static int incus_spawn_worker(void *instance, struct berth_call *call, const struct berth_spawn_request *request)
{
	struct incus *incus = instance;
	struct cluster_call cluster = ask(incus, call);
	char key[NAMES_KEY_LEN + 1], ticket[BERTH_HINT_MAX + 1], label[BERTH_HINT_MAX + 1];
	struct worker worker;
	struct role role;
	unsigned steps;
	struct spawn spawn = {
		.role = &role, .role_name = role_of(request), .workspace = incus->workspace, .mark = incus->mark, .key = key,
		.ticket = hint(incus, request->ticket_id, ticket), .label = hint(incus, request->requested_worker_name, label),
		.timeout_ms = incus->spawn_timeout_ms,
	};
	int rc;

	if (request->acceptance == BERTH_ACCEPTANCE_SOCKET_READY)
		return failure_reject(call, FAILURE_NO_SOCKET);
	if (!roles_find(incus->roles, spawn.role_name, &role))
		return failure_reject(call, FAILURE_ROLE_UNASSIGNED);
	cluster.timeout_ms = incus->spawn_timeout_ms;
	rc = names_new_key(request->request_id, key);
	if (rc == 0)
		rc = spawn_carry_out(&cluster, &spawn, &steps);
	if (rc == 0)
		rc = look_up(incus, call, key, &worker);
	if (rc != 0)
		return reject(call, rc);
	push_answer(call, BERTH_ACCEPTED);
	push_worker(call, &worker);
	push_evidence(call, steps);
	return request->expected_segments > 0 ? failure_add(call, FAILURE_SEGMENTS_IGNORED) : 0;
}

/* ---- Stop ---- */

static int incus_stop_worker(void *instance, struct berth_call *call, const struct berth_stop_request *request)
{
	struct incus *incus = instance;
	struct cluster_call cluster = ask(incus, call);
	bool force = request->mode == BERTH_STOP_FORCE;
	char name[NAMES_CONTAINER_LEN + 1];
	struct worker worker;
	int rc = find_worker(incus, call, request->worker_id, &worker);

	if (rc == -ENOENT)
		return rc;
	if (rc == 0 && worker.status == WORKER_UNREACHABLE)
		rc = -EHOSTUNREACH;
	if (rc < 0)
		return reject(call, rc);
	if (worker.status == WORKER_STOPPED)
		return push_answer(call, BERTH_ACCEPTED);
	names_container(incus->workspace, worker.key, name);
	cluster.timeout_ms += force ? 0 : incus->stop_timeout_s * 1000;
	rc = cluster_set_state(&cluster, name, "stop", force, incus->stop_timeout_s);
	if (rc == -EALREADY)
		rc = 0;
	/* Whatever was answered, this is how it is. */
	if (look_up(incus, call, worker.key, &worker) == 0 && worker.status == WORKER_STOPPED)
		rc = 0;
	if (rc == 0)
		return push_answer(call, BERTH_ACCEPTED);
	return failure_reject(call, rc == -ETIMEDOUT && !force ? FAILURE_STILL_RUNNING : failure_of(rc));
}

/* ---- Input ---- */

/* Unicode White_Space. */
static bool is_white_space(uint32_t code)
{
	return (code >= 0x09 && code <= 0x0d) || code == 0x20 || code == 0x85 || code == 0xa0 || code == 0x1680 ||
	       (code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 || code == 0x202f ||
	       code == 0x205f || code == 0x3000;
}

static bool is_blank(struct berth_text text)
{
	uint32_t code;

	for (size_t i = 0; i < text.len;) {
		size_t n = utf8_decode(text.ptr + i, text.len - i, &code);

		if (n == 0 || !is_white_space(code))
			return false;
		i += n;
	}
	return true;
}

static int incus_send_input(void *instance, struct berth_call *call, const struct berth_input_request *request)
{
	struct incus *incus = instance;
	struct cluster_call cluster = ask(incus, call);
	struct berth_answer answer = { .size = sizeof answer, .state = BERTH_ACCEPTED };
	char name[NAMES_CONTAINER_LEN + 1];
	struct worker worker;
	int rc = find_worker(incus, call, request->worker_id, &worker);

	if (rc == -ENOENT)
		return rc;
	if (rc == 0 && (is_blank(request->content) || request->content.len > INBOX_CONTENT_MAX))
		return failure_reject(call, FAILURE_INPUT_INVALID);
	if (rc == 0 && worker.status != WORKER_RUNNING)
		rc = worker.status == WORKER_UNREACHABLE ? -EHOSTUNREACH : -ESHUTDOWN;
	names_container(incus->workspace, worker.key, name);
	if (rc == 0)
		rc = inbox_send(&cluster, name, request, &answer.transcript_sequence);
	return rc == 0 ? call->sink->answer(call, &answer) : reject(call, rc);
}

/* ---- Transcript ---- */

static int incus_transcript(void *instance, struct berth_call *call, const struct berth_transcript_request *request)
{
	struct incus *incus = instance;
	struct cluster_call cluster = ask(incus, call);
	char name[NAMES_CONTAINER_LEN + 1], key[NAMES_KEY_LEN + 1];
	struct worker worker = { .status = WORKER_UNREACHABLE };
	int rc = 0;

	if (!names_key_of_worker(request->worker_id, key))
		return -ENOENT;
	/* Whose transcript can be read is there. */
	if (!roster_find(incus->roster, key, &worker) || worker.status == WORKER_UNREACHABLE || request->limit > READ_LIMIT)
		rc = find_worker(incus, call, request->worker_id, &worker);
	if (rc == -ENOENT)
		return rc;
	if (rc == 0 && request->limit > READ_LIMIT)
		return failure_reject(call, FAILURE_LIMIT_TOO_LARGE);
	if (rc == 0 && worker.status == WORKER_UNREACHABLE)
		rc = -EHOSTUNREACH;
	if (rc < 0)
		return reject(call, rc);
	names_container(incus->workspace, key, name);
	rc = transcripts_push(incus->transcripts, &cluster, name, key, request);
	if (rc >= 0)
		return rc;
	if (rc == -ENOENT && find_worker(incus, call, request->worker_id, &worker) == -ENOENT)
		return -ENOENT;
	return reject(call, rc);
}

/* ---- Events ---- */

static int incus_read_events(void *instance, struct berth_call *call, const struct berth_events_request *request)
{
	return events_read(((struct incus *)instance)->events, call, request);
}

/* ---- Runtime and hosts ---- */

static int push_runtime(struct incus *incus, struct berth_call *call, uint64_t limit, const struct berth_diagnostic *why)
{
	struct host *hosts = calloc(HOSTS_MAX, sizeof *hosts);
	struct berth_text *ids = calloc(HOSTS_MAX, sizeof *ids);
	struct berth_runtime runtime = {
		.size = sizeof runtime,
		.runtime_id = BERTH_TEXT(RUNTIME_ID),
		.label = BERTH_TEXT("Incus cluster"),
		.kind = BERTH_TEXT("incus_cluster"),
		.status = berth_text(why ? "unavailable" : "available"),
		.source_kind = BERTH_TEXT("incus_cluster"),
		.source_status = BERTH_TEXT("active"),
		.source_note = BERTH_TEXT("containers that a cluster of Incus or LXD places, runs and keeps"),
		.host_ids = ids,
		.can = RUNTIME_CAN,
		.workspace_scope = BERTH_TEXT("current_workspace"),
		.diagnostics = why,
		.n_diagnostics = why ? 1 : 0,
	};
	int rc;

	if (!hosts || !ids) {
		free(hosts);
		free(ids);
		return call->sink->fail(call, -ENOMEM, "no memory for the runtime");
	}
	runtime.n_host_ids = hosts_copy(incus->hosts, hosts, limit < HOSTS_MAX ? (size_t)limit : HOSTS_MAX);
	for (size_t i = 0; i < runtime.n_host_ids; i++)
		ids[i] = berth_text(hosts[i].id);
	rc = call->sink->runtime(call, &runtime);
	free(hosts);
	free(ids);
	return rc;
}

static int incus_runtime(void *instance, struct berth_call *call, const struct berth_list_request *request)
{
	struct incus *incus = instance;
	struct cluster_call cluster = ask(incus, call);
	int rc = hosts_refresh(incus->hosts, &cluster);

	return push_runtime(incus, call, request->limit, rc < 0 ? failure_diagnostic(failure_of(rc)) : NULL);
}

static int push_host(struct berth_call *call, const struct host *entry)
{
	char label[32];
	const struct berth_host host = {
		.size = sizeof host,
		.host_id = berth_text(entry->id),
		.label = { label, (size_t)snprintf(label, sizeof label, "member %.8s", entry->id + strlen("incus-host-")) },
		.kind = BERTH_TEXT("incus_member"),
		.status = berth_text(entry->status),
		.last_seen_at_ns = entry->seen_ns,
		.can = RUNTIME_CAN & ~BERTH_CAN_LIST_HOSTS,
		.workspace_scope = BERTH_TEXT("current_workspace"),
		.arch = berth_text(*entry->arch ? entry->arch : NULL),
	};

	return call->sink->host(call, &host);
}

static int incus_list_hosts(void *instance, struct berth_call *call, const struct berth_list_request *request)
{
	struct incus *incus = instance;
	struct cluster_call cluster = ask(incus, call);
	struct host *hosts = calloc(HOSTS_MAX, sizeof *hosts);
	size_t n;
	int rc;

	if (!hosts)
		return call->sink->fail(call, -ENOMEM, "no memory for hosts");
	rc = request->limit > 0 ? hosts_refresh(incus->hosts, &cluster) : 0;
	n = hosts_copy(incus->hosts, hosts, request->limit < HOSTS_MAX ? (size_t)request->limit : HOSTS_MAX);
	for (size_t i = 0; i < n; i++)
		if (push_host(call, &hosts[i]))
			break;
	free(hosts);
	return rc < 0 ? failure_add(call, failure_of(rc)) : 0;
}

/* ---- Opening and closing ---- */

enum option {
	OPTION_SERVERS,
	OPTION_PROJECT,
	OPTION_CERTIFICATE,
	OPTION_KEY,
	OPTION_SERVER_CERTIFICATE,
	OPTION_ROLES,
	OPTION_TIMEOUT_S,
	OPTION_SPAWN_TIMEOUT_S,
	OPTION_STOP_TIMEOUT_S,
	N_OPTIONS,
};

static void incus_close(void *instance)
{
	struct incus *incus = instance;

	events_free(incus->events);
	if (incus->client)
		client_close(incus->client);
	roles_free(incus->roles);
	hosts_free(incus->hosts);
	roster_free(incus->roster);
	transcripts_free(incus->transcripts);
	free(incus);
}

/* A text option as a C string; NULL where it is empty, the caller's to free. */
static char *text_option(const struct berth_open_request *request, enum option option)
{
	struct berth_text text = request->options[option].text;

	return text.len > 0 ? strndup(text.ptr, text.len) : NULL;
}

static int read_names(struct incus *incus, struct berth_call *call, const struct berth_open_request *request)
{
	static const struct berth_text no_prefix = BERTH_TEXT("");
	struct berth_text runtime_id = request->runtime_id, project = request->options[OPTION_PROJECT].text, mark;
	char *identity = NULL;
	int rc = names_digest("workspace", request->workspace_id, incus->workspace, NAMES_WORKSPACE_LEN);

	mark = call->services->generated_id(call->services, no_prefix, request->workspace_id, incus->mark, BERTH_ID_MAX);
	if (!mark.ptr || asprintf(&identity, "%s/%.*s/%.*s", incus->workspace, (int)runtime_id.len, runtime_id.ptr ? runtime_id.ptr : "",
				  (int)project.len, project.ptr) < 0)
		return -ENOMEM;
	incus->mark[mark.len] = '\0';
	if (rc == 0)
		rc = names_digest("runtime", berth_text(identity), incus->identity, NAMES_KEY_LEN);
	free(identity);
	return rc;
}

/* Between 1 s and a day. */
static int read_seconds(struct berth_call *call, const struct berth_open_request *request, enum option option, const char *name,
			uint64_t *secondsp)
{
	*secondsp = request->options[option].number;
	if (*secondsp >= 1 && *secondsp <= 86400)
		return 0;
	return call->sink->fail(call, -EINVAL, "option %s: 1 to 86400 seconds are expected, found %llu", name,
				(unsigned long long)*secondsp);
}

static int read_times(struct incus *incus, struct berth_call *call, const struct berth_open_request *request)
{
	int rc = read_seconds(call, request, OPTION_TIMEOUT_S, "timeout_s", &incus->timeout_ms);

	if (rc == 0)
		rc = read_seconds(call, request, OPTION_SPAWN_TIMEOUT_S, "spawn_timeout_s", &incus->spawn_timeout_ms);
	if (rc == 0)
		rc = read_seconds(call, request, OPTION_STOP_TIMEOUT_S, "stop_timeout_s", &incus->stop_timeout_s);
	incus->timeout_ms *= 1000;
	incus->spawn_timeout_ms *= 1000;
	return rc;
}

static int open_client(struct incus *incus, const struct berth_open_request *request, struct reason *reason)
{
	char *servers = text_option(request, OPTION_SERVERS), *project = text_option(request, OPTION_PROJECT),
	     *certificate = text_option(request, OPTION_CERTIFICATE), *key = text_option(request, OPTION_KEY),
	     *server_certificate = text_option(request, OPTION_SERVER_CERTIFICATE), *roles = text_option(request, OPTION_ROLES);
	const struct client_options options = {
		.servers = servers ? servers : "", .project = project ? project : "default", .certificate = certificate,
		.key = key, .server_certificate = server_certificate, .timeout_ms = incus->timeout_ms,
	};
	int rc = client_open(&options, &incus->client, reason);

	if (rc == 0)
		rc = roles_read(roles ? roles : "{}", &incus->roles, reason);
	free(servers);
	free(project);
	free(certificate);
	free(key);
	free(server_certificate);
	free(roles);
	return rc;
}

static int incus_open(void **instance, struct berth_call *call, const struct berth_open_request *request)
{
	struct incus *incus = calloc(1, sizeof *incus);
	struct reason reason = { "no memory for the runtime" };
	int rc = incus ? 0 : -ENOMEM;

	if (rc < 0 || request->n_options < N_OPTIONS) {
		free(incus);
		return call->sink->fail(call, rc < 0 ? rc : -EINVAL, "%s", rc < 0 ? reason.text : "options are expected");
	}
	incus->services = call->services;
	incus->hosts = hosts_new();
	incus->roster = roster_new();
	incus->transcripts = transcripts_new();
	incus->events = events_new(incus);
	rc = incus->hosts && incus->roster && incus->transcripts && incus->events ? read_names(incus, call, request) : -ENOMEM;
	if (rc == 0)
		rc = read_times(incus, call, request);
	else
		call->sink->fail(call, rc, "%s", reason.text);
	if (rc == 0) {
		rc = open_client(incus, request, &reason);
		if (rc < 0)
			call->sink->fail(call, rc, "%s", reason.text);
	}
	if (rc < 0) {
		incus_close(incus);
		return rc;
	}
	*instance = incus;
	return push_runtime(incus, call, 0, failure_diagnostic(FAILURE_UNREACHABLE));
}

static const struct berth_adapter incus_adapter = {
	.size = sizeof incus_adapter,
	.open = incus_open,
	.close = incus_close,
	.runtime = incus_runtime,
	.list_hosts = incus_list_hosts,
	.list_workers = incus_list_workers,
	.worker = incus_worker,
	.spawn_worker = incus_spawn_worker,
	.stop_worker = incus_stop_worker,
	.send_input = incus_send_input,
	.transcript = incus_transcript,
	.read_events = incus_read_events,
};

BERTH_ADAPTER(incus, "incus", PACKAGE_VERSION, BERTH_THREADS_ANY,
	      BERTH_OPTION("servers", "text", "", "https://HOST:8443 or unix:/PATH, several separated by spaces")
	      BERTH_OPTION("project", "text", "default", "the project in which workers are")
	      BERTH_OPTION("certificate", "path", "", "the client certificate, in PEM")
	      BERTH_OPTION("key", "path", "", "its key, in PEM")
	      BERTH_OPTION("server_certificate", "path", "", "the certificate of the cluster; empty: of a known authority")
	      BERTH_OPTION("roles", "json", "{}", "image, command, profiles and limits of each role")
	      BERTH_OPTION("timeout_s", "count", "10", "how long the cluster has to answer")
	      BERTH_OPTION("spawn_timeout_s", "count", "60", "how long a worker has to become ready")
	      BERTH_OPTION("stop_timeout_s", "count", "30", "how long a worker has to stop by itself"),
	      &incus_adapter);
