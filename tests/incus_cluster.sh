#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2317 # functions that await and trap call
# The adapter of clusters against a cluster of two real daemons, in namespaces of their own, which
# end with this script and all that runs in them. Installs the daemon of Debian where it is missing
# and that is possible. Where none can run this counts as skipped, but on Debian 12 as root as failed.
# incus_cluster.sh incus does the same with Incus, where that is installed.
# In the environment: BERTH, BERTH_ADAPTER_DIR, ADMIN_CONF_DIR.
set -u
: "${BERTH:?}" "${BERTH_ADAPTER_DIR:?}" "${ADMIN_CONF_DIR:?}"
brand=${1:-lxd}
PATH=$PATH:/usr/libexec/incus
case $brand in
lxd) program=lxd directory=LXD_DIR token=cluster_password ;;
incus) program=incusd directory=INCUS_DIR token=cluster_token ;;
*) echo "usage: $0 [lxd|incus]" >&2 && exit 2 ;;
esac

debian=$(sed -n 's/^VERSION_ID="\?\([0-9]*\)"\?$/\1/p' /etc/os-release 2>/dev/null)

skip() {
	if [ "$brand" = lxd ] && [ "$(id -u)" = 0 ] && [ "$debian" = 12 ] && grep -q '^ID=debian' /etc/os-release; then
		echo "not ok - a cluster of real daemons ($brand): $1"
		exit 1
	fi
	echo "ok - a cluster of real daemons ($brand) # SKIP $1"
	exit 0
}

needed=(lxd busybox-static iproute2 openssl python3)
install_daemon() {
	local policy=/usr/sbin/policy-rc.d made='' status=0
	# Nothing that is installed is to be started.
	[ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy && made=$policy; }
	{ apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "${needed[@]}"; } \
		>"${TMPDIR:-/tmp}/berth-install-$$" 2>&1 || status=$?
	[ "$status" = 0 ] || tail -n 5 "${TMPDIR:-/tmp}/berth-install-$$" | sed 's/^/# /'
	rm -f "${TMPDIR:-/tmp}/berth-install-$$" ${made:+"$made"}
	return "$status"
}

if [ -z "${BERTH_TEST_NAMESPACE-}" ]; then
	[ "$(id -u)" = 0 ] || skip "only root can start it"
	[ "$brand" = lxd ] || command -v "$program" >/dev/null || skip "it is not installed"
	if ! command -v "$program" >/dev/null || ! command -v ip >/dev/null || ! busybox true 2>/dev/null; then
		command -v apt-get >/dev/null || skip "there is no lxd, and no apt-get to install it with"
		SECONDS=0
		install_daemon || skip "lxd cannot be installed"
		echo "# installed in $SECONDS s"
	fi
	unshare -n -m -p -f --kill-child true 2>/dev/null || skip "there are no namespaces for it"
	BERTH_TEST_NAMESPACE=own exec unshare -n -m -p -f --kill-child --mount-proc "$0" "$@"
fi

scratch=$(mktemp -d "${TMPDIR:-/tmp}/berth-cluster-XXXXXX") || exit 1
chmod 711 "$scratch"
finish() {
	# All of it ends with the namespace; mounts and groups are to be gone before.
	kill -9 -1 2>/dev/null
	sync
	umount -l "$scratch"/*/devlxd "$scratch"/*/guestapi "$scratch"/*/shmounts "$scratch"/*/storage-pools/* "$scratch"/tiny* 2>/dev/null
	find /sys/fs/cgroup -depth -type d -name 'lxc*berth_*' -exec rmdir {} + 2>/dev/null
	rm -rf "$scratch"
}
trap 'finish 2>/dev/null' EXIT
LC_ALL=C
export LC_ALL
out=$scratch/out err=$scratch/err
runtime=incus-worker-runtime
failed=0
declare -A pids

check() {
	if [ "$1" = 0 ]; then
		printf 'ok - %s\n' "$2"
	else
		printf 'not ok - %s\n' "$2"
		sed 's/^/# /' "$out" "$err"
		failed=1
	fi
}

now() {
	date +%s%N
}

# The milliseconds since.
since() {
	echo $((($(now) - $1) / 1000000))
}

await() {
	local tries=300
	until "$@"; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 0.1
	done
}

# ---- The daemons ----

# daemon MEMBER
daemon() {
	mkdir -p "$scratch/$1"
	chmod 711 "$scratch/$1"
	env "$directory=$scratch/$1" "$program" --logfile "$scratch/$1.log" >"$scratch/$1.out" 2>&1 &
	pids[$1]=$!
}

# api MEMBER METHOD PATH [BODY]: as its admin. Waits for operations; prints what came of it.
api() {
	python3 - "$scratch/$1/unix.socket" "$2" "$3" "${4-}" <<-'END'
		import http.client, json, socket, sys, time
		def ask(method, path, body=None, headers={}):
		    connection = http.client.HTTPConnection('localhost')
		    connection.sock = socket.socket(socket.AF_UNIX)
		    connection.sock.connect(sys.argv[1])
		    connection.request(method, path, body, headers)
		    return json.loads(connection.getresponse().read())
		body = sys.argv[4]
		if body.startswith('@'):
		    body = open(body[1:], 'rb').read()
		answer = ask(sys.argv[2], sys.argv[3], body or None, {'Content-Type': 'application/octet-stream'})
		end = time.monotonic() + 30
		while answer['type'] == 'async' and answer['metadata']['class'] != 'token':
		    path, _, query = answer['operation'].partition('?')
		    try:
		        answer = ask('GET', path + '/wait?timeout=30&' + query)
		    except (OSError, http.client.HTTPException):
		        # Who becomes a member listens anew.
		        if time.monotonic() > end:
		            raise
		        time.sleep(0.1)
		print(json.dumps(answer['metadata']))
		if answer['error'] or (answer['metadata'] or {}) and isinstance(answer['metadata'], dict) and answer['metadata'].get('err'):
		    sys.exit(json.dumps(answer))
	END
}

serves() {
	api "$1" GET /1.0 >/dev/null 2>&1
}

# Both see both, and nobody misses anybody.
complete() {
	[ "$(api north GET '/1.0/cluster/members?recursion=1' 2>/dev/null | grep -o '"status": "Online"' | wc -l)" = 2 ]
}

start_cluster() {
	local join
	mount --make-rprivate /
	grep -q '^root:' /etc/subuid || printf 'root:100000:1000000\n' >"$scratch/subuid"
	[ ! -e "$scratch/subuid" ] || { mount --bind "$scratch/subuid" /etc/subuid && mount --bind "$scratch/subuid" /etc/subgid; }
	ip link set lo up && ip addr add 10.77.0.1/32 dev lo && ip addr add 10.77.0.2/32 dev lo || return 1
	daemon north
	daemon south
	await serves north && await serves south || return 1
	{
		api north PATCH /1.0 '{"config":{"core.https_address":"10.77.0.1:8443"}}' &&
			api north POST /1.0/storage-pools '{"name":"default","driver":"dir"}' &&
			api north PUT /1.0/cluster '{"server_name":"north","enabled":true}' &&
			api north POST /1.0/cluster/members '{"server_name":"south"}' >"$scratch/token"
	} >"$out" 2>"$err" || return 1
	join=$(python3 -c 'import base64, json, sys; t = json.load(sys.stdin)["metadata"]; print(base64.b64encode(json.dumps(
		{"server_name": t["serverName"], "fingerprint": t["fingerprint"], "addresses": t["addresses"], "secret": t["secret"],
		"expires_at": t["expiresAt"]}).encode()).decode())' <"$scratch/token")
	python3 - "$join" "$scratch/north/cluster.crt" "$token" >"$scratch/join" <<-'END'
		import json, sys
		print(json.dumps({'server_name': 'south', 'enabled': True, 'server_address': '10.77.0.2:8443',
		      'cluster_address': '10.77.0.1:8443', 'cluster_certificate': open(sys.argv[2]).read(), sys.argv[3]: sys.argv[1],
		      'member_config': [{'entity': 'storage-pool', 'name': 'default', 'key': 'source', 'value': ''}]}))
	END
	api south PUT /1.0/cluster "@$scratch/join" >"$out" 2>"$err" && await complete &&
		api north PATCH /1.0 '{"config":{"cluster.offline_threshold":"11"}}' >"$out" 2>"$err"
}

make_image() {
	local root=$scratch/image/rootfs name
	mkdir -p "$root/bin" "$root/sbin" "$root/dev" "$root/proc" "$root/sys" "$root/tmp"
	cp "$(command -v busybox)" "$root/bin/busybox"
	for name in $(busybox --list); do
		[ "$name" = busybox ] || ln -s busybox "$root/bin/$name"
	done
	printf 'architecture: %s\ncreation_date: 1700000000\n' "$(uname -m)" >"$scratch/image/metadata.yaml"
	tar -czf "$scratch/image.tar.gz" -C "$scratch/image" metadata.yaml rootfs
}

make_project() {
	make_image
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$scratch/client.key" -out "$scratch/client.crt" \
		-days 2 -subj /CN=berth 2>/dev/null
	cp "$scratch/client.crt" "$scratch/trusted.crt"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$scratch/stranger.key" \
		-out "$scratch/stranger.crt" -days 2 -subj /CN=stranger 2>/dev/null
	fingerprint=$(api north POST /1.0/images "@$scratch/image.tar.gz" | sed -n 's/.*"fingerprint": "\([0-9a-f]*\)".*/\1/p')
	api north POST /1.0/images/aliases "{\"name\":\"busybox\",\"target\":\"$fingerprint\"}" &&
		api north POST /1.0/projects '{"name":"berth","config":{"features.images":"false","features.profiles":"true",
			"features.storage.volumes":"false","restricted":"true","restricted.cluster.target":"allow"}}' &&
		api north PUT '/1.0/profiles/default?project=berth' \
			'{"config":{},"devices":{"root":{"type":"disk","pool":"default","path":"/"}}}' &&
		api north POST /1.0/certificates "{\"type\":\"client\",\"name\":\"berth\",\"restricted\":true,\"projects\":[\"berth\"],
			\"certificate\":\"$(openssl x509 -in "$scratch/client.crt" -outform der | base64 -w0)\"}"
}

# A pool without room for an image.
make_tiny() {
	local member
	for member in north south; do
		mkdir "$scratch/tiny-$member"
		chmod 711 "$scratch/tiny-$member"
		mount -t tmpfs -o size=1m none "$scratch/tiny-$member" && api north POST "/1.0/storage-pools?target=$member" \
			"{\"name\":\"tiny\",\"driver\":\"dir\",\"config\":{\"source\":\"$scratch/tiny-$member\"}}" || return 1
	done
	api north POST /1.0/storage-pools '{"name":"tiny","driver":"dir"}' &&
		api north POST '/1.0/profiles?project=berth' '{"name":"tiny","devices":{"root":{"type":"disk","pool":"tiny","path":"/"}}}'
}

# set_limit KEY VALUE: of the project.
set_limit() {
	api north GET /1.0/projects/berth | python3 -c 'import json, sys
project = json.load(sys.stdin)
project["config"][sys.argv[1]] = sys.argv[2]
print(json.dumps({"description": "", "config": project["config"]}))' "$1" "$2" >"$scratch/limits" && api north PUT /1.0/projects/berth "@$scratch/limits"
}

begin=$(now)
if ! start_cluster; then
	tail -n 3 "$scratch"/*.log "$scratch"/*.out "$err" 2>/dev/null | sed 's/^/# /'
	skip "the daemons do not come up here"
fi
echo "# two members are ready after $(since "$begin") ms, with $(ps -o rss= -p "${pids[north]},${pids[south]}" | awk '{ n += $1 } END { print int(n / 1024) }') MiB"
{ make_project && make_tiny; } >"$out" 2>"$err"
check $? "a project, an image and a certificate that may use no other project"

# ---- berth ----

# configure NAME CERTIFICATE SERVERS SERVER-CERTIFICATE [PROJECT]
configure() {
	mkdir -p "$scratch/$1$ADMIN_CONF_DIR/adapters.d"
	cat >"$scratch/$1$ADMIN_CONF_DIR/adapters.d/incus.json" <<-END
		{ "adapter": "incus", "options": { "servers": "$3", "project": "${5-berth}", "timeout_s": 5, "stop_timeout_s": 2,
		"certificate": "$scratch/$2.crt", "key": "$scratch/$2.key", "server_certificate": "$4", "roles": {
		"coder": { "image": "busybox", "target": "south", "memory": "64MiB", "cpu": "1", "processes": 50, "command": [ "sh", "-c",
		"while read -r line; do [ \"\$line\" = bye ] && exit 7; echo \"heard \$line.\"; done" ] },
		"intake": { "image": "busybox", "target": "north", "command": [ "sh", "-c", "trap : TERM; while :; do sleep 1; done" ] },
		"orchestrator": { "image": "busybox", "target": "north", "profiles": [ "tiny" ], "command": [ "cat" ] },
		"reviewer": { "image": "none", "command": [ "cat" ] } } } }
	END
}
north_url=https://10.77.0.1:8443 south_url=https://10.77.0.2:8443
configure asks-north client $north_url "$scratch/north/cluster.crt"
configure asks-south client $south_url "$scratch/north/cluster.crt"
configure asks-both client "$south_url $north_url" "$scratch/north/cluster.crt"
configure stranger stranger $north_url "$scratch/north/cluster.crt"
configure impostor client $north_url "$scratch/stranger.crt"
configure elsewhere client $north_url "$scratch/north/cluster.crt" default
root=asks-north

berth() {
	BERTH_CONFIG_ROOT=$scratch/$root "$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --workspace-root /srv/harbour \
		--workspace-id local:harbour --data-dir '' "$@" >"$out" 2>"$err"
	status=$?
}

has() {
	grep -q -e "$1" "$out"
}

worker_id() {
	sed -n 's/.*"worker_id":"\(worker-[0-9a-f]*\)".*/\1/p' "$1"
}

request() {
	printf '{"intent":{"kind":"ticket_role","ticket_id":"T-1","role":"%s"},"acceptance":{"kind":"run_accepted","expected_segments":0},"request_id":"%s"}' \
		"$2" "$1"
}

# heard ROOT WORDS
heard() {
	berth --json transcript "$runtime" "$worker"
	has "$1"
}

root=stranger
berth --json runtimes
has '"unavailable"' && has incus_permission_denied
check $? "a certificate that is not trusted is refused"
root=impostor
berth --json runtimes
has '"unavailable"' && has incus_unreachable
check $? "a server with another certificate is not talked to"
root=elsewhere
berth --json workers
has incus_permission_denied
check $? "a project that the certificate may not use is refused"
root=asks-north
berth --json hosts
[ "$(grep -o '"status":"available"' "$out" | wc -l)" = 2 ] && ! has 'north\|south\|10\.77'
check $? "both members are hosts, without their names and addresses"
begin=$(now)
berth --json spawn $runtime --request "$(request one coder)"
took=$(since "$begin")
worker=$(worker_id "$out")
[ $status = 0 ] && [ -n "$worker" ] && has incus_worker_ready
check $? "a worker is placed on the member that is not asked"
echo "# spawned in $took ms"
[ "$(api north GET '/1.0/instances?recursion=1&project=berth' | grep -o '"location": "south"' | wc -l)" = 1 ]
check $? "the cluster has it there"
berth input $runtime "$worker" "first"
[ $status = 0 ] && await heard '"heard first\."'
check $? "it takes input and answers"
berth --json spawn $runtime --request "$(request no reviewer)"
[ $status = 1 ] && has incus_image_missing
check $? "an image that is missing is said to be"
berth --json spawn $runtime --request "$(request tight orchestrator)"
[ $status = 1 ] && has incus_disk_full
check $? "a disk that is full is said to be"
for limit in limits.instances=1 limits.containers=1 limits.memory=65MiB; do
	set_limit "${limit%=*}" "${limit#*=}" >"$out" 2>"$err" && berth --json spawn $runtime --request "$(request more coder)"
	[ "${status:-0}" = 1 ] && has incus_quota_reached
	check $? "$limit: a limit of the project that is reached is said to be"
	berth --json spawn $runtime --request "$(request one coder)"
	[ "${status:-1}" = 0 ] && [ "$(worker_id "$out")" = "$worker" ]
	check $? "and is none for a request that is repeated"
	set_limit "${limit%=*}" '' >"$out" 2>"$err"
done
[ "$(api north GET '/1.0/instances?project=berth' | grep -o berth- | wc -l)" = 1 ]
check $? "nothing is left of what was refused"
berth --json spawn $runtime --request "$(request other intake)"
other=$(worker_id "$out")
berth stop $runtime "$other"
[ $status = 1 ] && has incus_worker_still_running
check $? "a worker that does not stop in time says so"
berth stop $runtime "$other" --force
[ $status = 0 ] && berth --json worker "$runtime" "$other" && has '"status":"stopped"'
check $? "a forced stop stops it"
berth --json transcript "$runtime" "$other"
has 'the worker was started'
check $? "its transcript can still be read"

# ---- Two programs at once, through both members ----

for side in north south; do
	root=asks-$side
	{
		printf '{"op":"spawn_worker","runtime_id":"%s","request":%s}\n' $runtime "$(request shared coder)"
		for i in 1 2 3 4 5 6 7 8 9 10; do
			printf '{"op":"send_input","runtime_id":"%s","worker_id":"%s","request":{"content":"%s %d"}}\n' $runtime \
				"$worker" $side $i
		done
	} | BERTH_CONFIG_ROOT=$scratch/$root "$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --workspace-root /srv/harbour \
		--workspace-id local:harbour --data-dir '' batch >"$scratch/answers-$side" 2>"$scratch/errors-$side" &
	eval "batch_$side=\$!"
done
# shellcheck disable=SC2154 # assigned above
wait "$batch_north" "$batch_south"
root=asks-north
cat "$scratch"/answers-* "$scratch"/errors-* >"$out"
shared=$(worker_id "$scratch/answers-north")
[ -n "$shared" ] && [ "$(worker_id "$scratch/answers-south")" = "$shared" ]
check $? "two programs that ask for the same at once get one worker"
[ "$(grep -c '"transcript_sequence"' "$out")" = 20 ]
check $? "all input of two programs at once is accepted"
all_heard() {
	berth --json transcript "$runtime" "$worker"
	[ "$(grep -o '"heard \(north\|south\) [0-9]*\."' "$out" | sort -u | wc -l)" = 20 ]
}
await all_heard
check $? "all of it has reached the worker, once"
[ "$(grep -o '"role":"user","content":"[a-z]* [0-9]*"' "$out" | sort -u | wc -l)" = 20 ] &&
	[ "$(grep -o '"sequence":[0-9]*' "$out" | sort | uniq -d | wc -l)" = 0 ]
check $? "and stands in the transcript, with a sequence of its own"

# ---- What happens is told ----

coproc WATCH { BERTH_CONFIG_ROOT=$scratch/asks-north "$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --workspace-root /srv/harbour \
	--workspace-id local:harbour --data-dir '' batch 2>"$scratch/watch-errors"; }
# ask REQUEST: of one program that goes on.
ask() {
	printf '%s\n' "$1" >&"${WATCH[1]}"
	read -r -t 60 answer <&"${WATCH[0]}"
	printf '%s\n' "$answer" >"$out"
}
cursor=''
# told WORDS: what is new, and whether they were told.
told() {
	ask "{\"op\":\"read_events\",\"runtime_id\":\"$runtime\"$cursor}"
	cursor=",\"cursor\":\"$(sed -n 's/.*"next_cursor":"\([^"]*\)".*/\1/p' "$out")\""
	cat "$out" >>"$scratch/told"
	grep -q "$1" "$scratch/told"
}
# container WORKER: what it is called.
container() {
	api north GET '/1.0/instances?recursion=1&project=berth' | grep -o "\"name\": \"berth-[0-9a-f]*-${1#worker-}\"" | cut -d '"' -f 4
}
await told "\"worker_created\",\"occurred_at\":[^,]*,\"worker_id\":\"$shared\""
check $? "events tell of what was made"
if grep -q lws_service "$BERTH_ADAPTER_DIR/incus.so"; then
	name=$(container "$shared")
	: >"$scratch/told"
	# It is over before a list could show it.
	blinked() {
		api south PUT "/1.0/instances/$name/state?project=berth" '{"action":"restart","force":true}' >"$err" 2>&1
		told "\"worker_stopped\",\"occurred_at\":[^,]*,\"worker_id\":\"$shared\".*\"worker_started\",\"occurred_at\":[^,]*,\"worker_id\":\"$shared\""
	}
	await blinked
	check $? "and of what has passed, as the cluster tells it"
fi

# ---- A member goes down and comes back ----

berth --json transcript "$runtime" "$worker"
cp "$out" "$scratch/before"
ask "{\"op\":\"list_workers\"}"
: >"$scratch/told"
kill -9 "${pids[south]}"
wait "${pids[south]}" 2>/dev/null
# Its containers go on without it.
unreachable() {
	ask '{"op":"list_workers"}'
	has '"status":"unreachable"'
}
await unreachable
check $? "a worker whose member is down is unreachable"
grep -o "\"worker_id\":\"$worker\".*" "$out" | grep -q '"role":"coder".*"state":"running","status":"unreachable"'
check $? "and shown as it was"
await told worker_unreachable
check $? "an event tells of it"
begin=$(now)
berth input $runtime "$worker" "lost"
[ $status = 1 ] && has 'incus_host_unreachable\|incus_timed_out'
check $? "input is rejected with the reason, after $(since "$begin") ms"
berth --json workers
has "$worker"
check $? "a program that begins now lists it as well"
berth --json spawn $runtime --request "$(request meanwhile intake)"
[ $status = 0 ]
check $? "the other member serves"
daemon south
running() {
	berth --json worker "$runtime" "$worker"
	has '"status":"running"'
}
await serves south && await running
check $? "it comes back by itself"
await told '"worker_started"'
check $? "an event tells of that"
# The cluster may miss it once more where the machine is busy; then the transcript is refused.
read_again() {
	heard 'the worker was started'
	[ "$status" = 0 ]
}
await read_again
! has '"lost"' && [ "$(sed 's/.*"items"://; s/,"diagnostics".*//; s/\]$//' "$scratch/before")" = \
	"$(sed 's/.*"items"://; s/,"diagnostics".*//' "$out" | cut -c "1-$(($(sed 's/.*"items"://; s/,"diagnostics".*//; s/\]$//' "$scratch/before" | wc -c) - 1))")" ]
check $? "nothing of its transcript is lost or otherwise"
root=asks-both
berth input $runtime "$worker" "after"
[ $status = 0 ] && await heard '"heard after\."'
check $? "the worker itself has not noticed"

# ---- The container dies ----

berth --json transcript "$runtime" "$worker"
last=$(grep -o '"sequence":[0-9]*' "$out" | tail -n 1 | tr -dc '0-9')
name=$(container "$worker")
kill -9 "$(api south GET "/1.0/instances/$name/state?project=berth" | sed -n 's/.*"pid": \([0-9]*\).*/\1/p')"
stopped() {
	berth --json worker "$runtime" "$worker"
	has '"status":"stopped"'
}
await stopped
check $? "a container that was killed is stopped"
start_again() {
	api south PUT "/1.0/instances/$name/state?project=berth" '{"action":"start"}' >"$out" 2>"$err"
}
await start_again && await running && await heard "\"sequence\":$((last + 1)),\"role\":\"system\",\"content\":\"the worker was started\""
check $? "started again it goes on with the next sequence"
berth input $runtime "$worker" bye
[ $status = 0 ] && await heard 'ended with exit status 7' && await stopped
check $? "the exit status ends the transcript, and the worker is stopped"
exit $failed
