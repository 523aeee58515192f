"""Processes that are started again whenever they end, as an init system would, and a journal of what
was done to them. This process is the first of its namespace: orphans come to it."""

import json
import os
import signal
import subprocess
import threading
import time

AGAIN = 0.5     # seconds until what has ended by itself is started again


class Journal:
    """Lines of JSON, each with its time; of several threads."""

    def __init__(self, path):
        self.file = open(path, "a", encoding="utf-8", buffering=1)
        self.lock = threading.Lock()
        self.entries = []

    def write(self, what, **more):
        entry = dict(t=time.time(), what=what, **more)
        with self.lock:
            self.entries.append(entry)
            self.file.write(json.dumps(entry) + "\n")


class Service:
    """`command` is asked at each start. All that it says goes to one file."""

    def __init__(self, name, journal, prefix, command, log, env=None):
        self.name, self.journal, self.prefix, self.command = name, journal, prefix, command
        self.log, self.env = log, env
        self.process, self.status, self.again = None, None, 0
        self.wanted = self.frozen = False

    def start(self):
        """From now on it is kept running."""
        self.wanted = True
        self._run()

    def attempt(self):
        """Once, and not again if it ends: `status` is how it did."""
        self.status = None
        self._run()

    def _run(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.prefix + self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=dict(os.environ, **(self.env or {})), start_new_session=True)
        self.journal.write("started", who=self.name, pid=self.process.pid)

    def alive(self):
        return self.process is not None

    def kill(self, number=signal.SIGKILL, seconds=20):
        """Ends it; it stays away until it is started. Its exit status."""
        self.wanted = False
        if not self.process:
            return None
        self.thaw()
        self.process.send_signal(number)
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.journal.write("does not end", who=self.name, signal=number)
            self.process.kill()
            status = self.process.wait()
        self.process = None
        self.journal.write("killed", who=self.name, signal=number, status=status)
        return status

    def freeze(self):
        if self.process:
            self.process.send_signal(signal.SIGSTOP)
            self.frozen = True

    def thaw(self):
        if self.process and self.frozen:
            self.process.send_signal(signal.SIGCONT)
        self.frozen = False

    def poll(self):
        """To be called often. Sees its end, and starts it again."""
        if self.process and self.process.poll() is not None:
            self.status = self.process.returncode
            self.journal.write("ended" if self.wanted else "refused", who=self.name,
                               status=self.status, tail=self.tail())
            self.process, self.again = None, time.monotonic() + AGAIN
        if self.wanted and not self.process and time.monotonic() >= self.again:
            self._run()

    def tail(self, lines=6):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read().splitlines()[-lines:]


def reap(services):
    """Orphans that have ended, but none of the services, whose status is theirs to see."""
    ours = {s.process.pid for s in services if s.process}
    while True:
        try:
            seen = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if not seen or seen.si_pid in ours:
            return      # what is behind it comes next time
        os.waitpid(seen.si_pid, 0)


def everybody():
    """{pid: (program's name, command line)} but for this process and its threads."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) == os.getpid():
            continue
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                line = f.read().replace(b"\0", b" ").decode(errors="replace").strip()
            with open("/proc/%s/comm" % pid, encoding="utf-8", errors="replace") as f:
                found[int(pid)] = (f.read().strip(), line)
        except OSError:
            pass
    return found


def parent(pid):
    with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as f:
        return int(f.read().rpartition(")")[2].split()[1])


def variable(pid, name):
    """Of a process's environment, or None."""
    try:
        with open("/proc/%d/environ" % pid, "rb") as f:
            for word in f.read().split(b"\0"):
                if word.startswith(name.encode() + b"="):
                    return word.partition(b"=")[2].decode(errors="replace")
    except OSError:
        pass
    return None
