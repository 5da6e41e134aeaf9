"""Logical databases below Django's own test runner."""

from __future__ import annotations

import sqlite3
import sys

import pytest

from tests.plugin_project import DJANGO_TESTS, SETTINGS, real_databases

pytest_plugins = ["pytester"]


@pytest.mark.parametrize(
    "aliases",
    [
        '{"track"}',
        '{"default", "track", "track_1"}',
        '{"default", "track", "crm", "directory", "track_3"}',
        '"__all__"',
    ],
)
@pytest.mark.parametrize("order", ["logical first", "logical last"])
def test_the_runner_of_django_leaves_real_databases_alone(project: pytest.Pytester, aliases: str, order: str) -> None:
    """Whatever is named beside the logical alias: a second destruction would take the real database."""
    if order == "logical last":
        last = '\nfor alias in ("track", "crm"):\n    DATABASES[alias] = DATABASES.pop(alias)\n'
        project.makepyfile(project_settings=SETTINGS + last)
    real = [f"{name}_{n}" for name, count in (("track", 3), ("crm", 2)) for n in range(1, count + 1)]
    contents = {}
    for name in ("default", "directory", *real):
        path = project.path / f"real_{name}.sqlite3"
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE precious (id)")
        database.close()
        contents[path] = path.read_bytes()
    project.mkpydir("checked").joinpath("tests.py").write_text(DJANGO_TESTS.replace("{aliases}", aliases))
    result = project.run(
        sys.executable, "-W", "error", "-m", "django", "test", "--noinput", "--settings=project_settings", "checked"
    )
    assert result.ret == 0, result.stderr.str()
    result.stderr.fnmatch_lines("Ran 3 tests in *")
    assert {path: path.read_bytes() for path in contents} == contents
    assert list(project.path.glob("test_*.sqlite3")) == []


PARALLEL = """
import multiprocessing, os, sys

if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    os.environ["DJANGO_SETTINGS_MODULE"] = "project_settings"
    from django.core.management import execute_from_command_line
    execute_from_command_line(["manage.py", "test", "--noinput", "--parallel", "2", "checked"])
"""


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_workers_of_django_have_clones_of_everything_behind_the_logical_alias(
    project: pytest.Pytester, start_method: str
) -> None:
    """A spawned worker begins with the settings as they are written, which name the real databases."""
    if start_method == "spawn":
        # Django 5.2 spawns workers for SQLite in memory alone.
        in_memory = "\nfor entry in DATABASES.values():\n    entry.pop('TEST', None)\n"
        project.makepyfile(project_settings=SETTINGS + in_memory)
    project.makepyfile(parallel=PARALLEL)
    tests = DJANGO_TESTS.replace("{aliases}", '{"track"}')
    project.mkpydir("checked").joinpath("tests.py").write_text(tests)
    result = project.run(sys.executable, "parallel.py", start_method, timeout=600)
    assert result.ret == 0, result.stderr.str()
    result.stderr.fnmatch_lines("Cloning test database for alias 'directory'...")
    result.stderr.fnmatch_lines("Ran 3 tests in *")
    assert real_databases(project) == []
    assert list(project.path.glob("test_*.sqlite3")) == []
