"""Running many random queries over one dataset."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from itertools import zip_longest
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.properties.budget import wasted
from tests.properties.judge import Difference, Verdict, judge
from tests.properties.outcome import SHARDS_SIDE, Side
from tests.properties.rows import Dataset, Rows, random_rows, small_rows, store
from tests.properties.strategies import queries
from tests.properties.tables import SHARDS, shard_of, undone
from tests.properties.tally import Tally
from tests.shop.models import Visit

#: Far apart keys, beside ordinary ones. Not 0: MySQL reads it as "next value" in the oracle's Site. Not 2**63 - 1: that
#: would use up the automatic ids of SQLite for the tests that follow.
EDGE_SITES = (1, 2**62)


@dataclass(frozen=True)
class DatasetPlan:
    """A dataset of a run. ``shards``: how many may hold rows (None: all); ``share``: percent of the queries."""

    name: str
    visits: int
    sites: int
    shards: int | None
    share: int


DATASETS = (
    DatasetPlan("twenty", 20, 12, None, 25),
    DatasetPlan("three hundred", 300, 24, None, 20),
    DatasetPlan("one shard", 40, 4, 1, 10),
    DatasetPlan("two sites", 60, 2, None, 10),
    DatasetPlan("three shards", 60, 9, 3, 10),
    DatasetPlan("empty", 0, 3, None, 5),
)


def options(examples: int, *, shrink: bool = True) -> settings:
    """Settings of Hypothesis for a run of ``examples`` queries; the random numbers come from our seed alone."""
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
    )


def choose_sites(seed_number: int, count: int, shards: int | None) -> list[int]:
    """Random shard keys, on all shards or on the first few alone: of each in turn, whatever the placement."""
    random = Random(seed_number)
    candidates = [*EDGE_SITES, *(random.randrange(1, 10 ** random.randint(1, 12)) for _ in range(count * 40))]
    sites: dict[str, list[int]] = {shard: [] for shard in list(SHARDS)[:shards]}
    for site in dict.fromkeys(candidates):
        sites.get(shard_of(Visit, site), []).append(site)
    of_shards = list(sites.values())
    random.shuffle(of_shards)
    return [site for turn in zip_longest(*of_shards) for site in turn if site is not None][:count]


def make_rows_of(dataset: DatasetPlan, seed_number: int) -> Rows:
    """The rows of one of ``DATASETS``."""
    return random_rows(seed_number, choose_sites(seed_number, dataset.sites, dataset.shards), dataset.visits)


def check(verdict: Verdict) -> None:
    """Raise :class:`Difference` for another answer, or for shards asked without need."""
    if verdict.result == "different":
        raise Difference(verdict)
    if (why := wasted(verdict)) is not None:
        raise Difference(replace(verdict, result="different", why=why))


def explore(
    data: Dataset,
    tally: Tally,
    *,
    examples: int,
    seed_number: int,
    tested: Side = SHARDS_SIDE,
    shrink: bool = True,
    about: Collection[str] = (),
) -> None:
    """Compare ``examples`` random queries over ``data``; raise :class:`Difference` for the smallest that differs.

    ``about``: leave out queries that have none of these kinds; all are compared where it is empty.
    """

    @seed(seed_number)
    @options(examples, shrink=shrink)
    @given(query=queries(data))
    def compare(query: Any) -> None:
        if about and query.kinds.isdisjoint(about):
            return
        verdict = judge(query, tested=tested)
        tally.add(verdict)
        check(verdict)

    compare()


def explore_small(tally: Tally, *, examples: int, seed_number: int, tested: Side = SHARDS_SIDE) -> None:
    """As :func:`explore`, with rows that Hypothesis makes as well: a difference comes with the fewest rows."""
    sites = choose_sites(seed_number, 6, None)

    @seed(seed_number)
    @options(examples)
    @given(data=st.data())
    def compare(data: st.DataObject) -> None:
        rows = data.draw(small_rows(sites), label="rows")
        with undone((tested.alias, "oracle", "default")):
            stored = store(rows, "small", through=tested, one_by_one=data.draw(st.booleans(), label="one by one"))
            verdict = judge(data.draw(queries(stored), label="query"), tested=tested, isolated=True)
        tally.add(verdict)
        check(verdict)

    compare()


def differences(run: Callable[[], None]) -> str | None:
    """What ``run`` found to be different, or None."""
    try:
        run()
    except Difference as difference:
        return str(difference)
    return None
