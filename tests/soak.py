# SPDX-License-Identifier: MIT
"""A service that is asked at random for a long time, beside a model of what it has been told.

    soak.py [--operations N] [--seed N]

One berth serve has runtimes in memory and in stores, inside it and in processes of their own, records that change on
disk, programs, and plugins that crash. Every thread below has runtimes of its own and knows what their answers must be:
what was accepted is there, in order, once, and no number is given twice. Meanwhile the configuration is read again, and
processes are killed. What the service takes of memory, descriptors and threads must be as much in the last quarter of
the operations as in the second. In the environment: what the tests have, see serve_abuse.py, srcdir and BERTH_SPEAKER.
"""
import argparse
import json
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from serve_abuse import BERTH, DIRS, PATIENCE, SPAWN, Client, post, until

KEEP = 24             # items of a transcript
WORKERS = 12          # of each runtime
# What may come and go with processes that just run or do not, and memory that is in pieces, however long it takes.
MEMORY_GROWS = 4096   # KiB
DESCRIPTORS_GROW = 32
THREADS_GROW = 12
# A machine that is slow must not look like a process that hangs.
TIMES = {"start_timeout_ms": 120000, "call_timeout_ms": 120000, "hang_timeout_ms": 300000}
FAILED = ("adapter_crashed", "adapter_timeout", "adapter_quarantined", "adapter_failed")


class Mistake(Exception):
    """An answer that the model does not know."""


def expect(condition, *what):
    if not condition:
        raise Mistake(*what)


def codes(answer):
    return [diagnostic["code"] for diagnostic in answer["diagnostics"]]


class Process:
    """What a process takes."""

    def __init__(self, pid):
        self.pid = pid

    def taken(self):
        with open("/proc/%d/status" % self.pid) as file:
            status = file.read()
        return (int(re.search(r"RssAnon:\s*(\d+)", status).group(1)), len(os.listdir("/proc/%d/fd" % self.pid)),
                int(re.search(r"Threads:\s*(\d+)", status).group(1)))

    def children(self):
        pids = []
        for task in os.listdir("/proc/%d/task" % self.pid):
            try:
                with open("/proc/%d/task/%s/children" % (self.pid, task)) as file:
                    pids += map(int, file.read().split())
            except FileNotFoundError:  # a thread that has ended
                pass
        return pids

    def child_with(self, name):
        """The child that has a file open; None while there is none."""
        for pid in self.children():
            try:
                if any(os.readlink("/proc/%d/fd/%s" % (pid, fd)).startswith(name)
                       for fd in os.listdir("/proc/%d/fd" % pid)):
                    return pid
            except (FileNotFoundError, PermissionError):
                pass
        return None


class Service:
    def __init__(self, scratch):
        self.path, self.data, self.scratch = scratch + "/s", scratch + "/data", scratch
        self.drop_ins = scratch + "/root" + os.environ["ADMIN_CONF_DIR"] + "/adapters.d"
        os.makedirs(self.drop_ins, 0o755)
        os.makedirs(self.data + "/pods")
        self.changes = threading.Lock()  # of the configuration: one at a time
        self.log, self.process = open(scratch + "/log", "w+b"), None

    def drop_in(self, name, settings):
        path = "%s/%s.json" % (self.drop_ins, name)
        with open(path + ".new", "w") as file:
            file.write(settings if isinstance(settings, str) else json.dumps(settings))
        os.chmod(path + ".new", 0o644)
        os.rename(path + ".new", path)

    def start(self):
        command = [BERTH, "serve", "--workspace-root", "/srv/harbour", "--data-dir", self.data, "--log-level", "warning",
                   "--config-root", self.scratch + "/root", "--socket", self.path, "--request-timeout", "300"]
        for name in DIRS:
            command += ["--adapter-dir", name]
        # Memory that is free in many arenas looks like memory that is lost.
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log,
                                        env=dict(os.environ, MALLOC_ARENA_MAX="1"))
        self.taker = Process(self.process.pid)
        until(lambda: os.path.exists(self.path) or self.process.poll() is not None, "the service")
        expect(self.process.poll() is None, self.text())

    def text(self):
        with open(self.log.name, errors="replace") as file:
            return file.read()[-4000:]

    def reload(self, taken):
        """Reads the configuration again, which is taken or refused."""
        client = connect(self.path)

        def counted():
            found = dict(re.findall(r'berth_reloads_total{result="(\w+)"} (\d+)', client.get("/metrics").body.decode()))
            return int(found["taken"]), int(found["refused"])
        before = counted()
        self.process.send_signal(signal.SIGHUP)
        until(lambda: counted() != before, "the reload")
        expect(counted() == (before[0] + taken, before[1] + (not taken)), "a reload", taken, before, counted())
        client.close()

    def end(self):
        self.process.terminate()
        status = self.process.wait(PATIENCE)
        expect(status == 0, "it ended with", status)


def connect(path):
    """Those who go away at once may leave a queue of them behind."""
    while True:
        try:
            return Client(path)
        except BlockingIOError:
            time.sleep(0.01)


class Asker:
    """A thread that asks: does one of its operations after the other, each as often as its weight says."""
    weights = {}

    def __init__(self, service, seed):
        self.service, self.random, self.client, self.n = service, random.Random(seed), None, 0

    def get(self, path):
        return self.ask("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path)

    def post(self, path, request):
        return self.ask(post(path, request if isinstance(request, str) else json.dumps(request)))

    def ask(self, text):
        if not self.client:
            self.client = connect(self.service.path)
        self.client.send(text)
        answer = self.client.answer()
        if answer.headers.get("connection") == "close" or self.random.random() < 0.01:
            self.client.close()
            self.client = None
        self.n += 1
        return answer

    def json(self, answer, status=200):
        expect(answer.status == status, answer.status, answer.body)
        return answer.json()

    def step(self):
        name = self.random.choices(list(self.weights), list(self.weights.values()))[0]
        getattr(self, name)()

    def finish(self):
        """Called once, at the end."""


class Runtime(Asker):
    """A runtime of the adapter embedded, and all that it has been told."""
    weights = {"input": 60, "transcript": 20, "events": 8, "look": 8, "batch": 4, "spawn": 3, "stop": 1, "blank": 1,
               "follow": 0.02}

    def __init__(self, service, seed, runtime_id, options=None, **drop_in):
        super().__init__(service, seed)
        self.id = runtime_id
        self.path = "/api/runtimes/%s/workers" % runtime_id
        self.settings = dict(drop_in, adapter="embedded", runtime_id=runtime_id,
                             options=dict(options or {}, keep_items=KEEP))
        service.drop_in(runtime_id, self.settings)
        self.forget()

    def forget(self):
        self.workers, self.last_event, self.cursor, self.expected = {}, 0, None, []

    # ---- The model ----

    def told(self, event_id, kind, worker_id, sequence=None):
        expect(event_id > self.last_event, "the id of an event was given before", event_id, self.last_event)
        self.last_event = event_id
        self.expected.append((event_id, kind, worker_id, sequence))

    def accepted(self, worker_id, kind, content, answer):
        worker = self.workers[worker_id]
        worker["n"] += 1
        expect(answer["transcript_sequence"] == worker["n"], answer, worker["n"])
        self.told(answer["event_id"], "input_accepted", worker_id, worker["n"])
        worker["items"] = (worker["items"] + [{"sequence": worker["n"], "role": kind, "content": content,
                                               "event_id": answer["event_id"]}])[-KEEP:]

    def any(self):
        return self.random.choice(list(self.workers)) if self.workers else None

    def text(self):
        return self.random.choice(("a", "\u00e4\u20ac\U0001f6a2", "\"\\\n", "line ")) * self.random.randint(1, 400)

    # ---- What is asked ----

    def spawn(self):
        if len(self.workers) == WORKERS:
            return
        answer = self.json(self.post(self.path, SPAWN))
        expect(answer["state"] == "accepted", answer)
        worker_id = answer["worker"]["worker_id"]
        expect(worker_id == "worker-%08x" % (len(self.workers) + 1), worker_id, len(self.workers))
        self.workers[worker_id] = {"n": 0, "items": [], "state": "running"}

    def request(self, worker_id):
        return {"kind": self.random.choice(("user", "system")), "content": self.text()}

    def input(self):
        worker_id = self.any()
        if not worker_id:
            return self.spawn()
        request = self.request(worker_id)
        answer = self.json(self.post("%s/%s/input" % (self.path, worker_id), request))
        if self.workers[worker_id]["state"] != "running":
            return expect(answer["state"] == "rejected", answer)
        expect(answer["state"] == "accepted", answer)
        self.accepted(worker_id, request["kind"], request["content"], answer)

    def blank(self):
        worker_id = self.any()
        if worker_id:
            answer = self.json(self.post("%s/%s/input" % (self.path, worker_id), {"content": " \n\u2003"}))
            expect(answer["state"] == "rejected" and codes(answer) == ["embedded_runtime_invalid_request"], answer)

    def batch(self):
        """Several inputs in one request, one of them unfit."""
        running = [worker_id for worker_id, worker in self.workers.items() if worker["state"] == "running"]
        if not running:
            return
        lines = []
        for n in range(self.random.randint(1, 20)):
            worker_id = self.random.choice(running)
            lines.append({"op": "send_input", "id": n, "runtime_id": self.id, "worker_id": worker_id,
                          "request": self.request(worker_id)})
        unfit = self.random.choice(("{", "[" * 500, '{"op":"send_input","op":"x"}', "\x01"))
        body = "\n".join([json.dumps(line) for line in lines] + [unfit]) + "\n"
        answers = [json.loads(line) for line in self.post("/api/batch", body).body.splitlines()]
        expect(len(answers) == len(lines) + 1 and "error" in answers[-1], answers)
        for line, answer in zip(lines, answers):
            expect(answer["id"] == line["id"] and answer["state"] == "accepted", answer)
            self.accepted(line["worker_id"], line["request"]["kind"], line["request"]["content"], answer)

    def transcript(self):
        worker_id = self.any()
        if not worker_id:
            return
        worker = self.workers[worker_id]
        start = self.random.choice((0, max(worker["n"] - KEEP // 2, 0), worker["n"]))
        limit = self.random.choice((3, 256))
        answer = self.json(self.get("%s/%s/transcript?start=%d&limit=%d" % (self.path, worker_id, start, limit)))
        expect(answer["state"] == "accepted" and answer["total_items"] == worker["n"], answer, worker["n"])
        items = [item for item in worker["items"] if item["sequence"] > start][:limit]
        expect(answer["items"] == items, answer["items"], items)

    def stop(self):
        worker_id = self.any()
        if not worker_id or self.random.random() < len(self.workers) / (WORKERS + 2):
            return
        was, mode = self.workers[worker_id], self.random.choice(("graceful", "force"))
        answer = self.json(self.post("%s/%s/stop" % (self.path, worker_id), {"mode": mode}))
        expect(answer["state"] == "accepted", answer)
        if was["state"] == "running":
            was["state"] = "stopped" if mode == "graceful" else "cancelled"

    def look(self):
        worker_id = self.any()
        if worker_id:
            answer = self.json(self.get("%s/%s" % (self.path, worker_id)))
            expect(answer["worker_id"] == worker_id and answer["state"] == self.workers[worker_id]["state"], answer)
        self.json(self.get("%s/worker-%08x" % (self.path, WORKERS + 1)), 404)

    def is_kept(self, event):
        _, kind, worker_id, sequence = event
        return kind != "input_accepted" or sequence > self.workers[worker_id]["n"] - KEEP

    def events(self):
        """Reads on: what came is what was done, and what is missing is no longer kept."""
        found = []
        while True:
            answer = self.json(self.get("/api/runtimes/%s/events?limit=100%s" % (
                self.id, "&cursor=" + self.cursor if self.cursor else "")))
            expect(answer["state"] == "accepted", answer)
            self.cursor = answer["next_cursor"]
            found += [(event["event_id"], event["kind"], event["worker_id"], event["transcript_sequence"])
                      for event in answer["items"]]
            if not answer["items"]:
                break
        ids = [event[0] for event in found]
        expect(ids == sorted(set(ids)), "the order of", ids)
        inputs = [event for event in found if event[1] == "input_accepted"]
        expect(set(inputs) <= set(self.expected), set(inputs) - set(self.expected))
        lost = set(filter(self.is_kept, self.expected)) - set(inputs)
        expect(not lost, "events that are lost", lost)
        self.expected = []

    def follow(self):
        self.events()
        follower = connect(self.service.path)
        follower.send("GET /api/runtimes/%s/events?follow=true&cursor=%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (
            self.id, self.cursor))
        self.input()
        if self.expected:
            wanted = b'"event_id":%d' % self.expected[-1][0]
            while wanted not in follower.buffer:
                expect(follower.more(), "a stream that ends", follower.buffer)
        follower.close()

    # ---- Once more ----

    def finish(self):
        listed = self.json(self.get("/api/hosts"))["items"]
        host, = [host["host_id"] for host in listed if host["runtime_id"] == self.id]
        answer = self.json(self.get("/api/hosts/%s/workers" % host))
        workers = [w for w in answer["items"] if w["runtime_id"] == self.id]
        expect([(w["worker_id"], w["state"]) for w in workers] ==
               [(worker_id, worker["state"]) for worker_id, worker in self.workers.items()], workers)
        for worker_id, worker in self.workers.items():
            answer = self.json(self.get("%s/%s/transcript?start=0&limit=256" % (self.path, worker_id)))
            expect(answer["items"] == worker["items"] and answer["total_items"] == worker["n"], answer, worker)


class Fleeting(Runtime):
    """Is replaced now and then by another instance, which knows of nothing."""
    weights = dict(Runtime.weights, replace=0.05)

    def replace(self):
        with self.service.changes:
            self.settings["options"]["keep_days"] = 1 - self.settings["options"].get("keep_days", 0)
            self.service.drop_in(self.id, self.settings)
            self.service.reload(True)
        old = self.cursor
        self.forget()
        if old:
            answer = self.json(self.get("/api/runtimes/%s/events?cursor=%s" % (self.id, old)))
            expect(codes(answer) == ["embedded_runtime_wrong_identity"], answer)


class Mortal(Runtime):
    """A store in a process that is killed: what was accepted is there, and what was not told may be."""
    weights = dict(Runtime.weights, kill=0.2, batch=0, follow=0)
    killed = None

    def ask(self, text):
        """Asks again until the process is there, where the question does not change anything."""
        while True:
            answer = super().ask(text)
            found = answer.json() if answer.body.startswith(b"{") else {}
            failed = [code for code in codes(found) if code in FAILED] if "diagnostics" in found else []
            if not failed or not text.startswith("GET /api/runtimes/"):
                return answer
            time.sleep(0.02)

    def look(self):
        """While the process is not there, a worker is unknown."""
        worker_id = self.any()
        if worker_id:
            self.json(self.get("%s/%s/transcript" % (self.path, worker_id)))
            answer = self.get("%s/%s" % (self.path, worker_id))
            expect(answer.status == 404 or answer.json()["state"] == self.workers[worker_id]["state"], answer.body)

    def kill(self):
        pid = self.child()
        if pid:
            os.kill(pid, signal.SIGKILL)
            self.killed = pid

    def child(self):
        return self.service.taker.child_with(self.settings["options"]["store"])

    def settle(self, doubtful):
        """After a change of which nothing is known: looks whether it was made."""
        for worker_id, kind, content in doubtful:
            start = self.workers[worker_id]["n"]
            answer = self.json(self.get("%s/%s/transcript?start=%d" % (self.path, worker_id, start)))
            expect(answer["state"] == "accepted" and len(answer["items"]) <= 1, answer)
            for item in answer["items"]:
                expect((item["role"], item["content"]) == (kind, content), item)
                self.accepted(worker_id, kind, content, dict(item, transcript_sequence=item["sequence"]))

    def input(self):
        worker_id = self.any()
        if not worker_id:
            return self.spawn()
        request = self.request(worker_id)
        answer = self.json(self.post("%s/%s/input" % (self.path, worker_id), request))
        if any(code in FAILED for code in codes(answer)):
            self.settle([(worker_id, request["kind"], request["content"])])
        elif self.workers[worker_id]["state"] != "running":
            expect(answer["state"] == "rejected", answer)
        else:
            expect(answer["state"] == "accepted", answer)
            self.accepted(worker_id, request["kind"], request["content"], answer)

    def spawn(self):
        if len(self.workers) == WORKERS:
            return
        answer = self.json(self.post(self.path, SPAWN))
        worker_id = "worker-%08x" % (len(self.workers) + 1)
        if answer["state"] == "accepted":
            expect(answer["worker"]["worker_id"] == worker_id, answer)
        else:
            expect(any(code in FAILED for code in codes(answer)), answer)
            if self.get("%s/%s/transcript" % (self.path, worker_id)).status == 404:
                return
        self.workers[worker_id] = {"n": 0, "items": [], "state": "running"}

    def blank(self):
        pass

    def stop(self):
        worker_id = self.any()
        if not worker_id or self.random.random() < 0.95:
            return
        answer = self.json(self.post("%s/%s/stop" % (self.path, worker_id), {"mode": "graceful"}))
        # It may be stopped also where that is not known; then it takes no input.
        while answer["state"] != "accepted":
            expect(any(code in FAILED for code in codes(answer)), answer)
            answer = self.json(self.post("%s/%s/stop" % (self.path, worker_id), {"mode": "graceful"}))
        self.workers[worker_id]["state"] = "stopped"

    def finish(self):
        until(lambda: self.child() not in (None, self.killed), "the process")
        super().finish()


class Records(Asker):
    """Records that change on disk, each change before the next question."""
    weights = {"good": 8, "moved": 2, "broken": 2, "gone": 4, "link": 1, "swap": 2, "look": 6}
    broken_as = {"local_pod_metadata_invalid": "{", "local_pod_workspace_root_missing": '{"worker_name":"x"}',
                 "local_pod_workspace_not_visible": '{"worker_name":"x","workspace_root":"/elsewhere"}'}

    def __init__(self, service, seed):
        super().__init__(service, seed)
        self.pods, self.known, self.host = service.data + "/pods", {}, None
        service.drop_in("local-pod", {})

    def path_of(self, name):
        return "%s/%s" % (self.pods, name)

    def write(self, name, text, in_place):
        path = self.path_of(name) + "/metadata.json"
        os.makedirs(self.path_of(name), exist_ok=True)
        with open(path if in_place else path + ".new", "w") as file:
            file.write(text)
        if not in_place:
            os.rename(path + ".new", path)

    def name(self):
        return "pod-%d" % self.random.randrange(40)

    def clear(self, name):
        path = self.path_of(name)
        if os.path.islink(path):
            os.unlink(path)
        elif os.path.isdir(path):
            shutil.rmtree(path)
        self.known.pop(name, None)

    def good(self):
        name, label = self.name(), "label %d" % self.n
        if os.path.islink(self.path_of(name)):
            self.clear(name)
        record = {"worker_name": label, "workspace_root": "/srv/harbour"}
        self.write(name, json.dumps(record), self.random.random() < 0.5)
        self.known[name] = ("label", label)
        self.check()

    def broken(self):
        if sum(what == "code" for what, _ in self.known.values()) >= 8:
            return
        name, code = self.name(), self.random.choice(list(self.broken_as))
        self.clear(name)
        self.write(name, self.broken_as[code], True)
        self.known[name] = ("code", code)
        self.check()

    def moved(self):
        """A directory is renamed, perhaps over an empty one."""
        name, other = self.name(), self.name()
        if name in self.known and name != other:
            self.clear(other)
            os.rename(self.path_of(name), self.path_of(other))
            self.known[other] = self.known.pop(name)
            self.check()

    def swap(self):
        """A record trades places with another one's by links."""
        name, other = self.name(), self.name()
        if name != other and {self.known.get(name, " ")[0], self.known.get(other, " ")[0]} == {"label"}:
            paths = [self.path_of(n) + "/metadata.json" for n in (name, other)]
            os.rename(paths[0], self.pods + "/.swap")
            os.rename(paths[1], paths[0])
            os.rename(self.pods + "/.swap", paths[1])
            self.known[name], self.known[other] = self.known[other], self.known[name]
            self.check()

    def gone(self):
        self.clear(self.name())
        self.check()

    def link(self):
        name = self.name()
        self.clear(name)
        os.symlink(self.path_of(self.random.choice(list(self.known) or ["."])), self.path_of(name))
        self.check()

    def look(self):
        listed = self.check()
        if listed:
            worker = self.random.choice(listed)
            answer = self.json(self.get("/api/runtimes/local-worker-runtime/workers/" + worker["worker_id"]))
            expect(answer == worker, answer, worker)

    def check(self):
        if not self.host:
            self.host, = [host["host_id"] for host in self.json(self.get("/api/hosts"))["items"]
                          if host["runtime_id"] == "local-worker-runtime"]
        answer = self.json(self.get("/api/hosts/%s/workers" % self.host))
        known = [self.known[name] for name in sorted(self.known)]
        expect([("label", worker["label"]) for worker in answer["items"]] == [k for k in known if k[0] == "label"],
               answer["items"], known)
        found = [code for code in codes(answer) if code.startswith("local_pod_")]
        expect(found == [code for what, code in known if what == "code"], found, known)
        return answer["items"]


class Unruly(Asker):
    """Processes that end whenever they are asked one thing, until they are in quarantine, and from there again."""
    weights = {"crash": 1, "ask": 4, "retry": 2}

    def __init__(self, service, seed):
        super().__init__(service, seed)
        service.drop_in("unruly", {"adapter": "unruly", "isolate": True, "isolation": dict(TIMES, deaths=3),
                                   "options": {"does": "send_input kill"}})
        service.drop_in("near", {"adapter": "process", "runtime_id": "near", "options": dict(
            TIMES, command=[os.environ["BERTH_SPEAKER"], "send_input", "exit"], deaths=3)})
        self.names = {"unruly": "first", "near": "w"}

    def pick(self):
        return self.random.choice(list(self.names.items()))

    def crash(self):
        name, worker = self.pick()
        answer = self.json(self.post("/api/runtimes/%s/workers/%s/input" % (name, worker), {"content": "x"}))
        expect(any(code in FAILED for code in codes(answer)), answer)

    def ask(self, text=None):
        if text:
            return super().ask(text)
        name, worker = self.pick()
        answer = self.get("/api/runtimes/%s/workers/%s" % (name, worker))
        expect(answer.status in (200, 404), answer.status, answer.body)
        time.sleep(0.01)

    def adapters(self):
        return {entry["name"]: entry for entry in self.json(self.get("/api/adapters"))["adapters"]}

    def retry(self):
        name, _ = self.pick()
        if self.adapters()[name]["state"] == "quarantined":
            expect(self.json(self.post("/api/adapters/%s/retry" % name, ""))["state"] == "accepted", name)
            until(lambda: self.adapters()[name]["state"] == "active", "the end of a quarantine")


class Echo(Asker):
    """A program in another language."""
    weights = {"input": 10, "transcript": 5}

    def __init__(self, service, seed):
        super().__init__(service, seed)
        service.drop_in("echo", {"adapter": "process", "runtime_id": "echo", "options": dict(
            TIMES, command=[sys.executable, os.path.realpath(os.environ["srcdir"]) + "/tests/sample/adapter.py"])})
        self.path, self.said = "/api/runtimes/echo/workers", {}

    def input(self):
        if len(self.said) < 5 or self.random.random() < 0.001:
            answer = self.json(self.post(self.path, SPAWN))
            expect(answer["state"] == "accepted" and answer["worker"]["worker_id"] not in self.said, answer)
            self.said[answer["worker"]["worker_id"]] = []
        worker_id = self.random.choice(list(self.said))
        said = self.said[worker_id]
        answer = self.json(self.post("%s/%s/input" % (self.path, worker_id), {"content": "%d" % self.n}))
        expect(answer["state"] == "accepted" and answer["transcript_sequence"] == len(said) + 1, answer)
        said += [str(self.n - 1), "You said: %d" % (self.n - 1)]

    def transcript(self):
        if self.said:
            worker_id, said = self.random.choice(list(self.said.items()))
            start = max(len(said) - 10, 0)
            answer = self.json(self.get("%s/%s/transcript?start=%d" % (self.path, worker_id, start)))
            expect([item["content"] for item in answer["items"]] == said[start:], answer, said[start:])


class Onlooker(Asker):
    """Asks about everything, also what nobody answers, and has the configuration read again."""
    weights = {"lists": 20, "nonsense": 10, "cut": 3, "reload": 0.3, "spoil": 0.1}

    def __init__(self, service, seed):
        super().__init__(service, seed)
        self.odd = False

    def lists(self):
        for path in ("/api/runtimes", "/api/workers", "/api/hosts", "/api/config", "/api/adapters", "/readyz"):
            self.json(self.get(path))
        expect(self.get("/metrics").status == 200)

    def nonsense(self):
        status, path = self.random.choice(((404, "/api/nowhere"), (404, "/api/runtimes/none/workers/none"),
                                           (400, "/api/workers?limit=x"), (400, "/api/hosts/%00/workers")))
        expect(self.get(path).status == status, path)
        self.json(self.post("/api/runtimes/held/workers", "[" * 1000), 400)

    def cut(self):
        client = connect(self.service.path)
        client.send(self.random.choice((
            "GET", "POST /api/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nx",
            "GET /api/workers HTTP/1.1\r\nHost: localhost\r\n\r\n")))
        client.close()
        self.n += 1

    def reload(self):
        with self.service.changes:
            self.odd = not self.odd
            self.service.drop_in("remote-reserved", {"enabled": self.odd})
            self.service.drop_in("more", {"adapter": "embedded", "runtime_id": "more", "isolate": True,
                                          "enabled": self.odd})
            self.service.reload(True)
        self.n += 1

    def spoil(self):
        with self.service.changes:
            self.service.drop_in("local-pod", self.random.choice((
                "{", '{"options":{"nosuch":1}}', '{"adapter":"nosuch"}')))
            self.service.reload(False)
            self.service.drop_in("local-pod", {})
            self.service.reload(True)
        self.n += 1


def drive(asker, state):
    try:
        while not state["over"]:
            asker.step()
    except Exception as error:  # whatever it is, it is what was looked for
        state["over"] = True
        state["mistakes"].append("%s: %s: %.1500s" % (type(asker).__name__, type(error).__name__, error))


def compare(what, samples):
    """Whether the last quarter of the samples is as the second one. Each has memory, descriptors and threads."""
    quarter = len(samples) // 4
    fine = True
    # A sanitizer keeps what is given back.
    with open(BERTH, "rb") as file:
        memory = sys.maxsize if re.search(b"__[at]san_init", file.read()) else MEMORY_GROWS
    bounds = (("memory, KiB", memory), ("descriptors", DESCRIPTORS_GROW), ("threads", THREADS_GROW))
    for i, (name, bound) in enumerate(bounds):
        before, after = (statistics.median(sample[i] for sample in part)
                         for part in (samples[quarter:2 * quarter], samples[-quarter:]))
        flat = after - before <= bound
        fine &= flat
        print("%s - %s: %s %d, then %d" % ("ok" if flat else "not ok", what, name, before, after))
    return fine


def soak(service, operations, seed):
    stores = [service.scratch + "/" + name for name in ("store", "apart")]
    askers = [Fleeting(service, seed, "fleeting"), Runtime(service, seed + 1, "held"),
              Runtime(service, seed + 2, "shut", isolate=True, isolation=TIMES),
              Runtime(service, seed + 3, "kept", {"store": stores[0], "durability": "relaxed"}),
              Mortal(service, seed + 4, "mortal", {"store": stores[1], "durability": "relaxed"}, isolate=True,
                     isolation=dict(TIMES, deaths=0)),
              Records(service, seed + 5), Unruly(service, seed + 6), Echo(service, seed + 7),
              Onlooker(service, seed + 8)]
    state, samples = {"over": False, "mistakes": []}, []
    service.drop_in("remote-reserved", {"enabled": False})
    service.start()
    threads = [threading.Thread(target=drive, args=(asker, state), daemon=True) for asker in askers]
    for thread in threads:
        thread.start()
    began = time.monotonic()

    def n_done():
        return sum(asker.n for asker in askers)
    every = max(operations // 400, 1)
    while n_done() < operations and not state["over"] and service.process.poll() is None:
        if n_done() >= every * len(samples):
            samples.append(service.taker.taken())
        time.sleep(0.01)
    took = time.monotonic() - began
    state["over"] = True
    for thread in threads:
        thread.join()
    mistakes = state["mistakes"]
    if not mistakes:
        try:
            for asker in askers:
                asker.finish()
            service.end()
            # What lasts is there for the next one.
            service.start()
            for asker in askers[3:5]:
                asker.client = None
                asker.finish()
            service.end()
        except Exception as error:
            mistakes.append("at the end: %s: %.1500s" % (type(error).__name__, error))
    for mistake in mistakes:
        print("#", mistake.replace("\n", "\n# "))
    if mistakes:
        print("#", service.text().replace("\n", "\n# "))
    print("%s - %d operations in %d s, seed %d, answered as they should be" % (
        "not ok" if mistakes else "ok", n_done(), took, seed))
    return not mistakes and compare("the service", samples)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--operations", type=int, default=300000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    service = Service(tempfile.mkdtemp(prefix="berth-soak-"))
    try:
        sys.exit(not soak(service, arguments.operations, arguments.seed))
    finally:
        if service.process and service.process.poll() is None:
            service.process.kill()
            service.process.wait()
        shutil.rmtree(service.scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
