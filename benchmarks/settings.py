"""Settings of the benchmarks: four shards and one plain database with the same rows; of SQLite, in a temporary folder.

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


#: ``{alias: port}`` of MariaDB servers, where a benchmark has started some.
PORTS = dict(entry.split("=") for entry in os.environ.get("BENCHMARK_PORTS", "").split(",") if entry)


def storage(name: str) -> dict[str, Any]:
    """The database of an alias: on its server, or in SQLite."""
    if name not in PORTS:
        return sqlite(name)
    login = {"USER": "app", "PASSWORD": "app", "HOST": "127.0.0.1", "PORT": PORTS[name]}
    return {"ENGINE": "django.db.backends.mysql", "NAME": "app", **login}


SECRET_KEY = "benchmarks"
USE_TZ = True
DEBUG = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["horizon_shards", "benchmarks"]
DATABASE_ROUTERS = ["horizon_shards.routers.ShardRouter"]
DATABASES: dict[str, dict[str, Any]] = {
    "default": sqlite("default"),
    "plain": storage("plain"),
    "track": {
        "ENGINE": "horizon_shards.backends.sharded",
        "SHARDS": {f"track-{n}": {"PRIMARY": f"track_{n}"} for n in (1, 2, 3, 4)},
        "DIRECTORY": "default",
        "SCATTER": "allow",
    },
    **{f"track_{n}": storage(f"track_{n}") for n in (1, 2, 3, 4)},
}
# Nobody logs in.
REST_FRAMEWORK = {"UNAUTHENTICATED_USER": None}
