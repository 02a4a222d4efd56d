#!/bin/sh
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2317 # functions that await and trap call
# The adapter of clusters against a stand-in, which answers as real daemons have answered and
# runs real supervisors. tests/incus_cluster.sh has the daemons themselves.
# In the environment: BERTH, BERTH_ADAPTER_DIR, ADMIN_CONF_DIR, srcdir.
set -u
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
: "${BERTH:?}" "${BERTH_ADAPTER_DIR:?}" "${ADMIN_CONF_DIR:?}" "${srcdir:?}"

if ! command -v python3 >/dev/null; then
	skip "the adapter of clusters" "there is no python3"
	exit 0
fi
server=
finish() {
	[ -z "$server" ] || { kill "$server" && wait "$server"; } 2>/dev/null
}
LC_ALL=C BERTH_CONFIG_ROOT=$scratch/root
export LC_ALL BERTH_CONFIG_ROOT
conf=$BERTH_CONFIG_ROOT$ADMIN_CONF_DIR/adapters.d
out=$scratch/out err=$scratch/err
runtime=incus-worker-runtime
# What a worker runs here: it says how long its input is, until it is told to end.
# shellcheck disable=SC2016 # for the worker's shell
worker='["sh", "-c", "trap : TERM; echo \"ready as $BERTH_ROLE for $BERTH_TICKET\"; while :; do read -r line; [ \"$line\" = bye ] && exit 7; echo \"heard ${#line}\"; done"]'

berth() {
	"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --workspace-root /srv/harbour --workspace-id local:harbour --data-dir '' \
		"$@" >"$out" 2>"$err"
	status=$?
}

has() {
	grep -q -e "$1" "$out"
}

says() {
	grep -q -e "$1" "$err"
}

# configure OPTIONS, as members of an object
configure() {
	mkdir -p "$conf"
	printf '{ "adapter": "incus", "options": { %s } }\n' "$1" >"$conf/incus.json"
}

# await COMMAND...: until it succeeds, 30 s at the most.
await() {
	tries=300
	until "$@"; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 0.1
	done
}

# A new one; arguments are handed on.
# shellcheck disable=SC2120
stand_in() {
	[ -z "$server" ] || { kill "$server" && wait "$server"; } 2>/dev/null
	rm -rf "$scratch/containers" "$scratch/socket"
	mkdir "$scratch/containers"
	python3 "$srcdir/tests/incus/stand_in.py" "$scratch/socket" "$scratch/containers" "$@" 2>"$scratch/stand_in.log" &
	server=$!
	await test -S "$scratch/socket"
}

# stand [JSON]: has it do something; prints how it stands.
stand() {
	python3 - "$scratch/socket" "$@" <<-'END'
		import http.client, socket, sys
		connection = http.client.HTTPConnection('localhost')
		connection.sock = socket.socket(socket.AF_UNIX)
		connection.sock.connect(sys.argv[1])
		connection.request('POST' if sys.argv[2:] else 'GET', '/stand-in', *sys.argv[2:])
		answer = connection.getresponse()
		assert answer.status == 200
		print(answer.read().decode())
	END
}

control() {
	stand "$1" >/dev/null
}

# asked WHAT: how often that was asked.
asked() {
	stand | sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p"
}

# The identifier of the worker in the answer.
worker_id() {
	sed -n 's/.*"worker_id":"\(worker-[0-9a-f]*\)".*/\1/p' "$out"
}

# spawn REQUEST-ID ROLE
spawn() {
	berth --json spawn $runtime --request "{\"intent\":{\"kind\":\"ticket_role\",\"ticket_id\":\"T-1\",\"role\":\"$2\"},
		\"acceptance\":{\"kind\":\"run_accepted\",\"expected_segments\":0},\"requested_worker_name\":\"Kaya\",\"request_id\":\"$1\"}"
}

# The roots of the containers that there are.
roots() {
	find "$scratch/containers" -mindepth 1 -maxdepth 1 | wc -l
}

# ---- One program that goes on ----

program_begin() {
	rm -f "$scratch/requests"
	mkfifo "$scratch/requests"
	"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --workspace-root /srv/harbour --workspace-id local:harbour --data-dir '' batch \
		<"$scratch/requests" >"$scratch/kept" 2>"$err" &
	batch=$!
	exec 3>"$scratch/requests"
	n_asked=0
}

# ask MEMBERS: what it answers. Every request has a time after which it is answered.
ask() {
	n_asked=$((n_asked + 1))
	printf '{"runtime_id":"%s",%s}\n' $runtime "$1" >&3
	until [ "$(wc -l <"$scratch/kept")" -ge $n_asked ]; do
		kill -0 "$batch" 2>/dev/null || return 1
		sleep 0.05
	done
	sed -n "${n_asked}p" "$scratch/kept" >"$out"
}

program_end() {
	exec 3>&-
	wait "$batch"
}

# ---- Configuration ----

# refused OPTIONS WORDS
refused() {
	configure "$1"
	berth check
	[ $status = 3 ] && says "$2"
	check $? "refused: $2"
}
socket="\"servers\": \"unix:$scratch/socket\""
refused '' 'option servers: https://HOST:8443 or unix:/PATH is expected, found nothing'
refused '"servers": "http://10.0.0.1:8443"' 'option servers: https://HOST\[:PORT\] or unix:/PATH is expected'
refused '"servers": "https://user@host"' 'option servers: https://HOST\[:PORT\]'
refused "$socket, \"certificate\": \"/nowhere.crt\"" 'options certificate and key: both or none'
refused "$socket, \"certificate\": \"/nowhere.crt\", \"key\": \"/nowhere.key\"" 'option certificate: /nowhere.crt: No such file'
refused "$socket, \"server_certificate\": \"/dev/null\"" 'option server_certificate: /dev/null: a certificate in PEM is expected'
refused "$socket, \"timeout_s\": 0" 'option timeout_s: 1 to 86400 seconds'
refused "$socket, \"roles\": []" 'option roles: an object is expected'
refused "$socket, \"roles\": { \"poet\": {} }" 'option roles: there is no role poet'
refused "$socket, \"roles\": { \"coder\": { \"image\": \"x\" } }" 'option roles: coder: the key command is missing'
refused "$socket, \"roles\": { \"coder\": { \"image\": \"x\", \"command\": [] } }" 'coder.command: a program is expected'
refused "$socket, \"roles\": { \"*\": { \"image\": \"x\", \"command\": [\"y\"], \"ram\": 1 } }" 'there is no key ram'
refused "$socket, \"roles\": { \"*\": { \"image\": \"x\", \"command\": [\"y\"], \"processes\": 1.5 } }" 'a whole number above 0'
refused "$socket, \"roles\": { \"*\": { \"image\": \"x\", \"command\": [\"y\"], \"supervisor\": \"init\" } }" 'an absolute path'

# ---- A worker ----

options="$socket, \"project\": \"berth\", \"timeout_s\": 5, \"spawn_timeout_s\": 30, \"stop_timeout_s\": 1, \"roles\": {
	\"coder\": { \"image\": \"busybox\", \"target\": \"south\", \"memory\": \"64MiB\", \"command\": $worker },
	\"intake\": { \"image\": \"busybox\", \"input\": \"json\", \"command\": [\"cat\"] },
	\"reviewer\": { \"image\": \"none\", \"command\": [\"cat\"] },
	\"orchestrator\": { \"image\": \"busybox\", \"command\": [\"sh\", \"-c\", \"exit 3\"] } }"
configure "$options"
berth --json runtimes
[ $status = 0 ] && has '"status":"unavailable"' && has '"incus_unreachable"' && ! has "$scratch"
check $? "a cluster that cannot be reached is unavailable, and nothing says where it would be"
stand_in "$@"
berth --json runtimes
[ $status = 0 ] && has '"status":"available"'
check $? "a cluster that can be reached is available"
berth --json hosts
[ "$(grep -o '"host_id":"incus-host-[0-9a-f]*"' "$out" | sort -u | wc -l)" = 2 ] && ! has 'north\|south\|192\.0\.2'
check $? "its members are hosts, without their names and addresses"
spawn once coder
worker=$(worker_id)
first=$worker
[ $status = 0 ] && has '"label":"Kaya"' && has '"role":"coder"' && has '"profile":"default"' && [ -n "$worker" ]
check $? "a worker is spawned"
[ "$(grep -o '"kind":"incus_[a-z_]*"' "$out" | tr '\n' ' ')" = "$(printf '"kind":"incus_%s" ' container container_created \
	supervisor_installed container_started worker_ready)" ]
check $? "there is evidence of each step"
spawn once coder
[ $status = 0 ] && [ "$(worker_id)" = "$worker" ] && [ "$(roots)" = 1 ]
check $? "the same request again answers with the same worker"
spawn twice coder
[ $status = 0 ] && [ "$(worker_id)" != "$worker" ] && [ "$(roots)" = 2 ]
check $? "another request makes another one"
other=$(worker_id)
[ -n "$other" ] && berth stop $runtime "$other" --force && [ $status = 0 ]
berth --json worker $runtime "$other"
has '"status":"stopped"'
check $? "a forced stop stops a worker"
heard() {
	berth --json transcript "$runtime" "$worker"
	has "$1"
}
await heard 'ready as coder for T-1'
check $? "its command runs with the role and the ticket"
berth --json input $runtime "$worker" 'line with "quotes" and \backslashes'
[ $status = 0 ] && has '"transcript_sequence":3'
check $? "input is accepted with the number of the item"
await heard '"sequence":3,"role":"user","content":"line with \\"quotes\\" and \\\\backslashes"' && await heard '"heard 35"'
check $? "it stands in the transcript and has reached the command, as it was sent"
berth input $runtime "$worker" '   '
[ $status = 1 ] && has incus_input_invalid
check $? "blank input is refused"
# All that Unicode counts as white space, beside that of ASCII.
for space in '\302\205' '\302\240' '\341\232\200' '\342\200\200' '\342\200\212' '\342\200\250' '\342\200\251' '\342\200\257' \
	'\342\201\237' '\343\200\200'; do
	# shellcheck disable=SC2059 # it is a format
	berth input $runtime "$worker" "$(printf "\011 $space")"
	[ $status = 1 ] && has incus_input_invalid
	check $? "input of $space alone is refused"
done
python3 -c 'print("x" * (1 << 20) + "y")' >"$scratch/large"
berth input $runtime "$worker" - <"$scratch/large"
[ $status = 1 ] && has incus_input_invalid
check $? "more than 1 MiB is refused"
python3 -c 'print("x" * 300000)' >"$scratch/large"
berth input $runtime "$worker" - <"$scratch/large"
[ $status = 0 ] && await heard '"heard 300000"'
check $? "input of 300,000 bytes arrives"
berth transcript $runtime "$worker" --limit 257
[ $status = 1 ] && has incus_limit_too_large
check $? "more than 256 items are refused"
berth stop $runtime "$worker"
[ $status = 1 ] && has incus_worker_still_running
check $? "a worker that does not stop in time says so, and runs on"
berth input $runtime "$worker" bye
await heard 'the worker ended with exit status 7'
check $? "the exit status ends the transcript"
berth input $runtime "$worker" late
[ $status = 1 ] && has incus_worker_not_running
check $? "a worker that has ended takes no input"
berth stop $runtime "$worker"
[ $status = 0 ]
check $? "to stop it is accepted"
berth worker $runtime worker-00000000000000000000
[ $status = 1 ] && says unknown_worker
check $? "a worker that is not there is unknown"
# What a worker writes into its transcript itself: no item, a number again, no UTF-8, and what would be the next.
transcript=$(echo "$scratch/containers"/*-"${worker#worker-}/berth/transcript")
berth --json transcript $runtime "$worker"
total=$(sed -n 's/.*"total_items":\([0-9]*\).*/\1/p' "$out")
{
	printf 'no item\n{"sequence":1,"event_id":9,"role":"user","content":"again"}\n\n[]\n'
	printf '{"sequence":%d,"event_id":4000000000000000,"role":"pirate","content":"x"}\n' $((total + 1))
	printf '{"sequence":%d,"event_id":4000000000000000,"role":"worker","content":"odd \377 byte"}\n' $((total + 2))
	printf '{"sequence":%d,"event_id":4000000000000001,"role":"worker","content":"cut' $((total + 3))
} >>"$transcript"
berth --json transcript $runtime "$worker"
[ $status = 0 ] && has "\"total_items\":$((total + 1))," && has "\"sequence\":$((total + 2)),\"role\":\"worker\",\"content\":\"odd ? byte\""
check $? "of what a worker writes into its transcript itself, items alone are shown"
for start in 1 2 3; do
	printf '{"op":"transcript","runtime_id":"%s","worker_id":"%s","start":%d,"limit":1}\n' $runtime "$worker" $start
done >"$scratch/pages"
"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --workspace-root /srv/harbour --workspace-id local:harbour --data-dir '' batch \
	<"$scratch/pages" >"$out" 2>"$err"
[ "$(wc -l <"$out")" = 3 ] && [ "$(grep -o '"sequence":[0-9]*' "$out" | tr -dc '0-9\n' | paste -s -d ' ')" = '2 3 4' ]
check $? "pages of one item follow each other"
spawn json intake
worker=$(worker_id)
printf 'two\nlines' >"$scratch/large"
berth input $runtime "$worker" - <"$scratch/large"
[ -n "$worker" ] && await heard '"worker","content":"{\\"sequence\\":2,\\"role\\":\\"user\\",\\"content\\":\\"two\\\\u000alines\\"}"'
check $? "a command that reads JSON is given the whole item"

# ---- Several at once, and from several programs ----

# Which program sent what is told by its letter.
for sender in a b c; do
	i=0
	while [ $i -lt 12 ]; do
		i=$((i + 1))
		printf '{"op":"send_input","runtime_id":"%s","worker_id":"%s","request":{"content":"%s %d."}}\n' \
			$runtime "$worker" $sender $i
	done >"$scratch/requests-$sender"
	"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --workspace-root /srv/harbour --workspace-id local:harbour --data-dir '' batch \
		<"$scratch/requests-$sender" >"$scratch/answers-$sender" 2>&1 &
	eval "sender_$sender=\$!"
done
# shellcheck disable=SC2154 # assigned above
wait "$sender_a" "$sender_b" "$sender_c"
[ "$(cat "$scratch"/answers-* | grep -c '"accepted"')" = 36 ] &&
	[ "$(cat "$scratch"/answers-* | grep -o '"transcript_sequence":[0-9]*' | sort -u | wc -l)" = 36 ]
check $? "three programs send to one worker, and every input has a number of its own"
berth --json transcript $runtime "$worker"
[ "$(grep -o '"role":"user","content":"[abc] [0-9]*\."' "$out" | sort -u | wc -l)" = 36 ]
check $? "none of them is lost"
for sender in a b c; do
	grep -o "\"role\":\"user\",\"content\":\"$sender [0-9]*\." "$out" | grep -o '[0-9]*\.' | sort -n -c
done 2>"$err"
[ ! -s "$err" ]
check $? "those of one sender stand in their order"

# ---- Failures ----

spawn bad reviewer
[ $status = 1 ] && has incus_image_missing
check $? "an image that is missing is said to be"
berth spawn $runtime --companion
[ $status = 1 ] && has incus_role_unassigned
check $? "a role without an image is said to be"
for refusal in 'quota incus_quota_reached' 'quota_memory incus_quota_reached' 'forbidden incus_permission_denied' \
	'target_forbidden incus_permission_denied' 'incus_forbidden incus_permission_denied' 'disk_full incus_disk_full' \
	'incus_image_missing incus_image_missing' 'member_down incus_host_unreachable'; do
	control "{\"refuse\": \"${refusal% *}\"}"
	spawn "refused-$refusal" coder
	[ $status = 1 ] && has "${refusal#* }" && ! has '"berth"\|/var\|authorized\|member cannot'
	check $? "${refusal% *}: the reason is translated, without what is inside"
done
control '{"refuse": "quota"}'
spawn once coder
[ $status = 0 ] && [ "$(worker_id)" = "$first" ]
check $? "a request that was carried out is not refused for a limit when it is repeated"
control '{"refuse": "incus_exists"}'
spawn once coder
[ $status = 0 ] && [ "$(worker_id)" = "$first" ]
check $? "nor where Incus says in its words that it is there"
before=$(roots)
spawn ends orchestrator
worker=$(worker_id)
[ $status = 0 ] && await heard 'the worker ended with exit status 3'
check $? "a command that ends at once has a transcript that says so"
control '{"forget": true}'
spawn lost coder
[ $status = 1 ] && [ "$(roots)" -le $((before + 1)) ]
check $? "where the answer to a creation is lost, what was made is removed"
spawn lost coder
[ $status = 0 ]
check $? "and the same request makes it"
worker=$(worker_id)
# A spawn that dies on its way.
find "$scratch/containers" -maxdepth 1 -name '*-*' | sort >"$scratch/roots-before"
control '{"hang": 1}'
spawn half coder &
half=$!
created() {
	find "$scratch/containers" -maxdepth 1 -name '*-*' | sort | comm -13 "$scratch/roots-before" - | grep -q .
}
await created
# The program that it runs, not the shell.
for process in /proc/[0-9]*; do
	[ "$(cut -d ' ' -f 4 "$process/stat" 2>/dev/null)" != $half ] || kill -9 "${process#/proc/}"
done
wait $half 2>/dev/null
control '{"hang": 0}'
berth --json workers
[ "$(grep -o '"worker_id"' "$out" | wc -l)" = "$(wc -l <"$scratch/roots-before")" ]
check $? "a worker that was begun by a program that died is not listed"
spawn half coder
[ $status = 0 ] && [ "$(roots)" = $(($(wc -l <"$scratch/roots-before") + 1)) ]
check $? "the same request brings it to its end"

# ---- A member that is down ----

worker=$(worker_id)
{
	control '{"down": ["south"]}'
	berth --json worker $runtime "$worker"
	cat "$out"
} >"$scratch/down"
cp "$scratch/down" "$out"
has '"status":"unreachable"' && has incus_host_unreachable
check $? "a worker whose member is down is unreachable"
berth --json hosts
has '"status":"unreachable"' && has '"status":"available"'
check $? "and so is its host, alone"
berth input $runtime "$worker" hello
[ $status = 1 ] && has incus_host_unreachable
check $? "input to it is rejected with the reason"
program_begin
control '{"down": []}'
ask "\"op\":\"worker\",\"worker_id\":\"$worker\""
has '"status":"running"' && has '"role":"coder"'
check $? "it comes back by itself"
control '{"down": ["south"]}'
ask "\"op\":\"worker\",\"worker_id\":\"$worker\""
has '"status":"unreachable"' && has '"role":"coder"' && has '"state":"running"'
check $? "a program that knew it still knows what it was"
kill "$server" && wait "$server" 2>/dev/null
server=
ask "\"op\":\"list_workers\",\"worker_id\":\"$worker\""
has '"incus_unreachable"' && has '"role":"coder"' && has '"status":"unreachable"'
check $? "and so where the whole cluster is gone"
program_end

# ---- Events ----

stand_in "$@"
spawn told coder
worker=$(worker_id)
container=$(basename "$scratch/containers"/berth-*)
program_begin
cursor=''
# events [WORDS]: what is new; whether it has the words.
events() {
	ask "\"op\":\"read_events\"$cursor"
	cursor=",\"cursor\":\"$(sed -n 's/.*"next_cursor":"\([^"]*\)".*/\1/p' "$out")\""
	cat "$out" >>"$scratch/events"
	[ -z "${1-}" ] || grep -q -e "$1" "$scratch/events"
}
kinds() {
	grep -o '"kind":"[a-z_]*","occurred_at":[^,]*,"worker_id":"worker-[0-9a-f]*"' "$scratch/events" | grep "$1" | cut -d '"' -f 4 |
		tr '\n' ' '
}
: >"$scratch/events"
await events '"worker_created"' && [ "$(kinds "$worker")" = 'worker_created ' ]
check $? "events begin with the workers that are there"
ask "\"op\":\"stop_worker\",\"request\":{\"worker_id\":\"$worker\",\"mode\":\"force\"}"
await events '"worker_stopped"'
check $? "and go on with what happens"
events
events
[ "$(kinds "$worker")" = 'worker_created worker_stopped ' ]
check $? "each is told once"
spawn seen coder
other=$(worker_id)
await events "\"worker_created\",\"occurred_at\":[^,]*,\"worker_id\":\"$other\""
check $? "a worker that another program makes is told of"
ask "\"op\":\"read_events\",\"cursor\":\"00000000000000000000-00000000-9\""
has '"rejected"' && has incus_cursor_invalid
check $? "a cursor of another runtime is refused"
if grep -q lws_service "$BERTH_ADAPTER_DIR/incus.so"; then
	# streams N: that there are so many, while events are asked for.
	streams() {
		events
		stand >"$scratch/stands" && grep -q "\"streams\": $1[,}]" "$scratch/stands"
	}
	await streams 1
	check $? "who goes on asking listens to the cluster"
	container=$(basename "$scratch/containers"/*-"${other#worker-}")
	: >"$scratch/events"
	# What is told and not so cannot be seen by asking.
	control "{\"blink\": \"$container\"}"
	await events '"worker_started"' && [ "$(kinds "$other")" = 'worker_stopped worker_started ' ]
	check $? "what it tells is told on, also what has passed before anybody could ask"
	for said in '' '[]' '{' '"' '{"metadata": 1}' '{"metadata": {"action": "instance-stopped", "source": ""}}' \
		'{"metadata": {"action": 7, "source": "/1.0/instances/'"$container"'"}}' \
		'{"metadata": {"action": "instance-stopped", "source": "/1.0/instances/berth-000000000000-'"${other#worker-}"'"}}' \
		'{"timestamp": "9999-99-99T99:99:99", "metadata": {"action": "instance-file-pushed", "source": "/1.0/instances/'"$container"'"}}'; do
		control "$(python3 -c 'import json, sys; print(json.dumps({"say": sys.argv[1]}))' "$said")"
	done
	control '{"say": "12345678", "times": 25000}'
	: >"$scratch/events"
	control "{\"blink\": \"$container\"}"
	await events '"worker_started"' && [ "$(kinds "$other")" = 'worker_stopped worker_started ' ]
	check $? "what is no event, or none of ours, is passed over"
	control '{"cut": true}'
	await streams 1 && : >"$scratch/events" && control "{\"blink\": \"$container\"}" && await events '"worker_started"'
	check $? "where the stream is cut, it begins again"
	: >"$scratch/events"
	berth stop $runtime "$other" --force
	control "{\"cut\": true}"
	await events '"worker_stopped"' && [ "$(kinds "$other")" = 'worker_stopped ' ]
	check $? "and nothing is lost, nor told twice"
else
	echo "ok - who goes on asking listens to the cluster # SKIP this berth is built without libwebsockets"
fi
# Another program does not know when this one has told what. How far it goes back is bounded, so this is new.
spawn recent coder
other=$(worker_id)
await events "\"worker_created\",\"occurred_at\":[^,]*,\"worker_id\":\"$other\""
check $? "one more is told of"
program_end
program_begin
: >"$scratch/events"
events "\"worker_created\",\"occurred_at\":[^,]*,\"worker_id\":\"$other\""
check $? "a cursor of another program goes on a little before"
program_end

# ---- How much is asked ----

workspace_digest=$(printf 'workspace\0local:harbour' | openssl dgst -sha256 -r | cut -c 1-12)
mark=local-harbour-$(printf 'local:harbour' | openssl dgst -sha256 -r | cut -c 1-16)
stand_in 1000 "$workspace_digest" "$mark"
before=$(asked 'GET 1.0 instances')
berth --json workers --limit 5000
[ "$(grep -o '"worker_id"' "$out" | wc -l)" = 1000 ] && [ "$(asked 'GET 1.0 instances')" = $((${before:-0} + 1)) ] &&
	[ "$(stand | grep -o '"GET 1\.0' | wc -l)" = 1 ]
check $? "1,000 workers are listed with one request"
worker="worker-00000000000000000007"
berth --json worker $runtime $worker
[ $status = 0 ] && has "\"worker_id\":\"$worker\"" && [ "$(asked 'GET 1.0 instances')" = $((${before:-0} + 1)) ] &&
	[ "$(asked "GET 1.0 instances berth-$workspace_digest-${worker#worker-}")" = 1 ]
check $? "and one is looked up with one"
berth --json workers --limit 3
[ "$(grep -o '"worker_id"' "$out" | wc -l)" = 3 ]
check $? "no more are given than were asked for"

# ---- TLS ----

# certificate NAME OPTION...: a key and a certificate, for no name that anybody uses.
certificate() {
	name=$1
	shift
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" -days 2 -keyout "$scratch/$name.key" \
		-out "$scratch/$name.crt" "$@"
}
# over_tls SERVER: from one with that certificate, while the one named cluster is expected.
over_tls() {
	STAND_IN_TLS="$scratch/$1.crt $scratch/$1.key"
	export STAND_IN_TLS
	stand_in
	unset STAND_IN_TLS
	configure "\"servers\": \"https://127.0.0.1:$(cat "$scratch/containers/port")\", \"server_certificate\": \"$scratch/cluster.crt\",
		${options#"$socket",}"
}
# refused_tls: whoever it asks for events, nobody but us was listened to.
refused_tls() {
	berth --json runtimes
	has '"unavailable"' && has incus_unreachable || return 1
	program_begin
	cursor=''
	# Once it has listed twice it tries to listen again and again; one more connection may be that of the second list.
	n_before=$(asked TLS)
	listed() {
		events
		[ "$(asked TLS)" -ge $((n_before + 2)) ]
	}
	await listed
	n_before=$(asked TLS)
	tried() {
		[ "$(asked TLS)" -ge $((n_before + 2)) ]
	}
	! grep -q lws_service "$BERTH_ADAPTER_DIR/incus.so" || await tried
	tried=$?
	program_end
	[ $tried = 0 ] && ! stand | grep 'GET 1\.0' >"$out"
}
{
	certificate cluster && certificate stranger && certificate signed -CA "$scratch/cluster.crt" -CAkey "$scratch/cluster.key"
} >"$out" 2>"$err"
check $? "certificates are made"
over_tls stranger
refused_tls
check $? "a server with another certificate is not asked, nor listened to"
over_tls signed
refused_tls
check $? "nor one whose certificate is signed by that which is expected"
over_tls cluster
berth --json runtimes
has '"available"' && [ "$(asked 'GET 1.0 cluster members')" = 1 ]
check $? "a server with the certificate that is expected is asked, whatever its name"
if grep -q lws_service "$BERTH_ADAPTER_DIR/incus.so"; then
	program_begin
	cursor=''
	await streams 1
	check $? "and listened to"
	program_end
fi

# ---- What stays of a spawn that nobody repeats ----

configure "$(echo "$options" | sed 's/"spawn_timeout_s": 30/"spawn_timeout_s": 1/')"
stand_in "$@"
control '{"hang": 1}'
spawn stale coder &
half=$!
: >"$scratch/roots-before"
await created
for process in /proc/[0-9]*; do
	[ "$(cut -d ' ' -f 4 "$process/stat" 2>/dev/null)" != $half ] || kill -9 "${process#/proc/}"
done
wait $half 2>/dev/null
control '{"hang": 0}'
gone() {
	berth workers
	[ "$(roots)" = 0 ]
}
await gone
check $? "it is removed"

# ---- The contract ----

configure "$options"
stand_in "$@"
"$BERTH" conformance --options "{ $socket, \"roles\": { \"*\": { \"image\": \"busybox\", \"command\": [ \"sh\", \"-c\",
	\"while read -r line; do echo \\\"heard \${#line}\\\"; done\" ] } } }" ${BERTH_TEST_CHECK:+--check $BERTH_TEST_CHECK} \
	"$BERTH_ADAPTER_DIR/incus.so" >"$out" 2>"$err"
status=$?
[ $status = 0 ] && ! grep '^not ok' "$out"
check $? "berth conformance: $(grep -c '^ok' "$out") checks, of which $(grep -c SKIP "$out") are skipped"
