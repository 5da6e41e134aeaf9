"""Hypothesis strategies for aggregates that only some engines, or only some versions of Django, have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import connections
from hypothesis import strategies as st

from tests.properties.calls import AGGREGATES
from tests.properties.conditions import column_lookups
from tests.properties.tables import ORACLE
from tests.properties.tree import Slice, Terminal
from tests.properties.vocabulary import Column, own_columns

if TYPE_CHECKING:
    from tests.properties.strategies import Draft

BITS = ("BitAnd", "BitOr", "BitXor")
BOOLS = ("BoolAnd", "BoolOr")
#: Kinds of columns whose values Python tells apart as every engine does.
TOLD_APART = ("int", "bool", "date", "key", "decimal")
ARRAYS = ("int", "text", "bool", "decimal", "date")


def own_names() -> tuple[str, ...]:
    """Aggregates of bits and of truths that there are."""
    return tuple(name for name in (*BITS, *BOOLS) if name in AGGREGATES)


def fits_own(name: str, column: Column) -> bool:
    """Whether the engine can aggregate the column: Django's functions on SQLite raise an error of a NULL."""
    if name in BOOLS:
        return column.kind == "bool"
    nulls = column.null or column.related
    return column.kind == "int" and not (nulls and connections[ORACLE].vendor == "sqlite")


def of_groups(column: Column) -> list[tuple[str, str]]:
    """In code, with the kind of result; MySQL's bits of nothing are beyond every other number."""
    bits = "bits" if connections[ORACLE].vendor == "mysql" else "int"
    return [
        (f'{name}("{column.path}")', bits if name in BITS else "bool") for name in own_names() if fits_own(name, column)
    ]


@st.composite
def any_values(draw: st.DrawFn, draft: Draft, cut: Slice | None) -> Terminal:
    """``AnyValue`` of a column, with a condition or for groups now and then: one of the values, whichever."""
    own = [column for column in own_columns(draft.model) if column.kind in TOLD_APART]
    supported = getattr(connections[ORACLE].features, "supports_any_value", False)
    if cut is not None or draft.shaped or draft.windowed or draft.with_aggregates or not (own and supported):
        return Terminal("value", "{}.count()", frozenset({"count"}))
    draft.order, draft.tail = (), []
    name = f'"{draw(st.sampled_from(own)).path}"'
    condition = None
    if draft.chance(draw, 40):
        condition = draw(column_lookups(draw(st.sampled_from(own)), draft.model, draft.data))
    by = draw(st.lists(st.sampled_from(own), max_size=2, unique=True))
    listed = ", ".join([name, str(condition), *(f'"{column.path}"' for column in by)])
    kinds = {"AnyValue"} | ({"group"} if by else set()) | ({"aggregate filter"} if condition else set())
    return Terminal("value", f"any_value({{}}, {listed})", frozenset(kinds))


@st.composite
def arrays(draw: st.DrawFn, draft: Draft, cut: Slice | None) -> Terminal:
    """``ArrayAgg`` of a column, distinct or in a total order now and then."""
    columns = [column for column in own_columns(draft.model) if column.kind in ARRAYS]
    if cut is not None or draft.shaped or not columns or "ArrayAgg" not in AGGREGATES:
        return Terminal("value", "{}.exists()", frozenset({"exists"}))
    path = draw(st.sampled_from(columns)).path
    more = draw(st.sampled_from(("", f", filter=Q({path}__isnull=False)")))
    form = draw(st.sampled_from(("", "distinct", "ordered")))
    if form == "ordered" and draft.model != "Invoice":
        more += f', order_by="{draw(st.sampled_from(("", "-")))}id"'
        wrap = "%s"
    else:
        more += ", distinct=True" if form == "distinct" else ""
        wrap = "elements(%s)"
    return Terminal("value", wrap % f'{{}}.aggregate(a=ArrayAgg("{path}"{more}))', frozenset({"ArrayAgg"}))
