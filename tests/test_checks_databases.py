"""Checks that ask databases: what the directory says against the settings, and shards that are down."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core import checks
from django.db import connections

from horizon_shards.checks.mapping import check_stored_assignments
from horizon_shards.topology import get_group
from tests.changed_databases import databases
from tests.settings import sqlite
from tests.test_checks_settings import found, group, only

ROOT = Path(__file__).parent.parent


def seed() -> None:
    """Store the bucket table; the process may remember one of an earlier test, which is rolled back."""
    mapping = get_group("track").mapping
    mapping.clear_cache()
    mapping.place(1)


@pytest.mark.django_db(databases=["default", "directory"])
def test_a_directory_that_fits_says_nothing() -> None:
    seed()
    assert check_stored_assignments(databases=["track", "crm"]) == []


@pytest.mark.django_db(databases=["default", "directory"])
def test_a_shard_that_the_settings_no_longer_have() -> None:
    seed()
    track = copy.deepcopy(connections.settings["track"])
    del track["SHARDS"]["track-4"]
    with databases(track=track):
        message = only(check_stored_assignments(databases=["track"]))
    assert found(message) == ["W110"]
    assert "'track-4'" in message.msg


@pytest.mark.django_db(databases=["default", "directory"])
def test_a_new_shard_holds_nothing_and_the_check_says_so() -> None:
    seed()
    track = copy.deepcopy(connections.settings["track"])
    track["SHARDS"]["track-5"] = {"PRIMARY": "track_5"}
    with databases(track=track, track_5=sqlite("track_5")):
        assert "'track-5'" in only(check_stored_assignments(databases=["track"])).msg


@pytest.mark.parametrize("asked", [None, [], ["default"], ["directory"]])
def test_the_directory_is_not_read_unless_its_logical_database_is_named(asked: list[str] | None) -> None:
    with databases(log=group(DIRECTORY="gone"), gone=sqlite("no/such/folder")):
        assert check_stored_assignments(databases=asked) == []


@pytest.mark.django_db(databases=["default", "directory"])
def test_a_directory_that_does_not_answer() -> None:
    with databases(log=group(DIRECTORY="gone"), gone=sqlite("no/such/folder")):
        message = only(check_stored_assignments(databases=["log"]))
    assert found(message) == ["W110"]
    assert "'gone'" in message.msg


@pytest.mark.django_db(databases=["log"])
def test_a_shard_that_is_down_is_named() -> None:
    down = {**sqlite("no/such/folder"), "ENGINE": "tests.mysql_named"}
    with databases(log=group(), log_1=down):
        message = only([m for m in connections["log"].validation.check() if m.id == "horizon_shards.W112"])
    assert "'log-1'" in message.msg


def test_the_checks_are_registered_and_tagged() -> None:
    names = {check.__name__ for check in checks.registry.registry.get_checks() if "horizon_shards" in check.tags}
    assert names == {
        "check_settings",
        "check_caches",
        "check_sinks",
        "check_mappings",
        "check_models",
        "check_prepared_transactions",
        "check_stored_assignments",
        "check_budget",
        "check_servers",
    }


BROKEN: dict[str, tuple[str, str]] = {
    "unknown key": ('DATABASES["track"]["SCATER"] = "warn"', "horizon_shards.E101"),
    "unknown alias": ('DATABASES["track"]["SHARDS"]["track-1"]["PRIMARY"] = "nope"', "horizon_shards.E102"),
    "used twice": ('DATABASES["track"]["SHARDS"]["track-1"]["PRIMARY"] = "track_2"', "horizon_shards.E103"),
    "no shards": ('DATABASES["track"]["SHARDS"] = {}', "horizon_shards.E104"),
    "mapping": ('DATABASES["track"]["MAPPING"]["BACKEND"] = "nope.Mapping"', "horizon_shards.E107"),
    "no group": ('del DATABASES["track"]', "horizon_shards.E202"),
}


@pytest.mark.parametrize("command", [["check"], ["check", "--database=default"], ["migrate"]])
@pytest.mark.parametrize(("line", "code"), BROKEN.values(), ids=BROKEN)
def test_manage_py_names_what_is_broken_without_a_traceback(
    line: str, code: str, command: list[str], tmp_path: Path
) -> None:
    (tmp_path / "broken_settings.py").write_text(f"from tests.settings import *\n{line}\n")
    result = _manage(tmp_path, *command)
    assert result.returncode == 1
    assert code in result.stderr
    assert "Traceback" not in result.stderr


def test_migrate_refuses_broken_settings_even_without_checks(tmp_path: Path) -> None:
    (tmp_path / "broken_settings.py").write_text(f"from tests.settings import *\n{BROKEN['unknown key'][0]}\n")
    result = _manage(tmp_path, "migrate", "--skip-checks")
    assert result.returncode == 1
    assert "CommandError: Nothing was migrated" in result.stderr
    assert "'SCATTER'" in result.stderr
    assert not (tmp_path / "default.sqlite3").exists()


def _manage(folder: Path, *args: str) -> Any:
    environment = {
        **os.environ,
        # Django's own checks of fields connect to MySQL, and the databases of these settings are not made.
        "SHARDS_ENGINE": "sqlite",
        "SHARDS_TEST_FOLDER": str(folder),
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
    }
    command = [sys.executable, "-m", "django", *args, "--settings=broken_settings"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
