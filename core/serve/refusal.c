/* SPDX-License-Identifier: MIT */
/* One table says which kind of error has which status, whoever has written the error. */
#include "config.h"

#include "core/serve/refusal.h"

#include <stdarg.h>

#include "core/error.h"
#include "core/json_writer.h"
#include "core/text.h"

static const struct {
	const char *kind;
	unsigned status;
} refusals[N_REFUSALS] = {
	[REFUSAL_BAD_REQUEST] = { "bad_request", 400 },
	[REFUSAL_UNAUTHORIZED] = { "unauthorized", 401 },
	[REFUSAL_FORBIDDEN] = { "forbidden", 403 },
	[REFUSAL_UNKNOWN_ROUTE] = { "unknown_route", 404 },
	[REFUSAL_METHOD_NOT_ALLOWED] = { "method_not_allowed", 405 },
	[REFUSAL_TOO_LARGE] = { "too_large", 413 },
	[REFUSAL_OUT_OF_MEMORY] = { "out_of_memory", 500 },
	[REFUSAL_UNKNOWN_ADAPTER] = { "unknown_adapter", 404 },
	[REFUSAL_BUSY] = { "busy", 503 },
	[REFUSAL_TIMEOUT] = { "timeout", 504 },
	[REFUSAL_INVALID_IDENTIFIER] = { "invalid_identifier", 400 },
	[REFUSAL_UNKNOWN_RUNTIME] = { "unknown_runtime", 404 },
	[REFUSAL_UNKNOWN_HOST] = { "unknown_host", 404 },
	[REFUSAL_UNKNOWN_WORKER] = { "unknown_worker", 404 },
};

static const char lead[] = "{\"error\":{\"kind\":\"";

unsigned refusal_write(struct buffer *out, enum refusal refusal, const char *format, ...)
{
	struct error message;
	va_list args;

	va_start(args, format);
	vsnprintf(message.text, sizeof message.text, format, args);
	va_end(args);
	/* What was quoted may have been cut in the middle of a character. */
	text_make_utf8(message.text);
	out->failed = false;
	buffer_cut(out, 0);
	buffer_append_string(out, lead);
	buffer_append_string(out, refusals[refusal].kind);
	buffer_append_string(out, "\",\"message\":");
	json_write_string(out, berth_text(message.text));
	buffer_append_string(out, "}}");
	return refusals[refusal].status;
}

unsigned refusal_status(const struct buffer *answer)
{
	size_t len = sizeof lead - 1;

	if (answer->len < len || memcmp(answer->data, lead, len) != 0)
		return 200;
	for (size_t i = 0; i < N_REFUSALS; i++) {
		size_t kind_len = strlen(refusals[i].kind);

		if (answer->len > len + kind_len && memcmp(answer->data + len, refusals[i].kind, kind_len) == 0 &&
		    answer->data[len + kind_len] == '"')
			return refusals[i].status;
	}
	return 500;
}

enum refusal refusal_of_status(unsigned status)
{
	switch (status) {
	case 413:
	case 414:
	case 431:
		return REFUSAL_TOO_LARGE;
	case 500:
		return REFUSAL_OUT_OF_MEMORY;
	default:
		return status >= 500 && status != 501 && status != 505 ? REFUSAL_BUSY : REFUSAL_BAD_REQUEST;
	}
}
