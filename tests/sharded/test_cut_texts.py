"""MySQL cuts the text of ``StringAgg`` at ``group_concat_max_len`` bytes: over shards as on one database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import django
import pytest
from django.db import connections
from django.db.models import Q, Value

from horizon_shards.context import using_shard
from tests.shop.models import Visit

pytestmark = [
    pytest.mark.django_db(databases=["default", "track"]),
    pytest.mark.skipif(django.VERSION < (6, 0), reason="StringAgg is PostgreSQL's before Django 6"),
]


@pytest.fixture
def texts(spread: list[Visit]) -> list[str]:
    """Texts with characters of four bytes on all shards, in the order of their rows' ids."""
    if connections["track"].vendor != "mysql":
        pytest.skip("only MySQL and MariaDB cut")
    for n, visit in enumerate(spread):
        visit.path = f"/{'😀' * (n % 3)}{n}"
    Visit.objects.bulk_update(spread, ["path"])
    return [visit.path for visit in sorted(spread, key=lambda visit: visit.pk)]


@contextmanager
def limit(size: int) -> Iterator[None]:
    set_limits(str(size))
    try:
        yield
    finally:
        set_limits("DEFAULT")


def set_limits(size: str) -> None:
    for shard in connections["track"].group.shard_names:
        with using_shard(shard), connections["track"].cursor() as cursor:
            cursor.execute(f"SET SESSION group_concat_max_len = {size}")


def joined(**options: Any) -> str:
    from django.db.models import StringAgg

    return Visit.objects.aggregate(x=StringAgg("path", Value("ñ"), **options))["x"]


def cut(text: str, size: int) -> str:
    return text.encode()[:size].decode(errors="ignore")


@pytest.mark.parametrize("size", [4, 5, 6, 11, 20, 33, 47, 60, 80, 1000])
def test_texts_in_an_order_are_cut_as_one(texts: list[str], size: int) -> None:
    few = texts[::4]
    with limit(size):
        assert joined(order_by="pk") == cut("ñ".join(texts), size)
        assert joined(order_by="pk", filter=Q(path__in=few)) == cut("ñ".join(few), size)


@pytest.mark.parametrize("size", [*range(4, 24), 33, 47, 60, 80, 1000])
def test_texts_without_an_order_are_cut_at_the_end_alone(texts: list[str], size: int) -> None:
    with limit(size):
        found = joined()
    *whole, last = found.split("ñ")
    rest = Counter(texts) - Counter(whole)
    assert rest.total() == len(texts) - len(whole)
    assert any(text.startswith(last) for text in rest)
    if size == 1000:
        assert list(rest) == [last]
    else:
        # What comes next has no room: a character has four bytes at most.
        assert size - 4 < len(found.encode()) <= size
