"""Settings of the benchmarks: four SQLite shards, and one plain database with the same rows, in a temporary folder.

Nothing waits for the disk: what is measured is the work of Python and SQLite.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

#: Processes that a benchmark starts find the databases of their parent here.
FOLDER_VARIABLE = "BENCHMARK_FOLDER"
FOLDER = Path(os.environ.get(FOLDER_VARIABLE) or tempfile.mkdtemp(prefix="horizon_shards_benchmark_"))


def sqlite(name: str) -> dict[str, Any]:
    """A SQLite database in the folder of this run."""
    options = {"init_command": "PRAGMA synchronous=OFF; PRAGMA journal_mode=WAL"}
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(FOLDER / f"{name}.sqlite3"), "OPTIONS": options}


SECRET_KEY = "benchmarks"
USE_TZ = True
DEBUG = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["horizon_shards", "benchmarks"]
DATABASE_ROUTERS = ["horizon_shards.routers.ShardRouter"]
DATABASES: dict[str, dict[str, Any]] = {
    "default": sqlite("default"),
    "plain": sqlite("plain"),
    "track": {
        "ENGINE": "horizon_shards.backends.sharded",
        "SHARDS": {f"track-{n}": {"PRIMARY": f"track_{n}"} for n in (1, 2, 3, 4)},
        "DIRECTORY": "default",
        "SCATTER": "allow",
    },
    **{f"track_{n}": sqlite(f"track_{n}") for n in (1, 2, 3, 4)},
}
