"""What rows look like: dates(), distinct() by fields, in_bulk(), related and JSON values, only() and defer()."""

from __future__ import annotations

from datetime import date, datetime, timezone
from typing import Any

import pytest
from django.db import NotSupportedError, connections
from django.db.models import (
    BinaryField,
    Case,
    DateField,
    ExpressionWrapper,
    F,
    FloatField,
    IntegerField,
    Max,
    TextField,
    Value,
    When,
)
from django.db.models.fields.json import KT
from django.db.models.functions import Greatest
from django.test.utils import CaptureQueriesContext

from horizon_shards.backends.sharded.constants import Column, table_of
from horizon_shards.exceptions import QueryNotSupported
from tests.settings import ENGINE
from tests.shop.models import Country, Invoice, Site, Visit, Visitor

pytestmark = pytest.mark.django_db(databases=["default", "track"])

DAYS = [date(2024, 3, 31), date(2023, 12, 1), date(2024, 3, 2)]


def test_dates_and_datetimes_come_once_and_in_order(sites: list[Site], visits: list[Visit]) -> None:
    for number, visitor in enumerate(Visitor.objects.order_by("pk")):
        Visitor.objects.filter(pk=visitor.pk).update(joined=DAYS[number % 4] if number % 4 < 3 else None)
    dates = Visitor.objects.dates
    assert list(dates("joined", "day")) == sorted(DAYS)
    assert list(dates("joined", "month", order="DESC")) == [date(2024, 3, 1), date(2023, 12, 1)]
    assert list(dates("joined", "year")[1:]) == [date(2024, 1, 1)]
    assert dates("joined", "month").count() == 2
    assert Visitor.objects.filter(site=sites[3]).dates("joined", "day").count() == 0
    moments = [datetime(2024, 3, day, 23, 30, tzinfo=timezone.utc) for day in (1, 1, 2)]
    for visit, at in zip(visits[::7], moments, strict=False):
        Visit.objects.filter(pk=visit.pk).update(at=at)
    if connections["track"].features.has_zoneinfo_database:
        assert [at.day for at in Visit.objects.datetimes("at", "day", order="DESC")] == [2, 1]
        assert [at.hour for at in Visit.objects.datetimes("at", "hour")] == [23, 23]


def test_distinct_by_fields_where_the_engine_has_it(sites: list[Site], visits: list[Visit]) -> None:
    rows = Visit.objects.order_by("path", "-site").distinct("path")
    if not connections["track"].features.can_distinct_on_fields:
        with pytest.raises(NotSupportedError):
            list(rows)
        return
    last = max(site.pk for site in sites)
    assert [(visit.path, visit.site_id) for visit in rows] == [(f"/{n}", last) for n in range(5)]
    assert [visit.path for visit in rows[1:3]] == ["/1", "/2"]
    assert rows.count() == 5
    assert list(rows.values_list("ms", flat=True)) == [0, 1, 2, 3, 4]
    assert Visit.objects.order_by("visitor").distinct("visitor").count() == 12
    assert Visit.objects.order_by("visitor__name", "ms").distinct("visitor__name")[0].ms == 0
    assert len(Visit.objects.filter(site=sites[0]).order_by("path").distinct("path")) == 5
    assert len(Visit.objects.distinct("bot")) == 1


def test_rows_that_are_distinct_by_fields_are_counted_over_all_shards(visits: list[Visit]) -> None:
    if not connections["track"].features.can_distinct_on_fields:
        pytest.skip("PostgreSQL's alone")
    assert Visit.objects.distinct("path").count() == 5
    assert Visit.objects.order_by("path", "pk").distinct("path")[1:].count() == 4
    assert Visit.objects.distinct("site", "path").count() == 60
    assert Visit.objects.distinct("visitor__name").count() == 12
    for number, site in enumerate({visit.site_id for visit in visits}):
        Invoice.objects.create(site_id=site, number=number % 3, total=1)
    by_key = Invoice.objects.order_by("pk").distinct("pk")
    assert [invoice.pk for invoice in by_key] == sorted(Invoice.objects.values_list("site", "number"))
    assert by_key.count() == Invoice.objects.count() == 12
    assert Invoice.objects.distinct("number").count() == 3


def test_fields_that_lead_to_rows_of_other_shards_are_refused(visits: list[Visit]) -> None:
    """Django joins them as late as it writes DISTINCT ON."""
    if not connections["track"].features.can_distinct_on_fields:
        pytest.skip("PostgreSQL's alone")
    for rows in (Country.objects.distinct("id", "visit__path"), Visit.objects.distinct("country__visit__ms")):
        with pytest.raises(QueryNotSupported):
            list(rows)
        with pytest.raises(QueryNotSupported):
            rows.count()
    assert Country.objects.filter(visit__ms=1).distinct("visit__path").count() == 1


def test_fields_that_lead_to_rows_of_other_shards_are_refused_to_one_shard_too(visits: list[Visit]) -> None:
    if not connections["track"].features.can_distinct_on_fields:
        pytest.skip("PostgreSQL's alone")
    site = visits[0].site_id
    for rows in (
        Visit.objects.filter(site=site).distinct("id", "country__visit__ms"),
        Visitor.objects.filter(site=site).distinct("id", "visits__country__visit__ms"),
    ):
        with pytest.raises(QueryNotSupported):
            list(rows)
    found = Visitor.objects.filter(site=site).distinct("id", "visits__ms").values_list("visits__ms", flat=True)
    assert set(found) == {visit.ms for visit in visits if visit.visitor.site_id == site}


def test_a_subquery_of_rows_that_are_distinct_by_fields(visits: list[Visit]) -> None:
    """Runs first, although its rows are beside those of the query: which row is the first, no shard can say alone."""
    if not connections["track"].features.can_distinct_on_fields:
        pytest.skip("PostgreSQL's alone")
    first = Visit.objects.order_by("path", "pk").distinct("path")
    expected = {min(visit.pk for visit in visits if visit.path == f"/{n}") for n in range(5)}
    assert set(Visit.objects.filter(pk__in=first).values_list("pk", flat=True)) == expected
    visitors = {visit.visitor_id for visit in visits if visit.pk in expected}
    assert set(Visitor.objects.filter(pk__in=first.values("visitor")).values_list("pk", flat=True)) == visitors
    assert Visitor.objects.exclude(pk__in=first.values("visitor")).count() == 12 - len(visitors)


def test_in_bulk_by_another_field(visits: list[Visit]) -> None:
    assert Country.objects.in_bulk(["de", "fr"], field_name="code") == {"de": Country.objects.get()}
    assert Country.objects.in_bulk(field_name="code").keys() == {"de"}
    wanted = [visit.pk for visit in visits[::11]]
    assert Visit.objects.in_bulk(wanted, field_name="id").keys() == set(wanted)
    assert len(Visit.objects.in_bulk()) == 60
    with pytest.raises(ValueError, match="must be a unique field"):
        Visit.objects.in_bulk(field_name="token")


def test_values_of_related_and_json_fields(visits: list[Visit]) -> None:
    for number, visit in enumerate(visits):
        Visit.objects.filter(pk=visit.pk).update(extra={"n": number, "tag": {"name": f"t{number % 3}"}})
    rows = Visit.objects.order_by("-ms", "pk")
    assert rows.values("visitor__name", "country__code", "extra__n")[0].keys() == {
        "visitor__name", "country__code", "extra__n",
    }  # fmt: skip
    assert sorted(Visit.objects.values_list("extra__n", flat=True)) == list(range(60))
    assert set(Visit.objects.values_list("extra__tag__name", "country__name")) == {
        (f"t{n}", "Germany") for n in range(3)
    }
    assert Visit.objects.filter(extra__tag__name="t1").count() == 20
    assert [row["extra"]["tag"] for row in rows.filter(extra__n=7).values("extra")] == [{"name": "t1"}]


def test_only_and_defer_load_the_rest_from_the_rows_shard(visits: list[Visit]) -> None:
    for rows in (Visit.objects.only("ms"), Visit.objects.defer("path", "site"), Visit.objects.only("visitor__name")):
        found = list(rows.select_related("visitor").order_by("-ms", "pk") if "visitor" in str(rows.query) else rows)
        assert len(found) == 60
        with CaptureQueriesContext(connections["track"]) as queries:
            assert found[0].path == f"/{found[0].ms}"
        assert len({query["shard"] for query in queries}) <= 1
    chosen = Visit.objects.only("path").order_by("-ms", "pk")[0]
    assert chosen.get_deferred_fields() >= {"ms", "site_id"}
    assert chosen.ms == 4


@pytest.mark.sqlite_only
def test_computed_values_of_several_types_are_in_the_order_of_sqlite(visits: list[Visit]) -> None:
    """Whatever Django calls them."""
    for field in (IntegerField(), DateField()):
        mixed = Case(When(ms=1, then=Value("x", TextField())), default=F("ms"), output_field=field)
        rows = Visit.objects.order_by(mixed, "pk").values_list("ms", flat=True)
        assert list(rows) == [ms for ms in (0, 2, 3, 4, 1) for _ in range(12)]
        assert Visit.objects.filter(ms__lt=2).values_list("ms").annotate(m=Max(mixed)).count() == 2


def test_distinct_keys_deep_in_json_and_nulls_of_two_kinds(visits: list[Visit]) -> None:
    """JSON's null is no NULL; a path of several keys is a list among the parameters."""
    for number, visit in enumerate(visits):
        extra: Any = ({"a": None}, {}, {"a": {"b": 1}}, {"a": {"b": "1"}})[number % 4]
        Visit.objects.filter(pk=visit.pk, site=visit.site_id).update(extra=extra)
    assert len(Visit.objects.annotate(e=KT("extra__a__b")).values("e").distinct()) == (3 if ENGINE == "sqlite" else 2)
    for path, count in (("extra__a__b", 3), ("extra__a", 4)):
        rows = Visit.objects.annotate(e=F(path)).values("e").distinct()
        if getattr(connections["track_1"], "mysql_is_mariadb", True):
            assert len(rows) == count
        else:  # JSON is a type of its own there
            with pytest.raises(QueryNotSupported, match="Cast it to text"):
                len(rows)


def test_expressions_whose_type_nothing_says_are_refused(visits: list[Visit]) -> None:
    for expression in (F("price") * F("ratio"), Greatest("price", "ms")):
        with pytest.raises(QueryNotSupported, match="output_field"):
            list(Visit.objects.order_by(expression, "pk"))
    assert list(Visit.objects.order_by(ExpressionWrapper(F("price") * F("ratio"), FloatField()), "pk"))


@pytest.mark.skipif(ENGINE == "postgresql", reason="has no order of bytes for MAX()")
@pytest.mark.django_db(databases=["default", "track", "track_1"])
def test_the_most_of_bytes_over_merged_rows() -> None:
    """MySQL tells bytes from a text by the type of the table of known values."""
    connection = connections["track_1"]
    columns = [Column("v", Value(b"", BinaryField()))]
    table, params = table_of([[b"\xff"], [None], [b""]], columns, connection)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT MAX(v), MIN(v) FROM ({table}) known", params)
        assert [bytes(value) for value in cursor.fetchone()] == [b"\xff", b""]
