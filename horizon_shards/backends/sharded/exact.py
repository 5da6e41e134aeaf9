"""Which values of rows elsewhere Python shows just as their database holds them: others no literal stands for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db import connections
from django.db.models import Avg, Count, Max, Min, StdDev, Sum, Variance
from django.db.models.expressions import (
    Case,
    Col,
    CombinedExpression,
    Exists,
    ExpressionWrapper,
    OrderBy,
    Subquery,
    Value,
    Window,
)
from django.db.models.functions import (
    Cast,
    Coalesce,
    DenseRank,
    Extract,
    FirstValue,
    Greatest,
    LastValue,
    Least,
    Length,
    Ntile,
    NullIf,
    Ord,
    Rank,
    RowNumber,
    StrIndex,
)
from django.db.models.functions.datetime import TruncBase
from django.db.models.lookups import IsNull
from django.db.models.sql import Query
from django.db.models.sql.subqueries import UpdateQuery

from horizon_shards.backends.sharded.kinds import NUMBERS, fits, internal_type, output_field, source_of, takes_apart
from horizon_shards.backends.sharded.selected import COMPOUND, WHOLE, selected_column
from horizon_shards.backends.sharded.steps import home_of
from horizon_shards.backends.sharded.walk import Nested, nodes_in

NUMERIC = (
    "computes its numbers, which the database compares with more digits, or as another type, than Python shows: "
    "Cast() them to whole numbers"
)
JSON = "gives JSON or an array, which may be selected or, of a plain column, stored, but not compared or computed with"
PARTS = (
    "computes a duration of which another function takes days or hours, or makes a text: PostgreSQL counts days and "
    "hours apart, of which Python knows the length alone; take them in Python"
)
ZONE = "gives times of another zone than its database's, which are no points in time there"
HOURS = (
    "gives dates of which PostgreSQL knows the hours as well, which Python does not show: TruncDate() them, or leave "
    "out output_field=DateField()"
)
#: The results of these are whole in every database.
WHOLE_RESULTS = (Count, Length, StrIndex, Ord, Extract, RowNumber, Rank, DenseRank, Ntile)
#: The results of these are one of the values that they are given.
CHOICES = {Min, Max, Coalesce, Greatest, Least, NullIf, ExpressionWrapper, Window, FirstValue, LastValue, Case}


def lost_in_list(query: Any) -> str | None:
    """What is lost where the values of a query are listed; None where nothing is."""
    if _is_local(query):
        return ZONE
    vendor = connections[home_of(query)].vendor
    if vendor == "postgresql" and _hides_hours(query):
        return HOURS
    return None if all(is_exact(one, vendor) for one in _selected(query)) else NUMERIC


def lost_as_value(nested: Nested) -> str | None:
    """What is lost where a literal stands for the one value of a query; None where nothing is."""
    query = nested.query
    # Later versions of Django unwrap a Subquery.
    holder = nested.holder if isinstance(nested.user, Subquery) else nested.user
    is_alone = isinstance(holder, Query | OrderBy | IsNull)
    is_shown = is_alone and not isinstance(holder, UpdateQuery | IsNull)
    kinds = {internal_type(output_field(one)) for one in _selected(query)}
    if COMPOUND.intersection(kinds):
        return None if is_shown or (is_alone and _is_of_column(query)) else JSON
    if connections[home_of(query)].vendor == "postgresql":
        if takes_apart(holder, selected_column(query)):
            return PARTS
        if _hides_hours(query):
            return HOURS
    if is_alone and not isinstance(holder, UpdateQuery):
        return ZONE if _is_local(query) else None
    return lost_in_list(query)


def _is_of_column(query: Any) -> bool:
    """Whether a query gives a column of rows as it is: JSON's null can be told from NULL then."""
    plain = not query.combinator and not query.distinct and query.group_by is None
    return plain and isinstance(selected_column(query), Col)


def _selected(query: Any) -> Iterator[Any]:
    """What a query selects, in each of its parts and inside of subqueries."""
    if query.combinator:
        for part in query.combined_queries:
            yield from _selected(part)
        return
    source = source_of(selected_column(query))
    if isinstance(source, Query | Subquery) and not isinstance(source, Exists):
        yield from _selected(getattr(source, "query", source))
    else:
        yield source


def _is_local(query: Any) -> bool:
    """Whether a query gives times cut off in another zone than the database's: they are local to it, without one."""
    connection = connections[home_of(query)]
    zone = getattr(connection, "lead", connection).timezone_name
    nodes = (node for one in _selected(query) if _kind(one) == "DateTimeField" for node in nodes_in(one))
    cut = (node for node in nodes if isinstance(node, TruncBase) and _kind(node) == "DateTimeField")
    return settings.USE_TZ and any(node.get_tzname() != zone for node in cut)


def _hides_hours(query: Any) -> bool:
    """Whether a query cuts off less than days, and calls the rest a date."""
    nodes = (node for one in _selected(query) for node in nodes_in(one))
    cut = (node for node in nodes if isinstance(node, TruncBase) and _kind(node) == "DateField")
    return any(node.kind in ("hour", "minute", "second") for node in cut)


def _kind(expression: Any) -> str:
    kind = internal_type(output_field(expression))
    return "whole" if kind in WHOLE else kind


def is_exact(expression: Any, vendor: str) -> bool:
    """Whether values of an expression, where they are numbers, are shown as the engine compares them."""
    expression, kind = source_of(expression), _kind(expression)
    if isinstance(expression, Col | Value) or kind not in NUMBERS | {"whole", "DurationField", "Field", ""}:
        return not isinstance(expression, Value) or kind != "DecimalField" or _is_plain(expression, vendor)
    if kind == "whole" and isinstance(expression, WHOLE_RESULTS):
        return True
    if isinstance(expression, Cast):
        return kind == "whole" or (kind == "DecimalField" and vendor != "sqlite")
    if type(expression) in CHOICES:
        return all(_goes_on(source, expression, vendor) for source in _chosen(expression))
    if vendor == "sqlite" and kind in NUMBERS:
        return kind == "FloatField" and type(expression) in (Avg, StdDev, Variance)
    if type(expression) is Sum:
        return kind != "FloatField" and _goes_on(_chosen(expression)[0], expression, vendor)
    return isinstance(expression, CombinedExpression) and _is_exact_sum(expression, kind, vendor)


def _is_plain(value: Value, vendor: str) -> bool:
    """Whether a decimal that stands in the query is what a column would hold."""
    return value.value is None or (vendor != "sqlite" and value.value == int(value.value))


def _chosen(expression: Any) -> list[Any]:
    """The expressions of which a value is chosen, without conditions."""
    if isinstance(expression, Case):
        return [*(case.result for case in expression.cases), expression.default]
    sources: list[Any] = expression.get_source_expressions()
    return sources if type(expression) in (Coalesce, Greatest, Least) else sources[:1]


def _goes_on(source: Any, result: Any, vendor: str) -> bool:
    """Whether values of ``source`` are exact, and so as values of the type of ``result``."""
    kind = _kind(result)
    if isinstance(source, Value) and (source.value is None or (type(source.value) is int and kind != "FloatField")):
        return True
    if _kind(source) != kind or not is_exact(source, vendor):
        return False
    return kind != "DecimalField" or isinstance(source, Value) or fits(source, result)


def _is_exact_sum(expression: Any, kind: str, vendor: str) -> bool:
    """Whether a result of ``+``, ``-`` or ``*`` has all its digits: the engines show those of whole numbers."""
    sides = expression.lhs, expression.rhs
    kinds = {"whole": {"whole"}, "DecimalField": {"whole", "DecimalField"}}.get(kind)
    if kind == "DurationField":
        return expression.connector in ("+", "-") and all(is_exact(side, vendor) for side in sides)
    if kinds is None or expression.connector not in ("+", "-", "*"):
        return False
    return all(_kind(side) in kinds and is_exact(side, vendor) for side in sides)
