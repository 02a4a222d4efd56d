#!/bin/sh
# SPDX-License-Identifier: MIT
# Static analysis of the host and the adapters: analyze.sh FLAG..., which are what the sources are compiled with.
# What is found is an error. A suppression stands here, in .clang-tidy or beside what it is for, with its reason.
# In the environment: srcdir; ANALYZERS, those of gcc, tidy, cppcheck and shellcheck that are to look; ONLY, a
# part of the names of the sources to look at. In the build tree, once it is built.
# The functions are called by their names.
# shellcheck disable=SC2317
set -u
: "${srcdir:?}"

scratch=$(mktemp -d "${TMPDIR:-/tmp}/berth-analyze-XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
jobs=$(nproc 2>/dev/null || echo 1)
failed=0

sources() {
	find "$srcdir/core" "$srcdir/plugins" -name '*.c' ! -path '*/template/*' ! -name remote_left_out.c | grep -F -e "${ONLY-}" | sort
}

# each COMMAND...: once for each source, which is its last argument.
each() {
	sources | xargs -P "$jobs" -n 1 "$@"
}

# Of version 12, the analyzer takes what is stored through a pointer to a struct for lost, and two
# elements of an array for one: leaks and what is freed twice are for sanitizers and valgrind.
analyze_gcc() {
	each gcc "$@" -Werror -fanalyzer -Wno-analyzer-malloc-leak -Wno-analyzer-double-free -c -o /dev/null
}

# The checks are in .clang-tidy; the analyzer of clang is among them. By default it looks into five calls
# from one another, and reading JSON goes deeper: it takes outputs for unset there.
analyze_tidy() {
	sources | xargs -P "$jobs" -I {} clang-tidy --quiet --warnings-as-errors='*' {} -- "$@" \
		-Xclang -analyzer-inline-max-stack-depth=16 2>"$scratch/tidy"
}

# It sees no header of the system: so it is told what is a loop, and for which machine this is. It
# does not know __attribute__((cleanup)): leaks are for sanitizers and valgrind.
analyze_cppcheck() {
	cat >"$scratch/known.h" <<-'END'
		#define cJSON_ArrayForEach(item, list) for (item = list ? list->child : NULL; item; item = item->next)
		#define __x86_64__ 1
	END
	sources | xargs cppcheck --quiet --std=c11 -j "$jobs" --error-exitcode=1 --inline-suppr \
		--enable=warning,performance,portability --suppress=memleak --suppress=resourceLeak \
		--include="$scratch/known.h" -I "$srcdir/include" -I "$srcdir" -I . -DHAVE_CONFIG_H
}

analyze_shellcheck() {
	(cd "$srcdir" && shellcheck -x bootstrap .ci/run core/kit/new-adapter.in plugins/incus/supervisor.sh tests/*.sh \
		tests/abi/build tests/fuzz/run)
}

set -- -std=gnu11 -pthread -O2 "$@"
for analyzer in ${ANALYZERS:-gcc tidy cppcheck shellcheck}; do
	command=$analyzer
	[ "$analyzer" != tidy ] || command=clang-tidy
	if ! command -v "$command" >/dev/null; then
		echo "ok - $analyzer # SKIP there is no $command"
	elif "analyze_$analyzer" "$@" >"$scratch/$analyzer.out" 2>&1 && ! [ -s "$scratch/$analyzer.out" ]; then
		echo "ok - $analyzer finds nothing"
	else
		cat "$scratch/$analyzer.out"
		echo "not ok - $analyzer finds nothing"
		failed=1
	fi
done
exit $failed
