"""Hypothesis strategies for what the rows look like: values, only, related rows, distinct, reversed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from tests.properties.conditions import code
from tests.properties.terminals import can_be_distinct
from tests.properties.tree import Step
from tests.properties.vocabulary import COLUMNS, PREFETCHES, TO_ONE, own_columns

if TYPE_CHECKING:
    from tests.properties.strategies import Draft


@st.composite
def shape(draw: st.DrawFn, draft: Draft) -> None:
    """Say what the rows look like: values, only, related rows, distinct, reversed."""
    form = draw(st.integers(0, 99))
    if form < 30:
        draw(values(draft))
    elif form < 40:
        draw(load_less(draft))
    elif form < 60:
        draw(load_related(draft))
    if draft.chance(draw, 15) and not draft.firsts and can_be_distinct(draft, draft.order):
        draft.tail.append(Step("distinct()", frozenset({"distinct"})))
    if draft.order and draft.chance(draw, 10):
        draft.tail.append(Step("reverse()", frozenset({"reverse"})))


@st.composite
def values(draw: st.DrawFn, draft: Draft) -> None:
    """``values(...)`` or ``values_list(...)``, flat or not."""
    chosen = draw(st.lists(st.sampled_from(draft.columns), min_size=1, max_size=3, unique=True))
    names = ", ".join(code(column.path).replace("'", '"') for column in chosen)
    name = draw(st.sampled_from(("values", "values_list")))
    draft.flat = name == "values_list" and len(chosen) == 1 and draw(st.booleans())
    draft.tail.append(Step(f"{name}({names}{', flat=True' if draft.flat else ''})", frozenset({name})))
    draft.shaped = True


@st.composite
def load_less(draw: st.DrawFn, draft: Draft) -> None:
    """``only(...)`` or ``defer(...)``."""
    own = [column.path for column in own_columns(draft.model) if column.path != "id"]
    names = draw(st.lists(st.sampled_from(own), min_size=1, max_size=2, unique=True))
    method = draw(st.sampled_from(("only", "defer")))
    listed = ", ".join(f'"{name}"' for name in names)
    draft.tail.append(Step(f"{method}({listed})", frozenset({"only/defer"})))


@st.composite
def load_related(draw: st.DrawFn, draft: Draft) -> None:
    """``select_related(...)`` or ``prefetch_related(...)``."""
    joined, fetched = TO_ONE.get(draft.model, ()), PREFETCHES.get(draft.model, ())
    if joined and draw(st.booleans()):
        names = draw(st.lists(st.sampled_from(joined), min_size=1, max_size=2, unique=True))
        listed = ", ".join(f'"{name}"' for name in names)
        draft.tail.append(Step(f"select_related({listed})", frozenset({"select_related"})))
        if draft.chance(draw, 30):
            draw(load_less_related(draft, names[0]))
    elif fetched:
        names = draw(st.lists(st.sampled_from(fetched), min_size=1, max_size=2, unique=True))
        listed = ", ".join(f'"{name}"' for name in names)
        draft.tail.append(Step(f"prefetch_related({listed})", frozenset({"prefetch_related"})))


@st.composite
def load_less_related(draw: st.DrawFn, draft: Draft, relation: str) -> None:
    """``only(...)`` of a related row's column, too."""
    paths = [column.path for column in COLUMNS[draft.model] if not column.many and column.kind[:2] != "id"]
    inner = [
        path for path in paths if path.startswith(f"{relation}__") and path.count("__") == relation.count("__") + 1
    ]
    if inner:
        chosen = f'"{relation}", "{draw(st.sampled_from(inner))}"'
        draft.tail.append(Step(f"only({chosen})", frozenset({"only/defer"})))
