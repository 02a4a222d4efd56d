/* SPDX-License-Identifier: MIT */
/*
 * The probe stands between the host and the adapter under test: it hands each call on
 * and each result back, and sees what an answer does not show. On demand it makes the
 * adapter's life harder, within what the contract allows a host to do.
 */
#ifndef BERTH_CORE_CONFORMANCE_PROBE_H
#define BERTH_CORE_CONFORMANCE_PROBE_H

#include <berth/adapter.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "core/call.h"

/* The ways in which a call can break the contract; of each the first is kept. */
enum fault {
	FAULT_IDENTIFIER, /* no identifier where there must be one */
	FAULT_MEMBER,     /* another member that the host refuses */
	FAULT_DIAGNOSTIC, /* too many diagnostics, or unfit ones */
	FAULT_LATE,       /* a push after one that returned 1, or beyond the limit */
	FAULT_MISPLACED,  /* a push that does not belong to the operation, or comes too early or twice */
	FAULT_OTHER,      /* another runtime than open has given, or another worker than was asked for */
	FAULT_PROCESS,    /* a call that another process has ended at, not answered, or answered with what is none */
	FAULT_RETURN,     /* a return value that means nothing, a failure without a reason, a result without a push */
	N_FAULTS,
};

/* How requests and calls are lent. */
enum lending {
	LEND_PLAIN,   /* as the host has them */
	LEND_REVOKED, /* in memory that nobody can touch once the operation has returned */
	LEND_TIGHT,   /* each text ends where the memory ends */
	LEND_LATER,   /* as a host of a later minor: longer structs and tables, with values behind ours */
};

struct probe {
	/* Set by the check before calls are made: */
	enum lending lending;
	uint64_t deadline_ns;    /* of each call; 0: none */
	atomic_bool cancelled;   /* what the sink says; true as well behind the deadline */
	bool is_apart;           /* behind the adapter is another process, which is what is looked at */
	bool is_isolated;        /* and it is a plugin */
	bool fail_allocations;   /* see allocations.h; counted in operations alone, not in the host */

	/* Seen; to be read when no call is running: */
	atomic_uint n_faults[N_FAULTS];
	char first[N_FAULTS][256];
	atomic_uint n_calls[N_OPERATIONS];
	_Atomic uint64_t n_pushed;   /* into the sink, refused ones too */
	atomic_int last_returned;    /* by the latest operation that has returned */
};

extern struct probe probe;

/* Makes the ops table of the probe for that of an adapter, with NULL in the same places. */
void probe_enter(const struct berth_adapter *adapter, struct berth_adapter *probed);

/* Forgets what was seen. */
void probe_reset(void);

/* Fails the check if there was a fault of the kind. */
void probe_expect_no(enum fault fault);

#endif
