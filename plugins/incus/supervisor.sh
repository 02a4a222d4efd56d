#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs the command of a worker and keeps its transcript. It is the init of the container, or
# is started by one, and needs a POSIX shell, awk and mkfifo. In its directory:
#   command     the worker's command, a script                      (written by berth)
#   inbox/NAME  an input: its role, its content as in JSON, its content as it is; NAME ends
#               in "." and its size, so that one that is not whole yet is seen (by berth)
#   taken/NAME  an input that cannot be withdrawn any more
#   queue/N     an input that has the number N in the transcript and waits for the command
#   receipts/NAME   the numbers of an input that is on disk in the transcript
#   transcript  one item a line, in JSON, written by one process only
#   ready       is there once the command was started and input is taken
# Nothing of it is lost, and no number given twice, whenever the container dies.
home=${BERTH_HOME:-/berth}
cd "$home" || exit 1
: "${PATH:=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}"
export PATH LC_ALL=C
umask 077
mkdir -p inbox taken queue receipts
rm -rf receipts/* ready status drained pid log feed wake
mkfifo log feed wake
: >>transcript
# Held open for both ways, so that nobody who writes or reads waits for the other side, or sees an end.
exec 3<>log 4<>feed 6<>wake

# mawk waits for a full buffer unless it is told not to; the others pass over that.
scribe_awk() {
	awk -W interactive "$@" 2>/dev/null
}

# ---- The scribe: the one who writes the transcript, told what by lines of at most PIPE_BUF ----

# The end of a line that was cut by a failure makes it invalid, and it is passed over.
[ -z "$(tail -c 1 transcript)" ] || echo >>transcript
last=$(tail -n 4 transcript | sed -n 's/^{"sequence":\([0-9]*\),"event_id":\([0-9]*\),.*}$/\1 \2/p' | tail -n 1)
sequence=${last% *} event=${last#* }
now=$(($(date +%s) * 1000000))
[ "${event:-0}" -gt "$now" ] || event=$now
# shellcheck disable=SC2016 # awk's own variables
scribe_awk -v sequence="${sequence:-0}" -v event="$event" '
function escape(text,    done) {
	while (match(text, /["\\\001-\037]/)) {
		done = done substr(text, 1, RSTART - 1) escapes[substr(text, RSTART, 1)]
		text = substr(text, RSTART + 1)
	}
	return done text
}
function enter(role, content, more) {
	printf "{\"sequence\":%.0f,\"event_id\":%.0f,\"role\":\"%s\",\"content\":\"%s\"%s}\n", ++sequence, ++event, \
		role, content, more >>"transcript"
	fflush("transcript")
}
function keep(command) {
	system("sync transcript 2>/dev/null || sync; " command)
}
BEGIN {
	for (i = 1; i < 32; i++)
		escapes[sprintf("%c", i)] = sprintf("\\u%04x", i)
	escapes["\""] = "\\\""
	escapes["\\"] = "\\\\"
}
# What the command says: a line, or a part of one.
/^[Oo]/ {
	said = said escape(substr($0, 2))
	if (/^O/ || length(said) > 65536) {
		enter("worker", said, "")
		said = ""
	}
}
/^S/ { enter("system", escape(substr($0, 2)), "") }
# An input that was taken. Where the disk is full its line is cut, or joined to one that was.
/^I/ {
	name = substr($0, 2)
	file = "taken/" name
	if ((getline role <file) > 0 && (getline content <file) > 0) {
		enter(role, content, ",\"input\":\"" name "\"")
		number = sprintf("%016.0f", sequence)
		keep("tail -n 1 transcript | grep -q '\''^{\"sequence\":" sprintf("%.0f", sequence) ",.*\"input\":\"" name "\"}$'\'' && " \
			"mv " file " queue/" number " && echo " sprintf("%.0f %.0f", sequence, event) " >receipts/." name \
			" && mv receipts/." name " receipts/" name)
		print number >"feed"
		fflush("feed")
	}
	close(file)
}
/^E/ {
	keep(":")
	exit
}' <log &
scribe=$!

# ---- The command, between one who feeds it and one who listens ----

feed() {
	while read -r number <&4 && [ "$number" != end ]; do
		if [ "${BERTH_INPUT:-text}" = json ]; then
			{
				IFS= read -r role
				IFS= read -r content
			} <"queue/$number"
			printf '{"sequence":%s,"role":"%s","content":"%s"}\n' "$(echo "$number" | sed 's/^0*//')" "$role" "$content"
		else
			tail -n +3 "queue/$number"
			echo
		fi
		rm -f "queue/$number"
	done
}

listen() {
	# shellcheck disable=SC2016 # awk's own variables
	scribe_awk '{
		for (; length($0) > 3500; $0 = substr($0, 3501)) {
			print "o" substr($0, 1, 3500)
			fflush()
		}
		print "O" $0
		fflush()
	}' >&3
	: >drained
}

echo "Sthe worker was started" >&3
# What is there from before: in the transcript already, or taken and not yet entered.
for file in queue/*; do
	[ ! -e "$file" ] || echo "${file#queue/}" >&4
done
for file in taken/*; do
	name=${file#taken/}
	if [ ! -e "$file" ]; then
		:
	elif number=$(grep "\"input\":\"$name\"}\$" transcript) && number=${number#*:} && number=${number%%,*}; then
		number=$(printf %016d "$number")
		mv "$file" "queue/$number" && echo "$number" >&4
	else
		echo "I$name" >&3
	fi
done
# shellcheck disable=SC2094 # another file of the same name
feed | {
	# shellcheck disable=SC2016 # for the inner shell
	sh -c 'echo $$ >pid && exec sh ./command 2>&1' 3>&- 4>&- 6>&-
	echo $? >status
} 2>/dev/null | listen &
stop() {
	kill -TERM "$(cat pid)"
} 2>/dev/null
trap stop PWR TERM INT

# ---- Input ----

# Only what is whole; then it is ours alone, whoever tries to withdraw it meanwhile.
take() {
	name=${1#inbox/}
	case $name in
	*[!0-9a-f.]*) return ;;
	esac
	size=$(wc -c <"$1") && [ "$((size))" = "${name##*.}" ] && mv "$1" taken/ && echo "I$name" >&3
} 2>/dev/null

# Without a process of its own, where the shell can.
# shellcheck disable=SC3045 # that is what is asked
(read -r -t 0.1 _ <&6) 2>/dev/null
if [ $? = 2 ]; then
	pause() {
		sleep 0.3
	}
else
	pause() {
		# shellcheck disable=SC3045
		read -r -t 0.1 _ <&6
	}
fi

: >ready
patience=20
while [ ! -e drained ] && kill -0 $scribe 2>/dev/null && [ $patience -gt 0 ]; do
	for file in inbox/*; do
		[ ! -e "$file" ] || take "$file"
	done
	[ ! -e status ] || patience=$((patience - 1))
	pause
done

# ---- The end ----

echo "Sthe worker ended with exit status $(cat status || echo unknown)" >&3
echo E >&3
echo end >&4
wait $scribe
