/* SPDX-License-Identifier: MIT */
/*
 * A host with nothing but the adapter under test: it is loaded by the real loader and
 * asked through the real registry, with the probe between registry and adapter.
 * Whatever should not fail ends the check as failed.
 */
#ifndef BERTH_CORE_CONFORMANCE_HOST_H
#define BERTH_CORE_CONFORMANCE_HOST_H

#include "core/conformance/check.h"
#include "core/loader.h"
#include "core/registry.h"

struct host {
	struct registry registry;
	char runtime_id[BERTH_ID_MAX + 1]; /* of the first instance */
};

/* Loads the adapter, once in a process; returns it as it is, without the probe. */
const struct adapter *host_adapter(const struct subject *subject);

/* Opens an instance and enters it. runtime_id: the configured one, or NULL. */
void host_open(struct host *host, const struct subject *subject, const char *runtime_id);

/* The same for where it may fail: returns 0, or a negative errno with failure filled in. */
int host_try_open(struct host *host, const struct subject *subject, const char *runtime_id, struct failure *failure);

/* Closes the instances. */
void host_close(struct host *host);

/* Frees what the loader has; no host is open. */
void host_unload(void);

/* Asks a request of the batch protocol, written with ' in the place of ", without text
 * from elsewhere. The answer is to be freed. [any thread] */
__attribute__((format(printf, 2, 3)))
char *host_ask(struct host *host, const char *format, ...);

/* The same, parsed; to be freed with cJSON_Delete. */
__attribute__((format(printf, 2, 3)))
cJSON *host_ask_json(struct host *host, const char *format, ...);

/* Cuts the values of a key, those that are strings, out of an answer. */
void host_cut(char *answer, const char *key);

/* Those of the times of observation: where an adapter has none, they are the present one. */
void host_cut_times(char *answer);

/* Whether the first runtime declares a capability, such as can_list_workers. */
bool host_can(struct host *host, const char *capability);

/* ---- Looking into answers; "" and NULL where there is nothing of the kind ---- */

const char *json_string(const cJSON *object, const char *key);
const cJSON *json_items(const cJSON *answer);
size_t json_n_items(const cJSON *answer);
/* The item of a list with that value of the key. */
const cJSON *json_find(const cJSON *items, const char *key, const char *value);
bool json_is_error(const cJSON *answer, const char *kind);

static inline void json_delete(cJSON **jsonp)
{
	cJSON_Delete(*jsonp);
}

#endif
