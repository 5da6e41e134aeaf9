"""A Firehose of its own: the protocol and limits of AWS over HTTP or HTTPS, with the faults that emulators never have.

``python -m tests.servers.firehose PORT [--tls CERTIFICATE KEY] [--latency SECONDS]`` counts what it is sent, for
benchmarks; tests start it in a thread.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gzip
import json
import ssl
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.servers.processes import free_ports

TARGET = "Firehose_20150804."
ANSWER = "HTTP/1.1 %d -\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: %d\r\n\r\n"
RECORD_ID = "R" * 220


class Refused(Exception):
    """An error of AWS: a status and a code."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


@dataclass
class Faults:
    """Every so-many-th record fails (0: none), every so-many-th call is throttled, taken but not answered; seconds."""

    fail_every: int = 0
    throttle_every: int = 0
    unanswered_every: int = 0
    latency_seconds: float = 0.0
    always: Refused | None = None


@dataclass
class Firehose:
    """What was sent, by stream, and how the next call is answered."""

    faults: Faults = field(default_factory=Faults)
    keeps_lines: bool = True
    calls: int = 0
    records: int = 0
    lines: int = 0
    streams: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    sizes: list[list[int]] = field(default_factory=list)

    async def answer(self, target: str, body: bytes) -> tuple[int, Any]:
        """The status and the content of the answer; None for no answer at all."""
        if self.faults.latency_seconds:
            await asyncio.sleep(self.faults.latency_seconds)
        self.calls += 1
        try:
            content = self._act(target, json.loads(body))
        except Refused as error:
            return error.status, {"__type": error.code, "message": "Slow down."}
        every = self.faults.unanswered_every
        return 200, None if every and self.calls % every == 0 else content

    def _act(self, target: str, asked: dict[str, Any]) -> dict[str, Any]:
        if self.faults.always is not None:
            raise self.faults.always
        if self.faults.throttle_every and self.calls % self.faults.throttle_every == 0:
            raise Refused(400, "ServiceUnavailableException")
        if target == "PutRecord":
            self._take(asked["DeliveryStreamName"], base64.b64decode(asked["Record"]["Data"]))
            return {"RecordId": RECORD_ID}
        if target != "PutRecordBatch":
            raise Refused(400, "UnknownOperationException")
        return self._batch(asked["DeliveryStreamName"], asked["Records"])

    def _batch(self, stream: str, records: list[dict[str, str]]) -> dict[str, Any]:
        content = [base64.b64decode(record["Data"]) for record in records]
        sizes = [len(data) for data in content]
        if not 1 <= len(records) <= 500 or max(sizes) > 1_024_000 or sum(sizes) > 4 * 1024 * 1024:
            raise Refused(400, "InvalidArgumentException")
        if self.keeps_lines:
            self.sizes.append(sizes)
        results = [self._result(stream, data) for data in content]
        return {"FailedPutCount": sum("ErrorCode" in result for result in results), "RequestResponses": results}

    def _result(self, stream: str, data: bytes) -> dict[str, str]:
        self.records += 1
        if self.faults.fail_every and self.records % self.faults.fail_every == 0:
            return {"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down."}
        self._take(stream, data)
        return {"RecordId": RECORD_ID}

    def _take(self, stream: str, data: bytes) -> None:
        self.lines += data.count(b"\n")
        if self.keeps_lines:
            # As Firehose delivers them: records are joined without anything between.
            self.streams[stream].append(data)

    def objects(self, *, object_bytes: int = 100_000) -> Iterator[tuple[str, bytes]]:
        """What Firehose would write to S3: keys and contents, of about so many bytes each, packed by gzip."""
        for stream, parts in self.streams.items():
            joined, number = b"", 0
            for last, data in enumerate(parts, 1):
                joined += data
                if len(joined) >= object_bytes or last == len(parts):
                    yield f"2026/11/22/14/{stream}-1-2026-11-22-14-00-00-{number:04}.gz", gzip.compress(joined)
                    joined, number = b"", number + 1

    def events(self, stream: str | None = None) -> list[dict[str, Any]]:
        """The lines that have arrived, read as JSON."""
        joined = b"".join(data for name, parts in self.streams.items() if stream in (None, name) for data in parts)
        return [json.loads(line) for line in joined.splitlines()]


async def serve(firehose: Firehose, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the calls of one connection."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            headers = {
                name.strip().lower(): value.strip()
                for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:])
            }
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            status, content = await firehose.answer(headers.get("x-amz-target", "").removeprefix(TARGET), body)
            if content is None:
                break
            answer = json.dumps(content).encode()
            writer.write((ANSWER % (status, len(answer))).encode() + answer)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


class InThread:
    """A Firehose in a thread of this process; it can be down for a while, and comes back on the same port."""

    def __init__(self) -> None:
        self.firehose = Firehose()
        # One that no outgoing connection is given while the server is down.
        (self.port,) = free_ports(1)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen."""
        self._wait(self._start())

    def stop(self) -> None:
        """Be down: no new connections, and the old ones are cut."""
        self._wait(self._stop())

    def close(self) -> None:
        """End the thread."""
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=2**24)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await serve(self.firehose, reader, writer)
        finally:
            self._writers.discard(writer)

    async def _stop(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for writer in list(self._writers)), return_exceptions=True)
        self._server = None


async def main() -> None:
    """Serve until the standard input ends; then print the counts as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--tls", nargs=2)
    parser.add_argument("--latency", type=float, default=0.0)
    given = parser.parse_args()
    firehose = Firehose(Faults(latency_seconds=given.latency), keeps_lines=False)
    context = None
    if given.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*given.tls)
    server = await asyncio.start_server(
        lambda reader, writer: serve(firehose, reader, writer), "127.0.0.1", given.port, ssl=context, limit=2**24
    )
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    sys.stdout.write(json.dumps({"calls": firehose.calls, "lines": firehose.lines}) + "\n")
    sys.stdout.flush()
    sys.exit(0)


if __name__ == "__main__":
    asyncio.run(main())
