/* SPDX-License-Identifier: MIT */
/* The REST API: an answer is a JSON object with the type sync, async or error. What takes
 * its time is an operation, which is waited for. */
#include "config.h"

#include "cluster.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
	WAIT_S = 5,	/* how long one request waits for an operation */
	PAUSE_MS = 20, /* before the next does */
};

/* By the words of the daemon, since its numbers say less. The first that is found counts. */
static int error_of(long code, const char *text)
{
	static const struct {
		const char *words;
		int rc;
	} reasons[] = {
		{ "not clustered", -ENOTSUP },
		{ "already running", -EALREADY },
		{ "already stopped", -EALREADY },
		{ "is not running", -EALREADY },
		{ "already exists", -EEXIST },
		{ "file exists", -EEXIST },
		{ "is busy running", -EBUSY },
		{ "matching non-reusable operation", -EBUSY },
		{ "UNIQUE constraint failed", -EEXIST }, /* of instances, by their names: says Incus */
		{ "no space left", -ENOSPC },
		{ "out of disk space", -ENOSPC },
		{ "quota exceeded", -ENOSPC },
		{ "Reached maximum", -EDQUOT },
		{ "Missing event connection", -EHOSTUNREACH },
		{ "offline", -EHOSTUNREACH },
		{ "connection refused", -EHOSTUNREACH },
		{ "No suitable cluster member", -EHOSTUNREACH },
		{ "not authorized", -EACCES },
		{ "not have permission", -EACCES },
		{ "project doesn't allow", -EACCES },
		{ "mage alias not found", -ENOPKG },
		{ "mage not found", -ENOPKG },
		{ "No fingerprint prefix specified", -ENOPKG }, /* says Incus */
		{ "context deadline exceeded", -ETIMEDOUT },
		{ "timed out", -ETIMEDOUT },
		{ "shutting down", -ETIMEDOUT },
	};

	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
		if (strstr(text, reasons[i].words))
			return reasons[i].rc;
	return code == 404 ? -ENOENT : code == 401 || code == 403 ? -EACCES : code == 409 ? -EEXIST : -EIO;
}

static const char *text_of(const cJSON *object, const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));

	return text ? text : "";
}

static double number_of(const cJSON *object, const char *key)
{
	const cJSON *number = cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsNumber(number) ? number->valuedouble : 0;
}

/* What was refused is in the log with the daemon's own words, but for what is usual. */
static int refuse(const struct cluster_call *call, const char *path, long code, const char *text)
{
	int rc = error_of(code, text);

	if (rc != -ENOENT && rc != -EALREADY && rc != -EEXIST && rc != -EBUSY && rc != -ENOTSUP)
		call->call->services->log(call->call->services, BERTH_LOG_WARNING, "the cluster refuses %.200s: %ld: %.500s", path,
					  code, text);
	return rc;
}

static int ask(const struct cluster_call *call, const char *method, const char *path, struct berth_text body,
	       uint64_t timeout_ms, cJSON **answerp)
{
	const struct client_request request = {
		.method = method, .path = path, .body = body, .timeout_ms = timeout_ms, .persistent = call->persistent,
	};
	struct client_reply reply = { 0 };
	cJSON *answer;
	int rc = client_ask(call->client, call->call, &request, &reply);

	if (rc < 0)
		return rc;
	answer = cJSON_ParseWithLength(reply.data, reply.len);
	if (!cJSON_IsObject(answer))
		rc = -EPROTO;
	else if (reply.status >= 400 || strcmp(text_of(answer, "type"), "error") == 0)
		rc = refuse(call, path, reply.status, text_of(answer, "error"));
	client_reply_fini(&reply);
	if (rc < 0)
		cJSON_Delete(answer);
	else
		*answerp = answer;
	return rc;
}

int cluster_read_within(const struct cluster_call *call, const char *path, uint64_t timeout_ms, cJSON **metadatap)
{
	cJSON *answer = NULL, *metadata;
	int rc = ask(call, "GET", path, berth_text(NULL), timeout_ms, &answer);

	if (rc < 0)
		return rc;
	metadata = cJSON_DetachItemFromObjectCaseSensitive(answer, "metadata");
	cJSON_Delete(answer);
	if (!metadata)
		return -EPROTO;
	*metadatap = metadata;
	return 0;
}

int cluster_read(const struct cluster_call *call, const char *path, cJSON **metadatap)
{
	return cluster_read_within(call, path, 0, metadatap);
}

/* ---- Changes ---- */

/* /1.0/operations/ID?project=...: the path alone, if it is one. */
static bool is_operation(const char *text, int *lenp)
{
	static const char prefix[] = "/1.0/operations/";
	size_t len = sizeof prefix - 1;

	if (strncmp(text, prefix, len) != 0)
		return false;
	len += strspn(text + len, "0123456789abcdef-");
	*lenp = (int)len;
	return len > sizeof prefix && len < 128 && (text[len] == '\0' || text[len] == '?');
}

static int await(const struct cluster_call *call, const char *operation, const char *what)
{
	const struct berth_services *services = call->call->services;
	uint64_t end_ns = services->monotonic_ns(services) + call->timeout_ms * UINT64_C(1000000);
	char path[192];
	int len = 0;

	if (!is_operation(operation, &len))
		return -EPROTO;
	snprintf(path, sizeof path, "%.*s/wait?timeout=%d", len, operation, WAIT_S);
	for (;;) {
		cJSON *metadata = NULL;
		int rc = cluster_read(&(struct cluster_call){ call->client, call->call, 0, call->persistent }, path, &metadata);
		double code = rc == 0 ? number_of(metadata, "status_code") : 0;

		/* It was done before we asked, and is forgotten by now: what follows will show. */
		if (rc == -ENOENT)
			return 0;
		if (rc == 0 && code >= 400)
			rc = refuse(call, what, (long)code == 400 ? (long)number_of(metadata, "err_code") : (long)code,
				    text_of(metadata, "err"));
		cJSON_Delete(metadata);
		if (rc < 0 || code == 200)
			return rc;
		if (services->monotonic_ns(services) >= end_ns)
			return -ETIMEDOUT;
		nanosleep(&(struct timespec){ 0, PAUSE_MS * 1000000L }, NULL);
	}
}

int cluster_change(const struct cluster_call *call, const char *method, const char *path, const cJSON *body)
{
	char *text = body ? cJSON_PrintUnformatted(body) : NULL;
	cJSON *answer = NULL;
	int rc = body && !text ? -ENOMEM : ask(call, method, path, berth_text(text), 0, &answer);

	cJSON_free(text);
	if (rc == 0 && strcmp(text_of(answer, "type"), "async") == 0)
		rc = await(call, text_of(answer, "operation"), path);
	cJSON_Delete(answer);
	return rc;
}

char *cluster_path(const char *name, const char *rest)
{
	char *path = NULL;

	return asprintf(&path, "/1.0/instances/%s%s", name, rest) < 0 ? NULL : path;
}

int cluster_set_state(const struct cluster_call *call, const char *name, const char *action, bool force, uint64_t timeout_s)
{
	cJSON *body = cJSON_CreateObject();
	char *path = cluster_path(name, "/state");
	int rc = -ENOMEM;

	if (body && path && cJSON_AddStringToObject(body, "action", action) && cJSON_AddBoolToObject(body, "force", force) &&
	    cJSON_AddNumberToObject(body, "timeout", force ? -1 : (double)timeout_s))
		rc = cluster_change(call, "PUT", path, body);
	free(path);
	cJSON_Delete(body);
	return rc;
}

/* ---- Files ---- */

static int ask_file(const struct cluster_call *call, const char *name, const char *path, struct client_request *request,
		    struct client_reply *reply)
{
	char *escaped = client_escape(path), *whole = NULL;
	int rc = -ENOMEM;

	if (escaped && asprintf(&whole, "/1.0/instances/%s/files?path=%s", name, escaped) >= 0) {
		request->path = whole;
		request->persistent = call->persistent;
		rc = client_ask(call->client, call->call, request, reply);
		if (rc == 0 && reply->status >= 400 && reply->status != 416) {
			cJSON *answer = cJSON_ParseWithLength(reply->data, reply->len);

			rc = refuse(call, whole, reply->status, text_of(answer, "error"));
			cJSON_Delete(answer);
			client_reply_fini(reply);
		}
		free(whole);
	}
	free(escaped);
	return rc;
}

int cluster_write_file(const struct cluster_call *call, const char *name, const char *path, const char *type, unsigned mode,
		       struct berth_text content)
{
	struct client_request request = { .method = "POST", .body = content, .file_type = type, .mode = mode };
	struct client_reply reply = { 0 };
	int rc = ask_file(call, name, path, &request, &reply);

	client_reply_fini(&reply);
	return rc;
}

int cluster_read_file(const struct cluster_call *call, const char *name, const char *path, uint64_t first, uint64_t last,
		      struct client_reply *reply)
{
	struct client_request request = { .method = "GET", .first = first, .last = last };

	return ask_file(call, name, path, &request, reply);
}

int cluster_remove_file(const struct cluster_call *call, const char *name, const char *path)
{
	struct client_request request = { .method = "DELETE" };
	struct client_reply reply = { 0 };
	int rc = ask_file(call, name, path, &request, &reply);

	client_reply_fini(&reply);
	return rc;
}
