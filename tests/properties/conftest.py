"""The oracle's tables, its router, the seed of the run, and the summary of what was compared."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from random import SystemRandom
from typing import Any

import pytest

SEED = int(os.environ.get("ORACLE_SEED") or SystemRandom().randrange(10**9))
#: A few thousand; ``python -m tests.properties`` runs as many as it is told.
QUERIES = int(os.environ.get("ORACLE_QUERIES") or 3000)
_tallies: dict[str, Any] = {}


@pytest.fixture(scope="session")
def oracle_seed() -> int:
    """The seed of this run; ``ORACLE_SEED`` repeats it."""
    return SEED


@pytest.fixture(scope="session")
def oracle_queries() -> int:
    """About how many queries this run compares; ``ORACLE_QUERIES`` changes it."""
    return QUERIES


@pytest.fixture(scope="session")
def tally() -> Any:
    """What this run compared with the shards."""
    from tests.properties.tally import Tally

    return _tallies.setdefault("shards", Tally())


@pytest.fixture(scope="session")
def oracle_tables(django_db_setup: None, django_db_blocker: Any) -> None:
    """The tables of the group in the plain database, too."""
    from tests.properties.tables import ORACLE, create_missing

    with django_db_blocker.unblock():
        create_missing(ORACLE)


@pytest.fixture(autouse=True)
def oracle_router(oracle_tables: None) -> Iterator[None]:
    """The same code asks the oracle inside ``asking()``."""
    from tests.properties.route import installed

    with installed():
        yield


def pytest_report_header() -> str:
    return f"oracle: ORACLE_SEED={SEED}, {QUERIES} queries"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what was compared, and write it where ``ORACLE_JSON`` says."""
    counts = {"seed": SEED, **(_tallies["shards"].as_dict() if "shards" in _tallies else {})}
    faults = dict(getattr(sys.modules.get("tests.properties.test_faults"), "found", []))
    if faults:
        counts["faults_found_after_queries"] = faults
    if len(counts) == 1:
        return
    terminalreporter.section(f"oracle (ORACLE_SEED={SEED})")
    for name, value in counts.items():
        terminalreporter.line(f"{name}: {value}")
    if path := os.environ.get("ORACLE_JSON"):
        Path(path).write_text(json.dumps(counts, indent=2, sort_keys=True))
