/* SPDX-License-Identifier: MIT */
/* Commands and options are two tables, which parsing, --help and the checks of what
 * goes with what all read. */
#include "config.h"

#include "core/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "inline/json_reader.h"

#define BIT(command) (1u << (command))
#define ALL (BIT(COMMAND_CONFORMANCE) - 1)
#define LISTS (BIT(COMMAND_RUNTIMES) | BIT(COMMAND_HOSTS) | BIT(COMMAND_WORKERS) | BIT(COMMAND_TRANSCRIPT) | \
	       BIT(COMMAND_EVENTS) | BIT(COMMAND_WATCH))
#define HERE BIT(29)      /* not with --connect */
#define THERE BIT(30)     /* only with it */
#define SERVE_TOO BIT(31) /* or with serve, for what is on its own side */

static const struct {
	const char *name, *arguments;
	int n_arguments, n_optional; /* at least, and how many more */
	const char *help;
} commands[N_COMMANDS] = {
	[COMMAND_RUNTIMES] = { "runtimes", "", 0, 0, "list the runtimes" },
	[COMMAND_HOSTS] = { "hosts", "", 0, 0, "list the hosts" },
	[COMMAND_WORKERS] = { "workers", "", 0, 0, "list the workers" },
	[COMMAND_WORKER] = { "worker", "RUNTIME WORKER", 2, 0, "show one worker" },
	[COMMAND_SPAWN] = { "spawn", "RUNTIME", 1, 0, "spawn a worker" },
	[COMMAND_STOP] = { "stop", "RUNTIME WORKER", 2, 0, "stop a worker" },
	[COMMAND_INPUT] = { "input", "RUNTIME WORKER TEXT|-", 3, 0, "send input to a worker; - reads it" },
	[COMMAND_TRANSCRIPT] = { "transcript", "RUNTIME WORKER", 2, 0, "read a worker's transcript" },
	[COMMAND_CONNECT_POINTS] = { "connect-points", "RUNTIME WORKER", 2, 0, "list where a worker can be reached" },
	[COMMAND_EVENTS] = { "events", "RUNTIME", 1, 0, "read what has happened in a runtime" },
	[COMMAND_ADAPTERS] = { "adapters", "[inspect FILE | retry NAME]", 0, 2, "list the adapters, and why one is not there;\n"
		"inspect: what a plugin says of itself, not run;\n"
		"retry: start what a service has in quarantine" },
	[COMMAND_CHECK] = { "check", "", 0, 0, "find all that is wrong with the configuration" },
	[COMMAND_CONFIG] = { "config", "", 0, 0, "show the settings, and where each comes from" },
	[COMMAND_BATCH] = { "batch", "", 0, 0, "answer JSON requests, one a line, on standard input" },
	[COMMAND_SERVE] = { "serve", "", 0, 0, "answer requests over HTTP until it is told to end" },
	[COMMAND_WATCH] = { "watch", "", 0, 0, "show runtimes and workers whenever they change" },
	[COMMAND_CONFORMANCE] = { "conformance", "FILE.so", 1, 0, "check an adapter against the contract" },
	[COMMAND_NEW_ADAPTER] = { "new-adapter", "NAME", 1, 0, "make a project with an adapter to begin with" },
};

/* Those behind the others have programs and options of their own. */
static bool has_program(enum command command)
{
	return command >= COMMAND_CONFORMANCE;
}

/* What an option does with its argument. */
enum action {
	SET_STRING,
	SET_NUMBER,
	SET_FLAG,
	ADD_STRING, /* to a list */
};

struct list {
	const char ***strings;
	size_t *n;
};

static const struct row {
	const char *name, *argument;
	enum action action;
	size_t offset; /* in struct options */
	unsigned commands; /* with HERE, THERE, SERVE_TOO */
	const char *help;
} rows[] = {
#define OPTION(name, argument, action, member, commands, help) \
	{ name, argument, action, offsetof(struct options, member), commands, help }
	OPTION("workspace-root", "PATH", SET_STRING, workspace_root, ALL | HERE, "root of the workspace; default: current directory"),
	OPTION("workspace-id", "ID", SET_STRING, workspace_id, ALL | HERE, "its id; default: local: and the root's last part"),
	OPTION("data-dir", "DIR", SET_STRING, data_dir, ALL | HERE, "where pods/ with the records is; empty: none;\n"
		"default: $XDG_DATA_HOME/berth, ~/.local/share/berth"),
	OPTION("adapters", "LIST", SET_STRING, adapters, ALL | HERE, "adapters to load, in this order, with commas between"),
	OPTION("adapter-dir", "DIR", ADD_STRING, adapter_dirs, ALL | HERE, "where their plugins are; may be given several times"),
	OPTION("require", "NAME", ADD_STRING, required, ALL | HERE, "end with status 3 unless this adapter serves;\n"
		"may be given several times"),
	OPTION("config-root", "DIR", SET_STRING, config_root, ALL | HERE, "take the configuration below DIR instead of /"),
	OPTION("connect", "SERVICE", SET_STRING, connect, ALL, "ask the berth serve there: the path of its socket,\n"
		"or a URL; empty: none; default: $BERTH_CONNECT"),
	OPTION("log-level", "LEVEL", SET_STRING, log_level, ALL, "debug, info, warning or error; default: warning"),
	OPTION("json", NULL, SET_FLAG, json, ALL, "answer in JSON instead of tables"),
	OPTION("token-file", "FILE", SET_STRING, token_file, ALL | THERE | SERVE_TOO, "where the token is; default: $BERTH_TOKEN_FILE;\n"
		"of serve: read TOKEN or write TOKEN on each line"),
	OPTION("ca-file", "FILE", SET_STRING, ca_file, ALL | THERE, "who signs its certificate; default: as the system"),
	OPTION("tls-cert", "FILE", SET_STRING, tls_cert, ALL | THERE | SERVE_TOO, "the certificate that is shown, with its chain"),
	OPTION("tls-key", "FILE", SET_STRING, tls_key, ALL | THERE | SERVE_TOO, "its private key"),
	OPTION("timeout", "SECONDS", SET_NUMBER, timeout, ALL | THERE, "how long it may take to one answer; default: 60"),
	OPTION("limit", "N", SET_NUMBER, limit, LISTS, "how many items at the most; default: 200,\nor what is configured"),
	OPTION("interval", "SECONDS", SET_NUMBER, interval, BIT(COMMAND_WATCH), "how often it looks; default: 1"),
	OPTION("host", "ID", SET_STRING, host, BIT(COMMAND_WORKERS), "workers of this host alone"),
	OPTION("companion", NULL, SET_FLAG, companion, BIT(COMMAND_SPAWN), "a companion of the workspace (the default)"),
	OPTION("orchestrator", NULL, SET_FLAG, orchestrator, BIT(COMMAND_SPAWN), "an orchestrator of the workspace"),
	OPTION("ticket", "ID", SET_STRING, ticket, BIT(COMMAND_SPAWN), "a worker for this ticket, with --role"),
	OPTION("role", "ROLE", SET_STRING, role, BIT(COMMAND_SPAWN), "intake, orchestrator, coder or reviewer"),
	OPTION("name", "NAME", SET_STRING, name, BIT(COMMAND_SPAWN), "the name that is asked for"),
	OPTION("segments", "N", SET_NUMBER, segments, BIT(COMMAND_SPAWN), "expected segments; default: 0"),
	OPTION("request", "JSON", SET_STRING, request, BIT(COMMAND_SPAWN), "the whole request, instead of the options above"),
	OPTION("force", NULL, SET_FLAG, force, BIT(COMMAND_STOP), "at once instead of gracefully"),
	OPTION("system", NULL, SET_FLAG, system, BIT(COMMAND_INPUT), "as system input instead of the user's"),
	OPTION("start", "N", SET_NUMBER, start, BIT(COMMAND_TRANSCRIPT), "index of the first item; default: 0"),
	OPTION("cursor", "C", SET_STRING, cursor, BIT(COMMAND_EVENTS), "where to go on; default: the first that is kept"),
	OPTION("socket", "PATH", SET_STRING, socket, BIT(COMMAND_SERVE), "the Unix socket; default: berth.sock in\n"
		"$RUNTIME_DIRECTORY, $XDG_RUNTIME_DIR/berth"),
	OPTION("listen", "ADDRESS:PORT", ADD_STRING, listen, BIT(COMMAND_SERVE), "also on TCP; may be given several times"),
	OPTION("tls-client-ca", "FILE", SET_STRING, tls_client_ca, BIT(COMMAND_SERVE), "who must have signed clients' certificates"),
	OPTION("allow-host", "NAME", ADD_STRING, allow_hosts, BIT(COMMAND_SERVE), "another name that Host may have;\n"
		"may be given several times"),
	OPTION("allow-origin", "ORIGIN", ADD_STRING, allow_origins, BIT(COMMAND_SERVE), "a web page's origin that may ask;\n"
		"may be given several times"),
	OPTION("max-connections", "N", SET_NUMBER, max_connections, BIT(COMMAND_SERVE), "how many at once; default: 2048"),
	OPTION("request-timeout", "SECONDS", SET_NUMBER, request_timeout, BIT(COMMAND_SERVE), "for a request to come, and to be\n"
		"answered; default: 30"),
	OPTION("log-format", "FORMAT", SET_STRING, log_format, BIT(COMMAND_SERVE), "text or json; default: text"),
	OPTION("version", NULL, SET_FLAG, version, ALL, "print the version"),
	OPTION("help", NULL, SET_FLAG, help, ALL, "print this"),
};

enum { N_ROWS = sizeof rows / sizeof *rows };

/* ---- Options ---- */

static struct list list_at(struct options *options, size_t offset)
{
	switch (offset) {
	case offsetof(struct options, adapter_dirs):
		return (struct list){ &options->adapter_dirs, &options->n_adapter_dirs };
	case offsetof(struct options, listen):
		return (struct list){ &options->listen, &options->n_listen };
	case offsetof(struct options, allow_hosts):
		return (struct list){ &options->allow_hosts, &options->n_allow_hosts };
	case offsetof(struct options, allow_origins):
		return (struct list){ &options->allow_origins, &options->n_allow_origins };
	default:
		return (struct list){ &options->required, &options->n_required };
	}
}

static int apply(struct options *options, const struct row *row, const char *argument, struct error *error)
{
	char *member = (char *)options + row->offset;
	struct json_slice number;
	struct list list;
	const char **strings;
	uint64_t value;

	switch (row->action) {
	case SET_NUMBER:
		number = (struct json_slice){ argument, strlen(argument), false };
		if (!json_number_is_u64(&number, &value) || (number.len > 1 && *argument == '0'))
			return error_set(error, -EINVAL, "--%s %.60s: a whole number from 0 to 18446744073709551615 is expected",
					 row->name, argument);
		memcpy(member, &argument, sizeof argument);
		return 0;
	case SET_STRING:
		memcpy(member, &argument, sizeof argument);
		return 0;
	case SET_FLAG:
		memcpy(member, &(bool){ true }, sizeof(bool));
		return 0;
	case ADD_STRING:
		list = list_at(options, row->offset);
		strings = reallocarray(*list.strings, *list.n + 1, sizeof *strings);
		if (!strings)
			return error_set(error, -ENOMEM, "no memory for the command line");
		strings[(*list.n)++] = argument;
		*list.strings = strings;
		return 0;
	}
	return 0;
}

static bool is_set(const struct options *options, const struct row *row)
{
	const char *member = (const char *)options + row->offset, *string;

	if (row->action == SET_FLAG)
		return *(const bool *)member;
	memcpy(&string, member, sizeof string);
	return string != NULL;
}

static int parse_options(int argc, char **argv, struct options *options, struct error *error)
{
	struct option longs[N_ROWS + 1];
	int index, c;

	for (size_t i = 0; i < N_ROWS; i++)
		longs[i] = (struct option){ rows[i].name, rows[i].argument ? required_argument : no_argument, NULL, 'o' };
	longs[N_ROWS] = (struct option){ 0 };
	opterr = 0;
	optind = 1;
	/* getopt moves the arguments of the command behind the options. */
	while ((c = getopt_long(argc, argv, ":", longs, &index)) != -1) {
		if (c == ':')
			return error_set(error, -EINVAL, "%s: an argument is expected", argv[optind - 1]);
		if (c != 'o')
			return error_set(error, -EINVAL, "%s: no such option, or not one alone; berth --help lists them",
					 argv[optind - 1]);
		c = apply(options, &rows[index], optarg, error);
		if (c < 0)
			return c;
	}
	return 0;
}

/* ---- Commands ---- */

/* N_COMMANDS where there is none of that name. */
static enum command find_command(const char *name)
{
	enum command command = 0;

	while (command < N_COMMANDS && strcmp(commands[command].name, name) != 0)
		command++;
	return command;
}

static int parse_command(int argc, char **argv, struct options *options, struct error *error)
{
	int n_arguments = argc - optind - 1;
	enum command command;

	if (n_arguments < 0)
		return error_set(error, -EINVAL, "a command is expected; berth --help lists them");
	command = find_command(argv[optind]);
	if (command == N_COMMANDS)
		return error_set(error, -EINVAL, "%.60s: no such command; berth --help lists them", argv[optind]);
	if (has_program(command))
		return error_set(error, -EINVAL, "%s: expected as the first argument; all others are its own", argv[optind]);
	if (n_arguments != commands[command].n_arguments &&
	    n_arguments != commands[command].n_arguments + commands[command].n_optional)
		return error_set(error, -EINVAL, "%s: usage: berth %s%s%s", argv[optind], argv[optind],
				 *commands[command].arguments ? " " : "", commands[command].arguments);
	options->command = command;
	for (int i = 0; i < n_arguments; i++)
		options->arguments[i] = argv[optind + 1 + i];
	return 0;
}

/* Of a number that has been checked, or was not given. */
static bool is_within(const char *number, unsigned long long min, unsigned long long max)
{
	unsigned long long value = number ? strtoull(number, NULL, 10) : min;

	return value >= min && value <= max;
}

/* What decides which adapters there are, and what reaches a service, do not go together. */
static int check_place(const struct options *options, const struct row *row, struct error *error)
{
	if (options->connect && row->commands & HERE)
		return error_set(error, -EINVAL, "--%s: does not go with --connect or BERTH_CONNECT, the service has its own",
				 row->name);
	if (!options->connect && row->commands & THERE && !(row->commands & SERVE_TOO && options->command == COMMAND_SERVE))
		return error_set(error, -EINVAL, "--%s: goes with --connect alone", row->name);
	return 0;
}

static int check_combinations(const struct options *options, struct error *error)
{
	int rc = 0;

	for (size_t i = 0; i < N_ROWS && rc == 0; i++)
		if (is_set(options, &rows[i]))
			rc = rows[i].commands & BIT(options->command) ? check_place(options, &rows[i], error) :
				error_set(error, -EINVAL, "--%s: does not go with %s", rows[i].name,
					  commands[options->command].name);
	if (rc < 0)
		return rc;
	if (!is_within(options->timeout, 1, OPTIONS_SECONDS_MAX))
		return error_set(error, -EINVAL, "--timeout %s: 1 to %d seconds are expected", options->timeout,
				 OPTIONS_SECONDS_MAX);
	if (!is_within(options->interval, 1, OPTIONS_SECONDS_MAX))
		return error_set(error, -EINVAL, "--interval %s: 1 to %d seconds are expected", options->interval,
				 OPTIONS_SECONDS_MAX);
	if (options->log_level && log_level(options->log_level) == 0)
		return error_set(error, -EINVAL, "--log-level %.60s: debug, info, warning or error is expected",
				 options->log_level);
	if (options->log_format && strcmp(options->log_format, "text") != 0 && strcmp(options->log_format, "json") != 0)
		return error_set(error, -EINVAL, "--log-format %.60s: text or json is expected", options->log_format);
	if (!is_within(options->request_timeout, 1, 86400))
		return error_set(error, -EINVAL, "--request-timeout %s: 1 to 86400 seconds are expected", options->request_timeout);
	if (!is_within(options->max_connections, 1, 100000))
		return error_set(error, -EINVAL, "--max-connections %s: 1 to 100000 are expected", options->max_connections);
	if (!options->tls_cert != !options->tls_key || (options->tls_client_ca && !options->tls_cert))
		return error_set(error, -EINVAL, "--tls-cert and --tls-key go together, and --tls-client-ca with them");
	if (options->companion + options->orchestrator + (options->ticket != NULL) > 1)
		return error_set(error, -EINVAL, "spawn: only one of --companion, --orchestrator and --ticket is expected");
	if (!options->ticket != !options->role)
		return error_set(error, -EINVAL, "spawn: --ticket and --role go together");
	if (options->request && (options->companion || options->orchestrator || options->ticket || options->name ||
				 options->segments))
		return error_set(error, -EINVAL, "spawn: --request is the whole request, no other option goes with it");
	return 0;
}

/* Where to connect: the command line over the environment; empty is nowhere. What a plugin
 * file says is read here in any case, and a service is one here. */
static int find_connection(struct options *options, struct error *error)
{
	bool inspects = options->command == COMMAND_ADAPTERS && options->arguments[0] &&
			strcmp(options->arguments[0], "retry") != 0;
	bool is_here = inspects || options->command == COMMAND_SERVE;

	if (is_here && options->connect)
		return error_set(error, -EINVAL, "--connect: does not go with %s, which is done here",
				 inspects ? "adapters inspect" : "serve");
	if (!options->connect && !is_here)
		options->connect = secure_getenv("BERTH_CONNECT");
	if (options->connect && !*options->connect)
		options->connect = NULL;
	return 0;
}

int options_parse(int argc, char **argv, struct options *options, struct error *error)
{
	int rc;

	*options = (struct options){ 0 };
	if (argc > 1 && find_command(argv[1]) < N_COMMANDS && has_program(find_command(argv[1]))) {
		options->own_arguments = argv + 1;
		return 0;
	}
	rc = parse_options(argc, argv, options, error);
	if (rc < 0 || options->help || options->version)
		return rc;
	rc = parse_command(argc, argv, options, error);
	if (rc == 0)
		rc = find_connection(options, error);
	if (rc == 0)
		rc = check_combinations(options, error);
	/* This one may be there for whenever it is wanted. */
	if (rc == 0 && options->connect && !options->token_file)
		options->token_file = secure_getenv("BERTH_TOKEN_FILE");
	if (options->token_file && !*options->token_file)
		options->token_file = NULL;
	return rc;
}

void options_fini(struct options *options)
{
	for (size_t i = 0; i < N_ROWS; i++)
		if (rows[i].action == ADD_STRING) {
			struct list list = list_at(options, rows[i].offset);

			free(*list.strings);
			*list.strings = NULL;
		}
}

/* ---- Help ---- */

/* A line of two columns; further lines of the second begin below it. */
static void write_pair(struct buffer *out, const char *first, const char *second)
{
	enum { WIDTH = 26 };
	size_t len = strlen(first);

	buffer_append_string(out, "  ");
	buffer_append_string(out, first);
	for (const char *line = second;; line++) {
		const char *end = strchrnul(line, '\n');

		if (len >= WIDTH) {
			buffer_append_char(out, '\n');
			len = 0;
			buffer_append_string(out, "  ");
		}
		for (; len < WIDTH; len++)
			buffer_append_char(out, ' ');
		buffer_append(out, line, (size_t)(end - line));
		if (!*end)
			break;
		line = end;
	}
	buffer_append_char(out, '\n');
}

/* What the options below have in common; nothing where they are for all. */
static void write_heading(struct buffer *out, unsigned mask)
{
	buffer_append_string(out, "\n");
	if (mask & THERE)
		buffer_append_string(out, " with --connect, some with serve");
	for (size_t i = 0; i < N_COMMANDS && (mask & ALL) != ALL; i++)
		if (mask & BIT(i)) {
			buffer_append_string(out, mask & (BIT(i) - 1) ? ", " : " of ");
			buffer_append_string(out, commands[i].name);
		}
	if (mask & THERE || (mask & ALL) != ALL)
		buffer_append_string(out, ":\n");
}

void options_write_help(struct buffer *out)
{
	char left[80];
	unsigned last = 0;

	buffer_append_string(out, "usage: berth [OPTION...] COMMAND [ARGUMENT...]\n"
				  "One view over the workers of all runtimes, through adapters.\n\nCommands:\n");
	for (enum command i = 0; i < N_COMMANDS; i++) {
		if (i == COMMAND_CONFORMANCE)
			buffer_append_string(out, "\nFor authors of adapters; berth COMMAND --help says more:\n");
		snprintf(left, sizeof left, "%s %s", commands[i].name, commands[i].arguments);
		write_pair(out, left, commands[i].help);
	}
	buffer_append_string(out, "\nOptions, before or after the command:");
	for (size_t i = 0; i < N_ROWS; i++) {
		if ((rows[i].commands & (ALL | THERE)) != last)
			write_heading(out, rows[i].commands);
		last = rows[i].commands & (ALL | THERE);
		snprintf(left, sizeof left, "--%s%s%s", rows[i].name, rows[i].argument ? " " : "",
			 rows[i].argument ? rows[i].argument : "");
		write_pair(out, left, rows[i].help);
	}
	buffer_append_string(out, "\nExit status: 0 done; 1 the registry answered with an error, or the runtime\n"
				  "rejected or does not support it; 2 wrong usage; 3 the set-up, a required\n"
				  "adapter or the way to a service failed.\n");
}
