"""Running a query's code on one side, and what came of it in a form that can be compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import Model

from tests.properties.calls import NAMES, Unordered
from tests.properties.route import UNSHARDED, asking
from tests.properties.tables import LOGICAL, ORACLE, Contents, contents, contents_of_shards


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
