#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Which lines and branches of core and plugins the tests have run: coverage.py SOURCE BUILD [LIST].

Prints both for each file, from what a build with --enable-coverage has left behind. LIST holds the
lines that no test runs, each under its reason; a line that is there and is run, and one that is
not run and is not there, is reported, and so are shares below those that are wanted."""
import collections
import json
import os
import subprocess
import sys

WANTED_LINES, WANTED_BRANCHES = 95, 85


def counters(build):
    for top in "core", "plugins":
        for directory, _, names in os.walk(os.path.join(os.path.abspath(build), top)):
            yield from (os.path.join(directory, name) for name in names if name.endswith(".gcda"))


def documents(build):
    """What gcov makes of each file of counters."""
    for path in sorted(counters(build)):
        done = subprocess.run([os.environ.get("GCOV", "gcov"), "--json-format", "--stdout", "--branch-probabilities", path],
                              cwd=build, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
        for text in done.stdout.splitlines():
            yield json.loads(text)


def collect(source, build):
    """Counts of lines and of branches by file; one that is compiled several times is summed up."""
    lines, branches = collections.defaultdict(collections.Counter), collections.defaultdict(collections.Counter)
    for document in documents(build):
        for file in document["files"]:
            # The build names them from the top of the source tree.
            path = os.path.normpath(file["file"])
            if not path.startswith(("core/", "plugins/", "include/inline/")):
                continue
            for line in file["lines"]:
                number = line["line_number"]
                lines[path][number] += line["count"]
                for index, branch in enumerate(line["branches"]):
                    branches[path][number, line.get("function_name"), index] += branch["count"]
    return lines, branches


def share(counts):
    return sum(count > 0 for count in counts), len(counts)


def percent(part, whole):
    return 100 * part / whole if whole else 100


def print_shares(lines, branches):
    """One row a file, the totals last; returns those."""
    totals = [0, 0, 0, 0]
    print(f"{'lines':>14} {'branches':>20}")
    for path in sorted(lines):
        row = [*share(lines[path].values()), *share(branches[path].values())]
        totals = [a + b for a, b in zip(totals, row)]
        print_row(row, path)
    print_row(totals, "in all")
    return percent(*totals[:2]), percent(*totals[2:])


def print_row(row, name):
    print(f"{row[0]:5}/{row[1]:5} {percent(*row[:2]):5.1f}% {row[2]:5}/{row[3]:5} {percent(*row[2:]):5.1f}%  {name}")


def read_list(path):
    """The lines that are listed: (file, text) and where they stand."""
    listed, reason = {}, None
    with open(path, encoding="utf-8") as rows:
        for number, row in enumerate(rows, 1):
            row = row.rstrip("\n")
            if row.startswith("#") or not row:
                reason = row[1:].strip() or None
                continue
            file, _, text = row.partition(": ")
            if not reason:
                sys.exit(f"{path}:{number}: expected a reason above, a line that begins with #")
            listed[file, text.strip()] = number
    return listed


def not_run(source, lines):
    for path in sorted(lines):
        with open(os.path.join(source, path), encoding="utf-8") as file:
            texts = file.read().split("\n")
        for number in sorted(lines[path]):
            if lines[path][number] == 0:
                yield path, number, texts[number - 1].strip()


def hold_against_list(source, lines, list_path):
    """How many lines are not as the list says."""
    listed, found, n_wrong = read_list(list_path), set(), 0
    for path, number, text in not_run(source, lines):
        if (path, text) in listed:
            found.add((path, text))
        else:
            print(f"not run and not listed: {path}:{number}: {text}")
            n_wrong += 1
    for entry in listed:
        if entry not in found:
            print(f"{list_path}:{listed[entry]}: listed, and run or not there: {entry[0]}: {entry[1]}")
            n_wrong += 1
    return n_wrong


def main(source, build, list_path=None):
    source = os.path.realpath(source)
    lines, branches = collect(source, build)
    if not lines:
        sys.exit(f"{build}: no counters; configure with --enable-coverage and run make check first")
    by_lines, by_branches = print_shares(lines, branches)
    wrong = hold_against_list(source, lines, list_path) if list_path else 0
    for what, found, wanted in (("lines", by_lines, WANTED_LINES), ("branches", by_branches, WANTED_BRANCHES)):
        print(f"{'ok' if found >= wanted else 'not ok'} - {found:.1f} percent of the {what} are run, at least {wanted} are wanted")
        wrong += found < wanted
    if list_path:
        print(f"{'not ok' if wrong else 'ok'} - what is not run is listed with its reason")
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
