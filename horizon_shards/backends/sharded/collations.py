"""By which collation a database compares the texts of an expression."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.db.models.expressions import Col, ExpressionWrapper, Ref, Value
from django.db.models.functions import Cast, Collate

from horizon_shards.backends.sharded.kinds import source_of
from horizon_shards.backends.sharded.walk import nodes_in
from horizon_shards.declarations import final_field

CODE_POINTS = {"binary", "c", "posix", "ucs_basic", "c.utf-8", "c.utf8"}


def collation_of(expression: Any, connection: Any) -> str | None:
    """The collation by which the database compares an expression; None for plain code points."""
    if type(expression) is Collate:
        return str(expression.collation)  # type: ignore[attr-defined]
    if (meant := meant_by(expression)) is not expression:
        return collation_of(meant, connection)
    if isinstance(expression, Cast | ExpressionWrapper):
        return collation_of(expression.get_source_expressions()[0], connection)
    if isinstance(expression, Col):
        return declared_collation(expression) or default_collation(connection)
    if (explicit := explicit_collation(expression)) is not None:
        return explicit  # the first goes for the whole
    if connection.vendor == "sqlite":
        # The result of a function compares by bytes.
        return None
    inner = [collation_of(source, connection) for source in expression.get_source_expressions() if source is not None]
    return next((collation for collation in inner if collation), default_collation(connection))


def meant_by(expression: Any) -> Any:
    """The expression whose values a reference, or a value that a subquery gave, stands for; any other itself."""
    stands = isinstance(expression, Ref) or (isinstance(expression, Value) and hasattr(expression, "source"))
    return meant_by(expression.source) if stands else expression


def explicit_collation(expression: Any) -> str | None:
    """What a COLLATE says that an expression compares by, before everything beside it."""
    explicit = next((node for node in map(meant_by, nodes_in(expression)) if type(node) is Collate), None)
    return None if explicit is None else str(explicit.collation)  # type: ignore[attr-defined]


def own_collation(expression: Any) -> str | None:
    """The collation that PostgreSQL takes for an expression from a column or a COLLATE in it, if from one alone."""
    if (explicit := explicit_collation(expression)) is not None:
        return explicit
    found = _collations_in(expression) - {None}
    return found.pop() if len(found) == 1 else None


def single_collation(expression: Any, connection: Any) -> str | None:
    """The collation of an expression, where all its columns have one; None where they have several, or none."""
    expression = source_of(expression)
    if type(expression) is Collate:
        return str(expression.collation)  # type: ignore[attr-defined]
    nodes = list(expression.flatten())
    found = {collation_of(node, connection) for node in nodes if isinstance(meant_by(node), Col)}
    mixed = len(found) != 1 or any(isinstance(node, Collate) for node in nodes)
    return None if mixed else found.pop()


def declared_collation(column: Col) -> str | None:
    """The collation that a column is declared with; a foreign key has that of the column it refers to."""
    return getattr(final_field(column.target), "db_collation", None)


def compares_alike(left: Any, right: Any) -> bool:
    """Whether texts of ``right`` may be listed beside ``left``: a list has no collation, which a column has."""
    if type(left) is Collate:  # an explicit one decides
        return type(right) is not Collate
    if isinstance(left, Col) and isinstance(right, Col):
        return declared_collation(left) == declared_collation(right)
    return _collations_in(left) == {None} >= _collations_in(right)


def _collations_in(expression: Any) -> set[str | None]:
    nodes = list(nodes_in(expression))
    explicit = {node.collation for node in nodes if type(node) is Collate}  # type: ignore[attr-defined]
    return explicit | {declared_collation(node) for node in nodes if isinstance(node, Col)}


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


def as_column(sql: str, collation: str) -> str:
    """A text that MySQL weighs as a column's: COLLATE would win over BINARY, and over every other collation."""
    column = f"v LONGTEXT COLLATE {collation_sql(collation)} PATH '$'"
    return f"(SELECT v FROM JSON_TABLE(JSON_QUOTE({sql}), '$' COLUMNS ({column})) AS known)"  # noqa: S608


def as_text_of_json(sql: str) -> str:
    """A text that MySQL weighs as one out of JSON, whose collation any column's wins over."""
    return f"JSON_UNQUOTE(JSON_EXTRACT(JSON_QUOTE({sql}), '$'))"


def collation_sql(collation: str) -> str:
    """A collation's name as SQL; raises ``ValueError`` for what is none."""
    if not collation.replace("_", "").isalnum():
        raise ValueError(f"{collation!r} is not the name of a collation.")
    return collation
