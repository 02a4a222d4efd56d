# SPDX-License-Identifier: MIT
"""The events of a runtime over HTTP: read page by page, and followed as server-sent events.

Each test is a method of Events, its name the sentence that is printed; what they share is in serve_abuse.py. In the
environment beside what that wants: BERTH_HAS_STORE, empty where the embedded runtime has no store that lasts.
"""
import json
import os
import select
import signal
import socket
import threading
import time
import urllib.parse

from serve_abuse import PATIENCE, SPAWN, Client, Tests, main, post, until

EMBEDDED = "/api/runtimes/embedded-worker-runtime"
EVENTS = EMBEDDED + "/events"
ODD = "/api/runtimes/odd-events/events"
INPUT = {"op": "send_input", "runtime_id": "embedded-worker-runtime", "worker_id": "worker-00000001",
         "request": {"content": "Ahoy"}}
SSE = "Accept: text/event-stream"


def quote(cursor):
    return urllib.parse.quote(cursor, safe="")


class End(Exception):
    """Of a whole answer; one that is cut is an EOFError."""


class Follower:
    """One who follows: its events as (id, event, data), and a comment as None."""

    def __init__(self, path, target=EVENTS, *headers):
        self.client = Client(path)
        self.client.send("GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n" % (target, "".join(h + "\r\n" for h in headers)))
        self.status = int(self.client.line().split(" ")[1])
        self.headers = {}
        while line := self.client.line():
            key, value = line.split(":", 1)
            self.headers[key.lower()] = value.strip()
        assert self.headers.get("content-type") == "text/event-stream", (self.status, self.headers)
        assert self.headers["transfer-encoding"] == "chunked" and self.headers["x-accel-buffering"] == "no"
        self.text = b""
        self.last = None
        assert self.block() == "retry: 1000"

    def block(self):
        while b"\n\n" not in self.text:
            size = int(self.client.line(), 16)
            if size == 0:
                assert self.client.line() == "" and self.text == b"", "cut in the middle of an event"
                raise End
            self.text += self.client.take(size)
            assert self.client.line() == ""
        block, self.text = self.text.split(b"\n\n", 1)
        return block.decode()

    def next(self):
        block = self.block()
        if block == ":":
            return None
        fields = [line.split(": ", 1) for line in block.split("\n")]
        names = [name for name, _ in fields]
        assert names in (["id", "event", "data"], ["id", "data"], ["event", "data"]), block
        fields = dict(fields)
        self.last = fields.get("id", self.last)
        return fields.get("id"), fields.get("event"), json.loads(fields["data"])

    def event(self):
        # Heartbeats would go on for ever.
        end = time.monotonic() + PATIENCE
        while (event := self.next()) is None:
            assert time.monotonic() < end, "waited in vain for an event"
        return event

    def take(self, n):
        return [self.event()[2]["event_id"] for _ in range(n)]

    def rest(self):
        """What comes until the end."""
        events = []
        try:
            while True:
                events.append(self.event())
        except End:
            return events

    def quiet(self):
        """Whether nothing has come that was not taken."""
        return not self.text and not self.client.buffer and not select.select([self.client.sock], [], [], 0)[0]

    def close(self):
        self.client.close()


class Events(Tests):
    def follow(self, *more):
        return Follower(self.service.path, *more)

    def post(self, path, body):
        client = self.service.client()
        client.send(post(path, body))
        answer = client.answer().json()
        client.close()
        assert answer["state"] == "accepted", answer

    def work(self, n):
        """So many events: those of one worker and its input."""
        self.post(EMBEDDED + "/workers", SPAWN)
        client = self.service.client()
        client.send(post("/api/batch", (json.dumps(INPUT) + "\n") * (n - 1)))
        assert client.answer().body.count(b'"state":"accepted"') == n - 1
        client.close()

    def metric(self, name):
        for line in self.service.get("/metrics").body.decode().splitlines():
            if line.startswith(name + " "):
                return int(line.split(" ")[1])
        raise AssertionError(name)

    def n_calls(self):
        return self.metric('berth_runtime_calls_total{runtime_id="embedded-worker-runtime",operation="read_events"}')

    def serve_odd(self, *options):
        return self.serve(*options, adapters="embedded,odd",
                          drop_ins=[("odd", {"adapter": "odd-events", "options": {"gate": self.scratch + "/gate"}})])

    # ---- Reading ----

    def all_events_are_read_page_by_page(self):
        service = self.serve()
        self.work(9)
        whole = service.get(EVENTS).json()
        assert [e["event_id"] for e in whole["items"]] == list(range(1, 11)) and not whole["more"], whole
        assert (whole["state"], whole["limit"], whole["runtime_id"]) == ("accepted", 200, "embedded-worker-runtime")
        items, cursor = [], ""
        while True:
            page = service.get(EVENTS + "?limit=3" + cursor).json()
            assert len(page["items"]) <= 3
            items += page["items"]
            cursor = "&cursor=" + quote(page["next_cursor"])
            if not page["more"]:
                break
        assert items == whole["items"] and service.get(EVENTS + "?" + cursor).json()["items"] == []
        for event in items:
            behind = service.get("%s?cursor=%s" % (EVENTS, quote(event["cursor"]))).json()["items"]
            assert behind == items[event["event_id"]:]

    def the_answer_is_that_of_the_batch_protocol(self):
        service = self.serve()
        self.work(3)
        cursor = service.get(EVENTS + "?limit=2").json()["next_cursor"]
        for query, line in (("", {}), ("?limit=2", {"limit": 2}), ("?cursor=" + quote(cursor), {"cursor": cursor}),
                            ("?cursor=", {"cursor": ""}), ("?cursor=x%00", {"cursor": "x\0"}),
                            ("?cursor=" + "x" * 5000, {"cursor": "x" * 5000})):
            client = service.client()
            client.send(post("/api/batch", json.dumps({"op": "read_events", "runtime_id": "embedded-worker-runtime", **line})))
            assert client.answer().body.rstrip(b"\n") == service.get(EVENTS + query).body, query
            client.close()

    def what_cannot_be_read_is_said_as_everywhere(self):
        service = self.serve()
        for follow in ("", "&follow=true"):
            for path, status, what in ((EVENTS + "?cursor=x", 200, "rejected"),
                                       ("/api/runtimes/remote-worker-runtime/events?", 200, "unsupported"),
                                       ("/api/runtimes/gated/events?", 200, "unsupported"),
                                       ("/api/runtimes/nowhere/events?", 404, "unknown_runtime"),
                                       ("/api/runtimes/a%20b/events?", 400, "invalid_identifier"),
                                       (EVENTS + "?cursor=%ff", 400, "bad_request"),
                                       (EVENTS + "?follow=yes", 400, "bad_request")):
                answer = service.get(path + follow)
                got = answer.json()
                assert answer.status == status and answer.headers["content-type"] == "application/json", (path, answer.status)
                assert got.get("state", got.get("error", {}).get("kind")) == what, (path, got)
        assert service.client().get(EVENTS + "?cursor=x&follow=false", SSE).json()["state"] == "rejected"
        client = service.client()
        client.send(b"GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\nLast-Event-ID: \xff\r\n\r\n" % (EVENTS.encode(), SSE.encode()))
        assert client.answer().kind() == "bad_request"
        until(lambda: self.metric("berth_followers") == 0, "their places")

    # ---- Following ----

    def a_follower_is_told_what_happens(self):
        service = self.serve()
        follower = self.follow(EVENTS, SSE)
        assert follower.take(1) == [1]
        for n in range(2, 12):
            self.work(1)
            assert follower.take(1) == [n]
        items = service.get(EVENTS).json()["items"]
        again = self.follow(EVENTS + "?follow=true")
        for item in items:
            assert again.event() == (item["cursor"], item["kind"], item)
        assert follower.quiet() and again.quiet() and self.metric("berth_followers") == 2
        for one in (follower, again):
            one.close()
        until(lambda: self.metric("berth_followers") == 0, "them to be missed")

    def the_place_to_go_on_is_what_came_last(self):
        service = self.serve()
        self.work(9)
        cursors = [e["cursor"] for e in service.get(EVENTS).json()["items"]]
        for headers, query, first in (((), "?cursor=" + quote(cursors[4]), 6),
                                      (("Last-Event-ID: " + cursors[6],), "?cursor=" + quote(cursors[4]), 8),
                                      (("last-event-id:" + cursors[6],), "?cursor=nonsense&limit=1", 8),
                                      (("Last-Event-ID:",), "", 1)):
            follower = self.follow(EVENTS + query, "Accept: text/html;q=0.1, TEXT/event-stream", *headers)
            assert follower.take(11 - first) == list(range(first, 11)), (headers, query)
            follower.close()

    def a_follower_who_is_cut_off_loses_nothing(self):
        service = self.serve()
        done = threading.Event()

        def work():
            for _ in range(20):
                self.work(20)
            done.set()

        threading.Thread(target=work, daemon=True).start()
        seen, last, n = [], None, 1
        while not done.is_set() or len(seen) < 401:
            follower = self.follow(EVENTS, SSE, *(["Last-Event-ID: " + last] if last else []))
            for _ in range(min(n, 401 - len(seen))):
                seen += follower.take(1)
            last = follower.last
            follower.close()
            n = n * 3 % 101
        assert seen == list(range(1, 402)), seen
        service.end()

    def a_restart_on_a_store_that_lasts_loses_nothing(self):
        if not os.environ["BERTH_HAS_STORE"]:
            return
        seen, last = [], None
        store = [("embedded", {"options": {"store": self.scratch + "/store"}})]
        for end in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM, signal.SIGTERM):
            service = self.serve(adapters="embedded", drop_ins=store)
            follower = self.follow(EVENTS, SSE, *(["Last-Event-ID: " + last] if last else []))
            self.work(60)
            seen += follower.take(20)
            last = follower.last
            service.process.send_signal(end)
            assert service.process.wait(PATIENCE) == (0 if end == signal.SIGTERM else -end)
        service = self.serve(adapters="embedded", drop_ins=store)
        assert len(service.get("/api/workers").json()["items"]) == 4
        follower = self.follow(EVENTS, SSE, "Last-Event-ID: " + last)
        total = 4 * 60 + len([None for e in self.whole() if e["kind"] == "runtime_started"])
        seen += follower.take(total - len(seen))
        assert seen == list(range(1, total + 1)) and follower.quiet(), seen

    def what_an_isolated_runtime_does_is_followed_across_its_ends(self):
        """Where a call meets the end of the process, that ends who follows, and he comes back."""
        lasts = bool(os.environ["BERTH_HAS_STORE"])
        options = {"store": self.scratch + "/store"} if lasts else {}
        service = self.serve(adapters="embedded", drop_ins=[("embedded", {"isolate": True, "options": options})])
        pid = service.process.pid
        seen, follower = [], self.follow(EVENTS, SSE)
        for _ in range(4 if lasts else 1):
            self.work(20)
            total = len(self.whole())
            while len(seen) < total:
                cursor, name, data = follower.event()
                if cursor:
                    seen.append(data["event_id"])
                    continue
                assert (name, data["state"], data["diagnostics"][0]["code"]) == ("error", "rejected", "adapter_crashed"), data
                last = follower.last
                follower = self.follow(EVENTS, SSE, "Last-Event-ID: " + last)
            if lasts:
                children = [int(child) for task in os.listdir("/proc/%d/task" % pid)
                            for child in open("/proc/%d/task/%s/children" % (pid, task)).read().split()]
                os.kill(*children, signal.SIGKILL)
                until(lambda: service.get(EVENTS).json()["state"] == "accepted", "the process")
        assert seen == list(range(1, len(seen) + 1)), seen

    def whole(self):
        cursor, items = "", []
        while True:
            page = self.service.get(EVENTS + "?" + cursor).json()
            items += page["items"]
            if not page["more"]:
                return items
            cursor = "cursor=" + quote(page["next_cursor"])

    def a_backlog_comes_as_fast_as_it_is_read(self):
        self.serve()
        self.work(3000)
        followers = [self.follow(EVENTS, SSE) for _ in range(8)]
        begin, n = time.monotonic(), self.n_calls()
        for follower in followers:
            assert follower.take(3001) == list(range(1, 3002))
        # Each page is a call; where there is none to read, the clock asks a few times a second.
        n, seconds = self.n_calls() - n, time.monotonic() - begin
        assert n <= 8 * 47 + 40 + 8 * seconds, "%d calls in %.1f seconds" % (n, seconds)

    def many_followers_cost_what_one_does(self):
        self.serve()
        followers = [self.follow(EVENTS, SSE) for _ in range(200)]
        for follower in followers:
            follower.take(1)
        for _ in range(3):
            self.work(1)
        for follower in followers:
            assert follower.take(3) == [2, 3, 4]
        begin, n = time.monotonic(), self.n_calls()
        until(lambda: self.n_calls() >= n + 8, "further calls")
        n, seconds = self.n_calls() - n, time.monotonic() - begin
        assert n < 40 + 8 * seconds, "%d calls in %.1f seconds" % (n, seconds)
        assert all(follower.quiet() for follower in followers)

    def a_follower_too_many_is_told_to_come_back(self):
        service = self.serve()
        followers = [self.follow(EVENTS, SSE) for _ in range(256)]
        client = service.client()
        client.send("GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n" % (EVENTS, SSE))
        until(lambda: b"\r\n\r\n" in client.buffer or not client.more(), "an answer")
        assert client.buffer.startswith(b"HTTP/1.1 503 ")
        answer = client.answer()
        assert answer.kind() == "busy" and answer.headers["retry-after"]
        assert service.get(EVENTS).status == 200 and self.metric("berth_followers") == 256
        followers.pop().close()
        until(lambda: self.metric("berth_followers") == 255, "a place")
        self.follow(EVENTS, SSE).take(1)

    def a_silent_runtime_is_followed_by_heartbeats(self):
        self.serve()
        followers = [self.follow(EVENTS, SSE) for _ in range(2)]
        for follower in followers:
            follower.take(1)
        assert [follower.next() for follower in followers] == [None, None]
        self.work(1)
        assert [follower.take(1) for follower in followers] == [[2], [2]]

    def who_closes_is_missed_before_there_is_something_to_say(self):
        self.serve()
        follower = self.follow(EVENTS, SSE)
        follower.take(1)
        follower.client.sock.shutdown(socket.SHUT_WR)
        until(lambda: self.metric("berth_followers") == 0, "him to be missed")

    def who_does_not_read_is_disconnected_and_holds_up_nobody(self):
        service = self.serve("--request-timeout", "5")
        self.work(6000)
        lazy, eager = self.follow(EVENTS, SSE), self.follow(EVENTS, SSE)
        assert eager.take(6001) == list(range(1, 6002))
        until(lambda: service.logged("events: 200"), "the end of him who does not read")
        self.work(1)
        assert eager.take(1) == [6002]
        try:
            lazy.rest()
        except EOFError:
            return
        raise AssertionError("he had it all")

    def a_kind_breaks_no_line(self):
        self.serve_odd()
        follower = self.follow(ODD, SSE)
        events = [follower.event() for _ in range(3)]
        assert [e[0] for e in events] == ['a"1"', "b\\2", ":c"]
        assert [e[1] for e in events] == ["plain", None, "three"]
        assert [e[2]["kind"] for e in events] == ["plain", "two\nid: forged\n\nlines", "three"]
        for i, (cursor, _, _) in enumerate(events[:2]):
            again = self.follow(ODD, SSE, "Last-Event-ID: " + cursor)
            assert [again.event() for _ in range(2 - i)] == events[i + 1:]

    def a_runtime_that_blocks_holds_up_nobody(self):
        service = self.serve_odd("--request-timeout", "60")
        odd = [self.follow(ODD, SSE) for _ in range(40)]
        for follower in odd:
            follower.take(3)
        until(service.n_inside, "the call")
        follower = self.follow(EVENTS, SSE)
        follower.take(1)
        for n in range(2, 12):
            self.work(1)
            assert follower.take(1) == [n] and service.get("/healthz").status == 200
        # All of them wait in one call.
        assert service.n_inside() == 1 and all(one.quiet() for one in odd)
        service.process.terminate()
        assert odd[0].rest() == [] and follower.rest() == []
        service.open_gate()
        assert service.process.wait(PATIENCE) == 0

    # ---- Ends ----

    def a_cursor_that_is_refused_later_ends_it_with_the_answer(self):
        service = self.serve_odd()
        follower = self.follow(ODD, SSE)
        follower.take(3)
        open(self.scratch + "/gate.ended", "w").close()
        service.open_gate()
        (cursor, name, answer), = follower.rest()
        assert (cursor, name, answer["state"]) == (None, "error", "rejected")
        assert follower.client.get("/healthz").status == 200

    def reloading_a_runtime_away_ends_it(self):
        service = self.serve(adapters=None)
        self.post(EMBEDDED + "/workers", SPAWN)
        follower = self.follow(EVENTS, SSE)
        follower.take(2)
        service.reload()
        self.work(1)
        assert follower.take(1) == [3]
        service.drop_in("embedded", {"enabled": False})
        service.reload()
        (_, name, answer), = follower.rest()
        assert name == "error" and answer["error"]["kind"] == "unknown_runtime", answer
        until(lambda: self.metric("berth_followers") == 0, "the end")

    def the_service_ends_beside_followers(self):
        service = self.serve()
        followers = [self.follow(EVENTS, SSE) for _ in range(50)]
        for follower in followers[:25]:
            follower.take(1)
        service.process.terminate()
        assert [follower.rest() for follower in followers[:25]] == [[]] * 25
        assert [len(follower.rest()) for follower in followers[25:]] == [1] * 25
        assert service.process.wait(PATIENCE) == 0


if __name__ == "__main__":
    main(Events)
