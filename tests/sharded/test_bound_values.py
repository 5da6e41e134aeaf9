"""What a subquery gave has the type and the collation of its column: a literal alone has the session's rules."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections
from django.db.models import (
    CharField,
    Count,
    DateTimeField,
    Exists,
    F,
    Func,
    IntegerField,
    Max,
    OrderBy,
    Q,
    Subquery,
    Value,
)
from django.db.models.expressions import Col
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce, Collate, Concat, Lower
from django.db.models.lookups import Exact

from horizon_shards.backends.sharded.bound import BoundValue
from horizon_shards.backends.sharded.collations import _mysql_collations
from horizon_shards.backends.sharded.mysql_collations import mysql_collation
from horizon_shards.exceptions import QueryNotSupported
from tests.sharded.rows import COLUMNS
from tests.shop.models import Customer, Site, Visit

pytestmark = pytest.mark.django_db(databases=["default", "track", "crm"])


PARTS = {"at": [("month", 1), ("date", "2026-01-02"), ("hour__gt", 1)]}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_value_is_that_of_its_column(one: Any, name: str) -> None:
    there, here = one
    found = here.annotate(x=Subquery(there.values(name)))
    assert found.get().x == COLUMNS[name]
    assert type(found.get().x) is type(COLUMNS[name])
    assert found.filter(x=COLUMNS[name]).exists()
    for lookup, value in PARTS.get(name, []):
        assert found.filter(**{f"x__{lookup}": value}).exists(), lookup


@pytest.mark.parametrize("name", COLUMNS)
def test_no_value_is_null_of_its_column(one: Any, name: str) -> None:
    there, here = one
    none = Subquery(there.filter(path="nothing").values(name))
    found = here.annotate(x=none)
    assert found.get().x is None
    assert found.filter(x__isnull=True).exists()
    for lookup, value in [("in", [COLUMNS[name]]), *PARTS.get(name, [])]:
        assert not found.filter(**{f"x__{lookup}": value}).exists(), lookup
    assert Visit.objects.annotate(x=none).values("x").annotate(n=Count("pk")).get() == {"x": None, "n": 12}
    if name != "bot":
        assert Visit.objects.annotate(x=none).aggregate(high=Max("x")) == {"high": None}


def test_sqlite_compares_it_with_no_other_kind(one: Any) -> None:
    """SQLite turns what a column holds into a number or a text, beside the other kind; a literal it does not."""
    there, here = one
    values = {name: Subquery(there.values(name)) for name in ("ms", "path", "at", "took", "token")}
    others = {"ms": F("ms") + 0, "path": Lower("path"), "at": F("at"), "extra__a": F("extra__a"), "took": F("took")}
    for name, value in values.items():
        found = here.annotate(x=value)
        for kind, other in others.items():
            between = Q(x__range=(other, other))
            for condition in (Q(x=other), ~Q(x__gt=other), Q(Exact(other, F("x"))), Q(x__in=[other]), between):
                if kind == name:
                    found.filter(condition).exists()
                elif connections["track"].vendor == "sqlite":
                    with pytest.raises(QueryNotSupported, match="pass them as a list"):
                        found.filter(condition).exists()
    here.update(price=Decimal("3.50"))
    assert here.annotate(x=values["ms"]).filter(x=F("price") * 2).exists()


def test_what_sqlite_computes_is_compared_as_it_was(one: Any) -> None:
    """A time that is cast has a fraction, also of 0; and text of JSON may be a number, which a bound text is not."""
    if connections["track"].vendor != "sqlite":
        pytest.skip("SQLite's rules")
    there, here = one
    there.update(extra={"a": 1, "b": "x"}, at=datetime(2026, 1, 2, tzinfo=timezone.utc))
    here.update(at=datetime(2026, 1, 2, tzinfo=timezone.utc))
    whole, cast = there.values("at")[:1], there.annotate(x=Cast("at", DateTimeField())).values("x")[:1]
    assert here.filter(at=Subquery(whole)).exists()
    assert not here.filter(at=Subquery(cast)).exists()
    number, text = (there.annotate(x=KT(f"extra__{key}")).values("x") for key in "ab")
    assert here.annotate(x=Subquery(text)).filter(x="x").exists()
    assert here.annotate(x=Concat("path", Value(""))).exclude(x__in=text).exists()
    for query in (here.annotate(x=Subquery(number)), here.annotate(x=Concat("path", Value(""))).filter(x__in=number)):
        with pytest.raises(QueryNotSupported, match="gives numbers"):
            list(query)


@pytest.mark.parametrize("text", ["x", 1])
def test_a_text_that_sqlite_computes_may_be_a_number(spread: list[Visit], text: Any) -> None:
    """Whatever Django calls it: numbers come before texts."""
    for number, visit in enumerate(spread):
        Visit.objects.filter(pk=visit.pk, site=visit.site_id).update(extra={"a": text if number % 2 else number})
    keyed = Visit.objects.annotate(k=KT("extra__a"))
    values = [str(value) for value in keyed.order_by("k", "pk").values_list("k", flat=True)]
    expected = [number if number % 2 == 0 else text for number in range(12)]
    if connections["track"].vendor == "sqlite":
        assert values == [str(value) for value in sorted(expected, key=lambda value: (value == "x", value))]
    assert sorted(values) == sorted(map(str, expected))


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


@pytest.mark.parametrize("session", ["utf8mb4_bin", "utf8mb4_unicode_ci"])
def test_mysql_weighs_it_as_a_column(exact_literals: None, session: str) -> None:
    """A column of a binary collation decides beside it, as beside a column: COLLATE would win over that."""
    set_collation(session)
    sites = Site.objects.annotate(other=Collate("name", "utf8mb4_unicode_520_ci")).filter(name="site 3")
    for name, weight in (("name", 2), ("other", 0)):
        weighed = Func(Subquery(sites.values(name)[:1]), function="COERCIBILITY", output_field=IntegerField())
        assert set(Visit.objects.annotate(weight=weighed).values_list("weight", flat=True)) == {weight}
        assert Visit.objects.annotate(name=Subquery(sites.values(name)[:1])).filter(name="SITE 3", ms=1).count() == 12


@pytest.mark.parametrize("text", [KT("extra__a"), Lower(KT("extra__a"))])
def test_mysql_weighs_a_text_out_of_json_less_than_a_column(exact_literals: None, one: Any, text: Any) -> None:
    """The column's collation calls "ä" an "a"; by the bytes of JSON it comes after all letters."""
    there, here = one
    there.update(extra={"a": "b"})
    here.update(path="ä")
    assert here.filter(path__lt=Subquery(there.annotate(text=text).values("text"))).exists()


def test_mysql_takes_the_collation_that_a_function_was_given(exact_literals: None, one: Any) -> None:
    """An explicit one goes through functions."""
    there, here = one
    here.update(path="/B")
    given = there.annotate(text=Lower(Collate("path", "utf8mb4_unicode_ci"))).values("text")
    assert here.filter(path__gt=Subquery(given)).exists()


@pytest.mark.parametrize("function", [Concat, Coalesce])
def test_mysql_computes_with_it_by_the_collation_of_its_column(visits: list[Visit], function: Any) -> None:
    """Beside a column of another one, a binary collation goes for the whole, wherever it stands."""
    if connections["track"].vendor != "mysql":
        pytest.skip("MySQL's rules")
    plain, binary = Col("t", CharField()), Col("t", CharField(db_collation="utf8mb4_bin"))
    value = BoundValue("B", binary, binary.target)
    for sources in ((plain, value), (value, plain), (plain, binary), (value, Value("x"))):
        assert mysql_collation(function(*sources), connections["track_1"]) == "utf8mb4_bin"


def test_postgresql_compares_it_by_the_collation_of_its_column(visits: list[Visit]) -> None:
    if connections["track"].vendor != "postgresql":
        pytest.skip("names of PostgreSQL's collations")
    Customer.objects.create(tenant="t", name="a")
    for collation, is_above in (("C", True), ("en-x-icu", False)):
        found = Customer.objects.filter(tenant="t").annotate(c=Collate("name", collation)).values("c")[:1]
        above = Visit.objects.annotate(name=Subquery(found)).filter(name__gt="B")
        assert above.exists() is is_above, collation


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
