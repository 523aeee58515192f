"""Tasks that outlive their agent, and what it has written down about them."""

import os

from processes import get, outside, wait

# Runs until the file `go` is in its sandbox; leaves its pid there.
WAITING = "echo $$ > pid; while [ ! -e go ]; do sleep 0.05; done"


def sandbox_file(cell, name):
    for folder, _, files in os.walk(os.path.join(cell.agent.work_dir)):
        if name in files and os.path.basename(os.path.dirname(folder)) == "runs":
            return os.path.join(folder, name)
    return None


def pid_of(cell):
    path = wait(lambda: sandbox_file(cell, "pid"), "the task to write its pid")
    pid = int(wait(lambda: open(path, encoding="ascii").read().strip(), "the pid"))
    return wait(lambda: outside(pid, os.path.dirname(path)), "the task to run")


def go(cell):
    open(os.path.join(os.path.dirname(sandbox_file(cell, "pid")), "go"), "w").close()


def running(pid):
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii") as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def finish(cell, s, task):
    """The task ends, is acknowledged, and so goes to the completed ones of the agent."""
    go(cell)
    s.state(task, "TASK_FINISHED")

    def acknowledged():
        frameworks = get(cell.agent.address, "/state")
        return not any(e for f in frameworks["frameworks"] for e in f["executors"])
    wait(acknowledged, "the executor to be done with")


def journal_of(cell):
    return os.path.join(cell.agent.work_dir, "meta", "checkpoints.journal")


def used(content):
    """Where the zeros at a journal's end begin."""
    return (len(content.rstrip(b"\0")) + 15) // 16 * 16


def read(path):
    with open(path, "rb") as f:
        return f.read()


def write(path, content):
    with open(path, "wb") as f:
        f.write(content)
