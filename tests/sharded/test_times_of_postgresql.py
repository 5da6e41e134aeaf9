"""PostgreSQL counts days and hours of a duration apart: Python knows the length alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F, Max, Subquery, Sum, TextField, Value
from django.db.models.functions import Cast, Coalesce, ExtractDay, ExtractHour

from horizon_shards.exceptions import QueryNotSupported
from tests.settings import ENGINE
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
