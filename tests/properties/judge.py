"""The comparison: one query on both sides, and a verdict."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

from django.db import connections

from horizon_shards.exceptions import QueryNotSupported
from horizon_shards.signals import query_federated, query_planned
from tests.properties.blocks import Block, make_blocks, misfit, split_keys
from tests.properties.canonical import Fold, close, identity, same_rows
from tests.properties.collation import fold as fold_text
from tests.properties.firsts import choices, misfit_of_firsts, without_firsts
from tests.properties.no_answer import fault_of_database, ties
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
    if (fault := fault_of_database(query, expected)) is not None:
        return "no right answer", fault
    if expected.error is not None:
        return _compare_errors(expected.error, found)
    if found.error is not None:
        return "different", f"raises {type(found.error).__name__}: {found.error}"
    fold = folding(query)
    try:
        why = _form(query)(query, expected.value, found.value, fold, tested)
    except UnreadableOrder:
        return "no right answer", "Django cannot select its sort keys"
    if why and (tie := ties(query)) is not None:
        return "no right answer", tie
    return ("different", why) if why else ("same", "")


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
    shows_any = query.kinds & FOLDED or "Window(Max(" in str(query)
    return (lambda text: fold_text(text, PLAIN.alias)) if shows_any else identity


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


def _compare_firsts(query: Query, expected: Any, found: Any, fold: Fold, tested: Side) -> str | None:
    """One row of each group of ``distinct("field")``: which of those that are first together is open."""
    every, names = without_firsts(query)
    outcome = run(every.keyed(f'F("{name}")' for name in names), PLAIN)
    if outcome.error is not None:
        raise UnreadableOrder(f"The groups of {query} cannot be read") from outcome.error
    groups = choices(query, names, outcome.value)
    start, stop = (query.slice.start or 0, query.slice.stop) if query.slice else (0, None)
    answers = [expected, found]
    if query.terminal.form != "rows":
        stop = 1
        nothing = [None] if query.flat and groups else []
        answers = [nothing if one is None else [one] for one in answers]
    whys = [misfit_of_firsts(rows, groups, start, stop, ordered=bool(query.effective_order)) for rows in answers]
    if whys[0] is not None:
        raise UnreadableOrder(f"One database does not fit its own order: {whys[0]}; it gives {_short(expected)}")
    return whys[1] and f"{whys[1]}\n  one database: {_short(expected)}\n  shards:       {_short(found)}"


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
    if close(expected, found, fold, averages=bool(query.kinds & {"Variance", "StdDev"})):
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


def _form(query: Query) -> Callable[..., str | None]:
    """How the answers to a query are compared."""
    firsts = "distinct on" in query.kinds and query.terminal.form in ("rows", "first", "last")
    return _compare_firsts if firsts else FORMS[query.terminal.form]


FORMS: dict[str, Callable[..., str | None]] = {
    "rows": _compare_rows,
    "first": _compare_one,
    "last": _compare_one,
    "any": _compare_any,
    "value": _compare_value,
    "write": _compare_write,
}
