#!/usr/bin/env python3
"""The verbs for people against a real cluster: run, ps, logs, kill, nodes, frameworks, roles, state.
Leaves no process and no file behind."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import REEVE, Cluster, Report  # noqa: E402

report = Report()
LONG = 60


def plain_env(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("REEVE_") and k != "NO_COLOR"}
    env.update(more)
    return env


def expect(condition, text):
    if not condition:
        raise AssertionError(text)


class Shell:
    """`reeve` as a person with REEVE_MASTER in the environment calls it."""

    def __init__(self, master):
        self.env = plain_env(REEVE_MASTER=master, TERM="xterm")

    def reeve(self, *words, **more):
        return subprocess.run([REEVE, *words], env=dict(self.env, **more), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LONG,
                              text=True, errors="replace")

    def start(self, *words):
        return subprocess.Popen([REEVE, *words], env=self.env, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def json(self, *words):
        done = self.reeve(*words, "-o", "json")
        expect(done.returncode == 0, "%s: %d %s" % (words, done.returncode, done.stderr))
        return json.loads(done.stdout)

    def terminal(self, *words, **more):
        """The output on a terminal."""
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(REEVE, [REEVE, *words], dict(self.env, **more))
        data = b""
        while True:
            try:
                piece = os.read(fd, 65536)
            except OSError:
                break
            if not piece:
                break
            data += piece
        os.close(fd)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), data.decode()

    def running(self, count, name):
        """Waits for so many running tasks of the name; their records."""
        deadline = time.monotonic() + 20
        while True:
            found = [t for t in self.json("ps") if t["name"] == name]
            if len(found) == count and all(t["state"] == "TASK_RUNNING" for t in found):
                return found
            expect(time.monotonic() < deadline, "%d tasks %s, not %d" % (len(found), name, count))
            time.sleep(0.1)


def finished(done, status, stdout=None):
    expect(done.returncode == status,
           "status %d, not %d: %r %r" % (done.returncode, status, done.stdout, done.stderr))
    if stdout is not None:
        expect(done.stdout == stdout, "stdout %r, not %r" % (done.stdout, stdout))


# ------------------------------------------------------------------------------------- run

def run_one(sh):
    finished(sh.reeve("run", "--", "echo", "hello", "a  b"), 0, "hello a  b\n")


def run_raw_bytes(sh):
    done = subprocess.run([REEVE, "run", "--shell=printf '\\000\\377x'; printf e >&2"], env=sh.env,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LONG)
    expect((done.stdout, done.stderr, done.returncode) == (b"\0\xffx", b"e", 0), repr(done))


def run_several(sh):
    done = sh.reeve("run", "--name=several", "--instances=5",
                    "--shell=echo out $REEVE_INSTANCE of $REEVE_INSTANCES; echo err >&2")
    finished(done, 0)
    want = sorted("[several.%d] out %d of 5" % (i, i) for i in range(5))
    expect(sorted(done.stdout.splitlines()) == want, done.stdout)
    want = sorted("[several.%d] err" % i for i in range(5))
    expect(sorted(done.stderr.splitlines()) == want, done.stderr)


def run_more_than_fits(sh):
    """Twelve tasks, of which four fit at a time: the others wait for them."""
    done = sh.reeve("run", "--name=many", "-i12", "--cpus=2", "--shell=sleep 0.3; echo $(hostname)")
    finished(done, 0)
    expect(len(done.stdout.splitlines()) == 12, done.stdout)


def run_statuses(sh):
    finished(sh.reeve("run", "--shell=exit 7"), 7)
    finished(sh.reeve("run", "--shell=kill -9 $$"), 137)
    done = sh.reeve("run", "/nowhere/program")
    finished(done, 1, "")
    expect("TASK_FAILED" in done.stderr, done.stderr)
    done = sh.reeve("run", "-i", "3", "--shell=test $REEVE_INSTANCE != 1 || exit 5")
    finished(done, 5)


def run_much(sh):
    done = sh.reeve("run", "--shell=seq 300000")
    finished(done, 0)
    expect(done.stdout == "".join("%d\n" % i for i in range(1, 300001)), "300,000 lines differ")


def run_last_line(sh):
    """A last line without its end is shown too, on a line of its own where there are several."""
    finished(sh.reeve("run", "--shell=printf end"), 0, "end")
    done = sh.reeve("run", "--name=n", "-i2", "--shell=printf end")
    expect(sorted(done.stdout.splitlines()) == ["[n.0] end", "[n.1] end"], done.stdout)


def run_environment(sh):
    done = sh.reeve("run", "--ports=2", "--env=A=b=c", "-e", "D=", "--shell=echo $A,$D,$PORT0,$PORT1")
    finished(done, 0)
    got = re.fullmatch(r"b=c,,(\d+),(\d+)\n", done.stdout)
    expect(got and got[1] != got[2] and 31000 <= int(got[1]) <= 32000, done.stdout)


def run_command_keeps_its_options(sh):
    finished(sh.reeve("run", "echo", "--name=x", "-o", "json"), 0, "--name=x -o json\n")


def run_role(sh):
    finished(sh.reeve("run", "--role=eng/web", "--constraint=hostname=127.0.0.1", "true"), 0, "")


def run_waits(sh):
    done = sh.reeve("run", "--cpus=999", "--timeout=7secs", "true")
    finished(done, 124, "")
    expect("no offer with 999 cpus and 32 MB of mem; the largest had 4 cpus" in done.stderr,
           done.stderr)


def run_timeout(sh):
    begin = time.monotonic()
    finished(sh.reeve("run", "--timeout=1s", "sleep", "50"), 124, "")
    expect(time.monotonic() - begin < 15, "took %.1f s" % (time.monotonic() - begin))


def run_interrupted(sh):
    for number in (signal.SIGINT, signal.SIGTERM):
        job = sh.start("run", "--name=cut", "-i2", "sleep", "1000")
        sh.running(2, "cut")
        job.send_signal(number)
        _, err = job.communicate(timeout=20)
        expect(job.returncode == 128 + number, "status %d: %s" % (job.returncode, err))
        expect(sh.json("ps") == [], "tasks are left")


def run_interrupted_twice(sh):
    """A task that will not end: the second signal does not wait for it."""
    job = sh.start("run", "--name=deaf", "--grace=60secs", "--shell=trap '' TERM; echo; sleep 1000")
    sh.running(1, "deaf")
    job.stdout.readline()
    begin = time.monotonic()
    job.send_signal(signal.SIGINT)
    time.sleep(0.5)
    expect(job.poll() is None, "did not wait for its task")
    job.send_signal(signal.SIGINT)
    job.communicate(timeout=20)
    expect(job.returncode == 130 and time.monotonic() - begin < 10, "status %d" % job.returncode)


def run_reader_gone(sh):
    done = subprocess.run("'%s' run --name=yes yes | head -n 2" % REEVE, shell=True, env=sh.env,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=LONG)
    expect(done.stdout == b"y\ny\n", repr(done.stdout))


# ------------------------------------------------------------------------- lists and logs

def lists(sh):
    job = sh.start("run", "--name=seen", "-i3", "--cpus=0.5", "--mem=64", "sleep", "1000")
    try:
        tasks = sh.running(3, "seen")
        expect(all((t["cpus"], t["mem"], t["framework"]) == (0.5, 64, "reeve run seen")
                   for t in tasks), tasks)
        nodes = sh.json("nodes")
        expect(len(nodes) == 2 and all(n["state"] == "active" for n in nodes), nodes)
        expect(sum(n["tasks"] for n in nodes) == 3, nodes)
        expect(abs(sum(n["cpus_used"] for n in nodes) - 1.5) < 1e-9, nodes)
        expect({t["node"] for t in tasks} <= {n["id"] for n in nodes}, tasks)
        framework = [f for f in sh.json("frameworks") if f["id"] == tasks[0]["framework_id"]]
        expect(len(framework) == 1 and framework[0]["tasks"] == 3
               and framework[0]["state"] == "active", framework)
        role = [r for r in sh.json("roles") if r["name"] == "*"]
        expect(role and role[0]["cpus"] == 1.5 and role[0]["frameworks"] == 1, role)
        state = json.loads(sh.reeve("state").stdout)
        expect(len(state["get_state"]["get_tasks"]["tasks"]) == 3, "state")
        expect("2 nodes, 1 frameworks" in sh.reeve("state", "-o", "table").stdout, "summary")
        for verb in ("ps", "nodes", "frameworks", "roles", "state"):
            for form in ("table", "wide", "json"):
                finished(sh.reeve(verb, "-o", form), 0)
        aligned(sh.reeve("ps").stdout)
    finally:
        job.send_signal(signal.SIGINT)
        job.communicate(timeout=20)
    expect(len([f for f in sh.json("frameworks", "-a") if f["name"] == "reeve run seen"]) == 1,
           "an ended framework is not listed")
    expect(len([t for t in sh.json("ps", "-a") if t["name"] == "seen"]) == 3, "ended tasks")


def quota(sh):
    expect(sh.json("quota") == [], "there is a quota already")
    finished(sh.reeve("quota", "set", "dev", "cpus:1.5; mem:0"), 0, "")
    finished(sh.reeve("quota", "set", "prod", "--guarantee=cpus:0.5", "cpus:2"), 0, "")
    rows = {(r["role"], r["resource"]): (r.get("guarantee"), r.get("limit"))
            for r in sh.json("quota")}
    expect(rows == {("dev", "cpus"): (None, 1.5), ("dev", "mem"): (None, 0),
                    ("prod", "cpus"): (0.5, 2)}, rows)
    expect("GUARANTEE" in sh.reeve("quota").stdout, "no table")
    refused = sh.reeve("quota", "set", "big", "--guarantee=cpus:1000000")
    finished(refused, 1, "")
    expect("force" in refused.stderr, refused.stderr)
    finished(sh.reeve("quota", "set", "big", "--force", "--guarantee=cpus:1000000"), 0, "")
    finished(sh.reeve("quota", "set", "dev/web", "cpus:1"), 1, "")
    for words in (["set", "dev"], ["set", "dev", "cpus"], ["set", "dev", "cpus:-1"],
                  ["set", "dev", "cpus:1", "mem:1"], ["remove"], ["paint", "dev"]):
        finished(sh.reeve("quota", *words), 2, "")
    finished(sh.reeve("quota", "remove", "dev", "prod", "big"), 0, "")
    expect(sh.json("quota") == [], "a quota is left")


def until_shown(sh, verb, want):
    """Waits for the rows of `reserve` or `volume` on S0: {what: amount}."""
    deadline = time.monotonic() + LONG
    while True:
        rows = sh.json(verb)
        seen = {r["id"] if verb == "volume" else (r["resource"], r.get("volume")):
                r["size" if verb == "volume" else "amount"] for r in rows}
        if seen == want:
            return
        expect(time.monotonic() < deadline, "%s shows %s, not %s" % (verb, rows, want))
        time.sleep(0.1)


def reservations(sh):
    until_shown(sh, "reserve", {})
    finished(sh.reeve("reserve", "S0", "dev/db", "cpus:0.5; disk:96"), 0, "")
    until_shown(sh, "reserve", {("cpus", None): 0.5, ("disk", None): 96})
    finished(sh.reeve("volume", "create", "S0", "dev/db", "data", "64", "--path=db"), 0, "")
    until_shown(sh, "volume", {"data": 64})
    until_shown(sh, "reserve", {("cpus", None): 0.5, ("disk", None): 32, ("disk", "data"): 64})
    expect("VOLUME" in sh.reeve("reserve").stdout and "dev/db" in sh.reeve("volume").stdout, "tables")
    for words, text in ((["reserve", "S0", "dev", "cpus:4000"], "lacks cpus:399"),
                        (["reserve", "S0", "a b", "cpus:1"], "role"),
                        (["reserve", "S9", "dev", "cpus:1"], "S9"),
                        (["unreserve", "S0", "dev/db", "cpus:1"], "0.5 cpus more than is"),
                        (["unreserve", "S1", "dev/db"], "nothing"),
                        (["volume", "create", "S0", "dev/db", "more", "33"], "33 MB"),
                        (["volume", "create", "S0", "dev/db", "data", "1"], "data"),
                        (["volume", "destroy", "S0", "dev/db", "none"], "no volume none")):
        done = sh.reeve(*words)
        finished(done, 1, "")
        expect(text in done.stderr, (words, done.stderr))
    for words in (["reserve", "S0"], ["reserve", "S0", "dev", "cpus"], ["unreserve", "S0"],
                  ["volume", "create", "S0", "dev", "v", "big"], ["volume", "destroy", "S0", "dev"],
                  ["volume", "paint"]):
        finished(sh.reeve(*words), 2, "")
    finished(sh.reeve("unreserve", "S0", "dev/db", "cpus:0.2;disk:2"), 0, "")
    until_shown(sh, "reserve", {("cpus", None): 0.3, ("disk", None): 30, ("disk", "data"): 64})
    finished(sh.reeve("volume", "destroy", "S0", "dev/db", "data"), 0, "")
    until_shown(sh, "volume", {})
    finished(sh.reeve("unreserve", "S0", "dev/db"), 0, "")
    until_shown(sh, "reserve", {})


def aligned(table):
    rows = table.splitlines()
    at = rows[0].index("STATE")
    expect(len(rows) == 4 and all(r[at - 1] == " " and r[at:].startswith("running")
                                  for r in rows[1:]), table)


def short_ids(sh):
    """What the table shows is enough to name a task."""
    finished(sh.reeve("run", "--name=short", "-i2", "--shell=echo $REEVE_INSTANCE"), 0)
    rows = [r.split() for r in sh.reeve("ps", "-a").stdout.splitlines() if " short " in r]
    expect(len(rows) == 2, rows)
    expect(sorted(sh.reeve("logs", r[0]).stdout for r in rows) == ["0\n", "1\n"], rows)
    long = [t["id"] for t in sh.json("ps", "-a") if t["name"] == "short"]
    wide = sh.reeve("ps", "-a", "-o", "wide").stdout
    expect(all(i in wide for i in long), wide)
    nodes = [r.split()[0] for r in sh.reeve("nodes").stdout.splitlines()[1:]]
    expect(sorted(nodes) == ["S0", "S1"], nodes)


def ambiguous(sh):
    finished(sh.reeve("run", "--name=twin", "-i2", "true"), 0)
    done = sh.reeve("logs", "twin")
    finished(done, 1, "")
    expect(done.stderr.count("\n  twin-") == 2, done.stderr)
    done = sh.reeve("logs", "no-such-task")
    finished(done, 1, "")
    expect("no task has an id beginning with" in done.stderr, done.stderr)


def logs(sh):
    finished(sh.reeve("run", "--name=writer", "--shell=seq 10; echo oops >&2; printf tail"), 0)
    task = [t["id"] for t in sh.json("ps", "-a") if t["name"] == "writer"][0]
    everything = "".join("%d\n" % i for i in range(1, 11)) + "tail"
    finished(sh.reeve("logs", task), 0, everything)
    finished(sh.reeve("logs", task[:-1]), 0, everything)
    finished(sh.reeve("logs", "--stderr", task), 0, "oops\n")
    finished(sh.reeve("logs", "-n", "2", task), 0, "10\ntail")
    finished(sh.reeve("logs", "-n0", task), 0, "")
    finished(sh.reeve("logs", "--lines=99", task), 0, everything)
    finished(sh.reeve("logs", "-f", task), 0, everything)
    framework = [t["framework_id"] for t in sh.json("ps", "-a") if t["id"] == task][0]
    finished(sh.reeve("logs", framework + "/" + task), 0, everything)


def logs_follow(sh):
    job = sh.start("run", "--name=slow", "--shell=for i in 1 2 3 4 5; do echo $i; sleep 0.5; done")
    task = sh.running(1, "slow")[0]["id"]
    finished(sh.reeve("logs", "-f", task), 0, "1\n2\n3\n4\n5\n")
    expect(job.wait(20) == 0, "the job failed")
    job.communicate()


def rotation(_):
    """Files of 50 KB that rotate while they are read."""
    with tempfile.TemporaryDirectory(prefix="reeve-e2e-") as folder:
        os.chmod(folder, 0o755)
        daemons = []

        def daemon(prefix, *words):
            with open(os.path.join(folder, "log"), "ab") as log:
                daemons.append(subprocess.Popen([REEVE, *words], stdout=subprocess.PIPE, stderr=log,
                                                text=True, env=plain_env()))
            return daemons[-1].stdout.readline().strip()[len(prefix):]

        try:
            sh = Shell(daemon("master at http://", "master", "--port=0"))
            daemon("agent at http://", "agent", "--port=0", "--master=" + sh.env["REEVE_MASTER"],
                   "--work_dir=" + folder + "/agent",
                   "--runtime_dir=" + folder + "/runtime", "--log_max_size=50KB", "--log_keep=3")
            lines = ["%d %s" % (i, "x" * 90) for i in range(1, 2001)]
            done = sh.reeve("run", "--name=turning", "--shell=x=%s; i=0; while [ $i -lt 2000 ]; do "
                            "i=$((i+1)); echo $i $x; sleep 0.002; done" % ("x" * 90))
            finished(done, 0)
            expect(done.stdout.splitlines() == lines, "the output has gaps")
            kept = sh.reeve("logs", "turning").stdout.splitlines()
            expect(len(kept) > 500 and kept == lines[-len(kept):], "logs shows %d" % len(kept))
            last = sh.reeve("logs", "-n", "%d" % (len(kept) - 5), "turning").stdout.splitlines()
            expect(last == kept[5:], "the last lines, over several files: %d" % len(last))
        finally:
            for process in reversed(daemons):
                process.terminate()
                process.wait(20)
                process.stdout.close()


# ------------------------------------------------------------------------------------ kill

def kill(sh):
    job = sh.start("run", "--name=victim", "-i2", "sleep", "1000")
    tasks = sorted(t["id"] for t in sh.running(2, "victim"))
    done = sh.reeve("kill", "victim")
    finished(done, 1, "")
    expect("could be one of 2 tasks" in done.stderr, done.stderr)
    expect(len(sh.running(2, "victim")) == 2, "an ambiguous prefix killed")
    finished(sh.reeve("kill", tasks[0]), 0, tasks[0] + "\n")
    sh.running(1, "victim")
    finished(sh.reeve("kill", "--grace=1secs", "victim"), 0, tasks[1] + "\n")
    job.communicate(timeout=20)
    expect(job.returncode == 143, "status of the job: %d" % job.returncode)
    done = sh.reeve("kill", tasks[0])
    finished(done, 1, "")
    expect("has ended already" in done.stderr or "no task that runs" in done.stderr, done.stderr)


def kill_endpoint(sh, cluster):
    def post(message):
        return cluster.request("POST", "/reeve/v1/kill", json.dumps(message).encode(),
                               {"Content-Type": "application/json"})[0]
    task = {"task_id": {"value": "nothing"}}
    got = [post({"type": "KILL", "framework_id": {"value": "nobody"}, "kill": task}),
           post({"type": "KILL", "kill": task}), post({"type": "REVIVE"}), post([]),
           cluster.request("GET", "/reeve/v1/kill")[0]]
    expect(got[0] == 404 and got[2:] == [400, 400, 405] and got[1] in (400, 404), got)


# ------------------------------------------------------------------------- around the verbs

def usage(sh):
    for verb in ("run", "ps", "logs", "kill", "nodes", "node", "frameworks", "roles", "quota",
                 "reserve", "unreserve", "volume", "state"):
        done = sh.reeve(verb, "--help")
        finished(done, 0)
        expect(done.stdout.startswith("reeve " + verb) and "--master" in done.stdout, done.stdout)
        for words in (["--nonsense"], ["-o", "xml"], ["-o"], ["--help=1"]):
            done = sh.reeve(verb, *words)
            finished(done, 2, "")
            expect(done.stderr.startswith("reeve %s: " % verb), done.stderr)
    for words in (["run"], ["run", "--shell=x", "y"], ["run", "--cpus=-1", "x"], ["logs"], ["kill"],
                  ["run", "--cpus=nan", "x"], ["run", "--env=X", "x"], ["run", "--instances=0", "x"],
                  ["run", "--timeout=soon", "x"], ["logs", "a", "b"], ["ps", "a"],
                  ["node", "drain"], ["node", "paint", "S0"],
                  ["node", "drain", "--grace=long", "S0"]):
        finished(sh.reeve(*words), 2, "")


def no_master(sh):
    for words in (["ps"], ["run", "true"], ["kill", "x"], ["logs", "x"], ["state"], ["roles"]):
        done = sh.reeve(*words, REEVE_MASTER="127.0.0.1:1")
        finished(done, 1, "")
        expect("cannot reach the master at 127.0.0.1:1" in done.stderr
               and "connection refused" in done.stderr
               and "--master or REEVE_MASTER" in done.stderr, done.stderr)
    right = sh.env["REEVE_MASTER"]
    finished(sh.reeve("ps", "--master=" + right, REEVE_MASTER="127.0.0.1:1"), 0)
    finished(sh.reeve("ps", "--master=127.0.0.1:1," + right), 0)
    finished(sh.reeve("run", "--master=http://" + right + "/", "true"), 0)
    finished(sh.reeve("ps", "--master=127.0.0.1:port"), 1)


def colours(sh):
    finished(sh.reeve("run", "--name=plain", "-i2", "echo", "x"), 0)
    for words in (["ps", "-a"], ["nodes"], ["run", "-i2", "echo", "x"]):
        done = sh.reeve(*words)
        expect("\033" not in done.stdout + done.stderr, "escapes in a pipe: %r" % done.stdout)
    status, text = sh.terminal("ps", "-a")
    expect(status == 0 and "\033[34mfinished\033[0m" in text, text)
    status, text = sh.terminal("nodes", NO_COLOR="1")
    expect(status == 0 and "\033" not in text, text)
    status, text = sh.terminal("run", "--name=show", "-i2", "--shell=sleep 1; echo x")
    expect(status == 0 and "show: 0 of 2 finished, 2 running" in text, repr(text))
    expect(text.endswith("\r\033[K"), "the progress line stays: %r" % text)
    status, text = sh.terminal("run", "--name=show", "-i2", "--shell=echo x", NO_COLOR="1",
                               TERM="dumb")
    expect(status == 0 and "\033" not in text, repr(text))


def top(sh):
    nodes = sh.json("top")
    expect(len(nodes) == 2 and all(n["cpus_total"] == 4 and n["mem_total"] == 2048 and
                                   n["cpus_allocated"] == 0 and n["state"] == "active" and
                                   n["machine_mem_used_bytes"] > 0 and n["load"] is not None
                                   for n in nodes), nodes)
    job = sh.start("run", "--name=busy", "--cpus=0.5", "--shell=while :; do :; done")
    task = sh.running(1, "busy")[0]
    most = sh.json("top", "--sort=cpu")[0]
    expect(most["cpus_allocated"] == 0.5, most)
    rows = sh.json("top", most["id"])
    expect(len(rows) == 1 and rows[0]["executor"] == task["id"], rows)
    expect(rows[0]["cpu_percent"] > 0 and rows[0]["processes"] >= 2 and
           rows[0]["cpus_limit"] == 0.5 and rows[0]["mem_bytes"] > 0 and
           rows[0]["mem_limit_bytes"] == 32 << 20, rows)
    done = sh.reeve("top", most["id"], "-n", "2", "-d", "200ms")
    finished(done, 0)
    expect(done.stdout.count("CONTAINER") == 2 and done.stdout.count(task["id"]) == 2
           and "\033" not in done.stdout, done.stdout)
    done = sh.reeve("top")
    finished(done, 0)
    expect(done.stdout.startswith("NODE") and "0.5/4" in done.stdout, done.stdout)
    finished(sh.reeve("top", "there-is-none"), 1)
    finished(sh.reeve("top", "--sort=size"), 2)
    top_on_a_terminal(sh, most["id"], task["id"])
    job.send_signal(signal.SIGINT)
    job.communicate(timeout=LONG)


def top_on_a_terminal(sh, node, task):
    """Keys sort and end it; whatever ends it, the terminal is as before."""
    for how in ("q", signal.SIGINT):
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(REEVE, [REEVE, "top", node, "--interval=200ms"], sh.env)
        seen = b""

        def until(text):
            nonlocal seen
            deadline = time.monotonic() + LONG
            while text.encode() not in seen:
                expect(time.monotonic() < deadline, "no %r in %r" % (text, seen[-500:]))
                seen += os.read(fd, 65536)
        until(task[:8])
        until("by cpu; q ends")
        os.write(fd, b"m")
        until("by mem; q ends")
        if how == "q":
            os.write(fd, b"q")
        else:
            os.kill(pid, how)
        until("\033[?1049l")
        expect(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, "status")
        os.close(fd)


CASES = [run_one, run_raw_bytes, run_several, run_more_than_fits, run_statuses, run_much,
         run_last_line, run_environment, run_command_keeps_its_options, run_role, run_waits,
         run_timeout, run_interrupted, run_interrupted_twice, run_reader_gone, lists, quota, reservations,
         short_ids, ambiguous, logs, logs_follow, rotation, kill, top, usage, no_master, colours]


def nothing_left(sh):
    deadline = time.monotonic() + 20
    while True:
        nodes, frameworks = sh.json("nodes"), sh.json("frameworks")
        if not frameworks and all(n["cpus_used"] == 0 and n["tasks"] == 0 for n in nodes):
            return
        expect(time.monotonic() < deadline, "%s %s" % (nodes, frameworks))
        time.sleep(0.2)


def main():
    chosen = [c for c in CASES if not sys.argv[1:] or c.__name__ in sys.argv[1:]]
    resources = "--resources=cpus:4;mem:2048;disk:1024;ports:[31000-31999]"
    with Cluster(2, resources) as cluster:
        sh = Shell("%s:%d" % cluster.master)
        for case in chosen:
            report.case(case.__name__, lambda c=case: c(sh))
        report.case("kill_endpoint", lambda: kill_endpoint(sh, cluster))
        report.case("nothing_left", lambda: nothing_left(sh))
        report.case("clean_end", lambda: None if cluster.close() else "the cluster's status")
    return report.finish()


sys.exit(main())
