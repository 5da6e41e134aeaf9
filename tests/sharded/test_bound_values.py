"""What a subquery gave has the type and the collation of its column: a literal alone has the session's rules."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections
from django.db.models import Count, Exists, Max, OrderBy, OuterRef, Q, Subquery
from django.db.models.functions import Collate, Concat

from horizon_shards.backends.sharded.collations import _mysql_collations
from horizon_shards.exceptions import QueryNotSupported
from horizon_shards.topology import get_group
from tests.shop.models import Customer, Site, Visit

pytestmark = pytest.mark.django_db(databases=["default", "track", "crm"])


VALUES: dict[str, Any] = {
    "ms": 7,
    "price": Decimal("3.50"),
    "ratio": 0.25,
    "bot": True,
    "at": datetime(2026, 1, 2, 3, 4, 5, 600, tzinfo=UTC),
    "at__date": date(2026, 1, 2),
    "took": timedelta(seconds=3.5),
    "extra": {"a": [1, 2]},
    "extra__a": [1, 2],
    "path": "/a",
}
PARTS = {"at": [("month", 1), ("date", "2026-01-02"), ("hour__gt", 1)], "extra": [("a__0", 1), ("has_key", "a")]}


@pytest.fixture
def one(spread: list[Visit]) -> Any:
    """A row whose values are asked for, and rows of another shard."""
    first = spread[0]
    Visit.objects.filter(pk=first.pk).update(**{name: VALUES[name] for name in VALUES if "__" not in name})
    resolve = get_group("track").mapping.resolve
    other = next(visit for visit in spread if resolve(visit.site_id) != resolve(first.site_id))
    return Visit.objects.filter(pk=first.pk, site=first.site_id), Visit.objects.filter(pk=other.pk, site=other.site_id)


@pytest.mark.parametrize("name", VALUES)
def test_a_value_is_that_of_its_column(one: Any, name: str) -> None:
    there, here = one
    found = here.annotate(x=Subquery(there.values(name)))
    assert found.get().x == VALUES[name]
    assert type(found.get().x) is type(VALUES[name])
    assert found.filter(x=VALUES[name]).exists()
    for lookup, value in PARTS.get(name, []):
        assert found.filter(**{f"x__{lookup}": value}).exists(), lookup


@pytest.mark.parametrize("name", VALUES)
def test_no_value_is_null_of_its_column(one: Any, name: str) -> None:
    there, here = one
    none = Subquery(there.filter(path="nothing").values(name))
    found = here.annotate(x=none)
    assert found.get().x is None
    assert found.filter(x__isnull=True).exists()
    for lookup, value in [("in", [VALUES[name]]), *PARTS.get(name, [])]:
        assert not found.filter(**{f"x__{lookup}": value}).exists(), lookup
    if "extra" not in name:
        assert Visit.objects.annotate(x=none).values("x").annotate(n=Count("pk")).get() == {"x": None, "n": 12}
        if name != "bot":
            assert Visit.objects.annotate(x=none).aggregate(high=Max("x")) == {"high": None}


@pytest.fixture
def exact_literals(visits: list[Visit]) -> Iterator[None]:
    """Sessions in which literals differ by case, as columns do not."""
    if connections["track"].vendor != "mysql":
        pytest.skip("MySQL's sessions have a collation")
    set_collation("utf8mb4_bin")
    yield
    set_collation("DEFAULT")


def set_collation(name: str) -> None:
    group = connections["track"].group
    for shard in group.shard_names:
        with connections[group.primaries[shard]].cursor() as cursor:
            cursor.execute(f"SET SESSION collation_connection = {name}")
    _mysql_collations.cache_clear()


def test_mysql_compares_it_by_the_collation_of_its_column(exact_literals: None) -> None:
    named = Visit.objects.annotate(name=Subquery(Site.objects.filter(name="site 3").values("name")[:1]))
    assert named.filter(name="SITE 3", ms=1).count() == 12
    assert named.filter(name__gt="SITE 2", ms=1).count() == 12
    assert named.filter(name__in=["SITE 3", "x"], ms=1).count() == 12
    assert named.annotate(twice=Concat("name", "name")).filter(twice="site 3SITE 3", ms=1).count() == 12
    assert named.filter(name__gte=Concat("path", "path"), ms=1).count() == 12


def test_postgresql_compares_it_by_the_collation_of_its_column(visits: list[Visit]) -> None:
    if connections["track"].vendor != "postgresql":
        pytest.skip("names of PostgreSQL's collations")
    Customer.objects.create(tenant="t", name="a")
    for collation, is_above in (("C", True), ("en-x-icu", False)):
        found = Customer.objects.filter(tenant="t").annotate(c=Collate("name", collation)).values("c")[:1]
        above = Visit.objects.annotate(name=Subquery(found)).filter(name__gt="B")
        assert above.exists() is is_above, collation


@pytest.mark.parametrize("name", ["extra", "extra__a"])
def test_json_of_rows_elsewhere_is_no_list_of_literals(one: Any, name: str) -> None:
    """Django writes a list of JSON otherwise than a subquery: no such literal equals what the column has."""
    there, here = one
    Visit.objects.update(extra=VALUES["extra"])
    alike = [Q(**{f"{name}__in": there.values(name)}), Exists(there.filter(**{name: OuterRef(name)}))]
    for condition in alike:
        with pytest.raises(QueryNotSupported, match="pass them as a list"):
            here.filter(condition).exists()
    assert here.filter(**{name: there.values(name)[:1]}).exists()


@pytest.mark.parametrize("ms", [1, 2, 200])
def test_an_order_by_a_value_is_none(one: Any, ms: int) -> None:
    """ORDER BY takes a literal number for the column of this number, and PostgreSQL no other literal."""
    there, _ = one
    Visit.objects.filter(pk=there.get().pk).update(ms=ms)
    by_key = list(Visit.objects.order_by("-pk"))
    for value in (Subquery(there.values("ms")), Subquery(there.values("path")), Exists(there)):
        for order in (value, OrderBy(value, descending=True)):
            assert list(Visit.objects.order_by(order, "-pk")[:5]) == by_key[:5]
            rows = Visit.objects.order_by(order, "-pk").values("path", "pk").distinct()
            assert [row["pk"] for row in rows] == [visit.pk for visit in by_key]
