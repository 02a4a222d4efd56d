/* SPDX-License-Identifier: MIT */
/* Reading and writing JSON: what must be refused first, then what must come through,
 * and both against a second, plain formulation. */
#include "config.h"

#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "core/json_writer.h"
#include "inline/json_reader.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static bool reads(const char *text, size_t len)
{
	struct json_reader r;

	json_open(&r, text, len);
	json_skip(&r);
	return json_close(&r);
}

/* ---- Whole texts ---- */

static const struct {
	const char *name, *text;
} refused[] = {
	{ "nothing", "" },
	{ "white space alone", " \t\r\n" },
	{ "a byte order mark", "\xef\xbb\xbf{}" },
	{ "a comment", "/**/{}" },
	{ "text after the value", "{} {}" },
	{ "a trailing comma in an object", "{\"a\":1,}" },
	{ "a trailing comma in an array", "[1,]" },
	{ "a leading comma", "[,1]" },
	{ "two commas", "[1,,2]" },
	{ "no comma", "[1 2]" },
	{ "no colon", "{\"a\" 1}" },
	{ "a key that is no string", "{a:1}" },
	{ "a key without a value", "{\"a\":}" },
	{ "a key alone", "{\"a\"}" },
	{ "an object that does not end", "{\"a\":1" },
	{ "an array that does not end", "[1" },
	{ "an array closed as an object", "[1}" },
	{ "a string that does not end", "\"a" },
	{ "a string that ends in a backslash", "\"a\\" },
	{ "single quotes", "'a'" },
	{ "a control character in a string", "\"a\nb\"" },
	{ "an unknown escape", "\"\\x41\"" },
	{ "an escape of three digits", "\"\\u041\"" },
	{ "an escape with a letter too far", "\"\\u004g\"" },
	{ "a high surrogate alone", "\"\\ud83d\"" },
	{ "a high surrogate before something else", "\"\\ud83d\\u0041\"" },
	{ "a low surrogate alone", "\"\\ude00\"" },
	{ "a form feed as white space", "\f{}" },
	{ "a leading zero", "01" },
	{ "a negative leading zero", "-01" },
	{ "a plus sign", "+1" },
	{ "a minus sign alone", "-" },
	{ "a point without digits before", ".5" },
	{ "a point without digits behind", "1." },
	{ "an exponent without digits", "1e" },
	{ "an exponent with a sign alone", "1e+" },
	{ "a hexadecimal number", "0x10" },
	{ "a number beyond a double", "1e309" },
	{ "a negative number beyond a double", "-1e309" },
	{ "a number just beyond a double", "1.7976931348623159e308" },
	{ "a huge exponent", "1e99999999999999999999" },
	{ "not a number", "NaN" },
	{ "infinity", "Infinity" },
	{ "a word cut short", "tru" },
	{ "a word run on", "nullx" },
	{ "an upper-case word", "True" },
	{ "an overlong form", "\"\xc0\xaf\"" },
	{ "a surrogate in UTF-8", "\"\xed\xa0\x80\"" },
	{ "a code point too large", "\"\xf4\x90\x80\x80\"" },
	{ "a continuation byte alone", "\"\x80\"" },
	{ "a sequence cut short", "\"\xe6\xbc\"" },
};

static const struct {
	const char *name, *text;
} accepted[] = {
	{ "white space around everything", " \t\r\n{ \"a\" : [ 1 , 2 ] , \"b\" : { } } \n" },
	{ "every word", "[true,false,null]" },
	{ "zeroes", "[0,-0,0.0,0e0,0E+0,0e-0]" },
	{ "zero with a huge exponent", "0e99999999999999999999" },
	{ "zeroes with a huge exponent", "0.000e999" },
	{ "a number that vanishes", "1e-99999999999999999999" },
	{ "the largest double", "1.7976931348623157e308" },
	{ "the same, shifted", "17976931348623157e292" },
	{ "the same, with zeroes in front", "0.00017976931348623157e312" },
	{ "just below where doubles end", "1.7976931348623158e308" },
	{ "every escape", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uD83D\\uDE00\"" },
	{ "every length of UTF-8", "\"a\xc3\xa4\xe6\xbc\xa2\xf0\x9f\x98\x80\x7f\"" },
	{ "doubled keys, which are the caller's to judge", "{\"a\":1,\"a\":2}" },
	{ "a string alone", "\"\"" },
};

static void texts_are_refused_or_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(refused); i++)
		if (reads(refused[i].text, strlen(refused[i].text)))
			fail_msg("read: %s", refused[i].name);
	for (size_t i = 0; i < COUNT(accepted); i++) {
		if (!reads(accepted[i].text, strlen(accepted[i].text)))
			fail_msg("refused: %s", accepted[i].name);
	}
	assert_false(reads("[\"a\0b\"]", 7));
}

/* In memory that ends with it, so that reading on is found by a sanitizer. */
static void nothing_is_read_behind_the_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(accepted); i++)
		for (size_t len = 1; len <= strlen(accepted[i].text); len++) {
			char *copy = malloc(len);

			assert_non_null(copy);
			memcpy(copy, accepted[i].text, len);
			if (accepted[i].text[0] == '[' || accepted[i].text[0] == '"')
				assert_int_equal(reads(copy, len), len == strlen(accepted[i].text));
			else
				reads(copy, len);
			free(copy);
		}
}

static char *nested(size_t depth)
{
	char *text = malloc(2 * depth + 1);

	assert_non_null(text);
	memset(text, '[', depth);
	memset(text + depth, ']', depth);
	text[2 * depth] = '\0';
	return text;
}

static void nesting_ends_at_127_levels(void **state)
{
	static const struct {
		size_t depth;
		bool reads;
	} rows[] = { { 128, false }, { 10000, false }, { 127, true }, { 1, true } };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char *text = nested(rows[i].depth);

		assert_int_equal(reads(text, strlen(text)), rows[i].reads);
		free(text);
	}
}

/* The border is where a double rounds to infinity, a whole number of 309 digits. */
static void numbers_are_judged_as_doubles_are(void **state)
{
	char text[800];

	(void)state;
	srandom(1);
	for (int i = 0; i < 20000; i++) {
		int digits = 1 + (int)(random() % 40), exponent = (int)(random() % 700) - 350, n;
		bool finite;

		n = snprintf(text, sizeof text, "%ld.", 1 + random() % 9);
		for (int j = 0; j < digits; j++)
			text[n++] = (char)('0' + random() % 10);
		snprintf(text + n, sizeof text - (size_t)n, "e%d", exponent);
		finite = strtod(text, NULL) <= DBL_MAX;
		if (reads(text, strlen(text)) != finite)
			fail_msg("%s", text);
	}
	for (int digits = 300; digits < 700; digits++) {
		memset(text, digits % 2 ? '9' : '1', (size_t)digits);
		text[digits] = '\0';
		assert_int_equal(reads(text, strlen(text)), strtod(text, NULL) <= DBL_MAX);
	}
}

/* ---- Values ---- */

static void whole_numbers_are_exact(void **state)
{
	static const struct {
		const char *text;
		bool is_u64;
		uint64_t value;
	} rows[] = {
		{ "18446744073709551616", false, 0 },
		{ "99999999999999999999999", false, 0 },
		{ "-1", false, 0 },
		{ "1.0", false, 0 },
		{ "1e2", false, 0 },
		{ "0", true, 0 },
		{ "9007199254740993", true, 9007199254740993 },
		{ "18446744073709551615", true, UINT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct json_slice slice = { NULL, 0, false };
		struct json_reader r;
		uint64_t value = 0;

		json_open(&r, rows[i].text, strlen(rows[i].text));
		assert_true(json_read_number(&r, &slice));
		assert_int_equal(json_number_is_u64(&slice, &value), rows[i].is_u64);
		assert_true(value == rows[i].value);
	}
}

static void keys_are_compared_by_what_they_mean(void **state)
{
	static const struct {
		const char *text;
		bool is;
	} rows[] = {
		{ "\"worker_nam\"", false },	 { "\"worker_names\"", false },
		{ "\"worker_nam\\u0066\"", false }, { "\"worker_name\"", true },
		{ "\"worker\\u005fname\"", true },
		{ "\"\\u0077\\u006f\\u0072\\u006b\\u0065\\u0072\\u005f\\u006e\\u0061\\u006d\\u0065\"", true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct json_slice slice = { NULL, 0, false };
		struct json_reader r;

		json_open(&r, rows[i].text, strlen(rows[i].text));
		assert_true(json_read_string(&r, &slice));
		assert_int_equal(json_string_is(&slice, "worker_name"), rows[i].is);
	}
}

/* Any text that is written is read back the same, and a general library agrees. */
static void strings_survive(void **state)
{
	static const uint32_t codes[] = { 0, 1, 8, 9, 10, 12, 13, 31, ' ', '"', '/', '\\', 'a', 0x7f, 0x80, 0xe4,
					  0x7ff, 0x800, 0x6f22, 0xffff, 0x10000, 0x1f600, 0x10ffff };

	(void)state;
	srandom(2);
	for (int i = 0; i < 20000; i++) {
		char plain[400], decoded[2000];
		struct buffer out = { 0 };
		struct json_slice slice = { NULL, 0, false };
		struct json_reader r;
		size_t n = (size_t)(random() % 60), len = 0;

		while (n-- > 0)
			len += utf8_encode(random() % 3 ? 'b' : codes[(size_t)random() % COUNT(codes)], plain + len);
		assert_true(json_write_string(&out, (struct berth_text){ plain, len }));
		json_open(&r, out.data, out.len);
		assert_true(json_read_string(&r, &slice));
		assert_true(json_close(&r));
		assert_int_equal(json_unescape(&slice, decoded), len);
		assert_memory_equal(decoded, plain, len);
		if (!memchr(plain, '\0', len)) {
			cJSON *json = cJSON_ParseWithLength(out.data, out.len);

			plain[len] = '\0';
			assert_string_equal(cJSON_GetStringValue(json), plain);
			cJSON_Delete(json);
		}
		buffer_fini(&out);
	}
}

static void only_what_must_be_is_escaped(void **state)
{
	struct buffer out = { 0 };

	(void)state;
	for (unsigned c = 0; c < 0x80; c++) {
		char text = (char)c, expected[16];
		static const char named[] = { ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r' };

		if (c == '"' || c == '\\')
			snprintf(expected, sizeof expected, "\"\\%c\"", c);
		else if (c < sizeof named && named[c])
			snprintf(expected, sizeof expected, "\"\\%c\"", named[c]);
		else
			snprintf(expected, sizeof expected, c < 0x20 ? "\"\\u%04x\"" : "\"%c\"", c);
		buffer_cut(&out, 0);
		assert_true(json_write_string(&out, (struct berth_text){ &text, 1 }));
		assert_int_equal(out.len, strlen(expected));
		assert_memory_equal(out.data, expected, out.len);
	}
	buffer_fini(&out);
}

static void text_that_is_not_utf8_is_not_written(void **state)
{
	struct buffer out = { 0 };

	(void)state;
	buffer_append_string(&out, "before");
	for (size_t at = 0; at < 3000; at += 7) {
		char text[3000];

		memset(text, 'a', sizeof text);
		text[at] = '\xff';
		assert_false(json_write_string(&out, (struct berth_text){ text, sizeof text }));
		assert_int_equal(out.len, 6);
	}
	buffer_fini(&out);
}

static void times_have_the_digits_that_they_need(void **state)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} rows[] = {
		{ 0, "\"1970-01-01T00:00:00+00:00\"" },
		{ 1, "\"1970-01-01T00:00:00.000000001+00:00\"" },
		{ 1000, "\"1970-01-01T00:00:00.000001+00:00\"" },
		{ 1000000, "\"1970-01-01T00:00:00.001+00:00\"" },
		{ 951782400000000000, "\"2000-02-29T00:00:00+00:00\"" },
		{ 1795334400120000000, "\"2026-11-22T08:00:00.120+00:00\"" },
		{ UINT64_MAX, "\"2554-07-21T23:34:33.709551615+00:00\"" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buffer out = { 0 };

		json_write_time(&out, rows[i].ns);
		buffer_append_char(&out, '\0');
		assert_string_equal(out.data, rows[i].text);
		buffer_fini(&out);
	}
}

/* Nothing may come as NULL, and no pointer be made from that. */
static void nothing_may_be_null(void **state)
{
	struct buffer out = { 0 };
	struct json_reader r;

	(void)state;
	json_open(&r, NULL, 0);
	assert_false(json_skip(&r));
	assert_int_equal(json_offset(&r), 0);
	buffer_append(&out, NULL, 0);
	assert_int_equal(out.len, 0);
	assert_true(json_write_string(&out, (struct berth_text){ NULL, 0 }));
	assert_int_equal(out.len, 2);
	buffer_fini(&out);
}

/* A buffer that has failed takes no more, and says so until it is freed. */
static void a_buffer_without_room_has_failed(void **state)
{
	struct buffer out = { 0 };

	(void)state;
	buffer_append_string(&out, "kept");
	assert_null(buffer_reserve(&out, SIZE_MAX / 2));
	assert_true(out.failed);
	assert_int_equal(out.len, 4);
	assert_null(buffer_reserve(&out, 4096));
	assert_true(out.failed);
	buffer_fini(&out);
	assert_false(out.failed);
	assert_non_null(buffer_reserve(&out, 1));
	buffer_fini(&out);
}

/* Mutated texts: what the strict reader takes, a general library must take too. */
static void what_is_read_is_json(void **state)
{
	static const char base[] = "{\"a\":[1,-2.5e3,true,null,\"x\\u00e4\\n\"],\"b\":{\"c\":\"\xc3\xa4\"},\"d\":0.25}";
	static const char bytes[] = "{}[]\",:\\u0019eE+-. \ntfn\xc3\x80";
	unsigned n_read = 0;

	(void)state;
	srandom(3);
	for (int i = 0; i < 100000; i++) {
		char text[sizeof base];
		cJSON *json;

		memcpy(text, base, sizeof base);
		for (long j = random() % 3; j >= 0; j--)
			text[(size_t)random() % (sizeof base - 1)] = bytes[(size_t)random() % (sizeof bytes - 1)];
		if (!reads(text, sizeof base - 1))
			continue;
		n_read++;
		json = cJSON_ParseWithLengthOpts(text, sizeof text, NULL, true);
		if (!json)
			fail_msg("%s", text);
		cJSON_Delete(json);
	}
	assert_true(n_read > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_refused_or_read),
		cmocka_unit_test(nothing_is_read_behind_the_end),
		cmocka_unit_test(nesting_ends_at_127_levels),
		cmocka_unit_test(numbers_are_judged_as_doubles_are),
		cmocka_unit_test(whole_numbers_are_exact),
		cmocka_unit_test(keys_are_compared_by_what_they_mean),
		cmocka_unit_test(strings_survive),
		cmocka_unit_test(only_what_must_be_is_escaped),
		cmocka_unit_test(text_that_is_not_utf8_is_not_written),
		cmocka_unit_test(times_have_the_digits_that_they_need),
		cmocka_unit_test(nothing_may_be_null),
		cmocka_unit_test(a_buffer_without_room_has_failed),
		cmocka_unit_test(what_is_read_is_json),
	};

	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
