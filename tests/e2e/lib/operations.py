"""Operations on resources: as messages, as schedulers and operators ask for them, and what is shown
of reservations and volumes."""

import json
import uuid

from processes import accepted, get, request, wait

JSON = {"Content-Type": "application/json", "Accept": "application/json"}


# ---------------------------------------------------------------- messages

def dynamic(role, principal=None):
    return {"type": "DYNAMIC", "role": role, **({"principal": principal} if principal else {})}


def scalar(name, value, *roles, **more):
    """Reserved for each role in turn, the last one last; without any it is for all."""
    reservations = [dynamic(role) for role in roles]
    return {"name": name, "type": "SCALAR", "scalar": {"value": value},
            **({"reservations": reservations} if reservations else {}), **more}


def volume(value, name, *roles, path="volume", mode="RW", **more):
    return scalar("disk", value, *roles, disk={
        "persistence": {"id": name}, "volume": {"container_path": path, "mode": mode}}, **more)


def allocated(resource, role="r"):
    return dict(resource, allocation_info={"role": role})


def operation(kind, name=None, **part):
    return {"type": kind, kind.lower(): part, **({"id": {"value": name}} if name else {})}


def task_on(offer, command, *resources):
    return {"name": "task", "task_id": {"value": "t-" + uuid.uuid4().hex[:8]},
            "agent_id": offer["agent_id"], "command": {"value": command},
            "resources": [allocated(r) for r in resources]}


def launch(*tasks):
    return operation("LAUNCH", task_infos=list(tasks))


# ---------------------------------------------------------------- schedulers

def same_kind(a, b):
    def of(r):
        return (r["name"], [x["role"] for x in r.get("reservations", [])],
                r.get("disk", {}).get("persistence", {}).get("id"), "shared" in r)
    return of(a) == of(b)


def holds(resources, wanted):
    """At least as much; of a volume exactly so much."""
    return any(same_kind(r, wanted) and (
        r["scalar"]["value"] == wanted["scalar"]["value"] if "disk" in wanted else
        r["scalar"]["value"] >= wanted["scalar"]["value"])
        for r in resources if r["type"] == "SCALAR")


def offer_with(s, *wanted):
    """Others go back."""
    while True:
        o = s.any_offer()
        if all(holds(o["resources"], w) for w in wanted):
            return o
        s.call("DECLINE", {"offer_ids": [o["id"]], "filters": {"refuse_seconds": 0}})


def leave(s):
    """Wants nothing for now, and gives back what it holds."""
    s.call("SUPPRESS", {})
    gone = {e["rescind"]["offer_id"]["value"] for e in s.events if e["type"] == "RESCIND"}
    held = [o["id"] for e in s.events[s.first:] if e["type"] == "OFFERS"
            for o in e["offers"]["offers"] if o["id"]["value"] not in s.used | gone]
    s.used |= {o["value"] for o in held}
    s.call("DECLINE", {"offer_ids": held, "filters": {"refuse_seconds": 0}})


def accept(s, offer, *operations):
    s.agent_id = offer["agent_id"]
    s.call("ACCEPT", {"offer_ids": [offer["id"]], "filters": {"refuse_seconds": 0},
                      "operations": list(operations)})


def feedback(s, name, since=0, seconds=60):
    """The first status of that operation."""
    e = s.wait(lambda e: e["type"] == "UPDATE_OPERATION_STATUS" and
               e["update_operation_status"]["status"].get("operation_id") == {"value": name},
               "the status of operation " + name, seconds, since)
    return e["update_operation_status"]["status"]


def acknowledge(s, status):
    s.call("ACKNOWLEDGE_OPERATION_STATUS", {
        "agent_id": status["agent_id"], "uuid": status["uuid"]["value"],
        "operation_id": status["operation_id"]})


def operate(s, offer, kind, state="OPERATION_FINISHED", ack=True, **part):
    """One operation with feedback; its status."""
    name = "o-" + uuid.uuid4().hex[:8]
    accept(s, offer, operation(kind, name, **part))
    status = feedback(s, name)
    assert status["state"] == state, status
    if ack and "uuid" in status:
        acknowledge(s, status)
    return status


def reserve(s, *wanted):
    operate(s, offer_with(s, *[scalar(w["name"], w["scalar"]["value"]) for w in wanted]),
            "RESERVE", resources=list(wanted))


# ---------------------------------------------------------------- operators

def call(address, kind, **body):
    """(status, text)"""
    message = {"type": kind}
    if body:
        message[kind.lower()] = body
    status, text = request(address, "POST", "/api/v1", json.dumps(message).encode(), JSON)
    return status, text.decode()


def ask(address, kind):
    status, text = call(address, kind)
    accepted(kind, status, text)
    return json.loads(text)[kind.lower()]


def operations(address):
    return ask(address, "GET_OPERATIONS").get("operations", [])


def reserved(address, role):
    """What is reserved for it on the agent: by a master's /slaves or an agent's /state."""
    state = get(address, "/slaves")["slaves"][0] if is_master(address) else get(address, "/state")
    return state["reserved_resources_full"].get(role, [])


def is_master(address):
    return request(address, "GET", "/slaves")[0] == 200


def volumes(address, role):
    return {r["disk"]["persistence"]["id"]: r["scalar"]["value"]
            for r in reserved(address, role) if "persistence" in r.get("disk", {})}


def amounts(address, role):
    """Without volumes."""
    return {r["name"]: r["scalar"]["value"]
            for r in reserved(address, role) if "persistence" not in r.get("disk", {})}


def agree(cell, role, what):
    """Until master and agent show the same, and that is so: what(amounts, volumes)."""
    def look():
        seen = [(amounts(a, role), volumes(a, role))
                for a in (cell.master.address, cell.agent.address)]
        return seen[0] == seen[1] and what(*seen[0])
    wait(look, "master and agent to agree on what is reserved for " + role)
