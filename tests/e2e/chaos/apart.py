"""A run apart from the machine, so that nothing of it is left however it ends: namespaces, control
groups of its own, and somebody who sees to it.

The namespaces (processes, network, mounts, control groups) go with the first process in them. Control
groups do not: they are folders of the machine. So a run has one in each hierarchy, which within it is
the whole tree; to end it is to kill all that is in there and to remove them. Who does that is in a
session of its own, beyond the reach of whoever kills the program that was started."""

import glob
import os
import re
import signal
import subprocess
import sys
import time

# The first process of the namespaces dies with whoever started it, and all that is in them with it.
INSIDE = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--cgroup", "--pid",
          "--fork", "--kill-child=KILL", "--mount-proc", "--propagation", "private"]


def guarded(command):
    """Runs it in a session of its own; it is told to end, and cleans up, when this process ends in
    whatever way. Who reads what we say sees the end of that only then. The exit status."""
    with subprocess.Popen(["setpriv", "--pdeathsig", "TERM"] + command, stdin=subprocess.DEVNULL,
                          start_new_session=True) as child:
        for n in (signal.SIGINT, signal.SIGTERM):
            signal.signal(n, lambda number, _: child.send_signal(number))
        return child.wait()


def leave(number, _):
    """A signal handler: goes through every `finally`; to be told so once is enough."""
    for n in (signal.SIGINT, signal.SIGTERM):
        signal.signal(n, signal.SIG_IGN)
    sys.exit(128 + number)


# ---- control groups

def hierarchies():
    """[(folder, type, options)], as they are mounted."""
    with open("/proc/self/mounts", encoding="utf-8") as f:
        lines = [line.split(" ") for line in f]
    found = []
    for _, folder, kind, options, *_ in lines:
        if kind in ("cgroup", "cgroup2"):
            found.append((folder, kind, ",".join(o for o in options.split(",")
                                                 if o not in ("rw", "relatime", "xattr"))))
    return found


def write(text, *path):
    with open(os.path.join(*path), "w", encoding="ascii") as f:
        f.write(text)


def make_groups(name):
    for folder, _, _ in hierarchies():
        group = os.path.join(folder, name)
        os.mkdir(group)
        for file in glob.glob(os.path.join(group, "cpuset.cpus")) + glob.glob(
                os.path.join(group, "cpuset.mems")):
            with open(os.path.join(folder, os.path.basename(file)), encoding="ascii") as f:
                write(f.read(), file)       # empty, it takes nobody


def run(name, command):
    """Runs it in those groups, and in namespaces of its own; its exit status."""
    def enter():
        for folder, _, _ in hierarchies():
            write("0", folder, name, "cgroup.procs")
    return subprocess.run(INSIDE + command, stdin=subprocess.DEVNULL, check=False,
                          preexec_fn=enter).returncode


def see_own_groups():
    """In the namespaces: what is mounted is ours alone."""
    for folder, kind, options in hierarchies():
        subprocess.run(["umount", folder], check=True)
        subprocess.run(["mount", "-t", kind] + (["-o", options] if options else [])
                       + [kind, folder], check=True)


def groups_of_agents():
    return [group for folder, _, _ in hierarchies()
            for group in sorted(glob.glob(os.path.join(folder, "reeve", "*", "")))]


def remove_groups(name):
    """Ends all who are in them. What is frozen does not end before it thaws."""
    groups = [os.path.join(folder, name) for folder, _, _ in hierarchies()]
    for _ in range(100):
        for folder in [f for group in groups for f, _, _ in os.walk(group, topdown=False)]:
            try:
                if os.path.exists(os.path.join(folder, "freezer.state")):
                    write("THAWED", folder, "freezer.state")
                with open(os.path.join(folder, "cgroup.procs"), encoding="ascii") as f:
                    for pid in re.findall(r"\d+", f.read()):
                        os.kill(int(pid), signal.SIGKILL)
                os.rmdir(folder)
            except OSError:
                pass        # it takes a moment to be empty
        if not any(map(os.path.exists, groups)):
            return
        time.sleep(0.1)
    print("chaos: control groups are left: %s" % list(filter(os.path.exists, groups)))
