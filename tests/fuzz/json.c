/* SPDX-License-Identifier: MIT */
/* The JSON reader against a grammar written down a second time, the writer against the
 * reader, and times against the C library. */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/cleanup.h"
#include "core/json_writer.h"
#include "core/text.h"
#include "inline/gather.h"
#include "inline/json_reader.h"

static void check_reader(struct berth_text text)
{
	struct json_reader r;
	bool good;

	json_open(&r, text.ptr, text.len);
	json_skip(&r);
	good = json_close(&r);
	FUZZ_CHECK(good == !r.error);
	FUZZ_CHECK(json_offset(&r) <= text.len);
	FUZZ_CHECK(good == fuzz_is_json(text));
	FUZZ_CHECK(utf8_valid(text.ptr, text.len) == fuzz_is_utf8(text));
}

/* What is written is read back as it was. */
static void check_string(struct berth_text text)
{
	struct buffer out = { 0 };
	struct json_slice slice;
	struct json_reader r;
	CLEANUP_FREE char *plain = NULL;
	bool written = json_write_string(&out, text);

	FUZZ_CHECK(written == fuzz_is_utf8(text));
	FUZZ_CHECK(written || out.len == 0);
	if (written) {
		FUZZ_CHECK(fuzz_is_json((struct berth_text){ out.data, out.len }));
		json_open(&r, out.data, out.len);
		FUZZ_CHECK(json_read_string(&r, &slice) && json_close(&r));
		plain = malloc(slice.len + 1);
		FUZZ_CHECK(text_equal((struct berth_text){ plain, json_unescape(&slice, plain) }, text));
	}
	buffer_fini(&out);
}

/* Each way of copying a text finds it as plain as the others do. */
static void check_gathering(struct berth_text text)
{
	CLEANUP_FREE char *copy = malloc(text.len + 1);
	bool fails;

	if (text.len < BLOCK_SIZE)
		return;
	fails = block_any(block_gather(copy, text.ptr, text.len, block_not_plain));
	FUZZ_CHECK(memcmp(copy, text.ptr, text.len) == 0);
	memset(copy, 0, text.len);
	FUZZ_CHECK(block_any(gather_long(copy, text.ptr, text.len)) == fails);
	FUZZ_CHECK(memcmp(copy, text.ptr, text.len) == 0);
	if (text.len >= GATHER_WIDE_SIZE && GATHER_HAS_WIDE) {
		memset(copy, 0, text.len);
		FUZZ_CHECK(block_any(gather_wide(copy, text.ptr, text.len)) == fails);
		FUZZ_CHECK(memcmp(copy, text.ptr, text.len) == 0);
	}
}

static void check_number(uint64_t value)
{
	struct buffer out = { 0 };
	char text[48], fraction[12] = "";
	uint64_t ns = value % 1000000000;
	time_t seconds = (time_t)(value / 1000000000);
	struct json_slice slice;
	struct tm tm;
	uint64_t again;
	size_t len;

	json_write_u64(&out, value);
	slice = (struct json_slice){ out.data, out.len, false };
	FUZZ_CHECK(json_number_is_u64(&slice, &again) && again == value);
	buffer_cut(&out, 0);
	json_write_time(&out, value);
	FUZZ_CHECK(gmtime_r(&seconds, &tm));
	if (ns > 0)
		snprintf(fraction, sizeof fraction, ns % 1000000 == 0 ? ".%03u" : ns % 1000 == 0 ? ".%06u" : ".%09u",
			 (unsigned)(ns % 1000000 == 0 ? ns / 1000000 : ns % 1000 == 0 ? ns / 1000 : ns));
	len = strftime(text, sizeof text, "\"%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + len, sizeof text - len, "%s+00:00\"", fraction);
	FUZZ_CHECK(text_equal((struct berth_text){ out.data, out.len }, berth_text(text)));
	buffer_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct berth_text text = { (const char *)data, size };
	struct fuzz fuzz = { data, size };

	check_reader(text);
	check_string(text);
	check_gathering(text);
	check_number(fuzz_u64(&fuzz));
	return 0;
}
