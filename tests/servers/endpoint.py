"""A cluster endpoint: a port that hands connections on to one server, and may lag behind a failover."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CHUNK = 65_536
QUERY = 3


class Endpoint:
    """``port`` leads to ``target``, the port of a server; open connections stay where they are.

    ``rewritten`` replaces words in the queries that pass: a server can so be asked for what only Aurora has.
    """

    def __init__(self, target: int, *, rewritten: dict[bytes, bytes] | None = None) -> None:
        self.target = target
        self.rewritten = rewritten or {}
        self.taken = 0
        self._cut: tuple[bytes, bool] | None = None
        self._listener = Listener(("127.0.0.1", 0), Relay)
        self._listener.endpoint = self
        self.port: int = self._listener.server_address[1]
        threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True).start()

    def cut_at(self, words: bytes, *, answered: bool) -> None:
        """End the next connection that sends these words: before the server has them, or (``answered``) only after."""
        self._cut = (words, answered)

    def is_cut_at(self, data: bytes) -> tuple[bool, bool]:
        """Whether the connection ends with this, and whether the server is to get it still; once."""
        if self._cut is None or self._cut[0] not in data:
            return False, True
        (_, answered), self._cut = self._cut, None
        return True, answered

    def close(self) -> None:
        self._listener.shutdown()
        self._listener.server_close()


class Listener(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    endpoint: Endpoint


class Relay(socketserver.BaseRequestHandler):
    """One connection: two directions, ended together."""

    server: Listener

    def handle(self) -> None:
        endpoint = self.server.endpoint
        endpoint.taken += 1
        try:
            server = socket.create_connection(("127.0.0.1", endpoint.target), timeout=5)
        except OSError:
            return
        server.settimeout(None)
        for each in (self.request, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.is_cut = False
        back = threading.Thread(target=self.pump_back, args=(server,), daemon=True)
        back.start()
        self.pump(server)
        back.join()
        server.close()

    def pump(self, server: socket.socket) -> None:
        """Hand on what the client says."""
        endpoint = self.server.endpoint
        with ended(self.request, server):
            while data := self.request.recv(CHUNK):
                cut, is_sent = endpoint.is_cut_at(data)
                self.is_cut = self.is_cut or cut
                if is_sent:
                    server.sendall(rewrite(data, endpoint.rewritten))
                if cut and not is_sent:
                    return

    def pump_back(self, server: socket.socket) -> None:
        """Hand on what the server says; where the connection is cut, its answer ends it."""
        with ended(self.request, server):
            while (data := server.recv(CHUNK)) and not self.is_cut:
                self.request.sendall(data)


@contextmanager
def ended(*sockets: socket.socket) -> Iterator[None]:
    """End both sides together, whichever of them ended first."""
    with suppress(OSError):
        yield
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def rewrite(data: bytes, rewritten: dict[bytes, bytes]) -> bytes:
    """A short query with other words; anything else as it is."""
    if not rewritten or len(data) < 5 or data[4] != QUERY or int.from_bytes(data[:3], "little") != len(data) - 4:
        return data
    text = data[5:]
    for word, other in rewritten.items():
        text = text.replace(word, other)
    return (len(text) + 1).to_bytes(3, "little") + data[3:5] + text
