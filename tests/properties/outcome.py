"""Running a query's code on one side, and what came of it in a form that can be compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from asgiref.sync import async_to_sync
from django.db import models
from django.db.models import Model, functions

from tests.properties.pools import UTC
from tests.properties.route import UNSHARDED, asking
from tests.properties.tables import LOGICAL, ORACLE, Contents, contents, contents_of_shards
from tests.shop import models as shop


@dataclass(frozen=True)
class Side:
    """One of the two databases that are compared. ``routed``: the alias to send models to, None for the router's."""

    name: str
    alias: str
    routed: str | None
    read_tables: Callable[[], tuple[Contents, list[str]]]


PLAIN = Side("oracle", ORACLE, ORACLE, lambda: (contents(ORACLE), []))
SHARDS_SIDE = Side("shards", LOGICAL, None, contents_of_shards)


def plain_side(alias: str) -> Side:
    """A second plain database, to see that the comparison raises no false alarm."""
    return Side(alias, alias, alias, lambda: (contents(alias), []))


@dataclass(frozen=True)
class Outcome:
    """The value that came back, or the error."""

    value: Any = None
    error: Exception | None = None


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
    **{name: getattr(functions, name) for name in FUNCTIONS},
    "Decimal": Decimal, "ZoneInfo": ZoneInfo, "UUID": UUID, "date": date, "datetime": datetime, "timedelta": timedelta,
    "utc": UTC,
    "run": _run, "save_all": save_all, "bulk_update_all": bulk_update_all, "delete_all": delete_all, "upsert": upsert,
    "pieces": pieces, **{name: getattr(models, name) for name in ("StringAgg",) if hasattr(models, name)},
}  # fmt: skip


def run(code: str, side: Side) -> Outcome:
    """Evaluate the code of a query on one side."""
    with asking(side.routed):
        try:
            return Outcome(plain(eval(code, dict(NAMES)), side))
        except Exception as error:  # whatever Django raises is an answer, too
            return Outcome(error=error)


@dataclass(frozen=True)
class Row:
    """An instance: its loaded columns, and the related rows that were loaded with it."""

    model: str
    home: str | None
    columns: dict[str, Any]
    related: dict[str, Any]


class Unordered(list[Any]):
    """Rows whose order means nothing."""


def plain(value: Any, side: Side, above: tuple[Any, ...] = ()) -> Any:
    """``value`` with every instance taken apart into ordinary containers; ``above``: the instances around it."""
    if isinstance(value, Model):
        return _instance(value, side, above)
    if isinstance(value, dict):
        return {key: plain(part, side, above) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(part, side, above) for part in value)
    return value


def _instance(instance: Any, side: Side, above: tuple[Any, ...]) -> Any:
    me = (type(instance).__name__, instance.pk)
    if me in above:
        return f"the {me} above"
    # Sort keys belong to the outermost row alone; prefetched rows point back to some copy of it.
    loaded = {name: value for name, value in vars(instance).items() if name[0] != "_" or (name[1] == "k" and not above)}
    above = (*above, me)
    cached = instance._state.fields_cache
    related: dict[str, Any] = {name: plain(found, side, above) for name, found in sorted(cached.items())}
    for name, found in getattr(instance, "_prefetched_objects_cache", {}).items():
        related[name] = Unordered(plain(one, side, above) for one in found)
    # On the shards' side, unsharded rows are at home in their own database.
    at_home = instance._state.db == side.alias or (isinstance(instance, UNSHARDED) and instance._state.db == "default")
    home = "home" if at_home else instance._state.db
    return Row(type(instance).__name__, home, loaded, related)
