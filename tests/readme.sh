#!/bin/sh
# SPDX-License-Identifier: MIT
# The adapter in the README is short, builds as the README says, and lists what is there.
set -u
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
: "${srcdir:?}" "${BERTH:?}"


mkdir "$scratch/run"
touch "$scratch/run/harbour.pid" "$scratch/run/lighthouse.pid" "$scratch/run/notes.txt"
# shellcheck disable=SC2016 # the backquotes are those of Markdown
sed -n '/^```c$/,/^```$/p' "$srcdir/README.md" | sed '1d;$d' >"$scratch/pidfiles.c"
lines=$(wc -l <"$scratch/pidfiles.c")
[ "$lines" -gt 20 ] && [ "$lines" -le 60 ]
check $? "the example has at most 60 lines ($lines)"
sed -i "s|\"/run\"|\"$scratch/run\"|" "$scratch/pidfiles.c"
${CC:-cc} -Wall -Wextra -Werror -shared -fPIC -fvisibility=hidden -I "$srcdir/include" \
	-o "$scratch/pidfiles.so" "$scratch/pidfiles.c"
check $? "the example compiles without a warning"
"$BERTH" --adapter-dir "$scratch" --adapters pidfiles workers >"$scratch/out"
check $? "the example is loaded"
[ "$(grep -c 'pid-harbour-\|pid-lighthouse-' "$scratch/out")" = 2 ] && ! grep -q notes "$scratch/out"
check $? "the example lists the PID files and nothing else"
id=$(sed -n 's/.*\(pid-harbour-[0-9a-f]*\).*/\1/p' "$scratch/out")
"$BERTH" --adapter-dir "$scratch" --adapters pidfiles worker pidfiles "$id" | grep -q "^label *harbour$"
check $? "a worker of the example is found by its id"
rm "$scratch/run"/* && rmdir "$scratch/run"
"$BERTH" --adapter-dir "$scratch" --adapters pidfiles --json workers >"$scratch/out" 2>"$scratch/err"
grep -q adapter_failed "$scratch/out" && ! grep -q "$scratch" "$scratch/out" && grep -q "$scratch/run" "$scratch/err"
check $? "a directory that is gone is named in the log and not in the answer"
