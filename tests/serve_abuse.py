# SPDX-License-Identifier: MIT
"""berth serve under clients that no library would be, and under a service manager.

Each test is a method of Tests, its name the sentence that is printed. In the environment: BERTH, BERTH_ADAPTER_DIR,
BERTH_FIXTURE_DIR. Only the standard library is used.
"""
import json
import os
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

BERTH = os.environ["BERTH"]
DIRS = [os.environ["BERTH_ADAPTER_DIR"], os.environ["BERTH_FIXTURE_DIR"]]
PATIENCE = 120  # seconds, after which a test has failed


def until(condition, what):
    """Waits for a condition; it is an error that it does not come."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("waited in vain for " + what)
        time.sleep(0.01)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def kind(self):
        return self.json()["error"]["kind"]


class Client:
    """A connection, and answers read from it byte by byte as they come."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)  # while it has no timeout: a full queue is waited for then
        self.sock.settimeout(PATIENCE)
        self.buffer = b""

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode())

    def get(self, path, *headers):
        self.send("GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n" % (path, "".join(h + "\r\n" for h in headers)))
        return self.answer()

    def more(self):
        try:
            data = self.sock.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            data = b""
        self.buffer += data
        return bool(data)

    def take(self, n):
        while len(self.buffer) < n:
            if not self.more():
                raise EOFError(self.buffer)
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def line(self):
        while b"\r\n" not in self.buffer:
            if not self.more():
                raise EOFError(self.buffer)
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line.decode()

    def answer(self):
        status = int(self.line().split(" ")[1])
        headers = {}
        while line := self.line():
            key, value = line.split(":", 1)
            headers[key.lower()] = value.strip()
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self.line(), 16):
                body += self.take(size)
                self.line()
            self.line()
        else:
            body = self.take(int(headers.get("content-length", 0)))
        return Answer(status, headers, body)

    def closed(self):
        """Reads to the end, and gives what came."""
        while self.more():
            pass
        return self.buffer

    def close(self):
        self.sock.close()


class Service:
    def __init__(self, scratch, *options, environment=None, adapters="remote-reserved,embedded,gate", inherit=None,
                 drop_ins=()):
        self.scratch, self.path = scratch, scratch + "/s"
        self.gate = scratch + "/gate"
        for suffix in ("", ".inside", ".closed"):
            if os.path.exists(self.gate + suffix):
                os.unlink(self.gate + suffix)
        self.config = scratch + "/root"
        self.drop_ins = self.config + os.environ["ADMIN_CONF_DIR"] + "/adapters.d"
        shutil.rmtree(self.config, ignore_errors=True)
        os.makedirs(self.drop_ins, 0o755)
        self.drop_in("gate", {"adapter": "gated", "options": {"gate": self.gate}})
        if adapters == "one":
            self.drop_in("one", {"adapter": "gated-one", "options": {"gate": self.gate}})
        self.drop_in("embedded", {})
        self.drop_in("remote-reserved", {})
        for name, settings in drop_ins:
            self.drop_in(name, settings)
        command = [BERTH, "serve", "--workspace-root", "/srv/harbour", "--data-dir", "", "--config-root", self.config]
        for name in DIRS:
            command += ["--adapter-dir", name]
        if not inherit:
            command += ["--socket", self.path]
        if adapters:
            command += ["--adapters", adapters]
        # A machine that is slow must not look like a client that is.
        if "--request-timeout" not in options:
            command += ["--request-timeout", "300"]
        self.log = open(scratch + "/log", "w+b")
        clean = {k: v for k, v in os.environ.items() if k not in ("NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID")}
        clean.update(environment or {})

        descriptors = [inherit.fileno()] if inherit else []
        if inherit:
            # Its own pid has to be in the environment, which a shell in its place can put there.
            command = ["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3<&%d' % inherit.fileno(), "sh"] + command
        self.process = subprocess.Popen(command + list(options), stderr=self.log, stdout=self.log, env=clean,
                                        pass_fds=descriptors)
        until(lambda: self.logged("serving") or self.process.poll() is not None, "the service")
        if self.process.poll() is not None:
            raise AssertionError(self.text())

    def drop_in(self, name, settings):
        path = "%s/%s.json" % (self.drop_ins, name)
        with open(path + ".new", "w") as file:
            file.write(settings if isinstance(settings, str) else json.dumps(settings))
        os.chmod(path + ".new", 0o644)
        os.rename(path + ".new", path)

    def text(self):
        with open(self.log.name) as file:
            return file.read()

    def logged(self, pattern):
        return re.search(pattern, self.text(), re.M)

    def client(self):
        return Client(self.path)

    def get(self, path):
        client = self.client()
        try:
            return client.get(path)
        finally:
            client.close()

    def n_inside(self):
        return os.path.getsize(self.gate + ".inside") if os.path.exists(self.gate + ".inside") else 0

    def open_gate(self):
        open(self.gate, "w").close()

    def reload(self):
        n = len(re.findall("^berth: reload:", self.text(), re.M))
        self.process.send_signal(signal.SIGHUP)
        until(lambda: len(re.findall("^berth: reload:", self.text(), re.M)) > n, "the reload")

    def rss(self):
        with open("/proc/%d/status" % self.process.pid) as file:
            return int(re.search(r"VmRSS:\s*(\d+)", file.read()).group(1))

    def end(self, expected=0):
        if self.process.poll() is None:
            self.open_gate()
            self.process.terminate()
        status = self.process.wait(PATIENCE)
        self.log.close()
        assert status == expected, "it ended with %s: %s" % (status, self.text())


SPAWN = '{"intent":{"kind":"workspace_companion"},"acceptance":{"kind":"run_accepted","expected_segments":0}}'
GET = "GET /api/runtimes HTTP/1.1\r\nHost: localhost\r\n\r\n"
WORKERS = "/api/workers"


def post(path, body):
    return "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (path, len(body), body)


class Tests:
    def __init__(self, scratch):
        self.scratch = scratch

    def serve(self, *options, **more):
        self.service = Service(self.scratch, *options, **more)
        return self.service

    # ---- Requests in pieces, and in heaps ----

    def pipelined_requests_are_answered_in_order(self):
        client = self.serve().client()
        client.send(GET + "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + GET + post("/api/batch", "x") + GET)
        bodies = [client.answer() for _ in range(5)]
        assert [b.status for b in bodies] == [200] * 5
        assert bodies[1].body == b'{"status":"ok"}' and b"bad_request" in bodies[3].body
        assert bodies[0].body == bodies[2].body == bodies[4].body

    def a_thousand_pipelined_requests_are_answered(self):
        client = self.serve().client()
        threading.Thread(target=client.send, args=(GET * 1000,)).start()
        for _ in range(1000):
            assert client.answer().status == 200

    def a_client_that_closes_its_half_is_answered(self):
        service = self.serve()
        client = service.client()
        client.send(GET)
        client.sock.shutdown(socket.SHUT_WR)
        assert client.answer().status == 200 and client.closed() == b""

    def also_where_the_answer_takes_its_time(self):
        service = self.serve()
        client = service.client()
        client.send("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % WORKERS)
        client.sock.shutdown(socket.SHUT_WR)
        until(service.n_inside, "the call")
        service.open_gate()
        answer = client.answer()
        assert answer.status == 200 and answer.json()["items"][-1]["worker_id"] == "behind-the-gate"

    def a_request_that_comes_byte_by_byte_is_answered(self):
        client = self.serve().client()
        for c in post("/api/batch", '{"op":"list_hosts"}'):
            client.send(c)
        assert client.answer().status == 200

    def a_client_that_goes_away_takes_nothing_with_it(self):
        service = self.serve()
        for text in ("", "GET", GET, post("/api/batch", "{}\n" * 100000)[:-5], post("/api/batch", "{}\n" * 100000),
                     "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % WORKERS):
            client = service.client()
            client.send(text)
            client.close()
        service.open_gate()
        assert service.get("/api/runtimes").status == 200
        until(lambda: b"\nberth_connections 1\n" in service.get("/metrics").body, "the connections to be closed")

    # ---- Requests that are none ----

    def what_cannot_be_read_is_refused_in_json_or_not_at_all(self):
        service = self.serve("--request-timeout", "1")
        for text in ("\r\n\r\n\r\nx", "GARBAGE\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET / HTTP/1.1 x\r\n\r\n",
                     "GET / http/1.1\r\nHost: x\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x02\x00\x01",
                     "GET /api/runtimes HTTP/1.1\r\nno colon\r\nHost: localhost\r\n\r\n",
                     "GET /api/runtimes HTTP/0.9\r\nHost: localhost\r\n\r\n",
                     "GET * HTTP/1.1\r\nHost: localhost\r\n\r\n", "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
                     "POST /api/batch HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                     "POST /api/batch HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
                     "POST /api/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
                     "POST /api/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1x\r\n\r\n"):
            client = service.client()
            client.send(text)
            client.sock.shutdown(socket.SHUT_WR)
            data = client.closed()
            assert b"<html" not in data.lower() and data.count(b"HTTP/1.") <= 1, (text, data)
            if data:
                head, body = data.split(b"\r\n\r\n", 1)
                assert b"application/json" in head and json.loads(body)["error"]["kind"], (text, data)
                assert 400 <= int(head.split(b" ")[1]) <= 505, (text, data)

    def a_body_whose_length_could_be_two_is_refused(self):
        service = self.serve()
        for headers in ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "Content-Length: 5\r\nContent-Length: 5\r\n",
                        "Content-Length: 5\r\nContent-Length: 6\r\n", "Transfer-Encoding: gzip, chunked\r\n",
                        "Transfer-Encoding: identity\r\n", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                        "Host: localhost\r\n"):
            client = service.client()
            client.send("POST /api/batch HTTP/1.1\r\nHost: localhost\r\n%s\r\n0\r\n\r\n%s" % (headers, GET))
            answer = client.answer()
            assert answer.status == 400 and answer.kind() == "bad_request", (headers, answer.body)
            assert client.closed() == b"", headers

    def a_target_may_name_the_host(self):
        client = self.serve().client()
        client.send("GET http://localhost/api/runtimes HTTP/1.1\r\nHost: localhost\r\n\r\n"
                    "GET http://evil.example/api/runtimes HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.answer().status == 200 and client.answer().kind() == "forbidden"

    def http_1_0_needs_no_host(self):
        client = self.serve().client()
        client.send("GET /api/runtimes HTTP/1.0\r\n\r\n")
        assert client.answer().status == 200 and client.closed() == b""
        client = self.service.client()
        client.send("GET /api/runtimes HTTP/1.1\r\n\r\n")
        assert client.answer().kind() == "bad_request"
        client = self.service.client()
        client.send("POST /api/batch HTTP/1.0\r\nContent-Length: 1\r\n\r\nx")
        assert b"\r\n\r\n{\"error\"" in client.closed()

    # ---- Slow clients ----

    def who_sends_nothing_is_disconnected(self):
        client = self.serve("--request-timeout", "1").client()
        assert client.closed() == b""

    def who_sends_a_head_too_slowly_is_disconnected(self):
        client = self.serve("--request-timeout", "1").client()
        self.dribble(client, GET[:-2] + "X: " + "x" * 3000)
        assert b"200 OK" not in client.closed()

    def who_sends_a_body_too_slowly_is_disconnected(self):
        client = self.serve("--request-timeout", "1").client()
        client.send("POST /api/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n")
        self.dribble(client, "x" * 5000)
        assert b"200 OK" not in client.closed()

    def who_reads_too_slowly_is_disconnected(self):
        service = self.serve("--request-timeout", "5")
        client = service.client()
        client.send(post("/api/batch", '{"op":"list_runtimes"}\n' * 20000))
        before = service.rss()
        until(lambda: service.logged('POST /api/batch: 200'), "the end of it")
        assert service.rss() < before + 20000, "%d KiB, then %d" % (before, service.rss())

    @staticmethod
    def dribble(client, text):
        try:
            for c in text:
                client.send(c)
                time.sleep(0.02)
        except (BrokenPipeError, ConnectionResetError):
            return
        raise AssertionError("it was all read")

    def a_thousand_idle_and_a_hundred_slow_ones_are_in_nobodys_way(self):
        service = self.serve()
        # A service takes three quarters of the open files that it may have.
        n_idle = min(1000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] * 3 // 4 - 150)
        idle = [service.client() for _ in range(n_idle)]
        slow = [service.client() for _ in range(100)]
        busy = True

        def write_slowly():
            while busy:
                for client in slow:
                    client.send("x")
                time.sleep(0.05)

        for client in slow:
            client.send("POST /api/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
        thread = threading.Thread(target=write_slowly)
        thread.start()
        client = service.client()
        statuses = [client.get("/api/runtimes").status for _ in range(2000)]
        statuses += [service.get("/api/runtimes").status for _ in range(200)]
        busy = False
        thread.join()
        assert statuses == [200] * 2200
        until(lambda: b"\nberth_connections %d\n" % (n_idle + 101) in client.get("/metrics").body, "just so many connections")
        assert all(c.get("/healthz").status == 200 for c in idle)
        for client in idle + slow:
            client.close()

    def connections_beyond_the_most_are_told_so(self):
        service = self.serve("--max-connections", "20")
        clients = [service.client() for _ in range(20)]
        assert all(c.get("/healthz").status == 200 for c in clients)
        more = service.client()
        answer = more.get("/healthz")
        assert answer.status == 503 and answer.kind() == "busy" and "retry-after" in answer.headers
        assert more.closed() == b""
        clients.pop().close()
        until(lambda: service.get("/healthz").status == 200, "room for one more")

    # ---- Slow adapters ----

    def a_slow_adapter_holds_up_nobody_else(self):
        service = self.serve()
        slow = [service.client() for _ in range(16)]
        for client in slow:
            client.send("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % WORKERS)
        until(lambda: service.n_inside() == 16, "all threads to be in the adapter")
        for path in ("/healthz", "/metrics", "/api/openapi.json", "/api/nowhere"):
            assert service.get(path).status in (200, 404)
        late = [service.client() for _ in range(300)]
        for client in late:
            client.send("GET /api/hosts HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until(lambda: b'route="hosts",code="503"} %d\n' % (300 - 256) in service.get("/metrics").body,
              "those beyond the queue to be refused")
        service.open_gate()
        assert all(c.answer().status == 200 for c in slow)
        answers = [c.answer() for c in late]
        refused = [a for a in answers if a.status == 503]
        assert len(refused) == 300 - 256 and all(a.kind() == "busy" for a in refused)
        assert all(a.status == 200 for a in answers if a not in refused)

    def what_has_to_wait_for_a_slow_call_does_so_out_of_the_way(self):
        service = self.serve(adapters="one")
        clients = [service.client() for _ in range(24)]
        # Until they are carried out where they are read.
        for _ in range(10):
            assert all(c.get("/api/runtimes").status == 200 for c in clients)
        slow = service.client()
        slow.send("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % WORKERS)
        until(service.n_inside, "the call")
        for client in clients[::2]:
            client.send(GET)
        assert all(c.get("/healthz").status == 200 for c in clients[1::2])
        service.open_gate()
        assert all(c.answer().status == 200 for c in clients[::2] + [slow])

    def a_request_that_is_not_answered_in_time_is_given_up(self):
        service = self.serve("--request-timeout", "5")
        client = service.client()
        answer = client.get(WORKERS)
        assert answer.status == 504 and answer.kind() == "timeout"
        assert client.get("/healthz").status == 200
        service.open_gate()
        until(lambda: client.get(WORKERS).status == 200, "the adapter")

    def a_batch_that_is_not_answered_in_time_is_cut_off(self):
        client = self.serve("--request-timeout", "5").client()
        client.send(post("/api/batch", '{"op":"list_hosts"}\n{"op":"list_workers"}\n'))
        data = client.closed()
        assert b"200 OK" in data and not data.endswith(b"0\r\n\r\n"), data

    # ---- Reloading ----

    def workers(self):
        return [w["worker_id"] for w in self.service.get(WORKERS).json()["items"]]

    def runtimes(self):
        return [r["runtime_id"] for r in self.service.get("/api/runtimes").json()["items"]]

    def an_unchanged_instance_keeps_its_state(self):
        service = self.serve(adapters=None)
        service.open_gate()
        client = service.client()
        client.send(post("/api/runtimes/embedded-worker-runtime/workers", SPAWN))
        assert client.answer().status == 200
        before = self.runtimes()
        service.drop_in("extra", {"adapter": "embedded", "runtime_id": "night-shift", "priority": 60})
        service.reload()
        assert self.runtimes() == before + ["night-shift"], self.runtimes()
        assert self.workers() == ["worker-00000001", "behind-the-gate"]
        service.drop_in("embedded", {"runtime_id": "another"})
        service.reload()
        assert "worker-00000001" not in self.workers() and "another" in self.runtimes()
        assert client.get("/healthz").status == 200

    def a_wrong_configuration_changes_nothing(self):
        service = self.serve(adapters=None)
        service.open_gate()
        client = service.client()
        client.send(post("/api/runtimes/embedded-worker-runtime/workers", SPAWN))
        client.answer()
        before = self.runtimes(), self.workers()
        for settings in ("nonsense", {"options": {"nosuch": 1}}, {"adapter": "nosuch"}, {"runtime_id": "gated"}):
            service.drop_in("embedded", settings)
            service.reload()
            assert (self.runtimes(), self.workers()) == before, settings
        assert len(re.findall("is not taken", service.text())) == 4
        assert b'berth_reloads_total{result="refused"} 4\n' in service.get("/metrics").body
        service.drop_in("embedded", {})
        service.reload()
        assert (self.runtimes(), self.workers()) == before
        with open(self.service.config + os.environ["ADMIN_CONF_DIR"] + "/berth.json", "w") as file:
            file.write("{")
        service.reload()
        assert (self.runtimes(), self.workers()) == before

    def a_request_in_flight_outlives_its_instance(self):
        service = self.serve(adapters=None)
        client = service.client()
        client.send("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % WORKERS)
        until(service.n_inside, "the call")
        service.drop_in("gate", {"adapter": "gated", "enabled": False})
        service.reload()
        assert "gated" not in self.runtimes()
        assert self.workers() == []
        assert not os.path.exists(service.gate + ".closed")
        service.open_gate()
        assert [w["worker_id"] for w in client.answer().json()["items"]] == ["behind-the-gate"]
        until(lambda: os.path.exists(service.gate + ".closed"), "the instance to be closed")

    def the_end_amid_new_connections_is_a_good_one(self):
        for n in range(20):
            service = self.serve(adapters="none")
            busy = True

            def ask():
                while busy:
                    try:
                        client = service.client()
                        client.get("/healthz")
                        client.close()
                    except (OSError, EOFError, AssertionError, IndexError, ValueError):
                        return

            threads = [threading.Thread(target=ask) for _ in range(6)]
            for thread in threads:
                thread.start()
            time.sleep(0.01 * (n % 5))
            service.end()
            busy = False
            for thread in threads:
                thread.join()

    def reloading_again_and_again_drops_no_request(self):
        service = self.serve(adapters=None)
        service.open_gate()
        statuses, busy = [], True

        def ask():
            client = service.client()
            while busy:
                statuses.append(client.get("/api/runtimes").status)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for i in range(10):
            service.drop_in("embedded", {"runtime_id": "number-%d" % i})
            service.reload()
        busy = False
        for thread in threads:
            thread.join()
        assert len(statuses) > 0 and set(statuses) == {200}

    # ---- Ending ----

    def the_end_waits_for_what_is_in_flight(self):
        service = self.serve()
        client = service.client()
        client.send("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % WORKERS)
        other = service.client()
        assert other.get("/readyz").status == 200
        until(service.n_inside, "the call")
        service.process.terminate()
        until(lambda: service.logged("^berth: ending"), "the end")
        answer = other.get("/readyz")
        assert answer.status == 503 and answer.headers["connection"] == "close" and other.closed() == b""
        assert not os.path.exists(service.path)
        service.open_gate()
        answer = client.answer()
        assert answer.status == 200 and answer.json()["items"]
        service.end()

    def the_end_comes_beside_all_who_are_stuck(self):
        service = self.serve()
        stuck = [service.client() for _ in range(5)]
        stuck[0].send("GET")
        stuck[1].send("POST /api/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nx")
        stuck[2].send(post("/api/batch", '{"op":"list_runtimes"}\n' * 5000))
        stuck[3].send("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % WORKERS)
        stuck[4].send(post("/api/batch", '{"op":"list_workers"}\n'))
        until(lambda: service.n_inside() == 2, "the calls")
        began = time.monotonic()
        service.process.terminate()
        status = service.process.wait(PATIENCE)
        # The one place where time counts, as it is what is promised.
        assert status == 0 and time.monotonic() - began < 10, time.monotonic() - began
        answer = stuck[3].answer()
        assert answer.status == 503 and answer.kind() == "busy"

    # ---- The service manager ----

    def systemd_is_told_how_things_stand(self):
        path = self.scratch + "/notify"
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        manager.settimeout(PATIENCE)
        manager.bind(path)
        service = self.serve(environment={"NOTIFY_SOCKET": path})
        assert manager.recv(4096).startswith(b"READY=1")
        service.reload()
        said = manager.recv(4096)
        assert re.match(rb"RELOADING=1\nMONOTONIC_USEC=\d+$", said), said
        assert manager.recv(4096).startswith(b"READY=1")
        service.end()
        assert manager.recv(4096).startswith(b"STOPPING=1")
        os.unlink(path)

    def an_inherited_socket_is_served_and_stays(self):
        path = self.scratch + "/inherited"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(100)
        early = Client(path)
        early.send(GET)
        self.serve(inherit=listener)
        assert early.answer().status == 200
        self.service.end()
        assert os.path.exists(path) and not os.path.exists(self.service.path)
        os.unlink(path)

    def sockets_for_another_process_are_left_alone(self):
        self.serve(environment={"LISTEN_PID": "1", "LISTEN_FDS": "1"})
        assert self.service.get("/healthz").status == 200

    # ---- Running them ----

    def run(self, name):
        self.service = None
        try:
            getattr(self, name)()
            if self.service:
                self.service.end()
        except Exception as error:
            print("not ok -", name.replace("_", " "))
            print("#", type(error).__name__, str(error)[:2000].replace("\n", "\n# "))
            if self.service:
                print("# log:", self.service.text()[-2000:].replace("\n", "\n# "))
                if self.service.process.poll() is None:
                    self.service.process.kill()
                    self.service.process.wait()
            return False
        print("ok -", name.replace("_", " "), flush=True)
        return True


def main(tests):
    # Many shells allow 1,024 open files where ten times as many may be had.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    chosen = sys.argv[1:] or [name for name in tests.__dict__ if re.match("(a|all|an|also|many|what|http|pipelined|who|connections|"
                                                                         "reloading|the|systemd|sockets)_", name)]
    failed = 0
    for name in chosen:
        scratch = tempfile.mkdtemp(prefix="berth-serve-")
        try:
            failed += not tests(scratch).run(name)
        finally:
            shutil.rmtree(scratch)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main(Tests)
