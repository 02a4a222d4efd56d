#!/bin/sh
# SPDX-License-Identifier: MIT
# Gives each fuzz target the inputs that are kept of it.
set -u
: "${srcdir:?}" "${FUZZ_TARGETS:?}"

scratch=$(mktemp -d "${TMPDIR:-/tmp}/berth-replay-XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
failed=0

for target in $FUZZ_TARGETS; do
	name=${target##*/}
	set -- "$srcdir/tests/fuzz/corpus/$name"/*
	if [ -e "$1" ] && TMPDIR=$scratch "$target" "$@" >"$scratch/log" 2>&1; then
		printf 'ok - %s: %d inputs\n' "$name" $#
	else
		tail -n 40 "$scratch/log"
		printf 'not ok - %s: %d inputs\n' "$name" $#
		failed=1
	fi
done
[ -z "$(find "$scratch" -mindepth 1 ! -name log)" ] || { echo 'not ok - nothing is left behind'; failed=1; }
exit $failed
