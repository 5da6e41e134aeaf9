"""Hypothesis strategies for computed columns: parts of dates, subqueries, relations with a condition of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import connections
from hypothesis import strategies as st

from tests.properties.conditions import conditions
from tests.properties.inner import FILTERED, TRUTHS, VALUES
from tests.properties.tables import ORACLE
from tests.properties.tree import Step
from tests.properties.vocabulary import COLUMNS, Column

if TYPE_CHECKING:
    from tests.properties.strategies import Draft

Computed = tuple[str, str, frozenset[str]]
Options = dict[str, tuple[tuple[str, str], ...]]

#: Parts of dates and times: in code, and the kind of result.
PARTS: Options = {
    "date": (
        ('ExtractYear("{}")', "int"), ('ExtractWeekDay("{}")', "int"), ('ExtractQuarter("{}")', "int"),
        ('ExtractWeek("{}")', "int"), ('ExtractIsoYear("{}")', "int"), ('ExtractDay("{}")', "int"),
        ('TruncMonth("{}")', "date"), ('TruncYear("{}")', "date"), ('TruncQuarter("{}")', "date"),
        ('TruncWeek("{}")', "date"),
    ),
    "datetime": (
        ('ExtractYear("{}")', "int"), ('ExtractMonth("{}")', "int"), ('ExtractSecond("{}")', "int"),
    ),
}  # fmt: skip
#: Those that need the time zones of the engine.
ZONED = (
    ('ExtractHour("{}", tzinfo=ZoneInfo("Asia/Kolkata"))', "int"),
    ('ExtractIsoWeekDay("{}", tzinfo=ZoneInfo("America/New_York"))', "int"),
    ('TruncHour("{}")', "datetime"), ('TruncMinute("{}")', "datetime"), ('TruncYear("{}")', "datetime"),
    ('TruncDay("{}", tzinfo=ZoneInfo("Europe/Berlin"))', "datetime"), ('TruncWeek("{}")', "datetime"),
    ('TruncMonth("{}", tzinfo=ZoneInfo("America/New_York"))', "datetime"), ('TruncDate("{}")', "date"),
    ('TruncQuarter("{}")', "datetime"),
)  # fmt: skip


#: What a condition or JSON gives, by which rows are grouped and sorted.
TOLD: Options = {
    "text": (
        ('Q({}__contains="a")', "bool"), ('Q({}__iexact="A")', "bool"), ('~Q({}__startswith="A")', "bool"),
        ('Q({}__regex="[A-Z]")', "bool"),
    ),
    "json": (('KT("{}__a")', "text"),),
}  # fmt: skip


def has_zones() -> bool:
    """Whether the oracle's engine knows time zones: MySQL has tables of them, which may be empty."""
    return bool(connections[ORACLE].features.has_zoneinfo_database)


def parts_of_dates(draft: Draft) -> st.SearchStrategy[Computed | None]:
    """``Trunc...`` or ``Extract...`` of a column."""
    more = {"datetime": PARTS["datetime"] + ZONED} if has_zones() else {}
    return of_columns(draft, PARTS | more, "part of a date")


def told(draft: Draft) -> st.SearchStrategy[Computed | None]:
    """A condition on a text as a column, or a text inside JSON."""
    return of_columns(draft, TOLD, "told of a column")


@st.composite
def of_columns(draw: st.DrawFn, draft: Draft, options: Options, name: str) -> Computed | None:
    """One of the options of a column's kind; rare kinds as often as others."""
    columns = [column for column in draft.columns if column.kind in options and not column.many]
    if not columns:
        return None
    kind = draw(st.sampled_from(sorted({column.kind for column in columns})))
    column = draw(st.sampled_from([column for column in columns if column.kind == kind]))
    text, result = draw(st.sampled_from(options[kind]))
    return text.replace("{}", column.path), result, frozenset({name})


@st.composite
def subqueries(draw: st.DrawFn, draft: Draft) -> Computed | None:
    """``Subquery(...)`` or ``Exists(...)`` as a column."""
    options = [(f"Subquery({text})", inner, kind, near) for text, inner, kind, near in VALUES.get(draft.model, ())]
    options += [(text, inner, "bool", near) for text, inner, near in TRUTHS.get(draft.model, ())]
    if not options:
        return None
    text, inner, kind, near = draw(st.sampled_from(options))
    condition = draw(conditions(inner, draft.data, 1, 0))
    kinds = condition.kinds | {"subquery column", "subquery" if near else "subquery elsewhere"}
    return text.replace("{}", str(condition)), kind, kinds


@st.composite
def filtered_relations(draw: st.DrawFn, draft: Draft) -> None:
    """Add ``FilteredRelation`` and the column that can be named through it."""
    if draft.model not in FILTERED:
        return
    relation, condition, described = draw(st.sampled_from(FILTERED[draft.model]))
    name, kind, *flags = described.split()
    column = Column(f"r0__{name}", kind, "null" in flags, "many" in flags)
    text = f'annotate(r0=FilteredRelation("{relation}", condition=Q({condition})))'
    draft.steps.append(Step(text, frozenset({"filtered relation"})))
    draft.columns.append(column)


def dated(model: str) -> list[Column]:
    """What ``dates()`` and ``datetimes()`` can be asked of."""
    return [column for column in COLUMNS[model] if column.kind in PARTS and not column.many]
