"""A project of its own in a folder: settings with SQLite shards in files, and its manage.py as a subprocess."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SHARDS = ("track-1", "track-2", "track-3")

SETTINGS = """
from pathlib import Path

FOLDER = Path(__file__).parent


def sqlite(name):
    return {{"ENGINE": "django.db.backends.sqlite3", "NAME": str(FOLDER / f"{{name}}.sqlite3"), "TEST": {{}}}}


SECRET_KEY = "x"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.contenttypes", "horizon_shards", "tests.rollout_app"]
DATABASE_ROUTERS = ["horizon_shards.routers.ShardRouter"]
DATABASES = {{
    "default": sqlite("default"),
    "directory": sqlite("directory"),
    "track": {{
        "ENGINE": "horizon_shards.backends.sharded",
        "SHARDS": {{f"track-{{n}}": {{"PRIMARY": f"track_{{n}}"}} for n in (1, 2, 3)}},
        "MAPPING": {{"BACKEND": "horizon_shards.mapping.BucketMapping", "OPTIONS": {{"BUCKETS": 64}}}},
        "DIRECTORY": "directory",
    }},
    **{{f"track_{{n}}": sqlite(f"track_{{n}}") for n in (1, 2, 3)}},
}}
{more}
"""


class Project:
    """Made in ``folder``; ``more``: lines at the end of its settings."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.folder = folder
        self.set(more)

    def set(self, more: str) -> None:
        """Write the settings anew."""
        (self.folder / "shard_project_settings.py").write_text(SETTINGS.format(more=more))

    def manage(self, *args: str, fails: bool = False) -> subprocess.CompletedProcess[str]:
        """Run ``manage.py``; the exit status must be as said."""
        result = self._run("-m", "django", *args)
        assert (result.returncode != 0) == fails, result.stdout + result.stderr
        assert "Traceback" not in result.stderr, result.stderr
        return result

    def python(self, code: str) -> str:
        """What a script prints that runs with the apps loaded."""
        result = self._run("-W", "error", "-c", f"import django; django.setup()\n{code}")
        assert result.returncode == 0, result.stderr
        return result.stdout

    def _run(self, *args: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "shard_project_settings",
            "PYTHONPATH": f"{self.folder}{os.pathsep}{ROOT}",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [sys.executable, *args]
        return subprocess.run(command, env=environment, cwd=self.folder, capture_output=True, text=True, check=False)

    def sql(self, alias: str, statement: str) -> list[tuple[Any, ...]]:
        """What one physical database says, asked past Django."""
        connection = sqlite3.connect(self.folder / f"{alias}.sqlite3")
        try:
            with connection:
                return connection.execute(statement).fetchall()
        finally:
            connection.close()

    def tables(self, alias: str) -> set[str]:
        """The tables of a physical database."""
        return {name for (name,) in self.sql(alias, "SELECT name FROM sqlite_master WHERE type = 'table'")}

    def migrations(self, alias: str) -> set[str]:
        """The migrations of the app that a physical database has recorded."""
        return {name for (name,) in self.sql(alias, "SELECT name FROM django_migrations WHERE app = 'rollout_app'")}
