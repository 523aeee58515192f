"""The cluster of a run: who there is, how each is started, and what an operator would ask them.

All of it lives below one folder and in the namespaces of this process (see apart.py). MOUNTED is
where tasks find what they run and leave their records: containers see the machine's file system, but
neither its /tmp nor the folders of the agents."""

import concurrent.futures
import http.client
import json
import os
import shutil
import subprocess
import time

import network
import processes

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", "..", ".."))
REEVE = os.path.abspath(os.environ.get("REEVE") or os.path.join(ROOT, "build", "reeve"))
MOUNTED = "/mnt"
MASTER_PORT, AGENT_PORT = 5050, 5051
ZOOKEEPER = os.path.join(ROOT, "tests", "lib", "zookeeper")
ZOOKEEPER_PORTS = "2181:2888:3888"
SESSION = 3         # seconds, of masters and agents in ZooKeeper
DISK = "48m"            # of an agent or master
# Short times, so that a short run sees what takes hours elsewhere. PATIENCE is how long a settled
# cluster may take to find out about something: each of these once, and some.
MASTER_FLAGS = ["--allocation_interval=200ms", "--offer_timeout=4secs",
                "--agent_ping_timeout=700ms", "--max_agent_ping_timeouts=4",
                "--agent_reregister_timeout=12secs", "--heartbeat_interval=1secs",
                "--max_completed_tasks_per_framework=200"]
AGENT_FLAGS = ["--resources=cpus:2;mem:1024;disk:1024;ports:[31000-31100]",
               "--registration_backoff_factor=200ms", "--registration_backoff_max=1secs",
               "--executor_registration_timeout=15secs", "--executor_reregistration_timeout=4secs",
               "--executor_shutdown_grace_period=1secs", "--recovery_timeout=2mins",
               "--status_update_retry_interval_min=1secs",
               "--status_update_retry_interval_max=4secs", "--heartbeat_interval=1secs",
               "--gc_delay=20secs", "--disk_watch_interval=2secs"]
AGENT_CPUS = 2.0
PATIENCE = 90


def mounts():
    with open("/proc/self/mounts", encoding="utf-8", errors="replace") as f:
        return {line.split(" ")[1] for line in f}


class World:
    def __init__(self, cast, seed, folder, programs):
        self.cast, self.folder, self.programs = cast, folder, programs
        for name in ("logs", "events", "mounted/records", "disks"):
            os.makedirs(os.path.join(folder, name))
        self.stop_file = os.path.join(folder, "stop")
        self.journal = processes.Journal(os.path.join(folder, "journal"))
        mounted = os.path.join(folder, "mounted")
        shutil.copy(os.path.join(HERE, "task"), mounted)
        network.command("mount", "--bind", mounted, MOUNTED)
        self.network = network.Network(cast.everybody)
        self._name()
        self.services = {}
        for i, name in enumerate(cast.zookeeper):
            self._add(name, lambda i=i, name=name: self._zookeeper(i, name), disk=True)
        for name in cast.masters:
            self._add(name, lambda name=name: self._master(name), disk=True)
        for i, name in enumerate(cast.agents):
            containerizer = "linux" if (seed + i) % 5 else "process"
            self._add(name, lambda name=name, c=containerizer: self._agent(name, c), disk=True)
        for name in cast.schedulers:
            self._add(name, lambda name=name: self._scheduler(name, seed))
        self.mounts, self.leading = mounts(), None

    def _name(self):
        """Masters are redirected to by their names."""
        hosts = os.path.join(self.folder, "hosts")
        with open(hosts, "w", encoding="utf-8") as f:
            f.write("127.0.0.1 localhost\n")
            f.writelines("%s %s\n" % (address, name)
                         for name, address in self.network.addresses.items())
        network.command("mount", "--bind", hosts, "/etc/hosts")

    def _add(self, name, command, disk=False, env=None):
        if disk:
            os.makedirs(self.disk(name))
            network.command("mount", "-t", "tmpfs", "-o", "size=" + DISK, "tmpfs", self.disk(name))
        self.services[name] = processes.Service(
            name, self.journal, self.network.enter(name), command,
            os.path.join(self.folder, "logs", name), env)

    def disk(self, name):
        return os.path.join(self.folder, "disks", name)

    def runtime(self, name):
        return os.path.join(self.folder, "runtime", name)

    def events(self, name):
        return os.path.join(self.folder, "events", name)

    # ---- who is started how

    def _hosts(self, names, port):
        return ",".join("%s:%d" % (self.network.addresses[name], port) for name in names)

    def _zookeeper(self, i, name):
        return [ZOOKEEPER, self.disk(name), str(i + 1)] + [
            "%s@%s" % (ZOOKEEPER_PORTS, self.network.addresses[n]) for n in self.cast.zookeeper]

    def _url(self):
        port = int(ZOOKEEPER_PORTS.split(":", maxsplit=1)[0])
        return "zk://%s/reeve" % self._hosts(self.cast.zookeeper, port)

    def registry(self):
        """What `reeve registry check` and `dump` say of it."""
        place = self._url() if self.cast.zookeeper else os.path.join(
            self.disk(self.cast.masters[0]), "registry.sqlite")
        check, dump = (subprocess.run([REEVE, "registry", verb, place], capture_output=True,
                                      text=True, timeout=60, check=False)
                       for verb in ("check", "dump"))
        return {"status": check.returncode, "said": check.stdout + check.stderr,
                "keys": [r["key"] for r in json.loads(dump.stdout or '{"records": []}')["records"]]}

    def _common(self, name, port):
        return ["--ip=" + self.network.addresses[name], "--port=%d" % port, "--hostname=" + name,
                "--zk_session_timeout=%dsecs" % SESSION]

    def _master(self, name):
        where = "--zk=" + self._url() if self.cast.zookeeper else "--work_dir=" + self.disk(name)
        return [REEVE, "master", where] + self._common(name, MASTER_PORT) + MASTER_FLAGS

    def _agent(self, name, containerizer):
        masters = self._url() if self.cast.zookeeper else self._hosts(self.cast.masters,
                                                                      MASTER_PORT)
        return ([REEVE, "agent", "--master=" + masters, "--work_dir=" + self.disk(name),
                 "--runtime_dir=" + self.runtime(name), "--containerizer=" + containerizer] + self._common(name, AGENT_PORT)
                + AGENT_FLAGS)

    def _scheduler(self, name, seed):
        return self.programs[name] + [
            "--master=" + self._hosts(self.cast.masters, MASTER_PORT), "--log=" + self.events(name),
            "--stop=" + self.stop_file, "--task=%s/task" % MOUNTED, "--seed=%d" % seed]

    # ---- asking

    def ask(self, name, path, call=None, timeout=2.0):
        """(status, JSON or text) of a master or agent, from the harness's own address."""
        port = AGENT_PORT if name.startswith("agent") else MASTER_PORT
        connection = http.client.HTTPConnection(self.network.addresses[name], port,
                                                timeout=timeout)
        try:
            if call is None:
                connection.request("GET", path)
            else:
                connection.request("POST", path, json.dumps(call),
                                   {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read().decode()
            return response.status, json.loads(text) if text[:1] in ("{", "[") else text
        finally:
            connection.close()

    def masters_say(self, path, call=None):
        """{master: (asked at, answered at, what it answered)} of those that lead, all at once."""
        def one(name):
            begin = time.time()
            try:
                status, answer = self.ask(name, path, call)
            except (OSError, http.client.HTTPException, ValueError):
                return None
            return (begin, time.time(), answer) if status == 200 else None
        with concurrent.futures.ThreadPoolExecutor(len(self.cast.masters)) as pool:
            answers = zip(self.cast.masters, pool.map(one, self.cast.masters))
            return {name: answer for name, answer in answers if answer}

    # ---- all at once

    def start(self):
        for service in self.services.values():
            service.start()

    def poll(self):
        for service in self.services.values():
            service.poll()
        processes.reap(self.services.values())

    def wait(self, seconds, condition=lambda: False):
        """Keeps everybody running until the condition holds; whether it does."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() >= end:
                return False
            self.poll()
            time.sleep(0.05)
        return True
