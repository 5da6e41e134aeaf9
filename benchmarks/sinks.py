"""How many events one process collects: ``python -m benchmarks.sinks`` (Firehose over TLS, 20 ms away, on loopback).

The stand-in for Firehose is a process of its own; it takes 20 ms to answer each call. Events are put until
``--seconds`` are over, and flushed within the time that is counted; the server's count must be the same.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.databases import databases
from benchmarks.report import machine, table

LATENCY_SECONDS = 0.02
BATCH = 100
PAGE_VIEW = "benchmarks.pageview"
#: Events an hour: 10, 50 and 333 times what the system that this project comes from took for each shard.
LEAST_SINGLE, LEAST_BATCH, LEAST_SINK = 6_000_000, 30_000_000, 200_000_000
CREDENTIALS = {"aws_access_key_id": "benchmark", "aws_secret_access_key": "benchmark"}
Collect = Callable[[Any], int]


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast one way of collecting was, beside the least that there should be in an hour, or None."""

    name: str
    events: int
    seconds: float
    processor_seconds: float
    arrived: int
    least: int | None = None

    @property
    def per_hour(self) -> int:
        """Events an hour of the wall clock."""
        return round(self.events / self.seconds * 3600)

    @property
    def per_processor_hour(self) -> int:
        """Events an hour of processor time, which other work of the machine changes little."""
        return round(self.events / self.processor_seconds * 3600)

    @property
    def holds(self) -> bool:
        """Whether it is fast enough, and whole."""
        return self.events == self.arrived and (self.least is None or self.per_hour >= self.least)

    def cells(self) -> tuple[str, ...]:
        """A line of the table."""
        least = "" if self.least is None else f"{self.least / 1e6:.0f}"
        rates = (f"{self.per_hour / 1e6:.2f}", f"{self.per_processor_hour / 1e6:.2f}")
        return (self.name, "", f"{self.events:,}", *rates, least, str(self.events - self.arrived))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        rates = {"per_hour": self.per_hour, "per_processor_hour": self.per_processor_hour}
        return {"name": self.name, "events": self.events, "arrived": self.arrived, **rates, "holds": self.holds}


@contextmanager
def firehose() -> Iterator[tuple[str, str, Callable[[], int]]]:
    """The address of the stand-in, its certificate, and a function that ends it and tells the lines it was sent."""
    with tempfile.TemporaryDirectory() as name:
        certificate, key = str(Path(name) / "certificate.pem"), str(Path(name) / "key.pem")
        made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
        openssl = ["openssl", "req", "-x509", *made, *names, "-keyout", key, "-out", certificate]
        subprocess.run(openssl, check=True, capture_output=True)
        command = [sys.executable, "-m", "tests.servers.firehose", "0", "--latency", str(LATENCY_SECONDS)]
        command += ["--tls", certificate, key]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            yield f"https://127.0.0.1:{port}", certificate, lambda: json.loads(process.communicate()[0])["lines"]


def events(count: int) -> list[dict[str, Any]]:
    """What browsers report: lines of about 380 bytes."""
    return [
        {"site": n % 200, "at": "2026-11-22T12:00:00Z", "path": f"/articles/{n % 977}/".ljust(195, "x"), "ms": n % 5000}
        for n in range(count)
    ]


def measure(name: str, collect: Collect, *, seconds: float, least: int | None = None) -> Rate:
    """Let ``collect(sink)`` take events, a few at each call, until the time is over."""
    from horizon_shards.sinks import get_sink
    from horizon_shards.sinks.registry import close_sinks

    with firehose() as (url, certificate, lines):
        configure(url, certificate)
        sink = get_sink("track")
        taken = collect(sink)  # connections, and what is worked out once
        sink.flush(60)
        warm, taken = taken, 0
        began, began_work = time.perf_counter(), time.process_time()
        while time.perf_counter() - began < seconds:
            taken += collect(sink)
        sink.flush(600)
        took, worked = time.perf_counter() - began, time.process_time() - began_work
        close_sinks()
        return Rate(name, taken, took, worked, lines() - warm, least)


def configure(url: str, certificate: str) -> None:
    """Settings of one run."""
    from django.conf import settings

    client = {**CREDENTIALS, "verify": certificate}
    options = {"STREAM": "page-views-{shard}", "REGION": "eu-west-1", "ENDPOINT": url, "CLIENT": client}
    wait = {"OVERFLOW": "block", "BLOCK_SECONDS": 60.0}
    settings.HORIZON_SINKS = {"track": {"BACKEND": "horizon_shards.sinks.FirehoseSink", "OPTIONS": {**options, **wait}}}


def posts(view: Any, body: Any, *, count: int) -> Collect:
    """Posts of ``count`` events to a view."""
    from django.test import RequestFactory

    factory, content = RequestFactory(), json.dumps(body)

    def post(sink: Any) -> int:
        response = view(factory.post("/", content, content_type="application/json"))
        assert response.status_code in (201, 204), response.status_code
        return count

    return post


def one_call_an_event() -> Collect:
    """The design that sinks replace: a view whose serializer waits for a ``put_record`` of its event."""
    from benchmarks.collecting import waiting_view

    return posts(waiting_view(), events(1)[0], count=1)


def drf_posts(*, many: bool) -> Collect:
    """Posts to a view of Django REST framework with an unchanged ``SinkModelSerializer``."""
    from benchmarks.collecting import collect_view

    count = BATCH if many else 1
    return posts(collect_view(many=many), events(BATCH) if many else events(1)[0], count=count)


def struct_posts() -> Collect:
    """Posts to the plain view by msgspec, an event at a time."""
    from benchmarks.collecting import struct_collect_view

    return posts(struct_collect_view(), events(1)[0], count=1)


def the_sink() -> Collect:
    """The sink alone: records that are ready."""
    from horizon_shards.sinks import Record

    made = [
        Record(PAGE_VIEW, {**event, "id": n, "event_id": str(uuid.uuid4())}, str(n), f"track-{n % 4}", "track")
        for n, event in enumerate(events(1000))
    ]

    def put(sink: Any) -> int:
        sink.put_many(made)
        return len(made)

    return put


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="for each way of collecting (10)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a way is too slow, or lost events")
    options = parser.parse_args()
    with databases(rows=0):
        rates = [
            measure("DRF, put_record for each", one_call_an_event(), seconds=options.seconds),
            measure("DRF, an event a post", drf_posts(many=False), seconds=options.seconds, least=LEAST_SINGLE),
            measure(f"DRF, {BATCH} events a post", drf_posts(many=True), seconds=options.seconds, least=LEAST_BATCH),
            measure("msgspec, an event a post", struct_posts(), seconds=options.seconds),
            measure("the sink alone", the_sink(), seconds=options.seconds, least=LEAST_SINK),
        ]
    if options.json:
        print(json.dumps({"machine": machine(), "rates": [rate.as_dict() for rate in rates]}, indent=2))
    else:
        headings = ("what", "", "events", "million an hour", "of processor time", "at least", "lost or doubled")
        print(table(headings, [rate.cells() for rate in rates]))
    if options.check and not all(rate.holds for rate in rates):
        sys.exit(1)


if __name__ == "__main__":
    main()
