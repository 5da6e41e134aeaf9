"""``column IN (values)`` for values that another query gave: three-valued as SQL's, and without the engine's limits."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.exceptions import EmptyResultSet
from django.db.models.expressions import Expression, Value
from django.db.models.functions import Cast, TruncDate, TruncTime
from django.db.models.functions.datetime import TruncBase
from django.db.models.lookups import In, IsNull
from django.db.models.sql.where import AND, WhereNode

from horizon_shards.backends.sharded.collations import (
    as_column,
    as_text_of_json,
    collation_of,
    collation_sql,
    default_collation,
    explicit_collation,
    literal_collation,
)
from horizon_shards.backends.sharded.constants import SQLITE_DECIMAL, typed_by_postgresql
from horizon_shards.backends.sharded.kinds import internal_type, is_cut_to_seconds, output_field
from horizon_shards.backends.sharded.mysql_collations import OF_JSON, mysql_collation, weighs_as_literal


class Pending(str):
    """Stands for values that are known at execution only; a text, so that it can be a parameter of a rehearsal."""

    __slots__ = ()

    def __new__(cls) -> Pending:
        """Say what it stands for."""
        return super().__new__(cls, "the values of another query")


class BoundIn(In):
    """IN over values, one of which may be NULL: then it is unknown for every row that has none of the others."""

    #: Whether Django may leave out what needs one of no values. It does so with all that an aggregate over such a
    #: condition is compared with, which then is not 0 but nothing.
    is_left_out = True

    def __init__(self, lhs: Any, values: Iterable[Any]) -> None:
        super().__init__(lhs, list(values))

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """IN, or plainly false where there are no values."""
        return super().as_sql(compiler, connection) if self.rhs or self.is_left_out else ("1 = 0", ())

    def process_rhs(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        """The values as parameters; whole numbers are written out, since engines limit the parameters."""
        values = dict.fromkeys(self.rhs)
        if not values:
            raise EmptyResultSet
        known: Any = [value for value in values if value is not None]
        sqls, params = self.batch_process_rhs(compiler, connection, known) if known else ((), ())
        written = [_written(sql, param) for sql, param in zip(sqls, params, strict=True)]
        nulls = ["NULL"] if None in values else []
        left = [param for text, param in zip(written, params, strict=True) if text is None]
        texts = [text or sql for text, sql in zip(written, sqls, strict=True)]
        return f"({', '.join(texts + nulls)})", tuple(left)


def written_out(answer: Any) -> Any:
    """The answer, with SQL also where there are no values."""
    for part in answer.children if isinstance(answer, WhereNode) else ():
        written_out(part)
    if isinstance(answer, BoundIn):
        answer.is_left_out = False
    return answer


class PendingIn(BoundIn):
    """Stands in a plan for a :class:`BoundIn` whose values are not known yet; it narrows nothing."""

    def __init__(self, lhs: Any) -> None:
        super().__init__(lhs, [])
        self.rhs = Pending()

    def process_rhs(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        """One parameter that says what it stands for."""
        return "(%s)", (self.rhs,)


class PendingValue(Value):
    """Stands in a plan for a value that is not known yet."""

    def __init__(self, output_field: Any) -> None:
        super().__init__(Pending(), output_field=output_field)

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """One parameter that says what it stands for."""
        return "%s", [self.value]


#: The types of MySQL's columns that a literal has not: it would be a text.
MYSQL_TYPES = {"DateField": "DATE", "DateTimeField": "DATETIME(6)", "TimeField": "TIME(6)", "JSONField": "JSON"}


class BoundValue(Value):
    """What a subquery gave, or None: with the type and the collation that ``source``, what it selects, has in SQL."""

    def __init__(self, value: Any, source: Any, output_field: Any, *, is_json_null: bool = False) -> None:
        super().__init__(value, output_field=output_field)
        self.source = source
        self.is_json_null = is_json_null

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """NULL for None, or JSON's null: of a field of JSON, Django takes None for either."""
        if self.value is not None:
            return super().as_sql(compiler, connection)
        return ("%s", (self.output_field.get_db_prep_value(None, connection),)) if self.is_json_null else ("NULL", ())

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """As its cast writes it: a time has a fraction then, also of 0; a decimal as a column holds it."""
        if isinstance(self.source, Cast):
            return compiler.compile(Cast(Value(self.value, self.output_field), self.source.output_field))
        if isinstance(self.value, Decimal):
            sql, params = self.as_sql(compiler, connection)
            return SQLITE_DECIMAL.replace("%s", sql, 1), params
        return super().as_sqlite(compiler, connection, **extra)  # type: ignore[misc]

    def as_mysql(self, compiler: Any, connection: Any) -> Any:
        """With a type where a literal has another one, or the collation where the session has another one."""
        sql, params = self.as_sql(compiler, connection)
        kind = MYSQL_TYPES.get(internal_type(self.output_field))
        if kind is not None:  # to MariaDB, JSON is a text
            is_text = kind == "JSON" and connection.mysql_is_mariadb
            kind = kind.removesuffix("(6)") if is_cut_to_seconds(self.source) else kind
            return sql if is_text else f"CAST({sql} AS {kind})", params
        if isinstance(self.value, int | float | Decimal | timedelta):
            return f"({sql} + 0)", params  # ORDER BY a number alone is by the column of this number
        if isinstance(self.value, str):
            sql = _of_collation(sql, self.source, connection)
        return sql, params

    def as_postgresql(self, compiler: Any, connection: Any) -> Any:
        """With its type, since ORDER BY takes no literal, and the collation where the column has one of its own."""
        is_local = settings.USE_TZ and isinstance(self.value, datetime) and self.value.tzinfo is None
        # Django would take a time without a zone, which is its database's, for the application's.
        sql, params = ("%s", (self.value,)) if is_local else self.as_sql(compiler, connection)
        known = [] if self.value is None else [self.value]
        sql = typed_by_postgresql(known, self.source, connection).replace("%s", sql, 1)
        if (cut := _type_of_cut(self.source)) is not None:
            sql = f"({sql})::{cut}"
        own = collation_of(self.source, connection) if isinstance(self.value, str) else None
        if own is not None and own != default_collation(connection):
            sql = f"({sql} COLLATE {connection.ops.quote_name(own)})"
        return sql, params


def _type_of_cut(source: Any) -> str | None:
    """The type that PostgreSQL gives to a time or a date cut off; Django converts those that it selects itself."""
    if not isinstance(source, TruncBase) or isinstance(source, TruncDate | TruncTime):
        return None
    kind = internal_type(output_field(source.lhs))
    return {"DateTimeField": "timestamp", "DateField": "timestamptz"}.get(kind)


def _of_collation(sql: str, source: Any, connection: Any) -> str:
    """A text with the collation of ``source``, and its weight: COLLATE would win over all others."""
    own, literal = mysql_collation(source, connection), literal_collation(connection)
    if own.partition("_")[0] != literal.partition("_")[0]:  # a literal has the session's character set
        return sql
    if explicit_collation(source) is not None:
        return f"({sql} COLLATE {collation_sql(own)})"
    if own == OF_JSON and weighs_as_literal(source, connection):
        return as_text_of_json(sql)
    if own == literal and not own.endswith("_bin"):
        return sql
    return as_column(sql, own)


class NeverValue(Expression):
    """The value of a subquery that can never give one: as that, it leaves out the condition that needs it.

    No ``Value``, of which Django knows without SQL whether it is NULL.
    """

    empty_result_set_value = None

    def get_group_by_cols(self) -> list[Any]:
        """Nothing to group by."""
        return []

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """Say that there is nothing."""
        raise EmptyResultSet


def _written(sql: str, param: Any) -> str | None:
    return str(param) if type(param) is int and sql == "%s" else None


def bound_exists(lhs: Any, lookup: Any) -> WhereNode:
    """As ``lookup``, but false where the left side is NULL: what EXISTS says of a row."""
    not_null: Any = IsNull(lhs, False)
    return WhereNode([lookup, not_null], AND)
