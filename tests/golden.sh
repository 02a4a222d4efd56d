#!/bin/sh
# SPDX-License-Identifier: MIT
# Holds the answers of `berth batch` over the sample records against answers that were
# written down by hand from the contract. What the contract leaves open is masked.
set -u
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
: "${srcdir:?}" "${BERTH:?}" "${BERTH_ADAPTER_DIR:?}"

golden=$srcdir/tests/golden

# Texts for people, times, and numbers and names that nothing lays down. Not the machine:
# os and arch have a spelling of their own.
mask() {
	sed -E -e 's/"(message|note|detail|observed_at)":"([^"\\]|\\.)*"/"\1":"..."/g' \
		-e 's/("kind":"embedded_worker_runtime","display_hint":)"([^"\\]|\\.)*"/\1"..."/g' \
		-e 's/("worker_id":"worker-placeholder","host_id":)"([^"\\]|\\.)*"/\1"..."/g' \
		-e 's/"event_id":[0-9]+/"event_id":"..."/g'
}

"$BERTH" batch --adapter-dir "$BERTH_ADAPTER_DIR" --data-dir "$golden/data" --workspace-root /workspace/project \
	--workspace-id local:test <"$golden/requests.jsonl" >"$scratch/answers" 2>"$scratch/errors"
check $? "the requests are answered to the end"
[ ! -s "$scratch/errors" ]
check $? "nothing is said on standard error"
[ "$(wc -l <"$scratch/answers")" -eq "$(wc -l <"$golden/requests.jsonl")" ]
check $? "each request has its answer"
mask <"$scratch/answers" >"$scratch/found"
sed "s/\"arch\":\"x86_64\"/\"arch\":\"$(uname -m)\"/g" "$golden/answers.jsonl" >"$scratch/expected"
n=0
while IFS= read -r expected <&3 && IFS= read -r found <&4 && IFS= read -r request <&5; do
	n=$((n + 1))
	[ "$expected" = "$found" ]
	check $? "$request"
	[ "$expected" = "$found" ] || printf 'expected: %s\nfound:    %s\n' "$expected" "$found" >&2
done 3<"$scratch/expected" 4<"$scratch/found" 5<"$golden/requests.jsonl"
[ "$n" -gt 60 ]
check $? "all lines were compared ($n)"
! grep -q -e "$golden" -e /workspace "$scratch/answers"
check $? "no answer names the workspace or the data directory"
