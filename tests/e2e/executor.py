#!/usr/bin/env python3
"""The built-in executors, as real processes, against an agent endpoint made here: enough of the
executor API to launch, kill, acknowledge and lose the connection.

    tests/e2e/executor.py [PATH/TO/reeve-executor [TEST...]]

Without a path: the one in build/.
Ends with a line "N passed, N failed, N skipped"; exit status 0 if none failed.
"""

import http.server
import os
import queue
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import uuid

RUNNING, FINISHED, FAILED, KILLED, KILLING = 1, 2, 3, 4, 8
SUBSCRIBED, LAUNCH, KILL, ACKNOWLEDGED, SHUTDOWN, LAUNCH_GROUP = 1, 2, 3, 4, 7, 8
CHECK, HEALTH, COMPLETION = 28, 29, 33
NAMES = {RUNNING: "RUNNING", FINISHED: "FINISHED", FAILED: "FAILED", KILLED: "KILLED",
         KILLING: "KILLING"}


# ---- protobuf by hand: a message is a dict of field number to value or list of values ----

def varint(n):
    out = b""
    while n > 0x7f:
        out += bytes([n & 0x7f | 0x80])
        n >>= 7
    return out + bytes([n])


def encode(message):
    out = b""
    for number, values in message.items():
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, float):
                out += varint(number << 3 | 1) + struct.pack("<d", value)
            elif isinstance(value, int):
                out += varint(number << 3) + varint(int(value))
            else:
                if isinstance(value, dict):
                    value = encode(value)
                elif isinstance(value, str):
                    value = value.encode()
                out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def decode(data):
    """{number: [value]}; submessages stay bytes."""
    out, at = {}, 0

    def number():
        nonlocal at
        n = shift = 0
        while True:
            byte = data[at]
            at += 1
            n |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return n
    while at < len(data):
        key = number()
        if key & 7 == 0:
            value = number()
        elif key & 7 == 1:
            value = struct.unpack_from("<d", data, at)[0]
            at += 8
        else:
            assert key & 7 == 2, key
            n = number()
            value = data[at:at + n]
            assert len(value) == n
            at += n
        out.setdefault(key >> 3, []).append(value)
    return out


def path(message, *numbers):
    """The first value at a path of field numbers, or None."""
    for number in numbers:
        values = decode(message).get(number) if isinstance(message, bytes) else message.get(number)
        if not values:
            return None
        message = values[0]
    return message


class Status:
    def __init__(self, data):
        self.raw = decode(data)
        self.task = path(self.raw, 1, 1).decode()
        self.state = path(self.raw, 2)
        self.message = (path(self.raw, 4) or b"").decode()
        self.source, self.reason = path(self.raw, 9), path(self.raw, 10)
        self.executor = path(self.raw, 7, 1)
        self.timestamp, self.uuid = path(self.raw, 6), path(self.raw, 11)
        healthy = path(self.raw, 8)
        self.healthy = None if healthy is None else bool(healthy)
        self.check = path(self.raw, 15)
        self.container = path(self.raw, 13, 4, 1)
        self.parent = path(self.raw, 13, 4, 2, 1)

    def __repr__(self):
        return "<%s %s %r healthy=%s reason=%s>" % (
            self.task, NAMES.get(self.state, self.state), self.message, self.healthy, self.reason)


def command(value, *arguments, shell=True, env=None, user=None):
    out = {3: value, 6: int(shell), 7: list(arguments)}
    if env:
        out[2] = {1: [{1: k, 2: v} for k, v in env.items()]}
    if user:
        out[5] = user
    return out


def task(task_id, cmd, grace=None, completion=None, **fields):
    out = {1: task_id, 2: {1: task_id}, 3: {1: "agent"}, 7: cmd if isinstance(cmd, dict)
           else command(cmd)}
    if grace is not None:
        out[12] = {1: {1: int(grace * 1e9)}}
    if completion is not None:
        out[14] = {1: int(completion * 1e9)}
    if "health" in fields:
        out[8] = fields["health"]
    if "check" in fields:
        out[13] = fields["check"]
    return out


def health(kind, interval=0.2, failures=3, grace=0.0, delay=0.0, timeout=5.0):
    return {2: delay, 3: interval, 4: timeout, 5: failures, 6: grace, **kind}


class Containers:
    """What an agent makes of nested containers: processes of its own, by their ids. Outlives it."""

    LAUNCH, WAIT, KILL, SESSION, REMOVE = 22, 15, 16, 17, 21

    def __init__(self):
        self.processes = {}     # id -> Popen, of those that run and those that have ended
        self.sandbox = None     # of the executor
        self.env = {}           # of the executor
        self.calls = []         # (type, id) of all calls
        self.answers = {}       # type -> list of what is answered instead, one call after another:
        #                         a status, or "lost" and "taken" for none, before and after the deed
        self.lock = threading.Lock()

    def launch(self, container, message, session=False):
        with self.lock:
            if container in self.processes and self.processes[container].poll() is None:
                return 202, b""
        folder = self.sandbox if session else os.path.join(self.sandbox, "containers",
                                                           container.split(".")[-1])
        os.makedirs(folder, exist_ok=True)
        value, arguments = path(message, 3).decode(), [
            a.decode() for a in decode(message).get(7, [])]
        env = dict(self.env, MESOS_SANDBOX=folder, MESOS_DIRECTORY=folder)
        for variable in decode(path(message, 2) or b"").get(1, []):
            env[path(variable, 1).decode()] = path(variable, 2).decode()
        shell = path(message, 6) != 0
        out, err = (open(os.path.join(folder, name), "ab") for name in ("stdout", "stderr"))
        try:
            with out, err:
                process = subprocess.Popen(
                    ["sh", "-c", value] if shell else arguments, env=env, cwd=folder,
                    executable=None if shell else value, stdin=subprocess.DEVNULL, stdout=out,
                    stderr=err, start_new_session=True)
        except OSError as e:
            return 400, ("Cannot execute '%s': %s\n" % (value, e.strerror)).encode()
        with self.lock:
            self.processes[container] = process
        return 200, b""

    def wait(self, container):
        process = self.processes.get(container)
        if not process:
            return 404, b"There is no such container\n"
        status = process.wait()
        for pid in leftovers(os.path.join(self.sandbox, "containers", container)):
            os.kill(pid, signal.SIGKILL)
        return 200, encode({1: 13, 14: {1: status << 8 if status >= 0 else -status}})

    def kill(self, container, number):
        process = self.processes.get(container)
        if not process or process.poll() is not None:
            return 404, b""
        process.send_signal(number)
        return 200, b""

    def serve(self, request, call):
        """Answers, or not."""
        kind = path(call, 1)
        part = {self.LAUNCH: 13, self.WAIT: 7, self.KILL: 8, self.SESSION: 9, self.REMOVE: 12}[kind]
        message = path(call, part)
        ids, at = [], path(message, 1)
        while at:
            ids.append(path(at, 1).decode())
            at = path(at, 2)
        container = ids[0]
        self.calls.append((kind, container))
        instead = self.answers[kind].pop(0) if self.answers.get(kind) else None
        if instead == "lost":
            request.connection.shutdown(socket.SHUT_RDWR)
            return
        status, body = (instead, b"not now\n") if isinstance(instead, int) else \
            self.answer(kind, container, message, request.connection)
        if instead == "taken":
            request.connection.shutdown(socket.SHUT_RDWR)
            return
        try:
            request.send_response(status)
            request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)
        except OSError:
            pass    # nobody wants it any more

    def answer(self, kind, container, message, connection):
        if kind == self.LAUNCH:
            return self.launch(container, path(message, 2))
        if kind == self.SESSION:
            status, body = self.launch(container, path(message, 2), True)
            process = self.processes.get(container)
            while status == 200 and process.poll() is None:
                # A session ends with its connection.
                if select.select([connection], [], [], 0.02)[0]:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            return status, body
        if kind == self.WAIT:
            return self.wait(container)
        if kind == self.KILL:
            return self.kill(container, path(message, 2))
        return (200 if self.processes.pop(container, None) else 404), b""

    def end(self):
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()


class Agent:
    """Serves one executor. Statuses arrive in a queue; each is acknowledged unless ack is off."""

    def __init__(self, capabilities=(), port=0, containers=None):
        self.capabilities, self.ack = capabilities, True
        self.containers = containers or Containers()
        self.statuses, self.subscribes = queue.Queue(), queue.Queue()
        self.seen, self.authorizations = [], []
        self.stream = None
        self.lock = threading.Lock()
        agent = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                agent.serve(self)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_):
                pass  # an executor that was killed resets its connections

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.connections = []
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def serve(self, request):
        call = decode(request.rfile.read(int(request.headers["Content-Length"])))
        if request.path == "/api/v1":
            self.connections.append(request.connection)
            self.containers.serve(request, call)
            return
        self.authorizations.append(request.headers.get("Authorization"))
        self.connections.append(request.connection)
        if path(call, 3) == 1:
            request.send_response(200)
            request.send_header("Content-Type", "application/x-protobuf")
            request.send_header("Transfer-Encoding", "chunked")
            request.end_headers()
            gone = threading.Event()
            self.stream = (request.wfile, gone)
            body = path(call, 4) or b""
            updates = [Status(path(u, 1)) for u in decode(body).get(2, [])]
            tasks = [path(t, 2, 1).decode() for t in decode(body).get(1, [])]
            self.send({1: SUBSCRIBED, 2: {
                1: {1: {1: "executor"}},
                2: {1: "root", 2: "framework", 10: [{1: c} for c in self.capabilities]},
                3: {1: "host"}, 4: {1: "executor-container"}}})
            self.subscribes.put((tasks, updates))
            if self.ack:
                for status in updates:
                    self.acknowledge(status)
            gone.wait()
            return
        status = Status(path(call, 5, 1))
        request.send_response(202)
        request.send_header("Content-Length", "0")
        request.end_headers()
        if self.ack:
            self.acknowledge(status)
        self.seen.append(status)
        self.statuses.put(status)

    def acknowledge(self, status):
        self.send({1: ACKNOWLEDGED, 3: {1: {1: status.task}, 2: status.uuid}})

    def send(self, event):
        data = encode(event)
        record = b"%d\n" % len(data) + data
        with self.lock:
            try:
                # In two chunks, since a record may be cut anywhere.
                for part in (record[:3], record[3:]):
                    self.stream[0].write(b"%x\r\n%s\r\n" % (len(part), part))
                self.stream[0].flush()
            except OSError:
                pass

    def launch(self, info):
        self.send({1: LAUNCH, 4: {1: info}})

    def launch_group(self, *infos):
        self.send({1: LAUNCH_GROUP, 8: {1: {1: list(infos)}}})

    def kill(self, task_id, grace=None):
        policy = {} if grace is None else {2: {1: {1: int(grace * 1e9)}}}
        self.send({1: KILL, 5: {1: {1: task_id}, **policy}})

    def stop(self):
        """As if the process had died: the port is closed, connections too."""
        self.server.shutdown()
        self.server.server_close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        if self.stream:
            self.stream[1].set()


class Run:
    """An executor and its agent, in a sandbox of their own."""

    def __init__(self, mode, capabilities=(), **env):
        self.mode = mode
        self.agent = Agent(capabilities)
        self.sandbox = tempfile.mkdtemp(prefix="executor-")
        base = {"PATH": os.environ["PATH"], "MESOS_AGENT_ENDPOINT": "127.0.0.1:%d" % self.agent.port,
                "MESOS_FRAMEWORK_ID": "framework", "MESOS_EXECUTOR_ID": "executor",
                "MESOS_SANDBOX": self.sandbox, "MESOS_DIRECTORY": self.sandbox,
                "MESOS_CHECKPOINT": "0", "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": "5secs",
                "MESOS_EXECUTOR_AUTHENTICATION_TOKEN": "secret"}
        base.update(env)
        self.agent.containers.sandbox = self.sandbox
        self.agent.containers.env = {k: v for k, v in base.items() if "TOKEN" not in k}
        self.out = open(self.sandbox + "/stdout", "ab")
        self.err = open(self.sandbox + "/stderr", "ab")
        self.process = subprocess.Popen([BINARY, mode], env=base, cwd=self.sandbox,
                                        stdin=subprocess.DEVNULL, stdout=self.out,
                                        stderr=self.err, start_new_session=True)
        self.agent.subscribes.get(timeout=10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.process.kill()
        except OSError:
            pass
        self.process.wait()
        self.agent.stop()
        self.agent.containers.end()
        for pid in leftovers(self.sandbox):
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.sandbox, ignore_errors=True)

    def next(self, state=None, task_id=None, timeout=10):
        """The next status; with a state or task, the first that has it."""
        end = time.monotonic() + timeout
        while True:
            status = self.agent.statuses.get(timeout=max(end - time.monotonic(), 0.01))
            if state in (None, status.state) and task_id in (None, status.task):
                return status

    def text(self, name="stdout"):
        with open(os.path.join(self.sandbox, name)) as f:
            return f.read()

    def ends(self, status=0, timeout=10):
        equal(self.process.wait(timeout), status)
        if self.mode == "group":    # containers are the agent's to end
            wait_until(lambda: not leftovers(self.sandbox), "the end of all containers")
        equal(leftovers(self.sandbox), [])


def leftovers(directory):
    """Processes that have the directory in their environment."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open("/proc/%s/environ" % name, "rb") as f, open("/proc/%s/stat" % name) as s:
                if directory.encode() in f.read() and ") Z " not in s.read():
                    found.append(int(name))
        except OSError:
            pass
    return found


def equal(got, want):
    if got != want:
        raise AssertionError("got %r, want %r" % (got, want))


def check_that(condition, what):
    if not condition:
        raise AssertionError(what)


def wait_until(predicate, what, timeout=10):
    end = time.monotonic() + timeout
    while not predicate():
        if time.monotonic() > end:
            raise AssertionError("timed out waiting for " + what)
        time.sleep(0.02)


# ---- tests ----

def test_command_finishes():
    with Run("command") as run:
        run.agent.launch(task("t", command("echo out; echo err >&2; echo \"$A $MESOS_TASK_ID\"; "
                                           "echo \"[$MESOS_EXECUTOR_AUTHENTICATION_TOKEN]\"; pwd",
                                           env={"A": "a b"})))
        status = run.next()
        equal(status.state, RUNNING)
        equal(status.source, 2)
        equal(len(status.uuid), 16)
        equal((status.uuid[6] >> 4, status.uuid[8] >> 6), (4, 2))
        equal(status.executor, b"executor")
        check_that(abs(status.timestamp - time.time()) < 60, "timestamp")
        status = run.next()
        equal((status.state, status.message), (FINISHED, "Command exited with status 0"))
        run.ends()
        equal(run.text(), "out\na b t\n[]\n%s\n" % run.sandbox)
        equal(run.text("stderr"), "err\n")
        check_that(set(run.agent.authorizations) == {"Bearer secret"}, "token")


def test_command_arguments():
    with Run("command") as run:
        run.agent.launch(task("t", command("/bin/echo", "echo", "$HOME is *", "two  words",
                                           shell=False)))
        run.next(FINISHED)
        run.ends()
        equal(run.text(), "$HOME is * two  words\n")


def test_command_fails():
    with Run("command") as run:
        run.agent.launch(task("t", "exit 3"))
        equal(run.next(FAILED).message, "Command exited with status 3")
        run.ends()


def test_command_by_signal():
    with Run("command") as run:
        run.agent.launch(task("t", "kill -9 $$"))
        equal(run.next(FAILED).message, "Command terminated with signal Killed")
        run.ends()


def test_no_such_program():
    with Run("command") as run:
        run.agent.launch(task("t", command("/no/such/program", shell=False)))
        status = run.next()
        equal((status.state, status.message),
              (FAILED, "Cannot execute '/no/such/program': No such file or directory"))
        run.ends()


def test_unknown_user():
    with Run("command") as run:
        run.agent.launch(task("t", command("true", user="no-such-user")))
        if os.geteuid() == 0:
            equal(run.next(FAILED).message, "There is no user 'no-such-user'")
        run.ends()


def test_user():
    if os.geteuid() != 0:
        return "needs root"
    with Run("command") as run:
        os.chmod(run.sandbox, 0o755)
        run.agent.launch(task("t", command("id -un", user="nobody")))
        run.next(FINISHED)
        equal(run.text(), "nobody\n")


def test_second_task_is_refused():
    with Run("command") as run:
        run.agent.launch(task("t", "sleep 1000"))
        run.next(RUNNING)
        run.agent.launch(task("other", "true"))
        equal(run.next(FAILED).task, "other")
        run.agent.kill("t")
        run.next(KILLED)
        run.ends()


def test_kill():
    with Run("command") as run:
        run.agent.launch(task("t", "sleep 1000"))
        run.next(RUNNING)
        run.agent.kill("no-such-task")
        run.agent.kill("t")
        equal(run.next().state, KILLED)
        run.ends()


def test_kill_right_after_launch():
    with Run("command") as run:
        run.agent.launch(task("t", "sleep 1000"))
        run.agent.kill("t")
        equal([run.next().state, run.next().state], [RUNNING, KILLED])
        run.ends()


def test_killing_state():
    with Run("command", capabilities=(2,)) as run:
        run.agent.launch(task("t", "sleep 1000"))
        run.next(RUNNING)
        run.agent.kill("t")
        equal([run.next().state, run.next().state], [KILLING, KILLED])
        run.ends()


def test_grace_is_granted():
    with Run("command") as run:
        run.agent.launch(task("t", "trap 'echo got TERM; sleep 1; echo ended; exit 0' TERM; "
                              "echo ready; while true; do sleep 0.1; done", grace=20))
        wait_until(lambda: "ready" in run.text(), "ready")
        run.agent.kill("t")
        run.next(KILLED)
        run.ends()
        check_that("got TERM\nended\n" in run.text(), run.text())


def test_grace_ends():
    with Run("command") as run:
        run.agent.launch(task("t", "trap '' TERM; echo ready; while true; do sleep 0.1; done",
                              grace=1000))
        wait_until(lambda: "ready" in run.text(), "ready")
        start = time.monotonic()
        run.agent.kill("t", grace=0.7)
        equal(run.next(KILLED).message, "Command terminated with signal Killed")
        check_that(0.6 < time.monotonic() - start < 5, "grace period")
        run.ends()


def test_daemons_die_with_the_task():
    """A process that left its session and its parent is found all the same."""
    with Run("command") as run:
        run.agent.launch(task("t", "setsid sh -c '(setsid sleep 1000 &) ; sleep 1000' & sleep 0.3; "
                              "exit 0"))
        run.next(FINISHED)
        run.ends()


def test_max_completion_time():
    with Run("command") as run:
        run.agent.launch(task("t", "sleep 1000", completion=0.3))
        status = run.next(FAILED)
        equal(status.reason, COMPLETION)
        run.ends()


def test_shutdown():
    with Run("command") as run:
        run.agent.launch(task("t", "trap '' TERM; echo ready; while true; do sleep 0.1; done",
                              grace=1000))
        wait_until(lambda: "ready" in run.text(), "ready")
        run.agent.send({1: SHUTDOWN})
        run.next(KILLED)
        run.ends()


def test_term_is_shutdown():
    with Run("group") as run:
        run.agent.launch_group(task("a", "sleep 1000"), task("b", "sleep 1000"))
        run.next(RUNNING)
        run.next(RUNNING)
        run.process.terminate()
        equal({run.next(KILLED).task, run.next(KILLED).task}, {"a", "b"})
        run.ends()


def test_agent_dies():
    """Without checkpointing the task dies with its agent."""
    with Run("command") as run:
        run.agent.launch(task("t", "sleep 1000"))
        run.next(RUNNING)
        run.agent.stop()
        run.ends(1)


def test_agent_comes_back():
    """With checkpointing the executor reconnects and tells what was not acknowledged."""
    with Run("command", MESOS_CHECKPOINT="1", MESOS_RECOVERY_TIMEOUT="30secs",
             MESOS_SUBSCRIPTION_BACKOFF_MAX="200ms") as run:
        run.agent.ack = False
        run.agent.launch(task("t", "sleep 1; exit 3"))
        first = run.next(RUNNING)
        port = run.agent.port
        run.agent.stop()
        time.sleep(1.5)
        run.agent = Agent(port=port)
        tasks, updates = run.agent.subscribes.get(timeout=10)
        equal(tasks, ["t"])
        equal([s.state for s in updates], [RUNNING, FAILED])
        equal(updates[0].uuid, first.uuid)
        run.ends()


def test_recovery_timeout():
    with Run("command", MESOS_CHECKPOINT="1", MESOS_RECOVERY_TIMEOUT="1secs",
             MESOS_SUBSCRIPTION_BACKOFF_MAX="200ms") as run:
        run.agent.launch(task("t", "sleep 1000"))
        run.next(RUNNING)
        start = time.monotonic()
        run.agent.stop()
        run.ends(1)
        check_that(time.monotonic() - start > 0.9, "it waited")


def test_waits_for_acknowledgement():
    with Run("command") as run:
        run.agent.ack = False
        run.agent.launch(task("t", "true"))
        statuses = [run.next(), run.next()]
        time.sleep(0.5)
        equal(run.process.poll(), None)
        for status in statuses:
            run.agent.acknowledge(status)
        run.ends()


def test_healthy():
    with Run("command") as run:
        run.agent.launch(task("t", "sleep 1000", health=health({8: 1, 7: command("exit 0")})))
        equal(run.next().healthy, None)
        status = run.next()
        equal((status.state, status.reason, status.healthy), (RUNNING, HEALTH, True))
        time.sleep(1)
        equal(run.agent.statuses.qsize(), 0)


def test_unhealthy():
    with Run("command", capabilities=(2,)) as run:
        run.agent.launch(task("t", "sleep 1000", health=health({8: 1, 7: command("exit 1")})))
        run.next(RUNNING)
        for _ in range(3):
            status = run.next()
            equal((status.state, status.reason, status.healthy), (RUNNING, HEALTH, False))
        status = run.next()
        equal((status.state, status.healthy), (KILLING, False))
        status = run.next()
        equal((status.state, status.healthy), (KILLED, False))
        run.ends()


def test_health_grace_period():
    with Run("command") as run:
        run.agent.launch(task("t", "sleep 1; touch good; sleep 1000", health=health(
            {8: 1, 7: command("test -e good")}, grace=30.0, failures=1)))
        run.next(RUNNING)
        equal(run.next().healthy, True)


def test_health_command_times_out():
    with Run("command") as run:
        run.agent.launch(task("t", "sleep 1000", health=health(
            {8: 1, 7: command("sleep 1000")}, timeout=0.3, failures=1)))
        status = run.next()
        status = run.next()
        equal((status.healthy, status.message), (False, "The check timed out"))
        run.next(KILLED)
        run.ends()


def test_health_environment():
    with Run("command") as run:
        run.agent.launch(task("t", command("sleep 1000", env={"A": "task", "B": "task"}),
                              health=health({8: 1, 7: command('test "$A$B" = taskcheck',
                                                              env={"B": "check"})})))
        equal([run.next().healthy, run.next().healthy], [None, True])


class Web:
    def __init__(self, code):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(code if self.path == "/path" else 404)
                self.end_headers()

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


def test_health_http():
    for code, healthy in ((200, True), (302, True), (500, False)):
        web = Web(code)
        with Run("command") as run:
            run.agent.launch(task("t", "sleep 1000", health=health(
                {8: 2, 1: {1: web.port, 2: "/path", 3: "http"}})))
            equal([run.next().healthy, run.next().healthy], [None, healthy])
        web.server.shutdown()
        web.server.server_close()


def test_health_https_without_a_program():
    with Run("command") as run:
        run.agent.launch(task("t", "sleep 1000", health=health({8: 2, 1: {1: 1, 3: "https"}})))
        run.next()
        status = run.next()
        equal((status.healthy, status.message),
              (False, "There is no program for HTTPS, redirects and networks"))


def test_health_tcp():
    listener = socket.create_server(("127.0.0.1", 0))
    with Run("command") as run:
        run.agent.launch(task("t", "sleep 1000", health=health(
            {8: 3, 9: {1: listener.getsockname()[1]}})))
        equal([run.next().healthy, run.next().healthy], [None, True])
        listener.close()
        equal(run.next().healthy, False)


def test_check_command():
    with Run("command") as run:
        run.agent.launch(task("t", "sleep 1; touch flag; sleep 1000", check={
            1: 1, 2: {1: command("if test -e flag; then exit 5; fi; exit 3")},
            4: 0.0, 5: 0.2, 6: 5.0}))
        status = run.next()
        equal((status.reason, decode(status.check)), (None, {1: [1], 2: [b""]}))
        for code in (3, 5):
            status = run.next()
            equal((status.state, status.reason, path(status.check, 2, 1)), (RUNNING, CHECK, code))


def test_check_http_and_tcp():
    web = Web(418)
    with Run("group") as run:
        times = {4: 0.0, 5: 0.2, 6: 5.0}
        run.agent.launch_group(task("http", "sleep 1000",
                                    check={1: 2, 3: {1: web.port, 2: "path"}, **times}),
                               task("tcp", "sleep 1000", check={1: 3, 7: {1: web.port}, **times}),
                               task("not", "sleep 1000", check={1: 3, 7: {1: 1}, **times}))
        got = {}
        while len(got) < 3:
            status = run.next()
            if status.reason == CHECK:
                got[status.task] = decode(status.check)
        equal(path(got["http"], 3, 1), 418)
        equal(path(got["tcp"], 4, 1), 1)
        equal(path(got["not"], 4, 1), 0)
    web.server.shutdown()
    web.server.server_close()


def test_group():
    with Run("group") as run:
        run.agent.launch_group(task("a", "echo in $MESOS_SANDBOX; pwd; echo err >&2; sleep 0.5"),
                               task("b", "sleep 1"))
        statuses = sorted((run.next(), run.next()), key=lambda s: s.task)
        equal([s.state for s in statuses], [RUNNING, RUNNING])
        check_that(statuses[0].container != statuses[1].container, "own containers")
        equal([s.parent for s in statuses], [b"executor-container"] * 2)
        own = "containers/" + statuses[0].container.decode()
        equal(str(uuid.UUID(statuses[0].container.decode())), statuses[0].container.decode())
        equal({run.next(FINISHED).task, run.next(FINISHED).task}, {"a", "b"})
        run.ends()
        directory = os.path.join(run.sandbox, own)
        equal(run.text(own + "/stdout"), "in %s\n%s\n" % (directory, directory))
        equal(run.text(own + "/stderr"), "err\n")
        equal(run.text() + run.text("stderr"), "")


def test_group_one_finishes():
    with Run("group") as run:
        run.agent.launch_group(task("a", "true"), task("b", "sleep 1000"))
        run.next(FINISHED, "a")
        time.sleep(0.5)
        equal([s.state for s in run.agent.seen if s.task == "b"], [RUNNING])


def test_group_one_fails():
    with Run("group") as run:
        run.agent.launch_group(task("a", "sleep 0.3; exit 1"), task("b", "sleep 1000"))
        run.agent.launch_group(task("c", "sleep 1000"))
        run.next(FAILED, "a")
        run.next(KILLED, "b")
        time.sleep(0.3)
        equal([s.state for s in run.agent.seen if s.task == "c"], [RUNNING])
        run.agent.kill("c")
        run.next(KILLED, "c")
        run.ends()


def test_group_kill_one_kills_all():
    with Run("group") as run:
        run.agent.launch_group(task("a", "sleep 1000"), task("b", "sleep 1000"))
        run.next(RUNNING)
        run.next(RUNNING)
        run.agent.kill("a")
        equal({run.next(KILLED).task, run.next(KILLED).task}, {"a", "b"})
        run.ends()


def test_group_links_and_variables():
    """A task's sandbox is found by its id; it has the role and its id in its environment."""
    with Run("group") as run:
        resources = {1: "cpus", 2: 0, 3: {1: 0.1}, 11: {1: "some/role"}}
        info = task("a", command("echo $MESOS_TASK_ID $MESOS_ALLOCATION_ROLE $A",
                                 env={"A": "own"}))
        info[4] = [resources]
        run.agent.launch_group(info)
        status = run.next(FINISHED)
        equal(run.text("tasks/a/stdout"), "a some/role own\n")
        equal(os.path.realpath(run.sandbox + "/tasks/a"),
              os.path.join(run.sandbox, "containers", status.container.decode()))


def test_group_launch_is_refused():
    """Its group is killed; the message is the agent's."""
    with Run("group") as run:
        run.agent.launch_group(task("a", command("/no/such/program", shell=False)),
                               task("b", "sleep 1000"))
        status = run.next(task_id="a")
        equal((status.state, status.message),
              (FAILED, "Cannot execute '/no/such/program': No such file or directory"))
        run.next(KILLED, "b")
        run.ends()


def test_group_agent_is_not_ready():
    """503: it is asked again."""
    with Run("group") as run:
        run.agent.containers.answers = {Containers.LAUNCH: [503, 503], Containers.WAIT: [503]}
        run.agent.launch_group(task("a", "exit 0"))
        run.next(RUNNING)
        run.next(FINISHED)
        run.ends()


def test_group_lost_answers():
    """A launch is made once, whether its answer or the call itself was lost."""
    for how in ("lost", "taken"):
        with Run("group") as run:
            run.agent.containers.answers = {Containers.LAUNCH: [how], Containers.WAIT: ["lost"],
                                            Containers.KILL: ["lost"]}
            run.agent.launch_group(task("a", "echo once; while true; do sleep 0.1; done"))
            status = run.next(RUNNING)
            run.agent.kill("a")
            equal(run.next(timeout=20).state, KILLED)
            run.ends()
            equal(run.text("containers/%s/stdout" % status.container.decode()), "once\n")


def test_group_ends_before_its_launch_is_known():
    with Run("group") as run:
        run.agent.containers.answers = {Containers.LAUNCH: ["taken"]}
        run.agent.launch_group(task("a", "exit 7"))
        equal([run.next().state, run.next().message], [RUNNING, "Command exited with status 7"])
        run.ends()


def test_group_kill_while_launching():
    """The kill overtakes the launch, which is answered late, or never was made."""
    with Run("group") as run:
        release = threading.Event()
        launch = run.agent.containers.launch

        def slow(*args):
            release.wait(10)
            return launch(*args)
        run.agent.containers.launch = slow
        run.agent.launch_group(task("a", "sleep 1000"))
        wait_until(lambda: run.agent.containers.calls, "the launch")
        run.agent.kill("a")
        wait_until(lambda: Containers.KILL in [c[0] for c in run.agent.containers.calls], "a kill")
        release.set()
        equal(run.next(KILLED).task, "a")
        run.ends()


def test_group_kill_escalates():
    with Run("group") as run:
        run.agent.launch_group(task("a", "trap '' TERM; touch ready; while true; do sleep 0.1; done",
                                    grace=0.5))
        run.next(RUNNING)
        wait_until(lambda: os.path.exists(run.sandbox + "/tasks/a/ready"), "the trap")
        run.agent.kill("a")
        equal(run.next(KILLED).message, "Command terminated with signal Killed")
        run.ends()


def test_group_agent_comes_back():
    """Containers go on; their ends are learned from the next agent."""
    with Run("group", MESOS_CHECKPOINT="1", MESOS_RECOVERY_TIMEOUT="30secs",
             MESOS_SUBSCRIPTION_BACKOFF_MAX="200ms") as run:
        run.agent.launch_group(task("a", "sleep 0.5; exit 3"), task("b", "sleep 1000"))
        run.next(RUNNING)
        run.next(RUNNING)
        port, containers = run.agent.port, run.agent.containers
        run.agent.stop()
        time.sleep(1)
        run.agent = Agent(port=port, containers=containers)
        run.agent.subscribes.get(timeout=10)
        status = run.next(task_id="a")
        equal((status.state, status.message), (FAILED, "Command exited with status 3"))
        run.next(KILLED, "b")
        run.ends()


def test_group_agent_is_gone():
    """Without checkpointing, or when it is over, the executor ends what it can find."""
    for env in ({}, {"MESOS_CHECKPOINT": "1", "MESOS_RECOVERY_TIMEOUT": "1secs",
                     "MESOS_SUBSCRIPTION_BACKOFF_MAX": "200ms"}):
        with Run("group", **env) as run:
            run.agent.launch_group(task("a", "trap 'echo TERM; exit 0' TERM; echo ready; "
                                        "(setsid sleep 1000 &); while true; do sleep 0.1; done"))
            run.next(RUNNING)
            wait_until(lambda: "ready" in run.text("tasks/a/stdout"), "ready")
            run.agent.stop()
            run.ends(1)
            check_that("TERM" in run.text("tasks/a/stdout"), "without grace")


def test_group_checks_are_sessions():
    """In the task's container; nothing is left of them."""
    with Run("group") as run:
        run.agent.launch_group(task("a", "sleep 1000", health=health(
            {8: 1, 7: command("test -n \"$MESOS_SANDBOX\"")}), check={
                1: 1, 2: {1: command("exit 7")}, 4: 0.0, 5: 0.2, 6: 5.0}))
        seen = {}
        while len(seen) < 2:
            status = run.next()
            if status.reason:
                seen[status.reason] = status
        equal(seen[HEALTH].healthy, True)
        equal(path(seen[CHECK].check, 2, 1), 7)
        calls = run.agent.containers.calls
        wait_until(lambda: len([c for c in calls if c[0] == Containers.REMOVE]) > 4, "removals")
        check_that(all(c[1].startswith("check-") for c in calls if c[0] == Containers.SESSION),
                   "names")
        run.agent.kill("a")
        run.next(KILLED)
        run.ends()


def test_group_check_times_out():
    """The session is closed; then it is waited for and removed."""
    with Run("group") as run:
        run.agent.launch_group(task("a", "sleep 1000", health=health(
            {8: 1, 7: command("sleep 1")}, timeout=0.3, failures=1)))
        run.next(RUNNING)
        status = run.next()
        equal((status.healthy, status.message), (False, "The check timed out"))
        status = run.next(KILLED)
        equal((status.healthy, status.reason), (False, HEALTH))
        run.ends()


def test_group_checks_that_cannot_be_made():
    """Say nothing about the task."""
    with Run("group") as run:
        run.agent.containers.answers = {Containers.SESSION: [503, "lost", 404]}
        run.agent.launch_group(task("a", "sleep 1000", health=health(
            {8: 1, 7: command("exit 0")}, interval=0.1, failures=1)))
        run.next(RUNNING)
        equal(run.next().healthy, True)


def test_memory():
    for mode in ("command", "group"):
        with Run(mode) as run:
            run.agent.launch(task("t", "exec sleep 1000"))
            run.next(RUNNING)
            time.sleep(0.2)
            with open("/proc/%d/status" % run.process.pid) as f:
                rss = [int(line.split()[1]) for line in f if line.startswith("VmRSS")][0]
            print("figure memory.executor.%s %.2f MiB" % (mode, rss / 1024))
            check_that(rss < 2048, "%d KiB resident" % rss)


def test_many_tasks_in_turn():
    with Run("group") as run:
        run.agent.launch_group(task("stays", "sleep 1000"))
        for i in range(50):
            run.agent.launch_group(task("t%d" % i, "exit 0"))
            run.next(FINISHED, "t%d" % i)
        run.agent.kill("stays")
        run.next(KILLED, "stays")
        run.ends()


def main():
    global BINARY
    built = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                         "../../build/src/executor/reeve-executor")
    BINARY = os.path.realpath(sys.argv[1] if len(sys.argv) > 1 else built)
    if not os.access(BINARY, os.X_OK):
        sys.exit("%s is not there" % BINARY)
    only = sys.argv[2:]
    passed = failed = skipped = 0
    for name, test in sorted(globals().items()):
        if not name.startswith("test_") or (only and name not in only):
            continue
        try:
            why = test()
        except Exception:
            failed += 1
            print("FAILED %s\n%s" % (name, traceback.format_exc()), flush=True)
            continue
        if why:
            skipped += 1
            print("skipped %s: %s" % (name, why), flush=True)
        else:
            passed += 1
            print("ok %s" % name, flush=True)
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
