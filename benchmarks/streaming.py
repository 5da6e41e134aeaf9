"""Memory and speed of ``iterator()`` over all rows in order, each measured in a process of its own."""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from statistics import median

import django

from benchmarks.databases import databases
from benchmarks.report import arguments, machine, table

LIMIT_MIB = 64.0
WARM_UP_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Stream:
    """One process that read all rows: its peak memory before and after, and the time it took."""

    alias: str
    rows: int
    seconds: float
    baseline_mib: float
    peak_mib: float

    @property
    def held_mib(self) -> float:
        """What reading held above the baseline."""
        return self.peak_mib - self.baseline_mib


def measure(options: argparse.Namespace) -> list[Stream]:
    """Read from the shards and from the one database, in turns."""
    with databases(rows=options.rows):
        return [_in_new_process(alias) for _ in range(options.rounds) for alias in ("track", "plain")]


def _in_new_process(alias: str) -> Stream:
    command = [sys.executable, "-m", "benchmarks.streaming", "--read", alias]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Stream(**json.loads(result.stdout))


def read(alias: str) -> Stream:
    """Read all rows of one database, in this process, whose peak so far is the baseline."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    django.setup()
    from benchmarks.models import PageView

    views = PageView.objects.using(alias).order_by("at", "pk")
    for _ in islice(views.iterator(), WARM_UP_ROWS):
        pass
    baseline = peak_mib()
    start = time.perf_counter()
    rows = sum(1 for _ in views.iterator())
    return Stream(alias, rows, time.perf_counter() - start, baseline, peak_mib())


def peak_mib() -> float:
    """The largest resident memory that this process has had."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        # Outside of Linux. There this would begin with the peak of the parent, which has made the rows.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 2**10  # type: ignore[index]


def main() -> None:
    """The command."""
    parser = arguments(__doc__ or "", rows=1_000_000, rounds=3)
    parser.add_argument("--read", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        print(json.dumps(asdict(read(options.read))))
        return
    streams = measure(options)
    held = max(stream.held_mib for stream in streams if stream.alias == "track")
    if options.json:
        print(json.dumps({"machine": machine(), "held_mib": held, "streams": [asdict(s) for s in streams]}, indent=2))
    else:
        print(as_table(streams))
    if options.check and held >= LIMIT_MIB:
        sys.exit(1)


def as_table(streams: list[Stream]) -> str:
    """The medians of each database, and the ratio of their speeds."""
    rows = []
    for alias, name in {"track": "four shards", "plain": "one database"}.items():
        own = [stream for stream in streams if stream.alias == alias]
        speeds = [stream.rows / stream.seconds for stream in own]
        held = max(stream.held_mib for stream in own)
        limit = f"{LIMIT_MIB:.0f}" if alias == "track" else ""
        rows.append((name, str(own[0].rows), f"{median(speeds):,.0f}", f"{max(speeds):,.0f}", f"{held:.1f}", limit))
    return table(("what", "rows", "median rows/s", "best rows/s", "held MiB", "limit"), rows)


if __name__ == "__main__":
    main()
