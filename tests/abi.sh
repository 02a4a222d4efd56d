#!/bin/sh
# SPDX-License-Identifier: MIT
# The promise: whatever was released stays in the header as it was, and what is new is
# appended, announced in the ledger, and held by assertions. The check is shown to find
# what it is for, in headers that break the promise one way each.
# In the environment: CC, srcdir.
# Some functions are called by try, which shellcheck does not see.
# shellcheck disable=SC2317
set -u
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"

: "${CC:=cc}" "${srcdir:=.}"
LC_ALL=C
export LC_ALL
has()
{
	command -v "$1" >/dev/null 2>&1
}

# ---- What there is: all of it below a tree, which is this one or a doctored copy ----

value()
{
	sed -n "s/^#define $2 \([0-9]*\)$/\1/p" "$1/include/berth/adapter.h"
}

# The minors that have FILE in their folder, in order.
minors_with()
{
	for file in "$1/tests/abi/$major".*/"$2"; do
		[ -f "$file" ] || continue
		file=${file%/*}
		echo "${file##*.}"
	done | sort -n
}

# The entries of the ledger, a line each: MINOR, a tab, text.
ledger()
{
	sed -n '/^ \* LEDGER/,/^ \*\//p' "$1/include/berth/adapter.h" | awk -v major="$major" '
		function flush() {
			if (entry != "")
				print entry
		}
		$2 ~ /^[0-9]+\.[0-9]+$/ {
			flush()
			split($2, version, ".")
			entry = ""
			if (version[1] == major) {
				sub(/^ \* *[0-9.]+ */, "")
				entry = version[2] "\t" $0
			}
			next
		}
		entry != "" && /^ \* +[^ ]/ {
			sub(/^ \* */, " ")
			entry = entry $0
		}
		END { flush() }'
}

tab=$(printf '\t')

facts()
{
	tree=$1
	for minor in $(minors_with "$tree" declarations); do
		sed "s/^/released$tab$minor$tab/" "$tree/tests/abi/$major.$minor/declarations"
	done
	awk -f "$srcdir/tests/abi/declarations.awk" "$tree/include/berth/adapter.h" | sed "s/^/today$tab/"
	ledger "$tree" | sed "s/^/ledger$tab/"
	for minor in $(minors_with "$tree" layout.h); do
		sed -n -e "s/^AT(\([a-z0-9_]*\), \([a-z0-9_]*\), .*);\$/layout$tab$minor$tab\1.\2/p" \
			-e "s/^IS(\([A-Z0-9_]*\), .*);\$/layout$tab$minor$tab\1/p" \
			"$tree/tests/abi/$major.$minor/layout.h"
	done
	sed -n -e "s/^NO_PADDING_BEHIND(\([a-z0-9_]*\), \([a-z0-9_]*\));\$/last$tab\1$tab\2/p" \
		-e "s|^#include \"tests/abi/$major\.\([0-9]*\)/layout\.h\"\$|included$tab\1|p" "$tree/tests/layout.c"
}

# What breaks the promise, a line each.
complaints()
{
	facts "$1" | awk -v major="$major" -f "$srcdir/tests/abi/judge.awk"
}

keeps_the_promise()
{
	complaints "$1" >"$scratch/complaints"
	cat "$scratch/complaints"
	[ ! -s "$scratch/complaints" ]
}

# The assertions of every minor hold.
compiles()
{
	# shellcheck disable=SC2086 # the compiler may be several words
	$CC -std=c11 -Wall -Werror -I"$scratch" -I"$1/include" -I"$1" -c -o "$scratch/layout.o" "$1/tests/layout.c"
}

# What libabigail makes of it, as comments; whatever it says, it decides nothing.
differences()
{
	record=$srcdir/tests/abi/$major.$(minors_with "$srcdir" everything.so | tail -n 1)
	has abidiff && [ "$(uname -m)" = x86_64 ] || return
	# shellcheck disable=SC2086
	$CC -O2 -g -w -fPIC -shared -fvisibility=hidden -I"$1/include" -o "$scratch/everything.so" \
		"$record/everything.c" >/dev/null 2>&1 || return
	abidiff --leaf-changes-only "$record/everything.so" "$scratch/everything.so" 2>&1 |
		sed 's/^/# abidiff: /' | head -n 100
}

: >"$scratch/config.h"
major=$(value "$srcdir" BERTH_ABI_MAJOR)

# ---- The header as it is ----

try "the header lists as declarations" awk -f "$srcdir/tests/abi/declarations.awk" "$srcdir/include/berth/adapter.h"
try "the header keeps the promise" keeps_the_promise "$srcdir"
try "the layout is what it was" compiles "$srcdir"
[ ! -e "$scratch/failed" ] || differences "$srcdir"

is_as_released()
{
	(cd "$1" && sha256sum --quiet -c sums)
}

# Neither where they were built nor a C library of these years.
is_portable()
{
	has objdump || return 0
	objcopy --decompress-debug-sections "$1" "$scratch/plain.so" || return 1
	! grep -aoE '/(home|root|tmp|work|build|usr/src)/[[:print:]]*' "$scratch/plain.so" || return 1
	objdump -T "$1" | sed -n 's/.*(\{0,1\}GLIBC_\([0-9.]*\).*/\1/p' | sort -u |
		awk -F. '$1 > 2 || $2 > 17 { print "it needs glibc " $0; bad = 1 } END { exit bad }'
}

for minor in $(minors_with "$srcdir" sums); do
	record=$srcdir/tests/abi/$major.$minor
	try "the record of $major.$minor is as it was released" is_as_released "$record"
	for plugin in "$record"/*.so; do
		try "${plugin##*/} of $major.$minor runs on older systems" is_portable "$plugin"
	done
done

# ---- Headers that break the promise, and some that do not ----

# A doctored copy begins as this tree, with the next minor begun and nothing added yet.
released=$(minors_with "$srcdir" declarations | tail -n 1)
next=$(value "$srcdir" BERTH_ABI_MINOR)
[ "$next" -gt "$released" ] || next=$((released + 1))
copy=$scratch/copy
header=$copy/include/berth/adapter.h
layout=$copy/tests/abi/$major.$next/layout.h

fresh_copy()
{
	rm -rf "$copy"
	mkdir -p "$copy/include/berth" "$copy/tests/abi"
	cp "$srcdir/include/berth/adapter.h" "$header"
	cp "$srcdir/tests/layout.c" "$copy/tests"
	cp -R "$srcdir/tests/abi/$major".* "$copy/tests/abi"
	chmod -R u+w "$copy"
}

edit()
{
	sed "$1" "$2" >"$2.edited" && mv "$2.edited" "$2"
}

# Each changes the copy.
in_header() { edit "$1" "$header"; }
in_layout_c() { edit "$1" "$copy/tests/layout.c"; }
raise() { in_header "s/^#define BERTH_ABI_MINOR .*/#define BERTH_ABI_MINOR ${1:-$next}/"; }
announce() { in_header "/^ \* LEDGER/,/^ \*\//s|^ \*/| *   $major.${2:-$next}  $1\n */|"; }
append() { in_header "/^struct $1 {/,/^};/s/^};/\t$2;\n};/"; }

assert_in_layout()
{
	mkdir -p "${layout%/*}"
	echo "$1" >>"$layout"
	grep -q "tests/abi/$major.$next/layout.h" "$copy/tests/layout.c" ||
		in_layout_c "s|^\(#include \"tests/abi/$major\.\)$released/layout.h\"|&\n\1$next/layout.h\"|"
}

ends_with() { in_layout_c "s/^NO_PADDING_BEHIND($1, .*/NO_PADDING_BEHIND($1, $2);/"; }

# A whole addition, done rightly: a member of 8 bytes.
add_member()
{
	append "$1" "uint64_t $2"
	assert_in_layout "AT($1, $2, sizeof(struct $1) - 8, 8);"
	ends_with "$1" "$2"
}

# Whether both checks of the copy say what they should. $finds: what a complaint has,
# nothing where there is to be none; $holds: whether the assertions do.
finds='' holds=yes
judged()
{
	if cmp -s "$srcdir/include/berth/adapter.h" "$header" && cmp -s "$srcdir/tests/layout.c" "$copy/tests/layout.c"; then
		echo "nothing was doctored"
		return 1
	fi
	complaints "$copy" >"$scratch/complaints"
	cat "$scratch/complaints"
	if [ -n "$finds" ]; then
		grep -q -e "$finds" "$scratch/complaints" || return 1
	else
		[ ! -s "$scratch/complaints" ] || return 1
	fi
	if compiles "$copy" >"$scratch/words" 2>&1; then
		[ "$holds" = yes ]
	else
		cat "$scratch/words"
		[ "$holds" = no ] && grep -qE 'static.assert|no member|undeclared' "$scratch/words"
	fi
}

# doctored NAME FINDS HOLDS: of the copy as it has been changed.
doctored()
{
	finds=$2 holds=$3
	try "$1" judged
	fresh_copy
}

fresh_copy

in_header 's/^	struct berth_text label; .*/	struct berth_text label;/; s|/\* required \*/|/* this is required */|'
doctored "comments change freely" "" yes

in_header '/^struct berth_evidence {/,/^};/{/kind;/{h;d;};/detail;/G;}'
doctored "two members of one type are swapped" "berth_evidence.detail: it has moved" no

in_header '/^struct berth_transcript_item {/,/^};/{/ sequence;/{h;d;};/ event_id;/G;}'
doctored "two numbers are swapped" "berth_transcript_item.event_id: it has moved" no

in_header '/^struct berth_answer {/,/^};/s/uint64_t event_id;/size_t event_id;/'
doctored "a member gets another type of the same size" 'berth_answer.event_id: it was "uint64_t event_id"' yes

in_header '/^struct berth_answer {/,/^};/s/uint64_t event_id;/uint32_t event_id;/'
doctored "a member gets another size" "berth_answer.event_id: it was" no

in_header '/^struct berth_answer {/,/^};/s/event_id;/its_event_id;/'
doctored "a member gets another name" "berth_answer.event_id: it was released with $major.0 and is gone" no

in_header '/^struct berth_worker {/,/^};/{/ profile;/d;}'
doctored "a member is removed" "berth_worker.profile: .* is gone" no

in_header '/^struct berth_call {/,/^};/{/ deadline_ns;/d;}'
in_layout_c 's/^NO_PADDING_BEHIND(berth_call, .*/NO_PADDING_BEHIND(berth_call, sink);/'
doctored "the last member is removed" "berth_call.deadline_ns: .* is gone" no

in_header 's/(\*list_hosts)(void \*instance, struct berth_call \*call,/(*list_hosts)(struct berth_call *call, void *instance,/'
doctored "the arguments of an operation are swapped" "berth_adapter.list_hosts: it was" yes

in_header '/(\*generated_id)/,/;/{s/berth_text prefix,/berth_text first,/; s/berth_text value,/berth_text prefix,/; s/berth_text first,/berth_text value,/;}'
doctored "two arguments of one type are swapped" "berth_services.generated_id: it was" yes

in_header 's/BERTH_REJECTED = 3/BERTH_REJECTED = 4/'
doctored "an enum value changes" "BERTH_REJECTED: it was \"BERTH_REJECTED = 3\"" no

in_header '/BERTH_LOG_INFO = 2/d'
doctored "an enum value is removed" "BERTH_LOG_INFO: .* is gone" no

in_header 's/BERTH_HAS_GIT (UINT64_C(1) << 10)/BERTH_HAS_GIT (UINT64_C(1) << 13)/'
doctored "a bit changes" "BERTH_HAS_GIT: it was" no

in_header 's/^#define BERTH_HINT_MAX 320/#define BERTH_HINT_MAX 400/'
doctored "a limit changes" "BERTH_HINT_MAX: it was" no

in_header 's/^#define BERTH_STAMP_SECTION .*/#define BERTH_STAMP_SECTION ".note.other"/'
doctored "a text of the stamp changes" "BERTH_STAMP_SECTION: it was" yes

add_member berth_evidence seen_at_ns
doctored "a member is appended without a word" "berth_evidence.seen_at_ns: the ledger does not announce it" yes

add_member berth_evidence seen_at_ns
announce "berth_evidence.seen_at_ns: when it was seen"
raise
doctored "a member is appended and announced" "" yes

add_member berth_evidence seen_at_ns
announce "berth_evidence.seen_at_ns: when it was seen" "$released"
doctored "a member is announced under a minor that is released" \
	"berth_evidence.seen_at_ns: the ledger does not announce it" yes

add_member berth_evidence seen_at_ns
announce "berth_evidence.seen_at_ns: when it was seen"
raise "$released"
doctored "the minor is not raised" "BERTH_ABI_MINOR is $released" yes

raise $((next + 1))
doctored "the minor is raised without a word" "BERTH_ABI_MINOR is $((next + 1))" yes

add_member berth_evidence seen_at_ns
announce "berth_evidence.seen_at_ns, berth_evidence.seen_by: who saw it and when"
raise
doctored "what is announced is not there" "berth_evidence.seen_by is announced" yes

append berth_evidence "uint64_t seen_at_ns"
announce "berth_evidence.seen_at_ns: when it was seen"
raise
ends_with berth_evidence seen_at_ns
doctored "a member is appended and nothing asserts where" "berth_evidence.seen_at_ns: no file asserts where it is" yes

append berth_evidence "uint64_t seen_at_ns"
announce "berth_evidence.seen_at_ns: when it was seen"
raise
assert_in_layout "AT(berth_evidence, seen_at_ns, sizeof(struct berth_evidence) - 8, 8);"
doctored "a member is appended behind what is called the last" "no padding behind berth_evidence.seen_at_ns" no

append berth_evidence "uint32_t seen"
announce "berth_evidence.seen: how often"
raise
assert_in_layout "AT(berth_evidence, seen, sizeof(struct berth_evidence) - 8, 4);"
ends_with berth_evidence seen
doctored "padding at the end of a struct" "" no

in_header '/^struct berth_evidence {/,/^};/s/^	struct berth_text detail;/	uint64_t seen_at_ns;\n&/'
announce "berth_evidence.seen_at_ns: when it was seen"
raise
assert_in_layout "AT(berth_evidence, seen_at_ns, 24, 8);"
doctored "a member is inserted and announced" "berth_evidence.seen_at_ns: it stands before" no

append berth_option "uint64_t flags"
announce "berth_option.flags: of an option"
raise
assert_in_layout "AT(berth_option, flags, sizeof(struct berth_option) - 8, 8);"
ends_with berth_option flags
doctored "a struct without a size grows" "" no

append berth_adapter "int (*wave)(void *instance, struct berth_call *call)"
append berth_sink "int (*flag)(struct berth_call *call, const struct berth_flag *flag)"
cat >"$scratch/flag" <<'EOF'

struct berth_flag {
	size_t size;
	uint64_t colour;
};

enum {
	BERTH_FLAG_RED = 1,
	BERTH_FLAG_BLUE = 2,
};

#define BERTH_CAN_WAVE (UINT64_C(1) << 40)
EOF
in_header "/^struct berth_call;/r $scratch/flag"
announce "berth_adapter.wave, berth_sink.flag, berth_flag, BERTH_FLAG_*,\n *        BERTH_CAN_WAVE: flags are shown"
raise
assert_in_layout "AT(berth_adapter, wave, sizeof(struct berth_adapter) - 8, 8);
AT(berth_sink, flag, sizeof(struct berth_sink) - 8, 8);
AT(berth_flag, size, 0, 8);
AT(berth_flag, colour, 8, 8);
SIZE(berth_flag, 16);
IS(BERTH_FLAG_RED, 1);
IS(BERTH_FLAG_BLUE, 2);
IS(BERTH_CAN_WAVE, UINT64_C(1) << 40);"
ends_with berth_adapter wave
ends_with berth_sink flag
in_layout_c 's/^NO_PADDING_BEHIND(berth_registrar, .*/&\nNO_PADDING_BEHIND(berth_flag, colour);/'
cp -R "$copy" "$scratch/grown"
doctored "an operation, a function of the sink, a struct, values and a bit are added" "" yes

cp -R "$scratch/grown/." "$copy"
in_layout_c '/^NO_PADDING_BEHIND(berth_flag/d'
doctored "a new struct may end in padding" "berth_flag: tests/layout.c does not say" yes

cp -R "$scratch/grown/." "$copy"
edit '/BERTH_FLAG_BLUE/d' "$layout"
doctored "a new value is asserted nowhere" "BERTH_FLAG_BLUE: no file asserts its value" yes

cp -R "$scratch/grown/." "$copy"
in_layout_c "\\|tests/abi/$major.$next/layout.h|d"
doctored "the layout of a minor is not included" "does not include tests/abi/$major.$next/layout.h" yes

# Once that is released it stays as well, and what comes then is of the minor after it.
release_grown()
{
	cp -R "$scratch/grown/." "$copy"
	awk -f "$srcdir/tests/abi/declarations.awk" "$header" >"$copy/tests/abi/$major.$next/declarations"
}

release_grown
doctored "the next minor is released" "" yes

release_grown
in_header '/^struct berth_flag {/,/^};/s/uint64_t colour/int64_t colour/'
doctored "what the next minor added changes" "berth_flag.colour: it was .* in $major.$next" yes

release_grown
append berth_flag "uint64_t size_of_it"
ends_with berth_flag size_of_it
assert_in_layout "AT(berth_flag, size_of_it, 16, 8);"
doctored "a struct that is released is announced no more" "berth_flag.size_of_it: the ledger does not announce it" yes

# What libabigail explains, it explains of every doctored header that breaks.
if has abidiff && [ "$(uname -m)" = x86_64 ]; then
	in_header '/^struct berth_evidence {/,/^};/{/kind;/{h;d;};/detail;/G;}'
	explains()
	{
		differences "$copy" | tee "$scratch/explained"
		grep -q 'berth_evidence' "$scratch/explained"
	}
	try "abidiff explains what broke" explains
else
	skip "abidiff explains what broke" "it is not here (Debian: abigail-tools), or this is no x86_64"
fi

