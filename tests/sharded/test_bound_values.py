"""What a subquery gave has the type and the collation of its column: a literal alone has the session's rules."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError, connections
from django.db.models import (
    BigIntegerField,
    Case,
    CharField,
    Count,
    DateTimeField,
    DecimalField,
    Exists,
    ExpressionWrapper,
    F,
    Func,
    IntegerField,
    JSONField,
    Max,
    Min,
    OrderBy,
    OuterRef,
    Q,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.expressions import Col
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce, Collate, Concat, ExtractYear, Length, Lower, TruncDay
from django.db.models.lookups import Exact

from horizon_shards.backends.sharded.bound import BoundValue
from horizon_shards.backends.sharded.collations import _mysql_collations
from horizon_shards.backends.sharded.mysql_collations import mysql_collation
from horizon_shards.exceptions import QueryNotSupported
from horizon_shards.topology import get_group
from tests.shop.models import Customer, Label, Site, Visit

pytestmark = pytest.mark.django_db(databases=["default", "track", "crm"])


VALUES: dict[str, Any] = {
    "ms": 7,
    "price": Decimal("3.50"),
    "ratio": 0.25,
    "bot": True,
    "at": datetime(2026, 1, 2, 3, 4, 5, 600, tzinfo=UTC),
    "at__date": date(2026, 1, 2),
    "took": timedelta(seconds=3.5),
    "path": "/a",
}
JSON = {"extra": {"a": [1, 2]}, "extra__a": [1, 2]}
PARTS = {"at": [("month", 1), ("date", "2026-01-02"), ("hour__gt", 1)]}


@pytest.fixture
def one(spread: list[Visit]) -> Any:
    """A row whose values are asked for, and rows of another shard."""
    first = spread[0]
    columns = {name: value for name, value in (VALUES | JSON).items() if "__" not in name}
    Visit.objects.filter(pk=first.pk).update(**columns)
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
    there.update(extra={"a": 1, "b": "x"}, at=datetime(2026, 1, 2, tzinfo=UTC))
    here.update(at=datetime(2026, 1, 2, tzinfo=UTC))
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


@pytest.mark.parametrize("name", JSON)
def test_json_of_rows_elsewhere_is_compared_with_nothing(one: Any, name: str) -> None:
    """Django writes literals of JSON otherwise than a subquery: none equals what the column has."""
    there, here = one
    Visit.objects.update(extra=JSON["extra"])
    value = Subquery(there.values(name))
    found = here.annotate(x=value)
    refused = [
        here.filter(**{f"{name}__in": there.values(name)}),
        here.filter(Exists(there.filter(**{name: OuterRef(name)}))),
        here.filter(**{name: there.values(name)[:1]}),
        here.filter(**{f"{name}__in": [value]}),
        here.exclude(**{f"{name}__gt": value}),
        found.filter(x={}),
        found.filter(x__a__0=1),
        found.annotate(y=Coalesce("x", "extra")),
        found.annotate(y=Cast("x", CharField())),
        found.values("path").annotate(y=Count("x")),
    ]
    for query in refused:
        with pytest.raises(QueryNotSupported, match="pass them as a list"):
            list(query)
    for query in (found, found.distinct()):
        with pytest.raises(QueryNotSupported, match="pass them as a list"):
            query.aggregate(n=Count("x"))


@pytest.mark.parametrize("value", [True, 1, "x", None, [1], {"a": None}])
def test_json_of_rows_elsewhere_is_shown_and_stored(one: Any, value: Any) -> None:
    """JSON's null is none of SQL's, though Python shows both as None."""
    there, here = one
    there.update(extra=Value(value, JSONField()))
    column = Subquery(there.values("extra"))
    found = here.annotate(x=column)
    assert found.get().x == value
    assert not found.filter(x__isnull=True).exists()
    assert here.annotate(x=Subquery(there.annotate(y=F("extra")).values("y"))).get().x == value
    here.update(extra=column)
    assert here.filter(extra__isnull=False).get().extra == value
    with pytest.raises(QueryNotSupported, match="of a plain column"):
        here.update(extra=Subquery(there.values("extra__a")))


@pytest.mark.parametrize("name", JSON)
def test_no_json_is_null(one: Any, name: str) -> None:
    """Of a field of JSON, a value of None would be JSON's null."""
    there, here = one
    found = here.annotate(x=Subquery(there.filter(path="nothing").values(name)))
    assert found.get().x is None
    if name == "extra":
        assert found.filter(x__isnull=True).exists()
        with pytest.raises(IntegrityError):
            here.update(extra=Subquery(there.filter(path="nothing").values(name)))


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


def test_sqlite_holds_a_whole_decimal_as_an_integer(one: Any) -> None:
    """As its column does: it divides without a fraction, and has none as a text."""
    if connections["track"].vendor != "sqlite":
        pytest.skip("SQLite's rules")
    there, here = one
    here.update(ms=3)
    for price, quotient, text in (("10.00", 0, "10"), ("2.50", Decimal("1.2"), "2.5")):
        there.update(price=Decimal(price))
        value = Subquery(there.values("price"))
        found = here.annotate(part=F("ms") / value, text=Cast(value, CharField()))
        assert found.values_list("part", "text").get() == (quotient, text)


def test_the_smallest_number_has_a_type(one: Any) -> None:
    """A cast binds closer than a minus."""
    _, here = one
    Label.objects.create(code="x", title="y")
    low = Label.objects.annotate(low=Value(-(2**63), output_field=BigIntegerField())).values("low")
    assert here.filter(id__gt=Subquery(low)).exists()
    assert Visit.objects.values("bot").annotate(low=Min(F("id") * 0 + -(2**63))).filter(low__lt=3).exists()


COMPUTED: list[tuple[str, Any]] = [
    ("ratio", F("ratio") / 3),
    ("price", F("price") / 3),
    ("ms", ExpressionWrapper(F("ms") * 0.5, output_field=IntegerField())),
    ("ms", Coalesce(ExpressionWrapper(F("ratio") * 1, output_field=IntegerField()), "ms")),
]
EXACT: list[tuple[str, Any, Any]] = [
    ("ms", F("ms") * 2 - 1, 13),
    ("ms", Length("path"), 2),
    ("ms", Coalesce("ms", 0), 7),
    ("ms", Case(When(ms=7, then=F("ms")), default=Value(None)), 7),
    ("ms", Cast("price", IntegerField()), 3),
    ("ms", ExtractYear("at"), 2026),
    ("ms", Sum("ms"), 7),
    ("ms", Count("pk"), 1),
    ("price", Max("price"), Decimal("3.00")),
    ("ratio", Min("ratio"), 0.25),
    ("took", F("took") + timedelta(1), timedelta(1, 3.5)),
]


@pytest.mark.parametrize(("name", "computed"), COMPUTED)
def test_numbers_computed_elsewhere_are_shown_alone(one: Any, name: str, computed: Any) -> None:
    """The database compares them with more digits, or as another type, than Python shows."""
    there, here = one
    values = there.annotate(x=computed).values("x")
    found = here.annotate(x=Subquery(values))
    assert found.get().x == values.get()["x"]
    assert not found.filter(x__isnull=True).exists()
    refused = [
        lambda: here.filter(**{f"{name}__in": values}).exists(),
        lambda: here.filter(**{name: Subquery(values[:1])}).exists(),
        lambda: found.filter(x__gt=values.get()["x"]).exists(),
        lambda: list(found.annotate(y=F("x") + F(name))),
        lambda: found.aggregate(y=Max("x")),
        lambda: found.distinct().aggregate(y=Max("x")),
        lambda: here.update(**{name: Subquery(values)}),
    ]
    for query in refused:
        with pytest.raises(QueryNotSupported, match="pass them as a list"):
            query()


@pytest.mark.parametrize(("name", "computed", "value"), EXACT)
def test_numbers_that_are_shown_as_they_are_compare(one: Any, name: str, computed: Any, value: Any) -> None:
    there, here = one
    there.update(price=Decimal("3.00"))
    values = there.order_by().values("path").annotate(x=computed).values("x")
    here.update(**{name: value})
    assert here.filter(**{f"{name}__in": values}).exists()
    assert here.filter(**{name: Subquery(values[:1])}).exists()
    assert not here.annotate(x=Subquery(values[:1])).filter(x__gt=F(name)).exists()


def test_decimals_with_more_places_are_not_listed(one: Any) -> None:
    """Django rounds those of a list to the places of the column beside it."""
    there, here = one
    more = there.annotate(x=Cast("price", DecimalField(max_digits=12, decimal_places=4))).values("x")
    with pytest.raises(QueryNotSupported, match="pass them as a list"):
        here.filter(price__in=more).exists()


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_times_cut_off_in_another_zone_stay_there(one: Any, zone: str) -> None:
    """They are local to that zone, and no points in time, which a literal would be."""
    if zone != "UTC" and not connections["track_1"].features.has_zoneinfo_database:
        pytest.skip("MySQL's tables of time zones are empty")
    there, here = one
    here.update(at=VALUES["at"])
    day = TruncDay("at", tzinfo=ZoneInfo(zone))
    values = there.annotate(x=day).values("x")
    found = here.annotate(y=day)
    queries = [found.filter(y__in=values), found.filter(y=Subquery(values[:1])), here.annotate(x=Subquery(values))]
    for query in queries:
        if zone == "UTC":
            assert query.exists()
            continue
        with pytest.raises(QueryNotSupported, match="another zone"):
            list(query)
