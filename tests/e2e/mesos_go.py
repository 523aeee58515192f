#!/usr/bin/env python3
"""A scheduler on Debian's mesos-go library (tests/e2e/mesos-go) on a real cluster, with commands and
with an executor on the same library: in protobuf and in JSON, straight through and with a failover
of the scheduler. REEVE names another binary than
build/reeve. Ends with a line "N passed, N failed, N skipped"; exit status 0 if none failed."""

import itertools
import os
import sys

from local_cluster import ROOT, Cases, Cluster, Failure, Process, run, until

TASKS = 6


def build_program(source, program):
    """Debian's package has the sources of the library and of what it needs: nothing is fetched."""
    run(os.path.join(ROOT, "scripts", "install-deps"), "test")
    kept = os.path.join(ROOT, "build")
    cache = os.path.join(kept if os.path.isdir(kept) else os.path.dirname(program), "go-cache")
    run("go", "build", "-o", program, ".", cwd=source,
        env=dict(os.environ, GOPATH="/usr/share/gocode", GO111MODULE="off", GOFLAGS="",
                 GOPROXY="off", GOCACHE=cache))


def build(folder):
    for program in ("scheduler", "executor"):
        build_program(os.path.join(ROOT, "tests", "e2e", "mesos-go", program),
                      os.path.join(folder, program))


def framework_of(line):
    return line.split("framework ")[1].strip()


def finish(cluster, process, framework):
    status = process.end()
    if status or process.seen[-1] != "finished %d" % TASKS:
        raise Failure("the scheduler ended with status %d" % status)
    cluster.check_completed(framework, TASKS)


def plain(cluster, process):
    finish(cluster, process, framework_of(process.line("framework ")))


def failover(cluster, process, gates):
    framework = framework_of(process.line("framework "))
    process.line("replacing myself")
    open(os.path.join(gates, "gate-0"), "w").close()
    until("half of the tasks ended unseen", lambda: cluster.finished(framework) == TASKS / 2)
    open(os.path.join(gates, "second"), "w").close()
    again = framework_of(process.line("framework "))
    if again != framework:
        raise Failure("framework %s came back as %s" % (framework, again))
    open(os.path.join(gates, "gate-1"), "w").close()
    finish(cluster, process, framework)


def scenario(cluster, mode, codec, fail):
    arguments = ["--master=" + cluster.master, "--codec=" + codec, "--tasks=%d" % TASKS]
    gates = os.path.join(cluster.folder, "gates-%s-%s" % (mode, codec))
    if mode == "executor":
        arguments.append("--executor=" + os.path.join(cluster.folder, "executor"))
    if fail:
        os.mkdir(gates)
        arguments.append("--failover=" + gates)
    process = Process(os.path.join(cluster.folder, "scheduler"), *arguments)
    try:
        if fail:
            failover(cluster, process, gates)
        else:
            plain(cluster, process)
    except Failure as e:
        process.kill()
        process.end()
        raise Failure("%s\n%s" % (e, "\n".join(process.seen))) from None
    finally:
        process.kill()


def main():
    cases, cluster = Cases(), Cluster()
    try:
        if (cases.run("the client builds", build, cluster.folder)
                and cases.run("the cluster starts", cluster.start)):
            for mode, codec, fail in itertools.product(("command", "executor"),
                                                       ("protobuf", "json"), (False, True)):
                cases.run("%s, %s, %s" % (mode, codec, "failover" if fail else "plain"),
                          scenario, cluster, mode, codec, fail)
            cases.run("the cluster ends and leaves nothing", cluster.stop)
    finally:
        cluster.remove()
    return cases.summary()


if __name__ == "__main__":
    sys.exit(main())
