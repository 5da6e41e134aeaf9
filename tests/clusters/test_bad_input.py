"""Whatever is wrong with one shard's database: one error that names the shard, its database and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connections

from horizon_shards.backends.aurora_mysql import connecting, topology
from horizon_shards.context import own_writes
from horizon_shards.directory import connection as directory
from horizon_shards.topology import get_group
from tests.changed_databases import databases
from tests.clusters.test_replicas import entry, track
from tests.fresh_directory import make_tables
from tests.servers.clusters import Cluster
from tests.servers.mariadb import ADMIN
from tests.shop.models import Tag

NAMES = ("app", "app_second")
NAMED = r"shard 's-app_second' \(database 'app_second'\): "


@pytest.fixture
def second(cluster: Cluster, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """The settings of the second of two shards, for a test to spoil; both have the table."""
    cluster.primary.sql(*(f"CREATE OR REPLACE DATABASE {name}" for name in NAMES))
    entries = {name: entry(cluster.primary.port, NAME=name, CLUSTER={"DEADLINE_SECONDS": 3}) for name in NAMES}
    logical = track() | {"SHARDS": {f"s-{name}": {"PRIMARY": name} for name in NAMES}, "SCATTER": "allow"}
    numbers = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "numbers"), "TEST": {}}
    connecting.forget_missing()
    topology.forget_all()
    with databases(track=logical, numbers=numbers, **entries), own_writes({}):
        make_tables("numbers")
        for name in NAMES:
            with connections[name].schema_editor() as editor:
                editor.create_model(Tag)
            connections[name].close()
        yield connections.settings["app_second"]
        directory.close_all()
        for alias in (*NAMES, "track", "numbers"):
            connections[alias].close()
        # A replica that is ended in the middle of a DROP TABLE writes an end of its own to its log, and diverges.
        cluster.settle()


def site() -> int:
    """A key of the second shard."""
    return next(n for n in range(1, 1000) if get_group("track").mapping.place(n) == "s-app_second")


def get() -> None:
    list(Tag.objects.filter(site=site()))


def create() -> None:
    Tag.objects.create(site_id=site(), name="x")


def change() -> None:
    Tag.objects.filter(site=site()).update(name="y")


def scatter() -> None:
    Tag.objects.count()


def change_all() -> None:
    Tag.objects.update(name="y")


ALL = [get, create, change, scatter, change_all]
WRITES = [create, change, change_all]


def refused(do: Callable[[], None], message: str) -> None:
    with pytest.raises(DatabaseError, match=NAMED + message):
        do()


@pytest.mark.parametrize("do", ALL)
def test_a_table_that_one_shard_misses(cluster: Cluster, second: dict[str, Any], do: Callable[[], None]) -> None:
    cluster.primary.sql("DROP TABLE app_second.shop_tag")
    refused(do, r"Table .* doesn't exist: database 'app_second' has not run all migrations.*migrate")


@pytest.mark.parametrize("do", [get, create, change])
def test_a_column_that_one_shard_misses(cluster: Cluster, second: dict[str, Any], do: Callable[[], None]) -> None:
    cluster.primary.sql("ALTER TABLE app_second.shop_tag DROP COLUMN name")
    refused(do, r"Unknown column .*: database 'app_second' has not run all migrations")


@pytest.mark.parametrize("do", WRITES)
def test_a_user_that_may_only_read(cluster: Cluster, second: dict[str, Any], do: Callable[[], None]) -> None:
    cluster.primary.sql(
        "CREATE OR REPLACE USER onlooker@'127.0.0.1' IDENTIFIED BY 'looks'",
        "GRANT SELECT ON app_second.* TO onlooker@'127.0.0.1'",
    )
    second |= {"USER": "onlooker", "PASSWORD": "looks"}
    get()
    refused(do, r"(INSERT|UPDATE) command denied .*: database 'app_second' was not granted what its USER needs")


@pytest.mark.parametrize("do", ALL)
@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        ({"PASSWORD": "wrong"}, "database 'app_second' at .* Access denied .* check USER and PASSWORD"),
        ({"PORT": 1}, r"database 'app_second': no primary found in .*127\.0\.0\.1:1: .* Check HOST, PORT"),
    ],
)
def test_a_database_that_cannot_be_connected_to(
    second: dict[str, Any], do: Callable[[], None], spoilt: dict[str, Any], message: str
) -> None:
    second |= spoilt
    refused(do, message)


def test_a_server_that_has_lost_its_role_is_named(cluster: Cluster, second: dict[str, Any]) -> None:
    create()
    cluster.primary.sql("SET GLOBAL read_only = 1")
    try:
        refused(change, ".*read-only option .*: database 'app_second' is connected to a server that takes no writes")
    finally:
        cluster.primary.sql("SET GLOBAL read_only = 0")
    change()


def test_a_row_that_is_locked_for_too_long(cluster: Cluster, second: dict[str, Any]) -> None:
    create()
    second |= {"OPTIONS": {"init_command": "SET SESSION innodb_lock_wait_timeout = 1"}}
    connections["app_second"].close()
    with closing(cluster.primary.connect(**ADMIN)) as holder:
        holder.query("START TRANSACTION")
        holder.query("UPDATE app_second.shop_tag SET name = 'held'")
        for do in (change, change_all):
            refused(do, "Lock wait timeout exceeded")
    change()
