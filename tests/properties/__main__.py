"""A long run: ``python -m tests.properties --queries 100000 --seed 7`` writes ``docs/oracle.md``."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from random import SystemRandom
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "oracle.md"
#: Hypothesis remembers what it tried: many short rounds over many datasets see more than one long one.
ROUND = 500


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.properties", description=__doc__)
    parser.add_argument("--queries", type=int, default=100_000, help="how many queries to compare")
    parser.add_argument("--seed", type=int, help="repeat the run with this seed (default: a new one)")
    parser.add_argument("--json", type=Path, help="also write what was counted to this file")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to write (default: docs/oracle.md)")
    parser.add_argument("--federation", type=int, default=0, metavar="ROWS", help="federate up to so many rows")
    parser.add_argument("--keep-going", action="store_true", help="go on after a difference, and list them all")
    return parser.parse_args()


def main() -> int:
    """Compare, print, write the page; the exit status is 1 where a difference was found."""
    options = arguments()
    seed = options.seed if options.seed is not None else SystemRandom().randrange(10**9)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    os.environ.setdefault("SHARDS_DEFAULT", "server")
    import django

    django.setup()
    from horizon_shards import allow_federation
    from horizon_shards.testing.placement import scrambled_placement
    from tests.properties import sources

    say(f"seed {seed}, {options.queries} queries")
    with scrambled_placement(seed), sources.databases(), allow_federation(options.federation):
        tally, found = run_rounds(options.queries, seed, options.keep_going)
        engine = sources.engine()
    return finish(options, seed, engine, tally, found)


def run_rounds(queries: int, seed: int, keep_going: bool) -> tuple[Any, list[str]]:
    """Rounds over fresh datasets until ``queries`` are compared; the differences that were found."""
    from tests.properties.tally import Tally

    tally, found, number, started = Tally(), [], 0, time.monotonic()
    while tally.total < queries and (keep_going or not found):
        difference = one_round(tally, seed, number, min(ROUND, queries - tally.total))
        number += 1
        if difference is not None:
            tally.results["different"] += 1
            found.append(difference)
            say(f"\n{difference}\n")
        if number % 10 == 0 or difference is not None:
            rate = tally.total / (time.monotonic() - started)
            say(f"round {number}: {tally.total:,} queries, {rate:.0f} a second, {tally.refused_share:.1%} refused")
    return tally, found


def one_round(tally: Any, seed: int, number: int, examples: int) -> str | None:
    """One dataset and many queries; every fifth round makes its rows anew for each query."""
    from tests.properties.explore import DATASETS, differences, explore, explore_small, make_rows_of
    from tests.properties.rows import store
    from tests.properties.sources import emptied

    round_seed = seed * 1_000 + number
    with emptied():
        if number % 5 == 4:
            return differences(lambda: explore_small(tally, examples=examples, seed_number=round_seed))
        dataset = DATASETS[number % len(DATASETS)]
        data = store(make_rows_of(dataset, round_seed), dataset.name)
        return differences(lambda: explore(data, tally, examples=examples, seed_number=round_seed))


def finish(options: argparse.Namespace, seed: int, engine: str, tally: Any, found: list[str]) -> int:
    """Write what was counted."""
    from tests.properties.report import write_page

    if options.json:
        options.json.write_text(json.dumps({"seed": seed, "engine": engine, **tally.as_dict()}, indent=2))
    if not found:
        write_page(options.page, tally, queries=options.queries, seed=seed, engine=engine)
    say(f"{tally.total:,} queries compared, {len(found)} differences, seed {seed}")
    return 1 if found else 0


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
