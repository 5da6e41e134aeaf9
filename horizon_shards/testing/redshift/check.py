"""Whether Redshift would accept a statement: its grammar, then the rules; verdicts are kept on disk."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import NamedTuple

from django.db import ProgrammingError

from horizon_shards.exceptions import HorizonShardsError
from horizon_shards.testing.redshift import calls, functions, grammar, lexer, rules
from horizon_shards.testing.redshift.grammar import grammar_error
from horizon_shards.testing.redshift.lexer import fingerprint
from horizon_shards.testing.redshift.rules import broken_rules

_LOCK = threading.Lock()


class Refusal(NamedTuple):
    """The rule that a statement breaks (``"grammar"``, ``"returning"``), and what it says."""

    rule: str
    message: str


class RedshiftRefuses(HorizonShardsError, ProgrammingError):
    """A statement that Redshift would not accept; ``refusals`` names the rules."""

    def __init__(self, refusals: list[Refusal], sql: str) -> None:
        first = refusals[0]
        super().__init__(f"Redshift refuses this ({first.rule}): {first.message}\n{sql[:2000]}")
        self.refusals = refusals


def check_sql(sql: str) -> list[Refusal]:
    """All that keeps Redshift from accepting one statement; an empty list where nothing does."""
    found = list(dict.fromkeys(Refusal(*broken) for broken in broken_rules(sql)))
    if found:
        return found
    with _LOCK:  # one store and one parser for all threads
        error = _grammar_verdict(fingerprint(sql))
    return [Refusal("grammar", error)] if error else []


def _grammar_verdict(text: str) -> str | None:
    store, key = _store(), hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    row = store.execute("SELECT error FROM verdict WHERE id = ?", [key]).fetchone()
    if row is not None:
        return str(row[0]) if row[0] else None
    error = grammar_error(text)
    store.execute("INSERT OR REPLACE INTO verdict (id, error) VALUES (?, ?)", [key, error])
    return error


@cache
def _store() -> sqlite3.Connection:
    """The verdicts of this version of the check; ``REDSHIFT_VERDICTS`` names another folder than that for caches."""
    home = os.environ.get("REDSHIFT_VERDICTS")
    folder = Path(home) if home else Path(tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"horizon_shards_redshift_{os.getuid()}_{_version()}.sqlite3"
    store = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    store.execute("PRAGMA journal_mode = wal")
    store.execute("CREATE TABLE IF NOT EXISTS verdict (id TEXT PRIMARY KEY, error TEXT)")
    return store


def _version() -> str:
    """What the verdicts depend on: the grammar, and how statements are made alike."""
    from sqlfluff import __version__

    code = b"".join(Path(str(module.__file__)).read_bytes() for module in (grammar, lexer, rules, calls, functions))
    return f"{__version__}_{hashlib.sha256(code).hexdigest()[:12]}"
