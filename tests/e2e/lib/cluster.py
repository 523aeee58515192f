"""A cluster for end-to-end tests: `reeve local` on free ports in a folder of its own."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
REEVE = os.environ.get("REEVE") or os.path.join(TOP, "build", "reeve")


def containerizers():
    """What can be asked for here: the other one needs root."""
    return ["process", "linux"] if os.geteuid() == 0 else ["process"]


class Cluster:
    """with Cluster(agents=2) as c: c.master, c.agents are (host, port)."""

    def __init__(self, agents=1, *flags):
        self.folder = tempfile.mkdtemp(prefix="reeve-e2e-")
        os.chmod(self.folder, 0o755)
        self.log = os.path.join(self.folder, "log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [REEVE, "local", "--port=0", "--agents=%d" % agents,
                 "--work_dir=" + os.path.join(self.folder, "work"), *flags],
                stdout=subprocess.PIPE, stderr=log, text=True)
        self.master = self._address("master at http://")
        self.agents = [self._address("agent at http://") for _ in range(agents)]
        self.wait(lambda: self.json("GET", "/metrics/snapshot")["master/slaves_active"] == agents,
                  "the agents to register")

    def _address(self, prefix):
        line = self.process.stdout.readline()
        if not line.startswith(prefix):
            self.close()
            raise SystemExit("cannot start %s: %r" % (REEVE, line))
        host, _, port = line[len(prefix):].strip().rpartition(":")
        return host, int(port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends it in good order; True if it ended with status 0."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        return self.process.returncode == 0

    def alive(self):
        return self.process.poll() is None

    def request(self, method, path, body=None, headers=None, address=None, timeout=30):
        """(status, headers, body) of one request on a connection of its own."""
        connection = http.client.HTTPConnection(*(address or self.master), timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def json(self, method, path, message=None, address=None):
        body = json.dumps(message).encode() if message is not None else None
        status, _, data = self.request(method, path, body, {
            "Content-Type": "application/json", "Accept": "application/json"}, address)
        if status not in (200, 202):
            raise AssertionError("%s %s: HTTP %d %r" % (method, path, status, data[:200]))
        return json.loads(data) if data else None

    def wait(self, condition, what, seconds=20):
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError("not in time: " + what)
            if not self.alive():
                raise AssertionError("the cluster has ended, waiting for " + what)
            time.sleep(0.1)

    def resident_kib(self):
        with open("/proc/%d/status" % self.process.pid, encoding="ascii") as f:
            return int([line for line in f if line.startswith("VmRSS")][0].split()[1])


class Report:
    """Counts, and tells, one case after the other."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def case(self, name, check):
        """check() returns None or what is wrong; an AssertionError or OSError is wrong too."""
        try:
            problem = check()
        except (AssertionError, OSError, http.client.HTTPException, ValueError, KeyError) as e:
            problem = "%s: %s" % (type(e).__name__, e)
        if problem:
            self.failed += 1
            print("FAIL  %s: %s" % (name, problem), flush=True)
        else:
            self.passed += 1
            if os.environ.get("VERBOSE"):
                print("ok    %s" % name, flush=True)

    def skip(self, name, why):
        self.skipped += 1
        print("skip  %s: %s" % (name, why), flush=True)

    def finish(self):
        print("%d passed, %d failed, %d skipped" % (self.passed, self.failed, self.skipped),
              flush=True)
        return 1 if self.failed else 0
