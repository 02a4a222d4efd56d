/* SPDX-License-Identifier: MIT */
/* The life of the service. This thread does all that is set-up: it waits for signals, reads the configuration again,
 * closes what has been replaced, and ends everything within the time that there is. */
#include "config.h"

#include "core/serve/serve.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/log.h"
#include "core/serve/library.h"
#include "core/serve/notify.h"
#include "core/serve/server.h"
#include "core/services.h"

enum {
	TICK_MS = 250,
	/* After SIGTERM: how long requests may take, then their answers, then threads. The process ends within 10 seconds,
	 * of which some are for a machine that is busy. */
	DRAIN_MS = 6000,
	CLOSE_MS = 6500,
	END_MS = 7000,
};

#define MS_NS UINT64_C(1000000)

/* ---- Signals ---- */

static atomic_bool got_end, got_reload; /* set in whichever thread the signal falls on */
static int wake_fd = -1;

/* They are caught and not blocked, since what adapters start would inherit that. */
static void on_signal(int signal)
{
	const uint64_t one = 1;
	int saved = errno;
	ssize_t n;

	if (signal == SIGHUP)
		got_reload = true;
	else
		got_end = true;
	/* Where there is no room for one more, it is awake already. */
	n = write(wake_fd, &one, sizeof one);
	(void)n;
	errno = saved;
}

static int catch_signals(struct error *error)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	sigemptyset(&action.sa_mask);
	wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wake_fd < 0 || sigaction(SIGTERM, &action, NULL) < 0 || sigaction(SIGINT, &action, NULL) < 0 ||
	    sigaction(SIGHUP, &action, NULL) < 0)
		return error_set(error, -errno, "signals cannot be caught: %s", strerror(errno));
	return 0;
}

/* Until a signal comes, or it is time for a tick. */
static void wait_for_signal(void)
{
	struct pollfd wait = { .fd = wake_fd, .events = POLLIN };
	uint64_t n;

	if (poll(&wait, 1, TICK_MS) > 0 && read(wake_fd, &n, sizeof n) < 0)
		return;
}

/* ---- Starting ---- */

struct serve {
	struct service service;
	struct listeners listeners;
	struct server server;
};

static uint64_t number_or(const char *number, uint64_t otherwise)
{
	return number ? strtoull(number, NULL, 10) : otherwise;
}

/* Descriptors for all connections, and for what adapters need. */
static void raise_limit(struct service *service)
{
	const rlim_t others = 256;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur >= service->max_connections + others)
		return;
	service->max_connections = limit.rlim_cur > 2 * others ? limit.rlim_cur - others : others;
	log_write(BERTH_LOG_WARNING, NULL, "the limit of open files is %llu; at most %zu connections are served at once",
		  (unsigned long long)limit.rlim_cur, service->max_connections);
}

static int init_service(struct service *service, const struct options *options, struct error *error)
{
	int rc = 0;

	service->timeout_ns = number_or(options->request_timeout, 30) * 1000 * MS_NS;
	service->max_connections = number_or(options->max_connections, 2048);
	service->origins = (struct origins){ options->allow_hosts, options->allow_origins, options->n_allow_hosts,
					     options->n_allow_origins };
	raise_limit(service);
	if (getrandom(&service->id_base, sizeof service->id_base, GRND_NONBLOCK) < 0)
		service->id_base = services_wall_ns();
	if (options->token_file)
		rc = tokens_open(&service->tokens, options->token_file, error);
	if (rc == 0) {
		rc = executor_init(&service->executor);
		if (rc < 0)
			error_set(error, rc, "threads cannot be started: %s", strerror(-rc));
	}
	return rc;
}

/* ---- Ending ---- */

static uint64_t now_ms(void)
{
	return services_monotonic_ns() / MS_NS;
}

static void wait_until_idle(struct server *server, uint64_t until_ms)
{
	const struct timespec moment = { 0, 10 * (long)MS_NS };

	for (unsigned i = 0; server_is_busy(server) && now_ms() < until_ms; i++) {
		nanosleep(&moment, NULL);
		if (i % 25 == 0)
			server_tick(server);
	}
}

/* Lets what is in flight come to its end, as far as it does in time. */
static void end(struct serve *serve)
{
	uint64_t from_ms = now_ms();

	notify("STOPPING=1\nSTATUS=ending");
	log_write(BERTH_LOG_INFO, NULL, "ending");
	serve->service.ending = true;
	server_quiesce(&serve->server);
	wait_until_idle(&serve->server, from_ms + DRAIN_MS);
	server_close(&serve->server);
	wait_until_idle(&serve->server, from_ms + CLOSE_MS);
	if (!server_stop(&serve->server) ||
	    !executor_fini(&serve->service.executor, (from_ms + END_MS) * MS_NS)) {
		log_write(BERTH_LOG_WARNING, NULL, "an adapter does not return; ending without it");
		_exit(STATUS_DONE);
	}
}

/* ---- The whole ---- */

static void serve_until_end(struct serve *serve)
{
	notify("READY=1\nSTATUS=serving");
	log_write(BERTH_LOG_INFO, NULL, "serving");
	while (!got_end) {
		wait_for_signal();
		if (atomic_exchange(&got_reload, false)) {
			notify_reloading();
			sets_reload(&serve->service.sets);
			notify("READY=1");
		}
		server_tick(&serve->server);
		sets_collect(&serve->service.sets);
	}
	end(serve);
}

static void serve_free(struct serve **servep)
{
	if (!*servep)
		return;
	server_fini(&(*servep)->server);
	listeners_fini(&(*servep)->listeners);
	tokens_fini(&(*servep)->service.tokens);
	if ((*servep)->service.sets.now)
		sets_fini(&(*servep)->service.sets);
	free(*servep);
}

enum status serve_run(struct setup *setup)
{
	const struct options *options = setup->options;
	CLEANUP(serve_free) struct serve *serve = calloc(1, sizeof *serve);
	struct error error;
	int rc;

	if (!serve)
		return complain_no_memory();
	rc = library_load(&error);
	if (rc == 0)
		rc = catch_signals(&error);
	if (rc == 0)
		rc = listeners_open(&serve->listeners, options, &error);
	if (rc == 0)
		rc = sets_init(&serve->service.sets, setup) < 0 ? error_set(&error, -ENOMEM, "no memory") : 0;
	if (rc == 0)
		rc = init_service(&serve->service, options, &error);
	if (rc == 0)
		rc = server_start(&serve->server, &serve->service, &serve->listeners, options, &error);
	if (rc < 0) {
		if (serve->service.executor.n_threads > 0)
			executor_fini(&serve->service.executor, UINT64_MAX);
		return complain(STATUS_SETUP, "%s", error.text);
	}
	serve_until_end(serve);
	return STATUS_DONE;
}
