"""What a run must not show, from what it left behind: the frameworks' logs, the tasks' own records,
the journal of the harness and the state at the end. Every check is a function of the evidence that
gives what is wrong, a sentence each; none asks anybody or looks at a clock, so each is tested with
evidence made by hand (test_chaos).

A check claims only what it can know. All clocks are one machine's. A message may come late, so what
a party did not yet know is no fault; a call that was made after something was seen elsewhere was made
after it."""

import collections
import glob
import itertools
import json
import os
from dataclasses import dataclass, field

# Nothing follows these (INV-37); the others of OVER may turn out otherwise.
FINAL = {"TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_DROPPED", "TASK_GONE"}
OVER = FINAL | {"TASK_LOST", "TASK_GONE_BY_OPERATOR", "TASK_UNKNOWN"}
# For those that are partition aware; to others these are LOST.
PARTITION = {"TASK_DROPPED", "TASK_UNREACHABLE", "TASK_GONE", "TASK_GONE_BY_OPERATOR",
             "TASK_UNKNOWN"}
# What is answered about a task that nobody knows any more.
FORGOTTEN = {"TASK_LOST", "TASK_GONE", "TASK_UNKNOWN", "TASK_UNREACHABLE", "TASK_GONE_BY_OPERATOR"}
RECONCILIATION = "REASON_RECONCILIATION"
CHECKS = []


@dataclass
class Record:
    """A line that a task has written about itself."""
    what: str
    t: float
    agent: str
    status: int = None


@dataclass
class Evidence:
    frameworks: dict                            # name: its log, a list of entries
    records: dict                               # task: [Record]
    journal: list = field(default_factory=list)
    end: dict = field(default_factory=dict)     # what was seen when all had settled
    agent_cpus: float = 2.0
    agents: int = 5
    without_checkpoints: set = field(default_factory=lambda: {"npm"})
    not_partition_aware: set = field(default_factory=lambda: {"go", "npm"})
    without_killing: set = field(default_factory=lambda: {"npm"})


def check(function):
    CHECKS.append(function)
    return function


def audit(evidence):
    """[(name of the check, what is wrong)]."""
    return [(c.__name__, problem) for c in CHECKS for problem in c(evidence)]


# ---- reading

def read_lines(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def read_records(folder):
    records = {}
    for path in glob.glob(os.path.join(folder, "*")):
        with open(path, encoding="utf-8") as f:
            lines = [line.split(" ") for line in f.read().splitlines()]
        records[os.path.basename(path)] = [
            Record(words[0], float(words[1]), words[2], int(words[4]) if words[4] else None)
            for words in lines]
    return records


def of(log, *kinds):
    return [e for e in log if e["what"] in kinds]


def by_task(log):
    """{task: its updates in order} for each that was launched or heard of."""
    found = {e["task"]: [] for e in of(log, "launch")}
    for e in of(log, "update"):
        found.setdefault(e["task"], []).append(e)
    return found


def open_tasks(log):
    return [task for task, updates in by_task(log).items()
            if not updates or updates[-1]["state"] not in OVER]


def answered(update):
    """It answers a question (INV-39), and is no news."""
    return update["reason"] == RECONCILIATION


def stream(updates):
    """Those that their agent keeps sending until they are acknowledged."""
    return [u for u in updates if u["uuid"]]


def told(u):
    return "%s%s" % (u["state"], " (%s)" % u["reason"] if u["reason"] else "")


def each_task(evidence):
    for name, log in evidence.frameworks.items():
        for task, updates in by_task(log).items():
            yield name, task, updates


# ---- tasks

@check
def every_task_ends(evidence):
    for name, log in evidence.frameworks.items():
        for task in open_tasks(log):
            updates = by_task(log)[task]
            yield "%s of %s: %s" % (task, name, "its last news is " + told(updates[-1])
                                    if updates else "nothing was ever heard of it")


@check
def no_task_runs_twice(evidence):
    for task, records in evidence.records.items():
        starts = [r for r in records if r.what == "start"]
        if len(starts) > 1:
            yield "%s ran %d times, on %s" % (task, len(starts), [r.agent for r in starts])


@check
def only_what_was_launched_runs(evidence):
    launched = {e["task"]: e for log in evidence.frameworks.values() for e in of(log, "launch")}
    for task, records in evidence.records.items():
        if task not in launched:
            yield "%s ran, which nobody launched" % task
        elif records[0].agent != launched[task]["agent"]:
            yield "%s ran on %s, but was launched on %s" % (task, records[0].agent,
                                                            launched[task]["agent"])


@check
def updates_are_in_order(evidence):
    """INV-36: the next update of a task leaves only when the one before was acknowledged, so an
    older one does not come again after a newer one."""
    for name, task, updates in each_task(evidence):
        seen = []
        for u in stream(updates):
            if u["uuid"] in seen[:-1]:
                yield "%s of %s: %s came again after a later update" % (task, name, told(u))
            elif u["uuid"] not in seen:
                seen.append(u["uuid"])


@check
def only_the_acknowledged_is_followed(evidence):
    for name, log in evidence.frameworks.items():
        acknowledged, last = set(), {}
        for e in log:
            if e["what"] == "acknowledge":
                acknowledged.add(e["uuid"])
            elif e["what"] == "update" and e["uuid"]:
                before = last.get(e["task"], e["uuid"])
                if before != e["uuid"] and before not in acknowledged:
                    yield "%s of %s: %s came before the update before it was acknowledged" % (
                        e["task"], name, told(e))
                last[e["task"]] = e["uuid"]


@check
def an_update_does_not_change(evidence):
    for name, task, updates in each_task(evidence):
        states = {}
        for u in stream(updates):
            if states.setdefault(u["uuid"], u["state"]) != u["state"]:
                yield "%s of %s: one update said %s, then %s" % (task, name, states[u["uuid"]],
                                                                 u["state"])


@check
def terminal_is_terminal(evidence):
    """INV-37."""
    for name, task, updates in each_task(evidence):
        final = None
        for u in updates:
            if final and u["state"] != final["state"] and not (
                    answered(u) and u["state"] in FORGOTTEN):
                yield "%s of %s: %s after %s" % (task, name, told(u), told(final))
                break
            if u["state"] in FINAL and not answered(u):
                final = u


@check
def states_are_known(evidence):
    """INV-40: nobody is told states that it has not said it knows."""
    for name, task, updates in each_task(evidence):
        unknown = ((PARTITION if name in evidence.not_partition_aware else set())
                   | ({"TASK_KILLING"} if name in evidence.without_killing else set()))
        for u in updates:
            if u["state"] in unknown:
                yield "%s of %s: %s" % (task, name, told(u))


@check
def finished_tasks_have_run(evidence):
    """RUNNING comes before FINISHED, and both agree with what the task wrote itself."""
    for name, task, updates in each_task(evidence):
        seen = [u["state"] for u in stream(updates)]
        if "TASK_FINISHED" not in [u["state"] for u in updates]:
            continue
        if "TASK_FINISHED" in seen and "TASK_RUNNING" not in seen[:seen.index("TASK_FINISHED")]:
            yield "%s of %s: FINISHED before RUNNING" % (task, name)
        ends = [r.status for r in evidence.records.get(task, []) if r.what == "end"]
        if ends != [0]:
            yield "%s of %s is FINISHED, but %s" % (
                task, name, "it ended with status %d" % ends[0] if ends else "did not end by itself")


def harms(evidence):
    """[(kind, whom, from, to)] of what was done."""
    begun, found = {}, []
    for e in of(evidence.journal, "fault", "healed"):
        key = (e["kind"], tuple(e["who"]))
        if e["what"] == "fault":
            begun[key] = e["t"]
        else:
            found.append((e["kind"], e["who"], begun.pop(key), e["t"]))
    return found


def may_be_told_otherwise(evidence, name, task, ended, final):
    """Whether the end of a task could not be told as it was: it was killed just then, or its executor
    was, or could not tell its agent, for that was away."""
    agent = agent_names(evidence).get(ended.agent)
    return (any(e["task"] == task for e in of(evidence.frameworks[name], "kill"))
            or any(e["executor"] == task
                   for e in of(evidence.journal, "kill executor", "freeze executor", "kill process",
                               "freeze process"))
            or any(kind in ("kill", "freeze", "damage", "full disk") and agent in who
                   and begin < final["t"] and end > ended.t - 1
                   for kind, who, begin, end in harms(evidence)))


@check
def an_end_is_told_as_it_was(evidence):
    for name, task, updates in each_task(evidence):
        ends = [r for r in evidence.records.get(task, []) if r.what == "end"]
        final = next((u for u in updates if u["state"] in FINAL and not answered(u)), None)
        if not ends or not final:
            continue
        expected = "TASK_FAILED" if ends[0].status else "TASK_FINISHED"
        if final["state"] != expected and not may_be_told_otherwise(evidence, name, task, ends[0],
                                                                    final):
            yield "%s of %s ended with status %d, but is %s: %s" % (
                task, name, ends[0].status, told(final), final["message"])


@check
def no_update_is_missing(evidence):
    """INV-35: what ended by itself, with nobody in its way, was told to run before its end was."""
    for name, task, updates in each_task(evidence):
        ends = [r for r in evidence.records.get(task, []) if r.what == "end"]
        final = next((u for u in stream(updates) if u["state"] in FINAL), None)
        before = updates[:updates.index(final)] if final else []
        if (ends and final and "TASK_RUNNING" not in [u["state"] for u in stream(before)]
                and not may_be_told_otherwise(evidence, name, task, ends[0], final)):
            yield "%s of %s: %s, and never RUNNING before" % (task, name, told(final))


def agent_names(evidence):
    return {a["id"]: a["name"] for e in evidence.journal if e["what"] == "agents"
            for a in e["agents"]}


@check
def what_ran_is_told(evidence):
    """Every container that ended: an update that the agent kept until it was acknowledged. Tasks of
    frameworks without checkpoints end with their agent, which then knows nothing of them."""
    for name, task, updates in each_task(evidence):
        if task not in evidence.records or name in evidence.without_checkpoints:
            continue
        if not any(u["state"] in OVER for u in stream(updates)):
            lost = [u for u in updates if u["state"] == "TASK_LOST"]
            if not (lost and name in evidence.not_partition_aware):
                yield "%s of %s ran, but no update of its agent told its end: %s" % (
                    task, name, [told(u) for u in updates])


@check
def what_is_over_does_not_begin(evidence):
    """A task that was said never to have run, or to have ended, does not start after that."""
    for name, task, updates in each_task(evidence):
        final = next((u for u in updates if u["state"] in FINAL), None)
        starts = [r for r in evidence.records.get(task, []) if r.what == "start"]
        if final and starts and starts[0].t > final["t"]:
            yield "%s of %s began %.3f s after it was %s" % (task, name, starts[0].t - final["t"],
                                                             told(final))


# ---- offers and resources

@check
def an_offer_comes_once(evidence):
    """INV-24: no id is offered twice, to whomever; and our frameworks answer each at most once."""
    seen = {}
    for name, log in evidence.frameworks.items():
        for e in of(log, "offer"):
            if e["offer"] in seen:
                yield "offer %s came to %s and to %s" % (e["offer"], seen[e["offer"]], name)
            seen[e["offer"]] = name
        answers = collections.Counter(e["offer"] for e in of(log, "accept", "decline"))
        for offer, count in answers.items():
            if count > 1:
                yield "%s answered offer %s %d times" % (name, offer, count)


@check
def no_agent_is_overcommitted(evidence):
    """What tasks say of themselves: those that ran at the same time fit on their agent. A task
    without a record of its end is taken to have ended at once."""
    cpus = {e["task"]: e["cpus"] for log in evidence.frameworks.values() for e in of(log, "launch")}
    changes = collections.defaultdict(list)
    for task, records in evidence.records.items():
        ends = [r for r in records if r.what == "end"]
        if ends and task in cpus:
            changes[records[0].agent] += [(records[0].t, 1, task), (ends[0].t, -1, task)]
    for agent, list_ in changes.items():
        running = set()
        for _, sign, task in sorted(list_):
            if sign < 0:
                running.discard(task)
                continue
            running.add(task)
            if sum(cpus[t] for t in running) > evidence.agent_cpus + 1e-9:
                yield "on %s %d tasks ran at once: %s" % (agent, len(running), sorted(running))
                break


@check
def the_books_are_right(evidence):
    """INV-26: on no agent more is allocated and offered than there is."""
    for e in evidence.journal:
        for a in e["agents"] if e["what"] == "agents" else []:
            for kind, total in a["total"].items():
                if a["used"][kind] + a["offered"][kind] > total:
                    yield "%s: of %s of %s %d are in use and %d offered" % (
                        a["name"], total, kind, a["used"][kind], a["offered"][kind])


# ---- who is who

def leaderships(evidence):
    """{id: [(from, to)]}: when somebody saw that it led. An answer proves a moment between the
    question and itself."""
    seen = collections.defaultdict(list)
    for e in of(evidence.journal, "leads"):
        seen[e["id"]].append((e["begin"], e["end"]))
    for log in evidence.frameworks.values():
        asked = 0
        for e in log:
            if e["what"] in ("start", "disconnected"):
                asked = e["t"]      # from then on it asks to be subscribed
            elif e["what"] == "subscribed":
                seen[e["master"]].append((asked, e["t"]))
    return seen


@check
def one_leads_at_a_time(evidence):
    """INV-1: nobody acts as a leader after another one has begun to. A leadership lasts at least
    from the first moment that it was surely seen by to the last that it was seen from."""
    spans = {id_: (min(end for _, end in seen), max(begin for begin, _ in seen))
             for id_, seen in leaderships(evidence).items()}
    for (a, (a_from, a_to)), (b, (b_from, b_to)) in itertools.combinations(spans.items(), 2):
        if a_from < b_to and b_from < a_to:
            yield "%s and %s led at once, for %.3f s" % (a, b, min(a_to, b_to) - max(a_from, b_from))


@check
def ids_are_kept(evidence):
    """INV-17, and the same for frameworks."""
    ids = collections.defaultdict(set)
    for e in of(evidence.journal, "agents"):
        for a in e["agents"]:
            ids[a["name"]].add(a["id"])
    for name, log in evidence.frameworks.items():
        ids[name] |= {e["framework"] for e in of(log, "subscribed")}
    for name, known in ids.items():
        if len(known) != 1:
            yield "%s had the ids %s" % (name, sorted(known))


@check
def nobody_ends_by_itself(evidence):
    """Masters, agents and ZooKeeper end when they are told to; and our own framework has no reason
    to either. Those of others may give up and are started again."""
    for e in of(evidence.journal, "ended"):
        if e["who"] not in ("npm", "go"):
            yield "%s ended by itself with status %d: %s" % (e["who"], e["status"], e["tail"])
    for e in of(evidence.journal, "does not end"):
        yield "%s did not end on signal %d" % (e["who"], e["signal"])


@check
def damage_is_refused(evidence):
    """INV-19."""
    for e in of(evidence.journal, "damaged"):
        if e["started"] or e["status"] == 0 or not e["named"]:
            yield "%s, its %s %s at %d of %d bytes (%d used): %s, and said %r" % (
                e["who"], e["file"], e["how"], e["at"], e["size"], e["used"],
                "started" if e["started"] else "ended with %s" % e["status"], e["text"])


# ---- the end

@check
def all_are_back(evidence):
    frameworks = evidence.end["state"]["frameworks"]
    for name in evidence.frameworks:
        mine = [f for f in frameworks if f["name"] == name]
        if [f["active"] and f["connected"] for f in mine] != [True]:
            yield "%s is at the end: %s" % (name, [(f["id"], f["active"], f["connected"])
                                                   for f in mine])
    agents = [a["active"] for a in evidence.end["state"]["slaves"]]
    if agents != [True] * evidence.agents:
        yield "of the agents are active at the end: %s" % agents


@check
def the_registry_is_right(evidence):
    """INV-4, INV-5: it is as it was written, and knows whom the leader knows."""
    registry, state = evidence.end["registry"], evidence.end["state"]
    if registry["status"]:
        yield "its check ends with %d: %s" % (registry["status"], registry["said"])
    for kind, list_ in (("agent", state["slaves"]), ("framework", state["frameworks"])):
        keys = sorted(k for k in registry["keys"] if k.startswith(kind + "/"))
        known = sorted("%s/%s" % (kind, one["id"]) for one in list_)
        if keys != known:
            yield "it has %s, the leader %s" % (keys, known)


@check
def nothing_is_in_use(evidence):
    """INV-27, when all tasks have ended; once the frameworks are gone nothing is offered either."""
    for when in ("state", "over"):
        for a in evidence.end[when]["slaves"]:
            for kind in ("used_resources",) if when == "state" else ("used_resources",
                                                                     "offered_resources"):
                if any(a[kind].get(name) for name in ("cpus", "mem", "disk")):
                    yield "%s of %s at the end: %s" % (kind, a["hostname"], a[kind])
    for f in evidence.end["state"]["frameworks"]:
        for t in f["tasks"]:
            yield "the master still has %s of %s: %s" % (t["id"], f["name"], t["state"])
    if evidence.end["over"]["frameworks"]:
        yield "frameworks that were torn down are still there"
    for metric in ("master/cpus_used", "master/mem_used", "master/disk_used",
                   "master/tasks_running", "master/tasks_staging"):
        if evidence.end["metrics"][metric]:
            yield "%s is %s at the end" % (metric, evidence.end["metrics"][metric])
    for name, state in evidence.end["agents"].items():
        for f in state["frameworks"]:
            for e in f["executors"]:
                yield "%s still has executor %s" % (name, e["id"])


@check
def nothing_is_left(evidence):
    for kind, left in evidence.end["left"].items():
        if left:
            yield "%s left behind: %s" % (kind, left)
