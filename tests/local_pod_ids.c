/* SPDX-License-Identifier: MIT */
/* Identifiers must come out the same for ever, so they are held here against a second
 * formulation of the rule, the plainest there is, and against digests made elsewhere. */
#include "config.h"

#include "tests/support.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/identifier.h"

enum { POINTS_MAX = 300, N_RANDOM = 800 };

/* ---- The plain formulation: over an array of code points ---- */

struct points {
	uint32_t list[POINTS_MAX];
	size_t n;
};

/* Writes one code point as UTF-8. */
static size_t encode(uint32_t c, char *out)
{
	const size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const unsigned char leads[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

	for (size_t i = n; i-- > 1; c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3f));
	out[0] = (char)(leads[n] | c);
	return n;
}

static size_t encode_all(const struct points *points, char *out)
{
	size_t len = 0;

	for (size_t i = 0; i < points->n; i++)
		len += encode(points->list[i], out + len);
	out[len] = '\0';
	return len;
}

/* Drops the dashes at both ends. */
static void strip(char *body)
{
	size_t lead = strspn(body, "-"), len;

	memmove(body, body + lead, strlen(body + lead) + 1);
	for (len = strlen(body); len > 0 && body[len - 1] == '-'; len--)
		body[len - 1] = '\0';
	if (*body == '\0')
		strcpy(body, "id");
}

static void expect_identifier(const char *prefix, const struct points *points, char out[512])
{
	static const char kept[] = "abcdefghijklmnopqrstuvwxyz0123456789-_";
	char value[4 * POINTS_MAX + 1], body[POINTS_MAX + 3], digest[2 * EVP_MAX_MD_SIZE + 1] = "";
	unsigned char md[EVP_MAX_MD_SIZE];
	size_t len = encode_all(points, value), budget = 120 - 17 - strlen(prefix);
	unsigned n = 0;

	assert_int_equal(EVP_Digest(value, len, md, &n, EVP_sha256(), NULL), 1);
	for (unsigned i = 0; i < 8; i++)
		sprintf(digest + 2 * i, "%02x", md[i]);
	for (size_t i = 0; i < points->n; i++) {
		uint32_t c = points->list[i];

		if (c >= 'A' && c <= 'Z')
			c += 32;
		body[i] = c != 0 && c < 0x80 && strchr(kept, (int)c) ? (char)c : '-';
	}
	body[points->n] = '\0';
	strip(body);
	if (strlen(body) > budget) {
		body[budget] = '\0';
		strip(body);
	}
	snprintf(out, 512, "%s%s-%s", prefix, body, digest);
}

static void expect_hint(const struct points *points, char out[512])
{
	struct points kept = { .n = 0 };

	for (size_t i = 0; i < points->n && kept.n < 80; i++) {
		uint32_t c = points->list[i];

		if (c > 0x1f && !(c > 0x7e && c < 0xa0) && c != '/' && c != '\\')
			kept.list[kept.n++] = c;
	}
	encode_all(&kept, out);
}

/* ---- Values made up by chance, the same at each run ---- */

static uint32_t next_random(uint64_t *seed, uint32_t below)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*seed >> 33) % below;
}

static uint32_t random_point(uint64_t *seed)
{
	static const struct {
		uint32_t from, n;
	} ranges[] = {
		{ 'a', 26 }, { 'A', 26 }, { '0', 10 }, { '-', 1 }, { '-', 3 }, { '_', 1 }, { '[', 6 }, { '@', 1 },
		{ ' ', 1 }, { 0, 0x20 }, { 0x7f, 0x21 }, { 0xa0, 0x60 }, { 0x100, 0x700 }, { 0x800, 0xd000 },
		{ 0xe000, 0x2000 }, { 0x10000, 0x100000 }, { 0x212a, 1 }, { 0xff21, 26 }, { '\\', 1 },
	};
	const uint32_t i = next_random(seed, sizeof ranges / sizeof *ranges);

	return ranges[i].from + next_random(seed, ranges[i].n);
}

static void random_points(uint64_t *seed, struct points *points)
{
	/* Some of letters alone, so that long bodies come about; some mostly dashes. */
	const uint32_t kind = next_random(seed, 4);

	points->n = next_random(seed, next_random(seed, 2) ? 12 : 240);
	for (size_t i = 0; i < points->n; i++)
		points->list[i] = kind == 0 ? 'a' + next_random(seed, 26) :
				  kind == 1 && next_random(seed, 10) ? '-' : random_point(seed);
}

static struct berth_text generate(const char *prefix, const char *value, size_t len, char *buffer, size_t size)
{
	return identifier_generate(berth_text(prefix), (struct berth_text){ value, len }, buffer, size);
}

static void test_random_identifiers(void **state)
{
	static const char *const prefixes[] = { "local-", "local-worker-", "embedded-", "", "-", "a:b_" };
	uint64_t seed = 20240229;

	(void)state;
	for (int i = 0; i < N_RANDOM; i++) {
		const char *prefix = prefixes[(size_t)i % (sizeof prefixes / sizeof *prefixes)];
		char value[4 * POINTS_MAX + 1], buffer[BERTH_ID_MAX], expected[512];
		struct points points;
		struct berth_text id;

		random_points(&seed, &points);
		expect_identifier(prefix, &points, expected);
		id = generate(prefix, value, encode_all(&points, value), buffer, sizeof buffer);
		assert_non_null(id.ptr);
		assert_true(id.len <= 120);
		assert_int_equal(id.len, strlen(expected));
		assert_memory_equal(id.ptr, expected, id.len);
		assert_true(identifier_valid(id));
	}
}

static void test_random_hints(void **state)
{
	uint64_t seed = 19720229;

	(void)state;
	for (int i = 0; i < N_RANDOM; i++) {
		char value[4 * POINTS_MAX + 1], buffer[BERTH_HINT_MAX], expected[512];
		struct points points;
		struct berth_text hint;

		random_points(&seed, &points);
		expect_hint(&points, expected);
		hint = identifier_hint((struct berth_text){ value, encode_all(&points, value) }, buffer, sizeof buffer);
		assert_non_null(hint.ptr);
		assert_int_equal(hint.len, strlen(expected));
		assert_memory_equal(hint.ptr, expected, hint.len);
	}
}

/* Any bytes: what is not UTF-8 must be refused, not answered with something. */
static void test_random_bytes(void **state)
{
	uint64_t seed = 4711;

	(void)state;
	for (int i = 0; i < N_RANDOM; i++) {
		char value[16], buffer[BERTH_HINT_MAX];
		size_t len = 1 + next_random(&seed, sizeof value - 1);

		for (size_t j = 0; j < len; j++)
			value[j] = (char)(next_random(&seed, 3) ? next_random(&seed, 128) : next_random(&seed, 256));
		value[next_random(&seed, (uint32_t)len)] = (char)(0xf8 + next_random(&seed, 8));
		assert_null(generate("local-", value, len, buffer, sizeof buffer).ptr);
		assert_null(identifier_hint((struct berth_text){ value, len }, buffer, sizeof buffer).ptr);
	}
}

/* ---- Fixed values; the digests were made with printf VALUE | sha256sum. ---- */

#define TEN "0123456789"
#define FIFTY TEN TEN TEN TEN TEN
#define DASHES "----------"

static struct id_row {
	const char *name, *prefix, *value, *expected;
} id_rows[] = {
	{ "nothing becomes id", "local-", "", "local-id-e3b0c44298fc1c14" },
	{ "dashes alone become id", "local-", "---", "local-id-cb3f91d54eee30e5" },
	{ "what becomes dashes alone becomes id", "local-", "\xe6\xbc\xa2\xe5\xad\x97", "local-id-@" },
	{ "id stays id with its own digest", "local-", "id", "local-id-@" },
	{ "capitals become small letters", "local-worker-", "CoDeR", "local-worker-coder-@" },
	{ "small letters have another digest", "local-worker-", "coder", "local-worker-coder-@" },
	{ "underscores stay", "local-worker-", "_a_", "local-worker-_a_-@" },
	{ "dashes inside stay, as many as there are", "local-worker-", "-a--b---c-", "local-worker-a--b---c-@" },
	{ "a colon becomes a dash", "local-", "local:test", "local-local-test-a2fa388634a6e2ed" },
	{ "a code point of four bytes becomes one dash", "local-", "a\xf0\x9f\x98\x80" "b", "local-a-b-@" },
	{ "the Kelvin sign is no k", "local-", "a\xe2\x84\xaa" "b", "local-a-b-@" },
	{ "an accent of its own becomes a dash of its own", "local-", "e\xcc\x81" "e", "local-e-e-@" },
	{ "a body of just the budget", "local-worker-", FIFTY TEN TEN TEN TEN,
	  "local-worker-" FIFTY TEN TEN TEN TEN "-@" },
	{ "a body one over the budget", "local-worker-", FIFTY TEN TEN TEN TEN "x",
	  "local-worker-" FIFTY TEN TEN TEN TEN "-@" },
	{ "a cut behind dashes drops them", "local-worker-", FIFTY TEN TEN TEN "01234567--x",
	  "local-worker-" FIFTY TEN TEN TEN "01234567-@" },
	{ "a body cut to one letter and dashes", "local-",
	  "x" DASHES DASHES DASHES DASHES DASHES DASHES DASHES DASHES DASHES DASHES "y", "local-x-@" },
	{ "dashes at the ends do not count for the budget", "local-worker-", DASHES FIFTY TEN TEN TEN TEN DASHES,
	  "local-worker-" FIFTY TEN TEN TEN TEN "-@" },
	{ "a prefix that leaves one byte", FIFTY FIFTY "ab", "xyz", FIFTY FIFTY "abx-@" },
	{ "a prefix that leaves nothing", FIFTY FIFTY "abc", "xyz", FIFTY FIFTY "abc-@" },
	{ "a prefix that is too long itself", FIFTY FIFTY TEN TEN TEN, "xyz", FIFTY FIFTY "012-@" },
};

static void test_id(void **state)
{
	const struct id_row *row = *state;
	char buffer[BERTH_ID_MAX], expected[512], hex[17];
	unsigned char md[EVP_MAX_MD_SIZE];
	const char *at = strchr(row->expected, '@');
	struct berth_text id = generate(row->prefix, row->value, strlen(row->value), buffer, sizeof buffer);

	assert_int_equal(EVP_Digest(row->value, strlen(row->value), md, NULL, EVP_sha256(), NULL), 1);
	for (unsigned i = 0; i < 8; i++)
		sprintf(hex + 2 * i, "%02x", md[i]);
	snprintf(expected, sizeof expected, "%.*s%s", at ? (int)(at - row->expected) : 500, row->expected,
		 at ? hex : "");
	assert_non_null(id.ptr);
	assert_int_equal(id.len, strlen(expected));
	assert_memory_equal(id.ptr, expected, id.len);
}

/* ---- Through the plugin ---- */

static void decode_all(const char *text, struct points *points)
{
	points->n = 0;
	while (*text) {
		uint32_t c = (unsigned char)*text++, more = c < 0xc0 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;

		c &= more == 0 ? 0x7f : 0x3fu >> more;
		while (more-- > 0)
			c = c << 6 | ((unsigned char)*text++ & 0x3f);
		points->list[points->n++] = c;
	}
}

static void test_workers_and_hosts(void **state)
{
	static const char *const names[] = {
		"plain", "Plain", "..x", "with space", "a:b", "-", "---", "_", "\xc3\xa9t\xc3\xa9",
		"\xe6\xbc\xa2\xe5\xad\x97", "\xf0\x9f\x98\x80", "tab\there", "quote\"d", "back\\slash",
		FIFTY FIFTY FIFTY FIFTY FIFTY, "x" DASHES DASHES DASHES DASHES DASHES DASHES DASHES DASHES DASHES "y",
	};

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char *data = scratch_new(), expected[512];
		struct host host;
		struct points points;
		cJSON *json;

		decode_all(names[i], &points);
		scratch_record(data, names[i], "{'worker_name':'w','workspace_root':'/workspace/project'}");
		host_start(&host, &(struct host_setup){ .adapters = "local-pod,embedded", .data_dir = data,
							       .id = names[i] });
		json = host_ask_json(&host, "{'op':'list_workers'}");
		expect_identifier("local-worker-", &points, expected);
		assert_string_equal(json_string_at(json, "items.0.worker_id"), expected);
		expect_hint(&points, expected);
		assert_string_equal(json_string_at(json, "items.0.implementation.display_hint"), expected);
		expect_identifier("local-", &points, expected);
		assert_string_equal(json_string_at(json, "items.0.host_id"), expected);
		cJSON_Delete(json);
		json = host_ask_json(&host, "{'op':'list_hosts'}");
		assert_string_equal(json_string_at(json, "items.0.host_id"), expected);
		expect_identifier("embedded-", &points, expected);
		assert_string_equal(json_string_at(json, "items.1.host_id"), expected);
		cJSON_Delete(json);
		host_stop(&host);
		scratch_remove(data);
	}
}

int main(void)
{
	enum { N_ROWS = sizeof id_rows / sizeof *id_rows };
	struct CMUnitTest tests[N_ROWS + 4] = {
		cmocka_unit_test(test_random_bytes),
		cmocka_unit_test(test_random_identifiers),
		cmocka_unit_test(test_random_hints),
		cmocka_unit_test(test_workers_and_hosts),
	};

	for (size_t i = 0; i < N_ROWS; i++)
		tests[4 + i] = (struct CMUnitTest){ id_rows[i].name, test_id, NULL, NULL, &id_rows[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
