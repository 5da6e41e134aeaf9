"""PostgreSQL counts days and hours of a duration apart, and has times without a zone: Python shows neither."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import DateField, F, Max, Min, Subquery, Sum, TextField, Value
from django.db.models.functions import Cast, Coalesce, ExtractDay, ExtractHour, TruncDay, TruncHour, TruncYear
from django.test import override_settings

from horizon_shards.exceptions import QueryNotSupported
from tests.settings import ENGINE
from tests.sharded.rows import COLUMNS
from tests.shop.models import Visit

pytestmark = [
    pytest.mark.django_db(databases=["default", "track"]),
    pytest.mark.skipif(ENGINE != "postgresql", reason="no other engine has such types"),
]


@pytest.mark.parametrize(
    "taken",
    [
        ExtractDay(Sum("took")),
        ExtractHour(Sum("took") + Value(timedelta(hours=3))),
        ExtractDay(Coalesce(Max("took"), Value(timedelta(1)))),
        Cast(Sum("took"), TextField()),
    ],
    ids=["days", "hours", "choice", "text"],
)
def test_a_duration_of_several_shards_is_not_taken_apart(spread: list[Visit], taken: Any) -> None:
    """Twelve times 25 hours are "12 days 12:00:00" as a length, "0 days 300:00:00" or anything between there."""
    Visit.objects.update(took=timedelta(hours=25))
    with pytest.raises(QueryNotSupported, match="in Python"):
        Visit.objects.aggregate(x=taken)
    with pytest.raises(QueryNotSupported, match="in Python"):
        list(Visit.objects.values("bot").annotate(x=taken))
    assert Visit.objects.filter(site=spread[0].site_id).aggregate(x=taken)["x"] is not None
    found = Visit.objects.aggregate(x=Sum("took") + Value(timedelta(hours=3)))["x"]
    assert found == timedelta(hours=25) * len(spread) + timedelta(hours=3)


def test_a_duration_of_rows_elsewhere_is_not_taken_apart(one: Any) -> None:
    there, here = one
    there.update(took=timedelta(hours=25))
    here.update(took=timedelta(0))
    there.update(took=F("took") * 2)
    values = there.values("took")[:1]
    for function in (ExtractHour(Subquery(values)), Cast(Subquery(values), TextField())):
        with pytest.raises(QueryNotSupported, match="in Python"):
            list(here.annotate(x=function))
    assert here.annotate(x=F("took") + Subquery(values)).get().x == timedelta(hours=50)


@override_settings(TIME_ZONE="America/New_York")
def test_a_time_without_a_zone_is_that_of_its_database(one: Any) -> None:
    """The least of days has none, nor what a subquery shows; the application's zone has nothing to do with it."""
    there, here = one
    here.update(at=COLUMNS["at"])
    day = TruncDay("at", tzinfo=COLUMNS["at"].tzinfo)
    least = there.annotate(x=day).values("bot").annotate(m=Min("x")).values("m")
    first = there.annotate(x=day).values("x")[:1]
    found = here.annotate(y=day)
    assert found.filter(y=Subquery(least[:1])).exists()
    assert found.filter(y__in=least).exists()
    assert not here.filter(at__lt=Subquery(least[:1])).exists()
    for values in (least, first):
        local = COLUMNS["at"].replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        assert set(here.annotate(x=Subquery(values)).values_list("x", flat=True)) == {local}
        assert here.annotate(x=Cast(Subquery(values), TextField())).get().x == str(local)


def test_a_year_of_a_date_is_a_point_in_time(one: Any) -> None:
    there, here = one
    visitor = there.get().visitor
    visitor.joined = COLUMNS["at"].date()
    visitor.save()
    values = there.annotate(x=TruncYear("visitor__joined")).values("x")
    found = here.annotate(x=Cast(Subquery(values[:1]), TextField())).get().x
    assert found == f"{visitor.joined.year}-01-01 00:00:00+00"


def test_a_date_with_hours_is_not_bound(one: Any) -> None:
    """Django makes a date of it, the database does not."""
    there, here = one
    there.update(at=COLUMNS["at"])
    hour = TruncHour("at", output_field=DateField())
    values, found = there.annotate(x=hour).values("x"), here.annotate(y=hour)
    queries = [here.filter(at__gt=Subquery(values)), found.filter(y__in=values), here.annotate(x=Subquery(values))]
    for query in queries:
        with pytest.raises(QueryNotSupported, match="TruncDate"):
            list(query)
