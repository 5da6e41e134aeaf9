"""Queries that have to run before another one, because their rows are elsewhere: what they ask, and what is bound."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connections, router
from django.db.models import TextField
from django.db.models.expressions import Col, ExpressionWrapper
from django.db.models.functions import Cast

from horizon_shards.backends.sharded.bound import BoundIn, BoundValue, NeverValue, PendingIn, PendingValue, bound_exists
from horizon_shards.backends.sharded.kinds import (
    PLAIN,
    TEXT,
    internal_type,
    output_field,
)
from horizon_shards.backends.sharded.rewrite import selecting
from horizon_shards.backends.sharded.selected import selected_column
from horizon_shards.backends.sharded.tables import model_of
from horizon_shards.exceptions import KeyLimitExceeded, QueryNotSupported


@dataclass(frozen=True)
class Step(ABC):
    """A query that runs first (``query``), and the expression of the outer query that its rows replace."""

    query: Any
    replaces: Any

    @property
    def home(self) -> str:
        """The alias of the database that answers."""
        return home_of(self.query)

    def __str__(self) -> str:
        return f"{self.what} of {model_of(self.query)._meta.label} from {self.home}"

    @property
    @abstractmethod
    def what(self) -> str:
        """What is fetched, in words."""

    @abstractmethod
    def pending(self) -> Any:
        """What stands for the answer in a plan."""

    @abstractmethod
    def answer(self, config: Any) -> Any:
        """Run the query; what replaces the expression."""


class MembersStep(Step):
    """``column IN (SELECT ...)``."""

    what = "the values"

    def pending(self) -> Any:
        return PendingIn(self.replaces.lhs)

    def answer(self, config: Any) -> Any:
        return BoundIn(self.replaces.lhs, values_of(self.query, config.max_keys))


@dataclass(frozen=True)
class MatchStep(Step):
    """``EXISTS (SELECT ... WHERE inner column = column)``: the values of the inner column."""

    column: Any = None

    what = "the matching values"

    def pending(self) -> Any:
        return bound_exists(self.column, PendingIn(self.column))

    def answer(self, config: Any) -> Any:
        values = [value for value in values_of(self.query, config.max_keys) if value is not None]
        return bound_exists(self.column, BoundIn(self.column, values))


class ExistsStep(Step):
    """``EXISTS (SELECT ...)`` that does not refer to the outer row."""

    what = "whether there is a row"

    def pending(self) -> Any:
        return PendingValue(self.replaces.output_field)

    def answer(self, config: Any) -> Any:
        found = next(rows_of(self.query), None) is not None
        return BoundValue(found, self.replaces, self.replaces.output_field)


class ValueStep(Step):
    """A subquery that gives one value, or none: NULL."""

    what = "the one value"

    def pending(self) -> Any:
        return PendingValue(self.replaces.output_field)

    def answer(self, config: Any) -> Any:
        source, field = selected_column(self.query), self.replaces.output_field
        is_json = internal_type(output_field(source)) == "JSONField"
        rows = list(islice(rows_of(_with_text(self.query) if is_json else self.query), 2))
        if len(rows) > 1:
            raise QueryNotSupported(
                f"The subquery on {self.query.get_meta().label} gives more than one row where one value is compared: "
                "slice it ([:1]), or use __in.",
                reason="several-rows",
            )
        if not rows and can_never_hold(self.query):
            return NeverValue(output_field=field)
        value, *text = rows[0] if rows else (None,)
        _check_texts(self.query, [value])
        bound = BoundValue(value, source, field, is_json_null=any(one is not None for one in text))
        # Django takes a Value of None for what it would be elsewhere.
        return ExpressionWrapper(bound, field) if is_json and value is None else bound


def _with_text(query: Any) -> Any:
    """The query with the text of its column of JSON beside it: Python shows JSON's null as it does NULL."""
    column = selected_column(query)
    return (
        selecting(query, column, Cast(column, TextField()))
        if isinstance(column, Col) and not query.combinator
        else query
    )


def home_of(query: Any) -> str:
    """The alias that Django would run the query on."""
    return str(getattr(query, "_db", None) or router.db_for_read(model_of(query)))


def rows_of(query: Any) -> Iterator[Any]:
    """The rows of a query that stood inside another one, from its own database."""
    return iter(compiler_of(query).results_iter(tuple_expected=True, chunked_fetch=True))


def compiler_of(query: Any) -> Any:
    """The compiler of a query that stood inside another one, on its own database."""
    return _by_itself(query).get_compiler(using=home_of(query))


def _by_itself(query: Any) -> Any:
    inner = query.clone()
    inner.subquery, inner.model = False, model_of(query)
    return inner


def can_never_hold(query: Any) -> bool:
    """Whether Django sees without asking that the query gives nothing; it then leaves out what needs its value.

    Asked of the query as it was written: what is answered elsewhere first would be a condition like any other.
    """
    connection = connections[home_of(query)]
    lead = getattr(connection, "lead", connection)
    try:
        lead.ops.compiler(query.compiler)(_by_itself(query), lead, lead.alias).as_sql()
    except EmptyResultSet:
        return True
    return False


def values_of(query: Any, max_keys: int) -> list[Any]:
    """The values of a query with one column, each once; raises ``KeyLimitExceeded`` beyond ``max_keys``."""
    inner = without_duplicates(query)
    values: dict[Any, None] = {}
    connection = connections[home_of(query)]
    zone = getattr(connection, "lead", connection).timezone
    for row in rows_of(inner):
        values[_in_zone(row[0], zone)] = None
        if len(values) > max_keys:
            raise too_many_keys(inner, max_keys)
    _check_texts(query, values)
    return list(values)


def _in_zone(value: Any, zone: Any) -> Any:
    """The value, a time without a zone in that of its database: Django would take it for the application's."""
    is_local = zone is not None and isinstance(value, datetime) and value.tzinfo is None
    return value.replace(tzinfo=zone) if is_local else value


def _check_texts(query: Any, values: Iterable[Any]) -> None:
    """Raise where an expression of texts gives numbers, as SQLite may: bound, they would be texts."""
    source = selected_column(query)
    is_text = not isinstance(source, Col) and internal_type(output_field(source)) in TEXT
    if is_text and any(isinstance(value, int | float) for value in values):
        raise QueryNotSupported(
            f"The subquery on {query.get_meta().label} gives numbers for {source!r}, which is declared as text: name "
            "its type (output_field), or Cast() it.",
            reason="subquery",
        )


def without_duplicates(query: Any) -> Any:
    """The query with DISTINCT, where that loses no value: the databases may call different texts equal."""
    if query.is_sliced or query.distinct or query.combinator or query.group_by is not None:
        return query
    column = selected_column(query)
    if column is None or internal_type(output_field(column)) not in PLAIN | {"UUIDField"}:
        return query
    inner = query.clone()
    inner.clear_ordering(clear_default=True)
    inner.distinct = True
    return inner


def too_many_keys(query: Any, max_keys: int) -> KeyLimitExceeded:
    """The error of a step that gives too many values; counts them."""
    count = query.clone().get_count(using=home_of(query))
    return KeyLimitExceeded(
        f"The query on {query.get_meta().label} ({home_of(query)}) has to run first, and gives {count} values, more "
        f"than MAX_KEYS = {max_keys}: narrow it, put its condition on a model of the same shards, or raise MAX_KEYS.",
        count=count,
    )
