/* SPDX-License-Identifier: MIT */
/*
 * Kills a host at random instants while callers are at work on its store, and looks at
 * what the next one finds: everything that was acknowledged is there, under its numbers,
 * nothing is there twice, and each caller's inputs are in their order.
 *
 *	store_kill [--rounds N] [--seed N]
 */
#include "config.h"

#include <err.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/batch.h"
#include "core/io.h"
#include "tests/embedded.h"

enum {
	N_CALLERS = 4,
	N_WORKERS = 3,
	LIFE_US = 25000, /* of a host, at the most, from its first acknowledgement on */
};

/* What a caller tells the test as soon as it is acknowledged; pipes keep it whole. */
struct receipt {
	uint32_t caller, worker; /* from 0; from 1 */
	uint64_t n;              /* of the caller's inputs, in all rounds */
	uint64_t sequence, event_id;
};

struct kept {
	struct receipt *receipts; /* in no order between callers */
	size_t n, size;
};

static struct stored store = { .scratch = NULL };
static uint64_t random_state = 1;

static uint64_t draw(uint64_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % below;
}

/* ---- The host that is killed ---- */

struct caller {
	struct registry *registry;
	uint32_t number;
	uint64_t n;
	int fd;
};

static uint64_t number_behind(const char *answer, const char *key)
{
	const char *at = strstr(answer, key);

	return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static void *call_on(void *data)
{
	struct buffer scratch = { 0 }, answer = { 0 };
	struct caller *caller = data;
	char line[512];

	for (;; caller->n++) {
		struct receipt receipt = {
			.caller = caller->number,
			.worker = (uint32_t)(caller->n + caller->number) % N_WORKERS + 1,
			.n = caller->n,
		};

		/* Contents of all sizes, some over several pages. */
		snprintf(line, sizeof line, "{\"op\":\"send_input\",\"runtime_id\":\"" EMBEDDED "\",\"worker_id\":"
			 "\"worker-%08x\",\"request\":{\"content\":\"%" PRIu32 " %" PRIu64 " %0*d\"}}", receipt.worker,
			 receipt.caller, receipt.n, (int)(caller->n % 200) + 1, 0);
		buffer_cut(&answer, 0);
		batch_answer(caller->registry, berth_text(line), &scratch, &answer);
		buffer_append_char(&answer, '\0');
		if (answer.failed || !strstr(answer.data, "\"state\":\"accepted\""))
			errx(1, "not accepted: %s", answer.data);
		receipt.sequence = number_behind(answer.data, "\"transcript_sequence\":");
		receipt.event_id = number_behind(answer.data, "\"event_id\":");
		if (io_write_all(caller->fd, (const char *)&receipt, sizeof receipt) < 0)
			_exit(0);
	}
	return NULL;
}

__attribute__((noreturn))
static void live(int fd, const uint64_t *next)
{
	struct caller callers[N_CALLERS];
	pthread_t threads[N_CALLERS];

	stored_start(&store);
	for (uint32_t i = 0; i < N_CALLERS; i++) {
		callers[i] = (struct caller){ &store.host.inventory.registry, i, next[i], fd };
		if (pthread_create(&threads[i], NULL, call_on, &callers[i]) != 0)
			errx(1, "no thread");
	}
	for (;;)
		pause();
}

/* ---- What it leaves ---- */

static void keep(struct kept *kept, const struct receipt *receipt)
{
	if (kept->n == kept->size) {
		kept->size = kept->size ? kept->size * 2 : 1024;
		kept->receipts = reallocarray(kept->receipts, kept->size, sizeof *kept->receipts);
		if (!kept->receipts)
			errx(1, "no memory");
	}
	kept->receipts[kept->n++] = *receipt;
}

/* Lets a host live for a random while, and collects what it acknowledged. */
static void kill_one(const uint64_t *next, struct kept *kept)
{
	struct timespec life = { .tv_nsec = (long)draw(LIFE_US) * 1000 };
	struct receipt receipt;
	int fds[2], status;
	bool killed = false;
	pid_t pid;

	if (pipe(fds) < 0)
		err(1, "pipe");
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (pid == 0) {
		close(fds[0]);
		live(fds[1], next);
	}
	close(fds[1]);
	/* Now and then while it opens the store, else once it is at work. */
	if (draw(8) == 0)
		killed = nanosleep(&life, NULL) == 0 && kill(pid, SIGKILL) == 0;
	while (read(fds[0], &receipt, sizeof receipt) == sizeof receipt) {
		keep(kept, &receipt);
		if (!killed)
			killed = nanosleep(&life, NULL) == 0 && kill(pid, SIGKILL) == 0;
	}
	close(fds[0]);
	if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		errx(1, "a host ended by itself, with status %#x", (unsigned)status);
}

/* ---- Looking ---- */

/* What is known from the rounds before, which is there all the same. */
struct known {
	uint64_t n_items[N_WORKERS + 1], last_event, next[N_CALLERS];
};

struct found {
	uint32_t caller, worker;
	uint64_t n, sequence, event_id;
};

struct finds {
	struct found *list;
	size_t n, size;
};

static void find_item(struct finds *finds, uint32_t worker, const cJSON *item)
{
	struct found *found;

	if (finds->n == finds->size) {
		finds->size = finds->size ? finds->size * 2 : 1024;
		finds->list = reallocarray(finds->list, finds->size, sizeof *finds->list);
		if (!finds->list)
			errx(1, "no memory");
	}
	found = &finds->list[finds->n++];
	found->worker = worker;
	found->sequence = (uint64_t)cJSON_GetNumberValue(json_at(item, "sequence"));
	found->event_id = (uint64_t)cJSON_GetNumberValue(json_at(item, "event_id"));
	if (sscanf(json_string_at(item, "content"), "%" SCNu32 " %" SCNu64, &found->caller, &found->n) != 2)
		errx(1, "a content that nobody sent");
	if (found->caller >= N_CALLERS || strlen(json_string_at(item, "content")) < found->n % 200 + 1)
		errx(1, "a content that was cut");
}

static uint64_t read_worker(struct finds *finds, uint32_t worker, uint64_t start)
{
	uint64_t total;

	do {
		cJSON *page = host_ask_json(&store.host, "{'op':'transcript','runtime_id':'" EMBEDDED "','worker_id':"
					    "'worker-%08x','start':%" PRIu64 ",'limit':256}", worker, start);
		const cJSON *item;

		total = (uint64_t)cJSON_GetNumberValue(json_at(page, "total_items"));
		cJSON_ArrayForEach(item, json_at(page, "items")) {
			find_item(finds, worker, item);
			if (finds->list[finds->n - 1].sequence != ++start)
				errx(1, "a sequence is missing or is there twice");
		}
		cJSON_Delete(page);
	} while (start < total);
	return total;
}

static int by_event(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return (x->event_id > y->event_id) - (x->event_id < y->event_id);
}

static int by_event_of_receipt(const void *a, const void *b)
{
	const struct receipt *x = a, *y = b;

	return (x->event_id > y->event_id) - (x->event_id < y->event_id);
}

/* Event ids go on without a gap and a caller's inputs in the order in which it sent them,
 * each once; at the end there may be one for each that was killed before it was told. */
static void check_order(struct known *known, const struct finds *finds)
{
	for (size_t i = 0; i < finds->n; i++) {
		const struct found *found = &finds->list[i];

		if (found->event_id != ++known->last_event)
			errx(1, "event %" PRIu64 " in the place of %" PRIu64, found->event_id, known->last_event);
		if (found->n != known->next[found->caller]++)
			errx(1, "caller %" PRIu32 ": input %" PRIu64 " in the place of %" PRIu64, found->caller, found->n,
			     known->next[found->caller] - 1);
	}
}

static void check_receipts(const struct finds *finds, const struct kept *kept)
{
	size_t at = 0;

	for (size_t i = 0; i < kept->n; i++) {
		const struct receipt *receipt = &kept->receipts[i];

		while (at < finds->n && finds->list[at].event_id < receipt->event_id)
			at++;
		if (at == finds->n || finds->list[at].event_id != receipt->event_id ||
		    finds->list[at].caller != receipt->caller || finds->list[at].n != receipt->n ||
		    finds->list[at].worker != receipt->worker || finds->list[at].sequence != receipt->sequence)
			errx(1, "acknowledged and not there: caller %" PRIu32 ", input %" PRIu64, receipt->caller, receipt->n);
	}
	if (finds->n - kept->n > N_CALLERS)
		errx(1, "%zu inputs are there that nobody can have sent", finds->n - kept->n);
}

static void look(struct known *known, struct kept *kept)
{
	struct finds finds = { .list = NULL };

	stored_start(&store);
	for (uint32_t worker = 1; worker <= N_WORKERS; worker++)
		known->n_items[worker] = read_worker(&finds, worker, known->n_items[worker]);
	stored_stop(&store);
	if (finds.n > 0)
		qsort(finds.list, finds.n, sizeof *finds.list, by_event);
	if (kept->n > 0)
		qsort(kept->receipts, kept->n, sizeof *kept->receipts, by_event_of_receipt);
	check_order(known, &finds);
	check_receipts(&finds, kept);
	free(finds.list);
}

static void run(uint64_t n_rounds)
{
	struct known known = { .last_event = 1 + N_WORKERS };
	uint64_t n_acknowledged = 0;

	stored_start(&store);
	for (int i = 0; i < N_WORKERS; i++)
		ask_accepted(&store.host, SPAWN(COMPANION));
	stored_stop(&store);
	for (uint64_t i = 0; i < n_rounds; i++) {
		struct kept kept = { .receipts = NULL };

		kill_one(known.next, &kept);
		look(&known, &kept);
		n_acknowledged += kept.n;
		free(kept.receipts);
	}
	if (n_acknowledged == 0)
		errx(1, "nothing was acknowledged in any round");
	printf("ok - killed %" PRIu64 " times: all %" PRIu64 " inputs that were acknowledged are there, once and in order\n",
	       n_rounds, n_acknowledged);
}

static pid_t own_pid;

/* Also where a check failed; but not in a host. */
static void clean_up(void)
{
	if (getpid() != own_pid)
		return;
	scratch_remove(store.scratch);
	free(store.dir);
}

int main(int argc, char **argv)
{
	uint64_t n_rounds = 40;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--rounds") == 0)
			n_rounds = strtoull(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--seed") == 0)
			random_state = strtoull(argv[i + 1], NULL, 10);
	}
	store.scratch = scratch_new();
	if (asprintf(&store.dir, "%s/store", store.scratch) < 0)
		errx(1, "no memory");
	own_pid = getpid();
	atexit(clean_up);
	run(n_rounds);
	return 0;
}
