/* SPDX-License-Identifier: MIT */
/* What is made fast, held against the plainest formulation of the same: each byte at each place of
 * texts of each length around the sizes of blocks, and random texts. Texts end where their memory ends. */
#include "config.h"

#include <ctype.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "core/identifier.h"
#include "core/json_writer.h"
#include "core/request.h"
#include "core/text.h"
#include "core/wire.h"
#include "inline/gather.h"
#include "inline/json_reader.h"
#include "inline/utf8.h"

enum {
	LEN_MAX = 150,
	N_RANDOM = 20000,
};

/* ---- Texts ---- */

typedef void text_check(struct berth_text text);

/* Copied to memory of their own, so that a byte read too many is seen. */
static void check_copy(text_check *check, const char *bytes, size_t len)
{
	char *copy = malloc(len > 0 ? len : 1);

	assert_non_null(copy);
	if (len > 0)
		memcpy(copy, bytes, len);
	check((struct berth_text){ copy, len });
	free(copy);
}

static void check_each_byte(text_check *check)
{
	char bytes[LEN_MAX];

	for (size_t len = 0; len < 70; len++) {
		memset(bytes, 'a', sizeof bytes);
		check_copy(check, bytes, len);
		for (size_t at = 0; at < len; at++) {
			for (int c = 0; c < 256; c++) {
				bytes[at] = (char)c;
				check_copy(check, bytes, len);
			}
			bytes[at] = 'a';
		}
	}
}

/* Mostly plain, now and then one of what is not. */
static void check_random(text_check *check)
{
	static const char *const odd[] = {
		"\"", "\\", "\n", "\t", "/", "-", "_", ":", "\x01", "\x7f", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x9a\xa2",
		"\xc2\x85", "\xff", "\xc3", "\xed\xa0\x80", "Z", "@", "[", "`", "{", " ",
	};
	uint64_t random = 88172645463325252;

	for (size_t i = 0; i < N_RANDOM; i++) {
		char bytes[LEN_MAX + 4];
		size_t len = 0, wanted = random % LEN_MAX, each = 1 + random / 1024 % 40;

		while (len < wanted) {
			random ^= random << 13, random ^= random >> 7, random ^= random << 17;
			if (random % each == 0)
				len += (size_t)sprintf(bytes + len, "%s", odd[random / 64 % (sizeof odd / sizeof *odd)]);
			else
				bytes[len++] = (char)('a' + random / 64 % 26);
		}
		check_copy(check, bytes, wanted);
		random += i;
	}
}

static void check_all(text_check *check)
{
	check_each_byte(check);
	check_random(check);
}

/* ---- Strings of JSON ---- */

/* Appends one character as it is written; 0: it is none. */
static size_t write_plainly(struct buffer *out, const char *p, size_t left)
{
	uint32_t code = 0;
	size_t n = utf8_decode(p, left, &code);
	const char *name = code && n == 1 ? strchr("\"\"\\\\\bb\ff\nn\rr\tt", (int)code) : NULL;
	char text[8];

	if (n == 0)
		return 0;
	/* Found among the names themselves, it is one of b, f, n, r, t. */
	if (name && !islower((int)code))
		snprintf(text, sizeof text, "\\%c", name[1]);
	else if (code < 0x20)
		snprintf(text, sizeof text, "\\u%04x", (unsigned)code);
	else
		snprintf(text, sizeof text, "%.*s", (int)n, p);
	buffer_append_string(out, text);
	return n;
}

static void check_string(struct berth_text text)
{
	struct buffer expected = { 0 }, found = { 0 };
	bool is_utf8 = true;

	buffer_append_char(&expected, '"');
	for (size_t i = 0; i < text.len && is_utf8;) {
		size_t n = write_plainly(&expected, text.ptr + i, text.len - i);

		is_utf8 = n > 0;
		i += n;
	}
	buffer_append_char(&expected, '"');
	buffer_append_string(&found, "before");
	assert_int_equal(json_write_string(&found, text), is_utf8);
	assert_int_equal(found.len, is_utf8 ? expected.len + 6 : 6);
	if (is_utf8) {
		struct json_reader r;
		struct json_slice slice = { NULL, 0, false };
		char *back = malloc(found.len);

		assert_memory_equal(found.data + 6, expected.data, expected.len);
		json_open(&r, found.data + 6, found.len - 6);
		assert_true(json_read_string(&r, &slice) && json_close(&r));
		assert_int_equal(slice.escaped, memchr(slice.ptr, '\\', slice.len) != NULL);
		assert_non_null(back);
		assert_int_equal(json_unescape(&slice, back), text.len);
		assert_memory_equal(back, text.ptr, text.len);
		free(back);
	}
	buffer_fini(&expected);
	buffer_fini(&found);
}

static void strings_are_written_and_read_as_character_by_character(void **state)
{
	(void)state;
	check_all(check_string);
}

/* Equal to itself, and to nothing that has another byte somewhere. */
static void check_equal(struct berth_text text)
{
	char *other = malloc(text.len + 1);

	assert_non_null(other);
	memcpy(other, text.ptr, text.len);
	assert_true(block_equal(text.ptr, other, text.len));
	for (size_t i = 0; i < text.len; i++) {
		other[i] = (char)(other[i] ^ 1 << i % 8);
		assert_false(block_equal(text.ptr, other, text.len));
		other[i] = text.ptr[i];
	}
	free(other);
}

static void texts_are_compared_as_byte_by_byte(void **state)
{
	(void)state;
	check_random(check_equal);
}

static block_bytes copy_any(char *to, const char *from, size_t len)
{
	return block_gather(to, from, len, block_not_plain);
}

static block_bytes copy_plain(char *to, const char *from, size_t len)
{
	return gather_plain(to, from, len);
}

static block_bytes copy_long(char *to, const char *from, size_t len)
{
	return gather_long(to, from, len);
}

static block_bytes copy_wide(char *to, const char *from, size_t len)
{
	return gather_wide(to, from, len);
}

/* Copied all of it and not a byte more, and judged as byte by byte. */
static void check_gathering(struct berth_text text)
{
	const struct {
		block_bytes (*gather)(char *to, const char *from, size_t len);
		size_t least;
	} ways[] = {
		{ copy_any, 0 },
		{ copy_plain, 0 },
		{ copy_long, BLOCK_SIZE },
		{ copy_wide, GATHER_HAS_WIDE ? GATHER_WIDE_SIZE : SIZE_MAX },
	};
	bool fails = false;

	for (size_t i = 0; i < text.len; i++)
		fails = fails || (signed char)text.ptr[i] < ' ' || strchr("\"\\", text.ptr[i]);
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		char *copy = malloc(text.len + 1);

		assert_non_null(copy);
		memset(copy, '!', text.len + 1);
		if (text.len >= ways[i].least) {
			assert_int_equal(block_any(ways[i].gather(copy, text.ptr, text.len)), fails);
			assert_memory_equal(copy, text.ptr, text.len);
			assert_int_equal(copy[text.len], '!');
		}
		free(copy);
	}
}

static void texts_are_gathered_as_byte_by_byte(void **state)
{
	(void)state;
	check_all(check_gathering);
}

/* What stands between quotes, whether it may or not. */
static void check_reading(struct berth_text text)
{
	char quoted[LEN_MAX + 2];
	struct json_reader r;
	struct json_slice slice = { NULL, 0, false };
	bool fits = utf8_valid(text.ptr, text.len);

	if (text.len == 0 || memchr(text.ptr, '\\', text.len) || memchr(text.ptr, '"', text.len))
		return;
	for (size_t i = 0; i < text.len; i++)
		fits = fits && (unsigned char)text.ptr[i] >= 0x20;
	quoted[0] = quoted[text.len + 1] = '"';
	memcpy(quoted + 1, text.ptr, text.len);
	json_open(&r, quoted, text.len + 2);
	assert_int_equal(json_read_string(&r, &slice) && json_close(&r), fits);
	if (fits)
		assert_true(slice.len == text.len && !slice.escaped);
	else
		assert_non_null(r.error);
}

static void strings_that_are_none_are_not_read(void **state)
{
	(void)state;
	check_all(check_reading);
}

static void check_number(uint64_t value)
{
	struct buffer found = { 0 };
	char expected[32];

	snprintf(expected, sizeof expected, "%" PRIu64, value);
	json_write_u64(&found, value);
	assert_int_equal(found.len, strlen(expected));
	assert_memory_equal(found.data, expected, found.len);
	buffer_fini(&found);
}

static void numbers_are_written_as_printf_does(void **state)
{
	uint64_t power = 1, random = 88172645463325252;

	(void)state;
	for (uint64_t value = 0; value < 20000; value++)
		check_number(value);
	for (size_t i = 0; i < 20; i++, power *= 10)
		for (uint64_t times = 1; times < 10; times++)
			for (uint64_t value = power * times - 2; value != power * times + 3; value++)
				check_number(value);
	for (size_t i = 0; i < N_RANDOM; i++) {
		random ^= random << 13, random ^= random >> 7, random ^= random << 17;
		check_number(random >> random % 64);
	}
}

/* ---- Identifiers ---- */

static bool is_of(char c, const char *others)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr(others, c));
}

static void check_identifier(struct berth_text text)
{
	struct buffer out = { 0 };
	bool valid = text.len > 0 && text.len <= BERTH_ID_MAX;

	for (size_t i = 0; i < text.len; i++)
		valid = valid && is_of(text.ptr[i], "-_:");
	assert_int_equal(identifier_valid(text), valid);
	assert_int_equal(identifier_write(&out, text), valid);
	assert_int_equal(out.len, valid ? text.len + 2 : 0);
	if (valid) {
		assert_true(out.data[0] == '"' && out.data[text.len + 1] == '"');
		assert_memory_equal(out.data + 1, text.ptr, text.len);
	}
	buffer_fini(&out);
}

static void identifiers_are_judged_as_byte_by_byte(void **state)
{
	(void)state;
	check_all(check_identifier);
}

/* The contract, word for word: into body, which is longer than any value. */
static bool make_body(struct berth_text value, size_t budget, char *body)
{
	char all[LEN_MAX + 1], *p = all;
	size_t n = 0;

	for (size_t i = 0; i < value.len;) {
		uint32_t code = 0;
		size_t len = utf8_decode(value.ptr + i, value.len - i, &code);

		if (len == 0)
			return false;
		all[n++] = len == 1 && is_of(value.ptr[i], "-_") ? (char)tolower(value.ptr[i]) : '-';
		i += len;
	}
	for (int times = 0; times < 2; times++) {
		while (n > 0 && *p == '-')
			p++, n--;
		while (n > 0 && p[n - 1] == '-')
			n--;
		n = n > budget ? budget : n;
	}
	snprintf(body, LEN_MAX + 1, "%.*s", n > 0 ? (int)n : 2, n > 0 ? p : "id");
	return true;
}

static void check_generated(struct berth_text value)
{
	const struct berth_text prefix = BERTH_TEXT("local-worker-");
	unsigned char digest[EVP_MAX_MD_SIZE];
	char body[LEN_MAX + 1], expected[300], buffer[BERTH_ID_MAX];
	struct berth_text found = identifier_generate(prefix, value, buffer, sizeof buffer);
	int n;

	if (!make_body(value, BERTH_ID_MAX - prefix.len - 17, body)) {
		assert_null(found.ptr);
		return;
	}
	assert_true(EVP_Digest(value.ptr, value.len, digest, NULL, EVP_sha256(), NULL));
	n = snprintf(expected, sizeof expected, "%s%s-", prefix.ptr, body);
	for (size_t i = 0; i < 8; i++)
		n += snprintf(expected + n, sizeof expected - (size_t)n, "%02x", digest[i]);
	assert_int_equal(found.len, n);
	assert_memory_equal(found.ptr, expected, found.len);
}

static void identifiers_are_generated_as_the_contract_words_it(void **state)
{
	(void)state;
	check_random(check_generated);
	check_copy(check_generated, "-ticket-coder-worker-05000", 26);
	check_copy(check_generated, "ticket-coder-worker-05000-", 26);
	check_copy(check_generated, "TICKET-coder_Worker-05000", 25);
	check_copy(check_generated, "----------------------------", 28);
}

static void check_hint(struct berth_text value)
{
	char expected[LEN_MAX + 1], buffer[BERTH_HINT_MAX], small[20];
	struct berth_text found = identifier_hint(value, buffer, sizeof buffer);
	size_t n = 0, points = 0;

	if (!utf8_valid(value.ptr, value.len)) {
		assert_null(found.ptr);
		return;
	}
	for (size_t i = 0, len; i < value.len; i += len) {
		uint32_t code = 0;

		len = utf8_decode(value.ptr + i, value.len - i, &code);
		if (unicode_is_control(code) || code == '/' || code == '\\' || points == 80)
			continue;
		points++;
		memcpy(expected + n, value.ptr + i, len);
		n += len;
	}
	assert_non_null(found.ptr);
	assert_int_equal(found.len, n);
	assert_memory_equal(found.ptr, expected, n);
	found = identifier_hint(value, small, sizeof small);
	assert_int_equal(found.ptr != NULL, n <= sizeof small);
}

static void hints_are_made_as_point_by_point(void **state)
{
	(void)state;
	check_all(check_hint);
}

/* ---- Objects ---- */

static uint64_t any_number(void)
{
	static uint64_t random = 88172645463325252;

	random ^= random << 13, random ^= random >> 7, random ^= random << 17;
	return random >> 11;
}

/* What any_text has given, in memory of its own. */
struct texts {
	char *all[128];
	size_t n;
};

/* Mostly plain; now and then one that is missing, that is long, or that has something in it. */
static struct berth_text any_text(struct texts *texts, size_t max)
{
	struct berth_text text = { NULL, 0 };
	char *copy;

	if (any_number() % 100 == 0)
		return text;
	text.len = any_number() % (any_number() % 20 == 0 ? 2 * max + 2 : max + 1);
	copy = malloc(text.len > 0 ? text.len : 1);
	assert_non_null(copy);
	for (size_t i = 0; i < text.len; i++)
		copy[i] = (char)('a' + any_number() % 26);
	if (text.len > 0 && any_number() % 40 == 0)
		copy[any_number() % text.len] = (char)any_number();
	texts->all[texts->n++] = copy;
	text.ptr = copy;
	return text;
}

static struct berth_text any_role(struct texts *texts)
{
	static const struct berth_text roles[] = { BERTH_TEXT("user"), BERTH_TEXT("system"), BERTH_TEXT("worker") };

	return any_number() % 20 == 0 ? any_text(texts, 6) : roles[any_number() % 3];
}

/* Of the version of the boundary that is here, or of one that has more or less. */
struct any_diagnostics {
	size_t size; /* of each */
	union {
		struct berth_diagnostic align;
		char room[(BERTH_DIAGNOSTICS_MAX + 2) * (sizeof(struct berth_diagnostic) + 8)];
	} list;
	size_t n;
};

static void fill_diagnostics(struct any_diagnostics *diagnostics, struct texts *texts)
{
	diagnostics->n = any_number() % 4 > 0 ? any_number() % 3 : any_number() % (BERTH_DIAGNOSTICS_MAX + 2);
	diagnostics->size = sizeof(struct berth_diagnostic);
	if (any_number() % 10 == 0)
		diagnostics->size = diagnostics->size - 8 + any_number() % 3 * 8;
	for (size_t i = 0; i < diagnostics->n; i++) {
		const struct berth_diagnostic one = {
			diagnostics->size, any_text(texts, 40), any_text(texts, 200), any_number() % 5,
		};

		memcpy(diagnostics->list.room + i * diagnostics->size, &one,
		       diagnostics->size < sizeof one ? diagnostics->size : sizeof one);
	}
}

static void check_object(const struct shape *shape, const void *object)
{
	struct buffer expected = { 0 }, found = { 0 };
	struct error expected_why = { "" }, why = { "" };
	bool fits = wire_write_each(&expected, shape, object, &expected_why);

	buffer_append_string(&found, "before");
	assert_int_equal(wire_write(&found, shape, object, &why), fits);
	assert_string_equal(why.text, expected_why.text);
	assert_int_equal(found.len, expected.len + 6);
	if (fits)
		assert_memory_equal(found.data + 6, expected.data, expected.len);
	buffer_fini(&expected);
	buffer_fini(&found);
}

static void check_worker(struct texts *texts)
{
	struct any_diagnostics diagnostics;
	struct berth_worker worker = { .size = sizeof worker };
	struct berth_text *const members[] = {
		&worker.worker_id, &worker.runtime_id, &worker.host_id, &worker.label, &worker.role, &worker.profile,
		&worker.workspace_visibility, &worker.workspace_identity, &worker.state, &worker.status,
		&worker.implementation_kind, &worker.implementation_hint,
	};

	for (size_t i = 0; i < sizeof members / sizeof *members; i++)
		*members[i] = any_text(texts, 70);
	worker.last_seen_at_ns = any_number() % 10 == 0 ? any_number() : 0;
	worker.can = any_number();
	fill_diagnostics(&diagnostics, texts);
	worker.diagnostics = any_number() % 50 == 0 ? NULL : &diagnostics.list.align;
	worker.n_diagnostics = diagnostics.n;
	check_object(&wire_worker_shape, &worker);
}

static void check_runtime(struct texts *texts)
{
	struct berth_text ids[20];
	struct wire_runtime runtime = { .base.size = sizeof runtime.base, .max_workers = any_number() >> any_number() % 64 };
	struct berth_text *const members[] = {
		&runtime.base.runtime_id, &runtime.base.label, &runtime.base.kind, &runtime.base.status,
		&runtime.base.source_kind, &runtime.base.source_status, &runtime.base.source_note,
		&runtime.base.local_pod_inspection, &runtime.base.workspace_scope, &runtime.base.os, &runtime.base.arch,
	};

	for (size_t i = 0; i < sizeof members / sizeof *members; i++)
		*members[i] = any_text(texts, 70);
	runtime.base.can = any_number();
	runtime.base.n_host_ids = any_number() % 4 > 0 ? any_number() % 3 : any_number() % 20;
	runtime.base.host_ids = any_number() % 50 == 0 ? NULL : ids;
	for (size_t i = 0; i < runtime.base.n_host_ids; i++)
		ids[i] = any_text(texts, 60);
	check_object(&wire_runtime_shape, &runtime);
}

static void check_item(struct texts *texts)
{
	const struct berth_transcript_item item = {
		.size = sizeof item,
		.sequence = any_number() % 20 == 0 ? 0 : any_number() >> any_number() % 64,
		.event_id = any_number() % 20 == 0 ? 0 : any_number() >> any_number() % 64,
		.role = any_role(texts),
		.content = any_text(texts, 400),
	};
	const struct berth_evidence evidence = { sizeof evidence, any_text(texts, 70), any_text(texts, 70) };

	check_object(&wire_transcript_item_shape, &item);
	check_object(&wire_evidence_shape, &evidence);
}

static void objects_are_written_as_field_by_field(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_RANDOM; i++) {
		struct texts texts = { .n = 0 };

		check_worker(&texts);
		check_runtime(&texts);
		check_item(&texts);
		while (texts.n > 0)
			free(texts.all[--texts.n]);
	}
}

/* ---- Requests ---- */

static void same_text(struct berth_text a, struct berth_text b)
{
	assert_int_equal(a.ptr == NULL, b.ptr == NULL);
	assert_true(text_equal(a, b));
}

static void check_blocks(enum request_op op, const union request_block *a, const union request_block *b)
{
	switch (op) {
	case REQUEST_SPAWN_WORKER:
		assert_int_equal(a->spawn.intent, b->spawn.intent);
		same_text(a->spawn.ticket_id, b->spawn.ticket_id);
		assert_int_equal(a->spawn.role, b->spawn.role);
		same_text(a->spawn.requested_worker_name, b->spawn.requested_worker_name);
		assert_int_equal(a->spawn.acceptance, b->spawn.acceptance);
		assert_int_equal(a->spawn.expected_segments, b->spawn.expected_segments);
		same_text(a->spawn.request_id, b->spawn.request_id);
		break;
	case REQUEST_STOP_WORKER:
		same_text(a->stop.worker_id, b->stop.worker_id);
		assert_int_equal(a->stop.mode, b->stop.mode);
		break;
	case REQUEST_SEND_INPUT:
		assert_int_equal(a->input.kind, b->input.kind);
		same_text(a->input.content, b->input.content);
		break;
	default:
		break;
	}
}

/* A tabulator in front means nothing, but makes a line one that is read member by member. */
static void check_line(struct berth_text line)
{
	struct buffer scratch = { 0 }, plain_scratch = { 0 };
	struct request request, plain;
	struct error error = { "" }, plain_error = { "" };
	char *tabbed = malloc(line.len + 1);
	int rc;

	assert_non_null(tabbed);
	*tabbed = '\t';
	if (line.len > 0)
		memcpy(tabbed + 1, line.ptr, line.len);
	rc = request_parse(line, 7, &scratch, &request, &error);
	assert_int_equal(request_parse((struct berth_text){ tabbed, line.len + 1 }, 7, &plain_scratch, &plain,
				       &plain_error), rc);
	/* The place of what is no JSON is one further on. */
	if (strncmp(error.text, "line: byte", 10) != 0 || strncmp(plain_error.text, "line: byte", 10) != 0)
		assert_string_equal(error.text, plain_error.text);
	same_text(request.id, plain.id);
	assert_int_equal(request.id_is_number, plain.id_is_number);
	if (rc == 0) {
		assert_int_equal(request.op, plain.op);
		assert_int_equal(request.limit, plain.limit);
		assert_int_equal(request.start, plain.start);
		same_text(request.runtime_id, plain.runtime_id);
		same_text(request.worker_id, plain.worker_id);
		same_text(request.host_id, plain.host_id);
		same_text(request.cursor, plain.cursor);
		same_text(request.after, plain.after);
		check_blocks(request.op, &request.block, &plain.block);
	}
	free(tabbed);
	buffer_fini(&scratch);
	buffer_fini(&plain_scratch);
}

static void requests_are_read_as_member_by_member(void **state)
{
	static const char *const lines[] = {
		"", "{", "{}", "{\"op\":", "{\"op\":\"hello\",\"protocol\":1}",
		"{\"op\":\"list_workers\",\"limit\":0}", "{\"op\":\"list_workers\",\"limit\":18446744073709551616}",
		"{\"op\": \"list_workers\", \"limit\": 12, \"after\": \"a/b\", \"id\": \"a\\nb\"}",
		"{\"op\":\"list_workers_for_host\",\"host_id\":\"host\",\"limit\":01}",
		"{\"id\":12,\"op\":\"worker\",\"runtime_id\":\"runtime\",\"worker_id\":\"worker\"}",
		"{\"op\":\"spawn_worker\",\"runtime_id\":\"runtime\",\"request\":{\"intent\":{\"kind\":\"ticket_role\","
		"\"ticket_id\":\"T-1\",\"role\":\"coder\"},\"requested_worker_name\":null,\"acceptance\":{\"kind\":"
		"\"run_accepted\",\"expected_segments\":3},\"request_id\":\"12\"}}",
		"{\"op\":\"stop_worker\",\"runtime_id\":\"r\",\"request\":{\"worker_id\":\"w\",\"mode\":\"force\"}}",
		"{\"op\":\"send_input\",\"runtime_id\":\"r\",\"worker_id\":\"w\",\"request\":{\"content\":\"The fox\"}} ",
		"{\"op\":\"transcript\",\"runtime_id\":\"r\",\"worker_id\":\"w\",\"start\":5000,\"limit\":100}",
		"{\"op\":\"read_events\",\"runtime_id\":\"r\",\"cursor\":null}",
		"{\"op\":\"list_workers\",\"limit\":1,\"limit\":2}", "{\"op\":\"list_workers\",\"limits\":1}",
		"{\"op\":\"worker\",\"runtime_id\":{},\"worker_id\":\"w\"}", "{\"op\":\"list_runtimes\"}{", "{\"op\":[]}",
	};
	static const char odd[] = "{}[]\":,\\ \t0019.eE-+nul_a\xc3";

	(void)state;
	for (size_t i = 0; i < N_RANDOM; i++) {
		char line[512];
		size_t len = (size_t)snprintf(line, sizeof line, "%s", lines[i % (sizeof lines / sizeof *lines)]);
		/* First as it is, then with some bytes changed, taken out, or put in. */
		size_t times = i < sizeof lines / sizeof *lines || len == 0 ? 0 : 1 + any_number() % 3;

		for (; times > 0; times--) {
			size_t at = any_number() % len, kind = any_number() % 3;

			if (kind == 1)
				memmove(line + at, line + at + 1, --len - at);
			if (kind == 2)
				memmove(line + at + 1, line + at, len++ - at);
			if (kind != 1)
				line[at] = odd[any_number() % sizeof odd];
			if (len == 0)
				break;
		}
		check_copy(check_line, line, len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_are_written_and_read_as_character_by_character),
		cmocka_unit_test(texts_are_compared_as_byte_by_byte),
		cmocka_unit_test(texts_are_gathered_as_byte_by_byte),
		cmocka_unit_test(strings_that_are_none_are_not_read),
		cmocka_unit_test(numbers_are_written_as_printf_does),
		cmocka_unit_test(identifiers_are_judged_as_byte_by_byte),
		cmocka_unit_test(identifiers_are_generated_as_the_contract_words_it),
		cmocka_unit_test(hints_are_made_as_point_by_point),
		cmocka_unit_test(objects_are_written_as_field_by_field),
		cmocka_unit_test(requests_are_read_as_member_by_member),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
