#!/bin/sh
# SPDX-License-Identifier: MIT
# berth watch: a block for each change, the screen of a terminal, and how it ends.
# shellcheck disable=SC2181 # what a check is about stands on a line of its own
set -u
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
: "${srcdir:?}" "${BERTH:?}" "${BERTH_ADAPTER_DIR:?}"

watching=
# shellcheck disable=SC2317 # the trap reaches it
finish() {
	[ -z "$watching" ] || kill -KILL "$watching" 2>/dev/null
}
unset COLUMNS BERTH_CONNECT BERTH_TOKEN_FILE
out=$scratch/out err=$scratch/err data=$scratch/data

# Waits until a command succeeds; what it waits for is never in doubt, only when.
wait_for() {
	tries=0
	until "$@" 2>/dev/null; do
		tries=$((tries + 1))
		[ $tries -lt 600 ] || return 1
		sleep 0.05
	done
}

record() {
	mkdir -p "$data/pods/$1"
	printf '{"worker_name":"%s","workspace_root":"/srv/harbour"}\n' "$2" >"$scratch/record"
	mv "$scratch/record" "$data/pods/$1/metadata.json"
}

# How often a pattern is in what it has shown is this.
shown() {
	[ "$(grep -c -e "$2" "$out")" -eq "$1" ]
}

# Watches with further options, in the background. What is in $out then is its own: until there is
# something, it may still be the shell that a signal reaches.
watch() {
	rm -f "$out"
	# env gives it SIGINT back, which the shell takes from what runs in the background.
	env --default-signal=INT "$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --adapters local-pod --data-dir "$data" \
		--workspace-root /srv/harbour "$@" watch >"$out" 2>"$err" </dev/null &
	watching=$!
}

# Interrupts it and checks how it ended.
interrupt() {
	kill -INT "$watching"
	wait "$watching"
	status=$?
	watching=
	[ $status -eq 0 ] && [ ! -s "$err" ]
}

record kaya kaya
if ! env --default-signal=INT true 2>/dev/null; then
	skip "berth watch" "env of this system cannot give back a signal"
	exit 0
fi

# ---- Without a terminal ----

"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --adapters local-pod --data-dir "$data" --workspace-root /srv/harbour \
	runtimes >"$scratch/runtimes"
"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --adapters local-pod --data-dir "$data" --workspace-root /srv/harbour \
	workers >"$scratch/workers"
watch
wait_for shown 1 ' kaya$'
check $? "it shows what is there"
sed 1d "$out" >"$scratch/block"
{
	cat "$scratch/runtimes"
	echo
	cat "$scratch/workers"
	echo
} | cmp - "$scratch/block" && head -n 1 "$out" | grep -qx '[0-9-]* [0-9:]*'
check $? "the time, and the two tables"
record luka luka
wait_for shown 1 ' luka$' && shown 2 ' kaya$'
check $? "it shows a worker that came"
record luka "$(printf 'new\\u001b[31mname')"
wait_for shown 1 'new.*name' && ! grep -q "$(printf '\033')" "$out"
check $? "and one with another name, which cannot drive a terminal"
rm -r "$data/pods/luka"
wait_for shown 4 ' kaya$'
check $? "and that it went"
interrupt
check $? "it ends with status 0 when it is interrupted"
shown 4 ' kaya$' && shown 4 '^RUNTIME' && ! grep -q "$(printf '\033')" "$out"
check $? "there is one block for each change, and no control of a terminal"

watch --json --limit 1
wait_for test -s "$out"
"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --adapters local-pod --data-dir "$data" --workspace-root /srv/harbour \
	--json --limit 1 runtimes >"$scratch/runtimes"
"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --adapters local-pod --data-dir "$data" --workspace-root /srv/harbour \
	--json --limit 1 workers >"$scratch/workers"
printf '{"runtimes":%s,"workers":%s}\n' "$(cat "$scratch/runtimes")" "$(cat "$scratch/workers")" | cmp - "$out"
check $? "in JSON it is a line with both answers"
record anna anna
wait_for shown 1 '"label":"anna"' && [ "$(wc -l <"$out")" -eq 2 ]
check $? "and another for a change"
interrupt
check $? "which ends in the same way"
watch --interval 86400
wait_for shown 1 ' anna$' && interrupt
check $? "also in the middle of a long interval"
watch
wait_for test -s "$out"
kill "$watching"
wait "$watching"
[ $? -eq 143 ]
check $? "SIGTERM ends it as it ends others"
watching=

"$BERTH" --connect "$scratch/none" watch >"$out" 2>"$err" </dev/null
[ $? -eq 3 ] && [ ! -s "$out" ] && [ "$(wc -l <"$err")" -eq 1 ]
check $? "where nothing can be asked it does not begin"
"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --adapters local-pod watch >/dev/full 2>"$err" </dev/null
[ $? -eq 3 ] && grep -q 'standard output: No space left' "$err"
check $? "where nothing can be shown it ends"
{
	timeout 60 "$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --adapters local-pod --data-dir "$data" watch --interval 86400 2>"$err"
	echo $? >"$scratch/status"
} | head -n 1 >"$out"
[ "$(cat "$scratch/status")" = 3 ] && grep -q 'standard output: Broken pipe' "$err"
check $? "and where nobody reads any more, at once"

# ---- On a terminal ----

if command -v python3 >/dev/null; then
	python3 "$srcdir/tests/watch_terminal.py" "$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --adapters local-pod \
		--data-dir "$data" --workspace-root /srv/harbour watch || : >"$scratch/failed"
else
	skip "a terminal" "python3 is missing"
fi
