#!/bin/sh
# SPDX-License-Identifier: MIT
# An adapter in the shell: its one worker is this process.

worker='{"worker_id":"shell","host_id":"here","label":"a shell","workspace":{"visibility":"none","identity":"none"},
	"state":"running","status":"running","implementation":{"kind":"shell","display_hint":"sh"}}'
worker=$(printf '%s' "$worker" | tr -d '\n\t')
# Of its host it says what it was given: descriptors and variables.
# shellcheck disable=SC2012 # they are numbers
given="$(ls "/proc/$$/fd" | tr '\n' ' ')$(env | sed 's/=.*//' | sort | tr '\n' ' ')"
can='{"can_list_hosts":true,"can_list_workers":true,"can_get_worker":true}'

while read -r line; do
	id=$(printf '%s\n' "$line" | sed -n 's/^{"id":\([0-9]*\),.*/\1/p')
	case $line in
	*'"op":"hello"'*) echo '{"protocol":1,"runtimes":[{"runtime_id":"shell","capabilities":'"$can"'}]}' ;;
	*'"op":"list_runtimes"'*)
		printf '{"id":%s,"items":[{"runtime_id":"shell","label":"Shell","kind":"shell","status":"available",' "$id"
		printf '"source":{"kind":"shell","status":"active","note":"a sample"},"host_ids":["here"],'
		printf '"capabilities":%s}],"diagnostics":[]}\n' "$can"
		;;
	*'"op":"list_workers"'*) printf '{"id":%s,"items":[%s],"diagnostics":[]}\n' "$id" "$worker" ;;
	*'"op":"list_hosts"'*)
		printf '{"id":%s,"items":[{"host_id":"here","label":"%s","kind":"shell","status":"available"}],' "$id" "$given"
		printf '"diagnostics":[]}\n'
		;;
	*'"op":"worker"'*'"worker_id":"shell"'*) printf '{"id":%s,%s\n' "$id" "${worker#\{}" ;;
	*'"op":"worker"'*) printf '{"id":%s,"error":{"kind":"unknown_worker"}}\n' "$id" ;;
	*) printf '{"id":%s,"error":{"kind":"bad_request","message":"no such operation"}}\n' "$id" ;;
	esac
done
