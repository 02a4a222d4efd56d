#!/bin/sh
# SPDX-License-Identifier: MIT
# The runtimes of another berth as one's own: through a service that runs, and through ssh, with
# a real sshd where there is one, and a stand-in for ssh that hands its words to a shell just so.
# In the environment: BERTH, BERTH_ADAPTER_DIR, VENDOR_CONF_DIR, srcdir; SSHD: which one.
set -u
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
: "${srcdir:?}" "${BERTH:?}" "${BERTH_ADAPTER_DIR:?}" "${VENDOR_CONF_DIR:?}"

service='' daemon=''
# shellcheck disable=SC2317 # the trap reaches it
finish() {
	for pid in $service $daemon; do
		kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
	done
}
unset BERTH_CONNECT BERTH_TOKEN_FILE
LC_ALL=C BERTH_CONFIG_ROOT=$scratch/root HOME=$scratch/home
export LC_ALL BERTH_CONFIG_ROOT HOME
drop_ins=$scratch/root$VENDOR_CONF_DIR socket=$scratch/socket
mkdir -p "$drop_ins" "$HOME"

# berth as it is here: with the instances of the drop-ins.
berth() {
	"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --workspace-root /srv/harbour --data-dir "" "$@" 2>>"$scratch/log"
}

# berth as it is there.
there() {
	"$BERTH" --connect "$socket" "$@" 2>>"$scratch/log"
}

# The value of a key of the first object that has it.
value() {
	sed -n 's/^.*"'"$1"'":"\([^"]*\)".*$/\1/p' | head -n 1
}

# far NAME RUNTIME COMMAND...: an instance that presents a runtime of the other side.
far() {
	name=$1 runtime=$2
	shift 2
	{
		printf '{ "adapter": "process", "runtime_id": "%s", "options": { "runtime": "%s", "command": [' "$name" "$runtime"
		separator=
		for word; do
			printf '%s"%s"' "$separator" "$word"
			separator=', '
		done
		printf '], "environment": { "HOME": "%s", "BERTH_CONFIG_ROOT": true }' "$HOME"
		printf ', "start_timeout_ms": 60000, "call_timeout_ms": 60000, "deaths": 0 } }\n'
	} >"$drop_ins/$name.json"
}

# until_has TEXT COMMAND...: until what it prints has the text, or half a minute has gone.
until_has() {
	text=$1
	shift
	for _ in $(seq 300); do
		"$@" >"$scratch/answer" 2>&1
		grep -qF -e "$text" "$scratch/answer" && return 0
		sleep 0.1
	done
	sed 's/^/# /' "$scratch/answer"
	return 1
}

start_service() {
	"$BERTH" serve --config-root "$scratch/none" --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir "$srcdir/tests/sample" \
		--workspace-root /srv/harbour --adapters local-pod,embedded --socket "$socket" 2>>"$scratch/log" 9>&- &
	service=$!
	until_has '"items"' there --json runtimes
}

# Drops what differs by right: the runtime, and ids of hosts that are generated anew.
mask() {
	sed 's/"runtime_id":"[^"]*"/"runtime_id":""/g; s/"host_id":"[^"]*"/"host_id":""/g; s/"observed_at":"[^"]*"//g'
}

embedded='embedded-worker-runtime'

# ---- A service ----

if ! "$BERTH" --connect "$scratch/none" runtimes 2>&1 | grep -q 'built with libcurl' &&
	! "$BERTH" serve --socket "" 2>&1 | grep -q 'without libmicrohttpd'; then
	start_service
	far near "$embedded" "$BERTH" --connect "$socket" batch
	far again "$embedded" "$BERTH" --connect "$socket" batch
	far pods local-worker-runtime "$BERTH" --connect "$socket" batch
	worker=$(berth --json spawn near --companion | value worker_id)
	[ -n "$worker" ] && there --json worker "$embedded" "$worker" | grep -q '"state":"running"'
	check $? "what is spawned through an instance is a worker there, under the same id"
	berth input near "$worker" "Ahoy ⚓" >/dev/null && there --json transcript "$embedded" "$worker" | grep -qF 'Ahoy ⚓'
	check $? "and so is its input"
	for what in "worker %s $worker" "transcript %s $worker" "events %s" "connect-points %s $worker"; do
		# shellcheck disable=SC2059,SC2046 # words are meant
		there --json $(printf "$what" "$embedded") | mask >"$scratch/direct"
		# shellcheck disable=SC2059,SC2046 # words are meant
		berth --json $(printf "$what" near) | mask >"$scratch/behind"
		[ -s "$scratch/direct" ] && cmp "$scratch/direct" "$scratch/behind"
		check $? "it answers as it does there: ${what%% *}"
	done
	there --json workers --limit 9 | tr '{' '\n' | grep '"runtime_id":"local-' | mask >"$scratch/direct"
	berth --json workers --limit 9 | tr '{' '\n' | grep '"runtime_id":"pods' | mask >"$scratch/behind"
	[ -s "$scratch/direct" ] && cmp "$scratch/direct" "$scratch/behind"
	check $? "another instance has the other runtime's workers, and those alone"
	cursor=$(there --json events "$embedded" --limit 1 | value next_cursor)
	berth --json events near --cursor "$cursor" | grep -q '"event_id":2,'
	check $? "a cursor of there is one here"
	berth --json events near --cursor "x$cursor" | grep -q '"state":"rejected"'
	check $? "and one that was made up is not"

	# ---- Identifiers ----
	for name in near again; do
		berth --json worker "$name" "$worker" | value host_id
	done >"$scratch/hosts"
	there --json worker "$embedded" "$worker" | value host_id >>"$scratch/hosts"
	[ "$(sort -u "$scratch/hosts" | wc -l)" = 3 ]
	check $? "two instances with the same runtime have the same worker on hosts of their own"
	berth --json worker near "$worker" | value host_id | grep -qx "$(head -n 1 "$scratch/hosts")" &&
		berth --json hosts | grep -qF "\"$(head -n 1 "$scratch/hosts")\""
	check $? "whose ids are the same each time, and in the list of hosts"
	berth worker "$embedded" "$worker" >/dev/null
	[ $? = 1 ]
	check $? "the runtime has no other name here than its own"

	# ---- Which runtime ----
	far near "" "$BERTH" --connect "$socket" batch
	berth --json runtimes | grep -q 'has 2 runtimes; the option runtime is to name one of them'
	check $? "one of several has to be named"
	far near nowhere "$BERTH" --connect "$socket" batch
	berth --json runtimes | grep -q 'no runtime of the name'
	check $? "and has to be there"

	# ---- An end ----
	far near "$embedded" "$BERTH" --connect "$socket" batch
	rm "$drop_ins/again.json" "$drop_ins/pods.json"
	mkfifo "$scratch/requests"
	berth batch <"$scratch/requests" >"$scratch/answers" &
	batch=$!
	exec 9>"$scratch/requests"
	# shellcheck disable=SC2317 # until_has reaches it
	ask_on() {
		: >"$scratch/answers"
		echo '{"op":"list_runtimes"}' >&9
		cat "$scratch/answers"
	}
	until_has '"status":"running"' ask_on
	check $? "a service that runs is presented as running"
	kill "$service"
	wait "$service" 2>/dev/null
	service=
	until_has '"status":"unavailable"' ask_on
	check $? "one that has ended is unavailable"
	start_service
	until_has '"status":"running"' ask_on
	check $? "and is back once it runs again"
	exec 9>&-
	wait "$batch"
	check $? "the batch ends as ever"
	rm "$drop_ins/near.json"
else
	skip "the runtimes of a service" "there is no berth serve, or no libcurl to ask it"
fi

# ---- ssh ----

# What is said to ssh behind HOST: one command line for the shell of the other side.
sample=$(cd "$srcdir" && pwd)/tests/sample
line="$BERTH --config-root $scratch/none --adapter-dir $BERTH_ADAPTER_DIR --workspace-root '/srv/harbour' --data-dir '$sample' batch"

# through_ssh NAME COMMAND...: the instance quay has the workers of the other side.
through_ssh() {
	title=$1
	shift
	far quay local-worker-runtime "$@" "$line"
	berth --json workers --limit 9 | mask >"$scratch/behind"
	"$BERTH" --config-root "$scratch/none" --adapter-dir "$BERTH_ADAPTER_DIR" --workspace-root /srv/harbour \
		--data-dir "$srcdir/tests/sample" --adapters local-pod --json workers --limit 9 2>>"$scratch/log" |
		mask >"$scratch/direct"
	grep -q '"worker_id"' "$scratch/direct" && cmp "$scratch/direct" "$scratch/behind"
	check $? "$title: the workers of another machine"
	far quay local-worker-runtime "$@" "exit 7"
	berth --json runtimes | grep -q 'the process ended with status 7'
	check $? "$title: what the other shell ends with is named"
	far quay local-worker-runtime "$@" "echo Welcome to the quay; $line"
	: >"$scratch/log"
	berth --json runtimes | grep -q '"code":"adapter_broken"' && grep -q 'it begins with "Welcome to the quay"' "$scratch/log"
	check $? "$title: a shell that greets is told of, with its first words"
	rm "$drop_ins/quay.json"
}

# Like ssh it joins its words, and has a shell take them apart.
cat >"$scratch/ssh" <<'END'
#!/bin/sh
while [ $# -gt 0 ]; do
	case $1 in
	-o) shift 2 ;;
	-*) shift ;;
	*) break ;;
	esac
done
shift
exec sh -c "$*"
END
chmod +x "$scratch/ssh"
through_ssh "a stand-in for ssh" "$scratch/ssh" -o BatchMode=yes quay

# Starts sshd on a port that is free; sets port.
start_sshd() {
	ssh-keygen -q -t ed25519 -N '' -f "$scratch/host_key" && ssh-keygen -q -t ed25519 -N '' -f "$scratch/key" || return 1
	cp "$scratch/key.pub" "$scratch/authorized_keys"
	for port in $(seq 20000 97 30000); do
		"$sshd" -D -e -f /dev/null -h "$scratch/host_key" -p "$port" -o ListenAddress=127.0.0.1 -o PidFile=none \
			-o UsePAM=no -o StrictModes=no -o PermitRootLogin=yes -o "AuthorizedKeysFile=$scratch/authorized_keys" \
			2>"$scratch/sshd.log" &
		daemon=$!
		until_has "" grep -E 'Server listening|Cannot bind|fatal|denied|Missing' "$scratch/sshd.log"
		grep -q 'Server listening' "$scratch/sshd.log" && break
		wait "$daemon" 2>/dev/null
		daemon=
		grep -q 'Cannot bind' "$scratch/sshd.log" || return 1
	done
	[ -n "$daemon" ] || return 1
	echo "[127.0.0.1]:$port $(cut -d ' ' -f 1,2 "$scratch/host_key.pub")" >"$scratch/known_hosts"
	ssh_command="ssh -F none -i $scratch/key -p $port -o BatchMode=yes -o UserKnownHostsFile=$scratch/known_hosts 127.0.0.1"
	$ssh_command true 2>>"$scratch/sshd.log"
}

sshd=${SSHD:-/usr/sbin/sshd}
if [ ! -x "$sshd" ] || ! command -v ssh >/dev/null || ! command -v ssh-keygen >/dev/null; then
	skip "a real sshd" "ssh or sshd is missing"
elif start_sshd; then
	# shellcheck disable=SC2086 # words are meant
	through_ssh "a real sshd" $ssh_command
else
	sed 's/^/# /' "$scratch/sshd.log"
	skip "a real sshd" "sshd cannot be used here, for the reason above"
fi

