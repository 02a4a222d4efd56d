/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "core/conformance/spawned.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "core/cleanup.h"
#include "core/conformance/worker.h"

#define RUN_ACCEPTED ",'acceptance':{'kind':'run_accepted','expected_segments':0}"
#define SOCKET_READY ",'acceptance':{'kind':'socket_ready'}"
#define TICKET(role) "'intent':{'kind':'ticket_role','ticket_id':'CONFORMANCE-1','role':'" role "'}"

const struct spawn_way spawn_ways[] = {
	{ "workspace_companion", "'intent':{'kind':'workspace_companion'}" RUN_ACCEPTED },
	{ "workspace_orchestrator", "'intent':{'kind':'workspace_orchestrator'}" RUN_ACCEPTED },
	{ "ticket coder", TICKET("coder") RUN_ACCEPTED },
	{ "ticket intake", TICKET("intake") RUN_ACCEPTED },
	{ "ticket reviewer", TICKET("reviewer") RUN_ACCEPTED },
	{ "ticket orchestrator", TICKET("orchestrator") RUN_ACCEPTED },
	{ "workspace_companion, socket_ready", "'intent':{'kind':'workspace_companion'}" SOCKET_READY },
	{ "ticket coder, socket_ready", TICKET("coder") SOCKET_READY },
};
const size_t n_spawn_ways = sizeof spawn_ways / sizeof *spawn_ways;

enum { SPAWNED_MAX = 1024 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
struct spawned {
	size_t n;
	struct {
		char runtime_id[BERTH_ID_MAX + 1], worker_id[BERTH_ID_MAX + 1];
	} workers[SPAWNED_MAX];
};
static struct spawned *spawned;

static void remember(const struct host *host, const char *worker_id)
{
	pthread_mutex_lock(&lock);
	if (spawned->n == SPAWNED_MAX)
		check_fail("a check spawns too many workers");
	strcpy(spawned->workers[spawned->n].runtime_id, host->runtime_id);
	snprintf(spawned->workers[spawned->n++].worker_id, BERTH_ID_MAX + 1, "%s", worker_id);
	pthread_mutex_unlock(&lock);
}

const char *spawned_id(const cJSON *answer)
{
	const char *id = json_string(cJSON_GetObjectItemCaseSensitive(answer, "worker"), "worker_id");

	return strcmp(json_string(answer, "state"), "accepted") == 0 && *id ? id : NULL;
}

cJSON *spawned_ask(struct host *host, const struct spawn_way *way, const char *members)
{
	cJSON *answer = host_ask_json(host, "{'op':'spawn_worker','runtime_id':'%s','request':{%s%s}}",
				      host->runtime_id, members, way->request);

	if (spawned_id(answer))
		remember(host, spawned_id(answer));
	return answer;
}

const struct spawn_way *spawned_try(struct host *host, char worker_id[BERTH_ID_MAX + 1], struct error *why)
{
	if (!host_can(host, "can_spawn_worker")) {
		error_set(why, 0,
			  "the runtime does not declare can_spawn_worker, and a check acts on its own workers "
			  "alone");
		return NULL;
	}
	for (size_t i = 0; i < n_spawn_ways; i++) {
		CLEANUP(json_delete) cJSON *answer = spawned_ask(host, &spawn_ways[i], "");

		if (spawned_id(answer)) {
			snprintf(worker_id, BERTH_ID_MAX + 1, "%s", spawned_id(answer));
			return &spawn_ways[i];
		}
		error_set(why, 0,
			  "the runtime spawns no worker, whatever is asked for; of the last try it says %.100s",
			  json_string(cJSON_GetArrayItem(cJSON_GetObjectItem(answer, "diagnostics"), 0), "code"));
	}
	return NULL;
}

const struct spawn_way *spawned_worker(struct host *host, char worker_id[BERTH_ID_MAX + 1])
{
	struct error why;
	const struct spawn_way *way = spawned_try(host, worker_id, &why);

	if (!way)
		check_skip("%s", why.text);
	return way;
}

void spawned_stop_all(struct host *host)
{
	size_t n = host_can(host, "can_stop_worker") ? spawned->n : 0, n_left = 0;

	for (size_t i = 0; i < n; i++) {
		CLEANUP(json_delete) cJSON *answer =
			host_ask_json(host, "{'op':'stop_worker','runtime_id':'%s','request':{'worker_id':'%s','mode':'force'}}",
				      spawned->workers[i].runtime_id, spawned->workers[i].worker_id);

		/* Of an instance that is closed by now. */
		if (json_is_error(answer, "unknown_runtime"))
			spawned->workers[n_left++] = spawned->workers[i];
	}
	spawned->n = n_left;
}

/* ---- What is left ---- */

int spawned_share(void)
{
	void *memory = mmap(NULL, sizeof *spawned, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return -errno;
	spawned = memory;
	return 0;
}

bool spawned_is_any(void)
{
	return spawned->n > 0;
}

/* Whichever instance has spawned them: they are the back end's. */
static void stop_rest(const struct subject *subject)
{
	size_t n = spawned->n < SPAWNED_MAX ? spawned->n : SPAWNED_MAX;
	struct host host = { 0 };

	spawned->n = 0;
	host_open(&host, subject, NULL);
	if (!host_can(&host, "can_stop_worker"))
		n = 0;
	for (size_t i = 0; i < n; i++)
		cJSON_Delete(worker_stop(&host, spawned->workers[i].worker_id, "force"));
	host_close(&host);
}

const struct check spawned_rest = { .name = "", .run = stop_rest };
