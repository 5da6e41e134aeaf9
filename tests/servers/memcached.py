"""Private memcached processes on loopback, and the configuration endpoint of ElastiCache in front of them."""

from __future__ import annotations

import shutil
import socket
import socketserver
import threading
from pathlib import Path

from tests.servers.processes import Process, free_ports

PROGRAM = shutil.which("memcached") or shutil.which("memcached", path="/usr/bin:/usr/local/bin")


class Memcached:
    """One node; it can be killed, frozen and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        (self.port,) = free_ports(1)
        self._log = folder / f"memcached-{self.port}.log"
        self.process = Process(folder / f"memcached-{self.port}.pid")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, empty, and wait until it answers."""
        assert PROGRAM is not None
        options = ["-l", "127.0.0.1", "-p", str(self.port), "-U", "0", "-m", "64", "-u", "root"]
        self.process.start([PROGRAM, *options], log=self._log)
        self.process.wait_for_answer(self._ask, failing=OSError, log=self._log)

    def _ask(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
            connection.sendall(b"version\r\n")
            if not connection.recv(100).startswith(b"VERSION"):
                raise ConnectionError("It says something else.")

    def kill(self) -> None:
        """End it; what it held is gone."""
        self.process.thaw()
        self.process.end()

    def freeze(self) -> None:
        """Let it answer nothing, and keep its connections."""
        self.process.freeze()

    def thaw(self) -> None:
        """Let it go on, with what it held and what waits on its sockets."""
        self.process.thaw()


class Configuration(socketserver.ThreadingTCPServer):
    """The configuration endpoint of a cluster: ``mode`` is ``ok``, ``empty``, ``error``, ``drop`` or ``hang``."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, nodes: list[str]) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.nodes = nodes
        self.mode = "ok"
        self.version = 1
        self.asked = 0
        self.ended = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def close(self) -> None:
        """Stop listening."""
        self.ended.set()
        self.shutdown()
        self.server_close()


class Answer(socketserver.StreamRequestHandler):
    """One connection to the endpoint."""

    server: Configuration

    def handle(self) -> None:
        while self.rfile.readline().strip() == b"config get cluster":
            self.server.asked += 1
            if self.server.mode == "hang":
                self.server.ended.wait()
            if self.server.mode in ("hang", "drop"):
                return
            self.wfile.write(b"ERROR\r\n" if self.server.mode == "error" else self._nodes())

    def _nodes(self) -> bytes:
        listed = [] if self.server.mode == "empty" else self.server.nodes
        nodes = " ".join("node.local|{}|{}".format(*node.split(":")) for node in listed)
        content = f"{self.server.version}\n{nodes}\n"
        return f"CONFIG cluster 0 {len(content)}\r\n{content}\r\nEND\r\n".encode()
