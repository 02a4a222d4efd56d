#!/bin/sh
# SPDX-License-Identifier: MIT
# What make install leaves, where every directory variable is set to something odd: the
# files and nothing else, hardened, and a staged tree runs its own plugins.
# In the environment: srcdir, ADAPTERS, HELPERS; run in the build tree, whose configuration is used.
set -u
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
: "${srcdir:?}" "${ADAPTERS?}" "${HELPERS?}"

# It is a build of its own, whatever make this one is run by.
unset MAKEFLAGS MFLAGS MAKELEVEL GNUMAKEFLAGS MAKEOVERRIDES DESTDIR
# And it is asked without what the other tests set.
for variable in $(env | sed -n 's/^\(BERTH_[A-Z_]*\)=.*/\1/p'); do
	unset "$variable"
done

# Files and links below a directory, sorted, as paths from it.
files() {
	(cd "$1" && find . ! -type d | sed 's|^\.||' | LC_ALL=C sort)
}

source=$(cd "$srcdir" && pwd)
final=$scratch/final
stage=$scratch/stage
bin=$final/Programs/b+1
lib=$final/lib.x/32_64
libexec=$final/le
data=$final/d-a-t-a
etc=$final/etc,c
include=$final/Headers
man=$final/man.u.al

eval "set -- $(./config.status --config)"
# A source tree that is configured itself cannot have other build trees.
if [ -f "$source/config.status" ]; then
	mkdir "$scratch/source"
	(cd "$source" && tar --exclude ./.git --exclude ./build --exclude './build-ci-*' -cf - .) |
		tar -C "$scratch/source" -xf - && make -s -C "$scratch/source" distclean >"$scratch/log" 2>&1
	check $? "the source tree is copied"
	source=$scratch/source
fi
mkdir "$scratch/build"
(cd "$scratch/build" && "$source/configure" -q "$@" --disable-dependency-tracking --srcdir="$source" \
	--prefix="$final/p" --exec-prefix="$final/e.p" --bindir="$bin" --sbindir="$final/sb" \
	--libexecdir="$libexec" --libdir="$lib" --datarootdir="$final/dr" --datadir="$data" \
	--mandir="$man" --docdir="$final/doc" --infodir="$final/inf" --sysconfdir="$etc" \
	--localstatedir="$final/var" --runstatedir="$final/r-u-n" --sharedstatedir="$final/com" \
	--includedir="$include" --program-prefix= --program-suffix= --program-transform-name='s,x,x,' &&
	make -s) >"$scratch/log" 2>&1
step $? "it is built for odd directories"
make -s -C "$scratch/build" install DESTDIR="$stage" >"$scratch/log" 2>&1
check $? "make install with DESTDIR"
[ ! -e "$final" ]
check $? "nothing is installed outside of DESTDIR"

n=0
for adapter in $ADAPTERS; do
	n=$((n + 1))
done
# None where the adapters are linked into the program.
plugins=0 linked=yes
grep -q '^adapter_LTLIBRARIES = ' "$scratch/build/Makefile" && plugins=$n linked=no

# ---- The files ----

{
	echo "$bin/berth"
	echo "$include/berth/adapter.h"
	printf '%s\n' "$lib/pkgconfig/berth.pc" "$data/aclocal/berth.m4" "$libexec/berth/conformance" "$libexec/berth/new-adapter"
	for file in Makefile.am README.md configure.ac gitignore meson.build new-adapter.c new-adapter.json simple.mk; do
		echo "$data/berth/template/$file"
	done
	printf '%s\n' "$man/man1/berth.1" "$man/man5/berth-adapters.d.5" "$man/man5/berth.json.5"
	printf '%s\n' "$man/man1/berth-conformance.1" "$man/man1/berth-new-adapter.1" "$man/man7/berth-adapter.7"
	! grep -q '^#define HAVE_MICROHTTPD' "$scratch/build/config.h" || echo "$man/man8/berth-serve.8"
	echo "$data/bash-completion/completions/berth"
	echo "$data/zsh/site-functions/_berth"
	echo "$data/fish/vendor_completions.d/berth.fish"
	for adapter in $ADAPTERS; do
		[ $plugins = 0 ] || echo "$lib/berth/adapters/$adapter.so"
		echo "$data/berth/adapters.d/$adapter.json"
		echo "$man/man7/berth-$adapter.7"
	done
	for helper in $HELPERS; do
		[ "$linked" = yes ] || echo "$lib/berth/adapters/$helper.so"
		echo "$man/man7/berth-$helper.7"
		if [ "$helper" = process ]; then
			printf '%s\n' "$final/le/berth/berth-tmux" "$final/doc/examples/tmux.json" "$man/man7/berth-tmux.7"
		fi
	done
} | LC_ALL=C sort >"$scratch/expected"
files "$stage" >"$scratch/installed"
diff "$scratch/expected" "$scratch/installed"
check $? "the installed files are those expected, each in its directory"
! grep -q '\.l\?a$' "$scratch/installed"
check $? "no .la and no .a is installed"
[ "$(find "$stage" -type f -perm /022 | wc -l)" = 0 ]
check $? "nothing is writable for others"
if grep -q '^\(SANITIZER\|COVERAGE\)_CFLAGS = .' "$scratch/build/Makefile"; then
	skip "no file names a directory of the build" "sanitizers and counters put them in"
else
	# The program has the directories that it was configured with, which are below scratch.
	find "$stage" -type f -exec env LC_ALL=C sed "s|$final|CONFIGURED|g" {} + >"$scratch/all"
	! LC_ALL=C grep -q "$scratch" "$scratch/all"
	check $? "no file names a directory of the build"
	! LC_ALL=C grep -q "$source/\(core\|include\|plugins\)" "$scratch/all"
	check $? "no file names a directory of the source"
	rm -f "$scratch/all"
fi
! grep -r '@[a-z]*@' "$stage$man"
check $? "the manual pages name directories, not variables"
grep -qF "$etc/berth" "$stage$man/man1/berth.1" && grep -qF "$data/berth/adapters.d" "$stage$man/man5/berth-adapters.d.5"
check $? "the manual pages name the configured directories"
for adapter in $ADAPTERS; do
	echo "$adapter"
done | LC_ALL=C sort >"$scratch/built"
"$stage$bin/berth" --config-root "$scratch/nothing" --json adapters | grep -o '"name":"[a-z-]*"' | cut -d '"' -f 4 |
	LC_ALL=C sort | diff "$scratch/built" -
check $? "with nothing configured the adapters that were built are used"
for adapter in $ADAPTERS; do
	grep -q "\"adapter\": \"$adapter\"" "$stage$data/berth/adapters.d/$adapter.json"
	check $? "the drop-in of $adapter names its adapter"
done

# ---- Hardening: of the flags that configure found, what the result shows ----

flags=$(sed -n 's/^\(HARDENING\|PIE\)_[A-Z]*FLAGS = //p' "$scratch/build/Makefile" | tr '\n' ' ')

# The flag, what is to be found, how to show it, the pattern, and yes or no.
hardened() {
	case " $flags " in
	*"$1"*)
		for file in "$stage$bin/berth" "$stage$libexec/berth/conformance" "$stage$lib/berth/adapters"/*.so; do
			[ -f "$file" ] || continue
			# A plugin is no program, and a small one has no function worth a check.
			case $1:$file in
			-pie:*.so | -fstack-protector*:*.so | -D_FORTIFY*:*.so) continue ;;
			esac
			found=no
			# shellcheck disable=SC2086 # the options are to be split
			LC_ALL=C readelf -W $3 "$file" | grep -q "$4" && found=yes
			[ $found = "$5" ]
			check $? "$2: $(basename "$file")"
		done
		;;
	*) skip "$2" "configured without $1" ;;
	esac
}

hardened -z,relro "GNU_RELRO" -l GNU_RELRO yes
hardened -z,now "BIND_NOW" -d 'BIND_NOW\|FLAGS_1.*NOW' yes
hardened -z,noexecstack "the stack is not executable" -l 'GNU_STACK.*RWE' no
hardened -z,noexecstack "the stack is said to be not executable" -l 'GNU_STACK.*RW ' yes
hardened -pie "PIE" "-h -d" 'DYN (Position-Independent\|Flags:.* PIE' yes
hardened -fstack-protector-strong "stack protector" --dyn-syms __stack_chk_fail yes
hardened -D_FORTIFY_SOURCE "_FORTIFY_SOURCE" --dyn-syms '_chk@\|_chk ' yes
for file in "$stage$bin/berth" "$stage$libexec/berth/conformance" "$stage$lib/berth/adapters"/*.so; do
	[ -f "$file" ] || continue
	! LC_ALL=C readelf -W -d "$file" | grep -q 'TEXTREL\|RPATH\|RUNPATH'
	check $? "no text relocations and no search path: $(basename "$file")"
	# The note in the file says it only where all of libc was built so.
	case $(uname -m):$flags in
	x86_64:*-fcf-protection*)
		objdump -d "$file" | grep -q endbr
		check $? "control flow protection: $(basename "$file")"
		;;
	*) skip "control flow protection: $(basename "$file")" "configured without -fcf-protection" ;;
	esac
done

# ---- It runs ----

HOME=$scratch
cd "$scratch" || exit 1
unset XDG_DATA_HOME XDG_CONFIG_HOME
set --
for adapter in $ADAPTERS; do
	set -- "$@" --require "$adapter"
done
"$stage$bin/berth" --adapter-dir "$stage$lib/berth/adapters" "$@" runtimes >/dev/null 2>"$scratch/err"
check $? "the staged program runs with --adapter-dir"

# Prints how often the answer of a program names a plugin, or a drop-in, below a directory.
plugins_below() {
	"$1" adapters --json 2>/dev/null | grep -o '"[^"]*\.so"' | grep -c "^\"$2$lib/"
}
drop_ins_below() {
	"$1" adapters --json 2>/dev/null | grep -o '"origin":"[^"]*\.json' |
		sed 's/"origin":"//' | sort -u | grep -c "^$2$data/"
}

"$stage$bin/berth" "$@" runtimes >/dev/null 2>"$scratch/err"
check $? "the staged program runs without it"

# As if an older version were installed, and a newer one staged beside it.
make -s -C "$scratch/build" install >"$scratch/log" 2>&1
check $? "make install without DESTDIR"
[ "$(plugins_below "$bin/berth" "")" = $plugins ]
check $? "the installed program runs its own plugins"
[ "$(plugins_below "$stage$bin/berth" "$stage")" = $plugins ] && [ "$(plugins_below "$stage$bin/berth" "")" = 0 ]
check $? "the staged program runs its own plugins, not the installed ones"
[ "$(drop_ins_below "$bin/berth" "")" = $n ]
check $? "the installed program reads its own drop-ins"
[ "$(drop_ins_below "$stage$bin/berth" "$stage")" = $n ] && [ "$(drop_ins_below "$stage$bin/berth" "")" = 0 ]
check $? "the staged program reads its own drop-ins, not the installed ones"
mkdir -p "$scratch/linked" "$scratch/moved/b+1"
ln -s "$stage$bin/berth" "$scratch/linked/berth"
[ "$(plugins_below "$scratch/linked/berth" "$stage")" = $plugins ]
check $? "it does so when it is run through a link"
cp "$stage$bin/berth" "$scratch/moved/b+1/berth"
[ "$(plugins_below "$scratch/moved/b+1/berth" "")" = $plugins ]
check $? "a program outside of any installation runs the installed plugins"
rm -f "$stage$lib/berth/adapters"/*.so
[ "$(plugins_below "$stage$bin/berth" "")" = 0 ]
check $? "a staged program does not run the installed plugins where its own are gone"
make -s -C "$scratch/build" install DESTDIR="$stage" >"$scratch/log" 2>&1
check $? "make install over what is there"

# ---- Uninstalling ----

make -s -C "$scratch/build" uninstall DESTDIR="$stage" >"$scratch/log" 2>&1
check $? "make uninstall with DESTDIR"
[ -z "$(files "$stage")" ]
check $? "no file is left"
[ "$(find "$stage" -name berth | wc -l)" = 0 ]
check $? "no directory of ours is left"
diff "$scratch/expected" - <<END
$(files "$final" | sed "s|^|$final|")
END
check $? "what is installed without DESTDIR is still there"
make -s -C "$scratch/build" uninstall >"$scratch/log" 2>&1 && [ -z "$(files "$final")" ]
check $? "make uninstall leaves nothing"
