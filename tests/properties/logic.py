"""Conditions as data: lookups, joined and negated, and which shard keys they leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Keys = frozenset[Any] | None


def kinds_of(*parts: Any) -> frozenset[str]:
    return frozenset().union(*(part.kinds for part in parts))


def fewest(left: Keys, right: Keys) -> Keys:
    """What two statements that hold both leave: a planner may take the narrower one as it stands.

    Keys are not intersected: what Python finds unequal, the database may find equal.
    """
    if left is None or right is None:
        return right if left is None else left
    return min(left, right, key=len)


@dataclass(frozen=True, slots=True)
class Test:
    """One lookup. ``keys``: the shard keys that a matching row can have, None for any."""

    lookup: str
    value: str
    kinds: frozenset[str]
    keys: Keys = None

    __test__ = False

    def __str__(self) -> str:
        return f"Q({self.lookup}={self.value})"


@dataclass(frozen=True, slots=True)
class Bare:
    """A condition that is an expression of its own, like ``Exists(...)``."""

    code: str
    kinds: frozenset[str]
    keys: Keys = None

    def __str__(self) -> str:
        return f"Q({self.code})"


@dataclass(frozen=True, slots=True)
class Join:
    """Two conditions joined by ``&``, ``|`` or ``^``."""

    operator: str
    left: Condition
    right: Condition

    NAMES = {"&": "and", "|": "or", "^": "xor"}

    @property
    def kinds(self) -> frozenset[str]:
        return kinds_of(self.left, self.right) | {self.NAMES[self.operator]}

    @property
    def keys(self) -> Keys:
        left, right = self.left.keys, self.right.keys
        if self.operator == "&":
            return fewest(left, right)
        return left | right if self.operator == "|" and left is not None and right is not None else None

    def __str__(self) -> str:
        return f"({self.left} {self.operator} {self.right})"


@dataclass(frozen=True, slots=True)
class Negation:
    """A negated condition: it says nothing about keys."""

    inner: Condition
    keys: Keys = None

    @property
    def kinds(self) -> frozenset[str]:
        return self.inner.kinds | {"not"}

    def __str__(self) -> str:
        return f"~{self.inner}"


Condition = Test | Bare | Join | Negation
