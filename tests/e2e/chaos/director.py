"""Carries out a plan on a world: starts everybody, harms, heals, waits until all has settled, looks at
what is there, ends everything and looks at what is left. What it sees goes to the world's folder."""

import http.client
import json
import os
import signal
import time

import apart
import audit
import faults
import processes
import world as worlds
from plan import LEADER, ZOOKEEPER
from watch import Watch

START = 120     # seconds for everybody to be there


class Failure(Exception):
    """The run cannot go on; the text says why."""


class Running:
    """A step that has begun. `who` are busy with it."""

    def __init__(self, step, who, generator):
        self.step, self.who, self.generator, self.until = step, who, generator, 0


class Director:
    def __init__(self, world):
        self.world, self.running = world, []
        self.began = time.monotonic()

    def say(self, text):
        print("%7.1f s  %s" % (time.monotonic() - self.began, text), flush=True)

    # ---- harm

    def resolve(self, target):
        """Whom it hits now: names, or none if they are busy or there is nobody."""
        who = {LEADER: lambda: [self.world.leading] if self.world.leading else [],
               ZOOKEEPER: lambda: faults.majority(self.world.cast)}.get(target, lambda: [target])()
        busy = {name for r in self.running for name in r.who}
        return [] if busy & set(who) else who

    def begin(self, step):
        who = self.resolve(step.target)
        if not who:
            self.world.journal.write("passed over", kind=step.kind, target=step.target)
            return
        self.say("%s %s %s for %.1f s" % (step.kind, ", ".join(who), step.how, step.seconds))
        self.world.journal.write("fault", kind=step.kind, who=who, how=step.how)
        r = Running(step, who, faults.KINDS[step.kind](self.world, step, who))
        self.running.append(r)
        self.go_on(r)

    def go_on(self, r):
        try:
            r.until = time.monotonic() + next(r.generator)
        except StopIteration:
            self.healed(r)

    def healed(self, r):
        self.running.remove(r)
        self.world.journal.write("healed", kind=r.step.kind, who=r.who, how=r.step.how)

    def harm(self, steps, seconds):
        begin, steps = time.monotonic(), list(steps)
        while time.monotonic() < begin + seconds:
            self.world.poll()
            now = time.monotonic()
            while steps and begin + steps[0].at <= now:
                self.begin(steps.pop(0))
            for r in [r for r in self.running if r.until <= now]:
                self.go_on(r)
            time.sleep(0.05)
        for r in list(self.running):
            r.generator.close()
            self.healed(r)

    # ---- when it is quiet

    def there(self):
        """Everybody has found everybody: the leader knows all agents and frameworks."""
        state = self.state("/state")
        return bool(state) and self.all_active(state["slaves"]) and sorted(
            f["name"] for f in state["frameworks"] if f["active"]) == sorted(
                self.world.cast.schedulers)

    def all_active(self, agents):
        return [a["active"] for a in agents] == [True] * len(self.world.cast.agents)

    def state(self, path):
        """What the leader says, or None. Standbys send elsewhere, but have metrics of their own."""
        leads = self.world.masters_say("/api/v1", {"type": "GET_MASTER"})
        return self.world.ask(min(leads), path)[1] if leads else None

    def settled(self):
        state = self.state("/state")
        return (bool(state) and self.there()
                and not any(f["tasks"] or f["used_resources"]["cpus"] for f in state["frameworks"])
                and not any(audit.open_tasks(audit.read_lines(self.world.events(name)))
                            for name in self.world.cast.schedulers)
                and not any(f["executors"] for s in self.agents().values()
                            for f in s["frameworks"]))

    def agents(self):
        return {name: self.world.ask(name, "/state")[1] for name in self.world.cast.agents}

    def wait(self, seconds, condition):
        """Looks once a second."""
        look = [0.0]

        def due():
            if time.monotonic() < look[0]:
                return False
            look[0] = time.monotonic() + 1
            try:
                return condition()
            except (OSError, http.client.HTTPException, ValueError, KeyError):
                return False
        return self.world.wait(seconds, due)

    # ---- the whole

    def run(self, steps, seconds):
        self.world.start()
        if not self.wait(START, self.there):
            raise Failure("not everybody came: %s" % {
                name: service.tail(3) for name, service in self.world.services.items()})
        self.say("everybody is there")
        watch = Watch(self.world)
        watch.start()
        self.harm(steps, seconds)
        self.say("healed")
        open(self.world.stop_file, "w", encoding="utf-8").close()
        self.say("settled" if self.wait(worlds.PATIENCE, self.settled)
                 else "not settled in %d s" % worlds.PATIENCE)
        watch.stop()
        self.look()

    def look(self):
        end = {"cast": self.world.cast.schedulers, "state": self.state("/state"),
               "metrics": self.state("/metrics/snapshot"), "agents": self.agents(),
               "registry": self.world.registry()}
        for f in end["state"]["frameworks"]:
            self.world.masters_say("/api/v1", {"type": "TEARDOWN", "teardown": {
                "framework_id": {"value": f["id"]}}})
        for name in self.world.cast.schedulers:
            self.world.services[name].kill()
        self.wait(worlds.PATIENCE, lambda: not self.state("/state")["frameworks"])
        end["over"] = self.state("/state")
        for name in reversed(list(self.world.services)):
            self.world.services[name].kill(signal.SIGTERM)
        processes.reap([])
        end["left"] = {"process": [line or name for name, line in
                                   processes.everybody().values()],
                       "mount": sorted(worlds.mounts() - self.world.mounts),
                       "control group": apart.groups_of_agents()}
        self.say("ended")
        with open(os.path.join(self.world.folder, "end"), "w", encoding="utf-8") as f:
            json.dump(end, f)
