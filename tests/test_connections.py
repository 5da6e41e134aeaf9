"""The worst case of connections by the settings, and what the process has open."""

from __future__ import annotations

import io
import json
import threading
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.test import override_settings

from horizon_shards.checks.connections import check_budget, check_servers
from horizon_shards.exceptions import ConfigurationError
from horizon_shards.rollout.budget import read_budget, servers_of
from horizon_shards.rollout.opened import open_connections
from tests.changed_databases import databases
from tests.settings import sqlite
from tests.test_checks_settings import found, only

SERVER = {"ENGINE": "django.db.backends.postgresql", "HOST": "db-1"}
CLUSTER = "horizon_shards.backends.aurora_mysql"
WITHIN = "beside"


def server(**changes: Any) -> dict[str, Any]:
    return {**sqlite("never_opened"), **SERVER, **changes}


@pytest.mark.parametrize(
    ("entry", "most"),
    [
        ({}, 24),
        ({"ENGINE": CLUSTER, "CLUSTER": {"MAX_CONNECTIONS": 2}}, 12),
        ({"ENGINE": CLUSTER, "CLUSTER": {"MAX_CONNECTIONS": 9}}, 24),
        ({"OPTIONS": {"pool": {"min_size": 0, "max_size": 3}}}, 18),
        # What a pool opens at once.
        ({"OPTIONS": {"pool": {"min_size": 7, "max_size": 9}}}, 42),
        ({"OPTIONS": {"pool": {"min_size": 1, "max_size": 9}}}, 24),
        ({"OPTIONS": {"pool": True}}, 24),
    ],
)
def test_the_most_of_a_database_is_that_of_its_threads_or_of_its_bound(entry: dict[str, Any], most: int) -> None:
    with databases(log_1=server(**entry)), override_settings(HORIZON_CONNECTIONS={"PROCESSES": 6, "THREADS": 4}):
        budget = read_budget()
        assert budget is not None
        assert budget.most_of("log_1") == most


def test_aliases_of_one_server_are_added_up_and_sqlite_has_none() -> None:
    entries = {"log_1": server(), "log_2": server(), "oracle": server(PORT="5433"), "directory": server()}
    with databases(**entries), override_settings(HORIZON_CONNECTIONS={"PROCESSES": 10, "SERVER_LIMIT": {"log_2": 5}}):
        budget = read_budget()
        assert budget is not None
        told = {each.address: each for each in servers_of(budget) if each.address.startswith("db-1")}
    assert told["db-1:postgresql"].aliases == ("directory", "log_1", "log_2")
    assert (told["db-1:postgresql"].most, told["db-1:postgresql"].limit) == (30, 5)
    assert (told["db-1:5433"].most, told["db-1:5433"].limit) == (10, None)


@pytest.mark.parametrize("limit", [11, {"log_1": 11}])
def test_a_worst_case_beyond_the_declared_limit_is_warned_of(limit: Any) -> None:
    with databases(log_1=server()):
        with override_settings(HORIZON_CONNECTIONS={"PROCESSES": 3, "THREADS": 4, "SERVER_LIMIT": limit}):
            message = only(check_budget())
        assert found(message) == ["W122"]
        assert (
            "3 processes of 4 threads may open 12 connections to db-1:postgresql (log_1), which takes 11" in message.msg
        )
        for enough in ({"PROCESSES": 3, "THREADS": 4, "SERVER_LIMIT": 12}, {"PROCESSES": 3, "THREADS": 4}, None):
            with override_settings(HORIZON_CONNECTIONS=enough):
                assert check_budget() == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"PROCESES": 1}, "unknown key 'PROCESES': did you mean 'PROCESSES'"),
        ({"THREADS": 1}, "needs PROCESSES"),
        ({"PROCESSES": 0}, "PROCESSES must be a whole number"),
        ({"PROCESSES": 1, "SERVER_LIMIT": {"log_1": "500"}}, "log_1 must be a whole number"),
        (["a"], "must be a dict"),
    ],
)
def test_what_cannot_work_is_told_by_a_check(given: Any, message: str) -> None:
    with override_settings(HORIZON_CONNECTIONS=given):
        with pytest.raises(ConfigurationError, match=message):
            read_budget()
        problem = only(check_budget())
        assert found(problem) == ["E116"]
        assert check_servers(databases=["log"]) == []


@pytest.mark.django_db(databases=["default", "directory", "log"])
def test_the_command_shows_how_many_may_be_opened() -> None:
    with override_settings(HORIZON_CONNECTIONS={"PROCESSES": 3, "THREADS": 4}):
        text, output = io.StringIO(), io.StringIO()
        call_command("shards", database="log", stdout=text)
        call_command("shards", database="log", json=True, stdout=output)
    lines = [line.split() for line in text.getvalue().splitlines()]
    assert lines[1][-4:] == ["connections", "own", "at", "most"]
    assert [line[-3:] for line in lines[2:4]] == [["-", "-", "12"]] * 2
    assert [each["most_connections"] for each in json.loads(output.getvalue())[0]["databases"]] == [12, 12]


def test_the_connections_of_all_threads_are_counted_until_they_are_closed(django_db_blocker: Any) -> None:
    entry = {**sqlite(WITHIN), "TEST": {}}
    is_open, may_close = threading.Event(), threading.Event()

    def hold() -> None:
        connections[WITHIN].ensure_connection()
        is_open.set()
        may_close.wait(60)
        connections[WITHIN].close()

    with django_db_blocker.unblock(), databases(**{WITHIN: entry}):
        assert WITHIN not in open_connections()
        thread = threading.Thread(target=hold)
        thread.start()
        assert is_open.wait(60)
        assert open_connections()[WITHIN].used == 1
        connections[WITHIN].ensure_connection()
        assert open_connections()[WITHIN].used == 2
        may_close.set()
        thread.join(60)
        assert open_connections()[WITHIN].used == 1
        connections[WITHIN].close()
        assert WITHIN not in open_connections()
