"""A relay in a process of its own: ``python -m benchmarks.relay SECONDS PORT...`` hands on every byte that much later.

It prints the ports that lead to the given ones of loopback, in their order, and ends with its standard input. What is
under way does not hold up what follows: it is a distance, not a narrow road.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from typing import cast


class Way(asyncio.Protocol):
    """One direction of a connection: what ``self`` receives goes to ``other``, ``seconds`` later."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.other: Way | None = None
        self.transport: asyncio.Transport | None = None
        self.under_way: deque[bytes] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        # In their order, also where two timers are due at the same moment.
        self.under_way.append(data)
        asyncio.get_running_loop().call_later(self.seconds, self._hand_on)

    def connection_lost(self, _error: Exception | None) -> None:
        asyncio.get_running_loop().call_later(self.seconds, self._end)

    def _hand_on(self) -> None:
        data = self.under_way.popleft()
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def _end(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


class Entrance(Way):
    """The side of the client, which asks for a connection to the server."""

    def __init__(self, port: int, seconds: float) -> None:
        super().__init__(seconds)
        self.port = port
        self.connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        exit_ = Way(self.seconds)
        exit_.other = self
        # The server of MySQL speaks first: nothing is received here before.
        await asyncio.get_running_loop().create_connection(lambda: exit_, "127.0.0.1", self.port)
        self.other = exit_


async def serve(seconds: float, ports: list[int]) -> None:
    """Listen for each port, say where, and go on until nobody holds the standard input."""
    loop = asyncio.get_running_loop()
    listening = [await loop.create_server(lambda port=port: Entrance(port, seconds), "127.0.0.1", 0) for port in ports]
    print(*(server.sockets[0].getsockname()[1] for server in listening), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]), [int(port) for port in sys.argv[2:]]))
