/* SPDX-License-Identifier: MIT */
/* Spawn, input and transcripts of the adapter of clusters, over a cluster that is made of memory: it carries out what it is
 * asked, or loses any request or answer, and time passes there only while somebody waits. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "inbox.h"
#include "spawn.h"
#include "transcript.h"

#define S UINT64_C(1000000000)

/* ---- The host ---- */

static struct {
	uint64_t now_ns;
	char pushed[8192]; /* in words */
	bool cancelled;
} host;

static uint64_t now_ns(const struct berth_services *services)
{
	(void)services;
	return host.now_ns;
}

static void log_line(const struct berth_services *services, int level, const char *format, ...)
{
	(void)services, (void)level, (void)format;
}

__attribute__((format(printf, 1, 2)))
static int push(const char *format, ...)
{
	size_t len = strlen(host.pushed);
	va_list args;

	va_start(args, format);
	vsnprintf(host.pushed + len, sizeof host.pushed - len, format, args);
	va_end(args);
	return 0;
}

static int push_answer(struct berth_call *call, const struct berth_answer *answer)
{
	(void)call;
	return push("%s total %u more %u next %u;", answer->state == BERTH_ACCEPTED ? "accepted" : "rejected",
		    (unsigned)answer->total_items, (unsigned)answer->more, (unsigned)answer->next_start);
}

static int push_item(struct berth_call *call, const struct berth_transcript_item *item)
{
	(void)call;
	return push(" %u %.*s %.*s;", (unsigned)item->sequence, (int)item->role.len, item->role.ptr,
		    item->content.len < 40 ? (int)item->content.len : 3, item->content.ptr);
}

static int is_cancelled(struct berth_call *call)
{
	(void)call;
	return host.cancelled;
}

static const struct berth_services services = {
	.size = sizeof services, .log = log_line, .wall_ns = now_ns, .monotonic_ns = now_ns,
};
static const struct berth_sink sink = {
	.size = sizeof sink, .answer = push_answer, .transcript_item = push_item,
	.cancelled = is_cancelled,
};
static struct berth_call call = { .size = sizeof call, .services = &services, .sink = &sink };
static const struct cluster_call asked = { .call = &call, .timeout_ms = 10000 };

/* ---- The cluster: one container and its files ---- */

enum { FILES_MAX = 8 };

static struct {
	bool exists, runs, made;
	unsigned n_created;
	struct {
		char path[128];
		char *data;
		size_t len;
	} files[FILES_MAX];

	/* How it fails: from that request on, for so many; before it is carried out, or after that. */
	unsigned n_requests, lost_from, n_lost;
	bool lost_after;

	/* What its supervisor does with an input: takes it, and gives a receipt, after so long. */
	bool takes, taken;
	uint64_t receipt_ns;
	bool no_ranges;
	size_t n_read; /* bytes of files */
} cluster;

static void remove_files(void)
{
	for (size_t i = 0; i < FILES_MAX; i++) {
		free(cluster.files[i].data);
		cluster.files[i].data = NULL;
	}
}

static int begin(void **state)
{
	(void)state;
	remove_files();
	memset(&cluster, 0, sizeof cluster);
	host.now_ns = 1000 * S;
	host.cancelled = false;
	*host.pushed = '\0';
	return 0;
}

static int end(void **state)
{
	(void)state;
	remove_files();
	return 0;
}

/* Time passes. */
int fake_nanosleep(const struct timespec *pause, struct timespec *rest);
int fake_nanosleep(const struct timespec *pause, struct timespec *rest)
{
	(void)rest;
	host.now_ns += (uint64_t)pause->tv_sec * S + (uint64_t)pause->tv_nsec;
	return 0;
}

static size_t find_file(const char *path)
{
	size_t i = 0;

	while (i < FILES_MAX && (!cluster.files[i].data || strcmp(cluster.files[i].path, path) != 0))
		i++;
	return i;
}

static void write_file(const char *path, const char *data, size_t len)
{
	size_t i = find_file(path);

	if (i < FILES_MAX)
		free(cluster.files[i].data);
	else
		for (i = 0; cluster.files[i].data;)
			assert_true(++i < FILES_MAX);
	snprintf(cluster.files[i].path, sizeof cluster.files[i].path, "%s", path);
	cluster.files[i].data = malloc(len + 1);
	assert_non_null(cluster.files[i].data);
	memcpy(cluster.files[i].data, data, len);
	cluster.files[i].len = len;
}

/* Whether a request is lost; before it is carried out, or after that. */
static bool is_lost(bool after)
{
	if (!after)
		cluster.n_requests++;
	return cluster.n_lost > 0 && after == cluster.lost_after && cluster.n_requests >= cluster.lost_from &&
	       cluster.n_requests - cluster.lost_from < cluster.n_lost;
}

#define CARRY_OUT(function) (is_lost(false) || (carried_out = (function), is_lost(true)) ? -ECONNREFUSED : carried_out)

static int read_json(const char *path, cJSON **metadatap)
{
	char text[256];

	if (strncmp(path, "/1.0/operations", 15) == 0) {
		*metadatap = cJSON_CreateObject();
		return 0;
	}
	if (!cluster.exists)
		return -ENOENT;
	snprintf(text, sizeof text, "{\"status\":\"%s\",\"config\":{\"user.berth.workspace\":\"mark\",\"user.berth.step\":\"%s\"}}",
		 cluster.runs ? "Running" : "Stopped", cluster.made ? "made" : "making");
	*metadatap = cJSON_Parse(text);
	return 0;
}

int cluster_read(const struct cluster_call *c, const char *path, cJSON **metadatap)
{
	cJSON *metadata = NULL;
	int carried_out = 0, rc = CARRY_OUT(read_json(path, &metadata));

	(void)c;
	if (rc < 0)
		cJSON_Delete(metadata);
	else
		*metadatap = metadata;
	return rc;
}

static int change(const char *method, const cJSON *body)
{
	const cJSON *config = cJSON_GetObjectItemCaseSensitive(body, "config");
	const char *step = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(config, "user.berth.step"));

	if (strcmp(method, "POST") == 0) {
		if (cluster.exists)
			return -EEXIST;
		assert_string_equal(step, "making");
		assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(config, "user.berth.workspace")), "mark");
		cluster.exists = true;
		cluster.n_created++;
		return 0;
	}
	if (!cluster.exists)
		return -ENOENT;
	if (strcmp(method, "PATCH") == 0) {
		cluster.made = strcmp(step, "made") == 0;
		return 0;
	}
	assert_string_equal(method, "DELETE");
	if (cluster.runs)
		return -EIO;
	cluster.exists = cluster.made = false;
	remove_files();
	return 0;
}

int cluster_change(const struct cluster_call *c, const char *method, const char *path, const cJSON *body)
{
	int carried_out = 0;

	(void)c, (void)path;
	return CARRY_OUT(change(method, body));
}

static int set_state(const char *action)
{
	bool start = strcmp(action, "start") == 0;

	if (!cluster.exists)
		return -ENOENT;
	if (cluster.runs == start)
		return -EALREADY;
	cluster.runs = start;
	/* Who is started half installed is never ready. */
	if (start && find_file("/sbin/init") < FILES_MAX && find_file("/berth/command") < FILES_MAX)
		write_file("/berth/ready", "", 0);
	return 0;
}

int cluster_set_state(const struct cluster_call *c, const char *name, const char *action, bool force, uint64_t timeout_s)
{
	int carried_out = 0;

	(void)c, (void)name, (void)force, (void)timeout_s;
	return CARRY_OUT(set_state(action));
}

static int write_one(const char *path, const char *type, struct berth_text content)
{
	if (!cluster.exists)
		return -ENOENT;
	if (strcmp(type, "file") == 0)
		write_file(path, content.ptr, content.len);
	return 0;
}

int cluster_write_file(const struct cluster_call *c, const char *name, const char *path, const char *type, unsigned mode,
		       struct berth_text content)
{
	int carried_out = 0;

	(void)c, (void)name, (void)mode;
	return CARRY_OUT(write_one(path, type, content));
}

/* The supervisor, who has had time until somebody looks. */
static void give_receipt(const char *path)
{
	char inbox[128];
	const char *name = strrchr(path, '/') + 1;
	size_t i;

	snprintf(inbox, sizeof inbox, "/berth/inbox/%s", name);
	i = find_file(inbox);
	if (i < FILES_MAX && cluster.takes) {
		free(cluster.files[i].data);
		cluster.files[i].data = NULL;
		cluster.receipt_ns += host.now_ns;
		cluster.takes = false;
		cluster.taken = true;
	}
	if (cluster.taken && host.now_ns >= cluster.receipt_ns)
		write_file(path, "17 1795368761390389\n", 20);
}

static int read_range(const char *path, uint64_t first, uint64_t last, struct client_reply *reply)
{
	size_t i, len;

	if (strncmp(path, "/berth/receipts/", 16) == 0)
		give_receipt(path);
	i = find_file(path);
	if (i == FILES_MAX)
		return -ENOENT;
	len = cluster.files[i].len;
	if (cluster.no_ranges || last == 0) {
		*reply = (struct client_reply){ .status = 200, .len = len };
		first = 0;
	} else if (first >= len) {
		*reply = (struct client_reply){ .status = 416, .total = len };
		first = len;
	} else {
		*reply = (struct client_reply){ .status = 206, .first = first, .total = len };
		reply->len = last < len ? last + 1 - first : len - first;
	}
	reply->data = malloc(reply->len + 1);
	assert_non_null(reply->data);
	memcpy(reply->data, cluster.files[i].data + first, reply->len);
	reply->data[reply->len] = '\0';
	cluster.n_read += reply->len;
	return 0;
}

int cluster_read_file(const struct cluster_call *c, const char *name, const char *path, uint64_t first, uint64_t last,
		      struct client_reply *reply)
{
	int carried_out = 0, rc = CARRY_OUT(read_range(path, first, last, reply));

	(void)c, (void)name;
	if (rc < 0)
		client_reply_fini(reply);
	return rc;
}

static int remove_one(const char *path)
{
	size_t i = find_file(path);

	if (i == FILES_MAX)
		return -ENOENT;
	free(cluster.files[i].data);
	cluster.files[i].data = NULL;
	return 0;
}

int cluster_remove_file(const struct cluster_call *c, const char *name, const char *path)
{
	int carried_out = 0;

	(void)c, (void)name;
	return CARRY_OUT(remove_one(path));
}

char *cluster_path(const char *name, const char *rest)
{
	char *path = malloc(256);

	assert_non_null(path);
	snprintf(path, 256, "/1.0/instances/%s%s", name, rest);
	return path;
}

char *client_escape(const char *text)
{
	return strdup(text);
}

void client_reply_fini(struct client_reply *reply)
{
	free(reply->data);
	*reply = (struct client_reply){ 0 };
}

const char supervisor_text[] = "#!/bin/sh\necho supervisor\n";

/* ---- Spawn ---- */

static int spawn_once(unsigned *stepsp)
{
	cJSON *command = cJSON_Parse("[\"it's\", \"$HOME\"]");
	const struct role role = { .image = "busybox", .command = command };
	const struct spawn spawn = {
		.role = &role, .role_name = "coder", .workspace = "0123456789ab", .mark = "mark", .key = "00000000000000000001",
		.timeout_ms = 60000,
	};
	int rc = spawn_carry_out(&asked, &spawn, stepsp);

	cJSON_Delete(command);
	return rc;
}

static void assert_spawned(void)
{
	size_t i = find_file("/berth/command");

	assert_true(cluster.exists && cluster.runs && cluster.made);
	assert_true(find_file("/berth/ready") < FILES_MAX && find_file("/sbin/init") < FILES_MAX && i < FILES_MAX);
	assert_non_null(strstr(cluster.files[i].data, "exec 'it'\\''s' '$HOME'\n"));
}

/* How many requests a spawn takes. */
static unsigned spawn_undisturbed(void)
{
	unsigned steps, n;

	assert_int_equal(spawn_once(&steps), 0);
	assert_int_equal(steps, (1U << N_SPAWN_STEPS) - 1);
	assert_spawned();
	assert_int_equal(cluster.n_created, 1);
	n = cluster.n_requests;
	begin(NULL);
	return n;
}

/* Whichever request or answer is the last one of a program that dies, who repeats the spawn has one worker. */
static void spawn_dies(void **state)
{
	unsigned n = spawn_undisturbed(), steps;

	(void)state;
	assert_true(n >= 6);
	for (unsigned i = 0; i < 2 * n; i++) {
		begin(NULL);
		cluster.lost_from = 1 + i / 2;
		cluster.lost_after = i % 2;
		cluster.n_lost = UINT32_MAX;
		assert_true(spawn_once(&steps) < 0);
		cluster.n_lost = 0;
		host.now_ns += 10 * S;
		assert_int_equal(spawn_once(&steps), 0);
		assert_int_equal(steps, (1U << N_SPAWN_STEPS) - 1);
		assert_spawned();
		assert_int_equal(cluster.n_created, 1);
		assert_int_equal(spawn_once(&steps), 0);
		assert_int_equal(cluster.n_created, 1);
	}
}

/* Where one request or answer is lost, nothing is left, or the worker is there; repeated, it is. */
static void spawn_fails(void **state)
{
	unsigned n = spawn_undisturbed(), steps;

	(void)state;
	for (unsigned i = 0; i < 2 * n; i++) {
		begin(NULL);
		cluster.lost_from = 1 + i / 2;
		cluster.lost_after = i % 2;
		cluster.n_lost = 1;
		if (spawn_once(&steps) == 0 || cluster.made)
			assert_spawned();
		else
			assert_false(cluster.exists || cluster.runs);
		assert_int_equal(spawn_once(&steps), 0);
		assert_spawned();
	}
}

static void spawn_not_ready(void **state)
{
	uint64_t begin_ns = host.now_ns;
	unsigned steps;

	(void)state;
	/* Another has made it and started it half installed, and is gone. */
	cluster.exists = cluster.runs = true;
	assert_int_equal(spawn_once(&steps), -ENOEXEC);
	assert_true(host.now_ns - begin_ns >= 60 * S && host.now_ns - begin_ns < 130 * S);
}

static void spawn_swept(void **state)
{
	(void)state;
	cluster.exists = cluster.runs = true;
	spawn_sweep(&asked, "berth-x", true);
	assert_false(cluster.exists);
	cluster.exists = true;
	cluster.runs = false;
	spawn_sweep(&asked, "berth-x", false);
	assert_false(cluster.exists);
}

/* ---- Input ---- */

static int send_one(const char *content, uint64_t *sequencep)
{
	const struct berth_input_request request = {
		.size = sizeof request, .kind = BERTH_INPUT_USER, .content = berth_text(content),
	};

	return inbox_send(&asked, "berth-x", &request, sequencep);
}

static void input(void **state)
{
	static const struct {
		const char *what;
		bool takes;
		uint64_t receipt_s;
		unsigned lost_from, n_lost;
		bool lost_after;
		int rc;
	} rows[] = {
		{ "the supervisor takes nothing", false, 0, 0, 0, false, -EAGAIN },
		{ "it takes it and says nothing more", true, 3600, 0, 0, false, -EINPROGRESS },
		{ "nothing can be reached", true, 1, 1, 99999, false, -EINPROGRESS },
		{ "all is gone after the first request", true, 1, 1, 99999, true, -EINPROGRESS },
		{ "the first request is lost", true, 1, 1, 1, false, -EINPROGRESS },
		{ "its answer is lost, and it is withdrawn", true, 1, 1, 1, true, -ECONNREFUSED },
		{ "it takes it at once", true, 0, 0, 0, false, 0 },
		{ "it takes it, and is slow", true, 8, 0, 0, false, 0 },
		{ "it takes it in the last moment", true, 15, 0, 0, false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint64_t sequence = 0, begin_ns;
		int rc;

		begin(NULL);
		begin_ns = host.now_ns;
		cluster.exists = cluster.runs = true;
		cluster.takes = rows[i].takes;
		cluster.receipt_ns = rows[i].receipt_s * S;
		cluster.lost_from = rows[i].lost_from;
		cluster.n_lost = rows[i].n_lost;
		cluster.lost_after = rows[i].lost_after;
		rc = send_one("line \"1\"\n", &sequence);
		if (rc != rows[i].rc)
			fail_msg("%s: %d instead of %d", rows[i].what, rc, rows[i].rc);
		assert_int_equal(sequence, rc == 0 ? 17 : 0);
		/* What was rejected for good is nowhere, and all of it has an end. */
		if (rc != -EINPROGRESS)
			for (size_t j = 0; j < FILES_MAX; j++)
				assert_false(cluster.files[j].data && strncmp(cluster.files[j].path, "/berth/inbox/", 13) == 0);
		assert_true(host.now_ns - begin_ns < 30 * S);
	}
}

static void input_file(void **state)
{
	uint64_t sequence;
	const char *dot;
	size_t i = 0;

	(void)state;
	cluster.exists = cluster.runs = true;
	cluster.lost_from = 2; /* it stays there */
	cluster.n_lost = UINT32_MAX;
	assert_int_equal(send_one("a \"b\"\\\n\x01z", &sequence), -EINPROGRESS);
	while (!cluster.files[i].data)
		i++;
	assert_int_equal(cluster.files[i].len, strlen("user\na \\\"b\\\"\\\\\\u000a\\u0001z\na \"b\"\\\n\x01z"));
	assert_memory_equal(cluster.files[i].data, "user\na \\\"b\\\"\\\\\\u000a\\u0001z\na \"b\"\\\n\x01z", cluster.files[i].len);
	/* It says how long it is, so that its beginning is not taken for it. */
	dot = strchr(cluster.files[i].path, '.');
	assert_non_null(dot);
	assert_int_equal(atoi(dot + 1), cluster.files[i].len);
}

/* ---- Transcripts ---- */

static const char transcript_path[] = CLUSTER_HOME "/transcript";

/* So many items, of about 100 bytes, and what is given behind them. */
static void write_transcript(unsigned n, const char *rest)
{
	char *text = malloc(n * 128 + strlen(rest) + 1), *to = text;

	assert_non_null(text);
	for (unsigned i = 1; i <= n; i++)
		to += sprintf(to, "{\"sequence\":%u,\"event_id\":%u,\"role\":\"worker\",\"content\":\"item %020u\"}\n", i, 1000 + i, i);
	strcpy(to, rest);
	write_file(transcript_path, text, strlen(text));
	free(text);
}

/* A page, in words. */
static void assert_page(struct transcripts *transcripts, uint64_t start, uint64_t limit, const char *expected)
{
	const struct berth_transcript_request request = { .size = sizeof request, .start = start, .limit = limit };

	*host.pushed = '\0';
	assert_int_equal(transcripts_push(transcripts, &asked, "berth-x", "00000000000000000001", &request), 0);
	assert_string_equal(host.pushed, expected);
}

static void transcript_lines(void **state)
{
	static const struct {
		const char *text, *page;
	} rows[] = {
		{ "", "accepted total 0 more 0 next 0;" },
		{ "\n\n", "accepted total 0 more 0 next 0;" },
		{ "no item\n", "accepted total 0 more 0 next 0;" },
		{ "{\"sequence\":1,\"event_id\":1,\"role\":\"user\",\"content\":\"cut", "accepted total 0 more 0 next 0;" },
		{ "{\"sequence\":0,\"event_id\":1,\"role\":\"user\",\"content\":\"x\"}\n", "accepted total 0 more 0 next 0;" },
		{ "{\"sequence\":1,\"event_id\":0,\"role\":\"user\",\"content\":\"x\"}\n", "accepted total 0 more 0 next 0;" },
		{ "{\"sequence\":1,\"event_id\":1,\"role\":\"pirate\",\"content\":\"x\"}\n", "accepted total 0 more 0 next 0;" },
		{ "{\"sequence\":1,\"event_id\":1,\"role\":\"user\",\"content\":7}\n", "accepted total 0 more 0 next 0;" },
		{ "{\"sequence\":-1,\"event_id\":1,\"role\":\"user\",\"content\":\"x\"}\n", "accepted total 0 more 0 next 0;" },
		{ "{\"sequence\":1,\"event_id\":1,\"role\":\"user\",\"content\":\"x\"}}\n", "accepted total 0 more 0 next 0;" },
		{ "{\"sequence\":1,\"event_id\":1,\"role\":\"user\",\"content\":\"\377\\u0041\"}\n",
		  "accepted total 1 more 0 next 0; 1 user ?A;" },
		{ "{\"sequence\":2,\"event_id\":1,\"role\":\"user\",\"content\":\"b\"}\n{\"sequence\":2,\"event_id\":2,\"role\":\"user\","
		  "\"content\":\"again\"}\n{\"sequence\":1,\"event_id\":3,\"role\":\"user\",\"content\":\"back\"}\n"
		  "{\"sequence\":9,\"event_id\":1,\"role\":\"system\",\"content\":\"on\"}\n",
		  "accepted total 2 more 0 next 0; 2 user b; 9 system on;" },
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof rows / sizeof *rows; i++) {
		struct transcripts *transcripts = transcripts_new();

		assert_non_null(transcripts);
		cluster.no_ranges = i % 2;
		write_file(transcript_path, rows[i / 2].text, strlen(rows[i / 2].text));
		assert_page(transcripts, 0, 256, rows[i / 2].page);
		assert_page(transcripts, 0, 256, rows[i / 2].page);
		transcripts_free(transcripts);
	}
}

static void transcript_pages(void **state)
{
	struct transcripts *transcripts = transcripts_new();

	(void)state;
	assert_non_null(transcripts);
	write_transcript(100000, "");
	assert_page(transcripts, 99998, 256, "accepted total 100000 more 0 next 0; 99999 worker item 00000000000000099999;"
		    " 100000 worker item 00000000000000100000;");
	assert_true(cluster.n_read > 5000000);
	/* From now on it is read where it is wanted alone, and where it is new. */
	cluster.n_read = 0;
	assert_page(transcripts, 0, 1, "accepted total 100000 more 1 next 1; 1 worker item 00000000000000000001;");
	assert_page(transcripts, 63, 2, "accepted total 100000 more 1 next 65; 64 worker item 00000000000000000064;"
		    " 65 worker item 00000000000000000065;");
	assert_page(transcripts, 100000, 256, "accepted total 100000 more 0 next 0;");
	assert_page(transcripts, UINT64_MAX, UINT64_MAX, "accepted total 100000 more 0 next 0;");
	assert_page(transcripts, 5, 0, "accepted total 100000 more 1 next 5;");
	write_transcript(100001, "{\"sequence\":100002,\"cut");
	assert_page(transcripts, 100000, 256, "accepted total 100001 more 0 next 0; 100001 worker item 00000000000000100001;");
	assert_true(cluster.n_read < 50000);
	/* It is another file. */
	write_transcript(3, "");
	assert_page(transcripts, 2, 1, "accepted total 3 more 0 next 0; 3 worker item 00000000000000000003;");
	transcripts_free(transcripts);
}

/* Pages of all sizes join to the whole, whatever is asked first. */
static void transcript_joins(void **state)
{
	struct transcripts *transcripts = transcripts_new();
	char *whole;

	(void)state;
	assert_non_null(transcripts);
	write_transcript(150, "");
	for (uint64_t limit = 1; limit < 150; limit += 7)
		for (uint64_t start = 0, n = 0; start < 150; start += limit) {
			const struct berth_transcript_request request = { .size = sizeof request, .start = start, .limit = limit };

			*host.pushed = '\0';
			assert_int_equal(transcripts_push(transcripts, &asked, "berth-x", "00000000000000000001", &request), 0);
			whole = strchr(host.pushed, ';') + 1;
			for (; *whole; whole = strchr(whole, ';') + 1)
				assert_int_equal(strtoull(whole, NULL, 10), ++n);
			assert_int_equal(n, start + limit < 150 ? start + limit : 150);
		}
	transcripts_free(transcripts);
}

/* Items of so many bytes, and so many of them. */
static void write_large_items(unsigned n, size_t size)
{
	char *text = malloc(n * (size + 100) + 1), *to = text;

	assert_non_null(text);
	for (unsigned i = 1; i <= n; i++) {
		to += sprintf(to, "{\"sequence\":%u,\"event_id\":%u,\"role\":\"worker\",\"content\":\"", i, i);
		memset(to, 'x', size);
		to += size;
		to += sprintf(to, "\"}\n");
	}
	write_file(transcript_path, text, (size_t)(to - text));
	free(text);
}

/* A page has no more than so many bytes, or 64 items; what is left out is told of. */
static void transcript_large(void **state)
{
	struct berth_transcript_request request = { .size = sizeof request, .limit = 256 };
	struct transcripts *transcripts = transcripts_new();
	static const uint64_t ends[] = { 128, 256, 0 };
	char *blank;

	(void)state;
	assert_non_null(transcripts);
	write_large_items(300, 100 << 10);
	for (size_t i = 0; i < 3; i++) {
		char expected[80];

		*host.pushed = '\0';
		assert_int_equal(transcripts_push(transcripts, &asked, "berth-x", "00000000000000000001", &request), 0);
		snprintf(expected, sizeof expected, "accepted total 300 more %d next %u; %u worker xxx;", ends[i] > 0, (unsigned)ends[i],
			 (unsigned)request.start + 1);
		if (strncmp(host.pushed, expected, strlen(expected)) != 0)
			fail_msg("%.80s instead of %s", host.pushed, expected);
		snprintf(expected, sizeof expected, " %u worker xxx;", ends[i] > 0 ? (unsigned)ends[i] : 300);
		assert_string_equal(host.pushed + strlen(host.pushed) - strlen(expected), expected);
		request.start = ends[i];
	}
	/* One is longer than what is read at once. */
	write_large_items(1, 15 << 20);
	assert_page(transcripts, 0, 1, "accepted total 1 more 0 next 0; 1 worker xxx;");
	/* No end of the line is in sight. */
	blank = malloc(40 << 20);
	assert_non_null(blank);
	memset(blank, ' ', 40 << 20);
	write_file(transcript_path, blank, 40 << 20);
	free(blank);
	*host.pushed = '\0';
	assert_int_equal(transcripts_push(transcripts, &asked, "berth-x", "00000000000000000001", &request), -EPROTO);
	assert_string_equal(host.pushed, "");
	transcripts_free(transcripts);
}

/* What was counted of a worker is forgotten for others, and counted again. */
static void transcript_many_workers(void **state)
{
	const struct berth_transcript_request request = { .size = sizeof request, .start = 64, .limit = 1 };
	struct transcripts *transcripts = transcripts_new();
	char key[21];

	(void)state;
	assert_non_null(transcripts);
	write_transcript(64, "");
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(key, sizeof key, "%020u", i);
		assert_int_equal(transcripts_push(transcripts, &asked, "berth-x", key, &request), 0);
		/* The first is used all the time. */
		cluster.n_read = 0;
		assert_int_equal(transcripts_push(transcripts, &asked, "berth-x", "00000000000000000000", &request), 0);
		assert_true(cluster.n_read < 10);
	}
	cluster.n_read = 0;
	assert_int_equal(transcripts_push(transcripts, &asked, "berth-x", "00000000000000004999", &request), 0);
	assert_true(cluster.n_read < 10);
	assert_page(transcripts, 63, 1, "accepted total 64 more 0 next 0; 64 worker item 00000000000000000064;");
	assert_true(cluster.n_read > 5000);
	transcripts_free(transcripts);
}

static void transcript_missing(void **state)
{
	const struct berth_transcript_request request = { .size = sizeof request, .limit = 1 };
	struct transcripts *transcripts = transcripts_new();

	(void)state;
	assert_non_null(transcripts);
	assert_int_equal(transcripts_push(transcripts, &asked, "berth-x", "00000000000000000001", &request), -ENOENT);
	cluster.lost_from = 1;
	cluster.n_lost = UINT32_MAX;
	assert_int_equal(transcripts_push(transcripts, &asked, "berth-x", "00000000000000000001", &request), -ECONNREFUSED);
	assert_string_equal(host.pushed, "");
	transcripts_free(transcripts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(spawn_dies, begin, end),
		cmocka_unit_test_setup_teardown(spawn_fails, begin, end),
		cmocka_unit_test_setup_teardown(spawn_not_ready, begin, end),
		cmocka_unit_test_setup_teardown(spawn_swept, begin, end),
		cmocka_unit_test_setup_teardown(input, begin, end),
		cmocka_unit_test_setup_teardown(input_file, begin, end),
		cmocka_unit_test_setup_teardown(transcript_lines, begin, end),
		cmocka_unit_test_setup_teardown(transcript_pages, begin, end),
		cmocka_unit_test_setup_teardown(transcript_joins, begin, end),
		cmocka_unit_test_setup_teardown(transcript_large, begin, end),
		cmocka_unit_test_setup_teardown(transcript_many_workers, begin, end),
		cmocka_unit_test_setup_teardown(transcript_missing, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
