#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How what berth does grows with the number of records and of embedded workers, asked
through berth batch, and with the callers of berth serve. Prints tables; with gnuplot also
draws growth.svg into the current directory. --quick: up to 10,000, and shortly.
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
SIZES = [100, 1000, 10000] if QUICK else [100, 1000, 10000, 100000]
CALLERS = [1, 2, 8] if QUICK else [1, 2, 3, 4, 5, 6, 7, 8]
SAMPLES = 3 if QUICK else 9
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
        line, out, answer = json.dumps(request).encode() + b"\n", self.process.stdout.fileno(), []
        begin = time.perf_counter()
        os.write(self.process.stdin.fileno(), line)
        while not answer or not answer[-1].endswith(b"\n"):
            answer.append(os.read(out, 1 << 20))
            if not answer[-1]:
                sys.exit("growth: berth batch ended without an answer")
        return b"".join(answer), time.perf_counter() - begin

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


def record_times(data_dir, n):
    """The first list, one again, the first look-up, one again; in seconds."""
    fresh = Batch(data_dir)
    first = fresh.list(n)
    worker = json.loads(fresh.ask({"op": "list_workers", "limit": 1})[0])["items"][0]["worker_id"]
    # Until all that is to be watched is: an eighth and more of the records a request, once that pays.
    for _ in range(12 + 4096 // n):
        fresh.list(n)
    again = median(lambda: fresh.list(n))
    look_up = median(lambda: fresh.look_up("local-worker-runtime", worker), 1000)
    fresh.close()
    fresh = Batch(data_dir)
    first_look_up = fresh.look_up("local-worker-runtime", worker)
    fresh.close()
    return first, again, first_look_up, look_up


def worker_times(n):
    """A spawn, the list, a look-up, in seconds."""
    batch = Batch()
    spawn = median(lambda: batch.ask(SPAWN)[1], n)
    times = spawn, median(lambda: batch.list(n)), median(
        lambda: batch.look_up("embedded-worker-runtime", f"worker-{n // 2:08x}"), 1000)
    batch.close()
    return times


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


PLOT = """
set terminal svg size 1000,420 font "sans,11" noenhanced
set output "growth.svg"
set multiplot layout 1,2
set logscale xy
set format x "10^%T"
set key top left
set xlabel "records, or workers"
set ylabel "milliseconds"
plot "growth.tsv" using 1:($2*1e3) with linespoints title "records: first list", \\
  "" using 1:($3*1e3) with linespoints title "list again", "" using 1:($4*1e3) with linespoints title "first look-up", \\
  "" using 1:($5*1e3) with linespoints title "look-up again", "" using 1:($7*1e3) with linespoints title "workers: list", \\
  "" using 1:($8*1e3) with linespoints title "look-up", "" using 1:($6*1e3) with linespoints title "spawn"
"""
PLOT_CALLERS = """
unset logscale
set format x "%g"
set xlabel "callers of the service at once"
set ylabel "requests a second"
set yrange [0:*]
plot "callers.tsv" using 1:2 with linespoints notitle
"""


def draw(scratch, times, rates):
    if not shutil.which("gnuplot"):
        print("growth: gnuplot is missing, so nothing is drawn")
        return
    for name, rows in (("growth", times), ("callers", {n: (rate,) for n, rate in rates.items()})):
        with open(f"{scratch}/{name}.tsv", "w", encoding="ascii") as file:
            for n, row in rows.items():
                print(n, *row, sep="\t", file=file)
    subprocess.run(["gnuplot"], input=PLOT + (PLOT_CALLERS if rates else ""),
                   text=True, check=True, cwd=scratch)
    shutil.copy(f"{scratch}/growth.svg", "growth.svg")


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("growth: terminated"))
    times = {}
    with tempfile.TemporaryDirectory(prefix="berth-bench-") as scratch:
        n_written = 0
        for n in SIZES:
            for i in range(n_written, n):
                write_record(f"{scratch}/data", i)
            n_written = n
            # Only what has not changed for a while is kept; two seconds are the coarsest clock.
            time.sleep(2.1)
            times[n] = record_times(f"{scratch}/data", n) + worker_times(n)
        rates = caller_rates(scratch)
        draw(scratch, times, rates)
    print(f"how it grows, through a pipe; {platform.system()} {platform.release()}, {os.cpu_count()} processors")
    print(f"{'':>8}{'records:':>12}{'list':>12}{'first':>12}{'look-up':>12}{'workers:':>12}{'':>12}{'look-up':>12}")
    print(f"{'n':>8}{'first list':>12}{'again':>12}{'look-up':>12}{'again':>12}{'spawn':>12}{'list':>12}{'again':>12}")
    for n, row in times.items():
        print(f"{n:8,}" + "".join(f"{s * 1e3:9.2f} ms" if s >= 1e-3 else f"{s * 1e6:9.2f} us" for s in row))
    if rates:
        print("callers of the service at once, requests a second:")
        print("".join(f"{n:>10}" for n in rates))
        print("".join(f"{rate:10.0f}" for rate in rates.values()))


main()
