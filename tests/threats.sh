#!/bin/sh
# SPDX-License-Identifier: MIT
# What somebody else than the admin can try, as far as no other test is about it: SECURITY.md has the whole.
# BERTH_TEST_DIRECTORIES is how many directories there are where there are many.
# What a check is about stands on a line of its own.
# shellcheck disable=SC2181
set -u
: "${BERTH:?}" "${BERTH_ADAPTER_DIR:?}"
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"

if ! command -v python3 >/dev/null; then
	skip "threats" "there is no python3"
	exit 0
fi
data=$scratch/data out=$scratch/out err=$scratch/err local=local-worker-runtime
mkdir -p "$data/pods"

berth() {
	"$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir "$data" --workspace-root /srv/harbour --adapters local-pod \
		"$@" >"$out" 2>"$err"
}

# record DIR LABEL [ROOT]
record() {
	mkdir -p "$1"
	printf '{"worker_name":"%s","workspace_root":"%s"}' "$2" "${3-/srv/harbour}" >"$1/metadata.json"
}

# A sanitizer takes more of addresses than anybody has.
bounded() (
	# shellcheck disable=SC3045 # all shells that sh is here have it
	grep -q __asan_init "$BERTH" || grep -q __tsan_init "$BERTH" || ulimit -v "$1"
	shift
	"$@"
)

# ---- Links that come and go ----

# Each name is a record of this workspace, and in the next moment a way to something that is not for the caller: the
# directory by a link, the file by a link, and what is behind it is no record, or one of another workspace.
record "$data/pods/by-directory" good
record "$data/pods/by-file" good
record "$scratch/elsewhere" TOPSECRET /elsewhere
echo 'TOPSECRET TOPSECRET' >"$scratch/secret"
cat >"$scratch/links.py" <<'END'
import os
import random
import subprocess
import sys
import time

pods, scratch, out, *command = sys.argv[1:]
ways = [(pods + "/by-directory", scratch + "/elsewhere"), (pods + "/by-file/metadata.json", scratch + "/secret"),
        (pods + "/by-file/metadata.json", scratch + "/elsewhere/metadata.json")]
file = open(out, "wb")
batch = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
waiting = 0


def ask():
    """Some are answered before what follows, some meanwhile, some behind it."""
    global waiting
    batch.stdin.write(b'{"op":"list_workers"}\n' * 3)
    batch.stdin.flush()
    waiting += 3
    time.sleep(random.random() / 5000)


def wait():
    global waiting
    for _ in range(waiting):
        file.write(batch.stdout.readline())
    waiting = 0


for i in range(500):
    path, target = ways[i % len(ways)]
    os.symlink(target, scratch + "/link")
    ask()
    os.rename(path, scratch + "/kept")
    os.rename(scratch + "/link", path)
    ask()
    if i % 10 == 0:
        wait()
        ask()
        wait()
    os.unlink(path)
    os.rename(scratch + "/kept", path)
wait()
file.close()
batch.stdin.close()
sys.exit(batch.wait())
END
for changes in auto none; do
	mkdir -p "$scratch/root-$changes$ADMIN_CONF_DIR/adapters.d"
	echo "{ \"options\": { \"changes\": \"$changes\" } }" >"$scratch/root-$changes$ADMIN_CONF_DIR/adapters.d/local-pod.json"
	python3 "$scratch/links.py" "$data/pods" "$scratch" "$out" "$BERTH" --config-root "$scratch/root-$changes" \
		--log-level debug --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir "$data" --workspace-root /srv/harbour \
		--adapters local-pod batch 2>"$err"
	[ $? = 0 ] && [ "$(wc -l <"$out")" = 3150 ] && ! grep -q TOPSECRET "$out" "$err"
	check $? "nothing of a file is shown that takes the place of a record, changes=$changes"
	! grep -vqE '^\{"items":\[(\{"runtime_id":"local-worker-runtime".*"label":"good".*\})?\],"diagnostics":' "$out" &&
		grep -q local_pod_metadata_invalid "$out" && grep -q local_pod_workspace_not_visible "$out"
	check $? "each list is whole meanwhile, and says what cannot be shown, changes=$changes"
done
rm -rf "$data/pods"

# ---- Names that look like others ----

mkdir "$data/pods"
for name in coder "$(printf 'coder\342\200\213')" "$(printf 'c\320\276der')" "$(printf '\342\200\256redoc')" \
	"$(printf 'coder\033[2K')" "$(printf 'coder\n')x" 'coder ' Coder "$(printf 'coder\302\240')"; do
	record "$data/pods/$name" coder
done
berth --json workers
grep -o '"worker_id":"[^"]*"' "$out" | sort -u >"$scratch/ids"
[ "$(wc -l <"$scratch/ids")" = 9 ] && ! grep -vqE '^"worker_id":"local-worker-[a-z0-9_-]*-[0-9a-f]{16}"$' "$scratch/ids"
check $? "names that look alike have identifiers of letters and digits that differ"
berth workers
# Lines end; nothing else of a name is a control or changes the direction.
[ "$(grep -c local-worker-coder "$out")" -ge 5 ] &&
	! tr -d '\n' <"$out" | LC_ALL=C grep -q -e '[[:cntrl:]]' -e "$(printf '\342\200\256')"
check $? "a name cannot drive the terminal of who lists it"
rm -rf "$data/pods"

# ---- Very many directories ----

mkdir "$data/pods"
n=${BERTH_TEST_DIRECTORIES:-20000}
python3 -c 'import os, sys
for i in range(int(sys.argv[2])):
    os.mkdir("%s/pods/%07d" % (sys.argv[1], i))' "$data" "$n"
record "$data/pods/$(printf '%07d' $((n - 1)))" last
last=$(printf 'local-worker-%07d-%.16s' $((n - 1)) "$(printf '%07d' $((n - 1)) | sha256sum)")
# Of addresses: 256 MiB, and half a KiB for each directory.
bounded $((262144 + n / 2)) "$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir "$data" --workspace-root /srv/harbour \
	--adapters local-pod --json worker $local "$last" >"$out" 2>"$err"
check $? "one of $n directories is found in bounded memory"
printf '%s\n' '{"op":"list_workers","limit":200}' '{"op":"list_workers","limit":18446744073709551615}' >"$scratch/lines"
bounded $((262144 + n / 2)) "$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir "$data" --workspace-root /srv/harbour \
	--adapters local-pod batch <"$scratch/lines" >"$out" 2>"$err"
[ $? = 0 ] && [ "$(grep -c '"label":"last"' "$out")" = 2 ] &&
	[ "$(grep -o local_pod_metadata_unreadable "$out" | wc -l)" = 32 ]
check $? "$n directories that are no records are 16 diagnostics, and the one that is a record is listed"
rm -rf "$data/pods"

# ---- JSON that is larger than it looks ----

mkdir "$data/pods"
cat >"$scratch/bombs.py" <<'END'
import os
import sys

size = 8 << 20
head = '{"worker_name":"bomb","workspace_root":"/srv/harbour","x":'
bombs = {
    "brackets": head + "[" * (size - len(head)),
    "braces": head + '{"":' * ((size - len(head)) // 4),
    "doubled": '{' + ",".join('"worker_name":"x"' for _ in range(size // 18 - 1)) + "}",
    "digits": head + "9" * (size - len(head) - 1) + "}",
    "escapes": head + '"' + "\\u0000" * ((size - len(head) - 2) // 6) + '"',
    "numbers": head + "[" + ",".join("1e308" for _ in range(size // 6 - 20)) + "]",
    "large": head + '"' + "x" * size + '"}',
}
for name, text in bombs.items():
    os.mkdir("%s/%s" % (sys.argv[1], name))
    with open("%s/%s/metadata.json" % (sys.argv[1], name), "w") as file:
        file.write(text)
END
python3 "$scratch/bombs.py" "$data/pods"
bounded 262144 "$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir "$data" --workspace-root /srv/harbour \
	--adapters local-pod --json workers >"$out" 2>"$err"
[ $? = 0 ] && grep -q '^{"items":\[\],' "$out" && [ "$(grep -o local_pod_metadata_invalid "$out" | wc -l)" = 6 ] &&
	[ "$(grep -o local_pod_metadata_unreadable "$out" | wc -l)" = 1 ]
check $? "records that are bombs are read in bounded memory, and refused"
python3 -c 'print("[" * 900000)
print("{\"op\":\"list_workers\",\"limit\":" + "9" * 900000 + "}")
print("{\"a\":" * 150000)' >"$scratch/lines"
bounded 262144 "$BERTH" --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir "" --adapters embedded batch <"$scratch/lines" \
	>"$out" 2>"$err"
[ $? = 0 ] && [ "$(grep -c '"kind":"bad_request"' "$out")" = 3 ] && [ "$(wc -c <"$out")" -lt 2000 ]
check $? "requests that are bombs are refused in few words"

# ---- Secrets ----

"$BERTH" --help >"$out"
! grep -E '^  --[a-z-]*(token|secret|password|key)' "$out" | grep -vqE '^  --[a-z-]+ FILE'
check $? "no option takes a secret, only the file that has it"

# ---- Run with the rights of somebody else ----

# The environment of the caller must not say where configuration and plugins are, if the program is setuid.
secure="what is set in the environment is not believed by a program with the rights of another"
if [ "$(id -u)" != 0 ] || ! command -v setpriv >/dev/null || findmnt -n -o OPTIONS -T "$scratch" | grep -q nosuid; then
	skip "$secure" "root, setpriv and a file system with setuid are needed"
	exit 0
fi
chmod 755 "$scratch"
mkdir -p "$scratch/evil$ADMIN_CONF_DIR" "$scratch/xdg/berth"
echo '{ "workspace_id": "evil" }' >"$scratch/evil$ADMIN_CONF_DIR/berth.json"
cp "$BERTH" "$scratch/plain"
cp "$BERTH" "$scratch/setuid"
chown 1 "$scratch/setuid"
chmod 4755 "$scratch/setuid"
for program in plain setuid; do
	(cd / && env -u BERTH_LIBEXEC_DIR BERTH_CONFIG_ROOT="$scratch/evil" BERTH_ADAPTER_DIR=/evil BERTH_DATA_DIR=/evil \
		XDG_CONFIG_HOME="$scratch/xdg" HOME=/evil ASAN_OPTIONS=detect_leaks=0 \
		setpriv --reuid=65534 --regid=65534 --clear-groups "$scratch/$program" --workspace-root / --json config \
		>"$out.$program" 2>"$err")
done
grep -q '"value":"evil"' "$out.plain"
check $? "the environment is believed otherwise"
cp "$out.setuid" "$out"
grep -q '"workspace_id"' "$out.setuid" && ! grep -q evil "$out.setuid"
check $? "$secure"
