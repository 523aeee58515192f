"""The two halves of being attached to a container: its output as it comes, and its input."""

import base64
import http.client
import json
import threading

LONG = 60
RECORDIO = "application/recordio"
JSON = "application/json"


class Records:
    """An answer that goes on, as ProcessIO messages; read by a thread."""

    def __init__(self, address, message, accept=RECORDIO):
        self.connection = http.client.HTTPConnection(*address, timeout=LONG)
        self.connection.connect()
        self.sock = self.connection.sock
        headers = {"Content-Type": JSON, "Accept": accept}
        if accept == RECORDIO:
            headers["Message-Accept"] = JSON
        self.connection.request("POST", "/api/v1", json.dumps(message), headers)
        self.response = self.connection.getresponse()
        self.status, self.headers = self.response.status, self.response.headers
        self.messages, self.ended = [], False
        if self.status == 200:
            threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        data = b""
        try:
            while True:
                piece = self.response.read1(65536)
                if not piece:
                    break
                data += piece
                while b"\n" in data:
                    size, rest = data.split(b"\n", 1)
                    if len(rest) < int(size):
                        break
                    self.messages.append(json.loads(rest[:int(size)]))
                    data = rest[int(size):]
        except (OSError, http.client.HTTPException, ValueError, AttributeError):
            pass
        self.ended = True

    def text(self, kind="STDOUT"):
        return b"".join(base64.b64decode(m["data"]["data"]) for m in list(self.messages)
                        if m["type"] == "DATA" and m["data"]["type"] == kind)

    def close(self):
        try:
            self.sock.shutdown(2)
        except OSError:
            pass
        self.connection.close()


class Input:
    """ATTACH_CONTAINER_INPUT: records as chunks, as long as one likes."""

    def __init__(self, address, container_id, media=JSON):
        self.connection = http.client.HTTPConnection(*address, timeout=LONG)
        self.connection.putrequest("POST", "/api/v1")
        for name, value in (("Content-Type", RECORDIO), ("Message-Content-Type", media),
                            ("Transfer-Encoding", "chunked")):
            self.connection.putheader(name, value)
        self.connection.endheaders()
        self.call({"type": "CONTAINER_ID", "container_id": container_id})

    def call(self, part):
        record = json.dumps({"type": "ATTACH_CONTAINER_INPUT",
                             "attach_container_input": part}).encode()
        record = b"%d\n%s" % (len(record), record)
        self.connection.send(b"%x\r\n%s\r\n" % (len(record), record))

    def io(self, **process_io):
        self.call({"type": "PROCESS_IO", "process_io": process_io})

    def data(self, data):
        self.io(type="DATA", data={"type": "STDIN", "data": base64.b64encode(data).decode()})

    def resize(self, rows, columns):
        self.io(type="CONTROL", control={"type": "TTY_INFO", "tty_info": {
            "window_size": {"rows": rows, "columns": columns}}})

    def heartbeat(self):
        self.io(type="CONTROL", control={"type": "HEARTBEAT", "heartbeat": {
            "interval": {"nanoseconds": 30000000000}}})

    def end(self):
        self.connection.send(b"0\r\n\r\n")
        return self.answer()

    def answer(self):
        response = self.connection.getresponse()
        text = response.read()
        self.connection.close()
        return response.status, text
