"""By which collation a database compares the texts of an expression."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.db.models.expressions import Col, ExpressionWrapper, Ref
from django.db.models.functions import Cast, Collate

from horizon_shards.backends.sharded.kinds import source_of

CODE_POINTS = {"binary", "c", "posix", "ucs_basic", "c.utf-8", "c.utf8"}


def collation_of(expression: Any, connection: Any) -> str | None:
    """The collation by which the database compares an expression; None for plain code points."""
    if type(expression) is Collate:
        return str(expression.collation)  # type: ignore[attr-defined]
    if isinstance(expression, Ref):
        return collation_of(expression.source, connection)  # type: ignore[attr-defined]
    if isinstance(expression, Cast | ExpressionWrapper):
        return collation_of(expression.get_source_expressions()[0], connection)
    own = getattr(getattr(expression, "target", None), "db_collation", None)
    if isinstance(expression, Col):
        return own or default_collation(connection)
    inner = [collation_of(source, connection) for source in expression.get_source_expressions() if source is not None]
    if connection.vendor == "sqlite":
        # The result of a function compares by bytes.
        return None
    return next((collation for collation in inner if collation), default_collation(connection))


def single_collation(expression: Any, connection: Any) -> str | None:
    """The collation of an expression, where all its columns have one; None where they have several, or none."""
    expression = source_of(expression)
    if type(expression) is Collate:
        return str(expression.collation)  # type: ignore[attr-defined]
    nodes = list(expression.flatten())
    found = {collation_of(node, connection) for node in nodes if isinstance(node, Col)}
    mixed = len(found) != 1 or any(isinstance(node, Collate) for node in nodes)
    return None if mixed else found.pop()


def default_collation(connection: Any) -> str | None:
    """The collation of a database's text columns that name none; None for plain code points."""
    if connection.vendor != "postgresql":
        return None
    return _postgresql_collation(connection.alias, connection.settings_dict["NAME"], Hidden(connection))


class Hidden:
    """A connection that takes no part in the key of a cache."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hidden)


@lru_cache(maxsize=256)
def _postgresql_collation(alias: str, name: str, hidden: Hidden) -> str | None:
    with hidden.connection.cursor() as cursor:
        cursor.execute("SELECT datcollate FROM pg_database WHERE datname = current_database()")
        collation = str(cursor.fetchone()[0])
    return None if collation.lower() in CODE_POINTS else collation


def mysql_collation(expression: Any, connection: Any) -> str:
    """The collation by which MySQL compares an expression."""
    return collation_of(expression, connection) or database_collation(connection)


def has_levels(collation: str) -> bool:
    """Whether MariaDB compares by letter, accent and case in turn: it sorts by the first alone, equal or not."""
    return ("uca1400" in collation and "_ai_ci" not in collation) or collation.endswith("_w2")


def database_collation(connection: Any) -> str:
    """The collation of a MySQL database."""
    return _mysql_collations(connection.alias, connection.settings_dict["NAME"], Hidden(connection))[0]


def literal_collation(connection: Any) -> str:
    """The collation by which MySQL compares texts that are in the statement alone."""
    return _mysql_collations(connection.alias, connection.settings_dict["NAME"], Hidden(connection))[1]


@lru_cache(maxsize=256)
def _mysql_collations(alias: str, name: str, hidden: Hidden) -> tuple[str, str]:
    with hidden.connection.cursor() as cursor:
        cursor.execute("SELECT @@collation_database, @@collation_connection")
        database, literals = cursor.fetchone()
    return str(database), str(literals)


def collation_sql(collation: str) -> str:
    """A collation's name as SQL; raises ``ValueError`` for what is none."""
    if not collation.replace("_", "").isalnum():
        raise ValueError(f"{collation!r} is not the name of a collation.")
    return collation
