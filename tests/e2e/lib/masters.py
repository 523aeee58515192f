"""Several masters with a real ZooKeeper, and agents that find them by it."""

import http.client
import json
import os
import shutil
import signal
import tempfile

import zookeeper
from processes import (Daemon, NotLeading, Scheduler, StreamEnded, accepted, get, outside,
                       processes_in, remove_groups, request, wait)

PATIENCE = 60
SESSION = "4secs"   # of masters; 4 s are 8 ticks of the server
# Runs until the file `go` is in its sandbox; leaves its pid there.
WAITING = "echo $$ > pid; while [ ! -e go ]; do sleep 0.05; done"


class Cluster:
    """with Cluster() as c: masters and agents that find each other by ZooKeeper. c.master is the
    one that led when c.leader() was asked last: schedulers talk to that one."""

    def __init__(self, masters=3, agents=1, servers=1, credentials="", flags=(), master_flag=None,
                 prefix=(), start=True):
        self.folder = tempfile.mkdtemp(prefix="reeve-masters-")
        os.chmod(self.folder, 0o755)
        self.masters, self.agents, self.schedulers, self.zk = [], [], [], None
        try:
            self.zk = zookeeper.ZooKeeper(self.folder, servers)
            self.url = self.zk.url("/some/reeve", credentials)
            if not any(f.startswith("--zk_session_timeout=") for f in flags):
                flags = (*flags, "--zk_session_timeout=" + SESSION)
            for i in range(masters):
                self.masters.append(Daemon(
                    os.path.join(self.folder, "m%d" % i), "master", "--zk=" + self.url,
                    "--allocation_interval=100ms", *flags, prefix=prefix))
            if not start:
                return
            for m in self.masters:
                m.start()
            for i in range(agents):
                self.agents.append(Daemon(
                    os.path.join(self.folder, "a%d" % i), "agent",
                    "--master=" + (master_flag(self) if master_flag else self.url),
                    "--resources=cpus:4;mem:2048;disk:2048", "--registration_backoff_factor=100ms",
                    "--zk_session_timeout=" + SESSION).start())
            self.leader()
            self.await_agents()
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for s in self.schedulers:
            s.close()
        for d in self.agents + self.masters:
            if d.process:
                d.end(signal.SIGKILL)
        if self.zk:
            self.zk.close()
        for pid in processes_in(self.folder):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for agent in self.agents:
            remove_groups(agent.log)
        if os.environ.get("KEEP"):
            print("kept", self.folder)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def agent(self):
        return self.agents[0]

    def running(self):
        return [m for m in self.masters if m.alive()]

    def leader(self, but=()):
        """The one that says that it leads, and whom the others name."""
        def look():
            led = [m for m in self.running() if m not in but and is_elected(m)]
            return led[0] if len(led) == 1 else None
        self.master = wait(look, "a leader", PATIENCE)
        return self.master

    def standby(self):
        return next(m for m in self.running() if m != self.master)

    def ask(self, path):
        """Whoever leads by now."""
        def look():
            try:
                return get(self.master.address, path)
            except (OSError, http.client.HTTPException, NotLeading):
                self.leader()
                return None
        return wait(look, path, PATIENCE)

    def slaves(self):
        return self.ask("/slaves")["slaves"]

    def weights(self):
        return {w["role"]: w["weight"] for w in self.ask("/weights")}

    def put_weight(self, role, weight):
        """With whoever leads by now."""
        wait(lambda: put_weight(self.leader(), role, weight), "the weight of " + role, PATIENCE)

    def put_quota(self, role, **limits):
        """Likewise."""
        config = {"role": role, "limits": {n: {"value": v} for n, v in limits.items()}}
        body = json.dumps({"type": "UPDATE_QUOTA", "update_quota": {"quota_configs": [config]}})

        def attempt():
            status, text = request(self.leader().address, "POST", "/api/v1", body.encode(),
                                   {"Content-Type": "application/json"})
            accepted("UPDATE_QUOTA", status, text)
            return True
        wait(attempt, "the quota of " + role, PATIENCE)

    def await_agents(self):
        """Who finds nobody that leads asks again after a minute at most, and others count from then."""
        wait(lambda: len([s for s in self.slaves() if s["active"]]) == len(self.agents),
             "the agents to register", 2 * PATIENCE)

    def scheduler(self, **info):
        s = Follower(self, info)
        self.schedulers.append(s)
        return s.subscribe()

    def pid_of_task(self):
        def look():
            for agent in self.agents:
                for folder, _, files in os.walk(agent.work_dir):
                    if "pid" in files and os.path.basename(os.path.dirname(folder)) == "runs":
                        with open(os.path.join(folder, "pid"), encoding="ascii") as f:
                            text = f.read().strip()
                        return text and outside(int(text), folder)
            return None
        return wait(look, "the task to write its pid")

    def go(self):
        for agent in self.agents:
            for folder, _, files in os.walk(agent.work_dir):
                if "pid" in files:
                    with open(os.path.join(folder, "go"), "w", encoding="ascii"):
                        pass


class Follower(Scheduler):
    """One that finds the leader again if a slow machine has deposed the one that it spoke to; but
    only when it is told to do something, or to wait for something."""

    subscribing = False

    def subscribe(self, answer="SUBSCRIBED"):
        def attempt():
            self.cell.leader()
            self.subscribing = True
            try:
                return Scheduler.subscribe(self, answer)
            except StreamEnded:
                return None
            finally:
                self.subscribing = False
        return wait(attempt, answer, PATIENCE)

    def stream_ended(self):
        if self.subscribing:
            raise StreamEnded
        self.subscribe()
        self.call("RECONCILE", {"tasks": []})   # what it was told meanwhile it has not heard

    def _follow(self, act):
        def attempt():
            try:
                return act() or True
            except (OSError, http.client.HTTPException, NotLeading):
                self.subscribe()
                return None
        return wait(attempt, "a leader that does it", PATIENCE)

    def launch(self, *args, **more):
        return self._follow(lambda: Scheduler.launch(self, *args, **more))

    def reconcile(self, task):
        self._follow(lambda: Scheduler.reconcile(self, task))


def is_elected(master):
    try:
        return get(master.address, "/metrics/snapshot")["master/elected"] == 1
    except (OSError, ValueError, AssertionError, TimeoutError):
        return False


def is_running(pid):
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii") as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def request_headers(address, method, path, body=None, headers=None):
    """(status, Location) of an answer."""
    connection = http.client.HTTPConnection(*address, timeout=10)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        response.read()
        return response.status, response.getheader("Location")
    finally:
        connection.close()


def put_weight(master, role, weight):
    body = json.dumps([{"role": role, "weight": weight}]).encode()
    status, text = request(master.address, "PUT", "/weights", body,
                           {"Content-Type": "application/json"})
    accepted("PUT /weights", status, text)
    return True
