"""The comparison: one query on both sides, and a verdict."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

from django.core.exceptions import FullResultSet
from django.db import OperationalError, ProgrammingError, connections

from horizon_shards.exceptions import QueryNotSupported
from horizon_shards.signals import query_federated, query_planned
from tests.properties.blocks import Block, make_blocks, misfit, split_keys
from tests.properties.canonical import Fold, close, identity, same_rows
from tests.properties.collation import fold as fold_text
from tests.properties.outcome import PLAIN, SHARDS_SIDE, Outcome, Side, run
from tests.properties.tables import undone
from tests.properties.tree import Query

Result = Literal["same", "same error", "refused", "no right answer", "different"]
#: Failure reports show the beginning of a result: the query is printed in full, and can be run again.
_reprs = reprlib.Repr()  # Python 3.10 and 3.11 take no arguments here
_reprs.maxlist, _reprs.maxdict, _reprs.maxtuple, _reprs.maxother, _reprs.maxstring = 6, 8, 8, 600, 80
_short = _reprs.repr
FOLDED = {"group", "distinct", "set operation", "Min", "Max", "Count distinct", "aggregate annotation"}


@dataclass(frozen=True)
class Verdict:
    """What the comparison of one query found."""

    query: Query
    result: Result
    why: str = ""
    rows: int = 0
    shards: tuple[str, ...] = ()
    planned: tuple[Any, ...] = field(default=(), repr=False)


class Difference(AssertionError):
    """The shards gave another answer than one database with all rows."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(f"{verdict.why}\n\n    {verdict.query}\n\nshards asked: {', '.join(verdict.shards) or 'none'}")
        self.verdict = verdict


def judge(query: Query, *, tested: Side = SHARDS_SIDE, isolated: bool = True) -> Verdict:
    """Run the query on both sides and compare; raises nothing.

    ``isolated``: whether a write is rolled back here (False where the caller's transaction will be).
    """
    if query.terminal.form == "write" or ends_with_an_error(PLAIN.alias):
        with undone((tested.alias, PLAIN.alias)) if isolated else nullcontext():
            return _judge(query, tested)
    return _judge(query, tested)


def ends_with_an_error(alias: str) -> bool:
    """Whether an error leaves a transaction open that answers nothing any more, as PostgreSQL does."""
    connection = connections[alias]
    return connection.in_atomic_block and connection.vendor == "postgresql"


def _judge(query: Query, tested: Side) -> Verdict:
    expected = run(str(query), PLAIN)
    with plans() as planned:
        found = run(str(query), tested)
    rows = len(expected.value) if isinstance(expected.value, list) else 1 if expected.value else 0
    result, why = _compare(query, expected, found, tested)
    asked = tuple(sorted({shard for _, plan in planned for shard in plan.shards}))
    return Verdict(query, result, why, rows, asked, tuple(planned))


@contextmanager
def plans() -> Iterator[list[Any]]:
    """The plans of the queries that run in the block."""
    seen: list[Any] = []

    def remember(sender: Any, plan: Any, **kwargs: Any) -> None:
        seen.append((sender, plan))

    for signal in (query_planned, query_federated):
        signal.connect(remember)
    try:
        yield seen
    finally:
        for signal in (query_planned, query_federated):
            signal.disconnect(remember)


def _compare(query: Query, expected: Outcome, found: Outcome, tested: Side) -> tuple[Result, str]:
    for refusal in (found.error, expected.error):
        # Fields of ours refuse on one database, too.
        if isinstance(refusal, QueryNotSupported):
            return "refused", refusal.reason
    for fault in (fault_of_django(expected), *(known(query) for known in KNOWN_FAULTS)):
        if fault is not None:
            return "no right answer", fault
    if expected.error is not None:
        return _compare_errors(expected.error, found)
    if found.error is not None:
        return "different", f"raises {type(found.error).__name__}: {found.error}"
    fold = folding(query)
    try:
        why = FORMS[query.terminal.form](query, expected.value, found.value, fold, tested)
    except UnreadableOrder:
        return "no right answer", "Django cannot select its sort keys"
    return ("different", why) if why else ("same", "")


#: What SQLite, MariaDB, MySQL and PostgreSQL say of SQL that makes no sense.
INVALID = re.compile(
    "syntax error|no such column|misuse|Unknown column|missing FROM-clause|column .* does not exist|"
    "different number of columns"
)

#: What Python says of a year that no date has, if a query is made of it at all.
BEYOND = re.compile(r"year -?\d+ is out of range|Year is out of range: -?\d+")


def fault_of_django(expected: Outcome) -> str | None:
    """Why what one database gives is no answer that anything can be compared with; None where it is one.

    Django 5.2 hands its own marker out where an expression stands beside an aggregate that can never hold.
    """
    if isinstance(expected.error, OperationalError | ProgrammingError) and INVALID.search(str(expected.error)):
        return "Django makes no valid SQL"
    if isinstance(expected.error, FullResultSet):
        return "Django hands FullResultSet out"
    if isinstance(expected.error, ValueError) and BEYOND.fullmatch(str(expected.error)):
        return "Django cannot write the year"
    values = expected.value.values() if isinstance(expected.value, dict) else ()
    return "Django gives NotImplemented" if any(value is NotImplemented for value in values) else None


def miscount_of_django(query: Query) -> str | None:
    """Groups by a composite primary key, counted: Django writes GROUP BY 1 for the whole key, its first column."""
    sliced = query.model == "Invoice" and query.slice is not None and "aggregate annotation" in query.kinds
    return "Django groups by a part of the key" if sliced and "count" in query.kinds else None


NEVER_COUNTED = re.compile(r"filter=.*__in=\[\].*Case\(When\(")


def case_of_django(query: Query) -> str | None:
    """A Case by a count whose condition can never hold: Django drops the When, also where it says that it is 0."""
    return "Django drops a When by a count that can never hold" if NEVER_COUNTED.search(str(query)) else None


#: Joins to other rows of the model itself: these may be asked first, wherever they are.
THERE_AND_BACK = ("country__visit", "visitor__visits", "account__orders")


def update_of_sqlite(query: Query) -> str | None:
    """An UPDATE where NOT EXISTS looks at the same table: SQLite 3.40 sees rows that the UPDATE has changed already.

    Of 215 rows that it should change, it changed 73.
    """
    if connections[PLAIN.alias].vendor != "sqlite" or not query.kinds & {"not", "exclude"}:
        return None
    same_table = "update(" in str(query) and any(join in str(query) for join in THERE_AND_BACK)
    return "SQLite sees rows that its UPDATE has changed" if same_table else None


def order_of_django(query: Query) -> str | None:
    """A composite key in the order beside a condition on a window: Django orders by its last column alone."""
    text = str(query)
    ordered = query.model == "Invoice" and "Window(" in text and ('"pk"' in text or '"-pk"' in text)
    return "Django orders by a part of the key" if ordered else None


KNOWN_FAULTS = (miscount_of_django, case_of_django, update_of_sqlite, order_of_django)


def _compare_errors(expected: Exception, found: Outcome) -> tuple[Result, str]:
    if found.error is None:
        return (
            "different",
            f"gives {_short(found.value)}, where one database raises {type(expected).__name__}: {expected}",
        )
    if isinstance(found.error, type(expected)):
        return "same error", type(expected).__name__
    return "different", (
        f"raises {type(found.error).__name__}: {found.error}, where one database raises "
        f"{type(expected).__name__}: {expected}"
    )


class UnreadableOrder(Exception):
    """One database does not select what it orders by: Django groups by an expression on a window, say."""


def folding(query: Query) -> Fold:
    """Where a result may show any of several texts that the collation calls equal, compare what it says of them."""
    return (lambda text: fold_text(text, PLAIN.alias)) if query.kinds & FOLDED else identity


def _compare_rows(query: Query, expected: Any, found: Any, fold: Fold, tested: Side) -> str | None:
    start = query.slice.start or 0 if query.slice else 0
    stop = query.slice.stop if query.slice else None
    return _against_blocks(blocks_of(query), expected, found, fold, start, stop)


def _compare_one(query: Query, expected: Any, found: Any, fold: Fold, tested: Side) -> str | None:
    blocks = blocks_of(query)
    # Of a flat values_list(), None is a row as well as no row.
    nothing = [None] if query.flat and blocks else []
    wanted, got = (nothing if one is None else [one] for one in (expected, found))
    return _against_blocks(blocks, wanted, got, fold, 0, 1)


def _against_blocks(
    blocks: list[Block], expected: list[Any], found: list[Any], fold: Fold, start: int, stop: int | None
) -> str | None:
    if (why := misfit(expected, blocks, start, stop, fold)) is not None:
        raise UnreadableOrder(f"One database does not fit its own order: {why}; it gives {_short(expected)}")
    if (why := misfit(found, blocks, start, stop, fold)) is not None:
        return f"{why}\n  one database: {_short(expected)}\n  shards:       {_short(found)}"
    return None


def blocks_of(query: Query) -> list[Block]:
    """The oracle's rows without the slice, in blocks of equal sort keys."""
    outcome = run(query.keyed(), PLAIN)
    if outcome.error is not None:
        raise UnreadableOrder(f"The sort keys of {query} cannot be read: {query.keyed()}") from outcome.error
    pairs = [split_keys(row, len(query.key_sources), query.flat) for row in outcome.value]
    return make_blocks(pairs, lambda text: fold_text(text, PLAIN.alias))


def _compare_any(query: Query, expected: Any, found: Any, fold: Fold, tested: Side) -> str | None:
    wanted, got = (value if isinstance(value, list) else [value] for value in (expected, found))
    if same_rows(wanted, got, fold, loose=True):
        return None
    return f"{_short(found)} instead of {_short(expected)}"


def _compare_value(query: Query, expected: Any, found: Any, fold: Fold, tested: Side) -> str | None:
    if close(expected, found, fold, averages=bool(query.kinds & {"Avg", "Variance", "StdDev"})):
        return None
    return f"{_short(found)} instead of {_short(expected)}"


def _compare_write(query: Query, expected: Any, found: Any, fold: Fold, tested: Side) -> str | None:
    if (why := _compare_value(query, expected, found, fold, tested)) is not None:
        return f"returns {why}"
    (wanted, _), (got, problems) = PLAIN.read_tables(), tested.read_tables()
    for model in wanted:
        if wanted[model] != got[model]:
            missing, extra = wanted[model] - got[model], got[model] - wanted[model]
            return f"{model} afterwards: missing {list(missing)[:3]!r}, too many {list(extra)[:3]!r}"
    return "; ".join(problems) or None


FORMS: dict[str, Callable[..., str | None]] = {
    "rows": _compare_rows,
    "first": _compare_one,
    "last": _compare_one,
    "any": _compare_any,
    "value": _compare_value,
    "write": _compare_write,
}
