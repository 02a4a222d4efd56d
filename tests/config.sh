#!/bin/sh
# SPDX-License-Identifier: MIT
# Configuration as admins meet it: drop-ins and settings below --config-root, and what
# the program says of them.
# shellcheck disable=SC2181 # what a check is about stands on a line of its own
set -u
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
: "${BERTH:?}" "${BERTH_ADAPTER_DIR:?}" "${srcdir:?}"
: "${VENDOR_CONF_DIR:?}" "${RUNTIME_CONF_DIR:?}" "${ADMIN_CONF_DIR:?}"

umask 022
# A user that root becomes has to get to it.
chmod 755 "$scratch"
unset COLUMNS XDG_DATA_HOME XDG_CONFIG_HOME BERTH_CONFIG_ROOT BERTH_WORKSPACE_ID BERTH_WORKSPACE_ROOT BERTH_DATA_DIR \
	BERTH_ADAPTER_DIRS BERTH_LOG_LEVEL BERTH_LIMIT_ITEMS BERTH_LIMIT_LINE_BYTES
HOME=$scratch/home
export HOME
include=$(cd "$srcdir/include" && pwd) || exit 1
mkdir -p "$HOME" "$scratch/project"
cd "$scratch/project" || exit 1
conf=$scratch/root
vendor=$conf$VENDOR_CONF_DIR runtime=$conf$RUNTIME_CONF_DIR admin=$conf$ADMIN_CONF_DIR/adapters.d
host=$conf$ADMIN_CONF_DIR
out=$scratch/out err=$scratch/err

# Runs the program over the scratch configuration, into $out, $err and $status.
berth() {
	"$BERTH" --config-root "$conf" --adapter-dir "$BERTH_ADAPTER_DIR" "$@" >"$out" 2>"$err" </dev/null
	status=$?
}

# The same with the directories of adapters that are configured.
bare() {
	"$BERTH" --config-root "$conf" "$@" >"$out" 2>"$err" </dev/null
	status=$?
}

# Empties the configuration.
anew() {
	rm -rf "$conf"
	mkdir -p "$vendor" "$runtime" "$admin" "$host/berth.d"
}

# put DIR/NAME TEXT
put() {
	printf '%s\n' "$2" >"$1"
}

quiet() {
	[ ! -s "$err" ]
}

has() {
	grep -qF -e "$1" "$out"
}

says() {
	grep -qF -e "$1" "$err"
}

lines() {
	[ "$(wc -l <"$err")" -eq "$1" ]
}

# The names of the instances in the order of the report in $out, each with its state.
states() {
	sed 's/{"name":/\n&/g' "$out" | sed -n 's/^{"name":"\([^"]*\)","state":"\([a-z]*\)".*/\1:\2/p' | tr '\n' ' '
}

# The part of the report in $out that is about an instance.
about() {
	sed 's/{"name":/\n&/g' "$out" | grep -F "{\"name\":\"$1\","
}

# ---- Built-in defaults ----

anew
berth adapters --json
[ "$status" -eq 0 ] && quiet && [ "$(states)" = 'local-pod:active embedded:active remote-reserved:active ' ]
check $? "the built-in defaults where there is no drop-in"
rm -rf "$conf"
berth adapters --json
[ "$status" -eq 0 ] && quiet && [ "$(states)" = 'local-pod:active embedded:active remote-reserved:active ' ]
check $? "the built-in defaults where there is no directory"
has '{"schema":1,'
check $? "the report has the version of its schema"
for layer in "$vendor" "$runtime" "$admin"; do
	anew
	put "$layer/embedded.json" '{}'
	berth adapters --json
	[ "$status" -eq 0 ] && quiet && [ "$(states)" = 'embedded:active ' ]
	check $? "no built-in default beside a drop-in: ${layer#"$conf"}"
done
anew
: >"$admin/embedded.json"
berth adapters --json
[ "$status" -eq 0 ] && [ "$(states)" = 'embedded:masked ' ]
check $? "no built-in default beside a mask"
anew
put "$admin/.hidden.json" '{'
put "$admin/embedded.json.dpkg-old" '{'
berth check
[ "$status" -eq 0 ] && quiet
check $? "files of other names are no drop-ins"

# ---- Order and selection ----

anew
put "$vendor/local-pod.json" '{"priority": 10}'
put "$vendor/embedded.json" '{"priority": 20}'
put "$vendor/remote-reserved.json" '{"priority": 30}'
berth adapters --json
[ "$(states)" = 'local-pod:active embedded:active remote-reserved:active ' ]
check $? "instances stand by their priority"
put "$admin/remote-reserved.json" '{"priority": 5}'
put "$runtime/embedded.json" '{"priority": 10}'
berth adapters --json
[ "$(states)" = 'remote-reserved:active embedded:active local-pod:active ' ]
check $? "later layers change the order, names break ties"
berth runtimes --json
[ "$(sed 's/"runtime_id"/\n&/g' "$out" | sed -n 's/^"runtime_id":"\([^"-]*\).*/\1/p' | tr '\n' ' ')" = \
	'remote embedded local ' ]
check $? "runtimes stand in the order of the instances"
put "$admin/second.json" '{"adapter": "embedded", "runtime_id": "second-runtime", "priority": 40}'
berth adapters --json --adapters second,local-pod
[ "$status" -eq 0 ] && [ "$(states)" = 'second:active local-pod:active ' ] && has '"runtime_id":"second-runtime"'
check $? "--adapters selects by the name of the instance, in its order"
rm "$vendor/embedded.json" "$runtime/embedded.json"
berth adapters --json --adapters embedded
[ "$status" -eq 0 ] && [ "$(states)" = 'embedded:active ' ] && has '"origin":"command line"' &&
	has '"runtime_id":"embedded-worker-runtime"'
check $? "--adapters selects by the id of the adapter where no instance has the name"
put "$admin/local-pod.json" '{"enabled": false}'
berth adapters --json --adapters local-pod
[ "$(states)" = 'local-pod:active ' ]
check $? "--adapters enables"
ln -sf /dev/null "$admin/local-pod.json"
berth adapters --json --adapters local-pod
[ "$(states)" = 'local-pod:masked ' ]
check $? "--adapters does not unmask"

# ---- States and origins ----

anew
put "$vendor/embedded.json" '{"priority": 20}'
put "$vendor/masked.json" '{"adapter": "embedded"}'
ln -s /dev/null "$admin/masked.json"
put "$vendor/off.json" '{"adapter": "embedded"}'
put "$admin/off.json" '{"enabled": false}'
put "$vendor/night_shift.json" '{"adapter": "embedded"}'
: >"$admin/night_shift.json"
put "$admin/broken.json" '{"adapter": "embedded",'
put "$admin/typo.json" '{"adaptor": "embedded"}'
put "$admin/wrong.json" '{"adapter": "embedded", "priority": "x"}'
put "$admin/gone.json" '{"adapter": "no-such-adapter"}'
put "$admin/option.json" '{"adapter": "embedded", "runtime_id": "o", "options": {"no_such_option": 1}}'
put "$admin/taken.json" '{"adapter": "embedded", "priority": 60}'
put "$admin/pin.json" '{"adapter": "remote-reserved", "sha256":
"0000000000000000000000000000000000000000000000000000000000000000"}'
put "$admin/unsafe.json" '{}'
chmod 666 "$admin/unsafe.json"
mkdir "$admin/directory.json"
berth adapters --json
[ "$status" -eq 0 ] && quiet
check $? "adapters says what failed, and ends with 0 where nothing is required"
while read -r name state code found; do
	about "$name" | grep -qF "\"name\":\"$name\",\"state\":\"$state\"" &&
		{ [ "$code" = - ] || about "$name" | grep -qF "\"failures\":[{\"code\":\"$code\",\"expected\":\""; } &&
		{ [ "$code" != - ] || about "$name" | grep -qF '"failures":[]'; } &&
		about "$name" | grep -qF -e "$found"
	check $? "adapters --json: $name is $state, $code"
done <<END
embedded active - "runtime_id":"embedded-worker-runtime","masked_by":null
masked masked - "masked_by":"$admin/masked.json"
night_shift masked - "masked_by":"$admin/night_shift.json"
off disabled - "masked_by":null
broken failed config_invalid $admin/broken.json:2:1: 
typo failed config_invalid $admin/typo.json:1:2: unknown key \\"adaptor\\"; did you mean \\"adapter\\"?
wrong failed config_invalid $admin/wrong.json:1:25: 
gone failed plugin_not_found "found":"no $BERTH_ADAPTER_DIR/no-such-adapter.so"
option failed option_invalid $admin/option.json:1:56: unknown option
taken failed runtime_id_taken embedded-worker-runtime
pin failed checksum_mismatch "expected":"0000000000000000000000000000000000000000000000000000000000000000"
unsafe failed config_unsafe $admin/unsafe.json: mode 0666
directory failed config_unreadable $admin/directory.json
END
about off | grep -qF "\"enabled\":{\"value\":false,\"origin\":\"$admin/off.json:1:2\",\"overrode\":[]}" &&
	about off | grep -qF "\"adapter\":{\"value\":\"embedded\",\"origin\":\"$vendor/off.json:1:2\"," &&
	about off | grep -qF '"required":{"value":false,"origin":"built-in","overrode":[]}'
check $? "adapters --json: each setting has its origin"
[ "$(grep -o '"hint":"[^"]' "$out" | wc -l)" -eq "$(grep -o '"code":' "$out" | wc -l)" ]
check $? "adapters --json: each failure has a hint"
berth adapters
[ "$status" -eq 0 ] && for name in embedded masked off broken typo wrong gone option taken pin unsafe directory; do
	grep -q "^$name " "$out" || exit 1
done && grep -q '^masked .*masked' "$out" && grep -q '^off .*disabled' "$out" && grep -q '^broken .*failed' "$out"
check $? "the table of adapters has every instance"
berth runtimes --json
[ "$status" -eq 0 ] && has embedded-worker-runtime
check $? "what is wrong harms its own instance alone"
berth check
[ "$status" -eq 3 ] && [ ! -s "$out" ]
check $? "check ends with 3 where an instance fails"
for name in broken typo wrong gone option taken pin unsafe directory; do
	says "adapter $name:"
	check $? "check reports $name"
done
! says 'adapter embedded:' && ! says 'adapter off:' && ! says 'adapter masked:' && ! says 'adapter night_shift:'
check $? "check reports nothing else"
put "$admin/taken.json" '{"x": 1, "y": 2, "enabled": 3}'
put "$host/berth.json" '{"log_level": "loud", "z": 1}'
berth check
[ "$status" -eq 3 ] && says "$admin/taken.json:1:2: " && says "$admin/taken.json:1:10: " &&
	says "$admin/taken.json:1:18: " && says "$host/berth.json:1:2: " && says "$host/berth.json:1:23: "
check $? "check reports all that is wrong with one file, and with the settings"
anew
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	put "$host/berth.d/$i.json" '{'
done
berth check
[ "$status" -eq 3 ] && lines 20
check $? "check reports twenty wrong files of settings"
anew
put "$admin/embedded.json" '{}'
chmod o+w "$admin"
berth check
[ "$status" -eq 3 ] && lines 1 && says "$admin: mode 0757"
check $? "check reports a directory of drop-ins that others can write to"
anew
rm -r "$admin" && ln -s adapters.d "$admin"
berth check
[ "$status" -eq 3 ] && lines 1 && says "$admin: "
check $? "check reports one that cannot be read"
anew
put "$admin/embedded.json" '{}'
put "$admin/off.json" '{"enabled": false}'
: >"$admin/masked.json"
berth check
[ "$status" -eq 0 ] && quiet
check $? "check is content with what is disabled or masked"
anew
put "$vendor/embedded.json" '{"priority": 1}'
put "$runtime/embedded.json" '{"priority": 2}'
put "$admin/embedded.json" '{"priority": 3}'
berth adapters --json
has "\"priority\":{\"value\":3,\"origin\":\"$admin/embedded.json:1:2\",\"overrode\":[{\"value\":2,\
\"origin\":\"$runtime/embedded.json:1:2\"},{\"value\":1,\"origin\":\"$vendor/embedded.json:1:2\"}]}"
check $? "adapters --json: a setting says what it overrode, the last first"
anew
put "$admin/$(printf 'a\377b').json" '{'
berth adapters --json
[ "$status" -eq 0 ] && ! LC_ALL=C grep -q "$(printf '\377')" "$out"
check $? "the report is UTF-8 where the name of a file is not"

# ---- A second instance ----

anew
put "$vendor/embedded.json" '{}'
put "$admin/second.json" '{"adapter": "embedded", "runtime_id": "second-runtime"}'
companion='"intent":{"kind":"workspace_companion"},"acceptance":{"kind":"run_accepted","expected_segments":0}'
w='"runtime_id":"second-runtime","worker_id":"worker-00000001"'
cat >"$scratch/in" <<END
{"op":"spawn_worker","runtime_id":"second-runtime","request":{$companion}}
{"op":"list_workers"}
{"op":"worker",$w}
{"op":"send_input",$w,"request":{"content":"hello"}}
{"op":"transcript",$w}
{"op":"connect_points",$w}
{"op":"stop_worker","runtime_id":"second-runtime","request":{"worker_id":"worker-00000001","mode":"graceful"}}
{"op":"worker","runtime_id":"embedded-worker-runtime","worker_id":"worker-00000001"}
END
"$BERTH" --config-root "$conf" --adapter-dir "$BERTH_ADAPTER_DIR" batch <"$scratch/in" >"$out" 2>"$err"
[ $? -eq 0 ] && quiet && [ "$(wc -l <"$out")" -eq 8 ]
check $? "a second instance answers every operation"
n=0
for op in spawn list_workers worker input transcript connect_points stop; do
	n=$((n + 1))
	sed -n ${n}p "$out" >"$scratch/answer"
	! grep -qE '"error"|adapter_failed|embedded-worker-runtime' "$scratch/answer"
	check $? "a second instance: $op without an error, under its own name"
done
[ "$(sed -n '1,3p' "$out" | grep -c '"runtime_id":"second-runtime"')" -eq 3 ]
check $? "a worker has the runtime_id that is configured"
sed -n 5p "$out" | grep -qF hello
check $? "a second instance keeps its own transcript"
sed -n 8p "$out" | grep -qF unknown_worker
check $? "the first instance does not have the worker of the second"
berth runtimes --json
[ "$(grep -o '"runtime_id":"[^"]*"' "$out" | sort -u | wc -l)" -eq 2 ]
check $? "both are runtimes"

# ---- Required ----

while IFS='|' read -r text name; do
	anew
	put "$vendor/embedded.json" '{}'
	put "$admin/gone.json" "$text"
	berth runtimes
	[ "$status" -eq 3 ] && [ ! -s "$out" ] && lines 1 && says 'berth: required adapter gone: '
	check $? "required is fatal, in one line: $name"
	berth adapters --json
	[ "$status" -eq 3 ] && [ "$(states)" = 'embedded:active gone:failed ' ] &&
		about gone | grep -qF '"required":true'
	check $? "adapters ends with 3: $name"
done <<END
{"required": true}|there is no plugin
{"adapter": "embedded", "required": true, "x": 1}|beside an unknown key
{"adapter": "embedded", "required": true, "priority": }|before a syntax error
{"adapter": "embedded", "x": 1, "x": 1, "required": true}|behind a doubled key
END
anew
put "$vendor/embedded.json" '{}'
put "$vendor/gone.json" '{"required": true}'
put "$admin/gone.json" '{"required": false}'
berth runtimes
[ "$status" -eq 0 ] && lines 1
check $? "an admin takes required back"
: >"$admin/gone.json"
berth runtimes
[ "$status" -eq 0 ] && quiet
check $? "what is masked is not missed"
put "$admin/gone.json" '{"enabled": false}'
berth runtimes
[ "$status" -eq 0 ] && quiet
check $? "what is disabled is not missed"
berth runtimes --require gone
[ "$status" -eq 3 ] && lines 1
check $? "--require misses what is disabled"

# ---- Settings ----

# setting KEY VALUE ORIGIN
setting() {
	bare config --json
	[ "$status" -eq 0 ] && quiet && has "\"$1\":{\"value\":$2,\"origin\":\"$3\","
	check $? "config: $1 from $3"
}

while IFS='|' read -r key option variable built_in main more env line raw argument; do
	anew
	[ "$built_in" = - ] || setting "$key" "$built_in" built-in
	put "$host/berth.json" "{\"$key\": $main}"
	setting "$key" "$main" "$host/berth.json:1:2"
	put "$host/berth.d/a.json" "{\"$key\": $more}"
	setting "$key" "$more" "$host/berth.d/a.json:1:2"
	export "$variable=$raw"
	setting "$key" "$env" "environment $variable"
	if [ "$option" != - ]; then
		bare config --json "--$option" "$argument"
		[ "$status" -eq 0 ] && has "\"$key\":{\"value\":$line,\"origin\":\"command line\",\"overrode\":[{\"value\":\
$env,\"origin\":\"environment $variable\"},{\"value\":$more,\"origin\":\"$host/berth.d/a.json:1:2\"},{\"value\":$main,"
		check $? "config: $key from the command line, over all others"
	fi
	unset "$variable"
done <<END
workspace_id|workspace-id|BERTH_WORKSPACE_ID|"local:project"|"m"|"d"|"e"|"c"|e|c
workspace_root|workspace-root|BERTH_WORKSPACE_ROOT|"$(pwd -P)"|"/m"|"/d"|"/e"|"/c"|/e|/c
data_dir|data-dir|BERTH_DATA_DIR|""|"/m"|"/d"|"/e"|"/c"|/e|/c
adapter_dirs|adapter-dir|BERTH_ADAPTER_DIRS|-|["/m"]|["/d"]|["/e","/f"]|["/c"]|/e:/f|/c
log_level|log-level|BERTH_LOG_LEVEL|"warning"|"error"|"info"|"debug"|"error"|debug|error
limit_items|-|BERTH_LIMIT_ITEMS|200|1|2|3|-|3|-
limit_line_bytes|-|BERTH_LIMIT_LINE_BYTES|8388608|1000|2000|3000|-|3000|-
END
anew
put "$host/berth.json" '{"limit_items": 3}'
bare config
[ "$status" -eq 0 ] && quiet && grep -q "^limit_items .*$host/berth.json:1:2" "$out" &&
	grep -q '^log_level .*built-in' "$out"
check $? "config as a table"
bare config --log-level loud
[ "$status" -eq 2 ] && lines 1 && [ ! -s "$out" ]
check $? "a --log-level that there is not is wrong usage"
for text in '{' '{"limit_item": 1}' '{"limit_items": "1"}' '[]'; do
	put "$host/berth.json" "$text"
	berth runtimes
	[ "$status" -eq 3 ] && lines 1 && says "$host/berth.json:"
	check $? "an error in the settings is fatal: $text"
done
rm "$host/berth.json"
BERTH_LIMIT_ITEMS=x berth runtimes
[ "$status" -eq 3 ] && lines 1 && says BERTH_LIMIT_ITEMS
check $? "an error in the environment is fatal"
BERTH_CONFIG_ROOT=$conf && export BERTH_CONFIG_ROOT
put "$admin/embedded.json" '{}'
"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" adapters --json >"$out" 2>"$err"
[ $? -eq 0 ] && [ "$(states)" = 'embedded:active ' ]
check $? "BERTH_CONFIG_ROOT"
unset BERTH_CONFIG_ROOT
put "$host/berth.json" "{\"adapter_dirs\": [\"$scratch/nowhere\", \"$BERTH_ADAPTER_DIR\"]}"
bare adapters --json
[ "$status" -eq 0 ] && [ "$(states)" = 'embedded:active ' ]
check $? "adapter_dirs are searched in their order"

# ---- Limits ----

anew
put "$host/berth.json" '{"limit_items": 2}'
berth runtimes --json
[ "$status" -eq 0 ] && [ "$(grep -o '"runtime_id":' "$out" | wc -l)" -eq 2 ]
check $? "limit_items takes effect"
berth runtimes --json --limit 3
[ "$(grep -o '"runtime_id":' "$out" | wc -l)" -eq 3 ]
check $? "--limit stands over limit_items"
printf '{"op":"list_runtimes"}\n{"op":"list_runtimes","limit":3}\n' |
	"$BERTH" --config-root "$conf" --adapter-dir "$BERTH_ADAPTER_DIR" batch >"$out" 2>"$err"
[ "$(sed -n 1p "$out" | grep -o '"runtime_id":' | wc -l)" -eq 2 ] &&
	[ "$(sed -n 2p "$out" | grep -o '"runtime_id":' | wc -l)" -eq 3 ]
check $? "limit_items takes effect in a batch where the request does not say"
put "$host/berth.json" '{"limit_line_bytes": 40}'
none='"op":"list_runtimes","limit":0'
printf '{%s}\n{%s,"id":"0123456789"}\n{%s}\n' "$none" "$none" "$none" |
	"$BERTH" --config-root "$conf" --adapter-dir "$BERTH_ADAPTER_DIR" batch >"$out" 2>"$err"
[ "$(wc -l <"$out")" -eq 3 ] && sed -n 2p "$out" | grep -q bad_request && [ "$(grep -c bad_request "$out")" -eq 1 ]
check $? "limit_line_bytes takes effect, and the next line is answered"

# ---- Plugins ----

anew
sum=$(sha256sum "$BERTH_ADAPTER_DIR/embedded.so" | cut -d ' ' -f 1)
put "$admin/embedded.json" "{\"sha256\": \"$sum\"}"
berth check
[ "$status" -eq 0 ] && quiet
check $? "a pin that is right"
put "$admin/embedded.json" "{\"sha256\": \"$(printf '%s' "$sum" | tr 'a-f' 'A-F')\"}"
berth check
[ "$status" -eq 0 ]
check $? "a pin in capitals"
case $sum in
0*) other=1${sum#?} ;;
*) other=0${sum#?} ;;
esac
put "$admin/embedded.json" "{\"sha256\": \"$other\"}"
berth adapters --json
about embedded | grep -qF "\"failures\":[{\"code\":\"checksum_mismatch\",\"expected\":\"$other\",\"found\":\"$sum\","
check $? "a pin that is wrong"
mkdir "$scratch/plugins"
cat >"$scratch/marker.c" <<'END'
#include <berth/adapter.h>
#include <stdio.h>
#include <stdlib.h>
__attribute__((constructor)) static void mark(void)
{
	const char *path = getenv("MARKER");
	FILE *file = path ? fopen(path, "w") : NULL;
	if (file)
		fclose(file);
}
static int marker_open(void **instance, struct berth_call *call, const struct berth_open_request *request)
{
	(void)instance;
	(void)request;
	return call->sink->fail(call, -1, "it always fails");
}
static const struct berth_adapter adapter = { .size = sizeof adapter, .open = marker_open };
BERTH_ADAPTER(marker, "marker", "7.8", BERTH_THREADS_ANY,
	BERTH_OPTION("depth", "count", "3", "how deep it goes"), &adapter);
END
MARKER=$scratch/ran && export MARKER
# shellcheck disable=SC2086 # flags may stand in CC
if ${CC:-cc} -shared -fPIC -I"$include" -o "$scratch/plugins/marker.so" "$scratch/marker.c" 2>"$err"; then
	bare adapters inspect "$scratch/plugins/marker.so"
	[ "$status" -eq 0 ] && quiet && has marker && has 7.8 && has depth && has 'how deep it goes' &&
		[ ! -e "$MARKER" ]
	check $? "adapters inspect shows the stamp and runs no code"
	bare adapters inspect "$scratch/plugins/marker.so" --json
	[ "$status" -eq 0 ] && has '"schema":1' && has '"adapter":"marker","version":"7.8"' &&
		has '{"name":"depth","type":"count","default":"3","help":"how deep it goes"}' && [ ! -e "$MARKER" ]
	check $? "adapters inspect in JSON"
	for variable in LD_LIBRARY_PATH LTDL_LIBRARY_PATH; do
		env "$variable=$scratch/plugins" "$BERTH" --config-root "$conf" --adapter-dir "$BERTH_ADAPTER_DIR" \
			adapters --json --adapters marker >"$out" 2>"$err"
		[ $? -eq 0 ] && has '"code":"plugin_not_found"' && [ ! -e "$MARKER" ]
		check $? "a plugin on $variable is not taken"
	done
	put "$admin/marker.json" "{\"sha256\": \"$other\"}"
	berth adapters --json --adapter-dir "$scratch/plugins"
	about marker | grep -qF checksum_mismatch && [ ! -e "$MARKER" ]
	check $? "a plugin that is not what was pinned does not run"
	put "$admin/marker.json" '{"enabled": false}'
	berth adapters --json --adapter-dir "$scratch/plugins"
	[ "$status" -eq 0 ] && [ ! -e "$MARKER" ]
	check $? "a plugin that is disabled does not run"
	put "$admin/marker.json" '{}'
	berth adapters --json --adapter-dir "$scratch/plugins"
	about marker | grep -qF '"code":"open_failed"' && about marker | grep -qF 'it always fails' && [ -e "$MARKER" ]
	check $? "a plugin that is enabled does"
else
	check 1 "the plugin that marks compiles"
fi
bare adapters inspect "$scratch/nowhere.so"
[ "$status" -eq 3 ] && lines 1
check $? "adapters inspect of no file"
bare adapters inspect "$scratch/marker.c"
[ "$status" -eq 3 ] && lines 1 && says not_a_plugin
check $? "adapters inspect of something else"
bare adapters inspect
[ "$status" -eq 2 ] && lines 1
check $? "adapters inspect without a file is wrong usage"
bare adapters nosuch "$scratch/marker.c"
[ "$status" -eq 2 ] && lines 1
check $? "adapters with another word is wrong usage"

# ---- The user's layer ----

anew
put "$admin/embedded.json" '{}'
mkdir -p "$conf$HOME/.config/berth/adapters.d" "$conf$scratch/xdg/berth/adapters.d"
put "$conf$HOME/.config/berth/adapters.d/home.json" '{"adapter": "remote-reserved"}'
put "$conf$scratch/xdg/berth/adapters.d/xdg.json" '{"adapter": "remote-reserved"}'

# Runs the program as a user, and his layer belongs to him.
as_user() {
	if [ "$(id -u)" -ne 0 ]; then
		berth "$@"
		return
	fi
	chown -R 65534 "$conf$HOME/.config" "$conf$scratch/xdg"
	setpriv --reuid 65534 --regid 65534 --clear-groups "$BERTH" --config-root "$conf" \
		--adapter-dir "$BERTH_ADAPTER_DIR" "$@" >"$out" 2>"$err" </dev/null
	status=$?
}

if [ "$(id -u)" -eq 0 ]; then
	berth adapters --json
	[ "$status" -eq 0 ] && [ "$(states)" = 'embedded:active ' ]
	check $? "root does not read the layer of a user"
else
	printf 'ok - root does not read the layer of a user # SKIP needs root\n'
fi
# A user must be able to reach the program, the plugins and what is configured.
user_reaches() {
	setpriv --reuid 65534 --regid 65534 --clear-groups "$BERTH" --version >/dev/null 2>&1 &&
		setpriv --reuid 65534 --regid 65534 --clear-groups ls "$conf" "$BERTH_ADAPTER_DIR" >/dev/null 2>&1
}

if [ "$(id -u)" -ne 0 ] || user_reaches; then
	as_user adapters --json
	[ "$status" -eq 0 ] && [ "$(states)" = 'embedded:active home:active ' ]
	check $? "a user's layer in ~/.config"
	XDG_CONFIG_HOME=$scratch/xdg && export XDG_CONFIG_HOME
	as_user adapters --json
	[ "$status" -eq 0 ] && [ "$(states)" = 'embedded:active xdg:active ' ]
	check $? "a user's layer in XDG_CONFIG_HOME"
	: >"$conf$scratch/xdg/berth/adapters.d/embedded.json"
	as_user adapters --json
	[ "$status" -eq 0 ] && [ "$(states)" = 'embedded:masked xdg:active ' ]
	check $? "a user masks what the admin configures"
	XDG_CONFIG_HOME=xdg
	as_user adapters --json
	[ "$status" -eq 0 ] && [ "$(states)" = 'embedded:active home:active ' ]
	check $? "a relative XDG_CONFIG_HOME is passed over"
	unset XDG_CONFIG_HOME
else
	printf 'ok - the layer of a user # SKIP needs setpriv, and places that others can reach\n'
fi

