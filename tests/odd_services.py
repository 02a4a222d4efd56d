#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Services that are none, or behave as none should: each of them answers on DIR/NAME.sock,
and DIR/NAME.requests gets a line for each request that it was sent. DIR/ready is there once
all of them are. It ends with its standard input."""
import os
import socket
import sys
import threading
import time

directory = sys.argv[1]
counts = {}


def http(status, body, *headers):
    lines = ["HTTP/1.1 " + status, "Content-Length: %d" % len(body), *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def endless(head, piece, pause=0.0):
    """Sends a piece again and again, until the other side has enough."""
    def answer(connection, _):
        connection.sendall(head)
        while True:
            connection.sendall(piece)
            time.sleep(pause)
    return answer


def fixed(*answers):
    """The nth request gets the nth answer, later ones the last; None closes the connection."""
    def answer(connection, n):
        text = answers[min(n, len(answers)) - 1]
        if text is not None:
            connection.sendall(text)
        return text is not None
    return answer


def closing(text):
    def answer(connection, _):
        connection.sendall(text)
        return False
    return answer


def wait(_, __):
    time.sleep(600)


OK = http("200 OK", b'{"items":[],"diagnostics":[]}\n')
BUSY = http("503 Service Unavailable", b'{"error":{"kind":"busy","message":"come later"}}')
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n"
HOSTILE = r'{"error":{"kind":"forbidden","message":"\u001b]0;x\u0007 \u202e\u009b31m' "\u009b\u202e" r'\nline"}}'
services = {
    "no-http": fixed(b"220 harbour ready\r\n"),
    "closes": closing(b""),
    "html": fixed(http("502 Bad Gateway", b"<html>\x1b[31mBad Gateway</html>")),
    "html-200": fixed(http("200 OK", b"<html>\x1b[31mWelcome</html>")),
    "array": fixed(http("200 OK", b"[1]\n")),
    "trailing": fixed(http("200 OK", b'{"items":[]} x\n')),
    "two": fixed(http("200 OK", b'{"items":[]}\n{"items":[]}\n')),
    "empty": fixed(http("200 OK", b"")),
    "cut": closing(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b'{"items":'),
    "redirect": fixed(http("307 Temporary Redirect", b"", "Location: http://localhost/api/elsewhere")),
    "hostile": fixed(http("403 Forbidden", HOSTILE.encode())),
    "huge": endless(HEAD + b'{"items":["', b"x" * 1048576),
    "huge-refusal": endless(b"HTTP/1.1 500 Oops\r\n\r\n", b"x" * 65536),
    "headers": endless(b"HTTP/1.1 200 OK\r\n", b"X-More: %s\r\n" % (b"x" * 4096)),
    "silent": wait,
    "drip": endless(HEAD + b'{"items":["', b"x", 0.05),
    "busy": fixed(BUSY),
    "busy-twice": fixed(BUSY, BUSY, OK),
    "breaks": fixed(OK, None),
    "plain": fixed(OK),
    "goes": fixed(OK, OK, http("502 Bad Gateway", b""), http("502 Bad Gateway", b""), OK),
}


def read_request(stream):
    """Returns whether there was one."""
    length = 0
    line = stream.readline()
    if not line:
        return False
    while line.strip():
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
        line = stream.readline()
    stream.read(length)
    return True


def talk(name, connection):
    stream = connection.makefile("rb")
    try:
        while read_request(stream):
            counts[name] = counts.get(name, 0) + 1
            with open(os.path.join(directory, name + ".requests"), "a", encoding="ascii") as log:
                log.write("request\n")
            if not services[name](connection, counts[name]):
                break
    except OSError:
        pass
    stream.close()
    connection.close()


def serve(name, listener):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=talk, args=(name, connection), daemon=True).start()


for service in services:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(os.path.join(directory, service + ".sock"))
    listening.listen(16)
    threading.Thread(target=serve, args=(service, listening), daemon=True).start()
with open(os.path.join(directory, "ready"), "w", encoding="ascii"):
    pass
sys.stdin.read()
