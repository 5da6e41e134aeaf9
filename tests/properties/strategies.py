"""Hypothesis strategies for whole queries."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.db import connections
from hypothesis import strategies as st

from tests.properties.computed import Computed, filtered_relations, parts_of_dates, subqueries, told
from tests.properties.conditions import column_lookups, conditions
from tests.properties.firsts import can_be_firsts, distinct_on, ends_of_firsts
from tests.properties.grouping import group
from tests.properties.rows import Dataset
from tests.properties.shapes import shape
from tests.properties.tables import ORACLE
from tests.properties.terminals import terminals
from tests.properties.tree import Query, Slice, Step, Term
from tests.properties.vocabulary import COLUMNS, MANAGERS, WEIGHTS, Column
from tests.properties.windows import windows

MODELS = [model for model, weight in WEIGHTS.items() for _ in range(weight)]


@dataclass
class Draft:
    """A query while it is drawn: the columns that can be named so far, and the steps."""

    model: str
    data: Dataset
    columns: list[Column]
    steps: list[Step] = field(default_factory=list)
    tail: list[Step] = field(default_factory=list)
    order: tuple[Term, ...] = ()
    flat: bool = False
    shaped: bool = False
    grouped: bool = False
    windowed: bool = False
    firsts: bool = False

    @property
    def with_aggregates(self) -> bool:
        """Whether the rows are grouped to aggregate what is related to them."""
        return any("aggregate annotation" in step.kinds for step in self.steps)

    def chance(self, draw: st.DrawFn, percent: int) -> bool:
        # 0 is what Hypothesis shrinks to, so it has to mean "no".
        return draw(st.integers(0, 99)) >= 100 - percent


@st.composite
def queries(draw: st.DrawFn, data: Dataset) -> Query:
    """A random query over the rows of ``data``."""
    model = draw(st.sampled_from(MODELS))
    draft = Draft(model, data, [column for column in COLUMNS[model] if not column.leaves])
    if draft.chance(draw, 20):
        draft.columns = list(COLUMNS[model])
    draw(add_columns(draft))
    for _ in range(draw(st.sampled_from((1, 0, 1, 2, 0)))):
        draw(narrow(draft))
    if draft.chance(draw, 9):
        # GROUP BY a window is no SQL; a condition on one may stand before it.
        draft.columns = [column for column in draft.columns if not (draft.windowed and column.path == "n5")]
        draw(group(draft))
    elif draft.chance(draw, 10):
        draw(count_related(draft))
    draw(arrange(draft))
    root = draw(managers(draft)) if model in MANAGERS and draft.chance(draw, 8) else None
    cut = draw(slices()) if draft.chance(draw, 35) else None
    terminal = draw(ends_of_firsts(draft, cut) if draft.firsts else terminals(draft, cut))
    if "write" in terminal.kinds and (not terminal.wrap.startswith("{}") or draft.chance(draw, 90)):
        cut = None  # which rows a slice holds may be open; that update() and delete() refuse one is seen now and then
    if terminal.kinds & {"set operation", "dates/datetimes"}:
        cut = None  # they have one of their own
    if "update_or_create" in terminal.kinds:
        root = None  # it may not be that manager's row, and would be created again
    return Query(model, tuple(draft.steps), draft.order, tuple(draft.tail), draft.flat, cut, terminal, root)


@st.composite
def arrange(draw: st.DrawFn, draft: Draft) -> None:
    """Say in which order the rows come, which of them, and what they look like."""
    if draft.chance(draw, 60):
        draft.order = draw(orderings(draft))
    if draft.chance(draw, 10) and can_be_firsts(draft):
        draw(distinct_on(draft))
    if not draft.grouped:
        draw(shape(draft))


@st.composite
def managers(draw: st.DrawFn, draft: Draft) -> str | None:
    """The related manager of a row that exists."""
    owner, name = draw(st.sampled_from(MANAGERS[draft.model]))
    existing = draft.data.ids.get(owner)
    return f"{owner}.objects.get(pk={draw(st.sampled_from(existing))}).{name}" if existing else None


@st.composite
def narrow(draw: st.DrawFn, draft: Draft) -> None:
    """Add ``filter(...)`` or ``exclude(...)``."""
    condition = draw(conditions(draft.model, draft.data))
    annotated = [column for column in draft.columns if column not in COLUMNS[draft.model]]
    if annotated and draft.chance(draw, 50):
        condition = draw(column_lookups(draw(st.sampled_from(annotated)), draft.model, draft.data))
    if draft.chance(draw, 20):
        draft.steps.append(Step(f"exclude({condition})", condition.kinds | {"exclude"}))
    else:
        draft.steps.append(Step(f"filter({condition})", condition.kinds, condition.keys))


@st.composite
def add_columns(draw: st.DrawFn, draft: Draft) -> None:
    """Add columns that later steps can name."""
    for percent, strategy in ((25, annotate), (12, compute), (3, filtered_relations)):
        if draft.chance(draw, percent):
            draw(strategy(draft))


@st.composite
def annotate(draw: st.DrawFn, draft: Draft) -> None:
    """Add a computed column ``n0`` that later steps can name."""
    text = [column.path for column in draft.columns if column.kind == "text" and not column.many]
    ints = [column.path for column in draft.columns if column.kind == "int" and not column.many]
    options = [(f'F("{path}") + 1', "int") for path in ints] + [(f'F("{path}") * 2 - 3', "int") for path in ints]
    options += [(f'Length("{path}")', "int") for path in text]
    options += [(f'{name}("{path}")', "text") for path in text for name in ("Lower", "Upper")]
    options += [(f'Coalesce("{path}", Value("-"))', "text") for path in text]
    options += [(f'Coalesce("{path}", Value(0))', "int") for path in ints]
    # A number alone would be a position in MySQL's ORDER BY.
    options += [('Value("a")', "text"), ("<case>", "int")]
    expression, kind = draw(st.sampled_from(options))
    kinds = frozenset({"annotate"})
    if expression == "<case>":
        condition = draw(conditions(draft.model, draft.data, 1))
        expression, kinds = f"Case(When({condition}, then=Value(1)), default=Value(0))", kinds | condition.kinds
    draft.steps.append(Step(f"annotate(n0={expression})", kinds))
    draft.columns.append(Column("n0", kind, null=True))


@st.composite
def compute(draw: st.DrawFn, draft: Draft) -> None:
    """Add a window, a subquery, a part of a date, a condition or a text of JSON as ``n5``."""
    strategy = draw(st.sampled_from((windows, windows, subqueries, parts_of_dates, told)))
    made: Computed | None = draw(strategy(draft))
    if made is not None:
        text, kind, kinds = made
        draft.steps.append(Step(f"annotate(n5={text})", kinds | {"annotate"}))
        draft.columns.append(Column("n5", kind, null=True))
        draft.windowed = strategy is windows


@st.composite
def count_related(draw: st.DrawFn, draft: Draft) -> None:
    """Add an aggregate over a relation to each row."""
    many = [column for column in COLUMNS[draft.model] if column.many]
    if not many:
        return
    column = draw(st.sampled_from(many))
    draft.steps.append(
        Step(f"annotate(n1={draw(row_aggregates(column))})", frozenset({"annotate", "aggregate annotation"}))
    )
    draft.columns.append(Column("n1", "int", null=True))


def row_aggregates(column: Column) -> st.SearchStrategy[str]:
    """An aggregate that gives a whole number, or whatever is smallest in the column."""
    options = [f'Count("{column.path}")', f'Count("{column.path}", distinct=True)']
    if column.kind == "int":
        options += [f'{name}("{column.path}")' for name in ("Sum", "Min", "Max")]
    return st.sampled_from(options)


@st.composite
def orderings(draw: st.DrawFn, draft: Draft) -> tuple[Term, ...]:
    """One to three terms; the last one is sometimes the primary key, which makes the order total."""
    # A to-many path multiplies the rows: right, but rarely wanted.
    named = [column for column in draft.columns if column.sortable and (not column.many or draft.chance(draw, 10))]
    terms = [draw(order_terms(column)) for column in draw(st.lists(st.sampled_from(named), min_size=1, max_size=3))]
    if not draft.grouped and draft.chance(draw, 35):
        terms.append(Term("pk", False, draw(st.booleans()), None, frozenset()))
    return tuple(terms)


#: What a column can be ordered by besides itself.
EXPRESSIONS = {
    "text": ('Lower("{}")', 'Upper("{}")', 'Length("{}")', 'Coalesce("{}", Value("m"))', 'Concat("{}", Value("x"))'),
    "int": ('Coalesce("{}", Value(0))', '(F("{}") * 2)', '(Value(0) - F("{}"))'),
    "date": ('ExtractYear("{}")',),
    "datetime": ('TruncMonth("{}")', 'ExtractHour("{}")'),
    "bool": ("Case(When({}=True, then=Value(1)), default=Value(2))",),
}


@st.composite
def order_terms(draw: st.DrawFn, column: Column) -> Term:
    """One term of an ordering."""
    kinds = {"order by related"} if column.related else set()
    down = draw(st.booleans())
    if column.kind in EXPRESSIONS and draw(st.integers(0, 4)) == 4:
        expression = draw(st.sampled_from(EXPRESSIONS[column.kind])).replace("{}", column.path)
        if "Trunc" in expression and not connections[ORACLE].features.has_zoneinfo_database:
            expression = f'ExtractYear("{column.path}")'  # MySQL without time zone tables
        return Term(expression, True, down, None, frozenset(kinds | {"order by expression"}))
    nulls = draw(st.sampled_from((None, None, "first", "last"))) if column.null else None
    if column.null:
        kinds |= {"order with nulls"}
    return Term(column.path, False, down, nulls, frozenset(kinds))


@st.composite
def slices(draw: st.DrawFn) -> Slice:
    """``[a:b]``, ``[a:]`` or ``[:b]``, now and then empty or past the end."""
    start = draw(st.sampled_from((None, None, 0, 1, 2, 5, 17, 400)))
    if start is not None and draw(st.integers(0, 3)) == 3:
        return Slice(start, None)
    return Slice(start, (start or 0) + draw(st.sampled_from((1, 2, 3, 7, 0, 20, 500))))
