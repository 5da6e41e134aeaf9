"""Expressions that Redshift writes in another way: one function a class, found by the compiler."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import NotSupportedError
from django.db.models import Avg, CharField, DurationField, FloatField, IntegerField, TextField, Window
from django.db.models import aggregates as aggregate_classes
from django.db.models.expressions import Col, Combinable, CombinedExpression, DurationExpression, Value
from django.db.models.functions import SHA1, SHA224, SHA256, SHA384, SHA512, Cast, Log, Now, StrIndex
from django.db.models.functions.text import ConcatPair

from horizon_shards.backends.redshift.rendering import SQL, copy_of, internal_type, renders, since
from horizon_shards.backends.redshift.windows import window_sql

# ---- functions -------------------------------------------------------------------------------------------------------


@renders(Now)
def now(node: Any, compiler: Any, connection: Any) -> SQL:
    """NOW() and CURRENT_TIMESTAMP run on the leader node only."""
    return "CAST(GETDATE() AS TIMESTAMP WITH TIME ZONE)", ()


@renders(StrIndex)
def str_index(node: Any, compiler: Any, connection: Any) -> SQL:
    """INSTR has another name."""
    return node.as_sql(compiler, connection, function="STRPOS")  # type: ignore[no-any-return]


@renders(Cast)
def cast(node: Any, compiler: Any, connection: Any) -> SQL:
    """A varchar is cut off by bytes, of which a character has several; ``max_length`` counts characters."""
    length = getattr(node.output_field, "max_length", None)
    if node.output_field.get_internal_type() != "CharField" or length is None:
        return node.as_sql(compiler, connection)  # type: ignore[no-any-return]
    return node.as_sql(compiler, connection, template=f"LEFT(CAST(%(expressions)s AS %(db_type)s), {length})")  # type: ignore[no-any-return]


@renders(Log)
def log(node: Any, compiler: Any, connection: Any) -> SQL:
    """LOG has base 10."""
    (below, params_below), (above, params_above) = (_ln(compiler, each) for each in node.get_source_expressions())
    return f"({above} / {below})", (*params_above, *params_below)


def _ln(compiler: Any, expression: Any) -> SQL:
    sql, params = compiler.compile(expression)
    return f"LN(CAST({sql} AS DOUBLE PRECISION))", tuple(params)


@renders(ConcatPair)
def concat(node: Any, compiler: Any, connection: Any) -> SQL:
    """Nulls are empty, and numbers are text."""
    parts, params = [], []
    for source in node.get_source_expressions():
        sql, source_params = compiler.compile(source)
        if not isinstance(getattr(source, "output_field", None), (CharField, TextField)):
            sql = f"CAST({sql} AS VARCHAR)"
        parts.append(f"COALESCE({sql}, '')")
        params.extend(source_params)
    return f"({' || '.join(parts)})", tuple(params)


@renders(SHA1)
def sha1(node: Any, compiler: Any, connection: Any) -> SQL:
    """SHA1() gives what FUNC_SHA1() gives; this name is not taken by PostgreSQL."""
    return node.as_sql(compiler, connection, function="FUNC_SHA1", template="%(function)s(%(expressions)s)")  # type: ignore[no-any-return]


@renders(SHA224, SHA256, SHA384, SHA512)
def sha2(node: Any, compiler: Any, connection: Any) -> SQL:
    """One function, the bits as its argument."""
    template = f"SHA2(%(expressions)s, {node.function.removeprefix('SHA')})"
    return node.as_sql(compiler, connection, template=template)  # type: ignore[no-any-return]


# ---- aggregates and windows ------------------------------------------------------------------------------------------


@renders(Avg)
def average(node: Any, compiler: Any, connection: Any) -> SQL:
    """AVG of whole numbers is a whole number on Redshift: Django's is not."""
    source, *rest = node.get_source_expressions()
    kind = getattr(source, "_output_field_or_none", None)
    # Durations are whole microseconds, and a fraction of one is not kept.
    if isinstance(kind, IntegerField) and node.output_field.get_internal_type() in {"FloatField", "DecimalField"}:
        cast = FloatField() if node.output_field.get_internal_type() == "FloatField" else node.output_field
        node = copy_of(node, [Cast(source, cast), *rest])
    return node.as_sql(compiler, connection)  # type: ignore[no-any-return]


@renders(since(aggregate_classes, "StringAgg"))
def string_agg(node: Any, compiler: Any, connection: Any) -> SQL:
    """LISTAGG: its order stands outside of the parentheses."""
    order = " WITHIN GROUP (%(order_by)s)" if node.order_by else ""
    template = "%(function)s(%(distinct)s%(expressions)s)" + order
    return node.as_sql(compiler, connection, function="LISTAGG", template=template)  # type: ignore[no-any-return]


@renders(Window)
def window(node: Any, compiler: Any, connection: Any) -> SQL:
    """An aggregate over an order has its frame in so many words, and a frame is one of rows."""
    return window_sql(node, compiler, connection)


# ---- durations: microseconds in a bigint -----------------------------------------------------------------------------


@renders(DurationExpression)
def duration(node: Any, compiler: Any, connection: Any) -> SQL:
    """A moment and a duration; or a duration and a number."""
    left, right = internal_type(node.lhs), internal_type(node.rhs)
    if left == "DurationField" and right in {"DateField", "DateTimeField", "TimeField"}:
        return _shift(node.rhs, node.lhs, node.connector, compiler)
    if right == "DurationField" and left in {"DateField", "DateTimeField", "TimeField"}:
        return _shift(node.lhs, node.rhs, node.connector, compiler)
    return _scaled(node, compiler, connection)


def _shift(moment: Any, length: Any, connector: str, compiler: Any) -> SQL:
    """Hours, seconds and microseconds apart: DATEADD takes numbers of 32 bits."""
    if connector not in {Combinable.ADD, Combinable.SUB}:
        raise NotSupportedError(f"Redshift cannot combine a moment and a duration by {connector!r}.")
    sql, params = compiler.compile(moment)
    span, span_params = compiler.compile(length)
    # Sums and averages are decimals, whose quotients are no whole numbers.
    span = span if isinstance(length, (Col, Value)) else f"CAST({span} AS BIGINT)"
    sign = "-" if connector == Combinable.SUB else ""
    # Without time zones a day is a day, also where the clocks are changed.
    if internal_type(moment) == "DateField" or (internal_type(moment) == "DateTimeField" and not settings.USE_TZ):
        sql = f"CAST({sql} AS TIMESTAMP)"
    parts = {
        "hour": f"{span} / 3600000000",
        "second": f"MOD({span}, 3600000000) / 1000000",
        "microsecond": f"MOD({span}, 1000000)",
    }
    for part, number in parts.items():
        sql = f"DATEADD({part}, {sign}CAST({number} AS INTEGER), {sql})"
    return sql, (*span_params * 3, *params)


@renders(CombinedExpression)
def combined(node: Any, compiler: Any, connection: Any) -> SQL:
    """There is no operator for XOR."""
    if node.connector != Combinable.BITXOR:
        return node.as_sql(compiler, connection)  # type: ignore[no-any-return]
    (left, left_params), (right, right_params) = compiler.compile(node.lhs), compiler.compile(node.rhs)
    return f"((({left}) | ({right})) - (({left}) & ({right})))", (*left_params, *right_params) * 2


def _scaled(node: Any, compiler: Any, connection: Any) -> SQL:
    """Rounded in so many words: a division of whole numbers cuts off, and so does a cast of a decimal."""
    (left, left_params), (right, right_params) = compiler.compile(node.lhs), compiler.compile(node.rhs)
    is_exact = node.connector != Combinable.DIV and _is_whole(node.lhs) and _is_whole(node.rhs)
    left = left if is_exact else f"CAST({left} AS DOUBLE PRECISION)"
    sql = connection.ops.combine_expression(node.connector, [left, right])
    return f"CAST({sql if is_exact else f'ROUND({sql})'} AS BIGINT)", (*left_params, *right_params)


def _is_whole(expression: Any) -> bool:
    return isinstance(getattr(expression, "_output_field_or_none", None), (IntegerField, DurationField))
