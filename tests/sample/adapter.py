#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An adapter in Python: workers that echo what they are told."""
import json
import sys

said = {}


def worker(worker_id):
    return {"worker_id": worker_id, "host_id": "here", "label": worker_id, "state": "running", "status": "running",
            "workspace": {"visibility": "none", "identity": "none"},
            "implementation": {"kind": "echo", "display_hint": "echoes"}, "capabilities": {"can_accept_input": True}}


def answer(op, request):
    worker_id = request.get("worker_id")
    if op == "hello":
        return {"protocol": 1, "runtimes": [{"runtime_id": "echo"}]}
    if op == "list_runtimes":
        return {"items": [{"runtime_id": "echo", "label": "Echo", "kind": "echo", "status": "available",
                           "source": {"kind": "echo", "status": "active", "note": "a sample"}}], "diagnostics": []}
    if op == "list_workers":
        return {"items": [worker(name) for name in said][:request["limit"]], "diagnostics": []}
    if op == "spawn_worker":
        name = f"echo-{len(said)}"
        said[name] = []
        return {"state": "accepted", "worker": worker(name), "acceptance_evidence": [], "diagnostics": []}
    if worker_id not in said:
        return {"error": {"kind": "unknown_worker"}}
    if op == "worker":
        return worker(worker_id)
    if op == "send_input":
        said[worker_id] += [("user", request["request"]["content"]), ("worker", request["request"]["content"])]
        return {"state": "accepted", "transcript_sequence": len(said[worker_id]), "diagnostics": []}
    if op == "transcript":
        items = [{"sequence": i, "event_id": i, "role": role, "content": content}
                 for i, (role, content) in enumerate(said[worker_id], 1)]
        part = items[request["start"]:request["start"] + request["limit"]]
        return {"state": "accepted", "total_items": len(items), "items": part, "diagnostics": []}
    return {"error": {"kind": "bad_request", "message": "no such operation"}}


for line in sys.stdin:
    asked = json.loads(line)
    reply = {"id": asked["id"]} if "id" in asked else {}
    print(json.dumps({**reply, **answer(asked["op"], asked)}), flush=True)
