#!/bin/sh
# SPDX-License-Identifier: MIT
# Counts the cases in the logs of the build trees that are given: those of the cmocka
# programs and the lines "ok" and "not ok" of the scripts. Prints one line, behind what is
# said of each case that failed, and fails where one did, a test program ended badly, or
# nothing ran.
set -u

# In a few lines each: it is often the end of a long run that is kept.
for tree in "$@"; do
	find "$tree" -maxdepth 2 -name '*.log' ! -name config.log ! -name test-suite.log -exec grep -lE \
		'^not ok |^\[  (FAILED|ERROR) ' {} +
	find "$tree" -maxdepth 2 -name '*.trs' -exec grep -l '^:test-result: \(FAIL\|ERROR\|XPASS\)' {} + |
		sed 's/\.trs$/.log/'
done | sort -u | while read -r log; do
	echo "---- $log"
	{ grep -E -A 3 '^not ok |^\[  ERROR ' "$log" | grep -v '^ok ' || tail -n 4 "$log"; } | cut -c 1-240 | head -n 12
done

for tree in "$@"; do
	find "$tree" -maxdepth 2 -name '*.log' ! -name config.log ! -name test-suite.log -exec cat {} +
	# A program that died has no line for the case that killed it.
	find "$tree" -maxdepth 2 -name '*.trs' -exec grep -l '^:test-result: \(FAIL\|ERROR\|XPASS\)' {} + |
		sed 's/^/program failed: /'
done | awk '
	/^\[  PASSED  \] [0-9]+ test/ { passed += $4 }
	/^\[  SKIPPED \] [0-9]+ test/ { skipped += $4 }
	/^\[  FAILED  \] [0-9]+ test/ { failed += $4 }
	/^ok / { if (/# SKIP/) skipped++; else passed++ }
	/^not ok / { failed++ }
	/^program failed: / { programs++ }
	END {
		if (failed < programs)
			failed = programs
		printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
		exit failed > 0 || passed == 0
	}'
