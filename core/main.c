/* SPDX-License-Identifier: MIT */
/*
 * The program: sets up what was asked for, turns a command into a request of the
 * batch protocol, and shows the answer. Answers go to a descriptor of their own,
 * since what plugins print on standard output must not get among them.
 */
#include "config.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/batch.h"
#include "core/cleanup.h"
#include "core/inventory.h"
#include "core/json_writer.h"
#include "core/log.h"
#include "core/options.h"
#include "core/table.h"
#include "core/text.h"
#include "inline/json_reader.h"
#include "inline/workspace_label.h"

enum status {
	STATUS_DONE = 0,
	STATUS_REFUSED = 1, /* by the registry or the runtime */
	STATUS_USAGE = 2,
	STATUS_SETUP = 3,
};

struct program {
	struct options options;
	struct inventory inventory;
	int in_fd, out_fd; /* the standard ones, out of reach of plugins */
	struct workspace workspace;
	size_t n_missing; /* required adapters that are not there */
	char *cwd, *workspace_id, *data_dir; /* memory of its texts, where they are not borrowed */
};

__attribute__((format(printf, 2, 3)))
static enum status complain(enum status status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_write_va(BERTH_LOG_ERROR, NULL, format, args);
	va_end(args);
	return status;
}

/* ---- Descriptors ---- */

/* Keeps standard input and output for ourselves and gives plugins /dev/null and
 * standard error in their places. */
static enum status take_descriptors(struct program *program)
{
	bool closed = fcntl(STDOUT_FILENO, F_GETFD) < 0;
	int null;

	/* What is closed is filled in, so that no other file gets its number. */
	do
		null = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (null >= 0 && null <= STDERR_FILENO);
	if (closed)
		return complain(STATUS_SETUP, "standard output is closed");
	program->in_fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	program->out_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (null < 0 || program->in_fd < 0 || program->out_fd < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		return complain(STATUS_SETUP, "standard input and output cannot be set up: %s", strerror(errno));
	close(null);
	return STATUS_DONE;
}

static enum status print(const struct program *program, const struct buffer *text)
{
	int rc = text->failed ? -ENOMEM : batch_write_all(program->out_fd, text->data, text->len);

	return rc < 0 ? complain(STATUS_SETUP, "standard output: %s", strerror(-rc)) : STATUS_DONE;
}

/* ---- Set-up ---- */

static enum status no_memory(void)
{
	return complain(STATUS_SETUP, "no memory");
}

/* $XDG_DATA_HOME/berth, else ~/.local/share/berth; NULL where that is no directory. */
static enum status default_data_dir(char **dirp)
{
	const char *xdg = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
	CLEANUP_FREE char *dir = NULL;
	struct stat st;
	int n = 0;

	/* By its specification a relative one is to be ignored. */
	if (xdg && xdg[0] == '/')
		n = asprintf(&dir, "%s/berth", xdg);
	else if (home && home[0] == '/')
		n = asprintf(&dir, "%s/.local/share/berth", home);
	if (n < 0) {
		dir = NULL;
		return no_memory();
	}
	if (dir && stat(dir, &st) == 0 && S_ISDIR(st.st_mode))
		*dirp = STEAL(dir);
	return STATUS_DONE;
}

static enum status set_workspace(struct program *program)
{
	const struct options *options = &program->options;
	struct workspace *workspace = &program->workspace;
	enum status status = STATUS_DONE;
	struct berth_text label;

	if (options->workspace_root) {
		workspace->root = berth_text(options->workspace_root);
	} else {
		program->cwd = getcwd(NULL, 0);
		if (!program->cwd)
			return complain(STATUS_SETUP, "the current directory cannot be found: %s; give --workspace-root",
					strerror(errno));
		workspace->root = berth_text(program->cwd);
	}
	label = workspace_label(workspace->root);
	if (options->workspace_id)
		workspace->id = berth_text(options->workspace_id);
	else if (asprintf(&program->workspace_id, "local:%.*s", (int)label.len, label.ptr) >= 0)
		workspace->id = berth_text(program->workspace_id);
	else
		return no_memory();
	if (!utf8_valid(workspace->id.ptr, workspace->id.len))
		return complain(STATUS_USAGE, "--workspace-id: UTF-8 is expected");
	if (options->data_dir)
		workspace->data_dir = berth_text(*options->data_dir ? options->data_dir : NULL);
	else if ((status = default_data_dir(&program->data_dir)) == STATUS_DONE)
		workspace->data_dir = berth_text(program->data_dir);
	return status;
}

static enum status add_adapter(struct program *program, struct berth_text name)
{
	if (!inventory_name_valid(name))
		return complain(STATUS_USAGE, "--adapters: \"%.*s\": a name of 1 to 64 characters [a-z0-9_-] is expected",
				name.len > 80 ? 80 : (int)name.len, name.ptr);
	return inventory_add(&program->inventory, name) < 0 ? no_memory() : STATUS_DONE;
}

static enum status select_adapters(struct program *program)
{
	const struct options *options = &program->options;
	enum status status = STATUS_DONE;

	if (!options->adapters)
		for (size_t i = 0; inventory_default_names[i] && status == STATUS_DONE; i++)
			status = add_adapter(program, berth_text(inventory_default_names[i]));
	for (const char *p = options->adapters; p && status == STATUS_DONE;) {
		size_t len = strcspn(p, ",");

		status = add_adapter(program, (struct berth_text){ p, len });
		p = p[len] ? p + len + 1 : NULL;
	}
	for (size_t i = 0; i < options->n_required && status == STATUS_DONE; i++)
		if (inventory_require(&program->inventory, options->required[i]) < 0)
			status = complain(STATUS_SETUP, "--require %.80s: no such adapter is selected; add it to --adapters",
					  options->required[i]);
	return status;
}

static enum status set_up(struct program *program)
{
	const struct options *options = &program->options;
	struct loader *loader = &program->inventory.loader;
	enum status status;
	struct error error;
	int rc;

	status = set_workspace(program);
	if (status != STATUS_DONE)
		return status;
	rc = loader_init(loader, &error);
	for (size_t i = 0; i < options->n_adapter_dirs && rc == 0; i++)
		rc = loader_add_dir(loader, options->adapter_dirs[i], &error);
	if (rc == 0 && options->n_adapter_dirs == 0)
		rc = loader_add_dir(loader, ADAPTER_DIR, &error);
	if (rc < 0)
		return complain(STATUS_SETUP, "%s", error.text);
	status = select_adapters(program);
	if (status == STATUS_DONE)
		program->n_missing = inventory_start(&program->inventory, &program->workspace);
	return status;
}

/* ---- Requests ---- */

/* Appends ,"key":"string"; false where it is not UTF-8. */
static bool add_string(struct buffer *line, const char *key, struct berth_text text)
{
	buffer_append_string(line, ",\"");
	buffer_append_string(line, key);
	buffer_append_string(line, "\":");
	return json_write_string(line, text);
}

/* Appends ,"key":number where it was given. */
static void add_number(struct buffer *line, const char *key, const char *number)
{
	if (!number)
		return;
	buffer_append_string(line, ",\"");
	buffer_append_string(line, key);
	buffer_append_string(line, "\":");
	buffer_append_string(line, number);
}

static enum status add_argument(struct buffer *line, const char *key, const char *argument)
{
	if (!add_string(line, key, berth_text(argument)))
		return complain(STATUS_USAGE, "%s: UTF-8 is expected", key);
	return STATUS_DONE;
}

/* Reads standard input to its end; more than a request may have is refused. */
static enum status read_content(const struct program *program, struct buffer *content)
{
	ssize_t n = 1;

	while (n > 0 && content->len <= BATCH_LINE_MAX) {
		char *end = buffer_reserve(content, 65536);

		if (!end)
			return no_memory();
		n = read(program->in_fd, end, 65536);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n < 0)
			return complain(STATUS_SETUP, "standard input: %s", strerror(errno));
		else
			content->len += (size_t)n;
	}
	if (content->len > BATCH_LINE_MAX)
		return complain(STATUS_USAGE, "standard input: at most %d bytes are expected", BATCH_LINE_MAX);
	return STATUS_DONE;
}

static enum status add_input(const struct program *program, struct buffer *line)
{
	const char *argument = program->options.arguments[2];
	CLEANUP(buffer_fini) struct buffer read = { 0 };
	struct berth_text content = berth_text(argument);
	enum status status = STATUS_DONE;

	if (strcmp(argument, "-") == 0) {
		status = read_content(program, &read);
		content = (struct berth_text){ read.data, read.len };
	}
	if (status != STATUS_DONE)
		return status;
	buffer_append_string(line, ",\"request\":{\"kind\":");
	buffer_append_string(line, program->options.system ? "\"system\"" : "\"user\"");
	if (!add_string(line, "content", content))
		return complain(STATUS_USAGE, "input: UTF-8 is expected");
	buffer_append_char(line, '}');
	return STATUS_DONE;
}

/* The request as it was given, if it is JSON at all: it must not run on into ours. */
static enum status add_raw_request(struct buffer *line, const char *request)
{
	struct json_reader r;

	json_open(&r, request, strlen(request));
	if (!json_skip(&r) || !json_close(&r))
		return complain(STATUS_USAGE, "--request: byte %zu: %s", json_offset(&r) + 1, r.error);
	buffer_append_string(line, ",\"request\":");
	for (const char *p = request; *p; p++)
		buffer_append_char(line, *p == '\n' || *p == '\r' ? ' ' : *p);
	return STATUS_DONE;
}

static enum status add_spawn(const struct options *options, struct buffer *line)
{
	enum status status = STATUS_DONE;

	if (options->request)
		return add_raw_request(line, options->request);
	buffer_append_string(line, ",\"request\":{\"intent\":{\"kind\":");
	buffer_append_string(line, options->ticket	  ? "\"ticket_role\"" :
				   options->orchestrator ? "\"workspace_orchestrator\"" :
							    "\"workspace_companion\"");
	if (options->ticket) {
		status = add_argument(line, "ticket_id", options->ticket);
		if (status == STATUS_DONE)
			status = add_argument(line, "role", options->role);
	}
	buffer_append_char(line, '}');
	if (options->name && status == STATUS_DONE)
		status = add_argument(line, "requested_worker_name", options->name);
	buffer_append_string(line, ",\"acceptance\":{\"kind\":\"run_accepted\"");
	add_number(line, "expected_segments", options->segments ? options->segments : "0");
	buffer_append_string(line, "}}");
	return status;
}

/* The request of a command: its operation, and which arguments are what. */
static const struct {
	const char *op;
	const char *keys[2]; /* of the arguments */
	enum table_kind table;
} requests[N_COMMANDS] = {
	[COMMAND_RUNTIMES] = { "list_runtimes", { NULL }, TABLE_RUNTIMES },
	[COMMAND_HOSTS] = { "list_hosts", { NULL }, TABLE_HOSTS },
	[COMMAND_WORKERS] = { "list_workers", { NULL }, TABLE_WORKERS },
	[COMMAND_WORKER] = { "worker", { "runtime_id", "worker_id" }, TABLE_WORKER },
	[COMMAND_SPAWN] = { "spawn_worker", { "runtime_id" }, TABLE_SPAWN },
	[COMMAND_STOP] = { "stop_worker", { "runtime_id" }, TABLE_STATE },
	[COMMAND_INPUT] = { "send_input", { "runtime_id", "worker_id" }, TABLE_STATE },
	[COMMAND_TRANSCRIPT] = { "transcript", { "runtime_id", "worker_id" }, TABLE_TRANSCRIPT },
	[COMMAND_CONNECT_POINTS] = { "connect_points", { "runtime_id", "worker_id" }, TABLE_CONNECT_POINTS },
};

static enum status make_request(const struct program *program, struct buffer *line)
{
	const struct options *options = &program->options;
	enum command command = options->command;
	enum status status = STATUS_DONE;

	buffer_append_string(line, "{\"op\":\"");
	buffer_append_string(line, options->host ? "list_workers_for_host" : requests[command].op);
	buffer_append_char(line, '"');
	for (size_t i = 0; i < 2 && requests[command].keys[i] && status == STATUS_DONE; i++)
		status = add_argument(line, requests[command].keys[i], options->arguments[i]);
	if (options->host && status == STATUS_DONE)
		status = add_argument(line, "host_id", options->host);
	add_number(line, "limit", options->limit);
	add_number(line, "start", options->start);
	if (command == COMMAND_SPAWN && status == STATUS_DONE)
		status = add_spawn(options, line);
	if (command == COMMAND_STOP && status == STATUS_DONE) {
		buffer_append_string(line, ",\"request\":{\"mode\":");
		buffer_append_string(line, options->force ? "\"force\"" : "\"graceful\"");
		status = add_argument(line, "worker_id", options->arguments[1]);
		buffer_append_char(line, '}');
	}
	if (command == COMMAND_INPUT && status == STATUS_DONE)
		status = add_input(program, line);
	buffer_append_char(line, '}');
	return line->failed ? no_memory() : status;
}

/* ---- Commands ---- */

static size_t terminal_columns(const struct program *program)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	long n = columns ? strtol(columns, NULL, 10) : 0;

	if (ioctl(program->out_fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return n >= 20 && n <= 10000 ? (size_t)n : 80;
}

/* Shows an answer as JSON or as a table. */
static enum status show(const struct program *program, enum table_kind kind, struct buffer *answer)
{
	CLEANUP(buffer_fini) struct buffer text = { 0 };

	if (answer->failed)
		return no_memory();
	if (program->options.json) {
		buffer_append_char(answer, '\n');
		return print(program, answer);
	}
	table_write(&text, kind, (struct berth_text){ answer->data, answer->len }, terminal_columns(program));
	return print(program, &text);
}

static enum status run_request(struct program *program)
{
	CLEANUP(buffer_fini) struct buffer line = { 0 }, scratch = { 0 }, answer = { 0 }, text = { 0 };
	enum status status = make_request(program, &line), shown;
	struct berth_text whole, state;

	if (status != STATUS_DONE)
		return status;
	batch_answer(&program->inventory.registry, (struct berth_text){ line.data, line.len }, &scratch, &answer);
	whole = (struct berth_text){ answer.data, answer.len };
	if (table_find(whole, "error").ptr) {
		table_write_error(&text, whole);
		return complain(STATUS_REFUSED, "%.*s", (int)text.len, text.data);
	}
	state = table_find(whole, "state");
	if (text_is(state, "\"rejected\"") || text_is(state, "\"unsupported\""))
		status = STATUS_REFUSED;
	shown = show(program, requests[program->options.command].table, &answer);
	return shown != STATUS_DONE ? shown : status;
}

/* The inventory says itself what failed. */
static enum status run_adapters(struct program *program)
{
	CLEANUP(buffer_fini) struct buffer answer = { 0 };
	enum status status;

	if (inventory_write_json(&program->inventory, &answer) < 0)
		return no_memory();
	status = show(program, TABLE_ADAPTERS, &answer);
	return status == STATUS_DONE && program->n_missing > 0 ? STATUS_SETUP : status;
}

static enum status run_batch(struct program *program)
{
	struct error error;

	if (batch_run(&program->inventory.registry, program->in_fd, program->out_fd, &error) < 0)
		return complain(STATUS_SETUP, "%s", error.text);
	return STATUS_DONE;
}

static enum status run(struct program *program)
{
	CLEANUP(buffer_fini) struct buffer text = { 0 };
	char version[64];
	enum status status;

	if (program->options.help) {
		options_write_help(&text);
		return print(program, &text);
	}
	if (program->options.version) {
		snprintf(version, sizeof version, "berth " PACKAGE_VERSION " (ABI %d.%d)\n", BERTH_ABI_MAJOR,
			 BERTH_ABI_MINOR);
		buffer_append_string(&text, version);
		return print(program, &text);
	}
	status = set_up(program);
	if (status != STATUS_DONE)
		return status;
	if (program->options.command == COMMAND_ADAPTERS)
		return run_adapters(program);
	inventory_log_failures(&program->inventory);
	if (program->n_missing > 0)
		return STATUS_SETUP;
	return program->options.command == COMMAND_BATCH ? run_batch(program) : run_request(program);
}

int main(int argc, char **argv)
{
	struct program program = { .in_fd = -1, .out_fd = -1 };
	enum status status = take_descriptors(&program);
	struct error error;

	/* A reader that leaves, or a plugin's peer, must not end the program. */
	signal(SIGPIPE, SIG_IGN);
	if (status == STATUS_DONE && options_parse(argc, argv, &program.options, &error) < 0)
		status = complain(STATUS_USAGE, "%s", error.text);
	if (status == STATUS_DONE)
		status = run(&program);
	inventory_fini(&program.inventory);
	options_fini(&program.options);
	free(program.cwd);
	free(program.workspace_id);
	free(program.data_dir);
	return (int)status;
}
