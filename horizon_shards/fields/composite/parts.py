"""Parts of a composite foreign key that no column holds: a constant, or what a function says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.utils.deconstruct import deconstructible


@deconstructible(path="horizon_shards.fields.RawFieldValue")
class RawFieldValue:
    """A constant that the field of the related row must have."""

    def __init__(self, value: Any) -> None:
        self.raw = value

    @property
    def value(self) -> Any:
        """The constant."""
        return self.raw

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RawFieldValue) and self.raw == other.raw

    def __hash__(self) -> int:
        return hash((type(self), repr(self.raw)))


@deconstructible(path="horizon_shards.fields.FunctionBasedFieldValue")
class FunctionBasedFieldValue:
    """A value that ``function`` says whenever a query is made or the relation is followed (the language, say)."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function

    @property
    def value(self) -> Any:
        """What the function says now."""
        return self.function()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FunctionBasedFieldValue) and self.function == other.function

    def __hash__(self) -> int:
        return hash((type(self), self.function))
