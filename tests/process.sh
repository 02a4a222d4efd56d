#!/bin/sh
# SPDX-License-Identifier: MIT
# Whole programs as adapters: one in the shell, one in Python, berth itself; and the
# program's own answers where every adapter is isolated.
# In the environment: BERTH, BERTH_ADAPTER_DIR, VENDOR_CONF_DIR, srcdir.
set -u
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
: "${srcdir:?}" "${BERTH:?}" "${BERTH_ADAPTER_DIR:?}" "${VENDOR_CONF_DIR:?}"

source=$(cd "$srcdir" && pwd)
root=$scratch/root
drop_ins=$root$VENDOR_CONF_DIR
mkdir -p "$drop_ins"
LC_ALL=C BERTH_CONFIG_ROOT=$root
export LC_ALL BERTH_CONFIG_ROOT

berth() {
	"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --workspace-root /srv/harbour --data-dir "$source/tests/sample" "$@" \
		2>>"$scratch/log"
}

# has TEXT NAME: whether standard input has the text.
has() {
	cat >"$scratch/answer"
	grep -qF -e "$1" "$scratch/answer"
	check $? "$2"
}

# ---- In the shell ----

cat >"$drop_ins/shell.json" <<END
{ "adapter": "process", "runtime_id": "shell",
  "options": { "command": ["$source/tests/sample/adapter.sh"], "environment": { "HARBOUR_PASSED": true, "HARBOUR_OWN": "x" } } }
END
HARBOUR_PASSED=1 HARBOUR_SECRET=1
export HARBOUR_PASSED HARBOUR_SECRET
berth workers | has "a shell" "a program in the shell has a worker"
berth worker shell shell | has "a shell" "it can be looked up"
berth worker shell nobody >/dev/null
[ $? = 1 ]
check $? "and another one cannot"
berth --json hosts >"$scratch/answer"
sed -n 's/.*"label":"\([^"]*\)".*/\1/p' "$scratch/answer" | tr ' ' '\n' >"$scratch/given"
# The fourth is the one through which it reads the others; from 10 on they are the shell's own.
[ "$(grep -x '[0-9]' "$scratch/given" | tr '\n' ' ')" = "0 1 2 3 " ]
check $? "it was given three descriptors"
grep -qx HARBOUR_PASSED "$scratch/given" && grep -qx HARBOUR_OWN "$scratch/given" &&
	! grep -q 'HARBOUR_SECRET\|^BERTH_' "$scratch/given"
check $? "and of the environment what is configured"

# ---- In Python ----

if command -v python3 >/dev/null; then
	cat >"$drop_ins/echo.json" <<END
{ "adapter": "process", "runtime_id": "echo", "options": { "command": ["$(command -v python3)", "$source/tests/sample/adapter.py"] } }
END
	cat >"$scratch/requests" <<'END'
{"op":"spawn_worker","runtime_id":"echo","request":{"intent":{"kind":"workspace_companion"},"acceptance":{"kind":"socket_ready"}}}
{"op":"send_input","runtime_id":"echo","worker_id":"echo-0","request":{"content":"Ahoy \u2693"}}
{"op":"transcript","runtime_id":"echo","worker_id":"echo-0"}
{"op":"connect_points","runtime_id":"echo","worker_id":"echo-0"}
END
	berth batch <"$scratch/requests" >"$scratch/answers"
	head -n 1 "$scratch/answers" | has '"state":"accepted","worker":{"runtime_id":"echo"' "a program in Python spawns"
	sed -n 3p "$scratch/answers" | has '"role":"worker","content":"You said: Ahoy ⚓"' "its transcript is read"
	tail -n 1 "$scratch/answers" | has worker_proxy_pending "berth answers for what it leaves out"
	rm "$drop_ins/echo.json"
else
	skip "a program in Python" "there is no python3"
fi
rm "$drop_ins/shell.json"

# ---- berth behind berth ----

cat >"$drop_ins/far.json" <<END
{ "adapter": "process", "runtime_id": "far",
  "options": { "runtime": "local-worker-runtime",
    "command": ["$BERTH", "--adapter-dir", "$BERTH_ADAPTER_DIR", "--config-root", "$scratch/none",
      "--workspace-root", "/srv/harbour", "--data-dir", "$source/tests/sample", "batch"] } }
END
berth workers --json | sed 's/"host_id":"[^"]*"/"host_id":""/g' >"$scratch/behind"
BERTH_CONFIG_ROOT=$scratch/none berth --adapters local-pod workers --json |
	sed 's/"host_id":"[^"]*"/"host_id":""/g; s/"runtime_id":"local-worker-runtime"/"runtime_id":"far"/g' >"$scratch/direct"
grep -q '"worker_id"' "$scratch/direct" && cmp "$scratch/direct" "$scratch/behind"
check $? "berth batch is an adapter: the workers are the same"
berth --json runtimes | has '"kind":"local_pod"' "and so is the runtime"
rm "$drop_ins/far.json"

# ---- Isolated ----

for id in local-pod embedded remote-reserved; do
	printf '{ "isolate": true, "priority": %d }\n' "$((${#id} * 7 % 10))" >"$drop_ins/$id.json"
done
mask='s/"observed_at":"[^"]*"/"observed_at":""/g'
berth --adapters local-pod,embedded,remote-reserved batch <"$source/tests/golden/requests.jsonl" |
	sed "$mask" >"$scratch/isolated"
BERTH_CONFIG_ROOT=$scratch/none berth --adapters local-pod,embedded,remote-reserved batch \
	<"$source/tests/golden/requests.jsonl" | sed "$mask" >"$scratch/inside"
[ -s "$scratch/inside" ] && cmp "$scratch/inside" "$scratch/isolated"
check $? "isolated adapters answer byte for byte what they answer inside"
berth adapters | grep -q '^embedded *active'
check $? "they are listed as what they are"
berth --json config >/dev/null && berth check | has "all well" "berth check opens them"

printf '{ "isolate": true, "isolation": { "memori": 1 } }\n' >"$drop_ins/embedded.json"
berth --json adapters | has 'did you mean \"memory\"?' "an unknown option of the isolation is told of"
printf '{ "isolate": true, "isolation": { "command": ["sh"] } }\n' >"$drop_ins/embedded.json"
berth --json adapters | has 'none is expected of what is isolated' "a command has no place there"

