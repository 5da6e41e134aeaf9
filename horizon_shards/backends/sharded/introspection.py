"""Introspection of the logical database: that of one shard, since all have the same tables."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from horizon_shards.backends.sharded.cursor import LogicalCursor


class DatabaseIntrospection:
    """Passes on to a shard's introspection, with a cursor of that shard in place of the logical one."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        lead = self.connection.lead
        value = getattr(lead.introspection, name)
        return _with_cursor(value, lead) if callable(value) else value


def _with_cursor(method: Callable[..., Any], lead: Any) -> Callable[..., Any]:
    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not any(isinstance(arg, LogicalCursor) for arg in args):
            return method(*args, **kwargs)
        with lead.cursor() as cursor:
            swapped = [cursor if isinstance(arg, LogicalCursor) else arg for arg in args]
            return method(*swapped, **kwargs)

    return call
