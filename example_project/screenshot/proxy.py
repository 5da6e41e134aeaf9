"""The way out of the browser: a SOCKS5 proxy on loopback that looks up each host and speaks to allowed addresses.

Whatever a page tries (pictures, frames, scripts, redirects, names that change their address between two look-ups),
each connection of the browser comes through here, by name, and is made to an address that was looked at.
"""

from __future__ import annotations

import asyncio
import ipaddress
from asyncio import StreamReader, StreamWriter
from types import TracebackType

from screenshot.boundary import Boundary
from screenshot.errors import OutOfBounds

#: RFC 1928: the version, CONNECT, the kinds of address, and the answers.
VERSION, CONNECT = 5, 1
IPV4, NAME, IPV6 = 1, 3, 4
GRANTED, NOT_ALLOWED = 0, 2
CONNECT_SECONDS = 10
CHUNK_BYTES = 65_536


class Proxy:
    """The proxy of one browser. ``refused``: hosts that it did not connect to, and why."""

    def __init__(self, boundary: Boundary) -> None:
        self.boundary = boundary
        self.refused: dict[str, str] = {}
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    @property
    def url(self) -> str:
        """As browsers name it."""
        assert self._server is not None
        return f"socks5://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            host, port = await _asked(reader, writer)
            there = await self._connect(host, port)
            await _answer(writer, NOT_ALLOWED if there is None else GRANTED)
            if there is not None:
                await _join(reader, writer, *there)
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # either side has gone, or the browser has
        finally:
            self._open.discard(task)
            writer.close()

    async def _connect(self, host: str, port: int) -> tuple[StreamReader, StreamWriter] | None:
        try:
            addresses = await self.boundary.addresses(host, port)
        except OutOfBounds as error:
            self.refused[host] = str(error)
            return None
        for address in addresses:
            try:
                return await asyncio.wait_for(asyncio.open_connection(address, port), CONNECT_SECONDS)
            except (OSError, asyncio.TimeoutError) as error:
                self.refused[host] = f"{host} does not answer at {address}: {error or 'no answer in time'}."
        return None


async def _asked(reader: StreamReader, writer: StreamWriter) -> tuple[str, int]:
    """Greet, and read the host and port that are asked for; raises ``ValueError`` for anything else."""
    version, methods = await reader.readexactly(2)
    await reader.readexactly(methods)
    writer.write(bytes([VERSION, 0]))
    again, command, _, kind = await reader.readexactly(4)
    if (version, again, command) != (VERSION, VERSION, CONNECT):
        raise ValueError("this is not CONNECT of SOCKS5")
    if kind == NAME:
        host = (await reader.readexactly((await reader.readexactly(1))[0])).decode("ascii")
    elif kind in (IPV4, IPV6):
        host = str(ipaddress.ip_address(await reader.readexactly(4 if kind == IPV4 else 16)))
    else:
        raise ValueError("this kind of address is not known")
    return host, int.from_bytes(await reader.readexactly(2), "big")


async def _answer(writer: StreamWriter, reply: int) -> None:
    writer.write(bytes([VERSION, reply, 0, IPV4, 0, 0, 0, 0, 0, 0]))
    await writer.drain()


async def _join(reader: StreamReader, writer: StreamWriter, far_reader: StreamReader, far_writer: StreamWriter) -> None:
    try:
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
    finally:
        far_writer.close()


async def _pump(reader: StreamReader, writer: StreamWriter) -> None:
    while data := await reader.read(CHUNK_BYTES):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
