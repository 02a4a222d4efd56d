/* SPDX-License-Identifier: MIT */
/*
 * berth/adapter.h - the one header that a runtime adapter needs, and the
 * specification of the boundary between an adapter and berth.
 *
 * PROMISE. A plugin built against version 1.m of this header is loaded and
 * driven correctly, without a rebuild, by every berth whose ABI is 1.n, as long
 * as n is not below the minor that the plugin says it needs (0 unless it says
 * otherwise).
 *
 * LIFE CYCLE
 *
 *   plugin file
 *       |  berth reads the stamp as data and checks it; no code has run
 *       v
 *   load -----> register(registrar)      once in a process; hands over the ops
 *                       |
 *                       v
 *        +---> open(&instance, call, request)    any number of instances;
 *        |              |                        pushes its runtime once
 *        |              v
 *        |     runtime, list_hosts, list_workers, worker, spawn_worker,
 *        |     stop_worker, send_input, transcript, connect_points, read_events
 *        |              |                        as the declared threading allows
 *        |              v
 *        +---- close(instance)                   after the last call has returned
 *
 * The plugin stays loaded until the process ends. A failed open leaves no
 * instance behind and is not followed by a close. Several instances may be open
 * at once, two of the same configuration among them.
 *
 * TAGS at the end of a comment say when and from where a member is called:
 *   [set-up]      register, open and close: never at the same time as another
 *                 set-up call of the same adapter
 *   [open]        between open and close of the instance, as often and from as
 *                 many threads at once as the adapter's threading allows
 *   [in call]     by the adapter, while the operation that was given the call
 *                 runs; from any thread, but one at a time for each call
 *   [any thread]  by the adapter, at any time from open until close returns
 *
 * OWNERSHIP
 *   - Whoever fills in a struct owns its memory and sets its size; whoever reads
 *     it copies the smaller of both sizes into a zeroed struct of his own. Nobody
 *     writes into a struct of the other side.
 *   - Requests, and the texts in them, are lent to the adapter until the
 *     operation returns.
 *   - What is pushed into the sink is lent to berth until the push returns;
 *     memory on the stack will do. Nothing is ever freed across the boundary.
 *   - The ops table, and all that it points to, is constant and stays.
 *   - No request and no result contains a function, a descriptor or a handle, so
 *     that the same operations can be carried out in another process.
 *
 * WHAT AN OPERATION RETURNS
 *   0 or 1          what was pushed is the answer (1 is what a push returned)
 *   BERTH_DEFAULT   the registry's default answer for the operation is wanted
 *   -ENOENT         only from operations on a worker: there is no such worker.
 *                   It is judged before anything else in the request
 *   negative errno  failed; give the reason with sink->fail. A list keeps what was
 *                   pushed and gains the diagnostic adapter_failed, if it has fewer
 *                   than 16; a single answer becomes rejected; a worker that was
 *                   looked up is unknown
 *   anything else   counts as failed
 * A refusal is not a failure: push an answer whose state is BERTH_REJECTED or
 * BERTH_UNSUPPORTED, a diagnostic that says why, and return 0.
 *
 * HOW IT GROWS
 *   A minor may append members to a struct (zero means exactly what the version
 *   before did), operations, sink functions, services, capability bits, option
 *   types and enum values from adapter to berth. A major is everything else: to
 *   reorder, remove, retype or reinterpret, to require what was optional, to
 *   shorten a lifetime, to let a push block. No struct has padding at its end;
 *   arrays of structs that begin with a size are stepped by the first element's
 *   size and go from the adapter to berth only; those without a size never grow.
 *
 * LEDGER, one line a change
 *   1.0  the first version
 *   1.1  berth_adapter.read_events, berth_events_request, berth_sink.event, berth_event,
 *        berth_answer.next_cursor, BERTH_CURSOR_MAX: the events of a runtime
 */
#ifndef BERTH_ADAPTER_H
#define BERTH_ADAPTER_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BERTH_ABI_MAJOR 1
#define BERTH_ABI_MINOR 1

/* The lowest minor that the adapter needs. Define it before including this
 * header to require members or functions marked "since 1.m". */
#ifndef BERTH_ABI_NEEDED
#define BERTH_ABI_NEEDED 0
#endif

/* ---- Texts ---------------------------------------------------------------- */

/* UTF-8 of len bytes, not terminated, U+0000 allowed. ptr NULL: absent, which is
 * not the same as empty. Frozen: never grows. */
struct berth_text {
	const char *ptr;
	size_t len;
};

/* Initialiser for a struct berth_text from a string literal. */
#define BERTH_TEXT(literal) { "" literal, sizeof(literal) - 1 }

/* A text from a C string; absent if it is NULL. Borrows the string. */
static inline struct berth_text berth_text(const char *string)
{
	struct berth_text text;

	text.ptr = string;
	text.len = string ? strlen(string) : 0;
	return text;
}

/* Limits. An item that breaks one is dropped, and the answer says so with the
 * diagnostic adapter_failed. All in bytes but for the last. */
#define BERTH_ID_MAX 120           /* runtime_id, host_id, worker_id */
#define BERTH_TEXT_MAX 65536       /* every other text */
#define BERTH_CONTENT_MAX 16777216 /* content of a transcript item */
#define BERTH_HINT_MAX 320         /* what services->display_hint returns */
#define BERTH_CURSOR_MAX 256       /* a cursor; since 1.1 */
#define BERTH_DIAGNOSTICS_MAX 16   /* diagnostics of one item or answer; later ones are dropped */

/* ---- Closed sets. None begins at 0: a zeroed struct claims nothing. -------- */

/* The state of an answer. */
enum {
	BERTH_ACCEPTED = 1,
	BERTH_UNSUPPORTED = 2,
	BERTH_REJECTED = 3,
};

/* The severity of a diagnostic; anything else counts as BERTH_INFO. */
enum {
	BERTH_INFO = 1,
	BERTH_WARNING = 2,
	BERTH_ERROR = 3,
};

/* The urgency of a log line. */
enum {
	BERTH_LOG_DEBUG = 1,
	BERTH_LOG_INFO = 2,
	BERTH_LOG_WARNING = 3,
	BERTH_LOG_ERROR = 4,
};

/* What a worker is spawned for. */
enum {
	BERTH_INTENT_WORKSPACE_COMPANION = 1,
	BERTH_INTENT_WORKSPACE_ORCHESTRATOR = 2,
	BERTH_INTENT_TICKET_ROLE = 3,
};

/* The role in a ticket. */
enum {
	BERTH_ROLE_INTAKE = 1,
	BERTH_ROLE_ORCHESTRATOR = 2,
	BERTH_ROLE_CODER = 3,
	BERTH_ROLE_REVIEWER = 4,
};

/* What a spawn must have reached to be accepted. */
enum {
	BERTH_ACCEPTANCE_SOCKET_READY = 1,
	BERTH_ACCEPTANCE_RUN_ACCEPTED = 2,
};

enum {
	BERTH_STOP_GRACEFUL = 1,
	BERTH_STOP_FORCE = 2,
};

enum {
	BERTH_INPUT_USER = 1,
	BERTH_INPUT_SYSTEM = 2,
};

/* ---- Capabilities, bits of a member named can ------------------------------ */

/* Of runtimes and hosts. */
#define BERTH_CAN_LIST_HOSTS (UINT64_C(1) << 0)
#define BERTH_CAN_LIST_WORKERS (UINT64_C(1) << 1)
#define BERTH_CAN_GET_WORKER (UINT64_C(1) << 2)
#define BERTH_CAN_SPAWN_WORKER (UINT64_C(1) << 3)
#define BERTH_CAN_STOP_WORKER (UINT64_C(1) << 4)
#define BERTH_CAN_ACCEPT_INPUT (UINT64_C(1) << 5)
#define BERTH_CAN_STREAM_EVENTS (UINT64_C(1) << 6)
#define BERTH_CAN_READ_BOUNDED_TRANSCRIPT (UINT64_C(1) << 7)
#define BERTH_HAS_WORKSPACE_FS (UINT64_C(1) << 8)
#define BERTH_HAS_SHELL (UINT64_C(1) << 9)
#define BERTH_HAS_GIT (UINT64_C(1) << 10)
#define BERTH_SUPPORTS_WORKTREES (UINT64_C(1) << 11)
#define BERTH_SUPPORTS_BACKEND_INTERNAL_TOOLS (UINT64_C(1) << 12)

/* Of workers. */
#define BERTH_WORKER_CAN_ACCEPT_INPUT (UINT64_C(1) << 0)
#define BERTH_WORKER_CAN_STREAM_EVENTS (UINT64_C(1) << 1)
#define BERTH_WORKER_CAN_STOP (UINT64_C(1) << 2)
#define BERTH_WORKER_CAN_SPAWN_FOLLOWUP (UINT64_C(1) << 3)
#define BERTH_WORKER_CAN_READ_BOUNDED_TRANSCRIPT (UINT64_C(1) << 4)

/* ---- Results: written by the adapter, pushed into the sink ------------------ */

/* Why something is not as one might expect. Codes are for programs and never
 * change; messages are for people and contain no path, address or secret. */
struct berth_diagnostic {
	size_t size;
	struct berth_text code;    /* required, [a-z0-9_] */
	struct berth_text message; /* required */
	uint64_t severity;
};

/* The runtime that an instance presents. Pushed once by open, where it fixes the
 * identity and is kept to present the runtime when it cannot be asked, and once by
 * the operation runtime. */
struct berth_runtime {
	size_t size;
	struct berth_text runtime_id; /* identifier; required from open, later absent or the same. A
	                                 configured runtime_id takes its place */
	struct berth_text label;      /* required */
	struct berth_text kind;       /* required */
	struct berth_text status;     /* required */
	struct berth_text source_kind;   /* required; local_compatibility, embedded_worker_runtime and
	                                    remote_http are taken */
	struct berth_text source_status; /* required: active or reserved */
	struct berth_text source_note;   /* required, for people */
	const struct berth_text *host_ids; /* n_host_ids identifiers */
	size_t n_host_ids;
	uint64_t can;
	struct berth_text local_pod_inspection; /* absent: not_applicable */
	struct berth_text workspace_scope;      /* absent: none */
	struct berth_text os;                   /* absent: berth's own, such as linux */
	struct berth_text arch;                 /* absent: berth's own, such as x86_64 */
	const struct berth_diagnostic *diagnostics; /* n_diagnostics of them */
	size_t n_diagnostics;
};

/* A host: where workers live. */
struct berth_host {
	size_t size;
	struct berth_text host_id; /* identifier, required */
	struct berth_text label;   /* required */
	struct berth_text kind;    /* required */
	struct berth_text status;  /* required */
	uint64_t observed_at_ns;   /* since 1970, UTC; 0: now */
	uint64_t last_seen_at_ns;  /* since 1970, UTC; 0: not known */
	uint64_t can;
	struct berth_text local_pod_inspection; /* these four as in struct berth_runtime */
	struct berth_text workspace_scope;
	struct berth_text os;
	struct berth_text arch;
	const struct berth_diagnostic *diagnostics;
	size_t n_diagnostics;
};

/* A worker. */
struct berth_worker {
	size_t size;
	struct berth_text worker_id;  /* identifier, required */
	struct berth_text runtime_id; /* identifier; absent: the instance's */
	struct berth_text host_id;    /* identifier, required */
	struct berth_text label;      /* required */
	struct berth_text role;       /* may be absent */
	struct berth_text profile;    /* may be absent */
	struct berth_text workspace_visibility; /* required */
	struct berth_text workspace_identity;   /* required */
	struct berth_text state;  /* required */
	struct berth_text status; /* required */
	uint64_t last_seen_at_ns; /* since 1970, UTC; 0: not known */
	struct berth_text implementation_kind; /* required */
	struct berth_text implementation_hint; /* required */
	uint64_t can;
	const struct berth_diagnostic *diagnostics;
	size_t n_diagnostics;
};

/* The head of the answer to spawn_worker, stop_worker, send_input, transcript or
 * read_events. Exactly one, pushed before the worker, evidence, items or events that
 * belong to it. */
struct berth_answer {
	size_t size;
	uint64_t state;               /* BERTH_ACCEPTED, BERTH_UNSUPPORTED or BERTH_REJECTED */
	uint64_t transcript_sequence; /* send_input: from 1; 0: none */
	uint64_t event_id;            /* send_input: from 1; 0: none */
	uint64_t total_items;         /* transcript: how many there are in all */
	uint64_t more;                /* transcript, read_events: 1 if more follow those pushed */
	uint64_t next_start;          /* transcript: where they begin, if more is 1 */
	struct berth_text next_cursor; /* read_events: where to go on, also if nothing follows yet;
	                                  required if accepted. Since 1.1 */
};

/* What a spawn has really reached. */
struct berth_evidence {
	size_t size;
	struct berth_text kind;   /* required, for programs */
	struct berth_text detail; /* required, for people */
};

struct berth_transcript_item {
	size_t size;
	uint64_t sequence;         /* from 1, in the worker */
	uint64_t event_id;         /* from 1, in the runtime */
	struct berth_text role;    /* required: user, system or worker */
	struct berth_text content; /* required */
};

struct berth_connect_point {
	size_t size;
	struct berth_text kind;   /* required */
	struct berth_text status; /* required */
	const struct berth_diagnostic *diagnostics;
	size_t n_diagnostics;
};

/* Something that has happened in a runtime. Since 1.1. */
struct berth_event {
	size_t size;
	uint64_t event_id;            /* from 1, rising, as send_input and transcripts name it; those
	                                 that are not kept are passed over */
	struct berth_text kind;       /* required, for programs: runtime_started, worker_created,
	                                 input_accepted, worker_stopped, worker_cancelled, or others */
	uint64_t occurred_at_ns;      /* since 1970, UTC; 0: not known */
	struct berth_text worker_id;  /* identifier; absent: of the runtime as a whole */
	uint64_t transcript_sequence; /* of the item that came of it, from 1; 0: none */
	struct berth_text cursor;     /* required: what follows this event is read from there */
};

/* ---- Requests: written by berth, read by the adapter ------------------------ */

/* The value of one option. Frozen. */
struct berth_option {
	struct berth_text text; /* as configured, or the declared default */
	uint64_t number;        /* of a count; of a flag 0 or 1 */
};

struct berth_open_request {
	size_t size;
	struct berth_text workspace_id;
	struct berth_text workspace_root; /* plain text, perhaps empty or relative; any bytes but NUL */
	struct berth_text data_dir;       /* absent: none; any bytes but NUL */
	struct berth_text runtime_id;     /* absent: the adapter's own is used */
	const struct berth_option *options; /* n_options, in the order of declaration */
	size_t n_options;
};

/* runtime, list_hosts, list_workers. Items beyond the limit are dropped. */
struct berth_list_request {
	size_t size;
	uint64_t limit;
};

/* worker, connect_points. */
struct berth_worker_request {
	size_t size;
	struct berth_text worker_id; /* a valid identifier */
};

struct berth_spawn_request {
	size_t size;
	uint64_t intent;
	struct berth_text ticket_id; /* BERTH_INTENT_TICKET_ROLE only */
	uint64_t role;               /* BERTH_INTENT_TICKET_ROLE only */
	struct berth_text requested_worker_name; /* may be absent; never authority */
	uint64_t acceptance;
	uint64_t expected_segments;   /* BERTH_ACCEPTANCE_RUN_ACCEPTED only */
	struct berth_text request_id; /* may be absent; the same on a retry, so that a runtime can make
	                                 a repeated request harmless */
};

struct berth_stop_request {
	size_t size;
	struct berth_text worker_id; /* a valid identifier */
	uint64_t mode;
};

struct berth_input_request {
	size_t size;
	struct berth_text worker_id; /* a valid identifier */
	uint64_t kind;
	struct berth_text content;
};

struct berth_transcript_request {
	size_t size;
	struct berth_text worker_id; /* a valid identifier */
	uint64_t start;              /* index of the first item wanted, from 0 */
	uint64_t limit;
};

/* read_events. Since 1.1. A cursor is the adapter's: it means a place among the events of
 * one runtime, for as long as the runtime lives, and nothing to anybody else. It has 1
 * to BERTH_CURSOR_MAX characters from U+0021 to U+007E. */
struct berth_events_request {
	size_t size;
	struct berth_text cursor; /* as a caller gave it, who may have made it up; absent: from the
	                             first event that is kept */
	uint64_t limit;
};

/* ---- What berth offers ------------------------------------------------------ */

struct berth_call;

/* Services. The table is berth's, valid from open until close returns. */
struct berth_services {
	size_t size;

	/* Generated identifier: prefix, the readable part of value, a digest of value.
	 * buffer: the caller's, BERTH_ID_MAX bytes hold every result. Returns the
	 * identifier in buffer; absent if value is not UTF-8 or the buffer too small.
	 * Equal arguments give equal results, in every version. [any thread] */
	struct berth_text (*generated_id)(const struct berth_services *services, struct berth_text prefix,
					  struct berth_text value, char *buffer, size_t size);

	/* Display hint: the first 80 code points of value without control characters,
	 * slashes and backslashes. buffer: the caller's, BERTH_HINT_MAX bytes hold every
	 * result. Returns the hint in buffer, perhaps empty; absent if value is not
	 * UTF-8 or the buffer too small. [any thread] */
	struct berth_text (*display_hint)(const struct berth_services *services, struct berth_text value,
					  char *buffer, size_t size);

	/* Writes one line, printf-like, into berth's log with the name of the instance.
	 * level: BERTH_LOG_*. Long lines are cut. [any thread] */
	void (*log)(const struct berth_services *services, int level, const char *format, ...)
#ifdef __GNUC__
		__attribute__((format(printf, 3, 4)))
#endif
		;

	/* Nanoseconds since 1970, UTC. [any thread] */
	uint64_t (*wall_ns)(const struct berth_services *services);

	/* Nanoseconds of a clock that never steps; that of deadlines. [any thread] */
	uint64_t (*monotonic_ns)(const struct berth_services *services);
};

/* Where results go. All but fail and cancelled return 0: go on, or 1: no more is
 * wanted, return from the operation. An item that is refused (it breaks a limit or
 * lacks what is required) is dropped and still returns 0. A push never blocks on a
 * peer and never calls into the adapter: it may be made under the adapter's locks. */
struct berth_sink {
	size_t size;

	/* Results. What each borrows, it borrows until it returns. [in call] */
	int (*runtime)(struct berth_call *call, const struct berth_runtime *runtime);
	int (*host)(struct berth_call *call, const struct berth_host *host);
	int (*worker)(struct berth_call *call, const struct berth_worker *worker);
	int (*answer)(struct berth_call *call, const struct berth_answer *answer);
	int (*evidence)(struct berth_call *call, const struct berth_evidence *evidence);
	int (*transcript_item)(struct berth_call *call, const struct berth_transcript_item *item);
	int (*connect_point)(struct berth_call *call, const struct berth_connect_point *point);

	/* A diagnostic of the answer; those of an item hang on the item. [in call] */
	int (*diagnostic)(struct berth_call *call, const struct berth_diagnostic *diagnostic);

	/* Keeps the reason of a failure, printf-like, and returns error, so that
	 * "return sink->fail(call, -EIO, ...)" ends the operation. The text goes into
	 * the log and into the inventory of adapters, never into an answer. Given by an
	 * open that succeeds, it says why its runtime cannot serve, and what to do: berth
	 * check shows it (before 1.1 nothing did). [in call] */
	int (*fail)(struct berth_call *call, int error, const char *format, ...)
#ifdef __GNUC__
		__attribute__((format(printf, 3, 4)))
#endif
		;

	/* 1 once nobody waits for the answer any more, else 0. [in call] */
	int (*cancelled)(struct berth_call *call);

	/* A result, as those above. Since 1.1; it is there wherever read_events is called.
	 * [in call] */
	int (*event)(struct berth_call *call, const struct berth_event *event);
};

/* One call. It is berth's; the adapter reads it and hands it to the sink. The
 * services may be kept until close returns. */
struct berth_call {
	size_t size;
	const struct berth_services *services;
	const struct berth_sink *sink;
	uint64_t deadline_ns; /* of services->monotonic_ns; 0: none */
};

/* ---- What an adapter is ------------------------------------------------------ */

/* The operations. open is required. NULL elsewhere: berth answers for it; runtime
 * with what open pushed, worker by walking list_workers, the lists with nothing,
 * the others with the registry's defaults, once it knows that the worker exists. */
struct berth_adapter {
	size_t size;

	/* Checks the options, makes an instance, pushes its runtime. Does not wait
	 * for a network: what cannot be reached opens and is presented as unavailable.
	 * *instance: the adapter's, never looked into; untouched on failure. Returns 0,
	 * or a negative errno with the reason given to fail. [set-up] */
	int (*open)(void **instance, struct berth_call *call, const struct berth_open_request *request);

	/* Ends the instance. No call of it is running or will be made. [set-up] */
	void (*close)(void *instance);

	/* Pushes one runtime. [open] */
	int (*runtime)(void *instance, struct berth_call *call, const struct berth_list_request *request);

	/* Pushes hosts, at most limit, always in the same order. [open] */
	int (*list_hosts)(void *instance, struct berth_call *call, const struct berth_list_request *request);

	/* Pushes workers, at most limit, always in the same order. [open] */
	int (*list_workers)(void *instance, struct berth_call *call, const struct berth_list_request *request);

	/* Pushes the one worker of that id, as list_workers would; -ENOENT. [open] */
	int (*worker)(void *instance, struct berth_call *call, const struct berth_worker_request *request);

	/* Pushes an answer; accepted: the worker, and evidence in order. [open] */
	int (*spawn_worker)(void *instance, struct berth_call *call, const struct berth_spawn_request *request);

	/* Pushes an answer; -ENOENT. [open] */
	int (*stop_worker)(void *instance, struct berth_call *call, const struct berth_stop_request *request);

	/* Pushes an answer; -ENOENT. Accepted means: kept, in order. [open] */
	int (*send_input)(void *instance, struct berth_call *call, const struct berth_input_request *request);

	/* Pushes an answer, then at most limit items from start; -ENOENT. [open] */
	int (*transcript)(void *instance, struct berth_call *call, const struct berth_transcript_request *request);

	/* Pushes the points through which the worker can be reached; -ENOENT. [open] */
	int (*connect_points)(void *instance, struct berth_call *call, const struct berth_worker_request *request);

	/* Pushes an answer, then at most limit events that follow the cursor, in the order of
	 * their ids. Rejected: the cursor is none of this runtime's. Is asked again and again
	 * by those who wait for events, so that nothing new costs little. Since 1.1. [open] */
	int (*read_events)(void *instance, struct berth_call *call, const struct berth_events_request *request);
};

/* Returned by an operation that leaves the answer to the registry; nothing must
 * have been pushed. */
#define BERTH_DEFAULT 2

/* What the registration function is given; berth's, valid while it runs. */
struct berth_registrar {
	size_t size;

	/* Enters the adapter. Exactly once. Returns 0 or a negative errno, which the
	 * registration function returns in turn. [set-up] */
	int (*add)(const struct berth_registrar *registrar, const struct berth_adapter *adapter);
};

/* ---- The stamp: what berth reads before any code of the plugin runs ---------- */

/* Threading. A weaker one is always safe; a value that berth does not know counts
 * as the first. */
#define BERTH_THREADS_ONE 0      /* one call at a time for the whole adapter */
#define BERTH_THREADS_INSTANCE 1 /* one call at a time for each instance */
#define BERTH_THREADS_ANY 2      /* any number of calls at once */

/* Declares one option. All arguments are string literals. name: [a-z0-9_]; type:
 * text, count (64 bits, unsigned), flag (true or false), path, secret or json;
 * fallback: the default as text, "" for none; help: one line. Several are written
 * one after the other, without commas. */
#define BERTH_OPTION(name, type, fallback, help) name "\0" type "\0" fallback "\0" help "\0"
#define BERTH_NO_OPTIONS ""

#define BERTH_STAMP_FORMAT 1
#define BERTH_STAMP_TYPE 1
#define BERTH_STAMP_NAME "berth"
#define BERTH_STAMP_SECTION ".note.berth"

#ifdef __cplusplus
#define BERTH_STATIC_ASSERT_ static_assert
#else
#define BERTH_STATIC_ASSERT_ _Static_assert
#endif

/* Makes a plugin of an ops table: its stamp and its registration function, the one
 * symbol that the plugin exports. Once a plugin, at file scope.
 *   name     the id with every "-" written as "_"
 *   id       string literal, [a-z0-9-], at most 64; the plugin's file is id.so
 *   version  string literal, the adapter's own version
 *   threads  BERTH_THREADS_*
 *   options  BERTH_OPTION(...) BERTH_OPTION(...), or BERTH_NO_OPTIONS
 *   adapter  const struct berth_adapter *
 * The stamp is an ELF note. Its descriptor holds, in the machine's byte order, the
 * members below from format on; text is the id, the version, then four strings an
 * option, then an empty string, each with its NUL. Readers ignore what follows. */
#define BERTH_ADAPTER(name, id, version, threads, options, adapter)                                   \
	BERTH_STATIC_ASSERT_(sizeof(#name) == sizeof(id), "the name is the id with - written as _");  \
	BERTH_STATIC_ASSERT_(sizeof(id) > 1 && sizeof(id) <= 65, "an id has 1 to 64 characters");     \
	static const struct {                                                                         \
		uint32_t namesz, descsz, type;                                                        \
		char owner[8];                                                                        \
		struct {                                                                              \
			uint16_t format, major, needed, minor;                                        \
			uint32_t threading, flags;                                                    \
			char text[(sizeof(id "\0" version "\0" options) + 3) / 4 * 4];                \
		} desc;                                                                               \
	} name##_berth_stamp __attribute__((section(BERTH_STAMP_SECTION), used, aligned(4))) = {      \
		sizeof(BERTH_STAMP_NAME),                                                             \
		sizeof(name##_berth_stamp.desc),                                                      \
		BERTH_STAMP_TYPE,                                                                     \
		BERTH_STAMP_NAME,                                                                     \
		{ BERTH_STAMP_FORMAT, BERTH_ABI_MAJOR, BERTH_ABI_NEEDED, BERTH_ABI_MINOR, threads, 0, \
		  id "\0" version "\0" options },                                                     \
	};                                                                                            \
	BERTH_EXPORT_ int name##_LTX_berth_register(const struct berth_registrar *registrar);         \
	BERTH_EXPORT_ int name##_LTX_berth_register(const struct berth_registrar *registrar)          \
	{                                                                                             \
		return registrar->add(registrar, adapter);                                            \
	}                                                                                             \
	BERTH_STATIC_ASSERT_(BERTH_ABI_NEEDED <= BERTH_ABI_MINOR, "this header is older than needed")

#ifdef __cplusplus
#define BERTH_EXPORT_ extern "C" __attribute__((visibility("default")))
#else
#define BERTH_EXPORT_ __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
}

/* ---- Adapters in C++, from C++11 on ------------------------------------------- */

/* An exception that leaves an operation ends the process: berth is C. Therefore an ops
 * table in C++ has BERTH_CONTAINED(function) in the place of each function that may
 * throw. It is a function of the same type, which calls the one that is named, and of
 * what that throws makes a failed call:
 *   std::bad_alloc        fail(call, -ENOMEM, "out of memory")
 *   any std::exception    fail(call, -EIO, "%s", what())
 *   anything else         fail(call, -EIO, "an exception that is no std::exception")
 * What close throws is dropped, since it has no call that could fail. function names a
 * function or a static member function; in a thread that the adapter starts, nothing is
 * contained. Where exceptions are off, it is the function itself. */
#if defined __cpp_exceptions || defined __EXCEPTIONS
/* This header may stand within extern "C", where templates may not. */
extern "C++" {
#include <exception>
#include <new>

template <typename Instance, typename Request> struct __attribute__((visibility("hidden"))) berth_contained_ {
	typedef int operation(Instance instance, struct berth_call *call, const Request *request);

	template <operation *function>
	static int run(Instance instance, struct berth_call *call, const Request *request)
	{
		/* Asking allocates what a thread needs for its first exception: without memory
		 * when that is thrown, the C library would end the process. volatile: or else
		 * nobody asks. */
#if __cplusplus >= 201703L
		volatile int asked = std::uncaught_exceptions();
#else
		volatile int asked = std::uncaught_exception();
#endif

		(void)asked;
		try {
			return function(instance, call, request);
		} catch (const std::bad_alloc &) {
			return call->sink->fail(call, -ENOMEM, "out of memory");
		} catch (const std::exception &exception) {
			return call->sink->fail(call, -EIO, "%s", exception.what());
		} catch (...) {
			return call->sink->fail(call, -EIO, "an exception that is no std::exception");
		}
	}
};

struct __attribute__((visibility("hidden"))) berth_contained_close_ {
	template <void (*function)(void *instance)> static void run(void *instance)
	{
		try {
			function(instance);
		} catch (...) {
		}
	}
};

/* Never called: its result says which of both a function needs. */
template <typename Instance, typename Request>
berth_contained_<Instance, Request> berth_contain_(int (*)(Instance, struct berth_call *, const Request *));
berth_contained_close_ berth_contain_(void (*)(void *));
}

#define BERTH_CONTAINED(function) (decltype(berth_contain_(&function))::template run<&function>)
#else
#define BERTH_CONTAINED(function) (&function)
#endif
#endif

#endif
