#!/bin/sh
# SPDX-License-Identifier: MIT
# Two builds of one distribution, in directories of different names and lengths, one
# in the source tree and one beside it, are equal byte for byte.
#
#   tests/reproducible.sh [TARBALL]     by default one is made of this source tree
set -u

scratch=$(mktemp -d "${TMPDIR:-/tmp}/berth-reproducible-XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
failed=0

check() {
	if [ "$1" = 0 ]; then
		echo "ok - $2"
	else
		echo "not ok - $2"
		failed=1
	fi
}

# Nothing behind a step that failed makes sense.
step() {
	check "$1" "$2"
	[ "$1" = 0 ] && return
	tail -n 20 "$scratch/log"
	exit 1
}

one=$scratch/one/berth other=$scratch/another-and-longer
mkdir -p "$one" "$other/sources" "$other/build" "$scratch/dist"
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
(cd "$one" && ./configure -q --prefix=/usr && make -s -j2) >"$scratch/log" 2>&1
step $? "it is built in the source tree"
# Whatever may differ between two people who build, does.
(
	umask 077
	export HOME=/ USER=nobody LOGNAME=nobody TZ=Pacific/Chatham LC_ALL=C.UTF-8
	cd "$other/build" && ../sources/configure -q --prefix=/usr && make -s
) >"$scratch/log" 2>&1
step $? "it is built beside the source tree"
(cd "$one" && find core/berth plugins/.libs -type f \( -name berth -o -name '*.so' \)) >"$scratch/files"
[ "$(wc -l <"$scratch/files")" -gt 1 ]
check $? "there are a program and plugins"
while read -r file; do
	cmp "$one/$file" "$other/build/$file"
	check $? "equal byte for byte: $file"
	! LC_ALL=C grep -q "$scratch" "$one/$file"
	check $? "it does not tell where it was built: $file"
done <"$scratch/files"
exit $failed
