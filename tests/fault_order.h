/* SPDX-License-Identifier: MIT */
/* What fault_library.so is told in the file that $BERTH_FAULT_ORDER names, and what it tells
 * there: the file is shared memory of the one who orders and the program. */
#ifndef BERTH_TESTS_FAULT_ORDER_H
#define BERTH_TESTS_FAULT_ORDER_H

#include <stdatomic.h>
#include <stdint.h>

#include "tests/faults.h"

struct fault_order {
	struct fault fault;	  /* of calls, wherever they go; none if its calls are 0 */
	uint64_t nth_allocation;  /* that fails; 0: none */
	bool all_allocations;	  /* those behind it, too */
	bool own_allocations;	  /* none but those of the program and its adapters is counted */
	int64_t clock_step_s;	  /* from the nth reading of the wall clock on */
	uint64_t nth_reading;
	atomic_ulong n_failed;	  /* how many have failed, once the process has ended by itself */
	atomic_bool ended;	  /* whether it has */
};

#endif
