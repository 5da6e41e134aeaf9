"""Run modules of Django's suite on shards or on the strict local Redshift.

``python -m tests.django_suite --mode reference basic queries``
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import django

from tests.django_suite.modules import modules_of
from tests.django_suite.page import table, write_page
from tests.django_suite.recording import RECORD
from tests.django_suite.sdist import fetch_tests
from tests.django_suite.verdicts import Verdict, all_of, judge, read_explained

ROOT = Path(__file__).parents[2]
CACHE = Path(tempfile.gettempdir()) / "horizon_shards_django_suite"
MODES = ["reference", "sharded", "redshift"]
SECONDS = 1800


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.django_suite", description=__doc__)
    parser.add_argument("modules", nargs="*", help="modules of Django's tests (default: the mode's list)")
    parser.add_argument("--mode", choices=[*MODES, "all"], default="all", help="default: all of them")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where Django's source is kept")
    parser.add_argument("--json", type=Path, help="also write each test's end to this file")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the table into this page")
    parser.add_argument("--verbose", action="store_true", help="print each test that is wrong, with its error")
    return parser.parse_args()


def main() -> int:
    """Print a line a module; the exit status is 1 where a test is wrong."""
    options = arguments()
    options.cache.mkdir(parents=True, exist_ok=True)
    folder = fetch_tests(options.cache)
    modes = MODES if options.mode == "all" else [options.mode]
    everything: dict[str, list[Verdict]] = {mode: run_mode(mode, folder, options) for mode in modes}
    for mode, verdicts in everything.items():
        say(f"\n{mode}\n{table(verdicts)}")
        if options.write:
            write_page(options.write, mode, verdicts)
    if options.json:
        ends = {mode: [vars(verdict) for verdict in verdicts] for mode, verdicts in everything.items()}
        options.json.write_text(json.dumps(ends, indent=1), encoding="utf-8")
    return int(any(verdict.wrong for verdicts in everything.values() for verdict in verdicts))


def run_mode(mode: str, folder: Path, options: argparse.Namespace) -> list[Verdict]:
    """One verdict a module."""
    explained = read_explained(mode)
    verdicts = []
    for module in options.modules or modules_of(mode):
        records = run_module(mode, module, folder, options.cache)
        plain = all_of(records) if mode == "redshift" else run_module("plain", module, folder, options.cache)
        verdict = judge(module, plain, records, explained)
        if verdict.wrong and mode != "redshift":
            verdict.explain_counts(run_module(mode, module, folder, options.cache, count="once"))
        verdicts.append(verdict)
        say(verdict.line(mode))
        for test, record in verdict.wrong.items() if options.verbose else ():
            say(f"  {test}\n    {record['error'].splitlines()[0][:200]}")
    return verdicts


def run_module(mode: str, module: str, folder: Path, cache: Path, *, count: str = "all") -> dict[str, Any]:
    """The records of one module in a process of its own; those of plain SQLite are kept."""
    record = cache / f"django-{django.get_version()}-{mode}-{count}-{module}.json"
    if mode == "plain" and record.exists():
        return dict(json.loads(record.read_text(encoding="utf-8")))
    record.unlink(missing_ok=True)
    settings = {"DJANGO_SUITE_MODE": mode, "DJANGO_SUITE_COUNT": count, RECORD: str(record), "PYTHONPATH": str(ROOT)}
    environment = {**os.environ, **settings}
    command = [sys.executable, "-m", "tests.django_suite.child", str(folder), module]
    with record.with_suffix(".log").open("w", encoding="utf-8") as log:
        done = subprocess.run(command, env=environment, cwd=ROOT, stdout=log, stderr=log, timeout=SECONDS, check=False)
    if not record.exists():
        raise SystemExit(f"{module} on {mode} ended with {done.returncode} and no record: see {log.name}")
    return dict(json.loads(record.read_text(encoding="utf-8")))


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
