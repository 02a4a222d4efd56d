/* SPDX-License-Identifier: MIT */
/* Generated identifiers are what callers address workers by, so they must come out
 * the same in every version; the digest makes them unique, the body readable. */
#include "config.h"

#include "core/identifier.h"

/* Of the functions below, libcrypto would rather see others used. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <string.h>

#include "inline/block.h"
#include "inline/utf8.h"

enum {
	DIGEST_HEX_LEN = 16,
	HINT_CODE_POINTS = 80,
};

static bool is_lower(uint32_t c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_upper(uint32_t c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_digit(uint32_t c)
{
	return c >= '0' && c <= '9';
}

BLOCK_INLINE block_bytes not_body(block_bytes bytes)
{
	return block_not_letter(bytes) & ((bytes < '0') | (bytes > '9')) & (bytes != '-') & (bytes != '_');
}

/* What a display hint keeps of ASCII. */
BLOCK_INLINE block_bytes not_hint(block_bytes bytes)
{
	return (bytes < ' ') | (bytes == 0x7f) | (bytes == '/') | (bytes == '\\');
}

bool identifier_valid(struct berth_text id)
{
	return id.len > 0 && id.len <= BERTH_ID_MAX && block_all(id.ptr, id.len, block_not_identifier);
}

bool identifier_write(struct buffer *out, struct berth_text id)
{
	char *q = id.len > 0 && id.len <= BERTH_ID_MAX ? buffer_reserve(out, id.len + 2) : NULL;

	if (!q)
		return identifier_valid(id);
	if (block_copy(q + 1, id.ptr, id.len, block_not_identifier) < id.len)
		return false;
	q[0] = q[id.len + 1] = '"';
	out->len += id.len + 2;
	return true;
}

/* ---- Digest */

/* Straight from libcrypto: going through EVP takes as long again as hashing does, and a third
 * of the time that the program needs to start. */
static bool digest_hex(struct berth_text value, char hex[DIGEST_HEX_LEN])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char digest[SHA256_DIGEST_LENGTH];
	SHA256_CTX context;

	if (!SHA256_Init(&context) || !SHA256_Update(&context, value.ptr, value.len) ||
	    !SHA256_Final(digest, &context))
		return false;
	for (size_t i = 0; i < DIGEST_HEX_LEN / 2; i++) {
		hex[2 * i] = digits[digest[i] >> 4];
		hex[2 * i + 1] = digits[digest[i] & 15];
	}
	return true;
}

/* ---- Body */

/* It begins with none, see write_body. */
static struct berth_text strip_dashes(struct berth_text body)
{
	while (body.len > 0 && body.ptr[body.len - 1] == '-')
		body.len--;
	return body;
}

/* Nearly every value is its own body, but for capital letters: it has nothing that becomes a dash,
 * and none at its ends. */
static bool write_plain_body(struct berth_text value, char *out, size_t size)
{
	if (value.len < BLOCK_SIZE || value.len > size || value.ptr[0] == '-' || value.ptr[value.len - 1] == '-' ||
	    !block_all(value.ptr, value.len, not_body))
		return false;
	for (size_t i = 0; i < value.len; i += BLOCK_SIZE) {
		/* The last block may begin in the one before it. */
		size_t at = value.len - i >= BLOCK_SIZE ? i : value.len - BLOCK_SIZE;
		block_bytes bytes = block_load(value.ptr + at);

		bytes |= ((bytes >= 'A') & (bytes <= 'Z')) & 0x20;
		block_store(out + at, bytes);
	}
	return true;
}

/* Writes what value becomes, but for the dashes it begins with, into out and stops
 * at size; *cutp says whether value had more. False where value is not UTF-8. */
static bool write_body(struct berth_text value, char *out, size_t size, size_t *lenp, bool *cutp)
{
	size_t len = 0, dashes = 0;
	uint32_t code;

	*cutp = false;
	if (write_plain_body(value, out, size)) {
		*lenp = value.len;
		return true;
	}
	for (size_t i = 0; i < value.len;) {
		size_t n = utf8_decode(value.ptr + i, value.len - i, &code);

		if (n == 0)
			return false;
		i += n;
		if (is_upper(code))
			code += 'a' - 'A';
		else if (!is_lower(code) && !is_digit(code) && code != '_')
			code = '-';
		if (code == '-') {
			/* Dashes count once something follows them. */
			dashes += len > 0;
			continue;
		}
		while (dashes > 0 && len < size) {
			out[len++] = '-';
			dashes--;
		}
		if (len < size)
			out[len++] = (char)code;
		else
			*cutp = true;
	}
	*lenp = len;
	return true;
}

struct berth_text identifier_generate(struct berth_text prefix, struct berth_text value, char *buffer, size_t size)
{
	static const struct berth_text absent;
	char body[BERTH_ID_MAX], hex[DIGEST_HEX_LEN];
	struct berth_text kept = { body, 0 };
	size_t taken = prefix.len + 1 + DIGEST_HEX_LEN;
	size_t budget = taken < BERTH_ID_MAX ? BERTH_ID_MAX - taken : 1, len;
	bool cut;

	if (!write_body(value, body, budget, &kept.len, &cut) || !digest_hex(value, hex))
		return absent;
	if (cut)
		kept = strip_dashes(kept);
	if (kept.len == 0)
		kept = (struct berth_text)BERTH_TEXT("id");
	len = prefix.len + kept.len + 1 + DIGEST_HEX_LEN;
	if (len > BERTH_ID_MAX) {
		/* Only a prefix that leaves no room: it is cut, and the body is left out. */
		prefix.len = utf8_prefix(prefix.ptr, prefix.len, BERTH_ID_MAX - 1 - DIGEST_HEX_LEN);
		kept.len = 0;
		len = prefix.len + 1 + DIGEST_HEX_LEN;
	}
	if (len > size)
		return absent;
	if (prefix.len > 0)
		memcpy(buffer, prefix.ptr, prefix.len);
	memcpy(buffer + prefix.len, kept.ptr, kept.len);
	buffer[len - DIGEST_HEX_LEN - 1] = '-';
	memcpy(buffer + len - DIGEST_HEX_LEN, hex, DIGEST_HEX_LEN);
	return (struct berth_text){ buffer, len };
}

struct berth_text identifier_hint(struct berth_text value, char *buffer, size_t size)
{
	static const struct berth_text absent;
	struct berth_text hint = { buffer, 0 };
	unsigned points = 0;
	uint32_t code;

	if (value.len <= HINT_CODE_POINTS && value.len <= size &&
	    block_copy(buffer, value.ptr, value.len, not_hint) == value.len) {
		hint.len = value.len;
		return hint;
	}
	for (size_t i = 0; i < value.len;) {
		size_t n = utf8_decode(value.ptr + i, value.len - i, &code);

		if (n == 0)
			return absent;
		if (!unicode_is_control(code) && code != '/' && code != '\\' && points++ < HINT_CODE_POINTS) {
			if (hint.len + n > size)
				return absent;
			memcpy(buffer + hint.len, value.ptr + i, n);
			hint.len += n;
		}
		i += n;
	}
	return hint;
}
