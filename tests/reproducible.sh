#!/bin/sh
# SPDX-License-Identifier: MIT
# Two builds of one distribution, in directories of different names and lengths, one
# in the source tree and one beside it, are equal byte for byte.
#
#   tests/reproducible.sh [TARBALL]     by default one is made of this source tree
set -u
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"


one=$scratch/one/berth other=$scratch/another-and-longer
mkdir -p "$one" "$other/sources" "$scratch/dist"
if [ $# -gt 0 ]; then
	tarball=$1
else
	source=$(cd "$(dirname "$0")/.." && pwd)
	(cd "$scratch/dist" && "$source/configure" -q && make -s dist) >"$scratch/log" 2>&1
	step $? "a distribution is made"
	tarball=$(echo "$scratch"/dist/berth-*.tar.xz)
fi
for directory in "$one" "$other/sources"; do
	tar -C "$directory" --strip-components=1 -xf "$tarball" >"$scratch/log" 2>&1
	step $? "it is unpacked into ${directory#"$scratch/"}"
done

# Builds both with an option for configure, and compares.
compare() {
	rm -rf "$other/build"
	mkdir "$other/build"
	(
		cd "$one" && if [ -f Makefile ]; then make -s distclean; fi &&
			./configure -q --prefix=/usr "$1" && make -s -j2
	) >"$scratch/log" 2>&1
	step $? "$1: it is built in the source tree"
	# Whatever may differ between two people who build, does.
	(
		umask 077
		export HOME=/ USER=nobody LOGNAME=nobody TZ=Pacific/Chatham LC_ALL=C.UTF-8
		cd "$other/build" && ../sources/configure -q --prefix=/usr "$1" && make -s
	) >"$scratch/log" 2>&1
	step $? "$1: it is built beside the source tree"
	(cd "$one" && find core/berth core/kit plugins/.libs -type f \( -name berth -o -name '*.so' -o -path 'core/kit/*' \) \
		! -name '*.in' ! -name .dirstamp 2>/dev/null) >"$scratch/files"
	grep -q '^core/berth$' "$scratch/files"
	check $? "$1: there is the program"
	while read -r file; do
		cmp "$one/$file" "$other/build/$file"
		check $? "$1: equal byte for byte: $file"
		! LC_ALL=C grep -q "$scratch" "$one/$file"
		check $? "$1: it does not tell where it was built: $file"
	done <"$scratch/files"
}

compare --without-static-adapters
[ "$(wc -l <"$scratch/files")" -gt 1 ]
check $? "there are plugins, too"
compare --with-static-adapters
