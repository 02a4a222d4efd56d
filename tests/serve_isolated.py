# SPDX-License-Identifier: MIT
"""Processes of their own behind berth serve: quarantine, reloading, and their end.

Each test is a method of Isolated, its name the sentence that is printed; what they share is in serve_abuse.py. In the
environment beside what that wants: BERTH_SPEAKER, a program that is an adapter.
"""
import os
import re
import shutil
import signal
import subprocess
import time

import serve_abuse
from serve_abuse import BERTH, PATIENCE, SPAWN, Tests, main, post, until

UNRULY = os.environ["BERTH_FIXTURE_DIR"] + "/unruly.so"
EMBEDDED = "/api/runtimes/embedded-worker-runtime/workers"


def unruly(does="", **isolation):
    return {"adapter": "unruly", "isolate": True, "isolation": isolation, "options": {"does": does}}


def program(runtime_id, *arguments, **options):
    return {"adapter": "process", "runtime_id": runtime_id,
            "options": dict(options, command=[os.environ["BERTH_SPEAKER"], *arguments])}


def state_of(pid):
    """As in proc(5); None where it has gone altogether."""
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def is_alive(pid):
    return state_of(pid) not in (None, "Z", "X")


class Isolated(Tests):
    # ---- How things stand ----

    def adapters(self):
        return {entry["name"]: entry for entry in self.service.get("/api/adapters").json()["adapters"]}

    def state(self, name):
        return self.adapters()[name]["state"]

    def berth(self, *arguments):
        run = subprocess.run([BERTH, "--connect", self.service.path, *arguments], capture_output=True, text=True,
                             timeout=PATIENCE)
        return run.returncode, run.stdout, run.stderr

    def hosts(self, runtime_id):
        return [host["host_id"] for host in self.service.get("/api/hosts").json()["items"]
                if host["runtime_id"] == runtime_id]

    def children(self):
        pids = []
        for task in os.listdir("/proc/%d/task" % self.service.process.pid):
            try:
                with open("/proc/%d/task/%s/children" % (self.service.process.pid, task)) as file:
                    pids += map(int, file.read().split())
            except (FileNotFoundError, ProcessLookupError):
                pass  # that thread has just ended
        return pids

    def quarantine(self):
        """Has the instance unruly killed until that is enough."""
        def enough():
            self.service.get("/api/workers")
            return self.state("unruly") == "quarantined"
        until(enough, "the quarantine")
        return self.adapters()["unruly"]["quarantine"]

    # ---- Quarantine ----

    def what_keeps_dying_is_in_quarantine_until_it_is_retried(self):
        service = self.serve(adapters=None, drop_ins=[("unruly", unruly("list_workers kill", deaths=2))])
        service.open_gate()
        assert self.adapters()["unruly"]["quarantine"] is None
        began = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() - 1))
        found = self.quarantine()
        assert found["deaths"] == 2 and found["reason"] == "the process was killed by SIGKILL", found
        assert began <= found["since"] <= time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time())), found
        failure, = self.adapters()["unruly"]["failures"]
        assert failure["code"] == "quarantined" and found["since"] in failure["found"], failure
        assert "it ended 2 times" in failure["found"] and found["reason"] in failure["found"], failure
        status, table, _ = self.berth("adapters")
        assert status == 0 and re.search(r"^unruly +quarantined ", table, re.M), table
        assert found["since"] in " ".join(table.split()) and found["reason"] in " ".join(table.split()), table
        status, _, words = self.berth("check")
        assert status == 3 and "unruly" in words and "quarantined" in words, (status, words)
        metrics = service.get("/metrics").body
        assert b'berth_adapter_state{adapter="unruly",state="quarantined"} 1\n' in metrics
        assert b'berth_adapter_state{adapter="unruly",state="active"} 0\n' in metrics
        # The others are served, and say what is missing.
        answer = service.get("/api/workers").json()
        assert answer["items"][0]["worker_id"] == "behind-the-gate", answer
        assert [d["code"] for d in answer["diagnostics"]] == ["adapter_quarantined"], answer

        service.reload()
        assert self.adapters()["unruly"]["quarantine"] == found
        service.drop_in("another", program("another"))
        service.drop_in("embedded", {"runtime_id": "other"})
        service.reload()
        assert self.adapters()["unruly"]["quarantine"] == found and self.state("another") == "active"

        status, words, _ = self.berth("adapters", "retry", "unruly")
        assert status == 0 and "accepted" in words, (status, words)
        until(lambda: self.state("unruly") == "active", "the end of the quarantine")
        until(lambda: self.hosts("unruly"), "the process")
        assert self.adapters()["unruly"]["quarantine"] is None and self.adapters()["unruly"]["failures"] == []
        status, _, _ = self.berth("adapters", "retry", "unruly")
        assert status == 1
        # It has as many ends again.
        assert self.quarantine()["deaths"] == 2

    def what_is_required_and_in_quarantine_is_told_by_the_exit_status(self):
        self.serve(adapters=None, drop_ins=[("unruly", dict(unruly("list_workers exit", deaths=1), required=True))])
        self.service.open_gate()
        assert self.berth("adapters")[0] == 0
        self.quarantine()
        assert self.berth("adapters")[0] == 3
        # It does not stand in the way of other changes.
        self.service.drop_in("embedded", {"runtime_id": "other"})
        self.service.reload()
        assert self.service.logged("^berth: reload: 4 of 4") and self.berth("adapters")[0] == 3

    def the_retry_of_what_is_not_there_is_refused(self):
        self.serve()
        status, _, words = self.berth("adapters", "retry", "nosuch")
        assert status == 3 and "unknown_adapter" in words, (status, words)
        for name in ("", "../config", "a b"):
            status, _, words = self.berth("adapters", "retry", name)
            assert status == 2 and "a name of" in words, (status, words)
        assert self.berth("adapters", "retry")[0] == 2
        run = subprocess.run([BERTH, "adapters", "retry", "embedded"], capture_output=True, text=True, timeout=PATIENCE)
        assert run.returncode == 2 and "nothing to retry" in run.stderr, run.stderr
        assert self.service.get("/api/adapters/embedded/retry").status == 405

    def a_program_is_in_quarantine_until_its_file_changes(self):
        own = self.scratch + "/speaker"
        shutil.copy(os.environ["BERTH_SPEAKER"], own)
        settings = program("near", "hello", "exit", deaths=2)
        settings["options"]["command"][0] = own
        self.serve(adapters=None, drop_ins=[("near", settings)])
        until(lambda: self.state("near") == "quarantined", "the quarantine")
        assert self.adapters()["near"]["quarantine"]["reason"] == "the process ended with status 3"
        with open(own + ".new", "w") as file:
            file.write('#!/bin/sh\nexec "%s"\n' % os.environ["BERTH_SPEAKER"])
        os.chmod(own + ".new", 0o755)
        os.rename(own + ".new", own)
        until(lambda: self.state("near") == "active", "the end of the quarantine")
        until(lambda: self.service.get("/api/runtimes/near/workers/w").status == 200, "the program")

    def a_plugin_is_in_quarantine_until_a_reload_finds_another_file(self):
        own = self.scratch + "/plugins"
        os.mkdir(own)
        shutil.copy(UNRULY, own)
        serve_abuse.DIRS.insert(0, own)
        try:
            service = self.serve(adapters=None, drop_ins=[("unruly", unruly("list_workers segv", deaths=1))])
        finally:
            serve_abuse.DIRS.pop(0)
        service.open_gate()
        found = self.quarantine()
        service.reload()
        assert self.adapters()["unruly"]["quarantine"] == found
        shutil.copy(UNRULY, own + "/new")
        os.rename(own + "/new", own + "/unruly.so")
        service.reload()
        assert self.state("unruly") == "active"
        until(lambda: self.hosts("unruly"), "the process")
        assert self.adapters()["unruly"]["file"] == own + "/unruly.so"

    # ---- Reloading ----

    def reloading_keeps_the_process_of_what_has_not_changed(self):
        service = self.serve(adapters=None, drop_ins=[("unruly", unruly())])
        service.drop_in("embedded", {"isolate": True})
        service.reload()
        service.open_gate()
        client = service.client()
        client.send(post(EMBEDDED, SPAWN))
        assert client.answer().json()["state"] == "accepted"
        before, process = set(self.children()), self.hosts("unruly")
        assert len(before) == 2 and process
        service.drop_in("remote-reserved", {"enabled": False})
        service.reload()
        assert set(self.children()) == before and self.hosts("unruly") == process
        assert service.get(EMBEDDED + "/worker-00000001").status == 200
        # What is said of the isolation counts as well as the options.
        service.drop_in("embedded", {"isolate": True, "isolation": {"files": 64}})
        service.reload()
        assert service.get(EMBEDDED + "/worker-00000001").status == 404 and self.hosts("unruly") == process
        service.drop_in("embedded", {"isolate": False})
        service.reload()
        assert service.get(EMBEDDED + "/worker-00000001").status == 404
        until(lambda: len(self.children()) == 1 and set(self.children()) < before, "the end of the other")

    # ---- Ends ----

    def all_processes_end_with_a_host_that_is_killed(self):
        service = self.serve(adapters=None, drop_ins=[
            ("unruly", unruly()), ("embedded2", {"adapter": "embedded", "runtime_id": "e", "isolate": True}),
            ("hangs", dict(unruly("list_workers hang", call_timeout_ms=1), runtime_id="hangs")),
            ("near", program("near")),
            ("deaf", program("deaf", "list_hosts", "hang", call_timeout_ms=1))])
        service.open_gate()
        until(lambda: len(self.children()) == 5, "the processes")
        service.get("/api/workers")
        service.get("/api/hosts")
        pids = self.children()
        assert len(pids) == 5 and all(map(is_alive, pids))
        service.process.kill()
        assert service.process.wait(PATIENCE) == -signal.SIGKILL
        until(lambda: not any(map(is_alive, pids)), "the end of " + str(pids))
        self.service = None

    def a_group_of_processes_ends_with_the_host(self):
        note = self.scratch + "/pid"
        service = self.serve(adapters=None, drop_ins=[
            ("unruly", unruly("list_workers leave", environment={"UNRULY_FILE": note}))])
        service.open_gate()
        service.get("/api/workers")
        until(lambda: os.path.exists(note) and open(note).read().endswith("\n"), "what is left behind")
        pid = int(open(note).read())
        assert is_alive(pid)
        service.end()
        until(lambda: not is_alive(pid), "the end of %d" % pid)


if __name__ == "__main__":
    main(Isolated)
