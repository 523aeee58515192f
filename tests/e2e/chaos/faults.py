"""What the steps of a plan do. Each is a generator: it harms, yields for how many seconds to go on so,
and heals; it heals too when it is closed before its time."""

import glob
import os
import random
import signal

import plan
import processes
import world as worlds
from network import NAMES, both

KINDS = {}


def fault(name):
    def register(function):
        KINDS[name] = function
        return function
    return register


def majority(cast):
    return cast.zookeeper[:cast.zookeepers // 2 + 1]


# ---- processes

@fault("kill")
@fault("kill zookeeper")
def kill(world, step, who):
    services = [world.services[name] for name in who]
    for service in services:
        service.kill()
    try:
        yield step.seconds
    finally:
        for service in services:
            service.start()


@fault("freeze")
@fault("freeze zookeeper")
def freeze(world, step, who):
    services = [world.services[name] for name in who]
    for service in services:
        service.freeze()
    try:
        yield step.seconds
    finally:
        for service in services:
            service.thaw()


def below(world, agent):
    """{pid: parent} of all that runs on this node but the agent's own process and what it left."""
    home = os.stat(os.path.join(NAMES, agent)).st_ino
    own = world.services[agent].process
    found = {}
    for pid in processes.everybody():
        try:
            if os.stat("/proc/%d/ns/net" % pid).st_ino == home and not (own and pid == own.pid):
                found[pid] = processes.parent(pid)
        except OSError:
            pass
    return found


def of_container(tree, pid, name):
    """A variable of the environment of the executor that this process is of, if of any: its own,
    or the nearest one's above it, or of what is below."""
    above = pid
    while above in tree:
        if (value := processes.variable(above, name)):
            return value
        above = tree[above]
    return next(filter(None, (of_container({k: v for k, v in tree.items() if k != pid}, child, name)
                              for child, parent in tree.items() if parent == pid)), None)


def some_process(world, agent, kind):
    """(pid, framework, executor) of an executor on this agent, or of anything else, or None."""
    tree = below(world, agent)
    names = {pid: name for pid, (name, _) in processes.everybody().items()}
    pids = [pid for pid in sorted(tree)
            if kind.endswith("process") or names.get(pid) == "reeve-executor"]
    if not pids:
        return None
    pid = random.choice(pids)
    return (pid, names.get(pid), of_container(tree, pid, "MESOS_FRAMEWORK_ID"),
            of_container(tree, pid, "MESOS_EXECUTOR_ID"))


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


@fault("kill executor")
@fault("kill process")
@fault("freeze executor")
@fault("freeze process")
def harm_container(world, step, who):
    found = some_process(world, who[0], step.kind)
    if not found:
        return
    pid, name, framework, executor = found
    world.journal.write(step.kind, framework=framework, executor=executor, pid=pid, name=name)
    if step.kind.startswith("kill"):
        send(pid, signal.SIGKILL)
        return
    send(pid, signal.SIGSTOP)
    try:
        yield step.seconds
    finally:
        send(pid, signal.SIGCONT)


# ---- network

def cut(world, how, pairs):
    return world.network.reset(pairs) if how == "reset" else world.network.drop(pairs)


def directed(how, some, others):
    """in: nothing comes to `some`; out: nothing leaves them."""
    return {"in": [(a, b) for a in others for b in some],
            "out": [(a, b) for a in some for b in others]}.get(how, both(some, others))


OTHERS = {
    "cut off": lambda world: world.cast.everybody,
    "cut one way": lambda world: world.cast.everybody,
    "cut from masters": lambda world: world.cast.masters,
    "cut from leader": lambda world: [world.leading] if world.leading else [],
    "cut from zookeeper": lambda world: world.cast.zookeeper,
}


@fault("cut off")
@fault("cut one way")
@fault("cut from masters")
@fault("cut from leader")
@fault("cut from zookeeper")
def partition(world, step, who):
    token = cut(world, step.how, directed(step.how, who, OTHERS[step.kind](world)))
    try:
        yield step.seconds
    finally:
        world.network.remove(token)


@fault("lose packets")
def lose(world, step, who):
    token = world.network.lose(both(who, world.cast.everybody), int(step.how))
    try:
        yield step.seconds
    finally:
        world.network.remove(token)


@fault("slow")
def slow(world, step, who):
    world.network.slow(who[0])
    try:
        yield step.seconds
    finally:
        world.network.quick(who[0])


@fault("expire")
def expire(world, step, who):
    """The leader is without its session for as long as it takes others to lead."""
    more = plan.Step(step.at, step.kind, step.target,
                     step.seconds + 2 * worlds.SESSION, step.how)
    if step.how == "freeze":
        yield from freeze(world, more, who)
        return
    token = cut(world, "drop", both(who, world.cast.zookeeper))
    try:
        yield more.seconds
    finally:
        world.network.remove(token)


# ---- disks

@fault("full disk")
def fill(world, step, who):
    ballast = os.path.join(world.disk(who[0]), "ballast")
    with open(ballast, "wb", buffering=0) as f:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    f.write(bytes(size))
            except OSError:
                pass
    try:
        yield step.seconds
    finally:
        os.unlink(ballast)


def damaged(good, how, chance):
    """(where, what is left of it). What a container's init has appended to a record is not of it."""
    used = len(good.partition(b"\0status ")[0].rstrip(b"\0"))
    at = chance.randrange(16, used)
    if how.endswith("cut"):
        return at, good[:at]
    return at, good[:at] + bytes([good[at] ^ 1 << chance.randrange(8)]) + good[at + 1:]


def checkpoint(world, agent, how):
    """The journal, or the record of some container, if it has one."""
    meta = os.path.join(world.disk(agent), "meta")
    everything = os.path.join(world.runtime(agent), "*", "containers", "*")
    records = [p for p in sorted(glob.glob(everything))
               if os.path.getsize(p) > 16]
    if how.startswith("record") and records:
        return random.choice(records)
    path, = glob.glob(os.path.join(meta, "*.journal"))
    return path


def put_back(path, good, bad):
    """As it was; an init may have appended to it in the meantime."""
    with open(path, "r+b") as f:
        appended = f.read()[len(bad):]
        f.seek(0)
        f.write(good + appended)


@fault("damage")
def damage(world, step, who):
    """INV-19: an agent one of whose checkpoints is damaged refuses to start and names the file, then
    goes on from the one that was put back."""
    service = world.services[who[0]]
    service.kill()
    path, good, bad = None, b"", b""
    try:
        path = checkpoint(world, who[0], step.how)
        with open(path, "rb") as f:
            good = f.read()
        at, bad = damaged(good, step.how, random.Random(str(step)))
        with open(path, "r+b") as f:
            f.truncate(len(bad))
            f.write(bad)
        said = os.path.getsize(service.log)
        service.attempt()
        for _ in range(200):
            if not service.alive():
                break
            yield 0.1
        with open(service.log, encoding="utf-8", errors="replace") as f:
            f.seek(said)
            text = f.read()
        world.journal.write("damaged", who=who[0], how=step.how, file=path, at=at, size=len(good),
                            used=len(good.rstrip(b"\0")), started=service.alive(),
                            status=service.status, named=path in text, text=text[-300:])
        yield max(step.seconds - 0.5, 0)
    finally:
        service.kill()
        if bad:
            put_back(path, good, bad)
        service.start()
