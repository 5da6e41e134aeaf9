"""The page that says what the last long run compared."""

from __future__ import annotations

import platform
from collections import Counter
from datetime import date
from pathlib import Path

import django
import hypothesis

from tests.properties.tally import Tally

PAGE = """\
# The oracle

Random queries are run on four shards and on one plain database that holds the same rows; the answers must be the
same: rows, their order, numbers, types, errors, and after a write every table. Rows whose sort keys are equal may
trade places, nothing else may. A refusal (`QueryNotSupported`) is counted, not compared. So is a query to which one
database has no right answer (`aggregate()` of Django 5.2 gives the marker `NotImplemented` now and then; a sort
key cannot be selected beside groups).

Asked where the engine has them: `distinct("field")`, whose row may be any of those that are first together, `AnyValue`,
which may be any of the values, `BitAnd`, `BitOr`, `BitXor`, `BoolAnd`, `BoolOr`, `ArrayAgg` and `StringAgg`. Sums,
averages and variances are also of ids and keys, whose sums and squares are beyond 64 bits.

    python -m tests.properties --queries {queries} --seed {seed}

writes this page. CI compares a few thousand queries, with other seeds for each commit.

| the last long run | |
|---|---|
| queries | {total:,} |
| differences | {different:,} |
| seed | {seed} |
| date | {date} |
| engine | {engine} |
| Django, Python, Hypothesis | {django}, {python}, {hypothesis} |
| same answer | {same:,} |
| same error | {same_error:,} ({errors}) |
| refused | {refused:,} ({refused_share:.1%}); of the queries without an optional feature {plain_share:.2%} |
| no right answer to compare | {unanswered} |
| answers that are not empty | {with_rows:,} |
| queries that name one shard key | {one_key:,} |
| shards asked by a query | {asked} |

## Refusals by reason

{reasons}

## Compared by kind

A query counts for every kind it has.

{kinds}
"""


def page(tally: Tally, *, queries: int, seed: int, engine: str) -> str:
    """The page as Markdown."""
    results = tally.results
    return PAGE.format(
        queries=queries,
        seed=seed,
        total=tally.total,
        different=results["different"],
        date=date.today().isoformat(),
        engine=engine,
        django=django.__version__,
        python=platform.python_version(),
        hypothesis=hypothesis.__version__,
        same=results["same"],
        same_error=results["same error"],
        errors=_counts(tally.errors),
        unanswered=_counts(tally.unanswered),
        refused=results["refused"],
        refused_share=tally.refused_share,
        plain_share=tally.plain_refused_share,
        with_rows=tally.with_rows,
        one_key=tally.one_key,
        asked=", ".join(f"{shards}: {count:,}" for shards, count in sorted(tally.shards_asked.items())),
        reasons=_table(
            ("reason", "queries", "the shortest"),
            [
                (f"`{name}`", n, f"`{tally.examples[name]}`".replace("|", "\\|"))
                for name, n in tally.reasons.most_common()
            ],
        ),
        kinds=_kinds(tally),
    )


def _counts(counted: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counted.most_common()) or "none"


def _kinds(tally: Tally) -> str:
    names = sorted({*tally.compared, *tally.refused}, key=str.lower)
    return _table(("kind", "compared", "refused"), [(n, tally.compared[n], tally.refused[n]) for n in names])


def _table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in rows:
        cells = (f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def write_page(path: Path, tally: Tally, *, queries: int, seed: int, engine: str) -> None:
    """Write the page to ``path``."""
    path.write_text(page(tally, queries=queries, seed=seed, engine=engine))
