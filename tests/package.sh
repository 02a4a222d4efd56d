#!/bin/sh
# SPDX-License-Identifier: MIT
# The Debian packages: they build from a distribution, lintian finds nothing that is
# not explained, and in a fresh system they are installed, configured as an
# administrator would, upgraded and purged.
#
#   tests/package.sh [--unpack] [TARBALL]    by default one is made of this source tree
#
# The fresh system is made by debootstrap from where this machine has its packages from,
# or copied from $BERTH_TEST_ROOT. Without debootstrap, not as root, or with --unpack,
# the packages are only unpacked into an empty directory.
set -u
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"

adapters="embedded local-pod remote-reserved"
packages="berth berth-adapter-embedded berth-adapter-incus berth-adapter-local-pod berth-adapter-process berth-adapter-remote-reserved
	berth-adapter-tmux berth-dev berth-server"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
unset MAKEFLAGS MFLAGS MAKELEVEL
# The program is asked without what the tests of a build tree set.
for variable in $(env | sed -n 's/^\(BERTH_[A-Z_]*\)=.*/\1/p'); do
	case $variable in
	BERTH_TEST_*) ;;
	*) unset "$variable" ;;
	esac
done

unpack=no
if [ "${1-}" = --unpack ]; then
	unpack=yes
	shift
fi
for tool in dpkg-buildpackage dh lintian; do
	if ! command -v $tool >/dev/null; then
		skip "the Debian packages" "$tool is missing (Debian: dpkg-dev, debhelper, lintian)"
		exit 0
	fi
done

# ---- Building ----

source=$(cd "$(dirname "$0")/.." && pwd)
mkdir "$scratch/dist" "$scratch/old" "$scratch/new"
if [ $# -gt 0 ]; then
	tarball=$1
else
	(cd "$scratch/dist" && "$source/configure" -q && make -s dist) >"$scratch/log" 2>&1
	step $? "a distribution is made"
	tarball=$(echo "$scratch"/dist/berth-*.tar.xz)
fi
mkdir "$scratch/old/berth"
tar -C "$scratch/old/berth" --strip-components=1 -xf "$tarball" >"$scratch/log" 2>&1 &&
	cp -R "$scratch/old/berth/packaging/debian" "$scratch/old/berth/debian"
step $? "it is unpacked, with packaging/debian as debian"
cp -R "$scratch/old/berth" "$scratch/new/berth"
(cd "$scratch/old/berth" && DEB_BUILD_OPTIONS=parallel=4 dpkg-buildpackage -us -uc -b) >"$scratch/log" 2>&1
step $? "dpkg-buildpackage, which runs the tests"

# The version behind it, as the next upload would have it.
old=$(dpkg-parsechangelog -l "$scratch/old/berth/debian/changelog" -S Version)
new=$old.1
{
	cat <<-END
	berth ($new) unstable; urgency=medium

	  * Only the version is new.

	 -- $(dpkg-parsechangelog -l "$scratch/old/berth/debian/changelog" -S Maintainer)  $(date -R)

	END
	cat "$scratch/old/berth/debian/changelog"
} >"$scratch/new/berth/debian/changelog"
(cd "$scratch/new/berth" && DEB_BUILD_OPTIONS='nocheck parallel=2' dpkg-buildpackage -us -uc -b) >"$scratch/log" 2>&1
step $? "dpkg-buildpackage of a version behind it"

# ---- What is in them ----

for package in $packages; do
	[ "$(find "$scratch/old" -maxdepth 1 -name "${package}_${old}_*.deb" | wc -l)" = 1 ]
	step $? "there is the package $package"
done
triplet=$(dpkg-architecture -q DEB_HOST_MULTIARCH)
cat >"$scratch/expected" <<END
berth ./usr/bin/berth
berth ./usr/share/bash-completion/completions/berth
berth ./usr/share/fish/vendor_completions.d/berth.fish
berth ./usr/share/man/man1/berth.1.gz
berth ./usr/share/man/man5/berth-adapters.d.5.gz
berth ./usr/share/man/man5/berth.json.5.gz
berth ./usr/share/man/man8/berth-serve.8.gz
berth ./usr/share/zsh/vendor-completions/_berth
END
for adapter in $adapters; do
	cat >>"$scratch/expected" <<-END
	berth-adapter-$adapter ./usr/lib/$triplet/berth/adapters/$adapter.so
	berth-adapter-$adapter ./usr/share/berth/adapters.d/$adapter.json
	berth-adapter-$adapter ./usr/share/man/man7/berth-$adapter.7.gz
	END
done
sed 's/^/berth-dev /' >>"$scratch/expected" <<END
./usr/include/berth/adapter.h
./usr/lib/$triplet/pkgconfig/berth.pc
./usr/libexec/berth/conformance
./usr/libexec/berth/new-adapter
./usr/share/aclocal/berth.m4
./usr/share/berth/template/Makefile.am
./usr/share/berth/template/README.md
./usr/share/berth/template/configure.ac
./usr/share/berth/template/gitignore
./usr/share/berth/template/meson.build
./usr/share/berth/template/new-adapter.c
./usr/share/berth/template/new-adapter.json
./usr/share/berth/template/simple.mk
./usr/share/man/man1/berth-conformance.1.gz
./usr/share/man/man1/berth-new-adapter.1.gz
./usr/share/man/man7/berth-adapter.7.gz
END
cat >>"$scratch/expected" <<END
berth-adapter-incus ./usr/lib/$triplet/berth/adapters/incus.so
berth-adapter-incus ./usr/share/man/man7/berth-incus.7.gz
berth-adapter-process ./usr/lib/$triplet/berth/adapters/process.so
berth-adapter-process ./usr/share/man/man7/berth-process.7.gz
berth-adapter-tmux ./usr/libexec/berth/berth-tmux
berth-adapter-tmux ./usr/share/man/man7/berth-tmux.7.gz
berth-server ./lib/systemd/system/berth.service
berth-server ./lib/systemd/system/berth.socket
berth-server ./usr/lib/sysusers.d/berth-server.conf
END
for package in $packages; do
	dpkg-deb -c "$scratch/old/${package}_$old"_*.deb | awk -v package="$package" \
		'$1 !~ /^d/ && $6 !~ "^./usr/share/(doc|lintian)/" { print package, $6 }'
done | sort >"$scratch/contents"
sort "$scratch/expected" | diff - "$scratch/contents"
check $? "each package has its files and no others"

lintian --allow-root --fail-on error --fail-on warning "$scratch"/old/*.changes >"$scratch/log" 2>&1
status=$?
grep -v '^N:' "$scratch/log"
check $status "lintian has no errors and no warnings"
awk '/^#/ { reason = 1; next } !/^$/ && !reason { print FILENAME ": " $0; bad = 1 } { reason = 0 } END { exit bad }' \
	/dev/null "$source"/packaging/debian/*lintian-overrides "$source"/packaging/debian/source/*lintian-overrides 2>/dev/null
[ $? != 1 ]
check $? "each override of lintian has a reason above it"

# ---- A fresh system ----

root=$scratch/root
mkdir "$root"
if [ $unpack = yes ]; then
	skip "a fresh system" "asked for with --unpack"
elif [ "$(id -u)" != 0 ] || ! unshare -m true 2>/dev/null; then
	skip "a fresh system" "this may not mount what it needs"
	unpack=yes
elif [ -n "${BERTH_TEST_ROOT:-}" ]; then
	cp -ax "$BERTH_TEST_ROOT/." "$root"
	step $? "a fresh system is copied"
elif command -v debootstrap >/dev/null; then
	# What the packages need of the system, so that dpkg alone can install them.
	needs=$(for deb in "$scratch"/old/*.deb; do dpkg-deb -f "$deb" Depends; done | tr , '\n' |
		sed 's/^ *//; s/[ |].*//' | sort -u | grep -v '^berth' | paste -s -d ,)
	# And what berth-dev recommends, with which its kit is used below.
	needs=$needs,$(dpkg-deb -f "$scratch/old/berth-dev_$old"_*.deb Recommends | tr -d ' \n'),libc6-dev
	# shellcheck disable=SC1091 # it is the system's
	codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
	# shellcheck disable=SC2016 # the words are those of apt
	mirror=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(SITE)' 'Created-By: Packages' |
		sed -n "s/^$codename main //p" | head -n 1)
	unshare -m debootstrap --variant=minbase --include="$needs" "$codename" "$root" "$mirror" >"$scratch/log" 2>&1
	step $? "debootstrap makes a fresh system"
else
	skip "a fresh system" "debootstrap is missing"
	unpack=yes
fi

# Runs a command in it. Each has its own mounts, so that none is left behind.
in_root() {
	if [ $unpack = yes ]; then
		program=$1
		shift
		HOME="$root" "$root$program" "$@"
	else
		# shellcheck disable=SC2016 # for the inner shell
		unshare -m sh -c 'mount -t proc proc "$1/proc" && mount --bind /dev "$1/dev" && exec chroot "$@"' \
			sh "$root" "$@"
	fi
}

# Installs packages of a version: old or new, names.
install() {
	from=$scratch/$1
	version=$2
	shift 2
	if [ $unpack = yes ]; then
		for package; do
			dpkg-deb -x "$(echo "$from/${package}_$version"_*.deb)" "$root" || return 1
		done
		return 0
	fi
	debs=
	for package; do
		cp "$(echo "$from/${package}_$version"_*.deb)" "$root/tmp/" || return 1
		debs="$debs /tmp/$(basename "$(echo "$from/${package}_$version"_*.deb)")"
	done
	# shellcheck disable=SC2086 # the list is to be split
	in_root dpkg -i $debs >"$scratch/log" 2>&1 || return 1
	rm -f "$root"/tmp/*.deb
}

# Whether the adapters of the program are exactly those given, as NAME:STATE, in order.
adapters_are() {
	in_root /usr/bin/berth adapters --json 2>"$scratch/err" | grep -o '"name":"[^"]*","state":"[^"]*"' |
		sed 's/"name":"\([^"]*\)","state":"\([^"]*\)"/\1:\2/' >"$scratch/adapters"
	[ "$(paste -s -d ' ' "$scratch/adapters")" = "$*" ] && return 0
	echo "expected $*, found:"
	cat "$scratch/adapters" "$scratch/err"
	return 1
}

# All that there is, but for what dpkg and its neighbours write down about their work.
everything() {
	(cd "$root" && find . -xdev \( -path ./proc -o -path ./var/log -o -path ./var/lib/dpkg -o -path ./var/cache \
		-o -path ./tmp \) -prune -o -print | sort)
}

everything >"$scratch/before"
install old "$old" berth berth-adapter-embedded
step $? "the program and one adapter are installed"
adapters_are embedded:active
check $? "there is that adapter, and no word of others"
install old "$old" berth-adapter-local-pod berth-adapter-remote-reserved berth-dev
step $? "the others are installed"
all="local-pod:active embedded:active remote-reserved:active"
# shellcheck disable=SC2086 # the list is to be split
adapters_are $all
check $? "all adapters are there, in the order of their drop-ins"
in_root /usr/bin/berth check >"$scratch/log" 2>&1
check $? "berth check is content"
mkdir -p "$root/srv"
cp -R "$source/tests/sample" "$root/srv/"
data=/srv/sample
[ $unpack = no ] || data=$root/srv/sample
in_root /usr/bin/berth --data-dir "$data" --workspace-root /srv/harbour workers >"$scratch/log" 2>&1 && grep -q coder "$scratch/log"
check $? "workers are listed"
rm -rf "$root/srv/sample"

# ---- An author, with berth-dev ----

# In the new system, with its compiler: a shell command.
author() {
	in_root /bin/sh -c "cd /tmp/${2-} && $1" >"$scratch/log" 2>&1
}

if [ $unpack = yes ]; then
	skip "the kit of berth-dev" "the packages are only unpacked"
elif ! author 'command -v autoreconf && command -v automake && command -v libtoolize && command -v make && command -v cc'; then
	skip "the kit of berth-dev" "the system has no compiler, or no autotools"
else
	author 'berth new-adapter harbour-master'
	step $? "berth new-adapter makes a project"
	author './configure && make && make check' harbour-master
	step $? "it is built, and passes the conformance suite"
	author 'make install' harbour-master
	step $? "it is installed"
	ls "$root/usr/lib/$triplet/berth/adapters/harbour-master.so" "$root/usr/share/berth/adapters.d/harbour-master.json" \
		>/dev/null && [ ! -e "$root/usr/lib/$triplet/berth/adapters/harbour-master.la" ]
	check $? "the plugin and its drop-in are where those of packages are, and no .la"
	# shellcheck disable=SC2086 # the list is to be split
	adapters_are $all harbour-master:active
	check $? "the adapter is there, behind the others"
	in_root /usr/bin/berth --limit 1000000 workers >"$scratch/log" 2>&1 &&
		grep -q 'process-[0-9]*-[0-9]*-[0-9a-f]*  *running .* berth' "$scratch/log"
	check $? "its workers are listed"
	author 'make -f simple.mk check' harbour-master
	check $? "the plain build passes as well"
	author 'make uninstall && rm -rf /tmp/harbour-master' harbour-master
	check $? "it is uninstalled"
	# shellcheck disable=SC2086 # the list is to be split
	adapters_are $all
	check $? "then it is not there any more"
fi

admin=$root/etc/berth/adapters.d
[ -d "$admin" ] && [ "$(stat -c %a "$admin")" = 755 ]
check $? "the directory of the administrator is there"
: >"$admin/embedded.json"
adapters_are local-pod:active remote-reserved:active embedded:masked
check $? "an empty file masks an adapter"
echo '{"enabled": false} // until the spring' >"$admin/embedded.json"
adapters_are local-pod:active embedded:disabled remote-reserved:active
check $? "one is disabled"
echo '{"enabled": true, "priority": 5}' >"$admin/embedded.json"
adapters_are embedded:active local-pod:active remote-reserved:active
check $? "it is enabled, and comes first"
ln -sf /dev/null "$admin/embedded.json"
: >"$admin/remote-reserved.json"
adapters_are local-pod:active embedded:masked remote-reserved:masked
check $? "a link to /dev/null masks as well"

# shellcheck disable=SC2086 # the list is to be split
install new "$new" $packages
step $? "all packages are upgraded"
adapters_are local-pod:active embedded:masked remote-reserved:masked
check $? "what the administrator set is still there after it"

if [ $unpack = yes ]; then
	skip "the packages are purged" "they are only unpacked"
	exit 0
fi
# shellcheck disable=SC2016 # for dpkg-query
in_root dpkg-query -W -f '${Version}\n' 'berth*' | sort -u >"$scratch/log"
[ "$(cat "$scratch/log")" = "$new" ]
check $? "the upgraded packages have the new version"
in_root getent passwd berth | grep -q ':/var/lib/berth:/usr/sbin/nologin$' &&
	in_root systemctl -q is-enabled berth.socket berth.service
check $? "the service has its user, and is to be started"
in_root /usr/bin/berth --connect /run/berth/berth.sock runtimes >"$scratch/log" 2>&1
[ $? = 3 ] && [ "$(wc -l <"$scratch/log")" = 1 ] && grep -q 'libcurl.so.4\|no service at unix:' "$scratch/log"
check $? "where nothing serves, or libcurl is not installed, that is said on one line"
in_root dpkg --remove berth-adapter-local-pod >"$scratch/log" 2>&1
check $? "an adapter is removed"
adapters_are embedded:masked remote-reserved:masked
check $? "then it is not listed, and nothing complains"
# shellcheck disable=SC2086 # the list is to be split
in_root dpkg --purge berth-adapter-embedded >"$scratch/log" 2>&1 && [ ! -L "$admin/embedded.json" ] &&
	[ -e "$admin/remote-reserved.json" ]
check $? "a purged adapter takes its own settings with it"
# shellcheck disable=SC2086 # the list is to be split
in_root dpkg --purge $packages >"$scratch/log" 2>&1
check $? "all are purged"
everything | diff "$scratch/before" -
check $? "nothing is left"
! in_root dpkg-query -W 'berth*' 2>/dev/null && ! ls "$root"/var/lib/dpkg/info/berth* 2>/dev/null
check $? "dpkg knows nothing of them"
