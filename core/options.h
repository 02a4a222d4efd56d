/* SPDX-License-Identifier: MIT */
/* The command line. */
#ifndef BERTH_CORE_OPTIONS_H
#define BERTH_CORE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buffer.h"
#include "core/error.h"

enum command {
	COMMAND_RUNTIMES,
	COMMAND_HOSTS,
	COMMAND_WORKERS,
	COMMAND_WORKER,
	COMMAND_SPAWN,
	COMMAND_STOP,
	COMMAND_INPUT,
	COMMAND_TRANSCRIPT,
	COMMAND_CONNECT_POINTS,
	COMMAND_EVENTS,
	COMMAND_ADAPTERS,
	COMMAND_CHECK,
	COMMAND_CONFIG,
	COMMAND_BATCH,
	COMMAND_SERVE,
	COMMAND_WATCH,
	COMMAND_CONFORMANCE, /* this and the next have a program of their own */
	COMMAND_NEW_ADAPTER,
	N_COMMANDS,
};

enum {
	ARGUMENTS_MAX = 3,
	OPTIONS_SECONDS_MAX = 86400,
};

/* All strings are borrowed from argv. NULL: not given. */
struct options {
	enum command command;
	char *arguments[ARGUMENTS_MAX]; /* of the command; NULL where one that may be left out is */
	char **own_arguments; /* of a command with its own program, from the command on; NULL: it is none */
	const char *workspace_root, *workspace_id, *data_dir, *adapters, *config_root, *log_level;
	const char **adapter_dirs, **required, **listen, **allow_hosts, **allow_origins; /* lists; to be freed */
	size_t n_adapter_dirs, n_required, n_listen, n_allow_hosts, n_allow_origins;
	const char *limit, *start, *segments; /* checked: whole numbers of 64 bits */
	const char *timeout, *interval;	      /* checked: 1 to OPTIONS_SECONDS_MAX */
	const char *connect; /* of a service, also where the environment has it; NULL: none */
	const char *ca_file;
	const char *cursor, *host, *ticket, *role, *name, *request;
	const char *socket, *token_file, *tls_cert, *tls_key, *tls_client_ca, *log_format;
	const char *max_connections, *request_timeout; /* checked, as limit */
	bool json, companion, orchestrator, force, system;
	bool help, version; /* one of them is all that is wanted */
};

/* Reads the command line, and from the environment where to connect. -EINVAL: wrong usage, with what and what would be right in
 * error; -ENOMEM. The lists are to be freed with options_fini in any case. */
int options_parse(int argc, char **argv, struct options *options, struct error *error);
void options_fini(struct options *options);

/* Appends what --help prints. */
void options_write_help(struct buffer *out);

#endif
