"""Values turned into what Python orders as a database does."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any


def as_bytes(value: Any) -> bytes:
    """Bytes, which some of MySQL's drivers give as text."""
    return value.encode("latin-1") if isinstance(value, str) else bytes(value)


def number_key(value: Any) -> Any:
    """NaN is the largest number where a database stores it, and equal to itself."""
    return (1, 0) if value != value else (0, value)


def sqlite_value(value: Any) -> tuple[int, Any]:
    """SQLite's order over types: numbers, then text, then bytes."""
    if isinstance(value, bool | int | float | Decimal):
        return (0, value)
    return (1, value) if isinstance(value, str) else (2, value)


def _no_case(value: str) -> str:
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in value)


#: SQLite's own collations, as functions to what they compare.
SQLITE_COLLATIONS: dict[str, Callable[[str], str]] = {
    "BINARY": str,
    "NOCASE": _no_case,
    "RTRIM": lambda value: value.rstrip(" "),
}


class FilledUp:
    """Weights of a text that compares as if filled up with spaces."""

    __slots__ = ("fill", "weights")

    def __init__(self, weights: bytes, fill: bytes) -> None:
        # Other blanks weigh what a space does: a no-break space in utf8mb4_unicode_ci, say.
        while fill and weights.endswith(fill):
            weights = weights[: -len(fill)]
        self.weights, self.fill = weights, fill

    def __lt__(self, other: FilledUp) -> bool:
        length = max(len(self.weights), len(other.weights))
        return self._to(length) < other._to(length)

    def _to(self, length: int) -> bytes:
        missing = length - len(self.weights)
        return self.weights if missing <= 0 else self.weights + (self.fill * missing)[:missing]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FilledUp) and self.weights == other.weights

    def __hash__(self) -> int:
        return hash(self.weights)


class Descending:
    """Turns the order of a value round."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: Descending) -> bool:
        return bool(other.value < self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Descending) and bool(other.value == self.value)

    __hash__ = None  # type: ignore[assignment]
