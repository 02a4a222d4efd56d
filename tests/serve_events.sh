#!/bin/sh
# SPDX-License-Identifier: MIT
# Events over HTTP, read and followed: see serve_events.py.
set -u
: "${srcdir:?}" "${BERTH:?}"

if ! command -v python3 >/dev/null; then
	echo "ok - events over HTTP # SKIP there is no python3"
	exit 0
fi
if "$BERTH" serve --adapters none --socket "" 2>&1 | grep -q 'without libmicrohttpd'; then
	echo "ok - events over HTTP # SKIP it was left out"
	exit 0
fi
# One test restarts on a store that lasts.
grep -q "^#define HAVE_SQLITE3 1" config.h && BERTH_HAS_STORE=1 || BERTH_HAS_STORE=
export BERTH_HAS_STORE
BERTH_FIXTURE_DIR=$PWD/tests/fixtures exec python3 -B "$srcdir/tests/serve_events.py"
