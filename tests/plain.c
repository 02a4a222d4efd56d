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
#include "inline/block.h"
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_are_written_and_read_as_character_by_character),
		cmocka_unit_test(texts_are_compared_as_byte_by_byte),
		cmocka_unit_test(strings_that_are_none_are_not_read),
		cmocka_unit_test(numbers_are_written_as_printf_does),
		cmocka_unit_test(identifiers_are_judged_as_byte_by_byte),
		cmocka_unit_test(identifiers_are_generated_as_the_contract_words_it),
		cmocka_unit_test(hints_are_made_as_point_by_point),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
