"""``migrate`` and ``showmigrations`` on all shards, in processes of their own on real files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.shard_project import SHARDS, Project

ALIASES = ("track_1", "track_2", "track_3")
NAMES = ("0001_initial", "0002_copy", "0003_mark", "0004_fragile")
PAGES = 30


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose directory is migrated and whose shards are empty."""
    made = Project(tmp_path)
    made.manage("migrate", "--database=directory", "-v0")
    return made


def fill(project: Project) -> None:
    """The tables, and a page of each of 30 sites."""
    project.manage("migrate", "rollout_app", "0001", "--database=track", "-v0")
    project.python(
        "from tests.rollout_app.models import Page\n"
        f"Page.objects.bulk_create([Page(site=n, path='/') for n in range({PAGES})])"
    )


def test_every_shard_is_migrated_and_keeps_its_own_records(project: Project) -> None:
    result = project.manage("migrate", "--database=track")
    for alias in ALIASES:
        assert project.migrations(alias) == set(NAMES)
        assert {"rollout_app_page", "rollout_app_copy"} <= project.tables(alias)
        assert not {"rollout_app_setting", "horizon_shards_bucket"} & project.tables(alias)
    assert "Migrating 3 shards of 'track'" in result.stdout


def test_one_progress_line_a_shard(project: Project) -> None:
    lines = project.manage("migrate", "--database=track").stdout.splitlines()
    for shard in SHARDS:
        (line,) = [line for line in lines if line.startswith(f"  {shard}")]
        assert re.search(r"  8/8 +\d+\.\d s  OK$", line), line
    again = project.manage("migrate", "--database=track").stdout
    assert len(re.findall(r"  0/0 +\d+\.\d s  nothing to do$", again, re.MULTILINE)) == 3


def test_no_line_without_verbosity_and_djangos_output_with_more(project: Project) -> None:
    assert project.manage("migrate", "--database=track", "-v0").stdout == ""
    assert "No migrations to apply." in project.manage("migrate", "--database=track", "-v2").stdout


def test_an_unsharded_database_is_migrated_as_ever(project: Project) -> None:
    result = project.manage("migrate")
    assert "Applying rollout_app.0001_initial... OK" in result.stdout
    assert "rollout_app_setting" in project.tables("default")
    assert not {"rollout_app_page", "horizon_shards_bucket"} & project.tables("default")


def test_run_python_and_run_sql_stay_on_their_shard(project: Project) -> None:
    fill(project)
    project.manage("migrate", "--database=track")
    copied = []
    for alias in ALIASES:
        pages = project.sql(alias, "SELECT site FROM rollout_app_page ORDER BY site")
        copies = project.sql(alias, "SELECT site FROM rollout_app_copy WHERE path = '!' ORDER BY site")
        bulk = project.sql(alias, "SELECT site FROM rollout_app_copy WHERE path = '!bulk' ORDER BY site")
        assert pages
        assert pages == copies == bulk
        copied += copies
    assert sorted(copied) == [(n,) for n in range(PAGES)]


def test_a_shards_own_alias_is_pinned_too(project: Project) -> None:
    fill(project)
    result = project.manage("migrate", "--database=track_2")
    assert "Applying rollout_app.0002_copy... OK" in result.stdout
    assert project.migrations("track_1") == {"0001_initial"}
    assert project.migrations("track_2") == set(NAMES)
    assert project.sql("track_1", "SELECT * FROM rollout_app_copy") == []
    pages = project.sql("track_2", "SELECT COUNT(*) FROM rollout_app_page")
    assert project.sql("track_2", "SELECT COUNT(*) FROM rollout_app_copy WHERE path = '!'") == pages


@pytest.mark.parametrize("parallel", ["1", "2", "8"])
def test_how_many_at_once_changes_no_result(project: Project, parallel: str) -> None:
    project.manage("migrate", "--database=track", "--shards-parallel", parallel)
    assert all(project.migrations(alias) == set(NAMES) for alias in ALIASES)


@pytest.mark.parametrize("parallel", ["0", "-1", "many"])
def test_a_wrong_number_of_shards_at_once(project: Project, parallel: str) -> None:
    result = project.manage("migrate", "--database=track", f"--shards-parallel={parallel}", fails=True)
    assert "is not a whole number of at least 1" in result.stderr


def test_shards_are_migrated_at_the_same_time(tmp_path: Path) -> None:
    project = Project(tmp_path, "for n in (1, 2, 3): DATABASES[f'track_{n}']['TEST']['MEETING'] = (str(FOLDER), 3)")
    project.manage("migrate", "--database=directory", "-v0")
    # One after the other, the first shard would wait in vain for the others.
    output = project.manage("migrate", "--database=track", "-v2").stdout
    assert len(re.findall(r"8/8 +\d+\.\d s", output)) == 3


def test_a_failure_names_its_shard_and_the_others_finish(project: Project) -> None:
    project.sql("track_2", "CREATE TABLE marker (id INTEGER)")
    result = project.manage("migrate", "--database=track", fails=True)
    assert "1 of 3 shards of 'track' were not migrated" in result.stderr
    assert "track-2 (track_2): RuntimeError: a marker is in track_2" in result.stderr
    assert "run the same command again" in result.stderr
    assert "FAILED in rollout_app.0004_fragile: RuntimeError: a marker is in track_2" in result.stdout
    assert "Applying rollout_app.0003_mark... OK" in result.stdout
    assert project.migrations("track_2") == set(NAMES[:3])
    assert project.migrations("track_1") == project.migrations("track_3") == set(NAMES)


def test_the_same_command_resumes(project: Project) -> None:
    fill(project)
    project.sql("track_2", "CREATE TABLE marker (id INTEGER)")
    project.manage("migrate", "--database=track", fails=True)
    before = project.sql("track_2", "SELECT id, path FROM rollout_app_copy")
    project.sql("track_2", "DROP TABLE marker")
    output = project.manage("migrate", "--database=track").stdout
    assert re.search(r"track-2 +1/1 .* OK", output)
    assert len(re.findall("nothing to do", output)) == 2
    assert project.migrations("track_2") == set(NAMES)
    assert project.sql("track_2", "SELECT id, path FROM rollout_app_copy") == before


def test_several_failures_are_all_named(project: Project) -> None:
    for alias in ("track_1", "track_3"):
        project.sql(alias, "CREATE TABLE marker (id INTEGER)")
    result = project.manage("migrate", "--database=track", fails=True)
    assert "2 of 3 shards" in result.stderr
    assert "track-1 (track_1)" in result.stderr
    assert "track-3 (track_3)" in result.stderr


def test_the_traceback_is_shown_when_asked_for(project: Project) -> None:
    project.sql("track_2", "CREATE TABLE marker (id INTEGER)")
    result = project._run("-m", "django", "migrate", "--database=track", "--traceback")
    assert "in fail_at_marker" in result.stdout


def test_a_shard_that_is_down_does_not_stop_the_others(project: Project) -> None:
    project.set("DATABASES['track_1']['NAME'] = str(FOLDER / 'no' / 'folder.sqlite3')")
    result = project.manage("migrate", "--database=track", fails=True)
    assert "track-1 (track_1): OperationalError" in result.stderr
    assert project.migrations("track_2") == project.migrations("track_3") == set(NAMES)


def test_plan_shows_shards_with_the_same_plan_together(project: Project) -> None:
    project.manage("migrate", "rollout_app", "0003", "--database=track_2", "-v0")
    output = project.manage("migrate", "rollout_app", "--plan", "--database=track").stdout
    first, second = output.split("track-2:")
    assert first.startswith("track-1, track-3:\nPlanned operations:\nrollout_app.0001_initial")
    assert "0003_mark" not in second
    assert "rollout_app.0004_fragile" in second
    assert project.tables("track_1") <= {"django_migrations"}


def test_check_names_the_shards_that_are_behind(project: Project) -> None:
    project.manage("migrate", "--database=track", "-v0")
    assert project.manage("migrate", "--check", "--database=track").stdout == ""
    project.sql("track_3", "DELETE FROM django_migrations WHERE name = '0004_fragile'")
    result = project.manage("migrate", "--check", "--database=track", fails=True)
    assert result.stdout == "Unapplied migrations on track-3.\n"


def test_fake_records_without_running(project: Project) -> None:
    project.manage("migrate", "rollout_app", "--fake", "--database=track")
    for alias in ALIASES:
        assert project.migrations(alias) == set(NAMES)
        assert "rollout_app_page" not in project.tables(alias)


def test_back_to_zero_and_to_a_named_migration(project: Project) -> None:
    project.manage("migrate", "rollout_app", "0002", "--database=track", "-v0")
    assert all(project.migrations(alias) == set(NAMES[:2]) for alias in ALIASES)
    output = project.manage("migrate", "rollout_app", "zero", "--database=track").stdout
    assert len(re.findall(r"2/2 .* OK", output)) == 3
    for alias in ALIASES:
        assert project.migrations(alias) == set()
        assert "rollout_app_page" not in project.tables(alias)


def test_an_unknown_app_is_an_error_of_every_shard(project: Project) -> None:
    result = project.manage("migrate", "nothing", "--database=track", fails=True)
    assert "No installed app with label 'nothing'" in result.stderr


def test_databases_in_memory_are_migrated_in_the_calling_thread(tmp_path: Path) -> None:
    project = Project(tmp_path, "for n in (1, 2, 3): DATABASES[f'track_{n}']['NAME'] = ':memory:'")
    project.manage("migrate", "--database=directory", "-v0")
    script = (
        "from django.core.management import call_command\nfrom tests.rollout_app.models import Page\n"
        "call_command('migrate', database='track', verbosity=0)\n"
        "from horizon_shards import allow_scatter\n"
        "Page.objects.bulk_create([Page(site=n, path='/') for n in range(9)])\n"
        "with allow_scatter(): print(Page.objects.count())"
    )
    assert project.python(script) == "9\n"


def test_connections_of_the_threads_are_closed(project: Project) -> None:
    script = (
        "import threading\nfrom django.core.management import call_command\nfrom django.db import connections\n"
        "from django.db.backends.base.base import BaseDatabaseWrapper\nopened, closed = [], []\n"
        "connect, close = BaseDatabaseWrapper.connect, BaseDatabaseWrapper._close\n"
        "def connecting(self):\n    connect(self)\n    opened.append((self.alias, threading.get_ident()))\n"
        "def closing(self):\n"
        "    self.connection is None or closed.append((self.alias, threading.get_ident()))\n    return close(self)\n"
        "BaseDatabaseWrapper.connect, BaseDatabaseWrapper._close = connecting, closing\n"
        "call_command('migrate', database='track', verbosity=0)\nmine = threading.get_ident()\n"
        "others = [(a, t) for a, t in opened if t != mine and a.startswith('track_')]\n"
        "print(sorted(a for a, t in others), set(others) <= set(closed))"
    )
    assert project.python(script) == f"{list(ALIASES)} True\n"


def test_showmigrations_marks_all_none_and_drift(project: Project) -> None:
    project.manage("migrate", "rollout_app", "0001", "--database=track", "-v0")
    project.manage("migrate", "rollout_app", "0002", "--database=track_2", "-v0")
    lines = project.manage("showmigrations", "rollout_app", "--database=track").stdout.splitlines()
    assert lines == [
        "rollout_app",
        " [X] 0001_initial",
        " [~] 0002_copy (missing on track-1, track-3)",
        " [ ] 0003_mark",
        " [ ] 0004_fragile",
    ]
    plan = project.manage("showmigrations", "--plan", "rollout_app", "--database=track").stdout.splitlines()
    assert plan[1] == "[~] rollout_app.0002_copy (missing on track-1, track-3)"


def test_showmigrations_names_a_shard_that_does_not_answer(project: Project) -> None:
    project.manage("migrate", "rollout_app", "--database=track", "-v0")
    project.set("DATABASES['track_1']['NAME'] = str(FOLDER / 'no' / 'folder.sqlite3')")
    result = project.manage("showmigrations", "rollout_app", "--database=track", fails=True)
    assert " [X] 0004_fragile" in result.stdout
    assert "track-1 (track_1)" in result.stderr


def test_showmigrations_elsewhere_is_djangos(project: Project) -> None:
    project.manage("migrate", "rollout_app", "0001", "--database=track_1", "-v0")
    output = project.manage("showmigrations", "rollout_app", "--database=track_1").stdout
    assert output.splitlines()[1:3] == [" [X] 0001_initial", " [ ] 0002_copy"]


def test_makemigrations_sees_no_change_and_no_database(project: Project) -> None:
    project.set("DATABASES['track_1']['NAME'] = str(FOLDER / 'no' / 'folder.sqlite3')")
    assert "No changes detected" in project.manage("makemigrations", "--check", "--dry-run", "rollout_app").stdout


def test_the_canary_goes_first_and_stops_the_others(project: Project) -> None:
    project.set('DATABASES["track"]["MIGRATE"] = {"CANARY": "track-2"}')
    fill(project)
    project.sql("track_2", "CREATE TABLE marker (id INTEGER)")
    result = project.manage("migrate", "--database=track", fails=True)
    assert "1 of 1 shards of 'track' were not migrated" in result.stderr
    assert "no other was begun" in result.stderr
    assert project.migrations("track_1") == project.migrations("track_3") == {NAMES[0]}
    project.sql("track_2", "DROP TABLE marker")
    project.manage("migrate", "--database=track", "-v0")
    assert all(project.migrations(alias) == set(NAMES) for alias in ALIASES)


def test_a_canary_that_is_no_shard(project: Project) -> None:
    project.set('DATABASES["track"]["MIGRATE"] = {"CANARY": "track-9"}')
    assert "track-9" in project.manage("check", fails=True).stderr
