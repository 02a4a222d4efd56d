/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "hosts.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* Where the instances of a server are that is no cluster. */
#define SINGLE_NAME "none"

struct hosts {
	pthread_mutex_t lock;
	struct host hosts[HOSTS_MAX];
	size_t n;
};

struct hosts *hosts_new(void)
{
	struct hosts *hosts = calloc(1, sizeof *hosts);

	if (hosts)
		pthread_mutex_init(&hosts->lock, NULL);
	return hosts;
}

void hosts_free(struct hosts *hosts)
{
	if (hosts)
		pthread_mutex_destroy(&hosts->lock);
	free(hosts);
}

static const char *text_of(const cJSON *object, const char *key, const char *otherwise)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));

	return text ? text : otherwise;
}

static const char *read_status(const char *text)
{
	static const char *const statuses[][2] = {
		{ "Online", "available" },
		{ "Offline", "unreachable" },
		{ "Evacuated", "evacuated" },
	};

	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
		if (strcmp(text, statuses[i][0]) == 0)
			return statuses[i][1];
	return "degraded";
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct host *)a)->id, ((const struct host *)b)->id);
}

static const struct host *find(const struct hosts *hosts, const char *id)
{
	for (size_t i = 0; i < hosts->n; i++)
		if (strcmp(hosts->hosts[i].id, id) == 0)
			return &hosts->hosts[i];
	return NULL;
}

static int read_host(const cJSON *json, const struct hosts *hosts, uint64_t now_ns, struct host *host)
{
	const struct host *before;
	int rc = names_host(text_of(json, "server_name", SINGLE_NAME), host->id);

	if (rc < 0)
		return rc;
	before = find(hosts, host->id);
	host->status = read_status(text_of(json, "status", "Online"));
	host->seen_ns = strcmp(host->status, "unreachable") != 0 ? now_ns : before ? before->seen_ns : 0;
	snprintf(host->arch, sizeof host->arch, "%s", text_of(json, "architecture", ""));
	return 0;
}

static int take_members(struct hosts *hosts, const cJSON *members, uint64_t now_ns)
{
	struct host *all = calloc(HOSTS_MAX, sizeof *all);
	const cJSON *json;
	size_t n = 0;
	int rc = all ? 0 : -ENOMEM;

	cJSON_ArrayForEach(json, members) {
		if (rc == 0 && n < HOSTS_MAX)
			rc = read_host(json, hosts, now_ns, &all[n++]);
	}
	if (rc == 0) {
		qsort(all, n, sizeof *all, compare);
		memcpy(hosts->hosts, all, n * sizeof *all);
		hosts->n = n;
	}
	free(all);
	return rc;
}

int hosts_refresh(struct hosts *hosts, const struct cluster_call *call)
{
	const struct berth_services *services = call->call->services;
	cJSON *members = NULL;
	int rc = cluster_read(call, "/1.0/cluster/members?recursion=1", &members);

	if (rc == -ENOTSUP) {
		members = cJSON_Parse("[{}]");
		rc = members ? 0 : -ENOMEM;
	}
	pthread_mutex_lock(&hosts->lock);
	if (rc == 0)
		rc = take_members(hosts, members, services->wall_ns(services));
	if (rc < 0)
		for (size_t i = 0; i < hosts->n; i++)
			hosts->hosts[i].status = "unreachable";
	pthread_mutex_unlock(&hosts->lock);
	cJSON_Delete(members);
	return rc;
}

size_t hosts_copy(struct hosts *hosts, struct host *copy, size_t max)
{
	size_t n;

	pthread_mutex_lock(&hosts->lock);
	n = hosts->n < max ? hosts->n : max;
	memcpy(copy, hosts->hosts, n * sizeof *copy);
	pthread_mutex_unlock(&hosts->lock);
	return n;
}
