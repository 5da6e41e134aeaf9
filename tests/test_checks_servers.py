"""The checks of waiting without end and of AWS's wrapper speak for their faults, and for nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import CheckMessage

from horizon_shards.checks.settings import check_settings
from tests.changed_databases import databases
from tests.test_checks_settings import found, group, only

POSTGRESQL = "django.db.backends.postgresql"
MYSQL = "django.db.backends.mysql"
AURORA = "horizon_shards.backends.aurora_mysql"
WRAPPER = "aws_advanced_python_wrapper.django.backends.mysql_connector"


def entry(engine: str, host: str, **options: Any) -> dict[str, Any]:
    return {"ENGINE": engine, "NAME": "log", "HOST": host, "OPTIONS": options}


def checked(*entries: dict[str, Any], **changes: Any) -> list[CheckMessage]:
    """The messages for ``log`` with these databases as its shards."""
    named = {f"shard_{number}": each for number, each in enumerate(entries, start=1)}
    shards = {alias.replace("_", "-"): {"PRIMARY": alias} for alias in named}
    with databases(log=group(SHARDS=shards, **changes), **named):
        return check_settings()


@pytest.mark.parametrize("engine", [POSTGRESQL, MYSQL])
def test_a_server_that_would_be_waited_for_without_end(engine: str) -> None:
    message = only(checked(entry(engine, "db-1.internal"), entry(engine, "db-2.internal", connect_timeout=5)))
    assert found(message) == ["W123"]
    assert "'shard_1' of 'log'" in message.msg
    assert "shard_2" not in message.msg
    assert "'connect_timeout': 5" in str(message.hint)


def test_a_replica_and_the_directory_are_waited_for_as_well() -> None:
    remote = entry(POSTGRESQL, "db-1.internal")
    fine = entry(POSTGRESQL, "db-2.internal", connect_timeout=5)
    shards = {"log-1": {"PRIMARY": "one", "REPLICAS": ["two"]}}
    with databases(log=group(SHARDS=shards, DIRECTORY="three"), one=fine, two=remote, three=remote):
        message = only(check_settings())
    assert message.msg.startswith("'two', 'three' of 'log' would wait")


@pytest.mark.parametrize(
    "fine",
    [
        entry(POSTGRESQL, "db.internal", connect_timeout=5),
        entry(POSTGRESQL, "db.internal", pool=True),
        entry(POSTGRESQL, "db.internal", service="log"),
        entry(POSTGRESQL, "/run/postgresql"),
        entry(POSTGRESQL, ""),
        entry(MYSQL, "localhost"),
        entry(MYSQL, "db.internal", read_default_file="/etc/my.cnf"),
        entry(AURORA, "db.internal"),
        entry(WRAPPER, "db.internal"),
    ],
)
def test_what_has_an_end_or_no_network_between(fine: dict[str, Any]) -> None:
    assert checked(fine) == []


def test_the_environment_may_say_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "5")
    assert checked(entry(POSTGRESQL, "db.internal")) == []
    assert found(*checked(entry(MYSQL, "db.internal"))) == ["W123"]


@pytest.mark.parametrize("options", [{}, {"cluster_id": "same"}])
def test_clusters_that_the_wrapper_cannot_tell(options: dict[str, str]) -> None:
    message = only(checked(entry(WRAPPER, "one.internal", **options), entry(WRAPPER, "two.internal", **options)))
    assert found(message) == ["W124"]
    assert "'shard_1', 'shard_2' are on different clusters" in message.msg
    assert repr(options.get("cluster_id", "1")) in message.msg


def test_clusters_of_different_groups_are_told_too() -> None:
    other = group(SHARDS={"other-1": {"PRIMARY": "elsewhere"}})
    with databases(other=other, elsewhere=entry(WRAPPER, "one.internal")):
        assert found(*checked(entry(WRAPPER, "two.internal"))) == ["W124"]


def test_clusters_with_an_id_of_their_own_and_databases_of_one_cluster() -> None:
    assert checked(entry(WRAPPER, "one.internal", cluster_id="one"), entry(WRAPPER, "two.internal")) == []
    assert checked(entry(WRAPPER, "one.internal"), entry(WRAPPER, "one.internal")) == []
