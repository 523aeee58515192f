#!/usr/bin/env python3
"""Containers that the agent's API makes, against a real cluster: `reeve exec` and `reeve attach` with
and without a terminal, and what the calls below them answer. Leaves no process and no file behind."""

import http.client
import http.server
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from attached import JSON, LONG, RECORDIO, Input, Records  # noqa: E402
from cluster import REEVE, Cluster, Report, containerizers  # noqa: E402
from terminal import Terminal, edit, watch  # noqa: E402

report = Report()


def expect(condition, text):
    if not condition:
        raise AssertionError(text)


def until(condition, what, seconds=20):
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        expect(time.monotonic() < deadline, "never: %s" % what)
        time.sleep(0.05)


def processes(word):
    """Those that have a word in their command line."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                if word.encode() in f.read().split(b"\0"):
                    found.append(int(pid))
        except OSError:
            pass
    return found


class World:
    """A cluster with one task, and what is done beside it."""

    def __init__(self, cluster, isolates):
        self.cluster = cluster
        self.isolates = isolates
        self.agent = cluster.agents[0]
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("REEVE_")}
        self.env.update(REEVE_MASTER="%s:%d" % cluster.master, TERM="xterm", GREETING="ours")
        self.jobs = []
        self.n = 0
        self.task = self.run_task("while true; do echo tick; echo tack >&2; sleep 0.2; done")
        status = [t for t in self.agent_get("GET_TASKS")["launched_tasks"]
                  if t["task_id"]["value"] == self.task][0]["statuses"][-1]
        self.parent = status["container_status"]["container_id"]

    def reeve(self, *words, **more):
        more.setdefault("stdin", subprocess.DEVNULL)
        if "input" in more:
            del more["stdin"]
        return subprocess.run([REEVE, *words], env=self.env, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=LONG, **more)

    def run_task(self, shell):
        self.n += 1
        name = "beside%d" % self.n
        self.jobs.append(subprocess.Popen(
            [REEVE, "run", "--name=" + name, "--env=GREETING=hello", "--shell=" + shell],
            env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL))

        def running():
            return [t["id"] for t in json.loads(self.reeve("ps", "-o", "json").stdout)
                    if t["name"] == name and t["state"] == "TASK_RUNNING"]
        return until(running, "the task")[0]

    def post(self, call_type, part, headers=None):
        connection = http.client.HTTPConnection(*self.agent, timeout=LONG)
        connection.request("POST", "/api/v1",
                           json.dumps({"type": call_type, call_type.lower(): part}),
                           headers or {"Content-Type": JSON, "Accept": JSON})
        response = connection.getresponse()
        text = response.read()
        connection.close()
        return response.status, text

    def agent_get(self, call_type, part=None):
        status, text = self.post(call_type, part or {})
        expect(status == 200, "%s: %d %r" % (call_type, status, text))
        return json.loads(text)[call_type.lower()]

    def child(self, parent=None):
        self.n += 1
        return {"value": "c%d" % self.n, "parent": parent or self.parent}

    def launch(self, shell, container_id=None, want=200, **more):
        container_id = container_id or self.child()
        status, text = self.post("LAUNCH_CONTAINER", {
            "command": {"value": shell}, "container_id": container_id, **more})
        expect(status == want, "launch: %d %r" % (status, text))
        return container_id

    def session(self, shell, container_id=None, accept=RECORDIO, **more):
        message = dict(more, container_id=container_id or self.child(), command={"value": shell})
        return Records(self.agent, {"type": "LAUNCH_NESTED_CONTAINER_SESSION",
                                    "launch_nested_container_session": message}, accept)

    def attach(self, container_id, accept=RECORDIO):
        return Records(self.agent, {"type": "ATTACH_CONTAINER_OUTPUT",
                                    "attach_container_output": {"container_id": container_id}},
                       accept)

    def wait(self, container_id):
        status, text = self.post("WAIT_CONTAINER", {"container_id": container_id})
        if status != 200:
            return status, None
        end = json.loads(text)["wait_container"]
        expect(set(end) <= {"exit_status"}, "nothing else had a part in its end: %r" % end)
        return status, end.get("exit_status")

    def sandbox(self, container_id):
        """Of a child of the task's."""
        for folder, _, _ in os.walk(os.path.join(self.cluster.folder, "work")):
            if folder.endswith("%s/containers/%s" % (self.parent["value"],
                                                     container_id["value"])):
                return folder
        return None

    def end(self):
        for job in self.jobs:
            job.send_signal(signal.SIGINT)
        for job in self.jobs:
            job.wait(20)


# ------------------------------------------------------------------------------------ exec

def exec_output(w):
    done = w.reeve("exec", w.task, "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    expect((done.returncode, done.stdout, done.stderr) == (7, b"out\n", b"err\n"), repr(done))


def exec_in_sandbox(w):
    done = w.reeve("exec", w.task, "sh", "-c", "ls; echo $GREETING $MESOS_SANDBOX; pwd")
    lines = done.stdout.decode().split("\n")
    expect("stdout" in lines and "hello " + lines[-2] in lines, repr(done))
    expect(w.parent["value"] in lines[-2], repr(done))


def exec_statuses(w):
    expect(w.reeve("exec", w.task, "true").returncode == 0, "true")
    expect(w.reeve("exec", w.task, "sh", "-c", "kill -TERM $$").returncode == 143, "a signal")
    done = w.reeve("exec", w.task, "there-is-none")
    expect(done.returncode == 1 and b"there-is-none" in done.stderr, repr(done))
    done = w.reeve("exec", "no-such-task", "true")
    expect(done.returncode == 1 and b"no-such-task" in done.stderr, repr(done))
    expect(w.reeve("exec", w.task).returncode == 2, "no command")


def exec_without_input(w):
    done = w.reeve("exec", w.task, "--", "wc", "-c", input=b"not for it")
    expect((done.returncode, done.stdout.strip()) == (0, b"0"), repr(done))


def exec_pipe(w):
    data = os.urandom(1 << 20)
    done = w.reeve("exec", "-i", w.task, "cat", input=data)
    expect(done.returncode == 0 and done.stdout == data, "%d %d bytes %r" % (
        done.returncode, len(done.stdout), done.stderr))
    done = w.reeve("exec", "-i", w.task, "--", "wc", "-c", input=data * 4)
    expect(done.stdout.strip() == b"4194304", repr(done))
    done = w.reeve("exec", w.task, "--", "head", "-c", "20000000", "/dev/zero")
    expect(done.stdout == bytes(20000000), "%d bytes" % len(done.stdout))


def exec_input_unread(w):
    """The command ends although there is still input; so do we."""
    with open("/dev/zero", "rb") as zero:
        done = w.reeve("exec", "-i", w.task, "true", stdin=zero)
    expect(done.returncode == 0, repr(done))


def exec_client_killed(w):
    client = subprocess.Popen([REEVE, "exec", w.task, "sleep", "86411"], env=w.env,
                              stdin=subprocess.DEVNULL)
    until(lambda: len(processes("86411")) >= 2, "the command")
    client.kill()
    client.wait()
    until(lambda: not processes("86411"), "the end of the command")


def exec_task_ends(w):
    task = w.run_task("sleep 1000")
    client = subprocess.Popen([REEVE, "exec", task, "sleep", "86412"], env=w.env,
                              stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: len(processes("86412")) >= 2, "the command")
    expect(w.reeve("kill", task).returncode == 0, "kill")
    expect(client.wait(20) in (137, 1), "status %d" % client.returncode)
    until(lambda: not processes("86412"), "the end of the command")


def terminal(w, *words, **size):
    return Terminal(REEVE, words, w.env, **size)


def exec_terminal(w):
    t = terminal(w, "exec", "-it", w.task, "--", "sh")
    t.size(33, 101)
    t.type("echo begin-$((6*7)); test -t 0 && echo has-$((7*7))\n")
    t.expect("begin-42", "the shell")
    t.expect("has-49", "its terminal")
    t.size(33, 102)
    t.type("sleep 0.3; echo size; stty size\n")
    t.expect("size\r\n33 102", "the size")
    t.type("test -c $(tty) && echo by-name-$((8*8)) >$(tty)\n")
    t.expect("by-name-64", "the terminal's name")
    t.size(50, 132)
    t.type("sleep 0.3; echo now; stty size\n")
    t.expect("now\r\n50 132", "the new size")
    t.type("sleep 1000\n")
    time.sleep(0.5)
    t.type("\x03")  # interrupts the sleep, not us
    t.type("echo after; test -t 0 && test -t 1 && exit 5\n")
    t.expect("after\r\n", "ctrl-C")
    expect(t.end() == 5, "the status")


def exec_terminal_is_restored(w):
    pid, fd = pty.fork()
    if pid == 0:
        os.execve("/bin/sh", ["sh", "-c", "stty -a > before; $REEVE exec -it %s -- true; "
                              "stty -a > after; cmp before after" % w.task],
                  dict(w.env, REEVE=REEVE, PWD=w.cluster.folder))
    while True:
        try:
            if not os.read(fd, 65536):
                break
        except OSError:
            break
    os.close(fd)
    expect(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, "the terminal is another")


def exec_full_screen(w):
    """What draws on the whole screen and reads single keys."""
    t = terminal(w, "exec", "-it", w.task, "--", "vi", "-u", "NONE", "poem")
    edit(t, "poem")
    expect(t.end() == 0, "vi: " + t.last())
    done = w.reeve("exec", w.task, "cat", "poem")
    expect(done.stdout == b"hello from vi\n", repr(done))
    t = terminal(w, "exec", "-it", w.task, "--", "top")
    n = watch(t)
    expect(t.end() == 0, "top: " + t.last())
    if w.isolates:
        expect(n < 20, "it sees the machine's processes: %d" % n)


def exec_terminal_closed(w):
    """The terminal goes away: the shell there, too."""
    t = terminal(w, "exec", "-it", w.task, "--", "sleep", "86413")
    until(lambda: t.read(0) and len(processes("86413")) >= 2, "the command")
    os.close(t.fd)
    os.waitpid(t.pid, 0)
    until(lambda: not processes("86413"), "the end of the command")


# ---------------------------------------------------------------------------------- attach

def attach_task(w):
    task = w.run_task("while true; do echo tick; echo tack >&2; sleep 0.1; done")
    client = subprocess.Popen([REEVE, "attach", task], env=w.env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(1)
    expect(w.reeve("kill", task).returncode == 0, "kill")
    out, err = client.communicate(timeout=20)
    expect(client.returncode == 0 and b"tick\ntick\n" in out and b"tack\ntack\n" in err,
           "%d %r %r" % (client.returncode, out, err))


def attach_to_command(w):
    container_id = w.child()
    s = w.session("read a; echo got $a; read b; echo got $b", container_id)
    done = w.reeve("attach", "-i", "--container=" + container_id["value"], w.task,
                   input=b"one\ntwo\n")
    expect((done.returncode, done.stdout) == (0, b"got one\ngot two\n"), repr(done))
    until(lambda: s.ended, "the end of the session")
    done = w.reeve("attach", "-i", w.task)
    expect(done.returncode == 1 and b"takes no input" in done.stderr, repr(done))


def attach_full_screen(w):
    """A container that was made with a terminal, and that somebody sits down at."""
    container = {"type": "MESOS", "tty_info": {"window_size": {"rows": 24, "columns": 80}}}
    variables = {"variables": [{"name": "TERM", "value": "xterm"}]}
    for command, use in (("vi -u NONE verse", lambda t: edit(t, "verse")), ("top", watch)):
        container_id = w.launch(None, container=container, command={
            # Until somebody is there.
            "value": "read go; exec " + command, "environment": variables})
        t = terminal(w, "attach", "-it", "--container=" + container_id["value"], w.task)
        t.type("go\r")
        use(t)
        expect(t.end() == 0, command + ": " + t.last())
        expect(w.wait(container_id) == (200, 0), "%s: %r" % (command, w.wait(container_id)))
        if command != "top":
            with open(w.sandbox(container_id) + "/verse", encoding="utf-8") as f:
                expect(f.read() == "hello from vi\n", "the file")


# --------------------------------------------------------------------------------- the API

def api_half_close(w):
    container_id = w.child()
    s = w.session("wc -c; echo still here; exit 3", container_id)
    i = Input(w.agent, container_id)
    i.heartbeat()
    for _ in range(10):
        i.data(b"x" * 1000)
    time.sleep(0.2)
    expect(not s.ended, "ended without the end of its input")
    i.data(b"")
    until(lambda: s.ended, "the end")
    expect(i.answer()[0] == 200, "the input's answer")
    expect(s.text().split() == [b"10000", b"still", b"here"], repr(s.text()))
    expect(w.wait(container_id) == (200, 3 << 8), repr(w.wait(container_id)))


def api_input_is_one(w):
    container_id = w.child()
    s = w.session("cat", container_id)
    first = Input(w.agent, container_id)
    first.data(b"first ")
    until(lambda: s.text() == b"first ", "input")
    status, text = Input(w.agent, container_id).answer()
    expect(status == 409, "%d %r" % (status, text))
    expect(first.end()[0] == 200, "the first one's end")
    second = Input(w.agent, container_id)  # detaching has not closed it
    second.data(b"second")
    until(lambda: s.text() == b"first second", "input from another")
    second.data(b"")
    until(lambda: s.ended, "the end")
    second.connection.close()


def api_input_is_checked(w):
    container_id = w.child()
    s = w.session("cat", container_id)
    status, text = Input(w.agent, w.child()).answer()
    expect(status == 404, "unknown: %d %r" % (status, text))
    status, text = Input(w.agent, {"value": "a.b", "parent": w.parent}).answer()
    expect(status == 400, "no id: %d %r" % (status, text))
    status, text = Input(w.agent, container_id, "text/plain").answer()
    expect(status == 415, "media type: %d %r" % (status, text))
    i = Input(w.agent, container_id)
    i.resize(10, 10)
    status, text = i.answer()
    expect(status == 400 and b"no terminal" in text, "%d %r" % (status, text))
    i = Input(w.agent, container_id)
    i.io(type="DATA", data={"type": "STDOUT", "data": ""})
    expect(i.answer()[0] == 400, "output as input")
    i = Input(w.agent, container_id)
    i.connection.send(b"5\r\nhello\r\n")
    expect(i.answer()[0] == 400, "no record")
    status, _ = w.post("ATTACH_CONTAINER_INPUT", {"type": "CONTAINER_ID",
                                                  "container_id": container_id})
    expect(status == 415, "not a stream: %d" % status)
    s.close()


def api_slow_reader(w):
    """A container that reads nothing holds its client back, and nobody else."""
    container_id = w.child()
    s = w.session("sleep 1000", container_id)
    i = Input(w.agent, container_id)
    i.connection.sock.settimeout(1)
    sent = 0
    try:
        while sent < 64 << 20:
            i.data(b"x" * 65536)
            sent += 65536
    except TimeoutError:
        pass
    expect(sent < 64 << 20, "all was taken")
    expect(w.post("GET_HEALTH", {})[0] == 200, "health")
    s.close()
    until(lambda: w.wait(container_id)[1] == 9, "the end")
    i.connection.close()


def api_terminal(w):
    """A container with a terminal that is no session: attached to, twice, and left."""
    container_id = w.launch(
        "stty size; read a; echo got $a; stty size; read b || echo over",
        container={"type": "MESOS", "tty_info": {"window_size": {"rows": 7, "columns": 70}}})

    def kept():
        with open(os.path.join(w.sandbox(container_id), "stdout"), "rb") as f:
            return f.read()
    until(lambda: b"7 70" in kept(), "the size at the start")
    first, second = w.attach(container_id), w.attach(container_id)
    i = Input(w.agent, container_id)
    i.resize(11, 111)
    i.data(b"word\n")
    until(lambda: all(b"got word\r\n11 111" in s.text() for s in (first, second)), "an echo")
    first.close()
    i.end()
    i = Input(w.agent, container_id)
    i.data(b"\x04")
    until(lambda: second.ended, "the end")
    expect(b"over" in second.text() and not second.text("STDERR"), repr(second.text()))
    expect(w.wait(container_id) == (200, 0), "the status")
    i.connection.close()
    expect(b"got word" in kept() and b"over" in kept(), repr(kept()))


def api_heartbeats(w):
    s = w.session("sleep 1000")
    until(lambda: [m for m in s.messages if m["type"] == "CONTROL"
                   and m["control"]["type"] == "HEARTBEAT"], "a heartbeat")
    s.close()


def api_media_types(w):
    s = w.session("echo one")
    expect(s.headers["Content-Type"] == RECORDIO and s.headers["Message-Content-Type"] == JSON,
           repr(s.headers.items()))
    s = w.session("echo one", accept=JSON)
    expect(s.headers["Content-Type"] == JSON, repr(s.headers.items()))
    until(lambda: s.ended, "the end")
    expect(s.text() == b"one\n", repr(s.messages))
    s = w.session("echo one", accept="text/html")
    expect(s.status == 406, "%d" % s.status)


def api_below_one_another(w):
    """Nested in nested; they end with what they are in."""
    top = w.launch("sleep 1000")
    middle = w.launch("sleep 1000", w.child(top))
    low = w.launch("sleep 86414", w.child(middle))
    expect(w.post("REMOVE_CONTAINER", {"container_id": top})[0] == 500, "removed while it runs")
    expect(w.post("KILL_CONTAINER", {"container_id": top})[0] == 200, "kill")
    expect(w.wait(top) == (200, 9), "the status")
    until(lambda: not processes("86414"), "the end of the lowest")
    until(lambda: w.wait(low)[0] == 404, "that it is forgotten")
    folder = w.sandbox(top)
    expect(os.path.isdir(folder), "no sandbox")
    expect(w.post("REMOVE_CONTAINER", {"container_id": top})[0] == 200, "remove")
    expect(not os.path.exists(folder), "the sandbox is there")
    expect(w.wait(top)[0] == 404, "it is known")
    w.launch("true", w.child(top), 400)
    for nothing in (w.child(top), w.child()):
        expect(w.post("REMOVE_CONTAINER", {"container_id": nothing})[0] == 200, "there is nothing")


def api_signals(w):
    container_id = w.launch("trap 'exit 4' TERM; touch ready; while true; do sleep 0.1; done")
    until(lambda: os.path.exists(w.sandbox(container_id) + "/ready"), "the trap")
    status, text = w.post("KILL_CONTAINER", {"container_id": container_id, "signal": 15})
    expect(status == 200, "%d %r" % (status, text))
    expect(w.wait(container_id) == (200, 4 << 8), "the status")
    status, _ = w.post("KILL_CONTAINER", {"container_id": container_id})
    expect(status == 404, "killed after its end: %d" % status)
    container_id = w.launch("sleep 1000")
    expect(w.post("KILL_CONTAINER", {"container_id": container_id, "signal": 999})[0] == 400,
           "a signal that is none")
    expect(w.launch("true", container_id, 202), "twice")
    w.post("KILL_CONTAINER", {"container_id": container_id})


def api_executors_container(w):
    """One that the API has not made can be signalled; its task hears of it."""
    task = w.run_task("sleep 1000")
    container_id = [t for t in w.agent_get("GET_TASKS")["launched_tasks"]
                    if t["task_id"]["value"] == task][0]["statuses"][-1]["container_status"][
                        "container_id"]
    status, text = w.post("KILL_CONTAINER", {"container_id": container_id, "signal": 15})
    expect(status == 200, "%d %r" % (status, text))
    until(lambda: [t for t in json.loads(w.reeve("ps", "-a", "-o", "json").stdout)
                   if t["id"] == task and t["state"] == "TASK_KILLED"], "the end of the task")
    until(lambda: w.post("KILL_CONTAINER", {"container_id": container_id})[0] == 404, "the end")


def api_refused(w):
    resources = [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 1}}]
    reserved = [dict(resources[0], reservations=[{"type": "DYNAMIC", "role": "r"}])]
    shared, apart = ({"type": "MESOS", "linux_info": {"share_cgroups": v}} for v in (True, False))
    first = w.launch("sleep 1000")
    for parent, part in ((w.parent, {"container": {"type": "DOCKER"}}),
                         (w.parent, {"command": {"value": "/no/such/program", "shell": False}}),
                         (w.parent, {"command": {}}), (w.parent, {"command": None}),
                         (first, {"resources": resources}), (first, {"container": apart}),
                         (first, {"limits": {"cpus": {"value": 1}}}),
                         (None, {"resources": reserved}), (None, {"container": shared})):
        container_id = w.child(parent) if parent else {"value": "refused"}
        status, text = w.post("LAUNCH_CONTAINER", {"command": {"value": "true"}, **part,
                                                   "container_id": container_id})
        expect(status == 400 and text, "%s: %d %r" % (part, status, text))
        expect(w.wait(container_id)[0] == 404, "it is known: %s" % part)
    status, text = w.post("LAUNCH_NESTED_CONTAINER_SESSION", {
        "container_id": w.child(), "command": {"value": "true"}, "container": apart})
    expect(status == 400 and b"share_cgroups" in text, "%d %r" % (status, text))
    for call in ("WAIT_NESTED_CONTAINER", "KILL_NESTED_CONTAINER", "REMOVE_NESTED_CONTAINER"):
        expect(w.post(call, {"container_id": {"value": "alone"}})[0] == 400, call)
    w.post("KILL_CONTAINER", {"container_id": first})


class Files(http.server.BaseHTTPRequestHandler):
    """/slow waits before it answers; all else is there at once."""
    asked = threading.Event()
    go = threading.Event()

    def do_GET(self):
        if self.path == "/slow":
            Files.asked.set()
            Files.go.wait(LONG)
        self.send_response(404 if self.path == "/none" else 200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        try:
            self.wfile.write(b"hello")
        except OSError:
            pass  # who asked has been killed

    def log_message(self, *_):
        pass


def api_uris(w):
    """What a command's URIs name is there before it runs; without it it is not launched."""
    Files.asked.clear()
    Files.go.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    base = "http://127.0.0.1:%d" % server.server_address[1]

    def launch(container_id, name):
        return w.post("LAUNCH_CONTAINER", {"container_id": container_id, "command": {
            "value": "test $(cat %s) = hello" % name, "uris": [{"value": base + "/" + name}]}})
    for parent in (w.parent, None):
        container_id = w.child(parent) if parent else {"value": "with-uris"}
        expect(launch(container_id, "file") == (200, b""), "launch")
        expect(w.wait(container_id) == (200, 0), "the status")
        w.post("REMOVE_CONTAINER", {"container_id": container_id})
    status, text = launch(w.child(), "none")
    expect(status == 400 and b"Failed to fetch" in text and b"404" in text, "%d %r" % (status, text))
    container_id, answers = w.child(), []
    thread = threading.Thread(target=lambda: answers.append(launch(container_id, "slow")))
    thread.start()
    expect(Files.asked.wait(LONG), "not asked")
    expect(w.launch("true", container_id, 202), "twice")
    expect(w.post("KILL_CONTAINER", {"container_id": container_id})[0] == 200, "kill")
    thread.join(LONG)
    Files.go.set()
    expect(answers and answers[0][0] == 400 and b"destroyed" in answers[0][1], repr(answers))
    expect(w.wait(container_id)[0] == 404, "it is known")
    server.shutdown()
    server.server_close()


def api_environment(w):
    """A container has its executor's environment, one for debugging what its parent has; both
    are its parent's user's, unless told otherwise."""
    variables = [{"name": "GREETING", "value": "nested"}, {"name": "MORE", "value": "1"}]
    script = "echo $GREETING $MORE $(test -n \"$MESOS_FRAMEWORK_ID\" && echo framework) $(id -un)"
    parent = w.launch("sleep 1000", command={"value": "sleep 1000", "user": "nobody",
                                             "environment": {"variables": variables}})
    for container_id, want in ((None, b"hello framework root\n"),
                               (w.child(parent), b"nested 1 framework nobody\n")):
        s = w.session(script, container_id)
        until(lambda: s.ended, "the end")
        expect(s.text() == want, "%r, not %r" % (s.text(), want))
    w.post("KILL_CONTAINER", {"container_id": parent})


def api_arguments(w):
    """The first argument is the name, not the program."""
    container_id = w.launch(None, command={
        "value": "/bin/sh", "shell": False, "arguments": ["name", "-c", "test $0 = name"]})
    expect(w.wait(container_id) == (200, 0), "the status")


def api_standalone(w):
    container_id = w.launch("echo $MESOS_SANDBOX > where; sleep 1000", {"value": "alone"},
                            resources=[{"name": "mem", "type": "SCALAR",
                                        "scalar": {"value": 32}}])
    shown = w.agent_get("GET_CONTAINERS", {"show_standalone": True})["containers"]
    shown = [c for c in shown if c["container_id"] == container_id]
    expect(shown and shown[0]["resource_statistics"]["mem_limit_bytes"] == 32 << 20, repr(shown))
    nested = w.launch("sleep 1000", w.child(container_id))
    expect(w.post("KILL_CONTAINER", {"container_id": container_id})[0] == 200, "kill")
    expect(w.wait(container_id) == (200, 9), "the status")
    until(lambda: w.wait(nested)[0] == 404, "the nested one's end")
    folder = os.path.join(w.cluster.folder, "work", "agent-1", "containers", "alone")
    with open(folder + "/where", encoding="utf-8") as f:
        expect(f.read().strip() == folder, "another folder")
    expect(w.post("REMOVE_CONTAINER", {"container_id": container_id})[0] == 200, "remove")
    until(lambda: not os.listdir(os.path.dirname(folder)), "an empty folder")
    expect(w.post("REMOVE_CONTAINER", {"container_id": container_id})[0] == 404, "once more")


def api_link(w):
    """A task that puts a link where nested sandboxes go gets nothing written there."""
    task = w.run_task("ln -s /tmp containers; touch ready; sleep 1000")
    tasks = w.agent_get("GET_TASKS")["launched_tasks"]
    status = [t for t in tasks if t["task_id"]["value"] == task][0]["statuses"][-1]
    parent = status["container_status"]["container_id"]
    until(lambda: w.reeve("exec", task, "true").returncode != 0, "the link")
    w.launch("true", {"value": "through-link", "parent": parent}, 400)
    expect(not os.path.exists("/tmp/through-link"), "written through a link")


def api_link_swapped(w):
    """Nor does one that puts it there and takes it away all the time."""
    target = os.path.join(w.cluster.folder, "target")
    os.mkdir(target)
    exchange = "swap(-100, b'containers', -100, b'link', 2)"
    task = w.run_task("mkdir -p containers; ln -s %s link; exec python3 -c \"\n"
                      "import ctypes\nswap = ctypes.CDLL(None).renameat2\n"
                      "while True: %s\n\"" % (target, exchange))
    tasks = w.agent_get("GET_TASKS")["launched_tasks"]
    status = [t for t in tasks if t["task_id"]["value"] == task][0]["statuses"][-1]
    parent = status["container_status"]["container_id"]
    before, answers = os.stat(target), []
    for i in range(200):
        child = {"value": "swapped-%d" % i, "parent": parent}
        answers.append(w.post("LAUNCH_CONTAINER", {"container_id": child,
                                                   "command": {"value": "true"}})[0])
        if answers[-1] == 200:
            w.wait(child)
            w.post("REMOVE_CONTAINER", {"container_id": child})
    expect(w.reeve("kill", task).returncode == 0, "kill")
    expect(set(answers) <= {200, 400}, repr(answers))
    after = os.stat(target)
    expect(not os.listdir(target) and (before.st_uid, before.st_mode) == (after.st_uid,
                                                                          after.st_mode),
           "%r through a link: %r" % (os.listdir(target), answers))


def nothing_left(w):
    """Of containers and processes; the folder goes with the cluster."""
    until(lambda: not w.agent_get("GET_CONTAINERS", {"show_nested": True, "show_standalone": True})
          .get("containers"), "no containers")


CASES = [exec_output, exec_in_sandbox, exec_statuses, exec_without_input, exec_pipe,
         exec_input_unread, exec_client_killed, exec_task_ends, exec_terminal,
         exec_terminal_is_restored, exec_full_screen, exec_terminal_closed, attach_task,
         attach_to_command, attach_full_screen, api_half_close, api_input_is_one, api_input_is_checked,
         api_slow_reader, api_terminal, api_heartbeats, api_media_types, api_below_one_another,
         api_signals, api_executors_container, api_refused, api_uris, api_environment,
         api_arguments, api_standalone, api_link, api_link_swapped]


def main():
    chosen = [c for c in CASES if not sys.argv[1:] or c.__name__ in sys.argv[1:]]
    for containerizer in containerizers():
        flags = "--heartbeat_interval=2secs", "--containerizer=" + containerizer
        with Cluster(1, *flags) as cluster:
            os.chdir(cluster.folder)
            w = World(cluster, containerizer == "linux")
            for case in chosen + [nothing_left]:
                if case is nothing_left:
                    w.end()
                report.case("%s under %s" % (case.__name__, containerizer), lambda c=case: c(w))
            os.chdir("/")
            report.case("clean_end", lambda c=cluster: None if c.close() else "the cluster's status")
    return report.finish()


sys.exit(main())
