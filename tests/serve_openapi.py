# SPDX-License-Identifier: MIT
"""Holds every answer of berth serve against the description that it serves, with a client that is made of it."""
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

import jsonschema


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self.path)


class Api:
    """A method for each operationId; what a request has beside its path goes where the description says."""

    def __init__(self, path):
        self.path = path
        status, _, body = self.ask("GET", "/api/openapi.json")
        assert status == 200
        self.document = json.loads(body)
        self.operations = {}
        for template, item in self.document["paths"].items():
            for method, operation in item.items():
                self.operations[operation["operationId"]] = (method.upper(), template, operation)
        self.seen = set()

    def ask(self, method, target, body=None, headers=()):
        connection = Connection(self.path)
        connection.request(method, target, body, dict(headers))
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, answer.headers, data

    def follow(self, value):
        while "$ref" in value:
            part = self.document
            for name in value["$ref"][2:].split("/"):
                part = part[name]
            value = part
        return value

    def validate(self, schema, value):
        resolver = jsonschema.RefResolver("", self.document)
        jsonschema.Draft202012Validator(schema, resolver=resolver).validate(value)

    def call(self, name, body=None, **arguments):
        method, template, operation = self.operations[name]
        query = {}
        for parameter in map(self.follow, operation.get("parameters", [])):
            value = arguments.pop(parameter["name"], None)
            if parameter["in"] == "path":
                template = template.replace("{%s}" % parameter["name"], urllib.parse.quote(str(value), safe=""))
            elif parameter["in"] == "query" and value is not None:
                query[parameter["name"]] = value
        assert not arguments, arguments
        if body is not None and not isinstance(body, str):
            body = json.dumps(body)
        target = template + ("?" + urllib.parse.urlencode(query) if query else "")
        return self.check(name, *self.ask(method, target, body))

    def check(self, name, status, headers, data):
        operation = self.operations[name][2]
        assert str(status) in operation["responses"], "%s: %d is not described" % (name, status)
        response = self.follow(operation["responses"][str(status)])
        for header in response["headers"]:
            assert headers[header], header
        content_type = headers.get_content_type()
        content = response["content"][content_type]
        value = json.loads(data) if content_type == "application/json" else data.decode()
        self.validate(content["schema"], value)
        self.seen.add((name, status))
        return status, value


def sentence(name, function, failed):
    try:
        function()
    except Exception as error:
        print("not ok -", name)
        print("#", type(error).__name__, str(error)[:2000].replace("\n", "\n# "))
        failed.append(name)
    else:
        print("ok -", name, flush=True)


def main():
    scratch = tempfile.mkdtemp(prefix="berth-openapi-")
    os.makedirs(scratch + "/data/pods/coder")
    os.makedirs(scratch + "/data/pods/broken")
    with open(scratch + "/data/pods/coder/metadata.json", "w") as file:
        json.dump({"worker_name": "coder", "workspace_root": "/srv/harbour",
                   "active": {"session_id": "0" * 32, "segment_id": None},
                   "resolved_manifest_snapshot": {"role": "coder", "profile": "x"}}, file)
    path, log = scratch + "/s", open(scratch + "/log", "w+")
    service = subprocess.Popen([os.environ["BERTH"], "serve", "--adapter-dir", os.environ["BERTH_ADAPTER_DIR"], "--data-dir",
                                scratch + "/data", "--workspace-root", "/srv/harbour", "--config-root", scratch, "--socket",
                                path], stdout=log, stderr=log)
    failed = []
    try:
        end = time.monotonic() + 30
        while "serving" not in open(log.name).read():
            assert service.poll() is None and time.monotonic() < end, open(log.name).read()
            time.sleep(0.01)
        run(Api(path), failed)
    finally:
        service.terminate()
        service.wait()
        shutil.rmtree(scratch)
    sys.exit(len(failed) > 0)


EMBEDDED, LOCAL, REMOTE = "embedded-worker-runtime", "local-worker-runtime", "remote-worker-runtime"
RUN = {"kind": "run_accepted", "expected_segments": 1}
COMPANION = {"kind": "workspace_companion"}
FIRST = {"runtime_id": EMBEDDED, "worker_id": "worker-00000001"}


def run(api, failed):
    def schemas():
        for schema in api.document["components"]["schemas"].values():
            jsonschema.Draft202012Validator.check_schema(schema)
        for _, _, operation in api.operations.values():
            for parameter in operation.get("parameters", []):
                assert api.follow(parameter)["in"] in ("path", "query", "header")

    def expect(name, status, body=None, **arguments):
        got, value = api.call(name, body, **arguments)
        assert got == status, (name, got, value)
        return value

    def good_answers():
        for intent in (COMPANION, {"kind": "workspace_orchestrator"}, {"kind": "ticket_role", "ticket_id": "T", "role": "coder"}):
            expect("spawn_worker", 200, {"intent": intent, "acceptance": RUN, "requested_worker_name": "x"}, runtime_id=EMBEDDED)
        expect("spawn_worker", 200, {"intent": COMPANION, "acceptance": {"kind": "socket_ready"}}, runtime_id=EMBEDDED)
        for runtime in (LOCAL, REMOTE):
            expect("spawn_worker", 200, {"intent": COMPANION, "acceptance": RUN}, runtime_id=runtime)
        for content in ("Ahoy \u2693", " "):
            expect("send_input", 200, {"kind": "system", "content": content}, **FIRST)
        for _ in range(3):
            expect("send_input", 200, {"content": "x"}, **FIRST)
        for limit in (None, 1, 0):
            for name in ("list_runtimes", "list_hosts", "list_workers"):
                expect(name, 200, limit=limit)
            expect("transcript", 200, start=1, limit=limit, **FIRST)
        page = expect("read_events", 200, runtime_id=EMBEDDED, limit=3)
        expect("read_events", 200, runtime_id=EMBEDDED, cursor=page["next_cursor"])
        for runtime in (LOCAL, EMBEDDED):
            expect("read_events", 200, runtime_id=runtime, cursor="x", follow="true")
        workers = expect("list_workers", 200)["items"]
        assert {w["runtime_id"] for w in workers} == {LOCAL, EMBEDDED}
        for worker in workers:
            address = {k: worker[k] for k in ("runtime_id", "worker_id")}
            assert expect("worker", 200, **address) == worker
            expect("connect_points", 200, **address)
            expect("transcript", 200, **address)
            expect("list_workers", 200, after="/".join(address.values()), limit=1)
            expect("stop_worker", 200, {"mode": "graceful"}, **address)
            expect("send_input", 200, {"content": "x"}, **address)
        for host in expect("list_hosts", 200)["items"]:
            expect("list_workers_for_host", 200, host_id=host["host_id"])
        assert expect("retry", 200, adapter="embedded")["diagnostics"][0]["code"] == "adapter_not_quarantined"
        for name in ("adapters", "config", "healthz", "readyz", "metrics", "openapi"):
            expect(name, 200)

    def stream():
        connection = Connection(api.path)
        connection.request("GET", "/api/runtimes/%s/events" % EMBEDDED, headers={"Accept": "text/event-stream"})
        answer = connection.getresponse()
        lines = [answer.readline().decode() for _ in range(10)]
        answer.close()
        connection.close()
        assert "id" in lines[2] and lines[4].startswith("data: "), lines
        api.check("read_events", 200, answer.headers, "".join(lines).encode())
        for line in lines[4::4]:
            api.validate({"$ref": "#/components/schemas/Event"}, json.loads(line[6:]))

    def batch():
        lines = [{"op": "list_runtimes", "id": 1}, {"op": "nosuch"}, {"op": "worker", "runtime_id": "a", "worker_id": "b"}]
        answers = expect("batch", 200, "\n".join(map(json.dumps, lines))).splitlines()
        assert len(answers) == 3 and json.loads(answers[0])["id"] == 1
        for answer in answers[1:]:
            api.validate({"$ref": "#/components/schemas/Error"}, json.loads(answer))

    def errors():
        kinds = set()

        def refused(name, status, body=None, **arguments):
            kinds.add(expect(name, status, body, **arguments)["error"]["kind"])

        refused("list_workers", 400, limit="x")
        refused("list_workers", 400, after="a b/c")
        refused("list_workers", 404, after="nowhere/x")
        refused("list_workers_for_host", 404, host_id="nowhere")
        refused("list_workers_for_host", 400, host_id="\u00f6" * 200)
        for name in ("worker", "transcript", "connect_points"):
            refused(name, 404, runtime_id="nowhere", worker_id="x")
            refused(name, 404, runtime_id=EMBEDDED, worker_id="x")
            refused(name, 400, runtime_id="a/b", worker_id="x")
        for name, body in (("send_input", {"content": "x"}), ("stop_worker", {"mode": "force"})):
            refused(name, 404, body, runtime_id=EMBEDDED, worker_id="x")
            refused(name, 400, "{", **FIRST)
            refused(name, 413, " " * (1 << 20) + "x", **FIRST)
        refused("read_events", 404, runtime_id="nowhere")
        refused("read_events", 400, runtime_id=EMBEDDED, follow="x")
        refused("spawn_worker", 400, {}, runtime_id=EMBEDDED)
        refused("retry", 404, adapter="nowhere")
        for name, method, target, headers in (
                ("list_runtimes", "GET", "/api/runtimes", {"Host": "evil.example"}),
                ("list_runtimes", "GET", "/api/runtimes", {"Origin": "null"}),
                ("list_runtimes", "DELETE", "/api/runtimes", {}),
                ("list_runtimes", "GET", "/api/runtimes?" + "x" * 20000, {}),
                ("list_runtimes", "GET", "/api/runtimes", {"X-Large": "x" * 20000}),
                ("list_runtimes", "GET", "/api/nowhere", {})):
            _, value = api.check(name, *api.ask(method, target, None, headers))
            kinds.add(value["error"]["kind"])
        assert kinds == {"bad_request", "invalid_identifier", "unknown_host", "unknown_runtime", "unknown_worker", "too_large",
                         "forbidden", "method_not_allowed", "unknown_route", "unknown_adapter"}, kinds

    def all_operations():
        missing = set(api.operations) - {name for name, status in api.seen if status == 200}
        assert not missing, missing

    def all_routes():
        # The routes of the program are in its metrics once they have been asked for.
        _, value = api.call("metrics")
        assert len(set(re.findall('berth_http_requests_total{route="([a-z_]*)",code="200"}', value))) == len(api.operations)

    def a_wrong_answer_is_seen():
        for value in ({"error": {"kind": "nosuch", "message": ""}}, {"error": {"kind": "busy"}}, {}):
            try:
                api.validate({"$ref": "#/components/schemas/Error"}, value)
            except jsonschema.ValidationError:
                continue
            raise AssertionError(value)

    sentence("its schemas are valid", schemas, failed)
    sentence("the answers of all operations are as described", good_answers, failed)
    sentence("a batch is, too", batch, failed)
    sentence("events that are followed are, too", stream, failed)
    sentence("errors are as described", errors, failed)
    sentence("no operation was left out", all_operations, failed)
    sentence("every route is described", all_routes, failed)
    sentence("the validator sees what is wrong", a_wrong_answer_is_seen, failed)


main()
