"""A row for every key: any key can live on any shard."""

from __future__ import annotations

from collections import abc
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from horizon_shards.directory import Directory, NewAssignment
from horizon_shards.exceptions import ConfigurationError, DirectoryUnavailable
from horizon_shards.mapping.base import Mapping, MappingShard
from horizon_shards.mapping.cache import AssignmentCache
from horizon_shards.mapping.hashing import canonical_bytes, label_of, stored_text
from horizon_shards.mapping.placement import rendezvous
from horizon_shards.signals import key_allocated


class DirectoryMapping(Mapping):
    """A stored assignment a key; a new key goes by weighted rendezvous to a shard that accepts new keys.

    Reading never allocates and never remembers that a key is unknown. Allocation commits at once, outside of
    the caller's transaction: two writers of one new key get one shard, and a rollback loses nothing.

    ``OPTIONS``: ``CACHE_SIZE`` (100,000 keys a process), ``CACHE_SECONDS`` (30), ``BUCKETS`` (4,096, carried by
    ids and stored beside each key). ``SEED`` changes which shard a new key gets; it is for tests.
    """

    known_options: ClassVar[frozenset[str]] = frozenset({"BUCKETS", "CACHE_SIZE", "CACHE_SECONDS", "SEED"})

    def __init__(
        self,
        *,
        database: str,
        shards: Sequence[MappingShard],
        directory: Directory | None,
        options: abc.Mapping[str, Any],
    ) -> None:
        super().__init__(database=database, shards=shards, directory=directory, options=options)
        if directory is None:
            raise ConfigurationError(
                f"DATABASES[{database!r}] uses DirectoryMapping and needs DIRECTORY: the alias of the database "
                "that stores the assignments."
            )
        self._directory = directory
        self.seed = self._seed()
        self._cache = AssignmentCache(
            size=self._whole_number("CACHE_SIZE", 100_000, maximum=100_000_000),
            seconds=self._seconds("CACHE_SECONDS", 30.0),
        )

    def resolve_many(self, keys: Iterable[Any]) -> dict[Any, str | None]:
        texts = {key: stored_text(key) for key in keys}
        shards = self._lookup(texts.values())
        return {key: self._checked(key, shards.get(text)) for key, text in texts.items()}

    def place_many(self, keys: Iterable[Any]) -> dict[Any, str]:
        found = self.resolve_many(keys)
        missing = [key for key, shard in found.items() if shard is None]
        if missing:
            found.update(self._allocate(missing))
        return {key: self._found(key, shard) for key, shard in found.items()}

    def choice(self, key: Any) -> str:
        """The shard that the key would be given if it were new. Raises ``UnassignedKey`` if none may."""
        return rendezvous(self.seed + canonical_bytes(key), self._accepting())

    def problems(self) -> list[str]:
        try:
            counts = self._directory.counts()
        except DirectoryUnavailable as error:
            return [str(error)]
        problems = [
            f"The directory keeps {count} keys of {self.database!r} on the shard {name!r}, which SHARDS does not "
            "have: put it back, or move its keys first."
            for name, count in counts.items()
            if name not in self.shard_names
        ]
        if not any(shard.accepts_new_keys for shard in self.shards):
            problems.append(f"No shard of {self.database!r} accepts new keys: a row with a new key will be refused.")
        return problems

    def clear_cache(self) -> None:
        self._cache.clear()

    def renew_locks(self) -> None:
        self._cache.renew_lock()

    def _lookup(self, texts: abc.Collection[str]) -> dict[str, str]:
        known = self._cache.get_many(texts)
        unknown = [text for text in texts if text not in known]
        if unknown:
            known.update(self._ask(unknown))
        return known

    def _ask(self, texts: Sequence[str]) -> dict[str, str]:
        try:
            found = self._directory.lookup(texts)
        except DirectoryUnavailable:
            # What was known a moment ago serves on while the directory is away, if it answers all.
            found = self._cache.get_many(texts, stale=True)
            if len(found) < len(set(texts)):
                raise
            return found
        self._cache.put_many(found)
        return found

    def _allocate(self, keys: Sequence[Any]) -> dict[Any, str]:
        rows = [NewAssignment(stored_text(k), self.choice(k), self.bucket(k), label_of(k)) for k in keys]
        winners, created = self._directory.assign_many(rows)
        self._cache.put_many(winners)
        for row, key in {row: key for key, row in zip(keys, rows, strict=True)}.items():
            if row.key in created:
                key_allocated.send(sender=self.database, key=key, shard=row.shard)
        return {key: self._known(winners[row.key], f"Key {key!r}") for key, row in zip(keys, rows, strict=True)}

    def _checked(self, key: Any, shard: str | None) -> str | None:
        return shard if shard is None or shard in self.shard_names else self._known(shard, f"Key {key!r}")
