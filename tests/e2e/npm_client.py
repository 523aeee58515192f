#!/usr/bin/env python3
"""npm's mesos-framework 0.5.3 (tests/e2e/npm) on a real cluster: its scheduler with commands, and
with an executor on the same library, straight through and with a killed and restarted scheduler.
REEVE names another binary than build/reeve. Ends with a line "N passed, N failed, N skipped"; exit
status 0 if none failed."""

import os
import shutil
import sys

from local_cluster import ROOT, Cases, Cluster, Failure, Process, run, until

TASKS = 6


def install(folder):
    """From the registry that npm is configured for; package-lock.json names no other host and has
    the checksum of each package."""
    run(os.path.join(ROOT, "scripts", "install-deps"), "test")
    source = os.path.join(ROOT, "tests", "e2e", "npm")
    for name in os.listdir(source):
        if os.path.isfile(os.path.join(source, name)):
            shutil.copy(os.path.join(source, name), folder)
    run("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline", cwd=folder)


class Scheduler(Process):
    def __init__(self, cluster, client, mode, state, *more):
        # The library still uses Buffer's old constructor.
        super().__init__("node", "--no-deprecation", "scheduler.js", mode,
                         "--master=" + cluster.master, "--state=" + state, "--tasks=%d" % TASKS,
                         *more, cwd=client)

    def subscribed(self):
        return self.line("framework ").split("framework ")[1].strip()


def finish(cluster, process, framework):
    status = process.end()
    if status or process.seen[-1] != "finished %d" % TASKS:
        raise Failure("the scheduler ended with status %d" % status)
    cluster.check_completed(framework, TASKS)


def failover(cluster, first, start, gates):
    framework = first.subscribed()
    first.line("running %d" % TASKS)
    first.kill()
    first.end()
    open(os.path.join(gates, "gate-0"), "w").close()
    until("half of the tasks ended unseen", lambda: cluster.finished(framework) == TASKS / 2)
    second = start()
    again = second.subscribed()
    if again != framework:
        raise Failure("framework %s came back as %s" % (framework, again))
    open(os.path.join(gates, "gate-1"), "w").close()
    finish(cluster, second, framework)


def scenario(cluster, client, mode, fail):
    name = mode + ("-failover" if fail else "")
    state, gates = (os.path.join(cluster.folder, kind, name) for kind in ("state", "gates"))
    os.makedirs(state)
    os.makedirs(gates)
    instances = []

    def start():
        instances.append(Scheduler(cluster, client, mode, state,
                                   *(["--gates=" + gates] if fail else [])))
        return instances[-1]
    try:
        first = start()
        if fail:
            failover(cluster, first, start, gates)
        else:
            finish(cluster, first, first.subscribed())
    except Failure as e:
        for process in instances:
            process.kill()
            process.end()
        raise Failure("\n".join([str(e)] + [line for p in instances for line in p.seen])) from None
    finally:
        for process in instances:
            process.kill()


def main():
    # The library cannot ask for volumes of the kind that the tasks would need.
    cases, cluster = Cases(), Cluster("/var/tmp")
    client = os.path.join(cluster.folder, "client")
    os.mkdir(client)
    try:
        if (cases.run("the client installs", install, client)
                and cases.run("the cluster starts", cluster.start)):
            for mode in ("command", "executor"):
                for fail in (False, True):
                    cases.run("%s, %s" % (mode, "failover" if fail else "plain"),
                              scenario, cluster, client, mode, fail)
            cases.run("the cluster ends and leaves nothing", cluster.stop)
    finally:
        cluster.remove()
    return cases.summary()


if __name__ == "__main__":
    sys.exit(main())
