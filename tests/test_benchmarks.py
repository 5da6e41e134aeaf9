"""The benchmarks run and say what they should; their times are for a quiet machine, their memory is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The benchmark as a command of its own, which has settings of its own."""
    command = [sys.executable, "-W", "error", "-m", f"benchmarks.{name}", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )


def answer(name: str, *arguments: str) -> dict[str, Any]:
    """What it prints as JSON."""
    found: dict[str, Any] = json.loads(run(name, "--json", *arguments).stdout)
    return found


@pytest.mark.parametrize(
    ("name", "limited"),
    [
        ("routed", ["objects.filter(site=7)[:1]", "objects.get(pk=...)"]),
        ("scatter", ["ordered slice of 100", "the same in atomic()", "twice in one atomic()", "count()"]),
        ("merging", []),
        (
            "grouped",
            ["1,000 groups", "the ten largest", "HAVING on an expression", "1,000 groups, 5 ms away"],
        ),
    ],
)
def test_each_comparison_has_its_times_and_its_limit(name: str, limited: list[str]) -> None:
    found = answer(name, "--rows", "600", "--rounds", "2")["comparisons"]
    assert len(found) >= 5
    assert all(c["ours_best_ms"] > 0 and c["base_best_ms"] > 0 and c["ratio"] > 0 for c in found)
    assert [c["name"] for c in found if c["limit"]] == limited


def test_a_table_has_a_line_for_each_comparison() -> None:
    heading, *lines = run("merging", "--rows", "600", "--rounds", "1").stdout.splitlines()
    assert heading.split()[:2] == ["what", "against"]
    assert all("one database" in line for line in lines)
    assert [line.split()[0] for line in lines].count("count()") == 1


def test_a_stream_of_many_rows_is_held_in_little_memory() -> None:
    found = answer("streaming", "--rows", "150000", "--rounds", "1")
    assert [(s["alias"], s["rows"]) for s in found["streams"]] == [("track", 150_000), ("plain", 150_000)]
    # Tuples of all rows take more than 100 MiB.
    assert found["held_mib"] < 32


def test_the_databases_of_a_run_are_removed(tmp_path: Path) -> None:
    run("merging", "--rows", "100", "--rounds", "1", TMPDIR=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_every_way_of_collecting_delivers_what_it_took() -> None:
    rates = answer("sinks", "--seconds", "0.3")["rates"]
    assert rates[0]["name"] == "DRF, put_record for each"
    assert len(rates) == 5
    assert all(rate["events"] == rate["arrived"] > 0 for rate in rates)
