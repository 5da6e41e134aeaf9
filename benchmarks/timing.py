"""Times two ways of doing the same thing, in turns, so that both meet the same disturbances."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

Work = Callable[[], Any]
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What ``name`` takes (``ours``) against what it is measured by (``base``): times of one call in milliseconds.

    ``ratio`` is the median of the rounds' ratios; ``limit`` the largest ratio that may be, or None.
    """

    name: str
    base: str
    base_best_ms: float
    base_median_ms: float
    ours_best_ms: float
    ours_median_ms: float
    ratio: float
    best_ratio: float
    limit: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the ratio is within its limit."""
        return self.limit is None or self.ratio <= self.limit

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "holds": self.holds}


def compare(
    name: str,
    ours: Work,
    base: Work,
    *,
    base_name: str,
    rounds: int,
    calls: int,
    limit: float | None = None,
    clock: Clock = time.perf_counter,
) -> Comparison:
    """Time ``calls`` calls of each in every round, the one that begins changing from round to round.

    ``clock``: seconds; ``time.process_time`` where nothing is waited for, so that what else the machine does
    counts less.
    """
    ours()
    base()
    times: dict[str, list[float]] = {"ours": [], "base": []}
    # What is there already need not be looked through before each round.
    gc.freeze()
    for number in range(rounds):
        turns = [("ours", ours), ("base", base)]
        for side, work in turns if number % 2 else reversed(turns):
            times[side].append(time_of(work, calls=calls, clock=clock))
    gc.unfreeze()
    return Comparison(
        name=name,
        base=base_name,
        base_best_ms=min(times["base"]),
        base_median_ms=median(times["base"]),
        ours_best_ms=min(times["ours"]),
        ours_median_ms=median(times["ours"]),
        ratio=median(a / b for a, b in zip(times["ours"], times["base"], strict=True)),
        best_ratio=min(times["ours"]) / min(times["base"]),
        limit=limit,
    )


def time_of(work: Work, *, calls: int, clock: Clock) -> float:
    """Milliseconds of one call, as the mean of ``calls``; the garbage of others is collected before."""
    gc.collect()
    gc.disable()
    try:
        start = clock()
        for _ in range(calls):
            work()
        return (clock() - start) / calls * 1000
    finally:
        gc.enable()
