"""One statement that several shards answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """A statement for each shard of ``logical``, and how its answer is read.

    A job as :func:`~horizon_shards.backends.sharded.execute.run_on_shards` takes it, whose parts can be had as well:
    a statement can be sent to all shards before any answer is read. ``read`` is given a cursor that has run it;
    ``chunked``: whether the rows may come bit by bit.
    """

    logical: Any
    sql: str
    params: Any
    read: Callable[[Any], T]
    chunked: bool = False

    def __call__(self, shard: str, connection: Any) -> T:
        """Ask, and wait for the answer."""
        self.logical.begin(shard)
        return self.answer(self.open(connection))

    def is_begun(self, shard: str) -> bool:
        """Whether nothing has to be run on the shard before the statement."""
        participant = self.logical.transaction.participants.get(shard)
        return participant is None or participant.begun

    def open(self, connection: Any) -> Any:
        """A cursor for the statement."""
        return connection.chunked_cursor() if self.chunked else connection.cursor()

    def answer(self, cursor: Any) -> T:
        """Run the statement and read; the cursor is closed where that fails."""
        try:
            cursor.execute(self.sql, self.params)
            return self.read(cursor)
        except BaseException:
            cursor.close()
            raise
