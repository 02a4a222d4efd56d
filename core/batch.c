/* SPDX-License-Identifier: MIT */
/* Answers are kept back while further input has been read and not answered, so a
 * caller who sends many lines at once gets them in few writes, and one who waits
 * for each answer gets it at once. Long lists go out piece by piece, so that they
 * are never in memory as a whole; where memory for a piece is out in the middle of
 * one, the batch ends. */
#include "config.h"

#include "core/batch.h"

#include <stdio.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/io.h"
#include "core/services.h"

enum {
	READ_SIZE = 64 << 10,
	FLUSH_SIZE = 1 << 20, /* answers are written once they are this long */
	PIECE_SIZE = 256 << 10, /* and one of them that is longer, in pieces of this */
};

/* The answer to one line, of which the beginning may be gone before its end is written. */
struct growing {
	struct outlet base;
	struct outlet *to;
	size_t mark, body; /* where it begins, and behind its id */
	bool begun;        /* a piece has been taken, so that there is no way back */
};

/* The id is the first key: the answer's own brace becomes a comma. */
static void join_id(const struct growing *growing, struct buffer *out)
{
	if (growing->body > growing->mark && !growing->begun)
		out->data[growing->body] = ',';
}

static void take_piece(struct outlet *base, struct buffer *out)
{
	struct growing *growing = (struct growing *)base;

	join_id(growing, out);
	growing->begun = true;
	growing->to->take(growing->to, out);
}

/* terms: of the batch, what holds for each of its lines. */
static void answer(struct registry *registry, const struct batch *terms, struct berth_text line, struct buffer *scratch,
		   struct buffer *out)
{
	static const char forbidden[] =
		"{\"error\":{\"kind\":\"forbidden\",\"message\":\"op: a token with the scope write is expected\"}}";
	static const char no_memory[] = "{\"error\":{\"kind\":\"out_of_memory\"}}";
	struct growing growing = { .base.take = take_piece, .to = terms->outlet, .mark = out->len };
	struct request request;
	struct error error;
	int rc;

	if (!buffer_reserve(out, sizeof no_memory))
		return;
	rc = request_parse(line, registry->limit ? registry->limit : REQUEST_DEFAULT_LIMIT, scratch, &request, &error);
	request.deadline_ns = terms->deadline_ns;
	if (terms->outlet) {
		growing.base.enough = terms->outlet->enough;
		request.outlet = &growing.base;
	}
	if (request.id.ptr) {
		buffer_append_string(out, "{\"id\":");
		request_write_id(&request, out);
	}
	growing.body = out->len;
	if (rc == -EINVAL)
		registry_answer_bad_request(out, &error);
	else if (rc == 0 && terms->read_only && request_changes(request.op))
		buffer_append(out, forbidden, sizeof forbidden - 1);
	else if (rc == 0)
		registry_answer(registry, &request, out);
	if (growing.begun)
		return;
	if (rc == -ENOMEM || out->failed) {
		out->failed = false;
		buffer_cut(out, growing.mark);
		buffer_append(out, no_memory, sizeof no_memory - 1);
	} else {
		join_id(&growing, out);
	}
}

void batch_answer(struct registry *registry, struct berth_text line, struct buffer *scratch, struct buffer *out)
{
	static const struct batch none;

	answer(registry, &none, line, scratch, out);
}

void batch_fini(struct batch *batch)
{
	buffer_fini(&batch->in);
	buffer_fini(&batch->out);
	buffer_fini(&batch->scratch);
}

static bool is_blank(struct berth_text line)
{
	size_t i = 0;

	while (i < line.len && line.ptr[i] && strchr(" \t\r", line.ptr[i]))
		i++;
	return i == line.len;
}

static void refuse_line(struct batch *batch)
{
	char message[64];

	buffer_append_string(&batch->out, "{\"error\":{\"kind\":\"");
	buffer_append_string(&batch->out, batch->too_long);
	snprintf(message, sizeof message, "line: longer than %zu bytes", batch->line_max);
	buffer_append_string(&batch->out, "\",\"message\":\"");
	buffer_append_string(&batch->out, message);
	buffer_append_string(&batch->out, "\"}}\n");
}

static void answer_line(struct batch *batch, struct registry *registry, struct berth_text line)
{
	if (line.len > batch->line_max) {
		refuse_line(batch);
	} else if (!is_blank(line)) {
		answer(registry, batch, line, &batch->scratch, &batch->out);
		buffer_append_char(&batch->out, '\n');
	}
}

/* Forgets what has been answered, and all of a line that is too long. */
static void forget_answered(struct batch *batch)
{
	struct buffer *in = &batch->in;

	if (batch->answered > 0) {
		memmove(in->data, in->data + batch->answered, in->len - batch->answered);
		buffer_cut(in, in->len - batch->answered);
		batch->answered = 0;
	}
	batch->searched = in->len;
	if (in->len > batch->line_max && !batch->skipping) {
		refuse_line(batch);
		batch->skipping = true;
	}
	if (batch->skipping)
		batch->searched = in->len = 0;
}

int batch_answer_lines(struct batch *batch, struct registry *registry, bool ended, size_t enough, uint64_t until_ns)
{
	struct buffer *in = &batch->in;
	char *newline;

	while (batch->searched < in->len &&
	       (newline = memchr(in->data + batch->searched, '\n', in->len - batch->searched))) {
		struct berth_text line = { in->data + batch->answered, 0 };

		if (batch->out.failed || in->failed)
			return -ENOMEM;
		if (batch->out.len >= enough || (until_ns > 0 && batch->out.len > 0 && services_monotonic_ns() >= until_ns))
			return 1;
		line.len = (size_t)(newline - line.ptr);
		batch->answered = batch->searched = (size_t)(newline + 1 - in->data);
		if (!batch->skipping)
			answer_line(batch, registry, line);
		batch->skipping = false;
	}
	forget_answered(batch);
	if (ended && in->len > 0) {
		answer_line(batch, registry, (struct berth_text){ in->data, in->len });
		batch->searched = in->len = 0;
	}
	return batch->out.failed || in->failed ? -ENOMEM : 0;
}

/* ---- Between descriptors ---- */

struct pipe {
	struct outlet outlet;
	struct batch batch;
	int in_fd, out_fd;
	int rc; /* 0 as long as what is written arrives */
};

static void pipe_fini(struct pipe *pipe)
{
	batch_fini(&pipe->batch);
}

static void pipe_take(struct outlet *outlet, struct buffer *out)
{
	struct pipe *pipe = (struct pipe *)outlet;

	if (pipe->rc == 0)
		pipe->rc = io_write_all(pipe->out_fd, out->data, out->len);
	buffer_cut(out, 0);
}

static int flush(struct pipe *pipe, struct error *error)
{
	pipe_take(&pipe->outlet, &pipe->batch.out);
	return pipe->rc < 0 ? error_set(error, pipe->rc, "standard output: %s", strerror(-pipe->rc)) : 0;
}

/* Reads what there is: 1 if something came, 0 at the end, or a negative errno. */
static int fill(struct pipe *pipe, struct error *error)
{
	ssize_t n = io_read(pipe->in_fd, &pipe->batch.in, READ_SIZE);

	if (n < 0)
		return error_set(error, (int)n, "standard input: %s", strerror((int)-n));
	return n > 0;
}

int batch_run(struct registry *registry, int in_fd, int out_fd, size_t line_max, struct error *error)
{
	CLEANUP(pipe_fini) struct pipe pipe = {
		.outlet = { pipe_take, PIECE_SIZE },
		.batch = { .line_max = line_max, .too_long = "bad_request", .outlet = &pipe.outlet },
		.in_fd = in_fd,
		.out_fd = out_fd,
	};
	int more, left, rc;

	do {
		more = fill(&pipe, error);
		if (more < 0)
			return more;
		do {
			left = batch_answer_lines(&pipe.batch, registry, !more, FLUSH_SIZE, 0);
			if (left < 0)
				return error_set(error, left, "no memory for an answer");
			rc = flush(&pipe, error);
		} while (rc == 0 && left > 0);
	} while (rc == 0 && more);
	return rc;
}
