/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "core/conformance/output.h"

#include <errno.h>
#include <string.h>

#include "core/text.h"

/* ---- TAP ---- */

/* Each line of a text behind "# "; a description has no # and is one line. */
static void write_comment(FILE *out, const char *text, size_t len)
{
	while (len > 0) {
		const char *newline = memchr(text, '\n', len);
		size_t n = newline ? (size_t)(newline - text) : len;

		fprintf(out, "# %.*s\n", (int)n, text);
		n += newline != NULL;
		text += n;
		len -= n;
	}
}

void output_tap(FILE *out, size_t number, const struct check *check, const struct result *result)
{
	fprintf(out, "%sok %zu - %s", result->verdict == VERDICT_FAILED ? "not " : "", number, check->name);
	if (result->verdict == VERDICT_SKIPPED)
		fprintf(out, " # SKIP %s", result->why);
	fputc('\n', out);
	if (result->verdict == VERDICT_FAILED) {
		fprintf(out, "# the rule: %s\n", check->rule);
		write_comment(out, result->why, strlen(result->why));
		write_comment(out, result->output.data, result->output.len);
	}
	write_comment(out, result->notes.data, result->notes.len);
	fflush(out);
}

/* ---- JUnit ---- */

/* XML has no place for most control characters. */
static void write_xml(FILE *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '<')
			fputs("&lt;", out);
		else if (c == '>')
			fputs("&gt;", out);
		else if (c == '&')
			fputs("&amp;", out);
		else if (c == '"')
			fputs("&quot;", out);
		else if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
			fputc('?', out);
		else
			fputc(c, out);
	}
}

static void write_case(FILE *out, const struct outcome *outcome)
{
	const char *name = outcome->check->name, *slash = strchr(name, '/');
	const struct result *result = outcome->result;

	fprintf(out, "  <testcase classname=\"berth.conformance.%.*s\" name=\"%s\" time=\"%.3f\">\n", (int)(slash - name), name,
		slash + 1, result ? result->seconds : 0);
	if (!result) {
		fputs("    <skipped message=\"not run: a check without which nothing can be told has failed\"/>\n", out);
	} else if (result->verdict != VERDICT_PASSED) {
		fprintf(out, "    <%s message=\"", result->verdict == VERDICT_FAILED ? "failure" : "skipped");
		write_xml(out, result->why, strlen(result->why));
		fputs("\"/>\n", out);
	}
	if (result && result->output.len > 0) {
		fputs("    <system-err>", out);
		write_xml(out, result->output.data, result->output.len);
		fputs("</system-err>\n", out);
	}
	fputs("  </testcase>\n", out);
}

int output_junit(const char *file, const char *adapter_id, const struct outcome *outcomes, size_t n)
{
	FILE *out = fopen(file, "we");
	size_t failed = 0, skipped = 0;
	double seconds = 0;
	int rc;

	if (!out)
		return -errno;
	for (size_t i = 0; i < n; i++) {
		const struct result *result = outcomes[i].result;

		failed += result && result->verdict == VERDICT_FAILED;
		skipped += !result || result->verdict == VERDICT_SKIPPED;
		seconds += result ? result->seconds : 0;
	}
	fprintf(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		     "<testsuite name=\"%s\" tests=\"%zu\" failures=\"%zu\" errors=\"0\" skipped=\"%zu\" time=\"%.3f\">\n",
		adapter_id, n, failed, skipped, seconds);
	for (size_t i = 0; i < n; i++)
		write_case(out, &outcomes[i]);
	fputs("</testsuite>\n", out);
	rc = ferror(out) ? -EIO : 0;
	return fclose(out) == 0 ? rc : -errno;
}
