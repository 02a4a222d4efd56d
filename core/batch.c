/* SPDX-License-Identifier: MIT */
/* Answers are kept back while further input has been read and not answered, so a
 * caller who sends many lines at once gets them in few writes, and one who waits
 * for each answer gets it at once. */
#include "config.h"

#include "core/batch.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/io.h"

enum {
	READ_SIZE = 64 << 10,
	FLUSH_SIZE = 1 << 20, /* answers are written once they are this long */
};

void batch_answer(struct registry *registry, struct berth_text line, struct buffer *scratch, struct buffer *out)
{
	static const char no_memory[] = "{\"error\":{\"kind\":\"out_of_memory\"}}";
	struct request request;
	struct error error;
	size_t mark = out->len, body;
	int rc;

	if (!buffer_reserve(out, sizeof no_memory))
		return;
	rc = request_parse(line, registry->limit ? registry->limit : REQUEST_DEFAULT_LIMIT, scratch, &request, &error);
	if (request.id.ptr) {
		buffer_append_string(out, "{\"id\":");
		request_write_id(&request, out);
	}
	body = out->len;
	if (rc == -EINVAL)
		registry_answer_bad_request(out, &error);
	else if (rc == 0)
		registry_answer(registry, &request, out);
	if (rc == -ENOMEM || out->failed) {
		out->failed = false;
		buffer_cut(out, mark);
		buffer_append(out, no_memory, sizeof no_memory - 1);
	} else if (body > mark) {
		/* The id is the first key: the answer's own brace becomes a comma. */
		out->data[body] = ',';
	}
}

struct batch {
	struct registry *registry;
	int in_fd, out_fd;
	size_t line_max;
	struct buffer in, out, scratch;
	size_t answered; /* bytes of in */
	size_t searched; /* bytes of in that have no newline behind answered */
	bool skipping;   /* in the middle of a line that is too long */
};

static void batch_fini(struct batch *batch)
{
	buffer_fini(&batch->in);
	buffer_fini(&batch->out);
	buffer_fini(&batch->scratch);
}

static int flush(struct batch *batch, struct error *error)
{
	int rc;

	if (batch->out.failed)
		return error_set(error, -ENOMEM, "no memory for an answer");
	rc = io_write_all(batch->out_fd, batch->out.data, batch->out.len);
	buffer_cut(&batch->out, 0);
	return rc < 0 ? error_set(error, rc, "standard output: %s", strerror(-rc)) : 0;
}

static int answer_line(struct batch *batch, struct berth_text line, struct error *error)
{
	static const char space[] = " \t\r";
	size_t i = 0;

	while (i < line.len && line.ptr[i] && strchr(space, line.ptr[i]))
		i++;
	if (i == line.len)
		return 0;
	batch_answer(batch->registry, line, &batch->scratch, &batch->out);
	buffer_append_char(&batch->out, '\n');
	return batch->out.len >= FLUSH_SIZE ? flush(batch, error) : 0;
}

static int refuse_line(struct batch *batch, struct error *error)
{
	struct error why;

	error_set(&why, 0, "line: longer than %zu bytes", batch->line_max);
	registry_answer_bad_request(&batch->out, &why);
	buffer_append_char(&batch->out, '\n');
	return flush(batch, error);
}

/* Answers the complete lines that have been read. */
static int answer_lines(struct batch *batch, struct error *error)
{
	struct buffer *in = &batch->in;
	char *newline;
	int rc = 0;

	while (rc == 0 && (newline = memchr(in->data + batch->searched, '\n', in->len - batch->searched))) {
		struct berth_text line = { in->data + batch->answered, 0 };

		line.len = (size_t)(newline - line.ptr);
		batch->answered = batch->searched = (size_t)(newline + 1 - in->data);
		if (!batch->skipping)
			rc = line.len > batch->line_max ? refuse_line(batch, error) : answer_line(batch, line, error);
		batch->skipping = false;
	}
	if (batch->answered > 0) {
		memmove(in->data, in->data + batch->answered, in->len - batch->answered);
		buffer_cut(in, in->len - batch->answered);
		batch->answered = 0;
	}
	batch->searched = in->len;
	if (rc == 0 && in->len > batch->line_max && !batch->skipping) {
		rc = refuse_line(batch, error);
		batch->skipping = true;
	}
	if (batch->skipping)
		batch->searched = in->len = 0;
	return rc;
}

/* Reads what there is: 1 if something came, 0 at the end, or a negative errno. */
static int fill(struct batch *batch, struct error *error)
{
	char *end = buffer_reserve(&batch->in, READ_SIZE);
	ssize_t n;

	if (!end)
		return error_set(error, -ENOMEM, "no memory for a line");
	do {
		n = read(batch->in_fd, end, READ_SIZE);
		if (n < 0 && errno == EAGAIN) {
			struct pollfd wait = { .fd = batch->in_fd, .events = POLLIN };

			poll(&wait, 1, -1);
		}
	} while (n < 0 && (errno == EINTR || errno == EAGAIN));
	if (n < 0)
		return error_set(error, -errno, "standard input: %s", strerror(errno));
	batch->in.len += (size_t)n;
	return n > 0;
}

int batch_run(struct registry *registry, int in_fd, int out_fd, size_t line_max, struct error *error)
{
	CLEANUP(batch_fini) struct batch batch = {
		.registry = registry,
		.in_fd = in_fd,
		.out_fd = out_fd,
		.line_max = line_max,
	};
	int more, rc;

	do {
		more = fill(&batch, error);
		if (more < 0)
			return more;
		rc = answer_lines(&batch, error);
		if (rc == 0 && !more && batch.in.len > 0)
			rc = answer_line(&batch, (struct berth_text){ batch.in.data, batch.in.len }, error);
		if (rc == 0)
			rc = flush(&batch, error);
		if (rc < 0)
			return rc;
	} while (more);
	return 0;
}
