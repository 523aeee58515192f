"""What the tests with real clients share: a cluster of `reeve local` on this machine in a folder of
its own, what its API says from outside, and the counting of cases."""

import glob
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.request

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
REEVE = os.path.abspath(os.environ.get("REEVE") or os.path.join(ROOT, "build", "reeve"))
GREETING = "grüße, 世界 𝄞"  # what each task of a client writes, out of its environment
WAIT = 60


class Failure(Exception):
    """A case failed; the text says why."""


def until(what, condition, seconds=WAIT):
    """Waits for a true result and returns it."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise Failure("not in %d s: %s" % (seconds, what))
        time.sleep(0.05)


def run(*command, **options):
    """Runs to the end; a failure shows the output."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", stdin=subprocess.DEVNULL, **options)
    if done.returncode:
        raise Failure("%s: status %d\n%s" % (" ".join(command), done.returncode, done.stdout))


class Process:
    """A child, its lines (stdout and stderr) as they come."""

    def __init__(self, *command, **options):
        self.lines, self.seen = queue.Queue(), []
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      stdin=subprocess.DEVNULL, text=True, errors="replace",
                                      **options)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.child.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def line(self, word, seconds=WAIT):
        """The next line with the word in it."""
        end = time.monotonic() + seconds
        while True:
            try:
                line = self.lines.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise Failure("no line with '%s' in %d s" % (word, seconds)) from None
            if line is None:
                raise Failure("ended with status %d before a line with '%s'"
                              % (self.child.wait(), word))
            self.seen.append(line)
            if word in line:
                return line

    def end(self, seconds=WAIT):
        """Waits for the end; returns the exit status."""
        try:
            status = self.child.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Failure("still running after %d s" % seconds) from None
        self.drain()
        return status

    def drain(self):
        self.reader.join(5)
        while not self.lines.empty():
            line = self.lines.get()
            if line is not None:
                self.seen.append(line)

    def kill(self, number=signal.SIGKILL):
        if self.child.poll() is None:
            self.child.send_signal(number)


class Cluster:
    """A master and two agents. All of it, and what runs on it, lives in `folder`, by default where
    temporary files do: what lies below /tmp is seen by tasks only as volumes."""

    def __init__(self, above=None):
        self.folder = tempfile.mkdtemp(prefix="reeve-e2e-", dir=above)
        # The tasks may run as others than the owner.
        os.chmod(self.folder, 0o755)
        self.process = None

    def start(self):
        self.process = Process(REEVE, "local", "--port=0", "--agents=2",
                               "--work_dir=" + os.path.join(self.folder, "reeve"),
                               "--resources=cpus:4;mem:2048;disk:1024;ports:[31000-32000]")
        self.master = self.process.line("master at ").split("http://")[1].strip()
        until("two agents", lambda: len(self.ask("GET_AGENTS").get("agents", [])) == 2)

    def ask(self, kind):
        """One call of the operator API; what it answers."""
        request = urllib.request.Request("http://%s/api/v1" % self.master,
                                         json.dumps({"type": kind}).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as reply:
            return json.load(reply)[kind.lower()]

    def states(self, framework, among):
        """The states of a framework's tasks in that list of the master."""
        return [t["state"] for t in self.ask("GET_TASKS").get(among, [])
                if t["framework_id"]["value"] == framework]

    def finished(self, framework):
        """How many tasks ended well, acknowledged or not."""
        return (self.states(framework, "tasks") + self.states(framework, "completed_tasks")
                ).count("TASK_FINISHED")

    def check_completed(self, framework, count):
        """All tasks ended well and were acknowledged; each wrote its greeting; nothing is used."""
        completed = self.states(framework, "completed_tasks")
        if completed != ["TASK_FINISHED"] * count:
            raise Failure("the master says: completed are %s" % completed)
        if self.states(framework, "tasks"):
            raise Failure("the master still has %s" % self.states(framework, "tasks"))
        pattern = "reeve/agent-*/slaves/*/frameworks/%s/executors/*/runs/*/stdout" % framework
        files = {os.path.realpath(f) for f in glob.glob(os.path.join(self.folder, pattern))}
        lines = []
        for name in files:
            with open(name, encoding="utf-8") as f:
                lines += [line for line in f if line.rstrip("\n") == GREETING]
        if len(lines) != count:
            raise Failure("%d greetings in the sandboxes, not %d" % (len(lines), count))
        until("nothing allocated", lambda: not any(
            a.get("allocated_resources") for a in self.ask("GET_AGENTS")["agents"]), 20)

    def stop(self):
        """Ends the cluster cleanly, then looks for what outlived it."""
        self.process.kill(signal.SIGTERM)
        status = self.process.end(30)
        if status:
            raise Failure("reeve ended with status %d\n%s"
                          % (status, "\n".join(self.process.seen[-20:])))
        until("no process of the cluster left: %s" % self.left(), lambda: not self.left(), 20)

    def left(self):
        """Processes that work below the folder or name it."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % pid, "rb") as f:
                    words = f.read()
                if int(pid) != os.getpid() and (
                        self.folder.encode() in words
                        or os.readlink("/proc/%s/cwd" % pid).startswith(self.folder)):
                    found.append(int(pid))
            except OSError:
                continue
        return found

    def remove(self):
        """Whatever happened: no process and no file stays."""
        if self.process:
            self.process.kill()
            self.process.child.wait()
        for pid in self.left():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        shutil.rmtree(self.folder, ignore_errors=True)


class Cases:
    """Runs cases and counts them."""

    def __init__(self):
        self.counts = {"ok": 0, "FAIL": 0, "skip": 0}

    def skip(self, name, why):
        self.counts["skip"] += 1
        print("skip %s: %s" % (name, why), flush=True)

    def run(self, name, function, *arguments):
        start = time.monotonic()
        try:
            function(*arguments)
            verdict = "ok"
        except Failure as e:
            verdict = "FAIL"
            print(str(e).rstrip())
        except Exception:
            verdict = "FAIL"
            traceback.print_exc(file=sys.stdout)
        self.counts[verdict] += 1
        print("%s %s (%.1f s)" % (verdict, name, time.monotonic() - start), flush=True)
        return verdict == "ok"

    def summary(self):
        print("%(ok)d passed, %(FAIL)d failed, %(skip)d skipped" % self.counts)
        return 1 if self.counts["FAIL"] else 0
