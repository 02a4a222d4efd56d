/* SPDX-License-Identifier: MIT */
/*
 * What holds of whatever is pushed, of hosts and workers in lists, and of workers that are
 * looked up. A runtime may be at work meanwhile: what is compared is what two lists, one
 * before and one behind, agree on.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/conformance/check.h"
#include "core/conformance/events.h"
#include "core/conformance/host.h"
#include "core/conformance/probe.h"
#include "core/conformance/spawned.h"
#include "core/conformance/survey.h"

enum {
	TRIES = 5,     /* until two lists agree */
	LOOK_UPS = 50, /* of a list */
};

/* A host with workers to look at, as far as the runtime lets there be some. */
static void begin(struct host *host, const struct subject *subject)
{
	host_open(host, subject, NULL);
	survey_populate(host);
}

static void end(struct host *host)
{
	spawned_stop_all(host);
	host_close(host);
}

/* ---- Limits: what the probe sees in every survey ---- */

static void expect_no(const struct subject *subject, enum fault fault)
{
	struct host host = { 0 };

	begin(&host, subject);
	survey_all(&host, NULL, NULL);
	survey_refusals(&host, NULL, NULL);
	end(&host);
	probe_expect_no(fault);
}

#define LIMIT_CHECK(name, fault)                                                                                       \
	static void check_##name(const struct subject *subject)                                                        \
	{                                                                                                              \
		expect_no(subject, fault);                                                                             \
	}

LIMIT_CHECK(identifiers, FAULT_IDENTIFIER)
LIMIT_CHECK(members, FAULT_MEMBER)
LIMIT_CHECK(diagnostics, FAULT_DIAGNOSTIC)
LIMIT_CHECK(late, FAULT_LATE)
LIMIT_CHECK(misplaced, FAULT_MISPLACED)
LIMIT_CHECK(returns, FAULT_RETURN)

/* ---- Lists ---- */

/* What there are lists of. */
struct kind {
	const char *op, *capability, *key, *name; /* key: of the id in an item */
};

static const struct kind hosts = { "list_hosts", "can_list_hosts", "host_id", "host" };
static const struct kind workers = { "list_workers", "can_list_workers", "worker_id", "worker" };

static cJSON *list(struct host *host, const struct kind *kind, uint64_t limit)
{
	return host_ask_json(host, "{'op':'%s','limit':%llu}", kind->op, (unsigned long long)limit);
}

/* Whether two lists have the same items in the same order. */
static bool same_ids(const cJSON *a, const cJSON *b, const struct kind *kind)
{
	const cJSON *x = json_items(a)->child, *y = json_items(b)->child;

	for (; x && y; x = x->next, y = y->next)
		if (strcmp(json_string(x, kind->key), json_string(y, kind->key)) != 0)
			return false;
	return !x && !y;
}

/* Whether the other list has all of these. */
static bool has_all(const cJSON *list, const cJSON *some, const struct kind *kind)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, json_items(some))
		if (!json_find(json_items(list), kind->key, json_string(item, kind->key)))
			return false;
	return true;
}

/* Where the runtime stands still, a list of so many has as many as there are. What is
 * neither in the list before nor in the one behind has come and gone in between. */
static void expect_exact(struct host *host, const struct kind *kind, uint64_t limit)
{
	for (int i = 0; i < TRIES; i++) {
		CLEANUP(json_delete) cJSON *before = list(host, kind, SURVEY_LIMIT), *part = list(host, kind, limit);
		CLEANUP(json_delete) cJSON *after = list(host, kind, SURVEY_LIMIT);
		size_t n = json_n_items(before), wanted = n < limit ? n : (size_t)limit;

		if (!same_ids(before, after, kind) || !has_all(before, part, kind))
			continue;
		if (json_n_items(part) != wanted)
			check_fail("%s with the limit %llu gives %zu, where there are %zu; %zu are expected", kind->op,
				   (unsigned long long)limit, json_n_items(part), n, wanted);
		return;
	}
	check_note("%s never stood still", kind->op);
}

static void expect_all_exact(struct host *host, const struct kind *kind)
{
	CLEANUP(json_delete) cJSON *all = list(host, kind, SURVEY_LIMIT);
	const uint64_t n = json_n_items(all),
		       limits[] = { 1, 2, 3, n > 1 ? n - 1 : 1, n > 0 ? n : 1, n + 1, UINT64_MAX };

	/* What there are more of than one looks at cannot be counted so. */
	for (size_t i = 0; i < sizeof limits / sizeof *limits && n < SURVEY_LIMIT; i++)
		expect_exact(host, kind, limits[i]);
	check_note("%s: %llu", kind->op, (unsigned long long)n);
}

static void check_exact(const struct subject *subject)
{
	static const struct kind *const kinds[] = { &hosts, &workers };
	struct host host = { 0 };
	int n_declared = 0;

	begin(&host, subject);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (host_can(&host, kinds[i]->capability)) {
			expect_all_exact(&host, kinds[i]);
			n_declared++;
		}
	end(&host);
	if (n_declared == 0)
		check_skip("the runtime declares neither can_list_hosts nor can_list_workers");
}

/* What is declared is not left to the registry, whose answer is an empty list. */
static void expect_offered(const struct subject *subject, const struct kind *kind, bool is_there)
{
	struct host host = { 0 };

	if (!is_there)
		check_fail("the runtime declares %s, and the ops table has no %s", kind->capability, kind->op);
	begin(&host, subject);
	free(host_ask(&host, "{'op':'%s'}", kind->op));
	if (probe.last_returned == BERTH_DEFAULT)
		check_fail("the runtime declares %s, and %s leaves the answer to the registry", kind->capability,
			   kind->op);
	end(&host);
}

static void expect_unique(const struct subject *subject, const struct kind *kind)
{
	CLEANUP(json_delete) cJSON *all = NULL;
	struct host host = { 0 };
	const cJSON *item;

	begin(&host, subject);
	all = list(&host, kind, SURVEY_LIMIT);
	cJSON_ArrayForEach(
	    item, json_items(all)) if (json_find(json_items(all), kind->key, json_string(item, kind->key)) != item)
	    check_fail("%s gives the %s %s twice in one answer", kind->op, kind->name, json_string(item, kind->key));
	end(&host);
}

/* Items that both lists have stand in the same order. */
static void expect_same_order(const cJSON *a, const cJSON *b, const struct kind *kind)
{
	const cJSON *place = json_items(a)->child, *item;

	cJSON_ArrayForEach(item, json_items(b))
	{
		const char *id = json_string(item, kind->key);

		if (!json_find(json_items(a), kind->key, id))
			continue;
		while (place && strcmp(json_string(place, kind->key), id) != 0)
			place = place->next;
		if (!place)
			check_fail(
			    "%s gives the %s %s in another place than before; the order has to be the same each time",
			    kind->op, kind->name, id);
	}
}

static void expect_order(const struct subject *subject, const struct kind *kind)
{
	static const uint64_t limits[] = { SURVEY_LIMIT, 1, 2, 3, SURVEY_LIMIT };
	CLEANUP(json_delete) cJSON *first = NULL;
	struct host host = { 0 };

	begin(&host, subject);
	first = list(&host, kind, SURVEY_LIMIT);
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		CLEANUP(json_delete) cJSON *again = list(&host, kind, limits[i]);

		expect_same_order(first, again, kind);
	}
	end(&host);
}

static void check_hosts_offered(const struct subject *subject)
{
	expect_offered(subject, &hosts, host_adapter(subject)->ops.list_hosts);
}

static void check_hosts_unique(const struct subject *subject)
{
	expect_unique(subject, &hosts);
}

static void check_hosts_order(const struct subject *subject)
{
	expect_order(subject, &hosts);
}

static void check_workers_offered(const struct subject *subject)
{
	expect_offered(subject, &workers, host_adapter(subject)->ops.list_workers);
}

static void check_workers_unique(const struct subject *subject)
{
	expect_unique(subject, &workers);
}

static void check_workers_order(const struct subject *subject)
{
	expect_order(subject, &workers);
}

/* ---- Hosts that others speak of ---- */

static void expect_host(const cJSON *all, const char *host_id, const char *who, const char *id)
{
	if (!json_find(json_items(all), "host_id", host_id))
		check_fail("%s %s names the host %s, which list_hosts does not give", who, id, host_id);
}

/* False where the hosts have changed meanwhile. */
static bool try_agreement(struct host *host)
{
	CLEANUP(json_delete)
	cJSON *before = list(host, &hosts, SURVEY_LIMIT),
	      *all = list(host, &workers, SURVEY_LIMIT);
	CLEANUP(json_delete) cJSON *runtimes = host_ask_json(host, "{'op':'list_runtimes'}");
	CLEANUP(json_delete) cJSON *after = list(host, &hosts, SURVEY_LIMIT);
	const cJSON *runtime = json_items(runtimes)->child, *item;

	if (probe.last_returned == BERTH_DEFAULT)
		check_skip("list_hosts leaves the answer to the registry, so there is nothing to agree with");
	if (!same_ids(before, after, &hosts))
		return false;
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(runtime, "host_ids"))
	    expect_host(before, item->valuestring, "the runtime", host->runtime_id);
	/* A worker of another runtime lives on a host of that. */
	cJSON_ArrayForEach(item, json_items(all)) if (strcmp(json_string(item, "runtime_id"), host->runtime_id) == 0)
	    expect_host(before, json_string(item, "host_id"), "worker", json_string(item, "worker_id"));
	return true;
}

static void check_hosts_agree(const struct subject *subject)
{
	struct host host = { 0 };
	int tries = 0;

	begin(&host, subject);
	while (tries < TRIES && !try_agreement(&host))
		tries++;
	if (tries == TRIES)
		check_note("the hosts never stood still");
	end(&host);
}

/* ---- Looking workers up ---- */

/* What both lists have to the letter is looked up so; of what has changed, the id is. */
static void expect_looked_up(const cJSON *before, const cJSON *after, const cJSON *found)
{
	const char *worker_id = json_string(before, "worker_id");
	CLEANUP_FREE char *listed = NULL, *looked_up = NULL;

	if (cJSON_GetObjectItem(found, "error"))
		check_fail("list_workers gives the worker %s before and after, and in between it is %s", worker_id,
			   json_string(cJSON_GetObjectItem(found, "error"), "kind"));
	if (strcmp(json_string(found, "worker_id"), worker_id) != 0)
		check_fail("looked up, the worker %s is %s", worker_id, json_string(found, "worker_id"));
	if (!cJSON_Compare(before, after, true) || cJSON_Compare(before, found, true))
		return;
	listed = cJSON_PrintUnformatted(before);
	looked_up = cJSON_PrintUnformatted(found);
	check_fail("the worker %s is listed as %.300s and looked up as %.300s", worker_id, listed, looked_up);
}

static void check_agrees(const struct subject *subject)
{
	CLEANUP(json_delete) cJSON *before = NULL, *after = NULL, *answers = cJSON_CreateObject();
	struct host host = { 0 };
	const cJSON *item;
	int n = 0;

	begin(&host, subject);
	before = list(&host, &workers, LOOK_UPS);
	cJSON_ArrayForEach(item, json_items(before))
	{
		const char *worker_id = json_string(item, "worker_id");

		if (strcmp(json_string(item, "runtime_id"), host.runtime_id) == 0 &&
		    !cJSON_GetObjectItemCaseSensitive(answers, worker_id))
			cJSON_AddItemToObject(answers, worker_id,
					      host_ask_json(&host, "{'op':'worker','runtime_id':'%s','worker_id':'%s'}",
							    host.runtime_id, worker_id));
	}
	probe_expect_no(FAULT_OTHER);
	after = list(&host, &workers, SURVEY_LIMIT);
	cJSON_ArrayForEach(item, json_items(before))
	{
		const char *worker_id = json_string(item, "worker_id");
		const cJSON *again = json_find(json_items(after), "worker_id", worker_id);
		const cJSON *found = cJSON_GetObjectItemCaseSensitive(answers, worker_id);

		if (!again || !found)
			continue;
		expect_looked_up(item, again, found);
		n++;
	}
	check_note("%d workers were looked up", n);
	end(&host);
}

/* ---- Workers that are not there ---- */

/* Each operation on a worker, with a request that is in order; those that are not are tried
 * by refusals/unknown. */
static const struct {
	const char *before, *after; /* the id of the worker */
} of_worker[] = {
	{ "'op':'worker','worker_id':'", "'" },
	{ "'op':'transcript','worker_id':'", "','limit':1" },
	{ "'op':'connect_points','worker_id':'", "'" },
	{ "'op':'stop_worker','request':{'worker_id':'", "','mode':'graceful'}" },
	{ "'op':'stop_worker','request':{'worker_id':'", "','mode':'force'}" },
	{ "'op':'send_input','worker_id':'", "','request':{'content':'x'}" },
};

enum {
	N_OF_WORKER = sizeof of_worker / sizeof *of_worker,
	N_READING = 3, /* the first of them */
};

static void expect_unknown(struct host *host, const char *worker_id, size_t n_requests)
{
	for (size_t i = 0; i < n_requests; i++) {
		CLEANUP(json_delete)
		cJSON *answer = host_ask_json(host, "{'runtime_id':'%s',%s%s%s}", host->runtime_id, of_worker[i].before,
					      worker_id, of_worker[i].after);
		CLEANUP_FREE char *text = NULL;

		if (json_is_error(answer, "unknown_worker"))
			continue;
		text = cJSON_PrintUnformatted(answer);
		check_fail("there is no such worker, and {%s%s%s} is answered with %.300s; -ENOENT is expected",
			   of_worker[i].before, worker_id, of_worker[i].after, text);
	}
}

/* Ids that are nearly that of a worker. Only reading is tried with them: they may be
 * those of workers that are not listed. */
static void expect_neighbours_unknown(struct host *host, const char *worker_id)
{
	static const struct {
		const char *before, *after;
	} forms[] = { { "", ":x" }, { "", "0" }, { "x", "" }, { ":", "" } };
	CLEANUP(json_delete) cJSON *all = NULL;

	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		char id[BERTH_ID_MAX + 8];

		snprintf(id, sizeof id, "%s%s%s", forms[i].before, worker_id, forms[i].after);
		cJSON_Delete(all);
		all = list(host, &workers, SURVEY_LIMIT);
		if (strlen(id) <= BERTH_ID_MAX && json_n_items(all) < SURVEY_LIMIT &&
		    !json_find(json_items(all), "worker_id", id))
			expect_unknown(host, id, N_READING);
	}
}

static void check_unknown(const struct subject *subject)
{
	CLEANUP(json_delete) cJSON *all = NULL;
	char longest[BERTH_ID_MAX + 1];
	struct host host = { 0 };
	const cJSON *first;

	begin(&host, subject);
	memset(longest, 'z', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	expect_unknown(&host, SURVEY_NOBODY, N_OF_WORKER);
	expect_unknown(&host, longest, N_OF_WORKER);
	expect_unknown(&host, ":", N_READING);
	all = list(&host, &workers, 1);
	first = json_items(all)->child;
	if (first)
		expect_neighbours_unknown(&host, json_string(first, "worker_id"));
	end(&host);
}

/* ---- What is not declared ---- */

static void expect_none(struct host *host, const struct kind *kind)
{
	CLEANUP(json_delete) cJSON *all = list(host, kind, SURVEY_LIMIT);

	if (json_n_items(all) > 0)
		check_fail("the runtime does not declare %s, and %s gives %zu", kind->capability, kind->op,
			   json_n_items(all));
}

static void expect_not_accepted(const cJSON *answer, const char *capability, const char *op)
{
	if (strcmp(json_string(answer, "state"), "accepted") == 0)
		check_fail("the runtime does not declare %s, and %s is accepted", capability, op);
}

static void expect_no_spawn(struct host *host)
{
	for (size_t i = 0; i < n_spawn_ways; i++) {
		CLEANUP(json_delete) cJSON *answer = spawned_ask(host, &spawn_ways[i], "");

		expect_not_accepted(answer, "can_spawn_worker", "spawn_worker");
	}
}

static void expect_no_events(struct host *host)
{
	CLEANUP(json_delete) cJSON *answer = events_read(host, NULL, 1);

	expect_not_accepted(answer, "can_stream_events", "read_events");
}

/* What acts on a worker is tried on one that was spawned for it. */
static const struct action {
	const char *capability, *op, *before, *after; /* the id of the worker */
} actions[] = {
	{ "can_accept_input", "send_input", "'worker_id':'", "','request':{'content':'x'}" },
	{ "can_read_bounded_transcript", "transcript", "'worker_id':'", "','limit':1" },
	{ "can_stop_worker", "stop_worker", "'request':{'worker_id':'", "','mode':'force'}" },
};

static void expect_no_action(struct host *host, const struct action *action, const char *worker_id)
{
	CLEANUP(json_delete)
	cJSON *answer = host_ask_json(host, "{'op':'%s','runtime_id':'%s',%s%s%s}", action->op, host->runtime_id,
				      action->before, worker_id, action->after);

	expect_not_accepted(answer, action->capability, action->op);
}

static void check_undeclared(const struct subject *subject)
{
	static const struct kind *const kinds[] = { &hosts, &workers };
	char worker_id[BERTH_ID_MAX + 1];
	struct host host = { 0 };
	int n_tried = 0;

	host_open(&host, subject, NULL);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (!host_can(&host, kinds[i]->capability)) {
			expect_none(&host, kinds[i]);
			n_tried++;
		}
	if (!host_can(&host, "can_spawn_worker")) {
		expect_no_spawn(&host);
		n_tried++;
	}
	if (!host_can(&host, "can_stream_events")) {
		expect_no_events(&host);
		n_tried++;
	}
	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
		if (!host_can(&host, actions[i].capability) && spawned_try(&host, worker_id, NULL)) {
			expect_no_action(&host, &actions[i], worker_id);
			n_tried++;
		}
	end(&host);
	if (n_tried == 0)
		check_skip("the runtime declares every capability that could be tried");
}

const struct check checks_lists[] = {
	{ "limits/identifiers", "each identifier that is pushed is one: 1 to 120 bytes of A-Z a-z 0-9 - _ :", NULL,
	  check_identifiers },
	{ "limits/members", "required members are there, texts are UTF-8 and of bounded length", NULL, check_members },
	{ "limits/diagnostics", "an item or answer has at most 16 diagnostics, each with code and message", NULL,
	  check_diagnostics },
	{ "limits/late", "nothing is pushed after a push has returned 1, nor where the limit is 0", NULL, check_late },
	{ "limits/exact", "a list with a limit has that many items, or all that there are", NULL, check_exact },
	{ "limits/misplaced", "what is pushed belongs to the operation, behind its answer, and a head comes once", NULL,
	  check_misplaced },
	{ "limits/returns", "an operation returns what the contract names, and gives a reason where it fails", NULL,
	  check_returns },
	{ "hosts/offered", "where hosts can be listed, the adapter lists them", "can_list_hosts", check_hosts_offered },
	{ "hosts/unique", "a list has each host once", "can_list_hosts", check_hosts_unique },
	{ "hosts/order", "hosts stand in the same order in every list", "can_list_hosts", check_hosts_order },
	{ "hosts/agree", "a host that the runtime or one of its workers names is listed", "can_list_hosts",
	  check_hosts_agree },
	{ "workers/offered", "where workers can be listed, the adapter lists them", "can_list_workers",
	  check_workers_offered },
	{ "workers/unique", "a list has each worker once", "can_list_workers", check_workers_unique },
	{ "workers/order", "workers stand in the same order in every list", "can_list_workers", check_workers_order },
	{ "lookup/agrees", "a worker is looked up as it is listed", "can_get_worker", check_agrees },
	{ "lookup/unknown", "a worker that is not there is unknown to every operation", NULL, check_unknown },
	{ "capabilities/undeclared", "what the runtime does not declare it does not do", NULL, check_undeclared },
	{ NULL, NULL, NULL, NULL },
};
