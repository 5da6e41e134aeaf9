"""Expressions that Redshift writes in another way: one function a class, found by the compiler."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from django.conf import settings
from django.core.exceptions import FieldError
from django.db import NotSupportedError
from django.db.models import Avg, CharField, FloatField, IntegerField, TextField, Window
from django.db.models import aggregates as aggregate_classes
from django.db.models import functions as function_classes
from django.db.models.expressions import Col, Combinable, CombinedExpression, DurationExpression, ValueRange
from django.db.models.fields.json import (
    HasAnyKeys,
    HasKeyLookup,
    HasKeys,
    JSONExact,
    JSONIContains,
    KeyTextTransform,
    KeyTransform,
    KeyTransformIsNull,
)
from django.db.models.fields.tuple_lookups import TupleExact
from django.db.models.functions import (
    SHA1,
    SHA224,
    SHA256,
    SHA384,
    SHA512,
    Cast,
    JSONObject,
    Log,
    Now,
    StrIndex,
)
from django.db.models.functions.text import ConcatPair
from django.db.models.sql import Query

from horizon_shards.backends.redshift.literals import SuperValue, quoted
from horizon_shards.backends.redshift.windows import needs_frame, with_frame

SQL = tuple[str, tuple[Any, ...]]
Render = Callable[[Any, Any, Any], SQL]

_RENDER: dict[type, Render] = {}


@cache
def rendering_of(kind: type) -> Render | None:
    """The function that writes expressions of a class, or None where Django's own will do, or the class's own."""
    for parent in kind.__mro__:
        if parent in _RENDER:
            return _RENDER[parent]
        if vars(parent).keys() & {"as_sql", "as_redshift"}:
            return None
    return None


def _renders(*kinds: type | None) -> Callable[[Render], Render]:
    def register(render: Render) -> Render:
        _RENDER.update({kind: render for kind in kinds if kind is not None})
        return render

    return register


def _since(module: Any, name: str) -> type | None:
    """A class that older Djangos do not have."""
    return getattr(module, name, None)


def _internal_type(expression: Any) -> str | None:
    try:
        return str(expression.output_field.get_internal_type())
    except (FieldError, AttributeError):
        return None


def _copy(node: Any, sources: list[Any]) -> Any:
    clone = node.copy()
    clone.set_source_expressions(sources)
    return clone


# ---- functions -------------------------------------------------------------------------------------------------------


@_renders(Now)
def now(node: Any, compiler: Any, connection: Any) -> SQL:
    """NOW() and CURRENT_TIMESTAMP run on the leader node only."""
    return "CAST(GETDATE() AS TIMESTAMP WITH TIME ZONE)", ()


@_renders(StrIndex)
def str_index(node: Any, compiler: Any, connection: Any) -> SQL:
    """INSTR has another name."""
    return node.as_sql(compiler, connection, function="STRPOS")  # type: ignore[no-any-return]


@_renders(Cast)
def cast(node: Any, compiler: Any, connection: Any) -> SQL:
    """A varchar is cut off by bytes, of which a character has several; ``max_length`` counts characters."""
    length = getattr(node.output_field, "max_length", None)
    if node.output_field.get_internal_type() != "CharField" or length is None:
        return node.as_sql(compiler, connection)  # type: ignore[no-any-return]
    return node.as_sql(compiler, connection, template=f"LEFT(CAST(%(expressions)s AS %(db_type)s), {length})")  # type: ignore[no-any-return]


@_renders(Log)
def log(node: Any, compiler: Any, connection: Any) -> SQL:
    """LOG has base 10."""
    (below, params_below), (above, params_above) = (_ln(compiler, each) for each in node.get_source_expressions())
    return f"({above} / {below})", (*params_above, *params_below)


def _ln(compiler: Any, expression: Any) -> SQL:
    sql, params = compiler.compile(expression)
    return f"LN(CAST({sql} AS DOUBLE PRECISION))", tuple(params)


@_renders(ConcatPair)
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


@_renders(SHA1)
def sha1(node: Any, compiler: Any, connection: Any) -> SQL:
    """SHA1() gives what FUNC_SHA1() gives; this name is not taken by PostgreSQL."""
    return node.as_sql(compiler, connection, function="FUNC_SHA1", template="%(function)s(%(expressions)s)")  # type: ignore[no-any-return]


@_renders(SHA224, SHA256, SHA384, SHA512)
def sha2(node: Any, compiler: Any, connection: Any) -> SQL:
    """One function, the bits as its argument."""
    template = f"SHA2(%(expressions)s, {node.function.removeprefix('SHA')})"
    return node.as_sql(compiler, connection, template=template)  # type: ignore[no-any-return]


@_renders(JSONObject)
def json_object(node: Any, compiler: Any, connection: Any) -> SQL:
    """A SUPER object."""
    return _call("OBJECT", node.get_source_expressions(), compiler)


@_renders(_since(function_classes, "JSONArray"))
def json_array(node: Any, compiler: Any, connection: Any) -> SQL:
    """A SUPER array."""
    return _call("ARRAY", node.get_source_expressions(), compiler)


def _call(name: str, sources: list[Any], compiler: Any) -> SQL:
    compiled = [compiler.compile(source) for source in sources]
    sql = ", ".join(sql for sql, _ in compiled)
    return f"{name}({sql})", tuple(param for _, params in compiled for param in params)


# ---- aggregates and windows ------------------------------------------------------------------------------------------


@_renders(Avg)
def average(node: Any, compiler: Any, connection: Any) -> SQL:
    """AVG of whole numbers is a whole number on Redshift: Django's is not."""
    source, *rest = node.get_source_expressions()
    kind = getattr(source, "_output_field_or_none", None)
    # Durations are whole microseconds, and a fraction of one is not kept.
    if isinstance(kind, IntegerField) and node.output_field.get_internal_type() in {"FloatField", "DecimalField"}:
        cast = FloatField() if node.output_field.get_internal_type() == "FloatField" else node.output_field
        node = _copy(node, [Cast(source, cast), *rest])
    return node.as_sql(compiler, connection)  # type: ignore[no-any-return]


@_renders(_since(aggregate_classes, "StringAgg"))
def string_agg(node: Any, compiler: Any, connection: Any) -> SQL:
    """LISTAGG: its order stands outside of the parentheses."""
    order = " WITHIN GROUP (%(order_by)s)" if node.order_by else ""
    template = "%(function)s(%(distinct)s%(expressions)s)" + order
    return node.as_sql(compiler, connection, function="LISTAGG", template=template)  # type: ignore[no-any-return]


@_renders(Window)
def window(node: Any, compiler: Any, connection: Any) -> SQL:
    """An aggregate over an order has its frame in so many words."""
    if needs_frame(node):
        node = with_frame(node, compiler.query)
    return node.as_sql(compiler, connection)  # type: ignore[no-any-return]


@_renders(ValueRange)
def value_range(node: Any, compiler: Any, connection: Any) -> SQL:
    """RANGE frames do not exist."""
    raise NotSupportedError("Redshift has ROWS frames only: use RowRange in place of ValueRange.")


# ---- durations: microseconds in a bigint -----------------------------------------------------------------------------


@_renders(DurationExpression)
def duration(node: Any, compiler: Any, connection: Any) -> SQL:
    """A moment and a duration; or a duration and a number."""
    left, right = _internal_type(node.lhs), _internal_type(node.rhs)
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
    sign = "-" if connector == Combinable.SUB else ""
    # Without time zones a day is a day, also where the clocks are changed.
    if _internal_type(moment) == "DateField" or (_internal_type(moment) == "DateTimeField" and not settings.USE_TZ):
        sql = f"CAST({sql} AS TIMESTAMP)"
    parts = {
        "hour": f"{span} / 3600000000",
        "second": f"MOD({span}, 3600000000) / 1000000",
        "microsecond": f"MOD({span}, 1000000)",
    }
    for part, number in parts.items():
        sql = f"DATEADD({part}, {sign}CAST({number} AS INTEGER), {sql})"
    return sql, (*span_params * 3, *params)


@_renders(CombinedExpression)
def combined(node: Any, compiler: Any, connection: Any) -> SQL:
    """There is no operator for XOR."""
    if node.connector != Combinable.BITXOR:
        return node.as_sql(compiler, connection)  # type: ignore[no-any-return]
    (left, left_params), (right, right_params) = compiler.compile(node.lhs), compiler.compile(node.rhs)
    return f"((({left}) | ({right})) - (({left}) & ({right})))", (*left_params, *right_params) * 2


def _scaled(node: Any, compiler: Any, connection: Any) -> SQL:
    (left, left_params), (right, right_params) = compiler.compile(node.lhs), compiler.compile(node.rhs)
    sql = connection.ops.combine_expression(node.connector, [left, right])
    return f"CAST(({sql}) AS BIGINT)", (*left_params, *right_params)


@_renders(TupleExact)
def tuple_exact(node: Any, compiler: Any, connection: Any) -> SQL:
    """There are no row constructors: Django writes the columns of values apart, but those of a subquery together."""
    if isinstance(node.rhs, Query):
        raise NotSupportedError(
            "Redshift compares a composite key with no subquery: use __in, or read the key first and compare with that."
        )
    return node.as_sql(compiler, connection)  # type: ignore[no-any-return]


# ---- JSON in SUPER ---------------------------------------------------------------------------------------------------


def _path(lhs: str, keys: list[str]) -> str:
    """The PartiQL path of keys below a column; whole numbers count elements of an array."""
    return lhs + "".join(f"[{key}]" if key.isdecimal() else f".{_name(key)}" for key in keys)


def _name(key: str) -> str:
    return '"' + key.replace('"', '""').replace("%", "%%") + '"'


def _navigate(node: Any, compiler: Any, connection: Any) -> SQL:
    root = node
    while isinstance(root, KeyTransform):
        root = root.lhs
    if not isinstance(root, Col):
        raise NotSupportedError("Redshift's paths lead into columns of JSON, not into other expressions.")
    sql, params, keys = node.preprocess_lhs(compiler, connection)
    return _path(sql, keys), tuple(params)


@_renders(KeyTransform)
def key_transform(node: Any, compiler: Any, connection: Any) -> SQL:
    """``column.key[0]``."""
    return _navigate(node, compiler, connection)


@_renders(KeyTextTransform)
def key_text(node: Any, compiler: Any, connection: Any) -> SQL:
    """The value below a key as text."""
    sql, params, keys = node.preprocess_lhs(compiler, connection)
    path = ", ".join(quoted(key).replace("%", "%%") for key in keys)
    return f"NULLIF(JSON_EXTRACT_PATH_TEXT(JSON_SERIALIZE({sql}), {path}), '')", tuple(params)


@_renders(JSONExact)
def json_exact(node: Any, compiler: Any, connection: Any) -> SQL:
    """JSON's null is a document, not a text."""
    left, left_params = node.process_lhs(compiler, connection)
    right, right_params = node.process_rhs(compiler, connection)
    values = tuple(SuperValue("null") if value == "null" else value for value in right_params)
    return f"{left} {node.get_rhs_op(connection, right)}", (*left_params, *values)


@_renders(KeyTransformIsNull)
def key_is_null(node: Any, compiler: Any, connection: Any) -> SQL:
    """A key that is there with JSON's null is not missing."""
    sql, params = _navigate(node.lhs, compiler, connection)
    return f"JSON_TYPEOF({sql}) IS {'' if node.rhs else 'NOT '}NULL", params


@_renders(HasKeyLookup)
def has_key(node: Any, compiler: Any, connection: Any) -> SQL:
    """A key is there where its value has a type."""
    keys = node.rhs if isinstance(node, (HasKeys, HasAnyKeys)) else [node.rhs]
    if any(isinstance(key, KeyTransform) for key in keys):
        raise NotSupportedError("Redshift's has_key takes the names of keys, not other expressions.")
    if isinstance(node.lhs, KeyTransform):
        lhs, params, below = node.lhs.preprocess_lhs(compiler, connection)
    else:
        (lhs, params), below = compiler.compile(node.lhs), []
    base = _path(lhs, below)
    tests = [f"JSON_TYPEOF({base}.{_name(str(key))}) IS NOT NULL" for key in keys]
    return f"({(node.logical_operator or ' AND ').join(tests)})", tuple(params) * len(tests)


@_renders(JSONIContains)
def json_icontains(node: Any, compiler: Any, connection: Any) -> SQL:
    """The text of the whole document."""
    sql, params = compiler.compile(node.lhs)
    pattern = connection.ops.prep_for_like_query(node.rhs)
    return f"UPPER(JSON_SERIALIZE({sql})) LIKE UPPER(%s)", (*params, f"%{pattern}%")
