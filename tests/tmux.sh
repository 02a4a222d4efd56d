#!/bin/sh
# SPDX-License-Identifier: MIT
# The sessions of a real tmux, with a server of its own, through berth and berth-tmux.
# In the environment: BERTH, BERTH_ADAPTER_DIR, VENDOR_CONF_DIR, srcdir.
set -u
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
: "${srcdir:?}" "${BERTH:?}" "${BERTH_ADAPTER_DIR:?}" "${VENDOR_CONF_DIR:?}"

if ! command -v tmux >/dev/null || [ ! -x /usr/bin/python3 ]; then
	skip "sessions of tmux" "tmux or /usr/bin/python3 is missing"
	exit 0
fi
unset TMUX
LC_ALL=C.UTF-8 BERTH_CONFIG_ROOT=$scratch/root TMUX_TMPDIR=$scratch XDG_STATE_HOME=$scratch/state
export LC_ALL BERTH_CONFIG_ROOT TMUX_TMPDIR XDG_STATE_HOME
finish() {
	tmux kill-server 2>/dev/null
}
mkdir -p "$scratch/root$VENDOR_CONF_DIR"
program=$(cd "$srcdir" && pwd)/plugins/tmux/berth-tmux

cat >"$scratch/root$VENDOR_CONF_DIR/tmux.json" <<END
{
	"adapter": "process", "runtime_id": "tmux",
	"options": {
		"confined": false,
		"environment": { "TMUX_TMPDIR": true, "XDG_STATE_HOME": true },
		"command": ["$program", "coder=printf 'for %s\\\\n' \"\$BERTH_TICKET\"; exec cat", "reviewer=printf '\\\\033[31mred\\\\033[0m\\\\n'"]
	}
}
END

berth() {
	"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --workspace-root "$scratch" --data-dir "" "$@" 2>>"$scratch/log"
}

# until_has TEXT COMMAND...: until what it prints has the text, or a minute has gone.
until_has() {
	text=$1
	shift
	for _ in $(seq 600); do
		"$@" >"$scratch/answer"
		grep -qF -e "$text" "$scratch/answer" && return 0
		sleep 0.1
	done
	cat "$scratch/answer"
	return 1
}

spawn() {
	berth --json spawn tmux "$@" | sed -n 's/.*"worker_id":"\([^"]*\)".*/\1/p'
}

berth workers >/dev/null
check $? "without a server of tmux there are no workers"
# shellcheck disable=SC2016 # nothing of it is to be expanded, here or there
worker=$(spawn --ticket 'T "1" $HOME' --role coder --name 'the | first #{x}')
[ -n "$worker" ]
check $? "a spawn starts a session"
until_has "for T \"1\" \$HOME" berth transcript tmux "$worker"
check $? "it runs the command of its role, with the ticket; the transcript is what it said"
berth --json workers >"$scratch/answer"
grep -qF '"label":"the  first {x}"' "$scratch/answer" && grep -qF '"role":"coder"' "$scratch/answer"
check $? "it is listed, with its role and its name"
tmux has-session -t "=berth-$worker"
check $? "tmux has it"

berth input tmux "$worker" "Ahoy ⚓, '\$HOME' \\n; C-c" >/dev/null
check $? "input is taken"
until_has "Ahoy ⚓, '\$HOME' \\n; C-c" berth transcript tmux "$worker" --start 2
check $? "it is typed into the pane to the letter, and what the command says of it is read"
berth --json transcript tmux "$worker" --limit 1 >"$scratch/answer"
grep -q '"next_start":1,"items":\[{"sequence":1,"role":"worker"' "$scratch/answer"
check $? "a transcript is read in parts"

same=$(printf '%s' '{"intent":{"kind":"ticket_role","ticket_id":"T-2","role":"reviewer"},"request_id":"again","acceptance":{"kind":"run_accepted","expected_segments":0}}')
first=$(spawn --request "$same")
second=$(spawn --request "$same")
[ -n "$first" ] && [ "$first" = "$second" ]
check $? "a request that is repeated has one worker"
until_has '"state":"stopped"' berth --json worker tmux "$first"
check $? "a worker whose command has ended is stopped"
until_has '"content":"red"' berth --json transcript tmux "$first"
check $? "its transcript stays, without colours"
berth input tmux "$first" x >"$scratch/answer"
[ $? = 1 ] && grep -q tmux_session_ended "$scratch/answer"
check $? "it takes no input"

berth spawn tmux --companion >"$scratch/answer"
[ $? = 1 ] && grep -q tmux_no_command "$scratch/answer"
check $? "a role without a command is rejected"

tmux new-session -d -s mine cat
[ "$(berth --json workers | grep -o '"worker_id"' | wc -l)" = 2 ]
check $? "a session without the mark is no worker"
tmux set-option -t mine @berth my-worker
berth worker tmux my-worker >/dev/null
check $? "with it, it is"
berth transcript tmux my-worker >"$scratch/answer"
grep -q tmux_not_recorded "$scratch/answer"
check $? "what it said was not recorded"

for id in "$worker" "$first" my-worker; do
	berth stop tmux "$id" >/dev/null
	check $? "$id is stopped"
done
[ "$(berth --json workers)" = '{"items":[],"diagnostics":[]}' ] && [ -z "$(ls "$scratch/state/berth-tmux")" ]
check $? "nothing is left of them"
berth stop tmux "$worker" >/dev/null
[ $? = 1 ]
check $? "who is gone is unknown"

[ "$(wc -l <"$program")" -le 150 ]
check $? "berth-tmux has no more than 150 lines"
