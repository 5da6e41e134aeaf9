"""Hypothesis strategies for window functions: with the shard key in PARTITION BY, and without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from tests.properties.vocabulary import COLUMNS, Column

if TYPE_CHECKING:
    from tests.properties.strategies import Draft

#: Columns that keep the rows of a partition on one shard.
KEYS = {
    "Visit": ("site", "visitor"), "Visitor": ("site",), "Tag": ("site",), "Tagging": ("site", "visit"),
    "Invoice": ("site",), "Ticket": ("site",), "Account": ("id",), "Order": ("account",), "Country": (),
}  # fmt: skip
#: Functions whose result is the same however rows with equal keys are ordered: in code, and the kind of result.
PEERS = (
    ("Rank()", "int"), ("DenseRank()", "int"), ('Count("{}")', "int"), ("CumeDist()", "float"),
    ("PercentRank()", "float"),
)  # fmt: skip
#: The same for numbers.
NUMBERS = (('Sum("{}")', "int"), ('Min("{}")', "int"), ('Max("{}")', "int"), ('Avg("{}")', "float"))
#: Functions that need a total order.
TOTAL = (
    ("RowNumber()", "int"), ("Ntile(num_buckets=3)", "int"), ('Lag("{}")', None), ('Lead("{}", offset=2)', None),
    ('FirstValue("{}")', None), ('NthValue("{}", nth=2)', None), ('LastValue("{}")', None),
)  # fmt: skip
FRAMES = ("RowRange(start=-1, end=0)", "RowRange(start=None, end=0)", "RowRange(start=0, end=1)")


@st.composite
def windows(draw: st.DrawFn, draft: Draft) -> tuple[str, str, frozenset[str]]:
    """A window in code, the kind of its values, and the kinds of query that it makes."""
    single = [column for column in COLUMNS[draft.model] if column.sortable and not column.many]
    own = [column for column in single if not column.related and column.kind not in ("key", "float")]
    kind, partition = draw(partitions(draft.model, own))
    total = draw(st.booleans())
    order = draw(orders(draft.model, single, total))
    value = draw(st.sampled_from([column for column in own if column.kind == "int"] or own))
    options = [*TOTAL, *PEERS] if total else list(PEERS)
    options += NUMBERS if value.kind == "int" else ()
    function, result = draw(st.sampled_from(options))
    frame = ""
    if total and function.startswith(("Sum", "Min", "Max", "Count")) and draw(st.booleans()):
        frame = f", frame={draw(st.sampled_from(FRAMES))}"
    if not order:
        function, result = draw(st.sampled_from((('Count("*")', "int"), (f'Max("{value.path}")', None))))
    text = f"Window({function.replace('{}', value.path)}{partition}{order}{frame})"
    values = "int" if value.kind.startswith("id:") else value.kind  # the biggest id is nobody's reference
    return text, result or values, frozenset({kind})


@st.composite
def partitions(draw: st.DrawFn, model: str, own: list[Column]) -> tuple[str, str]:
    """The kind of the partition, and PARTITION BY in code."""
    names = []
    if KEYS[model] and draw(st.integers(0, 9)) < 6:
        names.append(draw(st.sampled_from(KEYS[model])))
    kind = "window by the key" if names else "window over shards"
    if draw(st.integers(0, 9)) < 4:
        names.append(draw(st.sampled_from(own)).path)
    listed = ", ".join(f'"{name}"' for name in dict.fromkeys(names))
    return kind, f", partition_by=[{listed}]" if names else ""


@st.composite
def orders(draw: st.DrawFn, model: str, single: list[Column], total: bool) -> str:
    """ORDER BY of a window in code; ``total``: no two rows are equal by it."""
    columns = draw(st.lists(st.sampled_from(single), max_size=1))
    names = [f'"{draw(st.sampled_from(("", "-")))}{column.path}"' for column in columns]
    if total:
        names += ['"site"', '"number"'] if model == "Invoice" else [draw(st.sampled_from(('"pk"', '"-pk"')))]
    return f", order_by=[{', '.join(names)}]" if names else ""
