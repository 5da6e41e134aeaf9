"""A directory of its own for one test, on the engine that ``SHARDS_ENGINE`` names, without Django's test databases."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from horizon_shards.directory.connection import close_all
from horizon_shards.models.directory import Assignment, Block, Bucket, Decision
from tests import settings

ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def fresh_directory(folder: Path, *, tables: bool = True, **entry: Any) -> Iterator[str]:
    """The alias of a new database with the three tables; ``entry`` goes over its settings."""
    alias = f"directory_{uuid.uuid4().hex[:8]}"
    sqlite = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / f"{alias}.sqlite3")}
    base = sqlite if settings.ENGINE == "sqlite" else settings.server(alias)
    default = connections.settings["default"]
    blank = {"USER": "", "PASSWORD": "", "HOST": "", "PORT": "", "OPTIONS": {}, "CONN_MAX_AGE": 0}
    connections.settings[alias] = {**default, **blank, **base, "TEST": default["TEST"], **entry}
    server = settings.ENGINE != "sqlite" and "ENGINE" not in entry
    try:
        if server:
            _ask_server(alias, "CREATE DATABASE")
        if tables:
            make_tables(alias)
        yield alias
    finally:
        close_all()
        # SQLite's own close() keeps a database in memory open.
        BaseDatabaseWrapper.close(connections[alias])
        if server:
            _ask_server(alias, "DROP DATABASE")
        del connections[alias]
        del connections.settings[alias]


def make_tables(alias: str) -> None:
    """The tables of a directory, as the migration makes them."""
    with connections[alias].schema_editor() as editor:
        for model in (Assignment, Bucket, Block, Decision):
            editor.create_model(model)
    connections[alias].close()


def _ask_server(alias: str, statement: str) -> None:
    connection = connections[alias]
    with connection.creation._nodb_cursor() as cursor:
        cursor.execute(f"{statement} {connection.ops.quote_name(connection.settings_dict['NAME'])}")


def run_processes(alias: str, tasks: list[list[Any]]) -> list[Any]:
    """What new processes answer that begin ``tasks`` at the same moment: see ``tests/directory_worker.py``."""
    entry = {key: connections.settings[alias][key] for key in ("ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT")}
    entry["CONN_MAX_AGE"] = connections.settings[alias]["CONN_MAX_AGE"]
    workers = [_start(entry, task) for task in tasks]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    answers = [worker.communicate(timeout=600) for worker in workers]
    errors = "".join(err for _, err in answers)
    assert not errors, errors
    return [json.loads(out) for out, _ in answers]


def _start(entry: dict[str, Any], task: list[Any]) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-m", "tests.directory_worker", json.dumps(entry), json.dumps(task)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, text=True, stdin=pipe, stdout=pipe, stderr=pipe)
