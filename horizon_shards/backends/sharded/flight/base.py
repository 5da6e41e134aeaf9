"""What several shards are doing at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar

T = TypeVar("T")

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0


def pauses() -> Iterator[float]:
    """Seconds after each attempt to cancel, twice as many every time."""
    pause = FIRST_PAUSE_SECONDS
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


class Flight(ABC, Generic[T]):
    """A job for each of several shards, in flight at the same time on the caller's connections: a future for each.

    ``naming``: a block around what a shard does, that puts its name into an error. ``late``: shards whose answer had
    begun to come at the deadline, and was cut short by it.
    """

    def __init__(self, connections: dict[str, Any], naming: Callable[[str], AbstractContextManager[None]]) -> None:
        self.connections = connections
        self.naming = naming
        self.futures: dict[str, Future[T]] = {}
        self.handles: dict[str, Any] = {}
        self.late: set[str] = set()

    def running(self) -> list[str]:
        """The shards that have neither an answer nor an error."""
        return [shard for shard, future in self.futures.items() if not future.done()]

    def unanswered(self) -> list[str]:
        """The shards that had no answer when the time was over."""
        return [shard for shard, future in self.futures.items() if shard in self.late or not future.done()]

    def errors(self) -> dict[str, BaseException]:
        """The errors there are, by shard."""
        done = {shard: future for shard, future in self.futures.items() if future.done() and not future.cancelled()}
        return {shard: error for shard, future in done.items() if (error := future.exception()) is not None}

    @abstractmethod
    def start(self) -> None:
        """Begin all jobs; whatever comes of it, :meth:`end` is to be called."""

    @abstractmethod
    def wait(self, seconds: float | None, return_when: str) -> None:
        """Wait for the futures, as :func:`concurrent.futures.wait` does."""

    @abstractmethod
    def stop(self) -> None:
        """Cancel what still runs, until nothing does: nothing may use the caller's connections afterwards."""

    @abstractmethod
    def end(self) -> None:
        """Leave the connections to the caller."""
