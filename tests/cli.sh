#!/bin/sh
# SPDX-License-Identifier: MIT
# The program as its users meet it: commands, options, exit statuses, tables, batch.
# shellcheck disable=SC2181 # what a check is about stands on a line of its own
set -u
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
: "${BERTH:?}" "${BERTH_ADAPTER_DIR:?}"

unset COLUMNS XDG_DATA_HOME
HOME=$scratch/home
export HOME
mkdir -p "$HOME" "$scratch/project"
cd "$scratch/project" || exit 1
# Where the directory of scratch files has links above it, the program sees through them.
root=$(pwd -P)
out=$scratch/out err=$scratch/err data=$scratch/data

# Whether the program needs no plugins for the adapters of this project.
linked_in() {
	"$BERTH" --adapter-dir "$scratch/nowhere" --json adapters 2>/dev/null | grep -q '"state":"active"'
}

# Runs the program with the options that most cases want, into $out, $err and $status.
berth() {
	"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir "$data" "$@" >"$out" 2>"$err" </dev/null
	status=$?
}

# The same, and no --data-dir.
bare() {
	"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" "$@" >"$out" 2>"$err" </dev/null
	status=$?
}

quiet() {
	[ ! -s "$err" ]
}

one_error() {
	[ ! -s "$out" ] && [ "$(wc -l <"$err")" -eq 1 ] && grep -q '^berth: .' "$err"
}

refused() {
	one_error && [ "$status" -eq "$1" ]
}

# The only line of $out, which it must be.
json_is() {
	quiet && [ "$(wc -l <"$out")" -eq 1 ] && printf '%s\n' "$1" | cmp -s - "$out"
}

has() {
	grep -qF -e "$1" "$out"
}

# generated PREFIX BODY VALUE
generated() {
	printf '%s%s-%s' "$1" "$2" "$(printf '%s' "$3" | sha256sum | cut -c 1-16)"
}

# record DIR NAME LABEL ROLE
record() {
	mkdir -p "$1/pods/$2"
	printf '{"worker_name":"%s","workspace_root":"%s","resolved_manifest_snapshot":{"role":"%s"}}\n' \
		"$3" "$root" "$4" >"$1/pods/$2/metadata.json"
}

local=local-worker-runtime embedded=embedded-worker-runtime remote=remote-worker-runtime
record "$data" coder-1 coder coder
record "$data" reviewer-2 "a reviewer whose label goes on and on, as labels will where nobody stops them" reviewer
mkdir "$scratch/other"
coder=$(generated local-worker- coder-1 coder-1)
reviewer=$(generated local-worker- reviewer-2 reviewer-2)
local_host=$(generated local- local-project local:project)
embedded_host=$(generated embedded- local-project local:project)

# ---- Wrong usage ----

for command in serve 'adapters inspect x.so'; do
	# shellcheck disable=SC2086 # words are meant
	berth --connect http://localhost:1 $command
	refused 2 && grep -q "^berth: --connect: does not go with ${command% x.so}, " "$err"
	check $? "--connect does not go with $command"
done

sixty_five=aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggggg
while IFS= read -r arguments; do
	# shellcheck disable=SC2086 # words are meant
	berth $arguments
	refused 2
	check $? "wrong usage: $arguments"
done <<END

nosuch
runtimes runtimes
--nosuch runtimes
-x runtimes
runtimes --json=yes
runtimes extra
hosts extra
workers extra
adapters extra
batch extra
worker
worker $local
worker $local $coder extra
spawn
spawn $local extra
stop $local
input $local
input $local $coder
input $local $coder text extra
transcript $local
connect-points $local
runtimes --limit
runtimes --limit=
runtimes --limit -1
runtimes --limit +1
runtimes --limit 01
runtimes --limit 1.0
runtimes --limit 1e3
runtimes --limit 0x10
runtimes --limit many
runtimes --limit 18446744073709551616
worker $local $coder --limit 1
adapters --limit 1
batch --limit 1
transcript $local $coder --start -1
transcript $local $coder --start x
workers --start 1
runtimes --host $local_host
worker $local $coder --host $local_host
worker $local $coder --force
input $local $coder text --force
stop $local $coder --system
runtimes --companion
stop $local $coder --ticket T
spawn $embedded --ticket T
spawn $embedded --role coder
spawn $embedded --companion --orchestrator
spawn $embedded --companion --ticket T --role coder
spawn $embedded --orchestrator --ticket T --role coder
spawn $embedded --segments x
spawn $embedded --segments -1
spawn $embedded --request {} --companion
spawn $embedded --request {} --orchestrator
spawn $embedded --request {} --ticket T --role coder
spawn $embedded --request {} --name x
spawn $embedded --request {} --segments 1
spawn $embedded --request {
spawn $embedded --request {}}
spawn $embedded --request {},"op":"list_workers"
spawn $embedded --request=
runtimes --adapters=
serve extra
check extra
config extra
conformance
new-adapter
runtimes --token-file /dev/null
serve --socket x --max-connections 0
serve --socket x --max-connections 100001
serve --socket x --request-timeout 0
watch --interval 0
watch --interval 86401
--json conformance plugin.so
--json new-adapter harbour
runtimes --adapters ,
runtimes --adapters embedded,
runtimes --adapters embedded,,local-pod
runtimes --adapters Embedded
runtimes --adapters embeddeD
runtimes --adapters ../embedded
runtimes --adapters $sixty_five
END
berth runtimes --adapters 'embedded, local-pod'
refused 2
check $? "wrong usage: a space in --adapters"
berth worker "$local" "$(printf '\377')"
refused 2
check $? "wrong usage: an argument that is not UTF-8"
berth runtimes --workspace-id "$(printf '\377')"
refused 2
check $? "wrong usage: a workspace id that is not UTF-8"
berth "$(printf 'no\nsuch\033[31m')"
refused 2 && ! grep -q "$(printf '\033')" "$err"
check $? "wrong usage: a command of two lines and colours"

# ---- The set-up ----

berth runtimes --require nope
refused 3
check $? "a required adapter that is not selected ends with 3"
berth runtimes --require embedded --adapters local-pod
refused 3
check $? "a required adapter that is not in --adapters ends with 3"
berth runtimes --require embedded --require nope
refused 3
check $? "each adapter that is required is looked for"
berth runtimes --adapters nope,embedded --require nope
refused 3
check $? "a required adapter that does not exist ends with 3"
if linked_in; then
	skip "a required adapter ends with 3 where --adapter-dir does not exist" "it is linked in"
	skip "an --adapter-dir that does not exist leaves a line for each adapter" "they are linked in"
else
	"$BERTH" --adapter-dir "$scratch/nowhere" --require local-pod --adapters local-pod runtimes >"$out" 2>"$err"
	status=$?
	refused 3
	check $? "a required adapter ends with 3 where --adapter-dir does not exist"
	"$BERTH" --adapter-dir "$scratch/nowhere" --data-dir '' runtimes >"$out" 2>"$err"
	[ $? -eq 0 ] && ! has $local && [ "$(wc -l <"$err")" -eq 3 ] && ! grep -qv '^berth: ' "$err"
	check $? "an --adapter-dir that does not exist leaves a line for each adapter"
fi
berth runtimes --require embedded --require local-pod
quiet && [ "$status" -eq 0 ]
check $? "required adapters that serve"
"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" runtimes >&- 2>"$err"
[ $? -eq 3 ] && [ "$(wc -l <"$err")" -eq 1 ]
check $? "a closed standard output ends with 3"
"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" runtimes >&- 2>&- <&-
[ $? -eq 3 ]
check $? "all of them closed ends with 3"
if [ -c /dev/full ]; then
	"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" runtimes >/dev/full 2>"$err"
	[ $? -eq 3 ] && [ "$(wc -l <"$err")" -eq 1 ]
	check $? "a full device ends with 3"
fi
"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir '' runtimes <&- >"$out" 2>"$err"
[ $? -eq 0 ] && quiet && has $embedded
check $? "a closed standard input does not matter"

# ---- Adapters ----

berth adapters
[ "$status" -eq 0 ] && quiet && [ "$(grep -c ' active ' "$out")" -eq 3 ]
check $? "adapters lists the three"
berth runtimes --json --adapters remote-reserved,embedded,local-pod
sed 's/"runtime_id"/\n&/g' "$out" | sed -n 's/^"runtime_id":"\([^"]*\)".*/\1/p' >"$scratch/order"
printf '%s\n' $remote $embedded $local | cmp -s - "$scratch/order"
check $? "runtimes stand in the order of --adapters"
berth runtimes --json --adapters nope,embedded
[ "$status" -eq 0 ] && has $embedded && ! has $local && [ "$(wc -l <"$err")" -eq 1 ] && grep -q 'nope' "$err"
check $? "an unknown adapter is named in one line and the others serve"
berth adapters --json --adapters nope,embedded
[ "$status" -eq 0 ] && has '"name":"nope","state":"failed"' && has '"name":"embedded","state":"active"'
check $? "adapters says what became of each"
longest=${sixty_five%g}
berth adapters --json --adapters "$longest"
[ "$status" -eq 0 ] && has "\"name\":\"$longest\""
check $? "a name of 64 characters is kept whole"
berth adapters --json --adapters embedded,embedded
[ "$status" -eq 0 ] &&
	[ "$(grep -o '"state":"[a-z]*"' "$out" | tr '\n' ' ')" = '"state":"active" "state":"failed" ' ]
check $? "of one adapter twice the later one is refused"
berth runtimes --json --adapters embedded,embedded
[ "$status" -eq 0 ] && [ "$(grep -o '"runtime_id"' "$out" | wc -l)" -eq 1 ]
check $? "of one adapter twice one serves"
"$BERTH" --adapter-dir "$scratch/nowhere" --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir '' runtimes >"$out" 2>"$err"
[ $? -eq 0 ] && quiet && has $local
check $? "of several --adapter-dir each is searched"
(cd "$BERTH_ADAPTER_DIR" && "$BERTH" --adapter-dir . --data-dir '' runtimes) >"$out" 2>"$err"
[ $? -eq 0 ] && quiet && has $local
check $? "a relative --adapter-dir"

# ---- What is asked in JSON is what batch answers ----

mask_time() {
	sed 's/"observed_at":"[^"]*"/"observed_at":"-"/g' "$1"
}

# same NAME STATUS REQUEST ARGUMENT...
same() {
	name=$1 wanted=$2 request=$3
	shift 3
	printf '%s\n' "$request" |
		"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir "$data" batch 2>/dev/null >"$scratch/batch"
	berth --json "$@"
	mask_time "$out" >"$scratch/a"
	mask_time "$scratch/batch" >"$scratch/b"
	[ "$status" -eq "$wanted" ] && quiet && [ "$(wc -l <"$out")" -eq 1 ] && cmp -s "$scratch/a" "$scratch/b"
	check $? "JSON: $name"
	berth "$@" --json
	[ "$status" -eq "$wanted" ] && mask_time "$out" | cmp -s - "$scratch/b"
	check $? "JSON: $name, with the option behind"
}

w="\"runtime_id\":\"$local\",\"worker_id\":\"$coder\""
companion='"intent":{"kind":"workspace_companion"}'
orchestrator='"intent":{"kind":"workspace_orchestrator"}'
run_accepted='"acceptance":{"kind":"run_accepted","expected_segments":0}'
socket_ready='"acceptance":{"kind":"socket_ready"}'
spawn="\"op\":\"spawn_worker\",\"runtime_id\":\"$embedded\""
same runtimes 0 '{"op":"list_runtimes"}' runtimes
same "runtimes --limit" 0 '{"op":"list_runtimes","limit":2}' runtimes --limit 2
same "runtimes --limit 0" 0 '{"op":"list_runtimes","limit":0}' runtimes --limit 0
same hosts 0 '{"op":"list_hosts"}' hosts
same "hosts --limit" 0 '{"op":"list_hosts","limit":1}' hosts --limit 1
same workers 0 '{"op":"list_workers"}' workers
same "workers --limit" 0 '{"op":"list_workers","limit":1}' workers --limit 1
same "the largest --limit" 0 '{"op":"list_workers","limit":18446744073709551615}' workers --limit 18446744073709551615
same "workers --host" 0 "{\"op\":\"list_workers_for_host\",\"host_id\":\"$local_host\",\"limit\":1}" \
	workers --host "$local_host" --limit 1
same "workers of the other host" 0 "{\"op\":\"list_workers_for_host\",\"host_id\":\"$embedded_host\"}" \
	workers --host "$embedded_host"
same worker 0 "{\"op\":\"worker\",$w}" worker $local "$coder"
same spawn 0 "{$spawn,\"request\":{$companion,$run_accepted}}" spawn $embedded
same "spawn --companion" 0 "{$spawn,\"request\":{$companion,$run_accepted}}" spawn $embedded --companion
same "spawn --orchestrator" 0 "{$spawn,\"request\":{$orchestrator,$run_accepted}}" spawn $embedded --orchestrator
for role in intake orchestrator coder reviewer; do
	ticket="\"intent\":{\"kind\":\"ticket_role\",\"ticket_id\":\"T\",\"role\":\"$role\"}"
	same "spawn --ticket --role $role" 0 "{$spawn,\"request\":{$ticket,$run_accepted}}" \
		spawn $embedded --ticket T --role $role
done
named='"requested_worker_name":"n","acceptance":{"kind":"run_accepted","expected_segments":2}'
same "spawn --name --segments" 0 "{$spawn,\"request\":{$companion,$named}}" spawn $embedded --name n --segments 2
same "spawn --request" 1 "{$spawn,\"request\":{$companion,$socket_ready}}" \
	spawn $embedded --request "{$companion,
		$socket_ready}"
same "spawn that the runtime does not support" 1 \
	"{\"op\":\"spawn_worker\",\"runtime_id\":\"$remote\",\"request\":{$companion,$run_accepted}}" spawn $remote
same "spawn of a runtime that has no spawn" 1 \
	"{\"op\":\"spawn_worker\",\"runtime_id\":\"$local\",\"request\":{$companion,$run_accepted}}" spawn $local
stop="\"op\":\"stop_worker\",\"runtime_id\":\"$local\""
same stop 1 "{$stop,\"request\":{\"worker_id\":\"$coder\",\"mode\":\"graceful\"}}" stop $local "$coder"
same "stop --force" 1 "{$stop,\"request\":{\"worker_id\":\"$coder\",\"mode\":\"force\"}}" \
	stop $local "$coder" --force
same input 1 "{\"op\":\"send_input\",$w,\"request\":{\"content\":\"x\"}}" input $local "$coder" x
same "input --system" 1 "{\"op\":\"send_input\",$w,\"request\":{\"kind\":\"system\",\"content\":\"x\"}}" \
	input $local "$coder" x --system
same transcript 1 "{\"op\":\"transcript\",$w}" transcript $local "$coder"
same "transcript --start --limit" 1 "{\"op\":\"transcript\",$w,\"start\":7,\"limit\":3}" \
	transcript $local "$coder" --start 7 --limit 3
same connect-points 0 "{\"op\":\"connect_points\",$w}" connect-points $local "$coder"

# ---- Errors of the registry ----

berth worker $local x
refused 1 && grep -q '; berth workers lists those that are there$' "$err"
check $? "an unknown worker ends with 1, said in one line with what to do"
berth worker $local x --json
refused 1
check $? "and in JSON just so"
berth worker nowhere x
refused 1
check $? "an unknown runtime ends with 1"
berth workers --host nowhere
refused 1
check $? "an unknown host ends with 1"
berth worker $local "$(printf 'a\nb\033[31m\342\200\256')"
refused 1 && ! grep -q "$(printf '\033')" "$err" && ! grep -q "$(printf '\342\200\256')" "$err"
check $? "an identifier of two lines and colours is said in one, without them"
berth input $local x text
refused 1
check $? "input to an unknown worker ends with 1"
berth spawn $embedded --request '{}'
refused 1
check $? "a request that does not have its shape ends with 1"
berth spawn $embedded --ticket T --role poet
one_error && [ "$status" -ne 0 ]
check $? "an unknown role is refused in one line"
berth spawn $remote
[ "$status" -eq 1 ] && quiet && has unsupported && has worker_spawn_unsupported
check $? "what is not supported is an answer, and ends with 1"
berth spawn $embedded --request "{$companion,$socket_ready}"
[ "$status" -eq 1 ] && quiet && has rejected && has embedded_runtime_no_socket
check $? "what is rejected is an answer, and ends with 1"

# ---- Input ----

input_from() {
	"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir "$data" --json input $local "$coder" - >"$out" 2>"$err"
	status=$?
}

printf 'two\nlines' >"$scratch/in" && input_from <"$scratch/in"
[ $status -eq 1 ] && quiet && has worker_input_pending
check $? "input reads standard input for -"
input_from </dev/null
[ $status -eq 1 ] && has worker_input_pending
check $? "input of nothing"
printf '\377' >"$scratch/in" && input_from <"$scratch/in"
refused 2
check $? "input that is not UTF-8 ends with 2"
head -c 9000000 /dev/zero | tr '\0' x >"$scratch/in" && input_from <"$scratch/in"
one_error && [ "$status" -ne 0 ]
check $? "input that is too long for a request is refused"
input_from <&-
[ "$status" -ge 1 ] && [ "$status" -le 3 ]
check $? "input from a closed standard input comes to an end"
berth input $local "$coder" -- -text-
[ "$status" -eq 1 ] && quiet && has unsupported
check $? "what begins with - goes behind --"

# ---- Tables ----

# The widest line, in characters; an ellipsis is one.
widest() {
	sed 's/…/./g' "$out" | LC_ALL=C awk '{ if (length > max) max = length } END { print max + 0 }'
}

for command in runtimes hosts workers adapters; do
	berth $command
	[ "$status" -eq 0 ] && quiet && [ "$(widest)" -le 80 ]
	check $? "the table of $command has at most 80 columns"
done
berth workers
has "$coder" && has "$reviewer" && has $local && ! has ' whose label goes on and on, as labels will where'
check $? "identifiers stand whole in the table, a long label does not"
COLUMNS=200 && export COLUMNS
berth workers
has 'where nobody stops them' && [ "$(widest)" -le 200 ]
check $? "a wide table has room for a long label"
COLUMNS=40
berth workers
has "$coder" && has "$reviewer" && has $local
check $? "identifiers stand whole in a narrow table"
unset COLUMNS
berth workers --json
has 'a reviewer whose label goes on and on, as labels will where nobody stops them'
check $? "JSON does not shorten"
long=$(printf '%0255d' 7)
record "$scratch/long" "$long" long coder
long_id=local-worker-$(printf '%.90s' "$long")-$(printf '%s' "$long" | sha256sum | cut -c 1-16)
"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir "$scratch/long" workers >"$out" 2>"$err"
has "$long_id"
check $? "the longest identifier stands whole"
"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir "$scratch/long" worker $local "$long_id" >"$out" 2>"$err"
[ $? -eq 0 ] && has "$long_id"
check $? "the longest identifier is taken again"
record "$scratch/odd" odd '\u202e\u2066\u200f\u061c\u2028x\u200ez' '\u202d\u2069'
for command in workers "worker $local $(generated local-worker- odd odd)"; do
	# shellcheck disable=SC2086 # words are meant
	COLUMNS=200 "$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir "$scratch/odd" $command >"$out" 2>"$err"
	! grep -q -e "$(printf '\342\200\256')" -e "$(printf '\342\201\246')" -e "$(printf '\342\200\217')" \
		-e "$(printf '\330\234')" -e "$(printf '\342\200\250')" -e "$(printf '\342\200\216')" \
		-e "$(printf '\342\200\255')" -e "$(printf '\342\201\251')" "$out" && has x
	check $? "bidirectional characters are escaped in a table: ${command%% *}"
done
"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir "$scratch/odd" --json workers >"$out" 2>"$err"
grep -q "$(printf '\342\200\256')" "$out"
check $? "JSON has them as they are"
"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir "$data" --workspace-id "$(printf 'a\033[31m\nb')" \
	--workspace-root "$(printf '/x/l\033[31m\n\302\233\342\200\256y')" hosts >"$out" 2>"$err"
[ $? -eq 0 ] && ! grep -q -e "$(printf '\033')" -e "$(printf '\302\233')" -e "$(printf '\342\200\256')" "$out" &&
	[ "$(grep -c -e 'y$' "$out")" -eq 1 ]
check $? "control characters of a label are escaped in a table"
mkdir -p "$scratch/broken/pods/a" "$scratch/broken/pods/b"
"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir "$scratch/broken" workers >"$out" 2>"$err"
[ $? -eq 0 ] && quiet && has local_pod_metadata_unreadable && has warning && ! has "$scratch"
check $? "diagnostics stand below a table"

# ---- Defaults ----

bare workers --json
has local_pod_registry_unavailable
check $? "no data directory where there is none"
record "$HOME/.local/share/berth" home home coder
bare workers --json
has '"label":"home"'
check $? "the data directory in the home directory"
record "$scratch/xdg/berth" xdg xdg coder
XDG_DATA_HOME=$scratch/xdg && export XDG_DATA_HOME
bare workers --json
has '"label":"xdg"' && ! has '"label":"home"'
check $? "the data directory of XDG_DATA_HOME"
bare workers --json --data-dir ''
has local_pod_registry_unavailable && ! has '"label"'
check $? "an empty --data-dir is none"
berth workers --json
has '"label":"coder"' && ! has '"label":"xdg"'
check $? "--data-dir before XDG_DATA_HOME"
(cd "$scratch" && XDG_DATA_HOME=xdg && bare workers --json --workspace-root "$root") && has '"label":"home"'
check $? "a relative XDG_DATA_HOME is passed over"
unset XDG_DATA_HOME
berth hosts --json
has "\"host_id\":\"$local_host\",\"label\":\"project\"" && has "\"host_id\":\"$embedded_host\""
check $? "the workspace is the current directory, its id local: and the last part"
(cd / && berth hosts --json)
has "\"host_id\":\"$(generated local- local-workspace local:workspace)\",\"label\":\"workspace\""
check $? "the workspace / is called workspace"
berth hosts --json --workspace-root /x/y/./
has "\"host_id\":\"$(generated local- local-y local:y)\",\"label\":\"y\""
check $? "the id follows --workspace-root"
berth hosts --json --workspace-id Other
has "\"host_id\":\"$(generated local- other Other)\",\"label\":\"project\""
check $? "--workspace-id"
(cd "$scratch/other" && berth workers --json) && ! has '"label"' && has local_pod_workspace_not_visible
check $? "another directory is another workspace"
mkdir "$scratch/gone"
(cd "$scratch/gone" && rmdir "$scratch/gone" && berth runtimes --workspace-root "$root" && exit "$status")
[ $? -eq 0 ] && has $local
check $? "with --workspace-root the current directory may be gone"

# ---- Help and version ----

"$BERTH" --help >"$out" 2>"$err"
[ $? -eq 0 ] && quiet
check $? "--help"
[ "$(grep -cx ' of workers:' "$out")" -eq 1 ] && [ "$(grep -cx ' of spawn:' "$out")" -eq 1 ]
check $? "--help has a heading above the options of a command, once"
for word in runtimes hosts workers worker spawn stop input transcript connect-points adapters batch --workspace-root \
	--workspace-id --data-dir --adapters --adapter-dir --require --json --limit --host --companion --orchestrator \
	--ticket --role --name --segments --request --force --system --start --version --help; do
	grep -q -e "^  $word\( \|\$\)" "$out"
	check $? "--help names $word"
done
"$BERTH" --version >"$out" 2>"$err"
[ $? -eq 0 ] && quiet && grep -q '^berth [0-9]' "$out" && [ "$(wc -l <"$out")" -eq 1 ]
check $? "--version"

# ---- Batch ----

batch() {
	"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir "$data" batch >"$out" 2>"$err"
	status=$?
}

nothing='{"items":[],"diagnostics":[]}'
none='"op":"list_workers","limit":0'
batch </dev/null
[ $status -eq 0 ] && quiet && [ ! -s "$out" ]
check $? "batch: nothing in, nothing out"
batch <&-
[ $status -eq 0 ] && [ ! -s "$out" ]
check $? "batch: a closed standard input is at its end"
batch <"$scratch"
[ $status -ne 0 ] && [ ! -s "$out" ] && grep -q 'standard input: Is a directory' "$err"
check $? "batch: an input that cannot be read is named with the reason"
printf '\n  \n\t\r\n\r\n \t ' >"$scratch/in" && batch <"$scratch/in"
[ $status -eq 0 ] && quiet && [ ! -s "$out" ]
check $? "batch: lines of white space are passed over"
printf '{%s}' "$none" >"$scratch/in" && batch <"$scratch/in"
[ $status -eq 0 ] && json_is "$nothing"
check $? "batch: a last line without its newline"
printf '\r\n {%s} \r\n\n' "$none" >"$scratch/in" && batch <"$scratch/in"
[ $status -eq 0 ] && json_is "$nothing"
check $? "batch: lines that end as on Windows"
printf '{"id":1,%s}\n{\n{"id":"two",%s}\n[]\n{"id":3,"op":"x"}\n' "$none" "$none" >"$scratch/in" && batch <"$scratch/in"
[ $status -eq 0 ] && quiet && [ "$(wc -l <"$out")" -eq 5 ] &&
	[ "$(grep -n -o -e '^{"id":[^,]*' -e '^{"error":{"kind":"bad_request"' "$out" | tr '\n' ' ')" = \
	'1:{"id":1 2:{"error":{"kind":"bad_request" 3:{"id":"two" 4:{"error":{"kind":"bad_request" 5:{"id":3 ' ]
check $? "batch: answers stand in order, and the line behind a broken one is read"
printf '{%s}\000\n{"id":"\377",%s}\n{%s}\n' "$none" "$none" "$none" >"$scratch/in" && batch <"$scratch/in"
[ $status -eq 0 ] && [ "$(wc -l <"$out")" -eq 3 ] && [ "$(grep -c bad_request "$out")" -eq 2 ] && has "$nothing"
check $? "batch: U+0000 and what is not UTF-8 are refused"
printf '{"op":"hello","protocol":1}\n' >"$scratch/in" && batch <"$scratch/in"
grep -q '"protocol":1' "$out" && has "$("$BERTH" --version | cut -d ' ' -f 2)" && has '"local-pod"' && has $remote &&
	has '"can_spawn_worker"'
check $? "batch: hello"
{
	printf '{%s,"request":{%s,%s}}\n' "$spawn" "$companion" "$run_accepted"
	printf '{"op":"send_input","runtime_id":"%s","worker_id":"worker-00000001","request":{"content":"' $embedded
	head -c 3000000 /dev/zero | tr '\0' x
	printf '"}}\n{"op":"transcript","runtime_id":"%s","worker_id":"worker-00000001"}\n' $embedded
} >"$scratch/in" && batch <"$scratch/in"
[ $status -eq 0 ] && [ "$(wc -l <"$out")" -eq 3 ] &&
	[ "$(sed -n 3p "$out" | sed 's/.*"content":"\(x*\)".*/\1/' | tr -d '\n' | wc -c)" -eq 3000000 ]
check $? "batch: an input of 3 MB"
{
	printf '{"id":1,%s}\n{"id":2,"x":"' "$none"
	head -c 9000000 /dev/zero | tr '\0' x
	printf '",%s}\n{"id":3,%s}\n' "$none" "$none"
	head -c 20000000 /dev/zero | tr '\0' ' '
} >"$scratch/in" && batch <"$scratch/in"
[ $status -eq 0 ] && [ "$(head -n 3 "$out" | grep -c '^{"id":[13],"items"')" -eq 2 ] &&
	[ "$(sed -n 2p "$out" | cut -c 1-30)" = '{"error":{"kind":"bad_request"' ]
check $? "batch: a line that is too long is refused and the next one answered"
{
	yes "{$none}" 2>/dev/null | "$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir "$data" batch 2>/dev/null
	echo $? >"$scratch/status"
} | :
[ "$(cat "$scratch/status")" -eq 3 ]
check $? "batch: a reader that leaves does not kill it"

# Each answer must come before the next request is sent. Where it does not, the time
# limit ends the program, and the read below.
mkfifo "$scratch/requests" "$scratch/answers"
timeout 20 "$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir "$data" batch \
	<"$scratch/requests" >"$scratch/answers" 2>"$err" &
pid=$!
exec 3>"$scratch/requests" 4<"$scratch/answers"
answered=0
for i in 1 2 3 4 5; do
	printf '{"id":%d,%s}\n' $i "$none" >&3
	IFS= read -r answer <&4 || break
	[ "$answer" = "{\"id\":$i,\"items\":[],\"diagnostics\":[]}" ] && answered=$i
done
printf '{"id":6,' >&3
printf '%s}\n{"id":7,' "$none" >&3
IFS= read -r answer <&4 && [ "$answer" = '{"id":6,"items":[],"diagnostics":[]}' ] && answered=$((answered + 1))
[ $answered -eq 6 ]
check $? "batch: each request is answered before the next one is sent"
exec 3>&-
wait $pid
status=$?
IFS= read -r answer <&4
exec 4<&-
[ $status -eq 0 ] && [ "${answer%%,*}" = '{"error":{"kind":"bad_request"' ]
check $? "batch: the end of input ends it with 0"

