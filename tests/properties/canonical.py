"""Values in a form that can be hashed, counted and compared: equal forms mean equal answers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import connections

from tests.properties.outcome import Row, Unordered
from tests.properties.tables import ORACLE
from tests.shop.models import Shown

#: Sums of floats depend on the order of adding; averages of decimals on the digits that an engine keeps.
RELATIVE, ABSOLUTE = 1e-9, 1e-6
AVERAGE_ABSOLUTE = 1.1e-4  # MySQL's AVG() keeps four digits more than its argument
Fold = Callable[[str], str]


def identity(text: str) -> str:
    return text


def canonical(value: Any, fold: Fold = identity) -> Any:
    """A hashable form: types count, the sign of zero and the last digits of a float do not."""
    if isinstance(value, Row):
        columns = tuple((name, canonical(part, fold)) for name, part in sorted(value.columns.items()))
        related = tuple((name, canonical(part, fold)) for name, part in sorted(value.related.items()))
        return (value.model, value.home, columns, related)
    if isinstance(value, Unordered):
        return ("unordered", tuple(sorted((canonical(part, fold) for part in value), key=repr)))
    if isinstance(value, dict):
        return ("dict", tuple((canonical(key, fold), canonical(part, fold)) for key, part in sorted_items(value)))
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, tuple(canonical(part, fold) for part in value))
    return _scalar(value, fold)


def sorted_items(value: dict[Any, Any]) -> list[tuple[Any, Any]]:
    return sorted(value.items(), key=lambda item: repr(item[0]))


def _scalar(value: Any, fold: Fold) -> Any:
    if isinstance(value, float):
        return ("float", f"{value + 0.0:.10g}" if value else "0")
    if isinstance(value, Decimal):
        return ("Decimal", value.normalize() if value else Decimal(0))
    if isinstance(value, str):
        # A database says which texts are equal as it stores them.
        return (type(value).__name__, fold(value.stored if isinstance(value, Shown) else value))
    return (type(value).__name__, value)


def same_rows(ours: Sequence[Any], theirs: Sequence[Any], fold: Fold = identity, *, loose: bool = False) -> bool:
    """Whether both hold the same rows, in any order."""
    if len(ours) != len(theirs):
        return False
    if Counter(canonical(row, fold) for row in ours) == Counter(canonical(row, fold) for row in theirs):
        return True
    return loose and all(
        close(left, right, fold) for left, right in zip(_coarse(ours, fold), _coarse(theirs, fold), strict=True)
    )


def _coarse(rows: Sequence[Any], fold: Fold) -> list[Any]:
    return sorted(rows, key=lambda row: repr(canonical(row, fold)))


def contains_rows(whole: Sequence[Any], part: Sequence[Any], fold: Fold = identity) -> bool:
    """Whether every row of ``part`` is in ``whole``, as often."""
    return not Counter(canonical(row, fold) for row in part) - Counter(canonical(row, fold) for row in whole)


def close(left: Any, right: Any, fold: Fold = identity, *, averages: bool = False) -> bool:
    """Whether two values are equal, numbers up to what adding in another order may change."""
    if canonical(left, fold) == canonical(right, fold):
        return True
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(
            close(left[key], right[key], fold, averages=averages) for key in left
        )
    if isinstance(left, (list, tuple)) and not isinstance(left, Unordered):
        return len(left) == len(right) and all(
            close(a, b, fold, averages=averages) for a, b in zip(left, right, strict=True)
        )
    return _close_numbers(left, right, averages)


def _close_numbers(left: Any, right: Any, averages: bool) -> bool:
    inexact = averages or connections[ORACLE].vendor == "sqlite"  # SQLite keeps decimals as floats
    if isinstance(left, float) or (inexact and isinstance(left, Decimal)):
        absolute = AVERAGE_ABSOLUTE if averages else ABSOLUTE
        return math.isclose(left, right, rel_tol=RELATIVE, abs_tol=absolute)
    return averages and isinstance(left, timedelta) and abs(left - right) <= timedelta(microseconds=1)
