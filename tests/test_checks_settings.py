"""Each check of the settings speaks for its fault, and is silent for good settings."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from django.core.checks import CheckMessage
from django.db import connections, router
from django.test import override_settings

from horizon_shards.checks.mapping import check_mappings
from horizon_shards.checks.settings import check_settings
from tests.changed_databases import databases
from tests.settings import sqlite

MYSQL = {**sqlite("mysqlish"), "ENGINE": "tests.mysql_named"}


def group(**changes: Any) -> dict[str, Any]:
    """The settings of ``log`` (two shards, no directory) with changes."""
    return {**copy.deepcopy(connections.settings["log"]), **changes}


def found(*messages: CheckMessage) -> list[str]:
    return [str(message.id).removeprefix("horizon_shards.") for message in messages]


def only(messages: list[CheckMessage]) -> CheckMessage:
    assert len(messages) == 1, messages
    assert messages[0].hint
    return messages[0]


def test_good_settings_say_nothing() -> None:
    assert check_settings() == []
    assert check_mappings() == []


@pytest.mark.parametrize(
    ("change", "key", "near"),
    [
        ({"SCATER": "allow"}, "SCATER", "SCATTER"),
        ({"MAPPING": {"BACKND": "x"}}, "BACKND", "BACKEND"),
        ({"SHARDS": {"log-1": {"PRIMARI": "log_1"}}}, "PRIMARI", "PRIMARY"),
        ({"shards": {}}, "shards", "SHARDS"),
    ],
)
def test_an_unknown_setting_is_named_with_the_nearest_right_one(change: dict[str, Any], key: str, near: str) -> None:
    with databases(log=group(**change)):
        message = only(check_settings())
    assert found(message) == ["E101"]
    assert repr(key) in message.msg
    assert repr(near) in str(message.hint)


def test_all_unknown_settings_are_told_at_once() -> None:
    with databases(log=group(SCATER="allow", MAX_ROW=1)):
        assert found(*check_settings()) == ["E101", "E101"]


@pytest.mark.parametrize(
    ("change", "named", "hint"),
    [
        ({"SHARDS": {"a": {"PRIMARY": "log_11"}}}, "log_11", "log_1"),
        ({"SHARDS": {"a": {"PRIMARY": "log_1", "REPLICAS": ["nowhere"]}}}, "nowhere", "DATABASES"),
        ({"DIRECTORY": "directry"}, "directry", "directory"),
        ({"DIRECTORY": "crm"}, "crm", "stores rows itself"),
    ],
)
def test_an_alias_that_does_not_exist_is_named(change: dict[str, Any], named: str, hint: str) -> None:
    with databases(log=group(**change)):
        message = only(check_settings())
    assert found(message) == ["E102"]
    assert repr(named) in message.msg
    assert hint in str(message.hint)


def test_a_database_used_twice_in_one_group() -> None:
    with databases(log=group(SHARDS={"a": {"PRIMARY": "log_1"}, "b": {"PRIMARY": "log_1"}})):
        message = only(check_settings())
    assert found(message) == ["E103"]
    assert "shard 'a' of 'log'" in message.msg
    assert "shard 'b' of 'log'" in message.msg


def test_a_database_used_by_two_groups() -> None:
    with databases(log=group(SHARDS={"a": {"PRIMARY": "crm_a"}})):
        message = only(check_settings())
        assert check_mappings() == []  # and no traceback from the broken topology
    assert found(message) == ["E103"]
    assert "'crm'" in message.msg


@pytest.mark.parametrize(
    "change",
    [
        {"SCATTER": "sometimes"},
        {"MAX_ROWS": 0},
        {"SHARDS": {}},
        {"SHARDS": None},
        {"SHARDS": {"a": {}}},
        {"MAPPING": "BucketMapping"},
        {"TRANSACTIONS": "two_face"},
        {"DIRECTORY": 7},
    ],
)
def test_a_value_that_cannot_work_is_an_error_and_no_traceback(change: dict[str, Any]) -> None:
    with databases(log=group(**change)):
        message = only(check_settings())
        assert check_mappings() == []
    assert found(message) == ["E104"]
    assert "'log'" in message.msg


def test_shards_of_different_engines() -> None:
    with databases(log=group(), log_2=MYSQL):
        message = only(check_settings())
    assert found(message) == ["E105"]
    assert "'log_1' is sqlite" in message.msg
    assert "'log_2' is mysql" in message.msg


def test_a_replica_of_another_engine() -> None:
    shards = {"log-1": {"PRIMARY": "log_1", "REPLICAS": ["log_ro"]}, "log-2": {"PRIMARY": "log_2"}}
    with databases(log=group(SHARDS=shards), log_ro=MYSQL):
        assert found(*check_settings()) == ["E105"]


def test_a_directory_in_the_sqlite_file_of_default() -> None:
    with databases(log=group(DIRECTORY="default")):
        assert found(*check_settings()) == ["W108"]
    with databases(log=group(DIRECTORY="same"), same=copy.deepcopy(connections.settings["default"])):
        assert found(*check_settings()) == ["W108"]
    with databases(log=group(DIRECTORY="directory")):
        assert check_settings() == []


def test_a_directory_on_a_server_may_be_default() -> None:
    with databases(log=group(DIRECTORY="default"), default=MYSQL):
        assert check_settings() == []


@pytest.mark.parametrize("routers", [[], ["tests.test_checks_settings.OtherRouter"]])
def test_the_router_is_missing(routers: list[str]) -> None:
    with override_settings(DATABASE_ROUTERS=routers):
        message = only(check_settings())
    assert found(message) == ["E109"]
    assert "horizon_shards.routers.ShardRouter" in str(message.hint)


def test_a_router_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router, "_routers", ["nowhere.Router"])
    monkeypatch.delitem(router.__dict__, "routers", raising=False)
    assert found(only(check_settings())) == ["E109"]


def test_a_subclass_of_the_router_will_do() -> None:
    with override_settings(DATABASE_ROUTERS=["tests.test_checks_settings.SubRouter"]):
        assert check_settings() == []


def test_no_logical_database_needs_no_router() -> None:
    with databases(track=None, crm=None, log=None), override_settings(DATABASE_ROUTERS=[]):
        assert check_settings() == []


class OtherRouter:
    pass


def __getattr__(name: str) -> Any:
    """``SubRouter`` is made when it is asked for: the router's module needs loaded apps."""
    if name != "SubRouter":
        raise AttributeError(name)
    from horizon_shards.routers import ShardRouter

    return type("SubRouter", (ShardRouter,), {})


def test_the_directory_mapping_needs_a_directory() -> None:
    with databases(log=group(MAPPING={"BACKEND": "horizon_shards.mapping.DirectoryMapping"})):
        message = only(check_mappings())
    assert found(message) == ["E106"]
    assert "DirectoryMapping" in message.msg


def test_sharded_ids_need_a_directory() -> None:
    track = {**copy.deepcopy(connections.settings["track"]), "DIRECTORY": None}
    with databases(track=track):
        message = only(check_mappings())
    assert found(message) == ["E106"]
    assert "shop." in message.msg


@pytest.mark.parametrize(
    "mapping",
    [
        {"BACKEND": "horizon_shards.mapping.BucketMaping"},
        {"OPTIONS": {"BUCKETS": 0}},
        {"OPTIONS": {"BUKETS": 64}},
    ],
)
def test_a_mapping_that_cannot_be_made(mapping: dict[str, Any]) -> None:
    with databases(log=group(MAPPING=mapping)):
        message = only(check_mappings())
    assert found(message) == ["E107"]
    assert "'log'" in message.msg


def test_two_phases_need_a_directory() -> None:
    with databases(log=group(TRANSACTIONS="two_phase")):
        message = only(check_settings())
    assert found(message) == ["E104"]
    assert "set DIRECTORY" in message.msg


def test_two_phases_on_an_engine_that_cannot_prepare() -> None:
    with databases(log=group(TRANSACTIONS="two_phase", DIRECTORY="directory")):
        message = only(check_settings())
    assert found(message) == ["E120"]
    assert "sqlite" in message.msg


def test_two_phases_on_an_engine_that_can() -> None:
    shards = {"log-1": {"PRIMARY": "log_1"}, "log-2": {"PRIMARY": "log_2"}}
    log = group(SHARDS=shards, TRANSACTIONS="two_phase", DIRECTORY="directory")
    with databases(log=log, log_1=MYSQL, log_2=MYSQL):
        assert check_settings() == []
