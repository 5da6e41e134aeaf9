"""Schema changes on the logical database: the same change on every shard."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any


class ShardedSchemaEditor:
    """Calls the schema editor of each shard in turn.

    Migrations do not use it (``migrate`` runs each shard by itself, with its own record); it serves code that
    asks ``connections["track"].schema_editor()`` for a table.
    """

    def __init__(self, connection: Any, *args: Any, **kwargs: Any) -> None:
        self.connection = connection
        self.editors = [
            connection.shard_connection(shard).schema_editor(*args, **kwargs) for shard in connection.group.shard_names
        ]
        self.stack = ExitStack()

    def __enter__(self) -> ShardedSchemaEditor:
        with ExitStack() as stack:
            for editor in self.editors:
                stack.enter_context(editor)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *args: Any) -> None:
        self.stack.__exit__(*args)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        values = [getattr(editor, name) for editor in self.editors]
        return _together(values) if callable(values[0]) else values[0]


def _together(methods: list[Callable[..., Any]]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        first, *_ = [method(*args, **kwargs) for method in methods]
        return first

    return call
