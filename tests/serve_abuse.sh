#!/bin/sh
# SPDX-License-Identifier: MIT
# What no well-behaved client does, and what only systemd does, to berth serve: see serve_abuse.py.
set -u
: "${srcdir:?}" "${BERTH:?}"

if ! command -v python3 >/dev/null; then
	echo "ok - abuse of berth serve # SKIP there is no python3"
	exit 0
fi
if "$BERTH" serve --adapters none --socket "" 2>&1 | grep -q 'without libmicrohttpd'; then
	echo "ok - abuse of berth serve # SKIP it was left out"
	exit 0
fi
BERTH_FIXTURE_DIR=$PWD/tests/fixtures exec python3 "$srcdir/tests/serve_abuse.py"
