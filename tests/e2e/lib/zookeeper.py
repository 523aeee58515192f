"""ZooKeeper for end-to-end tests: one server or three on free ports of loopback, and a look at what
is in it. Without ZooKeeper on the machine, `missing()` says so."""

import itertools
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import time

from cluster import TOP

SERVER = os.path.join(TOP, "tests", "lib", "zookeeper")
# Below the ports that the kernel gives to clients: see tests/lib/zk_world.h.
ports = itertools.count(random.randrange(20000, 31000))


def missing():
    return (shutil.which("java") is None
            or not os.path.exists("/usr/share/java/zookeeper.jar"))


def free_port():
    while True:
        port = 20000 + next(ports) % 12000
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


def serves(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
            s.sendall(b"srvr")
            text = b""
            while True:
                more = s.recv(4096)
                if not more:
                    return b"Mode:" in text
                text += more
    except OSError:
        return False


class ZooKeeperError(Exception):
    NO_NODE, NO_AUTH, BAD_VERSION = -101, -102, -103

    def __init__(self, code, path):
        super().__init__("ZooKeeper answers %d for %s" % (code, path))
        self.code = code


def _buffer(data):
    return struct.pack(">i", len(data)) + data


def _string(text):
    return _buffer(text.encode())


class Client:
    """Looks and meddles: each operation in a session of its own, on any server that serves."""

    OPEN = struct.pack(">ii", 1, 31) + _string("world") + _string("anyone")

    def __init__(self, ports, credentials=None):
        self.ports, self.credentials = ports, credentials

    def _read(self, s):
        def exactly(n):
            data = b""
            while len(data) < n:
                more = s.recv(n - len(data))
                if not more:
                    raise OSError("ZooKeeper has closed the connection")
                data += more
            return data
        return exactly(struct.unpack(">i", exactly(4))[0])

    def _ask(self, kind, path, body):
        for i, port in enumerate(self.ports):
            try:
                return self._ask_at(port, kind, path, body)
            except OSError:
                if i == len(self.ports) - 1:
                    raise
        return None

    def _ask_at(self, port, kind, path, body):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as s:
            s.sendall(_buffer(struct.pack(">iqiq", 0, 0, 10000, 0) + _buffer(b"\0" * 16)))
            self._read(s)
            if self.credentials:
                s.sendall(_buffer(struct.pack(">iii", -4, 100, 0) + _string("digest")
                                  + _buffer(self.credentials.encode())))
                self._read(s)
            s.sendall(_buffer(struct.pack(">ii", 1, kind) + _string(path) + body))
            answer = self._read(s)
            s.sendall(_buffer(struct.pack(">ii", 2, -11)))
        code = struct.unpack(">i", answer[12:16])[0]
        if code:
            raise ZooKeeperError(code, path)
        return answer[16:]

    def get(self, path):
        """(data, mzxid, session of an ephemeral node)"""
        answer = self._ask(4, path, b"\0")
        n = max(struct.unpack(">i", answer[:4])[0], 0)
        stat = struct.unpack(">qqqqiiiqiiq", answer[4 + n:4 + n + 68])
        return answer[4:4 + n], stat[1], stat[7]

    def set(self, path, data):
        self._ask(5, path, _buffer(data) + struct.pack(">i", -1))

    def create(self, path, data):
        self._ask(1, path, _buffer(data) + self.OPEN + struct.pack(">i", 0))

    def delete(self, path):
        self._ask(2, path, struct.pack(">i", -1))

    def get_children(self, path):
        answer = self._ask(8, path, b"\0")
        names, at = [], 4
        for _ in range(struct.unpack(">i", answer[:4])[0]):
            n = struct.unpack(">i", answer[at:at + 4])[0]
            names.append(answer[at + 4:at + 4 + n].decode())
            at += 4 + n
        return sorted(names)


class ZooKeeper:
    """with ZooKeeper(folder, 3) as zk: zk.url("/reeve") names it for flags."""

    def __init__(self, folder, servers=1, tick_ms=500):
        self.folder, self.tick_ms = os.path.join(folder, "zookeeper"), tick_ms
        self.ports = [(free_port(), free_port(), free_port()) for _ in range(servers)]
        self.servers = [None] * servers
        for i in range(servers):
            self.start(i, wait=False)
        for i in range(servers):
            self.await_serving(i)

    def start(self, i=0, wait=True):
        folder = os.path.join(self.folder, str(i + 1))
        os.makedirs(folder, exist_ok=True)
        self.servers[i] = subprocess.Popen(
            [SERVER, folder, str(i + 1)] + ["%d:%d:%d" % p for p in self.ports],
            env=dict(os.environ, TICK_MS=str(self.tick_ms)))
        if wait:
            self.await_serving(i)

    def await_serving(self, i):
        deadline = time.monotonic() + 90
        while not serves(self.ports[i][0]):
            if self.servers[i].poll() is not None or time.monotonic() > deadline:
                with open(os.path.join(self.folder, str(i + 1), "out"), encoding="utf-8") as f:
                    raise AssertionError("ZooKeeper does not serve: " + f.read()[-400:])
            time.sleep(0.1)

    def kill(self, i=0):
        if self.servers[i]:
            self.servers[i].send_signal(signal.SIGCONT)
            self.servers[i].kill()
            self.servers[i].wait()
            self.servers[i] = None

    def send(self, number, i=0):
        self.servers[i].send_signal(number)

    def hosts(self):
        return ",".join("127.0.0.1:%d" % p[0] for p in self.ports)

    def url(self, path, credentials=""):
        return "zk://%s%s%s" % (credentials, self.hosts(), path)

    def client(self, credentials=None):
        return Client([p[0] for p in self.ports], credentials)

    def close(self):
        for i in range(len(self.servers)):
            self.kill(i)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
