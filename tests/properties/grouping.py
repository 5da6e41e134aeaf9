"""Hypothesis strategies for GROUP BY and for expressions over aggregates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import connections
from hypothesis import strategies as st

from tests.properties.conditions import conditions, kinds_of_filter
from tests.properties.engine_aggregates import of_groups, own_names
from tests.properties.tables import ORACLE
from tests.properties.tree import Step
from tests.properties.vocabulary import COLUMNS, Column

if TYPE_CHECKING:
    from tests.properties.strategies import Draft

#: Aggregates whose results are the same to the last digit, whatever the order of adding: kind of column, and of result.
EXACT = {
    'Count("{}")': (None, "int"),
    'Count("{}", distinct=True)': (None, "int"),
    'Sum("{}")': ("int", "int"),
    'Sum("{}", distinct=True)': ("int", "int"),
    'Sum("{}", default=-3)': ("int", "int"),
    'Min("{}")': ("int", "int"),
    'Max("{}")': ("int", "int"),
    'Coalesce(Sum("{}"), Value(0))': ("int", "int"),
    'Sum("{}") - Count("{}")': ("int", "int"),
    'Max("{}") * 2 - Min("{}")': ("int", "int"),
    'Sum("{}") / Count("id")': ("int", "int"),
}
#: The text that a collation calls smallest may be any of several, which these expressions tell apart.
TEXTS = {
    'Min("{}")': ("text", "text"),
    'Max("{}")': ("text", "text"),
    'Upper(Max("{}"))': ("text", "text"),
    'Concat(Min("{}"), Value("/"), Max("{}"))': ("text", "text"),
    'Coalesce(Max("{}"), Value("m"))': ("text", "text"),
}
#: Over the first aggregate of a group, ``n2``.
OVER = {
    'F("n2") + 1': "int",
    'F("n2") * F("n2") - 2': "int",
    "Case(When(n2__gt=1, then=Value(1)), When(n2=0, then=Value(2)), default=Value(0))": "int",
    'Coalesce(F("n2"), Value(7))': "int",
    'Case(When(n2__isnull=True, then=Value("none")), default=Value("some"))': "text",
}
HAVING = (
    "n2__gt={}", "n2={}", "n2__in=[0, {}, 5]", "n2__range=({}, 9)", "n2__isnull=True", 'n2__gte=Count("id") - {}',
    "Q(n2__lt={}) | Q(n2__gt=4)", "~Q(n2={})", "Q(n2__gt=1) ^ Q(n2__lt={})",
)  # fmt: skip

#: Over groups.
WINDOWS = (
    'Window(Rank(), order_by="-n2")', 'Window(Sum("n2"))', 'Window(DenseRank(), order_by=["n2", "{}"])',
    'Window(Max("n2"), partition_by="{}")', 'Window(Count("*"), partition_by="n2")',
)  # fmt: skip


def exact_aggregates(column: Column) -> list[tuple[str, str]]:
    """Aggregates of a column in code, with the kind of their result."""
    described = EXACT | (TEXTS if connections[ORACLE].vendor != "mysql" else {})
    return of_groups(column) + [
        (text.replace("{}", column.path), result)
        for text, (kind, result) in described.items()
        if kind in (None, column.kind)
    ]


@st.composite
def group(draw: st.DrawFn, draft: Draft) -> None:
    """Add ``values(...).annotate(...)``, that is GROUP BY, with expressions over it and a HAVING now and then."""
    plain = [column for column in draft.columns if column.sortable and not column.many]
    chosen = draw(st.lists(st.sampled_from(plain), min_size=1, max_size=2, unique=True))
    names = ", ".join(f'"{column.path}"' for column in chosen)
    draft.steps.append(Step(f"values({names})"))
    draft.columns = list(chosen)
    draw(_add(draft, "n2", "int"))
    if draft.chance(draw, 40):
        draw(_add(draft, "n3", None))
    if draft.chance(draw, 35):
        text, kind = draw(st.sampled_from(sorted(OVER.items())))
        draft.steps.append(Step(f"annotate(n4={text})", frozenset({"expression over groups"})))
        draft.columns.append(Column("n4", kind, null=True))
    if draft.chance(draw, 10):
        text = draw(st.sampled_from(WINDOWS)).replace("{}", chosen[0].path)
        draft.steps.append(Step(f"annotate(n6={text})", frozenset({"window over groups"})))
    if draft.chance(draw, 35):
        condition = draw(st.sampled_from(HAVING)).replace("{}", str(draw(st.integers(0, 3))))
        draft.steps.append(Step(f"filter({condition})", frozenset({"having"})))
    draft.grouped = draft.shaped = True


@st.composite
def _add(draw: st.DrawFn, draft: Draft, name: str, wanted: str | None) -> None:
    """One aggregate of a group."""
    column = draw(st.sampled_from([c for c in COLUMNS[draft.model] if c.sortable]))
    options = [(text, kind) for text, kind in exact_aggregates(column) if wanted in (None, kind)]
    text, kind = draw(st.sampled_from(options))
    kinds = {"group"} | ({"Count distinct"} if "distinct" in text else set()) | {text.split("(")[0]} & {*own_names()}
    if text.startswith(("Count", "Sum", "Bit", "Bool")) and text.count("(") == 1 and draft.chance(draw, 20):
        condition = draw(conditions(draft.model, draft.data, 1))
        text = f"{text.removesuffix(')')}, filter={condition})"
        kinds |= kinds_of_filter(condition)
    draft.steps.append(Step(f"annotate({name}={text})", frozenset(kinds)))
    draft.columns.append(Column(name, kind, null=True))


@st.composite
def over_aggregates(draw: st.DrawFn, made: list[tuple[str, str]]) -> tuple[str, frozenset[str]]:
    """An expression over aggregates that stand before it in ``aggregate()``: their names and kinds."""
    numbers = [name for name, kind in made if kind in ("int", "count")]
    name, kind = draw(st.sampled_from(made))
    options = [f'Coalesce(F("{name}"), F("{name}"))']
    if kind in ("int", "float", "duration"):
        options += [f'F("{name}") + F("{name}")', f'F("{name}") - F("{name}")']
    for number in numbers:
        options += [
            f'F("{number}") * 3 - 1', f'F("{number}") / 2', f'Coalesce(F("{number}"), Value(5))',
            f"Case(When({number}__gt=1, then=Value(1)), default=Value(2))",
            f'Case(When({number}__isnull=True, then=Value("none")), default=Value("some"))',
        ]  # fmt: skip
    return draw(st.sampled_from(options)), frozenset({"expression over aggregates"})
