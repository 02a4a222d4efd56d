/* SPDX-License-Identifier: MIT */
/*
 * All lines that have come by now are one request, and the next one is made once its
 * answers are written out: so a caller who sends many lines at once pays for few round
 * trips, and one who waits for each answer gets it at once.
 *
 * A single request whose body goes on while its answers come would be one round trip for
 * all. But HTTP/1.1 leaves it open whether a server may answer before it has read the
 * whole request: libmicrohttpd does not let it, and proxies hold back bodies, answers or
 * both. A caller who waits for each answer would then wait for ever.
 */
#include "config.h"

#include "core/relay.h"

#include <string.h>

#include "core/buffer.h"
#include "core/cleanup.h"
#include "core/io.h"
#include "core/registry.h"

enum {
	READ_SIZE = 64 << 10,
	FLUSH_SIZE = 1 << 20, /* answers are written once they are this long */
};

struct relay {
	struct remote *remote;
	int in_fd, out_fd;
	size_t line_max;
	struct buffer in, out;
	size_t searched; /* bytes of in that have no newline behind what was sent */
	size_t n_answers;
	bool skipping;	 /* in the middle of a line that is too long */
};

static void relay_fini(struct relay *relay)
{
	buffer_fini(&relay->in);
	buffer_fini(&relay->out);
}

static int flush(struct relay *relay, struct error *error)
{
	int rc;

	if (relay->out.failed)
		return error_set(error, -ENOMEM, "no memory for an answer");
	rc = io_write_all(relay->out_fd, relay->out.data, relay->out.len);
	buffer_cut(&relay->out, 0);
	return rc < 0 ? error_set(error, rc, "standard output: %s", strerror(-rc)) : 0;
}

static int take(void *context, struct berth_text answer, struct error *error)
{
	struct relay *relay = context;

	buffer_append(&relay->out, answer.ptr, answer.len);
	buffer_append_char(&relay->out, '\n');
	relay->n_answers++;
	return relay->out.failed || relay->out.len >= FLUSH_SIZE ? flush(relay, error) : 0;
}

/* Sends lines of which n want an answer. What is answered before it fails is written too. */
static int send_lines(struct relay *relay, struct berth_text lines, size_t n, struct error *error)
{
	struct error ignored;
	int rc;

	if (n == 0)
		return 0;
	relay->n_answers = 0;
	rc = remote_batch(relay->remote, lines, take, relay, error);
	if (rc == 0 && relay->n_answers != n)
		rc = error_set(error, -EPROTO, "%s: %zu answers to %zu requests; is it berth serve?",
			       remote_name(relay->remote), relay->n_answers, n);
	if (rc < 0) {
		flush(relay, &ignored);
		return rc;
	}
	return flush(relay, error);
}

static int refuse_line(struct relay *relay, struct error *error)
{
	struct error why;

	error_set(&why, 0, "line: longer than %zu bytes", relay->line_max);
	registry_answer_bad_request(&relay->out, &why);
	buffer_append_char(&relay->out, '\n');
	return flush(relay, error);
}

static bool is_blank(struct berth_text line)
{
	for (size_t i = 0; i < line.len; i++)
		if (line.ptr[i] != ' ' && line.ptr[i] != '\t' && line.ptr[i] != '\r')
			return false;
	return true;
}

/* Sends the complete lines that have been read. */
static int send_complete(struct relay *relay, struct error *error)
{
	struct buffer *in = &relay->in;
	size_t begin = 0, line = 0, n = 0;
	char *newline;
	int rc = 0;

	while (rc == 0 && (newline = memchr(in->data + relay->searched, '\n', in->len - relay->searched))) {
		struct berth_text text = { in->data + line, (size_t)(newline - in->data) - line };
		bool too_long = !relay->skipping && text.len > relay->line_max;

		if (too_long || relay->skipping) {
			rc = send_lines(relay, (struct berth_text){ in->data + begin, line - begin }, n, error);
			if (rc == 0 && too_long)
				rc = refuse_line(relay, error);
			begin = line + text.len + 1;
			n = 0;
			relay->skipping = false;
		} else {
			n += !is_blank(text);
		}
		line = relay->searched = line + text.len + 1;
	}
	if (rc == 0)
		rc = send_lines(relay, (struct berth_text){ in->data + begin, line - begin }, n, error);
	if (line > 0) {
		memmove(in->data, in->data + line, in->len - line);
		buffer_cut(in, in->len - line);
	}
	relay->searched = in->len;
	if (rc == 0 && in->len > relay->line_max && !relay->skipping) {
		rc = refuse_line(relay, error);
		relay->skipping = true;
	}
	if (relay->skipping)
		relay->searched = in->len = 0;
	return rc;
}

/* Reads what there is: 1 if something came, 0 at the end, or a negative errno. */
static int fill(struct relay *relay, struct error *error)
{
	ssize_t n = io_read(relay->in_fd, &relay->in, READ_SIZE);

	if (n < 0)
		return error_set(error, (int)n, "standard input: %s", strerror((int)-n));
	return n > 0;
}

int relay_run(struct remote *remote, int in_fd, int out_fd, size_t line_max, struct error *error)
{
	CLEANUP(relay_fini) struct relay relay = {
		.remote = remote,
		.in_fd = in_fd,
		.out_fd = out_fd,
		.line_max = line_max,
	};
	int more, rc;

	do {
		more = fill(&relay, error);
		if (more < 0)
			return more;
		/* The last line may lack its newline. */
		if (!more && relay.in.len > 0)
			buffer_append_char(&relay.in, '\n');
		rc = relay.in.failed ? error_set(error, -ENOMEM, "no memory for a line") : send_complete(&relay, error);
	} while (more && rc == 0);
	return rc;
}
