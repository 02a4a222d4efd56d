#!/bin/sh
# SPDX-License-Identifier: MIT
# The units of systemd, what the service may do under them, and the example for nginx.
# shellcheck disable=SC2181 # what a check is about stands on a line of its own
set -u
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
: "${srcdir:?}" "${BERTH:?}" "${BERTH_ADAPTER_DIR:?}"

pids=
# shellcheck disable=SC2317 # the trap reaches it
finish() {
	for pid in $pids; do
		kill -KILL "$pid" 2>/dev/null
	done
}
unset BERTH_CONNECT BERTH_TOKEN_FILE
debian=$srcdir/packaging/debian

# Waits until a command succeeds; what it waits for is never in doubt, only when.
wait_for() {
	tries=0
	until "$@" 2>/dev/null; do
		tries=$((tries + 1))
		[ $tries -lt 600 ] || return 1
		sleep 0.05
	done
}

# ---- What systemd says of them ----

# The units as they are installed, but for where the program is.
mkdir "$scratch/units"
cp "$debian/berth-server.berth.socket" "$scratch/units/berth.socket"
sed "s|^ExecStart=/usr/bin/berth |ExecStart=$BERTH |" "$debian/berth-server.berth.service" \
	>"$scratch/units/berth.service"
if command -v systemd-analyze >/dev/null; then
	systemd-analyze verify --man=no "$scratch/units/berth.socket" "$scratch/units/berth.service" >"$scratch/log" 2>&1
	status=$?
	cat "$scratch/log"
	[ $status -eq 0 ] && [ ! -s "$scratch/log" ]
	check $? "systemd-analyze verify has nothing to say"
	# In tenths: OK ends at 2.0 there, EXPOSED at 7.0.
	systemd-analyze security --offline=yes --threshold=15 "$scratch/units/berth.service" >"$scratch/log" 2>&1
	check $? "systemd-analyze security counts 1.5 at the most"
	tail -n 1 "$scratch/log"
else
	skip "what systemd says of the units" "systemd-analyze is missing"
fi
if command -v systemd-sysusers >/dev/null; then
	mkdir -p "$scratch/root/etc"
	systemd-sysusers --root="$scratch/root" - <"$debian/berth-server.sysusers" >"$scratch/log" 2>&1
	grep -q '^berth:.*:/var/lib/berth:/usr/sbin/nologin$' "$scratch/root/etc/passwd" && grep -q '^berth:' "$scratch/root/etc/group"
	check $? "systemd-sysusers makes the user and its group"
else
	skip "the user" "systemd-sysusers is missing"
fi

# ---- A service ----

"$BERTH" --help >"$scratch/help"
if ! grep -q '^  serve' "$scratch/help" || "$BERTH" serve --socket "" 2>&1 | grep -q 'without libmicrohttpd'; then
	skip "a service under the units" "this program cannot serve"
	exit 0
fi
if "$BERTH" --connect "$scratch/none" runtimes 2>&1 | grep -q 'built with libcurl'; then
	skip "a service under the units" "this program cannot ask a service"
	exit 0
fi
set -- --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir "$srcdir/tests/sample" --workspace-root /srv/harbour
"$BERTH" "$@" --json workers >"$scratch/workers"
socket=$scratch/berth.sock

# shellcheck disable=SC2317 # wait_for reaches it
ask() {
	"$BERTH" --connect "$socket" --json workers 2>"$scratch/err" | cmp - "$scratch/workers"
}

# As systemd hands over the socket of berth.socket: nothing of it may be touched.
if command -v systemd-socket-activate >/dev/null; then
	systemd-socket-activate --listen="$socket" "$BERTH" serve "$@" >"$scratch/log" 2>&1 &
	pid=$!
	pids="$pids $pid"
	wait_for test -S "$socket" && wait_for ask
	check $? "it answers on the socket that it was handed"
	kill $pid
	wait $pid
	[ $? -eq 0 ] && [ -S "$socket" ]
	check $? "it ends with status 0, and leaves the socket in its place"
	rm -f "$socket"
else
	skip "socket activation" "systemd-socket-activate is missing"
fi

# The calls of a group, one a line; a group may have groups in it.
calls() {
	systemd-analyze syscall-filter "$1" </dev/null | sed -n 's/^    \([@a-z0-9_-]*\)$/\1/p' | while read -r name; do
		case $name in
		@*) calls "$name" ;;
		*) echo "$name" ;;
		esac
	done
}

if grep -q '^SANITIZER_CFLAGS = .' Makefile 2>/dev/null; then
	skip "system calls" "a sanitizer makes some of its own, and follows the program itself"
elif command -v strace >/dev/null && command -v systemd-analyze >/dev/null && strace -o /dev/null true 2>/dev/null; then
	strace -f -qq -o "$scratch/trace" "$BERTH" serve --socket "$socket" "$@" >"$scratch/log" 2>&1 &
	tracer=$!
	wait_for test -s "$scratch/trace"
	# It begins with what the program itself does.
	pid=$(sed -n '1s/ .*//p' "$scratch/trace")
	pids="$pids $pid $tracer"
	wait_for ask
	check $? "it answers while its calls are followed"
	"$BERTH" --connect "$socket" batch <"$srcdir/tests/golden/requests.jsonl" >/dev/null
	kill -HUP "$pid"
	"$BERTH" --connect "$socket" runtimes >/dev/null
	kill "$pid"
	wait $tracer
	check $? "it ends with status 0"
	sed -n 's/^[0-9]* *\([a-z0-9_]*\)(.*/\1/p' "$scratch/trace" | sort -u >"$scratch/used"
	calls @system-service | sort -u >"$scratch/in"
	{
		calls @privileged
		calls @resources
	} | sort -u >"$scratch/out"
	comm -23 "$scratch/used" "$scratch/in" >"$scratch/bad"
	# It may ask for its limits and is told that it may not know; nothing needs them.
	sed -n 's/^SystemCallFilter=\([a-z0-9_]*\)$/\1/p' "$debian/berth-server.berth.service" >"$scratch/named"
	echo prlimit64 >>"$scratch/named"
	comm -12 "$scratch/used" "$scratch/out" | grep -vxFf "$scratch/named" >>"$scratch/bad"
	sed 's/^/# /' "$scratch/bad"
	[ -s "$scratch/in" ] && [ "$(wc -l <"$scratch/used")" -gt 20 ] && [ ! -s "$scratch/bad" ]
	check $? "it makes no system call that the unit forbids ($(wc -l <"$scratch/used") kinds)"
	rm -f "$socket"
else
	skip "system calls" "strace is missing, or may not follow anything here"
fi

# ---- nginx in front ----

if ! command -v nginx >/dev/null || ! command -v openssl >/dev/null || ! command -v python3 >/dev/null; then
	skip "nginx in front" "nginx, openssl or python3 is missing"
	exit 0
fi
"$BERTH" serve --socket "$socket" "$@" >"$scratch/log" 2>&1 &
pids="$pids $!"
wait_for ask
check $? "a service for nginx"

# certificate NAME SUBJECT AUTHORITY: AUTHORITY is a name, or - for what signs itself.
certificate() {
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$scratch/$1.key" -subj "/CN=$2" \
		-addext "subjectAltName=DNS:$2,IP:127.0.0.1" ${3:+-CA "$scratch/$3.pem" -CAkey "$scratch/$3.key"} \
		-x509 -days 2 -out "$scratch/$1.pem" >"$scratch/log" 2>&1
}
certificate authority authority "" && certificate server berth.example authority && certificate me me authority &&
	certificate stranger stranger ""
check $? "there are certificates"

# The example itself, with other names for what belongs to a machine.
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
mkdir "$scratch/nginx"
cat >"$scratch/nginx.conf" <<END
daemon off;
master_process off;
pid $scratch/nginx/pid;
error_log $scratch/nginx/error.log;
events { worker_connections 128; }
http {
	access_log off;
	client_body_temp_path $scratch/nginx/body;
	proxy_temp_path $scratch/nginx/proxy;
	fastcgi_temp_path $scratch/nginx/fastcgi;
	uwsgi_temp_path $scratch/nginx/uwsgi;
	scgi_temp_path $scratch/nginx/scgi;
$(sed -e "s|unix:/run/berth/berth.sock|unix:$socket|" -e "s|listen 443 ssl|listen 127.0.0.1:$port ssl|" \
	-e '/listen \[::\]/d' -e "s|/etc/ssl/berth/server|$scratch/server|" \
	-e "s|/etc/ssl/berth/clients.pem|$scratch/authority.pem|" "$debian/examples/nginx.conf")
}
END
[ "$(id -u)" != 0 ] || sed -i '1i user root;' "$scratch/nginx.conf"
nginx -t -q -c "$scratch/nginx.conf" -e "$scratch/nginx/error.log" >"$scratch/log" 2>&1
check $? "nginx understands the example"
cat "$scratch/log"
nginx -c "$scratch/nginx.conf" -e "$scratch/nginx/error.log" &
pids="$pids $!"

# Through nginx, with the certificate of NAME.
through() {
	name=$1
	shift
	"$BERTH" --connect "https://127.0.0.1:$port" --ca-file "$scratch/authority.pem" --tls-cert "$scratch/$name.pem" \
		--tls-key "$scratch/$name.key" "$@" >"$scratch/out" 2>"$scratch/err" </dev/null
}
# shellcheck disable=SC2317 # wait_for reaches it
answers() {
	through me --json workers
}
wait_for answers
check $? "it answers through nginx"
cmp "$scratch/out" "$scratch/workers"
check $? "with the bytes that it has itself"
for command in runtimes adapters config check "workers --limit 1" "transcript nowhere nobody"; do
	# shellcheck disable=SC2086 # the words are to be split
	"$BERTH" --connect "$socket" $command >"$scratch/here" 2>"$scratch/err.here"
	# shellcheck disable=SC2086
	through me $command
	cmp "$scratch/out" "$scratch/here" && cmp "$scratch/err" "$scratch/err.here"
	check $? "the same through nginx: $command"
done
through stranger workers
[ $? -eq 3 ] && grep -q 'bad_request: ' "$scratch/err" && [ ! -s "$scratch/out" ]
check $? "a certificate of somebody else is refused"
"$BERTH" --connect "https://127.0.0.1:$port" --ca-file "$scratch/authority.pem" workers >"$scratch/out" 2>"$scratch/err"
[ $? -eq 3 ] && grep -q 'bad_request: ' "$scratch/err" && [ ! -s "$scratch/out" ]
check $? "no certificate as well"
"$BERTH" --connect "https://127.0.0.1:$port" --tls-cert "$scratch/me.pem" --tls-key "$scratch/me.key" workers \
	>"$scratch/out" 2>"$scratch/err"
[ $? -eq 3 ] && grep -q 'ca-file names who signs' "$scratch/err" && [ ! -s "$scratch/out" ]
check $? "the program does not trust whom it does not know"
# One who waits for each answer, through nginx.
mkfifo "$scratch/questions"
: >"$scratch/answers"
"$BERTH" --connect "https://127.0.0.1:$port" --ca-file "$scratch/authority.pem" --tls-cert "$scratch/me.pem" \
	--tls-key "$scratch/me.key" batch <"$scratch/questions" >"$scratch/answers" 2>"$scratch/err" &
batch=$!
pids="$pids $batch"
exec 8>"$scratch/questions"
# shellcheck disable=SC2317 # wait_for reaches it
has_answered() {
	[ "$(wc -l <"$scratch/answers")" -eq "$n" ]
}
n=0 in_step=0
while [ $n -lt 5 ] && [ $in_step = 0 ]; do
	n=$((n + 1))
	echo '{"op":"list_workers"}' >&8
	wait_for has_answered || in_step=1
done
exec 8>&-
wait $batch
[ $? -eq 0 ] && [ $in_step = 0 ] && sed -n 5p "$scratch/answers" | cmp - "$scratch/workers"
check $? "batch waits for each answer, through nginx"
if command -v curl >/dev/null; then
	status() {
		curl -s -o "$scratch/out" -w '%{http_code}' --cacert "$scratch/authority.pem" --cert "$scratch/me.pem" \
			--key "$scratch/me.key" "$@"
	}
	[ "$(status "https://127.0.0.1:$port/metrics")" = 404 ] &&
		[ "$(cat "$scratch/out")" = '{"error":{"kind":"unknown_route"}}' ]
	check $? "what is not for the outside is not there"
	head -c 1100000 /dev/zero | tr '\0' ' ' >"$scratch/large"
	[ "$(status --data-binary "@$scratch/large" "https://127.0.0.1:$port/api/runtimes/x/workers")" = 413 ] &&
		grep -q '^{"error":{"kind":"too_large"' "$scratch/out"
	check $? "a body that is too large is refused in JSON"
else
	skip "what nginx refuses itself" "curl is missing"
fi
