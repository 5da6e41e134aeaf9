"""The values that rows and queries are made of: few, shared by both, and chosen to be awkward."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

UTC = timezone.utc

#: Case, accents, padding, wildcards of LIKE, quotes, and characters outside the basic plane.
TEXTS = (
    "", " ", "a", "A", "a ", "a\t", "ab", "aB", "AB", "b", "B", "z", "Z", "_", "%", "a%b", "a_b", "ä", "Ä",
    "a\u0308", "é", "e", "ß", "ss", "ñ", "n", "日本", "😀", "I", "i", "ı", "10", "9", "O'Hara", "back\\slash",
    'quo"te', "None",
)  # fmt: skip
INTS = (-1_000_000, -7, -1, 0, 1, 2, 3, 5, 10, 1_000_000)
DECIMALS = tuple(
    Decimal(text)
    for text in ("0.00", "0.01", "0.10", "0.05", "0.50", "-0.01", "9.99", "10.00", "1234567.89", "-1234567.89")
)
FLOATS = (0.0, -0.0, 0.1, 0.2, 0.3, 0.5, 1.0, -1.5, 3.25, 1e10, 1e-10)
BOOLS = (True, False)
DATES = tuple(date(*parts) for parts in ((1970, 1, 1), (1999, 12, 31), (2024, 2, 29), (2024, 3, 1), (2025, 12, 31)))
DATETIMES = tuple(
    datetime(*parts, tzinfo=UTC)
    for parts in (
        (1999, 12, 31, 23, 59, 59, 999_999),
        (2024, 2, 29, 0, 0),
        (2024, 2, 29, 0, 0, 0, 1),
        (2024, 2, 29, 12, 30, 0, 100_000),
        (2024, 3, 31, 1, 59, 59),
        (2025, 12, 31, 23, 0),
    )
)
DURATIONS = tuple(
    timedelta(**parts)
    for parts in ({}, {"microseconds": 1}, {"seconds": -1}, {"seconds": 90}, {"hours": 25}, {"days": 400})
)
UUIDS = tuple(UUID(int=number) for number in (0, 1, 2, 2**64, 2**100 + 7, 2**127, 2**128 - 2, 2**128 - 1))
JSONS: tuple[Any, ...] = (
    {}, {"a": 1}, {"a": 2}, {"a": None}, {"a": "x"}, {"a": {"b": [1, 2]}}, {"b": "ä"}, [], [1, "1"], "text", 7,
)  # fmt: skip
COUNTRIES = (("DE", "Deutschland"), ("AT", "österreich"), ("CH", "Attika"), ("FR", ""), ("XX", "deutschland"))
#: User names, which are unique, and last names; the id of an editor that is gone.
EDITORS, GONE = (("a", "z"), ("B", ""), ("é", "Z"), ("", "a"), ("10", "z")), 77

POOLS: dict[str, tuple[Any, ...]] = {
    "text": TEXTS,
    "int": INTS,
    "decimal": DECIMALS,
    "float": FLOATS,
    "bool": BOOLS,
    "date": DATES,
    "datetime": DATETIMES,
    "duration": DURATIONS,
    "uuid": UUIDS,
    "json": JSONS,
}
