/* SPDX-License-Identifier: MIT */
/*
 * Times the store of the embedded runtime: how many inputs a second are kept for so many
 * callers, beside how many syncs a second the disk gives to anybody; and how long a store
 * takes to open, however much there is in it.
 */
#include "config.h"

#include <err.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/batch.h"
#include "core/inventory.h"

enum { N_ROUNDS = 5, CALLERS_MAX = 64 };

#define RUNTIME "\"runtime_id\":\"embedded-worker-runtime\""
#define TEXT_50 "The quick brown fox jumps over all the lazy dogs; "
#define SPAWN                                                                                                     \
	"{\"op\":\"spawn_worker\"," RUNTIME ",\"request\":{\"intent\":{\"kind\":\"workspace_companion\"},"      \
	"\"acceptance\":{\"kind\":\"run_accepted\",\"expected_segments\":0}}}"
#define INPUT                                                                                                     \
	"{\"op\":\"send_input\"," RUNTIME ",\"worker_id\":\"worker-00000001\",\"request\":{\"kind\":\"user\","  \
	"\"content\":\"" TEXT_50 TEXT_50 TEXT_50 TEXT_50 "\"}}"
#define LAST_PAGE "{\"op\":\"transcript\"," RUNTIME ",\"worker_id\":\"worker-00000001\",\"start\":999900}"
#define LAST_WORKER "{\"op\":\"worker\"," RUNTIME ",\"worker_id\":\"worker-000186a0\"}"

struct bench {
	const char *adapter_dir;
	double seconds; /* of each round */
	char dir[PATH_MAX], store[PATH_MAX + 16];
	struct inventory inventory;
};

static struct bench bench;

static void need(bool done, const char *what)
{
	if (!done)
		err(1, "%s", what);
}

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)type, (void)at;
	return remove(path);
}

static void remove_all(void)
{
	if (*bench.dir)
		nftw(bench.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- The host ---- */

static void put(struct dropin *dropin, const char *key, const char *value)
{
	cJSON *string = cJSON_CreateString(value);

	need(string && settings_put(dropin->settings, key, string, "bench") == 0, key);
	cJSON_Delete(string);
}

static void start(const char *durability)
{
	const struct workspace workspace = { .root = BERTH_TEXT("/workspace"), .id = BERTH_TEXT("local:bench") };
	struct dropin dropin;
	struct error error;

	bench.inventory = (struct inventory){ .entries = NULL };
	if (loader_init(&bench.inventory.loader, &error) < 0 ||
	    loader_add_dir(&bench.inventory.loader, bench.adapter_dir, &error) < 0)
		errx(1, "%s", error.text);
	need(dropin_make("embedded", "bench", &dropin) == 0, "embedded");
	put(&dropin, "options.store", bench.store);
	put(&dropin, "options.durability", durability);
	need(inventory_add(&bench.inventory, &dropin) == 0 && inventory_require(&bench.inventory, "embedded") == 0,
	     "embedded");
	if (inventory_start(&bench.inventory, &workspace) > 0) {
		inventory_log_failures(&bench.inventory);
		exit(1);
	}
}

static void stop(void)
{
	inventory_fini(&bench.inventory);
}

static void ask(struct buffer *scratch, struct buffer *answer, const char *line, const char *expected)
{
	buffer_cut(answer, 0);
	batch_answer(&bench.inventory.registry, berth_text(line), scratch, answer);
	buffer_append_char(answer, '\0');
	if (answer->failed || !strstr(answer->data, expected))
		errx(1, "%s: %.300s", line, answer->failed ? "no memory" : answer->data);
}

static void ask_once(const char *line, const char *expected)
{
	struct buffer scratch = { 0 }, answer = { 0 };

	ask(&scratch, &answer, line, expected);
	buffer_fini(&scratch);
	buffer_fini(&answer);
}

/* ---- Keeping ---- */

struct caller {
	double until_s;
	unsigned long n;
};

static void *send_until(void *data)
{
	struct buffer scratch = { 0 }, answer = { 0 };
	struct caller *caller = data;

	for (; now_s() < caller->until_s; caller->n++)
		ask(&scratch, &answer, INPUT, "\"state\":\"accepted\"");
	buffer_fini(&scratch);
	buffer_fini(&answer);
	return NULL;
}

/* Inputs a second. */
static double keep(unsigned n_callers)
{
	struct caller callers[CALLERS_MAX];
	pthread_t threads[CALLERS_MAX];
	double begin = now_s();
	unsigned long n = 0;

	for (unsigned i = 0; i < n_callers; i++) {
		callers[i] = (struct caller){ .until_s = begin + bench.seconds };
		need(pthread_create(&threads[i], NULL, send_until, &callers[i]) == 0, "a thread");
	}
	for (unsigned i = 0; i < n_callers; i++) {
		pthread_join(threads[i], NULL);
		n += callers[i].n;
	}
	return (double)n / (now_s() - begin);
}

/* Blocks a second that are written and synced, each alone; over and over in a file that
 * has its place on the disk, as the log of the store has. */
static double sync_blocks(unsigned unused)
{
	enum { N_BLOCKS = 1024 };
	static const char block[4096];
	char path[sizeof bench.dir + 16];
	double begin;
	off_t n = 0;
	int fd;

	(void)unused;
	snprintf(path, sizeof path, "%s/floor", bench.dir);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	need(fd >= 0, path);
	for (off_t i = 0; i < N_BLOCKS; i++)
		need(pwrite(fd, block, sizeof block, i * (off_t)sizeof block) == sizeof block, path);
	need(fsync(fd) == 0, path);
	for (begin = now_s(); now_s() < begin + bench.seconds; n++)
		need(pwrite(fd, block, sizeof block, n % N_BLOCKS * (off_t)sizeof block) == sizeof block &&
		     fdatasync(fd) == 0, path);
	close(fd);
	return (double)n / (now_s() - begin);
}

static int compare_doubles(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double median_of_rounds(double (*round)(unsigned n), unsigned n)
{
	double rounds[N_ROUNDS];

	for (int i = 0; i < N_ROUNDS; i++)
		rounds[i] = round(n);
	qsort(rounds, N_ROUNDS, sizeof *rounds, compare_doubles);
	return rounds[N_ROUNDS / 2];
}

static void time_keeping(void)
{
	static const unsigned n_callers[] = { 1, 8, 64 };
	double floor = median_of_rounds(sync_blocks, 0), n;

	printf("\n%-33s%11s%11s\n", "kept, medians", "a second", "of syncs");
	printf("%-33s%11.0f%11.2f\n", "syncs of 4 KiB, bare", floor, 1.0);
	start("full");
	ask_once(SPAWN, "\"state\":\"accepted\"");
	for (size_t i = 0; i < sizeof n_callers / sizeof *n_callers; i++) {
		n = median_of_rounds(keep, n_callers[i]);
		printf("input of 200 bytes, %2u callers%14.0f%11.2f\n", n_callers[i], n, n / floor);
		fflush(stdout);
	}
	stop();
	start("relaxed");
	n = median_of_rounds(keep, 1);
	printf("%-33s%11.0f%11.2f\n", "the same, relaxed,  1 caller", n, n / floor);
	stop();
}

/* ---- Opening ---- */

static long resident_kib(void)
{
	long pages = 0, resident = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (!file || fscanf(file, "%ld %ld", &pages, &resident) != 2)
		resident = 0;
	if (file)
		fclose(file);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Fills the store, which is closed, in its own language: it takes minutes else. */
static void fill(const char *sql)
{
	char path[sizeof bench.store + 16];
	char *message = NULL;
	sqlite3 *db;

	snprintf(path, sizeof path, "%s/catalogue.db", bench.store);
	if (sqlite3_open(path, &db) != SQLITE_OK || sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
		errx(1, "%s: %s", path, message ? message : sqlite3_errmsg(db));
	sqlite3_close(db);
}

static void time_opening(const char *name, const char *line, const char *expected)
{
	double samples[N_ROUNDS];
	long grown = 0;

	for (int i = 0; i < N_ROUNDS; i++) {
		long before = resident_kib();
		double begin = now_s();

		start("full");
		ask_once(line, expected);
		samples[i] = now_s() - begin;
		grown = resident_kib() - before;
		stop();
	}
	qsort(samples, N_ROUNDS, sizeof *samples, compare_doubles);
	printf("%-33s%8.2f ms%8ld KiB\n", name, samples[N_ROUNDS / 2] * 1e3, grown);
	fflush(stdout);
}

#define COUNT_TO(n) "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < " #n ")"

static void time_openings(void)
{
	snprintf(bench.store, sizeof bench.store, "%s/opened", bench.dir);
	start("full");
	ask_once(SPAWN, "\"state\":\"accepted\"");
	stop();
	printf("\n%-33s%11s%12s\n", "opened and asked once, medians", "takes", "memory");
	time_opening("1 worker without items", "{\"op\":\"list_workers\"}", "worker-00000001");
	fill("BEGIN; " COUNT_TO(1000000) " INSERT INTO item SELECT x + 2, 1, 1, x, 0,"
	     " CAST(printf('%0200d', x) AS BLOB) FROM c;"
	     "UPDATE worker SET n_items = 1000000; UPDATE runtime SET last_event = 1000002; COMMIT");
	time_opening("1,000,000 items, the last 100 read", LAST_PAGE, "\"sequence\":1000000,");
	fill("BEGIN; " COUNT_TO(100000) " INSERT INTO worker SELECT x, 0, 0, 0, 0, 0 FROM c WHERE x > 1;"
	     COUNT_TO(100000) " INSERT INTO event SELECT 1000001 + x, 2, 1, x FROM c WHERE x > 1;"
	     "UPDATE runtime SET last_worker = 100000, last_event = 1100001; COMMIT");
	time_opening("and 100,000 workers, the last one", LAST_WORKER, "worker-000186a0");
}

int main(int argc, char **argv)
{
	const char *tmp = getenv("TMPDIR");

	bench.seconds = 1;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--quick") == 0)
			bench.seconds = 0.2;
		else if (strcmp(argv[i], "--adapter-dir") == 0 && i + 1 < argc)
			bench.adapter_dir = argv[++i];
	}
	if (!bench.adapter_dir)
		errx(1, "usage: bench_store --adapter-dir DIR [--quick]");
	snprintf(bench.dir, sizeof bench.dir, "%s/berth-bench-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	need(mkdtemp(bench.dir), bench.dir);
	atexit(remove_all);
	snprintf(bench.store, sizeof bench.store, "%s/store", bench.dir);
	time_keeping();
	time_openings();
	return 0;
}
