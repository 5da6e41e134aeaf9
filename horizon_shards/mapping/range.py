"""Keys by stated ranges to shards."""

from __future__ import annotations

import datetime
import uuid
from bisect import bisect_right
from collections import abc
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from horizon_shards.directory import Directory
from horizon_shards.exceptions import ConfigurationError, InvalidShardKey, UnassignedKey
from horizon_shards.mapping.base import Mapping, MappingShard
from horizon_shards.mapping.hashing import canonical_bytes, normalized

KINDS: tuple[type, ...] = (int, str, uuid.UUID, datetime.date)


class RangeMapping(Mapping):
    """Neighbouring keys on one shard, so that a range of keys asks few shards.

    ``OPTIONS['RANGES']`` is a list of ``(upper bound, shard)``, bounds rising and exclusive; the last bound may
    be None, for all that follow. Bounds are all int, all date, all str or all UUID. Text compares by code
    point, which is seldom the order of the database: a range of text or UUIDs asks every shard.
    """

    known_options: ClassVar[frozenset[str]] = frozenset({"BUCKETS", "RANGES"})

    def __init__(
        self,
        *,
        database: str,
        shards: Sequence[MappingShard],
        directory: Directory | None,
        options: abc.Mapping[str, Any],
    ) -> None:
        super().__init__(database=database, shards=shards, directory=directory, options=options)
        ranges = self._read_ranges()
        self._shards = [shard for _, shard in ranges]
        self._bounds = [bound for bound, _ in ranges if bound is not None]
        self._kind = self._common_kind()
        if any(low >= high for low, high in zip(self._bounds, self._bounds[1:], strict=False)):
            raise ConfigurationError(f"{self._where()}['RANGES'] must have rising bounds, not {self._bounds!r}.")

    def resolve(self, key: Any) -> str | None:
        return self._shard_at(self._comparable(key))

    def resolve_many(self, keys: Iterable[Any]) -> dict[Any, str | None]:
        return {key: self.resolve(key) for key in keys}

    def narrow(self, lower: Any, upper: Any) -> tuple[str, ...] | None:
        """The shards of keys from ``lower`` to ``upper``; None where the database may order otherwise."""
        if self._kind not in (int, datetime.date):
            return None
        if not all(bound is None or self._is_of_kind(bound) for bound in (lower, upper)):
            return None
        first = 0 if lower is None else bisect_right(self._bounds, lower)
        last = len(self._shards) if upper is None else bisect_right(self._bounds, upper) + 1
        return tuple(dict.fromkeys(self._shards[first:last]))

    def problems(self) -> list[str]:
        return [
            f"Shard {shard.name!r} of {self.database!r} has no range in OPTIONS['RANGES']: nothing is stored on it."
            for shard in self.shards
            if shard.name not in self._shards
        ]

    def _found(self, key: Any, shard: str | None) -> str:
        if shard is None:
            raise UnassignedKey(
                f"The key {key!r} is beyond the last bound {self._bounds[-1]!r} of {self._where()}['RANGES']: add a "
                "range, or make the last bound None."
            )
        return shard

    def _shard_at(self, key: Any) -> str | None:
        index = bisect_right(self._bounds, key)
        return self._shards[index] if index < len(self._shards) else None

    def _comparable(self, key: Any) -> Any:
        canonical_bytes(key)
        if not self._is_of_kind(key):
            raise InvalidShardKey(
                f"The key {key!r} of type {type(key).__name__} cannot be compared with the bounds of "
                f"{self._where()}['RANGES'], which are {self._kind.__name__}."
            )
        return normalized(key)

    def _is_of_kind(self, value: Any) -> bool:
        return isinstance(value, self._kind) and not isinstance(value, bool | datetime.datetime)

    def _read_ranges(self) -> list[tuple[Any, str]]:
        ranges = self.options.get("RANGES")
        if not isinstance(ranges, list | tuple) or not ranges:
            raise ConfigurationError(
                f"{self._where()} needs RANGES: a list of (upper bound, shard), like [(1000, 'a'), (None, 'b')]."
            )
        for place, entry in enumerate(ranges, start=1):
            self._check_entry(entry, last=place == len(ranges))
        return [(normalized(bound), shard) for bound, shard in ranges]

    def _check_entry(self, entry: Any, *, last: bool) -> None:
        where = f"{self._where()}['RANGES']"
        if not isinstance(entry, list | tuple) or len(entry) != 2:
            raise ConfigurationError(f"{where} must hold pairs of (upper bound, shard), not {entry!r}.")
        bound, shard = entry
        if shard not in self.shard_names:
            raise ConfigurationError(f"{where} names the shard {shard!r}, which SHARDS does not have.")
        if bound is None and not last:
            raise ConfigurationError(f"{where}: only the last bound may be None.")

    def _common_kind(self) -> type:
        for kind in KINDS:
            self._kind = kind
            if self._bounds and all(self._is_of_kind(bound) for bound in self._bounds):
                return kind
        raise ConfigurationError(
            f"{self._where()}['RANGES'] needs at least one bound, all int, all str, all UUID or all date, "
            f"not {self._bounds!r}."
        )
