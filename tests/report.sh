# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# What the test scripts share, and each reads first: where to write, and how to report. A script fails if a check of it
# did, also one within a pipe, or if it ends with another status than 0.

scratch=$(mktemp -d "${TMPDIR:-/tmp}/berth-$(basename "$0" .sh)-XXXXXX") || exit 1
end_script() {
	status=$?
	finish
	[ ! -e "$scratch/failed" ] || status=1
	rm -rf "$scratch"
	exit $status
}
trap end_script EXIT
trap 'exit 1' HUP INT TERM

# What a script has to end or take away before its scratch directory goes: it defines this anew.
finish() {
	:
}

# What is known of a failure, as far as a script does not say it in another way.
explain() {
	for file in "$scratch/log" "$scratch/out" "$scratch/err"; do
		[ ! -f "$file" ] || tail -n 20 "$file" | cut -c 1-300
	done
}

# Whether the last command, whose status is given, did what is named.
check() {
	if [ "$1" = 0 ]; then
		echo "ok - $2"
	else
		echo "not ok - $2"
		explain 2>&1 | sed 's/^/# /'
		: >"$scratch/failed"
	fi
}

# The same of a command that is given with its arguments.
try() {
	what=$1
	shift
	"$@" >"$scratch/log" 2>&1
	check $? "$what"
}

# Nothing behind a step that failed makes sense.
step() {
	check "$1" "$2"
	[ "$1" = 0 ] || exit 1
}

# What is left out, and why.
skip() {
	echo "ok - $1 # SKIP $2"
}
