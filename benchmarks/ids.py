"""How fast sharded ids are made: ``python -m benchmarks.ids`` (SQLite in a temporary folder, no server).

It prints one JSON object. Stages are in nanoseconds of processor time, so that a busy machine changes them
little; leases are in milliseconds of the wall clock.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable

from benchmarks.databases import databases

ROUNDS = 50_000


def cpu_ns(work: Callable[[], object], *, rounds: int = ROUNDS) -> float:
    """Nanoseconds of processor time that one call of ``work`` takes: the best of five runs."""
    return round(min(_run(work, rounds, time.process_time_ns) for _ in range(5)) / rounds, 1)


def wall_ms(work: Callable[[], object], *, rounds: int) -> float:
    """Milliseconds of the wall clock that one call of ``work`` takes, on average."""
    return round(_run(work, rounds, time.perf_counter_ns) / rounds / 1e6, 2)


def _run(work: Callable[[], object], rounds: int, clock: Callable[[], int]) -> int:
    began = clock()
    for _ in range(rounds):
        work()
    return clock() - began


def measure() -> dict[str, object]:
    """The figures of this process."""
    from benchmarks.models import PageView
    from horizon_shards.ids import NumberSource, make_id
    from horizon_shards.topology import get_group

    directory = get_group("track").directory
    assert directory is not None
    source = NumberSource(directory)
    view, field = PageView(site=7), PageView._meta.pk
    id_ns = cpu_ns(lambda: field.get_pk_value_on_save(view))
    return {
        "number_ns": cpu_ns(source.number),
        "number_of_1000_at_once_ns": round(cpu_ns(lambda: source.numbers(1_000), rounds=100) / 1_000, 1),
        "make_id_ns": cpu_ns(lambda: make_id(123_456_789, 4_095)),
        "id_of_an_instance_ns": id_ns,
        "ids_of_instances_per_second_and_process": round(1e9 / id_ns),
        "lease_ms": wall_ms(lambda: directory.lease("benchmark", 1_000), rounds=100),
        "bulk_of_100_000_numbers_ms": wall_ms(lambda: source.numbers(100_000), rounds=5),
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    with databases(rows=0):
        print(json.dumps(measure(), indent=2))
