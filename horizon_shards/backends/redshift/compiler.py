"""Redshift's compilers: expressions in its dialect, and primary keys that the client makes."""

from __future__ import annotations

import re
from typing import Any

from django.db import NotSupportedError
from django.db.models import AutoField, BigAutoField
from django.db.models.sql import compiler

from horizon_shards.backends.redshift import expressions, json_paths, tuples  # noqa: F401 (they register what they write)
from horizon_shards.backends.redshift.keys import new_keys
from horizon_shards.backends.redshift.rendering import rendering_of


class Dialect(compiler.SQLCompiler):
    """Compiles the expressions that Redshift writes in another way."""

    def compile(self, node: Any) -> Any:
        """The SQL and the parameters of an expression."""
        render = rendering_of(node.__class__)
        return super().compile(node) if render is None else render(node, self, self.connection)


_QUOTED = re.compile(r'"[^"]*"|\'[^\']*\'')


def _in_parentheses(sql: str) -> bool:
    """Whether one pair of parentheses is around the whole."""
    depth, bare = 0, _QUOTED.sub("", sql.strip())
    for position, sign in enumerate(bare):
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if depth == 0:
            return position > 0 and position == len(bare) - 1
    return False


class SQLCompiler(Dialect):
    """SELECT."""

    def get_combinator_sql(self, combinator: Any, all: Any) -> Any:
        """A part that stands alone is a table: nothing may follow a SELECT in parentheses."""
        sql, params = super().get_combinator_sql(combinator, all)
        if len(sql) == 1 and _in_parentheses(sql[0]):
            sql = [f"SELECT * FROM {sql[0]} U0"]
        return sql, params


class SQLInsertCompiler(Dialect, compiler.SQLInsertCompiler):
    """INSERT: new rows get their primary key here, because the server could not tell it afterwards."""

    def execute_sql(self, returning_fields: Any = None) -> Any:
        """Insert; the values of ``returning_fields`` where the client made the key."""
        if not self._give_keys():
            return super().execute_sql(returning_fields)
        super().execute_sql(None)
        for obj in self.query.objs:
            obj._state.adding, obj._state.db = False, self.connection.alias
        # Of a child with a table of its own, the key is another field. What else was to be returned, Django defers.
        known = returning_fields and returning_fields[0].primary_key
        return [(getattr(obj, returning_fields[0].attname),) for obj in self.query.objs] if known else []

    def _give_keys(self) -> bool:
        key = self.query.get_meta().pk
        if not isinstance(key, AutoField) or key in self.query.fields or not self.query.objs:
            return False
        if self.connection.ops.check_option("primary_keys", ("client", "max")) == "max":
            return False
        if not isinstance(key, BigAutoField):
            raise NotSupportedError(
                f"{key.model._meta.label}.{key.name} is a {type(key).__name__} of 32 bits, and Redshift cannot tell "
                "the number of a new row. Make it a BigAutoField, set the key yourself, or choose "
                "OPTIONS['primary_keys'] = 'max', which is slow and races with other writers."
            )
        for obj, value in zip(self.query.objs, new_keys(self.connection, len(self.query.objs)), strict=True):
            setattr(obj, key.attname, value)
        self.query.fields = [key, *self.query.fields]
        return True


class SQLDeleteCompiler(Dialect, compiler.SQLDeleteCompiler):
    """DELETE."""


class SQLUpdateCompiler(Dialect, compiler.SQLUpdateCompiler):
    """UPDATE."""


class SQLAggregateCompiler(Dialect, compiler.SQLAggregateCompiler):
    """Aggregates over a subquery."""
