/* SPDX-License-Identifier: MIT */
/* The parts of the adapter of clusters that ask nobody: what things are called, what the drop-in says, what
 * callers are told, and who is there. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "failure.h"
#include "names.h"
#include "roles.h"
#include "roster.h"

#define S UINT64_C(1000000000)

/* ---- Names ---- */

static void names(void **state)
{
	static const char *const bad[] = {
		"", "worker-", "worker-0123456789abcdef012", "worker-0123456789abcdef01234", "worker-0123456789ABCDEF0123",
		"worker-0123456789abcdef012/", "Worker-0123456789abcdef0123", "worker-0123456789abcdef012\t",
	};
	static const char *const foreign[] = {
		"", "berth", "berth-0123456789ab-", "berth-0123456789ac-0123456789abcdef0123", "berth-0123456789ab-0123456789abcdef012",
		"berth_0123456789ab-0123456789abcdef0123", "berth-0123456789ab_0123456789abcdef0123",
		"berth-0123456789ab-0123456789abcdef01234", "berth-0123456789ab-0123456789abcdef012g",
	};
	char key[NAMES_KEY_LEN + 1], again[NAMES_KEY_LEN + 1], id[NAMES_WORKER_LEN + 1], name[NAMES_CONTAINER_LEN + 1];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(names_key_of_worker(berth_text(bad[i]), key));
	assert_false(names_key_of_worker((struct berth_text){ "worker-0123456789abcdef\0" "123", NAMES_WORKER_LEN }, key));
	for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
		assert_false(names_key_of_container(foreign[i], "0123456789ab", key));
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(names_new_key(berth_text(NULL), key), 0);
		assert_int_equal(names_new_key(berth_text(NULL), again), 0);
		assert_string_not_equal(key, again);
		assert_true(names_key_of_worker(names_worker(key, id), again));
		assert_string_equal(key, again);
		names_container("0123456789ab", key, name);
		assert_true(names_key_of_container(name, "0123456789ab", again));
		assert_string_equal(key, again);
	}
}

/* Containers are found again by them, so they are the same in every version. */
static void names_stay(void **state)
{
	static const struct berth_text empty = BERTH_TEXT(""), one = BERTH_TEXT("one");
	char key[NAMES_KEY_LEN + 1], host_id[NAMES_HOST_LEN + 1];

	(void)state;
	assert_int_equal(names_new_key(one, key), 0);
	assert_string_equal(key, "4a2b1a168a1ed17f5b0d");
	assert_int_equal(names_new_key(empty, key), 0);
	assert_string_equal(key, "1cfc592773b34e5686b3");
	assert_int_equal(names_host("north", host_id), 0);
	assert_string_equal(host_id, "incus-host-d6e9929a2a6ec6c6");
}

/* ---- Roles ---- */

static void roles_refused(void **state)
{
	static const struct {
		const char *text, *reason;
	} rows[] = {
		{ "", "option roles: an object is expected" },
		{ "[]", "option roles: an object is expected" },
		{ "{\"poet\":{}}", "option roles: there is no role poet" },
		{ "{\"coder\":[]}", "option roles: coder: an object is expected" },
		{ "{\"coder\":{}}", "option roles: coder: the key image is missing" },
		{ "{\"coder\":{\"image\":\"\"}}", "option roles: coder.image: a text is expected" },
		{ "{\"coder\":{\"image\":7}}", "option roles: coder.image: a text is expected" },
		{ "{\"coder\":{\"image\":\"x\"}}", "option roles: coder: the key command is missing" },
		{ "{\"coder\":{\"image\":\"x\",\"command\":\"y\"}}", "option roles: coder.command: a list of texts is expected" },
		{ "{\"coder\":{\"image\":\"x\",\"command\":[1]}}", "option roles: coder.command: a list of texts is expected" },
		{ "{\"coder\":{\"image\":\"x\",\"command\":[]}}", "option roles: coder.command: a program is expected, found nothing" },
		{ "{\"coder\":{\"image\":\"x\",\"command\":[\"y\"],\"processes\":0}}",
		  "option roles: coder.processes: a whole number above 0 is expected" },
		{ "{\"coder\":{\"image\":\"x\",\"command\":[\"y\"],\"processes\":1e300}}",
		  "option roles: coder.processes: a whole number above 0 is expected" },
		{ "{\"coder\":{\"image\":\"x\",\"command\":[\"y\"],\"input\":\"xml\"}}",
		  "option roles: coder.input: text or json is expected, found xml" },
		{ "{\"coder\":{\"image\":\"x\",\"command\":[\"y\"],\"supervisor\":\"init\"}}",
		  "option roles: coder.supervisor: an absolute path is expected, found init" },
		{ "{\"coder\":{\"image\":\"x\",\"command\":[\"y\"],\"ram\":1}}", "option roles: coder: there is no key ram" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct roles *roles = NULL;
		struct reason reason = { "" };

		assert_int_equal(roles_read(rows[i].text, &roles, &reason), -EINVAL);
		assert_null(roles);
		assert_string_equal(reason.text, rows[i].reason);
	}
}

static void roles_found(void **state)
{
	struct roles *roles = NULL;
	struct reason reason;
	struct role role;

	(void)state;
	assert_int_equal(roles_read("{\"*\":{\"image\":\"all\",\"command\":[\"a\"]},\"coder\":{\"image\":\"c\",\"command\":[\"b\"],"
				    "\"processes\":7,\"input\":\"json\",\"memory\":\"1GiB\"}}", &roles, &reason), 0);
	assert_true(roles_find(roles, "coder", &role));
	assert_string_equal(role.image, "c");
	assert_true(role.processes == 7 && role.takes_json);
	assert_string_equal(role.memory, "1GiB");
	assert_true(roles_find(roles, "reviewer", &role));
	assert_string_equal(role.image, "all");
	assert_true(role.processes == 0 && !role.takes_json && !role.memory && !role.profiles);
	roles_free(roles);
	assert_int_equal(roles_read("{\"coder\":{\"image\":\"c\",\"command\":[\"b\"]}}", &roles, &reason), 0);
	assert_false(roles_find(roles, "reviewer", &role));
	roles_free(roles);
}

/* ---- Failures ---- */

static void failures(void **state)
{
	(void)state;
	for (int i = 0; i < N_FAILURES; i++) {
		const struct berth_diagnostic *diagnostic = failure_diagnostic((enum failure)i);

		assert_int_equal(diagnostic->size, sizeof *diagnostic);
		assert_int_equal(strspn(diagnostic->code.ptr, "abcdefghijklmnopqrstuvwxyz_"), diagnostic->code.len);
		assert_true(diagnostic->message.len > 20 && !strpbrk(diagnostic->message.ptr, "/\\\n"));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(failure_diagnostic((enum failure)j)->code.ptr, diagnostic->code.ptr);
	}
	/* What nobody has thought of is a refusal, which the log explains. */
	assert_int_equal(failure_of(-EIO), FAILURE_REFUSED);
	assert_int_equal(failure_of(-EBUSY), FAILURE_REFUSED);
	assert_int_equal(failure_of(-ENOSPC), FAILURE_DISK_FULL);
}

/* ---- The roster ---- */

static const char mark[] = "mark", workspace[] = "0123456789ab";

static struct moment at(uint64_t seconds)
{
	return (struct moment){ seconds * S, seconds * S };
}

/* One that the cluster lists; NULL: its member is down. */
static struct worker worker_of(unsigned number, const char *status, uint64_t asked_s)
{
	char text[512], config[256] = "{}";
	struct worker worker;
	cJSON *json;

	if (status)
		snprintf(config, sizeof config, "{\"user.berth.workspace\":\"mark\",\"user.berth.step\":\"made\","
			 "\"user.berth.role\":\"coder\",\"user.berth.name\":\"Kaya %u\"}", number);
	snprintf(text, sizeof text, "{\"name\":\"berth-%s-%020u\",\"location\":\"north\",\"status\":\"%s\",\"config\":%s,"
		 "\"created_at\":\"1970-01-01T00:00:%02u.5Z\"}", workspace, number, status ? status : "Error", config, number % 60);
	json = cJSON_Parse(text);
	assert_non_null(json);
	assert_int_equal(worker_read(json, workspace, mark, at(asked_s), &worker), 0);
	cJSON_Delete(json);
	return worker;
}

/* What was told after an event, in words; the last one's identifier. */
static uint64_t told(struct roster *roster, uint64_t after, const char *expected)
{
	struct event events[64];
	char text[1024] = "";
	bool more;
	size_t n = roster_events(roster, after, events, 64, &more);

	for (size_t i = 0; i < n; i++) {
		assert_true(events[i].id > after);
		after = events[i].id;
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s %d; ", events[i].kind, atoi(events[i].key));
	}
	assert_false(more);
	assert_string_equal(text, expected);
	return after;
}

static void take(struct roster *roster, uint64_t asked_s, size_t n, struct worker *workers)
{
	assert_int_equal(roster_replace(roster, &(struct roster_list){ workers, n, at(asked_s) }), 0);
}

static void roster_tells(void **state)
{
	struct roster *roster = roster_new();
	struct worker worker;
	uint64_t last;

	(void)state;
	assert_non_null(roster);
	take(roster, 100, 2, (struct worker[]){ worker_of(1, "Stopped", 100), worker_of(2, "Running", 100) });
	last = told(roster, 0, "worker_created 1; worker_created 2; worker_stopped 1; ");
	take(roster, 101, 2, (struct worker[]){ worker_of(1, "Stopped", 101), worker_of(2, "Running", 101) });
	last = told(roster, last, "");
	take(roster, 102, 2, (struct worker[]){ worker_of(1, "Running", 102), worker_of(3, "Running", 102) });
	last = told(roster, last, "worker_started 1; worker_removed 2; worker_created 3; ");
	take(roster, 103, 2, (struct worker[]){ worker_of(1, "Frozen", 103), worker_of(3, "Odd", 103) });
	last = told(roster, last, "worker_frozen 1; worker_faulty 3; ");
	take(roster, 104, 2, (struct worker[]){ worker_of(1, NULL, 104), worker_of(3, NULL, 104) });
	last = told(roster, last, "worker_unreachable 1; worker_unreachable 3; ");
	assert_true(roster_find(roster, "00000000000000000001", &worker));
	assert_string_equal(worker.label, "Kaya 1");
	assert_int_equal(worker.status, WORKER_UNREACHABLE);
	assert_int_equal(worker.last_status, WORKER_FROZEN);
	assert_int_equal(worker.seen.wall_ns, 103 * S);
	take(roster, 105, 2, (struct worker[]){ worker_of(1, "Running", 105), worker_of(3, "Running", 105) });
	last = told(roster, last, "worker_started 1; worker_started 3; ");
	worker = worker_of(4, "Running", 106);
	assert_int_equal(roster_enter(roster, &worker, at(106)), 0);
	roster_remove(roster, "00000000000000000003", 107 * S);
	roster_remove(roster, "00000000000000000003", 108 * S);
	told(roster, last, "worker_created 4; worker_removed 3; ");
	roster_free(roster);
}

/* Of what the cluster lists and what it tells, the one may overtake the other. */
static void roster_joins(void **state)
{
	struct roster *roster = roster_new();
	struct worker worker;
	uint64_t last;

	(void)state;
	assert_non_null(roster);
	assert_false(roster_note(roster, "00000000000000000001", WORKER_STOPPED, 99 * S, at(99)));
	take(roster, 100, 1, (struct worker[]){ worker_of(1, "Running", 100) });
	last = told(roster, 0, "worker_created 1; ");
	/* What has passed between two lists. */
	assert_true(roster_note(roster, "00000000000000000001", WORKER_STOPPED, 101 * S, at(101)));
	assert_true(roster_note(roster, "00000000000000000001", WORKER_RUNNING, 101 * S, at(101)));
	last = told(roster, last, "worker_stopped 1; worker_started 1; ");
	/* A list, and a look-up, that were asked for before something was heard. */
	assert_true(roster_note(roster, "00000000000000000001", WORKER_STOPPED, 110 * S, at(110)));
	take(roster, 109, 1, (struct worker[]){ worker_of(1, "Running", 109) });
	worker = worker_of(1, "Running", 109);
	assert_int_equal(roster_enter(roster, &worker, at(109)), 0);
	assert_int_equal(worker.status, WORKER_STOPPED);
	last = told(roster, last, "worker_stopped 1; ");
	/* A list that shows it before it is heard. */
	take(roster, 120, 1, (struct worker[]){ worker_of(1, "Running", 120) });
	assert_true(roster_note(roster, "00000000000000000001", WORKER_RUNNING, 119 * S, at(121)));
	last = told(roster, last, "worker_started 1; ");
	/* One that was made while the list was on its way stays. */
	worker = worker_of(2, "Running", 131);
	assert_int_equal(roster_enter(roster, &worker, at(131)), 0);
	take(roster, 130, 1, (struct worker[]){ worker_of(1, "Running", 130) });
	told(roster, last, "worker_created 2; ");
	roster_free(roster);
}

/* A wall clock that is set back takes nothing with it, and identifiers rise. */
static void roster_clocks(void **state)
{
	struct roster *roster = roster_new();
	struct worker worker = worker_of(1, "Running", 1000);
	uint64_t last;

	(void)state;
	assert_non_null(roster);
	take(roster, 1000, 1, &worker);
	last = told(roster, 0, "worker_created 1; ");
	worker = worker_of(1, "Stopped", 1000);
	worker.seen = (struct moment){ 10 * S, 1001 * S };
	assert_int_equal(roster_replace(roster, &(struct roster_list){ &worker, 1, worker.seen }), 0);
	last = told(roster, last, "worker_stopped 1; ");
	roster_note(roster, worker.key, WORKER_RUNNING, 5 * S, (struct moment){ 11 * S, 1002 * S });
	told(roster, last, "worker_started 1; ");
	roster_free(roster);
}

static void roster_forgets(void **state)
{
	enum { KEPT = 16384, MORE = 100 };
	struct roster *roster = roster_new();
	struct event *events = calloc(KEPT + MORE, sizeof *events);
	bool more;

	(void)state;
	assert_non_null(roster);
	assert_non_null(events);
	take(roster, 100, 1, (struct worker[]){ worker_of(1, "Running", 100) });
	for (unsigned i = 1; i < KEPT + MORE; i++)
		roster_note(roster, "00000000000000000001", i % 2 ? WORKER_STOPPED : WORKER_RUNNING, (200 + i) * S, at(200 + i));
	assert_int_equal(roster_events(roster, 0, events, KEPT + MORE, &more), KEPT);
	assert_false(more);
	for (size_t i = 0; i < KEPT; i++) {
		assert_int_equal(events[i].id, (200 + MORE + i) * S / 1000);
		assert_string_equal(events[i].kind, (MORE + i) % 2 ? "worker_stopped" : "worker_started");
	}
	assert_int_equal(roster_events(roster, events[9].id, events, 5, &more), 5);
	assert_true(more);
	assert_int_equal(events[0].id, (210 + MORE) * S / 1000);
	assert_int_equal(roster_events(roster, roster_last_event(roster), events, 5, &more), 0);
	free(events);
	roster_free(roster);
}

static void others_do_not_exist(void **state)
{
	static const char *const rows[] = {
		"{}", "{\"name\":7}", "{\"name\":\"web\",\"config\":{\"user.berth.workspace\":\"mark\"}}",
		"{\"name\":\"berth-0123456789ac-00000000000000000001\",\"config\":{\"user.berth.workspace\":\"mark\"}}",
		"{\"name\":\"berth-0123456789ab-00000000000000000001\",\"config\":{\"user.berth.workspace\":\"marks\"}}",
		"{\"name\":\"berth-0123456789ab-00000000000000000001\",\"config\":{\"user.berth.workspace\":[\"mark\"]}}",
		"{\"name\":\"berth-0123456789ab-00000000000000000001\",\"config\":{\"x\":\"\"}}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		cJSON *json = cJSON_Parse(rows[i]);
		struct worker worker;

		assert_non_null(json);
		assert_int_equal(worker_read(json, workspace, mark, at(1), &worker), -ENOENT);
		cJSON_Delete(json);
	}
}

static void times(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} rows[] = {
		{ "", 0 }, { "now", 0 }, { "1970-01-01T00:00:00Z", 0 }, { "1969-12-31T23:59:59Z", 0 }, { "0001-01-01T00:00:00Z", 0 },
		{ "1970-01-01T00:00:01", 0 }, { "1970-01-01T00:00:01+1", 0 }, { "1970-01-01T00:00:01ZZ", 0 },
		{ "9999-12-31T23:59:59Z", 0 }, { "1970-01-01T00:00:01+02:00", 0 }, { "1970-01-01T00:00:01Z", S },
		{ "1970-01-01T00:00:01.5Z", S + S / 2 }, { "1970-01-01T00:00:01.123456789Z", S + 123456789 },
		{ "1970-01-01T00:00:01.1234567899999Z", S + 123456789 }, { "1970-01-01T02:00:01+02:00", S },
		{ "1969-12-31T23:30:01-00:30", S },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_int_equal(worker_read_time(rows[i].text), rows[i].ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(names_stay),
		cmocka_unit_test(roles_refused),
		cmocka_unit_test(roles_found),
		cmocka_unit_test(failures),
		cmocka_unit_test(times),
		cmocka_unit_test(others_do_not_exist),
		cmocka_unit_test(roster_tells),
		cmocka_unit_test(roster_joins),
		cmocka_unit_test(roster_clocks),
		cmocka_unit_test(roster_forgets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
