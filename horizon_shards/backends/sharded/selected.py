"""What a nested query selects, and whether its values may stand in another database as literals."""

from __future__ import annotations

from typing import Any

from django.db.models.expressions import ColPairs, Subquery
from django.db.models.lookups import In
from django.db.models.sql import Query

from horizon_shards.backends.sharded.collations import compares_alike
from horizon_shards.backends.sharded.kinds import (
    PLAIN,
    TEXT,
    converted_by,
    fits,
    internal_type,
    is_changed_by_selecting,
    output_field,
)

#: Values of these cannot be listed: to Python they are not hashable, and literals of JSON equal no column's.
COMPOUND = {"JSONField", "ArrayField", "HStoreField"}
WHOLE = {kind for kind in PLAIN if "Integer" in kind or "Auto" in kind}


def selected_column(query: Any) -> Any:
    """The one expression that a query selects, or None where it selects several, whole rows or a composite key."""
    if query.combinator:
        return selected_column(query.combined_queries[0])
    if query.default_cols:
        return None
    columns = [*query.select, *query.annotation_select.values()]
    return columns[0] if len(columns) == 1 and not isinstance(columns[0], ColPairs) else None


def of_one_type(left: Any, right: Any) -> bool:
    """Whether values of ``right`` may be compared with ``left`` in another database."""
    kinds = [internal_type(output_field(expression)) for expression in (left, right)]
    if COMPOUND.intersection(kinds):
        return False
    return kinds[0] == kinds[1] or any(set(kinds) <= family for family in (TEXT, WHOLE))


def can_be_listed(left: Any, right: Any) -> bool:
    """Whether values of ``right``, listed beside ``left``, are compared as the column they come from would be."""
    while isinstance(left, Subquery | Query):
        left = selected_column(getattr(left, "query", left))
    if not of_one_type(left, right) or converted_by(left) != converted_by(right):
        return False
    if is_changed_by_selecting(left) or is_changed_by_selecting(right):
        return False
    kind = internal_type(output_field(right))
    return fits(right, left) if kind == "DecimalField" else kind not in TEXT or compares_alike(left, right)


def is_scalar(query: Query, user: Any) -> bool:
    """Whether a subquery stands for one value."""
    is_list = isinstance(user, In) and user.rhs is query
    return not is_list and selected_column(query) is not None
