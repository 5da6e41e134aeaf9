"""Keys by hash to a fixed number of buckets, buckets by a stored table to shards."""

from __future__ import annotations

import threading
import time
from collections import abc
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from horizon_shards.directory import Directory
from horizon_shards.exceptions import ConfigurationError, DirectoryUnavailable
from horizon_shards.mapping.base import Mapping, MappingShard
from horizon_shards.mapping.placement import contiguous, permuted


class BucketMapping(Mapping):
    """The default: no row a key, and a bucket can be moved without touching the others.

    With a directory the table bucket -> shard is seeded once, by the first write, from the shards of that
    moment that accept new keys; from then on the settings change nothing. Without a directory the table is
    computed from the settings, whose shards and weights must then stay as they are.

    ``OPTIONS``: ``BUCKETS`` (4,096; at most 16,384; never to be changed) and ``CACHE_SECONDS`` (30), the age
    at which a process reads the table anew. ``SEED`` permutes the first table; it is for tests, which should not
    rely on where a key lives: without a directory another seed makes stored rows unreachable.
    """

    uses_buckets: ClassVar[bool] = True
    known_options: ClassVar[frozenset[str]] = frozenset({"BUCKETS", "CACHE_SECONDS", "SEED"})

    def __init__(
        self,
        *,
        database: str,
        shards: Sequence[MappingShard],
        directory: Directory | None,
        options: abc.Mapping[str, Any],
    ) -> None:
        super().__init__(database=database, shards=shards, directory=directory, options=options)
        self.cache_seconds = self._seconds("CACHE_SECONDS", 30.0)
        self.seed = self._seed()
        self._lock = threading.Lock()
        # Table and expiry change together, in one assignment: readers take no lock.
        self._cached: tuple[tuple[str, ...], float] = ((), 0.0)
        if directory is None:
            self._cached = (self._shared_by(self.shards), float("inf"))

    def resolve(self, key: Any) -> str | None:
        return self.shard_of_bucket(self.bucket(key))

    def resolve_many(self, keys: Iterable[Any]) -> dict[Any, str | None]:
        table = self.table()
        return {key: self._shard(table, self.bucket(key)) for key in keys}

    def place(self, key: Any) -> str:
        return self._shard(self.seeded_table(), self.bucket(key))

    def place_many(self, keys: Iterable[Any]) -> dict[Any, str]:
        table = self.seeded_table()
        return {key: self._shard(table, self.bucket(key)) for key in keys}

    def shard_of_bucket(self, bucket: int) -> str | None:
        """The shard of a bucket; None for a number that is no bucket of this mapping."""
        return self._shard(self.table(), bucket) if 0 <= bucket < self.buckets else None

    def place_bucket(self, bucket: int) -> str:
        self.seeded_table()
        return super().place_bucket(bucket)

    def table(self) -> tuple[str, ...]:
        """The shard of each bucket, for reading: before the table is seeded, what it would be."""
        return self._current() or self._first_table()

    def stamp(self) -> object:
        """The stored table: what was resolved by it holds until it is read anew."""
        return self._current() or None

    def seeded_table(self) -> tuple[str, ...]:
        """The shard of each bucket, for writing: stores the first table where there is none."""
        table = self._current()
        if not table and self.directory is not None:
            table = self._remember(self.directory.seed_buckets(self._first_table()))
        return table

    def problems(self) -> list[str]:
        if self.directory is None:
            return self._static_problems()
        try:
            table = self.directory.bucket_table()
        except (DirectoryUnavailable, ConfigurationError) as error:
            return [str(error)]
        return self._table_problems(table) if table else []

    def clear_cache(self) -> None:
        if self.directory is not None:
            with self._lock:
                self._cached = ((), 0.0)

    def renew_locks(self) -> None:
        self._lock = threading.Lock()

    def _shard(self, table: tuple[str, ...], bucket: int) -> str:
        shard = table[bucket]
        return shard if shard in self.shard_names else self._known(shard, f"Bucket {bucket}")

    def _current(self) -> tuple[str, ...]:
        """The stored table, read anew when it is old; an empty one is asked for again each time."""
        table, expires_at = self._cached
        if time.monotonic() < expires_at:
            return table
        # With a table in hand only one thread asks for a newer one; the others go on with what they have.
        if not self._lock.acquire(blocking=not table):
            return table
        try:
            table, expires_at = self._cached
            return table if time.monotonic() < expires_at else self._refresh(table)
        finally:
            self._lock.release()

    def _refresh(self, old: tuple[str, ...]) -> tuple[str, ...]:
        assert self.directory is not None
        try:
            table = self._checked(self.directory.bucket_table())
        except DirectoryUnavailable:
            # Serving from the table of a moment ago beats serving nothing; the next second asks again.
            if not old:
                raise
            self._cached = (old, time.monotonic() + 1)
            return old
        if table:
            self._cached = (table, time.monotonic() + self.cache_seconds)
        return table

    def _remember(self, table: tuple[str, ...]) -> tuple[str, ...]:
        with self._lock:
            self._cached = (self._checked(table), time.monotonic() + self.cache_seconds)
        return table

    def _first_table(self) -> tuple[str, ...]:
        return self._shared_by(self._accepting())

    def _shared_by(self, shards: Sequence[MappingShard]) -> tuple[str, ...]:
        table = contiguous(shards, buckets=self.buckets)
        return permuted(table, seed=self.seed) if self.seed else table

    def _checked(self, table: tuple[str, ...]) -> tuple[str, ...]:
        if table and len(table) != self.buckets:
            raise ConfigurationError(
                f"{self._where()}['BUCKETS'] is {self.buckets}, but the table in the directory has {len(table)} "
                f"buckets: set it to {len(table)}. The number of buckets is fixed for ever by the first write."
            )
        return table

    def _static_problems(self) -> list[str]:
        changing = (
            f"DATABASES[{self.database!r}] has no DIRECTORY: adding, removing or renaming a shard, or changing a "
            "WEIGHT, makes rows unreachable. Configure a DIRECTORY to store which shard holds what."
        )
        full = [shard.name for shard in self.shards if not shard.accepts_new_keys]
        return [changing] + [f"ACCEPTS_NEW_KEYS of shard {name!r} has no effect without a DIRECTORY." for name in full]

    def _table_problems(self, table: tuple[str, ...]) -> list[str]:
        problems = [
            f"The directory keeps {table.count(name)} buckets of {self.database!r} on the shard {name!r}, which "
            "SHARDS does not have: put it back, or move its buckets first."
            for name in sorted(set(table) - self.shard_names)
        ]
        problems += [
            f"Shard {shard.name!r} of {self.database!r} holds no bucket: nothing is stored on it until some are moved."
            for shard in self.shards
            if shard.name not in table and shard.accepts_new_keys
        ]
        if len(table) != self.buckets:
            problems.append(f"{self._where()}['BUCKETS'] is {self.buckets}, but the directory has {len(table)}.")
        return problems
