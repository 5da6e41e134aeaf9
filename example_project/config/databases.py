"""``DATABASES`` from the environment: SQLite files by default, any servers in production.

``DATABASE_URL``
    Users, sessions, websites. Default: a SQLite file.
``DIRECTORY_URL``
    Which shard holds which key. Default: a SQLite file.
``SHARD_URLS``
    The shards: ``track-1=mysql://user:password@host/name,track-2=...``, as many as wanted.
``SHARDS``
    How many SQLite shards to make where ``SHARD_URLS`` is not set. Default: 4. With 0 there are no shards:
    the logical database ``track`` is then one plain database, ``TRACK_URL``, by default a SQLite file.
``WAREHOUSE_URL``
    The facts of all websites. Default: a SQLite file. ``redshift://user:password@host:5439/dev`` is Amazon Redshift,
    and ``strict-redshift://postgres@127.0.0.1/warehouse`` the strict local one on a PostgreSQL 15.
``CONN_MAX_AGE``
    How many seconds a connection to a server is kept. Default: 60.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dj_database_url

from config import environment

SQLITE = "django.db.backends.sqlite3"
REDSHIFT = {"redshift": "horizon_shards.backends.redshift", "strict-redshift": "horizon_shards.testing.redshift"}
#: Readers do not wait for the writer, and a writer waits its turn instead of failing in the middle.
SQLITE_OPTIONS = {
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
}


def read_databases(folder: Path) -> dict[str, dict[str, Any]]:
    """``DATABASES`` as the environment says, with SQLite files in ``folder`` for what it does not name."""
    databases = {
        "default": _database("DATABASE_URL", folder / "default.sqlite3"),
        "warehouse": _database("WAREHOUSE_URL", folder / "warehouse.sqlite3"),
    }
    urls = environment.pairs("SHARD_URLS") or _sqlite_shards(folder)
    if not urls:
        return databases | {"track": _database("TRACK_URL", folder / "track.sqlite3")}
    databases["directory"] = _database("DIRECTORY_URL", folder / "directory.sqlite3")
    return databases | {"track": logical_database(urls)} | {_alias(name): parse(url) for name, url in urls.items()}


def logical_database(names: dict[str, str]) -> dict[str, Any]:
    """The database that the models live on: it stores nothing itself, the shards of these names do."""
    return {
        "ENGINE": "horizon_shards.backends.sharded",
        "SHARDS": {name: {"PRIMARY": _alias(name)} for name in names},
        "MAPPING": {"BACKEND": "horizon_shards.mapping.BucketMapping"},
        "DIRECTORY": "directory",
        "SCATTER": "warn",
    }


def parse(url: str) -> dict[str, Any]:
    """One entry of ``DATABASES``; raises ``ValueError`` or ``UnknownSchemeError`` for a URL that names none."""
    # dj-database-url knows another backend by the name of Redshift.
    engine = REDSHIFT.get(url.partition("://")[0])
    age = environment.whole("CONN_MAX_AGE", 60)
    if engine is not None:
        server = dj_database_url.parse(f"postgresql://{url.partition('://')[2]}", conn_max_age=age)
        return {**server, "ENGINE": engine, "CONN_HEALTH_CHECKS": True}
    entry: dict[str, Any] = dict(dj_database_url.parse(url, conn_max_age=age))
    if entry["ENGINE"] == SQLITE:
        return _sqlite(Path(entry["NAME"]))
    return entry | {"CONN_HEALTH_CHECKS": True}


def _database(variable: str, file: Path) -> dict[str, Any]:
    url = environment.text(variable)
    return parse(url) if url else _sqlite(file)


def _sqlite(file: Path) -> dict[str, Any]:
    # Tests use files as well: a SQLite database in memory cannot be asked from several threads at once.
    test = {"NAME": str(file.with_name(f"test_{file.name}"))}
    return {"ENGINE": SQLITE, "NAME": str(file), "OPTIONS": dict(SQLITE_OPTIONS), "TEST": test}


def _sqlite_shards(folder: Path) -> dict[str, str]:
    names = [f"track-{number}" for number in range(1, environment.whole("SHARDS", 4) + 1)]
    return {name: f"sqlite:///{(folder / _alias(name)).as_posix()}.sqlite3" for name in names}


def _alias(name: str) -> str:
    return name.replace("-", "_")
