"""Asks the masters again and again who leads and what is in use, and writes it to the journal: what
audit.py knows of the masters' own view. A thread beside the one that does harm; it asks from where
no partition is."""

import threading

SCALARS = ("cpus", "mem", "disk")


def amounts(resources):
    """The scalars of resources as the masters' JSON has them, in thousandths."""
    return {name: round(resources.get(name, 0) * 1000) for name in SCALARS}


class Watch(threading.Thread):
    def __init__(self, world, pause=0.4):
        super().__init__(daemon=True)
        self.world, self.pause, self.over = world, pause, threading.Event()

    def run(self):
        while not self.over.wait(self.pause):
            self.look()

    def look(self):
        leads = self.world.masters_say("/api/v1", {"type": "GET_MASTER"})
        for name, (begin, end, answer) in leads.items():
            self.world.journal.write("leads", who=name, begin=begin, end=end,
                                     id=answer["get_master"]["master_info"]["id"])
        self.world.leading = min(leads) if leads else None
        for name, (_, _, answer) in self.world.masters_say("/slaves").items():
            self.world.journal.write("agents", who=name, agents=[
                {"name": a["hostname"], "id": a["id"], "active": a["active"],
                 "total": amounts(a["resources"]), "used": amounts(a["used_resources"]),
                 "offered": amounts(a["offered_resources"])} for a in answer["slaves"]])

    def stop(self):
        self.over.set()
        self.join()
