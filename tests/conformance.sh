#!/bin/sh
# SPDX-License-Identifier: MIT
# berth conformance: the project's own adapters pass, each check catches an adapter that
# violates just its rule, and a plugin that crashes, hangs or ends the process is a failed
# check and no more.
# In the environment: BERTH, BERTH_ADAPTER_DIR, BERTH_LIBEXEC_DIR, CC, srcdir; tests/fixtures
# of the build tree is below the current directory.
set -u
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
: "${BERTH:?}" "${BERTH_ADAPTER_DIR:?}" "${BERTH_LIBEXEC_DIR:?}" "${CC:=cc}" "${srcdir:=.}"

LC_ALL=C
export LC_ALL
unset BERTH_FIXTURE
fixtures=$PWD/tests/fixtures out=$scratch/out err=$scratch/err TMPDIR=$scratch/tmp
mkdir "$TMPDIR"
export fixtures TMPDIR

conformance() {
	"$BERTH" conformance "$@" >"$out" 2>"$err" </dev/null
	status=$?
}

# The names of checks with the given beginning of their lines.
named() {
	sed -n "s/^$1 [0-9]* - \\([a-z_/]*\\).*/\\1/p" "$out"
}

counts() {
	sed -n 's/^# \([0-9]* passed, .*\)/\1/p' "$out"
}

# One error line that has the text, and the status.
refused() {
	[ "$status" = "$1" ] && [ "$(wc -l <"$err")" = 1 ] && grep -qF -e "$2" "$err"
}

# A plan, then as many results in order.
well_formed() {
	awk '/^1\.\.[0-9]+$/ { plan = substr($0, 4) }
		/^(not )?ok / { split($0, words, " "); if (words[$1 == "not" ? 3 : 2] != ++n) wrong = 1 }
		!/^(1\.\.|(not )?ok |#|Bail out!)/ { wrong = 1 }
		/^Bail out!/ { n = plan }
		END { exit !(plan > 0 && n == plan && !wrong) }' "$out"
}

conformance --list
cp "$out" "$scratch/list"
[ "$status" = 0 ] && [ "$(wc -l <"$out")" -gt 50 ] && ! grep -qv '^[a-z_]*/[a-z_]*  *[a-z]' "$out"
check $? "--list names each check and what it holds"
awk '{ print $1 }' "$scratch/list" >"$scratch/names"

# ---- The project's own adapters ----

# Of each check that needs a capability: where that is declared, it was tried or something
# else is said; else it is skipped by its name. skips_fit CAPABILITY... that are declared.
skips_fit() {
	sed -n 's/^\([a-z_/]*\) .*\[\([a-z_]*\)\]$/\1 \2/p' "$scratch/list" | while read -r check_name needs; do
		grep -q "^ok [0-9]* - $check_name # SKIP the runtime does not declare $needs\$" "$out"
		skipped=$?
		case " $* " in
		*" $needs "*) [ $skipped = 1 ] || exit 1 ;;
		*) [ $skipped = 0 ] || exit 1 ;;
		esac
	done
}

# passes NAME DECLARED ARGUMENT...
passes() {
	name=$1 declared=$2
	shift 2
	conformance "$@"
	[ "$status" = 0 ] && [ ! -s "$err" ] && well_formed && [ -z "$(named 'not ok')" ]
	check $? "$name passes: $(counts)"
	# shellcheck disable=SC2086 # words are meant
	skips_fit $declared
	check $? "$name: what needs a capability that is not declared is skipped by its name"
}

all_declared="can_list_hosts can_list_workers can_get_worker can_spawn_worker can_stop_worker"
all_declared="$all_declared can_accept_input can_stream_events can_read_bounded_transcript"
passes "local-pod with records" "can_list_hosts can_list_workers can_get_worker" --data-dir "$srcdir/tests/sample" \
	--workspace-root /srv/harbour "$BERTH_ADAPTER_DIR/local-pod.so"
passes "local-pod without a data directory" can_list_hosts "$BERTH_ADAPTER_DIR/local-pod.so"
passes embedded "$all_declared" "$BERTH_ADAPTER_DIR/embedded.so"
passes remote-reserved "" "$BERTH_ADAPTER_DIR/remote-reserved.so"
passes "the fixture that violates nothing" "$all_declared" "$fixtures/violating.so"

# ---- In processes of their own ----

# isolated NAME ARGUMENT...
isolated() {
	name=$1
	shift
	conformance --isolated --adapter-dir "$BERTH_ADAPTER_DIR" "$@"
	[ "$status" = 0 ] && [ ! -s "$err" ] && well_formed && [ -z "$(named 'not ok')" ] &&
		[ "$(grep -c 'SKIP it is for plugins that are not in a process of their own$' "$out")" = 9 ]
	check $? "$name passes in a process of its own: $(counts)"
}

isolated "local-pod with records" --data-dir "$srcdir/tests/sample" --workspace-root /srv/harbour "$BERTH_ADAPTER_DIR/local-pod.so"
isolated embedded "$BERTH_ADAPTER_DIR/embedded.so"
conformance --isolated --adapter-dir "$BERTH_ADAPTER_DIR" --check workers/offered --options '{"does":"list_workers kill"}' "$fixtures/unruly.so"
[ "$status" = 1 ] && named 'not ok' | grep -qx workers/offered && grep -q '^# .*: the process was killed by SIGKILL' "$out"
check $? "a plugin that ends its process fails the check, which says how"
conformance --isolated --adapter-dir "$BERTH_ADAPTER_DIR" --check base --options '{"does":"open exit"}' "$fixtures/unruly.so"
[ "$status" = 1 ] && [ "$(named 'not ok')" = base/open ] && grep -q 'the process ended with status 3' "$out"
check $? "and so does one that ends it where it opens"
conformance --isolated --sanitizer address "$BERTH_ADAPTER_DIR/embedded.so"
[ "$status" = 2 ] && [ "$(wc -l <"$err")" = 1 ] && grep -q -e '--sanitizer: it is for plugins that are not' "$err"
check $? "--isolated does not go with --sanitizer"
conformance --isolated --command true
[ "$status" = 2 ] && [ "$(wc -l <"$err")" = 1 ] && grep -q -e '--isolated: it is for plugins' "$err"
check $? "nor with --command"

# ---- In C++ ----

conformance "$fixtures/cxx.so"
[ "$status" = 0 ] && well_formed
check $? "the fixture in C++, whose exceptions are contained, passes: $(counts)"
# Where the program is built with a sanitizer, that has the allocations.
ldd "$BERTH_LIBEXEC_DIR/conformance" 2>/dev/null | grep -q 'lib[a-z]*san\.' && sanitized=yes || sanitized=
[ -n "$sanitized" ] || ! named ok | grep -qxvFf "$scratch/names"
check $? "its checks are those of --list"

# ---- Every check, violated ----

# What a plugin is before its code runs cannot come from the environment.
fixture_for() {
	case $1 in
	base/stamp) echo wrong-id ;;
	base/load) echo undefined-function ;;
	base/options) echo no-help ;;
	*) echo violating ;;
	esac
}

# Several at once: some of them wait for what never comes.
# shellcheck disable=SC2016 # for the inner shell to expand
while read -r name; do
	echo "$name $(fixture_for "$name") $scratch/violated-$(echo "$name" | tr / -)"
done <"$scratch/names" | xargs -n 3 -P 4 sh -c '
	BERTH_FIXTURE=$1 "$0" conformance "$fixtures/$2.so" >"$3" 2>"$3.err" </dev/null; echo $? >"$3.status"' "$BERTH"
n_violated=0
while read -r name; do
	file=$scratch/violated-$(echo "$name" | tr / -)
	cp "$file" "$out" && cp "$file.err" "$err" && status=$(cat "$file.status")
	if [ -n "$sanitized" ] && grep -q "^ok [0-9]* - $name # SKIP" "$out"; then
		skip "violated: $name" "not with a sanitizer"
		continue
	fi
	[ "$status" = 1 ] && well_formed && [ "$(named 'not ok')" = "$name" ] && n_violated=$((n_violated + 1))
	check $? "violated: $name fails and nothing else"
done <"$scratch/names"
echo "# $n_violated of $(wc -l <"$scratch/names") checks were seen to fail, each alone"

while read -r name way; do
	BERTH_FIXTURE="$name $way"
	export BERTH_FIXTURE
	conformance --check "${name%/*}" "$fixtures/violating.so"
	unset BERTH_FIXTURE
	if [ -n "$sanitized" ] && { [ "$name $way" = "base/leaks memory" ] || [ "${name%/*}" = faults ]; }; then
		skip "violated in another way: $name, $way" "not with a sanitizer"
		continue
	fi
	[ "$status" = 1 ] && [ "$(named 'not ok')" = "$name" ]
	check $? "violated in another way: $name, $way"
done <<END
base/identity runtime
base/instances second
base/leaks memory
base/leaks threads
base/process directory
base/process environment
base/process handler
base/process locale
base/process mask
base/process output
capabilities/undeclared events
capabilities/undeclared input
capabilities/undeclared lists
capabilities/undeclared spawn
close/in_flight close
deadlines/expired later
events/cursor another
events/cursor behind
events/cursor failure
events/order beginning
events/pages idle
events/pages input
events/pages largest
events/pages last
events/pages more
events/pages none
events/pages own
events/pages repeated
events/pages spawn
events/pages twice
faults/memory later
faults/memory reason
faults/memory unknown
hosts/agree worker
input/offered unknown
input/sequence sequence
limits/late events
limits/late none
limits/returns events
limits/returns answer
limits/returns reason
limits/returns silent
lookup/agrees another
lookup/agrees unknown
lookup/unknown prefix
privacy/answers secret
privacy/log reason
refusals/unknown transcript
spawn/answer worker
stop/offered unknown
threads/spawn lost
threads/spawn sequence
transcript/bounded failure
transcript/kept role
transcript/kept sequence
transcript/kept twice
transcript/order sequence
transcript/pages item
transcript/pages more
transcript/pages total
END

# ---- What a failed check says ----

BERTH_FIXTURE=hosts/unique "$BERTH" conformance --check hosts "$fixtures/violating.so" >"$out" 2>"$err"
grep -q '^# the rule: a list has each host once$' "$out" && grep -q '^# .*host-one twice' "$out"
check $? "a failed check says its rule and what was seen"
BERTH_FIXTURE=privacy/log "$BERTH" conformance --check privacy/log --options '{"key":"hunter2-hunter2"}' \
	"$fixtures/violating.so" >"$out" 2>"$err"
[ "$(named 'not ok')" = privacy/log ] && ! grep -qs hunter2 "$out" "$err"
check $? "a secret that was found in the log is not shown"
conformance --check limits/late "$fixtures/violating.so"
[ "$status" = 0 ] && [ "$(named ok)" = limits/late ]
check $? "--check runs one check"
conformance --check limits "$fixtures/violating.so"
[ "$status" = 0 ] && [ "$(named ok)" = "$(grep '^limits/' "$scratch/names")" ]
check $? "--check runs a profile"
conformance --options '{"label":"other","workers":0}' "$fixtures/violating.so"
[ "$status" = 0 ] && [ -z "$(named 'not ok')" ]
check $? "an adapter that has no workers but those that are spawned passes: $(counts)"
conformance --options '{"no_such":1}' "$fixtures/violating.so"
[ "$status" = 1 ] && [ "$(named 'not ok')" = base/open ] && grep -q 'no_such' "$out" && grep -q '^Bail out!' "$out" && well_formed
check $? "an option that is not declared fails base/open, and nothing else is run"

# ---- JUnit ----

# The counts of the TAP, as the attributes of JUnit have them.
junit_counts() {
	sed -n 's/.*<testsuite [^>]* tests="\([0-9]*\)" failures="\([0-9]*\)" errors="0" skipped="\([0-9]*\)".*/\1 \2 \3/p' "$1"
}

count_tap() {
	all=$(sed -n 's/^1\.\.//p' "$out") bad=$(named 'not ok' | wc -l)
	skipped=$((all - bad - $(grep -c '^ok [0-9]* - [a-z_/]*$' "$out")))
}

xml_fits() {
	if command -v xmllint >/dev/null; then
		xmllint --noout "$1"
	elif command -v python3 >/dev/null; then
		python3 -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' "$1"
	else
		return 2
	fi
}

while read -r what fixture violation; do
	BERTH_FIXTURE=$violation "$BERTH" conformance --junit "$scratch/junit.xml" --options '{}' "$fixtures/$fixture.so" >"$out" 2>"$err"
	count_tap
	[ "$(junit_counts "$scratch/junit.xml")" = "$all $bad $skipped" ] && [ "$(grep -c '<testcase ' "$scratch/junit.xml")" = "$all" ] &&
		[ "$(grep -c '<failure ' "$scratch/junit.xml")" = "$bad" ]
	check $? "JUnit has the counts of the TAP: $what"
	xml_fits "$scratch/junit.xml" 2>"$err"
	case $? in
	0) check 0 "JUnit is well-formed XML: $what" ;;
	2) skip "JUnit is well-formed XML: $what" "neither xmllint nor python3 is there" ;;
	*) check 1 "JUnit is well-formed XML: $what" ;;
	esac
done <<END
all-passed violating none
one-failed violating limits/members
not-run wrong-id none
END
conformance --junit "$scratch/junit.xml" --options '{"a<b>&\"c":1}' "$fixtures/violating.so"
grep -q 'a&lt;b&gt;&amp;&quot;c' "$scratch/junit.xml"
check $? "what has a meaning in XML has none in JUnit"
conformance --junit "$scratch/none/junit.xml" --check base/stamp "$fixtures/violating.so"
refused 3 "$scratch/none/junit.xml"
check $? "JUnit that cannot be written ends with 3"

# ---- Plugins that do harm ----

cat >"$scratch/harm.c" <<'END'
/* Lists no workers, and does harm in the way that $HARM names. */
#include <berth/adapter.h>

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

static int does(const char *harm)
{
	const char *named = getenv("HARM");

	return named && strcmp(named, harm) == 0;
}

static int harm_open(void **instance, struct berth_call *call, const struct berth_open_request *request)
{
	const struct berth_runtime runtime = {
		.size = sizeof runtime,
		.runtime_id = BERTH_TEXT("harm"), .label = BERTH_TEXT("harm"), .kind = BERTH_TEXT("harm"),
		.status = BERTH_TEXT("available"), .source_kind = BERTH_TEXT("harm"),
		.source_status = BERTH_TEXT("active"), .source_note = BERTH_TEXT("harm"),
		.can = BERTH_CAN_LIST_WORKERS,
	};

	(void)request;
	*instance = NULL;
	if (does("leak"))
		*(char *volatile *)instance = malloc(100);
	*instance = NULL;
	return call->sink->runtime(call, &runtime);
}

static int harm_list_workers(void *instance, struct berth_call *call, const struct berth_list_request *request)
{
	static int n_calls;
	volatile int number = INT_MAX;
	char *volatile block;

	(void)instance;
	(void)call;
	if (does("crash"))
		abort();
	if (does("exit"))
		exit(0);
	while (does("hang"))
		pause();
	if (does("overflow")) {
		block = malloc(8);
		block[8] = (char)request->limit;
		free(block);
	}
	if (does("signed"))
		number += (int)(request->limit > 0);
	if (does("race"))
		for (int i = 0; i < 1000; i++)
			n_calls++;
	return n_calls < 0;
}

static const struct berth_adapter harm = {
	.size = sizeof harm, .open = harm_open, .list_workers = harm_list_workers,
};
#ifndef OPTIONS
#define OPTIONS BERTH_NO_OPTIONS
#endif
BERTH_ADAPTER(harm, "harm", "1", BERTH_THREADS_ANY, OPTIONS, &harm);
END

# build DIR FLAG...
build() {
	dir=$scratch/$1
	shift
	mkdir -p "$dir"
	# shellcheck disable=SC2086 # $CC may be several words
	$CC -g -shared -fPIC -fvisibility=hidden "$@" -I "$srcdir/include" -o "$dir/harm.so" "$scratch/harm.c" 2>"$err"
}

# harm WAY DIR ARGUMENT...
harm() {
	HARM=$1 plugin=$scratch/$2/harm.so
	export HARM
	shift 2
	conformance "$@" "$plugin"
	unset HARM
}

: >"$out"
build plain
check $? "a plugin is built as an author would"
harm none plain
[ "$status" = 0 ] && [ -z "$(named 'not ok')" ]
check $? "it passes: $(counts)"
for way in crash exit; do
	harm $way plain --check workers
	[ "$status" = 1 ] && well_formed && [ "$(named 'not ok')" = "$(grep '^workers/' "$scratch/names")" ]
	check $? "a plugin that does this fails each check that it does it in: $way"
done
harm crash plain
[ "$status" = 1 ] && well_formed && ! grep -q '^Bail' "$out" && named ok | grep -qx base/identity &&
	named 'not ok' | grep -qx workers/unique
check $? "a crash does not end the run"
harm crash plain --check workers/unique
grep -q '^# killed by Aborted' "$out"
check $? "a crash is named"
harm exit plain --check workers/unique
grep -q '^# ended the process with status 0' "$out"
check $? "so is an exit"
harm hang plain --check workers/unique --timeout 1
[ "$status" = 1 ] && grep -q '^# not done after 1 seconds' "$out"
check $? "so is a hang, after --timeout"

# ---- Options that are declared wrongly ----

while IFS='|' read -r what says options; do
	build options "-DOPTIONS=$options"
	conformance --check base/options "$scratch/options/harm.so"
	[ "$status" = 1 ] && grep -q "^# option speed: $says" "$out"
	check $? "an option that is declared with $what"
done <<'END'
a type that there is not|there is no type colour|BERTH_OPTION("speed", "colour", "", "how fast")
a default that is no number|the default "fast" should be a whole number|BERTH_OPTION("speed", "count", "fast", "how fast")
no default where there must be one|the default "" should be true or false|BERTH_OPTION("speed", "flag", "", "how fast")
a default that is no JSON|the default "{" should be JSON|BERTH_OPTION("speed", "json", "{", "how fast")
a name that is there already|declared twice|BERTH_OPTION("speed", "text", "", "a") BERTH_OPTION("speed", "text", "", "b")
no help|no help|BERTH_OPTION("speed", "text", "", "")
END

# ---- Sanitizers ----

# What each finds, where, and the flags that a plugin is built with.
if [ -n "$sanitized" ]; then
	skip "--sanitizer" "the program is built with one"
else
	while read -r sanitizer harm profile says; do
		build "$sanitizer" -fsanitize="$sanitizer" || {
			skip "--sanitizer $sanitizer, $harm" "$CC cannot build with it"
			continue
		}
		harm none "$sanitizer" --sanitizer "$sanitizer" --check "$profile"
		if [ "$status" = 3 ] && grep -q 'the compiler has no' "$err"; then
			skip "--sanitizer $sanitizer, $harm" "$CC has no library for it"
			continue
		fi
		[ "$status" = 0 ] && [ -z "$(named 'not ok')" ] && [ "$(named ok | wc -l)" -gt 0 ]
		check $? "--sanitizer $sanitizer finds nothing in a good plugin"
		harm "$harm" "$sanitizer" --sanitizer "$sanitizer" --check "$profile"
		[ "$status" = 1 ] && grep -q "^# .*$says" "$out"
		check $? "--sanitizer $sanitizer finds: $harm"
	done <<-END
		address overflow workers AddressSanitizer: heap-buffer-overflow
		address leak base/reopen LeakSanitizer: detected memory leaks
		undefined signed workers runtime error: signed integer overflow
		thread race threads ThreadSanitizer: data race
	END
	conformance --sanitizer nonsense "$fixtures/violating.so"
	refused 2 nonsense
	check $? "a sanitizer that does not exist is wrong usage"
	CC=/nonexistent/cc
	export CC
	conformance --sanitizer address "$fixtures/violating.so"
	refused 3 'name another one with '
	check $? "a compiler without the library ends with 3, and says how to name another"
fi

# ---- Usage ----

while IFS='|' read -r says arguments; do
	# shellcheck disable=SC2086 # words are meant
	conformance $arguments
	refused 2 "$says" && [ ! -s "$out" ]
	check $? "wrong usage: $arguments"
done <<END
one adapter is expected|
one adapter is expected|a.so b.so
no such option|--nosuch a.so
no such option|-x a.so
an argument is expected|--options
object is expected|--options [] $fixtures/violating.so
--options: byte|--options {"a":1,} $fixtures/violating.so
seconds from 1|--timeout 0 $fixtures/violating.so
seconds from 1|--timeout 1x $fixtures/violating.so
seconds from 1|--timeout -1 $fixtures/violating.so
no such check|--check nosuch $fixtures/violating.so
no such check|--check lim $fixtures/violating.so
ID.so is expected|$scratch/harm.c
END
conformance --help
[ "$status" = 0 ] && [ ! -s "$err" ] && grep -q '^usage: berth conformance' "$out"
check $? "--help"
conformance "$scratch/none.so"
refused 3 "$scratch/none.so"
check $? "a file that is not there ends with 3"
echo text >"$scratch/text.so"
conformance "$scratch/text.so"
[ "$status" = 1 ] && [ "$(named 'not ok')" = base/stamp ] && well_formed
check $? "a file that is no plugin fails base/stamp, and nothing else is run"
"$BERTH" conformance --check base/stamp "$fixtures/violating.so" >/dev/full 2>"$err"
status=$?
refused 3 "standard output"
check $? "a full device ends with 3"
rmdir "$TMPDIR" 2>"$err"
check $? "no workspace is left behind"
