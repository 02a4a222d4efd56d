#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Stands in for a cluster of two members where there is none: answers on a Unix socket with what real
# daemons have answered (answers.json), and runs real supervisors, without containers around them.
#
#   stand_in.py SOCKET DIRECTORY [WORKERS WORKSPACE MARK]
#
# With WORKERS there are so many from the beginning, which only can be listed. POST /stand-in
# {"down": [MEMBER], "refuse": NAME, "hang": SECONDS, "forget": true} makes members fail, has the next
# creation refused as recorded, makes answers late, or loses the answer to the next creation; {"say": TEXT, "times": N}
# is told on every stream of events, so often in a row, {"blink": NAME}: that a container was stopped and started, which it was not,
# {"cut": true} ends the streams. GET /stand-in says what was asked how often, and how many streams there are.
#
# Where STAND_IN_TLS names a certificate and its key, it also listens with TLS on the loopback; the port is in
# DIRECTORY/port.
import base64
import copy
import hashlib
import http.server
import json
import os
import shutil
import signal
import socket
import socketserver
import ssl
import struct
import subprocess
import sys
import threading
import time
import urllib.parse
import uuid

ANSWERS = json.load(open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'answers.json'), encoding='utf-8'))
MEMBERS = [member['server_name'] for member in ANSWERS['members']['metadata']]

lock = threading.RLock()
containers = {}
operations = {}
control = {'down': [], 'refuse': None, 'hang': 0, 'forget': False}
asked = {}
streams = []
directory = ''


def now():
    whole, part = divmod(time.time_ns(), 10 ** 9)
    return time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole)) + '.%09dZ' % part


def count(what):
    with lock:
        asked[what] = asked.get(what, 0) + 1


def say(text):
    """To all who listen."""
    content = text.encode()
    head = bytes([0x81, len(content)]) if len(content) < 126 else b'\x81\x7e' + struct.pack('>H', len(content)) \
        if len(content) < 65536 else b'\x81\x7f' + struct.pack('>Q', len(content))
    for stream in list(streams):
        try:
            stream.sendall(head + content)
        except OSError:
            pass


def tell(action, name):
    say(json.dumps({'type': 'lifecycle', 'timestamp': now(), 'location': 'north', 'project': 'berth', 'metadata': {
        'action': 'instance-' + action, 'source': '/1.0/instances/%s?project=berth' % name,
        'requestor': {'username': 'root', 'protocol': 'unix', 'address': '@'}}}))


class Container:
    def __init__(self, name, config, location):
        self.json = dict(copy.deepcopy(ANSWERS['container']), name=name, location=location, created_at=now(),
                         status='Stopped', status_code=102)
        self.json['config'] = {key: value for key, value in self.json['config'].items() if not key.startswith('user.')}
        self.json['config'].update(config)
        self.root = os.path.join(directory, name)
        self.process = None

    def describe(self):
        if self.process and self.process.poll() is not None:
            self.process = None
            self.json.update(status='Stopped', status_code=102)
        if self.json['location'] in control['down']:
            return {'name': self.json['name'], 'status': 'Error', 'status_code': 112, 'config': None, 'devices': None,
                    'location': self.json['location'], 'created_at': '0001-01-01T00:00:00Z'}
        return self.json

    def path(self, path):
        return self.root + os.path.normpath('/' + path)

    def start(self):
        environment = {'BERTH_HOME': self.path('/berth'), 'PATH': os.environ['PATH']}
        self.process = subprocess.Popen(['sh', self.path('/sbin/init')], env=environment, start_new_session=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.json.update(status='Running', status_code=103, last_used_at=now())
        tell('started', self.json['name'])
        threading.Thread(target=self.watch, args=[self.process], daemon=True).start()

    def watch(self, process):
        # Without reaping it, which others do, perhaps before.
        try:
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        except ChildProcessError:
            pass
        tell('shutdown', self.json['name'])

    def kill(self):
        if self.process:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()

    def stop(self, force, timeout):
        if not force:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                return ANSWERS['shutdown_failed']
        self.kill()
        return ANSWERS['done']


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def address_string(self):
        return ''

    def answer(self, content, status=None):
        if control['hang']:
            time.sleep(control['hang'])
        text = json.dumps(content).encode() + b'\n'
        self.send(status or (content.get('error_code') or 200), text, {'Content-Type': 'application/json'})

    def send(self, status, content, headers):
        try:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header('Content-Length', str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def later(self, result):
        """An operation, with the answer that waiting for it will get."""
        answer = copy.deepcopy(ANSWERS['changing'])
        name = str(uuid.uuid4())
        answer['operation'] = '/1.0/operations/%s?project=berth' % name
        answer['metadata']['id'] = name
        operations[name] = result
        self.answer(answer)

    def sync(self, metadata):
        self.answer(dict(ANSWERS['file_done'], metadata=metadata))

    # ---- What is asked ----

    def do(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        parts = url.path.strip('/').split('/')
        count(' '.join([self.command] + parts) if parts[0] == '1.0' else 'control')
        if parts == ['stand-in'] and self.command == 'GET':
            self.sync({'asked': asked, 'streams': len(streams)})
        elif parts == ['stand-in']:
            self.control(json.loads(body))
        elif parts == ['1.0', 'events']:
            self.stream()
        elif parts[:3] == ['1.0', 'cluster', 'members']:
            answer = copy.deepcopy(ANSWERS['members'])
            for member in answer['metadata']:
                if member['server_name'] in control['down']:
                    member.update(status='Offline', message='No heartbeat')
            self.answer(answer)
        elif parts == ['1.0', 'operations']:
            self.sync({})
        elif parts[:2] == ['1.0', 'operations']:
            self.answer(operations.get(parts[2]) or ANSWERS['not_found'])
        elif parts == ['1.0', 'instances'] and self.command == 'GET':
            with lock:
                described = [container.describe() for container in containers.values()]
            self.sync(described)
        elif parts == ['1.0', 'instances']:
            self.create(json.loads(body), query.get('target'))
        elif parts[:2] == ['1.0', 'instances']:
            self.container(parts[2], parts[3:], query, body)
        else:
            self.answer(ANSWERS['not_found'])

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do

    def control(self, wanted):
        if 'say' in wanted:
            say(wanted.pop('say') * wanted.pop('times', 1))
        if 'blink' in wanted:
            name = wanted.pop('blink')
            tell('stopped', name)
            tell('started', name)
        if wanted.pop('cut', None):
            while streams:
                streams.pop().shutdown(socket.SHUT_RDWR)
        control.update(wanted)
        self.sync({})

    def stream(self):
        """A WebSocket (RFC 6455); what the client says is only looked at for its end, and for pings."""
        key = self.headers['Sec-WebSocket-Key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
        self.send_response(101)
        self.send_header('Upgrade', 'websocket')
        self.send_header('Connection', 'Upgrade')
        self.send_header('Sec-WebSocket-Accept', base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        self.close_connection = True
        streams.append(self.connection)
        try:
            while True:
                head = self.rfile.read(2)
                if len(head) < 2 or head[0] & 15 == 8:
                    break
                mask, content = self.rfile.read(4), self.rfile.read(head[1] & 127)
                if head[0] & 15 == 9:
                    content = bytes(byte ^ mask[i % 4] for i, byte in enumerate(content))
                    self.connection.sendall(bytes([0x8a, len(content)]) + content)
        except OSError:
            pass
        if self.connection in streams:
            streams.remove(self.connection)

    def create(self, request, target):
        refuse, control['refuse'] = control['refuse'], None
        with lock:
            if refuse:
                refusal = ANSWERS[refuse]
                return self.answer(refusal) if refusal['type'] == 'error' else self.later(refusal)
            if request['source'].get('alias') != 'busybox':
                return self.answer(ANSWERS['image_missing'])
            if request['name'] in containers:
                return self.later(ANSWERS['exists'])
            location = target or MEMBERS[len(containers) % len(MEMBERS)]
            containers[request['name']] = Container(request['name'], request['config'], location)
            os.makedirs(containers[request['name']].path('/sbin'))
        tell('created', request['name'])
        if control['forget']:
            control['forget'] = False
            self.close_connection = True
            return None
        return self.later(ANSWERS['done'])

    def container(self, name, rest, query, body):
        container = containers.get(name)
        if not container:
            return self.answer(ANSWERS['not_found'])
        if container.json['location'] in control['down']:
            return self.answer(ANSWERS['member_down'])
        if rest == ['files']:
            return self.file(container, container.path(query['path']), body)
        with lock:
            container.describe()
            if rest == ['state'] and self.command == 'GET':
                return self.sync({'status': container.json['status'], 'status_code': container.json['status_code']})
            if rest == ['state']:
                return self.set_state(container, json.loads(body))
            if self.command == 'GET':
                return self.sync(container.describe())
            if self.command == 'PATCH':
                container.json['config'].update(json.loads(body)['config'])
                tell('updated', name)
                return self.sync({})
            if container.process:
                return self.answer(ANSWERS['delete_running'])
            del containers[name]
            shutil.rmtree(container.root, ignore_errors=True)
            tell('deleted', name)
            return self.later(ANSWERS['done'])

    def set_state(self, container, request):
        if request['action'] == 'start':
            if container.process:
                return self.later(ANSWERS['running'])
            container.start()
            return self.later(ANSWERS['done'])
        if not container.process:
            return self.later(ANSWERS['stopped'])
        return self.later(container.stop(request['force'], request['timeout']))

    def file(self, container, path, body):
        if self.command == 'POST' and self.headers['X-LXD-type'] == 'directory':
            os.makedirs(path, exist_ok=True)
            return self.sync({})
        try:
            if self.command == 'POST':
                with open(path, 'wb') as file:
                    file.write(body)
                os.chmod(path, int(self.headers['X-LXD-mode'], 8))
            elif self.command == 'DELETE':
                os.remove(path)
            else:
                return self.send_file(path)
        except (FileNotFoundError, NotADirectoryError):
            return self.answer(ANSWERS['file_not_found'])
        return self.answer(ANSWERS['file_done'])

    def send_file(self, path):
        with open(path, 'rb') as file:
            content = file.read()
        wanted = self.headers['Range']
        if not wanted:
            return self.send(200, content, {'X-LXD-type': 'file'})
        first, last = (int(number) for number in wanted[len('bytes='):].split('-'))
        if first >= len(content):
            return self.send(416, b'', {'Content-Range': 'bytes */%d' % len(content)})
        part = content[first:last + 1]
        return self.send(206, part, {'Content-Range': 'bytes %d-%d/%d' % (first, first + len(part) - 1, len(content))})


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 256


class SecureServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True

    def __init__(self, certificate, key):
        super().__init__(('127.0.0.1', 0), Handler)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)

    def finish_request(self, request, client_address):
        count('TLS')
        try:
            request = self.context.wrap_socket(request, server_side=True)
        except OSError:
            return
        super().finish_request(request, client_address)


def end(*_):
    with lock:
        for container in containers.values():
            container.kill()
    os._exit(0)


def main():
    global directory
    directory = sys.argv[2]
    signal.signal(signal.SIGTERM, end)
    for i in range(int(sys.argv[3]) if len(sys.argv) > 3 else 0):
        name = 'berth-%s-%020x' % (sys.argv[4], i)
        config = {'user.berth.workspace': sys.argv[5], 'user.berth.step': 'made', 'user.berth.role': 'coder',
                  'user.berth.profile': 'default'}
        containers[name] = Container(name, config, MEMBERS[i % len(MEMBERS)])
    if 'STAND_IN_TLS' in os.environ:
        secure = SecureServer(*os.environ['STAND_IN_TLS'].split())
        with open(os.path.join(directory, 'port'), 'w', encoding='ascii') as file:
            file.write(str(secure.server_address[1]))
        threading.Thread(target=secure.serve_forever, daemon=True).start()
    with Server(sys.argv[1], Handler) as server:
        server.serve_forever()


main()
