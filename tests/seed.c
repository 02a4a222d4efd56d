/* SPDX-License-Identifier: MIT */
/* The tests of the original, by their names, over really loaded plugins. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/identifier.h"
#include "core/text.h"
#include "tests/support.h"

#define LOCAL "local-worker-runtime"
#define EMBEDDED "embedded-worker-runtime"
#define ROOT "/workspace/project"

static void json_delete(cJSON **jsonp)
{
	cJSON_Delete(*jsonp);
}

#define CLEANUP_JSON CLEANUP(json_delete)

static void assert_at(const cJSON *json, const char *path, const char *expected)
{
	assert_string_equal(json_string_at(json, path), expected);
}

static void assert_true_at(const cJSON *json, const char *path)
{
	assert_true(cJSON_IsTrue(json_at(json, path)));
}

/* How many there are in the list at the path. */
static int count_at(const cJSON *json, const char *path)
{
	const cJSON *list = json_at(json, path);

	assert_true(cJSON_IsArray(list));
	return cJSON_GetArraySize(list);
}

static void assert_free_of(const cJSON *json, const char *const *words)
{
	CLEANUP_FREE char *text = cJSON_PrintUnformatted(json);

	assert_non_null(text);
	for (; *words; words++)
		if (strstr(text, *words))
			fail_msg("%s is in %s", *words, text);
}

static const char *const private_words[] = { ROOT, "metadata.json", NULL };

struct id {
	char text[BERTH_ID_MAX + 1];
};

static struct id generated(const char *prefix, const char *value)
{
	struct id id = { "" };
	struct berth_text text = identifier_generate(berth_text(prefix), berth_text(value), id.text, BERTH_ID_MAX);

	assert_non_null(text.ptr);
	id.text[text.len] = '\0';
	return id;
}

static struct id host_id(void)
{
	return generated("local-", "local:test");
}

static struct id worker_id_for_pod(const char *name)
{
	return generated("local-worker-", name);
}

static void assert_valid_generated_id(const char *id)
{
	assert_true(strlen(id) <= 120);
	assert_true(identifier_valid(berth_text(id)));
}

/* root: a JSON value, with ' in the place of ". */
static void write_metadata(const char *dir, const char *name, const char *root)
{
	scratch_record(dir, name,
		       "{'worker_name':'coder','active':null,'workspace_root':%s,"
		       "'resolved_manifest_snapshot':{'role':'coder','profile_selector':'builtin:coder'}}", root);
}

static void start_fixtures(struct host *host, const char *adapters)
{
	host_start(host, &(struct host_setup){ .adapters = adapters, .adapter_dir = fixture_dir() });
}

static void start_local(struct host *host, const char *data_dir)
{
	host_start(host, &(struct host_setup){ .adapters = "local-pod", .root = ROOT, .data_dir = data_dir });
}

/* ---- Any registry ---- */

static void registry_worker_lookup_is_scoped_by_runtime_id(void **state)
{
	static const struct {
		const char *runtime_id, *host_id, *label;
	} rows[] = {
		{ "runtime-b", "host-b", "worker from runtime b" },
		{ "runtime-a", "host-a", "worker from runtime a" },
	};
	struct host host;

	(void)state;
	start_fixtures(&host, "runtime-a,runtime-b");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		CLEANUP_JSON cJSON *worker = host_ask_json(
			&host, "{'op':'worker','runtime_id':'%s','worker_id':'shared-worker'}", rows[i].runtime_id);

		assert_at(worker, "runtime_id", rows[i].runtime_id);
		assert_at(worker, "host_id", rows[i].host_id);
		assert_at(worker, "label", rows[i].label);
	}
	host_stop(&host);
}

static void registry_worker_lookup_reports_unknown_runtime_and_worker_separately(void **state)
{
	struct host host;

	(void)state;
	start_fixtures(&host, "runtime-a");
	assert_json_text(host_ask(&host, "{'op':'worker','runtime_id':'runtime-missing','worker_id':'worker-a'}"),
			 "{'error':{'kind':'unknown_runtime','runtime_id':'runtime-missing'}}");
	assert_json_text(host_ask(&host, "{'op':'worker','runtime_id':'runtime-a','worker_id':'worker-missing'}"),
			 "{'error':{'kind':'unknown_worker','runtime_id':'runtime-a','worker_id':'worker-missing'}}");
	host_stop(&host);
}

/* ---- Local workers ---- */

static void local_runtime_reports_host_without_private_paths(void **state)
{
	CLEANUP_JSON cJSON *hosts = NULL;
	const cJSON *item;
	struct host host;

	(void)state;
	start_local(&host, NULL);
	hosts = host_ask_json(&host, "{'op':'list_hosts','limit':10}");
	assert_int_equal(count_at(hosts, "items"), 1);
	item = json_at(hosts, "items.0");
	assert_at(item, "runtime_id", LOCAL);
	assert_at(item, "host_id", host_id().text);
	assert_valid_generated_id(json_string_at(item, "host_id"));
	assert_at(item, "capabilities.local_pod_inspection", "unavailable");
	assert_at(item, "capabilities.workspace_scope", "current_workspace");
	assert_free_of(item, private_words);
	host_stop(&host);
}

static void check_local_worker(const cJSON *worker)
{
	assert_at(worker, "runtime_id", LOCAL);
	assert_at(worker, "worker_id", worker_id_for_pod("coder").text);
	assert_valid_generated_id(json_string_at(worker, "worker_id"));
	assert_at(worker, "host_id", host_id().text);
	assert_at(worker, "workspace.visibility", "current_workspace");
	assert_at(worker, "implementation.display_hint", "coder");
	assert_free_of(worker, private_words);
}

static void registry_lists_runtimes_hosts_and_workers(void **state)
{
	CLEANUP_JSON cJSON *runtimes = NULL, *hosts = NULL, *workers = NULL;
	char *dir = scratch_new();
	struct host host;

	(void)state;
	write_metadata(dir, "coder", "'" ROOT "'");
	start_local(&host, dir);
	runtimes = host_ask_json(&host, "{'op':'list_runtimes','limit':10}");
	assert_at(runtimes, "items.0.runtime_id", LOCAL);
	assert_at(runtimes, "items.0.source.kind", "local_compatibility");
	assert_at(runtimes, "items.0.source.identity_authority", "runtime_registry_projection");
	assert_int_equal(count_at(runtimes, "items.0.host_ids"), 1);
	assert_at(runtimes, "items.0.host_ids.0", host_id().text);
	hosts = host_ask_json(&host, "{'op':'list_hosts','limit':10}");
	assert_at(hosts, "items.0.host_id", host_id().text);
	assert_valid_generated_id(json_string_at(hosts, "items.0.host_id"));
	workers = host_ask_json(&host, "{'op':'list_workers','limit':10}");
	assert_int_equal(count_at(workers, "items"), 1);
	check_local_worker(json_at(workers, "items.0"));
	host_stop(&host);
	scratch_remove(dir);
}

static void registry_resolves_backend_validated_host_ids(void **state)
{
	CLEANUP_JSON cJSON *workers = NULL;
	char *dir = scratch_new();
	struct host host;

	(void)state;
	write_metadata(dir, "coder", "'" ROOT "'");
	start_local(&host, dir);
	assert_json_text(host_ask(&host, "{'op':'list_workers_for_host','host_id':'../secret','limit':10}"),
			 "{'error':{'kind':'invalid_identifier','identifier_kind':'host_id','value':'../secret'}}");
	assert_json_text(host_ask(&host, "{'op':'list_workers_for_host','host_id':'local-missing','limit':10}"),
			 "{'error':{'kind':'unknown_host','host_id':'local-missing'}}");
	workers = host_ask_json(&host, "{'op':'list_workers_for_host','host_id':'%s','limit':10}", host_id().text);
	assert_int_equal(count_at(workers, "items"), 1);
	host_stop(&host);
	scratch_remove(dir);
}

static void local_runtime_excludes_other_workspace_metadata(void **state)
{
	CLEANUP_JSON cJSON *workers = NULL;
	char *dir = scratch_new();
	struct host host;

	(void)state;
	write_metadata(dir, "other", "'/workspace/other'");
	write_metadata(dir, "missing", "null");
	start_local(&host, dir);
	workers = host_ask_json(&host, "{'op':'list_workers','limit':10}");
	assert_int_equal(count_at(workers, "items"), 0);
	assert_true(json_has_code(workers, "diagnostics", "local_pod_workspace_not_visible"));
	assert_true(json_has_code(workers, "diagnostics", "local_pod_workspace_root_missing"));
	host_stop(&host);
	scratch_remove(dir);
}

static void local_runtime_worker_detail_is_safe_and_bounded(void **state)
{
	CLEANUP_JSON cJSON *worker = NULL, *missing = NULL;
	char *dir = scratch_new();
	struct host host;

	(void)state;
	write_metadata(dir, "coder", "'" ROOT "'");
	start_local(&host, dir);
	worker = host_ask_json(&host, "{'op':'worker','runtime_id':'" LOCAL "','worker_id':'%s'}",
			       worker_id_for_pod("coder").text);
	assert_at(worker, "label", "coder");
	assert_at(worker, "workspace.identity", "runtime_workspace");
	missing = host_ask_json(&host, "{'op':'worker','runtime_id':'" LOCAL "','worker_id':'%s'}",
				worker_id_for_pod("missing").text);
	assert_at(missing, "error.kind", "unknown_worker");
	host_stop(&host);
	scratch_remove(dir);
}

static const char long_half[] = "TicketWorkerWithVeryLongName";

/* The long half eight times, then the end. */
static char *long_name(const char *end)
{
	struct buffer name = { 0 };

	for (int i = 0; i < 8; i++)
		buffer_append_string(&name, long_half);
	buffer_append_string(&name, end);
	buffer_append_char(&name, '\0');
	assert_false(name.failed);
	return name.data;
}

/* Whether one of the first n items has the id. */
static bool has_id(const cJSON *items, int n, const char *id)
{
	for (int i = 0; i < n; i++)
		if (strcmp(json_string_at(cJSON_GetArrayItem(items, i), "worker_id"), id) == 0)
			return true;
	return false;
}

static void check_generated_worker(struct host *host, const cJSON *items, int i)
{
	const cJSON *worker = cJSON_GetArrayItem(items, i);
	const char *id = json_string_at(worker, "worker_id");
	CLEANUP_JSON cJSON *found = host_ask_json(host, "{'op':'worker','runtime_id':'%s','worker_id':'%s'}",
						  json_string_at(worker, "runtime_id"), id);

	assert_valid_generated_id(id);
	assert_false(has_id(items, i, id));
	assert_null(strpbrk(id, ".@#"));
	assert_at(found, "worker_id", id);
}

static void generated_worker_ids_are_opaque_bounded_unique_and_resolvable(void **state)
{
	CLEANUP_FREE char *long_a = long_name("-A"), *long_b = long_name("-B");
	const char *const names[] = {
		"00001KVWECEQG-Coder.Worker", "foo.bar", "foo-bar", "Ticket#Worker@Reviewer", long_a, long_b,
	};
	const int n = sizeof names / sizeof *names;
	CLEANUP_JSON cJSON *listed = NULL;
	char *dir = scratch_new();
	bool has_longest = false;
	const cJSON *items;
	struct host host;

	(void)state;
	for (int i = 0; i < n; i++)
		write_metadata(dir, names[i], "'" ROOT "'");
	start_local(&host, dir);
	listed = host_ask_json(&host, "{'op':'list_workers','limit':100}");
	items = json_at(listed, "items");
	assert_int_equal(cJSON_GetArraySize(items), n);
	for (int i = 0; i < n; i++) {
		check_generated_worker(&host, items, i);
		has_longest |= strlen(json_string_at(cJSON_GetArrayItem(items, i), "worker_id")) == 120;
	}
	assert_true(has_longest);
	assert_string_not_equal(worker_id_for_pod("foo.bar").text, worker_id_for_pod("foo-bar").text);
	assert_true(has_id(items, n, worker_id_for_pod("foo.bar").text));
	assert_true(has_id(items, n, worker_id_for_pod("foo-bar").text));
	host_stop(&host);
	scratch_remove(dir);
}

/* ---- The embedded runtime ---- */

static const char *const forbidden_words[] = {
	ROOT, "metadata.json", "session", "socket", "token", "credential", "provider", NULL,
};

static void check_embedded_summary(struct host *host)
{
	CLEANUP_JSON cJSON *runtimes = host_ask_json(host, "{'op':'list_runtimes','limit':10}");
	const cJSON *embedded = json_at(runtimes, "items.1");

	assert_at(embedded, "runtime_id", EMBEDDED);
	assert_at(embedded, "source.kind", "embedded_worker_runtime");
	assert_at(embedded, "source.status", "active");
	assert_true_at(embedded, "capabilities.can_spawn_worker");
	assert_true_at(embedded, "capabilities.can_accept_input");
	assert_true_at(embedded, "capabilities.can_read_bounded_transcript");
	assert_free_of(embedded, forbidden_words);
}

static cJSON *spawn_coder(struct host *host)
{
	cJSON *spawned = host_ask_json(
		host, "{'op':'spawn_worker','runtime_id':'" EMBEDDED "','request':{"
		      "'intent':{'kind':'ticket_role','ticket_id':'00001KVZSGT0Q','role':'coder'},"
		      "'requested_worker_name':'friendly-name-is-not-authority',"
		      "'acceptance':{'kind':'run_accepted','expected_segments':0}}}");
	bool has_projection = false;
	const cJSON *evidence;

	assert_at(spawned, "state", "accepted");
	cJSON_ArrayForEach(evidence, json_at(spawned, "acceptance_evidence"))
		has_projection |= strcmp(json_string_at(evidence, "kind"),
					 "embedded_runtime_backend_internal_projection") == 0;
	assert_true(has_projection);
	assert_at(spawned, "worker.runtime_id", EMBEDDED);
	assert_at(spawned, "worker.workspace.visibility", "backend_internal");
	assert_at(spawned, "worker.workspace.identity", "runtime_registry_worker");
	assert_at(spawned, "worker.implementation.kind", "embedded_worker_runtime");
	assert_at(spawned, "worker.profile", "builtin:coder");
	assert_true_at(spawned, "worker.capabilities.can_accept_input");
	assert_true_at(spawned, "worker.capabilities.can_read_bounded_transcript");
	assert_free_of(json_at(spawned, "worker"), forbidden_words);
	return spawned;
}

static void check_input_and_transcript(struct host *host, const char *id)
{
	CLEANUP_JSON cJSON *input = NULL, *transcript = NULL;

	input = host_ask_json(host, "{'op':'send_input','runtime_id':'" EMBEDDED "','worker_id':'%s',"
				    "'request':{'kind':'user','content':'hello embedded runtime'}}", id);
	assert_at(input, "state", "accepted");
	assert_at(input, "runtime_id", EMBEDDED);
	assert_at(input, "worker_id", id);
	assert_int_equal((int)cJSON_GetNumberValue(json_at(input, "transcript_sequence")), 1);
	transcript = host_ask_json(host, "{'op':'transcript','runtime_id':'" EMBEDDED "','worker_id':'%s',"
					 "'start':0,'limit':10}", id);
	assert_at(transcript, "state", "accepted");
	assert_int_equal(count_at(transcript, "items"), 1);
	assert_at(transcript, "items.0.role", "user");
	assert_at(transcript, "items.0.content", "hello embedded runtime");
	assert_free_of(transcript, forbidden_words);
}

static void embedded_runtime_registers_routes_input_and_transcript_without_internal_leaks(void **state)
{
	CLEANUP_JSON cJSON *spawned = NULL, *wrong_runtime = NULL;
	char *dir = scratch_new();
	struct host host;
	const char *id;

	(void)state;
	host_start(&host, &(struct host_setup){ .adapters = "local-pod,embedded", .root = ROOT, .data_dir = dir });
	check_embedded_summary(&host);
	spawned = spawn_coder(&host);
	id = json_string_at(spawned, "worker.worker_id");
	check_input_and_transcript(&host, id);
	wrong_runtime = host_ask_json(&host, "{'op':'send_input','runtime_id':'" LOCAL "','worker_id':'%s',"
					     "'request':{'kind':'user','content':'wrong runtime'}}", id);
	assert_at(wrong_runtime, "error.kind", "unknown_worker");
	assert_at(wrong_runtime, "error.runtime_id", LOCAL);
	assert_at(wrong_runtime, "error.worker_id", id);
	host_stop(&host);
	scratch_remove(dir);
}

static void embedded_runtime_rejects_socket_ready_acceptance_without_socket_identity(void **state)
{
	CLEANUP_JSON cJSON *result = NULL;
	struct host host;

	(void)state;
	host_start(&host, &(struct host_setup){ .adapters = "embedded" });
	result = host_ask_json(&host, "{'op':'spawn_worker','runtime_id':'" EMBEDDED "','request':{"
				      "'intent':{'kind':'workspace_companion'},'requested_worker_name':null,"
				      "'acceptance':{'kind':'socket_ready'}}}");
	assert_at(result, "state", "rejected");
	assert_null(cJSON_GetObjectItemCaseSensitive(result, "worker"));
	assert_true(json_has_code(result, "diagnostics", "embedded_runtime_no_socket"));
	host_stop(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registry_worker_lookup_is_scoped_by_runtime_id),
		cmocka_unit_test(registry_worker_lookup_reports_unknown_runtime_and_worker_separately),
		cmocka_unit_test(local_runtime_reports_host_without_private_paths),
		cmocka_unit_test(registry_lists_runtimes_hosts_and_workers),
		cmocka_unit_test(registry_resolves_backend_validated_host_ids),
		cmocka_unit_test(local_runtime_excludes_other_workspace_metadata),
		cmocka_unit_test(local_runtime_worker_detail_is_safe_and_bounded),
		cmocka_unit_test(embedded_runtime_registers_routes_input_and_transcript_without_internal_leaks),
		cmocka_unit_test(embedded_runtime_rejects_socket_ready_acceptance_without_socket_identity),
		cmocka_unit_test(generated_worker_ids_are_opaque_bounded_unique_and_resolvable),
	};

	return cmocka_run_group_tests_name("seed", tests, NULL, NULL);
}
