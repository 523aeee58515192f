"""From a seed to what will be done, and when: a pure function, so that a run can be read before it is
made and made again. What a step does is in faults.py.

A seed has its own few kinds of fault, how often they come and how long they last: a run with all of
them at once never gets far. Nobody is the target of two steps at the same time. `leader` is whoever
leads when the step's time has come."""

import random
from dataclasses import dataclass

# Seeds that between them have every kind of step in a short time.
SHORT, SHORT_SECONDS = (18, 64, 231), 18
LEADER = "leader"
ZOOKEEPER = "zookeeper"     # as many of its servers as make the rest useless


@dataclass(frozen=True)
class Cast:
    """Who takes part. Without ZooKeeper there is one master, which keeps its registry itself."""
    zookeepers: int
    schedulers: tuple = ("reeve", "go", "npm")

    @property
    def zookeeper(self):
        return ["zookeeper%d" % i for i in range(1, self.zookeepers + 1)]

    @property
    def masters(self):
        return ["master%d" % i for i in range(1, 4 if self.zookeepers else 2)]

    @property
    def agents(self):
        return ["agent%d" % i for i in range(1, 6)]

    @property
    def everybody(self):
        return self.zookeeper + self.masters + self.agents + list(self.schedulers)


def cast_of(seed):
    return Cast((1, 3)[seed % 2])


@dataclass(frozen=True)
class Step:
    at: float
    kind: str
    target: str
    seconds: float
    how: str = ""

    def __str__(self):
        return "%7.1f s  %-15s %-11s for %4.1f s  %s" % (self.at, self.kind, self.target,
                                                         self.seconds, self.how)


@dataclass(frozen=True)
class Kind:
    """Whom it hits, in which ways, and how long at most."""
    targets: object
    hows: tuple = ("",)
    longest: float = 12.0


def workers(cast):
    return cast.masters + [LEADER] * 2 + cast.agents + list(cast.schedulers)


KINDS = {
    "kill": Kind(workers),
    "freeze": Kind(workers),
    "kill executor": Kind(lambda cast: cast.agents, longest=1),
    "freeze executor": Kind(lambda cast: cast.agents),
    "kill process": Kind(lambda cast: cast.agents, longest=1),
    "freeze process": Kind(lambda cast: cast.agents),
    "cut off": Kind(lambda cast: workers(cast) + cast.zookeeper, ("drop", "reset")),
    "cut one way": Kind(workers, ("in", "out")),
    "cut from masters": Kind(lambda cast: cast.agents + list(cast.schedulers), ("drop", "reset")),
    "cut from leader": Kind(lambda cast: cast.agents + list(cast.schedulers), ("in", "out")),
    "lose packets": Kind(workers, ("10", "30", "60")),
    "slow": Kind(workers),
    "full disk": Kind(lambda cast: cast.agents + ([] if cast.zookeepers else cast.masters)),
    "damage": Kind(lambda cast: cast.agents, ("flip", "cut", "record flip", "record cut"),
                   longest=4),
    # Of ZooKeeper:
    "cut from zookeeper": Kind(lambda cast: cast.masters + [LEADER] * 3 + cast.agents,
                               ("drop", "reset", "in", "out")),
    "expire": Kind(lambda cast: [LEADER], ("freeze", "cut")),
    "kill zookeeper": Kind(lambda cast: cast.zookeeper + [ZOOKEEPER]),
    "freeze zookeeper": Kind(lambda cast: cast.zookeeper + [ZOOKEEPER]),
}
OF_ZOOKEEPER = ("cut from zookeeper", "expire", "kill zookeeper", "freeze zookeeper")


def plan(cast, seed, seconds):
    """The steps in order of time; all are over when the time is."""
    chance = random.Random("chaos %d" % seed)
    kinds = [kind for kind in KINDS if cast.zookeepers or kind not in OF_ZOOKEEPER]
    kinds = chance.sample(kinds, chance.randint(4, 8))
    weights = [chance.choice((1, 1, 3)) for _ in kinds]
    pause = chance.choice((0.7, 1.5, 3))        # from one step to the next, on average
    steps, at, free = [], 1.0, {}
    while at < seconds - 1:
        kind = KINDS[name := chance.choices(kinds, weights)[0]]
        target, how = chance.choice(kind.targets(cast)), chance.choice(kind.hows)
        length = min(kind.longest, seconds - at,
                     chance.choice((0.4, 1.5, 5, 12)) * chance.uniform(0.5, 1))
        if free.get(target, 0) <= at:
            steps.append(Step(round(at, 1), name, target, round(length, 1), how))
            free[target] = at + length + 0.5
        at += chance.uniform(0, 2) * pause
    return steps
