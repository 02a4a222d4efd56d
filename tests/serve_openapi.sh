#!/bin/sh
# SPDX-License-Identifier: MIT
# Every answer of berth serve is as its description says: see serve_openapi.py.
set -u
: "${srcdir:?}" "${BERTH:?}"

if "$BERTH" serve --adapters none --socket "" 2>&1 | grep -q 'without libmicrohttpd'; then
	echo "ok - the description of berth serve # SKIP it was left out"
	exit 0
fi
for python in python3 /usr/bin/python3; do
	if "$python" -c 'import jsonschema; jsonschema.Draft202012Validator' 2>/dev/null; then
		exec "$python" -W ignore::DeprecationWarning "$srcdir/tests/serve_openapi.py"
	fi
done
echo "ok - the description of berth serve # SKIP there is no python3 with jsonschema"
