/* SPDX-License-Identifier: MIT */
/* Lines of the log: whatever is logged is one line, of text that drives no terminal or of
 * JSON. */
#include "config.h"

#include "core/log.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/text.h"
#include "tests/fuzz/fuzz.h"

/* What was written on standard error since it was given to the log. */
static struct berth_text take_log(int log, int saved, char *text, size_t size)
{
	ssize_t len;

	FUZZ_CHECK(dup2(saved, STDERR_FILENO) >= 0);
	len = pread(log, text, size, 0);
	FUZZ_CHECK(len >= 0);
	return (struct berth_text){ text, (size_t)len };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz fuzz = { data, size };
	bool json = fuzz_byte(&fuzz) & 1, named = fuzz_byte(&fuzz) & 1;
	int log = memfd_create("log", MFD_CLOEXEC), saved = dup(STDERR_FILENO);
	struct berth_text line;
	char text[8192];

	FUZZ_CHECK(log >= 0 && saved >= 0 && dup2(log, STDERR_FILENO) >= 0);
	log_set_json(json);
	log_write(BERTH_LOG_ERROR, named ? "embedded" : NULL, "%.*s", (int)fuzz.left, (const char *)fuzz.p);
	line = take_log(log, saved, text, sizeof text);
	close(log);
	close(saved);
	FUZZ_CHECK(line.len > 0 && line.len <= 8000 && line.ptr[line.len - 1] == '\n');
	line.len--;
	if (json)
		fuzz_check_answer(line);
	else
		fuzz_check_plain(line, "");
	return 0;
}
