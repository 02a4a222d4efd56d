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
#include <unistd.h>

#include "core/batch.h"
#include "core/cleanup.h"
#include "core/io.h"
#include "core/isolated.h"
#include "core/json_writer.h"
#include "core/log.h"
#include "core/options.h"
#include "core/relay.h"
#include "core/remote.h"
#include "core/report.h"
#include "core/serve/serve.h"
#include "core/setup.h"
#include "core/status.h"
#include "core/table.h"
#include "core/terminal.h"
#include "core/text.h"
#include "core/watch.h"
#include "inline/json_reader.h"

struct program {
	struct options options;
	struct setup setup;     /* empty where a service is asked */
	struct remote *remote;  /* NULL: answered here */
	struct buffer scratch;
	int in_fd, out_fd; /* the standard ones, out of reach of plugins */
};

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
	int rc = text->failed ? -ENOMEM : io_write_all(program->out_fd, text->data, text->len);

	return rc < 0 ? complain(STATUS_SETUP, "standard output: %s", strerror(-rc)) : STATUS_DONE;
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

/* Of lists and transcripts: what was given, else what is configured, here or there. */
static void add_limit(const struct program *program, struct buffer *line)
{
	char number[32];

	if (program->remote) {
		add_number(line, "limit", program->options.limit);
		return;
	}
	snprintf(number, sizeof number, "%.0f", settings_number(program->setup.config.settings, "limit_items"));
	add_number(line, "limit", program->options.limit ? program->options.limit : number);
}

static enum status add_argument(struct buffer *line, const char *key, const char *argument)
{
	if (!add_string(line, key, berth_text(argument)))
		return complain(STATUS_USAGE, "%s: UTF-8 is expected", key);
	return STATUS_DONE;
}

static size_t line_max(const struct program *program)
{
	if (program->remote)
		return BATCH_LINE_MAX;
	return (size_t)settings_number(program->setup.config.settings, "limit_line_bytes");
}

/* Reads standard input to its end; more than a request may have is refused. */
static enum status read_content(const struct program *program, struct buffer *content)
{
	ssize_t n = 1;

	while (n > 0 && content->len <= line_max(program))
		n = io_read(program->in_fd, content, 65536);
	if (n == -ENOMEM)
		return complain_no_memory();
	if (n < 0)
		return complain(STATUS_SETUP, "standard input: %s", strerror((int)-n));
	if (content->len > line_max(program))
		return complain(STATUS_USAGE, "standard input: at most %zu bytes are expected", line_max(program));
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
	[COMMAND_EVENTS] = { "read_events", { "runtime_id" }, TABLE_EVENTS },
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
	if (options->cursor && status == STATUS_DONE)
		status = add_argument(line, "cursor", options->cursor);
	add_limit(program, line);
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
	return line->failed ? complain_no_memory() : status;
}

/* ---- Commands ---- */

/* Shows an answer as JSON or as a table. */
static enum status show(const struct program *program, enum table_kind kind, struct buffer *answer)
{
	CLEANUP(buffer_fini) struct buffer text = { 0 };

	if (answer->failed)
		return complain_no_memory();
	if (program->options.json) {
		buffer_append_char(answer, '\n');
		return print(program, answer);
	}
	table_write(&text, kind, (struct berth_text){ answer->data, answer->len }, terminal_columns(program->out_fd));
	return print(program, &text);
}

/* Appends the answer to a request, from the registry or from the service. */
static int ask(void *context, struct berth_text line, struct buffer *answer, struct error *error)
{
	struct program *program = context;

	if (program->remote)
		return remote_ask(program->remote, line, answer, error);
	batch_answer(&program->setup.inventory.registry, line, &program->scratch, answer);
	return 0;
}

static enum status run_request(struct program *program)
{
	CLEANUP(buffer_fini) struct buffer line = { 0 }, answer = { 0 }, text = { 0 };
	enum status status = make_request(program, &line), shown;
	struct berth_text whole, state;
	struct error error;

	if (status != STATUS_DONE)
		return status;
	if (ask(program, (struct berth_text){ line.data, line.len }, &answer, &error) < 0)
		return complain(STATUS_SETUP, "%s", error.text);
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

	if (report_adapters(&program->setup.inventory, &answer) < 0)
		return complain_no_memory();
	status = show(program, TABLE_ADAPTERS, &answer);
	if (program->setup.n_missing > 0 || program->setup.config.failures.n > 0)
		return STATUS_SETUP;
	return status;
}

static enum status run_batch(struct program *program)
{
	struct error error;

	if (batch_run(&program->setup.inventory.registry, program->in_fd, program->out_fd, line_max(program), &error) < 0)
		return complain(STATUS_SETUP, "%s", error.text);
	return STATUS_DONE;
}

static enum status run_serve(struct program *program)
{
#ifdef HAVE_MICROHTTPD
	return serve_run(&program->setup);
#else
	(void)program;
	return complain(STATUS_SETUP, "serve: this berth was built without libmicrohttpd; install it and build berth again");
#endif
}

static enum status run_watch(struct program *program)
{
	const char *interval = program->options.interval, *limit = program->options.limit;
	CLEANUP(buffer_fini) struct buffer title = { 0 };
	char number[32];

	buffer_append_string(&title, "berth watch");
	if (program->remote) {
		buffer_append_string(&title, ": ");
		table_write_text(&title, berth_text(remote_name(program->remote)));
	} else if (!limit) {
		snprintf(number, sizeof number, "%.0f", settings_number(program->setup.config.settings, "limit_items"));
		limit = number;
	}
	buffer_append(&title, "", 1);
	if (title.failed)
		return complain_no_memory();
	return watch_run(&(struct watch){
		.ask = ask,
		.context = program,
		.limit = limit,
		.title = title.data,
		.interval_s = interval ? (unsigned)strtoul(interval, NULL, 10) : 1,
		.json = program->options.json,
		.out_fd = program->out_fd,
	});
}

/* What a plugin says of itself. Nothing of it is run, and nothing configured matters. */
static enum status run_inspect(struct program *program)
{
	CLEANUP(buffer_fini) struct buffer answer = { 0 };
	CLEANUP_CLOSE int fd = -1;
	const char *file = program->options.arguments[1];
	struct stamp stamp = { .n_options = 0 };
	char line[FAILURE_LINE_MAX];
	struct failure failure;

	if (strcmp(program->options.arguments[0], "retry") == 0)
		return complain(STATUS_USAGE, "adapters retry: --connect or BERTH_CONNECT is expected: without a service every "
				"command starts its adapters anew, and there is nothing to retry");
	if (strcmp(program->options.arguments[0], "inspect") != 0)
		return complain(STATUS_USAGE, "adapters: usage: berth adapters [inspect FILE | retry NAME]");
	fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return complain(STATUS_SETUP, "%s: %s", file, strerror(errno));
	if (stamp_read(fd, NULL, &stamp, &failure) < 0)
		return complain(STATUS_SETUP, "%s: %s", file, failure_line(&failure, line));
	if (report_stamp(&stamp, &answer) < 0)
		answer.failed = true;
	stamp_fini(&stamp);
	return show(program, TABLE_STAMP, &answer);
}

/* The settings that are in force, and what would have been said of them. */
static enum status run_config(struct program *program)
{
	CLEANUP(buffer_fini) struct buffer answer = { 0 };

	if (report_config(program->setup.config.settings, &answer) < 0)
		return complain_no_memory();
	setup_log_failures(&program->setup);
	return show(program, TABLE_CONFIG, &answer);
}

static enum status print_all_well(const struct program *program, size_t n_serving, size_t n)
{
	CLEANUP(buffer_fini) struct buffer text = { 0 };
	char line[128];

	snprintf(line, sizeof line, "all well: %zu of %zu instances would serve, the others are switched off\n", n_serving,
		 n);
	buffer_append_string(&text, line);
	return print(program, &text);
}

/* Reports all that is wrong, not only what comes first. */
static enum status run_check(struct program *program)
{
	enum status status = setup_start(&program->setup);
	size_t n;

	if (status != STATUS_DONE)
		return status;
	n = inventory_n_failed(&program->setup.inventory);
	setup_log_failures(&program->setup);
	inventory_log_failures(&program->setup.inventory);
	if (program->setup.config.failures.n > 0 || program->setup.n_missing > 0 || n > 0)
		return STATUS_SETUP;
	return print_all_well(program, program->setup.inventory.registry.n_instances, program->setup.inventory.n_entries);
}

/* ---- Where a service is asked ---- */

/* How many instances in a report of adapters have this state; those that are required, or all. */
static size_t count_instances(struct berth_text report, const char *state, bool required)
{
	struct berth_text list = table_find(report, "adapters");
	struct json_slice item;
	struct json_reader r;
	size_t n = 0;

	json_open(&r, list.ptr, list.len);
	if (list.ptr && json_enter_array(&r))
		while (json_next_element(&r) && json_read_raw(&r, &item)) {
			struct berth_text entry = { item.ptr, item.len };

			n += (!state || text_is(table_find(entry, "state"), state)) &&
			     (!required || text_is(table_find(entry, "required"), "true"));
		}
	return n;
}

/* How many are to serve and cannot. */
static size_t n_lacking(struct berth_text report, bool required)
{
	return count_instances(report, "\"failed\"", required) + count_instances(report, "\"quarantined\"", required);
}

/* What is wrong is what the service's own inventory says: it has checked the rest itself
 * when it started. */
static enum status report_check(struct program *program, struct berth_text report)
{
	CLEANUP(buffer_fini) struct buffer failures = { 0 };
	char *saved = NULL;

	table_write_failures(&failures, report);
	buffer_append(&failures, "", 1);
	if (failures.failed)
		return complain_no_memory();
	for (char *failure = strtok_r(failures.data, "\n", &saved); failure; failure = strtok_r(NULL, "\n", &saved))
		complain(STATUS_SETUP, "adapter %s", failure);
	if (n_lacking(report, false) > 0)
		return STATUS_SETUP;
	return print_all_well(program, count_instances(report, "\"active\"", false), count_instances(report, NULL, false));
}

static enum status run_report(struct program *program)
{
	enum command command = program->options.command;
	CLEANUP(buffer_fini) struct buffer answer = { 0 };
	struct berth_text report;
	struct error error;
	enum status status;

	if (remote_get(program->remote, command == COMMAND_CONFIG ? "/api/config" : "/api/adapters", &answer, &error) < 0)
		return complain(STATUS_SETUP, "%s", error.text);
	report = (struct berth_text){ answer.data, answer.len };
	if (command == COMMAND_CHECK)
		return report_check(program, report);
	status = show(program, command == COMMAND_CONFIG ? TABLE_CONFIG : TABLE_ADAPTERS, &answer);
	if (command == COMMAND_ADAPTERS && n_lacking(report, true) > 0)
		return STATUS_SETUP;
	return status;
}

static enum status run_retry(struct program *program)
{
	const char *name = program->options.arguments[1];
	CLEANUP(buffer_fini) struct buffer answer = { 0 };
	CLEANUP_FREE char *path = NULL;
	struct error error;
	enum status status;

	if (!inventory_name_valid(berth_text(name)))
		return complain(STATUS_USAGE, "adapters retry: \"%.80s\": a name of 1 to 64 characters [a-z0-9_-] is expected",
				name);
	if (asprintf(&path, "/api/adapters/%s/retry", name) < 0) {
		path = NULL;
		return complain_no_memory();
	}
	if (remote_post(program->remote, path, &answer, &error) < 0)
		return complain(STATUS_SETUP, "%s", error.text);
	status = text_is(table_find((struct berth_text){ answer.data, answer.len }, "state"), "\"accepted\"") ?
			 STATUS_DONE : STATUS_REFUSED;
	return show(program, TABLE_STATE, &answer) != STATUS_DONE ? STATUS_SETUP : status;
}

static enum status run_relay(struct program *program)
{
	struct error error;

	if (relay_run(program->remote, program->in_fd, program->out_fd, line_max(program), &error) < 0)
		return complain(STATUS_SETUP, "%s", error.text);
	return STATUS_DONE;
}

/* Nothing that is configured here matters then. */
static enum status run_there(struct program *program)
{
	const struct options *options = &program->options;
	const struct remote_options service = {
		.service = options->connect,
		.token_file = options->token_file,
		.ca_file = options->ca_file,
		.cert_file = options->tls_cert,
		.key_file = options->tls_key,
		.timeout_s = options->timeout ? (unsigned)strtoul(options->timeout, NULL, 10) : REMOTE_TIMEOUT_S,
	};
	struct error error;
	int rc;

	if (options->log_level)
		log_set_level(log_level(options->log_level));
	rc = remote_open(&service, &program->remote, &error);
	if (rc < 0)
		return complain(rc == -EINVAL ? STATUS_USAGE : STATUS_SETUP, "%s", error.text);
	switch (options->command) {
	case COMMAND_ADAPTERS:
	case COMMAND_CHECK:
	case COMMAND_CONFIG:
		return options->arguments[0] ? run_retry(program) : run_report(program);
	case COMMAND_BATCH:
		return run_relay(program);
	case COMMAND_WATCH:
		return run_watch(program);
	default:
		return run_request(program);
	}
}

/* ---- The program ---- */

static enum status run_command(struct program *program)
{
	enum command command = program->options.command;
	enum status status;

	if (command == COMMAND_ADAPTERS && program->options.arguments[0])
		return run_inspect(program);
	if (command == COMMAND_CONFIG)
		return run_config(program);
	if (command == COMMAND_CHECK)
		return run_check(program);
	setup_log_failures(&program->setup);
	/* The inventory is what one looks at when something is wrong. */
	if (program->setup.config.failures.n > 0 && command != COMMAND_ADAPTERS)
		return STATUS_SETUP;
	status = setup_start(&program->setup);
	if (status != STATUS_DONE)
		return status;
	if (command == COMMAND_ADAPTERS)
		return run_adapters(program);
	inventory_log_failures(&program->setup.inventory);
	if (program->setup.n_missing > 0)
		return STATUS_SETUP;
	switch (command) {
	case COMMAND_BATCH:
		return run_batch(program);
	case COMMAND_SERVE:
		return run_serve(program);
	case COMMAND_WATCH:
		return run_watch(program);
	default:
		return run_request(program);
	}
}

/* Becomes the program of a command that has its own; only authors of adapters have it. */
static enum status run_program(const struct program *program)
{
	char **arguments = program->options.own_arguments, stage[PATH_MAX];
	const char *variable = secure_getenv("BERTH_LIBEXEC_DIR");
	CLEANUP_FREE char *file = NULL;

	setup_find_stage(stage);
	if (asprintf(&file, "%s%s/%s", variable ? "" : stage, variable ? variable : LIBEXEC_DIR, arguments[0]) < 0)
		return complain_no_memory();
	if (dup2(program->in_fd, STDIN_FILENO) < 0 || dup2(program->out_fd, STDOUT_FILENO) < 0)
		return complain(STATUS_SETUP, "standard input and output cannot be set up: %s", strerror(errno));
	signal(SIGPIPE, SIG_DFL);
	execv(file, arguments);
	return complain(STATUS_SETUP, "%s: %s: %s; it comes with what authors of adapters need (Debian: berth-dev)",
			arguments[0], file, strerror(errno));
}

static enum status run(struct program *program)
{
	CLEANUP(buffer_fini) struct buffer text = { 0 };
	char version[64];
	enum status status;

	if (program->options.own_arguments)
		return run_program(program);
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
	if (program->options.connect)
		return run_there(program);
	status = program->options.command == COMMAND_ADAPTERS && program->options.arguments[0] ?
			 STATUS_DONE : setup_load(&program->setup, &program->options);
	if (status != STATUS_DONE)
		return status;
	return run_command(program);
}

int main(int argc, char **argv)
{
	struct program program = { .in_fd = -1, .out_fd = -1 };
	enum status status;
	struct error error;

	/* No command, but how the adapter process starts this program for an isolated instance. */
	if (argc == 2 && strcmp(argv[1], ISOLATED_ARGUMENT) == 0)
		return isolated_serve();
	status = take_descriptors(&program);
	/* A reader that leaves, or a plugin's peer, must not end the program. */
	signal(SIGPIPE, SIG_IGN);
	if (status == STATUS_DONE && options_parse(argc, argv, &program.options, &error) < 0)
		status = complain(STATUS_USAGE, "%s", error.text);
	if (status == STATUS_DONE)
		status = run(&program);
	setup_fini(&program.setup);
	remote_close(program.remote);
	buffer_fini(&program.scratch);
	options_fini(&program.options);
	return (int)status;
}
