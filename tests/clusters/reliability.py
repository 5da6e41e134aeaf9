"""Counts what failovers cost: ``python -m tests.servers run --clusters 3 python -m tests.clusters.reliability``."""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import django
from django.db import Error, connections, transaction

from tests.clusters.kills import section_of
from tests.servers.clusters import FOLDER_VARIABLE, Cluster, Clusters
from tests.servers.endpoint import Endpoint
from tests.servers.mariadb import APP, DATABASE, Server

OURS, DJANGOS = "horizon_shards.backends.aurora_mysql", "django.db.backends.mysql"
THREADS = 3
#: So long does the endpoint lead to the old server after the new one is open.
ENDPOINT_LAG_SECONDS = 1.0
#: Whoever has not written again after so long is counted as stuck.
STUCK_SECONDS = 8.0


@dataclass
class Writer:
    """A thread that writes one row a transaction, as an application with connections that are kept."""

    alias: str
    first: int
    acknowledged: set[int] = field(default_factory=set)
    times: list[float] = field(default_factory=list)
    errors: int = 0
    unknown: int = 0

    def write(self, stop: threading.Event) -> None:
        from horizon_shards.exceptions import CommitUnknown

        number = self.first
        while not stop.is_set():
            number += 1
            try:
                with transaction.atomic(self.alias), connections[self.alias].cursor() as cursor:
                    cursor.execute("INSERT INTO written VALUES (%s)", [number])
            except Error as error:
                self.errors += 1
                self.unknown += isinstance(error, CommitUnknown)
                time.sleep(0.01)
            else:
                self.times.append(time.monotonic())
                self.acknowledged.add(number)
        connections.close_all()


@dataclass
class Counts:
    """What a number of failovers of one kind has cost with one backend."""

    engine: str
    kind: str
    failovers: int = 0
    acknowledged: int = 0
    lost: int = 0
    errors: int = 0
    unknown: int = 0
    stuck: int = 0
    left_behind: int = 0
    longest_gap: float = 0.0
    longest_promotion: float = 0.0
    over_limit: int = 0
    longest_gap_of_others: float = 0.0


class Run:
    """Writers on all clusters, and failovers of one after the other."""

    def __init__(self, clusters: list[Cluster], engine: str, kind: str, patience_seconds: float) -> None:
        self.clusters = clusters
        self.patience_seconds = patience_seconds
        self.counts = Counts(engine, kind)
        self.endpoints = {cluster.name: Endpoint(cluster.primary.port) for cluster in clusters}
        self.writers = {
            cluster.name: [Writer(cluster.name, 1_000_000 * thread) for thread in range(THREADS)]
            for cluster in clusters
        }

    def entries(self) -> dict[str, dict[str, Any]]:
        return {cluster.name: self._entry(cluster) for cluster in self.clusters}

    def _entry(self, cluster: Cluster) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "ENGINE": self.counts.engine,
            "NAME": DATABASE,
            "USER": APP["user"],
            "PASSWORD": APP["password"],
            "HOST": "127.0.0.1",
            "PORT": self.endpoints[cluster.name].port,
            "CONN_MAX_AGE": None,
        }
        if self.counts.engine == OURS:
            entry["CLUSTER"] = {"INSTANCES": [f"127.0.0.1:{server.port}" for server in cluster.servers]}
        return entry

    @contextmanager
    def writing(self) -> Iterator[None]:
        """All writers write."""
        stop = threading.Event()
        threads = [threading.Thread(target=w.write, args=(stop,)) for each in self.writers.values() for w in each]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def fail_over(self, cluster: Cluster) -> None:
        """One failover of the cluster, and the wait until its writers write again."""
        self.wait(cluster)
        old, began = cluster.primary, time.monotonic()
        others = [each for name, each in self.writers.items() if name != cluster.name]
        if self.counts.kind == "kill":
            old.kill()
        else:
            cluster.demote()
        new = cluster.promote()
        promotion = time.monotonic() - began
        if self.counts.kind != "kill":
            cluster.follow(old)
        time.sleep(ENDPOINT_LAG_SECONDS)
        self.endpoints[cluster.name].target = new.port
        stuck = self.wait(cluster)
        self.note(cluster, promotion, began, stuck, others)
        # A demoted server is counted before it is started anew, a dead one when it is back.
        if self.counts.kind != "kill":
            self.counts.left_behind += self.left_behind(old)
        cluster.rejoin(old)
        if self.counts.kind == "kill":
            self.counts.left_behind += self.left_behind(old)

    def wait(self, cluster: Cluster) -> int:
        """Wait until each writer of the cluster has written; how many have not in time."""
        since, give_up_at = time.monotonic(), time.monotonic() + self.patience_seconds
        late = list(self.writers[cluster.name])
        while late and time.monotonic() < give_up_at:
            late = [writer for writer in late if not writer.times or writer.times[-1] < since]
            time.sleep(0.005)
        return len(late)

    def note(self, cluster: Cluster, promotion: float, began: float, stuck: int, others: list[list[Writer]]) -> None:
        counts, now = self.counts, time.monotonic()
        gap = longest_gap(self.writers[cluster.name], began, now)
        counts.failovers += 1
        counts.stuck += stuck
        counts.longest_gap = max(counts.longest_gap, gap)
        counts.longest_promotion = max(counts.longest_promotion, promotion)
        counts.over_limit += gap > 2 * promotion + 1
        for each in others:
            counts.longest_gap_of_others = max(counts.longest_gap_of_others, longest_gap(each, began, now))

    def left_behind(self, old: Server) -> int:
        """The application's connections to what is no primary any more; one just closed may be there for a moment."""
        give_up_at = time.monotonic() + self.patience_seconds
        while True:
            (row,) = old.sql("SELECT COUNT(*) AS n FROM information_schema.processlist WHERE user = 'app'")
            if not row["n"] or time.monotonic() > give_up_at:
                return int(row["n"])
            time.sleep(0.05)

    def sum_up(self) -> Counts:
        for cluster in self.clusters:
            stored = {row["number"] for row in cluster.primary.sql(f"SELECT number FROM {DATABASE}.written")}
            for writer in self.writers[cluster.name]:
                self.counts.acknowledged += len(writer.acknowledged)
                self.counts.lost += len(writer.acknowledged - stored)
                self.counts.errors += writer.errors
                self.counts.unknown += writer.unknown
        return self.counts


def longest_gap(writers: list[Writer], began: float, ended: float) -> float:
    """The longest time without an acknowledged write of any of them."""
    times = sorted(t for writer in writers for t in list(writer.times) if t >= began)
    edges = [began, *times, ended]
    return max(later - earlier for earlier, later in pairwise(edges))


def measure(
    clusters: list[Cluster], engine: str, kind: str, failovers: int, *, patience_seconds: float = STUCK_SECONDS
) -> Counts:
    """Writers on all clusters and failovers in turn, counted."""
    from tests.changed_databases import databases

    for cluster in clusters:
        cluster.primary.sql(
            f"CREATE OR REPLACE TABLE {DATABASE}.written (number BIGINT PRIMARY KEY)",
        )
        cluster.settle()
    run = Run(clusters, engine, kind, patience_seconds)
    with ExitStack() as stack:
        stack.enter_context(databases(**run.entries()))
        for endpoint in run.endpoints.values():
            stack.callback(endpoint.close)
        with run.writing():
            for number in range(failovers):
                run.fail_over(clusters[number % len(clusters)])
        return run.sum_up()


ROWS: list[tuple[str, Callable[[Counts], object]]] = [
    ("failovers", lambda c: c.failovers),
    ("acknowledged transactions", lambda c: f"{c.acknowledged:,}"),
    ("of them lost", lambda c: c.lost),
    ("errors that the application saw", lambda c: f"{c.errors:,}"),
    ("of them `CommitUnknown`", lambda c: c.unknown if c.engine == OURS else "-"),
    (f"writers that had not written again {STUCK_SECONDS:g} s later", lambda c: c.stuck),
    ("connections left on the old server, now a replica", lambda c: c.left_behind),
    ("longest promotion, s", lambda c: f"{c.longest_promotion:.2f}"),
    ("longest time without a write, s", lambda c: f"{c.longest_gap:.2f}"),
    ("failovers with a gap over twice the promotion + 1 s", lambda c: c.over_limit),
    (
        "longest time without a write on the other clusters, s",
        lambda c: f"{c.longest_gap_of_others:.2f}" if c.longest_gap_of_others else "-",
    ),
]


def page(results: list[Counts], clusters: int) -> str:
    """The page, in Markdown."""
    heads = [f"{'aurora_mysql' if c.engine == OURS else 'plain Django'}, {c.kind}" for c in results]
    command = f"python -m tests.servers run --clusters {clusters} python -m tests.clusters.reliability"
    failovers = f"--failovers {max(counts.failovers for counts in results)}"
    lines = [
        "# Reliability",
        "",
        "Failovers of MariaDB clusters (a primary and a replica, semi-synchronous) under write load, counted by",
        "",
        f"    {command} {failovers} --page docs/reliability.md",
        "",
        f"{THREADS} threads a cluster write a row in each transaction, on connections that are kept. *kill*: the",
        "primary is ended by `kill -9`. *demote*: it is made read-only, and answers on as a replica. In both the",
        f"replica is promoted at once, and the endpoint leads to the new primary {ENDPOINT_LAG_SECONDS:g} s later.",
        "`aurora_mysql` knows both instances, as it would of Aurora; plain Django has the endpoint. The promotion is",
        "timed from the kill until the new primary is open. A COMMIT without an answer counts as an error, not as",
        "acknowledged. The other clusters are looked at one by one; what plain Django does not take up again after one",
        "failover is there at the next.",
        "",
        "| | " + " | ".join(heads) + " |",
        "|---|" + "---|" * len(results),
        *(f"| {name} | " + " | ".join(str(value(counts)) for counts in results) + " |" for name, value in ROWS),
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--failovers", type=int, default=100, help="by kill -9 with aurora_mysql; a few of each other")
    parser.add_argument("--page", type=Path)
    arguments = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    clusters = Clusters(Path(os.environ[FOLDER_VARIABLE]))
    few = min(arguments.failovers, 3 * len(clusters.all))
    plan = [
        (OURS, "kill", arguments.failovers),
        (OURS, "demote", few),
        (DJANGOS, "kill", few),
        (DJANGOS, "demote", few),
    ]
    results = [measure(list(clusters.all.values()), *each) for each in plan]
    clusters.save()
    text = page(results, len(clusters.all))
    sys.stdout.write(text)
    if arguments.page:
        # What another command has counted stays.
        other = section_of(arguments.page)
        arguments.page.write_text(f"{text}\n{other}" if other else text, encoding="utf-8")
    return int(any(counts.lost or (counts.engine == OURS and counts.stuck) for counts in results))


if __name__ == "__main__":
    sys.exit(main())
