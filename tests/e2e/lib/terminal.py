"""A program on a terminal of its own, as somebody who types and reads sees it."""

import fcntl
import os
import pty
import re
import select
import struct
import termios
import time

ESCAPES = re.compile(rb"\x1b(\[[0-9;?>=!]*[ -/]*[@-~]|\][^\x07]*\x07|[()][A-Z0-9]|[=>78MDEHc])|\x0f")
LONG = 60


class Terminal:
    """`seen` is what it has written and nobody has looked at yet."""

    def __init__(self, program, words, env, rows=24, columns=80):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            self.fd = 0
            self.size(rows, columns)
            os.execve(program, [program, *words], env)
        self.seen = b""

    def size(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.fd, text.encode())

    def leave(self, key):
        """Presses it until the program has gone."""
        deadline = time.monotonic() + LONG
        while self.read(0) and time.monotonic() < deadline:
            try:
                self.type(key)
            except OSError:
                return
            until = time.monotonic() + 1
            while time.monotonic() < until and self.read():
                pass

    def last(self):
        return repr(self.seen[-1000:])

    def read(self, wait=0.1):
        """False when the program has gone."""
        if select.select([self.fd], [], [], wait)[0]:
            try:
                self.seen += os.read(self.fd, 65536)
            except OSError:
                return False
        return True

    def expect(self, text, what):
        """Goes on after the text, as it came."""
        return self.match(re.escape(text.encode()), what, plain=False)

    def match(self, pattern, what, plain=True):
        """The match; `plain`: in what is left when all that only moves or paints is taken away."""
        deadline = time.monotonic() + LONG
        while True:
            text = ESCAPES.sub(b"", self.seen) if plain else self.seen
            found = re.search(pattern, text)
            if found:
                self.seen = text[found.end():]
                return found
            if not self.read() or time.monotonic() > deadline:
                raise AssertionError("%s: %s" % (what, self.last()))

    def end(self):
        """The exit status, once all is read."""
        deadline = time.monotonic() + LONG
        while self.read():
            if time.monotonic() > deadline:
                raise AssertionError("it does not end: " + self.last())
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def edit(t, name):
    """Somebody uses vi: inserts, asks for the terminal and its size, resizes, and saves."""
    t.match(rb"(?i)\W%s\W.*new" % name.encode(), "the new file")
    t.type("ihello from vi\x1b")
    t.match(rb"hello from vi", "what is typed")
    t.type(":set lines? columns?\r")
    t.match(rb"lines=24\s+columns=80", "the size")
    t.type("\r")
    t.size(30, 100)
    # It may be about to draw when a key comes: asked again, on a screen that is drawn anew.
    new_size, deadline = re.compile(rb"lines=30\s+columns=100"), time.monotonic() + LONG
    while not new_size.search(ESCAPES.sub(b"", t.seen)) and time.monotonic() < deadline:
        t.type("\r\x0c:set lines? columns?\r")
        time.sleep(0.1)
        t.read()
    t.match(new_size, "the new size")
    t.type("\r:!tty; test -w $(tty) && echo it is ours\r")
    t.match(rb"/dev/pts/\d+\s+it is ours", "the terminal's name")
    t.type("\r:wq\r")


def watch(t):
    """Somebody looks at top, resizes, and leaves; the sum of processes that it has shown."""
    n = int(t.match(rb"Tasks:\s+(\d+) total", "the processes")[1])
    t.match(rb"PID USER", "the table")
    t.size(20, 60)
    t.match(rb"PID USER", "the table once more")
    t.leave("q")    # it throws away what is typed while it draws
    return n
