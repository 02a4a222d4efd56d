#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Which lines and branches of core and plugins the tests have run: coverage.py SOURCE BUILD LIST.

Prints both for each file, from what a build with --enable-coverage has left behind. Shares below
those that are wanted are errors, and so is each line that is not run and has no reason in LIST."""
import collections
import fnmatch
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


def collect(build):
    """Counts of lines and of branches by file, and the functions of lines; what is compiled several times is summed up."""
    lines, branches = collections.defaultdict(collections.Counter), collections.defaultdict(collections.Counter)
    functions = {}
    for document in documents(build):
        for file in document["files"]:
            # The build names them from the top of the source tree.
            path = os.path.normpath(file["file"])
            if not path.startswith(("core/", "plugins/", "include/inline/")):
                continue
            for line in file["lines"]:
                number, function = line["line_number"], line.get("function_name", "")
                lines[path][number] += line["count"]
                functions[path, number] = function
                for index, branch in enumerate(line["branches"]):
                    branches[path][number, function, index] += branch["count"]
    return lines, branches, functions


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
    """The rows: their numbers, and patterns for the file, for the function, any of several, and for the text of a line."""
    listed, reason = [], False
    with open(path, encoding="utf-8") as rows:
        for number, row in enumerate(rows, 1):
            row = row.strip()
            if row.startswith("#") or not row:
                reason = bool(row)
                continue
            file, functions, text = (row.split(": ", 2) + ["*", "*"])[:3]
            if not reason:
                sys.exit(f"{path}:{number}: expected a reason above, a line that begins with #")
            listed.append((number, file, functions.split(), text))
    return listed


def fits(file, functions, text, line):
    return (fnmatch.fnmatchcase(line[0], file) and any(fnmatch.fnmatchcase(line[1], function) for function in functions) and
            fnmatch.fnmatchcase(line[2], text))


def not_run(source, lines, functions):
    for path in sorted(lines):
        with open(os.path.join(source, path), encoding="utf-8") as file:
            texts = file.read().split("\n")
        for number in sorted(lines[path]):
            if lines[path][number] == 0:
                yield number, (path, functions[path, number], texts[number - 1].strip())


def n_without_reason(source, lines, functions, list_path):
    """Names each line that is not run and not listed. A row of which all is run is told of alone: what threads do
    is not the same each time."""
    listed, used, n_wrong = read_list(list_path), set(), 0
    for number, line in not_run(source, lines, functions):
        rows = [row for row, *patterns in listed if fits(*patterns, line)]
        used.update(rows)
        if not rows:
            print(f"not run, without a reason: {line[0]}:{number}: {line[1]}: {line[2]}")
            n_wrong += 1
    for row, *_ in listed:
        if row not in used:
            print(f"{list_path}:{row}: all of this is run")
    return n_wrong


def main(source, build, list_path):
    source = os.path.realpath(source)
    lines, branches, functions = collect(build)
    if not lines:
        sys.exit(f"{build}: no counters; configure with --enable-coverage and run make check first")
    by_lines, by_branches = print_shares(lines, branches)
    wrong = n_without_reason(source, lines, functions, list_path)
    print(f"{'not ok' if wrong else 'ok'} - what is not run is listed with its reason")
    for what, found, wanted in (("lines", by_lines, WANTED_LINES), ("branches", by_branches, WANTED_BRANCHES)):
        print(f"{'ok' if found >= wanted else 'not ok'} - {found:.1f} percent of the {what} are run, at least {wanted} are wanted")
        wrong += found < wanted
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
