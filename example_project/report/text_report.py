"""The overview as text for a terminal, and with every row as data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from aggregate.models import COUNTS
from report.dashboard import rankings
from report.overview import Overview, SiteLine

COLUMNS = ("requests", "views", "visitors", "bots", "errors")
BAR_WIDTH = 30


def as_text(overview: Overview) -> str:
    """Two tables: the websites with their shards, and the shards with what they hold; the warehouse has the first."""
    period = overview.period
    title = f"{len(overview.sites)} websites {_place(overview)}, {period.first} to {period.last}"
    header = ("website", "shard", *COLUMNS)
    lines = [(str(line.site), line.shard, *(line.counts[name] for name in COLUMNS)) for line in overview.sites]
    total = ("all websites", "", *(overview.totals[name] for name in COLUMNS))
    table = [title, "", *_table(header, [*lines, total])]
    return "\n".join([*table, "", *_held(overview)] if overview.shards else table)


def _place(overview: Overview) -> str:
    shards = len(overview.shards)
    return f"on {shards} shard{'' if shards == 1 else 's'}" if shards else "in the warehouse"


def _held(overview: Overview) -> list[str]:
    holds = [
        (shard.name, shard.sites, shard.stored, f"{shard.share:5.1f} %  {'#' * round(shard.share / 100 * BAR_WIDTH)}")
        for shard in overview.shards
    ]
    return _table(("shard", "websites", "requests held", "   share"), holds)


def as_data(overview: Overview) -> dict[str, Any]:
    """The whole report, to the row; what depends on the shards is under ``placement`` alone."""
    return {
        "first": overview.period.first,
        "last": overview.period.last,
        "totals": dict(overview.totals),
        "websites": [_site_data(line, overview) for line in overview.sites],
        "placement": {
            "websites": {str(line.site): line.shard for line in overview.sites},
            "shards": [asdict(shard) for shard in overview.shards],
        },
    }


def _site_data(line: SiteLine, overview: Overview) -> dict[str, Any]:
    facts = overview.facts
    days = facts.days_of(site=line.site.pk).order_by("day")
    hours = facts.hours_of(site=line.site.pk).order_by("hour")
    return {
        "website": str(line.site),
        "counts": dict(line.counts),
        "days": list(days.values("day", *COUNTS)),
        "hours": list(hours.values("hour", *COUNTS)),
        "rankings": {
            ranking.title: [[row.label, row.count] for row in ranking.rows]
            for ranking in rankings(line.site, period=overview.period, limit=100, facts=facts)
        },
    }


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    cells = [list(header), *([f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    numeric = [all(cell[:1].isdigit() for cell in column[1:]) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row, widths, numeric, strict=True)).rstrip()
        for row in cells
    ]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]
