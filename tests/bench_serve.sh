#!/bin/sh
# SPDX-License-Identifier: MIT
# How fast berth serve answers GET /api/runtimes, beside nginx that serves the same bytes as a static file, and a bare
# program with berth's library of HTTP that has them ready, on the same processors in the same run, in turns; and what a
# million requests do to its memory. nginx is as it is installed, but for its log. --quick: once, and shortly.
# shellcheck disable=SC2016 # what is waited for is expanded later
# In the environment: BERTH, BERTH_ADAPTER_DIR, and BERTH_SERVE_FLOOR for that program. Tools that are missing are named, and their lines left out.
set -u
: "${BERTH:?}" "${BERTH_ADAPTER_DIR:?}"

rounds=5 seconds=3 requests=1000000 connections=32
if [ "${1-}" = --quick ]; then
	rounds=1 seconds=1 requests=50000
fi
scratch=$(mktemp -d "${TMPDIR:-/tmp}/berth-bench-XXXXXX") || exit 1
server='' nginx='' floor=''
end() {
	[ -z "$server" ] || kill "$server" 2>/dev/null
	[ -z "$nginx" ] || kill "$nginx" 2>/dev/null
	[ -z "$floor" ] || kill "$floor" 2>/dev/null
	wait 2>/dev/null
	rm -rf "$scratch"
}
trap end EXIT
for tool in curl wrk h2load nginx; do
	command -v $tool >/dev/null || echo "serve: $tool is missing, what needs it is left out"
done
command -v curl >/dev/null || exit 0
if "$BERTH" serve --adapters none --socket "" 2>&1 | grep -q 'without libmicrohttpd'; then
	echo "serve: left out, without libmicrohttpd"
	exit 0
fi

# A line of a log within ten seconds.
wait_for() {
	for _ in $(seq 200); do
		eval "$1" >/dev/null 2>&1 && return 0
		sleep 0.05
	done
	echo "serve: waited in vain: $1" >&2
	exit 1
}

echo "write bench-bench-bench-bench" >"$scratch/tokens"
chmod 600 "$scratch/tokens"
"$BERTH" serve --adapter-dir "$BERTH_ADAPTER_DIR" --adapters local-pod,embedded,remote-reserved --workspace-root /srv/harbour \
	--data-dir "" --socket "$scratch/s" --listen 127.0.0.1:0 --token-file "$scratch/tokens" >"$scratch/log" 2>&1 &
server=$!
wait_for 'grep -q "^berth: serving" "$scratch/log"'
berth_port=$(sed -n 's/^berth: listening on 127.0.0.1:\([0-9]*\)$/\1/p' "$scratch/log")
# Neither of the two writes a log of requests.
kill "$server"
wait "$server"
"$BERTH" serve --adapter-dir "$BERTH_ADAPTER_DIR" --adapters local-pod,embedded,remote-reserved --workspace-root /srv/harbour \
	--data-dir "" --socket "$scratch/s" --listen "127.0.0.1:$berth_port" --token-file "$scratch/tokens" \
	--log-level warning >"$scratch/log" 2>&1 &
server=$!
wait_for 'curl -sf --unix-socket "$scratch/s" http://localhost/readyz'
token="Authorization: Bearer bench-bench-bench-bench"
mkdir "$scratch/root"
curl -s --unix-socket "$scratch/s" http://localhost/api/runtimes >"$scratch/root/runtimes"

nginx_port=
if command -v nginx >/dev/null; then
	nginx_port=$((berth_port + 1))
	# It gives up root for a user who must be able to read this.
	chmod 755 "$scratch" "$scratch/root"
	cat >"$scratch/nginx.conf" <<-END
		daemon off;
		worker_processes auto;
		pid $scratch/nginx.pid;
		error_log stderr;
		events { worker_connections 4096; }
		http {
			access_log off;
			keepalive_requests 1000000000;
			default_type application/json;
			server {
				listen 127.0.0.1:$nginx_port;
				listen unix:$scratch/n;
				location = /api/runtimes { alias $scratch/root/runtimes; }
			}
		}
	END
	nginx -c "$scratch/nginx.conf" -p "$scratch" 2>"$scratch/nginx.log" &
	nginx=$!
	wait_for 'curl -sf http://127.0.0.1:$nginx_port/api/runtimes'
fi

floor_port=
if [ -x "${BERTH_SERVE_FLOOR-}" ]; then
	floor_port=$((berth_port + 2))
	"$BERTH_SERVE_FLOOR" "$scratch/root/runtimes" $floor_port "$scratch/f" &
	floor=$!
	wait_for 'curl -sf http://127.0.0.1:$floor_port/api/runtimes && curl -sf --unix-socket "$scratch/f" http://localhost/'
fi

median() {
	sort -g | awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)] }'
}

# wrk's times, in microseconds.
micros() {
	awk '/us$/ { print $1 + 0 } /[0-9]ms$/ { print 1000 * ($1 + 0) } /[0-9]s$/ && !/[mu]s$/ { print 1000000 * ($1 + 0) }'
}

run_wrk() {
	wrk -t 1 -c $connections -d ${seconds}s --latency -H "$token" "http://127.0.0.1:$2/api/runtimes" >"$scratch/out"
	if grep -q 'Non-2xx\|Socket errors' "$scratch/out"; then
		echo "serve: $1 was not answered well:" && cat "$scratch/out"
		exit 1
	fi
	sed -n 's,^Requests/sec: *,,p' "$scratch/out" >>"$scratch/$1.rate"
	sed -n 's/^ *50% *//p' "$scratch/out" | micros >>"$scratch/$1.p50"
	sed -n 's/^ *99% *//p' "$scratch/out" | micros >>"$scratch/$1.p99"
}

# h2load URI-OF-SOCKET N
run_h2load() {
	h2load --h1 -t 1 -c $connections -n "$3" -B "unix:$2" http://localhost/api/runtimes >"$scratch/out" 2>&1
	if ! grep -q "^status codes: $3 2xx" "$scratch/out"; then
		echo "serve: $1 was not answered well:" && cat "$scratch/out"
		exit 1
	fi
	sed -n 's/^finished in [^,]*, \([0-9.]*\) req.*/\1/p' "$scratch/out" >>"$scratch/$1.rate"
}

# The median of a figure; nothing where there is none.
of() {
	[ ! -f "$scratch/$1" ] || median <"$scratch/$1"
}

# LABEL FIGURE: of all three, and berth's in nginx's.
row() {
	printf '%-46s' "$1"
	for who in berth bare nginx; do
		of "$who-$2" | awk '{ printf "%10.0f", $1; n++ } END { if (!n) printf "%10s", "-" }'
	done
	echo "$(of "berth-$2") $(of "nginx-$2")" | awk 'NF == 2 { printf "%8.2f", $1 / $2 } END { print "" }'
}

printf '%-46s%10s%10s%10s%8s\n' "serve: GET /api/runtimes, $(wc -c <"$scratch/root/runtimes") bytes, medians of $rounds" \
	berth bare nginx ratio
i=0
while command -v wrk >/dev/null && [ $i -lt $rounds ]; do
	run_wrk berth-tcp "$berth_port"
	[ -z "$floor" ] || run_wrk bare-tcp $floor_port
	[ -z "$nginx" ] || run_wrk nginx-tcp $nginx_port
	i=$((i + 1))
done
if [ -f "$scratch/berth-tcp.rate" ]; then
	row "TCP with a token, wrk, requests/s" tcp.rate
	row "  half of the answers within, us" tcp.p50
	row "  99 of 100 within, us" tcp.p99
fi
i=0
while command -v h2load >/dev/null && [ $i -lt $rounds ]; do
	run_h2load berth-unix "$scratch/s" $((requests / 5))
	[ -z "$floor" ] || run_h2load bare-unix "$scratch/f" $((requests / 5))
	[ -z "$nginx" ] || run_h2load nginx-unix "$scratch/n" $((requests / 5))
	i=$((i + 1))
done
if [ -f "$scratch/berth-unix.rate" ]; then
	row "Unix socket, h2load --h1, requests/s" unix.rate
	before=$(ps -o rss= -p "$server")
	run_h2load memory "$scratch/s" $requests
	echo "memory before $requests requests more: $before KiB, after: $(ps -o rss= -p "$server") KiB"
fi
