#!/bin/sh
# SPDX-License-Identifier: MIT
# berth conformance --command: the programs that are shown as adapters pass, and one with a
# single mistake fails the check that is for it.
# In the environment: BERTH, BERTH_ADAPTER_DIR, srcdir; BERTH_TEST_ALL: tmux with every check.
set -u
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
: "${BERTH:?}" "${BERTH_ADAPTER_DIR:?}" "${srcdir:=.}"

unset TMUX
LC_ALL=C.UTF-8 TMUX_TMPDIR=$scratch XDG_STATE_HOME=$scratch/state
export LC_ALL TMUX_TMPDIR XDG_STATE_HOME
finish() {
	tmux kill-server 2>/dev/null
}
source=$(cd "$srcdir" && pwd)
out=$scratch/out err=$scratch/err

conformance() {
	"$BERTH" conformance --adapter-dir "$BERTH_ADAPTER_DIR" "$@" >"$out" 2>"$err" </dev/null
	status=$?
}

# The names of checks with the given beginning of their lines.
named() {
	sed -n "s/^$1 [0-9]* - \\([a-z_/]*\\).*/\\1/p" "$out"
}

# passes NAME: what was run last.
passes() {
	name=$1
	[ "$status" = 0 ] && [ ! -s "$err" ] && [ -z "$(named 'not ok')" ]
	check $? "$name passes: $(sed -n 's/^# \([0-9]* passed, .*\)/\1/p' "$out")"
	grep -q "^ok [0-9]* - lent/bounds # SKIP it is for plugins; a program has a process of its own\$" "$out" &&
		grep -q "^ok [0-9]* - events/order # SKIP the runtime does not declare can_stream_events\$" "$out" &&
		! grep '^ok' "$out" | grep -v '#' | grep -qv 'ok [0-9]* - [a-z_]*/[a-z_]*$'
	check $? "$name: what was skipped says why"
}

# One error line that has the text, and the status.
refused() {
	[ "$status" = "$1" ] && [ "$(wc -l <"$err")" = 1 ] && grep -qF -e "$2" "$err"
}

# ---- The command line ----

conformance --command
refused 2 "--command: a program is expected"
check $? "a command without a program is refused"
conformance embedded.so --command cat
refused 2 "one adapter is expected"
check $? "and so is one beside a plugin"
conformance --sanitizer address --command cat
refused 2 "--sanitizer"
check $? "and a sanitizer"
conformance --options '{"command":["cat"]}' --command cat
refused 2 "command is what --command says"
check $? "and a second command"
conformance --command no-such-program-anywhere
[ "$status" = 1 ] && [ "$(named 'not ok')" = base/open ] && grep -q 'in no directory of PATH' "$out" && grep -q '^Bail out!' "$out"
check $? "a program that is not there fails base/open, and nothing else is run"

# ---- Programs that are right ----

(cd "$source/tests" && conformance --command sample/adapter.sh && cp "$out" "$scratch/shell" && exit "$status")
status=$?
passes "a program in the shell"

if command -v python3 >/dev/null; then
	python=$(command -v python3)
	conformance --junit "$scratch/junit.xml" --command -- "$python" "$source/tests/sample/adapter.py"
	passes "a program in Python"
	grep -cE '^ok [0-9]* - (spawn/distinct|input/sequence|transcript/kept|threads/spawn|lookup/agrees|deadlines/expired)$' \
		"$out" | grep -qx 6
	check $? "the checks of what it has were run"
	grep -q "<testsuite name=\"${python##*/}\"" "$scratch/junit.xml"
	check $? "the results have the name of the program"
else
	skip "a program in Python" "there is no python3"
fi

if command -v tmux >/dev/null && [ -x /usr/bin/python3 ]; then
	for profile in ${BERTH_TEST_ALL:+base hosts limits capabilities threads close deadlines} workers lookup spawn input \
		transcript stop refusals; do
		conformance --check "$profile" --options '{"confined":false,"environment":{"TMUX_TMPDIR":true,"XDG_STATE_HOME":true}}' \
			--command "$source/plugins/tmux/berth-tmux" "coder=exec cat"
		[ "$status" = 0 ] && named ok | grep -q "^$profile/"
		check $? "berth-tmux with a real tmux, $profile: $(sed -n 's/^# \([0-9]* passed, .*\)/\1/p' "$out")"
	done
else
	skip "berth-tmux" "tmux or /usr/bin/python3 is missing"
fi

# ---- What is spawned ----

# These workers outlive the program: the file has a line for each one, and for each that is stopped.
if [ -n "${python-}" ]; then
	sed -e 's/"can_spawn_worker",/& "can_stop_worker",/' -e 's/f"echo-{len(said)}"/f"echo-{os.getpid()}-{len(said)}"/' \
		-e 's/^import json/&\nimport os/' -e "s|^    said\[name\] = \[\]|&\n    print(name, 1, file=open('$scratch/workers', 'a'))|" \
		-e "s|^    if op not in|    if op == 'stop_worker':\n        print(request['request']['worker_id'], 0, file=open('$scratch/workers', 'a'))\n        return {'state': 'accepted'}\n&|" \
		"$source/tests/sample/adapter.py" >"$scratch/lasting.py"
	sed 's/"transcript_sequence": .*/"transcript_sequence": 1}/' "$scratch/lasting.py" >"$scratch/failing.py"
	sed 's/^    told = /    os._exit(3)\n&/' "$scratch/lasting.py" >"$scratch/dying.py"

	# stops_all PROGRAM PROFILE VERDICT
	stops_all() {
		: >"$scratch/workers"
		conformance --check "$2" --command "$python" "$scratch/$1.py"
		[ -n "$(named "$3")" ] && grep -q ' 1$' "$scratch/workers" &&
			awk '{ lives[$1] = $2 } END { for (name in lives) n += lives[name]; exit n > 0 }' "$scratch/workers"
		check $? "all that $2 has spawned is stopped, $3: $(grep -c ' 1$' "$scratch/workers")"
	}
	stops_all lasting input ok
	stops_all lasting threads ok
	stops_all lasting close ok
	stops_all failing input/sequence 'not ok'
	# It is skipped.
	stops_all dying input/sequence ok
fi

# ---- One mistake each ----

# wrong CHECK TEXT SCRIPT [OPTIONS]: with that change of sed the program fails this check, with that
# text, and no other of its profile; where OPTIONS are given, it alone is run.
wrong() {
	sed "$3" "$source/tests/sample/adapter.py" >"$scratch/wrong.py"
	only=${1%/*}
	[ $# = 3 ] || only=$1
	conformance --check "$only" --options "${4-{\}}" --command "$python" "$scratch/wrong.py"
	! cmp -s "$scratch/wrong.py" "$source/tests/sample/adapter.py" && [ "$status" = 1 ] &&
		[ "$(named 'not ok')" = "$1" ] && grep -qF -e "$2" "$out"
	check $? "$1 fails: $2"
}

if [ -n "${python-}" ]; then
	wrong base/open 'something else than protocol 1' 's/"protocol": 1/"protocol": 2/'
	wrong base/open 'it begins with "debug"' 's/^for line in sys.stdin:/print("debug", flush=True)\n&/'
	wrong base/open 'the process ended with status 1' 's/^import json/import no_such_module/'
	wrong limits/identifiers 'what should be an identifier is none' 's/f"echo-{len(said)}"/f"echo {len(said)}"/'
	wrong limits/members 'label is missing' 's/"label": worker_id, //'
	wrong lookup/agrees 'the process ended with status 3' 's/^    if op == "worker":/&\n        sys.exit(3)/'
	wrong lookup/unknown 'echo-' 's/if worker_id not in said:/if not worker_id.startswith("echo-"):/'
	wrong capabilities/undeclared 'does not declare can_spawn_worker' 's/"can_spawn_worker", //'
	wrong spawn/distinct 'echo-0' 's/f"echo-{len(said)}"/"echo-0"/'
	wrong spawn/answer 'evidence' 's/, "acceptance_evidence": .*/}/'
	wrong input/sequence 'sequence' 's/"transcript_sequence": .*/"transcript_sequence": 1}/'
	wrong transcript/pages 'by 1 items' 's/, start + 1)\]/, 1)]/'
	wrong workers/unique 'twice' 's/worker(name) for name in said\]/worker(name) for name in [*said, *said]]/'
	wrong threads/calls 'an id that was not asked' 's/{"id": asked\["id"\]}/{"id": asked["id"] % 50}/' \
		'{"call_timeout_ms":30000}'
	wrong connect_points/answer 'an array is expected' 's/^    if op not in/    if op == "connect_points":\n        return {"items": 7}\n&/'
	wrong workers/offered 'did not answer within 400 ms' 's/^    if op == "list_workers":/&\n        import time; time.sleep(60)/' \
		'{"call_timeout_ms":400,"stop_timeout_ms":100}'
fi
