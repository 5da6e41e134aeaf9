"""The order of every type over shards is the order of one database that holds all rows."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import DatabaseError, connections
from django.db.models import BinaryField, Case, Count, F, Func, Max, QuerySet, Value, When
from django.db.models.functions import Collate, Concat, Lower, TruncDate, TruncTime

from horizon_shards import plan
from horizon_shards.exceptions import QueryNotSupported
from tests.settings import ENGINE
from tests.shop.models import Site, Visit, Visitor

pytestmark = pytest.mark.django_db(databases=["default", "track", "track_1"])

TEXTS = (
    "", " ", "a", "A", "a ", "A ", "a\t", "ab", "aB", "AB", "b", "B", "z", "Z", "_", "-", "ä", "Ä", "a\u0308", "é", "e",
    "É", "ß", "ss", "ñ", "n", "o", "ö", "日本", "😀", "I", "i", "ı", "10", "9", "co-op", "coop", "Co op", "ﬁ",
    "fi", "a\x01b",
)  # fmt: skip
NUMBERS = [0.0, -0.0, 1.5, -1.5, 1e-300, 1e300, 0.1, 3.0]
MOMENTS = [
    datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=timezone.utc),
    datetime(2024, 3, 31, 3, 0, tzinfo=timezone(timedelta(hours=2))),
    datetime(2024, 3, 31, 2, 30, tzinfo=timezone.utc),
    datetime(2024, 3, 31, 0, 30, 0, 1, tzinfo=timezone(timedelta(hours=-1))),
    datetime(2024, 3, 31, 1, 0, tzinfo=timezone.utc),
]
#: Values by the column that holds them.
VALUES: dict[str, list[Any]] = {
    "path": list(TEXTS),
    "ratio": [*NUMBERS, None, *([float("nan"), float("inf"), float("-inf")] if ENGINE == "postgresql" else [])],
    "price": [None, *(Decimal(text) for text in ("-0.01", "0", "0.00", "9.99", "10", "1234567.89", "-1234567.89"))],
    "bot": [True, False],
    "at": [None, *MOMENTS],
    "took": [None, timedelta(0), timedelta(seconds=-1), timedelta(days=400), timedelta(microseconds=1)],
    "extra": [{}, {"a": 1}, [1, "1"], 7, "text", {"a": None}],
}
BYTES = {
    "mysql": "CAST(%(expressions)s AS BINARY)", "postgresql": "convert_to(%(expressions)s, 'UTF8')",
    "sqlite": "CAST(%(expressions)s AS BLOB)",
}[ENGINE]  # fmt: skip
#: What is ordered by, beside the columns.
EXPRESSIONS: dict[str, Any] = {
    "lower text": Lower("path"),
    "text with something before it": Concat(Value("x"), "path"),
    "text of a relation": F("visitor__name"),
    "day": TruncDate("at"),
    "time of day": TruncTime("at"),
    "uuid": F("token"),
    "bytes": Func(F("path"), template=BYTES, output_field=BinaryField()),
}
COLLATIONS = {
    "sqlite": ("BINARY", "NOCASE", "RTRIM"),
    "mysql": (
        "utf8mb4_bin", "utf8mb4_general_ci", "utf8mb4_unicode_ci", "utf8mb4_unicode_520_ci", "utf8mb4_swedish_ci",
        "utf8mb4_uca1400_ai_ci", "utf8mb4_nopad_bin", "utf8mb4_unicode_nopad_ci",
        "utf8mb4_0900_ai_ci", "utf8mb4_0900_as_cs", "utf8mb4_0900_bin",
    ),
    "postgresql": ("C", "POSIX", "ucs_basic", "und-x-icu", "en-x-icu", "sv-x-icu", "de-x-icu", "ja-x-icu"),
}[ENGINE]  # fmt: skip
#: What only the database of the shards knows to order, and this package refuses.
REFUSED = {"extra"} if ENGINE != "sqlite" else set()


@pytest.fixture
def both(sites: list[Site]) -> tuple[QuerySet[Visit], QuerySet[Visit]]:
    """The same rows of one site on one shard, and of the other sites; ``ms`` tells them apart."""
    names = {site.pk: [Visitor(site=site, name=text) for text in TEXTS] for site in sites}
    Visitor.objects.bulk_create(visitor for made in names.values() for visitor in made)
    first, *others = sites
    rows = []
    for number in range(80):
        columns = {name: values[number % len(values)] for name, values in VALUES.items()}
        columns |= {"ms": number, "token": UUID(int=(number * 2**121 + 7 * number) % 2**128)}
        of = (first, others[number % len(others)])
        rows += [Visit(site=site, visitor=names[site.pk][number * 7 % len(TEXTS)], **columns) for site in of]
    Visit.objects.bulk_create(rows)
    return Visit.objects.filter(site=first), Visit.objects.exclude(site=first)


def same(both: tuple[QuerySet[Visit], QuerySet[Visit]], *order: Any) -> bool:
    """Whether the order over shards is that of one shard; also of a slice, of a stream, and with ties."""
    one, spread = (rows.order_by(*order, "ms").values_list("ms", flat=True) for rows in both)
    expected = list(one)
    streamed = list(spread.iterator(chunk_size=7))
    return list(spread) == expected == streamed and list(spread[5:40]) == expected[5:40] == list(one[5:40])


def terms(expression: Any) -> list[Any]:
    """All ways to order by an expression."""
    return [expression.asc(), expression.desc()] + [
        getattr(expression, way)(**{f"nulls_{end}": True}) for way in ("asc", "desc") for end in ("first", "last")
    ]


@pytest.mark.parametrize("name", [*VALUES, *EXPRESSIONS])
def test_types(both: tuple[QuerySet[Visit], QuerySet[Visit]], name: str) -> None:
    for term in terms(EXPRESSIONS.get(name, F(name))):
        if name in REFUSED:
            with pytest.raises(QueryNotSupported, match="Cast it"):
                same(both, term)
        else:
            assert same(both, term), term


@pytest.mark.parametrize("collation", COLLATIONS)
def test_collations(both: tuple[QuerySet[Visit], QuerySet[Visit]], collation: str) -> None:
    skip_unknown(collation)
    for term in terms(Collate("path", collation)):
        assert same(both, term), term
    assert same(both, Collate("visitor__name", collation).desc(), Collate("path", collation))
    assert same(both, "bot", Collate(Lower("path"), collation))


def skip_unknown(collation: str) -> None:
    """Skip where MySQL has this one and MariaDB not, or the other way round."""
    if ENGINE != "mysql":
        return
    with connections["track_1"].cursor() as cursor:
        try:
            cursor.execute(f"SELECT _utf8mb4 'a' COLLATE {collation}")
        except DatabaseError:
            pytest.skip(f"the server has no {collation}")


@pytest.mark.skipif(ENGINE != "mysql", reason="a collation of MariaDB")
@pytest.mark.parametrize("collation", ["utf8mb4_uca1400_as_cs", "utf8mb4_uca1400_ai_cs", "utf8mb4_uca1400_as_ci"])
def test_collations_by_levels_are_refused(both: tuple[QuerySet[Visit], QuerySet[Visit]], collation: str) -> None:
    """MariaDB's ORDER BY leaves texts in any order that its own comparison tells apart."""
    skip_unknown(collation)
    texts = both[1].annotate(text=Collate("path", collation)).values("text")
    for rows in (texts.order_by("text"), texts.distinct(), texts.annotate(n=Count("id"))):
        with pytest.raises(QueryNotSupported, match="utf8mb4_bin") as refused:
            list(rows)
        assert refused.value.reason == "collation"


@pytest.mark.parametrize("collation", COLLATIONS)
def test_groups_and_distinct_texts(both: tuple[QuerySet[Visit], QuerySet[Visit]], collation: str) -> None:
    skip_unknown(collation)
    found = []
    for rows in both:
        texts = rows.annotate(text=Collate("path", collation)).values("text")
        groups = texts.annotate(n=Count("id"), last=Max("ms")).order_by("text", "n")
        found.append([(row["n"], row["last"]) for row in groups])
        found.append(texts.distinct().count())
    assert found[:2] == found[2:]


@pytest.mark.skipif(ENGINE != "postgresql", reason="no other engine has texts ranked")
def test_texts_are_ranked_by_one_shard(both: tuple[QuerySet[Visit], QuerySet[Visit]]) -> None:
    rows = both[1].order_by(Collate("path", "sv-x-icu"))
    assert "ranked by one shard" in str(plan(rows))
    assert "ranked" not in str(plan(both[1].order_by("ms")))


@pytest.mark.skipif(ENGINE != "postgresql", reason="no other engine has texts ranked")
def test_two_collations_in_one_expression_are_refused(both: tuple[QuerySet[Visit], QuerySet[Visit]]) -> None:
    mixed = Case(When(bot=True, then=Collate("path", "sv-x-icu")), default=F("path"))
    with pytest.raises(QueryNotSupported, match="collation"):
        list(both[1].order_by(mixed))
