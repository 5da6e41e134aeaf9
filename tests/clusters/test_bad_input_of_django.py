"""Whatever is wrong with a shard on an engine of Django's own: one error that names the shard, database and cure."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import DatabaseError, NotSupportedError, connections
from django.db.backends.base.base import RAN_DB_VERSION_CHECK  # type: ignore[attr-defined]

from horizon_shards import on_each_shard
from horizon_shards.exceptions import ScatterTimeout
from tests.clusters.two_phase import LOGICAL, SHARDS, MariaDBs, PostgreSQLs, pay, two_postgresqls, write
from tests.servers.clusters import Clusters, started

NAMED = r"shard 'pay-2' \(database 'pay_2'\): "
#: Far more than what is waited for, far less than without an end.
PATIENCE_SECONDS = 40


class PlainMariaDBs(MariaDBs):
    """Django's own engine, which has no CLUSTER."""

    engine = "django.db.backends.mysql"

    def entry(self, alias: str) -> dict[str, Any]:
        entry = super().entry(alias)
        del entry["CLUSTER"]
        return {**entry, "OPTIONS": {"connect_timeout": 3, "read_timeout": 3}}

    def sql(self, statement: str) -> None:
        self.places["pay_2"].primary.sql("USE app_pay_2", statement)


class WrappedMariaDBs(PlainMariaDBs):
    """AWS's wrapper over MySQL's Connector/Python; without plugins, as these servers are not Aurora's."""

    engine = "aws_advanced_python_wrapper.django.backends.mysql_connector"

    def entry(self, alias: str) -> dict[str, Any]:
        if alias == "pay_directory":
            return {**super().entry(alias), "ENGINE": PlainMariaDBs.engine}
        return {**super().entry(alias), "OPTIONS": {"connect_timeout": 3, "plugins": "", "cluster_id": alias}}


class PlainPostgreSQLs(PostgreSQLs):
    def sql(self, statement: str) -> None:
        self.places["pay_2"].sql(statement, "pay_2")


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clusters]:
    with started(tmp_path_factory.mktemp("bad") / "clusters", 1, replicas=0) as clusters:
        yield clusters


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PlainPostgreSQLs]:
    with two_postgresqls() as servers:
        yield PlainPostgreSQLs(servers)


@pytest.fixture(params=["mysql", "wrapper", "postgresql"])
def servers(request: pytest.FixtureRequest) -> Any:
    """Three databases, of one engine."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgresql")
    if request.param == "wrapper":
        pytest.importorskip("aws_advanced_python_wrapper", reason="aws-advanced-python-wrapper is not installed")
    kind = WrappedMariaDBs if request.param == "wrapper" else PlainMariaDBs
    return kind(list(request.getfixturevalue("mariadb").all.values()))


@pytest.fixture
def second(servers: Any) -> Iterator[dict[str, Any]]:
    """The settings of the second of three shards, for a test to spoil; the connections to it are closed."""
    with pay(servers, TRANSACTIONS="best_effort"):
        assert ask() == {"pay-1": [], "pay-2": [], "pay-3": []}
        connections["pay_2"].close()
        RAN_DB_VERSION_CHECK.discard("pay_2")
        yield connections.settings["pay_2"]


def ask() -> Any:
    return on_each_shard("SELECT number FROM written", using=LOGICAL)


def change() -> Any:
    return on_each_shard("UPDATE written SET number = 1", using=LOGICAL)


def refused(do: Callable[[], Any], cure: str) -> str:
    with pytest.raises(Exception, match=f"{NAMED}.*: {re.escape(cure)}") as raised:
        do()
    assert isinstance(raised.value, DatabaseError) or type(raised.value).__name__ == "InterfaceError"
    return str(raised.value)


@pytest.mark.parametrize(
    ("spoilt", "cure"),
    [
        ({"USER": "stranger", "PASSWORD": "wrong"}, "check USER and PASSWORD"),
        ({"PORT": 1}, "check HOST and PORT and whether the server is up"),
        ({"HOST": "nowhere.invalid"}, "check HOST and PORT and whether the server is up"),
        ({"NAME": "app_nowhere"}, "create the database, or correct NAME"),
    ],
)
def test_a_database_that_cannot_be_connected_to(second: dict[str, Any], spoilt: dict[str, Any], cure: str) -> None:
    second |= spoilt
    refused(ask, cure)


@pytest.mark.parametrize("password", ["wrong", ""])
def test_a_wrong_password_of_postgresql(postgresql: PlainPostgreSQLs, password: str) -> None:
    server = postgresql.places["pay_2"]
    rules = server.folder / "pg_hba.conf"
    rules.write_text(f"host all careful 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
    server.sql("SELECT pg_reload_conf()")
    server.sql("DROP ROLE IF EXISTS careful")
    server.sql("CREATE ROLE careful LOGIN PASSWORD 'right'")
    with pay(postgresql, TRANSACTIONS="best_effort"):
        connections["pay_2"].close()
        connections.settings["pay_2"] |= {"USER": "careful", "PASSWORD": password}
        refused(ask, "check USER and PASSWORD")


def test_a_server_that_takes_connections_and_says_nothing(second: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        second["PORT"] = silent.getsockname()[1]
        began = time.monotonic()
        with pytest.raises(Exception, match=NAMED):
            ask()
        assert time.monotonic() - began < PATIENCE_SECONDS


def test_a_table_and_a_column_that_one_shard_misses(servers: Any, second: dict[str, Any]) -> None:
    cure = "the database has not run all migrations that the code needs: manage.py showmigrations, then migrate."
    servers.sql("ALTER TABLE written RENAME COLUMN number TO other")
    refused(ask, cure)
    servers.sql("DROP TABLE written")
    refused(ask, cure)


def test_a_user_that_may_only_read(servers: Any, second: dict[str, Any]) -> None:
    if servers.name == "PostgreSQL":
        servers.sql("DROP ROLE IF EXISTS onlooker")
        servers.sql("CREATE ROLE onlooker LOGIN")
        servers.sql("GRANT SELECT ON written TO onlooker")
    else:
        servers.sql("CREATE OR REPLACE USER onlooker@'127.0.0.1' IDENTIFIED BY 'looks'")
        servers.sql("GRANT SELECT ON app_pay_2.* TO onlooker@'127.0.0.1'")
    second |= {"USER": "onlooker", "PASSWORD": "looks"}
    ask()
    refused(change, "USER was not granted what it needs")


def test_a_server_that_takes_no_writes(servers: Any, second: dict[str, Any]) -> None:
    read_only = {
        "PostgreSQL": {"options": "-c default_transaction_read_only=on"},
        "MariaDB": {"init_command": "SET SESSION TRANSACTION READ ONLY"},
    }
    second["OPTIONS"] = {**second["OPTIONS"], **read_only[servers.name]}
    ask()
    refused(change, "the server takes no writes (any more): name the primary in HOST")


def test_a_server_of_a_version_that_django_refuses(
    servers: Any, second: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(servers, WrappedMariaDBs):
        pytest.skip("the engine of Connector/Python does not look at the version")
    monkeypatch.setattr(connections["pay_2"].features, "minimum_database_version", (99, 1))
    with pytest.raises(NotSupportedError, match=f"{NAMED}.* 99.1 or later is required.*: upgrade the server"):
        ask()


def test_all_are_asked_at_once_and_a_deadline_ends_it(servers: Any) -> None:
    sleep = "SELECT pg_sleep(600)" if servers.name == "PostgreSQL" else "SELECT SLEEP(600)"
    with pay(servers, TRANSACTIONS="best_effort", SCATTER_TIMEOUT_SECONDS=2):
        write(1, SHARDS)
        write(2, SHARDS[:2])
        assert ask() == {"pay-1": [(1,), (2,)], "pay-2": [(1,), (2,)], "pay-3": [(1,)]}
        began = time.monotonic()
        with pytest.raises(ScatterTimeout) as raised:
            on_each_shard(sleep, using=LOGICAL)
        assert raised.value.shards == SHARDS
        assert time.monotonic() - began < PATIENCE_SECONDS
        assert len(ask()) == 3
