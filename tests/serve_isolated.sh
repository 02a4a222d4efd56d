#!/bin/sh
# SPDX-License-Identifier: MIT
# Isolated instances and programs behind berth serve: see serve_isolated.py.
set -u
: "${srcdir:?}" "${BERTH:?}"

if ! command -v python3 >/dev/null; then
	echo "ok - isolation behind berth serve # SKIP there is no python3"
	exit 0
fi
if "$BERTH" serve --adapters none --socket "" 2>&1 | grep -q 'without libmicrohttpd'; then
	echo "ok - isolation behind berth serve # SKIP it was left out"
	exit 0
fi
BERTH_FIXTURE_DIR=$PWD/tests/fixtures BERTH_SPEAKER=$PWD/tests/speaker exec python3 -B "$srcdir/tests/serve_isolated.py"
