#!/usr/bin/env python3
"""URIs of commands: what a small HTTP server and this machine's files offer comes into the sandbox
of real tasks, or the task fails and says why. As root, the tasks run as `nobody`.

    tests/e2e/fetcher.py [WORD...]     only cases with one of the words in their names
"""

import bz2
import gzip
import hashlib
import http.server
import io
import lzma
import os
import random
import shutil
import ssl
import stat
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import uuid
import zipfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import Report  # noqa: E402
from processes import Cell, get, wait  # noqa: E402

MB = 1 << 20
USER = "nobody" if os.geteuid() == 0 else None
SCRIPT = b"#!/bin/sh\necho ran $1\n"


# --- what there is to fetch ---

def tar(compress=lambda data: data, members=None):
    """Each member: name, content or a TarInfo's fields."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as t:
        for name, what in members or [("d/inner", b"inner\n"), ("d/tool", SCRIPT)]:
            info = tarfile.TarInfo(name)
            info.mode = 0o755 if what == SCRIPT else 0o644
            if isinstance(what, bytes):
                info.size = len(what)
                t.addfile(info, io.BytesIO(what))
            else:
                for field, value in what.items():
                    setattr(info, field, value)
                t.addfile(info)
    return compress(out.getvalue())


def zipped(members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, what in members:
            z.writestr(name, what)
    return out.getvalue()


def by_program(*command):
    return lambda data: subprocess.run(command, input=data, stdout=subprocess.PIPE,
                                       check=True).stdout


def link(target):
    return {"type": tarfile.SYMTYPE, "linkname": target}


def hard(target):
    return {"type": tarfile.LNKTYPE, "linkname": target}


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        self.files, self.gets, self.lock = {}, [], threading.Lock()
        self.release = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def uri(self, name):
        return "http://127.0.0.1:%d/%s" % (self.server_port, name)

    def count(self, name):
        with self.lock:
            return self.gets.count("/" + name)


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        with self.server.lock:
            self.server.gets.append(self.path)
        name = self.path[1:].partition("?")[0]
        if name.startswith("loop"):
            self.send_response(302)
            self.send_header("Location", "/loop" + str(random.random()))
            self.end_headers()
        elif name == "moved":
            self.send_response(301)
            self.send_header("Location", "/plain")
            self.end_headers()
        elif name == "to-file":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            self.end_headers()
        elif name == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"x" * 100)
        elif name == "stall":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"x" * 100)
            self.wfile.flush()
            self.server.release.wait(60)
        elif name == "endless":
            self.send_response(200)
            self.end_headers()
            try:
                for _ in range(1000):
                    self.wfile.write(bytes(MB))
            except OSError:
                pass
        elif name in self.server.files:
            if name.startswith("slow"):
                time.sleep(1.5)
            data = self.server.files[name]
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        else:
            self.send_error(404)


# --- tasks ---

class Tasks:
    def __init__(self, cell, server):
        self.cell, self.server = cell, server
        self.scheduler = cell.scheduler(**({"user": USER} if USER else {"user": "root"}))

    def start(self, command, *uris, count=1, executor=None):
        """The ids of tasks with these URIs, in one offer."""
        o = self.scheduler.offer(1)
        tasks = []
        for _ in range(count):
            scalars = [{"name": n, "type": "SCALAR", "scalar": {"value": v},
                        "allocation_info": {"role": "r"}} for n, v in (("cpus", 0.1), ("mem", 32))]
            tasks.append({"name": "task", "task_id": {"value": "t-" + uuid.uuid4().hex[:8]},
                          "agent_id": o["agent_id"], "resources": scalars,
                          "command": {"value": command, "uris": [
                              u if isinstance(u, dict) else {"value": u} for u in uris]}})
        if executor:
            operation = {"type": "LAUNCH_GROUP", "launch_group": {
                "executor": dict(executor, framework_id=self.scheduler.id),
                "task_group": {"tasks": tasks}}}
        else:
            operation = {"type": "LAUNCH", "launch": {"task_infos": tasks}}
        self.scheduler.call("ACCEPT", {"offer_ids": [o["id"]], "filters": {"refuse_seconds": 0},
                                       "operations": [operation]})
        return [t["task_id"] for t in tasks]

    def end(self, task, seconds=30):
        """Its last status."""
        def last():
            ends = [u for u in self.scheduler.updates(task) if u["state"] in (
                "TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_GONE",
                "TASK_DROPPED", "TASK_LOST")]
            return ends[0] if ends else None
        return wait(last, "the end of " + task["value"], seconds)

    def works(self, command, *uris):
        """None if the command, run after fetching, ends with 0."""
        task, = self.start(command, *uris)
        status = self.end(task)
        if status["state"] == "TASK_FINISHED":
            return None
        return "%s: %s" % (status["state"], status.get("message"))

    def fails(self, *uris, because):
        """None if the task fails, is never started, and says that."""
        task, = self.start("exit 77", *uris)
        status = self.end(task)
        message = status.get("message", "")
        if "status 77" in message:
            return "the task was started"
        if status["state"] == "TASK_ERROR" and "output_file" in message:
            return None  # the master sees to it
        if status["state"] != "TASK_FAILED" or not message.startswith("Failed to fetch") \
                or because not in message:
            return "%s: %s" % (status["state"], message)
        return None


def contents(s):
    """name, URIs, command that is true when they came right"""
    plain = s.uri("plain")
    digest = hashlib.sha256(s.files["plain"]).hexdigest()
    local = s.local
    yield "plain file", [plain], "test $(cat plain) = plain && ! test -x plain"
    yield "query is no part of the name", [plain + "?x=1"], "cat plain"
    yield "redirect", [s.uri("moved")], "test $(cat moved) = plain"
    with open(local, "rb") as f:
        same = "sha256sum local | grep -q " + hashlib.sha256(f.read()).hexdigest()
    yield "file://", ["file://" + local], same
    yield "absolute path", [local], same
    yield "executable", [{"value": s.uri("tool.gz"), "executable": True}], \
        "test \"$(./tool.gz a)\" = 'ran a'"
    yield "output_file", [{"value": plain, "output_file": "a/b/other"}], "cat a/b/other"
    yield "output_file in a folder twice", [
        {"value": plain, "output_file": "a/x"}, {"value": plain, "output_file": "./a//y"}], \
        "cat a/x a/y"
    yield "checksum", [plain + "#sha256=" + digest.upper()], "test $(cat plain) = plain"
    for name in [n for n in s.files if n.startswith("ok.")]:
        yield "unpack " + name, [s.uri(name)], \
            "test $(cat d/inner) = inner && test \"$(./d/tool b)\" = 'ran b' && test -e " + name
    yield "unpack from the cache", [{"value": s.uri("ok.tgz"), "cache": True}], \
        "test $(cat d/inner) = inner && ! test -e ok.tgz"
    yield "unpack a .gz file", [s.uri("one.txt.gz")], "test $(cat one.txt) = one"
    yield "extract false", [{"value": s.uri("ok.tar"), "extract": False}], \
        "test -e ok.tar && ! test -e d"
    yield "links within an archive", [s.uri("links.tar")], \
        "test $(cat d/soft) = inner && test $(cat d/hard) = inner"
    yield "setuid bits are dropped", [s.uri("setuid.tar")], "test $(stat -c %a tool) = 755"
    yield "devices and pipes are left out", [s.uri("devices.tar")], \
        "test -e last && ! test -e null && ! test -e pipe"
    yield "owner", [s.uri("ok.tar")], \
        "test $(stat -c %u d/inner) = $(id -u) && test $(stat -c %u ok.tar) = $(id -u)"
    yield "progress in stderr", [plain], "grep -q 'fetching http.*plain' stderr"


def failures(s):
    """name, URIs, part of the reason"""
    yield "404", [s.uri("nope")], s.uri("nope") + ": 404 Not Found"
    yield "404, to be cached", [{"value": s.uri("nope2"), "cache": True}], "404 Not Found"
    yield "second of two", [s.uri("plain"), s.uri("nope")], "404"
    yield "wrong checksum", [s.uri("plain") + "#sha256=" + "0" * 64], "its content has sha256"
    yield "wrong checksum, to be cached", [
        {"value": s.uri("plain") + "#sha256=" + "0" * 64, "cache": True}], "has sha256"
    yield "malformed checksum", [s.uri("plain") + "#sha256=12"], "64 hexadecimal digits"
    yield "body cut off", [s.uri("cut")], "closed the connection after 100 bytes"
    yield "redirect loop", [s.uri("loop")], "more than 10 redirects"
    yield "redirect to a file", [s.uri("to-file")], "file"
    yield "stalled", [s.uri("stall")], "no progress for 2 s"
    yield "nobody listens", ["http://127.0.0.1:1/x"], "connect"
    yield "password is not shown", ["http://u:secret@127.0.0.1:1/x"], "http://u:***@127"
    yield "larger than the limit", [s.uri("endless")], "more than the limit"
    yield "missing file", ["/no/such/file"], "No such file"
    yield "a folder", ["file:///etc"], "it is a folder"
    if USER:
        yield "file of another user", ["/etc/shadow"], "Permission denied"
    yield "scheme", ["ftp://127.0.0.1/x"], "scheme ftp is not supported"
    yield "relative path", ["some/file"], "neither an absolute path nor a URI"
    yield "no name", [s.uri("")], "set output_file"
    yield "output_file above", [{"value": s.uri("plain"), "output_file": "../x"}], "leaves the"
    yield "output_file absolute", [{"value": s.uri("plain"), "output_file": "/tmp/x"}], "absolute"
    yield "output_file through a link", [
        s.uri("link-out.tar"), {"value": s.uri("plain"), "output_file": "out/x"}], "symbolic link"
    for name in [n for n in s.files if n.startswith("bad")]:
        yield "archive " + name, [s.uri(name)], s.why[name]
        yield "archive %s from the cache" % name, [{"value": s.uri(name), "cache": True}], \
            s.why[name]


def offer_files(s, folder):
    s.local = os.path.join(folder, "local")
    with open(s.local, "wb") as f:
        f.write(random.Random(1).randbytes(300000))
    os.chmod(s.local, 0o644)
    outside = s.outside = os.path.join(folder, "outside")
    os.mkdir(outside)
    os.chmod(outside, 0o777)
    s.files.update({
        "plain": b"plain\n", "slow": b"slow" * MB, "tool.gz": SCRIPT,
        "ok.tar": tar(), "ok.tgz": tar(gzip.compress), "ok.tar.gz": tar(gzip.compress),
        "ok.tar.bz2": tar(bz2.compress), "ok.tbz2": tar(bz2.compress), "ok.tbz": tar(bz2.compress),
        "ok.tar.xz": tar(lzma.compress), "ok.txz": tar(lzma.compress),
        "ok.tar.lzma": tar(lambda d: lzma.compress(d, lzma.FORMAT_ALONE)),
        "ok.tlz": tar(lambda d: lzma.compress(d, lzma.FORMAT_ALONE)),
        "one.txt.gz": gzip.compress(b"one\n"),
        "links.tar": tar(members=[("d/inner", b"inner\n"), ("d/soft", link("inner")),
                                  ("d/hard", hard("d/inner"))]),
        "link-out.tar": tar(members=[("out", link(outside))]),
        "devices.tar": tar(members=[
            ("null", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}),
            ("pipe", {"type": tarfile.FIFOTYPE}), ("last", b"x")]),
    })
    for program, names in ((("zstd", "-q", "-c"), ("tar.zst", "tzst")),
                           (("lz4", "-q", "-c"), ("tar.lz4",)),
                           (("compress", "-c"), ("tar.Z",))):
        if shutil.which(program[0]):
            s.files.update({"ok." + name: tar(by_program(*program)) for name in names})
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, data, mode in (("d/inner", b"inner\n", 0o644), ("d/tool", SCRIPT, 0o755)):
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFREG | mode) << 16
            z.writestr(info, data)
    s.files["ok.zip"] = out.getvalue()
    with tarfile.open(fileobj=(out := io.BytesIO()), mode="w") as t:
        info = tarfile.TarInfo("tool")
        info.mode, info.size = 0o6755, len(SCRIPT)
        t.addfile(info, io.BytesIO(SCRIPT))
    s.files["setuid.tar"] = out.getvalue()
    bad = {
        "bad-dotdot.tar": (tar(members=[("a/../../escaped", b"x")]), "leaves the sandbox"),
        "bad-absolute.tar": (tar(members=[(outside + "/escaped", b"x")]), "absolute paths"),
        "bad-link.tar": (tar(members=[("out", link(outside)), ("out/escaped", b"x")]),
                         "symbolic link"),
        "bad-link-up.tar": (tar(members=[("up", link("..")), ("up/up/escaped", b"x")]),
                            "symbolic link"),
        "bad-link-to-link.tar": (tar(members=[
            ("a", link(outside)), ("b", link("a")), ("b/escaped", b"x")]), "symbolic link"),
        "bad-folder-link.tar": (tar(members=[
            ("d", {"type": tarfile.DIRTYPE, "mode": 0o755}), ("d/s", link("../../..")),
            ("d/s/escaped", {"type": tarfile.DIRTYPE, "mode": 0o777})]), "symbolic link"),
        "bad-hard.tar": (tar(members=[("h", hard(outside + "/secret")), ("h", b"x")]),
                         "absolute paths"),
        "bad-hard-link.tar": (tar(members=[("out", link(outside)), ("h", hard("out/secret"))]),
                              "symbolic link"),
        "bad-hard-up.tar": (tar(members=[("h", hard("../../secret"))]), "leaves the sandbox"),
        "bad-dotdot.zip": (zipped([("../escaped", b"x")]), "leaves the sandbox"),
        "bad-absolute.zip": (zipped([(outside + "/escaped", b"x")]), "absolute paths"),
        "bad-bomb.zip": (zipped([("zeros%d" % i, bytes(20 * MB)) for i in range(4)]),
                         "more than the limit of %d bytes" % (50 * MB)),
        "bad-bomb.tar.xz": (tar(lzma.compress, [("zeros", bytes(60 * MB))]), "more than the limit"),
        "bad-garbage.tar": (random.Random(2).randbytes(4000), "cannot be read"),
        "bad-cut.tar.gz": (tar(gzip.compress, [("x", random.Random(3).randbytes(9000))])[:4000],
                           "cannot be read"),
    }
    s.why = {name: why for name, (_, why) in bad.items()}
    s.files.update({name: data for name, (data, _) in bad.items()})
    with open(os.path.join(outside, "secret"), "w", encoding="ascii") as f:
        f.write("secret\n")


def cache_cases(t, report):
    server, folder = t.server, os.path.join(t.cell.agent.work_dir, "fetch")

    def objects():
        return sorted(os.listdir(os.path.join(folder, "objects")))

    def concurrent():
        uri = {"value": server.uri("slow"), "cache": True}
        tasks = t.start("test $(stat -c %s slow) = " + str(4 * MB), uri, count=5)
        ends = [t.end(task) for task in tasks]
        assert [e["state"] for e in ends] == ["TASK_FINISHED"] * 5, ends
        assert server.count("slow") == 1, "%d requests" % server.count("slow")

    def again():
        problem = t.works("test -s slow", {"value": server.uri("slow"), "cache": True})
        assert server.count("slow") == 1, "%d requests" % server.count("slow")
        return problem

    def uncached():
        before = server.count("plain")
        problem = t.works("true", server.uri("plain"))
        assert server.count("plain") == before + 1, "it was not asked for"
        return problem

    def same_content():
        server.files["one"] = server.files["two"] = b"same content"
        for name in ("one", "two"):
            problem = t.works("cat " + name, {"value": server.uri(name), "cache": True})
            if problem:
                return problem
        digest = hashlib.sha256(b"same content").hexdigest()
        assert objects().count(digest) == 1, objects()
        return None

    def changed():
        """A checksum that the kept content has not means fetching anew."""
        server.files["version"] = b"first"
        uri = server.uri("version")
        problem = t.works("test $(cat version) = first", {"value": uri, "cache": True})
        server.files["version"] = b"second"
        kept = t.works("test $(cat version) = first", {"value": uri, "cache": True})
        digest = hashlib.sha256(b"second").hexdigest()
        return problem or kept or t.works("test $(cat version) = second", {
            "value": uri + "#sha256=" + digest, "cache": True})

    def eviction():
        """8 MB are kept: of files of 3 MB, those used last."""
        for name in "abc":
            server.files["evict-" + name] = random.Random(name).randbytes(3 * MB)
        order = ["evict-a", "evict-b", "evict-a", "evict-c", "evict-a", "evict-b"]
        for name in order:
            problem = t.works("test -s " + name, {"value": server.uri(name), "cache": True})
            if problem:
                return problem
            time.sleep(0.02)
        used = sum(os.path.getsize(os.path.join(folder, "objects", o)) for o in objects())
        assert used <= 8 * MB, used
        counts = [server.count("evict-" + name) for name in "abc"]
        assert counts == [1, 2, 1], counts

    def too_large():
        server.files["large"] = bytes(9 * MB)
        problem = t.works("test $(stat -c %s large) = " + str(9 * MB),
                          {"value": server.uri("large"), "cache": True})
        assert hashlib.sha256(bytes(9 * MB)).hexdigest() not in objects(), "it is kept"
        return problem

    def counted():
        m = get(t.cell.agent.address, "/metrics/snapshot")
        assert m["containerizer/fetcher/task_fetches_succeeded"] >= 10, m
        assert m["containerizer/fetcher/cache_size_total_bytes"] == 8 * MB, m
        held = sum(os.stat(os.path.join(folder, "objects", name)).st_size for name in objects())
        assert m["containerizer/fetcher/cache_size_used_bytes"] == held > 0, (m, held)
        before = m["containerizer/fetcher/task_fetches_failed"]
        problem = t.fails(server.uri("nope"), because="404")
        m = get(t.cell.agent.address, "/metrics/snapshot")
        assert m["containerizer/fetcher/task_fetches_failed"] == before + 1, m
        return problem

    def tidy():
        left = os.listdir(os.path.join(folder, "fresh")) + os.listdir(os.path.join(folder, "locks"))
        assert not left, left
        assert os.stat(folder).st_mode & 0o777 == 0o700, oct(os.stat(folder).st_mode)

    for case in (concurrent, again, uncached, same_content, changed, eviction, too_large,
                 counted, tidy):
        report.case("cache: " + case.__name__.replace("_", " "), case)


def life_cases(t, report):
    server = t.server

    def fetchers():
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                exe = os.readlink("/proc/%s/exe" % pid)
            except OSError:
                continue
            if exe.startswith(t.cell.folder) and "reeve-fetcher" in exe:
                found.append(int(pid))
        return found

    def killed():
        task, = t.start("sleep 60", server.uri("stall"))
        wait(lambda: server.count("stall") > stalls, "the fetcher to ask")
        t.scheduler.call("KILL", {"task_id": task})
        status = t.end(task, 5)
        assert status["state"] == "TASK_KILLED", status
        wait(lambda: not fetchers(), "the fetcher to end", 5)

    def executor():
        """The URIs of a custom executor are its own."""
        o = t.scheduler.offer(1)
        task = {"value": "t-" + uuid.uuid4().hex[:8]}
        scalars = [{"name": n, "type": "SCALAR", "scalar": {"value": v},
                    "allocation_info": {"role": "r"}} for n, v in (("cpus", 0.1), ("mem", 32))]
        t.scheduler.call("ACCEPT", {"offer_ids": [o["id"]], "operations": [{
            "type": "LAUNCH", "launch": {"task_infos": [{
                "name": "x", "task_id": task, "agent_id": o["agent_id"], "resources": scalars,
                "executor": {"type": "CUSTOM", "executor_id": {"value": "e"},
                             "framework_id": t.scheduler.id, "command": {
                                 "value": "grep -qx plain plain && exit 3",
                                 "uris": [{"value": server.uri("plain")}]}}}]}}]})
        status = t.end(task)
        assert "exited with status 3" in status["message"], status

    def group_executor(name):
        return {"type": "DEFAULT", "executor_id": {"value": name}, "resources": [
            {"name": n, "type": "SCALAR", "scalar": {"value": v},
             "allocation_info": {"role": "r"}} for n, v in (("cpus", 0.1), ("mem", 32))]}

    def group():
        tasks = t.start("test $(cat plain) = plain && test $(cat d/inner) = inner && "
                        "test -z \"$REEVE_FETCHER\"", server.uri("plain"), server.uri("ok.tgz"),
                        count=2, executor=group_executor("g1"))
        ends = [t.end(task) for task in tasks]
        assert [e["state"] for e in ends] == ["TASK_FINISHED"] * 2, ends

    def group_fails():
        tasks = t.start("sleep 60", server.uri("plain"), server.uri("nope"), count=2,
                        executor=group_executor("g2"))
        ends = [t.end(task) for task in tasks]
        assert "TASK_FAILED" in [e["state"] for e in ends], ends
        assert any("404 Not Found" in e.get("message", "") for e in ends), ends

    def group_killed():
        before = server.count("stall")
        tasks = t.start("sleep 60", server.uri("stall"), count=2, executor=group_executor("g3"))
        wait(lambda: server.count("stall") >= before + 2, "the fetchers to ask")
        t.scheduler.call("KILL", {"task_id": tasks[0]})
        ends = [t.end(task, 5) for task in tasks]
        assert [e["state"] for e in ends] == ["TASK_KILLED"] * 2, ends
        wait(lambda: not fetchers(), "the fetchers to end", 5)

    def agent_killed():
        before = server.count("stall")
        task, = t.start("sleep 60", server.uri("stall"))
        wait(lambda: server.count("stall") > before, "the fetcher to ask")
        t.cell.agent.end()
        wait(lambda: not fetchers(), "the fetcher to end with the agent", 5)
        t.cell.agent.start()
        status = t.end(task)
        assert status["state"] == "TASK_DROPPED", status

    def resident():
        with open("/proc/%d/status" % t.cell.agent.process.pid, encoding="ascii") as f:
            kib = int([line for line in f if line.startswith("RssAnon")][0].split()[1])
        with open("/proc/%d/maps" % t.cell.agent.process.pid, encoding="ascii") as f:
            maps = f.read()
        assert "libcurl" not in maps and "libarchive" not in maps, "the agent has loaded them"
        assert kib < 3 * 1024 or "asan" in maps, "%d KiB of its own" % kib

    stalls = server.count("stall")
    for case in (killed, executor, group, group_fails, group_killed, resident, agent_killed):
        report.case("life: " + case.__name__.replace("_", " "), case)


# --- https ---

CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


class SecureServer(Server):
    def __init__(self, folder):
        super().__init__()
        self.certificate = os.path.join(folder, "certificate.pem")
        key = os.path.join(folder, "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                        "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key,
                        "-out", self.certificate], check=True, stderr=subprocess.DEVNULL)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        # The handshake is the thread's of the connection.
        self.socket = context.wrap_socket(self.socket, server_side=True,
                                          do_handshake_on_connect=False)

    def uri(self, name):
        return super().uri(name).replace("http:", "https:")

    def handle_error(self, *_):
        """One that does not trust us leaves within the handshake."""


def secure_cases(folder, plain, report):
    """A server whom the agent's machine trusts, and one whom it does not."""
    trusted, other = SecureServer(folder), SecureServer(tempfile.mkdtemp(dir=folder))
    trusted.files = other.files = {"plain": b"plain\n", "ok.tgz": plain.files["ok.tgz"]}
    see = ("unshare", "-m", "--propagation", "private", "sh", "-c",
           'mount --bind "$0" %s && exec "$@"' % CERTIFICATES, trusted.certificate)
    with Cell(agent=("--fetcher_stall_timeout=5secs",), prefix=see) as cell:
        t = Tasks(cell, plain)
        report.case("https", lambda: t.works(
            "test $(cat plain) = plain && test $(cat d/inner) = inner", trusted.uri("plain"),
            {"value": trusted.uri("ok.tgz"), "cache": True}))
        report.case("https: who is not trusted", lambda: t.fails(
            other.uri("plain"), because="certificate"))


def main():
    words, report, server = sys.argv[1:], Report(), Server()
    with tempfile.TemporaryDirectory(prefix="reeve-fetcher-") as folder:
        os.chmod(folder, 0o755)
        offer_files(server, folder)
        with Cell(agent=("--fetcher_cache_size=8MB", "--fetcher_max_size=50MB",
                         "--fetcher_stall_timeout=2secs",
                         *(() if USER else ("--no-switch_user",)))) as cell:
            t = Tasks(cell, server)

            def wanted(name):
                return not words or any(w in name for w in words)

            for name, uris, command in contents(server):
                if wanted(name):
                    report.case(name, lambda: t.works(command, *uris))
            for name, uris, because in failures(server):
                if wanted(name):
                    report.case(name, lambda: t.fails(*uris, because=because))
            report.case("nothing escaped", lambda: None if os.listdir(server.outside) == ["secret"]
                        else str(os.listdir(server.outside)))
            if wanted("cache"):
                cache_cases(t, report)
            if wanted("life"):
                life_cases(t, report)
        if wanted("https") and USER and os.path.exists(CERTIFICATES):
            secure_cases(folder, server, report)
    server.release.set()
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
