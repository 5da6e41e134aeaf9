"""The databases of a run without pytest: made, filled, and removed again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections
from django.test.utils import (
    setup_databases,
    setup_test_environment,
    teardown_databases,
    teardown_test_environment,
)

from tests.properties.route import installed
from tests.properties.tables import LOGICAL, ORACLE, SHARDS, create_missing, empty

ALIASES = ("default", "directory", ORACLE, LOGICAL, *SHARDS.values())


@contextmanager
def databases() -> Iterator[None]:
    """Test databases with all tables, and the router of the oracle, for the block."""
    setup_test_environment()
    made = setup_databases(verbosity=0, interactive=False, aliases=ALIASES)
    try:
        create_missing(ORACLE)
        with installed():
            yield
    finally:
        teardown_databases(made, verbosity=0)
        teardown_test_environment()


@contextmanager
def emptied() -> Iterator[None]:
    """No rows on either side before and after the block."""
    empty()
    try:
        yield
    finally:
        empty()


def engine() -> str:
    """The engine that stores the shards, with its version as far as Django knows it."""
    connection = connections[ORACLE]
    version = getattr(connection, "get_database_version", lambda: ())()
    return f"{connection.display_name} {'.'.join(map(str, version))}".strip()
