"""The order of the database in Python: what to select beside a value, and how to compare it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db.models import Field
from django.db.models.expressions import Col, ExpressionWrapper, Ref
from django.db.models.functions import Cast, Collate

from horizon_shards.backends.sharded.mariadb_uuid import order_key
from horizon_shards.exceptions import QueryNotSupported

TEXT = {"CharField", "TextField", "SlugField", "EmailField", "URLField", "FilePathField", "FileField"}
#: Types that Python orders as every supported engine does.
PLAIN = {
    "AutoField",
    "BigAutoField",
    "SmallAutoField",
    "IntegerField",
    "BigIntegerField",
    "SmallIntegerField",
    "PositiveIntegerField",
    "PositiveBigIntegerField",
    "PositiveSmallIntegerField",
    "BooleanField",
    "DateField",
    "DateTimeField",
    "TimeField",
    "DurationField",
    "BinaryField",
}
NUMBERS = {"FloatField", "DecimalField"}
CODE_POINTS = {"binary", "c", "posix", "ucs_basic", "c.utf-8", "c.utf8"}


@dataclass(frozen=True, slots=True)
class Comparable:
    """How values of an expression compare: ``sql`` is what to select (``%s`` stands for the expression, None
    for the value itself), ``key`` turns what was selected into something that Python orders the same way.
    ``collate``: there is no such key, the database has to rank the values with this SQL behind them.
    """

    sql: str | None = None
    key: Callable[[Any], Any] | None = None
    collate: str | None = None


def comparable(expression: Any, connection: Any, *, what: str) -> Comparable:
    """How to compare values of ``expression`` on this engine; raises ``QueryNotSupported`` where it is not known.

    ``what`` names the use in the error ("ordering", "DISTINCT", "Max").
    """
    field = output_field(expression)
    kind = internal_type(field)
    if kind in TEXT:
        return _text(expression, connection, what)
    if kind in NUMBERS:
        return Comparable(key=_number)
    if kind in PLAIN:
        return Comparable(key=bytes if kind == "BinaryField" else None)
    if kind == "UUIDField":
        if not (connection.vendor == "mysql" and connection.features.has_native_uuid_field):
            return Comparable()
        if (key := order_key(connection)) is not None:
            return Comparable(key=key)
    if connection.vendor == "sqlite":
        return Comparable(key=sqlite_value)
    raise QueryNotSupported(
        f"{what} over shards by {expression!r} ({kind or 'unknown type'}) is not supported on "
        f"{connection.display_name}: nothing here knows the database's order of it. Cast it to text or a number.",
        reason="order",
    )


def orderable(expression: Any, connection: Any, *, what: str) -> Comparable:
    """As :func:`comparable`, for a caller that can have texts ranked by the database."""
    if internal_type(output_field(expression)) in TEXT and (sql := _ranking_of(expression, connection)) is not None:
        return Comparable(collate=sql)
    return comparable(expression, connection, what=what)


def _ranking_of(expression: Any, connection: Any) -> str | None:
    """The SQL behind values that have to be ranked; None where they need not be, or nothing says how."""
    if connection.vendor != "postgresql":
        return None
    single = _single_collation(expression, connection)
    if single is None or single.lower() in CODE_POINTS:
        return None
    return "" if single == default_collation(connection) else f" COLLATE {connection.ops.quote_name(single)}"


def _has_levels(collation: str) -> bool:
    """Whether MariaDB compares by letter, accent and case in turn: it sorts by the first alone, equal or not."""
    return ("uca1400" in collation and "_ai_ci" not in collation) or collation.endswith("_w2")


def mysql_collation(expression: Any, connection: Any) -> str:
    """The collation by which MySQL compares an expression."""
    return collation_of(expression, connection) or database_collation(connection)


def _single_collation(expression: Any, connection: Any) -> str | None:
    """The collation of an expression, where all its columns have one; None where they have several, or none."""
    expression = source_of(expression)
    if type(expression) is Collate:
        return str(expression.collation)  # type: ignore[attr-defined]
    nodes = list(expression.flatten())
    found = {collation_of(node, connection) for node in nodes if isinstance(node, Col)}
    mixed = len(found) != 1 or any(isinstance(node, Collate) for node in nodes)
    return None if mixed else found.pop()


def output_field(expression: Any) -> Field[Any, Any] | None:
    """The field that an expression's values are of, or None where Django cannot tell."""
    return getattr(expression, "_output_field_or_none", None) or getattr(expression, "target", None)


def internal_type(field: Any) -> str:
    """The type of the field that is finally meant, through foreign keys."""
    while getattr(field, "remote_field", None) is not None and hasattr(field, "target_field"):
        field = field.target_field
    return "" if field is None else str(field.get_internal_type())


def source_of(expression: Any) -> Any:
    """What a reference to a selected column refers to; any other expression itself."""
    while isinstance(expression, Ref):
        expression = expression.source  # type: ignore[attr-defined]
    return expression


def nulls_first(order: Any, connection: Any) -> bool:
    """Whether NULLs come first in the result that ``order`` (an ``OrderBy``) asks for."""
    if order.nulls_first:
        return True
    if order.nulls_last:
        return False
    return bool(connection.features.order_by_nulls_first) != bool(order.descending)


def _text(expression: Any, connection: Any, what: str) -> Comparable:
    if connection.vendor == "redshift":
        # Blanks at the end do not count.
        return Comparable(key=lambda text: text.rstrip(" "))
    collation = collation_of(expression, connection)
    if connection.vendor == "mysql":
        collation = mysql_collation(expression, connection)
        if not _has_levels(collation):
            return mysql_weights(expression, connection)
    if collation is None or collation.lower() in CODE_POINTS:
        return Comparable()
    if connection.vendor == "sqlite" and collation.upper() in SQLITE_COLLATIONS:
        return Comparable(key=SQLITE_COLLATIONS[collation.upper()])
    raise QueryNotSupported(
        f"{what} over shards by text in the collation {collation!r} is not supported: its order is known to "
        f"{connection.display_name} alone. Write Collate(..., '{_binary(connection)}'), or create the databases "
        "with that collation.",
        reason="collation",
    )


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


def mysql_weights(expression: Any, connection: Any) -> Comparable:
    """MySQL's own sort key; under a PAD SPACE collation texts compare as if filled up with spaces."""
    hidden = Hidden(connection)
    collation = mysql_collation(expression, connection)
    if "_0900_" in collation or "nopad" in collation:
        return Comparable(sql="WEIGHT_STRING(%s)", key=_bytes)
    fill = _mysql_space(collation, hidden)
    return Comparable(
        sql="WEIGHT_STRING(TRIM(TRAILING ' ' FROM %s))", key=lambda weight: FilledUp(_bytes(weight), fill)
    )


def database_collation(connection: Any) -> str:
    """The collation of a MySQL database."""
    return _mysql_collation(connection.alias, connection.settings_dict["NAME"], Hidden(connection))


@lru_cache(maxsize=256)
def _mysql_collation(alias: str, name: str, hidden: Hidden) -> str:
    with hidden.connection.cursor() as cursor:
        cursor.execute("SELECT @@collation_database")
        return str(cursor.fetchone()[0])


@lru_cache(maxsize=64)
def _mysql_space(collation: str, hidden: Hidden) -> bytes:
    """The weight of a space."""
    charset = collation.split("_")[0] if collation.startswith(("utf8", "latin1", "ascii", "ucs2")) else "utf8mb4"
    with hidden.connection.cursor() as cursor:
        cursor.execute(f"SELECT WEIGHT_STRING(_{charset} 0x20 COLLATE {collation_sql(collation)})")
        return _bytes(cursor.fetchone()[0])


def collation_sql(collation: str) -> str:
    """A collation's name as SQL; raises ``ValueError`` for what is none."""
    if not collation.replace("_", "").isalnum():
        raise ValueError(f"{collation!r} is not the name of a collation.")
    return collation


def _binary(connection: Any) -> str:
    return {"sqlite": "BINARY", "mysql": "utf8mb4_bin"}.get(connection.vendor, "C")


def _bytes(value: Any) -> bytes:
    return value.encode("latin-1") if isinstance(value, str) else bytes(value)


def _number(value: Any) -> Any:
    """NaN is the largest number where a database stores it, and equal to itself."""
    return (1, 0) if value != value else (0, value)


def sqlite_value(value: Any) -> tuple[int, Any]:
    """SQLite's order over types: numbers, then text, then bytes."""
    if isinstance(value, bool | int | float):
        return (0, value)
    return (1, value) if isinstance(value, str) else (2, value)


def _no_case(value: str) -> str:
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in value)


#: SQLite's own collations, as functions to what they compare.
SQLITE_COLLATIONS: dict[str, Callable[[str], str]] = {
    "BINARY": str,
    "NOCASE": _no_case,
    "RTRIM": lambda value: value.rstrip(" "),
}


class FilledUp:
    """Weights of a text that compares as if filled up with spaces."""

    __slots__ = ("fill", "weights")

    def __init__(self, weights: bytes, fill: bytes) -> None:
        # Other blanks weigh what a space does: a no-break space in utf8mb4_unicode_ci, say.
        while fill and weights.endswith(fill):
            weights = weights[: -len(fill)]
        self.weights, self.fill = weights, fill

    def __lt__(self, other: FilledUp) -> bool:
        length = max(len(self.weights), len(other.weights))
        return self._to(length) < other._to(length)

    def _to(self, length: int) -> bytes:
        missing = length - len(self.weights)
        return self.weights if missing <= 0 else self.weights + (self.fill * missing)[:missing]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FilledUp) and self.weights == other.weights

    def __hash__(self) -> int:
        return hash(self.weights)


class Descending:
    """Turns the order of a value round."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: Descending) -> bool:
        return bool(other.value < self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Descending) and bool(other.value == self.value)

    __hash__ = None  # type: ignore[assignment]
