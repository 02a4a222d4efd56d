/* SPDX-License-Identifier: MIT */
/* Generated identifiers and display hints against the rule in the contract, written down
 * a second time: over code points and in as many steps as the rule has. */
#include "config.h"

#include "core/identifier.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "tests/fuzz/fuzz.h"

/* A text cut into its code points, each a text of its own. */
struct points {
	struct berth_text *list;
	size_t n;
};

static struct points points_of(struct berth_text text)
{
	struct points points = { calloc(text.len + 1, sizeof *points.list), 0 };

	FUZZ_CHECK(points.list);
	for (size_t i = 0; i < text.len; i++) {
		if (((unsigned char)text.ptr[i] & 0xc0) != 0x80)
			points.list[points.n++] = (struct berth_text){ text.ptr + i, 0 };
		points.list[points.n - 1].len++;
	}
	return points;
}

static bool is_one_of(struct berth_text point, const char *set)
{
	return point.len == 1 && *point.ptr && strchr(set, *point.ptr);
}

/* Takes the dashes off both ends; what is nothing then is called id. */
static void strip(char *body)
{
	size_t lead = strspn(body, "-"), len;

	memmove(body, body + lead, strlen(body + lead) + 1);
	for (len = strlen(body); len > 0 && body[len - 1] == '-';)
		body[--len] = '\0';
	if (!*body)
		strcpy(body, "id");
}

static void check_identifier(struct berth_text prefix, struct berth_text value)
{
	static const char upper[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", kept[] = "abcdefghijklmnopqrstuvwxyz0123456789-_";
	char buffer[BERTH_ID_MAX], expected[512];
	struct berth_text id = identifier_generate(prefix, value, buffer, sizeof buffer);
	unsigned char digest[SHA256_DIGEST_LENGTH];
	struct points points;
	size_t budget = 120 - prefix.len - 17;
	char *body;

	FUZZ_CHECK((id.ptr != NULL) == fuzz_is_utf8(value));
	if (!id.ptr)
		return;
	points = points_of(value);
	body = calloc(points.n + 3, 1);
	FUZZ_CHECK(body);
	for (size_t i = 0; i < points.n; i++)
		body[i] = is_one_of(points.list[i], upper) ? (char)(*points.list[i].ptr + 32) :
			  is_one_of(points.list[i], kept)  ? *points.list[i].ptr : '-';
	strip(body);
	if (strlen(body) > budget) {
		body[budget] = '\0';
		strip(body);
	}
	SHA256((const unsigned char *)value.ptr, value.len, digest);
	snprintf(expected, sizeof expected, "%.*s%.200s-%02x%02x%02x%02x%02x%02x%02x%02x", (int)prefix.len, prefix.ptr, body,
		 digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7]);
	if (!text_is(id, expected))
		fuzz_wrong("%.*s, expected %s", (int)id.len, id.ptr, expected);
	FUZZ_CHECK(identifier_valid(id));
	/* One byte less is too little. */
	FUZZ_CHECK(!identifier_generate(prefix, value, buffer, strlen(expected) - 1).ptr);
	free(points.list);
	free(body);
}

static bool is_control(struct berth_text point)
{
	const unsigned char *p = (const unsigned char *)point.ptr;

	return (point.len == 1 && (p[0] < 0x20 || p[0] == 0x7f)) || (point.len == 2 && p[0] == 0xc2 && p[1] < 0xa0);
}

static void check_hint(struct berth_text value)
{
	char buffer[BERTH_HINT_MAX], expected[BERTH_HINT_MAX];
	struct berth_text hint = identifier_hint(value, buffer, sizeof buffer);
	struct points points;
	size_t len = 0, n = 0;

	FUZZ_CHECK((hint.ptr != NULL) == fuzz_is_utf8(value));
	if (!hint.ptr)
		return;
	points = points_of(value);
	for (size_t i = 0; i < points.n && n < 80; i++)
		if (!is_control(points.list[i]) && !is_one_of(points.list[i], "/\\")) {
			memcpy(expected + len, points.list[i].ptr, points.list[i].len);
			len += points.list[i].len;
			n++;
		}
	FUZZ_CHECK(text_equal(hint, (struct berth_text){ expected, len }));
	FUZZ_CHECK(len == 0 || !identifier_hint(value, buffer, len - 1).ptr);
	free(points.list);
}

static void check_valid(struct berth_text id)
{
	size_t n = 0;

	while (n < id.len && is_one_of((struct berth_text){ id.ptr + n, 1 },
				       "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_:"))
		n++;
	FUZZ_CHECK(identifier_valid(id) == (n == id.len && n >= 1 && n <= 120));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* As long as it can be with room for a body. */
	static const char prefix[] = "local-worker-local-worker-local-worker-local-worker-local-worker-local-worker-"
				     "local-work";
	struct fuzz fuzz = { data, size };
	size_t len = fuzz_below(&fuzz, sizeof prefix);
	struct berth_text value = { (const char *)fuzz.p, fuzz.left };

	check_identifier((struct berth_text){ prefix, len }, value);
	check_hint(value);
	check_valid(value);
	return 0;
}
