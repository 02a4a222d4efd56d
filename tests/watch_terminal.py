#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs a command, which is berth watch, on a terminal of its own and follows what it draws.
The records that it shows are in DATA_DIR/pods, behind --data-dir in the command."""
import atexit
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

command = sys.argv[1:]
pods = os.path.join(command[command.index("--data-dir") + 1], "pods")
failed = False


def check(good, what):
    global failed
    print(("ok - " if good else "not ok - ") + what, flush=True)
    failed = failed or not good


def record(name):
    os.makedirs(os.path.join(pods, name), exist_ok=True)
    path = os.path.join(pods, name, "metadata.json")
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump({"worker_name": name, "workspace_root": "/srv/harbour"}, file)
    os.rename(path + ".new", path)


class Screen:
    """What a terminal of this size shows, as far as the sequences go that are used."""

    def __init__(self, rows, columns):
        self.rows, self.columns = rows, columns
        self.second = False
        self.cursor = True
        self.scrolled = 0
        self.unknown = []
        self.clear()

    def clear(self):
        self.lines = [""] * self.rows
        self.row = 0
        self.column = 0

    def put(self, char):
        if self.column == self.columns:
            self.newline()
            self.column = 0
        line = self.lines[self.row].ljust(self.column)
        self.lines[self.row] = line[:self.column] + char + line[self.column + 1:]
        self.column += 1

    def newline(self):
        self.row += 1
        if self.row == self.rows:
            self.lines = self.lines[1:] + [""]
            self.row -= 1
            self.scrolled += 1

    def sequence(self, text):
        if text in ("\033[?1049h", "\033[?1049l"):
            self.second = text.endswith("h")
            self.clear()
        elif text in ("\033[?25h", "\033[?25l"):
            self.cursor = text.endswith("h")
        elif text == "\033[H":
            self.row = self.column = 0
        elif text == "\033[K":
            self.lines[self.row] = self.lines[self.row][:self.column]
        elif text == "\033[J":
            self.lines[self.row] = self.lines[self.row][:self.column]
            for row in range(self.row + 1, self.rows):
                self.lines[row] = ""
        else:
            self.unknown.append(text)

    def feed(self, text):
        for part in re.findall("\033\\[[?0-9;]*[A-Za-z]|.", text, re.DOTALL):
            if len(part) > 1:
                self.sequence(part)
            elif part == "\r":
                self.column = 0
            elif part == "\n":
                self.newline()
            elif part < " ":
                self.unknown.append(part)
            else:
                self.put(part)

    def has(self, text):
        return any(text in line for line in self.lines)


def resize(terminal, screen, rows, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    screen.rows, screen.columns = rows, columns
    screen.clear()


def start(rows, columns):
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        time.sleep(0.1)
        os.execv(command[0], command)
    processes.append(pid)
    screen = Screen(rows, columns)
    resize(terminal, screen, rows, columns)
    return pid, terminal, screen


def follow(terminal, screen, until):
    """Reads until the screen is as it should be. The limit is for what never comes."""
    end = time.monotonic() + 60
    pending = b""
    while not until() and time.monotonic() < end:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            data = os.read(terminal, 65536)
        except OSError:
            break
        pending += data
        try:
            text = pending.decode()
        except UnicodeDecodeError:
            continue
        # A sequence may have come in part.
        cut = text.rfind("\033")
        if cut >= 0 and not re.match("\033\\[[?0-9;]*[A-Za-z]", text[cut:]):
            text, pending = text[:cut], text[cut:].encode()
        else:
            pending = b""
        screen.feed(text)
    return until()


def end(pid):
    status = os.waitpid(pid, 0)[1]
    processes.remove(pid)
    return status


def last(screen):
    return next((line for line in reversed(screen.lines) if line), "")


os.environ.pop("COLUMNS", None)
# Whatever happens here, nothing is left running.
processes = []
atexit.register(lambda: [os.kill(pid, signal.SIGKILL) for pid in processes])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
process, tty, view = start(24, 80)
check(follow(tty, view, lambda: view.has(" kaya")) and view.second and not view.cursor,
      "it takes the second screen, without a cursor")
check(view.lines[0].startswith("berth watch") and view.has("RUNTIME") and view.has("WORKER"),
      "there are a title and both tables")
record("mila")
check(follow(tty, view, lambda: view.has(" mila")) and view.lines[0].startswith("berth watch"),
      "a worker that came is drawn")
resize(tty, view, 12, 100)
for number in range(20):
    record("pier-%02d" % number)
check(follow(tty, view, lambda: re.search(r"\.\.\. and \d+ more lines$", last(view))) and view.scrolled == 0 and
      view.lines[0].startswith("berth watch"), "a small screen shows the beginning, and how much there is more")
for number in range(20):
    os.remove(os.path.join(pods, "pier-%02d" % number, "metadata.json"))
    os.rmdir(os.path.join(pods, "pier-%02d" % number))
check(follow(tty, view, lambda: view.has(" mila") and not view.has("more lines")) and not view.has("pier"),
      "what went is not left on it")
resize(tty, view, 30, 40)
check(follow(tty, view, lambda: view.has(" mila")), "another size draws it anew, though nothing has changed")
os.kill(process, signal.SIGTSTP)
check(follow(tty, view, lambda: not view.second and view.cursor) and
      os.waitpid(process, os.WUNTRACED)[1] & 0xff == 0x7f, "a stop gives the screen back")
os.kill(process, signal.SIGCONT)
check(follow(tty, view, lambda: view.second and view.has(" mila")), "going on takes it again")
os.write(tty, b"\003")
check(follow(tty, view, lambda: not view.second and view.cursor), "an interrupt gives the screen back")
check(end(process) == 0, "its exit status is 0")
check(not view.unknown, "it controls the terminal in no other way: " + repr(view.unknown))

process, tty, view = start(24, 80)
follow(tty, view, lambda: view.has(" mila"))
os.kill(process, signal.SIGTERM)
check(follow(tty, view, lambda: not view.second and view.cursor), "so does what ends it otherwise")
check(end(process) == signal.SIGTERM, "which is then what has ended it")
sys.exit(failed)
