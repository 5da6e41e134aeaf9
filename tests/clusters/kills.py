"""Counts what kill -9 does to transactions in two phases: ``python -m tests.clusters.kills --kills 1000``.

A child process writes one row to each of two or three shards in a transaction; it, or a server, is killed at a random
moment; ``shards recover`` runs; then each transaction has to be on all of its shards or on none.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import django
from django.db import Error

from horizon_shards.backends.sharded.twophase.recovery import recover
from horizon_shards.topology import get_group
from tests.clusters.two_phase import (
    LOGICAL,
    SHARDS,
    FailingOver,
    MariaDBs,
    PostgreSQLs,
    close_all,
    pay,
    shards_of,
    two_postgresqls,
    write,
)
from tests.servers.clusters import started
from tests.servers.processes import open_folder
from tests.waiting import PATIENCE_SECONDS

#: After the first transaction of a child, at most so much later comes the kill.
LONGEST_RUN_SECONDS = 0.1
#: Every so many kills a server dies first, under the child.
SERVER_EVERY = 10
DONE, FAILED = 1, 2
HEADING = "## Transactions in two phases"


@dataclass
class Counts:
    """What a number of kills has done."""

    engine: str
    kills_of_clients: int = 0
    kills_of_servers: int = 0
    acknowledged: int = 0
    failed: int = 0
    unknown: int = 0
    prepared: int = 0
    committed: int = 0
    rolled_back: int = 0
    lost: int = 0
    torn: int = 0
    left: int = 0
    expected: dict[int, tuple[str, ...]] = field(default_factory=dict)
    done: set[int] = field(default_factory=set)


class Child:
    """A process that writes transaction after transaction, and says so by a pipe."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self._work(writer)
        os.close(writer)

    def _work(self, writer: int) -> None:
        number = self.first
        try:
            while True:
                number += 1
                os.write(writer, struct.pack("qq", number, 0))
                try:
                    write(number, shards_of(number))
                except Error:
                    os.write(writer, struct.pack("qq", number, FAILED))
                    time.sleep(0.005)
                else:
                    os.write(writer, struct.pack("qq", number, DONE))
        finally:
            os._exit(1)

    def wait_for_the_first(self) -> bytes:
        """Wait until a transaction has ended: the connections are made."""
        return b"".join(os.read(self.reader, 16) for _ in range(2))

    def kill(self) -> bytes:
        """``kill -9``; what it had said."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        said = bytearray()
        while chunk := os.read(self.reader, 65_536):
            said += chunk
        os.close(self.reader)
        return bytes(said)


def note(counts: Counts, said: bytes) -> None:
    """What a child had begun, and which of it was acknowledged."""
    ended = set()
    begun = set()
    for number, what in struct.iter_unpack("qq", said):
        begun.add(number)
        if what:
            ended.add(number)
            counts.acknowledged += what == DONE
            counts.failed += what == FAILED
        if what == DONE:
            counts.done.add(number)
    counts.expected |= {number: shards_of(number) for number in begun}
    counts.unknown += len(begun - ended)


def measure(servers: Any, *, kills: int, server_every: int) -> Counts:
    """Kill a child ``kills`` times; every ``server_every``-th time a server first, under it."""
    counts = Counts(servers.name)
    with pay(servers):
        for round_ in range(kills):
            close_all()  # a child must not have its parent's connections
            child = Child(1_000_000 * (round_ + 1))
            said = child.wait_for_the_first()
            time.sleep(random.uniform(0, LONGEST_RUN_SECONDS))
            try:
                if round_ % server_every == server_every - 1:
                    servers.kill_one()
                    counts.kills_of_servers += 1
                    time.sleep(random.uniform(0, LONGEST_RUN_SECONDS))
            finally:
                said += child.kill()
            counts.kills_of_clients += 1
            note(counts, said)
            recover_all(servers, counts)
            servers.mend()
        judge(servers, counts)
    return counts


def recover_all(servers: Any, counts: Counts) -> None:
    """Run what ``shards recover`` runs, until the servers have noticed that the client is gone."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    counts.prepared += servers.prepared()
    while True:
        result = recover(get_group(LOGICAL), wait_seconds=0.01)
        counts.committed += result.committed
        counts.rolled_back += result.rolled_back
        if not servers.prepared() or time.monotonic() > give_up_at:
            return


def judge(servers: Any, counts: Counts) -> None:
    """Each transaction on all its shards or on none; each acknowledged one is there."""
    stored = {shard: servers.numbers(alias) for shard, alias in zip(SHARDS, servers.places, strict=False)}
    for number, shards in counts.expected.items():
        found = {shard for shard in SHARDS if number in stored[shard]}
        counts.torn += found not in (set(), set(shards))
        counts.lost += number in counts.done and not found
    counts.left = servers.prepared()


def each_kind() -> Iterator[Any]:
    """Servers of each kind, started when they are asked for; those of the kind before are ended."""
    for kind, replicas in ((MariaDBs, 0), (FailingOver, 1)):
        with open_folder() as folder, started(folder / "clusters", 2, replicas=replicas) as clusters:
            yield kind(list(clusters.all.values()))
    with two_postgresqls() as servers:
        yield PostgreSQLs(servers)


ROWS: list[tuple[str, Callable[[Counts], object]]] = [
    ("kills of a client", lambda c: f"{c.kills_of_clients:,}"),
    ("kills of a server", lambda c: f"{c.kills_of_servers:,}"),
    ("transactions begun", lambda c: f"{len(c.expected):,}"),
    ("acknowledged", lambda c: f"{c.acknowledged:,}"),
    ("ended with an error", lambda c: f"{c.failed:,}"),
    ("under way when the client was killed", lambda c: f"{c.unknown:,}"),
    ("committed by `shards recover`", lambda c: f"{c.committed:,}"),
    ("rolled back by `shards recover`", lambda c: f"{c.rolled_back:,}"),
    ("acknowledged and lost", lambda c: c.lost),
    ("on some of their shards and not on others", lambda c: c.torn),
    ("still prepared", lambda c: c.left),
]


def section(results: list[Counts]) -> str:
    """The section of the page, in Markdown."""
    command = f"python -m tests.clusters.kills --kills {max(counts.kills_of_clients for counts in results)}"
    lines = [
        HEADING,
        "",
        "A client writes a row to each of two or three databases on two servers, in one transaction, and again. It is",
        f"ended by `kill -9` at a random moment; every {SERVER_EVERY}th time a server is, before. It starts again, or",
        "(*failovers*, of semi-synchronous clusters) its replica is promoted; `shards recover` runs. The directory is",
        "on one of the servers. Counted by",
        "",
        f"    {command} --page docs/reliability.md",
        "",
        "| | " + " | ".join(counts.engine for counts in results) + " |",
        "|---|" + "---|" * len(results),
        *(f"| {name} | " + " | ".join(str(value(counts)) for counts in results) + " |" for name, value in ROWS),
        "",
    ]
    return "\n".join(lines)


def section_of(page: Path) -> str:
    """The section as a page has it, or nothing."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    found = re.search(rf"^{HEADING}$.*", text, re.MULTILINE | re.DOTALL)
    return found[0] if found else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1_000, help="on each engine")
    parser.add_argument("--page", type=Path)
    arguments = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    with closing(each_kind()) as kinds:
        results = [measure(servers, kills=arguments.kills, server_every=SERVER_EVERY) for servers in kinds]
    text = section(results)
    sys.stdout.write(text)
    if arguments.page:
        before = arguments.page.read_text(encoding="utf-8").removesuffix(section_of(arguments.page)).rstrip()
        arguments.page.write_text(f"{before}\n\n{text}", encoding="utf-8")
    return int(any(counts.lost or counts.torn or counts.left for counts in results))


if __name__ == "__main__":
    sys.exit(main())
