#!/bin/sh
# SPDX-License-Identifier: MIT
# The manual and the completions name every command, option, key and code that there is, and no other.
set -u
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
: "${srcdir:?}" "${BERTH:?}" "${BERTH_ADAPTER_DIR:?}"

LC_ALL=C BERTH_CONFIG_ROOT=$scratch/root
export LC_ALL BERTH_CONFIG_ROOT
core=$srcdir/core
has=$scratch/has says=$scratch/says

# Standard input is what is said; $has is what there is, and not empty.
same() {
	sort -u >"$says"
	sort -u "$has" | comm -3 - "$says" >"$scratch/differences"
	sed 's/^	/# only said: /; s/^\([^#]\)/# not said: \1/' "$scratch/differences"
	[ -s "$has" ] && [ ! -s "$scratch/differences" ]
	check $? "$1"
}

# What the lists in one section of a page describe: documented PAGE SECTION MACRO.
documented() {
	awk -v section="$2" -v macro="$3" '
		$1 == ".Sh" { on = substr($0, 5) == section }
		on && $1 == ".It" && $2 == macro { print (macro == "Fl" ? "-" : "") $3 }' "$1"
}

"$BERTH" --help >"$scratch/help" || exit 1
# Those for authors have programs of their own, with their own --help.
awk '/^For authors/ { on = 1 } /^$/ { on = 0 } on && /^  [a-z]/ { print $1 }' "$scratch/help" >"$scratch/programs"
awk '/^Commands:/ { on = 1 } /^$/ { on = 0 } on && /^  [a-z]/ { print $1 }' "$scratch/help" |
	cat - "$scratch/programs" >"$scratch/commands"
options_in() {
	sed -n 's/^  \(--[a-z-]*\).*/\1/p' "$1"
}
options_in "$scratch/help" >"$scratch/options"
while read -r command; do
	"$BERTH" "$command" --help >"$scratch/help-$command" || exit 1
done <"$scratch/programs"

# ---- Commands and options ----

completion_commands() {
	case $1 in
	berth.bash) sed -n "s/.* commands='\\([^']*\\)'.*/\\1/p" "$core/completion/$1" | tr ' ' '\n' ;;
	_berth) sed -n "/commands=(/,/^	)/s/^	*'\\([a-z-]*\\):.*/\\1/p" "$core/completion/$1" ;;
	*) sed -n 's/^complete .*-n __berth_no_command -a \([a-z-]*\) .*/\1/p' "$core/completion/$1" ;;
	esac
}

completion_options() {
	case $1 in
	*.fish) sed -n 's/^complete .* -l \([a-z-]*\) .*/--\1/p' "$core/completion/$1" ;;
	*) grep -v '^[[:blank:]]*#' "$core/completion/$1" | grep -o -e '--[a-z][a-z-]*' ;;
	esac
}

cp "$scratch/commands" "$has"
documented "$core/berth.1.in" COMMANDS Cm | same "berth.1 describes the commands"
for file in berth.bash _berth berth.fish; do
	completion_commands $file | same "completion/$file knows the commands"
done
cp "$scratch/options" "$has"
documented "$core/berth.1.in" OPTIONS Fl | same "berth.1 describes the options"
while read -r command; do
	options_in "$scratch/help-$command" >"$has"
	documented "$core/berth-$command.1.in" OPTIONS Fl | same "berth-$command.1 describes its options"
	cat "$has" >>"$scratch/options"
done <"$scratch/programs"
cp "$scratch/options" "$has"
for file in berth.bash _berth berth.fish; do
	completion_options $file | same "completion/$file knows the options"
done

# ---- Keys ----

keys_of_page() {
	documented "$1" KEYS Va
}

if [ -f "$core/dropin.c" ]; then
	sed -n '/dropin_keys\[\] = {/,/^};/s/^	{ "\([a-z0-9_]*\)".*/\1/p' "$core/dropin.c" >"$has"
	keys_of_page "$core/berth-adapters.d.5.in" | same "berth-adapters.d.5 describes the keys"
else
	skip "berth-adapters.d.5 describes the keys" "there are no drop-ins"
fi
if grep -qx config "$scratch/commands"; then
	# Every setting has a value then.
	"$BERTH" --workspace-root / --workspace-id x --data-dir / --adapter-dir / --json config | awk '{
		depth = string = 0
		for (i = 1; i <= length($0); i++) {
			c = substr($0, i, 1)
			if (c == "\\") {
				i++
			} else if (c == "\"") {
				string = !string
				if (string) {
					start = i + 1
				} else if (substr($0, i + 1, 1) == ":" && depth <= 2) {
					key[depth] = substr($0, start, i - start)
					if (depth == 2 && key[1] == "settings")
						print key[2]
				}
			} else if (!string && index("{[", c)) {
				depth++
			} else if (!string && index("}]", c)) {
				depth--
			}
		}
	}' >"$has"
	keys_of_page "$core/berth.json.5.in" | same "berth.json.5 describes the keys"
	{
		tr '[:lower:]' '[:upper:]' <"$has" | sed 's/^/BERTH_/'
		printf 'BERTH_%s\n' CONFIG_ROOT CONNECT LIBEXEC_DIR TOKEN_FILE
	} >"$scratch/variables"
	mv "$scratch/variables" "$has"
	documented "$core/berth.1.in" ENVIRONMENT Ev | grep '^BERTH_' | same "berth.1 describes a variable for each key"
else
	skip "berth.json.5 describes the keys" "there is no config"
fi

# ---- Codes ----

sed -n 's/.*\[FAILURE_[A-Z_]*\] = { "\([a-z0-9_]*\)".*/\1/p' "$core/failure.c" | grep -vx none >"$has"
documented "$core/berth.1.in" "ADAPTER FAILURES" Dv | same "berth.1 describes the failures of adapters"
grep -oh '"\(adapter_failed\|[a-z]*_[a-z_]*_pending\)"' "$core"/*.c | tr -d '"' >"$has"
documented "$core/berth.1.in" DIAGNOSTICS Dv | same "berth.1 describes the diagnostics of the registry"
for dir in "$srcdir"/plugins/*/; do
	id=$(basename "$dir")
	# A program says what it rejects.
	find "$dir" -type f \( -name '*.c' -o ! -name '*.*' \) -exec cat {} + |
		grep -o 'DIAGNOSTIC("[a-z0-9_]*"\|\.code = BERTH_TEXT("[a-z0-9_]*"\|rejected("[a-z0-9_]*"' |
		cut -d '"' -f 2 >"$has"
	documented "$dir/berth-$id.7.in" DIAGNOSTICS Dv | same "berth-$id.7 describes the diagnostics"
done

# ---- The manual for authors of adapters ----

header=$srcdir/include/berth/adapter.h page=$core/berth-adapter.7.in

# The functions in a struct of the header.
functions_of() {
	sed -n "/^struct $1 {\$/,/^};\$/s/.*(\*\([a-z_]*\))(.*/\1/p" "$header"
}

functions_of berth_adapter >"$has"
awk '$1 == ".Sh" { on = $2 == "OPERATIONS" } on && $1 == ".Ss" { print substr($0, 5) }' "$page" |
	same "berth-adapter.7 has a section for each operation"
functions_of berth_sink >"$has"
documented "$page" "THE SINK" Fn | same "berth-adapter.7 describes the functions of the sink"
functions_of berth_services >"$has"
documented "$page" SERVICES Fn | same "berth-adapter.7 describes the services"
grep -o '\[OPTION_[A-Z]*\] = "[a-z]*"' "$core/stamp.c" | cut -d '"' -f 2 >"$has"
documented "$page" OPTIONS Cm | same "berth-adapter.7 describes the types of options"
sed -n 's/^#define \(BERTH_THREADS_[A-Z]*\) .*/\1/p' "$header" >"$has"
documented "$page" THREADS Dv | same "berth-adapter.7 describes the kinds of threading"
sed -n 's/^#define \(BERTH_[A-Z]*_MAX\) \([0-9]*\).*/\1 \2/p' "$header" >"$has"
awk '$1 == ".Sh" { on = $2 == "LIMITS" } on && $1 == ".It" { print $3, $5 }' "$page" |
	same "berth-adapter.7 describes the limits"
grep -oh '"\(adapter_failed\|[a-z]*_[a-z_]*_pending\)"' "$core"/*.c | tr -d '"' >"$has"
grep -o 'adapter_failed\|[a-z]*_[a-z_]*_pending' "$page" |
	same "berth-adapter.7 names the diagnostics that stand for an adapter"

umask 022
mkdir "$scratch/notebook" && awk '
	/^\.Ed$/ && on { exit }
	on { gsub(/\\e/, "\\"); print }
	/^\.Ss A complete adapter$/ { here = 1 }
	/^\.Bd / && here { on = 1 }' "$page" >"$scratch/notebook/notebook.c"
${CC:-cc} -Wall -Wextra -Werror -shared -fPIC -fvisibility=hidden -Wl,-z,defs -I "$srcdir/include" \
	-o "$scratch/notebook/notebook.so" "$scratch/notebook/notebook.c"
check $? "the adapter in berth-adapter.7 compiles without a warning"
if [ -n "${ADMIN_CONF_DIR:-}" ]; then
	conf=$scratch/notebook/root$ADMIN_CONF_DIR/adapters.d
	mkdir -p "$conf"
	sed -n "s|^\({ \"options\": .*\"\)/[^\"]*|\1$scratch/notebook/lines|p" "$page" >"$conf/notebook.json"
	set -- --adapter-dir "$scratch/notebook" --config-root "$scratch/notebook/root"
	{
		"$BERTH" "$@" workers && "$BERTH" "$@" input notebook notebook "buy rope"
	} >"$scratch/shown"
	check $? "the adapter in berth-adapter.7 lists its worker and takes input"
	[ -s "$scratch/shown" ] && ! grep -vxFf "$page" "$scratch/shown"
	check $? "what it shows is what berth-adapter.7 says"
	echo "buy rope" | cmp -s - "$scratch/notebook/lines"
	check $? "the input is a line of the file"
	"$BERTH" "$@" worker notebook notebook | grep -q '^host *this-machine$'
	check $? "its worker is found by its id"
	"$BERTH" "$@" input notebook notebook "" >"$scratch/shown"
	[ $? = 1 ] && grep -q '^warning: notebook_line_empty: ' "$scratch/shown"
	check $? "an empty line is refused"
	"$BERTH" "$@" input notebook nobody rope 2>&1 | grep -q '^berth: unknown_worker: '
	check $? "a worker that is not there is unknown"
	rm "$scratch/notebook/lines" && mkdir "$scratch/notebook/lines"
	"$BERTH" "$@" --json input notebook notebook rope >"$scratch/shown" 2>"$scratch/log"
	grep -q '"rejected".*"adapter_failed"' "$scratch/shown" && ! grep -qF "$scratch" "$scratch/shown" &&
		grep -qF "$scratch/notebook/lines: " "$scratch/log"
	check $? "a file that cannot be written is named in the log and not in the answer"
else
	skip "the adapter in berth-adapter.7 lists its worker" "ADMIN_CONF_DIR is not set"
fi

# ---- The checks of berth conformance ----

page=$core/berth-conformance.1.in
if "$BERTH" conformance --list >"$scratch/list" 2>/dev/null; then
	awk '{ print $1 }' "$scratch/list" >"$has"
	documented "$page" CHECKS Cm | same "berth-conformance.1 describes the checks"
	sed -n 's/^\([a-z_/]*\) .*\[\([a-z_]*\)\]$/\1 \2/p' "$scratch/list" >"$has"
	awk '$1 == ".It" { name = $3 } /^Needs$/ { getline; print name, $2 }' "$page" |
		same "berth-conformance.1 says which capability each check needs"
else
	skip "berth-conformance.1 describes the checks" "there is no berth conformance"
fi

# ---- The threat model ----

# Each test is named as tests/FILE: NAME, where a name has the words of a function, a case or a check.
awk -F '|' '/^\| .*`tests\// { print $4 }' "$srcdir/SECURITY.md" | sed 's/; `/\
`/g' >"$scratch/cells"
# shellcheck disable=SC2016 # these are no commands
sed -n 's/^ *`\(tests\/[a-z_.]*\)`: \(.*[^ ]\) *$/\1 \2/p' "$scratch/cells" >"$scratch/held"
[ "$(wc -l <"$scratch/held")" -ge 30 ]
check $? "SECURITY.md names the tests that hold it"
while read -r file name; do
	grep -qF -e "$name" "$srcdir/$file" || grep -qF -e "$(echo "$name" | tr ' ' _)" "$srcdir/$file"
	check $? "SECURITY.md: $file: $name"
done <"$scratch/held"

# ---- Form ----

for page in "$core"/*.[1-8].in "$srcdir"/plugins/*/*.[1-8].in; do
	name=$(basename "$page" .in)
	if command -v mandoc >/dev/null; then
		sed 's/@[a-z]*@/\/usr/g' "$page" >"$scratch/$name"
		mandoc -T lint -W warning "$scratch/$name"
		check $? "$name is a manual page without a fault"
	else
		skip "$name is a manual page without a fault" "there is no mandoc"
	fi
done
