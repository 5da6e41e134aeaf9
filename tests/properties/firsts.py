"""DISTINCT ON: Hypothesis strategies for ``distinct("field")``, and which rows may be the answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from django.db import connections
from hypothesis import strategies as st

from tests.properties.blocks import split_keys
from tests.properties.canonical import canonical
from tests.properties.tables import ORACLE
from tests.properties.tree import Query, Slice, Step, Term, Terminal
from tests.properties.vocabulary import Column

if TYPE_CHECKING:
    from tests.properties.strategies import Draft

KIND = "distinct on"


def can_be_firsts(draft: Draft) -> bool:
    """Whether the engine has DISTINCT ON, and Django for a query like this one."""
    return connections[ORACLE].features.can_distinct_on_fields and not draft.grouped and not draft.with_aggregates


@st.composite
def distinct_on(draw: st.DrawFn, draft: Draft) -> None:
    """Add ``distinct("field", ...)``, with the fields first in the order, or no order, or now and then a wrong one."""
    named = [column for column in draft.columns if column.sortable and not column.path.startswith(("n0", "n5", "r0"))]
    named = [column for column in named if not column.many or draft.chance(draw, 15)]
    chosen = draw(st.lists(st.sampled_from(named), min_size=1, max_size=2, unique=True))
    paths = [draw(_parts(column)) for column in chosen]
    listed = ", ".join(f'"{path}"' for path in paths)
    draft.tail.append(Step(f"distinct({listed})", frozenset({KIND})))
    draft.firsts = True
    shape = draw(st.integers(0, 9))
    if shape == 9:
        return  # in whatever order there is
    draft.order = ()
    if shape > 1:
        more = draw(st.lists(st.sampled_from([c for c in named if c not in chosen] or named), max_size=1))
        last = ["pk"] if draft.chance(draw, 65) else []
        terms = [*draw(st.permutations(paths)), *(column.path for column in more), *last]
        nulls = {column.path for column in named if column.null}
        draft.order = tuple([draw(_term(path, path in nulls)) for path in dict.fromkeys(terms)])


@st.composite
def _parts(draw: st.DrawFn, column: Column) -> str:
    """The column's path, now and then with a transform."""
    year = column.kind in ("date", "datetime") and draw(st.booleans())
    return f"{column.path}__year" if year else column.path


@st.composite
def _term(draw: st.DrawFn, path: str, null: bool) -> Term:
    nulls = draw(st.sampled_from((None, None, "first", "last"))) if null else None
    return Term(path, False, draw(st.booleans()), nulls, frozenset())


@st.composite
def ends_of_firsts(draw: st.DrawFn, draft: Draft, cut: Slice | None) -> Terminal:
    """What can end such a query; first() and last() only with an order, subqueries only with a total one."""
    options = ["rows", "rows", "rows", "rows", "iterator", "count", "count", "exists", "len", "write"]
    if draft.order and cut is None:
        options += ["first", "last"]
    if any(term.source == "pk" for term in draft.order) and not draft.shaped and draft.model != "Invoice":
        options += ["firsts", "firsts"]
    name = draw(st.sampled_from(options))
    if name in ("first", "last"):
        return Terminal(name, "{}.%s()" % name, frozenset({"first/last"}))
    return ENDS[name]


ENDS = {
    "rows": Terminal("rows", "list({})"),
    "iterator": Terminal("rows", "list({}.iterator(chunk_size=2))", frozenset({"iterator"})),
    "count": Terminal("value", "{}.count()", frozenset({"count"})),
    "exists": Terminal("value", "{}.exists()", frozenset({"exists"})),
    "len": Terminal("value", "len({})", frozenset({"count"})),
    "write": Terminal("value", "{}.delete()", frozenset({"delete"})),
    "firsts": Terminal("value", "firsts({})", frozenset({"subquery"})),
}


@dataclass
class Choice:
    """The rows of one group that may stand for it, in their canonical form."""

    rows: set[Any] = field(default_factory=set)
    first: Any = None


def without_firsts(query: Query) -> tuple[Query, list[str]]:
    """The query of all rows, and the fields that no two of the answer agree in."""
    (step,) = (step for step in query.tail if KIND in step.kinds)
    tail = tuple(other for other in query.tail if other is not step)
    return replace(query, tail=tail), re.findall(r'"([^"]+)"', step.call)


def choices(query: Query, names: Sequence[str], rows: Sequence[Any]) -> list[Choice]:
    """The groups in order, from all rows with their sort keys and behind them the fields."""
    keys = len(query.key_sources)
    found: dict[Any, Choice] = {}
    for row in rows:
        plain, values = split_keys(row, keys + len(names), query.flat)
        order = canonical(values[:keys])
        choice = found.setdefault(canonical(values[keys:]), Choice(first=order))
        if choice.first == order:
            choice.rows.add(canonical(plain))
    return list(found.values())


def misfit_of_firsts(
    found: Sequence[Any], groups: Sequence[Choice], start: int, stop: int | None, *, ordered: bool
) -> str | None:
    """Why ``found`` cannot be the places ``start`` to ``stop`` of one row a group; None where it can."""
    wanted = groups[start:stop]
    if len(found) != len(wanted):
        return f"{len(found)} rows instead of {len(wanted)}, one of each group"
    rows = [canonical(row) for row in found]
    if ordered:
        wrong = [n for n, (row, group) in enumerate(zip(rows, wanted, strict=True), start) if row not in group.rows]
        return f"wrong rows at the places {wrong[:5]}" if wrong else None
    return None if _matched(rows, groups) else "rows that are not each of another group"


def _matched(rows: Sequence[Any], groups: Sequence[Choice]) -> bool:
    """Whether each row can have a group of its own: augmenting paths in a bipartite graph."""
    fitting = [[number for number, group in enumerate(groups) if row in group.rows] for row in rows]
    owner: dict[int, int] = {}

    def place(row: int, seen: set[int]) -> bool:
        for group in fitting[row]:
            if group not in seen:
                seen.add(group)
                if group not in owner or place(owner[group], seen):
                    owner[group] = row
                    return True
        return False

    return all(place(row, set()) for row in range(len(rows)))
