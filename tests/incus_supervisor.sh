#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2317 # functions that await and trap call
# The supervisor of workers, killed with all that it runs at any time, again and again, by each shell that
# there is: what it has given a receipt for is in the transcript once, and numbers rise.
# Rounds: BERTH_TEST_ROUNDS. In the environment: srcdir.
set -u
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
: "${srcdir:?}" "${BERTH_TEST_ROUNDS:=6}"

group=''
finish() {
	[ -z "$group" ] || kill -9 -- "-$group"
	rm -rf "$scratch"
} 2>/dev/null

explain() {
	tail -n 5 "$home/transcript" | cut -c 1-200
}

await() {
	local tries=600
	until "$@"; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 0.05
	done
}

start() {
	rm -f "$home/ready"
	# shellcheck disable=SC2086 # busybox sh
	BERTH_HOME=$home setsid $shell "$srcdir/plugins/incus/supervisor.sh" </dev/null >/dev/null 2>&1 &
	group=$!
	await test -e "$home/ready"
}

end() {
	kill -9 -- "-$group"
	wait "$group"
	group=''
} 2>/dev/null

# put NAME CONTENT: an input, as berth leaves it, at once or in two parts, with time to look in between.
put() {
	local text
	text=$(printf 'user\n%s\n%s' "$2" "$2")
	name=$1.${#text}
	if [ $((RANDOM % 3)) = 0 ]; then
		printf '%s' "${text:0:7}" >"$home/inbox/$name"
		sleep 0.3
		printf '%s' "${text:7}" >>"$home/inbox/$name"
	else
		printf '%s' "$text" >"$home/inbox/$name"
	fi
}

numbers_rise() {
	sed -n 's/^{"sequence":\([0-9]*\),"event_id":\([0-9]*\),.*}$/\1 \2/p' "$home/transcript" |
		awk '$1 <= sequence || $2 <= event { exit 1 } { sequence = $1; event = $2 }'
}

# supervise SHELL...
supervise() {
	local i n=0 name acknowledged=0
	shell=$1 home=$scratch/${1// /-}
	mkdir -p "$home/inbox"
	cat >"$home/command" <<-'END'
		#!/bin/sh
		while read -r line; do echo "heard $line"; done
	END
	: >"$scratch/acknowledged"
	for ((round = 0; round < BERTH_TEST_ROUNDS; round++)); do
		start || break
		for ((i = 0; i < 4; i++)); do
			n=$((n + 1))
			put "$(printf %08x $n)" "input $n."
			# Some are awaited, the last ones meet the end.
			if [ $i -lt 2 ] && await test -e "$home/receipts/$name"; then
				echo "input $n." >>"$scratch/acknowledged"
				acknowledged=$((acknowledged + 1))
			fi
		done
		sleep "0.$((RANDOM % 3))"
		end
		# As if the disk had taken a part of the last line.
		[ $((round % 2)) = 0 ] || printf '{"sequence":999999,"ev' >>"$home/transcript"
	done
	start
	n=$((n + 1))
	put "$(printf %08x $n)" "input $n."
	await test -e "$home/receipts/$name"
	check $? "$shell: it serves after $round kills"
	taken() {
		[ -z "$(find "$home/inbox" "$home/taken" "$home/queue" -type f)" ]
	}
	await taken
	check $? "$shell: what was left is taken"
	[ "$acknowledged" = $((2 * BERTH_TEST_ROUNDS)) ] && ! grep -o '"role":"user","content":"input [0-9]*\."' "$home/transcript" |
		cut -d '"' -f 8 | sort | grep -vxFf - "$scratch/acknowledged"
	check $? "$shell: each of $acknowledged receipts is kept"
	[ "$(grep -c '"role":"user"' "$home/transcript")" = "$(grep -o '"content":"input [0-9]*\."' "$home/transcript" | sort -u | wc -l)" ]
	check $? "$shell: no input is there twice"
	[ "$(grep -c '^{"sequence":[0-9]*,"event_id":[0-9]*,"role":"system","content":"the worker was started"}$' "$home/transcript")" = \
		$((round + 1)) ]
	check $? "$shell: a line that was cut takes no other with it"
	numbers_rise
	check $? "$shell: numbers rise"
	kill -TERM "$group"
	ended() {
		tail -n 1 "$home/transcript" | grep -q 'ended with exit status 143'
	}
	await ended
	check $? "$shell: told to stop it ends, and says how"
	end
}

# put_number N: an input of 700 bytes.
put_number() {
	name=$(printf %08x "$1").$((5 + 2 * 700 + 1))
	printf 'user\n%0700d\n%0700d' "$1" "$1" >"$home/inbox/$name"
}

# fill SHELL...: the disk is full in the midst of it; here, no file may grow beyond 16 KiB.
fill() {
	local n=0
	shell=$1
	home=$scratch/full-${1// /-}
	mkdir -p "$home/inbox"
	printf '#!/bin/sh\nwhile read -r line; do :; done\n' >"$home/command"
	: >"$scratch/acknowledged"
	# shellcheck disable=SC2086 # busybox sh
	(
		trap '' XFSZ
		ulimit -f 16
		BERTH_HOME=$home exec setsid $shell "$srcdir/plugins/incus/supervisor.sh" </dev/null >/dev/null 2>&1
	) &
	group=$!
	await test -e "$home/ready"
	full() {
		[ "$(wc -c <"$home/transcript")" -ge "$1" ]
	}
	# As long as there is room there are receipts.
	until full 15000; do
		n=$((n + 1))
		put_number $n
		await test -e "$home/receipts/$name" || break
		printf '%0700d\n' $n >>"$scratch/acknowledged"
	done
	put_number $((n + 1))
	put_number $((n + 2))
	await full 16384
	sleep 0.5 # for a receipt that must not come
	[ ! -e "$home/receipts/$name" ]
	check $? "$shell: what is not in the transcript, as the disk is full, has no receipt"
	end
	start
	name=$(printf %08x 999).$((5 + 4 + 1 + 4))
	printf 'user\nlast\nlast' >"$home/inbox/$name"
	await test -e "$home/receipts/$name"
	check $? "$shell: once there is room it goes on"
	grep '^{.*}$' "$home/transcript" | grep -o '"role":"user","content":"[0-9]*"' | cut -d '"' -f 8 >"$scratch/entered"
	! grep -vxFf "$scratch/entered" "$scratch/acknowledged" && [ -z "$(sort "$scratch/entered" | uniq -d)" ]
	check $? "$shell: each of $n receipts is kept, and nothing is there twice"
	end
}

supervise sh
fill sh
for other in bash 'busybox sh'; do
	if ${other% *} true 2>/dev/null || $other -c true 2>/dev/null; then
		supervise "$other"
		fill "$other"
	else
		skip "$other" "it is not there"
	fi
done
