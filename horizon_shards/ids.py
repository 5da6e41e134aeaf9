"""Ids that carry their bucket: the layout of the 64-bit id and of the UUID, and the numbers inside them.

The number is leased in blocks from the directory, so that no two ids are alike by construction: no clock, no
worker number and no luck is involved. See ``docs/decisions/0001-sharded-ids.md``.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Iterator
from weakref import WeakSet

from horizon_shards.directory import Directory
from horizon_shards.exceptions import InvalidShardKey

#: The layout of both forms: 0 is none of ours, and room is left for two others.
VERSION = 1
VERSION_BITS, NUMBER_BITS, BUCKET_BITS = 2, 47, 14
MAX_NUMBER = (1 << NUMBER_BITS) - 1
MAX_BUCKET = (1 << BUCKET_BITS) - 1
_VERSION_SHIFT = NUMBER_BITS + BUCKET_BITS
_VERSIONED = VERSION << _VERSION_SHIFT

#: The 12 free bits between version and variant of a UUID: our layout's version, and a mark of ours.
_UUID_MARK = VERSION << 8 | 0x48
#: Variant 10 of RFC 9562, then a bit that is always set: MariaDB (10.11, measured) takes a version 8 whose ninth
#: byte is 0x80 for one of no variant, and refuses it.
_UUID_TOP = 0b101

#: The counter of a logical database that numbers are leased from.
COUNTER = "ids"
FIRST_BLOCK, LARGEST_BLOCK = 1_000, 100_000
#: A block that is used up sooner is followed by one of twice the size.
BLOCK_SHOULD_LAST_SECONDS = 10.0


def make_id(number: int, bucket: int) -> int:
    """The 64-bit id of a number and a bucket: always positive, greater for a greater number."""
    _check(number, bucket)
    return _VERSIONED | number << BUCKET_BITS | bucket


def bucket_of_id(value: int) -> int | None:
    """The bucket inside an id, or None where the value is none of ours."""
    return value & MAX_BUCKET if value >> _VERSION_SHIFT == VERSION else None


def number_of_id(value: int) -> int:
    """The leased number inside an id; raises ``InvalidShardKey`` where the value is none of ours."""
    if value >> _VERSION_SHIFT != VERSION:
        raise InvalidShardKey(f"{value!r} is no sharded id of layout {VERSION}: ShardedIdField made it not.")
    return value >> BUCKET_BITS & MAX_NUMBER


def make_uuid(number: int, bucket: int, *, unix_ms: int) -> uuid.UUID:
    """The UUID form (RFC 9562 version 8): time for the order, the leased number for uniqueness.

    ``unix_ms``: milliseconds since 1970, 48 bits; a clock that steps back changes only the order.
    """
    _check(number, bucket)
    high = (unix_ms & (1 << 48) - 1) << 16 | 0x8 << 12 | _UUID_MARK
    return uuid.UUID(int=high << 64 | _UUID_TOP << _VERSION_SHIFT | number << BUCKET_BITS | bucket)


def bucket_of_uuid(value: uuid.UUID) -> int | None:
    """The bucket inside a UUID, or None where the value is none of ours."""
    if not _is_ours(value):
        return None
    return value.int & MAX_BUCKET


def number_of_uuid(value: uuid.UUID) -> int:
    """The leased number inside a UUID; raises ``InvalidShardKey`` where the value is none of ours."""
    if not _is_ours(value):
        raise InvalidShardKey(f"{value} is no sharded UUID of layout {VERSION}: ShardedUUIDField made it not.")
    return value.int >> BUCKET_BITS & MAX_NUMBER


class _Block:
    """What a process has left of the block it leased last."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.next = self.end = 0
        self.size = FIRST_BLOCK
        self.leased_at: float | None = None

    def next_size(self) -> int:
        """How many numbers to lease now: the more, the sooner the last ones were used up."""
        now = time.monotonic()
        if self.leased_at is not None and now - self.leased_at < BLOCK_SHOULD_LAST_SECONDS:
            self.size = min(self.size * 2, LARGEST_BLOCK)
        self.leased_at = now
        return self.size


class NumberSource:
    """Numbers that no other thread, process, fork or host gets; taken from blocks leased in the directory.

    What is left of a block when the process ends is never used.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._blocks: dict[int, _Block] = {}
        _sources.add(self)

    def number(self) -> int:
        """The next number."""
        return self.numbers(1)[0]

    def numbers(self, count: int) -> list[int]:
        """``count`` numbers, rising; many at once cost one lease at most. Raises ``DirectoryUnavailable``."""
        block = self._blocks.get(os.getpid()) or self._begin()
        with block.lock:
            return [number for numbers in self._take(block, count) for number in numbers]

    def forget(self) -> None:
        """Leave the block, and a lock that another thread may hold, to the process that this one was forked from."""
        self._blocks = {}

    def _begin(self) -> _Block:
        """A block of this process; one, also where two threads ask at once: ``setdefault`` is a single step."""
        pid = os.getpid()
        block = self._blocks.setdefault(pid, _Block())
        for other in [known for known in list(self._blocks) if known != pid]:
            self._blocks.pop(other, None)
        return block

    def _take(self, block: _Block, count: int) -> Iterator[range]:
        kept = range(block.next, min(block.end, block.next + count))
        missing = count - len(kept)
        if missing:
            # Leased before anything is given out: where this fails, the rest of the block is still whole.
            leased = self._lease(max(block.next_size(), missing), above=block.end)
            block.next, block.end = leased.start + missing, leased.stop
            yield from (kept, range(leased.start, block.next))
        else:
            block.next = kept.stop
            yield kept

    def _lease(self, size: int, *, above: int) -> range:
        """A new block; above the last one also where the directory was flushed, which begins the counter anew."""
        leased = self._directory.lease(COUNTER, size)
        if leased.start < above:
            self._directory.advance(COUNTER, past=above - 1)
            leased = self._directory.lease(COUNTER, size)
        return leased


_sources: WeakSet[NumberSource] = WeakSet()
_by_identity: dict[tuple[str, ...], NumberSource] = {}
_registry_lock = threading.Lock()


def source_of(directory: Directory) -> NumberSource:
    """The one source of this process for a directory."""
    identity = directory.identity
    try:
        return _by_identity[identity]
    except KeyError:
        with _registry_lock:
            return _by_identity.setdefault(identity, NumberSource(directory))


def _forget_after_fork() -> None:
    """A child leaves its parent's blocks, and locks that a thread of the parent may hold, alone."""
    global _registry_lock
    _registry_lock = threading.Lock()
    for source in list(_sources):
        source.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)


def _is_ours(value: uuid.UUID) -> bool:
    return value.int >> 64 & 0xFFFF == 0x8 << 12 | _UUID_MARK and value.int >> _VERSION_SHIFT & 0b111 == _UUID_TOP


def _check(number: int, bucket: int) -> None:
    if not 0 <= number <= MAX_NUMBER:
        raise OverflowError(f"The number {number} of a sharded id is not within {NUMBER_BITS} bits.")
    if not 0 <= bucket <= MAX_BUCKET:
        raise OverflowError(f"The bucket {bucket} of a sharded id is not within {BUCKET_BITS} bits.")
