#!/bin/sh
# SPDX-License-Identifier: MIT
# The headers stand alone, the layers include only what is below them, and a plugin
# exports its registration function and nothing else.
# In the environment: CC, CXX, srcdir, BERTH_ADAPTER_DIR (else the last part is skipped).
# Most functions are called by check, which shellcheck does not see.
# shellcheck disable=SC2317
set -u

: "${CC:=cc}" "${CXX:=c++}" "${srcdir:=.}"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0
n=0

# check NAME COMMAND...: one line; what the command said follows where it failed.
check()
{
	name=$1
	shift
	n=$((n + 1))
	if "$@" >"$work/log" 2>&1; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		sed 's/^/# /' "$work/log"
		failed=1
	fi
}

skip()
{
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}

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
	$1 $2 -Wall -Wextra -Wno-missing-field-initializers -Werror -I"$srcdir/include" -c -o "$work/out.o" "$3"
}

has()
{
	command -v "$1" >/dev/null 2>&1
}

# ---- Headers alone ----

echo '#include <berth/adapter.h>' >"$work/alone.c"
cp "$work/alone.c" "$work/alone.cc"

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
} >"$work/adapter.c"
cp "$work/adapter.c" "$work/adapter.cc"

# The same in C++ alone: whatever kind of function there is, contained.
sed '/^static const struct berth_adapter/,$d' "$work/adapter.c" >"$work/contained.cc"
cat >>"$work/contained.cc" <<'EOF'
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
	sed 's/^#include <berth\/adapter.h>$/&\n}/' "$work/contained.cc"
} >"$work/within.cc"
sed 's/BERTH_CONTAINED(my_list)/BERTH_CONTAINED(Mine::worker)/' "$work/contained.cc" >"$work/other-type.cc"
{
	cat "$work/contained.cc"
	echo 'static int other(int); static void *use = (void *)BERTH_CONTAINED(other);'
} >"$work/no-operation.cc"

sed 's/"my-own"/"my-owner"/' "$work/adapter.c" >"$work/other-id.c"
{
	echo '#define BERTH_ABI_NEEDED 9'
	cat "$work/adapter.c"
} >"$work/needs-more.c"

refuses()
{
	! compile "$@"
}

check "berth/adapter.h alone is C11" compile "$CC" "-std=c11 -pedantic-errors" "$work/alone.c"
check "an adapter is C11" compile "$CC" "-std=c11 -pedantic-errors" "$work/adapter.c"
check "an adapter is C17" compile "$CC" "-std=c17 -pedantic-errors" "$work/adapter.c"
check "a name that is not the id does not compile" refuses "$CC" "-std=c11" "$work/other-id.c"
check "a minor that the header does not have does not compile" refuses "$CC" "-std=c11" "$work/needs-more.c"
if has "${CXX%% *}"; then
	for standard in 11 14 17 20; do
		check "berth/adapter.h alone is C++$standard" \
			compile "$CXX" "-std=c++$standard -pedantic-errors" "$work/alone.cc"
		check "an adapter is C++$standard" \
			compile "$CXX" "-std=c++$standard -pedantic-errors" "$work/adapter.cc"
		check "contained functions are C++$standard" \
			compile "$CXX" "-std=c++$standard -pedantic-errors" "$work/contained.cc"
		check "contained functions are C++$standard without exceptions" \
			compile "$CXX" "-std=c++$standard -pedantic-errors -fno-exceptions" "$work/contained.cc"
	done
	check 'berth/adapter.h stands within extern "C"' compile "$CXX" "-std=c++11" "$work/within.cc"
	check "a contained function of another type does not compile" \
		refuses "$CXX" "-std=c++11" "$work/other-type.cc"
	check "what is no operation is not contained" refuses "$CXX" "-std=c++11" "$work/no-operation.cc"
else
	skip "berth/adapter.h is C++" "no $CXX"
fi

for compiler in gcc clang; do
	if has "$compiler"; then
		check "no struct has padding, says $compiler" compile "$compiler" "-std=c11 -Wpadded" "$work/adapter.c"
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
	includes "$srcdir/include/berth/adapter.h" | sort >"$work/found"
	printf '<%s>\n' errno.h exception new stddef.h stdint.h string.h | diff - "$work/found"
}

check "berth/adapter.h includes four headers of C and two of C++" boundary_includes_only_libc
check "berth/adapter.h has no type of a library" \
	finds_nothing grep -niE 'cjson|openssl|EVP_|ltdl|lt_dl|pthread|FILE \*' "$srcdir/include/berth/adapter.h"

for header in "$srcdir"/include/inline/*.h; do
	echo "#include \"inline/${header##*/}\"" >"$work/inline.c"
	check "inline/${header##*/} alone is C11" compile "$CC" "-std=c11 -pedantic-errors" "$work/inline.c"
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
	check "plugins/${plugin##*/} includes only what is below it" \
		finds_nothing foreign "$plugin" "$plugin"/*.[ch]
done
check "core includes no plugin and no test" \
	finds_nothing grep -nE '^[[:space:]]*#[[:space:]]*include.*["</](plugins|tests)/' \
	"$srcdir"/core/*.c "$srcdir"/core/*.h
check "include includes neither core nor plugins" \
	finds_nothing grep -nE '^[[:space:]]*#[[:space:]]*include.*["</](core|plugins|tests)/' \
	"$srcdir"/include/berth/adapter.h "$srcdir"/include/inline/*.h

# ---- Symbols ----

exports_one()
{
	id=$(basename "$1" .so)
	nm -D --defined-only "$1" | awk '{ print $NF }' >"$work/symbols" || return 1
	printf '%s_LTX_berth_register\n' "$id" | tr - _ | diff - "$work/symbols"
}

contained_exports_one()
{
	sed '/^extern struct/d' "$work/contained.cc" >"$work/my-own.cc"
	# shellcheck disable=SC2086
	$CXX -std=c++11 -shared -fPIC -I"$srcdir/include" -o "$work/my-own.so" "$work/my-own.cc" &&
		exports_one "$work/my-own.so"
}

if has "${CXX%% *}" && has nm; then
	check "contained functions are no symbols" contained_exports_one
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
		check "${plugin##*/} exports one symbol" exports_one "$plugin"
	done
fi

echo "1..$n"
exit "$failed"
