"""Settings of the tests: one unsharded database, a directory, an oracle, and three groups of shards.

``SHARDS_ENGINE`` (sqlite, mysql, postgresql) says what the shards are stored in; SQLite needs no server.
``SHARDS_DEFAULT=server`` puts the unsharded database there, too, so that its texts compare as theirs do.
``SHARDS_BACKEND`` names another backend for it than Django's, ``SHARDS_TRANSACTIONS`` the mode of the main group.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

ENGINE = os.environ.get("SHARDS_ENGINE", "sqlite")
FOLDER = Path(os.environ.get("SHARDS_TEST_FOLDER") or tempfile.mkdtemp(prefix="horizon_shards_"))


def sqlite(name: str) -> dict[str, Any]:
    """A SQLite database in the folder of this run, also when Django makes a test database of it."""
    path = str(FOLDER / f"{name}.sqlite3")
    test_path = str(FOLDER / f"test_{name}.sqlite3")
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": path, "TEST": {"NAME": test_path}}


def server(name: str) -> dict[str, Any]:
    """A database on the local server that ``SHARDS_ENGINE`` names."""
    entry: dict[str, Any] = {
        "ENGINE": os.environ.get("SHARDS_BACKEND") or f"django.db.backends.{ENGINE}",
        "NAME": f"horizon_{name}",
        "HOST": os.environ.get("SHARDS_HOST", "127.0.0.1"),
        "USER": os.environ.get("SHARDS_USER", "root"),
        "PASSWORD": os.environ.get("SHARDS_PASSWORD", ""),
        "PORT": os.environ.get("SHARDS_PORT", ""),
    }
    if ENGINE == "mysql":
        entry["TEST"] = {"CHARSET": "utf8mb4", "COLLATION": os.environ.get("SHARDS_COLLATION", "utf8mb4_general_ci")}
    return entry


def shard_storage(name: str) -> dict[str, Any]:
    return sqlite(name) if ENGINE == "sqlite" else server(name)


SECRET_KEY = "tests"
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "horizon_shards",
    "horizon_shards.queues",
    "horizon_shards.sinks",
    "tests.shop",
    "tests.foreign_app",
    "tests.composite",
    "tests.sinks",
]
SHARDED = "horizon_shards.backends.sharded"
DATABASES: dict[str, dict[str, Any]] = {
    "default": shard_storage("default") if os.environ.get("SHARDS_DEFAULT") == "server" else sqlite("default"),
    "directory": sqlite("directory"),
    "oracle": shard_storage("oracle"),
    # The main group: four shards, buckets in the directory.
    "track": {
        "ENGINE": SHARDED,
        "SHARDS": {f"track-{n}": {"PRIMARY": f"track_{n}"} for n in (1, 2, 3, 4)},
        "MAPPING": {"BACKEND": "horizon_shards.mapping.BucketMapping", "OPTIONS": {"BUCKETS": 64}},
        "DIRECTORY": "directory",
        "SCATTER": "allow",
        "TRANSACTIONS": os.environ.get("SHARDS_TRANSACTIONS", "best_effort"),
        "HISTORICAL_MODELS": ["shop.forgotten"],
    },
    **{f"track_{n}": shard_storage(f"track_{n}") for n in (1, 2, 3, 4)},
    # A group with a row per key and one shard that takes no new ones.
    "crm": {
        "ENGINE": SHARDED,
        "SHARDS": {
            "crm-a": {"PRIMARY": "crm_a"},
            "crm-b": {"PRIMARY": "crm_b", "WEIGHT": 3},
            "crm-full": {"PRIMARY": "crm_full", "ACCEPTS_NEW_KEYS": False},
        },
        "MAPPING": {"BACKEND": "horizon_shards.mapping.DirectoryMapping"},
        "DIRECTORY": "directory",
        "SCATTER": "warn",
        "TRANSACTIONS": "single",
    },
    **{f"crm_{n}": sqlite(f"crm_{n}") for n in ("a", "b", "full")},
    # A static group: no directory, the assignment follows from the settings.
    "log": {
        "ENGINE": SHARDED,
        "SHARDS": {"log-1": {"PRIMARY": "log_1"}, "log-2": {"PRIMARY": "log_2"}},
        "SCATTER": "forbid",
    },
    **{f"log_{n}": sqlite(f"log_{n}") for n in (1, 2)},
}
DATABASE_ROUTERS = ["horizon_shards.routers.ShardRouter"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
