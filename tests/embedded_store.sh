#!/bin/sh
# SPDX-License-Identifier: MIT
# The store of the embedded runtime as an admin meets it: configured in drop-ins, checked,
# killed, on a file system that is really full.
# In the environment: BERTH, BERTH_ADAPTER_DIR, ADMIN_CONF_DIR.
set -u
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
: "${BERTH:?}" "${BERTH_ADAPTER_DIR:?}" "${ADMIN_CONF_DIR:?}"

# What is mounted here is gone with this script, however it ends.
if [ -z "${BERTH_TEST_MOUNTS-}" ] && unshare -m true 2>/dev/null; then
	BERTH_TEST_MOUNTS=private exec unshare -m "$0"
fi

host=
finish() {
	[ -z "$host" ] || kill "$host"
}
LC_ALL=C BERTH_CONFIG_ROOT=$scratch/root
export LC_ALL BERTH_CONFIG_ROOT
conf=$BERTH_CONFIG_ROOT$ADMIN_CONF_DIR/adapters.d
out=$scratch/out err=$scratch/err
embedded='"runtime_id":"embedded-worker-runtime"'
spawn="{\"op\":\"spawn_worker\",$embedded,\"request\":{\"intent\":{\"kind\":\"workspace_companion\"},\"acceptance\":{\"kind\":\"run_accepted\",\"expected_segments\":0}}}"

berth() {
	"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --workspace-root /workspace/project --data-dir "$scratch" "$@" \
		>"$out" 2>"$err"
	status=$?
}

has() {
	grep -q -e "$1" "$out"
}

says() {
	grep -q -e "$1" "$err"
}

# configure STORE
configure() {
	mkdir -p "$conf"
	printf '{ "adapter": "embedded", "options": { "store": "%s" } }\n' "$1" >"$conf/embedded.json"
	printf '{ "adapter": "local-pod" }\n' >"$conf/local-pod.json"
}

# ---- Without SQLite ----

# A file that is no library comes before the one that is.
mkdir "$scratch/lib" && : >"$scratch/lib/libsqlite3.so.0"
configure "$scratch/none"
LD_LIBRARY_PATH=$scratch/lib berth check
[ "$status" != 0 ] && { has 'libsqlite3.so.0.*: install it' || says 'libsqlite3.so.0.*: install it'; } && [ ! -e "$scratch/none" ]
check $? "without SQLite a store is not opened, and it is said what to install"
configure memory
LD_LIBRARY_PATH=$scratch/lib berth check
[ "$status" = 0 ]
check $? "a runtime in memory does without it"

# ---- One command after another ----

configure "$scratch/store"
berth check
[ $status = 0 ] && has 'all well: 2 of 2'
check $? "a store that is not there yet is made"
berth spawn embedded-worker-runtime
[ $status = 0 ] && has 'worker  *worker-00000001'
check $? "a worker is spawned"
berth input embedded-worker-runtime worker-00000001 Ahoy
[ $status = 0 ] && has 'sequence  *1'
check $? "and is there for the next command"
berth transcript embedded-worker-runtime worker-00000001
[ $status = 0 ] && has Ahoy
check $? "and so is what it was told"
berth events embedded-worker-runtime
[ $status = 0 ] && has 'runtime_started' && has 'worker_created' && has 'input_accepted  *worker-00000001  *1'
check $? "and what has happened"
cursor=$(sed -n 's/^later ones from --cursor //p' "$out")
berth events embedded-worker-runtime --cursor "$cursor"
[ -n "$cursor" ] && [ $status = 0 ] && has 'no events' && has "later ones from --cursor $cursor"
check $? "nothing has happened since"
berth stop embedded-worker-runtime worker-00000001
berth events embedded-worker-runtime --cursor "$cursor" --limit 1
[ $status = 0 ] && has 'worker_stopped' && ! has 'input_accepted'
check $? "what has happened since is read"
berth events embedded-worker-runtime --limit 2
[ $status = 0 ] && has 'more from --cursor'
check $? "there are more events than were asked for"
berth events embedded-worker-runtime --cursor made-up
[ $status = 1 ] && has 'embedded_runtime_wrong_identity'
check $? "a cursor that was made up is rejected"
berth events local-worker-runtime
[ $status = 1 ] && has 'runtime_events_pending'
check $? "a runtime that tells no events says so"

# ---- Two at once, and one that is killed ----

mkfifo "$scratch/in"
: >"$scratch/answers"
"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" batch <"$scratch/in" >"$scratch/answers" 2>/dev/null &
host=$!
exec 3>"$scratch/in"
printf '%s\n' "$spawn" >&3
while ! grep -q worker-00000002 "$scratch/answers"; do
	kill -0 "$host" || break
	sleep 0.05
done
berth check
[ $status = 3 ] && says 'open_failed' && says 'is in use by another process' && [ "$(wc -l <"$err")" = 1 ]
check $? "a second program is told at once that the store is in use"
berth runtimes
[ $status = 0 ] && has local-worker-runtime && ! has embedded-worker-runtime
check $? "its other runtimes serve"
kill -9 "$host"
wait "$host" 2>/dev/null
host=
exec 3>&-
berth workers
[ $status = 0 ] && has worker-00000002 && [ ! -s "$err" ]
check $? "the store of a program that was killed is opened as any other"

# ---- What is no store ----

cp "$scratch/store/catalogue.db" "$scratch/whole"
printf 'Dear diary, today I went to the harbour and looked at the ships for an hour or more; nothing to be stored.' \
	>"$scratch/store/catalogue.db"
cp -p "$scratch/store/catalogue.db" "$scratch/foreign"
before=$(stat -c '%i %y %s %a' "$scratch/store/catalogue.db")
berth check
[ $status = 3 ] && says 'runtime_unavailable' && says "$scratch/store/catalogue.db" && says 'move it away' &&
	[ "$(wc -l <"$err")" = 1 ]
check $? "check says what to do about a foreign file"
berth runtimes
[ $status = 0 ] && has 'embedded-worker-runtime  *embedded_worker_runtime  *unavailable' &&
	has 'local-worker-runtime  *local_pod  *available'
check $? "the runtime is presented as unavailable, and others serve"
berth adapters
[ $status = 0 ] && has 'embedded  *active' && has 'runtime_unavailable'
check $? "the inventory shows it"
berth --require embedded runtimes
[ $status = 3 ]
check $? "where it is required nothing is served"
berth spawn embedded-worker-runtime
[ $status = 1 ] && has 'embedded_runtime_state_unavailable'
check $? "what is asked of it is rejected"
cmp -s "$scratch/foreign" "$scratch/store/catalogue.db" &&
	[ "$before" = "$(stat -c '%i %y %s %a' "$scratch/store/catalogue.db")" ] && [ "$(ls "$scratch/store")" = catalogue.db ]
check $? "the file is exactly as it was, and alone"
cp "$scratch/whole" "$scratch/store/catalogue.db"
berth workers
[ $status = 0 ] && has worker-00000002
check $? "its own file is put back, and it serves"
configure "$scratch/no/such/place"
berth check
[ $status = 3 ] && says 'runtime_unavailable' && says 'cannot be made: No such file or directory'
check $? "check says what is in the way of making it"

# ---- A small file system ----

# ask LINE: one answer of the batch that stands behind descriptor 3.
ask() {
	n_asked=$((n_asked + 1))
	printf '%s\n' "$1" >&3
	while [ "$(wc -l <"$scratch/answers")" -lt "$n_asked" ] && kill -0 "$host"; do
		sleep 0.02
	done
	tail -n 1 "$scratch/answers" >"$out"
}

fill_small() {
	content=$(printf '%04000d' 0)
	input="{\"op\":\"send_input\",$embedded,\"worker_id\":\"worker-00000001\",\"request\":{\"content\":\"$content\"}}"
	transcript="{\"op\":\"transcript\",$embedded,\"worker_id\":\"worker-00000001\",\"limit\":1}"
	n_asked=0 n_accepted=0
	configure "$scratch/small/store"
	rm -f "$scratch/in" "$scratch/answers"
	mkfifo "$scratch/in"
	: >"$scratch/answers"
	"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" batch <"$scratch/in" >"$scratch/answers" 2>"$err" &
	host=$!
	exec 3>"$scratch/in"
	ask "$spawn"
	while ask "$input" && has '"state":"accepted"' && [ $n_accepted -lt 1000 ]; do
		n_accepted=$((n_accepted + 1))
	done
	has '"state":"rejected"' && has embedded_runtime_store_error && [ $n_accepted -gt 3 ]
	check $? "what does not fit is rejected"
	ask "$transcript"
	has "\"total_items\":$n_accepted,"
	check $? "what was accepted can be read"
	mount -o remount,size=8m "$scratch/small"
	ask "$input"
	has '"state":"accepted"'
	check $? "with more room the service goes on"
	n_accepted=$((n_accepted + 1))
	kill -9 "$host"
	wait "$host" 2>/dev/null
	host=
	exec 3>&-
	berth --json transcript embedded-worker-runtime worker-00000001 --limit 1
	[ $status = 0 ] && has "\"total_items\":$n_accepted,"
	check $? "after a kill all of it is there"
}

mkdir "$scratch/small"
if [ "${BERTH_TEST_MOUNTS-}" = private ] && mount -t tmpfs -o size=240k berth-small "$scratch/small" 2>/dev/null; then
	fill_small
	umount "$scratch/small"
else
	skip "a small file system" "none can be mounted here"
fi
