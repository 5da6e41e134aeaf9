"""The nodes of an ElastiCache cluster, asked for in the background."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from dataclasses import dataclass

from horizon_shards.exceptions import ConfigurationError

ANSWER_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A configuration endpoint, and how it is asked."""

    host: str
    port: int
    timeout_seconds: float = 1.0
    interval_seconds: float = 30.0
    by_address: bool = True
    tls: ssl.SSLContext | None = None


def read_endpoint(location: str) -> tuple[str, int]:
    """``"host:port"``, also without a dot; the port is 11211 where there is none."""
    host, separator, port = location.strip().rpartition(":")
    if not separator:
        return location.strip(), 11211
    if not host or not port.isdecimal():
        raise ConfigurationError(f"LOCATION of an ElastiCache must be 'host:port', not {location!r}.")
    return host, int(port)


def ask(endpoint: Endpoint) -> tuple[tuple[str, int], ...]:
    """The nodes that the endpoint names; ``OSError`` where it gives no valid answer in time."""
    give_up_at = time.monotonic() + endpoint.timeout_seconds
    with socket.create_connection((endpoint.host, endpoint.port), endpoint.timeout_seconds) as plain:
        connection = endpoint.tls.wrap_socket(plain, server_hostname=endpoint.host) if endpoint.tls else plain
        connection.sendall(b"config get cluster\r\n")
        answer = b""
        while not answer.endswith(b"END\r\n"):
            connection.settimeout(max(0.001, give_up_at - time.monotonic()))
            part = connection.recv(4096)
            answer += part
            if not part or answer.startswith(b"ERROR") or len(answer) > ANSWER_BYTES:
                raise OSError(f"{endpoint.host}:{endpoint.port} does not answer as a configuration endpoint does.")
    return parse(answer.decode("ascii", "replace"), by_address=endpoint.by_address)


def parse(answer: str, *, by_address: bool) -> tuple[tuple[str, int], ...]:
    """The nodes of an answer to ``config get cluster``: ``host|address|port`` by spaces, in the third line."""
    lines = answer.replace("\r", "").split("\n")
    if len(lines) < 3 or not lines[0].startswith("CONFIG cluster "):
        raise OSError(f"An answer that is no configuration: {lines[0]!r}")
    try:
        nodes = [node.split("|") for node in lines[2].split()]
        found = tuple(sorted({((address if by_address else "") or host, int(port)) for host, address, port in nodes}))
    except ValueError as error:
        raise OSError(f"A configuration with a broken list of nodes: {lines[2]!r}") from error
    if not found:
        raise OSError("A configuration without any node.")
    return found


class Discovery:
    """Keeps the last known nodes of one endpoint; a thread asks again, so that no caller waits.

    Nodes are only ever replaced by others: an endpoint that fails, or names none, changes nothing.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.nodes: tuple[tuple[str, int], ...] = ()
        self.last_error: OSError | None = None
        self._lock = threading.Lock()
        self._asked = threading.Event()
        self._pid = 0

    def known_nodes(self) -> tuple[tuple[str, int], ...]:
        """The nodes; the first caller waits for an answer, once. ``OSError`` where none has come yet."""
        self._ensure_thread()
        if not self.nodes:
            self._asked.wait(self.endpoint.timeout_seconds)
        if not self.nodes:
            name = f"{self.endpoint.host}:{self.endpoint.port}"
            raise OSError(f"{name} has not named any node yet: {self.last_error or 'no answer'}")
        return self.nodes

    def _ensure_thread(self) -> None:
        if self._pid == os.getpid():
            return
        with self._lock:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                threading.Thread(target=self._run, name="elasticache-discovery", daemon=True).start()

    def _run(self) -> None:
        while True:
            self.refresh()
            self._asked.set()
            # Without any node the next answer is wanted soon.
            time.sleep(self.endpoint.interval_seconds if self.nodes else min(1.0, self.endpoint.interval_seconds))

    def refresh(self) -> None:
        """Ask once."""
        try:
            self.nodes = ask(self.endpoint)
            self.last_error = None
        except OSError as error:
            self.last_error = error
