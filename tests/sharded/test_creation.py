"""Test databases of a project whose default database is the logical one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.shard_project import Project

DEFAULT_IS_SHARDED = """
DATABASES["default"] = {**DATABASES.pop("track"), "TEST": {}}
DATABASE_ROUTERS = []
INSTALLED_APPS = ["tests.rollout_app"]
MIGRATION_MODULES = {"rollout_app": None}
"""
MAKE_AND_DROP = """
from django.db import connections
from django.test.runner import DiscoverRunner
runner = DiscoverRunner(verbosity=0, interactive=False)
made = runner.setup_databases(aliases={"default": False})
tables = [len(connections[f"track_{n}"].introspection.table_names()) for n in (1, 2, 3)]
runner.teardown_databases(made)
print(tables[0] > 0, len(set(tables)))
"""


@pytest.mark.sqlite_only
def test_the_default_database_may_be_sharded(tmp_path: Path) -> None:
    project = Project(tmp_path, DEFAULT_IS_SHARDED)
    assert project.python(MAKE_AND_DROP).split() == ["True", "1"]
