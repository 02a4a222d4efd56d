/* SPDX-License-Identifier: MIT */
/*
 * Random operations on the embedded runtime give the same answers whatever its store
 * is: each sequence is asked of one in memory, then of one on disk that is ended and
 * opened again in between, and every answer is compared. BERTH_TEST_SEED repeats one.
 */
#include "config.h"

#include <stdio.h>

#include "tests/embedded.h"

enum { N_SEQUENCES = 24, N_REQUESTS = 300 };

/* ---- Random requests, which are the same for the same seed (xorshift) ---- */

static uint64_t random_state;

static uint64_t draw(uint64_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % below;
}

#define PICK(list) (list)[draw(sizeof(list) / sizeof *(list))]

static void write_intent(struct buffer *out)
{
	static const char *const intents[] = {
		"{'kind':'workspace_companion'}",
		"{'kind':'workspace_orchestrator'}",
		"{'kind':'ticket_role','ticket_id':'T','role':'intake'}",
		"{'kind':'ticket_role','ticket_id':'T','role':'orchestrator'}",
		"{'kind':'ticket_role','ticket_id':'T','role':'coder'}",
		"{'kind':'ticket_role','ticket_id':'T','role':'reviewer'}",
	};

	buffer_append_string(out, "'intent':");
	buffer_append_string(out, PICK(intents));
}

static void write_content(struct buffer *out)
{
	static const char *const pieces[] = {
		"a", "0123456789", " ", "\\n", "\\u0000", "\xc3\xa9", "\\ud83d\\ude00", "\\\"", "\xe2\x82\xac", "\\\\",
	};
	/* Now and then one that does not fit into a page, or into many. */
	uint64_t n = draw(10) > 0 ? draw(8) : draw(4) > 0 ? draw(3000) : draw(60000);

	buffer_append_char(out, '\'');
	while (n-- > 0)
		buffer_append_string(out, PICK(pieces));
	buffer_append_char(out, '\'');
}

/* A worker that is likely to be there. */
static void write_worker(struct buffer *out, uint64_t n_spawned)
{
	static const char *const odd[] = { "worker-00000000", "worker-ffffffff", "worker-7fffffffffffffff",
					   "worker-ffffffffffffffff", "none" };
	char id[32];

	snprintf(id, sizeof id, "worker-%08x", (unsigned)draw(n_spawned + 2) + (draw(8) > 0));
	buffer_append_string(out, draw(40) > 0 ? id : PICK(odd));
}

static void write_number(struct buffer *out, const char *key)
{
	static const uint64_t odd[] = { 0, 255, 256, 257, INT64_MAX, UINT64_MAX };
	char number[64];

	snprintf(number, sizeof number, ",'%s':%llu", key, (unsigned long long)(draw(4) > 0 ? draw(40) : PICK(odd)));
	buffer_append_string(out, number);
}

static void begin(struct buffer *out, const char *op)
{
	buffer_append_string(out, "{'op':'");
	buffer_append_string(out, op);
	buffer_append_string(out, "','runtime_id':'" EMBEDDED "'");
}

static void write_request(struct buffer *out, uint64_t *n_spawnedp)
{
	switch (draw(20)) {
	case 0:
	case 1:
		begin(out, "spawn_worker");
		buffer_append_string(out, ",'request':{");
		write_intent(out);
		buffer_append_string(out, ",'acceptance':{'kind':'run_accepted','expected_segments':0}}}");
		++*n_spawnedp;
		break;
	case 2:
		begin(out, "stop_worker");
		buffer_append_string(out, ",'request':{'worker_id':'");
		write_worker(out, *n_spawnedp);
		buffer_append_string(out, draw(2) ? "','mode':'force'}}" : "','mode':'graceful'}}");
		break;
	case 3:
		begin(out, "worker");
		buffer_append_string(out, ",'worker_id':'");
		write_worker(out, *n_spawnedp);
		buffer_append_string(out, "'}");
		break;
	case 4:
		buffer_append_string(out, "{'op':'list_workers'");
		write_number(out, "limit");
		buffer_append_char(out, '}');
		break;
	case 5:
	case 6:
	case 7:
	case 8:
		begin(out, "transcript");
		buffer_append_string(out, ",'worker_id':'");
		write_worker(out, *n_spawnedp);
		buffer_append_char(out, '\'');
		write_number(out, "start");
		write_number(out, "limit");
		buffer_append_char(out, '}');
		break;
	case 9:
		begin(out, "read_events");
		write_number(out, "limit");
		buffer_append_char(out, '}');
		break;
	default:
		begin(out, "send_input");
		buffer_append_string(out, ",'worker_id':'");
		write_worker(out, *n_spawnedp);
		buffer_append_string(out, draw(3) ? "','request':{'content':" : "','request':{'kind':'system','content':");
		write_content(out);
		buffer_append_string(out, "}}");
	}
	buffer_append_char(out, '\0');
}

/* ---- Both sides ---- */

/* Runtimes differ in their cursors, and in when it all happened. */
static char *mask(const char *answer)
{
	static const char *const keys[] = { "\"cursor\":\"", "\"next_cursor\":\"", "\"occurred_at\":\"" };
	struct buffer out = { 0 };

	while (*answer) {
		size_t skipped = 0;

		for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
			if (strncmp(answer, keys[i], strlen(keys[i])) == 0)
				skipped = strlen(keys[i]) + strcspn(answer + strlen(keys[i]), "\"");
		buffer_append_char(&out, *answer);
		answer += skipped ? skipped : 1;
	}
	buffer_append_char(&out, '\0');
	assert_false(out.failed);
	return out.data;
}

struct run {
	char *requests[N_REQUESTS], *answers[N_REQUESTS];
};

static void make_requests(struct run *run)
{
	uint64_t n_spawned = 0;

	for (size_t i = 0; i < N_REQUESTS; i++) {
		struct buffer request = { 0 };

		write_request(&request, &n_spawned);
		assert_false(request.failed);
		run->requests[i] = request.data;
	}
}

static void free_run(struct run *run)
{
	for (size_t i = 0; i < N_REQUESTS; i++) {
		free(run->requests[i]);
		free(run->answers[i]);
	}
}

static void compare(uint64_t seed, size_t i, const struct run *run, const char *unmasked)
{
	CLEANUP_FREE char *answer = mask(unmasked);

	if (strcmp(answer, run->answers[i]) != 0)
		fail_msg("seed %llu, request %zu: %.300s\n  in memory: %.600s\n  on disk:   %.600s", (unsigned long long)seed, i,
			 run->requests[i], run->answers[i], answer);
}

/* options: of both; durability: of the store. */
static void check_sequence(uint64_t seed, const char *options, const char *durability)
{
	CLEANUP_FREE char *own = NULL, *all = NULL, *dir = NULL;
	struct run run = { .answers = { NULL } };
	char *scratch = scratch_new();
	struct host host;

	random_state = seed;
	make_requests(&run);
	assert_true(asprintf(&own, "{%s}", options) >= 0 && asprintf(&dir, "%s/store", scratch) >= 0);
	host_start(&host, &(struct host_setup){ .adapters = "embedded", .options = own });
	for (size_t i = 0; i < N_REQUESTS; i++) {
		run.answers[i] = mask(host_ask(&host, "%s", run.requests[i]));
	}
	host_stop(&host);
	assert_true(asprintf(&all, "{%s%s'store':'%s','durability':'%s'}", options, *options ? "," : "", dir,
			     durability) >= 0);
	host_start(&host, &(struct host_setup){ .adapters = "embedded", .options = all });
	for (size_t i = 0; i < N_REQUESTS; i++) {
		if (draw(40) == 0) {
			host_stop(&host);
			host_start(&host, &(struct host_setup){ .adapters = "embedded", .options = all });
		}
		compare(seed, i, &run, host_ask(&host, "%s", run.requests[i]));
	}
	host_stop(&host);
	scratch_remove(scratch);
	free_run(&run);
}

static uint64_t first_seed(void)
{
	const char *seed = getenv("BERTH_TEST_SEED");

	return seed ? strtoull(seed, NULL, 10) : 1;
}

static void answers_do_not_depend_on_the_store(void **state)
{
	(void)state;
	for (uint64_t seed = first_seed(); seed < first_seed() + N_SEQUENCES; seed++)
		check_sequence(seed * 2654435761u + 1, seed % 3 ? "" : "'keep_items':4", seed % 4 ? "relaxed" : "full");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_do_not_depend_on_the_store),
	};

	return cmocka_run_group_tests_name("embedded: any store", tests, NULL, NULL);
}
