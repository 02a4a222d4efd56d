/* SPDX-License-Identifier: MIT */
/*
 * What fault_runs has its program do: a command, with or without faults of a kind, is a run
 * (fault_run.c), which is judged by its answers, its end and what it leaves (fault_judge.c).
 */
#ifndef BERTH_TESTS_FAULT_RUN_H
#define BERTH_TESTS_FAULT_RUN_H

#include <sys/types.h>

#include "core/buffer.h"
#include "tests/fault_order.h"

enum {
	LIMIT_MS = 60000, /* for a run; generous, since only one that hangs needs it */
	VALGRIND_STATUS = 99,
	STATUS_SETUP = 3,
	N_ARGUMENTS = 16,
};

/* ---- Faults ---- */

enum {
	ALLOCATION = 1 << 0, /* fails, and no call */
	ALL_BEHIND = 1 << 1, /* fail, too */
	CLOCK = 1 << 2,      /* makes a step, and nothing fails */
	HARMLESS = 1 << 3,   /* the answer must be the same */
	ONCE = 1 << 4,	     /* one run has all of it */
	CLOSED = 1 << 5,     /* are standard descriptors: the bits of the number of the run */
	NARROW = 1 << 6,     /* are standard input and output: pipes that are full, or empty, again and again */
	OWN = 1 << 7,	     /* those of libraries are let alone */
};

struct kind {
	const char *name;
	unsigned flags;
	unsigned calls;
	int error;
	unsigned long n_bad;
	int64_t step_s;
};

/* ---- Commands ---- */

#define EMBEDDED "embedded-worker-runtime"
#define ONE "worker-00000001"
#define CLUSTERED "incus-worker-runtime"
#define SPAWN_REQUEST "{\"intent\":{\"kind\":\"workspace_companion\"},\"request_id\":\"first\"," \
	"\"acceptance\":{\"kind\":\"run_accepted\",\"expected_segments\":0}}"

enum {
	GOLDEN = 1 << 0,    /* reads the requests of the golden answers */
	REQUESTS = 1 << 1,  /* reads requests that change the store */
	REMOTE = 1 << 2,    /* asks a service */
	SERVES = 1 << 3,    /* is one */
	ENDLESS = 1 << 4,   /* is left once it has answered */
	TEXT = 1 << 5,      /* no JSON */
	PROGRAM = 1 << 6,   /* has a program of its own, which says what is wrong in its own words */
	EVERY = 1 << 7,     /* has each of its calls fail, whatever the stride */
	READING = 1 << 8,   /* reads the requests that show what the store has */
	FRESH = 1 << 9,     /* begins without a store */
	ISOLATED = 1 << 10, /* its adapters are in processes of their own */
	CHILD = 1 << 11,    /* the faults are theirs */
	CLUSTER = 1 << 12,  /* has the adapter of clusters alone, with a stand-in for the cluster */
	VARIES = 1 << 13,   /* the answer is another one each time */
	PINNED = 1 << 14,   /* its adapters are pinned */
	PROCESS = 1 << 15,  /* its adapter is a program: berth batch, with the store */
	SLOW = 1 << 16,     /* left out but for --all and --only */
};

struct command {
	const char *name, *arguments[N_ARGUMENTS];
	unsigned flags;
};

/* ---- Where it all is ---- */

enum root { ROOT_PLAIN, ROOT_ISOLATED, ROOT_CHILD, ROOT_PINNED, ROOT_CLUSTER, ROOT_PROCESS, N_ROOTS };

struct fault_world {
	char *roots[N_ROOTS]; /* of configuration */
	char *scratch, *work; /* work: the current directory of what is run, empty before */
	const char *berth, *adapter_dir;
	char *golden, *golden_requests;
	struct fault_order *order;
	uint64_t stride, first;
	const char *only, *only_kind;
	bool slow, valgrind, failed;
	bool narrow; /* pipes in the next run with faults */
	pid_t service, cluster;
	char *worker; /* of the cluster */
	uint64_t closed; /* bits of the standard descriptors that are closed in the next run with faults */
};

extern struct fault_world all;

/* ---- Runs ---- */

struct run {
	int status; /* of waitpid; -1: it did not end */
	struct buffer out, err;
	uint64_t n_failed;
	bool ended; /* by a return from main */
};

void run_fini(struct run *run);
void run_command(const struct command *command, bool faults, struct run *run);

/* NULL, or what is wrong with a run; good is the one without faults. */
const char *judge(const struct command *command, const struct kind *kind, struct run *run, const struct run *good);

/* ---- For them, and for what is set up before ---- */

uint64_t now_ms(void);

/* The value of a variable of the environment that must be there. */
const char *wanted(const char *variable);

/* To be freed, as is the content of a file of text. */
char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *text_of(const char *path);

/* Copies the store from one directory to another; none, where there is none. */
void copy_store(const char *from, const char *to);

/* An unnamed file to be read from its beginning. */
int memory_file(const char *name, const char *content, size_t len);

/* Starts it with these standard descriptors. */
pid_t start(const struct command *command, bool faults, const int fds[3]);

/* Waits until the process has ended, or for so long; whether it has. */
bool wait_for(pid_t pid, uint64_t until_ms, int *statusp);
void end_process(pid_t *pidp);

/* Sends the nth request to a service and appends what comes back; false where nobody is there. */
bool exchange(const char *path, size_t nth, struct buffer *answer, bool *hung);

/* Begins a cluster anew, in a process of its own. */
void start_cluster(void);

/* The id of the first worker in an answer, to be freed, or NULL. */
char *worker_in(const char *answer);

#endif
