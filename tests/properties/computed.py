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

#: Parts of dates and times: in code, and the kind of result.
PARTS = {
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


def has_zones() -> bool:
    """Whether the oracle's engine knows time zones: MySQL has tables of them, which may be empty."""
    return bool(connections[ORACLE].features.has_zoneinfo_database)


@st.composite
def parts_of_dates(draw: st.DrawFn, draft: Draft) -> Computed | None:
    """``Trunc...`` or ``Extract...`` of a column."""
    columns = [column for column in draft.columns if column.kind in PARTS and not column.many]
    if not columns:
        return None
    column = draw(st.sampled_from(columns))
    options = PARTS[column.kind] + (ZONED if column.kind == "datetime" and has_zones() else ())
    text, kind = draw(st.sampled_from(options))
    return text.replace("{}", column.path), kind, frozenset({"part of a date"})


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
