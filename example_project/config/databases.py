"""``DATABASES`` from the environment: SQLite files by default, any servers in production.

``DATABASE_URL``
    Users, sessions, websites. Default: a SQLite file.
``DIRECTORY_URL``
    Which shard holds which key. Default: a SQLite file.
``SHARD_URLS``
    The shards: ``track-1=mysql://user:password@host/name,track-2=...``, as many as wanted. ``aurora://`` is a
    cluster of Aurora, MySQL or MariaDB that fails over; one that cannot be asked for its servers names them:
    ``aurora://user:password@host/name?instances=host:3306+host:3307``.
``REPLICA_URLS``
    Where shards are read: ``track-1=aurora://user:password@reader/name,...``. Default: from the shards themselves.
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

from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from config import environment

SQLITE = "django.db.backends.sqlite3"
AURORA = "horizon_shards.backends.aurora_mysql"
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
    replicas = environment.pairs("REPLICA_URLS")
    if strangers := replicas.keys() - urls.keys():
        raise ImproperlyConfigured(
            f"REPLICA_URLS names {min(strangers)!r}, which is no shard. Shards: {', '.join(urls)}."
        )
    physical = {_alias(name): parse(url) for name, url in urls.items()}
    physical |= {_replica(name): parse(url, role="replica") for name, url in replicas.items()}
    return databases | {"track": logical_database(urls, replicas)} | physical


def logical_database(names: Iterable[str], replicas: Container[str] = ()) -> dict[str, Any]:
    """The database that the models live on: it stores nothing itself, the shards of these names do."""
    return {
        "ENGINE": "horizon_shards.backends.sharded",
        "SHARDS": {name: _shard(name, is_copied=name in replicas) for name in names},
        "MAPPING": {"BACKEND": "horizon_shards.mapping.BucketMapping"},
        "DIRECTORY": "directory",
        "SCATTER": "warn",
    }


def parse(url: str, *, role: str = "primary") -> dict[str, Any]:
    """One entry of ``DATABASES``; raises ``ValueError`` or ``UnknownSchemeError`` for a URL that names none."""
    scheme, _, place = url.partition("://")
    age = environment.whole("CONN_MAX_AGE", 60)
    # dj-database-url knows another backend by the name of Redshift.
    if scheme in REDSHIFT:
        server = dj_database_url.parse(f"postgresql://{place}", conn_max_age=age)
        return {**server, "ENGINE": REDSHIFT[scheme], "CONN_HEALTH_CHECKS": True}
    if scheme == "aurora":
        return _aurora(dict(dj_database_url.parse(f"mysql://{place}", conn_max_age=age)), role)
    entry: dict[str, Any] = dict(dj_database_url.parse(url, conn_max_age=age))
    if entry["ENGINE"] == SQLITE:
        return _sqlite(Path(entry["NAME"]))
    return entry | {"CONN_HEALTH_CHECKS": True}


def _aurora(server: dict[str, Any], role: str) -> dict[str, Any]:
    instances = server.get("OPTIONS", {}).pop("instances", "").replace(",", " ").split()
    cluster = {"ROLE": role} | ({"INSTANCES": instances} if instances else {})
    return server | {"ENGINE": AURORA, "CLUSTER": cluster, "CONN_HEALTH_CHECKS": True}


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


def _shard(name: str, *, is_copied: bool) -> dict[str, Any]:
    return {"PRIMARY": _alias(name)} | ({"REPLICAS": [_replica(name)]} if is_copied else {})


def _alias(name: str) -> str:
    return name.replace("-", "_")


def _replica(name: str) -> str:
    return f"{_alias(name)}_ro"
