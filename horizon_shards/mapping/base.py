"""What every mapping answers: which bucket and which shard a key has."""

from __future__ import annotations

import difflib
import os
from abc import ABC, abstractmethod
from collections import abc
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from weakref import WeakSet

from horizon_shards.directory import Directory
from horizon_shards.exceptions import ConfigurationError, UnassignedKey, UnknownShard
from horizon_shards.mapping.hashing import hash_key

#: Ids carry the bucket in 14 bits.
MAX_BUCKETS = 16_384
DEFAULT_BUCKETS = 4_096


@dataclass(frozen=True, slots=True)
class MappingShard:
    """A shard as a mapping sees it; ``weight`` is its share, relative to the other shards."""

    name: str
    weight: int = 1
    accepts_new_keys: bool = True


class Mapping(ABC):
    """The rule from shard key to shard of one logical database; safe to use from many threads.

    ``options`` are the ``OPTIONS`` of the setting ``MAPPING``; an unknown one raises ``ConfigurationError``.
    Keys are ``int``, ``str``, ``UUID``, ``date`` or tuples of them; others raise ``InvalidShardKey``.
    """

    #: Whether the shard is a function of the bucket alone.
    uses_buckets: ClassVar[bool] = False
    #: The names that OPTIONS may have.
    known_options: ClassVar[frozenset[str]] = frozenset({"BUCKETS"})

    def __init__(
        self,
        *,
        database: str,
        shards: Sequence[MappingShard],
        directory: Directory | None,
        options: abc.Mapping[str, Any],
    ) -> None:
        self.database = database
        self.shards = tuple(shards)
        self.shard_names = frozenset(shard.name for shard in shards)
        self.directory = directory
        self.options = dict(options)
        _alive.add(self)
        self._require_known_options()
        self.buckets = self._whole_number("BUCKETS", DEFAULT_BUCKETS, maximum=MAX_BUCKETS)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.database!r}>"

    def bucket(self, key: Any) -> int:
        """The bucket of a key, from 0 to ``buckets - 1``; frozen for ever."""
        return hash_key(key) % self.buckets

    def resolve(self, key: Any) -> str | None:
        """The shard that holds the key, or None where nobody does. Never writes."""
        return self.resolve_many([key])[key]

    @abstractmethod
    def resolve_many(self, keys: Iterable[Any]) -> dict[Any, str | None]:
        """:meth:`resolve` for many keys, with as few questions to the directory as possible."""

    def place(self, key: Any) -> str:
        """The shard for a new row of the key: where the key is, else where it is allocated now."""
        return self.place_many([key])[key]

    def place_many(self, keys: Iterable[Any]) -> dict[Any, str]:
        """:meth:`place` for many keys. Raises ``UnassignedKey`` for a key that may not be placed."""
        return {key: self._found(key, shard) for key, shard in self.resolve_many(keys).items()}

    def shard_of_bucket(self, bucket: int) -> str | None:
        """The shard of a bucket, or None where the bucket does not tell it."""
        return None

    def place_bucket(self, bucket: int) -> str:
        """The shard for a new row of a bucket that its id names; stores the bucket table where there is none.

        Raises ``UnassignedKey`` where the bucket does not tell the shard.
        """
        shard = self.shard_of_bucket(bucket)
        if shard is None:
            raise UnassignedKey(f"Bucket {bucket} of {self.database!r} has no shard: no row can be stored there.")
        return shard

    def stamp(self) -> object:
        """An object that stays the same while what :meth:`resolve` said holds; None where it may change unseen."""
        return None

    def narrow(self, lower: Any, upper: Any) -> tuple[str, ...] | None:
        """The shards that can hold keys from ``lower`` to ``upper``, both included; None means any shard.

        A bound that is None is open.
        """
        return None

    def problems(self) -> list[str]:
        """What a system check should warn about, one sentence each."""
        return []

    def clear_cache(self) -> None:
        """Forget what was read from the directory."""
        return

    def renew_locks(self) -> None:
        """Replace the locks, in a forked child: a thread that only the parent has may hold them."""
        return

    def _found(self, key: Any, shard: str | None) -> str:
        if shard is None:
            raise UnassignedKey(f"No shard of {self.database!r} may hold the key {key!r}.")
        return shard

    def _known(self, shard: str, what: str) -> str:
        """``shard`` if the settings have it; else an error that names it."""
        if shard in self.shard_names:
            return shard
        raise UnknownShard(
            f"{what} of {self.database!r} is on the shard {shard!r}, which SHARDS of "
            f"DATABASES[{self.database!r}] does not have: put it back, or move what it holds first."
        )

    def _accepting(self) -> list[MappingShard]:
        accepting = [shard for shard in self.shards if shard.accepts_new_keys]
        if not accepting:
            raise UnassignedKey(
                f"No shard of {self.database!r} accepts new keys: set ACCEPTS_NEW_KEYS of one to True, or add one."
            )
        return accepting

    def _require_known_options(self) -> None:
        for name in self.options:
            if name not in self.known_options:
                near = difflib.get_close_matches(str(name).upper(), sorted(self.known_options), n=1, cutoff=0.5)
                hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(self.known_options))}."
                raise ConfigurationError(f"{self._where()} has the unknown key {name!r}: {hint}")

    def _whole_number(self, name: str, default: int, *, maximum: int) -> int:
        value = self.options.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= maximum:
            raise ConfigurationError(f"{self._where()}[{name!r}] must be from 1 to {maximum}, not {value!r}.")
        return value

    def _seed(self) -> bytes:
        """What ``OPTIONS['SEED']`` adds to every choice of a shard; nothing where it is not set."""
        value = self.options.get("SEED")
        if value is None:
            return b""
        if not isinstance(value, int) or isinstance(value, bool):
            raise ConfigurationError(f"{self._where()}['SEED'] must be a whole number or None, not {value!r}.")
        return b"%d:" % value

    def _seconds(self, name: str, default: float) -> float:
        value = self.options.get(name, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or value < 0:
            raise ConfigurationError(f"{self._where()}[{name!r}] must be a number of seconds, not {value!r}.")
        return float(value)

    def _where(self) -> str:
        return f"DATABASES[{self.database!r}]['MAPPING']['OPTIONS']"


_alive: WeakSet[Mapping] = WeakSet()


def _renew_locks() -> None:
    for mapping in list(_alive):
        mapping.renew_locks()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
