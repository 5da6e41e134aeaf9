"""Lines of one stream, packed as they will be sent."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from horizon_shards.sinks.segment import Segment


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may carry: packs (records of Firehose), bytes in all, bytes a line and bytes a full pack."""

    packs: int
    batch_bytes: int
    line_bytes: int
    pack_bytes: int


class Batch:
    """What one call sends: packs of lines, in the order in which they came."""

    __slots__ = ("attempts", "born", "packs", "room", "segment", "size", "stream")

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.packs: list[list[bytes]] = []
        self.size = 0
        self.room = 0  # bytes left in the last pack
        self.born = time.monotonic()
        self.attempts = 0
        self.segment: Segment | None = None

    def __len__(self) -> int:
        return sum(map(len, self.packs))

    def has_room(self, line: bytes, limits: Limits) -> bool:
        """Whether one call can carry the line too."""
        if self.size + len(line) > limits.batch_bytes:
            return False
        return len(line) <= self.room or len(self.packs) < limits.packs

    def add(self, line: bytes, limits: Limits) -> None:
        """Take the line: into the last pack where it fits, else into a new one."""
        length = len(line)
        if length <= self.room:
            self.packs[-1].append(line)
            self.room -= length
        else:
            self.packs.append([line])
            self.room = limits.pack_bytes - length
        self.size += length

    def keep(self, indexes: Iterable[int]) -> None:
        """Keep these packs alone: the others have arrived."""
        self.packs = [self.packs[index] for index in indexes]
        self.size = sum(len(line) for pack in self.packs for line in pack)

    def lines(self) -> Iterable[bytes]:
        """All lines, in order."""
        return (line for pack in self.packs for line in pack)
