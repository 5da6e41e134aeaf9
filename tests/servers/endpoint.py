"""A cluster endpoint: a port that hands connections on to one server, and may lag behind a failover."""

from __future__ import annotations

import socket
import socketserver
import threading
from contextlib import suppress
from typing import Any

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
        self._listener = Listener(("127.0.0.1", 0), Relay)
        self._listener.endpoint = self
        self.port: int = self._listener.server_address[1]
        threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True).start()

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
        back = threading.Thread(target=pump, args=(server, self.request, {}), daemon=True)
        back.start()
        pump(self.request, server, endpoint.rewritten)
        back.join()
        server.close()


def pump(source: Any, sink: Any, rewritten: dict[bytes, bytes]) -> None:
    """Hand on what comes until one side ends."""
    with suppress(OSError):
        while data := source.recv(CHUNK):
            sink.sendall(rewrite(data, rewritten))
    for each in (source, sink):
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
