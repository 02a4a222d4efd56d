#!/bin/sh
# SPDX-License-Identifier: MIT
# Counts the instructions of a fixed table of work, the rows of the benchmark and a start of the
# program, and holds them against tests/instructions.txt: a count may grow by a tenth. One that
# grows by more needs a line in NEWS that says why, and counts as recorded then:
#
#   instructions: ROW: COUNT, because REASON
#
# Counts do not depend on how busy a machine is, but on compiler and libraries: elsewhere than
# where they were recorded, this is skipped. tests/instructions.sh --record (make instructions)
# writes the file anew.
set -u
: "${srcdir:?}" "${BERTH:?}" "${BERTH_ADAPTER_DIR:?}"

recorded=$srcdir/tests/instructions.txt
scratch=$(mktemp -d "${TMPDIR:-/tmp}/berth-instructions-XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT

# So that C library and libcrypto take the same functions on every processor; what we take is in what --built prints.
export GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX2,-AVX,-ERMS,-FSRM,-BMI2,-MOVBE,-SSE4_2,-SSE4_1,-SSSE3
export OPENSSL_ia32cap=0:0 TMPDIR="$scratch"

skip() {
	echo "instructions: $1"
	exit 77
}

command -v valgrind >/dev/null || skip "valgrind is missing"
built=$(tests/bench --built) || exit 1
case $built in
*" without callgrind.h"*) skip "the headers of valgrind were missing when this was built" ;;
esac
if [ "${1-}" != --record ] && [ "$built" != "$(sed -n 's/^built with //p' "$recorded")" ]; then
	skip "they were recorded with $(sed -n 's/^built with //p' "$recorded"), and this is $built"
fi

callgrind() {
	valgrind -q --tool=callgrind --callgrind-out-file="$scratch/out" "$@" 2>"$scratch/errors" && return
	sed 's/^/callgrind: /' "$scratch/errors" >&2
	exit 1
}
# Adds a line COUNT ROW: the instructions that a profile sums up, divided by how often it was done.
add() {
	echo "$(($(sed -n 's/^summary: //p' "$1") / $2)) $3" >>"$scratch/found"
}

callgrind "$BERTH" --json --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir "" --workspace-root /workspace/project \
	runtimes >/dev/null
add "$scratch/out" 1 "start to first answer"
callgrind tests/bench --counted --program "$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --floor none >"$scratch/rows"
part=0
while read -r times row; do
	part=$((part + 1))
	add "$scratch/out.$part" "$times" "$row"
done <"$scratch/rows"
[ "$part" -gt 0 ] || exit 1

if [ "${1-}" = --record ]; then
	{
		sed -n '/^#/p' "$recorded"
		echo "built with $built"
		cat "$scratch/found"
	} >"$scratch/new" && cp "$scratch/new" "$recorded"
	exit
fi

# The rows in order, then those that are recorded but were not found.
awk -v news="$srcdir/NEWS" '
	BEGIN {
		while ((getline line <news) > 0)
			if (match(line, /instructions: .*: [0-9]+, because ./)) {
				row = line
				sub(/.*instructions: /, "", row)
				count = row
				sub(/: [0-9]+, because .*/, "", row)
				sub(/.*: /, "", count)
				explained[row] = count + 0
			}
	}
	/^#/ || /^built with/ { next }
	{
		count = $1
		row = $0
		sub(/^[0-9]+ /, "", row)
	}
	FILENAME ~ /instructions\.txt$/ { recorded[row] = count; next }
	{
		limit = recorded[row] > explained[row] ? recorded[row] : explained[row]
		seen[row] = 1
		if (!(row in recorded)) {
			printf "not ok - %s: %d instructions, and none are recorded: make instructions\n", row, count
			failed = 1
		} else if (count > limit * 1.1) {
			printf "not ok - %s: %d instructions, and %d are recorded: make them fewer, or give the reason" \
				" in NEWS: instructions: %s: %d, because ...\n", row, count, limit, row, count
			failed = 1
		} else {
			printf "ok - %s: %d instructions, %d recorded%s\n", row, count, limit,
				count < recorded[row] * 0.9 ? "; fewer by over a tenth: make instructions" : ""
		}
	}
	END {
		for (row in recorded)
			if (!(row in seen)) {
				printf "not ok - %s: recorded, and not done any more\n", row
				failed = 1
			}
		exit failed
	}' "$recorded" "$scratch/found"
