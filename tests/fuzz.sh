#!/bin/sh
# SPDX-License-Identifier: MIT
# Gives each fuzz target the inputs that are kept of it.
set -u
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
: "${srcdir:?}" "${FUZZ_TARGETS:?}"

for target in $FUZZ_TARGETS; do
	name=${target##*/}
	set -- "$srcdir/tests/fuzz/corpus/$name"/*
	[ -e "$1" ] && TMPDIR=$scratch "$target" "$@" >"$scratch/log" 2>&1
	check $? "$name: $# inputs"
done
[ -z "$(find "$scratch" -mindepth 1 ! -name log ! -name failed)" ]
check $? "nothing is left behind"
