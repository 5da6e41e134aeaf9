"""A text that a subquery gave compares as its column does, with literals, too: these alone have the session's rules."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connections
from django.db.models import Subquery
from django.db.models.functions import Collate, Concat

from horizon_shards.backends.sharded.collations import _mysql_collations
from tests.shop.models import Customer, Site, Visit

pytestmark = pytest.mark.django_db(databases=["default", "track", "crm"])


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
