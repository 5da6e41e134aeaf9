"""The operations of the logical database: the compiler is ours, the rest is the shards'."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from horizon_shards.backends.sharded.compiler import route


class DatabaseOperations:
    """Passes on to a shard's operations, but for the compiler and what concerns all shards."""

    compiler_module = "horizon_shards.backends.sharded.compiler"

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.connection.ask_engine(lambda connection: getattr(connection.ops, name))

    def compiler(self, compiler_name: str) -> Callable[..., Any]:
        """What makes the compiler of a query: the plan decides which."""
        return partial(route, compiler_name)

    def sql_flush(self, style: Any, tables: Any, **kwargs: Any) -> list[str]:
        """The statements of one shard; :meth:`execute_sql_flush` runs them on all."""
        statements: list[str] = self.connection.lead.ops.sql_flush(style, tables, **kwargs)
        return statements

    def execute_sql_flush(self, sql_list: list[str]) -> None:
        """Empty the tables of every shard."""
        for shard in self.connection.group.shard_names:
            self.connection.shard_connection(shard).ops.execute_sql_flush(sql_list)

    def sequence_reset_sql(self, style: Any, model_list: Any) -> list[str]:
        """Reset the sequences on every shard at once: the statements have no cursor to run on here."""
        for shard in self.connection.group.shard_names:
            connection = self.connection.enter(shard, write=True)
            statements = connection.ops.sequence_reset_sql(style, model_list)
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
        return []
