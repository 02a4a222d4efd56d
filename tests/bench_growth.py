#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How time and memory of what berth does grow with the number of records and of embedded
workers, asked through berth batch, and with the callers of berth serve. Prints tables; with
gnuplot also draws growth.svg into the current directory. --quick: up to 10,000, and shortly.
In the environment: BERTH, BERTH_ADAPTER_DIR."""

import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

BERTH, ADAPTER_DIR = os.environ["BERTH"], os.environ["BERTH_ADAPTER_DIR"]
QUICK = "--quick" in sys.argv[1:]
SIZES = [10, 100, 1000, 10000] if QUICK else [10, 100, 1000, 10000, 100000]
CALLERS = [1, 2, 8] if QUICK else [1, 2, 3, 4, 5, 6, 7, 8]
SAMPLES = 3 if QUICK else 9
# What is read goes there, which is there already: to have so much memory from the kernel for each answer would take
# longer than most of them.
ROOM = memoryview(bytearray(b"x") * ((16 if QUICK else 128) << 20))
ROOT = "/workspace/project"
SPAWN = {"op": "spawn_worker", "runtime_id": "embedded-worker-runtime", "request": {
    "intent": {"kind": "workspace_companion"}, "acceptance": {"kind": "run_accepted", "expected_segments": 0}}}


class Batch:
    """A berth batch, asked in lockstep."""

    def __init__(self, data_dir=""):
        self.process = subprocess.Popen(
            [BERTH, "--adapter-dir", ADAPTER_DIR, "--workspace-root", ROOT, "--data-dir", data_dir, "batch"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.ask({"op": "list_runtimes"})

    def ask(self, request):
        """Asks, and returns the answer and the seconds it took."""
        line, out, end = json.dumps(request).encode() + b"\n", self.process.stdout.fileno(), 0
        begin = time.perf_counter()
        os.write(self.process.stdin.fileno(), line)
        while end == 0 or ROOM[end - 1] != ord("\n"):
            n = os.readv(out, [ROOM[end:]])
            if n == 0:
                sys.exit("growth: berth batch ended without an answer")
            end += n
        seconds = time.perf_counter() - begin
        return bytes(ROOM[:end]), seconds

    def list(self, n):
        answer, seconds = self.ask({"op": "list_workers", "limit": n})
        if answer.count(b',"role":') != n:
            sys.exit(f"growth: {n} workers are not in {answer[:300]}")
        return seconds

    def look_up(self, runtime_id, worker_id):
        answer, seconds = self.ask({"op": "worker", "runtime_id": runtime_id, "worker_id": worker_id})
        if worker_id.encode() not in answer or b'"error"' in answer:
            sys.exit(f"growth: {answer[:300]}")
        return seconds

    def resident(self):
        """The bytes that it has in memory."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]) * 1024

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def median(function, n=SAMPLES):
    return statistics.median(function() for _ in range(n))


def write_record(data_dir, i):
    name = f"ticket-coder-worker-{i:06d}"
    os.makedirs(f"{data_dir}/pods/{name}")
    with open(f"{data_dir}/pods/{name}/metadata.json", "w", encoding="ascii") as file:
        json.dump({"worker_name": name, "workspace_root": ROOT, "active": None, "resolved_manifest_snapshot": {
            "role": "coder", "profile": "builtin:coder", "instructions": "x" * 1100}}, file)


def measure_records(data_dir, n):
    """As RECORDS has it."""
    fresh = Batch(data_dir)
    first = fresh.list(n)
    worker = json.loads(fresh.ask({"op": "list_workers", "limit": 1})[0])["items"][0]["worker_id"]
    # Until all that is to be watched is: an eighth and more of the records a request, once that pays.
    for _ in range(12 + 4096 // n):
        fresh.list(n)
    again = median(lambda: fresh.list(n))
    look_up = median(lambda: fresh.look_up("local-worker-runtime", worker), 1000)
    memory = fresh.resident()
    fresh.close()
    fresh = Batch(data_dir)
    first_look_up = fresh.look_up("local-worker-runtime", worker)
    fresh.close()
    return first, again, first_look_up, look_up, memory


def measure_workers(n):
    """As WORKERS has it."""
    batch = Batch()
    spawn = median(lambda: batch.ask(SPAWN)[1], n)
    listed = median(lambda: batch.list(n))
    look_up = median(lambda: batch.look_up("embedded-worker-runtime", f"worker-{n // 2:08x}"), 1000)
    memory = batch.resident()
    batch.close()
    return spawn, listed, look_up, memory


def caller_rates(scratch):
    """Requests a second of so many callers at once."""
    tokens, log = f"{scratch}/tokens", f"{scratch}/log"
    if not shutil.which("wrk"):
        print("growth: wrk is missing, what needs it is left out")
        return {}
    with open(os.open(tokens, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
        file.write("read bench-bench-bench-bench\n")
    with open(log, "w", encoding="ascii") as file:
        server = subprocess.Popen(
            [BERTH, "serve", "--adapter-dir", ADAPTER_DIR, "--workspace-root", ROOT, "--data-dir", "", "--socket",
             f"{scratch}/socket", "--listen", "127.0.0.1:0", "--token-file", tokens], stderr=file, stdout=subprocess.DEVNULL)
    rates = {}
    try:
        deadline, port = time.monotonic() + 30, None
        while not port and server.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
            with open(log, encoding="utf-8") as file:
                port = re.search(r"listening on 127\.0\.0\.1:(\d+)", file.read())
        if not port:
            print("growth: berth serve does not serve, so its callers are left out")
            return {}
        for n in CALLERS:
            out = subprocess.run(
                ["wrk", "-t", "1", "-c", str(n), "-d", "1s" if QUICK else "3s", "-H",
                 "Authorization: Bearer bench-bench-bench-bench", f"http://127.0.0.1:{port[1]}/api/runtimes"],
                capture_output=True, text=True, check=True).stdout
            if "Non-2xx" in out:
                sys.exit(f"growth: {out}")
            rates[n] = float(re.search(r"Requests/sec: *([0-9.]+)", out)[1])
    finally:
        server.terminate()
        server.wait()
    return rates


RECORDS = ("first list", "list again", "first look-up", "look-up again", "memory")
WORKERS = ("spawn", "list", "look-up", "memory")

PLOT = """
set terminal svg size 1200,480 font "sans,11" background "white" noenhanced
set output "growth.svg"
set multiplot layout 1,3
set logscale xy
set format x "10^%T"
set key below
set xlabel "records, or embedded workers"
set ylabel "milliseconds"
plot "records" using 1:($2*1e3) with linespoints title "records: first list", \\
  "" using 1:($3*1e3) with linespoints title "list again", "" using 1:($4*1e3) with linespoints title "first look-up", \\
  "" using 1:($5*1e3) with linespoints title "look-up again", \\
  "workers" using 1:($3*1e3) with linespoints title "workers: list", "" using 1:($4*1e3) with linespoints title "look-up", \\
  "" using 1:($2*1e3) with linespoints title "spawn"
set ylabel "megabytes resident"
set yrange [1:*]
plot "records" using 1:($6/1e6) with linespoints title "records", "workers" using 1:($5/1e6) with linespoints title "workers"
"""
PLOT_CALLERS = """
unset logscale
set format x "%g"
set xlabel "callers of the service at once"
set ylabel "requests a second"
set yrange [0:*]
plot "callers" using 1:2 with linespoints notitle
"""


def draw(scratch, tables, rates):
    if not shutil.which("gnuplot"):
        print("growth: gnuplot is missing, so nothing is drawn")
        return
    for name, rows in {**tables, "callers": {n: (rate,) for n, rate in rates.items()}}.items():
        with open(f"{scratch}/{name}", "w", encoding="ascii") as file:
            for n, row in rows.items():
                print(n, *row, sep="\t", file=file)
    subprocess.run(["gnuplot"], input=PLOT + (PLOT_CALLERS if rates else ""), text=True, check=True, cwd=scratch)
    shutil.copy(f"{scratch}/growth.svg", "growth.svg")


def show(value):
    """Seconds, or bytes."""
    if isinstance(value, int):
        return f"{value / 1e6:.1f} MB"
    return f"{value * 1e3:.2f} ms" if value >= 1e-3 else f"{value * 1e6:.2f} us"


def print_table(what, columns, rows):
    print(f"{what:>15}" + "".join(f"{column:>15}" for column in columns))
    for n, row in rows.items():
        print(f"{n:15,}" + "".join(f"{show(value):>15}" for value in row))


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("growth: terminated"))
    records, workers = {}, {}
    processors = os.sched_getaffinity(0)
    # As the rows of bench.c are, so that what asks and what answers take turns alike.
    os.sched_setaffinity(0, {max(processors)})
    with tempfile.TemporaryDirectory(prefix="berth-bench-") as scratch:
        n_written = 0
        for n in SIZES:
            for i in range(n_written, n):
                write_record(f"{scratch}/data", i)
            n_written = n
            # Only what has not changed for a while is kept; two seconds are the coarsest clock.
            time.sleep(2.1)
            records[n], workers[n] = measure_records(f"{scratch}/data", n), measure_workers(n)
        os.sched_setaffinity(0, processors)
        rates = caller_rates(scratch)
        draw(scratch, {"records": records, "workers": workers}, rates)
    print(f"how it grows, through a pipe; {platform.system()} {platform.release()}, {os.cpu_count()} processors")
    print_table("records", RECORDS, records)
    print_table("workers", WORKERS, workers)
    if rates:
        print("callers of the service at once, requests a second:")
        print("".join(f"{n:>10}" for n in rates))
        print("".join(f"{rate:10.0f}" for rate in rates.values()))


main()
