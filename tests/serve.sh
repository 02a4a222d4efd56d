#!/bin/sh
# SPDX-License-Identifier: MIT
# berth serve as its callers meet it: really started, asked by curl over a Unix socket and over TCP.
# Most functions are called by check, and what a check is about stands on a line of its own.
# shellcheck disable=SC2317,SC2181
set -u
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
: "${BERTH:?}" "${BERTH_ADAPTER_DIR:?}" "${ADMIN_CONF_DIR:?}"

if ! command -v curl >/dev/null; then
	skip "berth serve" "there is no curl"
	exit 0
fi
# What a proxy of this machine does must not matter.
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
unset RUNTIME_DIRECTORY XDG_RUNTIME_DIR LISTEN_PID LISTEN_FDS NOTIFY_SOCKET
socket=$scratch/s log=$scratch/log head=$scratch/head body=$scratch/body pid=
BERTH_CONFIG_ROOT=$scratch/root
export BERTH_CONFIG_ROOT

explain() {
	sed 's/^/head: /' "$head" 2>/dev/null
	[ ! -f "$body" ] || head -c 600 "$body" | sed 's/^/body: /'
}

if ! "$BERTH" --help | grep -q '^  serve' || "$BERTH" serve --socket "" 2>&1 | grep -q 'without libmicrohttpd'; then
	"$BERTH" serve --adapters none --socket "$socket" 2>"$scratch/err"
	[ $? = 3 ] && [ "$(wc -l <"$scratch/err")" -ge 1 ]
	check $? "berth serve says that it was left out"
	skip "berth serve" "it was left out"
	exit 0
fi

# A file that is no library comes before the one that is.
mkdir "$scratch/lib" && : >"$scratch/lib/libmicrohttpd.so.12"
LD_LIBRARY_PATH=$scratch/lib "$BERTH" serve --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir "" --socket "$socket" 2>"$log"
[ $? = 3 ] && [ "$(wc -l <"$log")" = 1 ] && grep -q 'libmicrohttpd.so.12.*: install it' "$log"
check $? "without the library that carries HTTP it ends, and says which"
LD_LIBRARY_PATH=$scratch/lib "$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir "" runtimes >"$body" 2>&1
check $? "whoever does not serve does without it"

end() {
	[ -z "$pid" ] || kill "$pid" 2>/dev/null
	[ -z "$pid" ] || wait "$pid" 2>/dev/null
	pid=
}
finish() {
	end
}

# A line that the log has, at the latest after ten seconds.
logged() {
	for _ in $(seq 200); do
		grep -q -e "$1" "$log" && return 0
		sleep 0.05
	done
	return 1
}

# Starts it with further options; the first words may be variables of its environment.
start() {
	: >"$log"
	"$BERTH" serve --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir "$scratch/data" --workspace-root /srv/harbour \
		"$@" >"$log.out" 2>"$log" &
	pid=$!
	logged '^berth: serving\|"message":"serving"'
}

# Whether it ends by itself with a status.
ended() {
	wait "$pid"
	set -- $? "$1"
	pid=
	[ "$1" = "$2" ]
}

# Asks over the Unix socket; leaves $status, $head and $body.
ask() {
	path=$1
	shift
	: >"$body"
	status=$(curl -sS -g --path-as-is --max-time 20 --unix-socket "$socket" -o "$body" -D "$head" -w '%{http_code}' \
		"$@" "http://localhost$path" 2>"$scratch/curl")
}

has() {
	grep -qF -e "$1" "$body"
}

header() {
	tr -d '\r' <"$head" | grep -qi -e "^$1\$"
}

# Whether the answer is an error in JSON of that status and kind.
is_error() {
	[ "$status" = "$1" ] && header 'content-type: application/json' && grep -q "^{\"error\":{\"kind\":\"$2\"" "$body" &&
		! grep -qi '<html' "$body"
}

# ---- Without anything to listen on, or to serve ----

"$BERTH" serve --adapters "" 2>"$scratch/err"
[ $? = 2 ] && [ "$(wc -l <"$scratch/err")" = 1 ]
check $? "wrong usage ends with 2"
for options in "--request-timeout 0" "--max-connections 0" "--log-format xml" "--tls-cert x" "--tls-client-ca x"; do
	# shellcheck disable=SC2086 # words are meant
	"$BERTH" serve $options 2>"$scratch/err"
	[ $? = 2 ] && [ "$(wc -l <"$scratch/err")" = 1 ]
	check $? "wrong usage: $options"
done

# refused TEXT OPTION...: it does not start, and says why in one line with the text.
refused() {
	text=$1
	shift
	timeout 20 "$BERTH" serve --adapter-dir "$BERTH_ADAPTER_DIR" --adapters remote-reserved "$@" 2>"$scratch/err" >/dev/null
	[ $? = 3 ] && [ "$(grep -cvE '^berth: (listening|the limit of open files)' "$scratch/err")" = 1 ] && grep -qF -e "$text" "$scratch/err"
}

refused "give --socket"
check $? "without a place for its socket it does not start"
touch "$scratch/file"
refused "a socket, or nothing, is expected there" --socket "$scratch/file"
check $? "a file in the place of the socket is left alone"
[ -f "$scratch/file" ]
check $? "and is still there"
refused "No such file" --socket "$scratch/nowhere/s"
check $? "a directory that is not there is named"
refused "at most" --socket "$(printf '%0200d' 0)" || refused "bytes is expected" --socket "$(printf '%0200d' 0)"
check $? "a path that is too long is refused"
refused "TCP wants bearer tokens" --listen 127.0.0.1:0
check $? "TCP wants tokens"
printf 'read abcdefghijklmnop\nwrite ABCDEFGHIJKLMNOP\n' >"$scratch/tokens"
refused "chmod 600" --listen 127.0.0.1:0 --token-file "$scratch/tokens"
check $? "tokens that others can read are refused"
chmod 600 "$scratch/tokens"
for address in 0.0.0.0:0 '[::]:0' 192.0.2.1:0; do
	refused "an address of the loopback is expected" --listen "$address" --token-file "$scratch/tokens"
	check $? "without TLS it does not listen on $address"
done
for address in localhost:80 127.0.0.1 127.0.0.1: :80 '[::1:80' 127.0.0.1:http 127.0.0.1:99999; do
	refused "ADDRESS:PORT is expected" --listen "$address" --token-file "$scratch/tokens"
	check $? "it does not listen on $address"
done
while IFS='|' read -r line what; do
	printf '%s\n' "$line" >"$scratch/bad"
	chmod 600 "$scratch/bad"
	refused "$scratch/bad: $what" --listen 127.0.0.1:0 --token-file "$scratch/bad"
	check $? "a token file is refused: $line"
done <<'END'
|at least one token
# read abcdefghijklmnop|at least one token
abcdefghijklmnop|line 1: read TOKEN
admin abcdefghijklmnop|line 1: read TOKEN
read short|line 1: a token of 16
read abcdefghijklmnop more|line 1: read TOKEN
read abcdefghijklmnöpq|line 1: a token of 16
END

# ---- Routes ----

mkdir -p "$scratch/data/pods/coder-1" "$scratch/data/pods/coder-2"
for name in coder-1 coder-2; do
	printf '{"worker_name":"%s","workspace_root":"/srv/harbour"}\n' $name >"$scratch/data/pods/$name/metadata.json"
done
local=local-worker-runtime embedded=embedded-worker-runtime remote=remote-worker-runtime
start --socket "$socket"
check $? "it serves"
[ "$(stat -c %a "$socket")" = 660 ]
check $? "the mode of the socket is 0660"

# The same request as a line of a batch, answered by a program of its own; $lead and $tail are what a list has beside.
same_as_batch() {
	printf '%s\n' "$2" | "$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir "$scratch/data" \
		--workspace-root /srv/harbour batch | tr -d '\n' >"$scratch/expected"
	# Times differ, and lists say whose they are.
	sed -i 's/"observed_at":"[^"]*"/"observed_at":"T"/g' "$scratch/expected"
	sed 's/"observed_at":"[^"]*"/"observed_at":"T"/g
		s/^{"workspace_id":"local:harbour","limit":[0-9]*,"items":/{"items":/
		s/,"source":"worker_runtime_registry","diagnostics":/,"diagnostics":/' "$body" >"$scratch/got"
	cmp -s "$scratch/expected" "$scratch/got"
	check $? "$1 is the answer of the batch protocol to the letter"
}

worker=$("$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir "$scratch/data" --workspace-root /srv/harbour --json workers |
	sed 's/.*"worker_id":"\(local-worker-coder-2-[0-9a-f]*\)".*/\1/')
host=$("$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir "$scratch/data" --workspace-root /srv/harbour --json hosts |
	sed 's/.*"host_id":"\(local-[^"]*\)".*/\1/')
while IFS='|' read -r path line; do
	ask "$path"
	[ "$status" = 200 ] && header 'content-type: application/json' && header 'x-request-id: .*' && header 'cache-control: no-store'
	check $? "GET $path"
	same_as_batch "GET $path" "$line"
done <<END
/api/runtimes|{"op":"list_runtimes"}
/api/runtimes?limit=1|{"op":"list_runtimes","limit":1}
/api/hosts|{"op":"list_hosts"}
/api/workers|{"op":"list_workers"}
/api/workers?limit=1|{"op":"list_workers","limit":1}
/api/workers?limit=0|{"op":"list_workers","limit":0}
/api/%77orkers?li%6Dit=%31&other=x&=|{"op":"list_workers","limit":1}
/api/workers?after=$local/$worker|{"op":"list_workers","after":"$local/$worker"}
/api/workers?after=$local%2F$worker|{"op":"list_workers","after":"$local/$worker"}
/api/hosts/$host/workers|{"op":"list_workers_for_host","host_id":"$host"}
/api/runtimes/$local/workers/$worker|{"op":"worker","runtime_id":"$local","worker_id":"$worker"}
/api/runtimes/$local/workers/$worker/transcript?start=3&limit=5|{"op":"transcript","runtime_id":"$local","worker_id":"$worker","start":3,"limit":5}
/api/runtimes/$remote/events?limit=3&cursor=x|{"op":"read_events","runtime_id":"$remote","limit":3,"cursor":"x"}
/api/runtimes/$local/workers/$worker/connect-points|{"op":"connect_points","runtime_id":"$local","worker_id":"$worker"}
END
ask '/api/workers?limit=1000'
grep -q '^{"workspace_id":"local:harbour","limit":200,"items":\[' "$body" &&
	grep -q '\],"source":"worker_runtime_registry","diagnostics":\[' "$body"
check $? "a list says whose it is, and that its limit was cut"

spawn='{"intent":{"kind":"ticket_role","ticket_id":"T-1","role":"coder"},"acceptance":{"kind":"run_accepted","expected_segments":0}}'
ask /api/runtimes/$embedded/workers -d "$spawn" -H 'Content-Type: text/plain'
[ "$status" = 200 ] && has '"state":"accepted"' && has worker-00000001
check $? "POST spawns, whatever the Content-Type"
ask /api/runtimes/$remote/workers -d "$spawn"
[ "$status" = 200 ] && has '"state":"unsupported"'
check $? "what a runtime does not support is an answer"
ask /api/runtimes/$embedded/workers/worker-00000001/input -d '{"content":"Ahoy"}'
[ "$status" = 200 ] && has '"transcript_sequence":1'
check $? "POST .../input sends input"
ask /api/runtimes/$embedded/workers/worker-00000001/input -d '{"content":" "}'
[ "$status" = 200 ] && has '"state":"rejected"'
check $? "what a runtime rejects is an answer"
ask /api/runtimes/$embedded/workers/worker-00000001/transcript
[ "$status" = 200 ] && has '"content":"Ahoy"'
check $? "GET .../transcript reads it"
ask /api/runtimes/$embedded/workers/worker-00000001/stop -d '{"worker_id":"worker-00000002","mode":"force"}'
is_error 400 bad_request && has 'the one of the path is expected'
check $? "a stop of another worker than the path's is refused"
ask /api/runtimes/$embedded/workers/worker-00000001/stop -d '{"worker_id":"worker-00000001","mode":"force"}'
[ "$status" = 200 ] && has '"state":"accepted"'
check $? "POST .../stop stops it"
ask /api/runtimes/$embedded/workers/worker-00000001/stop -d '{"mode":"graceful"}'
[ "$status" = 200 ] && has '"state":"accepted"'
check $? "and may leave out which, since the path says it"
for path in /healthz /readyz; do
	ask $path
	[ "$status" = 200 ] && [ "$(cat "$body")" = '{"status":"ok"}' ]
	check $? "GET $path"
done
ask /api/runtimes -I
[ "$status" = 200 ] && header 'content-length: [1-9][0-9]*' && ! has runtime_id
check $? "HEAD is GET without a body"
ask /api/runtimes -H 'X-Request-Id: mine:1'
header 'x-request-id: mine:1' && logged 'request mine:1: GET /api/runtimes: 200'
check $? "a request's own id is given back, and logged"
ask /api/runtimes -H 'X-Request-Id: {"a b"}'
! header 'x-request-id: {.*' && header 'x-request-id: [0-9a-f]\{8\}-[0-9a-f][0-9a-f]*'
check $? "but only where it is one"
first=$(grep -i '^x-request-id' "$head")
ask /api/runtimes
header 'x-request-id: [0-9a-f]\{8\}-[0-9a-f][0-9a-f]*' && [ "$(grep -i '^x-request-id' "$head")" != "$first" ]
check $? "a request without one has one of its own"

# ---- Errors ----

while IFS='|' read -r expected kind path options; do
	# shellcheck disable=SC2086 # words are meant
	ask "$path" $options
	is_error "$expected" "$kind"
	check $? "$expected $kind: $path $options"
done <<END
404|unknown_route|/
404|unknown_route|/api
404|unknown_route|/api/
404|unknown_route|/api/runtimes/
404|unknown_route|//api/runtimes
404|unknown_route|/api/runtimes/x
404|unknown_route|/api%2Fruntimes
404|unknown_route|/API/runtimes
404|unknown_route|/api/../healthz
404|unknown_route|/api/runtimes/a/workers/b/c/d/e/f/g
400|bad_request|/api/%zz
400|bad_request|/api/runtimes/%ff/workers/x
400|bad_request|/api/runtimes/%/workers/x
400|bad_request|/api/workers?limit=
400|bad_request|/api/workers?limit
400|bad_request|/api/workers?limit=-1
400|bad_request|/api/workers?limit=01
400|bad_request|/api/workers?limit=1.0
400|bad_request|/api/workers?limit=18446744073709551616
400|bad_request|/api/workers?limit=1&limit=1
400|bad_request|/api/workers?limit=%zz
400|bad_request|/api/workers?after=x
400|bad_request|/api/workers?after=%ff/x
400|invalid_identifier|/api/workers?after=a/b/c
404|unknown_runtime|/api/workers?after=nowhere/x
404|unknown_worker|/api/workers?after=$local/nobody
400|invalid_identifier|/api/hosts//workers
400|invalid_identifier|/api/hosts/a%2Fb/workers
400|invalid_identifier|/api/hosts/a%00b/workers
404|unknown_host|/api/hosts/nowhere/workers
400|invalid_identifier|/api/runtimes/a%20b/workers/c
400|invalid_identifier|/api/runtimes/a/workers/%C3%B6
404|unknown_runtime|/api/runtimes/nowhere/workers/x
404|unknown_worker|/api/runtimes/$local/workers/nobody
404|unknown_worker|/api/runtimes/$local/workers/nobody/transcript
404|unknown_worker|/api/runtimes/$local/workers/nobody/connect-points
404|unknown_worker|/api/runtimes/$embedded/workers/nobody/input|-d {"content":"x"}
404|unknown_worker|/api/runtimes/$embedded/workers/nobody/stop|-d {"mode":"force"}
400|bad_request|/api/runtimes/$embedded/workers|-d {}
400|bad_request|/api/runtimes/$embedded/workers|-d x
400|bad_request|/api/runtimes/$embedded/workers|-X POST
400|bad_request|/api/runtimes/$embedded/workers|-d {}{}
400|bad_request|/api/runtimes/not%20one/workers|-d {}
405|method_not_allowed|/api/runtimes/$embedded/workers
405|method_not_allowed|/api/runtimes|-d x
405|method_not_allowed|/api/runtimes|-X OPTIONS
405|method_not_allowed|/healthz|-X PUT
405|method_not_allowed|/api/batch
403|forbidden|/api/runtimes|-H Host:evil.example
403|forbidden|/api/runtimes|-H Host:localhost.evil.example
403|forbidden|/api/runtimes|-H Host:localhost:x
403|forbidden|/api/runtimes|-H Origin:http://evil.example
403|forbidden|/api/runtimes|-H Origin:null
403|forbidden|/api/runtimes|-H Origin:https://localhost
400|bad_request|/api/runtimes|-H Host:
END
# What stands in the request line counts, not Host.
for host in http://localhost http://evil.example; do
	ask / --request-target $host/api/runtimes
	if [ $host = http://localhost ]; then
		[ "$status" = 200 ] && has '"items":['
	else
		is_error 403 forbidden
	fi
	check $? "a whole URL in the request line: $host"
done
ask /api/runtimes/$embedded/workers
header 'allow: POST'
check $? "Allow says which methods there are"
ask /api/batch -X GET
header 'allow: POST'
check $? "also of a batch"
ask /api/runtimes -X DELETE
header 'allow: GET, HEAD'
check $? "GET goes with HEAD"
for value in Host:127.0.0.1:80 'Host:[::1]' Host:LOCALHOST Origin:http://localhost; do
	ask /api/runtimes -H "$value"
	[ "$status" = 200 ]
	check $? "$value is let in"
done

head -c 1048577 /dev/zero | tr '\0' ' ' >"$scratch/large"
ask /api/runtimes/$embedded/workers --data-binary "@$scratch/large"
is_error 413 too_large
check $? "a body of more than 1 MiB is refused"
ask /api/runtimes/$embedded/workers --data-binary "@$scratch/large" -H 'Transfer-Encoding: chunked'
is_error 413 too_large
check $? "also where its length is not said"
{
	head -c 1048450 /dev/zero | tr '\0' ' '
	printf '%s' "$spawn"
} >"$scratch/fits"
[ "$(wc -c <"$scratch/fits")" -le 1048576 ] || exit 1
ask /api/runtimes/$embedded/workers --data-binary "@$scratch/fits"
[ "$status" = 200 ] && has accepted
check $? "a body of 1 MiB is not"
ask /api/runtimes/$embedded/workers --data-binary "@$scratch/fits" -H 'Transfer-Encoding: chunked'
[ "$status" = 200 ] && has accepted
check $? "also in chunks"
ask /api/runtimes -H "X-Large: $(head -c 30000 /dev/zero | tr '\0' x)"
is_error 431 too_large
check $? "a head that is too large is refused in JSON"
ask "/api/runtimes?$(head -c 30000 /dev/zero | tr '\0' x)"
is_error 414 too_large
check $? "a target that is too long is refused in JSON"
ask /api/runtimes -d x -H 'Content-Length: x'
is_error 400 bad_request
check $? "a length that is none is refused in JSON"
ask /api/runtimes -H 'Content-Length: 99999999999999999999999'
is_error 413 too_large
check $? "a length that is out of all range is refused in JSON"

# ---- Batches ----

{
	printf '{"op":"list_workers","limit":1,"id":1}\nnonsense\n\n   \n'
	cat "$scratch/large"
	printf '\n{"op":"hello","protocol":1,"id":"last"}'
} >"$scratch/batch"
ask /api/batch --data-binary "@$scratch/batch"
[ "$status" = 200 ] && header 'transfer-encoding: chunked' && [ "$(wc -l <"$body")" = 4 ] &&
	sed -n 1p "$body" | grep -q '^{"id":1,"items":\[{' && sed -n 2p "$body" | grep -q '"kind":"bad_request"' &&
	sed -n 3p "$body" | grep -q '"kind":"too_large"' && sed -n 4p "$body" | grep -q '^{"id":"last","protocol":1'
check $? "a batch is answered line by line, in order, and only a line of more than 1 MiB is refused"
ask /api/batch -X POST
[ "$status" = 200 ] && [ ! -s "$body" ]
check $? "a batch without a line has no answer"
seq 100000 | sed 's/.*/{"op":"list_hosts","limit":0,"id":&}/' >"$scratch/batch"
ask /api/batch --data-binary "@$scratch/batch"
[ "$status" = 200 ] && [ "$(wc -l <"$body")" = 100000 ] && tail -n 1 "$body" | grep -q '^{"id":100000,"items":\[\]' &&
	[ "$(grep -o '^{"id":[0-9]*' "$body" | tr -dc '0-9\n' | awk '$1 != NR' | wc -l)" = 0 ]
check $? "a batch of 100,000 lines is answered in order"

# ---- Metrics, and the description ----

ask /metrics
[ "$status" = 200 ] && awk '
	/^# HELP / { helped[$3]++; next }
	/^# TYPE / { typed[$3] = $4; next }
	{
		name = $1
		sub(/{.*/, "", name)
		if (!(name in typed))
			sub(/_(bucket|sum|count)$/, "", name)
		if (helped[name] != 1 || !typed[name]) {
			print name
			wrong = 1
		}
	}
	END { exit wrong || length(typed) < 12 }' "$body" && grep -q '^berth_http_requests_active 1$' "$body" &&
	grep -q '^berth_followers 0$' "$body" && header 'x-content-type-options: nosniff' && ! header 'x-accel-buffering: .*'
check $? "each metric says once what it is"
n=$(sed -n 's/^berth_connections_total //p' "$body")
ask /metrics
[ "$(sed -n 's/^berth_connections_total //p' "$body")" = $((n + 1)) ]
check $? "each connection is counted once"
ask /metrics
[ "$status" = 200 ] && header 'content-type: text/plain; version=0.0.4; charset=utf-8' &&
	grep -q '^berth_http_requests_total{route="runtimes",code="200"} [1-9]' "$body" &&
	grep -q '^berth_http_requests_total{route="none",code="404"} [1-9]' "$body" &&
	grep -q '^berth_http_request_duration_seconds_bucket{route="workers",le="+Inf"} [1-9]' "$body" &&
	grep -q '^berth_adapter_state{adapter="embedded",state="active"} 1$' "$body" &&
	grep -q '^berth_runtime_calls_total{runtime_id="embedded-worker-runtime",operation="spawn_worker"} [1-9]' "$body" &&
	[ "$(grep '^berth_http_request_duration_seconds_count' "$body" | awk '{ n += $2 } END { print n }')" = \
		"$(grep '^berth_http_requests_total' "$body" | awk '{ n += $2 } END { print n }')" ] &&
	grep -q '^berth_runtime_call_failures_total{runtime_id="embedded-worker-runtime",operation="spawn_worker"} 0$' "$body"
check $? "the metrics count requests, calls and states"
! grep -v '^#' "$body" | grep -qv '^[a-z_]*\({[a-z_]*="[^"]*"\(,[a-z_]*="[^"]*"\)*}\)\? [0-9.]*$'
check $? "each line of them is one that Prometheus can read"
ask /api/openapi.json
[ "$status" = 200 ] && has '"openapi": "3.1.0"'
check $? "the description is served"

# ---- A second one ----

"$BERTH" serve --adapters none --adapter-dir "$BERTH_ADAPTER_DIR" --socket "$socket" 2>"$scratch/err"
[ $? = 3 ] && grep -q "already served by process $pid" "$scratch/err"
check $? "a second one sees that the socket is served, and by whom"
ask /healthz
[ "$status" = 200 ]
check $? "which the first one does not notice"

# ---- The end ----

kill -TERM "$pid"
ended 0
check $? "SIGTERM ends it with 0"
[ ! -e "$socket" ]
check $? "and its socket is gone"
start --socket "$socket"
kill -KILL "$pid"
wait "$pid" 2>/dev/null
[ -S "$socket" ]
check $? "killed, it leaves its socket behind"
# With an instance whose name wants to be more than that.
name='odd"} 1
n\ame'
mkdir -p "$scratch/root$ADMIN_CONF_DIR/adapters.d"
echo '{"adapter":"embedded"}' >"$scratch/root$ADMIN_CONF_DIR/adapters.d/$name.json"
start --socket "$socket" && ask /healthz && [ "$status" = 200 ]
check $? "which the next one replaces"
ask /metrics
grep -qxF 'berth_adapter_state{adapter="odd\"} 1\nn\\ame",state="active"} 1' "$body"
check $? "the name of an instance is one label of the metrics"
rm "$scratch/root$ADMIN_CONF_DIR/adapters.d/$name.json"
rm "$socket"
touch "$socket"
kill -INT "$pid"
ended 0 && [ -f "$socket" ]
check $? "SIGINT ends it as well, and what is not its socket stays"
rm "$socket"

# ---- TCP ----

tcp() {
	path=$1
	shift
	: >"$body"
	status=$(curl -sS -g --path-as-is --max-time 20 -o "$body" -D "$head" -w '%{http_code}' "$@" "http://$address$path" \
		2>"$scratch/curl")
}

start --socket "$socket" --listen 127.0.0.1:0 --token-file "$scratch/tokens" --allow-host berth.example \
	--allow-origin https://app.example --log-format json
address=$(sed -n 's/.*"message":"listening on \(127[0-9.:]*\)".*/\1/p' "$log")
[ -n "$address" ]
check $? "it listens on TCP beside the Unix socket"
read='Authorization: Bearer abcdefghijklmnop' write='Authorization: bearer  ABCDEFGHIJKLMNOP'
for path in /api/runtimes /healthz /metrics /nowhere; do
	tcp $path
	is_error 401 unauthorized && header 'www-authenticate: Bearer'
	check $? "without a token: $path"
done
for value in 'Bearer abcdefghijklmno' 'Bearer abcdefghijklmnopq' 'Bearer ' 'Basic abcdefghijklmnop' abcdefghijklmnop \
	'Bearer abcdefghijklmnop x'; do
	tcp /api/runtimes -H "Authorization: $value"
	is_error 401 unauthorized
	check $? "a token that is none: $value"
done
tcp /api/runtimes -H "$read"
[ "$status" = 200 ]
check $? "a token with the scope read reads"
tcp /api/runtimes/$embedded/workers -H "$read" -d "$spawn"
is_error 403 forbidden
check $? "and does not spawn"
for op in spawn_worker stop_worker send_input; do
	printf '{"op":"%s","runtime_id":"%s","worker_id":"worker-00000001","request":%s}\n' $op $embedded \
		'{"intent":{"kind":"workspace_companion"},"acceptance":{"kind":"run_accepted","expected_segments":0},"worker_id":"worker-00000001","mode":"force","content":"x"}'
done >"$scratch/batch"
echo '{"op":"list_hosts","limit":0}' >>"$scratch/batch"
tcp /api/batch -H "$read" --data-binary "@$scratch/batch"
[ "$status" = 200 ] && [ "$(grep -c '^{"error":{"kind":"forbidden","message":"[^"]*"}}$' "$body")" = 3 ] &&
	[ "$(sed -n 4p "$body")" = '{"items":[],"diagnostics":[]}' ]
check $? "nor do lines of a batch that change anything; the others are answered"
for path in /api/adapters /api/config; do
	tcp $path -H "$read"
	is_error 403 forbidden
	check $? "nor does it get $path, which names files"
done
tcp /api/runtimes/$embedded/workers -H "$write" -d "$spawn"
[ "$status" = 200 ]
check $? "a token with the scope write does"
tcp /api/runtimes -H "$read" -H "Host: ${address%:*}"
[ "$status" = 200 ]
check $? "Host may leave out the port"
tcp /api/runtimes -H "$read" -H 'Host: evil.example'
is_error 403 forbidden
check $? "another Host is not let in even with a token"
tcp /api/runtimes -H "$read" -H 'Host: Berth.example:8080' -H 'Origin: https://app.example'
[ "$status" = 200 ]
check $? "those that are allowed are"
printf 'read qrstuvwxyzabcdef\n' >"$scratch/tokens"
tcp /api/runtimes -H "$read"
is_error 401 unauthorized
check $? "a token that is taken out of the file is good no more"
tcp /api/runtimes -H 'Authorization: Bearer qrstuvwxyzabcdef'
[ "$status" = 200 ]
check $? "one that is put in is good at once"
printf 'nonsense\n' >"$scratch/tokens"
tcp /api/runtimes -H 'Authorization: Bearer qrstuvwxyzabcdef'
[ "$status" = 200 ] && logged 'the tokens that were read before stay good'
check $? "a file that is wrong changes nothing, which is said"
ask /api/runtimes
[ "$status" = 200 ]
check $? "the Unix socket wants no token"
logged '"request_id":"[0-9a-f-]*","method":"POST","target":"/api/runtimes/[a-z-]*/workers","listener":"127.0.0.1:[0-9]*","status":403,"bytes":[0-9]*,"ms":[0-9.]*}$' &&
	! grep -qv '^{"time":"[^"]*+00:00","level":"[a-z]*",.*}$' "$log"
check $? "each line of the log is an object"
logged '"level":"error",.*the tokens that were read before stay good' && logged '"level":"info",.*"request_id":"'
check $? "with its urgency"
! grep -q 'abcdefghijklmnop\|ABCDEFGHIJKLMNOP\|qrstuvwxyzabcdef' "$log"
check $? "and no token is in it"
end

# ---- TLS ----

# certificate NAME SUBJECT-ALTERNATIVE-NAME [CA]: NAME.pem and NAME.key, signed by the CA or by itself.
certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$1" \
		-addext "subjectAltName=$2" -keyout "$scratch/$1.key" -out "$scratch/$1.pem" \
		${3:+-CA "$scratch/$3.pem" -CAkey "$scratch/$3.key" -addext basicConstraints=critical,CA:false} 2>"$scratch/openssl"
}

tls() {
	path=$1
	shift
	: >"$body"
	status=$(curl -sS --max-time 20 --cacert "$scratch/ca.pem" -o "$body" -D "$head" -w '%{http_code}' "$@" \
		"https://localhost:${address##*:}$path" --connect-to "localhost:${address##*:}:127.0.0.1:${address##*:}" 2>"$scratch/curl")
}

if ! command -v openssl >/dev/null || ! curl --version | grep -q '^Features:.*SSL'; then
	skip "TLS" "there is no openssl, or curl has no TLS"
	exit 0
fi
certificate ca DNS:ca && certificate server DNS:localhost ca && certificate client DNS:client ca && certificate other DNS:client
check $? "certificates are made"
printf 'write ABCDEFGHIJKLMNOP\n' >"$scratch/tokens"
for files in "--tls-cert $scratch/nowhere --tls-key $scratch/server.key" "--tls-cert $scratch/server.pem --tls-key $scratch/tokens" \
	"--tls-cert $scratch/server.pem --tls-key $scratch/other.key"; do
	# shellcheck disable=SC2086 # words are meant
	refused "$scratch/nowhere" --listen 127.0.0.1:0 --token-file "$scratch/tokens" $files ||
		refused "certificate and its key" --listen 127.0.0.1:0 --token-file "$scratch/tokens" $files
	check $? "it does not start with $files"
done
start --listen 127.0.0.1:0 --listen 0.0.0.0:0 --token-file "$scratch/tokens" --tls-cert "$scratch/server.pem" \
	--tls-key "$scratch/server.key"
address=$(sed -n 's/^berth: listening on \(127[0-9.:]*\) with TLS/\1/p' "$log")
[ -n "$address" ] && grep -q '^berth: listening on 0.0.0.0:[0-9]* with TLS' "$log"
check $? "with TLS it listens on any address"
tls /api/runtimes -H "$write" && [ "$status" = 200 ] && has local-worker-runtime
check $? "it answers over TLS"
tls /api/runtimes && is_error 401 unauthorized
check $? "and wants tokens"
tls /api/runtimes -H "$write" -H "Origin: https://localhost:${address##*:}" && [ "$status" = 200 ]
check $? "its own origin is let in"
tls /api/runtimes -H "$write" -H "Origin: http://localhost:${address##*:}" && is_error 403 forbidden
check $? "without TLS it would be another"
tls "/api/runtimes?$(head -c 30000 /dev/zero | tr '\0' x)" -H "$write" && is_error 414 too_large
check $? "what cannot be read is refused in JSON over TLS"
seq 20000 | sed 's/.*/{"op":"list_runtimes","id":&}/' >"$scratch/batch"
tls /api/batch -H "$write" --data-binary "@$scratch/batch" && [ "$(wc -l <"$body")" = 20000 ]
check $? "a batch is streamed over TLS"
! tls /api/runtimes -H "$write" --tls-max 1.1 --ciphers DEFAULT@SECLEVEL=0
check $? "TLS 1.1 is not spoken"
tcp /api/runtimes
[ "$status" = 000 ]
check $? "nor is plain HTTP"
kill -TERM "$pid"
ended 0
check $? "it ends with 0"
start --listen 127.0.0.1:0 --token-file "$scratch/tokens" --tls-cert "$scratch/server.pem" --tls-key "$scratch/server.key" \
	--tls-client-ca "$scratch/ca.pem"
address=$(sed -n 's/^berth: listening on \(127[0-9.:]*\) with TLS/\1/p' "$log")
if grep -q 'without GnuTLS' "$log"; then
	skip "certificates of clients" "it was built without GnuTLS"
else
	tls /api/runtimes -H "$write" --cert "$scratch/client.pem" --key "$scratch/client.key" && [ "$status" = 200 ]
	check $? "a client with a certificate is let in"
	tls /api/runtimes --cert "$scratch/client.pem" --key "$scratch/client.key" && is_error 401 unauthorized
	check $? "but not without a token"
	tls /api/runtimes -H "$write" && is_error 401 unauthorized
	check $? "one without a certificate is not"
	tls /api/runtimes -H "$write" --cert "$scratch/other.pem" --key "$scratch/other.key" && is_error 401 unauthorized
	check $? "nor is one with a certificate of somebody else"
fi
end
