"""What the code of a query can call: the models, Django's names, and short ways to do several things."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from asgiref.sync import async_to_sync
from django.db import connections, models
from django.db.models import functions
from django.db.models.fields.json import KT

from tests.properties.pools import UTC
from tests.properties.tables import ORACLE
from tests.shop import models as shop


class Unordered(list[Any]):
    """Rows whose order means nothing."""


def _run(coroutine: Any) -> Any:
    """The result of a coroutine; what it does in the database happens in this thread, so in its transaction."""

    async def wait() -> Any:
        return await coroutine

    return async_to_sync(wait)()


def save_all(queryset: Iterable[Any], **changes: Any) -> int:
    """Change and save each row by itself."""
    rows = list(queryset)
    for row in rows:
        for name, value in changes.items():
            setattr(row, name, value)
        row.save()
    return len(rows)


def bulk_update_all(queryset: Any, **changes: Any) -> int:
    """Change the rows in memory and write them at once."""
    rows = list(queryset)
    for row in rows:
        for name, value in changes.items():
            setattr(row, name, value)
    return int(queryset.model.objects.bulk_update(rows, list(changes)))


def upsert(queryset: Any, pk: Any, **defaults: Any) -> bool:
    """``update_or_create`` of a row that exists."""
    return bool(queryset.update_or_create(pk=pk, defaults=defaults)[1])


def delete_all(queryset: Iterable[Any]) -> list[Any]:
    """Delete each row by itself."""
    return sorted((row.delete() for row in queryset), key=repr)


def pieces(joined: Any) -> Any:
    """The texts that ``StringAgg`` put together without an order."""
    return {name: text and sorted(text.split("|")) for name, text in joined.items()}


def elements(listed: dict[str, Any]) -> dict[str, Any]:
    """What ``ArrayAgg`` put together without an order."""
    return {name: found and Unordered(found) for name, found in listed.items()}


def any_value(queryset: Any, name: str, condition: Any, *by: str) -> Any:
    """Whether ``AnyValue`` is one of the values that it is of: of all rows, or of each group."""
    chosen = AGGREGATES["AnyValue"](name, filter=condition)
    rows = _values_for(queryset, name, condition).values_list(*by, "value")
    if not by:
        return _is_among(queryset.aggregate(found=chosen)["found"], [value for (value,) in rows])
    values: dict[Any, list[Any]] = {}
    for *group, value in rows:
        values.setdefault(tuple(group), []).append(value)
    groups = queryset.values_list(*by).annotate(found=chosen)
    return Unordered((tuple(group), _is_among(found, values.get(tuple(group), []))) for *group, found in groups)


def _values_for(queryset: Any, name: str, condition: Any) -> Any:
    """The rows with the ``value`` that an aggregate takes of each."""
    if condition is None:
        return queryset.annotate(value=models.F(name))
    if connections[ORACLE].features.supports_aggregate_filter_clause:
        return queryset.filter(condition).annotate(value=models.F(name))
    # Django writes a CASE, which is NULL where the condition does not hold.
    return queryset.annotate(value=models.Case(models.When(condition, then=models.F(name))))


def _is_among(found: Any, values: list[Any]) -> bool:
    return found in values if values else found is None


def firsts(queryset: Any) -> list[Any]:
    """The rows of a query with an order of its own, found once more by a subquery."""
    return list(queryset.model.objects.filter(pk__in=queryset.values("pk")).order_by("pk"))


def _aggregates() -> dict[str, Any]:
    """Aggregates that only some versions of Django, or ``django.contrib.postgres``, have."""
    names = ("AnyValue", "BitAnd", "BitOr", "BitXor", "StringAgg")
    found = {name: getattr(models, name) for name in names if hasattr(models, name)}
    if connections[ORACLE].vendor == "postgresql":
        from django.contrib.postgres import aggregates

        own = ("BoolAnd", "BoolOr", "BitAnd", "BitOr", "BitXor", "ArrayAgg")
        found = {name: getattr(aggregates, name) for name in own} | found
    return found


AGGREGATES = _aggregates()
FUNCTIONS = (
    "Lower", "Upper", "Length", "Coalesce", "Concat", "ExtractYear", "ExtractHour", "TruncMonth", "ExtractMonth",
    "ExtractDay", "ExtractSecond", "ExtractWeek", "ExtractWeekDay", "ExtractIsoWeekDay", "ExtractIsoYear",
    "ExtractQuarter", "TruncYear", "TruncQuarter", "TruncWeek", "TruncDay", "TruncHour", "TruncMinute", "TruncDate",
    "Rank", "DenseRank", "CumeDist", "PercentRank", "RowNumber", "Ntile", "Lag", "Lead", "FirstValue", "LastValue",
    "NthValue",
)  # fmt: skip
NAMES: dict[str, Any] = {
    **{name: getattr(shop, name) for name in ("Visit", "Visitor", "Tag", "Tagging", "Country", "Invoice")},
    **{name: getattr(shop, name) for name in ("Account", "Order", "Site", "Ticket")},
    **{name: getattr(models, name) for name in ("Q", "F", "Value", "Case", "When", "Exists", "OuterRef")},
    **{name: getattr(models, name) for name in ("Count", "Sum", "Min", "Max", "Avg", "Variance", "StdDev")},
    **{name: getattr(models, name) for name in ("Subquery", "FilteredRelation", "Window", "RowRange")},
    **{name: getattr(functions, name) for name in FUNCTIONS}, "KT": KT,
    "Decimal": Decimal, "ZoneInfo": ZoneInfo, "UUID": UUID, "date": date, "datetime": datetime, "timedelta": timedelta,
    "utc": UTC,
    "run": _run, "save_all": save_all, "bulk_update_all": bulk_update_all, "delete_all": delete_all, "upsert": upsert,
    "pieces": pieces, "elements": elements, "any_value": any_value, "firsts": firsts, **AGGREGATES,
}  # fmt: skip
