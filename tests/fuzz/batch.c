/* SPDX-License-Identifier: MIT */
/* The whole way of a request, through the registry into the adapters of this project and
 * back: either lines as they stand, or requests made of the bytes, which get further. */
#include "config.h"

#include "core/batch.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/json_writer.h"
#include "core/text.h"
#include "tests/fuzz/fuzz.h"

enum { LINE_MAX_BYTES = 2000 };

static void write_record(const char *name, const char *text)
{
	CLEANUP_FREE char *path = NULL;

	FUZZ_CHECK(asprintf(&path, "data/pods/%s/metadata.json", name) > 0);
	fuzz_write(path, text, strlen(text));
}

int LLVMFuzzerInitialize(int *argcp, char ***argvp)
{
	(void)argcp, (void)argvp;
	write_record("one", "{\"worker_name\":\"One\",\"workspace_root\":\"/workspace/project\"}");
	write_record("two", "{\"worker_name\":\"Two\",\"workspace_root\":\"/workspace/project/\",\"active\":null,"
		     "\"resolved_manifest_snapshot\":{\"role\":\"coder\"}}");
	write_record("other", "{\"worker_name\":\"Other\",\"workspace_root\":\"/elsewhere\"}");
	write_record("broken", "{");
	return 0;
}

static void open_registry(struct registry *registry)
{
	CLEANUP_FREE char *data_dir = NULL;

	FUZZ_CHECK(asprintf(&data_dir, "%s/data", fuzz_dir()) > 0);
	*registry = (struct registry){ 0 };
	fuzz_add_instance(registry, "local-pod", NULL, data_dir);
	fuzz_add_instance(registry, "embedded", "{\"keep_items\":3}", data_dir);
	fuzz_add_instance(registry, "remote-reserved", NULL, NULL);
}

/* ---- Lines as they stand ---- */

static bool is_blank(struct berth_text line)
{
	for (size_t i = 0; i < line.len; i++)
		if (line.ptr[i] != ' ' && line.ptr[i] != '\t' && line.ptr[i] != '\r')
			return false;
	return true;
}

static size_t count_lines(struct berth_text text)
{
	struct fuzz fuzz = { (const uint8_t *)text.ptr, text.len };
	size_t n = 0;

	while (fuzz.left > 0)
		n += !is_blank(fuzz_until(&fuzz, '\n'));
	return n;
}

/* Looks at each line of answers and takes them away. Returns how many there were. */
static size_t take_answers(struct buffer *out)
{
	struct fuzz fuzz = { (const uint8_t *)out->data, out->len };
	size_t n = 0;

	for (; fuzz.left > 0; n++)
		fuzz_check_answer(fuzz_until(&fuzz, '\n'));
	buffer_cut(out, 0);
	return n;
}

/* They come in pieces, and answers are taken while lines are left, which makes no difference. */
static void ask_raw(struct registry *registry, struct fuzz *fuzz)
{
	size_t piece = 1 + fuzz_byte(fuzz) * (size_t)fuzz_byte(fuzz), n_answers = 0;
	struct batch batch = { .line_max = LINE_MAX_BYTES, .too_long = "bad_request" };
	struct berth_text text = { (const char *)fuzz->p, fuzz->left };
	int rc = 0;

	for (size_t at = 0; at < text.len || rc > 0;) {
		size_t len = text.len - at < piece ? text.len - at : piece;

		if (len > 0)
			buffer_append(&batch.in, text.ptr + at, len);
		at += len;
		rc = batch_answer_lines(&batch, registry, at == text.len, 100, 0);
		FUZZ_CHECK(rc >= 0);
		n_answers += take_answers(&batch.out);
	}
	FUZZ_CHECK(n_answers == count_lines(text));
	batch_fini(&batch);
}

/* ---- Requests ---- */

struct maker {
	struct fuzz *fuzz;
	struct buffer line;
	char cursor[BERTH_CURSOR_MAX + 1]; /* where the last answer goes on */
	uint64_t limit;                    /* what was asked for last; UINT64_MAX: nothing */
};

static void put_text(struct maker *maker, struct berth_text text)
{
	if (!json_write_string(&maker->line, text))
		json_write_string(&maker->line, (struct berth_text)BERTH_TEXT("not UTF-8"));
}

static void put_key(struct maker *maker, const char *key)
{
	buffer_append_string(&maker->line, maker->line.data[maker->line.len - 1] == '{' ? "\"" : ",\"");
	buffer_append_string(&maker->line, key);
	buffer_append_string(&maker->line, "\":");
}

static void put_u64(struct maker *maker, const char *key)
{
	uint64_t value = fuzz_u64(maker->fuzz);

	put_key(maker, key);
	json_write_u64(&maker->line, value);
	if (strcmp(key, "limit") == 0)
		maker->limit = value;
}

/* One of the words, or any text. */
static void put_word(struct maker *maker, const char *key, const char *const *words, unsigned n)
{
	unsigned which = fuzz_below(maker->fuzz, n + 1);

	put_key(maker, key);
	put_text(maker, which < n ? berth_text(words[which]) : fuzz_text(maker->fuzz));
}

#define PUT_WORD(maker, key, ...)                                              \
	put_word((maker), (key), (const char *const[]){ __VA_ARGS__ },         \
		 sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

static void put_runtime(struct maker *maker)
{
	PUT_WORD(maker, "runtime_id", "embedded-worker-runtime", "embedded-worker-runtime", "local-worker-runtime",
		 "remote-worker-runtime", "nobody");
}

static void put_worker(struct maker *maker)
{
	PUT_WORD(maker, "worker_id", "worker-00000001", "worker-00000002", "local-worker-one-7692c3ad3540bb80",
		 "worker-0000000a", "worker-ffffffffffffffff", "worker-0x000001");
}

static void put_spawn(struct maker *maker)
{
	buffer_append_string(&maker->line, ",\"request\":{\"intent\":{");
	PUT_WORD(maker, "kind", "workspace_companion", "workspace_orchestrator", "ticket_role", "ticket_role");
	PUT_WORD(maker, "role", "intake", "orchestrator", "coder", "reviewer");
	put_key(maker, "ticket_id");
	put_text(maker, fuzz_text(maker->fuzz));
	buffer_append_string(&maker->line, "},\"acceptance\":{");
	PUT_WORD(maker, "kind", "run_accepted", "run_accepted", "socket_ready");
	put_u64(maker, "expected_segments");
	buffer_append_char(&maker->line, '}');
	if (fuzz_byte(maker->fuzz) & 1)
		PUT_WORD(maker, "requested_worker_name", "Otto");
	buffer_append_char(&maker->line, '}');
}

static void put_request(struct maker *maker, const char *key, const char *const words[2], bool of_worker)
{
	buffer_append_string(&maker->line, ",\"request\":{");
	if (of_worker)
		put_worker(maker);
	put_word(maker, key, words, 2);
	if (!of_worker) {
		put_key(maker, "content");
		put_text(maker, fuzz_text(maker->fuzz));
	}
	buffer_append_char(&maker->line, '}');
}

static void put_cursor(struct maker *maker)
{
	put_key(maker, "cursor");
	if (fuzz_byte(maker->fuzz) & 1)
		put_text(maker, berth_text(maker->cursor));
	else
		put_text(maker, fuzz_text(maker->fuzz));
}

static void put_members(struct maker *maker, unsigned op)
{
	switch (op) {
	case REQUEST_LIST_WORKERS_FOR_HOST:
		PUT_WORD(maker, "host_id", "embedded-local-fuzz-0000000000000000", "nowhere");
		break;
	case REQUEST_SPAWN_WORKER:
		put_runtime(maker);
		put_spawn(maker);
		break;
	case REQUEST_STOP_WORKER:
		put_runtime(maker);
		put_request(maker, "mode", (const char *const[]){ "graceful", "force" }, true);
		break;
	case REQUEST_SEND_INPUT:
		put_runtime(maker);
		put_worker(maker);
		put_request(maker, "kind", (const char *const[]){ "user", "system" }, false);
		break;
	case REQUEST_WORKER:
	case REQUEST_TRANSCRIPT:
	case REQUEST_CONNECT_POINTS:
		put_runtime(maker);
		put_worker(maker);
		if (op == REQUEST_TRANSCRIPT)
			put_u64(maker, "start");
		break;
	case REQUEST_READ_EVENTS:
		put_runtime(maker);
		put_cursor(maker);
		break;
	case REQUEST_HELLO:
		buffer_append_string(&maker->line, ",\"protocol\":1");
		break;
	case REQUEST_LIST_WORKERS:
		if (fuzz_byte(maker->fuzz) & 1)
			PUT_WORD(maker, "after", "embedded-worker-runtime/worker-00000001", "remote-worker-runtime/x");
		break;
	default:
		break;
	}
	if (op < REQUEST_WORKER || op == REQUEST_TRANSCRIPT || op == REQUEST_READ_EVENTS)
		put_u64(maker, "limit");
}

/* What holds for every answer to what was asked. */
static void check_answer(struct maker *maker, struct berth_text answer)
{
	cJSON *json = cJSON_ParseWithLength(answer.ptr, answer.len);
	const cJSON *items = cJSON_GetObjectItemCaseSensitive(json, "items"), *item;
	const char *cursor = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "next_cursor"));

	FUZZ_CHECK(json);
	FUZZ_CHECK((uint64_t)cJSON_GetArraySize(items) <= maker->limit);
	FUZZ_CHECK(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(json, "diagnostics")) <= 16);
	cJSON_ArrayForEach(item, items)
		FUZZ_CHECK(cJSON_IsObject(item));
	if (cursor)
		snprintf(maker->cursor, sizeof maker->cursor, "%s", cursor);
	cJSON_Delete(json);
}

static void ask_made(struct registry *registry, struct fuzz *fuzz)
{
	static const char *const ops[N_REQUEST_OPS] = {
		"hello", "list_runtimes", "list_hosts", "list_workers", "list_workers_for_host", "worker", "spawn_worker",
		"stop_worker", "send_input", "transcript", "connect_points", "read_events",
	};
	struct maker maker = { .fuzz = fuzz };

	for (unsigned i = 0; i < 64 && fuzz->left > 0; i++) {
		unsigned op = fuzz_below(fuzz, N_REQUEST_OPS);

		maker.limit = UINT64_MAX;
		buffer_cut(&maker.line, 0);
		buffer_append_string(&maker.line, "{\"op\":\"");
		buffer_append_string(&maker.line, ops[op]);
		buffer_append_char(&maker.line, '"');
		put_members(&maker, op);
		buffer_append_char(&maker.line, '}');
		check_answer(&maker, fuzz_ask(registry, (struct berth_text){ maker.line.data, maker.line.len }));
	}
	buffer_fini(&maker.line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz fuzz = { data, size };
	struct registry registry;

	open_registry(&registry);
	if (fuzz_byte(&fuzz) & 1)
		ask_made(&registry, &fuzz);
	else
		ask_raw(&registry, &fuzz);
	registry_fini(&registry);
	return 0;
}
