"""A logical database whose transactions end in two phases, on servers of MariaDB, MySQL or PostgreSQL."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections, transaction

from horizon_shards import using_shard
from horizon_shards.backends.sharded.twophase.recovery import recover
from horizon_shards.directory import connection as directory_connection
from horizon_shards.topology import get_group
from tests.changed_databases import databases
from tests.servers.clusters import Cluster
from tests.servers.mariadb import Server
from tests.servers.mysql import MySQL
from tests.servers.postgresql import USER, PostgreSQL
from tests.servers.postgresql import server as postgresql
from tests.servers.processes import open_folder
from tests.waiting import wait_until

LOGICAL = "pay"
SHARDS = ("pay-1", "pay-2", "pay-3")


class MariaDBs:
    """Three databases on the primaries of two clusters, and the directory in a fourth."""

    engine = "horizon_shards.backends.aurora_mysql"
    name = "MariaDB"
    max_connections = 60

    def __init__(self, clusters: list[Cluster]) -> None:
        self.clusters = clusters
        places = [clusters[0], clusters[-1], clusters[-1], clusters[0]]
        self.places = dict(zip(("pay_1", "pay_2", "pay_3", "pay_directory"), places, strict=True))

    def create(self) -> None:
        for alias, cluster in self.places.items():
            cluster.primary.sql(f"DROP DATABASE IF EXISTS app_{alias}", f"CREATE DATABASE app_{alias}")

    def entry(self, alias: str) -> dict[str, Any]:
        port = self.places[alias].primary.port
        login = {"USER": "app", "PASSWORD": "app", "HOST": "127.0.0.1", "PORT": port}
        options = {"CLUSTER": {"DEADLINE_SECONDS": 3}, "CONN_MAX_AGE": None}
        return {"ENGINE": self.engine, "NAME": f"app_{alias}", **login, **options}

    def kill_one(self) -> None:
        """End a server at once, and start it again as the primary that it was."""
        server = random.choice(self.clusters).primary
        server.kill()
        server.start()
        server.wait()
        server.sql("SET GLOBAL read_only = 0")

    def mend(self) -> None:
        """After the recovery: make what was killed as it was."""

    def numbers(self, alias: str) -> set[int]:
        rows = self.places[alias].primary.sql(f"SELECT number FROM app_{alias}.written")
        return {row["number"] for row in rows}

    def prepared(self) -> int:
        return sum(len(cluster.primary.sql("XA RECOVER")) for cluster in self.clusters)


class MySQLs(MariaDBs):
    """The same on a MySQL server, which has no replica."""

    name = "MySQL"
    max_connections = 200

    def __init__(self, server: MySQL) -> None:
        super().__init__([Cluster(server.name, [server], server.name)])


class FailingOver(MariaDBs):
    """The same on clusters with replicas: a primary dies for good, and its replica is promoted."""

    name = "MariaDB, failovers"

    def __init__(self, clusters: list[Cluster]) -> None:
        super().__init__(clusters)
        self.died: tuple[Cluster, Server] | None = None

    def create(self) -> None:
        """Wait for the replicas: a connection that tries one first would find no such database."""
        super().create()
        for cluster in self.clusters:
            cluster.settle()

    def entry(self, alias: str) -> dict[str, Any]:
        instances = [f"127.0.0.1:{server.port}" for server in self.places[alias].servers]
        return {**super().entry(alias), "CLUSTER": {"DEADLINE_SECONDS": 10, "INSTANCES": instances}}

    def kill_one(self) -> None:
        self.fail_over(random.choice([cluster for cluster in self.clusters if cluster.replicas]))

    def fail_over(self, cluster: Cluster) -> None:
        """End the primary at once and promote the replica."""
        self.died = cluster, cluster.primary
        cluster.primary.kill()
        cluster.promote()

    def mend(self) -> None:
        if self.died is not None:
            cluster, server = self.died
            self.died = None
            cluster.rebuild(server)


class PostgreSQLs:
    """The same on two servers of PostgreSQL."""

    engine = "django.db.backends.postgresql"
    name = "PostgreSQL"
    max_connections = 60

    def __init__(self, servers: list[PostgreSQL]) -> None:
        self.servers = servers
        places = [servers[0], servers[-1], servers[-1], servers[0]]
        self.places = dict(zip(("pay_1", "pay_2", "pay_3", "pay_directory"), places, strict=True))

    def create(self) -> None:
        for alias, server in self.places.items():
            server.sql(f"DROP DATABASE IF EXISTS {alias} WITH (FORCE)")
            server.sql(f"CREATE DATABASE {alias}")

    def entry(self, alias: str) -> dict[str, Any]:
        port = self.places[alias].port
        options = {"OPTIONS": {"connect_timeout": 5}, "CONN_MAX_AGE": None}
        return {"ENGINE": self.engine, "NAME": alias, "USER": USER, "HOST": "127.0.0.1", "PORT": port, **options}

    def kill_one(self) -> None:
        server = random.choice(self.servers)
        server.kill()
        server.start()

    def mend(self) -> None:
        """Every server is back."""

    def numbers(self, alias: str) -> set[int]:
        return {number for (number,) in self.places[alias].sql("SELECT number FROM written", alias)}

    def prepared(self) -> int:
        return sum(len(server.sql("SELECT gid FROM pg_prepared_xacts")) for server in self.servers)


@contextmanager
def pay(servers: Any, entries: dict[str, dict[str, Any]] | None = None, **changes: Any) -> Iterator[None]:
    """The logical database ``pay`` on these servers, with empty tables; ``entries``: changes of the databases'."""
    from tests.fresh_directory import make_tables

    servers.create()
    aliases = list(servers.places)
    logical = {
        "ENGINE": "horizon_shards.backends.sharded",
        "SHARDS": {shard: {"PRIMARY": alias} for shard, alias in zip(SHARDS, aliases, strict=False)},
        "DIRECTORY": "pay_directory",
        "TRANSACTIONS": "two_phase",
        **changes,
    }
    physical = {alias: {**servers.entry(alias), **(entries or {}).get(alias, {})} for alias in aliases}
    with databases(**{LOGICAL: logical}, **physical):
        for alias in aliases[:3]:
            with connections[alias].cursor() as cursor:
                cursor.execute("CREATE TABLE written (number BIGINT PRIMARY KEY)")
        make_tables(str(logical["DIRECTORY"]))
        try:
            yield
        finally:
            close_all()


def close_all() -> None:
    """Close the connections of this thread; the directory has some of its own."""
    connections.close_all()
    directory_connection.close_all()


def write(number: int, shards: tuple[str, ...]) -> None:
    """One row on each of the shards, in one transaction."""
    with transaction.atomic(using=LOGICAL):
        for shard in shards:
            insert(number, shard)


def insert(number: int, shard: str) -> None:
    with using_shard(shard, database=LOGICAL), connections[LOGICAL].cursor() as cursor:
        cursor.execute("INSERT INTO written VALUES (%s)", [number])


def shards_of(number: int) -> tuple[str, ...]:
    """Two shards, or all three."""
    return (SHARDS, SHARDS[:2], SHARDS[1:], SHARDS[::-2])[number % 4]


def stored(servers: Any) -> list[set[int]]:
    return [servers.numbers(alias) for alias in ("pay_1", "pay_2", "pay_3")]


def decisions() -> list[str]:
    directory = get_group(LOGICAL).directory
    assert directory is not None
    return [decision.outcome for decision in directory.decisions.all()]


def gid() -> str:
    """The name of the transaction that is open."""
    found = connections[LOGICAL].transaction.gid  # type: ignore[attr-defined]
    assert found
    return str(found)


def recover_until_none_is_left(servers: Any) -> tuple[int, int]:
    """Committed and rolled back: a server may need a moment to notice that a client is gone."""
    counted = [0, 0]

    def none_is_left() -> bool:
        result = recover(get_group(LOGICAL), wait_seconds=0)
        counted[0] += result.committed
        counted[1] += result.rolled_back
        return not result.errors and not servers.prepared()

    wait_until(none_is_left, "nothing is prepared")
    return counted[0], counted[1]


@contextmanager
def two_postgresqls() -> Iterator[list[PostgreSQL]]:
    """New servers for the block."""
    with open_folder() as folder, postgresql(folder / "p1") as one, postgresql(folder / "p2") as other:
        yield [one, other]
