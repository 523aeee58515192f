"""A link of loopback that can be cut: what is said on it is held back, as behind a partition."""

import socket
import threading


class Proxy:
    """with Proxy(port) as p: who connects to p.port speaks with that port of loopback. While it is
    cut nothing passes, nor is anything lost: it comes late, after heal()."""

    def __init__(self, port):
        self.target, self.sockets = port, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open, self.trap = threading.Event(), (b"", 0)
        self.open.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        for s in self.sockets:
            _end(s)
        self.heal()

    def cut(self):
        self.open.clear()

    def cut_at(self, word, times):
        """By itself, when a client has said the word so many times."""
        self.trap = (word, times)

    def is_cut(self):
        return not self.open.is_set()

    def heal(self):
        self.open.set()

    def drop(self):
        """All connections end; new ones are welcome."""
        sockets, self.sockets = self.sockets, []
        for s in sockets:
            _end(s)

    def _accept(self):
        try:
            while True:
                client = self.listener.accept()[0]
                server = socket.create_connection(("127.0.0.1", self.target))
                self.sockets += [client, server]
                for args in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pump, args=args, daemon=True).start()
        except OSError:
            pass

    def _look(self, said):
        word, times = self.trap
        if times and word in said:
            self.trap = (word, times - 1)
            if times == 1:
                self.cut()

    def _pump(self, source, to, from_client):
        try:
            while True:
                said = source.recv(1 << 16)
                if not said:
                    break
                if from_client:
                    self._look(said)
                self.open.wait()
                to.sendall(said)
        except OSError:
            pass
        _end(source)
        _end(to)


def _end(s):
    try:
        s.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
