"""Django's compilers for SQLite, which look at all that they compile for a query on servers."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.db.models.expressions import Value

from horizon_shards.backends.sharded.federation.alike import Part, check_identities, not_alike
from horizon_shards.backends.sharded.federation.storage import is_equatable, kept


@lru_cache(maxsize=16)
def checked(base: Any) -> Any:
    """Django's compiler class, checking."""
    return type(f"Checked{base.__name__}", (Checked, base), {"__module__": base.__module__})


class Checked:
    """Mixed into compilers of the private database of servers."""

    query: Any
    connection: Any
    select: Any

    def as_sql(self, *args: Any, **kwargs: Any) -> Any:
        """Compile inside the queries that this one is in."""
        scopes = self.connection.private.scopes
        scopes.append(self.query)
        try:
            return super().as_sql(*args, **kwargs)  # type: ignore[misc]
        finally:
            scopes.pop()

    def compile(self, node: Any) -> Any:
        """Compile what is alike, or the column that a server fills."""
        return super().compile(Part(node, self.connection.private).alike())  # type: ignore[misc]

    def pre_sql_setup(self, *args: Any, **kwargs: Any) -> Any:
        """Look at what is selected: any value, but where SQLite compares them."""
        result = super().pre_sql_setup(*args, **kwargs)  # type: ignore[misc]
        private = self.connection.private
        selected = [expression for expression, _, _ in self.select]
        outer = [scope for scope in private.scopes if scope is not self.query]
        is_part = bool(outer) and bool(outer[-1].combinator)
        if self.query.distinct or is_part:
            check_identities(selected, "a set operation" if is_part else "DISTINCT", private)
        for expression in selected:
            plain = isinstance(expression, Value) or is_equatable(expression, private.logical)
            if kept(expression) is None and not plain:
                raise not_alike(expression, "a value computed of several tables", private)
        return result

    def collapse_group_by(self, expressions: Any, having: Any) -> Any:
        """Look at what is grouped by."""
        check_identities(expressions, "GROUP BY", self.connection.private)
        return super().collapse_group_by(expressions, having)  # type: ignore[misc]
