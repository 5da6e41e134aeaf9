"""Objects as Firehose writes them, in a folder, and the command that loads them."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from horizon_shards.loading.ledger import loaded_object
from tests.sinks.conftest import make_sink, server
from tests.sinks.models import StoredHit

__all__ = ["make_sink", "server"]

Put = Callable[..., Path]
Load = Callable[..., dict[str, Any]]


def event(number: int, **columns: Any) -> dict[str, Any]:
    """A line's document of a hit, as FirehoseSink writes it."""
    known = {"_model": "sinks.hit", "id": number, "site_id": 1, "event_id": str(uuid.UUID(int=number)), "path": "/"}
    return {**known, "seen": "2026-03-01T12:00:00.123456+00:00", **columns}


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Writes an object of these documents (or texts) to the folder; packed where its name says so."""

    def write(name: str, *documents: Any, between: str = "\n", folder: str = "bucket") -> Path:
        texts = [one if isinstance(one, str) else json.dumps(one) for one in documents]
        content = "".join(f"{text}{between}" for text in texts).encode()
        path = tmp_path / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return write


@pytest.fixture
def load(tmp_path: Path, transactional_db: None) -> Load:
    """Loads the folder into ``default``; the report."""
    forget_objects()

    def run(*arguments: str, folder: str = "bucket", into: bool = True) -> dict[str, Any]:
        out = StringIO()
        given = [*arguments, *(["--into=sinks.Hit=sinks.StoredHit"] if into else [])]
        if "--json" not in given:
            given += ["--json", "--allow-bad"]
        call_command("load_firehose", str(tmp_path / folder), "--database=default", *given, stdout=out)
        found: dict[str, Any] = json.loads(out.getvalue())
        return found

    return run


def forget_objects() -> None:
    """The table of objects belongs to no app, so that nothing empties it between tests."""
    if loaded_object()._meta.db_table in connection.introspection.table_names():
        loaded_object()._base_manager.using("default").all().delete()


def stored() -> list[int]:
    """The ids of the rows that are there."""
    return sorted(StoredHit.objects.values_list("pk", flat=True))


def counts(report: dict[str, Any]) -> tuple[int, int, int]:
    """Objects, rows and duplicates."""
    return report["loaded"], report["rows"], report["duplicates"]
