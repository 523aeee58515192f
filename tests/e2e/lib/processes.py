"""Masters and agents as processes of their own, to be killed and started again, and a scheduler."""

import glob
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid

from cluster import REEVE


class NotLeading(AssertionError):
    """A master does not lead, or not any more."""


def wait(condition, what, seconds=60):
    """The first true result of condition(). Time is generous: a machine may be busy, and may even
    keep a leader from ZooKeeper until another leads."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            result = condition()
        except (OSError, http.client.HTTPException, NotLeading):
            result = None
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError("not in time: " + what)
        time.sleep(0.05)


def accepted(what, status, body):
    if status in (307, 503):
        raise NotLeading("%s: HTTP %d %r" % (what, status, body[:200]))
    if status not in (200, 202):
        raise AssertionError("%s: HTTP %d %r" % (what, status, body[:200]))


def request(address, method, path, body=None, headers=None, timeout=10):
    connection = http.client.HTTPConnection(*address, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def get(address, path):
    status, body = request(address, "GET", path)
    accepted("GET " + path, status, body)
    return json.loads(body)


class StreamEnded(Exception):
    """A scheduler's stream has ended before what it waits for has come."""


class Daemon:
    """`reeve master` or `reeve agent`, with a folder and, once it was started, a port."""

    def __init__(self, folder, verb, *flags, prefix=()):
        self.verb, self.flags, self.prefix, self.port = verb, flags, list(prefix), 0
        self.folder = os.path.join(folder, verb)
        os.makedirs(self.folder, exist_ok=True)
        self.work_dir = os.path.join(self.folder, "work")
        # A version before has no such flag, but passes over variables that it does not know.
        self.env = dict(os.environ, REEVE_RUNTIME_DIR=os.path.join(self.folder, "runtime"))
        self.log = os.path.join(self.folder, "log")
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.prefix + [REEVE, self.verb, "--port=%d" % self.port,
                               "--work_dir=" + self.work_dir, *self.flags],
                stdout=subprocess.PIPE, stderr=log, text=True, env=self.env)
        line = self.process.stdout.readline()
        if not line.startswith(self.verb + " at http://"):
            self.process.wait(10)
            raise AssertionError("cannot start %s: %s" % (self.verb, self.tail()))
        self.port = int(line.strip().rpartition(":")[2])
        self.address = ("127.0.0.1", self.port)
        return self

    def records(self):
        """The folder of an agent's records of containers."""
        link = os.path.join(self.work_dir, "meta", "runtime")
        return os.readlink(link) if os.path.islink(link) else os.path.join(
            self.work_dir, "meta", "containers")

    def said(self, text):
        """Once, and at any time: the last lines may be others by now."""
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return text in f.read()

    def tail(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return " / ".join(f.read().splitlines()[-4:])

    def send(self, number):
        self.process.send_signal(number)

    def end(self, number=signal.SIGKILL, seconds=15):
        """Its exit status."""
        if self.process and self.process.poll() is None:
            self.send(signal.SIGCONT)
            self.send(number)
        if not self.process:
            return None
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("the %s did not end" % self.verb)
        finally:
            self.process.stdout.close()
        self.process = None
        return status

    def alive(self):
        return self.process is not None and self.process.poll() is None


class Cell:
    """with Cell() as c: c.master, c.agent: one of each, in a folder of its own."""

    def __init__(self, master=(), agent=(), prefix=(),
                 resources="cpus:4;mem:2048;disk:2048"):
        self.folder = tempfile.mkdtemp(prefix="reeve-restart-")
        os.chmod(self.folder, 0o755)
        self.schedulers = []
        self.agent = None
        self.master = Daemon(self.folder, "master", "--allocation_interval=100ms", *master)
        try:
            self.master.start()
            self.agent = Daemon(
                self.folder, "agent", "--master=127.0.0.1:%d" % self.master.port,
                "--resources=" + resources, "--registration_backoff_factor=100ms",
                *agent, prefix=prefix)
            self.agent.start()
            wait(self.is_registered, "the agent to register")
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for s in self.schedulers:
            s.close()
        for d in (self.agent, self.master):
            if d and d.process and d.process.poll() is None:
                d.end(signal.SIGKILL)
        for pid in processes_in(self.folder):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.agent:
            remove_groups(self.agent.log)
        if os.environ.get("KEEP"):
            print("kept", self.folder)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def slaves(self):
        return get(self.master.address, "/slaves")["slaves"]

    def is_registered(self):
        return any(s["active"] for s in self.slaves())

    def agent_id(self):
        return self.slaves()[0]["id"]

    def scheduler(self, **info):
        s = Scheduler(self, info)
        self.schedulers.append(s)
        return s.subscribe()


def processes_in(folder):
    """Of tasks and executors: those whose working directory is the folder or below it."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if (os.readlink("/proc/%s/cwd" % pid) + "/").startswith(folder + "/"):
                found.append(int(pid))
        except OSError:
            pass
    return found


def remove_groups(log):
    """The control groups of an agent that was killed and is not started again, by its log."""
    with open(log, encoding="utf-8", errors="replace") as f:
        names = set(re.findall(r"cgroups v\d \([^)]*\) in (reeve/[0-9a-f]+)", f.read()))
    for name in names:
        for top in glob.glob("/sys/fs/cgroup/" + name) + glob.glob("/sys/fs/cgroup/*/" + name):
            for folder, _, _ in os.walk(top, topdown=False):
                wait(lambda f=folder: removed(f), folder + " to be empty")


def removed(group):
    try:
        os.rmdir(group)
    except FileNotFoundError:
        return True
    except OSError:
        with open(os.path.join(group, "cgroup.procs"), encoding="ascii") as f:
            for pid in f.read().split():
                os.kill(int(pid), signal.SIGKILL)
        return False
    return True


def outside(pid, sandbox):
    """The number here of a process that has this one in its container; None: it is not there."""
    for found in processes_in(sandbox):
        try:
            with open("/proc/%d/status" % found, encoding="ascii") as f:
                if [int(line.split()[-1]) for line in f if line.startswith("NSpid:")] == [pid]:
                    return found
        except OSError:
            pass
    return None


class Scheduler:
    """Its events are collected by a thread and acknowledged unless told otherwise."""

    def __init__(self, cell, info):
        self.cell, self.events, self.acknowledging, self.id = cell, [], True, None
        self.info = {"user": "root", "name": "restart", "roles": ["r"], "failover_timeout": 600,
                     "checkpoint": True, "capabilities": [
                         {"type": "MULTI_ROLE"}, {"type": "RESERVATION_REFINEMENT"},
                         {"type": "PARTITION_AWARE"}]}
        self.info.update(info)
        self.used, self.socket, self.reader, self.first = set(), None, None, 0
        self.master = None      # the one that it subscribed to

    def subscribe(self, answer="SUBSCRIBED"):
        """Until an event of that type has come, ERROR if it is to be refused."""
        self.close()
        call = {"type": "SUBSCRIBE", "subscribe": {"framework_info": self.info}}
        if self.id:
            call["framework_id"] = self.info["id"] = self.id
        body = json.dumps(call).encode()
        self.master = self.cell.master
        self.socket = socket.create_connection(self.master.address, timeout=60)
        self.socket.sendall(b"POST /api/v1/scheduler HTTP/1.1\r\nHost: x\r\nContent-Type: "
                            b"application/json\r\nAccept: application/json\r\nContent-Length: %d"
                            b"\r\n\r\n" % len(body) + body)
        file = self.socket.makefile("rb")
        line = file.readline().split()
        if len(line) < 2:
            raise ConnectionError("no answer to SUBSCRIBE")
        headers = {}
        while True:
            name, _, value = file.readline().decode().strip().partition(":")
            if not name:
                break
            headers[name.lower()] = value.strip()
        accepted("SUBSCRIBE", int(line[1]), b"")
        self.stream = headers["mesos-stream-id"]
        since = self.first = len(self.events)       # offers of before are void
        self.reader = threading.Thread(target=self._read, args=(file,), daemon=True)
        self.reader.start()
        event = self.wait(lambda e: e["type"] == answer, answer, since=since)
        if answer == "SUBSCRIBED":
            self.id = event["subscribed"]["framework_id"]
        return self

    def _read(self, file):
        try:
            while True:
                size = int(file.readline() or b"0", 16)
                if not size:
                    break
                record = file.read(size)
                file.readline()
                event = json.loads(record.partition(b"\n")[2])
                self.events.append(event)
                if event["type"] == "UPDATE" and self.acknowledging:
                    self.acknowledge(event["update"]["status"])
        except (OSError, ValueError, http.client.HTTPException, AssertionError):
            pass

    def wait(self, predicate, what, seconds=60, since=0):
        def look():
            ended = not self.reader.is_alive()
            found = next((e for e in self.events[since:] if predicate(e)), None)
            if ended and not found:
                self.stream_ended()
            return found
        try:
            return wait(look, what, seconds)
        except AssertionError:
            raise AssertionError("%s did not come; last: %s; agent: %s" % (
                what, [e.get("update", e["type"]) for e in self.events[-3:]],
                self.cell.agent.tail())) from None

    def stream_ended(self):
        """While something is waited for. It may go on, by another one."""

    def call(self, kind, body=None):
        message = {"type": kind, "framework_id": self.id}
        if body is not None:
            message[kind.lower()] = body
        status, text = request(self.master.address, "POST", "/api/v1/scheduler",
                               json.dumps(message).encode(),
                               {"Content-Type": "application/json",
                                "Mesos-Stream-Id": self.stream})
        accepted(kind, status, text)

    def acknowledge(self, status):
        if "uuid" in status:
            self.call("ACKNOWLEDGE", {"agent_id": status["agent_id"], "uuid": status["uuid"],
                                      "task_id": status["task_id"]})

    def offer(self, cpus=0.5, mem=64):
        """One with so much; what an earlier task left goes back."""
        while True:
            o = self.any_offer()
            if all(any(r["name"] == name and r["scalar"]["value"] >= amount
                       for r in o["resources"]) for name, amount in (("cpus", cpus), ("mem", mem))):
                return o
            self.call("DECLINE", {"offer_ids": [o["id"]], "filters": {"refuse_seconds": 0}})

    def any_offer(self):
        def unused():
            if not self.reader.is_alive():
                self.stream_ended()
            for e in list(self.events[self.first:]):
                for o in e["offers"]["offers"] if e["type"] == "OFFERS" else []:
                    if o["id"]["value"] not in self.used and not any(
                            r["type"] == "RESCIND" and r["rescind"]["offer_id"] == o["id"]
                            for r in list(self.events)):
                        self.used.add(o["id"]["value"])
                        return o
            return None
        return wait(unused, "an offer")

    def launch(self, command, cpus=0.5, resources=(), extra=(), **more):
        """The new task's id, as in messages. The command is a line or a message, or None for a
        task with an executor among the fields; resources are scalars beside cpus and memory, extra
        are other ones, and more are fields."""
        if isinstance(command, str):
            command = {"value": command}
        o = self.offer(cpus)
        task = {"value": "t-" + uuid.uuid4().hex[:8]}
        if command:
            more["command"] = command
        scalars = [{"name": n, "type": "SCALAR", "scalar": {"value": v},
                    "allocation_info": {"role": "r"}}
                   for n, v in (("cpus", cpus), ("mem", 64), *resources)]
        self.call("ACCEPT", {"offer_ids": [o["id"]], "filters": {"refuse_seconds": 0},
                             "operations": [{"type": "LAUNCH", "launch": {"task_infos": [{
                                 "name": "task", "task_id": task, "agent_id": o["agent_id"],
                                 "resources": scalars + list(extra), **more}]}}]})
        self.agent_id = o["agent_id"]
        return task

    def updates(self, task, since=0):
        return [e["update"]["status"] for e in self.events[since:]
                if e["type"] == "UPDATE" and e["update"]["status"]["task_id"] == task]

    def state(self, task, state, seconds=60, since=0):
        """The status that says so."""
        e = self.wait(lambda e: e["type"] == "UPDATE" and
                      e["update"]["status"]["task_id"] == task and
                      e["update"]["status"]["state"] == state,
                      "%s of %s" % (state, task["value"]), seconds, since)
        return e["update"]["status"]

    def reconcile(self, task):
        self.call("RECONCILE", {"tasks": [{"task_id": task, "agent_id": self.agent_id}]})

    def close(self):
        if self.socket:
            try:
                self.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self.socket.close()
            self.socket = None
