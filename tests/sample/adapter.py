#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An adapter in Python: workers that echo what they are told."""
import json
import sys

CAN = ("can_list_workers", "can_get_worker", "can_spawn_worker", "can_accept_input", "can_read_bounded_transcript")
RUNTIME = {"runtime_id": "echo", "label": "Echo", "kind": "echo", "status": "available",
           "source": {"kind": "echo", "status": "active", "note": "a sample"}, "capabilities": dict.fromkeys(CAN, True)}
said = {}


def worker(worker_id):
    return {"worker_id": worker_id, "host_id": "here", "label": worker_id, "state": "running", "status": "running",
            "workspace": {"visibility": "none", "identity": "none"},
            "implementation": {"kind": "echo", "display_hint": "echoes"},
            "capabilities": {"can_accept_input": True, "can_read_bounded_transcript": True}}


def spawn():
    name = f"echo-{len(said)}"
    said[name] = []
    return {"state": "accepted", "worker": worker(name), "acceptance_evidence": [{"kind": "made", "detail": "a list"}]}


def transcript(items, start, limit):
    part = [{"sequence": i, "event_id": i, "role": role, "content": content}
            for i, (role, content) in enumerate(items[start:start + limit], start + 1)]
    more = {"next_start": start + limit} if start + limit < len(items) else {}
    return {"state": "accepted", "total_items": len(items), "items": part, **more}


def answer(op, request):
    if op == "hello":
        return {"protocol": 1, "runtimes": [RUNTIME]}
    if op == "list_runtimes":
        return {"items": [RUNTIME]}
    if op == "list_workers":
        return {"items": [worker(name) for name in said][:request["limit"]]}
    if op == "spawn_worker":
        return spawn()
    if op not in ("worker", "send_input", "transcript"):
        return {"error": {"kind": "bad_request", "message": "no such operation"}}
    worker_id = request["worker_id"]
    if worker_id not in said:
        return {"error": {"kind": "unknown_worker"}}
    if op == "worker":
        return worker(worker_id)
    if op == "transcript":
        return transcript(said[worker_id], request["start"], request["limit"])
    told = request["request"]
    said[worker_id] += [(told["kind"], told["content"]), ("worker", f"You said: {told['content']}")]
    return {"state": "accepted", "transcript_sequence": len(said[worker_id]) - 1}


for line in sys.stdin:
    asked = json.loads(line)
    reply = {"id": asked["id"]} if "id" in asked else {}
    print(json.dumps({**reply, **answer(asked["op"], asked)}), flush=True)
