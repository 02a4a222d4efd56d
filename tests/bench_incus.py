#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# How fast the adapter of clusters lists, looks up and spawns, with 1, 100 and 1,000 workers, beside a bare
# client that has the same bytes from the same server, in turns. The server is the stand-in, which gives the
# answers of real daemons, but is no daemon: its own time is in both figures. --quick: fewer rounds.
# In the environment: BERTH, BERTH_ADAPTER_DIR, ADMIN_CONF_DIR, srcdir.
import hashlib
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 5 if '--quick' in sys.argv else 30
SPAWNS = 5 if '--quick' in sys.argv else 40
WORKSPACE = 'local:harbour'
DIGEST = hashlib.sha256(b'workspace\0' + WORKSPACE.encode()).hexdigest()[:12]
MARK = 'local-harbour-' + hashlib.sha256(WORKSPACE.encode()).hexdigest()[:16]
RUNTIME = 'incus-worker-runtime'


def until(condition):
    end = time.monotonic() + 30
    while not condition():
        if time.monotonic() > end:
            sys.exit('incus: waited in vain')
        time.sleep(0.02)


class Bare:
    """A client that does nothing but fetch."""

    def __init__(self, path):
        self.connection = http.client.HTTPConnection('localhost')
        self.connection.sock = socket.socket(socket.AF_UNIX)
        self.connection.sock.connect(path)

    def get(self, path):
        self.connection.request('GET', path)
        return self.connection.getresponse().read()


def measure(function):
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def beside(ours, theirs):
    pairs = [(measure(ours), measure(theirs)) for _ in range(ROUNDS)]
    return [statistics.median(column) for column in zip(*pairs)]


def row(name, ours, theirs):
    print('    %-36s %8.2f ms %8.2f ms %7.2f' % (name, ours * 1e3, theirs * 1e3, ours / theirs))


def run(scratch, n):
    path = os.path.join(scratch, 'socket')
    containers = os.path.join(scratch, 'containers')
    os.makedirs(containers, exist_ok=True)
    server = subprocess.Popen([sys.executable, os.path.join(os.environ['srcdir'], 'tests/incus/stand_in.py'), path, containers,
                               str(n), DIGEST, MARK])
    try:
        until(lambda: os.path.exists(path))
        berth = subprocess.Popen(
            [os.environ['BERTH'], '--adapter-dir', os.environ['BERTH_ADAPTER_DIR'], '--workspace-root', '/srv/harbour',
             '--workspace-id', WORKSPACE, '--data-dir', '', 'batch'],
            env=dict(os.environ, BERTH_CONFIG_ROOT=scratch), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        bare = Bare(path)

        def ask(op, **members):
            berth.stdin.write(json.dumps(dict(members, op=op)) + '\n')
            berth.stdin.flush()
            return json.loads(berth.stdout.readline())

        def spawn():
            request = {'intent': {'kind': 'workspace_companion'}, 'acceptance': {'kind': 'run_accepted', 'expected_segments': 0}}
            assert ask('spawn_worker', runtime_id=RUNTIME, request=request)['state'] == 'accepted'

        workers = ask('list_workers', limit=10000)['items']
        assert len(workers) == n
        name = 'berth-%s-%s' % (DIGEST, workers[0]['worker_id'][len('worker-'):])
        row('list of %d' % n, *beside(lambda: ask('list_workers', limit=10000), lambda: bare.get('/1.0/instances?recursion=1')))
        row('look up 1 of %d' % n, *beside(lambda: ask('worker', runtime_id=RUNTIME, worker_id=workers[0]['worker_id']),
                                           lambda: bare.get('/1.0/instances/' + name)))
        took = measure(lambda: [spawn() for _ in range(SPAWNS)])
        print('    %-36s %8.2f a second, ready to take input' % ('spawn beside %d' % n, SPAWNS / took))
        berth.stdin.close()
        berth.wait()
    finally:
        server.terminate()
        server.wait()
        os.unlink(path)


def main():
    with tempfile.TemporaryDirectory(prefix='berth-bench-') as scratch:
        directory = scratch + os.environ['ADMIN_CONF_DIR'] + '/adapters.d'
        os.makedirs(directory)
        with open(directory + '/incus.json', 'w', encoding='utf-8') as file:
            json.dump({'adapter': 'incus', 'options': {
                'servers': 'unix:' + scratch + '/socket', 'project': 'berth',
                'roles': {'*': {'image': 'busybox', 'command': ['cat']}}}}, file)
        print('incus: a stand-in for the cluster              berth      bare    ratio')
        for n in 1, 100, 1000:
            run(scratch, n)


main()
