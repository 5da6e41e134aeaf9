"""Hypothesis strategies for what ends a query: rows, one row, a number, aggregates, a write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import connections, models
from hypothesis import strategies as st

from tests.properties.combined import unions
from tests.properties.computed import dated, has_zones
from tests.properties.conditions import code, conditions, kinds_of_filter
from tests.properties.engine_aggregates import any_values, arrays, fits_own, own_names
from tests.properties.grouping import over_aggregates
from tests.properties.logic import Test
from tests.properties.tables import ORACLE
from tests.properties.tree import Slice, Term, Terminal
from tests.properties.vocabulary import COLUMNS, Column, own_columns
from tests.properties.writing import deletes, saves, updates

if TYPE_CHECKING:
    from tests.properties.strategies import Draft


@st.composite
def terminals(draw: st.DrawFn, draft: Draft, cut: Slice | None) -> Terminal:
    """An end that fits the query so far."""
    share = draw(st.integers(0, 102))
    if share < 39:
        return Terminal("rows", "list({})")
    for limit, strategy in ENDS:
        if share < limit:
            return draw(strategy(draft, cut))
    raise AssertionError(share)


@st.composite
def numbers(draw: st.DrawFn, draft: Draft, cut: Slice | None) -> Terminal:
    name = draw(st.sampled_from(("count", "count", "exists", "len")))
    if name == "len":
        return Terminal("value", "len({})", frozenset({"count"}))
    if draw(st.integers(0, 9)) == 9:
        return Terminal("value", "run({}.a%s())" % name, frozenset({name, "async"}))
    return Terminal("value", "{}.%s()" % name, frozenset({name}))


@st.composite
def streams(draw: st.DrawFn, draft: Draft, cut: Slice | None) -> Terminal:
    size = draw(st.sampled_from((1, 2, 7, 2000)))
    return Terminal("rows", "list({}.iterator(chunk_size=%d))" % size, frozenset({"iterator"}))


@st.composite
def ends(draw: st.DrawFn, draft: Draft, cut: Slice | None) -> Terminal:
    name = draw(st.sampled_from(("first", "last")))
    by_pk = (Term("pk", False, False, None, frozenset()),)
    distinct = any("distinct" in step.kinds for step in draft.tail)
    if cut is not None or draft.grouped or (distinct and not can_be_distinct(draft, draft.order or by_pk)):
        return Terminal("rows", "list({})")
    return Terminal(name, "{}.%s()" % name, frozenset({"first/last"}))


def can_be_distinct(draft: Draft, order: tuple[Term, ...]) -> bool:
    """Django writes DISTINCT with an order by a composite primary key so that only SQLite understands it."""
    composite = draft.model == "Invoice" and any(term.source == "pk" for term in order)
    return not composite or connections[ORACLE].vendor == "sqlite"


@st.composite
def extremes(draw: st.DrawFn, draft: Draft, cut: Slice | None) -> Terminal:
    name, form = draw(st.sampled_from((("earliest", "first"), ("latest", "last"))))
    own = [c for c in COLUMNS[draft.model] if c.sortable and not c.many]
    fields = draw(st.lists(st.sampled_from(own), min_size=1, max_size=2, unique=True))
    listed = ", ".join(f'"{field.path}"' for field in fields)
    if cut is not None or draft.shaped:
        return Terminal("rows", "list({})")
    order = tuple(Term(field.path, False, False, None, frozenset()) for field in fields)
    return Terminal(form, "{}.%s(%s)" % (name, listed), frozenset({"earliest/latest"}), order)


@st.composite
def single(draw: st.DrawFn, draft: Draft, cut: Slice | None) -> Terminal:
    condition = draw(conditions(draft.model, draft.data, 1))
    existing = draft.data.ids.get(draft.model)
    if existing and draw(st.booleans()):
        condition = Test("pk", code(draw(st.sampled_from(existing))), frozenset({"pk"}))
    return Terminal("any", "{}.get(%s)" % condition, condition.kinds | {"get"})


@st.composite
def bulk(draw: st.DrawFn, draft: Draft, cut: Slice | None) -> Terminal:
    existing = draft.data.ids.get(draft.model) or [1]
    ids = draw(st.lists(st.sampled_from(existing), max_size=4, unique=True))
    if draft.shaped or cut is not None:
        return Terminal("rows", "list({})")
    if draft.model == "Country" and draw(st.booleans()):
        return Terminal("value", '{}.in_bulk(["DE", "FR", "de"], field_name="code")', frozenset({"in_bulk"}))
    listed = code(ids) if draw(st.booleans()) else ""
    return Terminal("value", "{}.in_bulk(%s)" % listed, frozenset({"in_bulk"}))


@st.composite
def texts(draw: st.DrawFn, draft: Draft, cut: Slice | None) -> Terminal:
    """``StringAgg`` of a column, in the order of the keys where the engine can."""
    columns = [column for column in own_columns(draft.model) if column.kind == "text"]
    if cut is not None or draft.shaped or not columns or not hasattr(models, "StringAgg"):
        return Terminal("value", "{}.count()", frozenset({"count"}))
    column = draw(st.sampled_from(columns))
    condition = draw(st.sampled_from(("", "", f", filter=Q({column.path}__gt='a')")))
    wrap, more = "pieces(%s)", ""
    if connections[ORACLE].features.supports_aggregate_order_by_clause and draw(st.booleans()):
        wrap, more = "%s", f', order_by="{draw(st.sampled_from(("", "-")))}id"'
    call = f'{{}}.aggregate(a=StringAgg("{column.path}", Value("|"){condition}{more}))'
    return Terminal("value", wrap % call, frozenset({"StringAgg"}))


@st.composite
def aggregates(draw: st.DrawFn, draft: Draft, cut: Slice | None) -> Terminal:
    if cut is not None and not _total(draft):
        return Terminal("value", "{}.count()", frozenset({"count"}))
    # Of groups, what they hold; of rows, whatever the model has.
    columns = [c for c in draft.columns if not c.related] if draft.grouped else draft.columns
    if cut is not None:
        # Django cuts the rows after joining: of those that a row is repeated for, any may be left.
        columns = [column for column in columns if not column.many]
    made = [draw(_aggregate(draft, columns, cut)) for _ in range(draw(st.integers(1, 3)))]
    kinds = frozenset().union(*(kinds for _, _, kinds in made)) | {"aggregate"}
    if cut is not None or draft.grouped or any("distinct" in step.kinds for step in draft.tail):
        kinds |= {"aggregate of a subquery"}
    # Names that a backend might make up for its own columns.
    names = draw(st.sampled_from((("a", "b", "c"), ("a", "a_1", "a_2"), ("a_1", "a", "a_0"))))
    listed = [f"{name}={text}" for name, (text, _, _) in zip(names, made, strict=False)]
    if draft.chance(draw, 25):
        named = [(name, kind) for name, (_, kind, _) in zip(names, made, strict=False)]
        text, more = draw(over_aggregates(named))
        listed.append(f"z={text}")
        kinds |= more
    return Terminal("value", "{}.aggregate(%s)" % ", ".join(listed), kinds)


def _total(draft: Draft) -> bool:
    return any(term.source == "pk" for term in draft.order)


NAMES = (
    "Count", "Sum", "Avg", "Min", "Max", "Avg", "Count *", "Count distinct", "Variance", "StdDev", "Sum distinct",
    "Avg distinct",
)  # fmt: skip


@st.composite
def _aggregate(
    draw: st.DrawFn, draft: Draft, columns: list[Column], cut: Slice | None
) -> tuple[str, str, frozenset[str]]:
    """An aggregate in code, the kind of its result, and the kinds of query that it makes."""
    name = draw(st.sampled_from(NAMES + own_names()))
    fits = [c for c in columns if _fits(name, c)] or columns
    chosen = draw(st.sampled_from(fits))
    if name == "Count *":
        return 'Count("*")', "count", frozenset({"Count"})
    if not _fits(name, chosen):
        name = "Count"
    arguments = [f'"{chosen.path}"']
    kinds = {name, name.split()[0]} | ({"aggregate over a relation"} if chosen.related else set())
    if name.endswith("distinct"):
        arguments.append("distinct=True")
    # Of one value, Django's functions on SQLite raise an error, where SQL has NULL.
    if name in ("Variance", "StdDev") and connections[ORACLE].vendor != "sqlite" and draw(st.booleans()):
        arguments.append("sample=True")
    if not draft.grouped and draw(st.integers(0, 3)) == 3:
        condition = draw(conditions(draft.model, draft.data, 1))
        if cut is None or "to-many lookup" not in condition.kinds:
            arguments.append(f"filter={condition}")
            kinds |= kinds_of_filter(condition)
    if name == "Sum" and chosen.kind == "int" and draw(st.booleans()):
        arguments.append("default=0")
    return f"{name.split()[0]}({', '.join(arguments)})", _result(name, chosen.kind), frozenset(kinds)


def _result(name: str, kind: str) -> str:
    """The kind of value that an aggregate gives."""
    if name.startswith("Count"):
        return "count"
    return "float" if kind == "int" and name.split()[0] in ("Avg", "Variance", "StdDev") else kind


def _fits(name: str, column: Column) -> bool:
    """Whether the engine can do this aggregate on this column; MySQL computes the spread of big numbers in floats."""
    kind = column.kind
    is_big = kind == "key" or kind.startswith("id:")
    if name in own_names():
        return fits_own(name, column)
    if name.split()[0] in ("Sum", "Avg"):
        return kind in ("int", "decimal", "float", "duration") or is_big
    if name in ("Variance", "StdDev"):
        return kind in ("int", "float") or (is_big and connections[ORACLE].vendor != "mysql")
    if name in ("Min", "Max"):
        return kind not in ("bool", "json", "uuid")
    return kind != "json"


@st.composite
def calendars(draw: st.DrawFn, draft: Draft, cut: Slice | None) -> Terminal:
    """``dates(...)`` or ``datetimes(...)``, some of them cut."""
    columns = dated(draft.model)
    if draft.grouped or not columns:
        return Terminal("value", "{}.count()", frozenset({"count"}))
    chosen = draw(st.sampled_from(columns))
    name = draw(st.sampled_from(("dates", "datetimes"))) if chosen.kind == "datetime" and has_zones() else "dates"
    units = ("year", "month", "week", "day") + (("hour", "minute", "second") if name == "datetimes" else ())
    order = draw(st.sampled_from(("", ', order="DESC"')))
    piece = draw(st.sampled_from(("", "", "[:2]", "[1:3]")))
    call = f'{name}("{chosen.path}", "{draw(st.sampled_from(units))}"{order}){piece}'
    return Terminal("value", f"list({{}}.{call})", frozenset({"dates/datetimes"}))


@st.composite
def rare(draw: st.DrawFn, draft: Draft, cut: Slice | None) -> Terminal:
    """An aggregate whose answer is in no order, or open."""
    strategy = draw(st.sampled_from((texts, any_values, arrays)))
    return draw(strategy(draft, cut))  # type: ignore[no-any-return]


ENDS = (
    (42, calendars),
    (53, numbers),
    (57, streams),
    (63, ends),
    (66, extremes),
    (70, single),
    (73, bulk),
    (85, aggregates),
    (89, updates),
    (92, deletes),
    (95, saves),
    (100, unions),
    (103, rare),
)
