"""Sharded databases for Django: one logical alias whose rows are spread over many databases."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from horizon_shards import exceptions
    from horizon_shards.backends.sharded.describe import plan
    from horizon_shards.backends.sharded.each import on_each_shard
    from horizon_shards.context import (
        allow_cross_shard,
        allow_federation,
        allow_scatter,
        forbid_scatter,
        partial_results,
        using_shard,
    )

__version__ = "0.1.0"

__all__ = [
    "allow_cross_shard",
    "allow_federation",
    "allow_scatter",
    "exceptions",
    "forbid_scatter",
    "on_each_shard",
    "partial_results",
    "plan",
    "using_shard",
]

#: Where the public names are that are not in ``horizon_shards.context``.
HOMES = {"on_each_shard": "backends.sharded.each", "plan": "backends.sharded.describe"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: the package itself must load before any settings."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}.")
    if name == "exceptions":
        value = import_module(f"{__name__}.exceptions")
    else:
        value = getattr(import_module(f"{__name__}.{HOMES.get(name, 'context')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, imported or not."""
    return sorted({*globals(), *__all__})
