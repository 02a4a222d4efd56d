#!/bin/sh
# SPDX-License-Identifier: MIT
# An author outside of this tree: berth is installed, staged and really, into a prefix
# that nobody expects; new-adapter makes projects, and each of their three builds is built,
# checked and installed, and berth finds its workers.
# In the environment: srcdir, CC; run in the build tree, whose configuration is used.
set -u
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
: "${srcdir:?}"

worker=
finish() {
	[ -z "$worker" ] || kill "$worker"
	chmod -R u+w "$scratch"
}
# It is a build of its own, whatever make this one is run by.
unset MAKEFLAGS MFLAGS MAKELEVEL GNUMAKEFLAGS MAKEOVERRIDES DESTDIR
# And nothing of this tree is known to it, nor a berth that this machine may have.
for variable in $(env | sed -n 's/^\(\(BERTH\|PKG_CONFIG\|XDG\)_[A-Z_]*\)=.*/\1/p'); do
	unset "$variable"
done
unset BERTH
PKG_CONFIG_LIBDIR=$scratch/nowhere HOME=$scratch
export PKG_CONFIG_LIBDIR HOME

explain() {
	grep -A 4 '^not ok' "$scratch/log"
	tail -n 20 "$scratch/log"
}

# Files below a directory, sorted.
files() {
	(cd "$1" && find . ! -type d | LC_ALL=C sort)
}

has() {
	command -v "$1" >/dev/null
}

build=$(pwd)
source=$(cd "$srcdir" && pwd)
eval "set -- $(./config.status --config)"
# A source tree that is configured itself cannot have other build trees.
if [ -f "$source/config.status" ]; then
	mkdir "$scratch/source"
	(cd "$source" && tar --exclude ./.git --exclude ./build --exclude './build-ci-*' -cf - .) |
		tar -C "$scratch/source" -xf - && make -s -C "$scratch/source" distclean >"$scratch/log" 2>&1
	step $? "the source tree is copied"
	source=$scratch/source
fi
prefix=$scratch/opt/berth.1 stage=$scratch/stage
mkdir "$scratch/build" "$scratch/work"
# The libraries that it is built with are still those of this machine.
(
	unset PKG_CONFIG_LIBDIR
	cd "$scratch/build" && "$source/configure" -q "$@" --disable-dependency-tracking --srcdir="$source" \
		--prefix="$prefix" --exec-prefix="$prefix" --bindir="$prefix/bin" --libexecdir="$prefix/libexec" \
		--libdir="$prefix/lib" --datarootdir="$prefix/share" --datadir="$prefix/share" --mandir="$prefix/man" \
		--sysconfdir="$prefix/etc" --runstatedir="$prefix/run" --includedir="$prefix/include" \
		--program-prefix= --program-suffix= --program-transform-name='s,x,x,' && make -s -j2
) >"$scratch/log" 2>&1
step $? "berth is built for a prefix of its own"
make -s -C "$scratch/build" install DESTDIR="$stage" >"$scratch/log" 2>&1
step $? "it is installed below a staging directory"

# ---- What is there for authors ----

[ "$(cd "$stage$prefix/include" && find . -type f)" = ./berth/adapter.h ]
check $? "one header is installed, and nothing internal"
! grep -rE '@[a-zA-Z_]+@|new_adapter\.in' "$stage$prefix/share/aclocal" "$stage$prefix/lib/pkgconfig" \
	"$stage$prefix/libexec/berth/new-adapter"
check $? "the files of the kit name directories, not variables"
abi=$(sed -n 's/^#define BERTH_ABI_M[AJINO]*R //p' "$source/include/berth/adapter.h" | paste -s -d .)
variables() {
	for variable in prefix adapterdir vendorconfdir berth abi abi_major abi_minor; do
		pkg-config --variable=$variable berth
	done
	pkg-config --cflags berth | sed 's/ *$//'
}
if has pkg-config; then
	PKG_CONFIG_PATH=$stage$prefix/lib/pkgconfig
	export PKG_CONFIG_PATH
	variables >"$scratch/variables"
	printf '%s\n' "$prefix" "$prefix/lib/berth/adapters" "$prefix/share/berth/adapters.d" "$prefix/bin/berth" \
		"$abi" "${abi%.*}" "${abi#*.}" "-I$prefix/include" | diff - "$scratch/variables"
	check $? "berth.pc says where all is, and the ABI of the header"
	pkg-config --validate berth
	check $? "berth.pc is valid"
	[ "$(pkg-config --define-variable=prefix=/elsewhere --variable=adapterdir berth)" = /elsewhere/lib/berth/adapters ]
	check $? "its prefix can be replaced"
	# Whether variables are as well differs between implementations.
	[ "$(PKG_CONFIG_SYSROOT_DIR=$stage pkg-config --cflags berth | sed 's/ *$//')" = "-I$stage$prefix/include" ]
	check $? "in a sysroot, the header is there"
	unset PKG_CONFIG_PATH
else
	skip "berth.pc" "pkg-config is missing"
fi

# ---- Names ----

cd "$scratch/work" || exit 1
berth=$stage$prefix/bin/berth
long=$(printf '%064d' 0 | tr 0 a)

# Makes no project: status, what the one line has in it, then the arguments.
refuses() {
	status=$1 words=$2
	shift 2
	before=$(ls -A)
	"$berth" new-adapter "$@" >"$scratch/out" 2>"$scratch/err"
	[ $? = "$status" ] && [ "$(wc -l <"$scratch/err")" = 1 ] && grep -qF -e "$words" "$scratch/err" &&
		[ ! -s "$scratch/out" ] && [ "$(ls -A)" = "$before" ] && return 0
	sed 's/^/# /' "$scratch/err"
	return 1
}

refuses 2 usage: && refuses 2 usage: one two
check $? "new-adapter wants one name"
while read -r name; do
	refuses 2 "$name: a name of" "$name"
	check $? "a name is refused: \"$name\""
done <<END

Upper
1st
-dash
dash-
two--dashes
under_score
sub/folder
../above
dot.so
two words
name;ls
Käfig
a$long
END
newline=$(printf 'two\nlines')
"$berth" new-adapter "$newline" >/dev/null 2>&1
[ $? = 2 ] && [ -z "$(ls -A)" ]
check $? "a name of two lines is refused"
for file in "$source"/plugins/*/*.json; do
	name=$(basename "$file" .json)
	refuses 2 "$name: an adapter of berth itself" "$name"
	check $? "the name of a shipped adapter is refused: $name"
done
mkdir there
echo mine >there/mine
echo mine >file
ln -s nowhere link
for name in there file link; do
	refuses 3 "$name: it is there already" $name
	check $? "what is there is left alone: $name"
done
[ "$(cat there/mine file)" = "mine
mine" ] && [ -L link ]
check $? "it is as it was"
rm -r there file link
(cd /proc/sys && refuses 3 "fresh: the directory cannot be made: " fresh)
check $? "a directory that cannot be made is one line"
mv "$stage$prefix/share/berth/template/simple.mk" "$scratch/"
refuses 3 "fresh/simple.mk: it cannot be made" fresh
check $? "a template with a hole leaves nothing half-made"
mv "$scratch/simple.mk" "$stage$prefix/share/berth/template/"
"$berth" new-adapter --help | grep -q '^usage: berth new-adapter NAME$'
check $? "new-adapter --help says how it is used"

# ---- Without autotools ----

# A PATH with what the script needs and no autotools, but what is put there.
mkdir "$scratch/bin"
for tool in sh sed mkdir cp rm mktemp dirname tr grep tail cat; do
	ln -s "$(command -v $tool)" "$scratch/bin/"
done
PATH=$scratch/bin "$berth" new-adapter "$long" >"$scratch/out" 2>"$scratch/err" && [ "$(wc -l <"$scratch/err")" = 1 ] && [ ! -e "$long/configure" ] && grep -q 'make -f simple.mk' "$scratch/out"
check $? "without autotools there is a project of 64 characters, and one line about it"
[ "$(sed 's/.*(Debian: //; s/).*//' "$scratch/err")" = "autoconf automake libtool pkgconf" ]
check $? "the line names the packages"
files "$long" | sed "s|$long|NAME|g" >"$scratch/files"
printf './%s\n' .gitignore Makefile.am README.md NAME.c NAME.json configure.ac m4/berth.m4 meson.build simple.mk |
	diff - "$scratch/files"
check $? "the project has its files and no others"
! grep -rq 'new[-_]adapter' "$long"
check $? "nothing in it has the name of the template"
for tool in automake libtoolize pkg-config; do
	printf '#!/bin/sh\n' >"$scratch/bin/$tool"
done
printf '#!/bin/sh\necho "autoreconf: error: not today" >&2; exit 1\n' >"$scratch/bin/autoreconf"
chmod +x "$scratch/bin"/*
PATH=$scratch/bin "$berth" new-adapter unlucky >/dev/null 2>"$scratch/err" && [ "$(wc -l <"$scratch/err")" = 1 ] && grep -q 'not today' "$scratch/err" && [ -f unlucky/simple.mk ]
check $? "autotools that fail are one line as well"
rm -r "$long" unlucky

if ! has pkg-config; then
	skip "the builds" "pkg-config is missing"
	exit 0
fi

# ---- What every build must do ----

# In the project, whose plugin it is, which berth it is of, below which directory: what
# is installed beyond what was before is the plugin and its drop-in.
installs_two() {
	files "$3$prefix" | comm -13 "$scratch/before" - >"$scratch/added"
	printf '%s\n' "./lib/berth/adapters/$1.so" "./share/berth/adapters.d/$1.json" | diff - "$scratch/added"
	check $? "$2: the plugin and the drop-in are installed, and no .la"
	[ "$(nm -D --defined-only "$3$prefix/lib/berth/adapters/$1.so" | awk '{ print $NF }')" = \
		"$(echo "$1" | tr - _)_LTX_berth_register" ]
	check $? "$2: the plugin exports one symbol"
	# The one that lists them is one of them.
	"$3$prefix/bin/berth" --json --limit 1000000 workers >"$scratch/out" 2>"$scratch/err" && [ ! -s "$scratch/err" ] &&
		grep -q "\"runtime_id\":\"$1\",\"worker_id\":\"process-[0-9]*-[0-9]*-[0-9a-f]*\",.*\"label\":\"berth\"" "$scratch/out"
	check $? "$2: berth workers lists processes"
}

# Makes a project, unless its directory is left over.
new_project() {
	"$1" new-adapter "$2" >"$scratch/log" 2>&1 && [ -f "$2/$2.c" ]
	step $? "new-adapter makes $2"
}

# ---- Autotools, staged ----

autotools=yes
for tool in autoreconf automake libtoolize; do
	has $tool || autotools=no
done
if [ $autotools = yes ]; then
	new_project "$berth" harbour-master
	[ -x harbour-master/configure ] && [ ! -e harbour-master/autom4te.cache ]
	check $? "it has a configure"
	files "$stage$prefix" >"$scratch/before"
	(
		PKG_CONFIG_PATH=$stage$prefix/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$stage
		export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR
		cd harbour-master && ./configure -q --prefix="$scratch/elsewhere" CFLAGS='-O2 -Werror' && make &&
			make check && make install DESTDIR="$stage"
	) >"$scratch/log" 2>&1
	check $? "staged: ./configure --prefix=..., make, make check, make install DESTDIR=..."
	grep -q '^# [1-9][0-9]* passed, 0 failed' "$scratch/log"
	check $? "staged: make check has run the conformance suite"
	installs_two harbour-master staged "$stage"
	[ ! -e "$prefix" ] && [ ! -e "$stage$scratch/elsewhere" ] && [ ! -e "$scratch/elsewhere" ]
	check $? "staged: nothing is installed outside, and nothing into the prefix of the project"

	# A worker with a command that nobody else has, which waits for what never comes.
	command="boat ($$)"
	mkfifo "$scratch/nothing"
	printf '#!/bin/sh\nread line\n' >"$scratch/$command"
	chmod +x "$scratch/$command"
	"$scratch/$command" <>"$scratch/nothing" &
	worker=$!
	mkdir -p "$stage$prefix/etc/berth/adapters.d"
	echo "{ \"options\": { \"command\": \"$command\" } }" >"$stage$prefix/etc/berth/adapters.d/harbour-master.json"
	until "$berth" workers | grep -qF "$command"; do
		kill -0 "$worker" || break
	done
	"$berth" --json workers >"$scratch/out"
	id=$(sed -n 's/.*"worker_id":"\([^"]*\)".*/\1/p' "$scratch/out")
	[ "$(grep -o '"worker_id"' "$scratch/out" | wc -l)" = 1 ] && grep -qF "\"label\":\"$command\"" "$scratch/out" &&
		grep -q "\"worker_id\":\"process-$worker-" "$scratch/out"
	check $? "the option of an administrator chooses the one worker of a command"
	"$berth" worker harbour-master "$id" | grep -q "^label *$command$"
	check $? "it is found by its id"
	! "$berth" worker harbour-master "${id%?}x" >/dev/null 2>&1 &&
		! "$berth" worker harbour-master "process-$$" >/dev/null 2>&1
	check $? "another id is not found"
	kill "$worker"
	wait "$worker" 2>/dev/null
	worker=
	! "$berth" worker harbour-master "$id" >/dev/null 2>"$scratch/err" && grep -q unknown_worker "$scratch/err"
	check $? "once it has ended it is unknown"
	echo '{ "options": { "command": "a name longer than any" } }' >"$stage$prefix/etc/berth/adapters.d/harbour-master.json"
	"$berth" --require harbour-master workers >/dev/null 2>"$scratch/err"
	[ $? = 3 ] && grep -q 'option command: at most 15 bytes' "$scratch/err"
	check $? "an option that cannot be right is refused"
	rm -r "$stage$prefix/etc/berth/adapters.d/harbour-master.json"

	make -C harbour-master uninstall DESTDIR="$stage" >"$scratch/log" 2>&1 && files "$stage$prefix" | diff "$scratch/before" -
	check $? "staged: make uninstall leaves nothing"
else
	skip "the build with autotools" "autoconf, automake or libtool is missing"
fi

# ---- Really installed: nothing has to be said ----

make -s -C "$scratch/build" install >"$scratch/log" 2>&1
step $? "berth is installed"
berth=$prefix/bin/berth
files "$prefix" >"$scratch/before"
if [ $autotools = yes ]; then
	new_project "$berth" night-watch
	(cd night-watch && ./configure -q && make && make check && make install) >"$scratch/log" 2>&1
	check $? "bare: ./configure && make && make check && make install"
	installs_two night-watch bare ""
	make -C night-watch uninstall >"$scratch/log" 2>&1 && files "$prefix" | diff "$scratch/before" -
	check $? "bare: make uninstall leaves nothing"
	(cd night-watch && make distcheck) >"$scratch/log" 2>&1
	check $? "make distcheck"
	(
		cd night-watch && ./configure -q --with-adapterdir="$scratch/a" --with-vendorconfdir="$scratch/v" && make install
	) >"$scratch/log" 2>&1 && [ "$(files "$scratch/a") $(files "$scratch/v")" = "./night-watch.so ./night-watch.json" ]
	check $? "--with-adapterdir and --with-vendorconfdir are where it is installed"
	(cd night-watch && ./configure -q --with-adapterdir) 2>&1 | grep -q 'with-adapterdir: a directory is expected'
	check $? "--with-adapterdir without a directory is refused"

	# A program has one of these two at most, and berth may have been built with it.
	sanitizers=address,undefined mark=__asan_
	if grep -q '^SANITIZER_CFLAGS = .*thread' "$scratch/build/Makefile"; then
		sanitizers=thread mark=__tsan_
	fi
	echo 'int main(void) { return 0; }' >"$scratch/try.c"
	if (cd "$scratch" && ${CC:-cc} -fsanitize=$sanitizers -o try try.c && ./try) >/dev/null 2>&1; then
		(
			cd night-watch && ./configure -q --enable-sanitizer=$sanitizers CFLAGS='-O1 -g' && make clean && make check
		) >"$scratch/log" 2>&1
		check $? "--enable-sanitizer=$sanitizers: make check"
		grep -q -e "conformance --sanitizer ${sanitizers%,*} " "$scratch/log" &&
			nm -D night-watch/.libs/night-watch.so | grep -q $mark
		check $? "the plugin has the sanitizer, and so has its check"
	else
		skip "--enable-sanitizer=$sanitizers" "the compiler has none"
	fi

	# A check that cannot fail is no check.
	sed -i 's/BERTH_TEXT("this-machine")/BERTH_TEXT("this machine")/' night-watch/night-watch.c
	(cd night-watch && ./configure -q && make clean && make) >"$scratch/log" 2>&1
	check $? "an adapter with a fault is built"
	! make -C night-watch check >"$scratch/log" 2>&1 && grep -q '^not ok' "$scratch/log"
	check $? "make check finds it"
else
	skip "the bare build with autotools" "autoconf, automake or libtool is missing"
fi

# ---- The other two builds ----

PKG_CONFIG_PATH=$prefix/lib/pkgconfig
export PKG_CONFIG_PATH
PATH=$scratch/bin "$berth" new-adapter pilot >"$scratch/log" 2>&1
make -C pilot -f simple.mk CFLAGS='-O2 -Wall -Wextra -Werror' check install >"$scratch/log" 2>&1
check $? "simple.mk: check, install"
grep -q '^# [1-9][0-9]* passed, 0 failed' "$scratch/log"
check $? "simple.mk: check has run the conformance suite"
installs_two pilot simple.mk ""
make -C pilot -f simple.mk uninstall >"$scratch/log" 2>&1 && files "$prefix" | diff "$scratch/before" -
check $? "simple.mk: uninstall leaves nothing"
PKG_CONFIG_PATH=$stage$prefix/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$stage \
	make -C pilot -f simple.mk clean check install DESTDIR="$stage" >"$scratch/log" 2>&1 &&
	[ -f "$stage$prefix/lib/berth/adapters/pilot.so" ] && files "$prefix" | diff "$scratch/before" -
check $? "simple.mk: install in a sysroot, with DESTDIR"
PKG_CONFIG_PATH=$build BERTH_LIBEXEC_DIR=$build/core/kit make -C pilot -f simple.mk clean check >"$scratch/log" 2>&1
check $? "simple.mk: check with a berth that is not installed"

if has meson && has ninja; then
	(
		cd pilot && meson setup -Dwerror=true ../meson && meson test -C ../meson --verbose && meson install -C ../meson
	) >"$scratch/log" 2>&1
	check $? "meson: setup, test, install"
	grep -q '^# [1-9][0-9]* passed, 0 failed\|[1-9][0-9]* subtests passed' "$scratch/log"
	check $? "meson: test has run the conformance suite"
	installs_two pilot meson ""
	ninja -C meson uninstall >"$scratch/log" 2>&1 && files "$prefix" | diff "$scratch/before" -
	check $? "meson: uninstall leaves nothing"
	rm -r meson
else
	skip "meson" "meson or ninja is missing"
fi
unset PKG_CONFIG_PATH

# ---- An ABI that does not fit ----

if [ $autotools = yes ]; then
	PATH=$scratch/bin "$berth" new-adapter wants-more >"$scratch/log" 2>&1
	sed -i 's/BERTH_PREREQ(\[1.0\])/BERTH_PREREQ([7.3])/' wants-more/configure.ac
	# As on a machine where berth is not where this file came from.
	sed -i "s|$prefix/lib/pkgconfig|$scratch/no-more|" wants-more/m4/berth.m4
	(cd wants-more && autoreconf -fi) >"$scratch/log" 2>&1
	step $? "autoreconf -fi in a project"

	# The ABI of the berth that is found, and what is said, or nothing.
	answers() {
		mkdir -p "$scratch/abi"
		sed "s/^abi_major=.*/abi_major=${1%.*}/; s/^abi_minor=.*/abi_minor=${1#*.}/" "$prefix/lib/pkgconfig/berth.pc" \
			>"$scratch/abi/berth.pc"
		(cd wants-more && PKG_CONFIG_PATH=$scratch/abi ./configure -q -C) >"$scratch/log" 2>&1
		status=$?
		if [ -z "$2" ]; then
			[ $status = 0 ]
		else
			[ $status != 0 ] && [ "$(wc -l <"$scratch/log")" = 1 ] && grep -qF "configure: error: $2" "$scratch/log"
		fi
		check $? "where 7.3 is wanted, with $1: ${2:-it is content}"
	}
	answers 7.2 "this needs ABI 7.3 of berth, and 7.2 is too old"
	answers 6.9 "this needs ABI 7.3 of berth, and 6.9 is of another major"
	answers 8.0 "this needs ABI 7.3 of berth, and 8.0 is of another major"
	answers 7.3 ""
	answers 7.10 ""
	rm "$scratch/abi/berth.pc"
	! (cd wants-more && PKG_CONFIG_PATH=$scratch/abi ./configure -q -C) >"$scratch/log" 2>&1 && [ "$(wc -l <"$scratch/log")" = 1 ] && grep -q 'configure: error: berth.pc is not found: install it' "$scratch/log"
	check $? "without berth it is said what is to be installed"
	sed -i 's/BERTH_PREREQ(\[7.3\])/BERTH_PREREQ([seven])/' wants-more/configure.ac
	! (cd wants-more && autoreconf -fi) >"$scratch/log" 2>&1 && grep -q 'an ABI version such as 1.0 is expected' "$scratch/log"
	check $? "an ABI that is no version is refused when configure is made"
else
	skip "an ABI that does not fit" "autoconf, automake or libtool is missing"
fi

# ---- What was compiled for ABI 1.0 ----

if [ "$(uname -m)" != x86_64 ] || grep -q '^SANITIZER_CFLAGS = .' "$scratch/build/Makefile"; then
	skip "plugins that were compiled for ABI 1.0" "they are for x86_64, and for a berth without a sanitizer"
else
	for plugin in contained everything only-list; do
		cp "$source/tests/abi/1.0/$plugin.so" "$prefix/lib/berth/adapters" &&
			echo "{ \"adapter\": \"$plugin\" }" >"$prefix/share/berth/adapters.d/$plugin.json"
		"$berth" --require $plugin --json workers >"$scratch/out" 2>"$scratch/err" && [ ! -s "$scratch/err" ] &&
			grep -q "\"runtime_id\":\"$plugin\",\"worker_id\":\"" "$scratch/out"
		check $? "$plugin.so of ABI 1.0 is installed, and berth workers lists what it has"
		"$berth" conformance "$prefix/lib/berth/adapters/$plugin.so" >"$scratch/log" 2>&1
		check $? "$plugin.so of ABI 1.0 conforms: $(sed -n '$s/^# //p' "$scratch/log")"
	done
fi
