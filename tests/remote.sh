#!/bin/sh
# SPDX-License-Identifier: MIT
# The program where it asks a service: every command gives there what it gives here, and
# whatever else may be at the other end is an error on one line.
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
unset COLUMNS XDG_DATA_HOME BERTH_CONNECT BERTH_TOKEN_FILE
HOME=$scratch/home
export HOME
mkdir "$HOME"
out=$scratch/out err=$scratch/err sample=$srcdir/tests/sample

# Runs the program into $out, $err and $status.
berth() {
	"$BERTH" "$@" >"$out" 2>"$err" </dev/null
	status=$?
}

one_error() {
	[ ! -s "$out" ] && [ "$(wc -l <"$err")" -eq 1 ] && grep -q '^berth: .' "$err"
}

refused() {
	one_error && [ "$status" -eq "$1" ]
}

says() {
	grep -qF -e "$1" "$err" && return 0
	sed 's/^/# /' "$err"
	return 1
}

# Waits until a command succeeds; what it waits for is never in doubt, only when.
wait_for() {
	tries=0
	until "$@" 2>/dev/null; do
		tries=$((tries + 1))
		[ $tries -lt 600 ] || return 1
		sleep 0.05
	done
}

berth --connect "$scratch/none" runtimes
if grep -q 'built with libcurl' "$err"; then
	berth --connect "$scratch/none" batch
	refused 3
	check $? "a program without libcurl says so"
	skip "everything else" "this program cannot ask a service"
	exit 0
fi

# ---- Wrong usage ----

berth --connect relative/berth.sock runtimes
refused 2 && says "the absolute path of a socket, unix:PATH, http://... or https://... is expected"
check $? "where to connect is a path from the root or a URL"
berth --connect unix:berth.sock runtimes
refused 2 && says "an absolute path is expected"
check $? "so it is behind unix:"
berth --connect "/$(printf '%0200d' 0)" runtimes
refused 2 && says "at most 107 bytes"
check $? "the path of a socket has its limit"
for url in http:// 'http://localhost/?x=1' 'http://localhost/#x' 'http://local host/' http://localhost:99999; do
	berth --connect "$url" runtimes
	refused 2 && says "is expected"
	check $? "$url is no address of a service"
done
berth --connect http://me:hunter2@localhost/ runtimes
refused 2 && says "--token-file is expected instead" && ! grep -q hunter2 "$err"
check $? "a password in a URL is refused, and not repeated"
for option in --workspace-root=/ --workspace-id=x --data-dir=/ --adapters=embedded --adapter-dir=/ --require=embedded \
	--config-root=/; do
	berth --connect "$scratch/none" "$option" runtimes
	refused 2 && says "${option%%=*}: does not go with --connect"
	check $? "${option%%=*} is the service's"
done
for option in --token-file=x --ca-file=x --tls-cert=x --tls-key=x --timeout=1; do
	berth "$option" runtimes
	refused 2 && says "${option%%=*}: goes with --connect alone"
	check $? "${option%%=*} needs a service"
done
for seconds in 0 86401 1.5; do
	berth --connect "$scratch/none" --timeout $seconds runtimes
	refused 2 && says "--timeout $seconds"
	check $? "--timeout $seconds is no time"
done
berth --connect "$scratch/none" adapters inspect "$BERTH_ADAPTER_DIR/embedded.so"
refused 2 && says "--connect: does not go with adapters inspect"
check $? "what a plugin says of itself is read here"

# ---- Nobody there ----

berth --connect "$scratch/none" runtimes
refused 3 && says "no service at unix:$scratch/none: No such file or directory; start it with berth serve"
check $? "no socket"
berth --connect "unix:$scratch/none" batch
[ $status -eq 0 ] && [ ! -s "$out" ] && [ ! -s "$err" ]
check $? "batch that is asked nothing asks nothing"
echo '{"op":"list_workers"}' | "$BERTH" --connect "$scratch/none" batch >"$out" 2>"$err"
status=$?
refused 3 && says "no service at"
check $? "batch that is asked something says who is not there"
BERTH_CONNECT=$scratch/none berth runtimes
refused 3 && says "no service at"
check $? "BERTH_CONNECT is heard"
BERTH_CONNECT=$scratch/none berth --connect '' --adapter-dir "$BERTH_ADAPTER_DIR" runtimes
[ $status -eq 0 ]
check $? "an empty --connect goes over it"
BERTH_CONNECT=$scratch/none berth adapters inspect "$BERTH_ADAPTER_DIR/embedded.so"
[ $status -eq 0 ]
check $? "adapters inspect does not hear it"

# ---- Tokens ----

# with_token MODE TEXT
with_token() {
	# shellcheck disable=SC2059 # it is a format
	printf "$2" >"$scratch/token"
	chmod "$1" "$scratch/token"
	berth --connect "$scratch/none" --token-file "$scratch/token" runtimes
}

with_token 600 ''
refused 2 && says "a line with a token"
check $? "an empty file has no token"
with_token 600 '# all is comment\n\n   # here too\n'
refused 2 && says "a line with a token"
check $? "comments are no token"
with_token 600 'ab\\001c\n'
refused 2 && says "a line with a token" && ! grep -q ab "$err"
check $? "a token of other characters is refused, and not repeated"
with_token 644 'abc\n'
refused 2 && says "mode 0644"
check $? "a token for everyone to read is refused"
berth --connect "$scratch/none" --token-file "$scratch" runtimes
refused 2 && says "a regular file is expected"
check $? "a directory is no token"
berth --connect "$scratch/none" --token-file "$scratch/no-file" runtimes
refused 2 && says "No such file"
check $? "a token that is not there"
with_token 600 '# mine\n\nread abc\nwrite def\n'
refused 3 && says "no service at"
check $? "a token with its scope before it is one"
for url in http://192.0.2.1 http://127.berth.example http://localhost.berth.example; do
	berth --connect "$url" --token-file "$scratch/token" runtimes
	refused 2 && says "the token would be sent for all to read"
	check $? "a token is not sent to $url"
done

# ---- What is no service ----

if command -v python3 >/dev/null; then
	mkdir "$scratch/odd"
	mkfifo "$scratch/odd/life"
	python3 "$srcdir/tests/odd_services.py" "$scratch/odd" <"$scratch/odd/life" &
	pids="$pids $!"
	exec 9>"$scratch/odd/life"
	wait_for test -e "$scratch/odd/ready" || exit 1

	requests() {
		wc -l <"$scratch/odd/$1.requests"
	}

	# odd NAME OPTION... : asks it, and it must be an error.
	odd() {
		name=$1
		shift
		http_proxy=http://127.0.0.1:9 ALL_PROXY=http://127.0.0.1:9 berth --connect "$scratch/odd/$name.sock" "$@" workers
		refused 3 && ! grep -q "$(printf '\033')" "$err"
	}

	odd no-http && says "does not speak HTTP"
	check $? "another protocol"
	odd closes && says "may have been carried out" && [ "$(requests closes)" -eq 1 ]
	check $? "a connection that is closed; nothing is sent twice"
	odd html && says "HTTP status 502 and not as berth does"
	check $? "an error page"
	odd html-200 && says "no JSON object: byte 1"
	check $? "a page"
	odd array && says "no JSON object"
	check $? "JSON that is no object"
	odd trailing && says "no JSON object: byte 14"
	check $? "more than JSON"
	odd two && says "more than one answer"
	check $? "two answers to one request"
	odd empty && says "an empty answer"
	check $? "no answer"
	odd cut && says "may have been carried out"
	check $? "half an answer"
	printf 'secret\n' >"$scratch/token"
	odd redirect --token-file "$scratch/token" && says "HTTP status 307" && [ "$(requests redirect)" -eq 1 ]
	check $? "a redirection is not followed"
	odd hostile && says "forbidden: " && says '\u{202e}' && says '\u{9b}' &&
		! grep -q "$(printf '\302\233')" "$err" && ! grep -q "$(printf '\342\200\256')" "$err"
	check $? "what drives terminals does not get through"
	odd huge && says "an answer of more than 67108864 bytes; ask for less with --limit"
	check $? "an answer without end"
	odd huge-refusal && says "HTTP status 500"
	check $? "a refusal without end"
	odd headers
	check $? "headers without end"
	odd silent --timeout 1 && says "no answer within 1 s; --timeout gives it longer"
	check $? "silence"
	odd drip --timeout 1 && says "no answer within 1 s"
	check $? "an answer that comes byte by byte"
	odd busy --timeout 1 && says "busy: come later; try again later" && [ "$(requests busy)" -gt 1 ]
	check $? "a service that is always busy"
	berth --connect "$scratch/odd/busy-twice.sock" workers
	[ $status -eq 0 ] && grep -q 'no workers' "$out" && [ "$(requests busy-twice)" -eq 3 ]
	check $? "a service that is busy for a while"
	printf '{"op":"list_workers"}\n' >"$scratch/line"
	# shellcheck disable=SC2094 # that is what it waits for
	{
		cat "$scratch/line"
		wait_for test -s "$scratch/answers"
		cat "$scratch/line"
	} | "$BERTH" --connect "$scratch/odd/breaks.sock" batch >"$scratch/answers" 2>"$err"
	status=$?
	[ $status -eq 3 ] && [ "$(wc -l <"$scratch/answers")" -eq 1 ] && says "may have been carried out" && [ "$(requests breaks)" -eq 2 ]
	check $? "batch does not send again what a kept connection broke over"
	cat "$scratch/line" "$scratch/line" "$scratch/line" | "$BERTH" --connect "$scratch/odd/two.sock" batch >"$out" 2>"$err"
	status=$?
	[ $status -eq 3 ] && [ "$(wc -l <"$out")" -eq 2 ] && says "2 answers to 3 requests"
	check $? "batch counts the answers"
	printf '{"op":"list_workers"}\n%s\n' "$(printf '%8388609s' x)" | "$BERTH" --connect "$scratch/odd/plain.sock" batch >"$out" 2>"$err"
	[ $? -eq 0 ] && printf '%s\n' '{"items":[],"diagnostics":[]}' \
		'{"error":{"kind":"bad_request","message":"line: longer than 8388608 bytes"}}' | cmp -s - "$out" &&
		[ "$(requests plain)" -eq 1 ]
	check $? "a line that is too long is refused here"
	if env --default-signal=INT true 2>/dev/null; then
		env --default-signal=INT "$BERTH" --connect "$scratch/odd/goes.sock" --json watch >"$out" 2>"$err" &
		watching=$!
		pids="$pids $watching"
		# shellcheck disable=SC2317 # wait_for reaches it
		has_asked() {
			[ "$(requests goes)" -ge 10 ]
		}
		wait_for has_asked && kill -INT "$watching" && wait "$watching"
		[ $? -eq 0 ] && [ "$(wc -l <"$out")" -eq 2 ] && [ "$(uniq "$out" | wc -l)" -eq 1 ]
		check $? "watch shows what has not changed once, and once more where the service was away"
		[ "$(wc -l <"$err")" -eq 1 ] && says "HTTP status 502 and not as berth does; is it berth serve?; trying on"
		check $? "which is one line"
	fi
	exec 9>&-
else
	skip "what is no service" "python3 is missing"
fi

# ---- A service ----

"$BERTH" --help >"$out"
if ! grep -q '^  serve' "$out"; then
	skip "the same answers from a service" "this program cannot serve"
	exit 0
fi

set -- --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir "$sample" --workspace-root /srv/harbour
# serve NAME SETUP...: starts a service on $scratch/NAME.sock; its log is NAME.log.
serve() {
	name=$1
	shift
	"$BERTH" serve --socket "$scratch/$name.sock" "$@" >"$scratch/$name.log" 2>&1 </dev/null &
	pids="$pids $!"
	service=$scratch/$name.sock
	wait_for "$BERTH" --connect "$service" runtimes >/dev/null
	check $? "there is a service ($name)"
}

# The time of looking is no part of what is compared.
timeless() {
	sed 's/"observed_at":"[^"]*"/"observed_at":""/g'
}

# compare COMMAND...: the same here and there, as JSON and as a table; $setup is the way here,
# $way the way there.
compare() {
	for form in --json --; do
		[ $form = --json ] && json=--json || json=
		# shellcheck disable=SC2086 # the lists are to be split
		"$BERTH" $setup $json "$@" 2>"$scratch/err.here" </dev/null | timeless >"$scratch/here"
		# shellcheck disable=SC2086
		"$BERTH" $way $json "$@" 2>"$scratch/err.there" </dev/null | timeless >"$scratch/there"
		cmp "$scratch/here" "$scratch/there" && cmp "$scratch/err.here" "$scratch/err.there"
		check $? "the same here and there: $json $*"
		# shellcheck disable=SC2086
		"$BERTH" $setup $json "$@" >/dev/null 2>&1 </dev/null
		here=$?
		# shellcheck disable=SC2086
		"$BERTH" $way $json "$@" >/dev/null 2>&1 </dev/null
		[ $? -eq $here ]
		check $? "with the same status, $here: $json $*"
	done
}

setup="$*"
serve sample "$@"
way="--connect $service"
coder=$("$BERTH" "$@" --json workers | sed 's/.*"worker_id":"\(local-worker-harbour-coder-[0-9a-f]*\)".*/\1/')
host=$("$BERTH" "$@" --json hosts | sed 's/.*"host_id":"\(local-[^"]*\)".*/\1/')
compare_all() {
	compare runtimes
	compare runtimes --limit 1
	compare hosts
	compare workers
	compare workers --limit 1
	compare workers --limit 1000
	compare workers --host "$host"
	compare workers --host nowhere
	compare worker local-worker-runtime "$coder"
	compare worker local-worker-runtime nobody
	compare worker nowhere nobody
	compare worker 'not an id' nobody
	compare transcript local-worker-runtime "$coder"
	compare transcript local-worker-runtime "$coder" --start 3 --limit 7
	compare connect-points local-worker-runtime "$coder"
	compare events local-worker-runtime
	compare events local-worker-runtime --cursor x --limit 3
	compare events nowhere
}
compare_all
compare spawn remote-worker-runtime
compare spawn remote-worker-runtime --request '{"intent":{"kind":"nonsense"}}'
compare stop local-worker-runtime "$coder"
compare stop local-worker-runtime "$coder" --force
compare input local-worker-runtime "$coder" Ahoy
compare input local-worker-runtime nobody --system Ahoy
compare adapters
compare config
compare check

serve batch "$@"
"$BERTH" "$@" batch <"$srcdir/tests/golden/requests.jsonl" | timeless >"$scratch/here"
"$BERTH" --connect "$service" batch <"$srcdir/tests/golden/requests.jsonl" | timeless >"$scratch/there"
[ "$(wc -l <"$scratch/here")" -gt 20 ] && cmp "$scratch/here" "$scratch/there"
check $? "all golden requests give the same here and there"

# The same conversation, line for line, with one that waits for each answer.
serve lockstep "$@"
mkfifo "$scratch/questions"
: >"$scratch/answers"
"$BERTH" --connect "$service" batch <"$scratch/questions" >"$scratch/answers" 2>"$err" &
batch=$!
pids="$pids $batch"
exec 8>"$scratch/questions"
n=0 in_step=0
# shellcheck disable=SC2317 # wait_for reaches it
has_answered() {
	[ "$(wc -l <"$scratch/answers")" -eq "$n" ]
}
while IFS= read -r line; do
	printf '%s\n' "$line" >&8
	case $line in
	*[!\ ]*) n=$((n + 1)) ;;
	esac
	wait_for has_answered || in_step=1
	[ $in_step = 0 ] || break
done <"$srcdir/tests/golden/requests.jsonl"
exec 8>&-
wait $batch
[ $? -eq 0 ] && [ $in_step = 0 ] && timeless <"$scratch/answers" | cmp - "$scratch/here"
check $? "one who waits for each answer gets each at once"
# Nothing has changed what this one has.
service=$scratch/sample.sock
printf '{"op":"list_workers"}\r\n\n   \n{"op":"list_runtimes","limit":0}' >"$scratch/odd-lines"
"$BERTH" "$@" batch <"$scratch/odd-lines" >"$scratch/here"
"$BERTH" --connect "$service" batch <"$scratch/odd-lines" >"$scratch/there"
cmp "$scratch/here" "$scratch/there"
check $? "blank lines, and a last one without its end"
for i in 1 2 3 4 5 6 7 8 9 10; do
	sed "s/^{/{\"id\":$i,/" "$srcdir/tests/golden/requests.jsonl"
done | grep '"list_' >"$scratch/many"
for i in 1 2 3 4 5 6 7; do
	cat "$scratch/many" "$scratch/many" >"$scratch/more"
	mv "$scratch/more" "$scratch/many"
done
"$BERTH" "$@" batch <"$scratch/many" | timeless >"$scratch/here"
"$BERTH" --connect "$service" batch <"$scratch/many" | timeless >"$scratch/there"
cmp "$scratch/here" "$scratch/there"
check $? "$(wc -l <"$scratch/many") requests in a row"

# ---- Over TCP ----

# Where it listens.
address() {
	sed -n 's/.*listening on \(127\.0\.0\.1:[0-9]*\).*/\1/p' "$scratch/$1.log" | head -n 1
}

printf 'write w-token-of-some-length\nread r-token-of-some-length\n' >"$scratch/tokens"
printf '# the way in\nw-token-of-some-length\n' >"$scratch/token"
printf 'x-token-of-some-length\n' >"$scratch/wrong"
chmod 600 "$scratch/tokens" "$scratch/token" "$scratch/wrong"
serve tcp "$@" --listen 127.0.0.1:0 --token-file "$scratch/tokens" --log-level info
tcp=$(address tcp)
way="--connect http://$tcp/ --token-file $scratch/token"
# Nobody is at that port, so the proxy would be noticed.
http_proxy=http://127.0.0.1:9 ALL_PROXY=http://127.0.0.1:9
export http_proxy ALL_PROXY
compare_all
unset http_proxy ALL_PROXY
BERTH_CONNECT=http://$tcp BERTH_TOKEN_FILE=$scratch/tokens berth --json workers
"$BERTH" "$@" --json workers | cmp - "$out"
check $? "the environment says where, and has the token, in the file of the service itself"
berth --connect "http://$tcp" workers
refused 3 && says "unauthorized: " && says "; --token-file names the file with a token"
check $? "no token"
berth --connect "http://$tcp" --token-file "$scratch/wrong" workers
refused 3 && says "unauthorized: " && ! grep -q x-token "$err"
check $? "a wrong token"
echo '{"op":"list_workers"}' | "$BERTH" --connect "http://$tcp" --token-file "$scratch/wrong" batch >"$out" 2>"$err"
status=$?
refused 3 && says "unauthorized: "
check $? "a wrong token for batch"
printf 'r-token-of-some-length\n' >"$scratch/reads"
chmod 600 "$scratch/reads"
way="--connect http://$tcp --token-file $scratch/reads"
compare workers
berth --connect "http://$tcp" --token-file "$scratch/reads" input local-worker-runtime "$coder" Ahoy
refused 1 && says "forbidden: op: a token with the scope write is expected"
check $? "a token that only reads does not send input"
berth --connect "http://$tcp" --token-file "$scratch/reads" adapters
refused 3 && says "forbidden: " && says "; a token may do what its scope says"
check $? "nor does it show files"
berth --connect "https://$tcp" --token-file "$scratch/token" workers
refused 3
check $? "TLS where there is none"

certificate() {
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$scratch/$1.key" -subj "/CN=$1" \
		-addext "subjectAltName=IP:127.0.0.1" -x509 -days 2 -out "$scratch/$1.pem" 2>"$scratch/log"
}
if command -v openssl >/dev/null; then
	certificate there && certificate here && certificate stranger
	check $? "there are certificates"
	serve tls "$@" --listen 127.0.0.1:0 --token-file "$scratch/tokens" --log-level info \
		--tls-cert "$scratch/there.pem" --tls-key "$scratch/there.key" --tls-client-ca "$scratch/here.pem"
	tls=$(address tls)
	way="--connect https://$tls --token-file $scratch/token --ca-file $scratch/there.pem"
	way="$way --tls-cert $scratch/here.pem --tls-key $scratch/here.key"
	compare workers
	set -- --connect "https://$tls" --token-file "$scratch/token"
	berth "$@" --tls-cert "$scratch/here.pem" --tls-key "$scratch/here.key" workers
	refused 3 && says "; --ca-file names who signs its certificate"
	check $? "a service that is not trusted"
	berth "$@" --ca-file "$scratch/stranger.pem" workers
	refused 3 && says "; --ca-file names who signs its certificate"
	check $? "a service that somebody else is said to have signed"
	berth "$@" --ca-file "$scratch/there.pem" workers
	refused 3
	check $? "a service that wants a certificate"
	berth "$@" --ca-file "$scratch/there.pem" --tls-cert "$scratch/stranger.pem" --tls-key "$scratch/stranger.key" workers
	refused 3
	check $? "a service that wants another certificate"
	berth "$@" --ca-file "$scratch/no-file" workers
	refused 3
	check $? "an authority that is not there"
	berth --connect "http://$tls" --token-file "$scratch/token" workers
	refused 3
	check $? "no TLS where there is"
else
	skip "TLS" "openssl is missing"
fi
