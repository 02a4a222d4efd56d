#!/bin/sh
# SPDX-License-Identifier: MIT
# The headers stand alone, the layers include only what is below them, and a plugin
# exports its registration function and nothing else.
# In the environment: CC, CXX, srcdir, BERTH_ADAPTER_DIR (else the last part is skipped).
# Most functions are called by try, which shellcheck does not see.
# shellcheck disable=SC2317
set -u
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"

: "${CC:=cc}" "${CXX:=c++}" "${srcdir:=.}"
# finds_nothing COMMAND...: what it prints is what is wrong.
finds_nothing()
{
	found=$("$@")
	[ -z "$found" ] || {
		printf '%s\n' "$found"
		return 1
	}
}

# compile COMPILER FLAGS FILE: the compiler may be several words, and so may the flags.
# The adapters here are as they were for 1.0, without the operations that came later.
compile()
{
	# shellcheck disable=SC2086
	$1 $2 -Wall -Wextra -Wno-missing-field-initializers -Werror -I"$srcdir/include" -c -o "$scratch/out.o" "$3"
}

has()
{
	command -v "$1" >/dev/null 2>&1
}

# ---- Headers alone ----

echo '#include <berth/adapter.h>' >"$scratch/alone.c"
cp "$scratch/alone.c" "$scratch/alone.cc"

# A whole adapter in what C and C++ have in common, with each struct in use.
{
	echo '#include <berth/adapter.h>'
	sed -n 's/^struct \(berth_[a-z_]*\) {$/extern struct \1 use_\1; struct \1 use_\1;/p' \
		"$srcdir/include/berth/adapter.h"
	cat <<'EOF'
static int my_open(void **instance, struct berth_call *call, const struct berth_open_request *request)
{
	static const struct berth_text id = BERTH_TEXT("my-runtime");
	struct berth_runtime runtime;

	memset(&runtime, 0, sizeof runtime);
	runtime.size = sizeof runtime;
	runtime.runtime_id = id;
	runtime.label = berth_text("mine");
	if (request->n_options != 2)
		return call->sink->fail(call, -EINVAL, "%u options", (unsigned)request->n_options);
	*instance = 0;
	return call->sink->runtime(call, &runtime);
}
static const struct berth_adapter my_ops = { sizeof my_ops, my_open, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
BERTH_ADAPTER(my_own, "my-own", "1.0", BERTH_THREADS_ANY,
	      BERTH_OPTION("size", "count", "1", "how many") BERTH_OPTION("name", "text", "", "what name"), &my_ops);
EOF
} >"$scratch/adapter.c"
cp "$scratch/adapter.c" "$scratch/adapter.cc"

# The same in C++ alone: whatever kind of function there is, contained.
sed '/^static const struct berth_adapter/,$d' "$scratch/adapter.c" >"$scratch/contained.cc"
cat >>"$scratch/contained.cc" <<'EOF'
namespace {
struct Mine {
	static void close(void *) noexcept {}
	static int worker(void *, struct berth_call *, const struct berth_worker_request *) { return -ENOENT; }
};
int my_list(void *, struct berth_call *, const struct berth_list_request *) noexcept { return 0; }
}
static const struct berth_adapter my_ops = {
	sizeof my_ops, BERTH_CONTAINED(my_open), BERTH_CONTAINED(Mine::close), nullptr, BERTH_CONTAINED(my_list),
	nullptr, BERTH_CONTAINED(Mine::worker), nullptr, nullptr, nullptr, nullptr, nullptr
};
BERTH_ADAPTER(my_own, "my-own", "1.0", BERTH_THREADS_ANY, BERTH_NO_OPTIONS, &my_ops);
EOF
# As people write it who do not look into headers.
{
	echo 'extern "C" {'
	sed 's/^#include <berth\/adapter.h>$/&\n}/' "$scratch/contained.cc"
} >"$scratch/within.cc"
sed 's/BERTH_CONTAINED(my_list)/BERTH_CONTAINED(Mine::worker)/' "$scratch/contained.cc" >"$scratch/other-type.cc"
{
	cat "$scratch/contained.cc"
	echo 'static int other(int); static void *use = (void *)BERTH_CONTAINED(other);'
} >"$scratch/no-operation.cc"

sed 's/"my-own"/"my-owner"/' "$scratch/adapter.c" >"$scratch/other-id.c"
{
	echo '#define BERTH_ABI_NEEDED 9'
	cat "$scratch/adapter.c"
} >"$scratch/needs-more.c"

refuses()
{
	! compile "$@"
}

try "berth/adapter.h alone is C11" compile "$CC" "-std=c11 -pedantic-errors" "$scratch/alone.c"
try "an adapter is C11" compile "$CC" "-std=c11 -pedantic-errors" "$scratch/adapter.c"
try "an adapter is C17" compile "$CC" "-std=c17 -pedantic-errors" "$scratch/adapter.c"
try "a name that is not the id does not compile" refuses "$CC" "-std=c11" "$scratch/other-id.c"
try "a minor that the header does not have does not compile" refuses "$CC" "-std=c11" "$scratch/needs-more.c"
if has "${CXX%% *}"; then
	for standard in 11 14 17 20; do
		try "berth/adapter.h alone is C++$standard" \
			compile "$CXX" "-std=c++$standard -pedantic-errors" "$scratch/alone.cc"
		try "an adapter is C++$standard" \
			compile "$CXX" "-std=c++$standard -pedantic-errors" "$scratch/adapter.cc"
		try "contained functions are C++$standard" \
			compile "$CXX" "-std=c++$standard -pedantic-errors" "$scratch/contained.cc"
		try "contained functions are C++$standard without exceptions" \
			compile "$CXX" "-std=c++$standard -pedantic-errors -fno-exceptions" "$scratch/contained.cc"
	done
	try 'berth/adapter.h stands within extern "C"' compile "$CXX" "-std=c++11" "$scratch/within.cc"
	try "a contained function of another type does not compile" \
		refuses "$CXX" "-std=c++11" "$scratch/other-type.cc"
	try "what is no operation is not contained" refuses "$CXX" "-std=c++11" "$scratch/no-operation.cc"
else
	skip "berth/adapter.h is C++" "no $CXX"
fi

for compiler in gcc clang; do
	if has "$compiler"; then
		try "no struct has padding, says $compiler" compile "$compiler" "-std=c11 -Wpadded" "$scratch/adapter.c"
	else
		skip "no struct has padding, says $compiler" "it is not here"
	fi
done

includes()
{
	sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*//p' "$@"
}

boundary_includes_only_libc()
{
	includes "$srcdir/include/berth/adapter.h" | sort >"$scratch/found"
	printf '<%s>\n' errno.h exception new stddef.h stdint.h string.h | diff - "$scratch/found"
}

try "berth/adapter.h includes four headers of C and two of C++" boundary_includes_only_libc
try "berth/adapter.h has no type of a library" \
	finds_nothing grep -niE 'cjson|openssl|EVP_|ltdl|lt_dl|pthread|FILE \*' "$srcdir/include/berth/adapter.h"

for header in "$srcdir"/include/inline/*.h; do
	echo "#include \"inline/${header##*/}\"" >"$scratch/inline.c"
	try "inline/${header##*/} alone is C11 with POSIX" compile "$CC" "-std=c11 -D_POSIX_C_SOURCE=200809L -pedantic-errors" "$scratch/inline.c"
done

# ---- Layers ----

# foreign DIR FILE...: includes that are neither of the system nor of include/ nor of DIR.
foreign()
{
	dir=$1
	shift
	for file; do
		includes "$file" | grep -v -e '^<' -e '^"config\.h"' -e '^"inline/' -e '^"berth/' |
		while read -r name _; do
			name=${name#\"}
			name=${name%\"}
			case $name in
			*/*) echo "$file: $name" ;;
			*) [ -n "$dir" ] && [ -f "$dir/$name" ] || echo "$file: $name" ;;
			esac
		done
		includes "$file" | sed -n 's/^<\(core\|plugins\|tests\)\//&/p'
	done
}

for plugin in "$srcdir"/plugins/*/; do
	plugin=${plugin%/}
	try "plugins/${plugin##*/} includes only what is below it" \
		finds_nothing foreign "$plugin" "$plugin"/*.[ch]
done
try "core includes no plugin and no test" \
	finds_nothing grep -nE '^[[:space:]]*#[[:space:]]*include.*["</](plugins|tests)/' \
	"$srcdir"/core/*.c "$srcdir"/core/*.h
try "include includes neither core nor plugins" \
	finds_nothing grep -nE '^[[:space:]]*#[[:space:]]*include.*["</](core|plugins|tests)/' \
	"$srcdir"/include/berth/adapter.h "$srcdir"/include/inline/*.h

# ---- Symbols ----

exports_one()
{
	id=$(basename "$1" .so)
	nm -D --defined-only "$1" | awk '{ print $NF }' >"$scratch/symbols" || return 1
	printf '%s_LTX_berth_register\n' "$id" | tr - _ | diff - "$scratch/symbols"
}

contained_exports_one()
{
	sed '/^extern struct/d' "$scratch/contained.cc" >"$scratch/my-own.cc"
	# shellcheck disable=SC2086
	$CXX -std=c++11 -shared -fPIC -I"$srcdir/include" -o "$scratch/my-own.so" "$scratch/my-own.cc" &&
		exports_one "$scratch/my-own.so"
}

if has "${CXX%% *}" && has nm; then
	try "contained functions are no symbols" contained_exports_one
else
	skip "contained functions are no symbols" "no $CXX, or no nm"
fi
if [ -z "${BERTH_ADAPTER_DIR:-}" ]; then
	skip "plugins export one symbol" "BERTH_ADAPTER_DIR is not set"
elif ! has nm; then
	skip "plugins export one symbol" "no nm"
else
	for plugin in "$BERTH_ADAPTER_DIR"/*.so; do
		# There are none where all adapters are left out.
		[ -e "$plugin" ] || continue
		try "${plugin##*/} exports one symbol" exports_one "$plugin"
	done
fi

