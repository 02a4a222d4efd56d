#!/bin/sh
# SPDX-License-Identifier: MIT
# The tests of adapters and of the boundary once more, with every instance in a process of
# its own: there is no difference that they could see.
# In the environment: BERTH.
set -u
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"

: "${BERTH:?}"
BERTH_TEST_ISOLATED=1 BERTH_FIXTURE_FILE=$scratch/violation
export BERTH_TEST_ISOLATED BERTH_FIXTURE_FILE
log=$scratch/log

# Not here: embedded_faults and cxx reach into the process that they are in, and
# embedded_retention is a host of its own.
for name in contract_batch contract_embedded contract_registry contract_requests embedded_events embedded_property \
	embedded_store local_pod local_pod_cache local_pod_files local_pod_ids paging seed abi_frozen boundary misbehaving; do
	if "tests/$name" >"$log" 2>&1; then
		echo "ok - $name, isolated: $(grep -c '       OK ' "$log") tests"
	else
		echo "not ok - $name, isolated"
		grep -v '^berth: ' "$log" | grep -B 1 -A 3 'ERROR' | sed 's/^/# /'
		: >"$scratch/failed"
	fi
done
