/* SPDX-License-Identifier: MIT */
/* Generated identifiers are what callers address workers by, so they must come out
 * the same in every version; the digest makes them unique, the body readable. */
#include "config.h"

#include "core/identifier.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

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

static bool is_identifier_byte(unsigned char c)
{
	return is_lower(c) || is_upper(c) || is_digit(c) || c == '-' || c == '_' || c == ':';
}

bool identifier_valid(struct berth_text id)
{
	if (id.len == 0 || id.len > BERTH_ID_MAX)
		return false;
	for (size_t i = 0; i < id.len; i++)
		if (!is_identifier_byte((unsigned char)id.ptr[i]))
			return false;
	return true;
}

/* ---- Digest: one EVP context a thread, since making one costs more than hashing. */

static pthread_key_t context_key;
static pthread_once_t context_once = PTHREAD_ONCE_INIT;
static EVP_MD *sha256;

static void free_context(void *context)
{
	EVP_MD_CTX_free(context);
}

static void fetch_digest(void)
{
	if (pthread_key_create(&context_key, free_context) == 0)
		sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

/* libcrypto frees its own state in an atexit handler; what is ours goes before. */
__attribute__((destructor))
static void free_digest(void)
{
	if (!sha256)
		return;
	free_context(pthread_getspecific(context_key));
	pthread_key_delete(context_key);
	EVP_MD_free(sha256);
	sha256 = NULL;
}

static EVP_MD_CTX *digest_context(void)
{
	EVP_MD_CTX *context;

	pthread_once(&context_once, fetch_digest);
	if (!sha256)
		return NULL;
	context = pthread_getspecific(context_key);
	if (!context) {
		context = EVP_MD_CTX_new();
		if (context && pthread_setspecific(context_key, context) != 0) {
			EVP_MD_CTX_free(context);
			context = NULL;
		}
	}
	return context;
}

static bool digest_hex(struct berth_text value, char hex[DIGEST_HEX_LEN])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *context = digest_context();

	if (!context || !EVP_DigestInit_ex2(context, sha256, NULL) ||
	    !EVP_DigestUpdate(context, value.ptr, value.len) || !EVP_DigestFinal_ex(context, digest, NULL))
		return false;
	for (size_t i = 0; i < DIGEST_HEX_LEN; i++)
		hex[i] = digits[digest[i / 2] >> (i % 2 ? 0 : 4) & 15];
	return true;
}

/* ---- Body */

static struct berth_text strip_dashes(struct berth_text body)
{
	while (body.len > 0 && body.ptr[0] == '-') {
		body.ptr++;
		body.len--;
	}
	while (body.len > 0 && body.ptr[body.len - 1] == '-')
		body.len--;
	return body;
}

/* Writes what value becomes, but for the dashes it begins with, into out and stops
 * at size; *cutp says whether value had more. False where value is not UTF-8. */
static bool write_body(struct berth_text value, char *out, size_t size, size_t *lenp, bool *cutp)
{
	size_t len = 0, dashes = 0;
	uint32_t code;

	*cutp = false;
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
