/* SPDX-License-Identifier: MIT */
/* Clients of the service whose time is up, without a network: the clock is what is passed. */
#include "config.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <sys/socket.h>
#include <unistd.h>

#define LIBRARY_ITSELF
#include "core/serve/client.h"
#include "core/serve/library.h"
#include "core/services.h"

#define MS UINT64_C(1000000)

/* ---- What they would need of the rest of the service, and do not come to here ---- */

struct library library;

void exchange_carry_out(struct exchange *exchange)
{
	(void)exchange;
	fail();
}

struct exchange *exchange_ref(struct exchange *exchange)
{
	fail();
	return exchange;
}

void exchange_unref(struct exchange *exchange)
{
	(void)exchange;
	fail();
}

void exchange_refuse(struct exchange *exchange, enum refusal refusal, const char *format, ...)
{
	(void)exchange, (void)refusal, (void)format;
	fail();
}

bool executor_submit(struct executor *executor, struct job *job, bool must)
{
	(void)executor, (void)job, (void)must;
	fail();
	return false;
}

/* ---- Time ---- */

static int n_resumed;

static void count_resumed(struct MHD_Connection *connection)
{
	(void)connection;
	n_resumed++;
}

static bool is_closed(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

/* Who is told that his time is up is told so by a thread that may be late for it, while the clock goes on looking. */
static void who_has_waited_in_vain_has_time_for_the_answer(void **state)
{
	struct service service = { .timeout_ns = 60000 * MS };
	struct exchange exchange = { .service = &service };
	uint64_t now_ns = services_monotonic_ns();
	struct clients clients;
	struct client *client;
	int fds[2];

	(void)state;
	library.MHD_resume_connection = count_resumed;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	clients_init(&clients);
	client = clients_add(&clients, NULL, fds[0]);
	assert_non_null(client);
	client_set_deadline(client, now_ns + 1000 * MS);
	assert_true(clients_wait(&clients, client, &exchange));
	clients_expire(&clients, now_ns + 999 * MS);
	assert_int_equal(exchange.stage, EXCHANGE_WAITING);
	clients_expire(&clients, now_ns + 1000 * MS);
	assert_int_equal(exchange.stage, EXCHANGE_EXPIRED);
	clients_expire(&clients, now_ns + 2000 * MS);
	assert_int_equal(n_resumed, 1);
	assert_false(is_closed(fds[1]));
	clients_expire(&clients, services_monotonic_ns() + 60000 * MS);
	assert_true(is_closed(fds[1]));
	clients_remove(&clients, client);
	clients_fini(&clients);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_has_waited_in_vain_has_time_for_the_answer),
	};

	return cmocka_run_group_tests_name("the service: clients", tests, NULL, NULL);
}
