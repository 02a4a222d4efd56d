/* SPDX-License-Identifier: MIT */
/* Every text is UTF-8 here: it has come through the host's reader of requests. */
#include "config.h"

#include "requests.h"

#include <stdio.h>

static void write_string(struct bytes *out, struct berth_text text)
{
	static const char hex[] = "0123456789abcdef";
	char *to = bytes_reserve(out, 6 * text.len + 2), *p = to;

	if (!to)
		return;
	*p++ = '"';
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (c == '"' || c == '\\') {
			*p++ = '\\';
			*p++ = (char)c;
		} else if (c < 0x20) {
			memcpy(p, "\\u00", 4);
			p[4] = hex[c >> 4];
			p[5] = hex[c & 15];
			p += 6;
		} else {
			*p++ = (char)c;
		}
	}
	*p++ = '"';
	out->len += (size_t)(p - to);
}

static void write_text(struct bytes *out, const char *lead, struct berth_text text)
{
	bytes_append_string(out, lead);
	write_string(out, text);
}

static void write_number(struct bytes *out, const char *lead, uint64_t number)
{
	char digits[24];

	snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
	bytes_append_string(out, lead);
	bytes_append_string(out, digits);
}

static void write_op(struct bytes *out, const char *op)
{
	write_text(out, ",\"op\":", berth_text(op));
}

void request_list(struct bytes *out, const char *op, uint64_t limit)
{
	write_op(out, op);
	write_number(out, ",\"limit\":", limit);
	bytes_append_string(out, "}");
}

void request_worker(struct bytes *out, const char *op, struct berth_text far_id, struct berth_text worker_id)
{
	write_op(out, op);
	write_text(out, ",\"runtime_id\":", far_id);
	write_text(out, ",\"worker_id\":", worker_id);
	bytes_append_string(out, "}");
}

void request_spawn(struct bytes *out, struct berth_text far_id, const struct berth_spawn_request *request)
{
	static const char *const intents[] = {
		[BERTH_INTENT_WORKSPACE_COMPANION] = "{\"kind\":\"workspace_companion\"}",
		[BERTH_INTENT_WORKSPACE_ORCHESTRATOR] = "{\"kind\":\"workspace_orchestrator\"}",
		[BERTH_INTENT_TICKET_ROLE] = "{\"kind\":\"ticket_role\",\"role\":",
	};
	static const char *const roles[] = {
		[BERTH_ROLE_INTAKE] = "\"intake\"",
		[BERTH_ROLE_ORCHESTRATOR] = "\"orchestrator\"",
		[BERTH_ROLE_CODER] = "\"coder\"",
		[BERTH_ROLE_REVIEWER] = "\"reviewer\"",
	};

	write_op(out, "spawn_worker");
	write_text(out, ",\"runtime_id\":", far_id);
	bytes_append_string(out, ",\"request\":{\"intent\":");
	bytes_append_string(out, intents[request->intent]);
	if (request->intent == BERTH_INTENT_TICKET_ROLE) {
		bytes_append_string(out, roles[request->role]);
		write_text(out, ",\"ticket_id\":", request->ticket_id);
		bytes_append_string(out, "}");
	}
	if (request->requested_worker_name.ptr)
		write_text(out, ",\"requested_worker_name\":", request->requested_worker_name);
	if (request->acceptance == BERTH_ACCEPTANCE_SOCKET_READY)
		bytes_append_string(out, ",\"acceptance\":{\"kind\":\"socket_ready\"}");
	else
		write_number(out, ",\"acceptance\":{\"kind\":\"run_accepted\",\"expected_segments\":",
			     request->expected_segments);
	if (request->acceptance != BERTH_ACCEPTANCE_SOCKET_READY)
		bytes_append_string(out, "}");
	if (request->request_id.ptr)
		write_text(out, ",\"request_id\":", request->request_id);
	bytes_append_string(out, "}}");
}

void request_stop(struct bytes *out, struct berth_text far_id, const struct berth_stop_request *request)
{
	write_op(out, "stop_worker");
	write_text(out, ",\"runtime_id\":", far_id);
	write_text(out, ",\"request\":{\"worker_id\":", request->worker_id);
	bytes_append_string(out, request->mode == BERTH_STOP_FORCE ? ",\"mode\":\"force\"}}" : ",\"mode\":\"graceful\"}}");
}

void request_input(struct bytes *out, struct berth_text far_id, const struct berth_input_request *request)
{
	write_op(out, "send_input");
	write_text(out, ",\"runtime_id\":", far_id);
	write_text(out, ",\"worker_id\":", request->worker_id);
	write_text(out, request->kind == BERTH_INPUT_SYSTEM ? ",\"request\":{\"kind\":\"system\",\"content\":" :
							      ",\"request\":{\"kind\":\"user\",\"content\":",
		   request->content);
	bytes_append_string(out, "}}");
}

void request_transcript(struct bytes *out, struct berth_text far_id, const struct berth_transcript_request *request)
{
	write_op(out, "transcript");
	write_text(out, ",\"runtime_id\":", far_id);
	write_text(out, ",\"worker_id\":", request->worker_id);
	write_number(out, ",\"start\":", request->start);
	write_number(out, ",\"limit\":", request->limit);
	bytes_append_string(out, "}");
}

void request_events(struct bytes *out, struct berth_text far_id, const struct berth_events_request *request)
{
	write_op(out, "read_events");
	write_text(out, ",\"runtime_id\":", far_id);
	if (request->cursor.ptr)
		write_text(out, ",\"cursor\":", request->cursor);
	write_number(out, ",\"limit\":", request->limit);
	bytes_append_string(out, "}");
}
