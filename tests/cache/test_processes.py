"""Two processes, two clusters, and faults of either: no error, and no value older than the last that was stored."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.memcached import Memcached
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


class Worker:
    """A process with a cache of its own."""

    def __init__(self, nodes: list[Memcached]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.cache.worker", *(node.address for node in nodes)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.longest_seconds = 0.0

    def __call__(self, name: str, *arguments: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([name, arguments]) + "\n")
        self.process.stdin.flush()
        value, seconds = json.loads(self.process.stdout.readline())
        self.longest_seconds = max(self.longest_seconds, seconds)
        return value

    def end(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


@pytest.fixture
def workers(nodes: list[Memcached]) -> Iterator[list[Worker]]:
    """Two of them."""
    made = [Worker(nodes), Worker(nodes)]
    yield made
    for worker in made:
        worker.end()


@pytest.mark.parametrize("which", [0, 1])
def test_a_process_that_saw_no_fault_reads_nothing_stale_after_the_thaw(
    workers: list[Worker], nodes: list[Memcached], which: int
) -> None:
    writer, reader = workers
    writer("set", "k", "old")
    assert reader("get", "k") == "old"
    nodes[which].freeze()
    writer("set", "k", "waits on the socket")
    writer("set", "k", "new")
    nodes[which].thaw()
    assert [reader("get", "k") for _ in range(50)] == ["new"] * 50
    wait_until(lambda: [writer("get", "k"), reader("get", "k")] == ["new", "new"])


FAULTS: dict[str, tuple[Callable[[Memcached], None], Callable[[Memcached], None]]] = {
    "kill": (Memcached.kill, Memcached.start),
    "freeze": (Memcached.freeze, Memcached.thaw),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_under_load_every_read_gives_the_last_write(workers: list[Worker], nodes: list[Memcached], fault: str) -> None:
    """Each cluster fails and comes back while two processes write and read in turns; they change roles."""
    begin, end = FAULTS[fault]
    number = 0
    for which in (0, 1, 0, 1):
        for phase, act in enumerate([begin, end]):
            act(nodes[which])
            for _ in range(40):
                number += 1
                writer, reader = workers[:: 1 if number % 2 else -1]
                assert writer("set", f"k{number % 7}", number) is None
                assert reader("get", f"k{number % 7}") == number, (which, phase)
        # The next cluster may fail when this one has been emptied, and knows what is stored from now on.
        wait_until(lambda: all(worker("is_whole") for worker in workers))
    assert max(worker.longest_seconds for worker in workers) < 30
