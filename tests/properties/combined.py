"""Hypothesis strategies for union(), intersection() and difference(), with order, slices and counts of the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from tests.properties.conditions import conditions
from tests.properties.tree import Slice, Terminal
from tests.properties.vocabulary import Column, own_columns

if TYPE_CHECKING:
    from tests.properties.strategies import Draft

METHODS = ("union", "union", "union all", "intersection", "difference")


@st.composite
def unions(draw: st.DrawFn, draft: Draft, cut: Slice | None) -> Terminal:
    """The query so far as the first part, others with the same columns, and an end."""
    if draft.grouped:
        return Terminal("rows", "list({})")
    draft.order = ()
    draft.tail = [step for step in draft.tail if "reverse" not in step.kinds]
    whole = "{}"
    for _ in range(draw(st.sampled_from((1, 1, 2)))):
        whole = draw(combined(draft, whole))
    kinds = frozenset({"set operation"})
    end = draw(st.sampled_from(("list", "ordered", "ordered", "count", "exists", "iterator")))
    if end == "count" or end == "exists":
        return Terminal("value", f"{whole}.{end}()", kinds)
    names = draw(total_order(draft)) if end == "ordered" else []
    if names:
        piece = draw(st.sampled_from(("", "[:1]", "[:3]", "[2:5]", "[1:]", "[:0]")))
        return Terminal(
            "value", f"list({whole}.order_by({', '.join(names)}){piece})", kinds | {"ordered set operation"}
        )
    return Terminal("any", f"list({whole}.iterator(chunk_size=3))" if end == "iterator" else f"list({whole})", kinds)


@st.composite
def combined(draw: st.DrawFn, draft: Draft, whole: str) -> str:
    """One more part around what there is."""
    method = draw(st.sampled_from(METHODS))
    # Prefetching belongs to the whole, and Django takes it from the first part.
    tail = "".join(str(step) for step in draft.tail if "prefetch_related" not in step.kinds)
    head = "".join(str(step) for step in draft.steps if "annotate" in step.kinds)
    # Of the rows that a to-many column makes of one, a slice by the primary key may hold any.
    repeats = any(column.many and f'"{column.path}"' in tail for column in draft.columns)
    piece = "" if repeats else draw(parts())
    other = f"{draft.model}.objects{head}.filter({draw(conditions(draft.model, draft.data, 1))}){tail}{piece}"
    return f"{whole}.{method.split()[0]}({other}{', all=True' if 'all' in method else ''})"


@st.composite
def parts(draw: st.DrawFn) -> str:
    """Now and then an order and a slice of a part alone, which some engines refuse."""
    return draw(st.sampled_from(("", "", "", "", '.order_by("pk")[:4]', '.order_by("-pk")[1:3]', '.order_by("pk")')))


@st.composite
def total_order(draw: st.DrawFn, draft: Draft) -> list[str]:
    """Names to order by, so that rows that come out equal are equal; empty where there are none."""
    chosen = [step for step in draft.tail if step.kinds & {"values", "values_list"}]
    if chosen:
        columns = [column for column in draft.columns if f'"{column.path}"' in chosen[0].call]
    elif any("only/defer" in step.kinds for step in draft.tail):
        return []
    else:
        columns = draw(st.lists(st.sampled_from(own_columns(draft.model)), max_size=2, unique=True))
        columns += [Column(name, "int") for name in (("site", "number") if draft.model == "Invoice" else ("id",))]
        # What a row counts depends on the conditions of its part.
        columns += [column for column in draft.columns if column.path[:1] == "n" and column.path[1:].isdigit()]
    if not all(column.sortable for column in columns):
        return []
    names = list(dict.fromkeys(column.path for column in columns))
    return [f'"{draw(st.sampled_from(("", "-")))}{name}"' for name in names]
