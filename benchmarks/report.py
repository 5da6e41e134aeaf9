"""The command line that all benchmarks share, and their tables."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import sys
from collections.abc import Callable, Sequence
from typing import Any

import django

from benchmarks.timing import Comparison

HEADINGS = ("what", "against", "best ms", "median ms", "best ms", "median ms", "ratio", "limit")


def arguments(description: str, *, rows: int, rounds: int) -> argparse.ArgumentParser:
    """``--rows``, ``--rounds``, ``--json`` and ``--check`` with the defaults of a benchmark."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rows", type=int, default=rows, help=f"page views in the databases ({rows})")
    parser.add_argument("--rounds", type=int, default=rounds, help=f"rounds, in turns ({rounds})")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a limit is passed")
    return parser


def on_servers(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """With ``--engine``."""
    parser.add_argument("--engine", choices=("sqlite", "mysql"), default="sqlite", help="mysql: five MariaDB servers")
    return parser


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "python": platform.python_version(),
        "django": django.get_version(),
        "sqlite": sqlite3.sqlite_version,
        "cores": os.cpu_count(),
    }


def run(parser: argparse.ArgumentParser, measure: Callable[[argparse.Namespace], Sequence[Comparison]]) -> None:
    """Parse the command line, measure, print; for a benchmark that is nothing but comparisons."""
    options = parser.parse_args()
    comparisons = measure(options)
    if options.json:
        print(json.dumps({"machine": machine(), "comparisons": [c.as_dict() for c in comparisons]}, indent=2))
    else:
        print(table(HEADINGS, [_cells(comparison) for comparison in comparisons]))
    if options.check and not all(comparison.holds for comparison in comparisons):
        sys.exit(1)


def _cells(comparison: Comparison) -> tuple[str, ...]:
    times = (
        comparison.ours_best_ms,
        comparison.ours_median_ms,
        comparison.base_best_ms,
        comparison.base_median_ms,
    )
    limit = "" if comparison.limit is None else f"{comparison.limit:.2f}"
    return (comparison.name, comparison.base, *(f"{ms:.3f}" for ms in times), f"{comparison.ratio:.3f}", limit)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the first two to the left, figures to the right."""
    lines = [headings, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
